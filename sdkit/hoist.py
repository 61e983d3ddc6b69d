"""Parts of equations that need not be computed where they stand.

RK4 evaluates a model four times a step. A part of an equation that only constants and time
decide can be computed less often, and a power that stands in several equations only once.
Both become hidden variables, named after the equation they were taken from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container

from .expressions import children, rebuilt
from .functions import FUNCTIONS


def owner(k: str) -> str:
    """The key of the variable that a hidden variable was taken from (or `k` itself)."""
    return k.partition(" ")[0]


def hoist(expressions: dict[str, tuple], still: Container[str]) -> dict[str, tuple]:
    """The same equations with such parts taken out, as further entries.

    `still` holds the keys of variables that no state decides. Nothing is taken from the
    branches of IF THEN ELSE or from the right of AND and OR: what is not reached there
    must not be able to fail.
    """
    taken: dict[tuple, str] = {}
    numbers: Counter[str] = Counter()

    def name(node: tuple, k: str) -> tuple:
        if node not in taken:
            numbers[owner(k)] += 1
            taken[node] = f"{owner(k)} {numbers[owner(k)]}"  # no key holds a blank
        return ("name", taken[node])

    def is_still(node: tuple) -> bool:
        kind = node[0]
        if kind == "slot" or (kind == "call" and _moves(node[1])):
            return False
        if kind == "name":
            return node[1] in still or node[1] not in expressions
        if kind == "item":
            return node[1] in still
        return all(is_still(part) for part in children(node))

    def take_still(k: str):
        return lambda node: name(node, k) if _costs(node) and is_still(node) else None

    moving = {k: e for k, e in expressions.items() if k not in still}
    moving = {k: _replace(e, take_still(k)) for k, e in moving.items()}

    seen: Counter[tuple] = Counter()
    for expression in moving.values():
        _replace(expression, lambda node: seen.update([node]) if _is_dear(node) else None)

    def take_repeated(k: str):
        return lambda node: name(node, k) if seen[node] > 1 and _is_dear(node) else None

    moving = {k: _replace(e, take_repeated(k)) for k, e in moving.items()}
    return expressions | moving | {k: node for node, k in taken.items()}


def _moves(function: str) -> bool:
    return function == "active_initial" or FUNCTIONS[function].held


def _costs(node: tuple) -> bool:
    if node[0] in ("lookup", "table", "tables", "call", "reduce") or (
        node[0] == "arithmetic" and node[1] in "/^"
    ):
        return True
    return any(_costs(part) for part in children(node))


def _is_dear(node: tuple) -> bool:
    if node[0] == "call":
        return node[1] in ("exp", "ln", "log", "sqrt", "power")
    return node[0] == "arithmetic" and node[1] == "^"


def _replace(node: tuple, take: Callable[[tuple], tuple | None]) -> tuple:
    """`node` with every outermost part for which `take` has something replaced by it."""
    found = take(node)
    if found is not None:
        return found
    kind = node[0]
    if kind == "call":
        if node[1] == "active_initial":
            return node
        sure = 1 if node[1] == "if_then_else" else len(node[2])
        inner = tuple(_replace(part, take) for part in node[2][:sure])
        return (*node[:2], inner + node[2][sure:])
    if kind in ("and", "or"):
        return (kind, _replace(node[1], take), node[2])
    if kind == "reduce":  # what stands in its loops depends on them
        return node
    return rebuilt(node, lambda part: _replace(part, take))
