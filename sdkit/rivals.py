"""The answer under each rival explanation, in words: what the settings of switches change.

Every sentence is made from the table of `switches.by_switch`, first scenario. A switch is said
to move an effect if the medians of two of its settings differ by a point or more (HARDLY) and
by more than the number of draws explains: their 99 % intervals do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from .compare import Comparison, reduced, yearly
from .findings import EQUAL, HARDLY, LIKELY, listed, percent, ranked, share, short
from .outputs import Output
from .parameters import Parameter
from .switches import ENOUGH, meaning


@dataclass(frozen=True)
class Shift:
    """What one switch does to the effect of one policy on one output.

    `rows` are those of the settings with enough draws, in their order; `low` and `high` the
    ones with the lowest and the highest median.
    """

    policy: str
    switch: Parameter
    rows: pd.DataFrame

    @cached_property
    def _ends(self) -> tuple[int, int]:
        """Places of the lowest and the highest median."""
        medians = self.rows.change_median.to_numpy()
        return int(medians.argmin()), int(medians.argmax())

    @property
    def low(self) -> pd.Series:
        return self.rows.iloc[self._ends[0]]

    @property
    def high(self) -> pd.Series:
        return self.rows.iloc[self._ends[1]]

    @cached_property
    def gap(self) -> float:
        """Between the two medians, a share (0.01 is one point)."""
        medians = self.rows.change_median.to_numpy()
        return float(medians[self._ends[1]] - medians[self._ends[0]])

    @cached_property
    def moved(self) -> bool:
        low, high = self._ends
        apart = self.rows.median_high.to_numpy()[low] < self.rows.median_low.to_numpy()[high]
        return bool(self.gap >= HARDLY and apart)

    @property
    def turned(self) -> bool:
        """Whether the sign hangs on the switch: both medians are more than nothing."""
        ends = self.low.change_median, self.high.change_median
        sure = self.low.median_high < 0 < self.high.median_low
        return self.moved and sure and ends[0] <= -EQUAL and ends[1] >= EQUAL


def rows_of(comparison: Comparison, output: Output) -> pd.DataFrame:
    """The table of switches for one output in the first scenario."""
    table = comparison.switches
    return table[(table.output == output.name) & (table.scenario == comparison.scenarios[0].name)]


def drawn(comparison: Comparison) -> list[Parameter]:
    """The switches of which at least two settings have a draw."""
    seen = comparison.switches[comparison.switches.draws > 0]
    counts = seen.groupby("switch").setting.nunique()
    return [s for s in comparison.parameters.of_role("structural") if counts.get(s.name, 0) > 1]


def shifts(comparison: Comparison, output: Output) -> list[Shift]:
    """Every switch and policy with two settings to compare: those that move first, by gap."""
    table = rows_of(comparison, output)
    known = {switch.name: switch for switch in drawn(comparison)}
    usable = table[table.switch.isin(known) & (table.draws >= ENOUGH) & table.change_median.notna()]
    found = [
        Shift(policy, known[name], rows)
        for (name, policy), rows in usable.groupby(["switch", "policy"], sort=False)
        if len(rows) > 1
    ]
    return sorted(found, key=lambda shift: (not shift.moved, -shift.gap))


def by_switch(found: Sequence[Shift]) -> dict[str, list[Shift]]:
    """The shifts of each switch, in the order given."""
    groups: dict[str, list[Shift]] = {}
    for shift in found:
        groups.setdefault(shift.switch.name, []).append(shift)
    return groups


def quoted(names: Sequence[str]) -> str:
    return listed([f"“{name}”" for name in names])


def under(found: Sequence[Shift]) -> str:
    """ "under “few come” −5 % and −3 %; under “most come” −14 % and −9 %": the medians of
    several policies, in their order, under each setting of their one switch."""
    one = found[0]
    return "; ".join(
        f"under “{meaning(one.switch, float(setting))}” "
        + listed([percent(shift.rows.change_median.iloc[i]) for shift in found])
        for i, setting in enumerate(one.rows.setting)
    )


def moves(comparison: Comparison, output: Output) -> list[tuple[str, list[str], list[tuple]]]:
    """(switch, meanings of its settings, [(policy, medians, whether the sign turns)]), for the
    switches that move a policy; medians in the order of settings, policies by gap."""
    groups = by_switch([s for s in shifts(comparison, output) if s.moved])
    return [
        (
            name,
            [meaning(found[0].switch, float(s)) for s in found[0].rows.setting],
            [(s.policy, [*map(percent, s.rows.change_median)], bool(s.turned)) for s in found],
        )
        for name, found in groups.items()
    ]


def most(comparison: Comparison, output: Output) -> list[str]:
    """Which switch moves each policy most: a sentence a switch, and one for the rest."""
    first: dict[str, Shift] = {}
    for shift in shifts(comparison, output):
        if shift.moved:
            first.setdefault(shift.policy, shift)
    lines = [
        f"“{name}” moves most: {quoted([shift.policy for shift in found])}."
        for name, found in by_switch(list(first.values())).items()
    ]
    rest = [p.name for p in comparison.policies[1:] if p.name not in first]
    if rest and first:
        lines.append(f"No switch moves {quoted(rest)} by a point beyond chance.")
    return lines


def signs(comparison: Comparison, output: Output) -> list[str]:
    """On which switches the sign of an effect hangs: a sentence a switch."""
    lines = []
    for name, found in by_switch([s for s in shifts(comparison, output) if s.turned]).items():
        plural = len(found) > 1
        lines.append(
            f"Whether {quoted([shift.policy for shift in found])} "
            f"{'lower or raise' if plural else 'lowers or raises'} {output.name} hangs on the "
            f"switch “{name}”: {under(found)}."
        )
    return lines


@dataclass(frozen=True)
class First:
    """The policy with the best median under one setting, and how it does there against the
    policy that is best over all: the share of draws in which it is better, and by how much at
    the median, relative to the baseline (both effects of one draw)."""

    switch: Parameter
    setting: float
    policy: str
    ahead: float
    by: float

    @property
    def clear(self) -> bool:
        """Ahead in 80 % of draws, and by a point at the median."""
        return self.ahead >= LIKELY and self.by >= HARDLY


def firsts(comparison: Comparison, output: Output) -> tuple[str | None, list[First]]:
    """The best policy over all draws, and the best under each setting with enough draws.

    (None, []) where no policy improves the output by HARDLY over all draws.
    """
    sign = -1.0 if output.better == "lower" else 1.0
    table = rows_of(comparison, output)
    overall = table[table.switch == "all"].set_index("policy").change_median * sign
    if overall.isna().any() or overall.empty or overall.max() < HARDLY:
        return None, []
    best = overall.idxmax()
    names = [policy.name for policy in comparison.policies]
    level = reduced(yearly(comparison.result, output), output, comparison.horizon)[0] * sign
    known = {switch.name: switch for switch in drawn(comparison)}
    found = []
    usable = table[table.switch.isin(known) & (table.draws >= ENOUGH)]
    for (name, setting), rows in usable.groupby(["switch", "setting"], sort=False):
        policy = rows.set_index("policy").change_median.mul(sign).idxmax()
        mask = comparison.draws[name].to_numpy() == float(setting)
        gap = level[names.index(policy), mask] - level[names.index(best), mask]
        by = float(np.median(gap / np.abs(level[0, mask])))
        found.append(First(known[name], float(setting), policy, float((gap > 0).mean()), by))
    return best, found


def ranking(comparison: Comparison, output: Output) -> str:
    """Whether any setting puts another policy first, in one or two sentences; "" if no policy
    improves the output."""
    best, found = firsts(comparison, output)
    if best is None or not found:
        return ""
    others = [first for first in found if first.policy != best]
    if not others:
        return f"“{best}” has the best median effect on {output.name} under every setting."
    text = (
        f"“{best}” has the best median effect on {output.name} over all, and under "
        f"{len(found) - len(others)} of {len(found)} settings; "
    )
    clear = [first for first in others if first.clear]
    if not clear:
        names = list(dict.fromkeys(first.policy for first in others))
        return text + (
            f"under the rest {quoted(names)} come{'s' if len(names) == 1 else ''} first, but "
            "nowhere by a point and in 80 % of draws: no setting overturns the order."
        )
    overtaken = [
        f"by “{f.policy}” under “{meaning(f.switch, f.setting)}” (“{f.switch.name}”: by "
        f"{100 * f.by:.1f} points at the median, in {share(f.ahead)} of draws)"
        for f in clear
    ]
    return text + f"it is clearly overtaken {listed(overtaken)}."


def widest(comparison: Comparison, output: Output) -> str:
    """Which switch moves the most policies, in one sentence."""
    found = shifts(comparison, output)
    moved = [shift for shift in found if shift.moved]
    if not found:
        return (
            f"No switch has two settings with {ENOUGH} draws or more: too few draws to say what "
            "the settings do."
        )
    if not moved:
        return (
            f"No switch moves the effect of any policy on {output.name} by a point or more, beyond "
            "what the number of draws explains."
        )
    total = len(comparison.policies) - 1
    groups = by_switch(moved)
    order = sorted(groups, key=lambda name: -len(groups[name]))
    return (
        f"{len(groups)} of {len(drawn(comparison))} switches move{'s' * (len(groups) == 1)} the "
        f"effect of a policy on {output.name} by a point or more: "
        + listed([f"“{name}” ({len(groups[name])} of {total} policies)" for name in order])
        + f". The largest shift is that of “{moved[0].policy}”: {under(moved[:1])}."
    )


def finding(comparison: Comparison, output: Output) -> str:
    """The title of the figure: on what signs hang, and whether the best policy changes."""
    found = shifts(comparison, output)
    name = output.name[:1].upper() + output.name[1:]
    turned = [shift for shift in found if shift.turned]
    moved = [shift for shift in found if shift.moved]
    if turned:
        switches = list(dict.fromkeys(shift.switch.name for shift in turned))
        count = len({shift.policy for shift in turned})
        text = (
            f"{name}: the sign of {count} polic{'ies' if count > 1 else 'y'} hangs on "
            f"{quoted(switches)}"
        )
    elif moved:
        one = moved[0]
        text = (
            f"{name}: no switch turns a sign; the largest shift is “{one.policy}”, "
            f"{percent(one.low.change_median)} or {percent(one.high.change_median)}"
        )
    else:
        return f"{name}: no switch moves a policy’s effect by a point or more"
    best, others = firsts(comparison, output)
    if best:
        clear = any(f.policy != best and f.clear for f in others)
        text += "; the best policy changes too" if clear else "; none overturns the best policy"
    return text


def weights(comparison: Comparison, outputs: Sequence[Output]) -> list[dict]:
    """The section's table: a row a switch, in the order of the model.

    Each setting with its meaning, its stated weight, its draws; and for each output the policy
    that the switch moves most, with the gap in points, or what speaks against saying so.
    """
    most: dict[tuple[str, str], Shift] = {}
    for output in outputs:
        for shift in shifts(comparison, output):
            most.setdefault((shift.switch.name, output.name), shift)
    table = comparison.switches
    counts = table.drop_duplicates(["switch", "setting"]).set_index(["switch", "setting"]).draws
    rows = []
    for switch in drawn(comparison):
        settings = [
            (f"{low:g}", meaning(switch, low), weight, int(counts[(switch.name, f"{low:g}")]))
            for low, weight in zip(
                np.arange(switch.low, switch.high + 1), switch.weights, strict=True
            )
        ]
        cells = []
        for output in outputs:
            shift = most.get((switch.name, output.name))
            if shift is None:
                cells.append(("too few draws", ""))
            elif not shift.moved:
                wide = shift.gap >= HARDLY
                cells.append(("not beyond chance" if wide else "under a point", ""))
            else:
                cells.append((f"{short(round(100 * shift.gap, 1))} points", shift.policy))
        rows.append({"switch": switch, "settings": settings, "cells": cells})
    return rows


def section(comparison: Comparison) -> list[dict]:
    """What the report says, an entry a main output; empty where no switch is drawn."""
    entries = []
    for output in [o for o in comparison.main if o in ranked(comparison)]:
        if not drawn(comparison):
            break
        turned = signs(comparison, output)
        none = [f"No setting of a switch turns the sign of an effect on {output.name}."]
        lead = [*((turned or none) if shifts(comparison, output) else ())]
        lead += [ranking(comparison, output), widest(comparison, output)]
        entries.append(
            {
                "output": output,
                "turned": turned,
                "lead": [line for line in lead if line],
                "most": most(comparison, output),
                "moves": moves(comparison, output),
            }
        )
    return entries


def others(comparison: Comparison) -> list[str]:
    """A line for each output that is judged and not among the main ones."""
    if not drawn(comparison):
        return []
    rest = [output for output in ranked(comparison) if output not in comparison.main]
    return [finding(comparison, output) + "." for output in rest]
