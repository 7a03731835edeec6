"""Rates of electron transfer on the lattice: oxidation, reduction, ionisation, and exchange of vacancies."""

import math

from kmc.kinetics.electron_transfer import insertion, transfer_rate
from kmc.system.neighbours import beside, bonds_at, decode, inlined, kernel, small_cell
from kmc.system.parameter_tables import NO_HOP
from kmc.system.rate_laws import oxidation_barrier, reduction_barrier, thermal_rate
from kmc.system.state import ELECTRODE_METAL, METAL, SIDES


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
