"""Compiled passes of the heat: flow between cells, and which of them a filament's bonds join."""

import numpy as np

from .cache import njit
from .state import METAL


@njit
def _cell(site: int, factor: int, ny: int, nx: int) -> int:
    """Heat cell of a site."""
    z, y, x = site // (ny * nx), site // nx % ny, site % nx
    return ((z // factor) * (ny // factor) + y // factor) * (nx // factor) + x // factor


@njit
def _node(cell: int, place, nodes, count: int) -> tuple[int, int]:
    """Number of a cell's node, and how many there are now."""
    if place[cell] < 0:
        place[cell] = count
        nodes[count] = cell
        count += 1
    return place[cell], count


@njit
def cell_bonds(sites, film, mark, heated, factor: int, nz: int, ny: int, nx: int, place, nodes, pairs, weight
               ) -> tuple[int, int]:
    """Bonds of the silver on sites `film` that join two heat cells; returns (nodes, pairs).

    place: int32 [cells], -1 at entry; nodes: int64, cells in order of appearance, those of `heated` first;
    pairs: int64 [n, 2] of nodes; weight: how many bonds, by pair as met (a pair may come again). mark: uint8
    [sites], 1 on the film's own sites: a bond of two of them is met from both and counts half each time.
    """
    count, links = 0, 0
    for site in heated:
        _, count = _node(_cell(site, factor, ny, nx), place, nodes, count)
    plane = ny * nx
    for k in range(film.size):
        i = np.int64(film[k])
        x, y = i % nx, i // nx % ny
        own = _cell(i, factor, ny, nx)
        around = (i - 1 if x > 0 else i + nx - 1, i + 1 if x < nx - 1 else i - nx + 1,
                  i - nx if y > 0 else i + plane - nx, i + nx if y < ny - 1 else i - plane + nx,
                  i - plane, i + plane)  # fmt: skip
        for d in range(6):
            j = around[d]
            if j < 0 or j >= nz * plane or sites[j].cation < METAL:
                continue
            other = _cell(j, factor, ny, nx)
            if other == own:
                continue
            a, count = _node(own, place, nodes, count)
            b, count = _node(other, place, nodes, count)
            pairs[links, 0], pairs[links, 1] = a, b
            weight[links] = 0.5 if mark[j] else 1.0
            links += 1
    return count, links


@njit
def outflow(u, gz, gy, gx, out) -> None:
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
def substitute(y, factor, pivot) -> None:
    """Solve the tridiagonal systems along z of all modes in place, from their pivots and factors."""
    for k in range(1, y.shape[0]):
        y[k] -= factor[k - 1] * y[k - 1]
    y /= pivot
    for k in range(y.shape[0] - 2, -1, -1):
        y[k] -= factor[k] * y[k + 1]


@njit
def superpose(columns, slots, power, rise) -> None:
    """rise [cells] = sum of columns[slot] times its power."""
    rise[:] = 0.0
    for k in range(slots.size):
        column, watts = columns[slots[k]], power[k]
        for cell in range(rise.size):
            rise[cell] += watts * column[cell]


@njit
def spread(rise, stage: float, factor: int, fields, nz: int, ny: int, nx: int) -> None:
    """Temperature of every site from the rise of its heat cell, K."""
    for z in range(nz):
        for y in range(ny):
            row = ((z // factor) * (ny // factor) + y // factor) * (nx // factor)
            for x in range(nx):
                fields[(z * ny + y) * nx + x].temperature = stage + rise[row + x // factor]
