"""Scenario discovery: where among the draws does something happen? Numbers in, boxes out.

Patient rule induction peels thin slices off the space of inputs until what is left is dense with
the cases sought (Friedman and Fisher 1999, Statistics and Computing 9:123-143), as in Bryant and
Lempert (2010), Technological Forecasting and Social Change 77(1):34-49.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

PEEL = 0.05  # of the draws in a box that a step takes off, and a step back puts on
_FEWEST = 0.02  # of the draws: no box is smaller
_CHANCE = 0.05  # quasi-p-value above which a limit goes
_MOST = 4  # limits of a box, so that it can be said in a sentence


@dataclass(frozen=True)
class Limit:
    """What a box asks of one input: an interval, or some settings of a switch."""

    low: float = -np.inf
    high: float = np.inf
    settings: tuple[float, ...] | None = None

    def holds(self, x: np.ndarray) -> np.ndarray:
        if self.settings is not None:
            return np.isin(x, self.settings)
        return (x >= self.low) & (x <= self.high)


@dataclass(frozen=True)
class Box:
    """Limits by input, with the share of all cases inside (coverage), the share of cases among
    what is inside (density) and the share of all draws inside (mass)."""

    limits: Mapping[str, Limit]
    coverage: float
    density: float
    mass: float
    chance: Mapping[str, float]

    @property
    def both(self) -> float:
        """The harmonic mean of coverage and density."""
        total = self.coverage + self.density
        return 2 * self.coverage * self.density / total if total else 0.0


def inside(limits: Mapping[str, Limit], x: pd.DataFrame) -> np.ndarray:
    """Which rows meet all limits: shape (rows,)."""
    found = np.ones(len(x), dtype=bool)
    for name, limit in limits.items():
        found &= limit.holds(x[name].to_numpy())
    return found


def measured(limits: Mapping[str, Limit], x: pd.DataFrame, y: np.ndarray) -> Box:
    """Coverage, density and mass of limits among these draws, and for each limit its quasi-p-value:
    the probability of as many cases inside if it did not matter (Bryant and Lempert 2010)."""
    from scipy.stats import binom

    mine = inside(limits, x)
    cases, count = int(y[mine].sum()), int(mine.sum())
    chance = {}
    for name in limits:
        rest = inside({k: v for k, v in limits.items() if k != name}, x)
        rate = y[rest].mean() if rest.any() else 0.0
        chance[name] = float(binom.sf(cases - 1, count, rate)) if count else 1.0
    return Box(
        dict(limits),
        cases / max(int(y.sum()), 1),
        cases / max(count, 1),
        count / max(len(x), 1),
        chance,
    )


def find_boxes(
    x: pd.DataFrame, y: np.ndarray, switches: Sequence[str], most: int = 3
) -> list[tuple[Box, list[Box]]]:
    """Up to `most` boxes, each with the trajectory that led to it; a later one is sought among the
    draws that those before it left. `y` (rows,) is true for a case. A box that is hardly
    denser than all that was left (half as much again, or half-way to one), or that holds under a
    twentieth of all cases, is none."""
    found = []
    left = np.ones(len(x), dtype=bool)
    for _ in range(most):
        if not y[left].any() or left.sum() < 2 / _FEWEST:
            break
        rest, cases = x[left].reset_index(drop=True), y[left]
        path = trajectory(rest, cases, switches)
        best = max((simplified(box, rest, cases) for box in path), key=lambda b: b.both)
        held = best.coverage * cases.sum() / y.sum()
        rate = cases.mean()
        if best.density < min(1.5 * rate, (1 + rate) / 2) or held < 0.05:
            break
        found.append((best, path))
        left &= ~inside(best.limits, x)
    return found


def trajectory(x: pd.DataFrame, y: np.ndarray, switches: Sequence[str]) -> list[Box]:
    """Boxes from the whole space down to the smallest: each step takes off the slice whose loss
    raises the density most for each draw that goes (Kwakkel and Jaxa-Rozen 2016, Environmental
    Modelling and Software 79:311-321), until none does; then each is widened again."""
    columns = {name: x[name].to_numpy() for name in x.columns}
    mine = np.ones(len(x), dtype=bool)
    limits: dict[str, Limit] = {}
    path = [measured(limits, x, y)]
    while mine.sum() > _FEWEST * len(x):
        best, gain, cut = None, 0.0, None
        inner = {name: column[mine] for name, column in columns.items()}
        cases, count = y[mine], int(mine.sum())
        density = cases.mean()
        for name, column in inner.items():
            for limit in _peels(column, limits.get(name, Limit()), name in switches):
                keep = limit.holds(column)
                size = int(keep.sum())
                if not 0 < size < count or size < _FEWEST * len(x):
                    continue
                raised = (cases[keep].mean() - density) / (count - size)
                if raised > gain:
                    best, gain, cut = name, raised, limit
        if best is None:
            break
        limits = {**limits, best: cut}
        mine &= cut.holds(columns[best])
        path.append(measured(_pasted(limits, x, y, switches), x, y))
        if path[-1].density == 1.0:
            break
    return path


def _peels(column: np.ndarray, limit: Limit, switch: bool) -> list[Limit]:
    if switch:
        settings = np.unique(column)
        if len(settings) < 2:
            return []
        return [Limit(settings=tuple(settings[settings != s])) for s in settings]
    low, high = np.quantile(column, (PEEL, 1 - PEEL))
    return [Limit(low, limit.high), Limit(limit.low, high)]


def _pasted(
    limits: Mapping[str, Limit], x: pd.DataFrame, y: np.ndarray, switches: Sequence[str]
) -> dict[str, Limit]:
    """Each end of the box moved outwards as long as the density grows by it."""
    limits = dict(limits)
    for name, limit in list(limits.items()):
        if name in switches:
            continue
        others = inside({k: v for k, v in limits.items() if k != name}, x)
        column = x[name].to_numpy()
        for side in ("low", "high"):
            while np.isfinite(getattr(limits[name], side)):
                limit = limits[name]
                mine = others & limit.holds(column)
                step = max(int(PEEL * mine.sum()), 1)
                beyond = others & (column < limit.low if side == "low" else column > limit.high)
                outer = np.sort(column[beyond])
                outer = outer[::-1][:step] if side == "low" else outer[:step]
                if not len(outer):
                    wider = Limit(**{**vars(limit), side: -np.inf if side == "low" else np.inf})
                    limits[name] = wider
                    break
                wider = Limit(**{**vars(limit), side: float(outer[-1])})
                grown = others & wider.holds(column)
                if y[grown].mean() <= y[mine].mean():
                    break
                limits[name] = wider
    return {name: limit for name, limit in limits.items() if limit != Limit()}


def simplified(box: Box, x: pd.DataFrame, y: np.ndarray) -> Box:
    """The box without the limits that chance explains, and with at most four: the one whose loss
    costs least goes first."""
    while box.limits:
        weakest = max(box.chance, key=lambda name: box.chance[name])
        if box.chance[weakest] > _CHANCE:
            drop = weakest
        elif len(box.limits) > _MOST:
            without = {
                name: measured({k: v for k, v in box.limits.items() if k != name}, x, y).both
                for name in box.limits
            }
            drop = max(without, key=lambda name: without[name])
        else:
            break
        box = measured({k: v for k, v in box.limits.items() if k != drop}, x, y)
    return box


def chance_of(side: np.ndarray, cases: np.ndarray, clusters: np.ndarray | None) -> float:
    """The probability of so many cases (rows,) on one `side` (rows,) of a limit that means nothing:
    Fisher's exact test, and where rows come in `clusters` (rows,) the larger of that and a t test
    with a variance by clusters (Liang and Zeger 1986, Biometrika 73:13-22)."""
    from scipy.stats import hypergeom, t

    n, inside, failed = len(side), int(side.sum()), int(cases.sum())
    if not 0 < inside < n or not 0 < failed < n:
        return 1.0
    exact = float(hypergeom.sf((side & cases).sum() - 1, n, failed, inside))
    if clusters is None:
        return exact
    away = side - side.mean()
    slope = (away @ cases) / (away @ away)
    left = cases - cases.mean() - slope * away
    names, own = np.unique(clusters, return_inverse=True)
    if len(names) < 3:
        return 1.0
    error = np.sqrt((np.bincount(own, away * left) ** 2).sum()) / (away @ away)
    error *= np.sqrt(len(names) / (len(names) - 1))
    robust = float(t.sf(slope / error, len(names) - 1)) if error else float(slope <= 0)
    return max(exact, robust)
