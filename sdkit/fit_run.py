"""Run folders that ask for a fit: run.toml read, the fit found, its tables made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import __version__
from .errors import ParameterError, RunError
from .experiment import sample
from .files import checked, fingerprint, place, read_toml, typed
from .fit import Effort, Fit, find_posterior, influence_table, parameter_table, series_table
from .forecast import scores
from .measurement import Measurement, observe, read_measurements
from .model import Model, read_model
from .observations import read_series
from .parameters import Parameter, Parameters, read_parameters
from .posterior import Posterior
from .run import find_model, task_of

_REQUIRED = {"do": str, "question": str, "model": str, "seed": int, "draws": int}
_OPTIONAL = {
    "until": float, "measurements": list, "also": list, "set": dict, "effort": dict,
    "forecast": dict, "posterior": bool, "recover": bool,
}  # fmt: skip
_EFFORT = {"starts": int, "walkers": int, "warm_up": int, "most": int,
           "r_hat": float, "effective": float}  # fmt: skip
_FILES = ("parameters.csv", "measurements.toml")


@dataclass(frozen=True)
class Forecast:
    """Years after the fit's last that are scored, and constants that hold back what was not known.

    `known` are sentences on what the authors knew of those years all the same.
    """

    years: float
    set: Mapping[str, float]
    measurements: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class FitRun:
    """What run.toml of a fit says, checked for form but not yet against the model."""

    folder: Path
    question: str
    model: Path
    seed: int
    draws: int
    until: float | None
    measurements: tuple[str, ...] | None
    also: tuple[str, ...]
    set: Mapping[str, float]
    effort: Effort
    forecast: Forecast | None
    posterior: bool
    recover: bool

    @property
    def file(self) -> Path:
        return self.folder / "run.toml"


@dataclass(frozen=True)
class Prepared:
    """A fit with everything that it names."""

    run: FitRun
    model: Model
    parameters: Parameters
    measurements: Mapping[str, Measurement]
    chosen: tuple[str, ...]
    fitted: tuple[Parameter, ...]
    set: Mapping[str, float]
    record: Mapping


@dataclass(frozen=True)
class Findings:
    """What a fit found: tables, and the fit itself."""

    prepared: Prepared
    fit: Fit
    parameters: pd.DataFrame
    measurements: pd.DataFrame
    bands: Mapping[str, np.ndarray]
    influence: pd.DataFrame
    forecasts: pd.DataFrame
    halved: tuple[float, float]
    draws: pd.DataFrame = field(repr=False)


def read_fit(folder: Path) -> FitRun:
    """run.toml of a folder that asks for a fit. Raises R401 to R413."""
    task_of(folder)
    path = folder / "run.toml"
    data = checked(path, read_toml(path), _REQUIRED, _OPTIONAL)

    def impossible(key: str, text: str):
        raise RunError("R410", f"{place(path, key)}: {key} {text}")

    if data["seed"] < 0:
        impossible("seed", "has to be zero or more")
    if data["draws"] < 16 or data["draws"] & (data["draws"] - 1):
        impossible("draws", f"has to be a power of two from 16 up, not {data['draws']}")
    effort = checked(path, data.get("effort", {}), {}, _EFFORT, "effort")
    for key, value in effort.items():
        if value <= 0:
            impossible(key, "has to be above zero")
    if effort.get("r_hat", 2.0) <= 1:
        impossible("r_hat", "has to be above 1")
    if effort.get("walkers", 256) % 2:
        impossible("walkers", "has to be an even number")
    for key in ("measurements", "also"):
        for name in data.get(key, []):
            typed(path, key, name, str)
    forecast = data.get("forecast")
    if forecast is not None:
        known = {"years": float, "measurements": list}
        forecast = checked(path, forecast, known, {"set": dict, "known": list}, "forecast")
        if "until" not in data:
            impossible("forecast", "needs until, the last year of the fit")
        if not forecast["years"] > 0:
            impossible("years", "has to be above zero")
        forecast = Forecast(
            forecast["years"], _numbers(path, forecast.get("set", {})),
            tuple(typed(path, "measurements", m, str) for m in forecast["measurements"]),
            tuple(typed(path, "known", text, str) for text in forecast.get("known", [])),
        )  # fmt: skip
    if data.get("recover") and (forecast or data.get("posterior")):
        impossible("recover", "makes its own series, so there is nothing to forecast or draw from")
    return FitRun(
        folder=folder,
        question=data["question"],
        model=find_model(path, data["model"]),
        seed=data["seed"],
        draws=data["draws"],
        until=data.get("until"),
        measurements=tuple(data["measurements"]) if "measurements" in data else None,
        also=tuple(data.get("also", ())),
        set=_numbers(path, data.get("set", {})),
        effort=Effort(**effort),
        forecast=forecast,
        posterior=data.get("posterior", False),
        recover=data.get("recover", False),
    )


def _numbers(path: Path, table: Mapping[str, Any]) -> dict[str, float]:
    return {name: typed(path, name, value, float) for name, value in table.items()}


def prepare_fit(run: FitRun, changed: Mapping[str, float] | None = None) -> Prepared:
    """Read and check all that a fit names; `changed` fixes further constants."""
    model = read_model(run.model)
    folder = model.path.parent
    parameters = read_parameters(model)
    series = read_series(folder / "data")
    measurements = read_measurements(folder / "measurements.toml", model, parameters, series)
    chosen = run.measurements or tuple(measurements)
    for name in (*chosen, *(run.forecast.measurements if run.forecast else ())):
        if name not in measurements:
            raise RunError(
                "R411",
                f"{place(run.file, name)}: unknown measurement {name!r}; known: "
                f"{', '.join(measurements)}",
            )
    values = {}
    for where, table in ((run.file, run.set), ("--set", changed or {})):
        for name, value in table.items():
            at = where if isinstance(where, str) else place(where, name)
            values[parameters.check_value(name, value, str(at)).name] = value
    for name, value in (run.forecast.set if run.forecast else {}).items():
        parameters.check_value(name, value, place(run.file, name))
    also = set()
    for name in run.also:
        try:
            also.add(parameters.find(name).name)
        except ParameterError as error:
            where = place(run.file, name)
            raise ParameterError("P305", f"{where}: {error.message}") from None
    fitted = tuple(
        item
        for item in parameters.items
        if (item.role == "fitted" or item.name in also) and item.name not in values
    )
    for item in fitted:
        if item.role not in ("fitted", "uncertain"):
            where = place(run.file, item.name)
            raise RunError("R410", f"{where}: {item.name} is {item.role}, and has no prior to fit")
    if not fitted:
        raise RunError("R410", f"{parameters.path}: no constant has the role fitted")
    return Prepared(
        run, model, parameters, measurements, tuple(dict.fromkeys(chosen)), fitted, values,
        _record(run, model, values),
    )  # fmt: skip


def _record(run: FitRun, model: Model, values: Mapping[str, float]) -> dict:
    folder = model.path.parent
    files = [folder / f for f in _FILES] + sorted((folder / "data").glob("*.csv"))
    hashes = {
        f"{model.name}/{f.relative_to(folder).as_posix()}": fingerprint(f)
        for f in files
        if f.exists()
    }
    return {
        "sdkit": __version__,
        "seed": run.seed,
        "draws": {"n": run.draws},
        "set": dict(values),
        "sha256": {
            "run.toml": fingerprint(run.file),
            f"{model.name}/{model.path.name}": model.hash,
            **hashes,
        },
    }


def work_name(prepared: Prepared) -> str:
    """A name that changes with whatever decides the chains."""
    run = prepared.run
    record = dict(prepared.record)
    hashes = {k: v for k, v in record["sha256"].items() if k != "run.toml"}
    parts = (
        record["sdkit"], run.seed, run.until, run.recover, prepared.chosen,
        [item.name for item in prepared.fitted], dict(prepared.set),
        vars(run.effort) | {"most": 0, "r_hat": 0, "effective": 0}, hashes,
    )  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def posterior_of(prepared: Prepared, threads: int | None = None) -> Posterior:
    """The posterior that a run asks for. Raises R410 where no observation is left."""
    run = prepared.run
    last = np.inf if run.until is None else run.until + 1 - 1e-9
    used = [prepared.measurements[name].until(last) for name in prepared.chosen]
    used = [m for m in used if len(m.series.time)]
    if not used:
        raise RunError("R410", f"{place(run.file, 'until')}: no observation until {run.until:g}")
    return Posterior(
        prepared.model, prepared.parameters, prepared.fitted, used, prepared.set, threads
    )


def execute_fit(
    prepared: Prepared,
    work: Path | None = None,
    report: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Findings:
    """Fit, and score the years after it. Raises F501 and F502 (`find_posterior`)."""
    run = prepared.run
    posterior = posterior_of(prepared, threads)
    truth = None
    if run.recover:
        truth = {item.name: item.default for item in posterior.items}
        posterior = posterior.changed(measurements=_made(posterior, truth, run.seed))
    ahead = _ahead(prepared, threads)  # before the fit: what is wrong with it is told at once
    fit = find_posterior(
        posterior, run.effort, run.draws, run.seed, work, report or (lambda done, total: None)
    )
    draws = all_draws(prepared, posterior, fit.draws)
    fine = posterior.changed(time_step=posterior.time_step / 2)
    coarse, half = posterior.log_likelihood(fit.mode[None]), fine.log_likelihood(fit.mode[None])
    pairs = zip(posterior.simulate(fit.mode[None]), fine.simulate(fit.mode[None]), strict=True)
    moved = max(float(np.max(np.abs(a / b - 1))) for a, b in pairs)
    table, bands = series_table(fit, run.seed)
    return Findings(
        prepared,
        fit,
        parameter_table(fit, truth),
        table,
        bands,
        influence_table(fit),
        pd.DataFrame() if ahead is None else _forecasts(ahead, run, draws),
        (float(half[0] - coarse[0]), moved),
        draws,
    )


def _made(posterior: Posterior, truth: Mapping[str, float], seed: int) -> list[Measurement]:
    """The measurements with series that the model made itself, with these values and noise."""
    values = pd.DataFrame([truth])
    rng = np.random.default_rng(seed)
    made = []
    for m, own in zip(posterior.measurements, posterior.simulate_values(values), strict=True):
        seen = observe(m, own, *posterior.scatter(m, values), rng)[0]
        made.append(replace(m, series=replace(m.series, value=seen)))
    return made


def all_draws(prepared: Prepared, posterior: Posterior, z: np.ndarray) -> pd.DataFrame:
    """Fitted values from the posterior, all others from their priors, of the run's seed."""
    run = prepared.run
    columns = dict(sample(prepared.parameters, len(z), run.seed).items())
    values = {name: column.to_numpy() for name, column in posterior.values(z).items()}
    return pd.DataFrame(columns | values).assign(**prepared.set)


def _ahead(prepared: Prepared, threads: int | None) -> Posterior | None:
    """The measurements of the years after the fit, with what was known then held as it was."""
    run = prepared.run
    if run.forecast is None:
        return None
    origin = run.until + 1
    ahead = [
        prepared.measurements[name].until(origin + run.forecast.years - 1e-9)
        for name in run.forecast.measurements
    ]
    ahead = [m for m in ahead if len(m.series.time) and m.series.time[-1] >= origin]
    if not ahead:
        raise RunError(
            "R410", f"{place(run.file, 'forecast')}: no observation lies in the years forecast"
        )
    fixed = {**prepared.set, **run.forecast.set}
    return Posterior(prepared.model, prepared.parameters, (), ahead, fixed, threads)


def _forecasts(posterior: Posterior, run: FitRun, draws: pd.DataFrame) -> pd.DataFrame:
    """Scores of the years after the fit."""
    # What a series that took no part in the fit needs besides comes from its prior.
    rng = np.random.default_rng(run.seed)
    spare = posterior.values(rng.standard_normal((len(draws), len(posterior))))
    values = pd.concat(
        [draws, spare.drop(columns=spare.columns.intersection(draws.columns))], axis=1
    )
    values = values.drop(columns=[name for name in values.columns if name in posterior.set])
    return scores(posterior, values, run.until + 1, run.seed)
