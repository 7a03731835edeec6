"""What lies between the crystals: facing gaps, the corners that no ligand fills, and where metal fits."""

from __future__ import annotations

import numpy as np

from kmc.core.jit_cache import njit
from kmc.geometry.lattice import Region
from kmc.geometry.rough_surface import noise, threshold

_CORE, _SURFACE, _GAP = int(Region.CORE), int(Region.SURFACE), int(Region.GAP)
_VOID, _ELECTRODE = int(Region.VOID), int(Region.ELECTRODE)
NOWHERE, SILVER = 0, -1
_FAR = 255


def paint(boxes: np.ndarray, ceiling: np.ndarray, block: int, open_: np.ndarray) -> np.ndarray:
    """Crystal number of each film site: int32 [z, y, x]; 0 between crystals, -1 in the silver.

    boxes: int64 [n, 6] and ceiling: int64 [ny, nx] in cells of `block` sites; open_: bool [y, x] sites of
    crevices, where no crystal stands.
    """
    height = int(ceiling.max()) * block
    owner = np.zeros((height, *open_.shape), dtype=np.int32)
    _paint(owner, boxes * block, np.repeat(np.repeat(ceiling, block, 0), block, 1) * block, open_)
    return owner


@njit
def _paint(owner, boxes, ceiling, open_):
    nz, ny, nx = owner.shape
    for n in range(boxes.shape[0]):
        z0, y0, x0, dz, dy, dx = boxes[n]
        for z in range(z0, min(z0 + dz, nz)):
            for y in range(y0, y0 + dy):
                for x in range(x0, x0 + dx):
                    if not open_[y % ny, x % nx]:
                        owner[z, y % ny, x % nx] = n + 1
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if z >= ceiling[y, x]:
                    owner[z, y, x] = SILVER


@njit
def widths(owner, chain):
    """Width (sites) of the space between faces at each site: uint8 [z, y, x]; 255 in sight of no face.

    Two faces with nothing between them along an axis are facing, and their distance is the width; the
    narrowest of the three axes holds. Half a gap against silver or organic is as good as a whole one. Beyond
    four chains only sites within a chain of a face count, as four chains wide.
    """
    nz, ny, nx = owner.shape
    width = np.full(owner.shape, _FAR, np.uint8)
    for z in range(nz):
        for y in range(ny):
            _line(owner[z, y], width[z, y], chain, True)
        for x in range(nx):
            _line(owner[z, :, x], width[z, :, x], chain, True)
    for y in range(ny):
        for x in range(nx):
            _line(owner[:, y, x], width[:, y, x], chain, False)
    return width


@njit
def _line(owner, width, chain, periodic):
    """Widths along one line; a column that is not periodic ends at walls."""
    n = owner.shape[0]
    start = -1
    for i in range(n):
        if periodic and owner[i] > 0:
            start = i
            break
    if periodic and start < 0:
        return
    length, before = 0, periodic
    for step in range(1, n + 1 if periodic else n + 2):
        i = (start + step) % n if periodic else step - 1
        if i < n and owner[i] == NOWHERE:
            length += 1
            continue
        after = i < n and owner[i] > 0
        if before or after:
            _mark(width, i, length, chain, before, after)
        length, before = 0, after


@njit
def _mark(width, end, length, chain, before, after):
    """Write the width of one run of `length` sites that ends before site `end`."""
    n = width.shape[0]
    whole = length if before and after else 2 * length
    for back in range(1, length + 1):
        near = (after and back <= chain) or (before and length - back < chain)
        if whole <= 4 * chain or near:
            at = (end - back) % n
            width[at] = min(width[at], whole, 4 * chain)


@njit
def _half(step):
    """Square of the half sites from a site's middle to the near face of the site `step` away."""
    return (2 * abs(step) - 1) ** 2 if step else 0


@njit
def distances(owner, reach):
    """Squared half sites to the nearest crystal face: int32 [z, y, x], exact up to `reach` sites."""
    nz, ny, nx = owner.shape
    far = np.int32((2 * reach + 2) ** 2)
    first = np.full(owner.shape, far, np.int32)
    second = np.full(owner.shape, far, np.int32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                for k in range(-reach, reach + 1):
                    if owner[z, y, (x + k) % nx] > 0:
                        first[z, y, x] = min(first[z, y, x], _half(k))
    for z in range(nz):
        for y in range(ny):
            for k in range(-reach, reach + 1):
                yk = (y + k) % ny
                for x in range(nx):
                    second[z, y, x] = min(second[z, y, x], first[z, yk, x] + _half(k))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                first[z, y, x] = far
        for k in range(max(-reach, -z), min(reach, nz - 1 - z) + 1):
            for y in range(ny):
                for x in range(nx):
                    first[z, y, x] = min(first[z, y, x], second[z + k, y, x] + _half(k))
    return first


@njit
def _sort(owner, width, distance, reach, open_, region):
    """Write the region code of each film site."""
    nz, ny, nx = owner.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                mine = owner[z, y, x]
                if mine == SILVER:
                    region[z, y, x] = _ELECTRODE
                elif mine > 0:
                    inner = 0 < z < nz - 1 and owner[z - 1, y, x] == mine and owner[z + 1, y, x] == mine
                    inner = inner and owner[z, y - 1, x] == mine and owner[z, (y + 1) % ny, x] == mine
                    inner = inner and owner[z, y, x - 1] == mine and owner[z, y, (x + 1) % nx] == mine
                    region[z, y, x] = _CORE if inner else _SURFACE
                elif open_[y, x] or (width[z, y, x] == _FAR and distance[z, y, x] > 4 * reach * reach):
                    region[z, y, x] = _VOID
                else:
                    region[z, y, x] = _GAP


def corner_reach(coverage: float) -> float:
    """How far chains reach into the square between four crystals, over its edge.

    Chains fill the share `coverage` of the square, nearest to the crystals first.
    """
    line = (np.arange(200) + 0.5) / 200
    nearest = np.minimum(line, 1 - line)
    distance = np.hypot(nearest[:, None], nearest[None, :])
    return float(np.quantile(distance, coverage))


def classify(owner: np.ndarray, open_: np.ndarray, gap: float, length: float, coverage: float):
    """Regions (uint8) and local gap widths (uint8, 255 none) of a film's sites, both [z, y, x].

    gap, length: the ligand's gap and its stretched chain, in sites.
    """
    width = widths(owner, min(_FAR // 4, round(length)))
    reach = corner_reach(coverage) * gap
    distance = distances(owner, int(np.ceil(reach)) + 1)
    region = np.empty(owner.shape, dtype=np.uint8)
    _sort(owner, width, distance, reach, open_, region)
    return region, width


def ligand_room(
    region: np.ndarray, width: np.ndarray, gap: float, coverage: float, size: float, generator: np.random.Generator
) -> np.ndarray:
    """Where a silver atom fits between crystals: uint8 [z, y, x]. gap and size (of a crystal) in sites.

    Chains fill the share coverage * gap / width of a facing gap: in a wider gap the same chains leave
    more room. Bare patches are columns about a third of the gap wide and a crystal high.
    """
    lengths = (size / 2, gap / 3, gap / 3)
    padded = (region.shape[0] + int(2 * size), *region.shape[1:])
    field = noise(padded, lengths, generator)[: region.shape[0]]
    table = threshold(coverage * np.minimum(1.0, gap / np.maximum(np.arange(256), 1)))
    table[_FAR] = table[0]
    room = (region == _GAP) & (field > table[width])
    return (room | (region == _VOID)).astype(np.uint8)
