"""Runs a second on one core: the compiled kernel beside pysimlin and PySD.

    python -m tests.bench [MODEL] [--pysd] [--seconds S]

Each carries the model's headline outputs (outputs.toml) at one value a year where it can
choose. PySD needs minutes for a large model and is run only when asked for.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sdkit import Experiment, Setting, compile_model, read_model, simulate
from sdkit.experiment import no_draws

ROOT = Path(__file__).parents[2]
LANES = 1024


def headline(folder: Path, model) -> list[str]:
    """The variables of the headline outputs; every stock where there is no outputs.toml."""
    path = (folder if folder.is_dir() else folder.parent) / "outputs.toml"
    if not path.is_file():
        return [v.name for v in model.variables.values() if v.kind == "stock"]
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("model", nargs="?", default="models/fentanyl", type=Path)
    parser.add_argument("--pysd", action="store_true", help="run PySD too, once")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each engine")
    arguments = parser.parse_args()
    folder = arguments.model if arguments.model.exists() else ROOT / arguments.model
    if not folder.exists():
        folder = ROOT / "models" / "sir"
    model = read_model(folder)
    outputs = headline(folder, model)
    program = compile_model(model, outputs)
    times = np.arange(program.initial_time, program.final_time + 1e-9, 1.0)
    lanes = Experiment(
        (Setting("reference"),), (Setting("as it is"),),
        no_draws().reindex(range(LANES)), tuple(outputs), times,
    )  # fmt: skip

    def compiled() -> int:
        simulate(program, lanes, threads=1)
        return LANES

    begun = time.perf_counter()
    compiled()
    first = time.perf_counter() - begun
    rows = [("sdkit, compiled", rate(compiled, arguments.seconds))]

    begun = time.perf_counter()
    simulate(program)
    plain = time.perf_counter() - begun
    rows.append(("sdkit, plain Python, one run", 1 / plain))

    try:
        import simlin
    except ImportError:
        print("pysimlin is not installed: pip install -e '.[structure]'")
    else:
        simulation = simlin.load(str(model.path)).simulate()

        def pysimlin() -> int:
            simulation.reset()
            simulation.run_to_end()
            return 1

        rows.append(("pysimlin", rate(pysimlin, arguments.seconds)))

    if arguments.pysd:
        if model.method != "euler":
            print("PySD integrates by Euler only: one evaluation a step where RK4 has four.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begun = time.perf_counter()
            simulate(model, engine="pysd", method="euler")
            rows.append(("PySD, reading included", 1 / (time.perf_counter() - begun)))

    steps = round((program.final_time - program.initial_time) / program.time_step)
    size = f"{len(model.variables)} variables, {program.states} states, {steps} steps"
    print(f"{model.path.name}: {size}, {model.method.upper()}, {len(outputs)} outputs")
    print(f"{LANES} lanes, one core")
    print(f"first call (compiled or loaded from the cache, and {LANES} runs): {first:.1f} s\n")
    print(f"{'engine':32}{'runs a second':>15}{'ms a run':>12}{'sdkit is':>12}")
    for name, speed in rows:
        print(f"{name:32}{speed:15.1f}{1000 / speed:12.3f}{rows[0][1] / speed:10.1f} x")


if __name__ == "__main__":
    main()
