"""Rates of the events of one entity on the lattice, by the formulas of `kmc.system.rate_laws`."""

import math

from kmc.core.units import K_B
from kmc.ions.pair_energies import pair_energy
from kmc.kinetics.electron_transfer import insertion, transfer_rate
from kmc.system.neighbours import (
    beside,
    bonds_at,
    decode,
    exchange_cell,
    exchange_electrode,
    index,
    inlined,
    kernel,
    open_potential,
    place_of,
    small_cell,
    two_steps,
)
from kmc.system.parameter_tables import NO_HOP
from kmc.system.rate_laws import (
    exponential,
    forward_barrier,
    oxidation_barrier,
    reduction_barrier,
    thermal_rate,
)
from kmc.system.state import (
    ELECTRODE_METAL,
    EXCHANGE,
    FILLING,
    HOPS,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    METAL,
    NO_WAIT,
    OWN,
    OXIDATION,
    REDUCTION,
    RETURN,
    SIDES,
)


@inlined
def crowding(state, model, site: int) -> float:
    """Rise of the barriers of a metal atom on a site where it must push ligand chains aside, eV."""
    return insertion(model, state.sites[site].room)


@kernel
def redox(state, grid, fields, model, site: int, phi: float, oxidise: bool) -> float:
    """Rate of reduction of an ion at a site with room, or of oxidation of the atom there, 1/s.

    `phi` is what the ion feels at the site: for an atom, what it will feel once it is an ion. Each metal
    neighbour is a channel with a like share of the attempts and electrons at its own potential; without one
    each side's nearest source is, with what tunnelling leaves.
    """
    bonds, metals = bonds_at(state, grid, model, site, -1)
    here = state.sites[site]
    chemical = model.ion_energy[here.region] + bonds
    warmth = fields[site].temperature
    x, y, z = decode(grid, site)
    voltage_device = state.run[0].voltage_device
    known, rate, total = math.nan, 0.0, 0.0
    if metals == 0:
        for side in range(SIDES):
            source = state.supply[side, small_cell(grid, x, y, z)]
            if source.left > 0.0:
                energies = chemical, phi - voltage_device * source.unit - source.space_potential
                attempt = model.attempt * model.isolated * source.left
                total += transfer_rate(model, here, attempt, energies, warmth, oxidise)
        return total
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation >= METAL and j != site:
            given = voltage_device * fields[j].unit + fields[j].space_potential
            if given != known:  # without a current a cluster has one potential
                energies = chemical, phi - given
                rate = transfer_rate(model, here, model.attempt, energies, warmth, oxidise)
                known = given
            total += rate
    return total / metals


@kernel
def electrode_rate(state, fields, model, electrode: int, site: int, pair: float, emit: bool) -> float:
    """Rate to ionise an atom of the electrode onto a site, or of its return, 1/s; it comes from a kink."""
    voltage_device = state.run[0].voltage_device
    chemical = model.ion_energy[state.sites[site].region] - model.kink
    field = voltage_device * fields[site].unit + fields[site].space_potential + pair
    field -= voltage_device * fields[electrode].unit + fields[electrode].space_potential
    if emit:
        barrier = oxidation_barrier(model.electrode, chemical, field, model.transfer)
    else:
        barrier = reduction_barrier(model.electrode, chemical, field, model.transfer)
    return thermal_rate(model.attempt, barrier, fields[site].temperature)


@kernel
def exchange_rate(state, fields, model, electrode: int, cell: int, pair: float, make: bool) -> float:
    """Rate of Ag + Br- -> AgBr + V + e- (make) or of its reverse at the silver electrode, 1/s."""
    voltage_device = state.run[0].voltage_device
    field = voltage_device * fields[cell].unit + fields[cell].space_potential + pair
    field -= voltage_device * fields[electrode].unit + fields[electrode].space_potential
    chemical = model.exchange_energy + model.vacancy_energy[state.sites[cell].region]
    if make:
        barrier = oxidation_barrier(model.exchange, chemical, field, model.transfer)
    else:
        barrier = reduction_barrier(model.exchange, chemical, field, model.transfer)
    return thermal_rate(model.attempt, barrier, fields[cell].temperature)


@kernel
def hop_rates(row, factors) -> float:
    """Turn exponents in a row into rates; returns their sum, 1/s. No literal size: so it is vectorised."""
    for d in range(row.size):
        row[d] = factors[d] * exponential(row[d])
    total = 0.0
    for d in range(6):
        total += row[d]
    return total


@inlined
def ion_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the channels of an ion: six hops, reduction, return into the electrode. Returns the total, 1/s."""
    site = index(state.entities[entity].site)
    row = state.rates[entity]
    voltage_device = state.run[0].voltage_device
    here = state.sites[site].region
    phi = voltage_device * fields[site].unit + fields[site].space_potential
    warmth = fields[site].temperature
    paired = model.reach > 0  # else the row of `pairs` is not even fetched
    own = model.screen[here] * state.pairs[entity, OWN] if paired else 0.0
    x, y, z = place_of(state, entity)
    electrodes = 0
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        there, cation = state.sites[j].region, state.sites[j].cation
        electrodes += cation == ELECTRODE_METAL
        exponent = 0.0
        state.factors[d] = 0.0
        saddle = model.ion_barrier[here, there]
        if cation < METAL and saddle < NO_HOP and j != site:
            energy = model.ion_energy[there] - model.ion_energy[here]
            energy += voltage_device * fields[j].unit + fields[j].space_potential - phi
            if paired:
                energy += model.screen[there] * state.pairs[entity, d] - own
            exponent = -forward_barrier(saddle, energy, 0.5) / (0.5 * K_B * (warmth + fields[j].temperature))
            state.factors[d] = model.ion_prefactor[here, there]
        row[d] = exponent
    row[REDUCTION], row[RETURN] = 0.0, 0.0
    total = hop_rates(row, state.factors)
    row[REDUCTION] = redox(state, grid, fields, model, site, phi + own, False) if state.sites[site].room else 0.0
    row[RETURN] = returning(state, grid, fields, model, site, own) if electrodes > 0 else 0.0
    return total + row[REDUCTION] + row[RETURN]


@kernel
def returning(state, grid, fields, model, site: int, pair: float) -> float:
    """Rate at which an ion beside the silver electrode joins it, over all its electrode neighbours, 1/s."""
    total = 0.0
    region = state.sites[site].region
    if model.ion_barrier[region, region] >= NO_HOP:
        return total
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation == ELECTRODE_METAL:
            total += electrode_rate(state, fields, model, j, site, pair, False)
    return total


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


@kernel
def vacancy_rates(state, grid, fields, model, entity: int) -> float:
    """Fill the channels of a bromide vacancy: six hops of one cell, filling. Returns the total, 1/s.

    Metal that grew over a vacancy holds it there, as it keeps others out.
    """
    site = index(state.entities[entity].site)
    row = state.rates[entity]
    voltage_device = state.run[0].voltage_device
    here = state.sites[site].region
    free = state.sites[site].cation < METAL
    phi = voltage_device * fields[site].unit + fields[site].space_potential
    paired = model.reach > 0
    own = model.screen[here] * state.pairs[entity, OWN] if paired else 0.0
    total = 0.0
    for d in range(6):
        j = two_steps(grid, site, d)
        there = state.sites[j].region
        saddle = model.vacancy_barrier[here, there]
        rate = 0.0
        if free and saddle < NO_HOP and state.sites[j].cation < METAL and j != site:
            energy = model.vacancy_energy[there] - model.vacancy_energy[here]
            energy += voltage_device * fields[j].unit + fields[j].space_potential - phi
            if paired:
                energy += model.screen[there] * state.pairs[entity, d] - own
            rate = thermal_rate(
                model.vacancy_prefactor[here, there],
                forward_barrier(saddle, energy, 0.5),
                0.5 * (fields[site].temperature + fields[j].temperature),
            )
        row[d] = rate
        total += rate
    electrode = exchange_electrode(state, grid, model, site)
    row[FILLING] = exchange_rate(state, fields, model, electrode, site, own, False) if electrode >= 0 else 0.0
    row[7] = 0.0
    return total + row[FILLING]


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
