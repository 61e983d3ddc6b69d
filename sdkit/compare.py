"""Policies compared: from a simulated Dataset to tables. Nothing here reads or simulates.

All functions see values a unit of the model's time (a year, in a model of years): an array
(year, scenario, policy, draw) an output, the mean over each unit for flows and levels and the
value at its end for "last".
A policy's effect is a difference within a draw, summarised afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from .errors import RunError
from .experiment import Setting
from .files import integer, place, read_tables
from .names import meant
from .observations import Series
from .outputs import Output, one_of
from .parameters import Parameters
from .time_units import YEAR, TimeUnit

if TYPE_CHECKING:
    from .provenance import PosteriorProvenance

DIRECTIONS = ("lower", "higher", "unchanged")
STRONGER = "stronger"  # the group of a claim under its stronger policy
QUANTILES = (0.05, 0.5, 0.95)
# The last time, in the model's own unit, that a period may name.
LATEST = 999_999


@dataclass(frozen=True)
class Claim:
    """One claim as a comparison that a draw can bear out or not.

    `stronger` names a policy with a larger dose of the same lever, if there is one: a claim that
    holds there and not at the dose of `policy` is out of reach of that dose, and has not failed.
    """

    id: str
    claim: str
    policy: str
    comparator: str
    output: str
    period: str
    direction: str
    margin: float
    number: int
    stronger: str = ""


@dataclass(frozen=True)
class History:
    """One observed series with the baseline's 5 %, 50 % and 95 % (3, years) at its years.

    `seen` is the first and the last time of it that the posterior of the draws was fitted to, if
    it was; `fitted` says whether draws are from a posterior whose fit is known.
    """

    name: str
    options: Mapping
    series: Series
    years: np.ndarray
    bands: np.ndarray
    seen: tuple[float, float] | None = None
    fitted: bool = False

    @property
    def filled(self) -> np.ndarray:
        """Which values a fit has seen; without a fit those in the years of the check."""
        time, first, last = self.series.time, self.options["from"], self.options["to"]
        if not self.fitted:
            return (time >= first) & (time < last + 1)
        if self.seen is None:
            return np.zeros(len(time), bool)
        if self.options["reduction"] == "point":
            return (time >= self.seen[0]) & (time <= self.seen[1])
        return (np.floor(time) >= np.floor(self.seen[0])) & (time < np.floor(self.seen[1]) + 1)

    def __repr__(self) -> str:
        return f"History({self.name!r}: {self.series!r})"


@dataclass(frozen=True)
class Comparison:
    """All that came of comparing policies; what the report and the figures are made from.

    `source` says where draws come from: "priors", "posterior" or "defaults"; `fitted` are the
    constants that a posterior holds, `provenance` is what its fit had seen; `noisy` says
    whether the model draws random numbers.
    """

    name: str
    question: str
    model: str
    result: xr.Dataset
    outputs: tuple[Output, ...]
    scenarios: tuple[Setting, ...]
    policies: tuple[Setting, ...]
    horizon: tuple[int, int]
    periods: tuple[str, ...]
    draws: pd.DataFrame
    parameters: Parameters
    changed: Mapping[str, float]
    claims: tuple[Claim, ...]
    summary: pd.DataFrame
    series: pd.DataFrame
    claims_table: pd.DataFrame
    main: tuple[Output, ...]
    switches: pd.DataFrame
    histories: tuple[History, ...]
    time: TimeUnit = YEAR
    source: str = "priors"
    fitted: frozenset[str] = frozenset()
    provenance: PosteriorProvenance | None = None
    noisy: bool = False

    @property
    def once(self) -> bool:
        """Whether there is a single draw, so that nothing can be said of draws."""
        return len(self.draws) == 1

    @property
    def period(self) -> str:
        """The whole horizon in words."""
        return self.time.span(*self.horizon)

    def __repr__(self) -> str:
        counts = f"{len(self.scenarios)} scenarios x {len(self.policies)} policies"
        return f"Comparison({self.name}: {counts} x {len(self.draws)} draws of {self.model})"


def read_claims(
    path: Path,
    outputs: Mapping[str, Output],
    policies: Sequence[str],
    span: tuple[float, float] = (0, LATEST + 1),
) -> list[Claim]:
    """claims.toml in its order, perhaps none; `span` is the model's time. Raises R407 to R412,
    R443, R453 for a period that is none or lies outside the span."""
    required = {
        "id": str,
        "claim": str,
        "policy": str,
        "comparator": str,
        "output": str,
        "period": str,
        "direction": str,
        "margin": float,
        "from": int,
    }
    claims = []
    for row in read_tables(path, "claim", required, {"stronger": str}, blank=True):
        where = f"{place(path, row['id'])}, claim {row['id']!r}"
        one_of(path, "direction", row["direction"], DIRECTIONS)
        for key in ("policy", "comparator", "stronger"):
            if key in row and row[key] not in policies:
                near = meant(row[key], policies)
                raise RunError("R411", f"{where}: unknown policy {row[key]!r}{near}")
        if row["output"] not in outputs:
            near = meant(row["output"], outputs)
            raise RunError("R411", f"{where}: unknown output {row['output']!r}{near}")
        if not 0 <= row["margin"] < 1:
            raise RunError("R443", f"{where}: margin has to lie between 0 and 1")
        try:
            first, last = period_years(row["period"], (0, LATEST))
        except ValueError:
            raise RunError(
                "R453",
                f"{where}: period {row['period']!r} is no whole time such as 2030, no span such as "
                '2026-2030 and not "horizon"',
            ) from None
        if row["period"] != "horizon" and not (
            span[0] <= first and last + 1 <= span[1] + 1e-9  # a unit of time ends one later
        ):
            raise RunError(
                "R453",
                f"{where}: period {row['period']!r} lies outside the model's time, which goes from "
                f"{span[0]:g} to {span[1]:g}",
            )
        number = row.pop("from")
        claims.append(Claim(**row, number=number))
    return claims


def period_years(period: str, horizon: tuple[int, int]) -> tuple[int, int]:
    """First and last year of "2030", "2026-2030" or "horizon"; ValueError if it is neither."""
    if period == "horizon":
        return horizon
    first, _, last = period.partition("-")
    years = integer(first), integer(last or first)
    if not horizon[0] <= years[0] <= years[1] <= horizon[1]:
        raise ValueError(period)
    return years


def whole(horizon: tuple[int, int]) -> str:
    """The label of the whole horizon among the periods of a summary."""
    return f"{horizon[0]}-{horizon[1]}"


def standard_periods(horizon: tuple[int, int]) -> list[str]:
    """Every fifth year of the horizon, its last year, and the whole of it; of a long horizon
    every tenth, twentieth, fiftieth and so on, so that there are ten or fewer."""
    steps = (k * 10**power for power in range(7) for k in (5, 10, 20))
    step = next(s for s in steps if (horizon[1] - horizon[0]) // s < 9)
    years = {*range(-(-horizon[0] // step) * step, horizon[1] + 1, step), horizon[1]}
    return [*(str(year) for year in sorted(years)), whole(horizon)]


def yearly(result: xr.Dataset, output: Output) -> xr.DataArray:
    """(year, scenario, policy, draw): the value of each whole unit of time that `result` holds.

    `result` is saved at the edges of units, with flows and levels averaged between edges.
    """
    values = result[output.variable].isel(time=slice(1, None))
    years = np.round(values["time"].to_numpy()).astype(int) - 1
    return values.assign_coords(time=years).rename(time="year")


def reduced(values: xr.DataArray, output: Output, years: tuple[int, int]) -> np.ndarray:
    """(scenario, policy, draw): flows summed, levels averaged, or the value at the end."""
    span = values.sel(year=slice(*years)).to_numpy()
    if output.reduction == "sum":
        return span.mean(axis=0) * len(span)
    return span.mean(axis=0) if output.reduction == "mean" else span[-1]


def floor_of(values: xr.DataArray) -> float:
    """What counts as nothing: 1e-9 of the range of the output over all years and lanes."""
    return 1e-9 * float(np.ptp(values.to_numpy()))


def differences(level: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Differences from the first policy within each draw, and the same relative to it.

    All (scenario, policy, draw). Differences under `floor` are none; the relative one is NaN
    where the first policy's value is nothing.
    """
    difference = level - level[:, :1]
    difference[np.abs(difference) < floor] = 0.0
    base = np.abs(level[:, :1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference, np.where(base > floor, difference / base, np.nan)


SUMMARY = (
    "scenario",
    "policy",
    "output",
    "reduction",
    "unit",
    "period",
    "median",
    "p5",
    "p95",
    "diff_median",
    "diff_p5",
    "diff_p95",
    "share_better",
    "change_median",
    "change_p5",
    "change_p95",
)


def summarise(
    result: xr.Dataset,
    outputs: Sequence[Output],
    periods: Sequence[str],
    horizon: tuple[int, int],
) -> pd.DataFrame:
    """The table summary.csv: levels, and differences from the first policy within each draw.

    `share_better` is the share of draws in which the policy is better than the baseline by
    more than rounding; missing for the baseline and where neither direction is better.
    `change_...` is the same difference relative to the baseline of its own draw.
    """
    scenarios = [str(name) for name in result["scenario"].values]
    policies = [str(name) for name in result["policy"].values]
    rows = []
    for output in outputs:
        values = yearly(result, output)
        floor = floor_of(values)
        for period in periods:
            level = reduced(values, output, period_years(period, horizon))
            difference, ratio = differences(level, floor)
            at = np.quantile(level, QUANTILES, axis=-1)
            change = np.quantile(difference, QUANTILES, axis=-1)
            relative = np.quantile(ratio, QUANTILES, axis=-1)
            better = (difference * output.sign > 0).mean(axis=-1)
            for i, scenario in enumerate(scenarios):
                for j, policy in enumerate(policies):
                    numbers = [*at[[1, 0, 2], i, j], *change[[1, 0, 2], i, j]]
                    numbers = [0.0 if abs(v) < floor else float(v) for v in numbers]
                    share = float(better[i, j]) if j and output.better != "none" else np.nan
                    changes = [float(v) for v in relative[[1, 0, 2], i, j]]
                    head = (scenario, policy, output.name, output.reduction, output.unit, period)
                    rows.append((*head, *numbers, share, *changes))
    table = pd.DataFrame(rows, columns=SUMMARY)
    # Scenario, then policy, then output: what a person looks for first.
    order = {name: i for i, name in enumerate([*scenarios, *policies])}
    table["_"] = [(order[s], order[p]) for s, p in zip(table.scenario, table.policy, strict=True)]
    return table.sort_values("_", kind="stable").drop(columns="_").reset_index(drop=True)


CLAIMS = (
    "id",
    "from",
    "policy",
    "comparator",
    "output",
    "period",
    "direction",
    "margin",
    "group",
    "setting",
    "draws",
    "share",
    "ratio_median",
)


def holds(claim: Claim, policy: np.ndarray, comparator: np.ndarray, floor: float) -> np.ndarray:
    """Whether the claim holds, for each pair of values. Differences under `floor` are none."""
    gap = policy - comparator
    gap = np.where(np.abs(gap) < floor, 0.0, gap)
    margin = claim.margin * np.abs(comparator)
    if claim.direction == "unchanged":
        return np.abs(gap) <= margin
    return (gap < -margin) if claim.direction == "lower" else (gap > margin)


def judge(
    result: xr.Dataset,
    claims: Sequence[Claim],
    outputs: Mapping[str, Output],
    horizon: tuple[int, int],
    draws: pd.DataFrame,
    switches: Sequence[str],
) -> pd.DataFrame:
    """The table claims.csv: the share of draws in which each claim holds.

    Groups: all lanes, each scenario, each setting of each structural switch (all scenarios
    together), and all lanes under the stronger policy of a claim that names one. Claims about a
    policy, an output or a year that the run leaves out are left out here.
    """
    policies = [str(name) for name in result["policy"].values]
    scenarios = [str(name) for name in result["scenario"].values]
    rows = []
    for claim in claims:
        try:
            years = period_years(claim.period, horizon)
            pair = policies.index(claim.policy), policies.index(claim.comparator)
        except ValueError:
            continue
        output = outputs.get(claim.output)
        if output is None or output.variable not in result:
            continue
        values = yearly(result, output)
        level = reduced(values, output, years)
        one, other = level[:, pair[0]], level[:, pair[1]]
        held = holds(claim, one, other, floor_of(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(other == 0, np.nan, one / other)
        groups = [("all", "", slice(None), slice(None))]
        groups += [("scenario", name, i, slice(None)) for i, name in enumerate(scenarios)]
        for switch in switches:
            column = draws[switch].to_numpy()
            groups += [(switch, f"{s:g}", slice(None), column == s) for s in np.unique(column)]
        stronger = claim.stronger in policies
        if stronger:
            most = level[:, policies.index(claim.stronger)]
            more = holds(claim, most, other, floor_of(values))
        head = (
            claim.id, claim.number, claim.policy, claim.comparator, claim.output, claim.period,
            claim.direction, claim.margin,
        )  # fmt: skip
        for group, setting, i, mask in groups:
            part = held[i][..., mask]
            ratios = ratio[i][..., mask]
            middle = np.nan if np.isnan(ratios).all() else float(np.nanmedian(ratios))
            rows.append((*head, group, setting, part.size, float(part.mean()), middle))
        if stronger:
            with np.errstate(divide="ignore", invalid="ignore"):
                middle = float(np.nanmedian(np.where(other == 0, np.nan, most / other)))
            rows.append((*head, STRONGER, claim.stronger, more.size, float(more.mean()), middle))
    return pd.DataFrame(rows, columns=CLAIMS)


def series_table(
    result: xr.Dataset, outputs: Sequence[Output], unit: TimeUnit = YEAR
) -> pd.DataFrame:
    """5 %, 50 % and 95 % of each output by scenario, policy and unit of time (column `time`)."""
    frames = []
    for output in outputs:
        values = yearly(result, output)
        floor = floor_of(values)
        bands = np.quantile(values.to_numpy(), QUANTILES, axis=-1)
        bands = np.where(np.abs(bands) < floor, 0.0, bands)
        names = [values[d].values for d in ("scenario", "policy", "year")]
        index = pd.MultiIndex.from_product(names, names=["scenario", "policy", "time"])
        flat = np.moveaxis(bands, 1, -1).reshape(len(QUANTILES), -1)
        frame = pd.DataFrame(
            {
                "output": output.name, "unit": output.running(unit),
                "p5": flat[0], "median": flat[1], "p95": flat[2],
            },
            index=index,
        )  # fmt: skip
        frames.append(frame.reset_index())
    columns = ["output", "unit", "scenario", "policy", "time", "median", "p5", "p95"]
    return pd.concat(frames, ignore_index=True)[columns]
