"""The plain run of a program, and which variable it was when a run fails."""

from __future__ import annotations

import math
import re
import traceback
from dataclasses import replace
from functools import lru_cache

from .compile import Program, compile_model


@lru_cache(maxsize=16)
def plain(source: str) -> dict:
    namespace = {"__name__": "sdkit_program"}
    exec(compile(source, "<sdkit program>", "exec"), namespace)  # text that sdkit generated
    return namespace


def scratch(program: Program) -> list[list[float]]:
    return [[0.0] * max(program.states, len(program.outputs), 1) for _ in range(8)]


def explain(program: Program, error: Exception, s, work) -> tuple[str | None, str]:
    """The variable at which a plain run stopped, and why."""
    if isinstance(error, FloatingPointError):
        for i, value in enumerate(s):
            if not math.isfinite(value):
                return program.slots[i], f"became {value}"
        first = {}
        for line, name in program.lines.items():
            first.setdefault(name, line)
        bad = [n for n, v in zip(program.outputs, work[5], strict=False) if not math.isfinite(v)]
        if bad:
            name = min(bad, key=lambda n: first.get(program.model.owners[n].name, 0))
            return name, f"became {dict(zip(program.outputs, work[5], strict=False))[name]}"
        return None, str(error)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == "<sdkit program>" and frame.lineno in program.lines:
            return _element(program, frame.lineno, error), _reason(error)
    return None, _reason(error)


def _element(program: Program, line: int, error: Exception) -> str:
    """The variable that a line computes; of an array the element that it had come to."""
    name = program.lines[line]
    variable = program.model.variables.get(name)
    target = re.match(r"\s*\w+\[([\w *+]+)\] = ", program.source.splitlines()[line - 1])
    if variable is None or not variable.axes or target is None:
        return name
    step, names = error.__traceback__, {}
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<sdkit program>" and step.tb_lineno == line:
            names = step.tb_frame.f_locals
        step = step.tb_next
    place = 0
    for term in target[1].split(" + "):
        factors = [int(f) if f.isdigit() else names.get(f) for f in term.split(" * ")]
        if not all(isinstance(factor, int) for factor in factors):
            return name
        place += math.prod(factors)
    # States and memory stand under other names; their places are not those of elements.
    own = re.match(r"\s*[smdo]\[", program.source.splitlines()[line - 1])
    return name if own or place >= len(variable.labels) else variable.labels[place]


def _reason(error: Exception) -> str:
    if isinstance(error, OverflowError):
        return "a number too large to hold"
    return str(error).removeprefix("float ")


def trace(program: Program, p, s, m, step: int, rk4: bool, dt: float) -> tuple[str | None, str]:
    """Repeat one step of a failed lane in plain Python to find the variable that failed.

    An exception names its variable in the program that ran. A value that merely became
    infinite shows there in a state or an output only; the program of all variables shows
    where it began.
    """
    found, value_only = _repeat(program, p, s, m, step, rk4, dt)
    if found is not None and not value_only:
        return found
    times = ("initial_time", "final_time", "time_step", "saveper")
    whole = replace(_all_variables(program), **{name: getattr(program, name) for name in times})
    everything, also_value = _repeat(whole, p, s, m, step, rk4, dt)
    if everything is not None and also_value:
        return everything
    return found or (None, "became NaN or infinite")


_latest: dict[str, Program] = {}


def _all_variables(program: Program) -> Program:
    """The model compiled for every variable, kept while lanes of one model fail."""
    if program.model.hash not in _latest:
        _latest.clear()
        _latest[program.model.hash] = compile_model(program.model)
    return _latest[program.model.hash]


def _repeat(program: Program, p, s, m, step, rk4, dt) -> tuple[tuple[str | None, str] | None, bool]:
    """What stops one step of a program, if anything; and whether it was a value, no exception."""
    for i, value in enumerate(s if step >= 0 else ()):  # before step 0 states are made anew
        if not math.isfinite(value):
            return (program.slots[i], f"became {value}"), True
    space = plain(program.source)
    p, s, m = list(map(float, p)), list(map(float, s)), list(map(float, m))
    c, work, at = [0.0] * program.derived, scratch(program), [-1]
    x, y = [0.0] * program.drivers, [0.0] * program.drivers
    out = [[0.0, 0.0] for _ in program.outputs]
    start = program.initial_time
    try:
        space["constants"](p, c, start, dt)
        space["drivers"](start + max(step, 0) * dt, dt, p, c, x)
        if step < 0:
            space["initial"](start, dt, p, c, x, s, m)
            step = 0
        space["run"](p, c, x, y, s, m, work, step, step + 1, [step], rk4, start, dt, out, at)
    except (ArithmeticError, ValueError) as error:
        return explain(program, error, s, work), isinstance(error, FloatingPointError)
    return None, True
