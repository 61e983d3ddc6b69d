"""Headline outputs of a model: outputs.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import RunError
from .files import place, read_tables
from .model import Model
from .names import meant

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
    def sign(self) -> float:
        """-1 where lower is better, 1 where higher, NaN where neither."""
        return {"lower": -1.0, "higher": 1.0, "none": np.nan}[self.better]


def one_of(path: Path, key: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is none of `allowed` (R441)."""
    if value not in allowed:
        where = place(path, value)
        raise RunError("R441", f"{where}: {key} = {value!r}{meant(value, allowed)}")


def read_outputs(path: Path, model: Model) -> dict[str, Output]:
    """outputs.toml by name. Raises R407 to R412, S203 for an unknown variable."""
    required = {"name": str, "variable": str, "reduction": str, "unit": str, "better": str}
    outputs = {}
    for row in read_tables(path, "output", required, {"headline": bool, "description": str}):
        one_of(path, "reduction", row["reduction"], REDUCTIONS)
        one_of(path, "better", row["better"], BETTER)
        where = f"{place(path, 'variable', row['name'])}, output {row['name']!r}"
        row["variable"] = model.scalar(row["variable"], where).name
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
