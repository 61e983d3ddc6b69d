"""Structure of a model: units and diagrams, and pysimlin's run. Only here pysimlin is imported.

pysimlin checks units and draws views; `unit_faults` adds four checks that it lacks: a
missing unit, a table whose input has a dimension, a base with a dimension under a power
that is no whole number, and a STEP whose height has another unit than its variable.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np

from .errors import DependencyError, ModelError
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
    """What pysimlin's check finds, one sentence each; none for a sound model (X501)."""
    simlin = _simlin()
    try:
        issues = simlin.load(str(model.path)).check()
    except simlin.SimlinError as error:
        return [f"pysimlin cannot load the model: {str(error).splitlines()[0]}"]
    return [f"{i.severity}: {i.variable or model.path.name}: {i.message}" for i in issues]


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
                raise ModelError("M104", f"{model.path.name}, view {name!r}: {error}") from None
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
        told = [line for line in lines if line.startswith("error")] or lines
        text = told[0] if told else type(error).__name__
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
    """The four unit faults that pysimlin misses, one sentence each, with the line."""
    units = {key(name): dimension(v.unit) for name, v in model.variables.items() if v.unit}
    clock = units.get("time_step")
    units.setdefault("time", clock)
    faults = []
    for variable in model.variables.values():
        where = f"{model.path.name}, line {variable.line}, {variable.name!r}"
        if not variable.unit:
            faults.append(f"{where}: no unit")
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
