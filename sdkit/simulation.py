"""Lanes in, a labelled result out: the one call that every question goes through.

A result is an xarray.Dataset with dimensions (time, scenario, policy, draw), then the
subscripts of an array; one data variable a model variable, its unit in attrs["units"]. A
single run is plain Python; an ensemble runs the same text compiled by LLVM (`ensemble.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from .compile import METHODS, Program, compile_model
from .ensemble import Ensemble, Progress, steps_of
from .errors import ParameterError, SimulationError
from .experiment import Experiment
from .expressions import CONTROLS, key
from .failure import explain, plain, scratch, trace
from .frames import arrays_of, whole
from .layout import AXES
from .limits import bounded
from .measures import measure_unit
from .model import Model, read_model, reader_of
from .names import meant
from .noise import beginnings
from .settings import Delays, cautions, refuse_times, time_settings
from .store import Store, open_store
from .translate import run_with_pysd
from .variables import Variable

_MOST_FAILURES = 1000  # lanes; what fails more often is no matter of single draws


def simulate(
    program: Program | Model | str | Path,
    experiment: Experiment | None = None,
    *,
    set: Mapping[str, float | Sequence[float]] | None = None,
    method: str | None = None,
    time_step: float | None = None,
    engine: str = "compiled",
    progress: Progress | None = None,
    threads: int | None = None,
    store: str | Path | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Run a model: a Program, a Model, or the path of one.

    Without an experiment: one run of every variable, saved at SAVEPER, with the constants
    named in `set` changed; an array by its name (one number for all, or a list of all in the order
    of `Variable.labels`) or element by element, and INITIAL TIME, FINAL TIME, TIME STEP and
    SAVEPER too. With one: every scenario, policy and draw of it, the outputs and
    times that it names. `method` "euler" or "rk4" overrides the model's own, `time_step`
    its step. `engine="pysd"` runs the model through PySD, which integrates by Euler only.
    `store` names a folder for an ensemble that is larger than memory: its chunks are written
    as they are made, the same call goes on after an interruption, and what comes back is read
    from there when it is used (`quantiles` needs little memory). Chunks in which lanes fail are
    left out, and S202 is raised at the end: such a store is not finished until its draws are.

    Random functions draw from streams that `seed`, the draw and the variable decide, the same in
    all scenarios and policies. With PySD they come from NumPy's, seeded with it.

    `progress` is called with the work done and the whole of it, now and then, and may raise.

    Returns a Dataset with dimensions (time, scenario, policy, draw), and behind them one for each
    subscript, named after its range; a measure without or with
    one window has no time, one with several a dimension "NAME window" (their ends). Outputs bear
    the model's own spelling. Raises SimulationError: S201 a value became NaN or infinite in a
    single run, S202 lanes of an ensemble failed (`failures` lists them), S203 to S209 bad names,
    times, methods, engines or experiments; ParameterError P305, P308, P309 and P311 for values that
    cannot be set; RunError R414 to R418 and U603 where a store cannot be written or holds
    something else.
    """
    if isinstance(program, str | Path):
        program = read_model(program)
    if not isinstance(program, Program | Model):
        kind = type(program).__name__
        text = f"simulate takes a Model, a Program or the path of a model, not {kind}"
        raise SimulationError("S213", text)
    if method is not None and method not in METHODS:
        raise SimulationError("S205", f"integration method {method!r}{meant(method, METHODS)}")
    if store is not None and experiment is None:
        raise SimulationError("S207", "a store is for ensembles")
    values = dict(set or {})
    if engine == "pysd":
        model = program if isinstance(program, Model) else program.model
        return _simulate_pysd(model, values, method, experiment, time_step, seed)
    if engine != "compiled":
        raise SimulationError("S207", f"engine {engine!r}{meant(engine, ('compiled', 'pysd'))}")
    if isinstance(program, Model):
        model = replace(program, method=method) if method else program
        program = compile_model(model, experiment.outputs if experiment else None)
    values = _by_label(program.model, program.frozen, values)
    times = {n: v for n, v in values.items() if n in program.timing or key(n) in CONTROLS}
    program = program.timed(times)
    rk4 = (method or program.model.method) == "rk4"
    dt = program.time_step if time_step is None else float(time_step)
    if not (math.isfinite(dt) and dt > 0):
        raise SimulationError("S204", f"a time step of {time_step}")
    if dt != program.time_step and "TIME STEP" in program.frozen:
        raise ParameterError("P309", "TIME STEP decides the order of a delay")
    settings = {k: getattr(program, k) for k in CONTROLS} | {"time_step": dt}
    if experiment is not None:
        settings["saveper"] = dt  # an experiment names its times
    given = {key(n): v for n, v in values.items()}
    steps_of(program, dt)
    delays = Delays(program.model, program.delays, dt, rk4)
    told = {} if experiment else delays.of_run(given, program.initial_time)
    for text in (*cautions(settings), *told.values()):
        warnings.warn(f"{program.model.name}: {text}", stacklevel=2)
    if experiment is None:
        found, saved = _single(program, values, rk4, dt, seed)
        more = delays.of_series(given | saved, found.time.to_numpy())
        for text in (more[label] for label in more if label not in told):
            warnings.warn(f"{program.model.name}: {text}", stacklevel=2)
        return found
    names = [*experiment.outputs, *(program.model.scalar(m.variable).name
                                    for m in experiment.measures)]  # fmt: skip
    # What is not asked for need not be computed: a kernel of all variables is half as fast.
    names = list(dict.fromkeys(n for name in names for n in program.model.find(name).defined))
    if {*names} != {*program.outputs}:
        program = program.with_outputs(names).timed(times)
    defaults = _vector(program, values, dt)
    ensemble = Ensemble(program, experiment, defaults, rk4, dt, threads, seed)
    ensemble.delays = delays = Delays(program.model, program.delays, dt, rk4)
    try:
        if store is not None:
            return _stream_ensemble(ensemble, Path(store), progress)
        return _simulate_ensemble(ensemble, progress)
    finally:  # what failed may have failed of them
        for text in delays.of_lanes().values():
            warnings.warn(f"{program.model.name}: {text}", stacklevel=2)


def _by_label(
    model: Model, frozen: frozenset[str], values: Mapping[str, float | Sequence[float]]
) -> dict[str, float]:
    """Values by the labels of constants and time settings, arrays element by element."""
    found: dict[str, float] = {}
    given: dict[str, str] = {}
    for name, value in values.items():
        if not model.has(name):
            near = meant(name, model.constants, listed=False)
            raise ParameterError("P305", f"{model.name} has no constant {name!r}{near}")
        variable = model.find(name)
        if variable.kind not in ("constant", "control"):
            raise ParameterError("P305", f"{variable.name!r} is no constant ({variable.kind})")
        numbers = _numbers(variable, value)
        for label, number in zip(variable.labels, numbers.tolist(), strict=True):
            other = given.setdefault(label, name)
            if other is not name:
                raise ParameterError("P311", f"set: {other!r} and {name!r} both give {label}")
            _check_value(model, frozen, variable, label, number)
            found[label] = number
    return found


def _numbers(variable: Variable, value) -> np.ndarray:
    """The numbers of all elements, from one, from a list of all, or from an array of their shape
    (an xarray.DataArray is turned to it by the names of its dimensions). Raises P308."""
    sizes = [len(elements) for _, elements in variable.axes]
    try:
        if isinstance(value, xr.DataArray):
            value = value.transpose(*(name for name, _ in variable.axes))
        found = np.asarray(value, dtype=float)
        if found.ndim > 1 and list(found.shape) != sizes:
            raise ValueError
        return np.broadcast_to(found.ravel(), len(variable.labels))
    except (TypeError, ValueError):
        shape = " x ".join(map(str, sizes)) or "1"
        raise ParameterError("P308", f"{variable.name} takes {shape} number(s)") from None


def _check_value(
    model: Model, frozen: frozenset[str], variable: Variable, label: str, value: float
) -> None:
    own = model.find(label).value
    if label in frozen and (own is None or value != own):
        raise ParameterError("P309", f"{label!r} decides the order of a delay")
    if not math.isfinite(value):
        raise ParameterError("P308", f"{label} = {value}")
    low, high = variable.limits
    if (low is not None and value < low) or (high is not None and value > high):
        raise ParameterError("P308", f"{label} = {value:g} is outside [{low}, {high}]")


def _vector(program: Program, values: Mapping[str, float], dt: float) -> np.ndarray:
    """The constants of one run (shape: parameters), defaults overlaid with `values` by label."""
    p = np.array(program.defaults)
    for i, name in enumerate(program.parameters[:-4]):
        if name in values:
            p[i] = values[name]
    p[-2] = dt
    return p


# -- one run, in plain Python ------------------------------------------------------------


def _single(program: Program, values: dict, rk4: bool, dt: float, seed: int) -> tuple:
    """The result, and values over time by keys of labels."""
    space = plain(program.source)
    p = _vector(program, values, dt).tolist()
    steps = steps_of(program, dt)
    every = round(program.saveper / dt)
    if every < 1 or abs(program.saveper / dt - every) > 1e-6 * every:
        raise SimulationError(
            "S204", f"SAVEPER ({program.saveper:g}) is no multiple of the time step {dt:g}"
        )
    kept = (steps // every + 1) * len(program.outputs) + program.buffers * (steps + 1)
    bounded("saved", kept, program.model.name)
    saves = list(range(0, steps + 1, every))
    out = [[0.0] * len(saves) for _ in program.outputs]
    c = [0.0] * program.derived
    x, y = [0.0] * program.drivers, [0.0] * program.drivers
    s = [0.0] * program.states
    m = [0.0] * (program.memory + program.buffers * (steps + 1))
    m[0] = steps + 1.0
    for place, six in zip(program.streams.values(), _first_numbers(program, seed), strict=True):
        m[place : place + 6] = six
    work, at = scratch(program), [-1]
    start = program.initial_time
    try:
        space["constants"](p, c, start, dt)
        space["drivers"](start, dt, p, c, x)
        space["initial"](start, dt, p, c, x, s, m)
        space["run"](p, c, x, y, s, m, work, 0, steps, saves, rk4, start, dt, out, at)
    except (ArithmeticError, ValueError) as error:
        found = explain(program, error, s, work)
        if found[0] is None and at[0] >= 0:
            found = trace(program, p, s, m, at[0], rk4, dt)
        raise SimulationError(
            "S201", _sentence(found, start + max(at[0], 0) * dt, values)
        ) from None
    times = start + dt * np.array(saves)
    found = {name: np.array(row) for name, row in zip(program.outputs, out, strict=True)}
    _warn_missing(program, found)
    own = {v.name: v for v in map(program.model.owners.get, program.outputs)}
    arrays = {name: whole(variable, found) for name, variable in own.items()}
    saved = {key(label): row for label, row in found.items()}
    return _dataset(program.model, arrays, times, rk4, dt), saved


def _first_numbers(program: Program, seed: int) -> list[list[float]]:
    """Where the streams of a single run begin: those of draw 0."""
    return beginnings(seed, np.zeros(1), (*program.streams,))[0].tolist()


def by_label(model: Model, result: xr.Dataset) -> dict[str, np.ndarray]:
    """The values of a single run over time (shape: times), by label: arrays element by element."""
    found = {}
    for name in result:
        variable = model.find(name)
        rows = result[name].to_numpy()[:, 0, 0, 0].reshape(result.sizes["time"], -1).T
        own = dict(zip(variable.labels, rows, strict=True))
        found |= {label: own[label] for label in variable.defined}
    return found


def _own_axes(variable: Variable) -> dict[str, tuple[str, ...]]:
    """The dimensions of an array behind the four, by a name that none of those bears."""
    return {f"{n} (range)" if n in AXES else n: elements for n, elements in variable.axes}


def _sentence(found: tuple, time: float, values: Mapping[str, float]) -> str:
    name, reason = found
    shown = ", ".join(f"{n} = {v:g}" for n, v in values.items()) or "the model's defaults"
    return f"{name or 'a value'} at time {time:g}: {reason} (parameters: {shown})"


def _warn_missing(program: Program, arrays: Mapping[str, np.ndarray]) -> None:
    if program.model.missing_values:
        names = [name for name, values in arrays.items() if np.isnan(values).any()]
        if names:
            warnings.warn(
                f"{program.model.name}: missing values (:NA:) in {', '.join(names[:5])}",
                stacklevel=3,
            )


def _dataset(model, arrays, times, rk4, dt) -> xr.Dataset:
    """A single run: by name arrays of shape (time, subscripts)."""
    data, axes = {}, {}
    for name, values in arrays.items():
        variable = model.find(name)
        own = _own_axes(variable)
        axes |= {dim: list(elements) for dim, elements in own.items()}
        data[name] = ((*AXES, *own), values[:, None, None, None], {"units": variable.unit})
    single = {"time": times, "scenario": ["default"], "policy": ["default"], "draw": [0]}
    return xr.Dataset(data, coords=single | axes, attrs=_attributes(model, rk4, dt))


def _attributes(model: Model, rk4: bool, dt: float) -> dict:
    return {
        "model": model.name,
        "method": "rk4" if rk4 else "euler",
        "time_step": dt,
        "model_hash": model.hash,
    }


def _simulate_pysd(model: Model, values, method, experiment, time_step, seed) -> xr.Dataset:
    if experiment is not None or time_step is not None:
        raise SimulationError("S207", 'engine="pysd" makes single runs at the model\'s own step')
    if (method or model.method) != "euler":
        raise SimulationError("S206", f"{model.name} asks for {(method or model.method).upper()}")
    for name in values:
        model.find(name)
    values = _by_label(model, frozenset(), values)
    times = {}
    if values and any(key(n) in CONTROLS or n in time_settings(model)[1] for n in values):
        controls, _ = time_settings(model, {key(n): v for n, v in values.items()})
        times = {"initial_condition": (controls["initial_time"], {})}
        times |= {k: controls[k] for k in ("final_time", "time_step", "saveper")}
    given: dict[str, float | xr.DataArray] = {}
    for label in values:
        variable = model.owners[label]
        if variable.kind != "constant" or variable.name in given:
            continue
        if not variable.axes:
            given[variable.name] = values[label]
            continue
        own = dict(zip(variable.labels, variable.value, strict=True)) | values
        shape = [len(elements) for _, elements in variable.axes]
        numbers = np.array([own[n] for n in variable.labels]).reshape(shape)
        given[variable.name] = xr.DataArray(
            numbers, {n: list(e) for n, e in variable.axes}, [n for n, _ in variable.axes]
        )
    if not times:
        refuse_times(model)
    file, _ = reader_of(model.path, model.text).abstract()
    frame = run_with_pysd(model.path, file, given, times, model.data, seed)
    arrays, times_saved = arrays_of(model, frame)
    dt = float(arrays["TIME STEP"].flat[0]) if "TIME STEP" in arrays else math.nan
    return _dataset(model, arrays, times_saved, False, dt)


# -- ensembles ---------------------------------------------------------------------------


def _simulate_ensemble(ensemble: Ensemble, progress: Progress | None) -> xr.Dataset:
    shape = (
        len(ensemble.experiment.scenarios),
        len(ensemble.experiment.policies),
        len(ensemble.draws),
    )
    whole = np.empty((ensemble.plan.width, *shape))
    for _ in ensemble.values(ensemble.reporter(progress), into=whole):
        pass
    if ensemble.failures:
        raise SimulationError("S202", ensemble.summary(), ensemble.failures)
    arrays, axes = _described(ensemble)
    values = _by_name(ensemble, arrays, whole)
    _warn_missing(ensemble.program, values)
    return xr.Dataset(
        {n: (dims, values[n], {"units": unit}) for n, (dims, unit) in arrays.items()},
        coords=axes,
        attrs=_attributes(ensemble.program.model, ensemble.rk4, ensemble.dt),
    )


def _stream_ensemble(ensemble: Ensemble, path: Path, progress: Progress | None) -> xr.Dataset:
    arrays, axes = _described(ensemble)
    attributes = _attributes(ensemble.program.model, ensemble.rk4, ensemble.dt)
    described = {name: (dims, unit, {}) for name, (dims, unit) in arrays.items()}
    with Store.open(
        path, described, axes, attributes, ensemble.chunk, ensemble.fingerprint()
    ) as store:
        missing, missing_values = set(store.missing()), {}
        found = ensemble.values(ensemble.reporter(progress), lambda *item: item in missing)
        failed = 0
        for *item, values in found:
            if len(ensemble.failures) > failed:  # the other chunks are made all the same
                failed = len(ensemble.failures)
                if failed > _MOST_FAILURES:
                    break
                continue
            parts = _by_name(ensemble, arrays, values)
            missing_values |= {n: np.array(np.nan) for n, v in parts.items() if np.isnan(v).any()}
            store.write(tuple(item), parts)
        if failed:
            raise SimulationError("S202", ensemble.summary(), ensemble.failures)
        store.finish()
    _warn_missing(ensemble.program, missing_values)
    return open_store(path)


def _by_name(ensemble: Ensemble, arrays: dict, values: np.ndarray) -> dict[str, np.ndarray]:
    """The values of each result: its columns, or the one column of what has no axis of its own."""
    found, columns = {}, ensemble.plan.columns
    for name, (dims, _) in arrays.items():
        if name in columns:
            own = columns[name]
            several = len(dims) == len(AXES)
            found[name] = values[own] if several else values[own.start]
        else:
            variable = ensemble.program.model.find(name)
            own = {n: values[columns[n]] for n in variable.defined}
            found[name] = whole(variable, own)
    return found


def _described(ensemble: Ensemble) -> tuple[dict, dict]:
    """Of each result its dimensions and unit, and the coordinates of all dimensions."""
    experiment, model = ensemble.experiment, ensemble.program.model
    axes = {
        "time": np.asarray(experiment.times, dtype=float),
        "scenario": [s.name for s in experiment.scenarios],
        "policy": [s.name for s in experiment.policies],
        "draw": np.asarray(ensemble.draws.index),
    }
    arrays, subscripts = {}, {}
    for name in experiment.outputs:
        variable = model.find(name)
        own = _own_axes(variable)
        subscripts |= {dim: list(elements) for dim, elements in own.items()}
        arrays[variable.name] = ((*AXES, *own), variable.unit)
    if not len(experiment.times):
        arrays, subscripts = {}, {}
        axes = {n: a for n, a in axes.items() if n != "time"}
    for measure in experiment.measures:
        if measure.name in arrays:
            raise SimulationError("S208", f"two results are named {measure.name!r}")
        dims = AXES[1:]
        if measure.likelihood is None and len(measure.windows) > 1:
            dims = (f"{measure.name} window", *dims)
            axes[dims[0]] = [float(end) for _, end in measure.windows]
        arrays[measure.name] = (dims, measure_unit(model, measure))
    return arrays, axes | subscripts
