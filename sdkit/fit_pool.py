"""A run of several fits, pooled: one a setting of a switch, or one a truth to recover."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .findings import capital, listed, percent
from .fit import Fit
from .fitting import Findings
from .plot import BLUE, DARK, GREY, Picture, framed, new_figure, save, styled, tick
from .time_units import time_unit

_RECENT = 10.0  # units of time that the figure of a switch shows
ENOUGH = 20  # truths from which ranks say something about widths


def weights_of(every: Sequence[Findings]) -> np.ndarray:
    """Of each fit the weight of its setting of the switch, as parameters.csv has it."""
    prepared = every[0].prepared
    switch = prepared.parameters.find(prepared.run.switch)
    own = [switch.weights[int(f.prepared.set[switch.name] - switch.low)] for f in every]
    return np.array(own) / sum(own)


def pooled_draws(every: Sequence[Findings]) -> pd.DataFrame:
    """The run's number of draws, of each setting in proportion to its weight, in random order;
    the setting itself is a column.

    The weights are those of before the fit: how well a setting meets the series is shown
    (`fits_table`), and is not used.
    """
    run = every[0].prepared.run
    if run.switch is None:
        return every[0].draws
    exact = weights_of(every) * run.draws
    counts = exact.astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: run.draws - counts.sum()]] += 1
    draws = pd.concat([f.draws[:n] for f, n in zip(every, counts, strict=True)], ignore_index=True)
    order = np.random.default_rng(run.seed).permutation(len(draws))
    return draws.iloc[order].reset_index(drop=True)


def log_evidence(fit: Fit) -> float:
    """Log probability of the series under this fit's structure, whatever its parameters.

    By a Gaussian with the covariance of the draws at the most probable point (Laplace), its
    determinant corrected for the number of effective draws (a Wishart's mean log determinant).
    Where the posterior is no Gaussian it is off by some units.
    """
    from scipy.special import digamma

    best = max(c.log_density for c in fit.climbs)
    matrix = np.atleast_2d(np.cov(fit.chains.flat.T))
    n, size = float(np.median(fit.effective)), len(matrix)
    lost = digamma((n - np.arange(size)) / 2).sum() + size * np.log(2 / n) if n > size else 0.0
    return best + 0.5 * (float(np.linalg.slogdet(matrix)[1]) - lost)


def fits_table(every: Sequence[Findings]) -> pd.DataFrame:
    """One row a fit: how well it meets the series, and how far it converged."""
    weights = evidence = np.full(len(every), np.nan)
    if every[0].prepared.run.switch is not None:
        weights, evidence = weights_of(every), np.array([log_evidence(f.fit) for f in every])
    rows = []
    for f, weight, own in zip(every, weights, evidence - evidence.max(), strict=True):
        seen = f.measurements
        rows.append(
            {
                "fit": f.prepared.label,
                "weight": weight,
                "log_evidence": own,
                "r_hat": f.fit.r_hat.max(),
                "effective": f.fit.effective.min(),
                "coverage": (seen.coverage * seen.observations).sum() / seen.observations.sum(),
                "median_error": float(seen.median_error.median()),
            }
        )
    return pd.DataFrame(rows)


def ranks_table(parameters: pd.DataFrame) -> pd.DataFrame:
    """One row a parameter: shares of truths in the middle half and nine tenths of the posterior,
    and the probability of ranks less even than these if the fit is right.

    Where truths are drawn from the priors, the share of draws below the truth is uniform (Cook,
    Gelman and Rubin 2006, "Validation of software for Bayesian models"); the last column is
    Kolmogorov's test of that.
    """
    from scipy.stats import kstest

    rows = []
    for name, own in parameters.groupby("parameter", sort=False)["rank"]:
        rows.append(
            {
                "parameter": name,
                "truths": len(own),
                "in_half": own.between(0.25, 0.75).mean(),
                "in_nine_tenths": own.between(0.05, 0.95).mean(),
                "p": float(kstest(own, "uniform").pvalue) if len(own) >= ENOUGH else np.nan,
            }
        )
    return pd.DataFrame(rows)


def in_short(
    every: Sequence[Findings], parameters: pd.DataFrame, table: pd.DataFrame, ranks: pd.DataFrame
) -> list[str]:
    """A run of several fits in sentences, made of its numbers (`fits_table`, `ranks_table`)."""
    lines = [
        f"In {len(every)} fits, R-hat between ensembles is {table.r_hat.max():.4f} at most, and "
        f"every parameter has at least {table.effective.min():,.0f} effective draws."
    ]
    if "rank" in parameters:
        held = parameters["rank"].between(0.05, 0.95).mean()
        half = parameters["rank"].between(0.25, 0.75).mean()
        lines.append(
            f"Of {len(parameters)} values drawn from the priors, which then made the series, "
            f"{held:.0%} lie in the middle nine tenths of their posterior and {half:.0%} in the "
            "middle half."
        )
        if ranks.p.notna().any():
            worst = ranks.loc[ranks.p.idxmin()]
            fair = 1 - (1 - worst.p) ** len(ranks)
            lines.append(
                f"The least even ranks are those of {worst.parameter} (p = {worst.p:.2g}, or "
                f"{fair:.2g} as the worst of {len(ranks)})."
            )
        return lines
    others = table.sort_values("log_evidence", ascending=False)
    gap = -others.log_evidence.iloc[-1]
    lines.append(
        f"“{others.fit.iloc[0]}” explains the series of this run best and “{others.fit.iloc[-1]}” "
        f"least, {gap:.0f} apart in log probability, which may be off by a few units. That holds "
        "if structure, priors and errors are right. Draws are pooled by the weights that the "
        "settings had before the fit."
    )
    last = [f"{f.prepared.label} {percent(_last_error(f))}" for f in every]
    lines.append(
        f"The median of each fit differs from the last observation of "
        f"{every[0].fit.posterior.measurements[0].name} by: {listed(last)}."
    )
    return lines


def _last_error(findings: Findings) -> float:
    m = findings.fit.posterior.measurements[0]
    last = m.series.value[-1]
    # percent() writes a dash for what has no percentage.
    return float((findings.bands[m.name][1, -1] - last) / abs(last)) if last else np.nan


def write_pool_figure(every: Sequence[Findings], parameters: pd.DataFrame, folder: Path) -> Picture:
    """What sets the fits apart: the recent years of the first series, or the ranks of truths."""
    return _ranks(parameters, folder) if "rank" in parameters else _recent(every, folder)


@styled
def _recent(every: Sequence[Findings], folder: Path) -> Picture:
    figure = new_figure(max(2.3 * len(every), 5.5), 3.4)
    panels = figure.subplots(1, len(every), sharey=True, squeeze=False)[0]
    top = 0.0
    for panel, f in zip(panels, every, strict=True):
        m = f.fit.posterior.measurements[0]
        late = m.series.time >= m.series.time[-1] - _RECENT
        time, (low, middle, high) = m.series.time[late], f.bands[m.name][:, late]
        panel.fill_between(time, low, high, color=BLUE, alpha=0.2, linewidth=0)
        panel.plot(time, middle, color=BLUE, linewidth=1.5)
        panel.plot(time, m.series.value[late], "o", color=DARK, markersize=3.4)
        panel.set_title("\n".join(textwrap.wrap(f.prepared.label, 26)), fontsize=8.5)
        panel.yaxis.set_major_formatter(tick)
        panel.locator_params(axis="x", nbins=4, integer=True)
        top = max(top, high.max(), m.series.value[late].max())
    panels[0].set_ylim(0, top * 1.05)
    panels[0].set_ylabel(m.series.unit, fontsize=7.5)
    ends = [_last_error(f) for f in every]
    title = (
        f"{capital(m.name)}: under the settings the median differs from the last observation by "
        f"{percent(min(ends))} to {percent(max(ends))}"
    )
    recent = time_unit(every[0].prepared.model).count(_RECENT)
    note = (
        "Median and 5–95 % of what might be observed under each setting, and the series, over its "
        f"last {recent}."
    )
    framed(figure, title, note, (1, len(every)), (0.65, 0.15, 0.5, 0.3), (0.2, 0))
    save(figure, folder, "settings")
    return Picture("settings", title, note)


@styled
def _ranks(parameters: pd.DataFrame, folder: Path) -> Picture:
    groups = list(parameters.groupby("parameter", sort=False)["rank"])
    figure = new_figure(6.2, 3.8)
    panel = figure.subplots()
    truths = len(groups[0][1])
    p = np.linspace(0, 1, 200)
    # One curve of independent ranks leaves this band anywhere in one case of a hundred.
    wide = 1.63 / np.sqrt(truths)
    panel.fill_between(p, p - wide, p + wide, color=GREY, alpha=0.25, linewidth=0)
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    for _, own in groups:
        steps = np.arange(len(own) + 1) / len(own)
        panel.step([0, *np.sort(own)], steps, where="post", color=BLUE, linewidth=1, alpha=0.7)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_xlabel("share of the posterior below the truth")
    panel.set_ylabel("share of truths")
    held = parameters["rank"].between(0.05, 0.95).mean()
    title = f"{held:.0%} of the true values lie in the middle nine tenths of their posterior"
    note = (
        f"One line a parameter, {truths} truths each, drawn from the priors. A fit that is right "
        "follows the diagonal; of such lines one in a hundred leaves the grey band."
    )
    framed(figure, title, note, (1, 1), (0.6, 0.2, 0.3, 0.45))
    save(figure, folder, "ranks")
    return Picture("ranks", title, note)
