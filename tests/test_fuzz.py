"""Ten thousand damaged files: each is read, or refused with a code. `tests/fuzz.py` says how."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from tests.fuzz import Corpus, run

INPUTS = 10_000


def test_every_input_is_read_or_refused_with_a_code():
    told = io.StringIO()
    result = run(range(INPUTS), seed=1, workers=2, out=told)
    assert result.failures == [], told.getvalue()
    assert result.inputs == INPUTS
    # An input that is refused at its first line tries nothing behind it.
    assert result.answers["read"] > INPUTS / 20
    assert len(result.answers) > 30, "few kinds of refusal are reached"


def test_an_input_is_decided_by_its_seed_and_number():
    one, two = Corpus(), Corpus()
    assert [one.input(7, i) for i in range(50)] == [two.input(7, i) for i in range(50)]
    assert one.input(7, 0) != one.input(8, 0)


@pytest.mark.parametrize(
    "act",
    [
        "open('../CANARY', 'w')",
        "os.open('../CANARY', os.O_CREAT)",
        "os.remove('../CANARY')",
        "os.rename('a file', '../CANARY')",
        "os.mkdir('../CANARY')",
        "os.system('touch CANARY')",
        "subprocess.run(['touch', 'CANARY'])",
        "socket.socket().connect(('127.0.0.1', 1))",
        "eval('len([]) if 1 else __import__(0)')",
        "exec('def f(): return eval')",
    ],
)
def test_the_guard_stops(act, tmp_path, root):
    """Each in a process of its own: an audit hook stays for good."""
    (tmp_path / "inside").mkdir()
    code = (
        "import os, socket, subprocess, sys\nfrom pathlib import Path\n"
        "from tests.fuzz import Forbidden, Guard\n"
        "guard = Guard(Path(sys.argv[1]))\nos.chdir(sys.argv[1])\nguard.active = True\n"
        "open('a file', 'w').close()\nassert not guard.seen\n"
        f"try:\n    {act}\nexcept Forbidden:\n    print('stopped')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "inside")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.stdout == "stopped\n", done.stderr
    assert not (tmp_path / "CANARY").exists()
    assert [p.name for p in (tmp_path / "inside").iterdir()] == ["a file"]
