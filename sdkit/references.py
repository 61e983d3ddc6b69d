"""What the files beside a model name: the model, or another of them, has to have it.

All names are looked up at once, before anything is simulated, those of entries that a run does
not use too: after a variable was renamed one message lists every place that has to follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from .errors import Error, ParameterError, RunError, SimulationError
from .expressions import key, label_key, walk
from .files import near, place, read_rows, read_text, read_toml
from .model import Model
from .names import meant, some
from .observations import series_of
from .parameters import no_constant
from .structure import sketched

# Of a check, keys whose value (or list of values, or table) names variables or constants.
_VARIABLES = ("variable", "equals", "per", "sum", "variables", "stocks", "inflows", "outflows",
              "start")  # fmt: skip
_CONSTANTS = ("set", "against", "scale")


def check_names(model: Model, run: Path | None = None) -> None:
    """Refuse names in the files beside a model, and in a `run`.toml, that nothing has any more.

    One such name has its own code: S203 a variable, P302 a row of parameters.csv, P305 another
    constant, P310 a column of posterior.csv, R411 a scenario, policy, output, setting, series or
    measurement. Several are one error with an entry each, of their own code where they share
    one, else a RunError R440. What else is wrong with a file is left to its reader, unless it is
    no TOML or CSV (R402 to R406).
    """
    found = list(_References(model).faults(run))
    if len(found) > 1:
        places = len({where for where, _, _ in found})
        files = "one file names" if places == 1 else f"{places} files name"
        text = f"{files} {len(found)} things that are not there"
        kinds = {kind for _, kind, _ in found}
        kind, code = kinds.pop() if len(kinds) == 1 else (RunError, "R440")
        error = kind(code, text)
        error.tell(message for _, _, message in found)
        raise error
    for _, (kind, code), message in found:
        raise kind(code, message)


_Kind = tuple[type[Error], str]
_VARIABLE, _CONSTANT = (SimulationError, "S203"), (ParameterError, "P305")
_OTHER = (RunError, "R411")
_Fault = tuple[Path, _Kind, str]


def notes(model: Model) -> list[str]:
    """What is no fault of a model but may be a slip, one sentence a kind with count and names:
    variables that nothing reads, and variables in no sketch of a file that has one."""
    variables = [v for v in model.variables.values() if v.kind != "control"]
    read = _read_by_files(model)
    for variable in (*model.variables.values(), *model.hidden.values()):
        read |= {n[1] for n in walk(variable.expression) if n[0] in ("name", "lookup", "item")}
    drawn = sketched(model)
    unread = [v for v in variables if key(v.name) not in read]
    undrawn = [v for v in variables if drawn is not None and key(v.name) not in drawn]
    found = []
    for those, text in (
        (unread, "read by no equation, output, check or measurement"),
        (undrawn, "in no sketch"),
    ):
        if those:
            count = "1 variable is" if len(those) == 1 else f"{len(those)} variables are"
            found.append(f"{count} {text}: {some(f'{v.name!r} (line {v.line})' for v in those)}")
    return found


def _read_by_files(model: Model) -> set[str]:
    """The keys of the variables that an output, a check or a measurement reads."""
    read = _References(model)
    rows = [(row, ("variable",)) for row in read.rows("outputs.toml", "output")]
    rows += [(row, ("variable", "scale")) for row in read.rows("measurements.toml", "measurement")]
    rows += [(row, (*_VARIABLES, "scale")) for row in read.rows("checks.toml", "check")]
    names = {name for row, words in rows for word in words for name in _names(row.get(word))}
    return {key(name.partition("[")[0]) for name in names}


class _References:
    """The names that files beside a model may use, and the faults of each file."""

    def __init__(self, model: Model):
        self.model, self.folder = model, near(model.path.parent)
        self.constants = {label_key(name) for name in model.constants}
        self._held: dict[Path, Mapping[str, Any]] = {}

    def faults(self, run: Path | None) -> Iterable[_Fault]:
        """Every fault: the file, what raises it, and the message with file, line and entry."""
        yield from self._table("parameters.csv")
        yield from self._table("posterior.csv")
        for name, table in (("scenarios.toml", "scenario"), ("policies.toml", "policy")):
            for row in self.rows(name, table):
                yield from self._constants(name, row, row.get("set"))
        for row in self.rows("outputs.toml", "output"):
            yield from self._variables("outputs.toml", row, row.get("variable"))
        for row in self.rows("claims.toml", "claim"):
            for word, kind in (("policy", "policy"), ("comparator", "policy"), ("output",) * 2):
                known = self._known("outputs.toml" if kind == "output" else "policies.toml", kind)
                yield from self._among("claims.toml", row, kind, row.get(word), known)
        for row in self.rows("measurements.toml", "measurement"):
            yield from self._series("measurements.toml", row)
            yield from self._variables("measurements.toml", row, row.get("variable"))
            yield from self._constants("measurements.toml", row, row.get("scale"))
        yield from self._checks("checks.toml")
        if run is not None:
            yield from self._run(run)

    # -- files -----------------------------------------------------------------------------

    def _table(self, name: str) -> Iterable[_Fault]:
        path = self.folder / name
        if not path.is_file():
            return
        if name == "posterior.csv":
            comments = takewhile(lambda text: text.startswith("#"), read_text(path).splitlines())
            line = 1 + sum(1 for _ in comments)
            named = [(line, column) for _, row in read_rows(path, ())[:1] for column in row]
        else:
            named = [(line, row["name"]) for line, row in read_rows(path, ("name",))]
        rows = name == "parameters.csv"
        arrays = {key(self.model.owners[c].name) for c in self.model.constants} if rows else set()
        stand = {label_key(constant) for _, constant in named}
        spare = [c for c in self.model.constants if label_key(c) not in stand]
        spare = [c for c in spare if key(self.model.owners[c].name) not in stand]
        for line, constant in named:
            if label_key(constant) not in self.constants | arrays:
                code = "P302" if rows else "P310"
                at = f"{path}, line {line}, {'row' if rows else 'column'} {constant!r}"
                text = self._no_constant(constant)
                if rows and spare and not self.model.has(constant):
                    text = f"{no_constant(constant)}; without a row: {some(map(repr, spare))}"
                yield path, (ParameterError, code), f"{at}: {text}"

    def _checks(self, name: str) -> Iterable[_Fault]:
        for row in self.rows(name, "setting"):
            yield from self._constants(name, row, row.get("set"))
        settings = self._known(name, "setting")
        policies = self._known("policies.toml", "policy")
        for row in self.rows(name, "check"):
            for word in _VARIABLES:
                yield from self._variables(name, row, row.get(word))
            for word in _CONSTANTS:
                yield from self._constants(name, row, row.get(word))
            named = self._constants if row.get("kind") == "inputs" else self._variables
            yield from named(name, row, row.get("except"))
            yield from self._series(name, row)
            yield from self._among(name, row, "setting", row.get("under"), settings)
            yield from self._among(name, row, "policy", row.get("policies"), policies)

    def _run(self, path: Path) -> Iterable[_Fault]:
        row = read_toml(path)
        for word, kind, file in (
            ("scenarios", "scenario", "scenarios.toml"),
            ("policies", "policy", "policies.toml"),
            ("outputs", "output", "outputs.toml"),
            ("measurements", "measurement", "measurements.toml"),
            ("later", "measurement", "measurements.toml"),
        ):
            yield from self._among(path, {}, kind, row.get(word), self._known(file, kind))
        without = row.get("without")
        causes = without.values() if isinstance(without, dict) else ()
        for value in (row.get("set"), row.get("also"), row.get("switch"), *causes):
            yield from self._constants(path, {}, value)
        ahead = row.get("forecast")
        if isinstance(ahead, dict):
            known = self._known("measurements.toml", "measurement")
            yield from self._among(path, {}, "measurement", ahead.get("measurements"), known)
            yield from self._constants(path, {}, ahead.get("set"))

    def rows(self, name: str, table: str) -> list[dict[str, Any]]:
        """The [[table]]s of a file, as far as it has any."""
        path = self.folder / name
        if not path.is_file():
            return []
        rows = self._data(path).get(table, [])
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _known(self, name: str, table: str) -> list[str] | None:
        """The names that a file gives; None where its form is wrong, which its reader tells."""
        path = self.folder / name
        names = [row.get("name") for row in self.rows(name, table)]
        sound = all(isinstance(n, str) for n in names) and len(set(names)) == len(names)
        own = {table, "check"} if name == "checks.toml" else {table}
        return names if sound and path.is_file() and self._data(path).keys() <= own else None

    # -- names -----------------------------------------------------------------------------

    def _where(self, file: str | Path, row: Mapping[str, Any], name: str) -> tuple[Path, str]:
        """The file, and the text of where in it an entry names something."""
        path = file if isinstance(file, Path) else self.folder / file
        entry = row.get("name", row.get("id"))
        at = place(path, name, entry if isinstance(entry, str) else "")
        return path, f"{at}, {entry!r}" if isinstance(entry, str) else at

    def _variables(self, file: str | Path, row: Mapping, value: Any) -> Iterable[_Fault]:
        for name in _names(value):
            try:
                self.model.find(name)
            except SimulationError as error:
                path, where = self._where(file, row, name)
                yield path, _VARIABLE, f"{where}: {error.message}"

    def _constants(self, file: str | Path, row: Mapping, value: Any) -> Iterable[_Fault]:
        for name in _names(value):
            if label_key(name) not in self.constants:
                path, where = self._where(file, row, name)
                yield path, _CONSTANT, f"{where}: {self._no_constant(name)}"

    def _no_constant(self, name: str) -> str:
        """Why a name is no constant; of another variable, what it is instead."""
        if self.model.has(name) and not self.model.find(name).axes:
            return f"{no_constant(name)} ({self.model.find(name).kind})"
        return no_constant(name, self.model.constants)

    @cached_property
    def _measured(self) -> Collection[str]:
        return series_of(self.model).keys()

    def _data(self, path: Path) -> Mapping[str, Any]:
        if path not in self._held:
            self._held[path] = read_toml(path, blank=path.name in ("claims.toml", "checks.toml"))
        return self._held[path]

    def _series(self, file: str, row: Mapping) -> Iterable[_Fault]:
        if isinstance(row.get("series"), str):
            yield from self._among(file, row, "series", row["series"], self._measured)

    def _among(
        self, file: str | Path, row: Mapping, kind: str, value: Any, known: Collection[str] | None
    ) -> Iterable[_Fault]:
        for name in _names(value):
            if known is not None and name not in known:
                path, where = self._where(file, row, name)
                word = "no" if kind in ("series", "setting") else "unknown"
                yield path, _OTHER, f"{where}: {word} {kind} {name!r}{meant(name, known)}"


def _names(value: Any) -> list[str]:
    """The names in a value: a text, a list of texts or the keys of a table."""
    if isinstance(value, str):
        return [value]
    return (
        [name for name in value if isinstance(name, str)] if isinstance(value, list | dict) else []
    )
