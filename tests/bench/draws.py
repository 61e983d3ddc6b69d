"""Errors of means over draws, by design: `python -m tests.bench.draws [models/fentanyl's run]`.

Prints the tables of docs/decisions/0012: three functions whose means are known, then, where a run
folder is named, the effects of three of its policies, with draws from its model's priors.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import qmc

from sdkit.compare import differences, reduced, yearly
from sdkit.experiment import coordinate, quantile
from sdkit.run import prepare, read_run, yearly_experiment
from sdkit.simulation import simulate
from sdkit.streams import Points, words

SEEDS = 128


def by_place(names, n, seed, switches=()):
    """Scrambled Sobol points, a dimension by the place of a name; switches stratified, shuffled."""
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = qmc.Sobol(len(names), scramble=True, rng=rng).random(n)
    for i, name in enumerate(names):
        if name in switches:
            points[:, i] = (rng.permutation(n) + 0.5) / n
    return np.clip(points, 2.0**-53, 1 - 2.0**-53)


def net(names, n, seed, switches=()):
    """What `Draws` takes."""
    return Points(seed, list(names), switches).rows(0, n)


def shuffled(names, n, seed, switches=()):
    """Latin hypercubes by name."""
    return Points(seed, list(names), names).rows(0, n)


def padded(names, n, seed, switches=()):
    """Burley's shuffled, scrambled Sobol points (2020, Journal of Computer Graphics Techniques
    9(4):1-20): four dimensions, four orders of points; a name's hash chooses of both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = (qmc.Sobol(4, scramble=False, bits=32).random(n) * 2**32).astype(np.uint32)
    bits = n.bit_length() - 1
    found = np.empty((n, len(names)))
    for i, name in enumerate(names):
        order, dimension = hashlib.sha256(name.encode()).digest()[:2]
        index = np.arange(n, dtype=np.uint32) << np.uint32(32 - bits)
        index = _scrambled(index, int(words(seed, str(order % 4), "order", 1)[0]))
        own = plain[(index >> np.uint32(32 - bits)).astype(int), dimension % 4]
        found[:, i] = _scrambled(own, int(words(seed, name, "scramble", 1)[0]))
    return (found + 0.5) * 2.0**-32


def _reversed(x):
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F)):
        s, m = np.uint32(shift), np.uint32(mask)
        x = ((x >> s) & m) | ((x & m) << s)
    return x.byteswap()


def _scrambled(x, key):
    """A nested uniform scramble by a hash (Laine and Karras 2011)."""
    with np.errstate(over="ignore"):
        x = _reversed(x) + np.uint32(key & 0xFFFFFFFF)
        for factor in (0x6C50B47C, 0xB82F1E52, 0xC7AFE638, 0x8D22F6E6):
            x = x ^ (x * np.uint32(factor))
    return _reversed(x)


def independent(names, n, seed, switches=()):
    return np.random.default_rng(seed).random((n, len(names)))


DESIGNS = {
    "Sobol by place": by_place, "net by name": net, "hypercube by name": shuffled,
    "padded Sobol by name": padded, "independent": independent,
}  # fmt: skip
WEIGHTS = 1 / np.arange(1, 41)
A = np.array([0, 1, 4.5, 9, 99, 99])
FUNCTIONS = {
    "g-function, 6 inputs": (6, lambda x: np.prod((abs(4 * x - 2) + A) / (1 + A), axis=1), 1.0),
    "product, 3 inputs": (3, lambda x: np.prod(2 * x, axis=1), 1.0),
    "sums and steps, 40 inputs": (
        40,
        lambda x: (x - 0.5) ** 3 @ WEIGHTS + np.exp(x) @ WEIGHTS + (x[:, 0] + x[:, 1] > 1.2)
        + (x[:, 2] > 0.3) * (x[:, 3] > 0.6),
        (np.e - 1) * WEIGHTS.sum() + 0.32 + 0.28,
    ),
}  # fmt: skip


def row(label: str, design: str, error: np.ndarray) -> None:
    rms, (middle, high) = np.sqrt((error**2).mean()), np.quantile(error, (0.5, 0.95))
    print(f"| {label} | {design} | {rms:.1e} | {middle:.1e} | {high:.1e} |", flush=True)


def functions() -> None:
    print(
        "| function | design | root mean square | median | 95 % |\n| --- | --- | --- | --- | --- |"
    )
    for label, (size, function, true) in FUNCTIONS.items():
        names = [f"input {i}" for i in range(size)]
        for n in (256, 1024, 4096):
            for design, make in DESIGNS.items():
                found = [function(make(names, n, seed)).mean() for seed in range(SEEDS)]
                row(f"{label}, n = {n}", design, np.abs(np.array(found) - true))


def pairs() -> None:
    """Pairs of 200 inputs that move together."""
    names = [f"input {i}" for i in range(200)]
    print("| n | design | largest correlation | pairs above 0.3, of 19,900 |")
    print("| --- | --- | --- | --- |")
    for n in (256, 1024, 4096):
        for design, make in DESIGNS.items():
            apart = np.abs(np.corrcoef(make(names, n, 1).T) - np.eye(200))
            print(f"| {n} | {design} | {apart.max():.2f} | {(apart > 0.3).sum() // 2} |")


def fentanyl(folder: Path, seeds: int = 16, n: int = 256, many: int = 2**14) -> None:
    """Errors of mean effects in units of what independent draws err: their deviation / root n."""
    run = read_run(folder, n=n)
    prepared = prepare(run)
    chosen = ("strikes only", "demand only", "full combination")
    policies = [p for p in prepared.policies if p.name in (run.policies[0], *chosen)]
    prepared = replace(prepared, policies=tuple(policies), scenarios=prepared.scenarios[:1])
    items = prepared.parameters.sampled
    names = [coordinate(item) for item in items]
    switches = {coordinate(item) for item in items if item.role == "structural"}
    program, experiment = yearly_experiment(prepared, prepared.draws)
    main = [o for o in prepared.outputs if o.name in run.main]

    def effects(points: np.ndarray) -> np.ndarray:
        columns = {item.name: quantile(item, points[:, i]) for i, item in enumerate(items)}
        draws = pd.DataFrame(columns, index=pd.RangeIndex(len(points), name="draw"))
        result = simulate(program, replace(experiment, draws=draws))
        return np.concatenate(
            [differences(reduced(yearly(result, o), o, run.horizon), 0.0)[1][0, 1:] for o in main]
        )

    long = [effects(net(names, many, 10**6, switches)[low : low + 2048])
            for low in range(0, many, 2048)]  # fmt: skip
    every = np.concatenate(long, axis=1)
    true, unit = every.mean(axis=1), every.std(axis=1) / np.sqrt(n)
    print(
        "| effects | design | root mean square | median | 95 % |\n| --- | --- | --- | --- | --- |"
    )
    for design in ("Sobol by place", "net by name", "hypercube by name"):
        found = [effects(DESIGNS[design](names, n, seed, switches)).mean(axis=1)
                 for seed in range(seeds)]  # fmt: skip
        row(
            f"{len(true)} effects, n = {n}", design, (np.abs(np.array(found) - true) / unit).ravel()
        )


if __name__ == "__main__":
    functions()
    print()
    pairs()
    for argument in sys.argv[1:]:
        print()
        fentanyl(Path(argument))
