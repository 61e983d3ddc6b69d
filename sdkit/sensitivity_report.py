"""The results of a sensitivity study: tables, figures and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .experiment import read_posterior
from .files import write_frame, write_json, write_text
from .findings import capital, listed
from .origins import origin_of
from .report import page, weaknesses_of
from .sensitivity import CHANCE, OUTSIDE, RANKED, TOLD, Quantity, ranking
from .sensitivity_plot import write_sensitivity_figures
from .sensitivity_study import Sensitivity

_PAIRS = 8


def write_sensitivity(found: Sensitivity, stage: Path) -> None:
    """Every result into `stage`: the tracked summary, and the rest under out/."""
    out = stage / "out"
    years = {f"{year:g}" for year in found.years}
    yearly = found.table["at"].isin(years)
    write_frame(stage / "summary.csv", tracked(found))
    write_frame(out / "summary.csv", found.table[~yearly])
    write_frame(out / "over-time.csv", over_time(found))
    write_frame(out / "by-sample-size.csv", found.looks)
    rows = [
        along.rows.assign(
            output=along.quantity.output,
            unit=along.quantity.unit,
            policy=along.quantity.policy,
            input=along.input,
        )
        for along in found.along
    ]
    if rows:
        write_frame(out / "along.csv", pd.concat(rows, ignore_index=True))
    write_json(stage / "record.json", found.prepared.record)
    prepared = found.prepared
    text = page(
        "sensitivity.html",
        out / "figures",
        s=found,
        run=prepared.run,
        name=prepared.run.folder.resolve().name,
        model=prepared.model.name,
        years=found.clock.span(found.years[0], found.years[-1]),
        pictures=write_sensitivity_figures(found, out / "figures"),
        short=in_short(found),
        pairs=_pairs(found),
        limits=_limits(found),
        left_out=[own.sentence for own in found.left_out.get(found.method, ())],
        origin=origin_of(prepared, "sensitivity"),
        weaknesses=weaknesses_of(prepared.model.path.parent),
        record=prepared.record,
    )
    write_text(out / "report.html", text)


def over_time(found: Sensitivity) -> pd.DataFrame:
    """Rows of single years. A year that is left out of an output's effects has a row by each
    method and policy, without a value, whose `note` says why."""
    years = {f"{year:g}" for year in found.years}
    table = found.table[found.table["at"].isin(years)].assign(note="")
    policies = [p.name for p in found.prepared.policies[1:]]
    rows = [
        {"method": method, "output": own.output, "unit": own.unit, "policy": policy,
         "at": f"{year:g}", "note": own.note}
        for method, every in found.left_out.items()
        for own in every if own.unit == "%"
        for year in own.years
        for policy in policies
    ]  # fmt: skip
    return pd.concat([table, pd.DataFrame(rows, columns=table.columns)]) if rows else table


def tracked(found: Sensitivity) -> pd.DataFrame:
    """Rows of the summaries by the methods asked for, without screening, in which an index reaches
    `TOLD` of the largest of its kind."""
    years = {f"{year:g}" for year in found.years}
    table = found.table
    table = table[~table["at"].isin(years) & table.method.isin(found.asked.methods)]
    keys = ["method", "index", "output", "policy", "at"]
    largest = table.value.abs().groupby([table[k] for k in keys]).transform("max")
    return table[(table.value.abs() >= TOLD * largest) & (table.value != 0)]


def in_short(found: Sensitivity) -> list[str]:
    """The study in sentences, made of its numbers."""
    run = found.prepared.run
    source = "their priors" if run.source == "priors" else "the posterior and the other priors"
    grouped = ""
    if found.asked.inputs is not None and found.inputs > len(found.asked.inputs):
        grouped = f", {found.inputs - len(found.asked.inputs)} of them as one"
    lines = []
    if found.asked.screen and found.asked.screen < found.inputs:
        lines.append(
            f"The {found.asked.screen} inputs with the largest mean effects are ranked one by one. "
            "The others vary together, as one input."
        )
    lines += [
        in_words(found.table, q, found.method, found.settled[found.method].stable)
        for q in found.main
    ]
    loose = [
        f"{method} with {own.n:,}"
        for method, own in found.settled.items()
        if not own.stable and np.isfinite(own.width)
    ]
    if loose:
        lines.append(
            f"The ranking has not settled by {listed(loose)} base runs: where intervals overlap, "
            "the order of the inputs is open."
        )
    lines.append(
        f"The study took {found.runs:,} runs; {found.inputs} inputs vary over {source}{grouped}."
    )
    return lines


def _subject(quantity: Quantity) -> str:
    """A quantity's title as the subject of a sentence: an apposition ends with a comma."""
    title = capital(quantity.title)
    return f"{title}," if title.endswith(f", {quantity.at}") else title


def in_words(table: pd.DataFrame, quantity: Quantity, method: str, settled: bool) -> str:
    """One quantity's answer as a sentence or two, made from its indices."""
    rows = ranking(table, quantity, method)
    rows = rows[(rows.input != "") & (rows.input != CHANCE)]
    if not (rows.value != 0).any():
        return f"{_subject(quantity)} does not vary."
    top = rows[rows.value.abs() >= 0.1 * rows.value.abs().max()].head(5)

    def told(row) -> str:
        if method == "morris":
            return f"{row.input} ({row.value:.3g} {row.unit})"
        low, high = row.low, row.high
        span = f", {low:.2f} to {high:.2f}" if np.isfinite(low) else ""
        return f"{row.input} ({row.value:.2f}{span})"

    words = {
        "sobol": "total indices: the share of the variance that is left if all else is known",
        "morris": "mean effect of moving the input over its range",
        "prcc": "partial rank correlation", "srrc": "standardised rank coefficient",
        "pawn": "PAWN index", "rbd-fast": "first-order index", "delta": "delta",
    }[method]  # fmt: skip
    text = f"{_subject(quantity)} depends most on {'; '.join(map(told, top.itertuples()))} "
    text += f"({words}; 95 % intervals)." if method != "morris" else f"({words})."
    if method in ("sobol", "rbd-fast") and not top.value.between(0, 1).all():
        text += f" {OUTSIDE}"
    if method == "sobol":
        first = table[
            (table["index"] == "first") & (table.output == quantity.output)
            & (table.policy == quantity.policy) & (table["at"] == quantity.at)
        ]  # fmt: skip
        if settled:
            alone = min(float(first.value.clip(lower=0).sum()), 1.0)
            text += f" Acting alone, the inputs explain about {alone:.0%} of its variance."
    return text


def _switch_was_fitted(found: Sensitivity) -> bool:
    """Whether the posterior holds a switch that varies in it."""
    parameters = found.prepared.parameters
    fitted = read_posterior(parameters)
    switches = (p.name for p in parameters.of_role("structural"))
    return any(fitted[name].nunique() > 1 for name in switches if name in fitted)


def _pairs(found: Sensitivity) -> list:
    rows = []
    for quantity in found.main:
        own = found.table[
            (found.table["index"] == "second") & (found.table.output == quantity.output)
            & (found.table.policy == quantity.policy) & (found.table["at"] == quantity.at)
        ]  # fmt: skip
        own = own.sort_values("value", ascending=False).head(_PAIRS // 2)
        rows += list(own.assign(title=quantity.title).itertuples(index=False))
    return rows


def _limits(found: Sensitivity) -> list[str]:
    lines = ["Constants without a prior are held; their influence is not seen here."]
    if found.asked.crossings:
        lines.append(
            f"A run that never crosses counts as crossing one {found.clock.word} after the horizon."
        )
    if found.prepared.run.source == "posterior":
        if {"sobol", "morris"} & found.settled.keys():
            lines.append(
                "Fitted values depend on one another. Sobol and Morris take them as one input, a "
                "draw of the posterior, and cannot say which of the fitted values matters."
            )
            if _switch_was_fitted(found):
                lines.append(
                    "Each draw of the posterior belongs to the setting of a switch under which it "
                    "was fitted, so another setting brings other fitted values. The part of "
                    "the switch's total index beyond its first-order index comes from both."
                )
        if {"prcc", "srrc"} & found.settled.keys():
            lines.append(
                "Partial rank correlations hold the other inputs fixed as far as ranks are linear. "
                "Among correlated inputs they are uncertain."
            )
    if "morris" in found.settled:
        lines.append(
            "The mean effects of Morris order the inputs; they are not shares of the variance."
        )
    if found.method == "sobol":
        lines.append(
            f"{RANKED['sobol'].capitalize()} indices add up to more than one where inputs interact."
        )
    return lines
