"""Cycles on the coarse meshes: Gauss-Seidel over nodes and links, transfer, and the last mesh directly."""

from typing import NamedTuple

import numpy as np

from kmc.solvers.multigrid.hierarchy import inlined, inner


@inlined
def index(n):
    """An index as an int64 that is plainly not negative: no code for indices from the end."""
    return np.int64(np.uint32(n))


class Level(NamedTuple):
    """One coarse mesh as the cycle sees it: nodes from number `first` on, in `blocks` blocks.

    nodes int32 [blocks]: how many a block has; parent, inverse, b, u, links: as in `Meshes`; to
    int32 and g float64 [most links x size]: links of all coarse nodes, which begin with node `start`, flat:
    link q of node j at q size + j - start.
    """

    first: int
    start: int
    blocks: int
    size: int
    nodes: np.ndarray
    parent: np.ndarray
    links: np.ndarray
    to: np.ndarray
    g: np.ndarray
    inverse: np.ndarray
    b: np.ndarray
    u: np.ndarray


@inlined
def _level(m, k):
    """Mesh k >= 1 as the cycle sees it."""
    blocks, count, first = m.block[k + 1] - m.block[k], m.nodes[m.block[k] :], m.node[k]
    to, g = m.to.reshape(-1), m.g.reshape(-1)
    return Level(first, m.node[1], blocks, m.links.size, count, m.parent, m.links, to, g, m.inverse, m.b, m.u)


@inner
def _smooth(level, reverse):
    """One Gauss-Seidel sweep over the nodes of a mesh, or its transpose."""
    blocks, size, links, to, g, b, u = (level.blocks, level.size, level.links, level.to, level.g, level.b, level.u)
    for k in range(blocks):
        i = blocks - 1 - k if reverse else k
        n = index(level.nodes[i])
        for t in range(n):
            j = index(level.first + (n - 1 - t if reverse else t) * blocks + i)
            e, v = index(j - level.start), b[j]
            for q in range(index(links[e])):
                p = np.uint64(q * size + e)
                v += g[p] * u[index(to[p])]
            u[j] = v * level.inverse[j]


@inner
def _residual(level):
    """Add the residual of a mesh to b of the next one."""
    parent, inverse, b, u, g = level.parent, level.inverse, level.b, level.u, level.g
    for i in range(level.blocks):
        for s in range(index(level.nodes[i])):
            j = index(level.first + s * level.blocks + i)
            if inverse[j] > 0.0 and parent[j] >= 0:
                e, v = index(j - level.start), b[j] - u[j] / inverse[j]
                for q in range(index(level.links[e])):
                    p = np.uint64(q * level.size + e)
                    v += g[p] * u[index(level.to[p])]
                b[index(parent[j])] += v


@inner
def set_zero(m, k, a):
    """Set a vector to 0 on all nodes of mesh k (what lies in unused slots is never read)."""
    blocks, count, first = m.block[k + 1] - m.block[k], m.nodes[m.block[k] :], m.node[k]
    for i in range(blocks):
        a[index(first + i)] = 0.0
        for s in range(1, index(count[i])):
            a[index(first + s * blocks + i)] = 0.0


@inner
def restrict(m, k, r):
    """Restrict a residual r to b of mesh k + 1, by sums; r is 0 on held cells, whose parent is none."""
    set_zero(m, k + 1, m.b)
    b, parent = m.b, m.parent
    for i in range(m.node[k + 1] - m.node[k]):
        if parent[i] >= 0:
            b[index(parent[i])] += r[i]


@inner
def prolong(m, k):
    """Prolong the correction of mesh k + 1: add to each node of mesh k the value of its parent."""
    u, parent, blocks, count = m.u, m.parent, m.block[k + 1] - m.block[k], m.nodes[m.block[k] :]
    for i in range(blocks):
        for s in range(index(count[i])):
            j = index(m.node[k] + s * blocks + i)
            if parent[j] >= 0:
                u[j] += u[index(parent[j])]


@inner
def _solve_coarsest(m):
    """Solve the last mesh, one block, by elimination; a node without a sink gives 0."""
    k = m.shape.shape[0] - 1
    first, n, a = m.node[k], m.nodes[m.block[k]], m.sums
    for s in range(n):
        for t in range(n + 1):
            a[s, t] = 0.0
        for q in range(m.links[first + s - m.node[1]]):
            a[s, m.to[q, first + s - m.node[1]] - first] -= m.g[q, first + s - m.node[1]]
        a[s, s] = 1.0 / m.inverse[first + s] if m.inverse[first + s] > 0.0 else 0.0
        a[s, n] = m.b[first + s]
    for s in range(n):
        if a[s, s] * m.inverse[first + s] <= 1e-13:
            a[s, s] = 0.0
            continue
        for q in range(s + 1, n):
            f = a[q, s] / a[s, s]
            for t in range(s, n + 1):
                a[q, t] -= f * a[s, t]
    for q in range(n):
        s = n - 1 - q
        v = a[s, n]
        for t in range(s + 1, n):
            v -= a[s, t] * m.u[first + t]
        m.u[first + s] = v / a[s, s] if a[s, s] > 0.0 else 0.0


@inner
def cycle(m, top, sweeps):
    """A symmetric V-cycle from mesh `top` >= 1 down: right side m.b, answer m.u; `sweeps` down and up."""
    last = m.shape.shape[0] - 1
    for k in range(top, last):
        level = _level(m, k)
        set_zero(m, k, m.u)
        for _ in range(sweeps):
            _smooth(level, False)
        set_zero(m, k + 1, m.b)
        _residual(level)
    _solve_coarsest(m)
    for k in range(last - 1, top - 1, -1):
        level = _level(m, k)
        prolong(m, k)
        for _ in range(sweeps):
            _smooth(level, True)
