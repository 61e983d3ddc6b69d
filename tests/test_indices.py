"""Sensitivity indices: known answers, and SALib's own analysis as an oracle to rounding.

Two implementations sum in another order, so that they agree to 1e-9 and not to the last bit.
"""

from __future__ import annotations

import numpy as np
import pytest
from SALib.analyze import delta as salib_delta
from SALib.analyze import morris as salib_morris
from SALib.analyze import pawn as salib_pawn
from SALib.analyze import rbd_fast as salib_rbd
from SALib.analyze import sobol as salib_sobol
from SALib.sample import sobol as salib_sample
from SALib.test_functions import Ishigami, Sobol_G

from sdkit import indices
from sdkit.inputs import Input, crossed, sobol_points, trajectories
from sdkit.streams import Points

SAME = 1e-9
PI = np.pi
XYZ = ("x", "y", "z")


def whole(n: int) -> np.ndarray:
    """Weights of all runs once."""
    return np.full((1, n), 1 / n)


def points_of(size: int, n: int, seed: int) -> np.ndarray:
    return Points(seed, [f"x{i + 1}" for i in range(size)]).rows(0, n)


def each(count: int) -> tuple[Input, ...]:
    return tuple(Input(f"x{i + 1}", (i,)) for i in range(count))


def ishigami(u: np.ndarray) -> np.ndarray:
    """(..., 3) in the unit cube to (..., 2): the function, and a constant."""
    x = PI * (2 * u.reshape(-1, u.shape[-1]) - 1)
    y = Ishigami.evaluate(x).reshape(u.shape[:-1])
    return np.stack([y, np.full_like(y, 3.0)], axis=-1)


def problem(count: int) -> dict:
    return {
        "num_vars": count, "names": [f"x{i + 1}" for i in range(count)],
        "bounds": [[0.0, 1.0]] * count,
    }  # fmt: skip


def ishigami_design(n: int, second: bool = False) -> np.ndarray:
    points = sobol_points(6, n, 7)
    return crossed(points[:, :3], points[:, 3:], each(3), second)


# Ishigami and Homma's function with a = 7, b = 0.1: closed forms.
V1, V2, V13 = 0.5 * (1 + 0.1 * PI**4 / 5) ** 2, 49 / 8, 0.01 * PI**8 * 8 / 225
TRUE_FIRST = np.array([V1, V2, 0.0]) / (V1 + V2 + V13)
TRUE_TOTAL = np.array([V1 + V13, V2, V13]) / (V1 + V2 + V13)


def test_the_design_is_that_of_salib():
    n, second = 64, True
    design = ishigami_design(n, second)
    theirs = salib_sample.sample(
        problem(3), n, calc_second_order=second, scramble=True, seed=np.random.default_rng(7)
    )
    blocks = theirs.reshape(n, 8, 3).swapaxes(0, 1)  # A, AB.., BA.., B
    assert np.array_equal(design, blocks[[0, 7, 1, 2, 3, 4, 5, 6]])


def test_an_input_of_several_coordinates_moves_them_together():
    a, b = np.zeros((2, 3)), np.ones((2, 3))
    design = crossed(a, b, (Input("one", (1,)), Input("others", (0, 2))), second=False)
    assert design[2].tolist() == [[0, 1, 0]] * 2
    assert design[3].tolist() == [[1, 0, 1]] * 2


def test_sobol_on_ishigami():
    """8,192 scrambled points: the error of these estimators is then under 0.01 in ten seeds."""
    first, total = indices.sobol(ishigami(ishigami_design(8192)), whole(8192))
    assert first[0, :, 0] == pytest.approx(TRUE_FIRST, abs=0.01)
    assert total[0, :, 0] == pytest.approx(TRUE_TOTAL, abs=0.01)
    assert (first[0, :, 1] == 0).all()
    assert (total[0, :, 1] == 0).all()


def test_sobol_on_the_g_function():
    """Indices of Saltelli's g-function in closed form; points and errors as on Ishigami's."""
    a = np.array([0, 1, 4.5, 9, 99, 99, 99, 99])
    points = sobol_points(16, 8192, 3)
    design = crossed(points[:, :8], points[:, 8:], each(8), False)
    y = Sobol_G.evaluate(design.reshape(-1, 8)).reshape(10, 8192, 1)
    first, total = indices.sobol(y, whole(8192))
    part = 1 / (3 * (1 + a) ** 2)
    variance = np.prod(1 + part) - 1
    assert first[0, :, 0] == pytest.approx(part / variance, abs=0.01)
    assert total[0, :, 0] == pytest.approx(
        part * np.prod(1 + part) / (1 + part) / variance, abs=0.01
    )


@pytest.mark.parametrize("second", [False, True])
def test_sobol_is_salibs(second):
    n = 256
    y = ishigami(ishigami_design(n, second))
    count = 8 if second else 5
    places = [0, *range(2, count), 1]
    theirs = salib_sobol.analyze(
        problem(3), y[places, :, 0].T.ravel(), calc_second_order=second, seed=5
    )
    rng = np.random.default_rng(5).integers
    drawn = rng(n, size=(n, 100))
    weights = np.stack([np.bincount(column, minlength=n) / n for column in drawn.T])
    if not second:
        first, total = indices.sobol(y[:5], np.vstack([whole(n), weights]))
        assert first[0, :, 0] == pytest.approx(theirs["S1"], abs=SAME)
        assert total[0, :, 0] == pytest.approx(theirs["ST"], abs=SAME)
        assert indices.interval(first[1:, :, 0]) == pytest.approx(theirs["S1_conf"], abs=SAME)
        assert indices.interval(total[1:, :, 0]) == pytest.approx(theirs["ST_conf"], abs=SAME)
    else:  # SALib centres by all runs of a design, those of the second order too
        pairs = indices.second_order(y, np.vstack([whole(n), weights]))
        above = np.triu_indices(3, 1)
        assert pairs[0, ..., 0][above] == pytest.approx(theirs["S2"][above], abs=SAME)
        width = indices.interval(pairs[1:, ..., 0])
        assert width[above] == pytest.approx(theirs["S2_conf"][above], abs=SAME)


def test_morris_is_salibs_up_to_its_step():
    """SALib divides by its own step, 2/3; ours is 1/2."""
    points, order, step = trajectories(XYZ, each(3), 40, 9)
    y = ishigami(points)
    found = indices.effects(y, order, step)
    size, spread = indices.morris(found, whole(40))
    x = points.swapaxes(0, 1).reshape(-1, 3)
    theirs = salib_morris.analyze(problem(3), x, y[..., 0].T.ravel(), seed=1)
    assert size[0, :, 0] * 0.75 == pytest.approx(theirs["mu_star"], abs=SAME)
    assert spread[0, :, 0] * 0.75 == pytest.approx(theirs["sigma"], abs=SAME)


def test_morris_of_a_linear_model_is_its_slopes():
    slopes = np.array([3.0, -2.0, 0.0])
    points, order, step = trajectories(XYZ, each(3), 8, 1)
    found = indices.effects((points @ slopes)[..., None], order, step)
    size, spread = indices.morris(found, whole(8))
    assert size[0, :, 0] == pytest.approx(np.abs(slopes), abs=1e-12)
    # The root of a rounding error of 1e-16 is 1e-8.
    assert spread[0, :, 0] == pytest.approx(0, abs=1e-7)


def test_a_trajectory_moves_each_input_once():
    inputs = (Input("one", (1,)), Input("others", (0, 2)))
    points, order, step = trajectories(XYZ, inputs, 5, 2)
    assert points.shape == (3, 5, 3)
    assert (points > 0).all()
    assert (points < 1).all()
    for t in range(5):
        for k, j in enumerate(order[:, t]):
            moved = np.flatnonzero(points[k + 1, t] != points[k, t])
            assert tuple(moved) == inputs[j].columns
    assert (np.abs(step) == 0.5).all()
    shorter = trajectories(XYZ, inputs, 3, 2)[0]
    assert np.array_equal(shorter, points[:, :3])


def linear(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    x = points_of(3, n, 11)
    y = x @ np.array([4.0, -2.0, 0.0]) + 0.1 * np.random.default_rng(1).standard_normal(n)
    return x, np.stack([y, np.full(n, 2.0)], axis=1)


def by_hand(x: np.ndarray, y: np.ndarray, j: int) -> float:
    """The partial correlation from the residuals of two regressions on all other inputs."""
    others = np.column_stack([np.ones(len(x)), np.delete(x, j, axis=1)])
    left = [v - others @ np.linalg.lstsq(others, v, rcond=None)[0] for v in (x[:, j], y)]
    return float(np.corrcoef(*left)[0, 1])


def test_partial_correlations_are_those_of_residuals():
    x, y = linear()
    x = x + x[:, [1, 2, 0]] * 0.3  # inputs that depend on one another
    partial, slope, explained = indices.regression(x, y, whole(len(x)))
    assert partial[0, :, 0] == pytest.approx([by_hand(x, y[:, 0], j) for j in range(3)], abs=SAME)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    own = np.linalg.lstsq(standard, (y[:, 0] - y[:, 0].mean()) / y[:, 0].std(), rcond=None)[0]
    assert slope[0, :, 0] == pytest.approx(own, abs=SAME)
    assert explained[0, 0] == pytest.approx(1 - 0.01 / y[:, 0].var(), abs=0.01)
    assert (partial[..., 1] == 0).all()


def test_resampled_regression_is_that_of_the_repeated_runs():
    x, y = linear(200)
    weights = indices.resamples(200, np.random.default_rng(3), 1)
    chosen = np.repeat(np.arange(200), np.round(weights[0] * 200).astype(int))
    partial, _, _ = indices.regression(x, y, weights)
    again, _, _ = indices.regression(x[chosen], y[chosen], whole(200))
    assert partial[0, :, 0] == pytest.approx(again[0, :, 0], abs=SAME)


def test_ranks_share_ties():
    assert indices.ranks(np.array([[3.0], [1.0], [3.0]]))[:, 0].tolist() == [2.5, 1.0, 2.5]


def test_rounding_is_no_variance():
    u = points_of(2, 500, 5)
    y = 1 + 1e-16 * u[:, :1]
    assert (indices.rbd_fast(u, y) == 0).all()
    assert not indices.varies(y)[0]


@pytest.mark.parametrize("n", [999, 1000])
def test_rbd_fast_is_salibs(n):
    u = points_of(3, n, 5)
    y = ishigami(u)
    found = indices.rbd_fast(u, y)
    theirs = salib_rbd.analyze(problem(3), u, y[:, 0], num_resamples=2, seed=1)
    assert found[:, 0] == pytest.approx(np.array(theirs["S1"], dtype=float), abs=SAME)
    assert (found[:, 1] == 0).all()


def test_pawn_is_salibs():
    u = points_of(3, 1000, 5)
    y = ishigami(u)
    theirs = salib_pawn.analyze(problem(3), u, y[:, 0], S=10)
    assert indices.pawn(u, y)[:, 0] == pytest.approx(theirs["median"], abs=SAME)
    assert (indices.pawn(u, y)[:, 1] == 0).all()


def test_pawn_takes_a_switch_by_its_settings():
    """Two settings, two outputs: each distribution lies half a step from that of all."""
    switch = np.repeat([0.0, 1.0], 50)[:, None]
    assert indices.pawn(switch, switch)[0, 0] == pytest.approx(0.5)


def test_delta_is_salibs_estimate():
    u = points_of(3, 1000, 5)
    y = ishigami(u)[:, 0]
    edges = np.linspace(0, 1000, 1 + round(min(np.ceil(1000 ** (2 / (7 + np.tanh(1)))), 48)))
    grid = np.linspace(y.min(), y.max(), 100)
    theirs = [salib_delta.calc_delta(y, grid, u[:, j], edges) for j in range(3)]
    assert indices.delta(u, y) == pytest.approx(theirs, abs=SAME)
    assert (indices.delta(u, np.ones(1000)) == 0).all()


def test_an_index_of_samples_drawn_again():
    """The mean of resampled means is the mean, its spread that of a mean: 40 draws of 400."""
    x = np.random.default_rng(2).normal(size=(400, 1))
    found = indices.again(lambda a, b: b.mean(axis=0), x, x, np.random.default_rng(1), 40)
    assert found.mean() == pytest.approx(x.mean(), abs=4 * 0.05 / np.sqrt(40))
    assert found.std() == pytest.approx(0.05, rel=0.4)
