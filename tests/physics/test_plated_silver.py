"""Silver that only lies on the organic: it has the potential of the sheet of carriers there, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from small_stacks import LAYERED, device, put_silver, reduced

from kmc.electrostatics import local_updates
from kmc.electrostatics.potential import Potential
from kmc.electrostatics.site_boxes import box_of
from kmc.kinetics import advance
from kmc.kinetics.metal_changes import add_metal, remove_metal
from kmc.simulation.state_dict import device_state, restore_device
from kmc.simulation.window import Device
from kmc.system.state import KIND_METAL, METAL

VOLT = 0.6


def plated(name: str, **values: object) -> tuple[Device, int]:
    """A small window with one atom on the sheet of carriers, off the column; the site of the atom."""
    d = device(reduced(name), **values)
    _, ny, nx = d.lattice.shape
    column = np.argwhere((d.state.sites["cation"] == METAL).reshape(d.lattice.shape))[:, 1:]
    _, y, x = np.unravel_index(d.potential.sheet, d.lattice.shape)
    apart = np.abs(np.stack([y, x], 1)[:, None] - column[None])
    far = np.minimum(apart, np.array([ny, nx]) - apart).max(axis=2).min(axis=1)
    atom = int(d.potential.sheet[far.argmax()]) + ny * nx
    assert far.max() > 2
    put_silver(d, np.array([atom]))
    d.state.run["voltage_device"] = VOLT
    d.solve_fields()
    return d, atom


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", LAYERED)
def test_it_is_at_the_potential_of_the_sheet(name: str, factor: int) -> None:
    """So nothing pulls ions to it, and its cell of the mesh stays free. The column is grounded.

    A second atom on it holds the cell, at the sheet's potential too.
    """
    d, atom = plated(name, mesh_factor=factor)
    volts = d.potential.sheet_voltage
    assert volts > 1e-5
    assert d.potential.fields["space_potential"][atom] == volts
    assert d.potential.fields["unit"][atom] == 0.0
    grounded = (d.state.sites["cation"] == METAL) & d.network.in_organic
    assert grounded.any()
    assert not d.potential.fields["space_potential"][grounded].any()
    above = atom + d.grid.ny * d.grid.nx
    cells = [tuple(k // factor for k in np.unravel_index(site, d.lattice.shape)) for site in (atom, above)]
    assert not d.potential.fixed[cells[0]]
    put_silver(d, np.array([above]))
    assert d.potential.fixed[cells[1]]
    assert d.potential.space_potential[cells[1]] == pytest.approx(volts)


@pytest.mark.parametrize("name", LAYERED)
def test_above_the_sheet_the_lattice_tells_the_potential(name: str) -> None:
    """After a whole solution as after a change nearby: the lattice's equations hold there to 0.1 kT/e.

    So rates of what plates the organic do not depend on when something happened near.
    """
    d = device(reduced(name))
    assert off_the_lattice(d, d.potential.above_sheet) < 0.1 * d.thermal


def test_the_mesh_alone_does_not() -> None:
    """Negative control: between its nodes the potential is bent, and it is off by more than 0.3 kT/e."""
    d = device(reduced("ogb_20nm"))
    planes, d.potential.above_sheet = d.potential.above_sheet, (0, 0)
    assert off_the_lattice(d, planes) > 0.3 * d.thermal


def off_the_lattice(d: Device, planes: tuple[int, int]) -> float:
    """How far potentials move when planes are relaxed to the end after a whole solution, V."""
    d.state.run["voltage_device"] = VOLT
    d.solve_fields()
    fields, box = d.potential.fields, (*planes, 0, d.grid.ny, 0, d.grid.nx)
    before = VOLT * fields["unit"] + fields["space_potential"]
    d.potential.relax(d.state, box, 600, 1.5)
    return float(np.abs(VOLT * fields["unit"] + fields["space_potential"] - before).max())


@pytest.mark.parametrize("name", LAYERED)
def test_what_an_atom_moves_that_plates_is_relaxed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All around is within 0.1 kT/e of the lattice's equations, also where it is born at its surroundings'
    potential and goes to the sheet's later. Negative control: of that the event does not tell (ogb_20nm)."""
    off = []
    for late, told in ((False, True), (True, True), (True, False)):
        d, atom = plated(name)
        remove_metal(d.state, d.grid, d.potential.fields, d.model, int(d.state.sites["entity"][atom]))
        d.state.run["dirty"] = d.state.run["force_refresh"] = 0
        d.trace_current()
        d.solve_fields()
        wide = box_of(d.potential.shape, atom, 2 * local_updates.REACH)
        d.potential.relax(d.state, wide, 600, 1.8)
        open_fields = d.potential.fields.copy()
        add_metal(d.state, d.grid, d.potential.fields, d.model, atom)
        if late:
            d.potential.fields[:], d.state.dirty["shift"][0] = open_fields, 0.0
        if not told:
            monkeypatch.setattr("kmc.simulation.window.follow_shift", lambda *given: None)
        d.follow_metal()
        assert atom in d.network.plated
        before = VOLT * d.potential.fields["unit"] + d.potential.fields["space_potential"]
        d.potential.relax(d.state, wide, 600, 1.8)
        after = VOLT * d.potential.fields["unit"] + d.potential.fields["space_potential"]
        off.append(float(np.abs(after - before).max()))
    assert max(off[:2]) < local_updates.LEAST * d.thermal
    assert off[2] > local_updates.LEAST * d.thermal or name != "ogb_20nm"


@pytest.mark.parametrize("name", LAYERED)
def test_an_atom_by_itself_is_born_at_the_carriers_potential(name: str) -> None:
    """So an ion that comes beside it finds their electrons before anything is solved. One plane higher, where
    nothing carries, it is born at its surroundings'."""
    d, atom = plated(name)
    fields, plane = d.potential.fields, d.grid.ny * d.grid.nx
    remove_metal(d.state, d.grid, fields, d.model, int(d.state.sites["entity"][atom]))
    d.follow_metal()
    for site in (atom, atom + plane):
        here = fields[site].copy()
        assert VOLT * here["unit"] + here["space_potential"] > d.potential.sheet_voltage + 0.3 * d.thermal
        add_metal(d.state, d.grid, fields, d.model, site)
        born = (0.0, d.potential.sheet_voltage) if site == atom else (here["unit"], here["space_potential"])
        assert (fields["unit"][site], fields["space_potential"][site]) == born
        remove_metal(d.state, d.grid, fields, d.model, int(d.state.sites["entity"][site]))


def way_to_the_column(d: Device, atom: int) -> list[int]:
    """Free sites from a plated atom to silver in the organic, along its plane and then down."""
    silver = np.flatnonzero((d.state.sites["cation"] == METAL) & d.network.in_organic)
    _, ny, nx = d.lattice.shape
    z, y, x = np.unravel_index(atom, d.lattice.shape)
    top = silver[silver // (ny * nx) == (silver // (ny * nx)).max()][0]
    zt, yt, xt = np.unravel_index(top, d.lattice.shape)
    way = [(z, b, x) for b in range(min(y, yt), max(y, yt) + 1)]
    way += [(z, yt, a) for a in range(min(x, xt), max(x, xt) + 1)] + [(k, yt, xt) for k in range(zt, z)]
    sites = [int(np.ravel_multi_index(one, d.lattice.shape)) for one in way]
    return [site for site in dict.fromkeys(sites) if d.state.sites["cation"][site] == 0]


def test_it_is_grounded_once_it_joins_the_column() -> None:
    """A path of atoms down to silver in the organic: what had been plated is part of the cathode then."""
    d, atom = plated("ogb_20nm")
    new = way_to_the_column(d, atom)
    advance.place_many(d.state, d.grid, KIND_METAL, np.array(new, np.int32))
    d.trace_current()
    assert d.potential.fields["space_potential"][atom] == 0.0
    d.solve_fields()
    assert d.potential.fields["space_potential"][atom] == 0.0


def test_a_cell_of_both_is_at_the_mean() -> None:
    """A needle on the sheet, five atoms high: its cells above the lowest are at its potential.
    With an electrode's sites in the cell it is less by their number."""
    d, atom = plated("ogb_20nm", mesh_factor=4)
    _, ny, nx = d.lattice.shape
    roof = int(d.network.anode_height.ravel()[atom % (ny * nx)])
    needle = np.arange(atom, (roof - 1) * ny * nx + atom % (ny * nx), ny * nx)[1:]
    put_silver(d, needle[d.state.sites["cation"][needle] == 0])
    assert set(needle) <= set(d.network.plated)
    inside = [tuple(k // 4 for k in np.unravel_index(site, d.lattice.shape)) for site in needle]
    metal = (d.state.sites["cation"] >= METAL).reshape(d.lattice.shape)
    volts, counts = d.potential.sheet_voltage, []
    for z, y, x in dict.fromkeys(inside):
        if z == d.potential.mesh.first:  # the lowest atom, which does not hold it, is in it
            continue
        count = int(metal[4 * z : 4 * z + 4, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].sum())
        assert d.potential.space_potential[z, y, x] == pytest.approx(volts * inside.count((z, y, x)) / count)
        counts.append((inside.count((z, y, x)), count))
    assert any(own == count for own, count in counts)


def test_a_checkpoint_knows_it() -> None:
    """A window that goes on from a checkpoint has it where it was."""
    d, atom = plated("ogb_20nm")
    other = device(reduced("ogb_20nm"))
    restore_device(other, device_state(d))
    other.solve_fields()
    assert other.potential.fields["space_potential"][atom] == d.potential.sheet_voltage


def test_what_joins_the_column_leaves_no_rate_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate of atoms is joined by one: the rates beside all of it are those of its potential now.

    Negative control: with the sites that changed left out some are off.
    """
    plate = Potential.plate
    for told in (True, False):
        d, atom = plated("ogb_20nm")
        way = way_to_the_column(d, atom)
        column = (d.state.sites["cation"] == METAL) & (np.arange(d.lattice.region.size) != atom)
        meets = [site for site in way if column[beside(d, site)].any()]
        put_silver(d, np.array([site for site in way if site not in meets]))
        assert len(d.network.plated) > 3
        for site in meets[1:]:
            add_metal(d.state, d.grid, d.potential.fields, d.model, site)
        d.follow_metal()
        advance.refresh_all(d.state, d.grid, d.potential.fields, d.model)
        if not told:
            monkeypatch.setattr(Potential, "plate", lambda *given: plate(*given)[:0])
        add_metal(d.state, d.grid, d.potential.fields, d.model, meets[0])
        d.follow_metal()
        assert d.potential.fields["space_potential"][atom] == 0.0
        held = d.state.rates[d.state.entities["kind"] > 0].copy()
        advance.refresh_all(d.state, d.grid, d.potential.fields, d.model)
        now = d.state.rates[d.state.entities["kind"] > 0]
        assert np.allclose(held, now, rtol=1e-9, atol=0.0) == told


def beside(d: Device, site: int) -> np.ndarray:
    """The six sites next to one."""
    steps = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    places = np.array(np.unravel_index(site, d.lattice.shape)) + steps
    return np.ravel_multi_index(tuple(places.T), d.lattice.shape, mode="wrap")
