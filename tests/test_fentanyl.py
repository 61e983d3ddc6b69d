"""What the model of the fentanyl trade promises, beyond its own checks."""

import re
from itertools import pairwise

import numpy as np
import pytest

from sdkit import compile_model, read_model, read_parameters, simulate
from sdkit.expressions import key, walk
from tests.answer import ROOT
from tests.loops import chains

FOLDER = ROOT / "models" / "fentanyl"
HISTORY = key("history time")
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# Every table that is read at Time: observed series, and dated phases and events.
TABLES_OF_TIME = {
    "opioid dispensing table",
    "heroin price table",
    "reformulation table",
    "waivered providers table",
    "naloxone kits table",
    "population table",
    "commercial scanning table",
    "passenger scanning table",
    "first removal list table",
    "second removal list table",
    "non opioid overdose table",
    "campaign table",
    "first contest table",
    "second contest table",
    "other homicides table",
    "direct control table",
    "preprecursor control table",
    "mail control table",
    "unassigned shock table",
    "safer use table",
    "designation policy table",
}
# Unit windows for the growth disturbance, one a year.
WINDOWS = {f"window of {year}" for year in range(2017, 2041)}
HEALTH = (
    "treatment capacity",
    "treatment outreach",
    "treatment retention",
    "harm reduction",
    "community investment",
)
LEVERS = (
    "leadership strikes",
    "intelligence sharing",
    "group designation",
    "member incapacitation",
    "recruitment prevention",
    "state presence",
    "anticorruption",
    "precursor diplomacy",
    "pill press control",
    "border inspection",
    "canine and postal inspection",
    "border closure",
    "dealer enforcement",
    "user arrests",
    *HEALTH,
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


# Explanations under which every lever reaches something.
OPEN = {"violence response to strikes": 1, "recruitment can be prevented": 1}


@pytest.fixture(scope="module")
def without(program):
    """The run without a lever that `OPEN` gives."""
    return simulate(program, set=OPEN)


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


def test_values_stay_inside_their_bounds(model, history):
    for name, values in history.items():
        low, high = model.variables[name].limits
        # Rounding may carry a share a hair beyond 1.
        slack = 1e-9 * max(abs(low), abs(high))
        assert low - slack <= values.min(), name
        assert values.max() <= high + slack, name


def test_every_table_of_time_is_listed(model):
    held, running = set(), set()
    for variable in model.variables.values():
        for node in walk(variable.expression):
            assert node[0] != "table", f"{variable.name}: a table without a name"
            if node[0] == "lookup":
                read = {n[1:] for n in walk(node[2])}
                name = model.find(node[1]).name
                held |= {name} if (HISTORY,) in read else set()
                running |= {name} if ("time",) in read else set()
    # What was observed stops where history stops; the windows of disturbances do not.
    assert held == TABLES_OF_TIME
    assert running == WINDOWS
    for name in TABLES_OF_TIME:
        assert name in README or name.removesuffix(" table") in README, name


def test_time_acts_through_tables_levers_and_dates_only(model):
    """No variable is a function of Time that no table or date explains."""
    dates = re.compile(
        "start|year of mass production|year pills spread|trend starts|counting|history stops"
        "|membership released|reference year of conflict"
    )
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
def test_a_lever_acts_after_its_start_only(program, without, lever):
    plain, strong = without, simulate(program, set={**OPEN, f"{lever} strength": 1.0})
    before = plain.time <= 2026
    moved = []
    for name in plain:
        if name.startswith(lever):
            continue
        assert np.array_equal(plain[name].values[before], strong[name].values[before]), name
        # By less than a millionth nobody would say that a lever moves it.
        if not np.allclose(plain[name].values, strong[name].values, rtol=1e-6):
            moved.append(name)
    assert "Overdose Deaths" in moved, "the lever reaches the people who use drugs"
    assert "effort per year" in moved


def test_coordination_acts_through_health_programmes(program, history):
    """Coordination widens the reach of other programmes and does nothing alone."""
    alone = simulate(program, set={"treatment coordination strength": 1.0})
    assert np.array_equal(alone["Overdose Deaths"], history["Overdose Deaths"])
    for lever in HEALTH:
        one = simulate(program, set={f"{lever} strength": 1.0})
        both = simulate(
            program, set={f"{lever} strength": 1.0, "treatment coordination strength": 1.0}
        )
        force = f"{lever} in force"
        assert both[force].values[-1] > one[force].values[-1], lever


def test_the_published_weights_and_disturbances(model):
    """Every switch states its weights; the disturbance is one standard normal number a year."""
    parameters = read_parameters(model)
    for item in parameters.of_role("structural"):
        assert item.note, f"{item.name}: what each setting means"
        assert len(item.weights) == item.high - item.low + 1
    for year in range(2023, 2041):
        item = parameters.find(f"disturbance of {year}")
        assert (item.role, item.default, item.distribution) == ("uncertain", 0.0, "normal")
        # The 5 % and 95 % points of the standard normal distribution.
        assert (item.low, item.high) == (-1.644854, 1.644854)


def test_the_loops_can_be_traced(model):
    found = [chain for rows in chains(README).values() for chain in rows]
    assert len(found) >= 7
    for chain in found:
        for cause, effect in pairwise(chain):
            assert cause in reads(model, effect), f"{cause} -> {effect} in {chain}"
