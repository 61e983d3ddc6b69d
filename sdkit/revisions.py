"""Versions of a model: one on disk, or one that a commit holds, read through git.

git is called to read only (rev-parse, ls-tree, cat-file). What a version needs is copied to a
folder of the caller's, who deletes it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import DependencyError, Error, ModelError, RunError
from .files import near
from .limits import bounded
from .model import holds_model, is_model_file, model_path, models_around
from .names import meant, meant_path


@dataclass(frozen=True)
class Version:
    """One version of a model: what it is called, and the file or folder that holds it now."""

    label: str
    path: Path


def find_versions(a: str, b: str | None, scratch: Path) -> tuple[Version, Version]:
    """The older and the newer version that a command line names.

    Each of `a` and `b` is a path, a model's name or REVISION:PATH; without `b`, the commit HEAD
    (or the revision of `a`) is held against what is on disk; `a` may be a revision alone
    where `b` names the model. Raises ModelError M101, RunError G801 to G803 and
    DependencyError X502.
    """
    revision, name = _split(a)
    if b is None:
        newer = _on_disk(name)
        return committed(revision or "HEAD", name, scratch / "old"), newer
    other, same = _split(b)
    newer = _on_disk(same) if other is None else committed(other, same, scratch / "new")
    if revision is not None:
        return committed(revision, name, scratch / "old"), newer
    if os.path.exists(model_path(a)):
        return _on_disk(a), newer
    try:
        return committed(a, same, scratch / "old"), newer
    except Error as error:
        if error.code == "G803":
            raise
        raise ModelError("M101", f"{a} does not exist, and git knows no such revision") from None


def _split(text: str) -> tuple[str | None, str]:
    """(revision, path) of REVISION:PATH, (None, path) of anything else."""
    revision, colon, name = text.partition(":")
    drive = os.name == "nt" and len(revision) == 1
    return (
        (None, text) if not colon or drive or os.path.exists(model_path(text)) else (revision, name)
    )


def _on_disk(name: str) -> Version:
    path = model_path(name)
    if not os.path.exists(path):
        other = meant_path(path, holds_model, models_around())
        raise ModelError("M101", f"{name} does not exist{other}")
    return Version(near(path).as_posix(), path)


def committed(revision: str, name: str, folder: Path) -> Version:
    """A model as a revision has it, its files copied to `folder`.

    `name` is a path from the current folder or from the top of the repository, or the name
    of a folder under the nearest models/. Raises RunError G801 to G803 and DependencyError X502.
    """
    whole = Path(os.path.abspath(name))
    here = next(parent for parent in (whole, *whole.parents) if parent.is_dir())
    prefix = _git(here, "G801", f"{here}", "rev-parse", "--show-prefix").decode().strip()
    # "-" would begin an option.
    wanted = "" if revision.startswith("-") else f"{revision}^{{commit}}"
    what = f"{revision!r} is no revision of the repository around {here}"
    commit = _git(here, "G802", what, "rev-parse", "--verify", "--quiet", wanted).decode().strip()
    listed = _git(here, "G802", what, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    blobs = {}
    for entry in listed.decode("utf-8", "surrogateescape").split("\0"):
        kind, _, path = entry.partition("\t")
        # A file, neither a link nor a repository inside, of none that wants to write elsewhere.
        if kind.startswith("100") and "\\" not in path and ".." not in path.split("/"):
            blobs[PurePosixPath(path)] = kind.split()[2:4]
    top = (here, *here.parents)[len(PurePosixPath(prefix).parts)]
    here_it_is = PurePosixPath(prefix) / whole.relative_to(here).as_posix()
    named = [parent / "models" / name for parent in here_it_is.parents]
    for path in (here_it_is, PurePosixPath(name), *named):
        holder = path.parent if path in blobs else path
        needed = [p for p in blobs if _needed(p, holder)]
        if not any(map(is_model_file, needed)):
            continue
        home = folder / "models"  # where the data that models share are looked for
        targets = {p: home / holder.name / p.relative_to(holder) for p in needed}
        targets |= {p: home / "data" / p.name for p in _shared_data(blobs, holder, top)}
        for file, target in targets.items():
            blob, size = blobs[file]
            bounded("model", int(size), f"{revision}:{file}")
            raw = _git(here, "G803", f"{file}", "cat-file", "blob", blob)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(raw)
            except OSError as error:
                raise RunError("U603", f"{target}: {error.strerror or error}") from None
        return Version(f"{revision}:{path}", home / holder.name / path.relative_to(holder))
    folders = [path.parent.name for path in blobs if is_model_file(path)]
    other = meant(PurePosixPath(name).name, folders)
    raise RunError("G803", f"{revision!r} holds no model {name!r}{other}")


def _needed(path: PurePosixPath, folder: PurePosixPath) -> bool:
    """Whether a file belongs to the model in `folder`: the model, its tables, its data."""
    if path.parent == folder:
        return is_model_file(path) or path.suffix in (".toml", ".csv")
    return path.parent == folder / "data" and path.suffix == ".csv"


def _shared_data(
    blobs: Collection[PurePosixPath], holder: PurePosixPath, top: Path
) -> list[PurePosixPath]:
    """The files of the series that the model in `holder` shares with others, found as
    `observations.data_folder` finds them on disk; `top` is where the repository stands."""
    shared = holder.parent / "data"
    own = any(path.is_relative_to(holder / "data") for path in blobs)
    if own or not holder.name or (holder.parent.name or top.name) != "models":
        return []
    found = [path for path in blobs if path.parent == shared]
    if any(map(is_model_file, found)):
        return []
    return [path for path in found if path.suffix == ".csv"]


def _git(folder: Path, code: str, what: str, *arguments: str) -> bytes:
    """The output of a git command that reads; RunError `code` where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False
        )
    except OSError as error:
        raise DependencyError("X502", f"git: {error.strerror or error}") from None
    if done.returncode:
        said = re.sub(r"^\w+: ", "", done.stderr.decode("utf-8", "replace").strip()).split("\n")[0]
        raise RunError(code, f"{what}: {said}" if said else what)
    return done.stdout
