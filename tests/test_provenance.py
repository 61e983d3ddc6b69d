"""What unfinished work, caches and records are named after: all code, and every input."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from sdkit import cache
from sdkit.fit_run import prepare_fit, read_fit
from sdkit.fit_run import work_name as chains_name
from sdkit.provenance import sealed
from sdkit.run import TASKS, prepare, read_run, work_name

PACKAGE = Path(cache.__file__).parent
# Packages that draw, print or serve, and make no number of a result.
NO_NUMBERS = {"jinja2", "matplotlib", "platformdirs", "rich", "simlin", "typer"}
POSTERIOR = "infectivity,infectious duration,reporting fraction\n0.1,0.15,0.3\n0.11,0.15,0.3\n"


@pytest.fixture
def package(tmp_path):
    """A copy of sdkit's own code, with a folder inside as it may have one day."""
    folder = tmp_path / "sdkit"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "inner").mkdir()
    (folder / "inner" / "deep.py").write_text("x = 1\n")
    return folder


def code_of(folder, *modules):
    cache.code_of.cache_clear()
    return cache.code_of(*modules, folder=folder)


def test_every_module_counts_as_code(package):
    names = {code_of(package)}
    modules = sorted(package.rglob("*.py"))
    for path in modules:
        path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        names.add(code_of(package))
    assert len(names) == len(modules) + 1 > 80
    (package / "inner" / "deep.py").rename(package / "inner" / "other.py")
    assert code_of(package) not in names


@pytest.mark.parametrize(
    ("module", "inside", "outside"),
    [
        ("kernel", {"assembly", "elementary", "kernel", "parts", "spmd", "vector"}, "model"),
        (
            "model",
            {"expressions", "functions", "literals", "mend", "model", "ranges", "subscripts",
             "tables", "translate", "variables", "vensim", "xmile"},
            "kernel",
        ),
    ],
)  # fmt: skip
def test_a_cache_is_named_after_all_that_a_module_imports(module, inside, outside, package):
    first = code_of(package, module)
    changed = set()
    for path in sorted(package.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        if code_of(package, module) != first:
            changed.add(path.stem)
        path.write_text(text, encoding="utf-8")
    assert inside <= changed
    assert outside not in changed


def test_imports_are_found_by_their_form():
    for path in PACKAGE.glob("*.py"):
        text, found = path.read_text(encoding="utf-8"), set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level:
                found |= {node.module} if node.module else {alias.name for alias in node.names}
        assert found <= cache.imported(text), path.name


def test_every_package_that_computes_is_named():
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(node.module.split(".")[0])
    named = {{"sklearn": "scikit-learn"}.get(n, n) for n in used - sys.stdlib_module_names}
    assert named - NO_NUMBERS == set(cache.COMPUTE)


@pytest.mark.parametrize("package", cache.COMPUTE)
def test_another_version_is_another_name(package, monkeypatch):
    cache.made_by.cache_clear()
    before, version = cache.made_by(), metadata.version
    cache.made_by.cache_clear()
    monkeypatch.setattr(metadata, "version", lambda n: "0" if n == package else version(n))
    assert cache.made_by() != before
    monkeypatch.undo()
    cache.made_by.cache_clear()


# -- inputs ------------------------------------------------------------------------------


@pytest.fixture
def asked(project):
    """The teaching model, a file that its equations read, one beside its data, and a posterior."""
    folder = project / "models" / "sir"
    path = folder / "sir.mdl"
    text = path.read_text(encoding="utf-8")
    added = "read here = GET DIRECT CONSTANTS('numbers.csv', ',', 'B2')\n\t~\tDmnl\n\t~\t|\n\n"
    path.write_text(text.replace("{UTF-8}\n", "{UTF-8}\n" + added, 1), encoding="utf-8")
    (folder / "numbers.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    rows = (folder / "parameters.csv").read_text(encoding="utf-8").rstrip("\n").split("\n")
    header = rows[0].split(",")
    own = {"name": "read here", "unit": "Dmnl", "role": "fixed", "source": "x", "grade": "assumed"}
    rows.append(",".join(own.get(column, "") for column in header))
    (folder / "parameters.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_posterior(folder, POSTERIOR)
    return project


def write_posterior(folder, table):
    facts = dict.fromkeys(("run", "question", "model"), "") | {"until": None}
    facts |= {key: [] for key in ("series", "held_out", "warnings")}
    (folder / "posterior.csv").write_text(sealed("by a test", facts, table), encoding="utf-8")


def ask(project: Path, do: str, source: str = "priors") -> Path:
    """Write the run that asks for this."""
    path = project / "runs" / "sir" / "run.toml"
    recorded = Path(__file__).resolve().parents[1] / "runs"
    if do == "fit":
        shutil.copy(recorded / "sir-fit" / "run.toml", path)
        return path
    text = (recorded / "sir" / "run.toml").read_text(encoding="utf-8")
    text = text.replace('do = "compare"', f'do = "{do}"')
    text = text.replace('from = "priors", n = 64', f'from = "{source}", n = 2')
    assert f'"{source}", n = 2' in text
    path.write_text(text + ("" if do == "compare" else f"[{do}]\n"), encoding="utf-8")
    return path


def name_of(run: Path) -> str:
    if '"fit"' in run.read_text(encoding="utf-8"):
        return chains_name(prepare_fit(read_fit(run.parent)))
    return work_name(prepare(read_run(run.parent)))


def touched(path: Path) -> None:
    """Change an input in a way that leaves it one."""
    if path.name == "numbers.csv":
        path.write_text("a,b\n1,3\n", encoding="utf-8")
    elif path.name == "posterior.csv":
        write_posterior(path.parent, POSTERIOR.replace("0.11", "0.12"))
    elif path.name == "parameters.csv":
        text = path.read_text(encoding="utf-8")
        path.write_text(text.rstrip("\n") + " \n", encoding="utf-8")
    elif path.suffix == ".csv":
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("teaching", "taught", 1), encoding="utf-8")
    elif path.suffix == ".mdl":
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("Source:", "source:", 1), encoding="utf-8")
    else:
        path.write_text(path.read_text(encoding="utf-8") + "\n# \n", encoding="utf-8")


SETTINGS = ("scenarios.toml", "policies.toml", "outputs.toml", "claims.toml", "checks.toml")
COMMON = ("sir.mdl", "numbers.csv", "parameters.csv", "data/reported_cases.csv")
OF_FIT = (*COMMON, "measurements.toml")


@pytest.mark.parametrize(
    ("do", "source", "name"),
    [
        *(("fit", "priors", name) for name in OF_FIT),
        *((do, "priors", name) for do in TASKS if do != "fit" for name in (*COMMON, *SETTINGS)),
        *((do, "posterior", "posterior.csv") for do in TASKS if do != "fit"),
        *((do, "priors", "run.toml") for do in TASKS if do != "fit"),
    ],
)
def test_every_input_is_part_of_the_name(do, source, name, asked):
    run = ask(asked, do, source)
    before = name_of(run)
    assert name_of(run) == before
    touched(run if name == "run.toml" else asked / "models" / "sir" / name)
    assert name_of(run) != before


@pytest.mark.parametrize(
    ("before", "after"),
    [("seed = 20260222", "seed = 1"), ("until = 2022", "until = 2021"),
     ("walkers = 64", "walkers = 66"), ('also = ["duration of immunity"]', "also = []"),
     ("until = 2022", 'until = 2022\nset = { "caution" = 2 }'), ("walkers = 64", "starts = 3")],
)  # fmt: skip
def test_what_a_fit_asks_for_is_part_of_the_name(before, after, asked):
    path = ask(asked, "fit")
    first = name_of(path)
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    assert name_of(path) != first


def test_what_is_not_used_need_not_be(asked):
    folder = asked / "models" / "sir"
    path = ask(asked, "compare")
    first = name_of(path)
    touched(folder / "posterior.csv")
    touched(folder / "measurements.toml")
    assert name_of(path) == first
    ask(asked, "fit")
    first = name_of(path)
    for name in ("posterior.csv", "scenarios.toml", "claims.toml"):
        touched(folder / name)
    # More chains, a stricter end and another forecast go on from those that are there.
    text = path.read_text(encoding="utf-8").replace("walkers = 64", "walkers = 64\nmost = 900")
    path.write_text(text.replace("years = 2", "years = 1"), encoding="utf-8")
    assert name_of(path) == first


@pytest.mark.parametrize("do", ["compare", "fit"])
def test_a_record_names_every_file_and_the_code(do, asked):
    run = ask(asked, do).parent
    record = prepare_fit(read_fit(run)).record if do == "fit" else prepare(read_run(run)).record
    names = OF_FIT if do == "fit" else (*COMMON, *SETTINGS)
    assert record["sha256"].keys() == {"run.toml", *(f"sir/{name}" for name in names)} | {
        f"sir/{p.relative_to(asked / 'models' / 'sir').as_posix()}"
        for p in (asked / "models" / "sir" / "data").glob("*.csv")
    }
    assert record["code"] == cache.code_of()
    json.dumps(record)
