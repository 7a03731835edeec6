"""Entities come, go and are touched: the bookkeeping of State that every event shares."""

import numpy as np

from kmc.ions.pair_energies import (
    across,
    add_pair,
    felt,
    link_charge,
    others_near,
    region_of,
    ring,
    span,
    unlink_charge,
)
from kmc.system.composition_rejection import leave_group, touch
from kmc.system.neighbours import decode, index, inlined, kernel, outdate, place_of, put, small_cell
from kmc.system.parameter_tables import PAIR_REACH
from kmc.system.state import CHANNELS, EMPTY, ION, KIND_ION, KIND_METAL, KIND_VACANCY, METAL, NO_WAIT


@kernel
def new_entity(state, grid, kind: int, site: int) -> int:
    """Take a free slot for an entity on a site, and touch it."""
    run = state.run[0]
    if run.free > 0:
        run.free -= 1
        entity = index(state.entities[run.free].free)
    else:
        entity = run.entities
        run.entities += 1
    here = state.entities[entity]
    here.kind, here.group, here.total, here.returns, here.ahead = kind, -1, 0.0, 0.0, NO_WAIT
    put(state, grid, entity, site)
    if kind == KIND_VACANCY:
        state.sites[site].vacancy = entity
        run.vacancies += 1
        link_charge(state, grid, entity)
    else:
        state.sites[site].entity = entity
    if kind == KIND_ION:
        state.sites[site].cation = ION
        run.ions += 1
        here.stamp = run.pair_clock
        link_charge(state, grid, entity)
    elif kind == KIND_METAL:
        state.sites[site].cation = METAL
        run.metal += 1
    touch(state, entity)
    return entity


@kernel
def drop_entity(state, grid, entity: int) -> None:
    """Free the slot of an entity and empty its site."""
    run = state.run[0]
    kind, site = state.entities[entity].kind, index(state.entities[entity].site)
    leave_group(state, entity)
    if kind == KIND_VACANCY:
        unlink_charge(state, grid, entity)
        state.sites[site].vacancy = -1
        run.vacancies -= 1
    else:
        state.sites[site].entity = -1
        state.sites[site].cation = EMPTY
    if kind == KIND_ION:
        settle_density(state, grid, entity)
        unlink_charge(state, grid, entity)
        run.ions -= 1
    elif kind == KIND_METAL:
        run.metal -= 1
    state.entities[entity].kind = 0
    state.entities[entity].site = -1
    state.entities[run.free].free = entity
    run.free += 1


@kernel
def settle_density(state, grid, entity: int) -> None:
    """Add the residence time of an ion, weighted (n-1)/n: the density that *others* feel, zero for a lone ion.

    The frozen-environment walk of a waiting ion has already added its residence times.
    """
    weight = state.run[0].pair_clock - state.entities[entity].stamp
    if weight > 0.0 and state.entities[entity].ahead == NO_WAIT:
        x, y, z = place_of(state, entity)
        state.density[small_cell(grid, x, y, z)] += weight
    state.entities[entity].stamp = state.run[0].pair_clock


@inlined
def step_of(kind: int) -> int:
    """Sites that a charge moves by."""
    return 2 if kind == KIND_VACANCY else 1


@kernel
def follow_pairs(state, grid, model, entity: int, site: int, target: int) -> None:
    """Bring `pairs` up to date with a charge that went from `site` to `target`, and touch whom it concerns.

    site -1: it came; target -1: it went, and there is no `entity`. The lists know already where it is.
    """
    run = state.run[0]
    if model.reach == 0:
        return
    came, went = target >= 0, site >= 0
    step = 1
    if came:
        step = step_of(state.entities[entity].kind)
        for k in range(CHANNELS):
            state.pairs[entity, k] = 0.0
    if run.ions + run.vacancies == came:
        return
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x, y, z = decode(grid, site if went else target)
    xt, yt, zt = decode(grid, target if came else site)
    before, after = state.sites[site if went else target].region, state.sites[target if came else site].region
    near = others_near(state, grid, x, y, z, came) or others_near(state, grid, xt, yt, zt, came)
    if run.vacancies == 0 and not near:
        return
    reach = PAIR_REACH + (run.vacancies > 0)  # vacancies look two sites far
    x0, across_x = span(x, reach + across(xt - x, grid.nx), cx)
    y0, across_y = span(y, reach + across(yt - y, grid.ny), cy)
    high = reach + abs(zt - z)
    for kz in range(max((z - high) // 4, 0), min((z + high) // 4 + 1, cz)):
        for ky in range(y0, y0 + across_y):
            row_of_cells = (kz * cy + ring(ky, cy)) * cx
            for kx in range(x0, x0 + across_x):
                other = np.int64(state.head[row_of_cells + ring(kx, cx)])
                while other >= 0:
                    if other != entity:
                        xo, yo, zo = place_of(state, other)
                        row, its = state.pairs[other], step_of(state.entities[other].kind)
                        if went and felt(grid, its, x - xo, y - yo, z - zo):
                            add_pair(model, grid, row, its, before, (x - xo, y - yo, z - zo), -1.0)
                            touch(state, other)
                        if came and felt(grid, its, xt - xo, yt - yo, zt - zo):
                            add_pair(model, grid, row, its, after, (xt - xo, yt - yo, zt - zo), 1.0)
                            touch(state, other)
                        if came and felt(grid, step, xo - xt, yo - yt, zo - zt):
                            own, region = state.pairs[entity], region_of(state, other)
                            add_pair(model, grid, own, step, region, (xo - xt, yo - yt, zo - zt), 1.0)
                    other = np.int64(state.entities[other].next)


@kernel
def touch_around(state, grid, site: int) -> None:
    """Touch all within two steps of a changed metal site: bonds of neighbours and of where they may go."""
    x, y, z = decode(grid, site)
    outdate(state, grid, (z - 2, z + 3, y - 2, y + 3, x - 2, x + 3))
    for dz in range(max(-2, -z), min(3, grid.nz - z)):
        for dy in range(-2 + abs(dz), 3 - abs(dz)):
            for dx in range(-2 + abs(dz) + abs(dy), 3 - abs(dz) - abs(dy)):
                j = ((z + dz) * grid.ny + (y + dy) % grid.ny) * grid.nx + (x + dx) % grid.nx
                if state.sites[j].entity >= 0:
                    touch(state, index(state.sites[j].entity))
                if state.sites[j].vacancy >= 0:
                    touch(state, index(state.sites[j].vacancy))
