"""The mesh of a local solve: cells near a change and along the metal that it touches, blocks elsewhere.

Stage 0 are cells, stage 1 nodes of mesh 1, in windows one in the other; stage 2 are all nodes of mesh 2. The
unknowns are the nodes that no finer stage covers: a mesh that is refined in places. Beyond its window a stage
goes on as the next one does, in series with the way to the middle of the coarser node.
"""

from typing import NamedTuple

import numpy as np

from kmc.solvers.multigrid.cycle import plain
from kmc.solvers.multigrid.hierarchy import HELD, STRENGTH, WITHIN, children, inlined, inner, links_of

STAGES = 2  # with windows
REACH = 2  # blocks around a change whose cells are taken one by one
RIM = 1  # blocks around these whose nodes of mesh 1 are taken one by one
ALONG = 256  # most blocks of mesh 1 that are followed along metal


class Window(NamedTuple):
    """Work space of a local solve; node numbers as in `Meshes`, places count the listed nodes."""

    mark: np.ndarray  # uint8 per block: refined
    seen: np.ndarray  # uint8 per node
    place: np.ndarray  # int32 per node: its place, or -1
    node: np.ndarray  # int32 per place
    up: np.ndarray  # int32 per place: place of the parent, or -1
    covered: np.ndarray  # uint8 per place
    first: np.ndarray  # int64 per place: start of its links
    to: np.ndarray  # int32 per link: place at the other end
    g: np.ndarray  # float64 per link
    sink: np.ndarray  # float64 per place
    inverse: np.ndarray  # float64 per place: 1 / diagonal within its stage
    w: np.ndarray  # vectors over the places
    x: np.ndarray
    r: np.ndarray
    z: np.ndarray
    p: np.ndarray
    q: np.ndarray


def window(m) -> Window:
    """Work space for windows of up to an eighth of the cells."""
    blocks, nodes = int(m.block[-1]), int(m.node[-1])
    places = int(m.node[1]) // 8 + 4096 + int(m.node[STAGES + 1] - m.node[STAGES])
    node, up = (np.zeros(places + 1, np.int32) for _ in range(2))
    sink, inverse, w, x, r, z, p, q = (np.zeros(places + 1) for _ in range(8))
    return Window(
        np.zeros(blocks, np.uint8),
        np.zeros(nodes, np.uint8),
        np.full(nodes, -1, np.int32),
        node,
        up,
        np.zeros(places + 1, np.uint8),
        np.zeros(places + 1, np.int64),
        np.zeros(8 * places, np.int32),
        np.zeros(8 * places),
        sink,
        inverse,
        w,
        x,
        r,
        z,
        p,
        q,
    )


@inner
def mark_near(m, mark, box):
    """Mark the blocks of mesh 1 that hold a cell of a box or lie within REACH of one."""
    nz, ny, nx = m.shape[0]
    cz, cy, cx = m.shape[1]
    hz, hy, hx = 1 + (cz < nz), 1 + (cy < ny), 1 + (cx < nx)
    y0, x0 = box[2] % ny, box[4] % nx
    for z in range(max(box[0] // hz - REACH, 0), min((box[1] - 1) // hz + REACH + 1, cz)):
        for y in range(y0 // hy - REACH, (y0 + box[3] - box[2]) // hy + REACH + 1):
            for x in range(x0 // hx - REACH, (x0 + box[5] - box[4]) // hx + REACH + 1):
                mark[m.block[1] + (z * cy + y % cy) * cx + x % cx] = 1


@inner
def mark_along(m, mark, seen, queue):
    """Mark where the metal of the marked blocks leads: nodes far stronger than others beside them.

    A filament that closes changes along all its length.
    """
    blocks, first, tail, head, left = m.block[2] - m.block[1], m.node[1], 0, 0, ALONG
    for i in range(blocks):
        n = m.nodes[m.block[1] + i]
        if mark[m.block[1] + i] and n > 1:
            least = m.largest[first + i]
            for s in range(1, n):
                least = min(least, m.largest[first + s * blocks + i])
            for s in range(n):
                j = first + s * blocks + i
                if m.largest[j] * STRENGTH > least:
                    seen[j], queue[tail] = 1, j
                    tail += 1
    while head < tail and left > 0:
        me = np.int64(queue[head])
        block = m.block[1] + (me - first) % blocks
        left -= 1 - mark[block]
        mark[block] = 1
        head += 1
        for e in range(m.links[me - first]):
            j = np.int64(m.to[e, me - first])
            strong = m.g[e, me - first] >= STRENGTH * max(m.largest[me], m.largest[j])
            thin = m.nodes[m.block[1] + (j - first) % blocks] > 1
            if strong and thin and seen[j] == 0 and tail < queue.size:
                seen[j], queue[tail] = 1, j
                tail += 1
    for q in range(tail):
        seen[queue[q]] = 0


@inner
def mark_rim(m, k, mark):
    """Mark the blocks of mesh k + 1 that hold a marked block of mesh k or one beside it."""
    nz, ny, nx = m.shape[k]
    cz, cy, cx = m.shape[k + 1]
    hz, hy, hx = 1 + (cz < nz), 1 + (cy < ny), 1 + (cx < nx)
    for i in range(nz * ny * nx):
        if mark[m.block[k] + i]:
            z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
            for a in range(max(z - RIM, 0), min(z + RIM + 1, nz)):
                for b in range(y - RIM, y + RIM + 1):
                    for c in range(x - RIM, x + RIM + 1):
                        parent = (a // hz * cy + b % ny // hy) * cx + c % nx // hx
                        mark[m.block[k + 1] + parent] = 1


@inner
def list_nodes(m, w, start):
    """List the nodes of all stages; start[k] is the first place of stage k. False: there are too many."""
    n, child = 0, m.lists[0]
    for k in range(STAGES + 1):
        start[k] = n
        cz, cy, cx = m.shape[k + 1] if k < STAGES else m.shape[k]
        base = m.block[k + 1] if k < STAGES else m.block[k]
        blocks = cz * cy * cx
        for i in range(blocks):
            if k < STAGES and w.mark[base + i] == 0:
                continue
            if k < STAGES:
                number = children(m, k, i // (cy * cx), (i // cx) % cy, i % cx, child)
            else:
                number = np.int64(m.nodes[base + i])
                for s in range(number):
                    child[s] = m.node[k] + s * blocks + i
            if n + number >= w.node.size:
                start[STAGES + 1] = n
                return False
            for q in range(number):
                w.node[n], w.place[child[q]] = child[q], n
                n += 1
    start[STAGES + 1] = n
    return True


@inner
def unlist(w, start):
    """Clear the marks and places for the next time."""
    w.mark[:] = 0
    for q in range(start[STAGES + 1]):
        w.place[w.node[q]] = -1


@inner
def link_nodes(m, w, start):
    """Links, sinks and parents of the listed nodes. False: there are too many links."""
    to, face, g, n = m.lists[2], m.lists[3], m.row, 0
    for k in range(STAGES + 1):
        blocks, base = m.block[k + 1] - m.block[k], m.block[k]
        for q in range(start[k], start[k + 1]):
            i = np.int64(w.node[q])
            number, sink, total = links_of(m, k, i, to, face, g), m.sink[i], m.sink[i]
            if n + number > w.to.size:
                return False
            w.first[q] = n
            w.covered[q] = w.mark[base + (i - m.node[k]) % blocks] if k > 0 else 0
            parent = np.int64(m.parent[i])
            w.up[q] = w.place[parent] if parent != HELD and k < STAGES else -1
            for e in range(number):
                v, j = g[e], to[e]
                total += v
                if j != HELD and w.place[j] < 0:
                    # beyond the window: the coarser node there
                    j = np.int64(m.parent[j])
                    if j != HELD:
                        v /= 1.0 + (m.way[face[e] ^ 1, j - m.node[1]] if face[e] != WITHIN else 0.0)
                        total += v - g[e]
                if j == HELD:
                    sink += v
                else:
                    w.to[n], w.g[n] = w.place[j], v
                    n += 1
            w.sink[q] = sink
            w.inverse[q] = 1.0 / total if total > 0.0 else 0.0
    w.first[start[STAGES + 1]] = n
    return True


@inlined
def gather(w, v, q, a):
    """v plus the links of place q times a at their other ends."""
    for e in range(w.first[q], w.first[q + 1]):
        v += w.g[e] * a[plain(w.to[e])]
    return v
