"""The program: readable, runs as it stands, and compiled by LLVM it says the same."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.cache import cache_folder, cached
from sdkit.errors import ModelError, SimulationError
from sdkit.simulation import by_label
from tests.small import FIXTURES, experiment, joined, model

ROOT = Path(__file__).parents[1]
TIMES = np.arange(0, 10.0625, 0.125)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """One program of all the Vensim fixtures."""
    return compile_model(joined(tmp_path_factory.mktemp("joined")))


def agree(plain, compiled, names, tolerance=1e-12):
    for name in names:
        a, b = (np.asarray(r[name]).ravel() for r in (plain, compiled))
        # The compiler may contract and reorder sums: a few roundings of the largest value.
        assert np.abs(a - b).max() <= tolerance * np.abs(a).max(), name


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_kernel_is_the_plain_run_for_each_fixture(everything, method):
    run = experiment(everything.outputs, TIMES)
    compiled = simulate(everything, run, method=method)
    alone = by_label(everything.model, simulate(everything, method=method))
    agree(alone, compiled, everything.outputs)
    assert compiled.attrs["method"] == method


def test_joined_fixtures_are_the_fixtures(everything):
    whole = simulate(everything)
    for path in FIXTURES.glob("*.mdl"):
        own = simulate(read_model(path))
        for name in own:
            assert np.array_equal(whole[name], own[name]), name


def test_kernel_of_xmile_is_the_plain_run():
    program = compile_model(read_model(FIXTURES / "xmile_stocks.xmile"))
    compiled = simulate(program, experiment(program.outputs, TIMES))
    agree(simulate(program), compiled, program.outputs)


def test_source_runs_as_it_stands(everything, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(everything.source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path)],  # no packages: plain Python is enough
        capture_output=True, text=True, encoding="utf-8", check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0] == ["Time", *everything.outputs]
    table = np.array(rows[1:], dtype=float)
    assert np.array_equal(table[:, 0], simulate(everything).time)
    ours = by_label(everything.model, simulate(everything))
    for i, name in enumerate(everything.outputs, 1):
        assert np.array_equal(table[:, i], ours[name]), name


def test_source_is_readable(tmp_path):
    read = model(
        tmp_path,
        """
        Population = INTEG(births - deaths, 100) ~ Person ~ |
        births = Population*birth rate ~ Person/Year ~ |
        deaths = Population/average lifetime ~ Person/Year ~ |
        birth rate = 0.03 ~ 1/Year ~ |
        average lifetime = 70 ~ Year ~ |
        """,
    )
    source = compile_model(read).source
    assert "    population = s[0]  # Population [Person]\n" in source
    assert "    births = population * birth_rate  # births [Person/Year]\n" in source
    assert "    deaths = population / average_lifetime  # deaths [Person/Year]\n" in source
    assert "    d[0] = births - deaths\n" in source
    assert "0.03,  # p[0] birth rate" in source
    assert max(map(len, source.splitlines())) < 120
    assert compile_model(read).source == source, "the same model gives the same text"


def test_outputs_are_all_that_is_computed(tmp_path):
    read = model(tmp_path, "a = INTEG(b, 0)\nb = a + 1\nc = b*2\ntable((0,0),(1,1))")
    program = compile_model(read, ["B"])
    assert program.outputs == ("b",)
    body = program.source.partition("def evaluate")[2].partition("def remember")[0]
    assert "    b = " in body
    assert "    c = " not in body
    assert program.with_outputs(["c", "a"]).outputs == ("c", "a")
    for name in ("nobody", "table"):
        with pytest.raises(SimulationError) as caught:
            compile_model(read, [name])
        assert caught.value.code == "S203"
        assert name in caught.value.message


def test_shape_of_a_program(tmp_path):
    read = model(tmp_path, "b = 2\nx = INTEG(1, b)\na = 3", start=1, end=5, step=0.25, saveper=0.5)
    program = compile_model(read)
    assert program.parameters == ("b", "a", "INITIAL TIME", "FINAL TIME", "TIME STEP", "SAVEPER")
    assert program.defaults == (2, 3, 1, 5, 0.25, 0.5)
    assert (program.initial_time, program.final_time) == (1, 5)
    assert (program.time_step, program.saveper) == (0.25, 0.5)
    assert program.states == 1


@pytest.mark.parametrize(
    ("equations", "shown"),
    [
        ("a = b\nb = a", "a -> b -> a"),
        ("a = a + 1", "a -> a"),
        ("a = DELAY1(b, a)\nb = 1", "a -> a"),
        ("a = ACTIVE INITIAL(1, a)\nb = INTEG(1, a)", "a -> a"),
        ("s = INTEG(1, t)\nt = s*2 + u\nu = INTEG(1, s + t)", "->"),
    ],
)
def test_circles(tmp_path, equations, shown):
    with pytest.raises(ModelError) as caught:
        compile_model(model(tmp_path, equations))
    assert caught.value.code == "M106"
    assert shown in caught.value.message


@pytest.mark.parametrize(
    "equations",
    [
        "a = INTEG(a, 1)",
        "a = SMOOTH(b, 2)\nb = INITIAL(3) + STEP(1, 2) + c*0\nc = INTEG(a, 1)",
        "a = DELAY FIXED(a + 1, 2, 0)",
        "a = ACTIVE INITIAL(b, 3)\nb = INTEG(a, a)",
        "a = SAMPLE IF TRUE(Time > 2, b, 0)\nb = c + 1\nc = INTEG(a, 0)",
    ],
)
def test_what_looks_like_a_circle_and_is_none(tmp_path, equations):
    assert simulate(model(tmp_path, equations, end=3))["a"].notnull().all()


# -- the folder of compiled kernels ---------------------------------------------------------

CHILD = """
import sys
from sdkit import read_model, simulate
from tests.small import experiment
result = simulate(read_model(sys.argv[1]), experiment(["x"], [0, 2]))
print(float(result["x"].values.flat[-1]))
"""


def in_a_process(path: Path, cache: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "SDKIT_CACHE": str(cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def entries(cache: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in cache.iterdir()}


def test_a_second_process_compiles_nothing(tmp_path):
    path = model(tmp_path, "x = INTEG(1, 0)", end=2).path
    cache = tmp_path / "cache"
    assert in_a_process(path, cache) == 2
    first = entries(cache)
    assert any(name.endswith(".o") for name in first)
    if hasattr(os, "getuid"):
        assert cache.stat().st_mode & 0o777 == 0o700
    assert in_a_process(path, cache) == 2
    assert entries(cache) == first

    # What somebody changed, or a disk damaged, is made again.
    for name, (_, good) in first.items():
        middle = len(good) // 2
        for bad in (good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :], good[:20], b""):
            (cache / name).write_bytes(bad)
            assert in_a_process(path, cache) == 2
            assert (cache / name).read_bytes() == good


def test_a_full_disk_costs_the_cache_only(tmp_path, monkeypatch):
    monkeypatch.setenv("SDKIT_CACHE", str(tmp_path / "cache"))

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert cached("entry", lambda: b"value") == b"value"
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("SDKIT_CACHE", str(tmp_path / "cache"))
    assert cached("entry", lambda: b"value") == b"value"
    assert cached("entry", lambda: pytest.fail("it is there")) == b"value"


def test_the_oldest_entries_go(tmp_path, monkeypatch):
    monkeypatch.setenv("SDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sdkit.cache.KEPT", 3)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    others = [cache / name for name in ("thesis.txt", "x.o", "notes.model")]
    for other in others:
        other.write_text("somebody's own")
        os.utime(other, ns=(0, 0))
    (cache / "folder").mkdir()
    os.utime(cache / "folder", ns=(0, 0))
    names = [f"{i:032x}.o" for i in range(5)]
    for i, name in enumerate(names, 1):
        cached(name, lambda: b"value")
        os.utime(cache / name, ns=(i, i))
    left = {p.name for p in cache.iterdir()}
    assert left == {*names[2:], *(p.name for p in others), "folder"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
def test_a_folder_that_others_can_write_is_not_used(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("SDKIT_CACHE", str(cache))
    assert cache_folder() == cache
    for mode in (0o770, 0o707, 0o777):
        cache.chmod(mode)
        assert cache_folder() is None
        assert cache.stat().st_mode & 0o777 == mode, "it is not ours to change"
    cache.chmod(0o755)
    assert cache_folder() == cache


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    path = model(tmp_path, "x = INTEG(1, 0)", end=2).path
    (tmp_path / "file").write_text("in the way")
    assert in_a_process(path, tmp_path / "file" / "cache") == 2
