"""Folders to begin with: they work at once, and nothing is ever overwritten."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from sdkit import new as new_module
from sdkit import read_model, read_parameters
from sdkit.errors import CODES, Error
from sdkit.new import new_model, new_run
from sdkit.structure import unit_faults
from tests.small import text


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def refused(code: str, action, *arguments) -> str:
    with pytest.raises(Error) as caught:
        action(*arguments)
    assert caught.value.code == code
    return caught.value.message


# -- a model -----------------------------------------------------------------------------


def test_a_new_model_passes_check_and_run_at_once(here, sdkit):
    code, out, error = sdkit("new", "model", "mine")
    assert (code, error) == (0, "")
    written, _, following = out.partition("next:\n")
    assert [Path(line).as_posix() for line in written.splitlines()] == [
        f"models/mine/{name}" for name in (
            "README.md", "checks.toml", "claims.toml", "data/sources.csv", "mine.mdl",
            "outputs.toml", "parameters.csv", "policies.toml", "scenarios.toml",
        )
    ]  # fmt: skip
    for line in following.splitlines():  # the commands that it names
        words = line.split()
        assert words[0] == "sdkit"
        code, _, error = sdkit(*words[1:])
        assert (code, error) == (0, "")
    code, out, error = sdkit("run", "runs/mine", "--draws", "2")
    assert (code, error) == (0, "")
    assert "report.html" in out


def test_a_new_model_has_one_of_each(here):
    new_model("mine")
    model = read_model(here / "models" / "mine")
    assert model.name == "mine"
    assert [v.name for v in model.variables.values() if v.kind == "stock"] == ["People Waiting"]
    assert model.method == "rk4"
    assert all("Source: " in v.documentation for v in model.variables.values())
    parameters = read_parameters(model)
    levers = [item.name for item in parameters.of_role("lever")]
    assert levers == ["support strength", "support start", "support ramp time"]
    assert "@" not in (here / "models/mine/README.md").read_text(encoding="utf-8")
    sketch = model.text.split("\\\\\\---///")[1]
    for variable in model.variables.values():
        assert variable.kind == "control" or f",{variable.name}," in sketch


def test_a_new_model_has_no_unit_fault(here):
    pytest.importorskip("simlin")
    new_model("mine")
    assert unit_faults(read_model(here / "models" / "mine")) == []


def test_a_new_model_stands_beside_the_others(project, monkeypatch):
    (project / "runs" / "deep").mkdir()
    monkeypatch.chdir(project / "runs" / "deep")
    written = new_model("mine")
    assert written[0].resolve() == (project / "models" / "mine" / "README.md").resolve()


# -- a run -------------------------------------------------------------------------------


def test_a_new_run_is_filled_in_from_its_model(project, monkeypatch, sdkit):
    monkeypatch.chdir(project)
    code, out, error = sdkit("new", "run", "second", "--model", "sir")
    assert (code, error) == (0, "")
    assert out.splitlines()[0] == os.path.join("runs", "second", "run.toml")
    path = project / "runs" / "second" / "run.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    recorded = tomllib.loads((project / "runs/sir/run.toml").read_text(encoding="utf-8"))
    same = ("do", "model", "draws", "scenarios", "policies", "outputs", "horizon")
    assert {key: data[key] for key in same} == {key: recorded[key] for key in same}
    assert sdkit("run", "runs/second", "--draws", "2")[0] == 0


def test_the_model_may_be_left_out_where_there_is_one(project, monkeypatch):
    monkeypatch.chdir(project)
    assert new_run("second") == [Path("runs", "second", "run.toml")]
    new_model("other")
    assert "holds other, sir" in refused("U601", new_run, "third")


@pytest.mark.parametrize("name", ["sir", "models/sir", "models/sir/sir.mdl", "./models/sir/"])
def test_the_model_by_name_or_path(project, monkeypatch, name):
    monkeypatch.chdir(project)
    new_run("second", name)
    assert 'model = "models/sir' in (project / "runs/second/run.toml").read_text(encoding="utf-8")


def test_a_horizon_inside_the_models_time(project, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "models" / "sir" / "sir.mdl"
    content = path.read_text(encoding="utf-8")

    def horizon(name: str, first: str, last: str):
        changed = content.replace("\t2041\n\t~\tYear\n", f"\t{last}\n\t~\tYear\n")
        path.write_text(changed.replace("\t2000\n", f"\t{first}\n"), encoding="utf-8")
        return tomllib.loads(new_run(name)[0].read_text(encoding="utf-8"))["horizon"]

    assert horizon("a", "2000", "2031") == [2026, 2030]
    assert horizon("b", "2000.5", "2020.5") == [2001, 2019]  # no lever starts in it
    assert horizon("c", "2026.5", "2030") == [2027, 2029]
    message = refused("R451", horizon, "d", "2026.25", "2027.5")
    assert "2026.25 to 2027.5" in message
    assert not (project / "runs" / "d").exists()


def test_a_horizon_that_begins_with_a_start_for_all_levers(tmp_path, monkeypatch, root):
    """The core has one, "start of programmes"."""
    for name in ("core", "data"):
        shutil.copytree(root / "models" / name, tmp_path / "models" / name)
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    path = new_run("own", "core")[0]
    assert tomllib.loads(path.read_text(encoding="utf-8"))["horizon"] == [2026, 2040]


def test_a_model_without_priors_is_run_with_its_defaults(project, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "models" / "sir" / "parameters.csv"
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows[1:]:
        if row[1] in ("fitted", "uncertain", "structural"):
            row[1:5] = ["fixed", "", "", ""]
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    data = tomllib.loads(new_run("second")[0].read_text(encoding="utf-8"))
    assert data["draws"] == {"from": "defaults"}


def test_many_names_stand_one_a_line_and_quotes_hold(root, project, monkeypatch):
    monkeypatch.chdir(project)
    with (project / "models/sir/policies.toml").open("a", encoding="utf-8") as file:
        file.write("\n[[policy]]\nname = 'a \"quoted\" \\ name, ü'\nset = {}\n")
        for number in range(9):
            file.write(f'\n[[policy]]\nname = "policy number {number}"\nset = {{}}\n')
    content = new_run("second")[0].read_text(encoding="utf-8")
    assert 'a "quoted" \\ name, ü' in tomllib.loads(content)["policies"]
    assert max(map(len, content.splitlines())) <= 100


# -- what is refused ---------------------------------------------------------------------

BAD_NAMES = [
    "", " ", "a b", "../x", "a/b", "a\\b", "/x", "C:x", ".", "..", ".hidden", "x.", "1st", "_x",
    "con", "NUL", "com1", "Lpt9", "ü", "a\n", "$(x)", "a;b", "x" * 61,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(here, name):
    refused("U604", new_model, name)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_of_a_run(project, monkeypatch, name):
    monkeypatch.chdir(project)
    before = files(project)
    refused("U604", new_run, name, "sir")
    assert files(project) == before


@pytest.mark.parametrize("name", ["sir", "SIR", "Sir"])
def test_nothing_is_overwritten(project, monkeypatch, name):
    monkeypatch.chdir(project)
    before = files(project)
    assert "models" in refused("U605", new_model, name)
    assert "runs" in refused("U605", new_run, name, "sir")
    assert files(project) == before


def test_an_empty_folder_and_a_file_are_something_too(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "models" / "empty").mkdir()
    (project / "models" / "text").write_text("x")
    refused("U605", new_model, "empty")
    refused("U605", new_model, "text")
    assert (project / "models" / "text").read_text() == "x"


@pytest.mark.parametrize("models", [True, False])
def test_all_or_nothing(here, monkeypatch, models):
    if models:
        (here / "models").mkdir()
    write, count = new_module.write_text, []

    def fail(path, content):
        count.append(path)
        if len(count) == 4:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(new_module, "write_text", fail)
    assert "No space left" in refused("U603", new_model, "mine")
    assert [p.name for p in here.rglob("*")] == (["models"] if models else [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder(here):
    os.chmod(here, 0o555)
    try:
        refused("U603", new_model, "mine")
    finally:
        os.chmod(here, 0o755)
    assert list(here.iterdir()) == []


def test_a_file_where_a_folder_is_needed(project, monkeypatch):
    monkeypatch.chdir(project)
    shutil.rmtree(project / "runs")
    (project / "runs").write_text("x")
    refused("U603", new_run, "second")
    assert (project / "runs").read_text() == "x"


def test_a_run_without_models(here):
    refused("R413", new_run, "mine")
    (here / "models").mkdir()
    assert "holds no model" in refused("U601", new_run, "mine")
    refused("M101", new_run, "mine", "none")


def test_a_model_elsewhere(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    away = shutil.copytree(project / "models" / "sir", tmp_path.parent / "away" / "sir")
    try:
        assert "sir lies outside" in refused("R413", new_run, "second", str(away))
    finally:
        shutil.rmtree(away.parent)


def test_a_model_with_a_file_missing(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "models" / "bare").mkdir()
    (project / "models" / "bare" / "bare.mdl").write_text(text("x = INTEG(1, 0)"))
    assert "scenarios.toml" in refused("R402", new_run, "second", "bare")
    assert not (project / "runs" / "second").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("new",), "U601"),
        (("new", "model"), "U601"),
        (("new", "report", "mine"), "U601"),
        (("new", "model", "mine", "--model", "sir"), "U601"),
        (("new", "model", "sir"), "U605"),
        (("new", "model", "a b"), "U604"),
        (("new", "run", "mine", "--model", "none"), "M101"),
    ],
)
def test_bad_command_lines(project, monkeypatch, sdkit, arguments, expected):
    monkeypatch.chdir(project)
    code, out, error = sdkit(*arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"{expected}: ")
    assert CODES[expected].cure in error
