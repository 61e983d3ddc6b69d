"""Units: dimensions by hand, the four faults that pysimlin misses; diagrams of each view."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from sdkit.errors import DependencyError
from sdkit.model import read_model
from sdkit.structure import diagrams, dimension, simlin_faults, unit_faults


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
