"""Expressions as nested tuples, made from PySD's abstract syntax.

Expressions are tuples whose first item says what they are:
("number", x), ("name", key), ("negative", a), ("not", a), ("compare", op, a, b),
("and", a, b), ("or", a, b), ("arithmetic", op, a, b), ("call", function, (a, ...)),
("lookup", key, a), ("table", (x, y, mode), a) and ("state", kind, parts) with kinds
stock, non-negative stock, delay, delay n, delay fixed, smooth, trend, sample if true and
initial.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from .errors import ModelError

# A program writes one or two parentheses a level, and Python reads no more than 200.
DEEPEST = 90
# SMOOTH(x, t) stands for a smooth that starts from x, so that each one inside another
# doubles what is inside it.
DEEPEST_DELAY = 8

CONTROLS = {
    "initial_time": "INITIAL TIME",
    "final_time": "FINAL TIME",
    "time_step": "TIME STEP",
    "saveper": "SAVEPER",
}


def key(name: str) -> str:
    """The form under which a name is compared: case, blanks, underscores and quotes fold."""
    text = name.strip().replace("\\n", " ")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"')
    return re.sub(r"[\s_]+", "_", text.strip()).lower()


def _float(value) -> float:
    """A number as a float; infinite for a whole number of more digits than one holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


class Translator:
    """Turns one expression of PySD's abstract model into nested tuples."""

    def __init__(self, path: Path, where: str, lookups: set[str]):
        self.path, self.where, self.lookups = path, where, lookups
        self.delays = 0

    def refuse(self, what: str):
        raise ModelError("M109", f"{self.where}: {what}")

    def __call__(self, node) -> tuple:
        kind = type(node).__name__
        method = getattr(self, f"_{kind}", None)
        if method:
            return method(node)
        if isinstance(node, (int, float)) or kind in ("float64", "int64"):
            value = _float(node)
            if math.isinf(value):
                raise ModelError("M111", f"{self.where}: a number too large to hold")
            return ("number", value)
        if kind == "ndarray" and node.ndim == 0:
            return ("number", float(node))
        return self.refuse("an array" if kind == "ndarray" else kind.removesuffix("Structure"))

    def _ReferenceStructure(self, node):
        if node.subscripts:
            self.refuse(f"{node.reference!r} with subscripts")
        return ("name", key(node.reference))

    def _ArithmeticStructure(self, node):
        if node.operators == ["negative"]:
            inner = self(node.arguments[0])
            return ("number", -inner[1]) if inner[0] == "number" else ("negative", inner)
        parts = [self(argument) for argument in node.arguments]
        if node.operators[0] == "^":  # binds to the right, as PySD's own run does
            result = parts[-1]
            for part in reversed(parts[:-1]):
                if part[0] == "number" and part[1] < 0:  # -2^2, in the text, is -(2^2)
                    result = ("negative", ("arithmetic", "^", ("number", -part[1]), result))
                else:
                    result = ("arithmetic", "^", part, result)
            return result
        result = parts[0]
        for operator, part in zip(node.operators, parts[1:], strict=True):
            result = ("arithmetic", operator, result, part)
        return result

    def _LogicStructure(self, node):
        operators = [operator.strip(":").lower() for operator in node.operators]
        parts = [self(argument) for argument in node.arguments]
        if operators == ["not"]:
            return ("not", parts[0])
        if operators[0] not in ("and", "or"):
            return ("compare", operators[0], *parts)
        groups = [parts[0]]  # "and" binds before "or"; PySD's own run nests them to the right
        for operator, part in zip(operators, parts[1:], strict=True):
            if operator == "and":
                groups[-1] = ("and", groups[-1], part)
            else:
                groups.append(part)
        result = groups[0]
        for group in groups[1:]:
            result = ("or", result, group)
        return result

    def _CallStructure(self, node):
        name = key(node.function.reference)
        arguments = tuple(self(argument) for argument in node.arguments)
        if name in self.lookups:
            if len(arguments) != 1:
                raise ModelError("M114", f"{self.where}: the table {name!r} takes one argument")
            return ("lookup", name, arguments[0])
        return ("call", name, arguments)

    def _GameStructure(self, node):
        return self(node.expression)

    def _points(self, node):
        x = tuple(_float(value) for value in node.x)
        y = tuple(_float(value) for value in node.y)
        if len(set(x)) != len(x):
            raise ModelError("M112", f"{self.where}: an x stands twice in its table")
        if len(x) != len(y) or len(x) < 2:
            raise ModelError("M112", f"{self.where}: {len(x)} x and {len(y)} y values")
        if not all(map(math.isfinite, x + y)):
            raise ModelError("M112", f"{self.where}: a point is not a finite number")
        return (x, y, node.type)

    def _LookupsStructure(self, node):
        return ("points", self._points(node))

    def _InlineLookupsStructure(self, node):
        return ("table", self._points(node.lookups), self(node.argument))

    def _state(self, kind, node, *names):
        self.delays += 1
        if self.delays > DEEPEST_DELAY:
            raise ModelError(
                "M110", f"{self.where}: stocks or delays one inside another, over {DEEPEST_DELAY}"
            )
        parts = tuple(self(getattr(node, name)) for name in names)
        self.delays -= 1
        return ("state", kind, parts)

    def _IntegStructure(self, node):
        kind = "stock" if not node.non_negative else "non-negative stock"
        return self._state(kind, node, "flow", "initial")

    def _DelayStructure(self, node):
        return self._state("delay", node, "input", "delay_time", "initial", "order")

    def _DelayNStructure(self, node):
        return self._state("delay n", node, "input", "delay_time", "initial", "order")

    def _DelayFixedStructure(self, node):
        return self._state("delay fixed", node, "input", "delay_time", "initial")

    def _SmoothStructure(self, node):
        return self._state("smooth", node, "input", "smooth_time", "initial", "order")

    _SmoothNStructure = _SmoothStructure

    def _TrendStructure(self, node):
        return self._state("trend", node, "input", "average_time", "initial_trend")

    def _SampleIfTrueStructure(self, node):
        return self._state("sample if true", node, "condition", "input", "initial")

    def _InitialStructure(self, node):
        return self._state("initial", node, "initial")


def children(node: tuple) -> tuple[tuple, ...]:
    """The expressions directly inside an expression."""
    if node[0] in ("call", "state"):
        return node[2]
    return tuple(p for p in node[1:] if isinstance(p, tuple) and p and isinstance(p[0], str))


def walk(expression: tuple):
    """Every expression inside `expression`, itself first."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def nesting(expression: tuple) -> int:
    """How many levels an expression has; a sum, or a product, of many terms is one."""
    deepest, stack = 0, [(expression, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        for i, part in enumerate(children(node)):
            operators = (node[1], part[1]) if node[0] == part[0] == "arithmetic" else ("", "^")
            flat = i == 0 and (set(operators) <= {"+", "-"} or set(operators) <= {"*", "/"})
            stack.append((part, level + (not flat)))
    return deepest


def has_missing(expression: tuple) -> bool:
    return any(node[0] == "number" and math.isnan(node[1]) for node in walk(expression))
