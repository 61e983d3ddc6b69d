"""A classification tree over draws (scikit-learn's only door)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .discover import chance_of

ACCIDENT = 0.01  # chance above which a split does not survive on draws that did not make it
Condition = tuple[str, str, float]


@dataclass(frozen=True)
class Leaf:
    """One end of a tree: its conditions (input, "<=" or ">", value), and the rows that it takes, of
    those that grew the tree and of the others."""

    conditions: tuple[Condition, ...]
    grown: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Split:
    """One fork of a tree: the way to it, its input and value, the side with more cases ("<=" or
    ">"), the chance of so large a difference on other draws if the split meant nothing, and
    whether it survives there: it, and all forks on the way to it."""

    conditions: tuple[Condition, ...]
    input: str
    at: float
    side: str
    chance: float
    survives: bool


@dataclass(frozen=True)
class Tree:
    """A tree without the forks that do not survive, and all forks that were grown."""

    leaves: tuple[Leaf, ...]
    splits: tuple[Split, ...]


def grow(
    x: pd.DataFrame,
    y: np.ndarray,
    test: pd.DataFrame,
    cases: np.ndarray,
    leaves: int,
    seed: int,
    clusters: np.ndarray | None = None,
) -> Tree:
    """Grow a tree of at most so many leaves on rows `x` with classes `y` (rows,), none with less
    than a fiftieth of them, and keep the forks that the other rows `test` with classes `cases`
    confirm. Rows of `test` with one number in `clusters` share values, and count as one.

    Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees".
    """
    from sklearn.tree import DecisionTreeClassifier

    found = DecisionTreeClassifier(
        max_leaf_nodes=leaves, min_samples_leaf=max(len(x) // 50, 1), random_state=seed
    ).fit(x.to_numpy(), y)
    tree = found.tree_
    splits: list[Split] = []

    def below(node: int, path: tuple, kept: bool, mine: np.ndarray, rest: np.ndarray) -> list[Leaf]:
        """The leaves under a node that takes these rows; `kept`: all forks above it survive."""
        if tree.children_left[node] < 0:
            return [Leaf(path, mine, rest)]
        name, at = x.columns[tree.feature[node]], float(tree.threshold[node])
        low, other = x[name].to_numpy() <= at, test[name].to_numpy() <= at
        more_below = y[mine & low].mean() > y[mine & ~low].mean()
        more = other if more_below else ~other
        own = None if clusters is None else clusters[rest]
        chance = chance_of(more[rest], cases[rest], own)
        kept = kept and chance <= ACCIDENT
        splits.append(Split(path, name, at, "<=" if more_below else ">", chance, kept))
        sides = [
            below(child, (*path, (name, sign, at)), kept, mine & inner, rest & outer)
            for child, sign, inner, outer in (
                (tree.children_left[node], "<=", low, other),
                (tree.children_right[node], ">", ~low, ~other),
            )
        ]
        return [*sides[0], *sides[1]] if kept else [Leaf(path, mine, rest)]

    whole = np.ones(len(x), dtype=bool), np.ones(len(test), dtype=bool)
    return Tree(tuple(below(0, (), True, *whole)), tuple(splits))
