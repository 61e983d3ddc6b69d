"""An XMILE file, read element by element; PySD sees it only where it runs a model itself.

Tags are compared by their local names: the namespace is OASIS's, or that of a draft, or none.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element as Node

from .errors import Error, ModelError
from .expressions import CONTROLS, key
from .limits import bounded, short_numbers
from .mend import declared, mend_xmile
from .translate import Definition, Element, Range, Section, quietly, xmile_module
from .xmile_expressions import parse
from .xmile_tree import MISSING, Tree, said
from .xmile_variables import Variables, is_set

_METHODS = {"euler": "euler", "rk4": "rk4", "rk2": "rk4"}  # RK2 falls back to RK4 (3.4.1)
_VARIABLES = ("stock", "flow", "aux", "gf")


class Xmile(Tree):
    """An XMILE file taken apart."""

    def __init__(self, path: Path, text: str):
        bounded("tags", text.count("<"), path.name)
        short_numbers(text, path.name)
        self.text = declared(text)
        self.files: set[str] = set()
        self.folders: tuple[Path, ...] = ()
        if re.search(r"<!(DOCTYPE|ENTITY)", text, re.I):
            raise ModelError("M117", f"{path.name} declares a document type, which is not read")
        super().__init__(path, re.sub(r"^\s*<\?xml[^>]*\?>", "", self.text))
        total = 0
        for node in self.root.iterfind("model/variables/*"):
            length = sum(map(len, node.itertext()))
            bounded("equation", length, self.where(node, node.get("name", "")[:60]))
            total += length
            bounded("equations", total, path.name)

    # -- the parts of a file ------------------------------------------------------------

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
                raise ModelError("M109", f"{self.where(model)}: a <model> with {name!r}")
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
            if node.tag in MISSING:
                raise self.refuse(node)
            # Drafts list what a view shows beside the variables; that has a place and no equation.
            if node.tag in _VARIABLES and (node.get("name") and not _only_shown(node)):
                yield node
            elif node.tag in _VARIABLES and not node.get("name"):
                raise ModelError("M104", f"{self.where(node)}: a <{node.tag}> without a name")

    def method(self) -> str:
        wanted = (self.specs.get("method") if self.specs is not None else "") or "euler"
        names = [name.strip().lower() for name in wanted.split(",")]
        found = next((_METHODS[name] for name in names if name in _METHODS), "")
        if found and found != names[0]:
            warnings.warn(
                f"{self.path.name} asks for integration by {wanted!r}; it is integrated by "
                f"{'RK4' if found == 'rk4' else 'Euler'} with a fixed step",
                stacklevel=3,
            )
        return found or f"integration method {wanted!r}"

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
        part = Variables(self, list(self._variables(model)), dimensions, names, self._behavior())
        section.elements = part.elements({"time": "Time"}, self._controls(part))
        return [section, *(self._macro(node, names) for node in macros)]

    def _range(self, node: Node) -> Range:
        name = node.get("name", "")
        members = [elem.get("name", "") for elem in node.iterfind("elem")]
        size = node.get("size", "")
        if not members and re.fullmatch(r"[0-9]{1,4000}", size):
            bounded("range", int(size), self.where(node, name[:60]))
            members = [str(i) for i in range(1, int(size) + 1)]
        if not name or not members:
            raise ModelError("M120", f"{self.where(node)}: a <dim> without a name or elements")
        return Range(name, members, [], self.lines[node])

    def _controls(self, part: Variables) -> list[Element]:
        """INITIAL TIME, FINAL TIME, TIME STEP and SAVEPER from <sim_specs>."""
        specs, found = self.specs, []
        for node in specs.iterfind("run"):
            if node.get("by", "all") != "all":
                raise self.refuse(node, code="M121")
        texts = {"initial_time": specs.findtext("start"), "final_time": specs.findtext("stop")}
        step = specs.find("dt")
        texts["time_step"] = "1" if step is None else step.text or ""
        if step is not None and step.get("reciprocal", "").strip().lower() == "true":
            texts["time_step"] = f"1/({texts['time_step']})"
        saved = specs.get("save_interval") or next(
            (specs.findtext(t) for t in ("save_interval", "save_step", "savestep", "saveper")
             if specs.findtext(t)), ""
        )  # fmt: skip
        texts["saveper"] = saved if saved.strip() not in ("", "0", "0.0") else "time_step"
        for k, text in texts.items():
            if text is None:
                raise ModelError("M108", f"{self.path.name} has no {CONTROLS[k]}")
            where = self.where(specs, CONTROLS[k])
            if not text.strip():
                raise ModelError("M104", f"{where} has no equation")
            tree = parse(text, part.scope, where)
            # A setting of the file, such as those that Vensim writes among the variables.
            twin = part.controls.get(k)
            if twin is not None:
                own = parse(twin.findtext("eqn") or "0", part.scope, self.where(twin, CONTROLS[k]))
                if k == "saveper" and not saved.strip():
                    tree = own
                elif own not in (tree, ("name", k), ("name", "time_step"), ("name", "dt")):
                    raise ModelError(
                        "M107", f"{self.where(twin)}: {CONTROLS[k]!r} is {said(twin)}, and "
                        f"{text.strip()} in <sim_specs>"
                    )  # fmt: skip
            definition = Definition((), (), tree, self.lines[specs], " ".join(text.split()))
            unit = specs.get("time_units", "")
            found.append(Element(CONTROLS[k], unit, (None, None), "", [definition]))
        return found

    def _behavior(self) -> dict[str, bool]:
        """Whether stocks and flows may not fall below zero where they do not say so themselves."""
        found = {"stock": False, "flow": False}
        places = [self.root, self.root.find("header"), self.root.find("sim_specs"), self.specs,
                  self.model_node]  # fmt: skip
        for node in (b for p in places if p is not None for b in p.iterfind("behavior")):
            if node.find("non_negative") is not None:
                found = dict.fromkeys(found, bool(is_set(node)))
            for kind in found:
                own = node.find(kind)
                if own is not None and own.find("non_negative") is not None:
                    found[kind] = bool(is_set(own))
        return found

    def _macro(self, node: Node, macros: frozenset[str]) -> Section:
        """A macro, its variables read as those of a model are."""
        name = node.get("name", "")
        for found in node:
            if found.tag in ("sim_specs", "filter", "option_filter"):
                raise self.refuse(found, name, "M121")
        if node.get("filter") or node.get("applyto"):
            raise ModelError("M121", f"{self.where(node, name)}: a <macro> that is a filter")
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
        part = Variables(self, own, {}, macros - {key(name)}, self._behavior(), given)
        return Section(key(name), parameters, [], [], part.elements({}, []))

    def _misread_by_pysd(self) -> list[str]:
        """What the model holds and PySD's own run takes for something else."""
        nodes = list(self._variables(self.model_node))
        said_so = " ".join(said(node) for node in nodes)
        below = self._behavior()["stock"] or any(
            n.tag == "stock" and n.find(".//non_negative") is not None for n in nodes
        )
        return [
            text
            for text, holds in (
                ("a non-negative stock without holding its outflows back", below),
                ("no <init_eqn>", any(n.find("init_eqn") is not None for n in nodes)),
                ("the first table of an array for all of its elements",
                 any(n.find("element/gf") is not None for n in nodes)),
                ("the power of a negative number without its parentheses",
                 re.search(r"\(\s*-[^()]*\)\s*\^", said_so)),
                ("INT, MOD and NOT as Vensim's functions of that name",
                 re.search(r"\b(INT|MOD|NOT)\b", said_so, re.I)),
            )
            if holds
        ]  # fmt: skip

    # -- PySD's own run -------------------------------------------------------------------

    def abstract(self):
        """PySD's file object, for its own run of the model. Raises ModelError M116 or M117."""
        misread = self._misread_by_pysd()
        if misread:
            shown = "; ".join(misread)
            warnings.warn(f"{self.path.stem}: PySD reads {shown}", stacklevel=4)
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
