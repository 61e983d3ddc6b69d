"""One model in every engine: agreement in numbers, and each known reason to differ."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from sdkit import engines, read_model
from sdkit.engines import COMPILED, PLAIN, PYSD, SIMLIN, compare_engines, engine_lines, unexplained
from sdkit.structure import run_with_simlin
from tests.small import FIXTURES, model


def compare(folder, equations: str, **settings):
    return compare_engines(model(folder, equations, **settings).path)


def row(found, one: str, other: str, method: str = "euler"):
    (row,) = (a for a in found.agreements if a.engines == (one, other) and a.method == method)
    return row


@pytest.mark.parametrize("name", ["delay1.mdl", "names.mdl", "lookup_named.mdl"])
def test_engines_agree_to_rounding(name):
    pytest.importorskip("simlin")
    found = compare_engines(FIXTURES / name)
    labels = [n for n, v in read_model(FIXTURES / name).variables.items() if v.kind != "lookup"]
    assert found.passed
    assert [a.engines for a in found.agreements] == [
        (COMPILED, PLAIN), (COMPILED, PYSD), (COMPILED, SIMLIN), (PYSD, SIMLIN),
    ]  # fmt: skip
    for a in found.agreements:
        assert a.largest < 1e-12
        assert a.over == ()
        assert a.compared == len(labels) - 2 * (SIMLIN in a.engines)
    assert set(found.absent[SIMLIN]) == {"TIME STEP", "SAVEPER"}
    assert not found.refused


def test_pysd_is_wrong_where_a_smooth_starts_at_a_whole_number(tmp_path, sdkit):
    equations = "s = SMOOTHI(1.6, 2, 1)\nreader = 2*s"
    path = model(tmp_path, equations, step=0.5).path
    code, out, error = sdkit("check", path, "--engines")
    assert code == 1
    assert "FAIL  compiled, PySD" in out
    assert "PySD cuts what enters a SMOOTH" in out
    assert "no known cause" not in out
    assert "PySD, Euler" in error
    found = compare_engines(path)
    theirs = row(found, COMPILED, PYSD)
    # By hand: 1.6 - 0.6*0.75^k here, one step later in PySD; the largest value is the last.
    assert theirs.largest == pytest.approx(0.15 / (1.6 - 0.6 * 0.75**20), rel=1e-12)
    assert theirs.time == 0.5
    assert set(theirs.over) == {"s", "reader"}
    assert list(found.causes.values()) == [("s",)]


@pytest.mark.parametrize(
    ("factor", "plain", "pysd"),
    [(1 + 1e-5, False, False), (1 + 1e-7, False, True), (1 + 1e-11, True, True)],
)
def test_a_broken_engine_is_noticed(factor, plain, pysd, tmp_path, monkeypatch, sdkit):
    path = model(tmp_path, "level = INTEG(0.2*level, 3)\nother = 4 + Time").path
    right = engines.simulate

    def wrong(program, experiment=None, **options):
        result = right(program, experiment, **options)
        if experiment is not None:
            result["level"] = result["level"].copy()
            result["level"][-3] *= factor
        return result

    monkeypatch.setattr(engines, "simulate", wrong)
    found = compare_engines(path)
    assert (row(found, COMPILED, PLAIN).passed, row(found, COMPILED, PYSD).passed) == (plain, pysd)
    assert sdkit("check", path, "--engines")[0] == (0 if plain and pysd else 1)
    worst = row(found, COMPILED, PYSD)
    assert worst.variable == "level"
    assert worst.time == 9.75
    # The largest magnitude is the last value, two steps of 1.025 on.
    assert worst.largest == pytest.approx((factor - 1) / 1.025**2, rel=1e-3)
    if not pysd:
        assert unexplained(found, worst) == ["level"]
        assert "no known cause for 1 of the 1" in "\n".join(engine_lines(found))


@pytest.mark.parametrize(("shift", "passed"), [(2e-12, True), (2e-11, False)])
def test_the_rounding_of_terms_is_no_difference_of_their_sum(shift, passed, tmp_path, monkeypatch):
    path = model(tmp_path, "a = 3 + Time\nb = 3 + Time\ngap = a - b").path
    right = engines.simulate

    def shifted(program, experiment=None, **options):
        result = right(program, experiment, **options)
        return result.assign(gap=result["gap"] + shift) if experiment is not None else result

    monkeypatch.setattr(engines, "simulate", shifted)
    found = compare_engines(path)  # a and b reach 13
    assert found.passed == passed
    assert row(found, COMPILED, PYSD).largest == (0 if passed else 1)


def test_without_pysimlin_it_is_said(tmp_path, monkeypatch, sdkit):
    monkeypatch.setitem(sys.modules, "simlin", None)
    code, out, _ = sdkit("check", FIXTURES / "delay1.mdl", "--engines")
    assert code == 0
    assert "skip  pysimlin, Euler: " in out
    assert "pip install -e '.[structure]'" in out
    assert "2 of 2 comparisons passed" in out


def test_where_the_file_says_rk4_both_methods_run(sir, tmp_path):
    pytest.importorskip("simlin")
    path = shutil.copy(sir.path, tmp_path)
    before = (tmp_path / "sir.mdl").read_bytes()
    said = []
    found = compare_engines(path, said.append)
    assert sir.method == "rk4"
    assert [(a.engines, a.method) for a in found.agreements] == [
        ((COMPILED, PLAIN), "rk4"), ((COMPILED, SIMLIN), "rk4"),
        ((COMPILED, PLAIN), "euler"), ((COMPILED, PYSD), "euler"),
        ((COMPILED, SIMLIN), "euler"), ((PYSD, SIMLIN), "euler"),
    ]  # fmt: skip
    assert max(a.largest for a in found.agreements) < 1e-12
    assert "compiled, RK4" in said
    assert "PySD, RK4" not in said
    # It is the method that pysimlin was told, not the file's: the two differ visibly.
    rk4, euler = (run_with_simlin(sir, method)[1]["Infected"] for method in ("rk4", "euler"))
    assert np.abs(rk4 - euler).max() > 1e-3 * np.abs(rk4).max()
    assert [p.name for p in tmp_path.iterdir()] == ["sir.mdl"]
    assert (tmp_path / "sir.mdl").read_bytes() == before


def test_an_euler_file_runs_by_rk4_in_pysimlin_and_xmile_too(tmp_path):
    pytest.importorskip("simlin")
    path = tmp_path / "growth.xmile"
    path.write_text(
        '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">'
        '<sim_specs method="RK4"><start>0</start><stop>4</stop><dt>0.5</dt></sim_specs>'
        '<model><variables><stock name="level"><eqn>1</eqn><inflow>more</inflow></stock>'
        '<flow name="more"><eqn>level</eqn></flow></variables></model></xmile>'
    )
    found = compare_engines(path)
    assert max(a.largest for a in found.agreements) < 1e-12
    growth = read_model(path)
    step = {"rk4": 1 + 0.5 + 0.125 + 0.5**3 / 6 + 0.5**4 / 24, "euler": 1.5}
    for method, factor in step.items():
        level = run_with_simlin(growth, method)[1]["level"]
        assert level[-1] == pytest.approx(factor**8, rel=1e-12)


@pytest.mark.parametrize("engine", [PYSD, SIMLIN])
def test_what_another_engine_raises_is_one_line(engine, tmp_path, monkeypatch, sdkit):
    right = engines._run

    def fail(name, *rest):
        if name == engine:
            raise ZeroDivisionError("no such luck\nsecret")
        return right(name, *rest)

    monkeypatch.setattr(engines, "_run", fail)
    code, out, error = sdkit("check", FIXTURES / "delay1.mdl", "--engines")
    assert code == 0
    assert f"skip  {engine}, Euler: a division by zero\n" in out
    assert "secret" not in out + error
    assert "Traceback" not in out + error


def test_a_file_that_pysimlin_cannot_run(sdkit):
    pytest.importorskip("simlin")
    code, out, _ = sdkit("check", FIXTURES / "game.mdl", "--engines")
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("skip"))
    assert line.startswith("skip  pysimlin, Euler: game.mdl: ")
    assert "game" in line.split(": ", 2)[2]


def test_an_engine_that_saves_other_times_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        engines, "run_with_simlin", lambda *_: (np.arange(0, 10, 0.25), {"x": np.zeros(40)})
    )
    found = compare(tmp_path, "x = Time")
    assert [r for r in found.refused if r[0] == SIMLIN] == [
        (SIMLIN, "euler", "it gives 40 of the 81 saved times")
    ]


def test_an_engine_that_knows_no_variable_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "run_with_simlin", lambda *_: (np.arange(0, 10.1, 0.125), {}))
    found = compare(tmp_path, "x = Time")
    assert [why for engine, _, why in found.refused if engine == SIMLIN] == [
        "it gives no variable of the model"
    ]


def test_a_value_that_only_one_engine_has_differs(tmp_path, monkeypatch):
    gap = np.arange(81.0)
    gap[7] = np.nan
    monkeypatch.setattr(
        engines, "run_with_simlin", lambda *_: (np.arange(0, 10.1, 0.125), {"x": gap})
    )
    theirs = row(compare(tmp_path, "x = 8*Time"), COMPILED, SIMLIN)
    assert (theirs.largest, theirs.time, theirs.over) == (np.inf, 0.875, ("x",))


def test_the_model_itself_that_fails_is_bad_input(tmp_path, sdkit):
    path = model(tmp_path, "x = 1/(5 - Time)").path
    code, out, error = sdkit("check", path, "--engines")
    assert (code, out) == (2, "")
    assert "S201: x at time 5" in error


def test_ctrl_c_is_clean(monkeypatch, sdkit):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "run_with_simlin", interrupt)
    code, out, error = sdkit("check", FIXTURES / "delay1.mdl", "--engines")
    assert (code, out) == (130, "")
    assert "interrupted" in error
    assert "Traceback" not in error


KNOWN = [
    ("x = IF THEN ELSE(Time > 5 :AND: Time < 7 :OR: Time < 2, 1, 0)", PYSD, "euler", "nests"),
    ("x = PULSE(3.01, 0.5)", PYSD, "euler", "PULSE"),
    ("x = PULSE(3.01, 0.5)", SIMLIN, "euler", "PULSE"),
    ("x = SMOOTHI(STEP(1, 3), 2, 0)", SIMLIN, "rk4", "inside an RK4 step"),
    ("x = DELAY FIXED(STEP(1, 3), 2, 0)", SIMLIN, "euler", "DELAY FIXED"),
    ("x = INTEGER(Time - 5.5)", SIMLIN, "euler", "rounds down"),
    ("x = MODULO(Time - 5.5, 2)", SIMLIN, "euler", "sign of the divisor"),
    ("x = IF THEN ELSE(:NOT: Time > 3, 1, 0)", SIMLIN, "euler", ":NOT:"),
    ("pi = 3\nx = pi*Time", SIMLIN, "euler", "XMILE's own"),
]


@pytest.mark.parametrize(("equation", "engine", "method", "words"), KNOWN)
def test_each_known_cause_is_one(equation, engine, method, words, tmp_path):
    if engine == SIMLIN:
        pytest.importorskip("simlin")
    found = compare(tmp_path, f"{equation}\nreader = INTEG(x, 0)", method=method)
    theirs = row(found, COMPILED, engine, method)
    assert theirs.largest > 1e-3
    assert {"x", "reader"} == set(theirs.over)
    assert unexplained(found, theirs) == []
    assert any(words in text and names == ("x",) for text, names in found.causes.items())


def test_a_stock_and_a_flow_that_may_not_be_negative():
    pytest.importorskip("simlin")
    found = compare_engines(FIXTURES / "xmile_stocks.xmile")
    theirs = row(found, COMPILED, SIMLIN)
    assert found.passed
    assert {"sink", "lost", "drain"} <= set(theirs.over)
    assert unexplained(found, theirs) == []


def test_pysd_is_no_judge_of_an_xmile_file():
    """It lets the outflow of an empty stock run on, so that its jar holds more than there was."""
    found = compare_engines(FIXTURES / "xmile_stocks.xmile")
    theirs = row(found, COMPILED, PYSD)
    assert found.passed
    assert theirs.passed is None
    assert {"drain", "jar", "reader of the jar"} == set(theirs.over)
    assert unexplained(found, theirs) == []
    found = compare_engines(FIXTURES / "xmile_functions.xmile")
    theirs = row(found, COMPILED, PYSD)
    assert {"fn int", "fn mod", "fn if logic"} == set(theirs.over)
    assert unexplained(found, theirs) == []


def test_a_cause_that_does_not_apply_is_not_told(tmp_path):
    # INTEGER of a positive number, a pulse of whole steps: nothing differs.
    found = compare(tmp_path, "x = INTEGER(Time) + PULSE(3, 0.5)")
    assert found.passed
    assert found.causes == {}
