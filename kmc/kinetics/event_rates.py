"""Rates of the events of any entity on the lattice, by the formulas of `kmc.system.rate_laws`."""

from kmc.ions.pair_energies import pair_energy
from kmc.kinetics.ion_hops import ion_rates, vacancy_rates
from kmc.kinetics.redox_rates import crowding, electrode_rate, exchange_rate, redox
from kmc.system.neighbours import beside, bonds_at, decode, exchange_cell, index, inlined, kernel, open_potential
from kmc.system.parameter_tables import NO_HOP
from kmc.system.rate_laws import thermal_rate
from kmc.system.state import EXCHANGE, HOPS, KIND_EMITTER, KIND_ION, KIND_METAL, KIND_VACANCY, METAL, NO_WAIT, OXIDATION


@kernel
def metal_hops(state, grid, fields, model, site: int, row) -> float:
    """Rates at which a silver atom on a site moves along the metal, into `row`; returns their sum, 1/s."""
    bonds, _ = bonds_at(state, grid, model, site, -1)
    x, y, z = decode(grid, site)
    total = 0.0
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        row[d] = 0.0
        if state.sites[j].cation >= METAL or j == site or not state.sites[j].room:
            continue
        there, _ = bonds_at(state, grid, model, j, site)
        barrier = model.diffusion + max(bonds - there, 0.0)
        barrier += max(crowding(state, model, site), crowding(state, model, j))
        temperature = 0.5 * (fields[site].temperature + fields[j].temperature)
        row[d] = thermal_rate(model.attempt, barrier, temperature)
        total += row[d]
    return total


@kernel
def metal_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the channels of a silver atom: six moves along the metal, oxidation. Returns the total, 1/s."""
    site = index(state.entities[entity].site)
    row = state.rates[entity]
    total = metal_hops(state, grid, fields, model, site, row)
    # Repulsion by near ions only lowers this rate: it thins the event when chosen (see `survives`).
    row[OXIDATION] = redox(state, grid, fields, model, site, open_potential(state, grid, fields, model, site), True)
    row[OXIDATION] *= 1.0 - state.entities[entity].returns
    row[7] = 0.0
    return total + row[OXIDATION]


@kernel
def emitter_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the channels of a surface site of the electrode: ionisation into each open neighbour, exchange.

    Repulsion by near ions only lowers these rates: it thins the event when chosen (see `survives`).
    """
    electrode = index(state.entities[entity].site)
    row = state.rates[entity]
    x, y, z = decode(grid, electrode)
    total = 0.0
    for d in range(6):
        j = beside(grid, electrode, x, y, z, d)
        region = state.sites[j].region
        row[d] = 0.0
        if state.sites[j].cation < METAL and model.ion_barrier[region, region] < NO_HOP:
            row[d] = electrode_rate(state, fields, model, electrode, j, 0.0, True)
            total += row[d]
    cell = exchange_cell(state, grid, model, electrode)
    row[EXCHANGE] = exchange_rate(state, fields, model, electrode, cell, 0.0, True) if cell >= 0 else 0.0
    row[7] = 0.0
    return total + row[EXCHANGE]


@inlined
def entity_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the rates of an entity and return their total, 1/s, regardless of exclusion; 0 for a free slot."""
    kind = state.entities[entity].kind
    if state.entities[entity].ahead != NO_WAIT:
        return state.rates[entity, 0]
    if kind == KIND_ION:
        return ion_rates(state, grid, fields, model, entity)
    if kind == KIND_METAL:
        return metal_rates(state, grid, fields, model, entity)
    if kind == KIND_EMITTER:
        return emitter_rates(state, grid, fields, model, entity)
    if kind == KIND_VACANCY:
        return vacancy_rates(state, grid, fields, model, entity)
    return 0.0


@kernel
def survives(state, grid, fields, model, entity: int, channel: int, target: int, rest: float) -> bool:
    """Whether a new charge on `target` survives the repulsion of near ones; `rest` is uniform below its rate.

    Atoms and emitters are not refreshed when ions move nearby: their rates leave repulsion out.
    """
    site = index(state.entities[entity].site)
    pair = pair_energy(state, grid, model, target)
    if pair == 0.0:
        return True
    if state.entities[entity].kind == KIND_METAL:
        phi = open_potential(state, grid, fields, model, site) + pair
        return rest < redox(state, grid, fields, model, site, phi, True)
    if channel < HOPS:
        return rest < electrode_rate(state, fields, model, site, target, pair, True)
    return rest < exchange_rate(state, fields, model, site, target, pair, True)
