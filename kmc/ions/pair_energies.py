"""Charges that feel each other, for `kmc.kinetics.advance`: lists by cells of four sites, and pair energies.

Energies are multiples of a power of two, so that sums have no rounding to pile up (see `model.pair_table`).
"""

import numpy as np

from kmc.system.neighbours import decode, index, inlined, kernel, place_of
from kmc.system.parameter_tables import PAIR_REACH
from kmc.system.state import CHANNELS, KIND_ION, KIND_VACANCY, NEAR_MOST, OWN


@inlined
def pair_cell(grid, x: int, y: int, z: int) -> int:
    """Cell of PAIR_REACH sites a side that holds a site."""
    return ((z // 4) * (grid.ny // 4) + y // 4) * (grid.nx // 4) + x // 4


@inlined
def span(centre: int, reach: int, cells: int) -> tuple[int, int]:
    """First cell within `reach` sites of a periodic coordinate, and how many cells there are, none twice."""
    first = (centre - reach) // 4
    return first, min((centre + reach) // 4 - first + 1, cells)


@inlined
def ring(cell: int, cells: int) -> int:
    """A periodic index of a cell at most a few beyond the edge: a comparison takes less than a division."""
    while cell < 0:
        cell += cells
    while cell >= cells:
        cell -= cells
    return cell


@inlined
def across(distance: int, length: int) -> int:
    """Shortest distance on a ring."""
    distance = abs(distance)
    return min(distance, length - distance)


@kernel
def link_charge(state, grid, entity: int) -> None:
    """Enter a charge in the cell list of the pair term."""
    x, y, z = place_of(state, entity)
    cell = pair_cell(grid, x, y, z)
    first = state.head[cell]
    state.entities[entity].next = first
    state.entities[entity].previous = -1
    if first >= 0:
        state.entities[first].previous = entity
    state.head[cell] = entity
    count_near(state, grid, x, y, z, 1)


@kernel
def unlink_charge(state, grid, entity: int) -> None:
    """Remove a charge from the cell list."""
    before, after = state.entities[entity].previous, state.entities[entity].next
    x, y, z = place_of(state, entity)
    if before >= 0:
        state.entities[before].next = after
    else:
        state.head[pair_cell(grid, x, y, z)] = after
    if after >= 0:
        state.entities[after].previous = before
    count_near(state, grid, x, y, z, -1)


@kernel
def link_all(state, grid) -> None:
    """Make the lists anew: a run without pair energies does not keep them up."""
    for cell in range(state.head.size):
        state.head[cell], state.crowd[cell] = -1, 0
    for entity in range(state.run[0].entities):
        kind = state.entities[entity].kind
        if kind == KIND_ION or kind == KIND_VACANCY:
            link_charge(state, grid, entity)


@kernel
def count_near(state, grid, x: int, y: int, z: int, change: int) -> None:
    """Let a charge that came (1) or went (-1) be counted in its cell and those around, none twice."""
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    for kz in range(max(z // 4 - 1, 0), min(z // 4 + 2, cz)):
        for b in range(min(3, cy)):
            row_of_cells = (kz * cy + ring(y // 4 - 1 + b, cy)) * cx
            for a in range(min(3, cx)):
                state.crowd[index(row_of_cells + ring(x // 4 - 1 + a, cx))] += change


@inlined
def others_near(state, grid, x: int, y: int, z: int, own: int) -> bool:
    """Whether the cell of a site and those around it hold more charges than `own`.

    If not, who is there, or moves there by one site, feels no other, nor is it felt by one that so moves.
    """
    return state.crowd[pair_cell(grid, x, y, z)] > own


@kernel
def crowded(state, grid, x: int, y: int, z: int, reach: int) -> bool:
    """Whether a charge within `reach` sites of a site could feel another than itself."""
    cx, cy = grid.nx // 4, grid.ny // 4
    x0, across_x = span(x, reach, cx)
    y0, across_y = span(y, reach, cy)
    for kz in range(max(z - reach, 0) // 4, min((z + reach) // 4 + 1, grid.nz // 4)):
        for ky in range(y0, y0 + across_y):
            row_of_cells = (kz * cy + ring(ky, cy)) * cx
            for kx in range(x0, x0 + across_x):
                if state.crowd[index(row_of_cells + ring(kx, cx))] > 0:
                    return True
    return False


@kernel
def gather(state, grid, model, x: int, y: int, z: int) -> int:
    """Write down where the charges in the cell of a place and those around it are; returns how many.

    -1 where no lists are kept.
    """
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    count = 0
    if model.reach == 0:
        return -1
    if not others_near(state, grid, x, y, z, 0):
        return count
    for kz in range(max(z // 4 - 1, 0), min(z // 4 + 2, cz)):
        for b in range(min(3, cy)):
            row_of_cells = (kz * cy + ring(y // 4 - 1 + b, cy)) * cx
            for a in range(min(3, cx)):
                other = np.int64(state.head[row_of_cells + ring(x // 4 - 1 + a, cx)])
                while other >= 0 and count < NEAR_MOST:
                    state.near[count, 0], state.near[count, 1], state.near[count, 2] = place_of(state, other)
                    state.near[count, 3] = region_of(state, other)
                    count += 1
                    other = np.int64(state.entities[other].next)
    return count


@inlined
def felt(grid, step: int, dx: int, dy: int, dz: int) -> bool:
    """Whether a charge feels one that is (dx, dy, dz) away where it is, or `step` sites nearer."""
    a, b, c = across(dx, grid.nx), across(dy, grid.ny), abs(dz)
    squared, nearer = a * a + b * b + c * c, max(a, b, c)
    return squared + min(step * (step - 2 * nearer), 0) < PAIR_REACH * PAIR_REACH


@inlined
def feels_any(state, grid, near: int, x: int, y: int, z: int) -> bool:
    """Whether a charge at a place, or moved by one site, would feel one of those gathered; -1: no lists."""
    for k in range(near):
        other = state.near[k]
        if felt(grid, 1, other[0] - x, other[1] - y, other[2] - z):
            return True
    return near < 0


@inlined
def pair_term(model, region: int, squared: int) -> float:
    """Repulsion by a charge in a region at a squared distance in sites, eV over `screen` where it is felt."""
    return model.pair[region, squared] if squared < model.reach else 0.0


@inlined
def region_of(state, entity: int) -> np.int64:
    """Region of the site of an entity."""
    return np.int64(state.sites[index(state.entities[entity].site)].region)


@kernel
def pair_energy(state, grid, model, site: int) -> float:
    """Short-range energy of a unit charge at a site with all charges elsewhere, eV; nil without pair term."""
    energy = 0.0
    if model.reach == 0:
        return energy
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x, y, z = decode(grid, site)
    if not others_near(state, grid, x, y, z, 0):
        return energy
    x0, across_x = span(x, PAIR_REACH - 1, cx)
    y0, across_y = span(y, PAIR_REACH - 1, cy)
    for kz in range(max((z - PAIR_REACH + 1) // 4, 0), min((z + PAIR_REACH - 1) // 4 + 1, cz)):
        for ky in range(y0, y0 + across_y):
            row_of_cells = (kz * cy + ring(ky, cy)) * cx
            for kx in range(x0, x0 + across_x):
                other = np.int64(state.head[row_of_cells + ring(kx, cx)])
                while other >= 0:
                    xo, yo, zo = place_of(state, other)
                    squared = across(xo - x, grid.nx) ** 2 + across(yo - y, grid.ny) ** 2 + (zo - z) ** 2
                    energy += pair_term(model, region_of(state, other), squared)
                    other = np.int64(state.entities[other].next)
    return energy * model.screen[state.sites[site].region]


@inlined
def add_pair(model, grid, row, step: int, region: int, offset, sign: float) -> None:
    """Add to a charge's row of `pairs` what one in `region` does, `offset` (dx, dy, dz) away; sign -1 takes it off.

    A step of the charge towards the other brings it nearer by `step` sites (where the lattice is open in z,
    what lies beyond is never used).
    """
    dx, dy, dz = offset
    xx, yy, zz = across(dx, grid.nx) ** 2, across(dy, grid.ny) ** 2, dz * dz
    row[0] += sign * pair_term(model, region, across(dx + step, grid.nx) ** 2 + yy + zz)
    row[1] += sign * pair_term(model, region, across(dx - step, grid.nx) ** 2 + yy + zz)
    row[2] += sign * pair_term(model, region, xx + across(dy + step, grid.ny) ** 2 + zz)
    row[3] += sign * pair_term(model, region, xx + across(dy - step, grid.ny) ** 2 + zz)
    row[4] += sign * pair_term(model, region, xx + yy + (dz + step) ** 2)
    row[5] += sign * pair_term(model, region, xx + yy + (dz - step) ** 2)
    row[OWN] += sign * pair_term(model, region, xx + yy + zz)


@kernel
def sum_pairs(state, grid, model, entity: int, step: int) -> None:
    """A row of `pairs` from all charges around, for a charge that is new or stands somewhere on trial."""
    row = state.pairs[entity]
    for k in range(CHANNELS):
        row[k] = 0.0
    if model.reach == 0 or state.run[0].ions + state.run[0].vacancies == 0:
        return
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x, y, z = place_of(state, entity)
    reach = PAIR_REACH - 1 + step
    own = state.entities[entity].kind == KIND_ION  # else it stands in for one
    if step == 1 and not others_near(state, grid, x, y, z, own):
        return
    x0, across_x = span(x, reach, cx)
    y0, across_y = span(y, reach, cy)
    for kz in range(max((z - reach) // 4, 0), min((z + reach) // 4 + 1, cz)):
        for ky in range(y0, y0 + across_y):
            row_of_cells = (kz * cy + ring(ky, cy)) * cx
            for kx in range(x0, x0 + across_x):
                other = np.int64(state.head[row_of_cells + ring(kx, cx)])
                while other >= 0:
                    if other != entity:
                        xo, yo, zo = place_of(state, other)
                        region = region_of(state, other)
                        add_pair(model, grid, row, step, region, (xo - x, yo - y, zo - z), 1.0)
                    other = np.int64(state.entities[other].next)
