"""A program's text compiled by Numba, and the folder of kernels compiled before.

The only module that knows Numba.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import sys
import types
from pathlib import Path

import numpy as np

from . import __version__

# Safe for catching NaN: none of these lets the compiler assume that NaN never happens.
_FAST = {"contract", "reassoc", "arcp", "nsz"}
_kernels: dict[str, types.ModuleType] = {}


def cache_folder() -> Path | None:
    """The folder of compiled kernels; None if there is none that only the user can write.

    SDKIT_CACHE names another. What the folder holds is code, so one that belongs to somebody
    else, or that others could write, is not used.
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


def load_kernel(source: str, from_disk: bool = True):
    """The compiled `lanes` of a program, from this process, the disk or Numba.

    `from_disk` False leaves the disk alone: for a cache that is damaged or cannot be written.
    """
    import numba

    name = hashlib.sha256(
        f"{__version__} {numba.__version__} {sys.version} {sorted(_FAST)} {source}".encode()
    ).hexdigest()[:24]
    if name in _kernels and from_disk:
        return _kernels[name].lanes
    folder, cached = cache_folder() if from_disk else None, False
    if folder is not None:
        file = folder / name / "kernel.py"
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            if not file.exists() or file.read_text(encoding="utf-8") != source:
                part = file.with_name(f"kernel.{os.getpid()}.part")
                part.write_text(source, encoding="utf-8")
                part.replace(file)
            cached = os.access(file.parent, os.W_OK)
        except (OSError, UnicodeDecodeError):
            pass  # a full or read-only disk: compile for this process only
    if cached:
        spec = importlib.util.spec_from_file_location(f"sdkit_kernel_{name}", file)
        module = importlib.util.module_from_spec(spec)
        # Numba finds a cached function's module by its name.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = types.ModuleType(f"sdkit_kernel_{name}")
        exec(compile(source, f"<sdkit kernel {name}>", "exec"), module.__dict__)
    for label, value in list(vars(module).items()):
        if label.startswith("TABLE_"):
            setattr(module, label, np.array(value))
        elif isinstance(value, types.FunctionType) and label not in ("lane", "lanes"):
            setattr(module, label, numba.njit(value, fastmath=_FAST, nogil=True))
    module.lanes = numba.njit(module.lanes, fastmath=_FAST, nogil=True, cache=cached)
    _kernels[name] = module
    return module.lanes
