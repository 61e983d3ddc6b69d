"""What a user sees while work goes on, and where it ends in an error: all on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from .errors import CODES, Error
from .progress import listening

# Ctrl-C that Python raises inside a callback of its own is lost; what asks here finds it again.
asked_to_stop = threading.Event()


class Progress:
    """What is being done, the share done and the time left, on stderr: a bar on a terminal, else a
    line every ten seconds at most; nothing if `quiet`.

    The speed of the last half minute of work that was measured gives the time left (rich's own
    estimate); until two seconds of it were measured none is told, so that reading and compiling
    do not count.
    """

    EVERY, MEASURED, WINDOW = 10.0, 2.0, 30.0  # seconds

    def __init__(
        self,
        quiet: bool = False,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.quiet, self.clock = quiet, clock
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self.said = clock()
        self.since: float | None = None  # when the first work was measured
        self.bar, self.task = None, None

    def __enter__(self):
        self._listening = listening(self.stage)
        self._listening.__enter__()
        return self

    def __exit__(self, *_) -> None:
        self._listening.__exit__(None, None, None)
        if self.bar is not None and self.terminal:  # else it never began
            self.bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """So much work of the whole is done."""
        self._ask()
        share = done / total if total else 0.0
        if self.since is None and done:
            self.since = self.clock()
        self._update("simulating", share)
        left = self.left
        ahead = "" if left is None else f", about {left:.0f} s left"
        self._say(f"{share:.0%} done{ahead}")

    def stage(self, name: str) -> None:
        """Work begins that is not counted."""
        self._ask()
        self._update(name, None)
        self._say(name)

    @property
    def left(self) -> float | None:
        """Seconds, by the speed of late; None where too little was measured for a speed."""
        if self.bar is None or self.since is None or self.clock() - self.since < self.MEASURED:
            return None
        return self.bar.tasks[0].time_remaining

    def _update(self, name: str, share: float | None) -> None:
        if self.quiet:
            return
        if self.bar is None:
            self.bar = _bar(self)
            self.task = self.bar.add_task(name, total=1.0)
            if self.terminal:
                self.bar.start()
        # Shares of one, since rich forgets the speed where a total changes.
        now = {} if share is None else {"completed": share}
        self.bar.update(self.task, description=name, **now)

    def _say(self, text: str) -> None:
        now = self.clock()
        if not self.quiet and not self.terminal and now - self.said >= self.EVERY:
            self.said = now
            print(text, file=sys.stderr, flush=True)

    @staticmethod
    def _ask() -> None:
        if asked_to_stop.is_set():
            raise KeyboardInterrupt


def _bar(progress: Progress):
    from rich import progress as rich
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn
    from rich.text import Text

    class Left(ProgressColumn):
        def render(self, task) -> Text:
            left = progress.left
            return Text("" if left is None else f"about {left:.0f} s left")

    return rich.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        Left(),
        console=Console(stderr=True),
        transient=True,
        get_time=progress.clock,
        speed_estimate_period=progress.WINDOW,
    )


def complain(error: Error) -> None:
    """One clear message on stderr: code, what, and the cure."""
    cure = CODES[error.code].cure
    message = "\n".join([error.headline + ":" * bool(error.entries), *error.entries])
    if not sys.stderr.isatty():
        text = message.replace("\n", "\n  - ")
        print(f"{error.code}: {text}\n  {cure}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    body = Text(f"{message}\n") + Text(cure, style="dim")
    Console(stderr=True).print(Panel(body, title=error.code, title_align="left", style="red"))
