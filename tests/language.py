"""docs/language.md, generated: `python -m tests.language > docs/language.md`."""

from __future__ import annotations

from sdkit.functions import FUNCTIONS, LEFT_TO_PYSD, LOOKUP_FUNCTIONS, STATEFUL
from sdkit.limits import LIMITS

# name: (how it is written, what it gives)
STATELESS = {
    "ABS": ("ABS(x)", "x without its sign"),
    "MIN": ("MIN(a, b)", "the smaller of two; XMILE takes any number"),
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
    "INTEGER": ("INTEGER(x)", "x cut towards zero: INTEGER(-2.7) = -2"),
    "MODULO": (
        "MODULO(x, m)",
        "the rest of x/m, with the sign of x, as in C; m = 0 stops (S201)",
    ),
    "QUANTUM": (
        "QUANTUM(x, q)",
        "x cut towards zero to a multiple of q; x where q is not above zero",
    ),
    "ZIDZ": ("ZIDZ(a, b)", "a/b, or 0 where b lies within 1e-6 of zero"),
    "XIDZ": ("XIDZ(a, b, x)", "a/b, or x where b lies within 1e-6 of zero"),
    "STEP": ("STEP(height, start)", "0 before the start, then height; held over a step"),
    "RAMP": ("RAMP(slope, start, end)", "0, then rising from start to end; held over a step"),
    "XRAMP": ("RAMP(slope, start)", "XMILE's ramp without an end"),
    "PULSE": (
        "PULSE(start, width)",
        "1 while start <= Time + TIME STEP/2 < start + width, else 0; a width of 0 is one step",
    ),
    "PULSE TRAIN": (
        "PULSE TRAIN(start, width, between, end)",
        "pulses that begin every `between` from start to end, at least one step wide",
    ),
    "XPULSE": ("PULSE(size, start)", "XMILE's pulse: size/DT for one step"),
    "XPULSE TRAIN": ("PULSE(size, start, between)", "the same, repeated; between = 0: once"),
    "XMILE INT": ("INT(x)", "XMILE's: the next whole number below, INT(-2.7) = -3"),
    "XMILE MOD": ("x MOD m", "XMILE's: the rest with the sign of m, -7 MOD 3 = 2"),
    "XMILE ROUND": ("ROUND(x)", "Stella's: the nearest whole number, a half away from zero"),
    "XMILE SAFEDIV": (
        "SAFEDIV(a, b, x)",
        "Stella's: a/b, or x (0 if not given) where b is 0 itself; a//b is SAFEDIV(a, b)",
    ),
    "IF THEN ELSE": ("IF THEN ELSE(c, a, b)", "a where c holds, else b; the other is not computed"),
    "ACTIVE INITIAL": ("ACTIVE INITIAL(x, start)", "x; start while stocks are started"),
    "SUM": ("SUM(x[range!])", "the sum over the ranges that are marked with !"),
    "PROD": ("PROD(x[range!])", "the product"),
    "VMIN": ("VMIN(x[range!])", "the smallest"),
    "VMAX": ("VMAX(x[range!])", "the largest"),
    "VMIN XMILE": ("MIN(x[*])", "XMILE's smallest of an array"),
    "VMAX XMILE": ("MAX(x[*])", "XMILE's largest of an array"),
    "RANDOM 0 1": ("RANDOM 0 1()", "uniform between 0 and 1, drawn once a step"),
    "RANDOM UNIFORM": ("RANDOM UNIFORM(low, high, seed)", "uniform between low and high"),
    "RANDOM NORMAL": (
        "RANDOM NORMAL(low, high, mean, deviation, seed)",
        "normal, cut off at low and high",
    ),
    "RANDOM EXPONENTIAL": (
        "RANDOM EXPONENTIAL(low, high, shift, stretch, seed)",
        "exponential with mean `stretch` from the larger of low and shift on, cut off at high",
    ),
}
STATES = {
    "INTEG": ("INTEG(rate, start)", "a stock; of XMILE's non-negative stocks below"),
    "SMOOTH": ("SMOOTH(x, time)", "first-order smooth that starts at x"),
    "SMOOTHI": ("SMOOTHI(x, time, start)", "the same with a start of its own; XMILE SMTH1"),
    "SMOOTH3": ("SMOOTH3(x, time)", "third-order smooth"),
    "SMOOTH3I": ("SMOOTH3I(x, time, start)", "the same with a start; XMILE SMTH3"),
    "SMOOTH N": (
        "SMOOTH N(x, time, start, n)",
        "order n, a number; drops stages as DELAY N does; XMILE SMTHN",
    ),
    "DELAY1": ("DELAY1(x, time)", "first-order material delay that starts in balance"),
    "DELAY1I": ("DELAY1I(x, time, start)", "the same with a start; XMILE DELAY1"),
    "DELAY3": (
        "DELAY3(x, time)",
        "third-order material delay; three stages however short the time is",
    ),
    "DELAY3I": ("DELAY3I(x, time, start)", "the same with a start; XMILE DELAY3"),
    "DELAY N": (
        "DELAY N(x, time, start, n)",
        "order n, a number; no more stages than steps in the time",
    ),
    "DELAY FIXED": (
        "DELAY FIXED(x, time, start)",
        "x as it was; the time is read once, one step at least, rounded to steps; XMILE DELAY",
    ),
    "TREND": ("TREND(x, time, start)", "fractional growth rate of x"),
    "FORECAST": ("FORECAST(x, time, ahead)", "x, carried on by its trend; XMILE FORCST"),
    "SAMPLE IF TRUE": (
        "SAMPLE IF TRUE(c, x, start)",
        "x while c holds, else the last such x; c and x may read the variable itself",
    ),
    "INITIAL": ("INITIAL(x)", "x at the start; XMILE INIT"),
    "GAME": ("GAME(x)", "x"),
    "WITH LOOKUP": ("WITH LOOKUP(x, ((x1,y1),...))", "a table written into an equation"),
    "ELMCOUNT": ("ELMCOUNT(range)", "how many elements a range has"),
    "XMILE SIZE": ("SIZE(x)", "XMILE's: how many elements x has, or a slice of it"),
    "GET TIME VALUE": (
        "GET TIME VALUE(0, offset, 0)",
        "Time + offset; with 1 in the first place INITIAL TIME + offset",
    ),
}
TABLES = {
    "lookup_extrapolate": ("LOOKUP EXTRAPOLATE(table, x)", "beyond its ends the table goes on"),
    "lookup_forward": ("LOOKUP FORWARD(table, x)", "the value of the next point"),
    "lookup_backward": ("LOOKUP BACKWARD(table, x)", "the value of the point before"),
}

HEAD = """# The modelling language

What `read_model` takes from a Vensim (`.mdl`) or XMILE file: what is compiled, what only PySD
runs, and what does not run. This page is made by `python -m tests.language > docs/language.md`
from the tables in `sdkit/functions.py`; each row has a small model in `tests/functions/` that
agrees with PySD's own run to 1e-9, or a test with the value by hand where PySD is wrong or silent.

# Compiled

## Expressions

Numbers, names, `+ - * / ^`, parentheses; `= <> < <= > >=`, `:NOT:`, `:AND:`, `:OR:`.
`:AND:` binds before `:OR:`. `a^b^c` is `a^(b^c)`, `-2^2` is
`-(2^2)`. `:NA:` is a missing value. `Time` is the time of the run. Names may be quoted; case, blanks and underscores do not tell
them apart.

Tables: named (`table((0,0),(1,2))`, read as `table(x)`), inline (`WITH LOOKUP`) and XMILE's
graphical functions; also all x and then all y, as old models list them. Between its points a
table is a straight line. Beyond its ends it keeps the last value, unless its type is XMILE's
`extrapolate`; `discrete` keeps the value of the point before. The x have to rise (M112). Of several
points at one x the first holds there and the last right behind it, with a warning.

`name :IS: 'text'` is a string variable: its text stands where a function that reads a file names it, and
an equation that uses it as a number is refused (M126). `:NA:` lies below every number, so that
`x > :NA:` asks whether x is there. `:NOT:` takes what follows as far as `:AND:` or `:OR:`; write
parentheses, since Vensim's list of operators has it before comparisons.

A delay or smooth whose stages are shorter than a step (RK4: than 0.36 of one) overshoots, as the same
equations do in Vensim; a warning names it. DELAY N and SMOOTH N drop stages instead, and a DELAY FIXED
between two steps is rounded, with a warning each. The warning comes where constants, and the time at which
the run begins, decide the delay time; an ensemble looks at the constants of every scenario, policy and draw,
and says in how many runs the time is too short and which is the worst. A single run also looks at its saved
times, where arithmetic, conditions and functions of variables give the delay time. An ensemble does not see
a delay time that stocks, tables or data decide. A time of a delay, smooth, TREND or FORECAST that is not
above zero stops the run (S201); a DELAY FIXED may have 0, which is one step.

## Subscripts

| written | means |
| --- | --- |
| `size: small, medium, large` | a range; XMILE's `<dimensions>` |
| `big: medium, large` | a subrange |
| `all: tiny, size` | a range among the members of another |
| `year: (y1-y30), y40` | a numeric range |
| `other <-> size` | a copy |
| `size: ... -> kind, (age: old, young, new)` | mappings, by place or by list; a listed range stands for each of its elements |
| `ext: GET DIRECT SUBSCRIPT(file, sheet, first, last, prefix)` | members from a file |
| `x[size] = ...` | an equation for each element, one loop in the program |
| `x[small] = ...`, `x[big] = ...` | several definitions of parts; of two for one element the later holds |
| `x[size] :EXCEPT: [small], [big] = ...` | exceptions |
| `x[size,kind] = 1, 2; 3, 4; 5, 6;` | numbers, the last range fastest; `TABBED ARRAY(...)` too |
| `x[small]`, `x[size]`, `x[kind]` on a right side | an element; the element of the left side; the one that is mapped to it |
| `size` or `small` as a number | the place of the element, from 1, in the largest range around it |
| `x[size!]` in SUM and its like, XMILE's `x[*]` | all elements of a range |

Stocks, smooths, delays, tables, data and random functions take subscripts too. Equations of an array
may read other elements of the same array; a circle is a circle of elements. An element that
nothing defines is missing in the result, and an equation that reads it is refused (M120).

In a result the subscripts are axes behind time, scenario, policy and draw, named after their
ranges (a range called time, scenario, policy or draw becomes `draw (range)`). `x[small,b]` names one
element: as an output, in `set`, in parameters.csv (there in quotes, for the comma), in draws, levers,
measures and checks. In parameters.csv a row for `x` stands for all elements without a row of their own.
`set` of `simulate` also takes an array whole: one number for all, a list, an array of its shape, an
xarray.DataArray. Scenarios, policies and draws name elements. An ensemble's output may be the
whole array; outputs.toml, checks and measures take elements.

## Macros

`:MACRO: NAME(inputs : outputs)` to `:END OF MACRO:`, and XMILE's `<macro>`: their equations are
written into the program at each call, hidden from results. Macros may call macros and be called in
equations of arrays (not inside SUM). Inside them `TIME STEP$`, `Time$` and any name with a `$` are the
model's own. One of the equations has the name of the macro: that is its value. A call may name
variables for the outputs: `x = NAME(a, b : first, second)`.

## Data from files

| written | gives |
| --- | --- |
| `x = GET DIRECT CONSTANTS(file, sheet, cell)` | numbers, a constant like others |
| `table(GET DIRECT LOOKUPS(file, sheet, row or column of x, cell))` | a table |
| `x := GET DIRECT DATA(file, sheet, row or column of time, cell)` | a series |
| `x :RAW: := ...` | a series that is missing between its points |
| `x :HOLD BACKWARD: := ...` | ... that keeps the last point |
| `x :LOOK FORWARD: := ...` | ... that has the next point |
| `x :INTERPOLATE: := ...`, `x := ...` | ... in straight lines |
| `x :INTERPOLATE:`, `x` | a series of that name in `read_model(path, data=files)`, or in `model_data.csv` or `.tab` beside `model.mdl` |

`GET XLS` reads the same. Files are .csv and Excel's, read by PySD's reader (which counts no line of a
.csv that is wholly empty); a name stands beside the model, a `?tag` in the line `30:?tag=file` of the
settings. A cell that is blank, or no number, is no point of a series. A file of series has the column
`Time` first and one column a variable (`x`, `y[small,b]`), or the same in rows. Other .csv files in
`data/` beside a model are tables of observations, but not those that its equations read. A series under
`:RAW:`, `:HOLD BACKWARD:` or `:LOOK FORWARD:` that is computed from others is refused (M109).

## Random functions

They draw once a step, under RK4 too. Each random variable (each element of an array) has its own
stream for each draw, from MRG32k3a; `simulate(..., seed=1)`, and the seed of a run folder, decide
them all, whatever the threads, chunks and policies. Vensim's own seeds and sequences are not followed.
The designs of one base run of a sensitivity study share their noise, all points of a fit one noise. A
check of half the step draws other noise, and fails for it.

## XMILE and Stella

A Stella or XMILE file has XMILE's meaning (specification 1.0) and, where that is silent, Stella's. Functions
of other names, Vensim's among them, are refused (M109) and never taken for one of these.

| written | means |
| --- | --- |
| `^`, then `+ - NOT` as signs, `* / // MOD`, `+ -`, `< <= > >=`, `= <>`, `AND`, `OR` | from the tightest on; `^` groups to the right, all others to the left: `NOT a > b` is `(NOT a) > b`, while Vensim's `:NOT: a > b` is `:NOT: (a > b)` |
| `IF a THEN b ELSE IF c THEN d ELSE e` | anywhere in an expression; `ELSE` reaches as far as it can |
| `{a remark}` | nothing |
| `ABS ARCCOS ARCSIN ARCTAN COS EXP LN LOG10 SIN SQRT TAN` | as in Vensim |
| `INT(x)`, `x MOD m` | the next whole number below; the sign of m. Vensim's INTEGER cuts towards zero, its MODULO has the sign of x |
| `MAX`, `MIN` | of any number of arguments, of an array, or of both |
| `SAFEDIV(a, b, x)`, `a//b` | x (or 0) only where b is 0; Vensim's ZIDZ and XIDZ from 1e-6 on |
| `PI INF TIME DT STARTTIME STOPTIME` | numbers without parentheses |
| `PULSE(size, first, interval)` | size/DT for one DT, not 1 for a width. Without an interval once (specification); in a file of isee systems each DT (Stella's help) |
| `RAMP(slope, start, end)`, `STEP(height, start)` | an end, and in RAMP a start, may be left out |
| `DELAY DELAY1 DELAY3 SMTH1 SMTH3 (x, time, start)` | without a start the first x; `DELAY` is fixed, its time is read once |
| `DELAYN SMTHN (x, time, n, start)` | n stands third, in Vensim last; a time that changes holds for all stages, as in DELAY3 |
| `TREND(x, time, start)` | (x - mean)/(mean*time), the mean a smooth that starts at x/(1 + start*time); start is 0 if left out |
| `FORCST(x, time, ahead, start)` | x*(1 + TREND(x, time, start)*ahead) |
| `INIT(x)`, `PREVIOUS(x, start)`, `SELF` | x at the start; x one DT ago; the variable itself, in PREVIOUS |
| `RANDOM UNIFORM (low, high)`, `NORMAL(mean, sd)`, `EXPRND(mean)` | seeds in the file are not followed |
| `MEAN`, `SUM`, `PROD`, `SIZE` | of an array, `MEAN` of several numbers too |
| `ROUND PERCENT SINWAVE COSWAVE` | Stella's |
| `LOOKUP(table, x)`, `table(x)` | a graphical function: `<gf>` alone, or that of another variable |
| `x[*]`, `x[place]`, `x[D + 1]`, `D.element` | all of a dimension; a place that is computed (0 where there is none); a place relative to the own; the number of an element |
| `<init_eqn>` | Vensim's ACTIVE INITIAL |
| `<non_negative/>` in a flow | the larger of it and 0 |
| `<non_negative/>` in a stock | its outflows are held back; Vensim has no such stocks |

`<behavior>` sets `<non_negative/>` for all stocks and flows, and a variable's own word holds before it, and an
element's before that; a stock of which some elements have it and others do not is refused (M121). The
outflows of a non-negative stock are held back in the order in which the stock lists them: each gives at most
what the stock holds over DT and what flows in, less what the outflows before it give. So the stock that receives
gets no more than there is, and whoever reads a flow reads what flowed. A flow into such a stock that runs
backwards gives at most what the stock holds. Where stocks flow round in a circle, what comes back is there one DT
later. Under RK4 each of the four evaluations is held to the same bound. An outflow that reads one behind it in
the list is refused (M122). Such a stock may start below zero: it then gives nothing until what flows in has
filled it up.

A graphical function is a straight line between its points (`continuous`, `extrapolate`) or the value of the point
before (`discrete`); each element of an array may have its own. `dt reciprocal="true"`, `isee:save_interval` and a
list of methods (the first that is compiled; RK2 falls back to RK4) are read; a warning says where that is
not the one asked for. Points of a discrete graphical function do not share an x (M112). Files of STELLA 10, whose variables
stand in `<model>`, and files of any namespace are read too. Names of sections, units, ranges, scales, formats, events
and views change no number and are passed over; an element inside a variable that is not known is refused (M121).

Refused by name (M109): modules and further models, conveyors, queues, ovens, imported data, LOGNORMAL and POISSON
(the specification and Stella's help do not agree), STDDEV, RANK, HISTORY, LOOKUPINV and other functions; ranges of
subscripts `x[1:3]`, `@1`, `'`, flat indices `x(3)`, names of another module.

## Time settings

INITIAL TIME, FINAL TIME, TIME STEP and SAVEPER are numbers or arithmetic on constants, and may be
changed for a run: `simulate(model, set={"FINAL TIME": 2050})`, as may those constants. Integration
is by Euler or RK4 with a fixed step (settings line `15:`, fourth number 0 or 2, 1 or 5; 1 asks
for a step that adapts itself, and a warning says that it does not). A FINAL TIME
that is no whole number of steps after INITIAL TIME ends the run at the last step before it, and a
SAVEPER that does not divide the run leaves its end unsaved; a warning says which time is the last.
"""
LIMITS_HEAD = """
## Limits

A text of a few bytes can ask for more memory than there is. So every file has limits, which are looked
at while it is read; what exceeds one stops with the code beside it, which names file, line and limit.
They are far above what published models need.

"""
WHERE_TABLES_LIE = """
## Where tables may lie

A file that a model names lies in the model's own folder or deeper, once links are followed; another one
is refused (M133), so that a model from elsewhere reads nothing of yours. If you trust the model, allow a
folder by name: `read_model(path, folders=["shared"])` in Python, `tables = ["shared"]` in run.toml (from
the folder that holds models/), `sdkit --tables shared run models/x` on the command line. Series that you
name yourself in `read_model(path, data=files)` may lie anywhere. Devices and pipes are refused (M134), as
are .ods and .xlsb workbooks, whose size is not known before they are unpacked.
"""
TAIL = """
# What only PySD runs

Compiling stops with M109 (or M113), which names variable and construct, and says so where `simulate(model,
engine="pysd")` runs the same file into the same kind of result: one run, with the constants and time
settings in `set`. It cannot carry an ensemble. PySD 3.14 itself stops at some models with several arrays of
stocks (M116), and what it gives in other dimensions than the model's is refused (S210), unless a mapping
of ranges tells which element is meant.

{left}
- GET TIME VALUE of a clock, a calendar or another reference than 0 and 1.
- Time settings that variables or Time decide.
- A quotient by zero that is finite again in the end: PySD goes on with infinity, here the run
  stops (S201).

# What does not run

- Functions in none of the tables above: M109 with the name of the function.
- XMILE's modules, conveyors, queues and ovens (M109), and what stands in "XMILE and Stella" above.
- A power of a negative number in parentheses, `(-2)^2`, which PySD reads as `-(2^2)` (M109).
- A macro with subscripts inside it, or inside SUM (M109).
- Other methods of integration (M115). PySD integrates by Euler whatever the file says, so a model
  that asks for RK4 needs `method="euler"` there (S206).
- A file that is cut off (M108). A `.mdl` has to end with its sketch and its settings or with its time
  settings: without them nothing tells a whole file from a part.
- A range or subscript that does not fit (M120), a file that cannot be read (M119).

# What is mended before PySD reads it

PySD's grammar stops at these, and at what it makes of them: comments in braces inside an equation,
data variables without a keyword, marks of macros in small letters, outputs of macros, tables of all x
and then all y. `sdkit/mend.py` rewrites them, line by line. An XMILE file is read without PySD; prefixes that
it forgets to declare are declared, and its `x[*]` is rewritten for PySD's own run.

# Where results differ from PySD's own run

`simulate(model, engine="pysd")` runs the same file through PySD 3.14. The tests hold both
against each other and give the value by hand where PySD is wrong or silent: a SMOOTH that
starts at a whole number; DELAY3 shorter than three steps, and SMOOTH N, whose stages PySD drops and
keeps; MODULO by a negative number and by one below 1e-6; a table whose x repeat; `:AND:` before
`:OR:`; PULSE and PULSE TRAIN between two steps or with a width of 0 (as Vensim's reference defines
them); RK4; mappings with a list; elements of one
array that read each other; the stages of a delay in an array, which PySD takes from all elements where
one is short; an element that nothing defines, to which PySD gives the value of its neighbours.

Of XMILE PySD reads much as Vensim's, and a run through it says so: outflows of non-negative stocks run on, INT
and MOD have Vensim's meaning, NOT binds after a comparison, `<init_eqn>` is passed over, all elements of an array
have the first of their graphical functions, `extrapolate` and `discrete` inside a variable are interpolated, SAFEDIV
has a threshold; LOG10, `DT`, `STARTTIME` and `STOPTIME` are missing.
"""


def table(names, entries) -> str:
    rows = [f"| `{entries[name][0]}` | {entries[name][1]} |" for name in names]
    return "\n".join(["| written | gives |", "| --- | --- |", *rows]) + "\n"


def limits() -> str:
    rows = [f"| {limit.counts} | {limit.most:,} | {limit.code} |" for limit in LIMITS.values()]
    return "\n".join(["| what | at most | code |", "| --- | --- | --- |", *rows]) + "\n"


def page() -> str:
    stateless = table((row.name for row in FUNCTIONS.values()), STATELESS)
    left = "\n".join(f"- {name}" for name in LEFT_TO_PYSD)
    return "\n".join(
        [HEAD, "## Functions\n", stateless, "## Functions that keep a state\n",
         table(STATEFUL, STATES), "## Functions of a named table\n",
         table(LOOKUP_FUNCTIONS, TABLES).rstrip("\n"),
         WHERE_TABLES_LIE.rstrip("\n"), LIMITS_HEAD + limits().rstrip("\n"),
         TAIL.format(left=left).rstrip("\n")]
    )  # fmt: skip


if __name__ == "__main__":
    print(page())
