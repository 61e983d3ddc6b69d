"""The posterior density of the teaching model against numbers made without it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sdkit import Experiment, Setting, simulate
from sdkit.experiment import no_draws, quantile
from sdkit.measurement import Measurement, read_measurements
from sdkit.observations import at_observations, read_series
from sdkit.posterior import Posterior


@pytest.fixture(scope="module")
def series(sir):
    return read_series(sir.path.parent / "data")


@pytest.fixture(scope="module")
def posterior(sir, parameters, series):
    path = sir.path.parent / "measurements.toml"
    found = read_measurements(path, sir, parameters, series)
    return Posterior(sir, parameters, parameters.of_role("fitted"), list(found.values()))


def test_coordinates_are_standard_normal_scores_of_the_prior(posterior):
    z = np.random.default_rng(0).normal(size=(5, len(posterior)))
    values = posterior.values(z)
    for i, item in enumerate(posterior.items):
        np.testing.assert_allclose(values[item.name], quantile(item, stats.norm.cdf(z[:, i])))
    back = [posterior.coordinates(row) for row in values.to_dict("records")]
    # The inverse is read from a grid of 4,001 points.
    np.testing.assert_allclose(back, z, atol=1e-5)


def test_the_density_is_that_of_one_run_and_its_series(posterior, sir, series):
    z = np.array([[0.3, -0.5, 0.2, 0.1, -0.3]])
    found = float(posterior.log_density(z)[0])
    v = posterior.values(z).iloc[0]
    run = simulate(
        sir, set={n: v[n] for n in ("infectivity", "infectious duration", "reporting fraction")
                  if n in v}
    )  # fmt: skip
    m = posterior.measurements[0]
    # Every step is saved, so that the trapezoidal rule is the same.
    assert float(run.time[1] - run.time[0]) == posterior.program.saveper
    (own,) = posterior.simulate(z)
    values = run["reported cases"].to_numpy()[:, 0, 0, 0]
    coarse = at_observations(run.time.to_numpy(), values, m.series.time, "year")
    # Saved four times a year or so, against every step.
    np.testing.assert_allclose(own[0], coarse, rtol=2e-3)
    gaps = np.abs(m.series.time[:, None] - m.series.time)
    s, memory = v["spread of reported cases"], v["correlation time of reported cases"]
    law = stats.multivariate_normal(np.log(own[0]), s**2 * np.exp(-gaps / memory))
    expected = law.logpdf(np.log(m.series.value)) - np.log(m.series.value).sum()
    assert found == pytest.approx(expected - 0.5 * float((z**2).sum()), rel=1e-10)


def test_months_that_fall_between_steps(sir, parameters, series):
    own = series["reported cases by month"]
    m = Measurement("months", own, "reported cases", "month", "lognormal", 0.1)
    found = Posterior(sir, parameters, (), [m]).simulate(np.zeros((1, 0)))[0][0]
    step = float(simulate(sir).attrs["time_step"])
    times = np.arange(2020, 2024, step)
    run = simulate(
        sir,
        Experiment((Setting("s"),), (Setting("p"),), no_draws(), ("reported cases",), times),
    )
    values = run["reported cases"].to_numpy()[:, 0, 0, 0]
    np.testing.assert_allclose(found, at_observations(times, values, own.time, "month"), rtol=1e-12)


def test_a_factor_and_a_scale_multiply_what_is_simulated(sir, parameters, series, tmp_path):
    text = (sir.path.parent / "measurements.toml").read_text(encoding="utf-8")
    path = tmp_path / "measurements.toml"
    path.write_text(
        text + 'scale = "infectivity"\nfactors = [{ from = 2015, low = 0.5, high = 2 }]\n',
        encoding="utf-8",
    )
    scaled = list(read_measurements(path, sir, parameters, series).values())
    fitted = parameters.of_role("fitted")
    plain = read_measurements(sir.path.parent / "measurements.toml", sir, parameters, series)
    z = np.array([[0.4, 0.0, 0.3, 0.0, 0.0, 1.0]])
    one = Posterior(sir, parameters, fitted, scaled)
    other = Posterior(sir, parameters, fitted, list(plain.values()))
    v = one.values(z[:, : len(one)]).iloc[0]
    factor = np.where(
        one.measurements[0].series.time >= 2015, v["factor of reported cases from 2015"], 1.0
    )
    np.testing.assert_allclose(
        one.simulate(z[:, : len(one)])[0][0],
        other.simulate(z[:, : len(other)])[0][0] * v["infectivity"] * factor,
        rtol=1e-12,
    )


def test_a_run_that_fails_has_no_density(tmp_path, series):
    from . import small

    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    model = small.model(
        folder,
        "a = 1 ~ Dmnl [0,4] ~ |\nlevel = INTEG(level/(2-a), 1)\nout = level",
        end=2020,
        start=2010,
    )
    (folder / "parameters.csv").write_text(
        "name,role,low,high,distribution,unit,source,grade\na,fitted,1,3,uniform,Dmnl,nobody,D\n",
        encoding="utf-8",
    )
    from sdkit.parameters import read_parameters

    parameters = read_parameters(model)
    m = Measurement("m", series["reported cases"].between(2010, 2015), "out", "point",
                    "lognormal", 1.0)  # fmt: skip
    posterior = Posterior(model, parameters, parameters.of_role("fitted"), [m])
    middle = posterior.coordinates({"a": 2.0})
    found = posterior.log_density(np.array([[-1.0], middle, [1.0]]))
    assert np.isfinite(found[0])
    assert found[1] == -np.inf


def test_observations_outside_the_run_are_refused(sir, parameters, series):
    from sdkit.errors import RunError

    for reduction, time in (("year", 1999.0), ("point", 2100.0), ("month", 1990.04)):
        own = series["reported cases"]
        late = type(own)(own.name, np.array([time]), np.array([1.0]), own.unit, own.sources)
        m = Measurement("m", late, "reported cases", reduction, "lognormal", 0.1)
        with pytest.raises(RunError) as caught:
            Posterior(sir, parameters, (), [m])
        assert caught.value.code == "R479"
