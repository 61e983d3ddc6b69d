"""Parameters: which value wins, and arrays that say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sdkit.errors import ParameterError
from sdkit.experiment import Setting
from sdkit.model import read_model
from sdkit.parameters import assemble, pack, read_parameters

DEFAULTS = {"a": 1.0, "b": 2.0, "c d": 3.0, "e": 4.0}


def test_policy_wins_over_scenario_over_draw_over_default():
    values = assemble(
        DEFAULTS,
        draw={"b": 20.0, "c d": 30.0, "e": 40.0},
        scenario={"c d": 300.0, "e": 400.0},
        policy={"e": 4000.0},
    )
    assert values == {"a": 1.0, "b": 20.0, "c d": 300.0, "e": 4000.0}


def test_names_are_compared_as_the_model_compares_them():
    assert assemble(DEFAULTS, {}, {"C_D": 5.0}, {})["c d"] == 5.0


def test_a_name_that_is_no_constant_is_refused():
    with pytest.raises(ParameterError) as caught:
        assemble(DEFAULTS, {}, {}, {"f": 1.0})
    assert caught.value.code == "P305"
    with pytest.raises(ParameterError) as caught:
        pack(list(DEFAULTS), np.arange(4.0), pd.DataFrame({"f": [1.0]}), {}, {})
    assert caught.value.code == "P305"


def test_pack_says_the_same_as_assemble_lane_by_lane(parameters):
    rng = np.random.default_rng(1)
    names = list(parameters.names)
    sampled = [item.name for item in parameters.sampled]
    draws = pd.DataFrame(rng.random((5, len(sampled))), columns=sampled)
    scenario = Setting("s", {"imported infections": 7.0})
    policy = Setting("p", {"vaccination strength": 0.5, "vaccination_START": 2030.0})
    packed = pack(names, parameters.defaults, draws, scenario, policy)
    defaults = dict(zip(names, parameters.defaults, strict=True))
    for row in range(len(draws)):
        draw = {name: float(draws[name][row]) for name in sampled}
        lane = assemble(defaults, draw, scenario.values, policy.values)
        assert packed[row].tolist() == [lane[name] for name in names]


def test_every_constant_stands_once_in_the_order_of_the_model(sir, parameters):
    assert parameters.names == sir.constants
    assert parameters.find("INFECTIVITY").default == sir.find("infectivity").value


def test_a_bare_model_has_fixed_constants_only(project):
    (project / "models" / "sir" / "parameters.csv").unlink()
    bare = read_parameters(read_model(project / "models" / "sir"))
    assert {item.role for item in bare.items} == {"fixed"}
    assert bare.sampled == ()


def test_weights_are_shares(parameters):
    assert parameters.find("immunity wanes").weights == pytest.approx((0.3, 0.7))
    assert parameters.find("caution switch").weights == (0.5, 0.5)
