"""From a model's expressions to one readable Python program.

The program's text (`Program.source`) runs as it stands and is, the same text compiled by
Numba, the kernel of ensembles. Its functions: `constants` (values that never change in a
run), `initial` (states at the start), `evaluate` (rates and outputs at a time),
`remember` (what a later step looks back at) and `clip` (non-negative stocks), followed by
`runtime.py`. Names of variables become identifiers of the compiler's own; labels stand in
comments only, escaped.
"""

from __future__ import annotations

import inspect
import keyword
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import runtime
from .errors import ModelError, SimulationError
from .functions import FUNCTIONS, LOOKUPS
from .model import CONTROLS, Model, Variable, key, walk

_RESERVED = set(keyword.kwlist) | set(dir(runtime)) | set(dir(__builtins__)) | set(
    "k t dt p c s m d o math start first last saves constants initial evaluate remember clip "
    "abs min max float int range len list print STATES OUTPUTS MISSING_VALUES".split()
)  # fmt: skip
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_ATOM = 9


@dataclass(frozen=True)
class Program:
    """A compiled model.

    `outputs` are the labels that a run returns, `parameters` the constants in the order
    of the vector p (shape: parameters, then the four time settings), `defaults` their
    values, `lines` the label of the variable that each line of the source computes.
    """

    model: Model
    source: str = field(repr=False)
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: tuple[float, ...]
    frozen: frozenset[str]
    states: int
    derived: int
    memory: int
    buffers: int
    lines: dict[int, str] = field(repr=False)
    initial_time: float = 0.0
    final_time: float = 0.0
    time_step: float = 1.0
    saveper: float = 1.0

    def with_outputs(self, outputs: Iterable[str]) -> Program:
        """The same model compiled for other outputs; S203 for a name that is not there."""
        return compile_model(self.model, outputs)


@dataclass
class _State:
    kind: str
    parts: tuple
    slot: int = 0
    memory: int = 0
    buffer: int = 0
    order: int = 1


# Which parts of a state its value reads, its start needs and its rates read.
_READS = {
    "stock": ((), (1,), (0,)),
    "non-negative stock": ((), (1,), (0,)),
    "delay": ((1,), (1, 2), (0, 1)),
    "delay n": ((), (1, 2), (0, 1)),
    "delay fixed": ((), (1, 2), ()),
    "smooth": ((), (2,), (0, 1)),
    "trend": ((0, 1), (0, 1, 2), (0, 1)),
    "sample if true": ((0, 1), (2,), ()),
    "initial": ((), (0,), ()),
}
_REMEMBERS = {"delay n": (1,), "delay fixed": (0,), "sample if true": (0, 1)}


def compile_model(model: Model, outputs: Iterable[str] | None = None) -> Program:
    """Compile a model; `outputs` None keeps every variable but tables.

    Raises ModelError: M106 circular definition, M109 unsupported construct, M113 time
    settings, M114 arguments; SimulationError S203 for an unknown output.
    """
    try:
        return _Compiler(model, outputs).program()
    except RecursionError:
        raise ModelError("M110", f"{model.path.name}: a chain of definitions is too long") from None


class _Compiler:
    def __init__(self, model: Model, outputs: Iterable[str] | None):
        self.model = model
        self.by_key: dict[str, Variable] = {key(n): v for n, v in model.variables.items()}
        if outputs is None:
            self.outputs = tuple(n for n, v in model.variables.items() if v.kind != "lookup")
        else:
            self.outputs = tuple(model.find(name).name for name in outputs)
            tables = [name for name in self.outputs if model.find(name).kind == "lookup"]
            if tables:
                raise SimulationError("S203", f"{tables[0]!r} is a table, not a variable")
        self.parameters = (*model.constants, *CONTROLS.values())
        self.states: list[_State] = []
        self.frozen: set[str] = set()
        self.tables: dict[tuple, str] = {}
        self.identifiers: dict[str, str] = {}
        self.expressions: dict[str, tuple] = {}
        self.controls = {k: self._fold(("name", k), set()) for k in CONTROLS}
        self._check_times()
        for k, variable in self.by_key.items():
            if variable.kind in ("auxiliary", "stock"):
                self.expressions[k] = self._lift(variable.expression, variable)
        self._lay_out()
        self.derived = self._find_derived()

    # -- names and numbers -----------------------------------------------------------

    def where(self, variable: Variable) -> str:
        return f"{self.model.path.name}, line {variable.line}, {variable.name!r}"

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

    def _fold(self, node: tuple, seen: set[str]) -> float:
        """The value of a time setting or of a delay's order, which may not change in a run."""
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "negative":
            return -self._fold(node[1], seen)
        if kind == "name" and node[1] in self.by_key and node[1] not in seen:
            variable = self.by_key[node[1]]
            if variable.kind == "constant":
                self.frozen.add(variable.name)
                return variable.value
            if variable.kind in ("control", "auxiliary"):
                return self._fold(variable.expression, seen | {node[1]})
        if kind == "arithmetic":
            a, b = self._fold(node[2], seen), self._fold(node[3], seen)
            try:
                return {
                    "+": lambda: a + b,
                    "-": lambda: a - b,
                    "*": lambda: a * b,
                    "/": lambda: a / b,
                    "^": lambda: a**b,
                }[node[1]]()
            except (ZeroDivisionError, OverflowError):
                return math.nan
        raise ModelError(
            "M113",
            f"{self.model.path.name}: a time setting or the order of a delay is neither a number "
            "nor arithmetic on constants",
        )

    def _check_times(self) -> None:
        initial, final, step, saveper = (self.controls[k] for k in CONTROLS)
        values = (initial, final, step, saveper)
        good = all(math.isfinite(v) for v in values) and step > 0 and saveper > 0
        if not good or final < initial or (final - initial) / step > 1e9:
            shown = ", ".join(
                f"{n} = {v:g}" for n, v in zip(CONTROLS.values(), values, strict=True)
            )
            raise ModelError("M113", f"{self.model.path.name}: {shown}")

    # -- states ----------------------------------------------------------------------

    def _lift(self, node, variable: Variable):
        """Replace states inside an expression by references into `self.states`."""
        if node[0] == "call":
            self._check_call(node, variable)
        parts = tuple(
            self._lift(part, variable)
            if isinstance(part, tuple) and part and isinstance(part[0], str)
            else tuple(self._lift(p, variable) for p in part)
            if isinstance(part, tuple) and part and isinstance(part[0], tuple) and node[0] == "call"
            else part
            for part in node
        )
        if node[0] != "state":
            return parts
        inner = tuple(self._lift(part, variable) for part in node[2])
        state = _State(node[1], inner)
        if node[1] in ("delay", "delay n", "smooth"):
            order = self._fold(node[2][3], set())
            if not 1 <= order <= 1000 or order != int(order):
                raise ModelError("M109", f"{self.where(variable)}: a delay of order {order:g}")
            state.order = int(order)
        self.states.append(state)
        return ("slot", len(self.states) - 1)

    def _check_call(self, node, variable: Variable) -> None:
        name, arguments = node[1], node[2]
        row = FUNCTIONS.get(name)
        if row is None:
            raise ModelError("M109", f"{self.where(variable)}: the function {name.upper()!r}")
        if len(arguments) != row.arguments:
            raise ModelError(
                "M114",
                f"{self.where(variable)}: {row.name} takes {row.arguments} argument(s), "
                f"not {len(arguments)}",
            )

    def _lay_out(self) -> None:
        slot = memory = buffer = 0
        memory += 1  # m[0]: steps of the run + 1, which is the length of a buffer
        for state in self.states:
            state.slot, state.memory, state.buffer = slot, memory, buffer
            if state.kind in ("stock", "non-negative stock", "trend"):
                slot += 1
            elif state.kind in ("delay", "smooth", "delay n"):
                slot += state.order
                memory += {"delay": 1, "smooth": 0, "delay n": 1 + state.order}[state.kind]
            elif state.kind == "delay fixed":
                memory += 2
                buffer += 1
            else:
                memory += 1
        self.slots, self.memory, self.buffers = slot, memory, buffer

    # -- dependencies ----------------------------------------------------------------

    def _needs(self, node: tuple, start: bool) -> Iterable[tuple]:
        """Nodes that an expression reads: ("name", key), and at the start ("slot", i) too."""
        if node[0] == "call" and node[1] == "active_initial":
            node = node[2][1 if start else 0]
            yield from self._needs(node, start)
            return
        if node[0] == "name":
            yield node
        elif node[0] == "slot":
            if start:
                yield node
            state = self.states[node[1]]
            for i in _READS[state.kind][0]:
                yield from self._needs(state.parts[i], start)
        else:
            for part in node[1:]:
                if isinstance(part, tuple) and part and isinstance(part[0], str):
                    yield from self._needs(part, start)
                elif isinstance(part, tuple) and part and isinstance(part[0], tuple):
                    for inner in part:
                        if inner and isinstance(inner[0], str):
                            yield from self._needs(inner, start)

    def _order(self, wanted: Iterable[tuple], start: bool, known: set[str]) -> list[tuple]:
        """Nodes in the order in which they can be computed; M106 for a circle."""
        done: dict[tuple, bool] = {}
        order: list[tuple] = []

        def children(node):
            if node[0] == "slot":
                state = self.states[node[1]]
                found = [
                    n for i in _READS[state.kind][1] for n in self._needs(state.parts[i], True)
                ]
            else:
                if node[1] not in self.expressions or node[1] in known:
                    return iter(())
                found = list(self._needs(self.expressions[node[1]], start))
            return iter(found)

        for root in wanted:
            if root in done:
                continue
            stack = [(root, children(root))]
            done[root] = False
            while stack:
                node, rest = stack[-1]
                for child in rest:
                    if child not in done:
                        done[child] = False
                        stack.append((child, children(child)))
                        break
                    if not done[child]:
                        path = [n for n, _ in stack]
                        self._refuse_circle(path[path.index(child) :])
                else:
                    done[node] = True
                    order.append(node)
                    stack.pop()
        return order

    def _refuse_circle(self, circle: list[tuple]) -> None:
        names = [self.by_key[n[1]].name for n in circle if n[0] == "name"]
        if not names:
            names = [n for n, k in ((v.name, key(v.name)) for v in self.by_key.values())
                     if self.expressions.get(k) in circle]  # fmt: skip
        shown = " -> ".join([*names, *names[:1]])
        line = min((self.by_key[key(n)].line for n in names), default=0)
        raise ModelError("M106", f"{self.model.path.name}, line {line}: {shown}")

    def _find_derived(self) -> set[str]:
        """Keys of variables that only constants decide: computed once a run."""
        changing: set[str] = set()
        readers: dict[str, set[str]] = {}
        for k, expression in self.expressions.items():
            for node in walk(expression):
                if node[0] == "name":
                    readers.setdefault(node[1], set()).add(k)
                calls = node[0] == "call" and (
                    FUNCTIONS[node[1]].reads_time or node[1] == "active_initial"
                )
                if node[0] == "slot" or calls or node == ("name", "time"):
                    changing.add(k)
        todo = list(changing)
        while todo:
            for reader in readers.get(todo.pop(), ()):
                if reader not in changing:
                    changing.add(reader)
                    todo.append(reader)
        derived = [k for k in self.expressions if k not in changing]
        self.derived_order = [
            n[1] for n in self._order([("name", k) for k in derived], False, set()) if n[1] in derived
        ]
        return set(derived)

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
        inner = [self._text(argument, start) for argument in arguments]
        if name == "if_then_else":
            inner[0] = self._truth(arguments[0], start)
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

    def _value(self, state: _State, start: bool, level: int = 0) -> str:
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

    def _starts(self, state: _State) -> list[str]:
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

    def _rates(self, state: _State) -> list[str]:
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
                    times = [t if j > 0 else f"({part[1]})" for t, j in zip(times, (i - 1, i), strict=True)]
                inflow = f"({part[0]})" if i == 0 else f"s[{s + i - 1}] / {times[0]}"
                lines.append(f"d[{s + i}] = ({inflow} - s[{s + i}] / {times[1]}) * m[{m}]")
            return lines
        return []

    def _remembers(self, state: _State) -> list[str]:
        m = state.memory
        part = [self._text(p, False) for p in state.parts]
        if state.kind == "sample if true":
            return [f"m[{m}] = {self._value(state, False)}"]
        if state.kind == "delay fixed":
            return [f"m[{self.memory} + {state.buffer} * int(m[0]) + k] = {part[0]}"]
        if state.kind == "delay n":
            lines = [
                f"m[{m + 1 + i}] = m[{m + i}]" for i in range(state.order - 1, 0, -1)
            ]
            return [*lines, f"m[{m + 1}] = {part[1]}"]
        return []

    # -- functions of the program ----------------------------------------------------

    def _loads(self, text: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Assignments of the constants that some lines read, to put in front of them."""
        words = set(re.findall(r"[A-Za-z_]\w*", " ".join(line for line, _ in text)))
        lines = []
        places = {key(n): f"p[{i}]" for i, n in enumerate(self.parameters)}
        places |= {k: f"c[{i}]" for i, k in enumerate(self.derived_order)}
        for k, place in places.items():
            if k in self.identifiers and self.identifiers[k] in words:
                lines.append((f"{self.identifiers[k]} = {place}", k))
        return lines

    def _assign(self, node: tuple, start: bool) -> list[tuple[str, str]]:
        if node[0] == "slot":
            owner = self._owner(node)
            return [(line, owner) for line in self._starts(self.states[node[1]])]
        k = node[1]
        if k not in self.expressions or k in self.derived:
            return []
        return [(f"{self._name(k)} = {self._text(self.expressions[k], start)}", k)]

    def _owner(self, slot: tuple) -> str:
        if not hasattr(self, "_owners"):
            self._owners = {}
            for k, expression in self.expressions.items():
                todo = [expression]
                while todo:
                    for node in walk(todo.pop()):
                        if node[0] == "slot" and node not in self._owners:
                            self._owners[node] = k
                            todo += self.states[node[1]].parts
        return self._owners[slot]

    def _initial(self) -> list[tuple[str, str]]:
        slots = [("slot", i) for i in range(len(self.states))]
        body = []
        for node in self._order(slots, True, self.derived):
            body += self._assign(node, True)
        return self._loads(body) + body

    def _evaluate(self) -> list[tuple[str, str]]:
        wanted, rates = [], []
        for i, state in enumerate(self.states):
            for part in _READS[state.kind][2]:
                wanted += self._needs(state.parts[part], False)
            rates += [(line, self._owner(("slot", i))) for line in self._rates(state)]
        wanted += [("name", key(name)) for name in self.outputs]
        body = []
        for node in self._order(wanted, False, self.derived):
            body += self._assign(node, False)
        body += rates
        body += [
            (f"o[{i}] = {self._name(key(name))}", key(name)) for i, name in enumerate(self.outputs)
        ]
        return self._loads(body) + body

    def _remember(self) -> list[tuple[str, str]]:
        wanted, body, lines = [], [], []
        for i, state in enumerate(self.states):
            for part in _REMEMBERS.get(state.kind, ()):
                wanted += self._needs(state.parts[part], False)
            lines += [(line, self._owner(("slot", i))) for line in self._remembers(state)]
        for node in self._order(wanted, False, self.derived):
            body += self._assign(node, False)
        body += lines
        return self._loads(body) + body

    def program(self) -> Program:
        constants = [
            (f"{self._name(k)} = {self._text(self.expressions[k], False)}", k)
            for k in self.derived_order
        ]
        constants += [(f"c[{i}] = {self._name(k)}", k) for i, k in enumerate(self.derived_order)]
        loads = [
            line for line in self._loads(constants) if line[1] not in self.derived
        ]
        clip = [
            (f"s[{state.slot}] = larger(s[{state.slot}], 0.0)", self._owner(("slot", i)))
            for i, state in enumerate(self.states)
            if state.kind == "non-negative stock"
        ]
        functions = [
            ("constants(p, c, t, dt)", "Values that never change in a run.", loads + constants),
            ("initial(t, dt, p, c, s, m)", "States at the start of a run.", self._initial()),
            (
                "evaluate(k, t, dt, p, c, s, m, d, o)",
                "Rates d and outputs o at step k and time t.",
                self._evaluate(),
            ),
            (
                "remember(k, t, dt, p, c, s, m)",
                "What later steps look back at, once a step.",
                self._remember(),
            ),
            ("clip(s)", "Stocks that may not fall below zero.", clip),
        ]
        return self._assemble(functions)

    def _assemble(self, functions) -> Program:
        values = {key(n): v.value for n, v in self.model.variables.items()} | self.controls
        defaults = tuple(values[key(n)] for n in self.parameters)
        lines: list[str] = [
            f"# Generated by sdkit from {_comment(self.model.path.name)}.",
            "# Plain Python: run it as it stands for one default run, printed as CSV.",
            "",
            f"STATES = {self.slots}",
            f"OUTPUTS = {len(self.outputs)}",
            f"DERIVED = {len(self.derived_order)}",
            f"MEMORY = {self.memory}",
            f"BUFFERS = {self.buffers}",
            f"MISSING_VALUES = {self.model.missing_values}",
            f"RK4 = {self.model.method == 'rk4'}",
            "",
            "DEFAULTS = (",
        ]
        for i, (name, value) in enumerate(zip(self.parameters, defaults, strict=True)):
            lines.append(f"    {_number(value)},  # p[{i}] {_comment(name)}")
        lines += [")", "", "NAMES = ("]
        lines += [f"    {ascii(name)}," for name in self.outputs]
        lines += [")", ""]
        owners: dict[int, str] = {}
        body: list[str] = []
        for signature, text, statements in functions:
            body += ["", "", f"def {signature}:", f'    """{text}"""']
            labelled = set()
            for statement, k in statements:
                variable = self.by_key.get(k)
                note = ""
                if variable is not None and k not in labelled:
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
        source = "\n".join([*lines, *body, "", "", tail, *_MAIN])
        return Program(
            model=self.model,
            source=source,
            outputs=self.outputs,
            parameters=self.parameters,
            defaults=defaults,
            frozen=frozenset(self.frozen),
            states=self.slots,
            derived=len(self.derived_order),
            memory=self.memory,
            buffers=self.buffers,
            lines=owners,
            **{k: self.controls[k] for k in CONTROLS},
        )


_MAIN = '''

def lane(p, steps, every, rk4):
    """One run in plain Python; returns out[output][save]."""
    start, dt = p[-4], p[-2]
    at = [0]
    c = [0.0] * DERIVED
    s = [0.0] * STATES
    m = [0.0] * (MEMORY + BUFFERS * (steps + 1))
    m[0] = steps + 1.0
    work = [[0.0] * max(STATES, OUTPUTS) for _ in range(8)]
    saves = list(range(0, steps + 1, every))
    out = [[0.0] * len(saves) for _ in range(OUTPUTS)]
    constants(p, c, start, dt)
    initial(start, dt, p, c, s, m)
    run(p, c, s, m, work, 0, steps, saves, [0.0] * OUTPUTS, rk4, start, dt, out, at)
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
'''.split("\n")


def _number(value: float, level: int = 0) -> str:
    if value != value:
        return "math.nan"
    text = repr(float(value))
    return f"({text})" if value < 0 and level > 0 else text


def _comment(text: str) -> str:
    """Text made safe for a comment: no character of it can end the line."""
    return text.encode("unicode_escape").decode("ascii")
