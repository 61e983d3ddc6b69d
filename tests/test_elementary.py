"""exp, ln and power of the kernel, beside numbers computed with fifty digits."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from sdkit import compile_model, simulate
from sdkit.errors import SimulationError
from tests.small import experiment, model

getcontext().prec = 50
RNG = np.random.default_rng(20261125)
# In units of the last place. Half a unit is the least; the exponential's last sums add a quarter.
WORST = 0.75
TINY, HUGE = 2.2250738585072014e-308, 1.7976931348623157e308


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    equations = """
    a = 1
    b = 1
    level = INTEG(0, 1)
    exponential = EXP(a*level)
    logarithm = LN(ABS(a)*level)
    power = (a*level)^b
    """
    return compile_model(model(tmp_path_factory.mktemp("elementary"), equations, end=1, step=1))


def kernel(program, name: str, a, b=1.0) -> np.ndarray:
    """A function of the kernel at many places; NaN where the lane fails."""
    draws = {"a": np.asarray(a, dtype=float), "b": np.broadcast_to(np.float64(b), np.shape(a))}
    run = experiment([name], [0], draws=draws)
    return simulate(program.with_outputs([name]), run)[name].to_numpy().ravel()


def ulps(found: float, exact: Decimal) -> float:
    """The error in units of the last place of the exact value."""
    return abs(float((Decimal(found) - exact) / Decimal(math.ulp(float(exact)))))


def test_exponential(program):
    x = np.concatenate([RNG.uniform(-700, 700, 700), RNG.uniform(-1, 1, 700),
                        [0.0, 1.0, -1.0, 709.7, -708.3, 1e-20]])  # fmt: skip
    found = kernel(program, "exponential", x)
    worst = max(ulps(y, Decimal(v).exp()) for v, y in zip(x, found, strict=True))
    assert worst < WORST


def test_exponential_at_its_ends(program):
    assert kernel(program, "exponential", [-800.0, -746.0, -745.2])[:2].tolist() == [0, 0]
    # Between the smallest normal number and zero two roundings meet.
    x = np.linspace(-745, -708.5, 200)
    found = kernel(program, "exponential", x)
    assert np.abs(found - np.exp(x)).max() <= 5e-324


def test_logarithm(program):
    x = np.concatenate([np.exp(RNG.uniform(-700, 700, 700)), RNG.uniform(0.5, 2, 700),
                        1 + RNG.uniform(-1e-8, 1e-8, 100),
                        [1.0, 2.0, 10.0, TINY, HUGE, 5e-324, 1e-310]])  # fmt: skip
    found = kernel(program, "logarithm", x)
    assert found[x == 1.0].tolist() == [0.0]
    worst = max(ulps(y, Decimal(v).ln()) for v, y in zip(x, found, strict=True) if v != 1.0)
    assert worst < WORST


def test_power(program):
    x = np.exp(RNG.uniform(-5, 5, 1500))
    y = RNG.uniform(-40, 40, 1500)
    found = kernel(program, "power", x, y)
    exact = [(Decimal(b) * Decimal(a).ln()).exp() for a, b in zip(x, y, strict=True)]
    assert max(map(ulps, found, exact)) < WORST


def test_whole_powers_come_out_whole(program):
    pairs = [(a, b) for a in range(2, 30) for b in range(1, 11) if a**b < 2**53]
    x, y = np.array(pairs, dtype=float).T
    assert kernel(program, "power", x, y).tolist() == [float(a**b) for a, b in pairs]
    assert kernel(program, "power", -x, y).tolist() == [float((-a) ** b) for a, b in pairs]


def test_powers_of_zero_and_of_negative_numbers(program):
    x, y = [0.0, 0.0, -2.0, -2.0, -0.5], [2.0, 0.0, 3.0, -2.0, 0.0]
    assert kernel(program, "power", x, y).tolist() == [0, 1, -8, 0.25, 1]


@pytest.mark.parametrize(
    ("name", "a", "b", "reason"),
    [
        ("power", -2.0, 0.5, "fractional power"),
        ("power", 0.0, -1.0, "negative power of zero"),
        ("power", 10.0, 400.0, "too large"),
        ("exponential", 710.0, 1.0, "too large"),
        ("logarithm", 0.0, 1.0, "LN of zero"),
    ],
)
def test_what_python_refuses_fails_its_lane_alone(program, name, a, b, reason):
    draws = {"a": np.array([2.0, a, 3.0]), "b": np.array([1.0, b, 1.0])}
    with pytest.raises(SimulationError) as caught:
        simulate(program.with_outputs([name]), experiment([name], [0], draws=draws))
    (failure,) = caught.value.failures
    assert failure["draw"] == 1
    assert failure["variable"] == name
    assert reason in failure["reason"]
