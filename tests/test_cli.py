"""The command line: exit status, messages, and no traceback whatever happens."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys

import pytest

from sdkit import __version__, results
from sdkit.errors import CODES
from sdkit.progress import listening, tell
from sdkit.terminal import Progress


def assert_clean(code, error, expected):
    """Status 2 and one message that begins with the code and ends with the cure."""
    assert code == 2
    assert error.startswith(f"{expected}: ")
    assert CODES[expected].cure in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "U601"),
        (["fly"], "U601"),
        (["run"], "U601"),
        (["run", "a", "b"], "U601"),
        (["run", "runs/sir", "--bogus"], "U601"),
        (["run", "runs/sir", "--draws", "many"], "U601"),
        (["run", "runs/sir", "--threads", "0"], "U601"),
        (["run", "models/sir", "--set", "infectivity"], "U601"),
        (["run", "models/sir", "--set", "infectivity = high"], "U601"),
        (["run", "models/sir", "--draws", "4"], "U601"),
        (["run", "models/sir", "--set", "caution = 1", "--set", "Caution = 2"], "U601"),
        (["run", "models/sir", "--out", "README.md"], "U601"),
        (["run", "models/sir", "--set", "infectivity = 7"], "P308"),
        (["run", "models/sir", "--set", "infectivity = nan"], "U601"),
        (["run", "models/sir", "--set", "population = 7"], "P305"),
        (["run", "runs/sir", "--set", "population = 7"], "P305"),
        (["run", "runs/sir", "--draws", "3"], "R445"),
        (["run", "runs/sir", "--draws", "-4"], "R445"),
        (["run", "runs/none"], "R401"),
        (["run", "runs"], "R401"),
        (["run", "models/sir/README.md"], "M101"),
        (["check"], "U601"),
        (["check", "none"], "M101"),
        (["check", "bare"], "R402"),
        (["explain", "Z999"], "U602"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_code(arguments, expected, project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    (project / "README.md").write_text("x")
    (project / "bare").mkdir()
    (project / "bare" / "bare.mdl").write_bytes((project / "models/sir/sir.mdl").read_bytes())
    code, _, error = sdkit(*arguments)
    assert_clean(code, error, expected)


def test_a_model_runs_once_with_a_changed_constant(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    code, out, error = sdkit(
        "run", "models/sir", "--set", "Infectivity = 0", "--set", "caution = 3"
    )
    assert (code, error) == (0, "")
    assert out.splitlines() == [os.path.join("sir-run", n) for n in ("variables.csv", "stocks.png")]
    rows = list(csv.DictReader((project / "sir-run" / "variables.csv").open()))
    assert {row["infectivity"] for row in rows} == {"0"}
    assert {row["caution"] for row in rows} == {"3"}


def test_a_run_folder_writes_its_report(project, sdkit):
    code, out, error = sdkit("run", project / "runs" / "sir", "--draws", 4)
    assert code == 0
    # A slow machine says how far it is; nothing else is said.
    stage = re.compile(r"(reading|compiling|drawing|writing) \S.*|\d+% done.*")
    assert [line for line in error.splitlines() if not stage.fullmatch(line)] == []
    assert "report.html" in out
    assert (project / "runs" / "sir" / "out" / "trial" / "report.html").exists()


def test_a_run_toml_stands_for_its_folder(project, sdkit):
    code, out, _ = sdkit("run", project / "runs" / "sir" / "run.toml", "--draws", 2)
    assert code == 0
    assert "trial" in out


def test_too_many_draws_for_the_memory_are_bad_input(project, sdkit, monkeypatch):
    def fail(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(results, "execute", fail)
    code, _, error = sdkit("run", project / "runs" / "sir", "--draws", 1024)
    assert_clean(code, error, "R447")


def test_check_prints_a_line_a_check_and_counts(project, sdkit, monkeypatch):
    pytest.importorskip("simlin")
    monkeypatch.chdir(project)
    code, out, _ = sdkit("check", "sir")
    assert code == 0
    count = (project / "models" / "sir" / "checks.toml").read_text().count("[[check]]")
    assert out.count("pass  ") == count
    assert f"{count} of {count} checks passed" in out


def test_check_by_name_tells_paths_from_here(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    (project / "models" / "sir" / "checks.toml").write_text("[[check]]\n", encoding="utf-8")
    code, _, error = sdkit("check", "sir")
    assert code == 2
    assert os.path.join("models", "sir", "checks.toml") in error
    assert str(project) not in error


def test_check_ends_with_status_1_where_one_fails(project, sdkit):
    (project / "models" / "sir" / "checks.toml").write_text(
        '[[check]]\nname = "never"\nkind = "bound"\nvariable = "prevalence"\nmax = 0\n'
    )
    code, out, _ = sdkit("check", project / "models" / "sir")
    assert code == 1
    assert "FAIL  never" in out


def test_explain(sdkit):
    code, out, _ = sdkit("explain", "m104")
    assert code == 0
    assert CODES["M104"].cause in out
    assert CODES["M104"].cure in out
    assert sdkit("explain")[1].count("\n") == len(CODES)


def test_version_and_help(sdkit):
    assert sdkit("--version")[:2] == (0, f"sdkit {__version__}\n")
    code, out, _ = sdkit("--help")
    assert code == 0
    assert all(command in out for command in ("run", "check", "explain"))


def test_what_nobody_foresaw_is_a_defect_with_a_log(sdkit, monkeypatch, project):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(results, "default_run", fail)
    code, _, error = sdkit("run", project / "models" / "sir")
    assert code == 2
    assert error.startswith("U699: ")
    assert "Traceback" not in error
    log = error.strip().rsplit("details: ", 1)[1]
    text = open(log, encoding="utf-8").read()  # noqa: SIM115
    assert "Traceback" in text
    assert "secret detail" in text
    os.unlink(log)


def test_an_interruption_ends_with_status_130(sdkit, monkeypatch, project):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "carry_out", interrupt)
    code, out, error = sdkit("run", project / "runs" / "sir")
    assert code == 130
    assert out == ""
    assert "interrupted" in error


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_in_the_middle_of_an_ensemble(project):
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(path.read_text().replace("n = 64", "n = 131072"))
    before = sorted(p.name for p in path.parent.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "sdkit", "run", str(path.parent), "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # It says how far it is from its fifth second on, which is some time before its end.
        said = next(line for line in process.stderr if "% done" in line)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert not said.startswith("100%")
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "interrupted" in error
    assert sorted(p.name for p in path.parent.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
@pytest.mark.parametrize(
    "module",
    ["sdkit.errors", "typer.core", "typer", "numpy", "pandas._libs", "llvmlite.binding.ffi"],
)
def test_ctrl_c_while_a_module_is_loaded(module, project):
    """Python tells each module that it has loaded, which says when to stop it."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "sdkit", "run", str(project / "runs" / "sir")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        next(line for line in process.stderr if line.split("|")[-1].strip() == module)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    said = [line for line in error.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, out) == (130, "")
    assert said == ["interrupted; earlier results are untouched"]


@pytest.mark.skipif(sys.platform == "win32", reason="no closed pipes there")
@pytest.mark.parametrize(
    ("arguments", "both", "status"),
    [
        (["explain", "M104"], False, 141),
        (["explain"], True, 141),
        (["--help"], False, 141),
        (["--version"], False, 141),
        (["check", "sir"], False, 141),
        (["check", "none"], False, 2),  # says nothing there, so nothing is lost
        (["check", "none"], True, 141),
        (["fly"], True, 141),
    ],
)
def test_a_pipe_that_nobody_reads(arguments, both, status):
    """As with git or ls: no word, and the status of a program that ends by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "sdkit", *arguments],
        stdout=writing,
        stderr=writing if both else subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == status
    if not both:
        assert "Traceback" not in done.stderr
        assert (done.stderr == "") == (status == 141)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_output_that_cannot_be_written():
    for arguments in (["explain"], ["--version"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "sdkit", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert_clean(done.returncode, done.stderr, "U606")
    shell = f'"{sys.executable}" -m sdkit'
    for command, status in ((f"{shell} explain M104 >&-", 0), (f"{shell} fly 2>&-", 2)):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_the_command_begins_where_ctrl_c_is_answered_first():
    import tomllib

    from tests.conftest import ROOT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"sdkit": "sdkit.__main__:main"}


def test_python_m_sdkit():
    done = subprocess.run(
        [sys.executable, "-m", "sdkit", "explain", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("U602: ")


def test_start_up_imports_nothing_heavy():
    heavy = ["matplotlib", "scipy", "pysd", "llvmlite", "pandas", "numpy", "jinja2", "rich"]
    code = f"import sys, sdkit.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_memory_that_ends_while_drawing_is_bad_input(project, sdkit, monkeypatch):
    def fail(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(results, "prepare", fail)
    code, _, error = sdkit("run", project / "runs" / "sir", "--draws", 1024)
    assert_clean(code, error, "R447")


# -- names, options and checks -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("run runs/sri", "R401: runs/sri does not exist; did you mean runs/sir?"),
        ("run runs/nonexist", "R401: runs/nonexist does not exist; there are runs/sir"),
        ("run runs/nonexist --draws 4", "R401: runs/nonexist does not exist; there are runs/sir"),
        ("run models/sri", "R401: models/sri does not exist; did you mean models/sir?"),
        ("run sri", "R401: sri does not exist; did you mean runs/sir?"),
        ("check sri", "M101: sri does not exist; did you mean models/sir?"),
        ("check sri --engines", "M101: sri does not exist; did you mean models/sir?"),
        ("diff sri sir", "M101: sri does not exist"),
        ("new run x --model sri", "M101: sri does not exist; did you mean models/sir?"),
        ("new modle x", 'U601: \'modle\' is neither "model" nor "run"; did you mean \'model\'?'),
        ("expain", "U601: there is no command 'expain'; did you mean 'explain'?"),
        ("check sir --quite", "U601: there is no option '--quite'; did you mean '--quiet'?"),
        ("explain R41", "U602: there is no error code 'R41'; did you mean "),
        ("run models/sir --set infectivty=1",
         "P305: sir has no constant 'infectivty'; did you mean 'infectivity'?"),
        ("run runs/sir --set infectivty=1",
         "P305: --set: 'infectivty' is no constant of the model; did you mean 'infectivity'?"),
    ],
)  # fmt: skip
def test_what_was_meant_is_suggested(arguments, told, project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    status, out, error = sdkit(*arguments.split())
    assert (status, out) == (2, "")
    assert error.startswith(told)


def test_a_name_stands_for_a_run_and_else_for_a_model(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    status, out, _ = sdkit("run", "sir", "--draws", "3")
    assert (status, out) == (2, "")  # three draws: the run folder was meant
    (project / "runs" / "sir" / "run.toml").unlink()
    (project / "runs" / "sir").rmdir()
    status, out, _ = sdkit("run", "sir")
    assert status == 0
    assert out.splitlines()[0] == os.path.join("sir-run", "variables.csv")


@pytest.mark.parametrize(
    ("task", "text", "told"),
    [
        ("sensitivity", '[sensitivity]\nmethods = ["sobol"]\n',
         "R421: --draws = 32; a sample needs 64 base runs or more"),
        ("discover", '[discover]\ncases = [{ policy = "both", output = "people infected" }]\n',
         "R421: --draws = 32; a search needs 256 draws or more"),
        ("optimize", "[optimize]\nportfolios = 64\n",
         "R421: --draws = 32; the worst tenth needs 64 draws or more"),
        ("optimize", "[optimize]\nsearch_draws = 256\n",
         "--draws = 64, fewer than the search_draws = 256 (runs/sir/run.toml, line 11)"),
    ],
)  # fmt: skip
def test_an_option_that_is_at_fault_is_blamed(task, text, told, project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(
        path.read_text()
        .replace('"compare"', f'"{task}"')
        .replace('"reference", "more travel"', '"reference"')
        .replace("n = 64", "n = 1024")
        + text
    )
    status, _, error = sdkit("run", "runs/sir", "--draws", "64" if "--draws = 64" in told else "32")
    assert status == 2
    assert told in error
    assert "line 5" not in error


def test_draws_that_a_posterior_does_not_have(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "runs" / "sir" / "run.toml"
    path.write_text(path.read_text().replace('"priors", n = 64', '"posterior", n = 1'))
    table = "infectivity,infectious duration,immunity wanes,reporting fraction\n"
    file = project / "models" / "sir" / "posterior.csv"
    rows = "0.1,0.05,1,0.5\n0.11,0.05,1,0.5\n"
    file.write_text(f"# unverified: by a test\n{table}{rows}")
    status, _, error = sdkit("run", "runs/sir", "--draws", "8")
    assert status == 2
    assert "R448: --draws = 8 is more than the 2 draws of " in " ".join(error.split())


CHECKS = """
[[check]]
name = "never"
kind = "bound"
variable = "prevalence"
max = 0

[[check]]
name = "always"
kind = "bound"
variable = "prevalence"
max = 1
"""


def test_checks_that_fail_come_last(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    (project / "models" / "sir" / "checks.toml").write_text(CHECKS)
    model = project / "models" / "sir" / "sir.mdl"
    model.write_text(model.read_text().replace("{UTF-8}", "{UTF-8}\nspare = 1 ~ Dmnl ~ |", 1))
    edit = project / "models" / "sir" / "parameters.csv"
    edit.write_text(edit.read_text() + "spare,fixed,,,,Dmnl,,,,\n")
    status, out, _ = sdkit("check", "sir")
    assert status == 1
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        "pass", "note", "note", "FAIL", "1 of 2 checks passed",
    ]  # fmt: skip
    assert "spare" in out
    status, out, error = sdkit("check", "sir", "--quiet")
    assert (status, error) == (1, "")
    assert [line.split("  ")[:2] for line in out.splitlines()] == [
        ["FAIL", "never"], ["1 of 2 checks passed"],
    ]  # fmt: skip


def test_quiet_checks_that_pass_show_nothing(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    (project / "models" / "sir" / "checks.toml").write_text(CHECKS.replace("max = 0", "min = 0"))
    assert sdkit("check", "sir", "-q") == (0, "", "")


# -- progress ------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def told(capsys):
    """Progress that is not on a terminal, its clock, and what it has said since last asked."""
    clock = Clock()
    with Progress(terminal=False, clock=clock) as progress:
        yield progress, clock, lambda: capsys.readouterr().err


def test_no_time_left_before_work_was_measured(told):
    progress, clock, said = told
    tell("reading sir.mdl")
    clock.now = 40.0
    tell("compiling")  # reading took long
    assert said() == "compiling\n"
    clock.now = 60.0
    progress(1, 1000)  # the first work: no speed yet
    assert said() == "0% done\n"
    for second in range(1, 11):
        clock.now = 60.0 + second
        progress(1 + 50 * second, 1000)
    # 50 of 1000 a second since the first, 499 left
    assert said() == "50% done, about 10 s left\n"


def test_the_speed_is_that_of_the_last_half_minute(told):
    progress, clock, said = told
    for second in range(1, 41):  # slow at first, then quick
        clock.now = float(second)
        progress(second if second <= 5 else 5 + 5 * (second - 5), 1000)
    assert said().splitlines()[-1] == "18% done, about 164 s left"
    assert progress.left == 164  # 820 left at five a second: not at the 4.5 since the start


def test_figures_count_as_work(told):
    progress, clock, said = told
    progress(1000, 1000)
    for number in range(4):
        clock.now += 11.0
        tell(f"drawing figure-{number}")
    assert said().splitlines() == [f"drawing figure-{number}" for number in range(4)]


def test_quiet_progress_says_nothing(capsys):
    clock = Clock()
    with Progress(quiet=True, terminal=False, clock=clock) as progress:
        for second in range(0, 60, 10):
            clock.now = float(second)
            progress(second, 60)
            tell("drawing")
    assert capsys.readouterr().err == ""


def test_a_run_tells_its_stages(project, sdkit, monkeypatch):
    stages = []
    with listening(stages.append):
        results.carry_out(project / "runs" / "sir", n=2)
    assert "writing results" in stages
    assert sum(stage.startswith("drawing ") for stage in stages) > 10
