"""Where a posterior comes from: what its file says of the fit, under a checksum of all of it.

A posterior.csv that a fit wrote begins with three comments: a sentence that names the run and the
model's text, the facts of the fit as JSON, and the SHA-256 of all other lines. One that was made
elsewhere begins with `# unverified: ` and whoever made it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ParameterError
from .files import fingerprint, read_text
from .model import Model

UNVERIFIED = "# unverified:"
_SEAL = re.compile(r"# sha256 ([0-9a-f]{64}) of all other lines")


@dataclass(frozen=True)
class SeriesSeen:
    """Observations of one measurement: the times of the first and the last, and how many."""

    name: str
    first: float
    last: float
    count: int


@dataclass(frozen=True)
class PosteriorProvenance:
    """What a posterior.csv says of itself.

    `run` is the run's name ("runs/fit"), `question` its question; both are empty for a posterior
    that no fit of sdkit wrote. `until` is the last year whose observations the fit used, `series`
    what it used, `held_out` what stands in measurements.toml and was not used. `warnings` are
    sentences. `of_this_text` says whether the model's text and data are those that were fitted.
    `changed` are the files beside the model (parameters.csv, measurements.toml, data) that differ
    from those that the fit used, None where the file does not say which it used. `sentence` is what
    the first line of the file says.
    """

    run: str
    question: str
    until: float | None
    series: tuple[SeriesSeen, ...]
    held_out: tuple[SeriesSeen, ...]
    warnings: tuple[str, ...]
    of_this_text: bool
    sentence: str
    changed: tuple[str, ...] | None = None

    @property
    def changes(self) -> str:
        """The sentence on the files that have changed, "" where none has or it is not known."""
        if not self.changed:
            return ""
        return f"Since the fit these files have changed: {', '.join(self.changed)}."


def posterior_provenance(folder: Path, model: Model) -> PosteriorProvenance:
    """What the posterior.csv in the `folder` of a model says of itself.

    Raises RunError R402 to R404 where it cannot be read, ParameterError P314 where it does not say
    where it comes from, P315 where its contents are not those that the fit wrote.
    """
    path = Path(folder) / "posterior.csv"
    sentence, facts = verified(path)
    warnings = list(facts["warnings"])
    draws = [line for line in read_text(path).split("\n") if line and not line.startswith("#")][1:]
    repeated = len(draws) - len(set(draws))
    if repeated:
        warnings.append(
            f"{repeated:,} of the {len(draws):,} draws in posterior.csv repeat another, so that it "
            "holds fewer different draws than rows."
        )
    return PosteriorProvenance(
        run=facts["run"],
        question=facts["question"],
        until=facts["until"],
        series=tuple(SeriesSeen(*row) for row in facts["series"]),
        held_out=tuple(SeriesSeen(*row) for row in facts["held_out"]),
        warnings=tuple(warnings),
        of_this_text=facts["model"] == model.hash,
        sentence=sentence,
        changed=_changed(Path(folder), facts["files"]) if "files" in facts else None,
    )


def _changed(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Which of these files are gone or differ; `files` are their SHA-256, by path from `folder`."""
    return tuple(
        name
        for name, digest in files.items()
        if not (path := Path(os.path.normpath(folder / name))).is_file()
        or fingerprint(path) != digest
    )


def verified(path: Path) -> tuple[str, dict[str, Any]]:
    """The sentence and the facts at the head of a posterior.csv, its checksum being right.

    Raises as `posterior_provenance` does.
    """
    lines = read_text(path).rstrip("\n").split("\n")
    if lines[0].startswith(UNVERIFIED):
        by = lines[0].removeprefix(UNVERIFIED).strip()
        if not by:
            raise ParameterError(
                "P314", f"{path}, line 1: after '{UNVERIFIED}' it has to say where it comes from"
            )
        said = f"posterior.csv was not written by a fit, so nothing vouches for it: {by}."
        return lines[0].removeprefix("# "), {
            "run": "", "question": "", "model": "", "until": None, "series": [], "held_out": [],
            "warnings": [said],
        }  # fmt: skip
    seal = _SEAL.fullmatch(lines[2]) if len(lines) > 2 else None
    if seal is None:
        raise ParameterError(
            "P314", f"{path} does not say which fit wrote it: no checksum in line 3"
        )
    if _digest(lines) != seal[1]:
        raise ParameterError(
            "P315", f"{path} is not as it was written: {lines[0].removeprefix('# ')}"
        )
    return lines[0].removeprefix("# "), json.loads(lines[1].removeprefix("# "))


def sealed(sentence: str, facts: Mapping[str, Any], table: str) -> str:
    """The text of a posterior.csv: sentence, facts and checksum over a table in CSV."""
    lines = [f"# {sentence}", f"# {json.dumps(dict(facts), ensure_ascii=False)}", ""]
    lines += table.rstrip("\n").split("\n")
    lines[2] = f"# sha256 {_digest(lines)} of all other lines"
    return "\n".join(lines) + "\n"


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([*lines[:2], *lines[3:]]).encode()).hexdigest()
