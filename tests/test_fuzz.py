"""Ten thousand damaged files: each is read, or refused with a code. `tests/fuzz.py` says how."""

from __future__ import annotations

import io

from tests.fuzz import Corpus, run

INPUTS = 10_000


def test_every_input_is_read_or_refused_with_a_code():
    told = io.StringIO()
    result = run(range(INPUTS), seed=1, workers=2, out=told)
    assert result.failures == [], told.getvalue()
    assert result.inputs == INPUTS
    # An input that is refused at its first line tries nothing behind it.
    assert result.answers["read"] > INPUTS / 20
    assert len(result.answers) > 30, "few kinds of refusal are reached"


def test_an_input_is_decided_by_its_seed_and_number():
    one, two = Corpus(), Corpus()
    assert [one.input(7, i) for i in range(50)] == [two.input(7, i) for i in range(50)]
    assert one.input(7, 0) != one.input(8, 0)
