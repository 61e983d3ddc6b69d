"""What the draws say about the claims of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .compare import Claim, Comparison
from .switches import ENOUGH

# Shares of draws from which on an answer is sure, or likely.
SURE, LIKELY = 0.95, 0.80


@dataclass(frozen=True)
class ClaimResult:
    """One claim with what the draws say about it.

    `scenarios` are shares by scenario; `switches` by switch and setting, of the settings with
    enough draws to speak of.
    """

    claim: Claim
    share: float
    scenarios: dict[str, float]
    switches: dict[str, dict[str, float]]
    ratio: float
    chance: Mapping[str, float] = field(default_factory=dict)  # what draws explain, a switch

    def _gap(self, name: str) -> float:
        """Between the shares of a switch's settings; none where the draws explain as much."""
        shares = self.switches[name].values()
        gap = max(shares) - min(shares)
        return gap if gap > self.chance.get(name, 0.0) else 0.0

    @property
    def verdict(self) -> str:
        if self.share >= SURE:
            return "holds"
        if self.share >= LIKELY:
            return "mostly holds"
        if self.share > 1 - LIKELY:
            return "open"
        return "mostly fails" if self.share > 1 - SURE else "fails"

    @property
    def telling(self) -> dict[str, dict[str, float]]:
        """Switches between whose settings the share differs by ten points or more, widest first."""
        gaps = {n: self._gap(n) for n in self.switches}
        return {n: self.switches[n] for n in sorted(gaps, key=gaps.get)[::-1] if gaps[n] >= 0.1}

    @property
    def turns(self) -> list[str]:
        """Switches on which the answer hangs: half of the draws lie on either side."""
        return [
            n
            for n, s in self.switches.items()
            if min(s.values()) < 0.5 <= max(s.values()) and self._gap(n)
        ]


def claim_results(comparison: Comparison) -> list[ClaimResult]:
    results = []
    by_id = {claim.id: claim for claim in comparison.claims}
    for name, rows in comparison.claims_table.groupby("id", sort=False):
        whole = rows[rows.group == "all"].iloc[0]
        scenarios = rows[rows.group == "scenario"].set_index("setting").share.to_dict()
        switches: dict[str, dict[str, float]] = {}
        counts: dict[str, list[float]] = {}
        for row in by_setting(rows).itertuples():
            switches.setdefault(row.group, {})[row.setting] = row.share
            counts.setdefault(row.group, []).append(row.draws / len(scenarios))
        # 99 % of the differences between two shares that chance alone makes.
        noise = 2.58 * np.sqrt(max(whole.share * (1 - whole.share), 0.0))
        chance = {n: noise * np.sqrt(1 / min(c) + 1 / max(c)) for n, c in counts.items()}
        results.append(
            ClaimResult(by_id[name], whole.share, scenarios, switches, whole.ratio_median, chance)
        )
    return results


def by_setting(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `judge` for the settings of switches that have enough draws to speak of."""
    # `draws` counts a draw once a scenario.
    scenarios = table[table.group == "scenario"].setting.nunique()
    enough = table.draws >= ENOUGH * scenarios
    return table[~table.group.isin(["all", "scenario"]) & enough]


def untested(comparison: Comparison) -> list[tuple[Claim, str]]:
    """Claims about policies, outputs or years that this run leaves out, each with the reason."""
    tested = set(comparison.claims_table.id)
    return [(c, _why(c, comparison)) for c in comparison.claims if c.id not in tested]


def _why(claim: Claim, comparison: Comparison) -> str:
    """Why a run has not tested a claim."""
    policies = {policy.name for policy in comparison.policies}
    for name in (claim.policy, claim.comparator):
        if name not in policies:
            return f"the run leaves out the policy “{name}”"
    if claim.output not in {output.name for output in comparison.outputs}:
        return f"the run leaves out the output “{claim.output}”"
    period = comparison.time.period(claim.period)
    return f"its period {period} lies outside {comparison.period}"
