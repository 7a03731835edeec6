"""Electrons lead a filament's heat and share it with the lattice: chains, columns, balance, what is kept."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from small_filament import closed
from small_stacks import LAYERED, put_silver

from kmc.cards.stack import load_stack
from kmc.core.units import LORENZ
from kmc.geometry.lattice import Lattice, Region
from kmc.simulation.window import Device
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, METAL, SITE
from kmc.thermal.temperature import Heat
from kmc.transport.filament import Heated, unlinked
from kmc.transport.minimum_cut import ABOVE

SPACING_NM = 0.2935


def cold_matrix(coupling: str, filling: Region, planes: int) -> tuple[Heat, np.ndarray]:
    """Heat of a box of one region that leads heat well, between two electrodes; its empty sites."""
    well = ("ligand", "organic", "counter")
    stack = load_stack(
        "ogb_20nm",
        **{"electrode.electron_phonon_coupling": coupling, "ligand.boundary_conductance": "1e5 MW/m2/K"},
        **{f"{part}.thermal_conductivity": "100 W/m/K" for part in well},
    )
    region = np.full((planes + 8, 8, 8), filling, np.uint8)
    region[:4], region[-4:] = Region.COUNTER, Region.ELECTRODE
    sites = np.zeros(region.shape, SITE)
    sites["region"] = region
    sites["cation"][:4], sites["cation"][-4:] = COUNTER_METAL, ELECTRODE_METAL
    lattice = Lattice(SPACING_NM, region, np.zeros_like(region), np.zeros(region.shape, bool))
    return Heat(lattice, stack, 300.0), sites


def chain(coupling: str) -> Heat:
    """One nanowatt in the middle of a chain of 160 atoms from counter to electrode; cold around."""
    heat, sites = cold_matrix(coupling, Region.GAP, 160)
    sites["cation"][4:-4, 0, 0] = METAL
    film = np.flatnonzero(sites["cation"] == METAL)
    nothing = np.zeros(sites.shape[0], np.int64)
    # Its halves are the sides of an inner bond, which leads heat as the others do.
    side = np.zeros(sites.size, np.uint8)
    side[film[80:]] = ABOVE
    bond = np.full(2, heat.lorenz * SPACING_NM / LORENZ)
    heated = Heated(film[[79, 80]], np.full(2, 5e-10), bond, np.arange(2))
    heat.solve(SimpleNamespace(sites=sites.ravel()), film, side, nothing, *heated)
    return heat


@pytest.mark.parametrize("coupling", ["1e16 W/m3/K", "5e16 W/m3/K", "1e18 W/m3/K"])
def test_electrons_cool_along_a_chain(coupling: str) -> None:
    """Heated in its middle, a chain of half length h keeps 1 - 1 / cosh(h / l) of the heat in its lattice.

    l = sqrt(kappa / coupling) is the way on which electrons cool: 86, 39 and 9 nm here; both ends are
    at the stage. Within 3 %. Negative control: twice the coupling keeps another share.
    """
    heat = chain(coupling)
    way = math.sqrt(heat.lorenz * heat.stage * SPACING_NM / heat.exchange)  # in sites

    def share(stronger: float) -> float:
        return 1.0 - 1.0 / math.cosh(80 / way * math.sqrt(stronger))

    found = heat.released[:-2].sum() / (heat.released.sum() + heat.carried)
    assert heat.released.sum() + heat.carried == pytest.approx(1e-9, rel=1e-6)
    assert found == pytest.approx(share(1.0), rel=0.03)
    assert found != pytest.approx(share(2.0), rel=0.06)


@pytest.mark.parametrize("name", LAYERED)
def test_each_atom_takes_its_share_from_the_electrons(name: str) -> None:
    """coupling x volume x (T_electrons - T_lattice) is what a node releases; electrodes have one alone."""
    d = closed(name)
    heat = d.heat
    film = d.network.filament(d.state, d.path.heat.sites)
    atoms = heat.electron_nodes.network(d.state, film, d.network.side, d.network.column, heat.nodes)[2]
    assert atoms.sum() == len(film) + d.network.column.sum()
    apart = heat.electrons - heat.rise
    taken = heat.exchange * atoms * apart
    assert heat.released[atoms > 0] == pytest.approx(taken[atoms > 0], rel=1e-3, abs=1e-14)
    assert apart[atoms == 0] == pytest.approx(0.0, abs=0.1)
    assert apart.max() > 5.0


@pytest.mark.parametrize("planes", [158, 160])  # the neck within a heat cell, and between two
def test_a_neck_leads_electrons_heat_by_its_quantum(planes: int) -> None:
    """Heat below a neck of one quantum at the end of a chain: T^2 - T0^2 = 2 P / L (g + a / n), within 2 %.

    The chain's n bonds lead to the counter, the neck to the electrode. Negative control: a neck that leads
    heat as an inner bond does, which has a fifth of that.
    """
    heat, sites = cold_matrix("1e13 W/m3/K", Region.GAP, 160)
    sites["cation"][4 : 4 + planes, 0, 0] = METAL
    sites["cation"][4 + planes : -4] = ELECTRODE_METAL
    film = np.flatnonzero(sites["cation"] == METAL)
    neck = np.array([film[-1], film[-1] + sites[0].size])
    ohmic, power = heat.lorenz * SPACING_NM / LORENZ, 1e-7
    found = []
    for siemens in (77e-6, ohmic):
        heated = Heated(neck, np.array([power, 0.0]), np.full(2, siemens), np.arange(2))
        below, nothing = np.zeros(sites.size, np.uint8), np.zeros(sites.shape[0], np.int64)
        heat.solve(SimpleNamespace(sites=sites.ravel()), film, below, nothing, *heated)
        found.append((heat.stage + heat.electrons.max()) ** 2 - heat.stage**2)
    assert found[0] == pytest.approx(2 * power / LORENZ / (77e-6 + ohmic / planes), rel=0.02)
    assert found[1] < 0.2 * found[0]


@pytest.mark.parametrize("name", LAYERED)
def test_a_lattice_is_the_colder_the_weaker_it_is_coupled(name: str) -> None:
    """In the film; where the coupling is strong, and where a card has none, both temperatures are one.

    As strong as that a neck's two sides have one lattice where they share a cell, which is no warmer for it.
    """
    film = {}
    for coupling in (5e15, 5e16, 5e17, 1e23):
        heat = closed(name, **{"electrode.electron_phonon_coupling": f"{coupling} W/m3/K"}).heat
        film[coupling] = heat.rise[heat.nodes < heat.electron_nodes.sided].max()
    assert (np.diff(list(film.values())[:3]) > 0.5).all()
    apart = np.abs(heat.electrons - heat.rise)
    assert (apart <= np.abs(heat.released) / heat.exchange + 0.01).all()  # a node has one atom or more
    assert apart.max() < 0.005 * heat.rise.max()
    d = closed(name)
    d.heat.exchange = math.inf  # what a card without the key gives
    d.heat.hottest = 0.0
    d._warm()
    assert d.heat.rise == pytest.approx(d.heat.electrons, abs=0.01)
    assert d.heat.rise == pytest.approx(heat.rise, rel=0.03, abs=0.5)


@pytest.mark.parametrize("thickness", [2.0, 2.4, 3.0, 3.5])
def test_film_and_column_are_joined(thickness: float) -> None:
    """However the surface of the organic lies in the cells, silver leads heat from electrode to electrode.

    Negative control: without the atoms of the foot, which lie in the plane of what plates the organic.
    """
    d = closed("ogb_20nm", organic_nm=thickness)
    heat, film, column = d.heat, d.network.filament(d.state, d.path.heat.sites), d.network.column
    nodes, bonds, _ = heat.electron_nodes.network(d.state, film, d.network.side, column, np.zeros(0, np.int64))
    assert (nodes >= heat.electron_nodes.sided).sum() >= 3  # planes of the column, and both electrodes
    assert connected_components(bonds)[0] == 1
    without = film[film >= d.network.film_floor]
    assert len(without) < len(film)
    nodes, bonds, _ = heat.electron_nodes.network(d.state, without, d.network.side, column, np.zeros(0, np.int64))
    assert connected_components(bonds)[0] == 2


def plated(name: str) -> Device:
    """A closed filament whose foot stands in silver that lies on the organic, six sites to each side."""
    d = closed(name)
    plane, nx, ny = d.grid.ny * d.grid.nx, d.grid.nx, d.grid.ny
    floor = d.lattice.organic_surface()
    film = d.network.film
    foot = film[film // plane == film.min() // plane]
    y, x = np.unravel_index(np.arange(plane), (ny, nx))
    near = [
        floor * plane + k
        for k in range(plane)
        if min(max(abs(y[k] - int(s) // nx % ny), abs(x[k] - int(s) % nx)) for s in foot) <= 6
    ]
    empty = [s for s in near if d.state.sites["cation"][s] == 0 and d.state.sites["room"][s]]
    assert len(empty) > 10
    put_silver(d, np.array(empty))
    return d


def every_node_has_atoms(d: Device, led: np.ndarray) -> bool:
    """Of those that lead or are heated, electrodes apart, if the sites `led` count among the film."""
    heated = d.heat.electron_nodes.of(d.state, d.network.side, d.path.heat.sites)
    film = d.network.filament(d.state, led)
    atoms = d.heat.electron_nodes.network(d.state, film, d.network.side, d.network.column, heated)[2]
    return bool((atoms[:-2] > 0).all())


@pytest.mark.parametrize("name", LAYERED)
def test_no_lattice_is_cooled_by_silver_that_is_not_there(name: str) -> None:
    """What plates the organic around the foot carries current and is heated: its atoms count.

    A node without atoms would take the electrons' heat as if it were a thousand.
    """
    d = plated(name)
    assert every_node_has_atoms(d, d.path.heat.sites)


def test_a_filament_without_what_is_heated_lacks_atoms() -> None:
    """Negative control of the law above."""
    d = plated("ogb_20nm")
    assert not every_node_has_atoms(d, d.path.heat.sites[:0])


def test_a_column_leads_heat_as_its_planes_in_series() -> None:
    """One nanowatt on top of a column in a cold matrix, loosely coupled: R = sum of planes' 1 / (L T a n).

    Within 3 %, with planes of 40 and of 20 atoms. Negative control: a column of 40 throughout.
    """
    heat, sites = cold_matrix("1e13 W/m3/K", Region.ORGANIC, 64)
    column = np.zeros(sites.shape[0], np.int64)
    column[4:38], column[38:-4] = 40, 20  # the step lies inside a cell
    top = np.ravel_multi_index((67, 0, 0), sites.shape)
    sites["cation"][67, 0, 0] = METAL
    film, state = np.zeros(0, np.int64), SimpleNamespace(sites=sites.ravel())
    side = np.zeros(sites.size, np.uint8)
    heat.solve(state, film, side, column, *unlinked(np.array([top]), np.array([1e-9])))
    bond = heat.lorenz * heat.stage * SPACING_NM
    hottest = heat.electrons[np.flatnonzero(heat.nodes < heat.electron_nodes.count - 2)].max()
    expected = 1e-9 * (34 / 40 + 28 / 20) / bond
    assert hottest == pytest.approx(expected, rel=0.03)
    assert hottest != pytest.approx(1e-9 * 62 / 40 / bond, rel=0.06)


@pytest.mark.parametrize("name", LAYERED)
def test_what_is_known_does_not_depend_on_what_was_asked_first(name: str) -> None:
    """Bit by bit, for nodes of each kind, or a restart would differ; and one watt is one watt in each.

    What a node does to another is what that does to it, within 1 %: the control is another node's.
    """
    d = closed(name)
    places = np.unique(d.heat.electron_nodes.place(d.heat.nodes))
    tables = []
    for order in (places, places[::-1]):
        heat = Heat(d.lattice, d.stack, d.stage)
        for place in order:
            heat.add_response(int(place))
        tables.append(heat.response[np.ix_(heat.response_index[places], heat.response_index[places])])
        assert [heat.electron_nodes.source(int(k)).sum() for k in places] == pytest.approx(np.ones(len(places)))
    assert tables[0].tobytes() == tables[1].tobytes()
    assert tables[0] == pytest.approx(tables[0].T, rel=0.01, abs=0.002 * tables[0].max())
    assert tables[0] != pytest.approx(np.roll(tables[0], 1, axis=0), rel=0.01, abs=0.002 * tables[0].max())


def test_what_an_atom_knows_of_its_way_back_is_forgotten_with_its_temperature() -> None:
    """A chance of return is that of the temperature of then. Negative control: without a change it stays."""
    d = closed("ogb_20nm")
    d.state.entities["returns"] = 0.5
    assert not d._warm()
    assert (d.state.entities["returns"] == 0.5).all()
    d.heat.told += 40.0
    assert d._warm()
    assert (d.state.entities["returns"] == 0.0).all()


@pytest.mark.parametrize("name", LAYERED)
def test_electrons_go_on_through_the_counter_as_the_current_does(name: str) -> None:
    """The contact's resistance R leads L (T^2 - T0^2) / 2 R, and the counter is the colder for it.

    Negative control: a contact of 1e12 ohm leads nothing, and its counter is hot.
    """
    good, bad = (closed(name, **{"device.spreading_resistance": ohm}).heat for ohm in ("100 ohm", "1e12 ohm"))
    assert good.nodes[-1] == bad.nodes[-1] == good.electron_nodes.count - 1
    kelvin = good.stage + good.electrons[-1]
    assert good.carried == pytest.approx(LORENZ * (kelvin**2 - good.stage**2) / 200.0)
    assert good.carried > 0.05 * good.released.sum()
    assert bad.carried < 1e-8 * bad.released.sum()
    assert good.rise[-1] < 0.7 * bad.rise[-1]
