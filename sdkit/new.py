"""Folders to begin with: a model that runs at once, a run filled in from its model.

A folder is written beside its place and renamed at the end, whole or not at all, and never
over anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .compare import LATEST
from .compile import compile_model
from .errors import RunError, UsageError
from .experiment import Setting, read_settings
from .expressions import key
from .files import near, read_text, write_text
from .model import Model, is_model_file, model_path, read_model
from .outputs import read_outputs
from .parameters import Parameters, read_parameters
from .placing import workshop
from .references import check_names
from .run import prepare, read_run
from .time_units import time_unit

TEMPLATES = Path(__file__).with_name("templates")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.I)
_DRAWS = 64


def new_model(name: str) -> list[Path]:
    """Write models/`name`: one stock, one lever, and all the files that a model may have.

    It stands in the nearest models/ here or above, else in a new one here. Returns the files
    written. Raises UsageError U604 for a name that is none, U605 where something of that
    name is there, RunError U603 where the disk does not take it.
    """
    if name.lower() == "data":
        raise UsageError("U604", "models/data is for series that models share, and no model")
    root = _root() or Path.cwd()

    def fill(folder: Path) -> None:
        for path in sorted(p for p in TEMPLATES.rglob("*") if p.is_file() and p.name != "run.toml"):
            text = read_text(path).replace("@NAME@", name)
            inside = path.relative_to(TEMPLATES)
            write_text(folder / (f"{name}.mdl" if path.name == "model.mdl" else inside), text)

    return _write(root / "models", name, fill)


def new_run(name: str, model: str | None = None) -> list[Path]:
    """Write runs/`name`/run.toml: a comparison of all policies of a model under all its scenarios.

    `model` is a name or a path, and may be left out where models/ holds one only. Outputs are
    the headline ones; the horizon begins with the first lever and lies inside the model's
    time. Raises what `new_model` does, U601 where it has to be said which model, R413 where
    the model lies outside the folder that holds models/, R451 where its time has no whole
    year, and whatever is wrong in the model's own files.
    """
    root = _root()
    if root is None:
        raise RunError("R413", f"no folder models in {Path.cwd()} or above it")
    path = model_path(model) if model else _only_model(root)
    read = read_model(path)
    check_names(read)
    if not path.resolve().is_relative_to(root.resolve()):
        raise RunError("R413", f"{path} lies outside {root}, where the run would look for it")
    text = _run_text(read, path.resolve().relative_to(root.resolve()).as_posix())

    def fill(folder: Path) -> None:
        write_text(folder / "run.toml", text)
        prepare(read_run(folder))

    return _write(root / "runs", name, fill)


def _root() -> Path | None:
    """The nearest folder, here or above, that holds models/."""
    return next((f for f in (Path.cwd(), *Path.cwd().parents) if (f / "models").is_dir()), None)


def _only_model(root: Path) -> Path:
    found = sorted({p.parent for p in root.glob("models/*/*") if is_model_file(p)})
    if len(found) != 1:
        known = ", ".join(path.name for path in found) or "no model"
        raise UsageError("U601", f"--model is needed: {root / 'models'} holds {known}")
    return found[0]


def _write(parent: Path, name: str, fill: Callable[[Path], None]) -> list[Path]:
    """Fill a new folder `name` in `parent`, all or nothing; its files, sorted."""
    if not _NAME.fullmatch(name) or _DEVICE.fullmatch(name):
        raise UsageError("U604", f"{name!r} is no name for a folder")
    made = not parent.exists()
    try:
        parent.mkdir(exist_ok=True)
        # A file system may fold case where this one does not.
        for other in parent.iterdir():
            if other.name.lower() == name.lower():
                raise UsageError("U605", f"{near(other)} is there already")
        with workshop(parent / name) as stage:
            folder = stage / name
            folder.mkdir()
            fill(folder)
            inside = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
            folder.rename(parent / name)
        made = False
    except OSError as error:
        raise RunError("U603", f"{near(parent / name)}: {error.strerror or error}") from None
    finally:
        if made and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    return [near(parent / name / path) for path in inside]


def _run_text(model: Model, where: str) -> str:
    folder = model.path.parent
    parameters = read_parameters(model)
    scenarios = read_settings(folder / "scenarios.toml", "scenario", parameters)
    policies = read_settings(folder / "policies.toml", "policy", parameters)
    outputs = read_outputs(folder / "outputs.toml", model)
    headlines = [o.name for o in outputs.values() if o.headline] or list(outputs)
    draws = (
        f'{{ from = "priors", n = {_DRAWS} }}' if parameters.sampled else '{ from = "defaults" }'
    )
    text = read_text(TEMPLATES / "run.toml")
    for word, value in (
        ("QUESTION", _text(f"What do the policies of the model {model.name} change?")),
        ("MODEL", _text(where)),
        ("DRAWS", draws),
        ("SCENARIOS", _list(list(scenarios))),
        ("POLICIES", _list(list(policies))),
        ("OUTPUTS", _list(headlines)),
        ("HORIZON", str(list(_horizon(model, parameters, policies.values())))),
    ):
        text = text.replace(f"@{word}@", value)
    return text


def _text(text: str) -> str:
    """A text as TOML writes it: as JSON does, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(names: Sequence[str]) -> str:
    """A TOML list of texts, one a line where they are many."""
    quoted = [_text(name) for name in names]
    line = f"[{', '.join(quoted)}]"
    return line if len(line) < 80 else "[\n" + "".join(f"    {q},\n" for q in quoted) + "]"


def _horizon(model: Model, parameters: Parameters, policies: Iterable[Setting]) -> tuple[int, int]:
    """From the first unit of time in which a lever starts, or the model's first, to its last."""
    program = compile_model(model, ())
    first, last = math.ceil(program.initial_time), math.floor(program.final_time + 1e-9) - 1
    steps = [(first - program.initial_time) / program.time_step, 1 / program.time_step]
    if not 0 <= first <= last <= LATEST or any(abs(n - round(n)) > 1e-6 for n in steps):
        raise RunError(
            "R451",
            f"{model.path.name} goes from {program.initial_time:g} to {program.final_time:g} in "
            f"steps of {program.time_step:g}; a comparison needs whole {time_unit(model).many} on "
            "steps",
        )
    levers = {p.name: p.default for p in parameters.of_role("lever")}
    values = [levers, *(policy.values for policy in policies)]
    starts = [v for mapping in values for n, v in mapping.items() if _is_start(key(n))]
    inside = [math.floor(v) for v in starts if first <= v < last + 1]
    return min(inside, default=first), last


def _is_start(name: str) -> bool:
    """Whether a lever says when something begins: "outreach start", "start of programmes"."""
    return name.endswith("_start") or name.startswith("start_of_")
