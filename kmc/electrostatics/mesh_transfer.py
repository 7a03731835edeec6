"""Compiled passes between the coarse field mesh and the lattice sites: coarsen, prolong, lay."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.system.state import METAL


class Transfer(NamedTuple):
    """How the sites and the mesh lie on each other.

    factor: sites along an edge of a cell; shape: (nz, ny, nx) of the lattice; start [nz/f]: first plane of a cell
    that is above the sheet of carriers, or all below it (before it metal alone counts); sheet: uint8
    [nz/f, ny/f, nx/f]; skipped: plane whose atoms do not hold their cell; rough: plane of cells from which on an
    electrode holds only those that are closed.
    """

    factor: int
    shape: tuple[int, int, int]
    start: np.ndarray
    sheet: np.ndarray
    skipped: int
    rough: int


@njit
def coarsen(sites, fields, mesh, fixed, unit, share) -> None:
    """Mark the mesh cells that hold metal or a sheet of carriers, with the mean unit potential there.

    fixed: uint8 [nz/f, ny/f, nx/f]; unit: float64, same shape, written where fixed; share: float64, same shape,
    of a cell's charge on each of its open sites, over their shorter edge.
    """
    factor, start, sheet = mesh.factor, mesh.start, mesh.sheet
    skipped, rough = mesh.skipped, mesh.rough
    nz, ny, nx = mesh.shape
    cz, cy, cx = fixed.shape
    for kz in range(cz):
        count, total = np.zeros((cy, cx), np.int64), np.zeros((cy, cx))
        closed, hold = np.zeros((cy, cx), np.int64), np.zeros((cy, cx), np.int64)
        for z in range(kz * factor, min(kz * factor + factor, nz)):
            for y in range(ny):
                ky, row = y // factor, (z * ny + y) * nx
                for kx in range(cx):
                    for i in range(row + kx * factor, row + min(kx * factor + factor, nx)):
                        metal = sites[i].cation >= METAL
                        if metal or z < start[kz] or sites[i].held:
                            closed[ky, kx] += 1
                        if metal and (z != skipped or sites[i].cation > METAL):
                            count[ky, kx] += 1
                            total[ky, kx] += fields[i].unit
                            hold[ky, kx] += kz < rough or sites[i].cation == METAL
        for ky in range(cy):
            for kx in range(cx):
                whole = count[ky, kx] > 0 and closed[ky, kx] == factor**3
                fixed[kz, ky, kx] = hold[ky, kx] > 0 or whole or sheet[kz, ky, kx] > 0
                share[kz, ky, kx] = factor / max(factor**3 - closed[ky, kx], 1)
                if fixed[kz, ky, kx]:
                    unit[kz, ky, kx] = total[ky, kx] / max(count[ky, kx], 1)


@njit
def _weight(i: int, factor: int, count: int) -> tuple[int, int, float]:
    """Cells below and above a site's middle along a periodic axis, and the weight of the upper one."""
    place = (i + 0.5) / factor - 0.5
    low = int(np.floor(place))
    return low % count, (low + 1) % count, place - low


@njit
def prolong(sites, fields, mesh, planes, unit, space_potential, with_charge: bool) -> None:
    """Trilinear values of the mesh at all sites whose potential is not given.

    planes: (below, above, weight) [nz], of each plane of sites the cells on its two sides, and how much of the
    upper one it has.
    """
    factor, (nz, ny, nx), (below, above, weight) = mesh.factor, mesh.shape, planes
    cy, cx = unit.shape[1:]
    place, part = np.empty((nx, 2), np.int64), np.empty(nx)
    for x in range(nx):
        place[x, 0], place[x, 1], part[x] = _weight(x, factor, cx)
    first, second = np.empty(cx), np.empty(cx)
    for z in range(nz):
        z0, z1, wz = below[z], above[z], weight[z]
        for y in range(ny):
            y0, y1, wy = _weight(y, factor, cy)
            a, b, c, d = (1 - wz) * (1 - wy), (1 - wz) * wy, wz * (1 - wy), wz * wy
            for x in range(cx):  # one row of cells first: its sites need only two of them each
                first[x] = a * unit[z0, y0, x] + b * unit[z0, y1, x]
                first[x] += c * unit[z1, y0, x] + d * unit[z1, y1, x]
                second[x] = a * space_potential[z0, y0, x] + b * space_potential[z0, y1, x]
                second[x] += c * space_potential[z1, y0, x] + d * space_potential[z1, y1, x]
            for x in range(nx):
                i = (z * ny + y) * nx + x
                if sites[i].cation >= METAL or sites[i].held:
                    continue
                low, high, w = place[x, 0], place[x, 1], part[x]
                fields[i].unit = (1 - w) * first[low] + w * first[high]
                if with_charge:
                    fields[i].space_potential = (1 - w) * second[low] + w * second[high]


@njit
def lay(sites, fields, mesh, source, share) -> None:
    """The charge of each cell on its open sites, all alike; below the first plane of a cell none."""
    factor, start, (nz, ny, nx) = mesh.factor, mesh.start, mesh.shape
    for z in range(nz):
        kz = z // factor
        for y in range(ny):
            ky, i = y // factor, (z * ny + y) * nx
            for x in range(nx):
                open_ = z >= start[kz] and sites[i + x].cation < METAL
                charge = source[kz, ky, x // factor] * share[kz, ky, x // factor] if open_ else 0.0
                fields[i + x].source = charge
