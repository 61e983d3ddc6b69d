"""Time settings, and other numbers that have to be known before a run begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice, product

from . import numerics
from .errors import ModelError
from .expressions import CONTROLS, key, rebuilt
from .functions import FUNCTIONS, Function
from .limits import LIMITS
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
    wrong = _broken(found)
    if wrong:
        raise ModelError("M113", f"{model.path.name}: {wrong}")
    return found, folded.used


def refuse_times(model: Model) -> None:
    """Refuse time settings that make no run (M113), where numbers decide them: PySD would go on
    with them, perhaps for ever. Others are left to it."""
    folded, found = Folded(model), {}
    for k, name in CONTROLS.items():
        try:
            found[k] = folded(("name", k), name)
        except ModelError:
            return
    wrong = _broken(found)
    if wrong:
        raise ModelError("M113", f"{model.path.name}: {wrong}")


def _broken(found: Mapping[str, float]) -> str:
    """The first rule that time settings break, in words; "" where they make a run."""
    for k, value in found.items():
        if not math.isfinite(value):
            return f"{CONTROLS[k]} = {value:g} is no finite number"
    initial, final, step, saveper = found.values()
    if step <= 0:
        return f"TIME STEP = {step:g} has to be above zero"
    if saveper <= 0:
        return f"SAVEPER = {saveper:g} has to be above zero"
    if final < initial:
        return (f"FINAL TIME = {final:g} lies before INITIAL TIME = {initial:g}; "
                "exchange the two, or correct one")  # fmt: skip
    if (final - initial) / step > LIMITS["steps"].most:
        return (f"TIME STEP = {step:g} makes {(final - initial) / step:.3g} steps from "
                f"{initial:g} to {final:g}, more than a run may have ({LIMITS['steps'].most:,}); "
                "choose a larger one")  # fmt: skip
    steps = saveper / step
    if steps < 1 - 1e-6:
        return (f"SAVEPER = {saveper:g} is shorter than TIME STEP = {step:g}; "
                "choose a SAVEPER of one step or more")  # fmt: skip
    if abs(steps - round(steps)) > 1e-6 * steps:
        fewer = math.floor(steps)
        near = " or ".join(f"{n * step:g}" for n in (fewer, fewer + 1))
        return (f"SAVEPER = {saveper:g} is no multiple of TIME STEP = {step:g}; "
                f"choose a SAVEPER of {near}, or a TIME STEP that divides {saveper:g}")  # fmt: skip
    return ""


# How much shorter than a step a stage may be before Euler or RK4 makes it grow or overshoot: the
# roots of |1 - z| = |stability| (RK4: 1 - z + z^2/2 - z^3/6 + z^4/24 = 1 at 2.785).
_SHORTEST = {"euler": 1.0, "rk4": 1 / 2.785}


def cautions(
    model: Model,
    delays: Sequence[tuple],
    settings: Mapping[str, float],
    values: Mapping[str, float],
    rk4: bool,
) -> list[str]:
    """What a run does that its settings do not say: an end before FINAL TIME, and delays (rows of
    `Program.delays`) that are too short for the step. `values` go by keys."""
    initial, final, step, saveper = (settings[k] for k in CONTROLS)
    found = []
    last = initial + math.floor((final - initial) / step + 1e-6) * step
    saved = initial + math.floor((final - initial) / saveper + 1e-6) * saveper
    if final - last > 1e-6 * step:
        found.append(f"FINAL TIME ({final:g}) is no whole number of steps ({step:g}) after INITIAL "
                     f"TIME ({initial:g}): the run ends at {last:g}")  # fmt: skip
    elif last - saved > 1e-6 * step:
        found.append(f"SAVEPER ({saveper:g}) does not divide the run from {initial:g} to "
                     f"{final:g}: the last time that is saved is {saved:g}")  # fmt: skip
    folded = Folded(model, values, (initial, step)) if delays else None
    for label, kind, order, expression, loops in delays:
        for turn in islice(product(*(range(n) for _, n in loops)), 1000):
            places = dict(zip((name for name, _ in loops), turn, strict=True))
            try:
                time = folded(_at(expression, places), label)
            except ModelError:  # a delay time that the run decides
                break
            text = _short(label, kind, order, time, step, rk4)
            if text:
                found.append(text)
                break
    return found


def _at(node: tuple, places: Mapping[str, int]) -> tuple:
    """An expression in one turn of its loops."""
    if node[0] != "item":
        return rebuilt(node, lambda part: _at(part, places))
    index = tuple(
        i if i[0] == "at" or i[1] not in places else ("at", i[2][places[i[1]]]) for i in node[2]
    )
    return ("item", node[1], index)


def _short(label: str, kind: str, order: int, time: float, step: float, rk4: bool) -> str:
    """Why a delay does not do in this step what its equation says; "" where it does."""
    if not math.isfinite(time) or time <= 0:
        return ""
    steps = time / step
    if kind == "delay fixed":
        whole = numerics.fixed_steps(time, step)
        if abs(steps - whole) > 1e-6 * max(steps, 1.0):
            return (f"{label}: a DELAY FIXED of {time:g} lasts {whole * step:g}, "
                    f"a whole number of steps ({step:g})")  # fmt: skip
    elif kind in ("delay n", "smooth n"):
        kept = math.floor(steps * (1.0 + numerics.SMALL))
        if 1 <= kept < order:
            return (f"{label}: a delay of order {order} over {time:g} keeps {kept} stage(s), one "
                    f"for each step ({step:g}), as in Vensim; "
                    "a smaller TIME STEP keeps all")  # fmt: skip
    elif steps * (1.0 + numerics.SMALL) < order * _SHORTEST["rk4" if rk4 else "euler"]:
        return (f"{label}: a delay of order {order} over {time:g} is shorter than {order} step(s) "
                f"({step:g}): it overshoots, as in Vensim; choose a smaller TIME STEP")  # fmt: skip
    return ""
