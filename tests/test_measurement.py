"""Measurements: what measurements.toml says, and densities against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sdkit.errors import Error
from sdkit.measurement import Measurement, log_density, observe, read_measurements, residuals
from sdkit.observations import Series, read_series
from sdkit.parameters import Parameter

TIME = np.array([2000.0, 2001.0, 2002.0, 2004.0, 2004.5])
SEEN = np.array([3.0, 5.0, 4.0, 8.0, 9.0])
SPREAD, MEMORY = np.array([0.3, 0.8]), np.array([0.7, 2.0])


def measurement(density: str, correlated: bool = False) -> Measurement:
    series = Series("s", TIME, SEEN, "Person", ("nobody",))
    return Measurement("m", series, "v", "point", density, 0.3, 0.7 if correlated else None)


@pytest.fixture
def simulated():
    return SEEN * np.exp(np.random.default_rng(1).normal(0, 0.2, (2, len(SEEN))))


@pytest.mark.parametrize("density", ["normal", "lognormal"])
def test_correlated_residuals_have_the_joint_density_of_their_covariance(density, simulated):
    """The terms add up to the multivariate normal density whose covariance falls with the gap."""
    m = measurement(density, correlated=True)
    found = log_density(m, simulated, SPREAD, MEMORY).sum(axis=1)
    for lane in range(2):
        gaps = np.abs(TIME[:, None] - TIME)
        covariance = SPREAD[lane] ** 2 * np.exp(-gaps / MEMORY[lane])
        y, x = SEEN, simulated[lane]
        jacobian = 0.0
        if density == "lognormal":
            y, x, jacobian = np.log(y), np.log(x), -np.log(SEEN).sum()
        expected = stats.multivariate_normal(x, covariance).logpdf(y) + jacobian
        assert found[lane] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("density", "law"),
    [
        ("normal", lambda x, s: stats.norm(x, s)),
        ("lognormal", lambda x, s: stats.lognorm(s, scale=x)),
        ("student t", lambda x, s: stats.t(4, x, s)),
    ],
)
def test_independent_residuals(density, law, simulated):
    found = log_density(measurement(density), simulated, SPREAD, MEMORY)
    expected = law(simulated, SPREAD[:, None]).logpdf(SEEN)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_counts(simulated):
    found = log_density(measurement("negative binomial"), simulated, SPREAD, MEMORY)
    for lane, size in enumerate(SPREAD):
        x = simulated[lane]
        expected = stats.nbinom(size, size / (size + x)).logpmf(SEEN)
        np.testing.assert_allclose(found[lane], expected, rtol=1e-12)
        # The size is that of a distribution whose mean is simulated.
        assert stats.nbinom(size, size / (size + x)).mean() == pytest.approx(x)


@pytest.mark.parametrize("density", ["lognormal", "negative binomial"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_what_cannot_be_has_no_density(density, value, simulated):
    simulated[1, 2] = value
    found = log_density(measurement(density, density == "lognormal"), simulated, SPREAD, MEMORY)
    assert np.isfinite(found[0]).all()
    assert found[1].sum() == -np.inf


def test_what_is_observed_scatters_as_the_density_says():
    m = measurement("lognormal", correlated=True)
    n = 200_000
    one = np.ones(n)
    seen = observe(m, np.tile(SEEN, (n, 1)), 0.3 * one, 0.7 * one, np.random.default_rng(3))
    found = np.cov(np.log(seen / SEEN).T)
    expected = 0.09 * np.exp(-np.abs(TIME[:, None] - TIME) / 0.7)
    # Five standard errors of a covariance over so many draws.
    assert np.abs(found - expected).max() < 5 * 0.09 * np.sqrt(2 / n)


def test_known_residuals_go_on():
    m = measurement("lognormal", correlated=True)
    n = 200_000
    one = np.ones(n)
    past = np.tile(np.log([1.5, 1.4, 1.3]), (n, 1))
    seen = observe(m, np.tile(SEEN, (n, 1)), 0.3 * one, 0.7 * one, np.random.default_rng(3), past)
    np.testing.assert_allclose(seen[:, :3], SEEN[:3] * [1.5, 1.4, 1.3] * one[:, None])
    ahead = np.log(seen[:, 3:] / SEEN[3:])
    keep = np.exp(-np.array([2.0, 2.5]) / 0.7)
    spread = 0.3 * np.sqrt(1 - keep**2)
    assert ahead.mean(axis=0) == pytest.approx(keep * np.log(1.3), abs=5 * 0.3 / np.sqrt(n))
    assert ahead.std(axis=0) == pytest.approx(spread, rel=5 / np.sqrt(2 * n))


@pytest.mark.parametrize("density", ["normal", "student t", "negative binomial"])
def test_the_mean_of_what_is_observed(density):
    m, n = measurement(density), 100_000
    one = np.ones(n)
    seen = observe(m, np.tile(SEEN, (n, 1)), 2 * one, one, np.random.default_rng(5))
    assert seen.mean(axis=0) == pytest.approx(SEEN, abs=6 * seen.std(axis=0).max() / np.sqrt(n))


def test_residuals_of_logarithms(simulated):
    m = measurement("lognormal")
    np.testing.assert_allclose(residuals(m, simulated, SEEN), np.log(SEEN / simulated))


# -- the file ----------------------------------------------------------------------------

GOOD = """
[[measurement]]
name = "cases"
series = "reported cases"
variable = "Reported Cases"
reduction = "year"
from = 2012
density = "lognormal"
spread = { low = 0.05, high = 0.2 }
correlation_time = 0.5
factors = [{ to = 2015, low = 0.5, high = 2 }, { from = 2015, to = 2017, low = 0.9, high = 1.1 }]
"""


def read(text, sir, parameters, folder):
    path = folder / "measurements.toml"
    path.write_text(text, encoding="utf-8")
    return read_measurements(path, sir, parameters, read_series(sir.path.parent / "data"))


def test_a_measurement_as_it_is_read(sir, parameters, tmp_path):
    m = read(GOOD, sir, parameters, tmp_path)["cases"]
    assert m.variable == "reported cases"  # spelt as the model spells it
    assert m.series.time[0] == 2012
    assert isinstance(m.spread, Parameter)
    assert m.correlation_time == 0.5
    assert [item.name for item in m.nuisance] == [
        "spread of cases",
        "factor of cases to 2015",
        "factor of cases from 2015 to 2017",
    ]
    assert m.spread.default == pytest.approx(0.1)  # the middle of a lognormal prior
    assert len(m.until(2015).series.time) == 4


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ('"reported cases"\nvar', '"no cases"\nvar', "R411"),
        ('"Reported Cases"', '"no variable"', "S203"),
        ('"year"', '"week"', "R441"),
        ('"lognormal"', '"cauchy"', "R441"),
        ('"lognormal"', '"student t"', "R469"),  # whose residuals cannot be correlated
        ("spread = { low = 0.05, high = 0.2 }", "", "R408"),
        ("low = 0.05", "low = 0.3", "R470"),
        ("low = 0.05", "low = -1", "R470"),
        ("low = 0.05", 'low = "a"', "R409"),
        ("low = 0.05, ", "", "R408"),
        ("= 0.5", "= 0", "R443"),
        ("from = 2012", "from = 2030", "R468"),
        ("low = 0.05", 'distribution = "uniform", low = 0.05', "R407"),
        ('"lognormal"', '"negative binomial"', "R469"),  # whose residuals cannot be correlated
        ("from = 2012", "from = 2012\nfreedom = -1", "R443"),
        ("{ to = 2015", "{ too = 2015", "R407"),
        ("to = 2017", "to = 2012", "R470"),
        ("from = 2012", "frm = 2012", "R407"),
        ("factors = [{", "factors = [3, {", "R409"),
        ('density = "lognormal"', 'density = "lognormal"\nscale = "nothing"', "P305"),
    ],
)
def test_a_fault_in_the_file_is_named(before, after, code, sir, parameters, tmp_path):
    assert before in GOOD
    with pytest.raises(Error) as caught:
        read(GOOD.replace(before, after, 1), sir, parameters, tmp_path)
    assert caught.value.code == code


def test_a_lognormal_density_needs_values_above_zero(sir, parameters, tmp_path):
    series = read_series(sir.path.parent / "data")
    zero = series["reported cases"]
    series["reported cases"] = replace(zero, value=np.where(zero.time == 2013, 0.0, zero.value))
    path = tmp_path / "measurements.toml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(Error) as caught:
        read_measurements(path, sir, parameters, series)
    assert caught.value.code == "R469"
