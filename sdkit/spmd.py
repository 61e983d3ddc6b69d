"""Python's expressions, compiled for all lanes of a vector at once.

A condition on numbers that differ between lanes computes both sides and selects; where Python would
raise an exception, lanes are marked. Functions that are called are written where they are called.
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import replace

from .assembly import Array, Assembler, Module, Value, literal

# Points up to which a table is searched by comparing with each.
FEW_POINTS = 16

_ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_COMPARISONS = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip
_LOOKUPS = (
    "lookup", "lookup_extrapolate", "lookup_hold_backward", "lookup_look_forward", "lookup_raw",
)  # fmt: skip
_REDUCTIONS = ("total", "product", "least", "most")


class Function(Assembler):
    """Expressions, and functions whose last statements return on every path."""

    def value(self, node: ast.expr) -> Value | Array:
        return getattr(self, f"_{type(node).__name__}")(node)

    def _Constant(self, node):
        return literal(node.value)

    def _Name(self, node):
        if node.id in self.names:
            return self.names[node.id]
        constant = self.module.constants[node.id]
        if isinstance(constant, tuple):
            if isinstance(constant[0], tuple):
                return Array("", "double", False, points=constant)
            kind = "i64" if all(isinstance(v, int) for v in constant) else "double"
            return Array(self.module.table(constant), kind, False,
                         length=len(constant), points=constant)  # fmt: skip
        return literal(constant)

    def _Attribute(self, node):
        return literal(float(getattr(math, node.attr)))

    def _UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.inverse(self.truth(self.value(node.operand)))
        value = self.value(node.operand)
        if value.literal is not None and not value.varying:
            return literal(-value.literal)
        if value.type == "i64":
            return self.arithmetic("sub", literal(0), value)
        return self.negative(value)

    def _BinOp(self, node):
        a, b = self.value(node.left), self.value(node.right)
        how = _ARITHMETIC.get(type(node.op))
        if how:
            return self.arithmetic(how, a, b)
        if isinstance(node.op, ast.Mod):
            return self.modulo(a, b)
        if isinstance(node.op, ast.FloorDiv):  # of whole numbers that are not negative
            assert b.literal == 2, "only halves are needed"
            return Value(self.instruction(f"lshr i64 {a.text}, 1"), "i64", False)
        how = {ast.LShift: "shl", ast.RShift: "ashr"}[type(node.op)]
        a, b = self.together(a, b)
        return Value(self.instruction(f"{how} {self.type(a)} {a.text}, {b.text}"), "i64", a.varying)

    def extreme(self, name: str, a: Value, b: Value) -> Value:
        """The smaller or larger of two numbers, NaN if one of them is."""
        how = "lt" if name == "smaller" else "gt"
        if any(x.literal is not None and math.isnan(x.literal) for x in (a, b)):
            return literal(math.nan)
        a, b = self.together(self.double(a), self.double(b))
        if b.literal is not None:  # then one comparison that holds for NaN too is enough
            text = f"fcmp u{how} {self.type(a)} {a.text}, {b.text}"
            first = Value(self.instruction(text), "i1", a.varying)
        else:
            unordered = literal(False) if a.literal is not None else self.compare("ne", a, a)
            first = self.combine("or", self.compare(how, a, b), unordered)
        return self.select(first, a, b)

    def power(self, a: Value, b: Value) -> Value:
        """`numerics.power`: elementary.power is infinite wherever that raises an exception."""
        a, b = self.double(a), self.double(b)
        result = (
            self.arithmetic("mul", a, a) if b.literal == 2.0 else self.elementary("power", a, b)
        )
        self.fault(self.compare("eq", self.intrinsic("fabs", result), literal(math.inf)))
        return result

    def modulo(self, a: Value, b: Value) -> Value:
        """Python's remainder, which has the sign of b."""
        a, b = self.double(a), self.double(b)
        if b.literal == 1.0:
            return self.arithmetic("sub", a, self.intrinsic("floor", a))
        zero = literal(0.0)
        self.fault(self.compare("eq", b, zero))
        rest = self.library("fmod", a, b)
        other = self.combine("and", self.compare("ne", rest, zero),
                             self.compare("lt", self.arithmetic("mul", rest, b), zero))  # fmt: skip
        return self.select(other, self.arithmetic("add", rest, b), rest)

    def _Compare(self, node):
        if isinstance(node.ops[0], ast.In):
            parts = [ast.Compare(node.left, [ast.Eq()], [one]) for one in node.comparators[0].elts]
            return self.value(ast.BoolOp(ast.Or(), parts))
        return self.compare(
            _COMPARISONS[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0])
        )

    def _BoolOp(self, node):
        """Behind the first part, only lanes that Python would take there can fail."""
        how = "and" if isinstance(node.op, ast.And) else "or"
        outer, result = self.mask, None
        for part in node.values:
            result = self.combine(how, result, self.truth(self.value(part)))
            self.mask = self._narrow(outer, result if how == "and" else self.inverse(result))
        self.mask = outer
        return result

    def _narrow(self, mask: Value | None, condition: Value) -> Value | None:
        return self.combine("and", mask, condition)

    def _IfExp(self, node):
        compared = None
        if isinstance(node.test, ast.Compare) and type(node.test.ops[0]) in _COMPARISONS:
            how = _COMPARISONS[type(node.test.ops[0])]
            compared = (how, self.value(node.test.left), self.value(node.test.comparators[0]))
        condition = self.compare(*compared) if compared else self.truth(self.value(node.test))
        if condition.literal is not None:
            return self.value(node.body if condition.literal else node.orelse)
        sides = []
        outer, nonzero = self.mask, self.nonzero
        for holds, side in ((True, node.body), (False, node.orelse)):
            self.mask = self._narrow(outer, condition if holds else self.inverse(condition))
            self.nonzero = nonzero | (self.excluded_zeros(*compared, holds) if compared else set())
            sides.append(self.value(side))
        self.mask, self.nonzero = outer, nonzero
        return self.select(condition, *sides)

    def excluded_zeros(self, how: str, a: Value, b: Value, holds: bool) -> set[str]:
        """Values that cannot be zero where a comparison with a number holds, or does not.

        So that x / y needs no look at y behind IF THEN ELSE(y > 0, ...) or in ZIDZ.
        """
        if b.literal is None or getattr(operator, how)(0.0, b.literal) == holds:
            return set()
        return {a.text, self.sizes.get(a.text, a.text)}

    def _Tuple(self, node):
        return tuple(self.value(part) for part in node.elts)

    def _Subscript(self, node):
        array, index = self.value(node.value), self.value(node.slice)
        return self.item(array, index)

    def _Call(self, node):
        if isinstance(node.func, ast.Attribute):
            return self.mathematics(node.func.attr, [self.value(a) for a in node.args])
        name = node.func.id
        if name in _REDUCTIONS:
            return self.reduction(name, node.args[0])
        values = [self.value(argument) for argument in node.args]
        if name in _LOOKUPS:
            return self.lookup(name, *values)
        if name == "abs":
            size = self.intrinsic("fabs", values[0])
            self.sizes[size.text] = values[0].text
            return size
        if name in ("smaller", "larger"):
            return self.extreme(name, *values)
        if name == "power" and not self.unchecked:
            return self.power(*values)
        if name == "int":
            return self.integer(values[0])
        if name == "float":
            return self.double(values[0])
        if name == "len":
            return Value(self.length(values[0]), "i64", False)
        if name == "fma":
            return self.intrinsic("fma", *values)
        if name in ("bits", "real"):
            wanted = "i64" if name == "bits" else "double"
            value = values[0]
            into = self.type(replace(value, type=wanted))
            text = self.instruction(f"bitcast {self.type(value)} {value.text} to {into}")
            return Value(text, wanted, value.varying)
        return self.inline(self.function(name), values)

    def reduction(self, name: str, generator: ast.GeneratorExp) -> Value:
        raise TypeError("a generator outside of equations")

    def function(self, name: str) -> ast.FunctionDef:
        prefix = "elementary." if self.unchecked else ""
        return self.module.functions[prefix + name]

    def mathematics(self, name: str, values: list[Value]) -> Value:
        if name in ("exp", "log"):
            return self.elementary(name, self.double(values[0]))
        if name == "isinf":
            return self.compare("eq", self.intrinsic("fabs", values[0]), literal(math.inf))
        if name in ("floor", "sqrt"):
            known = values[0].literal
            if known is not None and not values[0].varying and math.isfinite(known):
                return literal(float(getattr(math, name)(known)))
            if name == "floor" and not self.unchecked:  # Python makes no whole number of these
                size = self.intrinsic("fabs", values[0])
                self.fault(self.inverse(self.compare("lt", size, literal(math.inf))))
            return self.intrinsic(name, values[0])
        result = self.library(name, *values)
        # Python raises where these overflow, and for an infinite argument.
        finite = self.compare("lt", self.intrinsic("fabs", result), literal(math.inf))
        given = self.double(values[0])
        self.fault(self.combine("and", self.inverse(finite), self.compare("eq", given, given)))
        return result

    def elementary(self, name: str, *values: Value) -> Value:
        """A call of a function of elementary.py, compiled once for vectors and once for numbers."""
        varying = any(v.varying for v in values)
        if varying:
            values = tuple(self.widen(v) for v in values)
        made = (name, varying)
        if made not in self.module.made:
            self.module.made.add(made)
            Elementary(self.module, name, varying).write()
        type_ = self.type(values[0])
        given = ", ".join(f"{type_} {v.text}" for v in values)
        text = self.instruction(f"call {type_} @{name}.{'v' if varying else 'u'}({given})")
        return Value(text, "double", varying)

    def inline(self, function: ast.FunctionDef, values: list) -> Value:
        outer = self.names
        self.names = dict(zip((a.arg for a in function.args.args), values, strict=True))
        result = self.returned(function.body)
        self.names = outer
        # A call that always raises has marked its lanes; what they go on with is never read.
        return literal(math.nan) if result is None else result

    def returned(self, body: list[ast.stmt]):
        """What a function's statements return; None where they only raise."""
        for i, statement in enumerate(body):
            if isinstance(statement, ast.Return):
                return self.value(statement.value)
            if isinstance(statement, ast.Raise):
                self.fault(literal(True))
                return None
            if isinstance(statement, ast.Assign):
                self.assign(statement.targets[0], self.value(statement.value))
            elif isinstance(statement, ast.If):
                condition = self.truth(self.value(statement.test))
                rest = body[i + 1 :]
                if condition.literal is not None:
                    return self.returned((statement.body if condition.literal else []) + rest)
                outer, names, sides = self.mask, self.names, []
                for holds, side in ((True, statement.body), (False, statement.orelse + rest)):
                    self.names = dict(names)
                    self.mask = self._narrow(outer, condition if holds else self.inverse(condition))
                    sides.append(self.returned(side))
                self.mask = outer
                a, b = sides
                return b if a is None else a if b is None else self.select(condition, a, b)
            elif not isinstance(statement, ast.Expr):  # a docstring says nothing
                raise TypeError(
                    f"{type(statement).__name__} in a function that is called for a value"
                )
        return None

    def assign(self, target: ast.expr, value) -> None:
        if isinstance(target, ast.Tuple):
            for part, item in zip(target.elts, value, strict=True):
                self.assign(part, item)
        elif isinstance(target, ast.Name):
            self.names[target.id] = value
        else:
            self.store(self.value(target.value), self.value(target.slice), value)

    # -- tables ----------------------------------------------------------------------

    def lookup(self, how: str, x: Value, xs: Array, ys: Array) -> Value:
        x = self.double(x)
        if not x.varying:
            made = (how, False)
            if made not in self.module.made:
                self.module.made.add(made)
                self.module.write_search(how)
            given = f"double {x.text}, ptr {xs.text}, ptr {ys.text}, i64 {self.length(xs)}"
            return Value(self.instruction(f"call double @{how}({given})"), "double", False)
        a, b = xs.points, ys.points
        if a is None or how in ("lookup_look_forward", "lookup_raw"):
            return self.shared_lookup(how, x, xs, ys)
        slopes = [(b[i + 1] - b[i]) / (a[i + 1] - a[i]) for i in range(len(a) - 1)]
        if (self.seldom and xs.length > 2) or not all(map(math.isfinite, slopes)):
            return self.shared_lookup(how, x, xs, ys)
        last = len(a) - 1
        if how == "lookup_hold_backward":
            size = self.arithmetic("add", literal(1.0), self.intrinsic("fabs", x))
            x = self.arithmetic("add", x, self.arithmetic("mul", literal(1e-9), size))
            return self.choose(x, a[1:], a, (b,))[0]
        # The last point is a value of its own, so that a table ends exactly where it says.
        columns = ((*a[:-1], a[-1]), b, (*slopes, slopes[-1] if "extra" in how else 0.0))
        if "extra" not in how:
            x = self.select(self.compare("lt", x, literal(a[0])), literal(a[0]), x)
            x = self.select(self.compare("gt", x, literal(a[last])), literal(a[last]), x)
        base, value, slope = self.choose(x, a[1:], a, columns)
        return self.arithmetic(
            "add", value, self.arithmetic("mul", self.arithmetic("sub", x, base), slope)
        )

    def shared_lookup(self, how: str, x: Value, xs: Array, ys: Array) -> Value:
        """A table of what is the same in most lanes, as time is: searched once if it is so."""
        module, name = self.module, f"{how}.shared"
        if (name, True) not in module.made:
            module.made.add((name, True))
            self.lookup(how, Value("0.0", "double", False), xs, ys)  # writes the search itself
            vector, lanes = module.vector("double"), module.lanes
            spread = f"{vector} poison, <{lanes} x i32> zeroinitializer"
            given = "ptr %xs, ptr %ys, i64 %length"
            call = f"call double @{how}(double %x{{}}, {given})"
            rows = [
                f"define internal {vector} @{name}({vector} %x, {given}) noinline "
                f"{module.attributes()} {{",
                f"  %x0 = extractelement {vector} %x, i64 0",
                f"  %f = insertelement {vector} poison, double %x0, i64 0",
                f"  %all = shufflevector {vector} %f, {spread}",
                f"  %same = fcmp oeq {vector} %x, %all",
                f"  %once = call i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1> %same)",
                f"  %y0 = {call.format(0)}",
                "  br i1 %once, label %one, label %each",
                "one:",
                f"  %g = insertelement {vector} poison, double %y0, i64 0",
                f"  %r = shufflevector {vector} %g, {spread}",
                f"  ret {vector} %r",
                "each:",
                f"  %r0 = insertelement {vector} poison, double %y0, i64 0",
            ]
            for i in range(1, lanes):
                rows += [
                    f"  %x{i} = extractelement {vector} %x, i64 {i}",
                    f"  %y{i} = {call.format(i)}",
                    f"  %r{i} = insertelement {vector} %r{i - 1}, double %y{i}, i64 {i}",
                ]
            module.text += [*rows, f"  ret {vector} %r{lanes - 1}", "}"]
        given = f"{self.type(x)} {x.text}, ptr {xs.text}, ptr {ys.text}, i64 {self.length(xs)}"
        return Value(self.instruction(f"call {self.type(x)} @{name}({given})"), "double", True)

    def choose(self, x: Value, cuts: tuple, points: tuple, columns: tuple) -> list[Value]:
        """Of each column the item whose number is how many of the cuts x has reached."""
        if len(points) <= FEW_POINTS:
            chosen = [literal(float(column[0])) for column in columns]
            for i, cut in enumerate(cuts, 1):
                reached = self.compare("ge", x, literal(float(cut)))
                chosen = [
                    self.select(reached, literal(float(column[i])), value)
                    for column, value in zip(columns, chosen, strict=True)
                ]
            return chosen
        table = Array(self.module.table(points), "double", False)
        place = self.widen(literal(0))
        step = 1 << (len(points) - 1).bit_length()
        while step := step // 2:  # a binary search of the same length in every lane
            further = self.arithmetic("add", place, literal(step))
            inside = self.compare("lt", further, literal(len(points)))
            probe = self.select(inside, further, literal(0))
            reached = self.compare("ge", x, self.gather(table, probe))
            place = self.select(self.combine("and", inside, reached), further, place)
        return [
            self.gather(Array(self.module.table(column), "double", False), place)
            for column in columns
        ]


class Elementary(Function):
    """One function of elementary.py, for vectors or for single numbers."""

    def __init__(self, module: Module, name: str, varying: bool):
        super().__init__(module, name)
        self.varying, self.unchecked = varying, True

    def mark(self, condition: Value) -> None:
        pass

    def write(self) -> None:
        function = self.module.functions
        node = function[f"elementary.{self.name}"]
        parameters = [Value(f"%{a.arg}", "double", self.varying) for a in node.args.args]
        type_ = self.type(parameters[0])
        usual = self.inline(function[f"elementary.{self.name}_usually"], parameters)
        condition, lanes = usual.text, self.module.lanes
        if usual.varying:
            reduce = f"@llvm.vector.reduce.and.v{lanes}i1"
            condition = self.instruction(f"call i1 {reduce}({self.type(usual)} {usual.text})")
        self.lines.append(f"  br i1 {condition}, label %short, label %long")
        known = dict(self.memo)
        for label, name in (("short", f"{self.name}_shortly"), ("long", self.name)):
            self.memo = dict(known)
            self.lines.append(f"{label}:")
            result = self.inline(function[f"elementary.{name}"], parameters)
            self.lines.append(f"  ret {type_} {result.text}")
        given = ", ".join(f"{type_} {p.text}" for p in parameters)
        self.module.text += [
            f"define internal {type_} @{self.name}.{'v' if self.varying else 'u'}({given}) "
            f"noinline {self.module.attributes()} {{",
            *self.lines, "}",
        ]  # fmt: skip
