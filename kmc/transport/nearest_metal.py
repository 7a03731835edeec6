"""The nearest metal: of an atom across a gap, electrodes as height maps, atoms by plane; and of cells."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit

NOWHERE = 1 << 62  # a distance that nothing has


class TunnelGeometry(NamedTuple):
    """What tunnelling links are measured against: height maps of the electrodes, and the law of a link.

    anode_height, cathode_height int32 [ny, nx]: plane of the lowest site of the electrode above, and of the
    highest of the cathode's metal below. reach: of a link, in sites. conductance float64 [over reach^2]: of a
    link of two atoms by squared distance in sites, S (Simmons at low bias: 10^(-gap / decade), gap from
    surface to surface). shape: nz, ny, nx.
    """

    anode_height: np.ndarray
    cathode_height: np.ndarray
    reach: int
    conductance: np.ndarray
    shape: tuple[int, int, int]


@njit
def plane_starts(atoms, plane: int, nz: int):
    """Where the atoms of each plane begin among sites that ascend, int64 [nz + 1]."""
    start = np.zeros(nz + 1, np.int64)
    for i in atoms:
        start[i // plane + 1] += 1
    return np.cumsum(start)


@njit
def electrode_link(x: int, y: int, z: int, way: int, geometry) -> float:
    """Conductance of the shortest tunnelling link of one atom to an electrode, S; `way` as below."""
    nearest = nearest_on_electrode(x, y, z, way, geometry)[0]
    return geometry.conductance[nearest] if nearest <= geometry.reach * geometry.reach else 0.0


@njit
def nearest_on_electrode(x: int, y: int, z: int, way: int, geometry):
    """Squared distance of an atom to an electrode, in sites, and its nearest site; -1 out of reach.

    way: 1 for the electrode above, solid from its height up, -1 for the one below, solid from there down:
    beside its wall the nearest site is level with the atom.
    """
    height = geometry.anode_height if way > 0 else geometry.cathode_height
    reach, (ny, nx) = geometry.reach, height.shape
    nearest, site = reach * reach + 1, -1
    for k in range(2 * reach + 1):  # sideways from the middle out: farther than the nearest is none nearer
        dy = (k + 1) // 2 * (1 - 2 * (k % 2))
        row = (y + dy) % ny
        for m in range(2 * reach + 1):
            dx = (m + 1) // 2 * (1 - 2 * (m % 2))
            flat = dx * dx + dy * dy
            if flat >= nearest:
                break
            column = (x + dx) % nx
            dz = max(0, way * (height[row, column] - z))
            if 0 < flat + dz * dz < nearest:
                nearest, site = flat + dz * dz, ((z + way * dz) * ny + row) * nx + column
    return nearest, site


@njit
def nearest_cells(sources, reach: int, low: int, high: int):
    """The nearest source to each cell of the planes from `low` to below `high`; exact within `reach`.

    sources: bool [z, y, x], x and y periodic. Returns squared distances in cells, NOWHERE where none is, and
    the numbers of the nearest, of those as near the lowest; both int64 [high - low, y, x]. Axis by axis on
    one number, distance before cell; rows without any are passed over.
    """
    (nz, ny, nx), count = sources.shape, sources.size
    first, last = max(low - reach, 0), min(high + reach, nz)
    square, which = np.full((high - low, ny, nx), NOWHERE), np.zeros((high - low, ny, nx), np.int64)
    along = np.full((last - first, ny, nx), NOWHERE)
    across, filled = along.copy(), np.zeros((2, last - first, ny), np.bool_)
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                if sources[z, y, x]:
                    filled[0, z - first, y] = True
                    for k in range(-min(reach, nx // 2), min(reach, nx // 2) + 1):
                        i = (x + k) % nx
                        key = k * k * count + (z * ny + y) * nx + x
                        along[z - first, y, i] = min(along[z - first, y, i], key)
    for z in range(last - first):
        for y in range(ny):
            for k in range(-min(reach, ny // 2), min(reach, ny // 2) + 1):
                j = (y + k) % ny
                if filled[0, z, y]:
                    filled[1, z, j] = True
                    for x in range(nx):
                        across[z, j, x] = min(across[z, j, x], along[z, y, x] + k * k * count)
    for z in range(last - first):
        for c in range(max(z + first - reach, low), min(z + first + reach + 1, high)):
            k = c - z - first
            for y in range(ny):
                if filled[1, z, y]:
                    for x in range(nx):
                        square[c - low, y, x] = min(square[c - low, y, x], across[z, y, x] + k * k * count)
    keys, cells = square.reshape(-1), which.reshape(-1)
    for i in range(keys.size):
        if keys[i] < NOWHERE:
            cells[i], keys[i] = keys[i] % count, keys[i] // count
    return square, which
