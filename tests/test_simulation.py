"""Runs: methods against closed forms, ensembles against plain runs, values that fail."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sdkit import Measure, compile_model, read_model, simulate
from sdkit.errors import ParameterError, SimulationError
from tests.small import FIXTURES, experiment, model, text

LAB = """
start = 3 ~ Thing [0,100] ~ |
lifetime = 4
lever = 0 ~ Dmnl [0,1] ~ |
push = 1 + lever*MAX(0, MIN(1, (Time - 5)/2))
inflow = (2 + SIN(Time))*push
Stock = INTEG(inflow - Stock/lifetime, start) ~ Thing ~ |
pipe = DELAY FIXED(Stock, 1.5, 0)
smoothed = SMOOTH3(Stock, 2)
delayed = DELAY N(inflow, 2, 0.5, 2)
sampled = SAMPLE IF TRUE(MODULO(Time, 2) = 0, Stock, 0)
trend = TREND(Stock, 3, 0)
train = PULSE TRAIN(1, 0.5, 2, 9)*Stock
at first = INITIAL(Stock*2)
Counted = INTEG(train, 0)
"""
OUTPUTS = (
    "Stock", "inflow", "pipe", "smoothed", "delayed", "sampled", "trend", "train", "at first",
    "Counted",
)  # fmt: skip
DRAWS = {"start": np.linspace(1, 9, 70), "lifetime": np.linspace(2, 7, 70)}
POLICIES = {"nothing": {}, "half": {"lever": 0.5}, "all": {"LEVER ": 1.0}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return compile_model(model(tmp_path_factory.mktemp("lab"), LAB), OUTPUTS)


def value(result, name):
    return result[name].to_numpy().ravel()


# -- a single run ---------------------------------------------------------------------------


def test_a_result_has_four_axes_and_units(tmp_path):
    read = model(tmp_path, LAB, start=2, end=6, saveper=0.5)
    result = simulate(read)
    assert result.sizes == {"time": 9, "scenario": 1, "policy": 1, "draw": 1}
    assert list(result.time) == [2 + i / 2 for i in range(9)]
    assert list(result) == list(read.variables)
    assert result["Stock"].dims == ("time", "scenario", "policy", "draw")
    assert result["Stock"].attrs["units"] == "Thing"
    assert result.attrs["method"] == "euler"
    assert result.attrs["time_step"] == 0.125
    assert result.attrs["model_hash"] == read.hash


def test_saved_values_are_those_of_every_step(tmp_path):
    fine, coarse = (simulate(model(tmp_path, LAB, saveper=s)) for s in ("TIME STEP", 1))
    assert np.array_equal(value(fine, "Stock")[::8], value(coarse, "Stock"))


def test_euler_by_hand(tmp_path):
    found = simulate(model(tmp_path, "s = INTEG(2 - s/4, 3)", step=0.5, end=1.5))
    assert list(value(found, "s")) == [3, 3.625, 4.171875, 4.650390625]


def test_rk4_by_hand(tmp_path):
    found = simulate(model(tmp_path, "s = INTEG(-s, 1)", step=0.5, end=0.5, method="rk4"))
    h = 0.5
    assert value(found, "s")[1] == pytest.approx(1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24, rel=1e-15)


CLOSED = {
    "s = INTEG(-s/4, 3)": lambda t: 3 * np.exp(-t / 4),
    "s = INTEG(s*(1 - s/10)*0.8, 1)": lambda t: 10 / (1 + 9 * np.exp(-0.8 * t)),
    "s = INTEG(v, 0)\nv = INTEG(-4*s, 1)": lambda t: np.sin(2 * t) / 2,
    "s = INTEG(Time*COS(Time), 1)": lambda t: np.cos(t) + t * np.sin(t),
}


@pytest.mark.parametrize("equations", CLOSED, ids=["decay", "logistic", "swing", "driven"])
@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4)])
def test_order_of_convergence(tmp_path, equations, method, order):
    errors = []
    for halvings in (6, 7, 8) if method == "euler" else (4, 5, 6):
        found = simulate(model(tmp_path, equations, step=1 / 2**halvings, method=method))
        times = found.time.to_numpy()
        errors.append(np.abs(value(found, "s") - CLOSED[equations](times)).max())
    for coarse, fine in pairwise(errors):
        # Half the step divides the error by 2^order, up to terms of the next order.
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)
    if method == "rk4":
        assert errors[-1] < 1e-6


def test_method_of_the_file_and_its_override(tmp_path):
    equations = "s = INTEG(-s, 1)"
    euler, rk4 = (model(tmp_path, equations, f"{m}.mdl", method=m) for m in ("euler", "rk4"))
    assert np.array_equal(simulate(euler)["s"], simulate(rk4, method="euler")["s"])
    assert np.array_equal(simulate(rk4)["s"], simulate(euler, method="rk4")["s"])
    assert not np.array_equal(simulate(rk4)["s"], simulate(euler)["s"])
    assert simulate(rk4).attrs["method"] == "rk4"


def test_time_step_override(tmp_path):
    equations = "s = INTEG(-s, 1)\nstep = TIME STEP*2"
    coarse = model(tmp_path, equations, "coarse.mdl", saveper=1)
    fine = model(tmp_path, equations, "fine.mdl", step=0.0625, saveper=1)
    halved = simulate(coarse, time_step=0.0625)
    assert np.array_equal(value(halved, "s"), value(simulate(fine), "s"))
    assert set(value(halved, "step")) == {0.125}
    for wrong in (0, -1, math.nan, math.inf, 1e-12):
        with pytest.raises(SimulationError) as caught:
            simulate(coarse, time_step=wrong)
        assert caught.value.code == "S204"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"method": "rk45"}, "S205"),
        ({"engine": "vensim"}, "S207"),
        ({"engine": "pysd", "method": "rk4"}, "S206"),
        ({"engine": "pysd", "time_step": 0.5}, "S207"),
        ({"engine": "pysd", "set": {"nobody": 1}}, "S203"),
    ],
)
def test_wrong_ways_to_run(tmp_path, arguments, code):
    with pytest.raises(SimulationError) as caught:
        simulate(model(tmp_path, LAB), **arguments)
    assert caught.value.code == code


# -- constants set for once -----------------------------------------------------------------


def test_set_changes_a_constant_for_once(tmp_path):
    read = model(tmp_path, LAB)
    changed = simulate(read, set={"LIFETIME": 2.5, "start": 7})
    other = LAB.replace("lifetime = 4", "lifetime = 2.5").replace("start = 3", "start = 7")
    by_hand = model(tmp_path, other)
    assert np.array_equal(changed["Stock"], simulate(by_hand)["Stock"])
    assert set(value(changed, "lifetime")) == {2.5}
    assert set(value(simulate(read), "lifetime")) == {4}
    theirs = simulate(read, set={"LIFETIME": 2.5, "start": 7}, engine="pysd")
    assert np.allclose(changed["Stock"], theirs["Stock"], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("nobody", 1, "P305"),
        ("Stock", 1, "P305"),
        ("inflow", 1, "P305"),
        ("Time", 1, "P305"),
        ("start", -1, "P308"),
        ("start", 101, "P308"),
        ("lifetime", math.nan, "P308"),
        ("lifetime", math.inf, "P308"),
        ("order", 3, "P309"),
    ],
)
def test_values_that_cannot_be_set(tmp_path, name, number, code):
    more = "\norder = 2\nend of time = 10\nother = DELAY N(Stock, 2, 0, order)"
    read = model(tmp_path, LAB + more, end="end of time")
    with pytest.raises(ParameterError) as caught:
        simulate(read, set={name: number})
    assert caught.value.code == code
    assert name in caught.value.message


# -- ensembles ------------------------------------------------------------------------------


def test_lanes_are_single_runs(lab):
    times = [0, 2.5, 10]
    result = simulate(lab, experiment(OUTPUTS, times, POLICIES, DRAWS))
    assert result.sizes == {"time": 3, "scenario": 1, "policy": 3, "draw": 70}
    assert list(result.policy) == list(POLICIES)
    for draw in (0, 37, 69):
        for policy, values in POLICIES.items():
            single = {n: v[draw] for n, v in DRAWS.items()} | values
            plain = simulate(lab, set=single)
            for name in OUTPUTS:
                lane = result[name].sel(policy=policy, draw=draw).to_numpy().ravel()
                # Contraction and reordering: some roundings.
                assert lane == pytest.approx(value(plain, name)[[0, 20, 80]], rel=1e-12), name


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize("branch", [0, 4, 5])
def test_a_branch_changes_no_bit(lab, method, branch):
    times, averaged = np.arange(0, 10.5, 1), ("inflow", "Stock")
    whole = simulate(
        lab, experiment(OUTPUTS, times, POLICIES, DRAWS, averaged=averaged), method=method
    )
    run = experiment(OUTPUTS, times, POLICIES, DRAWS, averaged=averaged, branch=branch)
    steps = []
    branched = simulate(lab, run, method=method, progress=lambda done, total: steps.append(total))
    for name in OUTPUTS:
        assert np.array_equal(whole[name], branched[name]), name
        assert len(np.unique(branched[name].sel(time=10, draw=3))) == (
            1 if name in ("at first", "train") else 3
        ), name
    # The history is run once, not once a policy.
    assert steps[0] == 70 * (branch * 8 + 3 * (80 - branch * 8))


def test_a_policy_that_begins_before_the_branch_has_its_own_history(lab):
    times = np.arange(0, 10.5, 1)
    early = {"nothing": {}, "all": {"lever": 1.0}}
    whole = simulate(lab, experiment(OUTPUTS, times, early, DRAWS))
    branched = simulate(lab, experiment(OUTPUTS, times, early, DRAWS, branch=8))
    for name in OUTPUTS:
        assert np.array_equal(whole[name], branched[name]), name
    assert not np.array_equal(branched["Stock"].sel(time=7, policy="all"),
                              branched["Stock"].sel(time=7, policy="nothing"))  # fmt: skip


def test_threads_change_no_bit(lab):
    run = experiment(OUTPUTS, np.arange(0, 10.5, 0.5), POLICIES, DRAWS, branch=5)
    one, two, five = (simulate(lab, run, threads=n) for n in (1, 2, 5))
    assert one.equals(two)
    assert one.equals(five)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_averages_by_hand(lab, method):
    steps = simulate(lab, experiment(OUTPUTS, np.arange(0, 10.0625, 0.125), draws=DRAWS),
                     method=method)  # fmt: skip
    times = [1.5, 2, 4.25, 4.375, 10]
    run = experiment(OUTPUTS, times, draws=DRAWS, averaged=("Stock", "train"), branch=None)
    found = simulate(lab, run, method=method)
    for name in ("Stock", "train"):
        fine = steps[name].to_numpy()[:, 0, 0, :]
        assert np.array_equal(found[name].isel(time=0).to_numpy()[0, 0], fine[12])
        for i in range(1, len(times)):
            first, last = round(times[i - 1] * 8), round(times[i] * 8)
            piece = fine[first : last + 1]
            mean = (piece.sum(axis=0) - (piece[0] + piece[-1]) / 2) / (last - first)
            got = found[name].isel(time=i).to_numpy()[0, 0]
            # The same numbers, added in another order.
            assert got == pytest.approx(mean, rel=1e-13), (name, times[i])
    assert np.array_equal(found["pipe"], steps["pipe"].sel(time=times))


def test_order_of_values(lab):
    # Default, then draw, then scenario, then policy.
    from sdkit import Experiment, Setting

    base = experiment(OUTPUTS, [0, 10], {"p": {"lever": 1.0}}, {"start": [5.0, 6.0]})
    run = Experiment(
        (Setting("none", {}), Setting("s", {"Start": 8.0, "lever": 0.25})),
        (Setting("none", {}), *base.policies), base.draws, OUTPUTS, base.times,
    )  # fmt: skip
    result = simulate(lab, run)
    first = result["Stock"].isel(time=0)
    assert list(first.sel(scenario="none", policy="p")) == [5, 6]
    assert list(first.sel(scenario="s", policy="p")) == [8, 8]
    last = result["Stock"].isel(time=1, draw=0)
    levers = {("none", "none"): 0, ("none", "p"): 1, ("s", "none"): 0.25, ("s", "p"): 1}
    for (scenario, policy), lever in levers.items():
        start = 8 if scenario == "s" else 5
        plain = value(simulate(lab, set={"start": start, "lever": lever}), "Stock")[-1]
        assert float(last.sel(scenario=scenario, policy=policy)) == pytest.approx(plain, rel=1e-12)


def test_outputs_need_not_be_those_of_the_program(lab):
    result = simulate(lab, experiment(["lifetime", "stock"], [0]))
    assert list(result) == ["lifetime", "Stock"]
    with pytest.raises(SimulationError) as caught:
        simulate(lab, experiment(["nobody"], [0]))
    assert caught.value.code == "S203"


@pytest.mark.parametrize(
    "times", [[], [1, 1], [2, 1], [-1], [0, 10.5], [0.3], [math.nan], [math.inf]]
)
def test_times_that_cannot_be_saved(lab, times):
    with pytest.raises(SimulationError) as caught:
        simulate(lab, experiment(OUTPUTS, times))
    assert caught.value.code == "S204"


def test_a_branch_need_not_be_saved(lab):
    run = experiment(OUTPUTS, [0, 10], POLICIES, DRAWS, averaged=("inflow",))
    whole = simulate(lab, run)
    assert simulate(lab, replace(run, branch=5)).identical(whole)
    with pytest.raises(SimulationError) as caught:
        simulate(lab, replace(run, branch=5.01))
    assert caught.value.code == "S204"


@pytest.mark.parametrize("where", ["draws", "policies"])
def test_names_that_are_no_constants(lab, where):
    run = {
        "draws": experiment(OUTPUTS, [0], draws={"inflow": [1.0]}),
        "policies": experiment(OUTPUTS, [0], {"p": {"nobody": 1.0}}),
    }[where]
    with pytest.raises(ParameterError) as caught:
        simulate(lab, run)
    assert caught.value.code == "P305"


def test_a_draw_cannot_move_what_fixes_the_size(tmp_path):
    program = compile_model(model(tmp_path, "x = DELAY N(Time, 2, 0, order)\norder = 2", end=1))
    with pytest.raises(ParameterError) as caught:
        simulate(program, experiment(["x"], [0], draws={"order": [2.0, 3.0]}))
    assert caught.value.code == "P309"


def test_progress_and_interruption(lab):
    seen = []
    run = experiment(OUTPUTS, [0, 10], POLICIES, DRAWS)
    simulate(lab, run, progress=lambda done, total: seen.append((done, total)))
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert seen[-1] == (3 * 70 * 80, 3 * 70 * 80)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(lab, run, progress=stop)
    assert simulate(lab, run).sizes["draw"] == 70


# -- values that become NaN or infinite -----------------------------------------------------


@pytest.mark.parametrize(
    ("equations", "name", "time"),
    [
        ("bad = 1/(Time - 5)", "bad", 5),
        ("bad = LN(5 - Time)", "bad", 5),
        ("bad = LN(-1 - Time)", "bad", 0),
        ("bad = LOG(5 - Time, 10)", "bad", 5),
        ("bad = SQRT(5 - Time)", "bad", 5.125),
        ("bad = EXP(Time*400)", "bad", 1.875),
        ("bad = (Time - 5)^0.5", "bad", 0),
        ("bad = (5 - Time)^-1", "bad", 5),
        ("bad = 1e200^(Time + 1)", "bad", 0.625),
        ("bad = 1e300*big*1e300\nbig = 1 + Time", "bad", 0),
        ("bad = ARCSIN(Time)", "bad", 1.125),
        ("bad = MIN(1, 1/(Time - 5))", "bad", 5),
        ("bad = MAX(1/(5 - Time), 2)", "bad", 5),
        ("bad = IF THEN ELSE(Time < 5, 1, 1/(5 - Time))", "bad", 5),
        ("good = bad*2\nbad = 1/(5 - Time)\nlast = good", "bad", 5),
        ("Level = INTEG(bad, 0)\nbad = 1/(5 - Time)", "bad", 5),
        ("Level = INTEG(Level*Level, 1e6)", "Level", 0.75),
        ("Level = INTEG(1e308*8, 1e308)", "Level", 0.125),
        ("Level = INTEG(1, 1/nothing)\nnothing = 0", "Level", 0),
        ("bad = 1/nothing\nnothing = 0", "bad", 0),
        ("bad = SMOOTH(Time, nothing)\nnothing = 0", "bad", 0),
        ("bad = DELAY1(Time, nothing)\nnothing = 0", "bad", 0),
        ("bad = TREND(Time, 2, 1/(5-Time))\nother = 1", None, None),
        ("bad = MODULO(1e308*(Time + 9), 1e-3)", "bad", 0),
        ("bad = 0*(1e308*(Time*100 + 1))", "bad", 0.125),
        ("t((0,0),(1,1))\nbad = t(1/(5 - Time))", "bad", 5),
    ],
)
def test_a_single_run_stops(tmp_path, equations, name, time):
    read = model(tmp_path, f"{equations}\nweight = 1")
    if name is None:  # only what is computed counts: TREND reads its third argument once
        assert simulate(read)["bad"].notnull().all()
        return
    with pytest.raises(SimulationError) as caught:
        simulate(read, set={"weight": 2.5})
    assert caught.value.code == "S201"
    assert caught.value.message.startswith(f"{name} at time {time:g}: ")
    assert "weight = 2.5" in caught.value.message


@pytest.mark.parametrize(
    "equation",
    [
        "x = IF THEN ELSE(Time > 5, 1/(Time - 5), 0)",
        "x = IF THEN ELSE(Time < 5 :OR: 1/(Time - 5) > 0 :OR: Time = 5, 1, 2)",
        "x = IF THEN ELSE(Time <> 5 :AND: 1/(Time - 5) > 0, 1, 2)",
        "x = ZIDZ(1, Time - 5)",
        "x = XIDZ(1, Time - 5, LN(Time + 1))",
        "x = MAX(-1e308, 1e306*Time)",
    ],
)
def test_what_is_guarded_does_not_stop(tmp_path, equation):
    if ":AND:" in equation or ":OR:" in equation:
        # Python's and, or stop at the first part that decides, as a modeller hopes.
        equation = equation.replace(":OR: 1/(Time - 5) > 0 :OR: Time = 5", ":OR: Time >= 5")
    assert simulate(model(tmp_path, equation))["x"].notnull().all()


FRAGILE = """
limit = 100
speed = 1
Level = INTEG(speed*Level, 1)
hidden = MIN(5, 1/(limit - Level))
room = LN(limit - Level)
seen = Level*2
grows = EXP(Level - limit)
"""


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    read = model(tmp_path_factory.mktemp("fragile"), FRAGILE, end=4, step=1)
    return compile_model(read, ["Level", "hidden", "room", "seen"])


def test_an_ensemble_finishes_and_lists_its_failures(fragile):
    # Level is 1, 2, 4, 8, 16 for speed 1.
    draws = {"limit": [100.0, 8.0, 100.0, 3.0, 100.0], "speed": [1.0, 1.0, 1e200, 1.0, 0.5]}
    policies = {"as it is": {}, "other": {"limit": 4.0}}
    run = experiment(fragile.outputs, range(5), {"as it is": {}}, draws)
    done = []
    with pytest.raises(SimulationError) as caught:
        simulate(fragile, run, progress=lambda *steps: done.append(steps))
    error = caught.value
    assert error.code == "S202"
    assert error.message.startswith("3 of 5 lanes failed; the first: draw 1, policy 'as it is'")
    assert done[-1] == (5 * 4, 5 * 4), "all lanes are run to their end"
    found = [(f["draw"], f["time"], f["variable"]) for f in error.failures]
    assert found == [(1, 3, "hidden"), (2, 1, "room"), (3, 2, "room")]
    assert [f["parameters"] for f in error.failures] == [
        {"limit": 8.0}, {"speed": 1e200}, {"limit": 3.0},
    ]  # fmt: skip
    assert all(f["scenario"] == "reference" and f["reason"] for f in error.failures)

    # The same in one lane after another.
    for failure in error.failures:
        with pytest.raises(SimulationError) as single:
            simulate(compile_model(fragile.model), set=failure["parameters"])
        head = f"{failure['variable']} at time {failure['time']:g}: {failure['reason']}"
        assert single.value.message.startswith(head)

    # The sound lanes are what they are without the others.
    sound = {n: [v[0], v[4]] for n, v in draws.items()}
    result = simulate(fragile, experiment(fragile.outputs, range(5), None, sound))
    assert list(result["Level"].sel(draw=0).to_numpy().ravel()) == [1, 2, 4, 8, 16]

    # Over a branch too: a lane that fails in the shared history fails under each policy.
    run = experiment(fragile.outputs, range(5), policies, draws, branch=1)
    with pytest.raises(SimulationError) as caught:
        simulate(fragile, run)
    found = {(f["draw"], f["policy"]): (f["time"], f["variable"]) for f in caught.value.failures}
    assert found[2, "as it is"] == (1, "room")
    assert found[1, "as it is"] == (3, "hidden")
    assert found[0, "other"] == (2, "hidden")
    assert (0, "as it is") not in found
    assert (4, "as it is") not in found


def test_a_failure_in_history_fails_under_each_policy(lab):
    draws = {"lifetime": [4.0, 0.0, 5.0]}
    for branch in (None, 5):
        run = experiment(OUTPUTS, [0, 5, 10], POLICIES, draws, branch=branch)
        with pytest.raises(SimulationError) as caught:
            simulate(lab, run)
        failures = caught.value.failures
        assert [(f["draw"], f["policy"], f["time"]) for f in failures] == [
            (1, policy, 0) for policy in POLICIES
        ]
        assert {f["variable"] for f in failures} == {"Stock"}


def test_nan_in_a_kernel_is_caught_by_its_flags(fragile):
    # inf - inf by arithmetic alone, in an output that nothing guards.
    with pytest.raises(SimulationError) as caught:
        simulate(fragile, experiment(["seen"], [0, 4], None, {"speed": [1e308, 1.0]}))
    assert [f["draw"] for f in caught.value.failures] == [0]


def test_missing_values_pass_with_one_warning(tmp_path):
    read = model(
        tmp_path, "x = IF THEN ELSE(Time < 5, :NA:, Time)\ny = x*2\nz = Time\nw = MAX(x, 3)"
    )
    for run in (None, experiment(["x", "y", "z", "w"], np.arange(0, 10.0625, 0.125))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = simulate(read, run)
        assert len(caught) == 1
        assert re.search(r":NA:.* x, y", str(caught[0].message))
        assert np.array_equal(result["x"].isnull().to_numpy().ravel(), result.time < 5)
        assert np.array_equal(value(result, "y")[40:], 2 * np.arange(5, 10.0625, 0.125))
        assert result["z"].notnull().all()


def test_no_warning_without_missing_values(lab):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(lab)
        simulate(lab, experiment(OUTPUTS, [0]))


def test_non_negative_stocks_stay_at_zero():
    fixture = read_model(FIXTURES / "xmile_stocks.xmile")
    for method in ("euler", "rk4"):
        sink = value(simulate(fixture, method=method), "sink")
        assert sink[0] == 2
        assert (sink >= 0).all()
        # Under RK4 each evaluation gives at most what there is, so that a part stays in each step.
        assert sink[-1] == 0 if method == "euler" else 0 < sink[-1] < 1e-12


def test_a_run_of_no_length(tmp_path):
    result = simulate(model(tmp_path, LAB, start=3, end=3))
    assert list(result.time) == [3]
    assert value(result, "Stock") == [3]


def test_nothing_but_controls(tmp_path):
    path = tmp_path / "bare.mdl"
    path.write_text(text("x = 1").replace("x = 1 ~ Dmnl ~ |\n", ""))
    assert set(value(simulate(read_model(path)), "FINAL TIME")) == {10}


def test_a_switch_that_lets_a_lever_act_early_is_noticed(tmp_path):
    """The lever acts before the branch in the draws 6 and 7 only."""
    read = model(
        tmp_path, "stock = INTEG(1 + switch*lever, 0)\nswitch = 0\nlever = 0", end=10, step=1
    )
    asked = experiment(
        ["stock"],
        [0, 5, 10],
        draws={"switch": [0.0] * 6 + [1.0] * 2},
        policies={"base": {}, "p": {"lever": 1.0}},
        branch=5.0,
    )
    end = simulate(read, asked)["stock"].sel(policy="p", time=10)
    assert end.values.ravel().tolist() == [10.0] * 6 + [20.0] * 2


def test_a_failure_is_blamed_on_what_was_computed(tmp_path):
    """A variable that nobody asked for, and that would fail too, is not named."""
    read = model(
        tmp_path,
        "stock = INTEG(1, 0)\nbad = LN(5 - stock)\nresult = bad*2\nunneeded = 1/(stock - stock)",
        end=10,
        step=1,
    )
    with pytest.raises(SimulationError) as caught:
        simulate(read, experiment(["result"], [0, 10]))
    assert caught.value.failures[0]["variable"] == "bad"
    assert caught.value.failures[0]["time"] == 5


def test_averaged_names_an_output(tmp_path):
    read = model(tmp_path, "stock = INTEG(1, 0)\nother = 2")
    with pytest.raises(SimulationError, match="averaged"):
        simulate(read, experiment(["stock"], [0, 10], averaged=["other"]))


def test_a_step_that_saveper_is_no_multiple_of_is_refused(tmp_path):
    read = model(tmp_path, "stock = INTEG(1, 0)", saveper=1)
    with pytest.raises(SimulationError) as caught:
        simulate(read, time_step=0.3)
    assert caught.value.code == "S204"


def test_parts_of_one_equation_do_not_share_a_name(tmp_path):
    """A flow inside an INTEG inside an equation, and the rest of that equation."""
    equations = "b = 3\nx = INTEG(Time^b, 0) + 2/(b + Time)"
    result = simulate(model(tmp_path, equations, end=1, step=1))["x"].values.ravel()
    assert result == pytest.approx([2 / 3, 0.5], rel=1e-12)  # by hand; Euler


def test_a_delay_as_long_as_its_stages_keeps_them(tmp_path):
    """3*0.1 > 0.3 in floating point."""
    short, longer = (
        simulate(model(tmp_path, f"y = DELAY3(STEP(1, 0.5), {time})", end=3, step=0.1, saveper=0.1))
        for time in (0.3, 0.3000001)
    )
    # The two delay times differ by 1e-7; their runs by no more than that times the steps.
    assert np.allclose(short["y"], longer["y"], atol=1e-5)


# -- the kernel says what the plain run says ------------------------------------------------


def both(folder, equations, outputs=("y",), draws=None, **settings):
    """Of each output the values of the ensemble and of the plain run, for the first draw."""
    program = compile_model(model(folder, equations, **settings), outputs)
    times = np.arange(program.initial_time, program.final_time + 1e-9, program.time_step)
    found = simulate(program, experiment(outputs, times, draws=draws))
    first = {name: values[0] for name, values in (draws or {}).items()}
    plain = simulate(program, set=first)
    return [(found[n].to_numpy()[:, 0, 0, 0], plain[n].to_numpy().ravel()) for n in outputs]


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize(
    ("equations", "output"),
    [
        ("k = 0.5\ny = INTEG(k*y*y, 1)", "y"),
        ("k = 0.5\ns = INTEG(k*s*s, 1)\ny = 1 + Time*k", "y"),
        ("k = 1\ns = INTEG(0, 1e200)\ny = s*s*k", "y"),
        ("k = 1\ns = INTEG(0, 1e200)\ny = s*s*k - s*s", "y"),
    ],
)
def test_what_overflows_fails_its_lane(tmp_path, equations, output, method):
    program = compile_model(model(tmp_path, equations, method=method, end=20), [output])
    draws = {"k": [0.0, 1.0, 0.0]}
    for asked in (
        experiment([output], [0, 20], draws=draws),
        experiment([], [], draws=draws, measures=[Measure("m", output, "peak", [(0, 20)])]),
    ):
        with pytest.raises(SimulationError) as caught:
            simulate(program, asked)
        assert caught.value.code == "S202"
        assert {f["draw"] for f in caught.value.failures} >= {1}
        assert "became" in caught.value.failures[-1]["reason"]


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize(
    "equations",
    [
        "x = 0.3\nq = x*Time - 2\ny = INTEGER(q) + IF THEN ELSE(q >= 1, 100, 0)",
        "x = 7\ny = MODULO(x, 0.7)",
        "T = INTEG(1, -5)\ny = IF THEN ELSE(T >= 0, 100, 0) + IF THEN ELSE(T = 0, 5, 1/T)",
        "x = 1\nt((0,0),(11,22))\ny = INTEGER(t(x*7.5)) + INTEGER(t(Time))",
        "x = 49\ns = INTEG(1, 0)\ny = INTEGER(s*49/x) + INTEGER(x/49)",
        "x = 1e-10\ns = INTEG(0, 1e300)\nr = s/x\ny = IF THEN ELSE(r > 5, 1, 0) + MIN(r, 10)",
        "s = INTEG(1, 0)\nt((0,-1e200),(1e-150,1e200),(2,1))\ny = t(s)*1e-200",
    ],
)
def test_thresholds_see_the_same_numbers(tmp_path, equations, method):
    """Not within a tolerance: where a condition or INTEGER looks, the last digit decides."""
    for ours, plain in both(tmp_path, equations, method=method):
        np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize(
    "call", ["COSH(x)", "SINH(x)", "SIN(x*1e306*1e6)", "1/(x - 1000)", "LN(-x)"]
)
def test_a_model_without_stocks_fails_in_the_lanes_that_python_would(tmp_path, call):
    program = compile_model(
        model(tmp_path, f"x = 1\nr = {call}\ny = IF THEN ELSE(r > 5, 1, 0)"), ["y"]
    )
    for draws, lost in (({"x": [1000.0, 1000.0]}, [0, 1]),):
        with pytest.raises(SimulationError) as caught:
            simulate(program, experiment(["y"], [0], draws=draws))
        assert [f["draw"] for f in caught.value.failures] == lost
        assert caught.value.failures[0]["variable"] == "r"


@pytest.mark.parametrize(
    "equations",
    [
        "a = 1\ny = DELAY FIXED(Time + a, a*1e308, 7)",
        "a = 1\ny = DELAY3I(Time, a*1e308*1e10 - a*1e308*1e10, 7)",
    ],
)
def test_a_delay_of_no_length_fails(tmp_path, equations):
    program = compile_model(model(tmp_path, equations), ["y"])
    with pytest.raises(SimulationError) as caught:
        simulate(program, experiment(["y"], [0, 10], draws={"a": [20.0, 20.0]}))
    assert [f["draw"] for f in caught.value.failures] == [0, 1]
    with pytest.raises(SimulationError):
        simulate(program, set={"a": 20.0})


@pytest.mark.parametrize("call", ["MIN(a, :NA:)", "MAX(:NA:, a)", "MIN(:NA:, a)", "MAX(a, :NA:)"])
def test_a_missing_value_is_not_lost_in_min_and_max(tmp_path, call):
    with pytest.warns(UserWarning, match="missing values"):
        ((ours, plain),) = both(tmp_path, f"a = 1\ny = {call}")
    assert np.isnan(ours).all()
    assert np.isnan(plain).all()


def test_the_first_policy_failing_at_the_branch_fails_no_other(tmp_path):
    equations = "lever = 0\na = 0\ny = IF THEN ELSE(Time >= 2, 1/(1 - lever*a), 1)"
    program = compile_model(model(tmp_path, equations), ["y"])
    draws = {"a": [0.0] * 5 + [1.0, 0.0]}
    run = experiment(["y"], [0, 2, 10], {"bad": {"lever": 1}, "fine": {}}, draws)
    for asked in (run, replace(run, branch=2.0)):
        with pytest.raises(SimulationError) as caught:
            simulate(program, asked)
        assert [(f["draw"], f["policy"]) for f in caught.value.failures] == [(5, "bad")]
