"""The ensembles behind `simulate`: lanes in blocks, history once a draw, then a branch each policy.

Draws go through in chunks of bounded size, so that memory depends neither on their number nor on
that of scenarios and policies.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .cache import made_by
from .compile import Program
from .errors import ParameterError, SimulationError
from .experiment import Draws, Experiment, Setting, chunk_of, no_draws
from .expressions import key
from .failure import trace
from .history import AT_ONCE, DIFFERS, frontier_of
from .kernel import blocks, load_kernel, unblock, zeros
from .limits import bounded
from .measures import Measure, Plan
from .noise import beginnings, numbered
from .parameters import pack
from .settings import Delays
from .workers import finished

_SLICE = 64  # lanes a task of a thread
_CHUNK_BYTES = 2**26

Progress = Callable[[int, int], None]


def step_of(program: Program, dt: float, time: float) -> int:
    """The step at which a run comes to a time. Raises S204."""
    steps = (float(time) - program.initial_time) / dt
    last = steps_of(program, dt)
    if (
        not math.isfinite(steps)
        or abs(steps - round(steps)) > 1e-6
        or not 0 <= round(steps) <= last
    ):
        begin, end = program.initial_time, program.final_time
        where = "not on a step" if begin <= time <= end else "outside the run"
        raise SimulationError(
            "S204", f"time {time:g} is {where} ({begin:g} to {end:g} in steps of {dt:g})"
        )
    return round(steps)


def steps_of(program: Program, dt: float) -> int:
    """The number of steps of a whole run. Raises S204."""
    steps = (program.final_time - program.initial_time) / dt
    whole = math.floor(min(steps, 1e18) + 1e-6)
    bounded("steps", whole, f"{program.model.name}, a time step of {dt:g}", "S204")
    return whole


@dataclass
class _Lanes:
    """Lanes of one scenario and policy: constants, and what a run has made of them.

    p, s, m and g have the shape (blocks, items, width), values (measures' columns, lanes);
    failed (blocks, width) holds -2 or a step.
    """

    count: int
    p: np.ndarray
    s: np.ndarray
    m: np.ndarray
    g: np.ndarray
    values: np.ndarray
    failed: np.ndarray
    streams: np.ndarray  # (lanes, streams, 6)

    def steps(self) -> np.ndarray:
        """-2 or the step at which it failed, for each lane."""
        return self.failed.reshape(-1)[: self.count]


def _digest(values: tuple) -> str:
    digest = hashlib.sha256()
    for value in values:
        own = np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else None
        digest.update(repr(value).encode() if own is None else own)
    return digest.hexdigest()[:32]


class Ensemble:
    """All lanes of one experiment.

    `values` yields (chunk of draws, scenario number, policy number, array of shape measures'
    columns x draws of the chunk); lanes that failed are listed in `failures` and NaN there.
    """

    def __init__(
        self,
        program: Program,
        experiment: Experiment,
        defaults: np.ndarray,
        rk4: bool,
        dt: float,
        threads: int | None = None,
        seed: int = 0,
    ):
        self.program, self.experiment, self.rk4, self.dt = program, experiment, rk4, dt
        self.threads = max(threads or os.cpu_count() or 1, 1)
        self.defaults, self.draws, self.seed = defaults, experiment.draws, seed
        self.delays: Delays | None = None  # counts the lanes in which one is too short
        find = program.model.find
        labels = (label for n in experiment.outputs for label in find(n).defined)
        self.outputs = tuple(dict.fromkeys(labels))
        self.measures = self._measures()
        self.plan = Plan(self.measures, program.outputs, program.parameters, self._step)
        self.last = int(self.plan.window[1].max())
        self.branch = None
        if experiment.branch is not None:
            step = self._step(experiment.branch)
            if 0 < step < self.last and len(experiment.policies) > 1:
                self.branch = step
        self.kernel, self.failures = load_kernel(program.source), []
        self.buffer = steps_of(program, dt) + 1.0
        self.memory = program.memory + program.buffers * int(self.buffer)

    def fingerprint(self) -> dict[str, str]:
        """What decides the values, by its part: a text that changes with it, for a store."""
        draws, experiment = self.draws, self.experiment
        scenarios, policies = (
            [(s.name, sorted(s.values.items())) for s in settings]
            for settings in (experiment.scenarios, experiment.policies)
        )
        plan, how = self.plan, (self.rk4, self.dt, self.defaults, self.seed)
        parts = {
            "model, processor or version": (self.kernel.name, made_by(), *how),
            "scenarios": (scenarios,),
            "policies": (policies, self.branch),
            "draws": (draws.items, draws.n, draws.seed) if isinstance(draws, Draws)
            else (list(draws.columns), len(draws), draws.to_numpy(dtype=float)),
            "outputs, times or measures": (list(plan.columns), plan.gauge, plan.window, plan.datum),
        }  # fmt: skip
        return {part: _digest(values) for part, values in parts.items()}

    def reporter(self, progress: Progress | None) -> Callable[[int], None]:
        """What `values` tells its work to, in the form that `progress` takes."""
        done, total = 0, self.total()

        def report(work: int) -> None:
            nonlocal done
            done += work
            if progress:
                progress(min(done, total), total)

        return report

    def _step(self, time: float) -> int:
        return step_of(self.program, self.dt, time)

    def _measures(self) -> list[Measure]:
        """Outputs at the times of the experiment, and what else it measures."""
        experiment, outputs = self.experiment, self.outputs
        times = [float(t) for t in experiment.times]
        steps = [self._step(t) for t in times]
        if any(b <= a for a, b in pairwise(steps)) or not (steps or experiment.measures):
            raise SimulationError("S204", "times have to ascend, and there has to be one at least")
        find = self.program.model.find
        wanted = {find(n).name: find(n) for n in experiment.outputs}
        means = {find(n).name for n in experiment.averaged}
        if not means <= wanted.keys():
            raise SimulationError("S203", "averaged names something that is no output")
        averaged = {label for n in means for label in wanted[n].defined}
        others = {label for n in wanted.keys() - means for label in wanted[n].defined}
        if averaged & others:
            raise SimulationError("S208", "an array and an element of it, one of them averaged")
        points = [(t, t) for t in times]
        spans = [*points[:1], *pairwise(times)]
        found = []
        if times:
            for name in outputs:
                kind = ("mean", spans) if name in averaged else ("value", points)
                found.append(Measure(name, name, *kind))
        return [*found, *experiment.measures]

    @property
    def chunk(self) -> int:
        """Draws that go through together: a power of two, by the memory that a lane takes."""
        program = self.program
        lane = len(program.parameters) + 2 * (program.states + self.memory) + 2 * self.plan.width
        most = max(_CHUNK_BYTES // (8 * lane), 256)
        return 2 ** min(int(math.log2(most)), 14)

    def values(
        self,
        report: Callable[[int], None],
        wanted: Callable[[int, int, int], bool] = lambda *item: True,
        into: np.ndarray | None = None,
    ) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """Run all lanes, or those chunks of a scenario and policy that are `wanted`.

        `into` (columns, scenarios, policies, draws) takes the values, if it is given.
        """
        scenarios, policies = self.experiment.scenarios, self.experiment.policies
        for number, low in enumerate(range(0, len(self.draws), self.chunk)):
            draws = None
            for i, scenario in enumerate(scenarios):
                todo = [j for j in range(len(policies)) if wanted(number, i, j)]
                if not todo:
                    report(self._work(min(self.chunk, len(self.draws) - low), len(policies)))
                    continue
                if draws is None:
                    draws = chunk_of(self.draws, low, low + self.chunk)
                skipped = len(policies) - len(todo)
                report(len(draws) * skipped * (self.last - (self.branch or 0)))
                history = None
                if self.branch is not None:
                    history = self._start(draws, self._pack(draws, scenario, policies[0]), None)
                    self._run(history, 0, self.branch, self.plan.before(self.branch), report)
                for j in todo:
                    place = None if into is None else into[:, i, j, low : low + len(draws)]
                    packed = self._pack(draws, scenario, policies[j])
                    if self.delays is not None:
                        self.delays.look(self.program, packed)
                    lanes = self._start(draws, packed, place)
                    self._policy(lanes, history, report)
                    self._complete(lanes)
                    lost = np.flatnonzero(lanes.steps() != -2)
                    lanes.values[:, lost] = np.nan
                    lanes.values += 0.0  # a zero bears no sign, whoever shared its past
                    for lane in lost:
                        self._fail(draws, scenario, policies[j], lanes, int(lane))
                    yield number, i, j, lanes.values

    def _complete(self, lanes: _Lanes) -> None:
        """Add to likelihoods what depends on a draw alone, in the lanes that did not fail."""
        parameters = [key(name) for name in self.program.parameters]
        sound = np.flatnonzero(lanes.steps() == -2)
        for measure in self.experiment.measures:
            if measure.likelihood and measure.likelihood.factor is not None:
                p = unblock(lanes.p, sound)[:, parameters.index(key(measure.likelihood.factor))]
                column = self.plan.columns[measure.name].start
                lanes.values[column, sound] += measure.likelihood.of_draws(p)

    def total(self) -> int:
        """The work of the whole, in the unit that `report` is told."""
        return len(self.experiment.scenarios) * self._work(
            len(self.draws), len(self.experiment.policies)
        )

    def _work(self, draws: int, policies: int) -> int:
        split = self.branch or 0
        return draws * (split + policies * (self.last - split))

    # -- lanes -----------------------------------------------------------------------

    def _pack(self, draws, scenario: Setting, policy: Setting) -> np.ndarray:
        names = self.program.parameters[:-4]
        packed = pack(names, self.defaults[:-4], draws, scenario.values, policy.values)
        if not np.isfinite(packed).all():
            name = names[int(np.flatnonzero(~np.isfinite(packed).all(axis=0))[0])]
            raise ParameterError(
                "P308", f"{name} is not finite in {scenario.name!r}, {policy.name!r}"
            )
        self._inside(names, packed, draws, scenario, policy)
        controls = np.repeat(self.defaults[None, -4:], len(packed), axis=0)
        fixed = self.program.frozen | self.program.timing
        moved = [n for i, n in enumerate(names) if n in fixed
                 and (packed[:, i] != self.defaults[i]).any()]  # fmt: skip
        if moved:
            raise ParameterError("P309", f"{moved[0]!r} is the order of a delay, or sets the time")
        return np.hstack([packed, controls])

    def _inside(self, names, packed: np.ndarray, draws, scenario: Setting, policy: Setting) -> None:
        """Refuse values outside the hard bounds of the model (P308)."""
        touched = {key(str(n)) for n in (*draws.columns, *scenario.values, *policy.values)}
        for i, name in enumerate(names):
            if key(name) in touched:
                low, high = self.program.model.find(name).limits
                least, most = packed[:, i].min(), packed[:, i].max()
                if (low is not None and least < low) or (high is not None and most > high):
                    worst = least if low is not None and least < low else most
                    raise ParameterError(
                        "P308",
                        f"{name} = {worst:g} in {scenario.name!r}, {policy.name!r} is outside "
                        f"[{'?' if low is None else f'{low:g}'}, "
                        f"{'?' if high is None else f'{high:g}'}]",
                    )

    def _start(self, draws, packed: np.ndarray, place) -> _Lanes:
        numbers = numbered(draws.index, self.draws.index)
        streams = beginnings(self.seed, numbers, (*self.program.streams,))
        return self._fresh(packed, streams, place)

    def _fresh(
        self, packed: np.ndarray, streams: np.ndarray, place: np.ndarray | None = None
    ) -> _Lanes:
        """Lanes before their first step; packed has the shape (lanes, parameters)."""
        width = self.kernel.width
        p = blocks(packed, width)
        m = zeros((len(p), self.memory, width))
        m[:, 0] = self.buffer
        for i, at in enumerate(self.program.streams.values()):
            m[:, at : at + 6] = blocks(streams[:, i], width)
        if place is None:
            place = np.empty((self.plan.width, len(packed)))
        return _Lanes(
            len(packed), p, zeros((len(p), self.program.states, width)), m,
            zeros((len(p), self.plan.sums, width)), place,
            np.full((len(p), width), -2, dtype=np.int64), streams,
        )  # fmt: skip

    def _run(
        self, lanes: _Lanes, first: int, last: int, gauge: np.ndarray, report=None, columns=None
    ) -> None:
        """Take lanes from step `first` to `last`, in slices over threads.

        `columns` are those whose values this part of the run decides; all of them if left out.
        """
        program, kernel, plan = self.program, self.kernel, self.plan
        width = kernel.width
        size = max(program.states, len(program.outputs), 1)

        def work(low: int, high: int) -> int:
            c, x, y = (zeros(((n + 1) * width,))
                       for n in (program.derived, program.drivers, program.drivers))  # fmt: skip
            own = slice(low, high)
            out = zeros((high - low, plan.width, width))
            kernel(
                0, high - low, lanes.p[own], c, x, y, lanes.s[own], lanes.m[own], lanes.g[own],
                zeros((8, size, width)), np.zeros(plan.count + 1, dtype=np.int64), first, last,
                plan.count, gauge, plan.window, plan.datum, int(self.rk4),
                float(program.initial_time), float(self.dt), out, lanes.failed[own].reshape(-1),
                zeros(((kernel.frame + 1) * width,)),
            )  # fmt: skip
            # Here and not at the end: the thread still has these values at hand.
            begin, end = low * width, min(high * width, lanes.count)
            whole = (end - begin) // width
            middle = begin + whole * width
            decided = slice(None) if columns is None else columns
            into = lanes.values[:, begin:middle].reshape(plan.width, whole, width)  # a view
            into[decided] = out[:whole].transpose(1, 0, 2)[decided]
            if middle < end:
                lanes.values[decided, middle:end] = out[whole][decided, : end - middle]
            return end - begin

        many = len(lanes.p)
        share = max(_SLICE // width, 1)
        bounds = [(low, min(low + share, many)) for low in range(0, many, share)]
        with closing(finished(work, bounds, self.threads)) as results:
            for done in results:
                if report:
                    report(done * (last - first))

    def _policy(self, lanes: _Lanes, history: _Lanes | None, report) -> None:
        # A lane that failed at the branch may have failed of what the first policy does there.
        shared = None
        if history is not None and not (history.failed == self.branch).any():
            shared = self._shared(lanes, history)
        if shared is None or not shared.any():
            self._run(lanes, 0, self.last, self.plan.gauge, report)
            return
        for name in ("s", "m", "g", "values"):
            getattr(lanes, name)[:] = getattr(history, name)
        gauge = self.plan.after(self.branch)
        self._run(lanes, self.branch, self.last, gauge, report, self.plan.open(gauge))
        lost = history.failed != -2
        lanes.failed = np.where(lost, history.failed, lanes.failed)
        for name in ("s", "m"):
            own = getattr(lanes, name)
            own[:] = np.where(lost[:, None, :], getattr(history, name), own)
        others = np.flatnonzero(~shared)
        if len(others):  # these draws have a past of their own
            own = self._fresh(unblock(lanes.p, others), lanes.streams[others])
            self._run(own, 0, self.last, self.plan.gauge)
            block, place = np.divmod(others, self.kernel.width)
            for name in ("s", "m"):
                getattr(lanes, name)[block, :, place] = unblock(
                    getattr(own, name), range(own.count)
                )
            lanes.failed[block, place] = own.steps()
            lanes.values[:, others] = own.values

    def _shared(self, lanes: _Lanes, history: _Lanes) -> np.ndarray | None:
        """Which lanes have the past of the first policy, to the last bit (lanes,); None where the
        model does not tell (`history.py`)."""
        if np.array_equal(lanes.p, history.p):
            return np.ones(lanes.count, dtype=bool)
        if self._frontier is None:
            return None
        frontier, places, copied = self._frontier
        everything = slice(lanes.count)
        p, past = unblock(lanes.p, everything), unblock(history.p, everything)
        own = frontier._fresh(np.where(copied, past[:, places], p[:, places]), lanes.streams[:, :0])
        frontier._run(own, 0, self.branch, frontier.plan.gauge)
        opens, closes, _ = self.plan.window
        at_once = ((opens < self.branch) & (closes == self.branch)).any()
        counted = own.values[: 1 + int(at_once)]
        return (own.steps() == -2) & (counted == 0).all(axis=0)

    @cached_property
    def _frontier(self) -> tuple[Ensemble, np.ndarray, np.ndarray] | None:
        """What decides whether policies share their past, as an ensemble of its own; for each of
        its constants the place of ours, and whether it is that of the first policy."""
        if (made := frontier_of(self.program, self.experiment)) is None:
            return None
        frontier, places, copied = made
        alone, branch = (Setting("alone"),), self.program.initial_time + self.branch * self.dt
        wanted = Experiment(alone, alone, no_draws(), (DIFFERS, AT_ONCE), np.array([branch]))
        defaults = np.array(frontier.defaults)
        own = Ensemble(frontier, wanted, defaults, self.rk4, self.dt, self.threads)
        return own, places, copied

    # -- failures --------------------------------------------------------------------

    def _fail(self, draws, scenario, policy, lanes: _Lanes, lane: int) -> None:
        p, s, m = (unblock(array, [lane])[0] for array in (lanes.p, lanes.s, lanes.m))
        step = int(lanes.steps()[lane])
        name, reason = trace(self.program, p, s, m, step, self.rk4, self.dt)
        changed = {
            n: float(v)
            for n, v, d in zip(self.program.parameters, p, self.program.defaults, strict=True)
            if v != d
        }
        self.failures.append(
            {
                "draw": draws.index[lane],
                "scenario": scenario.name,
                "policy": policy.name,
                "time": self.program.initial_time + max(step, 0) * self.dt,
                "variable": name or "",
                "reason": reason,
                "parameters": changed,
            }
        )

    def summary(self) -> str:
        """One sentence on the lanes that failed."""
        first, count = self.failures[0], len(self.failures)
        shape = (self.experiment.scenarios, self.experiment.policies, self.draws)
        return (
            f"{count} of {math.prod(map(len, shape))} lanes failed; the first: draw "
            f"{first['draw']}, policy {first['policy']!r}, {first['variable'] or 'a value'} at "
            f"time {first['time']:g} ({first['reason']})"
        )
