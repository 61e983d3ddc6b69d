"""The README's answer, made from the recorded run: `python -m tests.answer` puts it there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- from runs/policies/summary.csv -->\n", "<!-- end -->\n"
SHOWN = (
    "strikes only",
    "strikes and supply",
    "precursor control only",
    "border only",
    "domestic enforcement only",
    "anti-corruption only",
    "treatment only",
    "harm reduction only",
    "demand only",
    "full combination",
    "full combination without strikes",
)

CHANGED = ("strikes only", "strikes and supply", "treatment only", "harm reduction only",
           "demand only", "full combination")  # fmt: skip


def _percent(value: float) -> str:
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _cell(row: pd.Series) -> str:
    low, high = _percent(row["change_p5"]), _percent(row["change_p95"])
    return f"{_percent(row['change_median'])} ({low} to {high})"


def _against_priors(table: pd.DataFrame) -> str:
    """Of some policies the median change from the priors, and from the posterior."""
    prior = pd.read_csv(ROOT / "runs/policies-from-priors/summary.csv")
    prior = prior[(prior["scenario"] == "reference") & (prior["period"] == "2026-2040")]
    prior = prior.set_index(["output", "policy"])["change_median"]
    parts = []
    for policy in CHANGED:
        key = ("overdose deaths per year", policy)
        after = table.loc[key, "change_median"]
        parts.append(f"{policy} {_percent(prior[key])} → {_percent(after)} %")
    return "; ".join(parts)


def answer() -> str:
    """A table of the policies' effects and two sentences on the claims."""
    table = pd.read_csv(ROOT / "runs/policies/summary.csv")
    table = table[(table["scenario"] == "reference") & (table["period"] == "2026-2040")]
    table = table.set_index(["output", "policy"])
    claims = pd.read_csv(ROOT / "runs/policies/claims.csv")
    draws = int(claims[claims["group"] == "scenario"]["draws"].max())
    # A claim that both runs judge counts as the main run has it.
    both = pd.concat([claims, pd.read_csv(ROOT / "runs/levers/claims.csv")])
    shares = both[both["group"] == "all"].drop_duplicates("id")["share"]
    columns = ("overdose deaths per year", "homicides per year", "cartel capacity")
    lines = [
        'Change from "history continues" over 2026 to 2040 in per cent, scenario "reference":',
        f"median of {draws:,} draws, in brackets the 5 % and 95 % points.",
        "",
        "| policy | overdose deaths | homicides in Mexico | cartel capacity |",
        "| --- | --- | --- | --- |",
    ]
    for policy in SHOWN:
        cells = [_cell(table.loc[(column, policy)]) for column in columns]
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Of the {len(shares)} claims of the debate, each written down before its levers were "
        "first run,",
        f"{(shares >= 0.95).sum()} hold in at least 95 % of draws, {(shares <= 0.05).sum()} in at "
        "most 5 %, and the rest lie between. The reports of",
        "`runs/policies` and `runs/levers` say which, overall and under each rival explanation.",
        "",
        *textwrap.wrap(
            "What the fit changed, median change of overdose deaths drawn from the priors "
            f"(`runs/policies-from-priors`) and from the posterior: {_against_priors(table)}.",
            110,
            break_on_hyphens=False,
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    path.write_text(before + BEGIN + answer() + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
