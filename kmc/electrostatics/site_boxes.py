"""Boxes of sites: half-open ranges z0, z1, y0, y1, x0, x1.

In z they end short of the lattice's first and last plane; y and x are periodic and may run over an edge, a
period at most.
"""

import numpy as np

from kmc.core.jit_cache import njit

FEW = 30_000  # sites of a box that is not worth splitting

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
    return clip(
        shape,
        box[0] - reach,
        box[1] - 1 + reach,
        box[2] - reach,
        box[3] - 1 + reach,
        box[4] - reach,
        box[5] - 1 + reach,
    )


@njit
def union(shape, one, other) -> Box:
    """The smallest box that holds two, as they are placed."""
    return clip(
        shape,
        min(one[0], other[0]),
        max(one[1], other[1]) - 1,
        min(one[2], other[2]),
        max(one[3], other[3]) - 1,
        min(one[4], other[4]),
        max(one[5], other[5]) - 1,
    )


@njit
def volume(box) -> int:
    """Sites in a box."""
    return (box[1] - box[0]) * (box[3] - box[2]) * (box[5] - box[4])


@njit
def shortest(some) -> tuple[int, int]:
    """Shortest interval along a periodic axis, both ends in it, that holds all of `some`, bool [n].

    It may run over the edge. Of several as short, the one after the first gap.
    """
    n, first, last, widest = some.size, -1, -1, 0
    low = high = 0
    for i in range(n):
        if some[i]:
            if first < 0:
                first = i
            elif i - last > widest:
                widest, low, high = i - last, i, last
            last = i
    if first + n - last > widest:
        return first, last
    return low, high + n


@njit
def around(shape, places, reach: int) -> Box:
    """The smallest box around `places` [n, 3], z, y and x of sites, and `reach` more."""
    in_y, in_x = np.zeros(shape[1], np.bool_), np.zeros(shape[2], np.bool_)
    z0 = z1 = places[0, 0]
    for n in range(places.shape[0]):
        z0, z1 = min(z0, places[n, 0]), max(z1, places[n, 0])
        in_y[places[n, 1]] = in_x[places[n, 2]] = True
    (y0, y1), (x0, x1) = shortest(in_y), shortest(in_x)
    return clip(shape, z0 - reach, z1 + reach, y0 - reach, y1 + reach, x0 - reach, x1 + reach)


@njit
def _halves(places, axis: int):
    """Those in the lower half of where they are along an axis, and the others."""
    along = places[:, axis]
    low = 2 * along < along.min() + along.max()
    return places[low], places[~low]


def _cover(shape, places: np.ndarray, reach: int) -> list[Box]:
    box = around(shape, places, reach)
    spans = box[1] - box[0], box[3] - box[2], box[5] - box[4]
    if max(spans) <= 4 * reach or volume(box) < FEW:
        return [box]
    low, high = _halves(places, spans.index(max(spans)))
    if not (len(low) and len(high)):
        return [box]
    parts = _cover(shape, low, reach) + _cover(shape, high, reach)
    return parts if sum(volume(part) for part in parts) < volume(box) else [box]


def cover(shape, sites: np.ndarray, reach: int) -> list[Box]:
    """Boxes around sites, and `reach` more: the one around all, halved as long as that saves volume.

    A filament that wanders, or atoms here and there on a plane, fill little of that one box.
    """
    return _cover(shape, np.column_stack(np.unravel_index(sites, shape)), reach)
