"""The figure of a comparison's baseline beside the observed series, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .compare import Comparison, History
from .observations import log_errors, running_mean
from .plot import (
    BLUE,
    DARK,
    GREY,
    Picture,
    drawn_from,
    framed,
    locator,
    new_figure,
    save,
    styled,
    tick,
    time_axis,
    wrapped,
)


def history_errors(history: History) -> tuple[float, float]:
    """Root mean square log ratio and worst factor of the median, over the years of the check."""
    row = history.options
    seen = history.series.between(row["from"], row["to"])
    when = seen.time if row["reduction"] == "point" else np.floor(seen.time)
    at = np.interp(when, history.years, history.bands[1])
    window = row.get("window", 1)
    return log_errors(running_mean(at, window), running_mean(seen.value, window))


def _missed(history: History) -> tuple[int, int]:
    """Of the values that are hollow: how many lie outside the band, and how many there are."""
    seen, low, high = history.series, history.bands[0], history.bands[2]
    years = np.floor(seen.time)
    later = ~history.filled & np.isin(years, history.years)
    at = np.searchsorted(history.years, years[later])
    values = seen.value[later]
    return int(((values < low[at]) | (values > high[at])).sum()), int(later.sum())


@styled
def history_figure(comparison: Comparison, folder: Path) -> Picture:
    """The baseline beside each observed series, a panel a series."""
    count = len(comparison.histories)
    columns = min(3, count)
    rows = -(-count // columns)
    figure = new_figure(max(3.2 * columns, 5.5), 2.35 * rows + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False)
    words = []
    for panel, history in zip(axes.flat, comparison.histories, strict=False):
        row, seen = history.options, history.series
        low, middle, high = history.bands
        first = min(seen.time[0] - 2, row["from"])
        keep = history.years >= first
        panel.fill_between(
            history.years[keep], low[keep], high[keep], color=BLUE, alpha=0.22, linewidth=0
        )
        panel.plot(history.years[keep], middle[keep], color=BLUE, linewidth=1.8)
        used = history.filled
        panel.plot(seen.time[used], seen.value[used], "o", color=DARK, markersize=3.6)
        panel.plot(
            seen.time[~used], seen.value[~used], "o", markerfacecolor="white",
            markeredgecolor=DARK, markersize=3.6,
        )  # fmt: skip
        later = seen.time[~used]
        if used.any() and (later > seen.time[used].max()).any():
            last = seen.time[used].max()
            between = (last + later[later > last].min()) / 2
            panel.axvline(between, color=GREY, linewidth=0.7, linestyle=":")
        inside = np.concatenate([high[keep], seen.value])
        panel.set_ylim(0, inside.max() * 1.1)
        panel.yaxis.set_major_formatter(tick)
        panel.yaxis.set_major_locator(locator(5))
        time_axis(panel.xaxis, max(3.2, 5.5 / columns) - 1.2, seen.time[-1])
        panel.set_xlabel(comparison.time.axis, fontsize=7.5, labelpad=1)
        rms, worst = history_errors(history)
        panel.set_title(wrapped(history.name, 40, 2), fontsize=8.5, pad=12)
        panel.text(
            0, 1.01, f"rms log error {rms:.2f}, worst value ×{worst:.2f}",
            transform=panel.transAxes, va="bottom", fontsize=7.5, color="#444444",
        )  # fmt: skip
        panel.set_ylabel(wrapped(seen.unit, 24, 2), fontsize=7.5)
        words.append(
            f"{history.name}: rms log error {rms:.2f}, worst value off by a factor of {worst:.2f}"
        )
    for panel in list(axes.flat)[count:]:
        panel.set_visible(False)
    good = sum(
        history_errors(h)[0] <= h.options.get("rms_log_ratio", 0.35)
        and history_errors(h)[1] <= h.options.get("factor", 2.0)
        for h in comparison.histories
    )
    outside, later = np.sum([_missed(h) for h in comparison.histories], axis=0)
    fitted, once = all(h.fitted for h in comparison.histories), comparison.once
    what = "The run" if once else "The median of draws"
    title = f"{what} stays within the error bounds of the checks for {good} of {count} series"
    if later and not once:
        unseen = "that the fit did not use" if fitted else "outside the spans of the checks"
        title += f"; of {later} values {unseen}, {outside} lie outside the band"
    line = (
        f"Line: one draw from the {comparison.source}"
        if once
        else f"Line and band: median and 5–95 % of {drawn_from(comparison)}"
    )
    if comparison.source == "defaults":
        line = "Line: one run with the default values"
    note = f"{line}, under “{comparison.policies[0].name}”. " + (
        "Filled: observed, and used by the fit of the posterior. Hollow: observed, not used by it, "
        "though another series that it used may hold the same."
        if fitted
        else "Filled: observed, in the span that the check compares. Hollow: observed, outside it."
    )
    framed(figure, title, note, (rows, columns), (0.8, 0.15, 0.5, 0.4), (0.72, 0.95))
    save(figure, folder, "history")
    return Picture(
        "history", title, "Model against observed series. " + "; ".join(words) + ".", note
    )
