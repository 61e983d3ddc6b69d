"""The README's numbers and code are those of this tree; what the how-to says to do works."""

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.answer import BEGIN, END, ROOT, answer

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs/how-to.md").read_text(encoding="utf-8")


def test_the_answer_is_that_of_the_recorded_run():
    assert README.split(BEGIN)[1].split(END)[0] == answer()


@pytest.mark.parametrize("text", [README, HOW_TO], ids=["README", "how-to"])
def test_code_runs_as_printed(text, tmp_path):
    """A page's blocks one after the other, as somebody reads it, in a folder beside models/."""
    found = [body for kind, body in blocks(text) if kind == "python"]
    assert found
    shutil.copytree(ROOT / "models" / "sir", tmp_path / "models" / "sir")
    shutil.copytree(ROOT / "models" / "fentanyl", tmp_path / "models" / "fentanyl")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(found)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def commands(text: str) -> list[str]:
    lines = [line for kind, body in blocks(text) if not kind for line in body.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("sdkit ")]


def blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (what stands behind the fence, body without its indent)."""
    found = re.findall(r"^(?:\d\. )? *```([^`\n]*)\n(.*?)^ *```$", text, re.S | re.M)
    return [(kind.strip(), textwrap.dedent(body)) for kind, body in found]


def test_every_command_shown_is_one_that_exists():
    from sdkit.cli import status

    shown = {line.split()[1] for line in commands(README) + commands(HOW_TO)}
    assert shown == {"run", "check", "diff", "new", "explain"}
    for command in shown:
        assert status([command, "--help"]) == 0


def test_small_commands_run_as_printed(tmp_path):
    from sdkit.cli import status

    line = next(line for line in commands(README) if "--set" in line)
    model, assignment = re.fullmatch(r'sdkit run (\S+) --set "(.*)"', line).groups()
    out = tmp_path / "out"
    assert status(["run", str(ROOT / model), "--set", assignment, "--out", str(out)]) == 0
    header = (out / "variables.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "Infected" in header


def edit(model: Path, kind: str, body: str) -> None:
    """Do to a model folder what a block of the how-to says."""
    if kind == "mdl":
        path = model / f"{model.name}.mdl"
        content = path.read_text(encoding="utf-8")
        for entry in re.findall(r"^\S.*?^\t\|$", body, re.S | re.M):
            name = entry.partition("=")[0]
            start = re.search(rf"^{name}=", content, re.M)
            if start:
                end = content.index("\t|", start.start()) + 2
                content = content[: start.start()] + entry + content[end:]
            else:
                head, mark, rest = content.partition(f"{'*' * 56}\n\t.Control")
                content = f"{head}{entry}\n\n{mark}{rest}"
        path.write_text(content, encoding="utf-8")
        return
    path = model / kind.split()[1]
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    gap = "\n" if kind.startswith("toml") else ""
    path.write_text(before + gap + body, encoding="utf-8")


def test_the_how_to_takes_a_modeler_by_the_hand(tmp_path, monkeypatch, sdkit):
    """Every edit and command from a new model to a data series, with the answers it promises."""
    if not shutil.which("git"):
        pytest.skip("no git")
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a modeler")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "modeler@example.org")
    subprocess.run(["git", "init", "-q"], check=True)
    for name in ("models/core", "models/data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "runs" / "core").mkdir(parents=True)
    shutil.copy(ROOT / "runs" / "core" / "run.toml", tmp_path / "runs" / "core")
    subprocess.run(["git", "add", "."], check=True)
    walk = HOW_TO[HOW_TO.index("## Start a model") : HOW_TO.index("## Add a policy")]
    said, count = "", 0
    on_core = walk[walk.index("## Change an equation") : walk.index("## Add a stock")]
    for kind, body in blocks(walk):
        if kind:
            model = "core" if (kind, body) in blocks(on_core) else "mine"
            edit(tmp_path / "models" / model, kind, body)
            continue
        for line in body.splitlines():
            if line.startswith("git "):
                subprocess.run(shlex.split(line), check=True, capture_output=True)
            elif line.startswith("sdkit "):
                _, out, error = sdkit(*shlex.split(line)[1:])
                said = " ".join((out + error).split())
                assert "U699" not in said
                count += 1
            else:
                assert " ".join(line.split()) in said, f"{line!r} is not in {said!r}"
    assert count > 15
    assert "report.html" in said


def test_the_difference_shown_is_the_one_that_comes(project, monkeypatch, sdkit):
    monkeypatch.chdir(project)
    shutil.copytree(project / "models" / "sir", project / "older" / "sir")
    path = project / "models" / "sir" / "sir.mdl"
    changed = path.read_text(encoding="utf-8").replace("\t0.1\n", "\t0.09\n")
    path.write_text(changed, encoding="utf-8")
    _, out, _ = sdkit("diff", "older/sir", "models/sir")
    shown = next(body for kind, body in blocks(HOW_TO) if kind == "text")
    assert out.splitlines()[1:] == shown.splitlines()[1:]


def test_the_fit_shown_is_one_that_can_be_carried_out(project):
    from sdkit import fit_run
    from sdkit.fit_run import prepare_fit, read_fit

    section = HOW_TO[HOW_TO.index("## Fit a model") : HOW_TO.index("## Find what moves")]
    measured, run = [body for kind, body in blocks(section) if kind == "toml"]
    assert measured in (ROOT / "models/core/measurements.toml").read_text(encoding="utf-8")
    for name in ("models/core", "models/data"):
        shutil.copytree(ROOT / name, project / name)
    folder = project / "runs" / "shown"
    folder.mkdir()
    (folder / "run.toml").write_text(run, encoding="utf-8")
    prepared = prepare_fit(read_fit(folder))
    assert prepared.chosen == ("synthetic-opioid deaths", "powder purity")
    keys = re.findall(
        r"`(\w+)`",
        section[
            section.index(
                "   | key | says |\n   | --- | --- |\n   | `measurements`"
            ) : section.index("3. `sd")
        ],
    )
    known = {*fit_run._REQUIRED, *fit_run._OPTIONAL, *fit_run._EFFORT, *fit_run._PUBLISHED}
    for key in set(keys) - {"known", "published"}:  # each key is one that the reader knows
        assert key in known, key
