"""Sensitivity, discovery and portfolios as run folders, on the teaching model."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from sdkit.discover import inside
from sdkit.discover_run import _digits, execute_discovery, read_cases
from sdkit.errors import Error
from sdkit.inputs import FITTED, Input, Inputs, trajectories
from sdkit.optimize_run import Instruments, read_wanted
from sdkit.optimize_study import execute_search
from sdkit.outputs import Output
from sdkit.results import carry_out
from sdkit.run import prepare, read_run
from sdkit.sensitivity import CHANCE, Crossing, Settled, dependence, quantities, ranking, settle
from sdkit.sensitivity_plot import write_sensitivity_figures
from sdkit.sensitivity_run import prepare_inputs, read_asked
from sdkit.sensitivity_study import execute_sensitivity

HEAD = """
do = "{do}"
question = "What of it?"
model = "models/sir"
seed = 20260222
draws = {{ from = "{source}", n = {n} }}
scenarios = ["reference"]
policies = ["no programme", "vaccination", "contact reduction"]
outputs = ["infections per year", "effort per year"]
horizon = [2026, 2040]
"""
SENSITIVITY = """
[sensitivity]
methods = ["sobol", "morris", "prcc", "srrc", "pawn", "rbd-fast", "delta"]
trajectories = 16
second_order = true
at = ["horizon", "peak", "time of peak", "2030"]
crossings = [{ output = "infections per year", below = 5000 }]
"""
# Inline tables of TOML stand on one line.
LEVEL = (
    '{ policy = "vaccination", output = "infections per year", of = "level", period = "2030", '
    "above = 0 }"
)
DISCOVER = (
    """
[discover]
cases = [
    { policy = "vaccination", output = "infections per year", above = -0.5 },
    """
    + LEVEL
    + "\n]\n"
)
OPTIMIZE = """
[optimize]
limit = { output = "effort per year", most = 20 }
portfolios = 64
search_draws = 16
delays = [1, 3]
gap = 1
orders = [{ name = "vaccination first", stages = [["vaccination"], ["contact reduction"]] }]
"""


def write(project, do: str, body: str, n: int = 256, source: str = "priors"):
    folder = project / "runs" / do
    folder.mkdir(exist_ok=True)
    text = HEAD.format(do=do, n=n, source=source) + body
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return folder


def sensitivity(folder, work=None):
    run = read_run(folder)
    asked = read_asked(run)
    prepared = prepare(run)
    return execute_sensitivity(prepared, asked, prepare_inputs(prepared, asked), work)


@pytest.fixture(scope="module")
def of_sir(root, tmp_path_factory):
    """A study of the teaching model by every method."""
    import shutil

    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(root / "models" / "sir", folder / "models" / "sir")
    (folder / "runs").mkdir()
    return sensitivity(write(folder, "sensitivity", SENSITIVITY))


# -- quantities --------------------------------------------------------------------------


def test_quantities_by_hand():
    """Two policies, three years, one design, two runs."""
    levels = np.array(
        [[[[10.0, 20]], [[30, 10]], [[20, 40]]], [[[5.0, 20]], [[15, 5]], [[30, 40]]]]
    )
    years = np.array([2026, 2027, 2028])
    output = Output("deaths", "deaths", "sum", "people", "lower", True)
    crossing = Crossing("deaths", "below", 12)
    found, values = quantities(
        levels, output, ["a", "b"], years, ["horizon", "peak", "time of peak", "2027"], [crossing]
    )
    own = {(q.at, q.policy): (q.unit, v[0].tolist()) for q, v in zip(found, values, strict=True)}
    assert own["2026", ""] == ("people", [10, 20])
    assert own["2027", "b"] == ("%", [-50, -50])
    assert own["2026–2028", ""] == ("people", [60, 70])
    assert own["2026–2028", "b"][1] == pytest.approx([-100 * 10 / 60, -100 * 5 / 70])
    assert own["peak", "b"] == ("%", [0, 0])
    assert own["time of peak", ""] == ("year", [2027, 2028])
    assert own["time of peak", "b"] == ("year", [1, 0])
    assert own["in 2027", ""] == ("people", [30, 10])
    assert own["first year below 12", ""] == ("year", [2026, 2027])
    # Policy b comes below 12 in 2026 and 2027 too, in the first run and in the second.
    assert own["first year below 12", "b"] == ("year", [0, 0])


def test_an_effect_in_years_is_one_however_large_the_levels():
    levels = 1e11 * np.array([[[[1.0], [2]], [[2], [1]]]]).reshape(1, 2, 1, 2)
    levels = np.concatenate([levels, levels[:, ::-1]])
    output = Output("x", "x", "sum", "USD", "lower", True)
    found, values = quantities(levels, output, ["a", "b"], np.array([2026, 2027]), ["time of peak"])
    own = [v[0].tolist() for q, v in zip(found, values, strict=True)
           if q.at == "time of peak" and q.policy]  # fmt: skip
    assert own == [[-1, 1]]


def test_an_effect_on_nothing_is_no_percentage():
    levels = np.array([[[[0.0, 1]]], [[[2.0, 3]]]])
    output = Output("x", "x", "last", "kg", "none", True)
    found, values = quantities(levels, output, ["a", "b"], np.array([2026]), ["horizon"])
    effect = [v[0].tolist() for q, v in zip(found, values, strict=True) if q.policy]
    assert effect == [[2, 2], [2, 2]]
    assert {q.unit for q in found} == {"kg"}


def test_a_ranking_settles_by_change_and_width():
    def rows(value, width):
        return pd.DataFrame(
            {"method": "sobol", "index": "total", "input": "a", "output": "b", "policy": "",
             "at": "peak", "value": [value], "high": [value + width], "n": [8]}
        )  # fmt: skip

    assert settle(None, rows(0.5, 0.01), "sobol") == Settled(
        "sobol", 8, np.inf, pytest.approx(0.01)
    )
    assert settle(rows(0.48, 0.1), rows(0.5, 0.01), "sobol").stable
    assert not settle(rows(0.4, 0.1), rows(0.5, 0.01), "sobol").stable
    assert not settle(rows(0.5, 0.1), rows(0.5, 0.06), "sobol").stable
    # What did not vary in the smaller sample had no index there.
    assert settle(rows(0.5, 0.1).assign(at="other"), rows(0.5, 0.01), "sobol").change == np.inf


def test_a_mean_along_an_input():
    x = np.linspace(0, 1, 1600)
    rows = dependence(x, 3 * x)
    assert len(rows) == 16
    assert rows["mean"].to_numpy() == pytest.approx(3 * rows["at"].to_numpy())
    switch = np.repeat([0.0, 1.0], 50)
    assert dependence(switch, switch + 1)[["at", "mean", "runs"]].values.tolist() == [
        [0, 1, 50], [1, 2, 50],
    ]  # fmt: skip


# -- inputs ------------------------------------------------------------------------------


def posterior(project, settings=(0, 0, 0, 1)):
    """A posterior of four draws, told apart by the infectivity; a switch held or not."""
    rows = [f"{s},{0.08 + 0.01 * i:.2f},0.14,0.3" for i, s in enumerate(settings)]
    text = "# unverified: four rows of a test\n"
    text += "immunity wanes,infectivity,infectious duration,reporting fraction\n" + "\n".join(rows)
    (project / "models" / "sir" / "posterior.csv").write_text(text + "\n", encoding="utf-8")
    return prepare(read_run(write(project, "sensitivity", SENSITIVITY.replace(
        '"rbd-fast", ', ""), source="posterior"))).parameters  # fmt: skip


def test_a_posterior_is_one_input_after_its_switch(project):
    inputs = Inputs(posterior(project), "posterior")
    assert inputs.names[:2] == (FITTED, "immunity wanes")
    assert "infectivity" not in inputs.names
    points = np.full((4, len(inputs)), 0.5)
    points[:, 0] = [0.1, 0.5, 0.9, 0.5]
    points[:, 1] = [0.0, 0.5, 0.74, 0.76]
    draws = inputs.draws(points)
    # Three rows have setting 0, one has 1: by their share, and each row by its share of those.
    assert draws["immunity wanes"].tolist() == [0, 0, 0, 1]
    assert draws["infectivity"].tolist() == [0.08, 0.09, 0.1, 0.11]


def test_a_posterior_of_one_setting_has_no_switch_to_vary(project):
    inputs = Inputs(posterior(project, (0, 0, 0, 0)), "posterior")
    assert "immunity wanes" not in inputs.names
    assert set(inputs.draws(inputs.points(64, 1))["immunity wanes"]) == {0}


def test_chosen_inputs_leave_the_others_as_one(parameters):
    inputs = Inputs(parameters, "priors", ["infectivity"])
    one, rest = inputs.inputs
    assert one.name == "infectivity"
    assert rest.name == f"{len(inputs) - 1} other inputs, together"
    assert sorted(one.columns + rest.columns) == list(range(len(inputs)))


def test_what_was_fitted_cannot_be_chosen_alone(project):
    with pytest.raises(Error, match="moves with the others"):
        Inputs(posterior(project), "posterior", ["infectivity"])


def test_halves_are_alike_in_every_input(project, parameters):
    """Every other point of a net would fill one half of the second input."""
    inputs = Inputs(parameters, "priors")
    points = inputs.points(1024, 20260222)
    half = inputs.halves(points, 1)
    assert half.sum() == 512
    # Means of 512 uniform points: a standard deviation of 0.0128.
    assert np.abs(points[half].mean(axis=0) - 0.5).max() < 5 * 0.0128


def test_no_row_of_a_posterior_is_in_both_halves(project):
    inputs = Inputs(posterior(project), "posterior")
    points = inputs.points(512, 3)
    half, rows = inputs.halves(points, 1), inputs.draws(points).infectivity
    assert 0 < half.sum() < 512
    assert not set(rows[half]) & set(rows[~half])


def test_what_is_set_does_not_vary(parameters):
    inputs = Inputs(parameters, "priors", held=["infectivity"])
    assert "infectivity" not in inputs.names


# -- a study -----------------------------------------------------------------------------


def test_a_study_gives_every_index_of_every_quantity(of_sir):
    table = of_sir.table
    assert set(table.method) == {"sobol", "morris", "prcc", "srrc", "pawn", "rbd-fast", "delta"}
    assert set(table[table.method == "sobol"]["index"]) == {"first", "total", "second"}
    own = table[(table.method == "sobol") & (table["index"] == "total")]
    assert set(own["at"]) == {
        *map(str, range(2026, 2041)), "2026–2040", "peak", "time of peak", "in 2030",
        "first year below 5000",
    }  # fmt: skip
    assert set(own.policy) == {"", "vaccination", "contact reduction"}
    # Jansen's estimator is a mean of squares over a variance. Where few of the 256 runs make that
    # variance (a switch that rarely matters) it can lie far above one, and its interval says so:
    # each interval reaches down to 1, and a value whose interval is narrow is near 0 to 1.
    assert (own.value >= 0).all()
    assert (own.low <= 1.0).all()
    assert own.value[own.high - own.low <= 0.6].max() <= 1.3


def test_methods_agree_on_what_matters(of_sir):
    """Variance-based, screening, rank and density methods name the same two inputs of the effect of
    contact reduction, in either order."""
    quantity = next(q for q in of_sir.main if q.policy == "contact reduction")
    for method in of_sir.settled:
        first = set(ranking(of_sir.table, quantity, method).input[:2])
        assert first == {"contact reduction effect", "immunity wanes"}, method


def test_what_a_policy_does_not_touch_has_no_index(of_sir):
    own = of_sir.table[
        (of_sir.table.input == "vaccine efficacy") & (of_sir.table["index"] == "total")
        & (of_sir.table.policy == "contact reduction")
        & (of_sir.table.output == "infections per year")
    ]  # fmt: skip
    assert (own.value == 0).all()


def test_a_study_resumes_with_the_same_numbers(project, tmp_path, monkeypatch):
    """What a block holds is read again, and not simulated."""
    folder = write(project, "sensitivity", SENSITIVITY.replace('"delta"', '"srrc"').replace(
        '"srrc", "pawn", "rbd-fast", ', ""), n=64)  # fmt: skip
    work = tmp_path / "work"
    work.mkdir()
    first = sensitivity(folder, work)

    def never(*_, **__):
        raise AssertionError("a block was simulated again")

    monkeypatch.setattr("sdkit.sensitivity_study.simulate", never)
    again = sensitivity(folder, work)
    pd.testing.assert_frame_equal(first.table, again.table)


def test_a_study_stops_when_its_ranking_is_stable(project):
    """The effect of contact reduction on effort hangs on one input alone: settled early."""
    body = '[sensitivity]\nmethods = ["sobol"]\n'
    folder = write(project, "sensitivity", body, n=8192)
    text = (folder / "run.toml").read_text().replace("infections per year", "effort per year", 1)
    text = text.replace('outputs = ["effort per year", "effort per year"]',
                        'outputs = ["effort per year"]')  # fmt: skip
    (folder / "run.toml").write_text(text)
    found = sensitivity(folder)
    assert found.settled["sobol"].stable
    assert found.settled["sobol"].n < 8192
    assert found.looks.n.max() == found.settled["sobol"].n


def test_screening_keeps_the_inputs_that_matter(project):
    body = '[sensitivity]\nmethods = ["sobol"]\nscreen = 3\ntrajectories = 16\n'
    found = sensitivity(write(project, "sensitivity", body, n=128))
    names = set(found.table[found.table.method == "sobol"].input)
    assert len(names) == 4
    assert "contact reduction effect" in names
    assert any("other inputs, together" in name for name in names)


def test_a_study_of_a_posterior(project):
    posterior(project)
    found = sensitivity(write(project, "sensitivity", SENSITIVITY.replace(
        '"rbd-fast", ', "").replace(', "delta"', ""), n=64, source="posterior"))  # fmt: skip
    sobol = found.table[found.table.method == "sobol"]
    assert FITTED in set(sobol.input)
    assert "infectivity" in set(found.table[found.table.method == "prcc"].input)


def test_the_page_and_tables_of_a_study(project, sdkit):
    folder = write(project, "sensitivity", SENSITIVITY.replace(', "delta"', ""), n=64)
    code, out, _ = sdkit("run", folder)
    assert code == 0
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "depends most on" in page
    assert page.count("<figure>") >= 10
    table = pd.read_csv(folder / "summary.csv")
    assert {"sobol", "morris", "prcc"} <= set(table.method)
    assert json.loads((folder / "record.json").read_text())["draws"]["n"] == 64
    assert not list((folder / "out").glob("unfinished-*"))
    assert re.search(r"report\.html", out)


def test_a_figure_names_its_quantity_and_unit(project):
    """A date has its year, a difference of dates is in years; neither is a level."""
    body = '[sensitivity]\nmethods = ["sobol"]\ninputs = ["infectivity"]\nat = ["time of peak"]\n'
    found = sensitivity(write(project, "sensitivity", body, n=64))
    made = write_sensitivity_figures(found, project / "figures")
    (ranked,), (level, effect, _) = made["ranked"], made["along"]
    peak = "he time of the peak of infections per year"
    assert f"matters most for the effect of “contact reduction” on t{peak}" in ranked.title
    assert "time of peak, the first 2 inputs;" in ranked.alt
    number = r"−?\d+(\.\d+)?"
    years = r"20[2-4]\d(\.\d)?"
    assert re.fullmatch(f"T{peak}: from {years} to {years} along infectivity", level.title)
    assert re.fullmatch(
        f"The effect of “vaccination” on t{peak}: from {number} years to {number} years along "
        "infectivity", effect.title,
    )  # fmt: skip
    drawn = (project / "figures" / f"{ranked.stem}.svg").read_text(encoding="utf-8")
    assert "level" not in drawn
    drawn = (project / "figures" / f"{level.stem}.svg").read_text(encoding="utf-8")
    assert ">year of the peak</text>" in drawn


def test_a_group_takes_its_turn_by_names():
    """Whatever stands before it, and in whatever order its columns are."""
    group, one = Input("others", (0, 1)), Input("c", (2,))
    _, order, _ = trajectories(["a", "b", "c"], [group, one], 64, 1)
    _, other, _ = trajectories(["b", "a", "c"], [one, group], 64, 1)
    assert (order == 1 - other).all()
    assert 0 < (order[0] == 0).sum() < 64


def test_a_date_in_a_limit_keeps_its_year():
    assert _digits(2030.26, "Years") == _digits(2030.26, "yr") == "2030.3"
    assert _digits(2030.26, "people") == "2,030"
    assert _digits(30.26, "Year") == "30.3"


# -- discovery ---------------------------------------------------------------------------


def discovery(project, body, n):
    run = read_run(write(project, "discover", body, n=n))
    prepared = prepare(run)
    return execute_discovery(prepared, read_cases(run, {o.name: o for o in prepared.outputs}))


def test_discovery_finds_why_vaccination_fails(project):
    found = discovery(project, DISCOVER, 1024)
    first, always = found.found
    box = first.boxes[0][1]
    assert {"full vaccination rate", "immunity wanes"} <= set(box.limits)
    assert box.density > 1.5 * first.rate
    # Measured on the draws that did not find it.
    rows = found.x[~found.half]
    mine = inside(box.limits, rows)
    assert box.density == pytest.approx(first.y[~found.half][mine].mean())
    assert always.rate == 1
    assert not always.boxes


def test_a_search_resumes_with_the_same_boxes(project, tmp_path, monkeypatch):
    run = read_run(write(project, "discover", DISCOVER, n=2048))
    prepared = prepare(run)
    cases = read_cases(run, {o.name: o for o in prepared.outputs})
    first = execute_discovery(prepared, cases, tmp_path)
    assert len(list(tmp_path.glob("levels-*.npz"))) == 2

    def never(*_, **__):
        raise AssertionError("draws were simulated again")

    monkeypatch.setattr("sdkit.discover_run.simulate", never)
    again = execute_discovery(prepared, cases, tmp_path)
    assert [one.boxes for one in again.found] == [one.boxes for one in first.found]


def test_the_page_of_a_discovery_speaks_in_units(project):
    folder = write(project, "discover", DISCOVER, n=512)
    carry_out(folder)
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"full vaccination rate under 0\.\d+ 1/Year", page)
    table = pd.read_csv(folder / "summary.csv")
    assert set(table.box) == {0, 1} | set(range(2, table.box.max() + 1))


# -- portfolios --------------------------------------------------------------------------


def portfolios(project, body=OPTIMIZE, n=64):
    run = read_run(write(project, "optimize", body, n=n))
    wanted = read_wanted(run)
    prepared = prepare(run)
    return execute_search(prepared, wanted, Instruments(prepared))


def test_portfolios_of_the_teaching_model(project):
    found = portfolios(project)
    effort = found.search["effort per year, mean"]
    assert (found.search.feasible == (effort <= 20)).all()
    chosen = found.chosen.set_index("pick")
    best = chosen.loc["best for infections per year, mean"]
    able = found.candidates[found.candidates.feasible]
    assert best["infections per year, mean"] == able["infections per year, mean"].min()
    assert best["effort per year, mean"] <= 20
    parts = found.parts[found.parts.output == "infections per year"].set_index("instrument")
    assert parts["mean"].drop("all together").sum() == pytest.approx(
        parts["mean"]["all together"], rel=1e-9
    )
    late = found.timing[found.timing.output == "infections per year"].set_index("timing")["mean"]
    # Later is worse, and the longer the worse; with one instrument late it is less bad.
    assert 0 < late["1 year later"] < late["3 years later"]
    assert 0 < late["vaccination first"] < late["1 year later"]


def test_without_a_limit_all_of_it_is_best(project):
    found = portfolios(project, OPTIMIZE.split("\n", 3)[3].join(["[optimize]\n", ""]))
    best = found.chosen[found.chosen.pick == "best for infections per year, mean"].iloc[0]
    assert best["vaccination"] == best["contact reduction"] == 1


def test_the_page_of_portfolios(project):
    folder = write(project, "optimize", OPTIMIZE, n=64)
    carry_out(folder)
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Shapley values split this change: " in page
    assert "1 year later" in page
    for name in ("summary", "attribution", "interactions", "timing", "settings", "information"):
        assert len(pd.read_csv(folder / f"{name}.csv")), name


# -- bad input ---------------------------------------------------------------------------

BAD = {
    "sensitivity": [
        ('"morris"', '"sobel"', "R441", "did you mean 'sobol'"),
        ('"peak"', '"bottom"', "R453", "from 2026 to 2040"),
        ('"2030"', '"2050"', "R453", "from 2026 to 2040"),
        ("below = 5000", "beneath = 5000", "R407", "beneath"),
        ("below = 5000", "below = 5000, above = 3", "R457", "either above or below"),
        ('output = "infections per year"', 'output = "nothing"', "R411", "none of outputs"),
        ("n = 256", "n = 32", "R421", "64 base runs"),
        ('"priors"', '"posterior"', "R420", "independent"),
        ('"priors", n = 256', '"defaults"', "R450", "nothing varies"),
        ('["reference"]', '["reference", "more travel"]', "R461", "one scenario"),
        ("trajectories = 16", "screen = 1", "R443", "two or more"),
        ("trajectories = 16", 'inputs = ["nothing"]', "R458", "no constant with a prior"),
        ("trajectories = 16", 'inputs = ["turnover rate"]', "R458", "no constant with a prior"),
        ("trajectories = 16", 'screen = 3\ninputs = ["infectivity"]', "R456", "in the place of"),
        ('"effort per year"]', '"nothing"]', "R411", "unknown output"),
        ("[sensitivity]", "[sensitive]", "R407", "sensitive"),
        ("[sensitivity]", "periods = ['2030']\n[sensitivity]", "R407", "periods"),
        ('"sobol", "morris"', '"morris"', "R480", 'is for "sobol"'),
    ],
    "discover": [
        ("above = -0.5", "over = -0.5", "R407", "over"),
        ("above = -0.5", "above = -50", "R443", "a change is a share"),
        ("above = -0.5", "above = -0.5, below = 2", "R457", "either above or below"),
        ('policy = "vaccination"', 'policy = "no programme"', "R472", "does not differ"),
        ('policy = "vaccination"', 'policy = "both"', "R411", "none of policies"),
        ('"2030"', '"2050"', "R453", "no year or span"),
        ('of = "level"', 'of = "lever"', "R441", "'level'"),
        ("n = 256", "n = 64", "R421", "256"),
    ],
    "optimize": [
        ("most = 20", "most = -1", "R422", "no portfolio that was tried"),
        ('output = "effort per year"', 'output = "nothing"', "R411", "none of outputs"),
        ("portfolios = 64", "portfolios = 60", "R445", "power of two"),
        ("search_draws = 16", "search_draws = 512", "R481", "fewer than the search_draws"),
        ("n = 256", "n = 32", "R421", "64 draws"),
        ("delays = [1, 3]", "delays = [40]", "R467", "beyond its range"),
        ("delays = [1, 3]", "delays = [0]", "R443", "above zero"),
        (', ["contact reduction"]]', "]", "R463", "each instrument"),
        ('[["vaccination"],', '[["vaccine"],', "R411", "no instrument"),
        ('"vaccination", "contact reduction"]', '"vaccination"]', "R462", "two to 10"),
        ('"infections per year", "effort', '"effort', "R459", "no output a direction"),
    ],
}  # fmt: skip
CASES = [(do, *case) for do, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(("do", "old", "new", "code", "words"), CASES)
def test_bad_input_is_refused_at_once(project, do, old, new, code, words, monkeypatch):
    body = {"sensitivity": SENSITIVITY, "discover": DISCOVER, "optimize": OPTIMIZE}[do]
    folder = write(project, do, body)
    path = folder / "run.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    if code != "R422":  # which needs a few runs of the model

        def never(*_, **__):
            raise AssertionError("the model was run")

        for module in ("sensitivity_study", "discover_run", "optimize_study"):
            monkeypatch.setattr(f"sdkit.{module}.simulate", never)
    with pytest.raises(Error, match=re.escape(words)) as caught:
        carry_out(folder)
    assert caught.value.code == code
    assert not (folder / "summary.csv").exists()


def test_a_study_tells_of_the_inputs_that_were_named(project):
    """All that varies takes part in a regression; what was not asked for is not told."""
    body = (
        '[sensitivity]\nmethods = ["prcc", "pawn"]\ninputs = ["infectivity", "vaccine efficacy"]\n'
    )
    found = sensitivity(write(project, "sensitivity", body))
    assert set(found.table.input) == {"infectivity", "vaccine efficacy", "", CHANCE}
    assert found.inputs == 14


def test_what_a_scenario_sets_is_no_input(project):
    folder = write(project, "sensitivity", SENSITIVITY)
    text = (folder / "run.toml").read_text().replace('["reference"]', '["more travel"]')
    (folder / "run.toml").write_text(text)
    run = read_run(folder)
    prepared = prepare(run)
    assert "imported infections" not in prepare_inputs(prepared, read_asked(run)).names


def test_a_delay_begins_at_a_start_that_was_set_for_once(project):
    folder = write(project, "optimize", OPTIMIZE)
    instruments = Instruments(prepare(read_run(folder), {"vaccination start": 2030}))
    later = instruments.policy("-", [1, 1], {"vaccination": 2.0})
    assert later.values["vaccination start"] == 2032


def test_portfolios_on_the_limit_are_tried(project):
    """A subset that meets it at full strength, and part of one more instrument: closer to the limit
    than any subset or Sobol point of so few."""
    found = portfolios(project, n=64)
    edge = found.search.iloc[4 + 64 :]
    assert len(edge)
    assert edge["effort per year, mean"].to_numpy() == pytest.approx(20, rel=0.05)


def test_two_instruments_of_one_lever_are_refused(project):
    body = OPTIMIZE[: OPTIMIZE.index("orders")]
    folder = write(project, "optimize", body)
    text = (folder / "run.toml").read_text()
    text = text.replace('"contact reduction"]', '"contact reduction", "both"]')
    (folder / "run.toml").write_text(text)
    with pytest.raises(Error, match="both set") as caught:
        carry_out(folder)
    assert caught.value.code == "R464"


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "words"),
    [
        ("policies.toml", '{ "contact reduction strength" = 1 }', "{}", "R465",
         "'contact reduction' sets no lever"),
        ("parameters.csv", "reduction start,lever,2026,2041", "reduction start,fixed,,", "R466",
         "need a lever 'contact reduction start'"),
    ],
)  # fmt: skip
def test_instruments_that_cannot_be_ordered(project, file, old, new, code, words):
    path = project / "models" / "sir" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(Error, match=words) as caught:
        carry_out(write(project, "optimize", OPTIMIZE))
    assert caught.value.code == code


def test_a_study_of_what_nothing_moves_says_so(project):
    body = '[sensitivity]\nmethods = ["prcc"]\n'
    folder = write(project, "sensitivity", body)
    text = (folder / "run.toml").read_text()
    text = text.replace(', "vaccination", "contact reduction"', "").replace(
        '"infections per year", ', ""
    )
    (folder / "run.toml").write_text(text)
    with pytest.raises(Error, match="no input moves effort per year") as caught:
        carry_out(folder)
    assert caught.value.code == "R475"


def test_a_change_of_nothing_is_refused(project):
    body = (
        '[discover]\ncases = [{ policy = "vaccination", output = "effort per year", above = 0 }]\n'
    )
    with pytest.raises(Error, match="is nothing under 'no programme'") as caught:
        discovery(project, body, 256)
    assert caught.value.code == "R474"


def test_an_instrument_goes_from_defaults_to_its_values(project):
    """A start is no strength: at strength 0 it keeps its default, and a delay adds to it."""
    path = project / "models" / "sir" / "policies.toml"
    text = path.read_text(encoding="utf-8")
    later = '"vaccination strength" = 1, "vaccination start" = 2028 }'
    text = text.replace('"vaccination strength" = 1 }', later, 1)
    path.write_text(text, encoding="utf-8")
    prepared = prepare(read_run(write(project, "optimize", OPTIMIZE)))
    instruments = Instruments(prepared)
    assert instruments.policy("-", [0.0, 1.0]).values["vaccination start"] == 2026
    full = instruments.policy("-", [1.0, 0.5], {"vaccination": 3.0, "contact reduction": 1.0})
    assert full.values["vaccination start"] == 2031
    assert full.values["contact reduction start"] == 2027
    assert full.values["contact reduction strength"] == 0.5


def test_a_limit_of_what_falls_can_be_met(project):
    """Without any instrument infections are above it; with all of them they are below."""
    limit = 'limit = { output = "infections per year", most = 600000 }'
    body = OPTIMIZE.replace('limit = { output = "effort per year", most = 20 }', limit)
    found = portfolios(project, body)
    assert (found.candidates[found.candidates.feasible]["infections per year, mean"] <= 6e5).all()
    assert found.baseline["infections per year"] > 6e5


def test_cases_are_read_in_words(project):
    run = read_run(write(project, "discover", DISCOVER))
    outputs = {o.name: o for o in prepare(run).outputs}
    assert [case.sentence for case in read_cases(run, outputs)] == [
        "“vaccination” lowers infections per year by less than 50 %, 2026–2040",
        "“vaccination” has infections per year above 0 people, 2030",
    ]


def studies_of_the_how_to(root) -> list[str]:
    text = (root / "docs" / "how-to.md").read_text(encoding="utf-8")
    found = re.findall(r"^```toml\n(do = .*?)^```$", text, re.S | re.M)
    return [body for body in found if re.match(r'do = "(sens|disc|opt)', body)]


def test_the_studies_of_the_how_to_run_as_printed(root, project):
    """With a sixteenth of their runs."""
    found = studies_of_the_how_to(root)
    assert len(found) == 3
    for number, body in enumerate(found):
        folder = project / "runs" / f"own-{number}"
        folder.mkdir()
        body = body.replace("n = 4096", "n = 256").replace("n = 512", "n = 64")
        (folder / "run.toml").write_text(body, encoding="utf-8")
        assert carry_out(folder).exists()
