"""What the core model promises, beyond its own checks."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest

from sdkit import compile_model, read_model, read_parameters, simulate
from sdkit.comparing import execute
from sdkit.engines import SIMLIN, compare_engines
from sdkit.expressions import key
from sdkit.history_plot import history_errors
from sdkit.run import prepare, read_run
from tests.answer import ROOT
from tests.sabotage import Trial
from tests.test_sabotage import missed

FOLDER = ROOT / "models" / "core"
STOCKS = {
    "Precursor Supply", "Cartel Capacity", "Faction Count", "Strife", "Corruption",
    "People with Disorder", "Users in Treatment", "Exposed Share", "Tolerance", "Overdose Deaths",
}  # fmt: skip
CHECKS = tomllib.loads((FOLDER / "checks.toml").read_text("utf-8"))["check"]
# A strong dose of each lever, and what it has to reach.
LEVERS = {
    "added removals": (20, "Faction Count"),
    "added controls": (6, "Precursor Supply"),
    "added border inspection": (3, "Overdose Deaths"),
    "added domestic enforcement": (0.5, "Overdose Deaths"),
    "corruption taken away": (1, "Corruption"),
    "added places": (2e6, "Users in Treatment"),
    "added seeking": (1, "Users in Treatment"),
    "added kits": (1e7, "Overdose Deaths"),
    "prevention": (0.5, "People with Disorder"),
}
SWITCHES = {
    "leaders matter for supply": (0, 1),
    "view of strikes and violence": (-1, 0, 1),
    "revenue and violence": (-1, 0, 1),
    "future of supply": (1, 2, 3),
}


@pytest.fixture(scope="module")
def model():
    return read_model(FOLDER)


@pytest.fixture(scope="module")
def program(model):
    return compile_model(model)


def test_there_are_checks_enough():
    assert len(CHECKS) >= 60
    assert sum(check["kind"] == "direction" for check in CHECKS) >= 30


def test_the_checks_notice_nine_faults_in_ten():
    # `python -m tests.sabotage core 1 30` judges others.
    left = missed(Trial(FOLDER), 30)
    assert len(left) <= 3, "\n".join(left)


def test_it_has_ten_stocks(model):
    stocks = {v.name for v in model.variables.values() if v.kind == "stock"}
    assert {name for name in stocks if key(name) in map(key, STOCKS)} == STOCKS
    assert model.method == "rk4"


def test_every_engine_gives_the_same_numbers():
    pytest.importorskip("simlin")
    found = compare_engines(FOLDER)
    assert found.passed
    assert not found.refused
    for agreement in found.agreements:
        # By RK4 pysimlin samples (SAMPLE IF TRUE) inside the step after the last data.
        inside = agreement.method == "rk4" and SIMLIN in agreement.engines
        assert agreement.largest < (5e-3 if inside else 1e-12), agreement


def test_levers_and_switches_move_nothing_before_they_may(model, program):
    parameters = read_parameters(model)
    dates = {"start of programmes", "time to build programmes"}
    assert {p.name for p in parameters.of_role("lever")} == set(LEVERS) | dates
    assert {p.name for p in parameters.of_role("structural")} == set(SWITCHES)
    base = simulate(program)
    reach = {"reach of health": 1, "reach of enforcement": 1}
    full = simulate(program, set=reach)
    trials = [({name: value} | reach, full, 2026.0, own) for name, (value, own) in LEVERS.items()]
    trials += [({n: v}, base, 2026.375, None) for n, all_ in SWITCHES.items() for v in all_]
    for values, plain, until, moved in trials:
        run = simulate(program, set=values)
        past = run.time <= until
        for name in set(run) - set(values):
            own = run[name].values[past]
            assert np.array_equal(own, plain[name].values[past]), (values, name)
        if moved:
            assert not np.allclose(run[moved].values, plain[moved].values, rtol=1e-4), values


def test_the_defaults_are_the_most_probable_point(model):
    table = pd.read_csv(ROOT / "runs" / "core-fit" / "summary.csv")
    parameters = read_parameters(model)
    of_model = table[table["of"] == "model"]
    assert len(of_model) > 60
    # A climb ends where a step gains nothing, and the top is flat: a fifth of a standard deviation.
    for row in of_model.itertuples():
        sd = (row.posterior_95 - row.posterior_5) / 3.29
        default = parameters.find(row.parameter).default
        assert abs(default - row.mode) < 0.2 * sd, row.parameter


def test_each_panel_of_history_has_a_year_to_compare():
    """A check by month may span less than a year: then the report has no panel of it."""
    found = execute(prepare(read_run(ROOT / "runs" / "core", n=8))).histories
    assert len(found) > 5
    for history in found:
        assert np.isfinite(history_errors(history)).all(), history.name
