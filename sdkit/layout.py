"""Where everything of a model goes in a run: states, memory, and the order of equations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .errors import ModelError, SimulationError
from .expressions import CONTROLS, children, key, walk
from .functions import FUNCTIONS
from .hoist import hoist, owner
from .model import Model, Variable

AXES = ("time", "scenario", "policy", "draw")


@dataclass
class State:
    kind: str
    parts: tuple
    slot: int = 0
    memory: int = 0
    buffer: int = 0
    order: int = 1


# Which parts of a state its value reads, its start needs and its rates read.
READS = {
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
REMEMBERS = {"delay n": (1,), "delay fixed": (0,), "sample if true": (0, 1)}


def _keeps_state(node: tuple) -> bool:
    """Whether an expression has to be computed in `evaluate`: time alone does not decide it."""
    if node[0] == "call":
        return node[1] == "active_initial" or FUNCTIONS[node[1]].held
    return node[0] == "slot"


def _reads_time(node: tuple) -> bool:
    return node == ("name", "time")


class Layout:
    """A model taken apart for one program.

    `expressions` maps keys to expressions in which states are references ("slot", i) into
    `states`; `derived` are keys that only constants decide, `drivers` those that constants
    and time decide, both in the order of computing; keys with a blank are parts taken out of
    equations (`hoist.py`); `slots`, `memory` and `buffers` are the sizes of what a run
    carries along.
    """

    def __init__(self, model: Model, outputs: Iterable[str] | None):
        self.model = model
        self.by_key: dict[str, Variable] = {key(n): v for n, v in model.variables.items()}
        if outputs is None:
            values = [n for n, v in model.variables.items() if v.kind != "lookup"]
            self.outputs = tuple(n for n in values if n not in AXES)
            if len(values) > len(self.outputs):
                hidden = ", ".join(n for n in values if n in AXES)
                warnings.warn(
                    f"left out, since results have axes of that name: {hidden}", stacklevel=4
                )
        else:
            self.outputs = tuple(model.find(name).name for name in outputs)
            tables = [name for name in self.outputs if model.find(name).kind == "lookup"]
            if tables:
                raise SimulationError("S203", f"{tables[0]!r} is a table, not a variable")
            axes = [name for name in self.outputs if name in AXES]
            if axes:
                raise SimulationError("S203", f"{axes[0]!r}: results have an axis of that name")
        self.parameters = (*model.constants, *CONTROLS.values())
        self.states: list[State] = []
        self.frozen: set[str] = set()
        self._owners: dict[tuple, str] = {}
        self.expressions: dict[str, tuple] = {}
        self.controls = {
            k: self._fold(("name", k), set(), f"{model.path.name}: {name}")
            for k, name in CONTROLS.items()
        }
        self._check_times()
        for k, variable in self.by_key.items():
            if variable.kind in ("auxiliary", "stock"):
                self.expressions[k] = self._lift(variable.expression, variable)
        self._lay_out()
        self.derived: dict[str, int] = {}
        self._sort_by_what_decides()
        self._take_parts_out()

    def _sort_by_what_decides(self) -> None:
        self.derived = {}
        self.derived = self._decided_by(lambda node: _keeps_state(node) or _reads_time(node))
        self.drivers = self._decided_by(_keeps_state)

    def _take_parts_out(self) -> None:
        """Hoist from equations and from flows that are written inside an INTEG."""
        flows = {
            f"{self.owner(('slot', i))} flow": state
            for i, state in enumerate(self.states)
            if state.kind in ("stock", "non-negative stock")
        }
        together = self.expressions | {k: state.parts[0] for k, state in flows.items()}
        together = hoist(together, {*self.derived, *self.drivers})
        for k, state in flows.items():
            state.parts = (together.pop(k), *state.parts[1:])
        self.expressions = together
        self._sort_by_what_decides()

    def where(self, variable: Variable) -> str:
        return f"{self.model.path.name}, line {variable.line}, {variable.name!r}"

    def _fold(self, node: tuple, seen: set[str], where: str) -> float:
        """The value of a time setting or of a delay's order, which may not change in a run."""
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "negative":
            return -self._fold(node[1], seen, where)
        if kind == "name" and node[1] in self.by_key and node[1] not in seen:
            variable = self.by_key[node[1]]
            if variable.kind == "constant":
                self.frozen.add(variable.name)
                return variable.value
            if variable.kind in ("control", "auxiliary"):
                return self._fold(variable.expression, seen | {node[1]}, where)
        if kind == "arithmetic":
            a, b = self._fold(node[2], seen, where), self._fold(node[3], seen, where)
            try:
                return {
                    "+": lambda: a + b,
                    "-": lambda: a - b,
                    "*": lambda: a * b,
                    "/": lambda: a / b,
                    "^": lambda: math.pow(a, b),
                }[node[1]]()
            except (ZeroDivisionError, OverflowError, ValueError):
                return math.nan
        raise ModelError("M113", f"{where} is neither a number nor arithmetic on constants")

    def _check_times(self) -> None:
        initial, final, step, saveper = (self.controls[k] for k in CONTROLS)
        values = (initial, final, step, saveper)
        good = all(math.isfinite(v) for v in values) and step > 0 and saveper > 0
        if good and abs(saveper / step - round(saveper / step)) > 1e-6 * saveper / step:
            good = False
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
        state = State(node[1], inner)
        if node[1] in ("delay", "delay n", "smooth"):
            order = self._fold(node[2][3], set(), f"{self.where(variable)}: the order of the delay")
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

    def needs(self, node: tuple, start: bool) -> Iterable[tuple]:
        """Nodes that an expression reads: ("name", key), and at the start ("slot", i) too."""
        if node[0] == "call" and node[1] == "active_initial":
            node = node[2][1 if start else 0]
            yield from self.needs(node, start)
            return
        if node[0] == "name":
            yield node
        elif node[0] == "slot":
            if start:
                yield node
            state = self.states[node[1]]
            for i in READS[state.kind][0]:
                yield from self.needs(state.parts[i], start)
        else:
            for part in children(node):
                yield from self.needs(part, start)

    def order(self, wanted: Iterable[tuple], start: bool, known: Iterable[str]) -> list[tuple]:
        """Nodes in the order in which they can be computed; M106 for a circle."""
        done: dict[tuple, bool] = {}
        order: list[tuple] = []

        def children(node):
            if node[0] == "slot":
                state = self.states[node[1]]
                found = [n for i in READS[state.kind][1] for n in self.needs(state.parts[i], True)]
            else:
                if node[1] not in self.expressions or node[1] in known:
                    return iter(())
                found = list(self.needs(self.expressions[node[1]], start))
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
        keys = [n[1] if n[0] == "name" else self.owner(n) for n in circle]
        names = [self.by_key[k].name for k in dict.fromkeys(map(owner, keys))]
        shown = " -> ".join([*names, *names[:1]])
        line = min((self.by_key[key(n)].line for n in names), default=0)
        raise ModelError("M106", f"{self.model.path.name}, line {line}: {shown}")

    def _decided_by(self, starters: Callable[[tuple], bool]) -> dict[str, int]:
        """Keys of variables that nothing decides for which `starters` holds, in their order.

        What `starters` marks (a state, a function of time) spreads to every reader.
        """
        changing: set[str] = set()
        readers: dict[str, set[str]] = {}
        for k, expression in self.expressions.items():
            for node in walk(expression):
                if node[0] == "name":
                    readers.setdefault(node[1], set()).add(k)
                if starters(node):
                    changing.add(k)
        todo = list(changing)
        while todo:
            for reader in readers.get(todo.pop(), ()):
                if reader not in changing:
                    changing.add(reader)
                    todo.append(reader)
        wanted = [k for k in self.expressions if k not in changing and k not in self.derived]
        order = self.order([("name", k) for k in wanted], False, self.derived)
        return {k: i for i, k in enumerate(n[1] for n in order if n[1] in wanted)}

    def owner(self, slot: tuple) -> str:
        """Key of the variable in whose equation a state stands."""
        if not self._owners:
            for k, expression in self.expressions.items():
                todo = [expression]
                while todo:
                    for node in walk(todo.pop()):
                        if node[0] == "slot" and node not in self._owners:
                            self._owners[node] = k
                            todo += self.states[node[1]].parts
        return self._owners[slot]
