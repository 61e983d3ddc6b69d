"""A fit carried out: what was found, its tables, and the scores of the years after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import RunError
from .experiment import sample
from .files import load_arrays, place, save_arrays
from .fit import Fit, find_posterior, parameter_table, series_table
from .fit_run import FitRun, Prepared
from .forecast import densities, scores
from .identifiability import AT, find_profiles, influence_table
from .measurement import Measurement, log_density, observe
from .posterior import Posterior
from .streams import generator
from .time_units import time_unit

_TRIED = 1000  # draws from the priors, until one can be simulated
_HELD = 25  # states of each ensemble that are held in memory of one fit of several


@dataclass(frozen=True)
class Findings:
    """What a fit found: tables, and the fit itself."""

    prepared: Prepared
    fit: Fit
    parameters: pd.DataFrame
    measurements: pd.DataFrame
    bands: Mapping[str, np.ndarray]
    influence: pd.DataFrame
    forecasts: pd.DataFrame
    densities: pd.DataFrame
    without: pd.DataFrame
    halved: tuple[float, float]
    draws: pd.DataFrame = field(repr=False)
    profiles: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        return f"Findings({self.prepared!r}: {len(self.draws)} draws)"

    def lighter(self) -> Findings:
        """The same with a part of the chains: of several fits all at once fill the memory."""
        return replace(self, fit=replace(self.fit, chains=self.fit.chains.thinned(_HELD)))


def posterior_of(prepared: Prepared, threads: int | None = None) -> Posterior:
    """The posterior that a run asks for. Raises R468 where no observation is left."""
    run = prepared.run
    used = [prepared.measurements[name].until(last_of(run, name)) for name in prepared.chosen]
    used = [m for m in used if len(m.series.time)]
    if not used:
        raise RunError("R468", f"{place(run.file, 'until')}: no observation is left")
    return Posterior(
        prepared.model, prepared.parameters, prepared.fitted, used, prepared.set, threads
    )


def last_of(run: FitRun, name: str) -> float:
    """The time up to which a fit uses the observations of a measurement."""
    last = np.inf if run.until is None else run.until
    return run.later.get(name, last) + 1 - 1e-9


def seen_by(prepared: Prepared) -> dict:
    """What a fit uses and what it holds out: `until`, and rows of name, first time, last time and
    number of observations, one a measurement."""
    run = prepared.run
    series, held_out = [], []
    for name, m in prepared.measurements.items():
        time = m.series.time
        used = time <= (last_of(run, name) if name in prepared.chosen else -np.inf)
        for rows, own in ((series, time[used]), (held_out, time[~used])):
            if len(own):
                rows.append([name, float(own[0]), float(own[-1]), len(own)])
    return {"until": run.until, "series": series, "held_out": held_out}


def execute_fit(
    prepared: Prepared,
    work: Path | None = None,
    report: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Findings:
    """Fit, and score the years after it. Raises F501 and F502 (`find_posterior`)."""
    run = prepared.run
    posterior = posterior_of(prepared, threads)
    truth = None
    if run.recover:
        truth, made = _made(posterior, run.seed)
        posterior = posterior.changed(measurements=made)
    # Before the fit: what is wrong with what comes after it is told at once.
    ahead, since = _ahead(prepared, threads), _since(run, posterior)
    fit = find_posterior(
        posterior, run.effort, run.draws, run.seed, work, report or (lambda done, total: None)
    )
    draws = all_draws(prepared, posterior, fit.draws)
    fine = posterior.changed(time_step=posterior.time_step / 2)
    coarse, half = posterior.log_likelihood(fit.mode[None]), fine.log_likelihood(fit.mode[None])
    pairs = zip(posterior.simulate(fit.mode[None]), fine.simulate(fit.mode[None]), strict=True)
    moved = max(_moved(a, b) for a, b in pairs)
    table, bands = series_table(fit, run.seed)
    # Of many fits nobody looks at each: what costs time is left out.
    alone = run.recover < 2
    profiles = _profiles(fit, work) if alone else np.zeros((len(posterior), len(AT) + 1))
    forecasts, switched = pd.DataFrame(), pd.DataFrame()
    if ahead is not None:
        forecasts, switched = _forecasts(ahead, prepared, draws)
    return Findings(
        prepared,
        fit,
        parameter_table(fit, profiles, truth),
        table,
        bands,
        influence_table(posterior, fit.mode) if alone else pd.DataFrame(),
        forecasts,
        switched,
        _without(run, since, posterior, draws),
        (float(half[0] - coarse[0]), moved),
        draws,
        profiles,
    )


def _moved(coarse: np.ndarray, fine: np.ndarray) -> float:
    """The largest change of simulated values, relative to each, or to the largest where one is
    zero."""
    size = np.where(fine != 0, np.abs(fine), np.abs(fine).max())
    change = np.abs(coarse - fine)
    return float(np.max(change / np.where(size > 0, size, 1.0)))


def _since(run: FitRun, posterior: Posterior) -> int:
    """Which observation of the first measurement its last is compared with. Raises R468."""
    m = posterior.measurements[0]
    found = np.flatnonzero(m.series.time == run.since)
    if run.without and (not len(found) or found[0] == len(m.series.time) - 1):
        where, time = place(run.file, "since"), m.series.time
        raise RunError(
            "R468",
            f"{where}: since has to be the time of an observation of {m.name} before its last; "
            f"they run from {time[0]:g} to {time[-1]:g}",
        )
    return int(found[0]) if len(found) else 0


def _without(run: FitRun, since: int, posterior: Posterior, draws: pd.DataFrame) -> pd.DataFrame:
    """One row a cause: by how much the first measurement's change since a year would be another if
    the cause were taken away and all else stayed, as quantiles over the draws.

    `ratio_...` are last values relative to the year's, with all causes; `change_...` that ratio
    without the cause, relative to the one with it; `level_...` the last value itself without the
    cause, relative to the one with it. With one cause fewer others may do more, so that changes
    need not add up.
    """
    rows = []
    if not run.without:
        return pd.DataFrame()
    first = posterior.changed(measurements=posterior.measurements[:1])
    m = first.measurements[0]

    def ends(values: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        taken = {posterior.parameters.find(name).name: value for name, value in values.items()}
        (own,) = first.simulate_values(draws.assign(**taken))
        return own[:, -1] / own[:, since], own[:, -1]

    usual, level = ends({})
    for cause, values in run.without.items():
        row = {"without": cause, "measurement": m.name, "time": m.series.time[-1]}
        ratio, last = ends(values)
        for name, own in (
            ("ratio", usual), ("change", ratio / usual - 1), ("level", last / level - 1),
        ):  # fmt: skip
            found = np.nanquantile(own, (0.05, 0.5, 0.95))
            row |= {f"{name}_{q}": v for q, v in zip((5, 50, 95), found, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


def _profiles(fit: Fit, work: Path | None) -> np.ndarray:
    path = work and work / f"profiles-{fit.chains.draws.shape[1]}.npz"
    saved = path and load_arrays(path)
    if saved:
        return saved["profiles"]
    found = find_profiles(fit.posterior, fit.mode, fit.chains.flat)
    if path:
        save_arrays(path, {"profiles": found})
    return found


def _made(posterior: Posterior, seed: int) -> tuple[dict[str, float], list[Measurement]]:
    """Values drawn from the priors, and the measurements with series made by them and noise."""
    for number in range(_TRIED):
        values = posterior.values(posterior.prior(number, number + 1, seed))
        simulated = posterior.simulate_values(values)
        # A point that cannot be simulated or measured is impossible to the fit too.
        terms = (
            log_density(m, own, *posterior.scatter(m, values))
            for m, own in zip(posterior.measurements, simulated, strict=True)
        )
        if all(np.isfinite(own).all() for own in terms):
            break
    else:
        raise RunError("F501", "hardly any point of the priors can be simulated")
    made = []
    for m, own in zip(posterior.measurements, simulated, strict=True):
        rng = generator(seed, m.name, "made")
        seen = observe(m, own, *posterior.scatter(m, values), rng)[0]
        made.append(replace(m, series=replace(m.series, value=seen)))
    return values.iloc[0].to_dict(), made


def all_draws(prepared: Prepared, posterior: Posterior, z: np.ndarray) -> pd.DataFrame:
    """Fitted values from the posterior, all others from their priors, of the run's seed."""
    run = prepared.run
    columns = dict(sample(prepared.parameters, len(z), run.seed).items())
    values = {name: column.to_numpy() for name, column in posterior.values(z).items()}
    return pd.DataFrame(columns | values).assign(**prepared.set)


def _ahead(prepared: Prepared, threads: int | None) -> Posterior | None:
    """The measurements of the years after the fit, with what was known then held as it was."""
    run = prepared.run
    if run.forecast is None:
        return None
    origin = run.until + 1
    ahead = [
        prepared.measurements[name].until(origin + run.forecast.years - 1e-9)
        for name in run.forecast.measurements
    ]
    ahead = [m for m in ahead if len(m.series.time) and m.series.time[-1] >= origin]
    if not ahead:
        raise RunError(
            "R468", f"{place(run.file, 'forecast')}: no observation lies in the years forecast"
        )
    own = {prepared.parameters.find(name).name: v for name, v in run.forecast.set.items()}
    fixed = {**prepared.set, **own}
    return Posterior(prepared.model, prepared.parameters, (), ahead, fixed, threads)


def _forecasts(
    posterior: Posterior, prepared: Prepared, draws: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of the years after the fit, and what the first of them says of switches."""
    run = prepared.run
    # What a series that took no part in the fit needs besides comes from its prior.
    spare = posterior.values(posterior.prior(0, len(draws), run.seed))
    values = pd.concat(
        [draws, spare.drop(columns=spare.columns.intersection(draws.columns))], axis=1
    )
    values = values.drop(columns=[name for name in values.columns if name in posterior.set])
    origin = run.until + 1
    return (
        scores(
            posterior, values, origin, run.seed, run.forecast.published, time_unit(prepared.model)
        ),
        densities(posterior, values, origin, prepared.parameters.of_role("structural")),
    )
