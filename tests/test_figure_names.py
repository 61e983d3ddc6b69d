"""Names in figures are text, whatever they hold."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import pytest

from sdkit.plot import new_figure, save, styled

NAMES = [
    "$x^{$", "$a$ and $b$", "\\frac{1}{2}", "a_b^c", "_begins with one", "two\nlines", "", " ",
    "感染 العربية 🜁", "right\u202eto left", "a\x01\x1b[31m\x00b\ufffe", "<b>&amp;</b>", "n" * 300,
    "%s {0}",
]  # fmt: skip


@styled
def draw(name, folder):
    figure = new_figure(4, 3)
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1])
    panel.set_title(name)
    panel.set_xlabel(name)
    panel.set_xticks([0, 1], [name, "other"])
    panel.text(0.5, 0.5, name)
    save(figure, folder, "picture")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_figure_is_taken_literally(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(name, tmp_path)
    assert (tmp_path / "picture.png").stat().st_size > 1000
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = {"".join(node.itertext()).strip() for node in root.iter(f"{space}text")}
    # Control characters, which XML may not hold, are replaced; lines are texts of their own.
    shown = "".join("\ufffd" if (c < " " and c != "\n") or c == "\ufffe" else c for c in name)
    assert {line.strip() for line in shown.split("\n") if line.strip()} <= texts
