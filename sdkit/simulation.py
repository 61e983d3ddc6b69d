"""Lanes in, a labelled result out: the one call that every question goes through.

A result is an xarray.Dataset with dimensions (time, scenario, policy, draw), one data
variable a model variable, its unit in attrs["units"]. A single run is plain Python; an
ensemble runs the same text compiled by LLVM (`ensemble.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr

from .compile import Program, compile_model
from .ensemble import Ensemble, Progress, steps_of
from .errors import ParameterError, SimulationError
from .experiment import Experiment
from .failure import explain, plain, scratch, trace
from .layout import AXES
from .measures import measure_unit
from .model import Model
from .translate import run_with_pysd

METHODS = ("euler", "rk4")


def simulate(
    program: Program | Model,
    experiment: Experiment | None = None,
    *,
    set: Mapping[str, float] | None = None,
    method: str | None = None,
    time_step: float | None = None,
    engine: str = "compiled",
    progress: Progress | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    """Run a model.

    Without an experiment: one run of every variable, saved at SAVEPER, with the constants
    named in `set` changed. With one: every scenario, policy and draw of it, the outputs and
    times that it names. `method` "euler" or "rk4" overrides the model's own, `time_step`
    its step. `engine="pysd"` runs the model through PySD, which integrates by Euler only.

    Returns a Dataset with dimensions (time, scenario, policy, draw).
    Raises SimulationError: S201 a value became NaN or infinite in a single run, S202 lanes
    of an ensemble failed (`failures` lists them), S203 to S207 bad names, times, methods or
    engines; ParameterError P305, P308 and P309 for values that cannot be set.
    """
    if method is not None and method not in METHODS:
        raise SimulationError("S205", f"integration method {method!r}")
    if engine == "pysd":
        model = program if isinstance(program, Model) else program.model
        return _simulate_pysd(model, dict(set or {}), method, experiment, time_step)
    if engine != "compiled":
        raise SimulationError("S207", f'engine {engine!r}; there are "compiled" and "pysd"')
    if isinstance(program, Model):
        program = compile_model(program, experiment.outputs if experiment else None)
    rk4 = (method or program.model.method) == "rk4"
    dt = program.time_step if time_step is None else float(time_step)
    if not (math.isfinite(dt) and dt > 0):
        raise SimulationError("S204", f"a time step of {time_step}")
    if experiment is None:
        return _single(program, dict(set or {}), rk4, dt)
    names = [*experiment.outputs, *(m.variable for m in experiment.measures)]
    names = list(dict.fromkeys(program.model.find(name).name for name in names))
    if not {*names} <= {*program.outputs}:
        program = program.with_outputs(names)
    defaults = _vector(program, dict(set or {}), dt)
    return _simulate_ensemble(Ensemble(program, experiment, defaults, rk4, dt, threads), progress)


def _vector(program: Program, values: Mapping[str, float], dt: float) -> np.ndarray:
    """The constants of one run (shape: parameters), defaults overlaid with `values`."""
    labels = {}
    for name, value in values.items():
        if not program.model.has(name):
            raise ParameterError("P305", f"{program.model.name} has no constant {name!r}")
        variable = program.model.find(name)
        if variable.kind != "constant":
            raise ParameterError("P305", f"{variable.name!r} is no constant ({variable.kind})")
        if variable.name in program.frozen and value != variable.value:
            raise ParameterError(
                "P309", f"{variable.name!r} is the order of a delay, or sets the time"
            )
        if not math.isfinite(value):
            raise ParameterError("P308", f"{variable.name} = {value}")
        low, high = variable.limits
        if (low is not None and value < low) or (high is not None and value > high):
            raise ParameterError("P308", f"{variable.name} = {value:g} is outside [{low}, {high}]")
        labels[variable.name] = float(value)
    p = np.array(program.defaults)
    for i, name in enumerate(program.parameters):
        if name in labels:
            p[i] = labels[name]
    p[-2] = dt
    return p


# -- one run, in plain Python ------------------------------------------------------------


def _single(program: Program, values: dict, rk4: bool, dt: float) -> xr.Dataset:
    space = plain(program.source)
    p = _vector(program, values, dt).tolist()
    steps = steps_of(program, dt)
    every = round(program.saveper / dt)
    if every < 1 or abs(program.saveper / dt - every) > 1e-6 * every:
        raise SimulationError(
            "S204", f"SAVEPER ({program.saveper:g}) is no multiple of the time step {dt:g}"
        )
    saves = list(range(0, steps + 1, every))
    out = [[0.0] * len(saves) for _ in program.outputs]
    c = [0.0] * program.derived
    x, y = [0.0] * program.drivers, [0.0] * program.drivers
    s = [0.0] * program.states
    m = [0.0] * (program.memory + program.buffers * (steps + 1))
    m[0] = steps + 1.0
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
    arrays = {
        name: np.array(row)[:, None, None, None]
        for name, row in zip(program.outputs, out, strict=True)
    }
    _warn_missing(program, arrays)
    return _dataset(program.model, arrays, times, ["default"], ["default"], [0], rk4, dt)


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


def _dataset(
    model, arrays, times, scenarios, policies, draws, rk4, dt, measured=None, windows=None
) -> xr.Dataset:
    own = {n: (AXES, values, {"units": model.find(n).unit}) for n, values in arrays.items()}
    axes = {"time": times, "scenario": scenarios, "policy": policies, "draw": draws}
    result = xr.Dataset(own | (measured or {}), coords=axes | (windows or {}))
    result.attrs = {
        "model": model.name,
        "method": "rk4" if rk4 else "euler",
        "time_step": dt,
        "model_hash": model.hash,
    }
    return result


def _simulate_pysd(model: Model, values, method, experiment, time_step) -> xr.Dataset:
    if experiment is not None or time_step is not None:
        raise SimulationError("S207", 'engine="pysd" makes single runs at the model\'s own step')
    if (method or model.method) != "euler":
        raise SimulationError("S206", f"{model.name} asks for {(method or model.method).upper()}")
    frame, columns = run_with_pysd(
        model.path, model.text, {model.find(n).name: v for n, v in values.items()}
    )
    times = np.asarray(frame.index, dtype=float)
    arrays = {}
    for label, column in columns.items():
        if label in model.variables and model.variables[label].kind != "lookup":
            arrays[label] = np.asarray(frame[column], dtype=float)[:, None, None, None]
    dt = float(arrays["TIME STEP"].flat[0]) if "TIME STEP" in arrays else math.nan
    return _dataset(model, arrays, times, ["default"], ["default"], [0], False, dt)


# -- ensembles ---------------------------------------------------------------------------


def _simulate_ensemble(ensemble: Ensemble, progress: Progress | None) -> xr.Dataset:
    experiment, program = ensemble.experiment, ensemble.program
    shape = (len(experiment.scenarios), len(experiment.policies), len(experiment.draws))
    whole = np.empty((ensemble.plan.width, *shape))
    arrays = {name: whole[columns] for name, columns in ensemble.plan.columns.items()}
    done, total = 0, ensemble.total()

    def report(work: int) -> None:
        nonlocal done
        done += work
        if progress:
            progress(min(done, total), total)

    for _ in ensemble.values(report, into=whole):
        pass
    if progress:
        progress(total, total)
    if ensemble.failures:
        raise SimulationError("S202", ensemble.summary(), ensemble.failures)
    _warn_missing(program, {n: arrays[n] for n in ensemble.outputs})
    measured, windows = {}, {}
    for measure in experiment.measures:
        axes, values = AXES[1:], arrays[measure.name]
        if measure.likelihood or len(measure.windows) == 1:
            values = values[0]
        else:
            axes = (f"{measure.name} window", *axes)
            windows[axes[0]] = [float(end) for _, end in measure.windows]
        unit = measure_unit(program.model, measure)
        measured[measure.name] = (axes, values, {"units": unit})
    return _dataset(
        program.model,
        {n: arrays[n] for n in ensemble.outputs},
        np.asarray(experiment.times, dtype=float),
        [s.name for s in experiment.scenarios],
        [s.name for s in experiment.policies],
        list(experiment.draws.index),
        ensemble.rk4,
        ensemble.dt,
        measured,
        windows,
    )
