"""What moves an outcome: simulated levels to quantities, and quantities to tables of indices.

Nothing here reads, simulates or writes. Levels are arrays (policies, years, designs, n) an
output; designs are the parts of a method's plan (one for a plain sample), n its base runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import indices
from .outputs import Output
from .switches import ENOUGH
from .time_units import YEAR, TimeUnit

# What is computed of a sample of any kind, and what needs a plan of its own.
SAMPLED = ("prcc", "srrc", "pawn", "rbd-fast", "delta")
METHODS = ("sobol", "morris", *SAMPLED)
# The index of each method that ranks inputs, the first of those it gives.
RANKED = {"sobol": "total", "morris": "mu*", "prcc": "PRCC", "srrc": "SRRC", "pawn": "PAWN",
          "rbd-fast": "first (RBD)", "delta": "delta"}  # fmt: skip
_AGAIN = 30  # resamples of what costs seconds each
_SLOW = 2**16  # inputs times runs, beyond which delta is not made again and again
TOLD = 0.02  # of the largest index: smaller ones are not told
SETTLED = 0.05  # of an index: change by doubling the sample, and half width of its interval
CHANCE = "(an input that means nothing)"
FLOOR = 1e-9  # of an output's range: a level or an effect below it is none
OUTSIDE = "Indices are estimates, which can lie outside 0 to 1."
_RANGES = 5  # of years, told in a sentence
_BINS = 16  # of an input's range, for the mean of an output along it

TABLE = ("method", "index", "input", "output", "unit", "policy", "at", "value", "low", "high", "n")


@dataclass(frozen=True)
class Crossing:
    """The first year (or other unit of time) in which an output comes above or below a value."""

    output: str
    side: str
    value: float

    def label(self, clock: TimeUnit) -> str:
        return f"first {clock.word} {self.side} {self.value:g}"


@dataclass(frozen=True)
class Quantity:
    """What an index explains: an output's level under the first policy (`policy` "") or the
    effect of another, in a year or in sum. `yearly` tells years from summaries."""

    output: str
    unit: str
    policy: str
    at: str
    yearly: bool

    @property
    def title(self) -> str:
        """ "the effect of “masks” on the time of the peak of deaths", "deaths, 2026–2040"."""
        what = {"peak": f"the peak of {self.output}"}.get(self.at, f"{self.output}, {self.at}")
        what = f"the time of the peak of {self.output}" if self.of_peak_time else what
        return f"the effect of “{self.policy}” on {what}" if self.policy else what

    @property
    def of_peak_time(self) -> bool:
        return self.at == "time of peak"


@dataclass(frozen=True)
class LeftOut:
    """What cannot be told of an output's effects over time: `years` are those of `count` in which
    the level under the policy `baseline` is zero, or of either sign, in some run; `unit` is that
    of all its effects over time, "%" where these years have none."""

    output: str
    unit: str
    years: tuple[float, ...]
    count: int
    baseline: str
    clock: TimeUnit = YEAR

    @property
    def note(self) -> str:
        """Why these years have no percentage."""
        return (
            f"the level under “{self.baseline}” is zero in some runs, or positive in some and "
            "negative in others"
        )

    @property
    def sentence(self) -> str:
        where = f"{len(self.years)} of {self.clock.count(self.count)}"
        many = len(self.years) > 1
        why = f"there {self.note}"
        if self.unit != "%":
            return (
                f"Effects on {self.output} over time are in {self.unit} throughout, and not in per "
                f"cent, which {where} do not have: {why}."
            )
        own = _ranges(self.years, self.clock)
        return (
            f"Effects on {self.output} over time are in per cent of its level under "
            f"“{self.baseline}”. {where} ({own}) {'are' if many else 'is'} left out, since they "
            f"have no percentage: {why}."
        )


def _ranges(years: Sequence[float], clock: TimeUnit) -> str:
    """ "2026–2028 and 2031"."""
    groups: list[list[float]] = []
    for year in years:
        if groups and year == groups[-1][-1] + 1:
            groups[-1].append(year)
        else:
            groups.append([year])
    told = [clock.span(own[0], own[-1]) for own in groups]
    more = [f"{len(told) - _RANGES} more periods"] if len(told) > _RANGES + 1 else told[_RANGES:]
    return ", ".join([*told[:_RANGES], *more])


def _shareable(base: np.ndarray, floor: float) -> np.ndarray:
    """Of each year (first axis) whether all runs' levels are something, and of one sign: only then
    is a change a percentage that can be compared between runs."""
    flat = base.reshape(len(base), -1)
    return (flat > floor).all(axis=1) | (flat < -floor).all(axis=1)


def _over_time(levels: np.ndarray) -> tuple[bool, np.ndarray]:
    """Whether the effects over time are in per cent, and in which years they then can be: one unit
    for all years, per cent where at least half of them have it."""
    able = _shareable(levels[0], FLOOR * np.ptp(levels))
    return bool(2 * able.sum() >= len(able)), able


def left_out(
    levels: np.ndarray,
    output: Output,
    policies: Sequence[str],
    years: np.ndarray,
    clock: TimeUnit = YEAR,
) -> LeftOut | None:
    """The years whose effects have no percentage; None where all have one."""
    relative, able = _over_time(levels)
    if able.all() or len(policies) < 2:
        return None
    return LeftOut(
        output.name, "%" if relative else output.unit, tuple(years[~able].tolist()), len(years),
        policies[0], clock,
    )  # fmt: skip


def quantities(
    levels: np.ndarray,
    output: Output,
    policies: Sequence[str],
    years: np.ndarray,
    summaries: Sequence[str],
    crossings: Sequence[Crossing] = (),
    clock: TimeUnit = YEAR,
) -> tuple[list[Quantity], np.ndarray]:
    """An output's quantities and their values (quantities, designs, n).

    `levels` is (policies, years, designs, n); `clock` is the model's unit of time. A summary is
    "horizon" (flows summed, levels averaged, or the last value, as the output says), "peak", "time
    of peak" or a year. Effects are differences within a draw, of times in the unit of time, of
    levels in per cent of the first policy's. Where that is nothing or of either sign in some run,
    a summary's effect is in the unit itself; over time all years have one unit, and years without
    a percentage are left out if they are the fewer (`left_out`).
    """
    floor = FLOOR * np.ptp(levels)
    always, able = _over_time(levels)
    # When, unit, whether of one year, whether effects are relative (None: not told), and values.
    asked: list[tuple[str, str, bool, bool | None, np.ndarray]] = [
        (f"{year:g}", output.unit, True, (bool(able[i]) or None) if always else False, levels[:, i])
        for i, year in enumerate(years)
    ]
    for name in summaries:
        unit = output.unit
        if name == "horizon":
            value = levels[:, -1]
            if output.reduction != "last":
                value = levels.mean(axis=1) * (len(years) if output.reduction == "sum" else 1)
            name = f"{years[0]:g}–{years[-1]:g}"
            name = name if clock.one == "year" else f"{clock.many} {name}"
        elif name == "peak":
            value = levels.max(axis=1)
        elif name == "time of peak":
            value, unit = years[levels.argmax(axis=1)], clock.word
        else:
            value = levels[:, int(np.flatnonzero(years == float(name))[0])]
            name = f"in {name}" if clock.one == "year" else f"in {clock.at(float(name))}"
        relative = name != "time of peak" and bool(_shareable(value[:1], floor)[0])
        asked.append((name, unit, False, relative, value))
    for crossing in crossings:
        if crossing.output == output.name:
            over = levels > crossing.value if crossing.side == "above" else levels < crossing.value
            # Never: the year after the last.
            first = np.where(over.any(axis=1), over.argmax(axis=1), len(years))
            value = np.append(years, years[-1] + 1)[first]
            asked.append((crossing.label(clock), clock.word, False, False, value))
    found, values = [], []
    for at, unit, yearly, relative, value in asked:
        found.append(Quantity(output.name, unit, "", at, yearly))
        values.append(value[0])
        for policy, own in zip(policies[1:], value[1:], strict=True):
            if relative is None:
                continue
            change = own - value[0]
            if unit == output.unit:  # a difference of times is one, however small
                change = np.where(np.abs(change) < floor, 0.0, change)
            if relative:
                change = 100 * change / np.abs(value[0])
            found.append(Quantity(output.name, "%" if relative else unit, policy, at, yearly))
            values.append(change)
    return found, np.array(values)


# -- indices as tables -------------------------------------------------------------------


def variance_table(
    names: Sequence[str], found: Sequence[Quantity], y: np.ndarray, second: bool, seed: int
) -> pd.DataFrame:
    """First and total indices of all quantities, `y` (quantities, designs, n) of a crossed design;
    with `second` the interactions of pairs for the summaries."""
    y = np.moveaxis(y, 0, -1)
    n, count = y.shape[1], len(names)
    rng = np.random.default_rng(seed)
    weights = np.vstack([np.full((1, n), 1 / n), indices.resamples(n, rng)])
    first, total = indices.sobol(y[: 2 + count], weights)
    tables = [
        _table("sobol", label, names, found, own[0], indices.interval(own[1:]), n)
        for label, own in (("first", first), ("total", total))
    ]
    if second:
        chosen = [i for i, q in enumerate(found) if not q.yearly]
        pairs = indices.second_order(y[..., chosen], weights)
        above = np.triu_indices(count, 1)
        own = pairs[:, above[0], above[1]]
        both = [f"{names[i]} × {names[j]}" for i, j in zip(*above, strict=True)]
        tables.append(
            _table("sobol", "second", both, [found[i] for i in chosen], own[0],
                   indices.interval(own[1:]), n)
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def screening_table(
    names: Sequence[str],
    found: Sequence[Quantity],
    y: np.ndarray,
    order: np.ndarray,
    step: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    """Mean absolute elementary effects and their spread, in the unit of each quantity."""
    moved = indices.effects(np.moveaxis(y, 0, -1), order, step)
    n = moved.shape[1]
    rng = np.random.default_rng(seed)
    weights = np.vstack([np.full((1, n), 1 / n), indices.resamples(n, rng)])
    tables = [
        _table("morris", label, names, found, own[0], indices.interval(own[1:]), n)
        for label, own in zip(("mu*", "sigma"), indices.morris(moved, weights), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def sample_table(
    method: str, x: pd.DataFrame, found: Sequence[Quantity], y: np.ndarray, seed: int
) -> pd.DataFrame:
    """Indices of a sample of any kind: `x` (n, inputs), `y` (quantities, 1, n).

    PAWN and RBD-FAST have intervals for summaries; delta is made for summaries only, with intervals
    where inputs and runs are few enough.
    """
    names, values, y = list(x.columns), x.to_numpy(dtype=float), y[:, 0].T
    # Rounding is no variance, and has no ranks.
    y = np.where(indices.varies(y), y, 0.0)
    n = len(values)
    rng = np.random.default_rng(seed)
    if method in ("prcc", "srrc"):
        weights = np.vstack([np.full((1, n), 1 / n), indices.resamples(n, rng)])
        ranks = indices.ranks(values), indices.ranks(y)
        partial, slope, explained = indices.regression(*ranks, weights)
        own = partial if method == "prcc" else slope
        table = _table(method, RANKED[method], names, found, own[0], indices.interval(own[1:]), n)
        fit = explained[:, None]
        share = _table(method, "R² of ranks", [""], found, fit[0], indices.interval(fit[1:]), n)
        return pd.concat([table, share], ignore_index=True)
    # Both are above zero for any input: one that means nothing says how far.
    if method in ("pawn", "delta"):
        names, values = [*names, CHANCE], np.column_stack([values, rng.random(n)])
    of = {"pawn": indices.pawn, "rbd-fast": indices.rbd_fast, "delta": _deltas}[method]
    summaries = [i for i, q in enumerate(found) if not q.yearly]
    if method == "delta":
        found, y, summaries = [found[i] for i in summaries], y[:, summaries], None
    value = of(values, y)
    width = np.full_like(value, np.nan)
    chosen = slice(None) if summaries is None else summaries
    if method != "delta" or values.size <= _SLOW:
        width[:, chosen] = indices.interval(indices.again(of, values, y[:, chosen], rng, _AGAIN))
    return _table(method, RANKED[method], names, found, value, width, n)


def _deltas(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([indices.delta(x, column) for column in y.T], axis=1)


def _table(
    method: str,
    index: str,
    names: Sequence[str],
    found: Sequence[Quantity],
    value: np.ndarray,
    width: np.ndarray,
    n: int,
) -> pd.DataFrame:
    """Rows of TABLE from `value` and half `width` (inputs, quantities)."""
    rows = [
        (method, index, name, q.output, q.unit, q.policy, q.at, value[i, k],
         value[i, k] - width[i, k], value[i, k] + width[i, k], n)
        for k, q in enumerate(found)
        for i, name in enumerate(names)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(TABLE))


def ranking(table: pd.DataFrame, quantity: Quantity, method: str) -> pd.DataFrame:
    """The ranked index of a method for one quantity, the largest in size first."""
    own = table[
        (table.method == method) & (table["index"] == RANKED[method])
        & (table.output == quantity.output) & (table.policy == quantity.policy)
        & (table["at"] == quantity.at)
    ]  # fmt: skip
    return own.iloc[np.argsort(-own.value.abs().to_numpy(), kind="stable")]


@dataclass(frozen=True)
class Settled:
    """Whether a method's ranking is stable: over its ranked indices of the quantities that count,
    the largest change by the last doubling, and the largest half width of a 95 % interval, both
    relative to the largest index where the method has no scale of its own (Morris)."""

    method: str
    n: int
    change: float
    width: float

    @property
    def stable(self) -> bool:
        return self.change <= SETTLED and self.width <= SETTLED


def settle(before: pd.DataFrame | None, after: pd.DataFrame, method: str) -> Settled:
    """Compare the indices of half the sample with those of all of it, rows of the same quantities.

    After Sarrazin, Pianosi and Wagener (2016), Environmental Modelling and Software 79:135-152,
    who ask for both; their limit too is 0.05.
    """

    # An effect that was in per cent in the smaller sample and is not now is another quantity.
    keys = [k for k in ("input", "output", "unit", "policy", "at") if k in after]

    def own(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table.method == method) & (table["index"] == RANKED[method])]

    new = own(after)
    scale = np.ones(len(new))
    if method == "morris":
        largest = new.groupby(keys[1:]).value.transform("max").to_numpy()
        scale = np.where(largest > 0, largest, 1.0)
    half = (new.high - new.value).to_numpy() / scale
    width = float(np.nanmax(half)) if np.isfinite(half).any() else np.nan
    change = np.inf
    if before is not None:
        # What did not vary in the smaller sample has no index there.
        old = new[keys].merge(own(before)[[*keys, "value"]], on=keys, how="left").value
        change = float(np.abs(new.value.to_numpy() - old.fillna(np.inf).to_numpy()).max())
        if method == "morris" and np.isfinite(change):
            change = float(np.max(np.abs(new.value.to_numpy() - old.to_numpy()) / scale))
    return Settled(method, int(new.n.iloc[0]), change, width)


def screened(table: pd.DataFrame, count: int) -> list[str]:
    """The `count` inputs with the largest share of the largest mean effect on any quantity."""
    own = table[table["index"] == "mu*"]
    largest = own.groupby(["output", "policy", "at"]).value.transform("max")
    share = (own.value / largest.where(largest > 0, 1.0)).groupby(own.input, sort=False).max()
    return list(share.sort_values(ascending=False, kind="stable").index[:count])


# -- along an input ----------------------------------------------------------------------


def dependence(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """The mean, 5 % and 95 % of an output along an input, all else varying: by its settings if they
    are few, else in slices of equal counts. With independent inputs the mean is the partial
    dependence (Friedman 2001, Annals of Statistics 29(5):1189-1232)."""
    settings = np.unique(x)
    if len(settings) <= _BINS // 2:
        parts = [(s, y[x == s]) for s in settings]
    else:
        order = np.argsort(x, kind="stable")
        parts = [
            (float(x[own].mean()), y[own])
            for own in np.array_split(order, min(_BINS, max(len(x) // ENOUGH, 2)))
        ]
    rows = [(at, own.mean(), *np.quantile(own, (0.05, 0.95)), len(own)) for at, own in parts]
    return pd.DataFrame(rows, columns=["at", "mean", "p5", "p95", "runs"])
