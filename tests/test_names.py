"""Names that are not there: which were meant, and every place in a model's files that has one."""

from __future__ import annotations

import pytest

from sdkit import compile_model, read_model, simulate
from sdkit.errors import Error, ParameterError, RunError, SimulationError
from sdkit.names import meant, meant_path, nearest, some
from sdkit.references import check_names, notes
from tests import small


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("synthetic-opioid deaths", ["synthetic opioid deaths"]),
        ("SyntheticOpioidDeaths", ["synthetic opioid deaths"]),
        ("deaths, synthetic opioid", ["synthetic opioid deaths"]),
        ("infecton", ["infection"]),
        ("infections", ["infection"]),
        # On either side of the least ratio that counts as near: 0.70 and 0.60.
        ("infectivity", ["infection"]),
        ("vaccination", []),
        ("transmission", []),
        ("opioid deaths", ["synthetic opioid deaths"]),
        ("", []),
        ("x" * 10**6, []),
    ],
)
def test_the_nearest_names(name, found):
    assert nearest(name, ["births", "infection", "synthetic opioid deaths"]) == found


def test_of_thousands_of_names_letters_and_words_tell_alone(monkeypatch):
    names = [f"number {i}" for i in range(3001)]
    monkeypatch.setattr("difflib.SequenceMatcher", None)  # seconds of work
    assert nearest("Number_7", names) == ["number 7"]
    assert nearest("7 number", names) == ["number 7"]
    assert nearest("numbr 7", names) == []
    monkeypatch.undo()
    assert nearest("numbr 7", names[:3000])[0] == "number 7"


def test_the_end_of_a_message():
    assert meant("infecton", ["births", "infection"]) == "; did you mean 'infection'?"
    assert meant("rate c", ["rate a", "rate b"]) == "; did you mean 'rate a' or 'rate b'?"
    assert meant("zzz", ["a", "b"]) == "; known: a, b"
    assert meant("zzz", ["a", "b"], listed=False) == ""
    assert meant("zzz", []) == "; known: none"


def test_of_many_names_a_few_are_told():
    names = [f"n{i}" for i in range(800)]
    assert some(names) == "n0, n1, n2, n3, n4, n5, n6, n7 and 792 more"
    assert some(names[:9]) == "n0, n1, n2, n3, n4, n5, n6, n7, n8"


def test_paths_that_may_have_been_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("sir", "fentanyl", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)

    def wanted(path):
        return path.name != "other"

    folder = tmp_path / "models"
    assert meant_path(folder / "sri", wanted, []) == "; did you mean models/sir?"
    assert meant_path(folder / "zz", wanted, []) == "; there are models/fentanyl, models/sir"
    assert meant_path(folder / "nowhere" / "zz", wanted, []) == ""


def code_and_message(action, *arguments, **options):
    with pytest.raises(Error) as caught:
        action(*arguments, **options)
    return caught.value.code, caught.value.message


def test_a_variable_of_a_model(sir):
    found = code_and_message(sir.find, "in-fection")
    assert found == ("S203", "sir.mdl has no variable 'in-fection'; did you mean 'infection'?")
    _, message = code_and_message(simulate, sir, set={"infectivty": 1})
    assert message == "sir has no constant 'infectivty'; did you mean 'infectivity'?"
    _, message = code_and_message(simulate, sir, method="eurler")
    assert message == "integration method 'eurler'; did you mean 'euler'?"


def test_a_constant_of_a_model(parameters):
    found = code_and_message(parameters.find, "Infectivities")
    told = "'Infectivities' is no constant of the model; did you mean 'infectivity'"
    assert found[0] == "P305"
    assert found[1].startswith(told)


ARRAY = "Region: north, south ~ ~ |\nstart[Region] = 1, 2 ~ Dmnl ~ |\n"


@pytest.mark.parametrize(
    ("equation", "code", "end"),
    [
        ("x = start[nort]", "M120", "has no element 'nort' in 'Region'; did you mean 'north'?"),
        ("x = SUM(start[Regoin!])", "M120",
         "'regoin' is no subscript range; did you mean 'Region'?"),
        ("x[Regio] = 1", "M120", "neither a subscript range nor an element of one; "
         "did you mean 'Region'?"),
        ("rate = 1\nx = 2*rat", "M105", "uses 'rat', which is not defined; did you mean 'rate'?"),
    ],
)  # fmt: skip
def test_names_in_equations(equation, code, end, tmp_path):
    def compiled():
        compile_model(small.model(tmp_path, ARRAY + equation))

    found, message = code_and_message(compiled)
    assert found == code
    assert message.endswith(end)


def test_an_element_of_an_array(tmp_path):
    read = small.model(tmp_path, ARRAY)
    _, message = code_and_message(read.find, "start[nort]")
    assert message == "small.mdl has no variable 'start[nort]'; did you mean 'start[north]'?"


# -- the files beside a model --------------------------------------------------------------------


def edit(project, name, before, after):
    path = project / name
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


SIR = "models/sir"
PLACES = [
    ("outputs.toml", 'variable = "infection"', 'variable = "infecton"', "S203",
     "'infections per year': sir.mdl has no variable 'infecton'; did you mean 'infection'"),
    ("checks.toml", 'variable = "prevalence"', 'variable = "prevalance"', "S203",
     "sir.mdl has no variable 'prevalance'; did you mean 'prevalence'"),
    ("checks.toml", 'series = "reported cases"', 'series = "reported case"', "R411",
     "no series 'reported case'; did you mean 'reported cases'"),
    ("claims.toml", 'policy = "vaccination"', 'policy = "vacination"', "R411",
     "'vaccination-works': unknown policy 'vacination'; did you mean 'vaccination'"),
    ("claims.toml", 'output = "infections per year"', 'output = "infection per year"', "R411",
     "unknown output 'infection per year'; did you mean 'infections per year'"),
    ("measurements.toml", 'variable = "reported cases"', 'variable = "cases reported"', "S203",
     "'reported cases': sir.mdl has no variable 'cases reported'; did you mean 'reported cases'"),
    ("measurements.toml", 'series = "reported cases"', 'series = "reported_cases"', "R411",
     "no series 'reported_cases'; did you mean 'reported cases'"),
    ("policies.toml", '"vaccination strength" = 1', '"vacination strength" = 1', "P305",
     "'vacination strength' is no constant of the model; did you mean 'vaccination strength'"),
    ("scenarios.toml", '"imported infections" =', '"imported infection" =', "P305",
     "'imported infection' is no constant of the model; did you mean 'imported infections'"),
    ("parameters.csv", "\ninfectivity,", "\ncontagion,", "P302",
     "row 'contagion': 'contagion' is no constant of the model; without a row: 'infectivity'"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "before", "after", "code", "told"), PLACES)
@pytest.mark.parametrize("command", ["run", "check", "default run", "new run"])
def test_each_place_is_found_by_each_command(
    command, file, before, after, code, told, project, sdkit, monkeypatch
):
    edit(project, f"{SIR}/{file}", before, after)
    monkeypatch.chdir(project)
    monkeypatch.setattr("sdkit.simulation.Ensemble", None)  # nothing may be simulated
    words = {"run": ("run", "runs/sir"), "check": ("check", "sir"),
             "default run": ("run", SIR),
             "new run": ("new", "run", "x", "--model", "sir")}  # fmt: skip
    status, out, error = sdkit(*words[command])
    assert (status, out) == (2, "")
    assert told in error
    line = next(i for i, text in enumerate((project / SIR / file).read_text().splitlines(), 1)
                if after.strip() in text)  # fmt: skip
    assert f"{file}, line {line}, " in error
    assert error.startswith(f"{code}: ")


def test_all_places_are_told_at_once(project, sdkit, monkeypatch):
    for file, before, after, _, _ in PLACES:
        edit(project, f"{SIR}/{file}", before, after)
    edit(project, "runs/sir/run.toml", '"both"', '"bothh"')
    monkeypatch.chdir(project)
    status, _, error = sdkit("run", "runs/sir")
    assert status == 2
    assert error.startswith("R440: 8 files name ")
    lines = error.splitlines()
    assert int(lines[0].split(" name ")[1].split()[0]) == len(lines) - 2
    for file, _, _, _, told in PLACES:
        assert any(file in line and told in line for line in lines)
    assert any("run.toml, line" in line and "unknown policy 'bothh'" in line for line in lines)


def test_a_fit_names_what_is_gone(root, sir, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'do = "fit"\nmeasurements = ["reported case"]\nset = { "infectvity" = 1 }\n'
        '[forecast]\nmeasurements = ["cases"]\n'
    )
    with pytest.raises(RunError) as caught:
        check_names(sir, path)
    assert [entry.removeprefix(f"{path}, ") for entry in caught.value.entries] == [
        "line 2: unknown measurement 'reported case'; did you mean 'reported cases'?",
        "line 3: 'infectvity' is no constant of the model; did you mean 'infectivity'?",
        "line 5: unknown measurement 'cases'; did you mean 'reported cases'?",
    ]


@pytest.mark.parametrize("comments", [0, 1, 3])  # a sealed file has three
def test_a_column_of_a_posterior(project, comments):
    text = "# a fit\n" * comments + "infectivity,contagion\n0.1,2\n"
    (project / SIR / "posterior.csv").write_text(text)
    where = f"line {comments + 1}, column 'contagion'"
    with pytest.raises(ParameterError, match=where) as caught:
        check_names(read_model(project / SIR))
    assert caught.value.code == "P310"


def test_a_diff_names_them_once(project, sdkit, root):
    edit(project, f"{SIR}/outputs.toml", 'variable = "infection"', 'variable = "infecton"')
    status, _, error = sdkit("diff", root / SIR, project / SIR)
    assert status == 2
    assert error.count("'infecton'") == 1


def test_an_entry_of_a_file_is_named_by_its_reader_too(project, sir):
    from sdkit.outputs import read_outputs

    edit(project, f"{SIR}/outputs.toml", 'variable = "infection"', 'variable = "infecton"')
    path = project / SIR / "outputs.toml"
    with pytest.raises(SimulationError) as caught:
        read_outputs(path, sir)
    where = f"{path}, line 3, output 'infections per year'"
    told = "sir.mdl has no variable 'infecton'; did you mean 'infection'"
    assert caught.value.message.startswith(f"{where}: {told}")


def test_no_claims_are_no_fault(project, sdkit, monkeypatch):
    monkeypatch.chdir(project)
    for text in ("", "# none yet\n"):
        (project / SIR / "claims.toml").write_text(text)
        assert sdkit("new", "run", f"x{len(text)}", "--model", "sir")[0] == 0
        check_names(read_model(project / SIR))


# -- notes ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*integrated by Euler")
def test_what_nothing_reads_and_what_is_in_no_sketch(project):
    path = project / SIR / "sir.mdl"
    text = path.read_text()
    assert notes(read_model(project / SIR)) == []
    path.write_text(text.replace("{UTF-8}\n", "{UTF-8}\nspare = 1 ~ Dmnl ~ |\n", 1))
    assert notes(read_model(project / SIR)) == [
        "1 variable is read by no equation, output, check or measurement: 'spare' (line 2)",
        "1 variable is in no sketch: 'spare' (line 2)",
    ]
    equations = text.partition("\\\\\\---///")[0]
    path.write_text(equations.replace("{UTF-8}\n", "{UTF-8}\nspare = 1 ~ Dmnl ~ |\n", 1))
    assert len(notes(read_model(project / SIR))) == 1  # a file without a sketch leaves nothing out
