"""Folders and files for a while, of which nothing stays: what a killed process left, the next
one deletes at once.

Names hold the number of the process; what bears them is locked besides, so that neither a process
that lives nor one of another machine loses its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# A process that begins may have made its folder or file and not locked it yet; a number of a
# process that ended may have gone to another one. Seconds.
_YOUNG = 60.0
_LONG_AGO = 86_400.0  # where the system cannot tell whether a process lives


@contextlib.contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder in `parent`, or in the system's for such, which goes at the end.

    What killed processes left there under the same prefix goes first.
    """
    home = Path(parent or tempfile.gettempdir())
    sweep(home, prefix)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=home) as name:
        lock = locked(Path(name))
        try:
            yield Path(name)
        finally:
            if lock is not None:
                os.close(lock)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """An empty file in the folder of `path`, put into its place at the end if all went well."""
    _sweep_once(path.parent.absolute(), ".new-")
    part = path.parent / f".new-{os.getpid()}-{secrets.token_hex(4)}"
    lock = None
    try:
        part.touch(exist_ok=False)  # with the permissions of any new file
        lock = locked(part)
        yield part
        os.replace(part, path)
    finally:
        if lock is not None:
            os.close(lock)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _sweep_once(home: Path, prefix: str) -> None:
    """As `sweep`, once a process: a folder of many files is not listed for each of them."""
    sweep(home, prefix)


def sweep(home: Path, prefix: str) -> None:
    """Delete what processes that no longer live left in a folder under this prefix."""
    named = re.compile(rf"{re.escape(prefix)}(\d+)-\w+")
    with contextlib.suppress(OSError):
        for left in home.iterdir():
            found = named.fullmatch(left.name)
            if found and not left.is_symlink() and _abandoned(left, int(found[1])):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def alive(pid: int, age: float = 0.0) -> bool:
    """Whether a process of this number lives, as far as the system tells."""
    if os.name == "nt":  # os.kill would end it
        return age < _LONG_AGO
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of somebody else
        return True
    return True


def _abandoned(left: Path, pid: int) -> bool:
    status = left.stat()
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return False
    age = time.time() - status.st_mtime
    if alive(pid, age) and (pid == os.getpid() or age < _YOUNG):
        return False
    try:
        lock = locked(left)
    except BlockingIOError:
        return False
    if lock is None:
        return not alive(pid, age)
    os.close(lock)
    return True


def locked(path: Path) -> int | None:
    """A lock on a folder or a file, which ends with the process; None where there are no locks.

    BlockingIOError if another process has it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle
