"""The silver of a snapshot: the conducting core, and the depth profile that an ion beam would see."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy import sparse
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve

ION, METAL = 1, 2
COUNTER, ORGANIC, ELECTRODE = 0, 1, 7
_CARRIES = 0.01  # of the current, at least, in a site of the core
_STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def conducting_core(ds: xr.Dataset, snapshot: int = -1) -> float:
    """Metal sites in the film that carry over 1 % of the current, 0 where no metal joins the electrodes.

    From `cation` and `region` of a snapshot: bonds of equal conductance between neighbouring atoms (periodic
    sideways), the electrode above at 1, the counter electrode and the silver in the organic at 0.
    """
    cation = ds["cation"].isel(snapshot_time=snapshot).values
    region = ds["region"].values
    metal = (cation == METAL) & (region != ORGANIC)
    node = np.full(metal.shape, -1)
    node[metal] = np.arange(metal.sum())
    ground = (region == COUNTER) | ((cation == METAL) & (region == ORGANIC))
    node[ground], node[region == ELECTRODE] = -2, -3
    pairs = _bonds(node)
    count = int(metal.sum())
    joined = _joined(pairs, count)
    if not joined.any():
        return 0.0
    return float((_currents(pairs, joined, count) > _CARRIES).sum())


def _bonds(node: np.ndarray) -> np.ndarray:
    """Pairs [n, 2] of neighbouring nodes, -2 the cathode and -3 the anode; those without an atom left out."""
    found = []
    for axis in range(3):
        first, second = (node, np.roll(node, -1, axis)) if axis else (node[:-1], node[1:])
        keep = (first != -1) & (second != -1) & ((first >= 0) | (second >= 0))
        found.append(np.stack([first[keep], second[keep]], axis=1))
    return np.concatenate(found)


def _joined(pairs: np.ndarray, count: int) -> np.ndarray:
    """Which atoms belong to a cluster that touches both electrodes."""
    inner = pairs[(pairs >= 0).all(axis=1)]
    graph = sparse.coo_matrix((np.ones(len(inner)), inner.T), (count, count))
    labels = csgraph.connected_components(graph, directed=False)[1]
    touching = []
    for end in (-2, -3):
        at_end = pairs[(pairs == end).any(axis=1)].max(axis=1)
        touching.append(np.isin(labels, labels[at_end]))
    return touching[0] & touching[1]


def _currents(pairs: np.ndarray, joined: np.ndarray, count: int) -> np.ndarray:
    """Current through each atom as a share of the whole."""
    inside = np.array([[end < 0 or joined[end] for end in pair] for pair in pairs]).all(axis=1)
    pairs = pairs[inside]
    place = np.full(count, -1)
    place[joined] = np.arange(joined.sum())
    first, second = (np.where(end >= 0, place[end], end) for end in pairs.T)
    n = int(joined.sum())
    matrix, right = sparse.lil_matrix((n, n)), np.zeros(n)
    diagonal = np.zeros(n)
    for a, b in ((first, second), (second, first)):
        here = a >= 0
        np.add.at(diagonal, a[here], 1.0)
        np.add.at(right, a[here & (b == -3)], 1.0)
    both = (first >= 0) & (second >= 0)
    ones = -np.ones(both.sum())
    off = sparse.coo_matrix((ones, (first[both], second[both])), (n, n)).tocsr()
    matrix = (off + off.T + sparse.diags(diagonal)).tocsc()
    level = np.append(np.atleast_1d(spsolve(matrix, right)), [1.0, 0.0])  # -2 is the cathode, -1 the anode
    ends = [np.where(part >= 0, part, np.where(part == -2, n + 1, n)) for part in (first, second)]
    flow = np.abs(level[ends[0]] - level[ends[1]])
    through = np.zeros(n + 2)
    for part in ends:
        np.add.at(through, part, flow / 2)
    whole = 2 * through[n]
    share = np.zeros(count)
    share[joined] = through[:n] / whole if whole > 0 else 0.0
    return share


def depth_profile(ds: xr.Dataset, mixing_nm: float = 10.0,
                  snapshot: int = -1) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Height (nm) and silver atoms a plane, ions and metal, blurred by an ion beam's mixing (its sigma)."""
    cation = ds["cation"].isel(snapshot_time=snapshot).values
    planes = np.isin(cation, (ION, METAL)).sum(axis=(1, 2)).astype(float)
    height = ds["z"].values
    return height, gaussian_filter1d(planes, mixing_nm / float(height[1] - height[0]), mode="constant")


def interface_silver(ds: xr.Dataset, mixing_nm: float = 10.0, snapshot: int = -1) -> float:
    """Silver at the crystal/organic interface after mixing, atoms a plane."""
    _height, planes = depth_profile(ds, mixing_nm, snapshot)
    organic = (ds["region"].values == ORGANIC).any(axis=(1, 2))
    if not organic.any():
        return math.nan
    return float(planes[np.flatnonzero(organic)[-1]])
