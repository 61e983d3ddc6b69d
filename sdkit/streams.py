"""Random numbers by name: a column of points for each name, which no other name can change.

A name and a seed decide a column; neither the place of the name among others nor their number
does. All columns fill their range evenly: of the first 2**k points one lies in each of 2**k equal
cells, for each k. docs/decisions/0012 says why there are two kinds, and what they cost.

A *net* is a digital net in base 2 whose generating matrix is random (Matousek 1998, Journal of
Complexity 14(4):527-556, with random upper triangular matrices in place of Sobol's), shifted at
random: integrals over few inputs err little. Now and then two names' columns move together. A
*shuffled* column is a Latin hypercube that grows (Owen 1997, Annals of Statistics
25(4):1541-1562, in one dimension): two of them are never more alike than chance makes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np

MOST = 2**30  # points of a column
_INDEX_BITS = 30
_BITS = 52  # of a coordinate: its cell's middle is then a float
_LOW_BITS = 10  # of a point's number, which a table of words takes
_LOW = 2**_LOW_BITS
_ONE = np.uint64(0x3FF << 52)  # the bits of the float 1.0


def words(seed: int, name: str, use: str, count: int) -> np.ndarray:
    """`count` random whole numbers of 64 bits that seed, name and use decide (SHAKE-256)."""
    text = f"{seed}\0{use}\0{name}".encode()
    return np.frombuffer(hashlib.shake_256(text).digest(8 * count), dtype="<u8")


def generator(seed: int, name: str, use: str) -> np.random.Generator:
    """A generator of its own for a name."""
    return np.random.default_rng(words(seed, name, use, 4))


def mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's scrambling of whole numbers (Steele, Lea and Flood 2014,
    doi:10.1145/2660193.2660195)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Points:
    """Points of the unit cube: a coordinate a name, the same numbers however they are cut.

    Names in `shuffled` have shuffled columns, the others nets. Raises ValueError for a name given
    twice: both coordinates would be one.
    """

    def __init__(self, seed: int, names: Sequence[str], shuffled: Collection[str] = ()):
        if len(set(names)) < len(names):
            raise ValueError("each coordinate needs a name of its own")
        self._columns = [
            _shuffled(seed, name) if name in shuffled else _net(seed, name) for name in names
        ]

    def __len__(self) -> int:
        return len(self._columns)

    def rows(self, low: int, high: int) -> np.ndarray:
        """Points `low` to `high`, strictly inside the cube (shape: points, names)."""
        found = np.empty((len(self), high - low))  # a column in one piece: they are read so
        for own, column in zip(found, self._columns, strict=True):
            # With these bits above it a word of 52 is a float from 1 to 2; the middle of its cell.
            np.subtract(column.words(low, high).view(float), 1 - 2.0**-53, out=own)
        return found.T


class _Column:
    """Point i is table[i's lower bits, turned] xor what the upper bits of i say by `directions`."""

    def __init__(self, table: np.ndarray, directions: np.ndarray, turn: np.uint64 | None = None):
        self._table, self._directions, self._turn = table | _ONE, directions, turn

    def words(self, low: int, high: int) -> np.ndarray:
        blocks = np.arange(low >> _LOW_BITS, ((high - 1) >> _LOW_BITS) + 1, dtype=np.uint64)
        upper = np.zeros(len(blocks), dtype=np.uint64)
        for k in range(int(blocks[-1]).bit_length() if len(blocks) else 0):
            upper ^= (blocks >> np.uint64(k) & np.uint64(1)) * self._directions[k]
        if self._turn is None:
            found = self._table ^ upper[:, None]
        else:
            turn = mixed(blocks ^ self._turn) >> np.uint64(64 - _LOW_BITS)
            turn[blocks == 0] = 0
            places = np.arange(_LOW, dtype=np.uint64) ^ turn[:, None]
            found = self._table[places.astype(np.intp)] ^ upper[:, None]
        first = low & (_LOW - 1)
        return found.ravel()[first : first + high - low]


def _triangular(random: np.ndarray) -> np.ndarray:
    """Columns of a random lower triangular matrix over GF(2), each a word of _BITS bits."""
    places = np.uint64(_BITS - 1) - np.arange(len(random), dtype=np.uint64)
    one = np.uint64(1) << places
    return one | (random & (one - np.uint64(1)))


def _product(words: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The columns of (matrix of these columns) x (matrix of zeros and ones)."""
    return np.bitwise_xor.reduce(np.where(matrix.T, words, np.uint64(0)), axis=1)


def _upper(random: np.ndarray) -> np.ndarray:
    """A random upper triangular matrix of zeros and ones, with ones in its diagonal."""
    size = len(random)
    bits = (random[:, None] >> np.arange(size, dtype=np.uint64) & np.uint64(1)).astype(bool)
    return np.triu(bits, 1) | np.eye(size, dtype=bool)


def _net(seed: int, name: str) -> _Column:
    matrix = _upper(words(seed, name, "matrix", _INDEX_BITS))
    random = words(seed, name, "net", _INDEX_BITS + 1)
    directions = _product(_triangular(random[:-1]), matrix)
    table = random[-1:] >> np.uint64(64 - _BITS)
    for direction in directions[:_LOW_BITS]:
        table = np.concatenate([table, table ^ direction])
    return _Column(table, directions[_LOW_BITS:])


def _shuffled(seed: int, name: str) -> _Column:
    random = words(seed, name, "shuffled", 2 * _LOW)
    cells, at = np.zeros(1, dtype=np.uint64), 0
    for _ in range(_LOW_BITS):
        # Each cell is halved: its point stays where it is, a new one takes the other half.
        own = random[at : at + len(cells)]
        half, order = own & np.uint64(1), np.argsort(own, kind="stable")
        cells, at = np.concatenate([2 * cells + half, (2 * cells + 1 - half)[order]]), at + len(own)
    below = np.uint64(_BITS - _LOW_BITS)
    table = cells << below | random[-_LOW:] >> np.uint64(64) - below
    rest = words(seed, name, "shuffled on", 2 * (_INDEX_BITS - _LOW_BITS) + 1)
    first, second = rest[:-1].reshape(2, -1)
    return _Column(table, _product(_triangular(first) >> np.uint64(_LOW_BITS), _upper(second)),
                   rest[-1])  # fmt: skip
