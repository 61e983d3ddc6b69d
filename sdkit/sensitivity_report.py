"""The results of a sensitivity study: tables, figures and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .files import write_frame, write_json, write_text
from .findings import capital
from .report import page, weaknesses_of
from .sensitivity import CHANCE, RANKED, Quantity, ranking
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
    write_frame(out / "over-time.csv", found.table[yearly])
    write_frame(out / "by-sample-size.csv", found.looks)
    rows = [
        along.rows.assign(
            output=along.quantity.output, policy=along.quantity.policy, input=along.input
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
        years=f"{found.years[0]}–{found.years[-1]}",
        pictures=write_sensitivity_figures(found, out / "figures"),
        short=in_short(found),
        pairs=_pairs(found),
        limits=_limits(found),
        weaknesses=weaknesses_of(prepared.model.path.parent),
        record=prepared.record,
    )
    write_text(out / "report.html", text)


def tracked(found: Sensitivity) -> pd.DataFrame:
    """Rows of the summaries by the methods asked for, without screening, in which an index reaches
    a fiftieth of the largest of its kind."""
    years = {f"{year:g}" for year in found.years}
    table = found.table
    table = table[~table["at"].isin(years) & table.method.isin(found.asked.methods)]
    keys = ["method", "index", "output", "policy", "at"]
    largest = table.value.abs().groupby([table[k] for k in keys]).transform("max")
    return table[(table.value.abs() >= 0.02 * largest) & (table.value != 0)]


def in_short(found: Sensitivity) -> list[str]:
    """The study in sentences, made of its numbers."""
    run = found.prepared.run
    source = "priors" if run.source == "priors" else "posterior and, what it does not hold, priors"
    grouped = ""
    if found.asked.inputs is not None and found.inputs > len(found.asked.inputs):
        grouped = f", {found.inputs - len(found.asked.inputs)} of them as one"
    lines = [
        f"{found.runs:,} runs; {found.inputs} inputs vary over their {source}{grouped}.",
    ]
    if found.asked.screen and found.asked.screen < found.inputs:
        lines.append(
            f"The {found.asked.screen} inputs with the largest mean effects were ranked one by "
            "one; the others vary as one input, so that nothing is left out."
        )
    lines += [
        in_words(found.table, q, found.method, found.settled[found.method].stable)
        for q in found.main
    ]
    loose = [
        f"{method} ({own.n:,})"
        for method, own in found.settled.items()
        if not own.stable and np.isfinite(own.width)
    ]
    if loose:
        lines.append(
            f"Not settled with as many base runs as were asked for: {', '.join(loose)}. Read the "
            "order of inputs whose intervals overlap as open."
        )
    return lines


def in_words(table: pd.DataFrame, quantity: Quantity, method: str, settled: bool) -> str:
    """One quantity's answer as a sentence or two, made from its indices."""
    rows = ranking(table, quantity, method)
    rows = rows[(rows.input != "") & (rows.input != CHANCE)]
    if not (rows.value != 0).any():
        return f"{capital(quantity.title)} does not vary."
    top = rows[rows.value.abs() >= 0.1 * rows.value.abs().max()].head(5)

    def told(row) -> str:
        if method == "morris":
            return f"{row.input} ({row.value:.3g} {quantity.unit})"
        low, high = row.low, row.high
        span = f", {low:.2f} to {high:.2f}" if np.isfinite(low) else ""
        return f"{row.input} ({row.value:.2f}{span})"

    words = {
        "sobol": "total indices: the share of the variance that is left if all else is known",
        "morris": "mean effect of moving it over its range",
        "prcc": "partial rank correlation", "srrc": "standardised rank coefficient",
        "pawn": "PAWN index", "rbd-fast": "first-order index", "delta": "delta",
    }[method]  # fmt: skip
    text = f"{capital(quantity.title)}: most depends on {'; '.join(map(told, top.itertuples()))} "
    text += f"({words}; 95 % intervals)." if method != "morris" else f"({words})."
    if method == "sobol":
        first = table[
            (table["index"] == "first") & (table.output == quantity.output)
            & (table.policy == quantity.policy) & (table["at"] == quantity.at)
        ]  # fmt: skip
        if settled:
            alone = min(float(first.value.clip(lower=0).sum()), 1.0)
            text += f" Inputs acting alone explain about {alone:.0%} of its variance."
    return text


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
    if found.prepared.run.source == "posterior":
        lines.append(
            "What was fitted depends on one another. sobol and morris take it as one input, a draw "
            "of the posterior: which of the fitted values it is, they cannot say. A draw belongs "
            "to the setting of the switch that it was fitted under, so that another setting brings "
            "other values: what the switch's total index has beyond the first is owed to both."
        )
        if {"prcc", "srrc"} & found.settled.keys():
            lines.append(
                "Partial rank correlations hold the other inputs fixed as far as ranks are linear; "
                "among correlated inputs they are uncertain, and not shares of anything."
            )
    if "morris" in found.settled:
        lines.append(
            "Morris screens: its mean effects order inputs and are no shares of the variance."
        )
    if found.method == "sobol":
        lines.append(
            f"{RANKED['sobol'].capitalize()} indices add up to more than one where inputs interact."
        )
    return lines
