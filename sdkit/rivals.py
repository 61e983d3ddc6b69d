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
from .findings import EQUAL, HARDLY, LIKELY, listed, percent, quoted, ranked, share, short, spell
from .outputs import Output
from .parameters import Parameter
from .switches import ENOUGH, meaning, settings

# What is said of medians that differ by too little for the number of draws.
CHANCE = "beyond what chance explains"


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
        """Whether the sign depends on the switch: both medians are more than nothing."""
        ends = self.low.change_median, self.high.change_median
        sure = self.low.median_high < 0 < self.high.median_low
        return self.moved and sure and ends[0] <= -EQUAL and ends[1] >= EQUAL


def drawn(comparison: Comparison) -> list[Parameter]:
    """The switches of which at least two settings have a draw."""
    seen = comparison.switches[comparison.switches.draws > 0]
    counts = seen.groupby("switch").setting.nunique()
    return [s for s in comparison.parameters.of_role("structural") if counts.get(s.name, 0) > 1]


def grouped(found: Sequence[Shift]) -> dict[str, list[Shift]]:
    """The shifts of each switch, in the order given."""
    groups: dict[str, list[Shift]] = {}
    for shift in found:
        groups.setdefault(shift.switch.name, []).append(shift)
    return groups


def under(found: Sequence[Shift]) -> str:
    """ "under “few come” −5 % and −3 %; under “most come” −14 % and −9 %": the medians of
    several policies, in their order, under each setting of their one switch."""
    one = found[0]
    return "; ".join(
        f"under “{meaning(one.switch, float(setting))}” "
        + listed([percent(shift.rows.change_median.iloc[i]) for shift in found])
        for i, setting in enumerate(one.rows.setting)
    )


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


@dataclass(frozen=True, eq=False)
class Rivals:
    """What the settings of switches do to the effects on one output, in the first scenario."""

    comparison: Comparison
    output: Output

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of `switches.by_switch` for this output and scenario."""
        table, scenario = self.comparison.switches, self.comparison.scenarios[0].name
        return table[(table.output == self.output.name) & (table.scenario == scenario)]

    @cached_property
    def switches(self) -> dict[str, Parameter]:
        """Those that have two settings with a draw, by name."""
        return {switch.name: switch for switch in drawn(self.comparison)}

    @cached_property
    def usable(self) -> pd.DataFrame:
        """The rows of settings with enough draws to speak of."""
        enough = self.table.draws >= ENOUGH
        return self.table[self.table.switch.isin(self.switches) & enough]

    @cached_property
    def shifts(self) -> list[Shift]:
        """Every switch and policy with two settings to compare: those that move first, by gap."""
        usable = self.usable[self.usable.change_median.notna()]
        found = [
            Shift(policy, self.switches[name], rows)
            for (name, policy), rows in usable.groupby(["switch", "policy"], sort=False)
            if len(rows) > 1
        ]
        return sorted(found, key=lambda shift: (not shift.moved, -shift.gap))

    @cached_property
    def untold(self) -> list[str]:
        """The switches that have no two settings with enough draws to compare."""
        told = {shift.switch.name for shift in self.shifts}
        return [name for name in self.switches if name not in told]

    @property
    def none(self) -> str:
        """ "no switch", of those with draws enough to say."""
        return "no switch" + (f" with {ENOUGH} draws in two settings" if self.untold else "")

    @property
    def moved(self) -> list[Shift]:
        return [shift for shift in self.shifts if shift.moved]

    @property
    def turned(self) -> list[Shift]:
        return [shift for shift in self.shifts if shift.turned]

    @property
    def moves(self) -> list[tuple[str, list[str], list[tuple]]]:
        """(switch, meanings of its settings, [(policy, medians, whether the sign turns)]), for the
        switches that move a policy; medians in the order of settings, policies by gap."""
        return [
            (
                name,
                [meaning(found[0].switch, float(s)) for s in found[0].rows.setting],
                [(s.policy, [*map(percent, s.rows.change_median)], bool(s.turned)) for s in found],
            )
            for name, found in grouped(self.moved).items()
        ]

    @property
    def most(self) -> list[str]:
        """Which switch moves each policy most: a sentence a switch, and one for the rest."""
        first: dict[str, Shift] = {}
        for shift in self.moved:
            first.setdefault(shift.policy, shift)
        lines = [
            f"“{name}” moves most: {quoted([shift.policy for shift in found])}."
            for name, found in grouped(list(first.values())).items()
        ]
        rest = [p.name for p in self.comparison.policies[1:] if p.name not in first]
        if rest and first:
            lines.append(f"{spell(self.none)} moves {quoted(rest)} by a point or more, {CHANCE}.")
        return lines

    @property
    def signs(self) -> list[str]:
        """On which switches the sign of an effect hangs: a sentence a switch."""
        lines = []
        for name, found in grouped(self.turned).items():
            verb = "lower or raise" if len(found) > 1 else "lowers or raises"
            lines.append(
                f"Whether {quoted([shift.policy for shift in found])} {verb} {self.output.name} "
                f"depends on the switch “{name}”: {under(found)}."
            )
        return lines

    @cached_property
    def firsts(self) -> tuple[str | None, list[First]]:
        """The best policy over all draws, and the best under each setting with enough draws.

        (None, []) where no policy improves the output by HARDLY over all draws.
        """
        comparison, output, table, sign = self.comparison, self.output, self.table, self.output.sign
        overall = table[table.switch == "all"].set_index("policy").change_median * sign
        if overall.isna().any() or overall.empty or overall.max() < HARDLY:
            return None, []
        best = overall.idxmax()
        names = [policy.name for policy in comparison.policies]
        level = reduced(yearly(comparison.result, output), output, comparison.horizon)[0] * sign
        found = []
        for (name, setting), rows in self.usable.groupby(["switch", "setting"], sort=False):
            policy = rows.set_index("policy").change_median.mul(sign).idxmax()
            mask = comparison.draws[name].to_numpy() == float(setting)
            gap = level[names.index(policy), mask] - level[names.index(best), mask]
            by = float(np.median(gap / np.abs(level[0, mask])))
            ahead = float((gap > 0).mean())
            found.append(First(self.switches[name], float(setting), policy, ahead, by))
        return best, found

    @property
    def ranking(self) -> str:
        """Whether any setting puts another policy first, in one or two sentences; "" if no policy
        improves the output."""
        best, found = self.firsts
        if best is None or not found:
            return ""
        others = [first for first in found if first.policy != best]
        if not others:
            few = (self.table.switch.isin(self.switches) & (self.table.draws < ENOUGH)).any()
            which = f" with {ENOUGH} draws or more" if few else ""
            return (
                f"“{best}” has the best median effect on {self.output.name} under every "
                f"setting{which}."
            )
        text = (
            f"“{best}” has the best median effect on {self.output.name} over all, and under "
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

    @property
    def widest(self) -> str:
        """Which switch moves the most policies, in one sentence."""
        moved, name = self.moved, self.output.name
        if not self.shifts:
            return (
                f"No switch has two settings with {ENOUGH} draws or more: too few draws to say "
                "what the settings do."
            )
        if not moved:
            return (
                f"{spell(self.none)} moves the effect of any policy on {name} by a point or more, "
                f"{CHANCE}."
            )
        total = len(self.comparison.policies) - 1
        groups = grouped(moved)
        order = sorted(groups, key=lambda switch: -len(groups[switch]))
        return (
            f"{len(groups)} of {len(self.switches)} switches move{'s' * (len(groups) == 1)} the "
            f"effect of a policy on {name} by a point or more, {CHANCE}: "
            + listed(
                [f"“{switch}” ({len(groups[switch])} of {total} policies)" for switch in order]
            )
            + f". The largest shift is that of “{moved[0].policy}”: {under(moved[:1])}."
        )

    @property
    def finding(self) -> str:
        """The title of the figure: on what signs hang, and whether the best policy changes."""
        name, turned, moved = spell(self.output.name), self.turned, self.moved
        if turned:
            switches = list(dict.fromkeys(shift.switch.name for shift in turned))
            count = len({shift.policy for shift in turned})
            text = (
                f"{name}: the sign of {count} polic{'ies' if count > 1 else 'y'} depends on "
                f"{quoted(switches)}"
            )
        elif moved:
            one = moved[0]
            text = (
                f"{name}: {self.none} turns a sign, {CHANCE}; the largest shift is “{one.policy}”, "
                f"{percent(one.low.change_median)} or {percent(one.high.change_median)}"
            )
        elif self.shifts:
            return f"{name}: {self.none} moves a policy’s effect by a point or more, {CHANCE}"
        else:
            return f"{name}: too few draws to say what the settings of a switch do"
        best, others = self.firsts
        if best:
            clear = any(f.policy != best and f.clear for f in others)
            text += "; the best policy changes too" if clear else "; none overturns the best policy"
        return text

    @property
    def lead(self) -> list[str]:
        """What the section begins with: signs, the best policy, the switch that moves most."""
        none = [f"{spell(self.none)} turns the sign of an effect on {self.output.name}, {CHANCE}."]
        turned = (self.signs or none) if self.shifts else []
        return [line for line in (*turned, self.ranking, self.widest) if line]


def main_rivals(comparison: Comparison) -> list[Rivals]:
    """One for each main output that is judged; empty where no switch is drawn."""
    if not drawn(comparison):
        return []
    judged = ranked(comparison)
    return [Rivals(comparison, output) for output in comparison.main if output in judged]


def others(comparison: Comparison) -> list[str]:
    """A line for each output that is judged and not among the main ones."""
    if not drawn(comparison):
        return []
    rest = [output for output in ranked(comparison) if output not in comparison.main]
    return [Rivals(comparison, output).finding + "." for output in rest]


def weights(found: Sequence[Rivals]) -> list[dict]:
    """The section's table: a row a switch, in the order of the model.

    Each setting with its meaning, its stated weight, its draws; and for each output the policy
    that the switch moves most, with the gap in points, or what speaks against saying so.
    """
    if not found:
        return []
    table = found[0].comparison.switches
    counts = table.drop_duplicates(["switch", "setting"]).set_index(["switch", "setting"]).draws
    groups = [grouped(one.shifts) for one in found]
    rows = []
    for switch in found[0].switches.values():
        stated = [
            (f"{s:g}", meaning(switch, s), weight, int(counts[(switch.name, f"{s:g}")]))
            for s, weight in zip(settings(switch), switch.weights, strict=True)
        ]
        cells = []
        for group in groups:
            if switch.name not in group:
                cells.append(("too few draws", ""))
                continue
            shift = group[switch.name][0]
            if shift.moved:
                cells.append((f"{short(round(100 * shift.gap, 1))} points", shift.policy))
            else:
                wide = shift.gap >= HARDLY
                cells.append(("not beyond chance" if wide else "under a point", ""))
        rows.append({"switch": switch, "settings": stated, "cells": cells})
    return rows
