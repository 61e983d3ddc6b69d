"""Every run that the checks of a model need, made in a copy of the model that can be probed.

The copy starts a stock where a check wants it, and carries hidden stocks that balance an
account. It is compiled once; lanes run in slices, so that memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, reduce

import numpy as np
import pandas as pd

from .checks import STOCKS, Check
from .compile import Program, compile_model
from .errors import SimulationError
from .experiment import Experiment, Setting, sample
from .expressions import key, rebuilt, walk
from .layout import AXES
from .measures import Measure
from .model import Model, Variable
from .observations import Series
from .parameters import Parameters
from .simulation import by_label, simulate

# Lanes that go through together. Of most only extremes are kept, which the kernel finds; the
# default run, of which checks may read every variable over time, goes alone.
SLICE = 128
# What counts as rounding: 1e-9 of the largest magnitude that a variable has. RK4 adds
# some hundred terms a step in 1e-16 each; a real fault is orders of magnitude larger.
ROUNDING = 1e-9


class Runs:
    """Lanes asked for first (`lane`, `starts`, `balance`), then simulated, then read.

    `headlines` are the variables that a test of the step watches, `data` the observed series
    by name, `failed` what stopped a lane. With `plain` nothing is
    compiled: a lane runs in plain Python when it is first read, which is quicker
    where a model is run a few times only.
    """

    def __init__(
        self,
        model: Model,
        parameters: Parameters,
        headlines: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        plain: bool = False,
    ):
        self.model, self.parameters = model, parameters
        self.headlines = [model.find(name).name for name in headlines]
        self.progress, self.plain = progress, plain
        self.everything = False  # whether all variables are looked at, not only those kept
        self.failed: dict[int, str] = {}  # lane -> what stopped it
        self.data: Mapping[str, Series] = {}
        self._variables = dict(model.variables)
        self._labels = {key(name): name for name in model.variables}
        self._wanted: set[str] = set()
        self._lanes: list[dict[str, float]] = []
        self._keep: list[set[str]] = []
        self._index: dict[frozenset, int] = {}
        self._series: dict[int, dict[str, np.ndarray]] = {}
        self._extremes: dict[int, np.ndarray] = {}
        self.lane()  # lane 0 is the default run

    # -- asking --------------------------------------------------------------------------

    def lane(self, *layers: Mapping[str, float], keep: Iterable[str] = ()) -> int:
        """The number of the run with these values (later layers win).

        The values over time of the variables in `keep` can be read afterwards.
        """
        values = {self._label(n): float(x) for layer in layers for n, x in layer.items()}
        values = {n: x for n, x in values.items() if x != self._value(n)}
        number = self._index.setdefault(frozenset(values.items()), len(self._lanes))
        if number == len(self._lanes):
            self._lanes.append(values)
            self._keep.append(set())
        self._keep[number].update(map(self._label, keep))
        self._wanted |= self._keep[number]
        return number

    def _label(self, name: str) -> str:
        """The name of a variable, hidden ones too, or of an element as the model spells it."""
        return self._labels.get(key(name)) or self.model.find(name).name

    def _value(self, label: str) -> float | None:
        """The number of a constant, hidden ones too, or of an element."""
        found = self._variables.get(label) or self.model.find(label)
        return found.value

    def draws(self, n: int, seed: int, *layers: Mapping[str, float]) -> list[int]:
        """The lanes of draws from the priors, with `layers` above each."""
        table = sample(self.parameters, n, seed)
        return [self.lane(row, *layers) for row in table.to_dict("records")]

    @cached_property
    def _bare(self) -> Program:
        """The model as it stands, without an output: how it saves, what is fixed in it."""
        return compile_model(self.model, ())

    @property
    def frozen(self) -> frozenset[str]:
        """Constants that no lane can change: they decide the size of the program."""
        return self._bare.frozen

    @property
    def stocks(self) -> list[str]:
        """The names of the stocks; an array is one."""
        return [n for n, v in self.model.variables.items() if _stocks(v.expression)]

    def starts(self, values: Mapping[str, float]) -> dict[str, float]:
        """What a lane has to set for these stocks (of an array all elements) to start there."""
        found = {}
        for name, value in values.items():
            stock = self.model.find(name).name
            share, fixed = f"start share of {stock}", f"start value of {stock}"
            if share not in self._variables:
                # One and nought by default, so that the default run keeps its bits.
                factor, number = self._add(share, 1.0), self._add(fixed, 0.0)

                def moved(node: tuple, factor=factor, number=number) -> tuple:
                    if node[:2] not in STOCKS:
                        return rebuilt(node, moved)
                    *head, (flow, start) = node
                    kept = ("arithmetic", "*", factor, start)
                    return (*head, (flow, ("arithmetic", "+", kept, number)))

                self._replace(stock, moved(self._variables[stock].expression))
            found |= {share: 0.0, fixed: value}
        return found

    def balance(self, check: Check) -> tuple[str, str]:
        """Hidden variables of a conservation check: the gap, and the whole that it is part of.

        The whole of `stocks` is what a hidden stock holds that takes their inflows and
        outflows; the method of integration makes it equal to their sum, whatever the step.
        """
        row, label = check.options, f"of check {check.name}"

        def total(word: str):
            names = [self._reference(name) for name in row.get(word, ())]
            return reduce(lambda a, b: ("arithmetic", "+", a, b), names or [("number", 0.0)])

        if "equals" in row:
            parts, whole = total("sum"), self._reference(row["equals"])
        else:
            parts = total("stocks")
            net = ("arithmetic", "-", total("inflows"), total("outflows"))
            whole = self._add(f"account {label}", ("state", "stock", (net, parts)))
        self._add(f"gap {label}", ("arithmetic", "-", parts, whole))
        self._add(f"whole {label}", parts)
        self._wanted |= {f"gap {label}", f"whole {label}"}
        return f"gap {label}", f"whole {label}"

    def _reference(self, name: str) -> tuple:
        found = self.model.find(name)
        return found.expression if found.expression[0] == "item" else ("name", key(name))

    def _replace(self, name: str, expression: tuple) -> None:
        self._variables[name] = replace(self._variables[name], expression=expression)

    def _add(self, name: str, what) -> tuple:
        """Add a hidden constant (a number) or variable (an expression); its name node."""
        value = what if isinstance(what, float) else None
        kind, what = ("constant", ("number", what)) if value is not None else ("auxiliary", what)
        self._variables[name] = Variable(name, kind, "", (None, None), "", 0, what, value)
        self._labels[key(name)] = name
        return ("name", key(name))

    # -- simulating ----------------------------------------------------------------------

    def simulate(self) -> None:
        """Compile the copy, and carry out every lane (`plain`: none yet).

        Sets `times` (every step, in years) and `every` (steps from one saved time to the
        next). Raises SimulationError S202 where the default run fails; other lanes may.
        """
        reads = [n[1] for v in self._variables.values() for n in walk(v.expression)
                 if n[0] == "name"]  # fmt: skip
        if "saveper" not in reads:  # every step is looked at
            self._replace(self.model.find("SAVEPER").name, ("name", "time_step"))
        # The hash tells compiled copies apart.
        hidden = sorted(set(self._variables) - set(self.model.variables))
        copy = replace(self.model, variables=self._variables, hash=f"{self.model.hash} {hidden}")
        skipped = {*AXES} if self.everything else {*self._variables}
        skipped |= {n for n, v in self._variables.items() if v.kind in ("lookup", "control")}
        outputs = [label for n, v in self._variables.items() if v.kind != "constant"
                   for label in v.defined
                   if label in self._wanted or n not in skipped]  # fmt: skip
        self.program = program = compile_model(copy, outputs)
        self.every = max(round(self._bare.saveper / program.saveper), 1)
        steps = int((program.final_time - program.initial_time) / program.saveper + 1e-6)
        self.times = program.initial_time + program.saveper * np.arange(steps + 1)
        self._place = {name: i for i, name in enumerate(program.outputs)}
        limits = [copy.owners[n].limits for n in program.outputs]
        self._floor = np.array([-np.inf if low is None else low for low, _ in limits])
        self._ceiling = np.array([np.inf if high is None else high for _, high in limits])
        if not outputs or self.plain:
            return
        total = len(self._lanes)
        for first in (0, *range(1, total, SLICE)):
            lanes = list(range(first, min(first + SLICE, total) if first else 1))
            names = sorted(set().union(*(self._keep[lane] for lane in lanes)))
            result, kept = self._run(lanes, names, self.failed, first=first, extremes=True)
            if not kept:
                continue
            bounds = np.array(
                [[result.variables[f"{way} {n}"].to_numpy()[0, 0] for n in program.outputs]
                 for way in ("lowest", "highest")]
            )  # fmt: skip
            for i, lane in enumerate(kept):
                self._extremes[lane] = bounds[:, :, i].copy()
                self._series[lane] = {
                    n: result.variables[n].to_numpy()[:, 0, 0, i].copy()
                    for n in self._keep[lane] if n in self._place
                }  # fmt: skip
        if 0 in self.failed:
            raise SimulationError("S202", f"the default run failed: {self.failed[0]}")

    def _run(self, lanes, names, failed, time_step=None, first=0, extremes=False):
        """(result, lanes) of the lanes that do not fail: `names` at every step.

        With `extremes` the result has for each output "lowest OUTPUT" and "highest OUTPUT" too.
        """
        total = len(self._lanes)

        def progress(done: int, of: int) -> None:
            if self.progress and time_step is None:
                self.progress(int(1000 * (first + len(lanes) * done / of)), 1000 * total)

        window = [(self.times[0], self.times[-1])]
        measures = [Measure(f"{way} {name}", name, kind, window)
                    for way, kind in (("lowest", "trough"), ("highest", "peak"))
                    for name in (self.program.outputs if extremes else ())]  # fmt: skip
        names = tuple(name for name in names if name in self._place)
        while lanes:
            frame = pd.DataFrame([self._lanes[lane] for lane in lanes], index=lanes)
            frame = frame.fillna({n: self._value(n) for n in frame})
            nothing = (Setting("none"),)
            experiment = Experiment(
                nothing, nothing, frame, names, self.times, measures=tuple(measures)
            )
            try:
                result = simulate(self.program, experiment, time_step=time_step, progress=progress)
            except SimulationError as error:
                if not error.failures:
                    raise
                for failure in error.failures:
                    where = f"{failure['variable'] or 'a value'} at time {failure['time']:g}"
                    failed[failure["draw"]] = f"{where}: {failure['reason']}"
                lanes = [lane for lane in lanes if lane not in failed]
                continue
            return result, lanes
        return None, []

    def _plain(self, lane: int) -> None:
        """One lane in plain Python, where it has not run yet."""
        if lane in self._extremes or lane in self.failed or not self.plain:
            return
        try:
            result = simulate(self.program, set=self._lanes[lane])
        except SimulationError as error:
            self.failed[lane] = error.message
            return
        found = by_label(self.program.model, result)
        values = {name: found[name] for name in self.program.outputs}
        self._extremes[lane] = np.array([[f(v) for v in values.values()] for f in (np.min, np.max)])
        self._series[lane] = {n: values[n] for n in self._keep[lane] if n in values}

    def need(self, lane: int) -> None:
        """S202 where a lane failed."""
        self._plain(lane)
        if lane in self.failed:
            raise SimulationError("S202", self.failed[lane])

    # -- reading -------------------------------------------------------------------------

    def get(self, name: str, lane: int) -> np.ndarray:
        """A variable at every step of a lane (S202 where the lane failed)."""
        name = self.model.find(name).name
        if name not in self._place:  # a constant is known without a run
            value = self._lanes[lane].get(name, self._value(name))
            return np.full(len(self.times), value)
        self.need(lane)
        return self._series[lane][name]

    def largest(self, name: str, lane: int) -> float:
        """The largest magnitude of a variable, hidden ones too, in a lane (S202)."""
        self.need(lane)
        return float(np.abs(self._extremes[lane][:, self._place[name]]).max())

    def outside(self, lane: int, hard: bool = False) -> dict[str, str]:
        """Variables of a lane that are not finite or fall below zero though their bounds do not.

        `hard` holds them to both of their own bounds instead. Gives variable -> what is
        wrong; one entry for a lane that failed. Rounding is no fault.
        """
        self.need(0)
        self._plain(lane)
        if lane in self.failed:
            return {self.failed[lane].partition(" at time")[0]: self.failed[lane]}
        low, high = self._extremes[lane]
        size = np.abs([low, high, *self._extremes[0]]).max(axis=0)
        floor = self._floor if hard else np.where(self._floor >= 0, 0.0, -np.inf)
        ceiling = self._ceiling if hard else np.inf
        odd = ~np.isfinite(low + high)
        below, above = low < floor - ROUNDING * size, high > ceiling + ROUNDING * size
        found = {}
        for i in np.flatnonzero(odd | below | above):
            name = self.program.outputs[i]
            what = "is not finite" if odd[i] else f"falls to {low[i]:.4g}"
            found[name] = f"{name} {what if odd[i] or below[i] else f'rises to {high[i]:.4g}'}"
        return found

    def shifts(self, lanes: Sequence[int]) -> dict[int, tuple[float, str]]:
        """What half the step does to the headline variables: lane -> largest shift and where.

        The shift is relative to the value; where an output has almost vanished (below 1 % of
        its peak), a relative shift says nothing. A run that fails at half the step shifts
        without limit.
        """
        worst = {lane: (0.0, "") for lane in lanes if lane not in self.failed}
        half, failed = self.program.time_step / 2, {}
        for first in range(0, len(worst), SLICE):
            some = list(worst)[first : first + SLICE]
            result, kept = self._run(some, self.headlines, failed, half)
            for i, lane in enumerate(kept):
                for name in self.headlines:
                    values, finer = self._series[lane][name], result[name].to_numpy()[:, 0, 0, i]
                    told = np.abs(values) > 0.01 * np.abs(values).max()
                    gap = np.abs(finer - values)[told] / np.abs(values)[told]
                    worst[lane] = max(worst[lane], (gap.max(initial=0.0), name))
        return worst | {lane: (np.inf, text) for lane, text in failed.items()}


def _stocks(expression: tuple) -> bool:
    """Whether an equation is a stock's, or each of an array's is."""
    parts = [p[2] for p in expression[1:]] if expression[0] == "parts" else [expression]
    return all(part[:2] in STOCKS for part in parts)
