"""Searching and sampling densities that are known."""

from __future__ import annotations

import numpy as np
import pytest

from sdkit.convergence import diagnose
from sdkit.errors import RunError
from sdkit.optimum import climb, covariance, curvature, gradients, starting_points
from sdkit.sampler import Chains, Sampler, sample_density

MEAN = np.array([1.0, -0.5, 0.2])
COVARIANCE = np.array([[1.0, 0.7, 0.0], [0.7, 0.8, -0.1], [0.0, -0.1, 0.05]])
PRECISION = np.linalg.inv(COVARIANCE)


def gaussian(z):
    away = z - MEAN
    return -0.5 * np.einsum("ij,jk,ik->i", away, PRECISION, away)


def bent(z):
    """A curved ridge: x is normal, y is normal about x squared."""
    return -0.5 * z[:, 0] ** 2 - 0.5 * ((z[:, 1] - z[:, 0] ** 2) / 0.5) ** 2


def nothing(*_):
    pass


def test_the_gradient_of_a_square_is_exact():
    points = np.random.default_rng(0).normal(size=(4, 3))
    value, slope = gradients(gaussian, points)
    np.testing.assert_allclose(value, gaussian(points))
    # Central differences of a square are exact up to rounding: 1e-16 / 1e-3 of the values.
    np.testing.assert_allclose(slope, -(points - MEAN) @ PRECISION, atol=1e-9)


def test_a_climb_finds_the_top_and_the_curvature_there():
    found = climb(gaussian, np.array([3.0, 3.0, 3.0]))
    assert found.converged
    # The climb ends where a step raises the log density by less than 1e-7 of it.
    np.testing.assert_allclose(found.end, MEAN, atol=1e-3)
    around = curvature(gaussian, found.end, nothing)
    np.testing.assert_allclose(around, PRECISION, atol=1e-6)
    np.testing.assert_allclose(covariance(around), COVARIANCE, atol=1e-6)


def test_a_climb_over_some_coordinates_leaves_the_others():
    found = climb(gaussian, np.array([0.0, 0.0, 0.0]), free=np.array([0, 2]))
    assert found.end[1] == 0
    # Given y, the mean of x is that of a conditional normal distribution.
    rest, fixed = [0, 2], [1]
    gain = COVARIANCE[np.ix_(rest, fixed)] / COVARIANCE[1, 1]
    expected = MEAN[rest] + (gain * (0 - MEAN[1])).ravel()
    # As above: of a flat top 1e-7 is not felt within some 1e-4 of it.
    np.testing.assert_allclose(found.end[rest], expected, atol=1e-3)


def test_a_climb_walks_around_what_cannot_be_simulated():
    def holes(z):
        return np.where(z[:, 0] > 1.5, -np.inf, gaussian(z))

    found = climb(holes, np.array([-2.0, 1.0, 0.0]))
    # As above.
    np.testing.assert_allclose(found.end, MEAN, atol=1e-3)


def test_a_direction_without_a_peak_gets_a_wide_start():
    around = np.diag([4.0, 0.0, -3.0])
    np.testing.assert_allclose(np.diag(covariance(around)), [0.25, 4.0, 4.0])


def test_starts_are_the_best_of_the_prior():
    points = starting_points(gaussian, np.random.default_rng(0).normal(size=(256, 3)), 4)
    assert points.shape == (4, 3)
    value = gaussian(points)
    assert (np.diff(value) <= 0).all()
    assert value[0] > np.quantile(gaussian(np.random.default_rng(1).normal(size=(256, 3))), 0.9)


@pytest.mark.parametrize(
    ("density", "mean", "spread"),
    [
        (gaussian, MEAN, np.sqrt(np.diag(COVARIANCE))),
        # y = x^2 + 0.5 noise: mean 1, variance Var(x^2) + 0.25 = 2.25.
        (bent, np.array([0.0, 1.0]), np.array([1.0, 1.5])),
    ],
)
def test_draws_have_the_moments_of_the_density(density, mean, spread):
    rough = np.diag(spread**2) * 0.5  # an approximation that is wrong on purpose
    sampler = Sampler(density, [mean + 0.5], rough, 32, 7)
    chains = sample_density(sampler, 50, 400, lambda c: False)
    r_hat, effective = diagnose(chains)
    assert (r_hat < 1.01).all()
    assert (effective > 1000).all()
    error = spread / np.sqrt(effective)
    # Four standard errors of a mean; a spread's is larger where tails are heavier than normal.
    assert (np.abs(chains.flat.mean(axis=0) - mean) < 4 * error).all()
    np.testing.assert_allclose(chains.flat.std(axis=0), spread, rtol=0.1)


def test_ensembles_that_disagree_are_noticed():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4, 50, 32, 2))
    draws[0, ..., 1] += 0.5
    r_hat, _ = diagnose(Chains(draws, draws[..., 0], 0.3, draws[..., 0].size))
    assert r_hat[0] < 1.01 < r_hat[1]


def test_walkers_that_stand_still_are_worth_little():
    rng = np.random.default_rng(0)
    still = np.repeat(rng.normal(size=(4, 1, 32, 1)), 50, axis=1)
    moving = rng.normal(size=(4, 50, 32, 1))
    draws = np.concatenate([still + 1e-3 * moving, moving], axis=-1)
    r_hat, effective = diagnose(Chains(draws, draws[..., 0], 0.3, draws[..., 0].size))
    assert effective[0] < 200 < 4000 < effective[1]
    # R-hat is between ensembles: 32 walkers of each cover the same, though none of them moves.
    assert r_hat[0] < 1.2


def test_an_interrupted_sampler_goes_on_to_the_same_bytes(tmp_path):
    arguments = ([MEAN], COVARIANCE, 16, 3)
    whole = sample_density(Sampler(gaussian, *arguments), 25, 50, lambda c: False)
    calls = 0

    def fails(z):
        nonlocal calls
        calls += 1
        if calls > 700:
            raise KeyboardInterrupt
        return gaussian(z)

    with pytest.raises(KeyboardInterrupt):
        sample_density(Sampler(fails, *arguments, tmp_path), 25, 50, lambda c: False)
    done = sorted(path.name for path in tmp_path.iterdir())
    assert done
    (tmp_path / done[-1]).write_bytes(b"cut off")  # as a full disk would leave it
    again = sample_density(Sampler(gaussian, *arguments, tmp_path), 25, 50, lambda c: False)
    assert again.draws.tobytes() == whole.draws.tobytes()
    assert again.log_density.tobytes() == whole.log_density.tobytes()


def test_a_density_that_is_nowhere_is_refused():
    with pytest.raises(RunError) as caught:
        Sampler(lambda z: np.full(len(z), -np.inf), [MEAN], COVARIANCE, 16, 3)
    assert caught.value.code == "F501"


def test_fewer_walkers_than_coordinates_still_find_the_density():
    """emcee refuses its own moves then; the Gaussian steps reach what walkers do not span."""
    size = 24
    spread = np.linspace(0.5, 2, size)

    def density(z):
        return -0.5 * ((z / spread) ** 2).sum(axis=1)

    sampler = Sampler(density, [np.zeros(size)], np.eye(size), 16, 5)
    chains = sample_density(sampler, 100, 200, lambda c: False)
    assert (diagnose(chains)[0] < 1.05).all()
    # 200 states of 64 walkers, some dozens of them independent each.
    np.testing.assert_allclose(chains.flat.std(axis=0), spread, rtol=0.15)
