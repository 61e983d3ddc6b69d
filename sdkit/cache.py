"""The folder of what was compiled before: entries that carry their own checksum.

The only module that knows platformdirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import stat
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from .scratch import alive

# The packages whose code decides numbers.
COMPUTE = (
    "arviz", "emcee", "llvmlite", "numpy", "pandas", "parsimonious", "pysd", "scikit-learn",
    "scipy", "xarray", "zarr",
)  # fmt: skip
_IMPORT = re.compile(r"^\s*from \.+([\w.]*) import (\([^)]*\)|.*)", re.M)
# Entries of a kernel or a model take some hundred kilobytes each.
KEPT = 500
ENTRY = re.compile(r"[0-9a-f]{32}\.(o|model|files)")
PART = re.compile(rf"{ENTRY.pattern}\.([0-9]+)\.part")


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
def code_of(*modules: str, folder: Path = Path(__file__).parent) -> str:
    """A text that changes with the code of these modules of sdkit and of all that they import;
    without any, with all code of sdkit. What code made is not to outlive it."""
    files = {p.relative_to(folder).with_suffix("").as_posix(): p for p in folder.rglob("*.py")}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    if modules:
        chosen, waiting = set(), {*modules}
        while waiting:
            chosen |= waiting
            found = set().union(*(imported(texts[name]) for name in waiting))
            waiting = (found & texts.keys()) - chosen
        texts = {name: texts[name] for name in chosen}
    return name_of(*(part for name in sorted(texts) for part in (name, texts[name])))


def imported(text: str) -> set[str]:
    """Names that a module of sdkit imports from its own package, anywhere in it.

    By their form, since parsing all modules would cost each start a fifth of a second.
    """
    found = set()
    for module, names in _IMPORT.findall(text):
        module = module.replace(".", "/")
        found |= {module, *(f"{module}/{n}".lstrip("/") for n in re.findall(r"\w+", names))}
    return found


@lru_cache
def made_by() -> str:
    """A text that changes with whatever makes numbers, but for the processor: all code of sdkit,
    the packages that compute, Python."""
    versions = [f"{name} {metadata.version(name)}" for name in COMPUTE]
    return name_of(code_of(), *versions, sys.version, platform.machine())


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
            found = PART.fullmatch(left.name)
            if found is None:
                continue
            # A number may have gone to another process; none writes an entry for an hour.
            age = time.time() - left.stat().st_mtime
            if age > 3600 or not alive(int(found[2]), age):
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
