"""A picture of a model's loops, drawn from the model itself.

    python -m tests.loops [MODEL] [PICTURE]

The chains in the README's section on loops are closed to rings, by other chains or by the
model's own links, and drawn with the sign that each link has over the default run: the
effect is computed anew with its cause moved a little and all else held. "±" is a link whose
sign changes within the run, "0" one that never acts at the defaults.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections import deque
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from sdkit import compile_model, read_model, simulate
from sdkit.expressions import children, key, walk
from sdkit.failure import plain
from sdkit.functions import FUNCTIONS, LOOKUPS

COLOURS = {"+": "#0072B2", "−": "#D55E00", "±": "#666666", "0": "#999999"}  # Okabe and Ito
ACROSS, ROW = 3, 6.6  # panels in a row; height of a label's row in millimetres
NOTE = (
    "R reinforcing, B balancing, ? undecided; + same direction, − opposite, ± changes within the "
    "default run, 0 idle there; dashed: a link that closes the ring, named elsewhere"
)


def chains(readme: str) -> dict[str, list[list[str]]]:
    """The chains of each numbered loop of a README, as keys, by the loop's name in bold."""
    section = re.search(r"^## Loops.*?\n(.*?)(?=^## |\Z)", readme, re.M | re.S)[1]
    found = {}
    for item in re.split(r"^\d+\. ", section, flags=re.M)[1:]:
        name = re.match(r"\*\*(.*?)\.?\*\*", item)[1]
        rows = found.setdefault(name, [])
        for sentence in re.split(r"[;:.](?:\s|$)|, and ", re.sub(r"\*\*.*?\*\*", "", item)):
            words = [re.sub(r"\(.*?\)|[*`]", "", w).strip() for w in sentence.split("→")]
            if len(words) > 1:
                words[0] = words[0].split(", ")[-1].removeprefix("Also ").removeprefix("and ")
                words[-1] = words[-1].split(",")[0]
                rows.append([key(w) for w in words])
    return found


def python(node: tuple) -> str:
    """Python text of an expression; a stock's is its net flow."""
    kind = node[0]
    if kind == "number":
        return repr(node[1])
    if kind == "name":
        return f"v[{node[1]!r}]"
    if kind == "lookup":
        return f"table({node[1]!r}, {python(node[2])})"
    if kind == "state":
        return python(node[2][0])
    parts = [python(child) for child in children(node)]
    if kind == "call":
        return f"({FUNCTIONS[node[1]].text.format(*parts)})"
    if kind in ("negative", "not"):
        return f"({'-' if kind == 'negative' else 'not '}{parts[0]})"
    if kind in ("and", "or"):
        return f"({f' {kind} '.join(parts)})"
    if kind == "arithmetic" and node[1] == "^":
        return f"power({parts[0]}, {parts[1]})"
    operator = {"=": "==", "<>": "!="}.get(node[1], node[1])
    return f"({parts[0]} {operator} {parts[1]})"


class Signs:
    """The sign of each link of a model, over its default run."""

    def __init__(self, model):
        self.model, program = model, compile_model(model)
        run = simulate(program)
        at = np.linspace(0, run.sizes["time"] - 1, 42)[1:].astype(int)
        columns = {key(n): run[n].to_numpy()[at, 0, 0, 0] for n in run.data_vars}
        columns["time"] = run["time"].to_numpy()[at]
        self.states = [{n: float(c[i]) for n, c in columns.items()} for i in range(len(at))]
        self.space = plain(program.source)
        self.space["table"] = self._table

    def _table(self, name: str, x: float) -> float:
        xs, ys, mode = self.model.find(name).expression[1]
        return self.space[LOOKUPS[mode]](x, xs, ys)

    def __call__(self, cause: str, effect: str) -> str:
        code = compile(python(self.model.find(effect).expression), effect, "eval")
        found = set()
        for state in self.states:
            step = 1e-4 * max(abs(state[cause]), 1e-6)
            # Upwards only: many causes begin at zero and must not fall below it.
            low, high = (
                eval(code, self.space, {"v": state | {cause: state[cause] + d}})
                for d in (0.0, step)
            )
            if abs(high - low) > 1e-9 * max(abs(low), abs(high)):
                found.add("+" if high > low else "−")
        return found.pop() if len(found) == 1 else "±" if found else "0"


def links_of(model) -> dict[str, list[str]]:
    """Each variable that is no constant, by key, and those whose equations read it."""
    links: dict[str, list[str]] = {}
    for variable in model.variables.values():
        for node in walk(variable.expression):
            if node[0] == "name" and model.has(node[1]) and model.find(node[1]).kind != "constant":
                links.setdefault(node[1], []).append(key(variable.name))
    return links


def way(links: dict[str, list[str]], start: str, end: str, shut: set[str]) -> list[str] | None:
    """The shortest way from start to end that meets nothing in `shut`."""
    queue, met = deque([[start]]), set(shut)
    while queue:
        path = queue.popleft()
        for other in links.get(path[-1], ()):
            if other == end:
                return [*path, end]
            if other not in met:
                met.add(other)
                queue.append([*path, other])
    return None


def rings(rows: list[list[str]], said: dict, links: dict) -> list[tuple[list[str], set]]:
    """Rings of variables, each with the links that no chain of this loop names."""
    found = {}
    own = {link for row in rows for link in pairwise(row)}
    for row in rows:
        ring = row
        back = next((n for n in row if row.count(n) > 1), None)
        if back is not None:  # the chain comes back to itself
            first = row.index(back)
            ring = row[first : row.index(back, first + 1)]
        else:
            closing = _closing(row, said)
            closing = _closing(row, links) if closing is None else closing
            if closing is None:
                print("drawn in no ring of its own:", " → ".join(row).replace("_", " "))
                continue
            ring = row + closing
        found.setdefault(frozenset(ring), (ring, set(pairwise([*ring, ring[0]])) - own))
    return list(found.values())


def _closing(row: list[str], links: dict) -> list[str] | None:
    """What closes a chain, if it is short beside it: a long way round is another story."""
    found = way(links, row[-1], row[0], set(row))
    return found[1:-1] if found and len(found) - 2 <= len(row) / 2 else None


def rows_of(ring: list[str]) -> int:
    return max(3, (len(ring) + 1) // 2)


def draw(axes, title: str, ring: list[str], signs: list[str], lent: set, label) -> None:
    """One ring: down the right side, up the left; labels outside, so that none can meet."""
    n, right, tall = len(ring), (len(ring) + 1) // 2, rows_of(ring) * ROW
    points = []
    for i in range(n):
        count, place = (right, i) if i < right else (n - right, n - 1 - i)
        level = 1 - 2 * (place + 0.5) / count  # 1 at the top, -1 at the bottom
        x = (9.0 if i < right else -9.0) * (1 - 0.3 * abs(level) ** 3)
        points.append((x, (level - 1) * tall / 2))
    for i, (x, y) in enumerate(points):
        axes.text(x + np.sign(x) * 1.5, y, textwrap.fill(label(ring[i]), 16), fontsize=6.2,
                  va="center", ha="left" if x > 0 else "right", linespacing=0.95)  # fmt: skip
        axes.plot(x, y, "o", color="#333333", markersize=2)
        tip, sign = points[(i + 1) % n], signs[i]
        across = x * tip[0] < 0
        dashed = (ring[i], ring[(i + 1) % n]) in lent
        axes.add_patch(FancyArrowPatch(
            (x, y), tip, connectionstyle=f"arc3,rad={-0.5 if n == 2 else -0.15}",
            arrowstyle="-|>", mutation_scale=6, color=COLOURS[sign], linewidth=0.9, shrinkA=2.5,
            shrinkB=2.5, linestyle=(0, (3, 1.5)) if dashed else "-"))  # fmt: skip
        aside = (-np.sign(x) * 2.2, 0)
        if across:  # above the ring's upper arrow, under its lower one
            aside = (0, -np.sign(x) * (6.2 if n == 2 else 3.2))
        axes.text(*np.add(np.add((x, y), tip) / 2, aside), sign, fontsize=8, ha="center",
                  va="center", color=COLOURS[sign], fontweight="bold")  # fmt: skip
    kind = "?" if {"±", "0"} & set(signs) else "B" if signs.count("−") % 2 else "R"
    round_it = {"boxstyle": "circle,pad=0.2", "fc": "white", "ec": "#333333", "lw": 0.8}
    axes.text(0, -tall / 2, kind, fontsize=11, ha="center", va="center", bbox=round_it)
    axes.text(0, 3.5, title, fontsize=7.3, fontweight="bold", ha="center", va="bottom")
    axes.set_xlim(-190 / ACROSS / 2, 190 / ACROSS / 2)
    axes.set_ylim(-rows_of(ring) * ROW - 2, 9)
    axes.axis("off")


def picture(folder: Path, path: Path) -> None:
    model = read_model(folder)
    named = chains((folder / "README.md").read_text(encoding="utf-8"))
    links = links_of(model)
    said: dict[str, list[str]] = {}
    for rows in named.values():
        for cause, effect in (link for row in rows for link in pairwise(row)):
            said.setdefault(cause, []).append(effect)
    sign, panels, drawn = Signs(model), [], set()
    for number, (name, rows) in enumerate(named.items(), 1):
        found = [r for r in rings(rows, said, links) if frozenset(r[0]) not in drawn]
        drawn |= {frozenset(ring) for ring, _ in found}
        for letter, (ring, lent) in zip("abcdefghij", found, strict=False):
            signs = [sign(a, b) for a, b in pairwise([*ring, ring[0]])]
            mark = f"{number}{letter}" if len(found) > 1 else str(number)
            panels.append((f"{mark} {name}", ring, signs, lent))
    columns = [[] for _ in range(ACROSS)]  # each panel under the shortest column so far
    filled = [0.0] * ACROSS
    for panel in panels:
        at = int(np.argmin(filled))
        columns[at].append((filled[at], panel))
        filled[at] += rows_of(panel[1]) * ROW + 13
    total = max(filled) + 8
    figure = Figure(figsize=(190 / 25.4, total / 25.4))
    for i, column in enumerate(columns):
        for top, panel in column:
            height = rows_of(panel[1]) * ROW + 11
            box = [i / ACROSS, 1 - (top + height) / total, 1 / ACROSS, height / total]
            draw(figure.add_axes(box), *panel, lambda name: model.find(name).name)
    figure.text(0.5, 3 / total, NOTE, fontsize=6.3, ha="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": "sdkit"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.loops")
    parser.add_argument("model", nargs="?", default="models/fentanyl", type=Path)
    parser.add_argument("picture", nargs="?", default="docs/loops.png", type=Path)
    arguments = parser.parse_args()
    picture(arguments.model, arguments.picture)


if __name__ == "__main__":
    main()
