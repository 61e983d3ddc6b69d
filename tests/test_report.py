"""The report: whole, self-contained, readable without pictures, and said with care."""

from __future__ import annotations

import dataclasses
import html
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from sdkit import report

RECORD = {"sdkit": "0", "seed": 1, "draws": {"from": "priors", "n": 8}}


@pytest.fixture(scope="module")
def text(comparison, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    weak = ["Nobody counted <b>these</b> cases."]
    return report.write_report(comparison, out, RECORD, weak).read_text(encoding="utf-8")


class Parser(HTMLParser):
    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.headings, self.links, self.ids = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(values)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.links += [values[k] for k in ("href", "src") if k in values]
        if "id" in values:
            self.ids.append(values["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_one_well_formed_file_that_loads_nothing(text):
    parser = Parser(text)
    for link in parser.links:
        assert link.startswith(("data:image/svg+xml;base64,", "#"))
    assert {link[1:] for link in parser.links if link.startswith("#")} <= set(parser.ids)
    assert "<script" not in text


def test_every_picture_says_in_words_what_it_shows(text):
    images = Parser(text).images
    assert len(images) == 4 + 3 + 1 + 1 + 2
    for image in images:
        assert len(image["alt"]) > 60
        assert re.search(r"\d", image["alt"])


def test_switches_have_a_section_where_they_are_drawn(text, comparison, tmp_path):
    assert 'id="rivals"' in text
    assert text.count("too few draws") > 2
    none = dataclasses.replace(
        comparison,
        switches=comparison.switches.iloc[:0],
        claims=(),
        claims_table=comparison.claims_table.iloc[:0],
        histories=(),
    )
    pictures = {"fan": [], "tornado": []}
    assert "rivals" not in report.render(none, tmp_path, pictures, RECORD, [])


def test_headings_go_down_one_step_at_a_time(text):
    levels = Parser(text).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_what_has_to_be_said_is_said(text, comparison):
    plain = " ".join(html.unescape(re.sub("<[^>]+>", " ", text)).split())
    assert comparison.question in plain
    assert "no probabilities of the real world" in plain
    assert "draws from the priors, under “no programme”. No fit has narrowed the priors" in plain
    for policy in comparison.policies:
        assert policy.name in plain
    for claim in comparison.claims:
        assert claim.claim in plain
    for item in comparison.parameters.items:
        assert item.name in plain


def test_the_table_holds_the_summary_s_numbers(text, comparison):
    rows = comparison.summary.set_index(["scenario", "policy", "output", "period"])
    change = rows.loc[("reference", "both", "infections per year", "2026-2040")].change_median
    assert f"−{abs(change):.0%}".replace("%", "\u00a0%") in text


def test_what_a_model_s_texts_hold_is_not_markup(text):
    assert "<b>these</b>" not in text
    assert "&lt;b&gt;these&lt;/b&gt;" in text


def test_the_words_put_people_first(text):
    assert not re.search(r"\b(addicts?|abusers?|junk(y|ie)s?|drug users?)\b", text, re.I)


def test_weaknesses_come_from_the_model_s_readme(tmp_path):
    (tmp_path / "README.md").write_text(
        "# M\n\n- not this\n\n## Known weaknesses\n\n- **One**, on\n  two lines.\n"
        "- Two with `code`.\n\n## Loops\n\n- nor this\n"
    )
    assert report.weaknesses_of(tmp_path) == ("One, on two lines.", "Two with code.")
    assert report.weaknesses_of(tmp_path / "none") == ()
