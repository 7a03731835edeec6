"""Columnar grains of a polycrystalline film and their boundaries."""

from __future__ import annotations

import numpy as np

from kmc.core.jit_cache import njit
from kmc.geometry.lattice import Region
from kmc.geometry.rough_surface import noise, threshold

_CORE, _BOUNDARY = int(Region.CORE), int(Region.BOUNDARY)
# Sites by which boundaries curve in the plane, and by which they lean over a film's height (assumed).
_CURVE = 2.5
_WANDER = 4.0
_TILE = 8  # sites along a square whose sites look at the same centres


def seeds(shape: tuple[int, int], size: float, generator: np.random.Generator) -> np.ndarray:
    """Grain centres in a periodic plane: float64 [n, 2] (y, x), sites; size: mean grain diameter (sites).

    At least two: a window stands on a boundary, for there the contact is weakest.
    """
    count = max(2, round(shape[0] * shape[1] / size**2))
    tries = generator.random((16, count, 2)) * shape
    spread = [_least_distance(points, shape) for points in tries]
    return tries[int(np.argmax(spread))]


def _least_distance(points: np.ndarray, shape: tuple[int, int]) -> float:
    step = np.abs(points[:, None, :] - points[None, :, :])
    step = np.minimum(step, np.asarray(shape) - step)
    square = (step**2).sum(axis=2)
    return float(square[np.triu_indices(len(points), 1)].min())


@njit
def _nearest(centres, y, x, ny, nx):
    """Squared distances [3] and places [3, 2] of the three nearest periodic images of the centres [n, 2]."""
    near = np.full(3, 1e30)
    at = np.zeros((3, 2))
    for n in range(centres.shape[0]):
        for image_y in range(-1, 2):
            for image_x in range(-1, 2):
                dy = (centres[n, 0] - y) % ny + image_y * ny
                dx = (centres[n, 1] - x) % nx + image_x * nx
                square = dy * dy + dx * dx
                slot = 3
                while slot > 0 and square < near[slot - 1]:
                    slot -= 1
                for move in range(2, slot, -1):
                    near[move] = near[move - 1]
                    at[move] = at[move - 1]
                if slot < 3:
                    near[slot] = square
                    at[slot, 0] = dy
                    at[slot, 1] = dx
    return near, at


@njit
def _half_way(near, at, other):
    """Distance to the line half way between the nearest centre and another one of `_nearest`."""
    apart = np.hypot(at[other, 0] - at[0, 0], at[other, 1] - at[0, 1])
    return (near[other] - near[0]) / max(2 * apart, 1e-9)


@njit
def _close(centres, warp, top, left, ny, nx):
    """Those of the centres [n, 2], in order, that may be among the three nearest of a site of a tile.

    No site is farther than `reach` from the tile's middle, so none of its three is farther from there than
    the middle's own third and twice that.
    """
    y, x, reach = top + _TILE / 2, left + _TILE / 2, 0.0
    for a in range(top, min(top + _TILE, ny)):
        for b in range(left, min(left + _TILE, nx)):
            reach = max(reach, np.hypot(a + warp[0, a, b] - y, b + warp[1, a, b] - x))
    near, _ = _nearest(centres, y, x, ny, nx)
    most = np.sqrt(near[2]) + 2 * reach + 1e-6  # and what rounding takes
    close = np.zeros(centres.shape[0], np.bool_)
    for n in range(centres.shape[0]):
        dy, dx = (centres[n, 0] - y) % ny, (centres[n, 1] - x) % nx
        close[n] = np.hypot(min(dy, ny - dy), min(dx, nx - dx)) <= most
    return centres[close]


@njit
def _voronoi(centres, warp, width, region, triple):
    """Write CORE and BOUNDARY; triple: bool, sites where three grains meet.

    centres: float64 [z, n, 2]; warp: float64 [2, y, x], moves a site before it looks for its grain.
    """
    nz, ny, nx = region.shape
    for z in range(nz):
        for top in range(0, ny, _TILE):
            for left in range(0, nx, _TILE):
                some = _close(centres[z], warp, top, left, ny, nx)
                for y in range(top, min(top + _TILE, ny)):
                    for x in range(left, min(left + _TILE, nx)):
                        near, at = _nearest(some, y + warp[0, y, x], x + warp[1, y, x], ny, nx)
                        edge = _half_way(near, at, 1) < width / 2
                        region[z, y, x] = _BOUNDARY if edge else _CORE
                        triple[z, y, x] = edge and _half_way(near, at, 2) < width


def film_regions(
    shape: tuple[int, int, int], size: float, width: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Regions (uint8) and triple lines (bool) of a columnar film, [z, y, x]; size and width in sites."""
    nz = shape[0]
    points = seeds(shape[1:], size, generator)
    lean = noise((2 * nz + 16, len(points), 2), (nz / 2, 0.01, 0.01), generator)[:nz]
    centres = points[None] + _WANDER * (lean - lean[:1])
    length = max(4.0, size / 5)
    warp = _CURVE * np.stack([noise(shape[1:], (length, length), generator) for _ in range(2)])
    region = np.empty(shape, dtype=np.uint8)
    triple = np.zeros(shape, dtype=np.bool_)
    _voronoi(centres, warp, max(width, 1.0), region, triple)
    return region, triple


def boundary_room(region, triple, share: float, width: float, generator: np.random.Generator) -> np.ndarray:
    """Where a silver atom fits in a film: uint8 [z, y, x].

    The share of the boundary in patches as tall as ten widths, and every line where three grains meet.
    """
    padded = (region.shape[0] + int(20 * width), *region.shape[1:])
    field = noise(padded, (10 * width, width, width), generator)[: region.shape[0]]
    boundary = region == _BOUNDARY
    return (boundary & (triple | (field > threshold(np.array(1 - share))))).astype(np.uint8)
