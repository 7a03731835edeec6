"""Compiled passes of a closed filament: the network of its bonds, links and islands beside it."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.solvers.tridiagonal import solve_tridiagonal
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, METAL
from kmc.transport.clusters import FLOATING, PLATED, neighbour
from kmc.transport.minimum_cut import ABOVE, ANODE_END, CATHODE_END, NONE, augment_through, cuts_crossed, side_beyond
from kmc.transport.nearest_metal import electrode_link, nearest_on_electrode, plane_starts


class BondGraph(NamedTuple):
    """The n atoms of a closed filament and their bonds.

    nodes int32 [n]: their sites, ascending; to int32 [n, 6]: number of the node beyond each face, ANODE_END,
    CATHODE_END or NONE; flow int8 [n, 6]: of the maximum flow, what leaves through it; side uint8 [n]: BELOW,
    BETWEEN or ABOVE the minimum cuts.
    """

    nodes: np.ndarray
    to: np.ndarray
    flow: np.ndarray
    side: np.ndarray


@njit
def bonds(sites, in_organic, nodes, index, shape):
    """Number of the node beyond each face of `nodes`, int32 [n, 6]; ANODE_END, CATHODE_END or NONE."""
    out = np.full((nodes.size, 6), NONE, np.int32)
    for k in range(nodes.size):
        for d in range(6):
            j = neighbour(nodes[k], d, shape)
            if j < 0:
                continue
            cation = sites[j].cation
            if cation == ELECTRODE_METAL:
                out[k, d] = ANODE_END
            elif cation == COUNTER_METAL or (cation == METAL and in_organic[j]):
                out[k, d] = CATHODE_END
            elif cation == METAL:
                out[k, d] = index[j]
    return out


@njit
def floating_potentials(atoms, label, fields, count: int, geometry):
    """Sums over floating clusters beside a closed filament: conductance (S) and conductance times potential.

    float64 [count, 2] by label; each atom has one channel, to the nearest metal whose potential is known:
    silver of the film, the electrode above or the cathode below.
    """
    reach, table, (_, ny, nx) = geometry.reach, geometry.conductance, geometry.shape
    sums, plane = np.zeros((count, 2)), ny * nx
    lowest, highest = geometry.anode_height.min(), geometry.cathode_height.max()
    for i in atoms:
        if label[i] < FLOATING:
            continue
        x, y, z = i % nx, i // nx % ny, i // plane
        best, there = 0.0, 0.0
        if z - highest <= reach:
            best = electrode_link(x, y, z, -1, geometry)
        if lowest - z <= reach:
            above = electrode_link(x, y, z, 1, geometry)
            if above > best:
                best, there = above, 1.0
        for j in atoms:
            if label[j] >= PLATED or abs(j // plane - z) > reach:
                continue
            dx, dy, dz = abs(j % nx - x), abs(j // nx % ny - y), j // plane - z
            dx, dy = min(dx, nx - dx), min(dy, ny - dy)
            squared = dx * dx + dy * dy + dz * dz
            if squared <= reach * reach and table[squared] > best:
                best, there = table[squared], fields[j].unit
        sums[label[i], 0] += best
        sums[label[i], 1] += best * there
    return sums


@njit
def bridge_network(graph, ohmic: float, quantum: float, shape, links, weight) -> int:
    """Bonds of the bridging cluster: links int32 [m, 3], weight S. Returns m.

    Columns: number of the node, that of the other end (-1 anode, -2 cathode), site of the other end. Bonds of
    the narrowest place carry one conductance quantum in series (Landauer). A stretch that is as narrow
    throughout has half of that resistance at either end, as a contact has (Sharvin).
    """
    nodes, to, count = graph.nodes, graph.to, 0
    for k in range(nodes.size):
        for d in range(6):
            m = to[k, d]
            if m == NONE or (0 <= m < k):
                continue
            links[count, 0], links[count, 1] = k, m
            links[count, 2] = nodes[m] if m >= 0 else neighbour(nodes[k], d, shape)
            ends = cuts_crossed(to, graph.side, k, d)
            weight[count] = 1.0 / (1.0 / ohmic + 0.5 * ends / quantum) if ends else ohmic
            count += 1
    return count


@njit
def neck_planes(graph, plane: int) -> tuple[int, int]:
    """The plane below the bonds of the narrowest place next to the anode, and the highest that they reach."""
    nodes, to, side = graph.nodes, graph.to, graph.side
    low, high = 1 << 30, 0
    for k in range(nodes.size):
        for d in range(6):
            if (side[k] == ABOVE) != (side_beyond(to, side, k, d) == ABOVE):
                z = nodes[k] // plane
                low = min(low, z - (d == 4))
                high = max(high, z + (d == 5))
    return low - 1, high


@njit
def neck_links(graph, geometry, least: float, links, weight, count: int) -> int:
    """Tunnelling links beside the narrowest place next to the anode, to its side; returns the links.

    One atom is one channel, which a bond there takes. As between clusters, the side with fewer decides; and
    each, the best first, needs ways of its own from both electrodes. What gives less than `least` (S) is
    left out.
    """
    nodes, to, side = graph.nodes, graph.to, graph.side
    free = np.ones(nodes.size, np.bool_)
    for k in range(nodes.size):
        for d in range(6):
            if cuts_crossed(to, side, k, d):
                free[k] = False
    some = np.flatnonzero(free)
    lower, upper = some[side[some] < ABOVE], some[side[some] == ABOVE]
    best, partner, there = links_across(nodes, lower, upper, geometry)
    to_silver, to_lower = lower[partner[lower] >= 0], upper[partner[upper] >= 0]
    offered = best[to_silver].sum()
    if offered > 0.0:
        best[to_silver] *= min(1.0, best[to_lower].sum() / offered)
    best[to_lower] = 0.0  # they are the other ends of what the lower offer
    reached = np.zeros(nodes.size, np.uint8)
    for a in some[np.argsort(-best[some], kind="mergesort")]:
        if best[a] < least:
            break
        if augment_through(to, graph.flow, reached, a, partner[a]):
            links[count, 0], links[count, 1], links[count, 2] = a, partner[a], there[a]
            weight[count] = best[a]
            count += 1
    return count


@njit
def links_across(nodes, lower, upper, geometry):
    """The best tunnelling link of each atom of two sides, S [n]; whereto: number of a node, ANODE_END or
    CATHODE_END [n]; and the site there [n]."""
    reach, table, (nz, ny, nx) = geometry.reach, geometry.conductance, geometry.shape
    best, partner = np.zeros(nodes.size), np.full(nodes.size, NONE, np.int32)
    there, plane = np.full(nodes.size, -1, np.int64), ny * nx
    lowest, highest = geometry.anode_height.min(), geometry.cathode_height.max()
    for level, way, end, side in ((lowest, 1, ANODE_END, lower), (highest, -1, CATHODE_END, upper)):
        for a in side:
            x, y, z = nodes[a] % nx, nodes[a] // nx % ny, nodes[a] // plane
            if way * (level - z) > reach:
                continue
            squared, site = nearest_on_electrode(x, y, z, way, geometry)
            if squared <= reach * reach:
                best[a], partner[a], there[a] = table[squared], end, site
    start = plane_starts(nodes[upper], plane, nz)
    for a in lower:
        x, y, z = nodes[a] % nx, nodes[a] // nx % ny, nodes[a] // plane
        for b in upper[start[max(z - reach, 0)] : start[min(z + reach + 1, nz)]]:
            dx, dy, dz = abs(nodes[b] % nx - x), abs(nodes[b] // nx % ny - y), nodes[b] // plane - z
            dx, dy = min(dx, nx - dx), min(dy, ny - dy)
            squared = dx * dx + dy * dy + dz * dz
            if squared > reach * reach:
                continue
            for one, other in ((a, b), (b, a)):
                if table[squared] > best[one]:
                    best[one], partner[one], there[one] = table[squared], other, nodes[other]
    return best, partner, there


@njit
def solve_network(links, weight, level, u, tolerance: float) -> int:
    """Node potentials u (warm start), cathode 0 and anode 1, by preconditioned conjugate gradients.

    Links are as `bridge_network` gives them; level: plane of each node. What a long filament's potential does
    from end to end is balanced plane by plane, all nodes of a plane alike, and what it does within planes by
    the diagonal: a third of the steps that the diagonal alone takes. Stops on r . z < tolerance^2 energy.
    Returns the steps.
    """
    n = u.size
    diagonal, r, p, ap, z = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(weight.size):
        diagonal[links[k, 0]] += weight[k]
        if links[k, 1] >= 0:
            diagonal[links[k, 1]] += weight[k]
    pivot, factor = _plane_network(links, weight, level)
    energy = _apply(links, weight, u, r, True)
    r *= -1.0
    rz = _precondition(pivot, factor, level, diagonal, r, z)
    p[:] = z
    for k in range(20 * n):
        if rz <= tolerance * tolerance * energy:
            return k
        _apply(links, weight, p, ap, False)
        alpha = rz / np.sum(p * ap)
        u += alpha * p
        r -= alpha * ap
        new = _precondition(pivot, factor, level, diagonal, r, z)
        p[:] = z + new / rz * p
        rz = new
        if k % 8 == 7:
            energy = _apply(links, weight, u, ap, True)
    return 20 * n


@njit
def _plane_network(links, weight, level):
    """The network whose nodes are the planes, from the lowest on: pivots and factors [m, 1].

    They are as `solve_tridiagonal` takes them. Bonds join a plane to the next. Of links beside the neck those
    that reach further are left out.
    """
    lowest = level.min()
    pivot = np.zeros((level.max() - lowest + 1, 1))
    factor = np.zeros(pivot.shape)
    for k in range(weight.size):
        a, other = level[links[k, 0]] - lowest, links[k, 1]
        b = level[other] - lowest if other >= 0 else a
        if other < 0 or abs(a - b) == 1:
            pivot[a, 0] += weight[k]
        if abs(a - b) == 1:
            pivot[b, 0] += weight[k]
            factor[min(a, b), 0] -= weight[k]
    for k in range(1, len(pivot)):
        between = factor[k - 1, 0]
        factor[k - 1, 0] /= pivot[k - 1, 0]
        pivot[k, 0] -= between * factor[k - 1, 0]
    return pivot, factor


@njit
def _precondition(pivot, factor, level, diagonal, r, z) -> float:
    """z [n]: r [n] over the diagonal, and what balances r plane by plane; returns r . z."""
    lowest, planes, product = level.min(), np.zeros(pivot.shape), 0.0
    for k in range(r.size):
        planes[level[k] - lowest, 0] += r[k]
    solve_tridiagonal(planes, factor, pivot)
    for k in range(r.size):
        z[k] = r[k] / diagonal[k] + planes[level[k] - lowest, 0]
        product += r[k] * z[k]
    return product


@njit
def _apply(links, weight, u, out, electrodes: bool) -> float:
    """Apply the conductance matrix: out = sum of currents out of each node; returns the power at one volt.

    Electrodes are at 0 unless asked.
    """
    out[:] = 0.0
    power = 0.0
    for k in range(weight.size):
        a, b = links[k, 0], links[k, 1]
        there = u[b] if b >= 0 else (1.0 if b == -1 and electrodes else 0.0)
        current = weight[k] * (u[a] - there)
        power += current * (u[a] - there)
        out[a] += current
        if b >= 0:
            out[b] -= current
    return power
