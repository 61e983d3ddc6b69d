"""New files in the place of old ones: whole at every instant, whatever ends the process."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdkit import cache, files, placing, results
from sdkit.errors import RunError
from sdkit.new import new_model
from sdkit.placing import STAGE, locked, put, workshop

# What changes files, as audit hooks name it; `open` where it is to write.
CHANGES = {
    "open", "os.chmod", "os.exchange", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.truncate",
}  # fmt: skip
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="deaths are tried in a fork")


def tree(folder: Path) -> dict[str, str]:
    """Every file under a folder by its path, but for what a dead process left beside results."""
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in folder.rglob("*")
        if p.is_file() and STAGE not in str(p) and ".new-" not in p.name
    }


def write(folder: Path, found: dict[str, str]) -> None:
    for name, text in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def deaths(work, prepare, limit: int = 1000):
    """Carry out `work` in a process that dies before its k-th change of files, for every k.

    Gives k after each death, `prepare` having been called before; ends where it lives to the end.
    An audit hook sees every change that Python makes, and stays with the process.
    """
    for k in range(1, limit):
        prepare()
        child = os.fork()
        if child == 0:
            _die(work, k)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 9)
        if status == 0:
            assert k > 2  # it did something
            return
        yield k
    raise AssertionError("it never ends")


def _die(work, k: int) -> None:
    """Carry out `work` and end this process, before its k-th change at the latest."""
    count, exchange = 0, placing.exchange

    def hook(event, arguments):
        nonlocal count
        if event in CHANGES and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            count += 1
            if count == k:
                os._exit(9)

    def exchanged(one, other):  # a call of the C library is no event: before it and after it
        hook("os.exchange", ())
        found = exchange(one, other)
        hook("os.exchange", ())
        return found

    try:
        placing.exchange = exchanged
        sys.addaudithook(hook)
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


OLD = {"run.toml": "?", "summary.csv": "old", "forecasts.csv": "old", "record.json": "old",
       "notes/mine.txt": "mine", "out/report.html": "old", "out/figures/a.png": "old"}  # fmt: skip
FRESH = {"summary.csv": "new", "claims.csv": "new", "record.json": "new", "out/report.html": "new"}
NEW = {"run.toml": "?", "notes/mine.txt": "mine", **FRESH}
GONE = {"out", "forecasts.csv"}


def place_fresh(place: Path) -> None:
    with workshop(place) as work:
        write(work / "fresh", FRESH)
        put(work / "fresh", place, GONE.__contains__, work)


def at_exchanges(monkeypatch, before=id, after=id) -> None:
    """Call these with the number of each exchange: 0 of a folder for its twin, 1 back again."""
    exchange, numbers = placing.exchange, itertools.count()

    def watched(one, other):
        before(number := next(numbers))
        found = exchange(one, other)
        after(number)
        return found

    monkeypatch.setattr(placing, "exchange", watched)


def again(folder: Path, found: dict[str, str]) -> None:
    """The folder as it was, with nothing of the dead beside it."""
    for path in (folder, *folder.parent.glob(f"{STAGE}*")):
        shutil.rmtree(path, ignore_errors=True)
    write(folder, found)


def test_this_system_exchanges_folders(tmp_path):
    if sys.platform not in ("linux", "darwin"):
        pytest.skip("it cannot")
    write(tmp_path, {"one/x": "1", "two/y": "2"})
    assert placing.exchange(tmp_path / "one", tmp_path / "two")
    assert tree(tmp_path) == {"one/y": "2", "two/x": "1"}
    assert not placing.exchange(tmp_path / "one", tmp_path / "absent")


def test_a_death_leaves_the_old_or_the_new(tmp_path):
    place = tmp_path / "run"
    seen = []
    for _ in deaths(lambda: place_fresh(place), lambda: again(place, OLD)):
        found = tree(place)
        assert found in (OLD, NEW)
        seen.append(found == NEW)
    assert seen == sorted(seen)  # once new, always new
    assert set(seen) == {False, True}
    assert tree(place) == NEW
    # What the dead left goes with the next, at once.
    (tmp_path / f"{STAGE}dead" / "twin").mkdir(parents=True)
    place_fresh(place)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_was_not_there_is_there_whole(tmp_path):
    place = tmp_path / "run"
    for _ in deaths(lambda: place_fresh(place), lambda: again(place, {})):
        assert tree(place) in ({}, FRESH)
    assert tree(place) == FRESH


def test_the_folder_stays_the_same_one(tmp_path, monkeypatch):
    """For a shell that stands in it, and for its lock."""
    place = tmp_path / "run"
    write(place, OLD)
    before = place.stat().st_ino
    monkeypatch.chdir(place)
    place_fresh(Path())
    assert tree(place) == tree(Path()) == NEW
    assert place.stat().st_ino == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_is_saved_meanwhile_is_kept(tmp_path, monkeypatch):
    place = tmp_path / "run"
    write(place, OLD)

    def save(number):  # into the folder, and into the twin while that stands in its place
        files.write_text(place / "notes" / f"{number}.txt", "saved")
        files.write_text(place / "run.toml", f"saved {number}")

    at_exchanges(monkeypatch, before=save)
    place_fresh(place)
    found = tree(place)
    assert found["run.toml"] == "saved 1"
    assert found["notes/0.txt"] == found["notes/1.txt"] == "saved"
    assert {k: v for k, v in found.items() if k in FRESH} == FRESH


def test_what_is_deleted_meanwhile_stays_deleted(tmp_path, monkeypatch):
    """The twin has another name of each file, under which it is there still."""
    place = tmp_path / "run"
    write(place, OLD)

    def delete(number):
        if number == 1:  # the folder itself is in its place again
            (place / "run.toml").unlink()
            (place / "notes" / "mine.txt").unlink()

    at_exchanges(monkeypatch, after=delete)
    place_fresh(place)
    assert tree(place) == FRESH


def test_the_twin_looks_as_the_folder_does(tmp_path, monkeypatch):
    """Its rights, and links that stay links; also where the folder is named by a relative path."""
    place = tmp_path / "run"
    write(place, OLD)
    place.chmod(0o750)
    (place / "link").symlink_to(tmp_path / "elsewhere")
    write(tmp_path, {"elsewhere": "x"})
    seen = []

    def look(number):
        seen.append((number, place.stat().st_mode & 0o777, (place / "link").is_symlink()))

    at_exchanges(monkeypatch, after=look)
    monkeypatch.chdir(place)
    place_fresh(Path())
    assert seen == [(0, 0o750, True), (1, 0o750, True)]


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    place = tmp_path / "run"
    mine = OLD | {"claims.csv/mine.txt": "mine"}
    write(place, mine)
    with pytest.raises(IsADirectoryError):
        place_fresh(place)
    assert tree(place) == mine


def test_what_stands_there_long_goes_where_no_lock_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "locked", lambda folder: None)
    young, old = (tmp_path / f"{STAGE}{name}" for name in ("young", "old"))
    young.mkdir()
    old.mkdir()
    os.utime(old, (1, 1))
    place_fresh(tmp_path / "run")
    assert sorted(p.name for p in tmp_path.iterdir()) == [young.name, "run"]


@pytest.mark.parametrize("exchanged", [True, False])
def test_an_error_at_any_rename_puts_the_old_ones_back(exchanged, tmp_path, monkeypatch):
    place = tmp_path / "run"
    rename, exchange = os.rename, placing.exchange
    for k in range(100):
        again(place, OLD)
        count = 0

        def failing(source, target, k=k):
            nonlocal count
            count += 1
            if count == k:
                raise PermissionError(errno.EACCES, "locked")
            rename(source, target)

        monkeypatch.setattr(os, "rename", failing)
        monkeypatch.setattr(placing, "exchange", exchange if exchanged else lambda *_: False)
        if k == 0:
            place_fresh(place)
            assert tree(place) == NEW
            continue
        try:
            place_fresh(place)
        except PermissionError:
            assert tree(place) == OLD
            assert [p.name for p in tmp_path.iterdir()] == ["run"]
        else:
            assert tree(place) == NEW
            assert k > 5
            return


def test_a_folder_whose_parent_cannot_be_written(tmp_path, monkeypatch):
    """A file system of its own, or a parent of somebody else."""
    place = tmp_path / "run"
    write(place, OLD)
    make = placing.tempfile.mkdtemp

    def refusing(prefix, dir):
        if Path(dir) == tmp_path:
            raise PermissionError(errno.EACCES, "denied")
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr(placing.tempfile, "mkdtemp", refusing)
    place_fresh(place)
    assert tree(place) == NEW
    assert not list(place.glob(".sdkit*"))


# -- runs --------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder whose work writes FRESH, and a posterior in the model's folder."""
    write(tmp_path, {"models/m/posterior.csv": "old"})
    beside = (tmp_path / "models" / "m" / "posterior.csv", "new\n")
    monkeypatch.setattr(results, "task_of", lambda folder: "compare")
    fresh = FRESH | {"record.json": "{}"}
    monkeypatch.setitem(
        results._WORKS, "compare", lambda *_: (lambda stage: write(stage, fresh), beside)
    )
    monkeypatch.setattr(results, "environment_of", lambda seconds: {})
    return tmp_path / "runs" / "x"


RECORDED = OLD | {"record.json": '{"tables": {"summary.csv": "", "forecasts.csv": ""}}'}


def tables(folder: Path) -> dict[str, str]:
    return {name: text for name, text in tree(folder).items() if name.endswith(".csv")}


def test_a_run_that_dies_leaves_old_tables_or_new_ones(run):
    old = {"summary.csv": "old", "forecasts.csv": "old"}
    new = {"summary.csv": "new", "claims.csv": "new"}
    posterior = run.parents[1] / "models" / "m" / "posterior.csv"

    def prepare():
        again(run, RECORDED)
        again(posterior.parent, {"posterior.csv": "old"})

    seen = set()
    for _ in deaths(lambda: results.carry_out(run), prepare):
        found, draws = tables(run), posterior.read_text()
        assert found in (old, new)
        assert (found == new) == ('"claims.csv"' in (run / "record.json").read_text())
        assert (found == new) == ((run / "out" / "report.html").read_text() == "new")
        assert draws in ("old", "new\n")
        assert draws == "new\n" or found == old  # never new tables with an old posterior
        seen.add((found == new, draws))
    assert (True, "new\n") in seen
    assert (False, "old") in seen
    assert tables(run) == new
    assert (run / "notes" / "mine.txt").read_text() == "mine"
    results.carry_out(run)
    assert not list(run.parent.glob(f"{STAGE}*"))


def test_tables_that_fail_leave_the_posterior_as_it_was(run, monkeypatch):
    write(run, RECORDED)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results, "put", full)
    with pytest.raises(RunError, match="No space left"):
        results.carry_out(run)
    assert tree(run) == RECORDED
    assert (run.parents[1] / "models" / "m" / "posterior.csv").read_text() == "old"


def test_two_processes_do_not_write_to_one_folder(run, tmp_path):
    write(run, RECORDED)
    for place, given in ((run, {}), (tmp_path / "mine", {"out": tmp_path / "mine"})):
        place.mkdir(exist_ok=True)
        other = locked(place)
        with pytest.raises(RunError, match=str(place)) as caught:
            results.carry_out(run, **given)
        assert caught.value.code == "R427"
        os.close(other)
        results.carry_out(run, **given)
    assert tables(run) == {"summary.csv": "new", "claims.csv": "new"}


def test_a_named_folder_keeps_what_is_no_table_of_its_record(run, tmp_path):
    write(run, RECORDED)
    out = tmp_path / "mine"
    mine = {"data.csv": "mine", "figures/mine.png": "mine", "forecasts.csv": "old"}
    write(out, mine | {"record.json": RECORDED["record.json"], "failed.csv": "old"})
    results.carry_out(run, out=out)
    found = tree(out)
    assert {"data.csv", "figures/mine.png", "summary.csv", "claims.csv"} <= found.keys()
    assert not {"forecasts.csv", "failed.csv"} & found.keys()
    assert tree(run) == RECORDED
    assert (run.parents[1] / "models" / "m" / "posterior.csv").read_text() == "old"


def test_a_folder_with_the_name_of_a_table_stays(run):
    mine = {name: text for name, text in RECORDED.items() if name != "summary.csv"}
    mine |= {"summary.csv/mine": "mine"}
    write(run, mine)
    with pytest.raises(RunError, match=re.escape(str(run / "summary.csv"))) as caught:
        results.carry_out(run)
    assert caught.value.code == "U603"
    assert tree(run) == mine


def test_a_file_is_whole_at_every_instant(tmp_path):
    path = tmp_path / "x" / "posterior.csv"
    for _ in deaths(
        lambda: files.write_text(path, "new"), lambda: again(path.parent, {"posterior.csv": "old"})
    ):
        assert path.read_text() in ("old", "new")
    assert path.read_text() == "new"


def test_a_living_process_keeps_its_workshop(tmp_path):
    code = (
        "import sys; from pathlib import Path; from sdkit.placing import workshop\n"
        "with workshop(Path(sys.argv[1])) as work: print(work, flush=True); sys.stdin.read()"
    )
    place = tmp_path / "run"
    command = [sys.executable, "-c", code, str(place)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        theirs = Path(other.stdout.readline().strip())
        assert theirs.is_dir()
        place_fresh(place)
        assert theirs.is_dir()
        other.kill()
    place_fresh(place)
    assert not theirs.exists()
    assert tree(place) == FRESH


def test_an_entry_of_the_cache_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SDKIT_CACHE", str(tmp_path / "cache"))
    name = f"{'0' * 32}.o"

    def entry():
        def never():
            raise AssertionError("made again")

        try:
            return cache.cached(name, never)
        except AssertionError:
            return None

    for _ in deaths(
        lambda: cache.cached(name, lambda: b"made"), lambda: again(tmp_path / "cache", {})
    ):
        assert entry() in (None, b"made")
    assert entry() == b"made"
    # What the dead left goes, once it cannot be another's that writes; a stranger's stays.
    left, mine = tmp_path / "cache" / f"{name}.7.part", tmp_path / "cache" / "x.part"
    for path in (left, mine):
        path.write_text("half")
        os.utime(path, (0, 0))
    cache.cached(f"{'1' * 32}.o", lambda: b"made")
    assert not left.exists()
    assert mine.exists()


def test_a_new_model_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = tmp_path / "models"
    whole = None
    for _ in deaths(lambda: new_model("disease"), lambda: again(models / "disease", {})):
        found = tree(models / "disease")
        whole = whole or found
        assert found in ({}, whole)
    assert {"disease.mdl", "parameters.csv", "data/series.csv"} & whole.keys()
    assert [p.name for p in models.iterdir() if p.name.startswith(".")] == []
