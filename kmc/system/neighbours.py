"""What lies near a site: neighbours, bonds, and potentials of near metal.

A site is index (z ny + y) nx + x; directions 0..5 are -x, +x, -y, +y, -z, +z. Sites and entities are int64 in
the kernels whatever their width in the arrays: numba compiles each function again for each integer type.
"""

import numpy as np

from kmc.core.jit_cache import njit
from kmc.system.parameter_tables import METAL_FACE, NO_HOP, ORGANIC_REGION
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, EPOCH, IN_FILAMENT, IN_STUMP, METAL, ON_WAY

# Chance that a walk from a site comes back before it meets metal, by the number of open neighbours: far from
# metal Watson's integral; on a plane of metal, half a site away, 1/7 by its image; else as a box of 41 sites
# has it, in a pit, on an edge, at a kink and the corner of a column's top (0.060 to 0.080: between them), and
# at the end of a row.
RETURNS = (0.0, 0.018, 0.040, 0.068, 0.093, 1.0 / 7.0, 0.340537)

# Without reference counting (it cost a factor of 7) and without a branch for each division by zero.
kernel = njit(_nrt=False, error_model="numpy")
inlined = njit(_nrt=False, error_model="numpy", forceinline=True)


@inlined
def index(n: int) -> np.int64:
    """A site, entity or group as an int64 that is plainly not negative: no code for indices from the end."""
    return np.int64(np.uint32(n))


@inlined
def decode(grid, site: int) -> tuple[np.int64, np.int64, np.int64]:
    """Coordinates x, y, z of a site."""
    nx, ny = np.uint32(grid.nx), np.uint32(grid.ny)
    rest = np.uint32(site) // nx
    z = rest // ny
    return np.int64(np.uint32(site) - rest * nx), np.int64(rest - z * ny), np.int64(z)


@inlined
def place_of(state, entity: int) -> tuple[np.int64, np.int64, np.int64]:
    """Coordinates x, y, z of an entity."""
    here = state.entities[entity]
    return np.int64(here.x), np.int64(here.y), np.int64(here.z)


@inlined
def put(state, grid, entity: int, site: int) -> None:
    """Write down where an entity is."""
    here = state.entities[entity]
    here.site = site
    here.x, here.y, here.z = decode(grid, site)


@inlined
def beside(grid, site: int, x: int, y: int, z: int, direction: int) -> int:
    """Site next to the one at x, y, z; the site itself where the lattice ends in z."""
    nx, plane = grid.nx, grid.nx * grid.ny
    if direction == 0:
        return index(site - 1 if x > 0 else site + nx - 1)
    if direction == 1:
        return index(site + 1 if x < nx - 1 else site - nx + 1)
    if direction == 2:
        return index(site - nx if y > 0 else site + plane - nx)
    if direction == 3:
        return index(site + nx if y < grid.ny - 1 else site - plane + nx)
    if direction == 4:
        return index(site - plane if z > 0 else site)
    return index(site + plane if z < grid.nz - 1 else site)


@kernel
def outdate(state, grid, box) -> None:
    """Rates of an ion on the sites of a box (y, x periodic) are no longer what `state.table` has."""
    z0, z1, y0, y1, x0, x1 = box
    for z in range(max(z0, 0), min(z1, grid.nz)):
        for y in range(y0, y1):
            row, x = (z * grid.ny + y % grid.ny) * grid.nx, x0 % grid.nx
            for _ in range(x1 - x0):
                state.table[index(row + x), EPOCH] = 0.0
                x = x + 1 if x < grid.nx - 1 else 0


@kernel
def neighbour(grid, site: int, direction: int) -> int:
    """Site next to `site`."""
    x, y, z = decode(grid, site)
    return beside(grid, site, x, y, z, direction)


@kernel
def two_steps(grid, site: int, direction: int) -> int:
    """Site two steps from `site`: the next halide site."""
    return neighbour(grid, neighbour(grid, site, direction), direction)


@kernel
def bonds_at(state, grid, model, site: int, without: int) -> tuple[float, int]:
    """Bond energy (eV, positive) of a silver atom at a site while site `without` is empty; metal neighbours.

    A bond between two atoms takes the place of the adhesion of each to the other's site (Dupre): so the
    energy of a configuration does not depend on the way it was reached.
    """
    energy, metals = 0.0, 0
    lost = model.adhesion[state.sites[site].region]
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if j == site:
            continue
        cation = state.sites[j].cation
        if j != without and (cation == METAL or cation == ELECTRODE_METAL):
            energy += model.bond - lost
            metals += 1
        else:
            energy += model.adhesion[state.sites[j].region]
            if cation == COUNTER_METAL:
                metals += 1
    return energy, metals


@inlined
def small_cell(grid, x: int, y: int, z: int) -> int:
    """The cell of 2^3 sites at x, y, z."""
    return ((z // 2) * (grid.ny // 2) + y // 2) * (grid.nx // 2) + x // 2


@inlined
def face_to(state, model, region: int, j: int) -> float:
    """Permittivity of the face from a site of `region` to site j: half a cell where that is metal."""
    there = METAL_FACE if state.sites[j].cation >= METAL else np.int64(state.sites[j].region)
    return model.face[region, there]


@kernel
def opened(state, grid, fields, model, site: int) -> tuple[float, float]:
    """Unit and charge potential that a metal site would have without its atom: Poisson's equation there, V.

    It holds its `source` then: else an ion would come to it with its vacancies and leave without them. Its
    open neighbours are where the atom holds them, by a face of half a cell. They will follow, to a face of a
    whole one: RETURNS of a change comes back from them. Those of the sheet of carriers follow nobody.
    """
    here = fields[site]
    region = np.int64(state.sites[site].region)
    x, y, z = decode(grid, site)
    weights, free, n = 0.0, 0.0, 0
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        weight = face_to(state, model, region, j)
        weights += weight
        if follows(state, j):
            free += weight
            n += 1
    if state.sites[site].held:
        return here.unit, here.space_potential
    back = RETURNS[n] * weights / free if n > 0 else 0.0
    unit, space_potential = 0.0, 0.0
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        weight = face_to(state, model, region, j)
        if follows(state, j):
            ratio = without(state, model, j, region)  # a neighbour of more permittivity follows less
            weight *= 1.0 + 2.0 * (1.0 - 1.0 / ratio) * back
        unit += weight * (fields[j].unit - here.unit)
        space_potential += weight * (fields[j].space_potential - here.space_potential)
    own = weights * (1.0 - RETURNS[n])
    return here.unit + unit / own, here.space_potential + (space_potential + here.source) / own


@inlined
def follows(state, j: int) -> bool:
    """Whether the potential of a site is solved for, not given by metal or an electrode."""
    return state.sites[j].cation < METAL and not state.sites[j].held


@inlined
def without(state, model, j: int, region: int) -> float:
    """The face of site j to metal, over that to a site of `region` without it."""
    there = np.int64(state.sites[j].region)
    return model.face[there, METAL_FACE] / model.face[there, region]


@kernel
def open_potential(state, grid, fields, model, site: int) -> float:
    """Potential an ion would have on a metal site, V."""
    unit, space_potential = opened(state, grid, fields, model, site)
    return state.run[0].voltage_device * unit + space_potential


@kernel
def parted(sites, grid, site: int) -> bool:
    """Whether removing the atom of a site disconnects the metal around it, judged from nearby sites alone."""
    x, y, z = decode(grid, site)
    near, joined = 0, 0  # bits of directions: metal beside the site; of these what is joined to the first
    for d in range(6):
        if sites[beside(grid, site, x, y, z, d)].cation >= METAL:
            near |= 1 << d
            joined = joined if joined else 1 << d
    for _ in range(5):  # the longest way from one of six to another
        for d in range(6):
            j = beside(grid, site, x, y, z, d)
            for e in range(6):
                if not joined >> d & 1 or not near >> e & 1 or e // 2 == d // 2:
                    continue
                if sites[neighbour(grid, j, e)].cation >= METAL:
                    joined |= 1 << e
    return joined != near


@kernel
def by_neck(state, grid, site: int, added: bool) -> bool:
    """Whether an atom ends a way through a closed filament, or belongs to it within tunnelling of its neck.

    Without one that is on no way the neck is as wide as before; what makes it wider is by it. Of an open one:
    whether it falls apart or loses its foot in the organic, so that what tunnels has another end.
    """
    x, y, z = decode(grid, site)
    foot = not added and state.sites[site].region == ORGANIC_REGION  # what stands on it may have no other
    stump = not added and state.bridge[site] == IN_STUMP
    if added:
        state.bridge[site] = 0
    for d in range(6 if added or foot else 0):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation != METAL or state.bridge[j] == 0:
            continue
        if foot and state.bridge[j] == ON_WAY:
            return True
        if foot:
            stump = stump or state.bridge[j] == IN_STUMP
        elif state.bridge[site] != IN_FILAMENT:
            state.bridge[site] = IN_STUMP if state.bridge[j] == IN_STUMP else IN_FILAMENT
    mark, near = state.bridge[site], state.run[0].neck_low <= z <= state.run[0].neck_high
    if stump and parted(state.sites, grid, site):
        return True
    return 0 < mark < IN_STUMP and (near or (not added and mark == ON_WAY))


@kernel
def exchange_cell(state, grid, model, electrode: int) -> int:
    """Halide site under an electrode site that exchanges vacancies with it, or -1: one site a cell."""
    if not model.explicit_vacancies or model.exchange >= NO_HOP:
        return -1
    x, y, z = decode(grid, electrode)
    if x % 2 or y % 2 or z < 2:
        return -1
    cell = ((z - 1) // 2 * 2 * grid.ny + y) * grid.nx + x
    if z % 2 == 0 and state.sites[cell + grid.nx * grid.ny].cation == ELECTRODE_METAL:
        return -1  # the electrode site in between is the one
    region = state.sites[cell].region
    if state.sites[cell].cation >= METAL or model.vacancy_barrier[region, region] >= NO_HOP:
        return -1
    return cell


@kernel
def exchange_electrode(state, grid, model, cell: int) -> int:
    """The electrode site that exchanges with a halide site, or -1: the reverse of `exchange_cell`."""
    plane = grid.nx * grid.ny
    for step in range(1, 3):
        site = cell + step * plane
        if site < state.sites.size and state.sites[site].cation == ELECTRODE_METAL:
            return site if exchange_cell(state, grid, model, site) == cell else -1
    return -1
