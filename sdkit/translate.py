"""The only module that knows PySD: its translators, made safe, and its own run.

Nothing of a model file is ever executed. PySD's translators call `eval` on parts of the
text, which is replaced here by a reader of literals; PySD's builder copies comments into
Python source, which is why they are blanked before a model is run through PySD itself.
"""

from __future__ import annotations

import bisect
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Error, ModelError, SimulationError
from .expressions import CONTROLS, key
from .literals import check_table, limits, literal, refuse_power, right_side, xmile_text

VENSIM = {".mdl"}
XMILE = {".xmile", ".xml", ".stmx", ".itmx"}
# The fourth number of Vensim's settings line 15, and XMILE's names.
_VENSIM_METHODS = {"0": "euler", "1": "rk4", "2": "euler", "5": "rk4"}
_XMILE_METHODS = {"euler": "euler", "rk4": "rk4"}
_END_OF_EQUATIONS = "\\\\\\---///"
_END_OF_SKETCH = "///---\\\\\\"


def _pysd():
    """PySD's translators with `eval` closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pysd.translators.vensim import vensim_element, vensim_file, vensim_section
        from pysd.translators.xmile import xmile_element, xmile_file
    vensim_element.eval = literal
    xmile_element.eval = literal
    return vensim_file, vensim_section, xmile_file


@dataclass
class Element:
    name: str
    unit: str
    limits: tuple
    documentation: str
    line: int
    abstract: Any
    text: str = ""


def _quietly(path: Path, what: str, line: int, action, *arguments):
    """Run a step of PySD's parser; any failure becomes a ModelError that says where."""
    import parsimonious

    where = f"{path.name}, line {line}, {what}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action(*arguments)
    except Error as error:
        raise type(error)(error.code, f"{where}: {error.message}") from None
    except RecursionError:
        raise ModelError("M110", f"{where}: nested too deeply") from None
    except parsimonious.exceptions.VisitationError as error:
        if "RecursionError" in str(error.args[0])[:200]:
            raise ModelError("M110", f"{where}: nested too deeply") from None
        if "IndexError: too many indices" in str(error):
            raise ModelError("M112", f"{where}: a table of one point") from None
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


class Vensim:
    """A Vensim file taken apart with PySD's own grammar, entry by entry."""

    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text
        equations, mark, rest = text.partition(_END_OF_EQUATIONS)
        if mark and _END_OF_SKETCH not in rest:
            raise ModelError("M108", f"{path.name} ends inside its sketch")
        self.has_sketch = bool(mark)
        self.equations = equations
        self.settings = rest.partition(_END_OF_SKETCH)[2]

    def method(self) -> str:
        found = re.search(r"^15:\s*([^\n]*)$", self.settings, re.M)
        if not found:
            if re.search(r"^:L", self.settings, re.M) and not self.text.endswith("\n"):
                raise ModelError("M108", f"{self.path.name} ends inside its settings")
            # Equations alone are a whole model to PySD, and how small models are written by
            # hand; but a file that lost its end would lose its method with it, so say so.
            warnings.warn(
                f"{self.path.name} has no settings (line 15); it is integrated by Euler",
                stacklevel=3,
            )
            return "euler"
        numbers = [part.strip() for part in found[1].split(",")]
        if len(numbers) < 6:
            raise ModelError("M108", f"{self.path.name} ends inside its settings line 15")
        # isdigit is true of a superscript too, which int refuses, as it does 5,000 digits.
        method = _VENSIM_METHODS.get(numbers[3].lstrip("0") or numbers[3][:1])
        if method is None:
            raise ModelError("M115", f"{self.path.name}: integration type {numbers[3][:40]!r}")
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
                self.places, self.end, self.dropped, self.bounds = [], 0, [], []
                super().__init__(tree)

            def visit_entry(self, node, children):
                text = node.text
                self.places.append(node.start + len(text) - len(text.lstrip()))
                self.end = max(self.end, node.end)
                try:
                    return super().visit_entry(node, children)
                except ValueError:
                    self.bounds.append((self.places[-1], children[2].strip()))
                    return ""

            def visit_section(self, node, children):
                text = node.text.strip()
                self.end = max(self.end, node.end)
                if not text.startswith("*"):
                    start = node.start + len(node.text) - len(node.text.lstrip())
                    self.dropped.append((start, text))
                return ""

        file = File()
        _quietly(path, "the file", 1, file.parse, False)
        placed = []
        for section in file.sections:
            base = max(cleaned.find(section.content[:200]), 0)
            grammar = vensim_section.vu.Grammar.get("section_elements")
            first = line_at(base)
            tree = _quietly(path, "the equations", first, grammar.parse, section.content)
            visitor = _quietly(path, "the equations", first, Visitor, tree)
            rest = section.content[visitor.end :].strip()
            if visitor.dropped:
                start, text = visitor.dropped[0]
                raise ModelError(
                    "M104",
                    f"{path.name}, line {line_at(base + start)}: {text[:40]!r} has no second '~' "
                    "(equation ~ unit ~ comment |)",
                )
            if visitor.bounds:
                start, unit = visitor.bounds[0]
                raise ModelError(
                    "M111",
                    f"{path.name}, line {line_at(base + start)}: the bounds in {unit[-60:]!r}",
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
                refuse_power(element.equation, f"{path.name}, line {line}, {label!r}")
                part = _quietly(path, f"{label!r}", line, element.parse)
                if hasattr(part, "parse"):
                    _quietly(path, f"{part.name!r}", line, part.parse)
                parsed.append((part, line))
            kinds = {"SubscriptRange": [], "Constraint": [], "TestInput": []}
            components = []
            for (part, line), element in zip(parsed, visitor.entries, strict=True):
                kinds.get(type(part).__name__, components).append(part)
                placed.append((section, part, line, right_side(element.equation)))
            section.subscripts = kinds["SubscriptRange"]
            section.components = components
            section.constraints, section.test_inputs = kinds["Constraint"], kinds["TestInput"]
        return file, placed

    def elements(self) -> list[Element]:
        _, placed = self.abstract()
        for section, part, line, _ in placed:
            if section.type == "macro":
                raise ModelError("M109", f"{self.path.name}, line {line}: macro {section.name!r}")
            if type(part).__name__ == "SubscriptRange":
                raise ModelError("M109", f"{self.path.name}, line {line}: subscript {part.name!r}")
        seen: dict[str, tuple[str, int]] = {"time": ("Time", 0)}
        elements = []
        for _, part, line, text in placed:
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
                Element(
                    part.name,
                    part.units or "",
                    limits(part.limits),
                    part.documentation or "",
                    line,
                    part.get_abstract_component(),
                    text,
                )
            )
        missing = [name for k, name in CONTROLS.items() if k not in seen]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        whole = key(elements[-1].name) in CONTROLS and len(elements) > len(CONTROLS)
        if not self.has_sketch and not whole:
            # Cut at a |, the file would be whole to PySD. Without a sketch to end the
            # equations, the time settings have to: Vensim writes them last.
            raise ModelError(
                "M108",
                f"{self.path.name} ends with {elements[-1].name!r}, neither with a sketch nor with "
                "its time settings",
            )
        return elements


class Xmile:
    """An XMILE file taken apart by PySD's translator, element by element."""

    def __init__(self, path: Path, text: str):
        from xml.etree import ElementTree

        self.path, self.text = path, text
        if re.search(r"<!(DOCTYPE|ENTITY)", text, re.I):
            raise ModelError("M117", f"{path.name} declares a document type, which is not read")
        try:
            root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
        except ElementTree.ParseError as error:
            line = error.position[0]
            if line >= text.rstrip().count("\n") + 1:
                raise ModelError(
                    "M108", f"{path.name} ends at line {line} before its end"
                ) from None
            raise ModelError("M117", f"{path.name}, line {line}: {error}") from None
        except RecursionError:
            raise ModelError("M110", f"{path.name} is nested too deeply") from None
        if root.find("{*}sim_specs") is None or root.find("{*}model/{*}variables") is None:
            raise ModelError("M117", f"{path.name} holds no <sim_specs> or no <variables>")

    def method(self) -> str:
        found = re.search(r"<sim_specs[^>]*\bmethod\s*=\s*[\"']([^\"']*)[\"']", self.text)
        method = _XMILE_METHODS.get(found[1].strip().lower() if found else "euler")
        if method is None:
            raise ModelError("M115", f"{self.path.name}: integration method {found[1]!r}")
        return method

    def abstract(self):
        _, _, xmile_file = _pysd()
        path, text = self.path, self.text

        etree = xmile_file.etree
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=False)
        body = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
        try:
            root = etree.fromstring(body.encode(), parser=parser)
        except etree.XMLSyntaxError as error:  # stricter than ElementTree: names, URIs, depth
            what = " ".join(str(error.msg).split())[:160]
            code = "M110" if "depth" in what else "M117"
            raise ModelError(code, f"{path.name}, line {error.position[0]}: {what}") from None

        class File(xmile_file.XmileFile):
            def _get_root(self):
                return root

        file = _quietly(path, "the file", 1, File, path)
        _quietly(path, "the model", 1, file.parse, False)
        section = file.sections[0]
        # What PySD reads in one sweep is read here element by element, so that an error
        # can name its element.
        _quietly(path, "the model", 1, section.parse, False)
        for component in section.components:
            name = getattr(component, "name", "the time settings")
            line = getattr(getattr(component, "node", None), "sourceline", None) or 0
            if line:
                text = " ".join(component.node.itertext())
                where = f"{path.name}, line {line}, {name!r}"
                refuse_power(text, where)
                equations = list(component.node.iter("{*}eqn"))
                if not component.node.tag.endswith("gf") and not any(e.text for e in equations):
                    raise ModelError("M104", f"{where} has no equation")
                for table in component.node.iter("{*}gf"):
                    check_table(table, where)
            _quietly(path, f"{name!r}", line, component.parse, section.behaviors)
        return file, section

    def elements(self) -> list[Element]:
        # PySD reads a conveyor, a queue or an oven as a plain stock.
        found = re.search(r"<(module|macro|conveyor|queue|oven)\b", self.text)
        if found:
            raise ModelError("M109", f"{self.path.name} holds a <{found[1]}>")
        _, section = self.abstract()
        if section.subscripts:
            name = section.subscripts[0].name
            raise ModelError("M109", f"{self.path.name}: subscript {name!r}")
        seen: dict[str, str] = {"time": "Time"}
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
                Element(
                    element.name,
                    element.units or "",
                    limits(element.limits),
                    element.documentation or "",
                    line,
                    element.components[0],
                    xmile_text(getattr(component, "node", None)),
                )
            )
        missing = [name for k, name in CONTROLS.items() if k not in seen]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        return elements


# -- PySD's own run --------------------------------------------------------------------


def run_with_pysd(path: Path, text: str, values: dict[str, float]):
    """Run a model through PySD by Euler.

    Returns a pandas.DataFrame (rows: saved times; columns: PySD's names) and a mapping
    from labels to those columns. Comments and units never reach PySD's builder.
    """
    import pysd
    from pysd.builders.python.python_model_builder import ModelBuilder

    vensim = path.suffix.lower() in VENSIM
    reader = (Vensim if vensim else Xmile)(path, text)
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
                raise ModelError(
                    "M116", f"the macro {section.name!r} has a name that PySD cannot run"
                )
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
            raise ModelError("M116", f"{path.name}: {text[:200]}") from None
    return frame, {label: label for label in columns if label in frame.columns}


def _refuse_strings(element) -> None:
    """PySD's builder pastes file and cell names into source: refuse what could end one."""
    for component in element.components:
        for part in vars(component.ast).values() if hasattr(component.ast, "__dict__") else ():
            if isinstance(part, str) and re.search(r"[\"'\\\n]", part):
                raise ModelError(
                    "M116", f"{element.name!r}: a file or cell name with a quote in it"
                )
