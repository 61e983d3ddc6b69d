"""Run folders that ask for the best portfolio: the table [optimize] of run.toml.

The first policy of a run is the baseline, the others are its instruments: a portfolio gives each a
strength from 0 to 1, by which its levers go from their defaults to the values of the policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import ParameterError, RunError
from .experiment import Setting
from .files import checked, place, typed
from .names import meant
from .outputs import Output
from .run import Prepared, Run

_OPTIONS = {
    "limit": dict, "portfolios": int, "search_draws": int, "delays": list, "orders": list,
    "gap": float,
}  # fmt: skip
_MOST = 10  # instruments: every subset of them is simulated
_FEWEST = 64  # draws


@dataclass(frozen=True)
class Order:
    """A way to begin: stages of instruments, each some years after the one before."""

    name: str
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Wanted:
    """The table [optimize]. `limit` is an output and the most that its mean over the draws may be;
    `portfolios` are tried with `search_draws` draws each, those that matter with all."""

    limit: tuple[str, float] | None
    portfolios: int
    search_draws: int
    delays: tuple[float, ...]
    orders: tuple[Order, ...]
    gap: float


def read_wanted(run: Run) -> Wanted:
    """The table [optimize] of a run. Raises R407 to R412 and R421."""
    path = run.file
    data = checked(path, run.options, {}, _OPTIONS, "optimize")

    def impossible(code: str, key: str, text: str):
        raise RunError(code, f"{place(path, key)}: {key} {text}")

    if run.source == "defaults":
        impossible("R450", "from", 'has to be "priors" or "posterior"')
    if len(run.scenarios) != 1:
        impossible("R461", "scenarios", "has to name one scenario")
    if not 3 <= len(run.policies) <= _MOST + 1:
        impossible("R462", "policies", f"has to name the baseline and two to {_MOST} instruments")
    portfolios, search = data.get("portfolios", 2048), data.get("search_draws", 64)
    for key, value in (("portfolios", portfolios), ("search_draws", search)):
        if value < 16 or value & (value - 1):
            impossible("R445", key, f"= {value}; it has to be a power of two from 16 up")
    if run.n < _FEWEST:
        text = f"{run.where_n} = {run.n}; the worst tenth needs {_FEWEST} draws or more"
        raise RunError("R421", text)
    if search > run.n:
        where = place(path, "search_draws" if "search_draws" in data else "optimize")
        text = f"{run.where_n} = {run.n}, fewer than the search_draws = {search}"
        raise RunError("R481", f"{text} ({where})" if run.trial else f"{where}: {text}")
    limit = data.get("limit")
    if limit is not None:
        limit = checked(path, limit, {"output": str, "most": float}, {}, "limit")
        if limit["output"] not in run.outputs:
            where = place(path, "limit")
            near = meant(limit["output"], run.outputs)
            raise RunError("R411", f"{where}: {limit['output']!r} is none of outputs{near}")
        limit = (limit["output"], limit["most"])
    delays = tuple(sorted(typed(path, "delays", d, float) for d in data.get("delays", ())))
    if any(d <= 0 for d in delays):
        impossible("R443", "delays", "have to be above zero")
    gap = data.get("gap", 2.0)
    if gap <= 0:
        impossible("R443", "gap", "has to be above zero")
    orders = tuple(_order(run, entry) for entry in data.get("orders", ()))
    for name in (names := [order.name for order in orders]):
        if names.count(name) > 1:
            raise RunError("R412", f"{place(path, name)}: orders holds {name!r} twice")
    return Wanted(limit, portfolios, search, delays, orders, gap)


def _order(run: Run, entry) -> Order:
    path = run.file
    entry = checked(
        path, typed(path, "orders", entry, dict), {"name": str, "stages": list}, {}, "orders"
    )
    where = place(path, entry["name"])
    stages = []
    for stage in entry["stages"]:
        names = typed(path, "stages", stage, list)
        for name in names:
            if name not in run.policies[1:]:
                near = meant(name, run.policies[1:])
                raise RunError("R411", f"{where}: {name!r} is no instrument of this run{near}")
        stages.append(tuple(names))
    named = [name for stage in stages for name in stage]
    if sorted(named) != sorted(run.policies[1:]):
        raise RunError("R463", f"{where}: the stages have to name each instrument once")
    return Order(entry["name"], tuple(stages))


class Instruments:
    """From strengths of instruments to values of levers."""

    def __init__(self, prepared: Prepared):
        """Raises R464, R465 where two instruments, or one and the baseline, set the same lever."""
        self.prepared = prepared
        baseline, *self.settings = prepared.policies
        self.baseline = dict(baseline.values)
        self.names = tuple(setting.name for setting in self.settings)
        owner: dict[str, str] = dict.fromkeys(self.baseline, baseline.name)
        for setting in self.settings:
            if not setting.values:
                where = place(prepared.run.file, setting.name)
                raise RunError("R465", f"{where}: {setting.name!r} sets no lever")
            for lever in setting.values:
                if lever in owner:
                    where = place(prepared.run.file, setting.name)
                    raise RunError(
                        "R464", f"{where}: {setting.name!r} and {owner[lever]!r} both set {lever!r}"
                    )
                owner[lever] = setting.name

    def policy(
        self, name: str, strengths: Sequence[float], later: Mapping[str, float] | None = None
    ) -> Setting:
        """A portfolio as a policy; `later` says by how many years an instrument begins later."""
        values = dict(self.baseline)
        for setting, strength in zip(self.settings, strengths, strict=True):
            delay = (later or {}).get(setting.name, 0.0)
            for lever, value in setting.values.items():
                default = self._default(lever)
                values[lever] = default + float(strength) * (value - default)
            for lever in setting.values if delay else ():
                start = self.start_of(lever)
                if start != lever:
                    begins = setting.values.get(start, self.baseline.get(start))
                    values[start] = delay + (self._default(start) if begins is None else begins)
        return Setting(name, values)

    def _default(self, lever: str) -> float:
        item = self.prepared.parameters.find(lever)
        return self.prepared.changed.get(item.name, item.default)

    def start_of(self, lever: str) -> str:
        """The lever by which another begins: "X start" for "X strength" (R466); what is no strength
        begins with itself."""
        plain, bracket, subscripts = lever.partition("[")
        if plain.endswith((" start", " ramp time")):
            return lever
        name = plain.removesuffix(" strength") + " start" + bracket + subscripts
        try:
            item = self.prepared.parameters.find(name)
        except ParameterError:
            item = None
        if lever == name or item is None or item.role != "lever":
            where = place(self.prepared.run.file, "optimize")
            raise RunError(
                "R466",
                f"{where}: delays and orders need a lever {name!r}, the start of {lever!r}; "
                f"{self.prepared.model.path.name} has none",
            )
        return item.name

    def check_delays(self, longest: float) -> None:
        """Refuse delays that no lever allows (R467)."""
        for setting in self.settings:
            for lever in setting.values:
                item = self.prepared.parameters.find(self.start_of(lever))
                begins = self.baseline.get(item.name, self._default(item.name))
                begins = setting.values.get(item.name, begins)
                if item.name != lever and begins + longest > item.high:
                    where = place(self.prepared.run.file, "delays")
                    raise RunError(
                        "R467",
                        f"{where}: {item.name} would be {begins + longest:g}, beyond its range to "
                        f"{item.high:g}",
                    )


def goals(outputs: Sequence[Output]) -> list[Output]:
    """The outputs of which a direction is better: what a portfolio is judged by."""
    return [output for output in outputs if output.better != "none"]


def label(instrument: str) -> str:
    """An instrument's name in a table of several: "strikes only" is strikes there."""
    return instrument.removesuffix(" only")
