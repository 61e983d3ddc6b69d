"""Scores of forecasts against closed forms, and forecasts that anybody can make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sdkit.forecast import crps, densities, naive, scores
from sdkit.measurement import Measurement
from sdkit.observations import Series
from sdkit.parameters import Parameter


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


class Stub:
    """A posterior whose model says 10 or 20 by a switch, and fails in the last draw."""

    def __init__(self, n):
        time = np.array([2000.0, 2001, 2002, 2003, 2004])
        series = Series("s", time, np.array([10.0, 11, 9, 10, 12]), "x", ())
        self.measurements = (Measurement("m", series, "v", "year", "normal", 2.0),)
        self.switch = np.arange(n) % 2

    def simulate_values(self, values):
        level = np.where(values["which"] == 1, 20.0, 10.0)
        level[-1] = np.nan
        return [np.repeat(level[:, None], 5, axis=1)]

    def scatter(self, m, values):
        return np.full(len(values), 2.0), np.full(len(values), np.nan)


WHICH = Parameter("which", "structural", 0.0, (0.0, 1.0), "Dmnl", 0.0, 1.0, "choice", (0.5, 0.5))


def test_densities_of_the_settings_of_a_switch():
    posterior = Stub(101)
    values = pd.DataFrame({"which": posterior.switch.astype(float)})
    found = densities(posterior, values, 2003, [WHICH]).set_index("setting")
    assert list(found.draws) == [51, 50]
    # The observation of 2003 is 10: the one that failed is a draw without density.
    expected = [stats.norm.logpdf(10, 10, 2) + np.log(50 / 51), stats.norm.logpdf(10, 20, 2)]
    np.testing.assert_allclose(found.log_density, expected)
    np.testing.assert_allclose(found.error, [np.sqrt(1 / 50 - 1 / 51), 0], atol=1e-12)
    # Nothing was observed in the year after this origin.
    assert not len(densities(posterior, values, 2003.5, [WHICH]).query("setting == 2"))
    assert not len(densities(posterior, values, 2005, [WHICH]))


def test_a_draw_that_fails_is_left_out_of_a_forecast_and_counted():
    posterior = Stub(401)
    values = pd.DataFrame({"which": np.zeros(401)})
    found = scores(posterior, values, 2003, 1)
    assert list(found.draws) == [400, 400]
    assert found["median"].to_numpy() == pytest.approx([10, 10], abs=0.4)  # 2 / sqrt(400) x 4
    assert found.inside.all()
