"""XMILE files: each operator, function and element of the specification with its value by hand.

Sections are those of the XMILE specification 1.0; "help" is isee systems' help on Stella.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.errors import ModelError, SimulationError
from sdkit.xmile_functions import BUILTINS, OTHERS, REFUSED
from tests.small import experiment

CASES = Path(__file__).parent / "cases"
FILE = """<?xml version="1.0" encoding="utf-8"?>
<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0"
 xmlns:isee="http://iseesystems.com/XMILE">
<header><vendor>{vendor}</vendor></header>{top}
<sim_specs {specs}><start>0</start><stop>{stop}</stop><dt>{dt}</dt></sim_specs>
<dimensions><dim name="R"><elem name="n"/><elem name="s"/></dim>
<dim name="K" size="3"/></dimensions><model>{inside}<variables>
{variables}
</variables></model>{macros}
</xmile>
"""


def xmile(tmp_path, variables: str, **given):
    settings = {"vendor": "test", "top": "", "specs": 'method="Euler"', "stop": 4, "dt": 1,
                "inside": "", "macros": ""} | given  # fmt: skip
    path = tmp_path / "m.stmx"
    path.write_text(FILE.format(variables=variables, **settings), encoding="utf-8")
    return read_model(path)


def aux(name: str, equation: str, more: str = "", tag: str = "aux") -> str:
    text = equation.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<{tag} name="{name}">{more}<eqn>{text}</eqn></{tag}>'


def over(*dims: str) -> str:
    return f"<dimensions>{''.join(f'<dim name={d!r}/>' for d in dims)}</dimensions>"


def values(found, name: str) -> list:
    """A variable at each time (rows), all of its elements (columns)."""
    array = found[name].to_numpy()
    return array.reshape(array.shape[0], -1).squeeze(-1).tolist() if array[0].size == 1 else (
        array.reshape(array.shape[0], -1).tolist())  # fmt: skip


def refused(tmp_path, code: str, *parts: str, variables: str = "", **given) -> None:
    with pytest.raises(ModelError) as caught:
        compile_model(xmile(tmp_path, variables, **given))
    assert caught.value.code == code, caught.value.message
    for part in parts:
        assert part in caught.value.message
    assert "Error" not in caught.value.message  # no word of Python's


# -- operators, 3.3.1 ----------------------------------------------------------------------

OPERATORS = {
    "2 + 3*4": 14, "(2 + 3)*4": 20, "7 - 2 - 1": 4, "16/4/2": 2, "2*3 MOD 4": 2,
    # ^ groups to the right and binds before a sign in front of it.
    "2^3^2": 512, "-2^2": -4, "(-2)^2": 4, "2^-1": 0.5, "2^-2^2": 0.0625, "-x^2": -9, "(-x)^2": 9,
    "2 - -3": 5, "--3": 3, "+3": 3, "2*-3": -6,
    # MOD is floored: the sign of the divisor (Knuth).
    "9 MOD 5": 4, "-7 MOD 3": 2, "7 MOD -3": -2, "-7 MOD -3": -1, "5.5 mod 2": 1.5,
    "1 + 7 MOD 4": 4, "x MOD 2 = 1": 1, "TIME MOD 2": 0,
    # // is 0 where the divisor is 0, and only there.
    "7//2": 3.5, "7//0": 0, "1//1e-9": 1e9, "8//2//2": 2,
    "2 < 3": 1, "3 < 2": 0, "2 <= 2": 1, "2 >= 3": 0, "2 = 2": 1, "2 <> 2": 0, "2 <> 3": 1,
    # = is looser than <: (1 < 2) = (3 < 4), and groups to the left.
    "1 < 2 = 3 < 4": 1, "2 = 2 = 1": 1, "1 + 1 = 2": 1,
    "1 AND 0": 0, "1 or 0": 1, "1 AND 2": 1, "1 OR 0 AND 0": 1, "0 AND 0 OR 1": 1,
    # NOT is a sign: it binds before * and before comparisons.
    "NOT 0": 1, "not 5": 0, "NOT 5 > 4": 0, "NOT (5 > 4)": 0, "NOT (4 > 5)": 1, "NOT 0*3": 3,
    "NOT NOT 7": 1, "NOT x = 3": 0, "NOT x < 1": 1,
    "x > 2 AND x < 4": 1, "(x < 5) and (y >= 3)": 0,
    "IF x > 2 THEN 5 ELSE 6": 5, "if x > 3 then 5 else 6": 6,
    "IF x = 1 THEN 1 ELSE IF x = 2 THEN 2 ELSE IF x = 3 THEN 3 ELSE 4": 3,
    "IF 0 THEN 1 ELSE 2 + 10": 12, "10 + (IF x THEN 1 ELSE 2)": 11, "10 + IF x THEN 1 ELSE 2": 11,
    "IF IF x > 2 THEN 0 ELSE 1 THEN 7 ELSE 8": 8, "IF(x>2)THEN(1)ELSE(0)": 1,
    "IF x > 2 THEN IF x > 5 THEN 1 ELSE 2 ELSE 3": 2, "IF 0.5 THEN 1 ELSE 2": 1,
    "MAX(IF x > 2 THEN 9 ELSE 0, 4)": 9, "IF_THEN_ELSE(x > 2, 1, 0)": 1,
    # numbers and names, 3.2
    ".375": 0.375, "14.": 14, "6E5": 600000, "+8.123e-1": 0.8123, "1e+2": 100, "x+.5": 3.5,
    "X": 3, '"x"': 3, "long_name": 8, "Long__NAME": 8, '"long name"': 8, '"long\\nname"': 8,
    '"odd (1)"': 6, "größe": 7, "x1": 12, "std.MAX(1, 2)": 2, "R.s": 2,
    # comments, 3.3.4
    "3 {a remark} + 4": 7, "{first} 3": 3, "3 {a {b} c}": 3, "3 {- 1}": 3, "2{*}*{^}3": 6,
    "x {in people\nper year}\n + 1": 4, '"odd {2}" {+ 1}': 13,
}  # fmt: skip
NAMES = "".join((
    aux("x", "3"), aux("y", "2"), aux("Long\\nName", "8"), aux("odd (1)", "6"), aux("größe", "7"),
    aux("x1", "12"), aux("odd {2}", "13"),
))  # fmt: skip


def test_operators(tmp_path):
    variables = NAMES + "".join(aux(f"v {n}", text) for n, text in enumerate(OPERATORS))
    found = simulate(xmile(tmp_path, variables))
    got = {text: found[f"v {n}"].to_numpy().flat[0] for n, text in enumerate(OPERATORS)}
    # One quotient of numbers that are no binary fractions: 1e-12 is far above its rounding.
    assert got == pytest.approx(OPERATORS, rel=1e-12)


@pytest.mark.parametrize(
    "equation",
    ["3 +", "3 4", "x y", "(3", "3)", "IF x THEN 1", "IF x THEN 1 ELSE", "IF THEN 1 ELSE 2", "",
     "{all}", "3 + * 4", "x[", "MAX(1,", "x ! 2", "a = ", "3 & 4", "THEN", "* 3", "MAX(1 2)"],
)  # fmt: skip
def test_an_equation_that_is_none(tmp_path, equation):
    refused(tmp_path, "M104", "line 8", "'bad'", variables=NAMES + aux("bad", equation))


# -- functions, 3.5 and 3.7.1.3 -------------------------------------------------------------

T = np.arange(17) * 0.25  # the times of these runs: 0 to 4 in steps of 1/4


def _smooth(start, x, time, order=1, dt=0.25):
    """A chain of smooths, by Euler."""
    levels, found = [start] * order, []
    for value in x:
        found.append(levels[-1])
        inputs = [value, *levels[:-1]]
        levels = [s + dt * (i - s) * order / time for s, i in zip(levels, inputs, strict=True)]
    return np.array(found)


def _delay(start, x, time, order=1, dt=0.25):
    """A chain of stocks that each empty in time/order, by Euler."""
    times = np.broadcast_to(time, len(x)).astype(float)
    stocks, found = [start * times[0] / order] * order, []
    for value, now in zip(x, times, strict=True):
        out = [s * order / now for s in stocks]
        found.append(out[-1])
        stocks = [s + dt * (i - o) for s, i, o in zip(stocks, [value, *out], out, strict=False)]
    return np.array(found)


def _late(start, x, steps):
    return np.array([start] * steps + list(x))[: len(x)]


_UP = 3 + 2.0 * (T >= 1)  # 3 + STEP(2, 1)
_MEAN = _smooth(3.0 + 0 * T[0], 3 + T, 2.0)
_MEAN_RISING = _smooth(3 / 1.2, 3 + T, 2.0)
FUNCTIONS = {
    "ABS(TIME - 2)": abs(T - 2), "EXP(TIME)": np.exp(T), "LN(TIME + 1)": np.log(T + 1),
    "LOG10(TIME*99.75 + 1)": np.log10(T * 99.75 + 1), "SQRT(TIME)": np.sqrt(T),
    "SIN(TIME)": np.sin(T), "COS(TIME)": np.cos(T), "TAN(TIME/4)": np.tan(T / 4),
    "ARCSIN(TIME/4)": np.arcsin(T / 4), "ARCCOS(TIME/4)": np.arccos(T / 4),
    "ARCTAN(TIME)": np.arctan(T),
    # "next integer less than or equal"; "negative fractional numbers increase in magnitude"
    "INT(TIME - 2.5)": np.floor(T - 2.5), "INT(-3.7)": -4 + 0 * T, "INT(8.9)": 8 + 0 * T,
    "MAX(TIME, 2)": np.maximum(T, 2), "MIN(TIME, 2)": np.minimum(T, 2),
    "MAX(1, TIME, 3)": np.maximum(np.maximum(T, 1), 3), "MIN(3, TIME, 2, 1)": np.minimum(T, 1),
    "PI": math.pi + 0 * T, "2*PI": 2 * math.pi + 0 * T, "MIN(INF, TIME)": T,
    "MAX(-INF, 1)": 1 + 0 * T,
    "TIME": T, "time": T, "DT": 0.25 + 0 * T, "STARTTIME": 0 * T, "STOPTIME": 4 + 0 * T,
    # 3.5.4: magnitude, first time, interval; without an interval, or with 0, once
    "PULSE(20, 1, 2)": 80.0 * np.isin(T, [1, 3]), "PULSE(20, 1)": 80.0 * (T == 1),
    "PULSE(20, 1, 0)": 80.0 * (T == 1), "RAMP(2, 1)": 2 * np.maximum(T - 1, 0),
    "RAMP(2, 1, 3)": 2 * (np.clip(T, 1, 3) - 1), "RAMP(2)": 2 * T, "STEP(6, 3)": 6.0 * (T >= 3),
    # 3.5.3: without a start the first input; in DELAYN and SMTHN the order stands third
    "DELAY(TIME, 1)": _late(0, T, 4), "DELAY(TIME, 1, 7)": _late(7, T, 4),
    "DELAY1(3 + STEP(2, 1), 2)": _delay(3, _UP, 2), "DELAY1(TIME, 2, 5)": _delay(5, T, 2),
    "DELAY3(3 + STEP(2, 1), 3)": _delay(3, _UP, 3, 3), "DELAY3(TIME, 3, 5)": _delay(5, T, 3, 3),
    "DELAYN(TIME, 2, 2)": _delay(0, T, 2, 2), "DELAYN(TIME, 2, 2, 5)": _delay(5, T, 2, 2),
    # a time that changes holds for all that is on its way
    "DELAYN(TIME, 2 + STEP(2, 2), 2)": _delay(0, T, 2 + 2.0 * (T >= 2), 2),
    "DELAY3(TIME, 3 - STEP(1, 2))": _delay(0, T, 3 - 1.0 * (T >= 2), 3),
    "SMTH1(3 + STEP(2, 1), 2)": _smooth(3, _UP, 2), "SMTH1(TIME, 2, 5)": _smooth(5, T, 2),
    "SMTH3(3 + STEP(2, 1), 3)": _smooth(3, _UP, 3, 3), "SMTH3(TIME, 3, 5)": _smooth(5, T, 3, 3),
    "SMTHN(TIME, 2, 2)": _smooth(0, T, 2, 2), "SMTHN(TIME, 2, 2, 5)": _smooth(5, T, 2, 2),
    "TREND(3 + TIME, 2)": (3 + T - _MEAN) / (2 * _MEAN),
    "TREND(3 + TIME, 2, 0.1)": (3 + T - _MEAN_RISING) / (2 * _MEAN_RISING),
    "TREND(-3 - TIME, 2)": (3 + T - _MEAN) / (2 * _MEAN),  # a fraction: no sign of its own
    "FORCST(3 + TIME, 2, 10)": (3 + T) * (1 + 10 * (3 + T - _MEAN) / (2 * _MEAN)),
    "FORCST(3 + TIME, 2, 10, 0.1)":
        (3 + T) * (1 + 10 * (3 + T - _MEAN_RISING) / (2 * _MEAN_RISING)),
    # 3.5.6
    "INIT(TIME + 3)": 3 + 0 * T, "PREVIOUS(TIME, 9)": _late(9, T, 1),
    "PREVIOUS(SELF, 0) + 1": 1 + np.arange(17.0),
    # Stella's
    "SAFEDIV(1, TIME)": np.divide(1, T, out=0 * T, where=T > 0),
    "SAFEDIV(1, TIME, 9)": np.divide(1, T, out=9 + 0 * T, where=T > 0),
    "SAFEDIV(1, 1e-9)": 1e9 + 0 * T,  # no threshold, unlike ZIDZ
    "ROUND(TIME - 2)": np.array([-2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2.0]),
    "PERCENT(0.25)": 25 + 0 * T, "SINWAVE(3, 4)": 3 * np.sin(2 * math.pi * T / 4),
    "COSWAVE(3, 4)": 3 * np.cos(2 * math.pi * T / 4),
    "MEAN(1, TIME, 5)": (6 + T) / 3, "isee.ROUND(TIME)": np.floor(T + 0.5),
    # a graphical function, called and looked up
    "curve(TIME)": 10 * T, "LOOKUP(curve, 3)": 30 + 0 * T, "LOOKUP(graph, 3)": 30 + 0 * T,
    "graph(TIME/2)": 5 * T, "inner(1)": 10 + 0 * T, "LOOKUP(alone, TIME)": 10 * T,
    # arrays: v is 1, 2 on R; w counts 11, 12, 13, 21, ... on R, K
    "SUM(v[*])": 3 + 0 * T, "SUM(v)": 3 + 0 * T, "MEAN(v)": 1.5 + 0 * T, "PROD(v[*])": 2 + 0 * T,
    "MAX(v)": 2 + 0 * T, "MIN(v[*])": 1 + 0 * T, "MAX(v[*], TIME)": np.maximum(T, 2),
    "MAX(v, 5)": 5 + 0 * T, "MIN(v, TIME, 7)": np.minimum(T, 1), "SIZE(v)": 2 + 0 * T,
    "SIZE(w)": 6 + 0 * T, "SIZE(w[1, *])": 3 + 0 * T, "SIZE(K)": 3 + 0 * T,
    "SUM(w[n, *])": 36 + 0 * T,
    "SUM(w[*, 2])": 34 + 0 * T, "SUM(w[*, *])": 102 + 0 * T, "MEAN(w[s, *])": 22 + 0 * T,
    "SUM(v[*]*2 + 1)": 8 + 0 * T, "MAX(SUM(v), MIN(v))": 3 + 0 * T,
    # 3.7.1: subscripts are expressions; an index that there is not gives 0
    "v[s]": 2 + 0 * T, "v[R.s]": 2 + 0 * T, "v[2]": 2 + 0 * T, "v[two]": 2 + 0 * T,
    "v[two - 1]": 1 + 0 * T, "v[n + 1]": 2 + 0 * T, "v[two + 1]": 0 * T, "w[two, TIME]":
        np.where((np.floor(T) >= 1) & (np.floor(T) <= 3), 20 + np.floor(T), 0),
    "w[two, two + 1]": 23 + 0 * T, "v[v[1]]": 1 + 0 * T, "SUM(w[*, two])": 34 + 0 * T,
    "v[INT(TIME/2)]": np.where(T >= 4, 2.0, np.where(T >= 2, 1.0, 0.0)), "v[0]": 0 * T,
}  # fmt: skip
GF = "<gf{}><xscale min='0' max='10'/><ypts>0,100</ypts></gf>"
ARRAYS = "".join((
    aux("v", "R", over("R")), aux("w", "R*10 + K", over("R", "K")), aux("two", "2"),
    GF.format(" name='curve'"), aux("graph", "TIME", GF.format("")),
    aux("other", "TIME", GF.format(" name='inner'")), f"<aux name='alone'>{GF.format('')}</aux>",
))  # fmt: skip


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    variables = ARRAYS + "".join(aux(f"f {n}", text) for n, text in enumerate(FUNCTIONS))
    return xmile(tmp_path_factory.mktemp("functions"), variables, dt=0.25)


def test_functions(functions):
    found = simulate(functions)
    for n, (text, wanted) in enumerate(FUNCTIONS.items()):
        got = found[f"f {n}"].to_numpy().ravel()
        # Another order of the same sums: 1e-12 is a thousand times their rounding.
        assert got == pytest.approx(np.asarray(wanted, dtype=float), rel=1e-12, abs=1e-12), text


def test_functions_compiled(functions):
    """The kernel computes the same as the plain run."""
    names = [f"f {n}" for n in range(len(FUNCTIONS))]
    once = simulate(functions)
    lanes = simulate(functions, experiment(names, once.time, draws={"two": [2.0, 2.0]}))
    for name, text in zip(names, FUNCTIONS, strict=True):
        got = lanes[name].to_numpy().reshape(len(T), 2)
        one = once[name].to_numpy().ravel()
        assert got[:, 1] == pytest.approx(one, rel=1e-12, abs=1e-12), text


def test_every_function_stands_in_the_table():
    said = " ".join([*OPERATORS, *FUNCTIONS]).lower()
    random = {"random", "uniform", "normal", "exprnd"}
    assert [n for n in (*BUILTINS, *OTHERS) if f"{n}(" not in said and n not in random] == []


def test_stellas_pulse_repeats_each_dt(tmp_path):
    """Help: without an interval "the software generates subsequent pulses each DT"."""
    variables = aux("a", "PULSE(20, 1)") + aux("b", "PULSE(20)") + aux("c", "PULSE(20, 1, 0)")
    found = simulate(xmile(tmp_path, variables, vendor="isee systems, inc.", dt=0.5, stop=2))
    assert values(found, "a") == [0, 0, 40, 40, 40]
    assert values(found, "b") == [40] * 5
    assert values(found, "c") == [0, 0, 40, 0, 0]


def test_random_functions(tmp_path):
    variables = "".join((
        aux("u", "RANDOM(2, 4)"), aux("seeded", "UNIFORM(2, 4, 99)"), aux("g", "NORMAL(100, 5)"),
        aux("e", "EXPRND(8)"), aux("still", "NORMAL(3, 0)"),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=20000))
    u, g, e = (found[n].to_numpy().ravel() for n in "uge")
    # Five standard errors of the mean of 20,001 independent draws.
    assert u.mean() == pytest.approx(3, abs=5 * 2 / math.sqrt(12 * 20001))
    assert 2 <= u.min() < u.max() <= 4
    assert not np.array_equal(u, found["seeded"].to_numpy().ravel())
    assert g.mean() == pytest.approx(100, abs=5 * 5 / math.sqrt(20001))
    assert g.std() == pytest.approx(5, abs=5 * 5 / math.sqrt(2 * 20001))
    assert e.mean() == pytest.approx(8, abs=5 * 8 / math.sqrt(20001))
    assert e.min() >= 0
    assert set(values(found, "still")) == {3.0}


@pytest.mark.parametrize("name", [*REFUSED, "ZIDZ", "MODULO", "INTEGER", "SMOOTH", "LOG", "frob"])
def test_a_function_that_is_not_compiled(tmp_path, name):
    """Among them Vensim's: its meaning is never given to an XMILE file."""
    variables = NAMES + aux("bad", f"{name}(x, 2)")
    refused(tmp_path, "M109", "line 8", "'bad'", name.upper(), variables=variables)


@pytest.mark.parametrize(
    ("equation", "what"),
    [("SQRT(1, 2)", "1 argument(s), not 2"), ("DELAY(x)", "2 to 3 argument(s), not 1"),
     ("MAX()", "1 or more"), ("PULSE(1)", "2 to 3"), ("STEP(1)", "2 argument(s)"),
     ("INIT()", "1 argument"), ("LOOKUP(curve)", "2 argument(s)"), ("curve(1, 2)", "one argument"),
     ("SMTHN(x, 2)", "3 to 4")],
)  # fmt: skip
def test_a_function_with_other_arguments(tmp_path, equation, what):
    variables = ARRAYS + aux("x", "1") + aux("bad", equation)
    refused(tmp_path, "M114", "'bad'", what, variables=variables)


@pytest.mark.parametrize(
    ("equation", "what"),
    [("v[1:2]", "range"), ("v[@1]", "'@'"), ("v' + 1", "transposition"),
     ("v[R]'", "transposition"), ("v(2)", "flat index"), ("LOOKUP(two, 3)", "'two'"),
     ("other.two + 1", "other.two"), (".two", "'.two'"), ("SIZE(v + 1)", "SIZE"), ("NAN", "NAN")],
)  # fmt: skip
def test_a_construct_that_is_not_compiled(tmp_path, equation, what):
    refused(tmp_path, "M109", "'bad'", what, variables=ARRAYS + aux("bad", equation))


def test_what_is_not_compiled_leaves_the_rest_to_be_read(tmp_path):
    read = xmile(tmp_path, aux("x", "3") + aux("y", "HISTORY(x, 2)") + stock("S", "RANK(x, 1)"))
    assert read.find("x").value == 3
    with pytest.raises(ModelError, match=r"M109: m\.stmx, line 8, 'y': the function 'HISTORY'"):
        compile_model(read)


def test_labels_are_no_numbers_outside_brackets(tmp_path):
    refused(tmp_path, "M105", "'s'", variables=ARRAYS + aux("bad", "s + 1"))
    refused(tmp_path, "M120", "'west'", variables=ARRAYS + aux("bad", "v[west]"))


# -- stocks and flows, 3.1 and 4.2 -----------------------------------------------------------

NOT = "<non_negative/>"


def stock(name: str, start, ins=(), outs=(), more: str = "") -> str:
    flows = "".join(f"<inflow>{f}</inflow>" for f in ins)
    flows += "".join(f"<outflow>{f}</outflow>" for f in outs)
    return f'<stock name="{name}">{more}<eqn>{start}</eqn>{flows}</stock>'


def flow(name: str, equation: str, more: str = "") -> str:
    return aux(name, equation, more, "flow")


def test_a_stock_adds_its_inflows_and_takes_its_outflows(tmp_path):
    """Names of flows: blanks, underscores, capitals, line breaks and quotes tell none apart."""
    variables = "".join((
        stock("S", 10, ["in_one", "In Two", '"in three"', "in\\nfour"], ["OUT", "out_2"]),
        flow("in one", "1"), flow("in two", "2"), flow("in_three", "4"), flow("In Four", "8"),
        flow("out", "3"), flow("Out\\n2", "5"), stock("still", "S*2"),
        stock("drained", 6, (), ["OUT"]),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables))
    assert values(found, "S") == [10 + 7 * t for t in range(5)]
    assert values(found, "still") == [20] * 5
    assert values(found, "drained") == [6, 3, 0, -3, -6]  # nothing says that it may not


def test_outflows_are_held_back(tmp_path):
    """Help: "stocks are kept from going negative by constraining their outflows": what is not there
    does not arrive in the next stock either."""
    variables = "".join((
        stock("S", 5, (), ["o"], NOT), flow("o", "2"), stock("T", 0, ["o"]), aux("reader", "o*10"),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=5))
    assert values(found, "o") == [2, 2, 1, 0, 0, 0]
    assert values(found, "reader") == [20, 20, 10, 0, 0, 0]
    assert values(found, "S") == [5, 3, 1, 0, 0, 0]
    assert values(found, "T") == [0, 2, 4, 5, 5, 5]


FALSE = "<non_negative>false</non_negative>"


def elements(first: str, second: str, equation="1") -> str:
    return "".join(f'<element subscript="{e}"><eqn>{equation}</eqn>{more}</element>'
                   for e, more in (("n", first), ("s", second)))  # fmt: skip


@pytest.mark.parametrize(
    ("own", "first", "second", "held"),
    [("", NOT, NOT, True), (NOT, "", NOT, True), (FALSE, NOT, NOT, True),
     (NOT, FALSE, FALSE, False), ("", FALSE, "", False)],
)  # fmt: skip
def test_an_elements_word_on_its_stock_holds(tmp_path, own, first, second, held):
    inside = own + elements(first, second) + "<outflow>o</outflow>"
    variables = f'<stock name="S">{over("R")}{inside}</stock>' + flow("o", "2", over("R"))
    found = simulate(xmile(tmp_path, variables, stop=2))
    assert values(found, "S") == [[n, n] for n in ([1, 0, 0] if held else [1, -1, -3])]
    assert values(found, "o") == [[n, n] for n in ([1, 0, 0] if held else [2, 2, 2])]


def test_elements_of_one_stock_that_differ_are_refused(tmp_path):
    for own, first, second in (("", NOT, ""), (NOT, FALSE, ""), ("", NOT, FALSE)):
        inside = own + elements(first, second) + "<outflow>o</outflow>"
        variables = f'<stock name="S">{over("R")}{inside}</stock>' + flow("o", "2", over("R"))
        refused(tmp_path, "M121", "'S'", "elements", variables=variables)


def test_an_elements_word_on_its_flow_holds(tmp_path):
    inside = over("R") + NOT + elements(FALSE, "", "-2")
    found = simulate(xmile(tmp_path, f'<flow name="f">{inside}</flow>', stop=0))
    assert values(found, "f") == [[-2, 0]]


def test_a_stock_that_starts_below_zero_makes_nothing(tmp_path):
    """S(t+1) = S + 3 - o, where o is at most S + 3 and at most 2: what came in, less what left."""
    variables = stock("S", -5, ["i"], ["o"], NOT) + flow("i", "3") + flow("o", "2")
    small = xmile(tmp_path, variables)
    found = simulate(small)
    assert values(found, "o") == [0, 1, 2, 2, 2]
    assert values(found, "S") == [-5, -2, 0, 1, 2]
    drawn = simulate(small, experiment(["S"], range(5)))
    assert drawn.S.to_numpy().ravel().tolist() == [-5, -2, 0, 1, 2]


@pytest.mark.parametrize(
    ("equation", "row"),
    [("PULSE(10, 1.5, 0)", [0, 10, 0, 0, 0]), ("PULSE(10, 1.5, 2)", [0, 10, 0, 10, 0]),
     ("PULSE(10, 1.5)", [0, 10, 0, 0, 0]), ("PULSE(10, 1, 2)", [0, 10, 0, 10, 0])],
)  # fmt: skip
def test_a_pulse_in_the_middle_of_a_step_comes_once(tmp_path, equation, row):
    assert values(simulate(xmile(tmp_path, aux("x", equation))), "x") == row


@pytest.mark.parametrize("equation", [
    "SMTH1(3, tau)", "SMTH3(3, tau)", "SMTHN(3, tau, 2)", "TREND(3, tau)", "FORCST(3, tau, 1)",
    "DELAY(3, tau)", "DELAY1(3, tau)", "DELAY3(3, tau)", "DELAYN(3, tau, 2)",
])  # fmt: skip
def test_a_time_below_zero_stops_the_run(tmp_path, equation):
    with pytest.raises(SimulationError, match="S201: x at time 0: a delay time"):
        simulate(xmile(tmp_path, aux("x", equation) + aux("tau", "-2")))


def test_a_smooth_that_is_too_short_is_called_one(tmp_path):
    with pytest.warns(UserWarning, match="x: a smooth of order 1 over 0.5") as said:
        simulate(xmile(tmp_path, aux("x", "SMTH1(TIME, 0.5)")))
    assert "Vensim" not in str(said[0].message)


def test_of_points_at_one_x_the_first_holds(tmp_path):
    """At 1 it is 1, right behind it 2: at 1.5 in the middle of 2 and 3."""
    points = "<gf{}><xpts>0,1,1,2</xpts><ypts>0,1,2,3</ypts></gf>"
    with pytest.warns(UserWarning, match="x = 1 stands 2 times in the table") as said:
        small = xmile(tmp_path, aux("x", "TIME", points.format("")), dt=0.5, stop=2)
    assert len(said) == 1
    assert values(simulate(small), "x") == [0, 0.5, 1, 2.5, 3]
    variables = aux("x", "TIME", points.format(" type='discrete'"))
    refused(tmp_path, "M112", "'x'", "two points at one x", variables=variables)


def test_a_decimal_comma_is_named(tmp_path):
    refused(tmp_path, "M104", "'x'", "did you mean 0.1?", variables=aux("x", "0,1"))


def test_round_near_a_half(tmp_path):
    """0.49999999999999994 is the number below 0.5; 0.5 more rounds to 1."""
    rounds = {"a": ("0.49999999999999994", 0), "b": ("0.5", 1), "c": ("-2.5", -3),
              "d": ("-1.4", -1), "e": ("4503599627370497", 4503599627370497)}  # fmt: skip
    variables = "".join(aux(n, f"ROUND({x})") for n, (x, _) in rounds.items())
    small = xmile(tmp_path, variables, stop=0)
    found, drawn = simulate(small), simulate(small, experiment([*rounds], [0]))
    for name, (_, value) in rounds.items():
        assert found[name].item() == value
        assert drawn[name].item() == value


def test_outflows_are_held_back_in_their_order(tmp_path):
    """4.2: "material from the stock is first given to the first outflow listed"."""
    flows = flow("a", "3") + flow("b", "4")
    found = simulate(xmile(tmp_path, stock("S", 5, (), ["a", "b"], NOT) + flows, stop=2))
    assert (values(found, "a"), values(found, "b")) == ([3, 0, 0], [2, 0, 0])
    found = simulate(xmile(tmp_path, stock("S", 5, (), ["b", "a"], NOT) + flows, stop=2))
    assert (values(found, "a"), values(found, "b")) == ([1, 0, 0], [4, 0, 0])


def test_what_flows_in_may_flow_out_in_the_same_step(tmp_path):
    """S holds 1, gains 2 a time and is asked for 5: with DT = 1/2 it gives 1/DT + 2, then 2."""
    variables = stock("S", 1, ["i"], ["o"], NOT) + flow("i", "2") + flow("o", "5")
    found = simulate(xmile(tmp_path, variables, dt=0.5, stop=1.5))
    assert values(found, "o") == [4, 2, 2, 2]
    assert values(found, "S") == [1, 0, 0, 0]


def test_a_chain_of_stocks_keeps_what_there_is(tmp_path):
    """The second stock waits for what the first can give."""
    variables = "".join((
        stock("A", 3, (), ["f"], NOT), flow("f", "2"), stock("B", 0, ["f"], ["g"], NOT),
        flow("g", "9"), stock("C", 0, ["g"]),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=3))
    assert values(found, "f") == [2, 1, 0, 0]
    assert values(found, "g") == [2, 1, 0, 0]
    assert values(found, "C") == [0, 2, 3, 3]


def test_stocks_in_a_circle(tmp_path):
    """An inflow that waits for the outflow itself, round a circle, is there one DT later."""
    variables = "".join((
        stock("A", 4, ["back"], ["f"], NOT), stock("B", 0, ["f"], ["back"], NOT),
        flow("f", "3"), flow("back", "9"),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=6))
    a, b = (np.array(values(found, n)) for n in "AB")
    assert (a + b == 4).all()
    assert min(a.min(), b.min()) >= 0
    # Where nothing is held back, all readings agree: an SIRS model.
    sirs = "".join((
        stock("S", 99, ["lose"], ["fall"], NOT), stock("I", 1, ["fall"], ["heal"], NOT),
        stock("Z", 0, ["heal"], ["lose"], NOT), flow("fall", "S*I/100", NOT),
        flow("heal", "I/4", NOT), flow("lose", "Z/8", NOT),
    ))  # fmt: skip
    held = simulate(xmile(tmp_path, sirs, dt=0.25, stop=20))
    free = simulate(xmile(tmp_path, sirs.replace(NOT, ""), dt=0.25, stop=20))
    for name in ("S", "I", "Z"):
        assert values(held, name) == values(free, name)
    assert values(held, "S")[-1] < 50


def test_a_flow_that_runs_back_is_held_back_too(tmp_path):
    """A flow into a stock runs out of it where it is negative (note 17): it takes what there is."""
    variables = "".join((
        stock("A", 1, (), ["f"], NOT), stock("B", 2, ["f"], (), NOT), flow("f", "-3"),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=3))
    assert values(found, "f") == [-2, 0, 0, 0]
    assert (values(found, "A"), values(found, "B")) == ([1, 3, 3, 3], [2, 0, 0, 0])


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_nothing_is_lost_or_made(tmp_path, method):
    """Under RK4 each evaluation gives at most what the stock holds over a whole DT."""
    variables = "".join((
        stock("A", 5, ["more"], ["f", "g"], NOT), stock("B", 0, ["f"], ["h"], NOT),
        stock("C", 0, ["g", "h"]), flow("more", "STEP(1, 2)"), flow("f", "3 + TIME"),
        flow("g", "2"), flow("h", "B*3"), stock("come", 5, ["more"]),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, dt=0.5, stop=8), method=method)
    held = {n: np.array(values(found, n)) for n in ("A", "B", "C", "come")}
    # Sums of some twenty numbers below 20: 1e-12 is ten times their rounding.
    assert held["A"] + held["B"] + held["C"] == pytest.approx(held["come"], abs=1e-12)
    assert min(held["A"].min(), held["B"].min()) >= 0
    assert held["C"][-1] > 5


def test_an_array_of_stocks_that_may_not_be_negative(tmp_path):
    variables = "".join((
        stock("S", "R*2", (), ["o"], over("R") + NOT), flow("o", "1.5", over("R")),
        stock("T", 0, ["o"], (), over("R")),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=3))
    assert values(found, "o") == [[1.5, 1.5], [0.5, 1.5], [0, 1], [0, 0]]
    assert values(found, "T")[-1] == [2, 4]
    apart = variables.replace("<eqn>1.5</eqn>", "<element subscript='n'><eqn>1.5</eqn></element>"
                              "<element subscript='s'><eqn>3</eqn></element>")  # fmt: skip
    found = simulate(xmile(tmp_path, apart, stop=3))
    assert values(found, "o") == [[1.5, 3], [0.5, 1], [0, 0], [0, 0]]


def test_a_stock_that_starts_from_the_flow_it_holds_back(tmp_path):
    variables = stock("S", "o*3", (), ["o"], NOT) + flow("o", "2")
    found = simulate(xmile(tmp_path, variables))
    assert values(found, "S") == [6, 4, 2, 0, 0]


def test_an_outflow_that_reads_a_later_one(tmp_path):
    variables = stock("S", 9, (), ["a", "b"], NOT) + flow("a", "b/2") + flow("b", "4")
    refused(tmp_path, "M122", "'s'", "'a'", "'b'", variables=variables)
    found = simulate(xmile(tmp_path, variables.replace(
        "<outflow>a</outflow><outflow>b</outflow>", "<outflow>b</outflow><outflow>a</outflow>"
    )))  # fmt: skip
    assert values(found, "S") == [9, 3, 0, 0, 0]
    assert values(found, "b")[:2] == [4, 3]


@pytest.mark.parametrize(
    ("top", "inside", "own", "lowest"),
    [
        ("", "", "", (-6, -2)),
        ("<behavior><non_negative/></behavior>", "", "", (0, 0)),
        ("", "<behavior><non_negative/></behavior>", "", (0, 0)),
        ("<behavior><stock><non_negative/></stock></behavior>", "", "", (0, 0)),
        ("<behavior><flow><non_negative/></flow></behavior>", "", "", (-5, 0)),
        ("<behavior><non_negative/></behavior>", "", "<non_negative>false</non_negative>",
         (-6, -2)),
        ("<behavior><non_negative/></behavior>",
         "<behavior><non_negative>false</non_negative></behavior>", "", (-6, -2)),
        ("", "", "<non_negative> FALSE </non_negative>", (-6, -2)),
        ("", "", "<non_negative>true</non_negative>", (0, 0)),
        ("", "", NOT, (0, 0)),
    ],
)  # fmt: skip
def test_what_holds_for_all_stocks_and_flows(tmp_path, top, inside, own, lowest):
    """2.6: the variable's own word holds before the model's, and that before the file's."""
    variables = stock("S", 3, ["i"], ["o"], own) + flow("o", "3", own) + flow("i", "1 - TIME", own)
    found = simulate(xmile(tmp_path, variables, top=top, inside=inside, stop=3))
    low = min(values(found, "S")), min(values(found, "i"))
    assert low == lowest


def test_a_uniflow(tmp_path):
    found = simulate(xmile(tmp_path, flow("f", "TIME - 2", NOT) + flow("b", "TIME - 2")))
    assert values(found, "f") == [0, 0, 0, 1, 2]
    assert values(found, "b") == [-2, -1, 0, 1, 2]


# -- a start of its own ----------------------------------------------------------------------


def test_a_start_of_its_own(tmp_path):
    circle = "".join((
        stock("C", 10, ["f"]), flow("f", "T - C"), aux("T", "C*2", "<init_eqn>7</init_eqn>"),
        stock("I", "T"),
    ))  # fmt: skip
    assert values(simulate(xmile(tmp_path, circle)), "I") == [7] * 5
    assert values(simulate(xmile(tmp_path, circle)), "T")[:2] == [20, 40]
    # Capacity starts from the target, the target from the capacity: <init_eqn> breaks it.
    broken = "".join((
        stock("cap", "target", ["f"]), flow("f", "(target - cap)/2"),
        aux("target", "cap*use", "<init_eqn>100 {at first}</init_eqn>"), aux("use", "target/cap"),
    ))  # fmt: skip
    broken = broken.replace("<eqn>target/cap</eqn>", "<eqn>1.5</eqn>")
    assert values(simulate(xmile(tmp_path, broken)), "cap")[:2] == [100, 125]
    array = "".join((
        aux("T", "TIME", over("R") + "<init_eqn>R*5</init_eqn>"), stock("I", "T", more=over("R")),
    ))  # fmt: skip
    assert values(simulate(xmile(tmp_path, array)), "I")[0] == [5, 10]


# -- graphical functions, 3.1.4 and 4.1.3 ----------------------------------------------------


def gf(ypts: str, scale: str = '<xscale min="0" max="4"/>', kind: str = "", name: str = "") -> str:
    return f"<gf{name}{kind}>{scale}{ypts}</gf>"


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [
        (gf("<ypts>0,10,40</ypts>"), [0, 0, 5, 10, 25, 40, 40]),
        (gf("<ypts>0,10,40</ypts>", kind=' type="continuous"'), [0, 0, 5, 10, 25, 40, 40]),
        (gf("<ypts>0,10,40</ypts>", kind=' type="extrapolate"'), [-5, 0, 5, 10, 25, 40, 55]),
        (gf("<ypts>0,10,40,40</ypts>", '<xscale min="0" max="6"/>', ' type="discrete"'),
         [0, 0, 0, 10, 10, 40, 40]),
        (gf("<ypts>1,3</ypts>", "<xpts>1,3</xpts>"), [1, 1, 1, 2, 3, 3, 3]),
        (gf('<ypts sep=";">1;3</ypts>', '<xpts sep="|">1|3</xpts>'), [1, 1, 1, 2, 3, 3, 3]),
        (gf('<ypts sep=" ">1 3</ypts>', "<xpts>1, 3,</xpts>"), [1, 1, 1, 2, 3, 3, 3]),
        (gf("<ypts>\n 1 ,\n 3 \n</ypts>", '<xscale max="3" min="1"/>'), [1, 1, 1, 2, 3, 3, 3]),
        (gf("<ypts>1e0,+3.</ypts>", '<xscale min="1" max="3"/><yscale min="9" max="99"/>'),
         [1, 1, 1, 2, 3, 3, 3]),
        # Both, as some files have it: the points hold.
        (gf("<ypts>1,3</ypts>", '<xscale min="0" max="9"/><xpts>1,3</xpts>'),
         [1, 1, 1, 2, 3, 3, 3]),
    ],
)  # fmt: skip
def test_a_graphical_function(tmp_path, curve, wanted):
    named = curve.replace("<gf", '<gf name="t"', 1)
    variables = "".join((
        aux("inside", "TIME - 1", curve), flow("a flow", "TIME - 1", curve), named,
        aux("called", "T(TIME - 1)"), aux("looked up", "LOOKUP(t, TIME - 1)"),
        f'<aux name="alone">{curve}</aux>', aux("of alone", "alone(TIME - 1)"),
        aux("referred", "TIME - 1", '<gf name="t"/>'),
        aux("named", "TIME - 1", named.replace('name="t"', 'name="u"')),
        aux("of named", "u(TIME - 1)"),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=6))
    for name in (
        "inside",
        "a flow",
        "called",
        "looked up",
        "of alone",
        "referred",
        "named",
        "of named",
    ):
        assert values(found, name) == wanted, name


@pytest.mark.parametrize(
    ("code", "curve"),
    [
        ("M112", gf("<ypts>1</ypts>")), ("M112", gf("")), ("M112", gf("<ypts></ypts>")),
        ("M112", gf("<ypts>1,2</ypts>", "")),
        ("M112", gf("<ypts>1,2</ypts>", "<xpts>1,2,3</xpts>")),
        ("M112", gf("<ypts>1,2</ypts>", "<xpts>2,1</xpts>")),
        ("M112", gf("<ypts>1,2</ypts>", "<xpts>1,1</xpts>")),
        ("M112", gf("<ypts>1,2</ypts>", '<xscale min="3" max="3"/>')),
        ("M111", gf("<ypts>1,two</ypts>")), ("M111", gf("<ypts>1,,2</ypts>")),
        ("M111", gf("<ypts>1,2</ypts>", '<xscale min="a" max="3"/>')),
        ("M111", gf("<ypts>1,2</ypts>", '<xscale min="0"/>')), ("M111", gf("<ypts>1,nan</ypts>")),
        ("M109", gf("<ypts>1,2</ypts>", kind=' type="spline"')),
        ("M105", gf("", "", name=' name="none"')),
    ],
)  # fmt: skip
def test_a_graphical_function_that_is_none(tmp_path, code, curve):
    refused(tmp_path, code, "line 8", "'bad'", variables=aux("bad", "TIME", curve))


def element(subscript: str, inside: str) -> str:
    return f'<element subscript="{subscript}">{inside}</element>'


TEN, HUNDRED = (gf(f"<ypts>0,{y}</ypts>") for y in (10, 100))


@pytest.mark.parametrize(
    "inside",
    [
        element("n", f"<eqn>TIME</eqn>{TEN}") + element("s", f"<eqn>TIME</eqn>{HUNDRED}"),
        element("n", TEN) + element("s", HUNDRED) + "<eqn>TIME</eqn>",
        "<eqn>TIME</eqn>" + element("s", HUNDRED) + element("n", TEN),
        f"<eqn>TIME</eqn>{TEN}" + element("s", HUNDRED),
        element("1", f"<eqn>TIME</eqn>{TEN}") + element("2", f"<eqn>TIME</eqn>{HUNDRED}"),
        element("n", TEN) + element("s", HUNDRED) + "<eqn>clock[R]</eqn>",
        element("n", TEN) + element("s", HUNDRED) + "<eqn>clock</eqn>",
        element("n", TEN) + element("s", HUNDRED) + "<eqn>TIME + R - R.n*R</eqn>",
    ],
)
def test_a_graphical_function_for_each_element(tmp_path, inside):
    clock = aux("clock", "TIME", over("R"))
    for tag in ("aux", "flow"):
        found = simulate(xmile(tmp_path, f'<{tag} name="t">{over("R")}{inside}</{tag}>{clock}'))
        assert values(found, "t") == [[2.5 * t, 25.0 * t] for t in range(5)]


@pytest.mark.parametrize("tag", ["aux", "gf"])
def test_tables_of_an_array_that_are_called(tmp_path, tag):
    table = f'<{tag} name="t">{over("R")}{element("n", TEN)}{element("s", HUNDRED)}</{tag}>'
    calls = aux("one", "t[s](TIME)") if tag == "never" else aux("one", "LOOKUP(t[s], TIME)")
    calls += aux("each", "LOOKUP(t[R], TIME)", over("R")) + aux("bare", "t(TIME)", over("R"))
    found = simulate(xmile(tmp_path, table + calls))
    assert values(found, "one") == [25.0 * t for t in range(5)]
    assert values(found, "each") == [[2.5 * t, 25.0 * t] for t in range(5)]
    assert values(found, "bare") == values(found, "each")


def test_a_table_of_another_kind_for_each_element(tmp_path):
    inside = element("n", gf("<ypts>0,10</ypts>", kind=' type="extrapolate"'))
    inside += element("s", gf("<ypts>0,100</ypts>", kind=' type="discrete"')) + "<eqn>TIME*2</eqn>"
    found = simulate(xmile(tmp_path, f'<aux name="t">{over("R")}{inside}</aux>'))
    assert values(found, "t") == [[5.0 * t, 100.0 if t >= 2 else 0.0] for t in range(5)]


# -- arrays, 3.7.1 and 4.5 -------------------------------------------------------------------


def test_arrays(tmp_path):
    variables = "".join((
        aux("v", "R*10 + TIME", over("R")), aux("w", "v + K", over("R", "K")),
        f'<aux name="e">{over("R", "K")}' + "".join(
            element(f"{r}, {k}", f"<eqn>{10 * (r == 's') + k}</eqn>")
            for r in "ns" for k in (1, 2, 3)
        ) + "</aux>",
        aux("turned", "e", over("K", "R")), aux("next", "e[R, 3]", over("R")),
        aux("later", "fixed[K]*100 + IF K < 3 THEN fixed[K + 1] ELSE 0", over("K")),
        aux("fixed", "K*K", over("K")), aux("before", "fixed[K - 1]", over("K")),
        aux("cohort", "IF K = 1 THEN 5 ELSE cohort[K - 1]*2", over("K")),
        aux("last first", "IF K < 3 THEN last_first[K + 1] + 1 ELSE TIME", over("K")),
        aux("running", "running[K - 1] + fixed", over("K")),
        aux("by star", "SUM(fixed[K.*])"), aux("sums", "SUM(e[R, *])", over("R")),
        aux("share", "v/SUM(v)", over("R")), aux("place", "R + R.s", over("R")),
        f'<aux name="default">{over("R")}<eqn>R*7</eqn>{element("s", "<eqn>1</eqn>")}</aux>',
        aux("label", "e[s, 2]"), aux("number", "e[2, 2]"), aux("mixed", "e[two, 2]"),
        aux("two", "2"),
        aux("listed", "4, 5", over("R")),
    ))  # fmt: skip
    found = simulate(xmile(tmp_path, variables, stop=1))
    last = {n: np.array(values(found, n)[-1]).tolist() for n in found}
    assert last["w"] == [12, 13, 14, 22, 23, 24]
    assert last["turned"] == [1, 11, 2, 12, 3, 13]
    assert last["next"] == [3, 13]
    assert last["later"] == [104, 409, 900]
    assert last["before"] == [0, 1, 4]
    assert last["cohort"] == [5, 10, 20]
    assert last["last first"] == [3, 2, 1]
    assert last["running"] == [1, 5, 14]
    assert last["by star"] == 14
    assert last["sums"] == [6, 36]
    assert last["share"] == pytest.approx([11 / 32, 21 / 32])
    assert last["place"] == [3, 4]
    assert last["default"] == [7, 1]
    assert [last[n] for n in ("label", "number", "mixed")] == [12, 12, 12]
    assert last["listed"] == [4, 5]


def test_stocks_of_an_array_start_each_in_its_way(tmp_path):
    inside = element("n", "<eqn>1</eqn>") + element("s", "<eqn>p*5</eqn>") + "<inflow>i</inflow>"
    variables = (
        f'<stock name="S">{over("R")}{inside}</stock>' + flow("i", "R", over("R")) + aux("p", "3")
    )
    found = simulate(xmile(tmp_path, variables, stop=1))
    assert values(found, "S") == [[1, 15], [2, 17]]
    listed = stock("S", "4, 5", ["i"], more=over("R")) + flow("i", "R", over("R"))
    assert values(simulate(xmile(tmp_path, listed, stop=1)), "S") == [[4, 5], [5, 7]]


def test_subscripts_that_do_not_fit(tmp_path):
    bad = f'<aux name="bad">{over("R")}' + element("n, s", "<eqn>1</eqn>") + "</aux>"
    refused(tmp_path, "M120", "'bad'", "2 subscripts for 1", variables=bad)
    bad = '<aux name="bad">' + element("n", "<eqn>1</eqn>") + "</aux>"
    refused(tmp_path, "M120", "'bad'", "<dimensions>", variables=bad)
    bad = f'<aux name="bad">{over("R")}{element("n", "<eqn>1</eqn>")}{element("s", "")}</aux>'
    refused(tmp_path, "M104", "'bad'", "no equation", variables=bad)


# -- the file, chapter 2 ---------------------------------------------------------------------

SIM = "<sim_specs{}><start>0</start><stop>2</stop><dt>1</dt></sim_specs>"
ONE = stock("S", 5, ["f"]) + flow("f", "S")


@pytest.mark.parametrize(
    "text",
    [
        f"<xmile>{SIM.format('')}<model>{ONE}</model></xmile>",
        f'<xmile xmlns="http://www.systemdynamics.org/XMILE">{SIM.format("")}<model>{ONE}'
        '<display><stock name="S" x="1" y="2"/></display></model></xmile>',
        f'<xmile xmlns="http://www.systemdynamics.org/XMILE">{SIM.format("")}<model>{ONE}'
        '<stock name="S" x="1" y="2"/><flow name="f" x="1" y="2"><pts><pt x="1" y="2"/>'
        "</pts></flow></model></xmile>",
        f"<xmile><model>{SIM.format('')}<variables>{ONE}</variables></model></xmile>",
        f"<xmile><model name='main'><variables>{ONE}</variables></model>{SIM.format('')}</xmile>",
        f"<xmile>{SIM.format('')}<model><variables><group name='g'>{ONE}</group></variables>"
        "</model></xmile>",
        f"<xmile>{SIM.format('')}<model><variables>{ONE}<group name='g'><entity name='S'/>"
        "<var>f</var></group></variables></model></xmile>",
        f'<x:xmile xmlns:x="urn:other">{SIM.format("")}<model><variables>{ONE}</variables></model>'
        "</x:xmile>",
        f"<xmile><isee:prefs/>{SIM.format(' isee:sim_duration=' + chr(34) + '1' + chr(34))}<model>"
        f"<variables>{ONE}</variables><views><style><module/><stock><shape/></stock></style><view>"
        '<stock name="S"/><module name="m"/><conveyor/></view></views></model><style>'
        "<queue/></style></xmile>",
    ],
)  # fmt: skip
def test_the_shape_of_a_file(tmp_path, text):
    path = tmp_path / "m.stmx"
    path.write_text(text, encoding="utf-8")
    found = simulate(read_model(path))
    assert values(found, "S") == [5, 10, 20]
    assert set(found) == {"S", "f", "INITIAL TIME", "FINAL TIME", "TIME STEP", "SAVEPER"}


def settings(tmp_path, specs: str, attributes: str = "", variables: str = ""):
    path = tmp_path / "m.xmile"
    path.write_text(
        f'<xmile xmlns:isee="http://iseesystems.com/XMILE"><sim_specs {attributes}>{specs}'
        f"</sim_specs><model><variables>{ONE}{variables}</variables></model></xmile>"
    )
    return read_model(path)


def test_time_settings(tmp_path):
    ends = "<start>1</start><stop>3</stop>"
    for specs, attributes, times, step in (
        (ends, "", [1, 2, 3], 1),
        (ends + "<dt>0.5</dt>", "", [1, 1.5, 2, 2.5, 3], 0.5),
        (ends + '<dt reciprocal="true">4</dt>', "", list(np.arange(1, 3.25, 0.25)), 0.25),
        (ends + '<dt reciprocal="false">2</dt>', "", [1, 3], 2),
        (ends + "<dt>0.5</dt>", 'isee:save_interval="1"', [1, 2, 3], 0.5),
        (ends + "<dt>0.5</dt>", 'isee:save_interval="0"', [1, 1.5, 2, 2.5, 3], 0.5),
        (ends + "<dt>0.5</dt><save_step>2</save_step>", "", [1, 3], 0.5),
        ("<stop>2*4</stop><start>2 {begin}</start><dt>3</dt>", 'time_units="Months"', [2, 5, 8], 3),
    ):
        found = simulate(settings(tmp_path, specs, attributes))
        assert found.time.to_numpy().tolist() == times
        assert found["TIME STEP"].to_numpy().flat[0] == step
    assert settings(tmp_path, specs, attributes).find("TIME STEP").unit == "Months"


@pytest.mark.parametrize(
    ("method", "read"),
    [("Euler", "euler"), ("RK4", "rk4"), ("rk4", "rk4"), ("", "euler"), ("gear, RK4", "rk4"),
     ("rk45, euler", "euler"), ("RK2", "rk4")],
)  # fmt: skip
def test_methods(tmp_path, method, read):
    """3.4.1: the first that is supported; RK2 falls back to RK4."""
    specs = "<start>0</start><stop>1</stop><dt>1</dt>"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = settings(tmp_path, specs, f'method="{method}"' if method else "")
    done = {"euler": "Euler", "rk4": "RK4"}[read]
    as_asked = method.lower() in ("", "euler", "rk4")
    assert [str(w.message) for w in said] == [] if as_asked else [
        f"m.xmile asks for integration by {method!r}; it is integrated by {done} with a fixed step"
    ]  # fmt: skip
    assert model.method == read
    # dS/dt = S from 5: Euler doubles it, RK4 takes the series of e to the fourth term.
    assert values(simulate(model), "S")[1] == pytest.approx(10 if read == "euler" else 5 * 65 / 24)


@pytest.mark.parametrize(
    ("specs", "attributes", "code", "part"),
    [
        ("<start>0</start><dt>1</dt>", "", "M108", "FINAL TIME"),
        ("<stop>0</stop><dt>1</dt>", "", "M108", "INITIAL TIME"),
        ("<start>3</start><stop>1</stop><dt>1</dt>", "", "M113", "FINAL TIME = 1"),
        ("<start>0</start><stop>1</stop><dt>0</dt>", "", "M113", "TIME STEP = 0"),
        ("<start>0</start><stop>1</stop><dt></dt>", "", "M104", "TIME STEP"),
        ("<start>0</start><stop>4</stop><dt>1</dt>", 'isee:save_interval="1.5"', "M113", "1.5"),
        ("<start>0</start><stop>1</stop><run by='group'/>", "", "M121", "<run>"),
        ("<start>0</start><stop>1</stop>", 'method="Gear"', "M115", "Gear"),
    ],
)  # fmt: skip
def test_time_settings_that_are_none(tmp_path, specs, attributes, code, part):
    with pytest.raises(ModelError) as caught:
        compile_model(settings(tmp_path, specs, attributes))
    assert caught.value.code == code
    assert part in caught.value.message


def test_vensims_time_settings_among_the_variables(tmp_path):
    """Vensim writes them twice; <sim_specs> holds, and a second SAVEPER is the only one."""
    specs = "<start>0</start><stop>2</stop><dt>0.5</dt>"
    twins = aux("TIME_STEP", "0.5") + aux("FINAL TIME", "2") + aux("SAVEPER", "TIME_STEP*2")
    found = simulate(settings(tmp_path, specs, variables=twins + aux("x", "TIME_STEP")))
    assert found.time.to_numpy().tolist() == [0, 1, 2]
    assert values(found, "x") == [0.5] * 3
    with pytest.raises(ModelError, match=r"M107.*'FINAL TIME' is 9, and 2 in <sim_specs>"):
        settings(tmp_path, specs, variables=aux("FINAL TIME", "9"))


# -- what is not compiled, or not understood -------------------------------------------------

FLOW = flow("o", "1")


@pytest.mark.parametrize(
    ("code", "part", "variables"),
    [
        ("M109", "<module> 'm'", "<module name='m'><connect to='a' from='b'/></module>"),
        ("M109", "<conveyor>",
         stock("bad", 1, (), ["o"], "<conveyor><len>4</len></conveyor>") + FLOW),
        ("M109", "<queue>", stock("bad", 1, (), ["o"], "<queue/>") + FLOW),
        ("M109", "<oven>", stock("bad", 1, more="<isee:oven/>")),
        ("M121", "<leak>", flow("bad", "1", "<leak>0.1</leak>")),
        ("M121", "<leak_integers>", flow("bad", "1", "<leak_integers/>")),
        ("M121", "<overflow>", flow("bad", "1", "<overflow/>")),
        ("M121", "<multiplier>", flow("bad", "1", "<multiplier>3</multiplier>")),
        ("M121", "<spreadflow>", flow("bad", "1", "<isee:spreadflow/>")),
        ("M121", "<init_eqn>", stock("bad", 1, more="<init_eqn>3</init_eqn>")),
        ("M121", "<init_eqn>", aux("bad", "TIME", TEN + "<init_eqn>3</init_eqn>")),
        ("M121", "<gf>", stock("bad", 1, more=TEN)),
        ("M121", "<inflow>", aux("bad", "1", "<inflow>o</inflow>")),
        ("M121", "<non_negative>", aux("bad", "1", NOT)),
        ("M121", "<secret>", aux("bad", "1", "<secret/>")),
        ("M121", "<secret>", f"<aux name='bad'>{over('R')}{element('n', '<secret/>')}</aux>"),
        ("M104", "empty <inflow>", "<stock name='bad'><eqn>1</eqn><inflow/></stock>"),
        ("M104", "without a name", "<aux><eqn>1</eqn></aux>"),
        ("M111", "<range>", aux("bad", "1", "<range min='a' max='2'/>")),
        ("M105", "'none'", stock("bad", 1, ["none"])),
        ("M107", "'Bad_One' (line 8)", aux("bad one", "1") + aux("Bad_One", "2")),
    ],
)  # fmt: skip
def test_what_is_not_understood(tmp_path, code, part, variables):
    refused(tmp_path, code, part, "m.stmx", variables=variables)


@pytest.mark.parametrize(
    ("code", "part", "given"),
    [
        ("M109", "<model> 'sub'",
         {"macros": f"<model name='sub'><variables>{ONE}</variables></model>"}),
        ("M121", "<sim_specs>", {"macros": "<macro name='F'><parm>x</parm><eqn>x</eqn>"
                                 "<sim_specs/></macro>"}),
        ("M109", "<import>", {"top": "<data><import type='CSV' resource='a.csv'/></data>"}),
    ],
)  # fmt: skip
def test_what_a_file_may_not_hold(tmp_path, code, part, given):
    refused(tmp_path, code, part, "line ", variables=aux("x", "1"), **given)


def test_what_says_nothing_of_the_numbers(tmp_path):
    more = (
        "<doc>text {with braces</doc><units>a/b</units><range min='0' max='9'/><scale min='0'/>"
        "<format precision='1'/><event_poster min='0' max='1'><threshold value='1'/></event_poster>"
        "<isee:delay_aux/><mathml><apply/></mathml>"
    )
    top = (
        "<model_units><unit name='a'><eqn>1</eqn></unit></model_units><style><stock/><module/>"
        "</style><data><import enabled='false'/><export type='CSV'/></data><isee:prefs/>"
    )
    variables = aux("x", "3", more).replace("<aux", '<aux access="input" flow_concept="1"')
    read = xmile(tmp_path, variables, top=top)
    found = read.find("x")
    assert (found.value, found.unit, found.limits, found.documentation) == (
        3, "a/b", (0, 9), "text {with braces",
    )  # fmt: skip


def test_macros(tmp_path):
    macros = (
        "<macro name='HELD'><parm>in</parm><parm>lag</parm><eqn>level/lag</eqn><variables>"
        "<stock name='level'><eqn>in*lag</eqn><inflow>change</inflow></stock>"
        "<flow name='change'><eqn>in - level/lag {a stock's own}</eqn></flow></variables></macro>"
        "<macro name='Base Log'><parm>x</parm><parm>y</parm><eqn>LN(x)/LN(y)</eqn></macro>"
        "<macro name='level of'><parm>x</parm><eqn>level_of</eqn><variables>"
        "<aux name='level of'><eqn>IF x &gt; 1 THEN x MOD 2 ELSE -1</eqn></aux></variables></macro>"
    )
    variables = (
        aux("x", "HELD(STEP(4, 1), 2)") + aux("y", "Base_Log(8, 2)") + aux("z", "LEVEL_OF(TIME)")
    )
    found = simulate(xmile(tmp_path, variables, macros=macros))
    assert values(found, "x") == [0, 0, 2, 3, 3.5]
    assert values(found, "y") == pytest.approx([3] * 5)
    assert values(found, "z") == [-1, -1, 0, 1, 0]
    refused(tmp_path, "M114", "'HELD'", "2 argument(s), not 1", macros=macros,
            variables=aux("x", "HELD(1)"))  # fmt: skip


# -- files that were read wrongly once -------------------------------------------------------

END = {
    "style_of_a_module": {"S": [50] * 11},
    "table_for_each_element": {"t": [[t, 10.0 * t] for t in range(11)]},
    "table_in_each_element": {"t": [[t, 10.0 * t] for t in range(11)]},
    "held_back_outflow": {"o": [2, 2, 1] + [0] * 8, "T": [0, 2, 4] + [5] * 8},
    "else_if": {"y": [1] * 3 + [2] * 3 + [3] * 5},
    "remark_in_an_equation": {"y": [7] * 11},
    "three_arguments_of_max": {"y": [5] * 6 + [6, 7, 8, 9, 10]},
    "lookup_of_a_table": {"y": [3] * 11},
    "flow_with_a_blank": {"S": list(range(11))},
    "draft_of_2012": {"S": [5, 4, 3.2]},
    "variable_as_a_subscript": {"y": [2] * 11, "behind": [1] * 11},
    "start_of_its_own": {"I": [7] * 11},
    "architect": {"Susceptible": [99, 98.01], "Infected": [1, 1.74]},
}


@pytest.mark.parametrize("name", END)
def test_case(name):
    found = simulate(read_model(CASES / f"xmile_{name}" / "m.stmx"))
    for variable, wanted in END[name].items():
        got = np.array(values(found, variable)[: len(wanted)])
        assert got == pytest.approx(np.array(wanted), rel=1e-12), variable
