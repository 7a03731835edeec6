"""The potential near changed metal: relaxed on the lattice in small boxes, without a solution of the mesh."""

import math

import numpy as np

from .fields import SHARPEN_OMEGA, SHARPEN_REACH, SHARPEN_SWEEPS, Potential, volume
from .state import BEND_REACH, METAL, State

REACH = 6  # sites around a changed metal site that are relaxed at most
LEAST = 0.1  # of kT/e: a smaller change of potential is left to the next whole solution
MOST = 400  # boxes until the mesh is looked at again
SEEN = 2  # sites beyond a box whose rates its potential enters: a vacancy looks two sites far

Box = tuple[int, ...]


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

    def follow(self, state: State, changes: np.ndarray, volts: float, thermal: float, bound: float
               ) -> list[Box] | None:
        """Relax around the changed sites; returns the boxes whose rates are to be renewed, None: all.

        volts: size of the device voltage; thermal: kT/e; bound: of what may have spilled over, V.
        """
        boxes = self._small(state, changes, volts, thermal)
        return self._wide(state, boxes, volts) if self.drift > bound else boxes

    def _small(self, state: State, changes: np.ndarray, volts: float, thermal: float) -> list[Box]:
        """A box around each site that changed, where more passed beyond the event's own than may be left.

        An atom that flickered back leaves its site where the estimate of its leaving put it: let it settle.
        Boxes that overlap are one, where that has fewer sites.
        """
        groups: list[tuple[Box, int, bool]] = []  # a box, its reach, whether all in it flickered back
        kept = []
        for site, was, shift, _ in changes.tolist():
            same = (state.sites["cation"][site] == METAL) == was
            if not same:
                kept.append(site)
                if shift <= LEAST * thermal:
                    self.drift += shift
                    continue
            reach = 1 if same else min(BEND_REACH + math.ceil(shift / (LEAST * thermal)), REACH)
            self._join(groups, (self.potential.box_of(site, reach), reach, same))
        for box, reach, same in groups:
            spill = self.potential.relax(state, box, 2 * reach)
            self.drift += 0.0 if same else spill * volts
        self.count += len(kept)
        self.sites = np.append(self.sites, np.array(kept, np.int64))
        return [self.potential.seen(box, SEEN) for box, _, _ in groups]

    def _join(self, groups: list[tuple[Box, int, bool]], new: tuple[Box, int, bool]) -> None:
        """Add a box to groups, or to the first with which it is one of no more sites than the two."""
        for k, old in enumerate(groups):
            both = self.potential.union(old[0], new[0])
            if volume(both) <= volume(old[0]) + volume(new[0]):
                groups[k] = both, max(old[1], new[1]), old[2] and new[2]
                return
        groups.append(new)

    def _wide(self, state: State, boxes: list[Box], volts: float) -> list[Box] | None:
        """Let what spilled over run out.

        A mesh that sees other metal is solved again. Else it has nothing new to tell: the lattice is relaxed
        around all sites changed since, as far and as long as after a whole solution.
        """
        if self.potential.prepare(state):
            self.potential.publish(state, True)
            self.clear()
            return None
        sites = self.sites
        self.clear()
        wide = self.potential.cover(sites, SHARPEN_REACH) if len(sites) else []
        spills = [self.potential.relax(state, box, SHARPEN_SWEEPS, SHARPEN_OMEGA) for box in wide]
        self.drift = volts * max(spills, default=0.0)
        return boxes + [self.potential.seen(box, SEEN) for box in wide]
