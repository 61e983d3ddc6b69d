"""What the model of the fentanyl trade promises, beyond its own checks."""

import re
from itertools import pairwise

import numpy as np
import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.expressions import key, walk
from tests.answer import ROOT

FOLDER = ROOT / "models" / "fentanyl"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# Every table that is read at Time: observed series, and dated phases and events.
TABLES_OF_TIME = {
    "opioid dispensing table",
    "heroin price table",
    "reformulation table",
    "waivered providers table",
    "naloxone kits table",
    "population table",
    "scanner coverage table",
    "first removal list table",
    "second removal list table",
    "non opioid overdose table",
    "campaign table",
    "first contest table",
    "second contest table",
    "covid stress table",
    "precursor control table",
    "mail control table",
    "unassigned shock table",
    "designation policy table",
}
LEVERS = (
    "leadership strikes",
    "intelligence sharing",
    "precursor diplomacy",
    "border inspection",
    "canine and postal inspection",
    "anticorruption",
    "domestic enforcement",
    "treatment access",
    "harm reduction",
    "community investment",
)


@pytest.fixture(scope="module")
def model():
    return read_model(FOLDER)


@pytest.fixture(scope="module")
def program(model):
    return compile_model(model)


@pytest.fixture(scope="module")
def history(program):
    return simulate(program)


def reads(model, name: str) -> set[str]:
    return {node[1] for node in walk(model.find(name).expression) if node[0] in ("name", "lookup")}


def test_five_stocks_carry_their_names(model):
    for name in (
        "Precursor Supply",
        "Cartel Capacity",
        "Faction Count",
        "Users in Treatment",
        "Overdose Deaths",
    ):
        assert model.variables[name].kind == "stock"


def test_time_settings(model, program):
    assert model.method == "rk4"
    assert (program.initial_time, program.final_time) == (2000, 2041)


def test_every_variable_has_unit_bounds_sentence_and_source(model):
    for variable in model.variables.values():
        assert variable.unit, variable.name
        assert None not in variable.limits, variable.name
        sentence, _, source = variable.documentation.partition("Source:")
        assert len(sentence) > 8, variable.name
        assert source.strip(), variable.name


def test_values_stay_inside_their_bounds(model, history):
    for name, values in history.items():
        low, high = model.variables[name].limits
        # Rounding may carry a share a hair beyond 1.
        slack = 1e-9 * max(abs(low), abs(high))
        assert low - slack <= values.min(), name
        assert values.max() <= high + slack, name


def test_every_variable_stands_in_a_view(model):
    sketch = model.text.split("\\\\\\---///", 1)[1]
    drawn = {key(m[1]) for m in re.finditer(r'^10,\d+,("(?:[^"]|\\")*"|[^,]+),', sketch, re.M)}
    assert {key(name) for name in model.variables} <= drawn


def test_every_table_of_time_is_listed(model):
    found = set()
    for variable in model.variables.values():
        for node in walk(variable.expression):
            if node[0] == "lookup" and ("name", "time") in walk(node[2]):
                found.add(model.find(node[1]).name)
            assert node[0] != "table", f"{variable.name}: a table without a name"
    assert found == TABLES_OF_TIME
    for name in TABLES_OF_TIME:
        assert name in README or name.removesuffix(" table") in README, name


def test_time_acts_through_tables_levers_and_dates_only(model):
    """No variable is a function of Time that no table or date explains."""
    dates = re.compile("start|year of mass production|trend starts|counting")
    for variable in model.variables.values():
        outside = [n for n in walk(variable.expression) if n[0] != "lookup"]
        tables = [n for n in walk(variable.expression) if n[0] == "lookup"]
        inside = sum(list(walk(t[2])).count(("name", "time")) for t in tables)
        if outside.count(("name", "time")) > inside:
            assert any(dates.search(k.replace("_", " ")) for k in reads(model, variable.name)), (
                variable.name
            )


def test_no_number_stands_in_an_equation(model):
    for variable in model.variables.values():
        if variable.kind in ("auxiliary", "stock"):
            numbers = {n[1] for n in walk(variable.expression) if n[0] == "number"}
            assert numbers <= {0.0, 1.0}, variable.name


@pytest.mark.parametrize("lever", LEVERS)
def test_a_lever_acts_after_its_start_only(program, history, lever):
    strong = simulate(program, set={f"{lever} strength": 1.0})
    before = history.time <= 2026
    moved = []
    for name in history:
        if name.startswith(lever):
            continue
        assert np.array_equal(history[name].values[before], strong[name].values[before]), name
        if not np.allclose(history[name].values, strong[name].values, rtol=1e-6):
            moved.append(name)
    assert "Overdose Deaths" in moved, "the lever reaches the people who use drugs"
    assert "effort per year" in moved


def chains() -> list[list[str]]:
    """The loops of the README: words joined by arrows."""
    section = re.search(r"^## Loops.*?\n(.*?)(?=^## )", README, re.M | re.S)[1]
    found = []
    section = re.sub(r"\*\*.*?\*\*", "", section)  # the name of each loop
    for sentence in re.split(r"[;:.](?:\s|$)|, and ", section):
        words = [re.sub(r"\(.*?\)|[*`]", "", w).strip() for w in sentence.split("→")]
        if len(words) > 1:
            words[0] = words[0].split(", ")[-1].removeprefix("Also ").removeprefix("and ")
            words[-1] = words[-1].split(",")[0]
            found.append(words)
    return found


def test_the_loops_can_be_traced(model):
    assert len(chains()) >= 7
    for chain in chains():
        for cause, effect in pairwise(chain):
            assert key(cause) in reads(model, effect), f"{cause} -> {effect} in {chain}"
