"""Compiled relaxation of the potential on the lattice in a box: metal held, vacancies held or following.

All neighbours of a site have the other colour of a chessboard, so sites of one colour are relaxed at once. A
box is kept colour by colour in single precision, and a pass goes over unbroken stretches of it, eight sites
at a time where the processor can. Over-relaxation grows from pass to pass as in Chebyshev's series (Golub &
Varga, Numer. Math. 3, 147 (1961)).
"""

import math
from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.system.neighbours import inlined
from kmc.system.parameter_tables import METAL_FACE
from kmc.system.state import METAL

STRETCH = 1024  # sites relaxed before any is written: what they take stays in the fastest cache
# Rows of a box's weights: of the neighbours along x (three places, of which a site has two), y and z, one in
# sum; what screening leaves of these for the charge potential; what its own charge adds; whether it is free.
X, Y, Z, SCREENED, ADDED, FREE = 0, 3, 5, 7, 8, 9


class Schedule(NamedTuple):
    """How a box is relaxed: rounds of so many sweeps, the last over-relaxation, and how far (in kT/e) a potential
    may leave its tangent before an exponential is computed again."""

    rounds: int
    sweeps: int
    omega: float
    tangent: float


class CellIons(NamedTuple):
    """Charge of the ions of each mesh cell of `factor` sites a side, and the share of it on each open site.

    ions, share: float64 [nz/f, ny/f, nx/f]; ions in V times permittivity.
    """

    factor: int
    ions: np.ndarray
    share: np.ndarray


class Screen(NamedTuple):
    """Vacancies in equilibrium: by region most and built in on a site (V times permittivity); V, mu, kT/e."""

    most: np.ndarray
    built_in: np.ndarray
    voltage_device: float
    mu: float
    thermal: float


@inlined
def _place(a: int, b: int, c: int, wide: int, half: int, count: int) -> np.int64:
    """Where the site at z, y, x of a box with its shell is kept."""
    return np.int64(np.uint64(((a + b + c) & 1) * count + (a * wide + b) * half + (c >> 1)))


@njit
def _shape(box) -> tuple[int, int, int, int, int]:
    """Sites along z, y and x of a box with its shell; those of one colour in a row, and in all of it."""
    deep, wide, long = box[1] - box[0] + 2, box[3] - box[2] + 2, box[5] - box[4] + 2
    half = (long + 1) // 2
    return deep, wide, long, half, deep * wide * half


@njit(error_model="numpy")
def _take(sites, fields, face, shape, box):
    """A box with its shell of one site out of the lattice: [z, y, x] of `box` and two sites more.

    First all of one colour, then the other; within them rows along x, of which each has every second site.
    Returns weights [10, n], nothing where held; what a charge in the site adds [n]; potentials [2, n].
    """
    _, ny, nx = shape
    deep, wide, long, half, count = _shape(box)
    k = np.uint64(0)
    kind, free = np.empty(deep * wide * long, np.uint8), np.empty(deep * wide * long, np.bool_)
    weight, pair = np.zeros((10, 2 * count), np.float32), np.zeros((2, 2 * count), np.float32)
    source, adds = np.zeros(2 * count, np.float32), np.zeros(2 * count, np.float32)
    for a in range(deep):
        for b in range(wide):
            start, x = ((box[0] + a - 1) * ny + (box[2] + b - 1) % ny) * nx, (box[4] - 1) % nx
            for c in range(long):
                site, here = sites[start + x], fields[start + x]
                i = _place(a, b, c, wide, half, count)
                pair[0, i], pair[1, i], source[i] = here.unit, here.space_potential, here.source
                kind[k] = METAL_FACE if site.cation >= METAL else site.region
                free[k] = site.cation < METAL and not site.held
                x, k = x + 1 if x < nx - 1 else 0, k + np.uint64(1)
    one, row, plane = np.uint64(1), np.uint64(long), np.uint64(wide * long)
    for a in range(1, deep - 1):
        for b in range(1, wide - 1):
            k = np.uint64((a * wide + b) * long)
            for c in range(1, long - 1):
                k += one
                if free[k]:
                    i, own = _place(a, b, c, wide, half, count), face[kind[k]]
                    left, right, front = own[kind[k - one]], own[kind[k + one]], own[kind[k - row]]
                    back, below, above = own[kind[k + row]], own[kind[k - plane]], own[kind[k + plane]]
                    part = 1.0 / (left + right + front + back + below + above)
                    weight[X + (c & 1), i], weight[X + 1 + (c & 1), i] = part * left, part * right
                    weight[Y, i], weight[Y + 1, i] = part * front, part * back
                    weight[Z, i], weight[Z + 1, i] = part * below, part * above
                    weight[ADDED, i], adds[i] = part * source[i], part
                    weight[SCREENED, i] = weight[FREE, i] = 1.0
    return weight, adds, pair


@njit(error_model="numpy")
def _stretch(weight, pair, i: int, j: int, n: int, steps, omega, fresh):
    """Relax n sites from i on, whose neighbours are around j; steps: to the next row and plane; fresh [2, n]: room."""
    row, plane = steps
    left, middle, right = weight[X, i : i + n], weight[X + 1, i : i + n], weight[X + 2, i : i + n]
    front, back = weight[Y, i : i + n], weight[Y + 1, i : i + n]
    below, above = weight[Z, i : i + n], weight[Z + 1, i : i + n]
    screened, added, free = weight[SCREENED, i : i + n], weight[ADDED, i : i + n], weight[FREE, i : i + n]
    u, q, own, had = pair[0], pair[1], pair[0, i : i + n], pair[1, i : i + n]
    ul, um, ur = u[j - 1 : j - 1 + n], u[j : j + n], u[j + 1 : j + 1 + n]
    ql, qm, qr = q[j - 1 : j - 1 + n], q[j : j + n], q[j + 1 : j + 1 + n]
    uf, ub = u[j - row : j - row + n], u[j + row : j + row + n]
    qf, qb = q[j - row : j - row + n], q[j + row : j + row + n]
    ud, uu = u[j - plane : j - plane + n], u[j + plane : j + plane + n]
    qd, qu = q[j - plane : j - plane + n], q[j + plane : j + plane + n]
    unit, space_potential = fresh[0], fresh[1]
    for k in range(n):
        most = (left[k] * ul[k] + middle[k] * um[k]) + (right[k] * ur[k] + front[k] * uf[k])
        most += (back[k] * ub[k] + below[k] * ud[k]) + above[k] * uu[k]
        unit[k] = own[k] + omega * (most - free[k] * own[k])
        most = (left[k] * ql[k] + middle[k] * qm[k]) + (right[k] * qr[k] + front[k] * qf[k])
        most += (back[k] * qb[k] + below[k] * qd[k]) + above[k] * qu[k]
        space_potential[k] = had[k] + omega * ((screened[k] * most + added[k]) - free[k] * had[k])
    for k in range(n):
        own[k], had[k] = unit[k], space_potential[k]


@njit
def _wrap(pair, box, round_y: bool, round_x: bool):
    """The shell of a box that goes all round the window is its own other side, which has the same colours."""
    deep, wide, long, half, count = _shape(box)
    for a in range(1, deep - 1):
        for colour in range(2 if round_y else 0):
            first = colour * count + a * wide * half
            last = first + (wide - 1) * half
            for part in range(2):
                for j in range(half):
                    pair[part, first + j] = pair[part, last - half + j]
                    pair[part, last + j] = pair[part, first + half + j]
        for b in range(wide if round_x else 0):
            first, second = _place(a, b, 0, wide, half, count), _place(a, b, 1, wide, half, count)
            inner = _place(a, b, long - 2, wide, half, count)
            last = _place(a, b, long - 1, wide, half, count)
            for part in range(2):
                pair[part, first], pair[part, last] = pair[part, inner], pair[part, second]


@njit(error_model="numpy")
def _sweep(weight, pair, box, ny: int, nx: int, sweeps: int, omega: float, bend: float) -> float:
    """Relax both colours `sweeps` times, with Chebyshev acceleration from `omega` on; returns the next `omega`.

    bend: square of the spectral radius of the Jacobi iteration.
    """
    _, wide, _, half, count = _shape(box)
    plane = wide * half
    round_y, round_x = box[3] - box[2] >= ny, box[5] - box[4] >= nx
    fresh = np.empty((2, STRETCH), np.float32)
    for colour in range(2 * sweeps):
        own, other = colour % 2 * count, (colour + 1) % 2 * count
        for a in range(plane, count - plane, STRETCH):
            n = min(STRETCH, count - plane - a)
            _stretch(weight, pair, own + a, other + a, n, (half, plane), np.float32(omega), fresh)
        if round_y or round_x:
            _wrap(pair, box, round_y, round_x)
        before = omega if omega != 1.0 else 2.0  # the second half sweep has omega = 1 / (1 - bend / 2)
        omega = 1.0 / (1.0 - 0.25 * bend * before)
    return omega


@njit
def _bend(omega: float) -> float:
    """Square of the Jacobi spectral radius for which the over-relaxation `omega` is optimal."""
    return 4.0 * (omega - 1.0) / omega**2


@njit
def relax(sites, fields, face, shape, box, sweeps: int, omega: float) -> float:
    """Over-relaxation on the lattice in a box (z0, z1, y0, y1, x0, x1; y and x wrap), all outside held.

    shape: (nz, ny, nx) of the lattice; ny, nx: even, for else the colours do not match where a box goes all round.
    face: permittivity between two regions [8, 8]; omega: the last over-relaxation of many sweeps. Returns the
    largest change of the unit potential at the box's edge: what spills over.
    """
    _, ny, nx = shape
    weight, _, pair = _take(sites, fields, face, shape, box)
    _sweep(weight, pair, box, ny, nx, sweeps, 1.0, _bend(omega))
    return _put(fields, ny, nx, box, weight, pair)


@njit(error_model="numpy")
def _put(fields, ny: int, nx: int, box, weight, pair) -> float:
    """Potentials of a box back on the lattice; returns the largest change of the unit's at its edge."""
    deep, wide, long, half, count = _shape(box)
    spill = 0.0
    for a in range(1, deep - 1):
        for b in range(1, wide - 1):
            row = ((box[0] + a - 1) * ny + (box[2] + b - 1) % ny) * nx
            edge = a == 1 or a == deep - 2 or b == 1 or b == wide - 2
            for c in range(1, long - 1):
                i = _place(a, b, c, wide, half, count)
                if weight[FREE, i] > 0.0:
                    here = fields[row + (box[4] + c - 1) % nx]
                    if edge or c == 1 or c == long - 2:
                        spill = max(spill, abs(pair[0, i] - here.unit))
                    here.unit, here.space_potential = pair[0, i], pair[1, i]
    return spill


@njit
def _screening(sites, cells, shape, box, weight, most):
    """Sites of a box where vacancies may be: place in its weights, site, and what ions add there [n]."""
    _, ny, nx = shape
    factor, ions, share = cells
    deep, wide, long, half, count = _shape(box)
    n = 0
    places, at = np.empty(weight.shape[1], np.int64), np.empty(weight.shape[1], np.int64)
    beside = np.empty(weight.shape[1])
    for a in range(1, deep - 1):
        z = box[0] + a - 1
        for b in range(1, wide - 1):
            y = (box[2] + b - 1) % ny
            for c in range(1, long - 1):
                i, x = _place(a, b, c, wide, half, count), (box[4] + c - 1) % nx
                site = (z * ny + y) * nx + x
                if weight[FREE, i] > 0.0 and most[sites[site].region] > 0.0:
                    cell = (z // factor, y // factor, x // factor)
                    places[n], at[n], beside[n] = i, site, ions[cell] * share[cell]
                    n += 1
    return places[:n], at[:n], beside[:n]


@njit(error_model="numpy")
def screened(sites, fields, face, shape, box, schedule, cells, vacancies) -> None:
    """As `relax`, with vacancies in equilibrium on each site for its share of a cell's, by Newton's method.

    A site that is too full counts on the slope down to where it is neutral: where it is full it has none.
    An exponential is asked for where the potential has left the last one's by `schedule.tangent` of kT/e; in between
    vacancies follow along the tangent there.
    """
    rounds, sweeps, omega, tangent = schedule
    most, built_in, voltage_device, mu, thermal = vacancies
    _, ny, nx = shape
    few, neutral = np.maximum(built_in, 0.01 * most), np.zeros(most.size)
    for here in range(most.size):
        if most[here] > few[here]:
            neutral[here] = math.log(most[here] / few[here] - 1.0)
    weight, adds, pair = _take(sites, fields, face, shape, box)
    places, at, beside = _screening(sites, cells, shape, box, weight, most)
    told = np.full((places.size, 4), np.inf)  # potential, V; there: charge, how it falls, and Newton's slope
    unit, space_potential, screening, added = pair[0], pair[1], weight[SCREENED], weight[ADDED]
    bend, omega, voltage_device = _bend(omega), 1.0, np.float64(voltage_device)
    for turn in range(rounds + 1):
        for n in range(places.size):
            k, now = np.uint64(places[n]), told[n]
            felt = voltage_device * unit[k] + space_potential[k]
            if abs(felt - now[0]) > tangent * thermal:
                here, energy = sites[at[n]].region, (felt - mu) / thermal
                part = 1.0 / (1.0 + math.exp(min(max(energy, -500.0), 500.0)))
                slope = most[here] * part * (1.0 - part) / thermal
                now[0], now[1], now[2] = felt, most[here] * part - built_in[here] + beside[n], slope
                above = (neutral[here] - energy) * thermal
                if above > 1e-3 * thermal:
                    slope = max(slope, (most[here] * part - few[here]) / above)
                now[3] = adds[k] * slope
                screening[k] = 1.0 / (1.0 + now[3])
            source = now[1] - now[2] * (felt - now[0])
            added[k] = (adds[k] * source + now[3] * space_potential[k]) * screening[k]
        if turn < rounds:
            omega = _sweep(weight, pair, box, ny, nx, sweeps, omega, bend)
    for n in range(places.size):
        felt = voltage_device * unit[places[n]] + space_potential[places[n]]
        fields[at[n]].source = told[n, 1] - told[n, 2] * (felt - told[n, 0])
    _put(fields, ny, nx, box, weight, pair)
