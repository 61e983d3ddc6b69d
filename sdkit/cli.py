"""The command line. Only this module prints, and only `main` exits.

Exit status: 0 done, 1 a check failed, 2 bad input, 130 interrupted. No traceback reaches
the user: what nobody foresaw becomes U699, with the details in a log file.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .errors import CODES, Error, RunError, UsageError

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
) -> None:
    pass


@app.command()
def run(
    path: Annotated[Path, typer.Argument(help="A run folder, a model's folder or a model file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help='Change a constant for once: "name = value". May be repeated.'),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write results to this folder instead.")] = None,
    draws: Annotated[
        int | None, typer.Option(help="A trial with this many draws, in out/trial.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads to use; all cores if left out.")
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
    if path.name == "run.toml":
        path = path.parent
    if _is_run_folder(path):
        with _Progress() as progress:
            began = time.monotonic()
            report = results.carry_out(
                path, n=draws, changed=changed, out=out, threads=threads, progress=progress
            )
        print(f"{report} ({time.monotonic() - began:.0f} s)")
        return 0
    if draws is not None:
        raise UsageError("U601", f"--draws is for run folders; {path} is a model")
    if not path.exists():
        raise RunError("R401", f"{path} does not exist")
    for written in results.default_run(path, changed, out):
        print(written)
    return 0


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="A model's name under models/, or its path.")],
    engines: Annotated[
        bool, typer.Option("--engines", help="Compare one run in all engines instead.")
    ] = False,
) -> int:
    """Carry out the checks of a model; status 1 if one fails."""
    from .model import model_path

    if engines:
        return _check_engines(model_path(model))
    from .check import check_model

    with _Progress() as progress:
        findings = check_model(model_path(model), progress)
    width = max(len(finding.check.name) for finding in findings)
    for finding in findings:
        mark = "skip" if finding.skipped else "pass" if finding.passed else "FAIL"
        print(f"{mark}  {finding.check.name:<{width}}  {finding.detail}")
    failed = sum(not finding.passed for finding in findings)
    skipped = sum(finding.skipped for finding in findings)
    rest = f", {skipped} skipped" if skipped else ""
    print(f"{len(findings) - failed - skipped} of {len(findings)} checks passed{rest}")
    return 1 if failed else 0


def _check_engines(path: Path) -> int:
    from .engines import compare_engines, engine_lines

    def say(text: str) -> None:
        if _asked_to_stop.is_set():
            raise KeyboardInterrupt
        print(text, file=sys.stderr, flush=True)

    found = compare_engines(path, say)
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

    with tempfile.TemporaryDirectory(prefix="sdkit-diff-") as scratch:
        old, new = find_versions(a, b, Path(scratch))
        found = diff_models(old.path, new.path, (old.label, new.label))
    print("\n".join(difference_lines(found, old.label, new.label, everything)))
    sys.stdout.flush()
    for fault in found.faults:
        _complain(fault)
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
        raise UsageError("U601", f'{what!r} is neither "model" nor "run"')
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
        raise UsageError("U602", f"there is no error code {code!r}")
    print(f"{code.upper()}\n  cause: {entry.cause}\n  cure:  {entry.cure}")
    return 0


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        if not equals or not name.strip():
            raise ValueError
        return name.strip(), float(value)
    except ValueError:
        raise UsageError("U601", f'--set {text!r} is not of the form "name = value"') from None


def _is_run_folder(path: Path) -> bool:
    """A folder with run.toml; and any folder without a model, so that its error speaks of runs."""
    from .model import is_model_file

    if (path / "run.toml").exists():
        return True
    if not path.is_dir():
        return False
    return not any(is_model_file(p) for p in path.iterdir())


class _Progress:
    """Share done and time left on stderr: a bar on a terminal, else a line now and then."""

    def __enter__(self):
        self.began, self.bar, self.said = time.monotonic(), None, time.monotonic()
        return self

    def __call__(self, done: int, total: int) -> None:
        if _asked_to_stop.is_set():
            raise KeyboardInterrupt
        if sys.stderr.isatty():
            if self.bar is None:
                self.bar = _bar()
                self.bar.start()
                self.task = self.bar.add_task("simulating", total=total)
            text = "simulating" if done < total else "writing results"
            self.bar.update(self.task, completed=done, total=total, description=text)
            return
        now = time.monotonic()
        if now - self.said >= 5 and done:
            self.said = now
            left = (now - self.began) * (total - done) / done
            print(f"{done / total:.0%} done, about {left:.0f} s left", file=sys.stderr, flush=True)

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.stop()


def _bar():
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _complain(error: Error) -> None:
    """One clear message on stderr: code, what, and the cure."""
    cure = CODES[error.code].cure
    if not sys.stderr.isatty():
        print(f"{error.code}: {error.message}\n  {cure}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    body = Text(f"{error.message}\n") + Text(cure, style="dim")
    Console(stderr=True).print(Panel(body, title=error.code, title_align="left", style="red"))


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


# Ctrl-C that Python raises inside a callback of its own is lost; what asks here finds it again.
_asked_to_stop = threading.Event()


def _stop(*_) -> None:
    _asked_to_stop.set()
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
        _complain(error)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        result = 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say to them.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except Exception as error:
        # Typer brings its own copy of click, or uses click's: both name their usage errors so.
        if hasattr(error, "format_message"):
            _complain(
                UsageError("U601", error.format_message().rstrip(".") or "a command is needed")
            )
        else:
            _defect(error)
        return 2
    result = result if isinstance(result, int) else 0
    if result == 130:
        print("interrupted; earlier results are untouched", file=sys.stderr)
    return result


def main() -> None:
    signal.signal(signal.SIGINT, _stop)
    sys.exit(status())


if __name__ == "__main__":
    main()
