"""The README's numbers and code are those of this tree."""

import re
import subprocess
import sys

import pytest

from tests.answer import BEGIN, END, ROOT, answer

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs/how-to.md").read_text(encoding="utf-8")


def test_the_answer_is_that_of_the_recorded_run():
    assert README.split(BEGIN)[1].split(END)[0] == answer()


@pytest.mark.parametrize("text", [README, HOW_TO], ids=["README", "how-to"])
def test_code_runs_as_printed(text):
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def commands(text: str) -> list[str]:
    lines = "\n".join(re.findall(r"```\n(.*?)```", text, re.S)).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("sdkit ")]


def test_every_command_shown_is_one_that_exists():
    from sdkit.cli import status

    shown = {line.split()[1] for line in commands(README) + commands(HOW_TO)}
    assert shown == {"run", "check", "explain"}
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
