"""First passage of the ion that an atom of metal becomes, for `kmc.kinetics.advance`.

Most ions return to their atom's site within nanoseconds. The first passage of an ion is an absorbing Markov chain
on the sites around its atom, in a frozen environment. The ion is absorbed when it is reduced, joins the electrode or
leaves the domain. The chain gives the return probability (Novotny, PRL 74, 1 (1995)). Ionisations that return are
left out; the others follow the chain conditioned on no return (Doob transform). Neglected are the duration of the
flight and the motion of other particles during it.
"""

from kmc.core.units import K_B
from kmc.ions.pair_energies import crowded, sum_pairs
from kmc.kinetics.ion_hops import ion_rates
from kmc.kinetics.local_response import drive, place, reach_of, shape
from kmc.system.composition_rejection import touch
from kmc.system.neighbours import beside, decode, index, inlined, kernel, opened, put
from kmc.system.parameter_tables import NO_HOP
from kmc.system.state import (
    ATOM_AT,
    CHANNELS,
    EMPTY,
    HOME,
    HOPS,
    INTO_ELECTRODE,
    ION_AT,
    KIND_METAL,
    METAL,
    REDUCTION,
    RETURN,
)

MARGIN = 1.25  # over the chance not to come back: it may grow so much before the thinned rate is too low
SETTLED = 1e-8
OVER = 1.35  # over-relaxation: about the fewest sweeps in the domains of a run (measured; 1.3 to 1.45)
MOST = 400  # sweeps
TOTAL, BACK = CHANNELS, CHANNELS + 1  # columns of `state.domain` after those of the channels


@kernel
def forget(state, grid, model, site: int) -> None:
    """Discard the known return probabilities of the atoms near a changed site."""
    reach = model.flight + 1
    if model.flight == 0:
        return
    x0, y0, z0 = decode(grid, site)
    # Of a window that is no wider each site once, none from more than a period away.
    wide, long = min(reach, grid.ny // 2), min(reach, grid.nx // 2)
    for z in range(max(z0 - reach, 0), min(z0 + reach + 1, grid.nz)):
        for b in range(min(2 * wide + 1, grid.ny)):
            for a in range(min(2 * long + 1, grid.nx)):
                j = place(grid, x0 - long + a, y0 - wide + b, z)
                entity = index(max(state.sites[j].entity, 0))
                atom = state.entities[entity]
                if atom.kind == KIND_METAL and atom.returns > 0.0:
                    atom.returns = 0.0
                    touch(state, entity)


@kernel
def flight(state, grid, fields, model, generator, entity: int) -> tuple[int, int]:
    """Draw how and where the first passage of an ionising atom's ion ends; HOME where it returns.

    Changes nothing but the return probability that is kept for the atom.
    """
    atom = state.entities[entity]
    site = index(atom.site)
    lift(state, grid, fields, model, site, 1.0)
    state.sites[site].cation = EMPTY
    away = leaving(state, grid, fields, model, entity, site, state.domain[0])
    state.sites[site].cation = METAL
    lift(state, grid, fields, model, site, -1.0)
    if generator.random() * (1.0 - atom.returns) >= away:
        atom.returns = bound_on(away)
        touch(state, entity)
        return HOME, site
    return walk(state, grid, model, generator, site, state.domain[0])


@inlined
def bound_on(away: float) -> float:
    """The return probability that a rate may leave out, for a current escape probability `away`."""
    return max(0.0, 1.0 - MARGIN * away)


@kernel
def leaving(state, grid, fields, model, entity: int, site: int, domain) -> float:
    """The escape probability of an atom's ion; `domain`, a row of the State's, receives its Markov chain.

    The site must be empty, with the potentials of an empty site; `entity` stands in for the ion.
    """
    side = 2 * model.flight + 3
    tabulate(state, grid, fields, model, entity, site, domain)
    solve_back(domain, side)
    return 1.0 - domain[side * side * side // 2, BACK]


@kernel
def lift(state, grid, fields, model, site: int, way: float) -> None:
    """Give the sites around an atom the potentials without it (way 1), or what they were (-1)."""
    middle = state.kept.shape[0] // 2
    if way > 0.0:
        here = fields[site]
        unit, space_potential = opened(state, grid, fields, model, site)
        shift = drive(state, grid, fields, model, site, unit, space_potential, False)
        reach = reach_of(grid, shift, K_B * here.temperature)
        state.kept[middle, 2] = reach
        shape(state, grid, fields, model, site, reach, (unit, space_potential), False)
    reach = int(state.kept[middle, 2])
    side = 2 * reach + 3
    x0, y0, z0 = decode(grid, site)
    k = 0
    for c in range(-reach, reach + 1):
        for b in range(-reach, reach + 1):
            for a in range(-reach, reach + 1):
                row = state.bend[((c + reach + 1) * side + b + reach + 1) * side + a + reach + 1]
                own = a == 0 and b == 0 and c == 0
                if own or row[0] > 0.0:
                    there = fields[place(grid, x0 + a, y0 + b, z0 + c)]
                    if way > 0.0:
                        state.kept[k, 0], state.kept[k, 1] = there.unit, there.space_potential
                        there.unit = unit if own else there.unit + row[6]
                        there.space_potential = space_potential if own else there.space_potential + row[7]
                    else:
                        there.unit, there.space_potential = state.kept[k, 0], state.kept[k, 1]
                k += 1


@kernel
def tabulate(state, grid, fields, model, entity: int, site: int, domain) -> None:
    """What the ion does next on each site of the domain, in `domain`, a box with an empty shell.

    The atom's entity stands in for the ion, so that the charges around are seen and it itself is not; its own
    site is empty.
    """
    reach = model.flight
    x0, y0, z0 = decode(grid, site)
    lone = not crowded(state, grid, x0, y0, z0, reach)
    if lone:
        sum_pairs(state, grid, model, entity, 1)  # nil on all sites
    k = 0
    for c in range(-reach - 1, reach + 2):
        for b in range(-reach - 1, reach + 2):
            for a in range(-reach - 1, reach + 2):
                row = domain[k]
                k += 1
                row[TOTAL], row[BACK] = 0.0, 0.0
                inner = abs(a) <= reach and abs(b) <= reach and abs(c) <= reach
                if inner and 0 < z0 + c < grid.nz - 1:
                    i = place(grid, x0 + a, y0 + b, z0 + c)
                    region = state.sites[i].region
                    if state.sites[i].cation == EMPTY and model.ion_barrier[region, region] < NO_HOP:
                        put(state, grid, entity, i)
                        copy_rates(state, grid, fields, model, entity, i, row, lone)
    put(state, grid, entity, site)


@kernel
def copy_rates(state, grid, fields, model, entity: int, site: int, row, lone: bool) -> None:
    """Chances of what the ion does next on a site, no hop into a taken one; TOTAL is 1 if there are any.

    lone: its pair energies are known to be nil.
    """
    if not lone:
        sum_pairs(state, grid, model, entity, 1)
    ion_rates(state, grid, fields, model, entity)
    x, y, z = decode(grid, site)
    total = 0.0
    for d in range(CHANNELS):
        row[d] = state.rates[entity, d]
        if d < HOPS and state.sites[beside(grid, site, x, y, z, d)].cation != EMPTY:
            row[d] = 0.0
        total += row[d]
    if total > 0.0:
        row[TOTAL], row[BACK] = 1.0, 1.0  # most come back: from above it settles sooner
        part = 1.0 / total
        for d in range(CHANNELS):
            row[d] *= part


@inlined
def stride(side: int, direction: int) -> int:
    """What a hop adds to the place in the box."""
    if direction < 2:
        return 2 * direction - 1
    if direction < 4:
        return (2 * direction - 5) * side
    return (2 * direction - 9) * side * side


@kernel
def solve_back(domain, side: int) -> None:
    """Column BACK: the chance to be reduced on the middle site, from each site.

    Successive over-relaxation of the two colours of a chessboard, each of which sees the other alone (Young,
    Trans. Am. Math. Soc. 76, 92 (1954)); a chain in detailed balance converges.
    """
    for _ in range(MOST):
        if max(relax_colour(domain, side, 0), relax_colour(domain, side, 1)) < SETTLED:
            return


@inlined
def relax_colour(domain, side: int, colour: int) -> float:
    """One sweep over half of the inner sites; returns the largest change."""
    plane, home, change = side * side, side * side * side // 2, 0.0
    for c in range(1, side - 1):
        for b in range(1, side - 1):
            for a in range(1 + (b + c + colour) % 2, side - 1, 2):
                k = index((c * side + b) * side + a)
                row = domain[k]
                if row[TOTAL] == 0.0:
                    continue
                back = row[0] * domain[index(k - 1), BACK] + row[1] * domain[index(k + 1), BACK]
                back += row[2] * domain[index(k - side), BACK] + row[3] * domain[index(k + side), BACK]
                back += row[4] * domain[index(k - plane), BACK] + row[5] * domain[index(k + plane), BACK]
                if k == home:
                    back += row[REDUCTION]
                step = OVER * (back - row[BACK])
                row[BACK] = min(row[BACK] + step, 1.0)
                change = max(change, abs(step))
    return change


@kernel
def walk(state, grid, model, generator, site: int, domain) -> tuple[int, int]:
    """Sample the walk of an ion from the middle of the box, conditioned on no return; how and where it ends."""
    side = 2 * model.flight + 3
    home = k = index(side * side * side // 2)
    while True:
        row = domain[k]
        rest = generator.random() * row[TOTAL] * (1.0 - row[BACK])
        x, y, z = decode(grid, site)
        for d in range(CHANNELS):
            weight = row[d]
            if d < HOPS and weight > 0.0:
                weight *= 1.0 - domain[k + stride(side, d), BACK]
            elif d == REDUCTION and k == home:
                weight = 0.0
            if rest >= weight or weight == 0.0:
                rest -= weight
                continue
            if d == REDUCTION:
                return ATOM_AT, site
            if d == RETURN:
                return INTO_ELECTRODE, site
            k += stride(side, d)
            site = beside(grid, site, x, y, z, d)
            if domain[k, TOTAL] == 0.0:
                return ION_AT, site
            break
