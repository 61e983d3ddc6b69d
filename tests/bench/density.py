"""How fast the density of a fit is: `python -m tests.bench.density runs/fit-to-2022`.

A sampler asks for half an ensemble at a time; one gradient of a search asks for two lanes a
coordinate and one. Evaluations a second, and the share of the time inside the compiled model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from sdkit.fit_run import prepare_fit, read_fit
from sdkit.fitting import posterior_of

SECONDS = 10.0
SPREAD = 0.1  # standard deviations of the prior about its middle


def main(folder: Path) -> None:
    prepared = prepare_fit(read_fit(folder))
    for threads in (1, None):
        posterior = posterior_of(prepared, threads)
        size = len(posterior)
        for lanes in (prepared.run.effort.walkers // 2, 2 * size + 1):
            z = np.random.default_rng(0).normal(0, SPREAD, (lanes, size))
            posterior.log_density(z)
            before, began, count = posterior.tally.copy(), time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS:
                posterior.log_density(z)
                count += lanes
            seconds = time.perf_counter() - began
            inside = posterior.tally.seconds - before.seconds
            print(
                f"{folder}: {size} coordinates, {lanes} lanes, "
                f"{'one core' if threads else 'all cores'}: {count / seconds:,.0f} evaluations a "
                f"second, {inside / seconds:.0%} of the time inside the compiled model",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
