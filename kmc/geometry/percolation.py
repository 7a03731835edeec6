"""Ways for silver through the active layer: does one exist, how wide is it, where does it end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kmc.core.jit_cache import njit
from kmc.geometry.lattice import ACTIVE, OPEN, Lattice


@dataclass(frozen=True)
class Channel:
    """The widest way of room sites from the silver to the organic layer, and of such ways the shortest.

    y, x: its foot (site at the organic's surface); width: side of the square that passes all along it
    (sites; 0 if no way exists); steps: from plane to plane and sideways; path: bool, the sites it sweeps.
    """

    y: int
    x: int
    width: int
    steps: int
    path: np.ndarray

    @property
    def open(self) -> bool:
        """Whether room sites join the silver with the organic layer."""
        return self.width > 0


@njit
def _anchors(room, side):
    """First corners of the side x side squares of room in each plane: bool [z, y, x], periodic."""
    nz, ny, nx = room.shape
    out = np.zeros(room.shape, np.bool_)
    run = np.zeros((ny, nx), np.bool_)
    for z in range(nz):
        for y in range(ny):
            length = 0
            for step in range(nx + side - 1):
                length = length + 1 if room[z, y, step % nx] else 0
                if step >= side - 1:
                    run[y, step - side + 1] = length >= side
        for x in range(nx):
            length = 0
            for step in range(ny + side - 1):
                length = length + 1 if run[step % ny, x] else 0
                if step >= side - 1:
                    out[z, step - side + 1, x] = length >= side
    return out


@njit
def _walk(anchor, ceiling, side, queue, came):
    """Breadth-first way of a square from plane 0 to the silver; returns its last site, or -1.

    queue, came: int32 [N]; came holds the site before each one reached (itself at the start, -1 elsewhere).
    """
    nz, ny, nx = anchor.shape
    half = side // 2
    head = tail = 0
    for i in range(ny * nx):
        if anchor[0, i // nx, i % nx]:
            came[i] = i
            queue[tail] = i
            tail += 1
    while head < tail:
        i = queue[head]
        head += 1
        z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
        if z + 1 >= ceiling[(y + half) % ny, (x + half) % nx]:
            return i
        for way in range(6):
            a, b, c = _step(way, z, y, x, ny, nx)
            j = (a * ny + b) * nx + c
            if 0 <= a < nz and anchor[a, b, c] and came[j] < 0:
                came[j] = i
                queue[tail] = j
                tail += 1
    return -1


@njit
def _step(way, z, y, x, ny, nx):
    """One of the six neighbours of a site, up first; y and x periodic."""
    if way == 0:
        return z + 1, y, x
    if way == 1:
        return z, (y - 1) % ny, x
    if way == 2:
        return z, (y + 1) % ny, x
    if way == 3:
        return z, y, (x - 1) % nx
    if way == 4:
        return z, y, (x + 1) % nx
    return z - 1, y, x


@njit
def _trace(came, last, side, path):
    """Mark the sites that the square sweeps; returns (steps, first site)."""
    ny, nx = path.shape[1:]
    steps, i = 0, last
    while True:
        z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
        for b in range(side):
            for c in range(side):
                path[z, (y + b) % ny, (x + c) % nx] = True
        if came[i] == i:
            return steps, i
        i = came[i]
        steps += 1


def widest(room: np.ndarray, ceiling: np.ndarray) -> Channel:
    """The widest way through the active layer.

    room: uint8 or bool [z, y, x] from the organic's surface (z = 0) up; ceiling: int [y, x], first
    silver plane of each column. Where no way exists, the foot is the column with most room.
    """
    room = np.ascontiguousarray(room, dtype=np.bool_)
    came, queue = np.empty(room.size, np.int32), np.empty(room.size, np.int32)
    path = np.zeros(room.shape, np.bool_)

    def last(side: int) -> int:
        came.fill(-1)
        return _walk(_anchors(room, side), ceiling, side, queue, came)

    low, high = 0, min(room.shape[1:])
    while low < high:
        side = min(2 * low + 1, (low + high + 1) // 2)
        low, high = (side, high) if last(side) >= 0 else (low, side - 1)
    if low == 0:
        most = room.sum(axis=0)
        y, x = np.unravel_index(int(np.argmax(most)), most.shape)
        return Channel(int(y), int(x), 0, 0, path)
    steps, first = _trace(came, last(low), low, path)
    y, x = divmod(first, room.shape[2])
    return Channel((y + low // 2) % room.shape[1], (x + low // 2) % room.shape[2], low, steps, path)


def seam(room: np.ndarray, ceiling: np.ndarray, side: int) -> np.ndarray:
    """The shortest way of a square of `side` sites through `room`: bool [z, y, x], the sites it sweeps.

    The widest way where none is that wide. Arguments as for `widest`.
    """
    room = np.ascontiguousarray(room, dtype=np.bool_)
    came, queue = np.full(room.size, -1, np.int32), np.empty(room.size, np.int32)
    path = np.zeros(room.shape, np.bool_)
    last = _walk(_anchors(room, side), ceiling, side, queue, came)
    if last < 0:
        return widest(room, ceiling).path
    _trace(came, last, side, path)
    _meet(room, ceiling, last, side, path)
    return path


def _meet(room: np.ndarray, ceiling: np.ndarray, last: int, side: int, path: np.ndarray) -> None:
    """Let each column of the last square go on to the silver above it: the electrode has steps."""
    nz, ny, nx = room.shape
    z, y, x = last // (ny * nx), (last // nx) % ny, last % nx
    for column in np.ndindex(side, side):
        b, c = (y + column[0]) % ny, (x + column[1]) % nx
        for a in range(z, min(int(ceiling[b, c]), nz)):
            if not room[a, b, c]:
                break
            path[a, b, c] = True


def of(lattice: Lattice) -> Channel:
    """The widest channel of a lattice; `path` is [nz, ny, nx]. Raises ValueError without an active layer."""
    floor = lattice.organic_surface()
    active = lattice.mask(*ACTIVE)
    if not active.any():
        raise ValueError("this lattice has no active layer, so no channel")
    channel = widest(((lattice.room == OPEN) & active)[floor:], lattice.silver_surface() - floor)
    path = np.zeros(lattice.shape, np.bool_)
    path[floor:] = channel.path
    return replace(channel, path=path)
