"""The only importer of PySD: its translators, made safe, its readers of tables, its own run.

Nothing of a model file is ever executed. PySD's translators call `eval` on parts of the
text, which is replaced here by a reader of literals; PySD's builder copies comments into
Python source, which is why they are blanked before a model is run through PySD itself.
"""

from __future__ import annotations

import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import CODES, Error, ModelError, SimulationError, plainly
from .limits import bounded, table_file
from .literals import literal, parts_of
from .scratch import scratch

_UNREAD = "the equation cannot be read; compare it with docs/language.md"


@dataclass
class Definition:
    """One equation: what it defines (subscripts as written, and groups of :EXCEPT:), and how.

    `kind` is "" for an equation, "lookup" or "data"; `keyword` says how data are interpolated;
    `line` counts from 1 (0 where the file does not tell), `text` is the right-hand side.
    """

    subscripts: tuple[str, ...]
    exceptions: tuple[tuple[str, ...], ...]
    abstract: Any
    line: int
    text: str = ""
    kind: str = ""
    keyword: str | None = None


@dataclass
class Element:
    """A variable of a text: one definition, or several over parts of its subscripts."""

    name: str
    unit: str
    limits: tuple
    documentation: str
    definitions: list[Definition]


@dataclass
class Range:
    """A subscript range: its members, or the name of the range that it is a copy of.

    `mappings` are pairs of the range that it stands for and, where the text lists them, the
    members of that range (or ranges of them) in the order of its own.
    """

    name: str
    members: list[str] | str
    mappings: list[tuple[str, list[str] | None]]
    line: int = 0


@dataclass
class Section:
    """The model itself (`name` is empty) or one of its macros; `strings` are the lines of string
    variables, by name."""

    name: str
    parameters: list[str] = field(default_factory=list)
    returns: list[str] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    strings: dict[str, int] = field(default_factory=dict)


def vensim_modules():
    """PySD's translator of Vensim's format, with `eval` closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pysd.translators.vensim import vensim_element, vensim_file, vensim_section
    vensim_element.eval = literal
    vensim_element.range = _bounded_range
    return vensim_file, vensim_section


def _bounded_range(first: int, behind: int) -> range:
    """The `range` by which PySD writes out (a1-a99): no longer than a subscript range may be."""
    bounded("range", behind - first, "a range of numbered elements")
    return range(first, behind)


def xmile_module():
    """PySD's translator of XMILE, with `eval` closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pysd.translators.xmile import xmile_element, xmile_file
    xmile_element.eval = literal
    return xmile_file


def quietly(path: Path, what: str, line: int, action, *arguments):
    """Run a step of PySD's parser; any failure becomes a ModelError that says where."""
    import parsimonious

    where = f"{path.name}, line {line}, {what}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action(*arguments)
    except Error as error:
        raise type(error)(error.code, f"{where}: {error.message}") from None
    except RecursionError:
        raise ModelError("M110", f"{where}: nested too deeply") from None
    except parsimonious.exceptions.VisitationError as error:
        if "RecursionError" in str(error.args[0])[:200]:
            raise ModelError("M110", f"{where}: nested too deeply") from None
        if "IndexError: too many indices" in str(error):
            raise ModelError("M112", f"{where}: a table of one point") from None
        if "ModelError: " in str(error):
            inside = str(error).split("ModelError: ", 1)[1].split("\n")[0]
            code, _, said = inside.partition(": ")
            if code in CODES:
                raise ModelError(code, f"{where}: {said}") from None
        if "TypeError" in str(error) and "argument" in str(error):
            raise ModelError("M114", f"{where}: wrong number of arguments") from None
        if "Exceeds the limit" in str(error):
            raise ModelError("M111", f"{where}: a number of too many digits") from None
        counted = re.match(r"KeyError: (\d+)\b", str(error))
        if counted:  # PySD keeps functions of XMILE by the number of their arguments
            raise ModelError(
                "M114", f"{where}: a function takes another number of arguments than {counted[1]}"
            ) from None
        if re.match(r"IndexError: (list|tuple) index", str(error)):
            raise ModelError("M114", f"{where}: a function with too few arguments") from None
        raise ModelError("M104", f"{where}: {_UNREAD}") from None
    except parsimonious.exceptions.ParseError as error:
        near = error.text[error.pos :].strip()[:40] or error.text.strip()[-40:]
        raise ModelError("M104", f"{where}: cannot be parsed near {near!r}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError("M104", f"{where}: {_UNREAD}{_plainly(error)}") from None


# -- tables beside a model ---------------------------------------------------------------


def external(kind: str, where: str, *arguments, data: Iterable[Path] = ()):
    """What PySD's reader of Excel and CSV files makes of GET DIRECT (or XLS) `kind`.

    `arguments` are those of PySD's class; "series" are looked for in `data`. A list of names for
    "subscript", else an xarray.DataArray (or a number). Raises ModelError M119 where the file or
    its cells cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pysd.py_backend import data as series
        from pysd.py_backend import external as reader

        try:
            if kind == "series":
                found = series.TabData(*arguments)
                found.load_data([str(path) for path in data])
                return found.data
            if kind == "subscript":
                return list(reader.ExtSubscript(*arguments).subscript)
            classes = {"data": reader.ExtData, "lookup": reader.ExtLookup,
                       "constant": reader.ExtConstant}  # fmt: skip
            found = classes[kind](*arguments)
            found.initialize()
            return found.data
        except Exception as error:  # pandas and openpyxl raise anything
            raise ModelError("M119", f"{where}: {_of_a_file(error, arguments)}") from None


def _of_a_file(error: Exception, arguments: tuple) -> str:
    """Why a table beside a model could not be read."""
    named = ", ".join(repr(a) for a in arguments if isinstance(a, str))[:120]
    if isinstance(error, FileNotFoundError):
        return f"there is no file {str(arguments[0])[:80]!r} beside the model"
    if isinstance(error, OSError):
        return f"the file {str(arguments[0])[:80]!r} cannot be read ({error.strerror or 'damaged'})"
    return plainly(error) or f"nothing can be read at {named}"


def forget_tables() -> None:
    """Let go of the files that `external` has read, which PySD keeps."""
    if "pysd.py_backend.external" in sys.modules:
        from pysd.py_backend import data as series
        from pysd.py_backend import external as reader

        reader.Excels.clean()
        series.Columns.clean()


# -- PySD's own run --------------------------------------------------------------------


def run_with_pysd(
    path: Path,
    file,
    values: Mapping[str, Any],
    times: Mapping[str, float],
    data: Iterable[Path] = (),
    seed: int = 0,
):
    """Run a model through PySD by Euler; `file` is what a reader's `abstract` gives.

    `values` are constants by label (numbers, or xarray.DataArrays of whole arrays), `times` what
    PySD's `run` takes for changed time settings, `data` files of series, `seed` that of NumPy's
    global generator, which is put back. Returns a pandas.DataFrame (rows: saved times; columns:
    labels, arrays element by element). Comments and units never reach PySD's builder, files are
    copied beside its program under plain names. Raises ModelError M116 for what PySD raises.
    """
    import numpy
    import pysd
    from pysd.builders.python.python_model_builder import ModelBuilder

    stage, columns = "while it read the file", {}
    with scratch("sdkit-pysd-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            abstract = file.get_abstract_model()
            target = folder / "model.py"
            abstract.original_path = target
            for section in abstract.sections:
                section.path = target
                if section.type != "main":
                    section.path = folder / f"{_file_name(section.name)}.py"
                for row in section.subscripts:
                    if isinstance(row.subscripts, dict):
                        row.subscripts["file"] = _copied(path, row.subscripts["file"], folder)
                for element in section.elements:
                    element.documentation = element.units = ""
                    for component in element.components:
                        if isinstance(getattr(component.ast, "file", None), str):
                            component.ast.file = _copied(path, component.ast.file, folder)
                _refuse_strings(section)
            stage = "while it wrote its program"
            built = ModelBuilder(abstract).build_model()
            stage = "while it ran"
            runnable = pysd.load(str(built), data_files=[str(p) for p in data] or None)
            columns = {row["Real Name"]: row["Py Name"] for _, row in runnable.doc.iterrows()}
            unknown = [name for name in values if name not in columns]
            if unknown:
                raise SimulationError("S203", f"PySD has no variable {unknown[0]!r}")
            state = numpy.random.get_state()
            numpy.random.seed(seed % 2**32)
            try:
                given = {columns[n]: value for n, value in values.items()}
                return runnable.run(params=given, **times)
            finally:
                numpy.random.set_state(state)
        except Error:
            raise
        except RecursionError:
            raise ModelError("M110", f"{path.name} is nested too deeply") from None
        except Exception as error:  # PySD raises anything; the user gets one sentence
            names = {python: label for label, python in columns.items()}
            told = [f.name for f in traceback.extract_tb(error.__traceback__)]
            told += re.findall(r"\b_[a-z]+_(\w+)$", str(error))  # a state, as in _integ_x
            at = [names[python] for python in told if python in names]
            where = f" at {at[-1]!r}" if at else ""
            raise ModelError(
                "M116", f"{path.name}: PySD stopped {stage}{where}{_plainly(error)}"
            ) from None


def _plainly(error: Exception) -> str:
    """A library's plain sentence after a colon, if it has one."""
    said = plainly(error)
    return f": {said}" if said else ""


def _file_name(macro: str) -> str:
    if not re.fullmatch(r"\w+", macro):
        raise ModelError("M116", f"the macro {macro!r} has a name that PySD cannot run")
    return macro


def _copied(path: Path, name: str, folder: Path) -> str:
    """A file that stands beside the model, beside PySD's program."""
    source = path.parent / name
    if name.startswith("?") or not source.is_file():
        return name
    copy = f"file{len(list(folder.iterdir()))}{source.suffix}"
    shutil.copy(source, folder / copy)
    return copy


def _refuse_strings(section) -> None:
    """Refuse names that PySD's builder would paste into a string of its program and that end one.

    It pastes names of files, sheets and cells, of subscripts, functions, macros' parameters and
    data variables; names of other variables become identifiers.
    """
    pasted = [*section.params, *section.returns]
    for row in section.subscripts:
        members = row.subscripts
        pasted += [row.name, *row.mapping]
        pasted += list(members.values() if isinstance(members, dict) else
                       [members] if isinstance(members, str) else members)  # fmt: skip
    for element in section.elements:
        for component in element.components:
            left, exceptions = component.subscripts
            pasted += [*left, *(name for group in exceptions for name in group)]
            if type(component.ast).__name__ == "DataStructure":
                pasted.append(element.name)
            pasted += _strings(component.ast)
    for text in pasted:
        if isinstance(text, str) and re.search(r"['\\\n]|(?<=.)\"(?=.)", text):
            raise ModelError(
                "M116", f"the name {text!r} cannot be handed to PySD: it holds a quote"
            )


def _strings(node) -> Iterator[str]:
    """The texts of an expression, but for the names of variables that it reads."""
    for part in parts_of(node):
        if isinstance(part, str):
            yield part
        elif type(part).__name__ == "CallStructure":
            yield part.function.reference


# -- what a text asks for, before anything is made of it ----------------------------------


def look_at(path: Path, sections: Sequence[Section], folders: Sequence[Path]) -> None:
    """Refuse names that are too long (M132), and files that may not be read (M133, M134), also
    where no equation of the model needs them: PySD's own run reads them."""
    for section in sections:
        for row in section.ranges:
            where = f"{path.name}, line {row.line}, a subscript range"
            longest = max(map(len, [row.name, *row.members]), default=0)
            bounded("name", longest, where)
        for element in section.elements:
            for definition in element.definitions:
                where = f"{path.name}, line {definition.line}"
                bounded("name", len(element.name), where)
                bounded("subscripts", len(definition.subscripts), where)
                for name in _named_files(definition.abstract):
                    table_file(name, path.parent, folders, f"{where}, {element.name!r}")


def _named_files(node) -> Iterator[str]:
    """The files that an expression of PySD names, wherever in it."""
    files = (getattr(part, "file", None) for part in parts_of(node))
    return (file for file in files if isinstance(file, str))
