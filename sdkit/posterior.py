"""The posterior density of a model's parameters given its measurements, many points at a time.

A point is a vector z with one standard normal coordinate a parameter: the parameter is the
quantile of its prior at the standard normal probability of z. So every prior, whatever its
distribution and bounds, is the same, no bound can be crossed, and coordinates are of one size.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from .compile import compile_model
from .ensemble import Ensemble
from .errors import RunError
from .experiment import Experiment, Setting, coordinate, quantile
from .measurement import Measurement, log_density
from .measures import Measure
from .model import Model
from .observations import at_observations, periods
from .parameters import Parameter, Parameters
from .streams import Points

_GRID = np.linspace(-8.0, 8.0, 4001)  # standard normal coordinates of a prior that is inverted


_LISTED = 1000  # points that could not be simulated, of which the values are kept


@dataclass
class Tally:
    """What the evaluations of a density took: points, seconds inside the compiled model, and the
    points that could not be simulated, the first of them by their coordinates."""

    points: int = 0
    seconds: float = 0.0
    failed: int = 0
    impossible: list[np.ndarray] = field(default_factory=list)

    def count(self, z: np.ndarray, density: np.ndarray) -> None:
        bad = z[~np.isfinite(density)]
        self.points += len(z)
        self.failed += len(bad)
        self.impossible += list(bad[: _LISTED - len(self.impossible)])

    def copy(self) -> Tally:
        return replace(self, impossible=list(self.impossible))


class Posterior:
    """log posterior density (up to a constant), for points of shape (lanes, coordinates)."""

    def __repr__(self) -> str:
        counts = f"{len(self.items)} constants, {len(self.measurements)} measurements"
        return f"Posterior({self.model.name}: {counts})"

    def __init__(
        self,
        model: Model,
        parameters: Parameters,
        fitted: Sequence[Parameter],
        measurements: Sequence[Measurement],
        set: Mapping[str, float] | None = None,
        threads: int | None = None,
        time_step: float | None = None,
    ):
        """`set` fixes other constants of the model, for instance switches; `time_step` replaces
        the model's own."""
        self.model, self.parameters = model, parameters
        self.measurements = tuple(measurements)
        self.fitted = tuple(fitted)
        own = [item for m in self.measurements for item in m.nuisance]
        self.items = (*self.fitted, *own)
        self.names = tuple(item.name for item in self.items)
        self.set = dict(set or {})
        self.threads = threads
        self._place = {name: i for i, name in enumerate(self.names)}
        variables = dict.fromkeys(m.variable for m in self.measurements)
        self.program = compile_model(model, tuple(variables))
        self.time_step = time_step or self.program.time_step
        self._windows = [self._window(m) for m in self.measurements]
        self.tally = Tally()

    def __len__(self) -> int:
        return len(self.items)

    # -- coordinates -----------------------------------------------------------------

    def values(self, z: np.ndarray) -> pd.DataFrame:
        """The parameters at points z: one row a point, one column a parameter."""
        from scipy.special import ndtr

        p = np.clip(ndtr(z), 2.0**-60, 1 - 2.0**-53)
        columns = {item.name: quantile(item, p[:, i]) for i, item in enumerate(self.items)}
        return pd.DataFrame(columns, index=range(len(z)))

    def prior(self, low: int, high: int, seed: int) -> np.ndarray:
        """Points `low` to `high` of the prior that a seed gives (points, coordinates): of each
        parameter those that its name decides."""
        from scipy.special import ndtri

        return ndtri(Points(seed, list(map(coordinate, self.items))).rows(low, high))

    def coordinates(self, values: Mapping[str, float]) -> np.ndarray:
        """The point whose parameters have these values; the prior's middle where none is given."""
        from scipy.special import ndtr

        z = np.zeros(len(self))
        for i, item in enumerate(self.items):
            if item.name in values:
                z[i] = np.interp(values[item.name], quantile(item, ndtr(_GRID)), _GRID)
        return z

    # -- simulation ------------------------------------------------------------------

    def _window(self, m: Measurement) -> tuple[str, list[tuple[float, float]], np.ndarray | None]:
        """Of a measurement the kind and windows of its measure, and the matrix (observations,
        windows) that makes its observations of the windows' values; None for the unit matrix."""
        first, last = periods(m.series.time, m.reduction)
        begin, end, step = self.program.initial_time, self.program.final_time, self.time_step
        if first.min() < begin - 1e-9 or last.max() > end + 1e-9:
            raise RunError(
                "R479",
                f"{m.name!r}: observations from {first.min():g} to {last.max():g}; "
                f"{self.model.path.name} runs from {begin:g} to {end:g}",
            )
        ends = (np.array([first, last]) - begin) / step
        if m.reduction != "point" and np.allclose(ends, np.round(ends), atol=1e-6):
            return "mean", list(zip(first.tolist(), last.tolist(), strict=True)), None
        # Months do not fall on steps: the values of all steps, and the integral of the line
        # through them.
        at = np.arange(np.floor(ends.min()), np.ceil(ends.max() - 1e-6) + 1)
        times = begin + at * step
        matrix = at_observations(times, np.eye(len(times)), m.series.time, m.reduction)
        used = np.flatnonzero((matrix != 0).any(axis=0))
        return "value", [(float(t), float(t)) for t in times[used]], matrix[:, used]

    @cached_property
    def _measures(self) -> tuple[Measure, ...]:
        """Measures of one kind and window share a gauge if they stand in the program's order."""
        found, shared = [], {}
        for m, (kind, windows, _) in zip(self.measurements, self._windows, strict=True):
            windows = shared.setdefault(tuple(windows), windows)
            found.append(Measure(m.name, m.variable, kind, windows))
        return tuple(found)

    def simulate(self, z: np.ndarray) -> list[np.ndarray]:
        """For each measurement what the model says (lanes, observations); NaN where a run fails."""
        return self.simulate_values(self.values(z))

    def simulate_values(self, values: pd.DataFrame) -> list[np.ndarray]:
        """The same at values of the parameters; columns may name other constants too."""
        draws = values[[name for name in values.columns if self.model.has(name)]]
        # One label, so one noise for all points: a density that moves by chance has no peak.
        draws = draws.set_axis(np.zeros(len(draws), dtype=int))
        experiment = Experiment(
            (Setting("fit", self.set),), (Setting("fit"),), draws, (), np.array([]),
            measures=self._measures,
        )  # fmt: skip
        program = self.program
        p = np.array(program.defaults)
        p[-2] = self.time_step
        ensemble = Ensemble(
            program, experiment, p, self.model.method == "rk4", self.time_step, self.threads
        )
        whole = np.full((ensemble.plan.width, 1, 1, len(draws)), np.nan)
        began = time.perf_counter()
        for _ in ensemble.values(lambda work: None, into=whole):
            pass
        self.tally.seconds += time.perf_counter() - began
        found = []
        for m, (_, _, matrix) in zip(self.measurements, self._windows, strict=True):
            own = whole[ensemble.plan.columns[m.name], 0, 0].T
            own = own if matrix is None else own @ matrix.T
            if m.scale is not None:
                default = self.parameters.find(m.scale).default
                scale = values.get(m.scale, self.set.get(m.scale, default))
                own = own * np.reshape(scale, (-1, 1))
            for factor in m.factors:
                inside = (m.series.time >= factor.first) & (m.series.time < factor.last)
                own = np.where(inside, own * values[factor.prior.name].to_numpy()[:, None], own)
            found.append(own)
        return found

    # -- densities -------------------------------------------------------------------

    def scatter(self, m: Measurement, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Spread and correlation time of a measurement's residuals in each lane."""
        found = []
        for item in (m.spread, m.correlation_time):
            own = (
                values[item.name]
                if isinstance(item, Parameter)
                else np.nan
                if item is None
                else item
            )
            found.append(np.broadcast_to(np.asarray(own, dtype=float), len(values)))
        return found[0], found[1]

    def terms(self, z: np.ndarray) -> list[np.ndarray]:
        """The log density of each observation given those before it, for each measurement."""
        values = self.values(z)
        simulated = self.simulate_values(values)
        return [
            log_density(m, own, *self.scatter(m, values))
            for m, own in zip(self.measurements, simulated, strict=True)
        ]

    def log_likelihood(self, z: np.ndarray) -> np.ndarray:
        """Summed over all measurements: shape (lanes,), -inf where a run fails."""
        return sum((t.sum(axis=1) for t in self.terms(z)), np.zeros(len(z)))

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Likelihood times prior, in the coordinates z: shape (lanes,)."""
        z = np.atleast_2d(np.asarray(z, dtype=float))
        value = self.log_likelihood(z) - 0.5 * (z**2).sum(axis=1)
        self.tally.count(z, value)
        return value

    def changed(
        self,
        measurements: Sequence[Measurement] | None = None,
        time_step: float | None = None,
    ) -> Posterior:
        """The same with other observations or another step."""
        return Posterior(
            self.model, self.parameters, self.fitted, measurements or self.measurements,
            self.set, self.threads, time_step or self.time_step,
        )  # fmt: skip
