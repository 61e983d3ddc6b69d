"""A number in a file or on a command line is in ASCII digits; what Python takes besides is none."""

from __future__ import annotations

import pytest

from sdkit import compile_model, simulate
from sdkit.compare import period_years
from sdkit.errors import Error
from sdkit.files import decimal, integer
from sdkit.model import read_model
from sdkit.observations import read_series
from sdkit.parameters import read_parameters

from . import small

STRANGE = (
    "0.1_1",
    "1_0",
    "1e1_0",
    "\uff11\uff12",
    "\u0661\u0662",
    "0x10",
    "inf",
    "nan",
    "1,5",
    "1 0",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-1.5", -1.5), ("+2e-3", 0.002), (" 1E5 ", 1e5), (".5", 0.5), ("5.", 5)],
)
def test_what_is_a_number(text, value):
    assert decimal(text) == value


@pytest.mark.parametrize("text", [*STRANGE, "", "-", ".", "e5", "1e", "--1", "1.2.3", "1\n2"])
def test_what_is_none(text):
    with pytest.raises(ValueError, match="no decimal number"):
        decimal(text)


@pytest.mark.parametrize("text", [*STRANGE, "", "1.0", "1e3", "9" * 5000])
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match="no whole number"):
        integer(text)


@pytest.mark.parametrize("text", STRANGE)
def test_cells_of_data_and_parameters(text, project):
    folder = project / "models" / "sir"
    cell = f'"{text}"'
    series = folder / "data" / "reported_cases.csv"
    series.write_text(series.read_text().replace("28500", cell), encoding="utf-8")
    with pytest.raises(Error) as caught:
        read_series(folder / "data")
    assert caught.value.code == "R406"
    assert "line 2, column value" in caught.value.message
    path = folder / "parameters.csv"
    before = path.read_text(encoding="utf-8")
    rows = [line.split(",") for line in before.split("\n")]
    uncertain = next(row for row in rows if "uncertain" in row)
    switch = next(row for row in rows if len(row) > 8 and ";" in row[8])
    for row, changed in (
        (uncertain, [*uncertain[:2], cell, *uncertain[3:]]),
        (switch, [*switch[:8], f'"{text};0.7"', *switch[9:]]),
    ):
        row, changed = ",".join(row), ",".join(changed)
        path.write_text(before.replace(row, changed), encoding="utf-8")
        with pytest.raises(Error) as caught:
            read_parameters(read_model(folder))
        assert caught.value.code == "P304"


@pytest.mark.parametrize("text", ["203_0", "\uff12\uff10\uff13\uff10", "2026-20_30"])
def test_years_of_a_period(text):
    with pytest.raises(ValueError, match="no whole number"):
        period_years(text, (2026, 2040))


@pytest.mark.parametrize("text", ["\uff11\uff12", "\u0661\u0662", "1_0", "0x10"])
@pytest.mark.parametrize(
    "equation",
    ["x = {}", "x = 2 + {}", "x = 2 ~ Dmnl [0,{}] ~ |",
     "x = WITH LOOKUP(1, ([(0,0)-(10,10)],(0,1),(1,{}),(2,3)))",
     "x = WITH LOOKUP(1, ([(0,0)-({},10)],(0,1),(1,1)))"],
)  # fmt: skip
def test_numbers_in_a_models_text(equation, text, tmp_path):
    with pytest.raises(Error) as caught:
        small.model(tmp_path, equation.format(text))
    assert caught.value.code in ("M104", "M111", "M112")


@pytest.mark.parametrize("number", ["1_0", "\uff11"])
@pytest.mark.parametrize(
    "variable",
    [
        "<gf><xscale min='0' max='1'/><ypts sep=' '>{} 20</ypts></gf><eqn>TIME</eqn>",
        "<gf><xscale min='{}' max='20'/><ypts>1,20</ypts></gf><eqn>TIME</eqn>",
        "<range min='{}' max='20'/><eqn>20</eqn>",
        "<dimensions><dim name='d'/></dimensions><eqn>{}, 20</eqn>",
        "<eqn>20 + {}</eqn>",
    ],
)
def test_numbers_of_xmile(number, variable, tmp_path):
    path = tmp_path / "m.xmile"
    path.write_text(
        "<xmile><sim_specs><start>0</start><stop>1</stop></sim_specs><dimensions><dim name='d' "
        "size='2'/></dimensions><model><variables><aux name='x'>" + variable.format(number)
        + "</aux></variables></model></xmile>", encoding="utf-8"
    )  # fmt: skip
    with pytest.raises(Error) as caught:
        compile_model(read_model(path))
    assert caught.value.code in ("M104", "M105", "M111")


def test_a_number_too_large_in_a_file(tmp_path):
    (tmp_path / "n.csv").write_text("t,b\n0,1e999\n5,3\n", encoding="utf-8")
    for equation in (
        "x = GET DIRECT CONSTANTS('n.csv', ',', 'B2')",
        "x = GET DIRECT DATA('n.csv', ',', 'A', 'B2')",
        "t(GET DIRECT LOOKUPS('n.csv', ',', 'A', 'B2'))\nx = t(0)",
    ):
        with pytest.raises(Error) as caught:
            simulate(small.model(tmp_path, equation))
        assert caught.value.code == "M119"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--set", f"infectivity={text}") for text in STRANGE),
        *(("--draws", text) for text in ("1_6", "\uff11\uff16")),
        *(("--threads", text) for text in ("1_0", "\uff12", "1.0")),
    ],
)
def test_numbers_of_a_command(arguments, sdkit, project):
    code, _, said = sdkit("run", project / "runs" / "sir", *arguments)
    assert (code, "U601" in said) == (2, True), said
