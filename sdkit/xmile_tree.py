"""The XML of an XMILE file: elements by their local names, each with the line it begins on."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

from .errors import ModelError

MISSING = {"conveyor", "queue", "oven", "module"}  # tools have them; they are not compiled
_DEEPEST = 200


class Tree:
    """A file as a tree, which knows where each of its elements stands."""

    def __init__(self, path: Path, text: str):
        self.path = path
        self.lines: dict[Node, int] = {}
        self.root = self._tree(text)

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

    def where(self, node: Node, name: str = "") -> str:
        place = f"{self.path.name}, line {self.lines.get(node, 0)}"
        return f"{place}, {name!r}" if name else place

    def refuse(self, node: Node, name: str = "", code: str = "M109") -> ModelError:
        """The error for an element that is not compiled, or not understood."""
        own = node.get("name", "")
        shown = f"<{node.tag}>" + (f" {own!r}" if own and own != name else "")
        return ModelError(code, f"{self.where(node, name)} holds a {shown}")


def said(node: Node, tag: str = "eqn") -> str:
    return " ".join(
        "".join(node.find(tag).itertext() if node.find(tag) is not None else []).split()
    )
