"""Results on disk: whole or not at all, the same bytes each time."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from sdkit import report, results
from sdkit.errors import RunError, SimulationError
from sdkit.placing import locked

from . import small as small_models


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by its path."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def small(project):
    """A run folder with eight draws."""
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(path.read_text().replace("n = 64", "n = 8"))
    return path.parent


@pytest.fixture
def done(small):
    results.carry_out(small)
    return small


def test_the_same_run_gives_the_same_bytes_whatever_the_threads(done):
    first = tree(done)
    results.carry_out(done, threads=1)
    second = tree(done)
    assert first.keys() == second.keys()
    changed = [name for name in first if first[name] != second[name]]
    assert changed == ["out/environment.json"]  # date and seconds


def test_what_is_written_where(done):
    names = set(tree(done))
    assert {"summary.csv", "claims.csv", "record.json", "out/report.html", "out/series.csv"} < names
    assert {"switches.csv", "out/switches.csv"} < names
    stems = {Path(n).stem for n in names if n.startswith("out/figures/")}
    for stem in stems:
        assert {f"out/figures/{stem}.png", f"out/figures/{stem}.svg"} <= names
    assert [p.name for p in done.iterdir() if p.name.startswith(".")] == []


def test_numbers_have_six_digits_and_missing_ones_are_empty(done):
    rows = list(csv.DictReader((done / "summary.csv").open()))
    assert len(rows) == 2 * 4 * 4 * 4
    for row in rows:
        for name in ("median", "p5", "p95", "diff_median"):
            digits = re.sub(r"e.*|[-.]", "", row[name]).lstrip("0")
            assert len(digits) <= 6
        assert (row["share_better"] == "") == (
            row["policy"] == "no programme" or row["output"] == "effort per year"
        )


def test_the_record_holds_what_decides_the_numbers(done, project):
    record = json.loads((done / "record.json").read_text())
    assert record["seed"] == 20260222
    assert record["draws"] == {"from": "priors", "n": 8}
    text = (project / "models" / "sir" / "sir.mdl").read_bytes()
    assert record["sha256"]["sir/sir.mdl"] == hashlib.sha256(text).hexdigest()
    names = {name.split("/")[-1] for name in record["sha256"]}
    assert {"run.toml", "parameters.csv", "policies.toml", "claims.toml"} <= names
    assert record["tables"] == {
        name: hashlib.sha256((done / name).read_bytes()).hexdigest()
        for name in ("claims.csv", "summary.csv", "switches.csv")
    }


def test_line_ends_do_not_change_the_record(done, project):
    before = (done / "record.json").read_bytes()
    path = project / "models" / "sir" / "policies.toml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    results.carry_out(done)
    assert (done / "record.json").read_bytes() == before


def test_a_trial_leaves_tracked_results_alone(done):
    before = tree(done)
    results.carry_out(done, n=4)
    after = tree(done)
    assert {n: b for n, b in after.items() if not n.startswith("out/trial/")} == before
    whole = after["out/trial/switches.csv"].splitlines()
    assert len(whole) > len(after["switches.csv"].splitlines())
    trial = json.loads(after["out/trial/record.json"])
    assert trial["draws"]["n"] == 4


@pytest.mark.parametrize("trial", [(), ("--draws", "8")], ids=["again", "trial"])
def test_an_edited_table_is_told_when_its_run_is_carried_out(done, sdkit, trial):
    def told() -> list[str]:
        status, _, said = sdkit("run", done, *trial)
        assert status == 0
        return [line for line in said.splitlines() if "warning" in line]

    assert told() == []
    rule = "that record.json names: edited after the run"
    for names, text in (
        (["summary.csv"], f"summary.csv is not the table {rule}"),
        (["claims.csv", "summary.csv"], f"claims.csv, summary.csv are not the tables {rule}"),
    ):
        before = {done / name: (done / name).read_bytes() for name in names}
        for path, raw in before.items():
            path.write_bytes(raw.replace(b"1", b"2", 1))
        assert told() == [f"warning: {done}: {text}"]
        for path, raw in before.items():  # as the run has left it
            path.write_bytes(raw)


def test_a_changed_constant_is_a_trial_too(done):
    before = (done / "summary.csv").read_bytes()
    results.carry_out(done, changed={"infectivity": 0.05})
    assert (done / "summary.csv").read_bytes() == before
    record = json.loads((done / "out" / "trial" / "record.json").read_text())
    assert record["set"] == {"infectivity": 0.05}


def test_a_folder_that_the_user_names_keeps_what_it_held(small, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    results.carry_out(small, out=out)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "summary.csv").exists()
    assert (out / "figures" / "claims.png").exists()
    assert set(tree(small)) == {"run.toml"}


def test_lanes_that_fail_leave_failed_csv_and_earlier_results(done, project):
    before = tree(done)
    model = project / "models" / "sir" / "sir.mdl"
    # Fails in the draws that are cautious, and only once people have noticed.
    text = model.read_text().replace(
        "population*turnover rate\n", "population*turnover rate*SQRT(immunity wanes - prevalence)\n"
    )
    assert text != model.read_text()
    model.write_text(text)
    with pytest.raises(SimulationError, match=r"failed\.csv") as caught:
        results.carry_out(done)
    assert caught.value.code == "S202"
    after = tree(done)
    failed = after.pop("out/failed.csv").decode()
    assert after == before
    rows = list(csv.DictReader(failed.splitlines()))
    assert {row["variable"] for row in rows} == {"births"}
    assert all("immunity wanes = 0" in row["parameters"] for row in rows)
    assert len({row["draw"] for row in rows}) < 8


@pytest.mark.parametrize("when", ["simulate", "write_report"])
def test_an_interruption_leaves_nothing_behind(when, done, monkeypatch):
    before = tree(done)

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    if when == "simulate":
        monkeypatch.setattr("sdkit.comparing.simulate", interrupt)
    else:
        monkeypatch.setattr(report, "write_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        results.carry_out(done)
    assert tree(done) == before


def test_a_full_disk_is_said_and_leaves_earlier_results(done, monkeypatch):
    before = tree(done)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_figures", full)
    with pytest.raises(RunError, match="No space left") as caught:
        results.carry_out(done)
    assert caught.value.code == "U603"
    assert tree(done) == before


def test_a_default_run_writes_every_variable(sir, tmp_path):
    table, picture = results.default_run(sir.path, {"infectivity": 0.0}, tmp_path / "x")
    rows = list(csv.DictReader(table.open()))
    assert set(rows[0]) == {"Time", *sir.variables}
    assert float(rows[0]["Time"]) == 2000
    assert float(rows[-1]["Time"]) == 2041
    assert float(rows[-1]["transmission"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "change",
    [
        ('{ from = "priors", n = 8 }', '{ from = "defaults" }'),
        ('["no programme", "vaccination", "contact reduction", "both"]', '["no programme"]'),
        ('["reference", "more travel"]', '["more travel"]'),
        (
            '["infections per year", "people infected", "infections to date", "effort per year"]',
            '["effort per year"]',
        ),
        ("horizon = [2026, 2040]", 'horizon = [2026, 2027]\nperiods = ["2026"]'),
        ("horizon = [2026, 2040]", "horizon = [2000, 2004]"),
    ],
    ids=["defaults", "one policy", "one scenario", "only effort", "short", "from the start"],
)
def test_small_questions_are_answered_too(change, small):
    path = small / "run.toml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    page = results.carry_out(small).read_text(encoding="utf-8")
    assert "What this run cannot tell" in page
    assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower().split()
    assert len((small / "summary.csv").read_text().splitlines()) > 1


def test_a_model_without_claims_checks_and_parameters_is_compared(small, project):
    folder = project / "models" / "sir"
    for name in ("claims.toml", "checks.toml", "parameters.csv"):
        (folder / name).unlink()
    (folder / "policies.toml").write_text('[[policy]]\nname = "no programme"\n')
    (folder / "scenarios.toml").write_text(
        '[[scenario]]\nname = "reference"\n\n[[scenario]]\nname = "more travel"\n'
        'set = { "imported infections" = 2000 }\n'
    )
    path = small / "run.toml"
    path.write_text(re.sub(r"policies = .*", 'policies = ["no programme"]', path.read_text()))
    page = results.carry_out(small).read_text(encoding="utf-8")
    assert "Claims of the debate" not in page
    assert (small / "claims.csv").read_text().count("\n") == 1


def test_what_a_killed_run_left_goes_at_once_and_a_run_under_way_does_not(small):
    places = [parent / f".sdkit-new-{name}" for parent in (small, small.parent) for name in "ab"]
    for folder in places:
        folder.mkdir()
        (folder / "summary.csv").write_text("half", encoding="utf-8")
    alive = [locked(folder) for folder in places if folder.name.endswith("b")]
    results.carry_out(small)
    assert [folder.exists() for folder in places] == [False, True, False, True]
    for handle in alive:
        os.close(handle)


def test_the_record_is_of_what_was_read_and_not_of_later_edits(small, project, monkeypatch):
    policies = project / "models" / "sir" / "policies.toml"
    before = hashlib.sha256(policies.read_bytes()).hexdigest()
    execute = results.execute

    def edit(*arguments):
        policies.write_text("edited")
        return execute(*arguments)

    monkeypatch.setattr(results, "execute", edit)
    results.carry_out(small)
    record = json.loads((small / "record.json").read_text())
    assert record["sha256"]["sir/policies.toml"] == before


def test_a_model_in_cp1252_and_an_empty_readme_are_no_fault(small, project):
    folder = project / "models" / "sir"
    model = folder / "sir.mdl"
    text = (
        model.read_text()
        .replace("{UTF-8}", "{cp1252}")
        .replace("Source:", "Seen in a caf\u00e9:", 1)
    )
    model.write_bytes(text.encode("cp1252"))
    (folder / "README.md").write_text("\n")
    assert results.carry_out(small, n=2).exists()


def test_a_named_folder_loses_the_failures_of_an_earlier_run(small, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "failed.csv").write_text("old")
    results.carry_out(small, out=out)
    assert not (out / "failed.csv").exists()


def test_times_on_a_fine_grid_stay_apart(tmp_path):
    model = small_models.model(tmp_path, "x = Time", start=2000, end=2001, step=1 / 128)
    table, _ = results.default_run(model.path, {}, tmp_path / "x")
    rows = list(csv.DictReader(table.open()))
    assert [row["Time"] for row in rows[:2]] == ["2000", "2000.0078125"]
