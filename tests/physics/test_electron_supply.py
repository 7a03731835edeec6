"""Electrons reach an ion that touches no metal from connected metal alone, and the less the further it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_stacks import device, free, put_silver, reduced, seam, settings

from kmc.cards.stack import load_stack
from kmc.electrostatics.local_updates import MOST
from kmc.geometry.lattice import Region
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.kinetics.metal_changes import add_metal
from kmc.kinetics.redox_rates import redox
from kmc.simulation.simulation import SLICES_A_STEP, Simulation
from kmc.simulation.state_dict import device_state, restore_device
from kmc.simulation.window import Device
from kmc.system.state import METAL
from kmc.transport.clusters import ANODE, FLOATING, neighbour

NEAR_NM = 1.5  # at which the cards' 1e-5 is what five decades of tunnelling leave
DECADE_NM = 0.3


def cells(d: Device, sites: np.ndarray) -> np.ndarray:
    """Coordinates [n, 3] of the small cells that hold sites, each once."""
    return np.unique(np.column_stack(np.unravel_index(sites, d.lattice.shape)) // 2, axis=0)


def by_hand(d: Device, sources: np.ndarray) -> np.ndarray:
    """What is left in each cell for sources [n, 3]: every distance is looked at."""
    shape = tuple(n // 2 for n in d.lattice.shape)
    places = np.indices(shape).reshape(3, -1).T
    apart = np.full(len(places), np.inf)
    for source in sources:
        away = np.abs(places - source)
        away[:, 1:] = np.minimum(away[:, 1:], np.array(shape[1:]) - away[:, 1:])
        apart = np.minimum(apart, (away**2).sum(axis=1))
    beyond = np.maximum(2 * d.lattice.spacing_nm * np.sqrt(apart) - NEAR_NM, 0.0)
    return 10.0 ** (-beyond / DECADE_NM)


def given(d: Device) -> list[np.ndarray]:
    """Sites that give electrons whatever silver there is: the cathode's with an organic's, the anode's."""
    region = d.lattice.region.ravel()
    cathode = (region == Region.COUNTER) | d.network.in_organic
    return [np.flatnonzero(cathode), np.flatnonzero(region == Region.ELECTRODE)]


def anew(d: Device) -> bytes:
    """What a fresh look finds."""
    d.supply.anew = True
    d.supply.follow(d.state, d.potential)
    return d.state.supply.tobytes()


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "thin_film_100nm", "interlayers_only"])
def test_what_is_left_falls_as_tunnelling_does(name: str) -> None:
    """In each cell, by its distance to the nearest that is the cathode's: the electrode, a carrier of the
    organic, or silver joined to them; and to the nearest that is the anode's."""
    d = device(reduced(name))
    if d.stack.active is not None and d.stack.crystal is not None:
        put_silver(d, np.append(seam(d)[:5], seam(d)[-5:]))
    film = d.network.film
    label = d.network.label[film]
    joined = [film[(label < FLOATING) & (label != ANODE)], film[label == ANODE]]
    for left, always, silver in zip(d.state.supply["left"], given(d), joined, strict=True):
        expected = by_hand(d, cells(d, np.append(always, silver)))
        known = expected > 1e-7
        assert left[known] == pytest.approx(expected[known], rel=1e-9)
        assert (left[~known] <= 1.001e-7).all()
        assert left.max() == 1.0


@pytest.mark.parametrize("name", ["ogb_20nm", "thin_film_100nm"])
def test_electrons_have_the_potential_of_the_nearest_silver(name: str) -> None:
    """Of one of the cells as near: the carriers' by the organic, the closed filament's own along its way."""
    d = device(reduced(name))
    _, ny, nx = d.lattice.shape
    column = np.flatnonzero(d.lattice.residue)  # silver that stands there has a foot in the organic
    whole = np.arange(d.lattice.organic_surface(), int(d.lattice.silver_surface().max())) * ny * nx
    put_silver(d, free(d, np.isin(np.arange(d.lattice.region.size), whole + column[0] % (ny * nx))))
    d.set_source(1.0, math.inf)
    d.solve_fields()
    assert d.path.bridged
    assert d.potential.sheet_voltage != 0.0
    film, fields = d.network.film, d.potential.fields
    unit = fields["unit"][film]
    assert ((unit > 0.05) & (unit < 0.95)).any()
    cathode = given(d)[0]
    sources = np.append(cathode, film)
    charge = np.where(d.network.in_organic[cathode], d.potential.sheet_voltage, 0.0)
    values = np.column_stack(
        [np.append(np.zeros(len(cathode)), unit), np.append(charge, fields["space_potential"][film])]
    )
    own = np.column_stack(np.unravel_index(sources, d.lattice.shape)) // 2
    shape = np.array(d.lattice.shape) // 2
    told = d.state.supply[0].reshape(shape)
    for place in np.argwhere(told["left"] > 1e-7)[::7]:
        apart = np.abs(own - place)
        apart[:, 1:] = np.minimum(apart[:, 1:], shape[1:] - apart[:, 1:])
        square = (apart**2).sum(axis=1)
        nearest = np.unique(own[square == square.min()], axis=0)
        means = [values[(own == cell).all(axis=1)].mean(axis=0) for cell in nearest]
        here = [told[tuple(place)][name] for name in ("unit", "space_potential")]
        assert any(here == pytest.approx(mean, abs=1e-12) for mean in means)


@pytest.mark.parametrize("name", ["ogb_90nm", "thin_film_100nm"])
def test_what_follows_silver_is_what_a_fresh_look_finds(name: str) -> None:
    """To the byte, or a run that was resumed would be another: planes that silver did not touch are kept.
    Voltages move the carriers; at last a filament closes, along which potentials differ."""
    d = device(reduced(name, thickness="24 nm"))
    generator = np.random.default_rng(3)
    _, ny, nx = d.lattice.shape
    column = np.flatnonzero(d.lattice.residue)[0] % (ny * nx)
    for turn in range(30):
        d.set_source(0.3 * (turn // 5 % 3), math.inf)
        if turn == 25:
            _, y, x = np.indices(d.lattice.shape)
            put_silver(d, free(d, y * nx + x == column))
        put_silver(d, generator.choice(free(d, d.lattice.room > 0), 3, replace=False))
        followed = d.state.supply.tobytes()
        assert followed == anew(d)


def away(d: Device) -> np.ndarray:
    """A column from the organic up, as far from what forming left as can be."""
    _, ny, nx = d.lattice.shape
    low, high = d.lattice.organic_surface(), int(d.lattice.silver_surface().min())
    _, y, x = np.unravel_index(np.flatnonzero(d.lattice.residue), d.lattice.shape)
    place = (int(y.mean()) + ny // 2) % ny * nx + (int(x.mean()) + nx // 2) % nx
    return np.arange(low, high - 8) * ny * nx + place


def test_an_island_gives_nothing_until_it_is_joined() -> None:
    """Silver in the middle of a film is no source; with a way of silver down to the organic it is."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    nz, ny, nx = d.lattice.shape
    column = away(d)
    island = column[-2:]
    before = d.state.supply.copy()
    put_silver(d, island)
    assert (d.network.label[island] >= FLOATING).all()
    assert d.state.supply.tobytes() == before.tobytes()
    put_silver(d, column[:-2])
    left = d.state.supply["left"][0]
    assert left.reshape(nz // 2, -1)[island[0] // (ny * nx) // 2].max() == 1.0
    assert (left >= before["left"][0]).all()


def test_redox_of_a_lone_atom_has_it_both_ways() -> None:
    """Reduction and oxidation far from metal are slower alike, so that their ratio stays Boltzmann's; beside
    metal neither is."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    places = free(d, d.lattice.room > 0)
    beside = np.array(
        [
            any(d.state.sites["cation"][neighbour(int(site), k, d.lattice.shape)] >= METAL for k in range(6))
            for site in places
        ]
    )
    z, y, x = (k // 2 for k in np.unravel_index(places, d.lattice.shape))
    left = d.state.supply["left"].sum(axis=0).reshape([n // 2 for n in d.lattice.shape])[z, y, x]
    alone, touching = places[left == left.min()][0], places[beside][0]
    assert 0.0 < left.min() < 1e-3

    def rates(site: np.int64) -> list[float]:
        return [redox(d.state, d.grid, d.potential.fields, d.model, int(site), 0.0, way) for way in (False, True)]

    far, metal = rates(alone), rates(touching)
    d.state.supply["left"][0], d.state.supply["left"][1] = 1.0, 0.0
    assert far == pytest.approx([left.min() * one for one in rates(alone)], rel=1e-12)
    assert metal == rates(touching)


@pytest.mark.parametrize(("width", "before_s"), [("1 ms", 1e-4), ("500 ns", 5e-8), ("10 ns", 0.0)])
def test_a_way_ends_before_a_corner(width: str, before_s: float) -> None:
    """Slices are a tenth of what is held now and after the next corner at most, nil below 5 ns: what is on
    its way does not hear of a corner. Looks at one level are none, and what was resumed knows it too."""
    looks = Protocol.hold("0.1 V", "10 us", samples=4, spacing="log", until={"conductance_above": "1 S"})
    way = looks + Protocol.hold("0.2 V", "1 ms") + Protocol.hold("1 V", width)
    way += Protocol.hold("0.1 V", "1 ms")
    simulation = Simulation(load_stack("ogb_7nm"), way, Settings(window="8 nm"), 1)
    assert SLICES_A_STEP == 10
    found = []
    for k in range(len(simulation.steps)):
        simulation.step = k
        found.append(simulation._slice())
    assert len(found) == 4 + 3
    assert found == pytest.approx([1e-6] * 4 + [before_s] * 2 + [1e-4], rel=0.02)
    simulation.step, simulation.opened = 4, True
    again = Simulation.from_state_dict(simulation.stack, way, simulation.settings, simulation.state_dict())
    assert float(again.device.model["slice"]) == pytest.approx(min(before_s, 1e-7))
    assert float(again.device.model["stroll"]) == pytest.approx(min(before_s, 1e-6))


class Indexed(list):  # type: ignore[type-arg]
    """Steps that are asked for one by one."""

    def __iter__(self) -> None:  # type: ignore[override]
        raise AssertionError("all steps are gone through")


def test_a_step_looks_at_its_neighbours_alone() -> None:
    """Not at those before it: a hundred thousand steps would take hours."""
    way = Protocol.sweep("1 V", rate="1 V/s", step="10 mV")
    simulation = Simulation(reduced("ogb_20nm"), way, settings(), 1)
    simulation.steps = Indexed(simulation.steps)
    simulation.step = 50
    assert simulation._slice() == pytest.approx(1e-3)


def test_a_step_sets_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it begins, in all windows."""
    way = Protocol.hold("0.1 V", "1 us") + Protocol.hold("0.2 V", "200 ns") + Protocol.hold("0.1 V", "1 us")
    simulation = Simulation(reduced("ogb_20nm"), way, settings(windows=2), 1)
    seen: list[tuple[float, ...]] = []
    simulation.run(
        should_stop=lambda: bool(seen.append(tuple(float(one.model["slice"]) for one in simulation.windows)))
    )
    assert [float(one.model["stroll"]) for one in simulation.windows] == pytest.approx([1e-7, 1e-7])
    assert list(dict.fromkeys(seen)) == [(1e-7, 1e-7), pytest.approx((2e-8, 2e-8))]
    assert seen[-1] == pytest.approx((1e-7, 1e-7))


def islands() -> Device:
    """A film with silver by itself in its middle."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    places = free(d, d.lattice.room > 0)
    put_silver(d, places[:: len(places) // 7][1:-1])
    assert (d.network.label[d.network.film] >= FLOATING).any()
    return d


def test_a_window_that_goes_on_knows_its_islands() -> None:
    """Which silver is joined is carried: else a first solution after a restart would have other electrons.
    Negative control: labels that are forgotten."""
    d, labels = islands(), 0
    for forgotten in (False, True):
        saved = device_state(d)
        if forgotten:
            saved["label"] = np.zeros_like(saved["label"])
        other = device(reduced("thin_film_100nm", thickness="16 nm"))
        restore_device(other, saved)
        other.solve_fields()
        labels += other.state.supply.tobytes() == d.state.supply.tobytes()
    assert labels == 1


def test_changes_of_metal_are_followed_too() -> None:
    """Where they ask for a whole solution, the supply is that of a fresh look."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    before = d.state.supply.copy()
    for site in away(d):
        add_metal(d.state, d.grid, d.potential.fields, d.model, int(site))
    d.patches.count = MOST
    d.follow_metal()
    assert (d.state.supply != before).any()
    followed = d.state.supply.tobytes()
    assert followed == anew(d)


@pytest.mark.parametrize(("factor", "least"), [("1", 1.0), ("1e-5", 1e-3), ("0", 1e-8)])
def test_a_factor_of_one_knows_no_distance(factor: str, least: float) -> None:
    """It stands for electrons everywhere, of what is nearest, and takes the barrier for nuclei away; any less
    falls off."""
    d = device(reduced("thin_film_100nm", **{"electrode.isolated_redox_factor": factor}, thickness="16 nm"))
    cathode, anode = d.state.supply["left"]
    assert (cathode + anode).min() <= least
    assert (cathode + anode == 1.0).all() == (factor == "1")
    assert cathode[0] > anode[0]
    assert cathode[-1] < anode[-1]


def test_a_wide_decade_costs_no_more() -> None:
    """Nothing is left beyond eight nanometres, whatever the card says."""
    wide = {"electrode.tunnelling_decade": "2 nm", "electrode.isolated_redox_factor": 0.5}
    d = device(reduced("thin_film_100nm", **wide, thickness="16 nm"))
    assert d.supply.reach * d.supply.cell_nm < 8.7
    assert 0.0 < d.state.supply["left"].sum(axis=0).min() < 1.0
