"""Frozen-environment walks of single ions, for `kmc.kinetics.advance`.

The walk moves one ion by its exact hop rates for a time slice, exponential with mean `model.slice`, while the field
and all other charges are frozen. The ion is then placed at the end of its walk, and waits there for the walk's
duration. So each ion keeps its own clock, and only the motion of others within a slice is neglected: a fractional
step (Arampatzis et al., J. Comput. Phys. 231, 7795 (2012)) with local clocks (Lubachevsky, J. Comput. Phys. 75, 103
(1988)). A slice ends at a constant rate, so that its end samples the ion as an arbitrary time does. Where no charge
is near, the rates of a site are kept until they change.
"""

import numpy as np

from kmc.ions.pair_energies import add_pair, feels_any, gather, link_charge, pair_cell, sum_pairs, unlink_charge
from kmc.kinetics.entity_records import follow_pairs, settle_density
from kmc.kinetics.event_changes import leave_ion
from kmc.kinetics.ion_hops import ion_rates
from kmc.system.composition_rejection import touch
from kmc.system.neighbours import index, inlined, kernel, place_of, put, small_cell
from kmc.system.prefetch import prefetch
from kmc.system.state import CHANNELS, EMPTY, ENDS, EPOCH, GOES_ON, ION, NO_WAIT, REDUCTION, RETURN

Sums = tuple[float, float, float, float, float, float, float]
ALL = 6  # of `Sums`: the last running sum
SLOW = 0.1  # of a slice's rate: an ion that would stay for ten slices hops by an ordinary event


@kernel
def glide(state, grid, fields, model, generator, entity: int, channel: int) -> None:
    """Walk an ion for one slice in a frozen environment: first into `channel`, or from its site (-1).

    The ion then waits (`ahead`) for the walk's duration. After that it is reduced, or joins the electrode, if the
    walk ended so. On a site where it would stay for many slices the walk stops, and the next event is ordinary.
    """
    run, due = state.run[0], state.entities[entity].ahead
    if due >= REDUCTION:
        wake(state, entity)
        leave_ion(state, grid, fields, model, generator, entity, due)
        run.events += 1
        return
    origin = lift_off(state, grid, model, entity)
    x, y, z = place_of(state, entity)
    site, hops, clock, cell, near, close = origin, 0, 0.0, -1, 1, 1
    share, often = (run.ions - 1) / run.ions, 1.0 / max(model.slice, 1e-300)
    while True:
        if channel >= 0:
            i, j, k = stepped(grid, x, y, z, channel)
            target = index((k * grid.ny + j) * grid.nx + i)
            # Where no charge is felt, no ion is in the way, and the rate into metal is nil.
            if close == 0 or state.sites[target].cation == EMPTY:
                site, x, y, z, hops = target, i, j, k, hops + 1
        if close == 0:
            ask_around(state, grid, site)
        if pair_cell(grid, x, y, z) != cell:
            cell = pair_cell(grid, x, y, z)
            near = gather(state, grid, model, x, y, z)
        # of those in the cells around, if it feels any: else its site's rates are those of an ion alone
        close = near if near == 0 or feels_any(state, grid, near, x, y, z) else 0
        sums = looked_up(state, grid, fields, model, entity, site, close)
        total = sums[ALL]
        channel = -1
        if total < SLOW * often:
            break
        hold = 1.0 / (total + often)
        clock += hold
        state.density[small_cell(grid, x, y, z)] += share * hold
        rest = generator.random() * (total + often)
        if rest >= total:
            break
        channel = pick(sums, rest)
        if channel == ENDS:
            stand(state, grid, fields, model, entity, site, close)
            reduced, back = state.rates[entity, REDUCTION], state.rates[entity, RETURN]
            channel = RETURN if rest >= reduced and back > 0.0 else REDUCTION
            break
    put(state, grid, entity, site)
    land(state, grid, model, entity, origin)
    run.hops += hops
    run.events += hops
    if clock > 0.0:
        state.entities[entity].ahead = max(channel, GOES_ON)
        for d in range(CHANNELS):
            state.rates[entity, d] = 0.0
        state.rates[entity, 0] = 1.0 / clock


@inlined
def looked_up(state, grid, fields, model, entity: int, site: int, near: int) -> Sums:
    """Running sums of the rates of an ion on a site, ends first, 1/s: kept where no charge is felt.

    Each rate is rounded, not their sums, so that a rare hop keeps its share.
    """
    look = state.table[site] if near == 0 else state.look
    if near != 0 or look[EPOCH] != state.run[0].epoch:
        stand(state, grid, fields, model, entity, site, near)
        own = state.rates[entity]
        for d in range(6):
            look[d] = own[d]
        look[ENDS] = own[REDUCTION] + own[RETURN]
        look[EPOCH] = state.run[0].epoch
    ends = np.float64(look[ENDS])
    first = ends + look[0]
    second = first + look[1]
    third = second + look[2]
    fourth = third + look[3]
    fifth = fourth + look[4]
    return ends, first, second, third, fourth, fifth, fifth + look[5]


@inlined
def ask_around(state, grid, site: int) -> None:
    """Prefetch the table rows of the six neighbours of a site; across a periodic boundary it fetches other rows."""
    plane = grid.nx * grid.ny
    prefetch(state.table, site - 1)
    prefetch(state.table, site + 1)
    prefetch(state.table, site - grid.nx)
    prefetch(state.table, site + grid.nx)
    prefetch(state.table, site - plane)
    prefetch(state.table, site + plane)


@kernel
def stand(state, grid, fields, model, entity: int, site: int, near: int) -> None:
    """The rates of an ion on a site among the charges that were gathered."""
    put(state, grid, entity, site)
    sum_gathered(state, grid, model, entity, near)
    ion_rates(state, grid, fields, model, entity)


@inlined
def pick(sums: Sums, rest: float) -> int:
    """What a draw below the last running sum stands for: a hop, or ENDS."""
    place = int(rest >= sums[0]) + int(rest >= sums[1]) + int(rest >= sums[2])
    place += int(rest >= sums[3]) + int(rest >= sums[4]) + int(rest >= sums[5])
    return place - 1 if place > 0 else ENDS


@inlined
def stepped(grid, x: int, y: int, z: int, direction: int) -> tuple[int, int, int]:
    """Coordinates of the site in a direction, without a branch for each of six."""
    x += int(direction == 1) - int(direction == 0)
    y += int(direction == 3) - int(direction == 2)
    z += int(direction == 5) - int(direction == 4)
    x = x + grid.nx if x < 0 else (x - grid.nx if x >= grid.nx else x)
    y = y + grid.ny if y < 0 else (y - grid.ny if y >= grid.ny else y)
    z = z + grid.nz if z < 0 else (z - grid.nz if z >= grid.nz else z)
    return x, y, z


@inlined
def wake(state, entity: int) -> None:
    """End the waiting time of an ion; its walk has already added the residence times."""
    here = state.entities[entity]
    if here.ahead != NO_WAIT:
        here.ahead, here.stamp = NO_WAIT, state.run[0].pair_clock


@inlined
def lift_off(state, grid, model, entity: int) -> int:
    """Take an ion off its site for a while; returns the site."""
    here = state.entities[entity]
    site = index(here.site)
    wake(state, entity)
    settle_density(state, grid, entity)
    state.sites[site].entity, state.sites[site].cation = -1, EMPTY
    if model.reach > 0:
        unlink_charge(state, grid, entity)
    return site


@inlined
def land(state, grid, model, entity: int, origin: int) -> None:
    """Place an ion where its walk ended, and update the charges that interact with it."""
    site = index(state.entities[entity].site)
    state.sites[site].entity, state.sites[site].cation = entity, ION
    touch(state, entity)
    if model.reach == 0:
        return
    if site != origin:
        follow_pairs(state, grid, model, -1, origin, -1)
    link_charge(state, grid, entity)
    if site != origin:
        follow_pairs(state, grid, model, entity, -1, site)
    else:
        sum_pairs(state, grid, model, entity, 1)


@inlined
def sum_gathered(state, grid, model, entity: int, near: int) -> None:
    """The row of `pairs` of an ion that is in no list, from the charges that were gathered."""
    row = state.pairs[entity]
    for k in range(CHANNELS):
        row[k] = 0.0
    x, y, z = place_of(state, entity)
    for k in range(near):
        other = state.near[k]
        add_pair(model, grid, row, 1, other[3], (other[0] - x, other[1] - y, other[2] - z), 1.0)
