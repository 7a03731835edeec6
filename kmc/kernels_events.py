"""What events do to State, for `kmc.kernels`: they move entities and touch those whose rates change."""

import math

from .kernels_bend import bend
from .kernels_entities import (
    drop_entity,
    follow_pairs,
    new_entity,
    settle_density,
    touch_around,
)
from .kernels_flight import ATOM_AT, HOME, ION_AT, flight, forget
from .kernels_groups import touch
from .kernels_near import (
    beside,
    by_neck,
    decode,
    exchange_cell,
    index,
    inlined,
    kernel,
    neighbour,
    opened,
    place_of,
    put,
    two_steps,
)
from .kernels_pairs import link_charge, pair_cell, unlink_charge
from .kernels_rates import survives
from .model import ORGANIC_REGION
from .state import (
    EMPTY,
    ION,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    METAL,
)

MOST_CHANGES = 2  # of metal by one event: an atom that moves leaves a site and takes one


@kernel
def mark_metal(state, grid, fields, model, site: int, added: bool) -> None:
    """Let the potential near a change of metal follow it, note the change, and bound what is stale by it.

    Potentials: what passes beyond the box of `bend`, and a difference of metal that the site joins or parts.
    Current: a filament's conductance changes by about the power at one volt in the bonds that come or go (V2
    in units of one bond), and by far more where a way through it ends, or by its neck.
    """
    run = state.run[0]
    low, high, metals, unit, charge = 1e300, -1e300, 0, 0.0, 0.0
    apart = 0.0  # sum of the squares of the metal's unit potentials
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation >= METAL:
            metals += 1
            unit += fields[j].unit
            apart += fields[j].unit ** 2
            charge += fields[j].charge
            phi = run.voltage * fields[j].unit + fields[j].charge
            low, high = min(low, phi), max(high, phi)
    shift = 0.0
    if metals > 0:
        run.stale += apart - unit**2 / metals
        shift = high - low
    if not added:
        unit, charge = opened(state, grid, fields, model, site)
    elif metals > 0:
        unit, charge = unit / metals, charge / metals
    else:  # an atom by itself is where its surroundings are: on the organic at the carriers below it
        below = beside(grid, site, x, y, z, 4)
        stands = state.sites[site].region != ORGANIC_REGION and state.sites[below].region == ORGANIC_REGION
        around = fields[below if stands else site]
        unit, charge = around.unit, around.charge
    if not state.sites[site].held:
        shift += bend(state, grid, fields, model, site, unit, charge)
    run.metal_events += 1
    if z >= run.watch or run.stale > run.stale_bound or by_neck(state, grid, site, added):  # of current
        run.force_refresh |= 1
    note_change(state, grid, site, not added, shift)
    forget(state, grid, model, site)


@kernel
def note_change(state, grid, site: int, was: bool, shift: float) -> None:
    """Keep a changed site for the next solution; ask for that where changes add up to more than the bound.

    A change at a distance of r sites counts as shift / r, as a point's potential does.
    """
    run = state.run[0]
    place = 0
    while place < run.dirty and state.dirty[place].site != site:
        place += 1
    change, new = state.dirty[place], place == run.dirty
    if new:
        change.site, change.was, change.shift, change.error = site, was, 0.0, 0.0
    elif shift <= change.shift:  # an atom that flickers differs from the last solution once at most
        return
    more, change.shift = shift - change.shift, shift
    change.error += more
    x, y, z = decode(grid, site)
    for k in range(run.dirty):
        other = state.dirty[k]
        if k == place:
            continue
        i, j, h = decode(grid, other.site)
        dx, dy = abs(x - i), abs(y - j)
        dx, dy = min(dx, grid.nx - dx), min(dy, grid.ny - dy)
        r = math.sqrt(dx * dx + dy * dy + (z - h) ** 2)
        other.error += more / r
        if new:
            change.error += other.shift / r
        if other.error > run.shift_bound:
            run.force_refresh |= 2
    run.dirty += new
    if change.error > run.shift_bound:
        run.force_refresh |= 2
    if run.dirty > state.dirty.size - MOST_CHANGES:
        run.force_refresh |= 4


@kernel
def add_metal(state, grid, fields, model, site: int) -> None:
    """An atom of silver on an empty site."""
    new_entity(state, grid, KIND_METAL, site)
    mark_metal(state, grid, fields, model, site, True)
    touch_around(state, grid, site)


@kernel
def remove_metal(state, grid, fields, model, entity: int) -> None:
    """Take an atom of silver away."""
    site = index(state.entities[entity].site)
    drop_entity(state, grid, entity)
    mark_metal(state, grid, fields, model, site, False)
    touch_around(state, grid, site)


@kernel
def add_charge(state, grid, model, kind: int, site: int) -> None:
    """A silver ion on an empty site, or a vacancy on a halide site."""
    follow_pairs(state, grid, model, new_entity(state, grid, kind, site), -1, site)


@kernel
def remove_charge(state, grid, model, entity: int) -> None:
    """Take an ion or a vacancy away."""
    site = index(state.entities[entity].site)
    drop_entity(state, grid, entity)
    follow_pairs(state, grid, model, -1, site, -1)


@kernel
def move_charge(state, grid, model, entity: int, target: int) -> None:
    """Move an ion or a vacancy whose site has been vacated and whose target taken; touch what feels it."""
    site = index(state.entities[entity].site)
    touch(state, entity)
    if model.reach == 0:
        put(state, grid, entity, target)
        return
    x, y, z = place_of(state, entity)
    xt, yt, zt = decode(grid, target)
    same = pair_cell(grid, x, y, z) == pair_cell(grid, xt, yt, zt)
    if not same:
        unlink_charge(state, grid, entity)
    put(state, grid, entity, target)
    if not same:
        link_charge(state, grid, entity)
    follow_pairs(state, grid, model, entity, site, target)


@inlined
def hop_ion(state, grid, model, entity: int, channel: int) -> bool:
    """Move an ion to an empty neighbour site; False if it is not empty."""
    site = index(state.entities[entity].site)
    x, y, z = place_of(state, entity)
    target = beside(grid, site, x, y, z, channel)
    here, there = state.sites[site], state.sites[target]
    if there.cation != EMPTY:
        return False
    here.entity, here.cation = -1, EMPTY
    there.entity, there.cation = entity, ION
    state.run[0].hops += 1
    if model.uniform:
        put(state, grid, entity, target)
    else:
        settle_density(state, grid, entity)
        move_charge(state, grid, model, entity, target)
    return True


@kernel
def apply(state, grid, fields, model, generator, entity: int, channel: int, rest: float) -> bool:
    """Carry out an event that is not an ion's hop; False if exclusion or repulsion forbids it.

    `rest` is uniform below the rate of the event.
    """
    kind = state.entities[entity].kind
    if kind == KIND_ION:
        leave_ion(state, grid, fields, model, entity, channel)
        return True
    if kind == KIND_VACANCY:
        return apply_vacancy(state, grid, model, entity, channel)
    site = index(state.entities[entity].site)
    if channel < 6:
        target = neighbour(grid, site, channel)
        if state.sites[target].cation != EMPTY or (kind == KIND_METAL and state.sites[target].vacancy >= 0):
            return False  # a vacancy under silver would repel for ever what could not leave it
    else:
        target = site if kind == KIND_METAL else exchange_cell(state, grid, model, site)
        if target < 0 or (kind == KIND_EMITTER and state.sites[target].vacancy >= 0):
            return False
    hop = kind == KIND_METAL and channel < 6
    if kind == KIND_METAL and not hop:
        rest /= 1.0 - state.entities[entity].returns
    if not hop and not survives(state, grid, fields, model, entity, channel, target, rest):
        return False
    if kind == KIND_METAL and not hop and model.flight > 0:
        return fly(state, grid, fields, model, generator, entity)
    if kind == KIND_METAL:
        remove_metal(state, grid, fields, model, entity)
        if hop:
            add_metal(state, grid, fields, model, target)
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
def fly(state, grid, fields, model, generator, entity: int) -> bool:
    """An atom ionises, and its ion is where its first passage ends; False where it comes back."""
    how, target = flight(state, grid, fields, model, generator, entity)
    if how == HOME:
        return False
    remove_metal(state, grid, fields, model, entity)
    if how == ATOM_AT:
        add_metal(state, grid, fields, model, target)
    elif how == ION_AT:
        add_charge(state, grid, model, KIND_ION, target)
    else:
        state.run[0].reservoir += 1
        state.run[0].returned += 1
    return True


@kernel
def leave_ion(state, grid, fields, model, entity: int, channel: int) -> None:
    """Reduction of an ion at its own site, or its return into the silver electrode."""
    site = index(state.entities[entity].site)
    remove_charge(state, grid, model, entity)
    if channel == 6:
        add_metal(state, grid, fields, model, site)
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
    site = index(state.entities[entity].site)
    target = two_steps(grid, site, channel)
    if state.sites[target].vacancy >= 0:
        return False
    state.sites[site].vacancy = -1
    state.sites[target].vacancy = entity
    move_charge(state, grid, model, entity, target)
    return True
