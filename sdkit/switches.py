"""The effects of policies under each setting of each structural switch, as a table.

A comparison is a mixture of rival explanations by their stated weights; here each setting is
taken alone: the draws that have it, while everything else varies as before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from .compare import QUANTILES, differences, floor_of, reduced, yearly
from .outputs import Output
from .parameters import Parameter

# Fewer draws than this say little of a setting.
ENOUGH = 16
# Rows of the tracked table, so that it stays under 150 kB; the whole one stands in out/.
_TRACKED = 1050

SWITCHES = (
    "scenario",
    "switch",
    "setting",
    "policy",
    "output",
    "draws",
    "change_median",
    "median_low",
    "median_high",
    "change_p5",
    "change_p95",
    "share_better",
    "note",
)


def settings(switch: Parameter) -> tuple[float, ...]:
    """The settings of a structural switch: the whole numbers of its range."""
    return tuple(np.arange(switch.low, switch.high + 1.0))


def meaning(switch: Parameter, setting: float) -> str:
    """What a setting means, from the switch's note ("0 this; 1 that"), or "setting 0"."""
    found = re.search(rf"(?:^|;)\s*{setting:g}[ :=]+([^;]+)", switch.note)
    return found[1].strip() if found else f"setting {setting:g}"


def median_interval(values: np.ndarray) -> np.ndarray:
    """(2, ...): the ends of a 99 % interval of the median over the last axis.

    Between order statistics, by the normal approximation of their ranks: it supposes nothing
    about the distribution. Points of a net spread more evenly than independent draws, so it is
    wide rather than narrow.
    """
    n = values.shape[-1]
    low = max(int(np.floor(n / 2 - 2.576 * np.sqrt(n) / 2)) - 1, 0)
    return np.moveaxis(np.sort(values, axis=-1)[..., [low, n - 1 - low]], -1, 0)


def by_switch(
    result: xr.Dataset,
    outputs: Sequence[Output],
    horizon: tuple[int, int],
    draws: pd.DataFrame,
    switches: Sequence[Parameter],
) -> pd.DataFrame:
    """The table switches.csv: one row a scenario, setting, policy (but the first) and output.

    `change_...` is the change relative to the first policy within each draw over the whole
    horizon (a share, no unit), as in summary.csv; `median_low` and `median_high` are the 99 %
    interval of its median, for want of more draws. The rows of each scenario begin with all
    its draws (switch "all", no setting). A scenario is never pooled with another: rows can be
    held against summary.csv. `note` speaks where a setting has fewer than ENOUGH draws; one
    that no draw has keeps its row, without numbers. Empty where no switch is drawn.
    """
    groups = [("all", "", np.ones(len(draws), bool))]
    for switch in switches:
        column = draws[switch.name].to_numpy()
        groups += [(switch.name, f"{s:g}", column == s) for s in settings(switch)]
    if len(groups) == 1:
        return pd.DataFrame(columns=SWITCHES)
    names = [[str(n) for n in result[d].values] for d in ("scenario", "policy")]
    rows = []
    for output in outputs:
        values = yearly(result, output)
        floor = floor_of(values)
        difference, ratio = differences(reduced(values, output, horizon), floor)
        for switch, setting, mask in groups:
            n = int(mask.sum())
            numbers = np.full((6, *ratio.shape[:2]), np.nan)
            if n:
                part = ratio[..., mask]
                numbers[[3, 0, 4]] = np.quantile(part, QUANTILES, axis=-1)
                numbers[1:3] = median_interval(part)
                if output.better != "none":
                    numbers[5] = (difference[..., mask] * output.sign > 0).mean(axis=-1)
            note = "" if n >= ENOUGH else f"fewer than {ENOUGH} draws" if n else "no draw"
            rows += [
                (scenario, switch, setting, policy, output.name, n, *numbers[:, i, j], note)
                for i, scenario in enumerate(names[0])
                for j, policy in enumerate(names[1])
                if j
            ]
    table = pd.DataFrame(rows, columns=SWITCHES)
    order = table.scenario.map({name: i for i, name in enumerate(names[0])})
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def main_outputs(outputs: Sequence[Output], summary: pd.DataFrame, period: str) -> list[Output]:
    """The first two outputs of which a direction is better, by the run's order.

    One whose effects over the whole horizon are those of the other, within 0.1 points (a
    cumulative count beside its flow), is passed over.
    """
    rows = summary[summary.period == period]
    found: list[tuple[Output, np.ndarray]] = []
    for output in (o for o in outputs if o.better != "none"):
        effect = rows[rows.output == output.name].change_median.to_numpy()
        if not any(np.allclose(effect, e, atol=1e-3, equal_nan=True) for _, e in found):
            found.append((output, effect))
    return [output for output, _ in found[:2]]


def tracked(table: pd.DataFrame, main: Sequence[Output]) -> pd.DataFrame:
    """The part of `by_switch` that is tracked: main outputs in the first scenario, unnamed.

    Of these outputs the first, and as many more as keep the file small.
    """
    table = table[table.scenario == table.scenario.iloc[0]] if len(table) else table
    kept = [table[table.output == output.name] for output in main]
    sizes = np.cumsum([len(part) for part in kept])
    kept = [part for i, part in enumerate(kept) if i == 0 or sizes[i] <= _TRACKED]
    table = pd.concat(kept, ignore_index=True) if kept else table.iloc[:0]
    return table.drop(columns="scenario")
