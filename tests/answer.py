"""The README's answer, made from the recorded run: `python -m tests.answer` puts it there."""

from __future__ import annotations

from tests.findings import (
    DEATHS,
    WIDTH,
    apart,
    core,
    counted,
    futures_sentence,
    large,
    policies_table,
    wrapped,
)
from tests.words import ROOT, effects, percent

BEGIN, END = "<!-- from runs/policies/summary.csv -->\n", "<!-- end -->\n"
SHOWN = (
    "strikes only",
    "strikes and supply",
    "precursor control only",
    "border only",
    "domestic enforcement only",
    "anti-corruption only",
    "treatment only",
    "harm reduction only",
    "demand only",
    "full combination",
    "full combination without strikes",
)

CHANGED = ("strikes only", "strikes and supply", "treatment only", "harm reduction only",
           "demand only", "full combination")  # fmt: skip


def _against_priors() -> str:
    """Of some policies the median change from the priors, and from the posterior."""
    prior, after = (
        effects(run, "reference").change_median[DEATHS]
        for run in ("policies-from-priors", "policies")
    )
    return "; ".join(f"{p} {percent(prior[p])} → {percent(after[p])} %" for p in CHANGED)


def answer() -> str:
    """A table of the policies' effects and some sentences on them and on the claims."""
    first, second = large(), core()
    lines = policies_table({policy: policy for policy in SHOWN})
    if len(second):
        lines += ["", f"{WIDTH} {futures_sentence()}"]
    text = (
        f"Of the {len(first)} claims of the debate, each written down before its levers were first "
        f"run, in the large model {counted(first)}"
    )
    if len(second):
        text += (
            f"; of the {len(second)} that the core has, {counted(second)}. The two disagree on "
            f"{len(apart(first, second))}, and [docs/findings.md](docs/findings.md) says why"
        )
    lines += [
        "",
        f"{text}.",
        "",
        "Fitting changed the large model's medians for overdose deaths, from the priors "
        f"(`runs/policies-from-priors`) to the posterior: {_against_priors()}.",
    ]
    return "\n".join(wrapped(line) for line in lines) + "\n"


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    path.write_text(before + BEGIN + answer() + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
