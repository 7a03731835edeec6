"""The silver that enters the film, as a current: no trace of a run counts it."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from kmc.core.units import E_CHARGE, format_si
from kmc.io.provenance import run_of

COUNTED = 30  # atoms in a stretch, at least: counted to about a fifth


def silver_current(ds: xr.Dataset) -> float:
    """Greatest current, A, of the silver that enters the windows, over stretches of COUNTED atoms or more.

    Metal and ions count: each left its electron in the electrode. A stretch begins where silver was least.
    NaN where fewer atoms entered, so that a count would say little.
    """
    time, silver = ds["time"].values, ds["n_ag_metal"].values + ds["n_ag_ion"].values
    marks = _marks(silver)
    gained, passed = np.diff(silver[marks]), np.diff(time[marks])
    came = (gained >= COUNTED) & (passed > 0.0)
    return float(np.max(gained[came] / passed[came])) * E_CHARGE if came.any() else math.nan


def _marks(silver: np.ndarray) -> list[int]:
    """Samples from the first on, with COUNTED more atoms than the one before, or less than it."""
    marks: list[int] = []
    for sample, count in enumerate(silver):
        if not marks or count <= silver[marks[-1]] or count - silver[marks[-1]] >= COUNTED:
            marks.append(sample)
    return marks


def told(ds: xr.Dataset) -> str:
    """A note on the current of silver ions in the windows, and for a whole contact with the same density.

    "" where few atoms entered, and where a dataset (not of `kmc run`) does not record its window.
    """
    current, run = silver_current(ds), run_of(ds)
    if math.isnan(current) or "window_nm" not in run:
        return ""
    density = current / (math.prod(run["window_nm"]) * run["settings"].get("windows", 1) * 1e-6)
    return (
        f"Silver entered with up to {format_si(current, 'A', 3)}, which no trace counts: the window is "
        f"taken as the weakest spot of the contact. A contact that did so everywhere would carry "
        f"{format_si(density, 'A', 3)} per um2, {format_si(1e4 * density, 'A', 3)} on 100 um by 100 um."
    )
