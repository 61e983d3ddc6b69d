"""What a page says of its draws: their source, what a posterior has seen, and noise."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .experiment import read_posterior
from .noise import draws_numbers
from .parameters import Parameters
from .provenance import PosteriorProvenance, SeriesSeen, posterior_provenance
from .run import Prepared
from .time_units import TimeUnit, time_unit

# What random functions do to what a page shows, by what the page is of.
NOISE = {
    "draws": "The model draws random numbers. Each draw has its own, the same under every policy, "
    "so spreads over the draws hold this noise too.",
    "sensitivity": "The model draws random numbers, the same in all runs that an index compares. "
    "The spread that they cause belongs to no input.",
    "fit": "The model draws random numbers. The fit keeps one noise for all points, so its bands "
    "hold none of the process's own noise.",
}


@dataclass(frozen=True)
class Origin:
    """Sentences on where draws come from, and the warnings of the fit behind them."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def origin_of(prepared: Prepared, kind: str = "draws") -> Origin:
    """What the page of a run says of its draws; `kind` is one of NOISE. Raises as
    `posterior_provenance` does."""
    model, clock = prepared.model, time_unit(prepared.model)
    lines, warnings = [], ()
    if prepared.run.source == "defaults":
        lines.append("Every constant has the model's own value; nothing varies.")
    elif prepared.run.source == "priors":
        lines.append(
            "All values that vary come from the priors in parameters.csv. No fit has narrowed them."
        )
    else:
        found = posterior_provenance(model.path.parent, model)
        lines += seen_lines(found, clock)
        warnings = found.warnings
        outside = _outside(prepared)
        if outside:
            lines.append(f"From their priors come {outside}.")
    if draws_numbers(model):
        lines.append(NOISE[kind])
    return Origin(tuple(lines), warnings)


def seen_lines(found: PosteriorProvenance, clock: TimeUnit) -> list[str]:
    """Which fit a posterior comes from, what it has seen and what was held out of it."""
    if not found.run:
        return ["Fitted values come from posterior.csv, which no fit of sdkit wrote."]
    text = f"Fitted values come from the posterior of {found.run}"
    if found.series:
        text += f", which was fitted to {series_said(found.series, clock)}"
    lines = [f"{text}."]
    if found.held_out:
        lines.append(f"The fit did not use {series_said(found.held_out, clock)}.")
    if found.changes:
        lines.append(found.changes)
    return lines


def series_said(every: Sequence[SeriesSeen], clock: TimeUnit) -> str:
    """ "deaths (2000–2025, 26 observations); prices (2010, 1 observation)"."""
    told = []
    for own in every:
        ends = own.first, own.last
        if clock.one == "year":  # a month lies in its year
            ends = float(math.floor(own.first)), float(math.floor(own.last))
        when = clock.span(*ends)
        told.append(f"{own.name} ({when}, {own.count} observation{'' if own.count == 1 else 's'})")
    return "; ".join(told)


def _outside(prepared: Prepared) -> str:
    set_by_all = set.intersection(*({*s.values} for s in prepared.scenarios))
    known = {*read_posterior(prepared.parameters), *prepared.changed, *set_by_all}
    return outside_of(prepared.parameters, known)


def outside_of(parameters: Parameters, known: Collection[str]) -> str:
    """The constants that have a prior and are not among the `known`, in words; "" for none."""
    own = [p for p in parameters.sampled if p.name not in known]
    switches = sum(p.role == "structural" for p in own)
    counts = ((len(own) - switches, "other constant"), (switches, "switch"))
    plural = {"other constant": "other constants", "switch": "switches"}
    told = [f"{n} {word if n == 1 else plural[word]}" for n, word in counts if n]
    return " and ".join(told)
