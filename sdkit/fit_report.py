"""The results of a fit: tables, figures, the page, and the posterior that other runs draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from .convergence import EFFECTIVE, R_HAT, write_inference_data
from .errors import RunError
from .files import exact, table_text, write_frame, write_json, write_text
from .findings import percent
from .fit_plot import write_fit_figures
from .fit_pool import fits_table, pooled_draws, ranks_table, write_pool_figure
from .fit_pool import in_short as pool_in_short
from .fit_run import Prepared
from .fitting import Findings, seen_by
from .forecast import NAIVE
from .identifiability import AT
from .measurement import observe
from .provenance import sealed
from .report import page, weaknesses_of

_KEPT = 500  # states of each chain in inference.nc
# Tracked tables of each fit, and what they are among its findings.
_OF_EACH = {
    "summary.csv": "parameters",
    "measurements.csv": "measurements",
    "forecasts.csv": "forecasts",
    "densities.csv": "densities",
    "without.csv": "without",
}
TABLES = (*_OF_EACH, "fits.csv")
_COARSE = 0.5  # change of the log likelihood by half the time step
_STRONG = 0.3  # influence of a value outside the fit, in standard deviations of residuals


def write_fit(every: Sequence[Findings], stage: Path) -> None:
    """Every result of a run's fits into `stage`: the tracked tables, and the rest under out/."""
    out = stage / "out"
    first = every[0].prepared
    tables = {file: together(every, name) for file, name in _OF_EACH.items()}
    for name, table in tables.items():
        if len(table):
            write_frame(stage / name, table)
    facts = facts_of(every)
    write_json(stage / "record.json", {**first.record, **facts})
    if len(every) == 1:
        _write_one(every[0], out)
        return
    fits = fits_table(every)
    write_frame(stage / "fits.csv", fits)
    parameters = tables["summary.csv"]
    ranks = ranks_table(parameters) if first.run.recover else pd.DataFrame()
    if first.run.switch is not None:
        for number, findings in enumerate(every, 1):
            _write_one(findings, out / f"fit-{number}")
    text = page(
        "fits.html",
        out / "figures",
        picture=write_pool_figure(every, parameters, out / "figures"),
        short=pool_in_short(every, parameters, fits, ranks),
        fits=list(fits.itertuples(index=False)),
        without=list(tables["without.csv"].itertuples(index=False)),
        ranks=list(ranks.itertuples(index=False)),
        **_about(replace(first, label="")),
    )
    write_text(out / "report.html", text)


def together(every: Sequence[Findings], table: str) -> pd.DataFrame:
    """A table of all fits of a run; where there are several, `fit` says whose row it is."""
    tables = [getattr(f, table) for f in every]
    if len(every) == 1:
        return tables[0]
    whose = [t.assign(fit=f.prepared.label) for f, t in zip(every, tables, strict=True)]
    whole = pd.concat(whose, ignore_index=True)
    return whole[["fit", *(c for c in whole.columns if c != "fit")]]


def _write_one(findings: Findings, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_frame(out / "climbs.csv", climbs_table(findings))
    write_frame(out / "influence.csv", findings.influence)
    write_frame(out / "correlations.csv", ridges(findings, 0.3))
    write_frame(out / "profiles.csv", profiles_table(findings))
    tally = findings.fit.tally
    if tally.failed:
        write_frame(
            out / "impossible.csv", findings.fit.posterior.values(np.array(tally.impossible))
        )
    _write_inference(findings, out / "inference.nc")
    pictures = write_fit_figures(findings, out / "figures")
    text = page(
        "fit.html",
        out / "figures",
        f=findings,
        short=in_short(findings),
        pictures=pictures,
        measurements=list(findings.measurements.itertuples(index=False)),
        scores=list(pooled(findings.forecasts).itertuples(index=False)),
        forecasts=list(findings.forecasts.itertuples(index=False)),
        parameters=[r._asdict() for r in _plain(findings.parameters).itertuples(index=False)],
        ridges=list(_plain(ridges(findings, 0.7)).itertuples(index=False)),
        without=list(findings.without.itertuples(index=False)),
        climbs=list(_plain(climbs_table(findings)).itertuples(index=False)),
        **_about(findings.prepared),
    )
    write_text(out / "report.html", text)


def _about(prepared: Prepared) -> dict:
    """What every page of a fit says of itself."""
    name = prepared.run.folder.resolve().name
    return {
        "run": prepared.run,
        "name": f"{name}: {prepared.label}" if prepared.label else name,
        "model": prepared.model.name,
        "weaknesses": weaknesses_of(prepared.model.path.parent),
        "record": prepared.record,
    }


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns that a template can name."""
    return table.rename(columns=lambda name: name.replace(" ", "_"))


def write_posterior(every: Sequence[Findings], path: Path) -> None:
    """models/NAME/posterior.csv: one row a draw, one column a fitted constant of the model, and the
    switch under whose settings a run was fitted; the first line, a comment, names the run and the
    text of the model."""
    prepared = every[0].prepared
    names = [item.name for item in every[0].fit.posterior.fitted]
    draws = pooled_draws(every)
    rows = rounded(draws[names].to_numpy())
    # A switch that was held, or under whose settings it was fitted, goes with its draws.
    held = [p.name for p in prepared.parameters.of_role("structural") if p.name in prepared.set]
    settings = [[exact(s) for s in row] for row in draws[held].to_numpy()]
    rows = [[*own, *row] for own, row in zip(settings, rows, strict=True)]
    run = f"runs/{prepared.run.folder.resolve().name}"
    model = prepared.model
    sentence = f"fitted by {run} to {model.path.name} {model.hash[:16]}"
    facts = {"run": run, "model": model.hash, **facts_of(every)}
    write_text(path, sealed(sentence, facts, table_text([*held, *names], rows)))


def rounded(values: np.ndarray) -> list[list[str]]:
    """Cells of a table of draws, each column in steps of a thousandth of its spread or finer."""
    spread = np.maximum(values.std(axis=0), 1e-300)
    places = (3 - np.floor(np.log10(spread))).astype(int).tolist()
    return [
        [exact(round(v, n)) for v, n in zip(row, places, strict=True)] for row in values.tolist()
    ]


def climbs_table(findings: Findings) -> pd.DataFrame:
    """Where the search began and ended: one row a start."""
    fit = findings.fit
    rows = []
    for number, found in enumerate(fit.climbs, 1):
        away = np.abs(found.end - fit.mode)
        rows.append(
            {
                "start": number,
                "log_density": found.log_density,
                "below_best": max(c.log_density for c in fit.climbs) - found.log_density,
                "iterations": found.iterations,
                "converged": found.converged,
                "largest_distance": float(away.max()),
                "parameter": fit.posterior.names[int(away.argmax())],
            }
        )
    return pd.DataFrame(rows)


def profiles_table(findings: Findings) -> pd.DataFrame:
    """One row a parameter and point, the last the most probable: its value there, and the fall of
    the log density."""
    posterior = findings.fit.posterior
    points = np.vstack([np.repeat(AT[:, None], len(posterior), axis=1), findings.fit.mode])
    values = posterior.values(points)
    return pd.DataFrame(
        {
            "parameter": np.repeat(posterior.names, len(points)),
            "value": values.to_numpy().T.ravel(),
            "fall": findings.profiles.ravel(),
        }
    )


def ridges(findings: Findings, least: float) -> pd.DataFrame:
    """Pairs of parameters whose posterior correlation is `least` or more, the closest first."""
    fit = findings.fit
    names, matrix = fit.posterior.names, np.atleast_2d(np.corrcoef(fit.chains.flat.T))
    pairs = [
        (names[i], names[j], matrix[i, j])
        for i in range(len(names))
        for j in range(i)
        if abs(matrix[i, j]) >= least
    ]
    pairs.sort(key=lambda pair: -abs(pair[2]))
    return pd.DataFrame(pairs, columns=["one", "other", "correlation"])


def pooled(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Mean scores and coverage of each measurement's forecasts, in the unit of its series."""
    if not len(forecasts):
        return forecasts
    columns = {"crps": "crps"} | {f"crps of {n}": f"crps_{i}" for i, n in enumerate(NAIVE)}
    grouped = forecasts.groupby("measurement", sort=False)
    found = grouped.agg(
        observations=("observed", "size"), coverage=("inside", "mean"),
        error=("error", "median"), **{new: (old, "mean") for old, new in columns.items()},
    )  # fmt: skip
    return found.reset_index()


def in_short(findings: Findings) -> list[str]:
    """The fit in sentences, made of its numbers."""
    fit, table, seen = findings.fit, findings.parameters, findings.measurements
    mine = table[table["of"] == "model"]
    lines = [
        f"{len(mine)} parameters of the model and {len(table) - len(mine)} of its measurements "
        f"were fitted to {int(seen.observations.sum())} observations of {len(seen)} series."
    ]
    run = findings.prepared.run
    if findings.prepared.set:
        held = ", ".join(f"{name} = {value:g}" for name, value in findings.prepared.set.items())
        lines.append(f"Held in the fit: {held}.")
    if run.later:
        until = ", ".join(f"{name} to {year:g}" for name, year in run.later.items())
        lines.append(f"Known for longer than the others: {until}.")
    if "rank" in table:
        held = int(table["rank"].between(0.05, 0.95).sum())
        lines.append(
            "The series were made by the model itself with values drawn from the priors; "
            f"{held} of {len(table)} lie in the middle 90 % of the posterior."
        )
    best = max(c.log_density for c in fit.climbs)
    same = sum(c.log_density > best - 0.1 for c in fit.climbs)
    lines.append(
        f"{same} of {len(fit.climbs)} searches from different starts ended at the most probable "
        "point."
    )
    lines.append(
        f"Four ensembles agree: R-hat between them is {fit.r_hat.max():.4f} at most "
        f"({fit.posterior.names[int(fit.r_hat.argmax())]}), and every parameter has at least "
        f"{fit.effective.min():,.0f} effective draws "
        f"({fit.posterior.names[int(fit.effective.argmin())]})."
    )
    share = (seen.coverage * seen.observations).sum() / seen.observations.sum()
    worst = seen.loc[seen.median_error.idxmax()]
    lines.append(
        f"The 90 % bands hold {share:.0%} of the observations used; the largest median error of a "
        f"series is {worst.median_error:.0%} ({worst.measurement})."
    )
    one = [r.parameter for r in mine.itertuples() if "one-sided" in r.remark]
    if one:
        lines.append(
            f"Of {len(one)} parameters the series exclude one end of the prior and not the other "
            "(one-sided in the table): held there alone, the density falls by more than 1.92."
        )
    weak = [r.parameter for r in mine.itertuples() if "prior-dominated" in r.remark]
    if weak:
        lines.append(
            f"The series narrow {len(mine) - len(weak)} of the model's parameters below 90 % of "
            f"the prior's spread, and say next to nothing about {len(weak)} (marked in the table). "
            "Each of those could be fixed; together they are fitted so that draws meet the series."
        )
    lines += _doubts(findings)
    shift, moved = findings.halved
    signed = f"{shift:+.2f}".replace("-", "−")
    lines.append(
        f"Half the time step moves the log likelihood of the most probable point by {signed} "
        f"and no simulated value by more than {moved:.2%}."
    )
    for row in pooled(findings.forecasts).itertuples():
        beaten = [n for i, n in enumerate(NAIVE) if row.crps < getattr(row, f"crps_{i}")]
        lost = [n for n in NAIVE if n not in beaten]
        words = []
        if beaten:
            words.append(f"better than {', '.join(beaten)}")
        if lost:
            words.append(f"worse than {', '.join(lost)}")
        lines.append(
            f"Forecasts of {row.measurement}: {row.coverage:.0%} of {row.observations} "
            f"observations in the 90 % band, median error {percent(row.error)}; {'; '.join(words)}."
        )
    return lines


def _doubts(findings: Findings) -> list[str]:
    """What makes a reader trust the draws less, in sentences."""
    fit, table = findings.fit, findings.parameters
    mine = table[table["of"] == "model"]
    lines = []
    out = [r.parameter for r in mine.itertuples() if "pulls out" in r.remark]
    if out:
        lines.append(
            f"The series pull {len(out)} parameters beyond 5 or 95 % of their priors, a sign of a "
            f"wrong prior or of structure that is missing: {', '.join(out)}."
        )
    strong = findings.influence[findings.influence.influence >= _STRONG]
    switched = strong[strong.parameter.str.contains(" = ", regex=False)]
    strong = strong.drop(switched.index)
    if len(switched):
        names = "; ".join(f"{r.parameter} ({r.influence:.1f})" for r in switched.itertuples())
        lines.append(
            f"{len(switched)} settings of switches, other than those of this fit, move what was "
            f"measured by {_STRONG:g} standard deviations of the residuals or more. Draws mix "
            "them, by their weights, with values that were fitted without them; set or switch in "
            f"run.toml fits under one: {names}."
        )
    if len(strong):
        names = ", ".join(f"{r.parameter} ({r.influence:.1f})" for r in strong.itertuples())
        lines.append(
            f"{len(strong)} uncertain values outside the fit move what was measured by {_STRONG:g} "
            "standard deviations of the residuals or more; drawn from their priors they throw the "
            f"model off its series, and would better be fitted: {names}."
        )
    tally = fit.tally
    if tally.failed:
        lines.append(
            f"{tally.failed:,} of {tally.points:,} points ({tally.failed / tally.points:.2%}) "
            "could not be simulated and count as impossible; impossible.csv holds the first."
        )
    return lines


def warnings_of(every: Sequence[Findings]) -> list[str]:
    """What other runs that draw from these fits have to know of them, in sentences."""
    found = []
    for findings in every:
        fit = findings.fit
        own = []
        if fit.r_hat.max() > R_HAT or fit.effective.min() < EFFECTIVE:
            own.append(
                f"The chains agree less than is usual: R-hat is {fit.r_hat.max():.3f} at most "
                f"(usual: {R_HAT:g}), and a parameter has {fit.effective.min():,.0f} effective "
                f"draws (usual: {EFFECTIVE:g})."
            )
        best = max(c.log_density for c in fit.climbs)
        if not any(c.converged for c in fit.climbs if c.log_density > best - 0.1):
            own.append("No search for the most probable point converged at it.")
        own += _doubts(findings)
        shift = findings.halved[0]
        if not abs(shift) <= _COARSE:
            own.append(
                f"The time step is coarse: half of it moves the log likelihood of the most "
                f"probable point by {shift:+.2f}.".replace("-", "−")
            )
        label = findings.prepared.label
        found += [f"{label}: {line}" if label else line for line in own]
    return found


def facts_of(every: Sequence[Findings]) -> dict:
    """What was fitted, to what, and what to doubt of it: for record.json and posterior.csv."""
    run = every[0].prepared.run
    # Truths that are found again are many fits of invented series, and nothing draws from them.
    warnings = [] if run.recover else warnings_of(every)
    return {"question": run.question, **seen_by(every[0].prepared), "warnings": warnings}


def _write_inference(findings: Findings, path: Path) -> None:
    fit = findings.fit
    posterior, draws = fit.posterior, fit.chains.draws
    ensembles, size = draws.shape[0], draws.shape[-1]
    together = draws.reshape(ensembles, -1, size)
    density = fit.chains.log_density.reshape(ensembles, -1)
    every = np.linspace(0, together.shape[1], min(_KEPT, together.shape[1]), endpoint=False)
    chosen = every.astype(int)
    values = posterior.values(together[:, chosen].reshape(-1, size)).to_numpy()
    prior = np.random.default_rng(findings.prepared.run.seed).standard_normal((len(chosen), size))
    own = posterior.values(fit.draws)
    rng = np.random.default_rng(findings.prepared.run.seed)
    predicted = {
        m.name: observe(m, x, *posterior.scatter(m, own), rng)
        for m, x in zip(posterior.measurements, posterior.simulate_values(own), strict=True)
    }
    try:
        write_inference_data(
            path, posterior.names, values.reshape(ensembles, len(chosen), size),
            posterior.values(prior).to_numpy(), density[:, chosen], predicted,
            {m.name: m.series.value for m in posterior.measurements},
        )  # fmt: skip
    except OSError as error:
        raise RunError("U603", f"{path}: {error.strerror or error}") from None
