"""Time settings, and other numbers that have to be known before a run begins."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product

import numpy as np

from . import numerics
from .errors import ModelError
from .expressions import CONTROLS, key, rebuilt
from .functions import FUNCTIONS, Function
from .limits import LIMITS
from .model import Model

_NOTHING: Mapping[str, float] = {}
# Operations on arrays, by their names in expressions.
_ARRAYS = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.float_power,
    "=": np.equal, "<>": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
}  # fmt: skip


class Folded:
    """Values that only constants decide; `used` collects the labels of those constants.

    `values` replaces constants and time settings, by keys. With `start` a pair of a time and
    TIME STEP, functions of time have the value that they begin a step there with, conditions are
    taken too, and values of any variable; these, and the time, may then be arrays of one shape.
    """

    def __init__(
        self,
        model: Model,
        values: Mapping = _NOTHING,
        start: tuple | None = None,
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
                if self.start is not None and key(variable.name) in self.values:
                    return self.values[key(variable.name)]
                if variable.kind == "control":
                    self.used.add(variable.name)
                if variable.kind in ("control", "auxiliary"):
                    if key(variable.name) in self.values:
                        return self.values[key(variable.name)]
                    return self(variable.expression, where, seen | {node[1]})
        if kind == "arithmetic":
            a, b = self(node[2], where, seen), self(node[3], where, seen)
            if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
                with np.errstate(all="ignore"):
                    return _ARRAYS[node[1]](a, b)
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
        if self.start is not None and kind in ("compare", "and", "or", "not"):
            parts = [self(part, where, seen) for part in node[1 + (kind == "compare") :]]
            return _ARRAYS[node[1] if kind == "compare" else kind](*parts) * 1.0
        if self.start is not None and kind == "call" and node[1] == "if_then_else":
            condition, a, b = (self(part, where, seen) for part in node[2])
            return np.where(np.asarray(condition) != 0.0, a, b)
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

        def value(*numbers: float) -> float:
            try:
                return float(function(*numbers))
            except (ArithmeticError, ValueError):
                return math.nan

        numbers = [known[name.strip()] for name in call[2].split(",")]
        if any(isinstance(n, np.ndarray) for n in numbers):
            return np.vectorize(value, otypes=[float])(*numbers)
        return value(*numbers)


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


def cautions(settings: Mapping[str, float]) -> list[str]:
    """What a run does that its time settings do not say: an end before FINAL TIME, and values
    that are not saved there."""
    initial, final, step, saveper = (settings[k] for k in CONTROLS)
    found = []
    last = initial + math.floor((final - initial) / step + 1e-6) * step
    saved = initial + math.floor((final - initial) / saveper + 1e-6) * saveper
    if final - last > 1e-6 * step:
        found.append(f"FINAL TIME ({final:g}) is no whole number of steps ({step:g}) after INITIAL "
                     f"TIME ({initial:g}): the run ends at {last:g}")  # fmt: skip
    if last - saved > 1e-6 * step:
        found.append(f"SAVEPER ({saveper:g}) does not divide the run from {initial:g} to "
                     f"{final:g}: the last time that is saved is {saved:g}")  # fmt: skip
    return found


class Delays:
    """Looks for delays and smooths that are too short for the step.

    `delays` are rows of `Program.delays`; `step` is the time step that they are held to.
    """

    def __init__(self, model: Model, delays: Sequence[tuple], step: float, rk4: bool):
        self.model, self.step, self.rk4 = model, step, rk4
        self.as_vensim = ", as in Vensim" if model.path.suffix.lower() == ".mdl" else ""
        self.rows: dict[tuple, list[tuple]] = {}
        for label, kind, order, expression, loops in delays:
            turns = islice(product(*(range(n) for _, n in loops)), 1000)
            names = [name for name, _ in loops]
            times = (_at(expression, dict(zip(names, turn, strict=True))) for turn in turns)
            self.rows.setdefault((label, kind, order), []).extend(dict.fromkeys(times))
        self.seen = 0
        self.worst: dict[tuple, tuple[int, float, bool]] = {}

    def of_run(self, values: Mapping[str, float], begin: float) -> dict[str, str]:
        """By variable what is too short at the begin of a run; `values` go by keys."""
        found: dict[str, str] = {}
        for row, times in self._times(values, begin):
            short = times[self._short(row, times)]
            if len(short):
                found.setdefault(row[0], self._text(row, self._most(row, short)))
        return found

    def of_series(self, values: Mapping[str, np.ndarray], at: np.ndarray) -> dict[str, str]:
        """The same at the saved times `at` of a run, from its `values` (by keys, over times)."""
        found: dict[str, str] = {}
        for row, times in self._times(values, at):
            if row[1] in ("delay fixed", "delay n", "smooth n"):
                continue  # its time is read once, at the begin
            times = np.broadcast_to(times, at.shape)
            short = self._short(row, times)
            if short.any():
                where = (f" (at {short.sum()} of {len(at)} saved times, first at "
                         f"{at[short][0]:g}; the shortest is given)")  # fmt: skip
                found.setdefault(row[0], self._text(row, self._most(row, times[short])) + where)
        return found

    def look(self, program, packed: np.ndarray) -> None:
        """Count lanes: `packed` (lanes, parameters) has the constants of a Program in each."""
        self.seen += len(packed)
        begin = program.initial_time
        values = {key(name): packed[:, i] for i, name in enumerate(program.parameters[:-4])}
        short: dict[tuple, np.ndarray] = {}
        for row, times in self._times(values, begin):
            times = np.broadcast_to(times, len(packed))
            own = self._short(row, times)
            if not own.any():
                continue
            short[row] = short.get(row, False) | own
            now, before = self._most(row, times[own]), self.worst.get(row)
            worst = now if before is None else self._most(row, np.array([before[1], now]))
            same = bool((times == now).all()) and (before is None or before[1:] == (now, True))
            self.worst[row] = (before[0] if before else 0, worst, same)
        for row, own in short.items():
            count, worst, same = self.worst[row]
            self.worst[row] = (count + int(own.sum()), worst, same)

    def of_lanes(self) -> dict[str, str]:
        """By variable what is too short in lanes that were looked at, and in how many."""
        found: dict[str, str] = {}
        for row, (count, worst, same) in self.worst.items():
            where = f" (in {count} of {self.seen} runs; the worst time is given)"
            where = "" if same and count == self.seen else where
            found.setdefault(row[0], self._text(row, worst) + where)
        return found

    def _times(self, values, begin) -> Iterator[tuple[tuple, np.ndarray]]:
        """Of each row the times that `values` decide, as arrays."""
        folded = Folded(self.model, values, (begin, self.step))
        for row, expressions in self.rows.items():
            for expression in expressions:
                try:
                    yield row, np.atleast_1d(np.asarray(folded(expression, row[0]), dtype=float))
                except ModelError:  # something else decides it
                    continue

    def _off(self, row: tuple, times: np.ndarray) -> np.ndarray:
        """How many steps a DELAY FIXED is longer or shorter than it says."""
        steps = times / self.step
        return np.abs(steps - np.floor(np.maximum(steps, 1.0) + 0.5 + numerics.SMALL))

    def _most(self, row: tuple, times: np.ndarray) -> float:
        """The time that is furthest from what its equation says."""
        return float(times[self._off(row, times).argmax()] if row[1] == "delay fixed"
                     else times.min())  # fmt: skip

    def _short(self, row: tuple, times: np.ndarray) -> np.ndarray:
        """Where a delay does not do in this step what its equation says."""
        _, kind, order = row
        with np.errstate(all="ignore"):
            steps = times / self.step
            # What is longer than any run is not too short; NaN is neither.
            sound = (steps > 0) & (steps < 1e9)
            if kind == "delay fixed":
                return sound & (self._off(row, times) > 1e-6 * np.maximum(steps, 1.0))
            if kind in ("delay n", "smooth n"):
                kept = np.floor(steps * (1.0 + numerics.SMALL))
                return sound & (kept >= 1) & (kept < order)
            shortest = order * _SHORTEST["rk4" if self.rk4 else "euler"]
            return sound & (steps * (1.0 + numerics.SMALL) < shortest)

    def _text(self, row: tuple, time: float) -> str:
        label, kind, order = row
        step = self.step
        if kind == "delay fixed":
            whole = numerics.fixed_steps(time, step)
            name = "DELAY FIXED" if self.as_vensim else "DELAY"
            return (f"{label}: a {name} of {time:g} lasts {whole * step:g}, "
                    f"a whole number of steps ({step:g})")  # fmt: skip
        name = "delay" if kind in ("delay", "delay n") else "smooth"
        what = f"{label}: a {name} of order {order} over {time:g}"
        if kind in ("delay n", "smooth n"):
            kept = math.floor(time / step * (1.0 + numerics.SMALL))
            return (f"{what} keeps {kept} stage(s), one for each step ({step:g}){self.as_vensim}; "
                    "a smaller TIME STEP keeps all")  # fmt: skip
        return (f"{what} is shorter than {order} step(s) ({step:g}): it overshoots"
                f"{self.as_vensim}; choose a smaller TIME STEP")  # fmt: skip


def _at(node: tuple, places: Mapping[str, int]) -> tuple:
    """An expression in one turn of its loops."""
    if node[0] != "item":
        return rebuilt(node, lambda part: _at(part, places))
    index = tuple(
        i if i[0] == "at" or i[1] not in places else ("at", i[2][places[i[1]]]) for i in node[2]
    )
    return ("item", node[1], index)
