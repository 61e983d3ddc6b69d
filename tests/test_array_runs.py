"""A model with subscripts, a macro, a file and noise through the run folders and checks."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from sdkit import read_model, read_parameters, simulate
from sdkit.cli import status
from tests.small import SKETCH

TOWNS = """{UTF-8}
:MACRO: SHARE(a, b)
SHARE = ZIDZ(a, a + b) ~ Dmnl ~ |
:END OF MACRO:
town: north, south ~ ~ |
group: young, old ~ ~ |
growth[group] = 0.03, -0.01 ~ 1/Year [-1,1] ~ |
care[town] = 0 ~ Dmnl [0,1] ~ |
first[town,group] = 10, 5; 8, 8; ~ Person [0,100] ~ |
moving = GET DIRECT CONSTANTS('data/moving.csv', ',', 'B2') ~ 1/Year ~ |
shock scale = 0.5 ~ Person/Year [0,5] ~ |
unused = 1 ~ Dmnl [0,2] ~ |
people[town,group] = INTEG(growth[group]*people[town,group] + care[town]
  + shock scale*RANDOM NORMAL(-2, 2, 0, 1, 0) - moving*people[town,group],
  first[town,group]) ~ Person ~ |
in town[town] = SUM(people[town,group!]) ~ Person ~ |
share of north = SHARE(in town[north], in town[south]) ~ Dmnl ~ |
all people = SUM(people[town!,group!]) ~ Person ~ |
INITIAL TIME = 2020 ~ Year ~ |
FINAL TIME = 2036 ~ Year ~ |
TIME STEP = 0.25 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
"""
FILES = {
    "parameters.csv": """name,role,low,high,distribution,unit,source,grade,weights,note
growth,uncertain,-0.05,0.05,uniform,1/Year,by hand,D,,
care,lever,0,1,,Dmnl,by hand,D,,
first,fixed,,,,Person,by hand,D,,
"first[south, old]",uncertain,4,12,uniform,Person,by hand,D,,
moving,fixed,,,,1/Year,by hand,D,,
shock scale,fixed,,,,Person/Year,by hand,D,,
unused,uncertain,0,2,uniform,Dmnl,by hand,D,,
""",
    "outputs.toml": """
[[output]]
name = "old people in the north"
variable = "people[north,old]"
reduction = "mean"
unit = "Person"
better = "higher"
headline = true

[[output]]
name = "everybody in the end"
variable = "in town[south]"
reduction = "last"
unit = "Person"
better = "higher"
""",
    "policies.toml": """
[[policy]]
name = "nothing"
set = {}

[[policy]]
name = "care in the north"
set = { "care[north]" = 1 }
""",
    "scenarios.toml": '[[scenario]]\nname = "reference"\nset = {}\n',
    "checks.toml": """
[[check]]
name = "everybody is counted"
kind = "conservation"
sum = ["in town[north]", "in town[south]"]
equals = "all people"
tolerance = 1e-9

[[check]]
name = "care brings people"
kind = "direction"
set = { "care[north]" = 1 }
variable = "people[north,old]"
at = 2030.0
direction = "higher"
source = "what care is for"

[[check]]
name = "draws"
kind = "draws"
n = 8
seed = 1

[[check]]
name = "empty towns"
kind = "zero stocks"
""",
    "data/moving.csv": "what,value\nmoving,0.01\n",
}
RUN = """do = "{do}"
question = "What does care do?"
model = "models/towns"
seed = {seed}
draws = {{ from = "priors", n = {n} }}
scenarios = ["reference"]
policies = ["nothing", "care in the north"]
outputs = ["old people in the north", "everybody in the end"]
horizon = [2022, 2034]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "towns"
    (folder / "data").mkdir(parents=True)
    (folder / "towns.mdl").write_text(TOWNS + SKETCH.format(number=0), encoding="utf-8")
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(project, name: str, do: str = "compare", seed: int = 1, n: int = 32, more: str = "") -> int:
    folder = project / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(RUN.format(do=do, seed=seed, n=n) + more, encoding="utf-8")
    return status(["run", str(folder)])


def table(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_an_array_is_one_for_each_element(project):
    parameters = read_parameters(read_model("models/towns"))
    assert [p.name for p in parameters.sampled] == [
        "growth[young]", "growth[old]", "first[south,old]", "unused",
    ]  # fmt: skip
    assert parameters.find("growth[ OLD ]").default == -0.01
    with pytest.raises(Exception, match=r"P305.*'growth' is an array.*such as growth\[young\]"):
        parameters.find("growth")


def test_a_comparison_of_elements(project):
    assert run(project, "one") == 0
    assert run(project, "again") == 0
    assert run(project, "other", seed=2) == 0
    one, again, other = (table(project / "runs" / n / "summary.csv")
                         for n in ("one", "again", "other"))  # fmt: skip
    assert one == again
    assert {row["output"] for row in one} == {"old people in the north", "everybody in the end"}
    # Another seed is another noise, not only another sample.
    assert [r for r in one if r["output"] == "everybody in the end"] != [
        r for r in other if r["output"] == "everybody in the end"
    ]
    hashes = [json.loads((project / "runs" / n / "record.json").read_text())["sha256"]
              for n in ("one", "again")]  # fmt: skip
    assert hashes[0] == hashes[1]
    (project / "models/towns/data/moving.csv").write_text("what,value\nmoving,0.02\n")
    assert run(project, "moved") == 0
    moved = json.loads((project / "runs/moved/record.json").read_text())["sha256"]
    assert moved != hashes[0]


def test_the_noise_of_a_base_run_is_no_effect_of_an_input(project):
    more = '\n[sensitivity]\nmethods = ["sobol", "morris"]\nsecond_order = false\n'
    assert run(project, "sobol", "sensitivity", n=64, more=more) == 0
    rows = table(project / "runs/sobol/summary.csv")
    # Inputs that move nothing are not listed; with other noise in each design they would be.
    listed = {r["input"] for r in rows if r["output"] == "old people in the north"}
    assert listed == {"growth[old]"}
    assert "unused" not in {r["input"] for r in rows}


def test_checks_of_elements_and_arrays(project, capsys):
    assert status(["check", "models/towns"]) == 0
    told = capsys.readouterr().out
    assert told.count("pass") >= 4
    assert "in 1 runs" in told or "finite in 1" in told


def test_a_difference_names_the_range_and_the_file(project, capsys):
    shutil.copytree("models/towns", "models/older")
    path = project / "models/towns/towns.mdl"
    body = path.read_text(encoding="utf-8")
    path.write_text(body.replace("town: north, south", "town: south, north")
                    .replace("SHARE = ZIDZ(a, a + b)", "SHARE = ZIDZ(2*a, a + b)"))  # fmt: skip
    assert status(["diff", "models/older", "models/towns"]) == 0
    told = capsys.readouterr().out
    assert "range town" in told
    assert "south, north" in told
    assert "the same, with another macro or file" in told
    assert told.count("changed") <= 5


def test_time_settings_are_those_of_all_lanes(project):
    towns = read_model("models/towns")
    for engine in ("compiled", "pysd"):
        found = simulate(towns, set={"FINAL TIME": 2024, "SAVEPER": 0.5, "growth": [0.2, 0.1],
                                     "shock scale": 0}, engine=engine)  # fmt: skip
        assert found.time.to_numpy().tolist() == np.arange(2020, 2024.5, 0.5).tolist()
        ratio = found["people"].isel(time=2) / found["people"].isel(time=0)
        assert ratio.to_numpy()[0, 0, 0, 0] == pytest.approx(
            [(1 + 0.25 * 0.19) ** 4, (1 + 0.25 * 0.09) ** 4]
        )
