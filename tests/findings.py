"""docs/findings.md, made from the recorded runs: `python -m tests.findings` writes it.

Every number and every verdict comes from a table of a run; sentences that a change of the numbers
could make false are chosen by them.
"""

from __future__ import annotations

import functools
import json
import textwrap
from pathlib import Path

import pandas as pd

from sdkit.model import read_model
from sdkit.parameters import read_parameters
from sdkit.switches import meaning
from tests.fits import MAIN, share, signed, task

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "findings.md"
DEATHS, HOMICIDES, CAPACITY = "overdose deaths per year", "homicides per year", "cartel capacity"
PACKAGES = {
    "strikes only": "strikes on leaders alone",
    "strikes and supply": "strikes with supply disruption",
    "demand only": "treatment and demand",
    "full combination": "the full combination",
    "full combination without strikes": "that combination without strikes",
}
# Claims by their id in claims.toml, in short words.
CLAIMS = {
    "strikes-weaken": "Strikes weaken the cartels: capacity to 2030",
    "others-take-over": "Others take over: capacity of 2040 as without strikes (it hardly fell)",
    "strikes-split": "Strikes split groups into more factions",
    "strikes-raise-violence": "Harder strikes raise homicides (mean of 2026 to 2030)",
    "flow-goes-on": "Under strikes alone overdose deaths hardly move",
    "demand-finds-supply": "Pressure on supply leaves no lasting mark on the price",
    "precursors-early": "Precursor control lowers deaths in five years",
    "precursors-last": "Precursor control still lowers deaths in 2040",
    "border-deaths": "Scanners and dogs lower deaths",
    "domestic-law": "Enforcement against distributors lowers deaths",
    "demand-saves-lives": "Treatment, harm reduction and communities lower deaths",
    "demand-undercuts": "Work on demand undercuts the cartels: capacity in 2040",
    "combination-beats-strikes": "The combination lowers deaths well below strikes alone",
    "combination-beats-demand": "The combination beats work on demand alone",
    "combination-needs-strikes": "Strikes belong in the combination: fewer deaths",
    "combination-calms": "The combination lowers homicides",
    "closure-hurts-trade": "Closed borders cost a fifth of truck traffic",
    "arrests-backfire": "More arrests of members raise homicides",
    "user-arrests-save": "Arresting people who use lowers deaths",
}


def percent(value: float) -> str:
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def thousand(value: float) -> str:
    return f"{abs(value) / 1000:,.0f} thousand"


def verdict(held: float) -> str:
    """A claim's share of draws in a word."""
    for least, word in ((0.95, "holds"), (0.67, "holds in most"), (0.33, "open"),
                        (0.05, "fails in most")):  # fmt: skip
        if held >= least:
            return word
    return "fails"


def read(run: str, name: str = "summary") -> pd.DataFrame:
    return pd.read_csv(ROOT / "runs" / run / f"{name}.csv")


def policies() -> pd.DataFrame:
    table = read("policies")
    table = table[(table.scenario == "reference") & (table.period == "2026-2040")]
    return table.set_index(["output", "policy"])


def packages_section(table: pd.DataFrame) -> list[str]:
    rows = []
    for policy, words in PACKAGES.items():
        cells = [
            f"{percent(row.change_median)} ({percent(row.change_p5)} to {percent(row.change_p95)})"
            for output in (DEATHS, HOMICIDES, CAPACITY)
            for row in [table.loc[(output, policy)]]
        ]
        rows.append(f"| {words} | {' | '.join(cells)} |")
    return [
        "Change against “history continues” over 2026 to 2040 in per cent, scenario “reference”, median and 5 to "
        "95 % of the draws:",
        "",
        "| package | overdose deaths | homicides in Mexico | cartel capacity |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        trend_sentence(),
    ]


def trend_sentence() -> str:
    whole = read("policies")
    own = whole[(whole.scenario == "trend continues") & (whole.period == "2026-2040")
                & (whole.output == DEATHS)].set_index("policy").change_median  # fmt: skip
    told = [f"{words} {percent(own[policy])} %" for policy, words in PACKAGES.items()]
    return f"Where recent trends of prescribing, kits, scanning and their like run on: {'; '.join(told)}."


def shares() -> pd.Series:
    both = pd.concat([read("policies", "claims"), read("levers", "claims")])
    return both[both.group == "all"].drop_duplicates("id").set_index("id").share


def margins() -> str:
    both = pd.concat([read("policies", "claims"), read("levers", "claims")])
    return f"{share(both.margin.min())} to {share(both.margin.max())}"


def claims_section() -> list[str]:
    held = shares()
    rows = [f"| {words} | {share(held[i])} | {verdict(held[i])} |" for i, words in CLAIMS.items()]
    return [
        "| claim of the debate, under both scenarios | share of draws | |",
        "| --- | --- | --- |",
        *rows,
        "",
        f"A claim holds in a draw where the change is beyond the margin written down with it ({margins()}). "
        f"All {len(held)} claims, written down before their levers were first run, are in "
        "`runs/policies/claims.csv` and `runs/levers/claims.csv`: "
        f"{(held >= 0.95).sum()} hold in at least 95 % of draws, {(held <= 0.05).sum()} in at most "
        "5 %.",
    ]


def thesis_section() -> list[str]:
    """Where the thesis holds and where it fails, by the shares of its claims."""
    held = shares()
    parts = {
        "under strikes alone deaths hardly move": held["flow-goes-on"],
        "strikes alone leave supply standing, since it hardly falls": held["others-take-over"],
        "strikes alone split groups": held["strikes-split"],
        "strikes alone raise violence": held["strikes-raise-violence"],
        "demand draws supply back at the old price": held["demand-finds-supply"],
        "work on demand lowers deaths": held["demand-saves-lives"],
        "work on demand undercuts the cartels": held["demand-undercuts"],
        "only the combination helps: it beats work on demand alone": held[
            "combination-beats-demand"
        ],
        "strikes belong in that combination": held["combination-needs-strikes"],
    }
    lines = []
    for words, low, high in (
        ("It holds that", 0.67, 1.01), ("It stays open whether", 0.33, 0.67),
        ("It does not hold that", -0.01, 0.33),
    ):  # fmt: skip
        own = [f"{text} ({share(value)})" for text, value in parts.items() if low <= value < high]
        if own:
            lines.append(f"- {words} {'; '.join(own)}.")
    return lines


def hinges_section() -> list[str]:
    table = read("sensitivity")
    table = table[(table.method == "sobol") & (table["at"] == "2026–2040")]
    lines = []
    for output, policy, words in (
        (DEATHS, "", "The level of deaths"),
        (DEATHS, "demand only", "What treatment and demand change in deaths"),
        (DEATHS, "full combination", "What the full combination changes in deaths"),
        (HOMICIDES, "full combination", "What it changes in homicides"),
    ):
        own = table[(table.output == output) & (table.policy.fillna("") == policy)]
        alone = own[own["index"] == "first"].set_index("input").value
        own = own[own["index"] == "total"].sort_values("value", ascending=False).head(4)
        told = [
            f"{row.input} ({row.value:.2f} ± {row.high - row.value:.2f}, alone "
            f"{max(alone.get(row.input, 0.0), 0.0):.2f})"
            for row in own.itertuples()
        ]
        lines.append(f"- {words}: {'; '.join(told)}.")
    return lines


def futures_section() -> list[str]:
    table = read("discover")
    lines = []
    for sentence, own in table.groupby("case", sort=False):
        rate = own.failures.iloc[0]
        text = f"- {sentence[0].upper() + sentence[1:]}, in {share(rate)} of the futures"
        first = own[own.box == 1]
        if len(first):
            limits = [limit(row) for row in first.itertuples()]
            text += (
                f"; in the box {' and '.join(limits)} in {share(first.density.iloc[0])}, with "
                f"{share(first.coverage.iloc[0])} of these failures"
            )
        lines.append(f"{text}.")
    return lines


@functools.cache
def _parameters():
    return read_parameters(read_model(ROOT / "models" / "fentanyl"))


def limit(row) -> str:
    if isinstance(row.settings, str) or pd.notna(row.settings):
        switch = _parameters().find(row.input)
        chosen = [meaning(switch, float(setting)) for setting in str(row.settings).split()]
        return f"{row.input} is “{' or '.join(chosen)}”"
    low, high = (f"{end:,.1f}" if abs(end) >= 1000 else f"{end:.3g}" for end in (row.low, row.high))
    if pd.isna(row.low):
        return f"{row.input} under {high}"
    if pd.isna(row.high):
        return f"{row.input} over {low}"
    return f"{row.input} from {low} to {high}"


def portfolio_section() -> list[str]:
    chosen = read("optimize")
    names = [c for c in chosen.columns if c.endswith(" only")]
    best = chosen[chosen.pick == f"best for {DEATHS}, mean"].iloc[0]
    used = [f"{name.removesuffix(' only')} at {share(best[name])}" for name in names
            if best[name] >= 0.05]  # fmt: skip
    parts = read("optimize", "attribution")
    parts = parts[parts.output == DEATHS].set_index("instrument")
    total = parts.loc["all together"]
    told = [
        f"{name.removesuffix(' only')} {signed(row.share).lstrip('+')}"
        for name, row in parts.drop("all together").sort_values("share", ascending=False).iterrows()
    ]
    pairs = read("optimize", "interactions")
    pairs = pairs[(pairs.output == DEATHS) & ((pairs.mean_low > 0) | (pairs.mean_high < 0))]
    name, most = limit_of("optimize")
    lines = [
        f"- Within {most:g} units of {name.removesuffix(' per year')} over the fifteen years, on average, "
        f"the fewest deaths come with {', '.join(used) or 'nothing'}.",
        f"- All instruments together change deaths by {signed_count(total['mean'])} over fifteen years. "
        f"Shapley values, means over all orders of adding them, split this change: {', '.join(told)}.",
    ]
    for kind in ("synergy", "overlap"):
        own = pairs[pairs.kind == kind]
        if len(own):
            row = own.loc[own["mean"].abs().idxmax()]
            one, other = (n.removesuffix(" only") for n in (row.one, row.other))
            words = "more" if kind == "synergy" else "less"
            lines.append(
                f"- {kind.capitalize()}: {one} and {other} together avert {thousand(row['mean'])} "
                f"deaths {words} than apart."
            )
    timing = read("optimize", "timing")
    timing = timing[timing.output == DEATHS].set_index("timing")
    told = [
        f"{words}: {signed_count(row['mean'])} ({signed_count(row.p5)} to {signed_count(row.p95)})"
        for words, name in (
            ("a year later", "1 year later"), ("in steps two years apart, health first", "health first"),
            ("supply first", "supply first"), ("strikes first and health last", "strikes first"),
        )
        for row in [timing.loc[name]]
    ]  # fmt: skip
    lines.append(
        f"- Deaths against the whole package at once (5 to 95 % of the draws): {'; '.join(told)}."
    )
    return lines


def limit_of(run: str) -> tuple[str, float]:
    limit = task(ROOT / "runs" / run)["optimize"]["limit"]
    return limit["output"], limit["most"]


def signed_count(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{thousand(value)}"


def change_section() -> list[str]:
    known = read("optimize", "information").set_index("input").value
    every, chance = known["(all at once)"], known["(chance, 95 %)"]
    best = known.drop(["(all at once)", "(chance, 95 %)"])
    worth = best[best > chance]
    if len(worth):
        text = (
            f"Of single uncertainties, settling “{worth.index[0]}” would change the choice of a "
            f"portfolio most (worth {worth.iloc[0]:,.0f} deaths over fifteen years; knowing "
            f"everything {every:,.0f})"
        )
    else:
        text = (
            "With effort at its mean price, no single uncertainty inside the model, if it were settled, would change the choice of "
            f"a portfolio beyond chance (knowing everything would be worth {every:,.0f} deaths over "
            "fifteen years)"
        )
    settings = read("optimize", "settings")
    other = (~settings.same).sum()
    text += f"; under {other} of {len(settings)} settings of switches another portfolio is best"
    if other:
        text += f", by {settings.lost.max():,.0f} deaths at most"
    text += "."
    forecasts = pd.read_csv(ROOT / "runs" / MAIN / "forecasts.csv")
    year = forecasts[
        (forecasts.measurement == "synthetic-opioid deaths") & (forecasts.time == 2024)
    ]
    return [
        text,
        "",
        "What lies outside the model would change more. From data to 2022 it put synthetic-opioid "
        f"deaths of 2024 {signed(year.error.iloc[0])} off what came ([fits](fits.md)): most of the "
        "fall since 2023 is a disturbance of supply without a mechanism, so that the reference of "
        "all this rises again, and a fall that lasts would make every number of lives smaller. "
        "Effort has no known price, so that a portfolio within a limit is only as good as that "
        "assumption. That strikes make few new factions is an input (0.15 a removal, by strict "
        "counts), and so is the reach of programmes, which nobody has measured at scale.",
    ]


def page() -> str:
    table = policies()
    strikes, demand = (table.loc[(DEATHS, p)] for p in ("strikes only", "demand only"))
    full, without = (
        table.loc[(DEATHS, p)] for p in ("full combination", "full combination without strikes")
    )
    draws = int(read("policies", "claims").query("group == 'scenario'").draws.max())
    lead = (
        f"Over {draws:,} draws of its uncertain values, fitted to data to 2025, the model says: "
        f"strikes on leaders alone change overdose deaths of 2026 to 2040 by {percent(strikes.change_median)} %; "
        f"treatment, harm reduction and communities by {percent(demand.change_median)} %; everything at once by "
        f"{percent(full.change_median)} %, and the same without strikes by {percent(without.change_median)} %."
    )
    parts = [
        "# What the model says about the debate",
        "",
        "For readers who decide. `python -m tests.findings` makes this page, and every number on it comes "
        "from a recorded run. It compares policies within one model and is no evidence for or "
        "against any operation.",
        "",
        lead,
        "",
        *packages_section(table),
        "",
        "## The thesis",
        "",
        "Leadership strikes alone split groups, raise violence and leave supply standing, because demand "
        "draws new suppliers in; only pressure on the whole market, demand included, helps. Shares of "
        "draws in brackets.",
        "",
        *thesis_section(),
        "",
        *claims_section(),
        "",
        "## What it hinges on",
        "",
        "Total indices of Sobol (`runs/sensitivity`): the share of the variance over the draws that is left if "
        "all else is known, with 95 % intervals; and the share that the input explains alone. A posterior draw "
        "belongs to an explanation of the fall, so that changing the explanation changes all fitted values: of "
        "its total the part beyond what it does alone is owed to both.",
        "",
        *hinges_section(),
        "",
        "## Where policies fail",
        "",
        "Boxes of few limits in which failures gather, measured on draws that did not find them "
        "(`runs/discover`).",
        "",
        *futures_section(),
        "",
        "## Which portfolio, and whose part it is",
        "",
        *portfolio_section(),
        "",
        "## What would change the answer",
        "",
        *change_section(),
    ]
    return "\n".join(_wrap(line) for line in parts) + "\n"


def _wrap(line: str) -> str:
    if line.startswith(("|", "#")) or not line:
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, 110, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def stale() -> list[str]:
    """Recorded runs whose inputs or tables are no longer those of their record.

    `code` tells which code made a run, and other code may make the same numbers. Of a fit only the
    tables count: it takes too long to be carried out for each word of its model.
    """
    from sdkit.files import fingerprint
    from sdkit.fit_run import read_fit
    from sdkit.run import prepare, read_run, task_of

    found = []
    for path in sorted((ROOT / "runs").glob("*/record.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        tables = {t.name: fingerprint(t) for t in sorted(path.parent.glob("*.csv"))}
        if task_of(path.parent) == "fit":
            now = record
            if "posterior.csv" in record:
                posterior = read_fit(path.parent).model / "posterior.csv"
                now = {**record, "posterior.csv": fingerprint(posterior)}
        else:
            now = json.loads(json.dumps(prepare(read_run(path.parent)).record))
        if {**record, "code": ""} != {**now, "tables": tables, "code": ""}:
            found.append(path.parent.name)
    return found


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
