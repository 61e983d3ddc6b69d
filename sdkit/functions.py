"""The functions of the modelling language, one row each.

A row gives the number of arguments and the Python text that stands for the call, in which
{0}, {1} are the arguments, `begin` the time at which the current step began and `dt` its
length; the helpers are in `numerics.py`. A row that reads `begin` holds its value over the
whole step, as Vensim's test inputs do under every method of integration.
"""

from __future__ import annotations

from typing import NamedTuple


class Function(NamedTuple):
    """One function: `name` as Vensim or XMILE writes it, its arguments, its Python text.

    `reduces`: it takes its argument over all elements of the ranges marked with !, so that {0}
    is a generator of numbers. `noisy`: a number drawn from (0, 1) once a step follows its
    arguments.
    """

    name: str
    arguments: int
    text: str
    reduces: bool = False
    noisy: bool = False

    @property
    def held(self) -> bool:
        return "(begin," in self.text


_ROWS = (
    Function("ABS", 1, "abs({0})"),
    Function("MIN", 2, "smaller({0}, {1})"),
    Function("MAX", 2, "larger({0}, {1})"),
    Function("EXP", 1, "exp({0})"),
    Function("LN", 1, "ln({0})"),
    Function("LOG", 2, "log({0}, {1})"),
    Function("LOG10", 1, "log({0}, 10.0)"),
    Function("SQRT", 1, "sqrt({0})"),
    Function("POWER", 2, "power({0}, {1})"),
    Function("SIN", 1, "math.sin({0})"),
    Function("COS", 1, "math.cos({0})"),
    Function("TAN", 1, "math.tan({0})"),
    Function("ARCSIN", 1, "arcsin({0})"),
    Function("ARCCOS", 1, "arccos({0})"),
    Function("ARCTAN", 1, "math.atan({0})"),
    Function("SINH", 1, "math.sinh({0})"),
    Function("COSH", 1, "math.cosh({0})"),
    Function("TANH", 1, "math.tanh({0})"),
    Function("PI", 0, "math.pi"),
    Function("INTEGER", 1, "integer({0})"),
    Function("MODULO", 2, "modulo({0}, {1})"),
    Function("QUANTUM", 2, "quantum({0}, {1})"),
    Function("ZIDZ", 2, "zidz({0}, {1})"),
    Function("XIDZ", 3, "xidz({0}, {1}, {2})"),
    Function("STEP", 2, "step(begin, dt, {0}, {1})"),
    Function("RAMP", 3, "ramp(begin, {0}, {1}, {2})"),
    Function("XRAMP", 2, "ramp_on(begin, {0}, {1})"),
    Function("PULSE", 2, "pulse(begin, dt, {0}, {1})"),
    # PySD hands PULSE TRAIN over as start, interval, width, end.
    Function("PULSE TRAIN", 4, "pulse_train(begin, dt, {0}, {1}, {2}, {3})"),
    # XMILE's PULSE has a magnitude, spread over one step, and may repeat for ever.
    Function("XPULSE", 2, "pulse(begin, dt, {0}, dt) * ({1}) / dt"),
    Function("XPULSE TRAIN", 3, "pulse_train(begin, dt, {0}, {1}, dt, math.inf) * ({2}) / dt"),
    Function("XMILE INT", 1, "whole({0})"),
    Function("XMILE MOD", 2, "remainder({0}, {1})"),
    Function("XMILE ROUND", 1, "rounded({0})"),
    Function("XMILE SAFEDIV", 3, "divided({0}, {1}, {2})"),
    # The condition is written by the compiler, which alone knows a truth from a number.
    Function("IF THEN ELSE", 3, "({1} if {0} else {2})"),
    # Outside the start of a run it is its first argument.
    Function("ACTIVE INITIAL", 2, "{0}"),
    Function("SUM", 1, "total({0})", reduces=True),
    Function("PROD", 1, "product({0})", reduces=True),
    Function("VMIN", 1, "least({0})", reduces=True),
    Function("VMAX", 1, "most({0})", reduces=True),
    Function("VMIN XMILE", 1, "least({0})", reduces=True),
    Function("VMAX XMILE", 1, "most({0})", reduces=True),
    Function("RANDOM 0 1", 0, "{0}", noisy=True),
    # Their last argument is Vensim's seed; a run has one seed, from which each stream comes.
    Function("RANDOM UNIFORM", 3, "random_uniform({3}, {0}, {1})", noisy=True),
    Function("RANDOM NORMAL", 5, "random_normal({5}, {0}, {1}, {2}, {3})", noisy=True),
    Function("RANDOM EXPONENTIAL", 5, "random_exponential({5}, {0}, {1}, {2}, {3})", noisy=True),
)

FUNCTIONS = {row.name.lower().replace(" ", "_"): row for row in _ROWS}

# Functions that keep a state; formulas.py writes each as states, rates and a value.
STATEFUL = (
    "INTEG", "SMOOTH", "SMOOTHI", "SMOOTH3", "SMOOTH3I", "SMOOTH N", "DELAY1", "DELAY1I",
    "DELAY3", "DELAY3I", "DELAY N", "DELAY FIXED", "TREND", "FORECAST", "SAMPLE IF TRUE",
    "INITIAL", "GAME", "WITH LOOKUP", "ELMCOUNT", "XMILE SIZE", "GET TIME VALUE",
)  # fmt: skip

REDUCING = frozenset(k for k, row in FUNCTIONS.items() if row.reduces)

LOOKUPS = {
    "interpolate": "lookup",
    "extrapolate": "lookup_extrapolate",
    "hold_backward": "lookup_hold_backward",
    "look_forward": "lookup_look_forward",
    "raw": "lookup_raw",
}

# Functions of a named table and a number, by how they look the number up.
LOOKUP_FUNCTIONS = {
    "lookup_extrapolate": "extrapolate",
    "lookup_forward": "look_forward",
    "lookup_backward": "hold_backward",
}

# What PySD runs and is not compiled, as it is written: simulate(model, engine="pysd").
LEFT_TO_PYSD = (
    "ALLOCATE AVAILABLE", "ALLOCATE BY PRIORITY", "INVERT MATRIX", "VECTOR RANK",
    "VECTOR REORDER", "VECTOR SELECT", "VECTOR SORT ORDER",
)  # fmt: skip
