"""Boxes of sites: half-open ranges z0, z1, y0, y1, x0, x1.

In z they end short of the lattice's first and last plane; y and x are periodic and may run over an edge, a
period at most.
"""

from .cache import njit

Box = tuple[int, int, int, int, int, int]


@njit
def clip(shape, z0: int, z1: int, y0: int, y1: int, x0: int, x1: int) -> Box:
    """The box of some sites, both ends among them, on a lattice of `shape` [z, y, x]."""
    nz, ny, nx = shape
    y1, x1 = y1 + 1, x1 + 1
    if y1 - y0 >= ny:
        y0, y1 = 0, ny
    if x1 - x0 >= nx:
        x0, x1 = 0, nx
    return max(1, z0), min(nz - 1, z1 + 1), y0, y1, x0, x1


@njit
def box_of(shape, site: int, reach: int) -> Box:
    """The sites within `reach` of one along each axis."""
    _, ny, nx = shape
    z, y, x = site // (ny * nx), site // nx % ny, site % nx
    return clip(shape, z - reach, z + reach, y - reach, y + reach, x - reach, x + reach)


@njit
def wider(shape, box, reach: int) -> Box:
    """The sites within `reach` of a box."""
    return clip(shape, box[0] - reach, box[1] - 1 + reach, box[2] - reach, box[3] - 1 + reach,
                box[4] - reach, box[5] - 1 + reach)  # fmt: skip


@njit
def union(shape, one, other) -> Box:
    """The smallest box that holds two, as they are placed."""
    return clip(shape, min(one[0], other[0]), max(one[1], other[1]) - 1, min(one[2], other[2]),
                max(one[3], other[3]) - 1, min(one[4], other[4]), max(one[5], other[5]) - 1)  # fmt: skip


@njit
def volume(box) -> int:
    """Sites in a box."""
    return (box[1] - box[0]) * (box[3] - box[2]) * (box[5] - box[4])
