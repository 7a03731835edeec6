"""Frozen-environment walks of single silver adatoms, for `kmc.kinetics.advance`.

An adatom with one bond ionises some ten million times a second, and its ion is reduced again a site or two further
on. The walk moves one such atom for a time slice, exponential with mean `model.stroll`, while all other particles
are frozen. Each step is a mean residence time followed by an exact first passage (`kmc.kinetics.first_passage`).
The atom is then placed at the end of its walk, and waits there for the walk's duration. Each atom sees the actual
positions of the others, so that two atoms meet as often as if both moved simultaneously. Neglected is the motion of
other particles within a slice, as for ions (`kmc.kinetics.frozen_ion_walks`).
"""

from kmc.ions.pair_energies import pair_energy
from kmc.kinetics.event_rates import metal_hops
from kmc.kinetics.first_passage import bound_on, leaving, walk
from kmc.kinetics.redox_rates import redox
from kmc.system.neighbours import beside, decode, index, inlined, kernel
from kmc.system.state import ATOM_AT, EMPTY, HOME, VISITS

SLOW = 0.1  # of a slice's rate: an atom that would stay for ten slices leaves by an ordinary event
MOST_STEPS = 5.0  # mean of a walk: where rates are high, as in hot silver, the neighbours move as fast


@kernel
def stroll(state, grid, fields, model, generator, slot: int, site: int) -> tuple[int, int, int, float, float]:
    """Walk an atom from `site` for one slice, or until its ion's first passage ends other than as an atom.

    The site is still empty; `slot`: a free entity, for the ion. Returns the last site; how the walk ends (HOME: as an
    atom there) and the ion's target; its duration, s; the return probability that the atom's rate may leave out.
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
    """Index of a site among the first `known` visited ones, or `known`."""
    for k in range(known):
        if state.visits[k].site == site:
            return k
    return known


@kernel
def visit(state, grid, fields, model, slot: int, site: int, k: int, least: float) -> bool:
    """Keep the rates of an atom on a site as visit k; False where its ionisation rate is below `least`, 1/s."""
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
