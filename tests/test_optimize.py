"""Portfolios: fronts, Shapley values and the value of information against known answers."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from sdkit.optimize import (
    interactions,
    known_values,
    nondominated,
    partial_information,
    perfect_information,
    regret,
    shapley,
    subsets,
    worst_tenth,
)


def test_the_front_is_that_of_all_pairs():
    rng = np.random.default_rng(1)
    values = np.round(rng.random((300, 3)), 1)  # with ties and equal rows
    found = nondominated(values)
    for i, row in enumerate(values):
        beaten = any((other <= row).all() and (other < row).any() for other in values)
        assert found[i] == (not beaten)


def test_the_worst_tenth_is_a_mean_of_the_worst():
    assert worst_tenth(np.arange(20.0)[None])[0] == 18.5
    assert worst_tenth(np.array([[1.0, 5.0]]))[0] == 5


def test_regret_is_against_the_best_of_each_draw():
    loss = np.array([[1.0, 5.0], [3.0, 2.0]])
    assert regret(loss).tolist() == [[0, 3], [2, 0]]


def by_permutations(value: np.ndarray, count: int) -> np.ndarray:
    """The mean of what a player adds over all orders in which players may come."""
    found = np.zeros(count)
    orders = list(permutations(range(count)))
    for order in orders:
        at = 0
        for player in order:
            found[player] += value[at + 2**player] - value[at]
            at += 2**player
    return found / len(orders)


def test_shapley_is_the_mean_over_all_orders():
    value = np.random.default_rng(3).random(16)
    found = shapley(value)
    # Sums of other orders: rounding only.
    assert found == pytest.approx(by_permutations(value, 4), abs=1e-12)
    assert found.sum() == pytest.approx(value[-1] - value[0], abs=1e-12)


def test_shapley_of_a_sum_is_each_part_and_has_no_interaction():
    parts = np.array([3.0, -1.0, 0.5])
    value = subsets(3) @ parts
    assert shapley(value) == pytest.approx(parts)
    assert interactions(value) == pytest.approx(np.zeros((3, 3)))


def test_interaction_of_a_product_is_its_size():
    """Two players that do something only together, and a third that does nothing."""
    members = subsets(3)
    value = np.stack([(members[:, 0] & members[:, 1]) * size for size in (2.0, 4.0)], axis=-1)
    found = interactions(value)
    assert found[0, 1].tolist() == [2, 4]
    assert found[1, 0].tolist() == [2, 4]
    assert np.abs(found[:, 2]).max() == 0
    assert shapley(value)[:, 0].tolist() == [1, 1, 0]


def choices(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Two portfolios: which is right hangs on a switch alone; knowing it is worth a half."""
    switch = np.arange(n) % 2
    loss = np.stack([switch * 1.0, 1.0 - switch])
    return loss, switch


def test_information_is_worth_what_it_saves():
    loss, switch = choices()
    assert perfect_information(loss) == 0.5
    found = partial_information(loss, [switch], np.random.default_rng(0))
    assert found[0] == pytest.approx(0.5, abs=0.1)  # of 400 draws: the usual choice is a coin's


def test_what_means_nothing_is_worth_nothing():
    loss, switch = choices()
    noise = np.random.default_rng(5).random(400)
    (known, nothing), chance = known_values(loss + 0.01, [switch, noise], 1)
    assert known > 4 * chance
    assert nothing <= chance + 0.02


def test_a_choice_that_is_always_right_makes_knowing_worthless():
    loss = np.stack([np.zeros(100), np.ones(100)])
    assert perfect_information(loss) == 0
    assert partial_information(loss, [np.arange(100) % 4], np.random.default_rng(0))[0] == 0


def by_loops(loss: np.ndarray, groups: np.ndarray, rng) -> float:
    half = rng.permutation(loss.shape[1]) % 2 == 0
    gained = 0.0
    for one, other in ((half, ~half), (~half, half)):
        usual = loss[:, one].mean(axis=1).argmin()
        for group in np.unique(groups):
            mine = groups == group
            if (mine & one).any():
                best = loss[:, mine & one].mean(axis=1).argmin()
                gained += (loss[usual, mine & other] - loss[best, mine & other]).sum()
    return gained / loss.shape[1]


def test_information_in_one_pass_is_that_of_loops():
    """Sums in another order: rounding only."""
    rng = np.random.default_rng(7)
    loss = rng.random((12, 90))
    ways = [rng.integers(5, size=90), rng.integers(2, size=90), np.arange(90)]
    found = partial_information(loss, ways, np.random.default_rng(3))
    expected = [by_loops(loss, own, np.random.default_rng(3)) for own in ways]
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_best_of_many_that_mean_nothing_stays_under_chance():
    """A hundred inputs of noise: the 95 % point of the best of them is exceeded by few seeds."""
    above = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        loss = rng.random((20, 128))
        values, chance = known_values(loss, list(rng.random((100, 128))), seed)
        above += values.max() > chance
    assert above <= 3  # 0.5 are expected; more than three has a chance of one in a thousand
