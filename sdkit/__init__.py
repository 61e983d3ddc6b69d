"""sdkit: compile system-dynamics models, run ensembles of them, compare policies.

    from sdkit import read_model, compile_model, simulate

Names are loaded when they are first used, so that `import sdkit` is quick.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_WHERE = {
    "read_model": "model",
    "Model": "model",
    "compile_model": "compile",
    "Program": "compile",
    "simulate": "simulation",
    "Experiment": "experiment",
    "Setting": "experiment",
    "no_draws": "experiment",
    "sample": "experiment",
    "Draws": "experiment",
    "open_store": "store",
    "quantiles": "store",
    "Measure": "measures",
    "Likelihood": "measures",
    "read_parameters": "parameters",
    "Error": "errors",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'sdkit' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
