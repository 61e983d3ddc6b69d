"""Single faults put into a model, to see whether its checks notice.

A fault is what a modeler does by mistake: a sign turned, a link missing, a rate doubled, a
flow dropped from a stock. In software the method is mutation testing (DeMillo, Lipton and
Sayward 1978, doi:10.1109/C-M.1978.218136). Faults are made in expression trees, so that
nothing is parsed again, and a sabotaged model runs in plain Python.

    python -m tests.sabotage fentanyl 1 30

prints thirty faults from seed 1, and the check that notices each.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from sdkit.check import findings
from sdkit.checks import STOCKS, read_checks
from sdkit.compile import compile_model
from sdkit.errors import Error
from sdkit.experiment import read_settings
from sdkit.expressions import children, key, walk
from sdkit.model import Model, Variable, read_model
from sdkit.outputs import read_outputs
from sdkit.parameters import read_parameters
from sdkit.probe import Runs
from sdkit.simulation import simulate

# Kinds that take tens or hundreds of runs, and the one that reads the text of the model.
SLOW = ("step", "inputs", "draws", "zero stocks", "units")


@dataclass(frozen=True)
class Fault:
    """One fault: the variable, what was done to it, and the expression that it has now."""

    variable: str
    what: str
    expression: tuple

    def __str__(self) -> str:
        return f"{self.variable}: {self.what}"

    def into(self, model: Model) -> Model:
        changed = replace(model.variables[self.variable], expression=self.expression)
        # The hash tells a sabotaged model from the sound one.
        return replace(
            model,
            variables={**model.variables, self.variable: changed},
            hash=f"{model.hash} {self}",
        )


def faults(
    model: Model, watched: Sequence[str], levers: Mapping[str, float], seed: int, n: int
) -> list[Fault]:
    """`n` faults, the four kinds in turn, each in another variable.

    Only variables from which a watched one can be reached are touched. Left out are
    constants, tables and time settings, which are values and no structure; and what constants
    and time alone decide (ramps of levers, the effort they take, dated inputs), since there is
    no state in it that a check of behaviour could see. A link is missing only where something
    moves at its other end, by default or with the `levers` pulled: else nothing is lost.
    """
    program = compile_model(model)
    result, pulled = simulate(program), simulate(program, set=levers)
    start = {
        key(name): float(values.to_numpy().flat[0])
        for name, values in result.items()
        if max(_spread(values), _spread(pulled[name])) > 1e-6
    }
    alive = [v for v in _alive(model, watched).values() if _has_state(model, v)]
    order = random.Random(seed)
    kinds: list[Callable] = [_sign, _link, _double, _drop]
    found: list[Fault] = []
    while len(found) < n:
        kind = kinds[len(found) % len(kinds)]
        candidates = [f for v in alive for f in kind(v, start)]
        candidates = [f for f in candidates if f.variable not in {g.variable for g in found}]
        if not candidates:
            kinds.remove(kind)
            continue
        # A variable first, so that long equations do not draw all faults to themselves.
        variable = order.choice(sorted({f.variable for f in candidates}))
        found.append(order.choice([f for f in candidates if f.variable == variable]))
    return found


def _reads(variable: Variable) -> set[str]:
    return {node[1] for node in walk(variable.expression) if node[0] in ("name", "lookup")}


def _alive(model: Model, watched: Sequence[str]) -> dict[str, Variable]:
    todo, alive = [model.find(name) for name in watched], {}
    while todo:
        variable = todo.pop()
        if variable.name not in alive:
            alive[variable.name] = variable
            todo += [model.find(k) for k in _reads(variable) if model.has(k)]
    # In the order of the file, whatever the order of the walk.
    return {n: v for n, v in model.variables.items() if n in alive}


def _spread(values) -> float:
    """How far the values of a run lie apart, relative to the largest."""
    values = values.to_numpy()
    return float(np.ptp(values) / max(np.abs(values).max(), 1e-300))


def _has_state(model: Model, variable: Variable) -> bool:
    """Whether a state has a part in deciding a variable."""
    seen, todo = set(), [variable]
    while todo:
        one = todo.pop()
        if any(node[0] == "state" for node in walk(one.expression)):
            return True
        todo += [model.find(k) for k in _reads(one) - seen if model.has(k)]
        seen |= _reads(one)
    return False


def _rewrite(node: tuple, path: tuple[int, ...], new: tuple) -> tuple:
    """The expression with the part at `path` (places inside tuples) replaced."""
    if not path:
        return new
    i = path[0]
    return (*node[:i], _rewrite(node[i], path[1:], new), *node[i + 1 :])


def _paths(node: tuple, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], tuple]]:
    """Every part of an expression with its path; the starts of states are left out."""
    yield path, node
    if node[0] in ("call", "state"):
        parts = [((2, i), part) for i, part in enumerate(node[2])]
        parts = parts[:1] if node[:2] in STOCKS else parts
    else:
        parts = [((i,), p) for i, p in enumerate(node) if p in children(node) and i > 0]
    for more, part in parts:
        yield from _paths(part, path + more)


def _sign(variable: Variable, start) -> Iterator[Fault]:
    """+ for - or - for +."""
    for path, node in _paths(variable.expression):
        if node[0] == "arithmetic" and node[1] in "+-":
            turned = (*node[:1], "-" if node[1] == "+" else "+", *node[2:])
            what = f"{node[1]} turned before {_show(node[3])}"
            yield Fault(variable.name, what, _rewrite(variable.expression, path, turned))


def _link(variable: Variable, start) -> Iterator[Fault]:
    """A variable that is read replaced by the value that it begins with."""
    for path, node in _paths(variable.expression):
        if node[0] == "name" and node[1] in start:
            held = ("number", start[node[1]])
            what = f"{node[1]} held at {held[1]:g}"
            yield Fault(variable.name, what, _rewrite(variable.expression, path, held))


def _double(variable: Variable, start) -> Iterator[Fault]:
    if variable.kind == "auxiliary" and variable.expression[:2] not in STOCKS:
        twice = ("arithmetic", "*", variable.expression, ("number", 2.0))
        yield Fault(variable.name, "doubled", twice)


def _drop(variable: Variable, start) -> Iterator[Fault]:
    """A summand dropped from the flow of a stock."""
    if variable.expression[:2] in STOCKS:
        for path, node in _paths(variable.expression):
            if path and _in_sum(variable.expression, path):
                gone = _rewrite(variable.expression, path, ("number", 0.0))
                yield Fault(variable.name, f"{_show(node)} dropped", gone)


def _in_sum(expression: tuple, path: tuple[int, ...]) -> bool:
    """Whether the part at a path is a summand of a stock's flow, and no sum itself."""
    node = expression[2][0]
    for place in path[2:]:
        if node[0] != "arithmetic" or node[1] not in "+-":
            return False
        node = node[place]
    return not (node[0] == "arithmetic" and node[1] in "+-")


def _show(node: tuple) -> str:
    return node[1] if node[0] == "name" else " ".join(sorted(
        {n[1] for n in walk(node) if n[0] == "name"})) or "a number"  # fmt: skip


# -- are they caught? ------------------------------------------------------------------------


class Trial:
    """A model with its checks, ready to judge sabotaged copies of itself."""

    def __init__(self, folder: Path):
        self.model = read_model(folder)
        self.parameters = read_parameters(self.model)
        checks = read_checks(folder / "checks.toml", self.model, self.parameters)
        outputs = read_outputs(folder / "outputs.toml", self.model).values()
        policies = read_settings(folder / "policies.toml", "policy", self.parameters).values()
        self.levers = {name: x for policy in policies for name, x in policy.values.items()}
        self.headlines = [o.variable for o in outputs if o.headline]
        # One default run stands for draws; the quickest kinds come first.
        kept = [c for c in checks if c.kind not in SLOW]
        self.checks = [
            replace(c, options={k: v for k, v in c.options.items() if k != "draws"})
            for c in sorted(kept, key=lambda c: any(map(bool, c.layers)))
        ]

    @property
    def watched(self) -> list[str]:
        """Headline outputs, and the variables that checks look at."""
        words = ("variable", "equals")
        names = [c.options[word] for c in self.checks for word in words if word in c.options]
        return [*self.headlines, *names]

    def faults(self, seed: int, n: int) -> list[Fault]:
        return faults(self.model, self.watched, self.levers, seed, n)

    def caught(self, fault: Fault | None) -> str:
        """The check that notices a fault, or the code of the error; "" if nothing does."""
        model = fault.into(self.model) if fault else self.model
        runs = Runs(model, self.parameters, self.headlines, plain=True)
        try:
            for finding in findings(self.checks, runs):
                if not finding.passed:
                    return finding.check.name
        except Error as error:
            return error.code
        return ""

    def judge(self, found: Sequence[Fault]) -> dict[Fault, str]:
        """What notices each fault ("" for nothing); two processes share the work."""
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            return dict(zip(found, pool.map(self.caught, found), strict=True))


def main(name: str, seed: int, n: int) -> None:
    """Print `n` faults of a model under models/, and the check that notices each."""
    trial = Trial(Path(__file__).resolve().parents[1] / "models" / name)
    judged = trial.judge(trial.faults(seed, n))
    for fault, by in judged.items():
        print(f"{by or '-- missed --':60.60}  {fault}")
    print(f"{sum(map(bool, judged.values()))} of {n} caught")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
