"""Compiled passes between the coarse field mesh and the lattice sites: coarsen, prolong, relax."""

import numpy as np

from .cache import njit
from .state import METAL


@njit
def coarsen(sites, fields, factor: int, nz: int, ny: int, nx: int, fixed, unit, share):
    """Mark the mesh cells that hold metal or a sheet of carriers, with the mean unit potential there.

    fixed: uint8 [nz/f, ny/f, nx/f]; unit: float64, same shape, written where fixed; share: float64, same
    shape, of a cell's charge on each of its open sites, over their shorter edge.
    """
    cz, cy, cx = fixed.shape
    for kz in range(cz):
        count, total = np.zeros((cy, cx), np.int64), np.zeros((cy, cx))
        for z in range(kz * factor, min(kz * factor + factor, nz)):
            for y in range(ny):
                ky, row = y // factor, (z * ny + y) * nx
                for kx in range(cx):
                    for i in range(row + kx * factor, row + min(kx * factor + factor, nx)):
                        if sites[i].cation >= METAL or sites[i].held:
                            count[ky, kx] += 1
                            total[ky, kx] += fields[i].unit
        for ky in range(cy):
            for kx in range(cx):
                fixed[kz, ky, kx] = count[ky, kx] > 0
                share[kz, ky, kx] = factor / max(factor**3 - count[ky, kx], 1)
                if count[ky, kx] > 0:
                    unit[kz, ky, kx] = total[ky, kx] / count[ky, kx]


@njit
def _weight(i: int, factor: int, count: int, wrap: bool) -> tuple[int, int, float]:
    """Cells below and above a site centre along one axis, and the weight of the upper one."""
    place = (i + 0.5) / factor - 0.5
    low = int(np.floor(place))
    upper = place - low
    high = low + 1
    if wrap:
        return low % count, high % count, upper
    return max(low, 0), min(high, count - 1), upper


@njit
def prolong(sites, fields, factor: int, nz: int, ny: int, nx: int, unit, charge, with_charge: bool):
    """Trilinear values of the mesh at all sites whose potential is not given."""
    cz, cy, cx = unit.shape
    place, part = np.empty((nx, 2), np.int64), np.empty(nx)
    for x in range(nx):
        place[x, 0], place[x, 1], part[x] = _weight(x, factor, cx, True)
    first, second = np.empty(cx), np.empty(cx)
    for z in range(nz):
        z0, z1, wz = _weight(z, factor, cz, False)
        for y in range(ny):
            y0, y1, wy = _weight(y, factor, cy, True)
            a, b, c, d = (1 - wz) * (1 - wy), (1 - wz) * wy, wz * (1 - wy), wz * wy
            for x in range(cx):  # one row of cells first: its sites need only two of them each
                first[x] = a * unit[z0, y0, x] + b * unit[z0, y1, x]
                first[x] += c * unit[z1, y0, x] + d * unit[z1, y1, x]
                second[x] = a * charge[z0, y0, x] + b * charge[z0, y1, x]
                second[x] += c * charge[z1, y0, x] + d * charge[z1, y1, x]
            for x in range(nx):
                i = (z * ny + y) * nx + x
                if sites[i].cation >= METAL or sites[i].held:
                    continue
                low, high, w = place[x, 0], place[x, 1], part[x]
                fields[i].unit = (1 - w) * first[low] + w * first[high]
                if with_charge:
                    fields[i].charge = (1 - w) * second[low] + w * second[high]


@njit
def _weights(sites, fields, face, source, share, factor: int, nz: int, ny: int, nx: int, box, weight, unit,
             charge):
    """Take a box with its shell out of the lattice: [z, y, x] with one site more on each side.

    weight [z, y, x, 7]: of the six neighbours (they sum to one) and of the charge in the site; 0 where held.
    """
    cy, cx = ny // factor, nx // factor
    plane = ny * nx
    deep, wide, long = unit.shape
    for a in range(deep):
        for b in range(wide):
            y = (box[2] + b - 1) % ny
            x = (box[4] - 1) % nx
            for c in range(long):
                i = (box[0] + a - 1) * plane + y * nx + x
                unit[a, b, c], charge[a, b, c] = fields[i].unit, fields[i].charge
                inner = 0 < a < deep - 1 and 0 < b < wide - 1 and 0 < c < long - 1
                if inner and sites[i].cation < METAL and not sites[i].held:
                    here = sites[i].region
                    row = face[here]
                    w = weight[a, b, c]
                    w[0] = row[sites[i - 1 if x > 0 else i + nx - 1].region]
                    w[1] = row[sites[i + 1 if x < nx - 1 else i - nx + 1].region]
                    w[2] = row[sites[i - nx if y > 0 else i + plane - nx].region]
                    w[3] = row[sites[i + nx if y < ny - 1 else i - plane + nx].region]
                    w[4], w[5] = row[sites[i - plane].region], row[sites[i + plane].region]
                    total = w[0] + w[1] + w[2] + w[3] + w[4] + w[5]
                    kz, ky = (box[0] + a - 1) // factor, min(y // factor, cy - 1)
                    kx = min(x // factor, cx - 1)
                    w[6] = source[kz, ky, kx] * share[kz, ky, kx]
                    for d in range(7):
                        w[d] /= total
                x = x + 1 if x < nx - 1 else 0


@njit
def _sweep(weight, unit, charge, omega: float, upward: bool, round_y: bool, round_x: bool) -> float:
    """One pass over a box of `_weights`; returns the largest change of the unit potential at its edge.

    Where the box goes all round the window, its shell is its own other side, and follows at once. What the
    last step changed comes in last, so that each waits little for it.
    """
    deep, wide, long = unit.shape
    step, late = (1, 0) if upward else (-1, 1)
    spill = 0.0
    for k in range(1, deep - 1):
        a = k if upward else deep - 1 - k
        for m in range(1, wide - 1):
            b = m if upward else wide - 1 - m
            edge = k == 1 or k == deep - 2 or m == 1 or m == wide - 2
            for n in range(1, long - 1):
                c = n if upward else long - 1 - n
                w = weight[a, b, c]
                if w[0] == 0.0:
                    continue
                u = w[2] * unit[a, b - 1, c] + w[3] * unit[a, b + 1, c] + w[4] * unit[a - 1, b, c]
                u += w[5] * unit[a + 1, b, c] + w[1 - late] * unit[a, b, c + step]
                q = w[2] * charge[a, b - 1, c] + w[3] * charge[a, b + 1, c] + w[4] * charge[a - 1, b, c]
                q += w[5] * charge[a + 1, b, c] + w[1 - late] * charge[a, b, c + step] + w[6]
                last = omega * w[late]
                change = omega * (u - unit[a, b, c]) + last * unit[a, b, c - step]
                unit[a, b, c] += change
                charge[a, b, c] += omega * (q - charge[a, b, c]) + last * charge[a, b, c - step]
                if edge or n == 1 or n == long - 2:
                    spill = max(spill, abs(change))
                    if round_y and (b == 1 or b == wide - 2):
                        other = wide - 1 if b == 1 else 0
                        unit[a, other, c], charge[a, other, c] = unit[a, b, c], charge[a, b, c]
                    if round_x and (c == 1 or c == long - 2):
                        other = long - 1 if c == 1 else 0
                        unit[a, b, other], charge[a, b, other] = unit[a, b, c], charge[a, b, c]
    return spill


@njit
def relax(sites, fields, face, source, share, factor: int, nz: int, ny: int, nx: int, box, sweeps: int,
          omega: float) -> float:
    """Over-relaxation on the lattice in a box (z0, z1, y0, y1, x0, x1; y and x wrap), all outside held.

    face: permittivity between two regions [8, 8]; source: V times permittivity per mesh cell; share: of it on
    an open site. Returns the
    largest change of the unit potential at the box's edge in any sweep: what spills over.
    """
    shape = (box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2)
    weight = np.zeros((*shape, 7))
    unit, charge = np.empty(shape), np.empty(shape)
    _weights(sites, fields, face, source, share, factor, nz, ny, nx, box, weight, unit, charge)
    round_ = (box[3] - box[2] >= ny, box[5] - box[4] >= nx)
    spill = 0.0
    for sweep in range(sweeps):
        spill = max(spill, _sweep(weight, unit, charge, omega, sweep % 2 == 0, *round_))
    for a in range(1, shape[0] - 1):
        for b in range(1, shape[1] - 1):
            row = ((box[0] + a - 1) * ny + (box[2] + b - 1) % ny) * nx
            for c in range(1, shape[2] - 1):
                if weight[a, b, c, 0] > 0.0:
                    here = fields[row + (box[4] + c - 1) % nx]
                    here.unit, here.charge = unit[a, b, c], charge[a, b, c]
    return spill
