"""Meshes of the multigrid solver and how each is made from the finer one, everywhere or near a change.

The finest mesh has one node a cell and its face conductances. On the next ones a block of 2 x 2 x 2 blocks
holds a node for each of its strongly coupled components: a filament and the insulator beside it stay apart,
so do two filaments. A link between nodes conducts what all finer links between them do, in series with the
resistances from the nodes' middles to the face. All of it is a function of the coefficients nearby, so that a
local update gives the bytes of new meshes.
"""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit

# Without a branch for each division by zero, which would keep loops from being vectorised.
# Without counting of references, which costs more than the work where many arrays are handed over.
kernel = njit(error_model="numpy", _nrt=False)
# Called from kernels only: no wrapper for Python, which takes longer to compile than the function itself.
_bare = {"error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = njit(**_bare)
inlined = njit(forceinline=True, **_bare)

STRENGTH = 0.1  # a link is strong where it is this share of the largest link of both its nodes
HELD = -1  # node at the other end of a link to a held cell
WITHIN = 6  # face of a link inside a block; the others: 0 z down, 1 z up, 2 y down ... 5 x up


class Meshes(NamedTuple):
    """All meshes, finest first. Blocks and nodes are numbered through: of mesh k from block[k], node[k] on.

    The node of slot s in block i of a mesh of n blocks is node[k] + s n + i. A coarse node e (counted from
    node[1]) has links 0 to links[e]: q leads to node to[q, e], through face[q, e], and conducts g[q, e].
    """

    shape: np.ndarray  # int64 [meshes, 3]: blocks along z, y, x
    block: np.ndarray  # int64 [meshes + 1]
    node: np.ndarray  # int64 [meshes + 1]
    slots: np.ndarray  # int64 [meshes]: most nodes of a block
    gz: np.ndarray  # float64 [cells + plane]: gz[i] joins cell i to the one below it
    gy: np.ndarray  # float64 [cells]: to the next cell in y, the last one to the first
    gx: np.ndarray  # float64 [cells]
    nodes: np.ndarray  # int32 per block: its nodes (of a cell 1, or 0 where it is held)
    parent: np.ndarray  # int32 per node: its node of the next mesh
    sink: np.ndarray  # float64 per node
    largest: np.ndarray  # float64 per node: its largest link or sink
    inverse: np.ndarray  # float64 per node: 1 / (sum of links and sink), 0 for held cells
    links: np.ndarray  # int32 [coarse nodes]
    to: np.ndarray  # int32 [most links, coarse nodes]
    face: np.ndarray  # uint8 [most links, coarse nodes]
    g: np.ndarray  # float64 [most links, coarse nodes]
    #: float64 [6, coarse nodes]: resistance from the middle to a face, times all that leaves there
    centre_to_face: np.ndarray
    u: np.ndarray  # float64 per node: work
    b: np.ndarray
    p: np.ndarray  # float64 [cells]: work
    q: np.ndarray
    zero: np.ndarray  # float64 [cells]
    place: np.ndarray  # int32 per node: scratch
    lists: np.ndarray  # int64 [6, most children or links]: scratch
    row: np.ndarray  # float64 [most links or cells along x]: scratch
    share: np.ndarray  # float64 [most children]: scratch
    ends: np.ndarray  # int64 [2, most children, most links]: scratch
    sums: np.ndarray  # float64 [most children, most links]: scratch
    around: np.ndarray  # float64 [most slots, 9]: scratch


def allocate(shape: tuple[int, int, int], slots: list[int], most: int) -> Meshes:
    """Empty meshes from `shape` down to one block: slots[k] nodes a block on mesh k, `most` links a node.

    Memory that is not used is not touched, so that it costs nothing.
    """
    shapes = shapes_of(shape)
    sizes = [int(np.prod(s)) for s in shapes]
    block = np.concatenate([[0], np.cumsum(sizes)])
    node = np.concatenate([[0], np.cumsum(np.multiply(sizes, slots))])
    cells, nodes = sizes[0], int(node[-1])
    coarse, widest = nodes - cells, max(slots)
    sink, largest, inverse, u, b = (np.zeros(nodes) for _ in range(5))
    gy, gx, p, q, zero = (np.zeros(cells) for _ in range(5))
    size = max(8 * widest, most, 2 * shapes[0][2])
    return Meshes(
        np.array(shapes),
        block,
        node,
        np.array(slots),
        np.zeros(cells + shapes[0][1] * shapes[0][2]),
        gy,
        gx,
        np.zeros(int(block[-1]), np.int32),
        np.full(nodes, HELD, np.int32),
        sink,
        largest,
        inverse,
        np.zeros(coarse, np.int32),
        np.zeros((most, coarse), np.int32),
        np.zeros((most, coarse), np.uint8),
        np.zeros((most, coarse)),
        np.zeros((6, coarse)),
        u,
        b,
        p,
        q,
        zero,
        np.zeros(nodes, np.int32),
        np.zeros((6, size), np.int64),
        np.zeros(size),
        np.zeros(size),
        np.zeros((2, 8 * widest, most), np.int64),
        np.zeros((8 * widest, max(most, widest + 1))),
        np.zeros((widest, 9)),
    )


def shapes_of(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """The meshes' blocks along z, y, x."""
    z, y, x = (int(n) for n in shape)
    shapes = [(z, y, x)]
    while shapes[-1] != (1, 1, 1):
        z, y, x = (z + 1) // 2, (y + 1) // 2, (x + 1) // 2
        shapes.append((z, y, x))
    return shapes


@inlined
def _put_link(m, j, f, v, n, to, face, g):
    """Write a link of a cell to cell j through face f as number n; returns the number of the next."""
    if v > 0.0:
        to[n] = j if m.nodes[j] else HELD
        face[n] = f
        g[n] = v
        n += 1
    return n


@inlined
def links_of(m, k, i, to, face, g):
    """Write the links of node i of mesh k (numbered through) into to, face, g; returns how many."""
    if k > 0:
        e = i - m.node[1]
        for q in range(m.links[e]):
            to[q], face[q], g[q] = m.to[q, e], m.face[q, e], m.g[q, e]
        return np.int64(m.links[e])
    ny, nx = m.shape[0, 1], m.shape[0, 2]
    line, plane = np.int64(np.uint32(i) // np.uint32(nx)), ny * nx  # 32 bits: half the time
    x, y, n = i - line * nx, np.int64(np.uint32(line) % np.uint32(ny)), 0
    if i >= plane:
        n = _put_link(m, i - plane, 0, m.gz[i], n, to, face, g)
    if i + plane < m.gy.size:
        n = _put_link(m, i + plane, 1, m.gz[i + plane], n, to, face, g)
    if ny > 1:
        j = i - nx if y > 0 else i + plane - nx
        n = _put_link(m, j, 2, m.gy[j], n, to, face, g)
        n = _put_link(m, i + nx if y < ny - 1 else i + nx - plane, 3, m.gy[i], n, to, face, g)
    if nx > 1:
        j = i - 1 if x > 0 else i + nx - 1
        n = _put_link(m, j, 4, m.gx[j], n, to, face, g)
        n = _put_link(m, i + 1 if x < nx - 1 else i + 1 - nx, 5, m.gx[i], n, to, face, g)
    return n


@inner
def children(m, k, zc, yc, xc, child):
    """Write the nodes of mesh k in block (zc, yc, xc) of mesh k + 1, in order; returns how many."""
    nz, ny, nx = m.shape[k]
    hz, hy, hx = 1 + (m.shape[k + 1, 0] < nz), 1 + (m.shape[k + 1, 1] < ny), 1 + (m.shape[k + 1, 2] < nx)
    blocks, n = nz * ny * nx, 0
    for z in range(zc * hz, min(zc * hz + hz, nz)):
        for y in range(yc * hy, min(yc * hy + hy, ny)):
            for x in range(xc * hx, min(xc * hx + hx, nx)):
                i = (z * ny + y) * nx + x
                for s in range(m.nodes[m.block[k] + i]):
                    child[n] = m.node[k] + s * blocks + i
                    n += 1
    return n
