"""Rates of the hops of silver ions and bromide vacancies, with what else an ion or a vacancy can do."""

from kmc.core.units import K_B
from kmc.kinetics.redox_rates import exchange_rate, redox, returning
from kmc.system.neighbours import beside, exchange_electrode, index, inlined, kernel, place_of, two_steps
from kmc.system.parameter_tables import NO_HOP
from kmc.system.rate_laws import exponential, forward_barrier, thermal_rate
from kmc.system.state import ELECTRODE_METAL, FILLING, METAL, OWN, REDUCTION, RETURN


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
