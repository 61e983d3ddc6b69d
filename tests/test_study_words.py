"""What the pages of studies say, on a model that counts time in days (tests/cases/flare).

Its baseline reaches zero in some draws after day 25, its outcome "luck" hangs on no input, and its
two instruments overlap.
"""

from __future__ import annotations

import html
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sdkit.discover import chance_of
from sdkit.optimize_report import _attribution
from sdkit.optimize_study import _parts
from sdkit.outputs import Output
from sdkit.provenance import sealed
from sdkit.results import carry_out
from sdkit.sensitivity import TABLE, Quantity, left_out, quantities, settle
from sdkit.sensitivity_report import in_words
from sdkit.time_units import TimeUnit
from sdkit.tree import grow, judge

HEAD = """
do = "{do}"
question = "What of it?"
model = "models/flare"
seed = {seed}
draws = {{ from = "{source}", n = {n} }}
scenarios = ["reference"]
policies = ["nothing", "treatment", "isolation"]
outputs = ["ill people", "luck", "spending per day"]
horizon = [0, 39]
"""


@pytest.fixture
def flare(root, tmp_path):
    """The model in days, in a project of its own."""
    shutil.copytree(root / "tests" / "cases" / "flare", tmp_path, dirs_exist_ok=True)
    (tmp_path / "runs").mkdir()
    return tmp_path


def carried_out(project, do: str, body: str, n: int = 256, seed: int = 1, source: str = "priors"):
    """The run's folder and the words of its page."""
    folder = project / "runs" / do
    folder.mkdir(exist_ok=True)
    text = HEAD.format(do=do, n=n, seed=seed, source=source) + body
    (folder / "run.toml").write_text(text, encoding="utf-8")
    carry_out(folder)
    return folder, words(folder / "out" / "report.html")


def words(path) -> str:
    text = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"<[^>]*?alt=\"([^\"]*)\"[^>]*>", r" \1 ", text)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text)).replace("\u00a0", " ")
    return " ".join(text.split())


# -- sensitivity -------------------------------------------------------------------------


def test_an_effect_over_time_keeps_its_unit():
    """Five years; the baseline is zero in one run in the fourth, and of two signs in the fifth."""
    base = np.array([[10.0, 20], [8, 16], [4, 8], [0, 4], [-2, 2]])[:, None]
    levels = np.stack([base, base * 1.5 + 1])
    output, years = Output("x", "x", "mean", "people", "lower", True), np.arange(5)
    found, values = quantities(levels, output, ["a", "b"], years, ["peak"])
    own = {q.at: (q.unit, v[0].tolist()) for q, v in zip(found, values, strict=True)
           if q.yearly and q.policy}  # fmt: skip
    # 100 (0.5 base + 1) / base.
    assert own == {"0": ("%", [60, 55]), "1": ("%", [62.5, 56.25]), "2": ("%", [75, 62.5])}
    left = left_out(levels, output, ["a", "b"], years, TimeUnit("day"))
    assert (left.years, left.count, left.unit) == ((3, 4), 5, "%")
    assert "2 of 5 days (days 3–4) are left out" in left.sentence


def test_effects_of_a_baseline_that_is_mostly_nothing_are_amounts_throughout():
    base = np.array([[10.0, 20], [0, 16], [0, 8]])[:, None]
    levels = np.stack([base, base + 2])
    output, years = Output("x", "x", "mean", "people", "lower", True), np.arange(3)
    found, values = quantities(levels, output, ["a", "b"], years, ["peak"])
    own = [(q.unit, v[0].tolist()) for q, v in zip(found, values, strict=True)
           if q.yearly and q.policy]  # fmt: skip
    assert own == [("people", [2, 2])] * 3
    left = left_out(levels, output, ["a", "b"], years)
    assert left.unit == "people"
    assert "in people throughout" in left.sentence


def test_an_index_of_another_unit_is_no_earlier_look():
    """An effect that lost its percentage with more runs has not settled."""
    row = {"method": "sobol", "index": "total", "input": "a", "output": "b", "policy": "p",
           "at": "peak", "value": 0.5, "high": 0.51, "n": 8}  # fmt: skip
    percent, people = (pd.DataFrame([{**row, "unit": unit}]) for unit in ("%", "people"))
    assert settle(percent, percent, "sobol").change == 0
    assert settle(percent, people, "sobol").change == np.inf


def test_a_study_in_days(flare):
    body = (
        '[sensitivity]\nmethods = ["sobol", "morris"]\nat = ["horizon", "time of peak"]\n'
        'crossings = [{ output = "ill people", below = 10 }]\n'
    )
    folder, page = carried_out(flare, "sensitivity", body)
    table = pd.read_csv(folder / "out" / "over-time.csv")
    effects = table[(table.output == "ill people") & (table.policy == "treatment")]
    assert set(effects.unit) == {"%"}
    gaps = effects[effects.value.isna()]
    # Days 25 to 39: from some day on the fastest of the declines leaves nobody ill.
    first = gaps["at"].min()
    assert 25 <= first <= 27
    assert sorted(gaps["at"].unique()) == list(range(first, 40))
    assert gaps.note.str.contains("zero in some runs").all()
    assert effects[effects["at"] < first].value.notna().all()
    assert f"{40 - first} of 40 days (days {first}–39) are left out" in page
    summary = pd.read_csv(folder / "out" / "summary.csv")
    assert {"first day below 10", "time of peak", "days 0–39"} == set(summary["at"])
    assert set(summary[summary["at"] == "first day below 10"].unit) == {"day"}
    assert "year" not in page.replace("a day, so much a year", "").lower()
    assert "No fit has narrowed them" in page
    assert "A run that never crosses counts as crossing one day after the horizon." in page
    assert "depends most on" in page
    # Six inputs vary, and a panel has room for ten.
    assert "Total index, days 0–39, the first 6 inputs; lines are" in page
    assert "first 10 inputs" not in page
    assert "Total index of the first 6 inputs by number of base runs" in page
    assert re.search(
        r"Ill people, days 0–39: from [\d.]+ people to [\d.]+ people along decline", page
    )
    figures = folder / "out" / "figures"
    assert ">Day</text>" in (figures / "time-1-ill-people.svg").read_text(encoding="utf-8")


def test_quantities_have_names_for_sentences():
    def title(policy, at):
        return Quantity("deaths", "people", policy, at, False).title

    assert title("", "time of peak") == "the time of the peak of deaths"
    assert title("masks", "peak") == "the effect of “masks” on the peak of deaths"
    assert title("masks", "in 2030") == "the effect of “masks” on deaths, in 2030"


def test_an_estimate_outside_0_to_1_is_said_to_be_one():
    quantity = Quantity("deaths", "people", "", "peak", False)
    rows = [("sobol", index, "spread", "deaths", "people", "", "peak", value, value, value, 64)
            for index, value in (("total", 1.03), ("first", 0.9))]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(TABLE))
    said = "Indices are estimates, which can lie outside 0 to 1."
    text = in_words(table, quantity, "sobol", True)
    assert text.startswith("The peak of deaths depends most on spread (1.03, 1.03 to 1.03) (")
    assert said in text
    assert said not in in_words(table.assign(value=0.9), quantity, "sobol", True)


# -- discovery ---------------------------------------------------------------------------


def test_a_split_survives_by_other_draws_alone():
    rng = np.random.default_rng(1)
    x = pd.DataFrame(rng.random((400, 4)), columns=list("abcd"))
    y = x.a.to_numpy() > 0.7
    noise = rng.random(400) < 0.3
    half = np.arange(400) < 200
    one, other = x[half].reset_index(drop=True), x[~half].reset_index(drop=True)
    found = judge(grow(one, y[half], other, 6, 1), y[half], y[~half])
    assert [split.input for split in found.splits if split.survives] == ["a"]
    assert len(found.leaves) == 2
    for leaf in found.leaves:  # each takes rows of both halves
        assert leaf.grown.sum() + sum(o.grown.sum() for o in found.leaves if o is not leaf) == 200
    # What grew on accidents is not kept; the same rows would have confirmed it.
    accident = judge(grow(one, noise[half], other, 6, 1), noise[half], noise[~half])
    assert len(accident.splits) > 1
    assert not any(split.survives for split in accident.splits)
    assert len(accident.leaves) == 1
    again = judge(grow(one, noise[half], one, 6, 1), noise[half], noise[half])
    assert any(split.survives for split in again.splits)


def test_rows_of_a_posterior_are_one_piece_of_evidence_each():
    """Six rows, fifty draws each: by draws the difference is sure, by rows it is not."""
    rows = np.repeat(np.arange(6), 50)
    side, cases = rows < 3, np.isin(rows, [0, 1, 4])
    assert chance_of(side, cases, None) < 1e-6
    assert chance_of(side, cases, rows) > 0.1
    # By hand: 3 of 4 on one side, 1 of 4 on the other: (16 + 1) / 70.
    few = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    hit = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    assert chance_of(few, hit, None) == pytest.approx(17 / 70)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_has_no_causes(flare, seed):
    body = (
        '[discover]\ncases = [{ policy = "treatment", output = "luck", of = "level", '
        'period = "5", above = 0.6 }]\n'
    )
    folder, page = carried_out(flare, "discover", body, seed=seed)
    assert "idle" not in page
    assert "None of its splits survives there" in page
    none = ("No box of a few limits gathers the failures.",
            "holds no more failures on the other half than chance gives")  # fmt: skip
    assert any(text in page for text in none)
    assert "grown on 128 draws and judged on the other 128" in page
    assert "day 5" in page
    splits = pd.read_csv(folder / "out" / "splits.csv")
    assert len(splits)
    assert not splits.survives.any()
    assert not len(pd.read_csv(folder / "out" / "trees.csv"))


def test_a_cause_survives_on_the_other_half(flare):
    """Treatment lowers the ill by less than 40 % where its effect is below 0.4, a third of all."""
    body = '[discover]\ncases = [{ policy = "treatment", output = "ill people", above = -0.4 }]\n'
    folder, page = carried_out(flare, "discover", body, n=512)
    leaves = pd.read_csv(folder / "out" / "trees.csv")
    # Of 256 draws that judge; the split lies between two draws, one of which it may lose.
    assert leaves.draws.sum() == 256
    assert leaves.density.max() > 0.97
    assert leaves.density.min() < 0.03
    assert leaves.coverage.max() > 0.97
    assert "treatment effect under 0.4" in page
    assert "Its one split survives there" in page
    assert "fails in 100 % of the futures in the box" in page or "99 %" in page
    assert "days 0–39" in page


def test_few_failures_are_said_and_not_explained(flare):
    body = '[discover]\ncases = [{ policy = "treatment", output = "ill people", above = -0.21 }]\n'
    folder, page = carried_out(flare, "discover", body)
    # One draw in sixty.
    found = re.search(r"Only (\d) of the 128 draws held out to judge fails?: too few", page)
    assert found
    assert not len(pd.read_csv(folder / "out" / "splits.csv"))


# -- portfolios --------------------------------------------------------------------------

OPTIMIZE = """
[optimize]
limit = { output = "spending per day", most = 60000 }
portfolios = 16
search_draws = 16
delays = [1, 10]
"""


def test_a_search_in_days(flare):
    """Treatment and isolation each spare a share of the ill: together less than the sum."""
    folder, page = carried_out(flare, "optimize", OPTIMIZE, n=64)
    pairs = pd.read_csv(folder / "interactions.csv")
    own = pairs[pairs.output == "ill people"].iloc[0]
    # Both spare people: a positive interaction is an overlap.
    assert own.kind == "overlap"
    assert own["mean"] > 0
    told = re.search(r"Strongest overlap: treatment and isolation together change ill people by "
                     r"([\d.]+) people less than the sum", page)  # fmt: skip
    assert float(told[1]) == pytest.approx(own["mean"], rel=0.01)  # three digits
    assert "1 day later" in page
    timing = pd.read_csv(folder / "timing.csv").timing
    assert {"1 day later", "10 days later"} <= set(timing)
    assert "days 0–39" in page
    for word in ("year", "effort", "price", "Whose part"):
        assert word not in page, word
    # Money a day, summed over days, is money.
    assert "spending, summed over days 0–39 (USD): mean of the draws" in page
    assert (
        "portfolios are on the front within the limit: no other within the limit is as good in all"
    ) in page
    assert (
        "Aims: ill people (lower), by its mean and its worst tenth of draws; and a lower mean of "
        "spending, which is limited."
    ) in page
    assert "Limit: spending, summed over days 0–39, at most 60k USD by the mean" in page


def test_words_and_figure_order_instruments_alike(flare):
    _, page = carried_out(flare, "optimize", OPTIMIZE, n=64)
    order = re.search(r"Shapley values split this change: (\w+) (\d+) %, (\w+) (\d+) %", page)
    leader = re.search(r"(\w+) accounts for (\d+) ?% of what all instruments", page)
    assert order[1] == "treatment"
    assert int(order[2]) > int(order[4])
    assert leader[1].lower() == order[1]
    assert leader[2] == order[2]


def test_a_total_that_is_not_told_from_zero_has_no_shares():
    """Two instruments whose parts, by hand, are the changes alone: there is no interaction."""
    rng = np.random.default_rng(1)
    one = np.full(64, 30.0)
    for other, shares in (
        (np.full(64, 10.0), [0.75, 0.25, 1.0]),
        # Mean -30.3, standard error 5: the total's interval, about -0.3 +- 10, holds zero.
        (-30.3 + 40 * _standard(rng), [np.nan] * 3),
    ):
        whole = 1000 + np.array([[0 * one, one, other, one + other]])
        output = Output("deaths", "deaths", "sum", "people", "lower", True)
        parts = _parts(whole, SimpleNamespace(names=("a", "b")), [output])
        np.testing.assert_allclose(parts["share"], shares)  # NaN is equal to NaN here
        assert parts["mean"].tolist() == pytest.approx([30, other.mean(), 30 + other.mean()])
        found = SimpleNamespace(first=output, parts=parts)
        text = _attribution(found, lambda value: f"{value:.0f} people")
        said = "Shares are left out: the draws do not tell the total from zero."
        assert (said in text) == np.isnan(shares[0])
        assert ("%" in text) == (not np.isnan(shares[0]))


def _standard(rng) -> np.ndarray:
    """64 numbers of mean 0 and standard deviation 1."""
    x = rng.standard_normal(64)
    return (x - x.mean()) / x.std()


def test_what_is_lost_has_no_share_of_nothing():
    from sdkit.optimize_study import _share

    levels = np.array([[1.0, 100.0]])
    assert _share(2.0, -4.0, levels) == 0.5
    assert np.isnan(_share(2.0, 0.0, levels))
    assert np.isnan(_share(2.0, 1e-12, levels))


# -- where draws come from ---------------------------------------------------------------

SEEN = {
    "run": "runs/first", "question": "How fast?", "until": 20.0,
    "series": [["ill counted", 0.0, 20.0, 21]], "held_out": [["ill guessed", 5.0, 10.0, 2]],
    "warnings": ["The chains agree less than is usual."],
}  # fmt: skip
CASES = {
    "sensitivity": '[sensitivity]\nmethods = ["pawn"]\n',
    "discover": '[discover]\ncases = [{ policy = "treatment", output = "ill people", '
    "above = -0.4 }]\n",
    "optimize": OPTIMIZE,
}


def fitted(project) -> None:
    """A posterior of the decline, as a fit would have written it."""
    from sdkit import read_model

    folder = project / "models" / "flare"
    rows = "\n".join(f"{2.2 + 0.007 * i:.3f}" for i in range(256))
    text = sealed("fitted", {**SEEN, "model": read_model(folder).hash}, f"decline\n{rows}\n")
    (folder / "posterior.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("do", CASES)
def test_a_page_tells_what_its_posterior_has_seen_and_what_its_fit_warns_of(flare, do):
    _, page = carried_out(flare, do, CASES[do])
    assert "No fit has narrowed them" in page
    assert "chains" not in page
    fitted(flare)
    _, page = carried_out(flare, do, CASES[do], source="posterior")
    assert "No fit has narrowed" not in page
    assert (
        "Fitted values come from the posterior of runs/first, which was fitted to ill counted "
        "(days 0–20, 21 observations). The fit did not use ill guessed (days 5–10, 2 observations)."
    ) in page
    # Two effects and three idle constants.
    assert "From their priors come 5 other constants." in page
    assert "The fit warns: The chains agree less than is usual." in page
    assert "draws random numbers" not in page


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("sensitivity", "belongs to no input"),
        ("discover", "hold this noise too"),
        ("compare", "hold this noise too"),
    ],
)
def test_a_page_says_that_its_model_draws_random_numbers(flare, do, said):
    path = flare / "models" / "flare" / "flare.mdl"
    text = path.read_text(encoding="utf-8")
    text = text.replace("MODULO(1e+06*(idle one + idle two + idle three), 1)",
                        "RANDOM UNIFORM(0, 1, 7)")  # fmt: skip
    path.write_text(text, encoding="utf-8")
    _, page = carried_out(flare, do, CASES.get(do, ""), n=64 if do == "compare" else 256)
    assert "The model draws random numbers" in page
    assert said in page


# -- a fit -------------------------------------------------------------------------------

FIT = """
do = "fit"
question = "How fast?"
model = "models/flare"
seed = 7
draws = 64
until = 20
measurements = ["ill counted"]
set = { "treatment effect" = 0.5 }
posterior = true

[effort]
starts = 1
walkers = 8
warm_up = 20
most = 10
r_hat = 1.5
effective = 20

[forecast]
years = 10
measurements = ["ill counted"]
"""


def test_a_fit_in_days_and_what_it_warns_of(flare):
    folder = flare / "runs" / "fit"
    folder.mkdir()
    (folder / "run.toml").write_text(FIT, encoding="utf-8")
    carry_out(folder)
    page = words(folder / "out" / "report.html")
    assert (
        "The fit used observations up to the end of day 20; the forecasts go 10 days further. "
        "Fitted values are drawn from the posterior; from their priors come 4 other constants."
    ) in page
    assert "The fit used ill counted (days 0–20, 21 observations)." in page
    assert "ill guessed (days 5–10, 2 observations)" in page
    assert "Local searches (L-BFGS) from the model's own values:" in page
    assert "1 of 1 search ended at the most probable point." in page
    assert "year" not in page.lower()
    ahead = pd.read_csv(folder / "forecasts.csv")
    assert ahead.days_ahead.tolist() == list(range(1, 11))
    # Nobody was ill on days 29 and 30: no error relative to that.
    assert ahead.error.isna().tolist() == [False] * 8 + [True] * 2
    assert "1 of 1 parameter of the model" in page
    # Two errors of two kinds; no correlation of residuals was fitted.
    assert "median absolute error largest absolute error" in page
    assert "median error (signed)" in page
    assert "Left over: correlation of neighbouring residuals. Theil's" in page
    assert (
        "Orange draws what is outside the fit (constants, switches) from its priors; blue has it "
        "at the model's own values."
    ) in page
    figures = folder / "out" / "figures"
    assert ">Day</text>" in (figures / "series.svg").read_text(encoding="utf-8")
    assert ">Person/Day</text>" in (figures / "profiles.svg").read_text(encoding="utf-8")
    # Logarithms of the past exist: it is above zero to day 20.
    assert ahead["crps of last trend"].notna().all()
    # The bounds of this fit are loose, and its page does not say that ensembles agree.
    assert "The chains agree less than is usual." in page
    assert "Four ensembles agree" not in page
    assert "Held in the fit: treatment effect = 0.5." in page
    _, other = carried_out(flare, "discover", CASES["discover"], source="posterior")
    assert "The fit warns: The chains agree less than is usual." in other
    assert "Held in the fit: treatment effect = 0.5." in other


def test_a_series_with_zeros_has_no_logarithm_to_forecast():
    from sdkit.forecast import naive
    from sdkit.measurement import Measurement
    from sdkit.observations import Series

    time, value = np.arange(6.0), np.array([5.0, 0, 3, 4, 5, 6])
    m = Measurement("m", Series("s", time, value, "x", ()), "v", "point", "normal", 0.1)
    rng = np.random.default_rng(0)
    assert list(naive(m, 4, 10, rng, rng)) == ["last value"]
