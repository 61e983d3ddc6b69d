"""From a model to one readable Python program.

The program's text (`Program.source`) runs as it stands and is, the same text compiled by
LLVM, the kernel of ensembles. Its functions: `constants` (values that never change in a
run), `drivers` (values that time alone changes), `initial` (states at the start),
`evaluate` (rates and outputs at a time),
`remember` (what a later step looks back at) and `clip` (non-negative stocks), followed by
the text of `runtime.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import Error, ModelError, SimulationError, raise_all
from .expressions import key
from .functions import LEFT_TO_PYSD
from .layout import Layout
from .model import Model, read_model, reader_of
from .settings import time_settings
from .source import write_source
from .translate import run_with_pysd

METHODS = ("euler", "rk4")


@dataclass(frozen=True)
class Program:
    """A compiled model.

    `outputs` are the labels that a run returns, `parameters` the constants in the order
    of the vector p (shape: parameters, then the four time settings), `defaults` their
    values; arrays stand there element by element. `frozen` are constants that decide the order
    of a delay, `timing` those that decide the time settings. `streams` has by name the places in
    memory where random numbers begin, `slots` the label of each place in the state vector, `delays`
    what `settings.cautions` looks at, `lines` the label of the variable that each line of the
    source computes.
    """

    model: Model
    source: str = field(repr=False)
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: tuple[float, ...]
    frozen: frozenset[str]
    timing: frozenset[str]
    streams: dict[str, int]
    slots: tuple[str, ...] = field(repr=False)
    states: int
    derived: int
    drivers: int
    memory: int
    buffers: int
    delays: tuple[tuple, ...] = field(repr=False)
    lines: dict[int, str] = field(repr=False)
    initial_time: float = 0.0
    final_time: float = 0.0
    time_step: float = 1.0
    saveper: float = 1.0
    _made: dict[tuple, Any] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        span = f"{self.initial_time:g} to {self.final_time:g} by {self.time_step:g}"
        counts = f"{self.states} states, {len(self.outputs)} outputs"
        return f"Program({self.model.path.name}: {counts}, {span}, {self.model.method})"

    def with_outputs(self, outputs: Iterable[str]) -> Program:
        """The same model compiled for other outputs; S203 for a name that is not there."""
        names = tuple(dict.fromkeys(outputs))
        return self.kept(names, lambda: compile_model(self.model, names))

    def kept(self, asked: tuple, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for this program, whatever its time settings."""
        if asked not in self._made:
            self._made[asked] = make()
        return self._made[asked]

    def timed(self, values: Mapping[str, float]) -> Program:
        """The same program with other time settings: of those, or of constants that decide them.

        `values` go by label. Raises ModelError M113.
        """
        controls, _ = time_settings(self.model, {key(n): float(v) for n, v in values.items()})
        defaults = (*self.defaults[: -len(controls)], *controls.values())
        return replace(self, defaults=defaults, **controls)


def compile_model(model: Model | str | Path, outputs: Iterable[str] | None = None) -> Program:
    """Compile a model, or that at a path; `outputs` None keeps every variable but tables.

    Raises ModelError: M106 circular definition, M109 unsupported construct, M113 time settings,
    M115 method of integration, M119 and M120 files and subscripts; SimulationError S203 for an
    unknown output.
    """
    if isinstance(model, str | Path):
        model = read_model(model)
    if not isinstance(model, Model):
        text = f"compile_model takes a Model or the path of one, not {type(model).__name__}"
        raise SimulationError("S213", text)
    if isinstance(outputs, str):
        outputs = (outputs,)
    if model.method not in METHODS:
        raise ModelError("M115", f"{model.path.name}: {model.method}")
    _refuse(model)
    try:
        layout = Layout(model, outputs)
        source, lines, defaults = write_source(layout)
    except RecursionError:
        raise ModelError("M110", f"{model.path.name}: a chain of definitions is too long") from None
    return Program(
        model=model,
        source=source,
        outputs=layout.outputs,
        parameters=layout.parameters,
        defaults=defaults,
        frozen=frozenset(layout.frozen),
        timing=frozenset(layout.timing),
        streams=layout.streams,
        slots=layout.slot_labels(),
        states=layout.slots,
        derived=layout.derived_size,
        drivers=layout.drivers_size,
        memory=layout.memory,
        buffers=layout.buffers,
        delays=layout.delays(),
        lines=lines,
        **layout.controls,
    )


def _refuse(model: Model) -> None:
    """Raise what stands in the way of compiling a model; M109 says where PySD runs it instead."""
    everything = (*model.variables.values(), *model.hidden.values())
    refused = dict.fromkeys(v.expression[1:] for v in everything if v.expression[0] == "refused")
    if not refused:
        return
    hint = ""
    functions = [re.search(r"the function '([^']+)'$", text) for _, text in refused]
    if all(found and found[1] in LEFT_TO_PYSD for found in functions) and _runs_in_pysd(model):
        method = "" if model.method == "euler" else ', method="euler"'
        hint = f'; simulate(model, engine="pysd"{method}) runs this file'
    raise_all([ModelError(*why) for why in refused], hint)


def _runs_in_pysd(model: Model) -> bool:
    """Whether PySD gets through the first step of a model."""
    try:
        controls, _ = time_settings(model)
        file, _ = reader_of(model.path, model.text).abstract()
        times = {"final_time": controls["initial_time"] + controls["saveper"]}
        run_with_pysd(model.path, file, {}, times, model.data)
    except Error:
        return False
    return True
