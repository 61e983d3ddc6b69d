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
from .time_units import YEAR, TimeUnit

NAIVE = ("last value", "last trend", "random walk with drift", "damped trend", "random walk")
WALK = "random walk"  # the driftless one, and the name of its random numbers
DAMPING = 0.8  # of a trend, from one observation to the next
# The bands of walks: the older column's walk is the one with drift.
_HELD = {"inside of random walk": "random walk with drift", "inside of walk without drift": WALK}


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


def naive(
    m: Measurement,
    past: int,
    draws: int,
    rng: np.random.Generator,
    driftless: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Forecasts of the observations after the first `past` (draws or 1, observations), by name.

    The last value; the last relative change, repeated; a random walk of logarithms with the drift
    and the steps of the past (Gaussian); the last relative change, damped; and the walk without a
    drift, whose median stays at the last value. Where logarithms or changes are wanting there is
    the last value alone. Each walk has random numbers of its own, the second those of `driftless`.

    The damped trend is that of Gardner and McKenzie (1985, Management Science 31(10):1237-1246) in
    logarithms (multiplicative: Taylor 2003, International Journal of Forecasting 19(4):715-725),
    with level and trend those of the last observation, nothing smoothed: h steps ahead the last
    change has come `DAMPING` + ... + `DAMPING`^h times more. A step is the last gap, so that the
    unit of time does not matter; of a yearly series, a year. Nothing is estimated: 0.8 is the
    strongest damping that is usual (Hyndman and Athanasopoulos, "Forecasting: Principles and
    Practice", section 8.2).
    """
    time, y = m.series.time, m.series.value
    ahead = time[past:] - time[past - 1]
    last = y[past - 1]
    found = {"last value": np.full((1, len(ahead)), last)}
    if past < 3 or (y[:past] <= 0).any():  # all others are of logarithms
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
    more = DAMPING * (1 - DAMPING ** (ahead / gaps[-1])) / (1 - DAMPING)
    found["damped trend"] = last * np.exp(changes[-1] * more)[None]
    spread = np.sqrt((changes**2 / gaps).mean())
    steps = spread * np.sqrt(coming) * driftless.standard_normal((draws, len(coming)))
    found[WALK] = last * np.exp(np.cumsum(steps, axis=1))
    return found


def linear_pool(*ensembles: np.ndarray) -> np.ndarray:
    """Draws of the equal mixture of some forecasts, each (draws, times): all draws together.

    A linear opinion pool (Stone 1961, Annals of Mathematical Statistics 32(4):1339-1342; Geweke and
    Amisano 2011, Journal of Econometrics 164(1):130-141). Weights are equal and not estimated, and
    so the ensembles have to be of one size (ValueError). Its score is never above their mean score.
    """
    return np.concatenate(np.stack(ensembles))


def compared(rivals: Mapping[str, np.ndarray], observed: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a table for what `naive` made, a value for each observation.

    The score of each forecast, NaN where there is none, and whether the 5 to 95 % of each walk hold
    the observation, None where there is no walk.
    """
    none = np.full(len(observed), np.nan)
    found = {
        f"crps of {name}": crps(rivals[name], observed) if name in rivals else none
        for name in NAIVE
    }
    for column, name in _HELD.items():
        if name in rivals:
            low, high = np.quantile(rivals[name], (0.05, 0.95), axis=0)
            found[column] = _held(low, observed, high)
        else:
            found[column] = np.full(len(observed), None)
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
    `clock` is the unit of time ("years_ahead"). Columns "... of pool" are of the equal pool of the
    model's draws and those of the random walk without drift, a forecast of its own. What others
    published for the same observation stands in a column "published by".
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
        rivals = naive(m, past, len(values), rng, generator(seed, m.name, WALK))
        beside = compared(rivals, y) | _pool_columns(seen, rivals.get(WALK), y)
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
            row |= {column: cells[i] for column, cells in beside.items()}
            for other in published:
                if other.measurement == m.name:
                    row[f"published by {other.name}"] = other.values.get(time, np.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def _held(low: np.ndarray, observed: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether each band holds its observation: objects, so that None may stand beside them."""
    return ((low <= observed) & (observed <= high)).astype(object)


def _pool_columns(
    model: np.ndarray, walk: np.ndarray | None, observed: np.ndarray
) -> dict[str, np.ndarray]:
    """Band and score of the pool of two forecasts (draws, times); empty cells without a walk."""
    if walk is None:
        columns = ("crps of pool", "low of pool", "median of pool", "high of pool")
        none = dict.fromkeys(columns, np.full(len(observed), np.nan))
        return none | {"inside of pool": np.full(len(observed), None)}
    both = linear_pool(model, walk)
    low, middle, high = np.quantile(both, (0.05, 0.5, 0.95), axis=0)
    return {
        "crps of pool": crps(both, observed),
        "low of pool": low, "median of pool": middle, "high of pool": high,
        "inside of pool": _held(low, observed, high),
    }  # fmt: skip


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
