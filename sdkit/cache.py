"""The folder of what was compiled before: entries that carry their own checksum.

The only module that knows platformdirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from .scratch import alive

# Entries of a kernel or a model take some hundred kilobytes each.
KEPT = 500
ENTRY = re.compile(r"[0-9a-f]{32}\.(o|model|files)")
_PART = re.compile(r"[0-9a-f]{32}\.\w+\.(\d+)\.part")


def cache_folder() -> Path | None:
    """The folder of cached entries; None if there is none that only the user can write.

    SDKIT_CACHE names another. What the folder holds is trusted like code, so one that belongs to
    somebody else, or that others could write, is not used.
    """
    import platformdirs

    folder = Path(os.environ.get("SDKIT_CACHE") or platformdirs.user_cache_dir("sdkit", False))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or others):
            return None
    except OSError:
        return None
    return folder


def name_of(*parts: str) -> str:
    """A file name for what these texts decide."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache
def code_of(*modules: str) -> str:
    """A text that changes with these modules of sdkit: what they made is not to outlive them."""
    folder = Path(__file__).parent
    return name_of(*((folder / f"{name}.py").read_text(encoding="utf-8") for name in modules))


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """The entry of this name, made and kept if it is missing or damaged.

    A folder that cannot be written costs the next process the same work, and nothing else.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    file = folder / name
    with contextlib.suppress(OSError):
        raw = file.read_bytes()
        if hashlib.sha256(raw[32:]).digest() == raw[:32]:
            return raw[32:]
    value = make()
    part = file.with_name(f"{name}.{os.getpid()}.part")
    try:
        part.write_bytes(hashlib.sha256(value).digest() + value)
        part.replace(file)
        for left in folder.iterdir():  # of processes that were killed while they wrote
            found = _PART.fullmatch(left.name)
            if found and not alive(int(found[1])):
                left.unlink(missing_ok=True)
        # Each edit of a model leaves an entry behind; the oldest go. The folder may hold files of
        # others: what is not named as an entry is never touched.
        entries = [entry for entry in folder.iterdir() if ENTRY.fullmatch(entry.name)]
        entries.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[:-KEPT]:
            entry.unlink()
    except OSError:  # a full or read-only disk, or another process that tidies up too
        with contextlib.suppress(OSError):
            part.unlink()
    return value
