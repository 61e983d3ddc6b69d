"""Draws from a density by ensembles of walkers (emcee's only door).

Several ensembles start from dispersed points and never meet. At first a walker moves about the
Gaussian approximation of the density; during the warm-up the last states of all ensembles together
give a better Gaussian again and again, about which they move from then on. A Gaussian proposal
that keeps part of a walker's deviation (Neal 1999, "Regression and classification using Gaussian
process priors", in this form preconditioned Crank-Nicolson) suits a density that is nearly
Gaussian in many dimensions. Half of these steps are short, which are accepted where the Gaussian
is still poor; a fifth of all steps are differential evolution (ter Braak 2006), which needs no
Gaussian.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .errors import RunError
from .files import load_arrays, save_arrays
from .optimum import Density

ENSEMBLES = 4
# Shares of a walker's deviation that Gaussian steps renew, long and short. With 99 parameters the
# long ones alone had 1 % accepted after a warm-up that had not yet found the Gaussian.
MOVED = (0.3, 0.15)
_DISPERSED = 1.5  # standard deviations of the approximation, at the start
THIN = 10  # steps between two states that are kept
BLOCK = 25  # kept states between two looks at convergence


@dataclass(frozen=True)
class Chains:
    """Kept states of all ensembles: draws (ensembles, states, walkers, coordinates).

    `found` counts the states that there were before some were dropped.
    """

    draws: np.ndarray
    log_density: np.ndarray
    acceptance: float
    found: int

    def __repr__(self) -> str:
        counts = " x ".join(map(str, self.draws.shape))
        return f"Chains({counts}: ensembles x states x walkers x coordinates)"

    def thinned(self, states: int) -> Chains:
        """At most so many states of each ensemble, evenly spaced."""
        every = np.linspace(0, self.draws.shape[1], min(states, self.draws.shape[1]), False)
        kept = every.astype(int)
        return replace(self, draws=self.draws[:, kept], log_density=self.log_density[:, kept])

    @property
    def flat(self) -> np.ndarray:
        """All draws: (ensembles x states x walkers, coordinates)."""
        return self.draws.reshape(-1, self.draws.shape[-1])


def gaussian_step(mean: np.ndarray, root: np.ndarray, moved: float):
    """A proposal that leaves a Gaussian unchanged, in the form that emcee.moves.MHMove takes."""
    inverse = np.linalg.inv(root)
    keep = np.sqrt(1 - moved**2)

    def times(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        # Not by BLAS, whose waiting threads would take the processor from the model's.
        return np.einsum("ij,kj->ik", points, matrix)

    def propose(points: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
        noise = times(rng.standard_normal(points.shape), root)
        other = mean + keep * (points - mean) + moved * noise
        before, after = times(points - mean, inverse), times(other - mean, inverse)
        # The ratio of the Gaussian's densities, which is that of the two proposals.
        return other, 0.5 * ((after**2).sum(axis=1) - (before**2).sum(axis=1))

    return propose


class Sampler:
    """Ensembles of walkers, advanced a block at a time and kept in a folder, if there is one."""

    def __init__(
        self,
        density: Density,
        centres: Sequence[np.ndarray],
        covariance: np.ndarray,
        walkers: int,
        seed: int,
        folder: Path | None = None,
    ):
        """Ensembles begin about the `centres` by turns; the first of them is the most probable."""
        self.density, self.walkers, self.folder = density, walkers, folder
        self.mean, self.root = centres[0], np.linalg.cholesky(covariance)
        streams = np.random.SeedSequence(seed).spawn(ENSEMBLES)
        self.states = [np.random.RandomState(np.random.MT19937(stream)) for stream in streams]
        self.points: list[np.ndarray] = [
            self._start(rng, centres[k % len(centres)]) for k, rng in enumerate(self.states)
        ]
        self.kept: list[list[np.ndarray]] = [[] for _ in streams]
        self.values: list[list[np.ndarray]] = [[] for _ in streams]
        self.accepted: list[float] = []
        self.seen: list[np.ndarray] = []

    def _start(self, rng: np.random.RandomState, centre: np.ndarray) -> np.ndarray:
        """Dispersed points at which the density is not zero."""
        found = np.empty((0, len(self.mean)))
        for _ in range(50):
            noise = rng.standard_normal((self.walkers, len(self.mean)))
            points = centre + _DISPERSED * noise @ self.root.T
            found = np.vstack([found, points[np.isfinite(self.density(points))]])
            if len(found) >= self.walkers:
                return found[: self.walkers]
        raise RunError("F501", "hardly any point near the most probable one can be simulated")

    def block(self, name: str, keep: bool, report: Callable[[float], None]) -> None:
        """Advance every ensemble by BLOCK states; read from the folder what it holds."""
        import emcee

        for k, rng in enumerate(self.states):
            saved = None if self.folder is None else self.folder / f"{name}-{k + 1}.npz"
            found = saved and load_arrays(saved)
            if not found:
                # Differences of walkers alone could not leave the space that they span: emcee
                # asks for two a coordinate. The Gaussian steps leave it.
                moves = [
                    (emcee.moves.MHMove(gaussian_step(self.mean, self.root, moved)), 0.4)
                    for moved in MOVED
                ]
                moves.append((emcee.moves.DEMove(live_dangerously=True), 0.2))
                sampler = emcee.EnsembleSampler(
                    self.walkers, len(self.mean), self.density, moves=moves, vectorize=True
                )
                state = emcee.State(self.points[k], random_state=rng.get_state())
                # emcee prints all parameters when it is interrupted.
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    sampler.run_mcmc(state, BLOCK, thin_by=THIN, skip_initial_state_check=True)
                found = {
                    "draws": sampler.get_chain(),
                    "values": sampler.get_log_prob(),
                    "accepted": np.array(sampler.acceptance_fraction.mean()),
                    "random": sampler.random_state[1],
                    "position": np.array(sampler.random_state[2:4], dtype=np.int64),
                    "spare": np.array(sampler.random_state[4]),
                }
                if saved is not None:
                    save_arrays(saved, found)
            self.points[k] = found["draws"][-1]
            rng.set_state(
                ("MT19937", found["random"], *(int(i) for i in found["position"]),
                 float(found["spare"]))
            )  # fmt: skip
            if keep:
                self.kept[k].append(found["draws"])
                self.values[k].append(found["values"])
                self.accepted.append(float(found["accepted"]))
            else:
                self.seen.append(found["draws"][BLOCK // 2 :].reshape(-1, len(self.mean)))
            report((k + 1) / ENSEMBLES * BLOCK)

    def adapt(self) -> None:
        """Move about the Gaussian of what the walkers of all ensembles saw in the last block."""
        seen = np.vstack(self.seen)
        self.mean, self.root = seen.mean(axis=0), np.linalg.cholesky(np.atleast_2d(np.cov(seen.T)))
        self.seen = []

    def chains(self) -> Chains:
        """What was kept so far."""
        draws = np.array([np.concatenate(parts) for parts in self.kept])
        values = np.array([np.concatenate(parts) for parts in self.values])
        return Chains(draws, values, float(np.mean(self.accepted)), values.size)


def sample_density(
    sampler: Sampler,
    warm_up: int,
    most: int,
    enough: Callable[[Chains], bool],
    report: Callable[[float], None] = lambda states: None,
) -> Chains:
    """A warm-up of `warm_up` states, adapted after each block; then blocks until `enough`, `most`
    states at most."""
    done = 0

    def block(name: str, keep: bool) -> None:
        nonlocal done
        sampler.block(name, keep, lambda states: report(done + states))
        done += BLOCK

    for part in range(0, warm_up, BLOCK):
        block(f"warm-up-{part // BLOCK + 1}", keep=False)
        sampler.adapt()
    for part in range(0, most, BLOCK):
        block(f"chain-{part // BLOCK + 1}", keep=True)
        if enough(sampler.chains()):
            break
    return sampler.chains()
