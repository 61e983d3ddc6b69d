"""What models hold and PySD's grammar does not take, rewritten before it is read.

What follows stays on its line, so that errors still name lines of the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from .expressions import key

# A name alone, perhaps with subscripts: no = : ( or <-> that would make it a definition.
_BARE = re.compile(
    r'("(?:[^"\\]|\\.)*"\s*|[^\W\d][\w\s\'$.%&-]*)(\[[^\]]*\]\s*(:EXCEPT:[\s\w\[\],"]*)?)?', re.I
)
_MARKS = (
    (re.compile(r":[ \t]*MACRO[ \t]*:", re.I), ":MACRO:"),
    (re.compile(r":[ \t]*END[ \t_]+OF[ \t_]+MACRO[ \t]*:", re.I), ":END OF MACRO:"),
)
# Bounded, so that a text of nothing but marks is read in no more than linear time.
_HEADER = re.compile(r":MACRO:([^()~|]{0,500})\(([^()~|]{0,5000})\)")
# A quotation that nothing ends goes on to the end, so that it is looked at once.
_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\Z)'
_WORDS = re.compile(
    rf"{_QUOTED}|:\s*(?:and|or|not|na|except|raw|interpolate|hold backward|look forward)\s*:", re.I
)
_SIGNED = re.compile(r"[+-]?\s*(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNPAIRED = re.compile(r"([^=()]*)\(([^=()\[\]]*)\)", re.S)


def mend_vensim(text: str, settings: str = "") -> str:
    """The equations of a .mdl, in which PySD's grammar finds

    - no comment in braces inside an equation (the file's encoding stays);
    - a keyword behind the name of a data variable, which is interpolated without one;
    - the marks of macros in capitals, and their headers in one form;
    - the outputs that a call of a macro names behind a colon as further arguments;
    - its words in capitals, and no odd quotation mark in units and comments;
    - tables as pairs, where an old model lists all x and then all y;
    - files by their names, where `settings` say what a '?tag' stands for.
    """
    encoding = re.match(r"\s*\{[^{}\n]*\}", text)
    begin = encoding.end() if encoding else 0
    tags = dict(re.findall(r"^30:(\?[^=\n]+)=([^\n]*)$", settings, re.M))
    pieces, macros = [text[:begin]], _with_outputs(text)
    for fields, end in _entries(text, begin):
        if fields[0].lstrip().startswith("*"):
            pieces.append("~".join(map(_even, fields)) + end)
            continue
        equation = _without_comments(fields[0])
        for mark, written in _MARKS:
            equation = mark.sub(lambda m, w=written: w + " " * (len(m[0]) - len(w)), equation)
        equation = _WORDS.sub(lambda m: m[0] if m[0][0] == '"' else m[0].upper(), equation)
        head, body = _headers(equation)
        if len(fields) > 2 and _BARE.fullmatch(body.strip()):
            body = body.rstrip() + " :INTERPOLATE:" + body[len(body.rstrip()) :]
        rest = [_even(field) for field in fields[1:]]
        pieces.append("~".join([head + _calls(_paired(body), macros), *rest]) + end)
    found = "".join(pieces)
    for tag, name in tags.items():
        found = found.replace(f"'{tag}'", f"'{name.strip()}'")
    return found


def _entries(text: str, begin: int) -> Iterator[tuple[list[str], str]]:
    """Each entry as its fields, which ~ separates, and the | that ends it ("" at the end)."""
    # In an equation, marks inside quotes and braces end nothing; in comments all marks do.
    inside, outside = re.compile(rf"{_QUOTED}|[{{}}~|]", re.S), re.compile(r"[~|]")
    group = re.compile(r"\s*\*")  # the title of a group of variables
    fields, start, at, depth = [], begin, begin, 0
    while found := (outside if fields or group.match(text, start) else inside).search(text, at):
        at, mark = found.end(), found[0]
        if mark in "{}":
            depth = max(depth + (1 if mark == "{" else -1), 0)
        elif mark in "~|" and not depth:
            fields.append(text[start : found.start()])
            start = at
            if mark == "|":
                yield fields, "|"
                fields = []
    yield [*fields, text[start:]], ""


def _even(field: str) -> str:
    """Units or a comment without an odd inch mark, which PySD's grammar would pair with that of
    another entry."""
    return field.replace('"', "”") if field.count('"') % 2 else field


def _without_comments(equation: str) -> str:
    """Braces and what stands in them (other braces too) as blanks."""
    pieces, depth, at = [], 0, 0
    for found in re.finditer(rf"{_QUOTED}|[{{}}]", equation, re.S):
        if found[0] not in "{}":
            continue
        if found[0] == "{":
            if depth == 0:
                pieces.append(equation[at : found.start()])
                at = found.start()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                pieces.append(re.sub(r"[^\n]", " ", equation[at : found.end()]))
                at = found.end()
    return "".join([*pieces, equation[at:]])


def _headers(equation: str) -> tuple[str, str]:
    """What stands before an equation (the end of a macro, the header of another), and itself."""
    end = equation.rfind(":END OF MACRO:")
    end = end + len(":END OF MACRO:") if end >= 0 else 0
    header = _HEADER.search(equation, end)
    if header is None:
        return equation[:end], equation[end:]
    return equation[: header.end()], equation[header.end() :]


def _with_outputs(text: str) -> list[str]:
    """The names of macros whose headers list outputs behind a colon."""
    pattern = r":[ \t]*MACRO[ \t]*:([^()~|]{0,500})\(([^()~|]{0,5000})\)"
    headers = re.findall(pattern, text, re.I)
    return [name.strip() for name, arguments in headers if ":" in arguments]


def _calls(equation: str, macros: Collection[str]) -> str:
    """Calls of macros with a comma for the colon before their outputs."""
    marks = re.compile(rf"{_QUOTED}|:[A-Za-z][A-Za-z ]*:|[():]", re.S)
    for name in macros:
        words = r"[\s_]+".join(map(re.escape, name.split()))
        for call in re.finditer(rf"\b{words}\s*\(", equation, re.I):
            depth = 1
            for mark in marks.finditer(equation, call.end()):
                depth += {"(": 1, ")": -1}.get(mark[0], 0)
                if depth == 1 and mark[0] == ":":
                    equation = equation[: mark.start()] + "," + equation[mark.end() :]
                if depth == 0 or mark[0] == ":":
                    break
    return equation


def _paired(equation: str) -> str:
    """A table of all x and then all y as a table of pairs."""
    found = _UNPAIRED.fullmatch(equation.strip())
    if found is None:
        return equation
    numbers = [part.strip() for part in found[2].split(",")]
    half = len(numbers) // 2
    if len(numbers) % 2 or half < 2 or not all(map(_SIGNED.fullmatch, numbers)):
        return equation
    pairs = ",".join(f"({x},{y})" for x, y in zip(numbers[:half], numbers[half:], strict=True))
    before = equation[: len(equation) - len(equation.lstrip())]
    behind = equation[len(equation.rstrip()) :] + "\n" * equation.strip().count("\n")
    return f"{before}{found[1].strip()}({pairs}){behind}"


def mend_xmile(text: str, dimensions: Mapping[str, Sequence[str]]) -> str:
    """An XMILE text in which `x[*]` is `x[Range!]`, as PySD writes what is summed over.

    `dimensions` gives the ranges of each variable, by its key.
    """

    def replace(found: re.Match) -> str:
        subscripts = [part.strip() for part in found[2].split(",")]
        known = dimensions.get(key(found[1]), ())
        if len(known) != len(subscripts):
            return found[0]
        for n, subscript in enumerate(subscripts):
            if subscript.startswith("*"):
                meant = subscript[1:].strip(" :") or known[n]
                subscripts[n] = re.sub(r"\s+", "_", meant.strip()) + "!"
        return f"{found[1]}[{', '.join(subscripts)}]"

    pattern = re.compile(r'("[^"<>]*"|(?<![\w$\'])[^\W\d][\w$\']*)\s*\[([^\[\]<>*]*\*[^\[\]<>]*)\]')
    return re.sub(r"<eqn>[^<]*</eqn>", lambda eqn: pattern.sub(replace, eqn[0]), text)


def declared(text: str) -> str:
    """An XMILE text whose root declares every prefix that it uses, as some programs forget."""
    used = set(re.findall(r"[<\s/]([A-Za-z_][\w.-]*):[A-Za-z_][\w.-]*(?=[\s=/>])", text))
    known = set(re.findall(r"\bxmlns:([A-Za-z_][\w.-]*)\s*=", text)) | {"xml", "xmlns"}
    missing = "".join(f' xmlns:{name}="urn:undeclared:{name}"' for name in sorted(used - known))
    return re.sub(r"(<xmile\b)", lambda m: m[0] + missing, text, count=1) if missing else text
