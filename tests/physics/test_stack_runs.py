"""Short runs of every stack: conservation, incremental rates; neither looks nor restarts bend a trajectory.

Temperatures are those at which a window of nanometres has events of all its kinds within a thousand trials.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from small_device import live, problems
from small_stacks import LAYERED, STACKS, reduced, settings, window_of

import kmc
from kmc.core.errors import UserError
from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.kinetics.entity_records import drop_entity
from kmc.kinetics.metal_changes import add_metal, remove_metal
from kmc.simulation.simulation import Simulation
from kmc.simulation.update_schedule import DENSITY_MEMORY_S
from kmc.system.state import EPOCH, ION, KIND_METAL, MADE, METAL, State

VOLT = 0.5
EXPLICIT = ["ddab_20nm", "ogb_20nm", "thin_film_100nm"]  # each perovskite and ligand
KINDS = [(name, "equilibrium") for name in STACKS] + [(name, "explicit") for name in EXPLICIT]
LIMIT = "1 uA"


def slow(name: str) -> bool:
    """Whether ions cost so much that events are rare: no bromide, or gold."""
    return name not in LAYERED or name.endswith("_au")


def start(name: str, vacancies: str, protocol: Any, seed: int = 1, budget: int = 200, **choices: Any) -> Simulation:
    """A simulation of a small window, with choices of its stack."""
    some = settings(temperature=1000.0 if slow(name) else 400.0, vacancies=vacancies, event_budget=budget)
    return Simulation(reduced(name, **choices), protocol, some, seed)


@lru_cache(maxsize=64)
def protocol(name: str, vacancies: str, samples: int = 1) -> Any:
    """A step up, as long as some hundred trials last, a shorter one down and a rest."""
    endless = kmc.Protocol.hold(f"{VOLT} V", "1000 s", compliance=LIMIT)
    probe = start(name, vacancies, endless)
    probe.run(should_stop=lambda: trials(probe) >= (60 if slow(name) else 1000))

    def hold(volt: float, share: float) -> Any:
        duration = f"{share * probe.time_s!r} s"
        return kmc.Protocol.hold(f"{volt} V", duration, compliance=LIMIT, samples=samples)

    return hold(VOLT, 1.0) + hold(-VOLT, 0.2) + hold(0.0, 0.1)


def trials(simulation: Simulation) -> int:
    """Events tried so far."""
    return int(simulation.device.state.run["trials"][0])


def until(simulation: Simulation, mark: int) -> None:
    """Go on to the end, or to the kernel call in which this many trials are passed."""
    simulation.run(should_stop=lambda: trials(simulation) >= mark)


@lru_cache(maxsize=32)
def done(name: str, vacancies: str, seed: int = 1) -> Simulation:
    """A finished run, to be read only."""
    simulation = start(name, vacancies, protocol(name, vacancies), seed)
    simulation.run()
    return simulation


@lru_cache(maxsize=32)
def trace(name: str, vacancies: str) -> dict[str, np.ndarray]:
    """The rows of that run."""
    return done(name, vacancies).take_rows()


def census(simulation: Simulation) -> dict[str, float]:
    """What is in the window, counted on its sites, and what its electrode gave."""
    device = simulation.device
    sites, run = device.state.sites, device.state.run[0]
    ions, metal = int((sites["cation"] == ION).sum()), int((sites["cation"] == METAL).sum())
    vacancies = float((sites["vacancy"] >= 0).sum())
    if device.vacancies is not None:
        vacancies = float(device.vacancies.number.sum())
    given = int(run["emitted"] - run["returned"])
    return {
        "silver": ions + metal - given,
        "reservoir": given + int(run["reservoir"]),
        "vacancies": vacancies - int(run["exchanged"]),
        "events": int(run["events"]),
        "emitted": int(run["emitted"]),
    }


@pytest.mark.parametrize(("name", "vacancies"), KINDS)
def test_silver_bromine_and_charge_are_conserved(name: str, vacancies: str) -> None:
    """What the electrode gave is in the window; vacancies change by what was exchanged; so do the charges.

    Charges are ions and vacancies, each made or taken with one electron at a metal. The electrode took part,
    so nothing is conserved idly.
    """
    before = census(start(name, vacancies, protocol(name, vacancies)))
    simulation = done(name, vacancies)
    after = census(simulation)
    assert after["events"] > 100
    assert after["emitted"] > 0 or name.endswith("_au")
    assert after["silver"] == before["silver"]
    assert after["reservoir"] == before["reservoir"] == 0
    assert after["vacancies"] == pytest.approx(before["vacancies"], rel=1e-6, abs=1e-9)
    assert problems(window_of(simulation.device)) == []


def test_a_lost_atom_is_seen() -> None:
    """Negative control: an atom that vanishes."""
    simulation = start("ogb_20nm", "equilibrium", protocol("ogb_20nm", "equilibrium"))
    before = census(simulation)
    state = simulation.device.state
    drop_entity(state, simulation.device.grid, int(np.flatnonzero(state.entities["kind"] == KIND_METAL)[0]))
    assert census(simulation)["silver"] == before["silver"] - 1


def stale(simulation: Simulation) -> float:
    """Largest relative error of a rate against a recompute from the same fields."""
    w = window_of(simulation.device)
    advance.advance(*w, np.random.default_rng(0), -1.0, 1, True)  # what is touched, is due
    fresh = w.copy()
    advance.refresh_all(*fresh)
    kept, new = w.state.rates[live(w)], fresh.state.rates[live(w)]
    return float((np.abs(kept - new) / np.maximum(np.maximum(kept, new), 1e-300)).max())


@pytest.mark.parametrize(("name", "vacancies"), KINDS)
def test_incremental_rates_equal_recomputed(name: str, vacancies: str) -> None:
    """At a dozen moments of a run with moving metal, fields and circuit, no rate differs from a recompute."""
    simulation = start(name, vacancies, protocol(name, vacancies), budget=60)
    for _ in range(12):
        mark = trials(simulation) + 60
        until(simulation, mark)
        assert stale(simulation) < 1e-10


def test_fields_that_nobody_followed_are_seen() -> None:
    """Negative control: a microvolt a site along the window makes rates stale."""
    simulation = start("ogb_20nm", "equilibrium", protocol("ogb_20nm", "equilibrium"), budget=60)
    until(simulation, 200)
    simulation.device.potential.fields["space_potential"] += 1e-6 * np.arange(simulation.lattice.sites)
    assert stale(simulation) > 1e-6


def same_bytes(a: Simulation, b: Simulation) -> list[str]:
    """Arrays and numbers in which two simulations differ."""
    pairs = zip(State._fields, a.device.state, b.device.state, strict=True)
    out = [name for name, one, other in pairs if name not in MADE and one.tobytes() != other.tobytes()]
    one, other = a.device.state, b.device.state
    both = (one.table[:, EPOCH] == one.run["epoch"]) & (other.table[:, EPOCH] == other.run["epoch"])
    out += ["table"] * (one.table[both, :EPOCH].tobytes() != other.table[both, :EPOCH].tobytes())
    for name in ("fields", "unit", "space_potential", "source"):
        if getattr(a.device.potential, name).tobytes() != getattr(b.device.potential, name).tobytes():
            out.append(name)
    mine, others = a.device.heat, b.device.heat
    rises = mine.rise.tobytes() == others.rise.tobytes()
    surfaces = (mine.surface, mine.since_s) == (others.surface, others.since_s)
    points = (a.device.point, a.device.path.conductance) == (b.device.point, b.device.path.conductance)
    return out + ["heat"] * (not rises) + ["surface"] * (not surfaces) + ["circuit"] * (not points)


@pytest.mark.parametrize(("name", "vacancies"), KINDS)
def test_a_restart_equals_the_uninterrupted_run(name: str, vacancies: str) -> None:
    """Stopped in the middle of each step and put together anew, a run ends in the same bytes."""
    whole = done(name, vacancies)
    part = start(name, vacancies, protocol(name, vacancies))
    rows = []
    for stop in (0.15, 0.45, 0.8):
        mark = int(stop * trials(whole))
        until(part, mark)
        rows.append(part.take_rows())
        part = Simulation.from_state_dict(part.stack, part.protocol, part.settings, part.state_dict())
    part.run()
    rows.append(part.take_rows())
    assert same_bytes(whole, part) == []
    for key, column in trace(name, vacancies).items():
        assert np.concatenate([row[key] for row in rows]).tobytes() == column.tobytes(), key


def test_another_trajectory_is_seen() -> None:
    """Negative control: the run of another stream differs, and so does one whose field was touched."""
    whole = done("thin_film_100nm", "equilibrium")
    other = start("thin_film_100nm", "equilibrium", whole.protocol)
    other.events.random()
    other.run()
    assert "sites" in same_bytes(whole, other)
    touched = start("thin_film_100nm", "equilibrium", whole.protocol)
    touched.device.potential.space_potential[4] += 1e-12
    touched.run()
    assert same_bytes(whole, touched) != []


@pytest.mark.parametrize(("name", "vacancies"), KINDS)
def test_looking_leaves_the_run(name: str, vacancies: str) -> None:
    """Seven looks a step, snapshots, checkpoints, progress and small budgets change no byte of the window."""
    plain = done(name, vacancies)
    looked = start(name, vacancies, protocol(name, vacancies, samples=7), budget=33)

    def look() -> bool:
        looked.snapshot(), looked.state_dict(), looked.windows.conductance()
        return False

    looked.run(progress=lambda _: None, should_stop=look)
    assert same_bytes(plain, looked) == []
    rows = looked.take_rows()
    assert len(rows["time"]) == 21
    last = trace(name, vacancies)
    for key in ("current", "n_ag_metal", "events"):
        assert rows[key][6::7].tobytes() == last[key].tobytes()


def test_another_stacks_seed_is_refused() -> None:
    """Negative control of restarts: a state goes on only where its lattice is."""
    first = done("ogb_20nm", "equilibrium")
    with pytest.raises(UserError, match="seed"):
        Simulation(first.stack, first.protocol, first.settings, 2, first.state_dict())


@pytest.mark.parametrize("name", LAYERED)
def test_what_is_held_stays_held(name: str) -> None:
    """Silver that comes and goes on the sheet of carriers leaves its potential alone, and the electrodes'.

    The control: the potential around is another. No silver that forming left screens it there.
    """
    far = {"device.residue_gap": "20 nm"}
    simulation = start(name, "equilibrium", protocol(name, "equilibrium"), **far)
    device = simulation.device
    device.set_source(VOLT, np.inf)
    sheet = device.potential.sheet
    for site in sheet[:: max(1, len(sheet) // 5)]:
        add_metal(device.state, device.grid, device.potential.fields, device.model, site)
        device.follow_metal()
        atom = int(device.state.sites["entity"][site])
        remove_metal(device.state, device.grid, device.potential.fields, device.model, atom)
        device.follow_metal()
    device.solve_fields()
    unit, charge = device.potential.fields["unit"], device.potential.fields["space_potential"]
    assert not unit[sheet].any()
    assert set(charge[sheet]) == {device.potential.sheet_voltage}
    region = device.state.sites["region"]
    assert set(unit[region == Region.ELECTRODE]) == {1.0}
    assert set(unit[region == Region.COUNTER]) == {0.0}
    above = sheet + device.grid.ny * device.grid.nx
    assert unit[above].max() > 0.01


def surfaces(samples: int) -> np.ndarray:
    """Rise of the surface in half a millisecond of leak at 0.2 V, with a thermal resistance of 1e8 K/W."""
    card = {"device.substrate_thermal_resistance": "1e8 K/W", "device.surface_time_constant": "0.2 ms"}
    program = kmc.Protocol.hold("0.2 V", "0.5 ms", compliance=LIMIT, samples=samples)
    simulation = Simulation(reduced("pedot_only", **card), program, settings(), 1)
    simulation.run()
    return simulation.take_rows()["temperature_surface"] - 300.0


def test_the_surface_is_followed_within_a_step() -> None:
    """Under a constant power it rises as 1 - exp(-t / tau), at every look, and looks change nothing."""
    times = np.arange(1, 11) / 10 * 0.5
    rise = surfaces(10)
    assert rise[-1] > 1e-6
    assert rise / rise[-1] == pytest.approx((1 - np.exp(-times / 0.2)) / (1 - np.exp(-2.5)), rel=1e-6)
    assert surfaces(1)[-1] == rise[-1]


def test_a_run_that_starts_from_another_has_its_own_settings() -> None:
    """A tip that tunnels, then no tunnelling: the leak is left. Another bound, other permittivities.

    Control: with the settings of the first run the tip conducts as before.
    """
    read = kmc.Protocol.read("0.1 V", duration="1 us")
    first = Simulation(reduced("ogb_20nm", **{"device.residue_gap": "0.6 nm"}), read, settings(), 1)
    first.run()
    saved = first.state_dict()

    def again(stack: Any = first.stack, **values: Any) -> Simulation:
        simulation = Simulation(stack, read, settings(**values), 1, saved)
        assert simulation.time_s == 0.0
        return simulation

    def conductance(simulation: Simulation) -> float:
        simulation.run()
        return float(simulation.take_rows()["conductance"][-1])

    with_tip = float(first.take_rows()["conductance"][-1])
    assert conductance(again()) == pytest.approx(with_tip, rel=0.3)
    assert conductance(again(tunnelling=False)) < 0.1 * with_tip
    finer = again(refresh_bound=0.1).device
    assert finer.state.run["shift_bound"][0] == pytest.approx(0.1 * finer.thermal)
    denser = reduced("ogb_20nm", **{"device.residue_gap": "0.6 nm", "active.permittivity": 80})
    fresh = Simulation(denser, read, settings(), 1).device.potential.unit
    there, before = again(denser).device.potential.unit, first.device.potential.unit
    assert np.abs(there - fresh).max() < 0.1 * np.abs(there - before).max()


def test_the_space_charge_is_renewed_within_a_step() -> None:
    """The density of ions is averaged up to the last renewal, every 20 us here, not to the step's start."""
    program = kmc.Protocol.hold("0.5 V", "100 us", compliance=LIMIT, samples=4)
    simulation = start("ogb_20nm", "equilibrium", program, budget=1000)
    seen = []

    def look() -> bool:
        seen.append((simulation.device.density_time, simulation.time_s))
        return False

    simulation.run(should_stop=look)
    renewed, now = (np.array(part) for part in zip(*seen, strict=True))
    assert simulation.time_s == 1e-4
    assert (now - renewed).max() < 1.001 * DENSITY_MEMORY_S
    assert len(np.unique(renewed)) == 5
