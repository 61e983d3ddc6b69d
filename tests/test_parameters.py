"""Parameters: which value wins, and arrays that say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sdkit.errors import ParameterError
from sdkit.experiment import Setting
from sdkit.model import read_model
from sdkit.parameters import pack, read_parameters

DEFAULTS = {"a": 1.0, "b": 2.0, "c d": 3.0, "e": 4.0}


def packed(draws=None, scenario=(), policy=()):
    """One lane a draw of DEFAULTS, as mappings."""
    frame = pd.DataFrame(draws or {}, index=None if draws else range(1))
    values = np.array(list(DEFAULTS.values()))
    lanes = pack(list(DEFAULTS), values, frame, Setting("s", dict(scenario)), dict(policy))
    return [dict(zip(DEFAULTS, lane, strict=True)) for lane in lanes.tolist()]


def test_policy_wins_over_scenario_over_draw_over_default():
    lanes = packed(
        draws={"b": [20.0, 21.0], "c d": [30.0, 31.0], "e": [40.0, 41.0]},
        scenario={"c d": 300.0, "e": 400.0},
        policy={"e": 4000.0},
    )
    assert lanes == [
        {"a": 1.0, "b": 20.0, "c d": 300.0, "e": 4000.0},
        {"a": 1.0, "b": 21.0, "c d": 300.0, "e": 4000.0},
    ]


def test_names_are_compared_as_the_model_compares_them():
    assert packed(scenario={"C_D": 5.0})[0]["c d"] == 5.0


@pytest.mark.parametrize("layer", [{"draws": {"f": [1.0]}}, {"policy": {"f": 1.0}}])
def test_a_name_that_is_no_constant_is_refused(layer):
    with pytest.raises(ParameterError) as caught:
        packed(**layer)
    assert caught.value.code == "P305"


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
