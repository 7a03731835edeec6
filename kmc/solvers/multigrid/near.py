"""Following one local change: conjugate gradients on a mesh refined around it, then a check over all cells.

Names as in `multigrid_window_kernels`: places count the listed nodes, start[k] is the first of stage k.
"""

import numpy as np

from kmc.solvers.multigrid.cycle import clear, cycle, plain, restrict
from kmc.solvers.multigrid.finest_level import defect, sweep
from kmc.solvers.multigrid.hierarchy import HELD, beside, cell_face, inner, kernel
from kmc.solvers.multigrid.near_mesh import (
    STAGES,
    gather,
    link_nodes,
    list_nodes,
    mark_along,
    mark_near,
    mark_rim,
    unlist,
)

SWEEPS = 2  # before and after, on each stage
MOST = 12  # iterations
EXPECT = 10.0  # an iteration is expected to bring r . z down so far; what comes out is checked


@inner
def _residual_near(m, w, start, b, u):
    """Residual of the listed cells; that of coarser nodes is what the last solve left: taken as none."""
    nz, ny, nx = m.shape[0]
    w.r[: start[STAGES + 1]] = 0.0
    for q in range(start[1]):
        i = np.int64(w.node[q])
        v = b[i] - m.sink[i] * u[i]
        for f in range(6):
            j = beside(i, f, nz, ny, nx)
            if j >= 0:
                v += cell_face(m, i, j, f) * (u[j] - u[i])
        w.r[q] = v


@inner
def _apply(w, start, p, q):
    """q = A p on the refined mesh, 0 on covered nodes."""
    n = start[STAGES + 1]
    q[:n] = 0.0
    for k in range(STAGES + 1):
        for a in range(start[k], start[k + 1]):
            if w.covered[a]:
                continue
            v = w.sink[a] * p[a]
            for e in range(w.first[a], w.first[a + 1]):
                t = plain(w.to[e])
                flux = w.g[e] * (p[a] - p[t])
                if t >= start[k + 1]:
                    q[t] -= flux
                    v += flux
                elif w.covered[t] == 0:
                    v += flux
            q[a] += v


@inner
def _precondition(m, w, start, r, z):
    """z = M^-1 r: stage by stage down sweeps and transfer, a cycle from mesh STAGES down, and back."""
    n, rest = start[STAGES + 1], w.w
    z[:n] = 0.0
    for a in range(n):
        rest[a] = r[a]
    for k in range(STAGES):
        for _ in range(SWEEPS):
            for a in range(start[k], start[k + 1]):
                z[a] = gather(w, rest[a], a, z) * w.inverse[a]
        for a in range(start[k], start[k + 1]):
            v = rest[a] - (z[a] / w.inverse[a] if w.inverse[a] > 0.0 else 0.0)
            for e in range(w.first[a], w.first[a + 1]):
                t = plain(w.to[e])
                if t < start[k + 1]:
                    v += w.g[e] * z[t]
                else:
                    rest[t] += w.g[e] * z[a]
            if w.up[a] >= 0:
                rest[w.up[a]] += v
    for a in range(start[STAGES], n):
        m.b[w.node[a]] = rest[a]
    cycle(m, np.int64(STAGES), np.int64(SWEEPS))
    for a in range(start[STAGES], n):
        z[a] = m.u[w.node[a]]
    for q in range(STAGES):
        k = STAGES - 1 - q
        for a in range(start[k], start[k + 1]):
            z[a] += z[w.up[a]] if w.up[a] >= 0 else 0.0
        for _ in range(SWEEPS):
            for a in range(start[k + 1] - 1, start[k] - 1, -1):
                z[a] = gather(w, rest[a], a, z) * w.inverse[a]
    for a in range(n):
        z[a] = 0.0 if w.covered[a] else z[a]


@inner
def _iterate(m, w, start, energy, goal):
    """Conjugate gradients from w.r, into w.x: (iterations, energy)."""
    n, before = start[STAGES + 1], 1.0
    x, r, z, p, q = w.x, w.r, w.z, w.p, w.q
    x[:n] = 0.0
    p[:n] = 0.0
    for k in range(MOST):
        _precondition(m, w, start, r, z)
        rz = 0.0
        for a in range(n):
            rz += r[a] * z[a]
        if rz <= max(goal * energy, 0.0):
            return k, energy
        beta = rz / before if k > 0 else 0.0
        for a in range(n):
            p[a] = z[a] + beta * p[a]
        _apply(w, start, p, q)
        pq = 0.0
        for a in range(n):
            pq += p[a] * q[a]
        alpha = rz / pq
        for a in range(n):
            x[a] += alpha * p[a]
            r[a] -= alpha * q[a]
        energy -= alpha * rz
        before = rz
        if rz <= EXPECT * goal * energy:
            return k + 1, energy
    return MOST, energy


@inner
def _smooth_outside(m, w):
    """A sweep over the nodes of mesh 1 outside its window, and back: they got one value a block of mesh 2."""
    blocks, first = m.block[2] - m.block[1], m.node[1]
    for i in range(blocks):
        for s in range(plain(m.nodes[m.block[1] + i])):
            j = first + s * blocks + i
            if w.place[j] < 0:
                v = 0.0
                for q in range(plain(m.links[j - first])):
                    v += m.g[q, j - first] * m.u[plain(m.to[q, j - first])]
                m.u[j] = v * m.inverse[j]


@inner
def _spread(m, w, start, u):
    """Add the change to u: cells of the window one by one, others by the node that they belong to."""
    blocks, first = m.block[2] - m.block[1], m.node[1]
    for i in range(blocks):
        for s in range(plain(m.nodes[m.block[1] + i])):
            j = first + s * blocks + i
            a = np.int64(w.place[j])
            if a < 0 and m.parent[j] != HELD:
                a = np.int64(w.place[m.parent[j]])
            m.u[j] = w.x[a] if a >= 0 else 0.0
    _smooth_outside(m, w)
    change, parent = m.u, m.parent
    for i in range(m.node[1]):
        if parent[i] >= 0:
            u[i] += change[plain(parent[i])]
    for q in range(start[1]):
        u[w.node[q]] += w.x[q]


@kernel
def follow(m, w, b, u, box, energy, goal):
    """Change u as a change of coefficients in a box asks for: iterations, -1 for too large a window."""
    start = m.lists[5]
    mark_near(m, w.mark, box)
    mark_along(m, w.mark, w.seen, w.node)
    for k in range(1, STAGES):
        mark_rim(m, k, w.mark)
    count = -1
    if list_nodes(m, w, start) and link_nodes(m, w, start):
        _residual_near(m, w, start, b, u)
        count = _iterate(m, w, start, energy, goal)[0]
        _spread(m, w, start, u)
    unlist(w, start)
    return count


@kernel
def check(m, b, u):
    """Smooth u over all cells; (r . z, energy), z a cycle from mesh 1 and the finest mesh's diagonal."""
    sweep(m, b, u, False)
    sweep(m, b, u, True)
    first = m.node[1]
    energy, rz = defect(m, b, u, m.b[:first])
    restrict(m, np.int64(0), m.b)
    clear(m, np.int64(2), m.b)
    blocks = m.block[2] - m.block[1]
    for i in range(blocks):
        for s in range(plain(m.nodes[m.block[1] + i])):
            j = plain(first + s * blocks + i)
            rz += m.b[j] * m.b[j] * m.inverse[j]
            if m.parent[j] >= 0:
                m.b[plain(m.parent[j])] += m.b[j]
    cycle(m, np.int64(2), np.int64(SWEEPS))
    first, blocks = m.node[2], m.block[3] - m.block[2]
    for i in range(blocks):
        for s in range(plain(m.nodes[m.block[2] + i])):
            j = first + s * blocks + i
            rz += m.b[j] * m.u[j]
    return rz, energy
