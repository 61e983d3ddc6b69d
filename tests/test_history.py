"""Shared history: the bytes of full runs for every draw, whatever a policy does and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sdkit.history
from sdkit import compile_model, read_model, simulate
from sdkit.ensemble import Ensemble
from sdkit.streams import Points
from tests.small import experiment, model, text

MACRO = ":MACRO: TWICE(x)\nTWICE = 2*x ~ Dmnl ~ |\n:END OF MACRO:\n"
# Each lever goes another way; policies set one each.
EQUATIONS = """
dim: a, b, c ~ ~ |
u = 0.5
late = 6
l1 = 0
s1 = INTEG(MAX(0, l1*u - 0.95) - s1/9, 1)
l2 = 0
s2 = INTEG(1 + RAMP(l2, late, 9) - s2/9, 1)
l3 = 0
step of l3 = STEP(l3, late)
s3 = INTEG(1 + step of l3 - s3/9, 1)
l4 = 0
s4 = INTEG(1 + PULSE(late, 2)*l4*u, 1)
l5 = 0
shape((0,0),(5,0),(8,1),(10,2))
s5 = INTEG(1 + TWICE(l5*shape(Time)) - s5/9, 1)
l6 = 0
delayed = DELAY FIXED(u + l6*STEP(1, late), 2, 0)
s6 = INTEG(delayed, 0)
l7 = 0
held = SAMPLE IF TRUE(Time > late, l7, 1)
s7 = INTEG(held, 0)
l8 = 0
s8 = INTEG(IF THEN ELSE(s1 > 1.5, l8*u, 0), 0)
l9 = 0
plan[dim] = dim*IF THEN ELSE(Time > late, l9, 0)
s9[dim] = INTEG(plan[dim] + l9*STEP(dim, late) - s9[dim]/9, dim)
all = SUM(s9[dim!])
l10[dim] = 0, 0, 0
s10[dim] = INTEG(l10[dim]*MAX(0, u - 0.9) + 1, 0)
l11 = 1
s11 = INTEG(1, l11)
l12 = 0
told = STEP(l12, late)*u
signed = l3*MAX(0, Time - late)
l13 = 0
s13 = INTEG(1/(2 - MAX(0, l13*u - 0.95)*40), 0)
l14 = 0
s14 = SMOOTH3I(1 + IF THEN ELSE(Time < late, 0, l14), 2, u)
noise = RANDOM UNIFORM(0, 1, 0)
s15 = INTEG(noise*STEP(l2, late), 0)
"""
POLICIES = {"none": {}} | {
    f"l{i}": {f"l{i}": 1.0} for i in range(1, 15) if i not in (10, 11)
} | {"l10": {"l10[b]": 1.0}, "l11": {"l11": 2.0}, "minus": {"l2": -1.0, "l3": -2.0}}  # fmt: skip
OUTPUTS = (
    *(f"s{i}" for i in range(1, 12)),
    "s13",
    "s14",
    "s15",
    "all",
    "told",
    "signed",
    "step of l3",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    path = tmp_path_factory.mktemp("history") / "small.mdl"
    path.write_text(text(EQUATIONS, step=0.25).replace("{UTF-8}\n", "{UTF-8}\n" + MACRO))
    return compile_model(read_model(path), OUTPUTS)


def draws(n: int = 256) -> dict[str, np.ndarray]:
    """Some of `u` above 0.95, where the first lever leaks; one of `late` before the branch."""
    points = Points(3, ["u"], ["u"]).rows(0, n)[:, 0]
    return {"u": points, "late": np.where(np.arange(n) == 77, 3.0, 6.0)}


def shares(monkeypatch) -> list:
    """What `_shared` says, policy by policy."""
    found, decide = [], Ensemble._shared

    def spy(self, lanes, history):
        found.append(decide(self, lanes, history))
        return found[-1]

    monkeypatch.setattr(Ensemble, "_shared", spy)
    return found


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_history_is_shared_where_it_is_the_same(lab, method, monkeypatch):
    found = shares(monkeypatch)
    own = draws()
    plan = experiment(OUTPUTS, range(11), POLICIES, own, averaged=("s3", "told"), branch=5.0)
    branched = simulate(lab, plan, method=method, seed=1)
    whole = simulate(lab, replace(plan, branch=None), method=method, seed=1)
    for name in OUTPUTS:
        assert branched[name].to_numpy().tobytes() == whole[name].to_numpy().tobytes(), name
    said = dict(zip(POLICIES, found, strict=True))
    usual = own["late"] == 6
    leak = own["u"] > 0.95
    assert leak.sum() == 13
    for name, wanted in {
        "none": np.ones(256, dtype=bool), "l1": ~leak, "l2": usual, "l3": usual, "l4": usual,
        "l5": np.ones(256, dtype=bool), "l6": usual, "l7": np.zeros(256, dtype=bool),
        "l8": np.zeros(256, dtype=bool), "l9": usual, "l10": own["u"] <= 0.9,
        "l11": np.zeros(256, dtype=bool), "l12": usual, "l13": ~leak, "l14": usual, "minus": usual,
    }.items():  # fmt: skip
        assert np.array_equal(said[name], wanted), name


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize("branch", [0.25, 3.0, 3.25, 6.0, 9.75])
def test_any_branch_gives_the_bytes_of_full_runs(lab, method, branch):
    """Where a policy begins at the very branch, and a mean ends there, too."""
    plan = experiment(
        OUTPUTS, sorted({0, 2.5, branch, 10}), POLICIES, draws(64), branch=branch,
        averaged=("s1", "s3", "step of l3", "told"),
    )  # fmt: skip
    branched = simulate(lab, plan, method=method, seed=1)
    whole = simulate(lab, replace(plan, branch=None), method=method, seed=1)
    for name in OUTPUTS:
        assert branched[name].to_numpy().tobytes() == whole[name].to_numpy().tobytes(), name


def test_the_frontier_is_built_once_for_the_same_policies_and_outputs(tmp_path, monkeypatch):
    lines = (
        "l1 = 0\nl2 = 0\nu = 1\ns = INTEG(STEP(l1, 6) + u*STEP(l2, 6) - s/9, 1)\nt = INTEG(s, 0)"
    )
    program = compile_model(model(tmp_path, lines, step=1), ["s", "t"])
    built = []
    compiled = sdkit.history.compile_model
    monkeypatch.setattr(
        sdkit.history, "compile_model", lambda *given: built.append(given) or compiled(*given)
    )
    found = shares(monkeypatch)

    def run(levers, outputs=("s", "t"), **options):
        policies = {"none": {}} | {name: {name: 1.0} for name in levers}
        plan = experiment(outputs, (0, 5, 10), policies, {"u": np.arange(8.0)}, branch=5)
        branched = simulate(program, plan, **options)
        whole = simulate(program, replace(plan, branch=None), **options)
        for name in outputs:
            assert branched[name].to_numpy().tobytes() == whole[name].to_numpy().tobytes()
        return len(built)

    assert run(["l1"]) == 1
    assert run(["l1"]) == 1
    assert run(["l1"], time_step=0.5) == 1  # by other steps, which are not the program's
    assert run(["l1"], set={"FINAL TIME": 12.0}) == 1
    assert run(["l2"]) == 2
    assert run(["l1"], ("s",)) == 3
    assert np.all(found)


def test_the_order_of_draws_changes_no_draw(lab):
    """Eight draws in 256 leak, none of them among the first: they leak in any order."""
    own = draws()
    turned = {name: values[::-1] for name, values in own.items()}
    one, other = (
        simulate(lab, experiment(("s1",), (0, 5, 10), {"none": {}, "l1": {"l1": 1.0}}, d, branch=5))
        for d in (own, turned)
    )
    assert np.array_equal(one["s1"], other["s1"][..., ::-1])
    moved = (one["s1"].sel(policy="l1") != one["s1"].sel(policy="none")).any("time")
    assert np.array_equal(moved.to_numpy().ravel(), own["u"] > 0.95)


def test_a_driver_that_fails_early_fails_in_its_own_draws(tmp_path):
    """A policy whose driver divides by zero before the branch, read by nothing that moves."""
    small = model(tmp_path, "lever = 0\nu = 0\nx = 1/(1 - lever*u*Time/2)\ns = INTEG(1, 0)", step=1)
    plan = experiment(("s",), (0, 5, 10), {"none": {}, "some": {"lever": 1.0}}, {"u": [0, 1, 0.3]})
    from sdkit.errors import SimulationError

    failures = []
    for branch in (None, 5.0):
        with pytest.raises(SimulationError) as caught:
            simulate(small, replace(plan, branch=branch))
        failures.append([(f["draw"], f["policy"], f["time"]) for f in caught.value.failures])
    assert failures == [[(1, "some", 2.0)]] * 2


def test_missing_values_that_are_missing_in_both_are_the_same(tmp_path, monkeypatch):
    small = model(
        tmp_path,
        "lever = 0\nx = IF THEN ELSE(Time < 6, :NA:, lever)\n"
        "s = INTEG(IF THEN ELSE(x = :NA:, 1, x), 0)",
        step=1,
    )
    found = shares(monkeypatch)
    plan = experiment(("s",), (0, 5, 10), {"none": {}, "some": {"lever": 3.0}}, branch=5.0)
    branched = simulate(small, plan)
    assert branched["s"].to_numpy()[:, 0, :, 0].tolist() == [[0, 0], [5, 5], [6, 18]]
    assert [one.tolist() for one in found] == [[True], [True]]


MISSING = "x = IF THEN ELSE(Time < 6 :AND: u + 2*lever {}, :NA:, 1)"


@pytest.mark.parametrize(
    ("missing", "same"),
    [
        ("< 99", [True, True, True]),
        ("= 2", [True, False, True]),  # under the policy only, where u = 0
        ("= 1", [True, False, True]),  # under the first one only, where u = 1
    ],
)
def test_a_part_of_an_equation_that_is_missing(tmp_path, monkeypatch, missing, same):
    """`y` moves with `s`, so `x` is compared as it is, and NaN does not even equal itself."""
    small = model(
        tmp_path,
        f"lever = 0\nu = 0\n{MISSING.format(missing)}\n"
        "y = IF THEN ELSE(s > 100, 0, x)\ns = INTEG(IF THEN ELSE(y = :NA:, 2, y), 0)",
        step=1,
    )
    own = {"u": [3.0, 0.0, 7.0] if missing == "= 2" else [3.0, 1.0, 7.0]}
    plan = experiment(("s",), (0, 5, 10), {"none": {}, "some": {"lever": 1.0}}, own, branch=5.0)
    found = shares(monkeypatch)
    branched = simulate(small, plan)
    assert [one.tolist() for one in found] == [[True] * 3, same]
    whole = simulate(small, replace(plan, branch=None))
    assert branched["s"].to_numpy().tobytes() == whole["s"].to_numpy().tobytes()


@pytest.mark.parametrize(("output", "told"), [("gaps", False), ("fixed", True)])
def test_an_output_without_some_elements(tmp_path, monkeypatch, output, told):
    """An absent element cannot be compared, which matters where the policies reach the output."""
    small = model(
        tmp_path,
        "dim: a, b ~ ~ |\nlever = 0\ngaps[a] = STEP(lever, 6)\nfixed[a] = Time\n"
        "s = INTEG(STEP(lever, 6), 0)",
        step=1,
    )
    plan = experiment((output, "s"), (0, 5, 10), {"none": {}, "some": {"lever": 3.0}}, branch=5.0)
    found = shares(monkeypatch)
    branched = simulate(small, plan)
    assert [one is not None for one in found] == [True, told]
    whole = simulate(small, replace(plan, branch=None))
    assert branched[output].to_numpy().tobytes() == whole[output].to_numpy().tobytes()


def test_an_output_that_is_the_lever_is_no_shared_history(tmp_path):
    small = model(tmp_path, "lever = 0\nmany = 2*lever\ns = INTEG(1, 0)", step=1)
    plan = experiment(("many", "s"), (0, 5, 10), {"none": {}, "some": {"lever": 3.0}}, branch=5.0)
    assert simulate(small, plan)["many"].to_numpy()[:, 0, :, 0].tolist() == [[0, 6]] * 3


@pytest.mark.parametrize("taken", ["differs from the first policy", "lever (first policy)"])
def test_a_model_with_a_name_of_the_frontier_shares_nothing(tmp_path, monkeypatch, taken):
    small = model(
        tmp_path, f'lever = 0\n"{taken}" = 1\ns = INTEG(STEP(lever, 6)*"{taken}", 0)', step=1
    )
    plan = experiment(("s",), (0, 5, 10), {"none": {}, "some": {"lever": 3.0}}, branch=5.0)
    found = shares(monkeypatch)
    branched = simulate(small, plan)
    whole = simulate(small, replace(plan, branch=None))
    assert found[1] is None
    assert branched["s"].to_numpy().tobytes() == whole["s"].to_numpy().tobytes()
