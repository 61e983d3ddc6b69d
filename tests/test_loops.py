"""The picture of loops: rings from chains, and signs from equations."""

from __future__ import annotations

import pytest

from tests import loops, small

# A stock that grows by itself towards a limit, and a flow that nothing moves by default.
MODEL = """
level = INTEG(births - deaths + help, 10)
births = level*rate
deaths = level*crowding
crowding = level/limit
rate = 0.5
limit = 100
help = MAX(0, level - 1000)
swing = SIN(Time)*level
"""
README = """# A model
## Loops
1. **Growth.** level → births (new ones). Limits: level → crowding → deaths, and help, `level`.
2. **Swing.** births → level → swing.

## Levers
a → b
"""


@pytest.fixture
def model(tmp_path):
    return small.model(tmp_path, MODEL, saveper=0.25)


def test_chains_stand_in_the_section_on_loops_only():
    assert loops.chains(README) == {
        "Growth": [["level", "births"], ["level", "crowding", "deaths"]],
        "Swing": [["births", "level", "swing"]],
    }


@pytest.mark.parametrize(
    ("cause", "effect", "sign"),
    [
        ("level", "births", "+"),
        ("births", "level", "+"),
        ("deaths", "level", "−"),
        ("limit", "crowding", "−"),
        ("level", "help", "0"),
        ("level", "swing", "±"),
    ],
)
def test_a_sign_is_that_of_the_equation_over_the_run(model, cause, effect, sign):
    assert loops.Signs(model)(cause, effect) == sign


def test_a_teaching_loop_has_the_signs_that_everybody_knows(sir):
    sign = loops.Signs(sir)
    assert sign("infected", "transmission") == "+"
    assert sign("infection", "susceptible") == "−"
    assert sign("infectious_duration", "recovery") == "−"


def test_chains_are_closed_to_rings_by_links_that_are_named_as_lent(model, capsys):
    rows = loops.chains(README)["Growth"]
    assert loops.rings(rows, {}, loops.links_of(model)) == [
        (["level", "births"], {("births", "level")}),
        (["level", "crowding", "deaths"], {("deaths", "level")}),
    ]
    back = ["births", "level", "births"]
    assert loops.rings([back], {}, {}) == [(["births", "level"], set())]
    assert capsys.readouterr().out == ""
    assert loops.rings([["level", "swing"]], {}, loops.links_of(model)) == []
    assert "level → swing" in capsys.readouterr().out


def test_the_picture_is_written(model, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    drawn = []
    monkeypatch.setattr(loops, "draw", lambda axes, *panel: drawn.append(panel[:3]))
    loops.picture(tmp_path, tmp_path / "loops.png")
    assert drawn == [
        ("1a Growth", ["level", "births"], ["+", "+"]),
        ("1b Growth", ["level", "crowding", "deaths"], ["+", "+", "−"]),
    ]
    monkeypatch.undo()
    loops.picture(tmp_path, tmp_path / "loops.png")
    assert (tmp_path / "loops.png").read_bytes().startswith(b"\x89PNG")
