"""What a model's text says: labels, units, bounds and expressions."""

from __future__ import annotations

import codecs
import hashlib
import marshal
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import metadata
from itertools import product
from pathlib import Path, PurePath

from .cache import cached, code_of, name_of
from .errors import ModelError, RunError, SimulationError
from .expressions import has_missing, key, label_key
from .files import near
from .limits import allowed_folders, read_bounded, table_file
from .names import meant, meant_path
from .progress import tell
from .translate import forget_tables
from .variables import Reader, Variable
from .vensim import Vensim
from .xmile import Xmile

VENSIM = {".mdl"}
XMILE = {".xmile", ".xml", ".stmx", ".itmx"}
# Python's codecs that undo escapes or spell domain names: no editor saves a text in them.
_NO_ENCODINGS = {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"}


@dataclass(frozen=True)
class Model:
    """What the text of a model says. Made by `read_model`; frozen."""

    path: Path
    hash: str
    variables: dict[str, Variable]
    method: str
    missing_values: bool
    text: str = field(repr=False)
    # Equations of macros, by keys of their own; files that hold the series of data variables, and
    # those that equations read.
    hidden: dict[str, Variable] = field(default_factory=dict, repr=False)
    data: tuple[Path, ...] = field(default=(), repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        kinds = Counter(v.kind for v in self.variables.values())
        counts = f"{kinds['stock']} stocks, {kinds['constant']} constants"
        return f"Model({self.path.name}: {len(self.variables)} variables, {counts})"

    @property
    def read(self) -> tuple[Path, ...]:
        """The files beside its text that a model is made of."""
        return (*self.data, *self.files)

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {key(name): name for name in self.variables}

    def find(self, name: str) -> Variable:
        """The variable of this name, or the element name[subscripts] of one, however it is spelt.

        S203 if there is none.
        """
        label = self._by_key.get(key(name))
        found = self.variables[label] if label is not None else self._element(name)
        if found is None:
            near = meant(name, self._names_near(name), listed=False)
            raise SimulationError("S203", f"{self.path.name} has no variable {name!r}{near}")
        return found

    def _names_near(self, name: str) -> Iterable[str]:
        """The names among which a name that is not there may have been meant."""
        array, bracket, _ = name.partition("[")
        label = self._by_key.get(key(array)) if bracket else None
        return self.variables if label is None else self.variables[label].labels

    def _element(self, name: str) -> Variable | None:
        found = self._elements.get(label_key(name))
        return found and found[0].element(found[1])

    @cached_property
    def _elements(self) -> dict[str, tuple[Variable, tuple[int, ...]]]:
        """By its key, of each element of an array the variable and its place there."""
        found = {}
        for variable in (v for v in self.variables.values() if v.axes):
            names = [elements for _, elements in variable.axes]
            for place in product(*(range(len(elements)) for elements in names)):
                own = ",".join(elements[i] for elements, i in zip(names, place, strict=True))
                found[label_key(f"{variable.name}[{own}]")] = (variable, place)
        return found

    def scalar(self, name: str, where: str = "") -> Variable:
        """As `find`, but no array; S203 for one, whose elements are scalars.

        `where` says in errors which entry of a file asks.
        """
        try:
            found = self.find(name)
        except SimulationError as error:
            asked = f"{where}: " if where else ""
            raise SimulationError(error.code, f"{asked}{error.message}") from None
        if found.axes:
            axes = ", ".join(label for label, _ in found.axes)
            raise SimulationError(
                "S203",
                f"{where or self.path.name}: {found.name!r} is an array over {axes}; name one of "
                f"its elements, such as {found.labels[0]}",
            )
        return found

    @cached_property
    def owners(self) -> dict[str, Variable]:
        """For the label of each value the variable, perhaps an array, that it belongs to."""
        return {label: v for v in self.variables.values() for label in v.labels}

    def has(self, name: str) -> bool:
        return key(name) in self._by_key or self._element(name) is not None

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of the constants, element by element, in the order of the file."""
        found = (v.labels for v in self.variables.values() if v.kind == "constant")
        return tuple(label for labels in found for label in labels)


def is_model_file(path: PurePath) -> bool:
    """Whether the name is that of a model in Vensim's or XMILE's format."""
    return path.suffix.lower() in VENSIM | XMILE


def model_path(name: str) -> Path:
    """`name` as a path, or the folder of that name under the nearest models/, if there is one."""
    path = Path(name)
    if not os.path.exists(path):  # False too where a name is too long to be asked for
        for folder in (Path.cwd(), *Path.cwd().parents):
            if os.path.isdir(folder / "models" / name):
                return near(folder / "models" / name)
    return path


def find_model_file(path: str | Path) -> Path:
    """The model file at `path`: the file itself, or the one that a folder holds (M101)."""
    path = Path(path)
    if path.is_dir():
        found = _model_files(path)
        named = [p for p in found if p.stem == path.resolve().name]
        if len(found) != 1 and len(named) != 1:
            what = "no model file" if not found else f"{len(found)} model files"
            raise ModelError("M101", f"{path} holds {what}; one .mdl or XMILE file is needed")
        return (named or found)[0]
    if not path.is_file():
        raise ModelError(
            "M101", f"{path} does not exist{meant_path(path, holds_model, models_around())}"
        )
    if not is_model_file(path):
        raise ModelError("M101", f"{path} is neither a .mdl nor an XMILE file")
    return path


def models_around() -> list[Path]:
    """Folders in which models are looked for by name."""
    return [folder / "models" for folder in (Path.cwd(), *Path.cwd().parents)]


def holds_model(path: Path) -> bool:
    """Whether the path is a model file, or a folder that holds one."""
    return is_model_file(path) or bool(path.is_dir() and _model_files(path))


def _model_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if is_model_file(p))


def read_model(
    path: str | Path,
    data: Iterable[str | Path] = (),
    folders: Iterable[str | Path] = (),
) -> Model:
    """Read a model folder, a .mdl or an XMILE file. Raises ModelError (M1xx).

    `data` are .csv or .tab files with the series of data variables that have no equation: a
    column (or a row) each, times in the first. Without any, those beside the model that are
    called after it are taken: model_data.csv, model_data.tab.

    Other files that its text names (GET DIRECT CONSTANTS and its like) have to lie in its own
    folder or in one of `folders` (M133), links followed; `limits.LIMITS` says how much a text may
    ask for (M132).

    What a text says is kept in the cache, so that a second start neither parses nor loads PySD.
    """
    path = find_model_file(path)
    given = tuple(Path(name) for name in ([data] if isinstance(data, str | Path) else data))
    beside = (path.with_name(f"{path.stem}_data{kind}") for kind in (".csv", ".tab"))
    folders = tuple(Path(f) for f in ([folders] if isinstance(folders, str | Path) else folders))
    folders = (*folders, *allowed_folders.get())
    absent = next((f for f in folders if not f.is_dir()), None)
    if absent is not None:
        raise RunError("R425", f"{absent} is no folder")
    # The caller's own files may lie anywhere; those beside the model are of its making.
    places = tuple(file.resolve().parent for file in given)
    given = given or tuple(file for file in beside if file.is_file())
    for file in given:
        table_file(str(file.absolute()), path.parent, (*folders, *places), path.name)
    raw = _bytes(path)
    versions = (
        code_of("model"), *(metadata.version(name) for name in ("pysd", "numpy")), sys.version
    )  # fmt: skip
    # The name too, since warnings tell it.
    name = name_of("model", *versions, path.name, hashlib.sha256(raw).hexdigest(), *map(str, given))

    def digest(named: str) -> str:
        try:
            return _digest(table_file(named, path.parent, folders, path.name))
        except ModelError:  # reading the text says in which line it is named
            return "refused"

    read: list[tuple] = []

    def make(keep: Callable[[tuple], tuple]) -> Callable[[], bytes]:
        def made() -> bytes:
            if not read:
                read.append(_read(path, raw, given, folders))
            return marshal.dumps(keep(read[0]))

        return made

    # What files a text names, it alone decides; what they hold is part of the second name.
    try:  # plain values by marshal, not objects by pickle, which could run what it reads
        named = marshal.loads(cached(f"{name}.files", make(lambda found: found[-1])))
        digests = [*map(_digest, given), *map(digest, named)]
        whole = name_of(name, *digests)
        rows, hidden, said, rest, _ = marshal.loads(cached(f"{whole}.model", make(lambda f: f)))
    except ValueError:  # a sum of some thousand terms is nested too deeply for marshal
        rows, hidden, said, rest, named = read[0]
        digests = [*map(_digest, given), *map(digest, named)]
    for message in said:
        warnings.warn(message, stacklevel=2)
    text = rest["text"].encode("utf-8", "surrogatepass") + "".join(digests).encode()
    return Model(
        path,
        hash=hashlib.sha256(text).hexdigest(),
        variables={row[0]: Variable(*row) for row in rows},
        hidden={k: Variable(*row) for k, row in hidden},
        data=given,
        files=tuple(path.parent / file for file in named),
        **rest,
    )


def _digest(file: Path | None) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file else "absent"
    except OSError:  # not there: the equation that needs it says so
        return "absent"


def _bytes(path: Path) -> bytes:
    try:
        return read_bounded(path, "model", str(path))
    except OSError as error:
        raise ModelError("M101", f"{path} cannot be read: {error.strerror}") from None


def reader_of(path: Path, text: str) -> Vensim | Xmile:
    """The reader of a model's format."""
    return (Vensim if path.suffix.lower() in VENSIM else Xmile)(path, text)


def _read(path: Path, raw: bytes, data: tuple[Path, ...], folders: tuple[Path, ...] = ()) -> tuple:
    """A model's text read by PySD: its variables, hidden ones, what there is to warn of, the rest,
    and the names of files that its equations read."""
    tell(f"reading {path.name}")
    text = _decode(path, raw)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        reader = reader_of(path, text)
        reader.folders = folders
        try:
            found = Reader(path, reader.sections(), isinstance(reader, Xmile), data, folders)
            variables = found.variables()
        except RecursionError:
            raise ModelError("M110", f"{path.name} is nested too deeply") from None
        finally:
            forget_tables()
        method = reader.method()
    everything = [*variables.values(), *found.hidden.values()]
    rest = {
        "method": method,
        "missing_values": any(has_missing(v.expression) for v in everything),
        "text": text,
    }

    def row(variable: Variable) -> tuple:
        return tuple(getattr(variable, f.name) for f in fields(variable))

    hidden = [(k, row(v)) for k, v in found.hidden.items()]
    told = list(dict.fromkeys(str(w.message) for w in said if w.category is UserWarning))
    files = sorted({*reader.files, *found.files})
    return [row(v) for v in variables.values()], hidden, told, rest, files


def _decode(path: Path, raw: bytes) -> str:
    if not raw.strip():
        raise ModelError("M102", f"{path} is empty")
    if b"\x00" in raw:
        raise ModelError("M103", f"{path} holds NUL bytes and is not text")
    named = re.match(rb"\s*\{([\w.-]+)\}", raw.removeprefix(codecs.BOM_UTF8))
    names = [named[1].decode()] if named else []
    for name in [*names, "utf-8", "cp1252"]:
        try:
            if codecs.lookup(name).name.replace("-", "_") in _NO_ENCODINGS:
                continue
            text = raw.removeprefix(codecs.BOM_UTF8).decode(name)
            break
        except (UnicodeError, LookupError):
            continue
    else:
        raise ModelError("M103", f"{path} is not text in UTF-8 or cp1252")
    # UTF-7 can write both without a byte that shows it.
    if re.search("[\x00\ud800-\udfff]", text):
        raise ModelError("M103", f"{path} holds NUL or half characters and is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
