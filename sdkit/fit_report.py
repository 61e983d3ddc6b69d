"""The results of a fit: tables, figures, the page, and the posterior that other runs draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from .convergence import write_inference_data
from .errors import RunError
from .files import exact, table_text, write_frame, write_json, write_text
from .findings import listed
from .fit import AMONG
from .fit_plot import write_fit_figures
from .fit_pool import fits_table, pooled_draws, ranks_table, write_pool_figure
from .fit_pool import in_short as pool_in_short
from .fit_run import Prepared
from .fit_words import RIVALS, facts_of, in_short, pooled, warnings_of
from .fitting import Findings, seen_by
from .forecast import DAMPING
from .identifiability import AT
from .measurement import observe
from .origins import outside_of, series_said
from .provenance import SeriesSeen, sealed
from .report import page, weaknesses_of
from .streams import generator
from .time_units import time_unit

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
        short=[
            *pool_in_short(every, parameters, fits, ranks),
            *([] if first.run.recover else warnings_of(every)),
        ],
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
        correlated=sum(m.correlation_time is not None for m in findings.fit.posterior.measurements),
        scores=pooled(findings.forecasts).to_dict("records"),
        rivals=RIVALS,
        damping=DAMPING,
        forecasts=list(_plain(findings.forecasts).itertuples(index=False)),
        parameters=[r._asdict() for r in _plain(findings.parameters).itertuples(index=False)],
        ridges=list(_plain(ridges(findings, 0.7)).itertuples(index=False)),
        without=list(findings.without.itertuples(index=False)),
        climbs=list(_plain(climbs_table(findings)).itertuples(index=False)),
        starts=_starts(len(findings.fit.climbs)),
        used=_used(findings.prepared),
        outside=outside_of(
            findings.prepared.parameters,
            {p.name for p in findings.prepared.fitted} | {*findings.prepared.set},
        ),
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
        "clock": time_unit(prepared.model),
    }


def _used(prepared: Prepared) -> list[str]:
    """What the fit used and what was held out of it, in sentences."""
    if prepared.run.recover:
        return []
    facts, clock = seen_by(prepared), time_unit(prepared.model)
    lines = []
    for key, words in (("series", "The fit used"), ("held_out", "It did not use")):
        every = [SeriesSeen(*row) for row in facts[key]]
        if every:
            lines.append(f"{words} {series_said(every, clock)}.")
    return lines


def _starts(count: int) -> str:
    """From where the searches for the most probable point began."""
    begun = ["the model's own values", "the middle of the priors"][:count]
    if count > 2:
        begun.append(f"the best of {AMONG:,} points of the priors")
    return listed(begun)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns that a template can name."""
    return table.rename(columns=lambda name: name.replace(" ", "_"))


def posterior_text(every: Sequence[Findings]) -> str:
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
    facts = {
        "run": run, "model": model.hash, "files": files_of(prepared), **facts_of(every)
    }  # fmt: skip
    return sealed(sentence, facts, table_text([*held, *names], rows))


def files_of(prepared: Prepared) -> dict[str, str]:
    """The SHA-256 of what a fit used beside the model's text, by path in the model's folder."""
    model = prepared.model
    folder = f"{model.name}/"
    return {
        name.removeprefix(folder): digest
        for name, digest in prepared.record["sha256"].items()
        if name.startswith(folder) and name != f"{folder}{model.path.name}"
    }


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


def _write_inference(findings: Findings, path: Path) -> None:
    fit = findings.fit
    posterior, draws = fit.posterior, fit.chains.draws
    ensembles, size = draws.shape[0], draws.shape[-1]
    together = draws.reshape(ensembles, -1, size)
    density = fit.chains.log_density.reshape(ensembles, -1)
    every = np.linspace(0, together.shape[1], min(_KEPT, together.shape[1]), endpoint=False)
    chosen = every.astype(int)
    values = posterior.values(together[:, chosen].reshape(-1, size)).to_numpy()
    seed = findings.prepared.run.seed
    prior = posterior.prior(0, len(chosen), seed)
    own = posterior.values(fit.draws)
    predicted = {
        m.name: observe(m, x, *posterior.scatter(m, own), generator(seed, m.name, "observed"))
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
