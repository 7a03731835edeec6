"""Electrons for ions that touch no metal: from how far, and at which potential, they tunnel there.

An island has none to give but what reaches it, so only connected metal, the electrodes and an organic under
the film, whose carriers reach silver on it, are sources. The card's `isolated_redox_factor` is of the nearest
sites; it is what is left of tunnelling over some distance (1.5 nm with the card's), and further away it falls
as tunnelling does. A factor of 1 says that electrons are everywhere, at the potential of the nearest source.
They go to the nearest of the cathode's sources and to the nearest of the anode's, at the potential of each,
and it acts both ways: so each of the two is in detailed balance with silver that touches metal, at every
place. It is renewed with the whole solutions of the potential, so silver that joined or parted since then
counts as it did (in a thin film up to 2 ms ago).
"""

import math

import numpy as np

from kmc.electrostatics.potential import Potential
from kmc.geometry.lattice import Lattice, Region
from kmc.system.state import SIDES, State
from kmc.transport.clusters import ANODE, FLOATING
from kmc.transport.nearest_metal import nearest_cells
from kmc.transport.network import Network

DECADES = 13.0  # of tunnelling: beyond, nothing is left
_FARTHEST_NM = 8.0  # the same, whatever a card's decade is: the work grows with it
_CELL = 2  # sites along an edge of a cell that shares a distance
_SOURCE = np.dtype([("some", "f8"), ("unit", "f8"), ("space_potential", "f8")])  # of a cell: sites and sums of them


class Supply:
    """Of each cell and side: what is left of the card's `factor`, and the potential of the electrons."""

    def __init__(self, lattice: Lattice, network: Network, factor: float):
        self.network, self.sites = network, lattice.shape
        self.shape = tuple(n // _CELL for n in lattice.shape)
        region, count = lattice.region.ravel(), math.prod(self.shape)
        organic = np.bincount(self._cells(np.flatnonzero(network.in_organic)), minlength=count)
        counter, electrode = (
            np.bincount(self._cells(np.flatnonzero(region == kind)), minlength=count)
            for kind in (Region.COUNTER, Region.ELECTRODE)
        )
        self.fixed = np.zeros((SIDES, count), _SOURCE)
        self.fixed["some"] = counter + organic, electrode
        self.fixed["unit"][1] = electrode
        self.carriers = organic.astype(float)
        self.sources = self.fixed.copy()  # with the film's silver, as of the last look
        self.silver = [np.zeros(0, np.int64)] * SIDES  # cells that have some of it
        self.sheet_voltage = 0.0
        self.cell_nm = _CELL * lattice.spacing_nm
        self.decade_nm = math.log(10) * lattice.spacing_nm / network.decay
        self.near_nm = -math.log10(factor) * self.decade_nm if factor > 0.0 else 0.0
        self.far_nm = min(DECADES * self.decade_nm, _FARTHEST_NM)
        self.everywhere = factor >= 1.0
        self.reach = max(self.shape) if self.everywhere else math.ceil(self.far_nm / self.cell_nm)
        #: what is left by squared distance in cells; nothing of the last and all beyond
        self.attenuation = self._attenuation(np.arange(3 * self.reach**2 + 2))
        self.anew = True  # the next look is to write all

    def follow(self, state: State, potential: Potential) -> None:
        """Write `state.supply` for the film's silver as the network last saw it."""
        changed = self._update_sources(potential.fields, potential.sheet_voltage)
        if self.anew:
            changed = np.arange(self.sources.shape[1])
        if len(changed) == 0:
            return
        self.anew = False
        plane = self.shape[1] * self.shape[2]
        low = max(int(changed.min()) // plane - self.reach, 0)
        high = min(int(changed.max()) // plane + self.reach + 1, self.shape[0])
        nearest = [
            nearest_cells(some.reshape(self.shape), self.reach, low, high) for some in self.sources["some"] > 0.0
        ]
        for side, (square, which) in enumerate(nearest):
            out, found = state.supply[side].reshape(self.shape)[low:high], self.sources[side][which]
            for name in ("unit", "space_potential"):
                out[name] = found[name] / np.maximum(found["some"], 1.0)
            out["left"] = self.attenuation[np.minimum(square, len(self.attenuation) - 1)]
            if self.everywhere:  # of what is nearest alone, of the cathode's where both are
                other = nearest[1 - side][0]
                out["left"] = square <= other if side == 0 else square < other

    def _attenuation(self, square: np.ndarray) -> np.ndarray:
        """What tunnelling leaves at squared distances in cells."""
        apart = self.cell_nm * np.sqrt(square)
        beyond = np.maximum(apart - self.near_nm, 0.0) / self.decade_nm
        return np.where((apart < self.far_nm) & (square < square[-1]), 10.0**-beyond, 0.0)

    def _update_sources(self, fields: np.ndarray, sheet_voltage: float) -> np.ndarray:
        """Bring the sources up to date; returns the cells whose sources or their potentials are others."""
        film = self.network.film
        label, changed = self.network.label[film], []
        if sheet_voltage != self.sheet_voltage:
            moved = np.flatnonzero(self.carriers)
            self.fixed["space_potential"][0], self.sheet_voltage = (sheet_voltage * self.carriers, sheet_voltage)
            self.sources["space_potential"][0][moved] = self.fixed["space_potential"][0][moved]
            changed.append(moved)
        for side, joined in enumerate(((label < FLOATING) & (label != ANODE), label == ANODE)):
            sites = film[joined]
            cells, place = np.unique(self._cells(sites), return_inverse=True)
            every = np.union1d(cells, self.silver[side])
            now, at = self.fixed[side][every], np.searchsorted(every, cells)
            for name in ("some", "unit", "space_potential"):
                values = None if name == "some" else fields[name][sites]
                now[name][at] += np.bincount(place, values, len(cells))
            changed.append(every[now != self.sources[side][every]])
            self.sources[side][every], self.silver[side] = now, cells
        return np.concatenate(changed)

    def _cells(self, sites: np.ndarray) -> np.ndarray:
        """Number of the cell that each site is in."""
        places = tuple(k // _CELL for k in np.unravel_index(sites, self.sites))
        return np.ravel_multi_index(places, self.shape)
