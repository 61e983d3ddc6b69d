"""What is simulated: scenarios x policies x draws, and how draws come from priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import ParameterError, RunError, SimulationError
from .expressions import label_key
from .files import number, place, read_rows, read_tables, typed
from .measures import Measure
from .parameters import Parameter, Parameters, no_constant, refuse_twice
from .provenance import verified
from .streams import MOST, Points


@dataclass(frozen=True)
class Setting:
    """A named set of values, in the role of scenario or of policy."""

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self):
        """Refuse two values of one constant (P311)."""
        refuse_twice(self.values, f"the setting {self.name!r}")


@dataclass(frozen=True)
class Experiment:
    """Lanes scenario x policy x draw, and what is kept of each.

    `draws` has one row a draw and one column a sampled constant (perhaps none). `times` are
    ascending and on steps. An output named in `averaged` is saved at times[i] as its mean
    over (times[i-1], times[i]], any other as its value there. `measures` are reduced in the run,
    in windows of their own. Policies share what lies before `branch`.
    """

    scenarios: tuple[Setting, ...]
    policies: tuple[Setting, ...]
    draws: pd.DataFrame | Draws
    outputs: tuple[str, ...]
    times: np.ndarray
    averaged: tuple[str, ...] = ()
    branch: float | None = None
    measures: tuple[Measure, ...] = ()

    def __repr__(self) -> str:
        counts = [
            f"{len(self.scenarios)} scenarios x {len(self.policies)} policies x "
            f"{len(self.draws)} draws",
            f"{len(self.outputs)} outputs at {len(self.times)} times",
            f"{len(self.measures)} measures",
        ]
        return f"Experiment({', '.join(counts)})"

    def __post_init__(self):
        """Refuse what cannot be an experiment (S209, P311)."""

        def wrong(text: str):
            raise SimulationError("S209", f"an experiment's {text}")

        for kind in ("scenarios", "policies"):
            settings = getattr(self, kind)
            if isinstance(settings, Setting) or not all(isinstance(s, Setting) for s in settings):
                wrong(f"{kind} have to be a list of Settings")
            names = [s.name for s in settings]
            if not names or len(set(names)) != len(names):
                wrong(f"{kind} need names, each of its own: {names}")
        for kind in ("outputs", "averaged"):
            names = getattr(self, kind)
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                wrong(f"{kind} have to be a list of names")
        try:
            times = np.asarray(self.times, dtype=float)
        except (TypeError, ValueError):
            times = None
        if times is None or times.ndim != 1:
            wrong("times have to be a list of numbers")
        if isinstance(self.draws, Draws):
            return
        if not isinstance(self.draws, pd.DataFrame) or not len(self.draws):
            wrong("draws have to be a table with a row a draw, or Draws")
        if not self.draws.columns.is_unique:
            wrong("draws have two columns of one name")
        refuse_twice(self.draws.columns, "the columns of draws")
        for name, kind in self.draws.dtypes.items():
            if kind.kind not in "fiub":
                wrong(f"draws of {name!r} are no numbers")


def no_draws() -> pd.DataFrame:
    """One draw that changes nothing."""
    return pd.DataFrame(index=pd.RangeIndex(1, name="draw"))


def read_settings(path: Path, role: str, parameters: Parameters) -> dict[str, Setting]:
    """The scenarios or policies (`role`) of a model by name.

    Policies set levers only (P306), scenarios never do (P307); values stay inside the hard
    bounds (P308), and a lever inside its own range too.
    """
    settings = {}
    for row in read_tables(path, role, {"name": str}, {"description": str, "set": dict}):
        values = {}
        for name, value in row.get("set", {}).items():
            where = f"{place(path, name, row['name'])}, {role} {row['name']!r}"
            setting = typed(path, name, value, float, row["name"])
            item = parameters.check_value(name, setting, where)
            if role == "policy" and item.role != "lever":
                raise ParameterError("P306", f"{where}: {item.name} is {item.role}, no lever")
            if role == "scenario" and item.role == "lever":
                raise ParameterError("P307", f"{where}: {item.name} is a lever")
            if item.role == "lever" and not item.low <= setting <= item.high:
                raise ParameterError(
                    "P308",
                    f"{where}: {item.name} = {setting:g} lies outside its range "
                    f"[{item.low:g}, {item.high:g}] in parameters.csv",
                )
            if item.name in values:
                raise RunError("R412", f"{where}: {item.name} is set twice")
            values[item.name] = setting
        settings[row["name"]] = Setting(row["name"], values, row.get("description", ""))
    return settings


class Draws:
    """Draws from the priors, made a chunk at a time: a million need no more memory than a thousand.

    Each constant has a column of points of its own (`streams.py`), which its name and the seed
    decide, sent through its inverse distribution: a prior added, removed or moved leaves all other
    columns as they were, and the first draws are those of fewer. Columns of structural switches are
    shuffled, so that no two switches move together. The same seed gives the same draws, in
    chunks of any size.
    """

    def __init__(self, parameters: Parameters, n: int, seed: int):
        """`n` is a power of two, `seed` a whole number from zero up (R445, R444)."""
        if not isinstance(n, int | np.integer) or n < 1 or n & (n - 1):
            raise RunError("R445", f"the number of draws has to be a power of two, not {n!r}")
        if n > MOST:
            raise RunError("R445", f"{n} draws are more than {MOST}, the most there can be")
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise RunError("R444", f"a seed has to be a whole number from zero up, not {seed!r}")
        self.items, self.n, self.seed = parameters.sampled, n, seed
        self.index = pd.RangeIndex(n, name="draw")
        self._points: Points | None = None

    def __repr__(self) -> str:
        return f"Draws({self.n} of {len(self.items)} constants, seed {self.seed})"

    def __len__(self) -> int:
        return self.n

    def chunk(self, low: int, high: int) -> pd.DataFrame:
        """Draws `low` to `high`: one row a draw, one column a constant that has a prior."""
        index = self.index[low:high]
        if self._points is None:
            names = [coordinate(item) for item in self.items]
            switches = {coordinate(item) for item in self.items if item.role == "structural"}
            self._points = Points(self.seed, names, switches)
        points = self._points.rows(low, low + len(index))
        columns = {item.name: quantile(item, points[:, i]) for i, item in enumerate(self.items)}
        return pd.DataFrame(columns, index=index)


def coordinate(item: Parameter) -> str:
    """The name under which a constant has its random numbers: however the model spells it."""
    return f"constant {label_key(item.name)}"


def sample(parameters: Parameters, n: int, seed: int) -> pd.DataFrame:
    """All of `Draws` at once: one row a draw (index "draw"), in the order of the model."""
    return Draws(parameters, n, seed).chunk(0, n)


def posterior_draws(parameters: Parameters, n: int, seed: int) -> pd.DataFrame:
    """Draws of the posterior.csv beside the model, the first `n`; what it does not hold comes from
    the priors, with the draws that `sample` makes of this seed.

    Raises as `read_posterior` does, and R448 where the file holds fewer draws.
    """
    held = read_posterior(parameters)
    if len(held) < n:
        path = parameters.path.parent / "posterior.csv"
        raise RunError("R448", f"{path} holds {len(held)} draws, fewer than {n}")
    own = {name: column.to_numpy()[:n] for name, column in held.items()}
    return sample(parameters, n, seed).assign(**own)


def read_posterior(parameters: Parameters) -> pd.DataFrame:
    """The posterior.csv beside a model: one row a draw, one column a constant that it holds.

    Raises R402 where there is no such file, P314 and P315 where nothing says that it is as a fit
    wrote it, P310 and P311 where it does not fit the model, P316 where all its draws are the same.
    """
    if parameters.path is None:
        raise RunError("R402", "a model without parameters.csv has no posterior")
    path = parameters.path.parent / "posterior.csv"
    verified(path)
    rows = read_rows(path, ())
    if not rows:
        raise RunError("R403", f"{path} holds no draw")
    columns = {}
    refuse_twice(rows[0][1], str(path))
    for name in rows[0][1]:
        try:
            item = parameters.find(name)
        except ParameterError:
            text = f"{path}: {no_constant(name, parameters.names)}"
            raise ParameterError("P310", text) from None
        if item.role not in ("fitted", "uncertain", "structural"):
            raise ParameterError("P310", f"{path}: {item.name} is {item.role}, and not fitted")
        values = [number(path, line, name, row[name]) for line, row in rows]
        low, high = item.limits
        if item.role == "structural" and not set(values) <= set(
            range(int(item.low), int(item.high) + 1)
        ):
            raise ParameterError("P310", f"{path}: {item.name} has a setting that is none")
        if (low is not None and min(values) < low) or (high is not None and max(values) > high):
            raise ParameterError("P310", f"{path}: {item.name} leaves its bounds in the model")
        columns[item.name] = values
    absent = [p.name for p in parameters.of_role("fitted") if p.name not in columns]
    if absent:
        raise ParameterError("P310", f"{path}: no column for {absent[0]!r}, which is fitted")
    found = pd.DataFrame(columns)
    # A chain that stays where it is repeats a row, so that some may be equal.
    if len(found) > 1 and len(found.drop_duplicates()) == 1:
        raise ParameterError("P316", f"{path}: all {len(found)} draws are the same")
    return found


def chunk_of(draws: pd.DataFrame | Draws, low: int, high: int) -> pd.DataFrame:
    """Some draws of a table, or of draws that are made when they are needed."""
    return draws.chunk(low, high) if isinstance(draws, Draws) else draws.iloc[low:high]


def quantile(item: Parameter, p: np.ndarray) -> np.ndarray:
    """The prior's quantiles at `p` (same shape, in the unit of the constant).

    For normal and lognormal, low and high are the 5 % and 95 % quantiles before the tails
    are cut at the hard bounds of the model.
    """
    low, high = item.low, item.high
    if item.distribution == "uniform":
        return low + (high - low) * p
    if item.distribution == "loguniform":
        return np.clip(low * np.exp(np.log(high / low) * p), low, high)
    if item.distribution == "triangular":
        mode = (item.default - low) / (high - low)
        left = np.sqrt(p * mode)
        right = 1 - np.sqrt((1 - p) * (1 - mode))
        return low + (high - low) * np.where(p < mode, left, right)
    if item.distribution == "choice":
        edges = np.cumsum(item.weights)[:-1]
        return low + np.searchsorted(edges, p, side="right").astype(float)
    if item.distribution == "normal":
        return _cut_normal(low, high, item.limits, p)
    if item.distribution == "lognormal":
        hard = item.limits
        floor = None if hard[0] is None or hard[0] <= 0 else np.log(hard[0])
        ceiling = None if hard[1] is None else np.log(hard[1])
        values = np.exp(_cut_normal(np.log(low), np.log(high), (floor, ceiling), p))
        return np.clip(values, hard[0], hard[1])
    raise ParameterError("P304", f"{item.name}: unknown distribution {item.distribution!r}")


def _cut_normal(q05, q95, limits, p):
    """Quantiles of a normal distribution with these 5 % and 95 % points, cut at `limits`."""
    from scipy.special import ndtr, ndtri

    middle = (q05 + q95) / 2
    spread = (q95 - q05) / (2 * ndtri(0.95))
    low, high = limits
    below = 0.0 if low is None else ndtr((low - middle) / spread)
    above = 1.0 if high is None else ndtr((high - middle) / spread)
    values = middle + spread * ndtri(below + (above - below) * p)
    return np.clip(values, low, high) if (low is not None or high is not None) else values
