"""Observed series, and how far a model is from them.

Series stand in data/*.csv of a model, or of several (`data_folder`): series, time, value, unit,
status, source. A year's value is a mean over the year (for a flow a year that is its sum), a
fiscal year's runs from October of the year before to September. A month's value is the mean over
the month that holds its time (the middle of the month, as a decimal year), flows as a rate a year.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from .errors import RunError
from .files import near, number, read_rows
from .model import Model, holds_model

COLUMNS = ("series", "time", "value", "unit", "status", "source")
# How long before its calendar year the first period of a year begins; None for no period.
REDUCTIONS = {"year": 0.0, "fiscal year": -0.25, "month": 0.0, "point": None}


def same_unit(series: Series, unit: str, where: str) -> None:
    """Refuse a series in another unit than that of the variable that it measures (R419)."""
    if series.unit != unit:
        raise RunError(
            "R419", f"{where}: {series.name!r} is in {series.unit!r}, the variable in {unit!r}"
        )


@dataclass(frozen=True)
class Series:
    """One observed series: times in years, ascending, and values in `unit`."""

    name: str
    time: np.ndarray
    value: np.ndarray
    unit: str
    sources: tuple[str, ...]

    def __repr__(self) -> str:
        count = f"{len(self.time)} values"
        span = f" from {self.time[0]:g} to {self.time[-1]:g}" if len(self.time) else ""
        return f"Series({self.name!r}: {count}{span}, {self.unit or 'no unit'})"

    def between(self, first: float, last: float) -> Series:
        keep = (self.time >= first) & (self.time <= last)
        return replace(self, time=self.time[keep], value=self.value[keep])


def data_folder(folder: Path) -> Path:
    """The folder with the series of the model in `folder`: its own data/ or, where it has none,
    the data/ beside it in models/, which the models there share. A models/data that holds a model
    is a model like others, and nothing is read from it."""
    own, beside = folder / "data", Path(os.path.abspath(folder)).parent
    shared = beside / "data"
    if own.is_dir() or beside.name != "models" or not shared.is_dir() or holds_model(shared):
        return own
    return near(shared)


def series_of(model: Model) -> dict[str, Series]:
    """The series that a model may be held against, by name, as `read_series` reads them."""
    return read_series(data_folder(model.path.parent), model.read)


def read_series(folder: Path, others: Collection[Path] = ()) -> dict[str, Series]:
    """Every series of a data folder by name; RunError R406 where a cell is no number, R412 where a
    series has two values at one time, R426 for a link out of the folder above. `status` and
    `source` are for readers only. `others` are files that hold something else, as those that a
    model's equations read do."""
    apart = {path.resolve() for path in others}
    rows: dict[str, list] = {}
    for path in sorted(folder.glob("*.csv")):
        if path.name == "sources.csv" or path.resolve() in apart:
            continue
        if not path.resolve().is_relative_to(folder.parent.resolve()):
            outside = f"outside the folder that holds {folder.name}"
            raise RunError("R426", f"{path} is a link to a place {outside}")
        for line, row in read_rows(path, COLUMNS):
            time = number(path, line, "time", row["time"])
            value = number(path, line, "value", row["value"])
            rows.setdefault(row["series"], []).append(
                (time, value, row["unit"], row["source"], path, line)
            )
    series = {}
    for name, cells in rows.items():
        cells.sort(key=lambda cell: cell[0])
        for before, after in pairwise(cells):
            if before[0] == after[0]:
                raise RunError(
                    "R412", f"{after[4]}, line {after[5]}: {name!r} has two values at {after[0]:g}"
                )
        series[name] = Series(
            name,
            np.array([cell[0] for cell in cells]),
            np.array([cell[1] for cell in cells]),
            cells[0][2],
            tuple(sorted({cell[3] for cell in cells})),
        )
    return series


def calendar_years(series: Series) -> Series:
    """The calendar years of a monthly series of which all twelve months are known, averaged."""
    years = np.floor(series.time + 0.001)
    whole = np.array([y for y in np.unique(years) if (years == y).sum() == 12])
    means = np.array([series.value[years == y].mean() for y in whole])
    return replace(series, time=whole, value=means)


def periods(when: np.ndarray, reduction: str) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of the time that each value of a series stands for; alike for a point."""
    if reduction == "month":
        # A hundredth of a month, for times that are written with few digits.
        first = np.floor(12 * when + 0.01) / 12
        return first, first + 1 / 12
    shift = REDUCTIONS[reduction]
    if shift is None:
        return when, when
    first = np.floor(when) + shift
    return first, first + 1


def at_observations(
    times: np.ndarray, values: np.ndarray, when: np.ndarray, reduction: str
) -> np.ndarray:
    """What a model says at the times `when` of a series.

    `values` (time, ...) are values at `times`; a year's is the mean by the trapezoidal rule
    from its first to its last day, a month's likewise. Times that the run does not reach
    give NaN.
    """
    flat = values.reshape(len(times), -1)
    result = np.full((len(when), flat.shape[1]), np.nan)
    first, last = periods(when, reduction)
    inside = (first >= times[0] - 1e-9) & (last <= times[-1] + 1e-9)
    for column in range(flat.shape[1]):
        if reduction == "point":
            result[inside, column] = np.interp(when[inside], times, flat[:, column])
        else:
            total = _integral(times, flat[:, column], np.array([first[inside], last[inside]]))
            result[inside, column] = (total[1] - total[0]) / (last - first)[inside]
    return result.reshape(len(when), *values.shape[1:])


def _integral(times: np.ndarray, values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The integral from the first time to each of `ends`, values linear between times."""
    steps = np.diff(times)
    known = np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * steps)])
    at = np.clip(np.searchsorted(times, ends, side="right") - 1, 0, max(len(times) - 2, 0))
    return known[at] + (values[at] + np.interp(ends, times, values)) / 2 * (ends - times[at])


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Centred running mean along the first axis; the ends without a full window are dropped."""
    if window <= 1:
        return values
    parts = [values[i : len(values) - window + 1 + i] for i in range(window)]
    return np.mean(parts, axis=0)


def log_errors(model: np.ndarray, observed: np.ndarray) -> tuple[float, float]:
    """Root mean square of log(model/observed), and the worst year's factor (1 or more).

    Both infinite where a model value is not above zero.
    """
    if len(observed) == 0:
        return np.nan, np.nan
    if (model <= 0).any() or (observed <= 0).any() or not np.isfinite(model).all():
        return np.inf, np.inf
    ratio = np.log(model / observed)
    return float(np.sqrt(np.mean(ratio**2))), float(np.exp(np.abs(ratio).max()))
