"""Run folders that ask in which futures a policy fails: [discover] read, and carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .compare import differences, floor_of, period_years, reduced, yearly
from .discover import Box, Limit, chance_of, find_boxes, inside, measured
from .errors import RunError
from .files import checked, load_arrays, place, save_arrays, typed
from .findings import share
from .inputs import Inputs
from .names import meant
from .outputs import Output
from .parameters import Parameter
from .run import Prepared, Run, held, yearly_experiment
from .simulation import simulate
from .switches import meaning
from .time_units import YEAR, TimeUnit, parsed
from .tree import Leaf, Split, grow, judge

_CASE = {"policy": str, "output": str}
_MORE = {"period": str, "of": str, "above": float, "below": float}
_OF = ("change", "level")
_FEWEST = 256  # draws: half of them find a box, half test it
_LEAVES = 6
ENOUGH = 10  # failures, and as many of the others, among the draws that judge
_CHANCE = 0.01  # that other draws bear out a box that means nothing
_BLOCK = 1024  # draws at a time: what an interruption loses


@dataclass(frozen=True)
class Case:
    """What counts as a failure: an output of a policy, over a period, above or below a limit; `of`
    says whether its level or its relative change from the first policy."""

    policy: str
    output: Output
    years: tuple[int, int]
    of: str
    side: str
    limit: float
    clock: TimeUnit = YEAR

    @property
    def period(self) -> str:
        return self.clock.span(*self.years)

    @property
    def sentence(self) -> str:
        if self.of == "level":
            how = {"sum": ", summed,", "mean": ", averaged,", "last": " at its end"}
            several = self.years[0] < self.years[1]
            own = how[self.output.reduction] if several else ""
            name = self.output.noun if several else self.output.name
            what = f"has {name}{own} {self.side} {self.limit:g} {self.output.unit}"
            return f"“{self.policy}” {what}, {self.period}"
        size = f"{100 * abs(self.limit):g} %"
        if self.limit == 0:
            word = "raises" if self.side == "above" else "lowers"
            return f"“{self.policy}” {word} {self.output.name}, {self.period}"
        if self.limit < 0:
            more = "less" if self.side == "above" else "more"
            return f"“{self.policy}” lowers {self.output.name} by {more} than {size}, {self.period}"
        more = "more" if self.side == "above" else "less"
        return f"“{self.policy}” raises {self.output.name} by {more} than {size}, {self.period}"


@dataclass(frozen=True)
class Branch:
    """One end of a tree, with the share of failures in it (density) and the share of all failures
    that it holds (coverage), on the draws that judge it and on those that grew it; `draws` are
    those that judge."""

    leaf: Leaf
    density: float
    coverage: float
    draws: int
    density_grown: float
    coverage_grown: float


@dataclass(frozen=True)
class Found:
    """The boxes of one case, as found on half of the draws and measured on the other half, the
    trajectories that led to them, the ends of a tree that was grown on the first half and judged
    on the other, and all its splits; `refuted` says whether the other half spoke against a box.
    `judged` counts the draws of the other half, `failed` those of them that fail."""

    case: Case
    rate: float
    judged: int
    failed: int
    boxes: tuple[tuple[Box, Box], ...]
    paths: tuple[tuple[Box, ...], ...]
    leaves: tuple[Branch, ...]
    splits: tuple[Split, ...]
    refuted: bool
    y: np.ndarray

    @property
    def few(self) -> str:
        """Why nothing is said of where failures gather; "" if enough draws say it."""
        for count, what in ((self.failed, "fail"), (self.judged - self.failed, "do not fail")):
            if 0 < count < ENOUGH:
                verb = what if count > 1 else {"fail": "fails"}.get(what, "does not fail")
                return (
                    f"Only {count} of the {self.judged:,} draws held out to judge {verb}: too few "
                    "to say where failures gather."
                )
        return ""

    def __repr__(self) -> str:
        return f"Found({self.case!r}: {len(self.boxes)} boxes)"


@dataclass(frozen=True)
class Discovery:
    """All that came of a search; `x` (draws, constants), `half` true for draws that find boxes."""

    prepared: Prepared
    found: tuple[Found, ...]
    x: pd.DataFrame
    half: np.ndarray
    switches: Mapping[str, Parameter]

    def __repr__(self) -> str:
        return f"Discovery({self.prepared!r}: {len(self.found)} cases)"


def read_cases(run: Run, outputs: Mapping[str, Output], clock: TimeUnit = YEAR) -> tuple[Case, ...]:
    """The table [discover] of a run, of a model with this unit of time. Raises R407 to R411 and
    R421."""
    path = run.file
    data = checked(path, run.options, {"cases": list}, {}, "discover")
    if run.source == "defaults":
        raise RunError(
            "R450", f'{place(path, "from")}: from has to be "priors" or "posterior" here'
        )
    if len(run.scenarios) != 1:
        raise RunError("R461", f"{place(path, 'scenarios')}: scenarios has to name one scenario")
    if run.n < _FEWEST:
        raise RunError("R421", f"{run.where_n} = {run.n}; a search needs {_FEWEST} draws or more")
    if not data["cases"]:
        raise RunError("R408", f"{place(path, 'cases')}: cases is empty")
    return tuple(_case(run, outputs, entry, clock) for entry in data["cases"])


def _case(run: Run, outputs: Mapping[str, Output], entry, clock: TimeUnit) -> Case:
    path = run.file
    entry = checked(path, typed(path, "cases", entry, dict), _CASE, _MORE, "cases")
    where = place(path, "cases")
    if ("above" in entry) == ("below" in entry):
        raise RunError("R457", f"{where}: a case needs either above or below")
    of = entry.get("of", "change")
    if of not in _OF:
        raise RunError("R441", f"{where}: of = {of!r}{meant(of, _OF)}")
    if entry["policy"] not in run.policies:
        near = meant(entry["policy"], run.policies)
        raise RunError("R411", f"{where}: {entry['policy']!r} is none of policies{near}")
    if of == "change" and entry["policy"] == run.policies[0]:
        raise RunError("R472", f"{where}: the first policy does not differ from itself")
    if entry["output"] not in outputs:
        near = meant(entry["output"], outputs)
        raise RunError("R411", f"{where}: {entry['output']!r} is none of outputs{near}")
    period = entry.get("period", "horizon")
    try:
        period_years(period, run.horizon)
    except ValueError:
        raise RunError(
            "R453", f"{where}: period {period!r} is no year or span of the horizon"
        ) from None
    side = "above" if "above" in entry else "below"
    if of == "change" and entry[side] <= -1:
        raise RunError(
            "R443", f"{where}: {side} = {entry[side]:g}; a change is a share, -0.5 for half as much"
        )
    years = period_years(period, run.horizon)
    return Case(entry["policy"], outputs[entry["output"]], years, of, side, entry[side], clock)


def execute_discovery(
    prepared: Prepared,
    cases: Sequence[Case],
    work: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Discovery:
    """Simulate, then search. Raises S202 where runs fail, R474 for the change of a level that is
    nothing."""
    run = prepared.run
    inputs = Inputs(prepared.parameters, run.source, held=held(prepared))
    points = inputs.points(run.n, run.seed, shuffled=True)
    x = inputs.draws(points).assign(**prepared.changed)
    half, rows = inputs.halves(points, run.seed), inputs.rows(points)
    levels, floors = _levels(prepared, cases, x, work, progress, threads)
    names = [p.name for p in prepared.policies]
    switches = {p.name: p for p in prepared.parameters.of_role("structural") if p.name in x}
    x = x.loc[:, (x != x.iloc[0]).any()]
    found = []
    for case, level, floor in zip(cases, levels, floors, strict=True):
        if case.of == "change":
            level = differences(level, floor)[1]
        own = level[0, names.index(case.policy)]
        if np.isnan(own).any():
            where = place(run.file, "cases")
            raise RunError(
                "R474",
                f"{where}: {case.output.name} is nothing under {names[0]!r} in some draws, so that "
                'its change is no share of it; give of = "level" and a level',
            )
        y = own > case.limit if case.side == "above" else own < case.limit
        found.append(_search(case, x, y, half, rows, list(switches), run.seed))
    return Discovery(prepared, tuple(found), x, half, switches)


def _levels(
    prepared: Prepared, cases: Sequence[Case], x: pd.DataFrame, work, progress, threads
) -> tuple[np.ndarray, np.ndarray]:
    """Of each case its output over its period (cases, 1, policies, draws), and what counts as
    nothing (cases,); some draws at a time, read from the working folder where it holds them."""
    progress = progress or (lambda done, total: None)
    program, experiment = yearly_experiment(prepared, x)
    parts = []
    for low in range(0, len(x), _BLOCK):
        path = work and work / f"levels-{len(x)}-{low}.npz"
        saved = path and load_arrays(path)
        if not saved:
            draws = x.iloc[low : low + _BLOCK]
            size = len(draws)
            result = simulate(
                program, replace(experiment, draws=draws), threads=threads,
                seed=prepared.run.seed,
                progress=lambda done, total, low=low, size=size: progress(
                    low + done * size // max(total, 1), len(x)
                ),
            )  # fmt: skip
            values = [yearly(result, case.output) for case in cases]
            saved = {
                "levels": np.array(
                    [reduced(v, c.output, c.years) for v, c in zip(values, cases, strict=True)]
                ),
                "floors": np.array([floor_of(v) for v in values]),
            }
            if path:
                save_arrays(path, saved)
        parts.append(saved)
    levels = np.concatenate([part["levels"] for part in parts], axis=-1)
    return levels, np.max([part["floors"] for part in parts], axis=0)


def _search(
    case: Case,
    x: pd.DataFrame,
    y: np.ndarray,
    half: np.ndarray,
    clusters: np.ndarray | None,
    switches: list[str],
    seed: int,
) -> Found:
    """Boxes and a tree from one half of the draws, judged on the other. `clusters` are rows of the
    posterior (draws,)."""
    one, other = x[half].reset_index(drop=True), x[~half].reset_index(drop=True)
    mine, rest = y[half], y[~half]
    pairs, paths, leaves, splits, refuted = [], [], [], (), False
    failed = int(rest.sum())
    own = None if clusters is None else clusters[~half]
    if 0 < mine.sum() < len(mine) and min(failed, len(rest) - failed) >= ENOUGH:
        before, left = np.ones(len(one), dtype=bool), np.ones(len(other), dtype=bool)
        for box, path in find_boxes(one, mine, switches):
            again = measured(box.limits, other[left], rest[left])
            rows_left = None if own is None else own[left]
            if chance_of(inside(box.limits, other[left]), rest[left], rows_left) > _CHANCE:
                refuted = True  # other draws do not confirm it
                break
            pairs.append((_of_all(box, mine, before), _of_all(again, rest, left)))
            paths.append(tuple(path))
            left &= ~inside(box.limits, other)
            before &= ~inside(box.limits, one)
        tree = judge(grow(one, mine, other, _LEAVES, seed), mine, rest, own)
        splits = tree.splits
        for leaf in tree.leaves if len(tree.leaves) > 1 else ():
            there, before = rest[leaf.rows], mine[leaf.grown]
            leaves.append(
                Branch(
                    leaf, float(there.mean()), float(there.sum() / failed), len(there),
                    float(before.mean()), float(before.sum() / mine.sum()),
                )
            )  # fmt: skip
        leaves.sort(key=lambda branch: -branch.density)
    return Found(
        case, float(rest.mean()), len(rest), failed, tuple(pairs), tuple(paths), tuple(leaves),
        splits, refuted, y,
    )  # fmt: skip


def _of_all(box: Box, y: np.ndarray, left: np.ndarray) -> Box:
    """A box that was measured on what earlier boxes left, with shares of all cases and draws."""
    held = box.coverage * y[left].sum() / max(int(y.sum()), 1)
    return replace(box, coverage=float(held), mass=float(box.mass * left.mean()))


# -- in words ----------------------------------------------------------------------------


def limit_text(name: str, limit: Limit, found: Discovery) -> str:
    """A limit in the model's words and units."""
    if limit.settings is not None:
        switch = found.switches[name]
        return f"{name}: {' or '.join(meaning(switch, s) for s in limit.settings)}"
    item = found.prepared.parameters.find(name)
    unit = "" if item.unit in ("", "Dmnl") else f" {item.unit}"
    low, high = _digits(limit.low, item.unit), _digits(limit.high, item.unit)
    if not np.isfinite(limit.low):
        return f"{name} under {high}{unit}"
    if not np.isfinite(limit.high):
        return f"{name} over {low}{unit}"
    return f"{name} from {low} to {high}{unit}"


def _digits(value: float, unit: str) -> str:
    """Three digits; a date keeps its year."""
    if parsed(unit) == {YEAR.one: 1.0} and YEAR.dated(value):
        return f"{value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def conditions(way: Sequence[tuple[str, str, float]], found: Discovery) -> str:
    """The way to a leaf or a fork in words: conditions on one input joined."""
    ends: dict[str, list[float]] = {}
    for name, sign, at in way:
        low, high = ends.get(name, [-np.inf, np.inf])
        ends[name] = [max(low, at), high] if sign == ">" else [low, min(high, at)]
    parts = []
    for name, (low, high) in ends.items():
        if name in found.switches:
            switch = found.switches[name]
            held = np.arange(switch.low, switch.high + 1)
            chosen = tuple(held[(held > low) & (held <= high)])
            parts.append(limit_text(name, Limit(settings=chosen), found))
        else:
            parts.append(limit_text(name, Limit(low, high), found))
    return "; ".join(parts) or "everywhere"


def in_words(one: Found, found: Discovery) -> str:
    """What a case's first box says, in a sentence or two."""
    text = f"{one.case.sentence}, in {share(one.rate)} of the futures"
    if not one.boxes:
        return f"{text}. {nothing(one)}".strip()
    box = one.boxes[0][1]
    where = " and ".join(limit_text(n, limit, found) for n, limit in box.limits.items())
    text += (
        f", and in {share(box.density)} of those where {where}. That box holds {share(box.mass)} "
        f"of the futures and {share(box.coverage)} of the failures, measured on draws that did "
        "not find it."
    )
    loose = [n for n, chance in box.chance.items() if chance > 0.05]
    if loose:
        text += f" On those draws, chance may explain the limit on {' and '.join(loose)}."
    return text


def nothing(one: Found) -> str:
    """Why a case has no box, in a sentence; "" where nothing is to be explained."""
    if one.rate == 0:
        return f"None of the {one.judged:,} draws held out to judge fails."
    if one.rate == 1:
        return f"All {one.judged:,} draws held out to judge fail, so nothing tells them apart."
    if one.few:
        return one.few
    if one.refuted:
        return (
            "The box that was found on half of the draws holds no more failures on the other half "
            "than chance gives, so none is shown."
        )
    return "No box of a few limits gathers the failures."


def tree_said(one: Found) -> str:
    """What became of a tree's splits on the draws that judge them; "" where none was grown."""
    if not one.splits:
        return ""
    count, kept = len(one.splits), sum(split.survives for split in one.splits)
    text = f"A classification tree was grown on {len(one.y) - one.judged:,} draws and judged on "
    text += f"the other {one.judged:,}. "
    if not kept:
        return text + (
            "None of its splits survives there: what it found on its own draws is no more than "
            "chance gives, so it names no cause."
        )
    if kept == count:
        return text + ("Its one split survives there." if count == 1
                       else f"All {count} of its splits survive there.")  # fmt: skip
    return text + (
        f"{kept} of its {count} splits survive{'s' if kept == 1 else ''} there; the others are no "
        "more than chance gives, and are left out."
    )
