"""The space charge of vacancies in equilibrium: found from anywhere, in films of any thickness."""

from __future__ import annotations

import numpy as np
import pytest

from kmc.errors import UserError
from kmc.protocol import Protocol
from kmc.settings import Settings
from kmc.simulation import Simulation
from kmc.stack import load_stack
from kmc.units import K_B

NEAR_V = 0.005  # the solution ends below 2 mV of change


def window(name: str, kelvin: float = 300.0, **choices: str):
    """The first window of a stack at 0 V, its space charge solved."""
    warm = Settings().changed(temperature=kelvin)
    return Simulation(load_stack(name, **choices), Protocol.hold("0 V", "1 ms"), warm, 1).device


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
