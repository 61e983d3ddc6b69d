"""What equations carry along from step to step, and what each kind of it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ranges import Box

Loops = tuple[tuple[str, int], ...]


@dataclass
class State:
    """What an equation carries along; in an array one for each turn of its loops, in a row."""

    kind: str
    parts: tuple
    loops: Loops = ()
    slot: int = 0
    memory: int = 0
    buffer: int = 0
    order: int = 1

    @property
    def count(self) -> int:
        return math.prod(n for _, n in self.loops)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Of one turn: its places in the state vector and in memory, and its buffers."""
        order = self.order
        return {
            "stock": (1, 0, 0),
            "non-negative stock": (1, 0, 0),
            "trend": (1, 0, 0),
            "forecast": (1, 0, 0),
            "delay": (order, 0, 0),
            "smooth": (order, 0, 0),
            "smooth n": (order, 1, 0),
            "delay n": (order, 1 + order, 0),
            "delay fixed": (0, 2, 1),
            "sample if true": (0, 1, 0),
            "initial": (0, 1, 0),
            "noise": (0, NOISE, 0),
        }[self.kind]


@dataclass(frozen=True)
class Block:
    """An equation for the elements `box` of an array."""

    variable: str
    box: Box
    loops: Loops


# The six numbers of a stream of random numbers (`numerics.next_first`), and the latest one drawn.
NOISE = 7


# Which parts of a state its value reads, its start needs and its rates read.
READS = {
    "stock": ((), (1,), (0,)),
    "non-negative stock": ((), (1,), (0,)),
    "delay": ((1,), (1, 2), (0, 1)),
    "delay n": ((), (1, 2), (0, 1)),
    "delay fixed": ((), (1, 2), ()),
    "smooth": ((), (2,), (0, 1)),
    "smooth n": ((), (1, 2), (0, 1)),
    "trend": ((0, 1), (0, 1, 2), (0, 1)),
    "forecast": ((0, 1, 2), (0, 3), (0, 1)),
    "noise": ((), (), ()),
    "sample if true": ((0, 1), (2,), ()),
    "initial": ((), (0,), ()),
}
REMEMBERS = {"delay n": (1,), "delay fixed": (0,), "sample if true": (0, 1)}
