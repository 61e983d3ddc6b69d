"""How long a model of arrays takes: `python -m tests.bench.arrays`.

A hundred variables over 50 x 3 elements (stocks, sums, conditions, exponentials), read, written
as a program, compiled and run; and a chain along a range of 2,000, whose equations are split.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from sdkit import compile_model, read_model, simulate
from tests.small import experiment, text


def wide() -> str:
    lines = ["wide: (w1-w50) ~ ~ |", "deep: d1, d2, d3 ~ ~ |", "w[wide,deep] = 1"]
    for i in range(25):
        before = f"y{i - 1}[wide,deep]" if i else "w[wide,deep]"
        x, t = f"x{i}[wide,deep]", f"t{i}[wide]"
        lines += [
            f"k{i}[wide,deep] = {1 + i / 100} + {before}*0.1",
            f"{x} = INTEG({before}*k{i}[wide,deep] - {x}*0.1, 1)",
            f"{t} = SUM(x{i}[wide,deep!])",
            f"y{i}[wide,deep] = IF THEN ELSE({t} > 3, {x}/{t}, EXP(-{x})) "
            f"+ 0.01*SUM(x{i}[wide!,deep])/50",
        ]
    return "\n".join(lines)


def chain() -> str:
    return (
        "all: (c1-c2000) ~ ~ |\nlater: (c2-c2000) ~ ~ |\nearlier: (c1-c1999) -> later ~ ~ |\n"
        "x[c1] = Time\nx[later] = x[earlier] + 1"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    print("seconds to        read   write  compile and first run   1,024 lanes, 200 steps")
    for name, equations, outputs in (
        ("100 x 50 x 3", wide(), ("y24",)),
        ("chain 2,000", chain(), ("x[c2000]",)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SDKIT_CACHE"] = str(Path(folder) / "cache")
            path = Path(folder) / "arrays.mdl"
            path.write_text(text(equations, step=0.25, end=50), encoding="utf-8")
            marks = [time.perf_counter()]
            read = read_model(path)
            marks.append(time.perf_counter())
            program = compile_model(read, outputs)
            marks.append(time.perf_counter())
            simulate(program, experiment(outputs, (50,)))
            marks.append(time.perf_counter())
            many = experiment(outputs, (50,))
            object.__setattr__(many, "draws", many.draws.reindex(range(1024)))
            simulate(program, many)
            marks.append(time.perf_counter())
            taken = np.diff(marks)
            print(
                f"{name:14}  {taken[0]:6.2f}  {taken[1]:6.2f}  {taken[2]:22.2f}  {taken[3]:22.2f}"
            )


if __name__ == "__main__":
    main()
