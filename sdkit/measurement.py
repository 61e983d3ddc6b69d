"""How a model is measured by its series: measurements.toml, and the density of what was observed.

A measurement says which variable a series counts, by what factor, and how observations scatter
around the model: the density, its spread, and over what time residuals forget each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RunError
from .files import checked, place, read_tables, typed
from .measures import DENSITIES
from .model import Model
from .names import meant
from .observations import REDUCTIONS, Series, data_folder, same_unit
from .outputs import one_of
from .parameters import Parameter, Parameters
from .time_units import refuse_calendar

_REQUIRED = {"name": str, "series": str, "variable": str, "reduction": str, "density": str}
_OPTIONAL = {
    "from": float, "to": float, "spread": object, "correlation_time": object, "scale": str,
    "freedom": float, "factors": list,
}  # fmt: skip
# Densities whose residuals may be correlated in time.
_GAUSSIAN = ("normal", "lognormal")


@dataclass(frozen=True)
class Factor:
    """A factor of a measurement from the time `first` until `last`: a number with a prior."""

    prior: Parameter
    first: float
    last: float


@dataclass(frozen=True)
class Measurement:
    """One series as the model sees it.

    `spread` is the standard deviation of the residuals (of their logarithms for lognormal), the
    scale of Student's t, or the size of a negative binomial; a number, or a Parameter to be
    estimated. Residuals a time t apart are correlated by exp(-t / correlation_time); None for
    independent ones. `scale` names a constant of the model that multiplies the variable.
    """

    name: str
    series: Series
    variable: str
    reduction: str
    density: str
    spread: float | Parameter
    correlation_time: float | Parameter | None = None
    scale: str | None = None
    freedom: float = 4.0
    factors: tuple[Factor, ...] = ()

    def __repr__(self) -> str:
        return f"Measurement({self.name!r}: {self.variable!r}, {self.density}, {self.series!r})"

    @property
    def nuisance(self) -> tuple[Parameter, ...]:
        """What is estimated of the measurement and not of the model."""
        own = (self.spread, self.correlation_time, *(f.prior for f in self.factors))
        return tuple(item for item in own if isinstance(item, Parameter))

    def until(self, last: float) -> Measurement:
        """The same measurement with the observations up to a time."""
        return replace(self, series=self.series.between(-math.inf, last))


def read_measurements(
    path: Path, model: Model, parameters: Parameters, series: Mapping[str, Series]
) -> dict[str, Measurement]:
    """measurements.toml by name. Raises R407 to R412, R419, R431; S203, P305 for names."""
    found = {}
    for row in read_tables(path, "measurement", _REQUIRED, _OPTIONAL):
        name = row["name"]

        def wrong(code: str, key: str, text: str, name=name):
            raise RunError(code, f"{place(path, key, name)}: {name!r}: {text}")

        one_of(path, "reduction", row["reduction"], tuple(REDUCTIONS))
        one_of(path, "density", row["density"], tuple(DENSITIES))
        if row["series"] not in series:
            where = place(path, row["series"])
            near = meant(row["series"], series)
            data = data_folder(path.parent)
            raise RunError("R411", f"{where}: no series {row['series']!r} in {data}{near}")
        if "spread" not in row:
            raise RunError("R408", f"{place(path, name)}: the key 'spread' is missing in {name!r}")
        if "correlation_time" in row and row["density"] not in _GAUSSIAN:
            wrong(
                "R469",
                "correlation_time",
                f"residuals of {row['density']} cannot be correlated here",
            )
        refuse_calendar(model, row["reduction"], f"{place(path, 'reduction', name)}: {name!r}")
        where = f"{place(path, 'variable', name)}, measurement {name!r}"
        variable = model.scalar(row["variable"], where)
        scale = None
        if "scale" in row:
            where = f"{place(path, 'scale', name)}, measurement {name!r}"
            scale = parameters.find(row["scale"], where).name
        where = f"{place(path, 'series', name)}: {name!r}"
        if "scale" not in row:  # which may bring another unit
            same_unit(series[row["series"]], variable.unit, where)
        own = series[row["series"]].between(row.get("from", -math.inf), row.get("to", math.inf))
        if len(own.time) == 0:
            wrong("R468", "from", "no observation lies between from and to")
        if (own.value <= 0).any() and row["density"] == "lognormal":
            wrong("R469", "density", "a lognormal density needs observations above zero")
        if row["density"] == "negative binomial" and (own.value != np.floor(own.value)).any():
            wrong("R469", "density", "a negative binomial density needs whole numbers")
        if row.get("freedom", 1.0) <= 0:
            wrong("R443", "freedom", "freedom has to be above zero")
        factors = [
            _factor(path, name, number, table)
            for number, table in enumerate(row.get("factors", []))
        ]
        memory = row.get("correlation_time")
        if memory is not None:
            memory = _number(path, name, "correlation_time", memory, model.find("FINAL TIME").unit)
        found[name] = Measurement(
            name=name,
            series=own,
            variable=variable.name,
            reduction=row["reduction"],
            density=row["density"],
            spread=_number(path, name, "spread", row["spread"], _spread_unit(row, own)),
            correlation_time=memory,
            scale=scale,
            freedom=row.get("freedom", 4.0),
            factors=tuple(factors),
        )
    return found


def _spread_unit(row: Mapping[str, Any], series: Series) -> str:
    return series.unit if row["density"] in ("normal", "student t") else "Dmnl"


def _number(path: Path, name: str, key: str, value: Any, unit: str) -> float | Parameter:
    """A positive number, or a table { low, high } that makes it one to be estimated."""
    label = f"{key.replace('_', ' ')} of {name}"
    if not isinstance(value, dict):
        number = typed(path, key, value, float, name)
        if number <= 0:
            raise RunError("R443", f"{place(path, key, name)}: {key} has to be above zero")
        return number
    return _prior(path, name, label, value, unit)


def _prior(path: Path, name: str, label: str, table: Mapping[str, Any], unit: str) -> Parameter:
    """A positive number with a lognormal prior, `low` and `high` its 5 % and 95 % points."""
    ends = checked(path, table, {"low": float, "high": float}, {}, label)
    if not 0 < ends["low"] < ends["high"]:
        raise RunError("R470", f"{place(path, 'low', name)}: {label}: 0 < low < high has to hold")
    middle = math.sqrt(ends["low"] * ends["high"])
    return Parameter(label, "fitted", middle, (0.0, None), unit, **ends, distribution="lognormal")


def _factor(path: Path, name: str, number: int, table: Any) -> Factor:
    table = checked(
        path, typed(path, "factors", table, dict, name),
        {"low": float, "high": float}, {"from": float, "to": float}, f"factors of {name}",
    )  # fmt: skip
    first, last = table.pop("from", -1e9), table.pop("to", 1e9)
    if not first < last:
        raise RunError("R470", f"{place(path, 'factors', name)}: from has to be before to")
    ends = "" if first < -1e8 else f" from {first:g}"
    ends += "" if last > 1e8 else f" to {last:g}"
    return Factor(_prior(path, name, f"factor of {name}{ends}", table, "Dmnl"), first, last)


# -- densities ---------------------------------------------------------------------------


def residuals(m: Measurement, simulated: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Observed minus simulated, of logarithms where the density is lognormal; same shape."""
    if m.density == "lognormal":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(observed) - np.log(simulated)
    return observed - simulated


def correlations(m: Measurement, memory: np.ndarray) -> np.ndarray:
    """Of each residual with the one before (0 for the first): shape (lanes, observations)."""
    gaps = np.diff(m.series.time)
    if m.correlation_time is None:
        return np.zeros((len(memory), len(gaps) + 1))
    return np.hstack([np.zeros((len(memory), 1)), np.exp(-gaps / memory[:, None])])


def log_density(
    m: Measurement, simulated: np.ndarray, spread: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """The logarithm of the density of each observation given those before it.

    `simulated` (lanes, observations), `spread` and `memory` (lanes,); the result has the shape
    of `simulated`, -inf where a simulated value is one that the density cannot have.
    """
    from scipy import stats

    y, s = m.series.value, spread[:, None]
    if m.density == "negative binomial":
        possible = np.isfinite(simulated) & (simulated >= 0)
        terms = stats.nbinom.logpmf(y, s, s / (s + np.where(possible, simulated, 0.0)))
        return np.where(possible, terms, -np.inf)
    if m.density == "student t":
        terms = stats.t.logpdf(y, m.freedom, simulated, s)
        return np.where(np.isfinite(terms), terms, -np.inf)
    r = residuals(m, simulated, y)
    rho = correlations(m, memory)
    before = np.hstack([np.zeros((len(r), 1)), r[:, :-1]])
    with np.errstate(invalid="ignore"):
        variance = s**2 * (1 - rho**2)
        terms = -0.5 * np.log(2 * np.pi * variance) - (r - rho * before) ** 2 / (2 * variance)
    if m.density == "lognormal":
        terms = terms - np.log(y)
    return np.where(np.isfinite(terms), terms, -np.inf)


def observe(
    m: Measurement,
    simulated: np.ndarray,
    spread: np.ndarray,
    memory: np.ndarray,
    rng: np.random.Generator,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """What might be observed where the model says `simulated` (lanes, observations).

    The first residuals may be `known` (lanes, some): correlated ones go on from there.
    """
    s = spread[:, None]
    if m.density == "negative binomial":
        return rng.negative_binomial(s, s / (s + simulated)).astype(float)
    if m.density == "student t":
        return simulated + s * rng.standard_t(m.freedom, simulated.shape)
    rho = correlations(m, memory)
    noise = s * np.sqrt(1 - rho**2) * rng.standard_normal(simulated.shape)
    past = 0 if known is None else known.shape[1]
    noise[:, :past] = known if past else noise[:, :0]
    for i in range(max(past, 1), noise.shape[1]):
        noise[:, i] += rho[:, i] * noise[:, i - 1]
    return simulated * np.exp(noise) if m.density == "lognormal" else simulated + noise
