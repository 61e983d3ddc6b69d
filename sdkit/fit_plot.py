"""Figures of a fit: the model beside its series, and what the data said about each parameter."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from .findings import share as shown
from .fit_words import counted
from .fitting import Findings
from .identifiability import AT, EXCLUDED, excluded
from .plot import (
    BLUE,
    DARK,
    GREY,
    VERMILION,
    Picture,
    framed,
    locator,
    new_figure,
    room,
    save,
    styled,
    tick,
)  # fmt: skip
from .time_units import plain, time_unit

_PROFILES = 24  # parameters shown
_DEEP = 8.0  # fall of a log density at which a profile is cut off
_LARGE = 40.0  # a band that reaches this much further than the data is cut off


def write_fit_figures(findings: Findings, folder: Path) -> dict[str, Picture]:
    """The figures of a fit by kind: series, parameters and profiles."""
    return {
        "series": _series(findings, folder),
        "parameters": _parameters(findings, folder),
        "profiles": _profiles(findings, folder),
    }


@styled
def _series(findings: Findings, folder: Path) -> Picture:
    fit, ahead = findings.fit, findings.forecasts
    clock = time_unit(findings.prepared.model)
    measurements = [
        m
        for m in findings.prepared.measurements.values()
        if m.name in findings.bands or (len(ahead) and (ahead.measurement == m.name).any())
    ]
    columns = min(3, len(measurements))
    rows = -(-len(measurements) // columns)
    figure = new_figure(max(3.2 * columns, 5.5), 2.35 * rows + 0.8)
    axes = figure.subplots(rows, columns, squeeze=False)
    used = {m.name: m.series for m in fit.posterior.measurements}
    table = findings.measurements.set_index("measurement")
    for panel, m in zip(axes.flat, measurements, strict=False):
        note, tops, lows = [], [], [0.0]
        if m.name in used:
            seen, band = used[m.name], findings.bands[m.name]
            _band(panel, seen.time, band, BLUE)
            size = 3.4 if len(seen.time) < 40 else 1.6
            panel.plot(seen.time, seen.value, "o", color=DARK, markersize=size)
            row = table.loc[m.name]
            error = row.median_error
            known = f"median absolute error {shown(error)}, " if error == error else ""
            note.append(f"{known}in band {shown(row.coverage)}")
            lows += [seen.value.min(), np.quantile(band[0], 0.1)]
            tops += [seen.value.max(), np.quantile(band[2], 0.9)]
        own = ahead[ahead.measurement == m.name] if len(ahead) else ahead
        if len(own):
            time = own.time.to_numpy()
            _band(panel, time, own[["low", "median", "high"]].to_numpy().T, VERMILION)
            panel.plot(time, own.observed, "o", markerfacecolor="white", markeredgecolor=DARK,
                       markersize=3.6)  # fmt: skip
            note.append(f"later {int(own.inside.sum())} of {len(own)}")
            tops += [own.observed.max(), min(own.high.max(), _LARGE * own.observed.max())]
            lows += [own.observed.min(), own.low.min()]
        low, top = min(lows), max(tops)
        panel.set_ylim(1.1 * low, top + 0.1 * max(top - low, 1e-300))
        panel.yaxis.set_major_formatter(tick)
        panel.yaxis.set_major_locator(locator(4))
        panel.xaxis.set_major_locator(locator(5, whole=True))
        panel.ticklabel_format(axis="x", useOffset=False)
        panel.set_title("\n".join(textwrap.wrap(m.name, 40)), fontsize=8.5, pad=12)
        panel.text(0, 1.01, "; ".join(note), transform=panel.transAxes, va="bottom", fontsize=7.2,
                   color="#444444")  # fmt: skip
        panel.set_ylabel(m.series.unit, fontsize=7.5)
        panel.set_xlabel(clock.axis, fontsize=7.5)
    for panel in list(axes.flat)[len(measurements) :]:
        panel.set_visible(False)
    share = (table.coverage * table.observations).sum() / table.observations.sum()
    title = f"The 90 % bands hold {shown(share)} of the observations used"
    if len(ahead):
        title += f", and {int(ahead.inside.sum())} of {len(ahead)} that came later"
    note = (
        "Blue: median and 5–95 % of what might be observed, by draws of the posterior. Filled: "
        "observations used."
    )
    if len(ahead):
        note += (
            " Orange: the same for later observations, which the fit did not use; hollow: those "
            f"observations.{_difference(findings)}"
        )
    framed(figure, title, note, (rows, columns), (0.65, 0.15, 0.35, 0.45), (0.65, 0.9))
    save(figure, folder, "series")
    return Picture("series", title, note)


def _difference(findings: Findings) -> str:
    """What the forecasts draw that the band of the observations used does not."""
    prepared = findings.prepared
    held = (prepared.parameters.find(name).name for name in prepared.run.forecast.set)
    known = {p.name for p in prepared.fitted} | {*prepared.set, *held}
    drawn = [p for p in prepared.parameters.sampled if p.name not in known]
    text = ""
    if drawn:
        text = (
            " Orange draws what is outside the fit (constants, switches) from its priors; blue has "
            "it at the model's own values."
        )
    if any(m.correlation_time is not None for m in findings.fit.posterior.measurements):
        text += " Orange goes on from the last residual where residuals are correlated."
    return text


def _band(panel, time: np.ndarray, band: np.ndarray, colour: str) -> None:
    low, middle, high = band
    if len(time) == 1:
        panel.plot([time[0], time[0]], [low[0], high[0]], color=colour, linewidth=4, alpha=0.3)
        panel.plot(time, middle, "_", color=colour, markersize=8)
        return
    panel.fill_between(time, low, high, color=colour, alpha=0.2, linewidth=0)
    panel.plot(time, middle, color=colour, linewidth=1.5)


@styled
def _parameters(findings: Findings, folder: Path) -> Picture:
    """Posterior intervals in the coordinate in which every prior is a standard normal."""
    fit, table = findings.fit, findings.parameters
    flat = fit.chains.flat[:: max(len(fit.chains.flat) // 20000, 1)]
    low, middle, high = np.quantile(flat, (0.05, 0.5, 0.95), axis=0)
    mine = table.index[table["of"] == "model"]
    order = mine[np.argsort(table.narrowing[mine].to_numpy())][::-1]
    labels = [table.parameter[i] for i in order]
    left = room(labels, 7.2) + 0.1
    figure = new_figure(left + 4.6, 0.165 * len(order) + 1.1)
    panel = figure.subplots()
    panel.axvspan(-1.645, 1.645, color="#eeeeee", linewidth=0)
    panel.axvline(0, color=GREY, linewidth=0.6)
    for y, i in enumerate(order):
        weak = "prior-dominated" in table.remark[i]
        colour = GREY if weak else BLUE
        panel.plot([low[i], high[i]], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
        panel.plot(middle[i], y, "o", color="white" if weak else colour, markersize=3.4,
                   markeredgecolor=colour, markeredgewidth=1.0)  # fmt: skip
    panel.set_yticks(range(len(order)), labels, fontsize=7.2)
    panel.set_ylim(-0.7, len(order) - 0.3)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("standard deviations of the prior from its middle", fontsize=7.5)
    weak = int(sum("prior-dominated" in table.remark[i] for i in order))
    title = (
        f"The series narrow {len(order) - weak} of {counted(len(order), 'parameter')} of the model"
    )
    note = (
        "Bars: 5–95 % of the posterior, dots its median; the shade is 5–95 % of the prior. Grey, "
        "hollow: over 90 % of the prior's standard deviation is left. Sorted by what is left."
    )
    framed(figure, title, note, (1, 1), (left, 0.2, 0.15, 0.4))
    save(figure, folder, "parameters")
    return Picture("parameters", title, note)


@styled
def _profiles(findings: Findings, folder: Path) -> Picture:
    """The profiles of the parameters that the series narrow most."""
    posterior, table = findings.fit.posterior, findings.parameters
    mine = table.index[table["of"] == "model"]
    order = mine[np.argsort(table.narrowing[mine].to_numpy(), kind="stable")][:_PROFILES]
    columns = min(4, len(order))
    rows = -(-len(order) // columns)
    figure = new_figure(max(2.1 * columns, 5.5), 1.9 * rows + 0.8)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    values = posterior.values(np.repeat(AT[:, None], len(posterior), axis=1))
    for panel, i in zip(axes.flat, order, strict=False):
        name = table.parameter[i]
        at = np.append(values[name].to_numpy(), table["mode"][i])
        along = np.argsort(at, kind="stable")
        at, fall = at[along], np.minimum(findings.profiles[i], 2 * _DEEP)[along]
        low, high = table.prior_5[i], table.prior_95[i]
        panel.axvspan(low, high, color="#eeeeee", linewidth=0)
        panel.axhline(EXCLUDED, color=VERMILION, linewidth=0.8)
        panel.plot(at, fall, "o-", color=BLUE, markersize=2.6, linewidth=1.2)
        panel.set_ylim(_DEEP, -0.3)
        panel.set_title("\n".join(textwrap.wrap(name, 26)), fontsize=7.6)
        panel.xaxis.set_major_locator(locator(3))
        if np.abs(at).max() >= 1e4:  # a year stays a year
            panel.xaxis.set_major_formatter(tick)
        panel.set_xlabel(plain(table.unit[i]), fontsize=7)
        panel.tick_params(labelsize=7)
    for panel in list(axes.flat)[len(order) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("fall", fontsize=7.5)
    both = sum(all(excluded(findings.profiles[i])) for i in mine)
    one = sum(any(excluded(findings.profiles[i])) for i in mine) - both
    title = (
        f"The series bound {both} of {counted(len(mine), 'parameter')} of the model on both sides, "
        f"{one} on one side"
    )
    note = (
        f"The {f'{len(order)} parameters' if len(order) > 1 else 'parameter'} that the series "
        "narrow most: fall of the log density as one is held and all others follow, its own prior "
        "left out. Shade: 5–95 % of the prior. Below "
        "the orange line (1.92) a value is excluded at 95 %."
    )
    framed(figure, title, note, (rows, columns), (0.5, 0.15, 0.45, 0.45), (0.25, 0.9))
    save(figure, folder, "profiles")
    return Picture("profiles", title, note)
