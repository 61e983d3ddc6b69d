"""What a run returns: values, means, sums, peaks and likelihoods, taken while it runs.

A measure watches one output in windows of time. Nothing of the run but its measures is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import runtime
from .errors import SimulationError
from .expressions import key
from .layout import AXES
from .model import Model
from .names import meant

KINDS = {
    "value": runtime.VALUE,
    "mean": runtime.MEAN,
    "sum": runtime.SUM,
    "change": runtime.CHANGE,
    "peak": runtime.PEAK,
    "trough": runtime.TROUGH,
    "time of peak": runtime.PEAK_TIME,
    "time of trough": runtime.TROUGH_TIME,
}
DENSITIES = {
    "normal": runtime.NORMAL,
    "lognormal": runtime.LOGNORMAL,
    "student t": runtime.STUDENT_T,
    "negative binomial": runtime.NEGATIVE_BINOMIAL,
}


# Of spread and freedom: beyond it differences of gamma functions lose their digits.
_LARGEST = 1e10


@dataclass(frozen=True)
class Likelihood:
    """Observations of a measure, one a window, and how they scatter around the simulated values.

    `density` is "normal", "lognormal" (of which the simulated value is the median), "student t" or
    "negative binomial". `spread`, one number or one an observation, is the standard deviation (of
    the logarithm for lognormal), the scale of Student's t, or the size of a negative binomial
    distribution whose mean is simulated (variance = mean + mean^2 / size). A gap in a series is a
    window left out.
    `factor` names a constant of the model that multiplies it in each lane; `freedom` is Student's.
    """

    density: str
    observed: Sequence[float]
    spread: float | Sequence[float]
    factor: str | None = None
    freedom: float = 4.0

    def of_draws(self, factor: np.ndarray) -> np.ndarray:
        """What depends on a draw's `factor` but not on its run, summed over the observations.

        Only a negative binomial distribution has it: its coefficient.
        """
        if self.density != "negative binomial":
            return np.zeros(len(factor))
        y = np.asarray(self.observed, dtype=float)
        size = np.multiply.outer(factor, np.broadcast_to(np.asarray(self.spread, float), y.shape))
        return _combinations(y, size).sum(axis=1)

    def constants(self) -> np.ndarray:
        """What does not depend on the draw, for each observation."""
        y = np.asarray(self.observed, dtype=float)
        spread = np.broadcast_to(np.asarray(self.spread, dtype=float), y.shape)
        if self.density == "negative binomial":
            return np.zeros(len(y)) if self.factor is not None else _combinations(y, spread)
        if self.density == "student t":
            nu = self.freedom
            one = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
            return np.full(len(y), one)
        half = np.full(len(y), -0.5 * math.log(2 * math.pi))
        return half - np.log(y) if self.density == "lognormal" else half


def _combinations(y: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The logarithm of the negative binomial coefficient."""
    lgamma = np.vectorize(math.lgamma, otypes=[float])
    return lgamma(y + size) - lgamma(size) - lgamma(y + 1)


@dataclass(frozen=True)
class Measure:
    """One output, reduced in windows of time (begin, end), both on steps of the run.

    `kind` is "value" (at the end), "mean" or "sum" (the integral over time; both by the
    trapezoidal rule on the steps), "change" (from begin to end), "peak" or "trough" (the highest
    or lowest value of all steps), "time of peak" or "time of trough" (when it is reached first).
    Windows ascend and do not overlap, but one may begin where another ends. With a `likelihood`
    the result is one number a lane: the logarithm of the density of all observations.
    """

    name: str
    variable: str
    kind: str
    windows: Sequence[tuple[float, float]]
    likelihood: Likelihood | None = None

    @property
    def columns(self) -> int:
        return 1 if self.likelihood else len(self.windows)


def measure_unit(model: Model, measure: Measure) -> str:
    """The unit of a measure's values."""
    unit = model.find(measure.variable).unit
    time = model.find("FINAL TIME").unit
    if measure.likelihood:
        return ""
    if measure.kind == "sum" and unit and time:
        return unit.removesuffix(f"/{time}") if unit.endswith(f"/{time}") else f"{unit}*{time}"
    return time if "time" in measure.kind else unit


def _pairs(measure: Measure) -> Sequence[tuple[float, float]]:
    try:
        pairs = [(float(a), float(b)) for a, b in measure.windows]
    except (TypeError, ValueError):
        raise SimulationError(
            "S208", f"{measure.name}: windows are pairs of times, [(begin, end), ...]"
        ) from None
    return pairs


class Plan:
    """The measures of an ensemble as the arrays that `runtime.measure` reads.

    `columns` maps the name of a measure to its columns in what a run returns.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        outputs: Sequence[str],
        parameters: Sequence[str],
        step: Callable[[float], int],
    ):
        """`outputs` and `parameters` are those of the program; `step` finds the step of a time."""
        self.gauge: np.ndarray
        self.columns: dict[str, slice] = {}
        gauges, windows, data = [], [], []
        place = {key(name): i for i, name in enumerate(outputs)}
        previous, column = None, 0
        found: dict[int, list[tuple[int, int]]] = {}
        reserved = {*AXES, *(f"{measure.name} window" for measure in measures)}
        for number, measure in enumerate(measures):
            if measure.kind not in KINDS:
                known = ", ".join(KINDS)
                raise SimulationError("S208", f"{measure.name}: kind {measure.kind!r}; {known}")
            # Outputs saved at the same times share one list of windows.
            if id(measure.windows) not in found:
                found[id(measure.windows)] = [(step(a), step(b)) for a, b in _pairs(measure)]
            steps = found[id(measure.windows)]
            flat = [s for pair in steps for s in pair]
            if not steps or flat != sorted(flat):
                raise SimulationError(
                    "S204", f"{measure.name}: windows have to ascend, and there has to be one"
                )
            if measure.name in self.columns or measure.name in reserved:
                raise SimulationError("S208", f"two results are named {measure.name!r}")
            output, kind = place[key(measure.variable)], KINDS[measure.kind]
            self.columns[measure.name] = slice(column, column + measure.columns)
            alike = (measure.kind, steps, output)
            if previous == alike and measure.likelihood is None:  # one more for the same gauge
                gauges[-1][runtime.MANY] += 1
            else:
                gauge = [0] * 11
                gauge[runtime.OUTPUT], gauge[runtime.KIND] = output, kind
                gauge[runtime.MANY], gauge[runtime.SUMS] = 1, 3 * number
                gauge[runtime.START] = gauge[runtime.FIRST] = len(windows)
                gauge[runtime.STRIDE] = measure.columns
                terms = self._terms(measure, len(steps))
                for j, (opens, closes) in enumerate(steps):
                    windows.append((opens, closes, column + (0 if measure.likelihood else j)))
                    data.append(terms[j])
                gauge[runtime.END] = len(windows)
                if measure.likelihood:
                    gauge[runtime.TERM] = DENSITIES[measure.likelihood.density]
                    if measure.likelihood.factor is not None:
                        gauge[runtime.SCALED] = 1
                        gauge[runtime.SCALE] = self._constant(measure, parameters)
                gauges.append(gauge)
            previous = None if measure.likelihood else (measure.kind, steps, output + 1)
            column += measure.columns
        self.count, self.width, self.sums = len(gauges), column, 3 * len(measures)
        self.gauge = np.array(gauges, dtype=np.int64).reshape(-1, 11).T.copy()
        # One column more than there are: the kernel looks at the next window before it knows
        # that there is none.
        self.window = np.array([*windows, (0, 0, 0)], dtype=np.int64).T.copy()
        self.datum = np.array([*data, (0.0,) * 4], dtype=float).T.copy()

    @staticmethod
    def _constant(measure: Measure, parameters: Sequence[str]) -> int:
        known = {key(name): i for i, name in enumerate(parameters)}
        name = measure.likelihood.factor
        if key(name) not in known:
            near = meant(name, parameters, listed=False)
            raise SimulationError("S203", f"{measure.name}: there is no constant {name!r}{near}")
        return known[key(name)]

    @staticmethod
    def _terms(measure: Measure, windows: int) -> list[tuple[float, float, float, float]]:
        found = measure.likelihood
        if found is None:
            return [(0.0, 1.0, 0.0, 1.0)] * windows
        if found.density not in DENSITIES:
            known = ", ".join(DENSITIES)
            raise SimulationError("S208", f"{measure.name}: density {found.density!r}; {known}")
        try:
            y = np.asarray(found.observed, dtype=float)
            spread = np.asarray(found.spread, dtype=float)
            freedom = float(found.freedom)
        except (TypeError, ValueError):
            raise SimulationError(
                "S208", f"{measure.name}: observed, spread and freedom have to be numbers"
            ) from None
        if y.shape != (windows,) or spread.shape not in ((), (windows,)):
            raise SimulationError(
                "S208", f"{measure.name}: {y.size} observations and {spread.size} spreads for "
                f"{windows} windows",
            )  # fmt: skip
        least = {"lognormal": np.nextafter(0, 1), "negative binomial": 0}.get(
            found.density, -np.inf
        )
        bad = np.flatnonzero(~(np.isfinite(y) & (y >= least)))
        if len(bad):
            raise SimulationError(
                "S208", f"{measure.name}: observation {bad[0] + 1} of {len(y)} is {y[bad[0]]:g}, "
                f"which {found.density} cannot have; leave out its window",
            )  # fmt: skip
        if not (np.isfinite(spread).all() and spread.min() > 0 and spread.max() <= _LARGEST):
            raise SimulationError(
                "S208", f"{measure.name}: spreads have to lie above zero, up to {_LARGEST:g}"
            )
        if not 0 < freedom <= _LARGEST:
            raise SimulationError(
                "S208", f"{measure.name}: freedom lies above zero, up to {_LARGEST:g}; beyond that "
                "use normal",
            )  # fmt: skip
        constants, spread = found.constants(), np.broadcast_to(spread, y.shape)
        return [(a, b, c, found.freedom) for a, b, c in zip(y, spread, constants, strict=True)]

    def before(self, step: int) -> np.ndarray:
        """The gauges of a run that ends at `step`, with windows that begin before it."""
        gauge = self.gauge.copy()
        opens = self.window[runtime.OPENS]
        for i in range(self.count):
            first, end = gauge[runtime.FIRST, i], gauge[runtime.END, i]
            gauge[runtime.END, i] = first + int((opens[first:end] < step).sum())
        return gauge

    def after(self, step: int) -> np.ndarray:
        """The gauges of a run that goes on from `step`: of windows that are not closed yet."""
        gauge = self.gauge.copy()
        opens, closes = self.window[runtime.OPENS], self.window[runtime.CLOSES]
        for i in range(self.count):
            first, end = gauge[runtime.FIRST, i], gauge[runtime.END, i]
            closed = (opens[first:end] < step) & (closes[first:end] <= step)
            gauge[runtime.FIRST, i] = first + int(closed.sum())
        return gauge

    def open(self, gauge: np.ndarray) -> np.ndarray:
        """The columns that a run with these gauges decides."""
        columns = []
        for first, end, many, stride in gauge[
            [runtime.FIRST, runtime.END, runtime.MANY, runtime.STRIDE]
        ].T:
            own = np.unique(self.window[runtime.COLUMN, first:end])
            columns += [own + j * stride for j in range(many)]
        return np.concatenate(columns)

    def settled(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a run that ends at `step`: which columns of its results and which of its accumulators
        owe nothing to `step` itself, at which a policy may begin to act."""
        columns, sums = np.zeros(self.width, dtype=bool), np.zeros(self.sums, dtype=bool)
        for gauge in self.gauge.T:
            own = slice(gauge[runtime.START], gauge[runtime.END])
            opens, closes, column = self.window[:, own]
            stride, many = gauge[runtime.STRIDE], gauge[runtime.MANY]
            for j in range(many):
                if gauge[runtime.TERM] == runtime.NO_TERM:
                    columns[column + j * stride] = closes < step
                elif (closes < step).all():
                    columns[column] = True
            first = gauge[runtime.SUMS]
            sums[first : first + 3 * many] = ((opens < step) & (step < closes)).any()
            if gauge[runtime.TERM] != runtime.NO_TERM:  # the terms of windows that are over
                over = (closes < step).any() and not ((opens < step) & (closes == step)).any()
                sums[first + 2] = over
        return columns, sums
