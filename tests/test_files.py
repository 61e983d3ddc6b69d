"""Text in and out: lines named, digits counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdkit.errors import RunError
from sdkit.files import digits, place, read_rows, read_tables, read_toml, write_table, write_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.0, "1.23457e+06"),
        (0.000123456789, "0.000123457"),
        (-0.0, "0"),
        (np.float64(2.5), "2.5"),
        (math.nan, ""),
        (None, ""),
        (7, "7"),
        ("a, b", "a, b"),
    ],
)
def test_six_digits(value, text):
    assert digits(value) == text


def test_the_line_of_a_key_comes_before_a_mention(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('a = "seed"\nb = 1\nseed = 2\n')
    assert place(path, "seed").endswith("line 3")
    assert place(path, "b").endswith("line 2")
    assert place(path, "none") == str(path)


def test_a_table_survives_being_written_and_read(tmp_path):
    path = tmp_path / "deep" / "x.csv"
    write_table(path, ["name", "value"], [['with "quotes", commas', 1.5], ["two\nlines", 2]])
    rows = read_rows(path, ["name", "value"])
    assert [row["value"] for _, row in rows] == ["1.5", "2"]
    assert rows[0][1]["name"] == 'with "quotes", commas'
    assert b"\r" not in path.read_bytes()


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert read_toml(path) == {"a": 1, "b": 2}


def test_a_missing_file_and_a_folder_in_its_place(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RunError) as caught:
            read_toml(path)
        assert caught.value.code == "R402"


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        write_text(tmp_path / "file" / "x.csv", "text")
    assert caught.value.code == "U603"


def test_a_key_or_a_column_that_is_misspelt(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('[[output]]\nname = "a"\nredcution = "sum"\n')
    with pytest.raises(RunError) as caught:
        read_tables(path, "output", {"name": str}, {"reduction": str, "unit": str})
    told = "unknown key 'redcution' in [[output]] number 1; did you mean 'reduction'?"
    assert caught.value.message == f"{path}, line 3: {told}"
    with pytest.raises(RunError, match=r"unknown key 'output'; did you mean 'outputs'\?"):
        read_tables(path, "outputs", {"name": str}, {})
    path = tmp_path / "x.csv"
    path.write_text("name,value,untis\na,1,x\n")
    with pytest.raises(RunError) as caught:
        read_rows(path, ["name", "units"])
    told = "the column 'units' is missing; is it 'untis'?"
    assert caught.value.message == f"{path}, line 1: {told}"


def test_an_empty_file_only_where_there_may_be_nothing(tmp_path):
    path = tmp_path / "x.toml"
    for text in ("", "\ufeff", "# nothing\n"):
        path.write_text(text)
        assert read_tables(path, "claim", {"name": str}, {}, blank=True) == []
        with pytest.raises(RunError) as caught:
            read_tables(path, "claim", {"name": str}, {})
        assert caught.value.code in ("R403", "R408")
