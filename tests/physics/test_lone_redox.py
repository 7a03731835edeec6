"""Electrons of an ion that touches no metal are those of the silver they tunnel from, in energy too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_stacks import LAYERED, device, put_silver, window_of

from kmc.kinetics.redox_rates import redox
from kmc.simulation.window import Device
from kmc.system.neighbours import bonds_at, neighbour
from kmc.system.state import METAL
from kmc.transport.clusters import ANODE, CATHODE

VOLTS = 0.6


def tipped(name: str, hanging: bool) -> tuple[Device, int, int]:
    """Silver that stands on the organic, or some that hangs from the electrode, at a voltage; beside it, as
    far from its foot as can be, a free site that touches it and one beside that which touches no metal."""
    d = device(name)
    _, ny, nx = d.lattice.shape
    part = d.network.film[d.network.label[d.network.film] == CATHODE]  # of what forming left
    if hanging:
        _, y, x = np.unravel_index(part, d.lattice.shape)
        column = (y[0] + ny // 2) % ny * nx + (x[0] + nx // 2) % nx
        high = int(d.lattice.silver_surface().ravel()[column])
        part = np.arange((d.lattice.organic_surface() + high) // 2, high) * ny * nx + column
        put_silver(d, part[d.state.sites["cation"][part] < METAL])
    assert len(part)
    assert (d.network.label[part] == (ANODE if hanging else CATHODE)).all()
    d.set_source(VOLTS, math.inf)
    d.solve_fields()
    d.potential.fields["temperature"] = d.stage  # no balance where one site is warmer
    around = [int(neighbour(d.grid, int(site), way)) for site in part for way in range(6)]
    pairs = [
        (site, other)
        for site in around
        for way in range(6)
        if metals(d, site) > 0 and metals(d, other := int(neighbour(d.grid, site, way))) == 0
    ]
    return d, *(min(pairs) if hanging else max(pairs))


def metals(d: Device, site: int) -> int:
    """Metal beside a free site, else -1."""
    return -1 if d.state.sites["cation"][site] else int(bonds_at(d.state, d.grid, d.model, site, -1)[1])


def ion_energy(d: Device, site: int) -> float:
    """Of an ion on a site, eV."""
    here = d.potential.fields[site]
    energy = d.model["ion_energy"][d.state.sites["region"][site]]
    return float(energy + d.state.run["voltage_device"][0] * here["unit"] + here["space_potential"])


def gain(d: Device, touching: int, alone: int) -> float:
    """By what a round is driven, in kT: an ion is reduced alone, goes to the tip as an atom, is ionised there
    and comes back."""

    def reduced_over_oxidised(site: int) -> float:
        energy = ion_energy(d, site) - float(d.model["ion_energy"][d.state.sites["region"][site]])
        down, up = (redox(*window_of(d), site, energy, way) for way in (False, True))
        return math.log(down / up)

    atom = [bonds_at(d.state, d.grid, d.model, site, -1)[0] for site in (touching, alone)]
    ion = [ion_energy(d, site) for site in (touching, alone)]
    moved = (atom[0] - atom[1]) / d.thermal  # of the atom, to where it is bound more
    back = (ion[0] - ion[1]) / d.thermal
    return reduced_over_oxidised(alone) + moved - reduced_over_oxidised(touching) + back


@pytest.mark.parametrize("hanging", [False, True])
@pytest.mark.parametrize("name", LAYERED)
def test_no_round_gains(name: str, hanging: bool) -> None:
    """Each side's channel by itself; but for cells that hold silver and carriers. Negative control: electrons
    at the potential of the ion's own place gain kT and more by each round."""
    d, touching, alone = tipped(name, hanging)
    side = int(hanging)
    assert d.state.supply["left"][side].max() == 1.0
    d.state.supply["left"][1 - side] = 0.0
    mixed = 0.0 if hanging else abs(d.potential.sheet_voltage) / d.thermal
    assert abs(gain(d, touching, alone)) <= mixed + 1e-9
    d.state.supply["unit"][side] = d.potential.fields["unit"][alone]
    d.state.supply["space_potential"][side] = 0.0
    assert abs(gain(d, touching, alone)) > 1.0


@pytest.mark.parametrize("name", LAYERED)
def test_each_side_adds_its_own(name: str) -> None:
    """Rates both ways are the sums of the two channels'; the one of the anode's electrons ionises."""
    d, _, site = tipped(name, False)

    def rates(*sides: int) -> np.ndarray:
        for side in (0, 1):
            d.state.supply[side] = (1e-3 * (side in sides), float(side), 0.0)
        return np.array([redox(*window_of(d), site, 0.1, way) for way in (False, True)])

    cathode, anode = rates(0), rates(1)
    assert rates(0, 1) == pytest.approx(cathode + anode, rel=1e-14)
    ratio = math.log(anode[1] / anode[0]) - math.log(cathode[1] / cathode[0])
    assert ratio == pytest.approx(float(d.state.run["voltage_device"][0]) / d.thermal, rel=1e-9)
