"""Stocks of XMILE that may not fall below zero: what their outflows are held to.

The specification leaves the option to its macros (sections 3.6.2 and 4.2): the logic stands in the
outflows, in the order of the stock's list, and the stock's own equation holds. Stella does so too
("stocks are kept from going negative by constraining their outflows", its help on default options).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import ModelError
from .xmile_functions import STEP, ZERO, add, call, divide, subtract


@dataclass
class Stock:
    """A stock that may not fall below zero: its key, and its flows in the order of the file."""

    name: str
    inflows: Sequence[str]
    outflows: Sequence[str]


def limits(stocks: Sequence[Stock], reads: Mapping[str, set[str]], free: set[str]) -> dict:
    """For each flow a function that limits its expression, so that no stock falls below zero.

    An outflow is at most what the stock holds over DT, and what flows in, less what the outflows
    before it take. A flow into a stock that may run backwards (`free`) takes at most what the stock
    holds. `reads` gives for each variable those that its value reads. An inflow that itself waits
    for this flow, round a circle of stocks, arrives one DT later: it is not counted.
    """
    waits = {name: set(found) for name, found in reads.items()}
    caps: dict[str, tuple] = {}
    floors: dict[str, tuple] = {}

    def counted(flow: str, others: Sequence[str]) -> list[str]:
        found = []
        for other in others:
            if not waits_for(waits, other, flow):
                waits.setdefault(flow, set()).add(other)
                found.append(other)
        return found

    for stock in stocks:
        held = divide(("name", stock.name), STEP)
        back = [flow for flow in stock.inflows if flow in free]
        for n, flow in enumerate(back):
            room = held
            for other in counted(flow, back[:n]):
                room = add(room, call("min", ("name", other), ZERO))
            floors[flow] = call("max", room, ZERO)
    # Outflows first wait for those before them, so that a circle drops inflows and not the order.
    for stock in stocks:
        for n, flow in enumerate(stock.outflows):
            for other in stock.outflows[:n]:
                if counted(flow, [other]) != [other]:
                    raise ModelError(
                        "M122",
                        f"{stock.name!r}: the outflow {other!r} reads {flow!r}, which is "
                        "listed behind it",
                    )
    for stock in stocks:
        for flow in stock.outflows:
            room = divide(("name", stock.name), STEP)
            for other in counted(flow, stock.inflows):
                room = add(room, ("name", other))
            for other in stock.outflows[: list(stock.outflows).index(flow)]:
                room = subtract(room, ("name", other))
            caps[flow] = call("max", room, ZERO)
    return {flow: (caps.get(flow), floors.get(flow)) for flow in dict.fromkeys([*caps, *floors])}


def limited(expression: tuple, cap: tuple | None, floor: tuple | None) -> tuple:
    """A flow that takes no more than `cap`, and runs back no more than `floor`."""
    found = expression if cap is None else call("min", expression, cap)
    return found if floor is None else call("max", found, ("negative", floor))


def waits_for(waits: Mapping[str, set[str]], start: str, goal: str) -> bool:
    """Whether the value of `start` waits, perhaps through others, for that of `goal`."""
    seen, todo = {start}, [start]
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        new = waits.get(name, set()) - seen
        seen |= new
        todo += new
    return False


def read_now(expression: tuple) -> set[str]:
    """The variables that the value of an expression reads at the same time: not those that only
    what it remembers reads."""
    if expression[0] == "state":
        parts = expression[2][1:2] if expression[1] == "delay" else ()
        return set().union(*map(read_now, parts))
    found = {expression[1]} if expression[0] in ("name", "reference", "lookup") else set()
    if expression[0] == "reference":
        for part in (s for s in expression[2] if isinstance(s, tuple)):
            found |= read_now(part)
    return found.union(*map(read_now, _inside(expression)))


def _inside(node: tuple) -> tuple:
    if node[0] == "call":
        return node[2]
    return tuple(p for p in node[1:] if isinstance(p, tuple) and p and isinstance(p[0], str))
