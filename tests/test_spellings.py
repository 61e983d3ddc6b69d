"""Two spellings of one name are refused wherever names are given values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sdkit import read_model, simulate
from sdkit.checks import read_checks
from sdkit.errors import ParameterError
from sdkit.experiment import Experiment, Setting, no_draws, posterior_draws
from sdkit.fit_run import read_fit
from sdkit.parameters import pack, read_parameters
from sdkit.run import prepare, read_run
from tests.small import model

TWICE = {"infectivity": 0.1, "Infectivity ": 0.2}


def refused(call, *words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        call()
    assert caught.value.code == "P311"
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize("names", [("my k", "My_K"), ("my k", '"my k"'), ("a[x]", "A[ X ]")])
def test_two_spellings_in_one_setting_or_table_of_draws(names):
    values = dict.fromkeys(names, 1.0)
    refused(lambda: Setting("p", values), "'p'", *map(repr, names))
    one = (Setting("s"),)
    draws = pd.DataFrame(values, index=range(2))
    refused(lambda: Experiment(one, one, draws, ("y",), np.array([1.0])), "draws")
    nothing = Setting("s", {"my k": 1.0})
    for layers in ((draws, {}, {}), (no_draws(), values, {}), (no_draws(), {}, values)):
        refused(lambda layers=layers: pack(["my k", "a[x]"], np.zeros(2), *layers))
    # One layer above another is no second spelling.
    packed = pack(["my k", "a[x]"], np.zeros(2), no_draws(), nothing, {"MY K": 2.0})
    assert packed.tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize(
    "twice",
    [{"k": 1, "K": 2}, {"a": 1, "a[x]": 2}, {"a[x]": 1, "A": [1, 2]}, {"a[x]": 1, "a[ X]": 1},
     {"FINAL TIME": 5, "final_time": 6}],
)  # fmt: skip
def test_two_values_of_one_run(twice, tmp_path):
    small = model(tmp_path, "dim: x, y ~ ~ |\nk = 1\na[dim] = 1, 2\nz = k + SUM(a[dim!])")
    refused(lambda: simulate(small, set=twice), *map(repr, twice))
    refused(lambda: simulate(small, set=twice, engine="pysd"))
    found = simulate(small, set={"K": 3, "a[y]": 4})
    assert found["z"].to_numpy().ravel()[0] == 8


def test_the_command_line_and_what_it_changes(project, sdkit):
    run = project / "runs" / "sir"
    code, _, said = sdkit("run", run, "--set", "infectivity=0.1", "--set", "INFECTIVITY = 0.2")
    assert code != 0
    assert "U601" in said
    refused(lambda: prepare(read_run(run, n=8), TWICE), "--set")


@pytest.mark.parametrize(
    "check",
    ['kind = "direction"\ndirection = "higher"\nvariable = "Infected"\nat = 2030\nset = {T}',
     'kind = "direction"\ndirection = "higher"\nvariable = "Infected"\nat = 2030\n'
     'set = { "infectivity" = 0.1 }\nagainst = {T}',
     'kind = "extreme"\nvariable = "Infected"\nmin = 0\nset = {T}',
     'kind = "extreme"\nvariable = "Infected"\nmin = 0\nstart = '
     '{ "Infected" = 1, "INFECTED" = 2 }',
     'kind = "bound"\nvariable = "Infected"\nmin = 0\nunder = "s"\n'
     '[[setting]]\nname = "s"\nset = {T}'],
)  # fmt: skip
def test_checks(check, project):
    folder = project / "models" / "sir"
    table = '{ "infectivity" = 0.1, "Infectivity" = 0.2 }'
    text = check.replace("{T}", table)
    (folder / "checks.toml").write_text(f'[[check]]\nname = "c"\n{text}\n')
    read = read_model(folder)
    refused(lambda: read_checks(folder / "checks.toml", read, read_parameters(read)))


def test_a_posterior_with_two_columns_of_one_constant(project):
    folder = project / "models" / "sir"
    rows = "infectivity,Infectivity,infectious duration,reporting fraction\n0.1,0.2,0.15,0.3\n"
    (folder / "posterior.csv").write_text(f"# unverified: by a test\n{rows}")
    parameters = read_parameters(read_model(folder))
    refused(lambda: posterior_draws(parameters, 1, 1), "posterior.csv")


@pytest.mark.parametrize(
    "table",
    ["set = {T}", "since = 2020\nwithout = { cause = {T} }",
     "forecast = { years = 2, measurements = [], set = {T} }"],
)  # fmt: skip
def test_fits(table, project, root):
    import shutil

    shutil.copytree(root / "runs" / "sir-fit", project / "runs" / "sir-fit")
    path = project / "runs" / "sir-fit" / "run.toml"
    kept = path.read_text().split("\n[")[0]
    name = table.split(" ")[0]
    lines = [line for line in kept.splitlines() if not line.startswith((name, "without", "since"))]
    own = table.replace("{T}", '{ "imported infections" = 200.0, "Imported_Infections" = 300.0 }')
    path.write_text("\n".join([*lines, own]) + "\n")
    refused(lambda: read_fit(path.parent), "imported infections", "Imported_Infections")


def test_two_rows_of_one_array_in_parameters_csv(tmp_path):
    read = model(tmp_path, "dim: x, y ~ ~ |\na[dim] = 1, 2\nz = SUM(a[dim!])")
    head = "name,role,low,high,distribution,unit,source,grade\n"
    row = "{},fixed,,,,Dmnl,here,A\n"
    path = tmp_path / "parameters.csv"
    path.write_text(head + row.format("a") + row.format("A"))
    with pytest.raises(ParameterError, match="twice") as caught:
        read_parameters(read)
    assert caught.value.code == "P304"
