"""Compiled passes between the coarse field mesh and the lattice sites: coarsen, prolong, relax, screen."""

import math

import numpy as np

from .cache import njit
from .model import METAL_FACE
from .state import METAL


@njit
def coarsen(sites, fields, factor: int, nz: int, ny: int, nx: int, start, sheet, skipped: int, rough: int,
            fixed, unit, share):
    """Mark the mesh cells that hold metal or a sheet of carriers, with the mean unit potential there.

    start [nz/f]: first plane of a cell that is above the sheet or all below it: before it metal alone counts;
    sheet, fixed: uint8 [nz/f, ny/f, nx/f]; skipped: plane whose atoms do not hold their cell; rough: plane of
    cells from which on an electrode holds only those that are closed;
    unit: float64, same shape, written where fixed; share: float64, same shape, of a cell's charge on each of
    its open sites, over their shorter edge.
    """
    cz, cy, cx = fixed.shape
    for kz in range(cz):
        count, total = np.zeros((cy, cx), np.int64), np.zeros((cy, cx))
        closed, hold = np.zeros((cy, cx), np.int64), np.zeros((cy, cx), np.int64)
        for z in range(kz * factor, min(kz * factor + factor, nz)):
            for y in range(ny):
                ky, row = y // factor, (z * ny + y) * nx
                for kx in range(cx):
                    for i in range(row + kx * factor, row + min(kx * factor + factor, nx)):
                        metal = sites[i].cation >= METAL
                        if metal or z < start[kz] or sites[i].held:
                            closed[ky, kx] += 1
                        if metal and (z != skipped or sites[i].cation > METAL):
                            count[ky, kx] += 1
                            total[ky, kx] += fields[i].unit
                            hold[ky, kx] += kz < rough or sites[i].cation == METAL
        for ky in range(cy):
            for kx in range(cx):
                whole = count[ky, kx] > 0 and closed[ky, kx] == factor**3
                fixed[kz, ky, kx] = hold[ky, kx] > 0 or whole or sheet[kz, ky, kx] > 0
                share[kz, ky, kx] = factor / max(factor**3 - closed[ky, kx], 1)
                if fixed[kz, ky, kx]:
                    unit[kz, ky, kx] = total[ky, kx] / max(count[ky, kx], 1)


@njit
def _weight(i: int, factor: int, count: int) -> tuple[int, int, float]:
    """Cells below and above a site's middle along a periodic axis, and the weight of the upper one."""
    place = (i + 0.5) / factor - 0.5
    low = int(np.floor(place))
    return low % count, (low + 1) % count, place - low


@njit
def prolong(sites, fields, factor: int, nz: int, ny: int, nx: int, below, above, weight, unit, charge,
            with_charge: bool):
    """Trilinear values of the mesh at all sites whose potential is not given.

    below, above, weight [nz]: of each plane the cells on its two sides, and how much of the upper one it has.
    """
    cy, cx = unit.shape[1:]
    place, part = np.empty((nx, 2), np.int64), np.empty(nx)
    for x in range(nx):
        place[x, 0], place[x, 1], part[x] = _weight(x, factor, cx)
    first, second = np.empty(cx), np.empty(cx)
    for z in range(nz):
        z0, z1, wz = below[z], above[z], weight[z]
        for y in range(ny):
            y0, y1, wy = _weight(y, factor, cy)
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
def lay(sites, fields, source, share, factor: int, nz: int, ny: int, nx: int, start):
    """The charge of each cell on its open sites, all alike.

    start: as in `coarsen`; what is below has none.
    """
    for z in range(nz):
        kz = z // factor
        for y in range(ny):
            ky, i = y // factor, (z * ny + y) * nx
            for x in range(nx):
                open_ = z >= start[kz] and sites[i + x].cation < METAL
                charge = source[kz, ky, x // factor] * share[kz, ky, x // factor] if open_ else 0.0
                fields[i + x].source = charge


@njit
def _weights(sites, fields, face, nz: int, ny: int, nx: int, box, omega: float, weight, inverse, pair):
    """Take a box with its shell of one site out of the lattice, flat: [z, y, x] of `box` and two sites more.

    weight [n, 8]: omega times those of the six neighbours (which sum to one) and times what the charge in the
    site adds, and what screening leaves of the neighbours' charge potential; nothing where held.
    inverse [n]: what a charge in the site adds; pair [n, 2]: its unit and its charge potential.
    """
    deep, wide, long = box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2
    kind, free = np.empty(weight.shape[0], np.uint8), np.empty(weight.shape[0], np.bool_)
    k, one, row, plane = np.uint64(0), np.uint64(1), np.uint64(long), np.uint64(wide * long)
    for a in range(deep):
        for b in range(wide):
            start, x = ((box[0] + a - 1) * ny + (box[2] + b - 1) % ny) * nx, (box[4] - 1) % nx
            for _ in range(long):
                site, here = sites[start + x], fields[start + x]
                pair[k, 0], pair[k, 1], weight[k, 0], weight[k, 6] = here.unit, here.charge, 0.0, here.source
                kind[k] = METAL_FACE if site.cation >= METAL else site.region
                free[k] = site.cation < METAL and not site.held
                x, k = x + 1 if x < nx - 1 else 0, k + one
    for a in range(1, deep - 1):
        for b in range(1, wide - 1):
            k = np.uint64((a * wide + b) * long)
            for _ in range(1, long - 1):
                k += one
                if free[k]:
                    w, own = weight[k], face[kind[k]]
                    w[0], w[1], w[2] = own[kind[k - one]], own[kind[k + one]], own[kind[k - row]]
                    w[3], w[4], w[5] = own[kind[k + row]], own[kind[k - plane]], own[kind[k + plane]]
                    inverse[k] = 1.0 / (w[0] + w[1] + w[2] + w[3] + w[4] + w[5])
                    w[7] = 1.0
                    for d in range(7):
                        w[d] *= omega * inverse[k]


@njit(error_model="numpy")
def _sweep(weight, pair, shape, omega: float, upward: bool, round_y: bool, round_x: bool) -> float:
    """One pass over a box of `_weights`; returns the largest change of the unit potential at its edge.

    Where the box goes all round the window, its shell is its own other side, and follows at once. The values
    that each step has just found stay at hand for the next: through memory they would be waited for.
    """
    deep, wide, long = shape
    one, row, plane = np.uint64(1), np.uint64(long), np.uint64(wide * long)
    late, early = (0, 1) if upward else (1, 0)
    keep, spill = 1.0 - omega, 0.0
    for k in range(1, deep - 1):
        a = k if upward else deep - 1 - k
        for m in range(1, wide - 1):
            b = m if upward else wide - 1 - m
            edge = k == 1 or k == deep - 2 or m == 1 or m == wide - 2
            i = np.uint64((a * wide + b) * long + (1 if upward else long - 2))
            before = i - one if upward else i + one
            u, q = pair[before, 0], pair[before, 1]
            for n in range(1, long - 1):
                w, was, had = weight[i], pair[i, 0], pair[i, 1]
                ahead = i + one if upward else i - one
                if w[0] == 0.0:
                    u, q, i = was, had, ahead
                    continue
                most = (w[2] * pair[i - row, 0] + w[3] * pair[i + row, 0]) + (
                    w[4] * pair[i - plane, 0] + w[5] * pair[i + plane, 0])
                u = (most + (w[early] * pair[ahead, 0] + keep * was)) + w[late] * u
                most = (w[2] * pair[i - row, 1] + w[3] * pair[i + row, 1]) + (
                    w[4] * pair[i - plane, 1] + w[5] * pair[i + plane, 1])
                q = (w[7] * (most + w[early] * pair[ahead, 1]) + (w[6] + keep * had)) + w[7] * w[late] * q
                pair[i, 0], pair[i, 1] = u, q
                if edge or n == 1 or n == long - 2:
                    spill = max(spill, abs(u - was))
                    if round_y and (b == 1 or b == wide - 2):
                        other = i + (row * np.uint64(wide - 2)) if b == 1 else i - (row * np.uint64(wide - 2))
                        pair[other, 0], pair[other, 1] = u, q
                    if round_x and (n == 1 or n == long - 2):
                        other = i + np.uint64(long - 2) if (n == 1) == upward else i - np.uint64(long - 2)
                        pair[other, 0], pair[other, 1] = u, q
                i = ahead
    return spill


@njit
def relax(sites, fields, face, nz: int, ny: int, nx: int, box, sweeps: int, omega: float) -> float:
    """Over-relaxation on the lattice in a box (z0, z1, y0, y1, x0, x1; y and x wrap), all outside held.

    face: permittivity between two regions [8, 8]. Returns the largest change of the unit potential at the
    box's edge in any sweep: what spills over.
    """
    shape = (box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2)
    count, spill = shape[0] * shape[1] * shape[2], 0.0
    weight, inverse, pair = np.empty((count, 8)), np.empty(count), np.empty((count, 2))
    _weights(sites, fields, face, nz, ny, nx, box, omega, weight, inverse, pair)
    round_ = (box[3] - box[2] >= ny, box[5] - box[4] >= nx)
    for sweep in range(sweeps):
        spill = max(spill, _sweep(weight, pair, shape, omega, sweep % 2 == 0, *round_))
    _put(fields, ny, nx, box, weight, pair, shape)
    return spill


@njit
def _put(fields, ny: int, nx: int, box, weight, pair, shape):
    """Potentials of a box back on the lattice."""
    deep, wide, long = shape
    for a in range(1, deep - 1):
        for b in range(1, wide - 1):
            row = ((box[0] + a - 1) * ny + (box[2] + b - 1) % ny) * nx
            for c in range(1, long - 1):
                k = (a * wide + b) * long + c
                if weight[k, 0] > 0.0:
                    here = fields[row + (box[4] + c - 1) % nx]
                    here.unit, here.charge = pair[k, 0], pair[k, 1]


@njit
def _screening(sites, ions, share, factor: int, ny: int, nx: int, box, weight, most):
    """Sites of a box of `_weights` where vacancies may be: place in it, site, and what ions add there [n]."""
    deep, wide, long = box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2
    places, at = np.empty(weight.shape[0], np.int64), np.empty(weight.shape[0], np.int64)
    beside, count = np.empty(weight.shape[0]), 0
    for a in range(1, deep - 1):
        z = box[0] + a - 1
        for b in range(1, wide - 1):
            y = (box[2] + b - 1) % ny
            for c in range(1, long - 1):
                k, x = (a * wide + b) * long + c, (box[4] + c - 1) % nx
                i = (z * ny + y) * nx + x
                if weight[k, 0] > 0.0 and most[sites[i].region] > 0.0:
                    cell = (z // factor, y // factor, x // factor)
                    places[count], at[count], beside[count] = k, i, ions[cell] * share[cell]
                    count += 1
    return places[:count], at[:count], beside[:count]


@njit
def screened(sites, fields, face, ions, share, factor: int, nz: int, ny: int, nx: int, box, rounds: int,
             sweeps: int, omega: float, tangent: float, most, built_in, voltage: float, mu: float,
             thermal: float):
    """The same, with vacancies in equilibrium on each site for its share of a cell's, by Newton's method.

    most, built_in: vacancies of a site by region [8]; ions: of a cell; V times permittivity. mu and kT/e, V.
    A site that is too full counts on the slope down to where it is neutral: where it is full it has none.
    An exponential is asked for where the potential has left the last one's by `tangent` of kT/e; in between
    vacancies follow along the tangent there.
    """
    few, neutral = np.maximum(built_in, 0.01 * most), np.zeros(most.size)
    for here in range(most.size):
        if most[here] > few[here]:
            neutral[here] = math.log(most[here] / few[here] - 1.0)
    shape = (box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2)
    count = shape[0] * shape[1] * shape[2]
    weight, inverse, pair = np.empty((count, 8)), np.empty(count), np.empty((count, 2))
    _weights(sites, fields, face, nz, ny, nx, box, omega, weight, inverse, pair)
    round_ = (box[3] - box[2] >= ny, box[5] - box[4] >= nx)
    places, at, beside = _screening(sites, ions, share, factor, ny, nx, box, weight, most)
    told = np.full((places.size, 4), np.inf)  # potential, V; there: charge, how it falls, and Newton's slope
    for turn in range(rounds + 1):
        for n in range(places.size):
            k = places[n]
            w, now, felt = weight[k], told[n], voltage * pair[k, 0] + pair[k, 1]
            if abs(felt - now[0]) > tangent * thermal:
                here, energy = sites[at[n]].region, (felt - mu) / thermal
                part = 1.0 / (1.0 + math.exp(min(max(energy, -500.0), 500.0)))
                slope = most[here] * part * (1.0 - part) / thermal
                now[0], now[1], now[2] = felt, most[here] * part - built_in[here] + beside[n], slope
                above = (neutral[here] - energy) * thermal
                if above > 1e-3 * thermal:
                    slope = max(slope, (most[here] * part - few[here]) / above)
                now[3] = inverse[k] * slope
                w[7] = 1.0 / (1.0 + now[3])
            source = now[1] - now[2] * (felt - now[0])
            w[6] = omega * (inverse[k] * source + now[3] * pair[k, 1]) * w[7]
        for sweep in range(sweeps if turn < rounds else 0):
            _sweep(weight, pair, shape, omega, sweep % 2 == 0, *round_)
    for n in range(places.size):
        k = places[n]
        fields[at[n]].source = told[n, 1] - told[n, 2] * (voltage * pair[k, 0] + pair[k, 1] - told[n, 0])
    _put(fields, ny, nx, box, weight, pair, shape)
