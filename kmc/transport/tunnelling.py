"""Compiled passes of the electronic current: tunnelling links between clusters of metal."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.transport.clusters import ANODE, CATHODE
from kmc.transport.nearest_metal import electrode_link, nearest_on_electrode, plane_starts


class TunnelNetwork(NamedTuple):
    """Tunnelling links of an open filament: of the n atoms that have one, and between its clusters.

    atoms int32 [n]: sites; label int32 [n]; to_clusters float64 [n, labels]: best link to an atom of each
    cluster, S; to_electrodes float64 [n, 2]: to the cathode below and the electrode above, S. channels,
    conductance float64 [labels, labels]: offers of the first cluster to the second, and what joins the two,
    S. columns int64 [m], direct float64 [m]: columns where the electrode is linked to silver in the organic,
    and by how much, S, which `conductance` holds too. unit float64 [labels]: the clusters' potentials at 1 V.
    """

    atoms: np.ndarray
    label: np.ndarray
    to_clusters: np.ndarray
    to_electrodes: np.ndarray
    channels: np.ndarray
    conductance: np.ndarray
    columns: np.ndarray
    direct: np.ndarray
    unit: np.ndarray


@njit
def tunnel_network(atoms, own, labels: int, bottom: int, geometry) -> TunnelNetwork:
    """All tunnelling links of an open filament (none at a reach of 1); floating clusters at zero potential.

    atoms: sites, ascending; own [atoms]: their labels, of so many; bottom: plane of the counter's top.
    """
    to_clusters, to_electrodes = np.zeros((atoms.size, labels)), np.zeros((atoms.size, 2))
    linked = np.zeros(atoms.size, np.bool_)
    if geometry.reach > 1 and atoms.size:
        tunnelling_links(atoms, own, geometry, to_clusters, to_electrodes, linked)
    some = np.flatnonzero(linked)
    label, to_clusters, to_electrodes = own[some], to_clusters[some], to_electrodes[some]
    channels, conductance, unit = np.zeros((labels, labels)), np.zeros((labels, labels)), np.zeros(labels)
    cluster_links(label, to_clusters, to_electrodes, channels, conductance)
    columns, apart = column_links(bottom, geometry)
    direct, unit[ANODE] = np.empty(columns.size), 1.0
    for k in range(columns.size):
        direct[k] = geometry.conductance[apart[k] ** 2]
        conductance[ANODE, CATHODE] += direct[k]
    return TunnelNetwork(atoms[some], label, to_clusters, to_electrodes, channels, conductance, columns, direct, unit)


@njit
def tunnelling_links(atoms, own, geometry, to_clusters, to_electrodes, linked) -> None:
    """Conductance of the shortest tunnelling links of each atom, S: one atom is one channel.

    atoms: sites, ascending; own [atoms]: labels, none of them PLATED. to_clusters [atoms, labels]: to an atom
    of another cluster; to_electrodes [atoms, 2]: to the cathode of the organic below and to the electrode
    above; linked bool [atoms]: who has one; zero at entry.
    """
    reach, table, (nz, ny, nx) = geometry.reach, geometry.conductance, geometry.shape
    best, planes = to_clusters, to_electrodes
    lowest, highest = geometry.anode_height.min(), geometry.cathode_height.max()
    many = np.argmax(np.bincount(own))  # the links of the largest cluster are found from the others
    start = plane_starts(atoms, ny * nx, nz)
    x, y, z = atoms % nx, atoms // nx % ny, atoms // (ny * nx)
    for a in range(atoms.size):
        below = own[a] != CATHODE and z[a] - highest <= reach
        above = own[a] != ANODE and lowest - z[a] <= reach
        if own[a] == many and not (below or above):
            continue
        if below:
            planes[a, 0] = electrode_link(x[a], y[a], z[a], -1, geometry)
        if above:
            planes[a, 1] = electrode_link(x[a], y[a], z[a], 1, geometry)
        linked[a] = linked[a] or planes[a, 0] > 0.0 or planes[a, 1] > 0.0
        if own[a] == many:
            continue
        for b in range(start[max(z[a] - reach, 0)], start[min(z[a] + reach + 1, nz)]):
            if own[b] == own[a]:
                continue
            dy, dx = abs(y[b] - y[a]), abs(x[b] - x[a])
            dx, dy, dz = min(dx, nx - dx), min(dy, ny - dy), z[b] - z[a]
            squared = dx * dx + dy * dy + dz * dz
            if squared <= reach * reach:
                g = table[squared]
                best[a, own[b]] = max(best[a, own[b]], g)
                best[b, own[a]] = max(best[b, own[a]], g)
                linked[a], linked[b] = True, True
    for k in np.flatnonzero(linked):  # to an electrode and to silver on it there is one channel too
        for side, electrode in ((0, CATHODE), (1, ANODE)):
            if planes[k, side] > best[k, electrode]:
                best[k, electrode] = 0.0


@njit
def cluster_links(label, to_clusters, to_electrodes, channels, conductance) -> None:
    """Conductance between clusters, S [labels, labels]; label [atoms]: that of each atom.

    channels [labels, labels] receives the sum of `to_clusters` over the atoms of the first cluster. Two
    clusters have as many channels as the one with fewer offers. Atoms for which silver on an electrode has no
    channel left are linked to the electrode behind it: `to_electrodes` becomes that share.
    """
    for a in range(label.size):
        channels[label[a]] += to_clusters[a]
    for a in range(label.size):
        for side, electrode in ((0, CATHODE), (1, ANODE)):
            if to_clusters[a, electrode] > 0.0:
                to_electrodes[a, side] *= 1.0 - min(1.0, channels[electrode, label[a]] / channels[label[a], electrode])
            conductance[label[a], electrode] += to_electrodes[a, side]
            conductance[electrode, label[a]] += to_electrodes[a, side]
    for k in range(conductance.shape[0]):
        for other in range(conductance.shape[0]):
            conductance[k, other] += min(channels[k, other], channels[other, k])


@njit
def set_potentials(fields, atoms, own, network, least: float, geometry):
    """Give the atoms of an open filament their clusters' potentials; returns its conductance, S, the shortest
    gap (`shortest_gap`), and the lowest plane of a tip over it whose link conducts over `least` of that; the
    electrode's at most."""
    height, unit = geometry.anode_height, network.unit
    best, planes = network.to_clusters, network.to_electrodes
    lowest, conductance = height.min(), 0.0
    for k in range(unit.size):
        conductance += network.conductance[ANODE, k] * (1.0 - unit[k])
    for a in range(atoms.size):
        fields[atoms[a]].unit = unit[own[a]]
    for a in range(network.atoms.size):
        if network.label[a] != CATHODE and max(best[a].max(), planes[a].max()) > least * conductance:
            lowest = min(lowest, network.atoms[a] // height.size)
    return conductance, shortest_gap(atoms, own, geometry), lowest


@njit
def shortest_gap(atoms, own, geometry) -> int:
    """Shortest way up from the cathode's metal to the electrode above it, in sites from middle to middle.

    atoms: sites, ascending; own: their labels.
    """
    height = geometry.anode_height
    ny, nx = height.shape
    least, lowest = np.int64((height - geometry.cathode_height).min()), height.min()
    for i, label in zip(atoms[::-1], own[::-1]):  # noqa: B905 -- numba knows no `strict`
        z = i // (ny * nx)
        if lowest - z >= least:
            break
        if label == CATHODE:
            least = min(least, height[i // nx % ny, i % nx] - z)
    return int(least)


@njit
def column_links(bottom: int, geometry):
    """Columns [m] where the electrode is linked to silver in the organic (above `bottom`), no atom between.

    Also how far apart the two are, in sites [m].
    """
    above, below, reach = geometry.anode_height, geometry.cathode_height, geometry.reach
    columns, apart, count = np.empty(above.size, np.int64), np.empty(above.size, np.int64), 0
    if above.min() - below.max() > reach:
        return columns[:0], apart[:0]
    for k in range(above.size):
        y, x = k // above.shape[1], k % above.shape[1]
        if below[y, x] > bottom and above[y, x] - below[y, x] <= reach:
            columns[count], apart[count] = k, above[y, x] - below[y, x]
            count += 1
    return columns[:count], apart[:count]


@njit
def link_heating(network, geometry, heated) -> int:
    """Joule heat at the ends of the tunnelling links of atoms, into `heated` (`filament.Heated`).

    Half of a link's heat is on either side: at low bias electrons cross evenly between the two Fermi
    energies, and those that arrive bring as much as the holes that they leave. Atoms of a cluster share its
    link as their channels do. Returns how many ends there are.
    """
    own, best, planes, unit = network.label, network.to_clusters, network.to_electrodes, network.unit
    channels, (sites, watts, siemens, ends) = network.channels, heated
    count, (ny, nx), labels = 0, geometry.anode_height.shape, network.channels.shape[0]
    for a in range(own.size):
        site = network.atoms[a]
        x, y, z = site % nx, site // nx % ny, site // (ny * nx)
        for side, electrode in ((0, CATHODE), (1, ANODE)):
            if planes[a, side] > 0.0:
                low, high = min(own[a], electrode), max(own[a], electrode)
                sites[count] = site
                sites[count + 1] = nearest_on_electrode(x, y, z, 2 * side - 1, geometry)[1]
                ends[count] = 2 * (low * labels + high) + (own[a] == high)
                ends[count + 1] = 2 * (low * labels + high) + (own[a] == low)
                siemens[count] = siemens[count + 1] = planes[a, side]
                watts[count] = watts[count + 1] = 0.5 * siemens[count] * (unit[own[a]] - unit[electrode]) ** 2
                count += 2
        for other in range(labels):
            if best[a, other] > 0.0:
                low, high, offers = min(own[a], other), max(own[a], other), channels[own[a], other]
                sites[count] = site
                ends[count] = 2 * (low * labels + high) + (own[a] == high)
                siemens[count] = min(offers, channels[other, own[a]]) * best[a, other] / offers
                watts[count] = 0.5 * siemens[count] * (unit[own[a]] - unit[other]) ** 2
                count += 1
    return count
