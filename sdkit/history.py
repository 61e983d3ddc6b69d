"""Whether a policy leaves the past alone: decided from what the model's equations read.

Constants that policies set reach states only through expressions. The largest parts of these that
constants and time decide are its frontier: where each has the same value under a policy and under
the first one, at every evaluation before the branch, states and outputs are the same to the last
bit, since the same operations are done to the same numbers. `frontier_of` makes a model of the
frontier alone, under two sets of constants at once, whose one stock counts the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from .compile import Program, compile_model
from .experiment import Experiment
from .expressions import CONTROLS, children, key, rebuilt, walk
from .functions import FUNCTIONS
from .model import Model
from .states import READS
from .subscripts import index_of, loops_of
from .variables import Variable

# An expression, and by name the sizes of the loops that it stands in.
Located = tuple[tuple, dict[str, int]]
Inner = Callable[[tuple], tuple[tuple, ...]]
# Of the copy of a variable: under the constants of the first policy.
FIRST = " (first policy)"
DIFFERS, AT_ONCE = "differs from the first policy", "differs at once from the first policy"


def frontier_of(
    program: Program, experiment: Experiment
) -> tuple[Program, np.ndarray, np.ndarray] | None:
    """A program of the outputs DIFFERS (up to a step) and AT_ONCE (at it, of what is measured); for
    each of its constants the place among the program's, and whether the first policy gives it.
    None where it cannot be told."""
    model = program.model
    changed = {key(model.owners[model.find(n).name].name)
               for policy in experiment.policies for n in policy.values}  # fmt: skip
    measured = {key(model.owners[n].name) for n in program.outputs}
    factors = (m.likelihood and m.likelihood.factor for m in experiment.measures)
    measured |= {key(n) for n in factors if n}
    found = program.kept(
        (FIRST, frozenset(changed), frozenset(measured)),
        lambda: _Frontier(model, changed).program(measured),
    )
    if found is None:
        return None
    made, labels = found
    controls = {name: getattr(program, name) for name in CONTROLS}
    size = len(CONTROLS)
    defaults = (*made.defaults[:-size], *program.defaults[-size:])
    frontier = replace(made, defaults=defaults, **controls)
    place = {name: i for i, name in enumerate(program.parameters)}
    places = np.array([place[labels.get(name, name)] for name in frontier.parameters])
    return frontier, places, np.array([name in labels for name in frontier.parameters])


class _Frontier:
    def __init__(self, model: Model, changed: set[str]):
        self.model, self.changed = model, changed
        # Equations of macros, which are hidden under callers that may be absent here, in the open.
        open_to = {k: key(f"{k} (of a macro)") for k in model.hidden}
        named = {key(n): v for n, v in model.variables.items()}
        named |= {open_to[k]: replace(v, name=open_to[k]) for k, v in model.hidden.items()}

        def shown(node: tuple) -> tuple:
            node = rebuilt(node, shown)
            if node[0] in ("name", "item", "lookup") and node[1] in open_to:
                return (node[0], open_to[node[1]], *node[2:])
            return node

        if open_to:
            named = {k: replace(v, expression=shown(v.expression)) for k, v in named.items()}
        self.by_key = named
        self.reads = {k: _names(v.expression) for k, v in self.by_key.items()}
        equations = {k for k, v in self.by_key.items() if v.kind in ("auxiliary", "stock")}
        moving = {k for k in equations if any(map(_moves, walk(self.by_key[k].expression)))}
        self.moving = self._readers(moving) & equations
        self.influenced = self._readers(changed) - self.moving

    def _readers(self, keys: set[str]) -> set[str]:
        """These variables and all that read them, directly or not."""
        readers: dict[str, list[str]] = {}
        for k, names in self.reads.items():
            for name in names:
                readers.setdefault(name, []).append(k)
        return _closure(keys, lambda k: readers.get(k, ()))

    def _equations(self, k: str) -> list[Located]:
        """The equations of a variable."""
        node = self.by_key[k].expression
        if node[0] == "parts":
            return [(own, dict(loops_of(box))) for _, box, own in node[1:]]
        return [(node, {})]

    def _parts(self, roots: list[Located], inner: Inner) -> Iterator[Located]:
        """The frontier below some expressions and all that they read; `inner` says what is in an
        expression."""
        read = set().union(*(_names(node, inner) for node, _ in roots))
        needed = _closure(
            read,
            lambda k: _names(self.by_key[k].expression, inner) if k in self.moving else (),
        )
        for k in sorted(needed & self.moving):
            roots = [*roots, *self._equations(k)]
        for node, loops in roots:
            yield from self._below(node, loops, inner)

    def _below(self, node: tuple, loops: dict[str, int], inner: Inner) -> Iterator[Located]:
        names = _names(node)
        if names & self.moving or any(map(_moves, walk(node))):
            loops = loops | dict(node[2]) if node[0] == "reduce" else loops
            for part in inner(node):
                yield from self._below(part, loops, inner)
        elif names & self.influenced:
            yield node, {name: loops[name] for name in sorted(_open(node))}

    def _states(self, node: tuple, loops: dict[str, int]) -> Iterator[Located]:
        """The states in an expression."""
        if node[0] == "state":
            yield node, loops
        loops = loops | dict(node[2]) if node[0] == "reduce" else loops
        for part in children(node):
            yield from self._states(part, loops)

    def program(self, measured: set[str]) -> tuple[Program, dict[str, str]] | None:
        states = [
            found for k in sorted(self.moving) for node, loops in self._equations(k)
            for found in self._states(node, loops)
        ]  # fmt: skip
        outputs: list[Located] = []
        for k in sorted(measured):
            variable = self.by_key[k]
            if len(variable.defined) < len(variable.labels) and k in self.influenced:
                return None  # an element that no equation gives cannot be compared
            box = tuple(tuple(range(len(elements))) for _, elements in variable.axes)
            whole = ("item", k, index_of(box)) if box else ("name", k)
            outputs.append((whole, dict(loops_of(box))))
        at_once = _distinct(self._parts(outputs, _now))
        every = _distinct(self._parts([*states, *outputs], children))
        found = {
            k: v for k, v in self.by_key.items() if v.kind in ("constant", "control", "lookup")
        }
        wanted = self.influenced.union(
            *(_names(node) for node, _ in every), *(self.reads[k] for k in found)
        )
        for k in sorted(_closure(wanted, lambda k: self.reads.get(k, ()))):
            if k in self.by_key:
                found[k] = self.by_key[k]
        labels: dict[str, str] = {}
        variables = {v.name: v for v in found.values()}
        for k in sorted(self.influenced):
            own = found[k]
            copy = replace(own, name=k + FIRST, expression=self._copied(own.expression))
            variables[copy.name] = copy
            if own.kind == "constant":
                labels |= dict(zip(copy.labels, own.labels, strict=True))
        for name, parts in ((DIFFERS, every), (AT_ONCE, at_once)):
            terms = []
            for part in parts:
                term = f"{name} {len(terms) + 1}"
                variables[term] = _auxiliary(term, self._compared(*part))
                terms.append(("name", key(term)))
            total = _sum(terms)
            if name == DIFFERS:
                total = ("state", "stock", (total, ("number", 0.0)))
            kind = "stock" if name == DIFFERS else "auxiliary"
            variables[name] = replace(_auxiliary(name, total), kind=kind)
        if len({key(name) for name in variables}) < len(variables):
            return None  # the model has a variable of such a name
        copy = replace(
            self.model, variables=variables, hidden={},
            hash=f"{self.model.hash} {sorted(self.changed)} {sorted(measured)}",
        )  # fmt: skip
        return compile_model(copy, (DIFFERS, AT_ONCE)), labels

    def _copy(self, k: str) -> str:
        """The key of the copy of a variable."""
        return k + key(f"x{FIRST}")[1:]

    def _copied(self, node: tuple) -> tuple:
        node = rebuilt(node, self._copied)
        if node[0] in ("name", "item") and node[1] in self.influenced:
            return (node[0], self._copy(node[1]), *node[2:])
        return node

    def _compared(self, part: tuple, loops: dict[str, int]) -> tuple:
        """1 where a part of the frontier differs, 0 where not; with loops the sum of that."""
        other = self._copied(part)
        same = ("compare", "=", part, other)
        if self.model.missing_values:  # a missing value equals nothing, itself included
            absent = [("not", ("compare", "=", one, one)) for one in (part, other)]
            same = ("or", same, ("and", *absent))
        found = ("call", "if_then_else", (same, ("number", 0.0), ("number", 1.0)))
        return ("reduce", "sum", tuple(loops.items()), (found,)) if loops else found


def _distinct(parts: Iterable[Located]) -> list[Located]:
    found: list[Located] = []
    seen = set()
    for node, loops in parts:
        if (node, *loops.items()) not in seen:
            seen.add((node, *loops.items()))
            found.append((node, loops))
    return found


def _open(node: tuple) -> set[str]:
    """The loops that an expression's indices follow and that are not its own."""
    used, todo = set(), [node]
    while todo:
        one = todo.pop()
        if one[:1] == ("over",):
            used.add(one[1])
        else:
            todo += [part for part in one if isinstance(part, tuple)]
    return used - {loop for n in walk(node) if n[0] == "reduce" for loop, _ in n[2]}


def _now(node: tuple) -> tuple[tuple, ...]:
    """The expressions inside one that its value reads at once, and not by way of a state."""
    if node[0] == "state":
        return tuple(node[2][i] for i in READS[node[1]][0])
    return children(node)


def _names(node: tuple, inner: Inner = children) -> set[str]:
    found, todo = set(), [node]
    while todo:
        one = todo.pop()
        if one[0] in ("name", "item", "lookup"):
            found.add(one[1])
        todo += inner(one)
    return found


def _moves(node: tuple) -> bool:
    """Whether more than constants, the step and time decide an expression."""
    if node[0] == "call":
        return node[1] == "active_initial" or FUNCTIONS[node[1]].noisy
    return node[0] in ("state", "held")


def _closure(keys: Iterable[str], following) -> set[str]:
    found, todo = set(keys), list(keys)
    while todo:
        for k in following(todo.pop()):
            if k not in found:
                found.add(k)
                todo.append(k)
    return found


def _auxiliary(name: str, expression: tuple) -> Variable:
    return Variable(name, "auxiliary", "", (None, None), "", 0, expression)


def _sum(terms: list[tuple]) -> tuple:
    if len(terms) < 2:
        return terms[0] if terms else ("number", 0.0)
    half = len(terms) // 2
    return ("arithmetic", "+", _sum(terms[:half]), _sum(terms[half:]))
