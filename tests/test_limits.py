"""Limits: a text of a few bytes takes no more memory than is there; tables come from where a model
stands; what a spreadsheet would run is quoted; what a kill leaves goes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import sdkit.scratch as scratches
from sdkit import Error, compile_model, open_store, read_model, simulate
from sdkit.files import read_rows, read_toml, write_table
from sdkit.limits import LIMITS, bounded
from sdkit.scratch import beside, scratch
from tests.small import experiment, model, text

GREEK = ":MACRO: m{}(a)\nm{} = {} ~~|\n:END OF MACRO:\n"


def macros(depth: int, calls: int) -> str:
    """Macros one inside another, each with so many calls of the next."""
    inner = [GREEK.format(0, 0, "a*2")]
    inner += [GREEK.format(i, i, " + ".join([f"m{i - 1}(a)"] * calls)) for i in range(1, depth)]
    return "".join(inner) + f"x = m{depth - 1}(1) ~ ~ |"


def of(name: str, more: int = 1) -> int:
    return LIMITS[name].most + more


# By the limit that is exceeded: the smallest text that exceeds it, and the line it stands in.
HUGE = {
    "range": (f"d: (y1-y{of('range')}) ~ ~ |", 2),
    "a range without end": ("d: (y1-y99999999999) ~ ~ |", 2),
    "elements": ("d: (a1-a300) ~ ~ |\ne: (b1-b300) ~ ~ |\nf: (c1-c300) ~ ~ |\nx[d,e,f] = 1", 5),
    "a range of ranges": ("d: (a1-a6000) ~ ~ |\ne: (b1-b6000) ~ ~ |\nf: d, e ~ ~ |", 4),
    "ranges": ("d: (a1-a9999) ~ ~ |\n" + "\n".join(f"d{i}: d ~ ~ |" for i in range(101)), 102),
    "all elements": (
        "d: (a1-a9999) ~ ~ |\n" + "\n".join(f"x{i}[d] = 1" for i in range(201)), None,
    ),
    "sum": ("d: (a1-a4000) ~ ~ |\ne: (b1-b4000) ~ ~ |\nx[d] = 1\ny[e] = 1\n"
            "z = SUM(x[d!]*y[e!])", 6),
    "digits": ("x = " + "1" * of("digits"), 2),
    "a million digits": ("x = 0." + "1" * 1_000_000, 2),
    "name": ("n" * of("name") + " = 1", 2),
    "an element's name": (f"d: {'e' * of('name')}, f ~ ~ |", 2),
    "subscripts": (f"d: a, b ~ ~ |\nx[{','.join('d' * 9)}] = 1", 3),
    "equation": ("x = 1" + " + 1" * 50_000, 2),
    "a comment": ("x = 1 ~ Dmnl ~ " + "c" * of("equation") + " |", 2),
    "equations": ("x = 1 ~ Dmnl ~ c |\n" * 230_000, None),
}  # fmt: skip


@pytest.mark.parametrize("what", HUGE)
def test_a_text_that_asks_for_too_much_is_refused_while_it_is_read(tmp_path, what):
    """In a process that may take a gigabyte, of which sdkit itself takes a third."""
    equations, line = HUGE[what]
    path = tmp_path / "huge.mdl"
    path.write_text(text(equations), encoding="utf-8")
    with pytest.raises(Error) as caught:
        read_within(path)
    assert caught.value.code == "M132"
    assert "the limit is " in caught.value.message
    assert caught.value.message.startswith("huge.mdl" + (f", line {line}" if line else ""))


def read_within(path: Path) -> None:
    """Read a model while the address space may grow by half a gigabyte and no more."""
    resource = pytest.importorskip("resource")
    own = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if not own:
        read_model(path)
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (own * resource.getpagesize() + 2**29, before[1]))
    try:
        read_model(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_what_stands_at_the_limits_is_read(tmp_path):
    read = model(tmp_path, f"d: (y1-y{of('range', 0)}) ~ ~ |\nx[d] = 1\ny = SUM(x[d!])", end=0)
    assert simulate(read)["y"].to_numpy().ravel()[0] == LIMITS["range"].most
    name = "n" * of("name", 0)
    assert model(tmp_path, f"{name} = 7").find(name).value == 7


def test_calls_of_macros_inside_macros(tmp_path, monkeypatch):
    lower(monkeypatch, "macros", 1000)
    path = tmp_path / "macros.mdl"
    path.write_text(text("z = 1").replace("z = 1", macros(4, 3) + "\nz = 1"))
    assert simulate(read_model(path))["x"].to_numpy().ravel()[0] == 2 * 3**3
    path.write_text(text("z = 1").replace("z = 1", macros(7, 10) + "\nz = 1"))
    with pytest.raises(Error, match=r"macros\.mdl, line \d+, .*: 1,001 equations") as caught:
        read_model(path)
    assert caught.value.code == "M132"


def test_a_dimension_of_a_size_and_tags_in_xmile(tmp_path):
    whole = (Path(__file__).parent / "functions" / "xmile_stocks.xmile").read_text("utf-8")
    path = tmp_path / "huge.xmile"
    sized = '<dimensions><dim name="d" size="{}"/></dimensions><model>'
    path.write_text(whole.replace("<model>", sized.format(of("range")), 1))
    with pytest.raises(
        Error, match=r"huge\.xmile, line \d+, 'd': 10,001 elements in one .*range"
    ) as caught:
        read_model(path)
    assert caught.value.code == "M132"
    long = f'<aux name="x"><eqn>1{" + 1" * 50_000}</eqn></aux></variables>'
    path.write_text(whole.replace("</variables>", long, 1))
    with pytest.raises(
        Error, match=r"huge\.xmile, line \d+, 'x': 200,001 characters in one equ"
    ) as caught:
        read_model(path)
    assert caught.value.code == "M132"
    path.write_text(whole.replace("</xmile>", "<a/>" * of("tags") + "</xmile>"))
    with pytest.raises(Error, match=r"huge\.xmile: .* tags in an XMILE file") as caught:
        read_model(path)
    assert caught.value.code == "M132"


def test_runs_that_are_too_long_or_save_too_much(tmp_path):
    with pytest.raises(Error, match=r"more than a run may have \(10,000,000\)") as caught:
        compile_model(model(tmp_path, "x = Time", end=of("steps"), step=1, saveper=1))
    assert caught.value.code == "M113"
    many = "\n".join(f"x{i} = Time" for i in range(60))
    with pytest.raises(Error, match="numbers that one run saves") as caught:
        simulate(model(tmp_path, many, end=1_000_000, step=1))
    assert caught.value.code == "M135"


# -- TOML and CSV -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (".".join("a" * 50_000) + " = 1", "line 1: 21 parts"),
        ("b = 1\n[" + ".".join(['"a"'] * 21) + "]", "line 2: 21 parts"),
        ("b = { " + ".".join("a" * 21) + " = 1 }", "line 1: 21 parts"),
        ("a = " + "1" * of("digits"), "line 1: 10,001 digits"),
        ("a = 1 # " + "x" * of("toml"), "bytes in a TOML file"),
    ],
)
def test_a_toml_file_that_asks_for_too_much(tmp_path, content, said):
    path = tmp_path / "huge.toml"
    path.write_text(content)
    with pytest.raises(Error, match=said) as caught:
        read_toml(path)
    assert caught.value.code == "R423"


def test_dots_that_part_no_key(tmp_path):
    path = tmp_path / "dots.toml"
    dots = "a." * 200
    path.write_text(
        f'a = "{dots}"  # {dots}\nb = """\n{dots} \\" {dots}"""\nc = \'{dots}\'\nd = 1.5\n'
        + "".join(f"k.{'j.' * 9}x{i} = 1.25\n" for i in range(30))
    )
    found = read_toml(path)
    assert (found["a"], found["c"], found["d"]) == (dots, dots, 1.5)


def lower(monkeypatch, name: str, most: int) -> None:
    """A limit that a small file exceeds."""
    monkeypatch.setitem(LIMITS, name, replace(LIMITS[name], most=most))


def test_a_csv_file_that_asks_for_too_much(tmp_path, monkeypatch):
    path = tmp_path / "huge.csv"
    lower(monkeypatch, "csv rows", 1000)
    lower(monkeypatch, "csv cells", 3000)
    path.write_text("a\n" + "1\n" * 1000)
    assert len(read_rows(path, ["a"])) == 1000
    path.write_text("a\n" + "1\n" * 1001)
    with pytest.raises(Error, match=r"huge\.csv, line 1002: 1,001 rows") as caught:
        read_rows(path, ["a"])
    assert caught.value.code == "R423"
    path.write_text("a,b,c,d\n" + "1,2,3,4\n" * 750)
    with pytest.raises(Error, match=r"huge\.csv, line 751: 3,004 cells") as caught:
        read_rows(path, ["a"])
    assert caught.value.code == "R423"
    path.write_text("a," * 3000 + "a\n")
    with pytest.raises(Error, match=r"huge\.csv, line 1: 3,001 cells") as caught:
        read_rows(path, ["a"])
    assert caught.value.code == "R423"
    with path.open("wb") as file:
        file.truncate(of("csv"))  # a hole, which takes no disk
    with pytest.raises(Error, match="67,108,865 bytes in a CSV file") as caught:
        read_rows(path, ["a"])
    assert caught.value.code == "R423"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_in_place_of_a_file(tmp_path):
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(Error, match="no ordinary file") as caught:
        read_toml(tmp_path / "a.toml")
    assert caught.value.code == "R424"


CELLS = [
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\r=1", "=", "-", " =1", "＝1", "-x",
    "'=1", "''=1", "'", "'quoted'", "it's", "a,b", 'a "b"', "two\nlines", "plain", "−5", "",
]  # fmt: skip


def test_cells_that_a_spreadsheet_would_run(tmp_path):
    path = tmp_path / "cells.csv"
    numbers = [-1.5, "-2.5e-07", "+3", -4, float("-inf")]
    write_table(path, ["=name", "value"], [[c, numbers[i % 5]] for i, c in enumerate(CELLS)])
    with path.open(newline="", encoding="utf-8") as file:
        written = list(csv.reader(file))
    assert written[0][0] == "'=name"
    for cell, value in written[1:]:
        assert cell.lstrip()[:1] not in tuple("=+-@＝")  # noqa: RUF100
        assert float(value)  # numbers stay numbers, their sign in front
    read = [row for _, row in read_rows(path, ["=name", "value"])]
    assert [row["=name"] for row in read] == CELLS
    assert [float(row["value"]) for row in read[:5]] == [float(n) for n in numbers]


def test_a_program_quotes_names_that_a_spreadsheet_would_run(tmp_path):
    read = model(tmp_path, "x = 1 + Time", end=1, step=1)
    source = compile_model(read).source.replace("'x',", "'=x',")
    (tmp_path / "program.py").write_text(source)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=True
    )
    assert "'=x" in done.stdout.splitlines()[0].split(",")


# -- where tables may come from -----------------------------------------------------------------

TABLES = {
    "constants": "x = GET DIRECT CONSTANTS('{}', ',', 'B2')",
    "xls constants": "x = GET XLS CONSTANTS('{}', ',', 'B2')",
    "lookups": "x(GET DIRECT LOOKUPS('{}', ',', 'A', 'B2')) ~ ~ |",
    "data": "x := GET DIRECT DATA('{}', ',', 'A', 'B2')",
    "subscript": "d: GET DIRECT SUBSCRIPT('{}', ',', 'A2', 'A3', '') ~ ~ |\nx[d] = 1",
    "inside an expression": "x = 2*GET DIRECT CONSTANTS('{}', ',', 'B2')",
}


def beside_model(tmp_path: Path) -> Path:
    """A model's folder with a table; the same table outside, and links to that."""
    folder = tmp_path / "models" / "m"
    (folder / "deeper").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    for place in (folder, folder / "deeper", tmp_path / "shared"):
        (place / "table.csv").write_text("t,v\n1,5\n2,6\n")
    (folder / "link.csv").symlink_to(tmp_path / "shared" / "table.csv")
    (folder / "away").symlink_to(tmp_path / "shared")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    return folder


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/etc/passwd", "M133"),
        ("../../shared/table.csv", "M133"),
        ("deeper/../../../shared/table.csv", "M133"),
        ("link.csv", "M133"),
        ("away/table.csv", "M133"),
        ("/dev/zero", "M133"),
        ("loop.csv", "M134"),
        ("deeper", "M134"),
        ("x" * 300, "M134"),
    ],
)
def test_a_table_outside_the_models_folder(tmp_path, kind, name, code):
    folder = beside_model(tmp_path)
    for engine in ("compiled", "pysd"):
        with pytest.raises(Error, match=r"m\.mdl, line ") as caught:
            simulate(model(folder, TABLES[kind].format(name), name="m.mdl"), engine=engine)
        assert caught.value.code == code


def test_a_macro_that_nobody_calls_names_no_file_outside(tmp_path):
    folder = beside_model(tmp_path)
    path = folder / "m.mdl"
    macro = (
        ":MACRO: m(a)\nm = a*k ~~|\nk = GET DIRECT CONSTANTS('/etc/passwd', ',', 'B2') ~~|\n"
        ":END OF MACRO:\nz = 1"
    )
    path.write_text(text("z = 1").replace("z = 1", macro))
    with pytest.raises(Error) as caught:
        read_model(path)
    assert caught.value.code == "M133"


def test_tables_inside_the_folder_and_in_folders_that_are_allowed(tmp_path, sdkit, monkeypatch):
    folder = beside_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", "deeper/table.csv", "deeper/../table.csv"):
        assert model(folder, TABLES["constants"].format(name)).find("x").value == 5
    path = folder / "small.mdl"
    path.write_text(text(TABLES["constants"].format("../../shared/table.csv")))
    assert sdkit("run", path)[0] == 2  # and what is refused is not remembered as refused
    assert read_model(path, folders=[tmp_path / "shared"]).find("x").value == 5
    code, _, error = sdkit("run", path)
    assert (code, error[:6]) == (2, "M133: ")
    assert sdkit("--tables", tmp_path / "shared", "run", path)[0] == 0
    assert sdkit("run", path)[0] == 2  # the option is of one command
    with pytest.raises(Error) as caught:
        read_model(path, folders=[tmp_path / "nowhere"])
    assert caught.value.code == "R425"


def test_a_file_that_becomes_a_link_later(tmp_path):
    folder = beside_model(tmp_path)
    read = model(folder, TABLES["constants"].format("table.csv"))
    (folder / "table.csv").unlink()
    (folder / "table.csv").symlink_to("/dev/zero")
    with pytest.raises(Error) as caught:
        read_model(read.path)
    assert caught.value.code == "M133"


def test_series_beside_a_model_and_those_that_the_caller_names(tmp_path):
    folder = beside_model(tmp_path)
    series = tmp_path / "shared" / "series.csv"
    series.write_text("Time,x\n0,3\n10,4\n")
    (folder / "small_data.csv").symlink_to(series)
    with pytest.raises(Error) as caught:
        model(folder, "x ~ ~ |\ny = x")
    assert caught.value.code == "M133"
    (folder / "small_data.csv").unlink()
    read = read_model(folder / "small.mdl", data=series)
    assert simulate(read)["y"].to_numpy().ravel()[0] == 3


def test_tables_of_a_run(project, tmp_path):
    from sdkit.run import prepare, read_run

    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "table.csv").write_text("t,v\n1,5\n")
    mdl = project / "models" / "sir" / "sir.mdl"
    line = TABLES["constants"].format("../../shared/table.csv").replace("x =", "extra =", 1)
    raw = mdl.read_text("utf-8")
    mdl.write_text(raw.replace("\n", f"\n{line} ~ Dmnl ~ |\n", 1), encoding="utf-8")
    run = project / "runs" / "sir" / "run.toml"
    with pytest.raises(Error) as caught:
        prepare(read_run(run.parent, n=8))
    assert caught.value.code == "M133"
    whole = run.read_text()
    run.write_text('tables = ["shared"]\n' + whole)
    with pytest.raises(Error) as caught:  # it is read now, and asks for its row
        prepare(read_run(run.parent, n=8))
    assert caught.value.code == "P301"
    run.write_text('tables = ["nowhere"]\n' + whole)
    with pytest.raises(Error, match=r"run\.toml, line 1") as caught:
        read_run(run.parent)
    assert caught.value.code == "R425"


def test_a_link_in_the_data_folder(project):
    from sdkit.observations import read_series

    data = project / "models" / "sir" / "data"
    (data / "other.csv").symlink_to("/etc/passwd")
    with pytest.raises(Error, match=r"other\.csv is a link") as caught:
        read_series(data)
    assert caught.value.code == "R426"


# -- workbooks ----------------------------------------------------------------------------------


def book(path: Path, *cells) -> None:
    import openpyxl

    made = openpyxl.Workbook()
    made.active.title = "S"
    for row, column, value in cells:
        made.active.cell(row, column, value)
    made.save(path)


def test_workbooks_that_unpack_to_more_than_there_is(tmp_path):
    equation = "x = GET DIRECT CONSTANTS('{}', 'S', 'B2')"
    book(tmp_path / "bomb.xlsx", (2, 2, 7))
    assert model(tmp_path, equation.format("bomb.xlsx")).find("x").value == 7
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/media/zeros.bin", bytes(of("table")))
    book(tmp_path / "far.xlsx", (1_048_576, 16_384, 7))
    sheet = '<sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(tmp_path / "far2.xlsx", "w") as packed:
        packed.writestr("xl/worksheets/sheet1.xml", f"<worksheet>{sheet}</worksheet>")
    # Cells that do not say where they stand, in a row that does.
    row = f'<row r="1048576">{"<c><v>1</v></c>" * 5}</row>'
    with zipfile.ZipFile(tmp_path / "far3.xlsx", "w") as packed:
        packed.writestr("xl/worksheets/sheet1.xml", f"<worksheet>{row}</worksheet>")
    parts = {"comma": ",", "semicolon": ";", "tab": "\t", "blank": " ", "bar": "|"}
    for part, mark in parts.items():
        (tmp_path / f"{part}.csv").write_text(f"1{mark}" * of("columns") + "1\n")
    (tmp_path / "long.csv").write_text("1\n" * of("cells"))
    for name, said in {
        "bomb.xlsx": ".* bytes in a file of values",
        "far.xlsx": "17,179,869,184 cells",
        "far2.xlsx": "17,179,869,184 cells",
        "far3.xlsx": "5,242,880 cells",
        **{f"{part}.csv": "16,386 columns" for part in parts},
        "long.csv": "5,000,001 cells",
    }.items():
        path = tmp_path / "small.mdl"
        path.write_text(text(equation.format(name)))
        with pytest.raises(Error, match=f"small.mdl, line 2, 'x': {name}: {said}") as caught:
            read_within(path)
        assert caught.value.code == "M132"
    for name, code in {"a.ods": "M134", "a.xlsb": "M134", "a.xlsx": "M119"}.items():
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(Error) as caught:
            model(tmp_path, equation.format(name))
        assert caught.value.code == code


def test_bounded_counts_and_its_codes():
    for name, limit in LIMITS.items():
        bounded(name, limit.most, "here")
        with pytest.raises(Error, match=r"here: [\d,]+ .*; the limit is [\d,]+$") as caught:
            bounded(name, limit.most + 1, "here")
        assert caught.value.code == limit.code


# -- what stays for a while only ------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from sdkit.scratch import beside, scratch
with scratch(".sdkit-new-", Path(sys.argv[1])) as folder, beside(Path(sys.argv[1]) / "a") as part:
    (folder / "inside").write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def holding(folder):
    """A process that has a folder and a file of its own in this one, until it reads an end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def sweep_both(folder):
    for prefix in (".sdkit-new-", ".new-"):
        scratches.sweep(folder, prefix)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks")
@pytest.mark.parametrize("case", ["of another machine", "at work for long"])
def test_a_living_process_keeps_what_it_made(tmp_path, monkeypatch, case):
    living = holding(tmp_path)
    mine = sorted(tmp_path.iterdir())
    assert len(mine) == 2  # a folder and a file
    if case == "of another machine":  # where its number says nothing here
        monkeypatch.setattr(scratches, "alive", lambda *_: False)
    else:
        for path in mine:
            os.utime(path, (1, 1))
    sweep_both(tmp_path)
    assert sorted(tmp_path.iterdir()) == mine
    living.communicate("")
    assert living.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks")
def test_what_is_young_or_of_somebody_else_is_not_swept(tmp_path, monkeypatch):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        folder, file = (tmp_path / f"{p}{other.pid}-a1" for p in (".sdkit-new-", ".new-"))
        folder.mkdir()
        file.touch()
        sweep_both(tmp_path)  # the process may be about to lock them
        assert folder.exists()
        assert file.exists()
        for path in (folder, file):
            os.utime(path, (1, 1))
        uid = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: uid + 1)
        sweep_both(tmp_path)
        assert folder.exists()
        assert file.exists()
        monkeypatch.setattr(os, "getuid", lambda: uid)
        sweep_both(tmp_path)  # the number has gone to another process, which locks nothing
        assert list(tmp_path.iterdir()) == []
    finally:
        other.communicate(b"\n")


def test_a_folder_is_swept_once_for_all_files_written_to_it(tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(scratches, "sweep", lambda home, prefix: swept.append(home))
    for name in ("a", "b", "c"):
        with beside(tmp_path / name) as part:
            part.write_text(name)
    assert swept == [tmp_path]


@pytest.mark.skipif(sys.platform == "win32", reason="whether a process lives is not asked there")
def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path):
    killed = holding(tmp_path)
    killed.kill()
    killed.wait()
    left = sorted(tmp_path.iterdir())
    assert len(left) == 2  # a folder and a file
    living = holding(tmp_path)
    mine = sorted(set(tmp_path.iterdir()) - set(left))
    assert len(mine) == 2
    assert not any(path.exists() for path in left)
    (tmp_path / ".sdkit-new-notes").mkdir()
    with scratch(".sdkit-new-", tmp_path) as own, beside(tmp_path / "b") as part:
        assert all(path.exists() for path in (*mine, own, part))
    living.communicate("")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".sdkit-new-notes", "a", "b"]


def test_a_part_in_the_cache_that_a_killed_process_left(tmp_path, monkeypatch):
    from sdkit.cache import cached

    monkeypatch.setenv("SDKIT_CACHE", str(tmp_path))
    tmp_path.chmod(0o700)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    entry = "0" * 32
    for pid in (done.pid, os.getpid()):
        (tmp_path / f"{entry}.o.{pid}.part").write_bytes(b"x")
    assert cached("1" * 32 + ".o", lambda: b"made") == b"made"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{entry}.o.{os.getpid()}.part", "1" * 32 + ".o",
    ]  # fmt: skip


def test_an_output_with_a_name_too_long_for_a_folder_in_a_store(tmp_path):
    names = ["n" * 300, "n" * 299 + "m"]
    read = model(tmp_path, f"{names[0]} = 2 + Time\n{names[1]} = 3 + Time", end=1, step=1)
    asked = experiment(names, [0, 1])
    whole = simulate(read, asked, store=tmp_path / "store")
    for found in (whole, open_store(tmp_path / "store"), simulate(read, asked)):
        assert [found[n].to_numpy().ravel().tolist() for n in names] == [[2, 3], [3, 4]]
