"""What a model must do: checks.toml, carried out.

Every check asks something of runs with the default values, or with a few changed. All the
runs that a file asks for are simulated in one experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .compile import compile_model
from .errors import RunError
from .experiment import Experiment, Setting, no_draws
from .files import checked, place, read_toml, typed
from .model import Model, key, read_model
from .observations import (
    REDUCTIONS,
    Series,
    at_observations,
    log_errors,
    read_series,
    running_mean,
)
from .outputs import read_outputs
from .parameters import Parameters, read_parameters
from .simulation import simulate
from .structure import simlin_faults, unit_faults

# kind -> (keys it needs, keys it may have)
KINDS: dict[str, tuple[dict, dict]] = {
    "bound": ({"variable": str}, {"min": float, "max": float, "set": dict}),
    "direction": (
        {"set": dict, "variable": str, "direction": str},
        {"against": dict, "at": float, "from": float, "to": float, "margin": float},
    ),
    "history": (
        {"variable": str, "series": str, "from": float, "to": float, "reduction": str},
        {"rms_log_ratio": float, "factor": float, "window": int, "scale": str},
    ),
    "conservation": ({"sum": list, "equals": str}, {"tolerance": float}),
    "step": ({}, {"max_shift": float}),
    "units": ({}, {}),
    "settles": ({"from": float}, {"variable": str, "variables": list, "rule": str}),
}
# A swing counts as undamped when it is over 2 % of the level and the last one is not
# smaller than the first.
SWING = 0.02


@dataclass(frozen=True)
class Check:
    """One check: its name, its kind and the keys of that kind."""

    name: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What came of one check."""

    check: Check
    passed: bool
    detail: str


def read_checks(path: Path, model: Model, parameters: Parameters) -> list[Check]:
    """checks.toml; every name in it is known to the model (S203, P305, P308), R407 to R412."""
    data = read_toml(path)
    for word in data:
        if word != "check":
            raise RunError("R407", f"{place(path, word)}: unknown key {word!r}; known: [[check]]")
    checks: list[Check] = []
    for number, table in enumerate(typed(path, "check", data.get("check", []), list), 1):
        where = f"[[check]] number {number}"
        kind = table.get("kind") if isinstance(table, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            raise RunError("C701", f"{path}, {where}: kind {kind!r}; known: {', '.join(KINDS)}")
        required, optional = KINDS[kind]
        row = checked(
            path,
            table,
            {"name": str, "kind": str, **required},
            {"source": str, "note": str, "description": str, **optional},
            where,
        )
        where = f"{place(path, row['name'])}, check {row['name']!r}"
        if any(check.name == row["name"] for check in checks):
            raise RunError("R412", f"{where} stands here twice")
        _validate(path, where, row, model, parameters)
        checks.append(Check(row["name"], kind, row))
    if not checks:
        raise RunError("R408", f"{path} holds no [[check]] table")
    return checks


def _validate(path: Path, where: str, row: dict, model: Model, parameters: Parameters) -> None:
    for word in ("set", "against"):
        for name, value in row.get(word, {}).items():
            parameters.check_value(name, typed(path, name, value, float), where)
    for name in _variables(row):
        if not isinstance(name, str):
            raise RunError("R409", f"{where}: {name!r} is no name of a variable")
        model.find(name)
    if "scale" in row:
        parameters.find(row["scale"])
    if row["kind"] == "direction":
        if row["direction"] not in ("higher", "lower"):
            raise RunError("R410", f"{where}: direction has to be higher or lower")
        if "at" not in row and not ("from" in row and "to" in row):
            raise RunError("R408", f"{where}: it needs `at`, or `from` and `to`")
    if row["kind"] == "history" and row["reduction"] not in REDUCTIONS:
        raise RunError("R410", f"{where}: reduction has to be one of {', '.join(REDUCTIONS)}")
    if row["kind"] == "bound" and not {"min", "max"} & row.keys():
        raise RunError("R408", f"{where}: it needs `min` or `max`")
    if row["kind"] == "settles" and not {"variable", "variables"} & row.keys():
        raise RunError("R408", f"{where}: it needs `variables`")


def _variables(row: Mapping[str, Any]) -> list[str]:
    found = [row[word] for word in ("variable", "equals") if word in row]
    return [*found, *row.get("sum", ()), *row.get("variables", ())]


def run_checks(
    model: Model,
    parameters: Parameters,
    checks: Sequence[Check],
    headlines: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Carry out the checks. `headlines` are the variables that a step check watches.

    Raises RunError C701 for a check that cannot be carried out, SimulationError where a run
    fails, DependencyError X501 where a unit check lacks pysimlin.
    """
    runs = _Runs(model, parameters, checks, headlines, progress)
    series = read_series(model.path.parent / "data")
    findings = []
    for check in checks:
        judge = globals()[f"_{check.kind}"]
        passed, detail = judge(check.options, runs, series)
        findings.append(Finding(check, bool(passed), detail))
    return findings


def check_model(path: Path, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Carry out the checks.toml of a model, watching the variables of its headline outputs."""
    model = read_model(path)
    folder = model.path.parent
    parameters = read_parameters(model)
    checks = read_checks(folder / "checks.toml", model, parameters)
    headlines: list[str] = []
    if (folder / "outputs.toml").exists():
        outputs = read_outputs(folder / "outputs.toml", model)
        headlines = [output.variable for output in outputs.values() if output.headline]
    return run_checks(model, parameters, checks, headlines, progress)


class _Runs:
    """Every run that the checks need: one lane a distinct setting, at SAVEPER."""

    def __init__(self, model, parameters, checks, headlines, progress):
        self.model, self.parameters = model, parameters
        names = {model.find(name).name for c in checks for name in _variables(c.options)}
        self.headlines = [model.find(name).name for name in headlines]
        outputs = tuple(n for n in model.variables if n in names | set(self.headlines))
        constants = set(parameters.names)
        # A constant is known without a run.
        self.outputs = tuple(n for n in outputs if n not in constants)
        self.settings = {frozenset(): Setting("default", {})}
        for check in checks:
            for word in ("set", "against"):
                values = _values(check.options.get(word, {}))
                self.settings.setdefault(values, Setting(f"run {len(self.settings)}", dict(values)))
        self.step_wanted = any(check.kind == "step" for check in checks)
        self.program = compile_model(model, self.outputs) if self.outputs else None
        if self.program is None:
            self.times, self.result = np.array([]), {}
            return
        program = self.program
        count = int((program.final_time - program.initial_time) / program.saveper + 1e-6)
        self.times = program.initial_time + program.saveper * np.arange(count + 1)
        self.result = simulate(program, self._experiment(self.settings.values()), progress=progress)

    def _experiment(self, settings) -> Experiment:
        nothing = (Setting("none", {}),)
        return Experiment(tuple(settings), nothing, no_draws(), self.outputs, self.times)

    def get(self, name: str, values: Mapping[str, float] | None = None) -> np.ndarray:
        """A variable over time in the run with these values."""
        name = self.model.find(name).name
        setting = self.settings[_values(values or {})]
        if name not in self.outputs:
            held = {key(n): v for n, v in setting.values.items()}
            default = self.parameters.find(name).default
            return np.full(len(self.times), held.get(key(name), default))
        return self.result[name].sel(scenario=setting.name).to_numpy()[:, 0, 0]

    def half(self) -> dict[str, np.ndarray]:
        """The headline variables in a default run with half the step."""
        default = self._experiment([self.settings[frozenset()]])
        result = simulate(self.program, default, time_step=self.program.time_step / 2)
        return {name: result[name].to_numpy()[:, 0, 0, 0] for name in self.headlines}


def _values(values: Mapping[str, float]) -> frozenset:
    return frozenset((key(name), float(value)) for name, value in values.items())


def _bound(row, runs: _Runs, series):
    values = runs.get(row["variable"], row.get("set"))
    low, high = values.min(), values.max()
    # Rounding on the way to a bound is no fault: 1e-9 of the largest magnitude.
    slack = 1e-9 * max(abs(low), abs(high))
    passed = low >= row.get("min", -np.inf) - slack and high <= row.get("max", np.inf) + slack
    return passed, f"from {low:.4g} to {high:.4g}"


def _direction(row, runs: _Runs, series):
    one = runs.get(row["variable"], row["set"])
    other = runs.get(row["variable"], row.get("against"))
    words = ("at",) if "at" in row else ("from", "to")
    _inside(row, runs.times, words)
    if "at" in row:
        one, other = (np.interp(row["at"], runs.times, values) for values in (one, other))
    else:
        keep = (runs.times >= row["from"]) & (runs.times <= row["to"])
        if not keep.any():
            span = f"from {row['from']} to {row['to']}"
            raise RunError("C701", f"check {row['name']!r}: no time {span}")
        one, other = one[keep].mean(), other[keep].mean()
    gap = (one - other) / max(abs(other), 1e-300)
    wanted = 1 if row["direction"] == "higher" else -1
    return gap * wanted > max(row.get("margin", 0.0), 1e-9), f"{other:.4g} becomes {one:.4g}"


def _history(row, runs: _Runs, series: Mapping[str, Series]):
    if row["series"] not in series:
        raise RunError("R411", f"check {row['name']!r}: no series {row['series']!r} in data")
    seen = series[row["series"]].between(row["from"], row["to"])
    values = runs.get(row["variable"])
    if "scale" in row:
        values = values * runs.get(row["scale"])
    modelled = at_observations(runs.times, values, seen.time, row["reduction"])
    window = row.get("window", 1)
    modelled, observed = running_mean(modelled, window), running_mean(seen.value, window)
    if not len(observed) or np.isnan(modelled).any():
        raise RunError("C701", f"check {row['name']!r}: the run and the series share too few years")
    rms, worst = log_errors(modelled, observed)
    passed = rms <= row.get("rms_log_ratio", 0.35) and worst <= row.get("factor", 2.0)
    return passed, f"rms log ratio {rms:.3f}, worst year off by {worst:.2f}, {len(observed)} values"


def _conservation(row, runs: _Runs, series):
    total = sum(runs.get(name) for name in row["sum"])
    whole = runs.get(row["equals"])
    gap = np.abs(total - whole).max() / max(np.abs(whole).max(), 1e-300)
    return gap <= row.get("tolerance", 1e-9), f"largest gap {gap:.2g} of the whole"


def _step(row, runs: _Runs, series):
    if not runs.headlines:
        raise RunError("C701", f"check {row['name']!r}: outputs.toml names no headline output")
    worst, where = 0.0, ""
    for name, finer in runs.half().items():
        values = runs.get(name)
        # Where an output has almost vanished, a relative shift says nothing.
        kept = np.abs(values) > 0.01 * np.abs(values).max()
        shift = (np.abs(finer - values)[kept] / np.abs(values)[kept]).max(initial=0.0)
        if shift >= worst:
            worst, where = shift, name
    return worst <= row.get("max_shift", 0.005), f"largest shift {worst:.3%} ({where})"


def _units(row, runs: _Runs, series):
    faults = [*simlin_faults(runs.model), *unit_faults(runs.model)]
    return not faults, "; ".join(faults[:3]) + (" …" if len(faults) > 3 else "") or "no fault"


def _inside(row, times: np.ndarray, words: Sequence[str]) -> None:
    """C701 where one of these keys is a time that the run does not have."""
    for word in words:
        if not len(times) or not times[0] - 1e-9 <= row[word] <= times[-1] + 1e-9:
            span = f"goes from {times[0]:g} to {times[-1]:g}" if len(times) else "has no time"
            text = f"{word} = {row[word]:g} lies outside the run, which {span}"
            raise RunError("C701", f"check {row['name']!r}: {text}")


def _settles(row, runs: _Runs, series):
    """No variable swings about its path with swings that do not die away."""
    _inside(row, runs.times, ("from",))
    names = row.get("variables") or [row["variable"]]
    notes, passed = [], True
    for name in names:
        values = runs.get(name)[runs.times >= row["from"] - 1e-9]
        swings = swings_of(values)
        if len(swings) >= 3 and swings[-1] > SWING and swings[-1] >= swings[0]:
            passed = False
            notes.append(f"{name} swings on: {swings[0]:.1%} to {swings[-1]:.1%} of its level")
    return passed, "; ".join(notes) or "no swing that lasts"


def swings_of(values: np.ndarray) -> list[float]:
    """Sizes of the moves between turning points, relative to the mean magnitude.

    The move to the first turning point and the one after the last are left out: they may
    be trends.
    """
    steps = np.sign(np.diff(values))
    turns = [i + 1 for i in range(len(steps) - 1) if steps[i] * steps[i + 1] < 0]
    scale = max(np.abs(values).mean(), 1e-300)
    return [abs(values[b] - values[a]) / scale for a, b in pairwise(turns)]
