"""The figure of the report's section on rival explanations: settings of switches by policies."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .findings import HARDLY, ordered, percent, share
from .outputs import Output
from .plot import (
    BLUE,
    DARK,
    VERMILION,
    Picture,
    file_stem,
    framed,
    new_figure,
    room,
    save,
    styled,
    wrapped,
)
from .rivals import CHANCE, Rivals
from .switches import ENOUGH, meaning, settings

_COLUMNS = 16  # policies a picture
_FEWEST = 3  # switches drawn even where they move nothing
_PALE = 0.05  # the full colour stands for no smaller change than this
_HIGH, _WIDE, _SIZE = 0.225, 0.5, 8.5  # a line and a column in inches, and points of type


@dataclass(frozen=True)
class _Row:
    """A line of the figure: a heading (no cells), or medians of a setting by policy."""

    label: str
    cells: pd.DataFrame | None = None


def write_heatmaps(found: Sequence[Rivals], folder: Path) -> dict[str, list[Picture]]:
    """A figure, or several where policies are many, for each output, by its name."""
    return {
        rivals.output.name: _heatmaps(rivals, folder, number)
        for number, rivals in enumerate(found, 1)
    }


def _heatmaps(rivals: Rivals, folder: Path, place: int = 1) -> list[Picture]:
    """The pictures of one output, the `place`-th of the page."""
    comparison, output = rivals.comparison, rivals.output
    rows, left_out = _rows(rivals)
    cells = pd.concat([row.cells.change_median for row in rows if row.cells is not None], axis=1)
    shown = cells.abs().max(axis=1) >= HARDLY / 2
    shown = shown if shown.any() else ~shown
    policies = [name for name in ordered(comparison, output).policy if shown[name]]
    hidden = [p.name for p in comparison.policies[1:] if p.name not in policies]
    notes = [
        f"Median change of {output.noun}, {output.over(comparison.time, comparison.horizon)}, from "
        f"“{comparison.policies[0].name}” in per cent, draw by draw, scenario "
        f"“{comparison.scenarios[0].name}”. Blue: better; orange: worse; white: no change. Bold: "
        f"a point or more from all draws, {CHANCE}."
    ]
    if any(row.cells is not None and row.cells.draws.iloc[0] < ENOUGH for row in rows):
        notes.append(f"In brackets: fewer than {ENOUGH} draws.")
    for why, names in (
        (f"they move no policy by a point or more, {CHANCE}",
         [name for name in left_out if name not in rivals.untold]),
        ("there are too few draws to say what they do",
         [name for name in left_out if name in rivals.untold]),
    ):  # fmt: skip
        if names:
            notes.append(f"Not drawn, as {why}: {'; '.join(names)}.")
    if hidden:
        notes.append(f"Not drawn, as under 0.5 % in every row: {'; '.join(hidden)}.")
    size = -(-len(policies) // -(-len(policies) // _COLUMNS))
    parts = [policies[i : i + size] for i in range(0, len(policies), size)]
    limit = max(float(cells.loc[policies].abs().max().max()), _PALE)
    pictures = []
    for number, part in enumerate(parts, 1):
        stem = file_stem(f"switches-{place}", number, output.name)
        title = rivals.finding + (f" ({number} of {len(parts)})" if len(parts) > 1 else "")
        pictures.append(_draw(output, rows, part, limit, title, " ".join(notes), folder, stem))
    return pictures


def _rows(rivals: Rivals) -> tuple[list[_Row], list[str]]:
    """Lines from top to bottom, the switch with the largest gap first, and switches left out."""
    # Those that move a policy stand first among the shifts.
    order = list(dict.fromkeys([*(s.switch.name for s in rivals.shifts), *rivals.switches]))
    kept = order[: max(len({shift.switch.name for shift in rivals.moved}), _FEWEST)]
    groups = dict(iter(rivals.table.set_index("policy").groupby(["switch", "setting"])))
    whole = groups["all", ""]
    rows = [_Row(f"All {whole.draws.iloc[0]:,} draws, by weight", whole)]
    for name in kept:
        rows.append(_Row(name))
        switch = rivals.switches[name]
        for setting, weight in zip(settings(switch), switch.weights, strict=True):
            cells = groups[name, f"{setting:g}"]
            if cells.draws.iloc[0]:
                rows.append(_Row(f"{meaning(switch, setting)} ({share(weight)})", cells))
    return rows, order[len(kept) :]


def _mixed(value: float, limit: float, sign: float) -> tuple[float, float, float]:
    """White at nothing, towards blue where `value` is better, towards orange where worse."""
    if not np.isfinite(value) or not limit:
        return (1.0, 1.0, 1.0)
    code = BLUE if value * sign > 0 else VERMILION
    end = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    depth = 0.68 * (abs(value) / limit) ** 0.7
    return tuple(1 - depth * (1 - end))


@styled
def _draw(
    output: Output,
    rows: Sequence[_Row],
    policies: Sequence[str],
    limit: float,
    title: str,
    note: str,
    folder: Path,
    stem: str,
) -> Picture:
    labels = [
        wrapped(row.label, 46 if row.cells is not None else 52, 3).split("\n") for row in rows
    ]
    names = [wrapped(name, 20, 3) for name in policies]
    heights = [_HIGH + 0.145 * (len(lines) - 1) for lines in labels]
    # A little air above each heading and under the line of all draws.
    gaps = [0.09 if row.cells is None else 0.0 for row in rows]
    left = room(["\n".join(lines) for lines in labels], _SIZE) + 0.1
    top = 0.1 + 0.073 * max(len(line) for name in names for line in name.split("\n"))
    body = sum(heights) + sum(gaps)
    width = max(left + _WIDE * len(policies) + 0.15, 6.5)
    head = 0.12 + 0.19 * len(textwrap.wrap(title, int(width * 11)))
    foot = 0.12 + 0.14 * len(textwrap.wrap(note, int(width * 16)))
    figure = new_figure(width, body + top + head + foot + 0.12)
    axes = figure.subplots()
    right = max(width - left - _WIDE * len(policies), 0.15)
    framed(figure, title, note, margins=(left, right, top, 0.12))
    axes.set_xlim(0, len(policies))
    axes.set_ylim(body, 0)
    axes.axis("off")
    for column, name in enumerate(names):
        axes.text(column + 0.5, -0.05, name, rotation=90, ha="center", va="bottom", fontsize=_SIZE,
                  linespacing=0.95)  # fmt: skip
    overall = rows[0].cells
    y, words = 0.0, []
    for row, lines, height, gap in zip(rows, labels, heights, gaps, strict=True):
        y += gap
        heading = row.cells is None
        axes.text(
            -0.12 if not heading else -(left - 0.12) / _WIDE, y + height / 2, "\n".join(lines),
            ha="left" if heading else "right", va="center", fontsize=_SIZE,
            fontweight="bold" if heading or row is rows[0] else "normal", linespacing=0.95,
        )  # fmt: skip
        if heading:
            ends = -(left - 0.12) / _WIDE, len(policies)
            axes.plot(ends, [y, y], color="#cccccc", linewidth=0.6, clip_on=False)
            words.append(f"{row.label}:")
        else:
            cells = row.cells.loc[list(policies)]
            few = cells.draws.iloc[0] < ENOUGH
            colours = [_mixed(v, limit, output.sign) for v in cells.change_median]
            axes.bar(np.arange(len(cells)) + 0.5, height - 0.015, 0.97, y, color=colours,
                     edgecolor="#e4e4e4", linewidth=0.4)  # fmt: skip
            for column, cell in enumerate(cells.itertuples()):
                text = percent(cell.change_median).removesuffix("\u00a0%")
                whole = overall.change_median[cell.Index]
                apart = not cell.median_low <= whole <= cell.median_high
                told = apart and abs(cell.change_median - whole) >= HARDLY
                axes.text(
                    column + 0.5, y + height / 2, f"({text})" if few else text, ha="center",
                    va="center_baseline", fontsize=_SIZE, color=DARK,
                    fontweight="bold" if told and not few else "normal",
                )  # fmt: skip
            numbers = ", ".join(
                f"{name} {percent(value)}" for name, value in cells.change_median.items()
            )
            words.append(f"{row.label}: {numbers}.")
        y += height
    save(figure, folder, stem)
    alt = f"Table of the median change of {output.name} by setting and policy. {' '.join(words)}"
    return Picture(stem, title, alt)
