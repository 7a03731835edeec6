"""Jitted kernels of the multigrid solver: coarsening, smoothing, transfer, conjugate gradients.

Arrays are float64 [z, y, x]; gz[z] joins planes z and z + 1 (the last plane is zero), gy and gx join a cell to the
next one in y and x, the last to the first. `free` is 1 where the unknown moves and 0 where it is held.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def diagonal(gz, gy, gx, d, free, inverse, box):
    """Fill inverse[z, y, x] = 1 / (sum of face conductances + d), 0 where held, in box (z0, z1, y0, y1, x0, x1)."""
    nz, ny, nx = d.shape
    for z in range(box[0], box[1]):
        for yy in range(box[2], box[3]):
            y = yy % ny
            yl = y - 1 if y > 0 else ny - 1
            for xx in range(box[4], box[5]):
                x = xx % nx
                xl = x - 1 if x > 0 else nx - 1
                s = gz[z, y, x] + gy[z, y, x] + gy[z, yl, x] + gx[z, y, x] + gx[z, y, xl] + d[z, y, x]
                if z > 0:
                    s += gz[z - 1, y, x]
                inverse[z, y, x] = 1.0 / s if (free[z, y, x] and s > 0.0) else 0.0


@njit(cache=True)
def _offdiagonal(gz, gy, gx, u, z, y, x):
    """Sum over the six faces of g times the neighbour's u."""
    nz, ny, nx = u.shape
    yl = y - 1 if y > 0 else ny - 1
    yh = y + 1 if y < ny - 1 else 0
    xl = x - 1 if x > 0 else nx - 1
    xh = x + 1 if x < nx - 1 else 0
    s = gy[z, y, x] * u[z, yh, x] + gy[z, yl, x] * u[z, yl, x] + gx[z, y, x] * u[z, y, xh] + gx[z, y, xl] * u[z, y, xl]
    if z > 0:
        s += gz[z - 1, y, x] * u[z - 1, y, x]
    if z < nz - 1:
        s += gz[z, y, x] * u[z + 1, y, x]
    return s


@njit(cache=True)
def forward(gz, gy, gx, inverse, b, u):
    """One Gauss-Seidel sweep in rising order."""
    nz, ny, nx = u.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                u[z, y, x] = (b[z, y, x] + _offdiagonal(gz, gy, gx, u, z, y, x)) * inverse[z, y, x]


@njit(cache=True)
def backward(gz, gy, gx, inverse, b, u):
    """One Gauss-Seidel sweep in falling order, the transpose of `forward`."""
    nz, ny, nx = u.shape
    for z in range(nz - 1, -1, -1):
        for y in range(ny - 1, -1, -1):
            for x in range(nx - 1, -1, -1):
                u[z, y, x] = (b[z, y, x] + _offdiagonal(gz, gy, gx, u, z, y, x)) * inverse[z, y, x]


@njit(cache=True)
def residual(gz, gy, gx, inverse, b, u, r):
    """r = b - A u on the moving cells, 0 on the held ones."""
    nz, ny, nx = u.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                c = inverse[z, y, x]
                if c > 0.0:
                    r[z, y, x] = b[z, y, x] + _offdiagonal(gz, gy, gx, u, z, y, x) - u[z, y, x] / c
                else:
                    r[z, y, x] = 0.0


@njit(cache=True)
def _link(g, inside_low, inside_high, free_low, free_high):
    """Conductance between block centres across a face g; inside_*: the face behind it in its own block (0: none)."""
    if g <= 0.0:
        return 0.0
    r = 1.0 / g
    if free_low and inside_low > 0.0:
        r += 0.5 / inside_low
    if free_high and inside_high > 0.0:
        r += 0.5 / inside_high
    return 1.0 / r


@njit(cache=True)
def _coarsen_axis(gf, free, axis, gc, dc, box):
    """Series coupling of coarse blocks along one axis, held cells as sinks in dc; box in coarse cells."""
    shape = free.shape
    n, m = shape[axis], gc.shape[axis]
    halves = (2 if gc.shape[0] < shape[0] else 1, 2 if gc.shape[1] < shape[1] else 1, 2 if gc.shape[2] < shape[2] else 1)
    two = halves[axis] == 2
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            for x in range(box[4], box[5]):
                here = (z, y, x)
                total = 0.0
                sink = 0.0
                for k in range(4):
                    # the k-th column of the block along `axis`
                    z0, y0, x0 = z * halves[0], y * halves[1], x * halves[2]
                    if axis == 0:
                        y0 += k >> 1
                        x0 += k & 1
                        if (k >> 1) >= halves[1] or (k & 1) >= halves[2]:
                            continue
                    elif axis == 1:
                        z0 += k >> 1
                        x0 += k & 1
                        if (k >> 1) >= halves[0] or (k & 1) >= halves[2]:
                            continue
                    else:
                        z0 += k >> 1
                        y0 += k & 1
                        if (k >> 1) >= halves[0] or (k & 1) >= halves[1]:
                            continue
                    if z0 >= shape[0] or y0 >= shape[1] or x0 >= shape[2]:
                        continue
                    first = here[axis] * halves[axis]
                    last = min(first + halves[axis] - 1, n - 1)
                    t, s = _column(gf, free, axis, z0, y0, x0, first, last, n, two)
                    if m > 1:
                        total += t
                    sink += s
                gc[z, y, x] = total
                dc[z, y, x] += sink


@njit(cache=True)
def _at(a, axis, z, y, x, i):
    if axis == 0:
        return a[i, y, x]
    if axis == 1:
        return a[z, i, x]
    return a[z, y, i]


@njit(cache=True)
def _inside(gf, free, axis, z, y, x, first, n, two):
    """The face inside the block that starts at `first`, 0 where it has one cell or one of its two is held."""
    if not two or first + 1 >= n:
        return 0.0
    if _at(free, axis, z, y, x, first) and _at(free, axis, z, y, x, first + 1):
        return _at(gf, axis, z, y, x, first)
    return 0.0


@njit(cache=True)
def _column(gf, free, axis, z, y, x, first, last, n, two):
    """(coupling to the next block, sinks to held cells) of one column of fine cells."""
    mine = _inside(gf, free, axis, z, y, x, first, n, two)
    f_first = _at(free, axis, z, y, x, first)
    f_last = _at(free, axis, z, y, x, last)
    sink = 0.0
    if last > first and f_first != f_last:
        sink += _at(gf, axis, z, y, x, first)
    coupling = 0.0
    after = last + 1
    if after < n or axis > 0:
        after = after % n
        g = _at(gf, axis, z, y, x, last)
        f_after = _at(free, axis, z, y, x, after)
        if f_last and f_after:
            coupling = _link(g, mine, _inside(gf, free, axis, z, y, x, after, n, two), True, True)
        elif f_last:
            sink += _link(g, mine, 0.0, True, False)
    before = first - 1
    if before >= 0 or axis > 0:
        before = before % n
        if f_first and not _at(free, axis, z, y, x, before):
            sink += _link(_at(gf, axis, z, y, x, before), mine, 0.0, True, False)
    return coupling, sink


@njit(cache=True)
def _coarsen_cells(d, free, dc, free_c, box):
    """Sum d over the moving cells of each block; a block moves where one of its cells does."""
    nz, ny, nx = d.shape
    hz = 2 if dc.shape[0] < nz else 1
    hy = 2 if dc.shape[1] < ny else 1
    hx = 2 if dc.shape[2] < nx else 1
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            for x in range(box[4], box[5]):
                s = 0.0
                f = 0
                for a in range(z * hz, min(z * hz + hz, nz)):
                    for b in range(y * hy, min(y * hy + hy, ny)):
                        for c in range(x * hx, min(x * hx + hx, nx)):
                            if free[a, b, c]:
                                f = 1
                                s += d[a, b, c]
                dc[z, y, x] = s
                free_c[z, y, x] = f


@njit(cache=True)
def coarsen(gz, gy, gx, d, free, gzc, gyc, gxc, dc, free_c, box):
    """Coefficients of the next level in a box (z0, z1, y0, y1, x0, x1) of its cells."""
    _coarsen_cells(d, free, dc, free_c, box)
    _coarsen_axis(gz, free, 0, gzc, dc, box)
    _coarsen_axis(gy, free, 1, gyc, dc, box)
    _coarsen_axis(gx, free, 2, gxc, dc, box)


@njit(cache=True)
def restrict(r, bc):
    """Sum the residual over each block."""
    nz, ny, nx = r.shape
    hz = 2 if bc.shape[0] < nz else 1
    hy = 2 if bc.shape[1] < ny else 1
    hx = 2 if bc.shape[2] < nx else 1
    bc[:] = 0.0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                bc[z // hz, y // hy, x // hx] += r[z, y, x]


@njit(cache=True)
def prolong(uc, inverse, u):
    """Add each block's correction to its moving cells."""
    nz, ny, nx = u.shape
    hz = 2 if uc.shape[0] < nz else 1
    hy = 2 if uc.shape[1] < ny else 1
    hx = 2 if uc.shape[2] < nx else 1
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if inverse[z, y, x] > 0.0:
                    u[z, y, x] += uc[z // hz, y // hy, x // hx]


@njit(cache=True)
def chain(gz, inverse, b, u):
    """Solve the last level, one cell in y and x, exactly (Thomas); held cells stay 0."""
    n = u.shape[0]
    c = np.zeros(n)
    for z in range(n):
        u[z, 0, 0] = 0.0
        if inverse[z, 0, 0] > 0.0:
            low = gz[z - 1, 0, 0] if z > 0 else 0.0
            pivot = 1.0 / inverse[z, 0, 0] - (low * c[z - 1] if z > 0 else 0.0)
            before = low * u[z - 1, 0, 0] if z > 0 else 0.0
            if pivot > 1e-14 / inverse[z, 0, 0]:
                c[z] = gz[z, 0, 0] / pivot
                u[z, 0, 0] = (b[z, 0, 0] + before) / pivot
    for z in range(n - 2, -1, -1):
        u[z, 0, 0] += c[z] * u[z + 1, 0, 0]


@njit(cache=True)
def dot(a, b):
    """Sum of products in index order."""
    s = 0.0
    x, y = a.ravel(), b.ravel()
    for i in range(x.size):
        s += x[i] * y[i]
    return s


@njit(cache=True)
def energy(gz, gy, gx, d, u):
    """sum_faces g (u_i - u_j)^2 + sum d u^2: the power, or conductance for electrodes at 0 and 1."""
    nz, ny, nx = u.shape
    total = 0.0
    for z in range(nz):
        for y in range(ny):
            yh = y + 1 if y < ny - 1 else 0
            s = 0.0
            for x in range(nx):
                xh = x + 1 if x < nx - 1 else 0
                c = u[z, y, x]
                s += gx[z, y, x] * (u[z, y, xh] - c) ** 2 + gy[z, y, x] * (u[z, yh, x] - c) ** 2 + d[z, y, x] * c * c
                if z < nz - 1:
                    s += gz[z, y, x] * (u[z + 1, y, x] - c) ** 2
            total += s
    return total


@njit(cache=True)
def apply(gz, gy, gx, inverse, u, out):
    """out = A u with u zero on held cells, returns u . A u."""
    nz, ny, nx = u.shape
    total = 0.0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                c = inverse[z, y, x]
                if c > 0.0:
                    v = u[z, y, x] / c - _offdiagonal(gz, gy, gx, u, z, y, x)
                    out[z, y, x] = v
                    total += v * u[z, y, x]
                else:
                    out[z, y, x] = 0.0
    return total


@njit(cache=True)
def step(u, r, p, ap, alpha):
    """u += alpha p; r -= alpha ap."""
    uu, rr, pp, aa = u.ravel(), r.ravel(), p.ravel(), ap.ravel()
    for i in range(uu.size):
        uu[i] += alpha * pp[i]
        rr[i] -= alpha * aa[i]


@njit(cache=True)
def direction(p, z, beta):
    """p = z + beta p."""
    pp, zz = p.ravel(), z.ravel()
    for i in range(pp.size):
        pp[i] = zz[i] + beta * pp[i]


@njit(cache=True)
def solve_local(gz, gy, gx, d, fixed, box, u, b, sweeps, omega=1.0):
    """Relax u in a box (z0, z1, y0, y1, x0, x1; y and x may wrap), everything outside held.

    Symmetric pairs of Gauss-Seidel sweeps (up, then down) with over-relaxation omega; about 5 ns a cell and sweep.
    """
    nz, ny, nx = u.shape
    for k in range(sweeps):
        for a in range(box[1] - box[0]):
            z = box[0] + a if k % 2 == 0 else box[1] - 1 - a
            for e in range(box[3] - box[2]):
                y = (box[2] + e if k % 2 == 0 else box[3] - 1 - e) % ny
                yl = y - 1 if y > 0 else ny - 1
                for f in range(box[5] - box[4]):
                    x = (box[4] + f if k % 2 == 0 else box[5] - 1 - f) % nx
                    if fixed[z, y, x]:
                        continue
                    xl = x - 1 if x > 0 else nx - 1
                    s = gy[z, y, x] + gy[z, yl, x] + gx[z, y, x] + gx[z, y, xl] + d[z, y, x]
                    if z > 0:
                        s += gz[z - 1, y, x]
                    if z < nz - 1:
                        s += gz[z, y, x]
                    if s > 0.0:
                        new = (b[z, y, x] + _offdiagonal(gz, gy, gx, u, z, y, x)) / s
                        u[z, y, x] += omega * (new - u[z, y, x])
