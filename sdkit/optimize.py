"""Portfolios of policies: numbers in, numbers out.

A loss is an array (portfolios, draws), lower is better. Nothing here reads or simulates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import factorial

import numpy as np

_BINS = 4  # of an input's range, for the value of knowing it
_SHUFFLES = 50  # of the draws, for what chance alone would give
_HALVINGS = 4


def nondominated(values: np.ndarray) -> np.ndarray:
    """Which rows (points, objectives), all to be low, no other row beats: as good in all, better in
    one. Of equal rows all stay. Exact."""
    # Sorted, a row can only be beaten by rows before it.
    order = np.lexsort(values.T[::-1])
    kept = np.zeros(len(values), dtype=bool)
    front = np.empty((0, values.shape[1]))
    for i in order:
        row = values[i]
        beaten = (front <= row).all(axis=1) & (front < row).any(axis=1)
        if not beaten.any():
            kept[i] = True
            front = np.vstack([front, row])
    return kept


def worst_tenth(loss: np.ndarray) -> np.ndarray:
    """The mean of the worst tenth of the draws (last axis): conditional value at risk at 90 %."""
    count = max(loss.shape[-1] // 10, 1)
    return np.sort(loss, axis=-1)[..., -count:].mean(axis=-1)


def regret(loss: np.ndarray) -> np.ndarray:
    """What each portfolio loses against the best for each draw: the same shape, zero or more."""
    return loss - loss.min(axis=0)


def subsets(count: int) -> np.ndarray:
    """All subsets of so many players (2^count, count), row number k holding the bits of k."""
    return (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1


def shapley(value: np.ndarray) -> np.ndarray:
    """Each player's part (players, ...) of what all of them reach together, from the values of all
    subsets (2^players, ...) in the order of `subsets`.

    Shapley (1953), "A value for n-person games". Parts add up to the value of all less that of
    none.
    """
    count = int(np.log2(len(value)))
    members = subsets(count)
    size = members.sum(axis=1)
    found = np.zeros((count, *value.shape[1:]))
    for i in range(count):
        without = np.flatnonzero(~members[:, i])
        weight = [factorial(s) * factorial(count - s - 1) / factorial(count) for s in size[without]]
        gain = value[without + 2**i] - value[without]
        found[i] = np.tensordot(weight, gain, axes=1)
    return found


def interactions(value: np.ndarray) -> np.ndarray:
    """What two players reach together beyond what they reach apart, averaged over what the others
    do: (players, players, ...), symmetric, zero on the diagonal.

    The interaction index of Grabisch and Roubens (1999), International Journal of Game Theory
    28(4):547-565.
    """
    count = int(np.log2(len(value)))
    members = subsets(count)
    size = members.sum(axis=1)
    found = np.zeros((count, count, *value.shape[1:]))
    for i, j in combinations(range(count), 2):
        without = np.flatnonzero(~members[:, i] & ~members[:, j])
        weight = [
            factorial(s) * factorial(count - s - 2) / factorial(count - 1) for s in size[without]
        ]
        a, b = 2**i, 2**j
        both = value[without + a + b] - value[without + a] - value[without + b] + value[without]
        found[i, j] = found[j, i] = np.tensordot(weight, both, axes=1)
    return found


# -- the value of knowing ----------------------------------------------------------------


def perfect_information(loss: np.ndarray) -> float:
    """What it would be worth, in the unit of the loss, to know the draw before choosing."""
    return float(loss.mean(axis=1).min() - loss.min(axis=0).mean())


def partial_information(
    loss: np.ndarray, groups: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """What it would be worth to know in which group the truth lies, for each way of grouping the
    draws, `groups` (ways, draws): shape (ways,).

    The portfolio of each group is chosen on one half of its draws and judged on the other, and the
    other way round, so that no choice profits from chance; it can then come out below zero.
    """
    member, way = _members(groups)
    half = rng.permutation(loss.shape[1]) % 2 == 0
    gained = np.zeros(member.shape[1])
    for one, other in ((half, ~half), (~half, half)):
        usual = int(loss[:, one].mean(axis=1).argmin())
        best = (loss[:, one] @ member[one]).argmin(axis=0)
        best = np.where(member[one].any(axis=0), best, usual)
        there = loss[:, other] @ member[other]
        gained += there[usual] - there[best, np.arange(len(best))]
    return np.bincount(way, gained, len(groups)) / loss.shape[1]


def _members(groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which draw is in which group of any way (draws, groups), and the way of each group."""
    columns, way = [], []
    for number, own in enumerate(groups):
        for group in np.unique(own):
            columns.append(own == group)
            way.append(number)
    return np.array(columns, dtype=float).T, np.array(way)


def known_values(
    loss: np.ndarray, columns: Sequence[np.ndarray], seed: int
) -> tuple[np.ndarray, float]:
    """The value of knowing each of some inputs (draws,), by their settings or quarters of their
    range; and what the best of as many inputs that mean nothing stays below in 95 of 100 cases, by
    draws that are shuffled against them."""
    groups = [_groups(column) for column in columns]
    rng = np.random.default_rng(seed)
    values = _mean_value(loss, groups, rng)
    chance = [
        _mean_value(loss[:, rng.permutation(loss.shape[1])], groups, rng).max()
        for _ in range(_SHUFFLES)
    ]
    return values, float(np.quantile(chance, 0.95))


def _mean_value(
    loss: np.ndarray, groups: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Over several halvings, so that it does not hang on one."""
    return np.mean([partial_information(loss, groups, rng) for _ in range(_HALVINGS)], axis=0)


def _groups(column: np.ndarray) -> np.ndarray:
    if len(np.unique(column)) <= 2 * _BINS:
        return column
    return np.searchsorted(np.quantile(column, np.arange(1, _BINS) / _BINS), column)
