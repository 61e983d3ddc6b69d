"""Run folders: a question in run.toml.

`read_run` reads the question, `prepare` finds everything that it names and `execute`
carries it out. What comes out is written by `results.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import __version__
from .checks import Check, read_checks
from .compare import (
    Claim,
    Comparison,
    History,
    judge,
    period_years,
    read_claims,
    series_table,
    standard_periods,
    summarise,
    whole,
)
from .compile import compile_model
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
from .observations import REDUCTIONS, Series, at_observations, calendar_years, read_series
from .outputs import Output, read_outputs
from .parameters import Parameters, read_parameters
from .simulation import simulate
from .switches import by_switch, main_outputs

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
TASKS = ("compare", "fit")
# As many Sobol points as scipy has.
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
    """What run.toml says, checked for form but not yet against the model."""

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
        known = " or ".join(f'"{name}"' for name in TASKS)
        raise RunError("R410", f"{place(path, 'do')}: do = {task!r}; it has to be {known}")
    return task


def read_run(folder: Path, n: int | None = None) -> Run:
    """run.toml of a comparison; `n` overrides its number of draws. Raises R401 to R413."""
    task_of(folder)
    path = folder / "run.toml"
    data = checked(path, read_toml(path), _REQUIRED, {"periods": list, "main": list})

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
    )


def find_model(path: Path, name: str) -> Path:
    """`model` of run.toml, from the nearest parent folder that holds a folder models."""
    for parent in path.resolve().parents:
        if (parent / "models").is_dir():
            if (parent / name).exists():
                return parent / name
            raise RunError("R413", f"{place(path, 'model')}: {parent / name} does not exist")
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
    observed = read_series(folder / "data") if histories else {}
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
        if name in outputs and outputs[name].better == "none":
            where = place(run.file, "main")
            raise RunError("R410", f"{where}: main holds {name!r}, of which no direction is better")
    chosen = {
        "scenarios": choose("scenario", run.scenarios, scenarios),
        "policies": choose("policy", run.policies, policies),
        "outputs": choose("output", run.outputs, outputs),
    }
    made = {"priors": sample, "posterior": posterior_draws}.get(run.source)
    draws = made(parameters, run.n, run.seed) if made else no_draws()
    values = {}
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


def execute(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Comparison:
    """Simulate and compare. Raises SimulationError S202 where lanes fail."""
    run, model = prepared.run, prepared.model
    names = {o.variable for o in prepared.outputs}
    constants = set(model.constants)
    observed = {model.find(c.options["variable"]).name for c in prepared.histories}
    program = compile_model(
        model, tuple(n for n in model.variables if n in (names | observed) - constants)
    )
    start, end = program.initial_time, run.horizon[1] + 1.0
    if start > run.horizon[0] or end > program.final_time + 1e-9:
        raise RunError(
            "R410",
            f"{place(run.file, 'horizon')}: horizon needs a run from {run.horizon[0]} to the end "
            f"of {run.horizon[1]}, {model.path.name} goes from {start:g} to {program.final_time:g}",
        )
    parts = _parts(prepared, program)
    first = np.ceil(start)
    times = np.arange(first, end + 0.5)
    experiment = Experiment(
        scenarios=prepared.scenarios,
        policies=prepared.policies,
        draws=prepared.draws,
        outputs=program.outputs,
        times=times,
        averaged=tuple(o.variable for o in prepared.outputs if o.reduction != "last"),
        branch=float(run.horizon[0]),
    )
    result = simulate(program, experiment, progress=progress, threads=threads)
    structural = prepared.parameters.of_role("structural")
    switches = [switch for switch in structural if switch.name in prepared.draws]
    names = [switch.name for switch in switches]
    by_name = {o.name: o for o in prepared.outputs}
    summary = summarise(result, prepared.outputs, run.periods, run.horizon)
    main = [by_name[name] for name in run.main]
    main = main or main_outputs(prepared.outputs, summary, whole(run.horizon))
    return Comparison(
        name=run.folder.resolve().name,
        question=run.question,
        result=result,
        outputs=prepared.outputs,
        scenarios=prepared.scenarios,
        policies=prepared.policies,
        horizon=run.horizon,
        periods=run.periods,
        draws=prepared.draws,
        parameters=prepared.parameters,
        changed=prepared.changed,
        model=model.name,
        claims=prepared.claims,
        summary=summary,
        series=series_table(result, prepared.outputs),
        claims_table=judge(result, prepared.claims, by_name, run.horizon, prepared.draws, names),
        main=tuple(main),
        switches=by_switch(result, prepared.outputs, run.horizon, prepared.draws, switches),
        histories=_histories(prepared, program, end, parts, threads),
    )


def _parts(prepared: Prepared, program) -> int:
    """Into how many parts histories divide a year: four where a fiscal year is asked for."""
    fiscal = [c for c in prepared.histories if c.options["reduction"] == "fiscal year"]
    if not fiscal:
        return 1
    start, step = program.initial_time, program.time_step
    steps = np.array([0.25, np.ceil(start * 4) / 4 - start]) / step
    if (np.abs(steps - np.round(steps)) > 1e-6).any():
        path = prepared.model.path
        raise RunError(
            "C701",
            f"{place(path.parent / 'checks.toml', fiscal[0].name)}, check {fiscal[0].name!r}: a "
            f"fiscal year begins on a quarter of a year, where the time step of {path.name} "
            f"({step:g} from {start:g}) does not come",
        )
    return 4


def _histories(prepared: Prepared, program, end: float, parts: int, threads) -> tuple[History, ...]:
    """The baseline beside the observed series, as the history checks reduce them.

    A monthly series is shown by its calendar years.
    """
    if not prepared.histories:
        return ()
    seen = [prepared.observed[c.options["series"]] for c in prepared.histories]
    latest = max(series.time.max() for series in seen) + 1
    latest = min(max(latest, prepared.run.horizon[0]), end)
    # Quarters where a fiscal year has to be put together from whole intervals, else years.
    first = np.ceil(program.initial_time * parts) / parts
    times = np.arange(first, np.floor(latest) + 0.125, 1 / parts)
    points = {
        prepared.model.find(c.options["variable"]).name
        for c in prepared.histories
        if REDUCTIONS[c.options["reduction"]] is None
    }
    experiment = Experiment(
        prepared.scenarios[:1],
        prepared.policies[:1],
        prepared.draws,
        program.outputs,
        times,
        averaged=tuple(n for n in program.outputs if n not in points),
    )
    result = simulate(program, experiment, threads=threads)
    histories = []
    for check, series in zip(prepared.histories, seen, strict=True):
        row = check.options
        variable = prepared.model.find(row["variable"]).name
        values = result[variable].to_numpy()[:, 0, 0, :]
        if "scale" in row:
            item = prepared.parameters.find(row["scale"])
            factor = prepared.draws.get(item.name, item.default)
            values = values * np.asarray(factor)
        # A fiscal year begins before its calendar year: the run's first has no data.
        shift = REDUCTIONS[row["reduction"]] or 0.0
        years = np.arange(np.ceil(times[0] - shift), np.floor(times[-1]))
        if variable in points:
            model_at = at_observations(times, values, years, "point")
        else:
            # Each saved value is the mean of its part of a year.
            ends = np.round((years + shift + 1 - times[0]) * parts).astype(int)
            model_at = np.stack([values[e - parts + 1 : e + 1].mean(axis=0) for e in ends])
        bands = np.quantile(model_at, (0.05, 0.5, 0.95), axis=-1)
        if row["reduction"] == "month":
            series = calendar_years(series)
            span = {"from": np.ceil(row["from"] - 1 / 12), "to": np.floor(row["to"])}
            row = dict(row) | {"reduction": "year", "window": 1} | span
        if len(series.time):
            histories.append(History(check.name, dict(row), series, years, bands))
    return tuple(histories)
