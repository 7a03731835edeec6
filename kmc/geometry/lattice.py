"""The frozen lattice of one window: what each site is, and where a silver atom fits.

Index order is [z, y, x] (C order, i = (z * ny + y) * nx + x). z = 0 lies in the bottom counter
electrode, z = nz - 1 in the silver electrode; y and x are periodic.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Region(IntEnum):
    """What a site is made of (the code in `Lattice.region`)."""

    COUNTER = 0
    ORGANIC = 1
    CORE = 2
    SURFACE = 3
    GAP = 4
    VOID = 5
    BOUNDARY = 6
    ELECTRODE = 7


#: Regions between the organic layer and the silver electrode.
ACTIVE = (Region.CORE, Region.SURFACE, Region.GAP, Region.VOID, Region.BOUNDARY)
#: Regions in which a silver atom never fits.
SOLID = (Region.CORE, Region.SURFACE)
#: Room for a silver atom: none, free, or between ligand chains that it must push aside.
FULL, OPEN, TIGHT = 0, 1, 2


@dataclass(frozen=True)
class Lattice:
    """Sites of one window; every array is read-only.

    spacing_nm: distance of neighbouring sites (nm).
    region: uint8 [nz, ny, nx], codes of `Region`.
    room: uint8 [nz, ny, nx], OPEN where a silver atom fits, TIGHT where it must push ligand chains aside.
    residue: bool [nz, ny, nx], silver left in the organic layer at t = 0.
    """

    spacing_nm: float
    region: np.ndarray
    room: np.ndarray
    residue: np.ndarray
    hash: str = field(init=False, default="")

    def __post_init__(self) -> None:
        for name, kind in (("region", np.uint8), ("room", np.uint8), ("residue", np.bool_)):
            array = np.ascontiguousarray(getattr(self, name), dtype=kind)
            if array.shape != np.shape(self.region) or array.ndim != 3:
                raise ValueError(f"{name} must have the shape of region, [nz, ny, nx]")
            if array.flags.writeable:
                array = array.copy()
                array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "hash", self._digest())

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self.shape} {self.spacing_nm!r}".encode())
        for array in (self.region, self.room, self.residue):
            digest.update(array.data)
        return digest.hexdigest()[:16]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        return self.region.shape

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.region.size

    @property
    def extent_nm(self) -> tuple[float, float, float]:
        """Lengths along z, y, x (nm)."""
        nz, ny, nx = self.shape
        return nz * self.spacing_nm, ny * self.spacing_nm, nx * self.spacing_nm

    def mask(self, *regions: int) -> np.ndarray:
        """bool [nz, ny, nx]: sites of these regions."""
        wanted = np.zeros(256, dtype=bool)
        wanted[[int(r) for r in regions]] = True
        return wanted[self.region]

    def fraction(self, *regions: int) -> float:
        """Share of these regions in the active layer (0 where there is none)."""
        active = np.count_nonzero(self.mask(*ACTIVE))
        return np.count_nonzero(self.mask(*regions)) / active if active else 0.0

    def fill(self) -> float:
        """Share of the active layer that is perovskite crystal (core and surface)."""
        return self.fraction(*SOLID)

    def room_fraction(self) -> float:
        """Share of the active layer's sites in which a silver atom fits without pushing chains aside."""
        active = self.mask(*ACTIVE)
        count = np.count_nonzero(active)
        return np.count_nonzero(self.room[active] == OPEN) / count if count else 0.0

    def silver_surface(self) -> np.ndarray:
        """int64 [ny, nx]: lowest plane of the silver electrode in each column."""
        return np.argmax(self.region == Region.ELECTRODE, axis=0)

    def organic_surface(self) -> int:
        """First plane above the counter electrode and the organic layer."""
        below = self.mask(Region.COUNTER, Region.ORGANIC).any(axis=(1, 2))
        return int(np.count_nonzero(below))

    def electrode_surface(self) -> np.ndarray:
        """Sites of the silver electrode with an open neighbour."""
        solid = self.region == Region.ELECTRODE
        open_near = np.zeros_like(solid)
        for axis in (1, 2):
            open_near |= ~np.roll(solid, 1, axis) | ~np.roll(solid, -1, axis)
        open_near[1:] |= ~solid[:-1]
        return np.flatnonzero(solid & open_near)

    def thickness_nm(self) -> float:
        """Mean distance of the silver from the organic layer (nm); 0 without an active layer."""
        if not self.mask(*ACTIVE).any():
            return 0.0
        planes = self.silver_surface() - self.organic_surface()
        return float(planes.mean()) * self.spacing_nm

    def roughness_nm(self) -> float:
        """Root-mean-square height of the silver's lower face within this window (nm)."""
        return float(self.silver_surface().std()) * self.spacing_nm
