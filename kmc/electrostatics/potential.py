"""The potential that ions feel, solved on a coarse mesh and sharpened on the lattice around the metal.

Poisson's equation with the layers' permittivities is linear in the device voltage, so the potential is kept
as voltage_device * unit + space_potential: a new voltage costs no solve. `unit` has the metal at its
electronic potential for one volt, `space_potential` has the space charge with all metal grounded.
"""

from functools import partial

import numpy as np

from kmc.core.units import EPS0
from kmc.electrostatics import lattice_relaxation as rk
from kmc.electrostatics import mesh_transfer as fk
from kmc.electrostatics.lattice_relaxation import Screen
from kmc.electrostatics.mesh import Mesh, carrier_sheet
from kmc.electrostatics.site_boxes import Box, cover
from kmc.geometry.lattice import Lattice, Region
from kmc.solvers.multigrid.solver import Hierarchy
from kmc.system.metal_sites import plate
from kmc.system.parameter_tables import face_table, permittivities
from kmc.system.state import FIELD, METAL, State

SHARPEN_REACH = 6  # sites around metal on which the lattice takes over from the mesh
SHARPEN_SWEEPS, SHARPEN_OMEGA = 16, 1.6  # leave 0.01 kT beside a closed filament, 16 and 1.5 left 0.05 kT
FACING_REACH, FACING_SWEEPS, FACING_OMEGA = 4, 18, 1.7  # along the electrode: leave 0.1 kT to 0.6 kT at 0.6 V
SCREEN_SWEEPS = 2  # of those, after which the vacancies follow by a step of Newton's method
TANGENT = 0.1  # of kT/e, over which they follow one: to 1 in 2,000 of a full site, 1 in 200 of few vacancies
SHEET_SWEEPS, SHEET_OMEGA = 12, 1.5  # above the organic, for a cell of the mesh: leave 0.06 mV of 100 mV
BOX_OMEGA = 1.3  # of small boxes, with sweeps as in `patches`
SOLVE_ETA = 1e-4


class Potential:
    """`fields["unit"]` and `fields["space_potential"]` on the sites for the present metal and space charge."""

    def __init__(self, lattice: Lattice, stack, factor: int):
        self.shape = lattice.shape
        assert self.shape[1] % 2 == self.shape[2] % 2 == 0, "windows are even: see relax_kernels"
        self.factor = factor
        self.spacing = lattice.spacing_nm
        self.fields = np.zeros(lattice.region.size, FIELD)
        self.face = face_table(permittivities(stack))
        self.sheet = carrier_sheet(lattice) if stack.active is not None else np.zeros(0, np.int64)
        self.mesh = Mesh(lattice, factor, self.sheet)
        cells = self.mesh.cells
        self.fixed = np.zeros(cells, np.uint8)
        self.unit, self.space_potential = np.zeros(cells), np.zeros(cells)
        #: charge of a mesh cell over EPS0 and the spacing (V times permittivity)
        self.source = np.zeros(cells)
        self.ions = np.zeros(cells)  # of the ions alone
        #: of a cell's charge, on each of its open sites and over their shorter edge
        self.share = np.full(cells, 1.0 / factor**2)
        self.hierarchy: Hierarchy | None = None
        self.solves = 0
        self.sheet_voltage = 0.0
        #: sites of silver that only lies on the organic: at the sheet's potential, as its surroundings
        self.plated = np.zeros(0, np.int32)
        #: planes above the carriers, where the potential has the largest curvature: the lattice is always relaxed there
        self.above_sheet = (self.mesh.base, min(self.mesh.base + 1 + factor, self.shape[0] - 1))
        if not self.mesh.base or factor == 1:
            self.above_sheet = (0, 0)
        #: first site above the carriers, from which on the lattice is sharpened around metal
        self.floor = self.mesh.base * self.shape[1] * self.shape[2]
        self.fields["unit"][lattice.region.ravel() == Region.ELECTRODE] = 1.0
        #: permittivities of the mesh's faces, gz, gy and gx
        self.faces = self.mesh.faces(lattice, stack)
        self.faces_with = partial(self.mesh.faces, lattice, stack)  # metal where a cell is a site
        self.planes = self.mesh.planes()
        #: boxes along the rough electrode, whose surface lies within cells
        self.facing = cover(self.shape, lattice.electrode_surface(), FACING_REACH) if factor > 1 else []

    def prepare(self, state: State) -> bool:
        """Bring the mesh's held cells and unit potential up to date with the metal; False if they were."""
        before = self.fixed.copy(), self.unit[self.fixed == 1]
        mesh = self.mesh
        fk.coarsen(state.sites, self.fields, self.transfer(), self.fixed, self.unit, self.share)
        changed = np.argwhere(before[0] != self.fixed)
        if self.hierarchy is None or len(changed):
            self.renew_faces()
        if self.hierarchy is None:
            self.hierarchy = Hierarchy(*self.faces, mesh.link, self.fixed)
        else:
            if len(changed) == 0 and np.array_equal(before[1], self.unit[self.fixed == 1]):
                return False
            if len(changed):
                low, high = changed.min(axis=0), changed.max(axis=0) + 1
                self.hierarchy.update((low[0], high[0], low[1], high[1], low[2], high[2]))
        self.hierarchy.solve(mesh.link, self.unit, SOLVE_ETA)
        self.solves += 1
        return True

    def transfer(self) -> fk.Transfer:
        """How the sites and the mesh lie on each other."""
        mesh = self.mesh
        return fk.Transfer(self.factor, self.shape, mesh.start, mesh.sheet, mesh.skipped, mesh.rough_plane)

    def renew_faces(self) -> None:
        """Faces of the finest mesh for the held metal; of others they are the layers' alone."""
        if self.factor == 1:
            fine = self.faces_with((self.fixed == 1) & (self.mesh.sheet == 0))
            for old, new in zip(self.faces, fine, strict=True):
                old[:] = new

    def forget(self) -> None:
        """Have the mesh solved anew: permittivities may be others than those that its values are of."""
        self.hierarchy = None

    def without_charge(self) -> None:
        """No space charge and no sheet of carriers."""
        self.space_potential[:], self.source[:], self.fields["source"], self.sheet_voltage = (0.0, 0.0, 0.0, 0.0)

    def plate(self, state: State, sites: np.ndarray) -> np.ndarray:
        """What silver lies on the organic alone: at the sheet's potential from now on; what did, no more.

        Returns the sites whose potential this moves.
        """
        before, self.plated = self.plated, sites
        return plate(state.sites, self.fields, before, sites, self.sheet_voltage)

    def hold_charge(self, state: State) -> None:
        """Held values of the charge potential: metal grounded, the sheet of carriers at its own.

        What plates the organic is at the sheet's; a cell with other metal, too, is at the mean of its atoms.
        """
        self.space_potential[self.fixed == 1] = 0.0
        metal = np.flatnonzero(state.sites["cation"] >= METAL)
        some, plated = (self._count(sites) for sites in (metal, self._plated(state)))
        held = (plated > 0) & (self.fixed == 1)
        self.space_potential[held] = self.sheet_voltage * plated[held] / some[held]
        self.space_potential[self.mesh.sheet == 1] = self.sheet_voltage

    def _count(self, sites: np.ndarray) -> np.ndarray:
        """How many of some sites are in each cell of the mesh."""
        count = np.bincount(self._cells(sites), minlength=self.fixed.size)
        return count.reshape(self.fixed.shape)

    def _cells(self, sites: np.ndarray) -> np.ndarray:
        """Number of the mesh's cell that each site is in."""
        places = tuple(k // self.factor for k in np.unravel_index(sites, self.shape))
        return np.ravel_multi_index(places, self.fixed.shape)

    def ions_on(self, sites: np.ndarray) -> np.ndarray:
        """What of its cell's ions a site has that is taken no more, V times permittivity."""
        share = self.share / (1.0 + self.share / self.factor)
        return (self.ions * share).ravel()[self._cells(sites)]

    def _plated(self, state: State) -> np.ndarray:
        """Sites of the atoms that plate the organic and are still there."""
        return self.plated[state.sites["cation"][self.plated] == METAL]

    def lay_charge(self, state: State, ions: np.ndarray) -> None:
        """The charge of the mesh's cells on their sites; `ions`: that of the ions among it, in e."""
        self.ions[:] = ions / (EPS0 * self.spacing * self.factor)
        fk.lay(state.sites, self.fields, self.transfer(), self.source, self.share)

    def publish(self, state: State, with_charge: bool, screen: Screen | None = None) -> None:
        """Values of the mesh at the sites, relaxed on the lattice where there is metal.

        With `screen` vacancies are in equilibrium there site by site, else where they were.
        """
        mesh, planes = self.transfer(), tuple(self.planes)
        fk.prolong(state.sites, self.fields, mesh, planes, self.unit, self.space_potential, with_charge)
        if not with_charge:
            self.fields["space_potential"] = 0.0
        metal = np.flatnonzero(state.sites["cation"] == METAL)
        self.fields["space_potential"][metal] = 0.0
        self.fields["space_potential"][self.sheet] = self.sheet_voltage
        self.fields["space_potential"][self._plated(state)] = self.sheet_voltage
        for box in self.facing:
            self._sharpen(state, box, FACING_SWEEPS, FACING_OMEGA, screen)
        above = metal[metal >= self.floor]
        if len(above):
            for box in cover(self.shape, above, SHARPEN_REACH):
                self._sharpen(state, box, SHARPEN_SWEEPS, SHARPEN_OMEGA, screen)
        low, high = self.above_sheet
        if high > low:
            self.relax(state, (low, high, 0, self.shape[1], 0, self.shape[2]), SHEET_SWEEPS, SHEET_OMEGA)

    def _sharpen(self, state: State, box: Box, sweeps: int, omega: float, screen: Screen | None) -> None:
        """Relax the lattice in a box by metal, with vacancies in equilibrium on each site where they are."""
        if screen is None or self.factor == 1:
            self.relax(state, box, sweeps, omega)
            return
        schedule = rk.Schedule(sweeps // SCREEN_SWEEPS, SCREEN_SWEEPS, omega, TANGENT)
        cells = rk.CellIons(self.factor, self.ions, self.share)
        rk.screened(state.sites, self.fields, self.face, self.shape, box, schedule, cells, screen)

    def relax(self, state: State, box: Box, sweeps: int, omega: float = BOX_OMEGA) -> float:
        """Relax the lattice in a box; returns the largest change at its edge (V at one volt)."""
        return rk.relax(state.sites, self.fields, self.face, self.shape, box, sweeps, omega)

    def solve_charge(self, cells: np.ndarray) -> None:
        """Charge potential of the mesh for a charge of its cells, in e."""
        self.source[:] = cells / (EPS0 * self.spacing * self.factor)
        assert self.hierarchy is not None  # `prepare` made it
        self.hierarchy.solve(self.source, self.space_potential, SOLVE_ETA)
