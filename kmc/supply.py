"""Electrons for ions that touch no metal: they tunnel there from metal that is joined to an electrode.

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

from .fields import Potential
from .lattice import Lattice, Region
from .state import SIDES, State
from .transport import Network
from .transport_kernels import ANODE, FLOATING

DECADES = 13.0  # of tunnelling: beyond, nothing is left
_FARTHEST_NM = 8.0  # the same, whatever a card's decade is: the work grows with it
_CELL = 2  # sites along an edge of a cell that shares a distance
_NOWHERE = 1 << 62
_SOURCE = np.dtype([("some", "f8"), ("unit", "f8"), ("charge", "f8")])  # sites, and their sums; or their mean


class Supply:
    """What is left of the card's `factor`, cell by cell, beside the silver that a Network has seen."""

    def __init__(self, lattice: Lattice, network: Network, factor: float):
        self.network, self.sites = network, lattice.shape
        self.shape = tuple(n // _CELL for n in lattice.shape)
        region = lattice.region.ravel()
        self.fixed = np.zeros((SIDES, math.prod(self.shape)), _SOURCE)
        self.fixed["some"][0] = self._sums(np.flatnonzero((region == Region.COUNTER) | network.in_organic))
        self.fixed["some"][1] = self.fixed["unit"][1] = self._sums(np.flatnonzero(region == Region.ELECTRODE))
        self.carriers = self._sums(np.flatnonzero(network.in_organic))
        self.cell_nm = _CELL * lattice.spacing_nm
        self.decade_nm = math.log(10) * lattice.spacing_nm / network.decay
        self.near_nm = -math.log10(factor) * self.decade_nm if factor > 0.0 else 0.0
        self.far_nm = min(DECADES * self.decade_nm, _FARTHEST_NM)
        self.everywhere = factor >= 1.0
        self.rim = max(self.shape) if self.everywhere else math.ceil(self.far_nm / self.cell_nm)
        self.seen: np.ndarray | None = None  # _SOURCE [SIDES, cells]: means at the last look

    def follow(self, state: State, potential: Potential) -> None:
        """Write `state.supply` for the film's silver as the network last saw it."""
        sources = self._sources(potential.fields, potential.sheet_voltage)
        changed = np.ones(sources.shape, bool) if self.seen is None else sources != self.seen
        planes = np.flatnonzero(changed.reshape(SIDES, self.shape[0], -1).any(axis=(0, 2)))
        self.seen = sources
        if len(planes) == 0:
            return
        low, high = max(planes[0] - self.rim, 0), min(planes[-1] + self.rim + 1, self.shape[0])
        nearest = [self._nearest(some, low, high) for some in sources["some"] > 0.0]
        for side, (square, which) in enumerate(nearest):
            out = state.supply[side].reshape(self.shape)[low:high]
            found = sources[side][which]
            out["unit"], out["charge"] = found["unit"], found["charge"]
            if self.everywhere:  # a cell as near to both has the cathode's
                other = nearest[1 - side][0]
                out["left"] = square <= other if side == 0 else square < other
            else:
                apart = self.cell_nm * np.sqrt(square)
                beyond = np.maximum(apart - self.near_nm, 0.0) / self.decade_nm
                out["left"] = np.where(apart < self.far_nm, 10.0**-beyond, 0.0)

    def _sources(self, fields: np.ndarray, sheet_voltage: float) -> np.ndarray:
        """The sources of each cell and their mean potentials, V."""
        film = self.network.film
        label = self.network.label[film]
        sources = self.fixed.copy()
        sources["charge"][0] += sheet_voltage * self.carriers
        for side, joined in enumerate(((label < FLOATING) & (label != ANODE), label == ANODE)):
            sites = film[joined]
            sources["some"][side] += self._sums(sites)
            for name in ("unit", "charge"):
                sources[name][side] += self._sums(sites, fields[name][sites])
        for name in ("unit", "charge"):
            sources[name] /= np.maximum(sources["some"], 1.0)
        return sources

    def _sums(self, sites: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """How many sites each cell has, or the sums of their values, float64 [cells]."""
        places = tuple(k // _CELL for k in np.unravel_index(sites, self.sites))
        cells = np.ravel_multi_index(places, self.shape)
        return np.bincount(cells, values, math.prod(self.shape)).astype(float)

    def _nearest(self, some: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distance (in cells) of each cell of some planes to the nearest that has sources, and that
        cell's number; of cells as near the first, whatever the planes. Exact up to `far_nm`.

        Axis by axis on one number, distance before cell. No source within reach: at least _NOWHERE's.
        """
        count, below = some.size, max(low - self.rim, 0)
        own = np.where(some, np.arange(count), _NOWHERE).reshape(self.shape)[below : high + self.rim]
        for axis in (2, 1):
            reach = min(self.rim, own.shape[axis] // 2)
            own = np.minimum.reduce([np.roll(own, k, axis) + k * k * count for k in range(-reach, reach + 1)])
        out = np.full((high - low, *own.shape[1:]), _NOWHERE)
        for k in range(-self.rim, self.rim + 1):
            first, last = max(low + k, below), min(high + k, below + len(own))
            if first < last:
                part = out[first - k - low : last - k - low]
                np.minimum(part, own[first - below : last - below] + k * k * count, out=part)
        return out // count, out % count
