"""Reading a model: what a Model says, and one deliberately broken file an error message."""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path

import pytest

from sdkit import Error, compile_model, read_model, simulate
from sdkit.errors import CODES, ModelError, SimulationError
from sdkit.expressions import key
from tests.small import model, text

ROOT = Path(__file__).parents[1]
BROKEN = Path(__file__).parent / "broken" / "models"

# file: the code, and what the message has to name beside the file.
FAULTS = {
    "empty.mdl": ("M102",),
    "blank.mdl": ("M102",),
    "not_text.mdl": ("M103", "NUL"),
    "not_text_either.mdl": ("M103",),
    "syntax.mdl": ("M104", "line 5", "'bad'"),
    "parenthesis.mdl": ("M104", "line 5", "'bad'"),
    "no_operator.mdl": ("M104", "line 5", "'bad'"),
    "no_second_tilde.mdl": ("M104", "line 3", "'bad = 2 ~ a unit |'"),
    "syntax.xmile": ("M104", "line 5", "'a'"),
    "table_of_words.mdl": ("M112", "line 2", "'bad'", "(one,1)"),
    "table_unpaired.mdl": ("M112", "line 2", "'bad'", "(1)"),
    "unknown_variable.mdl": ("M105", "line 5", "'bad'", "'liftime'"),
    "unknown_variable.xmile": ("M105", "line 5", "'a'", "'nobody'"),
    "table_without_argument.mdl": ("M105", "line 3", "'bad'", "'table'"),
    "circle.mdl": ("M106", "line 5", "Price -> Demand -> Supply Gap -> Price"),
    "circle_at_the_start.mdl": ("M106", "line 2", "first -> second -> first"),
    "defined_twice.mdl": ("M107", "'Birth_Rate' (line 7)", "'birth rate' (line 5)"),
    "defined_twice_quoted.mdl": ("M107", "'Birth Rate' (line 3)", "(line 2)"),
    "defined_twice.xmile": ("M107", "'Birth_Rate' (line 5)", "'birth rate'"),
    "cut_in_an_equation.mdl": ("M108", "'inflow ='"),
    "cut_at_a_bar.mdl": ("M108", "has no SAVEPER"),
    "cut_after_the_equations.mdl": ("M108", "ends with 'last equation'"),
    "cut_in_the_sketch.mdl": ("M108", "sketch"),
    "cut_in_line_15.mdl": ("M108", "line 15"),
    "no_controls.mdl": ("M108", "FINAL TIME"),
    "truncated.xmile": ("M108", "line 6"),
    "subscripts.mdl": ("M120", "line 3", "'bad'", "3 values for 2 elements"),
    "subscript_without_a_range.mdl": ("M120", "line 2", "'bad'", "'young'"),
    "array.xmile": ("M120", "line 5", "'a'", "'Age'"),
    "macro.mdl": ("M114", "line 5", "'bad'", "macro 'TWICE'", "1 argument(s), not 2"),
    "no_equation.xmile": ("M104", "line 5", "'a'", "no equation"),
    "conveyor.xmile": ("M109", "line 5", "<conveyor>"),
    "module.xmile": ("M109", "line 5", "<module> 'm'"),
    "get_direct.mdl": ("M119", "line 2", "'bad'", "figures.xlsx"),
    "get_xls_data.mdl": ("M119", "line 2", "'bad'", "figures.xlsx"),
    "data_variable.mdl": ("M119", "line 2", "'bad'", "no file of data"),
    "random.mdl": ("M109", "line 2", "'bad'", "RANDOM POISSON"),
    "forecast.mdl": ("M114", "line 2, column 15", "'bad'", "FORECAST takes 3", "not 2"),
    "allocate.mdl": ("M109", "line 2", "'bad'", "ALLOCATE BY PRIORITY"),
    "unknown_function.mdl": ("M109", "line 2", "'bad'", "FROBNICATE"),
    "lookup_invert.mdl": ("M109", "line 3", "'bad'", "LOOKUP INVERT"),
    "power_of_a_negative.mdl": ("M109", "line 2", "'bad'", "power"),
    "delay_of_order_zero.mdl": ("M109", "line 2", "'bad'", "order 0"),
    "number_too_large.mdl": ("M111", "line 5", "'bad'"),
    "number_too_large_in_a_sum.mdl": ("M111", "line 5", "'bad'"),
    "range_of_words.mdl": ("M111", "line 2", "[0,many]"),
    "table_with_a_word_for_a_range.mdl": ("M111", "line 2", "'bad'", "ten"),
    "table_of_words.xmile": ("M111", "line 5", "'a'", "three"),
    "table_of_one_point.mdl": ("M112", "line 2", "'bad'"),
    "table_whose_x_falls.mdl": ("M112", "line 2", "'bad'", "1 stands behind 3"),
    "string_as_number.mdl": ("M126", "line 2", "'bad'", "'file_name'", "line 3"),
    "table_too_large.mdl": ("M112", "line 2", "'bad'"),
    "table_of_one_point.xmile": ("M112", "line 5", "'a'"),
    "table_of_unequal_length.xmile": ("M112", "line 5", "'a'"),
    "table_without_points.xmile": ("M112", "line 5", "'a'"),
    "time_step_of_zero.mdl": ("M113", "TIME STEP = 0 has to be above zero"),
    "time_step_below_zero.mdl": ("M113", "TIME STEP = -1 has to be above zero"),
    "time_that_runs_back.mdl": ("M113", "FINAL TIME = -5 lies before INITIAL TIME"),
    "saveper_of_zero.mdl": ("M113", "SAVEPER = 0 has to be above zero"),
    "saveper_between_steps.mdl": ("M113", "SAVEPER = 0.7 is no multiple of TIME STEP"),
    "too_many_steps.mdl": ("M113", "TIME STEP = 1e-12 makes 1e+13 steps"),
    "time_step_that_moves.mdl": ("M113", "TIME STEP"),
    "delay_of_an_order_that_flows.mdl": ("M113", "line 2", "'bad'", "order"),
    "few_arguments.mdl": ("M114", "line 2", "'bad'", "MIN", "2", "not 1"),
    "many_arguments.mdl": ("M114", "line 2", "'bad'", "SQRT", "1", "not 2"),
    "few_arguments_of_a_state.mdl": ("M114", "line 2", "'bad'"),
    "table_of_two_arguments.mdl": ("M114", "line 3", "'bad'", "'table'"),
    "method.mdl": ("M115", "'7'"),
    "method_that_is_not_compiled.mdl": ("M115", "'3'"),
    "method.xmile": ("M115", "'Gear'"),
    "not_closed.xmile": ("M117", "line 7"),
    "multiplier.xmile": ("M121", "line 5", "'a'", "<multiplier>"),
    "outflows_in_another_order.xmile": ("M122", "'s'", "'a'", "'b'"),
    "no_model.xmile": ("M117",),
    "document_type.xmile": ("M117",),
}


@pytest.mark.filterwarnings("ignore:.*integrated by Euler")
@pytest.mark.parametrize("name", sorted(p.name for p in BROKEN.iterdir()))
def test_broken_model(name):
    code, *named = FAULTS[name]
    with pytest.raises(ModelError) as caught:
        compile_model(read_model(BROKEN / name))
    assert caught.value.code == code
    for part in (name, *named):
        assert part in caught.value.message
    assert "\n" not in caught.value.message


def test_a_method_that_is_not_compiled_can_be_replaced():
    small = read_model(BROKEN / "method_that_is_not_compiled.mdl")
    assert simulate(small, method="euler").attrs["method"] == "euler"
    assert simulate(small, method="euler", engine="pysd").sizes["time"] > 1


def test_every_code_of_reading_has_a_broken_file():
    # M101 no file, M110 depth: their files would be none, or large; M116 and M118 the
    # runs of PySD and pysimlin.
    by_hand = {"M101", "M110", "M116", "M118"}
    by_hand |= {"M132", "M133", "M134", "M135"}  # tests/test_limits.py and tests/corpus
    assert {c for c in CODES if c.startswith("M")} == {f[0] for f in FAULTS.values()} | by_hand
    assert {p.name for p in BROKEN.iterdir()} == set(FAULTS)


def test_no_model_here(tmp_path):
    for path, part in (
        (tmp_path / "none.mdl", "none.mdl does not exist"),
        (tmp_path, "holds no model file"),
        (ROOT / "pyproject.toml", "neither a .mdl nor an XMILE file"),
    ):
        with pytest.raises(ModelError) as caught:
            read_model(path)
        assert caught.value.code == "M101"
        assert part in caught.value.message
    for name in ("a.mdl", "b.mdl"):
        (tmp_path / name).write_text(text("x = 1"))
    with pytest.raises(ModelError, match="2 model files"):
        read_model(tmp_path)
    (tmp_path / f"{tmp_path.name}.mdl").write_text(text("x = 2"))
    assert read_model(tmp_path).find("x").value == 2


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "-(" * 3000 + "x" + ")" * 3000,
        "ABS(" * 2000 + "1" + ")" * 2000,
    ],
    ids=["parentheses", "minuses", "calls"],
)
def test_deep_nesting(tmp_path, expression):
    with pytest.raises(ModelError) as caught:
        model(tmp_path, f"first = 1\nx = {expression}", name="deep.mdl")
    assert caught.value.code == "M110"
    assert "deep.mdl" in caught.value.message


def test_nesting_that_people_write(tmp_path):
    expression = "IF THEN ELSE(Time > 1, " * 12 + "0" + ", 1)" * 12
    assert compile_model(model(tmp_path, f"x = {expression}\ny = {'(' * 15}1 + x{')' * 15}"))


def test_a_long_chain_of_definitions(tmp_path):
    lines = ["x0 = Time"] + [f"x{i} = x{i - 1} + 1" for i in range(1, 1500)]
    random.Random(1).shuffle(lines)
    assert compile_model(model(tmp_path, "\n".join(lines), end=1, step=1)).outputs


# -- a file cut anywhere ------------------------------------------------------------------


def test_equations_alone_are_read_with_a_warning(tmp_path):
    path = tmp_path / "alone.mdl"
    path.write_text(
        "s = INTEG(-s, 1) ~ ~ |\nINITIAL TIME = 0 ~ ~ |\nFINAL TIME = 1 ~ ~ |\n"
        "TIME STEP = 0.5 ~ ~ |\nSAVEPER = 0.5 ~ ~ |\n",
        encoding="utf-8",
    )
    with pytest.warns(UserWarning, match="alone.mdl has no settings .* Euler"):
        assert read_model(path).method == "euler"


def says(read) -> tuple:
    return (
        read.method,
        [(v.name, v.kind, v.expression, v.unit, v.limits) for v in read.variables.values()],
    )


@pytest.mark.parametrize("name", ["sir", "fentanyl"])
def test_a_cut_file_is_never_another_model(tmp_path, name):
    raw = (ROOT / "models" / name / f"{name}.mdl").read_bytes()
    target = tmp_path / f"{name}.mdl"
    whole = says(read_model(ROOT / "models" / name))
    end = raw.index(b"///---\\\\\\")
    # Everywhere in the text, behind every |, and each byte of the last lines.
    offsets = {*range(0, end, 211), *(m.end() for m in re.finditer(rb"\|", raw[:end]))}
    if len(offsets) > 200:  # a large file takes a second a cut: a sample, the same each time
        offsets = set(random.Random(7).sample(sorted(offsets), 10))
    offsets |= {m.start() for m in list(re.finditer(rb"\\\\\\---///", raw))[:2]}
    settings = raw.index(b"15:", end)
    offsets |= {*range(end - 40, settings + 20, 3 if len(raw) < 50_000 else 17)}
    codes, same = set(), 0
    for offset in sorted(offsets):
        target.write_bytes(raw[:offset])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                read = read_model(target)
            except Error as error:
                codes.add(error.code)
                continue
        if said:  # the equations are whole, the settings are gone
            assert "integrated by Euler" in str(said[0].message)
            assert says(read)[1] == whole[1]
            continue
        assert says(read) == whole, f"cut at byte {offset}, read without a word"
        same += 1
    assert "M108" in codes
    assert codes <= {"M102", "M108"}
    # From the end of line 15 on nothing decides the numbers; before it every cut is noticed.
    assert same <= 3


def test_a_cut_xmile_file_is_never_another_model(tmp_path):
    raw = (Path(__file__).parent / "functions" / "xmile_stocks.xmile").read_bytes().rstrip()
    target = tmp_path / "cut.xmile"
    for offset in range(0, len(raw)):
        target.write_bytes(raw[:offset])
        with pytest.raises(ModelError) as caught:
            read_model(target)
        assert caught.value.code in ("M102", "M108", "M117")


# -- what a model says --------------------------------------------------------------------


def test_what_a_variable_says(tmp_path):
    read = model(
        tmp_path,
        """
        Stock of Things = INTEG(inflow, 5) ~ Thing [0,?] ~ All of them. |
        inflow = curve(Time)*rate ~ Thing/Month ~ They arrive. |
        rate = -2.5e-1 ~ 1/Month [-1,1,0.1] ~ A slider in steps of 0.1. |
        curve((0,0),(9,1)) ~ Dmnl ~ A table. |
        open = 3 ~ Month [?,?] ~ |
        infinite = 3 ~ Month [-inf,nan] ~ |
        one = 3 ~ Month [1] ~ |
        """,
    )
    found = {n: (v.kind, v.unit, v.limits, v.value, v.line) for n, v in read.variables.items()}
    assert found == {
        "Stock of Things": ("stock", "Thing", (0, None), None, 2),
        "inflow": ("auxiliary", "Thing/Month", (None, None), None, 3),
        "rate": ("constant", "1/Month", (-1, 1), -0.25, 4),
        "curve": ("lookup", "Dmnl", (None, None), None, 5),
        "open": ("constant", "Month", (None, None), 3, 6),
        "infinite": ("constant", "Month", (None, None), 3, 7),
        "one": ("constant", "Month", (1, None), 3, 8),
        "INITIAL TIME": ("control", "Month", (None, None), None, 9),
        "FINAL TIME": ("control", "Month", (None, None), None, 10),
        "TIME STEP": ("control", "Month", (None, None), None, 11),
        "SAVEPER": ("control", "Month", (None, None), None, 12),
    }
    assert read.find("STOCK_of  things").documentation == "All of them."
    assert read.constants == ("rate", "open", "infinite", "one")
    assert read.name == "small"


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Users in  Treatment", "users_in_treatment"),
        ("users_in_treatment", "users_in_treatment"),
        ('"Users (in) Treatment"', "users_(in)_treatment"),
        (" a\tb ", "a_b"),
        ('"a \\"b\\""', 'a_"b"'),
        ("Überschuß", "überschuß"),
    ],
)
def test_key(name, folded):
    assert key(name) == folded


def test_lines_count_as_an_editor_does(tmp_path):
    body = "x = 1 ~ Dmnl ~ two\nlines of comment |\n\n\ny = \\\n\tx +\n\t2 ~ Dmnl ~ |\n"
    body += "z = nobody ~~|\n"
    for newline in ("\n", "\r\n", "\r"):
        path = tmp_path / "lines.mdl"
        written = text("q = 1").replace("q = 1 ~ Dmnl ~ |\n", body)
        path.write_bytes(written.replace("\n", newline).encode())
        with pytest.raises(ModelError, match=r"line 9, 'z' uses 'nobody'"):
            read_model(path)


def test_encodings_and_groups_read_alike(tmp_path):
    plain = text("größe = 1 ~ m² ~ Grüße |\nx = größe*2")
    groups = "***\n\t.Teil\n***~\n\t\tZwei\n\t|\n"
    path = tmp_path / "encoded.mdl"
    whole = None
    for raw in (
        plain.encode(),
        b"\xef\xbb\xbf" + plain.encode(),
        plain.removeprefix("{UTF-8}\n").encode(),
        plain.replace("{UTF-8}", "{cp1252}").encode("cp1252"),
        plain.removeprefix("{UTF-8}\n").encode("cp1252"),
        plain.replace("\n", "\r\n").encode(),
        plain.replace("x = ", groups + "x = ").encode(),
        plain.replace("Grüße |", "Grüße ~ :SUPPLEMENTARY |").encode(),
    ):
        path.write_bytes(raw)
        read = says(read_model(path))
        whole = whole or read
        assert read == whole


def test_methods(tmp_path):
    for number, method in ((0, "euler"), (1, "rk4"), (2, "euler"), (5, "rk4")):
        path = tmp_path / f"m{number}.mdl"
        path.write_text(text("x = 1").replace("15:0,0,0,0", f"15:0,0,0,{number}"))
        assert read_model(path).method == method


def test_hash_follows_the_text(tmp_path):
    one, other = model(tmp_path, "x = 1"), model(tmp_path, "x = 2")
    assert one.hash != other.hash
    path = tmp_path / "crlf.mdl"
    path.write_bytes(text("x = 1").replace("\n", "\r\n").encode())
    assert read_model(path).hash == one.hash  # a checkout on Windows is the same model


def test_a_model_is_shown_in_one_line(sir, parameters):
    assert repr(sir) == "Model(sir.mdl: 53 variables, 4 stocks, 26 constants)"
    assert repr(sir.find("infection")) == "Variable('infection': auxiliary, Person/Year)"
    program = "Program(sir.mdl: 5 states, 1 outputs, 2000 to 2041 by 0.03125, rk4)"
    assert repr(compile_model(sir, ["infection"])) == program
    told = "Parameters(6 fixed, 3 fitted, 9 uncertain, 2 structural, 6 lever)"
    assert repr(parameters) == told


def test_a_path_stands_for_its_model(sir):
    path = ROOT / "models" / "sir"
    assert simulate(path).equals(simulate(sir))
    assert compile_model(str(path)).source == compile_model(sir).source


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (simulate, "S213: simulate takes a Model, a Program or the path of a model, not dict"),
        (compile_model, "S213: compile_model takes a Model or the path of one, not dict"),
    ],
)
def test_what_is_no_model_is_refused(action, told):
    with pytest.raises(SimulationError) as caught:
        action({})
    assert str(caught.value) == told
