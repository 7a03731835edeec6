"""Each coupling is live: switched off, a named result of a whole device moves.

The device is ogb_7nm with its seam filled with silver by hand up to the electrode: a closed filament.
"""

from functools import lru_cache

import numpy as np
import pytest

import kmc
from kmc.geometry import percolation
from kmc.geometry.lattice import ACTIVE
from kmc.kinetics import advance
from kmc.kinetics.event_changes import add_charge, remove_charge
from kmc.simulation.simulation import Simulation
from kmc.simulation.window import Device
from kmc.system.state import KIND_ION, KIND_METAL

LIMIT_A = 1e-3


@lru_cache(maxsize=8)
def closed(**switches: bool) -> Device:
    """A Device with a closed filament at 0.6 V behind a limiter of 1 mA."""
    stack = kmc.load_stack("ogb_7nm", **{"device.heat_padding": "30 nm"})
    protocol = kmc.Protocol.hold("0.6 V", "1 us", compliance="1 mA")
    simulation = Simulation(stack, protocol, kmc.Settings(window="8 nm", **switches), 1)
    device, lattice = simulation.device, simulation.lattice
    seam = percolation.of(lattice).path & lattice.mask(*ACTIVE) & ~lattice.residue
    advance.place_many(device.state, device.grid, KIND_METAL, np.flatnonzero(seam).astype(np.int32))
    device.trace_current()
    device.solve_fields()
    device.set_source(0.6, LIMIT_A)
    return device


def metal_rate(device: Device) -> float:
    """Sum of all rates of silver atoms, 1/s."""
    return float(device.state.entities["total"][device.state.entities["kind"] == KIND_METAL].sum())


def test_the_filament_is_closed_warm_and_within_the_limit() -> None:
    """What the switches below are compared with; the Kohlrausch bound holds at the device voltage."""
    device = closed()
    assert device.path.bridged
    assert abs(device.point.current) <= LIMIT_A * 1.001
    assert device.heat.peak() > 1.0
    volt = device.point.voltage_device
    assert device.stage + device.heat.peak() <= np.sqrt(device.stage**2 + volt**2 / (4 * 2.44e-8)) * 1.01


def test_local_temperature_reaches_the_rates() -> None:
    """Silver atoms leave a warm filament faster than one kept at the stage temperature."""
    assert metal_rate(closed()) > 1.02 * metal_rate(closed(local_temperature=False))
    assert closed(local_temperature=False).potential.fields["temperature"].max() == 300.0


def test_compliance_lowers_the_device_voltage() -> None:
    """A limit of 1 uA holds the current within 0.1 %; switched off, the closed filament passes it tenfold."""
    held = closed().point
    device = closed(compliance=False)
    device.set_source(0.6, 1e-6)
    assert device.point.current > 10e-6  # ten times the limit it ignores
    other = closed()
    other.set_source(0.6, 1e-6)
    assert other.point.current == pytest.approx(1e-6, rel=1e-3)
    assert other.point.voltage_device < 0.1 * held.voltage_device
    other.set_source(0.6, LIMIT_A)


def test_two_near_ions_feel_each_other_only_with_the_pair_term() -> None:
    """An ion two sites from another has other hop rates than alone; with the term off it has not."""
    paired, alone = closed(), closed(ion_pairs=False)
    assert ion_rates(paired, 2) != ion_rates(paired, 30)
    assert ion_rates(alone, 2) == ion_rates(alone, 30)


def ion_rates(device: Device, distance: int) -> list[float]:
    """Hop rates of an ion in a crystal with another one `distance` sites away."""
    lattice = device.lattice
    core = np.flatnonzero(lattice.region.ravel() == 2)
    first = int(core[len(core) // 2])
    z, y, x = np.unravel_index(first, lattice.shape)
    other = int(np.ravel_multi_index((z, y, (x + distance) % lattice.shape[2]), lattice.shape))
    for site in (first, other):
        add_charge(device.state, device.grid, device.model, KIND_ION, site)
    device.refresh()
    entity = device.state.sites["entity"][first]
    rates = device.state.rates[entity, :6].tolist()
    for site in (other, first):
        remove_charge(device.state, device.grid, device.model, int(device.state.sites["entity"][site]))
    device.refresh()
    return rates


def test_space_charge_bends_the_potential() -> None:
    """With vacancies the potential between the electrodes departs from the one of permittivities alone."""
    device = closed()
    assert np.abs(device.potential.fields["space_potential"]).max() > 1e-3
    assert np.abs(closed(space_charge=False).potential.fields["space_potential"]).max() == 0.0
