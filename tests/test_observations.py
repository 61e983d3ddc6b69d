"""Observed series, and a model reduced to their times."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sdkit import provenance, read_model
from sdkit.diff import diff_models
from sdkit.errors import Error
from sdkit.files import fingerprint
from sdkit.fit_report import files_of
from sdkit.fit_run import prepare_fit, read_fit
from sdkit.new import new_model, new_run
from sdkit.observations import (
    at_observations,
    calendar_years,
    data_folder,
    log_errors,
    read_series,
    running_mean,
    series_of,
)
from sdkit.run import prepare, read_run

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


# -- series that models share --------------------------------------------------------------


@pytest.fixture
def shared(project, monkeypatch):
    """The teaching model without data of its own, beside a copy of it, in the current folder."""
    models = project / "models"
    (models / "sir" / "data").rename(models / "data")
    shutil.copytree(models / "sir", models / "twin")
    monkeypatch.chdir(project)
    return models


@pytest.mark.parametrize("place", [".", "models", "models/sir", "models/sir/runs"])
def test_a_model_without_data_reads_what_models_share(shared, monkeypatch, place):
    (shared.parent / place).mkdir(exist_ok=True)
    monkeypatch.chdir(shared.parent / place)
    for path in (shared / "sir", Path(os.path.relpath(shared / "sir"))):
        assert data_folder(path).samefile(shared / "data")
        assert {"reported cases", "reported cases by month"} <= series_of(read_model(path)).keys()


def test_data_of_its_own_win(shared):
    sir = shared / "sir"
    assert "reported cases" in series_of(read_model(sir))
    (sir / "data").mkdir()
    assert data_folder(sir) == sir / "data"
    assert series_of(read_model(sir)) == {}
    rows = "series,time,value,unit,status,source\nown,2010,1,Person,invented,x\n"
    (sir / "data" / "own.csv").write_text(rows)
    assert series_of(read_model(sir)).keys() == {"own"}
    assert "own" not in series_of(read_model(shared / "twin"))


def test_only_a_folder_of_models_shares_its_data(shared, tmp_path):
    other = tmp_path / "elsewhere"
    shutil.copytree(shared, other)
    assert data_folder(other / "sir") == other / "sir" / "data"
    # A model that is called data is a model.
    shutil.copy(shared / "sir" / "sir.mdl", shared / "data")
    assert data_folder(shared / "sir") == shared / "sir" / "data"
    assert data_folder(shared / "data") == shared / "data" / "data"


def test_a_link_out_of_the_shared_folder(shared, tmp_path):
    (tmp_path / "secret.csv").write_text("series,time,value,unit,status,source\n")
    (shared / "data" / "other.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(Error, match=r"other\.csv is a link") as caught:
        series_of(read_model(shared / "sir"))
    assert caught.value.code == "R426"


def test_runs_checks_and_fits_read_shared_data(shared, root, sdkit):
    sir = shared / "sir"
    asked = shared.parent / "runs" / "fit"
    asked.mkdir()
    shutil.copy(root / "runs" / "sir-fit" / "run.toml", asked)
    prepared = prepare_fit(read_fit(asked))
    assert len(prepared.measurements["reported cases"].series.time) > 5
    records = [prepared.record, prepare(read_run(shared.parent / "runs" / "sir", n=8)).record]
    name = "../data/reported_cases.csv"
    assert all(f"sir/{name}" in record["sha256"] for record in records)
    code, out, error = sdkit("check", "sir", "--quiet")
    assert (code, out, error) == (0, "", "")
    # A fit's posterior says which of its files have changed since.
    files = files_of(prepared)
    assert name in files
    assert provenance._changed(sir, files) == ()
    (shared / "data" / "reported_cases.csv").open("a").write("\n")
    assert provenance._changed(sir, files) == (name,)
    assert prepare_fit(read_fit(asked)).record["sha256"] != prepared.record["sha256"]
    # Messages name the folder that was read.
    (shared / "data" / "reported_cases.csv").unlink()
    status, _, said = sdkit("run", "runs/fit")
    assert (status, "no series 'reported cases'" in said) == (2, True)


def test_a_linked_model_reads_what_lies_beside_its_link(shared, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "sir"
    shutil.move(shared / "sir", elsewhere)
    (shared / "sir").symlink_to(elsewhere)
    found = data_folder(shared / "sir")
    assert found.samefile(shared / "data")
    path = found / "reported_cases.csv"
    name = os.path.relpath(path, "models/sir")
    assert provenance._changed(shared / "sir", {name: fingerprint(path)}) == ()


def test_a_difference_of_data_that_one_side_shares(shared):
    sir, twin = shared / "sir", shared / "twin"
    assert diff_models(sir, twin).of("file") == ()
    shutil.copytree(shared / "data", twin / "data")
    assert diff_models(sir, twin).of("file") == ()
    (twin / "data" / "reported_cases.csv").open("a").write("\n")
    (twin / "data" / "sources.csv").unlink()
    found = diff_models(sir, twin).of("file")
    assert [(c.name, c.old is None, c.new is None) for c in found] == [
        ("data/reported_cases.csv", False, False), ("data/sources.csv", False, True)
    ]  # fmt: skip


def test_shared_data_are_no_model(shared, sdkit):
    shutil.rmtree(shared / "twin")
    assert new_run("second")  # the only model is found
    code, _, said = sdkit("check", "sirr")
    assert (code, "data" in said) == (2, False)
    assert "M101" in sdkit("check", "data")[2]
    for name in ("data", "Data"):
        with pytest.raises(Error, match="models/data is for series") as caught:
            new_model(name)
        assert caught.value.code == "U604"
