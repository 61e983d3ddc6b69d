"""A Vensim file taken apart with PySD's own grammar, entry by entry."""

from __future__ import annotations

import bisect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from .errors import ModelError, raise_all
from .expressions import CONTROLS, key
from .limits import bounded, short_numbers, table_file
from .literals import check_bounds, limits, points_of, refuse_power, right_side, tables_of
from .mend import entries, mend_vensim, take_strings
from .syntax import decimal_comma, is_list, problems, table_problem
from .translate import Definition, Element, Range, Section, external, quietly, vensim_modules

# The fourth number of Vensim's settings line 15.
_METHODS = {"0": "euler", "1": "rk4", "2": "euler", "5": "rk4"}
_HEADER = re.compile(r":MACRO:([^()]*)\(([^()]*)\)")
# A comparison behind :NOT: without parentheses.
_NOT = re.compile(r":NOT:[^():,]*?(?:<>|<=|>=|[=<>])[^():,]*", re.I)
_END_OF_EQUATIONS = "\\\\\\---///"
_END_OF_SKETCH = "///---\\\\\\"


class Vensim:
    """A Vensim file taken apart with PySD's own grammar, entry by entry."""

    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text
        equations, mark, rest = text.partition(_END_OF_EQUATIONS)
        if mark and _END_OF_SKETCH not in rest:
            raise ModelError("M108", f"{path.name} ends inside its sketch")
        self.has_sketch = bool(mark)
        self.files: set[str] = set()  # that its subscript ranges read
        # A note that hands wrote where a sketch would stand.
        equations = re.split(r"^\\{1,2}---///", equations, maxsplit=1, flags=re.M)[0]
        self.settings = rest.partition(_END_OF_SKETCH)[2]
        bounded("equations", len(equations), path.name)
        line = 1
        for entry in equations.split("|"):  # a bar inside quotes ends none: it may be longer
            begin = line + re.match(r"\s*(\{[^{}\n]*\}\s*)?", entry)[0].count("\n")
            bounded("equation", len(entry), f"{path.name}, line {begin}")
            line += entry.count("\n")
        short_numbers(equations, path.name)
        equations, self.strings = take_strings(equations)
        self.equations = mend_vensim(equations, self.settings)
        self.folders: tuple[Path, ...] = ()  # where its tables may lie, besides its own

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
        method = _METHODS.get(numbers[3].lstrip("0") or numbers[3][:1])
        if numbers[3].lstrip("0") == "1":
            warnings.warn(
                f"{self.path.name} asks for RK4 Auto, a step that adapts itself (1 in settings "
                "line 15); it is integrated by RK4 with a fixed step, TIME STEP",
                stacklevel=3,
            )
        return method or f"integration type {numbers[3][:40]!r}"

    def _clean(self) -> tuple[str, list[int], list[int], list[int]]:
        """The text as PySD cleans it, and from cleaned offsets to lines and columns of the file."""
        pieces, starts, lines, columns = [], [], [], []
        position = offset = 0
        line = 1
        for gap in re.finditer(r"(?:\\\n\t|\s)+", self.equations):
            piece = self.equations[position : gap.start()]
            starts.append(offset)
            lines.append(line)
            columns.append(position - self.equations.rfind("\n", 0, position))
            pieces += [piece, " "]
            offset += len(piece) + 1
            line += gap[0].count("\n")
            position = gap.end()
        starts.append(offset)
        lines.append(line)
        columns.append(position - self.equations.rfind("\n", 0, position))
        pieces.append(self.equations[position:])
        return "".join(pieces), starts, lines, columns

    def abstract(self):
        """PySD's file object with its sections and components parsed, and their lines."""
        vensim_file, vensim_section = vensim_modules()
        cleaned, starts, lines, columns = self._clean()
        path = self.path

        class File(vensim_file.VensimFile):
            def __init__(self):
                self.mdl_path, self.root_path = path, path.parent
                self.model_text, self.sketch, self.view_elements = cleaned, "", None

        def line_at(offset: int) -> int:
            return lines[max(bisect.bisect_right(starts, offset) - 1, 0)]

        def column_at(offset: int) -> int:
            i = max(bisect.bisect_right(starts, offset) - 1, 0)
            return columns[i] + offset - starts[i]

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
                    check_bounds(children[2].strip())
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

        file, placed = File(), []
        file.sections = []
        named = {key(name) for name in re.findall(r":MACRO:([^()]*)\(", cleaned)}
        for base, parts in self._split(cleaned):
            section = vensim_section.Section(*parts)
            file.sections.append(section)
            grammar = vensim_section.vu.Grammar.get("section_elements")
            first = line_at(base)
            try:
                tree = quietly(path, "the equations", first, grammar.parse, section.content)
            except ModelError:
                self._ended()
                raise
            visitor = quietly(path, "the equations", first, Visitor, tree)
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
                self._ended()
                line = line_at(base + visitor.end + 1)
                raise ModelError(
                    "M104", f"{path.name}, line {line}: cannot be parsed near {rest[:40]!r}"
                )
            if rest:
                raise ModelError(
                    "M108", f"{path.name} ends inside the equation that begins {rest[:40]!r}"
                )
            parsed, faults = [], []
            for element, place in zip(visitor.entries, visitor.places, strict=True):
                line = line_at(base + place)
                label = re.split(r"[=(\[:]", element.equation, maxsplit=1)[0].strip()[:60]
                try:
                    if not element.equation.strip():
                        raise ModelError(
                            "M104", f"{path.name}, line {line}: no equation in front of a '~'"
                        )
                    refuse_power(element.equation, f"{path.name}, line {line}, {label!r}")
                    part = quietly(path, f"{label!r}", line, element.parse)
                except ModelError as error:
                    rows = re.search(r":.*(\([^()]*\w\s*-\s*\w[^()]*\))", element.equation)
                    if rows and error.code == "M104":
                        error = ModelError(
                            "M104",
                            f"{path.name}, line {line}, {label!r}: the numeric range {rows[1]} has "
                            "to rise, with one name in front of both numbers, as in (a1-a9)",
                        )
                    if re.search(r":\s*IS\s*:", element.equation, re.I):
                        error = ModelError(
                            "M104",
                            f"{path.name}, line {line}, {label!r}: behind :IS: stands a text in "
                            "quotes",
                        )
                    faults.append(error)
                    continue
                parsed.append((part, line, base + place))
            plain = {
                key(part.name) for part, *_ in parsed
                if type(part).__name__ == "Component" and "LOOKUPS" not in part.expression.upper()
            } - named  # fmt: skip
            for (part, line, place), element in zip(
                parsed, visitor.entries if not faults else (), strict=not faults
            ):
                if not hasattr(part, "parse"):
                    continue
                try:
                    self._parse(part, line, element.equation, plain, place, line_at, column_at)
                except ModelError as error:
                    faults.append(error)
            raise_all(faults)
            kinds = {"SubscriptRange": [], "Constraint": [], "TestInput": []}
            components = []
            for (part, line, _), element in zip(parsed, visitor.entries, strict=True):
                kinds.get(type(part).__name__, components).append(part)
                placed.append((section, part, line, element.equation))
            section.subscripts = kinds["SubscriptRange"]
            section.components = components
            section.constraints, section.test_inputs = kinds["Constraint"], kinds["TestInput"]
        return file, placed

    def _ended(self) -> None:
        """Refuse (M104) an entry of more than an equation, a unit, a comment and a flag."""
        line = 1
        for fields, end in entries(self.equations, 0):
            if end and len(fields) > 4:
                before, broken, begun = fields[2].rstrip().rpartition("\n")
                line += sum(f.count("\n") for f in fields[:2]) + before.count("\n") + bool(broken)
                near = f"; one is missing in front of {begun.strip()[:40]!r}" * ("=" in begun)
                raise ModelError(
                    "M104", f"{self.path.name}, line {line}: {len(fields) - 1} '~' before a '|' "
                    f"(equation ~ unit ~ comment |){near}"
                )  # fmt: skip
            line += sum(field.count("\n") for field in fields)

    def _parse(self, part, line: int, equation: str, plain, place: int, line_at, column_at) -> None:
        """Let PySD parse the right side of an equation; raise in words what is wrong with it."""
        kind, text = type(part).__name__, getattr(part, "expression", "") or ""
        found, error = None, None
        try:
            quietly(self.path, f"{part.name!r}", line, part.parse)
        except ModelError as caught:
            error = caught
        if kind in ("Component", "UnchangeableConstant") or (kind == "Data" and text):
            found = next((p for p in problems(text, plain) if error or p.certain), None)
        if found and (error is None or error.code != "M110"):
            at = place + equation.rindex(text) + found.at
            where = f"{self.path.name}, line {line_at(at)}, column {column_at(at)}, {part.name!r}"
            raise ModelError(found.code, f"{where}: {found.words}")
        if (
            kind in ("Component", "UnchangeableConstant")
            and not error
            and is_list(text)
            and not any(part.subscripts or ())
        ):
            where = f"{self.path.name}, line {line}, {part.name!r}"
            count = text.count(",") + text.count(";") + 1
            hint = decimal_comma(text)
            raise ModelError(
                "M120", f"{where}: {count} values for one variable without subscripts{hint}"
            )
        told = table_problem(text) if error and kind == "Lookup" else ""
        if told:
            raise ModelError("M112", f"{self.path.name}, line {line}, {part.name!r}: {told}")
        if error:
            raise error
        unclear = _NOT.search(text)
        if unclear:
            warnings.warn(
                f"{self.path.name}, line {line}, {part.name!r}: {unclear[0].strip()!r} is read as "
                ":NOT: (a > b); write the parentheses, since Vensim's list of operators has :NOT: "
                "before comparisons",
                stacklevel=2,
            )
        self._in_order(part)

    @staticmethod
    def _in_order(part) -> None:
        """Give the tables of an equation the order of their points in the text; PySD sorts them,
        points of one x in any order."""
        for node, text in tables_of(part.ast, getattr(part, "expression", "") or ""):
            x, y = points_of(text)
            if sorted(x) == sorted(node.x):
                node.x, node.y = x, y

    def _split(self, cleaned: str) -> Iterator[tuple[int, tuple]]:
        """Where each of PySD's sections begins, and what it is made of: the model, with blanks for
        its macros, and those.

        PySD's own grammar takes all macros but the last for equations where a macro stands
        behind one.
        """
        macros, at = [], cleaned.find(":MACRO:")
        while at >= 0:
            end = cleaned.find(":END OF MACRO:", at)
            header = _HEADER.match(cleaned, at, max(end, at))
            if header is None:
                name = cleaned[at + len(":MACRO:") :].strip()[:40]
                raise ModelError("M108", f"{self.path.name} ends inside the macro {name!r}")
            macros.append((at, header, end))
            at = cleaned.find(":MACRO:", end)
        main = re.sub(r"^\s*\{[^{}]*\}", lambda found: " " * len(found[0]), cleaned)
        for at, _, end in macros:
            behind = end + len(":END OF MACRO:")
            main = main[:at] + " " * (behind - at) + main[behind:]
        yield 0, ("__main__", self.path, "main", [], [], main, False, None)
        for _, header, end in macros:
            names = [[n.strip() for n in part.split(",") if n.strip()]
                     for part in (*header[2].split(":"), "")[:2]]  # fmt: skip
            content = cleaned[header.end() : end]
            yield header.end(), (key(header[1]), self.path, "macro", *names, content, False, None)

    def sections(self) -> list[Section]:
        """The model, then its macros."""
        file, placed = self.abstract()
        sections = [
            Section(
                "" if s.type == "main" else s.name,
                s.params,
                s.returns,
            )
            for s in file.sections
        ]
        of = dict(zip(map(id, file.sections), sections, strict=True))
        begun: dict[tuple[int, str], Element] = {}
        last = ""
        for section, part, line, equation in placed:
            kind = type(part).__name__
            if kind == "SubscriptRange":
                of[id(section)].ranges.append(self._range(part, line, equation))
            elif kind not in ("Constraint", "TestInput"):
                element = begun.get((id(section), key(part.name)))
                own = self._element(part, line, equation, element)
                if element is None:
                    begun[id(section), key(part.name)] = own
                    of[id(section)].elements.append(own)
                if section.type == "main":
                    last = part.name
        sections[0].strings = self.strings
        known = {key(element.name) for element in sections[0].elements}
        missing = [name for k, name in CONTROLS.items() if k not in known]
        if missing:
            raise ModelError("M108", f"{self.path.name} has no {', '.join(missing)}")
        whole = key(last) in CONTROLS and len(known) > len(CONTROLS)
        if not self.has_sketch and not whole:
            # Cut at a |, the file would be whole to PySD. Without a sketch to end the
            # equations, the time settings have to: Vensim writes them last.
            raise ModelError(
                "M108",
                f"{self.path.name} ends with {last!r}, neither with a sketch nor with its time "
                "settings",
            )
        return sections

    def _range(self, part, line: int, equation: str) -> Range:
        members = part.definition
        if isinstance(members, dict):
            where = f"{self.path.name}, line {line}, {part.name!r}"
            names = ("file", "tab", "firstcell", "lastcell", "prefix")
            self.files.add(members["file"])
            table_file(members["file"], self.path.parent, self.folders, where)
            members = external("subscript", where, *(members[n] for n in names), self.path.parent)
        mappings = []
        # PySD keeps of (range: members) the range alone.
        for name, listed, plain in re.findall(
            r'\(\s*("(?:[^"\\]|\\.)*"|[^:(),"]+):([^)]*)\)|("(?:[^"\\]|\\.)*"|[^,()]+)',
            equation.partition("->")[2] if "<->" not in equation else "",
        ):
            if name:
                mappings.append((name.strip(), [n.strip() for n in listed.split(",")]))
            elif plain.strip():
                mappings.append((plain.strip(), None))
        if isinstance(members, list):  # PySD puts the members of mappings behind a range's own
            listed = sum(len(names or ()) for _, names in mappings)
            members = members[: len(members) - listed]
        return Range(part.name, members, mappings, line)

    def _element(self, part, line: int, equation: str, begun: Element | None) -> Element:
        """The element of a definition: a new one, or the one that others have begun."""
        abstract = part.get_abstract_component()
        kind = {"AbstractLookup": "lookup", "AbstractData": "data"}
        subscripts, exceptions = part.subscripts or ([], [])
        definition = Definition(
            tuple(subscripts),
            tuple(map(tuple, exceptions)),
            abstract.ast,
            line,
            right_side(equation),
            kind.get(type(abstract).__name__, ""),
            getattr(abstract, "keyword", None),
        )
        own = Element(
            part.name, part.units or "", limits(part.limits), part.documentation or "", [definition]
        )
        if key(part.name) == "time":
            begun = Element("Time", "", (), "", [Definition((), (), None, 0)])
        if begun is None:
            return own
        first = begun.definitions[0]
        if not subscripts or not first.subscripts:
            raise ModelError(
                "M107",
                f"{self.path.name}: {part.name!r} (line {line}) is defined already "
                f"as {begun.name!r} (line {first.line})",
            )
        begun.definitions.append(definition)
        begun.unit = own.unit or begun.unit
        if part.limits and any(end is not None for end in begun.limits):
            # One variable has one pair of bounds: the widest of its parts.
            low, high = zip(begun.limits, own.limits, strict=True)
            begun.limits = (None if None in low else min(low), None if None in high else max(high))
        elif part.limits:
            begun.limits = own.limits
        begun.documentation = own.documentation or begun.documentation
        return begun
