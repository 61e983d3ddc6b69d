"""The shape of the code: layers, doors, sizes, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {p.stem: p for p in (ROOT / "sdkit").glob("*.py") if not p.stem.startswith("__")}
COMMON = {"numpy", "scipy", "pandas", "xarray"}
DOORS = {
    "pysd": "translate", "parsimonious": "translate", "llvmlite": "kernel",
    "platformdirs": "cache", "simlin": "structure", "matplotlib": "plot",
    "jinja2": "report", "typer": "cli", "rich": "terminal",
    "zarr": "store", "emcee": "sampler", "arviz": "convergence", "sklearn": "tree",
}  # fmt: skip
DISTRIBUTION = {"simlin": "pysimlin", "sklearn": "scikit-learn"}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The modules of sdkit and the packages that a module imports, anywhere in it."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside |= {node.module} if node.module else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            outside |= {a.name.split(".")[0] for a in node.names}
    return inside & MODULES.keys(), outside - sys.stdlib_module_names


def layers() -> list[set[str]]:
    """The table of docs/design.md, top to bottom."""
    table = (
        (ROOT / "docs" / "design.md").read_text(encoding="utf-8").split("| layer | modules |")[1]
    )
    rows = re.findall(r"^\| \w+ \|(.*)\|$", table.split("\n\n")[0], re.M)
    return [set(re.findall(r"`(\w+)`", row)) for row in rows]


def test_every_module_has_its_layer():
    found = layers()
    assert len(found) > 4
    assert sorted(name for layer in found for name in layer) == sorted(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_one_way(name):
    found = layers()
    level = next(i for i, layer in enumerate(found) if name in layer)
    for other in imports(MODULES[name])[0]:
        assert any(other in layer for layer in found[level:]), f"{name} imports {other} above it"


def test_no_circle_of_imports():
    TopologicalSorter({n: imports(p)[0] for n, p in MODULES.items()}).prepare()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_one_door_a_package(name):
    for package in imports(MODULES[name])[1] - COMMON:
        assert DOORS.get(package) == name, f"{name} imports {package}"


def test_every_dependency_is_used_and_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["structure"]
    declared = {re.match(r"[\w-]+", line)[0] for line in lines}
    used = set().union(*(imports(p)[1] for p in MODULES.values()))
    # parsimonious is PySD's own parser and comes with it.
    assert {DISTRIBUTION.get(p, p) for p in used} == declared | {"parsimonious"}


def test_no_module_is_two_ideas():
    sizes = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in MODULES.items()}
    assert {n: size for n, size in sizes.items() if size > 450} == {}
    assert not {"utils", "util", "helpers", "base", "common"} & MODULES.keys()


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"cli", "terminal"}))
def test_only_the_command_line_prints_and_exits(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "exit", "quit", "sys.exit", "os._exit"), node.lineno


def test_what_executes_text():
    """eval never, exec only on text that sdkit itself generated."""
    found = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec"):
                found.setdefault(name, []).append(ast.unparse(node.func))
    assert found == {"failure": ["exec"]}


@pytest.mark.parametrize("module", ["sdkit", "sdkit.cli"])
def test_start_up_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    light = {"typer", "rich"} if module == "sdkit.cli" else set()
    assert loaded & (COMMON | DOORS.keys()) <= light


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_nothing_names_a_machine():
    # In pieces, so that this file does not find itself.
    places = "|".join(
        ["/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "/Us" + "ers/", r"C:\\U" + "sers"]
    )
    found = []
    for path in tracked():
        if path.is_file() and b"\0" not in (raw := path.read_bytes()):
            text = raw.decode("utf-8", "replace")
            found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in re.finditer(places, text)]
    assert found == []


def test_the_package_data_exists_and_is_all_there_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["sdkit"]
    found = [set((ROOT / "sdkit").glob(pattern)) for pattern in patterns]
    assert all(found)
    files = {p for p in (ROOT / "sdkit").rglob("*") if p.is_file()}
    files = {p for p in files if p.suffix not in (".py", ".pyc")}
    assert set().union(*found) == files
    assert project["project"]["license"] == "MIT"


def test_every_code_that_is_named_is_explained():
    from sdkit.errors import CODES

    named = set()
    for name, path in MODULES.items():
        if name in ("codes", "rules", "errors"):  # which hold every code as a key
            continue
        named |= set(re.findall(r'"([MSPRCXFGU]\d{3})[":]', path.read_text(encoding="utf-8")))
    assert named == CODES.keys()
