"""docs/fits.md and the README's scores, made from the recorded fits: `python -m tests.fits` writes
both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from sdkit.fit_pool import ENOUGH, ranks_table
from tests.forecasts import (
    better,
    compact,
    core_marks_section,
    deaths_section,
    every,
    forecast_section,
    of_2024,
    origins,
    published_section,
)
from tests.words import CORE, LARGE, ROOT, decimals, share, signed, table, task

PAGE, README = ROOT / "docs" / "fits.md", ROOT / "README.md"
BEGIN, END = "<!-- from the forecasts of runs/fit-to-... -->\n", "<!-- end of forecasts -->\n"
MAIN, ALL, KNOWN, CORE_ALL = "fit-to-2022", "fit", "fit-with-supply-known", "core-fit"
HEAD = """# Fits

What `sdkit run` found in the recorded fits of two models, the core of ten stocks (`models/core`) and
the large one (`models/fentanyl`); made from their tables by `python -m tests.fits`. The reports
(`runs/fit-to-2022/out/report.html` and so on, made by the run) say more.
"""


def runs() -> list[Path]:
    """Run folders that ask for a fit and have been carried out."""
    found = []
    for path in sorted((ROOT / "runs").glob("*/run.toml")):
        data = task(path.parent)
        if data["do"] == "fit" and (path.parent / "summary.csv").exists():
            found.append(path.parent)
    return found


def of(model: str) -> list[Path]:
    return [folder for folder in runs() if task(folder)["model"] == model]


def found_section(folders: list[Path]) -> list[str]:
    rows = []
    for folder in folders:
        whole = pd.read_csv(folder / "summary.csv")
        parts = whole.groupby("fit", sort=False) if "fit" in whole else [("", whole)]
        for label, part in parts:
            mine = part[part["of"] == "model"]
            one = mine.remark.fillna("").str.contains("one-sided").sum()
            rows.append(
                f"| `runs/{folder.name}`{f', {label}' if label else ''} | {len(part)} | {len(mine)} | "
                f"{part.r_hat.max():.4f} | {part.effective.min():,.0f} | "
                f"{(mine.narrowing <= 0.9).sum()} | {one} |"
            )
    return [
        "## Convergence",
        "",
        "Narrowed: the posterior's standard deviation is under 90 % of the prior's. One-sided: the series",
        "exclude the 5 % or the 95 % point of the prior, and not both, by the profile of the density.",
        "",
        *table(
            *rows,
            columns="run | parameters | of them of the model | R-hat at most | effective draws at least | "
            "narrowed | one-sided",
        ),
    ]


def series_section(folder: Path) -> list[str]:
    seen = pd.read_csv(folder / "measurements.csv")
    held = (seen.coverage * seen.observations).sum() / seen.observations.sum()
    rows = [
        f"| {row.measurement} | {int(row._3)}–{int(row.to)} | {row.observations} | "
        f"{share(row.median_error)} | {share(row.largest_error)} | {share(row.coverage)} | "
        f"{decimals(row.autocorrelation, 2)} |"
        for row in seen.itertuples()
    ]
    return [
        f"## Model and series, `runs/{folder.name}`",
        "",
        f"The 90 % bands hold {share(held)} of {seen.observations.sum()} observations.",
        "",
        *table(
            *rows,
            columns="series | years | observations | median error | largest | in the 90 % band | "
            "left-over autocorrelation",
        ),
    ]


def known_section(folder: Path) -> list[str]:
    rows = [
        f"| {row.measurement}, {row.time:g} | {row.observed:,.0f} | {row.median:,.0f} | {row.low:,.0f} to "
        f"{row.high:,.0f} | {signed(row.error)} |"
        for row in pd.read_csv(folder / "forecasts.csv").itertuples()
    ]
    return [
        f"## Had purity and seizures been known, `runs/{folder.name}`",
        "",
        "The fit to 2022, with powder purity, pills and border seizures of later years, and without deaths",
        "after 2022: what supply explains of the fall if the model is right.",
        "",
        *table(*rows, columns="observation | observed | median | 5 to 95 % | error"),
    ]


def settings_section(folder: Path) -> list[str]:
    fits = pd.read_csv(folder / "fits.csv")
    seen = pd.read_csv(folder / "measurements.csv").set_index(["fit", "measurement"])
    rows = [
        f"| {row.fit} | {share(row.weight)} | {decimals(round(row.log_evidence) + 0.0, 0)} | {share(row.coverage)} | "
        + " | ".join(
            share(seen.loc[(row.fit, name), "median_error"])
            for name in ("synthetic-opioid deaths", "border seizures", "powder purity", "homicides")
        )
        + " |"
        for row in fits.itertuples()
    ]
    left = pd.read_csv(folder / "without.csv")
    last, since = f"{left.time[0]:g}", f"{task(folder)['since']:g}"
    causes = [
        f"| {cause} | "
        + " | ".join(
            f"{signed(r.change_50)} ({signed(r.change_5)} to {signed(r.change_95)})"
            for r in own.itertuples()
        )
        + " |"
        for cause, own in left.groupby("without", sort=False)
    ]
    return [
        f"## All years, under each explanation of the fall, `runs/{folder.name}`",
        "",
        "Weights are those of before the fit, and draws are pooled by them: a turn of one series cannot",
        "settle which explanation is right. Log evidence is below that of the best, by a Gaussian, and known",
        "to a few units.",
        "",
        *table(
            *rows,
            columns="explanation | weight | log evidence | in the 90 % band | synthetic-opioid deaths: "
            "median error | border seizures | powder purity | homicides",
        ),
        "",
        f"The ratio of {left.measurement[0]} of {last} to those of {since}, and by how much it would be higher or",
        "lower if one cause were taken away and all else stayed (median, 5 to 95 % of the draws). The range over",
        "explanations is the answer; no single split is.",
        "",
        f"This is no effect on the number of deaths in {last}. A cause that began before {since}, such as the control",
        f"of precursors or naloxone, moves the deaths of {since} as well. Without such a cause the ratio can be lower",
        f"because {since} had more deaths.",
        "",
        *table(*causes, columns=f"ratio of {last} to {since} without | " + " | ".join(fits.fit)),
        *_levels(left, last, list(fits.fit)),
    ]


def _levels(left: pd.DataFrame, last: str, fits: list[str]) -> list[str]:
    """The same for the last year's number itself, where the recorded table has it."""
    if "level_50" not in left:
        return []
    rows = [
        f"| {cause} | "
        + " | ".join(
            f"{signed(r.level_50)} ({signed(r.level_5)} to {signed(r.level_95)})"
            for r in own.itertuples()
        )
        + " |"
        for cause, own in left.groupby("without", sort=False)
    ]
    head = f"{left.measurement[0]} of {last} without"
    return [
        "",
        f"The number of {last} itself:",
        "",
        *table(*rows, columns=" | ".join([head, *fits])),
    ]


def densities_section(folders: list[Path]) -> list[str]:
    """What one year ahead says of each switch, over origins whose next year is 2022 at most."""
    early = [f for f in folders if task(f)["until"] < 2022]
    whole = pd.concat([pd.read_csv(f / "densities.csv") for f in early])
    whole = whole[whole.measurement.isin(["synthetic-opioid deaths", "homicides"])]
    whole["variance"] = whole.error**2
    total = whole.groupby(["switch", "setting"], sort=False)[["log_density", "variance"]].sum()
    weights = _weights()
    rows = []
    for switch in total.index.get_level_values(0).unique():
        own, prior = total.loc[switch], weights[switch]
        log = own.log_density
        after = np.exp(log - log.max()) * prior
        cells = (f"{s:g}: {share(prior[s])} → {share(after[s] / after.sum())}" for s in log.index)
        best, worst = log.idxmax(), log.idxmin()
        error = np.sqrt(own.variance[best] + own.variance[worst])
        gap = f"{decimals(log[best] - log[worst], 1)} ± {error:.1f}"
        rows.append(f"| {switch} | {'; '.join(cells)} | {gap} |")
    years = ", ".join(f"{task(f)['until'] + 1:g}" for f in early)
    return [
        "## What one year ahead says of the switches",
        "",
        f"Densities of synthetic-opioid deaths and homicides of {years}, each forecast from the end of the",
        "year before, summed; weights before and after, and how far the best setting is above the worst, with",
        "the standard error of that difference by the number of draws. Fitted values are those of the usual",
        "settings, so that a setting that needs other values looks worse than it is. A difference under two",
        "of its errors says nothing.",
        "",
        *table(*rows, columns="switch | weights before → after | log density, best less worst"),
    ]


def _weights() -> dict[str, pd.Series]:
    rows = pd.read_csv(ROOT / LARGE / "parameters.csv")
    rows = rows[rows.role == "structural"]
    found = {}
    for row in rows.itertuples():
        own = np.array([float(w) for w in row.weights.split(";")])
        index = np.arange(float(row.low), float(row.high) + 1)
        found[row.name] = pd.Series(own / own.sum(), index=index)
    return found


def recover_section(folders: list[Path]) -> list[str]:
    lines = ["## Known values", ""]
    for folder in folders:
        whole = pd.read_csv(folder / "summary.csv")
        count = whole.groupby("parameter").size().iloc[0]
        held, half = whole["rank"].between(0.05, 0.95), whole["rank"].between(0.25, 0.75)
        lines.append(
            f"`runs/{folder.name}` (`{task(folder)['model']}`): {'once' if count == 1 else f'{count} times'} "
            "values were drawn from the priors, series made with them, and the fit had to find them. Of "
            f"{len(whole)} values {share(held.mean())} lie in the middle nine tenths of their posterior, "
            f"{share(half.mean())} in the middle half."
        )
        if count >= ENOUGH:
            ranks = ranks_table(whole)
            lines += [
                "",
                *table(
                    *(
                        f"| {r.parameter} | {share(r.in_half)} | {share(r.in_nine_tenths)} | {r.p:.2g} |"
                        for r in ranks.itertuples()
                    ),
                    columns="parameter | in the middle half | in nine tenths | p of even ranks",
                ),
            ]
        lines.append("")
    return lines[:-1]


def marks_section(main: Path, known: Path, folders: list[Path]) -> list[str]:
    """What the fits of the large model were to reach, and what they reach."""
    seen = pd.read_csv(main / "measurements.csv").set_index("measurement").median_error
    carried = ["synthetic-opioid deaths", "any-opioid deaths", "homicides"]
    heroin = "heroin deaths without synthetic opioids"
    rest = seen.drop([*carried, heroin])
    whole = every(folders)
    told = pd.read_csv(known / "forecasts.csv")
    inside = pd.read_csv(main / "measurements.csv")
    held = (inside.coverage * inside.observations).sum() / inside.observations.sum()
    over = ", ".join(f"{name} {share(e)}" for name, e in rest.items() if e >= 0.2) or "none"
    rows = [
        f"| median error of deaths and homicides under 10 % | {share(seen[carried].max())} at most |",
        f"| of heroin deaths under 30 % | {share(seen[heroin])} |",
        f"| of all other series under 20 % | above it: {over} |",
        f"| 90 % bands hold 80 to 97 % of what was fitted | {share(held)} |",
        f"| and of what was forecast | {share(whole.inside.mean())} of {len(whole)} |",
        f"| scores better than each simple forecast | better than {better(whole)} |",
        f"| synthetic-opioid deaths of 2024 from 2022 within 35 % | {signed(of_2024(main))} |",
        "| deaths within 20 %, and in the bands, had supply been known | "
        f"{share(told.error.abs().max())} off at most, {told.inside.sum()} of {len(told)} in the bands |",
    ]
    return [
        "## Targets and results",
        "",
        *table(*rows, columns="target | result"),
        "",
        f"Seizures by month scatter: a mean of thirteen months of the series itself misses its months by {share(_scatter())}",
        "at the median. The mark leaves next to nothing for a model that has one disturbance a year.",
        "",
        "Forecasts fail on supply. Growth of capacity until the origin goes on where it pays, and nothing that was",
        "known at the origin says when it ends; where purity and seizures of the later years are known, most of the error",
        "goes. Four things were tried, none of them chosen by years after 2022: a wide prior for the end of COVID",
        "stress, yearly disturbances of supply in the observed years too (decision 9), the later series of supply",
        f"(`runs/{known.name}`), and disturbances that go first against what does not pay. The first two improved",
        "forecasts from 2016 to 2020; the last tames the upper tail of capacity, and made forecasts from 2018 a little",
        "better and those from 2020 a little worse. Deaths after 2022 come near with the third alone, which knows more",
        "than a forecast may.",
    ]


def _scatter() -> float:
    """Median relative distance of monthly border seizures to 2022 from their own running mean."""
    from sdkit.observations import read_series, running_mean

    series = read_series(ROOT / "models/fentanyl/data")["us_border_fentanyl_seized_lb_monthly"]
    value = series.value[series.time < 2023]
    smooth = np.exp(running_mean(np.log(value), 13))
    return float(np.median(np.abs(smooth / value[6:-6] - 1)))


def core_chapter() -> list[list[str]]:
    """The sections on the core, of those runs that have been carried out."""
    folders = of(CORE)
    ahead = origins(folders)
    parts = [core_marks_section(ahead)] if ahead else []
    parts += [found_section(folders)] if folders else []
    parts += [series_section(folder) for folder in folders if folder.name == CORE_ALL]
    parts += [deaths_section(ahead), forecast_section(ahead)] if ahead else []
    return parts + _published(ahead)


def large_chapter() -> list[list[str]]:
    folders = of(LARGE)
    by_name = {folder.name: folder for folder in folders}
    ahead = origins(folders)
    parts = [marks_section(by_name[MAIN], by_name[KNOWN], ahead), found_section(folders)]
    parts += [series_section(by_name[MAIN]), deaths_section(ahead), forecast_section(ahead)]
    parts += [*_published(ahead), known_section(by_name[KNOWN]), settings_section(by_name[ALL])]
    return [*parts, densities_section(ahead)]


def _published(folders: list[Path]) -> list[list[str]]:
    return [published_section(f) for f in folders if task(f)["forecast"].get("published")]


def page() -> str:
    """The text of docs/fits.md."""
    text = [HEAD.rstrip("\n")]
    for title, parts in (("The core", core_chapter()), ("The large model", large_chapter())):
        if parts:
            text += [f"## {title}", *("#" + "\n".join(part) for part in parts)]
    recovered = [folder for folder in runs() if task(folder).get("recover")]
    return "\n\n".join([*text, "\n".join(recover_section(recovered))]) + "\n"


def scores() -> str:
    """The README's table of forecasts."""
    models = {"core": origins(of(CORE)), "large model": origins(of(LARGE))}
    lines = [
        "Forecasts of synthetic-opioid deaths in the years after the last data (CRPS: mean score in deaths, lower",
        "is better; the pool is half the model's draws and half the random walk's):",
        "",
        *compact({model: folders for model, folders in models.items() if folders}),
    ]
    return "\n".join(lines) + "\n"


def readme() -> str:
    """The README with that table in its place."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + scores() + END + rest.split(END)[1]


def stale() -> list[str]:
    """Recorded fits whose files are no longer those that they were made from.

    `code` tells which code made a fit, and other code may make the same numbers.
    """
    from sdkit.fit_run import prepare_fit, read_fit

    found = []
    for folder in runs():
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        now = json.loads(json.dumps(prepare_fit(read_fit(folder)).record))
        if any(record.get(key) != value for key, value in now.items() if key != "code"):
            found.append(folder.name)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
