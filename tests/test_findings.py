"""Words made from numbers."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from sdkit import claims, findings
from sdkit.experiment import Setting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.2, "−20 %"),
        (0.034, "+3.4 %"),
        (-0.0001, "0 %"),
        (1.5, "+150 %"),
        (np.nan, "–"),
    ],
)
def test_percent(value, text):
    assert findings.percent(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(1, "100 %"), (0.998, "> 99 %"), (0.002, "< 1 %"), (0, "0 %")]
)
def test_all_and_none_are_said_only_where_they_are_meant(value, text):
    assert findings.share(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1370000, "1.37 million"),
        (84567, "84,600"),
        (3.14159, "3.14"),
        (0, "0"),
        (2.5e-7, "2.5e-07"),
    ],
)
def test_short(value, text):
    assert findings.short(value) == text


@pytest.mark.parametrize(
    ("change", "share", "spread", "word"),
    [
        (-0.2, 0.99, 0.3, "better"),
        (-0.2, 0.85, 0.3, "likely better"),
        (-0.2, 0.5, 0.3, "open"),
        (0.2, 0.15, 0.3, "likely worse"),
        (0.2, 0.05, 0.3, "worse"),
        (-0.009, 1.0, 0.02, "hardly"),
        (-0.009, 0.99, 0.3, "hardly"),
        (-0.009, 0.5, 0.02, "hardly"),
        (-0.009, 0.5, 0.3, "open"),
        (np.nan, 1.0, 0.1, "open"),
    ],
)
def test_verdicts(change, share, spread, word):
    row = SimpleNamespace(change=change, share_better=share, low=-spread, high=spread)
    assert findings.verdict(row) == word


def policies(**levers):
    return [Setting(name, dict.fromkeys(parts, 1.0)) for name, parts in levers.items()]


def test_parts_are_the_most_policies_that_make_up_the_whole():
    all_, *others = policies(all="abcd", ab="ab", cd="cd", a="a", b="b", abc="abc", x="x")
    assert {p.name for p in findings.parts_of(all_, others)} == {"a", "b", "cd"}


def test_of_equal_numbers_of_parts_the_most_even():
    all_, *others = policies(all="abcd", abc="abc", d="d", ab="ab", cd="cd")
    assert {p.name for p in findings.parts_of(all_, others)} == {"ab", "cd"}


def test_a_policy_with_another_strength_is_no_part():
    whole = Setting("whole", {"a": 1.0, "b": 1.0})
    others = [Setting("a", {"a": 0.5}), Setting("b", {"b": 1.0})]
    assert findings.parts_of(whole, others) == ()


def test_the_whole_is_compared_with_the_sum_within_each_draw(comparison):
    output = comparison.outputs[0]
    (whole,) = findings.wholes(comparison, output)
    values = (
        comparison.result["infection"].isel(scenario=0).sel(time=slice(2027, 2041)).mean("time")
    )
    change = (values - values.isel(policy=0)) / values.isel(policy=0)
    total = change.sel(policy="vaccination") + change.sel(policy="contact reduction")
    both = change.sel(policy="both")
    assert whole.whole == pytest.approx(float(both.median()))
    assert whole.total == pytest.approx(float(total.median()))
    assert whole.share_less == pytest.approx(float((both > total).mean()))


def test_single_policies_have_no_parts(comparison):
    assert [p.name for p in findings.single(comparison)] == ["vaccination", "contact reduction"]


def test_what_only_policies_spend_is_not_judged(comparison):
    names = [output.name for output in findings.ranked(comparison)]
    assert names == ["infections per year", "people infected", "infections to date"]


def test_every_policy_stands_in_the_answer_once(comparison):
    text = " ".join(words for _, words in findings.answer(comparison, comparison.outputs[0]))
    for policy in comparison.policies[1:]:
        assert text.count(f"{policy.name} (") == 1


def test_claims_that_hang_on_a_switch_are_named(comparison):
    result = claims.claim_results(comparison)[0]
    assert result.verdict == "holds"
    turned = claims.ClaimResult(
        result.claim, 0.5, {}, {"s": {"0": 0.1, "1": 0.9}, "t": {"0": 0.5, "1": 0.5}}, 1.0
    )
    assert turned.turns == ["s"]
    # What few draws explain hangs on nothing.
    few = dataclasses.replace(turned, chance={"s": 0.9})
    assert (few.turns, few.telling) == ([], {})
    assert turned.verdict == "open"
