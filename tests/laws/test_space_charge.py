"""The space charge of vacancies in equilibrium: found from anywhere, in films of any thickness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from small_stacks import device, reduced

from kmc.coupling import Device
from kmc.errors import UserError
from kmc.fields import Potential
from kmc.lattice import ACTIVE, Lattice, Region
from kmc.protocol import Protocol
from kmc.settings import Settings
from kmc.simulation import Simulation
from kmc.stack import load_stack
from kmc.state import METAL
from kmc.units import K_B

NEAR_V = 0.005  # the solution ends below 2 mV of change


def window(name: str, kelvin: float = 300.0, **values: float):
    """The first window of a stack at 0 V, its space charge solved."""
    warm = Settings().changed(temperature=kelvin, **values)
    return Simulation(load_stack(name), Protocol.hold("0 V", "1 ms"), warm, 1).device


def at(device, voltage: float) -> np.ndarray:
    """The potential of the charge on the mesh at a device voltage."""
    device.state.run["voltage"] = voltage
    device.solve_fields()
    return device.potential.charge.copy()


@pytest.mark.parametrize(("name", "kelvin"), [
    ("ogb_20nm", 300.0), ("ogb_20nm", 77.0), ("ddab_20nm", 300.0), ("ogb_90nm", 300.0), ("ogb_100nm", 300.0),
    ("thin_film_100nm", 300.0)])  # fmt: skip
def test_it_does_not_depend_on_the_way(name: str, kelvin: float) -> None:
    """A step to 0.6 V at once, by half of it, from above, and back to 0 V: the same potentials.

    It was lost in thick films: a step of 0.6 V left half a volt behind at 0 V. The control: another voltage.
    """
    device = window(name, kelvin)
    rest = at(device, 0.0)
    whole = at(device, 0.6)
    half = at(device, 0.3)
    assert np.abs(whole - half).max() > 20 * NEAR_V
    assert np.abs(at(device, 0.6) - whole).max() < NEAR_V
    at(device, 1.0)
    assert np.abs(at(device, 0.6) - whole).max() < NEAR_V
    assert np.abs(at(device, 0.0) - rest).max() < NEAR_V


@pytest.mark.parametrize(("name", "kelvin"), [
    ("ogb_20nm", 300.0), ("ogb_90nm", 300.0), ("thin_film_100nm", 300.0), ("ogb_20nm", 20.0)])  # fmt: skip
@pytest.mark.parametrize("voltage", [0.6, -0.5])
def test_it_is_poisson_and_boltzmann_at_once(name: str, kelvin: float, voltage: float) -> None:
    """Charge and potential agree on the mesh; all vacancies are there; each cell is at one mu (Fermi)."""
    device = window(name, kelvin)
    at(device, voltage)
    potential, vacancies = device.potential, device.vacancies
    free = potential.fixed == 0
    left = np.where(free, potential.source - potential.hierarchy.apply(potential.charge), 0.0)
    assert np.abs(left[free]).max() < 0.02 * np.abs(potential.source[free]).max()
    assert vacancies.number.sum() == pytest.approx(vacancies.fixed_charge.sum(), rel=1e-6)
    some = free & (vacancies.number > 1e-6)
    share = vacancies.number[some] / vacancies.most[some]
    level = (voltage * potential.unit + potential.charge)[some] / (K_B * kelvin) + np.log(share / (1 - share))
    assert np.ptp(level) < 1e-6


def test_what_is_not_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does not go on with whatever stands there."""
    device = window("ogb_20nm")
    monkeypatch.setattr("kmc.acceleration.NEWTON_STEPS", 2)
    with pytest.raises(UserError, match=r"no equilibrium of the vacancies.* at 0\.6 V and 300 K"):
        at(device, 0.6)


def above_the_organic(base: int, factor: int) -> np.ndarray:
    """Potentials at 0.4 V of the sixteen planes from `base` on, where a flat film of perovskite begins."""
    planes = [4, base - 4, 60, 4 + -base % 4]
    layers = np.array([Region.COUNTER, Region.ORGANIC, Region.CORE, Region.ELECTRODE], np.uint8)
    region = np.repeat(layers, planes)
    region = np.broadcast_to(region[:, None, None], (len(region), 24, 24))
    lattice = Lattice(0.2935, region, np.zeros_like(region), np.zeros(region.shape, bool))
    stack = load_stack("thin_film_100nm", **{"active.vacancy_density": "2e20 1/cm^3"})
    device = Device(lattice, stack, Settings(window=7.0, mesh_factor=factor), 1)
    at(device, 0.4)
    phi = 0.4 * device.potential.fields["unit"] + device.potential.fields["charge"]
    return phi.reshape(region.shape).mean(axis=(1, 2))[base : base + 16]


def test_vacancies_gather_right_above_the_organic() -> None:
    """A film whose first plane is a cell of its own, as `morphology` builds it: within kT/e of the finest.

    Negative control: one that begins with a whole cell, in whose middle its vacancies are, stands higher by
    twice that.
    """
    fine = above_the_organic(15, 1)
    assert np.ptp(fine) > 0.02
    assert np.abs(above_the_organic(15, 4) - fine).max() < 0.026
    assert np.abs(above_the_organic(16, 4) - fine).max() > 0.052


@pytest.mark.parametrize("organic_nm", [2.0, 2.3, 2.6, 2.9])
def test_a_film_begins_in_the_last_plane_of_a_cell(organic_nm: float) -> None:
    """However thick the organic is: its first plane is a cell of the default mesh by itself."""
    stack = reduced("ogb_20nm", organic_nm)
    d = device(stack)
    mesh = d.potential.mesh
    assert mesh.start[mesh.first] == mesh.base == mesh.end[mesh.first] - 1
    assert d.lattice.organic_surface() == mesh.base
    assert (d.lattice.region[mesh.base - 1] == Region.ORGANIC).all()
    counter = int((d.lattice.region[:, 0, 0] == Region.COUNTER).sum())
    organic = int((d.lattice.region[:, 0, 0] == Region.ORGANIC).sum())
    assert abs(organic * d.lattice.spacing_nm - organic_nm) < d.lattice.spacing_nm  # the counter gives way
    assert 2 <= counter <= 5


def beside_silver(factor: int, monkeypatch: pytest.MonkeyPatch | None = None) -> np.ndarray:
    """Potentials at 0.4 V of the film's free sites within two of its silver; `monkeypatch`: by the mesh."""
    device = window("ogb_20nm", mesh_factor=factor)
    if monkeypatch is not None:
        publish = Potential.publish
        monkeypatch.setattr(Potential, "publish", lambda self, state, charge, _: publish(self, state, charge))
    at(device, 0.4)
    silver = (device.state.sites["cation"] == METAL).reshape(device.lattice.shape)
    silver[: device.potential.mesh.base] = False
    some = device.lattice.mask(*ACTIVE) & (ndimage.distance_transform_edt(~silver) < 2.5) & ~silver
    fields = device.potential.fields
    return (0.4 * fields["unit"] + fields["charge"])[some.ravel()]


def test_vacancies_gather_right_beside_silver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Site by site, as on the finest mesh: within kT/e, however far the cells that silver holds reach.

    Negative control: with the vacancies of the mesh's free cells alone it is off by more.
    """
    fine = beside_silver(2)
    assert np.abs(beside_silver(4) - fine).max() < K_B * 300.0
    assert np.abs(beside_silver(4, monkeypatch) - fine).max() > 1.5 * K_B * 300.0
