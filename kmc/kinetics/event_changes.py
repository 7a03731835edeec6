"""What events do to State, for `kmc.kinetics.advance`: they move entities and touch those whose rates change."""

from kmc.ions.pair_energies import link_charge, pair_cell, unlink_charge
from kmc.kinetics.entity_records import drop_entity, follow_pairs, new_entity, settle_density
from kmc.kinetics.event_rates import survives
from kmc.kinetics.first_passage import flight
from kmc.kinetics.frozen_adatom_walks import stroll
from kmc.kinetics.metal_changes import add_metal, remove_metal
from kmc.system.composition_rejection import touch
from kmc.system.neighbours import (
    beside,
    bonds_at,
    decode,
    exchange_cell,
    index,
    inlined,
    kernel,
    neighbour,
    place_of,
    put,
    two_steps,
)
from kmc.system.state import (
    ATOM_AT,
    CHANNELS,
    EMPTY,
    EXCHANGE,
    FILLING,
    GOES_ON,
    HOME,
    HOPS,
    INTO_ELECTRODE,
    ION,
    ION_AT,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    NO_WAIT,
    REDUCTION,
)


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
        leave_ion(state, grid, fields, model, generator, entity, channel)
        return True
    if kind == KIND_METAL and state.entities[entity].ahead != NO_WAIT:
        return go_on(state, grid, fields, model, entity)
    if kind == KIND_VACANCY:
        return apply_vacancy(state, grid, model, entity, channel)
    site = index(state.entities[entity].site)
    if channel < HOPS:
        target = neighbour(grid, site, channel)
        if state.sites[target].cation != EMPTY or (kind == KIND_METAL and state.sites[target].vacancy >= 0):
            return False  # a vacancy under silver would repel for ever what could not leave it
    else:
        target = site if kind == KIND_METAL else exchange_cell(state, grid, model, site)
        if target < 0 or (kind == KIND_EMITTER and state.sites[target].vacancy >= 0):
            return False
    hop = kind == KIND_METAL and channel < HOPS
    if kind == KIND_METAL and not hop:
        rest /= 1.0 - state.entities[entity].returns
    if not hop and not survives(state, grid, fields, model, entity, channel, target, rest):
        return False
    if kind == KIND_METAL and not hop and model.flight > 0:
        return fly(state, grid, fields, model, generator, entity)
    if kind == KIND_METAL:
        remove_metal(state, grid, fields, model, entity)
        if hop:
            arrive(state, grid, fields, model, generator, entity, target, site)
            return True
    elif channel == EXCHANGE:
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
    site = index(state.entities[entity].site)
    how, target = flight(state, grid, fields, model, generator, entity)
    if how == HOME:
        return False
    remove_metal(state, grid, fields, model, entity)
    if how == ATOM_AT:
        arrive(state, grid, fields, model, generator, entity, target, site)
    else:
        set_free(state, grid, model, how, target)
    return True


@kernel
def set_free(state, grid, model, how: int, target: int) -> None:
    """The ion of an atom that is gone, on the site where its flight ended or in the electrode."""
    if how == ION_AT:
        add_charge(state, grid, model, KIND_ION, target)
    else:
        state.run[0].reservoir += 1
        state.run[0].returned += 1


@kernel
def arrive(state, grid, fields, model, generator, slot: int, site: int, origin: int) -> None:
    """Place an atom of silver that reaches `site` where its frozen-environment walk ends
    (`kmc.kinetics.frozen_adatom_walks`).

    `slot`: the free entity that the particle had before. If the walk took time, the atom waits that time before its
    next event. A walk that ends with the ion leaving makes the atom wait at its `origin`, if it was an atom before
    (else -1). Detailed balance requires this: an arriving atom is seen at its destination, so a leaving one must be
    seen at its origin. `next` and `previous` keep the ion's destination and the number of metal neighbours.
    """
    how, target, clock, returns = HOME, site, 0.0, 0.0
    if model.stroll > 0.0 and model.flight > 0:
        site, how, target, clock, returns = stroll(state, grid, fields, model, generator, slot, site)
    if how != HOME and origin >= 0:
        site = origin
    entity = add_metal(state, grid, fields, model, site)
    here = state.entities[entity]
    here.returns = returns
    if clock == 0.0:
        return
    _, metals = bonds_at(state, grid, model, site, -1)
    here.ahead, here.next, here.previous = GOES_ON if how == HOME else how, target, metals
    for d in range(CHANNELS):
        state.rates[entity, d] = 0.0
    state.rates[entity, 0] = 1.0 / clock


@kernel
def go_on(state, grid, fields, model, entity: int) -> bool:
    """End the waiting time of an atom; its ion leaves if the walk ended so and the metal beside it is unchanged."""
    here = state.entities[entity]
    how, target = here.ahead, here.next
    here.ahead = NO_WAIT
    touch(state, entity)
    _, metals = bonds_at(state, grid, model, here.site, -1)
    stays = how == GOES_ON or metals != here.previous
    if stays or (how == ION_AT and state.sites[target].cation != EMPTY):
        return False
    remove_metal(state, grid, fields, model, entity)
    set_free(state, grid, model, how, index(target))
    return True


@kernel
def leave_ion(state, grid, fields, model, generator, entity: int, channel: int) -> None:
    """Reduction of an ion at its own site, or its return into the silver electrode."""
    site = index(state.entities[entity].site)
    remove_charge(state, grid, model, entity)
    if channel == REDUCTION:
        arrive(state, grid, fields, model, generator, entity, site, -1)
    else:
        set_free(state, grid, model, INTO_ELECTRODE, site)


@kernel
def apply_vacancy(state, grid, model, entity: int, channel: int) -> bool:
    """A vacancy hops by one cell, or is filled at the silver electrode."""
    if channel == FILLING:
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
