"""Effective draws a second of several samplers on the posterior of a run folder that fits.

python -m tests.bench.samplers runs/fit-to-2022

All start from the same walkers, which a warm-up of sdkit's own sampler has brought into the
posterior. Prints a table; nothing is asserted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import emcee
import numpy as np

from sdkit.convergence import diagnose
from sdkit.fit_run import prepare_fit, read_fit
from sdkit.optimum import climb, covariance, curvature
from sdkit.posterior import Posterior
from sdkit.sampler import MOVED, Chains, Sampler, gaussian_step, sample_density

WALKERS, STEPS, THIN = 256, 1000, 10


def main(folder: Path) -> None:
    prepared = prepare_fit(read_fit(folder))
    last = prepared.run.until + 1 - 1e-9
    used = [prepared.measurements[name].until(last) for name in prepared.chosen]
    posterior = Posterior(prepared.model, prepared.parameters, prepared.fitted, used, prepared.set)
    own = {item.name: item.default for item in posterior.items}
    top = climb(posterior.log_density, posterior.coordinates(own)).end
    rough = covariance(curvature(posterior.log_density, top, lambda: None))
    sampler = Sampler(posterior.log_density, [top], rough, WALKERS, 1)
    sample_density(sampler, 150, 25, lambda chains: True)
    mean, root, start = sampler.mean, sampler.root, np.array(sampler.points)
    moves = {
        "sdkit: Gaussian steps 0.8, differential evolution 0.2": [
            *((emcee.moves.MHMove(gaussian_step(mean, root, moved)), 0.4) for moved in MOVED),
            (emcee.moves.DEMove(live_dangerously=True), 0.2),
        ],
        "stretch": emcee.moves.StretchMove(live_dangerously=True),
        "differential evolution": emcee.moves.DEMove(live_dangerously=True),
    }
    weights = importance(posterior, top, rough)
    print(
        f"{folder}: {len(posterior)} coordinates, {WALKERS} walkers, {STEPS} steps, two ensembles"
    )
    print(f"Laplace approximation as an importance sample: {weights:.2%} of draws effective")
    print(f"{'':55} accepted evaluations/s effective/s: least, median")
    for name, move in moves.items():
        began, kept, accepted = time.monotonic(), [], []
        for k in range(2):
            walk = emcee.EnsembleSampler(
                WALKERS, len(posterior), posterior.log_density, moves=move, vectorize=True
            )
            walk.random_state = np.random.RandomState(k).get_state()
            walk.run_mcmc(start[k], STEPS // THIN, thin_by=THIN, skip_initial_state_check=True)
            kept.append(walk.get_chain())
            accepted.append(walk.acceptance_fraction.mean())
        seconds = time.monotonic() - began
        draws = np.array(kept)
        effective = diagnose(Chains(draws, draws[..., 0], 0.0))[1]
        print(
            f"{name:55} {np.mean(accepted):8.2f} {2 * WALKERS * STEPS / seconds:13.0f} "
            f"{effective.min() / seconds:7.1f} {np.median(effective) / seconds:7.1f}",
            flush=True,
        )


def importance(posterior: Posterior, top: np.ndarray, rough: np.ndarray, n: int = 8192) -> float:
    """The effective share of draws of the Gaussian approximation, weighted to the posterior."""
    noise = np.random.default_rng(0).standard_normal((n, len(top)))
    points = top + noise @ np.linalg.cholesky(rough).T
    weight = posterior.log_density(points) + 0.5 * (noise**2).sum(axis=1)
    weight = np.exp(weight - weight.max())
    return float(weight.sum() ** 2 / (weight**2).sum() / n)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
