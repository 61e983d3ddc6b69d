"""Figures: the same bytes for the same numbers, and titles that say what the numbers say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sdkit import plot
from sdkit.compare import History
from sdkit.history_plot import history_errors
from sdkit.observations import Series


def test_the_same_numbers_give_the_same_bytes(comparison, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    plot.write_figures(comparison, one)
    plot.write_figures(comparison, two)
    files = sorted(p.name for p in one.iterdir())
    assert len(files) == 2 * (4 + 3 + 1)
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_a_title_names_the_best_policy_by_the_numbers(comparison, tmp_path):
    output = comparison.outputs[0]
    assert "best is “both”" in plot._fan(comparison, output, tmp_path, "f").title
    table = comparison.summary.copy()
    rows = (table.policy == "vaccination") & (table.output == output.name)
    table.loc[rows, "change_median"] = -0.999
    changed = dataclasses.replace(comparison, summary=table)
    title = plot._fan(changed, output, tmp_path, "f").title
    assert "best is “vaccination”" in title
    assert "100" in title


def test_a_policy_that_makes_it_worse_is_named(comparison, tmp_path):
    output = comparison.outputs[0]
    table = comparison.summary.copy()
    rows = (table.policy == "contact reduction") & (table.output == output.name)
    table.loc[rows, ["change_median", "share_better"]] = [0.3, 0.0]
    changed = dataclasses.replace(comparison, summary=table)
    assert "worst “contact reduction”" in plot._fan(changed, output, tmp_path, "f").title
    assert "1 worsens it" in plot._tornado(changed, output, tmp_path, "t").title


def test_no_text_is_cut_off(comparison, tmp_path, monkeypatch):
    """Labels, titles and shares lie inside the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    inside, cut = [], []

    def look(figure, folder, stem):
        FigureCanvasAgg(figure).draw()
        page = figure.bbox
        for text in figure.findobj(lambda a: hasattr(a, "get_text") and a.get_text()):
            if text.get_visible():
                box = text.get_window_extent()
                fits = box.x0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1
                (inside if fits else cut).append((stem, text.get_text()))

    monkeypatch.setattr(plot, "save", look)
    plot._tornado(comparison, comparison.outputs[0], tmp_path, "t")
    plot._claims(comparison, tmp_path)
    plot._fan(comparison, comparison.outputs[0], tmp_path, "f")
    assert len(inside) > 20
    assert cut == []


def test_errors_of_a_history_count_the_years_of_its_check_only():
    series = Series("s", np.arange(2000.0, 2004), np.array([1.0, 1.0, 1.0, 9.0]), "x", ())
    options = {"from": 2000, "to": 2002, "reduction": "year"}
    history = History("h", options, series, np.arange(2000.0, 2004), np.full((3, 4), 2.0))
    assert history_errors(history) == (pytest.approx(np.log(2)), pytest.approx(2.0))


def test_no_two_figures_share_a_file():
    """Also where names differ in what no file name keeps, and where case is folded."""
    names = (
        "infections (new)", "infections new", "Infections New", "感染", "死亡", "…", "../../x",
        "x" * 300, "x" * 300 + "y", "a", "a 2", "a-2",
    )  # fmt: skip
    stems = [plot.file_stem("fan", i, name) for i, name in enumerate(names, 1)]
    assert len({stem.lower() for stem in stems}) == len(names)
    assert stems[0] == "fan-1-infections-new"
    assert stems[3] == "fan-4"
    assert stems[6] == "fan-7-x"
    assert max(len(stem) for stem in stems) < 60
    for stem in stems:
        assert stem.replace("-", "").isascii()
        assert stem.replace("-", "").isalnum()


def test_the_callers_settings_stay(comparison, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0}):
        before, backend = dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)
        plot._claims(comparison, tmp_path)
        assert dict(matplotlib.rcParams) == before
        assert matplotlib.get_backend(auto_select=False) == backend
