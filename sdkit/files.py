"""Text files in and out: TOML and CSV with the line at fault, tables in six digits.

Every reader raises RunError (R402 to R409) with file, line and what to do. Every writer
raises RunError U603 when the disk does not take the file.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import math
import re
import tomllib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RunError
from .limits import LIMITS, bounded, read_bounded
from .names import meant
from .scratch import beside


def _raw(path: Path, limit: str = "csv") -> bytes:
    try:
        return read_bounded(path, limit, str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError("R402", f"{path} does not exist") from None
    except OSError as error:
        raise RunError("R402", f"{path} cannot be read: {error.strerror}") from None


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, the same with a byte order mark or line ends of Windows (R402)."""
    raw = _raw(path).removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    return hashlib.sha256(raw).hexdigest()


def read_text(path: Path, limit: str = "csv", blank: bool = False) -> str:
    """The text of a file in UTF-8, with or without a byte order mark (R402 to R404).

    Only with `blank` it may hold nothing. R423 where it is larger than the limit of this name,
    R424 where it is no ordinary file.
    """
    raw = _raw(path, limit)
    if not raw.removeprefix(codecs.BOM_UTF8).strip() and not blank:
        raise RunError("R403", f"{path} is empty")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise RunError("R404", f"{path}, line {line}: not text in UTF-8") from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise RunError("R404", f"{path}, line {line}: holds a NUL byte, so it is not text")
    return text.replace("\r\n", "\n")


def read_toml(path: Path, blank: bool = False) -> dict[str, Any]:
    """The tables of a TOML file (R405 if malformed, R423 above a limit); R403 for an empty one,
    unless it may be so."""
    text = read_text(path, "toml", blank)
    _short_keys(path, text)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # malformed, or a number of more digits than Python reads
        raise RunError("R405", f"{path}: {error}") from None
    except RecursionError:
        raise RunError("R405", f"{path}: nested too deeply") from None


# The texts and comments of a TOML file, in which dots mean nothing; dots; what ends a key.
_TOML = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|\'{3}.*?(?:\'{3}|\Z)|"(?:[^"\\\n]|\\.)*"?|'
    r"'[^'\n]*'?|#[^\n]*|[=\n,{}\[\]]|\.|\d[\d_]*",
    re.S,
)


def _short_keys(path: Path, text: str) -> None:
    """Refuse keys of many parts, for which tomllib takes memory by their square, and numbers of
    many digits."""
    parts = 1
    for found in _TOML.finditer(text):
        mark = found[0]
        if mark == ".":
            parts += 1
        elif mark in "=\n,{}[]":
            parts = 1
        if parts > LIMITS["key"].most or (mark[0].isdigit() and len(mark) > LIMITS["digits"].most):
            line = text.count("\n", 0, found.start()) + 1
            bounded("key", parts, f"{path}, line {line}")
            bounded("digits", len(mark), f"{path}, line {line}", "R423")


def place(path: Path, word: str, table: str = "") -> str:
    """The file, with the first line that holds `word` where there is one.

    With the name (or id) of a `table`, the first from the line on that gives that name.
    """
    try:
        lines = read_text(path).splitlines()
    except RunError:
        return str(path)
    named = re.compile(rf"^\s*(?:name|id)\s*=\s*\"{re.escape(table)}\"")
    begin = next((i for i, line in enumerate(lines, 1) if table and named.match(line)), 0)
    # a key at the start of its line or table counts before a mention elsewhere
    for pattern in (rf"(^\s*|[{{,]\s*)\"?{re.escape(word)}\"?\s*=", rf"\"{re.escape(word)}\""):
        for number, line in enumerate(lines, 1):
            if number >= begin and word in line and re.search(pattern, line):
                return f"{path}, line {number}"
    return str(path)


_TYPES = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a table"}


def typed(path: Path, key: str, value: Any, kind: type, table: str = "") -> Any:
    """`value` if it is of this kind; R409 names file, line and key if not. Numbers are finite."""
    good = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good:
        raise RunError(
            "R409", f"{place(path, key, table)}: {key} has to be {_TYPES.get(kind, kind.__name__)}"
        )
    if kind is int and abs(value) >= 2**63:
        raise RunError("R442", f"{place(path, key, table)}: {key} is too large a number")
    if kind is float:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise RunError("R442", f"{place(path, key, table)}: {key} has to be a finite number")
    return value


def checked(
    path: Path,
    table: Mapping[str, Any],
    required: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
    what: str = "",
) -> dict[str, Any]:
    """A TOML table with every key known (R407), present (R408) and of its type (R409)."""
    optional = optional or {}
    inside = f" in {what}" if what else ""
    for key in table:
        if key not in required and key not in optional:
            near = meant(key, [*required, *optional])
            raise RunError("R407", f"{place(path, key)}: unknown key {key!r}{inside}{near}")
    for key in required:
        if key not in table:
            raise RunError("R408", f"{path}: the key {key!r} is missing{inside}")
    return {k: typed(path, k, v, (required | dict(optional))[k]) for k, v in table.items()}


def read_tables(
    path: Path,
    name: str,
    required: Mapping[str, type],
    optional: Mapping[str, type],
    blank: bool = False,
) -> list[dict[str, Any]]:
    """The `[[name]]` tables of a TOML file, each checked; names are unique (R412).

    Only with `blank` there may be none (R403, R408).
    """
    data = read_toml(path, blank)
    for key in data:
        if key != name:
            near = meant(key, [name])
            raise RunError("R407", f"{place(path, key)}: unknown key {key!r}{near}")
    if not data.get(name) and not (blank and name not in data):
        raise RunError("R408", f"{path} holds no [[{name}]] table")
    return tables(path, name, data, required, optional)


def tables(
    path: Path,
    name: str,
    data: Mapping[str, Any],
    required: Mapping[str, type],
    optional: Mapping[str, type],
) -> list[dict[str, Any]]:
    """The `[[name]]` tables of what a TOML file holds, perhaps none, as `read_tables` has them."""
    rows, seen = [], set()
    label = next(iter(required))
    for number, table in enumerate(typed(path, name, data.get(name, []), list), 1):
        if not isinstance(table, dict):
            raise RunError("R409", f"{path}: [[{name}]] has to be a table")
        row = checked(path, table, required, optional, f"[[{name}]] number {number}")
        if row[label] in seen:
            raise RunError("R412", f"{place(path, row[label])}: {row[label]!r} stands here twice")
        seen.add(row[label])
        rows.append(row)
    return rows


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file as (line, mapping); it needs these columns and may hold more (R406).

    Lines that begin with # before the header are comments.
    """
    text = read_text(path)
    stream = io.StringIO(text)
    comments = 0
    while text.startswith("#", stream.tell()):
        comments += bool(stream.readline())
    reader = csv.reader(stream, strict=True)
    try:
        header = [_plain(cell) for cell in next(reader, ())]
        if not header:
            raise RunError("R403", f"{path} holds no table")
        bounded("csv cells", len(header), f"{path}, line {reader.line_num}")
        missing = [column for column in columns if column not in header]
        if missing:
            near = meant(missing[0], [n for n in header if n not in columns], listed=False)
            near = near.replace("did you mean", "is it")
            raise RunError(
                "R406", f"{path}, line {comments + 1}: the column {missing[0]!r} is missing{near}"
            )
        if len(set(header)) != len(header):
            raise RunError("R406", f"{path}, line {comments + 1}: a column stands twice")
        rows, seen = [], len(header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}, line {comments + reader.line_num}"
            if len(cells) != len(header):
                raise RunError(
                    "R406", f"{where}: {len(cells)} cells, where the header has {len(header)}"
                )
            seen += len(cells)
            bounded("csv rows", len(rows) + 1, where)
            bounded("csv cells", seen, where)
            row = {name: _plain(cell) for name, cell in zip(header, cells, strict=True)}
            rows.append((comments + reader.line_num, row))
    except csv.Error as error:
        line = comments + reader.line_num
        raise RunError("R406", f"{path}, line {line}: {error}") from None
    return rows


def number(path: Path, line: int, column: str, text: str) -> float:
    """A finite number from a cell (R406)."""
    bounded("digits", len(text), f"{path}, line {line}, column {column}", "R423")
    try:
        value = decimal(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        where = f"{path}, line {line}, column {column}"
        raise RunError("R406", f"{where}: {text[:80]!r} is no finite number")
    return value


def decimal(text: str) -> float:
    """The number that a text writes in ASCII digits with a decimal point; ValueError for any other.

    Python's float also takes 0.1_1, digits of other scripts, and inf.
    """
    if not re.fullmatch(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", text):
        raise ValueError(f"{text!r} is no decimal number")
    return float(text)


def integer(text: str) -> int:
    """The whole number that a text writes in ASCII digits; ValueError for any other."""
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,4000}\s*", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


# What a spreadsheet would run as a formula (owasp.org/www-community/attacks/CSV_Injection): a sign
# at its begin, also in full width or behind blanks; and what `_plain` would take for such a cell.
_FORMULA = re.compile(r"'*\s*[=+\-@＝＋－＠]|'*[\t\r\n]")
_NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|nan)", re.I)


def _quoted(text: str) -> str:
    """A text cell as it is written: behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _plain(cell: str) -> str:
    """The text of a cell that `_quoted` wrote, or any other's."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def digits(value: Any) -> str:
    """Six significant digits; nothing for a missing value."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) or hasattr(value, "dtype"):
        value = float(value)
        return "" if math.isnan(value) else f"{value + 0.0:.6g}"
    return str(value)


def exact(value: float) -> str:
    """A coordinate in all its digits: six would make neighbours of a fine grid one."""
    return repr(float(value)).removesuffix(".0")


def near(path: Path) -> Path:
    """The path from the current folder, where it lies inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 with Unix line ends (U603 if that fails)."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, raw: bytes) -> None:
    """A file, whole or not at all: written beside its place and renamed into it (U603)."""
    target = path.resolve()  # a link stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside(target) as part:
            part.write_bytes(raw)
    except OSError as error:
        raise RunError("U603", f"{path} cannot be written: {error.strerror or error}") from None


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A CSV file, numbers in six significant digits.

    A text that a spreadsheet would run as a formula is written behind an apostrophe, which
    `read_rows` takes away again.
    """
    write_text(path, table_text(columns, rows))


def table_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """What `write_table` writes."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # ends lines by \r\n, so that it quotes either of them in a cell
    writer.writerow([_quoted(str(column)) for column in columns])
    writer.writerows([_quoted(digits(cell)) for cell in row] for row in rows)
    return buffer.getvalue().replace("\r\n", "\n")


def write_frame(path: Path, table: Any) -> None:
    """A data frame's columns as a CSV file."""
    write_table(path, list(table.columns), table.itertuples(index=False, name=None))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays that `save_arrays` wrote, or None where they are absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Named arrays to a file, written beside its place and renamed into it (U603)."""
    try:
        with beside(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise RunError("U603", f"{path}: {error.strerror or error}") from None
