"""The answer under each setting of each switch, against numbers by hand."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sdkit import heatmap, rivals
from sdkit.claims import claim_results
from sdkit.compare import Claim, judge, summarise, whole
from sdkit.experiment import Setting
from sdkit.outputs import Output
from sdkit.parameters import Parameter, Parameters
from sdkit.rivals import Rivals
from sdkit.switches import by_switch, main_outputs, meaning, median_interval, settings, tracked
from sdkit.time_units import YEAR

HORIZON = (2026, 2029)
DEATHS = Output("deaths", "d", "sum", "people", "lower", True)
S = Parameter(
    "s", "structural", 0, (0, 1), "Dmnl", 0, 1, "choice", (0.5, 0.5), note="0 it helps; 1 it hurts"
)
T = Parameter("t", "structural", 0, (0, 2), "Dmnl", 0, 2, "choice", (0.5, 0.5, 0.0))


def results(*effects) -> xr.Dataset:
    """Two scenarios, a baseline of 100 times 1, 2, 3 ... by draw, and a policy an effect:
    its relative change by draw in the first scenario; in the second it does nothing."""
    base = 100.0 * np.arange(1, len(effects[0]) + 1)
    times = np.arange(2025.0, 2031.0)
    values = np.tile(base, (len(times), 2, 1 + len(effects), 1))
    for number, effect in enumerate(effects, 1):
        values[:, 0, number] *= 1 + np.asarray(effect)
    names = ["base", *(f"p{n}" for n in range(1, 1 + len(effects)))]
    return xr.Dataset(
        {"d": (("time", "scenario", "policy", "draw"), values)},
        coords={"time": times, "scenario": ["a", "b"], "policy": names},
    )


def comparison(draws: pd.DataFrame, *effects):
    """As much of a comparison as the words and the figure look at."""
    result = results(*effects)
    switches = [p for p in (S, T) if p.name in draws]
    return SimpleNamespace(
        result=result,
        outputs=(DEATHS,),
        main=(DEATHS,),
        scenarios=(Setting("a"), Setting("b")),
        policies=tuple(Setting(str(name)) for name in result.policy.values),
        horizon=HORIZON,
        draws=draws,
        parameters=Parameters((S, T)),
        summary=summarise(result, [DEATHS], [whole(HORIZON)], HORIZON),
        switches=by_switch(result, [DEATHS], HORIZON, draws, switches),
        time=YEAR,
    )


@pytest.fixture
def turning():
    """64 draws: p1 lowers by 10 % under s = 0 and raises by 6 % under s = 1, p2 lowers by 5 %;
    t has a setting that no draw has and moves nothing."""
    s, t = np.arange(64) % 2, np.arange(64) // 32
    jitter = np.linspace(-0.004, 0.004, 64)
    draws = pd.DataFrame({"s": s.astype(float), "t": t.astype(float)})
    return comparison(draws, np.where(s, 0.06, -0.1) + jitter, np.full(64, -0.05))


def test_the_table_by_hand():
    draws = pd.DataFrame({"s": [0.0, 0.0, 0.0, 1.0]})
    result = results([-0.1, -0.2, 0.3, 0.0])
    table = by_switch(result, [DEATHS], HORIZON, draws, [S]).set_index(
        ["scenario", "switch", "setting"]
    )
    assert list(table.index) == [
        (scenario, *group) for scenario in "ab" for group in (("all", ""), ("s", "0"), ("s", "1"))
    ]
    assert set(table.policy) == {"p1"}
    one = table.loc[("a", "s", "0")]
    assert one.draws == 3
    assert one.change_median == pytest.approx(-0.1)
    # Between the points of rank 0 and 1, 1 and 2 of (-0.2, -0.1, 0.3).
    assert one.change_p5 == pytest.approx(-0.19)
    assert one.change_p95 == pytest.approx(0.26)
    assert one.share_better == pytest.approx(2 / 3)
    assert table.loc[("a", "all", "")].change_median == pytest.approx(-0.05)
    assert table.loc[("a", "s", "1")].share_better == 0.0
    assert table.loc[("b", "s", "0")].change_median == 0.0
    assert set(table.note) == {"fewer than 16 draws"}


def test_all_draws_are_those_of_the_summary(turning):
    rows = turning.switches[turning.switches.switch == "all"].set_index(["scenario", "policy"])
    table = turning.summary.set_index(["scenario", "policy"]).loc[rows.index]
    for name in ("change_median", "change_p5", "change_p95", "share_better"):
        np.testing.assert_array_equal(rows[name], table[name])


def test_a_setting_that_no_draw_has_keeps_its_row(turning):
    rows = turning.switches[(turning.switches.switch == "t") & (turning.switches.setting == "2")]
    assert set(rows.note) == {"no draw"}
    assert rows.change_median.isna().all()


def test_the_interval_of_a_median_holds_it_in_99_of_100_samples():
    assert median_interval(np.arange(32.0)).tolist() == [7.0, 24.0]
    assert median_interval(np.array([3.0])).tolist() == [3.0, 3.0]
    samples = np.random.default_rng(1).exponential(size=(4000, 40))
    low, high = median_interval(samples)
    held = ((low <= np.log(2)) & (np.log(2) <= high)).mean()
    # The ranks are rounded outward; the error of 4,000 samples is 0.002.
    assert 0.985 < held <= 1


def test_meanings_come_from_the_note():
    assert settings(T) == (0.0, 1.0, 2.0)
    assert [meaning(S, s) for s in settings(S)] == ["it helps", "it hurts"]
    assert meaning(T, 1.0) == "setting 1"


def test_a_sign_that_turns_is_said_with_the_words_of_the_note(turning):
    (line,) = Rivals(turning, DEATHS).signs
    assert line.replace("\u00a0", " ") == (
        "Whether “p1” lowers or raises deaths depends on the switch “s”: "
        "under “it helps” −10 %; under “it hurts” +6.0 %."
    )
    (entry,) = rivals.main_rivals(turning)
    assert entry.signs == [line]
    assert entry.lead[0] == line
    assert "the sign of 1 policy depends on “s”" in Rivals(turning, DEATHS).finding


def test_a_policy_that_overtakes_the_best_is_said(turning):
    text = Rivals(turning, DEATHS).ranking.replace("\u00a0", " ")
    assert text.startswith("“p2” has the best median effect on deaths over all, and under 3 of 4")
    assert "overtaken by “p1” under “it helps” (“s”: by 5.0 points at the median, in 100 %" in text
    assert Rivals(turning, DEATHS).finding.endswith("the best policy changes too")


def test_what_chance_explains_moves_nothing():
    """Two settings whose medians differ by two points in 64 draws that spread over forty."""
    rng = np.random.default_rng(3)
    s = np.arange(64.0) % 2
    noise = rng.permutation(np.linspace(-0.4, 0.0, 64)) + 0.02 * s
    c = comparison(pd.DataFrame({"s": s}), noise)
    (shift,) = Rivals(c, DEATHS).shifts
    assert not shift.moved
    assert Rivals(c, DEATHS).moves == []
    assert (
        "“p1” has the best median effect on deaths under every setting."
        in Rivals(c, DEATHS).ranking
    )
    assert Rivals(c, DEATHS).widest.startswith("No switch moves the effect of any policy")


def test_few_draws_are_said(tmp_path):
    draws = pd.DataFrame({"s": np.arange(8.0) % 2})
    c = comparison(draws, np.where(draws.s, 0.06, -0.1))
    (entry,) = rivals.main_rivals(c)
    assert entry.signs == []
    assert entry.lead == [Rivals(c, DEATHS).widest]
    assert "too few draws" in entry.lead[0]
    (row,) = rivals.weights([entry])
    (picture,) = heatmap.write_heatmaps([entry], tmp_path)["deaths"]
    assert row["cells"] == [("too few draws", "")]
    assert "(−10)" in (tmp_path / f"{picture.stem}.svg").read_text(encoding="utf-8")


def test_weights_and_draws_of_each_setting(turning):
    s, t = rivals.weights(rivals.main_rivals(turning))
    assert s["settings"] == [("0", "it helps", 0.5, 32), ("1", "it hurts", 0.5, 32)]
    assert s["cells"] == [("16 points", "p1")]
    assert [row[3] for row in t["settings"]] == [32, 32, 0]


def test_the_figure_says_in_words_what_its_cells_hold(turning, tmp_path):
    (picture,) = heatmap.write_heatmaps(rivals.main_rivals(turning), tmp_path)["deaths"]
    alt = picture.alt.replace("\u00a0", " ")
    assert "it hurts (50 %): p2 −5.0 %, p1 +6.0 %." in alt
    assert alt.index("All 64 draws") < alt.index("it helps")


def test_many_policies_go_into_several_figures(tmp_path):
    draws = pd.DataFrame({"s": np.arange(32.0) % 2})
    effects = [np.where(draws.s, -0.1, -0.2) - 0.01 * n for n in range(20)]
    pictures = heatmap.write_heatmaps([Rivals(comparison(draws, *effects), DEATHS)], tmp_path)[
        "deaths"
    ]
    assert [p.stem for p in pictures] == ["switches-1-1-deaths", "switches-1-2-deaths"]
    assert "(2 of 2)" in pictures[1].title


@pytest.mark.parametrize("draws", [pd.DataFrame(index=range(1)), pd.DataFrame({"s": [1.0]})])
def test_without_two_settings_to_compare_there_is_no_section(draws):
    """No switch at all, as with draws from defaults, or one draw of one."""
    c = comparison(draws, np.array([-0.1]))
    assert rivals.main_rivals(c) == rivals.others(c) == rivals.weights([]) == []


def test_the_tracked_part_is_the_first_scenario_of_as_many_outputs_as_fit(turning):
    main = [DEATHS, dataclasses.replace(DEATHS, name="more")]
    table = turning.switches
    both = pd.concat([table, table.assign(output="more")])
    kept = tracked(both, main)
    first = both[both.scenario == "a"].drop(columns="scenario").reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, first)
    assert list(dict.fromkeys(kept.output)) == ["deaths", "more"]
    large = pd.concat([both] * 100)
    assert set(tracked(large, main).output) == {"deaths"}
    assert tracked(table.iloc[:0], main).empty


def test_main_outputs_have_a_direction_and_effects_of_their_own():
    outputs = [dataclasses.replace(DEATHS, name=name) for name in ("deaths", "to date", "third")]
    outputs.insert(1, dataclasses.replace(DEATHS, name="price", better="none"))
    one = summarise(results([-0.1]), outputs, [whole(HORIZON)], HORIZON)
    one.loc[one.output == "third", "change_median"] += 0.01
    found = main_outputs(outputs, one, whole(HORIZON))
    assert [output.name for output in found] == ["deaths", "third"]


def test_too_few_draws_say_nothing_of_a_switch(tmp_path):
    """Eight draws a setting, whose medians differ by 16 points: nothing is denied of them."""
    s = np.arange(16.0) % 2
    c = comparison(pd.DataFrame({"s": s}), np.where(s, 0.06, -0.1))
    entry = Rivals(c, DEATHS)
    assert entry.finding == "Deaths: too few draws to say what the settings of a switch do"
    (picture,) = heatmap.write_heatmaps([entry], tmp_path)["deaths"]
    assert picture.title == entry.finding
    c.main = ()
    assert rivals.others(c) == [f"{entry.finding}."]


def test_what_is_denied_of_switches_has_its_reserve(turning, tmp_path, monkeypatch):
    """`t` has two settings with 32 draws and moves nothing; `s` has them, or four draws in one."""
    calm = np.linspace(-0.051, -0.049, 64)
    entry = Rivals(comparison(turning.draws, calm), DEATHS)
    assert entry.finding == (
        "Deaths: no switch moves a policy’s effect by a point or more, beyond what chance explains"
    )
    assert entry.widest.endswith("by a point or more, beyond what chance explains.")
    few = turning.draws.assign(s=(np.arange(64) < 4).astype(float))
    entry = Rivals(comparison(few, calm), DEATHS)
    assert entry.untold == ["s"]
    assert "no switch with 16 draws in two settings moves" in entry.finding
    assert entry.ranking.endswith("under every setting with 16 draws or more.")
    # The figure leaves both out, each for its own reason.
    monkeypatch.setattr(heatmap, "_FEWEST", 0)
    (picture,) = heatmap.write_heatmaps([entry], tmp_path)["deaths"]
    svg = (tmp_path / f"{picture.stem}.svg").read_text(encoding="utf-8")
    text = " ".join(re.sub("<[^>]+>", " ", svg).split())
    assert "as they move no policy by a point or more, beyond what chance explains: t." in text
    assert "as there are too few draws to say what they do: s." in text


@pytest.mark.parametrize(("each", "turns"), [(15, []), (16, ["s"])])
def test_a_claim_hangs_on_no_setting_with_few_draws(each, turns, tmp_path):
    """All draws of one setting bear the claim out, none of the other's."""
    s = np.arange(2.0 * each) % 2
    draws = pd.DataFrame({"s": s})
    one = Claim("c", "It helps.", "p1", "base", "deaths", "horizon", "lower", 0.01, 1)
    c = comparison(draws, np.where(s, 0.06, -0.1))
    table = judge(c.result.sel(scenario=["a"]), [one], {"deaths": DEATHS}, HORIZON, draws, ["s"])
    (found,) = claim_results(SimpleNamespace(claims=(one,), claims_table=table))
    assert (found.share, found.turns, list(found.telling)) == (0.5, turns, turns)
