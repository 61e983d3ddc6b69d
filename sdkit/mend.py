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
# The name of a table in front of its points, and the call of one without a name.
_NAMED = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|[^\W\d][\w \t\n\'$.%&-]*?)\s*(?:\[[^\]]*\]\s*)?\(', re.S
)
_WITH_LOOKUP = re.compile(r"\bWITH\s+LOOKUP\s*\(", re.I)
# The range of its graph, numbers, and the end of a table.
_UNPAIRED = re.compile(r"(\s*\[[^\]]*\]\s*,)?([^=()\[\]]*)(\)\s*)", re.S)


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
    for fields, end in entries(text, begin):
        if fields[0].lstrip().startswith("*"):
            pieces.append("~".join(map(_even, fields)) + end)
            continue
        equation = _without_comments(fields[0])
        for mark, written in _MARKS:
            equation = mark.sub(lambda m, w=written: w + " " * (len(m[0]) - len(w)), equation)
        # A line that goes on is joined by PySD where a tab follows; Vensim takes any blanks.
        equation = re.sub(r"\\[ \t]*\n(?=[ \t])", " \n", equation)
        equation = re.sub(r"\bWITH_LOOKUP\b", "WITH LOOKUP", equation, flags=re.I)
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


_STRING = re.compile(
    r"""(?P<name>"(?:[^"\\]|\\.)*"|[^"=(\[:~|]+?)\s*(?:\[[^\]]*\]\s*)?:\s*IS\s*:
    \s*(?P<text>'[^'\n]*'|"[^"\n]*")""",
    re.I | re.X,
)


def take_strings(text: str) -> tuple[str, dict[str, int]]:
    """The equations of a .mdl without string variables (`name :IS: 'text'`), and their lines by
    name. Where an equation names one as the argument of a function that reads a file, its text
    stands instead.
    """
    if not re.search(r":\s*IS\s*:", text, re.I):
        return text, {}
    encoding = re.match(r"\s*\{[^{}\n]*\}", text)
    begin = encoding.end() if encoding else 0
    pieces, lines, texts, line = [text[:begin]], {}, {}, 1 + text[:begin].count("\n")
    for fields, end in entries(text, begin):
        whole = "~".join(fields) + end
        equation = _without_comments(fields[0])
        found = _STRING.fullmatch(equation.strip())
        if found and end:
            name = found["name"].strip()
            lead = equation[: len(equation) - len(equation.lstrip())]
            lines[name] = line + lead.count("\n")
            texts[name] = found["text"][1:-1]
            pieces.append("\n" * whole.count("\n"))
        else:
            pieces.append(whole)
        line += whole.count("\n")
    found_text = "".join(pieces)
    for name, value in texts.items():
        words = r"[\s_]+".join(map(re.escape, re.split(r"[\s_]+", name)))
        pattern = rf"(\bGET\s+(?:DIRECT|XLS|VDF|123)\s+\w+\s*\(\s*){words}(\s*,)"
        found_text = re.sub(
            pattern, lambda m, v=value: f"{m[1]}'{v}'{m[2]}", found_text, flags=re.I
        )
    return found_text, lines


def entries(text: str, begin: int) -> Iterator[tuple[list[str], str]]:
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
    """Tables of all x and then all y as tables of pairs, and no comma behind the last point."""
    named = _NAMED.match(equation)
    if named:  # the whole equation is a table
        return equation[: named.end()] + _points(equation[named.end() :])
    for found in reversed(list(_WITH_LOOKUP.finditer(equation))):
        depth, comma = 1, 0
        for mark in re.compile(rf"{_QUOTED}|[()\[\],]", re.S).finditer(equation, found.end()):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(mark[0], 0)
            if mark[0] == "," and depth == 1 and not comma:
                comma = mark.end()
            if depth == 0 and comma:
                inner = equation[comma : mark.start()]
                lead = len(inner) - len(inner.lstrip())
                if inner[lead : lead + 1] == "(":
                    inner = inner[: lead + 1] + _points(inner[lead + 1 :])
                equation = equation[:comma] + inner + equation[mark.start() :]
            if depth == 0:
                break
    return equation


def _points(text: str) -> str:
    """What stands behind the opening parenthesis of a table, as pairs."""
    found = _UNPAIRED.fullmatch(text)
    if found is None:
        return re.sub(r",(\s*\)\s*)\Z", r"\1", text)
    numbers = [part.strip() for part in found[2].rstrip().rstrip(",").split(",")]
    half = len(numbers) // 2
    if len(numbers) % 2 or half < 2 or not all(map(_SIGNED.fullmatch, numbers)):
        return text
    pairs = ",".join(f"({x},{y})" for x, y in zip(numbers[:half], numbers[half:], strict=True))
    gap = "\n" * (found[2].count("\n"))
    return f"{found[1] or ''}{pairs}{gap}{found[3]}"


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
