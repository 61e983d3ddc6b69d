"""Draws from priors, against closed forms; settings and who may set what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sdkit import simulate
from sdkit.errors import ParameterError, RunError, SimulationError
from sdkit.experiment import (
    Draws,
    Experiment,
    Setting,
    no_draws,
    quantile,
    read_settings,
    sample,
)
from sdkit.parameters import Parameter

P = np.array([0.01, 0.05, 0.3, 0.5, 0.77, 0.95, 0.99])


def prior(distribution, low, high, default=None, limits=(None, None), weights=()):
    middle = default if default is not None else (low + high) / 2
    return Parameter("x", "uncertain", middle, limits, "", low, high, distribution, weights)


@pytest.mark.parametrize(
    ("item", "oracle"),
    [
        (prior("uniform", 2, 5), stats.uniform(2, 3)),
        (prior("loguniform", 2, 50), stats.loguniform(2, 50)),
        (prior("triangular", 2, 10, default=4), stats.triang(0.25, 2, 8)),
    ],
)
def test_quantiles_are_those_of_the_distribution(item, oracle):
    assert quantile(item, P) == pytest.approx(oracle.ppf(P), rel=1e-12)


def test_normal_and_lognormal_have_their_ends_at_5_and_95_per_cent():
    at = np.array([0.05, 0.95])
    assert quantile(prior("normal", -1, 4), at) == pytest.approx([-1, 4])
    assert quantile(prior("lognormal", 0.2, 5), at) == pytest.approx([0.2, 5])
    assert quantile(prior("lognormal", 0.2, 5), np.array([0.5])) == pytest.approx([1.0])


def test_tails_are_cut_at_the_hard_bounds_not_heaped_on_them():
    item = prior("normal", -1, 1, limits=(-1.2, 1.5))
    spread = 1 / stats.norm.ppf(0.95)
    oracle = stats.truncnorm(-1.2 / spread, 1.5 / spread, scale=spread)
    assert quantile(item, P) == pytest.approx(oracle.ppf(P), rel=1e-9)
    wide = quantile(item, np.linspace(0.0001, 0.9999, 999))
    assert (np.diff(wide) > 0).all()
    assert wide.min() > -1.2
    assert wide.max() < 1.5


def test_a_lognormal_prior_is_cut_at_both_hard_bounds():
    """Above 0.15 and below 8, outside which 2.6 and 1.7 % of it lie: quantiles of what is left."""
    item = prior("lognormal", 0.2, 5, limits=(0.15, 8))
    spread = np.log(5) / stats.norm.ppf(0.95)
    cut = np.log([0.15, 8]) / spread
    oracle = np.exp(stats.truncnorm(*cut, scale=spread).ppf(P))
    assert quantile(item, P) == pytest.approx(oracle, rel=1e-9)
    one_sided = quantile(prior("lognormal", 0.2, 5, limits=(0.15, None)), P)
    assert one_sided == pytest.approx(
        np.exp(stats.truncnorm(cut[0], np.inf, scale=spread).ppf(P)), rel=1e-9
    )
    # A bound of nought cuts nothing off.
    free = quantile(prior("lognormal", 0.2, 5, limits=(0, None)), P)
    assert free == pytest.approx(np.exp(spread * stats.norm.ppf(P)), rel=1e-9)


def test_a_choice_takes_each_setting_as_often_as_its_weight_says():
    item = prior("choice", 0, 2, default=1, weights=(0.2, 0.5, 0.3))
    drawn = quantile(item, (np.arange(1000) + 0.5) / 1000)
    assert [int((drawn == k).sum()) for k in (0, 1, 2)] == [200, 500, 300]


def test_draws_depend_on_the_seed_alone(parameters):
    one, same, other = (sample(parameters, 16, seed) for seed in (5, 5, 6))
    assert one.equals(same)
    assert not one.equals(other)
    assert one.index.name == "draw"
    assert list(one.columns) == [item.name for item in parameters.sampled]


def test_draws_fill_their_ranges_evenly(parameters):
    drawn = sample(parameters, 64, 1)
    item = parameters.find("vaccine efficacy")
    share = (drawn[item.name] - item.low) / (item.high - item.low)
    # A scrambled Sobol sequence has one point in each of 64 equal cells.
    assert sorted(np.floor(share * 64).astype(int)) == list(range(64))


def test_switches_are_drawn_by_weight_and_apart():
    from sdkit.parameters import Parameters

    switches = tuple(
        Parameter(f"s{i}", "structural", 0, (0, 1), "", 0, 1, "choice", (0.25, 0.75))
        for i in range(30)
    )
    drawn = sample(Parameters(switches), 64, 1)
    assert (drawn.mean() == 0.75).all()  # each by its own weights, exactly
    apart = np.abs(np.corrcoef(drawn.to_numpy().T) - np.eye(30))
    # Chance alone: 435 pairs with a standard error of 1/8; 0.6 is nearly five of them.
    assert apart.max() < 0.6


@pytest.mark.parametrize("n", [0, -4, 3, 100])
def test_the_number_of_draws_is_a_power_of_two(parameters, n):
    with pytest.raises(RunError) as caught:
        sample(parameters, n, 1)
    assert caught.value.code == "R445"


def test_settings_keep_the_model_s_spelling(sir, parameters, tmp_path):
    path = tmp_path / "policies.toml"
    path.write_text('[[policy]]\nname = "x"\nset = { "Vaccination_Strength" = 1 }\n')
    assert read_settings(path, "policy", parameters)["x"].values == {"vaccination strength": 1.0}


def test_a_value_out_of_range_is_found_in_its_own_table(sir, parameters, tmp_path):
    path = tmp_path / "policies.toml"
    path.write_text(
        '[[policy]]\nname = "x"\nset = { "vaccination strength" = 1 }\n\n'
        '[[policy]]\nname = "y"\nset = { "vaccination strength" = 99 }\n'
    )
    with pytest.raises(ParameterError) as caught:
        read_settings(path, "policy", parameters)
    assert caught.value.code == "P308"
    assert f"{path}, line 7" in caught.value.message


@pytest.mark.parametrize(
    ("n", "seed"), [(4, None), (4, -1), (4, "a"), (4, 1.5), (4.0, 1), ("4", 1), (3, 1), (0, 1)]
)
def test_draws_are_a_power_of_two_from_a_seed_that_can_be_repeated(n, seed, parameters):
    with pytest.raises(RunError) as caught:
        Draws(parameters, n, seed)
    assert caught.value.code == ("R444" if n == 4 and isinstance(n, int) else "R445")


@pytest.mark.parametrize(
    "change",
    [
        {"policies": ()},
        {"policies": ("a",)},
        {"policies": Setting("a")},
        {"scenarios": (Setting("a"), Setting("a"))},
        {"outputs": "Infected"},
        {"outputs": (3,)},
        {"times": 2020.0},
        {"times": None},
        {"times": ["a"]},
        {"draws": 64},
        {"draws": pd.DataFrame({"infectivity": ["a"]})},
        {"draws": pd.DataFrame(index=range(0))},
        {"draws": pd.DataFrame([[1.0, 2.0]], columns=["infectivity", "infectivity"])},
    ],
)
def test_what_cannot_be_an_experiment(change):
    good = {
        "scenarios": (Setting("s"),), "policies": (Setting("p"),), "draws": no_draws(),
        "outputs": ("Infected",), "times": np.array([2020.0]),
    }  # fmt: skip
    Experiment(**good)
    with pytest.raises(SimulationError) as caught:
        Experiment(**good | change)
    assert caught.value.code == "S209"


@pytest.mark.parametrize("where", ["draws", "scenario", "policy"])
def test_bounds_hold_wherever_a_value_comes_from(where, sir):
    value = {"infectivity": 900.0}
    experiment = Experiment(
        (Setting("s", value if where == "scenario" else {}),),
        (Setting("p", value if where == "policy" else {}),),
        pd.DataFrame({"infectivity": [0.1, 900.0]}) if where == "draws" else no_draws(),
        ("Infected",), np.array([2020.0]),
    )  # fmt: skip
    with pytest.raises(ParameterError) as caught:
        simulate(sir, experiment)
    assert caught.value.code == "P308"
    assert "infectivity = 900" in caught.value.message
