"""What the pages of studies say, on a model that counts time in days (tests/cases/flare).

Its baseline reaches zero in some draws after day 25, its outcome "luck" hangs on no input, and its
two instruments overlap.
"""

from __future__ import annotations

import html
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from sdkit.discover import chance_of
from sdkit.outputs import Output
from sdkit.results import carry_out
from sdkit.sensitivity import left_out, quantities, settle
from sdkit.time_units import TimeUnit
from sdkit.tree import grow, judge

HEAD = """
do = "{do}"
question = "What of it?"
model = "models/flare"
seed = {seed}
draws = {{ from = "priors", n = {n} }}
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


def carried_out(project, do: str, body: str, n: int = 256, seed: int = 1):
    """The run's folder and the words of its page."""
    folder = project / "runs" / do
    folder.mkdir(exist_ok=True)
    (folder / "run.toml").write_text(HEAD.format(do=do, n=n, seed=seed) + body, encoding="utf-8")
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
    assert "No box of a few limits gathers the failures" in page
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
    assert "Limit: spending, summed over days 0–39, at most 60k USD by the mean" in page


def test_words_and_figure_order_instruments_alike(flare):
    _, page = carried_out(flare, "optimize", OPTIMIZE, n=64)
    order = re.search(r"each contributes of that: (\w+) (\d+) %, (\w+) (\d+) %", page)
    leader = re.search(r"(\w+) accounts for (\d+) ?% of what all instruments", page)
    assert order[1] == "treatment"
    assert int(order[2]) > int(order[4])
    assert leader[1].lower() == order[1]
    assert leader[2] == order[2]


def test_what_is_lost_has_no_share_of_nothing():
    from sdkit.optimize_study import _share

    levels = np.array([[1.0, 100.0]])
    assert _share(2.0, -4.0, levels) == 0.5
    assert np.isnan(_share(2.0, 0.0, levels))
    assert np.isnan(_share(2.0, 1e-12, levels))
