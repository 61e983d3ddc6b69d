"""From elements of a text to variables: subscripts resolved, tables read, macros written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from .errors import ModelError, raise_all
from .expressions import CONTROLS, DEEPEST, Translator, key, nesting, rebuilt, walk
from .functions import FUNCTIONS, REDUCING
from .limits import bounded
from .names import meant
from .ranges import Axis, Box, Ranges, axes_of, boxes, cut_out
from .subscripts import COUNTS, Resolver, index_of, left_of, positions
from .syntax import parted
from .tables import read_table
from .translate import Definition, Element, Section, look_at

# What stops one equation, not the reading: PySD may run it, and `compile_model` says so.
_DEFERRED = ("M109", "M119", "M120")
_DEEPEST_MACRO = 8
# Names that every equation may use, besides the model's own.
BUILT_IN = ("time", "dt", "starttime", "stoptime")


@dataclass(frozen=True)
class Variable:
    """One variable of a model, as its text has it.

    `kind` is constant, auxiliary, stock, lookup or control; `value` is the number of a
    constant (of an array a tuple of them, its last axis fastest), else None; `limits` are the
    bounds in brackets after the unit, None where open; `line` counts from 1 (0 where the file
    does not tell); `text` is the right-hand side as the file has it, in one line. `axes` are the
    subscripts: for each the name of a range and the elements.
    """

    name: str
    kind: str
    unit: str
    limits: tuple[float | None, float | None]
    documentation: str
    line: int
    expression: tuple
    value: float | tuple[float, ...] | None = None
    text: str = ""
    axes: tuple[Axis, ...] = ()

    def __repr__(self) -> str:
        axes = f"[{', '.join(label for label, _ in self.axes)}]" if self.axes else ""
        return f"Variable({self.name + axes!r}: {self.kind}, {self.unit or 'no unit'})"

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The name, or those of all elements of an array: `name[a1,b1]`, last axis fastest."""
        if not self.axes:
            return (self.name,)
        return tuple(
            f"{self.name}[{','.join(names)}]" for names in product(*(e for _, e in self.axes))
        )

    @cached_property
    def defined(self) -> tuple[str, ...]:
        """Those of `labels` that an equation defines: of an array perhaps not all."""
        if not self.axes or self.expression[0] != "parts":
            return self.labels
        gaps = np.ones([len(e) for _, e in self.axes], dtype=bool)
        for _, box, _ in self.expression[1:]:
            gaps[np.ix_(*box)] = False
        return tuple(n for n, gap in zip(self.labels, gaps.ravel(), strict=True) if not gap)

    def element(self, place: tuple[int, ...]) -> Variable:
        """One element of an array as a variable of its own."""
        sizes = [len(e) for _, e in self.axes]
        flat = int(np.ravel_multi_index(place, sizes))
        index = tuple(("at", p) for p in place)
        value = self.value[flat] if isinstance(self.value, tuple) else self.value
        return replace(
            self, name=self.labels[flat], axes=(), value=value,
            expression=("item", key(self.name), index),
        )  # fmt: skip


class Reader:
    """The variables of a model's sections.

    `loose` allows an array without subscripts, as XMILE has it; `data` are files of series;
    `folders` those in which tables may lie, besides the model's own.
    """

    def __init__(
        self,
        path: Path,
        sections: Sequence[Section],
        loose: bool,
        data: Sequence[Path],
        folders: Sequence[Path] = (),
    ):
        self.path, self.loose, self.data, self.folders = path, loose, data, folders
        main, *macros = sections
        look_at(path, sections, folders)
        self.macros = {key(m.name): m for m in macros}
        self.ranges = Ranges(main.ranges, path.name)
        self.elements = {key(e.name): e for e in main.elements}
        self.axes: dict[str, tuple[Axis, ...]] = dict.fromkeys(self.elements, ())
        for k, element in self.elements.items():
            if element.definitions[0].subscripts:
                where = self._place(element.name, element.definitions[0])
                self.axes[k] = axes_of(self.ranges.at(where), element.definitions)
                bounded("elements", prod(len(e) for _, e in self.axes[k]), where)
        total = sum(prod(len(e) for _, e in axes) for axes in self.axes.values() if axes)
        bounded("all elements", total, path.name)
        self.lookups = _lookups(main)
        self.strings = {key(name): line for name, line in main.strings.items()}
        self.files: set[str] = set()  # that its equations read
        self.hidden: dict[str, Variable] = {}
        self.outputs: dict[str, Variable] = {}  # of macros, which their calls name
        self._instances: dict[str, int] = {}
        for k in self.ranges.members.keys() & self.elements.keys():
            raise ModelError(
                "M107",
                f"{path.name}: {self.elements[k].name!r} is a variable and a subscript range",
            )

    def variables(self) -> dict[str, Variable]:
        found, faults = {}, []
        for k, element in self.elements.items():
            try:
                found[element.name] = self._variable(k, element)
            except ModelError as error:
                faults.append(error)
        raise_all(faults)
        for k, variable in self.outputs.items():
            name = k.replace("_", " ")
            found[name] = replace(variable, name=name)
        self._check_names(found)
        return found

    def _variable(self, k: str, element: Element) -> Variable:
        axes, first = self.axes[k], element.definitions[0]
        parts: list[tuple] = []
        try:
            if axes:
                parts = self._parts(k, element, axes)
                expression: tuple = ("parts", *parts)
            else:
                expression = self._expression(k, element, first, ())
        except ModelError as error:
            if error.code not in _DEFERRED:
                raise
            expression, parts = ("refused", error.code, error.message), []
        kind, value = self._kind(k, [p[2] for p in parts] if parts else [expression]), None
        if kind == "constant" and axes:
            value = _values(axes, parts)
            if value is None or any(v != v for v in value):  # a missing value is no constant
                kind, value = "auxiliary", None
        elif kind == "constant":
            value = expression[1] if expression[1] == expression[1] else None
            kind = "constant" if value is not None else "auxiliary"
        return Variable(
            element.name, kind, element.unit.strip(), tuple(element.limits),
            element.documentation.strip(), first.line, expression, value,
            "; ".join(d.text for d in element.definitions), axes,
        )  # fmt: skip

    def _kind(self, k: str, expressions: Sequence[tuple]) -> str:
        if k in CONTROLS:
            return "control"
        kinds = {e[0] for e in expressions}
        if kinds <= {"points", "points of each"}:
            return "lookup"
        if kinds <= {"number", "values"}:
            return "constant"
        return "stock" if {e[:2] for e in expressions} == {("state", "stock")} else "auxiliary"

    def _parts(self, k: str, element: Element, axes: tuple[Axis, ...]) -> list[tuple]:
        """Its definitions as parts without overlap: of two for one element, the later holds."""
        taken = np.zeros([len(e) for _, e in axes], dtype=bool)
        found = []
        for definition in reversed(element.definitions):
            own = boxes(self.ranges.at(self._place(element.name, definition)), axes, definition)
            parts = []
            for box in (b for whole in own for b in cut_out(whole, taken)):
                expression = self._expression(k, element, definition, axes, box)
                parts.append(("part", box, expression))
            for box in own:
                taken[np.ix_(*box)] = True
            found = parts + found
        return found

    def _expression(
        self,
        k: str,
        element: Element,
        definition: Definition,
        axes: tuple[Axis, ...],
        box: Box = (),
    ) -> tuple:
        where = self._place(element.name, definition)
        raw = self._table(element, definition, where)
        if raw is None and definition.keyword in ("look_forward", "hold_backward", "raw"):
            words = definition.keyword.replace("_", " ").upper()
            raise ModelError("M109", f"{where}: :{words}: on an equation of other variables")
        if raw is None:
            raw = self._read(definition, where, self.lookups)
        left = left_of(self.ranges, axes, definition, box)
        at = {
            key(axis[0]): e[0]
            for axis, (_, written, e) in zip(axes, left, strict=True)
            if not written
        }
        resolve = Resolver(
            self.ranges.at(where), where, left, self.axes.get, REDUCING, self.loose, at
        )
        found = self._written_out(resolve(raw), _Caller(k, element.name, definition, axes, box))
        if nesting(found) > DEEPEST:
            raise ModelError("M110", f"{where}: nested too deeply (over {DEEPEST} levels)")
        return found

    def _table(self, element: Element, definition: Definition, where: str) -> tuple | None:
        """What stands in a file, for an equation that takes it from there."""
        file = getattr(definition.abstract, "file", None)
        if isinstance(file, str):
            self.files.add(file)
        return read_table(definition, where, self.ranges, self.path, self.data, element.name)

    def _read(self, definition: Definition, where: str, lookups: set[str]) -> tuple:
        """An equation as PySD reads it; M109 and M114 where its functions are not ours."""
        raw = definition.abstract  # XMILE's equations are trees already
        if not isinstance(raw, tuple):
            raw = Translator(where, lookups)(raw)
        if raw[0] == "refused":
            raise ModelError(*raw[1:])
        for name, arguments in (n[1:] for n in walk(raw) if n[0] == "call"):
            row = FUNCTIONS.get(name)
            if row is None and name not in self.macros and name not in COUNTS:
                two = parted(name, self.elements)
                if two:
                    raise ModelError(
                        "M104", f"{where}: an operator is missing between {two[0]!r} and {two[1]!r}"
                    )
                words = name.upper().replace("_", " ")
                raise ModelError("M109", f"{where}: the function {words!r}")
            if row is not None and len(arguments) != row.arguments + row.noisy:
                given = len(arguments) - row.noisy
                hint = self._comma(arguments) if given < row.arguments else ""
                raise ModelError(
                    "M114",
                    f"{where}: {row.name} takes {row.arguments} argument(s), not {given}{hint}",
                )
        return raw

    def _comma(self, arguments: Sequence[tuple]) -> str:
        """Where a comma may be missing: between two names that are read as one."""
        for node in (n for argument in arguments for n in walk(argument)):
            if node[0] == "name" and node[1] not in self.elements:
                two = parted(node[1], {*self.elements, *BUILT_IN})
                if two:
                    return f"; a comma is missing between {two[0]!r} and {two[1]!r}"
        return "; is a comma missing?"

    def _place(self, name: str, definition: Definition) -> str:
        return f"{self.path.name}, line {definition.line}, {name!r}"

    # -- macros ----------------------------------------------------------------------

    def _written_out(self, node: tuple, caller: _Caller, reduced: bool = False) -> tuple:
        """An expression in which each call of a macro is its result, its equations hidden."""
        if not self.macros:
            return node
        reduced = reduced or node[0] == "reduce"
        node = rebuilt(node, lambda part: self._written_out(part, caller, reduced))
        if node[0] != "call" or node[1] not in self.macros:
            return node
        if reduced:
            raise ModelError(
                "M109",
                f"{caller.place or self._place(caller.name, caller.definition)}: a macro inside "
                "SUM and its like",
            )
        return self._instance(self.macros[node[1]], node[2], caller)

    def _instance(self, macro: Section, arguments: tuple, caller: _Caller) -> tuple:
        """The equations of a macro as hidden variables with the caller's loops; its result."""
        where = caller.place or self._place(caller.name, caller.definition)
        if caller.depth > _DEEPEST_MACRO:
            raise ModelError("M110", f"{where}: macros one inside another, over {_DEEPEST_MACRO}")
        results = arguments[len(macro.parameters) :]
        arguments = arguments[: len(macro.parameters)]
        if len(arguments) != len(macro.parameters) or len(results) > len(macro.returns):
            raise ModelError(
                "M114",
                f"{where}: the macro {macro.name.upper()!r} takes {len(macro.parameters)} "
                f"argument(s), not {len(arguments) + len(results)}",
            )
        self._instances[caller.k] = self._instances.get(caller.k, 0) + 1
        # No key of the model's own holds a blank; what stands before it is the owner.
        prefix = f"{caller.k} {key(macro.name)}_{self._instances[caller.k]}_"
        own = {key(e.name) for e in macro.elements} | {key(p) for p in macro.parameters}
        axes = tuple(
            (label, tuple(names[p] for p in at))
            for (label, names), at in zip(caller.axes, caller.box, strict=True)
        )
        whole = tuple(tuple(range(len(names))) for _, names in axes)
        index = index_of(whole)

        def local(name: str) -> tuple:
            return ("item", prefix + name, index) if axes else ("name", prefix + name)

        def hide(name: str, expression: tuple, kind: str = "auxiliary") -> None:
            bounded("macros", len(self.hidden) + 1, where)
            if axes and kind != "lookup":
                expression = ("parts", ("part", whole, expression))
            self.hidden[prefix + name] = Variable(
                caller.name, kind, "", (None, None), "", caller.definition.line, expression,
                axes=() if kind == "lookup" else axes,
            )  # fmt: skip

        def renamed(node: tuple) -> tuple:
            if node[0] == "name":
                if node[1] in own:
                    return local(node[1])
                outside = node[1].removesuffix("$").rstrip("_")
                if outside != node[1] or outside in CONTROLS or outside in BUILT_IN:
                    return ("name", outside)
                two = parted(node[1], own)
                if two:
                    raise ModelError(
                        "M104",
                        f"{inside}: an operator is missing between {two[0]!r} and {two[1]!r}",
                    )
                raise ModelError("M105", f"{inside} uses {node[1]!r}, which the macro does not "
                                 f"define ({node[1]}$ would be the model's own)")  # fmt: skip
            if node[0] in ("reference", "array") or (node[0] == "lookup" and node[3]):
                raise ModelError("M109", f"{inside}: subscripts in a macro")
            if node[0] == "lookup":
                return ("lookup", prefix + node[1], renamed(node[2]), (), node[4])
            return rebuilt(node, renamed)

        for parameter, argument in zip(macro.parameters, arguments, strict=True):
            hide(key(parameter), argument)
        lookups = _lookups(macro)
        for element in macro.elements:
            definition = element.definitions[0]
            inside = (f"{self._place(element.name, definition)} in the macro "
                      f"{macro.name.upper()!r}")  # fmt: skip
            if definition.subscripts:
                raise ModelError("M109", f"{inside}: subscripts in a macro")
            raw = self._table(element, definition, inside)
            if raw is None:
                raw = self._read(definition, inside, lookups)
            elif raw[0] == "table array":
                raw = Resolver(self.ranges.at(inside), inside, (), self.axes.get, REDUCING)(raw)
            kind = "lookup" if raw[0] == "points" else "auxiliary"
            # A macro that this one calls is called from here.
            inner = replace(caller, axes=axes, box=whole, depth=caller.depth + 1, place=inside)
            hide(key(element.name), self._written_out(renamed(raw), inner), kind)
        wanted = [key(macro.name), *(key(name) for name in macro.returns[: len(results)])]
        absent = next((name for name in wanted if name not in own), None)
        if absent is not None:
            raise ModelError(
                "M105", f"{where}: the macro {macro.name.upper()!r} does not define {absent!r}"
            )
        for node, name in zip(results, wanted[1:], strict=True):
            if node[0] != "name" or axes:
                raise ModelError("M109", f"{where}: an output of a macro that is no plain name")
            if node[1] == caller.k:  # x = MACRO(... : x), the result under another name
                continue
            if node[1] in self.outputs or node[1] in self.elements:
                raise ModelError("M107", f"{where}: {node[1]!r}, which a macro gives, is defined")
            self.outputs[node[1]] = replace(self.hidden[prefix + name], expression=local(name))
        return local(wanted[0])

    # -- names -----------------------------------------------------------------------

    def _check_names(self, variables: dict[str, Variable]) -> None:
        """Refuse names that nothing defines, and tables used as numbers (M105)."""
        known = {key(name): variable for name, variable in variables.items()} | self.hidden
        faults: dict[str, ModelError] = {}
        for variable in (*variables.values(), *self.hidden.values()):
            for node in walk(variable.expression):
                if node[0] not in ("name", "item") or node[1] in BUILT_IN:
                    continue
                where = f"{self.path.name}, line {variable.line}, {variable.name!r}"
                code, text = "M105", ""
                if node[1] in self.strings:
                    code, text = "M126", (
                        f"{where} uses {node[1]!r} as a number; line {self.strings[node[1]]} says "
                        "that it is a text (:IS:)"
                    )  # fmt: skip
                elif node[1] not in known:
                    two = parted(node[1], {*known, *BUILT_IN})
                    hint = ""
                    if two:
                        code = "M104"
                        hint = f"; an operator is missing between {two[0]!r} and {two[1]!r}"
                    elif node[1] in FUNCTIONS:
                        hint = f"; the function {FUNCTIONS[node[1]].name} takes parentheses"
                    near = hint or meant(node[1], variables, listed=False)
                    text = f"{where} uses {node[1]!r}, which is not defined{near}"
                elif known[node[1]].kind == "lookup":
                    text = f"{where} uses the table {node[1]!r} without an argument"
                if text:
                    faults.setdefault(text, ModelError(code, text))
        raise_all(list(faults.values()))


@dataclass(frozen=True)
class _Caller:
    """Who calls a macro: the key and the name of its variable, its definition, axes and box; and
    the place in words, where that is inside another macro."""

    k: str
    name: str
    definition: Definition
    axes: tuple[Axis, ...]
    box: Box
    depth: int = 0
    place: str = ""


def _lookups(section: Section) -> set[str]:
    return {key(e.name) for e in section.elements if all(d.kind == "lookup" for d in e.definitions)}


def _values(axes: Sequence[Axis], parts: Sequence[tuple]) -> tuple[float, ...] | None:
    """The numbers of a constant array; None where an element has none."""
    numbers = np.full([len(e) for _, e in axes], np.nan)
    filled = np.zeros(numbers.shape, dtype=bool)
    for _, box, expression in parts:
        place = np.ix_(*box)
        filled[place] = True
        if expression[0] == "number":
            numbers[place] = expression[1]
            continue
        _, values, shape, index = expression
        own = np.array(values).reshape(shape)[positions(index)]
        numbers[place] = own.reshape(numbers[place].shape)
    return tuple(numbers.ravel().tolist()) if filled.all() else None
