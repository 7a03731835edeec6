"""Space charge that the site of an atom would hold without it."""

import math

from kmc.system.neighbours import kernel, opened

HALVINGS = 40  # of the interval in which the charge of a site lies, to 1e-12 of it


@kernel
def hold_open(state, grid, fields, model, atoms, ions, vacancies) -> None:
    """Give atoms the `source` of their sites without them, with the vacancies there in equilibrium.

    ions: on the site of each atom, as on open sites beside it, V times permittivity; vacancies: `Screen`.
    The potential without the atom depends on the vacancies of its site, and these on it: both are found at once.
    """
    voltage_device, most, built_in = state.run[0].voltage_device, vacancies.most, vacancies.built_in
    mu, thermal = vacancies.mu, vacancies.thermal
    for k in range(atoms.size):
        site = atoms[k]
        here, region = fields[site], state.sites[site].region
        here.source = 0.0
        if state.sites[site].held or most[region] == 0.0:
            continue
        unit, space_potential = opened(state, grid, fields, model, site)
        here.source = 1.0
        each = opened(state, grid, fields, model, site)[1] - space_potential  # V for one of source
        bare, fixed = voltage_device * unit + space_potential, ions[k] - built_in[region]
        low, high = fixed, fixed + most[region]
        for _ in range(HALVINGS):
            here.source = 0.5 * (low + high)
            energy = (bare + each * here.source - mu) / thermal
            share = 1.0 / (1.0 + math.exp(min(max(energy, -500.0), 500.0)))
            if most[region] * share + fixed > here.source:
                low = here.source
            else:
                high = here.source
