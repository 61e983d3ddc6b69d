"""Variables of an XMILE file as the elements that `variables.py` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from xml.etree.ElementTree import Element as Node

from .errors import ModelError
from .expressions import CONTROLS, key
from .files import decimal
from .literals import limits
from .translate import Definition, Element
from .xmile_expressions import Scope, parse, without_comments
from .xmile_functions import ZERO, add, call, state, subtract
from .xmile_limits import Stock, limited, read_now, waits_for
from .xmile_limits import limits as flow_limits
from .xmile_tables import has_points, points_of, points_text
from .xmile_tree import MISSING, Tree, said

_ORDER = {"aux": 0, "flow": 1, "gf": 2, "stock": 3}
# What says nothing of a variable's value.
_SILENT = {
    "units", "doc", "documentation", "range", "scale", "format", "event_poster", "mathml",
    "dimensions", "label", "shape", "display", "message_poster", "interface", "note", "hyperlink",
    "delay_aux", "summing", "dependencies",
}  # fmt: skip
_READ = {
    "stock": {"eqn", "inflow", "outflow", "non_negative", "element"},
    "flow": {"eqn", "init_eqn", "gf", "non_negative", "element"},
    "aux": {"eqn", "init_eqn", "gf", "element"},
    "gf": {"xscale", "yscale", "xpts", "ypts", "element", "gf"},
}


class Variables:
    """The variables of a model, or of a macro, and the elements that they become."""

    def __init__(
        self, file: Tree, nodes: Sequence[Node], dimensions: Mapping[str, list[str]],
        macros: frozenset[str], flags: Mapping[str, bool], given: Set[str] = frozenset(),
    ):  # fmt: skip
        self.file, self.flags = file, flags
        self.controls = {
            key(node.get("name", "")): node for node in nodes
            if node.tag in ("aux", "flow") and key(node.get("name", "")) in CONTROLS
        }  # fmt: skip
        self.nodes = [node for node in nodes if node not in self.controls.values()]
        self.dimensions = dimensions
        arrays = {key(node.get("name", "")): self._dims(node) for node in self.nodes}
        lookups, tables = set(), {}
        for node in self.nodes:
            k = key(node.get("name", ""))
            if self._is_table(node):
                lookups.add(k)
            elif node.find("gf") is not None and not arrays[k] and has_points(node.find("gf")):
                curve = node.find("gf")
                tables[k] = points_of(curve, file.where(curve, node.get("name", "")))
                if curve.get("name"):
                    tables[key(curve.get("name", ""))] = tables[k]
        self.scope = Scope(
            {k: [key(d) for d in dims] for k, dims in arrays.items() if dims}, dimensions,
            frozenset(lookups), tables, frozenset({*arrays, *given}), macros,
            "isee" in (file.root.findtext("header/vendor") or "").lower(),
        )  # fmt: skip

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

    def elements(self, seen: dict[str, str], controls: Sequence[Element]) -> list[Element]:
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
            try:
                make = self._stock if node.tag == "stock" else self._value
                definitions = make(node, name)
            except ModelError as error:
                if error.code != "M109":
                    raise
                # Kept as a refusal, so that the rest of the file can be read.
                tree = ("refused", error.code, error.message)
                definitions = [self._definition(node, self._dims(node), tree, said(node))]
            found[k] = Element(
                name, (node.findtext("units") or "").strip(), self._range(node, name),
                (node.findtext("doc") or "").strip(), definitions,
            )  # fmt: skip
        self._hold_flows(found, kinds)
        return [*found.values(), *controls]

    def _check(self, node: Node, name: str) -> None:
        """Refuse what might say something of the value and is not understood."""
        for child in node:
            if child.tag in MISSING:
                raise self.file.refuse(child, name)
            if child.tag not in _SILENT | _READ[node.tag]:
                raise self.file.refuse(child, name, "M121")
            if child.tag == "element":
                for inner in child:
                    if inner.tag in MISSING:
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
            ends = [decimal(found.get(end)) if found.get(end) else None for end in ("min", "max")]
        except ValueError:
            where = self.file.where(found, name)
            raise ModelError("M111", f"{where}: <{found.tag}> holds {found.attrib}") from None
        return limits(tuple(ends))

    def _tree(self, node: Node, name: str, dims: Sequence[str], owner: Node) -> tuple:
        """The expression of an <eqn> or its like."""
        text = "".join(node.itertext())
        where = self.file.where(owner, name)
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
                "M120", f"{self.file.where(node, name)} has elements and no <dimensions>"
            )
        if not elements or (whole and not self._every(dims, elements)):
            yield dims, None
        for element in elements:
            subscripts = [part.strip() for part in element.get("subscript", "").split(",")]
            if len(subscripts) != len(dims):
                raise ModelError(
                    "M120", f"{self.file.where(element, name)}: {len(subscripts)} subscripts for "
                    f"{len(dims)} dimensions"
                )  # fmt: skip
            yield [self._label(s, d) for s, d in zip(subscripts, dims, strict=True)], element

    def _label(self, subscript: str, dimension: str) -> str:
        """A label as the dimension spells it; numbers count its elements."""
        elements = self.dimensions.get(key(dimension), [])
        counts = subscript.isascii() and subscript.isdecimal() and len(subscript) < 7
        number = int(subscript) if counts else 0
        if key(subscript) not in elements and 0 < number <= len(elements):
            return elements[number - 1]
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
        for subscripts, element in self._pieces(node, name):
            own = [n for n in (element, node) if n is not None]
            curve = node if node.tag == "gf" and element is None else self._first(own, "gf")
            owner = node if element is None or not len(dims) else element
            text = [said(n) for n in own if n.find("eqn") is not None][:1]
            points = ()
            if curve is not None:
                curve = curve if curve is node else self._named_curve(curve, name)
                if isinstance(curve, Node):
                    curve = points_of(curve, self.file.where(curve, name))
                points = curve
                text.append(points_text(points))
            if table:
                if not points:
                    raise ModelError(
                        "M112", f"{self.file.where(owner, name)}: a table with no points"
                    )
                tree: tuple = ("points", points)
                found.append(self._definition(owner, subscripts, tree, " ".join(text), "lookup"))
                continue
            equation = self._first(own, "eqn")
            if equation is None:
                raise ModelError("M104", f"{self.file.where(owner, name)} has no equation")
            tree = self._tree(equation, name, dims, owner)
            start = self._first(own, "init_eqn")
            if start is not None and (start.text or "").strip():
                if points:
                    raise self.file.refuse(start, name, "M121")
                tree = call("active_initial", tree, self._tree(start, name, dims, owner))
                text.append(f"initially {said(own[0], 'init_eqn') or said(node, 'init_eqn')}")
            if points:
                tree = ("table", points, tree)
            if self._not_below_zero(node, element):
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
                    raise ModelError("M104", f"{self.file.where(flow, name)}: an empty <{tag}>")
                one = ("name", key(flow.text or ""))
                first = one if tag == "inflow" else ("negative", one)
                flows = first if flows is None else join(flows, one)
        said = " + ".join(_texts(node, "inflow"))
        said += "".join(f" - {flow}" for flow in _texts(node, "outflow"))
        kind = "non-negative stock" if self._held(node, name) else "stock"
        found = []
        for subscripts, element in self._pieces(node, name):
            own = [n for n in (element, node) if n is not None]
            owner = node if element is None else element
            equation = self._first(own, "eqn")
            if equation is None:
                raise ModelError("M104", f"{self.file.where(owner, name)} has no equation")
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

    def _not_below_zero(self, node: Node, element: Node | None) -> bool:
        """What a variable, or one element of it, says; an element's word holds before its
        variable's, and that before the file's."""
        said_so = [is_set(n) for n in (element, node) if n is not None]
        return next((own for own in said_so if own is not None), self.flags.get(node.tag, False))

    def _held(self, node: Node, name: str) -> bool:
        """Whether a stock may not fall below zero. Raises M121 where its elements differ."""
        pieces = [element for _, element in self._pieces(node, name)]
        flags = {self._not_below_zero(node, element) for element in pieces}
        if len(flags) > 1:
            raise ModelError(
                "M121", f"{self.file.where(node, name)}: some elements of a stock are "
                "<non_negative> and others are not; make two stocks of it"
            )  # fmt: skip
        return flags == {True}

    def _free(self, node: Node, name: str) -> bool:
        """Whether a flow, or an element of it, may run backwards."""
        return node.tag == "aux" or not all(
            self._not_below_zero(node, element) for _, element in self._pieces(node, name)
        )

    def _hold_flows(self, found: dict[str, Element], kinds: Mapping[str, Node]) -> None:
        """Limit the flows of stocks that may not fall below zero, in the flows themselves."""
        stocks, free = [], set()
        for k, node in kinds.items():
            if node.tag in ("flow", "aux") and self._free(node, found[k].name):
                free.add(k)
            if node.tag != "stock" or not self._held(node, found[k].name):
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
        starts = dict(reads)
        for k, element in found.items():
            if kinds[k].tag == "stock":
                inits = [d.abstract[2][1] for d in element.definitions if d.abstract[0] == "state"]
                starts[k] = set().union(*map(read_now, inits))
        try:
            held = flow_limits(stocks, reads, free)
        except ModelError as error:
            raise ModelError(error.code, f"{self.file.path.name}: {error.message}") from None
        for k, ends in held.items():
            if kinds[k].tag in ("stock", "gf"):
                where = self.file.where(kinds[k], found[k].name)
                raise ModelError(
                    "M121", f"{where} is listed as a flow of a stock that may not fall below zero, "
                    "and is none"
                )  # fmt: skip
            # A stock may start from the flow that it limits, which is then the wanted one.
            at_start = any(waits_for(starts, stock.name, k) for stock in stocks)
            for definition in found[k].definitions:
                wanted = definition.abstract
                if wanted[0] == "refused":
                    continue
                definition.abstract = limited(wanted, *ends)
                if at_start:
                    definition.abstract = call("active_initial", definition.abstract, wanted)

    # -- graphical functions --------------------------------------------------------------

    def _named_curve(self, curve: Node, name: str) -> Node | tuple:
        """The points that <gf name="other"/> stands for."""
        if has_points(curve) or not curve.get("name"):
            return curve
        wanted = key(curve.get("name", ""))
        for node in self.nodes:
            for other in [node, *node.iterfind("gf")]:
                if other.tag == "gf" and key(other.get("name", "")) == wanted and has_points(other):
                    return points_of(other, self.file.where(other, name))
        raise ModelError(
            "M105", f"{self.file.where(curve, name)} uses {wanted!r}, which is not defined"
        )


def _texts(node: Node, tag: str) -> list[str]:
    return [" ".join("".join(found.itertext()).split()) for found in node.iterfind(tag)]


def is_set(node: Node) -> bool | None:
    """What a <non_negative> in an element says; None without one."""
    found = node.find("non_negative")
    return None if found is None else (found.text or "").strip().lower() not in ("false", "0")
