"""What both models of the question promise."""

from __future__ import annotations

import re
import tomllib
from functools import cache

import pytest

from sdkit import read_model
from sdkit.check import Finding, check_model
from sdkit.expressions import key
from tests.answer import ROOT

MODELS = ("core", "fentanyl")


def checks(name: str) -> list[str]:
    text = (ROOT / "models" / name / "checks.toml").read_text("utf-8")
    return [table["name"] for table in tomllib.loads(text)["check"]]


@cache
def found(name: str) -> dict[str, Finding]:
    return {finding.check.name: finding for finding in check_model(ROOT / "models" / name)}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return read_model(ROOT / "models" / request.param)


@pytest.mark.parametrize(("name", "check"), [(n, check) for n in MODELS for check in checks(n)])
def test_a_check_passes(name, check):
    finding = found(name)[check]
    if finding.skipped:
        pytest.importorskip("simlin")  # skipped for its want only
    assert finding.passed, finding.detail
    assert not finding.skipped


def test_every_variable_has_unit_bounds_sentence_and_source(model):
    for variable in model.variables.values():
        assert variable.unit, variable.name
        assert None not in variable.limits, variable.name
        sentence, _, source = variable.documentation.partition("Source:")
        assert len(sentence) > 8, variable.name
        assert source.strip(), variable.name


def test_every_variable_stands_in_a_view(model):
    sketch = model.text.split("\\\\\\---///", 1)[1]
    drawn = {key(m[1]) for m in re.finditer(r'^10,\d+,("(?:[^"]|\\")*"|[^,]+),', sketch, re.M)}
    assert {key(name) for name in model.variables} <= drawn
