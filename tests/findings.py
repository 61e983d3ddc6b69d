"""docs/findings.md, made from the recorded runs: `python -m tests.findings` writes it.

Every number and every verdict comes from a table of a run; sentences that a change of the numbers
could make false are chosen by them.
"""

from __future__ import annotations

import functools
import json
import textwrap

import pandas as pd

from sdkit.claims import SURE
from sdkit.compare import STRONGER
from sdkit.model import read_model
from sdkit.parameters import read_parameters
from sdkit.switches import meaning
from tests.fits import MAIN
from tests.forecasts import of_2024
from tests.words import LARGE, ROOT, change, effects, percent, share, signed, task
from tests.words import table as table_of

PAGE = ROOT / "docs" / "findings.md"
DEATHS, HOMICIDES, CAPACITY = "overdose deaths per year", "homicides per year", "cartel capacity"
CORE_RUN = "core"
MIXTURE = "mixture"  # of the core's futures of supply, by their weights
WIDTH = "Where the two models disagree, the gap between them is the honest width of the answer."
DOSES = (
    "Doses differ: the core's are in units that one can picture (`models/core/policies.toml`), the "
    "large model's are strengths of its twenty levers (`models/fentanyl/README.md`)."
)
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
    "others-take-over": "Others take over: capacity of 2040 as without strikes",
    "strikes-split": "Strikes split groups into more factions",
    "campaign-raises-violence": "Going on with strikes means more homicides than ending them",
    "strikes-raise-violence": "Harder strikes raise homicides (mean of 2026 to 2030)",
    "flow-goes-on": "Under strikes alone overdose deaths hardly move",
    "demand-finds-supply": "Pressure on supply leaves no lasting mark on the price",
    "precursors-early": "Precursor control lowers deaths in five years",
    "precursors-last": "Precursor control still lowers deaths in 2040",
    "corruption-matters": "Pressing corruption lowers capacity",
    "border-price": "Scanners and dogs make the drug dearer",
    "border-deaths": "Scanners and dogs lower deaths",
    "domestic-law": "Enforcement against distributors lowers deaths",
    "demand-saves-lives": "Work on demand lowers deaths",
    "demand-undercuts": "Work on demand undercuts the cartels: capacity in 2040",
    "treatment-over-prison": "Treatment saves more lives than enforcement against distributors",
    "combination-beats-strikes": "The combination lowers deaths well below strikes alone",
    "combination-beats-demand": "The combination beats work on demand alone",
    "combination-beats-supply": "The combination beats strikes and supply control together",
    "combination-needs-strikes": "Strikes belong in the combination: fewer deaths",
    "combination-calms": "The combination lowers homicides",
    "closure-hurts-trade": "Closed borders cost a fifth of truck traffic",
    "arrests-backfire": "More arrests of members raise homicides",
    "user-arrests-save": "Arresting people who use lowers deaths",
}
# Why the core may bear out a claim more or less than the large model does: only how they are built.
_LEADERS = (
    "Where leaders matter, the core loses a share of its capacity with each further one; in the "
    "large model output loses discipline until successors have learned, within a year or so."
)
_CONTROLS = (
    "In the core suppliers offer more than capacity needs and replace a closed route in about a "
    "year; in the large model a control closes more, and pressure keeps it in force for years."
)
_INSPECTION = (
    "The core doubles inspection of all that crosses; in the large model scanners reach a part of "
    "the vehicles, and loads move to other modes."
)
_PROGRAMMES = (
    "The core has more places, outreach, naloxone and prevention; the large model also keeps "
    "people longer in treatment, widens the reach of all programmes and adds other harm reduction."
)
WHY = {
    ("strikes-weaken", "more"): _LEADERS,
    ("others-take-over", "less"): _LEADERS,
    ("combination-needs-strikes", "more"): _LEADERS,
    ("strikes-split", "more"): (
        "The core's prior reaches 0.8 new factions a removal, the large model's 0.4 beside more "
        "that split without strikes."
    ),
    ("campaign-raises-violence", "more"): (
        "Without a change of policy 2.5 leaders a year are removed in the core, the mean of 2024 "
        "to 2026, and 0.7 in the large model, so that to end it changes more."
    ),
    ("strikes-raise-violence", "more"): (
        "Of five removals planned a year about three come through in the core and two in the large "
        "model; and they meet fewer homicides, which fall in the core as old strife dies down and "
        "rise in the large model with membership."
    ),
    ("demand-finds-supply", "more"): (
        "The core's price cannot rise above that of the usual dose, and is not far from it where "
        "supply does not return, so that pressure adds little; in the large model supply returns, "
        "and pressure then makes it dearer."
    ),
    ("precursors-early", "less"): _CONTROLS,
    ("precursors-last", "less"): _CONTROLS,
    ("border-price", "more"): _INSPECTION,
    ("border-deaths", "more"): _INSPECTION,
    ("domestic-law", "more"): (
        "In the core enforcement raises cost, and less is sold; in the large model a dearer drug "
        "is hardly a safer one, and arrests of sellers can raise the risk nearby."
    ),
    ("demand-saves-lives", "less"): _PROGRAMMES,
    ("demand-undercuts", "less"): _PROGRAMMES,
    ("treatment-over-prison", "less"): (
        "The core's enforcement lowers deaths, since arrests of sellers raise no risk nearby, and "
        "its treatment has no better retention and no wider reach."
    ),
    ("combination-beats-demand", "less"): (
        "Precursor control does less in the core, where suppliers replace a closed route in about "
        "a year."
    ),
    ("combination-beats-demand", "more"): (
        "Enforcement against distributors only lowers deaths in the core; in the large model it "
        "can raise the risk nearby."
    ),
    ("combination-calms", "more"): (
        "Where removals calm, or less revenue means less strife, homicides can fall in the core; "
        "in the large model fear of removals fades, and fentanyl is a small part of what groups earn."
    ),
}
RANKS = ("fails", "out of reach", "open", "holds")


def thousand(value: float) -> str:
    return f"{abs(value) / 1000:,.0f} thousand"


def verdict(held: float, stronger: float = 0.0) -> str:
    """A claim's share of draws in a word; `stronger` is that under a larger dose, if it was run."""
    for least, word in ((SURE, "holds"), (0.67, "holds in most"), (0.33, "open"),
                        (0.05, "fails in most")):  # fmt: skip
        if held >= least:
            return word
    return "out of reach" if stronger > 1 - SURE else "fails"


def kind(word: str) -> str:
    """holds, open, fails or out of reach."""
    return word.removesuffix(" in most")


def read(run: str, name: str = "summary") -> pd.DataFrame:
    return pd.read_csv(ROOT / "runs" / run / f"{name}.csv")


def claims(*names: str, scenario: str = "") -> pd.DataFrame:
    """Claims by id, as the first of the runs has them: share of draws (over all scenarios, or of
    one), verdict, and share (`most`) under a larger dose (`dose`) where one was run.

    Empty if no run has been carried out.
    """
    columns = ["share", "margin", "most", "dose", "verdict"]
    found = [read(run, "claims") for run in names if (ROOT / "runs" / run / "claims.csv").exists()]
    if not found:
        return pd.DataFrame(columns=columns)
    whole = pd.concat(found)
    here = whole.group == "all"
    if scenario:
        here = (whole.group == "scenario") & (whole.setting == scenario)
    larger = whole.group == STRONGER
    own, more = (whole[at].drop_duplicates("id").set_index("id") for at in (here, larger))
    own = own.assign(most=more.share, dose=more.setting)
    own["verdict"] = [verdict(*pair) for pair in zip(own.share, own.most, strict=True)]
    return own[columns]


def large() -> pd.DataFrame:
    return claims("policies", "levers")


def core() -> pd.DataFrame:
    return claims(CORE_RUN, scenario=MIXTURE)


def both_models() -> dict[str, pd.DataFrame]:
    """Effects of policies by the run of each model: the large one, and the core if it was run."""
    named = {"policies": "reference", CORE_RUN: MIXTURE}
    found = {run: effects(run, scenario) for run, scenario in named.items()}
    return {run: table for run, table in found.items() if table is not None}


def policies_table(shown: dict[str, str]) -> list[str]:
    """Changes of some policies, called by the words that are given."""
    first, *other = both_models().values()
    rows = []
    for policy, words in shown.items():
        cells = [change(table.loc[(DEATHS, policy)]) for table in other]
        cells += [change(first.loc[(output, policy)]) for output in (DEATHS, HOMICIDES, CAPACITY)]
        rows.append(f"| {words} | {' | '.join(cells)} |")
    heads = ["overdose deaths: core", "large model"] if other else ["overdose deaths"]
    text = "Change from “history continues” over 2026 to 2040 in per cent, median and 5 to 95 % of the draws"
    if other:
        text += (
            "; the core by the mixture of its futures, homicides and capacity by the large model"
        )
    heads = " | ".join(["policy", *heads, "homicides in Mexico", "cartel capacity"])
    return [f"{text}:", "", *table_of(*rows, columns=heads)]


def packages_section() -> list[str]:
    two = len(both_models()) == 2
    return [
        *policies_table(PACKAGES),
        "",
        *([futures_sentence(), ""] if two else []),
        trend_sentence(),
        *(["", DOSES] if two else []),
    ]


def futures_sentence() -> str:
    """What the core's other scenarios say, in one line."""
    told = []
    for name in dict.fromkeys(read(CORE_RUN).scenario):
        if name != MIXTURE:
            own = effects(CORE_RUN, name).change_median[DEATHS]
            told.append(
                f"“{name}” {percent(own['demand only'])} and {percent(own['full combination'])} %"
            )
    return f"Deaths under each future of the core, by work on demand and by the full combination: {'; '.join(told)}."


def trend_sentence() -> str:
    own = effects("policies", "trend continues").change_median[DEATHS]
    told = [f"{words} {percent(own[policy])} %" for policy, words in PACKAGES.items()]
    return (
        "Where recent trends of prescribing, kits, scanning and their like run on, the large model says: "
        f"{'; '.join(told)}."
    )


def claims_section() -> list[str]:
    first, second = large(), core()
    both = len(second) > 0
    rows = []
    for name, words in CLAIMS.items():
        cells = [_cell(table, name) for table in ((first, second) if both else (first,))]
        rows.append(f"| {words} | {' | '.join(cells)} |")
    margins = pd.concat([first, second]).margin
    lines = [
        "| claim of the debate: share of draws | large model |" + " core |" * both,
        "| --- | --- |" + " --- |" * both,
        *rows,
        "",
        "A claim holds in a draw where the change is beyond the margin written down with it "
        f"({share(margins.min())} to {share(margins.max())}). All {len(first)} claims, written down before their "
        "levers were first run, are in `runs/policies/claims.csv` and `runs/levers/claims.csv`: "
        f"{counted(first)}.",
    ]
    if not both:
        return lines
    lines[-1] += (
        f" The core has {len(second)} of them (`runs/core/claims.csv`; here by its mixture of futures): {counted(second)}. Out of "
        "reach is what holds in at most 5 % at the usual dose and in more under a larger one, over all its scenarios: it has not failed."
    )
    return [*lines, "", "### Where the two disagree, and why", "", *disagreements(first, second)]


def _cell(table: pd.DataFrame, name: str) -> str:
    row = table.loc[name] if name in table.index else None
    return "–" if row is None else f"{share(row.share)}, {row.verdict}"


def counted(table: pd.DataFrame) -> str:
    low = (table.share <= 0.05).sum()
    return f"{(table.share >= SURE).sum()} hold in at least 95 % of draws, {low} in at most 5 %"


def apart(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, str]:
    """Claims on which two models disagree, with "more" or "less": what the second says of each."""
    found = {}
    for name in CLAIMS:
        if name in first.index and name in second.index:
            one, other = (RANKS.index(kind(t.verdict[name])) for t in (first, second))
            if one != other:
                found[name] = "more" if other > one else "less"
    return found


def disagreements(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    """A line for each reason, with the claims that it explains. KeyError where WHY has none."""
    lines: dict[str, list[str]] = {}
    for name, way in apart(first, second).items():
        here, there = first.loc[name], second.loc[name]
        if there.verdict == "out of reach" and pd.isna(here.most) and kind(here.verdict) == "fails":
            why = "Only the core was run at larger doses."
            shown = f"{_cell(second, name)}; {share(there.most)} under “{there.dose}”"
        else:
            why, shown = WHY[name, way], _cell(second, name)
        text = f"{CLAIMS[name]} (large model {_cell(first, name)}; core {shown})"
        lines.setdefault(why, []).append(text)
    told = [f"- {'; '.join(own)}. {why}" for why, own in lines.items()]
    return told or ["- On none of these claims."]


def thesis_section() -> list[str]:
    """Where the thesis holds and where it fails, by the shares of its claims."""
    parts = {
        "flow-goes-on": "under strikes alone deaths hardly move",
        "others-take-over": "strikes alone leave supply standing",
        "strikes-split": "strikes alone split groups",
        "strikes-raise-violence": "strikes alone raise violence",
        "demand-finds-supply": "demand draws supply back at the old price",
        "demand-saves-lives": "work on demand lowers deaths",
        "demand-undercuts": "work on demand undercuts the cartels",
        "combination-beats-demand": "only the combination helps: it beats work on demand alone",
        "combination-needs-strikes": "strikes belong in that combination",
    }
    models = [table for table in (large(), core()) if len(table)]
    lines: dict[str, list[str]] = {
        "It holds that": [], "It stays open whether": [], "It does not hold that": [],
        "The two disagree whether": [],
    }  # fmt: skip
    at = dict(zip(reversed(RANKS), (0, 1, 2, 2), strict=True))
    for name, text in parts.items():
        found = {at[kind(table.verdict[name])] for table in models}
        shown = ", ".join(share(table.share[name]) for table in models)
        list(lines.values())[found.pop() if len(found) == 1 else 3].append(f"{text} ({shown})")
    return [f"- {words} {'; '.join(own)}." for words, own in lines.items() if own]


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
    return read_parameters(read_model(ROOT / LARGE))


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
    return [
        text,
        "",
        "What lies outside the model would change more. From data to 2022 the large model put synthetic-opioid "
        f"deaths of 2024 {signed(of_2024(ROOT / 'runs' / MAIN))} off what came ([fits](fits.md)): most of the "
        "fall since 2023 is a disturbance of supply without a mechanism, so that the reference of "
        "all this rises again, and a fall that lasts would make every number of lives smaller. "
        "Effort has no known price, so that a portfolio within a limit is only as good as that "
        "assumption. That strikes make few new factions is an input (0.15 a removal, by strict "
        "counts), and so is the reach of programmes, which nobody has measured at scale.",
    ]


def lead() -> str:
    """The answer in one sentence, of the large model and of the core if that was run."""
    tables = both_models()
    draws = (read(run, "claims").query("group == 'scenario'").draws.max() for run in tables)
    counts = dict.fromkeys(f"{n:,}" for n in draws)

    def both(policy: str) -> str:
        own = [percent(table.loc[(DEATHS, policy)].change_median) for table in tables.values()]
        return f"{' and '.join(own)} %"

    who = "the large model says"
    if len(tables) == 2:
        who = "the large model and the core, one of ten stocks, say, in this order"
    return (
        f"Over {' and '.join(counts)} draws of uncertain values, fitted to what was observed, {who}: "
        f"strikes on leaders alone change overdose deaths of 2026 to 2040 by {both('strikes only')}; "
        f"work on demand by {both('demand only')}; everything at once by {both('full combination')}, and the same "
        f"without strikes by {both('full combination without strikes')}."
        + (f" {WIDTH}" if len(tables) == 2 else "")
    )


def page() -> str:
    parts = [
        "# What the models say about the debate",
        "",
        "For readers who decide. `python -m tests.findings` makes this page, and every number on it comes "
        "from a recorded run. It compares policies within models and is no evidence for or "
        "against any operation.",
        "",
        lead(),
        "",
        *packages_section(),
        "",
        "## The thesis",
        "",
        "Leadership strikes alone split groups, raise violence and leave supply standing, because demand "
        "draws new suppliers in; only pressure on the whole market, demand included, helps. Shares of "
        "draws in brackets" + (", the large model's first." if len(core()) else "."),
        "",
        *thesis_section(),
        "",
        *claims_section(),
        "",
        "## What it hinges on",
        "",
        "From here on, the large model alone. "
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
    return "\n".join(wrapped(line) for line in parts) + "\n"


def wrapped(line: str) -> str:
    if line.startswith(("|", "#")) or not line:
        return line
    indent = "  " if line.startswith("- ") else ""
    line = line.replace(" %", "\u00a0%")  # keeps the two together
    return textwrap.fill(line, 110, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False).replace("\u00a0", " ")  # fmt: skip


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
