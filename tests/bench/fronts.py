"""Is the front of portfolios better by a genetic algorithm? `python -m tests.bench.fronts RUN`
prints the hypervolume of the front by Sobol points and all subsets, as sdkit tries them, and by
NSGA-II of pymoo with as many evaluations. pymoo is no dependency: `pip install pymoo` for this."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from sdkit.experiment import posterior_draws, sample
from sdkit.optimize import nondominated, subsets
from sdkit.optimize_run import Instruments, goals, read_wanted
from sdkit.optimize_study import _losses, _policies, _Simulator, search_points
from sdkit.run import prepare, read_run


def main(folder: Path) -> None:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.indicators.hv import HV
    from pymoo.optimize import minimize

    run = read_run(folder)
    wanted, prepared = read_wanted(run), prepare(run)
    instruments, outputs = Instruments(prepared), prepared.outputs
    made = {"priors": sample, "posterior": posterior_draws}[run.source]
    draws = made(prepared.parameters, run.n, run.seed).iloc[: wanted.search_draws]
    simulator = _Simulator(prepared, None, None, None)
    aims = goals(outputs)
    names = [o.name for o in outputs]

    def judge(strengths: np.ndarray) -> np.ndarray:
        """Mean of each aim and of what is limited, all to be low."""
        levels = simulator.levels("-", _policies(instruments, strengths), draws)
        found = [*_losses(levels, outputs, aims).mean(axis=-1)]
        if wanted.limit:
            found.append(levels[names.index(wanted.limit[0])].mean(axis=-1))
        return np.array(found).T

    count = len(instruments.names)
    ours = np.vstack([subsets(count).astype(float), search_points(instruments, wanted, run.seed)])
    began = time.perf_counter()
    values = judge(ours)
    print(f"{len(ours):,} points and subsets: {time.perf_counter() - began:.0f} s")

    class Portfolios(Problem):
        def __init__(self):
            super().__init__(n_var=count, n_obj=values.shape[1], xl=0.0, xu=1.0)

        def _evaluate(self, x, out, *_, **__):
            out["F"] = judge(x)

    size = 128
    first = search_points(instruments, wanted, run.seed)[:size]
    began = time.perf_counter()
    result = minimize(
        Portfolios(), NSGA2(pop_size=size, sampling=first),
        ("n_gen", len(ours) // size), seed=1, save_history=True,
    )  # fmt: skip
    theirs = np.vstack([entry.pop.get("F") for entry in result.history])
    print(
        f"NSGA-II, {len(ours) // size} generations of {size}: {time.perf_counter() - began:.0f} s"
    )

    both = np.vstack([values, theirs])
    low, high = both.min(axis=0), both.max(axis=0)

    def volume(points: np.ndarray) -> float:
        scaled = (points[nondominated(points)] - low) / (high - low)
        return float(HV(ref_point=np.ones(values.shape[1]))(scaled))

    for label, points in (
        ("Sobol points and subsets", values), ("Sobol points alone", values[2**count :]),
        ("NSGA-II", theirs), ("both", both),
    ):  # fmt: skip
        front = points[nondominated(points)]
        print(f"{label}: hypervolume {volume(points):.4f}, {len(front):,} on the front")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
