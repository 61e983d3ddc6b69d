"""New files in the place of old ones: all at one instant, whatever ends the process.

Files that belong together cannot be renamed together, but two folders can be exchanged. So a twin
of the folder is made beside it, of links to what stays and to what is new; the two are exchanged;
the folder itself, which nobody sees for that moment, is brought to the same state, and exchanged
back: a shell that stands in it, and a lock on it, stay with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .scratch import locked

STAGE = ".sdkit-new-"
_LEFT_ALONE = 3600.0  # seconds, where no lock tells whether a process lives
_HERE = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


@contextlib.contextmanager
def workshop(place: Path) -> Iterator[Path]:
    """A folder for what is to come into `place`, on the same disk, and gone at the end.

    It stands beside `place`, or inside where that cannot be. What processes that are no more left
    in either goes.
    """
    place = place.resolve()
    for parent in (place.parent, place):
        if parent.is_dir():
            _tidy(parent)
    work, lock = _new(place)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _new(place: Path) -> tuple[Path, int | None]:
    inside = place.is_dir() and place.stat().st_dev != place.parent.stat().st_dev
    if not inside:
        place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            work = Path(tempfile.mkdtemp(prefix=STAGE, dir=place if inside else place.parent))
        except OSError:
            if inside or not place.is_dir():
                raise
            inside = True  # the folder above cannot be written
            continue
        # Another process may take it for one that was left, before the lock is there.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            return work, locked(work)


def _tidy(parent: Path) -> None:
    for left in parent.glob(f"{STAGE}*"):
        with contextlib.suppress(OSError):  # it belongs to a process that lives, or is gone by now
            lock = locked(left)
            if lock is not None or time.time() - left.stat().st_mtime > _LEFT_ALONE:
                shutil.rmtree(left, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def put(fresh: Path, place: Path, gone: Callable[[str], bool], work: Path) -> None:
    """All that the folder `fresh` holds into the folder `place`, at one instant.

    What is there stays, but for what `fresh` has too, and for names in `place` of which `gone` is
    true. `work` is the `workshop` of `place`. An error (OSError) leaves what was there. Where the
    system cannot exchange folders, a death between two renames can leave some old and some new.
    """
    place = place.resolve()
    if not place.exists():
        os.rename(fresh, place)
        return
    twin, old = work / "twin", work / "old"
    seen = _linked(place, twin, gone) if work.parent != place else None
    if seen is not None and _laid_over(fresh, twin) and exchange(twin, place):
        try:
            _move(fresh, twin, gone, old)  # the folder itself
        finally:  # as it was, or as it is to be
            exchange(twin, place)
        for path in twin.rglob("*"):  # what somebody saved in the twin while it stood there
            if path.is_file() and path.stat().st_ino not in seen:
                target = place / path.relative_to(twin)
                if not (target.exists() and target.samefile(path)):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(path, target)
        return
    _move(fresh, place, gone, old)


def _linked(place: Path, twin: Path, gone: Callable[[str], bool]) -> set[int] | None:
    """Make `twin` of links to what stays in `place`; the files' numbers, None where links fail."""
    seen = set()
    try:
        os.mkdir(twin)
        shutil.copymode(place, twin)
        for entry in os.scandir(place):
            if gone(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                found = _linked(Path(entry.path), twin / entry.name, lambda name: False)
                if found is None:
                    return None
                seen |= found
            else:
                os.link(entry.path, twin / entry.name, follow_symlinks=False)
                seen.add(entry.inode())
    except (OSError, NotImplementedError):
        return None
    return seen


def _laid_over(fresh: Path, twin: Path) -> bool:
    """Whether links to all files of `fresh` could be put into `twin`."""
    try:
        for path in sorted(fresh.rglob("*")):
            target = twin / path.relative_to(fresh)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.unlink(missing_ok=True)
                os.link(path, target)
    except OSError:
        return False
    return True


def _move(fresh: Path, place: Path, gone: Callable[[str], bool], old: Path) -> None:
    """Rename what is to go into `old`, and all of `fresh` into `place`; an error undoes it."""
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        moves.append((source, target))
        os.rename(source, target)

    def merge(source: Path, target: Path, aside: Path) -> None:
        if source.is_dir() and target.is_dir():
            for path in sorted(source.iterdir()):
                merge(path, target / path.name, aside / path.name)
            return
        if target.exists() and not target.is_dir():
            move(target, aside)
        move(source, target)

    try:
        for name in sorted(os.listdir(place)):
            if gone(name):
                move(place / name, old / name)
        merge(fresh, place, old / "replaced")
    except BaseException:
        for source, target in reversed(moves):
            if not source.exists() and target.exists():
                os.rename(target, source)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Give two folders each other's place at one instant; False where that cannot be done."""
    library = None if os.name == "nt" else ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return library.renamex_np(first, second, _EXCHANGE) == 0
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return library.renameat2(_HERE, first, _HERE, second, _EXCHANGE) == 0
    return False
