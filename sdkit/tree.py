"""A classification tree over draws (scikit-learn's only door)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .discover import chance_of

ACCIDENT = 0.01  # chance above which a split does not survive on draws that did not make it
Condition = tuple[str, str, float]


@dataclass(frozen=True)
class Leaf:
    """One end of a tree: its conditions (input, "<=" or ">", value), the rows that it takes of
    those that judge it, and of those that grew it."""

    conditions: tuple[Condition, ...]
    rows: np.ndarray
    grown: np.ndarray


@dataclass(frozen=True)
class Split:
    """One fork of a tree: the way to it, its input and value, the side with more cases ("<=" or
    ">"), the chance of so large a difference on other draws if the fork meant nothing, and
    whether it survives there: it, and all forks on the way to it."""

    conditions: tuple[Condition, ...]
    input: str
    at: float
    side: str
    chance: float
    survives: bool


@dataclass(frozen=True)
class Tree:
    """The ends of a tree without the forks that do not survive, and all forks that were grown."""

    leaves: tuple[Leaf, ...]
    splits: tuple[Split, ...]


def grow(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, leaves: int, seed: int) -> list[Leaf]:
    """Grow a tree of at most so many leaves on rows `x` with classes `y` (rows,), none with less
    than a fiftieth of them; each leaf with the rows of `test` that it takes.

    Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees".
    """
    from sklearn.tree import DecisionTreeClassifier

    found = DecisionTreeClassifier(
        max_leaf_nodes=leaves, min_samples_leaf=max(len(x) // 50, 1), random_state=seed
    ).fit(x.to_numpy(), y)
    tree = found.tree_
    ends, own = found.apply(test.to_numpy()), found.apply(x.to_numpy())

    def below(node: int, path: tuple) -> list[Leaf]:
        if tree.children_left[node] < 0:
            return [Leaf(path, ends == node, own == node)]
        name, at = x.columns[tree.feature[node]], float(tree.threshold[node])
        left = below(tree.children_left[node], (*path, (name, "<=", at)))
        return left + below(tree.children_right[node], (*path, (name, ">", at)))

    return below(0, ())


def judge(
    leaves: Sequence[Leaf], y: np.ndarray, cases: np.ndarray, clusters: np.ndarray | None = None
) -> Tree:
    """The forks of a tree that other rows confirm: `leaves` as `grow` made them, `y` the classes of
    the rows that grew it and `cases` those of the rows that judge. A fork has to divide these in
    the same direction, by more than chance; below one that does not, nothing is kept. Rows with
    one number in `clusters` share values, and count as one.
    """
    splits: list[Split] = []

    def below(own: Sequence[Leaf], depth: int, kept: bool) -> list[Leaf]:
        """The ends under the fork that these leaves share; `kept`: all above it survive."""
        if len(own) == 1:
            return list(own)
        name, _, at = own[0].conditions[depth]
        sides = {s: [f for f in own if f.conditions[depth][1] == s] for s in ("<=", ">")}
        grown = {s: np.any([f.grown for f in part], axis=0) for s, part in sides.items()}
        rows = {s: np.any([f.rows for f in part], axis=0) for s, part in sides.items()}
        more = "<=" if y[grown["<="]].mean() > y[grown[">"]].mean() else ">"
        here = rows["<="] | rows[">"]
        chance = chance_of(
            rows[more][here], cases[here], None if clusters is None else clusters[here]
        )
        path, kept = own[0].conditions[:depth], kept and chance <= ACCIDENT
        splits.append(Split(path, name, at, more, chance, kept))
        ends = [end for part in sides.values() for end in below(part, depth + 1, kept)]
        return ends if kept else [Leaf(path, here, grown["<="] | grown[">"])]

    ends = below(leaves, 0, True)
    return Tree(tuple(ends), tuple(splits))
