"""Expressions as nested tuples, made from PySD's abstract syntax.

Expressions are tuples whose first item says what they are:
("number", x), ("name", key), ("negative", a), ("not", a), ("compare", op, a, b),
("and", a, b), ("or", a, b), ("arithmetic", op, a, b), ("call", function, (a, ...)),
("lookup", key, a, index, mode), ("table", (x, y, mode), a), ("tables", tables, shape, index, a)
and ("state", kind, parts) with the kinds of `states.READS`. `subscripts.py` says what arrays add:
("parts", part, ...), ("part", box, a), ("item", key, index), ("position", (index,)),
("values", numbers, shape, index) and ("reduce", function, loops, (a, ...)). What does not compile
is ("refused", code, why).

Before subscripts are resolved there are ("reference", key, [subscripts]), ("array", numbers,
shape) and, in a lookup, a list of subscripts for its index.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache

from .errors import ModelError
from .functions import FUNCTIONS, LOOKUP_FUNCTIONS

# A program writes one or two parentheses a level, and Python reads no more than 200.
DEEPEST = 90
# SMOOTH(x, t) stands for a smooth that starts from x, so that each one inside another
# doubles what is inside it: so many levels, and so many parts of one that holds x twice.
DEEPEST_DELAY = 8
_LARGEST = 20_000

CONTROLS = {
    "initial_time": "INITIAL TIME",
    "final_time": "FINAL TIME",
    "time_step": "TIME STEP",
    "saveper": "SAVEPER",
}


@lru_cache(maxsize=65536)
def key(name: str) -> str:
    """The form under which a name is compared: case, blanks, underscores and quotes fold."""
    text = name.strip().replace("\\n", " ")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"')
    return re.sub(r"[\s_]+", "_", text.strip()).lower()


@lru_cache(maxsize=65536)
def label_key(label: str) -> str:
    """The same for the label of an element, `name[subscript,...]`."""
    label = label.rstrip()
    if not label.endswith("]") or "[" not in label:
        return key(label)
    array, _, subscripts = label[:-1].rpartition("[")
    return f"{key(array)}[{','.join(map(key, subscripts.split(',')))}]"


def _float(value) -> float:
    """A number as a float; infinite for a whole number of more digits than one holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


class Translator:
    """Turns one expression of PySD's abstract model into nested tuples.

    `lookups` are the keys of the model's tables.
    """

    def __init__(self, where: str, lookups: set[str]):
        self.where, self.lookups = where, lookups
        self.delays = 0
        self._streams: dict[int, int] = {}

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
        if kind == "ndarray":
            if node.ndim == 0:
                return ("number", float(node))
            return ("array", tuple(map(float, node.ravel())), node.shape)
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.removesuffix("Structure"))
        return self.refuse(f"the function {words.upper()!r}")

    def _ReferenceStructure(self, node):
        if node.subscripts:
            return ("reference", key(node.reference), list(node.subscripts.subscripts))
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
        if any(isinstance(argument, str) for argument in node.arguments):  # GET VDF CONSTANTS
            words = name.upper().replace("_", " ")
            self.refuse(f"the function {words!r}")
        arguments = tuple(self(argument) for argument in node.arguments)
        if name in self.lookups:
            if len(arguments) != 1:
                raise ModelError("M114", f"{self.where}: the table {name!r} takes one argument")
            given = node.function.subscripts
            return ("lookup", name, arguments[0], list(given.subscripts) if given else [], None)
        if (
            name in LOOKUP_FUNCTIONS
            and len(arguments) == 2
            and arguments[0][1:2]
            and (arguments[0][0] in ("name", "reference") and arguments[0][1] in self.lookups)
        ):
            _, table, subscripts = (*arguments[0], [])[:3]
            return ("lookup", table, arguments[1], subscripts, LOOKUP_FUNCTIONS[name])
        if name == "get_time_value":
            return self._time_value(arguments)
        row = FUNCTIONS.get(name)
        if row is not None and row.noisy:
            # SMOOTH(x, t) comes with x twice, as input and as start: one call, one stream.
            number = float(self._streams.setdefault(id(node), len(self._streams)))
            arguments = (*arguments, ("state", "noise", (("number", number),)))
        return ("call", name, arguments)

    def _time_value(self, arguments):
        """Time, or INITIAL TIME, plus an offset; calendars and clocks are PySD's."""
        if len(arguments) != 3:
            raise ModelError("M114", f"{self.where}: GET TIME VALUE takes three arguments")
        numbers = [a[1] for a in (arguments[0], arguments[2]) if a[0] == "number"]
        if numbers not in ([0.0, 0.0], [1.0, 0.0]):
            self.refuse("GET TIME VALUE of a calendar or a clock")
        return ("arithmetic", "+", ("name", "initial_time" if numbers[0] else "time"), arguments[1])

    def _GameStructure(self, node):
        return self(node.expression)

    def _points(self, node):
        x = tuple(_float(value) for value in node.x)
        y = tuple(_float(value) for value in node.y)
        if len(x) != len(y) or len(x) < 2:
            raise ModelError("M112", f"{self.where}: {len(x)} x and {len(y)} y values")
        if not all(map(math.isfinite, x + y)):
            raise ModelError("M112", f"{self.where}: a point is not a finite number")
        return (*rising(x, y, self.where), node.type)

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
        found = ("state", kind, parts)
        twice = getattr(node, "initial", None) is getattr(node, "input", node)
        return held_twice(found, f"{self.where}: ") if twice else found

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

    def _SmoothNStructure(self, node):
        return self._state("smooth n", node, "input", "smooth_time", "initial", "order")

    def _TrendStructure(self, node):
        return self._state("trend", node, "input", "average_time", "initial_trend")

    def _ForecastStructure(self, node):
        return self._state("forecast", node, "input", "average_time", "horizon", "initial_trend")

    def _SampleIfTrueStructure(self, node):
        return self._state("sample if true", node, "condition", "input", "initial")

    def _InitialStructure(self, node):
        return self._state("initial", node, "initial")


def children(node: tuple) -> tuple[tuple, ...]:
    """The expressions directly inside an expression."""
    if node[0] in ("call", "state"):
        return node[2]
    if node[0] == "reduce":
        return node[3]
    return tuple(p for p in node[1:] if isinstance(p, tuple) and p and isinstance(p[0], str))


def rebuilt(node: tuple, change: Callable[[tuple], tuple]) -> tuple:
    """An expression in which each expression directly inside it is changed."""
    if node[0] in ("call", "state", "reduce"):
        return (*node[:-1], tuple(change(part) for part in node[-1]))
    return tuple(
        change(p) if isinstance(p, tuple) and p and isinstance(p[0], str) else p for p in node
    )


def walk(expression: tuple):
    """Every expression inside `expression`, itself first."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def held_twice(node: tuple, where: str = "") -> tuple:
    """A node that holds an argument more than once; M110 where that makes it too large.

    `where` begins the text of the error.
    """
    if sum(1 for _ in walk(node)) > _LARGEST:
        raise ModelError(
            "M110",
            f"{where}an input too long for functions that read it twice, each inside another again",
        )
    return node


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
    """Whether a value of it may be missing: :NA:, or a table with a gap."""
    for node in walk(expression):
        kind = node[0]
        if kind == "number" and math.isnan(node[1]):
            return True
        if kind == "values" and any(map(math.isnan, node[1])):
            return True
        tables = node[1:2] if kind == "table" else node[1] if kind == "tables" else ()
        if any(mode == "raw" or any(map(math.isnan, y)) for _, y, mode in tables):
            return True
    return False


def rising(x: Sequence[float], y: Sequence[float], where: str) -> tuple[tuple, tuple]:
    """The points of a table whose x rise. Of several at one x the first holds there and the
    last right behind it, with a warning."""
    back = next((i for i in range(1, len(x)) if x[i] < x[i - 1]), None)
    if back is not None:
        raise ModelError(
            "M112",
            f"{where}: the x of a table have to rise, and {x[back]:g} stands behind "
            f"{x[back - 1]:g}",
        )
    points: list[tuple[float, float]] = []
    for at in dict.fromkeys(x):
        own = [b for a, b in zip(x, y, strict=True) if a == at]
        points.append((at, own[0]))
        if own[-1] != own[0]:
            points.append((math.nextafter(at, math.inf), own[-1]))
        if len(own) > 1:
            then = f", right behind it {own[-1]:g}" if own[-1] != own[0] else ""
            warnings.warn(
                f"{where}: x = {at:g} stands {len(own)} times in the table; its value "
                f"there is {own[0]:g}{then}",
                stacklevel=2,
            )
    if len(points) < 2:
        raise ModelError("M112", f"{where}: all points of the table are at x = {x[0]:g}")
    return tuple(zip(*points, strict=True))
