"""Fixtures that the tests share: the teaching model, and a project to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def sir():
    """The teaching model."""
    from sdkit import read_model

    return read_model(ROOT / "models" / "sir")


@pytest.fixture(scope="session")
def parameters(sir):
    from sdkit.parameters import read_parameters

    return read_parameters(sir)


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the teaching model and its run that a test may change."""
    shutil.copytree(ROOT / "models" / "sir", tmp_path / "models" / "sir")
    (tmp_path / "runs" / "sir").mkdir(parents=True)
    shutil.copy(ROOT / "runs" / "sir" / "run.toml", tmp_path / "runs" / "sir")
    return tmp_path


@pytest.fixture(scope="session")
def comparison():
    """The comparison of runs/sir with eight draws."""
    from sdkit.comparing import execute
    from sdkit.run import prepare, read_run

    return execute(prepare(read_run(ROOT / "runs" / "sir", n=8)))


@pytest.fixture
def sdkit(capsys):
    """Run a command line; gives its status, standard output and standard error."""
    from sdkit.cli import status

    def call(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        code = status([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
