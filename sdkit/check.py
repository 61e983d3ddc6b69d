"""What a model must do: checks.toml, carried out.

A judge asks for its runs, waits while all runs of all checks are simulated together, and
then says what came of them: a generator that yields twice. docs/checks.md explains the kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from .checks import Check, read_checks
from .compare import read_claims
from .errors import DependencyError, RunError, SimulationError
from .experiment import read_settings
from .files import place
from .measurement import read_measurements
from .model import Model, read_model
from .names import meant
from .observations import Series, at_observations, log_errors, running_mean, same_unit, series_of
from .outputs import Output, read_outputs
from .parameters import Parameters, read_parameters
from .probe import ROUNDING, Runs
from .references import check_names
from .settings import time_settings
from .structure import simlin_faults, unit_faults
from .time_units import time_unit

# A swing counts as undamped when it is over 2 % of the level and the last one is not
# smaller than the first.
SWING = 0.02
# How many offenders a detail names.
NAMED = 4


@dataclass(frozen=True)
class Finding:
    """What came of one check."""

    check: Check
    passed: bool
    detail: str
    skipped: bool = False  # for want of an optional package


def check_model(
    path: Path, progress: Callable[[int, int], None] | None = None, plain: bool = False
) -> list[Finding]:
    """Carry out the checks.toml of a model, watching the variables of its headline outputs.

    `plain` runs plain Python, which is quicker where a few checks need a few runs.
    Raises what `read_checks` and `findings` raise.
    """
    model = read_model(path)
    check_names(model)
    parameters = read_parameters(model)
    checks = read_checks(model.path.parent / "checks.toml", model, parameters)
    if not checks:
        file = model.path.parent / "checks.toml"
        raise RunError("R408", f"{file} holds no [[check]] table")
    headlines = [o.variable for o in _read_files(model, parameters).values() if o.headline]
    return list(findings(checks, Runs(model, parameters, headlines, progress, plain)))


def _read_files(model: Model, parameters: Parameters) -> dict[str, Output]:
    """Read what stands beside a model, so that a fault that would stop a run stops a check too;
    its outputs."""
    folder = model.path.parent

    def read(name: str, reader: Callable, *arguments):
        return reader(folder / name, *arguments) if (folder / name).exists() else {}

    read("scenarios.toml", read_settings, "scenario", parameters)
    policies = read("policies.toml", read_settings, "policy", parameters)
    outputs = read("outputs.toml", read_outputs, model)
    if (folder / "claims.toml").exists():
        controls, _ = time_settings(model)
        span = controls["initial_time"], controls["final_time"]
        read_claims(folder / "claims.toml", outputs, tuple(policies), span)
    if (folder / "measurements.toml").exists():
        read_measurements(folder / "measurements.toml", model, parameters, series_of(model))
    return outputs


def findings(checks: Sequence[Check], runs: Runs) -> Iterator[Finding]:
    """The findings one by one, for a caller that may stop at the first that has not passed.

    Raises RunError C701 for a check that cannot be carried out, SimulationError where the
    default run fails (a check whose own run fails has not passed). A unit check that lacks
    pysimlin is skipped.
    """
    runs.data = series_of(runs.model)
    judges = [JUDGES[check.kind](check, runs) for check in checks]
    for judge in judges:
        next(judge)
    runs.simulate()
    for check, judge in zip(checks, judges, strict=True):
        skipped = False
        try:
            passed, detail = next(judge)
        except SimulationError as error:
            if error.code != "S202" or 0 in runs.failed:
                raise
            passed, detail = False, error.message
        except DependencyError as error:
            passed, skipped, detail = True, True, f"skipped: {error.message}"
        yield Finding(check, bool(passed), detail, skipped)


# -- windows of time -----------------------------------------------------------------------


def _refuse(check: Check, text: str):
    raise RunError("C701", f"check {check.name!r}: {text}")


def _inside(check: Check, times: np.ndarray, words: Sequence[str]) -> None:
    """C701 where one of these keys is a time that the run does not have."""
    for word in words:
        value = check.options.get(word)
        if value is not None and not times[0] - 1e-9 <= value <= times[-1] + 1e-9:
            span = f"goes from {times[0]:g} to {times[-1]:g}"
            _refuse(check, f"{word} = {value:g} lies outside the run, which {span}")


def _span(check: Check, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values at `at`, or between `from` and `to` (each may be open)."""
    row = check.options
    _inside(check, times, ("at", "from", "to"))
    if "at" in row:
        return np.array([np.interp(row["at"], times, values)])
    first, last = row.get("from", times[0]), row.get("to", times[-1])
    keep = (times >= first - 1e-9) & (times <= last + 1e-9)
    if not keep.any():
        _refuse(check, f"no time from {first:g} to {last:g}")
    return values[keep]


# -- the judges ------------------------------------------------------------------------------


def _bound(check: Check, runs: Runs):
    lane = runs.lane(*check.layers, keep=[check.options["variable"]])
    yield
    yield _held(check, runs, lane)


def _held(check: Check, runs: Runs, lane: int) -> tuple[bool, str]:
    row = check.options
    values = _span(check, runs.times, runs.get(row["variable"], lane))
    low, high = values.min(), values.max()
    slack = ROUNDING * max(abs(low), abs(high))
    passed = low >= row.get("min", -np.inf) - slack and high <= row.get("max", np.inf) + slack
    return passed, f"from {low:.4g} to {high:.4g}"


def _direction(check: Check, runs: Runs):
    row = check.options
    keep = [row["variable"]]
    one = runs.lane(*check.layers, keep=keep)
    other = runs.lane(check.base, row.get("against", {}), keep=keep)
    yield
    one, other = (
        _span(check, runs.times, runs.get(row["variable"], lane)).mean() for lane in (one, other)
    )
    gap = (one - other) / max(abs(other), 1e-300)
    wanted = 1 if row["direction"] == "higher" else -1
    passed = gap * wanted > max(row.get("margin", 0.0), ROUNDING)
    yield passed, f"{other:.4g} becomes {one:.4g}"


def _series(check: Check, runs: Runs) -> Series:
    row = check.options
    if row["series"] not in runs.data:
        where = f"{place(runs.model.path.parent / 'checks.toml', check.name)}, check {check.name!r}"
        near = meant(row["series"], runs.data)
        raise RunError("R411", f"{where}: no series {row['series']!r} in data{near}")
    if "scale" not in row:  # which may bring another unit
        unit = runs.model.find(row["variable"]).unit
        same_unit(runs.data[row["series"]], unit, f"check {check.name!r}")
    return runs.data[row["series"]].between(row["from"], row["to"])


def _history(check: Check, runs: Runs):
    row = check.options
    lane = runs.lane(*check.layers, keep=[row["variable"]])
    seen = _series(check, runs)
    yield
    values = runs.get(row["variable"], lane)
    if "scale" in row:
        values = values * runs.get(row["scale"], lane)
    modelled = at_observations(runs.times, values, seen.time, row["reduction"])
    window = row.get("window", 1)
    gaps = np.diff(seen.time)
    # Half a month is more than any rounding of a time.
    if row["reduction"] == "month" and window > 1 and len(gaps) and np.ptp(gaps) > 1 / 24:
        _refuse(check, "a month is missing, so there is no running mean")
    modelled, observed = running_mean(modelled, window), running_mean(seen.value, window)
    if not len(observed) or np.isnan(modelled).any():
        _refuse(check, "the run and the series share too few times")
    rms, worst = log_errors(modelled, observed)
    passed = rms <= row.get("rms_log_ratio", 0.35) and worst <= row.get("factor", 2.0)
    unit = {"month": "month", "point": "value"}.get(row["reduction"], "year")
    text = f"rms log ratio {rms:.3f}, worst {unit} off by {worst:.2f}, {len(observed)} values"
    yield passed, text


def _conservation(check: Check, runs: Runs):
    row = check.options
    if "draws" in row:
        lanes = runs.draws(row["draws"], row.get("seed", 1), *check.layers)
    else:
        lanes = [runs.lane(*check.layers)]
    gap, whole = runs.balance(check)
    yield
    worst = 0.0
    for lane in lanes:
        worst = max(worst, runs.largest(gap, lane) / max(runs.largest(whole, lane), 1e-300))
    of = f" in {len(lanes)} draws" if len(lanes) > 1 else ""
    yield worst <= row.get("tolerance", ROUNDING), f"largest gap {worst:.2g} of the whole{of}"


def _step(check: Check, runs: Runs):
    if not runs.headlines:
        _refuse(check, "outputs.toml names no headline output")
    lane = runs.lane(*check.layers, keep=runs.headlines)
    yield
    runs.need(lane)
    shift, name = runs.shifts([lane])[lane]
    yield shift <= check.options.get("max_shift", 0.005), f"largest shift {shift:.3%} ({name})"


def _units(check: Check, runs: Runs):
    yield
    faults = unit_faults(runs.model)
    try:
        faults = [*simlin_faults(runs.model), *faults]
    except DependencyError:
        if not faults:
            raise
    yield not faults, _shown(faults) or "no fault"


def _settles(check: Check, runs: Runs):
    """No variable swings about its path for ever; with `max_change` it comes to rest too."""
    row = check.options
    names = row.get("variables") or [row["variable"]]
    lane = runs.lane(*check.layers, keep=names)
    yield
    _inside(check, runs.times, ("from", "until"))
    last = row.get("until", runs.times[-1])
    # Turning points at the resolution of what is saved: rounding would add some at every step.
    every = runs.every
    keep = (runs.times >= row["from"] - 1e-9) & (runs.times <= last + 1e-9)
    notes, unit = [], time_unit(runs.model).word
    for name in names:
        values = runs.get(name, lane)
        swings = swings_of(values[::every][keep[::every]])
        if len(swings) >= 3 and swings[-1] > SWING and swings[-1] >= swings[0]:
            notes.append(f"{name} swings on: {swings[0]:.1%} to {swings[-1]:.1%} of its level")
        before, after = np.interp([max(last - 1, row["from"]), last], runs.times, values)
        change = abs(after - before) / max(abs(before), abs(after), 1e-300)
        if change > row.get("max_change", np.inf):
            notes.append(f"{name} still changes by {change:.2%} in a {unit}")
    yield not notes, "; ".join(notes) or "no swing that lasts"


def swings_of(values: np.ndarray) -> list[float]:
    """Sizes of the moves between turning points, relative to the mean magnitude.

    The move to the first turning point and the one after the last are left out: they may
    be trends.
    """
    steps = np.sign(np.diff(values))
    turns = [i + 1 for i in range(len(steps) - 1) if steps[i] * steps[i + 1] < 0]
    scale = max(np.abs(values).mean(), 1e-300)
    return [abs(values[b] - values[a]) / scale for a, b in pairwise(turns)]


def _extreme(check: Check, runs: Runs):
    row = check.options
    keep = [row["variable"]] if "variable" in row else []
    lane = runs.lane(*check.layers, runs.starts(row.get("start", {})), keep=keep)
    runs.everything = True
    yield
    passed, detail = _held(check, runs, lane) if keep else (True, "nothing negative, all finite")
    faults = list(runs.outside(lane).values())
    yield passed and not faults, _shown([detail, *faults] if keep else faults or [detail])


def _zero_stocks(check: Check, runs: Runs):
    spared = {runs.model.find(name).name for name in check.options.get("except", ())}
    lanes = {
        f"{name} = 0": runs.lane(*check.layers, runs.starts({name: 0.0}))
        for name in runs.stocks
        if name not in spared
    }
    runs.everything = True
    yield
    yield _sound(runs, lanes) if lanes else (False, "there is no stock to start at zero")


def _sound(runs: Runs, lanes: Mapping[str, int]) -> tuple[bool, str]:
    """Whether nothing in these labelled lanes is negative or not finite.

    Told first: lanes that failed, then those with the most variables at fault.
    """
    faults = {label: list(runs.outside(lane).values()) for label, lane in lanes.items()}
    faults = {label: found for label, found in faults.items() if found}
    order = sorted(faults, key=lambda n: (lanes[n] not in runs.failed, -len(faults[n])))
    told = [f"{label}: {_shown(faults[label], 1)}" for label in order]
    return not told, _shown(told) or f"nothing negative, all finite in {len(lanes)} runs"


def _shown(texts: Sequence[str], most: int = NAMED) -> str:
    rest = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + rest


def _inputs(check: Check, runs: Runs):
    row = check.options
    spared = {runs.parameters.find(name).name for name in row.get("except", ())}
    watched = runs.headlines if "max_shift" in row else ()
    if "max_shift" in row and not watched:
        _refuse(check, "outputs.toml names no headline output")
    lanes = {}
    for item in runs.parameters.of_role("fitted", "uncertain", "structural", "lever"):
        ends = item.limits if row.get("range", "bounds") == "bounds" else (item.low, item.high)
        if item.name not in spared and item.name not in runs.frozen:
            for value in ends:
                if value is not None:
                    lane = runs.lane(*check.layers, {item.name: value}, keep=watched)
                    lanes[f"{item.name} = {value:g}"] = lane
    runs.everything = True
    yield
    passed, detail = _sound(runs, lanes)
    if watched:
        found = runs.shifts(list(dict.fromkeys(lanes.values())))
        moved = {label: found[lane] for label, lane in lanes.items() if lane in found}
        moved = {label: m for label, m in moved.items() if m[0] > row["max_shift"]}
        order = sorted(moved, key=lambda label: -moved[label][0])
        told = [
            f"{n}: half the step moves {moved[n][1]} by {moved[n][0]:.2%}"
            if np.isfinite(moved[n][0])
            else f"{n}: with half the step, {moved[n][1]}"
            for n in order
        ]
        if told:
            passed, detail = False, "; ".join([detail] * (not passed) + [_shown(told)])
    yield passed, detail


def _draws(check: Check, runs: Runs):
    row = check.options
    spared = {runs.model.find(name).name for name in row.get("except", ())}
    policies = row.get("policies") or {"": {}}
    lanes = [
        lane
        for values in policies.values()
        for lane in runs.draws(row["n"], row.get("seed", 1), *check.layers, values)
    ]
    runs.everything = True
    yield
    left: dict[str, list[str]] = {}
    for lane in lanes:
        for name, text in runs.outside(lane, hard=True).items():
            if name not in spared or lane in runs.failed:
                left.setdefault(name, []).append(text)
    order = sorted(left, key=lambda name: -len(left[name]))
    told = [f"{left[name][0]} (in {len(left[name])} of {len(lanes)} runs)" for name in order]
    yield not told, _shown(told) or f"all inside their bounds in {len(lanes)} runs"


def _published(check: Check, runs: Runs):
    row = check.options
    names = [row[word] for word in ("variable", "per") if word in row]
    lane = runs.lane(*check.layers, keep=names)
    yield
    _inside(check, runs.times, ("relative_to",))
    values = [runs.get(name, lane) for name in names]
    parts = [_span(check, runs.times, one).mean() for one in values]
    if "relative_to" in row:
        bases = [np.interp(row["relative_to"], runs.times, one) for one in values]
        parts = [part / base if base else np.nan for part, base in zip(parts, bases, strict=True)]
    value = parts[0] if len(parts) == 1 else parts[0] / parts[1] if parts[1] else np.nan
    low, high = row.get("low", -np.inf), row.get("high", np.inf)
    if "value" in row:
        room = abs(row["value"]) * row["within"]
        low, high = max(low, row["value"] - room), min(high, row["value"] + room)
    yield low <= value <= high, f"{value:.4g}, published {low:.4g} to {high:.4g}"


def _turning_point(check: Check, runs: Runs):
    row = check.options
    lane = runs.lane(*check.layers, keep=[row["variable"]])
    pick = np.argmax if row["extremum"] == "max" else np.argmin

    def turn(years: np.ndarray, values: np.ndarray) -> float | None:
        """The year of the extremum; None at an edge, where nothing turns."""
        if not len(years) or np.isnan(values).any():
            _refuse(check, "the run or the series does not have these years")
        at = int(pick(values))
        return float(years[at]) if 0 < at < len(years) - 1 else None

    seen = row.get("at")
    if "series" in row:
        series = _series(check, runs)
        seen = turn(np.floor(series.time), series.value)
        if seen is None:
            _refuse(check, f"the series has no {row['extremum']} inside these years")
    yield
    years = np.arange(np.ceil(row["from"]), np.floor(row["to"]) + 1)
    values = at_observations(runs.times, runs.get(row["variable"], lane), years, "year")
    found = turn(years, values)
    if found is None:
        yield False, f"no {row['extremum']} inside these years; observed {seen:g}"
    else:
        yield abs(found - seen) <= row["within"], f"in {found:g}, observed in {seen:g}"


JUDGES = {
    "bound": _bound,
    "direction": _direction,
    "history": _history,
    "conservation": _conservation,
    "step": _step,
    "units": _units,
    "settles": _settles,
    "extreme": _extreme,
    "zero stocks": _zero_stocks,
    "inputs": _inputs,
    "draws": _draws,
    "published": _published,
    "turning point": _turning_point,
}
