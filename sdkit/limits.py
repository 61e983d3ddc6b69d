"""What a file may ask for: how much of everything, and which files a model may name.

A text of a few bytes can ask for more memory than there is. Every such quantity has a limit
here, which is looked at before memory is taken; docs/language.md lists them all. The limits
are some ten times what published models need.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError, RunError, SimulationError

MIB = 2**20


@dataclass(frozen=True)
class Limit:
    """The largest number that is read, what it counts, and the code of the error above it."""

    most: int
    counts: str
    code: str


LIMITS = {
    "model": Limit(32 * MIB, "bytes in a model file", "M132"),
    "equations": Limit(4 * MIB, "characters in the equations of a model, without its sketch",
                       "M132"),
    "equation": Limit(200_000, "characters in one equation, its unit and its comment", "M132"),
    "tags": Limit(500_000, "tags in an XMILE file", "M132"),
    "name": Limit(1_000, "characters in one name", "M132"),
    "digits": Limit(10_000, "digits in one number", "M132"),
    "range": Limit(10_000, "elements in one subscript range", "M132"),
    "ranges": Limit(1_000_000, "elements in all subscript ranges of a model", "M132"),
    "subscripts": Limit(8, "subscripts of one variable", "M132"),
    "elements": Limit(500_000, "elements in one array", "M132"),
    "all elements": Limit(2_000_000, "elements in all arrays of a model", "M132"),
    "sum": Limit(10_000_000, "terms in one SUM or its like", "M132"),
    "macros": Limit(20_000, "equations that a model's calls of macros stand for", "M132"),
    "table": Limit(64 * MIB, "bytes in a file of values that a model names, workbooks unpacked",
                   "M132"),
    "cells": Limit(5_000_000, "cells (rows times columns) in such a file", "M132"),
    "columns": Limit(16_384, "columns in such a file", "M132"),
    "steps": Limit(10_000_000, "steps in a run", "M113"),
    "saved": Limit(50_000_000, "numbers that one run saves", "M135"),
    "toml": Limit(4 * MIB, "bytes in a TOML file", "R423"),
    "key": Limit(20, "parts, joined by dots, in one key of a TOML file", "R423"),
    "csv": Limit(64 * MIB, "bytes in a CSV file", "R423"),
    "csv rows": Limit(1_000_000, "rows in a CSV file", "R423"),
    "csv cells": Limit(5_000_000, "cells in a CSV file", "R423"),
}  # fmt: skip


def bounded(name: str, count: int, where: str, code: str = "") -> None:
    """Refuse a count above the limit of this name; `where` begins the text of the error.

    Its code is M113, M132, M135 or R423, as LIMITS has it, or `code`.
    """
    limit = LIMITS[name]
    if count > limit.most:
        code = code or limit.code
        kind = {"R": RunError, "S": SimulationError}.get(code[0], ModelError)
        raise kind(code, f"{where}: {count:,} {limit.counts}; the limit is {limit.most:,}")


# Looked at from its begin only, so that a text of nothing but digits takes linear time.
_LONG = re.compile(rf"(?<![\d._])\d[\d._]{{{LIMITS['digits'].most},}}")


def short_numbers(text: str, name: str) -> None:
    """Refuse a text with a number of too many digits; Python needs a minute for a million."""
    found = _LONG.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        bounded("digits", len(found[0]), f"{name}, line {line}")


def ordinary(path: Path) -> int | None:
    """The size of an ordinary file; None for a folder, a device or a pipe. OSError without one."""
    status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read_bounded(path: Path, limit: str, where: str) -> bytes:
    """The bytes of an ordinary file, never more than its limit; OSError where it is not there."""
    size = ordinary(path)
    if size is None and not path.is_dir():  # a folder cannot be opened, which says more
        raise RunError("R424", f"{where} is no ordinary file, but a device or a pipe")
    bounded(limit, size or 0, where)
    with path.open("rb") as file:  # it may have grown since, or lie about its size
        raw = file.read(LIMITS[limit].most + 1)
    bounded(limit, len(raw), where)
    return raw


# Folders in which tables may lie besides a model's own: what the command line's --tables says.
allowed_folders: ContextVar[tuple[Path, ...]] = ContextVar("allowed_folders", default=())

# -- files that a model names -----------------------------------------------------------------

_PACKED = {".xlsx", ".xlsm"}
_UNBOUNDED = {".ods", ".odf", ".odt", ".xlsb"}


def table_file(name: str, root: Path, folders: Iterable[Path], where: str) -> Path | None:
    """The file that a model in the folder `root` names; None where there is none.

    It has to lie in `root` or in one of `folders`, once links are followed (M133), be an
    ordinary file (M134), and not be larger, unpacked, than the limits are (M132).
    """
    if "\0" in name:
        raise ModelError("M134", f"{where}: {name[:80]!r} is no name of a file")
    try:
        path = (root / name).resolve()
        allowed = [folder.resolve() for folder in (root, *folders)]
        if not any(path.is_relative_to(folder) for folder in allowed):
            raise ModelError("M133", f"{where}: {name[:200]!r} lies outside the model's folder")
        size = ordinary(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError) as error:  # a name too long, a circle of links, no permission
        what = getattr(error, "strerror", None) or "links go in a circle"
        raise ModelError("M134", f"{where}: {name[:80]!r} cannot be read: {what}") from None
    if size is None:
        raise ModelError("M134", f"{where}: {name[:200]!r} is no ordinary file")
    place = f"{where}: {path.name}"
    bounded("table", size, place)
    suffix = path.suffix.lower()
    if suffix in _UNBOUNDED:
        raise ModelError("M134", f"{place}: workbooks of the kind {suffix} are not read")
    try:
        if suffix in _PACKED:
            _bounded_workbook(path, place)
        elif suffix != ".xls":
            _bounded_rows(path, place)
    except OSError as error:
        raise ModelError("M134", f"{place} cannot be read: {error.strerror or error}") from None
    return path


def _bounded_workbook(path: Path, where: str) -> None:
    """Look at the sizes that a workbook unpacks to, which zipfile holds it to, and at its cells.

    One cell in the last row and column of a sheet makes readers fill up all before it.
    """
    try:
        with zipfile.ZipFile(path) as book:
            bounded("table", sum(part.file_size for part in book.infolist()), where)
            for part in book.infolist():
                if part.filename.lower().startswith("xl/worksheets/"):
                    _bounded_sheet(book.read(part), where)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError):
        raise ModelError("M119", f"{where} is no workbook, or a damaged one") from None


def _bounded_sheet(raw: bytes, where: str) -> None:
    rows = columns = 0
    for row in re.split(rb"<(?:\w+:)?row\b", raw)[1:]:
        rows += 1
        numbered = re.match(rb"[^>]*?\br\s*=\s*[\"']\s*(\d{1,10})", row)
        rows = max(rows, int(numbered[1])) if numbered else rows
        columns = max(columns, len(re.findall(rb"<(?:\w+:)?c[\s/>]", row)))
    for letters, digits in re.findall(rb"\br\s*=\s*[\"']\s*([A-Za-z]{1,6})(\d{1,10})", raw):
        number = 0
        for letter in letters.upper():
            number = 26 * number + letter - 64
        rows, columns = max(rows, int(digits)), max(columns, number)
    bounded("columns", columns, where)
    bounded("cells", rows * columns, where)


def _bounded_rows(path: Path, where: str) -> None:
    """Look at the number of columns and cells of a text of rows, whatever parts its cells."""
    raw, columns = path.read_bytes(), 1
    lines = raw.splitlines()
    bounded("cells", len(lines), where)
    for mark in (b",", b";", b"\t", b" ", b"|"):
        if raw.count(mark) >= columns:
            columns = max(columns, 1 + max(line.count(mark) for line in lines))
    bounded("columns", columns, where)
    bounded("cells", len(lines) * columns, where)
