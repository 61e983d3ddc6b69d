"""Arrays: what PySD gets wrong or does not run, errors, and the axes of results."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sdkit import Experiment, Setting, compile_model, read_model, simulate
from sdkit.errors import Error, ModelError
from sdkit.experiment import no_draws
from sdkit.kernel import load_kernel
from tests.small import FIXTURES, experiment, model, text

RANGES = """
dim: a, b, c ~ ~ |
sub: b, c ~ ~ |
pair: p, q ~ ~ |
"""


def run(equations: str, tmp_path, **settings):
    return simulate(model(tmp_path, RANGES + equations, **settings))


def column(result, name: str, **at) -> np.ndarray:
    return result[name].sel(**at).to_numpy().ravel()


# -- by hand: PySD stops, or knows no better ------------------------------------------------


def test_elements_may_read_other_elements_of_their_own_variable(tmp_path):
    found = run(
        "x[a] = Time ~ Dmnl ~ |\nx[sub] = x[a]*2 ~ Dmnl ~ |\n"
        "y[a] = 1 ~ Dmnl ~ |\ny[b] = y[a] + 1 ~ Dmnl ~ |\ny[c] = y[b] + 1 ~ Dmnl ~ |",
        tmp_path, step=1, end=3,
    )  # fmt: skip
    assert found["x"].to_numpy()[:, 0, 0, 0].tolist() == [[t, 2 * t, 2 * t] for t in range(4)]
    assert found["y"].to_numpy()[0, 0, 0, 0].tolist() == [1, 2, 3]


def test_what_reads_several_parts_waits_for_all_of_them(tmp_path):
    found = run(
        "total = SUM(x[dim!])\nx[a] = 1\nx[sub] = late*2\nlate = later + 1\nlater = Time*10",
        tmp_path, step=1, end=2,
    )  # fmt: skip
    assert column(found, "total").tolist() == [5, 45, 85]


def test_a_chain_along_a_range_is_no_circle(tmp_path):
    # Each stage reads the one before it, under one equation for all later ones.
    found = run(
        "later: b, c ~ ~ |\nearlier: a, b -> later ~ ~ |\n"
        "chain[a] = Time + 1\nchain[later] = chain[earlier]*10\n"
        "aged[later] = INTEG(aged start[earlier], aged start[later])\n"
        "aged start[dim] = 1, 2, 3",
        tmp_path, step=1, end=2,
    )  # fmt: skip
    assert found["chain"].to_numpy()[:, 0, 0, 0].tolist() == [
        [t + 1, 10 * (t + 1), 100 * (t + 1)] for t in range(3)
    ]
    assert found["aged"].to_numpy()[:, 0, 0, 0].tolist() == [[2, 3], [3, 5], [4, 7]]


def test_a_circle_of_elements_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"M106.*line 5.*x -> y -> x"):
        compile_model(model(tmp_path, RANGES + "x[dim] = y[dim] + 1\ny[dim] = x[dim]"))


def test_a_mapping_may_list_its_elements_in_any_order_and_in_groups(tmp_path):
    # PySD keeps the range of a mapping alone, and puts its list behind the range's own members.
    found = run(
        "to: t1, t2, t3 -> (dim: c, b, a) ~ ~ |\ngroup: g1, g2 -> (dim: a, sub) ~ ~ |\n"
        "x[to] = 1, 2, 3\nby list[dim] = x[to]\n"
        "y[group] = 10, 20\nby group[dim] = y[group] + Time",
        tmp_path, step=1, end=1,
    )  # fmt: skip
    assert found["by list"].to_numpy()[0, 0, 0, 0].tolist() == [3, 2, 1]
    assert found["by group"].to_numpy()[1, 0, 0, 0].tolist() == [11, 21, 21]


def test_a_condition_of_arrays_and_scalars(tmp_path):
    # PySD: the truth value of an array is ambiguous.
    found = run(
        "x[dim] = 1, 5, 9\ny[dim] = IF THEN ELSE(x[dim] > 3 :AND: Time > 1, x[dim], -1)\n"
        "pulses[dim] = PULSE(dim, 2)",
        tmp_path, step=1, end=4,
    )  # fmt: skip
    assert found["y"].to_numpy()[[1, 2], 0, 0, 0].tolist() == [[-1, -1, -1], [-1, 5, 9]]
    assert found["pulses"].to_numpy()[:, 0, 0, 0].tolist() == [
        [float(start <= t < start + 2) for start in (1, 2, 3)] for t in range(5)
    ]


def test_a_delay_shorter_than_its_stages_is_so_in_its_element_alone(tmp_path):
    # A DELAY N of order 3 over 1 has one stage where the step is 1. PySD 3.14.3 then takes stages
    # from all elements of the array, and runs each of them right as a scalar.
    equations = """
        in = 1 + STEP(2, 3)
        lag[dim] = 1, 2, 6
        out[dim] = DELAY N(in, lag[dim], 1, 3)
        alone a = DELAY N(in, 1, 1, 3)
        alone b = DELAY N(in, 2, 1, 3)
        alone c = DELAY N(in, 6, 1, 3)
    """
    small = model(tmp_path, RANGES + equations, step=1)
    ours, theirs = simulate(small), simulate(small, engine="pysd")
    for element in "abc":
        alone = theirs[f"alone {element}"].to_numpy().ravel()
        assert column(ours, "out", dim=element) == pytest.approx(alone, rel=1e-12)
    wrong = theirs["out"].sel(dim="c").to_numpy().ravel()
    assert not np.allclose(wrong, theirs["alone c"].to_numpy().ravel())


def test_the_later_of_two_definitions_holds(tmp_path):
    small = model(tmp_path, RANGES + "x[dim] = Time\nx[b] = 7\nx[sub] = x[a] + 1")
    assert simulate(small)["x"].to_numpy()[8, 0, 0, 0].tolist() == [1, 2, 2]


def test_sample_if_true_may_read_what_it_holds(tmp_path):
    found = run(
        "in = SIN(Time)\nhighest = SAMPLE IF TRUE(in > highest, in, 0)\n"
        "mark[dim] = SAMPLE IF TRUE(in*dim > mark[dim], in*dim, 0.5)",
        tmp_path, step=0.25,
    )  # fmt: skip
    wave = np.sin(np.arange(0, 10.25, 0.25))
    assert column(found, "highest") == pytest.approx(np.maximum.accumulate(np.maximum(wave, 0)))
    third = np.maximum.accumulate(np.maximum(3 * wave, 0.5))
    assert column(found, "mark", dim="c") == pytest.approx(third)


def test_an_element_that_nothing_defines_is_missing_and_cannot_be_read(tmp_path):
    found = run("x[a] = Time + 1\nx[c] = 3", tmp_path, step=1, end=2)
    assert found["x"].to_numpy()[1, 0, 0, 0].tolist() == [2, pytest.approx(np.nan, nan_ok=True), 3]
    with pytest.raises(ModelError, match=r"M120.*'y': nothing defines 'x\[b\]'"):
        compile_model(model(tmp_path, RANGES + "x[a] = 1\nx[c] = 3\ny = SUM(x[dim!])"))


def test_tables_of_some_elements(tmp_path):
    found = run(
        "t[a]((0,0),(10,10)) ~ Dmnl ~ |\nt[b]((0,5),(1,6),(10,0)) ~ Dmnl ~ |\n"
        "t[c]((0,1),(10,1)) ~ Dmnl ~ |\nx[sub] = t[sub](Time/2)\n"
        "ahead[sub] = LOOKUP FORWARD(t[sub], Time)\nbeyond = LOOKUP EXTRAPOLATE(t[a], Time*2)\n"
        "behind = LOOKUP BACKWARD(t[b], Time)",
        tmp_path, step=1,
    )  # fmt: skip
    t = np.arange(11.0)
    assert column(found, "x", sub="b") == pytest.approx(np.interp(t / 2, [0, 1, 10], [5, 6, 0]))
    assert column(found, "x", sub="c") == pytest.approx(np.ones(11))
    assert column(found, "ahead", sub="b").tolist() == [5, 6, *[0] * 9]
    assert column(found, "behind").tolist() == [5, *[6] * 9, 0]
    assert column(found, "beyond") == pytest.approx(2 * t)


# -- results and settings ---------------------------------------------------------------------


def test_a_result_has_the_four_axes_and_then_the_subscripts(tmp_path):
    small = model(tmp_path, RANGES + "x[dim,pair] = Time + dim*10\ny = SUM(x[dim!,pair!])")
    wanted = experiment(("x", "y", "x[b,q]"), (0, 1, 5), draws=None)
    found = simulate(small, wanted)
    assert found["x"].dims == ("time", "scenario", "policy", "draw", "dim", "pair")
    assert found["x"].coords["dim"].values.tolist() == ["a", "b", "c"]
    assert found["x[b,q]"].dims == ("time", "scenario", "policy", "draw")
    assert found["x"].sel(dim="b", pair="q").to_numpy().ravel().tolist() == [20, 21, 25]
    assert found["x[b,q]"].to_numpy().ravel().tolist() == [20, 21, 25]


def test_an_array_is_set_whole_by_a_list_and_by_element(tmp_path):
    small = model(tmp_path, RANGES + "k[dim] = 1, 2, 3\nx[dim] = k[dim]*2 + Time", step=1, end=1)

    def at_start(**values):
        return simulate(small, set=values)["x"].to_numpy()[0, 0, 0, 0].tolist()

    assert at_start(k=5) == [10, 10, 10]
    assert at_start(k=[1, 4, 9]) == [2, 8, 18]
    assert at_start(**{"k[b]": 7}) == [2, 14, 6]
    with pytest.raises(Error, match=r"P308.*k takes 3 number"):
        at_start(k=[1, 2])
    with pytest.raises(Error, match=r"P305.*no constant 'k\[z\]'"):
        at_start(**{"k[z]": 1})


def test_elements_are_levers_and_draws(tmp_path):
    small = model(tmp_path, RANGES + "k[dim] = 1, 2, 3\nx[dim] = INTEG(k[dim], 0)", step=1)
    found = simulate(
        small,
        experiment(("x",), (10,), {"as it is": {}, "more": {"k[c]": 9}}, {"k[a]": [0.5, 4]}),
    )
    assert found["x"].to_numpy()[0, 0].tolist() == [
        [[5, 20, 30], [40, 20, 30]], [[5, 20, 90], [40, 20, 90]]
    ]  # fmt: skip


def test_the_kernel_equals_the_plain_run_bit_for_bit(tmp_path):
    for name in ("subscript_reductions", "subscripted_states", "subscripted_lookups"):
        program = compile_model(read_model(FIXTURES / f"{name}.mdl"))
        plain = simulate(program)
        one = (Setting("one"),)
        lanes = Experiment(one, one, no_draws(), tuple(plain), plain.time.to_numpy())
        found = simulate(program, lanes)
        for variable in plain:
            assert np.array_equal(found[variable].to_numpy(), plain[variable].to_numpy()), variable


def test_a_failing_lane_names_the_array_and_spares_the_others(tmp_path):
    small = model(tmp_path, RANGES + "k[dim] = 1, 2, 3\nx[dim] = 1/(k[dim] - Time)", step=1)
    with pytest.raises(Error, match=r"S202.*1 of 2 lanes.*x\[b\] at time 9.*division by zero"):
        simulate(small, experiment(("x",), (10,), draws={
            "k[a]": [20, 20], "k[b]": [21, 9], "k[c]": [22, 22]
        }))  # fmt: skip


def test_each_turn_of_a_loop_marks_its_own_lanes(tmp_path):
    # Element after element fails in another lane, behind a scalar that fails in one more, in an
    # equation, in a sum and in what is remembered.
    equations = """
        k[dim] = 1, 2, 3
        s = 1
        first = LN(s)
        x[dim] = first + LN(k[dim])
        y = SUM(LN(k[dim!] + 1))
        w = DELAY FIXED(s, 1, 0)
        z[dim] = DELAY FIXED(SQRT(k[dim] + 2), 1, 0) + w
    """
    lanes = 12
    columns = {name: np.ones(lanes) for name in ("k[a]", "k[b]", "k[c]", "s")}
    fatal = {2: ("s", 0), 3: ("k[a]", 0), 5: ("k[c]", -0.5), 6: ("k[b]", 0), 7: ("k[a]", -1),
             9: ("k[c]", -3), 11: ("k[b]", -2.5)}  # fmt: skip
    for lane, (name, value) in fatal.items():
        columns[name][lane] = value
    small = model(tmp_path, RANGES + equations, step=1, end=2)
    for outputs in (("x",), ("y",), ("z",), ("x", "y", "z")):
        with pytest.raises(Error) as caught:
            simulate(small, experiment(outputs, (2,), draws=columns))
        alone = {}
        for lane in range(lanes):
            try:
                simulate(
                    compile_model(small, outputs),
                    set={name: float(values[lane]) for name, values in columns.items()},
                )
            except Error as error:
                alone[lane] = float(re.search(r"at time ([\d.]+)", error.message)[1])
        assert {f["draw"]: f["time"] for f in caught.value.failures} == alone
    assert set(alone) == set(fatal)


def test_a_range_may_be_called_as_an_axis_of_results(tmp_path):
    found = run("policy: old, new ~ ~ |\nx[policy] = 1, 2", tmp_path)
    assert found["x"].dims[-1] == "policy (range)"


# -- one loop, not forty equations -------------------------------------------------------------


def test_an_equation_over_a_range_is_one_loop(tmp_path):
    big = "wide: (w1-w50) ~ ~ |\ntall: (t1-t3) ~ ~ |\n" + "\n".join(
        f"x{i}[wide,tall] = INTEG({f'x{i - 1}[wide,tall]' if i else 'Time'}*0.1, wide)\n"
        f"y{i}[wide] = SUM(x{i}[wide,tall!])/(1 + y{i - 1 if i else 'n'}[wide])"
        for i in range(50)
    )  # fmt: skip
    program = compile_model(model(tmp_path, big + "\nyn[wide] = 1"), ("y49",))
    equations = program.source.partition("SMALL = ")[0]
    # 100 variables of 150 and 50 elements: some lines each, in each of the functions.
    assert len(equations.splitlines()) < 100 * 15 + len(program.defaults) + 300
    assert "for i1 in range(50):" in equations
    load_kernel(program.source)


# -- errors -----------------------------------------------------------------------------------

WRONG = {
    "x[dim] = y[pair]\ny[pair] = 1, 2": "M120.*'x': the subscript 'pair' is not on the left",
    "x[dim] = y[a]\ny = 3": "M120.*'x': 'y' has no subscripts",
    "x[dim] = y\ny[dim] = 3": r"M120.*'x': 'y' takes the subscripts \[dim\]",
    "x[dim] = y[a,b]\ny[dim] = 3": r"M120.*'x': 'y' takes the subscripts \[dim\]",
    "x[dim] = 1, 2": "M120.*'x': 2 values for 3 elements",
    "x = y[p]\ny[dim] = 1": "M120.*'x': 'y' has no element 'p' in 'dim'",
    "x[dim] = dim! + 1": "M1..",
    "x[dim] = y[dim!]\ny[dim] = 1": "M109.*'x': dim! outside of SUM",
    "x = ELMCOUNT(y)\ny = 1": "M120.*'x': ELMCOUNT takes the name of a subscript range",
    "x[dim] = VECTOR SORT ORDER(y[dim], 1)\ny[dim] = 1": "M109.*'x': the function 'VECTOR SORT",
    "x[dim] :EXCEPT: [a,p] = 1": "M120.*EXCEPT",
}


@pytest.mark.parametrize("equations", WRONG)
def test_what_does_not_fit_is_told_with_variable_and_line(tmp_path, equations):
    with pytest.raises(ModelError, match=WRONG[equations]):
        compile_model(model(tmp_path, RANGES + equations))


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ("r: r ~ ~ |\ns: t ~ ~ |\nt: s ~ ~ |", "M120.*holds itself"),
        ("r <-> nothing ~ ~ |", "M120.*copy of 'nothing'"),
        ("x[nowhere] = 1", "M120.*'nowhere' is neither a subscript range nor an element"),
        (
            "r: r1, r2 ~ ~ |\nx[r] = 1\nx[r1,r2] = 2",
            "M120.*line 3, 'x': defined with different numbers of subscripts",
        ),
        ("r: r1, r2 ~ ~ |\nr = 4", "M107.*'r' is a variable and a subscript range"),
        ("r: r1, r2 ~ ~ |\nx[r] = 1\nx = 2", "M107.*'x'.*is defined already"),
    ],
)
def test_ranges_that_make_no_sense(tmp_path, ranges, told):
    with pytest.raises(ModelError, match=told):
        compile_model(model(tmp_path, ranges))


def test_pysd_runs_what_is_not_compiled_into_the_same_kind_of_result(tmp_path):
    small = model(tmp_path, RANGES + "y[dim] = 3, 1, 2\nx[dim] = VECTOR SORT ORDER(y[dim], 1)")
    with pytest.raises(ModelError, match=r"M109.*'x'.*VECTOR SORT ORDER"):
        simulate(small)
    found = simulate(small, engine="pysd")
    assert found["x"].dims == ("time", "scenario", "policy", "draw", "dim")
    assert found["x"].to_numpy()[0, 0, 0, 0].tolist() == [1, 2, 0]


def test_names_that_pysd_would_paste_into_its_program_are_refused(tmp_path):
    path = tmp_path / "pasted.mdl"
    path.write_text(
        text(
            "dim: \"a'] + [__import__('os').system('touch /tmp/never')] + ['\", b ~ ~ |\nx[dim] = 1"
        )
    )
    with pytest.raises(ModelError, match=r"M116.*holds a quote"):
        simulate(read_model(path), engine="pysd")


# -- found by readers of this code -------------------------------------------------------------


def both(small, outputs=None, **settings):
    """A plain run and the same in the kernel, by name."""
    plain = simulate(small, **settings)
    names = tuple(outputs or plain)
    lanes = experiment(names, plain.time.to_numpy())
    lanes.draws.index = [0]
    return plain, simulate(small, lanes, **settings)


def test_a_quotient_by_one_element_of_a_constant(tmp_path):
    # The kernel divides by constants with inverses that it makes once a run.
    small = model(
        tmp_path,
        RANGES + "z0 = 7\nk[dim] = 1, 2, 4\ng[dim] = k[dim]*3\nh = 5\n"
        "y = Time/k[b] + Time/g[c]\nw[dim] = Time/k[dim] - Time/g[a]",
        step=1,
    )
    plain, kernel = both(small)
    t = np.arange(11)
    assert column(plain, "y") == pytest.approx(t / 2 + t / 12)
    for name in ("y", "w"):
        assert np.array_equal(plain[name].to_numpy(), kernel[name].to_numpy())


def test_a_sum_of_one_element_keeps_its_parentheses(tmp_path):
    found = run("x[dim] = 1, 2, 3\ny = SUM(x[a] + 1)*2 - SUM(x[b] + 1)", tmp_path)
    assert column(found, "y")[0] == 2 * 2 - 3


def test_time_settings_hold_in_ensembles_of_some_outputs(tmp_path):
    equations = "begin = 0\nk = 1\nS = INTEG(k, 0)\nother = S*2\nend = FINAL TIME"
    path = tmp_path / "times.mdl"
    path.write_text(text(equations, start="begin", end=6, step=1), encoding="utf-8")
    small = read_model(path)
    wanted = experiment(("S", "end"), (0, 6))
    for given, s, end in (
        ({"INITIAL TIME": -3}, [3, 9], 6),
        ({"begin": -3}, [3, 9], 6),
        ({"FINAL TIME": 9, "TIME STEP": 0.5}, [0, 6], 9),
    ):
        found = simulate(compile_model(small), wanted, set=given)
        assert found["S"].to_numpy().ravel().tolist() == s
        assert set(found["end"].to_numpy().ravel()) == {end}
    with pytest.raises(Error, match=r"P309.*'begin'"):
        simulate(small, experiment(("S",), (6,), draws={"begin": [0, 1]}))


def test_what_decides_the_order_of_a_delay_cannot_be_set(tmp_path):
    small = model(tmp_path, "s = SMOOTH N(Time, 2, 0, 1/TIME STEP)", step=0.5, end=2)
    for settings in ({"set": {"TIME STEP": 0.25}}, {"time_step": 0.25}):
        with pytest.raises(Error, match=r"P309.*TIME STEP.*order of a delay"):
            simulate(small, **settings)


def test_arrays_are_set_in_their_own_shape(tmp_path):
    import xarray as xr

    small = model(tmp_path, RANGES + "x[dim,pair] = 1,2;3,4;5,6;\ny[dim,pair] = x[dim,pair]*10")
    turned = xr.DataArray([[1, 3, 5], [2, 4, 6]], dims=("pair", "dim"))
    for engine in ("compiled", "pysd"):
        for value in (turned, [[1, 2], [3, 4], [5, 6]], [1, 2, 3, 4, 5, 6]):
            found = simulate(small, set={"x": value}, engine=engine)
            assert found["y"].to_numpy()[0, 0, 0, 0].tolist() == [[10, 20], [30, 40], [50, 60]]
        found = simulate(small, set={"x[b,q]": 7}, engine=engine)
        assert found["y"].to_numpy()[0, 0, 0, 0].ravel().tolist() == [10, 20, 30, 70, 50, 60]
    with pytest.raises(Error, match=r"P308.*3 x 2"):
        simulate(small, set={"x": [[1, 2, 3], [4, 5, 6]]})


def test_missing_values_can_be_asked_for(tmp_path):
    with pytest.warns(UserWarning, match="missing values"):
        plain, kernel = both(model(
            tmp_path,
            "x = IF THEN ELSE(Time > 1, :NA:, Time)\ny = IF THEN ELSE(x = :NA:, 10, x)\n"
            "z = IF THEN ELSE(x <> :NA:, x, -1)",
            step=1, end=3,
        ))  # fmt: skip
    for found in (plain, kernel):
        assert column(found, "y").tolist() == [0, 1, 10, 10]
        assert column(found, "z").tolist() == [0, 1, -1, -1]


def test_mappings_in_both_directions_but_not_to_several(tmp_path):
    ranges = (
        "after: one, two, three ~ ~ |\nlinked: l1, l2, l3 -> after ~ ~ |\n"
        "twin <-> after ~ ~ |\ny[after] = 1, 5, 9\n"
    )
    found = run(ranges + "x[linked] = y[after]*2\nz[twin] = y[after] + 1", tmp_path)
    assert found["x"].to_numpy()[0, 0, 0, 0].tolist() == [2, 10, 18]
    assert found["z"].to_numpy()[0, 0, 0, 0].tolist() == [2, 6, 10]
    with pytest.raises(ModelError, match=r"M120.*several elements for one of 'pair'"):
        compile_model(model(tmp_path, RANGES + "u: u1, u2, u3 -> (pair: p, p, q) ~ ~ |\n"
                                               "y[u] = 1, 2, 3\nx[pair] = y[u]"))  # fmt: skip


def test_a_failure_behind_an_array_is_named_where_it_began(tmp_path):
    small = model(tmp_path, RANGES + "s = INTEG(s*1e60, 1)\ny = s*1e200\nx[dim] = y*dim", step=1)
    with pytest.raises(Error, match=r"S201: y at time"):
        simulate(small)
    with pytest.raises(Error, match=r"S201: x\[c\] at time 3: division by zero"):
        simulate(model(tmp_path, RANGES + "x[dim] = 1/(dim - Time)", start=3, step=1))


def test_rows_of_a_table_of_numbers_fit_its_last_range(tmp_path):
    with pytest.raises(ModelError, match=r"M120.*'x': rows of 3 numbers for 2 elements"):
        compile_model(model(tmp_path, RANGES + "x[dim,pair] = 1,2,3;4,5,6;"))


def test_a_store_of_arrays_and_a_measure_of_an_element(tmp_path):
    from sdkit import Measure, quantiles

    small = model(tmp_path, RANGES + "k = 1\nx[dim,pair] = INTEG(k*dim, 0)", step=1)
    wanted = experiment(
        ("x",), (5, 10), draws={"k": np.linspace(1, 2, 5)},
        measures=(Measure("late", "x[b,q]", "mean", [(0, 10)]),),
    )  # fmt: skip
    stored = simulate(small, wanted, store=tmp_path / "store")
    found = simulate(small, wanted)
    assert stored["x"].dims == ("time", "scenario", "policy", "draw", "dim", "pair")
    assert np.array_equal(stored["x"].to_numpy(), found["x"].to_numpy())
    assert quantiles(stored, [0.5])["x"].sel(time=10, dim="c", pair="p").item() == 45
    assert found["late"].to_numpy().ravel() == pytest.approx(10 * np.linspace(1, 2, 5))
    with pytest.raises(Error, match=r"S203.*'x' is an array.*such as x\[a,p\]"):
        simulate(small, experiment((), (), measures=(Measure("m", "x", "mean", [(0, 10)]),)))
    with pytest.raises(Error, match=r"S208.*two results are named 'x'"):
        simulate(small, experiment(
            ("x",), (10,), measures=(Measure("x", "k", "mean", [(0, 10)]),)
        ))  # fmt: skip


def test_an_array_and_its_element_are_averaged_alike(tmp_path):
    small = model(tmp_path, RANGES + "x[dim] = Time*dim", step=1)
    found = simulate(small, experiment(("x", "x[b]"), (0, 4), averaged=("x", "x[b]")))
    assert found["x"].to_numpy()[1, 0, 0, 0].tolist() == [2, 4, 6]
    assert found["x[b]"].to_numpy().ravel()[1] == 4
    with pytest.raises(Error, match="S208"):
        simulate(small, experiment(("x", "x[b]"), (0, 4), averaged=("x",)))
    with pytest.raises(Error, match="S203"):
        simulate(small, experiment(("x",), (0, 4), averaged=("x[b]",)))
