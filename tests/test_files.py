"""Text in and out: lines named, digits counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdkit.errors import RunError
from sdkit.files import digits, place, read_rows, read_toml, write_table, write_text


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
