"""Compiled passes of a closed filament: its narrowest place, the network of its bonds, islands beside it."""

import numpy as np

from .cache import njit
from .state import COUNTER_METAL, ELECTRODE_METAL, METAL
from .transport_kernels import BRIDGE, FLOATING, PLATED, near, plane_link


@njit
def anode_contacts(sites, atoms, nz: int, ny: int, nx: int) -> tuple[int, int]:
    """Bonds of `atoms` to the electrode, and the highest plane above which all of them lie.

    An upward bond lies above its atom's own plane, one sideways above the plane below.
    """
    count, most = 0, nz
    for i in atoms:
        for d in range(6):
            j = near(i, d, nz, ny, nx)
            if j >= 0 and sites[j].cation == ELECTRODE_METAL:
                count += 1
                most = min(most, i // (ny * nx) - (0 if d == 5 else 1))
    return count, most


@njit
def floating_potentials(atoms, label, fields, roof, foot, reach: int, table, count: int,
                        nz: int, ny: int, nx: int):
    """Sums over floating clusters beside a closed filament: conductance (S) and conductance times potential.

    float64 [count, 2] by label; each atom has one channel, to the nearest metal whose potential is known:
    silver of the film, the electrode above (`roof` [ny, nx]) or the cathode below (`foot`).
    """
    sums, plane = np.zeros((count, 2)), ny * nx
    lowest, highest = roof.min(), foot.max()
    for i in atoms:
        if label[i] < FLOATING:
            continue
        x, y, z = i % nx, i // nx % ny, i // plane
        best, there = 0.0, 0.0
        if z - highest <= reach:
            best = plane_link(x, y, z, foot, -1, reach, table, ny, nx)
        if lowest - z <= reach:
            above = plane_link(x, y, z, roof, 1, reach, table, ny, nx)
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
def bridge_network(sites, in_organic, atoms, label, index, ohmic: float, quantum: float, neck: int,
                   nz: int, ny: int, nx: int, links, weight) -> int:
    """Bonds of the bridging cluster: links int32 [m, 3], weight S. Returns m.

    Columns: number of the node, that of the other end (-1 anode, -2 cathode), site of the other end.

    Bonds that cross from plane `neck` upwards carry one conductance quantum in series (Landauer); where
    `neck` is negative, those to the electrode do.
    """
    count = 0
    narrow = 1.0 / (1.0 / ohmic + 1.0 / quantum)
    plane = ny * nx
    for i in atoms:
        if label[i] != BRIDGE:
            continue
        for d in range(6):
            j = near(i, d, nz, ny, nx)
            if j < 0:
                continue
            low, high = min(i // plane, j // plane), max(i // plane, j // plane)
            cation = sites[j].cation
            if neck >= 0:
                g = narrow if low == neck and high == neck + 1 else ohmic
            else:
                g = narrow if cation == ELECTRODE_METAL else ohmic
            if cation == ELECTRODE_METAL:
                other = -1
            elif cation == COUNTER_METAL or (cation == METAL and in_organic[j]):
                other = -2
            elif cation == METAL and j > i:
                other = index[j]
            else:
                continue
            links[count, 0], links[count, 1], links[count, 2] = index[i], other, j
            weight[count] = g
            count += 1
    return count


@njit
def solve_network(links, weight, u, tolerance: float) -> int:
    """Node potentials u (warm start), cathode 0 and anode 1: Jacobi-preconditioned conjugate gradients.

    Stops on r . z < tolerance^2 energy. Returns the iterations.
    """
    n = u.size
    diagonal, r, p, ap = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(weight.size):
        diagonal[links[k, 0]] += weight[k]
        if links[k, 1] >= 0:
            diagonal[links[k, 1]] += weight[k]
    energy = _apply(links, weight, u, r, True)
    r *= -1.0
    z = r / diagonal
    rz = np.sum(r * z)
    p[:] = z
    for k in range(20 * n):
        if rz <= tolerance * tolerance * energy:
            return k
        _apply(links, weight, p, ap, False)
        alpha = rz / np.sum(p * ap)
        u += alpha * p
        r -= alpha * ap
        z = r / diagonal
        new = np.sum(r * z)
        p[:] = z + new / rz * p
        rz = new
        if k % 8 == 7:
            energy = _apply(links, weight, u, ap, True)
    return 20 * n


@njit
def _apply(links, weight, u, out, electrodes: bool) -> float:
    """out = sum of currents out of each node; returns the power at one volt. Electrodes at 0 unless asked."""
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
