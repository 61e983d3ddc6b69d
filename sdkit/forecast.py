"""Forecasts from an origin, scored on years that they never saw, beside what anybody can forecast.

The score is the continuous ranked probability score (Gneiting and Raftery 2007, "Strictly proper
scoring rules"): for a single number it is the absolute error, in the unit of the series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .measurement import Measurement, log_density, observe, residuals
from .parameters import Parameter
from .posterior import Posterior
from .streams import generator
from .switches import settings
from .time_units import TimeUnit

YEAR = TimeUnit("year")
NAIVE = ("last value", "last trend", "random walk with drift")


@dataclass(frozen=True)
class Published:
    """A forecast that others made: a value for each time of a measurement's series."""

    name: str
    measurement: str
    values: Mapping[float, float]
    source: str


def crps(ensemble: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The score of each column of an ensemble (draws, times): shape (times,), lower is better.

    The mean absolute error less half the mean absolute difference of two draws, by sorting.
    """
    n = len(ensemble)
    ordered = np.sort(ensemble, axis=0)
    weight = (2 * np.arange(1, n + 1) - n - 1) / n**2
    return np.abs(ensemble - observed).mean(axis=0) - (weight[:, None] * ordered).sum(axis=0)


def predict(
    posterior: Posterior,
    m: Measurement,
    simulated: np.ndarray,
    values: pd.DataFrame,
    past: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """What might be observed (draws, observations - past), given the first `past` observations.

    Correlated residuals go on from the last one that is known.
    """
    spread, memory = posterior.scatter(m, values)
    known = residuals(m, simulated[:, :past], m.series.value[:past])
    return observe(m, simulated, spread, memory, rng, known)[:, past:]


def naive(m: Measurement, past: int, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Three forecasts of the observations after the first `past` (draws or 1, observations).

    The last value; the last relative change, repeated; and a random walk of logarithms with the
    drift and the steps of the past (Gaussian).
    """
    time, y = m.series.time, m.series.value
    ahead = time[past:] - time[past - 1]
    last = y[past - 1]
    found = {"last value": np.full((1, len(ahead)), last)}
    if past < 3 or (y[:past] <= 0).any():  # both are of logarithms
        return found
    gaps, changes = np.diff(time[:past]), np.diff(np.log(y[:past]))
    found["last trend"] = last * np.exp(changes[-1] / gaps[-1] * ahead)[None]
    drift = changes.sum() / gaps.sum()
    # A step's variance grows with its gap.
    spread = np.sqrt(((changes - drift * gaps) ** 2 / gaps).sum() / (len(gaps) - 1))
    # The drift itself is known from the time that has passed.
    slope = drift + spread / np.sqrt(gaps.sum()) * rng.standard_normal((draws, 1))
    coming = np.diff(time[past - 1 :])
    steps = spread * np.sqrt(coming) * rng.standard_normal((draws, len(coming)))
    found["random walk with drift"] = last * np.exp(slope * ahead + np.cumsum(steps, axis=1))
    return found


def scores(
    posterior: Posterior,
    values: pd.DataFrame,
    origin: float,
    seed: int,
    published: Sequence[Published] = (),
    clock: TimeUnit = YEAR,
) -> pd.DataFrame:
    """One row an observation after the `origin`: the forecast, its band, its score and others'.

    `values` (draws, parameters) are simulated as they are; measurements without an observation
    before the origin, or none after it, are left out, and so are draws that fail (`draws` counts
    the others). `error` is that of the median, relative to the observation; one of zero has none.
    `clock` is the unit of time ("years_ahead"). What others published for the same observation
    stands in a column "published by".
    """
    ahead = clock.many.replace(" ", "_")
    every = posterior.simulate_values(values)
    whole = np.all([np.isfinite(own).all(axis=1) for own in every], axis=0)
    values = values[whole].reset_index(drop=True)
    rows = []
    for m, own in zip(posterior.measurements, (own[whole] for own in every), strict=True):
        past = int((m.series.time < origin).sum())
        if past == 0 or past == len(m.series.time):
            continue
        rng = generator(seed, m.name, "forecast")
        seen = predict(posterior, m, own, values, past, rng)
        low, middle, high = np.quantile(seen, (0.05, 0.5, 0.95), axis=0)
        y = m.series.value[past:]
        score = crps(seen, y)
        rivals = naive(m, past, len(values), rng)
        for i, time in enumerate(m.series.time[past:]):
            row = {
                "measurement": m.name, "time": time,
                f"{ahead}_ahead": time - m.series.time[past - 1],
                "draws": len(own), "last": m.series.value[past - 1], "observed": y[i],
                "low": low[i], "median": middle[i], "high": high[i],
                "error": (middle[i] - y[i]) / abs(y[i]) if y[i] else np.nan,
                "inside": bool(low[i] <= y[i] <= high[i]),
                "rank": float(np.mean(seen[:, i] <= y[i])), "crps": score[i],
            }  # fmt: skip
            for name in NAIVE:
                own_score = crps(rivals[name], y)[i] if name in rivals else np.nan
                row[f"crps of {name}"] = own_score
            walk = rivals.get("random walk with drift")
            row["inside of random walk"] = (
                bool(np.quantile(walk[:, i], 0.05) <= y[i] <= np.quantile(walk[:, i], 0.95))
                if walk is not None else None
            )  # fmt: skip
            for other in published:
                if other.measurement == m.name:
                    row[f"published by {other.name}"] = other.values.get(time, np.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def densities(
    posterior: Posterior, values: pd.DataFrame, origin: float, switches: Sequence[Parameter]
) -> pd.DataFrame:
    """How probable each setting of each switch made the first observation after the `origin`.

    One row a measurement and setting: `log_density` is the log of the mean density of that
    observation given those before it, over the draws that have the setting, a draw that fails
    being impossible; `error` its standard error by the draws that carry the mean, of which
    `effective` are worth one each. Measurements without an observation in the year after the
    origin are left out. `values` (draws, parameters) hold the switches.
    """
    rows = []
    for m, simulated in zip(posterior.measurements, posterior.simulate_values(values), strict=True):
        past = int((m.series.time < origin).sum())
        if past == 0 or not np.any(m.series.time[past:] < origin + 1):
            continue
        density = log_density(m, simulated, *posterior.scatter(m, values))[:, past]
        for switch in switches:
            if switch.name not in values:
                continue
            for setting in settings(switch):
                own = density[values[switch.name].to_numpy() == setting]
                if not np.isfinite(own).any():
                    continue
                weight = np.exp(own - own.max())
                effective = weight.sum() ** 2 / (weight**2).sum()
                rows.append(
                    {
                        "measurement": m.name, "switch": switch.name, "setting": setting,
                        "draws": len(own),
                        "log_density": float(own.max() + np.log(weight.mean())),
                        "error": float(np.sqrt(1 / effective - 1 / len(own))),
                        "effective": float(effective),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)
