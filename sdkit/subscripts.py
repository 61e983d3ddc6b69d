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
from .limits import bounded
from .names import meant
from .ranges import Axis, Box, Ranges
from .translate import Definition

# What counts elements: of a range (Vensim), of all that its argument goes through (XMILE).
COUNTS = ("elmcount", "xmile_size")


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
        if kind == "call" and node[1] in COUNTS:
            return (self._count if node[1] == "elmcount" else self._size)(node[2])
        if kind == "call" and node[1] in self.reducing:
            return self._reduce(node[1], node[2])
        return rebuilt(node, self)

    def _name(self, name: str, subscripts: Sequence[str] = ()) -> tuple:
        axes = self.axes(name)
        if axes is None and not subscripts:
            if name in self.ranges.members:
                return ("position", (self._numbers(name),))
            if name in self.ranges.elements and not self.loose:  # XMILE writes Range.element
                return ("position", (("at", self.ranges.number(self._family(name))[name]),))
        if not axes:
            if subscripts:
                raise self.wrong(f"{name!r} has no subscripts")
            return ("name", name)
        if len(subscripts) == len(axes) and any(isinstance(s, tuple) for s in subscripts):
            return self._picked(name, subscripts, axes)
        return ("item", name, self._index(name, subscripts))

    def _picked(self, name: str, subscripts: Sequence, axes: Sequence[Axis]) -> tuple:
        """An element whose place is computed: the sum over all places of what stands there where
        it is the one, which is 0 for a place that there is not (XMILE 3.7.1)."""
        index, loops, conditions = [], [], []
        plain = iter(self._apart([s for s in subscripts if isinstance(s, str)]))
        for axis, place in zip(axes, subscripts, strict=True):
            if isinstance(place, str):
                index.append(self._place(name, next(plain), axis))
                continue
            wanted, size = self(place), len(axis[1])
            known = self._known(wanted)
            if known is not None:
                loop, places = known
                there = tuple(float(1 <= n <= size) for n in places)
                index.append(over(loop, [int(n) - 1 if 1 <= n <= size else 0 for n in places]))
                if not all(there):
                    turns = (over(loop, range(len(there))),)
                    flag = ("values", there, (len(there),), turns) if len(there) > 1 else (
                        "number", there[0])  # fmt: skip
                    conditions.append(("compare", "<>", flag, ("number", 0.0)))
                continue
            self.loops += 1
            loop = f"j{self.loops}"
            loops.append((loop, size))
            index.append(over(loop, range(size)))
            here = ("position", (over(loop, range(1, size + 1)),))
            conditions.append(("compare", "=", here, ("call", "xmile_int", (wanted,))))
        item = ("item", name, tuple(index))
        if not conditions:
            return item
        condition = conditions[0]
        for other in conditions[1:]:
            condition = ("and", condition, other)
        chosen = ("call", "if_then_else", (condition, item, ("number", 0.0)))
        return ("reduce", "sum", tuple(loops), (chosen,)) if loops else chosen

    def _known(self, wanted: tuple) -> tuple[str, list[float]] | None:
        """The places that a subscript comes to in the turns of its loop ("" and one place without
        a loop); None where more than numbers and one loop decide it, or where it is no place."""
        loops = {i[1]: len(i[2]) for i in _loops_in(wanted)}
        if len(loops) > 1:
            return None
        loop, turns = next(iter(loops.items()), ("", 1))
        found = [_place_at(wanted, turn) for turn in range(turns)]
        return None if any(n is None or n != n // 1 for n in found) else (loop, found)

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
            if isinstance(subscript, tuple):
                raise self.refuse("a subscript that is computed, in a table or beside too few")
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
                near = meant(subscript, axis[1])
                raise self.wrong(f"{name!r} has no element {subscript!r} in {axis[0]!r}{near}")
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
        if self.loose and k in self.at:  # an equation of one element: its own place
            return (self.at[k],), ""
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
            comma = "; a number has a decimal point, not a comma" * (count == 2 * prod(sizes))
            raise self.wrong(f"{count} values for {wanted} elements{comma}")
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

    def _size(self, arguments: tuple) -> tuple:
        names = dict.fromkeys(self._marked(arguments[0]))
        sizes = [len(self.ranges.members[name.partition("#")[0]]) for name in names]
        return ("position", (("at", prod(sizes)),))

    def _reduce(self, function: str, arguments: tuple) -> tuple:
        names = dict.fromkeys(n for a in arguments for n in self._marked(a))
        outer, loops = self.bound, []
        self.bound = dict(outer)
        for name in names:
            self.loops += 1
            loop, elements = f"j{self.loops}", self.ranges.members.get(name.partition("#")[0])
            if elements is None:
                near = meant(name, map(self.ranges.labels.get, self.ranges.members))
                raise self.wrong(f"{name!r} is no subscript range{near}")
            self.bound[name] = (loop, elements)
            loops.append((loop, len(elements)))
        bounded("sum", prod(count for _, count in loops), self.where)
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
        for subscript in subscripts:
            if isinstance(subscript, tuple):
                yield from self._marked(subscript)
        for subscript in self._apart([s for s in subscripts if isinstance(s, str)]):
            if subscript.endswith("!"):
                yield key(subscript[:-1])
        for part in children(node):
            yield from self._marked(part)


def _loops_in(node: tuple) -> Iterator[tuple]:
    if node[0] == "position":
        yield from (i for i in node[1] if i[0] == "over")
    for part in children(node):
        yield from _loops_in(part)


def _place_at(node: tuple, turn: int) -> float | None:
    """What a sum of numbers and places comes to in one turn of its loop; None for all else."""
    if node[0] == "number":
        return node[1]
    if node[0] == "position":
        (one,) = node[1]
        return float(one[1] if one[0] == "at" else one[2][turn])
    if node[0] == "arithmetic" and node[1] in "+-*":
        a, b = _place_at(node[2], turn), _place_at(node[3], turn)
        if a is not None and b is not None:
            return a + b if node[1] == "+" else a - b if node[1] == "-" else a * b
    return None


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
        found.append(("part", single, decided(fixed(expression, values))))
    return found


def decided(node: tuple) -> tuple:
    """An expression in which a condition of numbers and places alone has chosen its branch, so
    that `IF D = 1 THEN a ELSE x[D - 1]` reads no element in front of the first."""
    if node[:2] == ("call", "if_then_else"):
        truth = _truth_of(node[2][0])
        if truth is not None:
            return decided(node[2][1 if truth else 2])
    return rebuilt(node, decided)


def _truth_of(node: tuple) -> bool | None:
    if node[0] != "compare":
        return None
    a, b = (_fixed_number(part) for part in node[2:])
    if a is None or b is None:
        return None
    return {"=": a == b, "<>": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[node[1]]


def _fixed_number(node: tuple) -> float | None:
    if node[0] == "values" and all(i[0] == "at" for i in node[3]):
        return float(np.array(node[1]).reshape(node[2])[tuple(i[1] for i in node[3])])
    return None if any(_loops_in(node)) else _place_at(node, 0)


def left_of(ranges: Ranges, axes: Sequence[Axis], definition: Definition, box: Box) -> list[tuple]:
    """What `Resolver.left` takes, for one box of a definition."""
    return [
        (f"i{n}", key(name) if ranges.is_range(name) else "", tuple(key(axis[1][p]) for p in at))
        for n, (name, axis, at) in enumerate(zip(definition.subscripts, axes, box, strict=True), 1)
    ]
