"""Scores of forecasts against closed forms, and forecasts that anybody can make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sdkit.forecast import compared, crps, densities, linear_pool, naive, predict, scores
from sdkit.measurement import Measurement
from sdkit.observations import Series
from sdkit.parameters import Parameter
from sdkit.streams import generator


def lognormal(time, value) -> Measurement:
    series = Series("s", np.array(time, float), np.array(value, float), "x", ())
    return Measurement("m", series, "v", "year", "lognormal", 0.1)


def forecasts(m, past, draws):
    return naive(m, past, draws, np.random.default_rng(0), np.random.default_rng(1))


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
    m = lognormal([2000, 2001, 2002, 2003, 2004, 2006], [10, 20, 20, 40, 50, 60])
    found = forecasts(m, 4, 100_000)
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
    m = lognormal([2000, 2001, 2002], [10, 20, 20])
    found = forecasts(m, 2, 10)
    assert list(found) == ["last value"]
    columns = compared(found, np.array([20.0]))
    assert columns.pop("crps of last value") == [0]
    assert len(columns) == 6
    assert all(pd.isna(column[0]) for column in columns.values())


def test_a_damped_trend_gains_less_with_each_step():
    """The last change was a doubling: after h steps the logarithm has gained 0.8 + ... + 0.8^h of
    it, and four times of it in the end."""
    ahead = np.array([1, 2, 3, 100])
    gains = [0.8, 0.8 + 0.64, 0.8 + 0.64 + 0.512, 4]
    m = lognormal([2000, 2001, 2002, *(2002 + ahead)], [5, 20, 40, 1, 1, 1, 1])
    found = forecasts(m, 3, 1)["damped trend"]
    np.testing.assert_allclose(np.log2(found / 40), [gains])
    # A fall is damped as a rise is.
    m = lognormal([2000, 2001, 2002, *(2002 + ahead)], [5, 80, 40, 1, 1, 1, 1])
    np.testing.assert_allclose(
        np.log2(forecasts(m, 3, 1)["damped trend"] / 40), [np.negative(gains)]
    )


def test_the_unit_of_time_does_not_matter_to_what_is_simple():
    value = [10, 20, 15, 30, 1, 1]
    years = np.array([0, 1, 2.5, 4.5, 5, 8])
    found, same = (forecasts(lognormal(t, value), 4, 100) for t in (years, 365 * years))
    assert len(found) == 5
    for name, own in found.items():
        np.testing.assert_allclose(own, same[name], err_msg=name)
    # Of the last gap of two years there have been 1/4 and 7/4.
    gains = 0.8 * (1 - 0.8 ** np.array([0.25, 1.75])) / 0.2
    np.testing.assert_allclose(np.log2(found["damped trend"] / 30), [gains])


def test_a_random_walk_without_drift_spreads_as_the_root_of_time():
    """Changes of the past about zero and not about their mean: all three were rises."""
    ahead = np.array([1.0, 3, 4, 12])
    m = lognormal([2000, 2001, 2003, 2004, *(2004 + ahead)], [10, 20, 40, 160, 1, 1, 1, 1])
    walk = np.log2(forecasts(m, 4, 100_000)["random walk"] / 160)
    variance = (1 + 1 / 2 + 4) / 3  # of a year: by 1 in one year, by 1 in two, by 2 in one
    np.testing.assert_allclose(walk.var(axis=0), variance * ahead, rtol=0.03)
    deviation = np.sqrt(variance * ahead)
    assert np.abs(np.median(walk, axis=0) / deviation).max() < 0.02
    # One path: what has come by a time stays, and later steps know nothing of it.
    steps = np.diff(walk, axis=1, prepend=0)
    np.testing.assert_allclose(np.corrcoef(steps.T), np.eye(4), atol=0.02)
    # The 95 % point is that of a lognormal distribution.
    high = np.quantile(walk, 0.95, axis=0)
    np.testing.assert_allclose(high, 1.645 * deviation, rtol=0.03)


def test_the_pool_of_two_numbers():
    """Half on each of a and b: the mean distance to both, less a quarter of that between them."""
    a, b, y = np.array([[3.0, 3, 3]]), np.array([[7.0, 7, 7]]), np.array([4.0, 1, 12])
    expected = (np.abs(a[0] - y) + np.abs(b[0] - y)) / 2 - np.abs(a[0] - b[0]) / 4
    np.testing.assert_allclose(crps(linear_pool(a, b), y), expected)
    np.testing.assert_allclose(expected, [1, 3, 6])


def test_the_pool_of_a_forecast_with_itself_is_that_forecast():
    rng = np.random.default_rng(2)
    draws, y = rng.normal(size=(40, 3)), np.array([0.1, 2, -3])
    np.testing.assert_allclose(crps(linear_pool(draws, draws), y), crps(draws, y))


def test_a_pool_is_never_worse_than_the_mean_of_its_parts():
    """The score is convex in the distribution; the gain is half of Cramer's distance of the two,
    which is none only where they are one."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, (60, 4)), rng.normal(1, 3, (60, 4))
    for y in rng.normal(0, 4, (20, 4)):
        assert (crps(linear_pool(one, other), y) < (crps(one, y) + crps(other, y)) / 2).all()


def test_each_part_of_a_pool_counts_the_same():
    with pytest.raises(ValueError, match="same shape"):
        linear_pool(np.zeros((3, 2)), np.zeros((4, 2)))


def test_a_random_walk_does_not_know_how_often_it_is_seen():
    """The same walk by month and by quarter makes the same forecast."""
    rng = np.random.default_rng(4)
    time = 2000 + np.arange(2401) / 12
    value = np.exp(np.cumsum(rng.normal(0.005, 0.05, len(time))))
    found = []
    for every in (1, 3):
        t = np.append(time[:-1:every], 2201.0)
        v = np.append(value[:-1:every], 1.0)
        both = forecasts(lognormal(t, v), len(t) - 1, 50_000)
        walks = (both[name] for name in ("random walk with drift", "random walk"))
        found.append([np.log(walk / v[-2]).std() / np.sqrt(t[-1] - t[-2]) for walk in walks])
    # A spread estimated from 800 steps is known to 2.5 %.
    assert found[0] == pytest.approx(found[1], rel=0.08)
    assert found[0] == pytest.approx([0.05 * np.sqrt(12)] * 2, rel=0.08)


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


def test_the_pool_stands_beside_the_model():
    posterior = Stub(401)
    values = pd.DataFrame({"which": np.zeros(401)})
    found = scores(posterior, values, 2003, 1)
    m = posterior.measurements[0]
    y = m.series.value[3:]
    rng = generator(1, "m", "forecast")
    seen = predict(posterior, m, np.full((400, 5), 10.0), values[:400], 3, rng)
    walk = naive(m, 3, 400, rng, generator(1, "m", "random walk"))["random walk"]
    both = np.concatenate([seen, walk])
    np.testing.assert_array_equal(found["crps of pool"], crps(both, y))
    band = found[["low of pool", "median of pool", "high of pool"]].to_numpy().T
    np.testing.assert_array_equal(band, np.quantile(both, (0.05, 0.5, 0.95), axis=0))
    assert found["inside of pool"].tolist() == [True, True]
    np.testing.assert_array_equal(found["crps of random walk"], crps(walk, y))
    low, high = np.quantile(walk, (0.05, 0.95), axis=0)
    inside = found["inside of walk without drift"]
    assert inside.tolist() == ((low <= y) & (y <= high)).tolist()


def test_what_was_scored_before_there_was_a_pool_is_the_same_to_the_last_bit():
    """Draws of the model, and then of the walk with drift, from one stream; nothing else is."""
    posterior = Stub(401)
    values = pd.DataFrame({"which": np.zeros(401)})
    found = scores(posterior, values, 2003, 1)
    m = posterior.measurements[0]
    y, past = m.series.value[3:], m.series.value[:3]
    rng = generator(1, "m", "forecast")
    seen = predict(posterior, m, np.full((400, 5), 10.0), values[:400], 3, rng)
    ahead, changes = np.array([1.0, 2.0]), np.diff(np.log(past))
    drift = changes.sum() / 2
    spread = np.sqrt(((changes - drift) ** 2).sum() / 1)
    slope = drift + spread / np.sqrt(2.0) * rng.standard_normal((400, 1))
    steps = spread * np.sqrt([1.0, 1.0]) * rng.standard_normal((400, 2))
    walk = past[-1] * np.exp(slope * ahead + np.cumsum(steps, axis=1))
    low, middle, high = np.quantile(seen, (0.05, 0.5, 0.95), axis=0)
    before = {
        "low": low, "median": middle, "high": high, "crps": crps(seen, y),
        "crps of last value": np.abs(past[-1] - y),
        "crps of last trend": np.abs(past[-1] * np.exp(changes[-1] * ahead) - y),
        "crps of random walk with drift": crps(walk, y),
    }  # fmt: skip
    for column, expected in before.items():
        np.testing.assert_array_equal(found[column], expected, err_msg=column)
    low, high = np.quantile(walk, (0.05, 0.95), axis=0)
    inside = found["inside of random walk"]
    assert inside.tolist() == ((low <= y) & (y <= high)).tolist()
