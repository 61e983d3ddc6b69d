"""Run folders that ask for a fit: run.toml read, the fit found, its tables made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import __version__
from .cache import code_of
from .errors import ParameterError, RunError
from .files import (
    checked,
    place,
    read_toml,
    typed,
)
from .fit import Effort
from .forecast import Published
from .measurement import Measurement, read_measurements
from .model import Model, read_model
from .names import meant
from .observations import series_of
from .parameters import Parameter, Parameters, read_parameters, refuse_twice
from .references import check_names
from .run import find_model, hashes_of, name_of_work, table_folders, task_of
from .switches import meaning, settings

_REQUIRED = {"do": str, "question": str, "model": str, "seed": int, "draws": int}
_OPTIONAL = {
    "until": float, "later": dict, "measurements": list, "also": list, "set": dict,
    "switch": str, "since": float, "without": dict, "effort": dict, "forecast": dict,
    "posterior": bool, "recover": int, "tables": list,
}  # fmt: skip
_EFFORT = {"starts": int, "walkers": int, "warm_up": int, "most": int,
           "r_hat": float, "effective": float}  # fmt: skip
_PUBLISHED = {"name": str, "measurement": str, "time": list, "value": list, "source": str}
_MOST_TRUTHS = 1000  # to recover; each is a fit of its own
_FILES = ("parameters.csv", "measurements.toml")


@dataclass(frozen=True)
class Forecast:
    """Years after the fit's last that are scored, and constants that hold back what was not known.

    `known` are sentences on what the authors knew of those years all the same; `published` are
    forecasts that others made from the same origin.
    """

    years: float
    set: Mapping[str, float]
    measurements: tuple[str, ...]
    known: tuple[str, ...]
    published: tuple[Published, ...]


@dataclass(frozen=True)
class FitRun:
    """What run.toml of a fit says, checked for form but not yet against the model.

    `until` is the last year whose observations are used, `later` a later one for some series.
    `switch` names a structural constant: the fit is done under each of its settings. `without`
    names causes, each by the constants that take it away; what that does to the change of the
    first measurement `since` a year is told. `recover` counts the truths, drawn from the
    priors, that are to be found again.
    """

    folder: Path
    question: str
    model: Path
    seed: int
    draws: int
    until: float | None
    later: Mapping[str, float]
    measurements: tuple[str, ...] | None
    also: tuple[str, ...]
    set: Mapping[str, float]
    switch: str | None
    since: float | None
    without: Mapping[str, Mapping[str, float]]
    effort: Effort
    forecast: Forecast | None
    posterior: bool
    recover: int
    tables: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"FitRun({self.folder}: {self.draws} draws, seed {self.seed})"

    @property
    def file(self) -> Path:
        return self.folder / "run.toml"


@dataclass(frozen=True)
class Prepared:
    """A fit with everything that it names. `label` says which it is, of a run's several fits."""

    run: FitRun
    model: Model
    parameters: Parameters
    measurements: Mapping[str, Measurement]
    chosen: tuple[str, ...]
    fitted: tuple[Parameter, ...]
    set: Mapping[str, float]
    record: Mapping
    label: str = ""

    def __repr__(self) -> str:
        label = f", {self.label}" if self.label else ""
        return f"Prepared({self.run!r}{label}, {self.model!r})"


def read_fit(folder: Path) -> FitRun:
    """run.toml of a folder that asks for a fit. Raises R401 to R413."""
    task_of(folder)
    path = folder / "run.toml"
    data = checked(path, read_toml(path), _REQUIRED, _OPTIONAL)

    def impossible(code: str, key: str, text: str):
        raise RunError(code, f"{place(path, key)}: {key} {text}")

    if data["seed"] < 0:
        impossible("R444", "seed", "has to be zero or more")
    if data["draws"] < 16 or data["draws"] & (data["draws"] - 1):
        impossible("R445", "draws", f"has to be a power of two from 16 up, not {data['draws']}")
    effort = checked(path, data.get("effort", {}), {}, _EFFORT, "effort")
    for key, value in effort.items():
        if value <= 0:
            impossible("R443", key, "has to be above zero")
    if effort.get("r_hat", 2.0) <= 1:
        impossible("R443", "r_hat", "has to be above 1")
    if effort.get("walkers", 256) % 2:
        impossible("R446", "walkers", "has to be an even number")
    for key in ("measurements", "also"):
        for name in data.get(key, []):
            typed(path, key, name, str)
    forecast = data.get("forecast")
    if forecast is not None:
        forecast = checked(
            path, forecast, {"years": float, "measurements": list},
            {"set": dict, "known": list, "published": list}, "forecast",
        )  # fmt: skip
        if "until" not in data:
            impossible("R455", "forecast", "needs until, the last year of the fit")
        if not forecast["years"] > 0:
            impossible("R443", "years", "has to be above zero")
        forecast = Forecast(
            forecast["years"], _values(path, forecast.get("set", {})),
            tuple(typed(path, "measurements", m, str) for m in forecast["measurements"]),
            tuple(typed(path, "known", text, str) for text in forecast.get("known", [])),
            tuple(_published(path, entry) for entry in forecast.get("published", [])),
        )  # fmt: skip
    if not 0 <= data.get("recover", 0) <= _MOST_TRUTHS:
        impossible("R443", "recover", f"has to lie between 0 and {_MOST_TRUTHS}")
    own = (forecast, data.get("posterior"), "switch" in data, "without" in data)
    if data.get("recover") and any(own):
        impossible(
            "R456", "recover", "makes its own series, so there is nothing to forecast or draw from"
        )
    if ("since" in data) != ("without" in data):
        impossible("R455", "without", "and since, the year to compare with, need each other")
    if "switch" in data and forecast:
        impossible("R456", "switch", "leaves no single fit to forecast from")
    return FitRun(
        folder=folder,
        question=data["question"],
        model=find_model(path, data["model"]),
        seed=data["seed"],
        draws=data["draws"],
        until=data.get("until"),
        later=_numbers(path, data.get("later", {})),
        measurements=tuple(data["measurements"]) if "measurements" in data else None,
        also=tuple(data.get("also", ())),
        set=_values(path, data.get("set", {})),
        switch=data.get("switch"),
        since=data.get("since"),
        without={
            cause: _values(path, typed(path, cause, values, dict))
            for cause, values in data.get("without", {}).items()
        },
        effort=Effort(**effort),
        forecast=forecast,
        posterior=data.get("posterior", False),
        recover=data.get("recover", 0),
        tables=table_folders(path, data.get("tables", [])),
    )


def _numbers(path: Path, table: Mapping[str, Any]) -> dict[str, float]:
    return {name: typed(path, name, value, float) for name, value in table.items()}


def _values(path: Path, table: Mapping[str, Any]) -> dict[str, float]:
    """Values of constants. Raises P311 where one is named twice."""
    refuse_twice(table, str(path))
    return _numbers(path, table)


def _published(path: Path, entry: Any) -> Published:
    entry = checked(path, typed(path, "published", entry, dict), _PUBLISHED, {}, "published")
    for key in ("time", "value"):
        entry[key] = [typed(path, key, value, float) for value in entry[key]]
    if len(entry["time"]) != len(entry["value"]):
        where = place(path, "published")
        raise RunError("R476", f"{where}: {entry['name']!r} needs one value for each time")
    values = dict(zip(entry.pop("time"), entry.pop("value"), strict=True))
    return Published(**entry, values=values)


def prepare_fit(run: FitRun, changed: Mapping[str, float] | None = None) -> Prepared:
    """Read and check all that a fit names; `changed` fixes further constants."""
    model = read_model(run.model, folders=run.tables)
    folder = model.path.parent
    check_names(model, run.file)
    parameters = read_parameters(model)
    series = series_of(model)
    measurements = read_measurements(folder / "measurements.toml", model, parameters, series)
    chosen = run.measurements or tuple(measurements)
    ahead = run.forecast.measurements if run.forecast else ()
    others = [entry.measurement for entry in run.forecast.published] if run.forecast else ()
    for name in (*chosen, *run.later, *ahead, *others):
        if name not in measurements:
            where, near = place(run.file, name), meant(name, measurements)
            raise RunError("R411", f"{where}: unknown measurement {name!r}{near}")
    values, once = {}, set()
    refuse_twice(changed or {}, "--set")
    for where, table in ((run.file, run.set), ("--set", changed or {})):
        for name, value in table.items():
            at = where if isinstance(where, str) else place(where, name)
            item = parameters.check_value(name, value, str(at))
            values[item.name] = value
            if where == "--set":
                once.add(item.name)
    for name, value in (run.forecast.set if run.forecast else {}).items():
        parameters.check_value(name, value, place(run.file, name))

    def find(name: str) -> Parameter:
        try:
            return parameters.find(name)
        except ParameterError as error:
            where = place(run.file, name)
            raise ParameterError("P305", f"{where}: {error.message}") from None

    if run.switch is not None and find(run.switch).role != "structural":
        where = place(run.file, "switch")
        raise RunError("R458", f"{where}: {run.switch} is {find(run.switch).role}, and no switch")
    for cause, table in run.without.items():
        if not table:
            where = place(run.file, cause)
            raise RunError("R454", f"{where}: {cause!r} names no constant that takes it away")
        for name, value in table.items():
            where = place(run.file, name)
            item = parameters.check_value(name, value, where)
            if item.name in values or (run.switch and item is find(run.switch)):
                where = "--set" if item.name in once else where
                raise RunError("R477", f"{where}: {item.name} is held by this run, and no cause")
    _check_later(run, measurements, chosen, ahead)
    also = {find(name).name for name in run.also}
    fitted = tuple(
        item
        for item in parameters.items
        if (item.role == "fitted" or item.name in also) and item.name not in values
    )
    for item in fitted:
        if item.role not in ("fitted", "uncertain"):
            where = place(run.file, item.name)
            raise RunError("R458", f"{where}: {item.name} is {item.role}, and has no prior to fit")
    if not fitted:
        if any(item.name in once for item in parameters.of_role("fitted")):
            raise RunError("R477", "--set: every constant that would be fitted is held")
        raise RunError("R478", f"{parameters.path}: no constant has the role fitted")
    return Prepared(
        run, model, parameters, measurements, tuple(dict.fromkeys(chosen)), fitted, values,
        _record(run, model, values),
    )  # fmt: skip


def _check_later(
    run: FitRun,
    measurements: Mapping[str, Measurement],
    chosen: Sequence[str],
    ahead: Sequence[str],
) -> None:
    """What is known for longer takes part and is not forecast; what others published is."""
    for name, year in run.later.items():
        where = place(run.file, name)
        if name not in chosen:
            raise RunError("R460", f"{where}: {name!r} takes no part in the fit")
        if run.until is None or year <= run.until:
            raise RunError("R470", f"{where}: later has to be after until")
        if name in ahead:
            raise RunError("R456", f"{where}: {name!r} is known for longer, and cannot be forecast")
    for entry in run.forecast.published if run.forecast else ():
        if entry.measurement not in ahead:
            where = place(run.file, entry.name)
            raise RunError("R460", f"{where}: {entry.measurement!r} is not forecast here")
        time = measurements[entry.measurement].series.time
        last = run.until + 1 + run.forecast.years
        strange = entry.values.keys() - set(time[(time >= run.until + 1) & (time < last)])
        if strange:
            where = place(run.file, entry.name)
            raise RunError(
                "R468",
                f"{where}: {entry.measurement!r} has no observation of {min(strange):g} in the "
                "years forecast",
            )


def variants(prepared: Prepared) -> list[Prepared]:
    """The fits that a run is made of: one a setting of its switch, or one a truth to recover.

    Raises R477 where the run holds its switch at a setting without weight.
    """
    run = prepared.run
    if run.switch is not None:
        switch = prepared.parameters.find(run.switch)
        found = [
            replace(prepared, set={**prepared.set, switch.name: s}, label=meaning(switch, s))
            for s, weight in zip(settings(switch), switch.weights, strict=True)
            if weight > 0 and prepared.set.get(switch.name, s) == s
        ]
        if not found:
            own = any(prepared.parameters.find(name) is switch for name in run.set)
            where = place(run.file, "switch") if own else "--set"
            raise RunError("R477", f"{where}: {switch.name} is held where it has no weight")
        return found
    if run.recover < 2:
        return [prepared]
    return [
        replace(prepared, run=replace(run, seed=run.seed + i), label=f"truth {i + 1}")
        for i in range(run.recover)
    ]


def _record(run: FitRun, model: Model, values: Mapping[str, float]) -> dict:
    return {
        "sdkit": __version__,
        "code": code_of(),
        "seed": run.seed,
        "draws": {"n": run.draws},
        "set": dict(values),
        "sha256": hashes_of(run.file, model, _FILES),
    }


def work_name(prepared: Prepared) -> str:
    """A name that changes with whatever decides the chains."""
    run = prepared.run
    hashes = {k: v for k, v in prepared.record["sha256"].items() if k != "run.toml"}
    # Chains go on where only more of them, or a stricter end, is asked for.
    effort = {k: v for k, v in vars(run.effort).items() if k not in ("most", "r_hat", "effective")}
    return name_of_work(
        run.seed, run.until, dict(run.later), run.recover > 0, prepared.chosen,
        [item.name for item in prepared.fitted], dict(prepared.set), effort, hashes,
    )  # fmt: skip
