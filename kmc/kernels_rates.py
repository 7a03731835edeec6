"""Rates of one entity on the grid, for `kmc.kernels`: where the formulas of `kmc.rates` meet State."""

from .cache import njit
from .model import NO_HOP
from .rates import forward_barrier, oxidation_barrier, reduction_barrier, thermal_rate
from .state import COUNTER_METAL, ELECTRODE_METAL, KIND_EMITTER, KIND_ION, KIND_METAL, METAL


@njit(_nrt=False, forceinline=True)
def neighbour(grid, site: int, direction: int) -> int:
    """Site next to `site`: directions 0..5 are -x, +x, -y, +y, -z, +z."""
    nx, ny = grid.nx, grid.ny
    if direction < 2:
        x = site % nx
        if direction == 0:
            return site - 1 if x > 0 else site + nx - 1
        return site + 1 if x < nx - 1 else site - nx + 1
    plane = nx * ny
    if direction < 4:
        y = site // nx % ny
        if direction == 2:
            return site - nx if y > 0 else site + plane - nx
        return site + nx if y < ny - 1 else site - plane + nx
    total = plane * grid.nz
    if direction == 4:
        if site >= plane:
            return site - plane
        return site + total - plane if grid.wrap_z else site
    if site < total - plane:
        return site + plane
    return site - total + plane if grid.wrap_z else site


@njit(_nrt=False, forceinline=True)
def pair_cell(grid, site: int) -> int:
    """Cell of four sites a side that holds a site."""
    x = site % grid.nx
    rest = site // grid.nx
    y, z = rest % grid.ny, rest // grid.ny
    return ((z // 4) * (grid.ny // 4) + y // 4) * (grid.nx // 4) + x // 4


@njit(_nrt=False)
def pair_energy(state, grid, model, site: int, entity: int) -> float:
    """Short-range energy of a unit charge at a site with all charges but `entity`, eV."""
    cx, cy, cz = grid.nx // 4, grid.ny // 4, grid.nz // 4
    x = site % grid.nx
    rest = site // grid.nx
    y, z = rest % grid.ny, rest // grid.ny
    reach = model.reach
    energy = 0.0
    for kz in range(max(z // 4 - 1, 0), min(z // 4 + 2, cz)):
        for ky in range(y // 4 - 1, y // 4 + 2):
            for kx in range(x // 4 - 1, x // 4 + 2):
                other = state.head[(kz * cy + ky % cy) * cx + kx % cx]
                while other >= 0:
                    if other != entity:
                        there = state.entities[other].site
                        dx = abs(there % grid.nx - x)
                        rest = there // grid.nx
                        dy = abs(rest % grid.ny - y)
                        dz = rest // grid.ny - z
                        dx, dy = min(dx, grid.nx - dx), min(dy, grid.ny - dy)
                        squared = dx * dx + dy * dy + dz * dz
                        if squared < reach:
                            energy += model.pair[squared]
                    other = state.entities[other].next
    return energy


@njit(_nrt=False)
def bonds_at(state, grid, model, site: int, without: int) -> tuple[float, int]:
    """Bond energy (eV, positive) a silver atom has at a site, leaving out site `without`; metal neighbours."""
    energy, metals = 0.0, 0
    for d in range(6):
        j = neighbour(grid, site, d)
        if j == without or j == site:
            continue
        cation = state.sites[j].cation
        if cation == METAL or cation == ELECTRODE_METAL:
            energy += model.bond
            metals += 1
        else:
            energy += model.adhesion[state.sites[j].region]
            if cation == COUNTER_METAL:
                metals += 1
    return energy, metals


@njit(_nrt=False)
def electron_potential(state, grid, fields, voltage: float, site: int) -> float:
    """Potential of the metal that gives or takes the electron: mean over metal neighbours, V.

    Without one the electron comes through the matrix, at the applied potential alone.
    """
    total, metals = 0.0, 0
    for d in range(6):
        j = neighbour(grid, site, d)
        if state.sites[j].cation >= METAL and j != site:
            total += voltage * fields[j].unit + fields[j].charge
            metals += 1
    return total / metals if metals > 0 else voltage * fields[site].unit


@njit(_nrt=False)
def redox(state, grid, fields, model, voltage: float, site: int, phi: float, oxidise: bool) -> float:
    """Rate of reduction of an ion at a site with room, or of oxidation of the atom there, 1/s.

    `phi` is what the ion feels at the site: for an atom, what it will feel once it is an ion.
    """
    bonds, metals = bonds_at(state, grid, model, site, -1)
    chemical = model.ion_energy[state.sites[site].region] + bonds
    field = phi - electron_potential(state, grid, fields, voltage, site)
    temperature = fields[site].temperature
    attempt = model.attempt if metals > 0 else model.attempt * model.isolated
    if oxidise:
        barrier = oxidation_barrier(model.reduction, chemical, field, model.transfer)
    else:
        barrier = reduction_barrier(model.reduction, chemical, field, model.transfer)
    return thermal_rate(attempt, barrier, temperature)


@njit(_nrt=False)
def open_potential(state, grid, fields, voltage: float, site: int) -> float:
    """Potential an ion would have on a metal site: mean over its non-metal neighbours, V."""
    total, n = 0.0, 0
    for d in range(6):
        j = neighbour(grid, site, d)
        if state.sites[j].cation < METAL:
            total += voltage * fields[j].unit + fields[j].charge
            n += 1
    return total / n if n > 0 else voltage * fields[site].unit + fields[site].charge


@njit(_nrt=False)
def ion_rates(state, grid, fields, model, voltage: float, entity: int) -> float:
    """Fill the channels of an ion: six hops, reduction, return into the electrode. Returns the total, 1/s."""
    site = state.entities[entity].site
    row = state.rates[entity]
    here = state.sites[site].region
    phi = voltage * fields[site].unit + fields[site].charge
    paired = model.reach > 0 and state.run[0].ions + state.run[0].vacancies > 1
    own = pair_energy(state, grid, model, site, entity) if paired else 0.0
    total = returning = 0.0
    for d in range(6):
        j = neighbour(grid, site, d)
        row[d] = 0.0
        cation = state.sites[j].cation
        if cation >= METAL:
            if cation == ELECTRODE_METAL:
                returning += electrode_rate(state, grid, fields, model, voltage, j, site, own, False)
            continue
        saddle = model.ion_barrier[here, state.sites[j].region]
        if saddle >= NO_HOP or j == site:
            continue
        energy = model.ion_energy[state.sites[j].region] - model.ion_energy[here]
        energy += voltage * fields[j].unit + fields[j].charge - phi
        if paired:
            energy += pair_energy(state, grid, model, j, entity) - own
        temperature = 0.5 * (fields[site].temperature + fields[j].temperature)
        row[d] = thermal_rate(model.ion_prefactor[here, state.sites[j].region], forward_barrier(saddle, energy, 0.5),
                              temperature)
        total += row[d]
    row[6] = 0.0
    if state.sites[site].room:
        row[6] = redox(state, grid, fields, model, voltage, site, phi + own, False)
    row[7] = returning
    return total + row[6] + row[7]


@njit(_nrt=False)
def electrode_rate(state, grid, fields, model, voltage: float, electrode: int, site: int, pair: float,
                   emit: bool) -> float:
    """Rate to ionise an atom of the electrode onto a site, or of its return, 1/s. The atom comes from a kink."""
    chemical = model.ion_energy[state.sites[site].region] - model.kink
    phi = voltage * fields[site].unit + fields[site].charge + pair
    field = phi - voltage * fields[electrode].unit - fields[electrode].charge
    temperature = fields[site].temperature
    if emit:
        barrier = oxidation_barrier(model.electrode, chemical, field, model.transfer)
    else:
        barrier = reduction_barrier(model.electrode, chemical, field, model.transfer)
    return thermal_rate(model.attempt, barrier, temperature)


@njit(_nrt=False)
def metal_rates(state, grid, fields, model, voltage: float, entity: int) -> float:
    """Fill the channels of a silver atom: six moves along the metal, oxidation. Returns the total, 1/s."""
    site = state.entities[entity].site
    row = state.rates[entity]
    row[:] = 0.0
    bonds, metals = bonds_at(state, grid, model, site, -1)
    total, free = 0.0, 0
    for d in range(6):
        j = neighbour(grid, site, d)
        if state.sites[j].cation >= METAL or j == site:
            continue
        free += 1
        if not state.sites[j].room:
            continue
        there, _ = bonds_at(state, grid, model, j, site)
        temperature = 0.5 * (fields[site].temperature + fields[j].temperature)
        barrier = model.diffusion + max(bonds - there, 0.0)
        row[d] = thermal_rate(model.attempt, barrier, temperature)
        total += row[d]
    if free == 0:
        return 0.0
    # Repulsion by near ions only lowers this rate: it thins the event when chosen (kernels.apply_metal).
    phi = open_potential(state, grid, fields, voltage, site)
    row[6] = redox(state, grid, fields, model, voltage, site, phi, True)
    return total + row[6]


@njit(_nrt=False)
def emitter_rates(state, grid, fields, model, voltage: float, entity: int) -> float:
    """Fill the channels of a surface site of the silver electrode: ionisation into each open neighbour.

    Repulsion by near ions only lowers these rates: it thins the event when chosen (kernels.apply_emitter).
    """
    electrode = state.entities[entity].site
    row = state.rates[entity]
    row[:] = 0.0
    total = 0.0
    for d in range(6):
        j = neighbour(grid, electrode, d)
        if state.sites[j].cation >= METAL or j == electrode or model.ion_barrier[state.sites[j].region, state.sites[j].region] >= NO_HOP:
            continue
        row[d] = electrode_rate(state, grid, fields, model, voltage, electrode, j, 0.0, True)
        total += row[d]
    cell = exchange_cell(state, grid, model, electrode)
    if cell >= 0:
        row[6] = exchange_rate(state, grid, fields, model, voltage, electrode, cell, 0.0, True)
    return total + row[6]


@njit(_nrt=False)
def exchange_cell(state, grid, model, electrode: int) -> int:
    """Halide site under an electrode site that exchanges vacancies with it, or -1: one electrode site a cell."""
    if not model.explicit_vacancies or model.exchange >= NO_HOP:
        return -1
    x = electrode % grid.nx
    rest = electrode // grid.nx
    y, z = rest % grid.ny, rest // grid.ny
    if x % 2 or y % 2 or z < 2:
        return -1
    cell = ((z - 1) // 2 * 2 * grid.ny + y) * grid.nx + x
    if state.sites[cell].cation >= METAL or model.vacancy_barrier[state.sites[cell].region, state.sites[cell].region] >= NO_HOP:
        return -1
    return cell


@njit(_nrt=False)
def exchange_electrode(state, grid, model, cell: int) -> int:
    """The electrode site that exchanges with a halide site, or -1: the reverse of `exchange_cell`."""
    plane = grid.nx * grid.ny
    for step in range(1, 3):
        site = cell + step * plane
        if site < state.sites.size and state.sites[site].cation == ELECTRODE_METAL:
            return site if exchange_cell(state, grid, model, site) == cell else -1
    return -1


@njit(_nrt=False)
def exchange_rate(state, grid, fields, model, voltage: float, electrode: int, cell: int, pair: float,
                  make: bool) -> float:
    """Rate of Ag + Br- -> AgBr + V + e- (make) or of its reverse at the silver electrode, 1/s."""
    field = voltage * fields[cell].unit + fields[cell].charge + pair
    field -= voltage * fields[electrode].unit + fields[electrode].charge
    chemical = model.exchange_energy + model.vacancy_energy[state.sites[cell].region]
    if make:
        barrier = oxidation_barrier(model.exchange, chemical, field, model.transfer)
    else:
        barrier = reduction_barrier(model.exchange, chemical, field, model.transfer)
    return thermal_rate(model.attempt, barrier, fields[cell].temperature)


@njit(_nrt=False)
def vacancy_rates(state, grid, fields, model, voltage: float, entity: int) -> float:
    """Fill the channels of a bromide vacancy: six hops of one cell. Returns the total, 1/s."""
    site = state.entities[entity].site
    row = state.rates[entity]
    row[:] = 0.0
    here = state.sites[site].region
    phi = voltage * fields[site].unit + fields[site].charge
    own = pair_energy(state, grid, model, site, entity) if model.reach > 0 else 0.0
    total = 0.0
    for d in range(6):
        j = neighbour(grid, neighbour(grid, site, d), d)
        saddle = model.vacancy_barrier[here, state.sites[j].region]
        if saddle >= NO_HOP or state.sites[j].cation >= METAL or j == site:
            continue
        energy = model.vacancy_energy[state.sites[j].region] - model.vacancy_energy[here]
        energy += voltage * fields[j].unit + fields[j].charge - phi
        if model.reach > 0:
            energy += pair_energy(state, grid, model, j, entity) - own
        temperature = 0.5 * (fields[site].temperature + fields[j].temperature)
        row[d] = thermal_rate(model.vacancy_prefactor[here, state.sites[j].region],
                              forward_barrier(saddle, energy, 0.5), temperature)
        total += row[d]
    electrode = exchange_electrode(state, grid, model, site)
    if electrode >= 0:
        row[6] = exchange_rate(state, grid, fields, model, voltage, electrode, site, own, False)
    return total + row[6]


@njit(_nrt=False)
def entity_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the rates of an entity and return their total, 1/s, regardless of exclusion."""
    voltage = state.run[0].voltage
    kind = state.entities[entity].kind
    if kind == KIND_ION:
        return ion_rates(state, grid, fields, model, voltage, entity)
    if kind == KIND_METAL:
        return metal_rates(state, grid, fields, model, voltage, entity)
    if kind == KIND_EMITTER:
        return emitter_rates(state, grid, fields, model, voltage, entity)
    return vacancy_rates(state, grid, fields, model, voltage, entity)
