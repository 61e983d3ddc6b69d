"""Arrays from their elements, and from the table of a run of PySD."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from .errors import SimulationError
from .expressions import key, label_key, walk
from .layout import AXES
from .model import Model
from .variables import Variable


def whole(variable: Variable, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """An array from its elements by label, whose own dimensions come first; NaN where none is."""
    if not variable.axes:
        return found[variable.name]
    one = next(found[label] for label in variable.labels if label in found)
    rows = [found.get(label, np.full(one.shape, np.nan)) for label in variable.labels]
    return np.stack(rows, axis=-1).reshape(
        *one.shape, *(len(elements) for _, elements in variable.axes)
    )


def arrays_of(model: Model, frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `translate.run_with_pysd` gives, by variable (shape: times, then its own axes), and the
    times. Raises SimulationError S210 where PySD gives less than the model has."""
    frame = _to_the_end(model, frame)
    columns = {_spelt(name): frame[name] for name in frame}
    arrays, absent = {}, []
    owners = {key(n): v for n, v in model.variables.items()}
    hidden = [name for name in model.variables if name in AXES]
    if hidden:
        warnings.warn(
            f"left out, since results have axes of that name: {', '.join(hidden)}", stacklevel=4
        )
    for variable in model.variables.values():
        if variable.kind == "lookup" or variable.name in hidden:
            continue
        rows = {n: columns.get(_spelt(n)) for n in variable.labels}
        if any(row is None for row in rows.values()):
            rows = _diagonal(variable, columns, owners) or rows
        if any(rows.get(n) is None for n in variable.defined):
            absent.append(variable.name)
            continue
        rows = {n: np.asarray(row, dtype=float) for n, row in rows.items() if row is not None}
        arrays[variable.name] = whole(variable, rows)
    if absent:
        shown = ", ".join(map(repr, absent[:5]))
        raise SimulationError(
            "S210",
            f"{model.name}: PySD gives no value of {shown}, or one of other dimensions than the "
            "model's",
        )
    return arrays, np.asarray(frame.index, dtype=float)


def _to_the_end(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """PySD's table without times behind FINAL TIME, where that is no whole number of steps."""
    times = np.asarray(frame.index, dtype=float)
    ends = [frame[n].iloc[-1] for n in frame if key(n) == "final_time"]
    steps = [frame[n].iloc[-1] for n in frame if key(n) == "time_step"]
    if not ends or not steps or abs(times[-1] - ends[0]) <= 1e-6 * steps[0]:
        return frame
    inside = times <= ends[0] + 1e-6 * steps[0]
    warnings.warn(
        f"{model.name}: FINAL TIME ({ends[0]:g}) is at none of the times that are saved; the last "
        f"of them is {times[inside][-1]:g}",
        stacklevel=5,
    )
    return frame[inside]


def _diagonal(
    variable: Variable, columns: Mapping[str, object], owners: Mapping[str, Variable]
) -> dict[str, object] | None:
    """The elements of an array to which PySD gives one more dimension, that of a range on the
    right side which is mapped to one on the left: of each element the value at the one that it is
    mapped to. None where that is not plain."""
    if not variable.axes or variable.expression[0] != "parts":
        return None
    found: dict[str, object] = {}
    for _, box, expression in variable.expression[1:]:
        turns = {
            f"i{n}": tuple(names[p] for p in at)
            for n, ((_, names), at) in enumerate(zip(variable.axes, box, strict=True), 1)
        }
        read = {  # by loop, the elements that its turns read of another array
            (i[1], tuple(owners[node[1]].axes[n][1][p] for p in i[2]))
            for node in walk(expression) if node[0] == "item" and node[1] in owners
            for n, i in enumerate(node[2]) if i[0] != "at" and i[1] in turns
        }  # fmt: skip
        mapped = [(loop, names) for loop, names in read if names != turns[loop]]
        if len(mapped) != 1:
            return None
        loop, names = mapped[0]
        for place in product(*box):
            own = variable.element(place).name
            at = int(loop[1:]) - 1
            other = names[box[at].index(place[at])]
            column = columns.get(_spelt(f"{own[:-1]},{other}]"))
            if column is None:
                return None
            found[own] = column
    return found


def _spelt(label: str) -> str:
    """A label without quotes, which PySD keeps."""
    return label_key(label.replace('"', ""))
