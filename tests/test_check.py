"""Checks pass on the teaching model, and each kind fails where it should."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sdkit import check
from sdkit.check import JUDGES, check_model, swings_of
from sdkit.checks import KINDS, read_checks
from sdkit.errors import DependencyError, RunError, SimulationError
from sdkit.probe import Runs
from tests import small


def findings(project, text, plain=True):
    (project / "models" / "sir" / "checks.toml").write_text(text)
    return check_model(project / "models" / "sir", plain=plain)


def test_the_teaching_model_passes_its_own_checks(root, sir, parameters):
    pytest.importorskip("simlin")
    found = check_model(root / "models" / "sir")
    assert {f.check.kind for f in found} == set(KINDS) == set(JUDGES)
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
        'kind = "bound"\nvariable = "prevalence"\nat = 2040\nmax = 0.01',
        'kind = "extreme"\nset = { "infectivity" = 0 }\nvariable = "infection"\nmax = 0',
        # Without a start of their own, four thousand are infected.
        'kind = "extreme"\nset = { "imported infections" = 0 }\nvariable = "infection"\nmax = 0',
        'kind = "extreme"\nstart = { "Infected" = -5 }',
        'kind = "extreme"\nset = { "infectivity" = 0 }\nvariable = "Infected"\nmax = 100\n'
        "from = 2000\nto = 2001",
        'kind = "inputs"\nmax_shift = 1e-12',
        'kind = "conservation"\nstocks = ["Infected"]\ninflows = ["infection"]\n'
        'outflows = ["recovery"]',
        'kind = "conservation"\nstocks = ["Infected"]\noutflows = ["recovery"]\ndraws = 4',
        'kind = "conservation"\nsum = ["Susceptible"]\nequals = "population"\ndraws = 4',
        # Holds by default, not where the programme runs.
        'kind = "conservation"\nstocks = ["Recovered"]\ninflows = ["recovery"]\n'
        'outflows = ["immunity loss", "deaths of the recovered"]\n'
        'set = { "vaccination strength" = 1 }',
        'kind = "published"\nvariable = "prevalence"\nat = 2000\nlow = 0.0041\nsource = "z"',
        'kind = "published"\nvariable = "infection"\nfrom = 2010\nto = 2012\nhigh = 1000\n'
        'source = "z"',
        'kind = "published"\nvariable = "Infections to Date"\nat = 2020\nrelative_to = 2010\n'
        'value = 3\nwithin = 0.1\nsource = "z"',
        'kind = "turning point"\nvariable = "infection"\nextremum = "max"\nfrom = 2001\n'
        'to = 2030\nat = 2025\nwithin = 1\nset = { "immunity wanes" = 0 }',
        # It only rises: the largest value at the edge of the window is no turning point.
        'kind = "turning point"\nvariable = "Infections to Date"\nextremum = "max"\nfrom = 2001\n'
        "to = 2030\nat = 2030\nwithin = 1",
        'kind = "history"\nvariable = "reported cases"\nseries = "reported cases by month"\n'
        'from = 2021\nto = 2023\nreduction = "month"\nfactor = 1.05',
        'kind = "history"\nvariable = "reported cases"\nseries = "reported cases"\nfrom = 2010\n'
        'to = 2022\nreduction = "year"\nset = { "reporting fraction" = 0.1 }',
        'kind = "settles"\nvariable = "Infections to Date"\nfrom = 2010\nmax_change = 0.001',
        'kind = "settles"\nvariable = "Infected"\nfrom = 2000\nuntil = 2002\nmax_change = 0.001',
    ],
)
def test_a_check_that_should_fail_fails(text, project):
    (finding,) = findings(project, f'[[check]]\nname = "x"\n{text}\n')
    assert not finding.passed
    assert finding.detail


def broken(project, before: str, after: str) -> None:
    """The teaching model with one piece of its text replaced."""
    path = project / "models" / "sir" / "sir.mdl"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


@pytest.mark.parametrize("keys", ["", "n = 8", 'start = { "Recovered" = 0 }'])
def test_what_runs_below_zero_is_named(keys, project):
    kind = {"": "inputs", "n = 8": "draws"}.get(keys, "extreme")
    text = f'[[check]]\nname = "x"\nkind = "{kind}"\n{keys}\n'
    assert findings(project, text)[0].passed
    broken(project, "immunity wanes*Recovered/", "initial recovered/")
    broken(project, "contacts per person*infectivity*", "0*contacts per person*infectivity*")
    (finding,) = findings(project, text)
    assert not finding.passed
    assert "Recovered falls to -" in finding.detail
    if kind == "draws":
        assert re.search(r"\(in [1-8] of 8 runs\)", finding.detail)


def test_every_stock_is_emptied_but_those_left_out(project):
    broken(project, "prevalence=\n\tInfected/population", "prevalence=\n\tInfected/Recovered")
    text = '[[check]]\nname = "x"\nkind = "zero stocks"\n'
    (finding,) = findings(project, text, plain=False)
    assert finding.detail == "Recovered = 0: prevalence at time 2000: division by zero"
    (finding,) = findings(project, text + 'except = ["Recovered"]\n')
    assert finding.passed
    assert "3 runs" in finding.detail


def test_the_ends_of_bounds_and_of_priors(project):
    text = '[[check]]\nname = "x"\nkind = "inputs"\n'
    (bounds,) = findings(project, text)
    (prior,) = findings(project, text + 'range = "prior"\n')
    (fewer,) = findings(project, text + 'range = "prior"\nexcept = ["caution"]\n')
    ends = [int(f.detail.split()[-2]) for f in (bounds, prior, fewer)]
    assert ends == [40, 40, 38]  # twenty constants are not fixed


@pytest.mark.parametrize("plain", [True, False])
def test_a_lane_that_fails_fails_its_check_and_no_other(plain, project):
    broken(project, "births=\n\tpopulation", "births=\n\tLN(imported infections)*0 + population")
    text = (
        '[[setting]]\nname = "none"\nset = { "imported infections" = 0 }\n'
        '[[check]]\nname = "x"\nkind = "bound"\nvariable = "infection"\nmin = 0\nunder = "none"\n'
        '[[check]]\nname = "y"\nkind = "bound"\nvariable = "infection"\nmin = 0\n'
    )
    one, other = findings(project, text, plain)
    assert not one.passed
    assert one.detail.startswith("births at time 2000: LN of zero")
    assert other.passed


@pytest.mark.parametrize(
    "keys",
    ['kind = "bound"\nvariable = "curve"\nmin = 0',
     'kind = "conservation"\nsum = ["curve"]\nequals = "population"'],
)  # fmt: skip
def test_a_table_is_no_variable(keys, project):
    broken(project, "births=\n\tpop", "curve((0,0),(1,1))\n~ Dmnl\n~ A table.\n|\nbirths=\n\tpop")
    with pytest.raises(RunError, match="'curve' is a table") as caught:
        findings(project, f'[[check]]\nname = "x"\n{keys}\n')
    assert caught.value.code == "R458"


def test_a_time_setting_may_be_looked_at(project):
    (finding,) = findings(
        project, '[[check]]\nname = "x"\nkind = "bound"\nvariable = "TIME STEP"\nmax = 0.05\n'
    )
    assert finding.passed


def test_a_draw_that_stops_counts_whatever_is_left_out(project):
    logarithm = "births=\n\tLN(infectivity - 0.0999)*0 + population"
    broken(project, "births=\n\tpopulation", logarithm)
    text = '[[check]]\nname = "x"\nkind = "draws"\nn = 8\nexcept = ["births"]\n'
    (finding,) = findings(project, text)
    assert not finding.passed
    assert finding.detail.startswith("births at time 2000: LN of zero")


@pytest.mark.parametrize("plain", [True, False])
def test_a_default_run_that_fails_is_an_error(plain, project):
    broken(project, "births=\n\tpopulation", "births=\n\t1/(Time - 2010) + population")
    with pytest.raises(SimulationError, match="births at time 2010") as caught:
        findings(project, '[[check]]\nname = "x"\nkind = "zero stocks"\n', plain)
    assert caught.value.code == "S202"


def test_a_setting_holds_below_both_runs_and_set_above_it(project):
    text = (
        '[[setting]]\nname = "life"\nset = { "immunity wanes" = 0, "infectivity" = 0.12 }\n'
        '[[check]]\nname = "x"\nkind = "direction"\nunder = "life"\nvariable = "infectivity"\n'
        'set = { "infectivity" = 0.13 }\nat = 2010\ndirection = "higher"\n'
    )
    (finding,) = findings(project, text)
    assert finding.passed
    assert finding.detail == "0.12 becomes 0.13"


def test_a_turning_point_may_come_from_a_series(project):
    text = (
        '[[check]]\nname = "x"\nkind = "turning point"\nvariable = "reported cases"\n'
        'series = "reported cases"\nextremum = "max"\nfrom = 2011\nto = 2016\nwithin = 1\n'
    )
    (finding,) = findings(project, text)
    assert "observed" in finding.detail
    assert "2013" in finding.detail


def test_plain_runs_find_what_compiled_ones_do(root, sir, parameters):
    folder = root / "models" / "sir"
    kept = [
        c for c in read_checks(folder / "checks.toml", sir, parameters)
        if c.kind not in ("units", "step", "inputs")
    ]  # fmt: skip
    compiled = check.findings(kept, Runs(sir, parameters, ["infection"]))
    plain = check.findings(kept, Runs(sir, parameters, ["infection"], plain=True))
    for one, other in zip(compiled, plain, strict=True):
        assert one.passed == other.passed
        if one.check.kind != "conservation":  # gaps of rounding differ in their last digits
            assert one.detail == other.detail


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


def test_swings_that_die_away_settle_and_lasting_ones_do_not():
    t = np.arange(0, 40, 0.25)
    damped = swings_of(100 + 30 * np.exp(-t / 5) * np.cos(t))
    lasting = swings_of(100 + 30 * np.cos(t))
    assert damped[-1] < 0.1 * damped[0]
    # A peak lies up to half a step from a point: cos(0.125) is 0.8 % short.
    assert lasting[-1] == pytest.approx(lasting[0], rel=0.01)
    assert swings_of(t**2 + 1) == []


def test_the_settles_kind_sees_an_undamped_cycle(tmp_path):
    wave = "x = INTEG(-y, start)\ny = INTEG(x, 0)\nstart = 1"
    small.model(tmp_path, wave, end=40, step=0.03125, saveper=0.25, method="rk4")
    (tmp_path / "checks.toml").write_text(
        '[[check]]\nname = "x"\nkind = "settles"\nvariables = ["x"]\nfrom = 5\n'
    )
    (finding,) = check_model(tmp_path)
    assert not finding.passed
    assert "x swings on" in finding.detail


@pytest.mark.parametrize(
    "text",
    [
        'kind = "direction"\ndirection = "lower"\nat = 2099',
        'kind = "direction"\ndirection = "lower"\nfrom = 2030\nto = 2099',
        'kind = "direction"\ndirection = "lower"\nfrom = 1990\nto = 2030',
        'kind = "settles"\nfrom = 2099',
        'kind = "settles"\nfrom = 2010\nuntil = 2099',
        'kind = "bound"\nmin = 0\nat = 1999',
        'kind = "published"\nat = 2010\nrelative_to = 1990\nlow = 0\nsource = "z"',
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
    assert caught.value.code == "R442"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('kind = "turning point"\nseries = "reported cases"\nextremum = "max"\nfrom = 2010\n'
         "to = 2013\nwithin = 1", "no max inside"),
        ('kind = "turning point"\nextremum = "max"\nfrom = 1990\nto = 2013\nat = 2000\n'
         "within = 1", "does not have these years"),
        ('kind = "bound"\nmin = 0\nfrom = 2020\nto = 2010', "no time from 2020 to 2010"),
        ('kind = "history"\nseries = "reported cases by month"\nfrom = 2021\nto = 2023\n'
         'reduction = "month"\nwindow = 12', "a month is missing"),
    ],
)  # fmt: skip
def test_a_check_that_cannot_be_carried_out_says_why(text, why, project):
    path = project / "models" / "sir" / "data" / "reported_cases_by_month.csv"
    path.write_text("".join(line for line in path.open() if ",2021.208," not in line))
    with pytest.raises(RunError, match=why) as caught:
        findings(project, f'[[check]]\nname = "x"\nvariable = "infection"\n{text}\n')
    assert caught.value.code == "C701"


PAGE = (Path(__file__).parents[1] / "docs" / "checks.md").read_text(encoding="utf-8")
EXAMPLES = [b for b in re.findall(r"```toml\n(.*?)```", PAGE, re.S) if b.startswith("[[check]]")]


def test_every_example_of_the_page_passes(project):
    pytest.importorskip("simlin")
    found = findings(project, "\n".join(EXAMPLES))
    assert {f.check.kind for f in found} == set(KINDS)
    assert [f.check.name for f in found if not f.passed] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_names_every_key_of_a_kind(kind):
    section = re.search(rf"^## {kind}\n(.*?)(?=^## )", PAGE, re.M | re.S)[1]
    # `rule` is a note from before `note`.
    words = set().union(*KINDS[kind]) - {"set", "under", "source", "rule"}
    assert [word for word in words if not re.search(rf"`{word}[` ]", section)] == []


def test_without_pysimlin_the_unit_check_is_skipped(project, monkeypatch):
    def missing(model):
        raise DependencyError("X501", "pysimlin is missing")

    monkeypatch.setattr(check, "simlin_faults", missing)
    (finding,) = findings(project, '[[check]]\nname = "x"\nkind = "units"\n')
    assert (finding.passed, finding.skipped) == (True, True)
    assert "pysimlin" in finding.detail


def test_a_fault_of_units_counts_without_pysimlin_too(project, monkeypatch):
    def missing(model):
        raise DependencyError("X501", "pysimlin is missing")

    monkeypatch.setattr(check, "simlin_faults", missing)
    monkeypatch.setattr(check, "unit_faults", lambda model: ["a missing unit"])
    (finding,) = findings(project, '[[check]]\nname = "x"\nkind = "units"\n')
    assert not finding.passed
