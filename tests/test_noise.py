"""Random functions: their distributions, and streams that seed, draw and variable decide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sdkit import compile_model, simulate
from sdkit.noise import beginnings
from sdkit.numerics import combined, next_first, next_second, normal_quantile
from tests.small import experiment, model

EQUATIONS = """
dim: a, b ~ ~ |
u = RANDOM UNIFORM(-1, 3, 0)
v = RANDOM UNIFORM(-1, 3, 0)
z = RANDOM 0 1()
n = RANDOM NORMAL(-2, 9, 1, 2, 7)
e = RANDOM EXPONENTIAL(0, 5, 1, 2, 3)
each[dim] = RANDOM UNIFORM(0, dim, 0)
walk = INTEG(u - 1, 0)
level = 0.5
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return model(tmp_path_factory.mktemp("noise"), EQUATIONS, step=1, end=4000)


def series(result, name: str) -> np.ndarray:
    return result[name].to_numpy().ravel()


def test_the_generator_gives_the_published_numbers():
    # MRG32k3a from 12345 six times: L'Ecuyer's own first five numbers, to ten digits.
    s, found = [12345.0] * 6, []
    for _ in range(5):
        s[:3] = [s[1], s[2], next_first(s[0], s[1])]
        s[3:] = [s[4], s[5], next_second(s[3], s[5])]
        found.append(combined(s[2], s[5]))
    wanted = [0.1270111220, 0.3185275653, 0.3091860155, 0.8258468629, 0.2216299157]
    assert found == pytest.approx(wanted, abs=1e-10)


def test_the_normal_quantile_is_scipys():
    p = np.concatenate([10.0 ** np.arange(-300, -1, 7), np.linspace(0.01, 0.99, 199)])
    found = np.array([normal_quantile(x) for x in p])
    # Wichura's algorithm has about sixteen digits; at 0.5 both are 0 but for rounding.
    assert found == pytest.approx(stats.norm.ppf(p), rel=2e-15, abs=1e-16)


DISTRIBUTIONS = {
    "u": stats.uniform(-1, 4),
    "z": stats.uniform(0, 1),
    "n": stats.truncnorm((-2 - 1) / 2, (9 - 1) / 2, loc=1, scale=2),
    # PySD's reading of Vensim: from the larger of the minimum and the shift on.
    "e": stats.truncexpon((5 - 1) / 2, loc=1, scale=2),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(small, name):
    values = series(simulate(small, seed=1), name)
    # A seed is fixed, so that this is no gamble; a wrong distribution of 4,001 draws has a
    # p-value far below one in a million.
    assert stats.kstest(values, DISTRIBUTIONS[name].cdf).pvalue > 0.001
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / np.sqrt(len(values))


def test_each_variable_and_element_has_a_stream_of_its_own(small):
    found = simulate(small, seed=1)
    pairs = [("u", "v"), ("u", "z"), ("u", "n"), ("z", "e")]
    streams = [(series(found, a), series(found, b)) for a, b in pairs]
    each = found["each"].to_numpy()[:, 0, 0, 0]
    assert (each.max(axis=0) <= [1, 2]).all()
    assert each[:, 1].max() > 1.9
    for a, b in [*streams, tuple(each.T)]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))


def test_the_seed_decides(small):
    one, again, other = (series(simulate(small, seed=s), "walk") for s in (5, 5, 6))
    assert np.array_equal(one, again)
    assert not np.isclose(one[-1], other[-1])


def test_lanes_draw_the_same_however_they_are_cut(tmp_path):
    small = model(tmp_path, EQUATIONS, step=0.5, end=20)
    draws = {"level": np.linspace(0, 1, 40)}
    wanted = experiment(("walk", "n", "each"), (0, 7, 20), {"x": {}, "y": {}}, draws)
    whole = simulate(small, wanted, seed=3, threads=2)
    for part in (slice(0, 7), slice(7, 8), slice(23, 40)):
        own = experiment(("walk", "n", "each"), (0, 7, 20), {"x": {}}, draws)
        object.__setattr__(own, "draws", wanted.draws.iloc[part])
        found = simulate(small, own, seed=3, threads=1)
        for name in found:
            theirs = whole[name].isel(policy=[0], draw=part)
            assert np.array_equal(found[name].to_numpy(), theirs.to_numpy())
    # Policies share their noise, draws do not.
    assert np.array_equal(whole["walk"].sel(policy="x"), whole["walk"].sel(policy="y"))
    assert len(set(whole["walk"].to_numpy()[-1, 0, 0])) == 40


def test_a_branch_goes_on_with_the_same_noise(tmp_path):
    small = model(tmp_path, EQUATIONS + "lever = 0\nx = walk + STEP(lever, 10)", step=0.5, end=20)
    policies = {"none": {}, "some": {"lever": 2}}
    plain = simulate(small, experiment(("x",), (5, 20), policies), seed=3)
    branched = simulate(small, experiment(("x",), (5, 20), policies, branch=10.0), seed=3)
    assert np.array_equal(plain["x"], branched["x"])
    effect = plain["x"].sel(policy="some") - plain["x"].sel(policy="none")
    assert effect.to_numpy().ravel() == pytest.approx([0, 2], abs=1e-12)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_noise_is_drawn_once_a_step_and_the_kernel_draws_what_the_plain_run_does(tmp_path, method):
    small = model(tmp_path, EQUATIONS, step=0.5, end=10, method=method)
    plain = simulate(small, seed=9)
    lanes = experiment(tuple(plain), plain.time.to_numpy())
    lanes.draws.index = pd.RangeIndex(0, 1, name="draw")
    found = simulate(small, lanes, seed=9)
    for name in plain:
        # exp and ln of the kernel are within 0.75 ulp of the C library's.
        assert found[name].to_numpy() == pytest.approx(plain[name].to_numpy(), rel=1e-13)
    u, walk = series(plain, "u"), series(plain, "walk")
    assert np.diff(walk) == pytest.approx(0.5 * (u[:-1] - 1))


def test_a_program_saved_to_a_file_draws_too(tmp_path):
    program = compile_model(model(tmp_path, "u = RANDOM 0 1()", step=1, end=50), ("u",))
    space = {"__name__": "saved"}
    exec(program.source, space)
    values = space["lane"](list(program.defaults), 50, 1, False)[0]
    assert len(set(values)) == 51
    assert 0 < min(values) < max(values) < 1


def test_beginnings_depend_on_all_they_are_told():
    one = beginnings(1, np.arange(3), "ab")
    assert one.shape == (3, 2, 6)
    assert one.min() >= 1
    assert one.max() < 2**32
    assert np.array_equal(one[1:], beginnings(1, np.arange(1, 3), "ab"))
    assert np.array_equal(one[:, :1], beginnings(1, np.arange(3), "a"))
    assert len({*map(tuple, one.reshape(6, 6)), *map(tuple, beginnings(2, np.arange(3), "ab")
                .reshape(6, 6))}) == 12  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "mean"), [(10, 12, 0), (-12, -10, 0), (0, 1, 5), (8, 1e9, 0), (-1e9, -8, 0)]
)
def test_tails_of_a_normal_distribution(tmp_path, low, high, mean):
    small = model(tmp_path, f"n = RANDOM NORMAL({low}, {high}, {mean}, 1, 0)", step=1, end=2000)
    values = series(simulate(small, seed=4), "n")
    wanted = stats.truncnorm(low - mean, high - mean, loc=mean)
    assert stats.kstest(values, wanted.cdf).pvalue > 0.001


def test_no_deviation_is_the_mean_inside_its_bounds(tmp_path):
    found = simulate(
        model(tmp_path, "n = RANDOM NORMAL(0, 1, 5, 0, 0)\nm = RANDOM NORMAL(0, 9, 5, 0, 0)")
    )
    assert set(series(found, "n")) == {1}
    assert set(series(found, "m")) == {5}


def test_a_smooth_starts_at_its_own_noise(tmp_path):
    program = compile_model(model(tmp_path, "r = SMOOTH(RANDOM 0 1(), 3) + RANDOM 0 1()", step=1))
    assert len(program.streams) == 2


def test_draws_without_numbers_have_noise_too(tmp_path):
    small = model(tmp_path, EQUATIONS, step=1, end=5)
    wanted = experiment(("walk",), (5,), draws={"level": [1, 2, 3]})
    wanted.draws.index = pd.Index(["x", "y", "z"], name="draw")
    assert len(set(series(simulate(small, wanted), "walk"))) == 3
