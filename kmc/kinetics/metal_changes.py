"""Silver atoms come and go: what that does to potentials, rates and books, for `kmc.kinetics.advance`."""

import math

from kmc.kinetics.entity_records import drop_entity, new_entity, touch_around
from kmc.kinetics.first_passage import forget
from kmc.kinetics.local_response import bend
from kmc.system.neighbours import beside, by_neck, decode, index, kernel, opened
from kmc.system.parameter_tables import ORGANIC_REGION
from kmc.system.state import KIND_METAL, METAL

MOST_CHANGES = 2  # of metal by one event: an atom that moves leaves a site and takes one


@kernel
def mark_metal(state, grid, fields, model, site: int, added: bool) -> None:
    """Apply the local response to a change of metal, record the change, and bound the error of the stale fields.

    Error of the potential: the response beyond the box of `bend`, and the potential difference between metal
    neighbours that the site joins or separates. Error of the current: a filament's conductance changes by about the
    power at one volt in the added or removed bonds (V2 in units of one bond), and by far more where a path through
    it ends, or near its neck.
    """
    run = state.run[0]
    low, high, metals, unit, space_potential = 1e300, -1e300, 0, 0.0, 0.0
    apart = 0.0  # sum of the squares of the metal's unit potentials
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation >= METAL:
            metals += 1
            unit += fields[j].unit
            apart += fields[j].unit ** 2
            space_potential += fields[j].space_potential
            phi = run.voltage_device * fields[j].unit + fields[j].space_potential
            low, high = min(low, phi), max(high, phi)
    shift = 0.0
    if metals > 0:
        run.stale += apart - unit**2 / metals
        shift = high - low
    if not added:
        unit, space_potential = opened(state, grid, fields, model, site)
    elif metals > 0:
        unit, space_potential = unit / metals, space_potential / metals
    else:  # an isolated atom has its surroundings' potential; on the organic, that of the carriers below it
        below = beside(grid, site, x, y, z, 4)
        stands = state.sites[site].region != ORGANIC_REGION and state.sites[below].region == ORGANIC_REGION
        around = fields[below if stands else site]
        unit, space_potential = around.unit, around.space_potential
    if not state.sites[site].held:
        shift += bend(state, grid, fields, model, site, unit, space_potential)
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
def add_metal(state, grid, fields, model, site: int) -> int:
    """An atom of silver on an empty site; returns its entity."""
    entity = new_entity(state, grid, KIND_METAL, site)
    mark_metal(state, grid, fields, model, site, True)
    touch_around(state, grid, site)
    return entity


@kernel
def remove_metal(state, grid, fields, model, entity: int) -> None:
    """Take an atom of silver away."""
    site = index(state.entities[entity].site)
    drop_entity(state, grid, entity)
    mark_metal(state, grid, fields, model, site, False)
    touch_around(state, grid, site)
