"""Tables of a comparison, against numbers by hand."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sdkit import findings, plot, read_model
from sdkit.check import _read_files
from sdkit.claims import claim_results, claims_in_short, untested
from sdkit.compare import (
    Claim,
    holds,
    judge,
    period_years,
    reduced,
    series_table,
    standard_periods,
    summarise,
    yearly,
)
from sdkit.errors import RunError
from sdkit.outputs import Output
from sdkit.parameters import read_parameters
from sdkit.report import write_report

HORIZON = (2026, 2029)


def output(reduction="sum", better="lower", name="deaths", variable="d"):
    return Output(name, variable, reduction, "people", better, True)


def claim(direction="lower", margin=0.1, period="horizon", policy="p1", number=1):
    return Claim("c", "text", policy, "base", "deaths", period, direction, margin, number)


@pytest.fixture
def result():
    """Two policies, two scenarios, four draws; edges of years 2025 to 2030.

    The baseline is 100, 200, 300, 400 by draw in every year; the policy takes away 10 in
    the first scenario and adds 0, 0, 0, 10 in the second.
    """
    times = np.arange(2025.0, 2031.0)
    values = np.zeros((len(times), 2, 2, 4))
    values[:] = np.array([100.0, 200.0, 300.0, 400.0])
    values[:, 0, 1] -= 10.0
    values[:, 1, 1, 3] += 10.0
    values[0] = 1e9  # the first edge belongs to no year
    return xr.Dataset(
        {"d": (("time", "scenario", "policy", "draw"), values)},
        coords={"time": times, "scenario": ["a", "b"], "policy": ["base", "p1"], "draw": range(4)},
    )


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_years_are_named_by_their_first_day(result):
    values = yearly(result, output())
    assert values.year.values.tolist() == [2025, 2026, 2027, 2028, 2029]
    assert values.max() == 410.0


def test_flows_are_summed_levels_averaged_and_stocks_read_at_the_end(result):
    result["d"] = result["d"] * xr.DataArray(np.arange(6.0), dims="time")
    values = yearly(result, output())
    at = {"scenario": 0, "policy": 0, "draw": 0}
    got = {r: reduced(values, output(r), (2026, 2029))[0, 0, 0] for r in ("sum", "mean", "last")}
    assert got == {"sum": 1400.0, "mean": 350.0, "last": 500.0}, at


def test_summary_has_levels_and_paired_differences(result):
    table = summarise(result, [output()], ["2027", "2026-2029"], HORIZON)
    one = row(table, scenario="a", policy="p1", period="2027")
    assert one["median"] == 240.0
    assert one.p5 == pytest.approx(np.quantile([90, 190, 290, 390], 0.05))
    # Paired: -10 in each draw, though the levels spread over hundreds.
    assert (one.diff_median, one.diff_p5, one.diff_p95) == (-10.0, -10.0, -10.0)
    assert one.share_better == 1.0
    assert one.change_median == pytest.approx(-np.median([1 / 10, 1 / 20, 1 / 30, 1 / 40]))
    whole = row(table, scenario="a", policy="p1", period="2026-2029")
    assert whole.diff_median == -40.0
    assert row(table, scenario="b", policy="p1", period="2027").share_better == 0.0


def test_share_better_turns_with_the_better_direction_and_is_missing_for_the_baseline(result):
    table = summarise(result, [output(better="higher")], ["2027"], HORIZON)
    assert row(table, scenario="b", policy="p1").share_better == 0.25
    assert np.isnan(row(table, scenario="b", policy="base").share_better)
    table = summarise(result, [output(better="none")], ["2027"], HORIZON)
    assert table.share_better.isna().all()


def test_what_is_below_a_billionth_of_the_range_is_nothing(result):
    result["d"][:, :, 1] = result["d"][:, :, 0] - 1e-9
    one = row(summarise(result, [output()], ["2027"], HORIZON), scenario="a", policy="p1")
    assert one.diff_median == 0.0
    assert one.share_better == 0.0


@pytest.mark.parametrize(
    ("direction", "policy", "expected"),
    [
        ("lower", [89.0, 90.0, 91.0], [True, False, False]),
        ("higher", [109.0, 110.0, 111.0], [False, False, True]),
        ("unchanged", [89.0, 90.0, 110.0], [False, True, True]),
    ],
)
def test_a_claim_holds_beyond_its_margin(direction, policy, expected):
    got = holds(claim(direction), np.array(policy), np.full(3, 100.0), 0.0)
    assert got.tolist() == expected


def test_claims_are_judged_overall_by_scenario_and_by_switch(result):
    draws = pd.DataFrame({"switch": [0.0, 0.0, 1.0, 1.0]})
    # 10 of 100 and 200 is over 4 %, of 300 and 400 it is not.
    table = judge(result, [claim(margin=0.04)], {"deaths": output()}, HORIZON, draws, ["switch"])
    assert row(table, group="all").share == 0.25
    assert row(table, group="scenario", setting="a").share == 0.5
    assert row(table, group="scenario", setting="b").share == 0.0
    assert row(table, group="switch", setting="0").share == 0.5
    assert row(table, group="switch", setting="1").share == 0.0
    assert row(table, group="switch", setting="1").draws == 4


def test_a_claim_about_what_the_run_leaves_out_is_left_out(result):
    draws = pd.DataFrame(index=range(4))
    claims = [claim(policy="other"), claim(period="2050")]
    assert judge(result, claims, {"deaths": output()}, HORIZON, draws, []).empty


def test_periods():
    assert standard_periods((2026, 2040)) == ["2030", "2035", "2040", "2026-2040"]
    assert period_years("horizon", HORIZON) == HORIZON
    assert period_years("2027-2028", HORIZON) == (2027, 2028)
    for wrong in ("2025", "2028-2027", "soon", "2027-2030"):
        with pytest.raises(ValueError, match=r"."):
            period_years(wrong, HORIZON)


def test_series_have_every_year_of_every_policy(result):
    table = series_table(result, [output()])
    assert len(table) == 2 * 2 * 5
    one = row(table, scenario="b", policy="p1", time=2029)
    assert one["median"] == 250.0
    assert one.p95 == pytest.approx(np.quantile([100, 200, 300, 410], 0.95))


def test_the_years_of_a_run_add_up_to_the_model_s_own_stock(comparison):
    """The sum of yearly means of a flow is what its stock gained: two ways to one number."""
    table = comparison.summary
    flow, stock = (
        comparison.result[name].isel(scenario=0, draw=3).to_pandas()
        for name in ("infection", "Infections to Date")
    )
    gained = stock.loc[2041.0] - stock.loc[2026.0]
    # Trapezoids on RK4 steps of 1/32 year: agreement to 1e-4, not to rounding.
    assert flow.loc[2027.0:2041.0].sum().to_numpy() == pytest.approx(gained.to_numpy(), rel=1e-4)
    assert set(table.period) == {"2030", "2035", "2040", "2026-2040"}


# -- words on policies and claims ------------------------------------------------------------


def test_a_change_from_nothing_is_given_in_its_unit():
    row = SimpleNamespace(
        change=np.nan, low=np.nan, high=np.nan, diff_median=1234.0, diff_p5=0.0, diff_p95=2000.0
    )
    assert findings.changed_by(row, output()) == "+1,230 people"
    row.diff_median = -0.5
    assert findings.changed_by(row, output()) == "−0.5 people"
    row.change = 0.25
    assert findings.changed_by(row, output()) == "+25\u00a0%"


def test_words_where_the_baseline_is_nothing(comparison, tmp_path):
    """Effort that only policies spend: table, figure and its text give the change in its unit."""
    effort = next(o for o in comparison.outputs if o not in findings.ranked(comparison))
    cells = findings.verdicts(comparison, comparison.scenarios[0].name)
    rows = findings.effects(comparison, effort).set_index("policy")
    picture = plot._fan(comparison, effort, tmp_path, "fan")
    for name, row in rows.iterrows():
        said = findings.signed(row.diff_median, effort.unit)
        assert cells[name][effort.name]["change"] == said
        assert f"{name} {said}" in picture.alt
    assert rows.diff_median.max() > 0
    assert "none" not in picture.alt


def test_the_share_of_draws_is_the_same_in_table_and_figure(comparison, tmp_path):
    """A policy that moves nothing has no share, in the table and beside the bars."""
    main, still = comparison.outputs[0], comparison.policies[1].name
    table = comparison.summary.copy()
    mine = (table.policy == still) & (table.output == main.name)
    numbers = [c for c in table if c.startswith(("change_", "diff_")) or c == "share_better"]
    table.loc[mine, numbers] = 0.0
    calm = dataclasses.replace(comparison, summary=table)
    assert findings.verdicts(calm, calm.scenarios[0].name)[still][main.name]["share"] == ""
    alt = plot._tornado(calm, main, tmp_path, "tornado").alt
    assert f"{still} 0\u00a0% (0\u00a0% to 0\u00a0%)" in alt
    assert "better in 0\u00a0%" not in alt
    assert alt.count("better in") == len(comparison.policies) - 2


def test_policies_with_small_medians_are_said_by_their_rule(comparison):
    """Two medians of −0.1 %: the draws of one reach ten per cent on both sides."""
    main = comparison.outputs[0]
    one, other = (policy.name for policy in comparison.policies[1:3])
    table = comparison.summary.copy()
    for name, far in ((one, 0.001), (other, 0.1)):
        mine = (table.policy == name) & (table.output == main.name)
        table.loc[mine, ["change_median", "change_p5", "change_p95"]] = [-0.001, -far, far]
        table.loc[mine, "share_better"] = 0.55
    lines = findings.in_short(dataclasses.replace(comparison, summary=table), main)
    (line,) = (text for text in lines if text.startswith("Policies that move"))
    assert "by less than 1 % at the median, and whose draws do not disagree" in line
    assert f"“{one}”" in line
    assert f"“{other}”" not in line


def judged(comparison, *claims):
    tables = comparison.outputs
    table = judge(
        comparison.result, claims, {o.name: o for o in tables}, comparison.horizon,
        comparison.draws, [],
    )  # fmt: skip
    return dataclasses.replace(comparison, claims=claims, claims_table=table)


def test_claims_are_counted_with_those_that_were_not_tested(comparison):
    names = [policy.name for policy in comparison.policies]
    main, n = comparison.outputs[0].name, 0

    def one(**changes):
        nonlocal n
        n += 1
        values = {"direction": "lower", "margin": 0.0, "period": "2030", "policy": names[1]}
        return Claim(
            id=f"c{n}", claim="It helps.", comparator=names[0], output=main, number=n,
            **(values | changes),
        )  # fmt: skip

    holds, never, later = one(), one(direction="higher", margin=0.5), one(period="2050")
    (line,) = claims_in_short(judged(comparison, holds))
    assert line == "The one claim of the model holds in at least 95 % of draws, over all scenarios."
    said, line = claims_in_short(judged(comparison, holds, never, later))
    assert said == (
        "2 of 3 claims of the model were tested; 1 was not, since its period 2050 lies outside "
        "2026–2040."
    )
    assert line == (
        "Of 2 claims tested, over all scenarios, 1 holds in at least 95 % of draws, 0 in 80 to "
        "95 %, 0 in 20 to 80 %, 0 in 5 to 20 % and 1 in at most 5 %."
    )
    # Nothing at the dose and something at a larger one: the dose is too small, the claim stands.
    weak = one(policy=names[0], stronger=names[1])
    (line,) = claims_in_short(judged(comparison, weak))
    assert "in at most 5 % of draws at the dose tested, and in more at a larger one" in line
    assert [r.verdict for r in claim_results(judged(comparison, weak))] == ["out of reach"]
    hopeless = one(policy=names[0], stronger=names[0])
    assert [r.verdict for r in claim_results(judged(comparison, hopeless))] == ["fails"]
    only = judged(comparison, later)
    assert claims_in_short(only) == [
        "0 of 1 claim of the model were tested; 1 was not, since its period 2050 lies outside "
        "2026–2040."
    ]
    assert [why for _, why in untested(only)] == ["its period 2050 lies outside 2026–2040"]


def test_a_page_says_over_what_its_shares_are_and_what_a_scenario_sets(comparison, tmp_path):
    def page(changed):
        text = write_report(changed, tmp_path, {"sdkit": "0", "seed": 1}).read_text("utf-8")
        return " ".join(re.sub("<[^>]+>", " ", text).replace("\u00a0", " ").split())

    first, *rest = comparison.scenarios
    name = next(p.name for p in comparison.parameters.sampled if p.name in comparison.draws)
    count = sum(p.name in comparison.draws for p in comparison.parameters.sampled)
    sets = dataclasses.replace(first, values={name: 1.0})
    text = page(dataclasses.replace(comparison, scenarios=(sets, *rest)))
    assert "% of draws over all scenarios; median" in text
    figure = (tmp_path / "figures" / "claims.svg").read_text("utf-8")
    assert "Share of draws in which the claim holds, over all scenarios" in figure
    assert f"{count} constants that vary (the scenario “{first.name}” sets 1 of them; " in text


@pytest.mark.parametrize(
    ("period", "refused"),
    [("2040", False), ("2041", True), ("1999-2030", True), ("2030-2050", True), ("horizon", False)],
)
def test_a_check_refuses_a_claim_outside_the_model_s_time(period, refused, project):
    """The teaching model runs from 2000 to 2041, the end of 2040."""
    path = project / "models" / "sir" / "claims.toml"
    text = re.sub('period = "[^"]*"', f'period = "{period}"', path.read_text("utf-8"), count=1)
    path.write_text(text, "utf-8")
    model = read_model(path.parent)
    if not refused:
        assert list(_read_files(model, read_parameters(model)))
        return
    with pytest.raises(RunError) as caught:
        _read_files(model, read_parameters(model))
    assert caught.value.code == "R453"
    assert f"period '{period}' lies outside the model's time, which goes from" in (
        caught.value.message
    )
