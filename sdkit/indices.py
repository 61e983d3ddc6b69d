"""Sensitivity indices, of many outputs in one array pass: numbers in, numbers out.

Outputs are columns: an array (runs, outputs) a design. A resample is a row of counts, how often
each run of the design takes part, divided by their sum; every mean over runs is then a product
of matrices. Indices of an output that does not vary are zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 100
_NOTHING = 1e-12  # of an output's size: less than this is no variance


def resamples(n: int, rng: np.random.Generator, count: int = RESAMPLES) -> np.ndarray:
    """Weights of `n` runs (count, n), drawn with replacement; each row sums to one."""
    return rng.multinomial(n, np.full(n, 1 / n), size=count) / n


def interval(values: np.ndarray) -> np.ndarray:
    """Half the width of a 95 % interval from resampled indices (count, ...), by their standard
    deviation."""
    return 1.959963984540054 * values.std(axis=0, ddof=1)


def _over(numerator: np.ndarray, variance: np.ndarray) -> np.ndarray:
    good = variance > 0
    return np.where(good, numerator, 0.0) / np.where(good, variance, 1.0)


def varies(y: np.ndarray) -> np.ndarray:
    """Of each output (last axis) whether it varies, beyond rounding."""
    flat = y.reshape(-1, y.shape[-1])
    return np.ptp(flat, axis=0) > _NOTHING * np.abs(flat).max(axis=0)


# -- variance-based ----------------------------------------------------------------------


def sobol(y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and total indices, each (resamples, inputs, outputs), of a design A, B, A with B's.

    `y` is (2 + inputs or more, n, outputs), `weights` (resamples, n). First order by Saltelli et
    al. (2010), Computer Physics Communications 181(2):259-270; total by Jansen (1999), ibid.
    117:35-43; relative to the variance of A and B.
    """
    moving = varies(y)
    scale = y.std(axis=(0, 1))
    y = (y - y.mean(axis=(0, 1))) / np.where(moving, scale, 1.0)
    a, b = y[0], y[1]
    variance = weights @ (a**2 + b**2) / 2 - (weights @ (a + b) / 2) ** 2
    variance = np.where(moving, variance, 0.0)
    first, total = [], []
    for mixed in y[2:]:
        first.append(_over(weights @ (b * (mixed - a)), variance))
        total.append(_over(weights @ ((a - mixed) ** 2) / 2, variance))
    return np.stack(first, axis=1), np.stack(total, axis=1)


def second_order(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Interactions of pairs (resamples, inputs, inputs, outputs), above the diagonal.

    `y` is (2 + 2 x inputs, n, outputs): A, B, A with B's, B with A's. Saltelli (2002), Computer
    Physics Communications 145(2):280-297, less both first orders.
    """
    moving = varies(y)
    scale = y.std(axis=(0, 1))
    y = (y - y.mean(axis=(0, 1))) / np.where(moving, scale, 1.0)
    count = (len(y) - 2) // 2
    a, b, ab, ba = y[0], y[1], y[2 : 2 + count], y[2 + count :]
    variance = weights @ (a**2 + b**2) / 2 - (weights @ (a + b) / 2) ** 2
    variance = np.where(moving, variance, 0.0)
    first = [_over(weights @ (b * (mixed - a)), variance) for mixed in ab]
    found = np.zeros((len(weights), count, count, y.shape[-1]))
    for j in range(count):
        for k in range(j + 1, count):
            both = _over(weights @ (ba[j] * ab[k] - a * b), variance)
            found[:, j, k] = both - first[j] - first[k]
    return found


# -- screening ---------------------------------------------------------------------------


def effects(y: np.ndarray, order: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Elementary effects (inputs, trajectories, outputs), for a whole unit of an input's range.

    `y` is (inputs + 1, trajectories, outputs), `order` and `step` as `trajectories` made them.
    """
    moved = np.diff(y, axis=0) / step[:, :, None]
    found = np.empty_like(moved)
    found[order, np.arange(order.shape[1])] = moved
    return found


def morris(found: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute effects and standard deviations of effects, each (resamples, inputs, outputs).

    Campolongo, Cariboni and Saltelli (2007), Environmental Modelling and Software 22:1509-1518.
    """
    size = np.stack([weights @ np.abs(own) for own in found], axis=1)
    n = found.shape[1]
    middle = np.stack([weights @ own for own in found], axis=1)
    square = np.stack([weights @ own**2 for own in found], axis=1)
    spread = np.sqrt(np.maximum(square - middle**2, 0.0) * n / max(n - 1, 1))
    return size, spread


# -- of any sample -----------------------------------------------------------------------


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks down each column, ties at their mean."""
    from scipy.stats import rankdata

    return rankdata(x, axis=0)


def regression(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Partial correlations and standardised coefficients (resamples, inputs, outputs), and the
    share of variance explained (resamples, outputs); of ranks, they are PRCC and SRRC.

    The partial correlation of an input with an output, given all other inputs, follows from the
    coefficient's t statistic. Saltelli and Marivoet (1990), Reliability Engineering and System
    Safety 28(2):229-253; Marino et al. (2008), Journal of Theoretical Biology 254(1):178-196.
    """
    x = (x - x.mean(axis=0)) / np.where(varies(x), x.std(axis=0), 1.0)
    moving = varies(y)
    y = (y - y.mean(axis=0)) / np.where(moving, y.std(axis=0), 1.0)
    partial, slope, explained = [], [], []
    for w in weights:
        root = np.sqrt(w)[:, None]
        xm, ym = root * (x - w @ x), root * (y - w @ y)
        gram = xm.T @ xm
        inverse = np.linalg.pinv(gram, hermitian=True)
        b = inverse @ (xm.T @ ym)
        total = (ym**2).sum(axis=0)
        left = np.maximum(total - np.einsum("ik,ik->k", b, xm.T @ ym), 0.0)
        # r = t / sqrt(t^2 + freedom), in which the freedom cancels.
        size = np.sqrt(b**2 + np.diag(inverse)[:, None] * left)
        partial.append(np.where(moving, _over(b, size), 0.0))
        slope.append(
            np.where(moving, _over(b * np.sqrt(np.diag(gram))[:, None], np.sqrt(total)), 0.0)
        )
        explained.append(np.where(moving, 1 - _over(left, total), 0.0))
    return np.array(partial), np.array(slope), np.array(explained)


def rbd_fast(x: np.ndarray, y: np.ndarray, harmonics: int = 10) -> np.ndarray:
    """First-order indices (inputs, outputs) of independent inputs, by random balance designs.

    Outputs ordered up and down an input are periodic in it: its share of the variance is that of
    the first harmonics. Tarantola, Gatelli and Mara (2006), Reliability Engineering and System
    Safety 91(6):717-727; order by Plischke (2010), ibid. 95(4):354-360; bias taken out after
    Tissot and Prieur (2012), ibid. 107:205-213.
    """
    n, moving = len(y), varies(y)
    y = y - y.mean(axis=0)
    found = []
    for column in x.T:
        order = np.argsort(column)
        order = np.concatenate([order[::2], order[1::2][::-1]])
        power = np.abs(np.fft.rfft(y[order], axis=0)) ** 2
        # All but the first and, where there is one, the last stand for two frequencies.
        power[1 : (n + 1) // 2] *= 2
        share = _over(power[1 : harmonics + 1].sum(axis=0), power[1:].sum(axis=0))
        bias = 2 * harmonics / n
        found.append(np.where(moving, share - bias / (1 - bias) * (1 - share), 0.0))
    return np.array(found)


def _classes(x: np.ndarray, most: int) -> list[np.ndarray]:
    """Runs by the value of an input: its settings if they are few, else slices of one size."""
    settings = np.unique(x)
    if len(settings) <= most:
        return [np.flatnonzero(x == s) for s in settings]
    edges = np.quantile(x, np.linspace(0, 1, most + 1))
    inside = [np.flatnonzero((x >= a) & (x < b)) for a, b in itertools.pairwise(edges)]
    return [own for own in inside if len(own)]


def pawn(x: np.ndarray, y: np.ndarray, slices: int = 10) -> np.ndarray:
    """Median over slices of an input of the largest gap between the output's distribution there and
    over all runs: (inputs, outputs).

    Pianosi and Wagener (2018), Environmental Modelling and Software 108:197-207.
    """
    n = len(y)
    order = np.argsort(y, axis=0, kind="stable")
    ordered = np.take_along_axis(y, order, axis=0)
    # Where equal values end: distributions jump there, and nowhere between.
    last = np.vstack([ordered[1:] > ordered[:-1], np.ones((1, y.shape[1]), dtype=bool)])
    whole = np.arange(1, n + 1)[:, None] / n
    found = []
    for column in x.T:
        gaps = []
        for own in _classes(column, slices):
            inside = np.zeros(n, dtype=bool)
            inside[own] = True
            part = np.cumsum(inside[order], axis=0) / len(own)
            gaps.append(np.where(last, np.abs(part - whole), 0.0).max(axis=0))
        found.append(np.median(gaps, axis=0))
    return np.array(found)


def delta(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Borgonovo's measure of each input (inputs,) for one output (runs,): half the mean area
    between the output's density and that given the input.

    Borgonovo (2007), Reliability Engineering and System Safety 92(6):771-784; from given data by
    Plischke, Borgonovo and Smith (2013), European Journal of Operational Research 226(3):536-550,
    with Gaussian kernels on 100 points.
    """
    n = len(y)
    if not varies(y[:, None])[0]:
        return np.zeros(x.shape[1])
    count = int(np.round(min(np.ceil(n ** (2 / (7 + np.tanh((1500 - n) / 500)))), 48)))
    grid = np.linspace(y.min(), y.max(), 100)
    whole = _density(y, grid)
    found = []
    for column in x.T:
        settings = np.unique(column)
        if len(settings) <= count:
            classes = [np.flatnonzero(column == s) for s in settings]
        else:
            rank = column.argsort(kind="stable").argsort(kind="stable") + 1
            edges = np.linspace(0, n, count + 1)
            classes = [
                np.flatnonzero((rank > a) & (rank <= b)) for a, b in itertools.pairwise(edges)
            ]
        total = 0.0
        for own in classes:
            part = y[own]
            apart = whole if np.ptp(part) == 0 else np.abs(whole - _density(part, grid))
            total += len(own) / (2 * n) * np.trapezoid(apart, grid)
        found.append(total)
    return np.array(found)


def _density(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A Gaussian kernel density, its width by Silverman's rule."""
    n = len(values)
    width = values.std(ddof=1) * (n * 3 / 4) ** -0.2
    away = (grid[:, None] - values) / width
    return np.exp(-0.5 * away**2).sum(axis=1) / (n * width * np.sqrt(2 * np.pi))


def again(
    index: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
    count: int,
) -> np.ndarray:
    """An index of any sample, of `count` samples drawn with replacement: (count, ...)."""
    n = len(y)
    chosen: Sequence[np.ndarray] = [rng.integers(n, size=n) for _ in range(count)]
    return np.array([index(x[own], y[own]) for own in chosen])
