"""Calibration: the most probable point, draws from the posterior, and what says whether to
believe them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .convergence import EFFECTIVE, R_HAT, diagnose
from .errors import RunError
from .files import load_arrays, save_arrays
from .identifiability import excluded
from .measurement import Measurement, observe, residuals
from .optimum import Climb, climb, covariance, curvature, starting_points
from .posterior import Posterior, Tally
from .sampler import BLOCK, ENSEMBLES, THIN, Chains, Sampler, sample_density
from .streams import generator

AMONG = 1024  # points of the prior among which the starts of climbs are chosen
_QUANTILES = (0.05, 0.5, 0.95)
_PRIOR_DOMINATED = 0.9  # of the prior's standard deviation
_HOPELESS = 10.0  # log density below the best at which another peak is left out
_RIDGE = 0.7  # correlation with another parameter
_USUAL = 100  # states that chains usually need, for the time left

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """How hard to look: climbs, walkers an ensemble, states of a warm-up, most states kept."""

    starts: int = 8
    walkers: int = 256
    warm_up: int = 100
    most: int = 800
    r_hat: float = R_HAT
    effective: float = EFFECTIVE


@dataclass(frozen=True)
class Fit:
    """A posterior as it was found.

    `draws` (draws, coordinates) are points z of `posterior`, in random order; `chains` all states
    that were kept, `r_hat` and `effective` one value a coordinate; `seconds` and `tally` what
    search and sampling took, without what was read from earlier work.
    """

    posterior: Posterior
    climbs: tuple[Climb, ...]
    mode: np.ndarray
    approximation: np.ndarray
    chains: Chains
    draws: np.ndarray
    r_hat: np.ndarray
    effective: np.ndarray
    seconds: float
    tally: Tally

    def __repr__(self) -> str:
        return f"Fit({self.posterior!r}: {len(self.draws)} draws)"


def find_posterior(
    posterior: Posterior,
    effort: Effort,
    n: int,
    seed: int,
    folder: Path | None = None,
    report: Report = lambda done, total: None,
) -> Fit:
    """Climb from many starts, then sample from the best end; `n` draws are taken from the chains.

    What is done is kept in `folder` and not done again. Raises F501 where hardly any point can be
    simulated, F502 where the chains do not converge.
    """
    began = time.perf_counter()
    size = len(posterior)
    lanes = 2 * size + 1
    # In lanes: 60 gradients a climb are a guess, the rest is known.
    climbing, curving = 60 * lanes, 2 * size * lanes
    walking = THIN * ENSEMBLES * effort.walkers
    fixed = effort.starts * climbing + curving + walking * effort.warm_up
    total = fixed + walking * min(_USUAL, effort.most)

    climbs = []
    for number, start in enumerate(_starts(posterior, effort.starts, seed, folder)):
        climbs.append(_kept(folder, number, lambda s=start: climb(posterior.log_density, s)))
        report((number + 1) * climbing, total)
    best = max(climbs, key=lambda c: c.log_density)
    if not np.isfinite(best.log_density) or best.log_density < -1e14:
        raise RunError("F501", "no start leads to a point that can be simulated")
    before = effort.starts * climbing
    tick = iter(range(size + 1))
    kept = folder and folder / "curvature.npz"
    saved = kept and load_arrays(kept)
    if not saved:
        saved = {
            "curvature": curvature(
                posterior.log_density, best.end,
                lambda: report(before + next(tick) * 2 * lanes, total),
            )
        }  # fmt: skip
        if kept:
            save_arrays(kept, saved)
    approximation = covariance(saved["curvature"])
    centres = peaks(climbs, approximation)
    sampler = Sampler(posterior.log_density, centres, approximation, effort.walkers, seed, folder)
    found: list[tuple[np.ndarray, np.ndarray]] = []

    def enough(chains: Chains) -> bool:
        if chains.draws.shape[1] % (2 * BLOCK) and chains.draws.shape[1] < effort.most:
            return False  # a look costs seconds
        found[:] = [diagnose(chains)]
        r_hat, effective = found[0]
        return bool((r_hat < effort.r_hat).all() and (effective > effort.effective).all())

    before += curving

    def walked(states: float) -> None:
        done = before + round(states * walking)
        report(done, max(total, done + BLOCK * walking))

    chains = sample_density(sampler, effort.warm_up, effort.most, enough, walked)
    r_hat, effective = found[0]
    _believe(posterior, r_hat, effective, effort)
    rng = np.random.default_rng(seed)
    every = np.linspace(0, len(chains.flat), n, endpoint=False).astype(int)
    return Fit(
        posterior, tuple(climbs), best.end, approximation, chains,
        rng.permutation(chains.flat[every]), r_hat, effective,
        time.perf_counter() - began, posterior.tally.copy(),
    )  # fmt: skip


def peaks(climbs: Sequence[Climb], covariance: np.ndarray) -> list[np.ndarray]:
    """Ends of climbs that may be peaks of their own, the highest first.

    An end counts that is not hopelessly low and lies where walkers about the others would hardly
    go. Ensembles that begin at different peaks and stay there disagree, and R-hat says so.
    """
    ordered = sorted(climbs, key=lambda c: -c.log_density)
    root = np.linalg.cholesky(covariance)
    # The distance of a draw from the middle of a Gaussian, about: root of its dimension, and more.
    far = np.sqrt(len(root)) + 3
    found = [ordered[0].end]
    for other in ordered[1:]:
        if other.log_density > ordered[0].log_density - _HOPELESS and all(
            np.linalg.norm(np.linalg.solve(root, other.end - end)) > far for end in found
        ):
            found.append(other.end)
    return found


def _starts(posterior: Posterior, n: int, seed: int, folder: Path | None) -> list[np.ndarray]:
    """The model's own values, the middle of the prior, and the best points of the prior."""
    saved = folder and load_arrays(folder / "starts.npz")
    if not saved:
        own = {item.name: item.default for item in posterior.items}
        first = [posterior.coordinates(own), np.zeros(len(posterior))][:n]
        rest = max(n - len(first), 1)
        others = starting_points(posterior.log_density, posterior.prior(0, AMONG, seed), rest)
        saved = {"starts": np.array([*first, *others][:n])}
        if folder:
            save_arrays(folder / "starts.npz", saved)
    return list(saved["starts"])


def _kept(folder: Path | None, number: int, work: Callable[[], Climb]) -> Climb:
    path = folder and folder / f"climb-{number + 1}.npz"
    saved = path and load_arrays(path)
    if saved:
        return Climb(
            saved["start"], saved["end"], float(saved["log_density"]),
            int(saved["iterations"]), bool(saved["converged"]),
        )  # fmt: skip
    found = work()
    if path:
        save_arrays(path, {name: np.array(value) for name, value in vars(found).items()})
    return found


def _believe(posterior: Posterior, r_hat, effective, effort: Effort) -> None:
    """Refuse chains that have not converged, and name the worst."""
    worst, fewest = int(np.argmax(r_hat)), int(np.argmin(effective))
    if r_hat[worst] < effort.r_hat and effective[fewest] > effort.effective:
        return
    bad = int(((r_hat >= effort.r_hat) | (effective <= effort.effective)).sum())
    raise RunError(
        "F502",
        f"{bad} of {len(posterior)} parameters have not converged; the worst: R-hat "
        f"{r_hat[worst]:.3f} of {posterior.names[worst]!r} (it has to be under {effort.r_hat:g}), "
        f"{effective[fewest]:.0f} effective draws of {posterior.names[fewest]!r} (over "
        f"{effort.effective:g})",
    )


# -- tables ------------------------------------------------------------------------------


def parameter_table(
    fit: Fit, profiles: np.ndarray, truth: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """One row a parameter: prior and posterior quantiles, convergence, and what to think of it.
    With the `truth` that made the series, also that, and the share of draws below it.

    `profiles` are those of `find_profiles`. `narrowing` is the posterior's standard deviation as a
    share of the prior's, in the coordinate in which the prior is a standard normal; `correlated
    with` names the closest other parameter.
    """
    posterior, flat = fit.posterior, fit.chains.flat
    correlation = np.atleast_2d(np.corrcoef(flat.T))
    np.fill_diagonal(correlation, 0.0)
    prior = posterior.values(_prior_quantiles(len(posterior)))
    after = posterior.values(np.quantile(flat, _QUANTILES, axis=0))
    mode = posterior.values(fit.mode[None])
    rows = []
    for j, item in enumerate(posterior.items):
        other = int(np.argmax(np.abs(correlation[j])))
        narrowing = float(flat[:, j].std())
        rows.append(
            {
                "parameter": item.name,
                "unit": item.unit,
                "of": "model" if j < len(posterior.fitted) else "measurement",
                **{f"prior_{q * 100:g}": prior[item.name][i] for i, q in enumerate(_QUANTILES)},
                **{f"posterior_{q * 100:g}": after[item.name][i] for i, q in enumerate(_QUANTILES)},
                "mode": mode[item.name][0],
                "narrowing": narrowing,
                "shift": float(flat[:, j].mean()),
                "r_hat": fit.r_hat[j],
                "effective": fit.effective[j],
                "correlated with": posterior.names[other],
                "correlation": correlation[j, other],
                "remark": _remark(
                    narrowing, float(flat[:, j].mean()), correlation[j, other], profiles[j]
                ),
            }
        )
        if truth is not None:
            own = posterior.coordinates({item.name: truth[item.name]})[j]
            rows[-1] |= {"truth": truth[item.name], "rank": float(np.mean(flat[:, j] < own))}
    return pd.DataFrame(rows)


def _prior_quantiles(size: int) -> np.ndarray:
    from scipy.special import ndtri

    return np.repeat(ndtri(np.array(_QUANTILES))[:, None], size, axis=1)


def _remark(narrowing: float, shift: float, correlation: float, profile: np.ndarray) -> str:
    below, above = excluded(profile)
    remarks = []
    if below != above:
        remarks.append("one-sided: the series exclude " + ("low" if below else "high") + " values")
    if narrowing > _PRIOR_DOMINATED:
        remarks.append("prior-dominated")
    if abs(shift) > 1.645:  # the middle of the posterior lies beyond 5 or 95 % of the prior
        remarks.append("pulls out of its prior")
    if abs(correlation) > _RIDGE:
        remarks.append("on a ridge")
    return "; ".join(remarks)


def series_table(fit: Fit, seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """One row a measurement: how the fitted model meets its series; and by name the 5, 50 and 95 %
    points of what might be observed, of shape (3, observations).

    Errors are those of the median of the posterior draws, relative to the observation; one of zero
    has none. `coverage` is the share of observations
    inside the 90 % band of what might be observed; `autocorrelation` that of neighbouring
    residuals after their fitted correlation is taken out; bias, variance and covariance are
    Theil's shares of the mean squared error (Theil 1966, "Applied Economic Forecasting").
    """
    posterior = fit.posterior
    values = posterior.values(fit.draws)
    rows, bands = [], {}
    for m, own in zip(posterior.measurements, posterior.simulate_values(values), strict=True):
        rng = generator(seed, m.name, "observed")
        seen = observe(m, own, *posterior.scatter(m, values), rng)
        bands[m.name] = np.quantile(seen, _QUANTILES, axis=0)
        low, _, high = bands[m.name]
        y, middle = m.series.value, np.median(own, axis=0)
        error = np.abs(relative_errors(middle, y))
        rows.append(
            {
                "measurement": m.name,
                "observations": len(y),
                "from": m.series.time[0],
                "to": m.series.time[-1],
                "median_error": float(np.median(error)) if len(error) else np.nan,
                "largest_error": float(np.max(error)) if len(error) else np.nan,
                "coverage": float(np.mean((y >= low) & (y <= high))),
                "autocorrelation": _left_over(m, fit, own),
                **_theil(middle, y),
            }
        )
    return pd.DataFrame(rows), bands


def relative_errors(simulated: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Errors relative to the size of what was observed, without observations of zero."""
    some = observed != 0
    return (simulated[some] - observed[some]) / np.abs(observed[some])


def _left_over(m: Measurement, fit: Fit, simulated: np.ndarray) -> float:
    """Correlation of neighbouring innovations, at the median of the draws."""
    if len(m.series.time) < 4:
        return np.nan
    values = fit.posterior.values(fit.draws)
    memory = fit.posterior.scatter(m, values)[1]
    r = np.median(residuals(m, simulated, m.series.value), axis=0)
    rho = np.zeros(len(r))
    if m.correlation_time is not None:
        rho[1:] = np.median(np.exp(-np.diff(m.series.time) / memory[:, None]), axis=0)
    innovation = r - rho * np.concatenate([[0.0], r[:-1]])
    return float(np.corrcoef(innovation[1:], innovation[:-1])[0, 1])


def _theil(model: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    error = np.mean((model - observed) ** 2)
    if len(observed) < 2 or error == 0:
        return {"bias": np.nan, "variance": np.nan, "covariance": np.nan}
    bias = (model.mean() - observed.mean()) ** 2 / error
    variance = (model.std() - observed.std()) ** 2 / error
    return {"bias": bias, "variance": variance, "covariance": 1 - bias - variance}
