"""What is being done, told to whoever listens: reading, compiling, drawing.

Work that can be counted is told to a callable that is handed down, `progress(done, total)`. Stages
cannot be counted beforehand and lie in all layers, so that they are told to a listener
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside, `listener` is called with the name of each stage; it may raise."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(stage: str) -> None:
    """Say what begins now, such as "compiling"."""
    listener = _listener.get()
    if listener is not None:
        listener(stage)
