"""Numbers and tables as the generated pages show them; what is not a number is a dash."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent
CORE, LARGE = "models/core", "models/fentanyl"
PERIOD = "2026-2040"


def task(folder: Path) -> dict:
    return tomllib.loads((folder / "run.toml").read_text(encoding="utf-8"))


def _shown(value: float, form: str) -> str:
    return "–" if np.isnan(value) else f"{value:{form}}".replace("-", "−")


def share(value: float) -> str:
    return _shown(value, ".0%").replace("%", " %")


def signed(value: float) -> str:
    return _shown(value, "+.0%").replace("%", " %")


def decimals(value: float, n: int) -> str:
    return _shown(value, f".{n}f")


def percent(value: float) -> str:
    """A change in per cent, without the sign of per cent."""
    text = _shown(100 * value, "+.1f")
    return "0.0" if text in ("+0.0", "−0.0") else text


def short(value: float) -> str:
    """Three digits."""
    return _shown(float(f"{value:.3g}"), ",.0f") if value >= 100 else _shown(value, ".3g")


def change(row: pd.Series) -> str:
    """A policy's change: median, and 5 to 95 % of the draws."""
    low, high = percent(row.change_p5), percent(row.change_p95)
    return f"{percent(row.change_median)} ({low} to {high})"


def table(*rows: str, columns: str) -> list[str]:
    return [f"| {columns} |", "| --- " * (columns.count("|") + 1) + "|", *rows]


def effects(run: str, scenario: str) -> pd.DataFrame | None:
    """Rows of a run's summary over all years by (output, policy); None if there is no such run."""
    path = ROOT / "runs" / run / "summary.csv"
    if not path.exists():
        return None
    whole = pd.read_csv(path)
    whole = whole[(whole.scenario == scenario) & (whole.period == PERIOD)]
    return whole.set_index(["output", "policy"])
