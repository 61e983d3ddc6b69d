"""The results of a search for portfolios: tables, figures and the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .files import write_frame, write_json, write_text
from .findings import listed
from .optimize_plot import delay_sentence, interaction, write_portfolio_figures
from .optimize_run import label
from .optimize_study import Portfolios
from .origins import origin_of
from .plot import amount
from .report import page, weaknesses_of
from .time_units import plain

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
        columns=_columns(found),
        period=found.clock.span(*run.horizon),
        names={
            o.name: o.noun + (f" ({plain(o.unit)})" if plain(o.unit) else "")
            for o in found.prepared.outputs
        },
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
    said = {}
    for output in found.outputs:
        name, what = output.name, output.noun
        said[f"best for {name}, mean"] = f"best for {what}, mean of the draws"
        said[f"best for {name}, worst tenth"] = f"best for {what}, worst tenth of the draws"
        said[f"least regret, {name}"] = f"least regret in {what}"
    return [
        own.iloc[0].to_dict() | {"picks": [said[pick] for pick in own.pick]}
        for _, own in found.chosen.groupby("portfolio", sort=False)
    ]


def _columns(found: Portfolios) -> list[tuple[str, str]]:
    """The columns of outputs in the table of portfolios, each with what it says in words."""
    horizon, told = found.prepared.run.horizon, []
    for output in found.prepared.outputs:
        what = f"{output.noun}, {output.over(found.clock, horizon)}"
        unit = f" ({plain(output.unit)})" if plain(output.unit) else ""
        for column, words in (("mean", "mean of the draws"),
                              ("worst tenth", "mean of the worst tenth of the draws")):  # fmt: skip
            if f"{output.name}, {column}" in found.chosen:
                told.append((f"{output.name}, {column}", f"{what}{unit}: {words}"))
    return told


def information(found: Portfolios) -> pd.DataFrame:
    """The value of knowing: all inputs at once, chance, and the inputs worth most."""
    head = pd.DataFrame(
        {"input": ["(all at once)", "(chance, 95 %)"], "value": [found.perfect, found.chance]}
    )
    return pd.concat([head, found.known.head(2 * _TOP)], ignore_index=True)


def in_short(found: Portfolios) -> list[str]:
    """The search in sentences, made of its numbers."""
    output, horizon = found.first, found.prepared.run.horizon
    first, unit = output.name, plain(output.unit)
    what = output.noun

    def told(value: float) -> str:
        return f"{amount(value)} {unit}".strip()

    pick = found.chosen[found.chosen.pick == f"best for {first}, mean"].iloc[0]
    names = [name for name in found.instruments if pick[name] >= 0.05]
    used = [f"{label(name)} at {percentage(pick[name])}" for name in names]
    change = pick[f"{first}, mean"] - found.baseline[first]
    lines = [
        f"Best for {what}, {output.over(found.clock, horizon)}, by the mean of the draws: "
        f"{listed(used) if used else 'nothing at all'}. It changes {what} by "
        f"{_relative(change, found.baseline[first], told)} against "
        f"“{found.prepared.policies[0].name}”."
    ]
    if found.wanted.limit:
        name, most = found.wanted.limit
        own = next(o for o in found.prepared.outputs if o.name == name)
        lines.append(
            f"Limit: {own.noun}, {own.over(found.clock, horizon)}, at most "
            f"{amount(most)} {plain(own.unit)}".rstrip()
            + " by the mean of the draws."
        )
    least = found.chosen[found.chosen.pick == f"least regret, {first}"].iloc[0]
    behind = (
        f"the least regret: on average {told(least.regret_mean)} behind the best portfolio of each "
        f"draw, and {told(least.regret_90)} or more in a tenth of the draws."
    )
    same = least.portfolio == pick.portfolio
    which = "The same portfolio" if same else f"Portfolio {least.portfolio}"
    lines.append(f"{which} has {behind}")
    lines.append(_attribution(found, told))
    lines += [s for kind in ("overlap", "synergy") if (s := interaction(found, kind))]
    lines += _under_settings(found, told)
    worth = found.known[found.known.value > found.chance]
    if len(worth):
        row = worth.iloc[0]
        lines.append(
            f"Knowing {row.input} before the choice would improve {what} most, by "
            f"{told(row.value)} on average; knowing everything, by {told(found.perfect)}."
        )
    else:
        lines.append(
            f"Knowing any single input before the choice would not improve {what} beyond chance; "
            f"knowing everything would improve it by {told(found.perfect)} on average."
        )
    delay = delay_sentence(found)
    if delay:
        lines.append(f"{delay}.")
    lines.append(
        f"{len(found.search):,} portfolios of {len(found.instruments)} instruments were tried with "
        f"{found.wanted.search_draws} draws each, {len(found.candidates)} of the front and every "
        f"subset at full strength with {found.prepared.run.n:,}."
    )
    return lines


def _relative(change: float, base: float, told: Callable[[float], str]) -> str:
    """A change as a share of the size of the baseline; in the unit where the baseline is zero."""
    if base:
        return _signed(change / abs(base))
    return told(change)


def _attribution(found: Portfolios, told: Callable[[float], str]) -> str:
    """Each instrument's part of the full package, the most helpful first, as in the figure."""
    output = found.first
    parts = found.parts[found.parts.output == output.name]
    total = parts[parts.instrument == "all together"].iloc[0]
    parts = parts[parts.instrument != "all together"]
    parts = parts.iloc[(-output.sign * parts["mean"]).argsort(kind="stable")]
    shares = parts["share"].notna().all()
    each = [
        f"{label(r.instrument)} {percentage(r.share) if shares else told(r.mean)}"
        for r in parts.itertuples()
    ]
    open_ = total.mean_low <= 0 <= total.mean_high
    why = " Shares are left out: the draws do not tell the total from zero." if open_ else ""
    return (
        f"All instruments together change {output.noun} by {told(total['mean'])}. Shapley "
        f"values split this change: {', '.join(each)}.{why}"
    )


def _under_settings(found: Portfolios, told: Callable[[float], str]) -> list[str]:
    if not len(found.by_setting):
        return []
    other = found.by_setting[~found.by_setting.same]
    if not len(other):
        return ["The same portfolio is best under every setting of every switch."]
    worst = other.loc[other.lost.idxmax()]
    share = f" ({worst.lost_share:.1%})" if worst.lost_share == worst.lost_share else ""
    return [
        f"Another portfolio is best under {len(other)} of {len(found.by_setting)} settings of "
        f"switches. Keeping the usual one there makes {found.first.noun} worse by at most "
        f"{told(worst.lost)}{share}, under {worst.switch}: {worst.means}."
    ]


def percentage(share: float) -> str:
    """Whole per cent, with a minus that is one."""
    return "–" if share != share else f"{round(100 * share):d} %".replace("-", "−")


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
