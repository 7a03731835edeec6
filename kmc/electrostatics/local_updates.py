"""The potential near changed metal: relaxed on the lattice in small boxes, without a solution of the mesh."""

import math

import numpy as np

from kmc.core.jit_cache import njit
from kmc.electrostatics.potential import SHARPEN_OMEGA, SHARPEN_REACH, SHARPEN_SWEEPS, Potential
from kmc.electrostatics.site_boxes import Box, box_of, cover, union, volume, wider
from kmc.system.state import BEND_REACH, METAL, State

REACH = 6  # sites around a changed metal site that are relaxed at most
MORE = 2  # sweeps than sites of reach: 0.1 kT are left at most, with one it were 0.4
LEAST = 0.1  # of kT/e: a smaller change of potential is left to the next whole solution
MOST = 400  # boxes until the mesh is looked at again
SEEN = 2  # sites beyond a box whose rates its potential enters: a vacancy looks two sites far


@njit
def join(shape, groups, count: int, box, reach: int, back: bool) -> int:
    """Add a box to `groups` [n, 8], or to the first with which it is one of no more sites than the two.

    Columns: the box, the largest reach in it, whether all in it flickered back. Returns how many there are.
    """
    place, both = count, box
    for k in range(count):
        old = groups[k]
        both = union(shape, old, box)
        if volume(both) <= volume(old) + volume(box):
            place, reach, back = k, max(reach, old[6]), back and old[7] > 0
            break
        both = box
    for d in range(6):
        groups[place, d] = both[d]
    groups[place, 6], groups[place, 7] = reach, back
    return max(count, place + 1)


@njit
def gather(sites, shape, changes, least: float, drift: float):
    """Boxes to relax around changes (CHANGE [n]), as `join` has them; the sites that differ; the drift, V.

    What passed beyond a site's event by `least` (V) or less is left, and adds to the drift.
    """
    groups, count = np.empty((changes.size, 8), np.int64), 0
    kept, differ = np.empty(changes.size, np.int64), 0
    for k in range(changes.size):
        site, shift = np.int64(changes[k].site), changes[k].shift
        back = (sites[site].cation == METAL) == (changes[k].was == 1)
        reach = 1
        if not back:
            kept[differ] = site
            differ += 1
            if shift <= least:
                drift += shift
                continue
            far = shift / least
            reach = BEND_REACH + math.ceil(far) if far < REACH - BEND_REACH else REACH
        count = join(shape, groups, count, box_of(shape, site, reach), reach, back)
    return groups[:count], kept[:differ], drift


class Patches:
    """Boxes relaxed since the potential last agreed with the metal everywhere, and what they spilled.

    drift: sum of the changes left at their edges, V, after a wide one the largest; sites: the changed ones.
    """

    def __init__(self, potential: Potential):
        self.potential = potential
        self.clear()

    def clear(self) -> None:
        """The potential agrees with the metal everywhere."""
        self.drift, self.count = 0.0, 0
        self.sites = np.zeros(0, np.int64)

    def follow(
        self, state: State, changes: np.ndarray, voltage_device: float, thermal: float, bound: float
    ) -> list[Box] | None:
        """Relax around the changed sites; returns the boxes whose rates are to be renewed, None: all.

        volts: size of the device voltage; thermal: kT/e; bound: of what may have spilled over, V.
        """
        boxes = self._small(state, changes, voltage_device, thermal)
        return self._wide(state, boxes, voltage_device) if self.drift > bound else boxes

    def _small(self, state: State, changes: np.ndarray, voltage_device: float, thermal: float) -> list[Box]:
        """A box around each site that changed, where more passed beyond the event's own than may be left.

        An atom that flickered back leaves its site where the estimate of its leaving put it: let it settle.
        Boxes that overlap are one, where that has fewer sites.
        """
        groups, kept, self.drift = gather(state.sites, self.potential.shape, changes, LEAST * thermal, self.drift)
        boxes = []
        for *ends, reach, back in groups.tolist():
            spill = self.potential.relax(state, box := tuple(ends), reach + MORE)
            self.drift += 0.0 if back else spill * voltage_device
            boxes.append(wider(self.potential.shape, box, SEEN))
        self.count += len(kept)
        self.sites = np.append(self.sites, kept)
        return boxes

    def _wide(self, state: State, boxes: list[Box], voltage_device: float) -> list[Box] | None:
        """Remove the potential error that the local updates have accumulated.

        If the metal on the mesh has changed, the mesh is solved again. Otherwise the mesh solution still holds, and
        the lattice is relaxed around all sites changed since, in the box and for the sweeps of a whole solution.
        """
        if self.potential.prepare(state):
            self.potential.publish(state, True)
            self.clear()
            return None
        sites = self.sites
        self.clear()
        wide = cover(self.potential.shape, sites, SHARPEN_REACH) if len(sites) else []
        spills = [self.potential.relax(state, box, SHARPEN_SWEEPS, SHARPEN_OMEGA) for box in wide]
        self.drift = voltage_device * max(spills, default=0.0)
        return boxes + [wider(self.potential.shape, box, SEEN) for box in wide]
