"""Tables, series and numbers in files beside a model, against PySD's own run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parsimonious.exceptions import VisitationError

from sdkit import compile_model, engines, read_model, simulate, translate
from sdkit.errors import ModelError, plainly
from tests.small import model, text

RANGES = "dim: a, b ~ ~ |\npair: p, q ~ ~ |\n"


def sheet(folder, name: str, rows) -> None:
    """A file with the same cells as .csv or as .xlsx, by its name."""
    if name.endswith(".csv"):
        lines = [",".join("" if c is None else str(c) for c in row) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Sheet1"
    for row in rows:
        book.active.append(list(row))
    book.save(folder / name)


SERIES = [
    ("time", 0, 2, 5, 9.5),
    ("a", 1, 3, -2, 4),
    ("b", 10, 0, 6, 8),
    ("", "", ""),
    ("k", 2.5, 3.5),
    ("m", 4.5, 5.5),
    ("names", "one", "two", "three"),
]


def both(tmp_path, name: str, equations: str, **settings):
    """The runs of the compiled engine and of PySD on a model beside a file of SERIES."""
    sheet(tmp_path, name, SERIES)
    tab = "," if name.endswith(".csv") else "Sheet1"
    kind = "DIRECT" if name.endswith(".csv") else "XLS"
    filled = equations.replace("{file}", f"'{name}', '{tab}'").replace("{GET}", f"GET {kind}")
    small = model(tmp_path, RANGES + filled, **settings)
    return simulate(small), simulate(small, engine="pysd")


def agree(ours, theirs, names) -> None:
    for name in names:
        a, b = ours[name].to_numpy(), theirs[name].to_numpy()
        assert a.shape == b.shape
        assert np.array_equal(np.isnan(a), np.isnan(b)), name
        # The same arithmetic in another order.
        assert np.nanmax(np.abs(a - b)) <= 1e-12 * np.nanmax(np.abs(b)), name


@pytest.mark.parametrize("name", ["series.csv", "series.xlsx"])
def test_constants_tables_and_series(tmp_path, name):
    ours, theirs = both(tmp_path, name, """
        k = {GET} CONSTANTS({file}, 'B5')
        row[pair] = {GET} CONSTANTS({file}, 'B5')
        block[dim,pair] = {GET} CONSTANTS({file}, 'B5')
        one[a] = {GET} CONSTANTS({file}, 'B6')
        one[b] = 7
        table({GET} LOOKUPS({file}, '1', 'B2')) ~ Dmnl ~ |
        tables[dim]({GET} LOOKUPS({file}, '1', 'B2')) ~ Dmnl ~ |
        held :HOLD BACKWARD: := {GET} DATA({file}, '1', 'B2')
        ahead :LOOK FORWARD: := {GET} DATA({file}, '1', 'B2')
        between :INTERPOLATE: := {GET} DATA({file}, '1', 'B3')
        usual := {GET} DATA({file}, '1', 'B3')
        points :RAW: := {GET} DATA({file}, '1', 'B2')
        each[dim] := {GET} DATA({file}, '1', 'B2')
        x = table(Time*1.5) + k
        y[dim] = tables[dim](Time) + each[dim] + SUM(block[dim,pair!])*row[p] + one[dim]
        z = held + 10*ahead + 100*between
        """)  # fmt: skip
    names = [n for n in ours if n != "table"]
    assert {"k", "row", "block", "one", "held", "points", "each", "x", "y", "z"} <= set(names)
    agree(ours, theirs, names)
    t = ours.time.to_numpy()
    values = {n: ours[n].to_numpy().ravel() for n in ("held", "ahead", "between", "points")}
    x, a, b = ([row[1:][i] for i in range(4)] for row in SERIES[:3])
    assert values["between"] == pytest.approx(np.interp(t, x, b))
    assert values["held"][8 * 4] == 3
    assert values["ahead"][8 * 4] == -2
    assert np.isnan(values["points"]).sum() == len(t) - 4
    assert values["points"][t == 9.5] == a[3]


def test_a_constant_of_a_file_is_a_constant_like_others(tmp_path):
    sheet(tmp_path, "n.csv", SERIES)
    equations = "k[pair] = GET DIRECT CONSTANTS('n.csv', ',', 'B5')\nx = k[p] + k[q]"
    small = model(tmp_path, RANGES + equations)
    assert small.constants == ("k[p]", "k[q]")
    assert small.find("k[q]").value == 3.5
    assert simulate(small, set={"k[q]": 10})["x"].to_numpy().ravel()[0] == 12.5


def test_the_elements_of_a_range_from_a_file(tmp_path):
    sheet(tmp_path, "n.csv", SERIES)
    small = model(
        tmp_path,
        "ext: GET DIRECT SUBSCRIPT('n.csv', ',', 'B7', 'D7', 'no ') ~ ~ |\nx[ext] = Time*ext",
        step=1,
    )
    assert small.variables["x"].axes == (("ext", ("no one", "no two", "no three")),)
    agree(simulate(small), simulate(small, engine="pysd"), ["x"])


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    sheet(tmp_path, "n.csv", SERIES)
    equations = "k = GET DIRECT CONSTANTS('n.csv', ',', 'B5')"
    small = model(tmp_path, equations)
    sheet(tmp_path, "n.csv", [*SERIES[:4], ("k", 9.75)])
    again = model(tmp_path, equations)
    assert (small.find("k").value, again.find("k").value) == (2.5, 9.75)
    assert small.hash != again.hash  # records of runs tell them apart


@pytest.mark.parametrize("style", ["columns", "rows"])
def test_series_of_data_variables(tmp_path, style):
    rows = [
        ["Time", "flow", "by[a]", "by[b]"],
        [0, 1, 10, 5],
        [4, 3, 20, 6],
        [10, -1, 0, 9],
    ]
    if style == "rows":
        rows = [list(column) for column in zip(*rows, strict=True)]
        rows[0][0] = "name"
    sheet(tmp_path, "given.csv", rows)
    path = tmp_path / "data.mdl"
    equations = RANGES + "flow ~ Dmnl ~ |\nby[dim] ~ Dmnl ~ |\nx[dim] = flow + by[dim]\n"
    path.write_text(text(equations), encoding="utf-8")
    small = read_model(path, data=tmp_path / "given.csv")
    ours = simulate(small)
    agree(ours, simulate(small, engine="pysd"), ["flow", "by", "x"])
    t = ours.time.to_numpy()
    assert ours["flow"].to_numpy().ravel() == pytest.approx(np.interp(t, [0, 4, 10], [1, 3, -1]))


def test_series_beside_the_model_are_found_by_its_name(tmp_path):
    sheet(tmp_path, "small_data.csv", [["Time", "flow"], [0, 1], [10, 3]])
    small = model(tmp_path, "flow :HOLD BACKWARD: ~ Dmnl ~ |\nx = flow*2")
    assert simulate(small)["x"].to_numpy().ravel()[[0, -1]].tolist() == [2, 6]


WRONG = {
    "k = GET DIRECT CONSTANTS('none.csv', ',', 'B5')": "M119.*'k'.*none.csv",
    "k := GET DIRECT DATA('n.csv', ',', '1', 'Z9')": "M119.*'k'",
    "k[dim] := GET DIRECT DATA('?tag', ',', '1', 'B2')": "M119.*'k'",
    "k ~ Dmnl ~ |": "M119.*'k': a data variable, and no file of data",
}


@pytest.mark.parametrize("equations", WRONG)
def test_a_file_that_cannot_be_read_is_told(tmp_path, equations):
    sheet(tmp_path, "n.csv", SERIES)
    with pytest.raises(ModelError, match=WRONG[equations]):
        compile_model(model(tmp_path, RANGES + equations))


def test_a_series_that_a_file_lacks_is_told(tmp_path):
    sheet(tmp_path, "small_data.csv", [["Time", "flow"], [0, 1], [10, 3]])
    with pytest.raises(ModelError, match=r"M119.*'other'.*not found"):
        compile_model(model(tmp_path, "other ~ Dmnl ~ |"))


def test_a_tag_stands_for_the_file_that_the_settings_name(tmp_path):
    sheet(tmp_path, "n.csv", SERIES)
    path = tmp_path / "tag.mdl"
    body = text("k = GET DIRECT CONSTANTS('?numbers', ',', 'B5')")
    path.write_text(body + "30:?numbers=n.csv\n", encoding="utf-8")
    assert read_model(path).find("k").value == 2.5


def test_a_point_of_time_is_found_whatever_the_rounding(tmp_path):
    rows = [
        ["Time", "ahead", "back", "exact"],
        [0.3, 10, 10, 10],
        [0.7, 20, 20, 20],
        [1.2, 30, 30, 30],
    ]
    sheet(tmp_path, "small_data.csv", rows)
    small = model(
        tmp_path, "ahead :LOOK FORWARD: ~ ~ |\nback :HOLD BACKWARD: ~ ~ |\nexact :RAW: ~ ~ |\n"
        "table((0.3,10),(0.7,20),(1.2,30)) ~ ~ |\nx = LOOKUP FORWARD(table, Time)",
        step=0.1, end=1.2,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="missing values"):
        found = simulate(small)
    for name in ("ahead", "back", "exact", "x"):
        values = found[name].to_numpy().ravel()
        assert [values[i] for i in (3, 7, 12)] == [10, 20, 30], name
    assert found["ahead"].to_numpy().ravel()[4] == 20
    assert found["back"].to_numpy().ravel()[4] == 10


def test_a_blank_cell_is_no_point(tmp_path):
    sheet(tmp_path, "small_data.csv", [["Time", "flow"], [0, 5], [1, ""], [3, 7]])
    small = model(tmp_path, "flow ~ ~ |\nS = INTEG(flow, 0)", step=1, end=3)
    assert simulate(small)["flow"].to_numpy().ravel() == pytest.approx([5, 17 / 3, 19 / 3, 7])


@pytest.mark.parametrize("cell", ["two", ""])
def test_a_cell_without_a_number_is_told(tmp_path, cell):
    sheet(tmp_path, "n.csv", [["what", "value"], ["k", cell]])
    with pytest.raises(ModelError, match=r"M119.*'k': no number at B2 of n.csv"):
        compile_model(model(tmp_path, "k = GET DIRECT CONSTANTS('n.csv', ',', 'B2')"))


def test_a_keyword_on_an_equation_of_other_series_is_refused(tmp_path):
    # Vensim interpolates such an equation between the points of what it reads; PySD computes it.
    sheet(tmp_path, "small_data.csv", [["Time", "flow"], [0, 5], [3, 7]])
    with pytest.raises(ModelError, match=r"M109.*'x': :LOOK FORWARD: on an equation"):
        compile_model(model(tmp_path, "flow ~ ~ |\nx :LOOK FORWARD: := flow*2 ~ ~ |"))


def test_files_are_watched_whatever_their_names(tmp_path):
    for name in ("größe.csv", "it's.csv"):
        quoted = name if "'" not in name else "plain.csv"
        sheet(tmp_path, quoted, SERIES)
        path = tmp_path / "watched.mdl"
        path.write_bytes(
            text(f"men's k = GET DIRECT CONSTANTS('{quoted}', ',', 'B5')").encode("cp1252")
        )
        before = read_model(path)
        sheet(tmp_path, quoted, [*SERIES[:4], ("k", 9.75)])
        after = read_model(path)
        assert [m.find("men's k").value for m in (before, after)] == [2.5, 9.75]
        assert before.hash != after.hash


def test_a_folder_with_a_quote_in_its_name(tmp_path):
    folder = tmp_path / "o'brien"
    folder.mkdir()
    sheet(folder, "n.csv", SERIES)
    small = model(folder, "k = GET DIRECT CONSTANTS('n.csv', ',', 'B5')\nx = k*Time")
    agree(simulate(small), simulate(small, engine="pysd"), ["x"])


def test_a_macro_may_read_a_file(tmp_path):
    sheet(tmp_path, "n.csv", SERIES)
    macro = (
        ":MACRO: SCALED(a)\nSCALED = a*series ~ ~ |\n"
        "series := GET DIRECT DATA('n.csv', ',', '1', 'B2') ~ ~ |\n:END OF MACRO:\n"
    )
    path = tmp_path / "m.mdl"
    path.write_text(
        text("x = SCALED(2)").replace("{UTF-8}\n", "{UTF-8}\n" + macro), encoding="utf-8"
    )
    assert simulate(read_model(path))["x"].to_numpy().ravel()[[0, 16]].tolist() == [2, 6]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Error tokenizing data. C error: Expected 2 fields"), ""),
        (RuntimeError("<Element at 0x7f> is no cell of it"), ""),
        (TypeError("unhashable type of a thing"), ""),
        (KeyError("three whole words"), ""),
        (ValueError("No sheet named 'a' in book.xlsx."), "No sheet named 'a' in book.xlsx"),
        (ZeroDivisionError("float division by zero"), "a division by zero"),
    ],
)
def test_a_librarys_message_is_told_where_it_is_a_sentence(error, told):
    assert plainly(error) == told
    reason = translate._of_a_file(error, ("n.csv", "B2"))
    assert reason == (told or "nothing can be read at 'n.csv', 'B2'")
    assert engines._sentence(error) == (told or "it stopped, and does not say why in words")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [("M113", "M113: a.mdl, line 3, 'x': so"), ("Z999", "M104: a.mdl, line 3, 'x': the equation")],
)
def test_a_code_inside_a_parsers_message_has_to_be_one(code, wanted):
    class Visited(VisitationError):
        def __init__(self):
            Exception.__init__(self, f"ModelError: {code}: so\n\nParse tree:")

    def stop():
        raise Visited

    with pytest.raises(ModelError) as caught:
        translate.quietly(Path("a.mdl"), "'x'", 3, stop)
    assert str(caught.value).startswith(wanted)
