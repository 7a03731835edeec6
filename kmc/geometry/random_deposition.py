"""Random packing: crystals dropped one by one onto a periodic plane, each to one of the lowest places.

Lengths are whole cells. Crystals are deposited with half their gap around them, so that facing crystals never
stand closer than the gap.
"""

from __future__ import annotations

import numpy as np

from kmc.core.jit_cache import njit

# A place is scored in cells of height: what standing flush with neighbours is worth, the cost of a cell of
# height wasted beneath, and the scatter of the choice.
CONTACT = 3.0
HOLLOW = 0.5
SCATTER = 1.0


@njit
def _ahead(plane, count):
    """Largest of each site and the count - 1 after it along axis 0 (periodic), by doubling the reach."""
    ny, nx = plane.shape
    out, done = plane.copy(), 1
    while done < count:
        step = min(done, count - done)
        last = out.copy()
        for y in range(ny):
            other = (y + step) % ny
            for x in range(nx):
                out[y, x] = max(last[y, x], last[other, x])
        done += step
    return out


@njit
def rolling(plane, count_y, count_x):
    """Largest of `plane` under a footprint with its first corner at each cell (periodic): int64 [y, x]."""
    along = np.ascontiguousarray(_ahead(np.ascontiguousarray(plane.T), count_x).T)
    return _ahead(along, count_y)


@njit
def opened(plane, count_y, count_x):
    """Least of `rolling` over all footprints that hold a cell: what a footprint could fill (int64 [y, x]).

    Takes the plane of `rolling`.
    """
    return -rolling(-plane[::-1, ::-1], count_y, count_x)[::-1, ::-1]


def closed(plane: np.ndarray, side: int) -> np.ndarray:
    """A plane whose pits narrower than `side` cells are filled (int64 [y, x], periodic)."""
    return opened(rolling(plane, side, side), side, side)


@njit
def _contact(top, rest, y0, x0, count_y, count_x):
    """Share of a footprint's rim that stands against something higher than its resting height."""
    ny, nx = top.shape
    touched = 0
    for y in range(y0, y0 + count_y):
        touched += top[y % ny, (x0 - 1) % nx] > rest
        touched += top[y % ny, (x0 + count_x) % nx] > rest
    for x in range(x0, x0 + count_x):
        touched += top[(y0 - 1) % ny, x % nx] > rest
        touched += top[(y0 + count_y) % ny, x % nx] > rest
    return touched / (2.0 * (count_y + count_x))


@njit
def _sums(field, more_y, more_x):
    """Running sums of a periodic plane, so that any footprint's sum takes four look-ups."""
    ny, nx = field.shape
    out = np.zeros((ny + more_y + 1, nx + more_x + 1), np.int64)
    for y in range(ny + more_y):
        row = 0
        for x in range(nx + more_x):
            row += field[y % ny, x % nx]
            out[y + 1, x + 1] = out[y, x + 1] + row
    return out


@njit
def best_place(top, ceiling, size, gap, least, scatter, price, beat):
    """Where a crystal comes to rest: (y, x, z of its foot, height, score), height 0 if it
    fits nowhere; the lowest score is the best place.

    top, ceiling: int64 [ny, nx], filled height (with the gap above) and silver; size: its z, y, x extents;
    gap: clear cells around it; least: share of it that must fit; scatter: float64 [ny, nx]; price: added to
    the score; beat: the score to beat.
    """
    ny, nx = top.shape
    count_y, count_x = size[1] + gap, size[2] + gap
    best, place = beat - price, (0, 0, 0, 0, 1e30)
    if count_y > ny or count_x > nx:
        return place
    rests = rolling(top, count_y, count_x)
    # What another place of the same footprint could fill is wasted beneath this one.
    sums = _sums(opened(rests, count_y, count_x), count_y, count_x)
    for y in range(ny):
        for x in range(nx):
            rest = rests[y, x]
            limit = ceiling[(y + count_y // 2) % ny, (x + count_x // 2) % nx]
            height = min(size[0], limit - rest)
            if height < least * size[0]:
                continue
            y1, x1 = y + count_y, x + count_x
            mean = (sums[y1, x1] - sums[y, x1] - sums[y1, x] + sums[y, x]) / (count_y * count_x)
            score = rest + scatter[y, x] + HOLLOW * (rest - mean)
            if score - CONTACT >= best:
                continue
            score -= CONTACT * _contact(top, rest, y, x, count_y, count_x)
            if score < best:
                best, place = score, (y, x, rest, height, score + price)
    return place


@njit
def stand(top, y0, x0, count_y, count_x, level):
    """Raise the filled height under a footprint to `level`."""
    ny, nx = top.shape
    for y in range(y0, y0 + count_y):
        for x in range(x0, x0 + count_x):
            top[y % ny, x % nx] = level


@njit
def _space(one, other, axis, period):
    """Clear cells from the end of box `one` up to the next start of box `other` along a periodic axis; -1
    where they overlap."""
    ahead = (other[axis] - one[axis]) % period
    behind = (one[axis] - other[axis]) % period
    if ahead < one[3 + axis] or behind < other[3 + axis]:
        return -1
    return ahead - one[3 + axis]


@njit
def _beside(one, other, axis, gap, period):
    """Whether two boxes would meet along the lateral `axis`: less than `gap` apart along both others."""
    if one[0] >= other[0] + other[3] + gap or other[0] >= one[0] + one[3] + gap:
        return False
    side = 3 - axis
    return _space(one, other, side, period[side]) < gap or _space(other, one, side, period[side]) < gap


@njit
def spread(boxes, gap, ny, nx, sweeps):
    """Move each box to the middle of its free way along y and x, again and again. In place.

    boxes: int64 [n, 6] (z, y, x, dz, dy, dx), none closer than `gap` to another that it faces.
    """
    period = (0, ny, nx)
    for _ in range(sweeps):
        for i in range(boxes.shape[0]):
            for axis in range(1, 3):
                up = down = period[axis] - boxes[i, 3 + axis]
                for j in range(boxes.shape[0]):
                    if j != i and _beside(boxes[i], boxes[j], axis, gap, period):
                        ahead = _space(boxes[i], boxes[j], axis, period[axis])
                        if ahead >= 0:
                            up = min(up, ahead)
                            down = min(down, _space(boxes[j], boxes[i], axis, period[axis]))
                boxes[i, axis] = (boxes[i, axis] + (up - down) // 2) % period[axis]
