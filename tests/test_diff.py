"""Two versions of a model: what the texts say differently, and which outputs that moves."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest

from sdkit import revisions
from sdkit.diff import Change, Difference, Moved, diff_models
from sdkit.diff_text import difference_lines
from sdkit.errors import CODES, Error, ModelError
from tests.small import text

BASE = """
level = INTEG(inflow - outflow, start)
inflow = rate*Table(Time)
outflow = level/delay
rate = 2
delay = 5
start = 10
Table((0,1),(5,1),(10,2))
apart = INTEG(1, 0)
"""


def write(folder, name: str, equations: str = BASE, **settings):
    """A model folder with one file; gives the folder."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "small.mdl").write_text(text(equations, **settings), encoding="utf-8")
    return folder / name


def between(tmp_path, *edits: tuple[str, str], **settings):
    """The difference that edits of BASE make."""
    newer = BASE
    for before, after in edits:
        assert before in newer
        newer = newer.replace(before, after)
    return diff_models(write(tmp_path, "a"), write(tmp_path, "b", newer, **settings))


# -- the texts ---------------------------------------------------------------------------


def test_blanks_case_and_parentheses_are_no_difference(tmp_path):
    found = between(
        tmp_path,
        ("rate*Table(Time)", "( RATE   * ((table( Time ))))"),
        ("level/delay", "Level / Delay"),
        ("rate = 2", "rate = 2.0"),
    )
    assert found.changes == ()
    assert found.moved == ()
    assert found.unmoved == ("level", "apart")
    assert not found.ran


def test_changed_added_and_removed_equations_show_the_text_of_the_file(tmp_path):
    found = between(
        tmp_path,
        ("level/delay", "2*level/delay"),
        ("apart = INTEG(1, 0)", "spare = level + 7\nfactor = 3 ~ Dmnl ~ |"),
    )
    assert found.changes == (
        Change("outflow", "equation", "level/delay", "2*level/delay"),
        Change("spare", "equation", None, "level + 7"),
        Change("factor", "constant", None, "3 Dmnl"),
        Change("apart", "equation", "INTEG(1, 0)", None),
    )


def test_a_constant_that_becomes_an_equation_is_a_changed_equation(tmp_path):
    found = between(tmp_path, ("rate = 2", "rate = 2 + Time*0"))
    assert found.changes == (Change("rate", "equation", "2 Dmnl", "2 + Time*0"),)
    assert found.unmoved == ("level", "apart")


def test_a_renamed_stock_is_no_change_of_what_uses_it(tmp_path):
    found = between(
        tmp_path, ("level = ", "water = "), ("level/delay", "water/delay"), ("Table(", "curve(")
    )
    assert set(found.changes) == {
        Change("water", "name", "level", "water"),
        Change("curve", "name", "Table", "curve"),
    }
    assert found.unmoved == ("water", "apart")


def test_a_renamed_constant_needs_the_same_use(tmp_path):
    found = between(tmp_path, ("rate = 2", "pace = 2"), ("rate*", "pace*"))
    assert found.changes == (Change("pace", "name", "rate", "pace"),)
    found = between(tmp_path, ("rate = 2", "other = 2"), ("rate*", "3*"))
    assert {(c.name, c.what) for c in found.changes} == {
        ("inflow", "equation"), ("other", "constant"), ("rate", "constant"),
    }  # fmt: skip


def test_a_chain_of_names_is_followed(tmp_path):
    found = between(
        tmp_path,
        ("delay = 5", "time to leave = 5"),
        ("outflow = level/delay", "leaving = level/time to leave"),
        ("inflow - outflow", "inflow - leaving"),
    )
    assert set(found.changes) == {
        Change("time to leave", "name", "delay", "time to leave"),
        Change("leaving", "name", "outflow", "leaving"),
    }
    found = between(
        tmp_path, ("outflow = level/delay", "leaving = level/delay"), ("- outflow", "- leaving")
    )
    assert found.changes == (Change("leaving", "name", "outflow", "leaving"),)


def test_two_candidates_are_no_renaming(tmp_path):
    found = between(tmp_path, ("apart = INTEG(1, 0)", "one = INTEG(1, 0)\ntwo = INTEG(1, 0)"))
    assert [c.what for c in found.changes] == ["equation"] * 3


def test_lookups_show_the_points_that_differ(tmp_path):
    found = between(tmp_path, ("(5,1),(10,2)", "(5,1.5),(10,2),(20,3)"))
    assert found.changes == (Change("Table", "lookup", "(5,1) of 3", "(5,1.5), (20,3) of 4"),)
    assert [m.name for m in found.moved] == ["level"]


def test_time_settings_and_the_method(tmp_path):
    found = between(tmp_path, method="rk4", step=0.25, end=8)
    assert (
        found.of("setting")
        == found.changes
        == (
            Change("FINAL TIME", "setting", "10", "8"),
            Change("TIME STEP", "setting", "0.125", "0.25"),
            Change("integration", "setting", "EULER", "RK4"),
        )
    )
    assert list(found.moved[0].times) == list(np.arange(0, 8.1, 0.25))


def test_descriptions_are_counted_apart(tmp_path):
    found = between(
        tmp_path,
        ("rate = 2", "rate = 2 ~ 1/Month [0,5] ~ How fast. |"),
    )
    assert found.changes == (
        Change("rate", "unit", "Dmnl", "1/Month"),
        Change("rate", "bounds", "[?,?]", "[0,5]"),
        Change("rate", "documentation", "", "How fast."),
    )
    assert not found.ran


def test_roles_ranges_and_weights(project):
    old = project / "models" / "sir"
    new = shutil.copytree(old, project / "newer" / "sir")
    path = new / "parameters.csv"
    content = path.read_text(encoding="utf-8")
    for before, after in (
        ("infectivity,fitted,0.08,0.12,normal", "infectivity,uncertain,0.09,0.11,uniform"),
        ("0.3;0.7", "0.5;0.5"),
    ):
        assert before in content
        content = content.replace(before, after)
    path.write_text(content, encoding="utf-8")
    (new / "policies.toml").write_text("# other\n", encoding="utf-8")
    found = diff_models(old, new)
    assert [(c.name, c.what, c.old, c.new) for c in found.of("role", "low", "high", "weights")] == [
        ("infectivity", "role", "fitted", "uncertain"),
        ("infectivity", "low", "0.08", "0.09"),
        ("infectivity", "high", "0.12", "0.11"),
        ("immunity wanes", "weights", "0.3; 0.7", "0.5; 0.5"),
    ]
    assert [c.name for c in found.of("file")] == ["policies.toml"]
    assert not found.ran  # a prior moves no default run


def test_an_xmile_file_is_compared_by_its_equations(root, tmp_path):
    one = root / "tests/functions/xmile_stocks.xmile"
    assert diff_models(one, one).changes == ()
    two = tmp_path / "newer.xmile"
    content = one.read_text(encoding="utf-8")
    assert "vessel/4" in content
    two.write_text(content.replace("vessel/4", "vessel/5"), encoding="utf-8")
    found = diff_models(one, two)
    assert found.changes == (Change("out of the vessel", "equation", "vessel/4", "vessel/5"),)
    assert "vessel" in {m.name for m in found.moved}


# -- the runs ----------------------------------------------------------------------------


def test_moved_says_how_much_when_and_since(tmp_path):
    found = between(tmp_path, ("apart = INTEG(1, 0)", "apart = INTEG(1 + STEP(1, 4), 0)"))
    moved = found.moved[0]
    assert (moved.name, found.unmoved) == ("apart", ("level",))
    # 1 a month until 4, then 2 a month: at 10 it is 16 in place of 10.
    assert moved.at == 10
    assert moved.most == pytest.approx(0.6)
    assert moved.since == 4.125  # the first saved time after the step of 1/8
    assert (moved.old[-1], moved.new[-1]) == (10, 16)


def test_a_shift_below_the_tolerance_is_no_move(tmp_path):
    assert between(tmp_path, ("start = 10", "start = 10.000001")).unmoved == ("level", "apart")
    assert [m.name for m in between(tmp_path, ("start = 10", "start = 10.001")).moved] == ["level"]


def test_outputs_are_sorted_by_size_and_one_from_zero_comes_first(tmp_path):
    found = between(tmp_path, ("INTEG(1, 0)", "INTEG(1, 1)"), ("start = 10", "start = 11"))
    assert [m.name for m in found.moved] == ["apart", "level"]
    (tmp_path / "c").mkdir()
    zero = write(tmp_path, "c", BASE.replace("INTEG(1, 0)", "INTEG(0, 0)"))
    found = diff_models(zero, write(tmp_path, "a"))
    assert (found.moved[0].name, found.moved[0].most) == ("apart", np.inf)


@pytest.mark.filterwarnings("ignore:.*missing values")
def test_missing_values_move_where_one_side_has_them(tmp_path):
    gap = "gap = IF THEN ELSE(Time > 5, :NA:, Time)"
    outputs = (
        '[[output]]\nname = "gap"\nvariable = "gap"\nreduction = "mean"\nunit = ""\n'
        'better = "none"\nheadline = true\n'
    )
    old = write(tmp_path, "a", gap + "\nrate = 1")
    for name, equations, moved in (
        ("b", gap + "\nrate = 2", False),
        ("c", gap.replace("5", "4") + "\nrate = 1", True),
    ):
        new = write(tmp_path, name, equations)
        (new / "outputs.toml").write_text(outputs)
        found = diff_models(old, new)
        assert found.unmoved == (() if moved else ("gap",))
        assert [(np.isnan(m.most), m.since) for m in found.moved] == ([(True, 4.125)] * moved)


def test_a_text_of_the_file_does_not_steer_the_terminal(tmp_path, sdkit):
    new = write(tmp_path, "b", BASE.replace("rate = 2", "rate = 2 ~ Dmnl ~ \x1b[31mred\x07 |"))
    _, out, _ = sdkit("diff", write(tmp_path, "a"), new, "--all")
    assert "?[31mred?" in out
    assert "\x1b" not in out


def test_headline_outputs_of_the_newer_version(project):
    old = project / "models" / "sir"
    new = shutil.copytree(old, project / "newer" / "sir")
    path = new / "sir.mdl"
    changed = path.read_text(encoding="utf-8").replace("\t0.1\n", "\t0.09\n")
    changed = changed.replace(
        "reported cases=", "twice reported=\n\t2*reported cases\n\t~\tPerson/Year\n\t~\t|\n\n"
        "reported cases=",
    )  # fmt: skip
    path.write_text(changed, encoding="utf-8")
    with (new / "outputs.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[[output]]\nname = "twice"\nvariable = "twice reported"\nreduction = "sum"\n'
            'unit = "people"\nbetter = "lower"\nheadline = true\n'
        )
    found = diff_models(old, new)
    assert found.of("default") == (Change("infectivity", "default", "0.1", "0.09"),)
    assert {m.name for m in found.moved} == {
        "infections per year", "people infected", "infections to date",
    }  # fmt: skip
    assert found.unmoved == ("effort per year",)
    assert found.missing == ("twice",)


def test_a_side_that_does_not_run_leaves_the_texts(tmp_path):
    old = write(tmp_path, "a")
    new = write(tmp_path, "b", BASE.replace("level/delay", "level/(delay - 5)"))
    found = diff_models(old, new)
    assert found.of("equation")
    assert [fault.code for fault in found.faults] == ["S201"]
    assert "outflow" in found.faults[0].message
    assert found.faults[0].message.startswith(str(new))


def test_faulty_tables_leave_the_texts(project):
    old = project / "models" / "sir"
    new = shutil.copytree(old, project / "newer" / "sir")
    (new / "outputs.toml").write_text("[[output]]\nname = 1\n", encoding="utf-8")
    (new / "parameters.csv").write_text("name\n", encoding="utf-8")
    (new / "sir.mdl").write_text(
        (new / "sir.mdl").read_text(encoding="utf-8").replace("\t0.1\n", "\t0.09\n"),
        encoding="utf-8",
    )
    found = diff_models(old, new)
    assert [fault.code for fault in found.faults] == ["R406", "R408"]
    assert found.of("default")
    assert "Infected" in {m.name for m in found.moved}  # stocks, where outputs cannot be read


def test_runs_without_a_time_in_common(tmp_path):
    found = between(tmp_path, start=20, end=30)
    assert [fault.code for fault in found.faults] == ["S204"]


def test_a_side_that_does_not_parse_is_named(tmp_path):
    new = write(tmp_path, "b", BASE.replace("level/delay", "level/(delay"))
    with pytest.raises(ModelError) as caught:
        diff_models(write(tmp_path, "a"), new, ("older", "newer"))
    assert caught.value.code == "M104"
    assert caught.value.message.startswith("newer: small.mdl, line 4")


# -- versions in git ---------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """models/small in three commits: as BASE, with a slower rate, with a renamed stock."""
    if not shutil.which("git"):
        pytest.skip("no git")
    top = tmp_path / "project"

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=top, check=True, capture_output=True)

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # no signing, no hooks of the user
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "t")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@example.org")
    top.mkdir()
    git("init", "-q")
    slower = BASE.replace("rate = 2", "rate = 1")
    for equations in (BASE, slower, slower.replace("level", "water")):
        write(top / "models", "small", equations)
        git("add", ".")
        git("commit", "-qm", "x")
    monkeypatch.chdir(top)
    return top


def test_two_commits(repository, sdkit):
    code, out, error = sdkit("diff", "HEAD~2:small", "HEAD~1:models/small")
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["old  HEAD~2:models/small", "new  HEAD~1:models/small"]
    assert "  moved    rate: default 2 → 1 (-50 %)" in lines
    assert "Outputs moved in a default run: 1 of 2" in lines
    assert "Unmoved in the default run: apart" in lines
    assert max(map(len, lines)) <= 100


def test_a_rename_between_commits(repository, sdkit):
    _, out, _ = sdkit("diff", "HEAD~1:small", "HEAD:small")
    assert "  renamed  level → water" in out
    assert "changed" not in out.split("Nothing")[0]
    assert "no output moved" in out


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        *[(place, arguments) for place in (".", "models", "models/small") for arguments in (
            ("small",), ("HEAD:small",), ("HEAD", "small"), ("HEAD", "HEAD:small"),
            ("HEAD:models/small", "small"), ("HEAD:models/small/small.mdl", "small"),
        )],
        (".", ("models/small",)), (".", ("models/small/small.mdl",)),
        (".", ("HEAD", "models/small")), (".", ("HEAD:./models/small/", "models/small/")),
        ("models/small", (".",)), ("models/small", ("small.mdl",)),
        ("models", ("../models/small",)),
    ],
)  # fmt: skip
def test_what_a_modeler_types(repository, sdkit, monkeypatch, place, arguments):
    monkeypatch.chdir(repository / place)
    code, out, error = sdkit("diff", *arguments)
    assert (code, error) == (0, "")
    assert out.splitlines()[0].startswith("old  HEAD:models/small")
    assert "No difference" in out


def test_the_working_copy_against_the_last_commit(repository, sdkit):
    path = repository / "models" / "small" / "small.mdl"
    path.write_text(path.read_text().replace("rate = 1", "rate = 4"))
    _, out, _ = sdkit("diff", "small")
    assert "rate: default 1 → 4 (+300 %)" in out
    path.write_text(path.read_text().replace("rate = 4 ~ Dmnl ~ |", "rate = 1 ~ Dmnl ~ Pace. |"))
    assert "1 sentence (--all lists them)" in sdkit("diff", "small")[1]
    assert "rate, documentation" in sdkit("diff", "small", "--all")[1]


def test_a_project_below_the_top_of_its_repository(repository, sdkit, monkeypatch):
    (repository / "inner").mkdir()
    shutil.move(repository / "models", repository / "inner" / "models")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "moved"], check=True)
    monkeypatch.chdir(repository / "inner")
    for name in ("small", "models/small", "inner/models/small"):
        code, out, _ = sdkit("diff", f"HEAD:{name}", "small")
        assert code == 0
        assert out.startswith("old  HEAD:inner/models/small\n")
    assert sdkit("diff", "HEAD~1:small", "small")[0] == 0  # where it stood before


def test_data_that_models_share(repository, sdkit, monkeypatch):
    shared = repository / "models" / "data"
    series = "series,time,value,unit,status,source\nlevel,{},1,Dmnl,final,x\n"

    def commit(path, content):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        subprocess.run(["git", "add", "."], cwd=repository, check=True)
        subprocess.run(["git", "commit", "-qm", "x"], cwd=repository, check=True)

    commit(shared / "level.csv", series.format(1))
    assert "No difference" in sdkit("diff", "small")[1]
    (shared / "level.csv").write_text(series.format(2))
    for place in (".", "models", "models/small", "models/data"):
        monkeypatch.chdir(repository / place)
        assert "data/level.csv" in sdkit("diff", "small")[1]
    commit(shared / "level.csv", series.format(2))
    assert "No difference" in sdkit("diff", "small")[1]
    assert "data/level.csv" in sdkit("diff", "HEAD~1:small", "HEAD:small")[1]
    # A revision in which the model has data of its own does not read the shared ones.
    commit(repository / "models" / "small" / "data" / "README.md", "Its own.")
    assert "data/level.csv" in sdkit("diff", "HEAD~1:small", "HEAD:small")[1]
    commit(shared / "level.csv", series.format(3))
    assert "No difference" in sdkit("diff", "HEAD~1:small", "HEAD:small")[1]


def test_shared_data_of_a_repository_that_is_called_models(repository, sdkit, monkeypatch):
    top = repository / "models"  # a repository inside another
    (top / "data").mkdir()
    (top / "data" / "level.csv").write_text("series,time,value,unit,status,source\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *arguments], cwd=top, check=True)
    for place in (top, top / "small"):
        monkeypatch.chdir(place)
        assert "No difference" in sdkit("diff", "small")[1]
    (top / "data" / "level.csv").unlink()
    assert "data/level.csv" in sdkit("diff", "small")[1]


def test_a_commit_leaves_nothing_behind(repository, sdkit, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = sorted(repository.rglob("*"))
    sdkit("diff", "HEAD~2:small", "small")
    sdkit("diff", "HEAD~9:small", "small")
    assert list(scratch.iterdir()) == []
    assert sorted(p for p in repository.rglob("*") if p not in before) == []


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("HEAD~9:small", "small"), "G802", "HEAD~9"),
        (("nosuch:small",), "G802", "nosuch"),
        ((":small", "small"), "G802", "''"),
        (("HEAD:none", "small"), "G803", "none"),
        (("HEAD:../../etc", "small"), "G801", ""),
        (("HEAD~2", "none"), "M101", "none"),
        (("modles/small", "small"), "M101", "modles/small"),
        (("none",), "M101", "none"),
        (("HEAD:small", "small", "small"), "U601", ""),
        ((), "U601", ""),
    ],
)
def test_bad_versions(repository, sdkit, arguments, expected, words):
    code, out, error = sdkit("diff", *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"{expected}: ")
    assert words in error
    assert CODES[expected].cure in error


def test_a_revision_is_never_an_option(repository):
    with pytest.raises(Error) as caught:
        revisions.committed("--output=x", "small", repository / "scratch")
    assert caught.value.code == "G802"


def test_outside_a_repository(tmp_path, monkeypatch, sdkit):
    if not shutil.which("git"):
        pytest.skip("no git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a")
    write(tmp_path, "b")
    code, _, error = sdkit("diff", "a")
    assert code == 2
    assert error.startswith("G801: ")
    assert sdkit("diff", "a", "b")[0] == 0  # two folders need no git


def test_without_git(repository, monkeypatch, sdkit):
    monkeypatch.setenv("PATH", "")
    code, _, error = sdkit("diff", "small")
    assert code == 2
    assert error.startswith("X502: ")
    write(repository, "other")
    assert sdkit("diff", "small", "other")[0] == 0


def test_a_committed_model_that_does_not_parse(repository, sdkit):
    path = repository / "models" / "small" / "small.mdl"
    path.write_text(path.read_text().replace("water/delay", "water/(delay"))
    code, out, error = sdkit("diff", "small")
    assert (code, out) == (2, "")
    assert error.startswith("M104: models/small: small.mdl, line 4")
    subprocess.run(["git", "commit", "-qam", "broken"], check=True)
    error = sdkit("diff", "HEAD:small", "HEAD~1:small")[2]
    assert error.startswith("M104: HEAD:models/small: small.mdl, line 4")


def test_a_committed_model_that_does_not_run(repository, sdkit):
    path = repository / "models" / "small" / "small.mdl"
    path.write_text(path.read_text().replace("water/delay", "water/(delay - 5)"))
    code, out, error = sdkit("diff", "small")
    assert code == 2
    assert "  changed  outflow" in out
    assert error.startswith("S201: models/small: outflow")


def test_a_table_of_long_names_and_numbers_stays_inside_the_width():
    times = np.arange(2000, 2041, 0.25)
    values = np.full(len(times), -9.87654e-9)
    values[0] = -999_999.0
    name = "cumulative overdose deaths of people from 2026 until the end of the run and beyond"
    moved = tuple(
        Moved(name, "people", most, 2027.25, 2003.75, times, values, 9.9e6 + values)
        for most in (-12345.678, -0.123456, np.inf, np.nan)
    )
    lines = difference_lines(Difference((), moved, ran=True), "old", "new")
    assert max(map(len, lines)) <= 100
    assert all(text in "\n".join(lines) for text in ("-12.3 %", "was 0", "missing", "…"))


def test_a_long_equation_is_wrapped(repository, sdkit):
    path = repository / "models" / "small" / "small.mdl"
    longer = " + ".join(["water/delay"] * 30)
    path.write_text(path.read_text().replace("water/delay", longer))
    lines = sdkit("diff", "small")[1].splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()).count("water/delay") == 31


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_a_tree_of_git_that_climbs_out(tmp_path, monkeypatch):
    """A repository of somebody else may hold a folder called "..": nothing is written there."""

    def git(*arguments, given=b""):
        done = subprocess.run(
            ["git", "-C", str(tmp_path / "own"), *arguments],
            input=given, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    (tmp_path / "own" / "inside").mkdir(parents=True)
    git("init", "-q")
    blob = git("hash-object", "-w", "--stdin", given=text("x = 1").encode())
    holder = git("mktree", given=f"100644 blob {blob}\tevil.mdl\n".encode())
    entry = b"40000 ..\0" + bytes.fromhex(holder)
    top = git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", given=entry)
    commit = git("-c", "user.name=a", "-c", "user.email=a", "commit-tree", top, "-m", "x")
    git("update-ref", "HEAD", commit)
    monkeypatch.chdir(tmp_path / "own" / "inside")
    scratch = tmp_path / "scratch" / "old"
    with pytest.raises(Error) as caught:
        revisions.committed("HEAD", "..", scratch)
    assert caught.value.code == "G803"
    assert not list((tmp_path).rglob("evil.mdl"))
