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
    found = _Frontier(model, changed).program(program, measured | {key(n) for n in factors if n})
    if found is None:
        return None
    frontier, labels = found
    place = {name: i for i, name in enumerate(program.parameters)}
    places = np.array([place[labels.get(name, name)] for name in frontier.parameters])
    return frontier, places, np.array([name in labels for name in frontier.parameters])


class _Frontier:
    def __init__(self, model: Model, changed: set[str]):
        self.model, self.changed = model, changed
        self.by_key = {key(n): v for n, v in model.variables.items()} | model.hidden
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

    def _parts(self, roots: list[tuple[tuple, bool]], inner: Inner) -> Iterator[tuple]:
        """The frontier below some expressions, each with whether it is an array's: expressions, and
        ("name", key) for the whole of an array."""
        read = set().union(*(_names(node, inner) for node, _ in roots))
        needed = _closure(
            read,
            lambda k: _names(self.by_key[k].expression, inner) if k in self.moving else (),
        )
        for k in sorted(needed & self.moving):
            roots = [*roots, (self.by_key[k].expression, bool(self.by_key[k].axes))]
        for node, inside in roots:
            yield from self._below(node, inside, inner)

    def _below(self, node: tuple, inside: bool, inner: Inner) -> Iterator[tuple]:
        names = _names(node, inner)
        if inside:  # an index has a meaning here that it has nowhere else
            yield from (("name", k) for k in sorted(names & self.influenced))
        elif not names & self.moving and not any(map(_moves, walk(node))):
            if names & self.influenced:
                yield node
        else:
            for part in inner(node):
                yield from self._below(part, node[0] == "reduce", inner)

    def program(
        self, program: Program, measured: set[str]
    ) -> tuple[Program, dict[str, str]] | None:
        states = [
            (node, bool(self.by_key[k].axes))
            for k in self.moving for node in walk(self.by_key[k].expression) if node[0] == "state"
        ]  # fmt: skip
        outputs = [
            (("name", k), bool(self.by_key[k].axes)) for k in sorted(measured) if k in self.by_key
        ]
        at_once = list(dict.fromkeys(self._parts(outputs, _now)))
        every = list(dict.fromkeys(self._parts([*states, *outputs], children)))
        found = {
            k: v for k, v in self.by_key.items() if v.kind in ("constant", "control", "lookup")
        }
        wanted = self.influenced.union(*map(_names, every), *(self.reads[k] for k in found))
        for k in sorted(_closure(wanted, lambda k: self.reads.get(k, ()))):
            if k in self.by_key:
                found[k] = self.by_key[k]
        if any(
            found[k].kind != "lookup"
            and found[k].axes
            and len(found[k].defined) < len(found[k].labels)
            for k in self.influenced
        ):
            return None  # an element without an equation cannot be compared
        labels: dict[str, str] = {}
        variables = {v.name: v for k, v in found.items() if k not in self.model.hidden}
        hidden = {k: v for k, v in found.items() if k in self.model.hidden}
        for k in sorted(self.influenced):
            own = found[k]
            copy = replace(own, name=k + FIRST, expression=self._copied(own.expression))
            if k in hidden:
                hidden[self._copy(k)] = copy
            else:
                variables[copy.name] = copy
            if own.kind == "constant":
                labels |= dict(zip(copy.labels, own.labels, strict=True))
        for name, parts in ((DIFFERS, every), (AT_ONCE, at_once)):
            terms = []
            for part in parts:
                term = f"{name} {len(terms) + 1}"
                variables[term] = _auxiliary(term, self._compared(part))
                terms.append(("name", key(term)))
            total = _sum(terms)
            if name == DIFFERS:
                total = ("state", "stock", (total, ("number", 0.0)))
            kind = "stock" if name == DIFFERS else "auxiliary"
            variables[name] = replace(_auxiliary(name, total), kind=kind)
        if len({key(name) for name in variables}) < len(variables):
            return None  # the model has a variable of such a name
        copy = replace(
            self.model, variables=variables, hidden=hidden,
            hash=f"{self.model.hash} {sorted(self.changed)} {sorted(measured)}",
        )  # fmt: skip
        made = compile_model(copy, (DIFFERS, AT_ONCE))
        controls = {name: getattr(program, name) for name in CONTROLS}
        size = len(CONTROLS)
        defaults = (*made.defaults[:-size], *program.defaults[-size:])
        return replace(made, defaults=defaults, **controls), labels

    def _copy(self, k: str) -> str:
        """The key of the copy of a variable."""
        return k + key(f"x{FIRST}")[1:]

    def _copied(self, node: tuple) -> tuple:
        node = rebuilt(node, self._copied)
        if node[0] in ("name", "item") and node[1] in self.influenced:
            return (node[0], self._copy(node[1]), *node[2:])
        return node

    def _compared(self, part: tuple) -> tuple:
        """1 where a part of the frontier differs, 0 where not; of an array the sum of that."""
        loops = ()
        axes = self.by_key[part[1]].axes if part[0] == "name" else ()
        if axes:
            box = tuple(tuple(range(len(elements))) for _, elements in axes)
            part, loops = ("item", part[1], index_of(box)), loops_of(box)
        other = self._copied(part)
        same = ("compare", "=", part, other)
        if self.model.missing_values:  # a missing value equals nothing, itself included
            absent = [("not", ("compare", "=", one, one)) for one in (part, other)]
            same = ("or", same, ("and", *absent))
        found = ("call", "if_then_else", (same, ("number", 0.0), ("number", 1.0)))
        return ("reduce", "sum", loops, (found,)) if loops else found


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
    """Whether more than constants and time decides an expression."""
    if node[0] == "call":
        return node[1] == "active_initial" or FUNCTIONS[node[1]].held or FUNCTIONS[node[1]].noisy
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
