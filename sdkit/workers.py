"""Pieces of work over threads, with a main thread that Ctrl-C reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue


def finished(work: Callable, pieces: Sequence[tuple], threads: int) -> Iterator:
    """The results of `work(*piece)`, in the order in which threads come to them.

    Use with contextlib.closing, so that the threads have ended where the caller stops early.
    What a piece raises is raised here. Ctrl-C inside concurrent.futures.wait leaves locks behind
    for which a thread then waits without end; this queue has none of Python's.
    """
    ends: SimpleQueue = SimpleQueue()

    def told(piece: tuple) -> None:
        try:
            ends.put((work(*piece), None))
        except BaseException as error:
            ends.put((None, error))

    pool = ThreadPoolExecutor(max_workers=min(threads, len(pieces)) or 1)
    try:
        for piece in pieces:
            pool.submit(told, piece)
        for _ in pieces:
            result, error = _next(ends)
            if error is not None:
                raise error
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _next(ends: SimpleQueue) -> tuple:
    while True:
        try:  # the time-out lets Ctrl-C reach the main thread, also under Windows
            return ends.get(timeout=0.2)
        except Empty:
            continue
