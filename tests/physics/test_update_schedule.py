"""When the space charge is renewed: from the beginning of any step, and whenever metal comes or goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_stacks import LAYERED, device, free, put_silver, reduced, settings

import kmc
from kmc.geometry.lattice import ACTIVE, Region
from kmc.kinetics.metal_changes import add_metal
from kmc.simulation.simulation import Simulation
from kmc.simulation.update_schedule import DENSITY_MEMORY_S, GROWTH
from kmc.simulation.window import CHARGE_METAL, Device


def oldest(growth: float, monkeypatch: pytest.MonkeyPatch, duration: str, first_s: float) -> float:
    """Age of the space charge beside the time since the corner, in the first `first_s` seconds of a hold."""
    monkeypatch.setattr("kmc.simulation.update_schedule.GROWTH", growth)
    some = settings(temperature=400.0, event_budget=300)
    hold = kmc.Protocol.hold("0.5 V", duration, compliance="1 uA", samples=4)
    simulation = Simulation(reduced("ogb_20nm"), hold, some, 1)
    ages = []

    def look() -> bool:
        now = simulation.time_s
        ages.append((now - simulation.device.density_time) / (now + 5 * DENSITY_MEMORY_S))
        return now > first_s

    simulation.run(should_stop=look)
    assert len(ages) > 20
    return max(ages)


@pytest.mark.parametrize("first_s", [6e-4, pytest.param(2e-3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("duration", ["10 ms", "1000 s"])
def test_a_long_step_is_followed_from_its_beginning(
    duration: str, first_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, the space charge is as old as a fifth of the time since the corner at most.

    Negative control: parts of the step alone, of which the first of 1000 s is 16 s long.
    """
    assert oldest(GROWTH, monkeypatch, duration, first_s) < 0.21
    if duration == "1000 s":
        assert oldest(math.inf, monkeypatch, duration, first_s) > 0.5


def grown(name: str, atoms: int, **switches: bool) -> Device:
    """Silver to which atoms were added that nothing has followed, long after the last renewal."""
    d = device(name, **switches)
    way = free(d, d.lattice.mask(*(ACTIVE if name in LAYERED else (Region.ORGANIC,))))
    put_silver(d, way[:5])
    d.set_source(0.4, 1e-6)
    d.renewal.end_s = math.inf
    d.density_time = -1.0
    for site in way[5 : 5 + atoms]:
        add_metal(d.state, d.grid, d.potential.fields, d.model, int(site))
    d.state.run["force_refresh"] = 1
    return d


@pytest.mark.parametrize("name", LAYERED)
def test_metal_renews_the_space_charge_at_once(name: str) -> None:
    """A tip that grows late in a long hold does not wait. Negative control: one that hardly grows."""
    for atoms, renews in ((2 * CHARGE_METAL, True), (CHARGE_METAL // 4, False)):
        d = grown(name, atoms)
        before = d.charge_metal
        d.advance(np.random.default_rng(1), math.inf, 50, True)
        assert (d.charge_metal != before) is renews
        assert math.isfinite(d.renewal.end_s) is renews


def test_metal_right_after_a_renewal_waits_for_the_memory() -> None:
    """And no longer. Its time is that of the last and the memory; what is overdue is due at once."""
    d = grown("ogb_20nm", 2 * CHARGE_METAL)
    d.density_time = before = d.now_s
    d.advance(np.random.default_rng(1), math.inf, 50, True)
    assert d.now_s < DENSITY_MEMORY_S
    assert d.renewal.end_s == before + DENSITY_MEMORY_S
    d.renewal.end_s = -1.0
    assert d.renewal.due(d.now_s) == d.now_s
    d.advance(np.random.default_rng(1), math.inf, 1, True)
    assert d.renewal.end_s > d.now_s >= d.density_time > before


@pytest.mark.parametrize(("name", "switches"), [("pedot_only", {}), ("ogb_20nm", {"space_charge": False})])
def test_metal_that_nothing_follows_asks_once(name: str, switches: dict[str, bool]) -> None:
    """Without a film, or without space charge, grown metal does not ask for ever. Control: before."""
    d = grown(name, 2 * CHARGE_METAL, **switches)
    assert d._outgrown() is (not switches)
    for _ in range(3):
        d.density_time = -1.0
        d.advance(np.random.default_rng(1), math.inf, 50, True)
    assert not d._outgrown()
