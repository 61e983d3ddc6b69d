"""What the series can tell of each parameter: its profile, and how much the fixed ones matter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .experiment import quantile
from .measurement import Measurement
from .optimum import gradients
from .parameters import Parameter
from .posterior import Posterior
from .switches import settings

# Where profiles are taken, in standard deviations of the prior: 5 and 95 % are among them.
AT = np.array([-2.5, -1.645, -1.0, -0.5, 0.0, 0.5, 1.0, 1.645, 2.5])
_BELOW, _ABOVE = 1, 7
# Half the 95 % point of chi-squared with one degree of freedom: the usual likelihood interval.
EXCLUDED = 1.92
_TOLD = 0.85  # of the prior's standard deviation: above it the others need not follow
_LANES = 3000  # simulations for each parameter's profile, about
_PARTS = np.array([1.0, 0.5, 0.25, 0.0])  # of a Newton step, of which the best is taken


def find_profiles(posterior: Posterior, mode: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """How far the log density falls as one coordinate is held at AT and all others follow.

    Shape (coordinates, len(AT) + 1), the last at the mode, zero at the best of these points. The
    held coordinate's own prior is left out, so that a flat profile is one of which the series say
    nothing; the priors of the others stay. The others go where the covariance of the `draws`
    (draws, coordinates) sends them, and from there as many Newton steps as time allows, one in
    many dimensions (the profile likelihood of Raue et al. 2009, "Structural and practical
    identifiability analysis", with that shortcut): where they do not get to the top the fall is
    overstated.
    """
    size = len(mode)
    covariance = np.atleast_2d(np.cov(draws.T))
    best = posterior.log_density(mode[None])[0]
    steps = int(np.clip(_LANES / (2 * size * len(AT)), 1, 20))
    falls = np.empty((size, len(AT) + 1))
    for j in range(size):
        along = covariance[:, j] / covariance[j, j]
        points = mode + (AT - mode[j])[:, None] * along
        values = posterior.log_density(points)
        if np.sqrt(covariance[j, j]) < _TOLD and size > 1:
            for _ in range(steps):
                points, values = _after_a_step(posterior, points, j, covariance)
        values = np.append(values, best) + 0.5 * np.append(AT, mode[j]) ** 2
        falls[j] = np.where(np.isfinite(values), np.nanmax(values) - values, np.inf)
    return falls


def _after_a_step(
    posterior: Posterior, points: np.ndarray, held: int, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points after a Newton step of all coordinates but one, by the draws' covariance, and the log
    density there."""
    free = np.delete(np.arange(points.shape[1]), held)
    across = covariance[free, held]
    inner = covariance[np.ix_(free, free)] - np.outer(across, across) / covariance[held, held]
    slope = gradients(posterior.log_density, points, free)[1]
    tried = np.repeat(points[None], len(_PARTS), axis=0)
    tried[..., free] += _PARTS[:, None, None] * (slope @ inner)
    values = posterior.log_density(tried.reshape(-1, points.shape[1]))
    values = np.nan_to_num(values.reshape(len(_PARTS), -1), nan=-np.inf)
    best, lane = values.argmax(axis=0), np.arange(len(points))
    return tried[best, lane], values[best, lane]


def excluded(profile: np.ndarray) -> tuple[bool, bool]:
    """Whether the series exclude the 5 % and the 95 % point of a parameter's prior."""
    return bool(profile[_BELOW] > EXCLUDED), bool(profile[_ABOVE] > EXCLUDED)


def influence_table(posterior: Posterior, mode: np.ndarray) -> pd.DataFrame:
    """How far each constant outside the fit moves what was measured, at the most probable point.

    One row an uncertain constant: `influence` is the length of the change of all simulated
    observations, in standard deviations of their residuals, as the constant goes from half a
    standard deviation below the middle of its prior to half a one above. Observations whose
    residuals are correlated count as the number of independent ones that they are worth. What has
    much influence belongs among the fitted: drawn from its prior it throws the model off its
    series. A switch has a row for each setting that is not its usual one, "name = setting".
    """
    from scipy.special import ndtr

    inside = {*(item.name for item in posterior.items), *posterior.set}
    outside = [
        p for p in posterior.parameters.of_role("uncertain", "structural") if p.name not in inside
    ]
    pairs: list[tuple[str, Parameter, np.ndarray]] = []
    for item in outside:
        if item.role == "uncertain":
            pairs.append((item.name, item, quantile(item, ndtr(np.array([-0.5, 0.5])))))
            continue
        for s in settings(item):
            if s != item.default:
                pairs.append((f"{item.name} = {s:g}", item, np.array([item.default, s])))
    if not pairs:
        return pd.DataFrame({"parameter": [], "influence": []})
    values = posterior.values(np.repeat(mode[None], 2 * len(pairs), axis=0))
    columns = {item.name: np.full(len(values), item.default) for item in outside}
    for i, (_, item, ends) in enumerate(pairs):
        columns[item.name][2 * i : 2 * i + 2] = ends
    values = pd.concat([values, pd.DataFrame(columns)], axis=1)
    total = np.zeros(len(pairs))
    for m, own in zip(posterior.measurements, posterior.simulate_values(values), strict=True):
        spread, memory = posterior.scatter(m, values)
        scale = spread[0] if m.density == "lognormal" else _scale(m, own, spread)
        seen = np.log(own) if m.density == "lognormal" else own
        worth = 1.0
        if m.correlation_time is not None and len(m.series.time) > 1:
            rho = np.exp(-np.diff(m.series.time).mean() / memory[0])
            worth = (1 - rho) / (1 + rho)
        moved = (seen[1::2] - seen[::2]) / scale
        total += worth * (np.nan_to_num(moved, nan=0.0) ** 2).sum(axis=1)
    table = pd.DataFrame({"parameter": [name for name, *_ in pairs], "influence": np.sqrt(total)})
    return table.sort_values("influence", ascending=False, kind="stable", ignore_index=True)


def _scale(m: Measurement, simulated: np.ndarray, spread: np.ndarray) -> np.ndarray | float:
    """The standard deviation of observations about the simulated values of the first lane."""
    if m.density == "negative binomial":
        return np.sqrt(simulated[0] + simulated[0] ** 2 / spread[0])
    return spread[0]
