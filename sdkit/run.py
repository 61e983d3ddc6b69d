"""Run folders: a question in run.toml.

`read_run` reads the question, `prepare` finds everything that it names, and a module for each
kind of question carries it out. What comes out is written by `results.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import __version__
from .checks import Check, read_checks
from .compare import Claim, period_years, read_claims, standard_periods, whole
from .compile import Program, compile_model
from .errors import RunError
from .experiment import (
    Experiment,
    Setting,
    no_draws,
    posterior_draws,
    read_settings,
    sample,
)
from .files import checked, fingerprint, place, read_text, read_toml, typed
from .model import Model, read_model
from .observations import Series, read_series
from .outputs import Output, read_outputs
from .parameters import Parameters, read_parameters, refuse_twice

_REQUIRED = {
    "do": str,
    "question": str,
    "model": str,
    "seed": int,
    "draws": dict,
    "scenarios": list,
    "policies": list,
    "outputs": list,
    "horizon": list,
}
# What a run can ask for; all but a fit say which policies, outputs and years.
TASKS = ("compare", "fit", "sensitivity", "discover", "optimize")
# As many draws as `streams.MOST`.
_MOST = 2**30
# The files beside a model that decide the numbers of a run.
_FILES = (
    "parameters.csv",
    "posterior.csv",
    "scenarios.toml",
    "policies.toml",
    "outputs.toml",
    "claims.toml",
    "checks.toml",
)


@dataclass(frozen=True)
class Run:
    """What run.toml says, checked for form but not yet against the model.

    `options` is the table that bears the name of the `task`, as it stands.
    """

    folder: Path
    question: str
    model: Path
    seed: int
    source: str
    n: int
    scenarios: tuple[str, ...]
    policies: tuple[str, ...]
    outputs: tuple[str, ...]
    horizon: tuple[int, int]
    periods: tuple[str, ...]
    main: tuple[str, ...] = ()
    task: str = "compare"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "run.toml"


@dataclass(frozen=True)
class Prepared:
    """A run with everything that it names: found, read and checked."""

    run: Run
    model: Model
    parameters: Parameters
    scenarios: tuple[Setting, ...]
    policies: tuple[Setting, ...]
    outputs: tuple[Output, ...]
    claims: tuple[Claim, ...]
    histories: tuple[Check, ...]
    observed: Mapping[str, Series]
    draws: pd.DataFrame
    changed: Mapping[str, float]
    record: Mapping


def task_of(folder: Path) -> str:
    """What a run folder asks for: one of TASKS (R401 where there is no run.toml, R408 to R410)."""
    path = folder / "run.toml"
    if not path.exists():
        what = "holds no run.toml" if folder.is_dir() else "does not exist"
        raise RunError("R401", f"{folder} {what}")
    data = read_toml(path)
    if "do" not in data:
        raise RunError("R408", f"{path}: the key 'do' is missing")
    task = typed(path, "do", data["do"], str)
    if task not in TASKS:
        known = ", ".join(f'"{name}"' for name in TASKS[:-1]) + f' or "{TASKS[-1]}"'
        raise RunError("R410", f"{place(path, 'do')}: do = {task!r}; it has to be {known}")
    return task


def read_run(folder: Path, n: int | None = None) -> Run:
    """run.toml of all but a fit; `n` overrides its number of draws. Raises R401 to R413."""
    task = task_of(folder)
    path = folder / "run.toml"
    own = {"compare": {"periods": list, "main": list}, "sensitivity": {"main": list}}.get(task, {})
    own = own if task == "compare" else {task: dict, **own}
    data = checked(path, read_toml(path), _REQUIRED, own)

    def impossible(key: str, text: str):
        raise RunError("R410", f"{place(path, key)}: {key} {text}")

    if data["seed"] < 0:
        impossible("seed", "has to be zero or more")
    draws = checked(path, data["draws"], {"from": str}, {"n": int}, "draws")
    if draws["from"] not in ("priors", "posterior", "defaults"):
        known = '"priors", "posterior" or "defaults"'
        impossible("from", f"= {draws['from']!r}; it has to be {known}")
    if draws["from"] == "defaults":
        if draws.get("n", 1) != 1:
            impossible("n", 'has to be 1 where draws come from "defaults"')
        draws["n"] = 1
    elif "n" not in draws:
        raise RunError("R408", f"{place(path, 'draws')}: the key 'n' is missing in draws")
    if n is not None and n != 1 and draws["from"] == "defaults":
        raise RunError("R410", f'--draws has to be 1 where draws come from "defaults", not {n}')
    draws["n"] = draws["n"] if n is None else n
    if not 1 <= draws["n"] <= _MOST or draws["n"] & (draws["n"] - 1):
        where = "--draws" if n is not None else place(path, "n") + ": n"
        text = f"has to be a power of two up to {_MOST}, not {draws['n']}"
        raise RunError("R410", f"{where} {text}")
    for key in ("scenarios", "policies", "outputs", "periods", "main"):
        names = data.get(key, ["horizon"])
        if not names:
            impossible(key, "is empty")
        for name in names:
            if not isinstance(name, str):
                raise RunError("R409", f"{place(path, key)}: {key} has to be a list of texts")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RunError("R412", f"{place(path, key)}: {key} holds {twice!r} twice")
    for name in data.get("main", []):
        if name not in data["outputs"]:
            impossible("main", f"holds {name!r}, which is none of outputs")
    years = data["horizon"]
    if len(years) != 2 or any(type(year) is not int for year in years):
        raise RunError("R409", f"{place(path, 'horizon')}: horizon has to be two whole years")
    if not (0 <= years[0] <= 9999 and 0 <= years[1] <= 9999):
        impossible("horizon", "has to lie between the years 0 and 9999")
    if years[0] > years[1]:
        impossible("horizon", f"ends ({years[1]}) before it begins ({years[0]})")
    horizon = (years[0], years[1])
    periods = []
    for period in data.get("periods", standard_periods(horizon)):
        try:
            period_years(period, horizon)
            periods.append(whole(horizon) if period == "horizon" else period)
        except ValueError:
            impossible("periods", f"holds {period!r}, which is no year or span of the horizon")
    return Run(
        folder=folder,
        question=data["question"],
        model=find_model(path, data["model"]),
        seed=data["seed"],
        source=draws["from"],
        n=draws["n"],
        scenarios=tuple(data["scenarios"]),
        policies=tuple(data["policies"]),
        outputs=tuple(data["outputs"]),
        horizon=horizon,
        periods=tuple(dict.fromkeys([*periods, whole(horizon)])),
        main=tuple(data.get("main", ())),
        task=task,
        options=data.get(task, {}),
    )


def find_model(path: Path, name: str) -> Path:
    """`model` of run.toml, from the nearest parent folder that holds a folder models."""
    for parent in path.resolve().parents:
        if (parent / "models").is_dir():
            if os.path.exists(parent / name):  # False too where a name is too long
                return parent / name
            raise RunError("R413", f"{place(path, 'model')}: {name[:100]} does not exist")
    raise RunError("R413", f"{path}: no parent folder holds a folder models")


def prepare(run: Run, changed: Mapping[str, float] | None = None) -> Prepared:
    """Read and check all that a run names. `changed` overrides constants in every draw."""
    model = read_model(run.model)
    folder = model.path.parent
    parameters = read_parameters(model)
    scenarios = read_settings(folder / "scenarios.toml", "scenario", parameters)
    policies = read_settings(folder / "policies.toml", "policy", parameters)
    outputs = read_outputs(folder / "outputs.toml", model)
    claims, histories = [], []
    if (folder / "claims.toml").exists():
        claims = read_claims(folder / "claims.toml", outputs, tuple(policies))
    if (folder / "checks.toml").exists():
        checks = read_checks(folder / "checks.toml", model, parameters)
        # A history under other values is no history of the baseline.
        histories = [c for c in checks if c.kind == "history" and not any(c.layers)]
    observed = read_series(folder / "data", model.read) if histories else {}
    for check in histories:
        name = check.options["series"]
        if name not in observed:
            where = place(folder / "checks.toml", name)
            raise RunError("R411", f"{where}: no series {name!r} in {folder / 'data'}")

    def choose(kind: str, names, known):
        for name in names:
            if name not in known:
                raise RunError(
                    "R411",
                    f"{place(run.file, name)}: unknown {kind} {name!r}; known: {', '.join(known)}",
                )
        return tuple(known[name] for name in names)

    for name in run.main:
        aimless = name in outputs and outputs[name].better == "none"
        if aimless and run.task == "compare":
            where = place(run.file, "main")
            raise RunError("R410", f"{where}: main holds {name!r}, of which no direction is better")
    chosen = {
        "scenarios": choose("scenario", run.scenarios, scenarios),
        "policies": choose("policy", run.policies, policies),
        "outputs": choose("output", run.outputs, outputs),
    }
    made = {"priors": sample, "posterior": posterior_draws}.get(run.source)
    # Studies of inputs make designs of their own.
    own = made is None or run.task in ("sensitivity", "discover", "optimize")
    draws = no_draws() if own else made(parameters, run.n, run.seed)
    values = {}
    refuse_twice(changed or {}, "--set")
    for name, value in (changed or {}).items():
        item = parameters.check_value(name, value, "--set")
        values[item.name] = draws[item.name] = float(value)
    return Prepared(
        run=run,
        model=model,
        parameters=parameters,
        claims=tuple(claims),
        histories=tuple(histories),
        observed=observed,
        draws=draws,
        changed=values,
        record=_record(run, model, values),
        **chosen,
    )


def _record(run: Run, model: Model, changed: Mapping[str, float]) -> dict:
    """What decides the numbers, for record.json."""
    folder = model.path.parent
    files = [f for name in _FILES if (f := folder / name).exists()]
    files += sorted((folder / "data").glob("*.csv"))
    hashes = {f"{model.name}/{f.relative_to(folder).as_posix()}": fingerprint(f) for f in files}
    fitted = {}
    if run.source == "posterior":
        line = read_text(folder / "posterior.csv").split("\n")[0]
        # Its first line names the fit and the text of the model that was fitted.
        fitted = {"posterior": {"is": line.strip("# \r"), "of this text": model.hash[:16] in line}}
    return {
        "sdkit": __version__,
        "seed": run.seed,
        "draws": {"from": run.source, "n": run.n},
        **fitted,
        "set": dict(changed),
        "sha256": {
            "run.toml": fingerprint(run.file),
            f"{model.name}/{model.path.name}": model.hash,
            **hashes,
        },
    }


def yearly_experiment(
    prepared: Prepared, draws: pd.DataFrame, others: Iterable[str] = ()
) -> tuple[Program, Experiment]:
    """The run's scenarios and policies with these draws, its outputs (and `others`) saved at the
    edges of years. Raises R410 where the model does not cover the horizon."""
    run, model = prepared.run, prepared.model
    wanted = ({o.variable for o in prepared.outputs} | {*others}) - set(model.constants)
    program = compile_model(model, tuple(n for n in model.owners if n in wanted))
    start, end = program.initial_time, run.horizon[1] + 1.0
    if start > run.horizon[0] or end > program.final_time + 1e-9:
        raise RunError(
            "R410",
            f"{place(run.file, 'horizon')}: horizon needs a run from {run.horizon[0]} to the end "
            f"of {run.horizon[1]}, {model.path.name} goes from {start:g} to {program.final_time:g}",
        )
    experiment = Experiment(
        scenarios=prepared.scenarios,
        policies=prepared.policies,
        draws=draws,
        outputs=program.outputs,
        times=np.arange(np.ceil(start), end + 0.5),
        averaged=tuple(o.variable for o in prepared.outputs if o.reduction != "last"),
        branch=float(run.horizon[0]),
    )
    return program, experiment


def held(prepared: Prepared) -> dict[str, float]:
    """What does not vary in a study of one scenario, whatever its prior: set for once, or by the
    scenario."""
    return {**prepared.changed, **prepared.scenarios[0].values}


def work_name(prepared: Prepared) -> str:
    """A name that changes with whatever decides the runs of a study: its record, and all code."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    parts = ([fingerprint(path) for path in modules], dict(prepared.record))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
