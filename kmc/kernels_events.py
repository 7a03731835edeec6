"""What events do to State, for `kmc.kernels`: they move entities and touch those whose rates change."""

import numpy as np

from .kernels_groups import leave_group, touch
from .kernels_near import beside, decode, exchange_cell, inlined, kernel, neighbour, pair_cell, span, two_steps
from .kernels_rates import survives
from .model import PAIR_REACH
from .state import EMPTY, ION, KIND_EMITTER, KIND_ION, KIND_METAL, KIND_VACANCY, METAL


@kernel
def link_charge(state, grid, entity: int) -> None:
    """Enter a charge in the cell list of the pair term."""
    cell = pair_cell(grid, np.int64(state.entities[entity].site))
    first = state.head[cell]
    state.entities[entity].next = first
    state.entities[entity].previous = -1
    if first >= 0:
        state.entities[first].previous = entity
    state.head[cell] = entity


@kernel
def unlink_charge(state, grid, entity: int) -> None:
    """Remove a charge from the cell list."""
    before, after = state.entities[entity].previous, state.entities[entity].next
    if before >= 0:
        state.entities[before].next = after
    else:
        state.head[pair_cell(grid, np.int64(state.entities[entity].site))] = after
    if after >= 0:
        state.entities[after].previous = before


@kernel
def new_entity(state, grid, kind: int, site: int) -> int:
    """Take a free slot for an entity on a site, and touch it."""
    run = state.run[0]
    if run.free > 0:
        run.free -= 1
        entity = np.int64(state.entities[run.free].free)
    else:
        entity = run.entities
        run.entities += 1
    here = state.entities[entity]
    here.kind, here.site, here.group, here.total = kind, site, -1, 0.0
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
    kind, site = state.entities[entity].kind, np.int64(state.entities[entity].site)
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
    """Book the residence of an ion, weighted (n-1)/n: the density that *others* feel, none for a lone ion."""
    weight = state.run[0].pair_clock - state.entities[entity].stamp
    if weight > 0.0:
        x, y, z = decode(grid, np.int64(state.entities[entity].site))
        state.density[((z // 2) * (grid.ny // 2) + y // 2) * (grid.nx // 2) + x // 2] += weight
    state.entities[entity].stamp = state.run[0].pair_clock


@kernel
def touch_charges(state, grid, model, site: int, others: int) -> None:
    """Touch the charges whose pair term sees a site: `others` of them there are, anywhere."""
    if model.reach == 0 or others == 0:
        return
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x, y, z = decode(grid, site)
    reach = PAIR_REACH + (state.run[0].vacancies > 0)  # vacancies look two sites far
    x0, across_x = span(x, reach, cx)
    y0, across_y = span(y, reach, cy)
    for kz in range(max((z - reach) // 4, 0), min((z + reach) // 4 + 1, cz)):
        for ky in range(y0, y0 + across_y):
            for kx in range(x0, x0 + across_x):
                other = np.int64(state.head[(kz * cy + ky % cy) * cx + kx % cx])
                while other >= 0:
                    touch(state, other)
                    other = np.int64(state.entities[other].next)


@kernel
def touch_around(state, grid, site: int) -> None:
    """Touch all within two steps of a changed metal site: bonds of neighbours and of where they may go."""
    x, y, z = decode(grid, site)
    for dz in range(max(-2, -z), min(3, grid.nz - z)):
        for dy in range(-2 + abs(dz), 3 - abs(dz)):
            for dx in range(-2 + abs(dz) + abs(dy), 3 - abs(dz) - abs(dy)):
                j = ((z + dz) * grid.ny + (y + dy) % grid.ny) * grid.nx + (x + dx) % grid.nx
                if state.sites[j].entity >= 0:
                    touch(state, np.int64(state.sites[j].entity))
                if state.sites[j].vacancy >= 0:
                    touch(state, np.int64(state.sites[j].vacancy))


@kernel
def mark_metal(state, grid, fields, site: int, added: bool) -> None:
    """Note a change of metal, give the site a provisional potential, and bound how far potentials can shift.

    By the maximum principle a new metal site at V changes the potential nowhere by more than |phi(site) - V|;
    for a removed one the estimate uses the mean of its neighbours.
    """
    run, here = state.run[0], fields[site]
    own = run.voltage * here.unit + here.charge
    low, high, metals, unit, charge, open_unit, open_charge = 1e300, -1e300, 0, 0.0, 0.0, 0.0, 0.0
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation >= METAL:
            metals += 1
            unit += fields[j].unit
            charge += fields[j].charge
            phi = run.voltage * fields[j].unit + fields[j].charge
            low, high = min(low, phi), max(high, phi)
        else:
            open_unit += fields[j].unit
            open_charge += fields[j].charge
    if metals == 0:
        low, high = own, own
    if added:
        shift = max(abs(own - low), abs(own - high))
        if metals > 0:
            here.unit, here.charge = unit / metals, charge / metals
    else:
        if metals < 6:
            here.unit, here.charge = open_unit / (6 - metals), open_charge / (6 - metals)
        shift = max(abs(run.voltage * here.unit + here.charge - own), high - low)
    if metals >= 2:
        run.force_refresh |= 1 if added else 3
    run.shift += shift
    if run.dirty < state.dirty.size:
        state.dirty[run.dirty] = site
        run.dirty += 1
    else:
        run.force_refresh |= 4
    run.metal_events += 1


@kernel
def add_metal(state, grid, fields, site: int) -> None:
    """An atom of silver on an empty site."""
    new_entity(state, grid, KIND_METAL, site)
    mark_metal(state, grid, fields, site, True)
    touch_around(state, grid, site)


@kernel
def remove_metal(state, grid, fields, entity: int) -> None:
    """Take an atom of silver away."""
    site = np.int64(state.entities[entity].site)
    drop_entity(state, grid, entity)
    mark_metal(state, grid, fields, site, False)
    touch_around(state, grid, site)


@kernel
def add_charge(state, grid, model, kind: int, site: int) -> None:
    """A silver ion on an empty site, or a vacancy on a halide site."""
    touch_charges(state, grid, model, site, state.run[0].ions + state.run[0].vacancies)
    new_entity(state, grid, kind, site)


@kernel
def remove_charge(state, grid, model, entity: int) -> None:
    """Take an ion or a vacancy away."""
    site = np.int64(state.entities[entity].site)
    drop_entity(state, grid, entity)
    touch_charges(state, grid, model, site, state.run[0].ions + state.run[0].vacancies)


@kernel
def move_charge(state, grid, model, entity: int, target: int) -> None:
    """Move an ion or a vacancy whose site has been vacated and whose target taken; touch what feels it."""
    site = np.int64(state.entities[entity].site)
    others = state.run[0].ions + state.run[0].vacancies - 1
    touch(state, entity)
    if model.reach == 0:
        state.entities[entity].site = target
        return
    same = pair_cell(grid, site) == pair_cell(grid, target)
    if not same:
        unlink_charge(state, grid, entity)
    state.entities[entity].site = target
    if not same:
        link_charge(state, grid, entity)
    if not same or state.run[0].vacancies > 0:
        touch_charges(state, grid, model, site, others)
    touch_charges(state, grid, model, target, others)


@inlined
def hop_ion(state, grid, model, entity: int, channel: int) -> bool:
    """Move an ion to an empty neighbour site; False if it is not empty."""
    site = np.int64(state.entities[entity].site)
    x, y, z = decode(grid, site)
    target = beside(grid, site, x, y, z, channel)
    here, there = state.sites[site], state.sites[target]
    if there.cation != EMPTY:
        return False
    here.entity, here.cation = -1, EMPTY
    there.entity, there.cation = entity, ION
    state.run[0].hops += 1
    if model.uniform:
        state.entities[entity].site = target
    else:
        settle_density(state, grid, entity)
        move_charge(state, grid, model, entity, target)
    return True


@kernel
def apply(state, grid, fields, model, entity: int, channel: int, rest: float) -> bool:
    """Carry out an event that is not an ion's hop; False if exclusion or repulsion forbids it.

    `rest` is uniform below the rate of the event.
    """
    kind = state.entities[entity].kind
    if kind == KIND_ION:
        leave_ion(state, grid, fields, model, entity, channel)
        return True
    if kind == KIND_VACANCY:
        return apply_vacancy(state, grid, model, entity, channel)
    site = np.int64(state.entities[entity].site)
    if channel < 6:
        target = neighbour(grid, site, channel)
        if state.sites[target].cation != EMPTY:
            return False
    else:
        target = site if kind == KIND_METAL else exchange_cell(state, grid, model, site)
        if target < 0 or (kind == KIND_EMITTER and state.sites[target].vacancy >= 0):
            return False
    hop = kind == KIND_METAL and channel < 6
    if not hop and not survives(state, grid, fields, model, entity, channel, target, rest):
        return False
    if kind == KIND_METAL:
        remove_metal(state, grid, fields, entity)
        if hop:
            add_metal(state, grid, fields, target)
            return True
    elif channel == 6:
        state.run[0].exchanged += 1
        add_charge(state, grid, model, KIND_VACANCY, target)
        return True
    else:
        state.run[0].reservoir -= 1
        state.run[0].emitted += 1
    add_charge(state, grid, model, KIND_ION, target)
    return True


@kernel
def leave_ion(state, grid, fields, model, entity: int, channel: int) -> None:
    """Reduction of an ion at its own site, or its return into the silver electrode."""
    site = np.int64(state.entities[entity].site)
    remove_charge(state, grid, model, entity)
    if channel == 6:
        add_metal(state, grid, fields, site)
    else:
        state.run[0].reservoir += 1
        state.run[0].returned += 1


@kernel
def apply_vacancy(state, grid, model, entity: int, channel: int) -> bool:
    """A vacancy hops by one cell, or is filled at the silver electrode."""
    if channel == 6:
        remove_charge(state, grid, model, entity)
        state.run[0].exchanged -= 1
        return True
    site = np.int64(state.entities[entity].site)
    target = two_steps(grid, site, channel)
    if state.sites[target].vacancy >= 0:
        return False
    state.sites[site].vacancy = -1
    state.sites[target].vacancy = entity
    move_charge(state, grid, model, entity, target)
    return True
