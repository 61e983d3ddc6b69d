"""Scenario discovery on cases that are known to lie in a box."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sdkit.discover import Limit, find_boxes, inside, measured, simplified, trajectory
from sdkit.streams import Points
from sdkit.tree import grow


def space(n: int = 4096) -> pd.DataFrame:
    points = Points(4, "abcdef", "abcdef").rows(0, n)
    frame = pd.DataFrame(points, columns=list("abcdef"))
    return frame.assign(f=np.floor(3 * frame.f))


@pytest.fixture(scope="module")
def x() -> pd.DataFrame:
    return space()


@pytest.fixture(scope="module")
def y(x) -> np.ndarray:
    return ((x.a < 0.4) & (x.b > 0.3) & (x.f == 2)).to_numpy()


def test_a_box_is_found_where_it_is(x, y):
    """A step takes off a twentieth of what is left: an end is hit to a few hundredths."""
    (box, path), *others = find_boxes(x, y, ["f"])
    assert set(box.limits) == {"a", "b", "f"}
    assert box.limits["a"].high == pytest.approx(0.4, abs=0.03)
    assert box.limits["b"].low == pytest.approx(0.3, abs=0.03)
    assert box.limits["f"].settings == (2.0,)
    assert box.coverage > 0.9
    assert box.density > 0.9
    assert path[0].mass == 1
    assert not others


def test_two_boxes_are_found_one_after_the_other(x):
    y = ((x.a < 0.2) | (x.b > 0.85)).to_numpy()
    boxes = [box for box, _ in find_boxes(x, y, ["f"])]
    assert [set(box.limits) for box in boxes] == [{"a"}, {"b"}]
    assert boxes[0].coverage > 0.5


def test_noise_holds_no_box(x):
    """Cases drawn at random: what a box of at most four limits finds is a small gain that other
    draws do not confirm."""
    y = np.random.default_rng(0).random(len(x)) < 0.3
    for box, _ in find_boxes(x[:2048], y[:2048], ["f"]):
        again = measured(box.limits, x[2048:], y[2048:])
        assert again.density < 0.4


def test_coverage_density_and_mass_are_counts(x, y):
    limits = {"a": Limit(high=0.5)}
    box = measured(limits, x, y)
    mine = (x.a <= 0.5).to_numpy()
    assert box.coverage == 1
    assert box.density == y[mine].mean()
    assert box.mass == mine.mean()


def test_the_quasi_p_value_is_a_binomial_tail(x, y):
    """One limit: the chance of as many cases among the inner draws at the rate of all draws."""
    from scipy.stats import binom

    small, cases = x[:40], y[:40]
    box = measured({"a": Limit(high=0.5)}, small, cases)
    mine = (small.a <= 0.5).to_numpy()
    k, n, p = int(cases[mine].sum()), int(mine.sum()), cases.mean()
    assert box.chance["a"] == pytest.approx(sum(binom.pmf(i, n, p) for i in range(k, n + 1)))


def test_a_limit_that_chance_explains_goes(x, y):
    limits = {"a": Limit(high=0.4), "c": Limit(high=0.97), "f": Limit(settings=(2.0,))}
    assert set(simplified(measured(limits, x, y), x, y).limits) == {"a", "f"}


def test_a_trajectory_grows_denser(x, y):
    density = [box.density for box in trajectory(x, y, ["f"])]
    assert density[0] == y.mean()
    assert (np.diff(density) >= 0).all()


def test_settings_are_a_set_and_intervals_are_closed():
    assert Limit(settings=(1.0,)).holds(np.array([0.0, 1.0])).tolist() == [False, True]
    assert Limit(0, 1).holds(np.array([-0.1, 0, 1, 1.1])).tolist() == [False, True, True, False]
    assert inside({}, pd.DataFrame({"a": [1, 2]})).all()


def test_a_tree_splits_where_the_cases_are(x, y):
    leaves = grow(x[:2048], y[:2048], x[2048:], 4, 1)
    rest = y[2048:]
    best = max(leaves, key=lambda leaf: rest[leaf.rows].mean())
    limits = {name: (sign, at) for name, sign, at in best.conditions}
    assert set(limits) == {"a", "b", "f"}
    assert limits["a"][0] == "<="
    # A limit lies between two points; those for which the other limits hold are 0.002 apart.
    assert limits["a"][1] == pytest.approx(0.4, abs=0.01)
    assert limits["f"] == (">", 1.5)
    assert rest[best.rows].mean() > 0.95
    assert sum(leaf.rows.sum() for leaf in leaves) == len(rest)
