"""Passes over the finest mesh: Gauss-Seidel, residual with energy, and conjugate gradients around a cycle.

Vectors are flat float64 [z, y, x]. What a line of cells along x gets from its four neighbouring lines is
summed first (vectorised), then the line is worked on. gz is 0 beyond both ends of z, so there a line stands
in for its missing neighbour.
"""

from typing import NamedTuple

import numpy as np

from kmc.solvers.multigrid.cycle import cycle, prolong, restrict
from kmc.solvers.multigrid.hierarchy import inlined, inner, kernel


class Cells(NamedTuple):
    """The finest mesh, of nz, ny, nx cells, flat, as in `Meshes`.

    gz float64 [cells + plane], gy, gx [cells]: conductances of the faces; sink, inverse [cells]; row float64
    [2 nx]: scratch.
    """

    gz: np.ndarray
    gy: np.ndarray
    gx: np.ndarray
    sink: np.ndarray
    inverse: np.ndarray
    row: np.ndarray
    nz: int
    ny: int
    nx: int


@inlined
def _cells(m):
    """The finest of all meshes."""
    nz, ny, nx = m.shape[0]
    return Cells(m.gz, m.gy, m.gx, m.sink, m.inverse, m.row, nz, ny, nx)


@inlined
def _neighbours(k, nz, ny, nx):
    """Places of the first cells of line k and of the lines below, above, before and behind it."""
    plane, y = ny * nx, k % ny
    a = k * nx
    below, above = (a - plane if k >= ny else a), (a + plane if k < nz * ny - ny else a)
    before, behind = (a - nx if y > 0 else a + plane - nx), (a + nx if y < ny - 1 else a + nx - plane)
    return a, below, above, before, behind


@inlined
def _from_neighbours(cells, b, u, k):
    """Write b + conductance times u of the lines beside line k into the scratch row."""
    gz, gy, t, nx = cells.gz, cells.gy, cells.row, cells.nx
    a, below, above, before, behind = _neighbours(k, cells.nz, cells.ny, nx)
    e, plane = a + nx, cells.ny * nx
    br, ul, uh = b[a:e], u[below : below + nx], u[above : above + nx]
    vl, vh = u[before : before + nx], u[behind : behind + nx]
    gl, gh, hl, hh = gz[a:e], gz[a + plane : e + plane], gy[before : before + nx], gy[a:e]
    for x in range(nx):
        t[x] = br[x] + gl[x] * ul[x] + gh[x] * uh[x] + hl[x] * vl[x] + hh[x] * vh[x]


@inlined
def _relax_every_other(t, u, g, inverse, first, nx):
    """Gauss-Seidel on every other cell of a line: none waits for the one before."""
    last = nx - 1
    if first == 0 and inverse[0] > 0.0:
        u[0] = (t[0] + g[last] * u[last] + g[0] * u[min(1, last)]) * inverse[0]
    for x in range(2 - first, last, 2):
        v = (t[x] + g[x] * u[x + 1] + g[x - 1] * u[x - 1]) * inverse[x]
        u[x] = v if inverse[x] > 0.0 else u[x]
    if last % 2 == first and last > 0 and inverse[last] > 0.0:
        u[last] = (t[last] + g[last] * u[0] + g[last - 1] * u[last - 1]) * inverse[last]


@inner
def _sweep(cells, b, u, reverse):
    """Gauss-Seidel over all lines of cells, see `sweep`."""
    nx, lines, t, gx, inverse = cells.nx, cells.nz * cells.ny, cells.row, cells.gx, cells.inverse
    for q in range(lines):
        k = lines - 1 - q if reverse else q
        _from_neighbours(cells, b, u, k)
        a, f = k * nx, (k + 1) * nx
        _relax_every_other(t, u[a:f], gx[a:f], inverse[a:f], 1 if reverse else 0, nx)
        _relax_every_other(t, u[a:f], gx[a:f], inverse[a:f], 0 if reverse else 1, nx)


@inner
def sweep(m, b, u, reverse):
    """One Gauss-Seidel sweep, line after line, or its transpose; held cells keep their u."""
    _sweep(_cells(m), b, u, reverse)


@inner
def _defect(cells, b, u, r):
    """Residual and energy, see `defect`. Sums go along lines, cell by cell, so that they are vectorised."""
    gz, gy, gx, sink, inverse = cells.gz, cells.gy, cells.gx, cells.sink, cells.inverse
    nz, ny, nx = cells.nz, cells.ny, cells.nx
    plane, last, e, w = ny * nx, nx - 1, cells.row[:nx], cells.row[nx : 2 * nx]
    for x in range(nx):
        e[x], w[x] = 0.0, 0.0
    for k in range(nz * ny):
        a, below, above, before, behind = _neighbours(k, nz, ny, nx)
        f = a + nx
        ur, br, dr, ir, gr, t = u[a:f], b[a:f], sink[a:f], inverse[a:f], gx[a:f], r[a:f]
        ul, uh = u[below : below + nx], u[above : above + nx]
        vl, vh = u[before : before + nx], u[behind : behind + nx]
        gl, gh, hl, hh = gz[a:f], gz[a + plane : f + plane], gy[before : before + nx], gy[a:f]
        for x in range(nx):
            c = ur[x]
            up, side = uh[x] - c, vh[x] - c
            e[x] += gh[x] * up * up + hh[x] * side * side + dr[x] * c * c
            t[x] = br[x] - dr[x] * c + gl[x] * (ul[x] - c) + hl[x] * (vl[x] - c) + gh[x] * up + hh[x] * side
        for x in range(last):
            d = ur[x + 1] - ur[x]
            e[x] += gr[x] * d * d
            t[x] += gr[x] * d
        for x in range(last):
            t[x + 1] -= gr[x] * (ur[x + 1] - ur[x])
        d = ur[0] - ur[last]
        e[last] += gr[last] * d * d
        t[last] += gr[last] * d
        t[0] -= gr[last] * d
        for x in range(nx):
            t[x] = t[x] if ir[x] > 0.0 else 0.0
            w[x] += t[x] * t[x] * ir[x]
    total, rough = 0.0, 0.0
    for x in range(nx):
        total += e[x]
        rough += w[x]
    return total, rough


@inner
def defect(m, b, u, r):
    """r = b - A u with u's values on held cells, 0 there.

    Returns the energy of u, sum over faces of g (u_i - u_j)^2 + sum of sink u^2, and sum of r^2 / diagonal.
    Faces between two held cells have no g here.
    """
    return _defect(_cells(m), b, u, r)


@kernel
def residual(m, b, u, r):
    """`defect`, for calls from Python."""
    return defect(m, b, u, r)


@inlined
def _harmonic(a, b, spacing):
    return 2.0 * a * b / (a + b) * spacing if a + b > 0.0 else 0.0


@kernel
def harmonic_near(gz, gy, gx, c, box, spacing):
    """Harmonic conductances of the faces of a box of cells (y, x may wrap) from coefficients c [z, y, x]."""
    nz, ny, nx = c.shape
    for z in range(max(box[0] - 1, 0), box[1]):
        for yy in range(box[2] - 1, box[3]):
            for xx in range(box[4] - 1, box[5]):
                y, x = yy % ny, xx % nx
                gy[z, y, x] = _harmonic(c[z, y, x], c[z, (y + 1) % ny, x], spacing)
                gx[z, y, x] = _harmonic(c[z, y, x], c[z, y, (x + 1) % nx], spacing)
                if z < nz - 1:
                    gz[z, y, x] = _harmonic(c[z, y, x], c[z + 1, y, x], spacing)


@inner
def precondition(m, sweeps):
    """z = m.u of the cells, about A^-1 of the residual in m.b: a V-cycle with `sweeps` on coarse meshes."""
    n = m.node[1]
    r, z, rest = m.b[:n], m.u[:n], m.q
    z[:] = 0.0
    sweep(m, r, z, False)
    defect(m, r, z, rest)
    restrict(m, np.int64(0), rest)
    cycle(m, np.int64(1), sweeps)
    prolong(m, np.int64(0))
    sweep(m, r, z, True)


@kernel
def conjugate_gradients(m, b, u, eta, limit, sweeps):
    """Solve from the start u: (iterations or -1, energy of u). See `Hierarchy.solve`."""
    n = m.node[1]
    r, z, p, q = m.b[:n], m.u[:n], m.p, m.q
    energy = defect(m, b, u, r)[0]
    before, largest, rounding = 1.0, 0.0, 0.0
    for i in range(n):
        largest = max(largest, abs(u[i]))
        rounding += 1e-30 / m.inverse[i] if m.inverse[i] > 0.0 else 0.0
    rounding *= largest * largest
    p[:] = 0.0
    for k in range(limit + 1):
        precondition(m, sweeps)
        rz = 0.0
        for i in range(n):
            rz += r[i] * z[i]
        if rz <= max(eta * eta * energy, rounding):
            energy = defect(m, b, u, q)[0]  # what was counted along the way has rounding
            if rz <= max(eta * eta * energy, rounding):
                return k, energy
        if k == limit:
            break
        beta = rz / before if k > 0 else 0.0
        work = 0.0
        for i in range(n):
            p[i] = z[i] + beta * p[i]
            work += p[i] * b[i]
        alpha = rz / defect(m, m.zero, p, q)[0]  # q is -A p, and the energy of p is p . A p
        for i in range(n):
            u[i] += alpha * p[i]
            r[i] += alpha * q[i]
        energy += alpha * (2.0 * work - rz)
        before = rz
    return -1, defect(m, b, u, q)[0]
