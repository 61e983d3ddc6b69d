"""The text of a program: readable Python, written from a layout.

Labels stand in comments and strings only, escaped.
"""

from __future__ import annotations

import inspect
import re

from . import numerics, runtime
from .expressions import CONTROLS, key
from .formulas import Formulas, number_text, tuple_text
from .hoist import owner
from .layout import Layout
from .states import READS, REMEMBERS, Block
from .subscripts import index_of

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
    for i, place in enumerate(STREAMS):
        m[place : place + 6] = [float(12345 + 7919 * i + j) for j in range(6)]
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
    # A name that a spreadsheet would run as a formula stands behind an apostrophe.
    rows.writerow(["Time", *("'" * n.lstrip().startswith(tuple("=+-@")) + n for n in NAMES)])
    columns = lane(list(DEFAULTS), steps, every, RK4)
    for i in range(0, steps // every + 1):
        rows.writerow([start + i * every * dt, *(column[i] for column in columns)])
'''


def write_source(layout: Layout) -> tuple[str, dict[int, str], tuple[float, ...]]:
    """The source, the label that each of its lines computes, and the values of p."""
    return _Writer(layout).write()


class _Writer(Formulas):
    def __init__(self, layout: Layout):
        super().__init__(layout)
        self.known = {*layout.derived, *layout.drivers}
        first = 0
        self.parameter_at: dict[str, int] = {}
        for k, variable in self.by_key.items():
            if variable.kind == "constant":
                self.parameter_at[k] = first
                first += layout.size(k)

    # -- functions of the program ----------------------------------------------------

    def _loads(self, text: list[tuple[str, str]], begin: str = "t") -> list[tuple[str, str]]:
        """Assignments of what some lines read, to put in front of them.

        `begin` is Python for the time at which the step began.
        """
        words = set(re.findall(r"[A-Za-z_]\w*", " ".join(line for line, _ in text)))
        lines = []
        places = {k: ("p", i) for k, i in self.parameter_at.items()}
        first = len(self.layout.parameters) - len(CONTROLS)
        places |= {k: ("p", first + i) for i, k in enumerate(CONTROLS)}
        places |= {k: ("c", i) for k, i in self.layout.derived_at.items()}
        places |= {k: ("x", i) for k, i in self.layout.drivers_at.items()}
        for k, (array, i) in places.items():
            if k in self.identifiers and self.identifiers[k] in words:
                at = f"{i}:{i + self.layout.size(k)}" if self._is_array(k) else i
                lines.append((f"{self.identifiers[k]} = {array}[{at}]", k))
        if "begin" in words:
            lines.append((f"begin = {begin}", ""))
        return lines

    def _is_array(self, k: str) -> bool:
        return k in self.by_key and bool(self.by_key[k].axes)

    def _assign(self, nodes: list[tuple], start: bool) -> list[tuple[str, str]]:
        """Statements that compute what these nodes stand for, in their order."""
        body: list[tuple[str, str]] = []
        begun: set[str] = set()
        for node in nodes:
            if node[0] == "slot":
                state = self.states[node[1]]
                lines, k = self._looped(state.loops, self._starts(state)), self.layout.owner(node)
            elif node[1] not in self.expressions or node[1] in self.known:
                continue
            else:
                lines, k = self._equation(node[1], start, begun), node[1]
            body += [(line, k) for line in lines]
        return body

    def _equation(self, k: str, start: bool, begun: set[str]) -> list[str]:
        """The statements of one equation; an array is made before the first of its elements."""
        expression = self.expressions[k]
        text = self._text(expression, start)
        part = self.layout.parts.get(k)
        if part is None:
            return [f"{self._name(k)} = {text}"]
        if (
            expression[0] == "slot"
            and not start
            and self._is_row(part)
            and ("stock" in self.states[expression[1]].kind)
        ):
            first = self.states[expression[1]].slot
            return [f"{self._name(k)} = s[{first}:{first + self.layout.size(k)}]"]
        variable, shape = part.variable, self.layout.shape(part.variable)
        name, size = self._name(variable), self.layout.size(variable)
        lines = []
        if variable not in begun:
            begun.add(variable)
            lines.append(f"{name} = [0.0] * {size}")
        assignment = f"{name}[{self._place(shape, index_of(part.box))}] = {text}"
        return [*lines, *self._looped(part.loops, [assignment])]

    def _is_row(self, part: Block) -> bool:
        """Whether an equation gives all elements of its array in their order."""
        whole = [tuple(range(n)) for n in self.layout.shape(part.variable)]
        return len(self.layout.blocks[part.variable]) == 1 and list(part.box) == whole

    def _initial(self) -> list[tuple[str, str]]:
        slots = [("slot", i) for i in range(len(self.states))]
        body = self._assign(self.layout.order(slots, True, self.known), True)
        return self._loads(body) + body

    def _evaluate(self) -> list[tuple[str, str]]:
        wanted, rates = [], []
        for i, state in enumerate(self.states):
            for part in READS[state.kind][2]:
                wanted += self.layout.needs(state.parts[part], False)
            lines = self._looped(state.loops, self._rates(state))
            rates += [(line, self.layout.owner(("slot", i))) for line in lines]
        outputs = self._outputs()
        wanted += [("name", b) for k, _, _ in outputs for b in self.layout.blocks.get(k, (k,))]
        body = self._assign(self.layout.order(wanted, False, self.known), False) + rates
        for k, first, count in outputs:
            body += [(line, k) for line in self._stored("o", first, k, count)]
        return self._loads(body, "p[-4] + k * dt") + body

    def _outputs(self) -> list[tuple[str, int, int | tuple[int, ...]]]:
        """What goes into o: a variable, its first place there, and whether all of it or which."""
        found, labels, at = [], self.layout.outputs, 0
        while at < len(labels):
            variable = self.model.owners[labels[at]]
            own, k = variable.labels, key(variable.name)
            if labels[at : at + len(own)] == own:
                found.append((k, at, len(own)))
                at += len(own)
            else:
                found.append((k, at, -own.index(labels[at]) - 1))
                at += 1
        return found

    def _stored(self, array: str, first: int, k: str, count: int = 1) -> list[str]:
        """Statements that put a variable into an array; where count < 0, one element of it."""
        name = self._name(k)
        if not self._is_array(k):
            return [f"{array}[{first}] = {name}"]
        if count < 0:
            return [f"{array}[{first}] = {name}[{-count - 1}]"]
        at = f"{first} + i1" if first else "i1"
        return self._looped((("i1", count),), [f"{array}[{at}] = {name}[i1]"])

    def _remember(self) -> list[tuple[str, str]]:
        wanted, lines = [], []
        for i, state in enumerate(self.states):
            for part in REMEMBERS.get(state.kind, ()):
                wanted += self.layout.needs(state.parts[part], False)
            own = self._looped(state.loops, self._remembers(state))
            lines += [(line, self.layout.owner(("slot", i))) for line in own]
        body = self._assign(self.layout.order(wanted, False, self.known), False) + lines
        return self._loads(body) + body

    def _block(self, keys: list[str], places: dict[str, int], array: str) -> list[tuple[str, str]]:
        """Assignments that compute some variables and store them in an array."""
        begun: set[str] = set()
        body = [(line, k) for k in keys for line in self._equation(k, False, begun)]
        for k, i in places.items():
            body += [(line, k) for line in self._stored(array, i, k, self.layout.size(k))]
        return [line for line in self._loads(body) if line[1] not in places] + body

    def write(self) -> tuple[str, dict[int, str], tuple[float, ...]]:
        layout = self.layout
        constants = self._block(layout.derived, layout.derived_at, "c")
        drivers = self._block(layout.drivers, layout.drivers_at, "x")
        clip = []
        for i, state in enumerate(self.states):
            if state.kind == "non-negative stock":
                s, d = (self._slot(a, state.slot, 1, state) for a in "sd")
                lines = self._looped(state.loops, [f"{s} = settled({s}, dt * {d})"])
                clip += [(line, layout.owner(("slot", i))) for line in lines]
        drawn = [
            (line, layout.owner(("slot", i)))
            for i, state in enumerate(self.states)
            if state.kind == "noise"
            for line in self._looped(state.loops, self._drawn(state))
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
            (
                "clip(dt, s, d)",
                "No rounding below zero in stocks that may not fall below it.",
                clip,
            ),
            ("draw(m)", "The random numbers of the next step.", drawn),
        ]
        return self._assemble(functions)

    def _assemble(self, functions) -> tuple[str, dict[int, str], tuple[float, ...]]:
        defaults: list[float] = []
        for variable in self.by_key.values():
            if variable.kind == "constant":
                own = variable.value
                defaults += own if isinstance(own, tuple) else [own]
        defaults += [self.layout.controls[k] for k in CONTROLS]
        lines: list[str] = [
            f"# Generated by sdkit from {_comment(self.model.path.name)}.",
            "# Plain Python: run it as it stands for one default run, printed as CSV.",
            "",
            "import math",
            "",
            f"STATES = {self.layout.slots}",
            f"OUTPUTS = {len(self.layout.outputs)}",
            f"DERIVED = {self.layout.derived_size}",
            f"DRIVERS = {self.layout.drivers_size}",
            f"MEMORY = {self.memory}",
            f"BUFFERS = {self.layout.buffers}",
            f"MISSING_VALUES = {self.model.missing_values}",
            f"RK4 = {self.model.method == 'rk4'}",
            f"STREAMS = {tuple_text(tuple(self.layout.streams.values()))}",
            "",
            "DEFAULTS = (",
        ]
        for i, (name, value) in enumerate(zip(self.layout.parameters, defaults, strict=True)):
            lines.append(f"    {number_text(value)},  # p[{i}] {_comment(name)}")
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
                note, k = "", self.layout.variable_of(k)
                if k in self.by_key and k not in labelled:
                    unit = f" [{variable.unit}]" if variable.unit else ""
                    note = f"  # {_comment(variable.name + unit)}"
                    labelled.add(k)
                body.append(f"    {statement}{note}")
                if variable is not None:
                    owners[len(body)] = variable.name
        # Tables are known only once every expression has been written.
        for points, name in self.tables.items():
            for end, i in (("X", 0), ("Y", 1)):
                one = isinstance(points[-1], str)  # a table is (x, y, mode), a list holds tables
                text = (
                    tuple_text(points[i])
                    if one
                    else f"({', '.join(tuple_text(p[i]) for p in points)})"
                )
                lines.append(f"{name}_{end} = {text}")
        lines += [f"{name} = {tuple_text(numbers)}" for (_, numbers), name in self.lists.items()]
        offset = len(lines)
        owners = {line + offset: name for line, name in owners.items()}
        functions_text, run_text = inspect.getsource(numerics), inspect.getsource(runtime)
        tail = (
            functions_text[functions_text.index("import math") :].rstrip("\n")
            + "\n\n\n"
            + run_text[run_text.index("# What a gauge measures") :]
        )
        source = "\n".join([*lines, *body, "", "", tail.rstrip("\n")]) + "\n" + _MAIN
        return source, owners, tuple(defaults)


def _comment(text: str) -> str:
    """Text made safe for a comment: no character of it can end the line."""
    return text.encode("unicode_escape").decode("ascii")
