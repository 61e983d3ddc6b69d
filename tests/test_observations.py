"""Observed series, and a model reduced to their times."""

from __future__ import annotations

import numpy as np
import pytest

from sdkit.observations import (
    at_observations,
    calendar_years,
    log_errors,
    read_series,
    running_mean,
)

TIMES = np.arange(2000, 2004.01, 0.25)


def test_a_year_is_the_mean_of_its_days():
    line = 10 * (TIMES - 2000)
    got = at_observations(TIMES, line, np.array([2001.0, 2002.5]), "year")
    assert got == pytest.approx([15.0, 25.0])


def test_a_fiscal_year_begins_in_october_of_the_year_before():
    line = 10 * (TIMES - 2000)
    assert at_observations(TIMES, line, np.array([2001.0]), "fiscal year") == pytest.approx([12.5])
    assert np.isnan(at_observations(TIMES, line, np.array([2000.0]), "fiscal year")).all()


def test_a_month_is_the_mean_of_its_days_between_saved_times_too():
    line = 12 * (TIMES - 2000)
    when = np.array([2001 + 0.5 / 12, 2001.042, 2002 + 11.5 / 12, 2001 + 1 / 12, 2004.5])
    got = at_observations(TIMES, line, when, "month")
    assert got[:4] == pytest.approx([12.5, 12.5, 35.5, 13.5])
    assert np.isnan(got[4])


def test_twelve_months_make_the_year():
    curve = np.exp((TIMES - 2000) / 2)
    months = at_observations(TIMES, curve, 2001 + (np.arange(12) + 0.5) / 12, "month")
    assert months.mean() == pytest.approx(
        at_observations(TIMES, curve, np.array([2001.0]), "year")[0], rel=1e-12
    )


def test_whole_years_of_a_monthly_series(sir):
    series = read_series(sir.path.parent / "data")["reported cases by month"]
    years = calendar_years(series.between(2021.5, 2023))
    assert years.time.tolist() == [2022.0]
    assert years.value[0] == pytest.approx(series.value[12:].mean())


def test_a_point_lies_between_saved_times():
    line = 10 * (TIMES - 2000)
    got = at_observations(TIMES, line, np.array([2001.1, 1999.0]), "point")
    assert got[0] == pytest.approx(11.0)
    assert np.isnan(got[1])


def test_lanes_are_reduced_one_by_one():
    lanes = np.stack([TIMES - 2000, 2 * (TIMES - 2000)], axis=1)
    got = at_observations(TIMES, lanes, np.array([2001.0]), "year")
    assert got.tolist() == [[1.5, 3.0]]


def test_log_errors_against_numbers_by_hand():
    rms, worst = log_errors(np.array([2.0, 1.0, 0.5]), np.array([1.0, 1.0, 1.0]))
    assert rms == pytest.approx(np.log(2) * np.sqrt(2 / 3))
    assert worst == pytest.approx(2.0)
    assert log_errors(np.array([0.0]), np.array([1.0])) == (np.inf, np.inf)


def test_a_running_mean_has_no_half_windows():
    assert running_mean(np.array([1.0, 2.0, 6.0, 4.0]), 3).tolist() == [3.0, 4.0]
    assert running_mean(np.array([1.0, 2.0]), 1).tolist() == [1.0, 2.0]


def test_series_are_sorted_and_cut_by_year(sir):
    series = read_series(sir.path.parent / "data")["reported cases"]
    assert (np.diff(series.time) > 0).all()
    cut = series.between(2012, 2014)
    assert cut.time.tolist() == [2012.0, 2013.0, 2014.0]


def test_a_series_in_another_unit_than_its_variable(project, sdkit):
    path = project / "models" / "sir" / "data" / "reported_cases.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Person/Year", "Person/Month"), encoding="utf-8")
    status, _, said = sdkit("check", project / "models" / "sir")
    assert status == 2
    assert "R419" in said
    assert "Person/Month" in said
