"""Run folders: what run.toml may say, and what each fault in a project answers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sdkit.compare import LATEST
from sdkit.comparing import execute
from sdkit.errors import CODES, Error, RunError
from sdkit.run import prepare, read_run

BROKEN = Path(__file__).parent / "broken" / "sir"
FAULTS = sorted(path for path in BROKEN.rglob("*") if path.is_file())


def _target(project: Path, name: str) -> Path:
    folder = {"run.toml": "runs/sir", "reported_cases.csv": "models/sir/data"}
    return project / folder.get(name, "models/sir") / name


@pytest.mark.parametrize("fault", FAULTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_broken_file_answers_with_its_code_and_names_the_place(fault, project):
    target = _target(project, fault.parent.name)
    shutil.copy(fault, target)
    with pytest.raises(Error) as caught:
        execute(prepare(read_run(project / "runs" / "sir", n=None)))
    assert caught.value.code == fault.stem[:4]
    if caught.value.code != "S203":  # names the variable; the model's file is what lacks it
        assert target.name in caught.value.message or "check" in caught.value.message


def test_there_is_a_broken_file_for_every_code_of_a_run_folder():
    codes = {fault.stem[:4] for fault in FAULTS}
    assert {f"R4{n:02}" for n in range(3, 14) if n != 10} <= codes
    rules = (41, 42, 43, 44, 45, 49, 51, 52, 53, 54, 56, 58, 59, 60, 71)
    assert {f"R4{n}" for n in rules} <= codes  # the rest belong to fits and studies
    assert {f"P30{n}" for n in range(1, 9)} <= codes


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("seed = 20260222", 'seed = "a"'), "seed"),
        (("n = 64", "n = -3"), "n"),
        (('"priors"', '"guesses"'), "from"),
        (("seed = 20260222", "seed = 20260222\nsede = 1"), "sede"),
        (('"both"', '"neither"'), "neither"),
    ],
)
def test_a_message_names_the_line_and_the_key(change, key, project):
    path = project / "runs" / "sir" / "run.toml"
    text = path.read_text().replace(*change)
    path.write_text(text)
    line = next(i for i, t in enumerate(text.splitlines(), 1) if change[1].split("\n")[-1] in t)
    with pytest.raises(RunError) as caught:
        prepare(read_run(path.parent))
    assert f"line {line}:" in caught.value.message
    assert key in caught.value.message


def test_the_cure_of_a_horizon_says_the_years_that_are_taken():
    assert f"from 0 to {LATEST}," in CODES["R452"].cure


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(RunError, match="does not exist") as caught:
        read_run(tmp_path / "nowhere")
    assert caught.value.code == "R401"


def test_the_model_is_found_from_the_nearest_folder_with_models(project):
    nested = project / "work" / "runs" / "deep"
    nested.mkdir(parents=True)
    shutil.copy(project / "runs" / "sir" / "run.toml", nested)
    assert read_run(nested).model == project / "models" / "sir"
    shutil.copytree(project / "models", project / "work" / "models")
    assert read_run(nested).model == project / "work" / "models" / "sir"


def test_defaults_are_one_draw_of_the_model_itself(project):
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(
        path.read_text().replace('{ from = "priors", n = 64 }', '{ from = "defaults" }')
    )
    prepared = prepare(read_run(path.parent))
    assert prepared.draws.shape == (1, 0)


def test_a_changed_constant_holds_in_every_draw(project):
    prepared = prepare(read_run(project / "runs" / "sir", n=4), {"Infectivity": 0.05})
    assert (prepared.draws["infectivity"] == 0.05).all()
    assert prepared.changed == {"infectivity": 0.05}


def test_every_policy_sees_the_same_history(comparison):
    before = comparison.result["infection"].sel(time=slice(None, 2026))
    assert (before == before.isel(policy=0)).all()
    after = comparison.result["infection"].sel(time=2031)
    assert (after.isel(policy=1) != after.isel(policy=0)).any()


def test_history_bands_are_the_means_of_quarters(comparison):
    history = comparison.histories[0]
    assert history.years[0] == 2000
    at_2015 = history.bands[:, history.years == 2015][:, 0]
    yearly = comparison.result["infection"].isel(scenario=0, policy=0).sel(time=2016)
    expected = np.quantile(
        yearly.to_numpy() * comparison.draws["reporting fraction"].to_numpy(), [0.05, 0.5, 0.95]
    )
    # The product of the means and the mean of the product agree: the factor is constant.
    assert at_2015 == pytest.approx(expected, rel=1e-9)


def test_the_recorded_runs_hold_every_policy_claim_and_headline_output(root):
    from sdkit.experiment import read_settings
    from sdkit.outputs import read_outputs

    runs = [prepare(read_run(root / "runs" / name, n=2)) for name in ("policies", "levers")]
    main = runs[0]
    assert len(main.policies) == 15
    judged = {
        claim.id
        for run in runs
        for claim in run.claims
        if {claim.policy, claim.comparator} <= {policy.name for policy in run.policies}
        and claim.output in {output.name for output in run.outputs}
    }
    assert judged == {claim.id for claim in main.claims}
    folder = main.model.path.parent
    known = read_outputs(folder / "outputs.toml", main.model)
    headlines = {output.name for output in known.values() if output.headline}
    assert headlines <= {output.name for output in main.outputs}
    policies = read_settings(folder / "policies.toml", "policy", main.parameters)
    assert set(policies) == {policy.name for run in runs for policy in run.policies}


@pytest.mark.parametrize(
    ("given", "periods"),
    [
        ('["2027-2030"]', ("2027-2030", "2026-2040")),
        ('["horizon", "2030"]', ("2026-2040", "2030")),
    ],
)
def test_the_whole_horizon_is_always_a_period(given, periods, project):
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(re.sub("horizon = .*", f"horizon = [2026, 2040]\nperiods = {given}",
                           re.sub("periods = .*", "", path.read_text())))  # fmt: skip
    assert read_run(path.parent).periods == periods


def with_step(project, step, reduction):
    model = project / "models" / "sir" / "sir.mdl"
    text = model.read_text()
    model.write_text(re.sub(r"((?:TIME STEP|SAVEPER)\s*=\s*)[0-9.]+", rf"\g<1>{step}", text))
    checks = project / "models" / "sir" / "checks.toml"
    checks.write_text(
        f'[[check]]\nname = "seen"\nkind = "history"\nvariable = "infection"\n'
        f'series = "reported cases"\nfrom = 2010\nto = 2022\nreduction = "{reduction}"\n'
    )
    return prepare(read_run(project / "runs" / "sir", n=2))


@pytest.mark.parametrize("reduction", ["year", "point"])
def test_histories_need_no_quarters_where_no_fiscal_year_is_asked_for(reduction, project):
    (history,) = execute(with_step(project, 0.1, reduction)).histories
    assert history.years[0] == 2000
    assert np.isfinite(history.bands).all()


def test_a_monthly_series_is_shown_by_its_years(project):
    prepared = prepare(read_run(project / "runs" / "sir", n=2))
    (monthly,) = (h for h in execute(prepared).histories if h.name == "monthly cases")
    assert monthly.series.time.tolist() == [2021, 2022]
    assert (monthly.options["reduction"], monthly.options["window"]) == ("year", 1)
    assert (monthly.options["from"], monthly.options["to"]) == (2021, 2023)
    assert monthly.bands.shape == (3, len(monthly.years))


def test_a_history_under_other_values_is_none_of_the_baseline(project):
    path = project / "models" / "sir" / "checks.toml"
    path.write_text(
        '[[check]]\nname = "seen"\nkind = "history"\nvariable = "infection"\nfrom = 2010\n'
        'to = 2022\nseries = "reported cases"\nreduction = "year"\nset = { "caution" = 6 }\n'
    )
    assert prepare(read_run(project / "runs" / "sir", n=2)).histories == ()


def test_a_fiscal_year_that_the_step_does_not_meet_is_refused_by_name(project):
    with pytest.raises(RunError, match="'seen': a fiscal year") as caught:
        execute(with_step(project, 0.1, "fiscal year"))
    assert caught.value.code == "C701"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("seed = 20260222", "seed = 1" + "0" * 400), "R442"),
        (("seed = 20260222", "seed = 1" + "0" * 5000), "R405"),
        (("horizon = [2026,", "horizon = [1" + "0" * 400 + ","), "R452"),
        (("n = 64", "n = 2147483648"), "R445"),
    ],
    ids=["400 digits", "5000 digits", "horizon", "draws"],
)
def test_enormous_numbers_are_bad_input(change, code, project):
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(RunError) as caught:
        read_run(path.parent)
    assert caught.value.code == code


def test_a_number_of_draws_for_defaults_is_refused(project):
    path = project / "runs" / "sir" / "run.toml"
    text = path.read_text().replace('{ from = "priors", n = 64 }', '{ from = "defaults" }')
    path.write_text(text)
    assert read_run(path.parent, n=1).n == 1
    with pytest.raises(RunError, match="--draws") as caught:
        read_run(path.parent, n=512)
    assert caught.value.code == "R449"


@pytest.mark.parametrize(("key", "name"), [("scenarios", "reference"), ("policies", "both")])
def test_a_name_stands_once(key, name, project):
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(re.sub(f"{key} = .*", f'{key} = ["{name}", "{name}"]', path.read_text()))
    with pytest.raises(RunError) as caught:
        read_run(path.parent)
    assert caught.value.code == "R412"


def test_what_a_run_names_is_shown_in_one_line(comparison):
    prepared = prepare(read_run(Path(__file__).parents[1] / "runs" / "sir", n=8))
    for thing in (prepared, prepared.run, prepared.observed["reported cases"], comparison,
                  comparison.histories[0]):  # fmt: skip
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 200
    assert repr(comparison) == "Comparison(sir: 2 scenarios x 4 policies x 8 draws of sir)"
