"""Two versions of a model: what their texts say differently, and which outputs that moves.

Equations are compared as they were understood, so blanks, case and needless parentheses are no
difference; what is shown is the text of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .compile import compile_model
from .errors import Error, SimulationError
from .expressions import key, walk
from .files import exact, fingerprint
from .model import Model, Variable, read_model
from .observations import data_folder
from .outputs import Output, read_outputs
from .parameters import Parameters, read_parameters
from .references import check_names
from .simulation import by_label, simulate

# An output has moved when it differs by more than this share of its largest magnitude.
TOLERANCE = 1e-6
# Where an output has almost vanished, a relative change says nothing: it is taken from this
# share of its largest magnitude at least.
_FLOOR = 0.01
_FIELDS = ("role", "low", "high", "distribution", "weights")
_FILES = ("outputs.toml", "policies.toml", "scenarios.toml", "checks.toml", "claims.toml")


@dataclass(frozen=True)
class Change:
    """One difference in the texts.

    `what` is equation, lookup, constant, setting, name (renamed), default, role, low, high,
    distribution, weights, unit, bounds, documentation or file; `old` is None for what was
    added, `new` for what was removed. `name` is that of the newer version, if it has one.
    """

    name: str
    what: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Moved:
    """An output in two default runs, at the times that both save.

    `most` is the largest relative change, signed, reached `at` a time; infinite where the
    output was zero throughout, NaN where a value (:NA:) is missing on one side only. `since`
    is the first time with a difference of more than TOLERANCE of the largest magnitude.
    `old` and `new` (shape: times) are in `unit`.
    """

    name: str
    unit: str
    most: float
    at: float
    since: float
    times: np.ndarray
    old: np.ndarray
    new: np.ndarray


@dataclass(frozen=True)
class Difference:
    """What differs between two versions of a model.

    `moved` is sorted by size; `unmoved` names the outputs that did not move, `missing` those
    that the older version does not have. `faults` are the errors that kept a part from being
    compared. `ran` is False where no run was needed, since both compute the same.
    """

    changes: tuple[Change, ...]
    moved: tuple[Moved, ...] = ()
    unmoved: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    faults: tuple[Error, ...] = ()
    ran: bool = False

    def __repr__(self) -> str:
        counts = f"{len(self.changes)} changes, {len(self.moved)} outputs moved"
        return f"Difference({counts}, {len(self.faults)} faults)"

    def of(self, *what: str) -> tuple[Change, ...]:
        """The changes of these kinds, in the order of the newer file."""
        return tuple(change for change in self.changes if change.what in what)


def diff_models(a: str | Path, b: str | Path, labels: tuple[str, str] | None = None) -> Difference:
    """The difference from model `a` (older) to model `b` (newer), files or folders.

    Raises ModelError where the text of one cannot be read; its message, like those of `faults`
    (parameters.csv, outputs.toml or a run), begins with the label of the version at fault.
    """
    labels = labels or (str(a), str(b))
    sides = [_Side(Path(path), label) for path, label in zip((a, b), labels, strict=True)]
    models = [side.must(read_model, side.path) for side in sides]
    old, new = models
    names = _renamed(old, new)
    changes = [*_text_changes(old, new, names), *_settings(old, new)]
    faults: list[Error] = []
    tables = [
        side.may(faults, read_parameters, model) for side, model in zip(sides, models, strict=True)
    ]
    if all(tables):
        changes += _parameter_changes(*tables, names)
    changes += _files(old.path.parent, new.path.parent)
    difference = Difference(tuple(changes), faults=tuple(faults))
    known = len(faults)
    sides[1].may(faults, check_names, new)
    # A name in outputs.toml that is not there is told once.
    told = [] if len(faults) > known else faults
    outputs, before, missing = _outputs(sides[1], told, old, new, names)
    same = not difference.of("equation", "lookup", "constant", "setting", "default")
    if same:
        unmoved = tuple(output.name for output in outputs)
        return replace(difference, unmoved=unmoved, missing=missing, faults=tuple(faults))
    after = [new.find(output.variable).name for output in outputs]
    results = [
        side.may(faults, _run, model, wanted)
        for side, model, wanted in zip(sides, models, (before, after), strict=True)
        if wanted
    ]
    moved, unmoved = [], []
    if outputs and not any(result is None for result in results):
        shared, at_old, at_new = np.intersect1d(
            *(np.round(times, 6) for times, _ in results), return_indices=True
        )
        if not len(shared):
            faults.append(SimulationError("S204", "the two runs save no time in common"))
            outputs = []
        for output, older, newer in zip(outputs, before, after, strict=False):
            was, now = results[0][1][older][at_old], results[1][1][newer][at_new]
            found = _moved(output, new.owners[newer].unit, shared, was, now)
            moved.append(found) if found else unmoved.append(output.name)
    moved.sort(key=lambda item: -np.nan_to_num(abs(item.most), nan=np.inf))
    return replace(
        difference, moved=tuple(moved), unmoved=tuple(unmoved), missing=missing,
        faults=tuple(faults), ran=True,
    )  # fmt: skip


class _Side:
    """One version, and the errors that it makes, told by its label instead of its place."""

    def __init__(self, path: Path, label: str):
        self.path, self.label = path, label

    def must(self, action: Callable, *arguments):
        try:
            return action(*arguments)
        except Error as error:
            text = error.message
            places = [(self.path, self.label)]
            if self.path.suffix:
                places.append((self.path.parent, self.label.rpartition("/")[0] or self.label))
            for place, label in places:
                if place.is_absolute():
                    text = text.replace(str(place), label)
            if not text.startswith(self.label):
                text = f"{self.label}: {text}"
            raise type(error)(error.code, text) from None

    def may(self, faults: list[Error], action: Callable, *arguments):
        """What the action gives, or None and one more fault."""
        try:
            return self.must(action, *arguments)
        except Error as error:
            faults.append(error)
            return None


# -- the texts ---------------------------------------------------------------------------


def _meaning(expression: tuple, names: Mapping[str, str] | None = None) -> str:
    """A text that is the same for the same expression, after renaming by key."""
    return repr(_rename(expression, names) if names else expression)


def _rename(node, names: Mapping[str, str]):
    if not isinstance(node, tuple):
        return node
    if node[:1] in (("name",), ("lookup",), ("item",)):
        return (node[0], names.get(node[1], node[1]), *(_rename(n, names) for n in node[2:]))
    return tuple(_rename(part, names) for part in node)


def _users(model: Model) -> dict[str, list[Variable]]:
    """For the key of each name, the variables whose equations use it."""
    users: dict[str, list[Variable]] = {}
    for variable in model.variables.values():
        for node in walk(variable.expression):
            if node[0] in ("name", "lookup", "item"):
                users.setdefault(node[1], []).append(variable)
    return users


def _renamed(old: Model, new: Model) -> dict[str, str]:
    """Old names of variables that stand under another name in the newer model.

    The equation has to be the same, and the only such pair. Of a number, which says little,
    the documentation or the equations that use it have to be the same too.
    """
    names: dict[str, str] = {}
    old_users, new_users = _users(old), _users(new)
    nameless = {key(name): "" for model in (old, new) for name in (*model.variables, "Time")}

    def shape(variable: Variable) -> tuple:
        return variable.kind, variable.axes, _meaning(variable.expression, nameless)

    gone = [(v, shape(v)) for v in old.variables.values() if not new.has(v.name)]
    shapes: dict[tuple, list[Variable]] = {}
    for variable in new.variables.values():
        if not old.has(variable.name):
            shapes.setdefault(shape(variable), []).append(variable)

    def used(users: Sequence[Variable], other: Model, folded: Mapping[str, str]) -> set:
        """Users by name, and those that may have been renamed themselves by shape."""
        seen = {v.name: folded.get(key(v.name), key(v.name)) for v in users}
        known = {*map(key, other.variables), *folded.values()}
        return {seen[v.name] if seen[v.name] in known else shape(v) for v in users}

    def alike(a: Variable, b: Variable, folded: Mapping[str, str]) -> bool:
        if _meaning(a.expression, folded) != _meaning(b.expression):
            return False
        if a.kind != "constant":
            return True
        before = used(old_users.get(key(a.name), ()), new, folded)
        after = used(new_users.get(key(b.name), ()), old, {n: n for n in folded.values()})
        told = a.documentation and a.documentation == b.documentation
        return a.unit == b.unit and bool(told or (before and before == after))

    while True:
        # A renamed variable may stand in the equation of another, or in its own.
        folded = {key(o): key(n) for o, n in names.items()}
        taken = set(folded.values())
        pairs = [
            (a, b)
            for a, shape in gone
            for b in shapes.get(shape, ())
            if a.name not in names
            and key(b.name) not in taken
            and alike(a, b, folded | {key(a.name): key(b.name)})
        ]
        olds, news = (Counter(pair[i].name for pair in pairs) for i in (0, 1))
        found = {a.name: b.name for a, b in pairs if olds[a.name] == news[b.name] == 1}
        if not found:
            return names
        names |= found


def _text_changes(old: Model, new: Model, names: Mapping[str, str]) -> list[Change]:
    """Names, equations, lookups, constants and descriptions, in the order of the newer file."""
    folded = {key(o): key(n) for o, n in names.items()}
    ranges = [dict(axis for v in model.variables.values() for axis in v.axes)
              for model in (old, new)]  # fmt: skip
    changes = [
        Change(f"range {name}", "equation", ", ".join(ranges[0][name]), ", ".join(members))
        for name, members in ranges[1].items()
        if name in ranges[0] and ranges[0][name] != members
    ]
    before = {folded.get(key(v.name), key(v.name)): v for v in old.variables.values()}
    for b in new.variables.values():
        a = before.pop(key(b.name), None)
        if b.kind == "control":
            continue
        if a is None:
            changes.append(Change(b.name, _kind(b), None, _right(b)))
            continue
        if key(a.name) != key(b.name):
            changes.append(Change(b.name, "name", a.name, b.name))
        same = _meaning(_with_macros(old, a), folded) == _meaning(_with_macros(new, b))
        if a.axes != b.axes or not same:
            if _right(a) == _right(b):
                if [n for n, _ in a.axes] == [n for n, _ in b.axes] and a.axes != b.axes:
                    continue  # what changed is a range
                changes.append(
                    Change(b.name, _kind(b), _right(a), "the same, with another macro or file")
                )
            elif a.axes or b.axes:
                changes.append(Change(b.name, _kind(b), _right(a), _right(b)))
            elif a.kind == b.kind == "lookup":
                changes.append(Change(b.name, "lookup", *_points(a, b)))
            elif a.kind == b.kind == "constant":
                changes.append(Change(b.name, "default", exact(a.value), exact(b.value)))
            else:
                changes.append(Change(b.name, "equation", _right(a), _right(b)))
        for what, was, now in (
            ("unit", a.unit, b.unit),
            ("bounds", _bounds(a), _bounds(b)),
            ("documentation", a.documentation, b.documentation),
        ):
            if " ".join(was.split()) != " ".join(now.split()):
                changes.append(Change(b.name, what, was, now))
    gone = [v for v in before.values() if v.kind != "control"]
    return changes + [Change(v.name, _kind(v), _right(v), None) for v in gone]


def _with_macros(model: Model, variable: Variable) -> tuple:
    """The equation of a variable with those of the macros that it calls."""
    own = f"{key(variable.name)} "  # what keys of hidden equations begin with
    inner = (v.expression for k, v in model.hidden.items() if k.startswith(own))
    return ("equations", variable.expression, *inner)


def _kind(variable: Variable) -> str:
    return variable.kind if variable.kind in ("constant", "lookup") else "equation"


def _right(variable: Variable) -> str:
    text = variable.text or (exact(variable.value) if variable.value is not None else "?")
    return f"{text} {variable.unit}".strip() if variable.kind == "constant" else text


def _bounds(variable: Variable) -> str:
    low, high = ("?" if end is None else f"{end:g}" for end in variable.limits)
    return f"[{low},{high}]"


def _points(a: Variable, b: Variable) -> tuple[str, str]:
    """The points in which two lookups differ, each side in one line."""
    sides = [dict(zip(*v.expression[1][:2], strict=True)) for v in (a, b)]
    texts = []
    for mine, other in (sides, sides[::-1]):
        own = [f"({x:g},{y:g})" for x, y in mine.items() if other.get(x) != y]
        texts.append(f"{', '.join(own) or 'no point'} of {len(mine)}")
    modes = [v.expression[1][2] for v in (a, b)]
    if modes[0] != modes[1]:
        texts = [f"{text}, {mode}" for text, mode in zip(texts, modes, strict=True)]
    return texts[0], texts[1]


def _settings(old: Model, new: Model) -> list[Change]:
    """Time settings and the method of integration."""
    changes = []
    for b in (v for v in new.variables.values() if v.kind == "control"):
        a = old.find(b.name)
        if _meaning(a.expression) != _meaning(b.expression):
            texts = (
                exact(v.expression[1]) if v.expression[0] == "number" else v.text for v in (a, b)
            )
            changes.append(Change(b.name, "setting", *texts))
    if old.method != new.method:
        changes.append(Change("integration", "setting", old.method.upper(), new.method.upper()))
    return changes


def _parameter_changes(old: Parameters, new: Parameters, names: Mapping[str, str]) -> list[Change]:
    """Roles, ranges and priors of the constants that both versions have."""
    known = {key(names.get(item.name, item.name)): item for item in old.items}
    changes = []
    for b in new.items:
        a = known.get(key(b.name))
        if a is None:
            continue
        for what in _FIELDS:
            was, now = getattr(a, what), getattr(b, what)
            if was != now:
                changes.append(Change(b.name, what, _cell(was), _cell(now)))
    return changes


def _cell(value) -> str:
    if isinstance(value, tuple):
        return "; ".join(f"{weight:.4g}" for weight in value) or "none"
    return exact(value) if isinstance(value, float) else value or "none"


def _files(old: Path, new: Path) -> list[Change]:
    """Names of the other files of two model folders that differ in their bytes."""
    if old.resolve() == new.resolve():
        return []
    changes = []
    sides = []
    for folder in (old, new):
        data = {f"data/{path.name}": path for path in data_folder(folder).glob("*.csv")}
        sides.append({name: folder / name for name in _FILES} | data)
    for name in (*_FILES, *sorted({*sides[0], *sides[1]} - {*_FILES})):
        found = [side.get(name) for side in sides]
        marks = [fingerprint(path) if path and path.is_file() else None for path in found]
        if marks[0] != marks[1]:
            changes.append(Change(name, "file", *marks))
    return changes


# -- the runs ----------------------------------------------------------------------------


def _outputs(
    side: _Side, faults: list[Error], old: Model, new: Model, names: Mapping[str, str]
) -> tuple[list[Output], list[str], tuple[str, ...]]:
    """The outputs to compare, one a variable; their variables in `old`; and the names of
    the outputs that only `new` has.

    Headline outputs of the newer version; all its stocks where it has no outputs.toml.
    """
    path, found = new.path.parent / "outputs.toml", None
    if path.exists():
        found = side.may(faults, read_outputs, path, new)
    if found:
        chosen = [o for o in found.values() if o.headline] or list(found.values())
    else:
        stocks = [v for v in new.variables.values() if v.kind == "stock"]
        chosen = [Output(label, label, "last", v.unit, "none", True)
                  for v in stocks for label in v.defined]  # fmt: skip
    once = {o.variable: o for o in reversed(chosen) if new.find(o.variable).kind != "constant"}
    backward = {key(n): o for o, n in names.items()}
    kept, variables, missing = [], [], []
    for output in reversed(once.values()):
        before = backward.get(key(output.variable), output.variable)
        if old.has(before) and old.find(before).kind not in ("constant", "lookup"):
            kept.append(output)
            variables.append(old.find(before).name)
        else:
            missing.append(output.name)
    return kept, variables, tuple(missing)


def _run(model: Model, names: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One default run: its saved times, and the values of these variables by label."""
    result = simulate(compile_model(model, dict.fromkeys(model.owners[n].name for n in names)))
    return result["time"].to_numpy(), by_label(model, result)


def _moved(output: Output, unit: str, times, old, new) -> Moved | None:
    both_missing = np.isnan(old) & np.isnan(new)
    gap = np.nan_to_num(np.where(both_missing, 0.0, np.abs(new - old)), nan=np.inf)
    size, other = (np.abs(np.nan_to_num(values)) for values in (old, new))
    beyond = np.flatnonzero(gap > TOLERANCE * max(size.max(), other.max()))
    if not len(beyond):
        return None
    change = gap / np.maximum(size, _FLOOR * size.max()) if size.any() else gap
    worst = int(np.argmax(change))
    most = float(np.copysign(change[worst] if size.any() else np.inf, new[worst] - old[worst]))
    if np.isinf(gap[worst]):
        most = np.nan
    return Moved(
        output.name, unit, most, float(times[worst]), float(times[beyond[0]]),
        times, old, new,
    )  # fmt: skip
