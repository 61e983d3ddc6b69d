"""Pictures of results: PNG and SVG, the same bytes for the same numbers.

The only module that imports matplotlib. Colours are Okabe and Ito's; no meaning rests on
colour alone: the baseline is dashed and grey, what was not used to set values is hollow.
"""

from __future__ import annotations

import functools
import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from .compare import Comparison, History
from .files import write_text
from .findings import effects, headline, percent, ranked, short, spell, verdict
from .findings import share as share_text
from .observations import log_errors, running_mean
from .outputs import Output

BLUE, VERMILION, GREY, DARK = "#0072B2", "#D55E00", "#8a8a8a", "#333333"
_STYLE = {
    "svg.hashsalt": "sdkit",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "path.simplify": True,
    # Names are text: a dollar in one begins no formula.
    "text.parse_math": False,
}

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Picture:
    """One figure on disk: stem of its file names, what it shows, and a text for those who
    cannot see it."""

    stem: str
    title: str
    alt: str


def styled(draw):
    """`draw` in the house style, which ends with it: the caller's settings stay."""

    @functools.wraps(draw)
    def inside(*arguments):
        import matplotlib

        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            # A box stands for a letter that the font lacks; the SVG has the letter itself.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            return draw(*arguments)

    return inside


def new_figure(width: float, height: float):
    """A figure without a window: no backend is chosen for it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save(figure, folder: Path, stem: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "sdkit"})
    # Letters that no XML may hold, which a name may.
    write_text(folder / f"{stem}.svg", _NO_XML.sub("\N{REPLACEMENT CHARACTER}", drawn.getvalue()))
    figure.savefig(folder / f"{stem}.png", dpi=110, metadata={"Software": "sdkit"})


def tick(value: float, _=None) -> str:
    size = abs(value)
    for limit, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:g}{sign}".replace("-", "−")
    return f"{value:g}".replace("-", "−")


def amount(value: float) -> str:
    """Three digits of a number, large ones shortened as on an axis."""
    return tick(float(f"{value:.3g}"))


def wrapped(text: str, width: int = 34) -> str:
    """A label on lines of at most so many letters."""
    return "\n".join(textwrap.wrap(text, width))


def slug(name: str) -> str:
    """A file name made of a label: letters, digits and hyphens."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).split("-")
    return "-".join(word for word in words if word) or "output"


def write_figures(comparison: Comparison, folder: Path) -> dict[str, list[Picture]]:
    """Every figure of a comparison, by kind: history, fan, tornado, claims."""
    made: dict[str, list[Picture]] = {"history": [], "fan": [], "tornado": [], "claims": []}
    if comparison.histories:
        made["history"].append(_history(comparison, folder))
    if len(comparison.policies) > 1:
        made["fan"] = [_fan(comparison, output, folder) for output in comparison.outputs]
        made["tornado"] = [_tornado(comparison, output, folder) for output in ranked(comparison)]
    if len(comparison.claims_table):
        made["claims"].append(_claims(comparison, folder))
    return made


def _colour(output: Output, row) -> str:
    """By the verdict of the report's table: what is open has no colour of its own."""
    if output.better == "none" or not np.isfinite(row.change):
        return BLUE
    word = verdict(row)
    if word in ("better", "likely better"):
        return BLUE
    return VERMILION if word in ("worse", "likely worse") else DARK


@styled
def _fan(comparison: Comparison, output: Output, folder: Path) -> Picture:
    scenario = comparison.scenarios[0].name
    names = [policy.name for policy in comparison.policies]
    table = comparison.series
    table = table[(table.output == output.name) & (table.scenario == scenario)]
    first = comparison.horizon[0] - 6
    table = table[table.year >= first]
    lines = {name: table[table.policy == name] for name in names}
    base, others = lines[names[0]], names[1:]
    columns = min(5, len(others)) if len(others) != 6 else 3
    rows = -(-len(others) // columns)
    figure = new_figure(max(2.05 * columns, 6.5) + 0.5, 1.55 * rows + 0.75)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    moved = effects(comparison, output).set_index("policy")
    changes = moved.change
    top = max(frame.p95.max() for frame in lines.values())
    bottom = min(frame.p5.min() for frame in lines.values())
    # Limits first, and titles at a fixed height: matplotlib's search for both takes seconds.
    axes.flat[0].set_ylim(min(0.0, bottom), top * 1.12 if top > 0 else 1.0)
    axes.flat[0].set_xlim(first, comparison.horizon[1])
    for panel, name in zip(axes.flat, others, strict=False):
        panel.set_autoscale_on(False)
        frame = lines[name]
        colour = _colour(output, moved.loc[name])
        panel.fill_between(base.year, base.p5, base.p95, color=GREY, alpha=0.22, linewidth=0)
        after = frame[frame.year >= comparison.horizon[0] - 1]
        panel.fill_between(after.year, after.p5, after.p95, color=colour, alpha=0.28, linewidth=0)
        panel.plot(base.year, base["median"], color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
        panel.plot(after.year, after["median"], color=colour, linewidth=1.8)
        panel.set_title("\n".join(textwrap.wrap(name, 27)), fontsize=8, pad=0, y=1.04)
        change = changes[name]
        if np.isfinite(change):
            panel.text(
                0.98, 0.95, f"{percent(change)}", transform=panel.transAxes, ha="right", va="top",
                color=colour, fontsize=8, fontweight="bold",
            )  # fmt: skip
    for number in range(len(others), rows * columns):
        axes.flat[number].set_visible(False)
        axes.flat[number - columns].tick_params(labelbottom=True)
    corner = axes.flat[0]
    middle = comparison.horizon[0] + 5 - comparison.horizon[0] % 5
    corner.set_xticks([y for y in range(middle - 5, comparison.horizon[1] + 1, 5) if y >= first])
    corner.yaxis.set_major_formatter(tick)
    corner.yaxis.set_major_locator(locator(4))
    for row in range(rows):
        axes[row, 0].set_ylabel(output.unit, fontsize=7.5)
    title = headline(comparison, output)
    period = f"{comparison.horizon[0]}–{comparison.horizon[1]}"
    note = (
        f"Solid: median and 5–95 % of draws under the policy. Dashed grey: “{names[0]}”. "
        f"Number: median change over {period}. Scenario “{scenario}”."
    )
    margins = (0.78, 0.15, 0.42, 0.25)
    framed(figure, title, note, (rows, columns), margins, (0.14, 0.4))
    stem = f"fan-{slug(output.name)}"
    save(figure, folder, stem)
    words = "; ".join(f"{n} {percent(changes[n])}" for n in others if np.isfinite(changes[n]))
    alt = f"Fan charts of {output.name} by policy. Median change over {period}: {words}."
    return Picture(stem, title, alt)


def locator(count: int, whole: bool = False):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, integer=whole)


def framed(figure, title: str, note: str, shape=(1, 1), margins=(0.6, 0.2, 0.3, 0.3), gaps=(0, 0)):
    """Title at the top, a note at the foot, and panels between, with all room in inches.

    `shape` is (rows, columns), `margins` left, right, top and bottom of the panels without
    the texts, `gaps` what lies between columns and rows. Automatic layouts take seconds.
    """
    width, height = figure.get_size_inches()
    left, right, top, bottom = margins
    lines, foot = textwrap.wrap(title, int(width * 11)), textwrap.wrap(note, int(width * 16))
    bottom += 0.12 + 0.14 * len(foot)
    top += 0.12 + 0.19 * len(lines)
    # Few rows under a long title would leave panels no room.
    height = max(height, top + bottom + gaps[1] * (shape[0] - 1) + 0.5 * shape[0])
    figure.set_size_inches(width, height)
    figure.text(
        0.12 / width, 1 - 0.08 / height, "\n".join(lines), ha="left", va="top",
        fontsize=10.5, fontweight="bold",
    )  # fmt: skip
    figure.text(
        0.12 / width, 0.07 / height, "\n".join(foot), ha="left", va="bottom",
        fontsize=7.5, color="#444444",
    )  # fmt: skip
    rows, columns = shape
    wide = (width - left - right - gaps[0] * (columns - 1)) / columns
    high = (height - top - bottom - gaps[1] * (rows - 1)) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gaps[0] / wide,
        hspace=gaps[1] / high,
    )


def room(labels: Sequence[str], size: float = 8.5) -> float:
    """Inches that the longest line of these labels takes, about."""
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return 0.2 + longest * size * 0.0083


@styled
def _tornado(comparison: Comparison, output: Output, folder: Path) -> Picture:
    scenario = comparison.scenarios[0].name
    rows = effects(comparison, output, scenario).sort_values(
        "diff_median", ascending=output.better == "higher", kind="stable"
    )
    figure = new_figure(7.6, 0.27 * len(rows) + 1.35)
    axes = figure.subplots()
    y = np.arange(len(rows))
    colours = [_colour(output, row) for row in rows.itertuples()]
    axes.barh(y, rows.diff_median, color=colours, alpha=0.75, height=0.62)
    axes.hlines(y, rows.diff_p5, rows.diff_p95, color=DARK, linewidth=1.1)
    for end in (rows.diff_p5, rows.diff_p95):
        axes.plot(end, y, "|", color=DARK, markersize=6)
    other = [s.name for s in comparison.scenarios[1:]]
    for name in other[:1]:
        second = effects(comparison, output, name).set_index("policy").diff_median
        axes.plot(
            [second[p] for p in rows.policy], y, "D", markerfacecolor="white", markersize=4,
            markeredgecolor=DARK, markeredgewidth=0.9, linestyle="none",
        )  # fmt: skip
    axes.axvline(0, color=DARK, linewidth=0.8)
    axes.set_yticks(y, list(rows.policy))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(tick)
    axes.margins(y=0.02)
    for place, share in zip(y, rows.share_better, strict=True):
        axes.text(1.01, place, share_text(share), transform=axes.get_yaxis_transform(), va="center",
                  fontsize=8)  # fmt: skip
    axes.text(
        1.01, len(rows) - 0.35, "better in", transform=axes.get_yaxis_transform(), va="bottom",
        fontsize=7.5, color="#444444",
    )  # fmt: skip
    how = {"sum": "summed", "mean": "averaged", "last": "at the end"}[output.reduction]
    period = f"{comparison.horizon[0]}–{comparison.horizon[1]}"
    axes.set_xlabel(f"Change from “{comparison.policies[0].name}”, {how}, {period} ({output.unit})")
    title = _tornado_title(output, rows)
    note = f"Bar: median of paired differences; line: 5–95 % of draws. Scenario “{scenario}”"
    note += f"; diamond: median in “{other[0]}”." if other else "."
    framed(figure, title, note, margins=(room(list(rows.policy)), 0.65, 0.3, 0.45))
    stem = f"tornado-{slug(output.name)}"
    save(figure, folder, stem)
    words = "; ".join(
        f"{r.policy} {short(r.diff_median)} ({short(r.diff_p5)} to {short(r.diff_p95)}), better in "
        f"{share_text(r.share_better)}"
        for r in rows.itertuples()
    )
    return Picture(stem, title, f"Bars of the change of {output.name} by policy: {words}.")


def _tornado_title(output: Output, rows) -> str:
    """How many policies do what to an output, in one line."""
    words = [verdict(row) for row in rows.itertuples()]
    counts = [
        (words.count("better"), "improve it in at least 95 % of draws"),
        (words.count("worse"), "worsen it in at least 95 %"),
        (words.count("hardly"), "hardly move it"),
    ]
    told = [f"{count} {text}" for count, text in counts if count]
    return f"{spell(output.name)}: of {len(rows)} policies, " + (
        ", ".join(told) if told else "none has a sure effect"
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
    """Of the values observed after the years used: how many lie outside the band, and how many."""
    seen, low, high = history.series, history.bands[0], history.bands[2]
    years = np.floor(seen.time)
    later = (seen.time >= history.options["to"] + 1) & np.isin(years, history.years)
    at = np.searchsorted(history.years, years[later])
    values = seen.value[later]
    return int(((values < low[at]) | (values > high[at])).sum()), int(later.sum())


@styled
def _history(comparison: Comparison, folder: Path) -> Picture:
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
        used = (seen.time >= row["from"]) & (seen.time < row["to"] + 1)
        panel.plot(seen.time[used], seen.value[used], "o", color=DARK, markersize=3.6)
        panel.plot(
            seen.time[~used], seen.value[~used], "o", markerfacecolor="white",
            markeredgecolor=DARK, markersize=3.6,
        )  # fmt: skip
        if (seen.time >= row["to"] + 1).any():
            panel.axvline(row["to"] + 0.5, color=GREY, linewidth=0.7, linestyle=":")
        inside = np.concatenate([high[keep], seen.value])
        panel.set_ylim(0, inside.max() * 1.1)
        panel.yaxis.set_major_formatter(tick)
        panel.yaxis.set_major_locator(locator(5))
        panel.xaxis.set_major_locator(locator(5, whole=True))
        rms, worst = history_errors(history)
        panel.set_title("\n".join(textwrap.wrap(history.name, 40)), fontsize=8.5, pad=12)
        panel.text(
            0, 1.01, f"rms log error {rms:.2f}, worst year ×{worst:.2f}",
            transform=panel.transAxes, va="bottom", fontsize=7.5, color="#444444",
        )  # fmt: skip
        panel.set_ylabel(seen.unit, fontsize=7.5)
        words.append(f"{history.name}: rms log error {rms:.2f}, worst year off by {worst:.2f}")
    for panel in list(axes.flat)[count:]:
        panel.set_visible(False)
    good = sum(
        history_errors(h)[0] <= h.options.get("rms_log_ratio", 0.35)
        and history_errors(h)[1] <= h.options.get("factor", 2.0)
        for h in comparison.histories
    )
    outside, later = np.sum([_missed(h) for h in comparison.histories], axis=0)
    title = f"The median of draws stays within the error bounds for {good} of {count} series"
    if later:
        title += f"; of {later} later values, not used, {outside} lie outside the band"
    note = (
        "Line and band: median and 5–95 % of draws without a new policy. Filled: observed, used in "
        "setting values. Hollow: observed, not used in setting values."
    )
    framed(figure, title, note, (rows, columns), (0.8, 0.15, 0.5, 0.25), (0.72, 0.75))
    save(figure, folder, "history")
    return Picture("history", title, "Model against observed series. " + "; ".join(words) + ".")


@styled
def _claims(comparison: Comparison, folder: Path) -> Picture:
    table = comparison.claims_table
    overall = table[table.group == "all"]
    texts = {claim.id: claim.claim for claim in comparison.claims}
    labels = [textwrap.wrap(texts[name], 66) for name in overall.id]
    heights = [0.16 * len(label) + 0.1 for label in labels]
    figure = new_figure(9.2, sum(heights) + 1.25)
    axes = figure.subplots()
    y = -np.cumsum([0, *[(a + b) / 2 for a, b in pairwise(heights)]])
    for place, row in zip(y, overall.itertuples(), strict=True):
        mine = table[(table.id == row.id) & ~table.group.isin(["all", "scenario"])]
        if len(mine):
            axes.hlines(place, mine.share.min(), mine.share.max(), color=GREY, linewidth=3)
        colour, fill = (BLUE, BLUE) if row.share >= 0.5 else (VERMILION, "white")
        axes.plot(
            row.share, place, "o", markersize=6.5, color=colour, markerfacecolor=fill,
            markeredgewidth=1.4,
        )  # fmt: skip
        axes.text(
            1.06, place, share_text(row.share), transform=axes.get_yaxis_transform(), va="center",
            fontsize=8,
        )  # fmt: skip
    axes.set_yticks(y, ["\n".join(label) for label in labels], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(y[-1] - heights[-1], heights[0])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("Share of draws in which the claim holds")
    held = int((overall.share >= 0.5).sum())
    title = f"{held} of {len(overall)} claims hold in at least half of the draws"
    note = (
        "Filled: holds in half of the draws or more; hollow: in fewer. Grey: range over the "
        "settings of the switches between rival explanations."
    )
    margins = (room(["\n".join(label) for label in labels], 8), 0.7, 0.2, 0.45)
    framed(figure, title, note, margins=margins)
    save(figure, folder, "claims")
    words = "; ".join(f"{texts[r.id]} {share_text(r.share)}" for r in overall.itertuples())
    return Picture("claims", title, f"Share of draws in which each claim holds. {words}")
