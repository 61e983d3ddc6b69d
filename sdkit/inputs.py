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
from .experiment import coordinate, quantile, read_posterior
from .names import meant
from .parameters import Parameter, Parameters
from .streams import Points

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
        # Under these names coordinates have their random numbers.
        posterior = ("row of the posterior", "setting of the posterior")[: self._own]
        self.coordinates = (*posterior, *map(coordinate, self._items))
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

    def points(self, n: int, seed: int, shuffled: bool = False) -> np.ndarray:
        """`n` points of the unit cube (n, coordinates); the first of them are those of fewer.

        For integrals over it; `shuffled` for what looks at single inputs, where no two of them
        may move together.
        """
        names = self.coordinates
        return Points(seed, names, names if shuffled else self._shuffled).rows(0, n)

    def two_samples(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Two samples that are independent of each other, as `crossed` needs them: Sobol points.

        Coordinates have their dimensions in the order of their names, those of a posterior first:
        the order of rows changes nothing, but an input more makes another design, since columns
        that know nothing of each other cannot fill the cube as well (docs/decisions/0012).
        """
        names = self.coordinates
        order = sorted(range(len(names)), key=lambda i: (i >= self._own, names[i]))
        points = np.empty((2, n, len(names)))
        points[..., order] = sobol_points(2 * len(names), n, seed).reshape(n, 2, -1).swapaxes(0, 1)
        return points[0], points[1]

    @property
    def _shuffled(self) -> set[str]:
        return {coordinate(item) for item in self._items if item.role == "structural"}

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

    def rows(self, points: np.ndarray) -> np.ndarray | None:
        """Of each point the row of the posterior that it has; None without a posterior."""
        if not self._own:
            return None
        return self._row(np.clip(points, 2.0**-53, 1 - 2.0**-53))[0]

    def halves(self, points: np.ndarray, seed: int) -> np.ndarray:
        """Which points are in the first of two halves that tell nothing of each other: no row of a
        posterior lies in both, and neither has a range of an input to itself."""
        if self._own:
            return self._row(np.clip(points, 2.0**-53, 1 - 2.0**-53))[1]
        # Not every other point: in a net those fill one half of an input's range.
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
    coordinates: Sequence[str], inputs: Sequence[Input], n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Morris's design: points (inputs + 1, n, coordinates), the input that each step moves
    (inputs, n), and by how much, half the unit cube up or down (inputs, n).

    Morris (1991), Technometrics 33(2):161-174; groups as in Campolongo, Cariboni and Saltelli
    (2007), Environmental Modelling and Software 22(10):1509-1518. Trajectories begin anywhere: on a
    grid most rows of a posterior and a rare setting of a switch would never be seen. The first of
    `n` trajectories are those of fewer. Where a coordinate begins its name decides; an input's turn
    is its rank among numbers that names decide, so that others keep their order whatever is added.
    """
    starts = Points(seed, coordinates, coordinates).rows(0, n)
    up = np.where(starts < 0.5, 0.5, -0.5)
    own, input_of = [], np.zeros(len(coordinates), dtype=int)
    size = np.full((len(inputs), n), 0.5)  # a group moves up and down at once
    for j, item in enumerate(inputs):
        columns = list(item.columns)
        input_of[columns] = j
        own.append("turn of " + ", ".join(sorted(coordinates[c] for c in columns)))
        if len(columns) == 1:
            size[j] = up[:, columns[0]]
    turns = np.argsort(Points(seed, own, own).rows(0, n), axis=1)
    before = np.argsort(turns, axis=1)[:, input_of] < np.arange(len(inputs) + 1)[:, None, None]
    return starts + up * before, turns.T, np.take_along_axis(size, turns.T, axis=0)
