"""What the recorded forecasts of both models were worth, for docs/fits.md and the README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sdkit.fit_words import RIVALS, pooled
from sdkit.forecast import NAIVE, WALK
from tests.words import share, short, signed, table, task

DEATHS = ("synthetic-opioid deaths", "any-opioid deaths")
# As the pages call other forecasts, in their order.
OTHERS = {**{name: name for name in NAIVE}, WALK: "random walk without drift", "pool": "pool"}
POOL = (
    f"The pool, a forecast of its own, is half the model's draws and half those of the {OTHERS[WALK]}, whose "
    "median stays at the last value."
)
# Lim et al., PNAS 2022: what the scenarios of the published model said.
SPAN = "SOURCE's scenarios spanned 543 to 842 thousand deaths over 2020 to 2032."


def origins(folders: list[Path]) -> list[Path]:
    """Those of some fits that end at an origin and forecast from there."""
    return [f for f in folders if "-to-" in f.name and (f / "forecasts.csv").exists()]


def read(folder: Path) -> pd.DataFrame:
    """forecasts.csv, with NaN for the scores of forecasts that were not made then."""
    found = pd.read_csv(folder / "forecasts.csv")
    missing = [score(name) for name in OTHERS if score(name) not in found]
    return found.reindex(columns=[*found.columns, *missing])


def every(folders: list[Path]) -> pd.DataFrame:
    return pd.concat([read(folder) for folder in folders])


def of_deaths(forecasts: pd.DataFrame) -> pd.DataFrame:
    return forecasts[forecasts.measurement.isin(DEATHS)]


def score(name: str) -> str:
    return f"crps of {name}"


def ratio(forecasts: pd.DataFrame, name: str) -> float:
    """The model's mean score as a multiple of another forecast's of the same observations."""
    return forecasts.crps.mean() / forecasts[score(name)].mean(skipna=False)


def of_2024(folder: Path) -> float:
    """Error of the forecast of synthetic-opioid deaths of 2024."""
    own = read(folder)
    return own[(own.measurement == DEATHS[0]) & (own.time == 2024)].error.iloc[0]


def series_rows(folders: list[Path]) -> list[str]:
    rows = []
    for folder in folders:
        for row in pooled(read(folder)).itertuples():
            scores = (short(getattr(row, RIVALS[name])) for name in OTHERS)
            rows.append(
                f"| `{folder.name}` | {row.measurement} | {row.observations} | {share(row.coverage)} | "
                f"{signed(row.error)} | **{short(row.crps)}** | {' | '.join(scores)} | {share(row.held_pool)} |"
            )
    return rows


def better(forecasts: pd.DataFrame) -> str:
    """In how many observations the model's score is better than each other's, in words."""
    known = [name for name in OTHERS if forecasts[score(name)].notna().all()]
    told = [f"{OTHERS[n]} in {share((forecasts.crps < forecasts[score(n)]).mean())}" for n in known]
    return ", ".join(told)


def forecast_section(folders: list[Path]) -> list[str]:
    whole = every(folders)
    return [
        "## Forecasts of years that a fit never saw",
        "",
        "Mean scores (CRPS, lower is better, in the unit of the series; for a single number it is the",
        "absolute error) of the years after each origin, all uncertain values and switches drawn",
        f"from their priors{_held(folders)}.",
        "",
        *table(
            *series_rows(folders),
            columns="run | series | observations | in the 90 % band | median error | model | "
            + " | ".join(OTHERS.values())
            + " | in the pool's band",
        ),
        "",
        f"Of all {len(whole)} observations forecast, {share(whole.inside.mean())} lie in the 90 % band. "
        f"The model's score is better than {better(whole)}.",
    ]


def _held(folders: list[Path]) -> str:
    """Constants that all forecasts of these runs hold at one value, in words."""
    held = [task(folder)["forecast"].get("set", {}).items() for folder in folders]
    told = [f"{name} = {value:g}" for name, value in sorted(set(held[0]).intersection(*held[1:]))]
    return f"; in all of them {', '.join(told)}" if told else ""


def deaths_section(folders: list[Path]) -> list[str]:
    """Mean scores of both series of deaths, by origin and of all origins."""
    parts = {f"{task(f)['until']:g}": of_deaths(read(f)) for f in folders}
    parts["all"] = pd.concat(parts.values())
    rows = []
    for origin, own in parts.items():
        cells = [short(own[score(name)].mean(skipna=False)) for name in OTHERS]
        rows.append(
            f"| {origin} | {len(own)} | {share(own.inside.mean())} | **{short(own.crps.mean())}** | "
            f"{' | '.join(cells)} |"
        )
    return [
        "## Deaths by origin",
        "",
        "Mean scores (CRPS, in deaths, lower is better) over both series of deaths."
        + (f" {POOL}" if parts["all"][score("pool")].notna().any() else ""),
        "",
        *table(
            *rows,
            columns="data to | observations | in the 90 % band | model | "
            + " | ".join(OTHERS.values()),
        ),
    ]


def core_marks_section(folders: list[Path]) -> list[str]:
    """What the forecasts of the core were to reach, and what they reach."""
    whole = every(folders)
    held, deaths = whole.inside.mean(), of_deaths(whole)
    last, walk = (ratio(deaths, name) for name in (NAIVE[0], WALK))
    marks = [
        ("90 % bands hold 80 to 97 % of what was forecast", 0.8 <= held <= 0.97,
         f"{share(held)} of {len(whole)}"),
        (f"mean CRPS of deaths at most 0.7 of that of the {NAIVE[0]}", last <= 0.7, f"{last:.2f}"),
        (f"and below that of the {OTHERS[WALK]}", walk < 1, f"{walk:.2f} of it"),
    ]  # fmt: skip
    for folder in folders:
        if task(folder)["until"] == 2022:
            error = of_2024(folder)
            mark = "synthetic-opioid deaths of 2024 from 2022 within +40 %"
            marks.append((mark, error <= 0.4, signed(error)))
    rows = (f"| {mark} | {result} | {'met' if met else 'missed'} |" for mark, met, result in marks)
    return [
        "## Marks and results",
        "",
        *table(*rows, columns="mark | result | "),
        "",
        "Structure and priors were chosen when all years to 2026 were known, so that these forecasts are better than",
        "an author at the origin could have made (`known` in each `run.toml`).",
    ]


def published_rows(folder: Path) -> list[str]:
    own = read(folder)
    rows = []
    for entry in task(folder)["forecast"]["published"]:
        column = f"published by {entry['name']}"
        for row in own[own[column].notna()].to_dict("records") if column in own else ():
            value = row[column]
            rows.append(
                f"| {row['measurement']}, {row['time']:g} | {row['observed']:,.0f} | "
                f"{row['median']:,.0f} ({row['low']:,.0f} to {row['high']:,.0f}) | {signed(row['error'])} | "
                f"{entry['name']} | {value:,.0f} | {signed(value / row['observed'] - 1)} | "
                f"{signed(row['last'] / row['observed'] - 1)} |"
            )
    return rows


def published_section(folder: Path) -> list[str]:
    entries = task(folder)["forecast"]["published"]
    lines = [f"- {e['name']}: {e['source'].split(', http')[0]}" for e in entries]
    return [
        f"## Beside what others published, `runs/{folder.name}`",
        "",
        *lines,
        "",
        "Each is a single run of one scenario, so that its error is its score (`run.toml` has the address)."
        + (f" {SPAN}" if any("SOURCE" in line for line in lines) else ""),
        "",
        *table(
            *published_rows(folder),
            columns="observation | observed | model: median, 5 to 95 % | error | published | value | error | "
            "error of the last value",
        ),
    ]


def compact(models: dict[str, list[Path]]) -> list[str]:
    """The README's: scores of synthetic-opioid deaths, and a line of summary a model."""
    beside = (NAIVE[0], WALK, "pool")
    rows, lines = [], []
    for model, folders in models.items():
        for folder in folders:
            for row in pooled(read(folder)).itertuples():
                if row.measurement == DEATHS[0]:
                    scores = (short(getattr(row, RIVALS[name])) for name in beside)
                    rows.append(
                        f"| {model}, {task(folder)['until']:g} | {signed(row.error)} | "
                        f"{share(row.coverage)} | **{short(row.crps)}** | {' | '.join(scores)} |"
                    )
        whole = every(folders)
        deaths = of_deaths(whole)
        told = [
            f"{of:.2f} of the {OTHERS[name]}'s"
            for name in (NAIVE[0], WALK)
            if not np.isnan(of := ratio(deaths, name))
        ]
        lines.append(
            f"- {model[0].upper() + model[1:]}: {share(whole.inside.mean())} of {len(whole)} observations of "
            f"all series lie in the bands; the mean CRPS of deaths is {' and '.join(told)}."
        )
    columns = (
        "model, data to | error of the median | in the 90 % band | CRPS: model | "
        + " | ".join(OTHERS[name] for name in beside)
    )
    return [*table(*rows, columns=columns), "", *lines]
