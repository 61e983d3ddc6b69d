"""`python -m sdkit`, and what the command `sdkit` starts.

Ctrl-C is answered before anything else is loaded: reading typer and the rest takes some tenths
of a second, in which there is nothing yet to undo.
"""

import os
import signal


def _interrupted(*_) -> None:
    os.write(2, b"interrupted; earlier results are untouched\n")
    os._exit(130)


def main() -> None:
    signal.signal(signal.SIGINT, _interrupted)
    from .cli import main

    main()


if __name__ == "__main__":
    main()
