"""An XMILE file taken apart by PySD's translator, element by element."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import partial
from pathlib import Path

from .errors import ModelError
from .expressions import CONTROLS, key
from .limits import bounded, short_numbers
from .literals import check_table, limits, refuse_power, xmile_text
from .mend import declared, mend_xmile
from .translate import Definition, Element, Range, Section, quietly, xmile_module

_DIMENSIONS = "{*}dimensions/{*}dim"
_METHODS = {"euler": "euler", "rk4": "rk4"}


class Xmile:
    """An XMILE file taken apart by PySD's translator, element by element."""

    def __init__(self, path: Path, text: str):
        from xml.etree import ElementTree

        self.path = path
        bounded("tags", text.count("<"), path.name)
        short_numbers(text, path.name)
        text = declared(text)
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
        total = 0
        for node in root.iterfind("{*}model/{*}variables/*"):
            length = sum(map(len, node.itertext()))
            bounded("equation", length, f"{path.name}, {node.get('name', '')[:60]!r}")
            total += length
            bounded("equations", total, path.name)
        dimensions = {
            key(node.get("name", "")): [dim.get("name", "") for dim in node.iterfind(_DIMENSIONS)]
            for node in root.iterfind("{*}model/{*}variables/*")
        }
        self.text = mend_xmile(text, dimensions)
        self.folders: tuple[Path, ...] = ()
        self.files: set[str] = set()

    def method(self) -> str:
        found = re.search(r"<sim_specs[^>]*\bmethod\s*=\s*[\"']([^\"']*)[\"']", self.text)
        method = _METHODS.get(found[1].strip().lower() if found else "euler")
        return method or f"integration method {found[1]!r}"

    def abstract(self):
        """PySD's file object, its section of the model parsed."""
        xmile_file = xmile_module()
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

        file = quietly(path, "the file", 1, File, path)
        quietly(path, "the model", 1, file.parse, False)
        section = file.sections[0]
        self._parse(section)
        return file, section

    def _parse(self, section) -> None:
        """What PySD reads in one sweep, element by element, so that an error can name its own."""
        path = self.path
        quietly(path, "the model", 1, section.parse, False)
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
            parse = component.parse
            if line and component.node.tag.endswith("}stock"):
                parse = partial(_parse_stock, component)
            quietly(path, f"{name!r}", line, parse, section.behaviors)

    def sections(self) -> list[Section]:
        """The model, then its macros; its modules are refused."""
        # PySD reads a conveyor, a queue or an oven as a plain stock.
        found = re.search(r"<(module|conveyor|queue|oven)\b", self.text)
        if found:
            raise ModelError("M109", f"{self.path.name} holds a <{found[1]}>")
        file, parsed = self.abstract()
        section = Section("")
        sizes = {dim.get("name"): dim.get("size", "") for dim in
                 file.xmile_root.iterfind("{*}dimensions/{*}dim")}  # fmt: skip
        section.ranges = [
            Range(r.name, list(r.definition) or self._numbered(r.name, sizes[r.name]), [])
            for r in parsed.subscripts
        ]
        section.elements, seen = self._elements(parsed, {"time": "Time"})
        missing = [name for k, name in CONTROLS.items() if k not in seen]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        macros = file.xmile_root.findall("{*}macro")
        return [section, *(self._macro(parsed, node) for node in macros)]

    def _numbered(self, name: str, size: str) -> list[str]:
        """The elements of a dimension that has a size alone."""
        count = int(size) if re.fullmatch(r"[0-9]{1,1000}", size) else 0
        bounded("range", count, f"{self.path.name}, {name!r}")
        return [str(i) for i in range(1, count + 1)]

    def _elements(self, section, seen: dict[str, str]) -> tuple[list[Element], dict[str, str]]:
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
            text = xmile_text(getattr(component, "node", None))
            kind = {"AbstractLookup": "lookup"}
            definitions = [
                Definition(
                    tuple(name.strip() for name in part.subscripts[0]), (), part.ast, line, text,
                    kind.get(type(part).__name__, ""),
                )
                for part in element.components
            ]  # fmt: skip
            elements.append(
                Element(
                    element.name, element.units or "", limits(element.limits),
                    element.documentation or "", definitions,
                )
            )  # fmt: skip
        return elements, seen

    def _macro(self, model, node) -> Section:
        """A macro, its variables read as those of a model are."""
        space = node.tag.removesuffix("macro")
        name = node.get("name", "")
        parameters = [(part.text or "").strip() for part in node.iterfind("{*}parm")]
        content = node.makeelement(f"{space}xmile")
        variables = content.makeelement(f"{space}variables")
        for variable in node.iterfind("{*}variables/*"):
            if key(variable.get("name", "")) not in map(key, parameters):
                variables.append(deepcopy(variable))
        equation = " ".join((node.findtext("{*}eqn") or "").split())
        if key(equation) != key(name):  # else one of its variables is its result
            result = variables.makeelement(f"{space}aux", name=name)
            result.append(result.makeelement(f"{space}eqn"))
            result[0].text = equation
            variables.append(result)
        holder = content.makeelement(f"{space}model")
        holder.append(variables)
        content.append(holder)
        section = type(model)(
            key(name), self.path, "macro", parameters, [], content, model.ns["ns"], False, None
        )
        self._parse(section)
        return Section(key(name), parameters, [], [], self._elements(section, {})[0])


def _parse_stock(stock, behaviors) -> None:
    """A stock as PySD reads it, also where each of its elements has a start of its own, for which
    PySD looks in vain."""
    elements = stock.node.findall("{*}element")
    if not elements:
        stock.parse(behaviors)
        return
    whole = stock.node
    for element in elements:
        stock.node = deepcopy(whole)
        for part in stock.node.findall("{*}element"):
            stock.node.remove(part)
        stock.node.append(deepcopy(element.find("{*}eqn")))
        subscripts = [name.strip() for name in element.get("subscript", "").split(",")]
        equation = stock._parse_component(stock.node, behaviors)[0]
        stock.components.append(((subscripts, []), equation))
    stock.node = whole
