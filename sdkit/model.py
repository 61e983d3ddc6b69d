"""What a model's text says. The only module that knows PySD.

PySD's translators parse Vensim and XMILE text to an abstract model; `read_model` turns
that into a `Model`: labels, units, bounds and expressions as nested tuples that nothing
outside this package has to know. Nothing of a model file is ever executed: PySD's
translators call `eval` on parts of the text, which is replaced here by a reader of
literals, and PySD's builder copies comments into Python source, which is why they are
blanked before a model is run through PySD itself.

Expressions are tuples whose first item says what they are:
("number", x), ("name", key), ("negative", a), ("not", a), ("compare", op, a, b),
("and", a, b), ("or", a, b), ("arithmetic", op, a, b), ("call", function, (a, ...)),
("lookup", key, a), ("table", (x, y, mode), a) and ("state", kind, parts) with kinds
stock, delay, delay n, delay fixed, smooth, smooth n, trend, sample if true and initial.
"""

from __future__ import annotations

import ast
import bisect
import codecs
import hashlib
import math
import re
import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import Error, ModelError, SimulationError

VENSIM = {".mdl"}
XMILE = {".xmile", ".xml", ".stmx", ".itmx"}
CONTROLS = {
    "initial_time": "INITIAL TIME",
    "final_time": "FINAL TIME",
    "time_step": "TIME STEP",
    "saveper": "SAVEPER",
}
# The fourth number of Vensim's settings line 15, and XMILE's names.
_VENSIM_METHODS = {0: "euler", 1: "rk4", 2: "euler", 5: "rk4"}
_XMILE_METHODS = {"euler": "euler", "rk4": "rk4"}
_END_OF_EQUATIONS = "\\\\\\---///"
_END_OF_SKETCH = "///---\\\\\\"


def key(name: str) -> str:
    """The form under which a name is compared: case, blanks, underscores and quotes fold."""
    text = name.strip().replace("\\n", " ")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"')
    return re.sub(r"[\s_]+", "_", text.strip()).lower()


@dataclass(frozen=True)
class Variable:
    """One variable of a model, as its text has it.

    `kind` is constant, auxiliary, stock, lookup or control; `value` is the number of a
    constant, else None; `limits` are the bounds in brackets after the unit, None where
    open; `line` counts from 1 (0 where the file does not tell).
    """

    name: str
    kind: str
    unit: str
    limits: tuple[float | None, float | None]
    documentation: str
    line: int
    expression: tuple
    value: float | None = None


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


def find_model_file(path: str | Path) -> Path:
    """The model file at `path`: the file itself, or the one that a folder holds (M101)."""
    path = Path(path)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in VENSIM | XMILE)
        named = [p for p in found if p.stem == path.resolve().name]
        if len(found) != 1 and len(named) != 1:
            what = "no model file" if not found else f"{len(found)} model files"
            raise ModelError("M101", f"{path} holds {what}; one .mdl or XMILE file is needed")
        return (named or found)[0]
    if not path.is_file():
        raise ModelError("M101", f"{path} does not exist")
    if path.suffix.lower() not in VENSIM | XMILE:
        raise ModelError("M101", f"{path} is neither a .mdl nor an XMILE file")
    return path


def read_model(path: str | Path) -> Model:
    """Read a model folder, a .mdl or an XMILE file. Raises ModelError (M1xx)."""
    path = find_model_file(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError("M101", f"{path} cannot be read: {error.strerror}") from None
    text = _decode(path, raw)
    reader = _Vensim(path, text) if path.suffix.lower() in VENSIM else _Xmile(path, text)
    try:
        elements = reader.elements()
        variables = _variables(path, elements)
    except RecursionError:
        raise ModelError("M110", f"{path.name} is nested too deeply") from None
    method = reader.method()
    _resolve(path, variables)
    return Model(
        path=path,
        hash=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        variables=variables,
        method=method,
        missing_values=any(_has_missing(v.expression) for v in variables.values()),
        text=text,
    )


def _decode(path: Path, raw: bytes) -> str:
    if not raw.strip():
        raise ModelError("M102", f"{path} is empty")
    if b"\x00" in raw:
        raise ModelError("M103", f"{path} holds NUL bytes and is not text")
    named = re.match(rb"\s*\{([\w.-]+)\}", raw.removeprefix(codecs.BOM_UTF8))
    names = [named[1].decode()] if named else []
    for name in [*names, "utf-8", "cp1252"]:
        try:
            text = raw.removeprefix(codecs.BOM_UTF8).decode(name)
            break
        except (UnicodeDecodeError, LookupError):
            continue
    else:
        raise ModelError("M103", f"{path} is not text in UTF-8 or cp1252")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# -- PySD's translators, made safe -----------------------------------------------------


def _literal(text: str) -> Any:
    """What PySD's `eval` is replaced by: it reads numbers and strings, and runs nothing."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError):
        raise ModelError("M111", f"not a number or a list of points: {text.strip()[:60]!r}") from None


def _pysd():
    """PySD's translators with `eval` closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pysd.translators.vensim import vensim_element, vensim_file, vensim_section
        from pysd.translators.xmile import xmile_element, xmile_file
    vensim_element.eval = _literal
    xmile_element.eval = _literal
    return vensim_file, vensim_section, xmile_file


@dataclass
class _Element:
    name: str
    unit: str
    limits: tuple
    documentation: str
    line: int
    abstract: Any


def _quietly(action, path: Path, what: str, line: int):
    """Run a step of PySD's parser; any failure becomes a ModelError that says where."""
    import parsimonious

    where = f"{path.name}, line {line}, {what}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action()
    except Error as error:
        raise type(error)(error.code, f"{where}: {error.message}") from None
    except RecursionError:
        raise ModelError("M110", f"{where}: nested too deeply") from None
    except parsimonious.exceptions.VisitationError as error:
        if "RecursionError" in str(error.args[0])[:200]:
            raise ModelError("M110", f"{where}: nested too deeply") from None
        if "ModelError: " in str(error):
            inside = str(error).split("ModelError: ", 1)[1].split("\n")[0]
            raise ModelError("M111", f"{where}: {inside.removeprefix('M111: ')}") from None
        if "TypeError" in str(error) and "argument" in str(error):
            raise ModelError("M114", f"{where}: wrong number of arguments") from None
        raise ModelError("M104", f"{where}: {str(error).splitlines()[0][:160]}") from None
    except parsimonious.exceptions.ParseError as error:
        near = error.text[error.pos :].strip()[:40] or error.text.strip()[-40:]
        raise ModelError("M104", f"{where}: cannot be parsed near {near!r}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        text = str(error).splitlines()
        raise ModelError("M104", f"{where}: {(text or [type(error).__name__])[0][:160]}") from None


class _Vensim:
    """A Vensim file taken apart with PySD's own grammar, entry by entry."""

    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text
        equations, mark, rest = text.partition(_END_OF_EQUATIONS)
        if mark and _END_OF_SKETCH not in rest:
            raise ModelError("M108", f"{path.name} ends inside its sketch")
        self.equations = equations
        self.settings = rest.partition(_END_OF_SKETCH)[2]

    def method(self) -> str:
        found = re.search(r"^15:\s*([^\n]*)$", self.settings, re.M)
        if not found:
            if re.search(r"^:L", self.settings, re.M) and not self.text.endswith("\n"):
                raise ModelError("M108", f"{self.path.name} ends inside its settings")
            return "euler"
        numbers = [part.strip() for part in found[1].split(",")]
        if len(numbers) < 6:
            raise ModelError("M108", f"{self.path.name} ends inside its settings line 15")
        method = _VENSIM_METHODS.get(int(numbers[3]) if numbers[3].isdigit() else -1)
        if method is None:
            raise ModelError("M115", f"{self.path.name}: integration type {numbers[3]!r}")
        return method

    def _clean(self) -> tuple[str, list[int], list[int]]:
        """The text as PySD cleans it, and from cleaned offsets to lines of the file."""
        pieces, starts, lines = [], [], []
        position = offset = 0
        line = 1
        for gap in re.finditer(r"(?:\\\n\t|\s)+", self.equations):
            piece = self.equations[position : gap.start()]
            starts.append(offset)
            lines.append(line)
            pieces += [piece, " "]
            offset += len(piece) + 1
            line += gap[0].count("\n")
            position = gap.end()
        starts.append(offset)
        lines.append(line)
        pieces.append(self.equations[position:])
        return "".join(pieces), starts, lines

    def abstract(self):
        """PySD's file object with its sections and components parsed, and their lines."""
        vensim_file, vensim_section, _ = _pysd()
        cleaned, starts, lines = self._clean()
        path = self.path

        class File(vensim_file.VensimFile):
            def __init__(self):
                self.mdl_path, self.root_path = path, path.parent
                self.model_text, self.sketch, self.view_elements = cleaned, "", None

        def line_at(offset: int) -> int:
            return lines[max(bisect.bisect_right(starts, offset) - 1, 0)]

        class Visitor(vensim_section.SectionElementsVisitor):
            """PySD's visitor, which also keeps where each entry begins and the text ends."""

            def __init__(self, tree):
                self.places, self.end, self.dropped = [], 0, []
                super().__init__(tree)

            def visit_entry(self, node, children):
                text = node.text
                self.places.append(node.start + len(text) - len(text.lstrip()))
                self.end = max(self.end, node.end)
                return super().visit_entry(node, children)

            def visit_section(self, node, children):
                text = node.text.strip()
                self.end = max(self.end, node.end)
                if not text.startswith("*"):
                    self.dropped.append((node.start, text))
                return ""

        file = File()
        _quietly(lambda: file.parse(parse_all=False), path, "the file", 1)
        placed = []
        for section in file.sections:
            base = max(cleaned.find(section.content[:200]), 0)
            grammar = vensim_section.vu.Grammar.get("section_elements")
            first = line_at(base)
            tree = _quietly(lambda: grammar.parse(section.content), path, "the equations", first)
            visitor = _quietly(lambda: Visitor(tree), path, "the equations", first)
            rest = section.content[visitor.end :].strip()
            if visitor.dropped:
                start, text = visitor.dropped[0]
                raise ModelError(
                    "M104",
                    f"{path.name}, line {line_at(base + start)}: {text[:40]!r} has no second '~' "
                    "(equation ~ unit ~ comment |)",
                )
            if rest and "|" in rest:
                line = line_at(base + visitor.end + 1)
                raise ModelError(
                    "M104", f"{path.name}, line {line}: cannot be parsed near {rest[:40]!r}"
                )
            if rest:
                raise ModelError(
                    "M108", f"{path.name} ends inside the equation that begins {rest[:40]!r}"
                )
            parsed = []
            for element, place in zip(visitor.entries, visitor.places, strict=True):
                line = line_at(base + place)
                label = re.split(r"[=(\[:]", element.equation, maxsplit=1)[0].strip()[:60]
                part = _quietly(element.parse, path, f"{label!r}", line)
                if hasattr(part, "parse"):
                    _quietly(part.parse, path, f"{part.name!r}", line)
                parsed.append((part, line))
            kinds = {"SubscriptRange": [], "Constraint": [], "TestInput": []}
            components = []
            for part, line in parsed:
                kinds.get(type(part).__name__, components).append(part)
                placed.append((section, part, line))
            section.subscripts = kinds["SubscriptRange"]
            section.components = components
            section.constraints, section.test_inputs = kinds["Constraint"], kinds["TestInput"]
        return file, placed

    def elements(self) -> list[_Element]:
        file, placed = self.abstract()
        for section, part, line in placed:
            if section.type == "macro":
                raise ModelError("M109", f"{self.path.name}, line {line}: macro {section.name!r}")
            if type(part).__name__ == "SubscriptRange":
                raise ModelError("M109", f"{self.path.name}, line {line}: subscript {part.name!r}")
        seen: dict[str, tuple[str, int]] = {}
        elements = []
        for _, part, line in placed:
            if type(part).__name__ in ("Constraint", "TestInput"):
                continue
            if part.subscripts and part.subscripts[0]:
                raise ModelError(
                    "M109", f"{self.path.name}, line {line}: {part.name!r} has subscripts"
                )
            if key(part.name) in seen:
                other, first = seen[key(part.name)]
                raise ModelError(
                    "M107",
                    f"{self.path.name}: {part.name!r} (line {line}) is defined already "
                    f"as {other!r} (line {first})",
                )
            seen[key(part.name)] = (part.name, line)
            elements.append(
                _Element(
                    part.name,
                    part.units or "",
                    part.limits or (None, None),
                    part.documentation or "",
                    line,
                    part.get_abstract_component(),
                )
            )
        missing = [name for k, name in CONTROLS.items() if k not in seen]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        return elements


class _Xmile:
    """An XMILE file taken apart by PySD's translator, element by element."""

    def __init__(self, path: Path, text: str):
        from xml.etree import ElementTree

        self.path, self.text = path, text
        if re.search(r"<!(DOCTYPE|ENTITY)", text, re.I):
            raise ModelError("M117", f"{path.name} declares a document type, which is not read")
        try:
            ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
        except ElementTree.ParseError as error:
            line = error.position[0]
            if line >= text.rstrip().count("\n") + 1:
                raise ModelError("M108", f"{path.name} ends at line {line} before its end") from None
            raise ModelError("M117", f"{path.name}, line {line}: {error}") from None
        except RecursionError:
            raise ModelError("M110", f"{path.name} is nested too deeply") from None

    def method(self) -> str:
        found = re.search(r"<sim_specs[^>]*\bmethod\s*=\s*[\"']([^\"']*)[\"']", self.text)
        method = _XMILE_METHODS.get(found[1].strip().lower() if found else "euler")
        if method is None:
            raise ModelError("M115", f"{self.path.name}: integration method {found[1]!r}")
        return method

    def abstract(self):
        _, _, xmile_file = _pysd()
        path, text = self.path, self.text

        class File(xmile_file.XmileFile):
            def _get_root(self):
                etree = xmile_file.etree
                parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=False)
                body = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
                return etree.fromstring(body.encode(), parser=parser)

        file = _quietly(lambda: File(path), path, "the file", 1)
        _quietly(lambda: file.parse(parse_all=False), path, "the model", 1)
        section = file.sections[0]
        # What PySD reads in one sweep is read here element by element, so that an error
        # can name its element.
        _quietly(lambda: section.parse(parse_all=False), path, "the model", 1)
        for component in section.components:
            name = getattr(component, "name", "the time settings")
            line = getattr(getattr(component, "node", None), "sourceline", None) or 0
            _quietly(lambda: component.parse(section.behaviors), path, f"{name!r}", line)
        return file, section

    def elements(self) -> list[_Element]:
        found = re.search(r"<(module|macro)\b", self.text)
        if found:
            raise ModelError("M109", f"{self.path.name} holds a <{found[1]}>")
        _, section = self.abstract()
        if section.subscripts:
            name = section.subscripts[0].name
            raise ModelError("M109", f"{self.path.name}: subscript {name!r}")
        seen: dict[str, str] = {}
        elements = []
        for component in section.components:
            element = component.get_abstract_element()
            line = getattr(getattr(component, "node", None), "sourceline", None) or 0
            if key(element.name) in seen:
                raise ModelError(
                    "M107",
                    f"{self.path.name}: {element.name!r} (line {line}) is defined already "
                    f"as {seen[key(element.name)]!r}",
                )
            seen[key(element.name)] = element.name
            if len(element.components) != 1 or element.components[0].subscripts[0]:
                raise ModelError("M109", f"{self.path.name}: {element.name!r} has subscripts")
            elements.append(
                _Element(
                    element.name,
                    element.units or "",
                    element.limits or (None, None),
                    element.documentation or "",
                    line,
                    element.components[0],
                )
            )
        missing = [name for k, name in CONTROLS.items() if k not in seen]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        return elements


# -- from PySD's abstract structures to expressions ------------------------------------


def _variables(path: Path, elements: list[_Element]) -> dict[str, Variable]:
    names = {key(element.name): element for element in elements}
    lookups = {k for k, e in names.items() if type(e.abstract).__name__ == "AbstractLookup"}
    variables = {}
    for element in elements:
        where = f"{path.name}, line {element.line}, {element.name!r}"
        translate = _Translator(path, where, lookups)
        expression = translate(element.abstract.ast)
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
        )
    return variables


class _Translator:
    """Turns one expression of PySD's abstract model into nested tuples."""

    def __init__(self, path: Path, where: str, lookups: set[str]):
        self.path, self.where, self.lookups = path, where, lookups

    def refuse(self, what: str):
        raise ModelError("M109", f"{self.where}: {what}")

    def __call__(self, node) -> tuple:
        kind = type(node).__name__
        method = getattr(self, f"_{kind}", None)
        if method:
            return method(node)
        if isinstance(node, (int, float)) or kind in ("float64", "int64"):
            if math.isinf(node):
                raise ModelError("M111", f"{self.where}: a number too large to hold")
            return ("number", float(node))
        if kind == "ndarray" and node.ndim == 0:
            return ("number", float(node))
        return self.refuse("an array" if kind == "ndarray" else kind.removesuffix("Structure"))

    def _ReferenceStructure(self, node):
        if node.subscripts:
            self.refuse(f"{node.reference!r} with subscripts")
        return ("name", key(node.reference))

    def _ArithmeticStructure(self, node):
        if node.operators == ["negative"]:
            inner = self(node.arguments[0])
            return ("number", -inner[1]) if inner[0] == "number" else ("negative", inner)
        parts = [self(argument) for argument in node.arguments]
        if node.operators[0] == "^":  # binds to the right, as PySD's own run does
            result = parts[-1]
            for part in reversed(parts[:-1]):
                result = ("arithmetic", "^", part, result)
            return result
        result = parts[0]
        for operator, part in zip(node.operators, parts[1:], strict=True):
            result = ("arithmetic", operator, result, part)
        return result

    def _LogicStructure(self, node):
        operators = [operator.strip(":").lower() for operator in node.operators]
        parts = [self(argument) for argument in node.arguments]
        if operators == ["not"]:
            return ("not", parts[0])
        result = parts[0]
        for operator, part in zip(operators, parts[1:], strict=True):
            if operator in ("and", "or"):
                result = (operator, result, part)
            else:
                result = ("compare", operator, result, part)
        return result

    def _CallStructure(self, node):
        name = key(node.function.reference)
        arguments = tuple(self(argument) for argument in node.arguments)
        if name in self.lookups:
            if len(arguments) != 1:
                raise ModelError("M114", f"{self.where}: the table {name!r} takes one argument")
            return ("lookup", name, arguments[0])
        return ("call", name, arguments)

    def _GameStructure(self, node):
        return self(node.expression)

    def _points(self, node):
        x = tuple(float(value) for value in node.x)
        y = tuple(float(value) for value in node.y)
        if len(x) != len(y) or len(x) < 2 or len(set(x)) != len(x):
            raise ModelError("M112", f"{self.where}: {len(x)} x and {len(y)} y values")
        if not all(map(math.isfinite, x + y)):
            raise ModelError("M112", f"{self.where}: a point is not a finite number")
        return (x, y, node.type)

    def _LookupsStructure(self, node):
        return ("points", self._points(node))

    def _InlineLookupsStructure(self, node):
        return ("table", self._points(node.lookups), self(node.argument))

    def _state(self, kind, node, *names):
        return ("state", kind, tuple(self(getattr(node, name)) for name in names))

    def _IntegStructure(self, node):
        kind = "stock" if not node.non_negative else "non-negative stock"
        return self._state(kind, node, "flow", "initial")

    def _DelayStructure(self, node):
        return self._state("delay", node, "input", "delay_time", "initial", "order")

    def _DelayNStructure(self, node):
        return self._state("delay n", node, "input", "delay_time", "initial", "order")

    def _DelayFixedStructure(self, node):
        return self._state("delay fixed", node, "input", "delay_time", "initial")

    def _SmoothStructure(self, node):
        return self._state("smooth", node, "input", "smooth_time", "initial", "order")

    _SmoothNStructure = _SmoothStructure

    def _TrendStructure(self, node):
        return self._state("trend", node, "input", "average_time", "initial_trend")

    def _SampleIfTrueStructure(self, node):
        return self._state("sample if true", node, "condition", "input", "initial")

    def _InitialStructure(self, node):
        return self._state("initial", node, "initial")


def walk(expression: tuple):
    """Every expression inside `expression`, itself first."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        for part in node[1:]:
            if isinstance(part, tuple) and part and isinstance(part[0], str):
                stack.append(part)
            elif isinstance(part, tuple) and part and isinstance(part[0], tuple):
                stack.extend(p for p in part if p and isinstance(p[0], str))


def _has_missing(expression: tuple) -> bool:
    return any(node[0] == "number" and math.isnan(node[1]) for node in walk(expression))


def _resolve(path: Path, variables: dict[str, Variable]) -> None:
    """Refuse names that nothing defines, and tables used as numbers (M105)."""
    known = {key(name): variable for name, variable in variables.items()}
    for variable in variables.values():
        for node in walk(variable.expression):
            if node[0] != "name" or node[1] in ("time", "dt", "starttime", "stoptime"):
                continue
            where = f"{path.name}, line {variable.line}, {variable.name!r}"
            if node[1] not in known:
                raise ModelError("M105", f"{where} uses {node[1]!r}, which is not defined")
            if known[node[1]].kind == "lookup":
                raise ModelError("M105", f"{where} uses the table {node[1]!r} without an argument")


# -- PySD's own run --------------------------------------------------------------------


def run_with_pysd(model: Model, values: dict[str, float]):
    """Run a model through PySD by Euler.

    Returns a pandas.DataFrame (rows: saved times; columns: PySD's names) and a mapping
    from labels to those columns. Comments and units never reach PySD's builder.
    """
    import pysd
    from pysd.builders.python.python_model_builder import ModelBuilder

    vensim = model.path.suffix.lower() in VENSIM
    reader = (_Vensim if vensim else _Xmile)(model.path, model.text)
    file, _ = reader.abstract()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = Path(folder) / "model.py"
        abstract = file.get_abstract_model()
        abstract.original_path = target
        for section in abstract.sections:
            if section.type == "main":
                section.path = target
            elif not re.fullmatch(r"\w+", section.name):
                raise ModelError("M116", f"the macro {section.name!r} has a name that PySD cannot run")
            else:
                section.path = Path(folder) / f"{section.name}.py"
            for element in section.elements:
                element.documentation = element.units = ""
                _refuse_strings(element)
        try:
            runnable = pysd.load(str(ModelBuilder(abstract).build_model()))
            columns = {row["Real Name"]: row["Py Name"] for _, row in runnable.doc.iterrows()}
            unknown = [name for name in values if name not in columns]
            if unknown:
                raise SimulationError("S203", f"PySD has no variable {unknown[0]!r}")
            frame = runnable.run(params={columns[name]: value for name, value in values.items()})
        except Error:
            raise
        except Exception as error:  # PySD raises anything; the user gets one sentence
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError("M116", f"{model.path.name}: {text[:200]}") from None
    return frame, {label: label for label in columns if label in frame.columns}


def _refuse_strings(element) -> None:
    """PySD's builder pastes file and cell names into source: refuse what could end one."""
    for component in element.components:
        for part in vars(component.ast).values() if hasattr(component.ast, "__dict__") else ():
            if isinstance(part, str) and re.search(r"[\"'\\\n]", part):
                raise ModelError("M116", f"{element.name!r}: a file or cell name with a quote in it")
