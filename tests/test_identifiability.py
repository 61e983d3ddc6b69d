"""Profiles against those of Gaussians, and against searches with one value held."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sdkit.fit import peaks
from sdkit.fit_pool import log_evidence
from sdkit.fit_run import prepare_fit, read_fit
from sdkit.fitting import posterior_of
from sdkit.identifiability import AT, EXCLUDED, excluded, find_profiles, influence_table
from sdkit.optimum import Climb, climb, covariance, curvature
from sdkit.sampler import Chains

MEAN = np.array([0.3, -1.2, 0.0])
COVARIANCE = np.array([[0.04, -0.05, 0.0], [-0.05, 0.25, 0.0], [0.0, 0.0, 1.0]])


class Gaussian:
    """A posterior whose profiles are parabolas."""

    def log_density(self, z):
        away = np.atleast_2d(z) - MEAN
        return -0.5 * np.einsum("ij,jk,ik->i", away, np.linalg.inv(COVARIANCE), away)


def test_the_profile_of_a_gaussian():
    draws = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 200_000)
    found = find_profiles(Gaussian(), MEAN, draws)
    for j in range(3):
        curve = 0.5 * (AT - MEAN[j]) ** 2 / COVARIANCE[j, j] - 0.5 * AT**2
        top = min(curve.min(), -0.5 * MEAN[j] ** 2)  # among these points and the mode
        # Newton's step is exact here but for the draws' covariance, known to half a per cent.
        np.testing.assert_allclose(found[j][:-1], curve - top, atol=0.02, rtol=0.01)
        assert found[j][-1] == pytest.approx(-0.5 * MEAN[j] ** 2 - top, abs=0.02)
    assert excluded(found[0]) == (True, True)
    assert excluded(found[1]) == (False, True)
    assert excluded(found[2]) == (False, False)


def test_a_profile_on_the_teaching_model(root):
    """Against searches over all other coordinates at each held value."""
    posterior = posterior_of(prepare_fit(read_fit(root / "runs" / "sir-fit")))
    top = max(
        (climb(posterior.log_density, start) for start in _starts(posterior)),
        key=lambda c: c.log_density,
    )
    rough = covariance(curvature(posterior.log_density, top.end, lambda: None))
    draws = np.random.default_rng(0).multivariate_normal(top.end, rough, 20_000)
    found = find_profiles(posterior, top.end, draws)
    held = posterior.names.index("spread of reported cases")
    free = np.delete(np.arange(len(posterior)), held)
    for point, fall in zip(AT, found[held][:-1], strict=True):
        start = top.end.copy()
        start[held] = point
        sought = climb(posterior.log_density, start, free).log_density + 0.5 * point**2
        best = top.log_density + 0.5 * top.end[held] ** 2
        # The side of the line that decides, and the depth where it matters.
        true = best - sought
        if true < 3 * EXCLUDED:
            assert fall == pytest.approx(true, abs=0.35), point


def _starts(posterior):
    own = {item.name: item.default for item in posterior.items}
    return posterior.coordinates(own), np.zeros(len(posterior))


def test_nothing_left_to_influence(root):
    """Where every uncertain constant is fitted there is nothing outside, and no failure."""
    prepared = prepare_fit(read_fit(root / "runs" / "sir-fit"))
    inside = tuple(p for p in prepared.parameters.items if p.role in ("fitted", "uncertain"))
    held = {p.name: p.default for p in prepared.parameters.of_role("structural")}
    posterior = posterior_of(replace(prepared, fitted=inside, set=held))
    assert len(influence_table(posterior, np.zeros(len(posterior)))) == 0


def test_the_evidence_of_a_gaussian():
    """Of n draws of a Gaussian with a known integral, in many dimensions."""
    size, n = 60, 600
    rng = np.random.default_rng(1)
    root = np.tril(rng.normal(0, 0.1, (size, size)))
    root[np.diag_indices(size)] = rng.uniform(0.3, 1, size)
    draws = rng.normal(size=(n, size)) @ root.T
    top = Climb(np.zeros(size), np.zeros(size), -7.0, 1, True)
    found = []
    for part in np.split(draws, 2):
        chains = Chains(part[None, :, None], part[None, :, None, 0], 0.3, len(part))
        effective = np.full(size, len(part))
        fit = SimpleNamespace(climbs=[top], chains=chains, effective=effective)
        found.append(log_evidence(fit))
    expected = -7.0 + np.log(np.diag(root)).sum()
    # Half the log determinant of 300 draws scatters by about sqrt(60 / 600) = 0.3; uncorrected
    # it would be 3 too low.
    assert found == pytest.approx([expected] * 2, abs=1.2)


def test_peaks_apart_are_kept_and_one_peak_is_one():
    covariance = np.diag([1.0, 0.01])
    ends = [([0, 0], -3.0), ([0.5, 0.05], -3.1), ([0, 1], -5.0), ([0, -1], -20.0)]
    climbs = [Climb(np.zeros(2), np.array(e, dtype=float), v, 1, True) for e, v in ends]
    # The second is near, the fourth hopeless; ten standard deviations off is apart.
    assert [p.tolist() for p in peaks(climbs, covariance)] == [[0, 0], [0, 1]]
