"""Run folders that ask in which futures a policy fails: [discover] read, and carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .compare import differences, floor_of, period_years, reduced, yearly
from .discover import Box, Limit, find_boxes, inside, measured
from .errors import RunError
from .files import checked, load_arrays, place, save_arrays, typed
from .inputs import Inputs, sobol_points
from .names import meant
from .outputs import Output
from .parameters import Parameter
from .run import Prepared, Run, held, yearly_experiment
from .simulation import simulate
from .switches import meaning
from .tree import Leaf, grow

_CASE = {"policy": str, "output": str}
_MORE = {"period": str, "of": str, "above": float, "below": float}
_OF = ("change", "level")
_FEWEST = 256  # draws: half of them find a box, half test it
_LEAVES = 6
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

    @property
    def period(self) -> str:
        first, last = self.years
        return f"{first}" if first == last else f"{first}–{last}"

    @property
    def sentence(self) -> str:
        if self.of == "level":
            how = {"sum": ", summed,", "mean": ", averaged,", "last": " at its end"}
            own = how[self.output.reduction] if self.years[0] < self.years[1] else ""
            what = f"has {self.output.name}{own} {self.side} {self.limit:g} {self.output.unit}"
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
class Found:
    """The boxes of one case, as found on half of the draws and measured on the other half, the
    trajectories that led to them, and the leaves of a tree (rows of the other half)."""

    case: Case
    rate: float
    boxes: tuple[tuple[Box, Box], ...]
    paths: tuple[tuple[Box, ...], ...]
    leaves: tuple[tuple[Leaf, float, float], ...]
    y: np.ndarray

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


def read_cases(run: Run, outputs: Mapping[str, Output]) -> tuple[Case, ...]:
    """The table [discover] of a run. Raises R407 to R411 and R421."""
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
    return tuple(_case(run, outputs, entry) for entry in data["cases"])


def _case(run: Run, outputs: Mapping[str, Output], entry) -> Case:
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
    return Case(entry["policy"], outputs[entry["output"]], years, of, side, entry[side])


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
    points = sobol_points(len(inputs), run.n, run.seed)
    x = inputs.draws(points).assign(**prepared.changed)
    half = inputs.halves(points, run.seed)
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
        found.append(_search(case, x, y, half, list(switches), run.seed))
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
    case: Case, x: pd.DataFrame, y: np.ndarray, half: np.ndarray, switches: list[str], seed: int
) -> Found:
    one, other = x[half].reset_index(drop=True), x[~half].reset_index(drop=True)
    mine, rest = y[half], y[~half]
    pairs, paths, leaves = [], [], []
    if 0 < mine.sum() < len(mine):
        before, left = np.ones(len(one), dtype=bool), np.ones(len(other), dtype=bool)
        for box, path in find_boxes(one, mine, switches):
            again = measured(box.limits, other[left], rest[left])
            if again.density <= rest[left].mean():  # other draws do not confirm it
                break
            pairs.append((_of_all(box, mine, before), _of_all(again, rest, left)))
            paths.append(tuple(path))
            left &= ~inside(box.limits, other)
            before &= ~inside(box.limits, one)
        for leaf in grow(one, mine, other, _LEAVES, seed):
            held = rest[leaf.rows]
            if held.size:
                leaves.append((leaf, float(held.mean()), float(held.sum() / max(rest.sum(), 1))))
        leaves.sort(key=lambda entry: -entry[1])
    return Found(case, float(rest.mean()), tuple(pairs), tuple(paths), tuple(leaves), y)


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
    if unit == "Year" and abs(value) >= 1000:
        return f"{value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def conditions(leaf: Leaf, found: Discovery) -> str:
    """The way to a leaf in words: conditions on one input joined."""
    ends: dict[str, list[float]] = {}
    for name, sign, at in leaf.conditions:
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
    text = f"{one.case.sentence}, in {one.rate:.0%} of the futures"
    if not one.boxes:
        if 0 < one.rate < 1:
            return f"{text}; no box of a few limits holds them."
        return f"{text}."
    box = one.boxes[0][1]
    where = " and ".join(limit_text(n, limit, found) for n, limit in box.limits.items())
    text += (
        f"; most surely where {where}: there in {box.density:.0%}. These are {box.mass:.0%} of the "
        f"futures, and {box.coverage:.0%} of the failures lie there (by draws that did not find "
        "the box)."
    )
    loose = [n for n, chance in box.chance.items() if chance > 0.05]
    if loose:
        text += f" On those draws chance may explain the limit on {' and '.join(loose)}."
    return text
