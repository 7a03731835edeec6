"""The silver of a snapshot: the conducting core, and the depth profile that an ion beam would see."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import sparse
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from kmc.geometry.lattice import Region
from kmc.system.state import ION, METAL

CATHODE, ANODE = -2, -3
DECADE_NM = 0.3  # of tunnelling, as on the silver card: for runs with another say it
BOND = 40.0  # conductance of a bond in metal over that of a link of two atoms (spacing / resistivity / G0)
_REACH_NM = 2.4
_CARRIES = 0.01  # of the current, at least, in a site of the core


class _Network(NamedTuple):
    """Links between atoms 0 to n - 1, CATHODE and ANODE: ends [m, 2] and conductances [m]."""

    ends: np.ndarray
    weight: np.ndarray


def conducting_core(ds: xr.Dataset, snapshot: int = -1, decade_nm: float = DECADE_NM) -> float:
    """Metal sites in the film that carry over 1 % of the current, 0 where nothing reaches the electrode.

    From `cation` and `region` of a snapshot: bonds between neighbouring atoms, tunnelling links (a decade
    each `decade_nm`, the best of an atom) where a gap is left, the electrode above at 1, what lies under the
    film at 0. Sideways the window is taken as closed: a filament lies inside it.
    """
    cation, region = ds["cation"].isel(snapshot_time=snapshot).values, ds["region"].values
    spacing = float(ds["z"].values[1] - ds["z"].values[0])
    atoms = np.argwhere((cation == METAL) & (region != Region.ORGANIC))
    if not len(atoms):
        return 0.0
    network = _links(atoms, cation, region, spacing, decade_nm)
    share = _shares(network, len(atoms))
    return float((share > _CARRIES).sum())


def _links(atoms: np.ndarray, cation: np.ndarray, region: np.ndarray, spacing: float, decade_nm: float) -> _Network:
    """Bonds, then what a gap needs: links of each atom to the electrode above, and between clusters."""
    node = np.full(cation.shape, -1)
    node[tuple(atoms.T)] = np.arange(len(atoms))
    # As in the program's current: contact is the counter and the silver in the organic, not the organic.
    node[(region == Region.COUNTER) | ((region == Region.ORGANIC) & (cation == METAL))] = CATHODE
    node[region == Region.ELECTRODE] = ANODE
    bonds = _bonds(node)
    inner = bonds[(bonds >= 0).all(axis=1)]
    graph = sparse.coo_matrix((np.ones(len(inner)), inner.T), (len(atoms), len(atoms)))
    label = csgraph.connected_components(graph, directed=False)[1]
    ends, weight = [bonds], [np.full(len(bonds), BOND)]
    for found, far in (_upward(atoms, region, spacing), _between(atoms, label, spacing)):
        ends.append(found)
        weight.append(10.0 ** (-far / decade_nm))
    return _Network(np.concatenate(ends), np.concatenate(weight))


def _bonds(node: np.ndarray) -> np.ndarray:
    """Pairs of neighbouring nodes [m, 2] of which one is an atom at least."""
    found = []
    for axis in range(3):
        first, second = np.delete(node, -1, axis), np.delete(node, 0, axis)
        keep = (first != -1) & (second != -1) & ((first >= 0) | (second >= 0))
        found.append(np.stack([first[keep], second[keep]], axis=1))
    return np.concatenate(found)


def _upward(atoms: np.ndarray, region: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Links of atoms to the electrode in their column, and the gap in nm beyond a bond."""
    electrode = region == Region.ELECTRODE
    roof = np.where(electrode.any(axis=0), electrode.argmax(axis=0), 10**6)
    far = (roof[atoms[:, 1], atoms[:, 2]] - atoms[:, 0] - 1) * spacing
    near = np.flatnonzero((far > 0) & (far < _REACH_NM))
    return np.stack([near, np.full(len(near), ANODE)], axis=1), far[near]


def _between(atoms: np.ndarray, label: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """The best link of each atom of a smaller cluster to another cluster, and the gap in nm beyond a bond."""
    largest = int(np.argmax(np.bincount(label)))
    own = np.flatnonzero(label != largest)
    ends, far = [], []
    tree = cKDTree(atoms)
    for atom, near in zip(own, tree.query_ball_point(atoms[own], _REACH_NM / spacing + 1), strict=True):
        others = np.array([k for k in near if label[k] != label[atom]], int)
        if len(others):
            distance = np.linalg.norm(atoms[others] - atoms[atom], axis=1)
            ends.append((atom, others[np.argmin(distance)]))
            far.append((distance.min() - 1) * spacing)
    return np.array(ends, int).reshape(-1, 2), np.array(far)


def _shares(network: _Network, count: int) -> np.ndarray:
    """Current through each atom as a share of the whole, 0 for those without a way to both electrodes."""
    ends, weight = network
    place = np.where(ends >= 0, ends, np.where(ends == CATHODE, count, count + 1))
    whole = sparse.coo_matrix((weight, place.T), (count + 2, count + 2)).tocsr()
    whole = whole + whole.T
    label = csgraph.connected_components(whole, directed=False)[1]
    if label[count] != label[count + 1]:
        return np.zeros(count)
    keep = np.flatnonzero(label[:count] == label[count])
    total = np.asarray(whole.sum(axis=1)).ravel()
    matrix = sparse.diags(total[keep]) - whole[keep][:, keep]
    level = np.zeros(count + 2)
    level[count + 1] = 1.0
    level[keep] = spsolve(matrix.tocsc(), np.asarray(whole[keep][:, count + 1].todense()).ravel())
    level[:count][np.setdiff1d(np.arange(count), keep)] = np.nan
    flow = np.nan_to_num(weight * np.abs(level[place[:, 0]] - level[place[:, 1]]))
    through = np.bincount(place.ravel(), np.repeat(flow, 2), count + 2) / 2
    return through[:count] / (2 * through[count + 1])


def depth_profile(ds: xr.Dataset, mixing_nm: float = 10.0, snapshot: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Height (nm) and silver atoms a plane, ions and metal, blurred by an ion beam's mixing (its sigma)."""
    cation = ds["cation"].isel(snapshot_time=snapshot).values
    planes = np.isin(cation, (ION, METAL)).sum(axis=(1, 2)).astype(float)
    height = ds["z"].values
    return height, gaussian_filter1d(planes, mixing_nm / float(height[1] - height[0]), mode="constant")


def interface_silver(ds: xr.Dataset, mixing_nm: float = 10.0, snapshot: int = -1) -> float:
    """Silver at the crystal/organic interface after mixing, atoms a plane; NaN without an organic."""
    planes = depth_profile(ds, mixing_nm, snapshot)[1]
    organic = (ds["region"].values == Region.ORGANIC).any(axis=(1, 2))
    return float(planes[np.flatnonzero(organic)[-1]]) if organic.any() else math.nan
