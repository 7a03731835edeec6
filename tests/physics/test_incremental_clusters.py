"""What follows one atom of silver: its patch of potential, the current, the room between chains."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from small_stacks import LAYERED, STACKS, device, free, loaded, put_silver, reduced, seam, window_of

from kmc.core.units import K_B
from kmc.electrostatics import local_updates
from kmc.electrostatics.site_boxes import box_of
from kmc.geometry.lattice import OPEN, TIGHT, Region
from kmc.kinetics import advance
from kmc.kinetics.metal_changes import add_metal, note_change, remove_metal
from kmc.kinetics.redox_rates import redox
from kmc.simulation.window import Device
from kmc.system.state import METAL

VOLT = 0.4


def tipped(name: str) -> tuple[Device, int]:
    """A stub of silver in the lower half of the seam, solved for at 0.4 V; the free site above its top."""
    d = device(name)
    way = seam(d)
    plane = d.grid.ny * d.grid.nx
    low = way[way // plane <= np.median(way // plane)]
    put_silver(d, low)
    d.set_source(VOLT, math.inf)
    top = int(low[np.argmax(low // plane)])
    # What made the stub is followed to the end: from here on one change at a time.
    d.state.run["dirty"] = d.state.run["force_refresh"] = 0
    d.solve_fields()
    return d, next(int(s) for s in free(d, np.ones(d.lattice.shape, bool)) if s == top + plane)


def phi(d: Device) -> np.ndarray:
    """Potential of all sites, V."""
    fields = d.potential.fields
    return d.state.run["voltage_device"][0] * fields["unit"] + fields["space_potential"]


def remove(d: Device, site: int) -> None:
    """Take the atom on a site away."""
    remove_metal(d.state, d.grid, d.potential.fields, d.model, int(d.state.sites["entity"][site]))


@pytest.mark.parametrize("name", LAYERED)
def test_an_atom_that_flickers_leaves_nothing(name: str) -> None:
    """It comes and goes between two solutions: every potential is within 3 mV of what it was.

    Negative control: one that stays moves its own site by ten times that.
    """
    d, site = tipped(name)
    before = phi(d).copy()
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    remove(d, site)
    d.follow_metal()
    assert np.abs(phi(d) - before).max() < 3e-3
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    d.follow_metal()
    assert np.abs(phi(d) - before)[site] > 3e-2


@pytest.mark.parametrize("name", LAYERED)
def test_a_whole_solution_begins_the_list_of_changes_anew(name: str) -> None:
    """An atom that came before it and leaves after it differs from it: its patch is relaxed as any other.

    Within 0.1 kT/e. Negative control: with the list of before nothing is.
    """
    left = {}
    for anew in (True, False):
        d, site = tipped(name)
        wide = box_of(d.potential.shape, site, 2 * local_updates.REACH)
        d.potential.relax(d.state, wide, 600, 1.8)
        add_metal(d.state, d.grid, d.potential.fields, d.model, site)
        before, dirty = d.state.dirty.copy(), int(d.state.run["dirty"][0])
        d.solve_fields()
        assert (dirty, d.state.run["dirty"][0]) == (1, 0)
        d.potential.relax(d.state, wide, 600, 1.8)
        if not anew:
            d.state.dirty[:], d.state.run["dirty"] = before, dirty
        remove(d, site)
        d.follow_metal()
        left[anew] = phi(d).copy()
        d.potential.relax(d.state, wide, 600, 1.8)
        left[anew] = np.abs(left[anew] - phi(d)).max() / d.thermal
    assert left[True] < local_updates.LEAST
    assert left[False] > 2.0 * left[True]


@pytest.mark.parametrize("name", LAYERED)
def test_a_patch_is_the_lattices_solution_nearby(name: str) -> None:
    """After one more atom the patch is what the lattice's equations say in a box of twice its reach.

    Within 0.1 kT/e. Relaxed until nothing moves; both begin from a lattice at rest, so that the mesh's own
    error is left out. Negative control: the potential from before is ten times as far off at the worst site.
    """
    d, site = tipped(name)
    wide = box_of(d.potential.shape, site, 2 * local_updates.REACH)
    d.potential.relax(d.state, wide, 600, 1.8)
    before = phi(d).copy()
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    d.follow_metal()
    patched = phi(d).copy()
    d.potential.relax(d.state, wide, 600, 1.8)
    error = np.abs(patched - phi(d)).max()
    assert error < local_updates.LEAST * d.thermal
    assert np.abs(before - phi(d)).max() > 10 * error


@pytest.mark.parametrize("name", LAYERED)
def test_what_passes_the_bent_box_is_let_run_out(name: str) -> None:
    """With no patch of its own and no bound on what passed, one wide box is as good as a whole solution.

    Within 0.1 kT/e of the lattice's equations in a box of twice a patch's reach, where the mesh has nothing
    new to tell. Negative control: what the event itself bent is further off.
    """
    d, site = tipped(name)
    wide = box_of(d.potential.shape, site, 2 * local_updates.REACH)
    d.potential.relax(d.state, wide, 600, 1.8)
    d.potential.prepare(d.state)
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    bent = phi(d).copy()
    changes = d.state.dirty[:1].copy()
    changes["shift"] = 1e-9
    d.network.update(d.state, d.potential.fields)
    solves = d.potential.solves
    if d.patches.follow(d.state, changes, VOLT, d.thermal, 0.0) is None:  # the mesh sees the atom: all is new
        assert d.potential.solves == solves + 1
        return
    patched = phi(d).copy()
    d.potential.relax(d.state, wide, 600, 1.8)
    error = np.abs(patched - phi(d)).max()
    assert error < local_updates.LEAST * d.thermal
    assert np.abs(bent - phi(d)).max() > error


@pytest.mark.parametrize("name", LAYERED)
def test_the_event_tells_what_it_does_not_bend(name: str) -> None:
    """The potential after one more atom is off by no more than a quarter over what the event tells.

    Negative control: without bending it is off by more than five times that.
    """
    d, site = tipped(name)
    wide = box_of(d.potential.shape, site, 2 * local_updates.REACH)
    d.potential.relax(d.state, wide, 600, 1.8)
    before = phi(d).copy()
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    bent, told = phi(d).copy(), float(d.state.dirty["shift"][0])
    d.potential.relax(d.state, wide, 600, 1.8)
    assert np.abs(bent - phi(d)).max() < 1.25 * told
    assert np.abs(before - phi(d)).max() > 5 * told


@pytest.mark.parametrize(("moved", "answer"), [(0.0, 0.0), (0.2, 0.0), (0.2, 0.5)])
def test_chances_to_come_back_do_not_outlive_their_potential(
    moved: float, answer: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metal whose own potential moves, joined or parted, shifts the field everywhere: all atoms try anew,
    also where the circuit answers with less than kT/e.

    Control: after a change that moves none (nor warms any), atoms far from it keep what they have learnt.
    """
    d, site = tipped("ogb_20nm")
    monkeypatch.setattr(d.heat, "moved", lambda: False)
    meet = d.meet
    monkeypatch.setattr(
        d,
        "meet",
        lambda siemens: replace(meet(siemens), voltage_device=meet(siemens).voltage_device + answer * d.thermal),
    )
    film = d.network.film
    far = d.state.sites["entity"][film[film // (d.grid.ny * d.grid.nx) < site // (d.grid.ny * d.grid.nx) - 6]]
    d.state.entities["returns"][far] = 0.5
    d.potential.fields["unit"][film] += moved
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    d.follow_metal()
    assert len(far) > 3
    assert (d.state.entities["returns"][far] == (0.0 if moved else 0.5)).all()


@pytest.mark.parametrize("name", LAYERED)
def test_no_rate_is_stale_after_a_patch(name: str) -> None:
    """All rates are those of the potentials there are, to the last bit but rounding (1e-12)."""
    d, site = tipped(name)
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    advance.refresh_touched(*window_of(d))
    d.follow_metal()
    kept = d.state.entities["total"].copy()
    d.refresh()
    assert kept == pytest.approx(d.state.entities["total"], rel=1e-12)
    d.potential.fields["space_potential"] += 1e-3 * np.arange(d.lattice.sites) / d.lattice.sites
    d.refresh()
    assert np.abs(kept / np.maximum(d.state.entities["total"], 1e-300) - 1.0).max() > 1e-6


@pytest.mark.parametrize("name", LAYERED)
def test_closing_a_filament_never_lowers_the_conductance(name: str) -> None:
    """Plane by plane up the seam, and each atom of a plane by itself; from out of reach to closed."""
    d = device(name)
    way, plane = seam(d), d.grid.ny * d.grid.nx
    last, rises = 0.0, 0
    for z in np.unique(way // plane):
        put_silver(d, way[way // plane == z])
        assert d.path.conductance >= last
        rises += d.path.conductance > 2 * last
        last = d.path.conductance
    assert d.path.bridged
    assert rises >= 3


@pytest.mark.parametrize("name", LAYERED)
def test_silver_on_the_organic_is_cathode_and_no_filament(name: str) -> None:
    """An atom far from the column is at the cathode's potential, and takes no part in what leads heat away.

    Negative control: the same atom in the middle of the film floats.
    """
    d = device(name)
    floor, way = d.lattice.organic_surface(), seam(d)
    plane, nx, ny = d.grid.ny * d.grid.nx, d.grid.nx, d.grid.ny
    y, x = (int(way[0]) // nx % ny + ny // 2) % ny, (int(way[0]) % nx + nx // 2) % nx
    on, above = floor * plane + y * nx + x, (floor + 6) * plane + y * nx + x
    put_silver(d, np.array([on]))
    assert d.potential.fields["unit"][on] == 0.0
    assert on not in d.network.filament(d.state, d.path.heat.sites)
    put_silver(d, np.array([above]))
    assert 0.0 < d.potential.fields["unit"][above] < 1.0
    assert above in d.network.filament(d.state, d.path.heat.sites)


@pytest.mark.parametrize("name", STACKS)
def test_room_between_chains_is_where_there_are_chains(name: str) -> None:
    """With a ligand every site of a gap or void has room, free or tight; without one no room is tight."""
    lattice = device(name).lattice
    if loaded(name).ligand is None:
        assert not (lattice.room == TIGHT).any()
        return
    between = lattice.mask(Region.GAP, Region.VOID)
    assert np.isin(lattice.room[between], (OPEN, TIGHT)).all()
    assert (lattice.room[~between] != TIGHT).all()
    assert (lattice.room[between] == TIGHT).sum() > (lattice.room[between] == OPEN).sum() > 0


@pytest.mark.parametrize("name", [name for name in LAYERED if loaded(name).ligand is not None])
def test_pushing_chains_aside_slows_both_ways_alike(name: str) -> None:
    """Reduction and oxidation at a tight site are slower by exp(-insertion / kT), so their ratio is kept.

    From 0.6 eV on: without it a lone atom's way down may have no barrier; up to 0.6 eV both slow alike.
    Negative control: at a free site of the seam the barrier changes nothing.
    """
    found = {}
    for barrier in ("0 eV", "0.6 eV", "0.9 eV"):
        d = device(reduced(name, **{"ligand.insertion_barrier": barrier}))
        room = d.lattice.room.ravel()
        w = window_of(d)
        gap = d.lattice.mask(Region.GAP).ravel()
        sites = [int(np.flatnonzero((room == kind) & gap)[0]) for kind in (TIGHT, OPEN)]
        found[barrier] = [
            [redox(w.state, w.grid, w.fields, w.model, s, 0.1, way) for way in (True, False)] for s in sites
        ]
    none, low, high = np.array(list(found.values()))
    assert high[0] / low[0] == pytest.approx(math.exp(-0.3 / (K_B * 300.0)), rel=1e-9)
    slower, other = low[0] / none[0]
    assert slower == pytest.approx(other, rel=1e-9)
    assert math.exp(-0.6 / (K_B * 300.0)) < slower * (1 + 1e-9) < 1.0
    assert high[1] == pytest.approx(none[1], rel=1e-12)


@pytest.mark.parametrize("name", LAYERED)
def test_what_is_not_waited_for_hardly_conducts(name: str) -> None:
    """From an empty seam up, atoms of a plane under the watched one change the conductance by under 2 % each.

    Negative control: those of the planes from the watched one on change it by more.
    """
    d = device(reduced(name, **{"device.residue_gap": "100 nm"}))
    way, plane = seam(d), d.grid.ny * d.grid.nx
    below, above = [], []
    for z in np.unique(way // plane):
        watch, total = d.state.run["watch"][0], d.path.conductance + d.leak.current(0.1, d.stage) / 0.1
        atoms = way[way // plane == z]
        put_silver(d, atoms)
        if d.path.bridged:
            break
        change = (d.path.conductance + d.leak.current(0.1, d.stage) / 0.1) / total - 1.0
        (below if z < watch else above).append(change / len(atoms))
    assert len(below) >= 3
    assert max(below) < 0.02
    assert max(above) > 0.02


@pytest.mark.parametrize("name", LAYERED)
def test_a_stub_that_falls_apart_below_its_tip_asks_for_the_current(name: str) -> None:
    """When its tip is no more at the cathode, and seldom else: where sites beside do not tell of another way.

    Negative control: without the mark of an open filament's silver nothing asks.
    """
    d = device(reduced(name, **{"device.residue_gap": "100 nm"}))
    way, plane = seam(d), d.grid.ny * d.grid.nx
    planes = np.unique(way // plane)
    put_silver(d, way[way // plane <= planes[-4]])
    d.set_source(VOLT, math.inf)
    assert not d.path.bridged
    run, asked, parted, blind = d.state.run, [], [], d.state.bridge.copy()
    tip = int(way[way // plane == planes[-4]][0])
    for site in way[way // plane == planes[-12]]:
        bound = d.network.label[tip]
        blind[:] = d.state.bridge
        for marks in (0, blind):
            d.state.bridge[:] = marks
            run["force_refresh"], run["dirty"] = 0, 0
            remove(d, int(site))
            told = bool(run["force_refresh"][0] & 1)
            if marks is not blind:
                assert not told
                put_silver(d, np.array([site]))
        d.trace_current()
        asked.append(told)
        parted.append(d.network.label[tip] != bound)
    assert sum(parted) == 1
    assert asked[parted.index(True)]
    assert sum(asked) <= 3


@pytest.mark.parametrize("name", [name for name in LAYERED if name != "interlayers_only"])
def test_a_stub_that_loses_its_foot_asks_for_the_current(name: str) -> None:
    """A chain on the column in the organic, whose atom under it goes.

    Negative control: the atom of the chain's top, far from the electrode, asks for nothing.
    """
    d = device(reduced(name, **{"device.residue_gap": "100 nm"}))
    way, plane = seam(d), d.grid.ny * d.grid.nx
    foots = way[(way // plane == way.min() // plane) & (d.state.sites["cation"][way - plane] == METAL)]
    chain = int(foots[0]) + plane * np.arange(6)
    put_silver(d, chain)
    d.set_source(VOLT, math.inf)
    run, asked = d.state.run, []
    assert not d.path.bridged
    assert d.network.label[chain[-1]] == d.network.label[chain[0]]
    for site in (int(chain[-1]), int(chain[0]) - plane):
        run["force_refresh"], run["dirty"], run["watch"] = 0, 0, np.inf
        before = d.network.label[chain[1]]
        remove(d, site)
        asked.append(bool(run["force_refresh"][0] & 1))
        d.trace_current()
    assert asked == [False, True]
    assert d.network.label[chain[1]] != before


def filled(name: str) -> Device:
    """A closed filament of ohmic bonds at 0.4 V, followed to the end.

    Without the conductance quantum at its narrowest plane, which may move to another as atoms go.
    """
    d = device(reduced(name, **{"device.residue_gap": "100 nm"}))
    d.network.quantum = 1.0
    put_silver(d, seam(d))
    d.set_source(VOLT, math.inf)
    d.state.run["dirty"] = d.state.run["force_refresh"] = 0
    assert d.path.bridged
    return d


@pytest.mark.parametrize("name", LAYERED)
def test_a_filaments_current_is_asked_for_by_power(name: str) -> None:
    """Each atom of a closed filament, taken alone: what moves the conductance by 5 % asks for the current.

    What does not ask moves it by less. Negative control: with a bound that nothing meets, none asks.
    """
    d = filled(name)
    before, run = d.path.conductance, d.state.run
    asked, quiet = 0, 0
    film = np.sort(d.network.film)
    for site in {*film[:: max(1, len(film) // 24)].tolist(), *film[-12:].tolist()}:  # its neck is on top
        run["stale"], run["force_refresh"], run["dirty"] = 0.0, 0, 0
        remove(d, site)
        asks = bool(run["force_refresh"][0] & 1)
        without = d.network.update(d.state, d.potential.fields).conductance
        put_silver(d, np.array([site]))
        asked, quiet = asked + asks, quiet + (not asks)
        assert asks or abs(without / before - 1.0) < 0.05
    assert asked
    run["stale"], run["stale_bound"], run["force_refresh"], d.state.bridge[:] = 0.0, math.inf, 0, 0
    remove(d, int(d.network.film[-1]))
    assert not run["force_refresh"][0] & 1


def test_changes_add_up_only_near_each_other() -> None:
    """Two changes of 30 mV at a bound of 52 mV: side by side they ask for a solution, ten sites apart not."""
    asks = {}
    for apart in (1, 10):
        d = device("ogb_20nm")
        d.state.run["dirty"] = d.state.run["force_refresh"] = 0
        plane = d.grid.ny * d.grid.nx
        for site in (20 * plane, 20 * plane + apart):
            note_change(d.state, d.grid, site, False, 0.03)
        asks[apart] = bool(d.state.run["force_refresh"][0] & 2)
    assert asks == {1: True, 10: False}


def test_a_site_that_flickers_tells_of_a_larger_change_later() -> None:
    """20 mV and then 60 mV at one site ask for a solution at a bound of 52 mV, as 60 mV do at once, and count
    for what is beside it; 20 mV again and again do not."""
    asks, small = [], (0.02, 0.02, 0.02)
    for shifts, there in (((0.02, 0.06), 0.02), ((0.06,), 0.02), (small, 0.01), ((0.01, 0.05), 0.01)):
        d = device("ogb_20nm")
        d.state.run["dirty"] = d.state.run["force_refresh"] = 0
        plane = d.grid.ny * d.grid.nx
        note_change(d.state, d.grid, 20 * plane + 1, False, there)
        for shift in shifts:
            note_change(d.state, d.grid, 20 * plane, False, shift)
        assert d.state.run["dirty"][0] == 2
        other, one = d.state.dirty[:2]["error"]
        assert other == pytest.approx(there + max(shifts))
        assert one == pytest.approx(there + max(shifts))
        asks.append(bool(d.state.run["force_refresh"][0] & 2))
    assert asks == [True, True, False, True]


def test_one_more_event_always_finds_room_for_its_changes() -> None:
    """As long as no solution is asked for, a move of an atom, two changes, still fits into the list."""
    d = device("ogb_20nm")
    run = d.state.run
    run["dirty"] = run["force_refresh"] = 0
    run["shift_bound"] = math.inf
    for site in range(1000, 1000 + d.state.dirty.size):
        if run["force_refresh"][0]:
            break
        assert run["dirty"][0] + 2 <= d.state.dirty.size
        note_change(d.state, d.grid, site, False, 0.0)
    assert run["force_refresh"][0] == 4
    assert run["dirty"][0] > d.state.dirty.size // 2
