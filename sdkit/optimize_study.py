"""Portfolios simulated and judged: search, front, regret, attribution, information and timing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .compare import reduced, yearly
from .errors import RunError
from .experiment import Setting, posterior_draws, sample
from .files import load_arrays, place, save_arrays
from .optimize import (
    interactions,
    known_values,
    nondominated,
    perfect_information,
    regret,
    shapley,
    subsets,
    worst_tenth,
)
from .optimize_run import Instruments, Wanted, goals, label
from .outputs import Output
from .run import Prepared, held, yearly_experiment
from .simulation import simulate
from .streams import Points
from .switches import ENOUGH, meaning, settings
from .time_units import TimeUnit, time_unit

_BLOCK = 64  # policies at a time: what an interruption loses
_CANDIDATES = 96  # portfolios that are judged with all draws, about
_SLACK = 0.1  # of the limit
_NOTHING = 1e-9  # of the largest level: less than this is none

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Portfolios:
    """All that came of a search.

    `levels` are (outputs, policies, draws) over the horizon, `strengths` (portfolios, instruments).
    `search` has a row a portfolio tried, `candidates` a row one judged with all draws; `front` says
    which portfolios no other beats. `parts` and `pairs` are Shapley values and interactions of the
    full package, `known` the value of knowing an input, `timing` what delay and order change.
    """

    prepared: Prepared
    wanted: Wanted
    instruments: tuple[str, ...]
    outputs: tuple[Output, ...]
    search: pd.DataFrame
    candidates: pd.DataFrame
    chosen: pd.DataFrame
    by_setting: pd.DataFrame
    parts: pd.DataFrame
    pairs: pd.DataFrame
    known: pd.DataFrame
    perfect: float
    chance: float
    timing: pd.DataFrame
    baseline: dict[str, float]
    clock: TimeUnit

    def __repr__(self) -> str:
        return f"Portfolios({self.prepared!r}: {len(self.search)} tried)"

    @property
    def first(self) -> Output:
        """The output by which portfolios are ordered."""
        return self.outputs[0]


class _Simulator:
    """Policies over draws to levels, a block of policies at a time."""

    def __init__(self, prepared: Prepared, work, progress, threads):
        self.prepared, self.work, self.threads = prepared, work, threads
        self.progress = progress or (lambda done, total: None)
        self.done = self.total = 0

    def levels(self, label: str, policies: Sequence[Setting], draws: pd.DataFrame) -> np.ndarray:
        """(outputs, policies, draws): each output over the horizon."""
        prepared = self.prepared
        found = []
        for low in range(0, len(policies), _BLOCK):
            own = tuple(policies[low : low + _BLOCK])
            path = self.work and self.work / f"{label}-{len(policies)}-{len(draws)}-{low}.npz"
            saved = path and load_arrays(path)
            if not saved:
                program, experiment = yearly_experiment(replace(prepared, policies=own), draws)
                work = len(own) * len(draws)
                result = simulate(
                    program, experiment, threads=self.threads, seed=prepared.run.seed,
                    progress=lambda done, total, work=work: self.progress(
                        self.done + done * work // max(total, 1), self.total
                    ),
                )  # fmt: skip
                saved = {
                    "levels": np.array(
                        [
                            reduced(yearly(result, o), o, prepared.run.horizon)[0]
                            for o in prepared.outputs
                        ]
                    )
                }
                if path:
                    save_arrays(path, saved)
            self.done += len(own) * len(draws)
            self.progress(self.done, max(self.total, self.done))
            found.append(saved["levels"])
        return np.concatenate(found, axis=1)


def search_points(instruments: Instruments, wanted: Wanted, seed: int) -> np.ndarray:
    """Strengths to try (portfolios, instruments), each by the name of its instrument."""
    own = [f"instrument {name}" for name in instruments.names]
    return Points(seed, own).rows(0, wanted.portfolios)


def execute_search(
    prepared: Prepared,
    wanted: Wanted,
    instruments: Instruments,
    work: Path | None = None,
    progress: Report | None = None,
    threads: int | None = None,
) -> Portfolios:
    """Simulate and judge. Raises R422 where no portfolio meets the limit, S202 where runs fail."""
    run, outputs = prepared.run, prepared.outputs
    aims = goals(outputs)
    if not aims:
        raise RunError("R459", f"{place(run.file, 'outputs')}: of no output a direction is better")
    made = {"priors": sample, "posterior": posterior_draws}[run.source]
    draws = made(prepared.parameters, run.n, run.seed).assign(**prepared.changed)
    few = draws.iloc[: wanted.search_draws]
    corners = subsets(len(instruments.names)).astype(float)
    random = search_points(instruments, wanted, run.seed)
    timed = _timed(wanted, instruments, time_unit(prepared.model))
    simulator = _Simulator(prepared, work, progress, threads)
    varied = draws.loc[:, (draws != draws.iloc[0]).any()].drop(
        columns=held(prepared), errors="ignore"
    )
    if not len(varied.columns):
        raise RunError("R450", f"{place(run.file, 'draws')}: no constant of the model varies")
    strengths = np.vstack([corners, random])
    simulator.total = len(few) * len(strengths) + (len(corners) + _CANDIDATES + len(timed)) * len(
        draws
    )
    tried = simulator.levels("search", _policies(instruments, strengths), few)
    edge = _edges(corners, tried[:, : len(corners)], outputs, wanted)
    if len(edge):
        more = simulator.levels("edge", _policies(instruments, edge), few)
        strengths, tried = np.vstack([strengths, edge]), np.concatenate([tried, more], axis=1)
    # A mean over few draws is not that over all: what comes near the limit is looked at again.
    search = _judged(instruments, strengths, tried, outputs, wanted, slack=_SLACK)
    _reachable(prepared, wanted, search.front)
    # Every subset at full strength, with all draws: for the attribution, and as portfolios.
    whole = simulator.levels("subsets", _policies(instruments, corners), draws)
    chosen = _candidates(search, aims)
    more = chosen[chosen >= len(corners)]
    levels = whole[:, chosen[chosen < len(corners)]]
    if len(more):
        again = simulator.levels("candidates", _policies(instruments, strengths[more]), draws)
        levels = np.concatenate([levels, again], axis=1)
    candidates = _judged(instruments, strengths[chosen], levels, outputs, wanted)
    candidates = candidates.set_index(chosen)
    _reachable(prepared, wanted, candidates.feasible)
    losses = _losses(levels, outputs, aims)
    candidates = _regrets(candidates, losses[0])
    first = losses[0][candidates.feasible.to_numpy()]
    structural = [p for p in prepared.parameters.of_role("structural") if p.name in varied]
    known, chance = known_values(first, [varied[n].to_numpy() for n in varied], run.seed)
    information = pd.DataFrame({"input": list(varied), "value": known})
    late = np.empty((len(outputs), 0, len(draws)))
    if timed:
        late = simulator.levels("timing", [policy for _, _, policy in timed], draws)
    return Portfolios(
        prepared, wanted, instruments.names, tuple(aims), search, candidates,
        _chosen(candidates, aims), _by_setting(candidates, losses[0], draws, structural),
        _parts(whole, instruments, outputs), _pairs(whole, instruments, outputs),
        information.sort_values("value", ascending=False, kind="stable", ignore_index=True),
        perfect_information(first), chance,
        _timing(timed, late, whole, outputs),
        {o.name: float(whole[i, 0].mean()) for i, o in enumerate(outputs)},
        time_unit(prepared.model),
    )  # fmt: skip


def _policies(instruments: Instruments, strengths: np.ndarray) -> list[Setting]:
    return [instruments.policy(f"{i}", row) for i, row in enumerate(strengths)]


def _edges(
    corners: np.ndarray, levels: np.ndarray, outputs: Sequence[Output], wanted: Wanted
) -> np.ndarray:
    """Portfolios on the limit: a subset that meets it at full strength, and so much of one more
    instrument as a straight line between the two allows."""
    if wanted.limit is None:
        return np.empty((0, corners.shape[1]))
    name, most = wanted.limit
    mean = levels[[o.name for o in outputs].index(name)].mean(axis=1)
    found = []
    for k in np.flatnonzero(mean <= most):
        for i in np.flatnonzero(corners[k] == 0):
            beyond = mean[k + 2**i]
            if beyond > most:
                point = corners[k].copy()
                point[i] = (most - mean[k]) / (beyond - mean[k])
                found.append(point)
    return np.array(found).reshape(-1, corners.shape[1])


def _reachable(prepared: Prepared, wanted: Wanted, able: pd.Series) -> None:
    if able.any():
        return
    name, most = wanted.limit
    where = place(prepared.run.file, "limit")
    raise RunError(
        "R422", f"{where}: no portfolio that was tried has a mean {name} of {most:g} or less"
    )


def _losses(levels: np.ndarray, outputs: Sequence[Output], aims: Sequence[Output]) -> np.ndarray:
    """(aims, portfolios, draws): levels turned so that lower is better."""
    names = [o.name for o in outputs]
    return np.array([-o.sign * levels[names.index(o.name)] for o in aims])


def _judged(
    instruments: Instruments,
    strengths: np.ndarray,
    levels: np.ndarray,
    outputs: Sequence[Output],
    wanted: Wanted,
    slack: float = 0.0,
) -> pd.DataFrame:
    """One row a portfolio: strengths, the mean of each output, its worst tenth where one direction
    is better, whether it meets the limit, and whether it is on the front of those that do, or miss
    it by no more than the share `slack`."""
    table = pd.DataFrame(strengths, columns=list(instruments.names))
    aims = []
    for i, output in enumerate(outputs):
        table[f"{output.name}, mean"] = levels[i].mean(axis=1)
        if output.better != "none":
            worst = -output.sign * worst_tenth(-output.sign * levels[i])
            table[f"{output.name}, worst tenth"] = worst
            aims += [-output.sign * table[f"{output.name}, {s}"] for s in ("mean", "worst tenth")]
    able = near = np.ones(len(table), dtype=bool)
    if wanted.limit is not None:
        name, most = wanted.limit
        own = table[f"{name}, mean"].to_numpy()
        able, near = own <= most, own <= most + slack * abs(most)
        aims.append(own)
    front = np.zeros(len(table), dtype=bool)
    front[near] = nondominated(np.column_stack(aims)[near])
    return table.assign(feasible=able, front=front)


def _candidates(search: pd.DataFrame, aims: Sequence[Output]) -> np.ndarray:
    """Rows to judge with all draws: the ends of the front for each aim, and others spread along the
    first; all in ascending order."""
    able = search[search.front]
    first = f"{aims[0].name}, mean"
    ordered = able.sort_values(first, ascending=aims[0].better == "lower", kind="stable").index
    best = []
    for output in aims:
        for what in ("mean", "worst tenth"):
            column = able[f"{output.name}, {what}"]
            best += list(column.sort_values(ascending=output.better == "lower").index[:8])
    left = max(_CANDIDATES - len(set(best)), 2)
    spread = ordered[np.unique(np.linspace(0, len(ordered) - 1, left).astype(int))]
    return np.unique([*best, *spread])


def _regrets(candidates: pd.DataFrame, loss: np.ndarray) -> pd.DataFrame:
    """With the regret of the first aim, among the portfolios that meet the limit: mean and 90 %."""
    able = candidates.feasible.to_numpy()
    own = regret(loss[able])
    table = candidates.assign(regret_mean=np.nan, regret_90=np.nan, best_share=np.nan)
    table.loc[able, "regret_mean"] = own.mean(axis=1)
    table.loc[able, "regret_90"] = np.quantile(own, 0.9, axis=1)
    table.loc[able, "best_share"] = (own == 0).mean(axis=1)
    return table


def _chosen(candidates: pd.DataFrame, aims: Sequence[Output]) -> pd.DataFrame:
    """The portfolios that answer one question each."""
    able = candidates[candidates.feasible]
    picks = {}
    for output in aims:
        lower = output.better == "lower"
        for what in ("mean", "worst tenth"):
            column = able[f"{output.name}, {what}"]
            picks[f"best for {output.name}, {what}"] = column.idxmin() if lower else column.idxmax()
    picks[f"least regret, {aims[0].name}"] = able.regret_mean.idxmin()
    rows = candidates.loc[list(picks.values())].reset_index(names="portfolio")
    return rows.assign(pick=list(picks))


def _by_setting(candidates, loss: np.ndarray, draws: pd.DataFrame, switches) -> pd.DataFrame:
    """For each setting of each switch: the best portfolio there, what the usual choice would lose
    there, and how alike the order of portfolios is (Spearman's correlation)."""
    from scipy.stats import spearmanr

    able = np.flatnonzero(candidates.feasible.to_numpy())
    own = loss[able]
    usual = own.mean(axis=1)
    best = int(usual.argmin())
    rows = []
    for switch in switches:
        for setting in settings(switch):
            mine = (draws[switch.name] == setting).to_numpy()
            if mine.sum() < ENOUGH:
                continue
            there = own[:, mine].mean(axis=1)
            alike = 1.0 if len(able) < 3 else float(spearmanr(usual, there).statistic)
            rows.append(
                {
                    "switch": switch.name, "setting": setting, "means": meaning(switch, setting),
                    "draws": int(mine.sum()), "best": int(candidates.index[able[there.argmin()]]),
                    "same": bool(there.argmin() == best),
                    "lost": float(there[best] - there.min()),
                    "lost_share": _share(there[best] - there.min(), there.min(), own),
                    "order": alike,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _share(part: float, whole: float, levels: np.ndarray) -> float:
    """A part as a share of the size of a whole; NaN where that is nothing beside the levels."""
    return float(part / abs(whole)) if abs(whole) > _NOTHING * np.abs(levels).max() else np.nan


def _summary(values: np.ndarray) -> dict[str, float]:
    """The mean with its 95 % interval by the number of draws, and 5 to 95 % of the draws."""
    error = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    low, high = np.quantile(values, (0.05, 0.95))
    return {
        "mean": values.mean(), "mean_low": values.mean() - error,
        "mean_high": values.mean() + error, "p5": low, "p95": high,
    }  # fmt: skip


def _parts(whole: np.ndarray, instruments: Instruments, outputs) -> pd.DataFrame:
    """Each instrument's part of the full package, in the unit of the output and as a share; of a
    total whose 95 % interval holds zero there are no shares."""
    rows = []
    for i, output in enumerate(outputs):
        found = shapley(whole[i])
        every = _summary(whole[i, -1] - whole[i, 0])
        total = every["mean"] if every["mean_low"] > 0 or every["mean_high"] < 0 else np.nan
        for name, own in zip(instruments.names, found, strict=True):
            share = np.sign(total) * _share(own.mean(), total, whole[i])
            rows.append({"output": output.name, "unit": output.unit, "instrument": name,
                         **_summary(own), "share": share})  # fmt: skip
        rows.append({"output": output.name, "unit": output.unit, "instrument": "all together",
                     **every, "share": abs(_share(total, total, whole[i]))})  # fmt: skip
    return pd.DataFrame(rows)


def _pairs(whole: np.ndarray, instruments: Instruments, outputs) -> pd.DataFrame:
    rows = []
    for i, output in enumerate(outputs):
        found = interactions(whole[i])
        alone = shapley(whole[i]).mean(axis=1)
        for j, one in enumerate(instruments.names):
            for k in range(j + 1, len(instruments.names)):
                value = found[j, k]
                # Together more than apart, in the direction in which both work.
                way = np.sign(alone[j] + alone[k])
                kind = "synergy" if way * value.mean() > 0 else "overlap"
                if alone[j] * alone[k] < 0:
                    kind = "opposed"
                rows.append({"output": output.name, "unit": output.unit, "one": one,
                             "other": instruments.names[k], **_summary(value),
                             "kind": kind})  # fmt: skip
    return pd.DataFrame(rows)


def _timed(
    wanted: Wanted, instruments: Instruments, clock: TimeUnit
) -> list[tuple[str, str, Setting]]:
    """The full package later, in another order, and with one instrument later."""
    full = [1.0] * len(instruments.names)
    found = []
    for years in wanted.delays:
        later = dict.fromkeys(instruments.names, years)
        found.append(("all", f"{clock.count(years)} later", instruments.policy("-", full, later)))
    for order in wanted.orders:
        later = {
            name: wanted.gap * number for number, stage in enumerate(order.stages) for name in stage
        }
        found.append(("order", order.name, instruments.policy("-", full, later)))
    if wanted.delays:
        years = wanted.delays[-1]
        for name in instruments.names:
            policy = instruments.policy("-", full, {name: years})
            found.append(("one", f"{label(name)} {clock.count(years)} later", policy))
    named = [(kind, name, replace(p, name=f"{i}")) for i, (kind, name, p) in enumerate(found)]
    if named:
        last = [wanted.gap * (len(order.stages) - 1) for order in wanted.orders]
        instruments.check_delays(max([*wanted.delays, *last]))
    return named


def _timing(timed, late: np.ndarray, whole: np.ndarray, outputs) -> pd.DataFrame:
    """What each timing changes against the full package at once, draw by draw."""
    rows = []
    for number, (kind, name, _) in enumerate(timed):
        for i, output in enumerate(outputs):
            change = late[i, number] - whole[i, -1]
            rows.append({"kind": kind, "timing": name, "output": output.name,
                         "unit": output.unit, **_summary(change)})  # fmt: skip
    return pd.DataFrame(rows)
