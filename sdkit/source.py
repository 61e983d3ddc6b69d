"""The text of a program: readable Python, written from a layout.

Names of variables become identifiers of this module's own; labels stand in comments and
strings only, escaped.
"""

from __future__ import annotations

import inspect
import keyword
import re

from . import runtime
from .errors import ModelError
from .expressions import key
from .functions import FUNCTIONS, LOOKUPS
from .hoist import owner
from .layout import READS, REMEMBERS, Layout, State

_LOCALS = (
    "k t begin dt p c x s m d o i at out work first last saves begun total column averaged rk4 "
    "start constants drivers initial evaluate remember clip lane math "
    "STATES OUTPUTS DERIVED DRIVERS MEMORY BUFFERS "
    "MISSING_VALUES RK4 DEFAULTS NAMES abs float int range len list max min print round"
)
_RESERVED = set(keyword.kwlist) | set(keyword.softkwlist) | set(dir(runtime)) | set(_LOCALS.split())
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_MAIN = '''

def lane(p, steps, every, rk4):
    """One run in plain Python; returns out[output][save]."""
    start, dt = p[-4], p[-2]
    at = [0]
    c = [0.0] * DERIVED
    x, y = [0.0] * DRIVERS, [0.0] * DRIVERS
    s = [0.0] * STATES
    m = [0.0] * (MEMORY + BUFFERS * (steps + 1))
    m[0] = steps + 1.0
    work = [[0.0] * max(STATES, OUTPUTS) for _ in range(8)]
    saves = list(range(0, steps + 1, every))
    out = [[0.0] * len(saves) for _ in range(OUTPUTS)]
    constants(p, c, start, dt)
    drivers(start, dt, p, c, x)
    initial(start, dt, p, c, x, s, m)
    run(p, c, x, y, s, m, work, 0, steps, saves, rk4, start, dt, out, at)
    return out


if __name__ == "__main__":
    import csv
    import sys

    start, end, dt, saveper = DEFAULTS[-4:]
    steps, every = round((end - start) / dt), max(round(saveper / dt), 1)
    rows = csv.writer(sys.stdout, lineterminator="\\n")
    rows.writerow(["Time", *NAMES])
    columns = lane(list(DEFAULTS), steps, every, RK4)
    for i in range(0, steps // every + 1):
        rows.writerow([start + i * every * dt, *(column[i] for column in columns)])
'''


def write_source(layout: Layout) -> tuple[str, dict[int, str], tuple[float, ...]]:
    """The source, the label that each of its lines computes, and the values of p."""
    return _Writer(layout).write()


class _Writer:
    def __init__(self, layout: Layout):
        self.layout = layout
        self.model, self.by_key = layout.model, layout.by_key
        self.states, self.expressions = layout.states, layout.expressions
        self.memory, self.derived = layout.memory, layout.derived
        self.known = {*layout.derived, *layout.drivers}
        self.tables: dict[tuple, str] = {}
        self.identifiers: dict[str, str] = {}

    def _identifier(self, k: str) -> str:
        if k not in self.identifiers:
            plain = re.sub(r"[^a-z0-9_]+", "_", k).strip("_") or "v"
            plain = plain[:60]
            if plain[0].isdigit() or plain in _RESERVED:
                plain = f"v_{plain}"
            taken = set(self.identifiers.values())
            name, number = plain, 2
            while name in taken:
                name, number = f"{plain}_{number}", number + 1
            self.identifiers[k] = name
        return self.identifiers[k]

    # -- text ------------------------------------------------------------------------

    def _text(self, node: tuple, start: bool, level: int = 0) -> str:
        """Python for an expression; parentheses where `level` asks for them."""
        kind = node[0]
        if kind == "number":
            return _number(node[1], level)
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
        if kind == "slot":
            return self._value(self.states[node[1]], start, level)
        if kind in ("lookup", "table"):
            points = node[1] if kind == "table" else self.by_key[node[1]].expression[1]
            table = self.tables.setdefault(points, f"TABLE_{len(self.tables) + 1}")
            argument = self._text(node[2], start)
            return f"{LOOKUPS[points[2]]}({argument}, {table}_X, {table}_Y)"
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

    def _value(self, state: State, start: bool, level: int = 0) -> str:
        s, m = state.slot, state.memory
        part = [self._text(p, start) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return f"s[{s}]"
        if state.kind == "smooth":
            return f"s[{s + state.order - 1}]"
        if state.kind == "delay":
            text = f"s[{s - 1} + int(m[{m}])] / ({part[1]})"
            return f"({text})" if level > 1 else text
        if state.kind == "delay n":
            text = f"s[{s - 1} + int(m[{m}])] / m[{m + 1}]"
            return f"({text})" if level > 1 else text
        if state.kind == "trend":
            return f"zidz({part[0]} - s[{s}], ({part[1]}) * abs(s[{s}]))"
        if state.kind == "sample if true":
            return f"({part[1]} if {self._truth(state.parts[0], start)} else m[{m}])"
        if state.kind == "delay fixed":
            base = f"{self.memory} + {state.buffer} * int(m[0])"
            if start:
                return f"m[{m + 1}]"
            return f"(m[{base} + k - int(m[{m}])] if k >= m[{m}] else m[{m + 1}])"
        return f"m[{m}]"

    def _starts(self, state: State) -> list[str]:
        s, m, order = state.slot, state.memory, state.order
        part = [self._text(p, True) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return [f"s[{s}] = {part[1]}"]
        if state.kind == "smooth":
            return [f"s[{s}] = {part[2]}"] + [f"s[{s + i}] = s[{s}]" for i in range(1, order)]
        if state.kind in ("delay", "delay n"):
            lines = [
                f"m[{m}] = delay_order({order}.0, {part[1]}, dt)",
                f"s[{s}] = ({part[2]}) * ({part[1]})",
            ]
            lines += [f"s[{s + i}] = s[{s}]" for i in range(1, order)]
            if state.kind == "delay n":
                lines += [f"m[{m + 1 + i}] = {part[1]}" for i in range(order)]
            return lines
        if state.kind == "trend":
            return [f"s[{s}] = ({part[0]}) / (1.0 + ({part[2]}) * ({part[1]}))"]
        if state.kind == "delay fixed":
            return [f"m[{m}] = fixed_steps({part[1]}, dt)", f"m[{m + 1}] = {part[2]}"]
        return [f"m[{m}] = {part[0 if state.kind == 'initial' else 2]}"]

    def _rates(self, state: State) -> list[str]:
        s, m, order = state.slot, state.memory, state.order
        part = [self._text(p, False) for p in state.parts]
        if state.kind in ("stock", "non-negative stock"):
            return [f"d[{s}] = {part[0]}"]
        if state.kind == "trend":
            return [f"d[{s}] = ({part[0]} - s[{s}]) / ({part[1]})"]
        if state.kind == "smooth":
            factor = f" * {order}.0" if order > 1 else ""
            lines = [f"d[{s}] = ({part[0]} - s[{s}]){factor} / ({part[1]})"]
            for i in range(s + 1, s + order):
                lines.append(f"d[{i}] = (s[{i - 1}] - s[{i}]){factor} / ({part[1]})")
            return lines
        if state.kind in ("delay", "delay n"):
            lines = []
            for i in range(order):
                times = [f"({part[1]})"] * 2
                if state.kind == "delay n":  # each stage empties at the delay time it was filled at
                    times = [f"m[{m + i - 1}]", f"m[{m + i}]"]
                    times = [
                        t if j > 0 else f"({part[1]})"
                        for t, j in zip(times, (i - 1, i), strict=True)
                    ]
                inflow = f"({part[0]})" if i == 0 else f"s[{s + i - 1}] / {times[0]}"
                lines.append(f"d[{s + i}] = ({inflow} - s[{s + i}] / {times[1]}) * m[{m}]")
            return lines
        return []

    def _remembers(self, state: State) -> list[str]:
        m = state.memory
        part = [self._text(p, False) for p in state.parts]
        if state.kind == "sample if true":
            return [f"m[{m}] = {self._value(state, False)}"]
        if state.kind == "delay fixed":
            return [f"m[{self.memory} + {state.buffer} * int(m[0]) + k] = {part[0]}"]
        if state.kind == "delay n":
            lines = [f"m[{m + 1 + i}] = m[{m + i}]" for i in range(state.order - 1, 0, -1)]
            return [*lines, f"m[{m + 1}] = {part[1]}"]
        return []

    # -- functions of the program ----------------------------------------------------

    def _loads(self, text: list[tuple[str, str]], begin: str = "t") -> list[tuple[str, str]]:
        """Assignments of what some lines read, to put in front of them.

        `begin` is Python for the time at which the step began.
        """
        words = set(re.findall(r"[A-Za-z_]\w*", " ".join(line for line, _ in text)))
        lines = []
        places = {key(n): f"p[{i}]" for i, n in enumerate(self.layout.parameters)}
        places |= {k: f"c[{i}]" for k, i in self.derived.items()}
        places |= {k: f"x[{i}]" for k, i in self.layout.drivers.items()}
        for k, place in places.items():
            if k in self.identifiers and self.identifiers[k] in words:
                lines.append((f"{self.identifiers[k]} = {place}", k))
        if "begin" in words:
            lines.append((f"begin = {begin}", ""))
        return lines

    def _assign(self, node: tuple, start: bool) -> list[tuple[str, str]]:
        if node[0] == "slot":
            owner = self.layout.owner(node)
            return [(line, owner) for line in self._starts(self.states[node[1]])]
        k = node[1]
        if k not in self.expressions or k in self.known:
            return []
        return [(f"{self._name(k)} = {self._text(self.expressions[k], start)}", k)]

    def _initial(self) -> list[tuple[str, str]]:
        slots = [("slot", i) for i in range(len(self.states))]
        body = []
        for node in self.layout.order(slots, True, self.known):
            body += self._assign(node, True)
        return self._loads(body) + body

    def _evaluate(self) -> list[tuple[str, str]]:
        wanted, rates = [], []
        for i, state in enumerate(self.states):
            for part in READS[state.kind][2]:
                wanted += self.layout.needs(state.parts[part], False)
            rates += [(line, self.layout.owner(("slot", i))) for line in self._rates(state)]
        wanted += [("name", key(name)) for name in self.layout.outputs]
        body = []
        for node in self.layout.order(wanted, False, self.known):
            body += self._assign(node, False)
        body += rates
        body += [
            (f"o[{i}] = {self._name(key(name))}", key(name))
            for i, name in enumerate(self.layout.outputs)
        ]
        return self._loads(body, "p[-4] + k * dt") + body

    def _remember(self) -> list[tuple[str, str]]:
        wanted, body, lines = [], [], []
        for i, state in enumerate(self.states):
            for part in REMEMBERS.get(state.kind, ()):
                wanted += self.layout.needs(state.parts[part], False)
            lines += [(line, self.layout.owner(("slot", i))) for line in self._remembers(state)]
        for node in self.layout.order(wanted, False, self.known):
            body += self._assign(node, False)
        body += lines
        return self._loads(body) + body

    def _block(self, keys: dict[str, int], array: str) -> list[tuple[str, str]]:
        """Assignments that compute some variables and store them in an array."""
        body = [(f"{self._name(k)} = {self._text(self.expressions[k], False)}", k) for k in keys]
        body += [(f"{array}[{i}] = {self._name(k)}", k) for k, i in keys.items()]
        return [line for line in self._loads(body) if line[1] not in keys] + body

    def write(self) -> tuple[str, dict[int, str], tuple[float, ...]]:
        constants = self._block(self.derived, "c")
        drivers = self._block(self.layout.drivers, "x")
        clip = [
            (f"s[{state.slot}] = larger(s[{state.slot}], 0.0)", self.layout.owner(("slot", i)))
            for i, state in enumerate(self.states)
            if state.kind == "non-negative stock"
        ]
        functions = [
            ("constants(p, c, t, dt)", "Values that never change in a run.", constants),
            ("drivers(t, dt, p, c, x)", "Values that time alone changes.", drivers),
            ("initial(t, dt, p, c, x, s, m)", "States at the start of a run.", self._initial()),
            (
                "evaluate(k, t, dt, p, c, x, s, m, d, o)",
                "Rates d and outputs o at step k and time t.",
                self._evaluate(),
            ),
            (
                "remember(k, t, dt, p, c, x, s, m)",
                "What later steps look back at, once a step.",
                self._remember(),
            ),
            ("clip(s)", "Stocks that may not fall below zero.", clip),
        ]
        return self._assemble(functions)

    def _assemble(self, functions) -> tuple[str, dict[int, str], tuple[float, ...]]:
        values = {key(n): v.value for n, v in self.model.variables.items()} | self.layout.controls
        defaults = tuple(values[key(n)] for n in self.layout.parameters)
        lines: list[str] = [
            f"# Generated by sdkit from {_comment(self.model.path.name)}.",
            "# Plain Python: run it as it stands for one default run, printed as CSV.",
            "",
            f"STATES = {self.layout.slots}",
            f"OUTPUTS = {len(self.layout.outputs)}",
            f"DERIVED = {len(self.derived)}",
            f"DRIVERS = {len(self.layout.drivers)}",
            f"MEMORY = {self.memory}",
            f"BUFFERS = {self.layout.buffers}",
            f"MISSING_VALUES = {self.model.missing_values}",
            f"RK4 = {self.model.method == 'rk4'}",
            "",
            "DEFAULTS = (",
        ]
        for i, (name, value) in enumerate(zip(self.layout.parameters, defaults, strict=True)):
            lines.append(f"    {_number(value)},  # p[{i}] {_comment(name)}")
        lines += [")", "", "NAMES = ("]
        lines += [f"    {name!a}," for name in self.layout.outputs]
        lines += [")", ""]
        owners: dict[int, str] = {}
        body: list[str] = []
        for signature, text, statements in functions:
            body += ["", "", f"def {signature}:", f'    """{text}"""']
            labelled = set()
            for statement, k in statements:
                variable = self.by_key.get(owner(k))
                note = ""
                if k in self.by_key and k not in labelled:
                    unit = f" [{variable.unit}]" if variable.unit else ""
                    note = f"  # {_comment(variable.name + unit)}"
                    labelled.add(k)
                body.append(f"    {statement}{note}")
                if variable is not None:
                    owners[len(body)] = variable.name
        # Tables are known only once every expression has been written.
        for points, name in self.tables.items():
            lines.append(f"{name}_X = ({', '.join(map(repr, points[0]))})")
            lines.append(f"{name}_Y = ({', '.join(map(repr, points[1]))})")
        offset = len(lines)
        owners = {line + offset: name for line, name in owners.items()}
        text = inspect.getsource(runtime)
        tail = text[text.index("import math") :]
        source = "\n".join([*lines, *body, "", "", tail.rstrip("\n")]) + "\n" + _MAIN
        return source, owners, defaults


def _number(value: float, level: int = 0) -> str:
    if value != value:
        return "math.nan"
    text = repr(float(value))
    return f"({text})" if value < 0 and level > 0 else text


def _comment(text: str) -> str:
    """Text made safe for a comment: no character of it can end the line."""
    return text.encode("unicode_escape").decode("ascii")
