"""Subscript ranges down to their elements, and the elements that an equation defines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from itertools import count

import numpy as np

from .errors import ModelError
from .expressions import key
from .limits import bounded
from .names import meant
from .translate import Definition, Range

# An axis of a variable: the name of its range, and its elements as written.
Axis = tuple[str, tuple[str, ...]]
Box = tuple[tuple[int, ...], ...]


class Ranges:
    """The subscript ranges of a model, down to elements; all names are keys.

    `where` stands before the text of errors, M120.
    """

    def __init__(self, ranges: Sequence[Range], where: str):
        self.where = where
        self.labels: dict[str, str] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        self._mappings: dict[str, list[tuple[str, list[str] | None]]] = {}
        given = {key(r.name): r for r in ranges}
        self.count = 0
        for k, row in given.items():
            self.labels.setdefault(k, row.name.strip().strip('"'))
            self._expand(k, given, ())
        self.roots = {k: self._root(k, given) for k in given}
        for k, row in given.items():
            pairs = [(key(n), None if m is None else [key(x) for x in m]) for n, m in row.mappings]
            self._mappings[k] = pairs
        self.elements = {e for members in self.members.values() for e in members}
        self._places: dict[Axis, dict[str, int]] = {}

    def places(self, axis: Axis) -> dict[str, int]:
        """The position of each element of an axis, by its key."""
        if axis not in self._places:
            self._places[axis] = {key(e): i for i, e in enumerate(axis[1])}
        return self._places[axis]

    def wrong(self, text: str) -> ModelError:
        return ModelError("M120", f"{self.where}: {text}")

    def at(self, where: str) -> Ranges:
        """The same ranges, whose errors name another place."""
        other = copy(self)
        other.where = where
        return other

    def _wrong_range(self, row: Range, what: str) -> ModelError:
        place = f"{self.where}, line {row.line}" if row.line else self.where
        return self.at(place).wrong(f"the subscript range {row.name!r} {what}")

    def _expand(self, k: str, given: Mapping[str, Range], path: tuple[str, ...]) -> tuple:
        """The elements of a range, whose text may name other ranges among them."""
        if k in self.members:
            return self.members[k]
        if k in path:
            raise self._wrong_range(given[k], "holds itself")
        row = given[k]
        found: list[str] = []
        place = f"{self.where}, line {row.line}, {row.name!r}"
        for name in [row.members] if isinstance(row.members, str) else row.members:
            if key(name) in given and key(name) != k:
                found += self._expand(key(name), given, (*path, k))
            elif isinstance(row.members, str):
                raise self._wrong_range(row, f"is a copy of {name!r}, which is no range")
            else:
                self.labels.setdefault(key(name), name.strip().strip('"'))
                found.append(key(name))
            # The elements of a range that names others several times stand there several times.
            bounded("range", len(found), place)
        self.count += len(found)
        bounded("ranges", self.count, place)
        if not found:
            raise self._wrong_range(row, "is empty")
        self.members[k] = tuple(dict.fromkeys(found))
        return self.members[k]

    @staticmethod
    def _root(k: str, given: Mapping[str, Range]) -> str:
        """The range that a range is a copy of, in the end."""
        while isinstance(given[k].members, str):
            k = key(given[k].members)
        return k

    def is_range(self, name: str) -> bool:
        return key(name) in self.members

    def of(self, name: str) -> tuple[str, ...]:
        """The elements that a subscript on a left side stands for."""
        k = key(name)
        if k in self.members:
            return self.members[k]
        if k in self.elements:
            return (k,)
        near = meant(name, self.labels.values(), listed=False)
        raise self.wrong(f"{name!r} is neither a subscript range nor an element of one{near}")

    def mapped(self, source: str, target: str) -> dict[str, str] | None:
        """For each element of `target` the one of `source` that stands for it; None without."""
        for name, groups in self._mappings.get(source, ()):
            if name != target:
                continue
            own = self.members[source]
            if groups is None:
                groups = list(self.members.get(name, ()))
            if len(groups) != len(own):
                raise self.wrong(
                    f"{self.labels[source]!r} has {len(own)} elements, "
                    f"{self.labels.get(name, name)!r} has {len(groups)} for them"
                )
            pairs = [(e, k) for k, g in zip(own, groups, strict=True) for e in self.of(g)]
            if len(dict(pairs)) < len(pairs):
                raise self.wrong(
                    f"{self.labels[source]!r} has several elements for one of {self.labels[name]!r}"
                )
            return dict(pairs)
        if self.roots[source] == self.roots[target]:  # copies of one range
            return {e: e for e in self.members[target]}
        for name, groups in self._mappings.get(target, ()):
            if name == source:
                groups = [self.of(g) for g in groups or self.members[source]]
                own = self.members[target]
                if len(groups) == len(own) and all(len(g) == 1 for g in groups):
                    return {k: g[0] for k, g in zip(own, groups, strict=True)}
        return None

    def number(self, k: str) -> dict[str, int]:
        """The numbers, from 1, of the elements of a range: those in the largest range around it."""
        around = [m for m in self.members.values() if set(self.members[k]) <= set(m)]
        return {e: i for i, e in enumerate(max(around, key=len), 1)}

    def axis(self, subscripts: Sequence[str], taken: Collection[str]) -> Axis:
        """The axis of a variable that is defined under these subscripts on that place."""
        wanted = {e for name in subscripts for e in self.of(name)}
        candidates = [k for k in dict.fromkeys(map(key, subscripts)) if k in self.members]
        candidates += [k for k in self.members if k not in candidates]
        free = [k for k in candidates if self.labels[k] not in taken]
        for fits in (lambda m: set(m) == wanted, lambda m: set(m) >= wanted):
            for k in free:
                if fits(self.members[k]):
                    return self.labels[k], tuple(self.labels[e] for e in self.members[k])
        k = next((k for k in candidates if set(self.members[k]) >= wanted), None)
        if k is None:
            names = ", ".join(dict.fromkeys(subscripts))
            raise self.wrong(f"no subscript range holds all of {names}")
        names = (f"{self.labels[k]}{i}" for i in count(1))
        label = next(n for n in names if n not in taken and n not in self.labels.values())
        return label, tuple(self.labels[e] for e in self.members[k])


def axes_of(ranges: Ranges, definitions: Sequence[Definition]) -> tuple[Axis, ...]:
    """The axes of a variable, from all its definitions."""
    if len({len(d.subscripts) for d in definitions}) > 1:
        raise ranges.wrong("defined with different numbers of subscripts")
    found: list[Axis] = []
    for place in zip(*(d.subscripts for d in definitions), strict=True):
        found.append(ranges.axis(place, {label for label, _ in found}))
    return tuple(found)


def boxes(ranges: Ranges, axes: Sequence[Axis], definition: Definition) -> list[Box]:
    """The elements that a definition gives: a box, or several around its exceptions."""
    left = [_positions(ranges, axis, name)
            for axis, name in zip(axes, definition.subscripts, strict=True)]  # fmt: skip
    found = [tuple(left)]
    for group in definition.exceptions:
        if len(group) != len(axes):
            raise ranges.wrong(f":EXCEPT: [{', '.join(group)}] has not the subscripts of its left")
        hole = [set(_positions(ranges, axis, name))
                for axis, name in zip(axes, group, strict=True)]  # fmt: skip
        found = [rest for box in found for rest in _without(box, hole)]
    return found


def _positions(ranges: Ranges, axis: Axis, name: str) -> tuple[int, ...]:
    place = ranges.places(axis)
    return tuple(place[e] for e in ranges.of(name) if e in place)


def _without(box: Box, hole: Sequence[set[int]]) -> Iterator[Box]:
    """Boxes that make up `box` without `hole`."""
    for n, positions in enumerate(box):
        outside = tuple(p for p in positions if p not in hole[n])
        if outside:
            yield (*box[:n], outside, *box[n + 1 :])
        box = (*box[:n], tuple(p for p in positions if p in hole[n]), *box[n + 1 :])
        if not box[n]:
            return


def cut_out(box: Box, taken: np.ndarray) -> Iterator[Box]:
    """Boxes that make up what `taken` (an array of truths, an axis each) leaves of `box`."""
    own = taken[np.ix_(*box)]
    if not own.any():
        yield box
        return
    if own.all():
        return
    free = [~own.any(axis=tuple(m for m in range(len(box)) if m != n)) for n in range(len(box))]
    n = max(range(len(box)), key=lambda n: (free[n].sum(), len(box[n])))
    whole = tuple(p for p, f in zip(box[n], free[n], strict=True) if f)
    if whole:
        yield (*box[:n], whole, *box[n + 1 :])
    for position, f in zip(box[n], free[n], strict=True):
        if not f:
            yield from cut_out((*box[:n], (position,), *box[n + 1 :]), taken)
