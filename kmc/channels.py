"""Ways for silver through the active layer: does one exist, how wide is it, where does it end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmc.cache import njit
from kmc.lattice import ACTIVE, Lattice, Region


@dataclass(frozen=True)
class Channel:
    """The widest way of room sites from the silver to the organic layer.

    y, x: its foot (site at the organic's surface); width: the side of the largest square that passes
    everywhere along it (sites, 0 if no way exists); narrowest: least sites of it in any plane.
    """

    y: int
    x: int
    width: int
    narrowest: int
    path: np.ndarray

    @property
    def open(self) -> bool:
        """Whether room sites join the silver with the organic layer."""
        return self.width > 0


@njit
def _squares(room, side):
    """Sites covered by a side x side square of room within its plane: bool [z, y, x], periodic."""
    nz, ny, nx = room.shape
    covered = np.zeros(room.shape, np.bool_)
    run = np.zeros((ny, nx), np.int32)
    for z in range(nz):
        for y in range(ny):
            length = 0
            for step in range(nx + side - 1):
                x = step % nx
                length = length + 1 if room[z, y, x] else 0
                if step >= side - 1:
                    run[y, x] = 1 if length >= side else 0
        for x in range(nx):
            length = 0
            for step in range(ny + side - 1):
                y = step % ny
                length = length + 1 if run[y, x] else 0
                if step >= side - 1 and length >= side:
                    for back_y in range(side):
                        for back_x in range(side):
                            covered[z, (y - back_y) % ny, (x - back_x) % nx] = True
    return covered


@njit
def _flood(mask, seed, out):
    """Mark in `out` what 6-neighbour steps through `mask` reach from the sites of `seed`. Returns a count."""
    nz, ny, nx = mask.shape
    stack = np.empty(mask.size, np.int32)
    depth = 0
    for i in range(mask.size):
        z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
        if seed[z, y, x] and mask[z, y, x]:
            out[z, y, x] = True
            stack[depth] = i
            depth += 1
    found = depth
    while depth > 0:
        depth -= 1
        i = stack[depth]
        z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
        for way in range(6):
            a, b, c = z, y, x
            if way == 0:
                a -= 1
            elif way == 1:
                a += 1
            elif way == 2:
                b = (y - 1) % ny
            elif way == 3:
                b = (y + 1) % ny
            elif way == 4:
                c = (x - 1) % nx
            else:
                c = (x + 1) % nx
            if 0 <= a < nz and mask[a, b, c] and not out[a, b, c]:
                out[a, b, c] = True
                stack[depth] = (a * ny + b) * nx + c
                depth += 1
                found += 1
    return found


def _through(mask: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Sites of `mask` [z, y, x] on a way from plane 0 to just below `ceiling` [y, x]; empty if none."""
    up, down = np.zeros(mask.shape, np.bool_), np.zeros(mask.shape, np.bool_)
    top = np.zeros(mask.shape, np.bool_)
    foot = np.zeros(mask.shape, np.bool_)
    foot[0] = True
    y, x = np.nonzero(ceiling > 0)
    top[ceiling[y, x] - 1, y, x] = True
    _flood(mask, foot, up)
    _flood(mask, top, down)
    return up & down


def _largest_patch(plane: np.ndarray) -> np.ndarray:
    """The largest connected patch of a periodic plane (bool [y, x])."""
    left, best = plane[None].copy(), np.zeros(plane.shape, bool)
    while left.any():
        seed, patch = np.zeros(left.shape, bool), np.zeros(left.shape, bool)
        seed.flat[np.argmax(left)] = True
        if _flood(left, seed, patch) > np.count_nonzero(best):
            best = patch[0]
        left &= ~patch
    return best


def _centre(patch: np.ndarray) -> tuple[int, int]:
    """The site of a patch (bool [y, x], periodic) nearest to its centre of mass."""
    y, x = np.nonzero(patch)
    middle = []
    for place, count in ((y, patch.shape[0]), (x, patch.shape[1])):
        turn = np.exp(2j * np.pi * place / count).mean()
        middle.append(np.angle(turn) / (2 * np.pi) * count % count)
    step = [np.abs(p - m) for p, m in zip((y, x), middle, strict=True)]
    step = [np.minimum(s, count - s) for s, count in zip(step, patch.shape, strict=True)]
    at = int(np.argmin(step[0] ** 2 + step[1] ** 2))
    return int(y[at]), int(x[at])


def widest(room: np.ndarray, ceiling: np.ndarray) -> Channel:
    """The widest way through the active layer.

    room: uint8 or bool [z, y, x] from the organic's surface (z = 0) up; ceiling: int [y, x], first
    silver plane of each column. Where no way exists, the foot is the column with most room.
    """
    room = np.ascontiguousarray(room, dtype=np.bool_)
    low, high, best = 0, min(room.shape[1:]), None
    while low < high:
        side = min(2 * low + 1, (low + high + 1) // 2)
        way = _through(_squares(room, side), ceiling)
        if way.any():
            low, best = side, way
        else:
            high = side - 1
    if best is None:
        most = room.sum(axis=0)
        y, x = np.unravel_index(int(np.argmax(most)), most.shape)
        return Channel(int(y), int(x), 0, 0, np.zeros(room.shape, np.bool_))
    patch = _largest_patch(best[0])
    foot = np.zeros(room.shape, np.bool_)
    foot[0] = patch
    path = np.zeros(room.shape, np.bool_)
    _flood(best, foot, path)
    planes = path[: int(ceiling.min())].sum(axis=(1, 2))
    return Channel(*_centre(patch), low, int(planes.min()), path)


def of(lattice: Lattice) -> Channel:
    """The widest channel of a lattice; `path` is [nz, ny, nx]. Raises ValueError without an active layer."""
    floor = lattice.organic_surface()
    active = lattice.mask(*ACTIVE)
    if not active.any():
        raise ValueError("this lattice has no active layer, so no channel")
    channel = widest((lattice.room.astype(bool) & active)[floor:], lattice.silver_surface() - floor)
    path = np.zeros(lattice.shape, np.bool_)
    path[floor:] = channel.path
    return Channel(channel.y, channel.x, channel.width, channel.narrowest, path)


def joins(lattice: Lattice) -> bool:
    """Whether room sites (6 neighbours) join the silver electrode with the residue's top, or with the
    organic where there is no residue."""
    floor = lattice.organic_surface()
    room = (lattice.room > 0) & lattice.mask(*ACTIVE)
    if floor >= lattice.shape[0] - 1 or not room.any():
        return False
    foot = np.zeros(lattice.shape, np.bool_)
    below = lattice.residue[floor - 1] if lattice.residue.any() else lattice.region[floor - 1] == Region.ORGANIC
    foot[floor] = below
    reached = np.zeros(lattice.shape, np.bool_)
    _flood(room, foot, reached)
    silver = lattice.region == Region.ELECTRODE
    return bool((reached[:-1] & silver[1:]).any() or (reached & np.roll(silver, 1, 1)).any()
                or (reached & np.roll(silver, -1, 1)).any())  # fmt: skip
