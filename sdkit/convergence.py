"""Whether chains have converged, and how many independent draws they are worth (ArviZ's door)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import RunError
from .files import write_bytes
from .sampler import Chains
from .scratch import scratch

# Vehtari et al. 2021, "Rank-normalization, folding, and localization": the usual bounds.
R_HAT = 1.01
EFFECTIVE = 1000


def _arviz():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own future
        import arviz
    return arviz


def diagnose(chains: Chains) -> tuple[np.ndarray, np.ndarray]:
    """R-hat between ensembles and effective sample size, both of shape (coordinates,).

    For R-hat (rank-normalised, split) an ensemble is one chain, its walkers one behind another
    within each of at most 100 states, since it sorts what it gets. For the effective size (bulk)
    each walker is a chain: walkers of an ensemble are coupled by a fifth of their steps only.
    """
    arviz = _arviz()
    draws = chains.draws
    ensembles, states, walkers, size = draws.shape
    together = chains.thinned(100).draws.reshape(ensembles, -1, size)
    apart = draws.transpose(0, 2, 1, 3).reshape(ensembles * walkers, states, size)
    r_hat = np.array([arviz.rhat(together[..., j]) for j in range(size)])
    effective = np.array([arviz.ess(apart[..., j]) for j in range(size)])
    return r_hat, effective


def write_inference_data(
    path: Path,
    names: Sequence[str],
    posterior: np.ndarray,
    prior: np.ndarray,
    log_density: np.ndarray,
    predicted: dict[str, np.ndarray],
    observed: dict[str, np.ndarray],
) -> None:
    """An ArviZ InferenceData in netCDF: groups posterior, prior, posterior_predictive,
    observed_data, sample_stats. `posterior` (chains, draws, parameters) in units of the model;
    an ensemble is a chain. Raises U603 where the disk does not take it."""
    arviz = _arviz()
    data = arviz.from_dict(
        posterior={n: posterior[..., j] for j, n in enumerate(names)},
        prior={n: prior[None, :, j] for j, n in enumerate(names)},
        posterior_predictive={n: v[None] for n, v in predicted.items()},
        observed_data=observed,
        sample_stats={"lp": log_density},
    )
    try:
        # Not beside its place: HDF5 locks what it writes, as `beside` does.
        with scratch("sdkit-netcdf-") as folder:
            data.to_netcdf(folder / path.name)
            write_bytes(path, (folder / path.name).read_bytes())
    except OSError as error:
        raise RunError("U603", f"{path}: {error.strerror or error}") from None
