"""docs/fits.md, made from the recorded fits: `python -m tests.fits` writes it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pandas as pd

from sdkit.fit_report import pooled
from sdkit.forecast import NAIVE

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "fits.md"
HEAD = """# Fits

What `sdkit run` found in the recorded fits of `models/fentanyl`; made from their tables by
`python -m tests.fits`, so that no number stands here that is in no run. The reports
(`runs/fit-to-2022/out/report.html` and so on, made by the run) say more.
"""


def runs() -> list[Path]:
    """Run folders that ask for a fit of the fentanyl model and have been carried out."""
    found = []
    for path in sorted((ROOT / "runs").glob("*/run.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        fits = data["do"] == "fit" and data["model"] == "models/fentanyl"
        if fits and (path.parent / "summary.csv").exists():
            found.append(path.parent)
    return found


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def signed(value: float) -> str:
    return f"{100 * value:+.0f} %".replace("-", "−")


def short(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def found_section(folders: list[Path]) -> list[str]:
    lines = [
        "## Convergence",
        "",
        "| run | parameters | of them of the model | R-hat at most | effective draws at least | narrowed below 90 % of the prior |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for folder in folders:
        table = pd.read_csv(folder / "summary.csv")
        mine = table[table["of"] == "model"]
        lines.append(
            f"| `runs/{folder.name}` | {len(table)} | {len(mine)} | {table.r_hat.max():.4f} | "
            f"{table.effective.min():,.0f} | {(mine.narrowing <= 0.9).sum()} |"
        )
    return lines


def series_section(folder: Path) -> list[str]:
    table = pd.read_csv(folder / "measurements.csv")
    pooled_share = (table.coverage * table.observations).sum() / table.observations.sum()
    lines = [
        f"## Model and series, `runs/{folder.name}`",
        "",
        f"The 90 % bands hold {share(pooled_share)} of {table.observations.sum()} observations.",
        "",
        "| series | years | observations | median error | largest | in the 90 % band | left-over autocorrelation |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in table.itertuples():
        left = f"{row.autocorrelation:.2f}".replace("-", "−")
        lines.append(
            f"| {row.measurement} | {int(row._3)}–{int(row.to)} | {row.observations} | "
            f"{share(row.median_error)} | {share(row.largest_error)} | {share(row.coverage)} | {left} |"
        )
    return lines


def forecast_section(folders: list[Path]) -> list[str]:
    lines = [
        "## Forecasts of years that a fit never saw",
        "",
        "Mean scores (CRPS, lower is better, in the unit of the series; for a single number it is the",
        "absolute error) of one to three years from each origin, all uncertain values and switches drawn",
        "from their priors.",
        "",
        "| run | series | observations | in the 90 % band | median error | model | "
        + " | ".join(NAIVE)
        + " |",
        "| --- " * (6 + len(NAIVE)) + "|",
    ]
    every = []
    for folder in folders:
        if not (folder / "forecasts.csv").exists():
            continue
        table = pd.read_csv(folder / "forecasts.csv")
        every.append(table)
        for row in pooled(table).itertuples():
            naive = (short(getattr(row, f"crps_{i}")) for i in range(len(NAIVE)))
            lines.append(
                f"| `{folder.name}` | {row.measurement} | {row.observations} | {share(row.coverage)} | "
                f"{signed(row.error)} | **{short(row.crps)}** | {' | '.join(naive)} |"
            )
    if every:
        table = pd.concat(every)
        better = [(table.crps < table[f"crps of {name}"]).mean() for name in NAIVE]
        lines += [
            "",
            f"Of all {len(table)} observations forecast, {share(table.inside.mean())} lie in the 90 % band. "
            "The model's score is better than "
            + ", ".join(f"{name} in {share(b)}" for name, b in zip(NAIVE, better, strict=True))
            + ".",
        ]
    return lines


def recover_section(folder: Path) -> list[str]:
    table = pd.read_csv(folder / "summary.csv")
    held = table["rank"].between(0.05, 0.95)
    outside = ", ".join(table.parameter[~held]) or "none"
    return [
        f"## Known values, `runs/{folder.name}`",
        "",
        f"Fitted to series that the model made itself, {held.sum()} of {len(table)} known values lie in the "
        f"middle 90 % of the posterior. Outside: {outside}. They are the model's own values and no draws from",
        "the priors, so that more than nine in ten are expected where the series say little: this shows that",
        "the fit finds what it should, and not yet that its widths are right.",
    ]


def page() -> str:
    """The text of docs/fits.md."""
    folders = runs()
    parts = [found_section(folders)]
    recovered = [f for f in folders if "rank" in pd.read_csv(f / "summary.csv", nrows=1)]
    plain = [f for f in folders if f not in recovered]
    parts.append(series_section(plain[-1]))
    parts.append(forecast_section(plain))
    parts += [recover_section(folder) for folder in recovered]
    return HEAD + "\n" + "\n\n".join("\n".join(part) for part in parts) + "\n"


def stale() -> list[str]:
    """Recorded fits whose files are no longer those that they were made from."""
    from sdkit.fit_run import prepare_fit, read_fit

    found = []
    for folder in runs():
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        if record != json.loads(json.dumps(prepare_fit(read_fit(folder)).record)):
            found.append(folder.name)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
