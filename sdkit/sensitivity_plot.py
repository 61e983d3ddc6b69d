"""Figures of a sensitivity study: inputs ranked, over time, by sample size, along their range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .findings import capital
from .plot import (
    BLUE,
    DARK,
    GREY,
    VERMILION,
    Picture,
    amount,
    file_stem,
    framed,
    locator,
    new_figure,
    room,
    save,
    styled,
    tick,
    wrapped,
)  # fmt: skip
from .sensitivity import CHANCE, OUTSIDE, RANKED, Quantity, ranking
from .sensitivity_study import Sensitivity
from .time_units import TimeUnit, plain

_BARS, _LINES, _LINE = 10, 6, 0.2  # inputs a panel, lines a panel, inches a row
_SCALE = {
    "sobol": "share of the variance: total index (bar), alone (dot)",
    "morris": "mean effect over the range",
    "prcc": "partial rank correlation", "srrc": "standardised rank coefficient",
    "pawn": "PAWN index", "rbd-fast": "share of the variance, alone", "delta": "delta",
}  # fmt: skip


_NAMED = {
    "sobol": "total index", "morris": "mean effect", "prcc": "partial rank correlation",
    "srrc": "standardised rank coefficient", "pawn": "PAWN index",
    "rbd-fast": "first-order index", "delta": "delta",
}  # fmt: skip


def write_sensitivity_figures(found: Sensitivity, folder: Path) -> dict[str, list[Picture]]:
    """The figures by kind: ranked, time, looks, along."""
    return {
        "ranked": [_ranked(found, method, folder) for method in found.settled if found.main],
        "time": [p for output in _outputs(found) if (p := _time(found, output, folder))],
        "looks": [_looks(found, method, folder) for method in found.settled
                  if (found.looks.method == method).any()],
        "along": [picture for quantity in found.main
                  if (picture := _along(found, quantity, folder))],
    }  # fmt: skip


def _outputs(found: Sensitivity) -> list[str]:
    return list(dict.fromkeys(q.output for q in found.main))


def label(quantity: Quantity) -> str:
    """A panel's heading: its quantity, of which a title needs the article and it does not."""
    return quantity.title.removeprefix("the ")


def _first(found: Sensitivity, method: str, quantity: Quantity) -> str:
    rows = ranking(found.table, quantity, method)
    rows = rows[~rows.input.isin(["", CHANCE])]
    return rows.input.iloc[0] if len(rows) else ""


@styled
def _ranked(found: Sensitivity, method: str, folder: Path) -> Picture:
    """One panel a main quantity: the first inputs with their intervals."""
    parts = []
    for quantity in found.main:
        rows = ranking(found.table, quantity, method)
        parts.append(rows[rows.input != ""].head(_BARS).iloc[::-1])
    columns = min(2, len(parts))
    lines = -(-len(parts) // columns)
    names = [[wrapped(name) for name in part.input] for part in parts]
    left = room([name for own in names for name in own], 7.4) + 0.1
    deep = max(sum(1 + 0.55 * name.count("\n") for name in own) for own in names)
    figure = new_figure(columns * (left + 2.6) + 0.2, lines * (_LINE * deep + 0.75) + 0.7)
    axes = figure.subplots(lines, columns, squeeze=False)
    dots: list[pd.Series] = []
    for panel, quantity, part, own in zip(axes.flat, found.main, parts, names, strict=False):
        at = np.arange(len(part))
        colours = [GREY if "together" in name or name == CHANCE else BLUE for name in part.input]
        panel.barh(at, part.value, color=colours, height=0.62)
        width = (part.high - part.value).fillna(0.0)
        panel.errorbar(part.value, at, xerr=width, fmt="none", ecolor=DARK, elinewidth=0.8)
        if method == "sobol":
            alone = found.table[
                (found.table["index"] == "first") & (found.table.output == quantity.output)
                & (found.table.policy == quantity.policy) & (found.table["at"] == quantity.at)
            ].set_index("input").value  # fmt: skip
            panel.plot(
                alone[part.input], at, "o", color="white", markeredgecolor=DARK, markersize=4
            )
            dots.append(alone[part.input])
            ends = pd.concat([part.value + width, dots[-1]])
            panel.set_xlim(min(0.0, ends.min() * 1.02), max(1.0, ends.max() * 1.02))
        panel.axvline(0, color=GREY, linewidth=0.6)
        panel.set_yticks(at, own, fontsize=7.4)
        panel.tick_params(axis="y", length=0)
        panel.xaxis.set_major_locator(locator(4))
        panel.xaxis.set_major_formatter(tick)
        panel.set_title(wrapped(label(quantity), 40), fontsize=8.5)
        unit = f" ({part.unit.iloc[0]})" if method == "morris" and len(part) else ""
        panel.set_xlabel(_SCALE[method] + unit, fontsize=7.5)
    for panel in list(axes.flat)[len(parts) :]:
        panel.set_visible(False)
    lead = _lead(found)
    title = capital(f"{_first(found, method, lead)} matters most for {lead.title}")
    if not found.settled[method].stable:
        title += "; the ranking has not settled"
    drawn = max(int((part.input != CHANCE).sum()) for part in parts)
    note = (
        f"{capital(_NAMED[method])}, {found.main[0].at}, {_inputs(drawn)}; lines are 95 % "
        "intervals by resampling."
    )
    shares = [part.value for part in parts] + dots
    if method in ("sobol", "rbd-fast") and not pd.concat(shares).between(0, 1).all():
        note += f" {OUTSIDE}"
    every = {name for part in parts for name in part.input}
    grey = [text for text, there in (
        ("several inputs that vary together", any("together" in name for name in every)),
        ("an input that means nothing, to show what chance gives", CHANCE in every),
    ) if there]  # fmt: skip
    if grey:
        note += f" Grey: {'; '.join(grey)}."
    framed(figure, title, note, (lines, columns), (left, 0.15, 0.45, 0.45), (left + 0.1, 0.95))
    stem = file_stem("ranked", [*found.settled].index(method) + 1, method)
    save(figure, folder, stem)
    return Picture(stem, title, note)


def _lead(found: Sensitivity) -> Quantity:
    """What titles speak of: the effect of the last policy on the first main output."""
    return [q for q in found.main if q.output == found.main[0].output][-1]


def _inputs(count: int) -> str:
    return f"the first {count} inputs" if count > 1 else "the first input"


@styled
def _time(found: Sensitivity, output: str, folder: Path) -> Picture | None:
    """Years by inputs: the ranked index of the first method that has it for years. A year that is
    left out is grey; mean effects, which have units, are shares of the largest of their panel."""
    method, table = found.method, found.table
    years = {f"{year:g}" for year in found.years}
    rows = table[
        (table.method == method) & (table["index"] == RANKED[method]) & (table.output == output)
        & table["at"].isin(years) & (table.input != "")
    ]  # fmt: skip
    if not len(rows):
        return None
    policies = list(dict.fromkeys(q.policy for q in found.main if q.output == output))
    grids = {}
    for policy in policies:
        grid = rows[rows.policy == policy].pivot(index="input", columns="at", values="value")
        if not len(grid):
            continue
        if method == "morris":
            grid = grid / (grid.to_numpy().max() or 1.0)
        grids[policy] = grid.reindex(columns=[f"{year:g}" for year in found.years])
    policies = list(grids)
    if not policies:
        return None
    size = sum(grid.abs().max(axis=1) for grid in grids.values())
    names = list(size.sort_values(ascending=False, kind="stable").index[: _BARS + 2])
    labels = [wrapped(name) for name in names]
    left = room(labels, 7.4) + 0.1
    wide = min(max(2.2, 0.17 * len(found.years)), 5.0)
    deep = sum(1 + 0.55 * name.count("\n") for name in labels)
    figure = new_figure(left + (wide + 0.25) * len(policies) + 0.4, _LINE * 1.1 * deep + 1.75)
    axes = figure.subplots(1, len(policies), squeeze=False, sharey=True)
    signed = method in ("prcc", "srrc")
    for panel, policy in zip(axes.flat, policies, strict=True):
        grid = grids[policy].loc[names].to_numpy()
        panel.set_facecolor("#dddddd")
        shown = panel.imshow(
            np.ma.masked_invalid(grid), aspect="auto", cmap="RdBu" if signed else "Blues",
            vmin=-1.0 if signed else 0.0, vmax=1.0,
            extent=(found.years[0] - 0.5, found.years[-1] + 0.5, len(names) - 0.5, -0.5),
        )  # fmt: skip
        panel.set_yticks(range(len(names)), labels, fontsize=7.4)
        panel.tick_params(length=0)
        panel.xaxis.set_major_locator(locator(4, whole=True))
        panel.set_xlabel(found.clock.axis, fontsize=7.5)
        heading = f"effect of “{policy}”" if policy else "level"
        panel.set_title(wrapped(heading, 26), fontsize=8.5)
    told = grids[policies[-1]].dropna(axis=1, how="all").abs()
    ends = told.columns[[0, -1]]
    begin, end = (told[at].idxmax() for at in ends)
    since, until = (found.clock.at(float(at)) for at in ends)
    what = f"the effect of “{policies[-1]}” on {output}" if policies[-1] else output
    title = f"What matters most for {what}: {end}, both at first ({since}) and at last ({until})"
    if begin != end:
        title = (
            f"What matters most for {what} changes: {begin} at first ({since}), {end} at last "
            f"({until})"
        )
    each = found.clock.word
    note = f"{capital(output)}: {_NAMED[method]}, {each} by {each}; darker is more."
    if method == "morris":
        note += " Shares of the largest mean effect of each panel."
    if any(grid.isna().to_numpy().any() for grid in grids.values()):
        note += " Grey: left out, since the effect has no percentage there."
    framed(figure, title, note, (1, len(policies)), (left, 0.85, 0.45, 0.45), (0.25, 0))
    width, _ = figure.get_size_inches()
    beside = axes[0, -1].get_position()
    where = (1 - 0.7 / width, beside.y0, 0.14 / width, beside.height)
    bar = figure.colorbar(shown, cax=figure.add_axes(where))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=0)
    bar.ax.yaxis.set_major_formatter(tick)
    stem = file_stem("time", _outputs(found).index(output) + 1, output)
    save(figure, folder, stem)
    return Picture(stem, title, note)


@styled
def _looks(found: Sensitivity, method: str, folder: Path) -> Picture:
    """Indices by sample size: do they still move?"""
    looks, drawn = found.looks[found.looks.method == method], 0
    columns = min(3, len(found.main))
    lines = -(-len(found.main) // columns)
    figure = new_figure(3.6 * columns + 0.5, 2.1 * lines + 0.9)
    axes = figure.subplots(lines, columns, squeeze=False)
    for panel, quantity in zip(axes.flat, found.main, strict=False):
        own = looks[
            (looks.output == quantity.output) & (looks.policy == quantity.policy)
            & (looks["at"] == quantity.at)
        ]  # fmt: skip
        own = own[own.unit == own.unit.iloc[-1]] if len(own) else own  # one unit in a line
        names = list(ranking(found.table, quantity, method).input[:_LINES])
        ends: list[tuple[float, str, str, int]] = []
        drawn = max(drawn, len({*names} & {*own.input} - {CHANCE}))
        for number, name in enumerate(names):
            line = own[own.input == name]
            if not len(line):  # it did not vary yet
                continue
            colour = BLUE if number == 0 else VERMILION if number == 1 else GREY
            panel.plot(line.n, line.value, "o-", color=colour, markersize=2.8, linewidth=1.1)
            if number < 2:
                panel.fill_between(line.n, line.low, line.high, color=colour, alpha=0.15,
                                   linewidth=0)  # fmt: skip
                ends.append((float(line.value.iloc[-1]), name, colour, line.n.iloc[-1]))
        _name_ends(panel, ends)
        panel.set_xscale("log", base=2)
        ticks = sorted(own.n.unique())
        panel.set_xticks(ticks, [f"{n:,}" for n in ticks], fontsize=7)
        panel.minorticks_off()
        panel.set_title(wrapped(label(quantity), 42), fontsize=8)
        panel.yaxis.set_major_locator(locator(4))
        panel.yaxis.set_major_formatter(tick)
        panel.tick_params(labelsize=7)
    for panel in list(axes.flat)[len(found.main) :]:
        panel.set_visible(False)
    settled = found.settled[method]
    if np.isfinite(settled.change):
        title = (
            f"{'Settled' if settled.stable else 'Not settled'} at {settled.n:,} base runs: "
            f"doubling moved no index by more than {settled.change:.2f}"
        )
    else:
        title = f"One look at {settled.n:,} base runs: whether the ranking is stable is not known"
    note = (
        f"{capital(_NAMED[method])} of {_inputs(drawn)} by number of base runs, with 95 % "
        f"intervals{' of the first two' if drawn > 2 else ''}"
    )
    if np.isfinite(settled.width):
        note += f"; the widest interval of all is ±{settled.width:.2f}"
        note += " of the largest mean effect" if method == "morris" else ""
    note += "."
    framed(figure, title, note, (lines, columns), (0.45, 1.25, 0.4, 0.3), (1.35, 0.75))
    stem = file_stem("looks", [*found.settled].index(method) + 1, method)
    save(figure, folder, stem)
    return Picture(stem, title, note)


def _name_ends(panel, ends: Sequence[tuple[float, str, str, int]]) -> None:
    """Labels at the ends of lines, apart where the ends are close."""
    low, high = panel.get_ylim()
    close = len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 0.18 * (high - low)
    for value, name, colour, n in ends:
        side = "center"
        if close:
            side = "bottom" if value == max(end[0] for end in ends) else "top"
        panel.text(n, value, f" {wrapped(name, 22)}", color=colour, fontsize=6.8, va=side,
                   clip_on=False)  # fmt: skip


@styled
def _along(found: Sensitivity, quantity: Quantity, folder: Path) -> Picture | None:
    """The quantity along its first inputs."""
    own = [along for along in found.along if along.quantity == quantity]
    if not own:
        return None
    deep = 0.35 if any(along.settings for along in own) else 0.0
    figure = new_figure(2.25 * len(own) + 0.6, 3.0 + deep)
    axes = figure.subplots(1, len(own), squeeze=False, sharey=True)
    for panel, along in zip(axes.flat, own, strict=True):
        rows = along.rows
        if along.settings:
            _settings(panel, rows, along.settings)
        else:
            panel.fill_between(rows["at"], rows.p5, rows.p95, color=BLUE, alpha=0.2, linewidth=0)
            panel.plot(rows["at"], rows["mean"], color=BLUE, linewidth=1.5)
            panel.xaxis.set_major_locator(locator(3))
            panel.xaxis.set_major_formatter(_plain_tick)
        if not (quantity.policy == "" and rows["p5"].min() > 0):
            panel.axhline(0, color=GREY, linewidth=0.6)
        panel.set_title(wrapped(along.input, 28), fontsize=8)
        unit = "" if along.unit in ("", "Dmnl") else f"{along.unit}"
        panel.set_xlabel(unit, fontsize=7.5)
        panel.yaxis.set_major_formatter(_plain_tick if quantity.of_peak_time else tick)
        panel.tick_params(labelsize=7)
    unit = plain(quantity.unit)
    if quantity.of_peak_time:
        unit = found.clock.many if quantity.policy else f"{found.clock.word} of the peak"
    axes[0, 0].set_ylabel(unit, fontsize=7.5)
    first = own[0].rows
    title = (
        f"{capital(quantity.title)}: from {_short(first['mean'].iloc[0], quantity, found.clock)} "
        f"to {_short(first['mean'].iloc[-1], quantity, found.clock)} along {own[0].input}"
    )
    free = found.prepared.run.source == "priors" or found.method in ("sobol", "morris")
    note = "Mean (line) and 5 to 95 % of the runs (shade) along one input, all others varying. " + (
        "" if free else "Inputs of the posterior depend on one another: no partial effect."
    )
    framed(figure, title, note, (1, len(own)), (0.65, 0.15, 0.45, 0.45 + deep), (0.15, 0))
    number = found.main.index(quantity) + 1
    stem = file_stem("along", number, quantity.output)
    save(figure, folder, stem)
    return Picture(stem, title, note)


def _plain_tick(value: float, _=None) -> str:
    """A year stays a year; what is larger is shortened."""
    return tick(value) if abs(value) >= 1e4 else f"{value:g}".replace("-", "−")


def _settings(panel, rows: pd.DataFrame, names: Sequence[str]) -> None:
    at = np.arange(len(rows))
    panel.vlines(at, rows.p5, rows.p95, color=BLUE, alpha=0.3, linewidth=7)
    panel.plot(at, rows["mean"], "o", color=BLUE, markersize=4)
    panel.set_xlim(-0.6, len(rows) - 0.4)
    size = 6.4 if len(names) < 4 else 5.4
    panel.set_xticks(at, [wrapped(name, 36 // len(names)) for name in names], fontsize=size)


def _short(value: float, quantity: Quantity, clock: TimeUnit) -> str:
    """A value with its unit: a date, a length of time, or an amount."""
    if not quantity.of_peak_time:
        return f"{amount(value)} {plain(quantity.unit)}".strip()
    if quantity.policy:
        return f"{amount(value)} {clock.many}"
    return clock.at(round(value, 1))
