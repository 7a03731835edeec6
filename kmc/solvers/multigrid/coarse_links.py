"""Links between the nodes of the next mesh, and the update of all meshes after changes in a box."""

import numpy as np

from kmc.solvers.multigrid.coarsening import aggregate
from kmc.solvers.multigrid.hierarchy import HELD, WITHIN, children, inlined, inner, kernel, links_of


@inlined
def _add_link(to, face, g, n, j, f, v):
    """Add v to the link to node j through face f in a list of n; its length, or -1 where it is full."""
    for q in range(n):
        if to[q] == j and face[q] == f:
            g[q] += v
            return n
    if n < 0 or n == to.size:
        return -1
    to[n], face[n], g[n] = j, f, v
    return n + 1


@inner
def _store_links(m, i, n, sink, to, face, g):
    """Write the links and the sink of coarse node i; whether anything is new."""
    e = i - m.node[1]
    new = m.links[e] != n or m.sink[i] != sink
    total, largest = sink, sink
    for q in range(n):
        new = new or m.to[q, e] != to[q] or m.face[q, e] != face[q] or m.g[q, e] != g[q]
        m.to[q, e], m.face[q, e], m.g[q, e] = to[q], face[q], g[q]
        total += g[q]
        largest = max(largest, g[q])
    m.links[e], m.sink[i], m.largest[i] = n, sink, largest
    m.inverse[i] = 1.0 / total if total > 0.0 else 0.0
    return new


@inner
def couple_coarse(m, k, box, changed):
    """Coarse operator: links and sinks of the nodes of mesh k + 1 in a box of its blocks, from mesh k.

    Writes the box of blocks in which something changed into `changed` (z0 = z1: none). False: too few links.
    """
    _cz, cy, cx = m.shape[k + 1]
    blocks = m.block[k + 2] - m.block[k + 1]
    child, n, to, face, g = m.lists[0], m.lists[1], m.lists[2], m.lists[3], m.row
    ends, sides, sums, sink = m.ends[0], m.ends[1], m.sums, m.share
    changed[:] = 0
    for zc in range(box[0], box[1]):
        for yy in range(box[2], box[3]):
            for xx in range(box[4], box[5]):
                block = (zc * cy + yy % cy) * cx + xx % cx
                first = m.node[k + 1] + block
                for s in range(m.nodes[m.block[k + 1] + block]):
                    sink[s], n[s] = 0.0, 0
                for q in range(children(m, k, zc, yy % cy, xx % cx, child)):
                    here = np.int64(m.parent[child[q]])
                    if here == HELD:
                        continue
                    s, e1 = (here - first) // blocks, here - m.node[1]
                    sink[s] += m.sink[child[q]]
                    for e in range(links_of(m, k, child[q], to, face, g)):
                        f = face[e]
                        there = np.int64(m.parent[to[e]]) if to[e] != HELD else HELD
                        if there == here:
                            continue
                        if there == HELD:
                            sink[s] += g[e] / (1.0 + (m.centre_to_face[f, e1] if f != WITHIN else 0.0))
                        elif f == WITHIN or (there - first) % blocks == 0:
                            n[s] = _add_link(ends[s], sides[s], sums[s], n[s], there, WITHIN, g[e])
                        else:
                            v = g[e] / (1.0 + m.centre_to_face[f, e1] + m.centre_to_face[f ^ 1, there - m.node[1]])
                            n[s] = _add_link(ends[s], sides[s], sums[s], n[s], there, f, v)
                new = m.sink[first] != m.sink[first]
                m.sink[first] = 0.0 if new else m.sink[first]
                for s in range(m.nodes[m.block[k + 1] + block]):
                    if n[s] < 0:
                        return False
                    new = _store_links(m, first + s * blocks, n[s], sink[s], ends[s], sides[s], sums[s]) or new
                if new:
                    _widen(changed, zc, yy, xx)
    return True


@inner
def _widen(box, z, y, x):
    """Make a box (z0 = z1: empty) hold a block."""
    if box[0] == box[1]:
        box[0], box[1], box[2], box[3], box[4], box[5] = z, z + 1, y, y + 1, x, x + 1
        return
    box[0], box[1] = min(box[0], z), max(box[1], z + 1)
    box[2], box[3] = min(box[2], y), max(box[3], y + 1)
    box[4], box[5] = min(box[4], x), max(box[5], x + 1)


@inner
def _clip(box, shape):
    """Cut a box in z to the mesh, in y and x to one period."""
    box[0], box[1] = max(box[0], 0), min(box[1], shape[0])
    for ax in range(1, 3):
        if box[2 * ax + 1] - box[2 * ax] >= shape[ax]:
            box[2 * ax], box[2 * ax + 1] = 0, shape[ax]


@inner
def _coarse_box(box, fine, coarse):
    """The box of coarse blocks that hold a box of fine ones."""
    for ax in range(3):
        if coarse[ax] < fine[ax]:
            # past the edge of an odd period the pairing is shifted by one
            odd = fine[ax] % 2
            below = odd if box[2 * ax] < 0 else 0
            above = odd if box[2 * ax + 1] > fine[ax] else 0
            box[2 * ax] = box[2 * ax] // 2 - below
            box[2 * ax + 1] = (box[2 * ax + 1] + 1) // 2 + above
    _clip(box, coarse)


@inner
def _grow(box, below, above, shape):
    """Widen a box by some blocks on its lower and upper sides."""
    for ax in range(3):
        box[2 * ax] -= below
        box[2 * ax + 1] += above
    _clip(box, shape)


@inner
def _load_coefficients(m, gz, gy, gx, d, fixed, box):
    """Copy coefficients, sinks and held cells of a box of cells.

    Faces between two held cells are left out: nothing depends on them, but at an electrode's conductance
    they would be all of the energy by which a solution is judged.
    """
    nz, ny, nx = gy.shape
    for z in range(box[0], box[1]):
        for yy in range(box[2], box[3]):
            for xx in range(box[4], box[5]):
                y, x = yy % ny, xx % nx
                i = (z * ny + y) * nx + x
                held = fixed[z, y, x] > 0
                up = z < nz - 1 and not (held and fixed[z + 1, y, x])
                m.gz[i + ny * nx] = gz[z, y, x] if up else 0.0
                m.gy[i] = gy[z, y, x] if ny > 1 and not (held and fixed[z, (y + 1) % ny, x]) else 0.0
                m.gx[i] = gx[z, y, x] if nx > 1 and not (held and fixed[z, y, (x + 1) % nx]) else 0.0
                m.sink[i] = d[z, y, x]
                m.nodes[i] = 0 if fixed[z, y, x] else 1


@inner
def _set_diagonals(m, box):
    """Largest link and inverse diagonal of a box of cells."""
    _nz, ny, nx = m.shape[0]
    to, face, g = m.lists[0], m.lists[1], m.row
    for z in range(box[0], box[1]):
        for yy in range(box[2], box[3]):
            for xx in range(box[4], box[5]):
                i = (z * ny + yy % ny) * nx + xx % nx
                total, largest = m.sink[i], m.sink[i]
                for e in range(links_of(m, np.int64(0), i, to, face, g)):
                    total += g[e]
                    largest = max(largest, g[e])
                m.largest[i] = largest
                m.inverse[i] = 1.0 / total if m.nodes[i] and total > 0.0 else 0.0
                if m.nodes[i] == 0:
                    m.parent[i] = HELD


@kernel
def update(m, gz, gy, gx, d, fixed, work, changed):
    """Bring all meshes up to date after changes in a box of cells (z0, z1, y0, y1, x0, x1; y, x may wrap).

    `work` holds the box. Returns (0, 0), or what lacks room: the number of the mesh and the slots that it needs, or
    (-1, 0) for links. The meshes are then invalid.
    """
    _grow(work, 1, 0, m.shape[0])
    _load_coefficients(m, gz, gy, gx, d, fixed, work)
    _grow(work, 0, 1, m.shape[0])
    _set_diagonals(m, work)
    for k in range(m.shape.shape[0] - 1):
        _coarse_box(work, m.shape[k], m.shape[k + 1])
        slots = aggregate(m, k, work)
        if slots > m.slots[k + 1]:
            return k + 1, slots
        _grow(work, 1, 1, m.shape[k + 1])
        if not couple_coarse(m, k, work, changed):
            return -1, 0
        if changed[0] == changed[1]:
            break
        for q in range(6):
            work[q] = changed[q]
    return 0, 0
