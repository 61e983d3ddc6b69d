"""The functions of a program that hold its equations, cut into parts of bounded length."""

from __future__ import annotations

import ast
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
        self.body = [s for s in node.body if isinstance(s, ast.Assign)]
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
            self.origins[value.text] = (array.text, index.literal)
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
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Name):
                    last_read[node.id] = i
        for i, statement in enumerate(self.body):
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and self._is_parameter(value):
                array = self.names[value.value.id]
                self.names[target.id] = _Later(array, ast.literal_eval(value.slice))
            else:
                self.assign(target, self.value(value))
            if len(self.lines) > LONGEST and i + 1 < len(self.body):
                self._cut({name for name, read in last_read.items() if read > i})
        self._end()
        self._whole()

    def _is_parameter(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("p", "c", "x")
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
        if self.faults is not None:
            vector = self.module.vector("i64")
            known = self.known_faults()
            text = self.instruction(f"sext {self.type(known)} {known.text} to {vector}")
            self.lines.append(f"  store {vector} {text}, ptr %fault, align 8")
        self.module.text += [
            f"define internal void @{self.name}.{self.parts}({self._signature()}) "
            f"noinline {self.module.attributes()} {{",
            *self.lines, "  ret void", "}",
        ]  # fmt: skip
        self.parts, self.lines, self.memo = self.parts + 1, [], {}
        self.faults, self.marked = None, set()
        self.origins, self.sizes, self.nonzero = {}, {}, frozenset()

    def _whole(self) -> None:
        given = self._signature()
        calls = [f"  call void @{self.name}.{i}({given})" for i in range(self.parts)]
        self.module.text += [
            f"define internal void @{self.name}({given}) {self.module.attributes()} {{",
            *calls, "  ret void", "}",
        ]  # fmt: skip
