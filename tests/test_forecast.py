"""Scores of forecasts against closed forms, and forecasts that anybody can make."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sdkit.forecast import crps, naive
from sdkit.measurement import Measurement
from sdkit.observations import Series


def test_the_score_of_a_normal_forecast():
    """Gneiting and Raftery 2007, equation 21."""
    n = 4000
    middle, spread, y = 3.0, 2.0, np.array([3.5, 9.0, -2.0])
    draws = stats.norm(middle, spread).ppf((np.arange(n) + 0.5) / n)[:, None].repeat(3, axis=1)
    w = (y - middle) / spread
    expected = spread * (w * (2 * stats.norm.cdf(w) - 1) + 2 * stats.norm.pdf(w) - np.pi**-0.5)
    # Quantiles of 4,000 equal parts in place of the distribution.
    np.testing.assert_allclose(crps(draws, y), expected, rtol=1e-3)


def test_the_score_of_a_number_is_its_error():
    np.testing.assert_allclose(crps(np.array([[3.0, 5.0]]), np.array([1.0, 9.0])), [2, 4])


def test_the_score_by_its_definition():
    rng = np.random.default_rng(0)
    draws, y = rng.normal(size=(50, 2)), np.array([0.3, -4.0])
    pairs = np.abs(draws[:, None] - draws[None]).mean(axis=(0, 1))
    np.testing.assert_allclose(crps(draws, y), np.abs(draws - y).mean(axis=0) - pairs / 2)


def test_what_anybody_can_forecast():
    time = np.array([2000.0, 2001.0, 2002.0, 2003.0, 2004.0, 2006.0])
    value = np.array([10.0, 20.0, 20.0, 40.0, 50.0, 60.0])
    m = Measurement("m", Series("s", time, value, "x", ()), "v", "year", "lognormal", 0.1)
    found = naive(m, 4, 100_000, np.random.default_rng(0))
    np.testing.assert_allclose(found["last value"], [[40, 40]])
    np.testing.assert_allclose(found["last trend"], [[80, 320]])  # doubled each year
    rates = np.log([2, 1, 2])
    walk = np.log(found["random walk with drift"] / 40)
    ahead = np.array([1.0, 3.0])
    assert walk.mean(axis=0) == pytest.approx(rates.mean() * ahead, abs=0.02)
    s = rates.std(ddof=1)
    expected = s * np.sqrt(ahead + ahead**2 / 3)  # steps, and a drift known from three changes
    assert walk.std(axis=0) == pytest.approx(expected, rel=0.02)


def test_two_observations_make_no_trend():
    time, value = np.array([2000.0, 2001.0, 2002.0]), np.array([10.0, 20.0, 20.0])
    m = Measurement("m", Series("s", time, value, "x", ()), "v", "year", "lognormal", 0.1)
    assert list(naive(m, 2, 10, np.random.default_rng(0))) == ["last value"]


def test_a_random_walk_does_not_know_how_often_it_is_seen():
    """The same walk by month and by quarter makes the same forecast."""
    rng = np.random.default_rng(4)
    time = 2000 + np.arange(2401) / 12
    value = np.exp(np.cumsum(rng.normal(0.005, 0.05, len(time))))
    found = []
    for every in (1, 3):
        t = np.append(time[:-1:every], 2201.0)
        v = np.append(value[:-1:every], 1.0)
        m = Measurement("m", Series("s", t, v, "x", ()), "v", "year", "lognormal", 0.1)
        walk = naive(m, len(t) - 1, 50_000, np.random.default_rng(0))["random walk with drift"]
        found.append(np.log(walk / v[-2]).std() / np.sqrt(t[-1] - t[-2]))
    # A spread estimated from 800 steps is known to 2.5 %.
    assert found[0] == pytest.approx(found[1], rel=0.08)
    assert found[0] == pytest.approx(0.05 * np.sqrt(12), rel=0.08)
