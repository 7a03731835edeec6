"""The narrowest place of a closed filament: its current is asked for where another place becomes that."""

from __future__ import annotations

import numpy as np
import pytest
from small_filament import closed
from small_stacks import LAYERED

from kmc.kinetics.metal_changes import remove_metal
from kmc.simulation.window import Device
from kmc.system.state import METAL, ON_WAY
from kmc.transport import closed_filament as bk
from kmc.transport import minimum_cut as fl

TAKEN = 60


def whittled(name: str, seed: int, counted: bool = True) -> tuple[list[float], int]:
    """Atoms taken from a thin filament in a random order while it is closed.

    Relative changes of the conductance that did not ask for the current; how often it was asked for.
    """
    d = closed(name, wide=3)
    asked, unseen, run = 0, [], d.state.run
    for site in np.random.default_rng(seed).permutation(d.network.film)[:TAKEN]:
        run["dirty"], run["force_refresh"] = 0, 0
        if not counted:
            d.state.bridge[:] = 0
        remove(d, int(site))
        held, kept = d.path.conductance, d.potential.fields.copy()
        if run["force_refresh"][0] & 1:
            asked += 1
            d.trace_current()
            if not d.path.bridged:
                break
            continue
        bridge, neck = d.state.bridge.copy(), d.network.neck
        unseen.append(abs(d.network.update(d.state, d.potential.fields).conductance / held - 1.0))
        d.potential.fields[:], d.state.bridge[:], d.network.neck = kept, bridge, neck
    return unseen, asked


@pytest.mark.parametrize("name", LAYERED)
def test_no_place_gets_narrowest_unseen(name: str) -> None:
    """What does not ask for the current moves the conductance by under 4 %, but for one in ten.

    Those are of filaments with two places as narrow as each other, of which one has the quantum: the upper.
    """
    found = [whittled(name, seed) for seed in (1, 2)]
    unseen = [change for changes, _ in found for change in changes]
    assert np.mean(np.array(unseen) > 0.04) < 0.1
    assert max(unseen) < 0.2
    assert 0 < max(asked for _, asked in found) < 0.75 * TAKEN


def test_by_power_alone_it_does() -> None:
    """Negative control: by the bonds' power, without the ways, one in four moves it by more."""
    unseen = np.array(whittled("ogb_20nm", 1, counted=False)[0] + whittled("ogb_20nm", 2, counted=False)[0])
    assert np.mean(unseen > 0.04) > 0.2


@pytest.mark.parametrize("name", LAYERED)
def test_ways_are_as_many_as_the_neck_is_wide(name: str) -> None:
    """Without an atom that is on none the neck is as wide; without one that is on one it may be narrower.

    Negative control: of the latter some do make it narrower.
    """
    d = closed(name, wide=3)
    wide = width(d)
    for site in np.random.default_rng(1).permutation(d.network.film)[:TAKEN]:
        remove(d, int(site))
    d.trace_current()
    if not d.path.bridged:
        return
    wide = width(d)
    film = d.network.film[d.state.bridge[d.network.film] > 0]
    on_way = d.state.bridge[film] == ON_WAY
    assert on_way.any()
    narrower = []
    for site, way in zip(film, on_way, strict=True):
        d.state.sites["cation"][site] = 0
        found = width(d, film[film != site])
        d.state.sites["cation"][site] = METAL
        assert way or found == wide
        narrower.append(found < wide)
    assert any(narrower)


OHMIC, QUANTUM = 3e-3, 77e-6


def column(planes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
    """Sides and unit potentials of a column of these planes of atoms, upwards, and its conductance, S."""
    there = np.stack(planes)
    nodes, shape = np.flatnonzero(there).astype(np.int32), there.shape
    index = np.full(there.size, -1, np.int32)
    index[nodes] = np.arange(len(nodes))
    to = np.full((len(nodes), 6), fl.NONE, np.int32)
    for k, site in enumerate(nodes):
        z, y, x = np.unravel_index(site, shape)
        for d, step in enumerate(((0, 0, -1), (0, 0, 1), (0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0))):
            beyond = tuple(np.add((z, y, x), step))
            if beyond[0] in (-1, shape[0]):
                to[k, d] = fl.CATHODE_END if beyond[0] < 0 else fl.ANODE_END
            elif all(0 <= at < n for at, n in zip(beyond, shape, strict=True)) and there[beyond]:
                to[k, d] = index[np.ravel_multi_index(beyond, shape)]
    side = np.zeros(len(nodes), np.uint8)
    graph = bk.BondGraph(nodes, to, np.zeros((len(nodes), 6), np.int8), side)
    fl.minimum_cut(to, graph.flow, side)
    links, weight = np.zeros((6 * len(nodes), 3), np.int32), np.zeros(6 * len(nodes))
    count = bk.bridge_network(graph, OHMIC, QUANTUM, shape, links, weight)
    unit = np.full(len(nodes), 0.3)
    bk.solve_network(links[:count], weight[:count], nodes // (shape[1] * shape[2]), unit, 1e-9)
    ends = np.append(unit, [0.0, 1.0])
    drop = ends[links[:count, 1]] - ends[links[:count, 0]]
    return side, unit, float((weight[:count] * drop**2).sum())


@pytest.mark.parametrize("wide", [1, 3])
def test_a_column_as_narrow_throughout_has_half_of_its_contact_at_either_end(wide: int) -> None:
    """Its atoms lie between both, at half of the voltage: neither electrode is another one's mirror image.

    As much resistance in all as one quantum an atom of a plane, and the silver's.
    """
    full = np.ones((wide, wide), bool)
    side, unit, siemens = column([full] * 6)
    assert (side == fl.BETWEEN).all()
    assert 1.0 / siemens == pytest.approx((1.0 / QUANTUM + 7.0 / OHMIC) / wide**2, rel=1e-6)
    planes = unit.reshape(6, -1).mean(axis=1)
    assert planes + planes[::-1] == pytest.approx(np.ones(6), abs=1e-6)
    assert np.ptp(planes) < 0.2


@pytest.mark.parametrize("at", [1, 4])
def test_one_narrowest_plane_has_all_of_it(at: int) -> None:
    """Wider silver lies on one of its two sides, and nothing between them."""
    planes = [np.ones((3, 3), bool)] * 6
    planes[at] = np.eye(3) > 5.0
    planes[at][1, 1] = True
    side, unit, siemens = column(planes)
    assert siemens < QUANTUM
    height = np.repeat(np.arange(6), [plane.sum() for plane in planes])
    assert (side[height < at] == fl.BELOW).all()
    assert (side[height > at] == fl.ABOVE).all()
    assert unit[height < at].max() < 0.2
    assert unit[height > at].min() > 0.8


def test_a_foot_that_goes_is_seen() -> None:
    """Silver in the organic is no part of the network, but where it goes the filament may be open."""
    d = closed("ogb_20nm", wide=1)
    plane = d.grid.ny * d.grid.nx
    feet = [
        int(site) - plane
        for site in d.network.film
        if d.state.bridge[site] == ON_WAY
        and d.network.in_organic[site - plane]
        and d.state.sites["cation"][site - plane] == METAL
    ]
    assert feet
    d.state.run["force_refresh"] = 0
    remove(d, feet[0])
    assert d.state.run["force_refresh"][0] & 1


def width(d: Device, atoms: np.ndarray | None = None) -> int:
    """Bonds of the narrowest place of a closed filament (of some of its atoms)."""
    nodes = d.network.film[d.state.bridge[d.network.film] > 0] if atoms is None else atoms
    index = np.full(d.lattice.region.size, fl.NONE, np.int32)
    index[nodes] = np.arange(len(nodes))
    to = bk.bonds(d.state.sites, d.network.in_organic, nodes, index, d.lattice.shape)
    return fl.minimum_cut(to, np.zeros((len(nodes), 6), np.int8), np.zeros(len(nodes), np.uint8))


def remove(d: Device, site: int) -> None:
    """Take an atom away as an event does."""
    remove_metal(d.state, d.grid, d.potential.fields, d.model, int(d.state.sites["entity"][site]))
