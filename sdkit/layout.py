"""Where everything of a model goes in a run: states, memory, and the order of equations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np

from .errors import ModelError, SimulationError
from .expressions import CONTROLS, children, key, rebuilt, walk
from .functions import FUNCTIONS
from .hoist import hoist, owner
from .model import Model
from .ranges import Box
from .settings import Folded, time_settings
from .states import NOISE, READS, Block, Loops, State
from .subscripts import index_of, loops_of, positions, split
from .variables import Variable

AXES = ("time", "scenario", "policy", "draw")
_DELAYS = ("delay", "delay n", "delay fixed", "smooth", "smooth n", "trend", "forecast")


def _keeps_state(node: tuple) -> bool:
    """Whether an expression has to be computed in `evaluate`: time alone does not decide it."""
    if node[0] == "call":
        return node[1] == "active_initial" or FUNCTIONS[node[1]].held
    return node[0] == "slot"


def _reads_time(node: tuple) -> bool:
    return node == ("name", "time")


class _Circle(Exception):
    """A circle of definitions, as nodes of the order."""


class Layout:
    """A model taken apart for one program.

    `expressions` maps keys to expressions in which states are references ("slot", i) into
    `states`. The equation of a scalar stands under its key; those of an array stand under keys
    of their own, which `blocks` lists by variable and `parts` explains; keys with a blank are
    hidden: parts taken out of equations (`hoist.py`), equations of macros. `derived` are what only
    constants decide, `drivers` what constants and time decide, both in the order of computing,
    with the place of each variable in `derived_at` and `drivers_at`; `slots`, `memory` and
    `buffers` are the sizes of what a run carries along.
    """

    def __init__(self, model: Model, outputs: Iterable[str] | None):
        self.model = model
        self.by_key: dict[str, Variable] = {key(n): v for n, v in model.variables.items()}
        self.by_key |= model.hidden
        self.outputs = self._wanted(outputs)
        self.parameters = (*model.constants, *CONTROLS.values())
        self.controls, self.timing = time_settings(model)
        start = (self.controls["initial_time"], self.controls["time_step"])
        self._fold = Folded(model, start=start)
        # A circle of arrays may be none of their elements: those that stand in it are split.
        apart: set[str] = set()
        while True:
            try:
                self._lay_all_out(apart)
                break
            except _Circle as error:
                arrays = {self.parts[b].variable for b in self._in_circle(error.args[0])
                          if b in self.parts and self.parts[b].loops}  # fmt: skip
                if arrays <= apart:
                    self._refuse_circle(error.args[0])
                apart |= arrays

    def _wanted(self, outputs: Iterable[str] | None) -> tuple[str, ...]:
        """The labels of all values that a run returns, arrays element by element."""
        model = self.model
        if outputs is None:
            values = [n for n, v in model.variables.items() if v.kind != "lookup"]
            found = [n for n in values if n not in AXES]
            if len(values) > len(found):
                hidden = ", ".join(n for n in values if n in AXES)
                warnings.warn(
                    f"left out, since results have axes of that name: {hidden}", stacklevel=5
                )
            return tuple(label for n in found for label in model.variables[n].defined)
        wanted = [model.find(name) for name in outputs]
        tables = [v.name for v in wanted if v.kind == "lookup"]
        if tables:
            raise SimulationError("S203", f"{tables[0]!r} is a table, not a variable")
        axes = [v.name for v in wanted if v.name in AXES]
        if axes:
            raise SimulationError("S203", f"{axes[0]!r}: results have an axis of that name")
        return tuple(dict.fromkeys(label for v in wanted for label in v.defined))

    def _lay_all_out(self, apart: set[str]) -> None:
        self.states: list[State] = []
        self._numbers: dict[int, tuple[str, Box, int]] = {}  # which random function a state is
        self._owners: dict[tuple, str] = {}
        self.expressions: dict[str, tuple] = {}
        self.parts: dict[str, Block] = {}
        self._streams: dict[tuple, tuple] = {}  # the streams of the equation that is lifted
        self.blocks: dict[str, list[str]] = {}
        # For each element the number of the equation that gives it, -1 for none.
        self._block_at: dict[str, np.ndarray] = {}
        for k, variable in self.by_key.items():
            if variable.kind not in ("auxiliary", "stock"):
                continue
            if variable.axes:
                self._blocks_of(k, variable, k in apart)
            else:
                self._begin(k, ())
                self.expressions[k] = self._lift(variable.expression, variable, ())
                self._hold(k, ("name", k))
        gaps = {k for k, at in self._block_at.items() if (at < 0).any()}
        for b in self.expressions if gaps else ():
            self._refuse_gaps(b, gaps)
        self._lay_out()
        self.derived: list[str] = []
        self._sort_by_what_decides()
        self._take_parts_out()
        # Every order that the program will need, so that a circle is found here.
        everything = [("name", k) for k in self.expressions]
        self.order(everything, False, ())
        self.order([("slot", i) for i in range(len(self.states))], True, ())

    def _blocks_of(self, k: str, variable: Variable, apart: bool) -> None:
        parts = variable.expression[1:]
        if apart:
            parts = [single for part in parts for single in split(part)]
        self.blocks[k] = []
        self._block_at[k] = np.full(self.shape(k), -1)
        for i, (_, box, _) in enumerate(parts):
            self._block_at[k][np.ix_(*box)] = i
        for n, (_, box, expression) in enumerate(parts, 1):
            b = f"{k} of {n}" if len(parts) > 1 else k
            loops = loops_of(box)
            self.parts[b] = Block(k, box, loops)
            self.blocks[k].append(b)
            self._begin(k, box)
            self.expressions[b] = self._lift(expression, variable, loops)
            self._hold(b, ("item", k, index_of(box)))

    def _begin(self, k: str, box: Box) -> None:
        """Before the equation of a variable for a box is lifted."""
        self._streams, self._equation = {}, (k, box)

    def shape(self, k: str) -> tuple[int, ...]:
        return tuple(len(elements) for _, elements in self.by_key[k].axes)

    def size(self, k: str) -> int:
        """The number of values of a variable (or of a hidden part)."""
        return math.prod(self.shape(k)) if k in self.by_key else 1

    def variable_of(self, k: str) -> str:
        """The variable that an equation defines, wholly or in part."""
        return self.parts[k].variable if k in self.parts else k

    def _refuse_gaps(self, k: str, gaps: set[str]) -> None:
        """Refuse an equation that reads an element which nothing defines (M120)."""
        todo = [self.expressions[k]]
        while todo:
            for node in walk(todo.pop()):
                if node[0] == "slot":
                    todo += self.states[node[1]].parts
                if node[0] != "item" or node[1] not in gaps:
                    continue
                at = positions(node[2])
                numbers = np.arange(self.size(node[1])).reshape(self.shape(node[1]))[at]
                absent = numbers[self._block_at[node[1]][at] < 0]
                if len(absent):
                    reader = self.by_key[owner(self.variable_of(k))]
                    label = self.by_key[node[1]].labels[absent.flat[0]]
                    raise ModelError(
                        "M120", f"{self.where(reader)}: nothing defines {label!r}, which it reads"
                    )

    def _read(self, node: tuple) -> Iterable[str]:
        """The keys of the equations that a reference reads."""
        if node[0] == "name":
            return (node[1],)
        blocks = self.blocks.get(node[1], ())
        if len(blocks) < 2:
            return blocks
        found = np.unique(self._block_at[node[1]][positions(node[2])])
        return [blocks[i] for i in found if i >= 0]

    def _sort_by_what_decides(self) -> None:
        self.derived = []
        self.derived = self._decided_by(lambda node: _keeps_state(node) or _reads_time(node))
        self.drivers = self._decided_by(_keeps_state)
        self.derived_at, self.derived_size = self._placed(self.derived)
        self.drivers_at, self.drivers_size = self._placed(self.drivers)

    def _placed(self, keys: Iterable[str]) -> tuple[dict[str, int], int]:
        """Where each variable begins in a row of values, and how long the row is."""
        places, size = {}, 0
        for k in dict.fromkeys(map(self.variable_of, keys)):
            places[k] = size
            size += self.size(k)
        return places, size

    def _take_parts_out(self) -> None:
        """Hoist from scalar equations and from flows that are written inside an INTEG."""
        flows = {
            f"{self.owner(('slot', i))} flow": state
            for i, state in enumerate(self.states)
            if state.kind in ("stock", "non-negative stock") and not state.loops
        }
        arrays = {b: self.expressions[b] for b, part in self.parts.items() if part.loops}
        together = {k: e for k, e in self.expressions.items() if k not in arrays}
        together |= {k: state.parts[0] for k, state in flows.items()}
        still = {*self.derived, *self.drivers}
        still |= {self.variable_of(k) for k in still}
        still |= {k for k, v in self.by_key.items() if v.axes and k not in self.blocks}
        together = hoist(together, still)
        for k, state in flows.items():
            state.parts = (together.pop(k), *state.parts[1:])
        self.expressions = together | arrays
        self._sort_by_what_decides()

    @property
    def frozen(self) -> set[str]:
        """Constants that decide the order of a delay, and so the shape of the program."""
        return self._fold.used

    def where(self, variable: Variable) -> str:
        return f"{self.model.path.name}, line {variable.line}, {variable.name!r}"

    # -- states ----------------------------------------------------------------------

    def _lift(self, node: tuple, variable: Variable, loops: Loops) -> tuple:
        """Replace states inside an expression by references into `self.states`."""
        if node[0] == "reduce":
            loops = (*loops, *node[2])
        lifted = rebuilt(node, lambda part: self._lift(part, variable, loops))
        if node[0] != "state":
            return lifted
        if node in self._streams:
            return self._streams[node]
        state = State(node[1], lifted[2], loops)
        if node[1] in ("delay", "delay n", "smooth", "smooth n"):
            order = self._fold(node[2][3], f"{self.where(variable)}: the order of the delay")
            if not 1 <= order <= 1000 or order != int(order):
                raise ModelError("M109", f"{self.where(variable)}: a delay of order {order:g}")
            state.order = int(order)
        self.states.append(state)
        slot = ("slot", len(self.states) - 1)
        if state.kind == "noise":
            self._streams[node] = slot
            self._numbers[slot[1]] = (*self._equation, int(node[2][0][1]))
        return slot

    def _hold(self, k: str, own: tuple) -> None:
        """Let a SAMPLE IF TRUE read its own variable (`own`): the value that it holds so far."""
        node = self.expressions[k]
        if node[0] != "slot" or self.states[node[1]].kind != "sample if true":
            return
        state = self.states[node[1]]

        def held(part: tuple) -> tuple:
            return ("held", node[1]) if part == own else rebuilt(part, held)

        state.parts = (*map(held, state.parts[:2]), state.parts[2])

    def _lay_out(self) -> None:
        """Give each state its places. m[0] holds the steps of the run + 1: a buffer's length."""
        slot, memory, buffer = 0, 1, 0
        for state in self.states:
            state.slot, state.memory, state.buffer = slot, memory, buffer
            slots, memories, buffers = (state.count * size for size in state.sizes)
            slot, memory, buffer = slot + slots, memory + memories, buffer + buffers
        self.slots, self.memory, self.buffers = slot, memory, buffer
        # The name of each stream of random numbers, and where in memory it begins.
        self.streams = {
            name: state.memory + turn * NOISE
            for i, state in enumerate(self.states)
            if state.kind == "noise"
            for turn, name in enumerate(self._stream_names(i))
        }

    def _stream_names(self, i: int) -> list[str]:
        """Of a random function a name for each of its turns: its variable or element, its number in
        that equation, and its turn in SUM and its like. Nothing else in the model changes them."""
        k, box, number = self._numbers[i]
        axes = self.by_key[k].axes
        labels = [
            f"{k}[{','.join(key(e[p]) for (_, e), p in zip(axes, at, strict=True))}]" if axes else k
            for at in product(*box)
        ]
        turns = self.states[i].count // len(labels)
        return [f"{label} {number} {turn}" for label in labels for turn in range(turns)]

    def slot_labels(self) -> tuple[str, ...]:
        """For each place in the state vector the variable, or the element, that it is of."""
        found = [""] * self.slots
        for i, state in enumerate(self.states):
            k = self.owner(("slot", i))
            variable, part = self.by_key[owner(k)], self.parts.get(k)
            names = [variable.name]
            if part is not None and part.loops == state.loops and variable.axes:
                names = [variable.labels[self.flat(part.variable, place)]
                         for place in product(*part.box)]  # fmt: skip
            width = state.sizes[0]
            for place in range(state.count * width):
                found[state.slot + place] = names[place // width % len(names)]
        return tuple(found)

    def flat(self, k: str, place: tuple[int, ...]) -> int:
        """The number of an element in its variable."""
        return int(np.ravel_multi_index(place, self.shape(k)))

    # -- dependencies ----------------------------------------------------------------

    def needs(self, node: tuple, start: bool) -> Iterable[tuple]:
        """Nodes that an expression reads: ("name", key), and at the start ("slot", i) too."""
        if node[0] == "call" and node[1] == "active_initial":
            node = node[2][1 if start else 0]
            yield from self.needs(node, start)
            return
        if node[0] in ("name", "item"):
            for k in self._read(node):
                yield ("name", k)
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
        """Nodes in the order in which they can be computed."""
        known = {*known}
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
                        raise _Circle(path[path.index(child) :])
                else:
                    done[node] = True
                    order.append(node)
                    stack.pop()
        return order

    def _in_circle(self, circle: list[tuple]) -> list[str]:
        return [n[1] if n[0] == "name" else self.owner(n) for n in circle]

    def _refuse_circle(self, circle: list[tuple]) -> None:
        keys = [self.variable_of(k) for k in self._in_circle(circle)]
        names = [self.by_key[k].name for k in dict.fromkeys(map(owner, keys))]
        shown = " -> ".join([*names, *names[:1]])
        line = min((self.by_key[key(n)].line for n in names), default=0)
        raise ModelError("M106", f"{self.model.path.name}, line {line}: {shown}")

    def _decided_by(self, starters: Callable[[tuple], bool]) -> list[str]:
        """Keys of equations that nothing decides for which `starters` holds, in their order.

        What `starters` marks (a state, a function of time) spreads to every reader, and from one
        equation of an array to the others.
        """
        changing: set[str] = set()
        readers: dict[str, set[str]] = {}
        for k, expression in self.expressions.items():
            for node in walk(expression):
                if node[0] in ("name", "item"):
                    readers.setdefault(node[1], set()).add(k)
                if starters(node):
                    changing.add(k)
        todo = list(changing)
        while todo:
            variable = self.variable_of(todo.pop())
            for reader in (*readers.get(variable, ()), *self.blocks.get(variable, ())):
                if reader not in changing:
                    changing.add(reader)
                    todo.append(reader)
        known = {*self.derived}
        wanted = {k: None for k in self.expressions if k not in changing and k not in known}
        order = self.order([("name", k) for k in wanted], False, known)
        return [n[1] for n in order if n[1] in wanted]

    def delays(self) -> tuple[tuple, ...]:
        """Of each delay and smooth the variable, the kind, the order, its time and its loops."""
        return tuple(
            (
                self.by_key[self.variable_of(self.owner(("slot", i)))].name,
                state.kind, state.order, state.parts[1], state.loops,
            )
            for i, state in enumerate(self.states)
            if state.kind in _DELAYS
        )  # fmt: skip

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
