"""The constants of a model: their roles, ranges and priors, and the only code that orders them.

`read_parameters` checks parameters.csv against the model. `pack` says which value wins, in
the array that a compiled program takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import ParameterError
from .expressions import key, label_key
from .files import decimal, read_rows
from .model import Model, read_model
from .names import meant

ROLES = ("fixed", "fitted", "uncertain", "structural", "lever")
DISTRIBUTIONS = ("uniform", "loguniform", "normal", "lognormal", "triangular", "choice")
COLUMNS = ("name", "role", "low", "high", "distribution", "unit", "source", "grade")


@dataclass(frozen=True)
class Parameter:
    """One constant: its default and hard bounds from the .mdl, the rest from parameters.csv.

    `low` and `high` are None for a fixed constant; `weights` are given for a choice only.
    """

    name: str
    role: str
    default: float
    limits: tuple[float | None, float | None]
    unit: str
    low: float | None = None
    high: float | None = None
    distribution: str = ""
    weights: tuple[float, ...] = ()
    source: str = ""
    grade: str = ""
    note: str = ""


@dataclass(frozen=True)
class Parameters:
    """Every constant of a model once, in the order of its text."""

    items: tuple[Parameter, ...]
    path: Path | None = None

    def __repr__(self) -> str:
        roles = Counter(item.role for item in self.items)
        counts = ", ".join(f"{roles[role]} {role}" for role in ROLES if roles[role])
        return f"Parameters({counts or 'none'})"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.items)

    @property
    def defaults(self) -> np.ndarray:
        """The .mdl's values, in the order of `names`."""
        return np.array([item.default for item in self.items], dtype=float)

    @property
    def sampled(self) -> tuple[Parameter, ...]:
        """Those with a prior: fitted, uncertain and structural."""
        return tuple(item for item in self.items if item.distribution)

    def of_role(self, *roles: str) -> tuple[Parameter, ...]:
        return tuple(item for item in self.items if item.role in roles)

    @cached_property
    def _by_key(self) -> dict[str, Parameter]:
        return {label_key(item.name): item for item in self.items}

    def find(self, name: str, where: str = "") -> Parameter:
        """The constant of this name, however it is spelt (P305). `where` says which entry asks."""
        item = self._by_key.get(label_key(name))
        if item is None:
            asked = f"{where}: " if where else ""
            raise ParameterError("P305", asked + no_constant(name, self.names))
        return item

    def check_value(self, name: str, value: float, where: str) -> Parameter:
        """The constant, if `value` is finite and inside its hard bounds (P305, P308)."""
        item = self.find(name, where)
        low, high = item.limits
        if not _inside(value, low, high):
            raise ParameterError(
                "P308", f"{where}: {item.name} = {value:g} lies outside {_range(low, high)}"
            )
        return item


def refuse_twice(names: Iterable[str], where: str) -> None:
    """Refuse two spellings of one name (P311): either value could be meant."""
    found: dict[str, str] = {}
    for name in map(str, names):
        other = found.setdefault(label_key(name), name)
        if other is not name:
            raise ParameterError("P311", f"{where}: {other!r} and {name!r} are one constant")


def no_constant(name: str, names: Iterable[str] = ()) -> str:
    """That a name is no constant of the model, and which of `names` may have been meant."""
    names = list(names)
    element = next((n for n in names if label_key(n).startswith(f"{key(name)}[")), None)
    if element is None:
        return f"{name!r} is no constant of the model{meant(name, names, listed=False)}"
    return f"{name!r} is an array; name its elements, such as {element}"


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (
        bool(np.isfinite(value))
        and (low is None or value >= low)
        and (high is None or value <= high)
    )


def _range(low: float | None, high: float | None) -> str:
    return f"[{'?' if low is None else f'{low:g}'}, {'?' if high is None else f'{high:g}'}]"


def read_parameters(model: Model | str | Path, path: Path | None = None) -> Parameters:
    """The parameters of a model (or that at a path), from the parameters.csv beside it.

    A model without that file has fixed constants only. Raises ParameterError P301 to P304
    and P308, or RunError where the file is no CSV.
    """
    if isinstance(model, str | Path):
        model = read_model(model)
    constants = [model.find(name) for name in model.constants]
    path = path or model.path.parent / "parameters.csv"
    if not path.exists():
        bare = (Parameter(v.name, "fixed", v.value, v.limits, v.unit) for v in constants)
        return Parameters(tuple(bare))
    found: dict[str, Parameter] = {}
    arrays: dict[str, tuple[str, Mapping[str, str]]] = {}
    for line, row in read_rows(path, COLUMNS):
        where = f"{path}, line {line}, {row['name']}"
        if label_key(row["name"]) in found:
            raise ParameterError("P304", f"{where}: the constant stands here twice")
        known = model.has(row["name"]) and model.find(row["name"])
        if known and known.name in arrays:
            raise ParameterError("P304", f"{where}: the constant stands here twice")
        if not known or known.kind != "constant":
            what = f"a {known.kind} of the model" if known else "not in the model"
            # An array stands in the file by its own name or by those of its elements.
            names = (*model.constants, *(model.owners[name].name for name in model.constants))
            near = "" if known else meant(row["name"], names, listed=False)
            raise ParameterError("P302", f"{where}: {what}, so no constant{near}")
        if known.axes:  # a row for each element that has none of its own
            arrays[known.name] = (where, row)
        else:
            found[label_key(row["name"])] = _parameter(where, known, row)
    for variable in constants:
        array = arrays.get(model.owners[variable.name].name)
        if label_key(variable.name) not in found and array:
            found[label_key(variable.name)] = _parameter(array[0], variable, array[1])
        if label_key(variable.name) not in found:
            raise ParameterError(
                "P301",
                f"{path}: no row for {variable.name!r} ({model.path.name}, line {variable.line})",
            )
    return Parameters(tuple(found[label_key(v.name)] for v in constants), path)


def _parameter(where: str, variable, row: Mapping[str, str]) -> Parameter:
    role, distribution = row["role"], row["distribution"]

    def wrong(text: str, code: str = "P304"):
        raise ParameterError(code, f"{where}: {text}")

    if role not in ROLES:
        wrong(f"there is no role {role!r}{meant(role, ROLES)}")
    if row["unit"] != variable.unit:
        wrong(f"the unit {row['unit']!r} is not the {variable.unit!r} of the model")
    ends = []
    for column in ("low", "high"):
        if role == "fixed" and row[column]:
            wrong(f"a fixed constant has no {column}")
        if role != "fixed":
            try:
                ends.append(decimal(row[column]))
            except ValueError:
                wrong(f"{column} is {row[column]!r}, not a number")
    if role in ("fixed", "lever") and distribution:
        wrong(f"a {role} constant has no distribution")
    if role not in ("fixed", "lever") and distribution not in DISTRIBUTIONS:
        wrong(f"there is no distribution {distribution!r}{meant(distribution, DISTRIBUTIONS)}")
    if (role == "structural") != (distribution == "choice"):
        wrong("a structural switch, and nothing else, has the distribution choice")
    common = {
        "name": variable.name,
        "role": role,
        "default": variable.value,
        "limits": variable.limits,
        "unit": variable.unit,
        "source": row["source"],
        "grade": row["grade"],
        "note": row.get("note", ""),
    }
    hard = variable.limits
    if not _inside(variable.value, *hard):
        wrong(f"the default {variable.value:g} lies outside {_range(*hard)} of the model", "P308")
    if role == "fixed":
        return Parameter(**common)
    low, high = ends
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        wrong(f"low ({row['low']}) has to be below high ({row['high']}), both finite")
    if not (_inside(low, *hard) and _inside(high, *hard)):
        wrong(f"{_range(low, high)} reaches beyond {_range(*hard)} of the model", "P303")
    # A lever's range says how far a policy may go; history, its default, may lie before it.
    if role != "lever" and not low <= variable.value <= high:
        wrong(f"the default {variable.value:g} lies outside {_range(low, high)}", "P303")
    if distribution in ("loguniform", "lognormal") and low <= 0:
        wrong(f"a {distribution} prior needs low above zero")
    weights: tuple[float, ...] = ()
    if distribution == "choice":
        if low != int(low) or high != int(high) or variable.value != int(variable.value):
            wrong("a switch has whole numbers for low, high and default")
        weights = _weights(row.get("weights", ""), int(high - low) + 1, wrong)
    return Parameter(**common, low=low, high=high, distribution=distribution, weights=weights)


def _weights(text: str, count: int, wrong) -> tuple[float, ...]:
    if not text:
        return (1 / count,) * count
    try:
        weights = [decimal(part) for part in text.split(";")]
    except ValueError:
        weights = []
    total = sum(weights)
    if len(weights) != count or min(weights) < 0 or not np.isfinite(total) or not total:
        wrong(f"weights {text!r} have to be {count} numbers from zero up, with ';' between")
    return tuple(weight / total for weight in weights)


def pack(names: Sequence[str], defaults: np.ndarray, draws: pd.DataFrame, scenario, policy):
    """The values of each draw's lane: an array (draws, constants) in the order of `names`.

    The policy wins over the scenario, the scenario over the draw, the draw over the default.
    Names are compared as the model compares them (P305, P311). `scenario` and `policy` are
    Settings, or mappings from names to values.
    """
    place = {label_key(name): index for index, name in enumerate(names)}
    values = np.repeat(np.asarray(defaults, dtype=float)[None, :], len(draws), axis=0)
    columns = {name: draws[name].to_numpy(float) for name in draws.columns}
    for what, layer in (("draws", columns), ("a scenario", scenario), ("a policy", policy)):
        layer = layer if isinstance(layer, Mapping) else layer.values
        refuse_twice(layer, what)
        for name, value in layer.items():
            if label_key(name) not in place:
                raise ParameterError("P305", no_constant(name, names))
            values[:, place[label_key(name)]] = value
    return values
