"""Results on disk: carried out, written to a folder of their own, and put in place at one instant.

What decides the numbers is tracked beside the question (summary.csv, claims.csv,
switches.csv in its main part, record.json); the rest stands in out/. A run that fails or
is interrupted leaves earlier results untouched.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from . import report, run_plot
from .compare import Comparison
from .comparing import execute
from .compile import compile_model
from .discover_report import write_discovery
from .discover_run import execute_discovery, read_cases
from .errors import RunError, SimulationError
from .files import exact, fingerprint, read_text, write_bytes, write_json, write_table, write_text
from .fit_report import TABLES, posterior_text, write_fit
from .fit_run import prepare_fit, read_fit, variants
from .fit_run import work_name as chains_name
from .fitting import execute_fit
from .model import is_model_file, read_model
from .names import some
from .optimize_report import write_portfolios
from .optimize_run import Instruments, read_wanted
from .optimize_study import execute_search
from .placing import put, workshop
from .progress import tell
from .references import check_names
from .run import Prepared, prepare, read_run, task_of, work_name
from .scratch import locked
from .sensitivity_report import write_sensitivity
from .sensitivity_run import prepare_inputs, read_asked
from .sensitivity_study import execute_sensitivity
from .simulation import by_label, simulate
from .switches import tracked
from .time_units import time_unit

_WORK = "unfinished-"
# What writes results into a folder, and a file elsewhere that goes with them: its path and text.
_Done = tuple[Callable[[Path], None], tuple[Path, str] | None]


def environment_of(seconds: float) -> dict:
    """Where and when: for out/environment.json, not tracked."""
    packages = (
        "numpy", "scipy", "pandas", "xarray", "llvmlite", "zarr", "pysd", "matplotlib", "jinja2",
        "emcee", "arviz", "scikit-learn",
    )  # fmt: skip
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def carry_out(
    folder: Path,
    *,
    n: int | None = None,
    changed: Mapping[str, float] | None = None,
    out: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Do what a run folder asks; returns the path of its report.

    Without `n`, `changed` and `out` the results go where they are tracked; `n` or `changed`
    make a trial, in out/trial; `out` names a folder. Lanes that fail leave failed.csv in
    the place of results and raise S202; whatever fails leaves earlier results alone.
    """
    trial = folder / "out" / "trial" if n is not None or changed else None
    flat = out or trial
    work = _WORKS[task_of(folder)]
    with _alone(folder, out):
        began = time.monotonic()
        if edited := _edited(folder):
            verb = "are not the tables" if len(edited) > 1 else "is not the table"
            text = f"{some(edited)} {verb} that record.json names: edited after the run"
            warnings.warn(f"{folder}: {text}", stacklevel=2)
        try:
            write, beside = work(folder, flat, n, changed, threads, progress)
        except SimulationError as error:
            if not error.failures:
                raise
            failed = (flat or folder / "out") / "failed.csv"
            _write_failures(failed, error.failures)
            text = f"{error.message}; all of them: {failed}"
            raise SimulationError(error.code, text, error.failures) from None
        except MemoryError:
            where = f"{folder / 'run.toml'}: its" if n is None else f"--draws = {n}: these"
            text = f"{where} draws are too many for this machine's memory"
            raise RunError("R447", text) from None
        tell("writing results")
        try:
            with workshop(flat or folder) as stage:
                fresh = stage / "fresh"
                write(fresh)
                _sign(fresh, beside and beside[1])
                environment = environment_of(time.monotonic() - began)
                write_json(fresh / "out" / "environment.json", environment)
                gone = _earlier(flat or folder, "tracked" if not flat else out and "named")
                with _put_first(None if flat else beside):
                    put(_flattened(fresh) if flat else fresh, flat or folder, gone, stage)
            for left in (flat or folder / "out").glob(f"{_WORK}*"):
                shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            where = error.filename2 or flat or folder  # what could not be replaced, if one file
            raise RunError("U603", f"{where}: {error.strerror or error}") from None
    return (flat or folder / "out") / "report.html"


@contextlib.contextmanager
def _alone(folder: Path, out: Path | None) -> Iterator[None]:
    """No other process writes to the run's folder, or to the one that the user named (R427)."""
    place = out or folder
    made, lock = not place.exists(), None
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = locked(place)
    except BlockingIOError:
        raise RunError("R427", f"{place} is being written by another process") from None
    except OSError as error:
        raise RunError("U603", f"{place}: {error.strerror or error}") from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
        with contextlib.suppress(OSError):  # which holds something
            if made:
                place.rmdir()


def _sign(fresh: Path, posterior: str | None) -> None:
    """Let the record name the tables that go with it, each by the SHA-256 of its contents."""
    path = fresh / "record.json"
    record = json.loads(read_text(path))
    record["tables"] = {table.name: fingerprint(table) for table in sorted(fresh.glob("*.csv"))}
    if posterior is not None:
        record["posterior.csv"] = hashlib.sha256(posterior.encode()).hexdigest()
    write_json(path, record)


def _edited(folder: Path) -> list[str]:
    """The tables beside a record that are not those that it names."""
    with contextlib.suppress(RunError, ValueError, AttributeError, KeyError):  # no record of ours
        signed = json.loads(read_text(folder / "record.json"))["tables"].items()
        here = {table.name: table for table in sorted(folder.glob("*.csv"))}
        return [n for n, digest in signed if n in here and fingerprint(here[n]) != digest]
    return []


def _earlier(place: Path, kind: str | None) -> Callable[[str], bool]:
    """Which names in a folder of results are of an earlier run and go, though no new file takes
    their place: all in that of a trial, else failures, and the tables that its record names.
    Somebody else's folder with the name of a table stays, and put() raises."""
    if kind is None:
        return lambda name: True
    own = "out" if kind == "tracked" else "failed.csv"
    tables: set[str] = set()
    with contextlib.suppress(RunError, ValueError, AttributeError):  # no record, or another's
        record = json.loads(read_text(place / "record.json"))
        tables = {name for name in record.get("tables", TABLES) if name.endswith(".csv")}
    return lambda name: name == own or (name in tables and not (place / name).is_dir())


@contextlib.contextmanager
def _put_first(beside: tuple[Path, str] | None) -> Iterator[None]:
    """Write a file before the tables that it goes with, and put the old one back if they fail.

    A run that dies in between is carried out again: what it did is still there.
    """
    if beside is None:
        yield
        return
    path, text = beside
    before = path.read_bytes() if path.exists() else None
    write_text(path, text)
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink()
        else:
            write_bytes(path, before)
        raise


def _flattened(fresh: Path) -> Path:
    """The folder of all results, where tracked ones have no place of their own."""
    new = fresh / "out"
    for path in [p for p in fresh.iterdir() if p.is_file()]:
        if not (new / path.name).exists():  # the whole switches.csv stands for its main part
            path.rename(new / path.name)
    return new


def _compare(folder, flat, n, changed, threads, progress) -> _Done:
    prepared = prepare(read_run(folder, n), changed)
    weaknesses = report.weaknesses_of(prepared.model.path.parent)
    comparison = execute(prepared, progress, threads)
    return lambda stage: write_results(prepared, comparison, weaknesses, stage), None


def _fit(folder, flat, n, changed, threads, progress) -> _Done:
    if n is not None:
        raise RunError("R473", f"--draws is for other runs; {folder / 'run.toml'} asks for a fit")
    every = variants(prepare_fit(read_fit(folder), changed))
    works = _working_folders(flat or folder / "out", [chains_name(prepared) for prepared in every])
    found = []
    for number, (prepared, work) in enumerate(zip(every, works, strict=True)):
        report = progress and _part(progress, number, len(every))
        try:
            findings = execute_fit(prepared, work, report, threads)
        except RunError as error:
            if prepared.label:  # of several, which
                raise RunError(error.code, f"{prepared.label}: {error.message}") from None
            raise
        found.append(findings if len(every) == 1 else findings.lighter())

    beside = None
    if every[0].run.posterior:
        beside = every[0].model.path.parent / "posterior.csv", posterior_text(found)
    return lambda stage: write_fit(found, stage), beside


def _sensitivity(folder, flat, n, changed, threads, progress) -> _Done:
    run = read_run(folder, n)
    asked = read_asked(run)
    prepared = prepare(run, changed)
    inputs = prepare_inputs(prepared, asked)
    (work,) = _working_folders(flat or folder / "out", [work_name(prepared)])
    found = execute_sensitivity(prepared, asked, inputs, work, progress, threads)
    return lambda stage: write_sensitivity(found, stage), None


def _discover(folder, flat, n, changed, threads, progress) -> _Done:
    run = read_run(folder, n)
    prepared = prepare(run, changed)
    cases = read_cases(run, {o.name: o for o in prepared.outputs}, time_unit(prepared.model))
    (work,) = _working_folders(flat or folder / "out", [work_name(prepared)])
    found = execute_discovery(prepared, cases, work, progress, threads)
    return lambda stage: write_discovery(found, stage), None


def _optimize(folder, flat, n, changed, threads, progress) -> _Done:
    run = read_run(folder, n)
    wanted = read_wanted(run)
    prepared = prepare(run, changed)
    instruments = Instruments(prepared)
    (work,) = _working_folders(flat or folder / "out", [work_name(prepared)])
    found = execute_search(prepared, wanted, instruments, work, progress, threads)
    return lambda stage: write_portfolios(found, stage), None


_WORKS = {
    "compare": _compare, "fit": _fit, "sensitivity": _sensitivity, "discover": _discover,
    "optimize": _optimize,
}  # fmt: skip


def _part(progress: Callable[[int, int], None], number: int, count: int):
    """Progress of one fit of several, as that of all."""
    return lambda done, total: progress(number * total + done, count * total)


def _working_folders(out: Path, names: Sequence[str]) -> list[Path]:
    """Where fits and studies keep what they have done until it is written; what others left
    goes."""
    works = [out / f"{_WORK}{name}" for name in names]
    try:
        for left in out.glob(f"{_WORK}*"):
            if left not in works:
                shutil.rmtree(left, ignore_errors=True)
        for work in works:
            work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError("U603", f"{out}: {error.strerror or error}") from None
    return works


def write_results(
    prepared: Prepared,
    comparison: Comparison,
    weaknesses: Sequence[str],
    stage: Path,
) -> None:
    """Every result into `stage`: the tracked files, and the rest under out/."""
    out = stage / "out"
    for name, table, place_ in (
        ("summary.csv", comparison.summary, stage),
        ("claims.csv", comparison.claims_table, stage),
        ("switches.csv", tracked(comparison.switches, comparison.main), stage),
        ("switches.csv", comparison.switches, out),
        ("series.csv", comparison.series, out),
    ):
        write_table(place_ / name, list(table.columns), table.itertuples(index=False, name=None))
    write_json(stage / "record.json", prepared.record)
    report.write_report(comparison, out, prepared.record, weaknesses)


def _write_failures(path: Path, failures) -> None:
    names = ("draw", "scenario", "policy", "time", "variable", "reason", "parameters")
    rows = []
    for failure in failures:
        values = "; ".join(f"{k} = {v:.6g}" for k, v in failure["parameters"].items())
        cells = failure | {"time": exact(failure["time"]), "parameters": values}
        rows.append([cells[name] for name in names])
    write_table(path, names, rows)


def default_run(
    path: Path, changed: Mapping[str, float], out: Path | None = None
) -> tuple[Path, Path]:
    """One run of a model: every variable to variables.csv, and one picture of its stocks.

    They go to `out`, or to <model's name>-run in the current folder. Returns both paths.
    """
    model = read_model(path)
    # In a folder of several models the files may be another's.
    folder = model.path.parent
    if sum(is_model_file(p) for p in folder.iterdir()) == 1 or model.name == folder.resolve().name:
        check_names(model)
    result = simulate(compile_model(model), set=changed)
    found = by_label(model, result)
    names, columns = list(found), np.column_stack(list(found.values()))
    times = [exact(time) for time in result["time"].to_numpy()]
    rows = [[time, *row] for time, row in zip(times, columns.tolist(), strict=True)]
    out = out or Path(f"{model.name}-run")
    stocks = [name for name in result if model.variables[name].kind == "stock"]
    shown = stocks or list(result)[:9]
    try:
        with workshop(out) as stage:
            write_table(stage / "fresh" / "variables.csv", ["Time", *names], rows)
            run_plot.stocks(result, shown, model, stage / "fresh" / "stocks.png")
            put(stage / "fresh", out, lambda name: False, stage)
    except OSError as error:
        raise RunError("U603", f"{out}: {error.strerror or error}") from None
    return out / "variables.csv", out / "stocks.png"
