"""The results of a search for portfolios: tables, figures and the page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .files import write_frame, write_json, write_text
from .findings import listed
from .optimize_plot import delay_sentence, write_portfolio_figures
from .optimize_run import label, over
from .optimize_study import Portfolios
from .origins import origin_of
from .plot import amount
from .report import page, weaknesses_of

_TOP = 12


def write_portfolios(found: Portfolios, stage: Path) -> None:
    """Every result into `stage`: the tracked tables, and the rest under out/."""
    out = stage / "out"
    for name, table in (
        ("summary.csv", found.chosen), ("attribution.csv", found.parts),
        ("timing.csv", found.timing), ("settings.csv", found.by_setting),
        ("information.csv", information(found)), ("interactions.csv", found.pairs),
    ):  # fmt: skip
        write_frame(stage / name, table)
    write_frame(out / "portfolios.csv", found.search.reset_index(names="portfolio"))
    write_frame(out / "candidates.csv", found.candidates.reset_index(names="portfolio"))
    write_json(stage / "record.json", found.prepared.record)
    run = found.prepared.run
    pairs = found.pairs[found.pairs.output == found.first.name]
    pairs = pairs.iloc[(-pairs["mean"].abs()).argsort(kind="stable")].head(_TOP)
    moved = found.by_setting
    text = page(
        "optimize.html",
        out / "figures",
        p=found,
        run=run,
        name=run.folder.resolve().name,
        first=found.first,
        columns=[c for c in found.chosen.columns if c.endswith((", mean", ", worst tenth"))],
        chosen=_picks(found),
        label=label,
        percentage=percentage,
        parts=found.parts.to_dict("records"),
        pairs=pairs.to_dict("records"),
        settings=moved.to_dict("records") if len(moved) else [],
        known=found.known.head(_TOP).to_dict("records"),
        timing=found.timing.to_dict("records"),
        pictures=write_portfolio_figures(found, out / "figures"),
        short=in_short(found),
        amount=amount,
        origin=origin_of(found.prepared),
        weaknesses=weaknesses_of(found.prepared.model.path.parent),
        record=found.prepared.record,
    )
    write_text(out / "report.html", text)


def _picks(found: Portfolios) -> list[dict]:
    """The chosen portfolios, each once with all that it was picked as."""
    return [
        own.iloc[0].to_dict() | {"picks": list(own.pick)}
        for _, own in found.chosen.groupby("portfolio", sort=False)
    ]


def information(found: Portfolios) -> pd.DataFrame:
    """The value of knowing: all inputs at once, chance, and the inputs worth most."""
    head = pd.DataFrame(
        {"input": ["(all at once)", "(chance, 95 %)"], "value": [found.perfect, found.chance]}
    )
    return pd.concat([head, found.known.head(2 * _TOP)], ignore_index=True)


def in_short(found: Portfolios) -> list[str]:
    """The search in sentences, made of its numbers."""
    first, unit = found.first.name, found.first.unit
    base = found.baseline[first]
    lines = [
        f"{len(found.search):,} portfolios of {len(found.instruments)} instruments were tried with "
        f"{found.wanted.search_draws} draws each, {len(found.candidates)} of the front and every "
        f"subset at full strength with {found.prepared.run.n:,}."
    ]
    if found.wanted.limit:
        name, most = found.wanted.limit
        own = next(o for o in found.prepared.outputs if o.name == name)
        how = over(own, found.prepared.run.horizon)
        lines.append(f"Limit: {name}, {how}, at most {amount(most)} on average over the draws.")
    pick = found.chosen[found.chosen.pick == f"best for {first}, mean"].iloc[0]
    names = [name for name in found.instruments if pick[name] >= 0.05]
    used = [f"{label(name)} at {percentage(pick[name])}" for name in names]
    change = pick[f"{first}, mean"] / base - 1 if base else float("nan")
    lines.append(
        f"Best for {first} on average: {listed(used) if used else 'nothing at all'}; it changes "
        f"{first} by {_signed(change)}."
    )
    least = found.chosen[found.chosen.pick == f"least regret, {first}"].iloc[0]
    if least.portfolio == pick.portfolio:
        lines.append(
            f"It is also the one of least regret: on average {amount(least.regret_mean)} {unit} "
            f"behind the best of each draw, {amount(least.regret_90)} or more in a tenth."
        )
    else:
        lines.append(
            f"Least regret has portfolio {least.portfolio}: on average "
            f"{amount(least.regret_mean)} {unit} behind the best of each draw."
        )
    parts = found.parts[(found.parts.output == first) & (found.parts.instrument != "all together")]
    ranked = parts.sort_values("share", ascending=False)
    total = found.parts[
        (found.parts.output == first) & (found.parts.instrument == "all together")
    ].iloc[0]
    told = [f"{label(r.instrument)} {percentage(r.share)}" for r in ranked.itertuples()]
    lines.append(
        f"Of what all instruments together change in {first} ({amount(total['mean'])} {unit}) "
        f"each has, by Shapley's value: {', '.join(told)}."
    )
    pairs = found.pairs[(found.pairs.output == first)]
    sure = pairs[(pairs.mean_low > 0) | (pairs.mean_high < 0)]
    for kind in ("overlap", "synergy"):
        own = sure[sure.kind == kind]
        if len(own):
            row = own.loc[own["mean"].abs().idxmax()]
            lines.append(
                f"Strongest {kind}: {label(row.one)} and {label(row.other)}, "
                f"{amount(row['mean'])} {unit} beyond what they change apart."
            )
    other = found.by_setting[~found.by_setting.same] if len(found.by_setting) else found.by_setting
    if len(other):
        worst = other.loc[other.lost_share.idxmax()]
        lines.append(
            f"Another portfolio would be best under {len(other)} of {len(found.by_setting)} "
            f"settings of switches; keeping to the usual one loses at most {worst.lost_share:.1%} "
            f"of {first} there ({worst.switch}: {worst.means})."
        )
    elif len(found.by_setting):
        lines.append("The same portfolio is best under every setting of every switch.")
    worth = found.known[found.known.value > found.chance]
    if len(worth):
        row = worth.iloc[0]
        lines.append(
            f"The one uncertainty whose settling would change the choice most is {row.input}, "
            f"worth {amount(row.value)} {unit}; knowing everything would be worth "
            f"{amount(found.perfect)}."
        )
    else:
        lines.append(
            "No single uncertainty, if it were settled, would change the choice beyond what chance "
            f"gives; knowing everything would be worth {amount(found.perfect)} {unit}."
        )
    delay = delay_sentence(found)
    if delay:
        lines.append(f"{delay}.")
    return lines


def percentage(share: float) -> str:
    """Whole per cent, with a minus that is one."""
    return "–" if share != share else f"{round(100 * share):d} %".replace("-", "−")


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
