"""Graphical functions of XMILE (specification 3.1.4 and 4.1.3)."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree.ElementTree import Element as Node

from .errors import ModelError
from .expressions import rising
from .files import decimal

_MODES = {"continuous": "interpolate", "extrapolate": "extrapolate", "discrete": "hold_backward"}


def points_of(curve: Node, where: str) -> tuple:
    """(x, y, mode) of a graphical function."""
    mode = _MODES.get(curve.get("type", "continuous").strip().lower())
    if mode is None:
        raise ModelError("M109", f"{where}: a graphical function of type {curve.get('type')!r}")
    y, x = _numbers(curve, "ypts", where), _numbers(curve, "xpts", where)
    if len(y) < 2:
        raise ModelError("M112", f"{where}: a table with {len(y) or 'no'} point(s)")
    if not x:
        low, high = _scale(curve, where)
        x = [low + (high - low) * i / (len(y) - 1) for i in range(len(y))]
    if len(x) != len(y):
        raise ModelError("M112", f"{where}: {len(x)} x and {len(y)} y values")
    if mode == "hold_backward" and any(a == b for a, b in pairwise(x)):
        raise ModelError("M112", f"{where}: a discrete table has two points at one x")
    if x[0] == x[-1]:
        raise ModelError("M112", f"{where}: the x of its first and last point are the same")
    return (*rising(x, y, where), mode)


def _numbers(curve: Node, tag: str, where: str) -> list[float]:
    found = curve.find(tag)
    if found is None or not (found.text or "").strip():
        return []
    mark, text = found.get("sep", ","), (found.text or "").strip()
    parts = text.split(mark) if mark.strip() else text.split()
    parts = parts[:-1] if len(parts) > 1 and not parts[-1].strip() else parts
    return [_number(part, tag, where) for part in parts]


def _number(text: str, tag: str, where: str) -> float:
    try:
        value = decimal(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ModelError("M111", f"{where}: <{tag}> holds {text.strip()[:60]!r}")
    return value


def _scale(curve: Node, where: str) -> tuple[float, float]:
    scale = curve.find("xscale")
    if scale is None:
        raise ModelError("M112", f"{where}: a table with neither <xscale> nor <xpts>")
    low, high = (_number(scale.get(end, ""), "xscale", where) for end in ("min", "max"))
    return low, high


def has_points(curve: Node) -> bool:
    return curve.find("ypts") is not None


def points_text(points: tuple) -> str:
    x, y, mode = points
    pairs = ", ".join(f"({a:g}, {b:g})" for a, b in zip(x, y, strict=True))
    return f"table {pairs}" + ("" if mode == "interpolate" else f" {mode.replace('_', ' ')}")
