"""Compiled minimum cut of a closed filament, its narrowest place, by the maximum flow of one unit a bond."""

import numpy as np

from kmc.core.jit_cache import njit

ANODE_END, CATHODE_END, NONE = -1, -2, -3  # beyond a node's face, beside the numbers of nodes
SOURCE = 6  # no face: an augmenting path begins here
BELOW, BETWEEN, ABOVE = 0, 1, 2  # sides of the narrowest places: on the cathode's of both, on the anode's


@njit
def minimum_cut(to, flow, side) -> int:
    """Number of bonds of the minimum cut, where a filament is narrowest; the sides of its nodes.

    to: as `bonds` gives it; flow, int8 [n, 6], 0 at entry, receives what leaves a node through each face;
    side, uint8 [n], receives each node's. The maximum flow of one unit a bond, by shortest augmenting paths
    (Edmonds & Karp, J. ACM 19, 248 (1972)). Several cuts may be minimal: the nodes that the residual
    network reaches from the anode end at the cut nearest to the anode, and those that reach the cathode begin at the
    cut nearest to the cathode.
    """
    count, below = 0, np.zeros(to.shape[0], np.uint8)
    while augment(to, flow, side, ANODE_END, CATHODE_END):
        count += 1
    residual_to_cathode(to, flow, below)
    for k in range(to.shape[0]):
        side[k] = ABOVE if side[k] else BELOW if below[k] else BETWEEN
    return count


@njit
def residual_to_cathode(to, flow, reaches) -> None:
    """Mark, uint8 [n], the nodes from which the residual network leads to the cathode."""
    queue, last = np.empty(to.shape[0], np.int32), 0
    reaches[:] = 0
    for k in range(to.shape[0]):
        for d in range(6):
            if to[k, d] == CATHODE_END and flow[k, d] <= 0 and reaches[k] == 0:
                reaches[k], queue[last] = 1, k
                last += 1
    first = 0
    while first < last:
        k = queue[first]
        first += 1
        for d in range(6):
            m = to[k, d]
            if m >= 0 and reaches[m] == 0 and flow[m, d ^ 1] <= 0:
                reaches[m], queue[last] = 1, m
                last += 1


@njit
def augment(to, flow, reached, start: int, goal: int) -> bool:
    """Augment the flow by one unit from a node or ANODE_END to a node or CATHODE_END, if a path is left.

    reached, uint8 [n]: receives 1 on the nodes that were looked at.
    """
    entered_by, queue = np.empty(to.shape[0], np.int8), np.empty(to.shape[0], np.int32)
    first, last = 0, 0
    reached[:] = 0
    if start >= 0:
        reached[start], entered_by[start], queue[0] = 1, SOURCE, start
        last = 1
    else:
        for k in range(to.shape[0]):
            for d in range(6):
                if to[k, d] == ANODE_END and flow[k, d] == 0 and reached[k] == 0:
                    reached[k], entered_by[k], queue[last] = 1, d, k
                    last += 1
    while first < last:
        k = queue[first]
        first += 1
        if k == goal:
            _trace_back(to, flow, entered_by, k)
            return True
        for d in range(6):
            m = to[k, d]
            if flow[k, d] > 0 or m == NONE or m == ANODE_END:
                continue
            if m == CATHODE_END:
                if goal == CATHODE_END:
                    flow[k, d] += 1
                    _trace_back(to, flow, entered_by, k)
                    return True
            elif reached[m] == 0:
                reached[m], entered_by[m], queue[last] = 1, d ^ 1, m
                last += 1
    return False


@njit
def _trace_back(to, flow, entered_by, k: int):
    """Add a unit along the augmenting path to node k; entered_by: face through which each was reached."""
    while entered_by[k] != SOURCE:
        d = np.int64(entered_by[k])
        flow[k, d] -= 1
        if to[k, d] < 0:
            return
        k = to[k, d]
        flow[k, d ^ 1] += 1


@njit
def side_beyond(to, side, k: int, d: int) -> int:
    """The side of what a bond through a face leads to; the node's own where there is none."""
    m = to[k, d]
    if m == ANODE_END:
        return ABOVE
    if m == CATHODE_END:
        return BELOW
    return int(side[k if m == NONE else m])


@njit
def cuts_crossed(to, side, k: int, d: int) -> int:
    """In how many of the two extreme minimum cuts the bond through a face is: in both, where they are one."""
    return abs(np.int64(side[k]) - side_beyond(to, side, k, d))


@njit
def augment_through(to, flow, reached, a: int, b: int) -> bool:
    """Augment the flow by a unit through a link of a and b (a node or an electrode's end), if it can be."""
    if b == ANODE_END:
        return augment(to, flow, reached, a, CATHODE_END)
    if b == CATHODE_END:
        return augment(to, flow, reached, ANODE_END, a)
    before = flow.copy()
    if augment(to, flow, reached, ANODE_END, b) and augment(to, flow, reached, a, CATHODE_END):
        return True
    flow[:] = before
    return False
