"""Leak, tunnelling and the network of bonds."""

import math
from itertools import pairwise

import numpy as np
import pytest

import kmc
from kmc.core.units import G0, K_B
from kmc.geometry.lattice import Lattice, Region
from kmc.kinetics import advance
from kmc.system.state import FIELD, KIND_METAL, Grid, allocate
from kmc.transport import closed_filament as bk
from kmc.transport import network as transport
from kmc.transport.leakage import Leak
from kmc.transport.network import Network

STACKS = ["ogb_20nm", "ogb_90nm", "ddab_20nm", "thin_film_100nm", "ogb_20nm_au"]


@pytest.mark.parametrize("name", STACKS)
def test_the_leak_keeps_below_three_nanosiemens_and_rises_with_the_voltage(name: str) -> None:
    """Contract of the leak at 0.1 V, monotonic and odd; the table agrees with the formula to 1e-4."""
    leak = Leak(kmc.load_stack(name))
    assert 0 < leak.current(0.1, 300.0) / 0.1 <= 3e-9
    values = [leak.current(v, 300.0) for v in np.linspace(0.01, 2.0, 40)]
    assert (np.diff(values) > 0).all()
    assert leak.current(-0.4, 300.0) == -leak.current(0.4, 300.0)
    assert leak.current(0.33, 300.0) == pytest.approx(leak.exact(0.33, 300.0), rel=1e-4)


def test_beyond_the_table_the_leak_is_the_formulas() -> None:
    """At 200 V, and where the table begins."""
    leak = Leak(kmc.load_stack("ogb_20nm"))
    assert leak.current(200.0, 300.0) == leak.exact(200.0, 300.0) > leak.exact(100.0, 300.0)
    assert leak.current(-5e-5, 300.0) == pytest.approx(leak.exact(-5e-5, 300.0), rel=1e-3)


def test_the_leak_is_activated_by_the_cards_energy() -> None:
    """Arrhenius slope of the current at 0.05 V between 300 and 360 K: the input of S18c comes back."""
    stack = kmc.load_stack("ogb_20nm")
    leak = Leak(stack)
    low, high = leak.current(0.05, 300.0), leak.current(0.05, 360.0)
    slope = K_B * math.log(high / low) / (1 / 300.0 - 1 / 360.0)
    assert slope == pytest.approx(stack.active.card.value("leak_activation_energy"), abs=0.03)


def device(atoms: list[tuple[int, int, int]], tunnelling: bool = True, wall: int = 8, floor: int = 8):
    """A small window of gap sites between two counter and two silver planes, with atoms at (z, y, x).

    wall: the silver electrode reaches down to plane `floor` from this x on.
    """
    region = np.full((16, 8, 8), Region.GAP, np.uint8)
    region[:2], region[2:4], region[14:] = Region.COUNTER, Region.ORGANIC, Region.ELECTRODE
    region[floor:, :, wall:] = Region.ELECTRODE
    lattice = Lattice(0.2935, region, np.ones_like(region), np.zeros(region.shape, bool))
    state = allocate(region, lattice.room, 512)
    state.sites["cation"][region.ravel() == Region.ELECTRODE] = 3
    state.sites["cation"][region.ravel() == Region.COUNTER] = 4
    sites = np.array([np.ravel_multi_index(a, region.shape) for a in atoms], np.int32)
    advance.place_many(state, Grid(*region.shape), KIND_METAL, sites)
    fields = np.zeros(region.size, FIELD)
    network = Network(lattice, kmc.load_stack("ogb_20nm"), tunnelling)
    return network, network.update(state, fields), fields, sites


def chain(top: int) -> list[tuple[int, int, int]]:
    """A one-atom chain from the counter electrode up to plane `top`."""
    return [(z, 4, 4) for z in range(2, top + 1)]


def test_a_closed_chain_conducts_about_a_quantum() -> None:
    """A one-atom neck has one conductance quantum, less the ohmic resistance of its bonds."""
    _, path, _, _ = device(chain(13))
    assert path.bridged
    assert 0.5 * G0 < path.conductance <= G0


def test_a_gap_costs_a_decade_for_each_tunnelling_length() -> None:
    """One more missing atom lowers the conductance by 10^(spacing / decade), up to the lateral links."""
    network, near_path, _, _ = device(chain(10))
    _, far_path, _, _ = device(chain(9))
    expected = math.exp(network.decay)
    assert near_path.conductance / far_path.conductance == pytest.approx(expected, rel=0.35)
    assert not near_path.bridged


def test_a_chain_beside_a_wall_conducts_the_more_the_higher_it_is() -> None:
    """Electrons tunnel sideways to an electrode's wall: no atom more lowers the current.

    Control: without the wall the same chain has a twentieth of that at most.
    """
    found = [device(chain(top), wall=7)[1].conductance for top in range(6, 13)]
    assert all(b >= a for a, b in pairwise(found))
    network = device(chain(10), wall=7)[0]
    assert found[4] > math.exp(-2 * network.decay) * network.quantum * 0.5
    assert device(chain(10))[1].conductance < 0.05 * found[4]


def test_a_chain_that_closes_sideways_has_a_quantum_too() -> None:
    """Its contact with the wall is the neck, also where an atom sticks out above it."""
    for top in (8, 9):
        _, path, _, _ = device(chain(top), wall=5)
        assert path.bridged
        assert 0.5 * G0 < path.conductance <= G0


def column(k: int, planes: range, x: int = 2, y: int = 2) -> list[tuple[int, int, int]]:
    """k by k atoms in some planes."""
    return [(z, y + b, x + a) for z in planes for b in range(k) for a in range(k)]


@pytest.mark.parametrize("gap", [13, 9, 4])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_no_atom_more_lowers_the_conductance(k: int, gap: int) -> None:
    """A column of k by k atoms but for one plane, whose atoms come one by one; and is as good as whole then.

    Negative control: bonds alone, without the channels beside them, conduct less once the first atom closes
    a gap of three by three.
    """
    most = column(k, range(2, gap)) + column(k, range(gap + 1, 14))
    plane = column(k, range(gap, gap + 1))
    found = [device(most + plane[:n])[1] for n in range(k * k + 1)]
    assert [path.bridged for path in found] == [n > 0 for n in range(k * k + 1)]
    assert all(b.conductance >= a.conductance for a, b in pairwise(found))
    if k >= 3:
        assert device(most + plane[:1], tunnelling=False)[1].conductance < found[0].conductance


@pytest.mark.parametrize("wide", [9, 11])
def test_a_thin_branch_that_closes_leaves_a_wide_tip_its_links(wide: int) -> None:
    """A tip a plane below the electrode keeps its links where a chain beside it closes, far from their ends.

    Links over more than three decades are left out then. Control: most of what conducts is the tip.
    """
    tip = column(3, range(2, 13), 1, 1)
    branch = [
        (5, 2, 4),
        *((z, 2, 5) for z in range(5, wide)),
        *((z, y, x) for z in range(wide, 14) for y in (2, 3) for x in (5, 6)),
    ]
    last = (6, 2, 5)
    before = device([*tip, *(a for a in branch if a != last)])[1]
    after = device([*tip, *branch])[1]
    assert (before.bridged, after.bridged) == (False, True)
    assert after.conductance > 0.9 * before.conductance
    assert before.conductance > device(tip)[1].conductance > 0.5 * before.conductance


def test_tunnelling_reaches_as_far_as_the_cards_decade_says() -> None:
    """A tip that recedes site by site loses what one more site of gap takes: no link is cut off early.

    Negative control: the reach of another decade cuts off what is twelve times the matrix's leak.
    """
    stack = kmc.load_stack("ogb_20nm").choose(**{"electrode.tunnelling_decade": "0.45 nm"})
    region = np.full((24, 8, 8), Region.GAP, np.uint8)
    region[:2], region[2:4], region[22:] = Region.COUNTER, Region.ORGANIC, Region.ELECTRODE
    lattice = Lattice(0.2935, region, np.ones_like(region), np.zeros(region.shape, bool))

    def found(top: int, network: Network) -> float:
        state = allocate(region, lattice.room, 512)
        for kind, what in ((3, Region.ELECTRODE), (4, Region.COUNTER)):
            state.sites["cation"][region.ravel() == what] = kind
        sites = np.ravel_multi_index(np.transpose(column(3, range(2, top + 1))), region.shape)
        advance.place_many(state, Grid(*region.shape), KIND_METAL, sites.astype(np.int32))
        return network.update(state, np.zeros(region.size, FIELD)).conductance

    network = Network(lattice, stack, True)
    loss = math.exp(network.decay)
    conductances = [found(top, network) for top in range(20, 10, -1)]
    assert all(1.0 < a / b < 1.35 * loss for a, b in pairwise(conductances))
    short = Network(lattice, kmc.load_stack("ogb_20nm"), True)
    short.link_conductance, short.decay = network.link_conductance, network.decay
    assert found(13, short) < 0.1 * 5e-9 < 5e-9 < found(13, network)


def test_half_of_a_links_heat_is_where_it_ends() -> None:
    """Silver that hangs beside a column is linked to its top, and warms that, not the counter under it."""
    _, path, _, _ = device([*column(3, range(2, 4), 0, 2), *column(3, range(5, 14), 2, 2)])
    assert not path.bridged
    heat = path.heat
    plane = heat.sites // 64
    assert heat.watts[plane >= 2].sum() == pytest.approx(path.conductance, rel=1e-6)
    assert heat.watts[(plane >= 2) & (plane < 4)].sum() > 0.3 * path.conductance


def test_the_columns_resistance_warms_the_column_and_no_plating() -> None:
    """Of an open stump the heat of the organic's silver is in that, not on atoms that only lie on it.

    Control: the stump itself is warm.
    """
    plate = [(4, y, x) for y in range(8) for x in range(8)]
    atoms = sorted({*column(2, range(2, 12)), *plate})
    _, path, _, _ = device(atoms)
    assert not path.bridged
    bare = {
        int(np.ravel_multi_index((4, y, x), (16, 8, 8)))
        for y in range(8)
        for x in range(8)
        if not (2 <= y < 4 and 2 <= x < 4)
    }
    assert not bare & set(path.heat.sites.tolist())
    assert {11, 5, 4, 3} <= {int(s) // 64 for s in path.heat.sites}


def test_the_neck_is_where_bonds_are_fewest() -> None:
    """Two necks of an atom in different planes conduct as two in one; a branch that ends adds nothing.

    Control: a second neck in the same plane is one more quantum.
    """

    def necked(x: int, y: int, plane: int) -> list[tuple[int, int, int]]:
        rest = [z for z in range(2, 14) if z != plane]
        return [a for z in rest for a in column(2, range(z, z + 1), x, y)] + [(plane, y, x)]

    one = device(necked(0, 0, 8), tunnelling=False)[1].conductance
    same, other = (device(necked(0, 0, 8) + necked(4, 4, z), tunnelling=False)[1].conductance for z in (8, 6))
    assert 1.9 * one < same == pytest.approx(2 * one, rel=0.01)
    assert other == pytest.approx(same, rel=0.05)
    branch = [*column(2, range(2, 8), 2, 0), (8, 0, 2), (8, 1, 3)]  # beside the neck, from below alone
    assert device(necked(0, 0, 8) + branch, tunnelling=False)[1].conductance < 1.1 * one


@pytest.mark.parametrize("turned", [False, True])
def test_tunnelling_beside_a_neck_needs_a_way_on_both_sides(turned: bool) -> None:
    """A neck between two plates, one of which hangs on two by one atoms: what passes has two ways at most.

    So the second atom of the neck does not lower it. Either plate may be the one that hangs.
    """

    def all_of(planes: range) -> list[tuple[int, int, int]]:
        return [(z, y, x) for z in planes for y in range(8) for x in range(8)]

    thin = [(z, 4, x) for z in (range(2, 7) if turned else range(9, 14)) for x in (4, 5)]
    plates = all_of(range(7, 9)) + all_of(range(10, 14) if turned else range(2, 6))
    z = 9 if turned else 6
    one, two = (device([*thin, *plates, *((z, 4, x) for x in wide)])[1] for wide in ((4,), (4, 5)))
    assert one.bridged
    assert one.conductance <= two.conductance < 2 * G0


def test_a_neck_that_lies_sideways_has_a_quantum() -> None:
    """One atom wide, along x between two columns that are two by two."""
    lower, upper = column(2, range(2, 8), 0), column(2, range(7, 14), 5)
    lying = [(7, 2, x) for x in (2, 3, 4)]
    _, path, _, _ = device([*lower, *upper, *lying], tunnelling=False)
    assert path.bridged
    assert 0.5 * G0 < path.conductance < G0


def test_an_open_column_has_its_own_resistance(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plane short, planes in series with the links, and their heat where it arises.

    Control: a chain whose link is a thousand times the column's resistance.
    """
    network, path, _, _ = device(column(3, range(2, 13)))
    far = device(chain(9))[1].conductance
    monkeypatch.setattr(transport, "LEAST_STUMP", math.inf)
    links = device(column(3, range(2, 13)))[1].conductance
    assert device(chain(9))[1].conductance == far
    ohms = 11 / (network.ohmic * 9)  # two of the planes are in the organic
    assert path.conductance == pytest.approx(1 / (1 / links + ohms), rel=1e-6)
    heat, plane = path.heat.watts, path.heat.sites // 64
    stump = path.conductance**2 * ohms
    ends = (path.conductance - stump) / 2  # of the links, on either side
    assert heat.sum() == pytest.approx(path.conductance)
    assert heat[plane > 12].sum() == pytest.approx(ends, rel=1e-6)
    assert heat[plane < 6].sum() == pytest.approx(stump * 4 / 11, rel=1e-3)


def test_silver_that_only_lies_on_the_organic_carries_no_current() -> None:
    """A branch from the organic's surface to two sites under the electrode: at its potential, and open.

    When it touches the electrode it has that one's. Control: through the organic it conducts.
    """
    branch = [(z, 4, 4) for z in range(4, 12)]
    _, path, fields, sites = device(branch)
    assert path.conductance == 0.0
    assert (fields["unit"][sites] == 0.0).all()
    assert device(chain(11))[1].conductance > 1e-7
    _, touching, fields, sites = device([*branch, (12, 4, 4), (13, 4, 4)])
    assert not touching.bridged  # what is left is tunnelling through the organic, which is two sites here
    assert touching.conductance < 0.02 * G0
    assert (fields["unit"][sites] == 1.0).all()


def test_an_electrode_on_silver_in_the_organic_conducts() -> None:
    """Silver that fell through a crevice, onto a column of the organic: a quantum, and less a site higher up.

    Control: beside the column, on the bare organic, nothing.
    """
    column = [(2, 4, 4), (3, 4, 4)]
    paths = [device(column, wall=wall, floor=floor)[1] for wall, floor in ((4, 4), (4, 6), (5, 4))]
    touching, near, beside = (path.conductance for path in paths)
    assert touching == pytest.approx(G0, rel=1e-4)
    assert 0.0 < near < 0.1 * touching
    assert beside == 0.0
    for path in paths:  # half of its heat on either side: silver below plane 4, the electrode above
        assert path.heat.watts.sum() == pytest.approx(path.conductance)
        assert path.heat.watts[path.heat.sites < 4 * 64].sum() == pytest.approx(path.conductance / 2)


def test_a_link_beside_a_short_has_its_own_heat() -> None:
    """An atom in tunnelling's reach of the column takes the heat of its own link, not that of the contact."""
    column = [(2, 4, 4), (3, 4, 4)]
    alone = device(column, wall=4, floor=4)[1]
    beside = device([*column, (9, 1, 1)], wall=4, floor=4)[1]
    atom = beside.heat.sites == np.ravel_multi_index((9, 1, 1), (16, 8, 8))
    assert beside.conductance >= alone.conductance
    assert beside.heat.watts[atom].sum() < 0.01 * beside.conductance


def test_an_island_beside_a_closed_chain_has_its_potential() -> None:
    """Two sites beside it the island takes the potential of the nearest atoms, whatever it had before."""
    atoms = [*chain(13), (9, 4, 6)]
    _, path, fields, sites = device(atoms)
    assert path.bridged
    near = fields["unit"][sites[[z for z, *_ in atoms].index(9)]]
    assert 0.05 < near < 0.95
    assert fields["unit"][sites[-1]] == pytest.approx(near, abs=0.05)


def test_an_island_by_the_electrode_has_the_electrodes_potential() -> None:
    """One empty site under the silver and 5.7 from the filament: 1, whether that is open or closed.

    A second one, one empty site above the cathode's silver, has 0.
    """
    found = []
    for atoms in (chain(10), chain(13)):
        _, path, fields, sites = device([*atoms, (3, 0, 0), (5, 0, 0), (12, 0, 0)])
        found.append((path.bridged, *fields["unit"][sites[-2:]]))
    assert [bridged for bridged, *_ in found] == [False, True]
    assert [units for _, *units in found] == [pytest.approx([0.0, 1.0], abs=1e-3)] * 2


def test_an_atom_has_one_channel_to_an_electrode_and_what_is_on_it() -> None:
    """A tip two sites under the silver, an atom on that 2.2 sites away: the tip has the shorter link."""
    alone, beside = (device([*chain(12), *more])[1].conductance for more in ((), ((13, 4, 6),)))
    network = device([])[0]
    assert alone > network.link_conductance[4]
    assert alone <= beside < alone + 0.5 * network.link_conductance[5]


@pytest.mark.parametrize("gap", [2, 3, 4, 5])
@pytest.mark.parametrize("k", [3, 4])
def test_silver_that_hangs_from_the_electrode_takes_no_current_away(k: int, gap: int) -> None:
    """Over a tip it adds its own channel, and the other atoms of the tip keep theirs to the electrode behind
    it; beside the tip it takes none. Control: its channel alone is less than the bare tip of four has."""
    tip = column(k, range(2, 14 - gap))
    bare = device(tip)[1]
    more = {at: device([*tip, (13, *at)])[1] for at in ((3, 3), (3, 2 + k), (2 + k, 2 + k))}
    assert all(path.conductance >= bare.conductance * (1.0 - 1e-9) for path in more.values())
    assert more[3, 3].conductance > 1.3 * bare.conductance
    assert device([])[0].link_conductance[gap**2] < (0.7 if k == 4 else 1.1) * bare.conductance
    for path in more.values():
        assert path.heat.watts.sum() == pytest.approx(path.conductance)


@pytest.mark.parametrize("beside", [column(3, range(2, 13), 5, 5), [(z, 6, 6) for z in range(2, 13) if z != 8]])
def test_a_closed_chain_and_what_tunnels_beside_it_add_up(beside: list[tuple[int, int, int]]) -> None:
    """A tip one site under the electrode, or two gaps of one site in series: their currents, and their heat.
    Control: they do not disappear in the chain's."""
    closed = [(z, 1, 1) for z in range(2, 14)]
    alone, open_one, both = (device(atoms)[1] for atoms in (closed, beside, closed + beside))
    assert not open_one.bridged
    assert both.bridged
    assert both.conductance == pytest.approx(alone.conductance + open_one.conductance, rel=0.02)
    assert both.heat.watts.sum() == pytest.approx(both.conductance)
    assert both.conductance > 1.02 * alone.conductance


def test_without_tunnelling_an_open_chain_conducts_nothing() -> None:
    """The ablation moves a named result."""
    assert device(chain(10), tunnelling=False)[1].conductance == 0.0
    assert device(chain(10), tunnelling=True)[1].conductance > 0.0


def test_kirchhoffs_law_holds_at_every_node_of_a_branched_network() -> None:
    """A ladder of unequal resistors: currents at each node sum to zero to 1e-6 of the current through it."""
    links = np.array([[0, -2], [0, 1], [1, 2], [0, 3], [3, 2], [2, -1], [1, 3]], np.int32)
    weight = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 0.7, 0.2])
    unit = np.full(4, 0.5)
    bk.solve_network(links, weight, np.array([0, 1, 2, 1]), unit, 1e-9)
    ends = np.append(unit, [0.0, 1.0])
    current = weight * (ends[links[:, 1]] - ends[links[:, 0]])
    for node in range(4):
        total = current[links[:, 0] == node].sum() - current[links[:, 1] == node].sum()
        assert abs(total) < 1e-6
    assert current[5] == pytest.approx(-current[0], rel=1e-6)
    assert np.sum(current**2 / weight) == pytest.approx(current[5], rel=1e-6)
