"""The parts of a model's text that PySD would evaluate, mistake, read in part or not keep."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from typing import Any

from .errors import ModelError
from .files import decimal

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
# What Python reads as a part of a number, and the languages of models do not.
_OF_PYTHON = re.compile(r"[0-9]_[0-9]|\b0[xXoObB]|[0-9.][jJ]\b|[^\x00-\x7f]")


def literal(text: str) -> Any:
    """What PySD's `eval` is replaced by: it reads numbers and strings, and runs nothing."""
    # PySD's grammar takes a sum of numbers, such as 2 - 3, for one text of numbers.
    if re.fullmatch(rf"\s*[+-]?\s*{_NUMBER}(?:\s*[+-]\s*{_NUMBER})+\s*", text):
        return sum(float("".join(n.split())) for n in re.findall(rf"[+-]?\s*{_NUMBER}", text))
    try:
        if _OF_PYTHON.search(re.sub(r"\"[^\"]*\"|'[^']*'", "", text)):
            raise ValueError
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError):
        raise ModelError(
            "M111", f"not a number or a list of points: {text.strip()[:60]!r}"
        ) from None


def parts_of(node) -> Iterator[Any]:
    """Every part of PySD's expression, in the order of the text, without names of variables.

    Each comes once: SMOOTH(x, t) holds the same x twice, and SMOOTH of that four times.
    """
    waiting, seen = [node], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += reversed(part)
        elif id(part) not in seen:
            seen.add(id(part))
            yield part
            if type(part).__module__.endswith("abstract_expressions"):
                inside = [p for name, p in vars(part).items() if name != "reference"]
                waiting += reversed(inside)


def tables_of(node, text: str) -> Iterator[tuple[Any, str]]:
    """Of PySD's expression the tables, each with the text of its points."""
    if type(node).__name__ == "LookupsStructure":
        yield node, text
        return
    inline = [text[found.end() :] for found in re.finditer(r"\bWITH\s+LOOKUP\s*\(", text, re.I)]
    if not inline:
        return
    found = [part for part in parts_of(node) if type(part).__name__ == "InlineLookupsStructure"]
    for part, begun in zip(found, inline, strict=False):
        depth, comma = 1, None
        for mark in re.finditer(r'"(?:[^"\\]|\\.)*"|[()\[\],]', begun):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(mark[0], 0)
            if mark[0] == "," and depth == 1:
                comma = mark.end()
            if depth == 0:
                yield part.lookups, begun[comma : mark.start()]
                break


def points_of(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The x and the y of a table's text, in its order."""
    pair = rf"\(\s*([+-]?\s*{_NUMBER})\s*,\s*([+-]?\s*{_NUMBER})\s*\)"
    found = re.findall(pair, re.sub(r"\[[^\]]*\]", "", text))
    return (
        tuple(float("".join(x.split())) for x, _ in found),
        tuple(float("".join(y.split())) for _, y in found),
    )


def refuse_power(text: str, where: str) -> None:
    """Refuse (-2)^2: PySD drops the parentheses and makes -(2^2) of it."""
    if re.search(rf"\(\s*-\s*{_NUMBER}\s*\)\s*\^", text):
        raise ModelError("M109", f"{where}: a power of a negative number; give it a name first")


def limits(found: tuple | None) -> tuple[float | None, float | None]:
    """Lowest and highest value, None where open; a third number is the step of a slider."""
    low, high, *_ = (*(found or ()), None, None)
    return tuple(n if n is not None and math.isfinite(n) else None for n in (low, high))


def check_bounds(units: str) -> None:
    """Refuse (ValueError) bounds after a unit that are neither numbers nor signs of no bound."""
    if units.endswith("]"):
        for part in units[:-1].rpartition("[")[2].split(","):
            if part.strip().lstrip("+-").lower() not in ("?", "inf", "nan"):
                decimal(part)


_LEFT_SIDE = re.compile(r'\s*("(\\.|[^"\\])*"|[^=(\[:"])*:?=?=?\s*')


def right_side(equation: str) -> str:
    """What stands behind the name and the equals sign of a Vensim entry."""
    return _LEFT_SIDE.sub("", equation, count=1).strip()
