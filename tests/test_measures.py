"""What is reduced in the kernel, beside NumPy on stored values of every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sdkit import Likelihood, Measure, compile_model, simulate
from sdkit.errors import SimulationError
from tests.small import experiment, model

EQUATIONS = """
amplitude = 2
speed = 1
scatter = 1
lever = 0 ~ Dmnl [0,1] ~ |
Stock = INTEG(wave, 5)
wave = amplitude*SIN(speed*Time)*(1 + lever*STEP(1, 4)) + 0.3
level = 20 + wave
"""
STEP = 0.125
TIMES = np.arange(0, 10 + STEP / 2, STEP)
DRAWS = {
    "amplitude": np.linspace(1, 3, 13),
    "speed": np.linspace(0.5, 2, 13),
    "scatter": np.linspace(0.5, 2, 13),
}
WINDOWS = [(0.0, 1.0), (1.0, 2.5), (2.5, 2.5), (3.0, 10.0)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_model(model(tmp_path_factory.mktemp("measures"), EQUATIONS, method="rk4"))


@pytest.fixture(scope="module")
def everything(program):
    result = simulate(program, experiment(["wave", "Stock", "level"], TIMES, draws=DRAWS))
    return {name: result[name].to_numpy()[:, 0, 0, :] for name in result}


def measured(program, *measures, **more):
    return simulate(program, experiment([], [], draws=DRAWS, measures=measures, **more))


def by_numpy(kind: str, values: np.ndarray, begin: float, end: float) -> np.ndarray:
    part = values[(begin <= TIMES) & (end >= TIMES)]
    times = TIMES[(begin <= TIMES) & (end >= TIMES)]
    integral = ((part[1:] + part[:-1]) / 2).sum(axis=0) * STEP
    return {
        "value": lambda: part[-1],
        "mean": lambda: integral / (end - begin) if end > begin else part[0],
        "sum": lambda: integral,
        "change": lambda: part[-1] - part[0],
        "peak": lambda: part.max(axis=0),
        "trough": lambda: part.min(axis=0),
        "time of peak": lambda: times[part.argmax(axis=0)],
        "time of trough": lambda: times[part.argmin(axis=0)],
    }[kind]()


KINDS = ("value", "mean", "sum", "change", "peak", "trough", "time of peak", "time of trough")


@pytest.mark.parametrize("kind", KINDS)
def test_a_measure_is_what_numpy_makes_of_all_steps(program, everything, kind):
    found = measured(program, Measure("m", "wave", kind, WINDOWS))
    assert found["m"].dims == ("m window", "scenario", "policy", "draw")
    assert found["m window"].to_numpy().tolist() == [end for _, end in WINDOWS]
    for i, window in enumerate(WINDOWS):
        wanted = by_numpy(kind, everything["wave"], *window)
        # Sums of at most 57 steps, in another order.
        np.testing.assert_allclose(found["m"][i, 0, 0], wanted, rtol=1e-13, atol=1e-13)


def test_many_measures_at_once_and_their_units(program, everything):
    """Neighbours of one kind share a gauge; each has to find its own place all the same."""
    measures = [
        Measure(f"{kind} {name}", name, kind, [(1.0, 9.0)])
        for kind in KINDS
        for name in ("wave", "level", "Stock")
    ]
    found = measured(program, *measures)
    for m in measures:
        assert found[m.name].dims == ("scenario", "policy", "draw")
        wanted = by_numpy(m.kind, everything[m.variable], 1.0, 9.0)
        np.testing.assert_allclose(found[m.name][0, 0], wanted, rtol=1e-13, atol=1e-13)
    assert found["time of peak wave"].attrs["units"] == "Month"
    assert found["sum wave"].attrs["units"] == "Dmnl*Month"


def test_values_and_measures_together(program, everything):
    found = simulate(
        program,
        experiment(["level"], [0, 5, 10], draws=DRAWS,
                   measures=[Measure("worst", "wave", "peak", [(0, 10)])]),
    )  # fmt: skip
    np.testing.assert_array_equal(found["level"][:, 0, 0], everything["level"][[0, 40, 80]])
    np.testing.assert_array_equal(found["worst"][0, 0], everything["wave"].max(axis=0))
    assert "wave" not in found


@pytest.mark.parametrize("branch", [2.0, 2.125, 4.0, 7.5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_across_the_branch(program, kind, branch):
    """The lever acts from 4 on: a policy has the same past, whatever is measured across it."""
    m = Measure("m", "wave", kind, [(0, 1.5), (1.5, 6.0), (6.0, 9.0)])
    run = experiment([], [], {"as it is": {}, "push": {"lever": 0.5}}, DRAWS, measures=[m])
    whole = simulate(program, run)
    assert simulate(program, replace(run, branch=branch)).identical(whole)


DATA = np.array([19.0, 21.0, 24.0, 20.5])
SPREAD = np.array([1.0, 0.5, 2.0, 1.5])


@pytest.mark.parametrize("factor", [None, "scatter"])
@pytest.mark.parametrize("density", ["normal", "lognormal", "student t", "negative binomial"])
def test_a_likelihood_is_what_scipy_says(program, everything, density, factor):
    found = measured(
        program,
        Measure("fit", "level", "mean", WINDOWS,
                Likelihood(density, np.round(DATA), SPREAD, factor, freedom=5.0)),
    )["fit"]  # fmt: skip
    assert found.dims == ("scenario", "policy", "draw")
    total = np.zeros(13)
    for y, spread, window in zip(np.round(DATA), SPREAD, WINDOWS, strict=True):
        mean = by_numpy("mean", everything["level"], *window)
        scale = spread * (DRAWS["scatter"] if factor else 1.0)
        total += {
            "normal": stats.norm.logpdf(y, mean, scale),
            "lognormal": stats.lognorm.logpdf(y, scale, scale=mean),
            "student t": stats.t.logpdf(y, 5.0, mean, scale),
            "negative binomial": stats.nbinom.logpmf(y, scale, scale / (scale + mean)),
        }[density]
    # Densities of a few units each, from sums in another order.
    np.testing.assert_allclose(found[0, 0], total, rtol=1e-11)


def test_a_value_that_a_lognormal_cannot_have_is_impossible_and_no_failure(program):
    found = measured(
        program, Measure("fit", "level", "mean", WINDOWS[:2], Likelihood("lognormal", [1, 1], 1.0)),
        Measure("low", "wave", "change", [(0, 10)], Likelihood("lognormal", [1.0], 1.0)),
    )  # fmt: skip
    assert np.isfinite(found["fit"]).all()
    assert np.isneginf(found["low"]).any()


@pytest.mark.parametrize(
    ("measure", "code"),
    [
        (Measure("m", "wave", "median", [(0, 1)]), "S208"),
        (Measure("m", "wave", "mean", []), "S204"),
        (Measure("m", "wave", "mean", [(1, 0)]), "S204"),
        (Measure("m", "wave", "mean", [(0, 2), (1, 3)]), "S204"),
        (Measure("m", "wave", "mean", [(0, 1.01)]), "S204"),
        (Measure("m", "wave", "mean", [(0, 11)]), "S204"),
        (Measure("m", "nobody", "mean", [(0, 1)]), "S203"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("uniform", [1], 1)), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("normal", [1, 2], 1)), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("normal", [1], [1, 2])), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("normal", [1], 0)), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("normal", [np.nan], 1)), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("lognormal", [0], 1)), "S208"),
        (Measure("m", "wave", "mean", [(0, 1)], Likelihood("normal", [1], 1, "nobody")), "S203"),
        (Measure("wave", "wave", "mean", [(0, 1)]), "S208"),
    ],
)
def test_measures_that_cannot_be(program, measure, code):
    with pytest.raises(SimulationError) as caught:
        simulate(program, experiment(["wave"], [0], draws=DRAWS, measures=[measure]))
    assert caught.value.code == code
    assert "m" in caught.value.message


def test_two_measures_of_one_name(program):
    twice = [Measure("m", "wave", "mean", [(0, 1)]), Measure("m", "Stock", "mean", [(0, 1)])]
    with pytest.raises(SimulationError) as caught:
        measured(program, *twice)
    assert caught.value.code == "S208"


@pytest.mark.parametrize("density", ["normal", "lognormal", "student t", "negative binomial"])
def test_a_spread_below_zero_fails_its_lane(program, density):
    draws = DRAWS | {"scatter": np.where(np.arange(13) == 4, -5.0, 1.0)}
    m = Measure("m", "level", "mean", [(0, 1)], Likelihood(density, [20], 2.0, "scatter"))
    with pytest.raises(SimulationError) as caught:
        simulate(program, experiment([], [], draws=draws, measures=[m]))
    assert [f["draw"] for f in caught.value.failures] == [4]


def test_an_early_effect_that_only_a_likelihood_sees_is_noticed(tmp_path):
    equations = "lever = 0\ny = 2 + IF THEN ELSE(Time < 1, lever, 0)"
    early = compile_model(model(tmp_path, equations))
    m = Measure("m", "y", "value", [(0.5, 0.5), (3, 3)], Likelihood("normal", [2, 2], 1.0))
    run = experiment([], [], {"nothing": {}, "early": {"lever": 3}}, measures=[m])
    whole = simulate(early, run)
    assert simulate(early, replace(run, branch=2)).identical(whole)
    assert float(whole["m"].diff("policy")[0, 0, 0]) == pytest.approx(-4.5)  # three spreads away


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "time"}, "time"),
        ({"name": "draw"}, "draw"),
        ({"windows": (2, 3)}, "windows are pairs"),
        ({"windows": [(1, 2, 3)]}, "windows are pairs"),
        ({"windows": "ab"}, "windows are pairs"),
        ({"likelihood": Likelihood("normal", ["a", 1], 1.0)}, "have to be numbers"),
        ({"likelihood": Likelihood("normal", [np.nan, 1], 1.0)}, "observation 1 of 2 is nan"),
        ({"likelihood": Likelihood("lognormal", [1, 0], 1.0)}, "observation 2 of 2 is 0"),
        ({"likelihood": Likelihood("student t", [1, 1], 1.0, freedom=np.inf)}, "use normal"),
        ({"likelihood": Likelihood("student t", [1, 1], 1.0, freedom=1e15)}, "use normal"),
        ({"likelihood": Likelihood("negative binomial", [1, 1], 1e13)}, "spreads"),
    ],
)
def test_what_a_measure_cannot_be(change, says, program):
    good = {"name": "m", "variable": "wave", "kind": "value", "windows": [(0.0, 1.0), (1.0, 2.0)]}
    with pytest.raises(SimulationError) as caught:
        measured(program, Measure(**good | change))
    assert caught.value.code == "S208"
    assert says in caught.value.message


def test_two_results_of_one_name(program):
    one = Measure("m", "wave", "value", [(0.0, 1.0), (1.0, 2.0)])
    other = Measure("m window", "wave", "value", [(0.0, 1.0)])
    with pytest.raises(SimulationError) as caught:
        measured(program, one, other)
    assert caught.value.code == "S208"
