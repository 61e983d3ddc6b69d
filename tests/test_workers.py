"""Pieces of work over threads."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from sdkit.workers import finished


def test_every_piece_is_worked_once():
    with closing(finished(lambda a, b: a * b, [(i, 2) for i in range(50)], 3)) as results:
        assert sorted(results) == [2 * i for i in range(50)]
    assert list(finished(lambda: 1, [], 3)) == []


def test_what_a_piece_raises_is_raised_and_ends_the_rest():
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ZeroDivisionError
        return number

    with (
        pytest.raises(ZeroDivisionError),
        closing(finished(work, [(i,) for i in range(9)], 1)) as r,
    ):
        list(r)
    assert begun[:2] == [0, 1]


def test_a_caller_that_stops_leaves_no_thread_at_work():
    go, begun = threading.Event(), []

    def work(number: int) -> int:
        begun.append(number)
        if number:
            go.wait(60)
        return number

    before = threading.active_count()
    results = finished(work, [(i,) for i in range(9)], 2)
    with closing(results):
        assert next(results) == 0
        go.set()
    assert threading.active_count() == before
