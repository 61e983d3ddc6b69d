"""The functions of a program that hold its equations, cut into parts of bounded length."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from .assembly import Array, Module, Value, literal
from .spmd import Function

# Assembly lines after which a function is cut: the work of LLVM grows faster than its length.
LONGEST = 1500

# The parameters of the program's functions that are numbers; the others are arrays of lanes.
NUMBERS = {
    "k": "i64", "t": "double", "dt": "double", "start": "double", "first": "i64", "last": "i64",
    "low": "i64", "high": "i64", "count": "i64", "rk4": "i64",
}  # fmt: skip


@dataclass(frozen=True)
class _Later:
    """A name whose value is loaded where it is read: from an array, or from the frame."""

    array: Array
    index: int


class Equations(Function):
    """One function of assignments. What a later part reads is handed on in a frame in memory."""

    def __init__(self, module: Module, name: str):
        super().__init__(module, name)
        node = module.functions[name]
        self.body = [s for s in node.body if isinstance(s, ast.Assign | ast.For)]
        self.parameters = [a.arg for a in node.args.args]
        length = len(module.constants["DEFAULTS"])
        for parameter in self.parameters:
            if parameter in NUMBERS:
                value = Value(f"%{parameter}", NUMBERS[parameter], False)
            else:
                value = Array(f"%{parameter}", "double", True, length=length)
            self.names[parameter] = value
        self.faults: Value | None = None
        self.marked: set[str] = set()
        self.parts = self.used = 0
        self.freezes = name != "initial"
        self.block, self.labels = "entry", 0
        self.origins: dict[str, tuple[str, int]] = {}

    def mark(self, condition: Value) -> None:
        if condition.text not in self.marked:
            self.marked.add(condition.text)
            self.faults = self.combine("or", self.faults, condition)

    def known_faults(self) -> Value:
        vector = self.module.vector("i64")
        before = self.instruction(f"load {vector}, ptr %fault, align 8")
        zero = self.widen(literal(0))
        before = Value(self.instruction(f"icmp ne {vector} {before}, {zero.text}"), "i1", True)
        return self.combine("or", before, self.faults)

    def active(self) -> Value | None:
        return self.combine("and", self.mask, self.inverse(self.known_faults()))

    def item(self, array: Array, index: Value) -> Value | Array:
        value = super().item(array, index)
        if array.text in ("%p", "%c") and index.literal is not None and value.varying:
            self.origins[value.text] = (array.text, index.literal + array.offset)
        return value

    def quotient(self, a: Value, b: Value) -> Value:
        """a / b. Where b is constant in a run, by its inverse, which is computed once.

        Markstein's correction (1990, doi:10.1147/rd.341.0111) gives the very quotient, in a quarter
        of a division's time. Where that is NaN, the product alone is right: infinity, or NaN itself
        (but for a divisor below 5.6e-309, whose inverse is infinite).
        """
        origin = self.origins.get(b.text)
        if origin is None or self.name == "constants":
            return super().quotient(a, b)
        place = self.module.inverses.setdefault(origin, len(self.module.inverses))
        inverse = super().item(Array("%inverse", "double", True), literal(place))
        a = self.widen(a)
        rough = Value(
            self.instruction(f"fmul {self.type(a)} {a.text}, {inverse.text}"), "double", True
        )
        rest = self.intrinsic("fma", self.negative(rough), b, a)
        exact = self.intrinsic("fma", rest, inverse, rough)
        return self.select(self.compare("eq", exact, exact), exact, rough)

    def _Name(self, node):
        value = self.names.get(node.id)
        if isinstance(value, _Later):
            return self.item(value.array, literal(value.index))
        return super()._Name(node)

    def store(self, array: Array, index: Value, value: Value) -> None:
        if self.freezes and array.text in ("%s", "%m"):
            value = self.select(self.known_faults(), self.item(array, index), value)
        value = self.widen(self.double(value))
        # What is read back from here is this very value, and of others nothing is known any more
        # where the place is one that only the run decides.
        address = self.address(array, index, self.module.lanes)
        vector = self.module.vector("double")
        if index.literal is None:
            self.memo = {k: v for k, v in self.memo.items() if not k.startswith("load ")}
        self.lines.append(f"  store {vector} {value.text}, ptr {address}, align 8")
        if index.literal is not None:
            self.memo[f"load {vector}, ptr {address}, align 8"] = value.text
            # A gather may have read this place lane by lane.
            self.memo = {k: v for k, v in self.memo.items() if not k.startswith("load double")}

    def write(self) -> None:
        last_read = {}
        for i, statement in enumerate(self.body):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    last_read[node.id] = i
        for i, statement in enumerate(self.body):
            self._do(statement)
            if len(self.lines) > LONGEST and i + 1 < len(self.body):
                self._cut({name for name, read in last_read.items() if read > i})
        self._end()
        self._whole()

    def _do(self, statement: ast.Assign | ast.For) -> None:
        if isinstance(statement, ast.For):
            self._loop(statement.target.id, ast.literal_eval(statement.iter.args[0]),
                       lambda: [self._do(inner) for inner in statement.body])  # fmt: skip
            return
        target, value = statement.targets[0], statement.value
        if (
            isinstance(target, ast.Name)
            and isinstance(value, ast.BinOp)
            and isinstance(value.left, ast.List)
        ):
            self.names[target.id] = self._made(ast.literal_eval(value.right))
        elif isinstance(target, ast.Name) and self._is_parameter(value):
            array = self.names[value.value.id]
            if isinstance(value.slice, ast.Slice):
                begin = ast.literal_eval(value.slice.lower)
                self.names[target.id] = replace(array, offset=begin, length=None)
            else:
                self.names[target.id] = _Later(array, ast.literal_eval(value.slice))
        else:
            self.assign(target, self.value(value))

    # -- arrays ----------------------------------------------------------------------

    def _made(self, count: int) -> Array:
        """An array of equations, in the frame. Its zeros stay unwritten: what is read is given."""
        array = Array("%frame", "double", True, offset=self.used)
        self.used += count
        self.module.slots = max(self.module.slots, self.used)
        return array

    def _loop(self, name: str, count: int, body: Callable[[], object]) -> None:
        """`body` once for each whole number below `count`, which is above zero, called `name`."""
        self._turn(name, count, None, lambda _: body())

    def _turn(self, name: str, count: int, carried: Value | None, body) -> Value | None:
        """A loop that hands a number on from turn to turn: what its last turn has made of it."""
        self._settle()
        self.labels += 1
        head, after, before = f"loop.{self.labels}", f"after.{self.labels}", self.block
        index = Value(self.fresh(), "i64", False)
        self.lines += [f"  br label %{head}", f"{head}:"]
        place, self.block = len(self.lines), head
        result = None
        if carried is not None:
            result = replace(carried, text=self.fresh(), literal=None)
        outer, self.memo = self.memo, self._steady()
        hidden = self.names.get(name)
        self.names[name] = index
        made = body(result)
        self._settle()
        following, more = self.fresh(), self.fresh()
        self.lines += [
            f"  {following} = add i64 {index.text}, 1",
            f"  {more} = icmp slt i64 {following}, {count}",
            f"  br i1 {more}, label %{head}, label %{after}", f"{after}:",
        ]  # fmt: skip
        heads = [f"  {index.text} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"]
        if result is not None:
            heads.append(
                f"  {result.text} = phi {self.type(result)} [ {carried.text}, %{before} ], "
                f"[ {made.text}, %{self.block} ]"
            )
        self.lines[place:place] = heads
        self.block = after
        self.memo = outer
        self.memo = self._steady()
        self.names.pop(name)
        if hidden is not None:
            self.names[name] = hidden
        return made

    def _steady(self) -> dict[str, str]:
        """Known values but for those that stand in memory, which a loop may change."""
        return {k: v for k, v in self.memo.items() if not k.startswith("load ")}

    def reduction(self, name: str, generator: ast.GeneratorExp) -> Value:
        """One of `numerics`' total, product, least and most, of a generator over ranges."""
        start = {"total": 0.0, "product": 1.0, "least": math.inf, "most": -math.inf}[name]
        how = {"total": "add", "product": "mul", "least": "smaller", "most": "larger"}[name]

        def turn(loops: list, result: Value) -> Value:
            if not loops:
                value = self.double(self.value(generator.elt))
                if how in ("add", "mul"):
                    return self.widen(self.arithmetic(how, result, value))
                return self.widen(self.extreme(how, value, result))
            count = ast.literal_eval(loops[0].iter.args[0])
            return self._turn(loops[0].target.id, count, result, lambda r: turn(loops[1:], r))

        return turn(generator.generators, self.widen(literal(start)))

    def _settle(self) -> None:
        """Write down which lanes have failed so far."""
        if self.faults is None:
            return
        vector = self.module.vector("i64")
        known = self.known_faults()
        text = self.instruction(f"sext {self.type(known)} {known.text} to {vector}")
        self.lines.append(f"  store {vector} {text}, ptr %fault, align 8")
        self.memo = {k: v for k, v in self.memo.items() if "%fault" not in k}
        self.faults, self.marked = None, set()

    def _is_parameter(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("p", "c", "x", "s")
            # Of states only rows: single ones stand inside expressions.
            and (isinstance(node.slice, ast.Slice) or node.value.id != "s")
        )

    def _cut(self, needed: set[str]) -> None:
        """End a part, leaving in the frame what later parts read."""
        frame = Array("%frame", "double", True)
        for name in sorted(needed & self.names.keys()):
            value = self.names[name]
            if isinstance(value, Value) and value.literal is None and name not in self.parameters:
                Function.store(self, frame, literal(self.used), value)
                where = frame if value.varying else replace(frame, varying=False)
                place = self.used if value.varying else self.used * self.module.lanes
                self.names[name] = _Later(where, place)
                self.used += 1
        self.module.slots = max(self.module.slots, self.used)
        self._end()

    def _signature(self) -> str:
        given = [f"{NUMBERS.get(name, 'ptr')} %{name}" for name in self.parameters]
        return ", ".join([*given, "ptr %inverse", "ptr %frame", "ptr %fault"])

    def _end(self) -> None:
        self._settle()
        self.module.text += [
            f"define internal void @{self.name}.{self.parts}({self._signature()}) "
            f"noinline {self.module.attributes()} {{",
            "entry:", *self.lines, "  ret void", "}",
        ]  # fmt: skip
        self.parts, self.lines, self.memo = self.parts + 1, [], {}
        self.block = "entry"
        self.origins, self.sizes, self.nonzero = {}, {}, frozenset()

    def _whole(self) -> None:
        given = self._signature()
        calls = [f"  call void @{self.name}.{i}({given})" for i in range(self.parts)]
        self.module.text += [
            f"define internal void @{self.name}({given}) {self.module.attributes()} {{",
            *calls, "  ret void", "}",
        ]  # fmt: skip
