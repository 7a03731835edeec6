"""Which nodes make one node of the next mesh: the strongly coupled components of a block."""

from typing import NamedTuple

import numpy as np

from kmc.solvers.multigrid.hierarchy import HELD, STRENGTH, WITHIN, children, inlined, inner, links_of


class Members(NamedTuple):
    """The nodes of one block of the next mesh, n at most, in scratch space.

    node, root, size, slot, number int64 [n]: their numbers, the first of each one's group, how many are in
    that group, its place among the block's groups, and how many links each has; to, face int64 and g float64
    [n, most links]: these; share float64 [n]: sums of links by group.
    """

    node: np.ndarray
    root: np.ndarray
    size: np.ndarray
    slot: np.ndarray
    number: np.ndarray
    to: np.ndarray
    face: np.ndarray
    g: np.ndarray
    share: np.ndarray


@inlined
def _root(root, i):
    while root[i] != i:
        i = root[i]
    return i


@inner
def _drop_grounded(m, n, child):
    """Leave out of n children those bound to their sink: a sweep puts them right. Returns how many stay."""
    left = 0
    for q in range(n):
        if m.sink[child[q]] * m.inverse[child[q]] >= 0.5:
            m.parent[child[q]] = HELD
        else:
            child[left] = child[q]
            left += 1
    return left


@inner
def _join_strong(m, n, members):
    """Join the n children of a block that are strongly coupled (strength of connection, as in algebraic
    multigrid): root[q] is the first child of q's group."""
    child, root, to, g = members.node, members.root, members.to, members.g
    for q in range(n):
        i = child[q]
        for e in range(members.number[q]):
            j = to[q, e]
            if j == HELD or g[q, e] < STRENGTH * max(m.largest[i], m.largest[j]):
                continue
            other = np.int64(m.place[j])
            if other < q and child[other] == j:
                a, b = _root(root, q), _root(root, other)
                root[max(a, b)] = min(a, b)
    for q in range(n):
        root[q] = root[root[q]]


@inner
def _join_enclosed(m, n, members):
    """Join a child that is alone and has half of its links to one group to that: a sweep puts it right.

    Without this each small piece of metal in a coarse block would stay a node of its own.
    """
    child, root, size, to, share = members.node, members.root, members.size, members.to, members.share
    for q in range(n):
        if size[q] != 1:
            continue
        into = q
        for e in range(members.number[q]):
            other = np.int64(m.place[to[q, e]]) if to[q, e] != HELD else n
            if other < n and child[other] == to[q, e]:
                share[root[other]] += members.g[q, e]
                if share[root[other]] * m.inverse[child[q]] >= 0.5:
                    into = root[other]
        for e in range(members.number[q]):
            other = np.int64(m.place[to[q, e]]) if to[q, e] != HELD else n
            if other < n:
                share[root[other]] = 0.0
        if into != q:
            size[q] = 0
            size[into] += 1
            root[q] = into


@inner
def _number_groups(n, members):
    """Number the groups of n children, largest first, into slot; returns how many there are."""
    size, found, left = members.size, 0, n
    while left > 0:
        largest = 0
        for q in range(1, n):
            largest = q if size[q] > size[largest] else largest
        left -= size[largest]
        size[largest] = -1 - found
        found += 1
    for q in range(n):
        members.slot[q] = -1 - size[members.root[q]]
    return found


@inner
def _centre_to_face(m, first, blocks, n, found, members):
    """Resistance from the middle of each of a block's nodes to each face, times all that leaves there.

    Half of one over the links inside the node along that axis, times all that leaves through the face; at
    most a half, the value of a chain of equal links: with more, corrections would overshoot.
    """
    leaving, inside = m.around[:, :6], m.around[:, 6:]
    slot, g = members.slot, members.g
    for s in range(found):
        leaving[s], inside[s] = 0.0, 0.0
    for q in range(n):
        s = slot[q]
        for e in range(members.number[q]):
            f, j = members.face[q, e], members.to[q, e]
            if f == WITHIN:
                continue
            other = np.int64(m.place[j]) if j != HELD else n
            if other < n and members.node[other] == j:
                if slot[other] == s:
                    inside[s, f // 2] += 0.5 * g[q, e]
            else:
                leaving[s, f] += g[q, e]
    for s in range(found):
        for f in range(6):
            half, out = 2.0 * inside[s, f // 2], leaving[s, f]
            way = 0.0 if half == 0.0 else (0.5 if out >= half else out / half)
            m.centre_to_face[f, first + s * blocks - m.node[1]] = way


@inner
def aggregate(m, k, box):
    """Aggregate the nodes of mesh k to nodes of mesh k + 1 in a box of its blocks: the slots that this takes.

    If these are more than there are, not all is written.
    """
    most = 0
    _cz, cy, cx = m.shape[k + 1]
    blocks = m.block[k + 2] - m.block[k + 1]
    lists, ends = m.lists, m.ends
    members = Members(lists[0], lists[1], lists[2], lists[3], lists[4], ends[0], ends[1], m.sums, m.share)
    child, root, size, to, face, g = (members.node, members.root, members.size, members.to, members.face, members.g)
    for zc in range(box[0], box[1]):
        for yy in range(box[2], box[3]):
            for xx in range(box[4], box[5]):
                yc, xc = yy % cy, xx % cx
                n = _drop_grounded(m, children(m, k, zc, yc, xc, child), child)
                for q in range(n):
                    m.place[child[q]], root[q], size[q], members.share[q] = q, q, 0, 0.0
                    members.number[q] = links_of(m, k, child[q], to[q], face[q], g[q])
                _join_strong(m, n, members)
                for q in range(n):
                    size[root[q]] += 1
                _join_enclosed(m, n, members)
                found = _number_groups(n, members)
                most = max(most, found)
                if found > m.slots[k + 1]:
                    continue
                block = (zc * cy + yc) * cx + xc
                first = m.node[k + 1] + block
                if m.nodes[m.block[k + 1] + block] != found:
                    m.nodes[m.block[k + 1] + block] = found
                    m.sink[first] = np.nan  # so that `couple_coarse` sees a change
                for q in range(n):
                    m.parent[child[q]] = first + members.slot[q] * blocks
                _centre_to_face(m, first, blocks, n, found, members)
    return most
