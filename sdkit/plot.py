"""Pictures of results: PNG and SVG, the same bytes for the same numbers.

The only module that imports matplotlib. Colours are Okabe and Ito's; no meaning rests on
colour alone: the baseline is dashed and grey, what a fit has not seen is hollow.
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

from .claims import by_setting
from .compare import Comparison
from .files import write_text
from .findings import (
    better_in,
    changed_by,
    effects,
    headline,
    ordered,
    percent,
    ranked,
    short,
    spell,
    verdict,
)
from .findings import share as share_text
from .outputs import Output
from .progress import tell
from .switches import ENOUGH
from .time_units import plain

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
    note: str = ""


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
    tell(f"drawing {stem}")
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


def wrapped(text: str, width: int = 34, lines: int | None = None) -> str:
    """A label on lines of at most so many letters; cut with an ellipsis after so many `lines`."""
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder="…"))


def file_stem(kind: str, number: int, name: str) -> str:
    """The name of a figure's files, without their ending: its kind, its place among those of its
    kind (from 1), and some of the label that it shows.

    The place alone keeps two figures apart, also where a file system folds case: labels may
    differ in other letters than ASCII's, in case, or after the fortieth letter.
    """
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()
    return "-".join([kind, str(number), *"-".join(words)[:40].strip("-").split("-")]).strip("-")


def time_axis(axis, width: float, last: float) -> None:
    """Ticks at whole units of time, as many as labels up to `last` fit into `width` inches."""
    letters = len(f"{last:.0f}")
    axis.set_major_locator(locator(max(int(width / (0.24 + 0.085 * letters)), 1), whole=True))
    axis.set_major_formatter(lambda value, _=None: f"{value:.10g}".replace("-", "−"))


def drawn_from(comparison: Comparison) -> str:
    """ "1,024 draws from the posterior"."""
    return f"{len(comparison.draws):,} draws from the {comparison.source}"


def write_figures(comparison: Comparison, folder: Path) -> dict[str, list[Picture]]:
    """The figures of a comparison's results, by kind: fan, tornado, claims."""
    made: dict[str, list[Picture]] = {"fan": [], "tornado": [], "claims": []}
    if len(comparison.policies) > 1:
        for kind, draw, outputs in (
            ("fan", _fan, comparison.outputs),
            ("tornado", _tornado, ranked(comparison)),
        ):
            made[kind] = [
                draw(comparison, output, folder, file_stem(kind, number, output.name))
                for number, output in enumerate(outputs, 1)
            ]
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
def _fan(comparison: Comparison, output: Output, folder: Path, stem: str) -> Picture:
    scenario = comparison.scenarios[0].name
    names = [policy.name for policy in comparison.policies]
    table = comparison.series
    table = table[(table.output == output.name) & (table.scenario == scenario)]
    begin, end = comparison.horizon
    first = max(begin - max(6, round(0.4 * (end - begin))), table.time.min())
    table = table[table.time >= first]
    lines = {name: table[table.policy == name] for name in names}
    base, others = lines[names[0]], names[1:]
    columns = min(5, len(others)) if len(others) != 6 else 3
    rows = -(-len(others) // columns)
    figure = new_figure(max(2.05 * columns, 6.5) + 0.5, 1.55 * rows + 0.75)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    moved = effects(comparison, output).set_index("policy")
    changes = {name: changed_by(row, output) for name, row in moved.iterrows()}
    top = max(frame.p95.max() for frame in lines.values())
    bottom = min(frame.p5.min() for frame in lines.values())
    # Limits first, and titles at a fixed height: matplotlib's search for both takes seconds.
    axes.flat[0].set_ylim(min(0.0, bottom), top * 1.12 if top > 0 else 1.0)
    axes.flat[0].set_xlim(first, end if end > first else first + 1)
    titles = [wrapped(name, 27, 3) for name in others]
    height = 0.155 + 0.125 * max(title.count("\n") + 1 for title in titles)
    for panel, name, title in zip(axes.flat, others, titles, strict=False):
        panel.set_autoscale_on(False)
        frame = lines[name]
        colour = _colour(output, moved.loc[name])
        after = frame[frame.time >= begin - 1]
        if not comparison.once:
            panel.fill_between(base.time, base.p5, base.p95, color=GREY, alpha=0.22, linewidth=0)
            panel.fill_between(
                after.time, after.p5, after.p95, color=colour, alpha=0.28, linewidth=0
            )
        panel.plot(base.time, base["median"], color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
        panel.plot(after.time, after["median"], color=colour, linewidth=1.8)
        panel.set_title(title, fontsize=8, pad=0, y=1.04)
        panel.text(
            0.98, 0.95, wrapped(changes[name], 22, 2), transform=panel.transAxes, ha="right",
            va="top", color=colour, fontsize=8, fontweight="bold",
        )  # fmt: skip
    for panel in axes[-1]:
        panel.set_xlabel(comparison.time.axis, fontsize=7.5, labelpad=1)
    for number in range(len(others), rows * columns):
        axes.flat[number].set_visible(False)
        axes.flat[number - columns].tick_params(labelbottom=True)
        axes.flat[number - columns].set_xlabel(comparison.time.axis, fontsize=7.5, labelpad=1)
    corner = axes.flat[0]
    # A label at the end of a panel stays clear of one at the beginning of the next.
    apart = 0.06 + 0.08 * len(str(end))
    wide = (figure.get_size_inches()[0] - 0.93 - apart * (columns - 1)) / columns
    time_axis(corner.xaxis, wide, end)
    corner.yaxis.set_major_formatter(tick)
    corner.yaxis.set_major_locator(locator(4))
    for row in range(rows):
        axes[row, 0].set_ylabel(wrapped(output.running(comparison.time), 24, 2), fontsize=7.5)
    title = headline(comparison, output)
    what = f"change of {output.noun}, {output.over(comparison.time, comparison.horizon)}"
    if comparison.once:
        solid, change = "one run with the default values", what
    else:
        solid, change = f"median and 5–95 % of {drawn_from(comparison)}", f"median {what}"
    if comparison.once and comparison.source != "defaults":
        solid = f"one draw from the {comparison.source}"
    note = (
        f"Solid: {solid}, under the policy. Dashed grey: “{names[0]}”. "
        f"Number: {change}. Scenario “{scenario}”."
    )
    partial = len(others) < rows * columns
    gap = height + 0.07 + (0.3 if partial else 0.0)
    framed(
        figure,
        title,
        note,
        (rows, columns),
        (0.78, apart / 2 + 0.02, height + 0.05, 0.42),
        (apart, gap),
        1.0,
    )
    save(figure, folder, stem)
    words = "; ".join(f"{n} {changes[n]}" for n in others)
    kind = "Lines" if comparison.once else "Fan charts"
    alt = f"{kind} of {output.name} by policy. {spell(change)}: {words}."
    return Picture(stem, title, alt)


def locator(count: int, whole: bool = False):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, integer=whole)


def framed(
    figure,
    title: str,
    note: str,
    shape=(1, 1),
    margins=(0.6, 0.2, 0.3, 0.3),
    gaps=(0, 0),
    least=0.5,
):
    """Title at the top, a note at the foot, and panels between, with all room in inches.

    `shape` is (rows, columns), `margins` left, right, top and bottom of the panels without
    the texts, `gaps` what lies between columns and rows, `least` the height that a panel needs.
    Automatic layouts take seconds.
    """
    width, height = figure.get_size_inches()
    left, right, top, bottom = margins
    lines = wrapped(title, int(width * 11), 5).split("\n")
    foot = textwrap.wrap(note, int(width * 16))
    bottom += 0.12 + 0.14 * len(foot)
    top += 0.12 + 0.19 * len(lines)
    # Few rows under a long title would leave panels no room.
    height = max(height, top + bottom + gaps[1] * (shape[0] - 1) + least * shape[0])
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
def _tornado(comparison: Comparison, output: Output, folder: Path, stem: str) -> Picture:
    scenario, once = comparison.scenarios[0].name, comparison.once
    rows = ordered(comparison, output, scenario)[::-1]  # the best at the top
    labels = [wrapped(name, 44, 2) for name in rows.policy]
    figure = new_figure(7.9, 0.27 * len(rows) + 1.35)
    axes = figure.subplots()
    y = np.arange(len(rows))
    colours = [_colour(output, row) for row in rows.itertuples()]
    axes.barh(y, 100 * rows.change, color=colours, alpha=0.75, height=0.62)
    if not once:
        axes.hlines(y, 100 * rows.low, 100 * rows.high, color=DARK, linewidth=1.1)
        for end in (rows.low, rows.high):
            axes.plot(100 * end, y, "|", color=DARK, markersize=6)
    other = [s.name for s in comparison.scenarios[1:]]
    for name in other[:1]:
        second = effects(comparison, output, name).set_index("policy").change
        axes.plot(
            [100 * second[p] for p in rows.policy], y, "D", markerfacecolor="white", markersize=4,
            markeredgecolor=DARK, markeredgewidth=0.9, linestyle="none",
        )  # fmt: skip
    axes.axvline(0, color=DARK, linewidth=0.8)
    axes.set_yticks(y, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(tick)
    axes.xaxis.set_major_locator(locator(5))
    axes.margins(y=0.02)
    # Beside the bars the change in the output's own unit, and how sure its direction is.
    columns = {", ".join(filter(None, ("change", plain(output.unit)))): [
        short(value).replace("-", "−") for value in rows.diff_median
    ]}  # fmt: skip
    if not once:
        columns["better in"] = [better_in(row) for row in rows.itertuples()]
    beside, right = 0.1, 0.15
    for head, cells in columns.items():
        head = wrapped(head, 16, 2)
        for place, cell in zip([*y, len(rows) - 0.35], [*cells, head], strict=True):
            axes.annotate(
                cell, (1, place), (72 * beside, 0), xycoords=axes.get_yaxis_transform(),
                textcoords="offset points", va="bottom" if cell is head else "center",
                fontsize=7.5 if cell is head else 8, color="#444444" if cell is head else "black",
            )  # fmt: skip
        beside += room([*cells, head], 8)
    base = wrapped(comparison.policies[0].name, 40, 1)
    axes.set_xlabel(
        wrapped(f"Change of {output.noun} from “{base}”, "
                f"{output.over(comparison.time, comparison.horizon)} (%)", 80, 3)
    )  # fmt: skip
    title = _tornado_title(output, rows, once)
    note = "Bar and number beside it: "
    note += (
        "change between two runs."
        if once
        else (
            f"medians of the change within each of {drawn_from(comparison)}; line: 5–95 % of draws."
        )
    )
    note += f" Scenario “{scenario}”"
    note += f"; diamond: {'' if once else 'median '}in “{other[0]}”." if other else "."
    below = 0.3 + 0.15 * len(axes.get_xlabel().split("\n"))
    heads = max(head.count("\n") for head in (wrapped(h, 16, 2) for h in columns))
    framed(figure, title, note, margins=(room(labels), beside + right, 0.3 + 0.12 * heads, below))
    save(figure, folder, stem)
    words = "; ".join(
        f"{r.policy} {percent(r.change)}"
        + ("" if once else f" ({percent(r.low)} to {percent(r.high)})")
        + (f", better in {better_in(r)}" if better_in(r) and not once else "")
        for r in rows[::-1].itertuples()
    )
    return Picture(stem, title, f"Bars of the change of {output.name} by policy: {words}.")


def _tornado_title(output: Output, rows, once: bool) -> str:
    """How many policies do what to an output, in one line."""
    words = [verdict(row) for row in rows.itertuples()]
    better, worse, hardly = (words.count(word) for word in ("better", "worse", "hardly"))
    counts = [
        (better, f"improve{'s' * (better == 1)} it" + " in at least 95 % of draws" * (not once)),
        (worse, f"worsen{'s' * (worse == 1)} it" + " in at least 95 %" * (not once)),
        (hardly, f"hardly move{'s' * (hardly == 1)} it"),
    ]
    told = [f"{count} {text}" for count, text in counts if count]
    return f"{spell(output.name)}: of {len(rows)} policies, " + (
        ", ".join(told) if told else "none has a sure effect"
    )


@styled
def _claims(comparison: Comparison, folder: Path) -> Picture:
    table = comparison.claims_table
    overall, settings = table[table.group == "all"], by_setting(table)
    texts = {claim.id: claim.claim for claim in comparison.claims}
    labels = [textwrap.wrap(texts[name], 66) for name in overall.id]
    heights = [0.16 * len(label) + 0.1 for label in labels]
    figure = new_figure(9.2, sum(heights) + 1.25)
    axes = figure.subplots()
    y = -np.cumsum([0, *[(a + b) / 2 for a, b in pairwise(heights)]])
    for place, row in zip(y, overall.itertuples(), strict=True):
        mine = settings[settings.id == row.id]
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
    # One draw holds once a scenario.
    of = "scenarios" if comparison.once else "draws"
    pooled = ", over all scenarios" * (len(comparison.scenarios) > 1 and not comparison.once)
    axes.set_xlabel(f"Share of {of} in which the claim holds{pooled}")
    held = int((overall.share >= 0.5).sum())
    hold = "holds" if held == 1 else "hold"
    title = f"{held} of {len(overall)} claims {hold} in at least half of the {of}{pooled}"
    note = f"Filled: holds in half of the {of} or more; hollow: in fewer."
    if len(settings):
        note += f" Grey: range over the settings of switches with {ENOUGH} draws or more."
    margins = (room(["\n".join(label) for label in labels], 8), 0.7, 0.2, 0.45)
    framed(figure, title, note, margins=margins)
    save(figure, folder, "claims")
    words = "; ".join(f"{texts[r.id]} {share_text(r.share)}" for r in overall.itertuples())
    return Picture("claims", title, f"Share of {of} in which each claim holds{pooled}. {words}")
