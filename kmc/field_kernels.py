"""Compiled passes between the coarse field mesh and the lattice sites: coarsen, prolong, relax."""

import numpy as np

from .cache import njit
from .state import METAL


@njit
def coarsen(sites, fields, factor: int, nz: int, ny: int, nx: int, fixed, unit):
    """Mark the mesh cells that hold metal or a sheet of carriers, with the mean unit potential there.

    fixed: uint8 [nz/f, ny/f, nx/f]; unit: float64, same shape, written where fixed.
    """
    cz, cy, cx = fixed.shape
    for kz in range(cz):
        for ky in range(cy):
            for kx in range(cx):
                total, metal = 0.0, 0
                for z in range(kz * factor, min(kz * factor + factor, nz)):
                    for y in range(ky * factor, min(ky * factor + factor, ny)):
                        for x in range(kx * factor, min(kx * factor + factor, nx)):
                            i = (z * ny + y) * nx + x
                            if sites[i].cation >= METAL or sites[i].held:
                                total += fields[i].unit
                                metal += 1
                fixed[kz, ky, kx] = metal > 0
                if metal > 0:
                    unit[kz, ky, kx] = total / metal


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
    for z in range(nz):
        z0, z1, wz = _weight(z, factor, cz, False)
        for y in range(ny):
            y0, y1, wy = _weight(y, factor, cy, True)
            for x in range(nx):
                i = (z * ny + y) * nx + x
                if sites[i].cation >= METAL or sites[i].held:
                    continue
                x0, x1, wx = _weight(x, factor, cx, True)
                a, b, c, d = (1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx
                low = a * unit[z0, y0, x0] + b * unit[z0, y0, x1] + c * unit[z0, y1, x0]
                low += d * unit[z0, y1, x1]
                high = a * unit[z1, y0, x0] + b * unit[z1, y0, x1] + c * unit[z1, y1, x0]
                high += d * unit[z1, y1, x1]
                fields[i].unit = (1 - wz) * low + wz * high
                if with_charge:
                    low = a * charge[z0, y0, x0] + b * charge[z0, y0, x1] + c * charge[z0, y1, x0]
                    low += d * charge[z0, y1, x1]
                    high = a * charge[z1, y0, x0] + b * charge[z1, y0, x1] + c * charge[z1, y1, x0]
                    high += d * charge[z1, y1, x1]
                    fields[i].charge = (1 - wz) * low + wz * high


@njit
def relax(sites, fields, face, source, factor: int, nz: int, ny: int, nx: int, box, sweeps: int, omega: float
          ) -> float:
    """Gauss-Seidel on the lattice in a box (z0, z1, y0, y1, x0, x1; y and x wrap), all outside held.

    face: permittivity between two regions [8, 8]; source: V times permittivity per mesh cell. Returns the
    largest change of the unit potential on the box's outer shell in the last sweep but one: what spills over.
    """
    cy, cx = ny // factor, nx // factor
    share = 1.0 / factor**3
    spill = 0.0
    plane = ny * nx
    for sweep in range(sweeps):
        for a in range(box[1] - box[0]):
            z = box[0] + a if sweep % 2 == 0 else box[1] - 1 - a
            for b in range(box[3] - box[2]):
                y = (box[2] + b if sweep % 2 == 0 else box[3] - 1 - b) % ny
                row = z * plane + y * nx
                for c in range(box[5] - box[4]):
                    x = (box[4] + c if sweep % 2 == 0 else box[5] - 1 - c) % nx
                    i = row + x
                    if sites[i].cation >= METAL or sites[i].held:
                        continue
                    here = sites[i].region
                    total, unit = 0.0, 0.0
                    charge = source[z // factor, min(y // factor, cy - 1), min(x // factor, cx - 1)] * share
                    for d in range(6):
                        if d == 0:
                            j = i - 1 if x > 0 else i + nx - 1
                        elif d == 1:
                            j = i + 1 if x < nx - 1 else i - nx + 1
                        elif d == 2:
                            j = i - nx if y > 0 else i + plane - nx
                        elif d == 3:
                            j = i + nx if y < ny - 1 else i - plane + nx
                        elif d == 4:
                            j = i - plane
                        else:
                            j = i + plane
                        g = face[here, sites[j].region]
                        total += g
                        unit += g * fields[j].unit
                        charge += g * fields[j].charge
                    change = omega * (unit / total - fields[i].unit)
                    fields[i].unit += change
                    fields[i].charge += omega * (charge / total - fields[i].charge)
                    edge = a == 0 or b == 0 or c == 0 or a == box[1] - box[0] - 1 or b == box[3] - box[2] - 1
                    if edge or c == box[5] - box[4] - 1:
                        spill = max(spill, abs(change))
    return spill
