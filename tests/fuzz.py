"""A fuzzer of every file that sdkit reads: models, TOML and CSV.

    python -m tests.fuzz [N=10000] [--seed S] [--keep FOLDER] [--only I] [--workers W]

Each input is a damaged copy of a file of this repository, decided by the seed and its
number alone, so that `--seed S --only I` repeats one. A worker process reads it, and
generates all that is generated from it; every fiftieth also runs a short ensemble. It is a
failure if

- anything but a coded `sdkit.Error` is raised, or a warning that is no UserWarning,
- the worker dies, takes more than `SECONDS` (and more than `PATIENCE` when asked again), or
  more than `MEMORY` of address space,
- a file outside the worker's own folder is opened for writing, removed or renamed, a
  process or a connection is started, text of the input runs as code, or CANARY appears.

A failure is printed with the command that repeats it, shortened line by line and chunk by
chunk while it still fails in the same way; `--keep` stores the bytes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 20
PATIENCE = 90  # for a second attempt: a machine may be busy, but a hang stays one
MEMORY = 4 << 30
EVERY = 50  # input that runs a short ensemble
SHRINK_SECONDS = 10
RUN_FILES = ("run.toml", "policies.toml", "scenarios.toml", "outputs.toml", "claims.toml",
             "checks.toml", "parameters.csv", "data/reported_cases.csv",
             "data/reported_cases_by_month.csv")  # fmt: skip
FIT_FILES = ("fit.toml", "measurements.toml", "posterior.csv")
POSTERIOR = (
    b"""# unverified: eight rows for inputs to begin with
infectivity,infectious duration,reporting fraction
"""
    + b"0.1,0.15,0.3\n0.11,0.15,0.3\n" * 4
)

# -- what is put into files -----------------------------------------------------------------

CODE = (
    "__import__('os').system('touch CANARY')",
    '__import__("os").system("touch CANARY")',
    "open('CANARY', 'w')",
    '"""\nimport os\nos.system("touch CANARY")\n"""',
    "'''\n__import__('os').system('touch CANARY')\n'''",
    '\\"\\"\\"; open("CANARY", "w") #',
    "{__import__('os').system('touch CANARY')}",
    "$(touch CANARY)", "`touch CANARY`", ";touch CANARY",
)  # fmt: skip
# Where PySD's own translators would evaluate it.
EVALUATED = {
    "mdl": ("([(0,0)-(1,1) if {} else 0],(0,0),(1,1))", "((0,0),({},1))", "1 ~ Month [0,{}] ~ |",
            "WITH LOOKUP(Time, ([(0,0)-({},1)],(0,0),(1,1)))", "{}, 1", "TABBED ARRAY({})",
            "WITH LOOKUP(Time, ([(0,0)-(1,1) if {} else 0],(0,0),(1,1)))"),
    "xmile": ("<gf><xscale min='0' max=\"{}\"/><ypts>1,2</ypts></gf>", "1, {}",
              "<gf><xscale min='0' max='1'/><ypts>1,{}</ypts></gf>", "<range min=\"{}\" max='1'/>",
              "<gf><xpts>0,{}</xpts><ypts>1,2</ypts></gf>"),
}  # fmt: skip
ODD = (
    '"""', "'''", '"', "'", "\\", "\\\n", "\\\n\t", "{", "}", "{UTF-8}", "{0}", "{a comment}", "{{",
    "%s", "#", "\n", "\r", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u202e",
    "\ufeff", "\x00", "\x1b[31m", "é", "變", "🜁", "e\u0301", "İ", "ß", "٣", "²", "１", "\u00a0",
    "lambda", "None", "nan", "inf", "-inf", "1j", "True", "é" * 300, "x" * 5000,
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-1", "1e308", "-1e308", "1e309", "1e400", "1e-400", "5e-324", "9" * 400, "9" * 5000,
    "1" + "0" * 30, "1e", "1e+", ".", ".5", "5.", "1.2.3", "1_000", "0x10", "0b1", "0o7", "007",
    "+1", "--1", "1e5", "1e-9", "2147483648", "9223372036854775808", "18446744073709551616",
    "0.1", "0.3333", "1/3", "1e1e1", "NaN", "Infinity", "true", "1979-05-27T07:32:00Z", "1001",
)  # fmt: skip
VENSIM = (
    "|", "~", "~~|", "~ ~ |", "=", "==", ":=", "<->", "->", "(", ")", "[", "]", ",", ";", "!", "!!",
    ":NA:", ":RAW:", ":HOLD BACKWARD:", ":INTERPOLATE:", ":EXCEPT:", ":AND:", ":OR:", ":NOT:",
    ":MACRO: m(a)\nm = a*2 ~~|\n:END OF MACRO:\n", ":END OF MACRO:", ":SUPPLEMENTARY",
    ":THE CONDITION:",
    ":TEST INPUT:", "range: a, b ~~|\n", "range: (a1-a3) ~~|\n", "x[a]", "[a]", "[0,100]", "[-1,?]",
    "[0,1,0.1]", "[1e400,2]", "\\\\\\---///", "///---\\\\\\\n", ":L<%^E!@", "15:0,0,0,5,0,0",
    "15:0,0,0,99999999999999999999,0,0", "15:0", "********", "* a group *", "Time", "time step",
    "Time(1)", "x = x ~~|\n", "x y = 1 ~~|\n", "GET DIRECT CONSTANTS('a.xlsx', 'S', 'B2')",
    "GET XLS DATA('../a.xlsx', 'S', 'A', 'B2')", "GET DIRECT LOOKUPS('a', 'b', 'c', 'd')",
    "TABBED ARRAY(1 2 3)", "1, 2, 3", "1, 2; 3, 4;", "((0,0),(1,1))",
    "([(0,0)-(10,10)],(0,0),(1,1))",
    "(0,0)", "((0,0),(0,1))", "((1,1),(0,0))", "WITH LOOKUP(Time, ((0,0),(1,1)))",
    "LOOKUP FORWARD(x, 1)",
    "A FUNCTION OF(Time)", "RANDOM NORMAL(0,1,0,1,0)", "ALLOCATE AVAILABLE(a, b, c)", "INTEG(1, 2)",
    "INTEG(INTEG(1,2), INTEG(3,4))", "SMOOTH(1, 2)", "SMOOTH N(Time, 2, 1, 7)",
    "DELAY N(Time, 1, 1, 900)",
    "DELAY N(1, 1, 1, 1e9)", "DELAY N(1, 1, 1, 2.5)", "DELAY FIXED(Time, 1e300, 0)",
    "DELAY1(Time, 0)",
    "DELAY3I(1, 2, 3)", "SAMPLE IF TRUE(Time>1, Time, 0)", "TREND(Time, 2, 0)", "FORECAST(1, 2, 3)",
    "INITIAL(Time)", "ACTIVE INITIAL(1, 2)", "GAME(2)", "PULSE(1, 0)", "PULSE TRAIN(1,0,0,9)",
    "STEP(1, 2)", "RAMP(1, 2, 3)", "IF THEN ELSE(Time>1, 2, 3)", "IF THEN ELSE(1)", "XIDZ(1,0,2)",
    "MODULO(1, 0)", "QUANTUM(1, 0)", "LN(0)", "(-2)^2", "2^1000", "10^400", "-2^-2^-2", "1/0",
    "EXP(1000)",
    "VECTOR SELECT(a, b, 1, 0, 0)", "SUM(x[a!])", "$192-192-192,0,Arial|10||0-0-0", "*View 1",
)  # fmt: skip
XML = (
    "&a;", "&#0;", "&#1;", "&#x110000;", "&lt;", "&amp;", "<", ">", "</", "/>", "<!--", "-->",
    "<![CDATA[",
    "]]>", "<?xml version='1.0'?>", "<?php ?>",
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "<!DOCTYPE x>", "<!ENTITY a 'b'>", "<module/>", "<macro/>", "<conveyor/>", "<non_negative/>",
    "<eqn/>",
    "<eqn>1</eqn>", "<eqn>TIME</eqn>", "<eqn>1, 2</eqn>", "<gf><ypts>1,2</ypts></gf>",
    "<xscale min='0'/>",
    "<gf type='discrete'><xscale min='0' max='1'/><ypts>1,2</ypts></gf>", "<ypts sep=''>1,2</ypts>",
    "<ypts sep='x'>1x2</ypts>", "<dt reciprocal='true'>0</dt>", "<dt>0</dt>",
    "<dimensions><dim name='d' size='3'/></dimensions>",
    "<dimensions><dim name='d'/></dimensions>", "<element subscript='a'/>",
    "<aux name='z'><eqn>1</eqn></aux>", "<aux/>",
    "<aux name=''/>", "<stock name='s'><eqn>1</eqn><inflow>nobody</inflow></stock>",
    "<flow name='f'/>", "<group name='g'/>",
    "<units>a</units>", "<doc>b</doc>", "<range min='x' max='1'/>", "<model/>", "<variables/>",
    "<sim_specs/>",
    "<sim_specs method='rk4'/>", "<sim_specs method='gear'/>", "method='rk4'", "xmlns:isee='urn:x'",
    "encoding='utf-16'", "IF a THEN b ELSE c", "INIT(x)", "DELAY(TIME, 1)", "SMTH1(TIME, 2)",
    "SMTHN(TIME,2,3)", "PULSE(1,2,3)",
    "{a comment}", "x[a]", "MOD 2", "a MOD b", "NOT 1", "SAFEDIV(1,0)", "HISTORY(x,1)",
)  # fmt: skip
TOML = (
    "[", "]", "[[", "]]", "=", '"', "'", '"""', "'''", "{}", "[]", "{a=1}", "[1]", '[""]', '""',
    "''", "true", "false",
    "a.b.c = 1", "[a.b]", "[[a]]", "[[output]]\n", "[[policy]]\n", "[[scenario]]\n", "[[check]]\n",
    "[[claim]]\n",
    "[[setting]]\n", 'name = ""\n', "name = 1\n", "set = {}\n", 'set = {"infectivity" = nan}\n',
    "inf", "-inf", "nan",
    'kind = "units"\n', 'kind = []\n', 'under = ""\n', "n = 0\n", "n = 4\n", '"\\u0000"',
    '"\\ud800"', '"\\U0001f701"',
    '"\\r\\n"', '"\\\\"', "# a comment", "07:32:00", "1979-05-27", "1979-05-27T07:32:00Z", '"%s"',
    '"{0}"', '"horizon"',
    '"2030-2020"', '"0-9999"', '"20²"', '"٢٠٢٠"', "variable = \"Time\"\n", "variable = \"\"\n",
    "at = 1e300\n", "from = nan\n",
    "window = 0\n", "window = -1\n", "weights = 1\n", "margin = -1\n", '"../../.."', '"."', '""',
    '"/"', '"models"', '"\\u0000"',
)  # fmt: skip
CSV = (
    ",", ",,", ";", '"', '""', '","', '"\n"', "\n", ",\n", "nan", "inf", "-inf", "1e400", "", " ",
    "uniform", "loguniform",
    "normal", "lognormal", "triangular", "choice", "fixed", "fitted", "uncertain", "structural",
    "lever", "1;2", "1;1;1", ";",
    "1;nan", "-1;2", "0;0", "1e308;1e308", "Time", "TIME STEP", "infectivity", "Infected", "١",
    "1_0", "0x1", "x" * 140_000,
)  # fmt: skip
DEPTHS = (15, 40, 70, 90, 101, 150, 210, 400, 1100, 3000)
CODECS = (
    "utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "shift_jis", "utf-7",
    "utf-8-sig", "cp037", "gb18030", "big5",
)  # fmt: skip
NAMED = (
    "utf-16", "utf-7", "hex", "base64", "zip", "rot13", "unicode_escape", "raw_unicode_escape",
    "idna", "punycode", "undefined", "mbcs", "UTF-8", "cp037", "latin-1", "os", "..", "charmap",
    "oem", "aliases", "utf_8_sig",
)  # fmt: skip


NESTS = {
    "mdl": (
        ("(", "1", ")"), ("-(", "1", ")"), ("1+(", "1", ")"), ("ABS(", "1", ")"), ("-", "1", ""),
        ("2^", "1", ""), ("1*", "1", ""), ("Time + ", "1", ""), ("(", "Time", "+1)*2"),
        ("1 + Time*(", "Time", ")"), ("MAX(Time, ", "1", ")"), ("MAX(Time/(1+Time), ", "1", ")"),
        ("IF THEN ELSE(1 > 0, ", "1", ", 2)"), ("IF THEN ELSE(", "Time", " > 0, 1, 2)"),
        ("IF THEN ELSE(0 > 1, 2, ", "1", ")"),
        (":NOT: ", "1", ""), ("Time > 1 :AND: ", "1 > 0", ""), ("Time > 1 :OR: ", "1 > 0", ""),
        ("1 = ", "Time", ""), ("SMOOTH(", "Time", ", 2)"), ("DELAY3(", "Time", ", 2)"),
        ("INTEG(", "1", ", 1)"), ("TREND(", "Time", ", 2, 0)"),
        ("SAMPLE IF TRUE(Time > 2, ", "1", ", 2)"), ("[", "1", "]"), ("{", "", "}"),
        ("(1,", "1", ")"), ("(1,1),", "(2,2)", ""), ("1,", "2", ""), ("x = 1 ~~|\n", "", ""),
        ("a", "= 1 ~~|", ""),
    ),
    "xmile": (
        ("<group>", "", "</group>"), ("<eqn>", "1", "</eqn>"), ("<doc>", "a", "</doc>"),
        ("(", "1", ")"), ("ABS(", "1", ")"), ("-", "1", ""), ("&amp;", "", ""),
        ("IF TIME &gt; 1 THEN 1 ELSE ", "2", ""), ("IF (TIME &gt; 1) THEN (", "2", ") ELSE (1)"),
    ),
    "toml": (
        ("[", "1", "]"), ("{a=", "1", "}"), ("a.", "b = 1", ""), ('{"a"=[', "", "]}"),
        ('"a".', "a=1", ""),
    ),
    "csv": (('"', "a", '"'), ("(", "1", ")"), ("1;", "1", ""), ('""', "", "")),
}  # fmt: skip


def nested(rng: random.Random, kind: str) -> str:
    """A text nested to some depth, closed or not, for a file of this kind."""
    depth = rng.choice(DEPTHS)
    before, middle, after = rng.choice(NESTS[kind])
    return before * depth + middle + (after * depth if rng.random() < 0.8 else "")


def insertion(rng: random.Random, kind: str) -> str:
    """Something to put into a file of this kind."""
    own = {"mdl": VENSIM, "xmile": XML + VENSIM, "toml": TOML, "csv": CSV}[kind]
    choice = rng.random()
    if choice < 0.45:
        return rng.choice(own)
    if choice < 0.60:
        return rng.choice(NUMBERS)
    if choice < 0.75:
        return rng.choice(ODD)
    if choice < 0.9:
        form = rng.choice(EVALUATED[kind]) if kind in EVALUATED and choice < 0.83 else "{}"
        return form.replace("{}", rng.choice(CODE))
    return nested(rng, kind)


# -- damage ---------------------------------------------------------------------------------

_TOKEN = re.compile(
    rb"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[A-Za-z_][A-Za-z_0-9]*(?: [A-Za-z]+)*|:\w+:|[^\s\w]"
)
_WORD = re.compile(rb"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[A-Za-z_][A-Za-z_0-9]*")


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    begin = rng.randrange(len(data) + 1)
    return begin, min(len(data), begin + int(rng.expovariate(1 / 20)) + 1)


def _truncate(rng, data, other, kind):
    return data[: rng.randrange(len(data) + 1)]


def _flip(rng, data, other, kind):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _garbage(rng, data, other, kind):
    begin, end = _span(rng, data)
    return data[:begin] + rng.randbytes(rng.choice((1, 2, 8))) + data[end:]


def _cut(rng, data, other, kind):
    begin, end = _span(rng, data)
    return data[:begin] + data[end:]


def _splice(rng, data, other, kind):
    begin, end = sorted((rng.randrange(len(other) + 1), rng.randrange(len(other) + 1)))
    at = rng.randrange(len(data) + 1)
    if rng.random() < 0.5:
        return data[:at] + other[begin:]
    return data[:at] + other[begin : min(end, begin + 2000)] + data[at:]


def _lines(rng, data, other, kind):
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(5)
    if what == 0:
        lines.insert(j, lines[i])
    elif what == 1:
        del lines[i]
    elif what == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif what == 3:
        lines.insert(i, rng.choice(other.split(b"\n")))
    else:
        lines[i] = lines[i] + lines[j]
    return b"\n".join(lines)


def _tokens(rng, data, other, kind):
    """One token by another of this file or of a second one."""
    found = list(_TOKEN.finditer(data))
    if not found:
        return data
    here = rng.choice(found)
    source = rng.choice((data, other))
    there = rng.choice(list(_TOKEN.finditer(source)) or [here])
    return data[: here.start()] + there[0] + data[here.end() :]


def _replace(rng, data, other, kind):
    """A number or a name by something odd: what keeps the rest of a file in order."""
    found = list(_WORD.finditer(data))
    if not found:
        return data
    here = rng.choice(found)
    new = insertion(rng, kind).encode("utf-8", "surrogatepass")
    return data[: here.start()] + new + data[here.end() :]


def _number(rng, data, other, kind):
    found = list(re.finditer(rb"\d+(?:\.\d*)?", data))
    if not found:
        return data
    here = rng.choice(found)
    return data[: here.start()] + rng.choice(NUMBERS).encode() + data[here.end() :]


def _insert(rng, data, other, kind):
    at = rng.randrange(len(data) + 1)
    return data[:at] + insertion(rng, kind).encode("utf-8", "surrogatepass") + data[at:]


_EQUATION = {
    "mdl": re.compile(rb"(?<==)[^~|=]*(?=~)"),
    "xmile": re.compile(rb"(?<=<eqn>)[^<]*|(?<=pts>)[^<]*|(?<=flow>)[^<]*"),
    "toml": re.compile(rb"(?<==)[^\n]*"),
    "csv": re.compile(rb"[^,\n]+"),
}


def _equation(rng, data, other, kind):
    """An equation, a value or a cell by something odd, or something odd in front of it."""
    found = list(_EQUATION[kind].finditer(data))
    if not found:
        return data
    here = rng.choice(found)
    new = (nested if rng.random() < 0.2 else insertion)(rng, kind).encode("utf-8", "surrogatepass")
    new = b" " + new + rng.choice((b"", b"", b" + " + here[0], b"*(" + here[0] + b")", here[0]))
    return data[: here.start()] + new + b" " + data[here.end() :]


def _encode(rng, data, other, kind):
    """The file in another encoding, or with another encoding's name in front."""
    text = data.decode("utf-8", "replace")
    if kind == "mdl" and rng.random() < 0.6:
        name = rng.choice(NAMED)
        text = "{" + name + "}" + text.removeprefix("{UTF-8}")
        if rng.random() < 0.5:
            at = rng.randrange(len(text) + 1)
            text = (
                text[:at]
                + rng.choice(("\\ud800", "\\x00", "\\q", "+AAA-", "+2AA-", "\\N{BULLET}"))
                + text[at:]
            )
        return text.encode("utf-8", "replace")
    return text.encode(rng.choice(CODECS), "replace")


MUTATIONS = (
    (_truncate, 1), (_flip, 2), (_garbage, 1), (_cut, 2), (_splice, 2), (_lines, 3), (_tokens, 4),
    (_replace, 5), (_equation, 5),
    (_number, 2), (_insert, 4), (_encode, 0.7),
)  # fmt: skip


class Corpus:
    """The files that are damaged, by what reads them: (name, extension, bytes)."""

    def __init__(self):
        self.models, self.run = [], {}
        fixtures = sorted((ROOT / "tests" / "functions").iterdir())
        broken = sorted((ROOT / "tests" / "broken" / "models").iterdir())
        self.sir = ROOT / "models" / "sir" / "sir.mdl"
        self.large = ROOT / "models" / "fentanyl" / "fentanyl.mdl"
        for path in [*fixtures, *broken]:
            if path.suffix in (".mdl", ".xmile"):
                self.models.append((path.suffix[1:], path.read_bytes()))
        folder = ROOT / "models" / "sir"
        for name in RUN_FILES:
            own = ROOT / "runs" / "sir" / name if name == "run.toml" else folder / name
            variants = sorted((ROOT / "tests" / "broken" / "sir").glob(f"{Path(name).name}/*"))
            self.run[name] = [own.read_bytes(), *(p.read_bytes() for p in variants)]
        self.run["fit.toml"] = [(ROOT / "runs" / "sir-fit" / "run.toml").read_bytes()]
        self.run["measurements.toml"] = [(folder / "measurements.toml").read_bytes()]
        self.run["posterior.csv"] = [POSTERIOR]

    def input(self, seed: int, index: int) -> tuple[str, bytes]:
        """What the input of this number is: "mdl", "xmile" or a name of RUN_FILES or FIT_FILES;
        its bytes."""
        rng = random.Random(f"{seed} {index}")
        if rng.random() < 0.7:
            if rng.random() < 0.002:
                kind, data = "mdl", self.large.read_bytes()
            elif rng.random() < 0.04:
                kind, data = "mdl", self.sir.read_bytes()
            elif rng.random() < 0.25:
                kind, data = rng.choice([m for m in self.models if m[0] == "xmile"])
            else:
                kind, data = rng.choice([m for m in self.models if m[0] == "mdl"])
            what, other = kind, rng.choice(self.models)[1]
        else:
            what = rng.choice(RUN_FILES + FIT_FILES)
            kind = what.rpartition(".")[2]
            # More often than not the sound file: a broken one stops at its own fault.
            data = self.run[what][0] if rng.random() < 0.7 else rng.choice(self.run[what])
            other = rng.choice(self.run[rng.choice(RUN_FILES + FIT_FILES)])
        functions, weights = zip(*MUTATIONS, strict=True)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            data = rng.choices(functions, weights)[0](rng, data, other, kind)
        return what, data


# -- the worker -----------------------------------------------------------------------------


class Forbidden(BaseException):
    """Raised in place of what an input must not bring about."""


class Guard:
    """Looks at what the interpreter does, by its audit events, while an input is read.

    Text that runs passes through "exec" (also that of `eval` and of an import). "compile" is
    no sign: ast.literal_eval compiles to a tree of literals, and a program holds the names of
    a file in comments and escaped strings. So what is looked at is the names that code about
    to run refers to.
    """

    NEVER: ClassVar = {
        "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
        "os.startfile",
        "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.sendto",
        "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "webbrowser.open",
        "pickle.find_class",
        "os.kill", "os.putenv", "os.unsetenv", "ctypes.dlopen",
    }  # fmt: skip
    PATHS: ClassVar = {
        "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2,
        "os.symlink": 2, "os.truncate": 1,
        "os.chmod": 1, "os.chown": 1, "os.utime": 1, "os.setxattr": 1, "shutil.rmtree": 1,
        "shutil.move": 2,
        "shutil.copyfile": 2, "os.chdir": 1, "tempfile.mkstemp": 1, "tempfile.mkdtemp": 1,
    }  # fmt: skip
    NAMES: ClassVar = {
        "__import__",
        "system",
        "eval",
        "exec",
        "open",
        "touch",
        "popen",
        "Popen",
        "__subclasses__",
    }

    def __init__(self, folder: Path):
        self.allowed = str(folder.resolve()) + os.sep
        self.libraries = tuple(
            {str(Path(p).resolve()) for p in (sys.prefix, sys.base_prefix, ROOT / "sdkit")}
        )
        self.active, self.seen = False, []
        sys.addaudithook(self._hook)

    def _inside(self, path) -> bool:
        if isinstance(path, int):
            return True
        # Without os.path.realpath, which would follow a link at every component.
        return os.path.abspath(os.fsdecode(path)).startswith(self.allowed)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.active:
            return
        wrong = None
        if event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            )
            if (writes or set(mode or "") & set("wax+")) and not self._inside(path):
                wrong = f"{path!r} opened for writing"
        elif event in self.NEVER:
            wrong = f"{event} {arguments!r:.200}"
        elif event in self.PATHS:
            bad = [
                p
                for p in arguments[: self.PATHS[event]]
                if isinstance(p, (str, bytes, os.PathLike)) and not self._inside(p)
            ]
            if bad:
                wrong = f"{event} {bad[0]!r}"
        elif event == "exec" and hasattr(arguments[0], "co_names"):
            code = arguments[0]
            if not code.co_filename.startswith(self.libraries):
                names = self._names(code)
                if names & self.NAMES:
                    wrong = f"{code.co_filename} runs code with {sorted(names & self.NAMES)}"
        if wrong:
            self.seen.append(wrong)
            raise Forbidden(wrong)

    def _names(self, code) -> set[str]:
        inner = (self._names(c) for c in code.co_consts if hasattr(c, "co_names"))
        return set(code.co_names).union(*inner)


class Worker:
    """Reads inputs in a folder of its own; `check` says what went wrong with one, if anything."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.here, self.models, self.project = (folder / n for n in ("here", "models", "project"))
        runs = self.project / "runs"
        for path in (self.here, self.models, runs / "sir", runs / "fit"):
            path.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            ROOT / "models" / "sir", self.project / "models" / "sir", dirs_exist_ok=True
        )
        shutil.copy(ROOT / "runs" / "sir" / "run.toml", runs / "sir")
        shutil.copy(ROOT / "runs" / "sir-fit" / "run.toml", runs / "fit")
        (self.project / "models" / "sir" / "posterior.csv").write_bytes(POSTERIOR)
        os.environ["SDKIT_CACHE"] = str(folder / "cache")
        tempfile.tempdir = str(folder)
        os.chdir(self.here)
        sys.dont_write_bytecode = True
        self._warm_up()
        self.guard = Guard(folder)
        with contextlib.suppress(ImportError):  # Windows has no limits
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def _warm_up(self) -> None:
        """Load what is loaded once, so that an input answers for itself alone."""
        from sdkit import fit_run, run

        # A run's file is damaged a thousand times beside the same sound model.
        read, known = run.read_model, {}

        def read_once(path, **more):
            return known[path] if path in known else known.setdefault(path, read(path, **more))

        run.read_model = fit_run.read_model = read_once
        (self.models / "warm.mdl").write_bytes(
            (ROOT / "tests" / "functions" / "stock.mdl").read_bytes()
        )
        (self.models / "warm.xmile").write_bytes(
            (ROOT / "tests" / "functions" / "xmile_stocks.xmile").read_bytes()
        )
        for name in ("warm.mdl", "warm.xmile"):
            self._model(self.models / name, True)
        self._run(True)
        self._fit(True)

    def check(self, what: str, data: bytes, runs: bool) -> tuple[str, str]:
        """("", the code of the error or "read") or (the kind of failure, its trace)."""
        if what in ("mdl", "xmile"):
            path = self.models / f"fuzzed.{what}"
        else:
            home = self.project / ("runs" if what == "run.toml" else "models") / "sir"
            path = home / what
            if what == "fit.toml":
                path = self.project / "runs" / "fit" / "run.toml"
        sound = path.read_bytes() if path.exists() else None
        path.write_bytes(data)
        del self.guard.seen[:]
        failure, told = "", "read"
        from sdkit import Error

        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self.guard.active = True
                try:
                    if what in ("mdl", "xmile"):
                        self._model(path, runs)
                    else:
                        self._fit(runs) if what in FIT_FILES else self._run(runs)
                finally:
                    self.guard.active = False
        except Error as error:
            told = error.code
            if not error.message.strip() or "\n" in error.message:
                failure, told = f"{error.code}, a message of no line or of many", error.message
        except Forbidden as error:
            failure, told = f"forbidden: {error}"[:120], traceback.format_exc()
        except BaseException as error:
            last = [
                f
                for f in traceback.extract_tb(error.__traceback__)
                if "sdkit" in Path(f.filename).parts
            ]
            where = f" in {Path(last[-1].filename).name}:{last[-1].name}" if last else ""
            failure, told = f"{type(error).__name__}{where}", traceback.format_exc(limit=-12)
        if not failure and self.guard.seen:  # swallowed on its way up
            failure, told = f"forbidden: {self.guard.seen[0]}"[:120], ""
        loud = [w for w in caught if not issubclass(w.category, UserWarning)]
        if not failure and loud:
            failure = f"{loud[0].category.__name__} in {Path(loud[0].filename).name}"
            told = str(loud[0].message)
        if sound is not None and path.parent != self.models:
            path.write_bytes(sound)
        strays = [*self.here.iterdir(), *self.folder.glob("CANARY"), *self.models.glob("CANARY")]
        if strays:
            failure, told = f"{strays[0].name} was written", told
            for stray in strays:
                stray.unlink()
        return failure, told[-3000:]

    def _model(self, path: Path, runs: bool) -> None:
        from sdkit import compile_model, read_model
        from sdkit.parameters import read_parameters

        model = read_model(path)
        program = compile_model(model)
        compile(program.source, "<the program>", "exec")
        read_parameters(model)
        steps = (program.final_time - program.initial_time) / program.time_step
        # A small model says as much, in less time.
        if runs and steps < 2000 and len(program.source) < 50_000:
            self._ensemble(model, program, int(steps + 1e-6))

    def _ensemble(self, model, program, steps: int) -> None:
        """A short ensemble of a model that was read, then its single run."""
        import numpy as np
        import pandas as pd

        from sdkit import Error, Experiment, Setting, no_draws, simulate

        draws = no_draws()
        for name in model.constants:
            if name not in program.frozen:
                low, high = model.find(name).limits
                value = model.find(name).value
                values = np.clip([value, value * 0.9, value * 1.1 + 0.01], low, high)
                draws = pd.DataFrame({name: values}, index=pd.RangeIndex(3, name="draw"))
                break
        start, dt = program.initial_time, program.time_step
        times = [start + k * dt for k in sorted({0, steps // 2, min(steps, 40)}) if k <= steps]
        setting = (Setting("as it is"),)
        with contextlib.suppress(Error):
            simulate(program, Experiment(setting, setting, draws, program.outputs, np.array(times)))
        simulate(program)

    def _run(self, runs: bool) -> None:
        from sdkit.comparing import execute
        from sdkit.run import prepare, read_run

        folder = self.project / "runs" / "sir"
        read_run(folder)
        # Eight draws whatever the file asks for, which may well be 2**30.
        prepared = prepare(read_run(folder, n=8 if read_run(folder).source == "priors" else None))
        if runs:
            execute(prepared)

    def _fit(self, runs: bool) -> None:
        """All that a fit reads, and the density of one point: the search itself takes seconds."""
        from sdkit.experiment import posterior_draws
        from sdkit.fit_run import prepare_fit, read_fit
        from sdkit.fitting import posterior_of

        prepared = prepare_fit(read_fit(self.project / "runs" / "fit"))
        posterior_draws(prepared.parameters, 8, 1)
        if runs:
            posterior = posterior_of(prepared)
            posterior.log_density([[0.0] * len(posterior)])

    def shrink(self, what: str, data: bytes, runs: bool, failure: str) -> bytes:
        """A part of the input that fails in the same way."""
        until = time.monotonic() + SHRINK_SECONDS
        for separator in (b"\n", b""):
            parts = data.split(separator) if separator else [bytes([b]) for b in data]
            size = max(len(parts) // 2, 1)
            while size and time.monotonic() < until:
                at, smaller = 0, False
                while at < len(parts) and time.monotonic() < until:
                    trial = parts[:at] + parts[at + size :]
                    if self.check(what, separator.join(trial), runs)[0] == failure:
                        parts, smaller = trial, True
                    else:
                        at += size
                size = size // 2 if not smaller or size > 1 else (1 if smaller else 0)
            data = separator.join(parts)
        return data


def work(folder: Path) -> None:
    """Answer the parent: a line "seed index" in, a line of JSON out."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an input prints goes elsewhere
    worker, corpus = Worker(folder), Corpus()
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        seed, index = map(int, line.split())
        what, data = corpus.input(seed, index)
        runs = index % EVERY == 0
        failure, told = worker.check(what, data, runs)
        small = ""
        if failure:
            print(json.dumps("failed"), file=answers, flush=True)
            small = worker.shrink(what, data, runs, failure).decode("utf-8", "backslashreplace")
        print(json.dumps([failure, told, small]), file=answers, flush=True)


# -- the parent -----------------------------------------------------------------------------


class Process:
    """A worker, and a watchdog that ends it when it does not answer in time."""

    def __init__(self, folder: Path):
        environment = os.environ | {
            "PYTHONFAULTHANDLER": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "tests.fuzz", "--worker", str(folder)]
        self.errors = (folder.parent / f"{folder.name}.stderr").open("w+")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.ready = self._answer(120) == "ready"

    def _answer(self, seconds: float):
        """The next line; None where the worker died or had to be ended."""
        self.late = False

        def end():
            self.late = True
            self.process.kill()

        watchdog = threading.Timer(seconds, end)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        return json.loads(line) if line.endswith("\n") else None

    def ask(self, seed: int, index: int, seconds: float = SECONDS) -> list[str]:
        try:
            self.process.stdin.write(f"{seed} {index}\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it died since; that shows in its answer
        answer = self._answer(seconds)
        if answer == "failed":
            answer = self._answer(SECONDS + SHRINK_SECONDS) or [
                "failed, and hung when shortened",
                "",
                "",
            ]
        if answer is None:
            status = self.process.wait()
            self.errors.flush()
            self.errors.seek(0)
            what = f"more than {seconds} s" if self.late else f"the process died ({status})"
            return [what, self.errors.read()[-3000:], ""]
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(OSError):
                stream.close()


class Result:
    """How many inputs there were, what they were answered, and (index, kind, trace, bytes)."""

    def __init__(self):
        self.inputs, self.answers, self.failures = 0, collections.Counter(), []


def run(indices, seed: int, workers: int = 2, keep: Path | None = None, out=None) -> Result:
    """Try the inputs of these numbers in `workers` processes."""
    result, todo, lock = Result(), iter(indices), threading.Lock()
    corpus, out = Corpus(), out or sys.stdout

    def tell(index: int, answer: list[str]) -> None:
        failure, told, small = answer
        what, data = corpus.input(seed, index)
        result.failures.append((index, failure, told, data))
        print(f"\ninput {index} ({what}): {failure}\n{told}", file=out)
        if small:
            print(f"shortened:\n{small[:1500]}", file=out)
        print(f"repeat: python -m tests.fuzz --seed {seed} --only {index}", file=out, flush=True)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{index}-{Path(what).name}").write_bytes(data)

    def drive(folder: Path) -> None:
        process = None
        while True:
            with lock:
                index = next(todo, None)
            if index is None:
                break
            for seconds in (SECONDS, PATIENCE):
                process = process or Process(folder)
                if process.ready:
                    answer = process.ask(seed, index, seconds)
                else:
                    process.errors.seek(0)
                    answer = ["the worker did not start", process.errors.read()[-3000:], ""]
                late = process.late
                if process.process.poll() is not None:
                    process.close()
                    process = None
                if not late:
                    break
            with lock:
                result.inputs += 1
                result.answers[answer[1] if not answer[0] else "failure"] += 1
                if answer[0]:
                    tell(index, answer)
        if process:
            process.close()

    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as scratch:
        folders = [Path(scratch) / f"worker{n}" for n in range(workers)]
        for folder in folders:
            folder.mkdir()
        threads = [threading.Thread(target=drive, args=(folder,)) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return result


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.split("\n")[0]
    )
    parser.add_argument("n", nargs="?", type=int, default=10_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that fail")
    parser.add_argument("--only", type=int, help="the number of one input")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    indices = range(options.n) if options.only is None else [options.only]
    begun = time.monotonic()
    result = run(indices, options.seed, options.workers if len(indices) > 1 else 1, options.keep)
    print(
        f"{result.inputs} inputs, {len(result.failures)} failures, {time.monotonic() - begun:.0f} s"
    )
    print(", ".join(f"{name} {count}" for name, count in result.answers.most_common()))
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
