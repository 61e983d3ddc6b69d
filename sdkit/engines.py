"""One model in every engine: the compiled kernel, plain Python, PySD and pysimlin.

Where two engines that share no code give the same numbers, an error of both is unlikely.
The difference of two engines in a variable is taken at each saved time and divided by the
variable's largest magnitude over the run in either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .compile import Program, compile_model
from .errors import DependencyError, Error, plainly
from .experiment import Experiment, Setting
from .expressions import key, walk
from .functions import FUNCTIONS
from .model import XMILE, Model, read_model
from .noise import draws_numbers
from .simulation import by_label, simulate
from .structure import run_with_simlin

COMPILED, PLAIN, PYSD, SIMLIN = "compiled", "plain", "PySD", "pysimlin"
LIMIT = 1e-6  # between engines that share no code
SAME = 1e-9  # between the compiled kernel and the plain run of the same text
# The difference of large numbers is left with their rounding; so much of them is no difference.
ROUNDING = 1e-12
MANY = 100_000  # variables times steps from which on it takes long enough to say so
NAMED = 3

Values = Mapping[str, np.ndarray]


class Cause(NamedTuple):
    """A known reason to differ: in which engines, method ("" for any) and expressions."""

    engines: tuple[str, ...]
    method: str
    text: str
    holds: Callable[[Model, tuple], bool]


@dataclass(frozen=True)
class Agreement:
    """Two engines over one run by one method.

    `largest` is the largest difference, relative to the variable's largest magnitude, at
    `time` in `variable` (infinite where only one gives a number); `over` the variables
    above LIMIT, the worst first. `passed` is None for a pair that is shown but not judged.
    """

    engines: tuple[str, str]
    method: str
    compared: int
    largest: float
    variable: str
    time: float
    over: tuple[str, ...]
    passed: bool | None


@dataclass
class Engines:
    """What came of a model in all engines.

    `agreements` by method and pair; `refused` (engine, method, why); `absent` the variables
    that an engine does not give; `causes` known reasons, with the differing variables that
    hold them.
    """

    model: Model
    times: np.ndarray
    agreements: list[Agreement] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    causes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(a.passed is not False for a in self.agreements)


def compare_engines(path: str | Path, say: Callable[[str], None] = lambda _: None) -> Engines:
    """Run a model with its default values in every engine and compare all variables.

    By Euler, and where the file says RK4 by RK4 first (PySD has Euler only). `say` is told
    each run before it begins. Raises what `read_model` and `compile_model` raise, and
    SimulationError S201 or S202 where the model's own default run fails. What another engine
    raises becomes a refusal.
    """
    model = read_model(path)
    program = compile_model(model)
    steps = round((program.final_time - program.initial_time) / program.time_step)
    count = len(program.outputs)
    long = "; compiling may need a minute, PySD some" if count * steps > MANY else ""
    say(f"{model.path.name}: {count} variables, {steps} steps{long}")
    found = Engines(model, np.array([]))
    for method in dict.fromkeys((model.method, "euler")):
        runs: dict[str, Values] = {}
        for engine in (PLAIN, COMPILED, PYSD, SIMLIN):
            if engine == PYSD and method != "euler":
                continue
            say(f"{engine}, {_title(method)}")
            try:
                times, values = _run(engine, program, method, found.times)
                if not len(found.times):
                    found.times = times
                runs[engine] = _at(found.times, program.time_step, times, values)
                found.absent[engine] = tuple(n for n in program.outputs if n not in values)
            except DependencyError as error:
                found.refused.append((engine, method, error.message))
            except Exception as error:  # PySD and pysimlin raise anything
                if engine in (PLAIN, COMPILED) and method == model.method:
                    raise
                found.refused.append((engine, method, _sentence(error)))
        for pair in _pairs(runs):
            found.agreements.append(_agreement(found, pair, runs, method))
    return found


def _run(engine: str, program: Program, method: str, times) -> tuple[np.ndarray, Values]:
    """Saved times (shape: times), and the values of each variable at them by its label."""
    if engine == SIMLIN:
        return run_with_simlin(program.model, method)
    if engine == PYSD:
        result = simulate(program.model, engine="pysd", method=method)
    elif engine == PLAIN:
        result = simulate(program, method=method)
    else:
        one = (Setting("default"),)
        # Draw 0, whose random numbers a single run has.
        draws = pd.DataFrame(index=pd.RangeIndex(1, name="draw"))
        names = dict.fromkeys(program.model.owners[label].name for label in program.outputs)
        lanes = Experiment(one, one, draws, tuple(names), times)
        result = simulate(program, lanes, method=method)
    return result["time"].to_numpy(), by_label(program.model, result)


def _sentence(error: Exception) -> str:
    if isinstance(error, Error):
        return error.message[:200]
    return plainly(error) or "it stopped, and does not say why in words"


def _at(wanted: np.ndarray, step: float, times: np.ndarray, values: Values) -> Values:
    """The values at the wanted times; ValueError where an engine did not save them all."""
    if not values:
        raise ValueError("it gives no variable of the model")
    room = 1e-6 * step
    place = np.minimum(np.searchsorted(times, wanted - room), len(times) - 1)
    near = np.abs(times[place] - wanted) <= room
    if not near.all():
        raise ValueError(f"it gives {near.sum()} of the {len(wanted)} saved times")
    return {name: np.asarray(row, dtype=float)[place] for name, row in values.items()}


def _pairs(runs: Mapping[str, Values]) -> list[tuple[str, str]]:
    """Each engine with the compiled one, and the two independent ones with each other."""
    order = [engine for engine in (COMPILED, PLAIN, PYSD, SIMLIN) if engine in runs]
    return [pair for pair in combinations(order, 2) if PLAIN not in pair or COMPILED in pair]


def _agreement(found: Engines, pair, runs: Mapping[str, Values], method: str) -> Agreement:
    one, other = runs[pair[0]], runs[pair[1]]
    both = [name for name in one if name in other]
    largest = {name: _difference(found.model, name, one, other) for name in both}
    worst = max(both, key=lambda n: largest[n].max())
    over = sorted((n for n in both if largest[n].max() > LIMIT), key=lambda n: -largest[n].max())
    peak = float(largest[worst].max())
    limit = {PLAIN: SAME, PYSD: LIMIT}.get(pair[1]) if pair[0] == COMPILED else None
    # Other random numbers are no fault, nor is what PySD makes of XMILE: Vensim's meanings.
    if pair[1] == PYSD and (draws_numbers(found.model) or _is_xmile(found.model)):
        limit = None
    _explain(found, pair, method, over)
    return Agreement(
        pair, method, len(both), peak, worst, float(found.times[largest[worst].argmax()]),
        tuple(over), None if limit is None else peak <= limit,
    )  # fmt: skip


def _is_xmile(model: Model) -> bool:
    return model.path.suffix.lower() in XMILE


def _difference(model: Model, name: str, one: Values, other: Values) -> np.ndarray:
    """Relative differences of a variable (shape: times)."""
    a, b = one[name], other[name]
    terms = [model.find(n).name for n in _summands(model.find(name).expression) if model.has(n)]
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a - b)
        gap[gap <= ROUNDING * max((_peak(one[n]) for n in terms if n in one), default=0.0)] = 0.0
        relative = gap / (max(_peak(a), _peak(b)) or 1.0)
    relative[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    relative[np.isnan(relative)] = np.inf
    return relative


def _peak(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if len(finite) else 0.0


def _summands(node: tuple) -> list[str]:
    """The names that an expression adds up."""
    if node[0] == "arithmetic" and node[1] in "+-":
        return _summands(node[2]) + _summands(node[3])
    return [node[1]] if node[0] == "name" else []


# -- known causes ----------------------------------------------------------------------------


def _whole(model: Model, node: tuple) -> bool:
    """Whether PySD computes an expression in whole numbers."""
    if node[0] == "number":
        return float(node[1]).is_integer()
    if node[0] == "name":
        return model.has(node[1]) and _whole(model, model.find(node[1]).expression)
    parts = node[2:] if node[0] == "arithmetic" and node[1] in "+-*^" else ()
    return bool(parts) and all(_whole(model, part) for part in parts)


def _call(*names: str) -> Callable[[Model, tuple], bool]:
    return lambda _, node: node[0] == "call" and node[1] in names


# Of PySD 3.14.3 and pysimlin 0.8.5; tests/test_engines.py shows each in numbers.
# docs/design.md, "Where PySD is not followed", says which reading is Vensim's.
CAUSES = (
    Cause((PYSD,), "", "PySD cuts what enters a SMOOTH that starts at a whole number to whole "
          "numbers in the first step", lambda model, node: node[0] == "state"
          and node[1] in ("smooth", "smooth n") and _whole(model, node[2][2])),
    Cause((PYSD,), "", "PySD nests a :AND: b :OR: c to the right", lambda _, node:
          node[0] == "or" and node[1][0] == "and"),
    Cause((PYSD,), "", "PySD interpolates every graphical function inside a variable",
          lambda _, node: node[0] == "table" and node[1][2] != "interpolate"),
    Cause((PYSD, SIMLIN), "", "a PULSE that begins between two steps or is shorter than one is "
          "compared with the middle of a step here, as Vensim's manual has it",
          _call("pulse", "pulse_train", "xpulse", "xpulse_train")),
    Cause((PYSD, SIMLIN), "", "each engine draws random numbers of its own",
          _call(*(name for name, row in FUNCTIONS.items() if row.noisy))),
    Cause((PYSD,), "", "PySD takes stages from a delay in all elements of an array where one is "
          "short", lambda model, node: node[0] == "parts" and any(
              n[:2] in (("state", "delay"), ("state", "delay n")) for n in walk(node))),
    Cause((PYSD,), "", "PySD drops stages of a DELAY3 that is shorter than three steps; Vensim's "
          "manual gives it three", lambda _, node: node[:2] == ("state", "delay")),
    Cause((PYSD,), "", "PySD's SMOOTH N keeps stages that Vensim's manual drops where the time is "
          "short", lambda _, node: node[:2] == ("state", "smooth n")),
    Cause((PYSD,), "", "PySD's MODULO and QUANTUM leave a number alone where the divisor is below "
          "1e-6", _call("modulo", "quantum")),
    Cause((SIMLIN,), "rk4", "pysimlin evaluates STEP, RAMP and PULSE inside an RK4 step; they hold "
          "over it here, as Vensim's manual has it",
          _call(*(name for name, row in FUNCTIONS.items() if row.held))),
    Cause((SIMLIN,), "", "pysimlin runs DELAY FIXED as an exponential delay",
          lambda _, node: node[:2] == ("state", "delay fixed")),
    Cause((SIMLIN,), "", "pysimlin lets a non-negative stock or flow run below zero",
          lambda model, node: node[:2] == ("state", "non-negative stock")
          or (node[:2] == ("call", "max") and _is_xmile(model))),
    Cause((PYSD, SIMLIN), "", "PySD and pysimlin hold no outflow of a non-negative stock back",
          lambda model, node: _is_xmile(model) and node[:2] == ("call", "min")
          and node[2][1][:2] == ("call", "max") and node[2][1][2][1] == ("number", 0.0)),
    Cause((PYSD,), "", "PySD cuts XMILE's INT towards zero, gives MOD the sign of the dividend "
          "and takes what is near zero for zero in SAFEDIV",
          _call("xmile_int", "xmile_mod", "xmile_safediv")),
    Cause((PYSD,), "", "PySD reads XMILE's NOT a > b as NOT (a > b)", lambda model, node:
          _is_xmile(model) and node[0] == "compare" and "not" in (node[2][0], node[3][0])),
    Cause((PYSD,), "", "PySD passes over <init_eqn>", lambda model, node:
          _is_xmile(model) and node[:2] == ("call", "active_initial")),
    Cause((SIMLIN,), "", "pysimlin reads the names pi, dt, starttime, stoptime and inf as XMILE's "
          "own", lambda model, node: node[0] == "name" and model.has(node[1])
          and node[1] in ("pi", "dt", "starttime", "stoptime", "inf")),
    Cause((SIMLIN,), "", "pysimlin's INTEGER rounds down, its MODULO has the sign of the divisor",
          _call("integer", "modulo")),
    Cause((SIMLIN,), "", "pysimlin reads :NOT: a > b as (:NOT: a) > b", lambda _, node:
          node[0] == "not" and node[1][0] == "compare"),
)  # fmt: skip


def _explain(found: Engines, pair: tuple[str, str], method: str, over: Sequence[str]) -> None:
    """Note the known causes that stand in variables of `over`; their readers differ with them."""
    for cause in CAUSES:
        if set(pair).isdisjoint(cause.engines) or cause.method not in ("", method):
            continue
        names = tuple(
            name
            for name in over
            if any(cause.holds(found.model, n) for n in walk(found.model.owners[name].expression))
        )
        if names:
            known = found.causes.get(cause.text, ())
            found.causes[cause.text] = tuple(dict.fromkeys(known + names))


def unexplained(found: Engines, agreement: Agreement) -> list[str]:
    """Those of `agreement.over` that neither hold a known cause nor depend on one that does."""
    model = found.model
    over = {key(name) for name in agreement.over}
    told = [c.text for c in CAUSES if not set(agreement.engines).isdisjoint(c.engines)]
    reached = over & {key(name) for text in told for name in found.causes.get(text, ())}
    readers: dict[str, set[str]] = {}
    for name, variable in model.variables.items():
        for node in walk(variable.expression):
            if node[0] in ("name", "lookup"):
                readers.setdefault(node[1], set()).add(key(name))
    waiting = list(reached)
    while waiting:
        new = readers.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return [name for name in agreement.over if key(name) not in reached]


# -- in words --------------------------------------------------------------------------------


def _title(method: str) -> str:
    return {"euler": "Euler", "rk4": "RK4"}[method]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


def engine_lines(found: Engines) -> list[str]:
    """The comparison as a table for a terminal, and what has to be said of it, line by line."""
    rows = [("", "engines", "method", "variables", "largest", "over 1e-6", "variable", "time")]
    notes = [
        f"      {engine} gives no value of {len(names)} variables ({_listed(names)})"
        for engine, names in found.absent.items()
        if names
    ]
    for a in found.agreements:
        mark = "pass" if a.passed else "FAIL"
        if a.passed is None:
            mark = "note" if a.over else "pass"
        where = (a.variable, f"{a.time:g}") if a.largest else ("", "")
        pair, method = ", ".join(a.engines), _title(a.method)
        peak = f"{a.largest:.1e}" if a.largest else "0"
        rows.append((mark, pair, method, f"{a.compared}", peak, f"{len(a.over)}", *where))
        if COMPILED in a.engines and a.over and (rest := unexplained(found, a)):
            notes.append(
                f"      {pair}, {method}: no known cause for {len(rest)} of the {len(a.over)} "
                f"variables over 1e-6 ({_listed(rest)})"
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            cell.rjust(width) if 3 <= i <= 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    judged = [a.passed for a in found.agreements if a.passed is not None]
    alone = not {PYSD, SIMLIN} & found.absent.keys()
    return [
        f"{found.model.path.name}: the largest difference of two engines at {len(found.times)} "
        "saved times, as a share of the variable's largest magnitude over the run",
        *table,
        *(f"skip  {engine}, {_title(method)}: {why}" for engine, method, why in found.refused),
        *notes,
        *(f"      known: {text} ({_listed(names)})" for text, names in found.causes.items()),
        f"{sum(judged)} of {len(judged)} comparisons passed (up to {LIMIT:g}; with the plain run "
        f"up to {SAME:g}; pysimlin's are not counted)"
        + ("; no other engine ran the model" if alone else ""),
    ]
