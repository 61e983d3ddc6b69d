"""Ensembles that go to disk: the same numbers, and the same bytes however often interrupted."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sdkit.cache
import sdkit.ensemble
from sdkit import (
    Draws,
    Experiment,
    Measure,
    Setting,
    compile_model,
    open_store,
    quantiles,
    read_model,
    read_parameters,
    sample,
    simulate,
)
from sdkit.errors import RunError, SimulationError
from tests.small import experiment, model

ROOT = Path(__file__).parents[1]
# Chunks of 256 draws instead of 16,384, so that a small run has many. What the code is comes from
# the process that tests: a checkout that is edited meanwhile is no other question.
CHILD = """
import os, sys, resource, signal
import sdkit.ensemble, sdkit.kernel, sdkit.store
# A job in a shell's background starts with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.test_stream import run
sdkit.ensemble._CHUNK_BYTES = 1
made_by, kernel_code = os.environ["SDKIT_TEST_CODE"].split()
sdkit.ensemble.made_by = lambda: made_by
sdkit.kernel.code_of = lambda *modules: kernel_code
if sys.argv[2:3] == ["limit"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
if sys.argv[2:3] == ["signal"]:  # while a file is written, whose number comes last
    put, wanted, written = sdkit.store._put, int(sys.argv[4]), 0
    def stopped(path, data):
        global written
        written += path.name.startswith("c.") and path.name.count(".") > 2
        if written == wanted:
            path.with_name(path.name + ".partial").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
        put(path, data)
    sdkit.store._put = stopped
from sdkit.errors import Error
try:
    run(sys.argv[1])
except Error as error:
    print(error.code)
    sys.exit(2)
"""


def question(n: int) -> tuple:
    """A program and an experiment on the teaching model: 2 scenarios, 2 policies, 3 results."""
    read = read_model(ROOT / "models" / "sir")
    program = compile_model(read, ["Infected", "Recovered"])
    start = program.initial_time
    times = np.arange(start + 1, start + 9)
    measures = (Measure("worst", "Infected", "peak", [(start, start + 8)]),)
    lever = read_parameters(read).of_role("lever")[0]
    return program, Experiment(
        (Setting("a"), Setting("b")),
        (Setting("nothing"), Setting("most", {lever.name: lever.high})),
        Draws(read_parameters(read), n, 7), program.outputs, times,
        averaged=("Infected",), branch=float(start + 4), measures=measures,
    )  # fmt: skip


def run(folder, n: int = 4096, progress=None):
    program, asked = question(n)
    return simulate(program, asked, store=folder, progress=progress)


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(sdkit.ensemble, "_CHUNK_BYTES", 1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdkit.ensemble, "_CHUNK_BYTES", 1)
        run(folder)
    return bytes_of(folder)


def told() -> dict[str, str]:
    code = f"{sdkit.cache.made_by()} {sdkit.cache.code_of('kernel')}"
    return {**os.environ, "SDKIT_TEST_CODE": code}


def child(folder: Path, *more) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), *map(str, more)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=told(),
    )  # fmt: skip


def chunks_in(folder: Path) -> int:
    return sum(1 for p in folder.rglob("c.*.*.*") if not p.name.endswith(".partial"))


def test_values_of_the_store(tmp_path):
    program, asked = question(1024)
    memory = simulate(program, asked)
    disk = simulate(program, asked, store=tmp_path / "store")
    assert {*disk} == {*memory} == {"Infected", "Recovered", "worst"}
    for name in memory:
        assert disk[name].dims == memory[name].dims
        assert disk[name].attrs["units"] == memory[name].attrs["units"]
        np.testing.assert_array_equal(disk[name], memory[name])
    assert disk.attrs["model_hash"] == memory.attrs["model_hash"]
    some = quantiles(disk, [0.05, 0.5])
    np.testing.assert_array_equal(
        some["Infected"], np.quantile(memory["Infected"], [0.05, 0.5], axis=-1)
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_interrupted_at_any_point_it_ends_with_the_same_bytes(tmp_path, undisturbed, how):
    folder = tmp_path / "store"
    for wanted, kept in ((1, 0), (40, 39), (90, 128)):  # of 192 files
        process = child(folder, "signal", how, wanted)
        process.communicate()
        assert process.returncode != 0
        assert chunks_in(folder) == kept
        with pytest.raises(RunError) as caught:
            open_store(folder)
        assert caught.value.code == "R416"
    run(folder)
    assert bytes_of(folder) == undisturbed


def test_a_limit_of_the_disk_is_said_and_outlived(tmp_path, undisturbed):
    folder = tmp_path / "store"
    process = child(folder, "limit", 8000)  # bytes a file may have: fewer than a chunk's
    assert process.communicate()[0].strip() == "R418"
    assert process.returncode == 2
    run(folder)
    assert bytes_of(folder) == undisturbed


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root may mount")
def test_a_full_disk_is_said_and_outlived(tmp_path, undisturbed):
    small = tmp_path / "small"
    small.mkdir()
    size = "-osize=700k"  # of about 1.3 MB
    if subprocess.run(["mount", "-t", "tmpfs", size, "tmpfs", small], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(RunError) as caught:
            run(small / "store")
        assert caught.value.code == "R418"
        assert chunks_in(small / "store") > 0
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        run(small / "store")
        assert bytes_of(small / "store") == undisturbed
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_damaged_chunk_is_made_again_and_nothing_else(tmp_path, undisturbed):
    folder = tmp_path / "store"
    run(folder)
    files = sorted(folder.rglob("c.*.*.*"))
    stamps = {p: p.stat().st_mtime_ns for p in files}
    flipped = bytearray(files[5].read_bytes())
    flipped[100] ^= 1
    files[5].write_bytes(flipped)
    files[70].unlink()
    files[100].write_bytes(files[100].read_bytes()[:50])
    begun = []  # shares done
    run(folder, progress=lambda done, total: begun.append(done / total))
    assert bytes_of(folder) == undisturbed
    again = [p for p in files if p.stat().st_mtime_ns != stamps[p]]
    # An item is a chunk of draws in one scenario and policy: three results, one file each.
    assert len(again) == 9
    assert begun[0] > 0
    assert begun[-1] == 1


def test_another_question_is_refused(tmp_path):
    run(tmp_path / "store", 256)
    program, asked = question(256)
    with pytest.raises(RunError) as caught:
        simulate(program, asked, store=tmp_path / "store", set={"turnover rate": 0.02})
    assert caught.value.code == "R415"
    run(tmp_path / "store", 256)


def test_where_a_lane_fails_all_other_chunks_are_kept(tmp_path):
    read = model(tmp_path, "divisor = 1\nx = INTEG(1/divisor, 0)", end=2)
    program = compile_model(read, ["x"])
    divisor = np.ones(1000)
    divisor[700] = 0
    asked = experiment(["x"], [0, 2], draws={"divisor": divisor})
    for _ in range(2):
        with pytest.raises(SimulationError) as caught:
            simulate(program, asked, store=tmp_path / "store")
        assert caught.value.code == "S202"
        assert [f["draw"] for f in caught.value.failures] == [700]
        assert chunks_in(tmp_path / "store") == 3  # of four; the third is left out


def test_a_store_is_for_ensembles(tmp_path):
    with pytest.raises(SimulationError) as caught:
        simulate(question(256)[0], store=tmp_path / "store")
    assert caught.value.code == "S207"
    assert not (tmp_path / "store").exists()


def test_draws_are_the_same_however_they_are_cut():
    parameters = read_parameters(read_model(ROOT / "models" / "sir"))
    whole = sample(parameters, 512, 3)
    draws = Draws(parameters, 512, 3)
    for low, high in ((0, 64), (64, 128), (256, 512), (0, 512), (128, 130)):
        assert draws.chunk(low, high).equals(whole.iloc[low:high])
    assert len(draws) == 512


def test_memory_does_not_grow_with_draws(tmp_path):
    """Sixteen times the draws, written to disk, leave the peak where it was."""
    code = CHILD.replace("run(sys.argv[1])", "run(sys.argv[1], int(sys.argv[2]))")
    code += "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for n in (4096, 65536):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(n)), str(n)],
            cwd=ROOT, capture_output=True, text=True, check=True, env=told(),
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]))
    # In memory the larger run would take 48 MB more (65,536 draws of 17 numbers in four lanes'
    # worth of scenarios and policies); a quarter of that is room for the allocator.
    unit = 1024 if sys.platform != "darwin" else 1
    assert (peaks[1] - peaks[0]) * unit < 12e6
    assert resource is not None
