"""What pages, figures and tables of a comparison say: a model in days with priors, one in years
with a posterior, and one run with the default values."""

from __future__ import annotations

import base64
import dataclasses
import html
import re
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from sdkit import history_plot, origins, plot, report
from sdkit.comparing import execute
from sdkit.errors import RunError
from sdkit.origins import seen_lines, series_said
from sdkit.outputs import read_outputs
from sdkit.parameters import Parameter, Parameters
from sdkit.provenance import SeriesSeen, sealed
from sdkit.run import prepare, read_run
from sdkit.time_units import YEAR, TimeUnit, without_rate
from tests.small import text as model_text

OUTBREAK = Path(__file__).parent / "cases" / "outbreak-in-days"
RECORD = {"sdkit": "0", "seed": 1, "draws": {"from": "priors", "n": 8}}
WARNING = "The series pull 2 parameters beyond 5 or 95 % of their priors."


def words(text: str) -> str:
    """The text of a page without its marks, its pictures' texts included."""
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r'<img[^>]*alt="([^"]*)"[^>]*>', r" \1 ", text)
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", text)).replace("\u00a0", " ").split())


def page(comparison, out: Path) -> str:
    return words(report.write_report(comparison, out, RECORD).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def outbreak():
    return execute(prepare(read_run(OUTBREAK / "runs" / "outbreak", n=8)))


@pytest.fixture(scope="module")
def days(outbreak, tmp_path_factory):
    """The page in HTML, and in words."""
    out = tmp_path_factory.mktemp("days")
    text = report.write_report(outbreak, out, RECORD).read_text(encoding="utf-8")
    return text, words(text)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, root):
    """The teaching model with a posterior that has seen reported cases from 2010 to 2021."""
    folder = tmp_path_factory.mktemp("fitted")
    shutil.copytree(root / "models" / "sir", folder / "models" / "sir")
    (folder / "runs" / "sir").mkdir(parents=True)
    text = (root / "runs" / "sir" / "run.toml").read_text(encoding="utf-8")
    text = text.replace('{ from = "priors", n = 64 }', '{ from = "posterior", n = 8 }')
    (folder / "runs" / "sir" / "run.toml").write_text(text, encoding="utf-8")
    from sdkit import read_model

    model = read_model(folder / "models" / "sir")
    table = "infectivity,infectious duration,reporting fraction\n" + "".join(
        f"{0.1 + 0.001 * i},{0.15 + 0.001 * i},{0.3 + 0.001 * i}\n" for i in range(8)
    )
    facts = {
        "run": "runs/sir-fit", "question": "?", "model": model.hash, "until": 2021,
        "series": [["reported cases", 2010.0, 2021.0, 12]],
        "held_out": [["reported cases", 2022.0, 2024.0, 3]], "warnings": [WARNING],
    }  # fmt: skip
    text = sealed(f"fitted by runs/sir-fit to sir.mdl {model.hash[:16]}", facts, table)
    (folder / "models" / "sir" / "posterior.csv").write_text(text, encoding="utf-8")
    return execute(prepare(read_run(folder / "runs" / "sir")))


@pytest.fixture(scope="module")
def once(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(root / "models" / "sir", folder / "models" / "sir")
    (folder / "runs" / "sir").mkdir(parents=True)
    text = (root / "runs" / "sir" / "run.toml").read_text(encoding="utf-8")
    text = text.replace('{ from = "priors", n = 64 }', '{ from = "defaults" }')
    (folder / "runs" / "sir" / "run.toml").write_text(text, encoding="utf-8")
    return execute(prepare(read_run(folder / "runs" / "sir")))


@pytest.fixture(scope="module")
def fitted_page(fitted, tmp_path_factory):
    return page(fitted, tmp_path_factory.mktemp("fitted-page"))


@pytest.fixture(scope="module")
def once_page(once, tmp_path_factory):
    return page(once, tmp_path_factory.mktemp("once-page"))


def test_a_model_in_days_speaks_of_days(days, outbreak):
    _, text = days
    assert "Table: change from “nothing”, days 20–190" in text
    assert "the sum of infections over days 20–190 is" in text
    assert "the mean of people infected over days 20–190 is" in text
    assert "the value of infections to date at the end of day 190 is" in text
    assert "Infections per day summed over days 20–190; better: lower" in text
    assert "Day 20, day 40, day 60" in text
    assert "Each day: out/series.csv" in text
    assert not re.search(r"\byears?\b|\byearly\b|\bannual", text, re.I)
    row = outbreak.series[outbreak.series.output == "infections per day"].iloc[0]
    assert (row.unit, row.time) == ("people per day", 0)
    row = outbreak.summary[outbreak.summary.output == "infections per day"].iloc[-1]
    assert (row.reduction, row.unit, row.period) == ("sum", "people", "20-190")


def test_long_horizons_have_few_periods(outbreak):
    assert outbreak.periods == (
        "20", "40", "60", "80", "100", "120", "140", "160", "180", "190", "20-190",
    )  # fmt: skip


def test_nothing_of_another_model_stands_on_a_page(days, fitted_page, once_page):
    for text in (days[1], fitted_page, once_page):
        own = text.replace("Effort spent on both programmes; its unit is arbitrary.", "")
        assert not re.search(
            r"death|overdose|opioid|cartel|drug|operation|debate|thesis|arbitrary|ranked by|money",
            own,
            re.I,
        )


def test_every_figure_of_a_page_shows_its_own_output(days, outbreak):
    """Names that differ in brackets, in letters that are not ASCII, or after 300 of them."""
    html_text, _ = days
    found = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"', html_text)
    fans = [(code, alt) for code, alt in found if alt.startswith("Fan charts of ")]
    names = [output.name for output in outbreak.outputs]
    assert [html.unescape(alt)[14:].split(" by policy. ")[0] for _, alt in fans] == names
    for (code, _), name in zip(fans, names, strict=True):
        picture = base64.b64decode(code).decode("utf-8")
        shown = "".join(
            re.findall(r"<text[^>]*>([^<]*)</text>|<tspan[^>]*>([^<]*)</tspan>", picture)[0]
        )
        assert name[:30].lower() in shown.lower() or name[:30].lower() in picture.lower()
    # The same variable under two names has figures that differ in their titles.
    assert len({code for code, _ in found}) == len(found)


def test_a_page_from_priors_says_so(comparison, tmp_path):
    text = page(comparison, tmp_path)
    assert "All draws are from the priors in parameters.csv. No fit has narrowed them." in text
    assert "Draws come from ranges that people wrote down, and no fit has narrowed them" in text
    assert "posterior" not in text
    assert "Hollow: observed, outside it" in history_plot.history_figure(comparison, tmp_path).note


def test_a_page_from_a_posterior_says_what_it_has_seen(fitted, fitted_page, tmp_path):
    text = fitted_page
    assert "Of the constants that vary, 3 come from the posterior of the fit runs/sir-fit" in text
    assert "Fitted to reported cases (2010–2021, 12 observations)" in text
    assert "Held out of the fit reported cases (2022–2024, 3 observations)" in text
    assert WARNING in text
    assert text.index("has 1 warning .") < text.index("The answer in words")
    assert "Filled points were used by the fit of the posterior; hollow points were not" in text
    for false in (
        "not been narrowed",
        "not used in setting values",
        "not from data",
        "ranges that",
    ):
        assert false not in text
    yearly, monthly = fitted.histories
    assert yearly.series.time[~yearly.filled].tolist() == [2022.0, 2023.0, 2024.0]
    # The fit has not seen the monthly series: no point of it is filled.
    assert not monthly.filled.any()
    figure = history_plot.history_figure(fitted, tmp_path)
    assert "values that the fit did not use" in figure.title
    assert "8 draws from the posterior" in figure.note


@pytest.mark.parametrize(
    ("changed", "said", "told"),
    [
        (None, "The tables show the priors in parameters.csv.", False),
        ((), "The tables show the priors, from which the fit of the posterior began.", False),
        (
            ("parameters.csv", "data/reported_cases.csv"),
            "The tables show parameters.csv as it is now; the fit may have begun from other",
            True,
        ),
    ],
)
def test_priors_are_a_fit_s_own_only_where_no_file_has_changed(
    changed, said, told, fitted, tmp_path
):
    assert fitted.provenance.changed is None  # its head names no files
    provenance = dataclasses.replace(fitted.provenance, changed=changed)
    text = page(dataclasses.replace(fitted, provenance=provenance), tmp_path)
    assert said in text
    assert text.count("The tables show") == 1
    line = "Since the fit these files have changed: parameters.csv, data/reported_cases.csv."
    assert text.count(line) == 2 * told
    assert (line in " ".join(seen_lines(provenance, YEAR))) is told


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ("abc", ""),
        ("abce", "1 other constant"),
        ("abcef", "2 other constants"),
        ("abcS", "1 switch"),
        ("abcefST", "2 other constants and 2 switches"),
    ],
)
def test_from_their_priors_comes_what_nothing_else_decides(drawn, said, monkeypatch):
    """Here `a` comes from the posterior, `b` is set by the run, `c` by every scenario. One that a
    single scenario sets, as it does `e`, is drawn in the others."""
    items = (
        Parameter(name, "structural" if name.isupper() else "uncertain", 0, (0, 1), "", 0, 1,
                  "uniform") for name in drawn
    )  # fmt: skip
    scenarios = [SimpleNamespace(values=dict.fromkeys(names, 1.0)) for names in ("ce", "c")]
    prepared = SimpleNamespace(
        parameters=Parameters(tuple(items)), changed={"b": 1.0}, scenarios=scenarios
    )
    monkeypatch.setattr(origins, "read_posterior", lambda parameters: {"a": [0.5]})
    assert origins._outside(prepared) == said


def test_a_series_is_told_by_its_years_or_its_own_times():
    every = [SeriesSeen("deaths", 2000.04, 2025.96, 312), SeriesSeen("prices", 2010.2, 2010.9, 1)]
    assert series_said(every, YEAR) == (
        "deaths (2000–2025, 312 observations); prices (2010, 1 observation)"
    )
    assert series_said([SeriesSeen("level", 1.5, 30, 20)], TimeUnit("day")) == (
        "level (days 1.5–30, 20 observations)"
    )


def test_a_page_of_one_run_speaks_of_no_draws(once_page):
    text = once_page
    assert "Each policy was simulated once in each scenario, with the default values" in text
    assert "The ranges and priors below played no part in it" in text
    assert "every constant has one value" in text
    text = text.split("Grades:")[0] + text.split("What this run cannot tell")[1]
    assert not re.search(r"\bdraws\b|\bmedian|5–95|at least 95 %", text)


def test_words_and_figures_have_policies_in_one_order(comparison, tmp_path):
    """By relative change also where absolute changes have another order: a policy that halves
    few in all draws, and one that takes away more in the draws that have much."""
    output = comparison.outputs[0]
    table = comparison.summary.copy()
    mine = (table.output == output.name) & (table.scenario == "reference")
    for policy, change, gap in (("vaccination", -0.5, -10.0), ("both", -0.4, -900.0)):
        table.loc[mine & (table.policy == policy), ["change_median", "diff_median"]] = change, gap
    changed = dataclasses.replace(comparison, summary=table)
    alt = plot._tornado(changed, output, tmp_path, "t").alt
    assert alt.index("vaccination −50") < alt.index("both −40")
    ((_, policies), *_) = report.findings.answer(changed, output)
    assert policies.index("vaccination") < policies.index("both")
    picture = (tmp_path / "t.svg").read_text(encoding="utf-8")
    # Rows are written from the bottom up: the best is last, at the top.
    assert picture.index(">both<") < picture.index(">vaccination<")


@pytest.mark.parametrize(
    ("first", "last"), [(0, 4), (2026, 2065), (20, 190), (0, 3000), (0, 99999)]
)
def test_labels_do_not_overlap(outbreak, tmp_path, monkeypatch, first, last):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    output = outbreak.outputs[0]
    series = outbreak.series[outbreak.series.time >= 20].copy()
    series["time"] = first + (series.time - 20) * (last - first) / 170
    summary = outbreak.summary.replace({"period": {"20-190": f"{first}-{last}"}})
    changed = dataclasses.replace(outbreak, horizon=(first, last), series=series, summary=summary)
    counts = []

    def look(figure, folder, stem):
        FigureCanvasAgg(figure).draw()
        boxes = []
        for axes in figure.axes:
            if not axes.get_visible():
                continue
            low, high = axes.get_xlim()
            labels = [
                t for t in axes.get_xticklabels()
                if t.get_visible() and t.get_text() and low <= t.get_position()[0] <= high
            ]  # fmt: skip
            boxes += [t.get_window_extent() for t in labels]
            boxes += [
                t.get_window_extent() for t in (axes._left_title, axes.xaxis.label) if t.get_text()
            ]
        boxes += [text.get_window_extent() for text in figure.texts]
        for i, one in enumerate(boxes):
            assert not [other for other in boxes[i + 1 :] if one.overlaps(other)], (stem, one)
        counts.append(len(boxes))

    monkeypatch.setattr(plot, "save", look)
    monkeypatch.setattr(plot, "headline", lambda *_: "Infections per day: what is best, and where")
    plot._fan(changed, output, tmp_path, "f")
    plot._tornado(changed, output, tmp_path, "t")
    assert min(counts) >= 6


@pytest.fixture
def epidemic(tmp_path):
    """A copy of the model in days that a test may change."""
    shutil.copytree(OUTBREAK, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('unit = "people"', 'unit = "people per day"', "is a sum over days in"),
        ('variable = "infection"', 'variable = "Infected"', "is a sum over days in 'people', and"),
        ('"infections per day"', '"infections per year"', "rate per year"),
        ('"infections per day"', '"annual infections"', "rate per year"),
        ('"infections per day"', '"infections (per month)"', "rate per month"),
        ('"infections per day"', '"infections (monthly)"', "rate per month"),
        ('"infections per day"', '"infections [1/year]"', "rate per year"),
    ],
)  # fmt: skip
def test_an_output_that_contradicts_its_variable_is_refused(epidemic, old, new, text):
    path = epidemic / "models" / "outbreak" / "outputs.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    run = epidemic / "runs" / "outbreak"
    asked = run / "run.toml"
    asked.write_text(asked.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        prepare(read_run(run, n=1))
    assert caught.value.code == "R432"
    assert text in caught.value.message


def test_a_rate_by_the_month_is_no_sum_over_days(epidemic):
    path = epidemic / "models" / "outbreak" / "outbreak.mdl"
    text = path.read_text(encoding="utf-8")
    text = text.replace("halved = infection/2 ~ Person/Day", "halved = infection/2 ~ Person/Month")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        prepare(read_run(epidemic / "runs" / "outbreak", n=1))
    assert caught.value.code == "R432"
    assert "sum over days; 'halved' is in 'Person/Month'" in caught.value.message


def test_outputs_of_the_models_are_consistent(root):
    from sdkit import read_model

    for name in ("sir", "fentanyl"):
        folder = root / "models" / name
        assert read_outputs(folder / "outputs.toml", read_model(folder))


@pytest.mark.parametrize("reduction", ["year", "fiscal year", "month"])
def test_calendars_are_refused_where_time_is_not_in_years(epidemic, reduction):
    from sdkit import read_model
    from sdkit.checks import read_checks
    from sdkit.measurement import read_measurements
    from sdkit.observations import read_series
    from sdkit.parameters import read_parameters

    folder = epidemic / "models" / "outbreak"
    (folder / "data").mkdir()
    (folder / "data" / "cases.csv").write_text(
        "series,time,value,unit,status,source\ncases,30,5,Person/Day,invented,none\n"
    )
    model = read_model(folder)
    parameters, series = read_parameters(model), read_series(folder / "data")
    for name, text, read in (
        ("measurements.toml",
         '[[measurement]]\nname = "cases"\ndensity = "normal"\nspread = 1.0\n',
         lambda path: read_measurements(path, model, parameters, series)),
        ("checks.toml", '[[check]]\nname = "cases"\nkind = "history"\nfrom = 20\nto = 40\n',
         lambda path: read_checks(path, model, parameters)),
    ):  # fmt: skip
        path = folder / name
        body = text + 'series = "cases"\nvariable = "infection"\nreduction = "{}"\n'
        path.write_text(body.format(reduction))
        with pytest.raises(RunError) as caught:
            read(path)
        assert caught.value.code == "R431"
        assert f"{reduction!r} counts time in years, outbreak.mdl in days" in caught.value.message
        path.write_text(body.format("point"))
        assert len(read(path)) == 1


def test_a_year_s_words_are_the_calendar_s(fitted, fitted_page):
    text = fitted_page
    assert "the sum of infections over 2026–2040 is" in text
    assert "Infections per year summed over 2026–2040; better: lower" in text
    rows = pd.Series(fitted.series.unit.values, fitted.series.output.values)
    assert rows["infections per year"].iloc[0] == "people per year"
    assert rows["people infected"].iloc[0] == "people"


@pytest.mark.parametrize(
    ("unit", "axis", "at", "span", "count", "rate"),
    [
        ("Year", "Year", "2030", "2026–2040", "14 years", "deaths per year"),
        ("days", "Day", "day 2030", "days 2026–2040", "14 days", "deaths per day"),
        ("Week", "Week", "week 2030", "weeks 2026–2040", "14 weeks", "deaths per week"),
        ("Month", "Month", "month 2030", "months 2026–2040", "14 months", "deaths per month"),
        ("Quarter", "Quarter", "quarter 2030", "quarters 2026–2040", "14 quarters",
         "deaths per quarter"),
        ("Generation", "Generation", "generation 2030", "generations 2026–2040",
         "14 generations", "deaths per generation"),
        ("", "Time", "time 2030", "time 2026–2040", "14 units of time",
         "deaths per unit of time"),
    ],
)  # fmt: skip
def test_each_unit_of_time_in_words(tmp_path, unit, axis, at, span, count, rate):
    from sdkit import read_model
    from sdkit.time_units import time_unit

    path = tmp_path / "small.mdl"
    path.write_text(model_text("x = INTEG(1, 0)").replace("Month", unit), encoding="utf-8")
    clock = time_unit(read_model(path))
    assert (clock.axis, clock.at(2030), clock.span(2026, 2040)) == (axis, at, span)
    assert (clock.count(14), clock.rate("deaths")) == (count, rate)
    assert clock.period("2026-2040") == span
    assert clock.period("2030") == at


def test_years_that_are_no_dates_are_counted():
    assert YEAR.span(0, 40) == "years 0–40"
    assert YEAR.at(5) == "year 5"


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("overdose deaths per year", "overdose deaths"), ("deaths a month", "deaths"),
        ("daily infections", "infections"), ("cases/day", "cases"),
        ("annual cost per person", "cost per person"), ("fentanyl sold", "fentanyl sold"),
        ("new infections (per day)", "new infections"), ("deaths [1/year]", "deaths"),
        ("new infections (people per day)", "new infections (people)"),
        ("cases (/day)", "cases"), ("cases (daily)", "cases"), ("cases, daily", "cases"),
        ("deaths (per year) among the old", "deaths among the old"), ("cost (1)", "cost (1)"),
        ("stage 2 (early) cases", "stage 2 (early) cases"),
    ],
)  # fmt: skip
def test_a_sum_counts_amounts_and_no_rates(name, amount):
    assert without_rate(name) == amount


def test_the_picture_of_one_run_counts_in_days(monkeypatch, tmp_path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from sdkit import compile_model, read_model, run_plot, simulate

    model, made = read_model(OUTBREAK / "models" / "outbreak"), []
    monkeypatch.setattr(
        run_plot, "new_figure", lambda *size: made.append(plot.new_figure(*size)) or made[0]
    )
    result = simulate(compile_model(model))
    run_plot.stocks(result, ["Infected", "Infections", "contacts"], model, tmp_path / "s.png")
    (figure,) = made
    FigureCanvasAgg(figure).draw()
    assert [axes.get_xlabel() for axes in figure.axes] == ["Day"] * 3
    assert [axes.get_title("left") for axes in figure.axes] == [
        "Infected (Person)", "Infections (Person)", "contacts (1/Day)",
    ]  # fmt: skip
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        boxes = [t.get_window_extent() for t in ticks]
        assert len(boxes) > 1
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_a_posterior_that_no_fit_wrote_has_seen_nothing_known(fitted, tmp_path):
    """The same draws, for which nothing vouches: nothing is said of what a fit has used."""
    provenance = dataclasses.replace(
        fitted.provenance, run="", question="", until=None, series=(), held_out=(),
        warnings=("posterior.csv was not written by a fit.",),
    )  # fmt: skip
    histories = tuple(dataclasses.replace(h, seen=None, fitted=False) for h in fitted.histories)
    changed = dataclasses.replace(fitted, provenance=provenance, histories=histories)
    text = page(changed, tmp_path)
    assert "3 come from posterior.csv, which no fit of sdkit wrote" in text
    assert "What the posterior has seen of these series is not known" in text
    assert "Draws come from a posterior.csv for which no fit vouches." in text
    assert not re.search(r"used by the fit|fit did not use|seen by the fit", text, re.I)
