"""What the draws say about the claims of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .compare import STRONGER, Claim, Comparison
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
    stronger: float = 0.0  # share of draws in which it holds under its stronger policy

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
        if self.share > 1 - SURE:
            return "mostly fails"
        return "out of reach" if self.stronger > 1 - SURE else "fails"

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
        stronger = rows[rows.group == STRONGER].share
        results.append(
            ClaimResult(
                by_id[name], whole.share, scenarios, switches, whole.ratio_median, chance,
                float(stronger.iloc[0]) if len(stronger) else 0.0,
            )
        )  # fmt: skip
    return results


def by_setting(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `judge` for the settings of switches that have enough draws to speak of."""
    # `draws` counts a draw once a scenario.
    scenarios = table[table.group == "scenario"].setting.nunique()
    enough = table.draws >= ENOUGH * scenarios
    return table[~table.group.isin(["all", "scenario", STRONGER]) & enough]


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


def claims_in_short(comparison: Comparison) -> list[str]:
    """How many of the model's claims hold, in how many draws of all scenarios, and which were not
    tested and why."""
    results, left = claim_results(comparison), untested(comparison)
    lines = []
    if left:
        count, reasons = len(results) + len(left), [why for _, why in left]
        told = [
            f"{reasons.count(why)} {'was' if reasons.count(why) == 1 else 'were'} not, since {why}"
            for why in dict.fromkeys(reasons)
        ]
        if len(told) > 3:
            told = [f"{len(left)} were not, each for the reason under Claims"]
        lines.append(
            f"{len(results)} of {count} claim{'s' * (count != 1)} of the model "
            f"{'was' if len(results) == 1 else 'were'} tested; {'; '.join(told)}."
        )
    if not results:
        return lines
    if comparison.once:
        shares = [r.share for r in results]
        counts = [(shares.count(1.0), "hold", ""), (shares.count(0.0), "fail", "")]
        if some := len(shares) - shares.count(1.0) - shares.count(0.0):
            counts.append((some, "hold", " in some scenarios only"))
        told = [f"{n} {verb}{'s' * (n == 1)}{rest}" for n, verb, rest in counts]
        one = next(f"{verb}s{rest}" for n, verb, rest in counts if n)
    else:
        words = {
            "holds": "at least 95 %", "mostly holds": "80 to 95 %", "open": "20 to 80 %",
            "mostly fails": "5 to 20 %", "fails": "at most 5 %",
            "out of reach": "at most 5 % at the dose tested but in more at a larger one",
        }  # fmt: skip
        found = [r.verdict for r in results]
        first = found.count("holds")
        if "out of reach" not in found:
            del words["out of reach"]
        told = [f"{found.count(word)} in {text}" for word, text in words.items()]
        told[0] = f"{first} hold{'s' * (first == 1)} in at least 95 % of draws"
        one = f"holds in {words[found[0]]} of draws"
        if found[0] == "out of reach":
            one = "holds in at most 5 % of draws at the dose tested, and in more at a larger one"
    pooled = ", over all scenarios" if len(comparison.scenarios) > 1 and not comparison.once else ""
    if len(results) == 1:
        which = "claim that was tested" if left else "one claim of the model"
        lines.append(f"The {which} {one}{pooled}.")
    else:
        lines.append(
            f"Of {len(results)} claims {'tested' if left else 'of the model'}{pooled}, "
            f"{', '.join(told[:-1])} and {told[-1]}."
        )
    return lines
