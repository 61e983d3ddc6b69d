"""The parts of a model's text that PySD would evaluate, mistake, read in part or not keep."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from .errors import ModelError

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"


def literal(text: str) -> Any:
    """What PySD's `eval` is replaced by: it reads numbers and strings, and runs nothing."""
    # PySD's grammar takes a sum of numbers, such as 2 - 3, for one text of numbers.
    if re.fullmatch(rf"\s*[+-]?\s*{_NUMBER}(?:\s*[+-]\s*{_NUMBER})+\s*", text):
        return sum(float("".join(n.split())) for n in re.findall(rf"[+-]?\s*{_NUMBER}", text))
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError):
        raise ModelError(
            "M111", f"not a number or a list of points: {text.strip()[:60]!r}"
        ) from None


def refuse_power(text: str, where: str) -> None:
    """Refuse (-2)^2: PySD drops the parentheses and makes -(2^2) of it."""
    if re.search(rf"\(\s*-\s*{_NUMBER}\s*\)\s*\^", text):
        raise ModelError("M109", f"{where}: a power of a negative number; give it a name first")


def limits(found: tuple | None) -> tuple[float | None, float | None]:
    """Lowest and highest value, None where open; a third number is the step of a slider."""
    low, high, *_ = (*(found or ()), None, None)
    return tuple(n if n is not None and math.isfinite(n) else None for n in (low, high))


_LEFT_SIDE = re.compile(r'\s*("(\\.|[^"\\])*"|[^=(\[:"])*:?=?=?\s*')


def right_side(equation: str) -> str:
    """What stands behind the name and the equals sign of a Vensim entry."""
    return _LEFT_SIDE.sub("", equation, count=1).strip()
