"""The kinetic Monte Carlo kernel: select, apply, refresh. The only code that writes State.

Selection is composition-rejection over entities (Slepoy, Thompson & Plimpton, J. Chem. Phys. 128, 205101
(2008)): entities whose total rate has the same binary exponent share a group with one bound. An entity's total
counts its hops whether or not the target is occupied; a hop into an occupied site is a null event. The
statistics stay exact, integer counts replace sums (so nothing drifts), and exclusion needs no refresh.
"""

import math

from .cache import njit
from .kernels_rates import (
    electrode_rate, entity_rates, exchange_cell, exchange_rate, neighbour, open_potential, pair_cell, pair_energy, redox,
)  # fmt: skip
from .state import (
    CHANNELS, EMPTY, GROUP_OFFSET, GROUPS, ION, KIND_EMITTER, KIND_ION, KIND_METAL, KIND_VACANCY, METAL,
)  # fmt: skip

REACHED, BUDGET, REFRESH, FULL, QUIET = 0, 1, 2, 3, 4


@njit(_nrt=False, forceinline=True)
def leave_group(state, entity: int) -> None:
    """Take an entity out of its group: the last member takes its place."""
    g = state.entities[entity].group
    if g < 0:
        return
    last = state.groups[g].count - 1
    moved = state.members[g, last]
    state.members[g, state.entities[entity].slot] = moved
    state.entities[moved].slot = state.entities[entity].slot
    state.groups[g].count = last
    state.entities[entity].group = -1
    if last == 0:
        tail = state.run[0].active - 1
        other = state.groups[tail].active
        state.groups[state.groups[g].active_slot].active = other
        state.groups[other].active_slot = state.groups[g].active_slot
        state.run[0].active = tail
        state.groups[g].bound = 0.0


@njit(_nrt=False, forceinline=True)
def join_group(state, entity: int, total: float) -> None:
    """Put an entity into the group of its total rate, whose bound only rises until the group is empty."""
    state.entities[entity].total = total
    if not total > 0.0:
        return
    g = math.frexp(total)[1] + GROUP_OFFSET
    g = min(max(g, 0), GROUPS - 1)
    if state.groups[g].count == 0:
        tail = state.run[0].active
        state.groups[tail].active = g
        state.groups[g].active_slot = tail
        state.run[0].active = tail + 1
    state.members[g, state.groups[g].count] = entity
    state.entities[entity].slot = state.groups[g].count
    state.entities[entity].group = g
    state.groups[g].count += 1
    if total > state.groups[g].bound:
        state.groups[g].bound = total


@njit(_nrt=False, forceinline=True)
def sum_bounds(state) -> None:
    """Re-sum the bound on the total rate: never incremented, so it cannot drift."""
    total = 0.0
    for k in range(state.run[0].active):
        g = state.groups[k].active
        total += state.groups[g].count * state.groups[g].bound
    state.run[0].bound_total = total


@njit(_nrt=False)
def refresh_entity(state, grid, fields, model, entity: int) -> None:
    """Recompute the rates of one entity and regroup it."""
    total = entity_rates(state, grid, fields, model, entity)
    g = state.entities[entity].group
    if g >= 0 and total > 0.0 and math.frexp(total)[1] + GROUP_OFFSET == g:
        state.entities[entity].total = total
        if total > state.groups[g].bound:
            state.groups[g].bound = total
        return
    leave_group(state, entity)
    join_group(state, entity, total)


@njit(_nrt=False)
def refresh_all(state, grid, fields, model) -> None:
    """Recompute every rate, with tight bounds: after the fields, the voltage or the temperature changed."""
    for k in range(state.run[0].active):
        g = state.groups[k].active
        state.groups[g].count = 0
        state.groups[g].bound = 0.0
    state.run[0].active = 0
    for entity in range(state.run[0].entities):
        state.entities[entity].group = -1
    for entity in range(state.run[0].entities):
        if state.entities[entity].kind != 0:
            join_group(state, entity, entity_rates(state, grid, fields, model, entity))
    sum_bounds(state)


@njit(_nrt=False)
def refresh_box(state, grid, fields, model, z0: int, z1: int, y0: int, y1: int, x0: int, x1: int) -> None:
    """Recompute the rates of the entities in a box of sites (y, x periodic, may run past the edges)."""
    nz, ny, nx = grid.nz, grid.ny, grid.nx
    for z in range(max(z0, 0), min(z1, nz)):
        for y in range(y0, y1):
            for x in range(x0, x1):
                entity = state.sites[(z * ny + y % ny) * nx + x % nx].entity
                if entity >= 0:
                    refresh_entity(state, grid, fields, model, entity)
    sum_bounds(state)


@njit(_nrt=False)
def link_charge(state, grid, entity: int) -> None:
    """Enter a charge in the cell list of the pair term."""
    cell = pair_cell(grid, state.entities[entity].site)
    first = state.head[cell]
    state.entities[entity].next = first
    state.entities[entity].previous = -1
    if first >= 0:
        state.entities[first].previous = entity
    state.head[cell] = entity


@njit(_nrt=False)
def unlink_charge(state, grid, entity: int) -> None:
    """Remove a charge from the cell list."""
    before, after = state.entities[entity].previous, state.entities[entity].next
    if before >= 0:
        state.entities[before].next = after
    else:
        state.head[pair_cell(grid, state.entities[entity].site)] = after
    if after >= 0:
        state.entities[after].previous = before


@njit(_nrt=False)
def new_entity(state, grid, kind: int, site: int) -> int:
    """Take a free slot for an entity on a site; the caller refreshes its rates."""
    if state.run[0].free > 0:
        state.run[0].free -= 1
        entity = state.entities[state.run[0].free].free
    else:
        entity = state.run[0].entities
        state.run[0].entities += 1
    state.entities[entity].kind = kind
    state.entities[entity].site = site
    state.entities[entity].group = -1
    state.entities[entity].total = 0.0
    if kind == KIND_VACANCY:
        state.sites[site].vacancy = entity
        state.run[0].vacancies += 1
        link_charge(state, grid, entity)
    else:
        state.sites[site].entity = entity
    if kind == KIND_ION:
        state.sites[site].cation = ION
        state.run[0].ions += 1
        state.entities[entity].stamp = state.run[0].pair_clock
        link_charge(state, grid, entity)
    elif kind == KIND_METAL:
        state.sites[site].cation = METAL
        state.run[0].metal += 1
    return entity


@njit(_nrt=False)
def drop_entity(state, grid, entity: int) -> None:
    """Free the slot of an entity and empty its site."""
    kind, site = state.entities[entity].kind, state.entities[entity].site
    leave_group(state, entity)
    if kind == KIND_VACANCY:
        unlink_charge(state, grid, entity)
        state.sites[site].vacancy = -1
        state.run[0].vacancies -= 1
    else:
        state.sites[site].entity = -1
        state.sites[site].cation = EMPTY
    if kind == KIND_ION:
        settle_density(state, grid, entity)
        unlink_charge(state, grid, entity)
        state.run[0].ions -= 1
    elif kind == KIND_METAL:
        state.run[0].metal -= 1
    state.entities[entity].kind = 0
    state.entities[entity].site = -1
    state.entities[state.run[0].free].free = entity
    state.run[0].free += 1


@njit(_nrt=False)
def settle_density(state, grid, entity: int) -> None:
    """Book the residence of an ion, weighted (n-1)/n: the density that *others* feel, none for a lone ion."""
    weight = state.run[0].pair_clock - state.entities[entity].stamp
    if weight > 0.0:
        site = state.entities[entity].site
        x = site % grid.nx
        rest = site // grid.nx
        y, z = rest % grid.ny, rest // grid.ny
        cell = ((z // 2) * (grid.ny // 2) + y // 2) * (grid.nx // 2) + x // 2
        state.density[cell] += weight
    state.entities[entity].stamp = state.run[0].pair_clock


@njit(_nrt=False)
def refresh_pairs(state, grid, fields, model, site: int, skip: int) -> None:
    """Recompute the charges within reach of a site: 27 cells, whose edge is twice the reach or more."""
    if model.reach == 0 or state.run[0].ions + state.run[0].vacancies < 2:
        return
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x = site % grid.nx
    rest = site // grid.nx
    y, z = rest % grid.ny, rest // grid.ny
    for kz in range(max(z // 4 - 1, 0), min(z // 4 + 2, cz)):
        for ky in range(y // 4 - 1, y // 4 + 2):
            for kx in range(x // 4 - 1, x // 4 + 2):
                other = state.head[(kz * cy + ky % cy) * cx + kx % cx]
                while other >= 0:
                    if other != skip:
                        refresh_entity(state, grid, fields, model, other)
                    other = state.entities[other].next


@njit(_nrt=False)
def refresh_metal_reach(state, grid, fields, model, site: int) -> None:
    """Recompute all within two steps of a changed metal site: bonds of neighbours and of where they may go."""
    x = site % grid.nx
    rest = site // grid.nx
    y, z = rest % grid.ny, rest // grid.ny
    for dz in range(-2, 3):
        if z + dz < 0 or z + dz >= grid.nz:
            continue
        for dy in range(-2 + abs(dz), 3 - abs(dz)):
            for dx in range(-2 + abs(dz) + abs(dy), 3 - abs(dz) - abs(dy)):
                j = ((z + dz) * grid.ny + (y + dy) % grid.ny) * grid.nx + (x + dx) % grid.nx
                entity = state.sites[j].entity
                if entity >= 0:
                    refresh_entity(state, grid, fields, model, entity)


@njit(_nrt=False)
def mark_metal(state, grid, fields, site: int, added: bool) -> None:
    """Note a change of metal, give the site a provisional potential, and bound how far potentials can shift.

    By the maximum principle a new metal site at V changes the potential nowhere by more than |phi(site) - V|;
    for a removed one the estimate uses the mean of its neighbours.
    """
    voltage = state.run[0].voltage
    own = voltage * fields[site].unit + fields[site].charge
    low, high, metals, unit, charge, open_unit, open_charge = 1e300, -1e300, 0, 0.0, 0.0, 0.0, 0.0
    for d in range(6):
        j = neighbour(grid, site, d)
        if state.sites[j].cation >= METAL:
            metals += 1
            unit += fields[j].unit
            charge += fields[j].charge
            phi = voltage * fields[j].unit + fields[j].charge
            low, high = min(low, phi), max(high, phi)
        else:
            open_unit += fields[j].unit
            open_charge += fields[j].charge
    if metals == 0:
        low, high = own, own
    if added:
        shift = max(abs(own - low), abs(own - high))
        if metals > 0:
            fields[site].unit, fields[site].charge = unit / metals, charge / metals
    else:
        if metals < 6:
            fields[site].unit, fields[site].charge = open_unit / (6 - metals), open_charge / (6 - metals)
        now = voltage * fields[site].unit + fields[site].charge
        shift = max(abs(now - own), high - low)
        if metals >= 2:
            state.run[0].force_refresh |= 2
    if metals >= 2:
        state.run[0].force_refresh |= 1
    state.run[0].shift += shift
    if state.run[0].dirty < state.dirty.size:
        state.dirty[state.run[0].dirty] = site
        state.run[0].dirty += 1
    else:
        state.run[0].force_refresh |= 4
    state.run[0].metal_events += 1


@njit(_nrt=False)
def add_metal(state, grid, fields, model, site: int) -> None:
    """An atom of silver on an empty site."""
    new_entity(state, grid, KIND_METAL, site)
    mark_metal(state, grid, fields, site, True)
    refresh_metal_reach(state, grid, fields, model, site)


@njit(_nrt=False)
def remove_metal(state, grid, fields, model, entity: int) -> int:
    """Take an atom of silver away; returns its site."""
    site = state.entities[entity].site
    drop_entity(state, grid, entity)
    mark_metal(state, grid, fields, site, False)
    refresh_metal_reach(state, grid, fields, model, site)
    return site


@njit(_nrt=False)
def add_ion(state, grid, fields, model, site: int) -> None:
    """A silver ion on an empty site."""
    ion = new_entity(state, grid, KIND_ION, site)
    refresh_entity(state, grid, fields, model, ion)
    refresh_pairs(state, grid, fields, model, site, ion)


@njit(_nrt=False)
def remove_ion(state, grid, fields, model, entity: int) -> int:
    """Take a silver ion away; returns its site."""
    site = state.entities[entity].site
    drop_entity(state, grid, entity)
    refresh_pairs(state, grid, fields, model, site, -1)
    return site


@njit(_nrt=False, forceinline=True)
def hop_ion(state, grid, fields, model, entity: int, target: int) -> None:
    """Move an ion to an empty site; refresh the charges near both sites."""
    site = state.entities[entity].site
    state.sites[site].entity = -1
    state.sites[site].cation = EMPTY
    state.sites[target].entity = entity
    state.sites[target].cation = ION
    if model.uniform:
        state.entities[entity].site = target
        return
    settle_density(state, grid, entity)
    move = model.reach > 0 and pair_cell(grid, site) != pair_cell(grid, target)
    if move:
        unlink_charge(state, grid, entity)
    state.entities[entity].site = target
    if move:
        link_charge(state, grid, entity)
    refresh_entity(state, grid, fields, model, entity)
    refresh_pairs(state, grid, fields, model, site, entity)
    if move:
        refresh_pairs(state, grid, fields, model, target, entity)


@njit(_nrt=False)
def hop_vacancy(state, grid, fields, model, entity: int, target: int) -> None:
    """Move a bromide vacancy by one cell."""
    site = state.entities[entity].site
    unlink_charge(state, grid, entity)
    state.sites[site].vacancy = -1
    state.sites[target].vacancy = entity
    state.entities[entity].site = target
    link_charge(state, grid, entity)
    refresh_entity(state, grid, fields, model, entity)
    refresh_pairs(state, grid, fields, model, site, entity)
    refresh_pairs(state, grid, fields, model, target, entity)


@njit(_nrt=False, forceinline=True)
def apply_ion(state, grid, fields, model, entity: int, channel: int) -> bool:
    """Hop, reduction at the ion's own site, or return into the silver electrode. False: a null event."""
    if channel < 6:
        target = neighbour(grid, state.entities[entity].site, channel)
        if state.sites[target].cation != EMPTY:
            return False
        hop_ion(state, grid, fields, model, entity, target)
        state.run[0].hops += 1
        return True
    site = remove_ion(state, grid, fields, model, entity)
    if channel == 6:
        add_metal(state, grid, fields, model, site)
    else:
        state.run[0].reservoir += 1
        state.run[0].returned += 1
    return True


@njit(_nrt=False)
def apply_metal(state, grid, fields, model, entity: int, channel: int, rest: float) -> bool:
    """Surface diffusion of a silver atom, or its oxidation."""
    if channel < 6:
        target = neighbour(grid, state.entities[entity].site, channel)
        if state.sites[target].cation != EMPTY:
            return False
        remove_metal(state, grid, fields, model, entity)
        add_metal(state, grid, fields, model, target)
        return True
    if model.reach > 0:
        site, voltage = state.entities[entity].site, state.run[0].voltage
        phi = open_potential(state, grid, fields, voltage, site) + pair_energy(state, grid, model, site, -1)
        if rest >= redox(state, grid, fields, model, voltage, site, phi, True):
            return False
    site = remove_metal(state, grid, fields, model, entity)
    add_ion(state, grid, fields, model, site)
    return True


@njit(_nrt=False)
def ionises(state, grid, fields, model, electrode: int, target: int, rest: float) -> bool:
    """Whether ionisation survives the repulsion of near ions, with `rest` uniform below its rate without it."""
    if model.reach == 0 or state.run[0].ions + state.run[0].vacancies == 0:
        return True
    pair = pair_energy(state, grid, model, target, -1)
    return rest < electrode_rate(state, grid, fields, model, state.run[0].voltage, electrode, target, pair, True)


@njit(_nrt=False)
def apply_emitter(state, grid, fields, model, entity: int, channel: int, rest: float) -> bool:
    """Ionisation at the silver electrode, or a vacancy made there (Ag + Br- -> AgBr + V + e-)."""
    site = state.entities[entity].site
    if channel < 6:
        target = neighbour(grid, site, channel)
        if state.sites[target].cation != EMPTY or not ionises(state, grid, fields, model, site, target, rest):
            return False
        state.run[0].reservoir -= 1
        state.run[0].emitted += 1
        add_ion(state, grid, fields, model, target)
        return True
    cell = exchange_cell(state, grid, model, site)
    if cell < 0 or state.sites[cell].vacancy >= 0:
        return False
    voltage = state.run[0].voltage
    pair = pair_energy(state, grid, model, cell, -1)
    if rest >= exchange_rate(state, grid, fields, model, voltage, site, cell, pair, True):
        return False
    vacancy = new_entity(state, grid, KIND_VACANCY, cell)
    state.run[0].exchanged += 1
    refresh_entity(state, grid, fields, model, vacancy)
    refresh_pairs(state, grid, fields, model, cell, vacancy)
    return True


@njit(_nrt=False)
def apply_vacancy(state, grid, fields, model, entity: int, channel: int) -> bool:
    """A vacancy hops by one cell, or is filled at the silver electrode."""
    site = state.entities[entity].site
    if channel < 6:
        target = neighbour(grid, neighbour(grid, site, channel), channel)
        if state.sites[target].vacancy >= 0:
            return False
        hop_vacancy(state, grid, fields, model, entity, target)
        return True
    drop_entity(state, grid, entity)
    state.run[0].exchanged -= 1
    refresh_pairs(state, grid, fields, model, site, -1)
    return True


@njit(_nrt=False, forceinline=True)
def apply(state, grid, fields, model, entity: int, channel: int, rest: float) -> bool:
    """Carry out one event; False if exclusion or repulsion forbids it (`rest` is uniform below its rate)."""
    kind = state.entities[entity].kind
    if kind == KIND_ION:
        return apply_ion(state, grid, fields, model, entity, channel)
    if kind == KIND_METAL:
        return apply_metal(state, grid, fields, model, entity, channel, rest)
    if kind == KIND_EMITTER:
        return apply_emitter(state, grid, fields, model, entity, channel, rest)
    return apply_vacancy(state, grid, fields, model, entity, channel)


@njit(_nrt=False, forceinline=True)
def choose(state, draw: float) -> tuple[int, float]:
    """Entity for a uniform draw, and what is left of it in (0, bound): a miss if above the entity's total."""
    rest = draw * state.run[0].bound_total
    g = state.groups[0].active
    for k in range(state.run[0].active):
        g = state.groups[k].active
        weight = state.groups[g].count * state.groups[g].bound
        if rest < weight:
            break
        rest -= weight
    ratio = rest / state.groups[g].bound
    member = min(int(ratio), state.groups[g].count - 1)
    return state.members[g, member], (ratio - member) * state.groups[g].bound


@njit(_nrt=False)
def advance(state, grid, fields, model, generator, stop_s: float, budget: int, look: bool) -> int:
    """Run events until `stop_s`, the budget, or a change that the fields must follow.

    Returns REACHED, BUDGET, REFRESH or FULL (no free entity slots). The unspent part of the exponential
    waiting time stays in the clock. A stop to look does not even spend the time up to it: it leaves no bit changed.
    """
    sum_bounds(state)
    done = 0
    while done < budget:
        if state.run[0].entities + 4 > state.entities.size and state.run[0].free < 4:
            state.run[0].trials += done
            return FULL
        rate = state.run[0].bound_total
        left = stop_s - state.run[0].time
        if state.run[0].unspent >= rate * left:
            if not look:
                spend(state, left)
                state.run[0].time = stop_s
            state.run[0].trials += done
            return REACHED
        spend(state, state.run[0].unspent / rate)
        state.run[0].unspent = generator.standard_exponential()
        done += 1
        entity, rest = choose(state, generator.random())
        if rest >= state.entities[entity].total:
            continue
        channel = 0
        while channel < CHANNELS - 1 and rest >= state.rates[entity, channel]:
            rest -= state.rates[entity, channel]
            channel += 1
        if state.rates[entity, channel] <= 0.0 or not apply(
                state, grid, fields, model, entity, channel, rest):
            continue
        state.run[0].events += 1
        if not model.uniform:
            sum_bounds(state)
            if state.run[0].force_refresh != 0 or state.run[0].shift > state.run[0].shift_bound:
                state.run[0].trials += done
                return REFRESH
    state.run[0].trials += done
    return BUDGET


@njit(_nrt=False, forceinline=True)
def spend(state, duration_s: float) -> None:
    """Let time pass without an event."""
    state.run[0].unspent -= duration_s * state.run[0].bound_total
    state.run[0].time += duration_s
    ions = state.run[0].ions
    if ions > 1:
        state.run[0].pair_clock += duration_s * (ions - 1) / ions


@njit(_nrt=False)
def place_many(state, grid, kind: int, places) -> None:
    """Entities of one kind on sites, at the start; the caller refreshes all rates."""
    for site in places:
        new_entity(state, grid, kind, site)


@njit(_nrt=False)
def settle_all(state, grid) -> None:
    """Book the residence of all ions up to now."""
    for entity in range(state.run[0].entities):
        if state.entities[entity].kind == KIND_ION:
            settle_density(state, grid, entity)
