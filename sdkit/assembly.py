"""LLVM's assembly for numbers that are the same in all lanes, and numbers that are not.

The ground of `spmd.py`, `parts.py` and `vector.py`, which compile a program's text: here are the
instructions, and `Module`, which knows what the text defines.
"""

from __future__ import annotations

import ast
import inspect
import math
import operator
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from . import elementary

# Functions of the C library, called lane by lane.
LIBRARY = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erfc", "fmod")


@dataclass(frozen=True)
class Value:
    """A number: its text in the assembly, double, i64 or i1, and whether lanes differ in it."""

    text: str
    type: str
    varying: bool
    literal: float | int | bool | None = None


@dataclass(frozen=True)
class Array:
    """Numbers in memory at `text`; where `rows` is set, rows of so many items each.

    `offset` items stand before the first. `points` are the numbers of a table that the program
    holds, `length` their count (a text where the program decides it).
    """

    text: str
    type: str
    varying: bool
    rows: str | None = None
    length: int | str | None = None
    points: tuple | None = None
    offset: int = 0


def _known(node: ast.expr) -> object:
    """The value of a constant of the program's text."""
    if isinstance(node, ast.Tuple):
        return tuple(map(_known, node.elts))
    if isinstance(node, ast.Attribute):  # math.nan
        return getattr(math, node.attr)
    return ast.literal_eval(node)


def number(value: float) -> str:
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def literal(value: float | int | bool) -> Value:
    if isinstance(value, bool):
        return Value("true" if value else "false", "i1", False, value)
    if isinstance(value, int):
        return Value(str(value), "i64", False, value)
    return Value(number(value), "double", False, float(value))


class Module:
    """An assembly text under construction, and what a program's text defines."""

    def __init__(self, source: str, lanes: int):
        self.lanes = lanes
        self.constants: dict[str, object] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self._read(ast.parse(inspect.getsource(elementary)), "elementary.")
        self._read(ast.parse(source), "")
        self.text: list[str] = []
        self.made: set[tuple] = set()
        self.inverses: dict[tuple[str, int], int] = {}
        self.slots = 0
        self.tables: dict[tuple, str] = {}
        self.families: dict[tuple, str] = {}

    def _read(self, tree: ast.Module, prefix: str) -> None:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[prefix + node.name] = node
            elif isinstance(node, ast.Assign):
                target = node.targets[0]
                names = [n.id for n in getattr(target, "elts", [target])]
                if isinstance(node.value, ast.Call):  # A, B, C = range(3)
                    self.constants |= {name: i for i, name in enumerate(names)}
                else:
                    self.constants[names[0]] = _known(node.value)

    def vector(self, type_: str) -> str:
        return f"<{self.lanes} x {type_}>"

    def table(self, values: tuple) -> str:
        """The name of a constant array: of doubles, or of whole numbers."""
        # 0 and 0.0 are one key, and NaN is none.
        kind = "i64" if all(isinstance(v, int) for v in values) else "double"
        item = (kind, tuple(map(repr, values)))
        return self.tables.setdefault(item, f"@table.{len(self.tables)}")

    def write_tables(self) -> list[str]:
        lines = []
        for (kind, values), name in self.tables.items():
            texts = [v if kind == "i64" else number(float(v)) for v in values]
            body = ", ".join(f"{kind} {text}" for text in texts)
            lines.append(f"{name} = internal constant [{len(texts)} x {kind}] [{body}], align 8")
        for names, name in self.families.items():
            pointers = ", ".join(f"ptr {table}" for table, _ in names)
            lengths = ", ".join(f"i64 {length}" for _, length in names)
            lines.append(f"{name} = internal constant [{len(names)} x ptr] [{pointers}], align 8")
            lines.append(
                f"{name}.lengths = internal constant [{len(names)} x i64] [{lengths}], align 8"
            )
        return lines

    def family(self, tables: tuple[tuple, ...]) -> str:
        """The name of a constant array of tables, with their lengths."""
        names = tuple((self.table(points), len(points)) for points in tables)
        return self.families.setdefault(names, f"@family.{len(self.families)}")

    def write_inverses(self) -> None:
        """The function that computes the inverses of constants which equations divide by."""
        vector, lines = self.vector("double"), []
        one = ", ".join(["double 1.0"] * self.lanes)
        for (array, index), place in self.inverses.items():
            lines += [
                f"  %a{place} = getelementptr double, ptr {array}, i64 {index * self.lanes}",
                f"  %b{place} = load {vector}, ptr %a{place}, align 8",
                f"  %c{place} = fdiv {vector} <{one}>, %b{place}",
                f"  %d{place} = getelementptr double, ptr %inverse, i64 {place * self.lanes}",
                f"  store {vector} %c{place}, ptr %d{place}, align 8",
            ]
        self.text += [
            f"define internal void @inverses(ptr %p, ptr %c, ptr %inverse) {self.attributes()} {{",
            *lines, "  ret void", "}",
        ]  # fmt: skip

    def attributes(self) -> str:
        # Without these LLVM splits wide vectors in two on processors that may slow down for them.
        width = min(self.lanes * 64, 512)
        return f'nounwind "min-legal-vector-width"="{width}" "prefer-vector-width"="{width}"'


class Assembler(ABC):
    """Instructions of one function under construction, on uniform and varying numbers.

    `mask` says in which lanes Python would come here (None: in all); `nonzero` holds values that
    are known not to be zero there.
    """

    def __init__(self, module: Module, name: str):
        self.module, self.name = module, name
        self.lines: list[str] = []
        self.memo: dict[str, str] = {}
        self.count = 0
        self.names: dict[str, object] = {}
        self.mask: Value | None = None
        self.unchecked = False
        self.nonzero: frozenset[str] = frozenset()
        self.sizes: dict[str, str] = {}
        self.seldom = name in ("constants", "drivers", "initial")

    # -- instructions ----------------------------------------------------------------

    def fresh(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def instruction(self, text: str) -> str:
        """The name of an instruction's value; the same instruction is written once."""
        if text not in self.memo:
            self.memo[text] = self.fresh()
            self.lines.append(f"  {self.memo[text]} = {text}")
        return self.memo[text]

    def type(self, value: Value) -> str:
        return self.module.vector(value.type) if value.varying else value.type

    def widen(self, value: Value) -> Value:
        if value.varying:
            return value
        lanes, vector = self.module.lanes, self.module.vector(value.type)
        if value.literal is not None:
            item = f"{value.type} {value.text}"
            return replace(value, text=f"<{', '.join([item] * lanes)}>", varying=True)
        first = self.instruction(f"insertelement {vector} poison, {value.type} {value.text}, i64 0")
        zero = f"<{lanes} x i32> zeroinitializer"
        text = self.instruction(f"shufflevector {vector} {first}, {vector} poison, {zero}")
        return Value(text, value.type, True)

    def double(self, value: Value) -> Value:
        if value.type == "double":
            return value
        if value.literal is not None and not value.varying:
            return literal(float(value.literal))
        convert = "sitofp" if value.type == "i64" else "uitofp"
        wanted = self.type(replace(value, type="double"))
        text = self.instruction(f"{convert} {self.type(value)} {value.text} to {wanted}")
        return Value(text, "double", value.varying)

    def integer(self, value: Value) -> Value:
        if value.type == "i64":
            return value
        wanted = self.type(replace(value, type="i64"))
        convert = "fptosi" if value.type == "double" else "zext"
        text = self.instruction(f"{convert} {self.type(value)} {value.text} to {wanted}")
        return Value(text, "i64", value.varying)

    def truth(self, value: Value) -> Value:
        if value.type == "i1":
            return value
        return self.compare("ne", value, literal(0 if value.type == "i64" else 0.0))

    def together(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Two values of one type, both varying if one is."""
        if a.type != b.type:
            a, b = self.double(a), self.double(b)
        if a.varying != b.varying:
            a, b = self.widen(a), self.widen(b)
        return a, b

    def compare(self, how: str, a: Value, b: Value) -> Value:
        if a.literal is not None and b.literal is not None:
            return literal(getattr(operator, how)(a.literal, b.literal))
        a, b = self.together(a, b)
        if a.type == "double":
            text = f"fcmp {'une' if how == 'ne' else 'o' + how}"
        else:
            text = f"icmp {how if how in ('eq', 'ne') else 's' + how}"
        return Value(self.instruction(f"{text} {self.type(a)} {a.text}, {b.text}"), "i1", a.varying)

    def combine(self, how: str, a: Value | None, b: Value | None) -> Value | None:
        """a and/or b, where None is left out."""
        if a is None or b is None:
            return b if a is None else a
        for one, other in ((a, b), (b, a)):
            if one.literal is not None:
                return other if one.literal == (how == "and") else one
        a, b = self.together(a, b)
        return Value(self.instruction(f"{how} {self.type(a)} {a.text}, {b.text}"), "i1", a.varying)

    def inverse(self, a: Value) -> Value:
        if a.literal is not None:
            return literal(not a.literal)
        one = self.widen(literal(True)) if a.varying else literal(True)
        return Value(self.instruction(f"xor {self.type(a)} {a.text}, {one.text}"), "i1", a.varying)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        if condition.literal is not None:
            return a if condition.literal else b
        if a == b:
            return a
        a, b = self.together(a, b)
        if condition.varying and not a.varying:
            a, b = self.widen(a), self.widen(b)
        text = self.instruction(
            f"select {self.type(condition)} {condition.text}, {self.type(a)} {a.text}, "
            f"{self.type(b)} {b.text}"
        )
        return Value(text, a.type, a.varying)

    def arithmetic(self, how: str, a: Value, b: Value) -> Value:
        if how == "div" and not self.unchecked:
            b = self.double(b)
            if b.text not in self.nonzero:
                self.fault(self.compare("eq", b, literal(0.0)))
        if how == "div" or a.type == "i1" or b.type == "i1":
            a, b = self.double(a), self.double(b)
        a, b = self.together(a, b)
        if how == "div":
            return self.quotient(a, b)
        if a.type == "i64":
            text = f"{how} {self.type(a)} {a.text}, {b.text}"
        else:
            # No flags: products and sums are rounded as Python rounds them, one by one, since
            # a threshold or INTEGER would show the difference.
            text = f"f{how} {self.type(a)} {a.text}, {b.text}"
        return Value(self.instruction(text), a.type, a.varying)

    def negative(self, a: Value) -> Value:
        return Value(self.instruction(f"fneg {self.type(a)} {a.text}"), "double", a.varying)

    def quotient(self, a: Value, b: Value) -> Value:
        text = f"fdiv {self.type(a)} {a.text}, {b.text}"
        return Value(self.instruction(text), "double", a.varying)

    def intrinsic(self, name: str, *values: Value) -> Value:
        varying = any(value.varying for value in values)
        values = tuple(self.double(v) for v in values)
        if varying:
            values = tuple(self.widen(v) for v in values)
        suffix = f"v{self.module.lanes}f64" if varying else "f64"
        type_ = self.type(values[0])
        given = ", ".join(f"{type_} {v.text}" for v in values)
        return Value(
            self.instruction(f"call {type_} @llvm.{name}.{suffix}({given})"), "double", varying
        )

    def library(self, name: str, *values: Value) -> Value:
        """A function of the C library, in one lane after the other."""
        values = tuple(self.double(v) for v in values)
        if not any(v.varying for v in values):
            given = ", ".join(f"double {v.text}" for v in values)
            return Value(self.instruction(f"call double @sdkit_{name}({given})"), "double", False)
        vector, result = self.module.vector("double"), "poison"
        values = tuple(self.widen(v) for v in values)
        for lane in range(self.module.lanes):
            items = [f"extractelement {vector} {v.text}, i64 {lane}" for v in values]
            given = ", ".join(f"double {self.instruction(item)}" for item in items)
            item = self.instruction(f"call double @sdkit_{name}({given})")
            result = self.instruction(f"insertelement {vector} {result}, double {item}, i64 {lane}")
        return Value(result, "double", True)

    # -- faults ----------------------------------------------------------------------

    def fault(self, condition: Value) -> None:
        """Mark the lanes that come here and for which `condition` holds."""
        condition = self.combine("and", condition, self.mask)
        if condition.literal is not False:
            self.mark(self.widen(condition))

    @abstractmethod
    def mark(self, condition: Value) -> None:
        """Mark the lanes (varying, i1) as failed."""

    # -- memory ----------------------------------------------------------------------

    def address(self, array: Array, index: Value, scale: int) -> str:
        if array.offset:
            index = self.arithmetic("add", index, literal(array.offset)) \
                if index.literal is None else literal(index.literal + array.offset)  # fmt: skip
        if index.literal is not None:
            offset = str(index.literal * scale)
        elif scale == 1:
            offset = index.text
        else:
            offset = self.instruction(f"mul i64 {index.text}, {scale}")
        return self.instruction(f"getelementptr {array.type}, ptr {array.text}, i64 {offset}")

    def item(self, array: Array, index: Value) -> Value | Array:
        """array[index]; a row of an array of rows, else a number."""
        lanes = self.module.lanes
        if array.rows is not None:
            offset = self.instruction(f"mul i64 {index.text}, {array.rows}")
            if array.varying:
                offset = self.instruction(f"mul i64 {offset}, {lanes}")
            text = self.instruction(f"getelementptr {array.type}, ptr {array.text}, i64 {offset}")
            return replace(array, text=text, rows=None)
        if isinstance(array.points, tuple) and isinstance(array.points[0], tuple):
            return self.member(array, index)
        if index.varying:
            return self.gather(array, index)
        # No lane changes the length of buffers, nor the time settings behind the constants.
        uniform = array.text == "%m" and index.literal == 0
        if index.literal is not None and index.literal < 0:
            index, uniform = literal(index.literal + array.length), True
        address = self.address(array, index, lanes if array.varying else 1)
        if array.varying and not uniform:
            text = self.load(f"load {self.module.vector(array.type)}, ptr {address}, align 8")
            return Value(text, array.type, True)
        return Value(self.load(f"load {array.type}, ptr {address}, align 8"), array.type, False)

    def member(self, array: Array, index: Value) -> Array:
        """One table of an array of tables."""
        if index.literal is not None:
            points = array.points[index.literal]
            name = self.module.table(points)
            return Array(name, "double", False, length=len(points), points=points)
        name, found = self.module.family(array.points), []
        for kind, table in (("ptr", name), ("i64", f"{name}.lengths")):
            place = self.instruction(f"getelementptr {kind}, ptr {table}, i64 {index.text}")
            found.append(self.load(f"load {kind}, ptr {place}, align 8"))
        return Array(found[0], "double", False, length=found[1])

    def length(self, array: Array) -> str:
        return "%length" if array.length is None else str(array.length)

    def load(self, text: str) -> str:
        return self.instruction(text)

    def gather(self, array: Array, index: Value) -> Value:
        """array[index], where each lane has an index of its own (0 where it is not to be read)."""
        active = self.active() if array.varying else None
        if active is not None:
            index = self.select(active, index, literal(0))
        vector, result = self.module.vector(array.type), "poison"
        for lane in range(self.module.lanes):
            at = self.instruction(
                f"extractelement {self.module.vector('i64')} {index.text}, i64 {lane}"
            )
            if array.varying:
                at = self.instruction(f"mul i64 {at}, {self.module.lanes}")
                at = self.instruction(f"add i64 {at}, {lane}")
            address = self.instruction(f"getelementptr {array.type}, ptr {array.text}, i64 {at}")
            item = self.load(f"load {array.type}, ptr {address}, align 8")
            result = self.instruction(
                f"insertelement {vector} {result}, {array.type} {item}, i64 {lane}"
            )
        return Value(result, array.type, True)

    def active(self) -> Value | None:
        """Lanes that come here and have not failed; None if that is all of them."""
        return self.mask

    def store(self, array: Array, index: Value, value: Value) -> None:
        value = self.double(value) if array.type == "double" else self.integer(value)
        if not array.varying:
            address = self.address(array, index, 1)
            self.lines.append(f"  store {array.type} {value.text}, ptr {address}, align 8")
            return
        value = self.widen(value)
        vector = self.module.vector(array.type)
        address = self.address(array, index, self.module.lanes)
        self.lines.append(f"  store {vector} {value.text}, ptr {address}, align 8")
