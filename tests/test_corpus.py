"""Inputs that once broke something: each works, or ends in an error whose code is listed.

To add one: put the file into tests/corpus and a line into tests/corpus/codes.txt: its name, and
the codes that may stop it (none where it works). A model is a .mdl or .xmile; another file is
called after the file of models/sir (or runs/sir) that it stands for: policies--anything.toml,
run--anything.toml, data--anything.csv.
"""

from __future__ import annotations

import re
import shutil

import pytest

from sdkit.run import prepare, read_run
from tests.conftest import ROOT
from tests.small import text

CORPUS = ROOT / "tests" / "corpus"
LISTED = {
    name: set(codes)
    for name, *codes in (
        line.split() for line in (CORPUS / "codes.txt").read_text("utf-8").splitlines() if line
    )
}
MODELS = [name for name in LISTED if name.endswith((".mdl", ".xmile"))]
# What only Python says.
RAW = re.compile(
    r"Traceback|U699|\b(Attribute|Key|Index|Type|Value|Recursion|Memory|Overflow)Error|"
    r"object has no attribute|index out of range|not subscriptable|\x1b"
)


def test_every_file_is_listed():
    assert sorted(LISTED) == sorted(p.name for p in CORPUS.iterdir() if p.name != "codes.txt")


def judge(name: str, door: str, found: tuple[int, str, str], more: set[str] = frozenset()) -> None:
    """Status 0, or 2 with one of the codes that are listed; nothing that only Python says."""
    status, out, error = found
    assert not RAW.search(out + error), (door, error)
    if status == 0:
        # What is listed as stopped has to be: a refusal that is lost is a fault too.
        assert not LISTED[name] - more or door == "diff", (door, out)
        return
    assert status == 2, (door, out, error)
    code = re.search(r"^([A-Z]\d{3}): ", error, re.M)
    assert code, (door, error)
    assert code[1] in LISTED[name] | more, (door, error)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MODELS)
def test_a_model(name, tmp_path, sdkit, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models" / "found"
    folder.mkdir(parents=True)
    shutil.copy(CORPUS / name, folder)
    (tmp_path / "plain.mdl").write_text(text("x = 1 + Time", end=2, step=1))
    judge(name, "run", sdkit("run", folder, "--out", tmp_path / "out"))
    judge(name, "check", sdkit("check", folder), {"R402", "P301"})  # it has no files beside it
    judge(name, "diff", sdkit("diff", folder, tmp_path / "plain.mdl"), {"R402"})
    judge(name, "diff", sdkit("diff", tmp_path / "plain.mdl", folder), {"R402"})
    assert not {p.name for p in tmp_path.iterdir()} - {"models", "plain.mdl", "out"}


@pytest.mark.parametrize("name", [name for name in LISTED if name not in MODELS])
def test_a_file_beside_a_model(name, project, sdkit):
    kind, suffix = name.split("--")[0], name.rpartition(".")[2]
    model, run = project / "models" / "sir", project / "runs" / "sir"
    home = {"run": run, "data": model / "data"}.get(kind, model)
    shutil.copy(CORPUS / name, home / f"{kind}.{suffix}")
    if LISTED[name]:
        judge(name, "run", sdkit("run", run, "--draws", 2))
        if kind not in ("run", "policies", "scenarios"):  # which checks do not read
            judge(name, "check", sdkit("check", model))
    else:
        prepare(read_run(run, n=2))
