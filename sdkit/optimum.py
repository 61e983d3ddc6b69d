"""The most probable point of a density, from many starts, and its Gaussian approximation there.

The density is a function of points of shape (lanes, coordinates); all finite differences of one
gradient are one block of lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Density = Callable[[np.ndarray], np.ndarray]

_STEP = 1e-3  # of a finite difference, in prior standard deviations
_CURVATURE_STEP = 0.02
_MOST = 500  # iterations of one climb
_STALLED = 1e-7  # relative rise of the density at which a climb ends
# A direction in which the data leave more than this many prior variances is no peak.
_WIDEST = 4.0


@dataclass(frozen=True)
class Climb:
    """One local search: where it began and ended, and the log density there."""

    start: np.ndarray
    end: np.ndarray
    log_density: float
    iterations: int
    converged: bool


def gradients(density: Density, points: np.ndarray, free: np.ndarray | None = None) -> tuple:
    """Log density (points,) and its gradient (points, free coordinates) by central differences."""
    count, size = points.shape
    free = np.arange(size) if free is None else free
    n = len(free)
    around = np.repeat(points[:, None], 2 * n + 1, axis=1)
    i = np.arange(n)
    around[:, i, free] += _STEP
    around[:, n + i, free] -= _STEP
    values = density(around.reshape(-1, size)).reshape(count, 2 * n + 1)
    with np.errstate(invalid="ignore"):
        slope = (values[:, :n] - values[:, n : 2 * n]) / (2 * _STEP)
    return values[:, -1], np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


def climb(
    density: Density,
    start: np.ndarray,
    free: np.ndarray | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Climb:
    """The nearest maximum by L-BFGS (scipy.optimize), over the coordinates `free` or all.

    `stop` is called before each gradient and may raise.
    """
    from scipy.optimize import minimize

    free = np.arange(len(start)) if free is None else free

    def down(x: np.ndarray) -> tuple[float, np.ndarray]:
        stop()
        point = start.copy()
        point[free] = x
        value, slope = gradients(density, point[None], free)
        # Where the model fails the search steps back: there is no density below this.
        return (-value[0], -slope[0]) if np.isfinite(value[0]) else (1e15, 0 * slope[0])

    found = minimize(
        down, start[free], jac=True, method="L-BFGS-B",
        options={"maxiter": _MOST, "maxcor": 40, "ftol": _STALLED},
    )  # fmt: skip
    end = start.copy()
    end[free] = found.x
    return Climb(start, end, -float(found.fun), int(found.nit), bool(found.success))


def starting_points(density: Density, points: np.ndarray, n: int) -> np.ndarray:
    """The `n` best of some points (points, coordinates)."""
    value = density(points)
    return points[np.argsort(-np.where(np.isnan(value), -np.inf, value), kind="stable")[:n]]


def curvature(density: Density, point: np.ndarray, stop: Callable[[], None]) -> np.ndarray:
    """Minus the matrix of second derivatives of the log density: (coordinates, coordinates)."""
    size = len(point)
    rows = []
    for i in range(size):
        stop()
        pair = np.repeat(point[None], 2, axis=0)
        pair[:, i] += [_CURVATURE_STEP, -_CURVATURE_STEP]
        slope = gradients(density, pair)[1]
        rows.append((slope[1] - slope[0]) / (2 * _CURVATURE_STEP))
    matrix = np.array(rows)
    return (matrix + matrix.T) / 2


def covariance(matrix: np.ndarray) -> np.ndarray:
    """The covariance of the Gaussian with this curvature.

    Directions whose curvature is not positive, or less than a quarter of the prior's, are given
    twice the prior's standard deviation: there the Gaussian is no more than a place to start from.
    """
    value, vector = np.linalg.eigh(matrix)
    return (vector / np.maximum(value, 1 / _WIDEST)) @ vector.T
