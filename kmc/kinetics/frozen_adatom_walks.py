"""The way of one atom of silver for a while, all else at rest, for `kmc.kinetics.advance`.

An atom with one bond leaves its place some ten million times a second: its ion is reduced again a site or
two further on. For a slice of time, exponential with the mean `model.stroll`, such an atom goes its way by
itself, each step an exact flight (`kmc.kinetics.first_passage`) after the time that the atom stays; only then is it
told where it stands, and it waits for the time that its way took. So two atoms meet as often as if both moved
at once, for each sees where the other is. What is neglected is what others do within a slice, as for ions
(`kmc.kinetics.frozen_ion_walks`).
"""

from kmc.ions.pair_energies import pair_energy
from kmc.kinetics.event_rates import metal_hops
from kmc.kinetics.first_passage import bound_on, leaving, walk
from kmc.kinetics.redox_rates import redox
from kmc.system.neighbours import beside, decode, index, inlined, kernel
from kmc.system.state import ATOM_AT, EMPTY, HOME, VISITS

SLOW = 0.1  # of a slice's rate: an atom that stays for ten slices leaves as by any event
MOST_STEPS = 5.0  # in the mean: where all is faster, as in hot silver, others are, too


@kernel
def stroll(state, grid, fields, model, generator, slot: int, site: int) -> tuple[int, int, int, float, float]:
    """Where an atom that comes to a site is after a slice, or before its ion leaves the atoms' sites.

    The site is still empty; `slot`: one that is free, for the ion. Returns the site; how it goes on (HOME: it
    is there) and where to; the time of its way, s; the chance to come back that its rate may leave out.
    """
    often, clock, known = 1.0 / model.stroll, 0.0, 0
    while True:
        k = visited(state, site, known)
        if k == known:
            known = 1 if known == VISITS else known + 1
            k = known - 1
            if not visit(state, grid, fields, model, slot, site, k, SLOW * often):
                return site, HOME, site, clock, 0.0
        here = state.visits[k]
        total = here.hops + here.leave
        if total < SLOW * often:
            return site, HOME, site, clock, bound_on(here.away)
        if clock == 0.0:
            often = max(often, total / MOST_STEPS)
        clock += 1.0 / (total + often)
        rest = generator.random() * (total + often)
        if rest >= total:
            return site, HOME, site, clock, bound_on(here.away)
        state.run[0].events += 1
        if rest < here.hops:
            site = hopped(state, grid, fields, model, slot, site, rest)
            continue
        how, target = walk(state, grid, model, generator, site, state.domain[k])
        if how != ATOM_AT:
            return site, how, target, clock, 0.0
        site = target


@inlined
def visited(state, site: int, known: int) -> int:
    """Which of the first `known` places a site is, or `known`."""
    for k in range(known):
        if state.visits[k].site == site:
            return k
    return known


@kernel
def visit(state, grid, fields, model, slot: int, site: int, k: int, least: float) -> bool:
    """Write down as place k what an atom on a site does; False where its rate to become an ion is too low."""
    here, there = state.visits[k], fields[site]
    phi = state.run[0].voltage_device * there.unit + there.space_potential + pair_energy(state, grid, model, site)
    rate = redox(state, grid, fields, model, site, phi, True)
    here.site = site
    if rate < least:
        return False
    here.away = leaving(state, grid, fields, model, slot, site, state.domain[k])
    here.leave = rate * here.away
    here.hops = metal_hops(state, grid, fields, model, site, state.rates[slot])
    return True


@kernel
def hopped(state, grid, fields, model, slot: int, site: int, rest: float) -> int:
    """The site to which an atom moves along the metal, for a draw below the sum of its hops."""
    metal_hops(state, grid, fields, model, site, state.rates[slot])
    x, y, z = decode(grid, site)
    for d in range(6):
        if rest < state.rates[slot, d]:
            target = beside(grid, site, x, y, z, d)
            return target if state.sites[target].cation == EMPTY else site
        rest -= state.rates[slot, d]
    return index(site)
