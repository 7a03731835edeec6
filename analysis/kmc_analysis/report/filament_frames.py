"""The filament of a run for the page: where silver is in each snapshot, as changes from the one before."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import xarray as xr

from kmc.plotting.plot_style import DARKEST_A

MOST_FRAMES = 120
BUDGET = 8_000_000  # characters of changes in a page
_POINTS = 400  # of the trace below the picture
_KINDS = 4  # codes of `cation` in a snapshot: 0 empty, 1 ion, 2 metal
_FILM = ("core", "surface", "gap", "void", "boundary")
_ORDER = ("counter", "organic", "film", "electrode")  # from below


def frames(ds: xr.Dataset, title: str, budget: int = BUDGET) -> dict[str, Any] | None:
    """What the viewer shows of a run; None where it has no snapshots.

    `changes` holds little-endian 32-bit numbers, site * 4 + code, in base64; the first frame counts from an
    empty lattice. Frames are left out evenly until it is within `budget`.
    """
    if not ds.sizes.get("snapshot_time"):
        return None
    count = min(ds.sizes["snapshot_time"], MOST_FRAMES)
    while True:
        kept = np.unique(np.linspace(0, ds.sizes["snapshot_time"] - 1, count).round().astype(int))
        changes = [_packed(part) for part in _changes(ds, kept)]
        if count == 1 or sum(map(len, changes)) <= budget:
            break
        count = max(1, count // 2)
    return {
        "title": title,
        "shape": [ds.sizes[axis] for axis in "zyx"],
        "spacing": 2.0 * float(ds["z"].values[0]),
        "layers": layers(ds),
        "changes": changes,
        "total": ds.sizes["snapshot_time"],
        **_told(ds, kept),
        "trace": _trace(ds),
    }


def _changes(ds: xr.Dataset, kept: np.ndarray) -> list[np.ndarray]:
    """For each frame the sites that differ from the frame before, with their new code."""
    before = np.zeros(ds["cation"].isel(snapshot_time=0).size, np.uint32)
    found = []
    for index in kept:
        now = ds["cation"].isel(snapshot_time=int(index)).values.ravel().astype(np.uint32)
        sites = np.flatnonzero(now != before).astype(np.uint32)
        found.append(sites * _KINDS + now[sites])
        before = now
    return found


def _packed(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.astype("<u4").tobytes()).decode()


def _told(ds: xr.Dataset, kept: np.ndarray) -> dict[str, Any]:
    """Time, voltage and current at each frame: those of the last sample until then."""
    times = ds["snapshot_time"].values[kept]
    last = np.clip(np.searchsorted(ds["time"].values, times * (1 + 1e-9), side="right") - 1, 0, None)
    voltages, currents = (np.nan_to_num(ds[name].values[last]) for name in ("voltage_source", "current"))
    return {"times": times.tolist(), "voltages": voltages.tolist(), "currents": currents.tolist()}


def _trace(ds: xr.Dataset) -> list[list[float]]:
    """[time, log10 |current|] of some samples: of each stretch the one with the greatest current."""
    current = np.maximum(np.nan_to_num(np.abs(ds["current"].values)), DARKEST_A)
    parts = np.array_split(np.arange(len(current)), min(_POINTS, len(current)))
    places = [int(part[np.argmax(current[part])]) for part in parts]
    return [[float(ds["time"].values[k]), round(float(np.log10(current[k])), 3)] for k in places]


def layers(ds: xr.Dataset) -> list[dict[str, Any]]:
    """The layers from below, each with its heights (nm): as many of them as are mostly of its kind.

    A rough interface, at which two kinds take turns, is one plane at its mean height.
    """
    if "region" not in ds:
        return []
    names = ds["region"].attrs["flag_meanings"].split()
    heights = ds["region"].values.reshape(ds.sizes["z"], -1)
    kinds = [names[np.bincount(row).argmax()] for row in heights]
    kinds = ["film" if kind in _FILM else kind for kind in kinds]
    step, found, low = 2.0 * float(ds["z"].values[0]), [], 0
    for name in sorted(set(kinds), key=_ORDER.index):
        high = low + kinds.count(name)
        found.append({"name": name, "from": low * step, "to": high * step})
        low = high
    return found
