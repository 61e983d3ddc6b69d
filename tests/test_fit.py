"""Fits as run folders: known parameters come back, work resumes, draws go on into comparisons."""

from __future__ import annotations

import csv
import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sdkit import simulate
from sdkit.convergence import diagnose
from sdkit.errors import Error, RunError
from sdkit.experiment import posterior_draws, sample
from sdkit.fit_report import rounded, warnings_of
from sdkit.fit_run import prepare_fit, read_fit
from sdkit.fit_words import in_short
from sdkit.fitting import execute_fit, posterior_of
from sdkit.model import read_model
from sdkit.observations import at_observations
from sdkit.parameters import read_parameters
from sdkit.provenance import SeriesSeen, posterior_provenance
from sdkit.results import carry_out

RUN = """
do = "fit"
question = "What do the reported cases say?"
model = "models/sir"
seed = 7
draws = 64
until = 2020
posterior = true

[effort]
starts = 3
walkers = 24
warm_up = 50
most = 100
r_hat = 1.1
effective = 200

[forecast]
years = 2
measurements = ["reported cases"]
known = ["The numbers are invented."]
"""
PUBLISHED = (
    'years = 2\npublished = [{ name = "elsewhere", measurement = "reported cases", '
    'time = [2021], value = [2e4], source = "x" }]\n'
    'set = { "imported infections" = 12 }\n'
)
TRUE = {"infectivity": 0.105, "infectious duration": 0.14, "reporting fraction": 0.4}


@pytest.fixture(scope="module")
def fitted(root, tmp_path_factory):
    """A copy of the teaching model whose series were made by known values, and its fit."""
    folder = tmp_path_factory.mktemp("fit")
    shutil.copytree(root / "models" / "sir", folder / "models" / "sir")
    model = read_model(folder / "models" / "sir")
    run = simulate(model, set=TRUE)
    years = np.arange(2010.0, 2025)
    exact = at_observations(
        run.time.to_numpy(), run["reported cases"].to_numpy()[:, 0, 0, 0], years, "year"
    )
    noisy = exact * np.exp(np.random.default_rng(3).normal(0, 0.05, len(years)))
    path = folder / "models" / "sir" / "data" / "reported_cases.csv"
    lines = ["series,time,value,unit,status,source"]
    lines += [f"reported cases,{t:g},{v:.1f},Person/Year,invented,teaching"
              for t, v in zip(years, noisy, strict=True)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "runs" / "fit").mkdir(parents=True)
    (folder / "runs" / "fit" / "run.toml").write_text(RUN, encoding="utf-8")
    carry_out(folder / "runs" / "fit")
    return folder


def table(path) -> pd.DataFrame:
    return pd.read_csv(path)


def test_known_values_come_back(fitted):
    found = table(fitted / "runs" / "fit" / "summary.csv").set_index("parameter")
    for name, value in TRUE.items():
        row = found.loc[name]
        assert row.posterior_5 < value < row.posterior_95, name
        assert row.narrowing < 1
    assert (found.r_hat < 1.1).all()
    assert (found.effective > 200).all()


def test_what_the_tables_say_of_the_series(fitted):
    row = table(fitted / "runs" / "fit" / "measurements.csv").iloc[0]
    assert (row.observations, row["from"], row["to"]) == (11, 2010, 2020)
    assert row.median_error < 0.1  # the noise is 5 %
    assert row.coverage >= 0.7
    assert row.bias + row.variance + row.covariance == pytest.approx(1, abs=1e-4)


def test_forecasts_are_of_years_after_the_fit(fitted):
    found = table(fitted / "runs" / "fit" / "forecasts.csv")
    assert list(found.time) == [2021, 2022]
    assert list(found.years_ahead) == [1, 2]
    assert (found.low < found["median"]).all()
    assert (found["median"] < found.high).all()
    inside = (found.low <= found.observed) & (found.observed <= found.high)
    assert (found.inside == inside).all()
    assert (found["low of pool"] < found["high of pool"]).all()
    half = (found.crps + found["crps of random walk"]) / 2
    assert (found["crps of pool"] < half).all()
    last = found["crps of last value"]
    m = table(fitted / "models" / "sir" / "data" / "reported_cases.csv").set_index("time").value
    # Tables have six digits: half of the last is at most 5e-6 of a number.
    np.testing.assert_allclose(last, np.abs(m[2020] - found.observed), rtol=5e-6)


def test_the_page_says_what_matters(fitted):
    page = (fitted / "runs" / "fit" / "out" / "report.html").read_text(encoding="utf-8")
    assert "The numbers are invented." in page
    assert "R-hat between them" in page
    assert "<th>damped trend</th><th>random walk</th><th>pool</th>" in page
    assert "The equal pool of model and random walk, a forecast of its own, has" in page
    # What is not fitted, and moves what was measured by more than its scatter.
    assert "imported infections (" in page


def test_inference_data_holds_the_draws(fitted):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    data = arviz.from_netcdf(fitted / "runs" / "fit" / "out" / "inference.nc")
    assert {"posterior", "prior", "posterior_predictive", "observed_data"} <= set(data.groups())
    assert data.posterior.sizes["chain"] == 4
    found = table(fitted / "runs" / "fit" / "summary.csv").set_index("parameter")
    median = float(data.posterior["infectivity"].median())
    # The file holds some of the states of each chain, and the table all of them.
    assert median == pytest.approx(found.loc["infectivity"].posterior_50, rel=0.02)


def test_a_posterior_goes_on_into_draws(fitted):
    path = fitted / "models" / "sir" / "posterior.csv"
    first, _, seal, header, *rows = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith("# fitted by runs/fit to sir.mdl ")
    assert seal.startswith("# sha256 ")
    assert header == "infectivity,infectious duration,reporting fraction"
    assert len(rows) == 64
    parameters = read_parameters(read_model(fitted / "models" / "sir"))
    draws = posterior_draws(parameters, 16, 5)
    prior = sample(parameters, 16, 5)
    assert list(draws.columns) == list(prior.columns)
    for name in prior.columns:  # what was not fitted stays as the priors have it
        if name not in TRUE:
            np.testing.assert_array_equal(draws[name], prior[name])
    assert draws["infectivity"].iloc[0] == float(rows[0].split(",")[0])
    with pytest.raises(RunError) as caught:
        posterior_draws(parameters, 128, 5)
    assert caught.value.code == "R448"


def test_a_switch_that_was_held_goes_with_its_draws(fitted, tmp_path):
    """And one that was not, and moves what was measured, is named on the page."""
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    text = SEVERAL.replace("[effort]", 'set = { "immunity wanes" = 1 }\n[effort]')
    folder.joinpath("run.toml").write_text(text, encoding="utf-8")
    page = carry_out(folder).read_text(encoding="utf-8")
    assert "Held in the fit: immunity wanes = 1." in page
    assert "immunity wanes = 0 (" not in page
    parameters = read_parameters(read_model(tmp_path / "models" / "sir"))
    assert (posterior_draws(parameters, 64, 5)["immunity wanes"] == 1).all()
    other = (fitted / "runs" / "fit" / "out" / "report.html").read_text(encoding="utf-8")
    assert "immunity wanes = 0 (" in other
    found = table(fitted / "runs" / "fit" / "out" / "influence.csv").set_index("parameter")
    assert found.influence["immunity wanes = 0"] > 5  # cases at a tenth of those observed


def test_a_comparison_draws_from_the_posterior(fitted, root):
    folder = fitted / "runs" / "compare"
    folder.mkdir()
    text = (root / "runs" / "sir" / "run.toml").read_text(encoding="utf-8")
    folder.joinpath("run.toml").write_text(
        text.replace('from = "priors", n = 64', 'from = "posterior", n = 16'), encoding="utf-8"
    )
    carry_out(folder)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert record["draws"] == {"from": "posterior", "n": 16}
    assert "sir/posterior.csv" in record["sha256"]
    assert record["posterior"]["of this text"]
    # An equation changed since: said on the page.
    path = fitted / "models" / "sir" / "sir.mdl"
    text = path.read_text(encoding="utf-8")
    changed = text.replace("usual contacts*(1 -", "usual contacts*1.01*(1 -")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    try:
        page = carry_out(folder).read_text(encoding="utf-8")
    finally:
        path.write_text(text, encoding="utf-8")
    assert "fitted to another text of this model" in page


def edited(fitted, tmp_path, change):
    """A copy of the model whose posterior.csv is another text."""
    shutil.copytree(fitted / "models" / "sir", tmp_path / "sir")
    path = tmp_path / "sir" / "posterior.csv"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return tmp_path / "sir"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.replace("infectivity", "no constant"), "P310"),
        (lambda t: t.replace("infectivity", "usual contacts"), "P310"),
        (lambda t: "\n".join(r.split(",")[0] for r in t.splitlines()), "P310"),
        (lambda t: "\n".join([*t.splitlines()[:1], *["1e9,0.15,0.3"] * 64]), "P310"),
        (lambda t: "\n".join([*t.splitlines()[:1], *["x,0.15,0.3"] * 64]), "R406"),
        (lambda t: "\n".join([*t.splitlines()[:1], *["0.1,0.15,0.3"] * 64]), "P316"),
        (lambda t: "", "R403"),
    ],
)
def test_a_posterior_that_does_not_fit_the_model(change, code, fitted, tmp_path):
    def unverified(text):
        table = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        return "# unverified: by hand\n" + change(table)

    folder = edited(fitted, tmp_path, unverified)
    with pytest.raises(Error) as caught:
        posterior_draws(read_parameters(read_model(folder)), 16, 5)
    assert caught.value.code == code


def swapped(text):
    """The first two names of the header in each other's place."""
    return text.replace("\ninfectivity,infectious duration,", "\ninfectious duration,infectivity,")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (swapped, "P315"),
        (lambda t: t.replace("infectivity", "reporting fraction"), "P315"),
        (lambda t: t.replace("\n0.1", "\n0.2", 1), "P315"),
        (lambda t: t[: t.rindex("\n", 0, -1)] + "\n", "P315"),  # a row less
        (lambda t: "\n".join([*t.splitlines(), t.splitlines()[-1]]), "P315"),  # a row more
        (lambda t: "\n".join([*t.splitlines()[:4], *t.splitlines()[:3:-1]]), "P315"),  # backwards
        (lambda t: t.replace("# fitted by runs/fit", "# fitted by runs/best"), "P315"),
        (lambda t: t.replace('"until": 2020', '"until": 2024'), "P315"),
        (lambda t: t.replace("# sha256 ", "# sha256 0"), "P314"),
        (lambda t: "\n".join([t.splitlines()[0], *t.splitlines()[3:]]), "P314"),  # as it once was
        (lambda t: "\n".join(t.splitlines()[3:]), "P314"),
        (lambda t: "# unverified:  \n" + "\n".join(t.splitlines()[3:]), "P314"),
        (lambda t: "", "R403"),
        (lambda t: "#", "P314"),
        (lambda t: "# fitted by nobody\n", "P314"),
    ],
)
def test_a_posterior_is_as_the_fit_wrote_it(change, code, fitted, tmp_path):
    folder = edited(fitted, tmp_path, change)
    text = (folder / "posterior.csv").read_text(encoding="utf-8")
    assert text != (fitted / "models" / "sir" / "posterior.csv").read_text(encoding="utf-8")
    model = read_model(folder)
    for read in (
        lambda: posterior_draws(read_parameters(model), 16, 5),
        lambda: posterior_provenance(folder, model),
    ):
        with pytest.raises(Error) as caught:
            read()
        assert caught.value.code == code


def test_line_ends_do_not_change_a_posterior(fitted, tmp_path):
    folder = edited(fitted, tmp_path, lambda t: "\ufeff" + t.replace("\n", "\r\n") + "\r\n")
    draws = posterior_draws(read_parameters(read_model(folder)), 16, 5)
    same = posterior_draws(read_parameters(read_model(fitted / "models" / "sir")), 16, 5)
    pd.testing.assert_frame_equal(draws, same)


def test_a_posterior_says_what_it_was_fitted_to(fitted, tmp_path):
    model = read_model(fitted / "models" / "sir")
    found = posterior_provenance(fitted / "models" / "sir", model)
    assert (found.run, found.question, found.until) == (
        "runs/fit",
        "What do the reported cases say?",
        2020,
    )
    assert found.series == (SeriesSeen("reported cases", 2010, 2020, 11),)
    assert found.held_out == (SeriesSeen("reported cases", 2021, 2024, 4),)
    assert found.of_this_text
    assert found.changed == ()  # the head names parameters.csv, measurements.toml and data
    # Imports move what was measured.
    assert any("imported infections (" in line for line in found.warnings)
    record = json.loads((fitted / "runs" / "fit" / "record.json").read_text(encoding="utf-8"))
    assert record["warnings"] == list(found.warnings)
    assert record["series"] == [["reported cases", 2010, 2020, 11]]
    folder = edited(fitted, tmp_path, lambda t: t)
    path = folder / "sir.mdl"
    path.write_text(path.read_text(encoding="utf-8").replace("0.1 ~", "0.2 ~") + " ", "utf-8")
    assert not posterior_provenance(folder, read_model(folder)).of_this_text
    # Priors, and data, edited after the fit.
    for name in ("parameters.csv", "data/reported_cases.csv"):
        (folder / name).write_text((folder / name).read_text(encoding="utf-8") + "\n", "utf-8")
    (folder / "measurements.toml").unlink()
    told = posterior_provenance(folder, read_model(folder)).changed
    assert told == ("parameters.csv", "measurements.toml", "data/reported_cases.csv")


def test_what_a_fit_warns_of(monkeypatch):
    """Chains that agree less than is usual, a search without end, points that fail, a coarse step;
    of several fits each by its name."""

    class Fake:
        def __init__(
            self, label, r_hat=1.001, effective=5000.0, converged=True, failed=0, shift=0.1,
            strong=(),
        ):  # fmt: skip
            row = {"of": "model", "remark": "", "parameter": "x"}
            self.parameters = pd.DataFrame([row])
            self.influence = pd.DataFrame(
                {"parameter": ["y", *strong], "influence": [0.29, *(0.3 for _ in strong)]}
            )
            self.halved = (shift, 0.0)
            self.prepared = SimpleNamespace(label=label, set={}, model=None)
            # A search that converged lower says nothing of the most probable point.
            climbs = [
                SimpleNamespace(log_density=at, converged=own)
                for at, own in ((-3.0, converged), (-3.2, True))
            ]
            tally = SimpleNamespace(failed=failed, points=1000)
            self.fit = SimpleNamespace(
                r_hat=np.array([1.0, r_hat]), effective=np.array([9000.0, effective]),
                climbs=climbs, tally=tally,
            )  # fmt: skip

    monkeypatch.setattr("sdkit.fit_words.draws_numbers", lambda model: False)
    assert warnings_of([Fake(""), Fake("mild")]) == []
    at_the_edge = Fake("mild", r_hat=1.01, effective=1000.0, shift=0.5)
    assert warnings_of([Fake(""), at_the_edge]) == []
    for change, words in (
        ({"r_hat": 1.02}, "R-hat between them is 1.020 at most (usual: 1.01 or less)"),
        ({"effective": 300.0}, "300 effective draws (usual: 1,000 or more)"),
        ({"converged": False}, "No search for the most probable point converged"),
        ({"failed": 10}, "10 of 1,000 points (1.00%) could not be simulated and count as"),
        ({"failed": 1}, "1 of 1,000 points (0.10%) could not be simulated and counts as"),
        (
            {"strong": ["z"]},
            "from its prior, it moves the model off its series; it is better to fit it ",
        ),
        (
            {"strong": ["z", "v"]},
            "from their priors, they move the model off its series; it is better to fit them ",
        ),
        ({"strong": ["s = 1"]}, "1 setting of switches"),
        ({"strong": ["s = 1"]}, "take it by its weight, with values that were fitted without it."),
        ({"strong": ["s = 1", "s = 2"]}, "take them by their weights"),
        ({"shift": -0.51}, "by −0.51"),
        ({"shift": math.nan}, "The time step is coarse"),
    ):
        (line,) = warnings_of([Fake(""), Fake("mild", **change)])
        assert line.startswith("mild: ")
        assert words in line
        (line,) = warnings_of([Fake("low", **change), Fake("mild", **change)])  # said once
        assert not line.startswith(("low: ", "mild: "))
        (line,) = warnings_of([Fake("low", **change), Fake("mild")])
        assert line.startswith("low: ")


def test_a_fit_in_short_counts_observations_and_names_the_worst_series(monkeypatch):
    """A band that holds half of ten observations and nine in ten of thirty holds 80 %; a forecast
    that is as good as another is no better."""
    names = pd.DataFrame({"of": ["model", "measurements"], "parameter": ["x", "spread"]})
    scores = {"last value": 2.0, "last trend": 3.0, "random walk with drift": 1.0, "pool": 1.9}
    found = SimpleNamespace(
        parameters=names.assign(remark="", rank=[0.04, 0.05]),
        measurements=pd.DataFrame(
            {"measurement": ["many", "few"], "observations": [30, 10],
             "coverage": [0.9, 0.5], "median_error": [0.05, 0.2]}
        ),
        forecasts=pd.DataFrame(
            {"measurement": ["few"], "observed": [1.0], "inside": [True], "error": [0.1],
             "inside of pool": [True], "crps": [2.0],
             **{f"crps of {name}": [score] for name, score in scores.items()}}
        ),
        fit=SimpleNamespace(
            r_hat=np.array([1.0, 1.005]), effective=np.array([2000.0, 3000.0]),
            climbs=[SimpleNamespace(log_density=d, converged=True) for d in (-3, -3.05, -3.2)],
            posterior=SimpleNamespace(names=["x", "spread"]),
            tally=SimpleNamespace(failed=0, points=9),
        ),
        prepared=SimpleNamespace(run=SimpleNamespace(later={}), model=None, set={}),
        influence=pd.DataFrame(), halved=(-0.02, 0.001),
    )  # fmt: skip
    monkeypatch.setattr("sdkit.fit_words.time_unit", lambda model: None)
    monkeypatch.setattr("sdkit.fit_words.draws_numbers", lambda model: False)
    text = "\n".join(in_short(found)).replace("\u00a0", " ")
    for said in (
        "were fitted to 40 observations of 2 series.",
        "1 of 2 lies in the middle 90 % of the posterior.",
        "hold 80 % of the observations used; the largest median absolute error of a series is "
        "20 % (few).",
        "better than last trend; no better than last value, random walk with drift. The equal pool "
        "of model and random walk, a forecast of its own, has 100 % in its band and scores better "
        "than the model.",
        "2 of 3 searches ended at the most probable point.",
        "R-hat between them is 1.0050 at most (spread), and every parameter has at least 2,000 "
        "effective draws (x).",
        "by −0.02 and no simulated value by more than 0.10%.",
    ):
        assert said in text


def test_a_posterior_of_others_is_taken_and_said_to_be(fitted, root, tmp_path):
    def of_others(text):
        rows = text.splitlines()[3:]
        return "\n".join(["# unverified: Stan, by a colleague", *rows, *rows[-3:]])

    folder = edited(fitted, tmp_path, of_others)
    model = read_model(folder)
    assert len(posterior_draws(read_parameters(model), 64, 5)) == 64
    found = posterior_provenance(folder, model)
    assert (found.run, found.series, found.of_this_text) == ("", (), False)
    assert "nothing vouches for it: Stan, by a colleague" in found.warnings[0]
    assert "3 of the 67 draws" in found.warnings[1]
    # A page says so, and does not say that it was fitted to another text.
    (tmp_path / "models").mkdir()
    folder.rename(tmp_path / "models" / "sir")
    run = tmp_path / "runs" / "sir"
    run.mkdir(parents=True)
    text = (root / "runs" / "sir" / "run.toml").read_text(encoding="utf-8")
    text = text.replace('from = "priors", n = 64', 'from = "posterior", n = 2')
    (run / "run.toml").write_text(text, encoding="utf-8")
    page = carry_out(run).read_text(encoding="utf-8")
    assert "Nothing vouches for the draws" in page
    assert "(unverified: Stan, by a colleague)" in page
    assert "another text" not in page


def test_a_fit_that_was_interrupted_ends_as_one_that_was_not(fitted, tmp_path):
    run = fitted / "runs" / "fit"
    whole = {n: (run / n).read_bytes() for n in ("summary.csv", "measurements.csv", "record.json")}
    shutil.copytree(fitted / "models", tmp_path / "models")
    again = tmp_path / "runs" / "fit"
    again.mkdir(parents=True)
    shutil.copy(run / "run.toml", again)
    calls = 0

    def interrupt(done, total):
        nonlocal calls
        calls += 1
        assert 0 <= done <= total
        if calls == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(again, progress=interrupt)
    (left,) = (again / "out").iterdir()
    assert any(path.name.startswith("warm-up") for path in left.iterdir())
    assert not (again / "summary.csv").exists()
    carry_out(again)
    assert {n: (again / n).read_bytes() for n in whole} == whole
    assert not left.exists()
    posterior = "models/sir/posterior.csv"
    assert (tmp_path / posterior).read_bytes() == (fitted / posterior).read_bytes()


def test_chains_that_have_not_converged_are_refused_and_nothing_is_lost(fitted, tmp_path, sdkit):
    shutil.copytree(fitted / "models", tmp_path / "models")
    run = tmp_path / "runs" / "fit"
    run.mkdir(parents=True)
    hard = RUN.replace("effective = 200", "effective = 1e6").replace("most = 100", "most = 50")
    (run / "run.toml").write_text(hard, encoding="utf-8")
    (run / "summary.csv").write_text("earlier\n", encoding="utf-8")
    status, _, said = sdkit("run", run)
    assert status == 2
    assert "F502" in said
    assert any(name in said for name in (*TRUE, "reported cases"))
    assert (run / "summary.csv").read_text(encoding="utf-8") == "earlier\n"
    # What was done is used when more is asked for.
    before = sorted(p.name for p in (run / "out").rglob("chain-*"))
    assert len(before) == 8
    (run / "run.toml").write_text(hard.replace("1e6", "100"), encoding="utf-8")
    status, _, said = sdkit("run", run)
    assert status == 0, said


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("draws = 64", "draws = 63", "R445"),
        ("seed = 7", "seed = -1", "R444"),
        ("until = 2020", "until = 1990", "R468"),
        ("until = 2020", 'until = "x"', "R409"),
        ("until = 2020\n", "", "R455"),  # a forecast from nowhere
        ("years = 2", "years = 0", "R443"),
        ("until = 2020", "until = 2024", "R468"),  # no observation lies ahead: told before the fit
        ('["reported cases"]', '["no cases"]', "R411"),
        ("walkers = 24", "walkers = 23", "R446"),
        ("r_hat = 1.1", "r_hat = 1", "R443"),
        ("starts = 3", "start = 3", "R407"),
        ("posterior = true", 'measurements = ["nothing"]', "R411"),
        ("posterior = true", 'also = ["nothing"]', "P305"),
        ("posterior = true", 'also = ["usual contacts"]', "R458"),
        ("posterior = true", "set = { infectivity = -3 }", "P308"),
        ("years = 2", 'years = 2\nset = { "infectivty" = 1 }', "P305"),
        ("posterior = true", 'later = { "no cases" = 2022 }', "R411"),
        ("posterior = true", 'later = { "reported cases" = "x" }', "R409"),
        ("posterior = true", 'later = { "reported cases" = 2022 }', "R456"),  # and a forecast of it
        ("posterior = true", "since = 2015", "R455"),  # without what?
        ("posterior = true", 'switch = "immunity wanes"', "R456"),  # and a forecast
        ("posterior = true", "recover = 1", "R456"),
        ("posterior = true", "recover = -1", "R443"),
        ("posterior = true", "recover = true", "R409"),
        ("years = 2", "years = 2\npublished = [1]", "R409"),
        ("years = 2", "years = 2\npublished = [{ name = 'x' }]", "R408"),
        ("years = 2", PUBLISHED.replace("[2021]", "[2021, 2022]"), "R476"),
        ("years = 2", PUBLISHED.replace("reported", "other"), "R411"),
        ("years = 2", PUBLISHED.replace("2021", "2021.5"), "R468"),
        ("model = ", "modl = ", "R407"),
    ],
)
def test_a_fault_in_a_fit_is_named(before, after, code, fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    assert before in RUN
    (folder / "run.toml").write_text(RUN.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(Error) as caught:
        execute_fit(prepare_fit(read_fit(folder)))
    assert caught.value.code == code
    if code != "P308":
        assert "run.toml" in caught.value.message


def test_draws_of_a_fit_are_not_a_trial(fitted, sdkit):
    status, _, said = sdkit("run", fitted / "runs" / "fit", "--draws", "16")
    assert (status, said[:4]) == (2, "R473")


def test_effective_sizes_are_those_of_independent_draws():
    rng = np.random.default_rng(0)
    from sdkit.sampler import Chains

    draws = rng.normal(size=(4, 50, 32, 1))
    r_hat, effective = diagnose(Chains(draws, draws[..., 0], 0.3, draws[..., 0].size))
    # Over ten seeds the estimates are off by 13 % and 0.0004 at most.
    assert effective[0] == pytest.approx(draws.size, rel=0.1)
    assert math.isclose(r_hat[0], 1, abs_tol=0.001)


def test_the_tables_are_read_by_csv(fitted):
    for path in (fitted / "runs" / "fit").glob("*.csv"):
        rows = list(csv.reader(path.open(encoding="utf-8")))
        assert len({len(row) for row in rows}) == 1


def test_draws_are_rounded_to_a_thousandth_of_their_spread():
    rng = np.random.default_rng(2)
    values = np.array([2012.0, 4e-7, 3e6, 0.5]) + rng.normal(size=(500, 4)) * [0.3, 1e-7, 2e5, 0.01]
    back = np.array([[float(cell) for cell in row] for row in rounded(values)])
    away = np.abs(back - values).max(axis=0) / values.std(axis=0)
    assert (away < 1e-3).all()
    assert (away > 1e-6).all()


# -- several fits ------------------------------------------------------------------------

SEVERAL = RUN[: RUN.index("[forecast]")].replace("starts = 3", "starts = 2")


def test_a_fit_under_each_setting_of_a_switch(fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    text = SEVERAL.replace("[effort]", 'switch = "immunity wanes"\n[effort]')
    folder.joinpath("run.toml").write_text(text, encoding="utf-8")
    report = carry_out(folder)
    fits = table(folder / "fits.csv")
    assert list(fits.weight) == [0.3, 0.7]
    # The series were made with immunity that wanes.
    assert list(fits.log_evidence[1:]) == [0]
    assert fits.log_evidence[0] < -5
    summary = table(folder / "summary.csv")
    assert list(summary.fit.unique()) == list(fits.fit) == ["setting 0", "setting 1"]
    for number in (1, 2):
        assert f'href="fit-{number}/report.html"' in report.read_text(encoding="utf-8")
        assert (folder / "out" / f"fit-{number}" / "inference.nc").exists()
    path = tmp_path / "models" / "sir" / "posterior.csv"
    pooled = pd.read_csv(path, comment="#")
    assert pooled["immunity wanes"].value_counts().to_dict() == {1: 45, 0: 19}  # 0.7 of 64
    # Each draw is one of its own setting's fit.
    middle = summary.set_index(["fit", "parameter"]).posterior_50
    for setting in (0, 1):
        own = pooled[pooled["immunity wanes"] == setting]["reporting fraction"].median()
        other = middle[f"setting {1 - setting}", "reporting fraction"]
        assert abs(own - middle[f"setting {setting}", "reporting fraction"]) < abs(own - other)
    parameters = read_parameters(read_model(tmp_path / "models" / "sir"))
    draws = posterior_draws(parameters, 64, 5)
    np.testing.assert_array_equal(draws["immunity wanes"], pooled["immunity wanes"])
    text = path.read_text(encoding="utf-8")
    table_ = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    table_ = table_.replace("\n1,", "\n0.5,", 1)
    path.write_text(f"# unverified: by hand\n{table_}", encoding="utf-8")
    with pytest.raises(Error) as caught:
        posterior_draws(parameters, 64, 5)
    assert caught.value.code == "P310"


@pytest.mark.parametrize(
    ("added", "code"),
    [
        ('later = { "reported cases" = 2012 }', "R470"),  # before until
        ('since = 2015\nwithout = { "x" = { "infectivty" = 0 } }', "P305"),
        ('since = 2015\nwithout = { "x" = 1 }', "R409"),
        ('since = 2015\nset = { "caution" = 3 }\nwithout = { "x" = { "caution" = 4 } }', "R477"),
        ('switch = "caution"', "R458"),
        ('switch = "cautoin"', "P305"),
        ('switch = "immunity wanes"\nset = { "immunity wanes" = 0.5 }', "R477"),
        ('switch = "immunity wanes"\nrecover = 1', "R456"),
    ],
)
def test_a_fault_in_several_fits_is_named(added, code, fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    text = SEVERAL.replace("[effort]", f"{added}\n[effort]")
    (folder / "run.toml").write_text(text, encoding="utf-8")
    left = folder / "out" / "unfinished-0"
    left.mkdir(parents=True)
    with pytest.raises(Error) as caught:
        carry_out(folder)
    assert caught.value.code == code
    assert left.exists()  # nothing is thrown away before the run is known to be good


def test_truths_drawn_from_the_priors_are_found_again(fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    text = SEVERAL.replace("posterior = true", "recover = 2").replace("until = 2020\n", "")
    folder.joinpath("run.toml").write_text(text, encoding="utf-8")
    carry_out(folder)
    found = table(folder / "summary.csv")
    assert list(found.fit.unique()) == ["truth 1", "truth 2"]
    assert found["rank"].between(0, 1).all()
    truths = found.pivot(index="fit", columns="parameter", values="truth")
    assert (truths.nunique() == 2).all()
    # A fit of 15 years of cases knows the share reported times all else better than the prior.
    assert (found[found.parameter == "reporting fraction"].narrowing < 1).all()


def test_what_others_forecast_stands_beside(fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    folder.joinpath("run.toml").write_text(RUN.replace("years = 2", PUBLISHED), encoding="utf-8")
    carry_out(folder)
    found = table(folder / "forecasts.csv")
    other = found["published by elsewhere"].tolist()
    assert other[0] == 2e4
    assert np.isnan(other[1])
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "elsewhere" in page
    assert "Held as they were known then: imported infections = 12. The score is" in page


def test_what_a_cause_adds_to_a_change(fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    asked = 'since = 2015\nwithout = { "imports" = { "imported infections" = 100 } }\n[effort]'
    text = SEVERAL.replace("[effort]", asked)
    folder.joinpath("run.toml").write_text(text, encoding="utf-8")
    carry_out(folder)
    row = table(folder / "without.csv").iloc[0]
    assert (row["without"], row.measurement, row.time) == ("imports", "reported cases", 2020)
    # The same by hand, from the draws of the posterior and the priors.
    parameters = read_parameters(read_model(tmp_path / "models" / "sir"))
    draws = posterior_draws(parameters, 64, 7)
    posterior = posterior_of(prepare_fit(read_fit(folder)))
    (usual,) = posterior.simulate_values(draws)
    (less,) = posterior.simulate_values(draws.assign(**{"imported infections": 100.0}))
    level = np.quantile(less[:, -1] / usual[:, -1] - 1, 0.05)
    usual, less = (y[:, -1] / y[:, 5] for y in (usual, less))
    # The file of the posterior is rounded to a thousandth of each column's spread.
    assert row.ratio_50 == pytest.approx(np.median(usual), rel=1e-3)
    assert row.change_50 == pytest.approx(np.median(less / usual - 1), abs=1e-3)
    assert row.level_5 == pytest.approx(level, rel=5e-3)
    folder.joinpath("run.toml").write_text(text.replace("2015", "1999"), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        execute_fit(prepare_fit(read_fit(folder)))
    assert caught.value.code == "R468"
    # A run that no longer asks for it leaves no table of it.
    folder.joinpath("run.toml").write_text(SEVERAL, encoding="utf-8")
    carry_out(folder)
    assert not (folder / "without.csv").exists()


def test_a_series_that_is_known_for_longer(fitted, tmp_path):
    shutil.copytree(fitted / "models", tmp_path / "models")
    folder = tmp_path / "runs" / "fit"
    folder.mkdir(parents=True)
    text = SEVERAL.replace("until = 2020", 'until = 2019\nlater = { "reported cases" = 2021 }')
    folder.joinpath("run.toml").write_text(text, encoding="utf-8")
    posterior = posterior_of(prepare_fit(read_fit(folder)))
    assert posterior.measurements[0].series.time[-1] == 2021


def test_a_fit_of_nothing_is_refused(project):
    path = project / "models" / "sir" / "parameters.csv"
    path.write_text(path.read_text().replace(",fitted,", ",uncertain,"))
    folder = project / "runs" / "fit"
    folder.mkdir()
    (folder / "run.toml").write_text(RUN, encoding="utf-8")
    with pytest.raises(Error, match="no constant has the role fitted") as caught:
        prepare_fit(read_fit(folder))
    assert caught.value.code == "R478"
