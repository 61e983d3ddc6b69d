"""What the numbers of a comparison say, in words and small tables.

Every sentence is made from the numbers: nothing here knows a policy or an output by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .claims import LIKELY, SURE, claims_in_short
from .compare import Comparison, reduced, whole, yearly
from .experiment import Setting
from .outputs import Output
from .time_units import plain

# Below this share of the baseline's median a policy is said to hardly move an output.
HARDLY = 0.01
# Draws that reach further than this, on both sides of nothing, are not in agreement.
WIDE = 0.05
# A combination within this of the sum of its parts is their sum.
EQUAL = 0.001
# The same of a single run, which says nothing of draws.
ONCE = {
    "better": "better",
    "open": "not to be compared, as the baseline is nothing",
    "hardly": "hardly moves it, less than 1 %",
    "worse": "worse",
}
VERDICTS = {
    "better": "better in at least 95 % of draws",
    "likely better": "better in 80 to 95 % of draws",
    "open": "open: the draws disagree",
    "hardly": "hardly moves it, less than 1 % at the median",
    "likely worse": "better in 5 to 20 % of draws only",
    "worse": "better in at most 5 % of draws",
}


def percent(value: float) -> str:
    """A signed change in per cent, with a true minus; two digits where it is small."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:+.1%}" if abs(value) < 0.0995 else f"{value:+.0%}"
    return (
        "0\u00a0%" if text in ("+0.0%", "-0.0%") else text.replace("-", "−").replace("%", "\u00a0%")
    )


def signed(value: float, unit: str = "") -> str:
    """A change in its own unit, with its sign."""
    text = f"{'+' * (value > 0)}{short(value)}".replace("-", "−")
    return f"{text} {plain(unit)}".strip()


def changed_by(row, output: Output) -> str:
    """The median change in a row of `effects`: in per cent, or in the output's unit where the
    baseline is nothing, of which there are no per cents."""
    return percent(row.change) if np.isfinite(row.change) else signed(row.diff_median, output.unit)


def better_in(row) -> str:
    """The share of draws in which a policy is better; "" for one that moves nothing, or of which
    no direction is better."""
    still = not (row.low or row.high or row.diff_p5 or row.diff_p95)
    return "" if still or not np.isfinite(row.share_better) else share(row.share_better)


def share(value: float) -> str:
    """A share in per cent: all and none are said only where they are meant."""
    if 0.995 <= value < 1:
        return ">\u00a099\u00a0%"
    return "<\u00a01\u00a0%" if 0 < value < 0.005 else f"{value:.0%}".replace("%", "\u00a0%")


def capital(text: str) -> str:
    """The text with a capital at its beginning, all else as it is."""
    return text[:1].upper() + text[1:]


spell = capital  # a name at the start of a sentence


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    words = list(words)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def quoted(names: Sequence[str]) -> str:
    """ "“a”, “b” and “c”"."""
    return listed([f"“{name}”" for name in names])


def short(value: float) -> str:
    """A number for an axis or a sentence: 1.2 million, 85,000, 3.1, 0.042."""
    size = abs(value)
    if size >= 1e9:
        return f"{value / 1e9:.3g} billion"
    if size >= 1e6:
        return f"{value / 1e6:.3g} million"
    if size >= 1000:
        digits = max(len(f"{size:.0f}") - 3, 0)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}" if size >= 1e-4 or value == 0 else f"{value:.1e}"


def exact(value: float) -> str:
    """A parameter's value as it is: six digits, and a year stays a year."""
    return f"{value:.6g}"


def effects(comparison: Comparison, output: Output, scenario: str | None = None):
    """The rows of the summary over the whole horizon, the baseline left out.

    `change`, `low` and `high` are the median, 5 % and 95 % of the change relative to the
    baseline of the same draw.
    """
    scenario = scenario or comparison.scenarios[0].name
    table, period = comparison.summary, whole(comparison.horizon)
    rows = table[
        (table.scenario == scenario) & (table.output == output.name) & (table.period == period)
    ]
    names = {"change_median": "change", "change_p5": "low", "change_p95": "high"}
    return rows[rows.policy != comparison.policies[0].name].rename(columns=names)


def ordered(comparison: Comparison, output: Output, scenario: str | None = None):
    """The rows of `effects`, best first: the one order of policies in words, tables and figures.

    The measure is the median of the relative change. Where neither direction is better, the
    lowest is first.
    """
    rows = effects(comparison, output, scenario)
    return rows.sort_values("change", ascending=output.better != "higher", kind="stable")


def verdict_words(comparison: Comparison) -> dict[str, str]:
    """What the verdicts mean, for several draws or for one."""
    return ONCE if comparison.once else VERDICTS


def verdict(row) -> str:
    """One of VERDICTS for a row of `effects`.

    A policy hardly moves an output if the median is under HARDLY, unless the draws spread
    far on both sides of nothing: then they disagree.
    """
    change, share_ = row.change, row.share_better
    if not np.isfinite(change) or not np.isfinite(share_):
        return "open"
    divided = 1 - LIKELY < share_ < LIKELY and max(-row.low, row.high) > WIDE
    if abs(change) < HARDLY and not divided:
        return "hardly"
    if share_ >= LIKELY:
        return "better" if share_ >= SURE else "likely better"
    if share_ <= 1 - LIKELY + 1e-12:
        return "worse" if share_ <= 1 - SURE + 1e-12 else "likely worse"
    return "open"


def leaders(comparison: Comparison, output: Output) -> list[str]:
    """The policy with the best median effect, and those that it does not beat within draws."""
    rows = effects(comparison, output)
    best = rows.loc[rows.change.idxmin() if output.better == "lower" else rows.change.idxmax()]
    level = reduced(yearly(comparison.result, output), output, comparison.horizon)[0]
    names = [policy.name for policy in comparison.policies]
    mine = level[names.index(best.policy)]
    found = [best.policy]
    for name in ordered(comparison, output).policy:
        other = level[names.index(name)]
        wins = (mine < other if output.better == "lower" else mine > other).mean()
        if name != best.policy and wins < LIKELY:
            found.append(name)
    return found


def headline(comparison: Comparison, output: Output) -> str:
    """What the numbers say about one output, in one line."""
    rows = effects(comparison, output)
    name = spell(output.name)
    moved = rows[rows.change.abs() >= HARDLY]
    if rows.change.isna().any() or moved.empty:
        if rows.change.isna().any():
            return f"{name}, by policy"
        return f"{name}: no policy moves it by one per cent"
    low, high = rows.loc[rows.change.idxmin()], rows.loc[rows.change.idxmax()]
    if output.better == "none":
        chosen = low if abs(low.change) > abs(high.change) else high
        return f"{name}: most changed by “{chosen.policy}” ({percent(chosen.change)})"
    best, worst = (low, high) if output.better == "lower" else (high, low)
    if best.change * output.sign < HARDLY:
        return f"{name}: no policy improves it; worst is “{worst.policy}” ({percent(worst.change)})"
    first, *equal = leaders(comparison, output)
    if worst.policy in equal:
        return (
            f"{name}: no policy is clearly the best; changes run from “{first}” "
            f"({percent(best.change)}) to “{worst.policy}” ({percent(worst.change)})"
        )
    text = f"{name}: best is “{first}” ({percent(best.change)})"
    if equal:
        text += f", not told apart from {quoted(equal)}"
    hurt = worst.change * output.sign <= -HARDLY
    return text + (f", worst “{worst.policy}” ({percent(worst.change)})" if hurt else "")


def ranked(comparison: Comparison) -> list[Output]:
    """The outputs that policies are judged by, in the order of run.toml.

    Of these one direction is better, and the baseline is not nothing: effort that only
    policies spend, for instance, is shown and not judged.
    """
    return [
        output
        for output in comparison.outputs
        if output.better != "none" and effects(comparison, output).change.notna().any()
    ]


def verdicts(comparison: Comparison, scenario: str) -> dict[str, dict[str, dict]]:
    """policy -> output -> change, low, high, share, verdict, over the whole horizon."""
    table: dict[str, dict[str, dict]] = {p.name: {} for p in comparison.policies[1:]}
    for output in comparison.outputs:
        for row in effects(comparison, output, scenario).itertuples():
            cell = {
                "change": changed_by(row, output),
                "range": "" if comparison.once else f"{percent(row.low)} to {percent(row.high)}",
                "level": short(row.median),
                "share": (
                    f"better in {better_in(row)}" if better_in(row) and not comparison.once else ""
                ),
                "verdict": verdict(row) if output.better != "none" else "",
            }
            table[row.policy][output.name] = cell
    return table


def answer(comparison: Comparison, output: Output) -> list[tuple[str, str]]:
    """(verdict in words, policies with their effects) for one output, best first."""
    words = verdict_words(comparison)
    groups: dict[str, list[str]] = {}
    for row in ordered(comparison, output).itertuples():
        word = verdict(row)
        span = (
            ""
            if word == "hardly" or comparison.once
            else f"; {percent(row.low)} to {percent(row.high)}"
        )
        groups.setdefault(word, []).append(f"{row.policy} ({percent(row.change)}{span})")
    return [(words[name], "; ".join(groups[name])) for name in words if name in groups]


def in_short(comparison: Comparison, output: Output) -> list[str]:
    """The main answer in a few sentences, for one output."""
    rows, once = ordered(comparison, output), comparison.once
    words = {r.policy: verdict(r) for r in rows.itertuples()}
    sure = [r for r in rows.itertuples() if words[r.policy] == "better"]
    lines = []
    verb = "lower" if output.better == "lower" else "raise"
    if sure:
        many = f"{len(sure)} of {len(rows)} policies {verb}{'s' * (len(sure) == 1)} {output.name}"
        best = f"“{sure[0].policy}” has the largest"
        lines.append(
            f"{many} by 1 % or more. {best} effect ({percent(sure[0].change)})."
            if once
            else f"{many} in at least 95 % of draws, and by 1 % or more at the median. {best} "
            f"median effect ({percent(sure[0].change)}; 5–95 % of draws: {percent(sure[0].low)} to "
            f"{percent(sure[0].high)})."
        )
        equal = leaders(comparison, output)[1:]
        if equal and not once:
            lines.append(
                f"“{sure[0].policy}” is better than {quoted(equal)} in fewer than "
                f"{share(LIKELY)} of draws."
            )
    else:
        sureness = "" if once else " in at least 95 % of draws"
        lines.append(f"No policy {verb}s {output.name} by 1 %{sureness}.")
    # Those whose draws disagree are open, however small their median.
    median = "" if once else " at the median, and whose draws do not disagree"
    for word, text in (
        ("hardly", f"Policies that move {output.name} by less than 1 %{median}"),
        (
            "worse",
            f"Policies that worsen {output.name}" + ("" if once else " in at least 95 % of draws"),
        ),
    ):
        names = [name for name, found in words.items() if found == word]
        if names:
            told = quoted(names) if len(names) <= 6 else f"{len(names)} policies, named below"
            lines.append(f"{text}: {told}.")
    largest = max(comparison.policies, key=lambda p: len(p.values)).name
    lines += [w.sentence for w in wholes(comparison, output) if w.policy == largest]
    lines += [headline(comparison, o) + "." for o in ranked(comparison) if o is not output]
    return [*lines, *claims_in_short(comparison)]


def baseline_sentence(comparison: Comparison, output: Output) -> str:
    """What the baseline itself gives over the whole horizon, with its range."""
    table = comparison.summary
    rows = table[
        (table.scenario == comparison.scenarios[0].name)
        & (table.policy == comparison.policies[0].name)
        & (table.output == output.name)
    ].set_index("period")
    row = rows.loc[whole(comparison.horizon)]
    how = output.over(comparison.time, comparison.horizon)
    how = how.removeprefix("summed ").removeprefix("averaged ")
    value = "the value" if output.reduction == "last" else f"the {output.reduction}"
    what = f"{value} of {output.noun} {how}"
    value = output.value(short(row["median"]))
    if comparison.once:
        return f"Under “{comparison.policies[0].name}”, {what} is {value}."
    return (
        f"Under “{comparison.policies[0].name}”, {what} is {value} at the median (5–95 % of draws: "
        f"{short(row.p5)} to {short(row.p95)})."
    )


@dataclass(frozen=True)
class Whole:
    """A policy beside the policies that it is made of, for one output."""

    policy: str
    parts: tuple[str, ...]
    whole: float
    total: float
    share_less: float
    sentence: str


def parts_of(policy: Setting, others: Sequence[Setting]) -> tuple[Setting, ...]:
    """The most policies that, without overlap, set just what `policy` sets; () if none do.

    Of several such sets the one whose largest part is smallest.
    """
    target = set(policy.values.items())
    inside = [o for o in others if o.values and set(o.values.items()) < target]
    for count in range(len(inside), 1, -1):
        fitting = [
            chosen
            for chosen in combinations(inside, count)
            if sum(len(o.values) for o in chosen) == len(target)
            and set().union(*(o.values.items() for o in chosen)) == target
        ]
        if fitting:
            return min(fitting, key=lambda chosen: max(len(o.values) for o in chosen))
    return ()


def single(comparison: Comparison) -> list[Setting]:
    """Policies that no other policy of the run is a part of."""
    levers = {p.name: set(p.values.items()) for p in comparison.policies[1:] if p.values}
    return [
        p
        for p in comparison.policies[1:]
        if p.values and not any(other < levers[p.name] for other in levers.values())
    ]


def wholes(comparison: Comparison, output: Output) -> list[Whole]:
    """Combinations compared with the sum of their parts, within each draw."""
    level = reduced(yearly(comparison.result, output), output, comparison.horizon)[0]
    names = [policy.name for policy in comparison.policies]
    if not (level[0] != 0).all():
        return []
    effect = dict(zip(names, (level - level[0]) / np.abs(level[0]), strict=True))
    found = []
    for policy in comparison.policies[1:]:
        parts = parts_of(policy, [p for p in comparison.policies[1:] if p is not policy])
        if not parts:
            continue
        names_ = tuple(p.name for p in parts)
        mine, total = effect[policy.name], sum(effect[p.name] for p in parts)
        gap = (mine - total) * output.sign  # above nothing: better
        less, more = float((gap < -EQUAL).mean()), float((gap > EQUAL).mean())
        change, summed = float(np.median(mine)), float(np.median(total))
        if comparison.once:
            compared = "better than" if more else "worse than" if less else "within 0.1 points of"
            median, last = "", f"The combination is {compared} the sum of its parts."
        else:
            median, last = (
                " at the median",
                (
                    f"The combination is better than the sum of its parts in {share(more)} of "
                    f"draws, worse in {share(less)}, and within 0.1 points of it in the rest."
                ),
            )
        sentence = (
            f"“{policy.name}” changes {output.name} by {percent(change)}{median}; the effects of "
            f"its parts ({quoted(names_)}), each alone, add up to {percent(summed)}. {last}"
        )
        found.append(Whole(policy.name, names_, change, summed, less, sentence))
    return found


def additions(comparison: Comparison, output: Output) -> list[str]:
    """What each policy adds to the largest combination: with it against without it."""
    by_size = max(comparison.policies, key=lambda p: len(p.values))
    target = set(by_size.values.items())
    level = reduced(yearly(comparison.result, output), output, comparison.horizon)[0]
    names = [policy.name for policy in comparison.policies]
    lines = []
    for rest in comparison.policies[1:]:
        missing = target - set(rest.values.items())
        if not (rest.values and set(rest.values.items()) < target):
            continue
        for part in comparison.policies[1:]:
            if part.values and set(part.values.items()) == missing:
                one, other = level[names.index(by_size.name)], level[names.index(rest.name)]
                gap = one - other
                gap[np.abs(gap) < 1e-9 * np.ptp(level)] = 0.0
                good = gap < 0 if output.better == "lower" else gap > 0
                change = np.median(gap / np.abs(other)) if (other != 0).all() else np.nan
                sure = (
                    ""
                    if comparison.once
                    else (f" at the median, better in {share(good.mean())} of draws")
                )
                lines.append(
                    f"“{part.name}” on top of “{rest.name}” changes {output.name} by "
                    f"{percent(change)}{sure}."
                )
    return lines


def scenario_sentence(comparison: Comparison, output: Output) -> str:
    """Whether another scenario would change the verdict on any policy."""
    first, *others = [s.name for s in comparison.scenarios]
    lines = []
    for other in others:
        changed = []
        before, after = (
            {row.policy: verdict(row) for row in effects(comparison, output, name).itertuples()}
            for name in (first, other)
        )
        for policy, one in before.items():
            two = after[policy]
            if one != two:
                changed.append(f"{policy} (“{one}” becomes “{two}”)")
        lines.append(
            f"In the scenario “{other}” the verdict on {output.name} "
            + (f"changes for {listed(changed)}." if changed else "stays the same for every policy.")
        )
    return " ".join(lines)
