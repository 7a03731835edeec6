"""Compiled search for the clusters of metal, and how they are kept where little changed."""

import numpy as np

from kmc.core.jit_cache import njit
from kmc.system.neighbours import parted
from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, IN_FILAMENT, IN_STUMP, METAL
from kmc.transport.minimum_cut import ABOVE, BELOW

#: labels; floating clusters are FLOATING, FLOATING + 1, ...
CATHODE, ANODE, BRIDGE, PLATED, FLOATING = 1, 2, 3, 4, 5


@njit
def neighbour(i: int, d: int, shape) -> int:
    """Site next to i in direction d, as `kmc.system.neighbours` has them; -1 past the ends of z.

    shape: nz, ny, nx, of which y and x are periodic.
    """
    return neighbour_at(i, i % shape[2], i // shape[2] % shape[1], d, shape)


@njit
def neighbour_at(i: int, x: int, y: int, d: int, shape) -> int:
    """The same, of a site at x and y."""
    nz, ny, nx = shape
    plane = ny * nx
    if d == 0:
        return i - 1 if x > 0 else i + nx - 1
    if d == 1:
        return i + 1 if x < nx - 1 else i - nx + 1
    if d == 2:
        return i - nx if y > 0 else i + plane - nx
    if d == 3:
        return i + nx if y < ny - 1 else i - plane + nx
    j = i - plane if d == 4 else i + plane
    return j if 0 <= j < nz * plane else -1


@njit
def _contact(sites, in_organic, j: int) -> int:
    """What silver touches on a site: ANODE or CATHODE, which it joins; PLATED, the organic, on which it lies;
    FLOATING, silver of the film; 0, nothing."""
    cation = sites[j].cation
    if cation == ELECTRODE_METAL:
        return ANODE
    if cation == COUNTER_METAL or (cation == METAL and in_organic[j]):
        return CATHODE
    if cation == METAL:
        return FLOATING
    return PLATED if in_organic[j] else 0


@njit
def _label_of(contacts: int) -> int:
    """Label of a cluster by what it touches, a bit for each; 0 for an island."""
    if contacts >> CATHODE & 1 and contacts >> ANODE & 1:
        return BRIDGE
    if contacts >> ANODE & 1:
        return ANODE
    if contacts >> CATHODE & 1:
        return CATHODE
    return PLATED if contacts >> PLATED & 1 else 0


@njit
def _bridge_mark(label: int) -> int:
    """Mark of a cluster's atoms in `State.bridge`."""
    return IN_FILAMENT if label == BRIDGE else IN_STUMP if label != PLATED else 0


@njit
def label_clusters(sites, in_organic, atoms, label, bridge, shape) -> int:
    """Label connected metal atoms (sites `atoms`, outside the organic layer); returns one past the last.

    Silver in the organic layer belongs to the cathode, as the counter electrode does. Silver that only lies
    on the organic (PLATED) has its potential, for the organic's carriers reach it; they carry no filament's
    current. `label` int32 [N] and `bridge` [N] (IN_FILAMENT, IN_STUMP or 0) are written on all atoms.
    """
    following, nx, ny = FLOATING, shape[2], shape[1]
    stack = np.empty(atoms.size, np.int32)
    for i in atoms:
        label[i] = 0
    for first in atoms:
        if label[first] != 0:
            continue
        top, count, contacts = 1, 0, 0
        stack[0] = first
        label[first] = -1
        while top > count:  # breadth first; stack[:top] ends as the cluster
            i = stack[count]
            count += 1
            x, y = i % nx, i // nx % ny
            for d in range(6):
                j = neighbour_at(i, x, y, d, shape)
                if j < 0:
                    continue
                what = _contact(sites, in_organic, j)
                contacts |= 1 << what
                if what == FLOATING and label[j] == 0:
                    label[j] = -1
                    stack[top] = j
                    top += 1
        name = _label_of(contacts)
        if name == 0:
            name = following
            following += 1
        for k in range(top):
            label[stack[k]] = name
            bridge[stack[k]] = _bridge_mark(name)
    return following


@njit
def update_labels(sites, in_organic, changed, label, bridge, grid) -> bool:
    """Label the one atom that came to an open filament without islands, or went, if that is all that changed.

    changed: the only sites where metal may differ; label: 0 where there was none. Atoms that went and came
    back get their marks again. False where there is more, or clusters may have joined, parted or become
    others: then `label_clusters` is to be asked.
    """
    differ, site = 0, np.int64(0)
    for i in changed:
        if in_organic[i]:
            return False
        if (sites[i].cation == METAL) != (label[i] > 0):
            differ, site = differ + 1, np.int64(i)
        elif label[i] > 0:  # it went and came back
            bridge[i] = _bridge_mark(label[i])
    if differ != 1:
        return differ == 0
    shape, x, y = (grid.nz, grid.ny, grid.nx), site % grid.nx, site // grid.nx % grid.ny
    contacts, clusters = 0, 0  # bits, as those of `_label_of`
    for d in range(6):
        j = neighbour_at(site, x, y, d, shape)
        if j < 0:
            continue
        what = _contact(sites, in_organic, j)
        if what == FLOATING:
            clusters |= 1 << label[j]
        else:
            contacts |= 1 << what
    if sites[site].cation != METAL:
        label[site] = 0
        lies = contacts >> PLATED & 1 and clusters == 1 << PLATED  # it may be all that touched the organic
        return clusters == 0 or not (lies or parted(sites, grid, site))
    own = _label_of(contacts | clusters)
    if own == 0 or own == BRIDGE or (clusters != 0 and clusters != 1 << own):
        return False
    label[site] = own
    bridge[site] = _bridge_mark(own)
    return True


@njit
def classify_silver(film, label, side, fields):
    """Sort the film's silver by what its clusters touch.

    side [N]: ABOVE for silver on the electrode, else BELOW. Without a filament that joins the electrodes, the
    many that lie on the organic have the cathode's unit potential.
    Returns its labels [film]; whether the electrodes are joined; sites of what only lies on the organic [m];
    sites and labels of the others [film - m].
    """
    own, plated, atoms = label[film], np.empty(film.size, film.dtype), np.empty(film.size, film.dtype)
    names, count, lying, bridged = np.empty(film.size, own.dtype), 0, 0, False
    for k in range(film.size):
        side[film[k]] = ABOVE if own[k] == ANODE else BELOW
        bridged = bridged or own[k] == BRIDGE
        if own[k] == PLATED:
            plated[lying] = film[k]
            lying += 1
        else:
            atoms[count], names[count] = film[k], own[k]
            count += 1
    for i in plated[: 0 if bridged else lying]:
        fields[i].unit = 0.0
    return own, bridged, plated[:lying], atoms[:count], names[:count]
