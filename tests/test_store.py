"""Ensembles on disk: interrupted anywhere, the same bytes; damage is seen and mended."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sdkit import store
from sdkit.errors import RunError
from sdkit.store import Store, open_store, quantiles

ROOT = Path(__file__).parents[1]
DRAWS, CHUNK = 300, 32  # the last chunk is shorter
TIMES = np.arange(2020.0, 2030.0)
BLOCK = 8 * DRAWS * 4  # bytes: four of the ten times at once, so that the last block is shorter
COORDS = {
    "time": TIMES,
    "deaths/year window": [2026.0, 2040.0],
    "scenario": ["reference", "größer"],
    "policy": ["none", "border", "both"],
    "draw": np.arange(DRAWS),
}
ARRAYS = {
    "deaths": (("time", "scenario", "policy", "draw"), "people/Year", {"averaged": 1}),
    "deaths/year": (("deaths/year window", "scenario", "policy", "draw"), "days", {}),
    # A unit that xarray would make dates of.
    "peak": (("scenario", "policy", "draw"), "days since 2000-01-01", {}),
}
NOTHING = (0, 0, 0)  # the item in which every value is NaN


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    monkeypatch.setattr(store, "_BLOCK", BLOCK)


def open_(path, fingerprint="a", **changed) -> Store:
    given = {"arrays": ARRAYS, "coords": COORDS, "attrs": {"model": "sir"}, "chunk": CHUNK}
    return Store.open(path, **(given | changed), fingerprint={"draws": fingerprint})


def values(item):
    """What a model would give: decided by the item alone."""
    rng = np.random.default_rng(item)
    draws = min(CHUNK, DRAWS - item[0] * CHUNK)
    found = {
        name: rng.normal(size=[len(COORDS[d]) for d in dims[:-3]] + [draws])
        for name, (dims, _, _) in ARRAYS.items()
    }
    return {n: np.full_like(v, np.nan) for n, v in found.items()} if item == NOTHING else found


def make(path) -> int:
    """The whole ensemble, or the rest of it; returns how many items were written."""
    with open_(path) as made:
        written = fill(made)
        made.finish()
    return written


def fill(made: Store) -> int:
    missing = made.missing()
    for item in missing:
        made.write(item, values(item))
    return len(missing)


ITEMS = 10 * 2 * 3


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder by its path."""
    found = folder.rglob("*")
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in found
    }


def refused(code: str, call, *arguments, **named) -> str:
    with pytest.raises(RunError) as caught:
        call(*arguments, **named)
    assert caught.value.code == code
    return caught.value.message


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store made without disturbance."""
    path = tmp_path_factory.mktemp("whole") / "ensemble"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_BLOCK", BLOCK)
        assert make(path) == ITEMS
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def expected(name: str) -> np.ndarray:
    shape = [len(COORDS[d]) for d in ARRAYS[name][0]]
    full = np.full(shape, np.inf)
    for c in range(10):
        for s in range(2):
            for p in range(3):
                full[..., s, p, c * CHUNK : (c + 1) * CHUNK] = values((c, s, p))[name]
    return full


# -- what comes back ---------------------------------------------------------------------


def test_what_was_written_comes_back(whole):
    data = open_store(whole)
    assert data.attrs == {"model": "sir"}
    for name, (dims, unit, more) in ARRAYS.items():
        assert data[name].dims == dims
        assert data[name].attrs == {"units": unit, **more}
        np.testing.assert_array_equal(data[name].to_numpy(), expected(name))
    for dim, labels in COORDS.items():
        np.testing.assert_array_equal(data[dim].to_numpy(), labels)
    assert data["scenario"].dtype.kind == "U"
    assert (
        data["deaths"].sel(scenario="größer", policy="both", time=2021, draw=299)
        == (values((9, 1, 2))["deaths"][1, -1])
    )


def test_a_dataset_is_read_on_access_only(whole):
    data = open_store(whole)
    assert not any(variable._in_memory for variable in data.data_vars.values())
    data["deaths"].to_numpy()
    assert not data["deaths"].variable._in_memory


def test_other_tools_read_it(whole):
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*onsolidated")
        data = xr.open_zarr(whole, chunks=None)
        group = zarr.open_group(whole, mode="r")
    assert data["deaths"].dims == ARRAYS["deaths"][0]
    assert data["deaths"].attrs["units"] == "people/Year"
    assert list(data["policy"].to_numpy()) == COORDS["policy"]
    assert group["deaths"].attrs["units"] == "people/Year"
    np.testing.assert_array_equal(group["deaths"][:], expected("deaths"))


def test_values_of_another_shape_are_not_spread_out(tmp_path):
    with open_(tmp_path / "x") as made:
        for wrong in (np.zeros((10, 1)), np.zeros((9, 32)), np.zeros(32), np.zeros((10, 33))):
            with pytest.raises(ValueError, match="shape"):
                made.write((1, 0, 0), values((1, 0, 0)) | {"deaths": wrong})


# -- interrupted -------------------------------------------------------------------------


def test_twice_made_is_the_same_and_once_made_is_left_alone(whole, tmp_path):
    before = tree(whole)
    assert make(tmp_path / "again") == ITEMS
    assert tree(tmp_path / "again") == before
    assert make(whole) == 0
    assert tree(whole) == before


def test_the_order_of_writing_does_not_matter(whole, tmp_path):
    with open_(tmp_path / "x") as made:
        items = made.missing()
        random.Random(1).shuffle(items)
        for item in items:
            made.write(item, values(item))
        made.finish()
    assert tree(tmp_path / "x") == tree(whole)


CHILD = """
import sys
from pathlib import Path
from tests import test_store as t
t.store._BLOCK = t.BLOCK
path = Path(sys.argv[1])
"""


def child(code: str, *arguments, before: tuple = ()) -> subprocess.Popen:
    command = [*before, sys.executable, "-c", CHILD + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_at_random_moments_it_ends_the_same(whole, tmp_path):
    path, total = tmp_path / "x", len(tree(whole))
    moments = sorted(random.Random().sample(range(1, total // 2), 5))
    for number in moments:  # of files and folders, so that a slow machine is killed as well
        process = child("t.make(path)", path)
        while process.poll() is None and sum(1 for _ in path.rglob("*")) < number:
            pass
        process.kill()
        process.communicate()
        assert process.returncode == -9, moments
        there = {n: b for n, b in tree(path).items() if not n.endswith(".partial")}
        assert there.items() <= tree(whole).items() | {("zarr.json", there.get("zarr.json"))}
    assert 0 < make(path) < ITEMS, moments
    assert tree(path) == tree(whole)


@pytest.mark.parametrize("number", [0, 1, 2, 7, 8, 60])
def test_interrupted_in_a_write_it_ends_the_same(number, whole, tmp_path, monkeypatch):
    """At the n-th file, before it is renamed: in the metadata, a first and a later block."""
    path, count, replace = tmp_path / "x", 0, Path.replace

    def interrupt(self, target):
        nonlocal count
        count += 1
        if count > number:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(path)
    monkeypatch.setattr(Path, "replace", replace)
    assert not list(path.rglob("*.partial"))
    make(path)
    assert tree(path) == tree(whole)


def test_a_chunk_is_whole_or_as_it_was(whole, copy, monkeypatch):
    def interrupt(self, target):
        raise KeyboardInterrupt

    with open_(copy) as made:
        monkeypatch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            made.write((1, 0, 0), values((2, 0, 0)))
    assert tree(copy) == tree(whole)


def test_interrupted_while_zarr_encodes(whole, tmp_path, monkeypatch):
    from zarr import Array

    path, setitem, count = tmp_path / "x", Array.__setitem__, 0

    def interrupt(self, region, part):
        nonlocal count
        count += 1
        setitem(self, region, part)
        if count == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(Array, "__setitem__", interrupt)
    with open_(path) as made:
        with pytest.raises(KeyboardInterrupt):
            fill(made)
        fill(made)  # the same object goes on too
        made.finish()
    assert tree(path) == tree(whole)


def test_what_a_killed_write_left_is_removed(whole, copy):
    (copy / "deaths" / "c.0.0.0.0.partial").write_bytes(b"half")
    (copy / "zarr.json.partial").write_bytes(b"half")
    assert make(copy) == 0
    assert tree(copy) == tree(whole)


@pytest.mark.parametrize("left", [[], ["zarr.json.partial"]])
def test_a_folder_in_which_nothing_was_begun_is_used(left, whole, tmp_path):
    path = tmp_path / "x"
    path.mkdir()
    for name in left:
        (path / name).write_bytes(b"half")
    make(path)
    assert tree(path) == tree(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_limit_on_file_size_is_said_and_lifted(whole, tmp_path):
    code = """
import resource
from sdkit.errors import RunError
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for soft in (100, 500, 1000, hard):
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    try:
        t.make(path)
    except RunError as error:
        print(error)
"""
    out = child(code, path := tmp_path / "x").communicate()[0]
    assert out.count("R418") == 3
    assert os.strerror(errno.EFBIG) in out
    assert tree(path) == tree(whole)


def test_a_full_disk_is_said_and_the_same_call_goes_on(whole, tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    own = ("unshare", "--map-root-user", "--mount")
    inside = ("sh", "-c", 'mount -t tmpfs -o size=400k tmpfs "$0" && exec "$@"', str(mount))
    if not shutil.which("unshare") or subprocess.run(
        [*own, *inside, "true"], capture_output=True
    ).returncode:  # fmt: skip
        pytest.skip("no file system may be mounted here")
    code = """
import shutil, subprocess
from sdkit.errors import RunError
for option in (None, "size=500k", "ro", "rw,size=64m"):
    if option:
        subprocess.run(["mount", "-o", "remount," + option, path.parent], check=True)
    try:
        t.make(path)
    except RunError as error:
        print(error)
shutil.copytree(path, sys.argv[2])
"""
    process = child(code, mount / "x", tmp_path / "x", before=own + inside)
    out = process.communicate()[0]
    full, fuller, read_only = out.splitlines()
    assert full.startswith("R418: ")
    assert os.strerror(errno.ENOSPC) in full
    assert fuller.startswith("R418: ")
    assert read_only.startswith("U603: ")
    assert tree(tmp_path / "x") == tree(whole)


# -- damage ------------------------------------------------------------------------------


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


DAMAGE = {
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "without checksum": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "a bit": flip,
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("deaths/c.1.1.2.4", (4, 1, 2)),
        ("deaths/c.0.0.0.0", NOTHING),
        ("deaths%2Fyear/c.0.0.1.9", (9, 0, 1)),
        ("peak/c.0.1.9", (9, 0, 1)),
    ],
)
def test_damage_is_noticed_and_mended(kind, name, item, whole, copy):
    DAMAGE[kind](copy / name)
    if kind != "a bit":  # which is seen where the chunk is read
        message = refused("R416", open_store, copy)
        assert f"1 of {ITEMS}" in message
    elif item != NOTHING:
        assert "checksum" in refused("R416", quantiles, open_store(copy), [0.5])
    with open_(copy) as made:
        assert made.missing() == [item]
        assert "1 of" in refused("R416", made.finish)
    assert make(copy) == 1
    assert tree(copy) == tree(whole)


@pytest.mark.parametrize("name", ["deaths/zarr.json", "policy/c.0", "draw/zarr.json"])
@pytest.mark.parametrize("kind", ["deleted", "empty", "a bit"])
def test_damaged_metadata_is_mended(kind, name, whole, copy):
    DAMAGE[kind](copy / name)
    assert make(copy) == 0
    assert tree(copy) == tree(whole)


def test_a_chunk_of_nothing_but_nan_is_there(whole):
    assert np.isnan(values(NOTHING)["deaths"]).all()
    with open_(whole) as made:
        assert made.missing() == []


# -- refused -----------------------------------------------------------------------------


def test_another_ensemble_is_never_overwritten(copy):
    before = tree(copy)
    assert "made with other draws" in refused("R415", open_, copy, "b")
    refused("R415", open_, copy, chunk=64)
    refused("R415", open_, copy, coords=COORDS | {"time": TIMES + 1})
    refused("R415", open_, copy, arrays={"deaths": ARRAYS["deaths"]})
    assert tree(copy) == before


def test_what_is_no_store_is_left_alone(tmp_path):
    import zarr

    file, folder, other = tmp_path / "file", tmp_path / "folder", tmp_path / "other"
    file.write_text("mine")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    zarr.create_group(other, attributes={"mine": 1})
    before = tree(tmp_path)
    for path in (file, folder, other):
        refused("R414", open_, path)
        refused("R414", open_store, path)
    refused("R414", open_store, tmp_path / "nowhere")
    assert "nowhere" in refused("U603", open_, tmp_path / "nowhere" / "x")
    refused("U603", open_, file / "x")
    assert tree(tmp_path) == before


def test_a_store_that_is_not_complete_is_not_read(tmp_path):
    with open_(tmp_path / "x") as made:
        assert f"{ITEMS} of {ITEMS}" in refused("R416", open_store, made.path)
        made.write((0, 0, 1), values((0, 0, 1)))
        assert f"{ITEMS - 1} of {ITEMS}" in refused("R416", open_store, made.path)
        part = made.dataset()["deaths"].isel(scenario=0, policy=1).to_numpy()
        np.testing.assert_array_equal(part[:, :CHUNK], values((0, 0, 1))["deaths"])
        assert np.isnan(part[:, CHUNK:]).all()
        fill(made)
        assert "not finished" in refused("R416", open_store, made.path)


@pytest.mark.skipif(sys.platform == "win32", reason="has no flock")
def test_two_writers_at_once(tmp_path):
    path = tmp_path / "x"
    process = child("s = t.open_(path)\nprint('held', flush=True)\nsys.stdin.read()", path)
    assert process.stdout.readline() == "held\n"
    refused("R417", open_, path)
    process.kill()  # a dead process holds nothing
    process.communicate()
    with open_(path):
        refused("R417", open_, path)
    open_(path).close()


# -- quantiles ---------------------------------------------------------------------------

Q = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def test_quantiles_are_those_of_numpy(whole):
    found = quantiles(open_store(whole), Q)
    for name, (dims, unit, _) in ARRAYS.items():
        assert found[name].dims == ("quantile", *dims[:-1])
        assert found[name].attrs["units"] == unit
        # Exactly: the same numbers are sorted, the same two of them interpolated.
        want = np.quantile(expected(name), Q, axis=-1)
        np.testing.assert_array_equal(found[name].to_numpy(), want)
        assert np.isnan(want[..., 0, 0]).all()  # NaN draws are not left out
        assert np.isfinite(want[..., 1, :]).all()
    assert list(found["quantile"].to_numpy()) == Q
    assert list(found["policy"].to_numpy()) == COORDS["policy"]


def test_quantiles_of_what_is_in_memory_or_a_part(whole):
    data = open_store(whole)
    part = quantiles(data.sel(scenario="größer", time=[2021.0, 2028.0]), [0.5])
    xr.testing.assert_identical(
        part, quantiles(data, [0.5]).sel(scenario="größer", time=[2021.0, 2028.0])
    )
    xr.testing.assert_identical(quantiles(data.load(), Q), quantiles(open_store(whole), Q))
    over_time = quantiles(open_store(whole)[["deaths"]], [0.5], dim="time")
    want = np.quantile(expected("deaths"), [0.5], axis=0)
    np.testing.assert_array_equal(over_time["deaths"].to_numpy(), want)


@pytest.mark.parametrize("name", ["draw", "policy", "scenario", "time"])
@pytest.mark.parametrize("fault", ["gone", "flipped"])
def test_a_store_without_its_coordinates_is_not_opened(name, fault, copy):
    file = copy / name / "c.0"
    raw = file.read_bytes()
    file.unlink()
    if fault == "flipped":
        file.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    assert name in refused("R416", open_store, copy)


def test_a_damaged_root_is_told_from_a_foreign_folder(copy):
    (copy / "zarr.json").write_text("{")
    assert "is damaged" in refused("R414", open_, copy)
