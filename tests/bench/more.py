"""Compiling, starting and streaming: what the bench prints behind its table (`--more`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sdkit import compile_model, read_model
from sdkit.kernel import load_kernel
from tests.bench.models import arithmetic, powers

ROOT = Path(__file__).parents[2]
START = """
import time
begun = time.perf_counter()
import sys
import numpy as np
from sdkit import Experiment, Setting, compile_model, no_draws, read_model, simulate
model = read_model("models/fentanyl")
outputs = [v.name for v in model.variables.values() if v.kind == "stock"][:13]
nothing = (Setting("nothing"),)
simulate(compile_model(model, outputs),
         Experiment(nothing, nothing, no_draws(), tuple(outputs), np.arange(2000.0, 2041.0)))
print(time.perf_counter() - begun, "pysd" in sys.modules)
"""
STREAM = """
import resource, sys, time
import numpy as np
from sdkit import Draws, Experiment, Setting, compile_model, quantiles, read_model, simulate
from sdkit import read_parameters
model = read_model("models/sir")
outputs = ("Susceptible", "Infected", "Recovered", "population", "births")
program, nothing = compile_model(model, outputs), (Setting("nothing"),)
draws = Draws(read_parameters(model), int(sys.argv[2]), 1)
asked = Experiment(nothing, nothing, draws, outputs, np.arange(2000.0, 2040.0))
unit = 2**20 if sys.platform == "darwin" else 2**10
for action in (lambda: simulate(program, asked, store=sys.argv[1]),
               lambda: quantiles(simulate(program, asked, store=sys.argv[1]), [0.05, 0.5, 0.95])):
    begun = time.perf_counter()
    action()
    print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
"""


def child(code: str, cache: Path, *arguments) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, check=True, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "SDKIT_CACHE": str(cache)},
    )  # fmt: skip
    return [line.split() for line in done.stdout.splitlines()]


def cold(folder: Path) -> None:
    """Reading and compiling every variable of models that were never seen, in a warm process."""
    os.environ["SDKIT_CACHE"] = str(folder / "cold")
    for name, text in (("warm", arithmetic(1)), ("arithmetic", arithmetic(5)),
                       ("powers", powers(7)), ("arithmetic", arithmetic(53)),
                       ("powers", powers(67))):  # fmt: skip
        path = folder / f"{name}.mdl"
        path.write_text(text, encoding="utf-8")
        begun = time.perf_counter()
        model = read_model(path)
        read = time.perf_counter() - begun
        load_kernel(compile_model(model).source)
        spent = time.perf_counter() - begun
        if name != "warm":
            print(f"{name}, {len(model.variables)} variables, all of them outputs: {spent:.2f} s "
                  f"cold, {read:.2f} s of it to read")  # fmt: skip


def more(draws: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold(folder)
        cache = folder / "cache"
        cache.mkdir(mode=0o700)
        for label in ("empty cache", "filled cache"):
            ((seconds, pysd),) = child(START, cache)
            print(f"start to result, fentanyl, one lane, {label}: {float(seconds):.2f} s "
                  f"(PySD imported: {pysd})")  # fmt: skip
        rows = child(STREAM, cache, folder / "store", draws)
        for label, (seconds, memory) in zip(("simulated to disk", "verified, three quantiles"),
                                            rows, strict=True):  # fmt: skip
            print(f"{draws:,} draws of sir, five outputs at forty times, {label}: "
                  f"{float(seconds):.1f} s, peak {float(memory):.0f} MB")  # fmt: skip
