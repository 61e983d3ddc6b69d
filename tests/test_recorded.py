"""The recorded runs: docs/findings.md is theirs, and they are runs of the files that stand here."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from tests import findings
from tests.findings import CLAIMS, PAGE, ROOT, page, shares, stale, verdict


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


def test_every_claim_of_the_page_is_one_that_was_judged():
    assert set(CLAIMS) <= set(shares().index)


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
