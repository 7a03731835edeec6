"""What a filament is to the circuit and to the heat: a two-terminal, and where its heat arises."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

LEAST_BESIDE = 1e-6  # of a closed filament's conductance: open paths beside it that have less are left out
LEAST_SHARE = 1e-7  # of the heat: a site that gives less does not count


class Heated(NamedTuple):
    """Where a filament's heat arises, entry by entry, and what of its links and narrowest bonds ends there.

    sites int64; watts: at one volt, W/V2; siemens: of the links, S; ends int64: 2 p and 2 p + 1 are the sides
    of the p-th link between two clusters, or of a bond where a closed filament is narrowest; -1 is none. They
    lead heat by their conductance, as metal does (Wiedemann-Franz; in contacts of single atoms: Mosso et al.,
    Nat. Nanotechnol. 12, 430 (2017)).
    """

    sites: np.ndarray
    watts: np.ndarray
    siemens: np.ndarray
    ends: np.ndarray

    def in_parallel(self, other: "Heated") -> "Heated":
        """Both, with links of their own."""
        shift = 2 * (self.ends.max(initial=-1) // 2 + 1)
        ends = np.append(self.ends, np.where(other.ends < 0, -1, other.ends + shift))
        return Heated(*map(np.append, self[:3], other[:3]), ends)  # type: ignore[call-arg]


NOT_HEATED = Heated(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))


class Path:
    """The filament as a two-terminal: conductance (S), and its heat, which adds up to the conductance.

    Half of the heat of a ballistic or tunnelling link is on either side of it. It is worked out when it is
    first asked for, which is to be before the network is updated again: of most filaments nobody does.
    """

    def __init__(
        self,
        conductance: float = 0.0,
        bridged: bool = False,
        gap_nm: float = math.inf,
        heat: Callable[[], Heated] | None = None,
    ):
        self.conductance, self.bridged, self.gap_nm = conductance, bridged, gap_nm
        self._heat = heat

    @cached_property
    def heat(self) -> Heated:
        """Joule heat by site, of the entries that count."""
        return self._heat() if self._heat else NOT_HEATED

    def parallel(self, other: "Path") -> "Path":
        """Both paths side by side between the same electrodes; this one where the other adds too little."""
        if other.conductance <= LEAST_BESIDE * self.conductance:
            return self
        return Path(
            self.conductance + other.conductance, self.bridged, self.gap_nm, lambda: self.heat.in_parallel(other.heat)
        )


def unlinked(sites: np.ndarray, watts: np.ndarray) -> Heated:
    """Heat where no link ends."""
    return Heated(sites, watts, np.zeros(len(sites)), np.full(len(sites), -1))


def counted_heat(found: Heated, conductance: float) -> Heated:
    """Joule heat of the entries that count, scaled to add up to the conductance."""
    counts = found.watts > LEAST_SHARE * found.watts.sum()
    sites, watts, siemens, ends = (part[counts] for part in found)
    return Heated(sites.astype(np.int64), watts * (conductance / max(watts.sum(), 1e-300)), siemens, ends)
