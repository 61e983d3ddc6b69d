"""checks.toml of a model: what it must do, read and held against the model.

docs/checks.md explains every kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ParameterError, RunError
from .experiment import read_settings
from .files import checked, place, read_toml, tables, typed
from .model import Model
from .names import meant
from .observations import REDUCTIONS
from .parameters import Parameters, no_constant, refuse_twice
from .time_units import refuse_calendar

# How the expression of a stock begins.
STOCKS = (("state", "stock"), ("state", "non-negative stock"))
_RUN = {"set": dict, "under": str}
_SPAN = {"at": float, "from": float, "to": float}
# kind -> (keys it needs, keys it may have)
KINDS: dict[str, tuple[dict, dict]] = {
    "bound": ({"variable": str}, {"min": float, "max": float, **_SPAN, **_RUN}),
    "direction": (
        {"set": dict, "variable": str, "direction": str},
        {"against": dict, "margin": float, "under": str, **_SPAN},
    ),
    "history": (
        {"variable": str, "series": str, "from": float, "to": float, "reduction": str},
        {"rms_log_ratio": float, "factor": float, "window": int, "scale": str, **_RUN},
    ),
    "conservation": (
        {},
        {
            "sum": list, "equals": str, "stocks": list, "inflows": list, "outflows": list,
            "tolerance": float, "draws": int, "seed": int, **_RUN,
        },
    ),
    "step": ({}, {"max_shift": float, **_RUN}),
    "units": ({}, {}),
    "settles": (
        {"from": float},
        {
            "variable": str, "variables": list, "rule": str, "until": float,
            "max_change": float, **_RUN,
        },
    ),
    "extreme": ({}, {"variable": str, "min": float, "max": float, "start": dict, **_SPAN, **_RUN}),
    "zero stocks": ({}, {"except": list, **_RUN}),
    "inputs": ({}, {"range": str, "max_shift": float, "except": list, **_RUN}),
    "draws": ({"n": int}, {"seed": int, "policies": list, "except": list, **_RUN}),
    "published": (
        {"variable": str, "source": str},
        {
            "relative_to": float, "per": str, "low": float, "high": float, "value": float,
            "within": float, **_SPAN, **_RUN,
        },
    ),
    "turning point": (
        {"variable": str, "extremum": str, "from": float, "to": float, "within": float},
        {"at": float, "series": str, **_RUN},
    ),
}  # fmt: skip
# What a key may say, where only a few words are known.
_WORDS = {
    "direction": ("higher", "lower"),
    "reduction": tuple(REDUCTIONS),
    "extremum": ("max", "min"),
    "range": ("bounds", "prior"),
}
# Draws of one check: more are the business of a run folder.
_MOST = 2**16
_LISTS = ("sum", "variables", "stocks", "inflows", "outflows")


@dataclass(frozen=True)
class Check:
    """One check: its name, its kind, the keys of that kind, and the values of `under`.

    The option `policies` of a draws check maps each policy to its values.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    base: Mapping[str, float]

    @property
    def layers(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """The values of its run, the later ones winning: `under`, then `set`."""
        return self.base, self.options.get("set", {})


def read_checks(path: Path, model: Model, parameters: Parameters) -> list[Check]:
    """The [[check]] tables of checks.toml, perhaps none, each with the values of its [[setting]].

    Every name is known to the model: S203, P305, P308; R407 to R412 for a key or a value
    that is wrong, R411 for an unknown setting or policy, R431 for years of a model whose time
    is not in years, C701 for an unknown kind.
    """
    data = read_toml(path, blank=True)
    for word in data:
        if word not in ("check", "setting"):
            near = meant(word, ("setting", "check"))
            raise RunError("R407", f"{place(path, word)}: unknown key {word!r}{near}")
    settings = _settings(path, data, parameters)
    checks: dict[str, Check] = {}
    for number, table in enumerate(typed(path, "check", data.get("check", []), list), 1):
        where = f"[[check]] number {number}"
        kind = table.get("kind") if isinstance(table, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            at = f"{place(path, kind)}, {where}" if isinstance(kind, str) else f"{path}, {where}"
            raise RunError("C701", f"{at}: kind {kind!r}{meant(kind, KINDS)}")
        required, optional = KINDS[kind]
        row = checked(
            path,
            table,
            {"name": str, "kind": str, **required},
            {"source": str, "note": str, "description": str, **optional},
            where,
        )
        where = f"{place(path, row['name'])}, check {row['name']!r}"
        if row["name"] in checks:
            raise RunError("R412", f"{where} stands here twice")
        if "under" in row and row["under"] not in settings:
            near = meant(row["under"], settings)
            raise RunError("R411", f"{where}: no setting {row['under']!r}{near}")
        _names(path, where, row, model, parameters)
        _values(where, row)
        refuse_calendar(model, row.get("reduction", ""), where)
        if "policies" in row:
            row["policies"] = _policies(path, where, row["policies"], parameters)
        checks[row["name"]] = Check(row["name"], kind, row, settings.get(row.get("under"), {}))
    return list(checks.values())


def _settings(path: Path, data: Mapping, parameters: Parameters) -> dict[str, dict]:
    settings: dict[str, dict] = {}
    for row in tables(path, "setting", data, {"name": str, "set": dict}, {"description": str}):
        where = f"{place(path, row['name'])}, setting {row['name']!r}"
        refuse_twice(row["set"], where)
        for name, value in row["set"].items():
            parameters.check_value(name, typed(path, name, value, float), where)
        settings[row["name"]] = row["set"]
    return settings


def _policies(path: Path, where: str, names: Sequence, parameters: Parameters) -> dict:
    known = read_settings(path.parent / "policies.toml", "policy", parameters)
    for name in names:
        if not isinstance(name, str):
            raise RunError("R409", f"{where}: {name!r} is no name of a policy")
        if name not in known:
            raise RunError("R411", f"{where}: no policy {name!r}{meant(name, known)}")
    return {name: known[name].values for name in names}


def _names(path: Path, where: str, row: dict, model: Model, parameters: Parameters) -> None:
    """Every name of a check stands for something of the right sort."""

    def variable(name, stock: bool = False):
        if not isinstance(name, str):
            raise RunError("R409", f"{where}: {name!r} is no name of a variable")
        found = model.scalar(name, where)
        if found.kind == "lookup":
            raise RunError("R458", f"{where}: {name!r} is a table, no variable")
        if stock and found.expression[:2] not in STOCKS:
            raise RunError("R458", f"{where}: {name!r} is no stock")

    def constant(name: str):
        if not model.has(name) or model.find(name).kind != "constant":
            raise ParameterError("P305", f"{where}: {no_constant(name, model.constants)}")

    for word in ("set", "against", "start"):
        refuse_twice(row.get(word, {}), f"{where}, {word}")
    for word in ("set", "against"):
        for name, value in row.get(word, {}).items():
            parameters.check_value(name, typed(path, name, value, float), where)
    for word in ("variable", "equals", "per"):
        if word in row:
            variable(row[word])
    for word in _LISTS:
        if word in row and not row[word]:
            raise RunError("R454", f"{where}: {word} is empty")
        for name in row.get(word, ()):
            variable(name, stock=word == "stocks")
    for name, value in row.get("start", {}).items():
        variable(name, stock=True)
        typed(path, name, value, float)
    for name in row.get("except", ()):
        variable(name, stock=row["kind"] == "zero stocks")
        if row["kind"] == "inputs":
            constant(name)
    if "scale" in row:
        constant(row["scale"])


def _values(where: str, row: dict) -> None:
    """What a kind asks for beyond single keys (R408, R441 to R456)."""

    def need(found: bool, text: str) -> None:
        if not found:
            raise RunError("R408", f"{where}: it needs {text}")

    has = row.keys()
    for word, allowed in _WORDS.items():
        if word in row and row[word] not in allowed:
            near = meant(row[word], allowed)
            raise RunError("R441", f"{where}: {word} = {row[word]!r}{near}")
    for word in ("n", "draws"):
        count = row.get(word, 1)
        if not 1 <= count <= _MOST or count & (count - 1):
            text = f"has to be a power of two up to {_MOST}, not {count}"
            raise RunError("R445", f"{where}: {word} {text}")
    for word in ("seed", "tolerance", "within", "window", "margin", "max_shift", "max_change"):
        if row.get(word, 1) < 0:
            raise RunError("R443", f"{where}: {word} has to be zero or more")
    kind, span = row["kind"], "at" in has or {"from", "to"} <= has
    if kind == "direction" or kind == "published":
        need(span, "`at`, or `from` and `to`")
    if kind == "bound" or (kind == "extreme" and "variable" in has):
        need({"min", "max"} & has, "`min` or `max`")
    if kind == "extreme":
        need({"set", "under", "start"} & has, "`set`, `under` or `start`")
        need("variable" in has or not {"min", "max"} & has, "`variable`")
    if kind == "settles":
        need({"variable", "variables"} & has, "`variables`")
    if kind == "conservation":
        flows = {"inflows", "outflows"} & has
        need({"sum", "equals"} <= has or ("stocks" in has and flows),
             "`sum` and `equals`, or `stocks` with `inflows`, `outflows` or both")  # fmt: skip
        if {"sum", "equals"} & has and ("stocks" in has or flows):
            raise RunError("R456", f"{where}: `sum` and `stocks` are two forms; one a check")
    if kind == "published":
        need({"low", "high"} & has or {"value", "within"} <= has,
             "`low` or `high`, or `value` and `within`")  # fmt: skip
    if kind == "turning point":
        need({"at", "series"} & has, "`at` or `series`")
