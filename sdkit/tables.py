"""Series, tables and numbers that stand in files beside a model, as expressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import ModelError
from .ranges import Ranges
from .translate import Definition, external

_TIME = ("name", "time")


def read_table(
    definition: Definition, where: str, ranges: Ranges, path: Path, data: Sequence[Path], name: str
) -> tuple | None:
    """The expression of a definition that takes its values from a file; None for any other.

    What GET DIRECT (or GET XLS) CONSTANTS, LOOKUPS and DATA name is read; a data variable
    without an equation is looked up in `data`. Raises ModelError M119.
    """
    ast = definition.abstract
    kind = type(ast).__name__
    labels = {
        f"axis {n}": [ranges.labels[e] for e in ranges.of(subscript)]
        for n, subscript in enumerate(definition.subscripts)
    }
    root = path.parent
    if kind == "GetConstantsStructure":
        found = external(
            "constant", where, ast.file, ast.tab, ast.cell, labels, root, labels, name
        )  # fmt: skip
        numbers = np.asarray(found, dtype=float)
        if np.isnan(numbers).all():
            raise ModelError("M119", f"{where}: no number at {ast.cell} of {ast.file}")
        if np.isinf(numbers).any():
            raise ModelError("M119", f"{where}: a number at {ast.cell} of {ast.file} is too large")
        if not labels:
            return ("number", float(numbers))
        return ("array", tuple(numbers.ravel().tolist()), numbers.shape)
    if kind == "GetLookupsStructure":
        found = external(
            "lookup", where, ast.file, ast.tab, ast.x_row_or_col, ast.cell, labels, root, labels,
            name,
        )  # fmt: skip
        return ("table array", _tables(found, "interpolate", where), None)
    if kind == "GetDataStructure":
        found = external(
            "data", where, ast.file, ast.tab, ast.time_row_or_col, ast.cell, definition.keyword,
            labels, root, labels, name,
        )  # fmt: skip
        return ("table array", _tables(found, definition.keyword or "interpolate", where), _TIME)
    if kind == "DataStructure":
        if not data:
            raise ModelError("M119", f"{where}: a data variable, and no file of data is given")
        mode = definition.keyword or "interpolate"
        found = external("series", where, name, name, labels, mode, data=data)
        return ("table array", _tables(found, mode, where), _TIME)
    return None


def _tables(found, mode: str, where: str) -> tuple[tuple, ...]:
    """The series of an array (shape: points, then elements) as tables, last axis fastest."""
    x = np.asarray(found[found.dims[0]], dtype=float)
    y = np.asarray(found, dtype=float).reshape(len(x), -1)
    if not len(x) or not np.isfinite(x).all():
        raise ModelError("M119", f"{where}: no points, or points without a number to stand at")
    if np.isinf(y).any():
        raise ModelError("M119", f"{where}: a number is too large")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    twice = x[1:][np.diff(x) == 0]
    if len(twice):
        raise ModelError("M112", f"{where}: x = {twice[0]:g} stands twice in its table")
    tables = []
    for number, column in enumerate(y.T):
        if np.isnan(column).all():
            raise ModelError(
                "M119", f"{where}: no number for its element {number + 1} of {y.shape[1]}"
            )
        # A blank cell is no point; a raw series is missing there all the same.
        there = ~np.isnan(column)
        xs, ys = tuple(x[there].tolist()), tuple(column[there].tolist())
        if len(xs) == 1:  # a table has two points
            xs, ys = (*xs, xs[0] + 1.0), (*ys, math.nan if mode == "raw" else ys[0])
        tables.append((xs, ys, mode))
    return tuple(tables)
