"""docs/language.md, generated: `python -m tests.language > docs/language.md`."""

from __future__ import annotations

from sdkit.functions import FUNCTIONS, STATEFUL

# name: (how it is written, what it gives)
STATELESS = {
    "ABS": ("ABS(x)", "x without its sign"),
    "MIN": ("MIN(a, b)", "the smaller of two; more than two are nested"),
    "MAX": ("MAX(a, b)", "the larger of two"),
    "EXP": ("EXP(x)", "e to the power x"),
    "LN": ("LN(x)", "natural logarithm; x above zero"),
    "LOG": ("LOG(x, base)", "logarithm to a base"),
    "LOG10": ("LOG10(x)", "logarithm to base ten (XMILE)"),
    "SQRT": ("SQRT(x)", "square root; x not below zero"),
    "POWER": ("POWER(x, y)", "x^y"),
    "SIN": ("SIN(x)", "sine of x in radians"),
    "COS": ("COS(x)", "cosine"),
    "TAN": ("TAN(x)", "tangent"),
    "ARCSIN": ("ARCSIN(x)", "arc sine in radians; x from -1 to 1"),
    "ARCCOS": ("ARCCOS(x)", "arc cosine; x from -1 to 1"),
    "ARCTAN": ("ARCTAN(x)", "arc tangent"),
    "SINH": ("SINH(x)", "hyperbolic sine"),
    "COSH": ("COSH(x)", "hyperbolic cosine"),
    "TANH": ("TANH(x)", "hyperbolic tangent"),
    "PI": ("PI()", "3.14159... (XMILE)"),
    "INTEGER": ("INTEGER(x)", "x cut towards zero: INTEGER(-2.7) = -2; XMILE writes INT"),
    "MODULO": ("MODULO(x, m)", "the rest of x/m, with the sign of x; XMILE writes x mod m"),
    "QUANTUM": ("QUANTUM(x, q)", "x cut towards zero to a multiple of q; x where q < 1e-6"),
    "ZIDZ": ("ZIDZ(a, b)", "a/b, or 0 where b lies within 1e-6 of zero"),
    "XIDZ": ("XIDZ(a, b, x)", "a/b, or x where b lies within 1e-6 of zero"),
    "STEP": ("STEP(height, start)", "0 before the start, then height; held over a step"),
    "RAMP": ("RAMP(slope, start, end)", "0, then rising from start to end; held over a step"),
    "XRAMP": ("RAMP(slope, start)", "XMILE's ramp without an end"),
    "PULSE": (
        "PULSE(start, width)",
        "1 while start < Time + TIME STEP/2 < start + width, else 0; a width of 0 is one step",
    ),
    "PULSE TRAIN": (
        "PULSE TRAIN(start, width, between, end)",
        "pulses that begin every `between` from start to end, at least one step wide",
    ),
    "XPULSE": ("PULSE(size, start)", "XMILE's pulse: size/DT for one step"),
    "XPULSE TRAIN": ("PULSE(size, start, between)", "the same, repeated"),
    "IF THEN ELSE": ("IF THEN ELSE(c, a, b)", "a where c holds, else b; the other is not computed"),
    "ACTIVE INITIAL": ("ACTIVE INITIAL(x, start)", "x; start while stocks are started"),
}
STATES = {
    "INTEG": ("INTEG(rate, start)", "a stock; XMILE's stocks may be non-negative"),
    "SMOOTH": ("SMOOTH(x, time)", "first-order smooth that starts at x"),
    "SMOOTHI": ("SMOOTHI(x, time, start)", "the same with a start of its own; XMILE SMTH1"),
    "SMOOTH3": ("SMOOTH3(x, time)", "third-order smooth"),
    "SMOOTH3I": ("SMOOTH3I(x, time, start)", "the same with a start; XMILE SMTH3"),
    "SMOOTH N": ("SMOOTH N(x, time, start, n)", "order n, which is a number; XMILE SMTHN"),
    "DELAY1": ("DELAY1(x, time)", "first-order material delay that starts in balance"),
    "DELAY1I": ("DELAY1I(x, time, start)", "the same with a start; XMILE DELAY1"),
    "DELAY3": ("DELAY3(x, time)", "third-order material delay"),
    "DELAY3I": ("DELAY3I(x, time, start)", "the same with a start; XMILE DELAY3"),
    "DELAY N": ("DELAY N(x, time, start, n)", "order n, which is a number; XMILE DELAYN"),
    "DELAY FIXED": (
        "DELAY FIXED(x, time, start)",
        "x as it was; the time is read once; XMILE DELAY",
    ),
    "TREND": ("TREND(x, time, start)", "fractional growth rate of x"),
    "SAMPLE IF TRUE": ("SAMPLE IF TRUE(c, x, start)", "x while c holds, else the last such x"),
    "INITIAL": ("INITIAL(x)", "x at the start; XMILE INIT"),
    "GAME": ("GAME(x)", "x"),
    "WITH LOOKUP": ("WITH LOOKUP(x, ((x1,y1),...))", "a table written into an equation"),
}

HEAD = """# The modelling language

What `compile_model` takes from a Vensim (`.mdl`) or XMILE file. This page is made by
`python -m tests.language > docs/language.md`; the functions are the table in
`sdkit/functions.py`, each with a small model in `tests/functions/`.

## Expressions

Numbers, names, `+ - * / ^`, parentheses; `= <> < <= > >=`, `:NOT:`, `:AND:`, `:OR:` (in
XMILE `not`, `and`, `or`). `:AND:` binds before `:OR:`. `a^b^c` is `a^(b^c)`, `-2^2` is
`-(2^2)`. `:NA:` is a missing value. `Time` is the time of the run; XMILE also has `DT`,
`STARTTIME` and `STOPTIME`. Names may be quoted; case, blanks and underscores do not tell
them apart.

Tables: named (`table((0,0),(1,2))`, read as `table(x)`), inline (`WITH LOOKUP`) and XMILE's
graphical functions. Between its points a table is a straight line. Beyond its ends it keeps
the last value, unless its type is XMILE's `extrapolate`; `discrete` keeps the value of the
point before.
"""
TAIL = """
## Where results differ from PySD's own run

`simulate(model, engine="pysd")` runs the same file through PySD 3.14. The tests hold both
against each other and give the value by hand where PySD is wrong or silent: a SMOOTH that
starts at a whole number; `:AND:` before `:OR:`; PULSE and PULSE TRAIN between two steps or
with a width of 0 (as Vensim's reference defines them); XMILE's `extrapolate` and `discrete`
inside a variable; LOG10, `DT`, `STARTTIME`, `STOPTIME`; RK4.

## What is refused

With code M109, which names variable, construct and file: subscripts and arrays, macros and
modules, data variables, GET XLS and GET DIRECT functions, random numbers, FORECAST, ALLOCATE,
LOOKUP EXTRAPOLATE, FORWARD, BACKWARD and AREA, a power of a negative number in parentheses
(`(-2)^2`, which PySD reads as `-(2^2)`), and any other function. A `.mdl` has to end with its
sketch and its settings: without them nothing tells a whole file from one that is cut off.
Integration is by Euler or RK4 with a fixed step (settings line `15:`, fourth number 0 or 2,
1 or 5).
"""


def table(names, entries) -> str:
    rows = [f"| `{entries[name][0]}` | {entries[name][1]} |" for name in names]
    return "\n".join(["| written | gives |", "| --- | --- |", *rows]) + "\n"


def page() -> str:
    stateless = table((row.name for row in FUNCTIONS.values()), STATELESS)
    return "\n".join(
        [HEAD, "## Functions\n", stateless, "## Functions that keep a state\n",
         table(STATEFUL, STATES).rstrip("\n"), TAIL.rstrip("\n")]
    )  # fmt: skip


if __name__ == "__main__":
    print(page())
