"""Headline outputs of a model: outputs.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RunError
from .files import place, read_tables
from .model import Model
from .names import meant
from .time_units import TimeUnit, named_rate, parsed, plain, rates, time_unit, without_rate

REDUCTIONS = ("sum", "mean", "last")
BETTER = ("lower", "higher", "none")


@dataclass(frozen=True)
class Output:
    """One line of outputs.toml: a variable, how it is reduced over a period, and its unit."""

    name: str
    variable: str
    reduction: str
    unit: str
    better: str
    headline: bool
    description: str = ""

    @property
    def noun(self) -> str:
        """What a value over a period counts: without the "per year" of its name for a sum."""
        return without_rate(self.name) if self.reduction == "sum" else self.name

    def value(self, number: str) -> str:
        """A number over a period with its unit, which may be none."""
        return f"{number} {plain(self.unit)}".strip()

    def over(self, unit: TimeUnit, period: tuple[int, int]) -> str:
        """ "summed over 2026–2040", "averaged over days 30–60", "at the end of 2040"."""
        if self.reduction == "last":
            return f"at the end of {unit.at(period[1])}"
        how = "summed" if self.reduction == "sum" else "averaged"
        return f"{how} over {unit.span(*period)}"

    def running(self, unit: TimeUnit) -> str:
        """The unit of its course over time: an amount that is summed is one per unit of time."""
        return unit.rate(self.unit) if self.reduction == "sum" else plain(self.unit)

    @property
    def sign(self) -> float:
        """-1 where lower is better, 1 where higher, NaN where neither."""
        return {"lower": -1.0, "higher": 1.0, "none": np.nan}[self.better]


def one_of(path: Path, key: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is none of `allowed` (R441)."""
    if value not in allowed:
        where = place(path, value)
        raise RunError("R441", f"{where}: {key} = {value!r}{meant(value, allowed)}")


def read_outputs(path: Path, model: Model) -> dict[str, Output]:
    """outputs.toml by name. Raises R407 to R412, R432, S203 for an unknown variable."""
    required = {"name": str, "variable": str, "reduction": str, "unit": str, "better": str}
    outputs = {}
    clock = time_unit(model)
    for row in read_tables(path, "output", required, {"headline": bool, "description": str}):
        one_of(path, "reduction", row["reduction"], REDUCTIONS)
        one_of(path, "better", row["better"], BETTER)
        where = f"{place(path, 'variable', row['name'])}, output {row['name']!r}"
        variable = model.scalar(row["variable"], where)
        row["variable"] = variable.name
        if fault := _fault(row, variable.unit, clock):
            where = f"{place(path, 'unit', row['name'])}: {row['name']!r}"
            raise RunError("R432", f"{where} {fault}")
        outputs[row["name"]] = Output(
            **{"headline": False, "description": ""} | row,
        )
    kinds: dict[str, bool] = {}
    for output in outputs.values():
        last = output.reduction == "last"
        if kinds.setdefault(output.variable, last) != last:
            raise RunError(
                "R471",
                f"{place(path, output.name)}: {output.variable!r} has the reduction last here and "
                "another elsewhere; one variable is either averaged or read at an end",
            )
    return outputs


def _fault(row: Mapping[str, Any], unit: str, clock: TimeUnit) -> str:
    """How unit and name of an output contradict its variable, whose unit is `unit`; "" if not.

    Only what is certain: units that cannot be read, or are not given, contradict nothing.
    """
    own, stated = parsed(unit), parsed(row["unit"])
    said, known = named_rate(row["name"]), own is not None and plain(unit) != ""
    summed, variable = row["reduction"] == "sum", f"{row['variable']!r} is in {unit!r}"
    by = rates(own) if known else set()
    if summed and known and clock.one and by and clock.one not in by:
        return f"is a sum over {clock.many}; {variable}"
    if summed and said and clock.one and said != clock.one:
        return f"is a sum over {clock.many}, and its name says that it is a rate per {said}"
    if said and by and said not in by:
        return f"is a rate per {said} by its name; {variable}"
    if not known or stated is None or plain(row["unit"]) == "":
        return ""
    if not summed:
        amount = {base: power for base, power in own.items() if base not in by}
        if (rates(stated) and rates(stated) != by) or (by and stated == amount):
            return f"is in {row['unit']!r}, and not summed; {variable}"
    elif clock.one in by and clock.one in rates(stated) and own == stated:
        return f"is a sum over {clock.many} in {row['unit']!r}; {variable}"
    elif clock.one and not by and own == stated:
        return f"is a sum over {clock.many} in {row['unit']!r}, and {variable} at each time"
    return ""
