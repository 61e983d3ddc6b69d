"""A classification tree over draws (scikit-learn's only door)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Leaf:
    """One end of a tree: its conditions (input, "<=" or ">", value), and the rows that it takes."""

    conditions: tuple[tuple[str, str, float], ...]
    rows: np.ndarray


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
    ends = found.apply(test.to_numpy())

    def below(node: int, path: tuple) -> list[Leaf]:
        if tree.children_left[node] < 0:
            return [Leaf(path, ends == node)]
        name, at = x.columns[tree.feature[node]], float(tree.threshold[node])
        left = below(tree.children_left[node], (*path, (name, "<=", at)))
        return left + below(tree.children_right[node], (*path, (name, ">", at)))

    return below(0, ())
