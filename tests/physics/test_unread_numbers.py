"""Numbers of which the program says that they do nothing: no byte of a run is another with them."""

from __future__ import annotations

import numpy as np
import pytest
from small_stacks import loaded, reduced, settings

from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.simulation.plausibility import doubts
from kmc.simulation.simulation import Simulation

TOLD = {
    "active.vacancy_migration_barrier": "vacancies are in equilibrium",
    "active.vacancy_diffusion_prefactor": "vacancies are in equilibrium",
    "active.vacancy_surface_barrier_ratio": "vacancies are in equilibrium",
    "active.electrode_exchange_barrier": "vacancies are in equilibrium",
    "active.electrode_exchange_energy": "vacancies are in equilibrium",
    "active.metal_adhesion": "a ligand is between the crystals",
    "active.boundary_barrier": "a ligand is between the crystals",
    "counter.conductivity": "the counter electrode is its resistances",
    "counter.hole_mobility": "the counter electrode is its resistances",
    "counter.injection_limit": "the counter electrode is its resistances",
    "counter.silver_ion_barrier": "the counter electrode is its resistances",
    "counter.silver_ion_formation_energy": "the counter electrode is its resistances",
    "contact.metal_adhesion": "the counter electrode's counts",
}


def changed(path: str) -> dict[str, str]:
    """A choice of nine tenths of a number, or of one that the card leaves out."""
    one = loaded("ogb_20nm").numbers().get(path)
    if one is None:
        return {path: "0.3 eV"}
    return {path: f"{0.9 * one.value + (0.05 if one.value == 0 else 0.0)!r} {one.unit}".strip()}


def rows(**choices: str) -> dict[str, np.ndarray]:
    """The traces of a small window that silver enters."""
    program = Protocol.hold("0.8 V", "20 us", samples=10)
    run = Simulation(reduced("ogb_20nm", **choices), program, settings(), 1)
    run.run()
    return run.take_rows()


@pytest.mark.parametrize("path", TOLD)
def test_a_number_that_does_nothing_is_told_and_does_nothing(path: str) -> None:
    """Of those that are chosen."""
    told = doubts(loaded("ogb_20nm").choose(**changed(path)), Settings())
    assert [line.partition(":")[0] for line in told] == [f"{path} does nothing here"]
    assert TOLD[path] in told[0]
    plain, other = rows(), rows(**changed(path))
    assert all(plain[name].tobytes() == other[name].tobytes() for name in plain)


def test_a_number_that_does_something_is_not_told() -> None:
    """The control: the run is another; and vacancies one by one have their barriers."""
    path = "ligand.gap_barrier"
    assert doubts(loaded("ogb_20nm").choose(**changed(path)), Settings()) == []
    plain, other = rows(), rows(**changed(path))
    assert plain["events"].tobytes() != other["events"].tobytes()
    barrier = changed("active.vacancy_migration_barrier")
    assert doubts(loaded("ogb_20nm").choose(**barrier), Settings(vacancies="explicit")) == []
