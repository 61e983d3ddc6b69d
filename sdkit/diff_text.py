"""The difference of two versions in words, for a terminal of 100 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np

from .diff import Change, Difference, Moved

WIDTH = 100
_COLUMNS = 4
# A longer name goes on in the line below; so wide that a line of the table stays inside WIDTH.
_NAMES = 27
_PARAMETER = ("default", "role", "low", "high", "distribution", "weights")
_DESCRIPTION = ("unit", "bounds", "documentation")
_COUNTED = {
    "unit": ("unit", "units"),
    "bounds": ("bounds", "bounds"),
    "documentation": ("sentence", "sentences"),
}


def difference_lines(found: Difference, old: str, new: str, everything: bool = False) -> list[str]:
    """The lines to print. `old` and `new` name the versions; `everything` lists what is else
    counted only: units, bounds and documentation."""
    lines = [f"old  {old}", f"new  {new}"]
    for title, what in (
        ("Equations", ("name", "equation")),
        ("Lookups", ("lookup",)),
        ("Time settings", ("setting",)),
    ):
        lines += _section(title, [line for c in found.of(*what) for line in _texts(c)])
    lines += _section("Constants and priors", _parameters(found))
    described = found.of(*_DESCRIPTION)
    if described and everything:
        lines += _section("Descriptions", [line for c in described for line in _texts(c, c.what)])
    elif described:
        counts = [f"{n} {_COUNTED[w][n > 1]}" for w in _DESCRIPTION if (n := len(found.of(w)))]
        lines += ["", f"Descriptions changed: {', '.join(counts)} (--all lists them)"]
    if files := [change.name for change in found.of("file")]:
        lines += ["", *_wrap("Other files that differ: ", ", ".join(files))]
    if not found.changes:
        lines += ["", "No difference in equations, constants, priors or descriptions."]
    # A text from a file must not steer the terminal.
    return [re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", line) for line in lines + _runs(found)]


def _section(title: str, body: Sequence[str]) -> list[str]:
    return ["", title, *body] if body else []


def _wrap(first: str, text: str) -> list[str]:
    """`first` and `text` in lines of WIDTH; long beginnings leave the rest an indent of ten."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * min(len(first), 10),
        break_long_words=False, break_on_hyphens=False,
    ) or [first.rstrip()]  # fmt: skip


def _texts(change: Change, label: str = "") -> list[str]:
    """An added, removed, renamed or changed text, each side below the name."""
    name = f"{change.name}, {label}" if label else change.name
    if change.what == "name":
        return [f"  renamed  {change.old} → {change.new}"]
    if change.old is None:
        return _wrap(f"  added    {name} = ", change.new)
    if change.new is None:
        return _wrap(f"  removed  {name} = ", change.old)
    head = f"  changed  {name}"
    return [head, *_wrap("      old  ", change.old), *_wrap("      new  ", change.new)]


def _parameters(found: Difference) -> list[str]:
    """One line a constant, whatever of it has moved."""
    lines = []
    for change in found.of("constant"):
        lines += _texts(change)
    parts: dict[str, list[str]] = {}
    for c in found.of(*_PARAMETER):
        parts.setdefault(c.name, []).append(f"{c.what} {c.old} → {c.new}{_share(c)}")
    for name, texts in parts.items():
        lines += _wrap(f"  moved    {name}: ", "; ".join(texts))
    return lines


def _share(change: Change) -> str:
    if change.what != "default" or float(change.old) == 0:
        return ""
    return f" ({_percent(float(change.new) / float(change.old) - 1)})"


def _runs(found: Difference) -> list[str]:
    if not found.ran:
        return ["", "Nothing that a run computes has changed, so no output moved."]
    total = len(found.moved) + len(found.unmoved)
    lines = []
    if found.moved:
        head = f"Outputs moved in a default run: {len(found.moved)} of {total}"
        lines += ["", head, *_table(found.moved)]
    if found.unmoved:
        lines += ["", *_wrap("Unmoved in the default run: ", ", ".join(found.unmoved))]
    if found.missing:
        lines += ["", *_wrap("New, so not compared: ", ", ".join(found.missing))]
    return lines


def _table(moved: Sequence[Moved]) -> list[str]:
    times = moved[0].times
    shown = np.unique(np.linspace(0, len(times) - 1, _COLUMNS).round().astype(int))
    width = min(max(len(item.name) for item in moved), _NAMES)
    head = f"  {'':<{width}} {'most':>9} {'in':>7} {'since':>7}     "
    lines = [head + "".join(f"{times[i]:>10g}" for i in shown)]
    for item in moved:
        name, rest = [*textwrap.wrap(item.name, width, max_lines=2, placeholder="…"), ""][:2]
        numbers = f"{_percent(item.most):>9} {item.at:>7g} {item.since:>7g}"
        for first, then, side, values in (
            (name, numbers, "old", item.old),
            (rest, " " * len(numbers), "new", item.new),
        ):
            cells = "".join(f"{_number(values[i]):>10}" for i in shown)
            lines.append(f"  {first:<{width}} {then}  {side}{cells}")
    return lines


def _percent(change: float) -> str:
    if not np.isfinite(change):
        return "was 0" if np.isinf(change) else "missing"
    if abs(change) >= 1e5:
        return "over 1e5"
    return f"x {1 + change:.0f}" if abs(change) >= 100 else f"{100 * change:+.3g} %"


def _number(value: float) -> str:
    """At most nine characters."""
    if abs(value) >= 1000 and -1e6 < value < 1e7:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return text if len(text) < 10 else f"{value:.3g}"
