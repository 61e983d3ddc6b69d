"""Checks pass on the teaching model, and each kind fails where it should."""

from __future__ import annotations

import numpy as np
import pytest

from sdkit.check import check_model, run_checks, swings_of
from sdkit.checks import KINDS, read_checks
from sdkit.errors import RunError
from sdkit.model import read_model


def findings(project, text):
    (project / "models" / "sir" / "checks.toml").write_text(text)
    return check_model(project / "models" / "sir")


def test_the_teaching_model_passes_its_own_checks(root, sir, parameters):
    pytest.importorskip("simlin")
    found = check_model(root / "models" / "sir")
    assert {f.check.kind for f in found} == set(KINDS)
    assert [f.check.name for f in found if not f.passed] == []


@pytest.mark.parametrize(
    "text",
    [
        'kind = "bound"\nvariable = "prevalence"\nmax = 0.02',
        'kind = "bound"\nvariable = "prevalence"\nmin = 0.01',
        'kind = "bound"\nvariable = "vaccination"\nmax = 0\nset = { "vaccination strength" = 1 }',
        'kind = "direction"\nset = { "vaccination strength" = 1 }\nvariable = "infection"\n'
        'at = 2035\ndirection = "higher"',
        # Nothing changes before the programme begins: neither higher nor lower.
        'kind = "direction"\nset = { "vaccination strength" = 1 }\nvariable = "infection"\n'
        'at = 2020\ndirection = "lower"',
        'kind = "history"\nvariable = "infection"\nseries = "reported cases"\nfrom = 2010\n'
        'to = 2022\nreduction = "year"\nfactor = 100',
        'kind = "history"\nvariable = "reported cases"\nseries = "reported cases"\nfrom = 2010\n'
        'to = 2022\nreduction = "year"\nfactor = 1.01',
        'kind = "conservation"\nsum = ["Susceptible", "Infected"]\nequals = "population"',
        'kind = "step"\nmax_shift = 1e-12',
    ],
)
def test_a_check_that_should_fail_fails(text, project):
    (finding,) = findings(project, f'[[check]]\nname = "x"\n{text}\n')
    assert not finding.passed
    assert finding.detail


def test_a_scale_multiplies_the_model(project):
    text = (
        '[[check]]\nname = "x"\nkind = "history"\nvariable = "infection"\n'
        'series = "reported cases"\nfrom = 2010\nto = 2022\nreduction = "year"\n'
        'window = 3\nscale = "reporting fraction"\n'
    )
    (finding,) = findings(project, text)
    assert finding.passed
    assert "11 values" in finding.detail


def test_a_model_whose_units_are_wrong_fails(project):
    pytest.importorskip("simlin")
    path = project / "models" / "sir" / "sir.mdl"
    text = path.read_text()
    path.write_text(
        text.replace("SMOOTH(prevalence, perception time)", "SMOOTH(Infected, perception time)")
    )
    (finding,) = findings(project, '[[check]]\nname = "x"\nkind = "units"\n')
    assert not finding.passed


def test_years_that_series_and_run_do_not_share_are_an_error(project):
    text = (
        '[[check]]\nname = "x"\nkind = "history"\nvariable = "infection"\n'
        'series = "reported cases"\nfrom = 1900\nto = 1910\nreduction = "year"\n'
    )
    with pytest.raises(RunError) as caught:
        findings(project, text)
    assert caught.value.code == "C701"


def test_swings_that_die_away_settle_and_lasting_ones_do_not(sir, parameters):
    t = np.arange(0, 40, 0.25)
    damped = swings_of(100 + 30 * np.exp(-t / 5) * np.cos(t))
    lasting = swings_of(100 + 30 * np.cos(t))
    assert damped[-1] < 0.1 * damped[0]
    assert lasting[-1] == pytest.approx(lasting[0], rel=0.02)
    assert swings_of(t**2 + 1) == []


def test_the_settles_kind_sees_an_undamped_cycle(tmp_path):
    folder = tmp_path / "wave"
    folder.mkdir()
    (folder / "wave.mdl").write_text(
        "{UTF-8}\n"
        "x = INTEG(-y*rate, start) ~ Unit ~ A swing. |\n"
        "y = INTEG(x*rate, rest) ~ Unit ~ Its other half. |\n"
        "rate = 1 ~ 1/Year ~ Speed. |\n"
        "start = 1 ~ Unit ~ Where it begins. |\n"
        "rest = 0 ~ Unit ~ Where it begins. |\n"
        "INITIAL TIME = 0 ~ Year ~ Start. |\nFINAL TIME = 40 ~ Year ~ End. |\n"
        "TIME STEP = 0.03125 ~ Year ~ Step. |\nSAVEPER = 0.25 ~ Year ~ Saved. |\n"
        "\\\\\\---/// Sketch information - do not modify anything except names\nV300  x\n"
        "///---\\\\\\\n:L<%^E!@\n15:0,0,0,5,0,0\n"
    )
    (folder / "checks.toml").write_text(
        '[[check]]\nname = "x"\nkind = "settles"\nvariables = ["x"]\nfrom = 5\n'
    )
    model = read_model(folder)
    from sdkit.parameters import read_parameters

    checks = read_checks(folder / "checks.toml", model, read_parameters(model))
    (finding,) = run_checks(model, read_parameters(model), checks)
    assert not finding.passed
    assert "x swings on" in finding.detail


@pytest.mark.parametrize(
    "text",
    [
        'kind = "direction"\ndirection = "lower"\nat = 2099',
        'kind = "direction"\ndirection = "lower"\nfrom = 2030\nto = 2099',
        'kind = "direction"\ndirection = "lower"\nfrom = 1990\nto = 2030',
        'kind = "settles"\nfrom = 2099',
    ],
)
def test_times_outside_the_run_are_an_error(text, project):
    values = 'set = { "vaccination strength" = 1 }\n' if "direction" in text else ""
    with pytest.raises(RunError, match="outside the run") as caught:
        findings(project, f'[[check]]\nname = "x"\nvariable = "infection"\n{text}\n{values}')
    assert caught.value.code == "C701"


def test_an_enormous_value_is_bad_input(project):
    with pytest.raises(RunError) as caught:
        findings(project, '[[check]]\nname = "x"\nkind = "bound"\nvariable = "infection"\n'
                 f'min = 0\nset = {{ "infectivity" = 1{"0" * 400} }}\n')  # fmt: skip
    assert caught.value.code == "R410"
