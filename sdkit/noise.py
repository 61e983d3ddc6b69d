"""Where the streams of random numbers begin: one for each random variable of each draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .expressions import walk
from .model import Model
from .streams import mixed, words

_MODULI = (4294967087, 4294967087, 4294967087, 4294944443, 4294944443, 4294944443)


def draws_numbers(model: Model) -> bool:
    """Whether a model has random functions."""
    variables = (*model.variables.values(), *model.hidden.values())
    return any(n[:2] == ("state", "noise") for v in variables for n in walk(v.expression))


def numbered(draws: pd.Index, everything: pd.Index) -> np.ndarray:
    """Whole numbers that tell draws apart: their labels, or else their places in the whole."""
    labels = np.asarray(draws)
    return labels if labels.dtype.kind in "iu" else everything.get_indexer(draws)


def beginnings(seed: int, draws: np.ndarray, streams: Sequence[str]) -> np.ndarray:
    """The first numbers of the streams of these names for each draw (draws, streams, 6).

    `draws` are whole numbers that tell draws apart. A stream depends on seed, draw and its own
    name alone, so that scenarios and policies share theirs, and neither chunks nor other random
    functions matter.
    """
    own = mixed(np.asarray(draws).astype(np.int64).astype(np.uint64))
    keys = np.array([words(seed, name, "noise", 6) for name in streams], dtype=np.uint64)
    found = mixed(own[:, None, None] ^ keys.reshape(-1, 6))
    # From 1 up, since six zeros would stay zeros.
    return (found % (np.array(_MODULI, dtype=np.uint64) - np.uint64(1)) + np.uint64(1)).astype(
        float
    )
