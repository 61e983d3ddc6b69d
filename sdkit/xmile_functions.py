"""The built-in functions of XMILE, each as the expression that stands for it.

Meanings are those of the XMILE specification 1.0, sections 3.5 and 3.7.1.3; what it does not
have is Stella's (its help on built-in functions). They differ from Vensim's functions of the same
names, so nothing that is not in this table is taken from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .errors import ModelError
from .expressions import DEEPEST_DELAY, children, held_twice

ZERO, ONE = ("number", 0.0), ("number", 1.0)
START, STEP = ("name", "starttime"), ("name", "dt")


class Builtin(NamedTuple):
    """A function: how many arguments it takes (`most` None: any number), and what it stands for.

    `build` takes the arguments and the number of the call in its equation.
    """

    least: int
    most: int | None
    build: Callable[[tuple, int], tuple]


def call(name: str, *arguments: tuple) -> tuple:
    return ("call", name, arguments)


def add(a: tuple, b: tuple) -> tuple:
    return ("arithmetic", "+", a, b)


def subtract(a: tuple, b: tuple) -> tuple:
    return ("arithmetic", "-", a, b)


def multiply(a: tuple, b: tuple) -> tuple:
    return ("arithmetic", "*", a, b)


def divide(a: tuple, b: tuple) -> tuple:
    return ("arithmetic", "/", a, b)


def state(kind: str, *parts: tuple) -> tuple:
    """Something that an equation remembers; M110 where too many stand one inside another."""
    node = ("state", kind, parts)
    if _depth(node) > DEEPEST_DELAY:
        raise ModelError("M110", f"delays one inside another, over {DEEPEST_DELAY}")
    return held_twice(node)


def _depth(node: tuple) -> int:
    inside = max(map(_depth, children(node)), default=0)
    return inside + (node[0] == "state")


def _plain(name: str, arguments: int = 1) -> Builtin:
    return Builtin(arguments, arguments, lambda a, _: call(name, *a))


def _delay(kind: str, order: float) -> Builtin:
    """DELAY1 and its like: the input, a time and perhaps a start, which is the input's if not."""
    return Builtin(
        2, 3, lambda a, _: state(kind, a[0], a[1], a[2] if a[2:] else a[0], ("number", order))
    )


def _of_order(kind: str) -> Builtin:
    """DELAYN and SMTHN: the order stands before the start."""
    return Builtin(3, 4, lambda a, _: state(kind, a[0], a[1], a[3] if a[3:] else a[0], a[2]))


def trend(a: tuple, number: int = 0) -> tuple:
    """(x - mean)/(mean*time); the mean is a smooth that starts at x/(1 + trend*time)."""
    x, time, start = (*a, ZERO)[:3]
    mean = state("smooth", x, time, divide(x, add(ONE, multiply(start, time))), ONE)
    return call("xmile_safediv", subtract(x, mean), multiply(mean, time), ZERO)


def _forecast(a: tuple, number: int) -> tuple:
    x, time, horizon, start = (*a, ZERO)[:4]
    return multiply(x, add(ONE, multiply(trend((x, time, start)), horizon)))


def _random(name: str, arguments: tuple, number: int) -> tuple:
    """A draw from the stream of this call; the seed in the file is not followed."""
    noise = ("state", "noise", (("number", float(number)),))
    return held_twice(call(name, *arguments, ZERO, noise))


def _normal(a: tuple, number: int) -> tuple:
    # Beyond 40 standard deviations a double has no probability left to cut off.
    wide = multiply(("number", 40.0), a[1])
    return _random("random_normal", (subtract(a[0], wide), add(a[0], wide), *a[:2]), number)


def _exponential(a: tuple, number: int) -> tuple:
    high = multiply(("number", 1000.0), a[0])
    return _random("random_exponential", (ZERO, high, ZERO, a[0]), number)


def _uniform(a: tuple, number: int) -> tuple:
    return _random("random_uniform", a[:2], number)


def _wave(function: str) -> Builtin:
    def build(a: tuple, _: int) -> tuple:
        turn = divide(multiply(multiply(("number", 2.0), call("pi")), ("name", "time")), a[1])
        return multiply(a[0], call(function, turn))

    return Builtin(2, 2, build)


def _ramp(a: tuple, _: int) -> tuple:
    if len(a) == 3:
        return call("ramp", *a)
    return call("xramp", a[0], a[1] if a[1:] else START)


def pulse(a: tuple, isee: bool) -> tuple:
    """A pulse of one DT; without an interval the specification has one, Stella one each DT."""
    first = a[1] if a[1:] else START
    if not a[2:] and not isee:
        return call("xpulse", first, a[0])
    return call("xpulse_train", first, a[2] if a[2:] else STEP, a[0])


BUILTINS = {
    **{name: _plain(name) for name in (
        "abs", "exp", "ln", "log10", "sqrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    )},
    "int": _plain("xmile_int"),
    "round": _plain("xmile_round"),
    "percent": Builtin(1, 1, lambda a, _: multiply(a[0], ("number", 100.0))),
    "safediv": Builtin(
        2, 3, lambda a, _: call("xmile_safediv", a[0], a[1], a[2] if a[2:] else ZERO)
    ),
    "if_then_else": _plain("if_then_else", 3),
    "delay": Builtin(
        2, 3, lambda a, _: state("delay fixed", a[0], a[1], a[2] if a[2:] else a[0])
    ),
    "delay1": _delay("delay", 1.0),
    "delay3": _delay("delay", 3.0),
    "delayn": _of_order("delay"),  # stages as DELAY3 has them; Vensim's DELAY N keeps the times
    "smth1": _delay("smooth", 1.0),
    "smth3": _delay("smooth", 3.0),
    "smthn": _of_order("smooth"),
    "trend": Builtin(2, 3, trend),
    "forcst": Builtin(3, 4, _forecast),
    "init": Builtin(1, 1, lambda a, _: state("initial", a[0])),
    "previous": Builtin(2, 2, lambda a, _: state("delay fixed", a[0], STEP, a[1])),
    "step": _plain("step", 2),
    "ramp": Builtin(1, 3, _ramp),
    "sinwave": _wave("sin"),
    "coswave": _wave("cos"),
    "random": Builtin(2, 3, _uniform),
    "uniform": Builtin(2, 3, _uniform),
    "normal": Builtin(2, 3, _normal),
    "exprnd": Builtin(1, 2, _exponential),
}  # fmt: skip

# Written by the parser, which knows what an array is and whose file it reads.
OTHERS = ("max", "min", "mean", "sum", "prod", "size", "pulse", "lookup")

# Known, and refused by name rather than as an unknown function.
REFUSED = (
    "lognormal", "poisson", "stddev", "rank", "history", "counter", "lookupinv", "lookupxy",
    "lookuparea", "lookupmean", "endval", "cgrowth", "rework", "runcount", "switch", "rootn",
    "binomial", "beta", "gamma", "geometric", "montecarlo", "pareto", "triangular", "weibull",
    "logistic", "invnorm", "normalcdf", "factorial", "combinations", "permutations", "irr", "npv",
    "pmt", "pv", "fv", "squarewave", "triangle", "cycletime", "throughput", "qelem", "qlen", "oven",
    "canleak", "interpolate", "nan", "derivn", "sensirunnum", "depreciate", "allocate",
)  # fmt: skip
