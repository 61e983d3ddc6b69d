"""Text that stops PySD's grammar, and macros in the forms that models write them."""

from __future__ import annotations

import numpy as np
import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.errors import ModelError
from sdkit.mend import mend_vensim, mend_xmile
from tests.small import CONTROL, SKETCH, model, text


def write(tmp_path, body: str, name: str = "mended.mdl", **settings):
    """A model from entries as they stand, behind which the time settings come."""
    given = {"start": 0, "end": 4, "step": 1, "saveper": "TIME STEP"} | settings
    path = tmp_path / name
    path.write_text(body + CONTROL.format(**given) + SKETCH.format(number=0), encoding="utf-8")
    return read_model(path)


def values(result, name: str) -> list[float]:
    return result[name].to_numpy().ravel().tolist()


# -- comments, data variables ---------------------------------------------------------------

COMMENTED = """{UTF-8}
x = {the first part} 3 + {
  a comment of several lines with a ~ tilde, a | bar and {braces {inside} it}
  } Time {and the end} ~ Dmnl ~ a {comment} that stays |
"odd {name}" = x*2 ~ {1/Month} ~ an odd " quotation mark |
{before the name} y
  = "odd {name}" {solar} ~ Dmnl ~ "one more |
"""


def test_comments_in_braces_are_no_part_of_an_equation(tmp_path):
    small = write(tmp_path, COMMENTED)
    found = simulate(small)
    assert values(found, "x") == [3, 4, 5, 6, 7]
    assert values(found, "y") == [6, 8, 10, 12, 14]
    assert list(small.variables)[:3] == ["x", '"odd {name}"', "y"]
    assert small.variables["x"].documentation == "a {comment} that stays"
    assert [small.variables[n].line for n in ("x", '"odd {name}"', "y")] == [2, 5, 6]


def test_mending_keeps_every_line_where_it_is(tmp_path):
    mended = mend_vensim(COMMENTED)
    assert mended.count("\n") == COMMENTED.count("\n")
    assert mend_vensim(mended) == mended
    with pytest.raises(ModelError, match=r"M105: mended.mdl, line 6, 'y' uses 'odd'"):
        write(tmp_path, COMMENTED.replace('= "odd {name}" {', "= odd {"))


def test_a_file_that_needs_nothing_is_left_as_it_is():
    plain = text("x = 3\ny = x*Time\nt((0,1),(2,3)) ~ Dmnl ~ |\nr: a, b ~ ~ |\nz[r] = 1, 2")
    assert mend_vensim(plain) == plain


def test_a_data_variable_without_a_keyword(tmp_path):
    (tmp_path / "mended_data.csv").write_text("Time,flow,other flow\n0,1,5\n4,3,9\n")
    small = write(
        tmp_path, "flow ~ Dmnl ~ |\n\nother flow\n  ~ Dmnl ~ |\nx = flow + other flow ~~|"
    )
    assert values(simulate(small), "x") == [6, 7.5, 9, 10.5, 12]
    assert values(simulate(small, engine="pysd"), "x") == [6, 7.5, 9, 10.5, 12]
    assert small.variables["other flow"].line == 3


def test_a_table_of_all_x_and_then_all_y(tmp_path):
    small = write(tmp_path, "old tab(0,1, 4,\n 10,2e1,-5)\n ~ Dmnl ~ |\nx = old tab(Time) ~~|")
    assert values(simulate(small), "x") == pytest.approx(
        np.interp(range(5), [0, 1, 4], [10, 20, -5])
    )
    assert small.variables["x"].line == 4
    with pytest.raises(ModelError, match=r"M112.*3 numbers; a table is"):
        write(tmp_path, "old tab(0,1,4) ~ ~ |\nx = old tab(Time) ~~|")


def test_odd_inch_marks_swallow_nothing(tmp_path):
    small = write(
        tmp_path,
        """x = 1 ~ for the 5" pipe ~ one 5" pipe |
"my k" = 7 ~ m ~ |
****
 .Group of 6" pipes
****~
  all 6" pipes |
y = "my k"*x ~ 5" ~ |
flow = 2 ~ m ~ |
""",
    )
    assert list(small.variables)[:4] == ["x", '"my k"', "y", "flow"]
    assert values(simulate(small), "y") == [7] * 5


def test_words_in_small_letters(tmp_path):
    small = write(
        tmp_path,
        "dim: a, b ~ ~ |\nx[dim] :except: [b] = 1 ~~|\nx[b] = :na: ~~|\n"
        "y[dim] = IF THEN ELSE(x[dim] = :na: :or: Time > 2 :and: :not: Time > 3, 5, 6) ~~|",
    )
    found = simulate(small)["y"].to_numpy()[:, 0, 0, 0]
    assert found.tolist() == [[6, 5], [6, 5], [6, 5], [5, 5], [6, 5]]


@pytest.mark.parametrize("text", [
    "tab(" + "1990," * 200 + "x) ~ ~ |", "tab(" + "1" * 20_000 + "x) ~ ~ |",
    "x = " + '\\"' * 20_000 + " ~ ~ |", "x = " + '\\"' * 20_000, "a " * 20_000 + " ~ ~ |",
    ":MACRO:" * 20_000, ":MACRO: a(b)" * 5_000, "{" * 20_000, '"|~' * 10_000,
], ids=range(9))  # fmt: skip
def test_hostile_texts_are_mended_in_linear_time(text):
    # Each took minutes, or for ever, where a pattern tries again from every place.
    mend_vensim(text)
    mend_xmile(f"<eqn>{text.replace('<', '')}</eqn>" + "word" * 20_000, {})


# -- macros ---------------------------------------------------------------------------------

LEVEL = """ {name}(in, lag)
{name} = level/lag ~ in ~ |
level = INTEG(in - {name}, in*lag) ~ in ~ |
"""


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (":MACRO:", ":END OF MACRO:"),
        (":macro:", ":end of macro:"),
        (": MACRO :", ": End Of Macro :"),
        ("{a comment} :MACRO:", ":END OF MACRO: {and another}"),
    ],
)
def test_marks_of_macros(tmp_path, begin, end):
    body = f"{{UTF-8}}\n{begin}{LEVEL.format(name='HELD BACK')}{end}\n"
    small = write(tmp_path, body + "x = HELD BACK(Time*2, 2) ~~|\ny = held back(x, 4) ~~|")
    by_hand = model(tmp_path, """
        lx = INTEG(Time*2 - lx/2, 0)
        ly = INTEG(lx/2 - ly/4, 0)
        x = lx/2
        y = ly/4
        """, step=1, end=4)  # fmt: skip
    ours, wanted = simulate(small), simulate(by_hand)
    assert list(ours) == ["x", "y", "INITIAL TIME", "FINAL TIME", "TIME STEP", "SAVEPER"]
    for name in "xy":
        assert values(ours, name) == values(wanted, name)


def test_a_macro_may_stand_behind_its_call_and_call_others(tmp_path):
    inner = ":MACRO: TWICE(a)\nTWICE = 2*a ~~|\n:END OF MACRO:\n"
    outer = ":MACRO: SHIFTED(a, b)\nSHIFTED = TWICE(a) + b*own ~~|\nown = 10 ~~|\n:END OF MACRO:\n"
    small = write(
        tmp_path, f"x = SHIFTED(Time, 3) + SHIFTED(1, Time) ~~|\n{outer}{inner}own = 7 ~~|"
    )
    assert values(simulate(small), "x") == [32 + 12 * t for t in range(5)]
    assert values(simulate(small), "own") == [7] * 5


def test_names_with_a_dollar_are_those_of_the_model(tmp_path):
    macro = (
        ":MACRO: STEPS(a)\nSTEPS = a*TIME STEP$ + Time$ + outer$ - time step ~~|\n:END OF MACRO:\n"
    )
    small = write(tmp_path, f"{macro}outer = 100 ~~|\nx = STEPS(10) ~~|", step=0.5, end=1)
    assert values(simulate(small), "x") == [104.5, 105, 105.5]


def test_outputs_of_a_macro_become_variables(tmp_path):
    macro = (
        ":MACRO: BOTH(a, b: larger one, difference)\nBOTH = a + b ~~|\n"
        "larger one = MAX(a, b) ~~|\ndifference = a - b ~~|\n:END OF MACRO:\n"
    )
    small = write(tmp_path, f"{macro}x = BOTH(Time, MIN(2,3) : top, gap) ~~|\ny = gap*10 ~~|")
    found = simulate(small)
    assert values(found, "x") == [2, 3, 4, 5, 6]
    assert values(found, "top") == [2, 2, 2, 3, 4]
    assert values(found, "y") == [-20, -10, 0, 10, 20]


def test_a_macro_in_an_equation_of_an_array(tmp_path):
    body = f":MACRO:{LEVEL.format(name='HELD')}:END OF MACRO:\ndim: a, b, c ~ ~ |\n"
    small = write(tmp_path, body + "lag[dim] = 1, 2, 4 ~~|\nx[dim] = HELD(Time*dim, lag[dim]) ~~|"
                  "\none = HELD(Time*2, 2) ~~|")  # fmt: skip
    found = simulate(small)
    assert found["x"].sel(dim="b").to_numpy().ravel().tolist() == values(found, "one")
    with pytest.raises(ModelError, match=r"M109.*'y': a macro inside SUM"):
        compile_model(write(tmp_path, body + "y = SUM(HELD(k[dim!], 2)) ~~|\nk[dim] = 1 ~~|"))


WRONG = {
    "x = STEPS(1, 2) ~~|": r"M114.*'x': the macro 'STEPS' takes 1 argument\(s\), not 2",
    "x = STEPS(nothing) ~~|": "M105.*'x' uses 'nothing', which is not defined",
}


@pytest.mark.parametrize("call", WRONG)
def test_calls_that_are_wrong(tmp_path, call):
    macro = ":MACRO: STEPS(a)\nSTEPS = a*2 ~~|\n:END OF MACRO:\n"
    with pytest.raises(ModelError, match=WRONG[call]):
        write(tmp_path, macro + call)


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("OTHER = a ~~|", "M105.*'STEPS' does not define 'steps'"),
        ("STEPS = a + hidden ~~|", "M105.*line 2, 'STEPS' in the macro 'STEPS' uses 'hidden'"),
        ("STEPS = STEPS(a) ~~|", "M110.*macros one inside another"),
    ],
)
def test_macros_that_are_wrong(tmp_path, inside, told):
    with pytest.raises(ModelError, match=told):
        write(tmp_path, f":MACRO: STEPS(a)\n{inside}\n:END OF MACRO:\nx = STEPS(1) ~~|")


# -- XMILE ----------------------------------------------------------------------------------

XMILE = """<?xml version="1.0" encoding="utf-8"?>
<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">
<header><name>m</name></header>
<isee:prefs layer="model" isee:depth="1"/>
<sim_specs method="Euler"><start>0</start><stop>4</stop><dt>1</dt></sim_specs>
<dimensions><dim name="D"><elem name="a"/><elem name="b"/></dim>
<dim name="E"><elem name="p"/><elem name="q"/><elem name="r"/></dim></dimensions>
<model><variables>{variables}</variables></model>{macros}
</xmile>
"""


def xmile(tmp_path, variables: str, macros: str = ""):
    path = tmp_path / "m.xmile"
    path.write_text(XMILE.format(variables=variables, macros=macros), encoding="utf-8")
    return read_model(path)


def array(name: str, dims: str, equation: str) -> str:
    inside = "".join(f'<dim name="{d}"/>' for d in dims)
    inside = f"<dimensions>{inside}</dimensions>" if dims else ""
    return f'<aux name="{name}">{inside}<eqn>{equation}</eqn></aux>'


def test_xmile_sums_over_an_asterisk(tmp_path):
    found = simulate(xmile(tmp_path, "".join((
        array("k", "D", "D*10 + TIME"), array("x", "DE", "k[D]*E"),
        array("all", "", "SUM(x[*, *])"), array("rows", "D", "SUM(x[D, *])"),
        array("one", "", "MAX(x[a, *]) - MIN(k[*])"), array("some", "E", "SUM(x[*:D, E])"),
    ))))  # fmt: skip
    t = np.arange(5)
    assert values(found, "all") == (6 * (30 + 2 * t)).tolist()
    assert found["rows"].to_numpy()[1, 0, 0, 0].tolist() == [66, 126]
    assert values(found, "one") == (3 * (10 + t) - (10 + t)).tolist()
    assert found["some"].to_numpy()[0, 0, 0, 0].tolist() == [30, 60, 90]


def test_xmile_leaves_out_the_subscripts_of_its_own_dimension(tmp_path):
    found = simulate(xmile(tmp_path, array("k", "D", "TIME + D") + array("x", "D", "k*2")))
    assert found["x"].to_numpy()[1, 0, 0, 0].tolist() == [4, 6]


def test_xmile_macros(tmp_path):
    macros = (
        '<macro name="HELD"><parm>in</parm><parm>lag</parm><eqn>level/lag</eqn><variables>'
        '<stock name="level"><eqn>in*lag</eqn><inflow>change</inflow></stock>'
        '<flow name="change"><eqn>in - level/lag</eqn></flow></variables></macro>'
        '<macro name="TWICE"><parm>a</parm><eqn>2*a</eqn></macro>'
    )
    small = xmile(tmp_path, array("x", "", "HELD(TIME*2, 2) + TWICE(TIME)"), macros)
    by_hand = model(tmp_path, "l = INTEG(Time*2 - l/2, 0)\nx = l/2 + Time*2", step=1, end=4)
    assert values(simulate(small), "x") == values(simulate(by_hand), "x")


def test_xmile_that_would_be_read_as_something_else(tmp_path):
    with pytest.raises(ModelError, match=r"M109.*<module>"):
        xmile(tmp_path, '<module name="other"/>')


def test_xmile_means_all_of_an_array_in_a_sum(tmp_path):
    found = simulate(xmile(tmp_path, "".join((
        array("k", "D", "D*10 + TIME"), array("share", "D", "k/SUM(k)"),
        array("most", "D", "k/MAX(k)"), array("m", "DD", "TIME + 1"),
        array("all", "", "SUM(m[*, *])"), array("first", "E", "k[1]*E"),
    ))))  # fmt: skip
    t = np.arange(5)
    assert found["share"].to_numpy()[:, 0, 0, 0, 0] == pytest.approx((10 + t) / (30 + 2 * t))
    assert found["most"].to_numpy()[:, 0, 0, 0, 1].tolist() == [1] * 5
    assert values(found, "all") == (4 * (t + 1)).tolist()
    assert found["first"].to_numpy()[0, 0, 0, 0].tolist() == [10, 20, 30]


def test_xmile_stocks_that_start_element_by_element(tmp_path):
    stock = (
        '<stock name="s"><dimensions><dim name="D"/></dimensions>'
        '<element subscript="a"><eqn>1</eqn></element><element subscript="b"><eqn>5</eqn></element>'
        "<inflow>in</inflow><outflow>out</outflow></stock>"
    )
    flows = "".join(
        f'<flow name="{name}"><dimensions><dim name="D"/></dimensions><eqn>{equation}</eqn></flow>'
        for name, equation in (("in", "D"), ("out", "0.5"))
    )
    found = simulate(xmile(tmp_path, stock + flows))
    assert found["s"].to_numpy()[:, 0, 0, 0].tolist() == [
        [1 + 0.5 * t, 5 + 1.5 * t] for t in range(5)
    ]
