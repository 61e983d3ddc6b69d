"""A comparison carried out: policies simulated, compared, and set beside the observed series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .compare import Comparison, History, judge, series_table, summarise, whole
from .errors import RunError
from .experiment import Experiment, read_posterior
from .files import place, read_toml
from .noise import draws_numbers
from .observations import REDUCTIONS, at_observations, calendar_years
from .provenance import posterior_provenance
from .run import Prepared, yearly_experiment
from .simulation import simulate
from .switches import by_switch, main_outputs
from .time_units import time_unit


def execute(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Comparison:
    """Simulate and compare. Raises SimulationError S202 where lanes fail."""
    run, model = prepared.run, prepared.model
    observed = {model.find(c.options["variable"]).name for c in prepared.histories}
    program, experiment = yearly_experiment(prepared, prepared.draws, observed)
    end = run.horizon[1] + 1.0
    clock = time_unit(model)
    provenance = None
    if run.source == "posterior":
        provenance = posterior_provenance(model.path.parent, model)
    parts = _parts(prepared, program)
    result = simulate(program, experiment, progress=progress, threads=threads, seed=run.seed)
    structural = prepared.parameters.of_role("structural")
    switches = [switch for switch in structural if switch.name in prepared.draws]
    names = [switch.name for switch in switches]
    by_name = {o.name: o for o in prepared.outputs}
    summary = summarise(result, prepared.outputs, run.periods, run.horizon)
    main = [by_name[name] for name in run.main]
    main = main or main_outputs(prepared.outputs, summary, whole(run.horizon))
    return Comparison(
        name=run.folder.resolve().name,
        question=run.question,
        result=result,
        outputs=prepared.outputs,
        scenarios=prepared.scenarios,
        policies=prepared.policies,
        horizon=run.horizon,
        periods=run.periods,
        draws=prepared.draws,
        parameters=prepared.parameters,
        changed=prepared.changed,
        model=model.name,
        claims=prepared.claims,
        summary=summary,
        series=series_table(result, prepared.outputs, clock),
        claims_table=judge(result, prepared.claims, by_name, run.horizon, prepared.draws, names),
        main=tuple(main),
        switches=by_switch(result, prepared.outputs, run.horizon, prepared.draws, switches),
        histories=_histories(prepared, program, end, parts, threads, provenance),
        time=clock,
        source=run.source,
        fitted=frozenset(read_posterior(prepared.parameters)) if provenance else frozenset(),
        provenance=provenance,
        noisy=draws_numbers(model),
    )


def _parts(prepared: Prepared, program) -> int:
    """Into how many parts histories divide a year: four where a fiscal year is asked for."""
    fiscal = [c for c in prepared.histories if c.options["reduction"] == "fiscal year"]
    if not fiscal:
        return 1
    start, step = program.initial_time, program.time_step
    steps = np.array([0.25, np.ceil(start * 4) / 4 - start]) / step
    if (np.abs(steps - np.round(steps)) > 1e-6).any():
        path = prepared.model.path
        raise RunError(
            "C701",
            f"{place(path.parent / 'checks.toml', fiscal[0].name)}, check {fiscal[0].name!r}: a "
            f"fiscal year begins on a quarter of a year, where the time step of {path.name} "
            f"({step:g} from {start:g}) does not come",
        )
    return 4


def _seen(prepared: Prepared, provenance) -> dict[str, tuple[float, float]]:
    """Of each series that a posterior was fitted to the first and the last time. A fit names
    measurements, and measurements.toml the series of each."""
    path = prepared.model.path.parent / "measurements.toml"
    if provenance is None or not path.exists():
        return {}
    rows = read_toml(path).get("measurement", [])
    series = {row.get("name"): row.get("series") for row in rows}
    found: dict[str, tuple[float, float]] = {}
    for one in provenance.series:
        name = series.get(one.name, one.name)
        first, last = found.get(name, (one.first, one.last))
        found[name] = min(first, one.first), max(last, one.last)
    return found


def _histories(
    prepared: Prepared, program, end: float, parts: int, threads, provenance=None
) -> tuple[History, ...]:
    """The baseline beside the observed series, as the history checks reduce them.

    A monthly series is shown by its calendar years.
    """
    if not prepared.histories:
        return ()
    seen = [prepared.observed[c.options["series"]] for c in prepared.histories]
    latest = max(series.time.max() for series in seen) + 1
    latest = min(max(latest, prepared.run.horizon[0]), end)
    # Quarters where a fiscal year has to be put together from whole intervals, else years.
    first = np.ceil(program.initial_time * parts) / parts
    times = np.arange(first, np.floor(latest) + 0.125, 1 / parts)
    points = {
        prepared.model.find(c.options["variable"]).name
        for c in prepared.histories
        if REDUCTIONS[c.options["reduction"]] is None
    }
    experiment = Experiment(
        prepared.scenarios[:1],
        prepared.policies[:1],
        prepared.draws,
        program.outputs,
        times,
        averaged=tuple(n for n in program.outputs if n not in points),
    )
    result = simulate(program, experiment, threads=threads, seed=prepared.run.seed)
    seen_of = _seen(prepared, provenance)
    histories = []
    for check, series in zip(prepared.histories, seen, strict=True):
        row = check.options
        variable = prepared.model.find(row["variable"]).name
        values = result[variable].to_numpy()[:, 0, 0, :]
        if "scale" in row:
            item = prepared.parameters.find(row["scale"])
            factor = prepared.draws.get(item.name, item.default)
            values = values * np.asarray(factor)
        # A fiscal year begins before its calendar year: the run's first has no data.
        shift = REDUCTIONS[row["reduction"]] or 0.0
        years = np.arange(np.ceil(times[0] - shift), np.floor(times[-1]))
        if variable in points:
            model_at = at_observations(times, values, years, "point")
        else:
            # Each saved value is the mean of its part of a year.
            ends = np.round((years + shift + 1 - times[0]) * parts).astype(int)
            model_at = np.stack([values[e - parts + 1 : e + 1].mean(axis=0) for e in ends])
        bands = np.quantile(model_at, (0.05, 0.5, 0.95), axis=-1)
        if row["reduction"] == "month":
            series = calendar_years(series)
            span = {"from": np.ceil(row["from"] - 1 / 12), "to": np.floor(row["to"])}
            row = dict(row) | {"reduction": "year", "window": 1} | span
        # Months that fill no year of the check are its own affair: a panel shows years.
        if len(series.between(row["from"], row["to"]).time):
            own = seen_of.get(series.name)
            # Nothing is known of what a posterior that no fit wrote has seen.
            fitted = provenance is not None and provenance.run != ""
            histories.append(History(check.name, dict(row), series, years, bands, own, fitted))
    return tuple(histories)
