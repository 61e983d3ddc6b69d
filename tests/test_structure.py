"""Units: dimensions by hand, the four faults that pysimlin misses; diagrams of each view."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from sdkit.errors import DependencyError
from sdkit.model import read_model
from sdkit.structure import diagrams, dimension, simlin_faults, sketched, unit_faults
from tests import small


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("Dmnl", {}),
        ("1/Year", {"year": -1}),
        ("Person/Year", {"person": 1, "year": -1}),
        ("1/(Person*Year)", {"person": -1, "year": -1}),
        ("kg*kg/kg", {"kg": 1}),
        ("USD/(kg/Year)", {"usd": 1, "kg": -1, "year": 1}),
        ("Month^2", {"month": 2}),
    ],
)
def test_dimensions(unit, expected):
    assert dimension(unit) == {base: Fraction(power) for base, power in expected.items()}


@pytest.mark.parametrize("unit", ["Person/", "(Person", "*", "Person)Year"])
def test_what_is_no_unit_is_unknown(unit):
    assert dimension(unit) is None


def faults(project, *, add="", swap=("", "")):
    path = project / "models" / "sir" / "sir.mdl"
    text = path.read_text().replace(*swap)
    path.write_text(text.replace("{UTF-8}\n", "{UTF-8}\n" + add, 1))
    return unit_faults(read_model(path))


def test_the_teaching_model_has_no_fault(sir):
    assert unit_faults(sir) == []


def test_a_missing_unit(project):
    found = faults(project, add="spare = 1 ~ ~ No unit. |\n")
    assert len(found) == 1
    assert "'spare'" in found[0]
    assert "line 2" in found[0]
    assert "no unit" in found[0]


def test_a_table_whose_input_has_a_dimension(project):
    table = "tab( (0,0),(1e6,1) ) ~ Dmnl ~ A table. |\n"
    assert faults(project, add=table + "look = tab(prevalence) ~ Dmnl ~ Sound. |\n") == []


def test_a_table_whose_input_has_a_dimension_is_found(project):
    table = "tab( (0,0),(1e6,1) ) ~ Dmnl ~ A table. |\n"
    (found,) = faults(project, add=table + "look = tab(Infected) ~ Dmnl ~ Unsound. |\n")
    assert "person" in found
    assert "table" in found


def test_an_inline_table_whose_input_has_a_dimension_is_found(project):
    add = "look = WITH LOOKUP(Infected, ((0,0),(1e6,1))) ~ Dmnl ~ Unsound. |\n"
    (found,) = faults(project, add=add)
    assert "table" in found


@pytest.mark.parametrize(
    ("equation", "count"),
    [("Infected^0.5", 1), ("Infected^infectivity", 1), ("prevalence^0.5", 0), ("Infected^2", 0)],
)
def test_a_base_with_a_dimension_under_a_fractional_power(equation, count, project):
    assert len(faults(project, add=f"root = {equation} ~ Person ~ A power. |\n")) == count


@pytest.mark.parametrize(
    ("equation", "count"),
    [
        ("STEP(initial infected, counting)", 0),
        ("STEP(infectivity, counting)", 1),
        ("Infected + STEP(usual contacts, counting)", 1),
    ],
)
def test_the_height_of_a_step(equation, count, project):
    add = f"counting = 2026 ~ Year ~ When. |\njump = {equation} ~ Person ~ A step. |\n"
    assert len(faults(project, add=add)) == count


def test_pysimlin_finds_a_flow_without_time(project):
    pytest.importorskip("simlin")
    path = project / "models" / "sir" / "sir.mdl"
    path.write_text(path.read_text().replace("Infected/infectious duration\n", "Infected\n"))
    found = simlin_faults(read_model(path))
    assert any("recovery" in fault for fault in found)


def test_each_view_is_drawn_with_its_variables(sir):
    pytest.importorskip("simlin")
    drawn = diagrams(sir)
    assert list(drawn) == ["People", "Infection", "Programmes", "Measures"]
    assert "turnover rate" in drawn["People"]
    assert "turnover rate" not in drawn["Programmes"]
    assert "vaccine efficacy" in drawn["Programmes"]


def test_without_pysimlin_the_message_gives_the_install_line(sir, monkeypatch):
    monkeypatch.setitem(sys.modules, "simlin", None)
    with pytest.raises(DependencyError, match=r"pip install -e '\.\[structure\]'") as caught:
        simlin_faults(sir)
    assert caught.value.code == "X501"


def test_a_unit_of_very_many_parentheses_is_unknown():
    assert dimension("(" * 5000 + "Person" + ")" * 5000) is None


BASE = "a = 5 ~ Person ~ |\nb = 3 ~ Person/Year ~ |\np = 1 ~ Dmnl ~ |\n"


@pytest.mark.parametrize(
    ("equation", "told"),
    [
        ("x = a + b ~ Person ~ |", "in a + b: left: Person, right: Person/Year"),
        ("x = MAX(a, b)*p ~ Person ~ |", "in a, b: left: Person, right: Person/Year"),
        ("x = a*b ~ Person ~ |", "left: Person, right: Person^2/Year"),
        ("x = INTEG(b, p) ~ Person ~ |", "its initial value: left: Person, right: Dmnl"),
        ("x = IF THEN ELSE(p > 1, a, b) ~ Person ~ |",
         "in IF THEN ELSE: then: Person, else: Person/Year"),
        ("x = SMOOTH(a, p) ~ Person ~ |",
         "in SMOOTH: the units of 'x', 'p' contradict each other"),
    ],
)  # fmt: skip
def test_a_unit_fault_is_one_line_with_both_sides(equation, told, tmp_path):
    pytest.importorskip("simlin")
    clock = "Month", "Year"
    (tmp_path / "small.mdl").write_text(small.text(BASE + equation).replace(*clock))
    (fault,) = simlin_faults(read_model(tmp_path / "small.mdl"))
    assert fault in (f"small.mdl, line 5, 'x', {told}", f"small.mdl, line 5, 'x': {told}")


def test_a_flow_without_time_is_told_with_its_stock(tmp_path):
    pytest.importorskip("simlin")
    text = small.text(BASE + "X = INTEG(a, 3) ~ Person ~ |").replace("Month", "Year")
    (tmp_path / "small.mdl").write_text(text)
    (fault,) = simlin_faults(read_model(tmp_path / "small.mdl"))
    assert fault == "small.mdl, line 2, 'a', a flow of 'X': left: Person, right: Person/Year"


def test_what_pysimlin_cannot_read_has_a_line(tmp_path):
    pytest.importorskip("simlin")
    (tmp_path / "small.mdl").write_text(small.text(BASE + "x = a ~ Person/ ~ |"))
    read = read_model(tmp_path / "small.mdl")
    (fault,) = simlin_faults(read)
    assert fault.startswith("small.mdl, line 5: pysimlin cannot read it: expected unit name")
    assert "small.mdl, line 5, 'x': the unit 'Person/' cannot be read" in unit_faults(read)


def test_the_variables_of_a_sketch(sir, tmp_path):
    found = sketched(sir)
    assert {"susceptible", "infection", "vaccine_efficacy"} <= found
    assert sketched(small.model(tmp_path, "x = 1")) is None
    path = tmp_path / "small.mdl"
    line = '10,1,"a, ""b""",260,300,50,25,3,3,0,0,0,0,0,0\n10,2,rate of x,1,1,1,1,1,1\n'
    line = line.replace('""b""', '\\"b\\"')
    path.write_text(path.read_text().replace("96,96,100,0\n", f"96,96,100,0\n{line}"))
    assert sketched(read_model(path)) == {'a,_"b"', "rate_of_x"}


def test_the_variables_of_a_view_of_xmile(tmp_path):
    path = tmp_path / "small.xmile"
    path.write_text(
        '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0"><header/>'
        "<sim_specs><start>0</start><stop>2</stop><dt>1</dt></sim_specs><model><variables>"
        '<aux name="a &amp; b"><eqn>1</eqn></aux><aux name="c"><eqn>2</eqn></aux></variables>'
        '<views><view><aux name="a &amp; b" x="1" y="2"/></view></views></model></xmile>'
    )
    assert sketched(read_model(path)) == {"a_&_b"}
