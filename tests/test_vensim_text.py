"""Vensim's text as Vensim reads it: inputs that were once read otherwise, or refused in riddles."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.errors import Error, ModelError, SimulationError
from tests.small import experiment, model, text

CASES = Path(__file__).parent / "cases"
pytestmark = pytest.mark.filterwarnings("ignore:.*integrated by Euler")
RIGHT = {
    # Vensim's manual, fn_delay3: three stages of a third each, here shorter than the step.
    "delay3_short": [10] * 7 + [280, -1340, 5140, -16460],
    "table_continued": [0, 2, 4, 6, 8, 10, 11, 12, 13, 14, 15],
    "table_in_many_lines": [0, 2, 4, 6, 8, 10, 11, 12, 13, 14, 15],
    "table_repeated_x": [0, 5, 10, 11.25, 12.5, 13.75, 15, 16.25, 17.5, 18.75, 20],
    "table_with_a_jump": [0, 5, 10] + [20] * 8,
    "string_variable": [3] * 11,
}


def case(name):
    return read_model(CASES / name / "m.mdl")


@pytest.mark.filterwarnings("ignore:.*overshoots", "ignore:.*times in the table")
@pytest.mark.parametrize("name", RIGHT)
def test_a_file_runs_as_in_vensim(name):
    small = case(name)
    times = np.arange(11.0)
    together = simulate(small, experiment(["y"], times, draws={})).y.to_numpy().ravel()
    for found in (simulate(small).y.to_numpy().ravel(), together):
        # A jump is one unit in the last place wide; sums of a few numbers keep twelve digits.
        assert found == pytest.approx(RIGHT[name], rel=1e-12)


def test_a_repeated_x_is_told_with_table_line_and_value():
    with pytest.warns(UserWarning, match=r"line 2, 'tab': x = 2 stands 2 times.*there is 10$"):
        case("table_repeated_x")
    with pytest.warns(UserWarning, match=r"x = 2 stands 3 times.*is 10, right behind it 20"):
        case("table_with_a_jump")


def test_many_points_at_one_x_keep_the_order_of_the_text(tmp_path):
    # PySD sorts points, and of more than sixteen those at one x in any order.
    points = ",".join(f"({i},{i})" for i in range(30)) + "," + ",".join(
        f"(30,{v})" for v in (7, 1, 5, 2)
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"x = 30 stands 4 times.*is 7, right behind it 2"):
        small = model(tmp_path, f"tab({points})\ny = tab(30)\nz = tab(31)\n"
                      f"w = WITH LOOKUP(tab(30) + 23, ({points}))", step=1)  # fmt: skip
    found = simulate(small)
    assert [found[n].to_numpy().ravel()[0] for n in "yzw"] == [7, 2, 7]


@pytest.mark.parametrize("delay", ["SMOOTH", "SMOOTH3", "DELAY1", "DELAY3"])
def test_a_table_inside_a_delay_keeps_its_points(tmp_path, delay):
    # A delay without a start holds its input twice; its table took the points of the next one.
    a, b = "WITH LOOKUP(Time, ((0,0),(9,9)))", "WITH LOOKUP(Time, ((0,100),(9,200)))"
    found = simulate(model(tmp_path, f"a = {a}\nb = {b}\ny = {delay}(a, 2) + b\n"
                           f"x = {delay}({a}, 2) + {b}"))  # fmt: skip
    assert np.array_equal(found["x"], found["y"])


@pytest.mark.parametrize(
    "table", ["tab((0,0),(3,1),(1,2))\ny = tab(1)", "y = WITH LOOKUP(1, ((3,1),(1,2),(0,0)))",
              "tab(0,3,1,0,1,2)\ny = tab(1)"],
)  # fmt: skip
def test_x_that_fall_are_refused_by_their_names(tmp_path, table):
    with pytest.raises(ModelError, match=r"M112.*line 2.*1 stands behind 3"):
        model(tmp_path, table)


def test_delays_shorter_than_their_stages(tmp_path):
    """Vensim's manual: the stages of DELAY1, DELAY3, SMOOTH and SMOOTH3 stay; DELAY N and SMOOTH N
    drop theirs until each has a step."""
    equations = """
        x = 1 + STEP(2, 2)
        d = DELAY3I(x, 1.5, 4)
        one = INTEG(x - one/0.5, 4*0.5)
        two = INTEG(one/0.5 - two/0.5, 4*0.5)
        three = INTEG(two/0.5 - three/0.5, 4*0.5)
        by hand = three/0.5
        first = DELAY1I(x, 0.5, 4)
        first by hand = one/0.5
        s = SMOOTH3I(x, 1.5, 4)
        u = INTEG((x - u)/0.5, 4)
        v = INTEG((u - v)/0.5, 4)
        w = INTEG((v - w)/0.5, 4)
        dn = DELAY N(x, 1.5, 4, 3)
        dn one = INTEG(x - dn one/1.5, 4*1.5)
        dn by hand = dn one/1.5
        sn = SMOOTH N(x, 2.5, 4, 3)
        sn one = INTEG((x - sn one)/1.25, 4)
        sn by hand = INTEG((sn one - sn by hand)/1.25, 4)
        dim: a, b ~ ~ |
        lag[dim] = 1.5, 6
        many[dim] = DELAY3I(x, lag[dim], 4)
        slow = DELAY3I(x, 6, 4)
    """
    small = model(tmp_path, equations, step=1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = simulate(small)
        drawn = simulate(small, experiment(["d", "sn", "dn", "many"], [10.0]))
    told = {str(w.message).split(": ")[1] for w in said}
    assert told == {"d", "first", "s", "dn", "sn", "many"}
    pairs = [("d", "by hand"), ("first", "first by hand"), ("s", "w"), ("dn", "dn by hand"),
             ("sn", "sn by hand")]  # fmt: skip
    for name, by_hand in pairs:
        assert found[name].to_numpy().ravel() == pytest.approx(
            found[by_hand].to_numpy().ravel(), rel=1e-12
        )
    for element, alone in (("a", "by hand"), ("b", "slow")):
        own = found["many"].sel(dim=element).to_numpy().ravel()
        assert own == pytest.approx(found[alone].to_numpy().ravel(), rel=1e-12)
    for name in ("d", "sn", "dn", "many"):
        assert drawn[name].to_numpy().ravel() == pytest.approx(
            found[name].to_numpy()[10].ravel(), rel=1e-12
        )


def test_rk4_may_have_shorter_stages(tmp_path):
    small = model(tmp_path, "y = DELAY1(Time, 0.5)", step=1, method="rk4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(small)
    with pytest.warns(UserWarning, match="overshoots"):
        simulate(small, method="euler")


def test_a_delay_fixed_between_steps_says_how_long_it_lasts(tmp_path):
    small = model(tmp_path, "y = DELAY FIXED(Time, lag, -1)\nlag = 2", step=1)
    with pytest.warns(UserWarning, match="y: a DELAY FIXED of 2.2 lasts 2, a whole number"):
        found = simulate(small, set={"lag": 2.2}).y.to_numpy().ravel()
    assert found[:4].tolist() == [-1, -1, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Vensim's manual: the shortest is one step.
        assert simulate(small, set={"lag": 3}).y.to_numpy().ravel()[:4].tolist() == [-1, -1, -1, 0]


def told(run) -> list[str]:
    """The warnings of a run of small.mdl, without its name."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run()
    return [str(w.message).removeprefix("small: ") for w in said]


SHORT = """
x = DELAY3(10 + STEP(9, 1), tau)
s = SMOOTH(Time, tau/4)
n = DELAY N(Time, tau, 0, 3)
f = DELAY FIXED(Time, tau, 0)
tau = 9
"""


def test_a_delay_that_is_too_short_in_some_lanes(tmp_path):
    """By 9 no delay is too short. DELAY3 is below three steps, SMOOTH below one of tau/4, and
    DELAY N keeps all stages from three steps on."""
    small = model(tmp_path, SHORT, step=1)
    assert told(lambda: simulate(small)) == []
    outputs, draws = ["x", "s", "n", "f"], {"tau": [9.0, 2.0, 1.0, 3.4]}
    found = told(lambda: simulate(small, experiment(outputs, [10.0], draws=draws)))
    assert [text.split(":")[0] for text in found] == ["x", "s", "n", "f"]
    for line, what, where in zip(
        found,
        ("delay of order 3 over 1 ", "smooth of order 1 over 0.25 ", "over 1 keeps 1 stage",
         "DELAY FIXED of 3.4 lasts 3,"),
        ("in 2 of 4", "in 3 of 4", "in 2 of 4", "in 1 of 4"), strict=True,
    ):  # fmt: skip
        assert what in line
        assert f"({where} runs; the worst time is given)" in line
    small = model(tmp_path, "x = DELAY3(10 + STEP(9, 1), tau)\ntau = 9", step=1)
    # A policy wins over the draws.
    policies = {"as it is": {}, "short": {"tau": 1}}
    some = experiment(["x"], [10.0], policies=policies, draws={"tau": [9.0, 2.0, 12.0]})
    (line,) = told(lambda: simulate(small, some))
    assert line.startswith("x: a delay of order 3 over 1 is shorter than 3 step(s)")
    assert "(in 4 of 6 runs" in line
    (line,) = told(lambda: simulate(small, experiment(["x"], [10.0], policies={"p": {"tau": 2}})))
    assert "over 2 is shorter" in line
    assert "runs" not in line
    # Nor is a default said that no run has.
    other = experiment(["x"], [10.0], draws={"tau": [9.0, 12.0]})
    assert told(lambda: simulate(small, other, set={"tau": 1})) == []


def test_a_delay_that_becomes_too_short_in_a_run(tmp_path):
    small = model(tmp_path, """
        x = DELAY3(Time, IF THEN ELSE(Time > 2, 1, 9))
        y = DELAY1(Time, left)
        left = INTEG(-1, 5.5)
        z = SMOOTH(Time, 9 - Time)
        f = DELAY FIXED(Time, 2 + Time/3, 0)
    """, end=5, step=1)  # fmt: skip
    x, y = told(lambda: simulate(small))
    assert x.startswith("x: a delay of order 3 over 1 is shorter than 3 step(s)")
    assert "at 3 of 6 saved times, first at 3" in x
    assert y.startswith("y: a delay of order 1 over 0.5 is shorter")
    assert "at 1 of 6 saved times, first at 5" in y


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        ("x = 0,05", "M120: .*line 2, 'x': 2 values for one variable .*did you mean 0.05"),
        ("x = -0,1", "M120: .*'x': 2 values .*did you mean 0.1"),
        ("x = 1,2,3", "M120: .*'x': 3 values for one variable without subscripts$"),
        ("x = 2*0,1", "M104: .*line 2, column 8, 'x': .*did you mean 0.1"),
        ("x = INTEG(1, 0,5)", "M114: .*INTEG takes 2 .*did you mean 0.5"),
    ],
)
def test_a_decimal_comma_is_named_at_reading(tmp_path, equations, message):
    with pytest.raises(ModelError, match=message):
        model(tmp_path, equations)


def test_a_decimal_comma_in_an_element_is_named(tmp_path):
    small = model(tmp_path, "R: a, b ~ ~ |\nx[a] = 0,1\nx[b] = 2")
    with pytest.raises(ModelError, match=r"M120: .*2 values for 1 elements; .* decimal point"):
        compile_model(small)


@pytest.mark.parametrize("before", ["", "z = 3 ~ Dmnl ~ |\n\n"])
@pytest.mark.parametrize("comment", ["text", "", "one\n two"])
def test_a_missing_bar_is_named(tmp_path, before, comment):
    entry = f"x = 1 ~ Dmnl ~ {comment}\ny = 2 ~ Dmnl ~ text |"
    whole = text("last = 1").replace("last = 1", before + entry + "\nlast = 1")
    path = tmp_path / "m.mdl"
    path.write_text(whole, encoding="utf-8")
    line = whole.split("\n").index("y = 2 ~ Dmnl ~ text |") + 1
    with pytest.raises(ModelError, match=f"M104: m.mdl, line {line}: .*in front of 'y = 2'"):
        read_model(path)


def test_a_step_that_would_adapt_itself_is_told(tmp_path):
    path = tmp_path / "m.mdl"
    path.write_text(text("x = 1", method="rk4").replace("15:0,0,0,5", "15:0,0,0,1"))
    (line,) = told(lambda: read_model(path))
    assert "integrated by RK4 with a fixed step" in line
    assert read_model(path).method == "rk4"
    path.write_text(text("x = 1", method="rk4"))
    assert told(lambda: read_model(path)) == []


def test_both_ends_of_a_run_are_told(tmp_path):
    first, second = told(lambda: simulate(model(tmp_path, "x = 1", end=9.5, step=1, saveper=2)))
    assert "the run ends at 9" in first
    assert "the last time that is saved is 8" in second


def test_a_time_step_keeps_to_the_limit_of_steps(tmp_path):
    """10 over 1e-7 is 1e8 steps, 1e-320 makes infinitely many."""
    small = model(tmp_path, "x = 1", step=1)
    for step in (1e-7, 1e-320):
        for lanes in (None, experiment(["x"], [10.0])):
            with pytest.raises(SimulationError, match=r"S204: .*the limit is 10,000,000"):
                simulate(small, lanes, time_step=step)


def test_a_model_named_limits_runs_through_pysd(tmp_path):
    """PySD runs a SAVEPER that a variable decides; the name of a file is no limit."""
    equations = "x = Time\ns = MAX(1, Time - 5)"
    small = model(tmp_path, equations, name="limits.mdl", step=1, saveper="s")
    assert simulate(small, engine="pysd").x.to_numpy().ravel()[-1] == 10


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize(
    "call",
    ["SMOOTH(3, tau)", "SMOOTHI(3, tau, 1)", "SMOOTH3(3, tau)", "SMOOTH N(3, tau, 1, 3)",
     "TREND(3, tau, 0)", "FORECAST(3, tau, 1)", "DELAY1(3, tau)", "DELAY3(3, tau)",
     "DELAY N(3, tau, 1, 3)"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*than its stages", "ignore:.*overshoots", "ignore:.*stage")
def test_a_time_that_is_not_above_zero_stops_the_run(tmp_path, call, method):
    for time in ("-2", "0", "5 - 4*Time"):
        small = model(tmp_path, f"y = {call}\ntau = {time}", step=1, method=method)
        with pytest.raises(SimulationError, match="S201: y at time"):
            simulate(small)


def test_a_time_below_zero_fails_its_lane(tmp_path):
    calls = {"s": "SMOOTH3(3, tau)", "t": "TREND(3, tau, 0)", "f": "DELAY FIXED(3, tau, 1)"}
    for call in calls.values():
        small = model(tmp_path, f"y = {call}\ntau = 5", step=1)
        drawn = experiment(["y"], [10.0], draws={"tau": [4.0, -4.0]})
        with pytest.raises(SimulationError, match=r"S202: 1 of 2 lanes .*draw 1.*delay time"):
            simulate(small, drawn)


def test_a_pulse_in_the_middle_of_a_step_belongs_to_it(tmp_path):
    """A train's later pulses do: its first one, and a single pulse, do so too."""
    rows = {"PULSE TRAIN(1.5, 1, 1.5, 10)": [0, 1, 0, 1, 1, 0],
            "PULSE TRAIN(0, 1, 1.5, 10)": [1, 1, 0, 1, 1, 0],
            "PULSE(1.5, 1)": [0, 1, 0, 0, 0, 0], "PULSE(1.5, 0)": [0, 1, 0, 0, 0, 0]}  # fmt: skip
    for call, row in rows.items():
        found = simulate(model(tmp_path, f"y = {call}", end=5, step=1))
        assert found.y.to_numpy().ravel().tolist() == row
    # 0.15 and 0.35 lie half a step of 0.1 off, and no such number is exact.
    found = simulate(
        model(tmp_path, "n = INTEG(PULSE TRAIN(0.15, 0, 0.2, 0.9), 0)", end=1, step=0.1)
    )
    assert found.n.to_numpy().ravel()[-1] == pytest.approx(4 * 0.1, rel=1e-9)  # four pulses


@pytest.mark.parametrize(
    ("call", "value"),
    [
        # Vensim's manual, fn_modulo: as in C. fn_quantum: x itself for a size of zero or below.
        ("MODULO(7, -3)", 1), ("MODULO(-7, -3)", -1), ("MODULO(-7, 3)", -1), ("MODULO(9, 5)", 4),
        ("MODULO(76.5, 70)", 6.5), ("MODULO(5e-7, 2e-7)", 1e-7), ("MODULO(1, 0.1)", 0),
        ("QUANTUM(5e-7, 2e-7)", 4e-7), ("QUANTUM(5.5, 0)", 5.5), ("QUANTUM(5.5, -2)", 5.5),
        ("QUANTUM(-1.9, 1)", -1), ("QUANTUM(423, 63)", 378), ("INTEGER(-2.7)", -2),
        # :NA: is a number below all others (-2^109).
        ("IF THEN ELSE(x > :NA:, 1, 0)", 1), ("IF THEN ELSE(x <= :NA:, 1, 0)", 0),
        ("IF THEN ELSE(:NA: < x, 1, 0)", 1), ("IF THEN ELSE(x < :NA:, 1, 0)", 0),
        ("IF THEN ELSE(x >= :NA:, 1, 0)", 1), ("IF THEN ELSE(gone > :NA:, 1, 0)", 0),
        ("WITH_LOOKUP(2, (0, 4, 0, 8))", 4),
        ("WITH LOOKUP(2, ([(0,0)-(4,8)], 0, 4, 0, 8, ))", 4),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*missing values")
def test_values_of_vensims_manual(tmp_path, call, value):
    program = compile_model(model(tmp_path, f"x = 3\ngone = :NA:\ny = {call}", end=0), ["y"])
    # Quotients of numbers near 1e-7 keep nine digits.
    assert simulate(program).y.item() == pytest.approx(value, rel=1e-9)
    drawn = simulate(program, experiment(["y"], [0], draws={"x": [3.0, 4.0]}))
    assert drawn.y.to_numpy().ravel() == pytest.approx([value] * 2, rel=1e-9)


def test_modulo_by_zero_stops(tmp_path):
    with pytest.raises(SimulationError, match="S201: y at time 0: MODULO by zero"):
        simulate(model(tmp_path, "y = MODULO(5.5, 0)"))


def test_pulses_of_a_train_last_a_step_at_least(tmp_path):
    found = simulate(model(tmp_path, "y = PULSE TRAIN(1, 0.1, 3, 8)", step=1)).y.to_numpy().ravel()
    assert found.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0]


# -- words for what is wrong ---------------------------------------------------------------

WORDS = {
    "y = 2 a": "M104.*line 5, column 7, 'y': an operator is missing between '2' and 'a'",
    "y = (a)(b)": "M104.*column 8.*an operator is missing between '\\)' and '\\('",
    "y = a (b)": "M104.*column 7.*missing between 'a' and '\\('; 'a' is no table",
    "y = 2(a)": "M104.*column 6.*an operator is missing between '2' and '\\('",
    "y = a b": "M104.*'a_b'.*an operator is missing between 'a' and 'b'",
    "y = a 2": "M104.*an operator is missing between 'a' and '2'",
    "y = b MAX(a, b)": "M104.*an operator is missing between 'b' and 'max'",
    "y = MIN(a b)": "M114.*MIN takes 2.*not 1; a comma is missing between 'a' and 'b'",
    "y = MIN(tab(a) b)": "M104.*column 16.*a comma or an operator is missing between '\\)' and 'b'",
    "y = IF THEN ELSE(a > b, 1 2)": "M104.*missing between '1' and '2'",
    "y = MIN(a, b,)": "M104.*something is missing between ',' and '\\)'",
    "y = INTEG(a, b, a)": "M114.*column 10.*INTEG takes 2 argument\\(s\\), not 3",
    "y = SMOOTH(a)": "M114.*SMOOTH takes 2 argument\\(s\\), not 1; is a comma missing",
    "y = GET DIRECT DATA('a', 'b', 'c')": "M114.*GET DIRECT DATA takes 4",
    "y = (a": "M104.*column 5.*'\\(' is never closed",
    "y = a)": "M104.*column 6.*'\\)' closes no parenthesis",
    "y = a+": "M104.*nothing stands behind '\\+'",
    "y =": "M104.*nothing stands behind the equals sign",
    "y = a+*b": "M104.*a number or a name is missing between '\\+' and '\\*'",
    "y = a**b": "M104.*'\\*\\*' is no operator; a power is written a\\^b",
    "y = IF THEN ELSE(a == b, 1, 2)": "M104.*'==' is no operator",
    "y = IF THEN ELSE(a < b < 5, 1, 2)": "M104.*two comparisons in a row",
    "y = a & b": "M104.*column 7.*'&' is no operator",
    "y = (1,2)": "M104.*',' in parentheses that belong to no function",
    "y = a, b": "M104.*',' outside a function",
    "y = 'text'": "M104.*the text 'text' stands where a number is wanted",
    "y = EXP": "M105.*the function EXP takes parentheses",
    "new(0,1,2)": "M112.*3 numbers; a table is",
    "new((0,0)(1,1))": "M112.*a comma is missing between two points",
    "new((0,0),(1,2,3))": "M112.*the point \\(1,2,3\\) is no pair",
    "new((0,0))": "M112.*two points or more",
    "y = WITH LOOKUP(a, ((0,0),(1)))": "M112.*the point \\(1\\) is no pair",
    "y = WITH LOOKUP(a)": "M114.*WITH LOOKUP takes 2",
    "name :IS: 'x'\ny = name + 1": "M126.*line 6, 'y' uses 'name' as a number; line 5",
}


@pytest.mark.parametrize("equation", WORDS)
def test_what_is_wrong_is_said_in_words(tmp_path, equation):
    with pytest.raises(ModelError, match=WORDS[equation]):
        compile_model(model(tmp_path, f"a = 3\nb = 4\ntab((0,0),(9,9))\n{equation}"))


def test_a_place_in_a_later_line_is_told_there(tmp_path):
    path = tmp_path / "lines.mdl"
    later = "a = 3 ~~|\ny = 1 +\n\n  2 + 3 a ~~|"
    path.write_text(text("a = 3").replace("a = 3 ~ Dmnl ~ |", later))
    with pytest.raises(ModelError, match=r"line 5, column 9, 'y': an operator is missing"):
        read_model(path)


def test_all_faults_of_a_file_are_told_at_once(tmp_path):
    with pytest.raises(ModelError) as caught:
        model(tmp_path, "a = 3\nb = 2 a\nc = MIN(a\nd = a +")
    assert caught.value.code == "M104"
    assert [f"line {n}" in caught.value.message for n in (3, 4, 5)] == [True] * 3
    with pytest.raises(ModelError) as caught:
        model(tmp_path, "b = one\nc = two\nd = SQRT(b, c)")
    assert "SQRT takes 1" in caught.value.message  # arguments are looked at before names
    with pytest.raises(ModelError, match=r"'one'.*'two'"):
        model(tmp_path, "b = one\nc = two")
    with pytest.raises(ModelError, match=r"GAMMA LN.*'c': the function 'NPV'"):
        compile_model(model(tmp_path, "b = GAMMA LN(1)\nc = NPV(1, 2, 3, 4)"))


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ((0, 10, 0, 1), "TIME STEP = 0 has to be above zero"),
        ((0, 10, 1, -1), "SAVEPER = -1 has to be above zero"),
        ((5, 1, 1, 1), "FINAL TIME = 1 lies before INITIAL TIME = 5"),
        ((0, 10, 1, 0.5), "SAVEPER = 0.5 is shorter than TIME STEP = 1"),
        ((0, 3, 0.3, 1), "SAVEPER = 1 is no multiple of TIME STEP = 0.3; choose a SAVEPER of 0.9 "
                         "or 1.2"),
        ((0, 10, 1e-12, 1), "TIME STEP = 1e-12 makes 1e\\+13 steps"),
        ((0, "1/0", 1, 1), "FINAL TIME = nan is no finite number"),
    ],
)  # fmt: skip
def test_each_rule_of_the_time_settings_has_its_own_words(tmp_path, controls, words):
    start, end, step, saveper = controls
    small = model(tmp_path, "y = Time", start=start, end=end, step=step, saveper=saveper)
    for engine in ("compiled", "pysd"):
        with pytest.raises(ModelError, match=f"M113: small.mdl: {words}"):
            simulate(small, engine=engine)


def test_saveper_of_a_file_between_steps():
    with pytest.raises(ModelError, match=r"SAVEPER = 1 is no multiple of TIME STEP = 0.3"):
        simulate(case("saveper_between_steps"))


@pytest.mark.parametrize("engine", ["compiled", "pysd"])
@pytest.mark.parametrize(("step", "last"), [(0.3, 0.9), (0.35, 0.7)])
def test_a_run_that_ends_before_final_time_says_so(tmp_path, engine, step, last):
    small = model(tmp_path, "y = Time", end=1, step=step)
    with pytest.warns(UserWarning, match=f"FINAL TIME.*{last}"):
        found = simulate(small, engine=engine)
    assert found.time[-1].item() == pytest.approx(last, abs=1e-9)
    with pytest.warns(UserWarning, match="the run ends at"):
        simulate(small, experiment(["y"], [0.0]))


def test_saves_that_miss_final_time_are_told(tmp_path):
    with pytest.warns(UserWarning, match=r"SAVEPER \(3\).*last time that is saved is 9"):
        simulate(model(tmp_path, "y = Time", step=1, saveper=3))


def test_a_not_before_a_comparison_is_told(tmp_path):
    with pytest.warns(UserWarning, match=r"line 2, 'y': ':NOT: Time > 3' is read as :NOT: \(a > b"):
        small = model(tmp_path, "y = IF THEN ELSE(:NOT: Time > 3, 1, 0)", step=1)
    assert simulate(small).y.to_numpy().ravel().tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(tmp_path, "y = IF THEN ELSE(:NOT: (Time > 3) :AND: Time > 1, 1, 0)")


# -- macros and PySD -----------------------------------------------------------------------


def test_a_fault_inside_a_macro_names_its_own_line():
    with pytest.raises(ModelError, match=r"line 3, 'PP' in the macro 'PP'.*'DELAY MATERIAL'") as e:
        compile_model(case("macro_line"))
    assert "pysd" not in e.value.message


def test_pysd_gives_an_array_that_is_mapped_to_another():
    found = simulate(case("pysd_mapped"), engine="pysd")["y"].to_numpy()
    assert found[[0, 10], 0, 0, 0].tolist() == [[10, 20, 30]] * 2


def test_pysd_gives_all_variables_or_says_which_it_does_not(tmp_path, monkeypatch):
    from sdkit import simulation

    small = model(tmp_path, "draw = 3\ny = draw + Time\nz = 1", step=1, end=1)
    with pytest.warns(UserWarning, match="left out, since results have axes of that name: draw"):
        assert simulate(small, engine="pysd").y.to_numpy().ravel().tolist() == [3, 4]
    own = simulation.run_with_pysd
    monkeypatch.setattr(simulation, "run_with_pysd", lambda *given: own(*given).drop(columns="z"))
    with pytest.raises(SimulationError, match=r"S210: small: PySD gives no value of 'z'"):
        simulate(small, engine="pysd")


def test_pysd_is_offered_where_it_runs_the_file_and_only_there(tmp_path):
    ranges = "dim: a, b, c ~ ~ |\nz[dim] = 3, 1, 2\n"
    runs = model(tmp_path, f"{ranges}x[dim] = VECTOR SORT ORDER(z[dim], 1)")
    with pytest.raises(ModelError, match=r'engine="pysd".* runs this file') as caught:
        compile_model(runs)
    assert simulate(runs, engine="pysd")["x"].to_numpy()[0].ravel().tolist() == [1, 2, 0]
    assert "'VECTOR SORT ORDER'" in caught.value.message
    for equations in ("x = GAMMA LN(3)", f"{ranges}x[dim] = VECTOR SORT ORDER(z[dim], 1)\n"
                      "v = GAMMA LN(3)"):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            compile_model(model(tmp_path, equations))
        assert "pysd" not in caught.value.message


def test_what_pysd_stops_at_is_a_sentence(tmp_path):
    equations = "dim: a, b ~ ~ |\nx[dim] = 1, 2\ny = GAMMA LN(3)"
    with pytest.raises(Error) as caught:
        simulate(model(tmp_path, equations), engine="pysd")
    assert caught.value.code == "M116"
    for raw in ("Error:", "Exception", "Traceback", "object has no attribute"):
        assert raw not in caught.value.message


# -- the compiler ------------------------------------------------------------------------------

ALWAYS_FAILS = [
    "LN(0)*2", "LN(-1)", "LOG(-1, 2)", "LOG(2, 1)", "SQRT(-1)", "ARCSIN(2)", "ARCCOS(-2)",
    "1/0", "0/0", "XIDZ(LN(0), 0, 1)", "XIDZ(1, 0, SQRT(-1))", "ZIDZ(1, LN(0))", "POWER(0, -1)",
    "(0 - 2)^0.5", "MODULO(5, 0)", "MODULO(LN(0), 2)", "QUANTUM(LN(0), 1)", "INTEGER(LN(0))",
    "INTEGER(1/0)", "EXP(1000)", "10^400", "SINH(1000)", "MIN(LN(0), 1)", "MAX(1, SQRT(-1))",
    "ABS(LN(0))", "STEP(LN(0), 1)", "PULSE(LN(0), 1)", "PULSE TRAIN(1, 1, LN(0), 3)",
    "RAMP(1, LN(0), 2)", "tab(LN(0))", "LOOKUP EXTRAPOLATE(tab, SQRT(-1))", "SMOOTH(LN(0), 2)",
    "DELAY1(1, 0)", "DELAY1(1, -1)", "DELAY N(1, 0, 1, 2)", "SMOOTH N(1, 0, 1, 2)",
    "DELAY FIXED(LN(0), 1, 1)", "TREND(1, 0, 1)", "SUM(arr[dim!]/0)", "PROD(LN(arr[dim!]*0))",
    "LN(LN(1))", "LN(0)^2", ":NOT: LN(0)", "SAMPLE IF TRUE(Time < 0, LN(0), 1)",
]  # fmt: skip


def test_a_call_that_always_fails_compiles_and_fails_where_python_does(tmp_path):
    """In a branch that never runs it changes nothing; where it runs, the lane fails. One model for
    all, since each program that is compiled costs a second."""
    head = "dim: a, b ~ ~ |\narr[dim] = 1, 2\ntab((0,0),(1,1))\nq = 1\n"
    stateful = ("SMOOTH", "DELAY", "TREND", "SAMPLE")  # these are computed wherever they stand
    quiet = [c for c in ALWAYS_FAILS if not c.startswith(stateful)]
    lines = [f"y{i} = IF THEN ELSE(q > 5, {c}, {i})" for i, c in enumerate(quiet)]
    lines += [f"z{i} = IF THEN ELSE(Time < 0, {c}, {i})" for i, c in enumerate(quiet)]
    names = [line.split(" ")[0] for line in lines]
    program = compile_model(model(tmp_path, head + "\n".join(lines), step=1, end=2), names)
    found = simulate(program, experiment(names, [0, 2], draws={"q": [1.0, 2.0]}))
    for name in names:
        assert (found[name].to_numpy() == int(name[1:])).all(), name


@pytest.mark.parametrize("call", ["LN(0)*2", "1/0", "MODULO(5, 0)", "SMOOTH N(1, 0, 1, 2)"])
def test_a_call_that_always_fails_stops_both(tmp_path, call):
    program = compile_model(model(tmp_path, f"q = 1\ny = {call} + q", step=1, end=2), ["y"])
    for asked in (None, experiment(["y"], [0], draws={"q": [1.0, 2.0]})):
        with pytest.raises(SimulationError):
            simulate(program, asked)


def test_machine_code_is_freed_with_its_last_use(tmp_path, monkeypatch):
    import gc
    from collections import deque

    from sdkit import kernel

    gc.collect()
    before = set(kernel._kernels)
    monkeypatch.setattr(kernel, "_latest", deque(maxlen=1))
    for i in range(4):
        program = compile_model(model(tmp_path, f"q = 1\ny = q + {i}", step=1, end=1), ["y"])
        found = simulate(program, experiment(["y"], [0], draws={"q": [1.0]}))
        assert found.y.item() == 1 + i
    gc.collect()
    assert len(set(kernel._kernels) - before) == 1
