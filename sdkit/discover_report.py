"""The results of scenario discovery: tables, figures and the page."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from .discover import Limit
from .discover_run import (
    Discovery,
    Found,
    conditions,
    in_words,
    limit_text,
    nothing,
    tree_said,
)
from .files import write_json, write_table, write_text
from .findings import share
from .origins import origin_of
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
)  # fmt: skip
from .report import page, weaknesses_of
from .streams import generator

_POINTS = 1500  # draws in a scatter
COLUMNS = (
    "case", "failures", "box", "input", "low", "high", "settings", "chance", "coverage", "density",
    "mass", "coverage_found", "density_found",
)  # fmt: skip

TREES = ("case", "where", "density", "coverage", "draws", "density_found", "coverage_found")
SPLITS = ("case", "where", "input", "at", "more_failures", "chance", "survives")


def write_discovery(found: Discovery, stage: Path) -> None:
    """Every result into `stage`: the tracked summary, and the rest under out/."""
    out = stage / "out"
    rows = [row for one in found.found for row in _rows(one)]
    write_table(stage / "summary.csv", COLUMNS, rows)
    leaves = [
        (one.case.sentence, conditions(b.leaf.conditions, found), b.density, b.coverage, b.draws,
         b.density_grown, b.coverage_grown)
        for one in found.found
        for b in one.leaves
    ]  # fmt: skip
    write_table(out / "trees.csv", TREES, leaves)
    splits = [
        (one.case.sentence, conditions(s.conditions, found), s.input, s.at,
         "below" if s.side == "<=" else "above", s.chance, s.survives)
        for one in found.found
        for s in one.splits
    ]  # fmt: skip
    write_table(out / "splits.csv", SPLITS, splits)
    write_json(stage / "record.json", found.prepared.record)
    run = found.prepared.run
    text = page(
        "discover.html",
        out / "figures",
        d=found,
        run=run,
        name=run.folder.resolve().name,
        short=[in_words(one, found) for one in found.found],
        cases=[_shown(one, found, i, out / "figures") for i, one in enumerate(found.found, 1)],
        origin=origin_of(found.prepared),
        weaknesses=weaknesses_of(found.prepared.model.path.parent),
        record=found.prepared.record,
    )
    write_text(out / "report.html", text)


def _rows(one: Found) -> list[tuple]:
    """One row a limit; a case without a box has one row."""
    head = (one.case.sentence, one.rate)
    rows = []
    for number, (before, box) in enumerate(one.boxes, 1):
        for name, limit in box.limits.items():
            settings = "" if limit.settings is None else " ".join(f"{s:g}" for s in limit.settings)
            ends = (end if np.isfinite(end) else np.nan for end in (limit.low, limit.high))
            rows.append((*head, number, name, *ends, settings, box.chance[name], box.coverage,
                         box.density, box.mass, before.coverage, before.density))  # fmt: skip
    return rows or [(*head, 0, "", *[np.nan] * 2, "", *[np.nan] * 6)]


def _shown(one: Found, found: Discovery, number: int, folder: Path) -> dict:
    boxes = [
        {
            "limits": [
                (limit_text(name, limit, found), box.chance[name])
                for name, limit in box.limits.items()
            ],
            "coverage": box.coverage, "density": box.density, "mass": box.mass,
            "before": before.density,
        }
        for before, box in one.boxes
    ]  # fmt: skip
    return {
        "case": one.case,
        "rate": one.rate,
        "boxes": boxes,
        "nothing": nothing(one),
        "tree": tree_said(one),
        "leaves": [(conditions(b.leaf.conditions, found), b) for b in one.leaves],
        "picture": _picture(one, found, number, folder) if one.boxes else None,
    }


@styled
def _picture(one: Found, found: Discovery, number: int, folder: Path) -> Picture:
    """The trajectory to the first box, its limits within the ranges of the draws, and the draws by
    the two inputs that matter most to it."""
    before, box = one.boxes[0]
    names = list(box.limits)
    labels = ["\n".join(textwrap.wrap(name, 26)) for name in names]
    wide = room(labels, 7.4) + 0.2
    figure = new_figure(8.6 + wide, 3.5)
    axes = figure.subplots(1, 3)
    path = one.paths[0]
    axes[0].plot([b.coverage for b in path], [b.density for b in path], "o-", color=GREY,
                 markersize=2.6, linewidth=0.9)  # fmt: skip
    axes[0].plot(before.coverage, before.density, "o", color=BLUE, markersize=6)
    axes[0].plot(box.coverage, box.density, "o", markerfacecolor="white", markeredgecolor=BLUE,
                 markersize=6)  # fmt: skip
    axes[0].set_xlim(0, 1.03)
    axes[0].set_ylim(0, 1.03)
    axes[0].set_xlabel("coverage: share of failures inside", fontsize=7.5)
    axes[0].set_ylabel("density: failures among what is inside", fontsize=7.5)
    axes[0].set_title("From all futures to a box", fontsize=8.5)
    for y, name in enumerate(reversed(names)):
        low, high = _span(found.x[name], box.limits[name])
        axes[1].plot([0, 1], [y, y], color="#dddddd", linewidth=7, solid_capstyle="butt")
        for a, b in zip(low, high, strict=True):
            axes[1].plot([a, b], [y, y], color=BLUE, linewidth=7, solid_capstyle="butt")
    axes[1].set_yticks(range(len(names)), labels[::-1], fontsize=7.4)
    axes[1].set_ylim(-0.8, len(names) - 0.2)
    axes[1].set_xlim(0, 1)
    axes[1].tick_params(axis="y", length=0)
    axes[1].set_xlabel("share of the draws below", fontsize=7.5)
    axes[1].set_title("What the box asks", fontsize=8.5)
    _scatter(axes[2], one, found, names)
    size = np.array([0.62, wide])
    title = (
        f"“{one.case.policy}” fails in {share(box.density)} of the futures in the box, against "
        f"{share(one.rate)} of all"
    )
    note = (
        f"{one.case.sentence}. Blue dot: the box on the draws that found it; hollow dot: on the "
        "draws that did not. Right: orange marks failures."
    )
    framed(figure, title, note, (1, 3), (float(size[0]), 0.15, 0.4, 0.45), (wide + 0.15, 0))
    stem = f"box-{number}"
    save(figure, folder, stem)
    return Picture(stem, title, note)


def _span(column: pd.Series, limit: Limit) -> tuple[list[float], list[float]]:
    """Where a limit lies among the draws, as shares of them."""
    values = column.to_numpy()
    if limit.settings is None:
        return [float((values < limit.low).mean())], [float((values <= limit.high).mean())]
    return (
        [float((values < s).mean()) for s in limit.settings],
        [float((values <= s).mean()) for s in limit.settings],
    )


def _scatter(panel, one: Found, found: Discovery, names: list[str]) -> None:
    box = one.boxes[0][1]
    ordered = sorted(names, key=lambda name: box.chance[name])[:2]
    rows = np.flatnonzero(~found.half)[:_POINTS]
    points = []
    for name in ordered:
        values = found.x[name].to_numpy()[rows]
        if name in found.switches:
            values = values + generator(0, name, "apart").uniform(-0.3, 0.3, len(values))
        points.append(values)
    if len(points) == 1:
        points.append(generator(0, ordered[0], "height").uniform(0, 1, len(rows)))
    failed = one.y[rows]
    for mask, colour, size in ((~failed, "#bbbbbb", 1.6), (failed, VERMILION, 2.6)):
        panel.plot(points[0][mask], points[1][mask], "o", color=colour, markersize=size,
                   markeredgewidth=0)  # fmt: skip
    panel.set_xlabel(ordered[0], fontsize=7.5)
    panel.set_ylabel(ordered[1] if len(ordered) > 1 else "", fontsize=7.5)
    for name, axis in zip(ordered, (panel.xaxis, panel.yaxis), strict=False):
        axis.set_major_locator(locator(4, whole=name in found.switches))
    for name, line in zip(ordered, (panel.axvline, panel.axhline), strict=False):
        limit = box.limits[name]
        for end in (limit.low, limit.high):
            if np.isfinite(end):
                line(end, color=DARK, linewidth=0.8)
    panel.set_title("The draws that did not find it", fontsize=8.5)
