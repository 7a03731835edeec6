"""Electrons for ions that touch no metal: they tunnel there from metal that is joined to an electrode.

An island has none to give but what reaches it, so only connected metal, the electrodes and an organic under
the film, whose carriers reach silver on it, are sources. The card's `isolated_redox_factor` is of the nearest
sites; it is what is left of tunnelling over some distance (1.5 nm with the card's), and further away it falls
as tunnelling does. A factor of 1 says that electrons are everywhere. It acts both ways, so there is detailed
balance at every place. It is renewed with the whole solutions of the potential, so silver that joined or
parted since then counts as it did (in a thin film up to 2 ms ago).
"""

import math

import numpy as np

from .lattice import Lattice, Region
from .transport import Network
from .transport_kernels import FLOATING

DECADES = 13.0  # of tunnelling: beyond, nothing is left
_FARTHEST_NM = 8.0  # the same, whatever a card's decade is: the work grows with it
_CELL = 2  # sites along an edge of a cell that shares a distance


class Supply:
    """What is left of the card's `factor`, cell by cell, beside the silver that a Network has seen."""

    def __init__(self, lattice: Lattice, network: Network, factor: float):
        self.network, self.shape = network, lattice.shape
        metal = (lattice.region == Region.ELECTRODE) | (lattice.region == Region.COUNTER)
        sources = metal | network.in_organic.reshape(self.shape)  # where silver is the cathode's
        nz, ny, nx = (n // _CELL for n in self.shape)
        self.given = sources.reshape(nz, _CELL, ny, _CELL, nx, _CELL).any(axis=(1, 3, 5))
        self.cell_nm = _CELL * lattice.spacing_nm
        self.decade_nm = math.log(10) * lattice.spacing_nm / network.decay
        self.near_nm = -math.log10(factor) * self.decade_nm if factor > 0.0 else 0.0
        self.far_nm = min(DECADES * self.decade_nm, _FARTHEST_NM)
        self.everywhere = factor >= 1.0
        self.rim = math.ceil(self.far_nm / self.cell_nm)
        self.seen: np.ndarray | None = None  # cells with a source at the last look

    def follow(self, left: np.ndarray) -> None:
        """Write what is `left` [cells] with the film's silver as the network last saw it."""
        if self.everywhere:
            return
        film = self.network.film
        joined = film[self.network.label[film] < FLOATING]
        sources = self.given.copy()
        sources[tuple(k // _CELL for k in np.unravel_index(joined, self.shape))] = True
        changed = np.ones_like(sources) if self.seen is None else sources != self.seen
        planes = np.flatnonzero(changed.any(axis=(1, 2)))
        self.seen = sources
        if len(planes):
            low, high = max(planes[0] - self.rim, 0), min(planes[-1] + self.rim + 1, len(sources))
            apart = self._apart_nm(sources, low, high)
            beyond = np.maximum(apart - self.near_nm, 0.0) / self.decade_nm
            left.reshape(sources.shape)[low:high] = np.where(apart < self.far_nm, 10.0**-beyond, 0.0)

    def _apart_nm(self, sources: np.ndarray, low: int, high: int) -> np.ndarray:
        """Distance of the cells of some planes to the nearest source, nm, exact up to `far_nm`."""
        from scipy.ndimage import distance_transform_edt

        rim, (_, ny, nx) = self.rim, sources.shape
        below = max(low - rim, 0)
        wide = np.pad(sources[below : high + rim], ((0, 0), (rim, rim), (rim, rim)), mode="wrap")
        if not wide.any():
            return np.full((high - low, ny, nx), np.inf)
        apart = self.cell_nm * distance_transform_edt(~wide)  # of whole numbers: the same in any slab
        return apart[low - below : high - below, rim : rim + ny, rim : rim + nx]
