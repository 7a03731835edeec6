"""The kinetic Monte Carlo kernel: select, apply, refresh. The only code that moves entities.

An entity's total counts its hops whether or not the target is occupied; a hop into an occupied site is a
null event. So exclusion needs no refresh, and the statistics stay exact. Events touch the entities whose
rates they change; one loop computes those again, before the next waiting time.
"""

import numpy as np

from kmc.core.jit_cache import njit
from kmc.ions.pair_energies import sum_pairs
from kmc.kinetics.entity_records import new_entity, settle_density, step_of
from kmc.kinetics.event_changes import apply, hop_ion
from kmc.kinetics.event_rates import entity_rates
from kmc.kinetics.frozen_ion_walks import glide
from kmc.kinetics.local_response import touch_box
from kmc.system.composition_rejection import ask_for_next, choose, clear_groups, regroup, sum_bounds, touch
from kmc.system.neighbours import index, inlined, kernel, outdate
from kmc.system.state import CHANNELS, EPOCH, EPOCHS, HOPS, KIND_ION, KIND_VACANCY, NO_WAIT

REACHED, BUDGET, REFRESH, FULL = 0, 1, 2, 3


@inlined
def refresh_touched(state, grid, fields, model) -> None:
    """Compute the rates of all touched entities again, and regroup them."""
    run = state.run[0]
    for k in range(run.touched):
        entity = index(state.entities[k].waiting)
        state.entities[entity].touched = 0
        regroup(state, entity, entity_rates(state, grid, fields, model, entity))
    run.touched = 0
    sum_bounds(state)


@kernel
def refresh_all(state, grid, fields, model) -> None:
    """Recompute every rate, with tight bounds: after the fields, the voltage or the temperature changed.

    Charges may have been placed: their pair energies are summed, too.
    """
    clear_groups(state)
    state.run[0].epoch += 1
    if state.run[0].epoch >= EPOCHS:
        state.table[:, EPOCH] = 0.0
        state.run[0].epoch = 1
    for entity in range(state.run[0].entities):
        kind = state.entities[entity].kind
        if kind == KIND_ION or kind == KIND_VACANCY:
            sum_pairs(state, grid, model, entity, step_of(kind))
        touch(state, entity)
    refresh_touched(state, grid, fields, model)


@kernel
def refresh_box(state, grid, fields, model, box) -> None:
    """Recompute the rates of the entities in a box of sites (y, x periodic, may run past the edges)."""
    z0, z1, y0, y1, x0, x1 = box
    outdate(state, grid, box)
    for z in range(max(z0, 0), min(z1, grid.nz)):
        for y in range(y0, y1):
            row, x = (z * grid.ny + y % grid.ny) * grid.nx, x0 % grid.nx
            for _ in range(x1 - x0):
                site = index(row + x)
                x = x + 1 if x < grid.nx - 1 else 0
                if state.sites[site].entity >= 0:
                    touch(state, index(state.sites[site].entity))
                if state.sites[site].vacancy >= 0:
                    touch(state, index(state.sites[site].vacancy))
    refresh_touched(state, grid, fields, model)


@kernel
def refresh_near(state, grid, fields, model, sites) -> None:
    """Recompute the rates that the potentials of these sites enter: a vacancy looks two sites far."""
    for site in sites:
        touch_box(state, grid, np.int64(site), 2)
    refresh_touched(state, grid, fields, model)


@njit(error_model="numpy")
def advance(state, grid, fields, model, generator, stop_s: float, budget: int, look: bool) -> int:
    """Run events until `stop_s`, the budget, or a change that the fields must follow.

    Returns REACHED, BUDGET, REFRESH or FULL (no free entity slots). The unspent part of the exponential
    waiting time stays in the clock. A stop to `look` does not even spend the time up to it: it leaves no bit
    changed. Counts references, once a call, which the loop does not: else each call would leave one to the
    generator behind, and 60 bytes.
    """
    return _events(state, grid, fields, model, generator, stop_s, budget, look)


@kernel
def _events(state, grid, fields, model, generator, stop_s: float, budget: int, look: bool) -> int:
    """The loop of `advance`."""
    run = state.run[0]
    refresh_touched(state, grid, fields, model)
    done, status = 0, BUDGET
    while done < budget and status == BUDGET:
        if run.entities + 4 > state.entities.size and run.free < 4:
            status = FULL
            break
        left = stop_s - run.time
        if run.unspent >= run.bound_total * left:
            if not look:
                spend(state, left)
                run.time = stop_s
            status = REACHED
            break
        spend(state, run.unspent / run.bound_total)
        run.unspent = generator.standard_exponential()
        done += 1
        if run.draw == 0.0:
            run.draw = generator.random()
        entity, rest = choose(state, run.draw)
        run.draw = generator.random()
        ask_for_next(state)
        if rest >= state.entities[entity].total:
            continue
        channel = 0
        while channel < CHANNELS - 1 and rest >= state.rates[entity, channel]:
            rest -= state.rates[entity, channel]
            channel += 1
        if state.rates[entity, channel] <= 0.0:
            continue
        ion, waited = state.entities[entity].kind == KIND_ION, state.entities[entity].ahead != NO_WAIT
        if ion and (waited or (model.slice > 0.0 and channel < HOPS)):
            glide(state, grid, fields, model, generator, entity, -1 if waited else channel)
            run.events -= 1
        elif ion and channel < HOPS:
            if not hop_ion(state, grid, model, entity, channel):
                continue
        elif not apply(state, grid, fields, model, generator, entity, channel, rest):
            if run.touched > 0:  # its ion came back: from now on it leaves less often
                refresh_touched(state, grid, fields, model)
            continue
        run.events += 1
        if run.touched > 0 or run.regrouped > 0:
            refresh_touched(state, grid, fields, model)
            if run.force_refresh != 0:
                status = REFRESH
    run.trials += done
    return status


@inlined
def spend(state, duration_s: float) -> None:
    """Let time pass without an event."""
    run = state.run[0]
    run.unspent -= duration_s * run.bound_total
    run.time += duration_s
    if run.ions > 1:
        run.pair_clock += duration_s * (run.ions - 1) / run.ions


@kernel
def place_many(state, grid, kind: int, places) -> None:
    """Entities of one kind on sites, at the start; the caller refreshes all rates."""
    for site in places:
        new_entity(state, grid, kind, np.int64(site))


@kernel
def settle_all(state, grid) -> None:
    """Book the residence of all ions up to now."""
    for entity in range(state.run[0].entities):
        if state.entities[entity].kind == KIND_ION:
            settle_density(state, grid, entity)
