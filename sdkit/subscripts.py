"""Subscripts, resolved: which elements an equation defines, and which each reference means.

Knows nothing of functions but which of them take many elements to one (`reducing`). What comes
out holds numbers only: ("item", variable, index) has one part an axis, ("at", position) or
("over", loop, positions), where the loop counts from 0; ("part", box, expression) defines the
elements of a box (positions on each axis), in which axis n is gone through by loop i<n>;
("reduce", function, loops, arguments) has loops of its own, j<n>; ("position", index) is the
number of a subscript, ("values", numbers, shape, index) one of the numbers of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

import numpy as np

from .errors import ModelError
from .expressions import children, key, rebuilt
from .ranges import Axis, Box, Ranges
from .translate import Definition


@dataclass
class Resolver:
    """Resolves the references of one definition.

    `left` has for each axis its loop, the range written there ("" for an element) and the
    elements that the box goes through; `axes` gives the axes of other variables; `reducing`
    the functions that take many elements to one.
    """

    ranges: Ranges
    where: str
    left: Sequence[tuple[str, str, tuple[str, ...]]]
    axes: Callable[[str], tuple[Axis, ...] | None]
    reducing: Collection[str]
    loose: bool = False  # a bare name of an array means its elements, as in XMILE
    at: dict[str, str] = field(default_factory=dict)  # axes of the left side held at an element
    bound: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    loops: int = 0

    def refuse(self, what: str) -> ModelError:
        return ModelError("M109", f"{self.where}: {what}")

    def wrong(self, what: str) -> ModelError:
        return ModelError("M120", f"{self.where}: {what}")

    def __call__(self, node: tuple) -> tuple:
        kind = node[0]
        if kind == "name":
            return self._name(node[1])
        if kind == "reference":
            return self._name(*node[1:])
        if kind == "array":
            return self._array(*node[1:])
        if kind == "table array":
            return self._tables(*node[1:])
        if kind == "lookup":
            name, argument, subscripts, mode = node[1:]
            index = self._index(name, subscripts) if self.axes(name) else ()
            return ("lookup", name, self(argument), index, mode)
        if kind == "call" and node[1] == "elmcount":
            return self._count(node[2])
        if kind == "call" and node[1] in self.reducing:
            return self._reduce(node[1], node[2])
        return rebuilt(node, self)

    def _name(self, name: str, subscripts: Sequence[str] = ()) -> tuple:
        axes = self.axes(name)
        if axes is None and not subscripts:
            if name in self.ranges.members:
                return ("position", (self._numbers(name),))
            if name in self.ranges.elements:
                return ("position", (("at", self.ranges.number(self._family(name))[name]),))
        if not axes:
            if subscripts:
                raise self.wrong(f"{name!r} has no subscripts")
            return ("name", name)
        return ("item", name, self._index(name, subscripts))

    def _family(self, element: str) -> str:
        """The range in which an element has its number: one of the left side, or the largest."""
        holding = [k for k, m in self.ranges.members.items() if element in m]
        written = [k for _, k, _ in self.left if k in holding]
        return (written or sorted(holding, key=lambda k: -len(self.ranges.members[k])))[0]

    def _numbers(self, name: str) -> tuple:
        number = self.ranges.number(name)
        elements, loop = self._elements(name, False)
        return over(loop, [number[e] for e in elements])

    def _index(self, name: str, subscripts: Sequence[str]) -> tuple:
        axes = self.axes(name)
        if not subscripts and self.loose:
            subscripts = self._meant(axes)
        subscripts = self._apart(subscripts)
        if len(subscripts) != len(axes):
            wanted = ", ".join(label for label, _ in axes)
            raise self.wrong(f"{name!r} takes the subscripts [{wanted}]")
        return tuple(self._place(name, *pair) for pair in zip(subscripts, axes, strict=True))

    def _meant(self, axes: Sequence[Axis]) -> list[str]:
        """The subscripts that XMILE leaves out: all of an array in SUM and its like, else the
        ranges of the left side."""
        if self.bound:
            return [f"{label}!" for label, _ in axes]
        written = {name: name for _, name, _ in self.left} | self.at
        return [written[key(label)] for label, _ in axes if key(label) in written]

    def _apart(self, subscripts: Sequence[str]) -> list[str]:
        """Subscripts in which a range that is summed over twice has two loops: so XMILE means
        x[*, *]; in Vensim x[range!, range!] is the diagonal."""
        found: list[str] = []
        for subscript in subscripts:
            twice = self.loose and subscript.endswith("!") and subscript in found
            found.append(f"{subscript[:-1]}#2!" if twice else subscript)
        return found

    def _place(self, name: str, subscript: str, axis: Axis) -> tuple:
        place = self.ranges.places(axis)
        marked = subscript.endswith("!")
        k = key(subscript[:-1] if marked else subscript)
        if not marked and k not in self.ranges.members:
            number = int(k) if k.isascii() and k.isdecimal() else 0
            if self.loose and k not in place and 0 < number <= len(place):
                return ("at", number - 1)
            if k not in place:
                raise self.wrong(f"{name!r} has no element {subscript!r} in {axis[0]!r}")
            return ("at", place[k])
        elements, loop = self._elements(k, marked)
        absent = next((e for e in elements if e not in place), None)
        if absent is not None:
            raise self.wrong(
                f"{name!r} has no element {self.ranges.labels[absent]!r} in {axis[0]!r}"
            )
        return over(loop, [place[e] for e in elements])

    def _elements(self, k: str, marked: bool) -> tuple[tuple[str, ...], str]:
        """The elements that a range goes through here, and the loop that does."""
        if marked:
            if k not in self.bound:
                raise self.refuse(f"{self.ranges.labels.get(k, k)}! outside of SUM and its like")
            loop, elements = self.bound[k]
            return elements, loop
        for loop, written, elements in self.left:
            if written == k:
                return elements, loop
        for loop, written, elements in self.left:
            mapped = self.ranges.mapped(k, written) if written else None
            if mapped is not None and all(e in mapped for e in elements):
                return tuple(mapped[e] for e in elements), loop
        label = self.ranges.labels[k]
        raise self.wrong(f"the subscript {label!r} is not on the left side, nor mapped to it")

    def _array(self, numbers: tuple, shape: tuple[int, ...]) -> tuple:
        """A list of numbers, one for each element of the ranges on the left."""
        sizes, index = self._listed(len(numbers))
        row = next((size for size in reversed(sizes) if size > 1), 1)
        if len(shape) > 1 and shape[-1] != row:
            raise self.wrong(f"rows of {shape[-1]} numbers for {row} elements")
        return ("values", numbers, sizes, index) if sizes else ("number", numbers[0])

    def _tables(self, tables: tuple, argument: tuple | None) -> tuple:
        """A list of tables, likewise: "points of each", or "tables" read at an argument."""
        sizes, index = self._listed(len(tables))
        if argument is None:
            return ("points of each", tables, sizes, index) if sizes else ("points", tables[0])
        if not sizes:
            return ("table", tables[0], argument)
        return ("tables", tables, sizes, index, argument)

    def _listed(self, count: int) -> tuple[tuple[int, ...], tuple]:
        """The shape of a list for the ranges on the left, and where a loop is in it."""
        ranges = [(loop, written, elements) for loop, written, elements in self.left if written]
        sizes = tuple(len(self.ranges.members[written]) for _, written, _ in ranges)
        if prod(sizes) != count:
            wanted = " x ".join(map(str, sizes)) or "1"
            raise self.wrong(f"{count} values for {wanted} elements")
        index = []
        for loop, written, elements in ranges:
            place = {e: i for i, e in enumerate(self.ranges.members[written])}
            index.append(over(loop, [place[e] for e in elements]))
        return sizes, tuple(index)

    def _count(self, arguments: tuple) -> tuple:
        name = arguments[0][1] if len(arguments) == 1 and arguments[0][0] == "name" else ""
        if name not in self.ranges.members:
            raise self.wrong("ELMCOUNT takes the name of a subscript range")
        return ("position", (("at", len(self.ranges.members[name])),))

    def _reduce(self, function: str, arguments: tuple) -> tuple:
        names = dict.fromkeys(n for a in arguments for n in self._marked(a))
        outer, loops = self.bound, []
        self.bound = dict(outer)
        for name in names:
            self.loops += 1
            loop, elements = f"j{self.loops}", self.ranges.members.get(name.partition("#")[0])
            if elements is None:
                raise self.wrong(f"{name!r} is no subscript range")
            self.bound[name] = (loop, elements)
            loops.append((loop, len(elements)))
        inner = tuple(self(argument) for argument in arguments)
        self.bound = outer
        return ("reduce", function, tuple(loops), inner)

    def _marked(self, node: tuple) -> Iterator[str]:
        """The ranges that are summed over: marked with !, or left out where that is allowed."""
        if node[0] == "call" and node[1] in self.reducing:
            return
        subscripts: Sequence[str] = ()
        if node[0] in ("reference", "lookup"):
            subscripts = node[2] if node[0] == "reference" else node[3]
        elif node[0] == "name" and self.loose:
            subscripts = [f"{label}!" for label, _ in self.axes(node[1]) or ()]
        for subscript in self._apart(subscripts):
            if subscript.endswith("!"):
                yield key(subscript[:-1])
        for part in children(node):
            yield from self._marked(part)


def fixed(node, values: Mapping[str, int]):
    """An expression in which loops have come to these values."""
    if isinstance(node, tuple):
        if len(node) == 3 and node[0] == "over" and node[1] in values:
            return ("at", node[2][values[node[1]]])
        return tuple(fixed(part, values) for part in node)
    return node


def loops_of(box: Box) -> tuple[tuple[str, int], ...]:
    """The loops that go through a box: those of axes with more than one position."""
    return tuple((f"i{n}", len(p)) for n, p in enumerate(box, 1) if len(p) > 1)


def over(loop: str, positions: Sequence[int]) -> tuple:
    """One part of an index: a position, or those that a loop goes through."""
    return ("at", positions[0]) if len(positions) == 1 else ("over", loop, tuple(positions))


def positions(index: tuple) -> tuple:
    """The elements that an index goes through, to index an array of the variable's shape with."""
    return np.ix_(*((i[1],) if i[0] == "at" else i[2] for i in index))


def index_of(box: Box) -> tuple:
    """The index of the very elements that an equation for `box` defines."""
    return tuple(over(f"i{n}", at) for n, at in enumerate(box, 1))


def split(part: tuple) -> list[tuple]:
    """A part as one for each element of its box."""
    _, box, expression = part
    found = []
    for picked in product(*(range(len(p)) for p in box)):
        values = {f"i{n}": i for n, i in enumerate(picked, 1)}
        single = tuple((p[i],) for p, i in zip(box, picked, strict=True))
        found.append(("part", single, fixed(expression, values)))
    return found


def left_of(ranges: Ranges, axes: Sequence[Axis], definition: Definition, box: Box) -> list[tuple]:
    """What `Resolver.left` takes, for one box of a definition."""
    return [
        (f"i{n}", key(name) if ranges.is_range(name) else "", tuple(key(axis[1][p]) for p in at))
        for n, (name, axis, at) in enumerate(zip(definition.subscripts, axes, box, strict=True), 1)
    ]
