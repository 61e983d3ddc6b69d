"""Structure of a model: units and diagrams, and pysimlin's run. Only here pysimlin is imported.

pysimlin checks units and draws views; `unit_faults` adds four checks that it lacks: a
missing unit, a table whose input has a dimension, a base with a dimension under a power
that is no whole number, and a STEP whose height has another unit than its variable.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from html import unescape

import numpy as np

from .errors import DependencyError, ModelError, plainly
from .expressions import key, walk
from .model import Model
from .scratch import scratch

# A dimension is a mapping from base unit to exponent; {} is a pure number, None unknown.
Dimension = dict[str, Fraction] | None
_PURE = {"dmnl", "dimensionless", "1", "unitless", "fraction"}
_SAME = {
    "min", "max", "abs", "integer", "quantum", "modulo", "sample if true", "smooth", "smooth n",
    "smoothi", "smooth3", "smooth3i", "delay1", "delay1i", "delay3", "delay3i", "delay n",
    "delay fixed", "initial", "active initial", "step",
}  # fmt: skip
_NUMBER = {"exp", "ln", "log", "log10", "sin", "cos", "tan"}
# What pysimlin calls functions that it writes out.
_MACROS = {"smth1": "SMOOTH", "smth3": "SMOOTH3", "smthn": "SMOOTH N", "delayn": "DELAY N"}
_SKETCH = "\\\\\\---///"
_SKETCH_END = "///---\\\\\\"


def _simlin():
    try:
        import simlin
    except ImportError:
        raise DependencyError(
            "X501",
            "unit checks, diagrams and the third engine need pysimlin, which is not installed (it "
            "has no Windows build); install it with: pip install -e '.[structure]'",
        ) from None
    return simlin


def simlin_faults(model: Model) -> list[str]:
    """What pysimlin's check finds, one sentence each with variable and line (X501).

    None for a sound model. Of units that contradict each other in a ring of variables pysimlin
    tells one ring, which is left out where a fault of one of its variables is told.
    """
    simlin = _simlin()
    try:
        issues = simlin.load(str(model.path)).check()
    except simlin.SimlinError as error:
        return [_unreadable(model, str(error))]
    alone = {key(issue.variable) for issue in issues if issue.variable}
    told = [
        _sentence(model, issue.variable, issue.message)
        for issue in issues
        if issue.variable or not alone & set(_ring(issue.message))
    ]
    return list(dict.fromkeys(told))


def _place(model: Model, name: str) -> str:
    """Where a variable that pysimlin names stands, in the model's own spelling."""
    name = name.partition("[")[0]
    if not model.has(name):
        return f"{model.path.name}, {name!r}"
    variable = model.find(name)
    return f"{model.path.name}, line {variable.line}, {variable.name!r}"


def _ring(message: str) -> list[str]:
    """The variables that a message is about which names none at its head."""
    found = re.search(r"involving ([^:]*):", message)
    return [key(name.partition("[")[0]) for name in found[1].split(",")] if found else []


def _sentence(model: Model, name: str | None, message: str) -> str:
    """A message of pysimlin's in one line: "left: Person, right: Person/Year" for two units."""
    own = re.findall(r"[^*/()^\s][^*/()^]*", " / ".join(v.unit for v in model.variables.values()))
    spelt = {unit.strip().lower(): unit.strip() for unit in reversed(own)}

    def unit(text: str) -> str:
        return re.sub(r"[^*/()^]+", lambda part: spelt.get(part[0].strip(), part[0]), text)

    shown, _, said = message.rpartition(" -- ")
    lines = shown.split("\n")
    marked = ""
    if len(lines) > 2 and "~" in lines[1]:  # the text at fault, with a line of ~ under it
        first, last = lines[1].index("~"), lines[1].rindex("~")
        marked = f", in {lines[0][first : last + 1].strip()}"
    where = _place(model, name) if name else model.path.name
    if found := re.search(r"computes to units '(.*?)', but .* specified units are '(.*?)'", said):
        stock = name and model.has(name) and model.find(name).kind == "stock"
        where += ", its initial value" if stock else ""
        return f"{where}: left: {unit(found[2])}, right: {unit(found[1])}"
    if found := re.search(r"left and right argument units .* '(.*?)' and '(.*?)' don't", said):
        return f"{where}{marked}: left: {unit(found[1])}, right: {unit(found[2])}"
    if found := re.search(r"branches have different units: then '(.*?)', else '(.*?)'", said):
        return f"{where}, in IF THEN ELSE: then: {unit(found[1])}, else: {unit(found[2])}"
    if found := re.search(r"expected units '(.*?)' to match .* attached stock (.*) \((.*)\)", said):
        stock = model.find(found[2]).name if model.has(found[2]) else found[2]
        return f"{where}, a flow of {stock!r}: left: {unit(found[1])}, right: {unit(found[3])}"
    ring = [model.find(k).name for k in _ring(message) if model.has(k)]
    if ring:
        used = re.search(r"units in '(\w+)' \(used by variable '(.*?)'\)", said)
        where = _place(model, used[2] if used else ring[0])
        if used:
            where += f", in {_MACROS.get(used[1], used[1].upper())}"
        names = ", ".join(map(repr, dict.fromkeys(ring)))
        return f"{where}: the units of {names} contradict each other"
    said = " ".join((said or message).split())
    return f"{where}{marked}: {said} (pysimlin)"


def _unreadable(model: Model, message: str) -> str:
    """Why pysimlin does not load a model, with the line where it stopped."""
    found = re.search(r"at (\d+)\.\.\d+: (.*?)\}*$", message.splitlines()[0])
    if found is None:
        return f"{model.path.name}: pysimlin cannot read it: {message.splitlines()[0]}"
    line = model.text.encode()[: int(found[1])].count(b"\n") + 1
    return f"{model.path.name}, line {line}: pysimlin cannot read it: {found[2]}"


def sketched(model: Model) -> set[str] | None:
    """The keys of the names that stand in a sketch of a model; None where it has no sketch."""
    if model.text.lstrip().startswith("<"):
        views = "".join(re.findall(r"<(?:\w+:)?view\b.*?</(?:\w+:)?view>", model.text, re.S))
        names = [unescape(name) for name in re.findall(r"\sname=\"([^\"]*)\"", views)]
    else:
        _, _, sketch = model.text.partition(_SKETCH)
        # Objects of type 10 are variables: 10,number,name,... with a name in quotes if need be.
        names = re.findall(r"^10,\d+,(\"(?:[^\"\\]|\\.)*\"|[^,]*),", sketch, re.M)
    return {key(name) for name in names} or None


def diagrams(model: Model) -> dict[str, str]:
    """SVG of each sketch view by its title, in the file's order (X501)."""
    simlin = _simlin()
    equations, *views = model.text.split(_SKETCH)
    if not views:
        return {"Overview": simlin.load(str(model.path)).diagram().svg}
    last, _, settings = views[-1].partition(_SKETCH_END)
    views[-1] = last
    drawn = {}
    with scratch("sdkit-views-") as folder:
        for number, view in enumerate(views, 1):
            title = re.search(r"^\*(.*)$", view, re.M)
            name = title[1].strip() if title else f"View {number}"
            path = folder / f"view{number}.mdl"
            path.write_text(equations + _SKETCH + view + _SKETCH_END + settings, encoding="utf-8")
            try:
                drawn[name] = simlin.load(str(path)).diagram().svg
            except simlin.SimlinError as error:
                text = _unreadable(model, str(error))
                raise ModelError("M104", f"{text} (view {name!r})") from None
    return drawn


def run_with_simlin(model: Model, method: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Run a model through pysimlin by "euler" or "rk4", whatever its file says.

    Returns the saved times (shape: times) and the values of each variable at them by the label
    of the model; what pysimlin does not name is left out. Raises DependencyError X501,
    ModelError M118 where pysimlin cannot load or run the file.
    """
    simlin = _simlin()
    try:
        loaded = simlin.load(str(model.path))
        project = loaded.project
        specs = json.loads(project.serialize_json())["simSpecs"]
        if specs.get("method", "euler") != method:
            project.set_sim_specs(sim_method=method)
        with loaded.simulate() as run:
            run.run_to_end()
            found = {key(name): name for name in run.get_var_names()}
            values = {
                label: run.get_series(found[key(label)])
                for label in model.owners
                if key(label) in found
            }
            return run.get_series("time"), values
    except Exception as error:  # of many classes, some from its bindings
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        bare = re.sub(r"\w+\{(?:\w+: )?([^{}]*)\}", r"\1", str(error))  # its class{code: message}
        told = [line for line in lines if line.startswith("error")] or [plainly(error, bare)]
        text = told[0] or "pysimlin does not say why it cannot run the model"
        raise ModelError("M118", f"{model.path.name}: {text[:200]}") from None


def dimension(unit: str) -> Dimension:
    """The dimension of a unit such as "Person/Year" or "1/(kg*Year)"; None if unreadable."""
    tokens = re.findall(r"[^*/()^]+|[*/()^]", unit)
    tokens = [token.strip() for token in tokens if token.strip()]
    position = 0

    def product() -> dict[str, Fraction]:
        nonlocal position
        result = factor()
        while position < len(tokens) and tokens[position] in "*/":
            sign = 1 if tokens[position] == "*" else -1
            position += 1
            for base, exponent in factor().items():
                result[base] = result.get(base, Fraction(0)) + sign * exponent
        return {base: exponent for base, exponent in result.items() if exponent}

    def factor() -> dict[str, Fraction]:
        nonlocal position
        token = tokens[position]
        position += 1
        if token == "(":
            inside = product()
            if tokens[position] != ")":
                raise ValueError
            position += 1
        elif token in "*/)^":
            raise ValueError
        else:
            inside = {} if token.lower() in _PURE else {token.lower(): Fraction(1)}
        if position < len(tokens) and tokens[position] == "^":
            power = Fraction(tokens[position + 1])
            position += 2
            inside = {base: exponent * power for base, exponent in inside.items()}
        return inside

    try:
        result = product()
        return result if position == len(tokens) else None
    except (IndexError, ValueError, RecursionError):
        return None


def unit_faults(model: Model) -> list[str]:
    """Units that cannot be read, and the four faults that pysimlin misses: a sentence each."""
    units = {key(name): dimension(v.unit) for name, v in model.variables.items() if v.unit}
    clock = units.get("time_step")
    units.setdefault("time", clock)
    faults = []
    for variable in model.variables.values():
        where = f"{model.path.name}, line {variable.line}, {variable.name!r}"
        if not variable.unit:
            faults.append(f"{where}: no unit")
        elif dimension(variable.unit) is None:
            faults.append(f"{where}: the unit {variable.unit!r} cannot be read")
        own = units.get(key(variable.name))
        for node in walk(variable.expression):
            if node[0] in ("lookup", "table") and _measure(node[2], units):
                faults.append(f"{where}: the input of a table has the dimension "
                              f"{_show(_measure(node[2], units))}")  # fmt: skip
            if node[0] == "arithmetic" and node[1] == "^":
                whole = node[3][0] == "number" and float(node[3][1]).is_integer()
                base = _measure(node[2], units)
                if base and not whole:
                    faults.append(f"{where}: a base with the dimension {_show(base)} under a "
                                  "power that is no whole number")  # fmt: skip
        for node in _summands(variable.expression):
            if node[:2] == ("call", "step") and own is not None:
                height = _measure(node[2][0], units)
                if height is not None and height != own and node[2][0][0] != "number":
                    faults.append(f"{where}: the height of a STEP is in {_show(height)}, the "
                                  f"variable in {_show(own)}")  # fmt: skip
    return faults


def _summands(expression: tuple):
    if expression[0] == "arithmetic" and expression[1] in "+-":
        yield from _summands(expression[2])
        yield from _summands(expression[3])
    elif expression[0] == "negative":
        yield from _summands(expression[1])
    else:
        yield expression


def _measure(node: tuple, units: dict[str, Dimension]) -> Dimension:
    """The dimension of an expression, as far as it can be told; None where it cannot."""
    kind = node[0]
    if kind == "number":
        return {}
    if kind in ("name", "item"):
        return units.get(node[1])
    if kind in ("negative",):
        return _measure(node[1], units)
    if kind == "lookup":
        return units.get(node[1])
    if kind == "arithmetic":
        return _arithmetic(node, units)
    if kind == "state":
        return _measure(node[2][0], units) if node[1] in _SAME else None
    if kind == "call":
        name, arguments = node[1].replace("_", " "), node[2]
        if name in _NUMBER:
            return {}
        if name in ("zidz", "xidz"):
            return _arithmetic(("arithmetic", "/", *arguments[:2]), units)
        if name == "if then else":
            arguments = arguments[1:]
        elif name not in _SAME:
            return None
        return _first([_measure(a, units) for a in arguments if a[0] != "number"])
    return None


def _first(found: list[Dimension]) -> Dimension:
    return next((dimension for dimension in found if dimension is not None), None)


def _arithmetic(node: tuple, units: dict[str, Dimension]) -> Dimension:
    _, operator, left, right = node
    one, other = _measure(left, units), _measure(right, units)
    if operator in "+-":
        return _first([m for m, n in ((one, left), (other, right)) if n[0] != "number"])
    if one is None or (other is None and operator != "^"):
        return None
    if operator == "^":
        if not one:
            return {}
        return {b: e * Fraction(right[1]) for b, e in one.items()} if right[0] == "number" else None
    sign = 1 if operator == "*" else -1
    result = dict(one)
    for base, exponent in other.items():
        result[base] = result.get(base, Fraction(0)) + sign * exponent
    return {base: exponent for base, exponent in result.items() if exponent}


def _show(dimension: Dimension) -> str:
    parts = [b if e == 1 else f"{b}^{e}" for b, e in sorted((dimension or {}).items())]
    return "*".join(parts) or "no dimension"
