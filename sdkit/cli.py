"""The command line. Only this module and `terminal` print, and only `main` exits.

Exit status: 0 done, 1 a check failed, 2 bad input, 130 interrupted, 141 nobody reads the
output any more (as of programs that end by SIGPIPE). No traceback reaches the user: what nobody
foresaw becomes U699, with the details in a log file.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .errors import CODES, Error, RunError, UsageError
from .names import meant, meant_path
from .terminal import Progress, asked_to_stop, complain

app = typer.Typer(
    help="Compile system-dynamics models, run ensembles of them, compare policies.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sdkit {__version__}")
        raise typer.Exit()


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            help="Let models read tables from this folder too, not from their own alone. Stands "
            "before the command; may be repeated."
        ),
    ] = None,
) -> None:
    from .limits import allowed_folders

    allowed_folders.set(tuple(tables or ()))


def _whole(text: str) -> int:
    from .files import integer

    return integer(text)


@app.command()
def run(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run folder, a model's folder or a model file; or a name under runs/, else "
            "under models/."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help='Change a constant for once: "name = value". May be repeated.'),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write results to this folder instead.")] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            help="A trial with this many draws, in out/trial.", parser=_whole, metavar="INTEGER"
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads to use; all cores if left out.", parser=_whole, metavar="INTEGER"
        ),
    ] = None,
) -> int:
    """Do what a run folder asks, or run a model once with its default values."""
    assigned = [_assignment(text) for text in set_ or ()]
    if threads is not None and threads < 1:
        raise UsageError("U601", "--threads has to be 1 or more")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError("U601", f"--out {out} is a file, not a folder")
    from . import results
    from .expressions import label_key

    changed = {}
    for name, value in assigned:
        if any(label_key(name) == label_key(other) for other in changed):
            raise UsageError("U601", f"--set gives {name!r} twice")
        changed[name] = value
    path = _found(path.parent if path.name == "run.toml" else path)
    if _is_run_folder(path):
        with Progress() as progress:
            began = time.monotonic()
            report = results.carry_out(
                path, n=draws, changed=changed, out=out, threads=threads, progress=progress
            )
        print(f"{report} ({time.monotonic() - began:.0f} s)")
        return 0
    if draws is not None:
        raise UsageError("U601", f"--draws is for run folders; {path} is a model")
    for written in results.default_run(path, changed, out):
        print(written)
    return 0


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="A model's name under models/, or its path.")],
    engines: Annotated[
        bool, typer.Option("--engines", help="Compare one run in all engines instead.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show checks that fail, and nothing else.")
    ] = False,
) -> int:
    """Carry out the checks of a model; status 1 if one fails.

    Checks that fail come last. Notes, on variables that nothing reads for instance, are no
    failures.
    """
    from .model import model_path

    if engines:
        return _check_engines(model_path(model), quiet)
    from .check import check_model
    from .model import read_model
    from .references import notes

    with Progress(quiet=quiet) as progress:
        findings = check_model(model_path(model), progress)
        told = [] if quiet else notes(read_model(model_path(model)))
    width = max(len(finding.check.name) for finding in findings)
    failed = [finding for finding in findings if not finding.passed]
    passed = [] if quiet else [finding for finding in findings if finding.passed]
    for finding in passed:
        mark = "skip" if finding.skipped else "pass"
        print(f"{mark}  {finding.check.name:<{width}}  {finding.detail}")
    for note in told:
        print(f"note  {note}")
    for finding in failed:
        print(f"FAIL  {finding.check.name:<{width}}  {finding.detail}")
    skipped = sum(finding.skipped for finding in findings)
    rest = f", {skipped} skipped" if skipped else ""
    if failed or not quiet:
        count = len(findings) - len(failed) - skipped
        print(f"{count} of {len(findings)} checks passed{rest}")
    return 1 if failed else 0


def _check_engines(path: Path, quiet: bool) -> int:
    from .engines import compare_engines, engine_lines

    def say(text: str) -> None:
        if asked_to_stop.is_set():
            raise KeyboardInterrupt
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    found = compare_engines(path, say)
    if not (quiet and found.passed):
        print("\n".join(engine_lines(found)))
    return 0 if found.passed else 1


@app.command()
def diff(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A model: its name, its path, or REVISION:PATH.")
    ],
    b: Annotated[
        str | None,
        typer.Argument(
            metavar="B", help="The newer one. Without it: the last commit of A, and A on disk."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List changed units, bounds and sentences too.")
    ] = False,
) -> int:
    """Compare two versions of a model.

    What changed in equations, constants and priors, and which outputs that moves. Status 0
    whatever is found; 2 where a version cannot be read or does not run.
    """
    from .diff import diff_models
    from .diff_text import difference_lines
    from .revisions import find_versions
    from .scratch import scratch

    with scratch("sdkit-diff-") as folder:
        old, new = find_versions(a, b, folder)
        found = diff_models(old.path, new.path, (old.label, new.label))
    print("\n".join(difference_lines(found, old.label, new.label, everything)))
    sys.stdout.flush()
    for fault in found.faults:
        complain(fault)
    return 2 if found.faults else 0


@app.command()
def new(
    what: Annotated[str, typer.Argument(metavar="model|run", help="What to begin.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its folder's name: letters, digits, - and _.")
    ],
    model: Annotated[
        str | None, typer.Option(help="The model of a new run, by its name or path.")
    ] = None,
) -> int:
    """Begin a model or a run of your own.

    Writes models/NAME or runs/NAME; nothing is overwritten.
    """
    if what not in ("model", "run"):
        near = meant(what, ("model", "run"))
        raise UsageError("U601", f'{what!r} is neither "model" nor "run"{near}')
    if what == "model" and model is not None:
        raise UsageError("U601", "--model is for a new run")
    from .new import new_model, new_run

    written = new_model(name) if what == "model" else new_run(name, model)
    for path in written:
        print(path)
    folder = written[0].parent.as_posix()
    folder = f'"{folder}"' if " " in folder else folder
    print("next:")
    for line in (
        (f"run {folder}", f"check {name}", f"new run {name} --model {name}")
        if what == "model"
        else (f"run {folder} --draws 16", f"run {folder}")
    ):
        print(f"  sdkit {line}")
    return 0


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="An error code, such as M104.")] = None,
) -> int:
    """Cause and cure of an error code; without one, a list of all."""
    if code is None:
        for name, entry in CODES.items():
            print(f"{name}  {entry.cause}")
        return 0
    entry = CODES.get(code.upper())
    if entry is None:
        near = meant(code, CODES, listed=False)
        raise UsageError("U602", f"there is no error code {code!r}{near}")
    print(f"{code.upper()}\n  cause: {entry.cause}\n  cure:  {entry.cure}")
    return 0


def _assignment(text: str) -> tuple[str, float]:
    from .files import decimal

    name, equals, value = text.rpartition("=")
    try:
        if equals and name.strip():
            return name.strip(), decimal(value)
        said = 'is not of the form "name = value"'
    except ValueError:
        said = f"needs a number such as 0.5, and {value.strip()!r} is none"
    raise UsageError("U601", f"--set {text!r} {said}")


def _found(path: Path) -> Path:
    """The path, or for a name the folder under the nearest runs/, else models/ (R401)."""
    if os.path.exists(path):  # False too where a name is too long to be asked for
        return path
    around = [
        folder / kind for kind in ("runs", "models") for folder in (Path.cwd(), *Path.cwd().parents)
    ]
    if path.name == str(path):
        named = [folder / path for folder in around if (folder / path).is_dir()]
        if named:
            from .files import near

            return near(named[0])
    other = meant_path(path, _can_be_run, around)
    raise RunError("R401", f"{path} does not exist{other}")


def _can_be_run(path: Path) -> bool:
    from .model import holds_model

    return (path / "run.toml").exists() or holds_model(path)


def _is_run_folder(path: Path) -> bool:
    """A folder with run.toml; and any folder without a model, so that its error speaks of runs."""
    from .model import is_model_file

    if (path / "run.toml").exists():
        return True
    if not path.is_dir():
        return False
    return not any(is_model_file(p) for p in path.iterdir())


def _defect(error: BaseException) -> None:
    where = "no log file could be written"
    try:
        handle, name = tempfile.mkstemp(prefix="sdkit-", suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as log:
            log.write(f"sdkit {__version__}, python {sys.version}\n{sys.argv}\n")
            log.write("".join(traceback.format_exception(error)))
        where = name
    except OSError:
        pass
    summary = str(error).splitlines()
    text = f"{type(error).__name__}: {summary[0][:200] if summary else ''}"
    print(f"U699: a defect of sdkit ({text}); details: {where}", file=sys.stderr)


# What a device says that takes no more output.
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def _stop(*_) -> None:
    asked_to_stop.set()
    raise KeyboardInterrupt


def status(arguments: list[str] | None = None) -> int:
    """Run one command line; returns its exit status, whatever happens."""
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="sdkit", standalone_mode=False)
        sys.stdout.flush()
    except Error as error:
        complain(error)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        result = 130
    except (BrokenPipeError, SystemExit):  # typer makes the second of the first
        # Whoever read our output has gone; nothing is left to say to them.
        return 141
    except Exception as error:
        # Typer brings its own copy of click, or uses click's: both name their usage errors so.
        if asked_to_stop.is_set():  # some packages make an error of their own of Ctrl-C
            print("interrupted; earlier results are untouched", file=sys.stderr)
            return 130
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITTEN:
            complain(UsageError("U606", f"standard output: {error.strerror}"))
        elif hasattr(error, "format_message"):
            complain(_usage(error))
        else:
            _defect(error)
        return 2
    result = result if isinstance(result, int) else 0
    if result == 130:
        print("interrupted; earlier results are untouched", file=sys.stderr)
    return result


def _usage(error: Exception) -> UsageError:
    """A usage error of click's, with the names that may have been meant."""
    text = error.format_message().rstrip(".") or "a command is needed"
    wrong = re.match(r"No such command '([^']*)'", text)
    if wrong:
        commands = typer.main.get_command(app).commands
        text = f"there is no command {wrong[1]!r}{meant(wrong[1], commands)}"
    elif getattr(error, "option_name", None) and "No such option" in text:
        options = [name for p in error.ctx.command.params for name in p.opts] if error.ctx else []
        text = f"there is no option {error.option_name!r}{meant(error.option_name, options)}"
    return UsageError("U601", text)


# Where Ctrl-C cannot be raised it is not printed either; `asked_to_stop` has it.


def _lost(unraisable) -> None:
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _printed(kind, error, trace) -> None:
    """Cython prints what it cannot raise by this hook first."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


def main() -> None:
    """Run the command line of this process, and end it."""
    sys.unraisablehook, sys.excepthook = _lost, _printed
    for name in ("stdout", "stderr"):  # closed by whoever started this
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        signal.signal(signal.SIGINT, _stop)
        code = status()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done, and only cleaning up is left
    except KeyboardInterrupt:  # before status began, or while it said something
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 130
        os.write(2, b"interrupted; earlier results are untouched\n")
    except BrokenPipeError:  # of standard error
        code = 141
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # Python would try once more when it ends, and complain
            code = code or 141
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
