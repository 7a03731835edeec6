"""Compiled passes of the heat: flow between cells, and which nodes a filament's bonds join."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.geometry.lattice import Region
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, METAL
from kmc.transport.minimum_cut import ABOVE, BELOW

ORGANIC = int(Region.ORGANIC)
SIDES = 3  # of a closed filament: BELOW, BETWEEN and ABOVE of where it is narrowest


class CellGrid(NamedTuple):
    """Heat cells of `factor` sites along each axis of a lattice of nz, ny, nx sites; organic: whether the
    silver of an organic under a film is a column of planes."""

    organic: bool
    factor: int
    nz: int
    ny: int
    nx: int


@njit
def node_of(site: int, sites, side, grid) -> int:
    """Node of a site: its heat cell on its side; a plane of the column; one of the two electrodes.

    side: uint8 [sites], of the film's silver, BELOW to ABOVE.
    """
    factor, ny, nx = grid.factor, grid.ny, grid.nx
    rows, wide, planes = ny // factor, nx // factor, grid.nz // factor
    cells = planes * rows * wide
    z, y, x = site // (ny * nx), site // nx % ny, site % nx
    kind = sites[site].cation
    if kind == ELECTRODE_METAL:
        return SIDES * cells + planes
    if kind == COUNTER_METAL:
        return SIDES * cells + planes + 1
    if grid.organic and sites[site].region == ORGANIC:
        return SIDES * cells + z // factor
    return int(side[site]) * cells + ((z // factor) * rows + y // factor) * wide + x // factor


@njit
def nodes_of(chosen, sites, side, grid, out) -> None:
    """Nodes of the chosen sites."""
    for k in range(chosen.size):
        out[k] = node_of(chosen[k], sites, side, grid)


@njit
def bonds_of(sites, film, node, side, grid, atoms, pairs, weight) -> int:
    """Bonds of the silver on sites `film` that join two nodes; returns how many pairs were met.

    atoms: int64 [nodes], zeros, to which the film's atoms are added. pairs: int64 [n, 2] of nodes; weight:
    how many bonds, by pair as met (a pair may come again; a bond of two atoms of the film is met from both
    and counts half each time). node: int32 [sites], scratch for that of each of them, -1 before and after.
    side: uint8 [sites], that of silver in the film; bonds from side to side are those of the narrowest
    places, and no part. Along z a bond spans the way between the middles of what the two nodes have of
    silver, else that of two cells, and half of it to an electrode, or to a plane of the organic that the cell
    reaches into.
    """
    links = 0
    factor, nz, ny, nx = grid.factor, grid.nz, grid.ny, grid.nx
    plane = ny * nx
    planes = nz // factor
    cells = SIDES * planes * (ny // factor) * (nx // factor)
    low, high = np.empty(atoms.size, np.int32), np.empty(atoms.size, np.int32)
    for k in range(film.size):
        own, z = node_of(np.int64(film[k]), sites, side, grid), film[k] // plane
        node[film[k]] = own
        if atoms[own] == 0:
            low[own], high[own] = z, z
        atoms[own] += 1
        low[own], high[own] = min(low[own], z), max(high[own], z)
    for k in range(film.size):
        i = np.int64(film[k])
        x, y = i % nx, i // nx % ny
        own = node[i]
        deep = high[own] - low[own] + 1
        around = (
            i - 1 if x > 0 else i + nx - 1,
            i + 1 if x < nx - 1 else i - nx + 1,
            i - nx if y > 0 else i + plane - nx,
            i + nx if y < ny - 1 else i - plane + nx,
            i - plane,
            i + plane,
        )
        for d in range(6):
            j = around[d]
            if j < 0 or j >= nz * plane or node[j] == own or sites[j].cation < METAL:
                continue
            other = np.int64(node[j])
            if other < 0:
                other = node_of(j, sites, side, grid)
                if other == own or other < cells:  # what only lies on the organic leads nothing
                    continue
            beyond = np.int64(side[j]) if other < cells else ABOVE if other == cells + planes else BELOW
            if beyond != side[i]:
                continue
            pairs[links, 0], pairs[links, 1] = own, other
            if other < cells:
                span = (deep + high[other] - low[other] + 1) / 2 if d >= 4 else factor
                weight[links] = 0.5 * factor / span
            elif other >= cells + planes:
                weight[links] = 2.0 * factor / (deep if d >= 4 else factor)
            else:
                near = j // plane // factor == i // plane // factor
                weight[links] = 2.0 if near else 2.0 * factor / (deep + factor)
            links += 1
    for i in film:
        node[i] = -1
    return links


@njit
def node_means(places, field, first, cells, share, out) -> None:
    """A field of cells at each place: of a cell itself, else the mean over its shares, from first[k] on."""
    for k in range(places.size):
        place = places[k]
        if place < field.size:
            out[k] = field[place]
            continue
        out[k] = 0.0
        for m in range(first[place - field.size], first[place - field.size + 1]):
            out[k] += share[m] * field[cells[m]]


@njit
def heat_outflow(u, gz, gy, gx, out) -> None:
    """Heat leaving each cell [z, y, x] at temperatures `u`, W; beyond the last cells lie cells held at zero.

    gz, gy, gx: conductance of the faces along each axis, W/K, of the mesh with its held shell.
    """
    nz, ny, nx = u.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                here = u[z, y, x]
                below = u[z - 1, y, x] if z > 0 else 0.0
                above = u[z + 1, y, x] if z < nz - 1 else 0.0
                flow = gz[z, y + 1, x + 1] * (here - below) + gz[z + 1, y + 1, x + 1] * (here - above)
                below = u[z, y - 1, x] if y > 0 else 0.0
                above = u[z, y + 1, x] if y < ny - 1 else 0.0
                flow += gy[z + 1, y, x + 1] * (here - below) + gy[z + 1, y + 1, x + 1] * (here - above)
                below = u[z, y, x - 1] if x > 0 else 0.0
                above = u[z, y, x + 1] if x < nx - 1 else 0.0
                flow += gx[z + 1, y + 1, x] * (here - below) + gx[z + 1, y + 1, x + 1] * (here - above)
                out[z, y, x] = flow


@njit
def superpose(columns, slots, power, rise) -> None:
    """rise [cells] = sum of columns[slot] times its power."""
    rise[:] = 0.0
    for k in range(slots.size):
        column, watts = columns[slots[k]], power[k]
        for cell in range(rise.size):
            rise[cell] += watts * column[cell]


@njit
def set_temperatures(rise, stage: float, fields, grid) -> None:
    """Temperature of every site from the rise of its heat cell, K."""
    factor, ny, nx = grid.factor, grid.ny, grid.nx
    for z in range(grid.nz):
        for y in range(ny):
            row = ((z // factor) * (ny // factor) + y // factor) * (nx // factor)
            for x in range(nx):
                fields[(z * ny + y) * nx + x].temperature = stage + rise[row + x // factor]
