"""Python for expressions and for what they carry along, written from a layout.

Names of variables become identifiers of this module's own. An array is a flat list, its last
axis fastest, and its equation a loop.
"""

from __future__ import annotations

import keyword
import math
import re
from itertools import pairwise, product

from numpy import ravel_multi_index

from . import numerics, runtime
from .errors import ModelError
from .functions import FUNCTIONS, LOOKUPS
from .layout import Layout
from .states import NOISE, Loops, State

_LOCALS = (
    "k t begin dt p c x s m d o i at out work first last saves begun total column averaged rk4 "
    "start constants drivers initial evaluate remember clip draw lane math "
    "STATES OUTPUTS DERIVED DRIVERS MEMORY BUFFERS "
    "MISSING_VALUES RK4 STREAMS DEFAULTS NAMES "
    "enumerate abs float int range len list max min print round"
)
_RESERVED = {
    *keyword.kwlist, *keyword.softkwlist, *dir(numerics), *dir(runtime), *_LOCALS.split(),
}  # fmt: skip
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


class Formulas:
    """The text of a layout's expressions and states, and the tables and lists that it names.

    `tables` and `lists` fill while texts are written; `start` asks for the text that holds while
    states are started.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        self.model, self.by_key = layout.model, layout.by_key
        self.states, self.expressions = layout.states, layout.expressions
        self.memory = layout.memory
        self.tables: dict[tuple, str] = {}
        self.lists: dict[tuple, str] = {}
        self.identifiers: dict[str, str] = {}
        self._taken: set[str] = set()

    def _identifier(self, k: str) -> str:
        if k not in self.identifiers:
            plain = re.sub(r"[^a-z0-9_]+", "_", k).strip("_") or "v"
            plain = plain[:60]
            if plain[0].isdigit() or plain in _RESERVED or re.fullmatch(r"[ij]\d+", plain):
                plain = f"v_{plain}"
            name, number = plain, 2
            while name in self._taken:
                name, number = f"{plain}_{number}", number + 1
            self.identifiers[k] = name
            self._taken.add(name)
        return self.identifiers[k]

    # -- text ------------------------------------------------------------------------

    def _text(self, node: tuple, start: bool, level: int = 0) -> str:
        """Python for an expression; parentheses where `level` asks for them."""
        kind = node[0]
        if kind == "number":
            return number_text(node[1], level)
        if kind == "name":
            return self._name(node[1])
        if kind == "negative":
            text = f"-{self._text(node[1], start, 3)}"
            return f"({text})" if level > 0 else text
        if kind == "arithmetic":
            return self._arithmetic(node, start, level)
        if kind in ("compare", "and", "or", "not"):
            text = f"1.0 if {self._truth(node, start)} else 0.0"
            return f"({text})"
        if kind == "held":
            state = self.states[node[1]]
            return self._slot("m", state.memory, 1, state)
        if kind == "slot":
            return self._value(self.states[node[1]], start, level)
        if kind == "item":
            return f"{self._name(node[1])}[{self._place(self.layout.shape(node[1]), node[2])}]"
        if kind == "position":
            return f"float({self._place((1,), node[1])})"
        if kind == "values":
            return f"{self._listed('VALUES', node[1])}[{self._place(node[2], node[3])}]"
        if kind == "table":
            return self._lookup((node[1],), "", self._text(node[2], start))
        if kind == "tables":
            return self._lookup(node[1], self._place(*node[2:4]), self._text(node[4], start))
        if kind == "lookup":
            tables = self._points(node[1])
            place = self._place(self.layout.shape(node[1]), node[3])
            if node[4]:
                tables = tuple((x, y, node[4]) for x, y, _ in tables)
            return self._lookup(tables, place, self._text(node[2], start))
        if kind == "reduce":
            if not node[2]:  # of one element
                return self._text(node[3][0], start, level)
            loops = "".join(f" for {loop} in range({n})" for loop, n in node[2])
            return FUNCTIONS[node[1]].text.format(f"{self._text(node[3][0], start)}{loops}")
        if kind != "call":
            raise ModelError("M109", f"{self.model.path.name}: {kind!r} inside an expression")
        name, arguments = node[1], node[2]
        if name == "active_initial":
            return self._text(arguments[1 if start else 0], start, level)
        inner = [
            self._truth(argument, start)
            if name == "if_then_else" and i == 0
            else self._text(argument, start)
            for i, argument in enumerate(arguments)
        ]
        text = FUNCTIONS[name].text.format(*inner)
        return f"({text})" if " * " in text and level > 0 else text

    def _place(self, shape: tuple[int, ...], index: tuple) -> str:
        """Where an element is in a flat list of this shape; "" without an index."""
        constant, terms, stride = 0, [], 1
        for size, one in reversed(list(zip(shape, index, strict=True))):
            if one[0] == "at":
                constant += one[1] * stride
            else:
                places = tuple(p * stride for p in one[2])
                steps = {b - a for a, b in pairwise(places)}
                if len(steps) == 1:  # evenly spaced: no list of places is needed
                    step = steps.pop()
                    constant += places[0]
                    terms.append(one[1] if step == 1 else f"{one[1]} * {step}")
                else:
                    terms.append(f"{self._listed('PLACES', places)}[{one[1]}]")
            stride *= size
        terms.reverse()
        return " + ".join([*terms, *([str(constant)] if constant or not terms else [])])

    def _listed(self, kind: str, numbers: tuple) -> str:
        """The name of a list of numbers that the program holds."""
        return self.lists.setdefault((kind, numbers), f"{kind}_{len(self.lists) + 1}")

    def _points(self, k: str) -> tuple:
        """The tables of a lookup, one for each element (those that share one share it here)."""
        variable = self.by_key[k]
        if not variable.axes:
            return (variable.expression[1],)
        found = {}
        shape = self.layout.shape(k)
        for _, box, expression in variable.expression[1:]:
            for place in product(*box):
                flat = int(ravel_multi_index(place, shape))
                found[flat] = self._own(expression, place, box)
        absent = next((i for i in range(self.layout.size(k)) if i not in found), None)
        if absent is not None:
            where = self.layout.where(variable)
            raise ModelError("M120", f"{where}: no table for {variable.labels[absent]!r}")
        return tuple(found[i] for i in range(len(found)))

    @staticmethod
    def _own(expression: tuple, place: tuple[int, ...], box) -> tuple:
        if expression[0] == "points":
            return expression[1]
        _, tables, shape, index = expression
        turn = {f"i{n}": at.index(p) for n, (p, at) in enumerate(zip(place, box, strict=True), 1)}
        own = tuple(i[1] if i[0] == "at" else i[2][turn[i[1]]] for i in index)
        return tables[int(ravel_multi_index(own, shape))]

    def _lookup(self, tables: tuple, place: str, argument: str) -> str:
        if len(set(tables)) == 1:
            tables, place = tables[:1], ""
        modes = {mode for _, _, mode in tables}
        if len(modes) > 1:
            raise ModelError(
                "M109", f"{self.model.path.name}: tables of several types in one array"
            )
        key_ = tables[0] if not place else tables
        name = self.tables.setdefault(key_, f"TABLE_{len(self.tables) + 1}")
        at = f"[{place}]" if place else ""
        return f"{LOOKUPS[modes.pop()]}({argument}, {name}_X{at}, {name}_Y{at})"

    def _arithmetic(self, node: tuple, start: bool, level: int) -> str:
        operator, a, b = node[1:]
        if operator == "^":
            return f"power({self._text(a, start)}, {self._text(b, start)})"
        own = _PRECEDENCE.get(operator)
        if own is None:
            raise ModelError("M109", f"{self.model.path.name}: the operator {operator!r}")
        text = f"{self._text(a, start, own)} {operator} {self._text(b, start, own + 1)}"
        return f"({text})" if level > own else text

    def _truth(self, node: tuple, start: bool) -> str:
        kind = node[0]
        if kind == "compare":
            # What is missing is NaN, which no comparison holds for; Vensim's :NA: is a number
            # below all others (-2^109), so that x > :NA: asks whether x is there.
            turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            for one, other, how in (
                (node[3], node[2], node[1]),
                (node[2], node[3], turned.get(node[1], node[1])),
            ):
                if one[0] == "number" and one[1] != one[1]:
                    if how in ("<", ">="):
                        return "1.0 < 0.0" if how == "<" else "0.0 < 1.0"
                    text = self._text(other, start, 1)
                    return f"{text} {'!=' if how in ('=', '<=') else '=='} {text}"
        if kind == "compare":
            operator = {"=": "==", "<>": "!="}.get(node[1], node[1])
            return f"{self._text(node[2], start, 1)} {operator} {self._text(node[3], start, 1)}"
        if kind in ("and", "or"):
            return f"({self._truth(node[1], start)} {kind} {self._truth(node[2], start)})"
        if kind == "not":
            return f"not ({self._truth(node[1], start)})"
        return f"{self._text(node, start, 1)} != 0.0"

    def _name(self, k: str) -> str:
        if k == "time":
            return "t"
        if k == "dt" and k not in self.by_key:
            return "dt"
        if k in ("starttime", "stoptime") and k not in self.by_key:
            return self._identifier("initial_time" if k == "starttime" else "final_time")
        return "dt" if k == "time_step" else self._identifier(k)

    def _slot(self, array: str, first: int, width: int, state: State, more: str = "") -> str:
        """A place of a state in s, d or m: of its turn of the loops, `width` places apart."""
        flat, stride = [], width
        for loop, n in reversed(state.loops):
            flat.append(loop if stride == 1 else f"{loop} * {stride}")
            stride *= n
        terms = [*reversed(flat), *([str(first)] if first or not (flat or more) else [])]
        return f"{array}[{' + '.join([*terms, *([more] if more else [])])}]"

    def _value(self, state: State, start: bool, level: int = 0) -> str:
        slots, width, _ = state.sizes

        def s(i: int, more: str = "") -> str:
            return self._slot("s", state.slot + i, slots, state, more)

        def m(i: int) -> str:
            return self._slot("m", state.memory + i, width, state)

        part = [self._text(p, start) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return s(0)
        if state.kind == "smooth":
            return s(state.order - 1)
        if state.kind == "smooth n":
            return s(-1, f"int({m(0)})")
        if state.kind == "delay":
            text = f"{s(state.order - 1)} / ({part[1]})"
            return f"({text})" if level > 1 else text
        if state.kind == "delay n":
            text = f"{s(-1, f'int({m(0)})')} / {m(1)}"
            return f"({text})" if level > 1 else text
        if state.kind == "trend":
            return f"zidz({part[0]} - {s(0)}, ({part[1]}) * abs({s(0)}))"
        if state.kind == "forecast":
            trend = f"zidz({part[0]} - {s(0)}, ({part[1]}) * {s(0)})"
            return f"(({part[0]}) * (1.0 + {trend} * ({part[2]})))"
        if state.kind == "sample if true":
            return f"({part[1]} if {self._truth(state.parts[0], start)} else {m(0)})"
        if state.kind == "delay fixed":
            if start:
                return m(1)
            return f"({self._buffer(state, f'k - int({m(0)})')} if k >= {m(0)} else {m(1)})"
        return m(NOISE - 1 if state.kind == "noise" else 0)

    def _buffer(self, state: State, step: str) -> str:
        """The place of a step in the buffer of a DELAY FIXED."""
        number = self._slot("", state.buffer, 1, state)[1:-1]
        number = f"({number})" if state.loops else number
        return f"m[{self.memory} + {number} * int(m[0]) + {step}]"

    def _looped(self, loops: Loops, lines: list[str]) -> list[str]:
        """Statements inside the loops that go through the elements of an array."""
        if not lines:
            return []
        heads = [f"{'    ' * i}for {loop} in range({n}):" for i, (loop, n) in enumerate(loops)]
        return [*heads, *("    " * len(loops) + line for line in lines)]

    def _starts(self, state: State) -> list[str]:
        slots, width, _ = state.sizes
        s = [self._slot("s", state.slot + i, slots, state) for i in range(slots)]
        m = [self._slot("m", state.memory + i, width, state) for i in range(width)]
        part = [self._text(p, True) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return [f"{s[0]} = {part[1]}"]
        if state.kind == "smooth":
            return [f"{s[0]} = {part[2]}"] + [f"{one} = {s[0]}" for one in s[1:]]
        if state.kind == "smooth n":
            lines = [
                f"{m[0]} = delay_order({state.order}.0, {part[1]}, dt)",
                f"{s[0]} = {part[2]}",
            ]
            return lines + [f"{one} = {s[0]}" for one in s[1:]]
        if state.kind == "delay":
            lines = [f"{s[0]} = ({part[2]}) * above_zero({part[1]})"]
            return lines + [f"{one} = {s[0]}" for one in s[1:]]
        if state.kind == "delay n":
            lines = [
                f"{m[0]} = delay_order({state.order}.0, {part[1]}, dt)",
                f"{s[0]} = ({part[2]}) * ({part[1]})",
            ]
            lines += [f"{one} = {s[0]}" for one in s[1:]]
            return lines + [f"{one} = {part[1]}" for one in m[1:]]
        if state.kind == "trend":
            return [f"{s[0]} = ({part[0]}) / (1.0 + ({part[2]}) * ({part[1]}))"]
        if state.kind == "forecast":
            return [f"{s[0]} = ({part[0]}) / (1.0 + {part[3]})"]
        if state.kind == "delay fixed":
            return [f"{m[0]} = fixed_steps({part[1]}, dt)", f"{m[1]} = {part[2]}"]
        if state.kind == "noise":
            return self._drawn(state)
        return [f"{m[0]} = {part[0 if state.kind == 'initial' else 2]}"]

    def _drawn(self, state: State) -> list[str]:
        """The next number of a stream (`numerics.next_first` and what follows it)."""
        m = [self._slot("m", state.memory + i, NOISE, state) for i in range(NOISE)]
        return [
            f"{m[6]} = next_first({m[0]}, {m[1]})",
            f"{m[0]} = {m[1]}",
            f"{m[1]} = {m[2]}",
            f"{m[2]} = {m[6]}",
            f"{m[6]} = next_second({m[3]}, {m[5]})",
            f"{m[3]} = {m[4]}",
            f"{m[4]} = {m[5]}",
            f"{m[5]} = {m[6]}",
            f"{m[6]} = combined({m[2]}, {m[5]})",
        ]

    def _rates(self, state: State) -> list[str]:
        slots, width, _ = state.sizes
        s, d = ([self._slot(a, state.slot + i, slots, state) for i in range(slots)] for a in "sd")
        m = [self._slot("m", state.memory + i, width, state) for i in range(width)]
        part = [self._text(p, False) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return [f"{d[0]} = {part[0]}"]
        if state.kind in ("trend", "forecast"):
            return [f"{d[0]} = ({part[0]} - {s[0]}) / above_zero({part[1]})"]
        if state.kind in ("smooth", "smooth n"):
            factor = f" * {state.order}.0" if state.order > 1 else ""
            factor = f" * {m[0]}" if state.kind == "smooth n" else factor
            stages = zip(d, [part[0], *s], s, strict=False)
            time = f"({part[1]})"
            lines = [f"{rate} = ({a} - {b}){factor} / {time}" for rate, a, b in stages]
            return [lines[0].removesuffix(time) + f"above_zero{time}", *lines[1:]]
        if state.kind in ("delay", "delay n"):
            lines, time = [], f"({part[1]})"
            # DELAY N alone drops stages; the text of DELAY3 in Vensim's manual has three.
            factor = m[0] if state.kind == "delay n" else f"{state.order}.0"
            for i in range(slots):
                # In DELAY N each stage empties at the delay time it was filled at.
                before, own = (
                    m[j] if j > 0 and state.kind == "delay n" else time for j in (i - 1, i)
                )
                own = f"above_zero{own}" if i == 0 and own == time else own
                inflow = f"({part[0]})" if i == 0 else f"{s[i - 1]} / {before}"
                lines.append(f"{d[i]} = ({inflow} - {s[i]} / {own}) * {factor}")
            return lines
        return []

    def _remembers(self, state: State) -> list[str]:
        width = state.sizes[1]
        m = [self._slot("m", state.memory + i, width, state) for i in range(width)]
        part = [self._text(p, False) for p in state.parts]
        if state.kind == "sample if true":
            return [f"{m[0]} = {self._value(state, False)}"]
        if state.kind == "delay fixed":
            return [f"{self._buffer(state, 'k')} = {part[0]}"]
        if state.kind == "delay n":
            lines = [f"{m[i + 1]} = {m[i]}" for i in range(state.order - 1, 0, -1)]
            return [*lines, f"{m[1]} = {part[1]}"]
        return []


def number_text(value: float, level: int = 0) -> str:
    if value != value:
        return "math.nan"
    if value in (math.inf, -math.inf):
        return "math.inf" if value > 0 else "(-math.inf)"
    text = repr(float(value))
    return f"({text})" if value < 0 and level > 0 else text


def tuple_text(numbers: tuple) -> str:
    texts = [repr(n) if isinstance(n, int) else number_text(n) for n in numbers]
    return f"({', '.join(texts)}{',' * (len(texts) == 1)})"
