"""A program's text, compiled for a vector of lanes at a time: from Python to LLVM's assembly.

One program, many lanes (the model of Pharr and Mark 2012, doi:10.1109/InPar.2012.6339601). Each
number is uniform (the same in all lanes: a step, a time, a table) or varying (one value a lane).
Of Python it reads what `source.py` writes and what `runtime.py` and `elementary.py` hold:
assignments, arithmetic, comparisons, calls of functions in the same text, and loops and
conditions on uniform numbers.

Where Python would raise an exception, the lane is marked in a vector of faults and its states and
memory are frozen; what `except` would do is then done for marked lanes alone.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from .assembly import LIBRARY, Array, Module, Value, literal
from .parts import NUMBERS, Equations
from .spmd import Function

_ROWS = ("p", "s", "m", "g", "work", "out")
_INTEGER_ROWS = ("gauge", "window")


def assemble(source: str, lanes: int) -> str:
    """LLVM assembly of a program's text, `lanes` numbers a vector; its entry is `lanes`."""
    return _Program(source, lanes).assemble()


class _Program(Module):
    def assemble(self) -> str:
        _Loops(self, "lanes", exported=True).write()
        head = [f"declare double @sdkit_{name}(double)" for name in LIBRARY if name != "fmod"]
        head.append("declare double @sdkit_fmod(double, double)")
        for type_ in ("double", self.vector("double")):
            suffix = "f64" if type_ == "double" else f"v{self.lanes}f64"
            head += [f"declare {type_} @llvm.{name}.{suffix}({type_})"
                     for name in ("fabs", "floor", "sqrt")]  # fmt: skip
            head.append(f"declare {type_} @llvm.fma.{suffix}({type_}, {type_}, {type_})")
        mask = f"<{self.lanes} x i1>"
        head.append(f"declare i1 @llvm.vector.reduce.and.v{self.lanes}i1({mask})")
        head += self.write_tables()
        return "\n".join([*head, *self.text]) + "\n"

    def write_search(self, name: str) -> None:
        """The search of a table for one number."""
        _Loops(self, name).write()


@dataclass(frozen=True)
class _Variable:
    """A local name of a function with loops: a place on the stack."""

    text: str
    type: str
    varying: bool


class _Loops(Function):
    """A function with loops and conditions on uniform numbers."""

    def __init__(self, module: Module, name: str, exported: bool = False):
        super().__init__(module, name)
        self.exported = exported
        self.unchecked = not exported  # the points of a table differ
        self.start: list[str] = []
        self.breaks: list[str] = []
        self.labels = 0
        self.handler = ""

    # -- blocks ----------------------------------------------------------------------

    def label(self, word: str) -> str:
        self.labels += 1
        return f"{word}.{self.labels}"

    def begin(self, label: str) -> None:
        self.memo = {}
        self.lines.append(f"{label}:")

    def go(self, label: str) -> None:
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        self.lines.append(f"  br i1 {condition.text}, label %{yes}, label %{no}")

    def place(self, type_: str) -> str:
        name = f"%l{len(self.start)}"
        self.start.append(f"  {name} = alloca {type_}, align 64")
        return name

    def load(self, text: str) -> str:
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    # -- faults ----------------------------------------------------------------------

    def faults(self) -> Value:
        vector = self.module.vector("i64")
        text = self.load(f"load {vector}, ptr %fault, align 8")
        zero = self.widen(literal(0)).text
        return Value(self.instruction(f"icmp ne {vector} {text}, {zero}"), "i1", True)

    def mark(self, condition: Value) -> None:
        vector = self.module.vector("i64")
        known = self.combine("or", self.faults(), condition)
        text = self.instruction(f"sext {self.type(known)} {known.text} to {vector}")
        self.lines.append(f"  store {vector} {text}, ptr %fault, align 8")

    def settle(self) -> Value:
        """Note for lanes that failed since the last time at which step it was."""
        vector = self.module.vector("i64")
        failed = self.faults()
        where = Value(self.load(f"load {vector}, ptr %where, align 8"), "i64", True)
        at = Value(self.load("load i64, ptr %at, align 8"), "i64", False)
        new = self.combine("and", failed, self.compare("eq", where, literal(-2)))
        where = self.select(new, self.widen(at), where)
        self.lines.append(f"  store {vector} {where.text}, ptr %where, align 8")
        return failed

    # -- names -----------------------------------------------------------------------

    def _Name(self, node):
        value = self.names.get(node.id)
        if isinstance(value, _Variable):
            type_ = self.module.vector(value.type) if value.varying else value.type
            return Value(self.load(f"load {type_}, ptr {value.text}, align 8"),
                         value.type, value.varying)  # fmt: skip
        return super()._Name(node)

    def assign(self, target: ast.expr, value) -> None:
        if isinstance(target, ast.Name):
            if isinstance(value, Array):
                self.names[target.id] = value
                return
            variable = self.names.get(target.id)
            if not isinstance(variable, _Variable):
                if value.type == "double" and value.literal is not None:
                    value = self.widen(value)  # a sum that begins with a number may differ later
                type_ = self.type(value)
                variable = _Variable(self.place(type_), value.type, value.varying)
                self.names[target.id] = variable
            if variable.type == "double":
                value = self.double(value)
            if variable.varying:
                value = self.widen(value)
            text = f"store {self.type(value)} {value.text}, ptr {variable.text}, align 8"
            self.lines.append(f"  {text}")
        elif isinstance(target.value, ast.Name) and target.value.id == "at":
            failed = self.settle()
            self.lines.append(f"  store i64 {value.text}, ptr %at, align 8")
            if self.handler:  # nothing is left to do where every lane has failed
                reduce = f"@llvm.vector.reduce.and.v{self.module.lanes}i1"
                every = self.load(f"call i1 {reduce}({self.type(failed)} {failed.text})")
                on = self.label("on")
                self.branch(Value(every, "i1", False), self.handler, on)
                self.begin(on)
        else:
            array, index = self.value(target.value), self.value(target.slice)
            if isinstance(target.value, ast.Name) and target.value.id in ("s", "m"):
                value = self.select(self.faults(), self.item(array, index), self.double(value))
            self.store(array, index, value)

    # -- statements ------------------------------------------------------------------

    def statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            getattr(self, f"_do_{type(statement).__name__}")(statement)

    def _do_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            return
        name, values = node.value.func.id, [self.value(a) for a in node.value.args]
        function = self.module.functions[name]
        if name in ("rates", "advance", "measure", "gather", "refuse"):
            outer = self.names
            self.names = dict(zip((a.arg for a in function.args.args), values, strict=True))
            self.statements(function.body)
            self.names = outer
            return
        if name not in self.module.made:
            self.module.made.add(name)
            Equations(self.module, name).write()
        given = [f"ptr {v.text}" if isinstance(v, Array) else f"{v.type} {v.text}" for v in values]
        given = ", ".join([*given, "ptr %inverse", "ptr %frame", "ptr %fault"])
        self.lines.append(f"  call void @{name}({given})")
        if name == "constants":
            p, c = values[0].text, values[1].text
            self.lines.append(f"  call void @inverses(ptr {p}, ptr {c}, ptr %inverse)")

    def _do_Assign(self, node):
        self.assign(node.targets[0], self.value(node.value))

    def _do_AugAssign(self, node):
        value = self.value(ast.BinOp(self._read(node.target), node.op, node.value))
        self.assign(node.target, value)

    def _read(self, target):
        return ast.Name(target.id) if isinstance(target, ast.Name) else target

    def _do_Return(self, node):
        value = self.value(node.value)
        self.lines.append(f"  ret double {value.text}")
        self.begin(self.label("after"))

    def _do_Break(self, node):
        self.go(self.breaks[-1])
        self.begin(self.label("after"))

    def _do_Raise(self, node):
        self.fault(literal(True))

    def _do_If(self, node):
        condition = self.truth(self.value(node.test))
        if condition.varying:  # what stands here raises
            outer = self.mask
            self.mask = self._narrow(outer, condition)
            self.statements(node.body)
            self.mask = outer
            return
        if condition.literal is not None:
            self.statements(node.body if condition.literal else node.orelse)
            return
        yes, no, end = self.label("yes"), self.label("no"), self.label("end")
        self.branch(condition, yes, no)
        self.begin(yes)
        self.statements(node.body)
        self.go(end)
        self.begin(no)
        self.statements(node.orelse)
        self.go(end)
        self.begin(end)

    def _do_While(self, node):
        head, body, end = self.label("head"), self.label("body"), self.label("end")
        self.go(head)
        self.begin(head)
        self.branch(self.truth(self.value(node.test)), body, end)
        self.begin(body)
        self.breaks.append(end)
        self.statements(node.body)
        self.breaks.pop()
        self.go(head)
        self.begin(end)

    def _do_For(self, node):
        bounds = [self.value(a) for a in node.iter.args]
        low, high = bounds if len(bounds) == 2 else (literal(0), bounds[0])
        self.names.pop(node.target.id, None)
        self.assign(node.target, low)
        head, body, end = self.label("head"), self.label("body"), self.label("end")
        self.go(head)
        self.begin(head)
        self.branch(self.compare("lt", self.value(ast.Name(node.target.id)), high), body, end)
        self.begin(body)
        self.breaks.append(end)
        self.statements(node.body)
        self.breaks.pop()
        one = self.arithmetic("add", self.value(ast.Name(node.target.id)), literal(1))
        self.assign(node.target, one)
        self.go(head)
        self.begin(end)

    def _do_Try(self, node):
        vector = self.module.vector("i64")
        self.lines.append(f"  store {vector} zeroinitializer, ptr %fault, align 8")
        none = self.widen(literal(-2)).text
        self.lines.append(f"  store {vector} {none}, ptr %where, align 8")
        self.handler = self.label("handler")
        handler = self.handler
        self.statements(node.body)
        self.settle()
        self.go(handler)
        self.begin(handler)
        self.handler = ""
        # failed[lane] = at[0]: the step of each lane, which is -2 where none failed
        target = node.handlers[0].body[0].targets[0]
        where = Value(self.load(f"load {vector}, ptr %where, align 8"), "i64", True)
        self.store(self.value(target.value), self.value(target.slice), where)

    # -- the whole -------------------------------------------------------------------

    def write(self) -> None:
        node = self.module.functions[self.name]
        given, length = [], len(self.module.constants["DEFAULTS"])
        self.names["at"] = Array("%at", "i64", False)
        for name in (a.arg for a in node.args.args):
            if not self.exported:  # a table, searched for one number
                self.names[name] = (
                    Value("%x", "double", False) if name == "x"
                    else Array(f"%{name}", "double", False)
                )  # fmt: skip
                given.append("double %x" if name == "x" else f"ptr %{name}")
            elif name in NUMBERS:
                self.names[name] = Value(f"%{name}", NUMBERS[name], False)
                given.append(f"{NUMBERS[name]} %{name}")
            elif name != "at":
                rows = f"%{name}.rows" if name in (*_ROWS, *_INTEGER_ROWS, "datum") else None
                type_ = "i64" if name in (*_INTEGER_ROWS, "cursor", "failed") else "double"
                varying = name not in (*_INTEGER_ROWS, "datum", "cursor")
                self.names[name] = Array(f"%{name}", type_, varying, rows, length)
                given += [f"ptr %{name}", f"i64 {rows}"] if rows else [f"ptr %{name}"]
        if not self.exported:
            given.append("i64 %length")
        self.statements(node.body)
        vector = self.module.vector("i64")
        if self.exported:
            given.append("ptr %frame")
            self.start += [
                f"  %fault = alloca {vector}, align 64", f"  %where = alloca {vector}, align 64",
                "  %at = alloca i64, align 8",
                f"  %inverse = alloca {self.module.vector('double')}, "
                f"i64 {len(self.module.inverses) + 1}, align 64",
            ]  # fmt: skip
        kind, end = ("void", "ret void") if self.exported else ("double", "unreachable")
        linkage = "" if self.exported else "internal "
        self.module.text += [
            f"define {linkage}{kind} @{self.name}({', '.join(given)}) "
            f"{self.module.attributes()} {{",
            *self.start, *self.lines, f"  {end}", "}",
        ]  # fmt: skip
        if self.exported:
            self.module.write_inverses()
            self.module.text.append(f"define i64 @frame() {{ ret i64 {self.module.slots} }}")
