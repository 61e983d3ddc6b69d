"""Lanes in, a labelled result out: the one call that every question goes through.

A result is an xarray.Dataset with dimensions (time, scenario, policy, draw), one data
variable a model variable, its unit in attrs["units"]. A single run is plain Python; an
ensemble runs the same text compiled by Numba, lanes sliced over threads.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import numpy as np
import xarray as xr

from .compile import Program, compile_model
from .errors import ParameterError, SimulationError
from .experiment import Experiment, Setting
from .expressions import key
from .failure import explain, plain, scratch, trace
from .kernel import load_kernel
from .layout import AXES
from .model import Model
from .parameters import pack
from .translate import run_with_pysd

METHODS = ("euler", "rk4")
_CHUNK = 64
_CHECKED_DRAWS = 4
_FEW_VALUES = 12  # a parameter with no more distinct values is a switch

Progress = Callable[[int, int], None]


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
    if program.outputs != tuple(program.model.find(n).name for n in experiment.outputs):
        program = program.with_outputs(experiment.outputs)
    return _Ensemble(program, experiment, dict(set or {}), rk4, dt, threads).run(progress)


def _steps(program: Program, dt: float) -> int:
    steps = (program.final_time - program.initial_time) / dt
    if steps > 1e8:
        raise SimulationError("S204", f"{steps:.3g} steps are more than a run may have")
    return math.floor(steps + 1e-6)


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
    steps = _steps(program, dt)
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
    averaged = [0.0] * len(program.outputs)
    start = program.initial_time
    try:
        space["constants"](p, c, start, dt)
        space["drivers"](start, dt, p, c, x)
        space["initial"](start, dt, p, c, x, s, m)
        space["run"](p, c, x, y, s, m, work, 0, steps, saves, averaged, rk4, start, dt, out, at)
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


def _dataset(model, arrays, times, scenarios, policies, draws, rk4, dt) -> xr.Dataset:
    result = xr.Dataset(
        {name: (AXES, values, {"units": model.find(name).unit}) for name, values in arrays.items()},
        coords={"time": times, "scenario": scenarios, "policy": policies, "draw": draws},
    )
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


class _Ensemble:
    """All lanes of one experiment: history once a draw, then a branch for each policy."""

    def __init__(self, program, experiment, values, rk4, dt, threads):
        self.program, self.experiment, self.rk4, self.dt = program, experiment, rk4, dt
        self.start = program.initial_time
        self.threads = max(threads or os.cpu_count() or 1, 1)
        self.defaults = _vector(program, values, dt)
        self.draws = experiment.draws
        self.saves = self._save_steps()
        self.branch = None
        if experiment.branch is not None:
            step = self._step(experiment.branch)
            if step not in self.saves:
                raise SimulationError(
                    "S204", f"the branch at {experiment.branch:g} is no saved time"
                )
            self.branch = (
                step if 0 < step < self.saves[-1] and len(experiment.policies) > 1 else None
            )
        averaged = {key(program.model.find(n).name) for n in experiment.averaged}
        if not averaged <= {key(n) for n in program.outputs}:
            raise SimulationError("S203", "averaged names something that is no output")
        self.averaged = np.array([float(key(n) in averaged) for n in program.outputs])
        self.kernel = load_kernel(program.source)
        shape = [len(experiment.scenarios), len(experiment.policies), len(self.draws)]
        self.result = np.full((len(program.outputs), len(self.saves), *shape), np.nan)
        self.failures: list[dict] = []

    def _step(self, time: float) -> int:
        steps = (float(time) - self.start) / self.dt
        last = _steps(self.program, self.dt)
        if (
            not math.isfinite(steps)
            or abs(steps - round(steps)) > 1e-6
            or not 0 <= round(steps) <= last
        ):
            raise SimulationError("S204", f"time {time:g} is outside the run or not on a step")
        return round(steps)

    def _save_steps(self) -> np.ndarray:
        saves = np.array([self._step(time) for time in self.experiment.times], dtype=np.int64)
        if len(saves) == 0 or (np.diff(saves) <= 0).any():
            raise SimulationError("S204", "times have to ascend, and there has to be one at least")
        return saves

    def run(self, progress: Progress | None) -> xr.Dataset:
        scenarios, policies = self.experiment.scenarios, self.experiment.policies
        last = int(self.saves[-1])
        split = self.branch if self.branch is not None else 0
        done, total = 0, len(scenarios) * len(self.draws) * (split + len(policies) * (last - split))

        def report(steps: int) -> None:
            nonlocal done
            done += steps
            if progress:
                progress(min(done, total), total)

        for i, scenario in enumerate(scenarios):
            history = (
                self._history(scenario, policies[0], report) if self.branch is not None else None
            )
            for j, policy in enumerate(policies):
                self._policy(i, j, scenario, policy, history, report)
        if progress:
            progress(total, total)
        if self.failures:
            raise SimulationError("S202", self._summary(), self.failures)
        arrays = dict(zip(self.program.outputs, self.result, strict=True))
        _warn_missing(self.program, arrays)
        times = self.start + self.dt * self.saves
        return _dataset(
            self.program.model,
            arrays,
            times,
            [s.name for s in scenarios],
            [s.name for s in policies],
            list(self.draws.index),
            self.rk4,
            self.dt,
        )

    def _pack(self, scenario: Setting, policy: Setting) -> np.ndarray:
        names = self.program.parameters[:-4]
        packed = pack(names, self.defaults[:-4], self.draws, scenario.values, policy.values)
        if not np.isfinite(packed).all():
            name = names[int(np.flatnonzero(~np.isfinite(packed).all(axis=0))[0])]
            raise ParameterError(
                "P308", f"{name} is not finite in {scenario.name!r}, {policy.name!r}"
            )
        controls = np.repeat(self.defaults[None, -4:], len(packed), axis=0)
        moved = [n for i, n in enumerate(names) if n in self.program.frozen
                 and (packed[:, i] != self.defaults[i]).any()]  # fmt: skip
        if moved:
            raise ParameterError("P309", f"{moved[0]!r} is the order of a delay, or sets the time")
        return np.ascontiguousarray(np.hstack([packed, controls]))

    def _lanes(self, p, first, last, saves, states=None, report=None):
        """Run the lanes of p (shape: lanes, parameters) in slices over threads.

        Returns out (lanes, outputs, saves), states, memory and failed (step or -2).
        """
        program, count = self.program, len(p)
        steps = _steps(program, self.dt)
        width = program.memory + program.buffers * (steps + 1)
        if states is None:
            s = np.zeros((count, program.states))
            m = np.zeros((count, width))
            m[:, 0] = steps + 1.0
        else:
            s, m = states[0].copy(), states[1].copy()
        out = np.full((count, len(program.outputs), len(saves)), np.nan)
        failed = np.full(count, -2, dtype=np.int64)
        size = max(program.states, len(program.outputs), 1)

        def slice_of(low: int, high: int) -> int:
            c, x, y = (np.zeros(n) for n in (program.derived, program.drivers, program.drivers))
            work, at = np.zeros((8, size)), np.zeros(1, dtype=np.int64)
            self.kernel(
                low, high, p, c, x, y, s, m, work, first, last, saves, self.averaged, self.rk4,
                self.start, self.dt, out, at, failed,
            )  # fmt: skip
            return high - low

        try:
            slice_of(0, 0)  # compiles, or loads, before the threads start
        except Exception:  # no lane ran: the cache is damaged, or its disk is full
            self.kernel = load_kernel(program.source, from_disk=False)
            slice_of(0, 0)
        bounds = [(low, min(low + _CHUNK, count)) for low in range(0, count, _CHUNK)]
        pool = ThreadPoolExecutor(max_workers=min(self.threads, len(bounds)) or 1)
        try:
            pending = {pool.submit(slice_of, *pair) for pair in bounds}
            while pending:
                # The time-out lets Ctrl-C reach the main thread.
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    lanes = future.result()
                    if report:
                        report(lanes * (last - first))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return out, s, m, failed

    def _history(self, scenario: Setting, policy: Setting, report):
        saves = self.saves[self.saves <= self.branch]
        p = self._pack(scenario, policy)
        out, s, m, failed = self._lanes(p, 0, self.branch, saves, report=report)
        return p, out, s, m, failed

    def _shares(self, p: np.ndarray, history) -> bool:
        """Whether a policy leaves history alone, to the last bit.

        Looked at in the first draws and in one draw for each setting of each switch (a
        column of few distinct values), since a switch can turn a lever's early effect on.
        """
        if np.array_equal(p, history[0]):
            return True
        few = set(range(min(_CHECKED_DRAWS, len(p))))
        for column in (*p.T, *history[0].T):
            _, first = np.unique(column, return_index=True)
            if len(first) <= _FEW_VALUES:
                few.update(first.tolist())
        lanes = sorted(few)
        saves = self.saves[self.saves <= self.branch]
        own = self._lanes(np.ascontiguousarray(p[lanes]), 0, self.branch, saves)
        # Of the last saved time only the states count: a policy may begin to act there.
        return all(
            np.array_equal(a, b[lanes], equal_nan=True)
            for a, b in (
                (own[0][..., :-1], history[1][..., :-1]),
                *zip(own[1:], history[2:], strict=True),
            )
        )

    def _policy(self, i, j, scenario, policy, history, report) -> None:
        p = self._pack(scenario, policy)
        last = int(self.saves[-1])
        if history is not None and self._shares(p, history):
            past, states, failed_before = history[1], (history[2], history[3]), history[4]
            later = self.saves[self.saves >= self.branch]
            sound = failed_before == -2
            out, s, m, failed = self._lanes(p, self.branch, last, later, states, report)
            failed = np.where(sound, failed, failed_before)
            s, m = np.where(sound[:, None], s, states[0]), np.where(sound[:, None], m, states[1])
            # The branch time itself belongs to history, where a mean ends.
            points = self.averaged == 0.0
            joined = np.concatenate([past, out[:, :, 1:]], axis=2)
            joined[:, points, past.shape[2] - 1] = out[:, points, 0]
        else:
            joined, s, m, failed = self._lanes(p, 0, last, self.saves, report=report)
        bad = failed != -2
        joined[bad] = np.nan
        self.result[:, :, i, j, :] = np.moveaxis(joined, 0, -1)
        for lane in np.flatnonzero(bad):
            self._fail(scenario, policy, lane, p[lane], s[lane], m[lane], int(failed[lane]))

    def _fail(self, scenario, policy, lane, p, s, m, step) -> None:
        name, reason = trace(self.program, p, s, m, step, self.rk4, self.dt)
        changed = {
            n: float(v)
            for n, v, d in zip(self.program.parameters, p, self.program.defaults, strict=True)
            if v != d
        }
        self.failures.append(
            {
                "draw": self.draws.index[lane],
                "scenario": scenario.name,
                "policy": policy.name,
                "time": self.start + max(step, 0) * self.dt,
                "variable": name or "",
                "reason": reason,
                "parameters": changed,
            }
        )

    def _summary(self) -> str:
        first, count = self.failures[0], len(self.failures)
        lanes = self.result[0, 0].size
        return (
            f"{count} of {lanes} lanes failed; the first: draw {first['draw']}, policy "
            f"{first['policy']!r}, {first['variable'] or 'a value'} at time {first['time']:g} "
            f"({first['reason']})"
        )
