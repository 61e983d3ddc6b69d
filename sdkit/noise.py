"""Where the streams of random numbers begin: one for each random variable of each draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .expressions import walk
from .model import Model

_MODULI = (4294967087, 4294967087, 4294967087, 4294944443, 4294944443, 4294944443)


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's scrambling of whole numbers (Steele, Lea and Flood 2014,
    doi:10.1145/2660193.2660195)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draws_numbers(model: Model) -> bool:
    """Whether a model has random functions."""
    variables = (*model.variables.values(), *model.hidden.values())
    return any(n[:2] == ("state", "noise") for v in variables for n in walk(v.expression))


def numbered(draws: pd.Index, everything: pd.Index) -> np.ndarray:
    """Whole numbers that tell draws apart: their labels, or else their places in the whole."""
    labels = np.asarray(draws)
    return labels if labels.dtype.kind in "iu" else everything.get_indexer(draws)


def beginnings(seed: int, draws: np.ndarray, streams: int) -> np.ndarray:
    """The first numbers of `streams` streams for each draw (shape: draws, streams, 6).

    `draws` are whole numbers that tell draws apart. A stream depends on seed, draw and its own
    number alone, so that scenarios and policies share theirs, and chunks do not matter.
    """
    own = _mixed(np.asarray(draws).astype(np.int64).astype(np.uint64) ^ _mixed(
        np.full(1, seed % 2**64, dtype=np.uint64)
    ))  # fmt: skip
    numbers = np.arange(streams * 6, dtype=np.uint64)
    found = _mixed(own[:, None] ^ _mixed(numbers)[None, :]).reshape(len(own), streams, 6)
    # From 1 up, since six zeros would stay zeros.
    return (found % (np.array(_MODULI, dtype=np.uint64) - np.uint64(1)) + np.uint64(1)).astype(
        float
    )
