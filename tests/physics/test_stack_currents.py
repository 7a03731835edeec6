"""Kirchhoff's law, the limiter and zero field, with metal put by hand into a window of every stack."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, maximum_flow
from small_stacks import LAYERED, STACKS, device, free, put_silver, reduced, seam

from kmc.geometry.lattice import Region
from kmc.simulation.window import Device
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, KIND_METAL, METAL


def filled(name: str, shape: str) -> Device:
    """A window whose seam is full of silver: all of it, up to two sites below the electrode, or an island."""
    d = device(reduced(name, **{"device.residue_gap": "100 nm"}))
    sites = seam(d)
    z = sites // (d.grid.ny * d.grid.nx)
    low, high = z.min(), z.max()
    keep = {"bridge": z <= high, "gap": z <= high - 2, "island": (z >= low + 3) & (z <= high - 2)}[shape]
    put_silver(d, sites[keep])
    return d


built = lru_cache(maxsize=40)(filled)


def parts(d: Device) -> tuple[np.ndarray, np.ndarray]:
    """Atoms outside the organic layer, [n, 3] as z, y, x, and the name of the cluster of each.

    "anode" and "cathode" touch an electrode or silver in the organic, "bridge" both; others have a number.
    """
    sites = np.sort(d.state.entities["site"][d.state.entities["kind"] == KIND_METAL])
    sites = sites[d.state.sites["region"][sites] != Region.ORGANIC]
    atoms = np.column_stack(np.unravel_index(sites, d.lattice.shape))
    apart = offsets(d, atoms[:, None], atoms[None])
    near = (apart**2).sum(-1) == 1
    _, cluster = connected_components(coo_array(near), directed=False)
    anode, cathode = (
        {c for c, place in zip(cluster, atoms, strict=True) if beside(d, place, role)} for role in ("anode", "cathode")
    )
    roles = {"bridge": anode & cathode, "anode": anode, "cathode": cathode}
    names = [next((role for role, found in roles.items() if c in found), str(c)) for c in cluster]
    return atoms, np.array(names)


@pytest.mark.parametrize("factor", [0.25, 0.5])
def test_electrons_cross_a_gap_at_any_spacing_of_sites(factor: float) -> None:
    """A gap of some 1.5 nm conducts what one link of two atoms does at least. With eight sites as the most it
    conducted nothing at the finer spacing."""
    d = device(reduced("ogb_20nm", **{"device.residue_gap": "1.6 nm"}), spacing_factor=factor)
    metal = d.stack.electrode
    link = metal.value("bond_conductance") * 10 ** (-d.path.gap_nm / metal.value("tunnelling_decade"))
    assert 1.4 < d.path.gap_nm < 1.7
    assert d.path.conductance > link


def offsets(d: Device, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shortest offsets b - a of places [..., 3] on the periodic lattice."""
    out = b - a
    for axis, n in ((1, d.grid.ny), (2, d.grid.nx)):
        out[..., axis] = (out[..., axis] + n // 2) % n - n // 2
    return out


def beside(d: Device, place: np.ndarray, role: str) -> bool:
    """Whether a place has the anode, or the cathode, as a neighbour."""
    sites = d.state.sites.reshape(d.lattice.shape)
    for step in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
        z, y, x = place + step
        there = sites[z, y % d.grid.ny, x % d.grid.nx]
        organic = there["cation"] == METAL and there["region"] == Region.ORGANIC
        anode, cathode = there["cation"] == ELECTRODE_METAL, there["cation"] == COUNTER_METAL or organic
        if anode if role == "anode" else cathode:
            return True
    return False


def unit_of(d: Device, atoms: np.ndarray) -> np.ndarray:
    """Potential of atoms at one volt."""
    return d.potential.fields["unit"].reshape(d.lattice.shape)[tuple(atoms.T)]


def tunnelling(d: Device, atoms: np.ndarray, names: np.ndarray) -> list[tuple[str, str, float]]:
    """Current at one volt of every tunnelling link, into the first of two clusters: G0 10^(-gap/decade)."""
    unit, links = unit_of(d, atoms), []
    metal = d.stack.electrode
    decade, quantum = metal.value("tunnelling_decade"), metal.value("bond_conductance")

    def conductance(apart: np.ndarray) -> np.ndarray:
        distance = np.sqrt((apart**2).sum(-1))
        gap_nm = (distance - 1) * d.lattice.spacing_nm
        return np.where((distance > 0) & (distance <= d.network.tunnel_reach), quantum * 10 ** (-gap_nm / decade), 0.0)

    region, z = d.lattice.region, np.arange(d.grid.nz)[:, None, None]
    silver = (region == Region.ORGANIC) & (d.state.sites["cation"].reshape(region.shape) == METAL)
    top = np.where(silver | (region == Region.COUNTER), z, -1).max(0)
    roof = np.where(region == Region.ELECTRODE, z, d.grid.nz).min(0)
    planes = {"anode": (roof, 1.0), "cathode": (top, 0.0)}
    y, x = np.indices(top.shape)
    for k, (place, name) in enumerate(zip(atoms, names, strict=True)):
        for role, (height, volt) in planes.items():
            if name != role:
                apart = offsets(d, place, np.stack([height, y, x], axis=-1))
                # Solid from its height on: beside its wall the nearest site is level.
                nearer = np.maximum if role == "anode" else np.minimum
                apart[..., 0] = nearer(apart[..., 0], 0)
                total = float(conductance(apart).max())  # one atom, one channel
                links.append((name, role, total * (volt - unit[k])))
    clusters = sorted(set(names))
    for k, one in enumerate(clusters):
        for other in clusters[:k]:
            here, there = np.flatnonzero(names == one), np.flatnonzero(names == other)
            table = conductance(offsets(d, atoms[here][:, None], atoms[there][None]))
            total = min(table.max(1).sum(), table.max(0).sum())  # channels of the one with fewer to offer
            links.append((one, other, float(total * (unit[there[0]] - unit[here[0]]))))
    return links


def into(links: list[tuple[str, str, float]], name: str) -> float:
    """Sum of the currents into a cluster."""
    return sum(v for a, _, v in links if a == name) - sum(v for _, b, v in links if b == name)


@pytest.mark.parametrize("shape", ["gap", "island"])
@pytest.mark.parametrize("name", LAYERED)
def test_no_current_is_lost_in_tunnelling(name: str, shape: str) -> None:
    """Into a floating cluster as much flows as out of it; the two ends agree with the conductance.

    Every link is summed here from its definition. The matrix's leak to an island is 1e-16 S.
    """
    d = built(name, shape)
    atoms, names = parts(d)
    assert not d.path.bridged
    floating = set(names) - {"anode", "cathode"}
    assert bool(floating) == (shape == "island")
    links = tunnelling(d, atoms, names)
    for cluster in floating:
        size = sum(abs(v) for a, b, v in links if cluster in (a, b))
        assert abs(into(links, cluster)) < 1e-9 * size + 2e-16
    assert -into(links, "anode") == pytest.approx(into(links, "cathode"), rel=1e-6, abs=1e-16)
    ohms = stumps(d, atoms, names) if shape == "gap" else 0.0
    assert d.path.conductance == pytest.approx(-1 / (1 / into(links, "anode") - ohms), rel=1e-9)


def stumps(d: Device, atoms: np.ndarray, names: np.ndarray) -> float:
    """Resistance of the silver on both sides of a gap, plane by plane, V/A."""
    ohmic = d.lattice.spacing_nm / d.stack.electrode.value("resistivity")
    lowest = int(np.nonzero(d.lattice.region == Region.ELECTRODE)[0].min())
    below = np.bincount(atoms[names == "cathode", 0])
    above = np.bincount(atoms[(names == "anode") & (atoms[:, 0] < lowest), 0], minlength=1)
    return foot(d) + sum(1 / (ohmic * count) for planes in (below, above) for count in planes if count)


def test_a_shifted_island_is_seen() -> None:
    """Negative control: one millivolt on an island, at one volt, breaks Kirchhoff's law."""
    d = filled("ogb_20nm", "island")
    atoms, names = parts(d)
    d.potential.fields["unit"].reshape(d.lattice.shape)[tuple(atoms.T)] += 1e-3
    links = tunnelling(d, atoms, names)
    cluster = next(iter(set(names) - {"anode", "cathode"}))
    assert abs(into(links, cluster)) > 1e-4 * sum(abs(v) for a, b, v in links if cluster in (a, b))


def links_of(d: Device, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of what conducts in a bridge of n atoms, [m, 2] (n: the anode, n + 1: the cathode), and S."""
    nodes = np.ravel_multi_index(tuple(atoms.T), d.lattice.shape).astype(np.int32)
    d.network.index[nodes] = np.arange(len(nodes))
    links, weight, _ = d.network._links(d.state, nodes)
    ends = links[:, :2].astype(np.int64)
    return np.where(ends < 0, len(nodes) - 1 - ends, ends), weight


def bonds_of(d: Device, atoms: np.ndarray) -> np.ndarray:
    """The bonds of a bridge from neighbour to neighbour, [m, 2], found here; ends as `links_of` has them."""
    place, sites = {tuple(a): k for k, a in enumerate(atoms.tolist())}, d.state.sites.reshape(d.lattice.shape)
    found = []
    for k, (z, y, x) in enumerate(atoms):
        for dz, dy, dx in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
            there = (z + dz, (y + dy) % d.grid.ny, (x + dx) % d.grid.nx)
            cation, organic = sites["cation"][there], sites["region"][there] == Region.ORGANIC
            if cation == ELECTRODE_METAL:
                found.append((k, len(atoms)))
            elif cation == COUNTER_METAL or (cation == METAL and organic):
                found.append((k, len(atoms) + 1))
            elif place.get(there, -1) > k:
                found.append((k, place[there]))
    return np.array(found)


def width(bonds: np.ndarray, count: int) -> int:
    """Most units that flow from one end to the other, one a bond at most (scipy's own search)."""
    both = np.concatenate([bonds, bonds[:, ::-1]])
    units = coo_array((np.ones(len(both), np.int32), tuple(both.T)), (count + 2, count + 2)).tocsr()
    return int(maximum_flow(units, count, count + 1).flow_value)


@pytest.mark.parametrize("name", LAYERED)
def test_no_current_is_lost_in_a_bridge(name: str) -> None:
    """At each atom of a closed filament the currents cancel; both ends carry the terminals'.

    Each bond is there once. Where it is narrowest as many as that place has have a quantum in series; where
    two places are, those of either have two; without them the ends are apart. Others are links of at most
    what tunnelling over their distance gives. The solver stops at an energy error of 1e-10, so single
    currents are good to 1e-4. The silver column in the organic layer is in series: planes of atoms side by
    side.
    """
    d = built(name, "bridge")
    atoms, names = parts(d)
    assert d.path.bridged
    atoms = atoms[names == "bridge"]
    ends, weight = links_of(d, atoms)
    ohmic = d.lattice.spacing_nm / d.stack.electrode.value("resistivity")
    quantum = d.stack.electrode.value("bond_conductance")
    narrow, either = (1 / (1 / ohmic + 1 / (times * quantum)) for times in (1, 2))
    bonds = bonds_of(d, atoms)
    assert sorted(map(tuple, ends[: len(bonds)].tolist())) == sorted(map(tuple, bonds.tolist()))
    wide, n = ends[: len(bonds)][weight[: len(bonds)] == ohmic], len(atoms)
    alone, halved = (int(np.isclose(weight[: len(bonds)], one).sum()) for one in (narrow, either))
    assert alone + halved + len(wide) == len(bonds)
    assert alone + halved / 2 == width(bonds, n)
    whole = coo_array((np.ones(len(wide)), tuple(wide.T)), (n + 2, n + 2))
    _, piece = connected_components(whole, directed=False)
    assert piece[n] != piece[n + 1]
    assert (weight[len(bonds) :] <= d.network.link_conductance[2]).all()  # atoms side by side are bonded
    unit = np.append(unit_of(d, atoms), [1.0, 0.0])
    current = weight * (unit[ends[:, 1]] - unit[ends[:, 0]])
    into = np.bincount(ends[:, 0], current, n + 2) - np.bincount(ends[:, 1], current, n + 2)
    assert np.abs(into[:n]).max() < 1e-3 * -into[n]
    assert -into[n] == pytest.approx(into[n + 1], rel=1e-3)
    assert 1 / d.path.conductance == pytest.approx(-1 / into[n] + foot(d), rel=1e-3)


def foot(d: Device) -> float:
    """Resistance of the silver column in the organic layer, V/A."""
    ohmic = d.lattice.spacing_nm / d.stack.electrode.value("resistivity")
    planes = np.bincount(np.nonzero(d.lattice.residue & (d.lattice.region == Region.ORGANIC))[0])
    return sum(1 / (ohmic * count) for count in planes if count)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", STACKS)
def test_the_limiter_holds_the_current_within_a_thousandth(name: str, sign: float) -> None:
    """Half of the current that flows without a limit, in both polarities: a closed filament's, or the leak's.

    The device has that current at its voltage; without a limit device and resistors share the source's
    voltage.
    """
    d = built(name, "bridge") if name in LAYERED else device(name)
    d.set_source(sign * 0.6, math.inf)
    unlimited = d.point
    assert not unlimited.limited
    limit = 0.5 * abs(unlimited.current)
    assert limit > (1e-6 if name in LAYERED else 0.0)
    d.set_source(sign * 0.6, limit)
    point = d.point
    d.set_source(0.0, math.inf)
    assert point.limited
    assert point.current == pytest.approx(sign * limit, rel=1e-3)
    through = d.path.conductance * point.voltage_device + d.leak.exact(point.voltage_device, d.stage)
    assert through == pytest.approx(point.current, rel=1e-3)
    assert 0.0 < sign * point.voltage_device < sign * unlimited.voltage_device
    assert unlimited.voltage_device + d.series * unlimited.current == pytest.approx(sign * 0.6, rel=1e-6)


@pytest.mark.parametrize("shape", ["bridge", "gap"])
@pytest.mark.parametrize("name", STACKS)
def test_no_voltage_no_current_and_the_reverse_of_the_reverse(name: str, shape: str) -> None:
    """Zero-field symmetry of a frozen window: nothing at 0 V, at -V the current of V with its sign turned.

    Negative control: at V there is one.
    """
    d = built(name, shape) if name in LAYERED else device(name)
    points = {}
    for volt in (0.4, -0.4, 0.0):
        d.set_source(volt, math.inf)
        points[volt] = d.point
    assert (points[0.0].voltage_device, points[0.0].current) == (0.0, 0.0)
    assert points[-0.4].current == -points[0.4].current < 0.0
    assert points[-0.4].voltage_device == -points[0.4].voltage_device


@pytest.mark.parametrize("name", [name for name in STACKS if name not in LAYERED])
def test_silver_through_the_organic_alone_conducts(name: str) -> None:
    """A column of silver from the counter to the electrode is a short where nothing else is between."""
    d = device(name)
    column = np.zeros(d.lattice.shape, bool)
    column[:, 4:7, 4:7] = True
    put_silver(d, free(d, column))
    assert d.path.bridged
    assert d.path.conductance > 1e-4
