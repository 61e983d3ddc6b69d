"""Run folders: a question in run.toml.

`read_run` reads the question, `prepare` finds everything that it names, and a module for each
kind of question carries it out. What comes out is written by `results.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import __version__
from .cache import code_of, made_by, name_of
from .checks import Check, read_checks
from .compare import LATEST, Claim, period_years, read_claims, standard_periods, whole
from .compile import Program, compile_model
from .errors import RunError
from .experiment import (
    Experiment,
    Setting,
    no_draws,
    posterior_draws,
    read_posterior,
    read_settings,
    sample,
)
from .files import checked, fingerprint, place, read_toml, typed
from .kernel import processor
from .model import Model, holds_model, read_model
from .names import meant, meant_path
from .observations import Series, data_folder, series_of
from .outputs import Output, read_outputs
from .parameters import Parameters, read_parameters, refuse_twice
from .provenance import posterior_provenance
from .references import check_names
from .streams import MOST
from .time_units import time_unit

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

    `options` is the table that bears the name of the `task`, as it stands; `tables` are folders
    outside the model's own in which its tables may lie.
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
    trial: bool = False  # --draws gave n
    tables: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        counts = f"{len(self.scenarios)} scenarios x {len(self.policies)} policies x {self.n} draws"
        return f"Run({self.folder}: {self.task}, {counts})"

    @property
    def file(self) -> Path:
        return self.folder / "run.toml"

    @property
    def where_n(self) -> str:
        """Where the number of draws was given: an option, or file and line."""
        return "--draws" if self.trial else f"{place(self.file, 'n')}: n"


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

    def __repr__(self) -> str:
        return f"Prepared({self.run!r}, {self.model!r})"


def task_of(folder: Path) -> str:
    """What a run folder asks for: one of TASKS (R401 without a run.toml, R408, R409, R441)."""
    path = folder / "run.toml"
    if not path.exists():
        what = "holds no run.toml" if folder.is_dir() else "does not exist"
        near = meant_path(folder, lambda other: (other / "run.toml").exists(), [])
        raise RunError("R401", f"{folder} {what}{near}")
    data = read_toml(path)
    if "do" not in data:
        raise RunError("R408", f"{path}: the key 'do' is missing")
    task = typed(path, "do", data["do"], str)
    if task not in TASKS:
        raise RunError("R441", f"{place(path, 'do')}: do = {task!r}{meant(task, TASKS)}")
    return task


def read_run(folder: Path, n: int | None = None) -> Run:
    """run.toml of all but a fit; `n` overrides its number of draws. Raises R401 to R413."""
    task = task_of(folder)
    path = folder / "run.toml"
    own = {"compare": {"periods": list, "main": list}, "sensitivity": {"main": list}}.get(task, {})
    own = {"tables": list, **(own if task == "compare" else {task: dict, **own})}
    data = checked(path, read_toml(path), _REQUIRED, own)

    def impossible(code: str, key: str, text: str):
        raise RunError(code, f"{place(path, key)}: {key} {text}")

    if data["seed"] < 0:
        impossible("R444", "seed", "has to be zero or more")
    draws = checked(path, data["draws"], {"from": str}, {"n": int}, "draws")
    if draws["from"] not in ("priors", "posterior", "defaults"):
        sources = ("priors", "posterior", "defaults")
        impossible("R441", "from", f"= {draws['from']!r}{meant(draws['from'], sources)}")
    if draws["from"] == "defaults":
        if draws.get("n", 1) != 1:
            impossible("R449", "n", 'has to be 1 where draws come from "defaults"')
        draws["n"] = 1
    elif "n" not in draws:
        raise RunError("R408", f"{place(path, 'draws')}: the key 'n' is missing in draws")
    if n is not None and n != 1 and draws["from"] == "defaults":
        raise RunError("R449", f'--draws has to be 1 where draws come from "defaults", not {n}')
    draws["n"] = draws["n"] if n is None else n
    if not 1 <= draws["n"] <= MOST or draws["n"] & (draws["n"] - 1):
        where = "--draws" if n is not None else place(path, "n") + ": n"
        text = f"has to be a power of two up to {MOST}, not {draws['n']}"
        raise RunError("R445", f"{where} {text}")
    for key in ("scenarios", "policies", "outputs", "periods", "main"):
        names = data.get(key, ["horizon"])
        if not names:
            impossible("R454", key, "is empty")
        for name in names:
            if not isinstance(name, str):
                raise RunError("R409", f"{place(path, key)}: {key} has to be a list of texts")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RunError("R412", f"{place(path, key)}: {key} holds {twice!r} twice")
    for name in data.get("main", []):
        if name not in data["outputs"]:
            impossible(
                "R460", "main", f"holds {name!r}, none of outputs{meant(name, data['outputs'])}"
            )
    years = data["horizon"]
    if len(years) != 2 or any(type(year) is not int for year in years):
        raise RunError("R409", f"{place(path, 'horizon')}: horizon has to be two whole numbers")
    if not all(0 <= year <= LATEST for year in years):
        text = f"has to lie between 0 and {LATEST}, in the model's unit of time"
        impossible("R452", "horizon", text)
    if years[0] > years[1]:
        impossible("R452", "horizon", f"ends ({years[1]}) before it begins ({years[0]})")
    horizon = (years[0], years[1])
    periods = []
    for period in data.get("periods", standard_periods(horizon)):
        try:
            period_years(period, horizon)
            periods.append(whole(horizon) if period == "horizon" else period)
        except ValueError:
            impossible(
                "R453",
                "periods",
                f"holds {period!r}, which is no whole time or span of the horizon",
            )
    return Run(
        folder=folder,
        question=data["question"],
        model=find_model(path, data["model"]),
        tables=table_folders(path, data.get("tables", [])),
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
        trial=n is not None,
    )


def find_model(path: Path, name: str) -> Path:
    """`model` of run.toml, from the nearest parent folder that holds a folder models."""
    for parent in path.resolve().parents:
        if (parent / "models").is_dir():
            if os.path.exists(parent / name):  # False too where a name is too long
                return parent / name
            near = meant_path(parent / name[:100], holds_model, [parent / "models"])
            raise RunError("R413", f"{place(path, 'model')}: {name[:100]} does not exist{near}")
    raise RunError("R413", f"{path}: no parent folder holds a folder models")


def table_folders(path: Path, names: Sequence[Any]) -> tuple[Path, ...]:
    """`tables` of run.toml: folders, from that which holds models/ (R409, R425)."""
    root = next((p for p in path.resolve().parents if (p / "models").is_dir()), path.parent)
    folders = tuple(root / typed(path, "tables", name, str) for name in names)
    for folder in folders:
        if not os.path.isdir(folder):
            raise RunError("R425", f"{place(path, 'tables')}: {str(folder)[:200]} is no folder")
    return folders


def prepare(run: Run, changed: Mapping[str, float] | None = None) -> Prepared:
    """Read and check all that a run names. `changed` overrides constants in every draw."""
    model = read_model(run.model, folders=run.tables)
    folder = model.path.parent
    check_names(model, run.file)
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
    observed = series_of(model) if histories else {}
    for check in histories:
        name = check.options["series"]
        if name not in observed:
            where = place(folder / "checks.toml", name)
            near = meant(name, observed)
            raise RunError("R411", f"{where}: no series {name!r} in {data_folder(folder)}{near}")

    def choose(kind: str, names, known):
        for name in names:
            if name not in known:
                where = place(run.file, name)
                raise RunError("R411", f"{where}: unknown {kind} {name!r}{meant(name, known)}")
        return tuple(known[name] for name in names)

    for name in run.main:
        aimless = name in outputs and outputs[name].better == "none"
        if aimless and run.task == "compare":
            where = place(run.file, "main")
            raise RunError("R459", f"{where}: main holds {name!r}, of which no direction is better")
    chosen = {
        "scenarios": choose("scenario", run.scenarios, scenarios),
        "policies": choose("policy", run.policies, policies),
        "outputs": choose("output", run.outputs, outputs),
    }
    made = {"priors": sample, "posterior": posterior_draws}.get(run.source)
    if run.trial and run.source == "posterior":  # the option is at fault, not the file
        rows = len(read_posterior(parameters))
        if rows < run.n:
            text = f"--draws = {run.n} is more than the {rows} draws of {folder / 'posterior.csv'}"
            raise RunError("R448", text)
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
    names = [n for n in _FILES if n != "posterior.csv" or run.source == "posterior"]
    fitted = {}
    if run.source == "posterior":
        found = posterior_provenance(folder, model)
        known = found.of_this_text if found.run else None
        fitted = {"posterior": {"is": found.sentence, "of this text": known}}
    return {
        "sdkit": __version__,
        "code": code_of(),
        "seed": run.seed,
        "draws": {"from": run.source, "n": run.n},
        **fitted,
        "set": dict(changed),
        "sha256": hashes_of(run.file, model, names),
    }


def hashes_of(question: Path, model: Model, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of run.toml, of a model's text with all that it reads, of these files beside it
    and of its data, by name."""
    folder = model.path.parent
    files = [folder / name for name in names]
    files += sorted(data_folder(folder).glob("*.csv"))
    files += sorted(set(model.read) - set(files))
    return {
        "run.toml": fingerprint(question),
        f"{model.name}/{model.path.name}": model.hash,
        **{
            f"{model.name}/{Path(os.path.relpath(f, folder)).as_posix()}": fingerprint(f)
            for f in files
            if f.is_file()
        },
    }


def yearly_experiment(
    prepared: Prepared, draws: pd.DataFrame, others: Iterable[str] = ()
) -> tuple[Program, Experiment]:
    """The run's scenarios and policies with these draws, its outputs (and `others`) saved at the
    edges of years. Raises R451 where the model does not cover the horizon."""
    run, model = prepared.run, prepared.model
    wanted = ({o.variable for o in prepared.outputs} | {*others}) - set(model.constants)
    program = compile_model(model, tuple(n for n in model.owners if n in wanted))
    start, end = program.initial_time, run.horizon[1] + 1.0
    if start > run.horizon[0] or end > program.final_time + 1e-9:
        clock = time_unit(model)
        raise RunError(
            "R451",
            f"{place(run.file, 'horizon')}: horizon needs a run from {clock.at(run.horizon[0])} to "
            f"the end of {clock.at(run.horizon[1])}, {model.path.name} goes from {start:g} to "
            f"{program.final_time:g}",
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
    return name_of_work(dict(prepared.record))


def name_of_work(*inputs: Any) -> str:
    """A name for unfinished work that changes with these inputs, all code and the processor."""
    text = json.dumps(inputs, sort_keys=True)
    return name_of(made_by(), processor(), text)[:16]
