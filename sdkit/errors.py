"""Every error that a user can cause: a stable code, what, where, and what to do.

`CODES` holds one entry a code: the class that carries it, what went wrong in general,
and the cure. `sdkit explain CODE` prints an entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .codes import MODEL_CODES, RUN_CODES, Code
from .rules import RULES

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _shown(text: str) -> str:
    """One line of text: a name in a file may hold line ends, and what a terminal would obey."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.splitlines()))


def plainly(error: Exception, message: str | None = None) -> str:
    """A library's message where it is one plain sentence; "" where it is about its own code.

    `message` is what stands for the error's text where that holds more.
    """
    text = " ".join((str(error) if message is None else message).split()).rstrip(".")
    if isinstance(error, ZeroDivisionError):
        return "a division by zero"
    if isinstance(error, KeyError | IndexError | AttributeError | NameError | TypeError):
        return ""
    word = r"[\w'\"/-]+(?:\.[\w'\"/-]+)*"
    return text[:160] if re.fullmatch(rf"(?:{word}[,:;]? ){{2,}}{word}", text) else ""


class Error(Exception):
    """An error that a user can cause or mend.

    Attributes: `code` such as "M104"; `message`, one sentence that names the file,
    line, variable or value; `entries`, the single faults where one error tells several, which
    end the message too; `failures`, only where lanes of an ensemble failed.
    """

    def __init__(self, code: str, message: str):
        if code not in CODES:
            raise KeyError(f"no error code {code}")
        self.code = code
        self.headline = self.message = _shown(message)
        super().__init__(self.message)
        self.entries: tuple[str, ...] = ()

    def tell(self, entries: Iterable[str]) -> None:
        """Add single faults, one sentence each, to what the message says."""
        self.entries = tuple(_shown(entry) for entry in entries)
        self.message = f"{self.headline}: {'; '.join(self.entries)}"

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ModelError(Error):
    """The text of a model cannot be read or compiled."""


def raise_all(faults: Sequence[ModelError], hint: str = "") -> None:
    """Raise the first of some faults of a model, which tells the others too; nothing for none."""
    if not faults:
        return
    first, *others = faults
    told = "; ".join(f"{error.code}: {error.message}" for error in others[:9])
    left = f"; and {len(others) - 9} more" if len(others) > 9 else ""
    also = f"; also {told}{left}" if others else ""
    raise type(first)(first.code, f"{first.message}{also}{hint}") from None


class ParameterError(Error):
    """parameters.csv, or a value given to a parameter, is wrong."""


class RunError(Error):
    """A run folder, a settings file or a data file is wrong."""


class SimulationError(Error):
    """A value became NaN or infinite.

    `failures` lists one mapping a failed lane: draw, scenario, policy, time, variable,
    reason and parameters (name to value).
    """

    def __init__(self, code: str, message: str, failures: Sequence[dict] = ()):
        super().__init__(code, message)
        self.failures = list(failures)


class UsageError(Error):
    """The command line is wrong."""


class DependencyError(Error):
    """An optional package is missing."""


CODES: dict[str, Code] = {
    **MODEL_CODES,
    **RUN_CODES,
    **RULES,
    # -- C: checks -----------------------------------------------------------------------
    "C701": Code(
        "A check in checks.toml cannot be carried out as it is written.",
        "The message says which check and why; docs/checks.md lists the kinds and their keys.",
    ),
    # -- X: a missing package ----------------------------------------------------------
    # -- F5: fits --------------------------------------------------------------------
    "F501": Code(
        "Hardly any value that the priors allow can be simulated, so nothing can be fitted.",
        "Run the model with its defaults first (sdkit run models/NAME); then narrow the ranges in "
        "parameters.csv to values that it can take.",
    ),
    "F502": Code(
        "The draws of a fit have not converged, so nothing is reported.",
        "Run the same command again after raising most (or warm_up) under [effort] in run.toml; it "
        "goes on from where it stopped. A parameter on a ridge can be fixed instead.",
    ),
    "X501": Code(
        "An optional package is missing.",
        "Install the extra that the message names.",
    ),
    "X502": Code(
        "git is needed to read a commit, and cannot be started.",
        "Install git (git-scm.com), or give two models by their paths.",
    ),
    # -- G: versions that git keeps ------------------------------------------------------
    "G801": Code(
        "The path lies in no git repository that git will read.",
        "Give two models by their paths, or call the command inside a clone.",
    ),
    "G802": Code(
        "git knows no such revision.",
        "`git log --oneline` lists commits, `git tag` and `git branch` names; HEAD is the latest "
        "commit, HEAD~1 the one before.",
    ),
    "G803": Code(
        "The revision holds no model at this path.",
        "`git ls-tree -r --name-only REV` lists what it holds. A model that was moved had its old "
        "path then; a new one has no version before its first commit.",
    ),
    # -- U: the command line -----------------------------------------------------------
    "U601": Code(
        "The command line is wrong.",
        "`sdkit --help` lists the commands, `sdkit COMMAND --help` the options of one.",
    ),
    "U602": Code(
        "There is no such error code.",
        "`sdkit explain` without a code lists them all.",
    ),
    "U603": Code(
        "A file or a folder cannot be written.",
        "Check that the folder exists, that it can be written and that the disk is not full.",
    ),
    "U604": Code(
        "A name cannot be used for a new folder.",
        "Begin with a letter and go on with letters, digits, - and _, 60 at most; names of devices "
        "(con, nul, com1) do not work on Windows, and models/data is for series.",
    ),
    "U605": Code(
        "Something of this name is there already, and nothing is overwritten.",
        "Choose another name, or move what is there.",
    ),
    "U606": Code(
        "The standard output cannot be written.",
        "Send it elsewhere, or make room on the disk that it goes to.",
    ),
    "U699": Code(
        "A defect of sdkit itself, not of what you gave it.",
        "Report it with the log file that the message names.",
    ),
}
