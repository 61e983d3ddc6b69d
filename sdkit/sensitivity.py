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

# What is computed of a sample of any kind, and what needs a plan of its own.
SAMPLED = ("prcc", "srrc", "pawn", "rbd-fast", "delta")
METHODS = ("sobol", "morris", *SAMPLED)
# The index of each method that ranks inputs, the first of those it gives.
RANKED = {"sobol": "total", "morris": "mu*", "prcc": "PRCC", "srrc": "SRRC", "pawn": "PAWN",
          "rbd-fast": "first (RBD)", "delta": "delta"}  # fmt: skip
_AGAIN = 30  # resamples of what costs seconds each
_SLOW = 2**16  # inputs times runs, beyond which delta is not made again and again
SETTLED = 0.05  # of an index: change by doubling the sample, and half width of its interval
CHANCE = "(an input that means nothing)"
_BINS = 16  # of an input's range, for the mean of an output along it

TABLE = ("method", "index", "input", "output", "unit", "policy", "at", "value", "low", "high", "n")


@dataclass(frozen=True)
class Crossing:
    """The first year in which an output comes above or below a value."""

    output: str
    side: str
    value: float

    @property
    def label(self) -> str:
        return f"first year {self.side} {self.value:g}"


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
        what = f"the effect of “{self.policy}” on {self.output}" if self.policy else self.output
        return f"{what}, {self.at}"


def quantities(
    levels: np.ndarray,
    output: Output,
    policies: Sequence[str],
    years: np.ndarray,
    summaries: Sequence[str],
    crossings: Sequence[Crossing] = (),
) -> tuple[list[Quantity], np.ndarray]:
    """An output's quantities and their values (quantities, designs, n).

    `levels` is (policies, years, designs, n). A summary is "horizon" (flows summed, levels
    averaged, or the last value, as the output says), "peak", "time of peak" or a year. Effects
    are differences within a draw, of levels in per cent of the first policy's; of times, and where
    that policy's level is nothing in some run, in the unit itself.
    """
    asked: list[tuple[str, str, bool, np.ndarray]] = [
        (f"{year:g}", output.unit, True, levels[:, i]) for i, year in enumerate(years)
    ]
    for name in summaries:
        unit = output.unit
        if name == "horizon":
            value = levels[:, -1]
            if output.reduction != "last":
                value = levels.mean(axis=1) * (len(years) if output.reduction == "sum" else 1)
            name = f"{years[0]:g}–{years[-1]:g}"
        elif name == "peak":
            value = levels.max(axis=1)
        elif name == "time of peak":
            value, unit = years[levels.argmax(axis=1)], "year"
        else:
            value = levels[:, int(np.flatnonzero(years == float(name))[0])]
            name = f"in {name}"
        asked.append((name, unit, False, value))
    for crossing in crossings:
        if crossing.output == output.name:
            over = levels > crossing.value if crossing.side == "above" else levels < crossing.value
            # Never: the year after the last.
            first = np.where(over.any(axis=1), over.argmax(axis=1), len(years))
            value = np.append(years, years[-1] + 1)[first]
            asked.append((crossing.label, "year", False, value))
    found, values = [], []
    floor = 1e-9 * np.ptp(levels)
    for at, unit, yearly, value in asked:
        found.append(Quantity(output.name, unit, "", at, yearly))
        values.append(value[0])
        base = np.abs(value[0])
        relative = unit != "year" and bool((base > floor).all())
        for policy, own in zip(policies[1:], value[1:], strict=True):
            change = own - value[0]
            if unit != "year":
                change = np.where(np.abs(change) < floor, 0.0, change)
            if relative:
                change = 100 * change / base
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

    keys = ["input", "output", "policy", "at"]

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
