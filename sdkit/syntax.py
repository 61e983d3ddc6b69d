"""What is wrong with the text of a Vensim equation, in words.

PySD's grammar says where it stops, not what is missing there, and takes `MIN(a b)` and a third
argument of INTEG without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .expressions import key
from .functions import FUNCTIONS, STATEFUL

# How many arguments functions take that PySD makes structures of, some with a hidden one more.
ARGUMENTS = {
    "integ": 2, "smooth": 2, "smoothi": 3, "smooth3": 2, "smooth3i": 3, "smooth_n": 4, "delay1": 2,
    "delay1i": 3, "delay3": 2, "delay3i": 3, "delay_n": 4, "delay_fixed": 3, "trend": 3,
    "forecast": 3, "sample_if_true": 3, "initial": 1, "game": 1, "with_lookup": 2,
    "pulse_train": 4, "get_xls_data": 4, "get_direct_data": 4, "get_xls_constants": 3,
    "get_direct_constants": 3, "get_xls_lookups": 4, "get_direct_lookups": 4,
}  # fmt: skip
_FUNCTIONS = {*FUNCTIONS, *(name.lower().replace(" ", "_") for name in STATEFUL)}
_TOKEN = re.compile(
    r"""(?P<text>'[^']*')
    | (?P<word>:[A-Za-z][A-Za-z ]*:)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>"(?:[^"\\]|\\.)*"|[^\W\d][\w$'\s]*)
    | (?P<operator><>|<=|>=|[-+*/^=<>])
    | (?P<mark>[()\[\],;])
    | (?P<blank>\s+)
    | (?P<other>.)""",
    re.X | re.S,
)
_LIST = re.compile(r"[-+\s\d.eE,;]*")
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")
_COMPARISONS = {"=", "<>", "<", "<=", ">", ">="}


@dataclass(frozen=True)
class Problem:
    """What is wrong `at` a place of the text; `certain` where it is so whatever PySD says."""

    at: int
    code: str
    words: str
    certain: bool = False


@dataclass
class _Open:
    """A parenthesis that is open: of a call (its function) or of a group (None)."""

    at: int
    function: str | None = None
    commas: int = 0
    compared: bool = False


def problems(text: str, variables: Collection[str] = ()) -> Iterator[Problem]:
    """What is wrong with the right side of an equation, place by place.

    `variables` are the keys of names that no parenthesis may follow.
    """
    stack = [_Open(0)]
    before: re.Match | None = None  # the token in front, None where an operand has to come
    last, name, at = "", "", 0
    while found := _TOKEN.match(text, at):
        at, kind, shown = found.end(), found.lastgroup, found[0].strip()
        if kind == "blank":
            continue
        begins = kind in ("text", "number", "name") or shown == "(" or shown.upper() == ":NA:"
        if shown == "[":
            at = (text.find("]", at) + 1) or len(text)
            last = "]"
            continue
        if begins and before is not None:
            if shown == "(" and name:
                function = key(name)
                if function in variables and function not in _FUNCTIONS:
                    yield Problem(found.start(), "M104", f"an operator is missing between {name!r} "
                                  f"and '('; {name!r} is no table", True)  # fmt: skip
                if function in ("with_lookup", "tabbed_array"):  # points, not an expression
                    yield from _skipped(text, found.end(), function)
                    at = _closing(text, found.end())
                    before, name, last = found, "", ")"
                    continue
                stack.append(_Open(found.start(), function))
                before, name, last = None, "", "("
                continue
            inside = stack[-1].function is not None
            what = "a comma or an operator" if inside else "an operator"
            yield Problem(found.start(), "M104", f"{what} is missing between {last!r} and "
                          f"{shown!r}", True)  # fmt: skip
        if kind == "text" and (stack[-1].function is None or last not in ("(", ",")):
            yield Problem(
                found.start(), "M104", f"the text {shown} stands where a number is wanted"
            )
        if shown == "(":
            stack.append(_Open(found.start()))
            before, name = None, ""
        elif begins:
            before, name = found, shown if kind == "name" else ""
        elif shown == ")":
            if len(stack) == 1:
                yield Problem(found.start(), "M104", "')' closes no parenthesis")
                return
            top = stack.pop()
            empty = top.function is not None and last == "("
            if before is None and not empty:
                yield Problem(found.start(), "M104", f"something is missing between {last!r} and "
                              "')'", True)  # fmt: skip
            if top.function is not None:
                yield from _counted(top, 0 if empty else top.commas + 1, text[top.at : at])
            before, name = found, ""
        elif kind == "operator" or (kind == "word" and shown.upper() in (":AND:", ":OR:")):
            if before is None and last in ("=", "<", ">", "*") and text[found.start() - 1] == last:
                power = "; a power is written a^b" if shown == "*" else ""
                yield Problem(found.start() - 1, "M104", f"{last + shown!r} is no operator{power}")
                return
            if before is None and shown not in "+-":
                where = f"between {last!r} and {shown!r}" if last else f"before {shown!r}"
                yield Problem(found.start(), "M104", f"a number or a name is missing {where}")
            if shown in _COMPARISONS:
                if stack[-1].compared:
                    yield Problem(found.start(), "M104", "two comparisons in a row; join them by "
                                  ":AND:, as in a < b :AND: b < c")  # fmt: skip
                stack[-1].compared = True
            elif kind == "word":
                stack[-1].compared = False
            before, name = None, ""
        elif shown in ",;":
            if before is None:
                yield Problem(found.start(), "M104", f"something is missing before {shown!r}")
            if len(stack) > 1 and stack[-1].function is None:
                yield Problem(found.start(), "M104", f"{shown!r} in parentheses that belong to no "
                              "function")  # fmt: skip
            if len(stack) == 1 and not _LIST.fullmatch(text):
                yield Problem(found.start(), "M104", f"{shown!r} outside a function; a list holds "
                              f"numbers only{decimal_comma(text)}")  # fmt: skip
            stack[-1].commas += 1
            stack[-1].compared = False
            before, name = None, ""
        elif kind == "other" or (kind == "word" and shown.upper() != ":NOT:"):
            quote = shown in "'\""
            yield Problem(found.start(), "M104", f"the quotation mark {shown} has no second one"
                          if quote else f"{shown!r} is no operator")  # fmt: skip
            return
        last = shown
    if len(stack) > 1:
        yield Problem(stack[-1].at, "M104", "'(' is never closed")
    elif before is None:
        where = f"behind {last!r}" if last else "behind the equals sign"
        yield Problem(len(text.rstrip()), "M104", f"nothing stands {where}")


def is_list(text: str) -> bool:
    """Whether a text is several numbers, parted by commas or semicolons."""
    numbers = re.split("[,;]", text.strip().removesuffix(";"))
    return len(numbers) > 1 and bool(_LIST.fullmatch(text)) and all(n.strip() for n in numbers)


def decimal_comma(text: str) -> str:
    """A hint for a text in which a comma may stand for a decimal point; "" where none does."""
    found = _COMMA.search(text)
    if found is None:
        return ""
    return f"; a number has a decimal point, did you mean {found[1]}.{found[2]}?"


def _counted(top: _Open, given: int, inside: str) -> Iterator[Problem]:
    wanted = ARGUMENTS.get(top.function or "", given)
    if given != wanted:
        words = (top.function or "").upper().replace("_", " ")
        hint = "; is a comma missing?" if given < wanted else decimal_comma(inside)
        yield Problem(
            top.at, "M114", f"{words} takes {wanted} argument(s), not {given}{hint}", True
        )


def _closing(text: str, at: int) -> int:
    """The place behind the parenthesis that closes one which is open at `at`."""
    depth = 1
    for mark in re.compile(r'"(?:[^"\\]|\\.)*"|[()]').finditer(text, at):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return len(text)


def _skipped(text: str, at: int, function: str) -> Iterator[Problem]:
    inside = text[at : _closing(text, at) - 1]
    table = re.search(r",\s*(\(.*)", inside, re.S)
    if function == "with_lookup" and table and table_problem(table[1]):
        yield Problem(at + table.start(1), "M112", table_problem(table[1]))
    if function == "with_lookup" and not table:
        yield Problem(at, "M114", "WITH LOOKUP takes 2 argument(s), a number and a table in "
                      "parentheses", True)  # fmt: skip


def table_problem(text: str) -> str:
    """Why a text in parentheses is no table of points."""
    inside = re.sub(r"\[[^\]]*\]", "", text)
    if re.search(r"\)\s*\(", inside):
        return "a comma is missing between two points"
    count = len(re.findall(r"[^\s(),]+", inside))
    if re.search(r"\(\s*[^()]*\(", inside):
        for point in re.findall(r"\(([^()]*)\)", inside):
            if point.count(",") != 1 or re.search(r"[^\s\d.,eE+-]", point):
                return f"the point ({point.strip()}) is no pair of numbers (x,y)"
    elif count % 2:
        return (f"{count} numbers; a table is a list of points (x,y), or all x and then all y, "
                "as many")  # fmt: skip
    return "a table has two points or more" if count < 4 else ""


def parted(name: str, known: Collection[str]) -> tuple[str, str] | None:
    """Two known names (or a name and a number) that a name is made of, if it is: "a b"."""
    words = name.split("_")
    for i in range(1, len(words)):
        first, second = "_".join(words[:i]), "_".join(words[i:])
        good = first in known or first in _FUNCTIONS
        if good and (second in known or second in _FUNCTIONS or second.isdigit()):
            return first.replace("_", " "), second.replace("_", " ")
    return None
