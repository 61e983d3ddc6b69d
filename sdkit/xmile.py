"""An XMILE file, read element by element; PySD sees it only where it runs a model itself.

Tags are compared by their local names: the namespace is OASIS's, or that of a draft, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

from .errors import Error, ModelError
from .expressions import CONTROLS, key
from .literals import limits
from .mend import declared, mend_xmile
from .translate import Definition, Element, Range, Section, quietly, xmile_module
from .xmile_expressions import Scope, parse, without_comments
from .xmile_functions import ZERO, add, call, state, subtract
from .xmile_limits import Stock, limited, read_now
from .xmile_limits import limits as flow_limits

_METHODS = {"euler": "euler", "rk4": "rk4", "rk2": "rk4"}  # RK2 falls back to RK4 (3.4.1)
_MODES = {"continuous": "interpolate", "extrapolate": "extrapolate", "discrete": "hold_backward"}
_VARIABLES = ("stock", "flow", "aux", "gf")
# What says nothing of a variable's value.
_SILENT = {
    "units", "doc", "documentation", "range", "scale", "format", "event_poster", "mathml",
    "dimensions", "label", "shape", "delay_aux", "summing", "dependencies",
}  # fmt: skip
_READ = {
    "stock": {"eqn", "inflow", "outflow", "non_negative", "element"},
    "flow": {"eqn", "init_eqn", "gf", "non_negative", "element"},
    "aux": {"eqn", "init_eqn", "gf", "element"},
    "gf": {"xscale", "yscale", "xpts", "ypts", "element", "gf"},
}
_MISSING = {"conveyor", "queue", "oven", "module"}  # tools have them; they are not compiled
_DEEPEST = 200
_ORDER = {"aux": 0, "flow": 1, "gf": 2, "stock": 3}


class Xmile:
    """An XMILE file taken apart."""

    def __init__(self, path: Path, text: str):
        self.path, self.text = path, declared(text)
        self.files: set[str] = set()
        if re.search(r"<!(DOCTYPE|ENTITY)", text, re.I):
            raise ModelError("M117", f"{path.name} declares a document type, which is not read")
        self.lines: dict[Node, int] = {}
        self.root = self._tree(re.sub(r"^\s*<\?xml[^>]*\?>", "", self.text))

    def _tree(self, text: str) -> Node:
        """The tree of the file; `lines` says where each of its elements begins."""
        builder, parser, depth = TreeBuilder(), expat.ParserCreate(namespace_separator="}"), 0
        parser.buffer_text = True

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > _DEEPEST:
                raise ModelError("M110", f"{self.path.name} is nested too deeply")
            named = {name.rpartition("}")[2]: value for name, value in attributes.items()}
            node = builder.start(tag.rpartition("}")[2], named)
            self.lines[node] = parser.CurrentLineNumber

        def end(tag: str) -> None:
            nonlocal depth
            depth -= 1
            builder.end(tag.rpartition("}")[2])

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler = builder.data
        try:
            parser.Parse(text, True)
            return builder.close()
        except expat.ExpatError as error:
            if error.lineno >= text.rstrip().count("\n") + 1:
                raise ModelError(
                    "M108", f"{self.path.name} ends at line {error.lineno} before its end"
                ) from None
            what = expat.ErrorString(error.code)
            raise ModelError(
                "M117", f"{self.path.name}, line {error.lineno}: {what}, column {error.offset}"
            ) from None

    # -- the parts of a file ------------------------------------------------------------

    def _where(self, node: Node, name: str = "") -> str:
        place = f"{self.path.name}, line {self.lines.get(node, 0)}"
        return f"{place}, {name!r}" if name else place

    def refuse(self, node: Node, name: str = "", code: str = "M109") -> ModelError:
        """The error for an element that is not compiled, or not understood."""
        own = node.get("name", "")
        shown = f"<{node.tag}>" + (f" {own!r}" if own and own != name else "")
        return ModelError(code, f"{self._where(node, name)} holds a {shown}")

    @cached_property
    def model_node(self) -> Node:
        """The one model of the file."""
        models = [node for node in self.root if node.tag == "model"]
        held = [node for node in models if len(list(self._variables(node)))]
        if len(held) > 1:
            raise self.refuse(held[1])
        specs = self.specs if models else None
        if not models or specs is None:
            raise ModelError("M117", f"{self.path.name} holds no <sim_specs> or no <model>")
        model = (held or models)[0]
        if not held and model.find("variables") is None:
            raise ModelError("M117", f"{self.path.name} holds no <variables>")
        for name in ("resource", "encryption-scheme"):
            if model.get(name):
                raise ModelError("M109", f"{self._where(model)}: a <model> with {name!r}")
        return model

    @cached_property
    def specs(self) -> Node | None:
        """The simulation settings: those of the model hold before those of the file."""
        found = [node.find("sim_specs") for node in self.root if node.tag == "model"]
        return next((f for f in [*found, self.root.find("sim_specs")] if f is not None), None)

    def _places(self, model: Node) -> list[Node]:
        """What stands where variables do: in <variables>, in groups, in a draft in <model>."""
        found, todo = [], [model]
        while todo:
            for node in todo.pop():
                if node.tag in ("variables", "group"):
                    todo.append(node)
                elif node.tag != "views":
                    found.append(node)
        return found

    def _variables(self, model: Node) -> Iterator[Node]:
        for node in self._places(model):
            if node.tag in _MISSING:
                raise self.refuse(node)
            # Drafts list what a view shows beside the variables; that has a place and no equation.
            if node.tag in _VARIABLES and (node.get("name") and not _only_shown(node)):
                yield node
            elif node.tag in _VARIABLES and not node.get("name"):
                raise ModelError("M104", f"{self._where(node)}: a <{node.tag}> without a name")

    def method(self) -> str:
        wanted = (self.specs.get("method") if self.specs is not None else "") or "euler"
        known = [_METHODS.get(name.strip().lower()) for name in wanted.split(",")]
        return next((name for name in known if name), f"integration method {wanted!r}")

    # -- sections -------------------------------------------------------------------------

    def sections(self) -> list[Section]:
        """The model, then its macros."""
        model = self.model_node
        for node in self.root.iter("import"):
            if node.get("enabled", "true") != "false" and node.get("frequency") != "on_demand":
                raise self.refuse(node)
        ranges = [self._range(node) for node in self.root.iterfind("dimensions/dim")]
        dimensions = {key(r.name): [key(m) for m in r.members] for r in ranges}
        macros = self.root.findall("macro")
        names = frozenset(key(node.get("name", "")) for node in macros)
        section = Section("", ranges=ranges)
        part = _Part(self, list(self._variables(model)), dimensions, names)
        section.elements = part.elements({"time": "Time"}, self._controls(part))
        return [section, *(self._macro(node, names) for node in macros)]

    def _range(self, node: Node) -> Range:
        name = node.get("name", "")
        members = [elem.get("name", "") for elem in node.iterfind("elem")]
        if not members and re.fullmatch(r"[0-9]{1,6}", node.get("size", "")):
            members = [str(i) for i in range(1, int(node.get("size", "0")) + 1)]
        if not name or not members:
            raise ModelError("M120", f"{self._where(node)}: a <dim> without a name or elements")
        return Range(name, members, [], self.lines[node])

    def _controls(self, part: _Part) -> dict[str, Definition]:
        """INITIAL TIME, FINAL TIME, TIME STEP and SAVEPER from <sim_specs>."""
        specs, found = self.specs, {}
        for node in specs.iterfind("run"):
            if node.get("by", "all") != "all":
                raise self.refuse(node, code="M121")
        texts = {"initial_time": specs.findtext("start"), "final_time": specs.findtext("stop")}
        step = specs.find("dt")
        texts["time_step"] = "1" if step is None else step.text or ""
        if step is not None and step.get("reciprocal", "").strip().lower() == "true":
            texts["time_step"] = f"1/({texts['time_step']})"
        saved = specs.get("save_interval") or next(
            (specs.findtext(t) for t in ("save_interval", "save_step", "savestep")
             if specs.findtext(t)), ""
        )  # fmt: skip
        texts["saveper"] = saved if saved.strip() not in ("", "0", "0.0") else "time_step"
        for k, text in texts.items():
            if text is None:
                raise ModelError("M108", f"{self.path.name} has no {CONTROLS[k]}")
            where = self._where(specs, CONTROLS[k])
            if not text.strip():
                raise ModelError("M104", f"{where} has no equation")
            tree = parse(text, part.scope, where)
            # A setting of the file, such as those that Vensim writes among the variables.
            twin = part.controls.get(k)
            if twin is not None:
                own = parse(twin.findtext("eqn") or "0", part.scope, self._where(twin, CONTROLS[k]))
                if k == "saveper" and not saved.strip():
                    tree = own
                elif own not in (tree, ("name", k), ("name", "time_step")):
                    raise ModelError(
                        "M107", f"{self._where(twin)}: {CONTROLS[k]!r} is {_said(twin)}, and "
                        f"{text.strip()} in <sim_specs>"
                    )  # fmt: skip
            line = self.lines[specs]
            found[k] = Definition((), (), tree, line, " ".join(text.split()))
        return found

    def _macro(self, node: Node, macros: frozenset[str]) -> Section:
        """A macro, its variables read as those of a model are."""
        name = node.get("name", "")
        for found in node:
            if found.tag in ("sim_specs", "filter", "option_filter"):
                raise self.refuse(found, name, "M121")
        if node.get("filter") or node.get("applyto"):
            raise ModelError("M121", f"{self._where(node, name)}: a <macro> that is a filter")
        parameters = [(parm.text or "").strip() for parm in node.iterfind("parm")]
        given = set(map(key, parameters))
        own = [n for n in self._variables(node) if key(n.get("name", "")) not in given]
        equation = " ".join((node.findtext("eqn") or "").split())
        if key(equation) != key(name):  # else one of its variables is its result
            result = Node("aux", {"name": name})
            result.append(Node("eqn"))
            result[0].text = equation
            self.lines[result] = self.lines[node]
            own.append(result)
        part = _Part(self, own, {}, macros, given, key(name))
        return Section(key(name), parameters, [], [], part.elements({}, {}))

    # -- PySD's own run -------------------------------------------------------------------

    def abstract(self):
        """PySD's file object, for its own run of the model. Raises ModelError M116 or M117."""
        xmile_file = xmile_module()
        dimensions = {
            key(node.get("name", "")): [d.get("name", "") for d in node.iterfind("dimensions/dim")]
            for node in self.model_node.iterfind("variables/*")
        }
        etree = xmile_file.etree
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=False)
        body = re.sub(r"^\s*<\?xml[^>]*\?>", "", mend_xmile(self.text, dimensions))
        try:
            root = etree.fromstring(body.encode(), parser=parser)
        except etree.XMLSyntaxError as error:  # stricter than expat: names, URIs, depth
            what = " ".join(str(error.msg).split())[:160]
            raise ModelError(
                "M117", f"{self.path.name}, line {error.position[0]}: {what}"
            ) from None

        class File(xmile_file.XmileFile):
            def _get_root(self):
                return root

        try:
            file = quietly(self.path, "the file", 1, File, self.path)
            quietly(self.path, "the model", 1, file.parse, False)
            section = file.sections[0]
            quietly(self.path, "the model", 1, section.parse, False)
            for component in section.components:
                name = getattr(component, "name", "the time settings")
                line = getattr(getattr(component, "node", None), "sourceline", None) or 0
                quietly(self.path, f"{name!r}", line, component.parse, section.behaviors)
        except Error as error:
            if error.code in ("M110", "M117"):
                raise
            # The words of PySD's exceptions help nobody; the place does.
            place = error.message.split(": ")[0]
            raise ModelError("M116", f"{place}: PySD's translator cannot read this") from None
        return file, section


def _only_shown(node: Node) -> bool:
    """Whether a draft's element only says where a variable is drawn."""
    return node.get("x") is not None and not any(
        child.tag in ("eqn", "gf", "ypts", "inflow", "outflow", "element") for child in node
    )


def _said(node: Node, tag: str = "eqn") -> str:
    return " ".join(
        "".join((node.find(tag).itertext() if node.find(tag) is not None else [])).split()
    )


class _Part:
    """The variables of a model, or of a macro, and the elements that they become."""

    def __init__(
        self, file: Xmile, nodes: Sequence[Node], dimensions: Mapping[str, list[str]],
        macros: frozenset[str], given: set[str] = frozenset(), result: str = "",
    ):  # fmt: skip
        self.file, self.result = file, result
        self.controls = {
            key(node.get("name", "")): node for node in nodes
            if node.tag in ("aux", "flow") and key(node.get("name", "")) in CONTROLS
        }  # fmt: skip
        self.nodes = [node for node in nodes if node not in self.controls.values()]
        self.dimensions = dimensions
        self.labels = {}
        for node in file.root.iterfind("dimensions/dim"):
            self.labels[key(node.get("name", ""))] = node.get("name", "")
        arrays = {key(node.get("name", "")): self._dims(node) for node in self.nodes}
        lookups, tables = set(), {}
        for node in self.nodes:
            k = key(node.get("name", ""))
            if self._is_table(node):
                lookups.add(k)
            elif node.find("gf") is not None and not arrays[k] and _has_points(node.find("gf")):
                tables[k] = self._points(node.find("gf"), node.get("name", ""))
                if node.find("gf").get("name"):
                    tables[key(node.find("gf").get("name", ""))] = tables[k]
        self.scope = Scope(
            {k: [key(d) for d in dims] for k, dims in arrays.items() if dims}, dimensions,
            frozenset(lookups), tables, frozenset({*arrays, *given}), macros - {result},
            "isee" in (file.root.findtext("header/vendor") or "").lower(),
        )  # fmt: skip
        self.flags = _behavior(file)

    def _dims(self, node: Node) -> list[str]:
        return [d.get("name", "") for d in node.iterfind("dimensions/dim")]

    def _is_table(self, node: Node) -> bool:
        """Whether a variable is a graphical function alone, which is called with a number."""
        if node.tag == "gf":
            return True
        held = [*node.iterfind("element"), node]
        return (
            any(n.find("gf") is not None for n in held)
            and not any((n.findtext("eqn") or "").strip() for n in held)
        )  # fmt: skip

    # -- elements -------------------------------------------------------------------------

    def elements(self, seen: dict[str, str], controls: Mapping[str, Definition]) -> list[Element]:
        found: dict[str, Element] = {}
        kinds: dict[str, Node] = {}
        for node in sorted(self.nodes, key=lambda n: _ORDER[n.tag]):
            name = node.get("name", "").replace("\\n", " ")
            k = key(name)
            if k in seen or k in found:
                other = seen.get(k) or found[k].name
                raise ModelError(
                    "M107", f"{self.file.path.name}: {name!r} (line {self.file.lines[node]}) is "
                    f"defined already as {other!r}"
                )  # fmt: skip
            self._check(node, name)
            kinds[k] = node
            definitions = (
                self._stock(node, name) if node.tag == "stock" else self._value(node, name)
            )
            found[k] = Element(
                name, (node.findtext("units") or "").strip(), self._range(node, name),
                (node.findtext("doc") or "").strip(), definitions,
            )  # fmt: skip
        self._hold_flows(found, kinds)
        unit = self.file.specs.get("time_units", "") if controls else ""
        elements = list(found.values())
        for k, definition in controls.items():
            elements.append(Element(CONTROLS[k], unit, (None, None), "", [definition]))
        return elements

    def _check(self, node: Node, name: str) -> None:
        """Refuse what might say something of the value and is not understood."""
        for child in node:
            if child.tag in _MISSING:
                raise self.file.refuse(child, name)
            if child.tag not in _SILENT | _READ[node.tag]:
                raise self.file.refuse(child, name, "M121")
            if child.tag == "element":
                for inner in child:
                    if inner.tag in _MISSING:
                        raise self.file.refuse(inner, name)
                    if inner.tag not in _SILENT | {"eqn", "init_eqn", "gf", "non_negative"}:
                        raise self.file.refuse(inner, name, "M121")
                    if inner.tag == "init_eqn" and node.tag == "stock":
                        raise self.file.refuse(inner, name, "M121")

    def _range(self, node: Node, name: str) -> tuple:
        found = node.find("range" if node.tag != "gf" else "yscale")
        if found is None:
            return (None, None)
        try:
            ends = [float(found.get(end)) if found.get(end) else None for end in ("min", "max")]
        except ValueError:
            where = self.file._where(found, name)
            raise ModelError("M111", f"{where}: <{found.tag}> holds {found.attrib}") from None
        return limits(tuple(ends))

    def _tree(self, node: Node, name: str, dims: Sequence[str], owner: Node) -> tuple:
        """The expression of an <eqn> or its like."""
        text = "".join(node.itertext())
        where = self.file._where(owner, name)
        if not without_comments(text).strip():
            raise ModelError("M104", f"{where} has no equation")
        return parse(text, self.scope, where, key(name), [key(d) for d in dims])

    def _definition(self, node, subscripts, tree, text: str, kind: str = "") -> Definition:
        line = self.file.lines.get(node, 0)
        return Definition(tuple(subscripts), (), tree, line, " ".join(text.split()), kind)

    def _pieces(self, node: Node, name: str) -> Iterator[tuple[list[str], Node | None]]:
        """The subscripts that each equation of a variable is for, and its <element>."""
        dims = self._dims(node)
        elements = node.findall("element")
        whole = any((node.findtext(t) or "").strip() for t in ("eqn", "ypts"))
        if elements and not dims:
            raise ModelError(
                "M120", f"{self.file._where(node, name)} has elements and no <dimensions>"
            )
        if not elements or (whole and not self._every(dims, elements)):
            yield dims, None
        for element in elements:
            subscripts = [part.strip() for part in element.get("subscript", "").split(",")]
            if len(subscripts) != len(dims):
                raise ModelError(
                    "M120", f"{self.file._where(element, name)}: {len(subscripts)} subscripts for "
                    f"{len(dims)} dimensions"
                )  # fmt: skip
            yield [self._label(s, d) for s, d in zip(subscripts, dims, strict=True)], element

    def _label(self, subscript: str, dimension: str) -> str:
        """A label as the dimension spells it; numbers count its elements."""
        elements = self.dimensions.get(key(dimension), [])
        if key(subscript) not in elements and subscript.isdecimal():
            if 0 < int(subscript) <= len(elements):
                return elements[int(subscript) - 1]
        return subscript

    def _every(self, dims: Sequence[str], elements: Sequence[Node]) -> bool:
        count = 1
        for dimension in dims:
            count *= len(self.dimensions.get(key(dimension), ()))
        return len({key(e.get("subscript", "")) for e in elements}) == count

    def _value(self, node: Node, name: str) -> list[Definition]:
        """A flow, an auxiliary or a graphical function."""
        found, table = [], self._is_table(node)
        dims = self._dims(node)
        uniflow = node.tag == "flow" and self._flag(node, "flow")
        for subscripts, element in self._pieces(node, name):
            own = [n for n in (element, node) if n is not None]
            curve = node if node.tag == "gf" and element is None else self._first(own, "gf")
            owner = node if element is None or not len(dims) else element
            text = [_said(n) for n in own if n.find("eqn") is not None][:1]
            points = ()
            if curve is not None:
                curve = self._named_curve(curve, name)
                points = curve if isinstance(curve, tuple) else self._points(curve, name)
                text.append(_points_text(points))
            if table:
                if not points:
                    raise ModelError(
                        "M112", f"{self.file._where(owner, name)}: a table with no points"
                    )
                tree: tuple = ("points", points)
                found.append(self._definition(owner, subscripts, tree, " ".join(text), "lookup"))
                continue
            equation = self._first(own, "eqn")
            if equation is None:
                raise ModelError("M104", f"{self.file._where(owner, name)} has no equation")
            tree = self._tree(equation, name, dims, owner)
            start = self._first(own, "init_eqn")
            if start is not None and (start.text or "").strip():
                if points:
                    raise self.file.refuse(start, name, "M121")
                tree = call("active_initial", tree, self._tree(start, name, dims, owner))
                text.append(f"initially {_said(own[0], 'init_eqn') or _said(node, 'init_eqn')}")
            if points:
                tree = ("table", points, tree)
            if uniflow or (element is not None and self._set(element)):
                tree = call("max", tree, ZERO)
                text.append("(not below zero)")
            found.append(self._definition(owner, subscripts, tree, " ".join(text)))
        return found

    def _stock(self, node: Node, name: str) -> list[Definition]:
        dims = self._dims(node)
        flows: tuple | None = None
        for tag, join in (("inflow", add), ("outflow", subtract)):
            for flow in node.iterfind(tag):
                if not key(flow.text or ""):
                    raise ModelError("M104", f"{self.file._where(flow, name)}: an empty <{tag}>")
                one = ("name", key(flow.text or ""))
                first = one if tag == "inflow" else ("negative", one)
                flows = first if flows is None else join(flows, one)
        said = " + ".join(_texts(node, "inflow"))
        said += "".join(f" - {flow}" for flow in _texts(node, "outflow"))
        kind = "non-negative stock" if self._flag(node, "stock") else "stock"
        found = []
        for subscripts, element in self._pieces(node, name):
            own = [n for n in (element, node) if n is not None]
            owner = node if element is None else element
            equation = self._first(own, "eqn")
            if equation is None:
                raise ModelError("M104", f"{self.file._where(owner, name)} has no equation")
            start = self._tree(equation, name, dims, owner)
            # One list of numbers is the start of all elements; a stock's flow is an expression.
            tree = state(kind, flows or ZERO, start)
            text = f"INTEG({said.strip() or 0}, {' '.join((''.join(equation.itertext())).split())})"
            text += " (not below zero)" * (kind != "stock")
            found.append(self._definition(owner, subscripts, tree, text))
        return found

    def _first(self, nodes: Sequence[Node], tag: str) -> Node | None:
        """The first element of this tag that holds something."""
        for node in nodes:
            found = node.find(tag)
            if found is not None and (tag == "gf" or "".join(found.itertext()).strip()):
                return found
        return None

    # -- non-negative ---------------------------------------------------------------------

    def _flag(self, node: Node, kind: str) -> bool:
        own = self._set(node)
        return self.flags[kind] if own is None else own

    @staticmethod
    def _set(node: Node) -> bool | None:
        found = node.find("non_negative")
        return None if found is None else (found.text or "").strip().lower() not in ("false", "0")

    def _hold_flows(self, found: dict[str, Element], kinds: Mapping[str, Node]) -> None:
        """Limit the flows of stocks that may not fall below zero, in the flows themselves."""
        stocks, free = [], set()
        for k, node in kinds.items():
            if node.tag == "flow" and not self._flag(node, "flow"):
                free.add(k)
            if node.tag != "stock" or not self._flag(node, "stock"):
                continue
            own = [
                [key(f.text or "") for f in node.iterfind(tag) if key(f.text or "") in found]
                for tag in ("inflow", "outflow")
            ]
            stocks.append(Stock(k, *own))
        if not stocks:
            return
        reads = {
            k: set().union(*(read_now(d.abstract) for d in e.definitions if d.kind != "lookup"))
            for k, e in found.items()
        }
        try:
            held = flow_limits(stocks, reads, free)
        except ModelError as error:
            raise ModelError(error.code, f"{self.file.path.name}: {error.message}") from None
        for k, ends in held.items():
            if kinds[k].tag != "flow":
                raise ModelError(
                    "M121", f"{self.file._where(kinds[k], found[k].name)}: it flows out of or into a "
                    "stock that may not fall below zero, and is no <flow>"
                )  # fmt: skip
            for definition in found[k].definitions:
                definition.abstract = limited(definition.abstract, *ends)

    # -- graphical functions --------------------------------------------------------------

    def _named_curve(self, curve: Node, name: str) -> Node | tuple:
        """The points that <gf name="other"/> stands for."""
        if _has_points(curve) or not curve.get("name"):
            return curve
        wanted = key(curve.get("name", ""))
        for node in self.nodes:
            for other in [node, *node.iterfind("gf")]:
                if (
                    other.tag == "gf"
                    and key(other.get("name", "")) == wanted
                    and _has_points(other)
                ):
                    return self._points(other, name)
        raise ModelError(
            "M105", f"{self.file._where(curve, name)} uses {wanted!r}, which is not defined"
        )

    def _points(self, curve: Node, name: str) -> tuple:
        """(x, y, mode) of a graphical function."""
        where = self.file._where(curve, name)
        mode = _MODES.get(curve.get("type", "continuous").strip().lower())
        if mode is None:
            raise ModelError("M109", f"{where}: a graphical function of type {curve.get('type')!r}")
        y, x = self._numbers(curve, "ypts", where), self._numbers(curve, "xpts", where)
        if len(y) < 2:
            raise ModelError("M112", f"{where}: a table with {len(y) or 'no'} point(s)")
        if not x:
            low, high = self._scale(curve, where)
            x = [low + (high - low) * i / (len(y) - 1) for i in range(len(y))]
        if len(x) != len(y):
            raise ModelError("M112", f"{where}: {len(x)} x and {len(y)} y values")
        if any(b <= a for a, b in zip(x, x[1:], strict=False)):
            raise ModelError("M112", f"{where}: its x do not rise from point to point")
        return (tuple(x), tuple(y), mode)

    def _numbers(self, curve: Node, tag: str, where: str) -> list[float]:
        found = curve.find(tag)
        if found is None or not (found.text or "").strip():
            return []
        mark, text = found.get("sep", ","), (found.text or "").strip()
        parts = text.split(mark) if mark.strip() else text.split()
        parts = parts[:-1] if len(parts) > 1 and not parts[-1].strip() else parts
        return [self._number(part, tag, where) for part in parts]

    def _number(self, text: str, tag: str, where: str) -> float:
        number = re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text)
        value = float(text) if number else None
        if value is None or value in (float("inf"), -float("inf")):
            raise ModelError("M111", f"{where}: <{tag}> holds {text.strip()[:60]!r}")
        return value

    def _scale(self, curve: Node, where: str) -> tuple[float, float]:
        scale = curve.find("xscale")
        if scale is None:
            raise ModelError("M112", f"{where}: a table with neither <xscale> nor <xpts>")
        low, high = (self._number(scale.get(end, ""), "xscale", where) for end in ("min", "max"))
        return low, high


def _has_points(curve: Node) -> bool:
    return curve.find("ypts") is not None


def _points_text(points: tuple) -> str:
    x, y, mode = points
    pairs = ", ".join(f"({a:g}, {b:g})" for a, b in zip(x, y, strict=True))
    return f"table {pairs}" + ("" if mode == "interpolate" else f" {mode.replace('_', ' ')}")


def _texts(node: Node, tag: str) -> list[str]:
    return [" ".join("".join(found.itertext()).split()) for found in node.iterfind(tag)]


def _behavior(file: Xmile) -> dict[str, bool]:
    """Whether stocks and flows may not fall below zero where they do not say so themselves."""
    found = {"stock": False, "flow": False}
    places = [file.root, file.root.find("header"), file.root.find("sim_specs"), file.model_node]
    for node in (b for p in places if p is not None for b in p.iterfind("behavior")):
        if node.find("non_negative") is not None:
            found = dict.fromkeys(found, bool(_Part._set(node)))
        for kind in found:
            own = node.find(kind)
            if own is not None and own.find("non_negative") is not None:
                found[kind] = bool(_Part._set(own))
    return found
