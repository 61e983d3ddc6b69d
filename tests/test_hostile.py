"""Nothing in a model file is ever executed, on any path, and odd names come back as spelt."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest

from sdkit import Error, compile_model, read_model, simulate
from sdkit.errors import ModelError
from sdkit.limits import LIMITS
from sdkit.run import prepare, read_run
from tests.small import experiment, model, text

XMILE = (
    '<?xml version="1.0" encoding="utf-8"?>\n{before}'
    '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">'
    "<header/><sim_specs><start>0</start><stop>2</stop><dt>1</dt></sim_specs>"
    "<model><variables>{variables}</variables></model></xmile>"
)


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """An empty working folder; afterwards neither a marker nor any other file is there."""
    folder, models = tmp_path / "here", tmp_path / "models"
    folder.mkdir()
    models.mkdir()
    monkeypatch.chdir(folder)
    yield models, folder / "MARKER"
    assert list(folder.iterdir()) == [], "something was executed or written"


def attack(path) -> list[str]:
    """Read, compile and run a file on each path; the codes of the errors that stopped it."""
    before = sorted(path.parent.iterdir())
    codes = []
    for engine in ("compiled", "pysd"):
        try:
            read = read_model(path)
            if engine == "compiled":
                program = compile_model(read)
                exec(compile(program.source, "program", "exec"), {"__name__": "a program"})
            simulate(read, engine=engine)
        except Error as error:
            codes.append(error.code)
    assert sorted(path.parent.iterdir()) == before, "a file was written beside the model"
    return codes


def payloads(marker) -> list[str]:
    return [
        f"__import__('pathlib').Path({str(marker)!r}).touch()",
        f'__import__("os").system("touch {marker}")',
        f"[x for x in ().__class__.__base__.__subclasses__()] and open({str(marker)!r}, 'w')",
    ]


# -- the two holes of PySD's parser ---------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    "equation",
    [
        "x([(0,0)-(1,1) if {} else 0],(0,0),(1,1))",
        "x([(0,0)-({},1)],(0,0),(1,1))",
        "x((0,0),({},1))",
        "x((0,0),(1,1)) + {}",
        "x = WITH LOOKUP(Time, ([(0,0)-(1,1) if {} else 0],(0,0),(1,1)))",
        "x = WITH LOOKUP(Time, ((0,0),({},1)))",
        "x = {}",
        "x = 1 + {}",
        "x = 1, {}",
        "x = TABBED ARRAY({})",
        "x = 1 ~ Month [0,{}] ~ |",
    ],
)
def test_code_in_a_table(guarded, equation, number):
    folder, marker = guarded
    path = folder / "hostile.mdl"
    path.write_text(text(equation.format(payloads(marker)[number]), step=1, end=2))
    codes = attack(path)
    assert len(codes) == 2
    assert set(codes) <= {"M104", "M105", "M109", "M111", "M112", "M114"}


def test_code_in_an_xmile_table(guarded):
    folder, marker = guarded
    path = folder / "hostile.xmile"
    for code in payloads(marker):
        code = code.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        for variables in (
            f'<gf name="x"><xscale min="0" max="{code}"/><ypts>1,2</ypts></gf>',
            f'<gf name="x"><xscale min="0" max="1"/><ypts>1,{code}</ypts></gf>',
            f'<gf name="x"><xpts>0,{code}</xpts><ypts>1,2</ypts></gf>',
            f'<gf name="x"><xscale min="0" max="1"/><ypts sep="{code}">1,2</ypts></gf>',
            f'<aux name="x"><eqn>{code}</eqn></aux>',
            f'<aux name="x"><eqn>1, {code}</eqn></aux>',
            f'<aux name="x"><eqn>1</eqn><range min="{code}" max="2"/></aux>',
            f'<stock name="x"><eqn>{code}</eqn><inflow>{code}</inflow></stock>',
        ):
            path.write_text(XMILE.format(before="", variables=variables))
            assert len(attack(path)) == 2


# -- names, comments, units -----------------------------------------------------------------

NAMES = [
    "__import__('os').system('touch MARKER')",
    "x\\nimport os; os.system('touch MARKER')",
    "x # a comment",
    "'''",
    "back\\\\slash",
    "curly {0} {t} {__class__}",
    "percent %s %(x)s",
    "§ µ 変数 🜁 e\u0301",
    "line\u2028separator and\u0085next",
    "right\u202eto left",
    "None", "True", "lambda", "class", "print", "t", "dt", "s", "p", "o", "d", "k", "m",
    "x[0]", "larger", "math", "evaluate", "lanes", "TABLE_1_X", "STATES", "fma", "at", "begin",
    "1 starts with a digit", "a.b", "a-b", "=", "(", ")", "[", "~ tilde and | bar",
    "$(touch MARKER)", "`touch MARKER`", "a, b", "a; b", ":NA:", "a " + "very " * 60 + "long name",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", NAMES)
def test_odd_name(guarded, name):
    folder, _ = guarded
    quoted = f'"{name}"'
    read = model(folder, f"{quoted} = 2 + Time\nreader = {quoted}*2\nstock = INTEG({quoted}, 1)")
    result = simulate(read)
    spelt = next(n for n in result if n not in ("reader", "stock"))
    assert " ".join(spelt.strip('"').split()) == " ".join(name.split())
    assert read.find(quoted).name == spelt
    assert list(result["reader"].to_numpy().ravel()[:2]) == [4, 4.25]
    assert attack(folder / "small.mdl") in ([], ["M116"])  # PySD cannot spell them all


def test_names_that_fold_into_one_identifier(guarded):
    folder, _ = guarded
    names = ['"a b!"', '"a b?"', '"a_b_2"', '"a b"', '"a-b"', '"(a b)"', '"a+b"']
    read = model(folder, "\n".join(f"{n} = {i} + Time*0" for i, n in enumerate(names)), end=1)
    result = simulate(read)
    assert {n: result[n].to_numpy().flat[0] for n in names} == {n: i for i, n in enumerate(names)}


def test_a_variable_named_as_an_axis_is_still_readable(guarded):
    folder, _ = guarded
    read = model(folder, "policy = 3 + Time\ndraw = policy*2\nscenario = draw + 1", end=1, step=1)
    with pytest.warns(UserWarning, match="left out.*policy, draw, scenario"):
        result = simulate(read)
    assert result.sizes == {"time": 2, "scenario": 1, "policy": 1, "draw": 1}
    with pytest.raises(Error, match="'draw': results have an axis"):
        compile_model(read, ["draw"])


@pytest.mark.parametrize(
    "words",
    [
        '"""\nimport os\nos.system("touch MARKER")\n"""',
        "'''\n__import__('os').system('touch MARKER')\n'''",
        '\\"\\"\\"; open("MARKER", "w") #',
        "\\N{BULLET} \\x41 \\u0041 {0} %s \\",
        "\r\nopen('MARKER', 'w')",
        "\u2028open('MARKER', 'w')",
        "\x0copen('MARKER', 'w')",
        "$(touch MARKER) `touch MARKER` <script>alert(1)</script>",
    ],
)
def test_code_in_a_comment_or_a_unit(guarded, words):
    folder, _ = guarded
    path = folder / "hostile.mdl"
    hostile = f"x = 1 ~ Dmnl ~ {words} |\ny = x + Time ~ {words} ~ |"
    path.write_text(text("x = 1").replace("x = 1 ~ Dmnl ~ |", hostile), encoding="utf-8")
    assert attack(path) == []
    source = compile_model(read_model(path)).source
    assert not [
        line for line in source.splitlines() if line.lstrip().startswith(("open", "import os"))
    ]


@pytest.mark.parametrize(
    "name",
    [
        "it's.mdl", 'a "quoted" name.mdl', "two\nlines.mdl", "$(touch MARKER).mdl",
        "-rf.mdl", "--help.mdl", "`touch MARKER`.mdl", "a;touch MARKER.mdl", "{0}%s.mdl",
        '"""\nopen("MARKER", "w")\n.mdl', "ü 変.mdl", "é.mdl", " .mdl", "#.mdl",
    ],
)  # fmt: skip
def test_odd_file_name(guarded, name):
    folder, _ = guarded
    try:
        read = model(folder, "x = 1 + Time", name=name)
    except OSError:
        pytest.skip("this file system does not take the name")
    assert attack(read.path) == []
    (folder / name).write_text(text("x = nobody"))
    with pytest.raises(ModelError) as caught:
        read_model(folder / name)
    assert caught.value.code == "M105"


def test_code_in_the_kernel(guarded, monkeypatch):
    folder, marker = guarded
    monkeypatch.setenv("SDKIT_CACHE", str(folder.parent / "cache"))
    name = f'"""{payloads(marker)[0]}"""'.replace('"', '\\"')
    read = model(folder, f'"{name}" = 2 + Time ~ {{0}} ~ """ |\nstock = INTEG("{name}", 1)', end=1)
    result = simulate(read, experiment(read.variables, [0, 1]))
    assert result["stock"].to_numpy().ravel()[0] == 1


def test_a_cell_name_with_code_in_it(guarded):
    folder, marker = guarded
    path = folder / "hostile.mdl"
    for cell in ("B2", f"B2'+{payloads(marker)[0]}+'", f"B2', open('{marker}', 'w'), '"):
        for equation in (
            f"x = GET DIRECT CONSTANTS('a.xlsx', 'S', '{cell}')",
            f"x = GET XLS CONSTANTS('{cell}.xlsx', 'S', 'B2')",
            f"x := GET DIRECT DATA('a.xlsx', 'S', 'A', '{cell}')",
        ):
            path.write_text(text(equation))
            assert len(attack(path)) == 2


def test_a_macro_with_code_in_its_name(guarded):
    folder, _ = guarded
    path = folder / "hostile.mdl"
    for name, codes in {
        "twice": [],
        "../../here/MARKER": ["M104", "M104"],
        "os.system": ["M104", "M104"],
        '"a/../b"': ["M116"],  # a name like others here, a file to PySD
    }.items():
        macro = f":MACRO: {name}(x)\n{name} = x*2 ~~|\n:END OF MACRO:\ny = {name}(3) ~~|\n"
        path.write_text(text("z = 1").replace("z = 1", macro + "z = 1"))
        assert attack(path) == codes


# -- XML --------------------------------------------------------------------------------------


def test_xml_entities_are_not_read(guarded):
    folder, _ = guarded
    secret = folder / "secret.txt"
    secret.write_text("42")
    bomb = "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "1"}">' for i in range(12)
    )  # a billion laughs
    for before, equation in (
        (f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{secret}">]>', "&a;"),
        (f'<!DOCTYPE x [<!ENTITY % a SYSTEM "file://{secret}"> %a;]>', "1"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">', "1"),
        (f"<!DOCTYPE x [{bomb}]>", "&a11;"),
        (f"<!doctype x [{bomb}]>", "&a11;"),
    ):
        path = folder / "hostile.xmile"
        variables = f'<aux name="x"><eqn>{equation}</eqn></aux>'
        path.write_text(XMILE.format(before=before, variables=variables))
        assert attack(path) == ["M117", "M117"]
    path.write_bytes(  # the same, where UTF-8 does not show it
        XMILE.format(before=f"<!DOCTYPE x [{bomb}]>", variables="").replace(
            "utf-8", "utf-16").encode("utf-16")
    )  # fmt: skip
    assert set(attack(path)) <= {"M103", "M117"}


def test_xml_includes_are_not_followed(guarded):
    folder, _ = guarded
    (folder / "other.txt").write_text("7")
    path = folder / "hostile.xmile"
    path.write_text(
        XMILE.format(
            before='<?xml-stylesheet href="file:///etc/passwd"?>',
            variables='<aux name="x"><eqn><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" '
            'href="other.txt" parse="text"/></eqn></aux>',
        )
    )
    assert len(attack(path)) == 2


def test_xmile_names_come_back_as_spelt(guarded):
    folder, _ = guarded
    path = folder / "odd.xmile"
    path.write_text(
        XMILE.format(
            before="",
            variables='<aux name="&quot;a &lt;b&gt; &amp; c&quot;"><eqn>TIME + 1</eqn></aux>'
            '<aux name="Two\\nLines"><eqn>2</eqn></aux>',
        )
    )
    result = simulate(read_model(path))
    assert list(result['"a <b> & c"'].to_numpy().ravel()) == [1, 2, 3]
    assert result["Two Lines"].to_numpy().flat[0] == 2


def test_the_file_is_not_written(guarded):
    folder, _ = guarded
    read = model(folder, "x = 1 + Time\ny = INTEG(x, 0)")
    os.chmod(read.path, 0o444)
    before = read.path.stat().st_mtime_ns, read.path.read_bytes()
    attack(read.path)
    assert (read.path.stat().st_mtime_ns, read.path.read_bytes()) == before


def test_pysd_gives_the_same_after_a_hostile_file(guarded):
    folder, marker = guarded
    path = folder / "hostile.mdl"
    path.write_text(text(f"x([(0,0)-(1,1) if {payloads(marker)[0]} else 0],(0,0),(1,1))"))
    with contextlib.suppress(Error):
        read_model(path)
    read = model(folder, "x = INTEG(y, 1)\ny = 2*x")
    ours, theirs = simulate(read), simulate(read, engine="pysd")
    assert np.allclose(ours["x"], theirs["x"], rtol=1e-12)


# -- found by tests/fuzz.py -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "inside", "codes"),
    [
        ("unicode_escape", "\\-", []),  # was a DeprecationWarning; it is read as UTF-8
        ("raw_unicode_escape", "\\ud800", []),
        ("undefined", "", []),
        ("utf-7", "+AAA-", ["M103"] * 2),
        ("utf-7", "+2AA-", ["M103"] * 2),
    ],
)
def test_an_encoding_that_no_editor_writes(guarded, header, inside, codes):
    folder, _ = guarded
    path = folder / "hostile.mdl"
    path.write_text(text(f"x = 1 ~ {inside} ~ |").replace("{UTF-8}", "{" + header + "}"))
    assert attack(path) == codes


def test_xml_that_one_parser_takes_and_the_other_refuses(guarded):
    folder, _ = guarded
    path = folder / "hostile.xmile"
    whole = XMILE.format(before="", variables='<aux name="x"><eqn>1</eqn></aux>')
    path.write_text(whole.replace("http://docs", "http ://docs"))
    read = read_model(path)  # a namespace says nothing here; PySD's parser asks for a URI
    assert read.find("x").value == 1
    with pytest.raises(ModelError, match=r"hostile\.xmile, line 2: .*not a valid URI") as caught:
        simulate(read, engine="pysd")
    assert caught.value.code == "M117"
    path.write_text(whole.replace("<header/>", "<a>" * 400 + "</a>" * 400))
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert caught.value.code == "M110"


def test_a_whole_number_beyond_all_floats(guarded):
    folder, _ = guarded
    for digits in (400, 5000):
        for settings in (
            {"equations": f"x = {'9' * digits}"},
            {"equations": "x=1", "end": "9" * digits},
        ):
            path = folder / "hostile.mdl"
            path.write_text(text(**settings))
            with pytest.raises(ModelError) as caught:
                read_model(path)
            assert caught.value.code == "M111"
            assert "\n" not in caught.value.message


def test_a_point_of_a_table_beyond_all_floats(guarded):
    folder, _ = guarded
    path = folder / "hostile.mdl"
    path.write_text(text(f"x = WITH LOOKUP(Time, ((0,0),(1,{'9' * 400})))"))
    with pytest.raises(ModelError, match=r"hostile\.mdl, line 2, 'x'") as caught:
        read_model(path)
    assert caught.value.code == "M112"


@pytest.mark.parametrize("number", ["9" * 5000, "²", "٣", "-1", "1e0", ""])
def test_an_integration_type_that_is_none(guarded, number):
    folder, _ = guarded
    path = folder / "hostile.mdl"
    path.write_text(text("x = 1").replace("15:0,0,0,0,", f"15:0,0,0,{number},"))
    with pytest.raises(ModelError, match=r"hostile\.mdl: integration type") as caught:
        compile_model(read_model(path))
    assert caught.value.code == "M115"
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("before", "inner", "after", "fine"),
    [
        ("2^", "1", "", 80), ("-", "1", "", 80), ("NOT ", "1", "", 80), ("SMTH1(", "x", ", 2)", 4),
        ("2^-", "1", "", 40), ("IF 1 THEN 2 ELSE ", "3", "", 80), ("(", "1", ")", 80),
        ("MAX(1, ", "x", ")", 20), ("x + ", "1", "", 200), ("v[", "1", "]", 20),
        ("TREND(", "x", ", 2)", 2), ("{", "", "} 1", 200), ("PREVIOUS(", "x", ", 1)", 6),
    ],
)  # fmt: skip
def test_deep_nesting_in_xmile(guarded, before, inner, after, fine):
    folder, _ = guarded
    path = folder / "deep.xmile"
    most = LIMITS["equation"].most
    array = '<aux name="v"><dimensions><dim name="R"/></dimensions><eqn>1</eqn></aux>'
    for depth in (fine, 1000, 20000):
        equation = before * depth + inner + after * depth
        whole = XMILE.format(before="", variables=f'{array}<aux name="x"><eqn>TIME</eqn></aux>'
                             f'<aux name="y"><eqn>{equation}</eqn></aux>')  # fmt: skip
        path.write_text(whole.replace(
            "<model>", '<dimensions><dim name="R" size="3"/></dimensions><model>'))  # fmt: skip
        flat = before in ("-", "{")  # the sign of a number and remarks: nothing is nested
        if depth == fine or flat:
            compile(compile_model(read_model(path)).source, "program", "exec")
            continue
        with pytest.raises(ModelError, match=r"deep\.xmile") as caught:
            compile_model(read_model(path))
        # An equation of more characters than any may have is refused before it is parsed.
        assert caught.value.code == ("M132" if len(equation) > most else "M110")


@pytest.mark.parametrize(
    ("before", "after", "fine"),
    [
        ("DELAY(", ", 2)", 8),  # without a start it reads its input twice: eight make 256 of it
        ("NORMAL(", ", 2)", 6),
        ("NORMAL(2, ", ")", 6),
        ("EXPRND(", ")", 10),  # those were without end at 12 and 20
        ("MEAN(", ")", 8),  # took seconds at 20, and twice as long for each more
    ],
)
def test_functions_that_double_their_input_in_xmile(tmp_path, before, after, fine):
    path = tmp_path / "wide.xmile"

    def read(depth, terms):
        equation = before * depth + " + ".join(["TIME"] * terms) + after * depth
        variables = f'<aux name="y"><eqn>{equation}</eqn></aux>'
        path.write_text(XMILE.format(before="", variables=variables))
        compile_model(read_model(path))

    read(2, 80)
    read(fine, 1)
    for depth, terms in ((fine, 80), (20, 1)):
        with pytest.raises(ModelError, match=r"wide\.xmile") as caught:
            read(depth, terms)
        assert caught.value.code == "M110"


def test_a_name_of_two_lines_in_a_message(project):
    scenarios = project / "models" / "sir" / "scenarios.toml"
    scenarios.write_text('[[scenario]]\nname = "two\\nlines"\n')
    with pytest.raises(
        Error, match=r"run\.toml, line \d+: unknown scenario .* two lines$"
    ) as caught:
        prepare(read_run(project / "runs" / "sir", n=8))
    assert caught.value.code == "R411"


@pytest.mark.parametrize(
    ("before", "inner", "after", "fine"),
    [
        ("2^", "1", "", 80),  # was a SyntaxError in the program
        ("Time > 1 :AND: ", "1 > 0", "", 80),
        ("SMOOTH(", "Time", ", 2)", 4),  # was without end: each level doubled the next
        ("DELAY3(", "Time", ", 2)", 4),
        ("(", "Time", ")", 20),
        ("MAX(1, ", "Time", ")", 20),
        ("Time + ", "1", "", 200),
    ],
)
def test_deep_nesting(guarded, before, inner, after, fine):
    folder, _ = guarded
    path = folder / "deep.mdl"
    path.write_text(text(f"x = {before * fine}{inner}{after * fine}"))
    compile(compile_model(read_model(path)).source, "program", "exec")
    for depth in (1000, 3000):
        path.write_text(text(f"x = {before * depth}{inner}{after * depth}"))
        with pytest.raises(ModelError, match=r"deep\.mdl") as caught:
            compile_model(read_model(path))
        assert caught.value.code == "M110"


@pytest.mark.parametrize("name", ["SMOOTH", "SMOOTH3", "DELAY1", "DELAY3"])
def test_delays_that_hold_their_input_twice(tmp_path, name):
    def read(depth, terms):
        equation = f"{name}(" * depth + " + ".join(["Time"] * terms) + ", 2)" * depth
        compile_model(model(tmp_path, f"x = {equation}"))

    read(8, 2)
    read(2, 80)
    # 24 inside one another were without end, and 1,000 terms took seconds.
    for depth, terms in ((9, 1), (24, 1), (60, 1), (8, 80), (8, 1000)):
        with pytest.raises(ModelError, match=r"small\.mdl, line 2, 'x'") as caught:
            read(depth, terms)
        assert caught.value.code == "M110"
