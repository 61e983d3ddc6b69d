"""Time settings, and other numbers that have to be known before a run begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from . import numerics
from .errors import ModelError
from .expressions import CONTROLS, key
from .functions import FUNCTIONS, Function
from .limits import bounded
from .model import Model

_NOTHING: Mapping[str, float] = {}


class Folded:
    """Values that only constants decide; `used` collects the labels of those constants.

    `values` replaces constants and time settings, by keys. With `start` a pair of INITIAL TIME and
    TIME STEP, functions of time have the value that they begin a run with.
    """

    def __init__(
        self,
        model: Model,
        values: Mapping[str, float] = _NOTHING,
        start: tuple[float, float] | None = None,
    ):
        self.model, self.values, self.start = model, values, start
        self.by_key = {key(n): v for n, v in model.variables.items()}
        self.used: set[str] = set()

    def __call__(self, node: tuple, where: str, seen: frozenset[str] = frozenset()) -> float:
        """The value of an expression; M113 where it is more than arithmetic on constants."""
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "negative":
            return -self(node[1], where, seen)
        if kind in ("name", "item") and node[1] in self.by_key and node[1] not in seen:
            variable = self.by_key[node[1]]
            if kind == "item" and all(i[0] == "at" for i in node[2]):
                variable = variable.element(tuple(i[1] for i in node[2]))
            if not variable.axes:
                if variable.kind == "constant":
                    self.used.add(variable.name)
                    return self.values.get(key(variable.name), variable.value)
                if variable.kind == "control":
                    self.used.add(variable.name)
                if variable.kind in ("control", "auxiliary"):
                    if key(variable.name) in self.values:
                        return self.values[key(variable.name)]
                    return self(variable.expression, where, seen | {node[1]})
        if kind == "arithmetic":
            a, b = self(node[2], where, seen), self(node[3], where, seen)
            try:
                return {
                    "+": lambda: a + b,
                    "-": lambda: a - b,
                    "*": lambda: a * b,
                    "/": lambda: a / b,
                    "^": lambda: math.pow(a, b),
                }[node[1]]()
            except (ZeroDivisionError, OverflowError, ValueError):
                return math.nan
        if self.start is not None and node == ("name", "time"):
            self.used.add("INITIAL TIME")
            return self.start[0]
        if self.start is not None and kind == "call" and node[1] in FUNCTIONS:
            return self._call(FUNCTIONS[node[1]], [self(a, where, seen) for a in node[2]], where)
        raise ModelError("M113", f"{where} is neither a number nor arithmetic on constants")

    def _call(self, row: Function, arguments: Sequence[float], where: str) -> float:
        """A function whose text is one call of `numerics`, at the start of a run."""
        call = re.fullmatch(r"(\w+)\((.*)\)", row.text)
        function = getattr(numerics, call[1], None) if call else None
        if function is None or len(arguments) != row.arguments or row.reduces or row.noisy:
            raise ModelError("M113", f"{where} is neither a number nor arithmetic on constants")
        known = {"begin": self.start[0], "dt": self.start[1]}
        if "begin" in row.text:
            self.used |= {"INITIAL TIME", "TIME STEP"}
        known |= {f"{{{i}}}": value for i, value in enumerate(arguments)}
        try:
            return float(function(*(known[name.strip()] for name in call[2].split(","))))
        except (ArithmeticError, ValueError):
            return math.nan


def time_settings(
    model: Model, values: Mapping[str, float] = _NOTHING
) -> tuple[dict[str, float], set[str]]:
    """INITIAL TIME, FINAL TIME, TIME STEP and SAVEPER, and the constants that decide them.

    `values` (by keys) replaces some of them, or constants that they are computed from. Raises
    ModelError M113 where they do not make a run, or one of too many steps.
    """
    folded = Folded(model, values)
    found = {k: folded(("name", k), f"{model.path.name}: {name}") for k, name in CONTROLS.items()}
    initial, final, step, saveper = found.values()
    good = all(map(math.isfinite, found.values())) and step > 0 and saveper > 0
    if good and abs(saveper / step - round(saveper / step)) > 1e-6 * saveper / step:
        good = False
    if not good or final < initial:
        shown = ", ".join(f"{CONTROLS[k]} = {v:g}" for k, v in found.items())
        raise ModelError("M113", f"{model.path.name}: {shown}")
    shown = ", ".join(f"{CONTROLS[k]} = {v:g}" for k, v in found.items())
    steps = (final - initial) / step
    bounded("steps", math.ceil(min(steps, 1e18)), f"{model.path.name}: {shown}")
    return found, folded.used
