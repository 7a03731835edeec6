"""Random packing: crystals dropped one by one onto a periodic plane, each to one of the lowest places.

Lengths are whole cells. Crystals are deposited with half their gap around them, so that facing crystals never stand
closer than the gap.
"""

from __future__ import annotations

import numpy as np

from kmc.cache import njit

# How many cells of height a crystal forgoes to stand flush with its neighbours, and the scatter of that choice.
CONTACT = 3.0
SCATTER = 1.0
HOLLOW = 0.5


@njit
def _rolling(top, count_y, count_x, sign):
    """Largest (sign 1) or least (-1) of `top` over a footprint that starts (1) or ends (-1) at each cell."""
    ny, nx = top.shape
    line = top * sign
    for y in range(ny):
        for x in range(nx):
            for k in range(count_x):
                line[y, x] = max(line[y, x], sign * top[y, (x + sign * k) % nx])
    out = line.copy()
    for y in range(ny):
        for k in range(count_y):
            row = line[(y + sign * k) % ny]
            for x in range(nx):
                out[y, x] = max(out[y, x], row[x])
    return out * sign


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
def _hollow(lowest, rest, y0, x0, count_y, count_x):
    """Mean height wasted beneath a footprint: what another place of it could have filled."""
    ny, nx = lowest.shape
    total = 0
    for y in range(y0, y0 + count_y):
        for x in range(x0, x0 + count_x):
            total += rest - lowest[y % ny, x % nx]
    return total / (count_y * count_x)


@njit
def best_place(top, ceiling, size, gap, least, scatter):
    """Where a crystal comes to rest: (y, x, z of its foot, height, score), height 0 if it
    fits nowhere; the lowest score is the best place.

    top, ceiling: int64 [ny, nx], filled height (with the gap above) and silver; size: its z, y, x extents;
    gap: clear cells around it; least: share of it that must fit; scatter: float64 [ny, nx].
    """
    ny, nx = top.shape
    count_y, count_x = size[1] + gap, size[2] + gap
    best, place = 1e30, (0, 0, 0, 0, 1e30)
    if count_y > ny or count_x > nx:
        return place
    rests = _rolling(top, count_y, count_x, 1)
    lowest = _rolling(rests, count_y, count_x, -1)
    for y in range(ny):
        for x in range(nx):
            rest = rests[y, x]
            limit = ceiling[(y + count_y // 2) % ny, (x + count_x // 2) % nx]
            height = min(size[0], limit - rest)
            if height < least * size[0] or rest + scatter[y, x] - 2 * CONTACT > best:
                continue
            score = rest + scatter[y, x] + HOLLOW * _hollow(lowest, rest, y, x, count_y, count_x)
            score -= CONTACT * _contact(top, rest, y, x, count_y, count_x)
            if score < best:
                best, place = score, (y, x, rest, height, score)
    return place


@njit
def stand(top, y0, x0, count_y, count_x, level):
    """Raise the filled height under a footprint to `level`."""
    ny, nx = top.shape
    for y in range(y0, y0 + count_y):
        for x in range(x0, x0 + count_x):
            top[y % ny, x % nx] = level
