"""Runs a second on one core: the compiled kernel beside pysimlin, scalar C and PySD.

    python -m tests.bench [MODEL ...] [--pysd] [--seconds S] [--more DRAWS]

One table, made in one process, so that ratios hold on a noisy machine. Without models: the
fentanyl model, and two that are made for the bench. Each engine carries the same outputs (the
model's headline outputs, or its first stocks), sdkit at one value a unit of time. PySD needs
minutes for a large model and is run only when asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from sdkit import Experiment, Program, Setting, compile_model, read_model, simulate
from sdkit.experiment import no_draws
from tests.bench.models import arithmetic, powers
from tests.bench.more import more
from tests.bench.scalar import scalar

ROOT = Path(__file__).parents[2]
LANES = 1024


def headline(path: Path, model) -> list[str]:
    """The variables of the headline outputs; the first stocks where there is no outputs.toml."""
    path = (path if path.is_dir() else path.parent) / "outputs.toml"
    if not path.is_file():
        return [v.name for v in model.variables.values() if v.kind == "stock"][:15]
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["output"]
    return list(dict.fromkeys(r["variable"] for r in rows if r.get("headline", True)))


def rate(action: Callable[[], int], seconds: float) -> float:
    """Runs a second: the median of five spells, after one that warms up."""
    action()
    found = []
    for _ in range(5):
        runs, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds / 5 or not runs:
            runs += action()
        found.append(runs / spent)
    return statistics.median(found)


def peak() -> float:
    """The most memory that this process has had, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def lanes(program: Program, outputs: list[str], threads: int) -> Callable[[], int]:
    times = np.arange(program.initial_time, program.final_time + 1e-9, 1.0)
    asked = Experiment(
        (Setting("reference"),), (Setting("as it is"),),
        no_draws().reindex(range(LANES)), tuple(outputs), times,
    )  # fmt: skip

    def action() -> int:
        simulate(program, asked, threads=threads)
        return LANES

    return action


def engines(path: Path, with_pysd: bool, seconds: float) -> list[tuple[str, float, float]]:
    """(engine, runs a second, peak memory so far in MB) for one model; sdkit on one core first."""
    model = read_model(path)
    outputs = headline(path, model)
    program = compile_model(model, outputs)
    rows = []

    def add(name: str, action: Callable[[], int]) -> None:
        rows.append((name, rate(action, seconds), peak()))

    add("sdkit, one core", lanes(program, outputs, 1))
    if (os.cpu_count() or 1) > 1:
        add("sdkit, two cores", lanes(program, outputs, 2))

    def plain() -> int:
        simulate(program)
        return 1

    add("sdkit, plain Python", plain)
    with contextlib.suppress(ImportError):
        import simlin

        simulation = simlin.load(str(model.path)).simulate()

        def pysimlin() -> int:
            simulation.reset()
            simulation.run_to_end()
            return 1

        add("pysimlin", pysimlin)
    with tempfile.TemporaryDirectory() as folder:
        euler = model.method == "euler" and not program.buffers
        runs = scalar(program, Path(folder)) if euler else None
        if runs is not None:
            last = simulate(program).isel(time=-1)
            ours = np.array([float(last[name].values.item()) for name in program.outputs])
            apart = np.abs(runs(1) - ours) / np.maximum(np.abs(ours), 1e-300)
            assert apart.max() < 1e-9, f"scalar C gives other numbers: {apart.max():.2g}"

            def compiled_c() -> int:
                runs(64)
                return 64

            add("scalar C, gcc -O3", compiled_c)
    if with_pysd and model.method == "euler":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begun = time.perf_counter()
            simulate(model, engine="pysd")
        rows.append(("PySD, reading included", 1 / (time.perf_counter() - begun), peak()))
    steps = round((program.final_time - program.initial_time) / program.time_step)
    print(
        f"{model.path.name}: {len(model.variables)} variables, {program.states} states, "
        f"{steps} steps, {model.method.upper()}, {len(outputs)} outputs",
        file=sys.stderr,
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--pysd", action="store_true", help="run PySD too, once, where it can")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each engine and model")
    parser.add_argument(
        "--more", type=int, metavar="DRAWS", help="also compile cold, start, and stream DRAWS draws"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.models
        if not paths:
            paths = [ROOT / "models" / "fentanyl", ROOT / "models" / "sir"]
            for text in (arithmetic, powers):
                path = Path(folder) / f"{text.__name__}.mdl"
                path.write_text(text(), encoding="utf-8")
                paths.append(path)
        table = [(path, engines(path, arguments.pysd, arguments.seconds)) for path in paths]
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores, {LANES} lanes a batch\n")
    print("| model | engine | runs a second | ms a run | against pysimlin | peak memory, MB |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for path, rows in table:
        base = next((speed for name, speed, _ in rows if name == "pysimlin"), None)
        for name, speed, memory in rows:
            ratio = f"{speed / base:.3g}" if base else ""
            print(f"| {path.stem} | {name} | {speed:,.1f} | {1000 / speed:.4g} | {ratio} | "
                  f"{memory:.0f} |")  # fmt: skip

    if arguments.more:
        print()
        more(arguments.more)


if __name__ == "__main__":
    main()
