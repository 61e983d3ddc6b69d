"""The checks of a model notice faults in it."""

from __future__ import annotations

import pytest

from sdkit.checks import STOCKS
from sdkit.compile import compile_model
from tests.sabotage import Trial

SEED = 20260222


@pytest.fixture(scope="module")
def teaching(root):
    return Trial(root / "models" / "sir")


def missed(trial: Trial, n: int) -> list[str]:
    return [str(fault) for fault, by in trial.judge(trial.faults(SEED, n)).items() if not by]


def test_a_sound_model_is_not_accused(teaching):
    assert teaching.caught(None) == ""


def test_faults_are_single_and_come_from_the_seed(teaching):
    found = teaching.faults(SEED, 12)
    assert found == teaching.faults(SEED, 12)
    assert found != teaching.faults(SEED + 1, 12)
    assert len({fault.variable for fault in found}) == 12
    for fault in found:
        sabotaged = fault.into(teaching.model).variables
        changed = [n for n, v in teaching.model.variables.items() if v != sabotaged[n]]
        assert changed == [fault.variable]
        assert compile_model(fault.into(teaching.model)).source


def test_the_four_kinds_of_fault_occur(teaching):
    found = teaching.faults(SEED, 8)
    for word in ("turned", "held at", "doubled", "dropped"):
        assert any(word in fault.what for fault in found), word
    dropped = [f for f in found if "dropped" in f.what]
    assert all(teaching.model.variables[f.variable].expression[:2] in STOCKS for f in dropped)


def test_constants_ramps_and_efforts_are_left_alone(teaching):
    touched = {f.variable for seed in range(5) for f in teaching.faults(seed, 12)}
    left = {"infectivity", "vaccination ramp", "contact reduction in force", "effort per year"}
    assert not touched & left


def test_the_checks_of_the_teaching_model_notice_five_faults_in_six(teaching):
    found = missed(teaching, 12)
    assert len(found) <= 2, "\n".join(found)


def test_the_checks_of_the_fentanyl_model_notice_four_faults_in_five(root):
    # A fault takes some seconds in plain Python: `python -m tests.sabotage` judges more.
    found = missed(Trial(root / "models" / "fentanyl"), 30)
    assert len(found) <= 6, "\n".join(found)
