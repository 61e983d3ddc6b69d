"""Figures of a search for portfolios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .findings import capital, listed
from .optimize_run import label
from .optimize_study import Portfolios
from .outputs import Output
from .plot import (
    BLUE,
    DARK,
    GREY,
    VERMILION,
    Picture,
    amount,
    framed,
    locator,
    new_figure,
    room,
    save,
    styled,
    tick,
    wrapped,
)  # fmt: skip
from .time_units import plain

_LINE = 0.24
_KNOWN = 12  # inputs in the figure of the value of knowing


def write_portfolio_figures(found: Portfolios, folder: Path) -> dict[str, list[Picture]]:
    """The figures by kind: parts, pairs, front, lines, known, timing."""
    made = {
        "parts": [_parts(found, folder)],
        "pairs": [_pairs(found, folder)],
        "front": [_front(found, folder)],
        "lines": [_lines(found, folder)],
        "known": [_known(found, folder)] if found.known.value.any() else [],
        "timing": [_timing(found, folder)] if len(found.timing) else [],
    }
    return {kind: pictures for kind, pictures in made.items() if pictures}


@styled
def _parts(found: Portfolios, folder: Path) -> Picture:
    """Each instrument's part of what the full package changes, for the outputs with a direction."""
    outputs = found.outputs[:3]
    names = list(found.instruments)
    left = room([label(name) for name in names], 8) + 0.1
    figure = new_figure(left + 2.6 * len(outputs) + 0.2, _LINE * max(len(names), 4) + 1.6)
    axes = figure.subplots(1, len(outputs), squeeze=False, sharey=True)
    tables = {o.name: found.parts[found.parts.output == o.name].set_index("instrument")
              for o in outputs}  # fmt: skip
    ordered = tables[outputs[0].name].loc[names]["mean"] * -outputs[0].sign
    order = list(ordered.sort_values(ascending=False).index)
    for panel, output in zip(axes.flat, outputs, strict=True):
        table = tables[output.name].loc[order]
        good = table["mean"] * output.sign >= 0
        at = np.arange(len(order))
        panel.barh(at, table["mean"], color=np.where(good, BLUE, VERMILION), height=0.62)
        error = (table["mean_high"] - table["mean"]).to_numpy()
        panel.errorbar(table["mean"], at, xerr=error, fmt="none", ecolor=DARK, elinewidth=0.9)
        panel.axvline(0, color=GREY, linewidth=0.6)
        panel.set_title(wrapped(output.noun, 34), fontsize=8.5)
        panel.set_xlabel(_scale(found, output), fontsize=7.5)
        panel.xaxis.set_major_formatter(tick)
        panel.xaxis.set_major_locator(locator(4))
    axes[0, 0].set_yticks(range(len(order)), [label(name) for name in order], fontsize=8)
    axes[0, 0].tick_params(axis="y", length=0)
    total = tables[outputs[0].name].loc["all together"]
    best = order[-1]
    part = tables[outputs[0].name].loc[best]
    title = _leading(outputs[0], best, part, total)
    note = (
        "Shapley values over all subsets of instruments at full strength: mean over the draws, "
        "with its 95 % interval. Blue: for the better, orange: for the worse."
    )
    framed(figure, title, note, (1, len(outputs)), (left, 0.2, 0.4, 0.45), (0.25, 0))
    save(figure, folder, "parts")
    return Picture("parts", title, note)


def _leading(output: Output, best: str, part: pd.Series, total: pd.Series) -> str:
    """What the figure of parts says of the instrument that helps most."""
    what, unit = output.noun, plain(output.unit)
    gain, whole = part["mean"] * output.sign, total["mean"] * output.sign
    if not gain > 0:
        return f"No instrument improves {what}"
    if not whole > 0 or not part.share <= 1:
        size = f"{amount(abs(part['mean']))} {unit}".strip()
        return f"{capital(label(best))} improves {what} most, by {size}"
    size = f"{amount(total['mean'])} {unit}".strip()
    return (
        f"{capital(label(best))} accounts for {part.share:.0%} of what all instruments together "
        f"change in {what} ({size})"
    )


def _scale(found: Portfolios, output: Output) -> str:
    """The label of an axis: the unit of an output, and how it is reduced over the horizon."""
    how = output.over(found.clock, found.prepared.run.horizon)
    return ", ".join(filter(None, (plain(output.unit), how)))


def interaction(found: Portfolios, kind: str = "") -> str:
    """The strongest interaction in the first aim, of a kind or of any, that the draws tell from
    none: a sentence; "" if there is none."""
    own = found.pairs[(found.pairs.output == found.first.name) & (found.pairs.kind != "opposed")]
    own = own[((own.mean_low > 0) | (own.mean_high < 0)) & own.kind.str.startswith(kind)]
    if not len(own):
        return ""
    row = own.loc[own["mean"].abs().idxmax()]
    size = f"{amount(abs(row['mean']))} {plain(found.first.unit)}".strip()
    more = "more" if row.kind == "synergy" else "less"
    return (
        f"Strongest {row.kind}: {label(row.one)} and {label(row.other)} together change "
        f"{found.first.noun} by {size} {more} than the sum of what each changes without the "
        "other."
    )


@styled
def _pairs(found: Portfolios, folder: Path) -> Picture:
    """Interactions of two instruments in the first aim, as a triangle."""
    table = found.pairs[found.pairs.output == found.first.name]
    names = list(found.instruments)
    grid = np.full((len(names), len(names)), np.nan)
    for row in table.itertuples():
        i, j = sorted((names.index(row.one), names.index(row.other)))
        grid[j, i] = row.mean
    labels = [label(name) for name in names]
    left = room(labels, 8) + 0.1
    low = 0.075 * max(len(name) for name in labels) + 0.15
    figure = new_figure(left + 0.62 * len(names) + 1.2, 0.34 * len(names) + low + 1.3)
    panel = figure.subplots()
    top = max(float(np.nanmax(np.abs(grid))), 1e-12)
    # Blue is for the better, as everywhere.
    panel.imshow(grid * found.first.sign, cmap="RdBu", vmin=-1.6 * top, vmax=1.6 * top,
                 aspect="auto")  # fmt: skip
    for j in range(len(names)):
        for i in range(j):
            panel.text(i, j, amount(grid[j, i]), ha="center", va="center", fontsize=7)
    panel.set_xticks(range(len(names)), labels, rotation=90, fontsize=8)
    panel.set_yticks(range(len(names)), labels, fontsize=8)
    panel.tick_params(length=0)
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)
    title = interaction(found).rstrip(".") or (
        f"The draws tell no interaction in {found.first.noun} from none"
    )
    note = (
        "What two instruments change together, less the sum of what each changes without the "
        f"other, averaged over what the others do; {_scale(found, found.first)}, mean over the "
        "draws. Blue: for the better."
    )
    framed(figure, title, note, (1, 1), (left, 0.3, 0.25, low))
    save(figure, folder, "pairs")
    return Picture("pairs", title, note)


@styled
def _front(found: Portfolios, folder: Path) -> Picture:
    """All portfolios by the limited output (or the second aim) and the first aim."""
    search, first = found.search, f"{found.first.name}, mean"
    beside = _beside(found)
    judged = found.candidates
    figure = new_figure(7.0, 4.6)
    panel = figure.subplots()
    for own, colour in (
        (search[~search.feasible], "#dddddd"),
        (search[search.feasible], "#b0b0b0"),
    ):
        panel.plot(own[beside], own[first], "o", color=colour, markersize=2)
    front = judged[judged.front]
    panel.plot(front[beside], front[first], "o", color=BLUE, markersize=3.4)
    if found.wanted.limit:
        panel.axvline(found.wanted.limit[1], color=VERMILION, linewidth=0.9)
    shown = judged.loc[found.chosen.portfolio.unique()]
    panel.plot(shown[beside], shown[first], "o", markerfacecolor="white", markeredgecolor=DARK,
               markersize=6)  # fmt: skip
    for number, values in shown.iterrows():
        panel.annotate(f" {number}", (values[beside], values[first]), fontsize=7.5,
                       xytext=(3, 3), textcoords="offset points")  # fmt: skip
    by_name = {o.name: o for o in found.prepared.outputs}
    own, what = beside.rsplit(", ", 1)
    own = by_name[own]
    panel.set_xlabel(f"{own.noun}, {_scale(found, own)}, {what} of the draws", fontsize=8)
    panel.set_ylabel(
        f"{found.first.noun},\n{_scale(found, found.first)}, mean of the draws", fontsize=8
    )
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(tick)
    within = " within the limit" if found.wanted.limit else ""
    title = (
        f"{len(front)} of {len(search):,} portfolios are on the front{within}: no other{within} is "
        "as good in all aims and better in one"
    )
    note = (
        f"Grey: means of {found.wanted.search_draws} draws. Blue: the front, of {len(judged)} "
        "portfolios judged with all draws; aims that are not drawn count too. Hollow: portfolios "
        f"of the table. {_aims(found)} "
        + ("Right of the orange line: above the limit." if found.wanted.limit else "")
    )
    framed(figure, title, note, (1, 1), (0.95, 0.3, 0.2, 0.5))
    save(figure, folder, "front")
    return Picture("front", title, note)


def _aims(found: Portfolios) -> str:
    """By what portfolios on the front are compared, in a sentence."""
    each = [f"{o.noun} ({o.better})" for o in found.outputs]
    own = "each by its" if len(each) > 1 else "by its"
    text = f"Aims: {listed(each)}, {own} mean and its worst tenth of draws"
    if found.wanted.limit:
        limited = next(o for o in found.prepared.outputs if o.name == found.wanted.limit[0])
        text += f"; and a lower mean of {limited.noun}, which is limited"
    return f"{text}."


def _beside(found: Portfolios) -> str:
    """The second axis: what is limited, or another aim, or the first one's worst tenth."""
    if found.wanted.limit:
        return f"{found.wanted.limit[0]}, mean"
    if len(found.outputs) > 1:
        return f"{found.outputs[1].name}, mean"
    return f"{found.first.name}, worst tenth"


@styled
def _lines(found: Portfolios, folder: Path) -> Picture:
    """Parallel coordinates: strengths of the candidates on the front, and what they lead to."""
    table = found.candidates[found.candidates.front]
    aims = [f"{o.name}, mean" for o in found.outputs[:3]]
    if found.wanted.limit and f"{found.wanted.limit[0]}, mean" not in aims:
        aims.append(f"{found.wanted.limit[0]}, mean")
    axes = [*found.instruments, *aims]
    scaled = {}
    for name in axes:
        values = table[name].to_numpy()
        low, high = (0.0, 1.0) if name in found.instruments else (values.min(), values.max())
        scaled[name] = ((values - low) / (high - low if high > low else 1.0), low, high)
    figure = new_figure(0.95 * len(axes) + 0.8, 4.4)
    panel = figure.subplots()
    first = scaled[aims[0]][0]
    rank = first if found.first.better == "lower" else 1 - first
    for i in np.argsort(-rank):
        top = rank[i] < 0.1
        panel.plot(range(len(axes)), [scaled[name][0][i] for name in axes],
                   color=BLUE if top else "#bbbbbb", linewidth=1.2 if top else 0.5,
                   alpha=0.9 if top else 0.6)  # fmt: skip
    for x, name in enumerate(axes):
        panel.axvline(x, color=DARK, linewidth=0.5)
        _, low, high = scaled[name]
        for y, value, side in ((-0.02, low, "top"), (1.02, high, "bottom")):
            panel.text(x, y, amount(value), ha="center", va=side, fontsize=7)
    ends = {f"{o.name}, mean": o.noun for o in found.prepared.outputs}
    names = [ends.get(name, label(name)) for name in axes]
    panel.set_xticks(range(len(axes)), [wrapped(name, 15) for name in names], fontsize=7.4)
    panel.tick_params(length=0, pad=14)
    panel.set_yticks([])
    panel.set_ylim(-0.01, 1.01)
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)
    best = table[rank < 0.1]
    always = [name for name in found.instruments if len(best) and best[name].min() >= 0.5]
    common = "no instrument at half or more"
    if always:
        common = f"at least half of {', '.join(map(label, always))}"
    title = f"What the best portfolios for {found.first.noun} have in common: {common}"
    note = (
        f"One line for each of the {len(table)} portfolios on the front: strengths, then means of "
        f"the draws over the horizon. Blue: the best tenth of the range of {found.first.noun}."
    )
    framed(figure, title, note, (1, 1), (0.4, 0.4, 0.4, 0.95))
    save(figure, folder, "lines")
    return Picture("lines", title, note)


@styled
def _known(found: Portfolios, folder: Path) -> Picture:
    table = found.known.head(_KNOWN).iloc[::-1]
    names = [wrapped(name, 40) for name in table.input]
    left = room([line for name in names for line in name.split("\n")], 8) + 0.1
    figure = new_figure(left + 3.6, _LINE * len(table) + 1.6)
    panel = figure.subplots()
    above = (table.value > found.chance).to_numpy()
    panel.barh(
        np.arange(len(table)), table.value, color=np.where(above, BLUE, "#bbbbbb"), height=0.62
    )
    panel.axvline(found.chance, color=VERMILION, linewidth=0.9)
    panel.axvline(0, color=GREY, linewidth=0.6)
    panel.set_yticks(range(len(table)), names, fontsize=8)
    panel.tick_params(axis="y", length=0)
    panel.xaxis.set_major_formatter(tick)
    panel.xaxis.set_major_locator(locator(4))
    output = found.first
    panel.set_xlabel(_scale(found, output), fontsize=7.5)
    worth = found.known[found.known.value > found.chance]
    if len(worth):
        title = f"Knowing {worth.input.iloc[0]} would change the choice most"
    else:
        title = "Knowing any single input would not change the choice beyond chance"
    size = f"{amount(found.perfect)} {plain(output.unit)}".strip()
    title += f" (knowing all of them: {size})"
    within = " within the limit" if found.wanted.limit else ""
    note = (
        f"By how much {output.noun} would improve, on average, if the input were known before "
        f"a portfolio{within} is chosen. Grey: below the orange line, under which the best of as "
        "many inputs that mean nothing stays in 95 of 100 cases."
    )
    framed(figure, title, note, (1, 1), (left, 0.2, 0.2, 0.45))
    save(figure, folder, "known")
    return Picture("known", title, note)


@styled
def _timing(found: Portfolios, folder: Path) -> Picture:
    output = found.first
    table = found.timing[found.timing.output == output.name].iloc[::-1]
    names = [wrapped(name, 44) for name in table.timing]
    left = room([line for name in names for line in name.split("\n")], 8) + 0.1
    figure = new_figure(left + 3.8, _LINE * len(table) + 1.5)
    panel = figure.subplots()
    at = np.arange(len(table))
    good = (table["mean"] * output.sign > 0).to_numpy()
    panel.barh(at, table["mean"], color=np.where(good, BLUE, VERMILION), height=0.6)
    panel.plot([table.p5, table.p95], [at, at], color=DARK, linewidth=0.8)
    panel.axvline(0, color=GREY, linewidth=0.6)
    panel.set_yticks(at, names, fontsize=8)
    panel.tick_params(axis="y", length=0)
    panel.xaxis.set_major_formatter(tick)
    panel.xaxis.set_major_locator(locator(4))
    panel.set_xlabel(f"{_scale(found, output)}, against all at once", fontsize=7.5)
    title = delay_sentence(found) or f"What the order of instruments changes in {output.noun}"
    note = (
        "Mean over the draws; lines are 5 to 95 % of them. Orange: for the worse, blue: the better."
    )
    framed(figure, title, note, (1, 1), (left, 0.25, 0.2, 0.45))
    save(figure, folder, "timing")
    return Picture("timing", title, note)


def delay_sentence(found: Portfolios) -> str:
    """What the shortest delay costs in the first aim."""
    output = found.first
    own = found.timing[(found.timing.kind == "all") & (found.timing.output == output.name)] \
        if len(found.timing) else pd.DataFrame()  # fmt: skip
    if not len(own):
        return ""
    row = own.iloc[0]
    size = f"{_plus(row['mean'])} {plain(output.unit)}".strip()
    return (
        f"The full package, {row.timing} instead of at once, changes {output.noun} by {size} "
        f"({_plus(row.p5)} to {_plus(row.p95)} in 90 % of the draws)"
    )


def _plus(value: float) -> str:
    return f"+{amount(value)}" if value > 0 else amount(value)
