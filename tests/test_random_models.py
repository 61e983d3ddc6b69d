"""Random small models: the compiled ensemble, the plain run and PySD give the same numbers.

Hypothesis draws each model. Three engines are held beside each other: an ensemble (all lanes
compiled), the single run of the same program, and PySD's own run (Euler only).

What is avoided, since PySD is not followed there (docs/design.md): whole numbers that a
smooth or a delay starts from (all are given with decimals), :AND: beside :OR: without
parentheses, pulses shorter than a step or off its grid, and divisions that may be by zero.
What is avoided, since rounding alone decides it: comparisons and INTEGER at values that come
out even (thresholds and factors are odd decimals; times lie on the grid, which is exact).
"""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sdkit import Error, Experiment, Setting, compile_model, no_draws, read_model, simulate
from tests.small import experiment, text

# Deterministic: the same models on every machine. A failure is shown as drawn, since each
# step of shrinking would compile one more model.
RANDOM = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
STEP, END = 0.125, 5
GRID = np.arange(0, END + STEP / 2, STEP)  # exact in binary

# {a} to {c} are expressions, {p} and {q} conditions, {k} an odd number, {t} and {u} times on
# the grid with {t} < {u}, {n} a table's number. Each keeps a bounded value bounded.
FORMS = (
    "{a} + {b}", "{a} - {b}", "0.31*{a}*{b}", "-({a})", "{a} - {k}*{b} + {c}",
    "{a}/(1.7 + ABS({b}))", "MIN({a}, {b})", "MAX({a}, {b})", "ABS({a} - {b})",
    "EXP(MIN({a}, 2.3))", "EXP(-ABS({a}))", "LN(1.3 + ABS({a}))", "LOG(1.3 + ABS({a}), 2.7)",
    "SQRT(0.2 + ABS({a}))", "(0.4 + MIN(ABS({a}), 9.1))^1.7", "0.31*{a}^2",
    "(0.4 + MIN(ABS({a}), 9.1))^MAX(-2.1, MIN({b}, 2.1))", "-(0.4 + MIN(ABS({a}), 9.1))^3",
    "ZIDZ({a}, INTEGER({b}))", "XIDZ({a}, INTEGER({b}), {c})", "MODULO({a}, 1.9)",
    "INTEGER(3.7*{a} + 0.13)", "QUANTUM({a}, 0.7)", "IF THEN ELSE({p}, {a}, {b})",
    "IF THEN ELSE({p} :AND: {q}, {a}, {b})", "IF THEN ELSE({p} :OR: {q}, {a}, {b})",
    "IF THEN ELSE(:NOT: {p}, {a}, {b})", "SIN({a})", "COS({a})", "TANH({a})", "ARCTAN({a})",
    "STEP({k}, {t})", "RAMP({k}, {t}, {u})", "{a}*PULSE({t}, 0.5)", "PULSE({t}, 1.375)*{b}",
    "PULSE TRAIN({t}, 0.25, 0.75, {u})", "table {n}({a})",
    "WITH LOOKUP({a}, ((-3.1,{k}),(0.2,1.1),(2.9,-{k}),(7.7,0.3)))",
)  # fmt: skip
# One at most in a variable, outermost. What a state starts from has decimals.
STATES = (
    "SMOOTH(1.03*({a}) + 0.017, {tau})", "SMOOTHI({a}, {tau}, {k})", "SMOOTH3I({a}, {tau}, {k})",
    "SMOOTH3(1.03*({a}) + 0.017, {tau})", "SMOOTH N({a}, {tau}, {k}, 2)",
    "DELAY1(1.03*({a}) + 0.017, {tau})", "DELAY1I({a}, {tau}, {k})", "DELAY3I({a}, {tau}, {k})",
    "DELAY3(1.03*({a}) + 0.017, {tau})", "DELAY N({a}, {tau}, {k}, 4)",
    "DELAY FIXED({a}, 0.75, {k})", "SAMPLE IF TRUE({p}, {a}, {k})", "INITIAL(1.03*({a}) + 0.017)",
    "TREND(1.3 + ABS({a}), {tau}, 0.11)",
)  # fmt: skip
CONDITIONS = (
    "({a} > {k})", "({a} < {k})", "({a} >= {k})", "({a} <= -{k})", "(INTEGER({a}) = 1)",
    "(INTEGER({a}) <> 0)", "(Time >= {t})", "(Time < {u})", "({a} > {b} + {k})",
)  # fmt: skip
# Values that leave what is defined, in some lanes or in all.
WILD = (
    "{a}/({b} - {k})", "LN({a} + {k})", "SQRT({a} - {b})", "EXP({a}*{b}*{c})", "({a})^0.7",
    "(20*{a})^(10*{b})", "{a}/INTEGER({b})", "EXP(EXP(ABS({a})))",
    "IF THEN ELSE({p}, LN({a}), {b})", "MIN({a}, LN({b}))",
)  # fmt: skip
EDGES = (
    "LN({c} - {k})", "SQRT({c} - {k})", "({c} - {k})^0.31", "1/MAX(0*Time, {c} - {k})",
    "SQRT({c} - {k}*Time/3.1)", "EXP(1000*({c} - {k})*Time)", "1/ZIDZ(1, INTEGER({c}/{k}))",
)  # fmt: skip


@st.composite
def expressions(draw, names, forms=FORMS, depth=2) -> str:
    """An expression over these names and Time."""
    if depth == 0:
        return draw(st.one_of(st.sampled_from(names), st.just("Time"), odd_numbers()))
    inner = expressions(names, depth=depth - 1)
    return fill(draw, draw(st.sampled_from(forms)), inner, names)


@st.composite
def odd_numbers(draw) -> str:
    return f"{draw(st.integers(1, 300)) * 0.0137 + 0.00041:.5f}"


def fill(draw, form: str, inner, names) -> str:
    t = draw(st.integers(0, 24))
    parts = {
        "t": str(t * STEP),
        "u": str((t + draw(st.integers(1, 16))) * STEP),
        "n": str(draw(st.integers(1, 2))),
        "k": draw(odd_numbers()),
        # Longer than the highest order times the step.
        "tau": draw(st.sampled_from(["tau", "1.37", "(tau + 0.21)"])),
    }
    for letter in "abc":
        if f"{{{letter}}}" in form:
            parts[letter] = f"({draw(inner)})"
    for letter in "pq":
        if f"{{{letter}}}" in form:
            condition = draw(st.sampled_from(CONDITIONS))
            parts[letter] = fill(draw, condition, st.sampled_from(names), names)
    return form.format(**parts)


def spelt(draw, name: str) -> str:
    """One name in another of its spellings."""
    return draw(st.sampled_from([name, name.replace(" ", "_"), name.upper(), name.title()]))


@st.composite
def models(draw, wild=False) -> str:
    """The equations of a model: four constants, tables, three stocks, eight more variables."""
    constants = [f"constant {i}" for i in range(1, 4)]
    lines = [f"{name} = {draw(odd_numbers())}" for name in constants]
    lines.append("tau = 1.73")
    for number in (1, 2):
        x = np.cumsum([float(draw(odd_numbers())) for _ in range(4)]) - 4
        points = ",".join(f"({a:.4f},{draw(odd_numbers())})" for a in x)
        lines.append(f"table {number}({points})")
    stocks = [f"stock {i}" for i in range(1, 4)]
    known = [*constants, *stocks]
    for i in range(1, 9):
        names = [spelt(draw, name) for name in known]
        if draw(st.integers(0, 2)) == 0:
            equation = fill(draw, draw(st.sampled_from(STATES)), expressions(names), names)
        else:
            equation = draw(expressions(names, depth=draw(st.integers(1, 3))))
        lines.append(f"aux {i} = MAX(-40.3, MIN(40.7, {equation}))")
        known.append(f"aux {i}")
    if wild:
        if draw(st.booleans()):
            lines.append(f"aux 9 = {draw(expressions(known, WILD, 1))}")
            known.append("aux 9")
        # Around the constant's own value, so that some draws lie on either side.
        name, _, value = draw(st.sampled_from(lines[:3])).partition(" = ")
        edge = float(value) * draw(st.integers(70, 130)) / 100 + 1e-5
        form = draw(st.sampled_from(EDGES)).format(c=name, k=f"{edge:.6f}")
        lines.append(f"aux 10 = {form}")
        lines.append(f"aux 11 = 0.1*({draw(expressions([*known, 'aux 10']))})")
    for stock in stocks:
        inflow = draw(expressions(known[: 3 + 3 + 8], depth=1))
        inflow = f"MAX(-9.3, MIN(9.7, {inflow}))"
        start = draw(st.sampled_from([*constants, draw(odd_numbers())]))
        lines.append(f"{stock} = INTEG({inflow} - {stock}/2.3, {start})")
    return "\n".join(draw(st.permutations(lines)))


def read(folder, equations: str):
    path = folder / "random.mdl"
    path.write_text(text(equations, end=END, step=STEP), encoding="utf-8")
    return read_model(path)


def some_draws(model, count: int) -> dict[str, np.ndarray]:
    """`count` draws of every constant but tau, the first of them its default."""
    rng = np.random.default_rng(1)
    factors = rng.uniform(0.6, 1.5, (count, 3))
    factors[0] = 1
    names = [f"constant {i}" for i in range(1, 4)]
    return {n: model.find(n).value * factors[:, i] for i, n in enumerate(names)}


def lane_of(draws: dict[str, np.ndarray], lane: int) -> dict[str, float]:
    return {name: float(values[lane]) for name, values in draws.items()}


def attempt(*arguments, **options):
    """What `simulate` gives, or the error that it raises: (result, error), one of them None."""
    try:
        return simulate(*arguments, **options), None
    except Error as error:
        return None, error


def assert_close(got, wanted, name: str, what: str) -> None:
    # The same arithmetic in another order. The project promises 1e-9 of a variable's largest
    # magnitude; rounding is 1e-16 and the forms above multiply an error by some thousands.
    # A variable that is zero but for rounding is compared with its terms, which are below 100.
    scale = max(np.abs(wanted).max(), 1e-3)
    assert np.abs(got - wanted).max() <= 1e-9 * scale, f"{name}: {what}"


def compare_lanes(model, program, count: int, method: str):
    """The ensemble of `count` lanes against a single run of each; returns the draws."""
    draws = some_draws(model, count)
    lanes = simulate(program, experiment(program.outputs, GRID, draws=draws), method=method)
    assert list(lanes) == list(program.outputs)
    for lane in range(count):
        alone = simulate(program, set=lane_of(draws, lane), method=method)
        assert np.array_equal(alone.time, lanes.time)
        for name in lanes:
            got = lanes[name].to_numpy()[:, 0, 0, lane]
            assert np.isfinite(got).all(), name
            assert_close(got, alone[name].to_numpy().ravel(), name, f"{method}, lane {lane}")
    return draws


@settings(RANDOM, max_examples=6)
@given(equations=models())
def test_ensemble_plain_run_and_pysd_agree(tmp_path_factory, equations):
    """By Euler all three, by RK4 without PySD; one thread and two give the same bytes."""
    model = read(tmp_path_factory.mktemp("random"), equations)
    program = compile_model(model)
    compare_lanes(model, program, 1, "euler")
    draws = compare_lanes(model, program, 11, "euler")
    for lane in (0, 7):
        values = lane_of(draws, lane)
        ours = simulate(program, set=values)
        theirs = simulate(model, engine="pysd", set=values)
        for name in ours:
            wanted = theirs[name].to_numpy().ravel()
            assert_close(ours[name].to_numpy().ravel(), wanted, name, f"PySD, lane {lane}")
    for count in (1, 13):
        compare_lanes(model, program, count, "rk4")
    plan = experiment(program.outputs, GRID, draws=some_draws(model, 131))
    one, two = (simulate(program, plan, threads=threads) for threads in (1, 2))
    for name in one:
        assert one[name].to_numpy().tobytes() == two[name].to_numpy().tobytes(), name


@settings(RANDOM, max_examples=4)
@given(equations=models(wild=True))
def test_what_fails_fails_in_the_same_lanes(tmp_path_factory, equations):
    """A lane fails in an ensemble where its single run does; where it does not, PySD agrees.

    PySD may go on where sdkit stops: MIN(1, infinity) is a number to it.
    """
    model = read(tmp_path_factory.mktemp("random"), equations)
    program = compile_model(model)
    draws = some_draws(model, 11)
    plan = experiment(program.outputs, GRID, draws=draws)
    lanes, error = attempt(program, plan)
    assert error is None or error.code == "S202"
    failed = {f["draw"]: f["time"] for f in error.failures} if error else {}
    checked = False
    for lane in range(11):
        values = lane_of(draws, lane)
        alone, error = attempt(program, set=values)
        assert (lane in failed) == (error is not None), f"lane {lane}: {failed.get(lane)}, {error}"
        if error is not None:
            assert error.code == "S201"
            assert f"at time {failed[lane]:g}:" in error.message
            continue
        if lanes is not None:
            for name in lanes:
                wanted = alone[name].to_numpy().ravel()
                assert_close(lanes[name].to_numpy()[:, 0, 0, lane], wanted, name, f"lane {lane}")
        if not checked:
            theirs = simulate(model, engine="pysd", set=values)
            for name in alone:
                wanted = theirs[name].to_numpy().ravel()
                assert_close(alone[name].to_numpy().ravel(), wanted, name, "PySD")
            checked = True


@settings(RANDOM, max_examples=3)
@given(
    equations=models(),
    data=st.data(),
    method=st.sampled_from(["euler", "rk4"]),
    at_once=st.booleans(),
)
def test_a_branch_gives_the_bytes_of_the_full_run(
    tmp_path_factory, equations, data, method, at_once
):
    """Policies that begin at a branch, from a shared history and each from the start."""
    lever = f"""
    lever = 0
    begin = 1
    pressure = IF THEN ELSE(Time {">=" if at_once else ">"} begin, lever, 0)
    pushed = INTEG(pressure*aux 1 + stock 1 - pushed/1.9, 0.7)
    """
    model = read(tmp_path_factory.mktemp("random"), equations + lever)
    program = compile_model(model)
    draws = some_draws(model, data.draw(st.sampled_from([1, 5, 11])))
    # Several branches of one model: its kernel is compiled once.
    for _ in range(4):
        branch = data.draw(st.integers(1, len(GRID) - 2))
        others = data.draw(st.sets(st.integers(0, len(GRID) - 1), min_size=2, max_size=9))
        times = GRID[sorted({branch, *others})]
        averaged = ("pressure", "pushed", "aux 3")
        policies = {
            "none": {},
            "weak": {"lever": 0.37, "begin": GRID[branch]},
            "strong": {"lever": -1.7, "begin": GRID[branch]},
        }
        found = {}
        for share in (True, False):
            plan = experiment(
                program.outputs,
                times,
                policies,
                draws,
                averaged=averaged,
                branch=GRID[branch] if share else None,
            )
            found[share] = simulate(program, plan, method=method)
        moved = found[True]["pushed"].to_numpy()
        if times[-1] > GRID[branch + 1]:  # a step later, for what begins after the branch
            assert not np.array_equal(moved[:, :, 0], moved[:, :, 2]), "the lever does nothing"
        for name in program.outputs:
            one, other = found[True][name].to_numpy(), found[False][name].to_numpy()
            assert one.tobytes() == other.tobytes(), f"{name}, branch at {GRID[branch]:g}"


# -- found here -------------------------------------------------------------------------------


def test_a_condition_inside_a_condition(tmp_path):
    """The work may not double with each level."""
    depth = 30
    equation = "IF THEN ELSE(" * depth + "Time" + " > 0, 1, 2)" * depth
    program = compile_model(read(tmp_path, f"x = {equation}"))
    assert simulate(program)["x"].to_numpy().flat[-1] == 1
    nothing = (Setting("nothing"),)
    lanes = Experiment(nothing, nothing, no_draws(), ("x",), np.array([program.final_time]))
    assert simulate(program, lanes)["x"].to_numpy().flat[-1] == 1
