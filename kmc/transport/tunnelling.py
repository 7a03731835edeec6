"""Compiled passes of the electronic current: tunnelling links between clusters of metal."""

import numpy as np

from kmc.core.jit_cache import njit
from kmc.transport.clusters import ANODE, CATHODE
from kmc.transport.nearest_metal import nearest_of, plane_link, plane_starts


@njit
def open_links(
    atoms, own, labels: int, roof, foot, bottom: int, reach: int, table, nz: int, ny: int, nx: int
):
    """All tunnelling links of an open filament (none at a `reach` of 1): the atoms that have one, their
    labels, `best` and `planes`; channels and conductances of the clusters; columns and conductances of what
    `bare` gives, which the latter hold too; and potentials of the clusters, those that float at zero."""
    best, planes = np.zeros((atoms.size, labels)), np.zeros((atoms.size, 2))
    linked = np.zeros(atoms.size, np.bool_)
    if reach > 1 and atoms.size:
        tunnelling_links(atoms, own, roof, foot, best, planes, linked, reach, table, nz, ny, nx)
    some = np.flatnonzero(linked)
    names, best, planes = own[some], best[some], planes[some]
    channels, matrix, unit = np.zeros((labels, labels)), np.zeros((labels, labels)), np.zeros(labels)
    cluster_links(names, best, planes, channels, matrix)
    columns, apart = bare(roof, foot, bottom, reach)
    direct, unit[ANODE] = np.empty(columns.size), 1.0
    for k in range(columns.size):
        direct[k] = table[apart[k] ** 2]
        matrix[ANODE, CATHODE] += direct[k]
    return atoms[some], names, best, planes, channels, matrix, columns, direct, unit


@njit
def tunnelling_links(
    atoms, own, roof, foot, best, planes, linked, reach: int, table, nz: int, ny: int, nx: int
) -> None:
    """The shortest tunnelling links of each atom, S: one atom is one channel.

    atoms: sites, ascending; own [atoms]: labels, none of them PLATED. best [atoms, labels]: to an atom of
    another cluster; planes [atoms, 2]: to the cathode of the organic below (`foot` [ny, nx], its highest
    site) and to the electrode above (`roof`, its lowest); linked bool [atoms]: who has one; zero at entry.
    table: conductance of a link of two atoms by squared distance in sites (Simmons at low bias:
    10^(-gap / decade), gap from surface to surface).
    """
    lowest, highest = roof.min(), foot.max()
    many = np.argmax(np.bincount(own))  # the links of the largest cluster are found from the others
    start = plane_starts(atoms, ny * nx, nz)
    x, y, z = atoms % nx, atoms // nx % ny, atoms // (ny * nx)
    for a in range(atoms.size):
        below = own[a] != CATHODE and z[a] - highest <= reach
        above = own[a] != ANODE and lowest - z[a] <= reach
        if own[a] == many and not (below or above):
            continue
        if below:
            planes[a, 0] = plane_link(x[a], y[a], z[a], foot, -1, reach, table, ny, nx)
        if above:
            planes[a, 1] = plane_link(x[a], y[a], z[a], roof, 1, reach, table, ny, nx)
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
def cluster_links(own, best, planes, channels, matrix) -> None:
    """Conductance between clusters, S [labels, labels]; own [atoms]: label of each atom.

    channels [labels, labels] receives the sum of `best` over the atoms of the first cluster. Two clusters
    have as many channels as the one with fewer offers. Atoms for which silver on an electrode has no channel
    left are linked to the electrode behind it: `planes` becomes that share.
    """
    for a in range(own.size):
        channels[own[a]] += best[a]
    for a in range(own.size):
        for side, electrode in ((0, CATHODE), (1, ANODE)):
            if best[a, electrode] > 0.0:
                planes[a, side] *= 1.0 - min(1.0, channels[electrode, own[a]] / channels[own[a], electrode])
            matrix[own[a], electrode] += planes[a, side]
            matrix[electrode, own[a]] += planes[a, side]
    for k in range(matrix.shape[0]):
        for other in range(matrix.shape[0]):
            matrix[k, other] += min(channels[k, other], channels[other, k])


@njit
def follow_open(fields, atoms, own, unit, tips, names, best, planes, matrix, least: float, roof, foot):
    """Give the atoms of an open filament their clusters' potentials; returns its conductance, S, the shortest
    gap (`gap_sites`), and the lowest plane of a tip over it whose link conducts over `least` of that; the
    electrode's at most."""
    lowest, conductance = roof.min(), 0.0
    for k in range(unit.size):
        conductance += matrix[ANODE, k] * (1.0 - unit[k])
    for a in range(atoms.size):
        fields[atoms[a]].unit = unit[own[a]]
    for a in range(tips.size):
        if names[a] != CATHODE and max(best[a].max(), planes[a].max()) > least * conductance:
            lowest = min(lowest, tips[a] // roof.size)
    return conductance, gap_sites(atoms, own, roof, foot), lowest


@njit
def gap_sites(atoms, own, roof, foot) -> int:
    """Shortest way up from the cathode's metal to the electrode above it, in sites from middle to middle.

    atoms: sites, ascending; own: their labels.
    """
    ny, nx = roof.shape
    least, lowest = np.int64((roof - foot).min()), roof.min()
    for i, label in zip(atoms[::-1], own[::-1]):  # noqa: B905 -- numba knows no `strict`
        z = i // (ny * nx)
        if lowest - z >= least:
            break
        if label == CATHODE:
            least = min(least, roof[i // nx % ny, i % nx] - z)
    return int(least)


@njit
def bare(roof, foot, bottom: int, reach: int):
    """Columns [m] where the electrode is linked to silver in the organic (above `bottom`), no atom between.

    Also how far apart the two are, in sites [m].
    """
    columns, apart, count, nx = np.empty(roof.size, np.int64), np.empty(roof.size, np.int64), 0, roof.shape[1]
    if roof.min() - foot.max() > reach:
        return columns[:0], apart[:0]
    for k in range(roof.size):
        y, x = k // nx, k % nx
        if foot[y, x] > bottom and roof[y, x] - foot[y, x] <= reach:
            columns[count], apart[count] = k, roof[y, x] - foot[y, x]
            count += 1
    return columns[:count], apart[:count]


@njit
def link_ends(
    atoms, own, best, planes, channels, unit, roof, foot, reach: int, sites, watts, siemens, ends
) -> int:
    """Fill in the ends of the tunnelling links as `filament.Heated` has them; returns how many there are.

    Half of a link's heat is on either side: at low bias electrons cross evenly between the two Fermi
    energies, and those that arrive bring as much as the holes that they leave. Atoms of a cluster share its
    link as their channels do. unit [labels]: potentials of the clusters.
    """
    count, (ny, nx), labels = 0, roof.shape, channels.shape[0]
    for a in range(own.size):
        x, y, z = atoms[a] % nx, atoms[a] // nx % ny, atoms[a] // (ny * nx)
        for side, electrode in ((0, CATHODE), (1, ANODE)):
            if planes[a, side] > 0.0:
                low, high = min(own[a], electrode), max(own[a], electrode)
                sites[count] = atoms[a]
                sites[count + 1] = nearest_of(x, y, z, roof if side else foot, 2 * side - 1, reach, ny, nx)[1]
                ends[count] = 2 * (low * labels + high) + (own[a] == high)
                ends[count + 1] = 2 * (low * labels + high) + (own[a] == low)
                siemens[count] = siemens[count + 1] = planes[a, side]
                watts[count] = watts[count + 1] = 0.5 * siemens[count] * (unit[own[a]] - unit[electrode]) ** 2
                count += 2
        for other in range(labels):
            if best[a, other] > 0.0:
                low, high, offers = min(own[a], other), max(own[a], other), channels[own[a], other]
                sites[count] = atoms[a]
                ends[count] = 2 * (low * labels + high) + (own[a] == high)
                siemens[count] = min(offers, channels[other, own[a]]) * best[a, other] / offers
                watts[count] = 0.5 * siemens[count] * (unit[own[a]] - unit[other]) ** 2
                count += 1
    return count
