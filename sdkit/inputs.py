"""The inputs of a sensitivity study: from points of the unit cube to draws of a model's constants.

Every constant that varies has a coordinate; an input is one or several of them, which then vary
together. Variance-based and screening methods need inputs that are independent: what a posterior
holds is therefore one input, a row of it, after the setting of the switch under which it was
fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .errors import RunError
from .experiment import quantile, read_posterior
from .names import meant
from .parameters import Parameter, Parameters

FITTED = "all fitted values, together"


@dataclass(frozen=True)
class Input:
    """A name and the coordinates that it moves."""

    name: str
    columns: tuple[int, ...]


class Inputs:
    """The coordinates of a unit cube, the constants that they stand for, and the inputs.

    `source` is "priors" or "posterior". Without `chosen` names each coordinate is an input;
    with them the others are one input, so that nothing that varies is left out. Constants that
    are `held` elsewhere do not vary.
    """

    def __init__(
        self,
        parameters: Parameters,
        source: str,
        chosen: Sequence[str] | None = None,
        held: Iterable[str] = (),
    ):
        self._held = pd.DataFrame() if source == "priors" else read_posterior(parameters)
        switches = [p for p in parameters.of_role("structural") if p.name in self._held]
        # Settings of the switches in a posterior, and the rows of each.
        self._switches = [p.name for p in switches if self._held[p.name].nunique() > 1]
        self._rows: list[np.ndarray] = []
        names = []
        if len(self._held.columns):
            names.append(FITTED)
            if self._switches:
                grouped = self._held.groupby(self._switches)
                self._rows = [np.asarray(rows) for rows in grouped.indices.values()]
                names.append(" and ".join(self._switches))
            else:
                self._rows = [np.arange(len(self._held))]
        self._still = set(held)
        own = {*self._held, *self._still}
        self._items: list[Parameter] = [p for p in parameters.sampled if p.name not in own]
        self.names = (*names, *(p.name for p in self._items))
        self._own = len(names)
        if not self.names:
            raise RunError("R450", "no constant of the model varies: none has a prior")
        self.inputs = self._chosen(chosen)

    def _chosen(self, chosen: Sequence[str] | None) -> tuple[Input, ...]:
        place = {name: i for i, name in enumerate(self.names)}
        if chosen is None:
            return tuple(Input(name, (i,)) for name, i in place.items())
        for name in chosen:
            if name in place:
                continue
            code, why = "R458", f"is no constant with a prior{meant(name, place, listed=False)}"
            if name in self._still:
                code, why = "R477", "is held by --set or the scenario"
            elif name in self._held:
                code, why = "R458", f'was fitted, and moves with the others in "{FITTED}"'
            raise RunError(code, f"{name!r} {why}")
        found = [Input(name, (place[name],)) for name in dict.fromkeys(chosen)]
        rest = tuple(i for name, i in place.items() if name not in set(chosen))
        if rest:
            found.append(Input(f"{len(rest)} other inputs, together", rest))
        return tuple(found)

    def __len__(self) -> int:
        return len(self.names)

    def _row(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The row of the posterior at each point, and whether it is in the first half of the rows
        of its setting."""
        setting = np.zeros(len(points), dtype=int)
        if self._switches:
            counts = np.cumsum([len(rows) for rows in self._rows])
            setting = np.searchsorted(counts / counts[-1], points[:, 1], side="right")
        row, half = np.empty(len(points), dtype=int), np.empty(len(points), dtype=bool)
        for s, rows in enumerate(self._rows):
            mine = setting == s
            at = (points[mine, 0] * len(rows)).astype(int)
            row[mine], half[mine] = rows[at], 2 * at < len(rows)
        return row, half

    def draws(self, points: np.ndarray) -> pd.DataFrame:
        """Constants at points (lanes, coordinates): one row a lane, one column a constant."""
        points = np.clip(points, 2.0**-53, 1 - 2.0**-53)
        columns = {}
        if self._own:
            row, _ = self._row(points)
            columns = {name: column.to_numpy()[row] for name, column in self._held.items()}
        for i, item in enumerate(self._items, self._own):
            columns[item.name] = quantile(item, points[:, i])
        return pd.DataFrame(columns)

    def halves(self, points: np.ndarray, seed: int) -> np.ndarray:
        """Which points are in the first of two halves that tell nothing of each other: no row of a
        posterior lies in both, and neither has a range of an input to itself."""
        if self._own:
            return self._row(np.clip(points, 2.0**-53, 1 - 2.0**-53))[1]
        # Not every other point: in Sobol's sequence those fill one half of an input's range.
        return np.random.default_rng(seed).permutation(len(points)) % 2 == 0


# -- where a model is run ----------------------------------------------------------------


def sobol_points(size: int, n: int, seed: int) -> np.ndarray:
    """`n` scrambled Sobol points (n, size), in (0, 1); the first of them are those of fewer."""
    from scipy.stats import qmc

    with warnings.catch_warnings():
        # Balance is a matter of all points, which are a power of two.
        warnings.filterwarnings("ignore", "The balance properties", UserWarning)
        return qmc.Sobol(size, scramble=True, rng=np.random.default_rng(seed)).random(n)


def crossed(a: np.ndarray, b: np.ndarray, inputs: Sequence[Input], second: bool) -> np.ndarray:
    """Saltelli's design (runs, n, coordinates) of two samples (n, coordinates): A, B, then for each
    input A with that of B, and with `second` also B with that of A.

    Saltelli (2002), Computer Physics Communications 145(2):280-297.
    """
    parts = [a, b]
    for one, other in ((a, b), (b, a))[: 2 if second else 1]:
        for item in inputs:
            mixed = one.copy()
            mixed[:, item.columns] = other[:, item.columns]
            parts.append(mixed)
    return np.array(parts)


def trajectories(
    size: int, inputs: Sequence[Input], n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Morris's design: points (inputs + 1, n, coordinates), the input that each step moves
    (inputs, n), and by how much, half the unit cube up or down (inputs, n).

    Morris (1991), Technometrics 33(2):161-174; groups as in Campolongo, Cariboni and Saltelli
    (2007), Environmental Modelling and Software 22(10):1509-1518. Trajectories begin anywhere: on a
    grid most rows of a posterior and a rare setting of a switch would never be seen. The first of
    `n` trajectories are those of fewer.
    """
    points = np.empty((len(inputs) + 1, n, size))
    order = np.empty((len(inputs), n), dtype=int)
    step = np.empty((len(inputs), n))
    for t in range(n):
        rng = np.random.default_rng((seed, t))
        points[0, t] = at = rng.random(size)
        up = np.where(at < 0.5, 0.5, -0.5)
        order[:, t] = rng.permutation(len(inputs))
        for k, j in enumerate(order[:, t]):
            at = at.copy()
            columns = list(inputs[j].columns)
            at[columns] += up[columns]
            points[k + 1, t] = at
            # A group moves up and down at once: only its size counts.
            step[k, t] = up[columns[0]] if len(columns) == 1 else 0.5
    return points, order, step
