"""What a model's text says: labels, units, bounds and expressions."""

from __future__ import annotations

import codecs
import hashlib
import importlib.metadata
import marshal
import os
import re
import sys
import warnings
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path, PurePath

from .cache import cached, code_of, name_of
from .errors import ModelError, SimulationError
from .expressions import CONTROLS, DEEPEST, Translator, has_missing, key, nesting, walk
from .functions import FUNCTIONS
from .translate import VENSIM, XMILE, Element, Vensim, Xmile

# Python's codecs that undo escapes or spell domain names: no editor saves a text in them.
_NO_ENCODINGS = {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"}


@dataclass(frozen=True)
class Variable:
    """One variable of a model, as its text has it.

    `kind` is constant, auxiliary, stock, lookup or control; `value` is the number of a
    constant, else None; `limits` are the bounds in brackets after the unit, None where
    open; `line` counts from 1 (0 where the file does not tell); `text` is the right-hand
    side as the file has it, in one line.
    """

    name: str
    kind: str
    unit: str
    limits: tuple[float | None, float | None]
    documentation: str
    line: int
    expression: tuple
    value: float | None = None
    text: str = ""


@dataclass(frozen=True)
class Model:
    """What the text of a model says. Made by `read_model`; frozen."""

    path: Path
    hash: str
    variables: dict[str, Variable]
    method: str
    missing_values: bool
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {key(name): name for name in self.variables}

    def find(self, name: str) -> Variable:
        """The variable of this name, however it is spelt; S203 if there is none."""
        label = self._by_key.get(key(name))
        if label is None:
            raise SimulationError("S203", f"{self.path.name} has no variable {name!r}")
        return self.variables[label]

    def has(self, name: str) -> bool:
        return key(name) in self._by_key

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the constants, in the order of the file."""
        return tuple(n for n, v in self.variables.items() if v.kind == "constant")


def is_model_file(path: PurePath) -> bool:
    """Whether the name is that of a model in Vensim's or XMILE's format."""
    return path.suffix.lower() in VENSIM | XMILE


def model_path(name: str) -> Path:
    """`name` as a path, or the folder of that name under the nearest models/, if there is one."""
    path = Path(name)
    if not os.path.exists(path):  # False too where a name is too long to be asked for
        for folder in (Path.cwd(), *Path.cwd().parents):
            if os.path.isdir(folder / "models" / name):
                return folder / "models" / name
    return path


def find_model_file(path: str | Path) -> Path:
    """The model file at `path`: the file itself, or the one that a folder holds (M101)."""
    path = Path(path)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if is_model_file(p))
        named = [p for p in found if p.stem == path.resolve().name]
        if len(found) != 1 and len(named) != 1:
            what = "no model file" if not found else f"{len(found)} model files"
            raise ModelError("M101", f"{path} holds {what}; one .mdl or XMILE file is needed")
        return (named or found)[0]
    if not path.is_file():
        raise ModelError("M101", f"{path} does not exist")
    if not is_model_file(path):
        raise ModelError("M101", f"{path} is neither a .mdl nor an XMILE file")
    return path


def read_model(path: str | Path) -> Model:
    """Read a model folder, a .mdl or an XMILE file. Raises ModelError (M1xx).

    What a text says is kept in the cache, so that a second start neither parses nor loads PySD.
    """
    path = find_model_file(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError("M101", f"{path} cannot be read: {error.strerror}") from None
    reader = code_of("expressions", "functions", "literals", "model", "translate")
    versions = (reader, importlib.metadata.version("pysd"), sys.version)
    # The name too, since warnings tell it.
    name = name_of("model", *versions, path.name, hashlib.sha256(raw).hexdigest())
    read: list[tuple] = []

    def make() -> bytes:
        read.append(_read(path, raw))
        return marshal.dumps(read[0])

    try:  # plain values by marshal, not objects by pickle, which could run what it reads
        rows, said, rest = marshal.loads(cached(f"{name}.model", make))
    except ValueError:  # a sum of some thousand terms is nested too deeply for marshal
        rows, said, rest = read[0]
    for message in said:
        warnings.warn(message, stacklevel=2)
    return Model(path, variables={row[0]: Variable(*row) for row in rows}, **rest)


def _read(path: Path, raw: bytes) -> tuple[list[tuple], list[str], dict]:
    """A model's text read by PySD: its variables, what there is to warn of, and the rest."""
    text = _decode(path, raw)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        reader = Vensim(path, text) if path.suffix.lower() in VENSIM else Xmile(path, text)
        try:
            elements = reader.elements()
            variables = _variables(path, elements)
        except RecursionError:
            raise ModelError("M110", f"{path.name} is nested too deeply") from None
        _resolve(path, variables)
        method = reader.method()
    rows = [tuple(getattr(v, f.name) for f in fields(v)) for v in variables.values()]
    rest = {
        "hash": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        "method": method,
        "missing_values": any(has_missing(v.expression) for v in variables.values()),
        "text": text,
    }
    return rows, [str(w.message) for w in said if w.category is UserWarning], rest


def _decode(path: Path, raw: bytes) -> str:
    if not raw.strip():
        raise ModelError("M102", f"{path} is empty")
    if b"\x00" in raw:
        raise ModelError("M103", f"{path} holds NUL bytes and is not text")
    named = re.match(rb"\s*\{([\w.-]+)\}", raw.removeprefix(codecs.BOM_UTF8))
    names = [named[1].decode()] if named else []
    for name in [*names, "utf-8", "cp1252"]:
        try:
            if codecs.lookup(name).name.replace("-", "_") in _NO_ENCODINGS:
                continue
            text = raw.removeprefix(codecs.BOM_UTF8).decode(name)
            break
        except (UnicodeError, LookupError):
            continue
    else:
        raise ModelError("M103", f"{path} is not text in UTF-8 or cp1252")
    # UTF-7 can write both without a byte that shows it.
    if re.search("[\x00\ud800-\udfff]", text):
        raise ModelError("M103", f"{path} holds NUL or half characters and is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _variables(path: Path, elements: list[Element]) -> dict[str, Variable]:
    names = {key(element.name): element for element in elements}
    lookups = {k for k, e in names.items() if type(e.abstract).__name__ == "AbstractLookup"}
    variables = {}
    for element in elements:
        where = f"{path.name}, line {element.line}, {element.name!r}"
        translate = Translator(path, where, lookups)
        expression = translate(element.abstract.ast)
        if nesting(expression) > DEEPEST:
            raise ModelError("M110", f"{where}: nested too deeply (over {DEEPEST} levels)")
        kind, value = "auxiliary", None
        if type(element.abstract).__name__ == "AbstractData":
            raise ModelError("M109", f"{where}: a data variable")
        if key(element.name) in CONTROLS:
            kind = "control"
        elif expression[0] == "points":
            kind = "lookup"
        elif expression[0] == "number":
            kind, value = "constant", expression[1]
        elif expression[:2] == ("state", "stock"):
            kind = "stock"
        variables[element.name] = Variable(
            element.name,
            kind,
            element.unit.strip(),
            tuple(element.limits),
            element.documentation.strip(),
            element.line,
            expression,
            value,
            element.text,
        )
    return variables


def _resolve(path: Path, variables: dict[str, Variable]) -> None:
    """Refuse names that nothing defines, and tables used as numbers (M105)."""
    known = {key(name): variable for name, variable in variables.items()}
    for variable in variables.values():
        calls = [node[1] for node in walk(variable.expression) if node[0] == "call"]
        for node in walk(variable.expression):
            if node[0] != "name" or node[1] in ("time", "dt", "starttime", "stoptime"):
                continue
            where = f"{path.name}, line {variable.line}, {variable.name!r}"
            if node[1] not in known:
                raise ModelError("M105", f"{where} uses {node[1]!r}, which is not defined")
            # A function that is not compiled (LOOKUP EXTRAPOLATE, say) may take a table.
            if known[node[1]].kind == "lookup" and FUNCTIONS.keys() >= set(calls):
                raise ModelError("M105", f"{where} uses the table {node[1]!r} without an argument")
