"""Run folders that ask what moves an outcome: the table [sensitivity] of run.toml."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import RunError
from .files import checked, place, typed
from .inputs import Inputs
from .names import meant
from .run import Prepared, Run, held
from .sensitivity import METHODS, Crossing

_OPTIONS = {
    "inputs": list, "screen": int, "trajectories": int, "second_order": bool,
    "at": list, "crossings": list, "stop": bool,
}  # fmt: skip
_FEWEST = 64  # base runs of a sample


@dataclass(frozen=True)
class Asked:
    """The table [sensitivity]: methods, inputs by name or how many to screen for, quantities."""

    methods: tuple[str, ...]
    inputs: tuple[str, ...] | None
    screen: int | None
    trajectories: int
    second_order: bool
    at: tuple[str, ...]
    crossings: tuple[Crossing, ...]
    stop: bool


def read_asked(run: Run) -> Asked:
    """The table [sensitivity] of a run. Raises R407 to R411, R420 and R421."""
    path = run.file
    data = checked(path, run.options, {"methods": list}, _OPTIONS, "sensitivity")

    def impossible(code: str, key: str, text: str):
        raise RunError(code, f"{place(path, key)}: {key} {text}")

    for key in ("methods", "inputs", "at"):
        for name in data.get(key, ["-"]):
            typed(path, key, name, str)
        if len(set(data.get(key, []))) != len(data.get(key, [])):
            raise RunError("R412", f"{place(path, key)}: {key} holds a name twice")
        if key in data and not data[key]:
            impossible("R454", key, "is empty")
    for method in data["methods"]:
        if method not in METHODS:
            impossible("R441", "methods", f"holds {method!r}{meant(method, METHODS)}")
    if run.source == "defaults":
        impossible(
            "R450", "from", 'has to be "priors" or "posterior": with "defaults" nothing varies'
        )
    if run.source == "posterior" and "rbd-fast" in data["methods"]:
        impossible(
            "R420",
            "methods",
            'holds "rbd-fast", which needs independent inputs; those of a posterior are not. '
            "sobol and morris take it as one input, prcc, srrc, pawn and delta as it is",
        )
    if len(run.scenarios) != 1:
        impossible("R461", "scenarios", "has to name one scenario: a study is of one future")
    if "screen" in data and ("inputs" in data or "sobol" not in data["methods"]):
        impossible(
            "R456", "screen", 'chooses the inputs of "sobol", and stands in the place of inputs'
        )
    for key in ("screen", "trajectories"):
        if data.get(key, 2) < 2:
            impossible("R443", key, "has to be two or more")
    for key, method in (("trajectories", "morris"), ("second_order", "sobol")):
        if (
            key in data
            and method not in data["methods"]
            and not (key == "trajectories" and "screen" in data)
        ):
            impossible("R480", key, f'is for "{method}", which methods does not hold')
    if run.n < _FEWEST and data["methods"] != ["morris"]:
        text = f"{run.where_n} = {run.n}; a sample needs {_FEWEST} base runs or more"
        raise RunError("R421", text)
    first, last = run.horizon
    years = {str(year) for year in range(first, last + 1)}
    for name in data.get("at", []):
        if name not in years | {"horizon", "peak", "time of peak"}:
            impossible(
                "R453", "at",
                f'holds {name!r}; it may hold "horizon", "peak", "time of peak" and years '
                f"from {first} to {last}",
            )  # fmt: skip
    return Asked(
        methods=tuple(data["methods"]),
        inputs=tuple(data["inputs"]) if "inputs" in data else None,
        screen=data.get("screen"),
        trajectories=data.get("trajectories", 64),
        second_order=data.get("second_order", False),
        at=tuple(data.get("at", ["horizon"])),
        crossings=tuple(_crossing(run, entry) for entry in data.get("crossings", [])),
        stop=data.get("stop", True),
    )


def _crossing(run: Run, entry) -> Crossing:
    path = run.file
    entry = checked(
        path, typed(path, "crossings", entry, dict), {"output": str},
        {"above": float, "below": float}, "crossings",
    )  # fmt: skip
    where = place(path, "crossings")
    if len(entry) != 2:
        raise RunError("R457", f"{where}: a crossing needs either above or below")
    if entry["output"] not in run.outputs:
        near = meant(entry["output"], run.outputs)
        raise RunError("R411", f"{where}: {entry['output']!r} is none of outputs{near}")
    side = "above" if "above" in entry else "below"
    return Crossing(entry["output"], side, entry[side])


def prepare_inputs(prepared: Prepared, asked: Asked) -> Inputs:
    """All inputs that vary, or those chosen by name. Raises R458, R421 where a sample is too small
    for the number of constants, and as `read_posterior` does."""
    run = prepared.run
    parameters = prepared.parameters
    every = Inputs(parameters, run.source, held=held(prepared))
    varied = len(every.draws(np.full((1, len(every)), 0.5)).columns)
    if set(asked.methods) & {"prcc", "srrc"} and run.n < 2 * varied:
        raise RunError(
            "R421",
            f"{place(run.file, 'n')}: n = {run.n}; a regression on {varied} constants needs at "
            f"least {2 * varied} base runs",
        )
    if asked.inputs is None:
        return every
    names = [as_spelt(prepared, name) for name in asked.inputs]
    try:
        return Inputs(parameters, run.source, names, held(prepared))
    except RunError as error:
        raise RunError(error.code, f"{place(run.file, 'inputs')}: {error.message}") from None


def as_spelt(prepared: Prepared, name: str) -> str:
    """An input's name as the model spells it; what is no variable of it stays as it is."""
    return prepared.model.find(name).name if prepared.model.has(name) else name
