"""A closed filament in a small window of any stack, for the laws of its heat."""

from __future__ import annotations

import math

import numpy as np
from small_stacks import device, put_silver, reduced, seam

from kmc.core.units import LORENZ
from kmc.simulation.window import Device

VOLT = 0.3
BOUND_K = math.sqrt(300.0**2 + VOLT**2 / (4 * LORENZ))


def closed(name: str, wide: int = 99, organic_nm: float = 2.4, **choices: str) -> Device:
    """A closed filament without resistors at 0.3 V: a seam of silver, or `wide` x `wide` atoms a plane."""
    d = device(reduced(name, organic_nm, **{"device.residue_gap": "100 nm"}, **choices))
    sites = seam(d)
    z, y, x = np.unravel_index(sites, d.lattice.shape)
    low = np.lexsort((x, y, z))[0]
    thin = ((y - y[low]) % d.grid.ny < wide) & ((x - x[low]) % d.grid.nx < wide)
    put_silver(d, sites[thin])
    if not d.path.bridged:
        put_silver(d, sites[~thin])
    d.series = 0.0
    d.set_source(VOLT, math.inf)
    return d
