"""Equations of XMILE as trees (`expressions.py` says which), by the specification's section 3.3.

From the tightest binding: subscripts, calls and parentheses; ^, which groups to the right; unary
+ - NOT; * / // MOD; + -; < <= > >=; = <>; AND; OR. All others group to the left. MOD has the sign
of the divisor; // is a/b, or 0 where b is 0. {Comments} may stand anywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .errors import ModelError
from .expressions import DEEPEST, held_twice, key, walk
from .files import decimal
from .syntax import decimal_comma
from .xmile_functions import (
    BUILTINS,
    OTHERS,
    ZERO,
    Builtin,
    add,
    call,
    divide,
    pulse,
)  # fmt: skip

_NAME = r'(?:"(?:[^"\\]|\\.)*"|[^\W\d][\w$]*)'
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>\.?{_NAME}(?:\.{_NAME})*(?:\.\*)?)"
    r"|(?P<mark><>|<=|>=|//|[-+*/^=<>(),\[\]:;@'!]))"
)
_WORDS = {"if", "then", "else", "and", "or", "not", "mod"}
_LEVELS = {
    "or": 1, "and": 2, "=": 3, "<>": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5,
    "*": 6, "/": 6, "//": 6, "mod": 6,
}  # fmt: skip
_NAMESPACES = ("std", "isee", "user")
_LIST = re.compile(r"[\s0-9.eE+\-,;]*[,;][\s0-9.eE+\-,;]*")


@dataclass
class Scope:
    """What an equation may name.

    `arrays` gives the dimensions of each array, `dimensions` the elements of each (keys); `lookups`
    are tables of their own, `tables` those inside other variables, `macros` functions that the file
    defines; `isee` says that Stella wrote it.
    """

    arrays: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lookups: frozenset[str] = frozenset()
    tables: Mapping[str, tuple] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    macros: frozenset[str] = frozenset()
    isee: bool = False


def without_comments(text: str) -> str:
    """An equation without what stands in braces (its quoted names keep theirs)."""
    found, depth = [], 0
    for part in re.findall(r'"(?:[^"\\]|\\.)*"|[{}]|[^"{}]+|"', text):
        if part == "{":
            depth += 1
        elif part == "}":
            depth = max(depth - 1, 0)
        elif not depth:
            found.append(part)
        found += [" "] if part in "{}" else []
    return "".join(found)


def parse(text: str, scope: Scope, where: str, own: str = "", axes: Sequence[str] = ()) -> tuple:
    """The tree of an equation of the variable `own`, which has the dimensions `axes` (keys).

    Raises ModelError M104 (cannot be parsed), M109 (a construct that is not compiled), M110 and
    M114 (number of arguments), each with `where` in front.
    """
    try:
        numbers = _LIST.fullmatch(text) if axes else None
        return _numbers(text) if numbers else _Parser(text, scope, own, axes).whole()
    except ModelError as error:
        raise ModelError(error.code, f"{where}: {error.message}") from None
    except RecursionError:
        raise ModelError("M110", f"{where}: nested too deeply") from None


def _numbers(text: str) -> tuple:
    """A list of numbers, one for each element: rows end with a semicolon."""
    try:
        rows = [[decimal(n) for n in row.split(",")] for row in text.strip().strip(";").split(";")]
    except ValueError:
        raise ModelError("M104", f"{text.strip()[:40]!r} is no list of numbers") from None
    shape = (len(rows[0]),) if len(rows) == 1 else (len(rows), len(rows[0]))
    return ("array", tuple(n for row in rows for n in row), shape)


class _Parser:
    def __init__(self, text: str, scope: Scope, own: str, axes: Sequence[str]):
        self.text, self.scope = without_comments(text), scope
        self.own, self.axes = own, axes
        self.tokens: list[tuple[str, str, int]] = []
        self.at, self.depth, self.calls = 0, 0, 0
        self.elements: Sequence[str] = ()  # of the subscript that is read
        place, end = 0, len(self.text.rstrip())
        while place < end:
            found = _TOKEN.match(self.text, place)
            if found is None:
                raise self._stuck(place)
            kind = found.lastgroup
            word = found[kind]
            if kind == "name" and word.lower() in _WORDS:
                kind, word = "mark", word.lower()
            self.tokens.append((kind, word, found.start(kind)))
            place = found.end()
        self.tokens.append(("end", "", end))

    def whole(self) -> tuple:
        found = self._binary(1)
        if self.tokens[self.at][0] != "end":
            raise self._stuck()
        return found

    def _stuck(self, place: int | None = None) -> ModelError:
        if place is None and self.tokens[self.at][1] == "'":
            return ModelError("M109", 'the transposition of an array, "\'"')
        place = self.tokens[self.at][2] if place is None else place
        near = " ".join(self.text[place:].split())[:40]
        if not near:
            return ModelError(
                "M104", f"the equation {' '.join(self.text.split())[-40:]!r} breaks off"
            )
        comma = near[0] == "," and decimal_comma(self.text)
        return ModelError("M104", f"cannot be parsed near {near!r}{comma or ''}")

    def _next(self, *marks: str) -> str:
        """The next mark if it is one of `marks`, which is then behind us; "" else."""
        kind, word, _ = self.tokens[self.at]
        if kind != "mark" or word not in marks:
            return ""
        self.at += 1
        return word

    def _need(self, mark: str) -> None:
        if not self._next(mark):
            raise self._stuck()

    # -- operators -------------------------------------------------------------------

    def _binary(self, level: int) -> tuple:
        self.depth += 1
        if self.depth > 2 * DEEPEST:
            raise ModelError("M110", f"nested too deeply (over {DEEPEST} levels)")
        left = self._unary()
        while True:
            kind, word, _ = self.tokens[self.at]
            own = _LEVELS.get(word, 0) if kind == "mark" else 0
            if own < level or not own:
                self.depth -= 1
                return left
            self.at += 1
            left = _operation(word, left, self._binary(own + 1))

    def _unary(self) -> tuple:
        signs = []
        while sign := self._next("+", "-", "not"):
            signs.append(sign)
        found = self._power()
        for sign in reversed(signs):
            if sign == "-":
                found = ("number", -found[1]) if found[0] == "number" else ("negative", found)
            elif sign == "not":
                found = ("not", found)
        return found

    def _power(self) -> tuple:
        bases = [self._primary()]
        while self._next("^"):
            if self.tokens[self.at][1] in ("+", "-", "not"):
                self.depth += 1
                bases.append(self._unary())
                self.depth -= 1
                break
            bases.append(self._primary())
        found = bases.pop()
        while bases:
            found = ("arithmetic", "^", bases.pop(), found)
        return found

    def _primary(self) -> tuple:
        kind, word, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            value = float(word)
            if math.isinf(value):
                raise ModelError("M111", "a number too large to hold")
            return ("number", value)
        if kind == "name":
            self.at += 1
            return self._named(word)
        if self._next("("):
            found = self._binary(1)
            self._need(")")
            return found
        if self._next("if"):
            condition = self._binary(1)
            self._need("then")
            then = self._binary(1)
            self._need("else")
            return call("if_then_else", condition, then, self._binary(1))
        raise self._stuck()

    # -- names and calls -------------------------------------------------------------

    def _named(self, word: str) -> tuple:
        if word.endswith(".*"):
            raise self._stuck(self.tokens[self.at - 1][2])
        parts = [key(part) for part in re.findall(_NAME, word)]
        if word.startswith("."):
            raise ModelError("M109", f"{word!r}, a name of the model around a module")
        if len(parts) > 1 and parts[0] in _NAMESPACES:
            parts = parts[1:]
        if len(parts) == 2 and parts[0] in self.scope.dimensions:
            return ("number", 1.0 + self._element(*parts))
        if len(parts) > 1:
            raise ModelError("M109", f"{word!r}, a name of another module or namespace")
        name, quoted = parts[0], word.startswith('"')
        if self._next("("):
            arguments = self._arguments()
            return self._call(name, word, arguments)
        if name == "self" and not quoted and name not in self.scope.names:
            name = self.own
        if self._next("["):
            return ("reference", name, self._subscripts(name))
        if name in self.elements:
            return ("number", 1.0 + self.elements.index(name))
        if name in self.scope.names or quoted:
            return ("name", name)
        return _constant(name) or ("name", name)

    def _element(self, dimension: str, element: str) -> int:
        elements = list(self.scope.dimensions[dimension])
        if element not in elements:
            raise ModelError("M120", f"{dimension!r} has no element {element!r}")
        return elements.index(element)

    def _arguments(self) -> tuple:
        found: list[tuple] = []
        if self._next(")"):
            return ()
        outer, self.elements = self.elements, ()
        while True:
            found.append(self._binary(1))
            if self._next(")"):
                self.elements = outer
                return tuple(found)
            self._need(",")

    def _subscripts(self, name: str) -> list:
        """What stands in brackets: labels as they are written, else expressions."""
        dims, found = self.scope.arrays.get(name, ()), []
        outer = self.elements
        while True:
            dimension = dims[len(found)] if len(found) < len(dims) else ""
            self.elements = self.scope.dimensions.get(dimension, ())
            found.append(self._subscript(dimension))
            if self._next("]"):
                self.elements = outer
                return found
            if self._next(":"):
                raise ModelError("M109", f"a range of subscripts in {name!r}")
            self._need(",")

    def _subscript(self, dimension: str) -> str | tuple:
        if self._next("*"):
            if self._next(":"):
                dimension = key(self.tokens[self.at][1])
                self.at += 1
            return f"{dimension}!"
        kind, word, _ = self.tokens[self.at]
        if kind == "name" and word.endswith(".*"):
            self.at += 1
            return f"{key(word[:-2])}!"
        behind = self.tokens[self.at + 1][1] if kind in ("name", "number") else ""
        if kind == "mark" and word == "@":
            raise ModelError("M109", "the position of a dimension, '@'")
        if behind not in ("]", ",", ":"):
            return self._binary(1)
        if kind == "number" and (word in self.elements or _counts(word, self.elements)):
            self.at += 1
            return word
        parts = re.findall(_NAME, word)
        if kind == "name" and (len(parts) == 1 or key(parts[0]) == dimension):
            label = key(parts[-1])
            if label in (*self.elements, *self.scope.dimensions) or (
                label not in self.scope.names and not _constant(label)
            ):
                self.at += 1
                return label
        return self._binary(1)

    def _call(self, name: str, word: str, arguments: tuple) -> tuple:
        scope = self.scope
        if name in scope.lookups or name in scope.tables:
            return self._looked_up(("name", name), arguments, name)
        if name in scope.macros:
            return call(name, *arguments)
        if not arguments and _constant(name):
            return _constant(name)
        if name in OTHERS:
            return getattr(self, f"_{name}")(arguments)
        found = BUILTINS.get(name)
        if found is None:
            what = "an array read by a flat index" if name in scope.arrays else "the function"
            raise ModelError("M109", f"{what} {word.upper()!r}")
        self._count(name, arguments, found)
        self.calls += 1
        return found.build(arguments, self.calls - 1)

    def _count(self, name: str, arguments: tuple, row: Builtin) -> None:
        if len(arguments) < row.least or (row.most is not None and len(arguments) > row.most):
            wanted = f"{row.least}" if row.least == row.most else f"{row.least} to {row.most}"
            wanted = f"{row.least} or more" if row.most is None else wanted
            raise ModelError(
                "M114", f"{name.upper()} takes {wanted} argument(s), not {len(arguments)}"
            )

    # -- functions that depend on what their arguments are ----------------------------

    def _lookup(self, arguments: tuple) -> tuple:
        self._count("LOOKUP", arguments, Builtin(2, 2, call))
        table = arguments[0]
        if table[0] not in ("name", "reference"):
            raise ModelError("M109", "a LOOKUP of something that is no graphical function")
        return self._looked_up(table, arguments[1:], "LOOKUP")

    def _looked_up(self, table: tuple, arguments: tuple, name: str) -> tuple:
        if len(arguments) != 1:
            raise ModelError("M114", f"the table {name!r} takes one argument")
        if table[1] in self.scope.lookups:
            subscripts = list(table[2]) if table[0] == "reference" else []
            return ("lookup", table[1], arguments[0], subscripts, None)
        points = self.scope.tables.get(table[1])
        if points is None:
            raise ModelError("M109", f"{table[1]!r} is no graphical function that can be looked up")
        return ("table", points, arguments[0])

    def _is_array(self, node: tuple) -> bool:
        """Whether an argument beside others stands for all elements of an array."""
        for part in walk(node):
            if part[0] == "reference" and any(
                isinstance(s, str) and s[-1:] == "!" for s in part[2]
            ):
                return True
            if part[0] == "name" and not set(self.scope.arrays.get(part[1], ())) <= set(self.axes):
                return True
        return False

    def _extreme(self, name: str, whole: str, arguments: tuple) -> tuple:
        self._count(name, arguments, Builtin(1, None, call))
        if len(arguments) == 1:
            return call(whole, *arguments)
        parts = [call(whole, a) if self._is_array(a) else a for a in arguments]
        found = parts[0]
        for part in parts[1:]:
            found = call(name, found, part)
        return found

    def _max(self, arguments: tuple) -> tuple:
        return self._extreme("max", "vmax_xmile", arguments)

    def _min(self, arguments: tuple) -> tuple:
        return self._extreme("min", "vmin_xmile", arguments)

    def _sum(self, arguments: tuple) -> tuple:
        self._count("SUM", arguments, Builtin(1, 1, call))
        return call("sum", *arguments)

    def _prod(self, arguments: tuple) -> tuple:
        self._count("PROD", arguments, Builtin(1, 1, call))
        return call("prod", *arguments)

    def _size(self, arguments: tuple) -> tuple:
        self._count("SIZE", arguments, Builtin(1, 1, call))
        node = arguments[0]
        if node[0] == "name" and node[1] in self.scope.dimensions:
            return ("number", float(len(self.scope.dimensions[node[1]])))
        if node[0] not in ("name", "reference"):
            raise ModelError("M109", "SIZE of an expression")
        return call("xmile_size", node)

    def _mean(self, arguments: tuple) -> tuple:
        self._count("MEAN", arguments, Builtin(1, None, call))
        if len(arguments) == 1:
            return held_twice(divide(call("sum", *arguments), call("xmile_size", *arguments)))
        if any(map(self._is_array, arguments)):
            raise ModelError("M109", "a MEAN of several arrays")
        total = arguments[0]
        for argument in arguments[1:]:
            total = add(total, argument)
        return divide(total, ("number", float(len(arguments))))

    def _pulse(self, arguments: tuple) -> tuple:
        self._count("PULSE", arguments, Builtin(1 if self.scope.isee else 2, 3, call))
        return pulse(arguments, self.scope.isee)


def _counts(word: str, elements: Sequence[str]) -> bool:
    """Whether a number is the place of an element, from 1."""
    return word.isascii() and word.isdecimal() and len(word) < 8 and 0 < int(word) <= len(elements)


def _operation(word: str, a: tuple, b: tuple) -> tuple:
    if word in ("and", "or"):
        return (word, a, b)
    if _LEVELS[word] in (3, 4):
        return ("compare", word, a, b)
    if word == "mod":
        return call("xmile_mod", a, b)
    if word == "//":
        return call("xmile_safediv", a, b, ZERO)
    return ("arithmetic", word, a, b)


def _constant(name: str) -> tuple | None:
    """What stands for itself: TIME and the like are names that every model has."""
    if name == "pi":
        return call("pi")
    if name == "inf":
        return ("number", math.inf)
    if name == "nan":
        raise ModelError("M109", "NAN, a number that is missing")
    return ("name", name) if name in ("time", "dt", "starttime", "stoptime") else None
