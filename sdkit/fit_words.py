"""A fit in sentences: what its numbers say, and what to doubt of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .convergence import EFFECTIVE, R_HAT
from .findings import percent
from .findings import share as shown
from .fit import Fit
from .fitting import Findings, seen_by
from .forecast import NAIVE, WALK
from .noise import draws_numbers
from .origins import NOISE
from .time_units import time_unit

# The forecasts that stand beside the model's, and the columns of `pooled` with their scores.
RIVALS = {**{name: f"crps_{i}" for i, name in enumerate(NAIVE)}, "pool": "crps_pool"}
_COARSE = 0.5  # change of the log likelihood by half the time step
_STRONG = 0.3  # influence of a value outside the fit, in standard deviations of residuals


def pooled(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Mean scores and coverage of each measurement's forecasts, in the unit of its series.

    Scores of other forecasts are in the columns of RIVALS; `held_walk` and `held_pool` are the
    coverage of the walk without drift and of the pool; NaN where the table has none.
    """
    if not len(forecasts):
        return forecasts
    columns = {column: f"crps of {name}" for name, column in RIVALS.items()}
    columns |= {"held_walk": "inside of walk without drift", "held_pool": "inside of pool"}
    added = {
        new: forecasts[old].astype(float) if old in forecasts else np.nan
        for new, old in columns.items()
    }
    grouped = forecasts.assign(**added).groupby("measurement", sort=False)
    found = grouped.agg(
        observations=("observed", "size"), coverage=("inside", "mean"),
        error=("error", "median"), **{name: (name, "mean") for name in ("crps", *columns)},
    )  # fmt: skip
    return found.reset_index()


def in_short(findings: Findings) -> list[str]:
    """The fit in sentences, made of its numbers: answers first, then what to doubt."""
    fit, table, seen = findings.fit, findings.parameters, findings.measurements
    prepared = findings.prepared
    run, clock = prepared.run, time_unit(prepared.model)
    mine = table[table["of"] == "model"]
    lines = [
        f"{counted(len(mine), 'parameter')} of the model and {len(table) - len(mine)} of its "
        f"measurements were fitted to "
        f"{counted(int(seen.observations.sum()), 'observation')} of {len(seen)} series."
    ]
    if "rank" in table:
        held = int(table["rank"].between(0.05, 0.95).sum())
        lines.append(
            "The series were made by the model itself with values drawn from the priors; "
            f"{held} of {len(table)} {'lies' if held == 1 else 'lie'} in the middle 90 % of the "
            "posterior."
        )
    share = (seen.coverage * seen.observations).sum() / seen.observations.sum()
    text = f"The 90 % bands hold {shown(share)} of the observations used"
    if seen.median_error.notna().any():
        worst = seen.loc[seen.median_error.idxmax()]
        text += (
            f"; the largest median absolute error of a series is {shown(worst.median_error)} "
            f"({worst.measurement})"
        )
    lines.append(f"{text}.")
    lines += [_forecast_said(row) for row in pooled(findings.forecasts).itertuples()]
    if run.later:
        until = ", ".join(f"{name} up to {clock.at(year)}" for name, year in run.later.items())
        lines.append(f"Used for longer than the others: {until}.")
    one = [r.parameter for r in mine.itertuples() if "one-sided" in r.remark]
    if one:
        lines.append(
            f"For {counted(len(one), 'parameter')} the series exclude one end of the prior and not "
            "the other (one-sided in the table): held at that end, the density falls by more than "
            "1.92."
        )
    weak = [r.parameter for r in mine.itertuples() if "prior-dominated" in r.remark]
    if weak:
        lines.append(
            f"The series narrow {len(mine) - len(weak)} of the model's parameters below 90 % of "
            f"the prior's spread. They say next to nothing about {len(weak)}, marked in the table."
        )
    best = max(c.log_density for c in fit.climbs)
    same = sum(c.log_density > best - 0.1 for c in fit.climbs)
    lines.append(
        f"{same} of {counted(len(fit.climbs), 'search', 'searches')} ended at the most probable "
        "point."
    )
    ensembles = (
        f"R-hat between them is {fit.r_hat.max():.4f} at most "
        f"({fit.posterior.names[int(fit.r_hat.argmax())]}), and every parameter has at least "
        f"{fit.effective.min():,.0f} effective draws "
        f"({fit.posterior.names[int(fit.effective.argmin())]})."
    )
    if _agree(fit):
        lines.append(f"Four ensembles agree: {ensembles}")
    shift, moved = findings.halved
    if not draws_numbers(prepared.model):
        signed = f"{shift:+.2f}".replace("-", "−")
        lines.append(
            f"Half the time step moves the log likelihood of the most probable point by {signed} "
            f"and no simulated value by more than {moved:.2%}."
        )
    return lines + _doubts(findings)


def counted(number: int, word: str, many: str = "") -> str:
    """ "1 parameter", "3 parameters"."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def _agree(fit: Fit) -> bool:
    """Whether the chains converged as far as is usual."""
    return bool(fit.r_hat.max() <= R_HAT and fit.effective.min() >= EFFECTIVE)


def _forecast_said(row) -> str:
    """What the forecasts of a measurement were worth."""
    scores = {name: getattr(row, RIVALS[name]) for name in NAIVE}
    beaten = [n for n, score in scores.items() if row.crps < score]
    lost = [n for n, score in scores.items() if row.crps >= score]
    words = [f"better than {', '.join(beaten)}"] if beaten else []
    words += [f"no better than {', '.join(lost)}"] if lost else []
    error = f", median error (signed) {percent(row.error)}" if np.isfinite(row.error) else ""
    compared = f"; {'; '.join(words)}" if words else ""
    text = (
        f"Forecasts of {row.measurement}: {shown(row.coverage)} of "
        f"{counted(row.observations, 'observation')} in the 90 % band{error}{compared}."
    )
    if np.isfinite(row.crps_pool):
        better = "better" if row.crps_pool < row.crps else "no better"
        text += (
            f" The equal pool of model and {WALK}, a forecast of its own, has "
            f"{shown(row.held_pool)} in its band and scores {better} than the model."
        )
    return text


def _doubts(findings: Findings) -> list[str]:
    """What makes a reader trust the draws less, in sentences: those of the fit's own page, and of
    each page that draws from it."""
    fit, table, prepared = findings.fit, findings.parameters, findings.prepared
    mine = table[table["of"] == "model"]
    lines = []
    if not _agree(fit):
        lines.append(
            f"The chains agree less than is usual. R-hat between them is {fit.r_hat.max():.3f} at "
            f"most (usual: {R_HAT:g} or less), and a parameter has {fit.effective.min():,.0f} "
            f"effective draws (usual: {EFFECTIVE:,g} or more)."
        )
    best = max(c.log_density for c in fit.climbs)
    if not any(c.converged for c in fit.climbs if c.log_density > best - 0.1):
        lines.append("No search for the most probable point converged at it.")
    if prepared.set:
        held = ", ".join(f"{name} = {value:g}" for name, value in prepared.set.items())
        lines.append(f"Held in the fit: {held}.")
    out = [r.parameter for r in mine.itertuples() if "pulls out" in r.remark]
    if out:
        lines.append(
            f"The series pull {counted(len(out), 'parameter')} beyond 5 or 95 % of the prior, a "
            f"sign of a wrong prior or of missing structure: {', '.join(out)}."
        )
    strong = findings.influence
    strong = strong[strong.influence >= _STRONG] if len(strong) else strong
    switched = strong[strong.parameter.str.contains(" = ", regex=False)] if len(strong) else strong
    strong = strong.drop(switched.index)
    if len(switched):
        them, their = ("it", "its weight") if len(switched) == 1 else ("them", "their weights")
        names = "; ".join(f"{r.parameter} ({r.influence:.1f})" for r in switched.itertuples())
        lines.append(
            f"{counted(len(switched), 'setting')} of switches, other than those of this fit, would "
            f"move what was measured by {_STRONG:g} standard deviations of the residuals or more: "
            f"{names}. Draws take {them} by {their}, with values that were "
            f"fitted without {them}. To fit under a setting, name it in set or switch of "
            "the fit's run.toml."
        )
    if len(strong):
        one = len(strong) == 1
        drawn, they, it = ("its prior", "it moves", "it") if one else (
            "their priors", "they move", "them")  # fmt: skip
        names = ", ".join(f"{r.parameter} ({r.influence:.1f})" for r in strong.itertuples())
        lines.append(
            f"{counted(len(strong), 'uncertain value')} outside the fit would move what was "
            f"measured by {_STRONG:g} standard deviations of the residuals or more: {names}. Drawn "
            f"from {drawn}, {they} the model off its series; it is better to fit {it} too."
        )
    tally = fit.tally
    if tally.failed:
        lines.append(
            f"{tally.failed:,} of {tally.points:,} points ({tally.failed / tally.points:.2%}) "
            f"could not be simulated and {'counts' if tally.failed == 1 else 'count'} as "
            "impossible; impossible.csv of the fit holds the first."
        )
    if draws_numbers(prepared.model):
        lines.append(NOISE["fit"])
    elif not abs(findings.halved[0]) <= _COARSE:
        lines.append(
            "The time step is coarse: half of it moves the log likelihood of the most probable "
            f"point by {findings.halved[0]:+.2f}.".replace("-", "−")
        )
    return lines


def warnings_of(every: Sequence[Findings]) -> list[str]:
    """What other runs that draw from these fits have to know of them, in sentences; what all fits
    of a run say is said once."""
    told = [(f.prepared.label, _doubts(f)) for f in every]
    common = [line for line in told[0][1] if all(line in own for _, own in told)]
    single = [
        f"{label}: {line}" if label else line
        for label, own in told
        for line in own
        if line not in common
    ]
    return [*common, *single]


def facts_of(every: Sequence[Findings]) -> dict:
    """What was fitted, to what, and what to doubt of it: for record.json and posterior.csv."""
    run = every[0].prepared.run
    # Truths that are found again are many fits of invented series, and nothing draws from them.
    warnings = [] if run.recover else warnings_of(every)
    return {"question": run.question, **seen_by(every[0].prepared), "warnings": warnings}
