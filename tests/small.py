"""Small models for tests: written from a few equations, or joined from the fixtures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sdkit import Experiment, Setting, read_model

FIXTURES = Path(__file__).parent / "functions"
CONTROL = """
INITIAL TIME = {start} ~ Month ~ |
FINAL TIME = {end} ~ Month ~ |
TIME STEP = {step} ~ Month ~ |
SAVEPER = {saveper} ~ Month ~ |
"""
SKETCH = """
\\\\\\---///Sketch information - do not modify anything except names
V300  Do not put anything below this section - it will be ignored
*View 1
$192-192-192,0,Arial|10||0-0-0|0-0-0|0-0-255|-1--1--1|-1--1--1|96,96,100,0
///---\\\\\\
:L<%^E!@
15:0,0,0,{number},0,0
"""
METHODS = {"euler": 0, "rk4": 5}


def text(equations: str, start=0, end=10, step=0.125, saveper="TIME STEP", method="euler") -> str:
    """The text of a .mdl from lines `name = expression`; a line that ends in | stands as it is."""
    lines = [
        line if line.rstrip().endswith("|") else f"{line} ~ Dmnl ~ |"
        for line in equations.strip().split("\n")
        if line.strip()
    ]
    control = CONTROL.format(start=start, end=end, step=step, saveper=saveper)
    return "{UTF-8}\n" + "\n".join(lines) + control + SKETCH.format(number=METHODS[method])


def model(folder: Path, equations: str, name: str = "small.mdl", **settings):
    """Write `text(equations, **settings)` into a folder and read it."""
    path = folder / name
    path.write_text(text(equations, **settings), encoding="utf-8")
    return read_model(path)


def joined(folder: Path):
    """One model of all the .mdl fixtures, so that one kernel serves them all."""
    bodies = []
    for path in sorted(FIXTURES.glob("*.mdl")):
        body, mark, _ = path.read_text(encoding="utf-8").partition("\nINITIAL TIME")
        assert mark
        bodies.append(body.removeprefix("{UTF-8}"))
    path = folder / "joined.mdl"
    tail = CONTROL.format(start=0, end=10, step=0.125, saveper="TIME STEP")
    tail += SKETCH.format(number=0)
    path.write_text("{UTF-8}" + "\n".join(bodies) + tail, encoding="utf-8")
    return read_model(path)


def experiment(outputs, times, policies=None, draws=None, **more) -> Experiment:
    """An experiment of one scenario; `policies` maps names to values, `draws` to columns."""
    frame = pd.DataFrame(draws or {}, index=None if draws else range(1))
    frame.index.name = "draw"
    settings = tuple(Setting(n, v) for n, v in (policies or {"as it is": {}}).items())
    return Experiment(
        scenarios=(Setting("reference", {}),),
        policies=settings,
        draws=frame,
        outputs=tuple(outputs),
        times=np.asarray(times, dtype=float),
        **more,
    )
