"""A sensitivity study carried out: plans of runs simulated in blocks, ranked as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .compare import yearly
from .errors import RunError
from .experiment import no_draws
from .files import load_arrays, place, save_arrays
from .inputs import Inputs, crossed, trajectories
from .run import Prepared, held, yearly_experiment
from .sensitivity import (
    CHANCE,
    METHODS,
    RANKED,
    SAMPLED,
    LeftOut,
    Quantity,
    Settled,
    dependence,
    left_out,
    quantities,
    ranking,
    sample_table,
    screened,
    screening_table,
    settle,
    variance_table,
)
from .sensitivity_run import Asked, as_spelt
from .simulation import simulate
from .switches import meaning
from .time_units import TimeUnit, time_unit

_LANES = 32768  # runs a block, about: what an interruption loses
_LOOKS = (8, 4, 2, 1)  # parts of a sample at which indices are looked at
_ALONG = 4  # inputs of which the mean of an output along them is shown

Report = Callable[[int, int], None]
Plan = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Along:
    """A quantity along one input: `rows` as `dependence` makes them; of a switch what each of its
    settings means."""

    quantity: Quantity
    input: str
    unit: str
    rows: pd.DataFrame
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sensitivity:
    """All that came of a study; what its tables, figures and page are made from. `left_out` holds
    for each method the years whose effects have no percentage; `clock` is the unit of time."""

    prepared: Prepared
    asked: Asked
    years: np.ndarray
    table: pd.DataFrame
    settled: dict[str, Settled]
    looks: pd.DataFrame
    main: tuple[Quantity, ...]
    along: tuple[Along, ...]
    left_out: dict[str, tuple[LeftOut, ...]]
    clock: TimeUnit
    inputs: int
    runs: int
    seconds: float

    def __repr__(self) -> str:
        return f"Sensitivity({self.prepared!r}: {self.inputs} inputs, {self.runs} runs)"

    @property
    def method(self) -> str:
        """The method whose ranking is shown first."""
        return next(m for m in METHODS if m in self.settled and m in self.asked.methods)


def execute_sensitivity(
    prepared: Prepared,
    asked: Asked,
    inputs: Inputs,
    work: Path | None = None,
    progress: Report | None = None,
    threads: int | None = None,
) -> Sensitivity:
    """Simulate and rank. Raises S202 where runs fail: these methods need every run of a design."""
    began = time.monotonic()
    run = prepared.run
    study = _Study(prepared, asked, work, progress, threads)
    # In runs of the model: an estimate until it is known which inputs are screened.
    count = len(inputs.inputs)
    first = min(asked.screen + 1, count) if asked.screen else count
    screening = "morris" in asked.methods or asked.screen is not None
    sampled = [m for m in asked.methods if m in SAMPLED]
    designs = 2 + first * (2 if asked.second_order else 1)
    study.total = (
        screening * (count + 1) * asked.trajectories
        + ("sobol" in asked.methods) * designs * run.n
        + bool(sampled) * run.n
    ) * len(prepared.policies)
    if screening:
        study.screen(inputs)
    if "sobol" in asked.methods:
        if asked.screen is not None and asked.screen < count:
            names = screened(study.main_rows("morris"), asked.screen)
            inputs = Inputs(prepared.parameters, run.source, names, held(prepared))
        study.cross(inputs)
    if sampled:
        study.sample(Inputs(prepared.parameters, run.source, held=held(prepared)), sampled)
    return Sensitivity(
        prepared, asked, study.years, pd.concat(study.tables, ignore_index=True),
        {method: study.settled[method] for method in METHODS if method in study.settled},
        pd.concat(study.looks, ignore_index=True), tuple(study.main), tuple(study.along),
        study.left_out, study.clock, len(inputs), study.runs, time.monotonic() - began,
    )  # fmt: skip


class _Study:
    """What is gathered while a study goes on."""

    def __init__(self, prepared: Prepared, asked: Asked, work, progress, threads):
        self.prepared, self.asked, self.work, self.threads = prepared, asked, work, threads
        self.progress = progress or (lambda done, total: None)
        self.program, self.experiment = yearly_experiment(prepared, no_draws())
        first, last = prepared.run.horizon
        self.years = np.arange(first, last + 1)
        self.done = self.total = self.runs = 0
        self.tables: list[pd.DataFrame] = []
        self.settled: dict[str, Settled] = {}
        self.looks: list[pd.DataFrame] = []
        self.main: list[Quantity] = []
        self.along: list[Along] = []
        self.left_out: dict[str, tuple[LeftOut, ...]] = {}
        self.clock = time_unit(prepared.model)

    # -- simulating ------------------------------------------------------------------

    def blocks(self, stage: str, plan: Plan, n: int, inputs: Inputs) -> Iterator[np.ndarray]:
        """Levels (outputs, policies, years, designs, base runs) of a plan, some of its `n` base
        runs at a time; read from the working folder what it holds. `plan(low, high)` gives the
        points (designs, base runs, coordinates)."""
        designs = len(plan(0, 1))
        step = max(1, 2 ** int(np.log2(max(_LANES // designs, 1))))
        for low in range(0, n, step):
            part = plan(low, min(low + step, n))
            path = self.work and self.work / f"{stage}-{designs}-{n}-{low}.npz"
            saved = path and load_arrays(path)
            if not saved:
                draws = inputs.draws(part.reshape(-1, part.shape[-1])).assign(
                    **self.prepared.changed
                )
                # Random functions draw alike in all designs of a base run: else each index
                # would take its noise for an effect of its input.
                draws.index = np.tile(np.arange(low, low + part.shape[1]), designs)
                saved = {"levels": self._levels(draws).reshape(
                    len(self.prepared.outputs), len(self.prepared.policies), len(self.years),
                    designs, part.shape[1],
                )}  # fmt: skip
                if path:
                    save_arrays(path, saved)
            self.done += part.shape[0] * part.shape[1] * len(self.prepared.policies)
            self.runs += part.shape[0] * part.shape[1] * len(self.prepared.policies)
            self.progress(self.done, max(self.total, self.done))
            yield saved["levels"]

    def _levels(self, draws: pd.DataFrame) -> np.ndarray:
        experiment = replace(self.experiment, draws=draws)
        result = simulate(
            self.program, experiment, threads=self.threads, seed=self.prepared.run.seed,
            progress=lambda done, total: self.progress(
                self.done + done * len(draws) * len(self.prepared.policies) // max(total, 1),
                self.total,
            ),
        )  # fmt: skip
        first, last = self.prepared.run.horizon
        return np.array(
            [
                yearly(result, output).sel(year=slice(first, last)).to_numpy()[:, 0].swapaxes(0, 1)
                for output in self.prepared.outputs
            ]
        )

    # -- quantities ------------------------------------------------------------------

    def quantities(self, levels: np.ndarray, number: int) -> tuple[list[Quantity], np.ndarray]:
        return quantities(
            levels, self.prepared.outputs[number], [p.name for p in self.prepared.policies],
            self.years, self.asked.at, self.asked.crossings, self.clock,
        )  # fmt: skip

    def _main_outputs(self) -> list[int]:
        names = self.prepared.run.main or (self.prepared.outputs[0].name,)
        return [i for i, o in enumerate(self.prepared.outputs) if o.name in names]

    def main_rows(self, method: str) -> pd.DataFrame:
        """A method's rows of the quantities by which stability and order are judged."""
        table = pd.concat([t[t.method == method] for t in self.tables])
        keys = {(q.output, q.policy, q.at) for q in self.main}
        rows = zip(table.output, table.policy, table["at"], strict=True)
        return table[[row in keys for row in rows]]

    # -- methods ---------------------------------------------------------------------

    def look(
        self, levels: np.ndarray, methods: Sequence[str], make: Callable
    ) -> dict[str, pd.DataFrame]:
        """Tables of the main quantities alone: the first summary of each main output."""
        tables: dict[str, list[pd.DataFrame]] = {method: [] for method in methods}
        self.main = []
        for number in self._main_outputs():
            found, y = self.quantities(levels[number], number)
            first = next(q.at for q in found if not q.yearly)
            chosen = [i for i, q in enumerate(found) if not q.yearly and q.at == first]
            # What no draw moves has no ranking.
            chosen = [i for i in chosen if np.ptp(y[i]) > 0]
            self.main += [found[i] for i in chosen]
            if chosen:
                for method in methods:
                    tables[method].append(make(method, [found[i] for i in chosen], y[chosen]))
        return {m: pd.concat(t, ignore_index=True) for m, t in tables.items() if t}

    def gather(
        self,
        stage: str,
        plan: Plan,
        n: int,
        inputs: Inputs,
        methods: Sequence[str],
        make: Callable,
        least: int = 2,
    ) -> np.ndarray:
        """Levels of as much of a plan as it takes until the rankings are stable, or of all of it;
        `make(method, quantities, y)` computes a table of the runs so far, which are not looked at
        before there are `least` base runs. Raises R475 where no main quantity varies."""
        sizes = sorted({max(n // part, least) for part in _LOOKS})
        levels, before, done = None, {}, 0
        waiting = list(sizes)
        for block in self.blocks(stage, plan, n, inputs):
            if levels is None:  # joining blocks would hold all of them twice
                levels = np.empty((*block.shape[:-1], n))
            levels[..., done : done + block.shape[-1]] = block
            done += block.shape[-1]
            while waiting and done >= waiting[0]:
                size = waiting.pop(0)
                after = self.look(levels[..., :size], methods, make)
                for method, table in after.items():
                    self.looks.append(table[table["index"] == RANKED[method]])
                    self.settled[method] = settle(before.get(method), table, method)
                before = after
                if self.asked.stop and after and all(self.settled[m].stable for m in after):
                    self.total -= (n - done) * levels.shape[3] * len(self.prepared.policies)
                    return levels[..., :size]
        if not self.main:
            raise RunError(
                "R475",
                f"{place(self.prepared.run.file, 'outputs')}: no input moves "
                f"{' or '.join(self.prepared.outputs[i].name for i in self._main_outputs())}, nor "
                "what policies do to it",
            )
        return levels

    def finish(self, levels: np.ndarray, methods: Sequence[str], make: Callable) -> None:
        """Tables of all quantities, and what they leave out."""
        policies = [p.name for p in self.prepared.policies]
        every = (
            left_out(levels[i], output, policies, self.years, self.clock)
            for i, output in enumerate(self.prepared.outputs)
        )
        self.left_out |= dict.fromkeys(methods, tuple(own for own in every if own is not None))
        for number in range(len(self.prepared.outputs)):
            found, y = self.quantities(levels[number], number)
            self.tables += [make(method, found, y) for method in methods]

    def screen(self, inputs: Inputs) -> None:
        seed, n = self.prepared.run.seed, self.asked.trajectories
        points, order, step = trajectories(inputs.coordinates, inputs.inputs, n, seed)
        names = [item.name for item in inputs.inputs]

        def make(method, found, y):
            size = y.shape[-1]
            return screening_table(names, found, y, order[:, :size], step[:, :size], seed)

        levels = self.gather(
            "morris", lambda low, high: points[:, low:high], n, inputs, ["morris"], make,
        )  # fmt: skip
        self.finish(levels, ["morris"], make)

    def cross(self, inputs: Inputs) -> None:
        seed, n = self.prepared.run.seed, self.prepared.run.n
        second = self.asked.second_order
        a, b = inputs.two_samples(n, seed)
        names = [item.name for item in inputs.inputs]

        def make(method, found, y):
            return variance_table(names, found, y, second, seed)

        levels = self.gather(
            "sobol", lambda low, high: crossed(a[low:high], b[low:high], inputs.inputs, second), n,
            inputs, ["sobol"], make,
        )  # fmt: skip
        self.finish(levels, ["sobol"], make)
        # A and B are two samples of independent inputs.
        used = levels.shape[-1]
        x = inputs.draws(np.concatenate([a[:used], b[:used]]))
        self._along("sobol", x, levels[..., :2, :].reshape(*levels.shape[:3], 1, -1))

    def sample(self, inputs: Inputs, methods: Sequence[str]) -> None:
        seed, n = self.prepared.run.seed, self.prepared.run.n
        points = inputs.points(n, seed, shuffled=True)
        x = inputs.draws(points)
        x = x.loc[:, (x != x.iloc[0]).any()]

        # All that varies takes part; what was not asked for by name is not told.
        asked = {as_spelt(self.prepared, name) for name in self.asked.inputs or ()}

        def make(method, found, y):
            table = sample_table(method, x.iloc[: y.shape[-1]], found, y, seed)
            return table[table.input.isin({*asked, "", CHANCE})] if asked else table

        # Delta takes seconds an output; where others are asked for they say when to stop. A
        # regression needs more runs than constants.
        quick = [m for m in methods if m != "delta"] or list(methods)
        least = min(2 * x.shape[1], n) if {"prcc", "srrc"} & set(methods) else 2
        levels = self.gather(
            "sample", lambda low, high: points[None, low:high], n, inputs, quick, make, least
        )
        for method in set(methods) - set(quick):
            self.settled[method] = Settled(method, levels.shape[-1], np.nan, np.nan)
        self.finish(levels, methods, make)
        if not self.along:
            self._along(methods[0], x.iloc[: levels.shape[-1]], levels)

    def _along(self, method: str, x: pd.DataFrame, levels: np.ndarray) -> None:
        """The main quantities along their first inputs."""
        table = pd.concat([t for t in self.tables if (t.method == method).any()])
        for number in self._main_outputs():
            found, y = self.quantities(levels[number], number)
            for quantity, own in zip(found, y[:, 0], strict=True):
                if quantity not in self.main:
                    continue
                rows = ranking(table, quantity, method)
                names = [name for name in rows.input if name in x.columns][:_ALONG]
                for name in names:
                    item = self.prepared.parameters.find(name)
                    rows = dependence(x[name].to_numpy(), own)
                    settings = ()
                    if item.role == "structural":
                        settings = tuple(meaning(item, setting) for setting in rows["at"])
                    self.along.append(Along(quantity, item.name, item.unit, rows, settings))
