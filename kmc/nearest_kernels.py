"""What of the metal across a gap is nearest to an atom: the electrodes as height maps, atoms by plane."""

import numpy as np

from .cache import njit


@njit
def plane_starts(atoms, plane: int, nz: int):
    """Where the atoms of each plane begin among sites that ascend, int64 [nz + 1]."""
    start = np.zeros(nz + 1, np.int64)
    for i in atoms:
        start[i // plane + 1] += 1
    return np.cumsum(start)


@njit
def plane_link(x: int, y: int, z: int, height, way: int, reach: int, table, ny: int, nx: int) -> float:
    """The shortest link of one atom to an electrode with a height map, S."""
    nearest = nearest_of(x, y, z, height, way, reach, ny, nx)[0]
    return table[nearest] if nearest <= reach * reach else 0.0


@njit
def nearest_of(x: int, y: int, z: int, height, way: int, reach: int, ny: int, nx: int):
    """Squared distance of an atom to an electrode with a height map, and its nearest site; -1 out of reach.

    way: 1 for an electrode that is solid from that height up, -1 for one from there down: beside its wall
    the nearest site is level with the atom.
    """
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
