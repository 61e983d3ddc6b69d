"""The recorded runs: docs/findings.md is theirs, and they are runs of the files that stand here."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from tests import findings
from tests.answer import answer
from tests.findings import CLAIMS, PAGE, ROOT, large, page, stale, verdict


def test_the_findings_are_made_from_the_recorded_runs():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_no_recorded_run_is_stale():
    assert stale() == []


def test_an_edited_table_makes_a_run_stale(project, root, monkeypatch):
    folder = project / "runs" / "sir"
    for path in (root / "runs" / "sir").glob("*.*"):
        shutil.copy(path, folder)
    monkeypatch.setattr(findings, "ROOT", project)
    assert stale() == []
    path = folder / "summary.csv"
    text = path.read_text(encoding="utf-8")
    for change in (lambda: path.write_text(text.replace("1", "2", 1), "utf-8"), path.unlink):
        change()
        assert stale() == ["sir"]
    path.write_text(text, encoding="utf-8")
    (folder / "claims.csv").rename(folder / "forecasts.csv")
    assert stale() == ["sir"]


def test_verdicts_go_by_the_share_of_draws():
    words = [verdict(x) for x in (1.0, 0.95, 0.94, 0.66, 0.32, 0.04)]
    assert words == ["holds", "holds", "holds in most", "open", "fails in most", "fails"]


def test_a_claim_that_only_a_larger_dose_reaches_has_not_failed():
    assert [verdict(0.04, most) for most in (0.2, 0.04, np.nan)] == [
        "out of reach",
        "fails",
        "fails",
    ]
    assert verdict(0.06, 0.2) == "fails in most"


def judged(name: str, held: float, most: float = np.nan, dose: str = "") -> pd.DataFrame:
    row = {"share": held, "most": most, "dose": dose, "verdict": verdict(held, most)}
    return pd.DataFrame([row], index=[name])


def test_a_reason_is_given_only_where_two_models_disagree():
    here, same = judged("precursors-early", 0.42), judged("precursors-early", 0.35)
    assert findings.disagreements(here, same) == ["- On none of these claims."]
    (line,) = findings.disagreements(here, judged("precursors-early", 0.01, 0.3, "six a year"))
    assert "(large model 42 %, open; core 1 %, out of reach)" in line
    assert line.endswith(findings.WHY["precursors-early", "less"])
    (line,) = findings.disagreements(
        judged("strikes-split", 0), judged("strikes-split", 0.01, 0.6, "twenty a year")
    )
    assert line.endswith("60 % under “twenty a year”). Only the core was run at larger doses.")


def test_a_disagreement_without_a_reason_is_an_error():
    with pytest.raises(KeyError, match="flow-goes-on"):
        findings.disagreements(judged("flow-goes-on", 1), judged("flow-goes-on", 0.1))


def test_every_reason_is_one_of_a_claim():
    assert {name for name, _ in findings.WHY} <= set(CLAIMS)


def test_the_pages_leave_out_a_model_that_was_not_run(monkeypatch):
    """In place of the core, a run that nobody has carried out."""
    monkeypatch.setattr(findings, "CORE_RUN", "none")
    assert findings.core().empty
    for text in (page(), answer()):
        assert "core" not in text.replace("score", "")


def test_every_claim_of_the_page_is_one_that_was_judged():
    assert set(CLAIMS) <= set(large().index)


@pytest.mark.parametrize("name", ["sensitivity", "discover", "optimize"])
def test_what_is_tracked_is_small(name):
    """A reader of the repository opens it: under a megabyte each."""
    for path in (ROOT / "runs" / name).glob("*.csv"):
        assert path.stat().st_size < 2**20, path


def test_parts_of_the_recorded_package_add_up():
    """To the six digits of the table."""
    parts = pd.read_csv(ROOT / "runs" / "optimize" / "attribution.csv")
    for _, own in parts.groupby("output"):
        means = own.set_index("instrument")["mean"]
        total = means.pop("all together")
        assert means.sum() == pytest.approx(total, rel=1e-4, abs=1e-4 * means.abs().max())
