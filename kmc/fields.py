"""The potential that ions feel, solved on a coarse mesh and sharpened on the lattice around the metal.

Poisson's equation with the layers' permittivities is linear in the device voltage, so the potential is kept
as voltage * unit + charge: a new voltage costs no solve. `unit` has the metal at its electronic potential for
one volt, `charge` has the space charge with all metal grounded.
"""

import numpy as np

from . import field_kernels as fk
from .lattice import Lattice, Region
from .model import face_table, permittivities
from .multigrid import Hierarchy, face_conductances
from .state import FIELD, METAL, State
from .units import EPS0

SHARPEN_REACH = 6  # sites around metal on which the lattice takes over from the mesh
SHARPEN_SWEEPS = 16
SOLVE_ETA = 1e-4
CONDUCTOR = 1e9  # relative permittivity of an electrode: the half cell in it takes no voltage


def carrier_sheet(lattice: Lattice) -> np.ndarray:
    """Top plane of the organic layer: where its mobile carriers gather against the crystals' poor conduction.

    They make the interface an equipotential within microseconds (Maxwell-Wagner; the layer's own space-charge
    current refills it), at the voltage the leak leaves to the organic.
    """
    organic = lattice.region == Region.ORGANIC
    top = organic & ~np.roll(organic, -1, axis=0)
    return np.flatnonzero(top & ~lattice.residue)


class Potential:
    """`fields["unit"]` and `fields["charge"]` on the sites for the present metal and space charge."""

    def __init__(self, lattice: Lattice, stack, factor: int):
        self.shape = lattice.shape
        self.factor = factor
        self.spacing = lattice.spacing_nm
        self.fields = np.zeros(lattice.region.size, FIELD)
        values = permittivities(stack)
        self.face = face_table(values)
        cells = tuple(-(-n // factor) for n in self.shape)
        self.fixed = np.zeros(cells, np.uint8)
        self.unit, self.charge = np.zeros(cells), np.zeros(cells)
        #: charge of a mesh cell over EPS0 and the spacing (V times permittivity)
        self.source = np.zeros(cells)
        mean = values.copy()
        mean[[Region.COUNTER, Region.ELECTRODE]] = np.nan
        self.coefficient = _block_mean(mean[lattice.region], factor)
        self.hierarchy: Hierarchy | None = None
        self.solves = 0
        self.sheet = carrier_sheet(lattice) if stack.active is not None else np.zeros(0, np.int64)
        self.sheet_voltage = 0.0
        #: first site of the plane from which on the lattice is sharpened around metal
        self.floor = 0
        if len(self.sheet):
            # Silver that plates the organic shares the sheet's potential: the lattice is sharpened above it.
            plane = self.shape[1] * self.shape[2]
            self.floor = (int(self.sheet.min()) // plane + 3) * plane
        mark = np.zeros(lattice.region.size, bool)
        mark[self.sheet] = True
        self.sheet_cells = mark.reshape([v for n in cells for v in (n, factor)]).any(axis=(1, 3, 5))
        self.fields["unit"][lattice.region.ravel() == Region.ELECTRODE] = 1.0

    def prepare(self, state: State) -> bool:
        """Bring the mesh's held cells and unit potential up to date with the metal; False if they were."""
        before = self.fixed.copy(), self.unit[self.fixed == 1]
        fk.coarsen(state.sites, self.fields, self.factor, *self.shape, self.fixed, self.unit)
        if self.hierarchy is None:
            faces = face_conductances(self.coefficient)
            self.hierarchy = Hierarchy(*faces, None, self.fixed)
        else:
            changed = np.argwhere(before[0] != self.fixed)
            if len(changed) == 0 and np.array_equal(before[1], self.unit[self.fixed == 1]):
                return False
            if len(changed):
                low, high = changed.min(axis=0), changed.max(axis=0) + 1
                self.hierarchy.update((low[0], high[0], low[1], high[1], low[2], high[2]))
        self.hierarchy.solve(None, self.unit, SOLVE_ETA)
        self.solves += 1
        return True

    def forget(self) -> None:
        """Have the mesh solved anew: permittivities may be others than those that its values are of."""
        self.hierarchy = None

    def without_charge(self) -> None:
        """No space charge and no sheet of carriers."""
        self.charge[:], self.source[:], self.sheet_voltage = 0.0, 0.0, 0.0

    def hold_charge(self) -> None:
        """Held values of the charge potential: metal grounded, the sheet of carriers at its own."""
        self.charge[self.fixed == 1] = 0.0
        self.charge[self.sheet_cells] = self.sheet_voltage

    def publish(self, state: State, with_charge: bool) -> None:
        """Values of the mesh at the sites, relaxed on the lattice where there is metal."""
        fk.prolong(state.sites, self.fields, self.factor, *self.shape, self.unit, self.charge, with_charge)
        if not with_charge:
            self.fields["charge"] = 0.0
        metal = np.flatnonzero(state.sites["cation"] == METAL)
        self.fields["charge"][metal] = 0.0
        self.fields["charge"][self.sheet] = self.sheet_voltage
        above = metal[metal >= self.floor]
        if len(above):
            self.relax(state, self.around(above, SHARPEN_REACH), SHARPEN_SWEEPS, 1.5)

    def box_of(self, site: int, reach: int) -> tuple[int, ...]:
        """The sites within `reach` of one along each axis: z0, z1, y0, y1, x0, x1; y, x may run over."""
        _, ny, nx = self.shape
        z, y, x = site // (ny * nx), site // nx % ny, site % nx
        return self._clip(z - reach, z + reach, y - reach, y + reach, x - reach, x + reach)

    def _clip(self, z0, z1, y0, y1, x0, x1) -> tuple[int, ...]:
        """A box of sites (both ends in it) as half-open ranges, at most a period long, off the ends in z."""
        nz, ny, nx = self.shape
        spans = [(max(1, z0), min(nz - 1, z1 + 1))]
        for low, high, n in ((y0, y1 + 1, ny), (x0, x1 + 1, nx)):
            spans.append((0, n) if high - low >= n else (low, high))
        return tuple(int(v) for pair in spans for v in pair)

    def around(self, sites: np.ndarray, reach: int) -> tuple[int, ...]:
        """The smallest box around sites, and `reach` more."""
        z, y, x = np.unravel_index(sites, self.shape)
        (y0, y1), (x0, x1) = (periodic_span(v, n) for v, n in ((y, self.shape[1]), (x, self.shape[2])))
        return self._clip(z.min() - reach, z.max() + reach, y0 - reach, y1 + reach, x0 - reach, x1 + reach)

    def relax(self, state: State, box: tuple[int, ...], sweeps: int, omega: float = 1.3) -> float:
        """Relax the lattice in a box; returns the largest change left at its edge (V at one volt)."""
        omega = omega if sweeps > 1 else 1.0
        return fk.relax(state.sites, self.fields, self.face, self.source, self.factor, *self.shape, box,
                        sweeps, omega)

    def set_charge(self, cells: np.ndarray) -> None:
        """Take over the charge of the mesh cells, in e."""
        self.source[:] = cells / (EPS0 * self.spacing * self.factor)


def periodic_span(values: np.ndarray, n: int) -> tuple[int, int]:
    """Shortest periodic interval [low, high] that holds all values; high may exceed n - 1."""
    ordered = np.unique(values)
    if len(ordered) == 1:
        return int(ordered[0]), int(ordered[0])
    gaps = np.diff(np.append(ordered, ordered[0] + n))
    k = int(np.argmax(gaps))
    low = int(ordered[(k + 1) % len(ordered)])
    high = int(ordered[k])
    return (low, high) if high >= low else (low, high + n)


def _block_mean(values: np.ndarray, factor: int) -> np.ndarray:
    """Mean over blocks of sites, without the electrodes (NaN); a conductor where all is electrode."""
    nz, ny, nx = values.shape
    blocks = values.reshape(nz // factor, factor, ny // factor, factor, nx // factor, factor)
    blocks = blocks.transpose(0, 2, 4, 1, 3, 5).reshape(nz // factor, ny // factor, nx // factor, -1)
    known = ~np.isnan(blocks)
    total = np.where(known, blocks, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), CONDUCTOR)
