"""Electrons reach an ion that touches no metal from connected metal alone, and the less the further it is."""

from __future__ import annotations

import numpy as np
import pytest
from small_stacks import device, free, put_silver, reduced, seam

from kmc.coupling import Device
from kmc.kernels_rates import redox
from kmc.lattice import Region
from kmc.protocol import Protocol
from kmc.settings import Settings
from kmc.simulation import SLICES_A_STEP, Simulation
from kmc.stack import load_stack
from kmc.state import METAL
from kmc.transport_kernels import FLOATING, near

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


def electrodes(d: Device) -> np.ndarray:
    """Cells of the electrodes and of an organic under the film."""
    metal = np.isin(d.lattice.region, (Region.ELECTRODE, Region.COUNTER)).ravel()
    return cells(d, np.flatnonzero(metal | d.network.in_organic))


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "thin_film_100nm", "interlayers_only"])
def test_what_is_left_falls_as_tunnelling_does(name: str) -> None:
    """In each cell, by its distance to the nearest electrode, carrier of the organic, or connected silver."""
    d = device(reduced(name))
    if d.stack.active is not None and d.stack.crystal is not None:
        put_silver(d, seam(d)[:5])
    d.trace_current()
    d.solve_fields()
    film = d.network.film
    joined = film[d.network.label[film] < FLOATING]
    expected = by_hand(d, np.vstack([electrodes(d), cells(d, joined)]))
    known = expected > 1e-7
    assert d.state.supply[known] == pytest.approx(expected[known], rel=1e-9)
    assert (d.state.supply[~known] <= 1.001e-7).all()
    assert d.state.supply.max() == 1.0


@pytest.mark.parametrize("name", ["ogb_90nm", "thin_film_100nm"])
def test_what_follows_silver_is_what_a_fresh_look_finds(name: str) -> None:
    """To the byte, or a run that was resumed would be another: planes that silver did not touch are kept."""
    d = device(reduced(name, thickness="24 nm"))
    generator = np.random.default_rng(3)
    for _ in range(30):
        put_silver(d, generator.choice(free(d, d.lattice.room > 0), 3, replace=False))
        followed = d.state.supply.copy()
        d.supply.seen = None
        d.supply.follow(d.state.supply)
        assert followed.tobytes() == d.state.supply.tobytes()


def test_an_island_gives_nothing_until_it_is_joined() -> None:
    """Silver in the middle of a film is no source; with a way of silver down to the organic it is."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    nz, ny, nx = d.lattice.shape
    low, high = d.lattice.organic_surface(), int(d.lattice.silver_surface().min())
    _, y, x = np.unravel_index(np.flatnonzero(d.lattice.residue), d.lattice.shape)
    away = (int(y.mean()) + ny // 2) % ny * nx + (int(x.mean()) + nx // 2) % nx  # from what forming left
    column = np.arange(low, high - 8) * ny * nx + away
    island = column[-2:]
    before = d.state.supply.copy()
    put_silver(d, island)
    d.trace_current()
    assert (d.network.label[island] >= FLOATING).all()
    d.solve_fields()
    assert (d.state.supply == before).all()
    put_silver(d, column[:-2])
    d.trace_current()
    d.solve_fields()
    assert d.state.supply.reshape(nz // 2, -1)[island[0] // (ny * nx) // 2].max() == 1.0
    assert (d.state.supply >= before).all()


def test_redox_of_a_lone_atom_has_it_both_ways() -> None:
    """Reduction and oxidation far from metal are slower alike, so that their ratio stays Boltzmann's; beside
    metal neither is."""
    d = device(reduced("thin_film_100nm", thickness="16 nm"))
    places = free(d, d.lattice.room > 0)
    beside = np.array([any(d.state.sites["cation"][near(int(site), k, *d.lattice.shape)] >= METAL
                           for k in range(6)) for site in places])  # fmt: skip
    z, y, x = (k // 2 for k in np.unravel_index(places, d.lattice.shape))
    left = d.state.supply.reshape([n // 2 for n in d.lattice.shape])[z, y, x]
    alone, touching = places[left == left.min()][0], places[beside][0]
    assert left.min() < 1e-3

    def rates(site: np.int64) -> list[float]:
        return [redox(d.state, d.grid, d.potential.fields, d.model, int(site), 0.0, way)
                for way in (False, True)]  # fmt: skip

    far, metal = rates(alone), rates(touching)
    d.state.supply[:] = 1.0
    assert far == pytest.approx([left.min() * one for one in rates(alone)], rel=1e-12)
    assert metal == rates(touching)


@pytest.mark.parametrize(("width", "slice_s"), [("1 ms", 1e-7), ("10 ns", 1e-9), ("500 ns", 5e-8)])
def test_a_way_ends_within_a_step(width: str, slice_s: float) -> None:
    """Slices are a tenth of the shortest step at most, also before it: an ion that is on its way does not see
    a corner."""
    way = Protocol.hold("0.1 V", "1 ms") + Protocol.hold("1 V", width)
    simulation = Simulation(load_stack("ogb_7nm"), way, Settings(window="8 nm"), 1)
    assert SLICES_A_STEP == 10
    assert float(simulation.device.model["slice"]) == pytest.approx(slice_s)
    assert simulation.settings.ion_slice == 1e-7
