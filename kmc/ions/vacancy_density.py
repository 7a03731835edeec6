"""Bromide vacancies in conserved quasi-equilibrium: an acceleration of their explicit hops.

Vacancies follow the potential within microseconds, silver within milliseconds, so between field updates they
are taken at equilibrium: n = n_max / (1 + exp((phi - mu) / kT)) a cell, with a site limit, `mu` from their
conserved number, and the fixed counter-charge of a neutral film
(Kornyshev, J. Phys. Chem. B 111, 5545 (2007)).
"""

import numpy as np

from kmc.core.errors import UserError
from kmc.core.units import EPS0, K_B
from kmc.electrostatics.lattice_relaxation import Screen
from kmc.electrostatics.mesh import Mesh
from kmc.electrostatics.rough_electrode import places
from kmc.geometry.lattice import ACTIVE, Lattice, Region
from kmc.ions.site_charge import hold_open
from kmc.solvers.multigrid.solver import Hierarchy
from kmc.system.state import KIND_VACANCY, METAL, Grid, State

NEWTON_STEPS = 1000  # ten at room temperature, some thirty at 10 K
TOLERANCE_V, TOLERANCE_KT = 2e-3, 0.1  # the lesser: a step is about kT/e where vacancies are too many
SLOPES = 30  # of the free energy that are looked at along a step, at most
NEARLY_FLAT = 0.1  # of the slope at its start: there a step ends
INNER_ETA = 0.01


class VacancyEquilibrium:
    """Vacancy number by mesh cell, and the potential of all space charge, solved together (Newton).

    Sites between a node and the rough electrode feel both, by how near they are (`rough.Places`): a vacancy
    there is felt by the node for the rest, and by the electrode, which answers with its image.

    `free`: cells that nothing holds at the start. What is built in elsewhere would leave its counter-charge
    there and charge the rest of the film.
    """

    def __init__(self, lattice: Lattice, stack, mesh: Mesh, stage_K: float, free: np.ndarray):
        factor = mesh.factor
        self.thermal = K_B * stage_K
        self.scale = 1.0 / (EPS0 * lattice.spacing_nm * factor)
        self.fixed_charge, self.most = vacancy_cells(lattice, stack, factor)
        #: the same by region of a site, over EPS0 and the spacing
        built_in, most = vacancy_sites(stack, lattice.spacing_nm)
        self.built_in, self.room = (part / (EPS0 * lattice.spacing_nm) for part in (built_in, most))
        by_site = (most[lattice.region], built_in[lattice.region])
        self.places, felt = places(mesh.near, factor, *by_site)
        self.fixed_charge[~free] = 0.0
        self.felt_charge = np.where(free, felt.reshape(free.shape), 0.0)  # of what is built in
        self.total = float(self.fixed_charge.sum())
        self.number = self.fixed_charge.copy()
        self.mu = 0.0
        self.hierarchy: Hierarchy | None = None
        self.sink = np.zeros_like(self.most)  # of the matrix: what leads to the electrode, and vacancies
        #: change of the vacancies' charge with the potential of all nodes or mu: cell by cell, and in all
        self.slope, self.whole_slope = np.zeros_like(self.most), 0.0
        self.response = np.zeros_like(self.most)  # of the potential to a shift of mu

    @classmethod
    def wanted(cls, lattice: Lattice, stack, settings, mesh: Mesh, free: np.ndarray) -> "VacancyEquilibrium | None":
        """That of a stack with a film, if the settings want it."""
        if stack.active is None or settings.vacancies != "equilibrium" or not settings.space_charge:
            return None
        return cls(lattice, stack, mesh, settings.temperature, free)

    def solve(self, potential, voltage_device: float, others: np.ndarray) -> Screen | None:
        """Bring `potential.space_potential` and the vacancies to equilibrium at a voltage; `others`: ions, e.

        Returns the Screen that gives the number of vacancies on each site, None without vacancies.

        Equilibrium minimises a convex free energy of the field and of the vacancies' mixing. A Newton step, taken
        as far as the energy falls along it, therefore converges from any start (Holst & Saied, J. Comput. Chem.
        16, 337 (1995)). Raises UserError without convergence within NEWTON_STEPS.
        """
        kept = (others - self.felt_charge) * self.scale
        self._fill(potential, voltage_device, kept)
        for _ in range(NEWTON_STEPS):
            change = self._step(potential)
            self._descend(potential, change, voltage_device, kept)
            if float(np.abs(change).max()) < min(TOLERANCE_V, TOLERANCE_KT * self.thermal):
                some = self.total > 0.0
                return Screen(self.room, self.built_in, voltage_device, self.mu, self.thermal) if some else None
        told = f"no equilibrium of the vacancies was found at {voltage_device:.3g} V and {self.thermal / K_B:.3g} K"
        raise UserError(told, next_step="take a warmer stage or lower voltages, or vacancies: explicit")

    def keep_open(self, state: State, grid: Grid, potential, model: np.ndarray) -> None:
        """Give silver what its sites would hold without it, by the last solution."""
        if self.total > 0.0:
            metal = np.flatnonzero(state.sites["cation"] == METAL)
            voltage_device = float(state.run["voltage_device"][0])
            there = Screen(self.room, self.built_in, voltage_device, self.mu, self.thermal)
            hold_open(state, grid, potential.fields, model, metal, potential.ions_on(metal), there)

    def _descend(self, potential, change: np.ndarray, voltage_device: float, kept: np.ndarray) -> None:
        """Go along a Newton step until the free energy falls no further, at most all of it.

        Its slope along the step rises from below zero; where that ends is found by halves and secants.
        """
        free, begun = potential.fixed == 0, potential.space_potential.copy()
        field, bent = (potential.hierarchy.apply(part) for part in (begun, change))

        def slope(share: float) -> float:
            return float((change * (field + share * bent - potential.source))[free].sum())

        first = low = slope(0.0)
        below, above, high, share = 0.0, 1.0, np.inf, 1.0
        for k in range(SLOPES):
            potential.space_potential[:] = begun + share * change
            self._fill(potential, voltage_device, kept)
            at = slope(share)
            if at <= NEARLY_FLAT * abs(first) and (share == 1.0 or at >= -NEARLY_FLAT * abs(first)):
                return
            if at > 0.0:
                above, high = share, at
            else:
                below, low = share, at
            part = 0.5 if k % 2 else low / (low - high)
            share = below + (above - below) * min(max(part, 0.02), 0.98)

    def _fill(self, potential, voltage_device: float, kept: np.ndarray) -> None:
        """The vacancies for the potential that there is, and the charge of all, `kept` with it."""
        phi, cell, near = voltage_device * potential.unit + potential.space_potential, *self.places[::2]
        felt = phi.ravel()[cell] * (1.0 - near) + voltage_device * near
        number, share = self._occupy(felt, potential.fixed.ravel()[cell] == 0)
        bend = number * (1.0 - share) * (self.scale / self.thermal)
        self.number[:] = self._by_cell(number)
        self.slope[:], self.whole_slope = self._by_cell(bend * (1.0 - near)), float(bend.sum())
        self.sink[:] = potential.mesh.link + self._by_cell(bend * (1.0 - near) ** 2)
        potential.source[:] = self._by_cell(number * (1.0 - near)) * self.scale + kept

    def _by_cell(self, values: np.ndarray) -> np.ndarray:
        """Sums over the groups of each cell."""
        return np.bincount(self.places.cell, values, minlength=self.most.size).reshape(self.most.shape)

    def _step(self, potential) -> np.ndarray:
        """Newton correction of the charge potential, with the shift of mu that keeps the vacancies' number.

        (A + S) change - s shift = residual and s . change = whole_slope shift: two solves, the second of
        which starts from its last answer. S: what a node feels of its change; s: of a change of mu.
        """
        if self.hierarchy is None:
            gz, gy, gx = potential.faces
            self.hierarchy = Hierarchy(gz, gy, gx, self.sink, potential.fixed)
        else:
            nz, ny, nx = self.sink.shape
            self.hierarchy.update((0, nz, 0, ny, 0, nx))
        free = potential.fixed == 0
        right = np.where(free, potential.source - potential.hierarchy.apply(potential.space_potential), 0.0)
        change = np.zeros_like(right)
        self.hierarchy.solve(right, change, INNER_ETA)
        slope = np.where(free, self.slope, 0.0)
        self.response[~free] = 0.0
        self.hierarchy.solve(slope, self.response, INNER_ETA)
        left = self.whole_slope - float((slope * self.response).sum())
        shift = float((slope * change).sum()) / left if left > 1e-12 * max(self.whole_slope, 1e-300) else 0.0
        return change + shift * self.response

    def _occupy(self, phi: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and occupations of the groups for their potentials, none in cells that are held; mu is from
        the conserved total (Newton inside a bracket)."""
        most = np.where(free, self.places.most, 0.0)
        share = np.zeros_like(most)
        if self.total <= 0.0 or not free.any():
            return share, share
        energy = phi / self.thermal
        low, high = energy[free].min() - 60.0, energy[free].max() + 60.0
        mu = min(max(self.mu / self.thermal, low), high)
        for _ in range(100):
            share = 1.0 / (1.0 + np.exp(np.clip(energy - mu, -500, 500)))
            excess = float((most * share).sum()) - self.total
            if abs(excess) < 1e-7 * self.total:
                break
            low, high = (low, mu) if excess > 0 else (mu, high)
            slope = float((most * share * (1 - share)).sum())
            new = mu - excess / slope if slope > 0 else low
            mu = new if low < new < high else 0.5 * (low + high)
        self.mu = mu * self.thermal
        return most * share, share


def vacancy_sites(stack, spacing_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Built-in vacancies and the most that a site can hold, by region.

    Built in: the card's bulk density in perovskite, plus the ligand's vacancies per area of crystal surface,
    or the film's per area of grain boundary, spread over its width.
    """
    card = stack.active.card
    volume = spacing_nm**3
    number, most = np.zeros(len(Region)), np.zeros(len(Region))
    number[[Region.CORE, Region.SURFACE, Region.BOUNDARY]] = card.value("vacancy_density") * volume
    if stack.ligand is not None:
        number[Region.SURFACE] += stack.ligand.value("surface_vacancy_density") * spacing_nm**2
    else:
        boundary = card.value("boundary_vacancy_density")
        number[Region.BOUNDARY] += boundary * volume / max(stack.grain.boundary_nm, spacing_nm)
    most[list(ACTIVE)] = card.value("vacancy_site_limit") * volume / card.value("lattice_constant") ** 3
    return number, most


def vacancy_cells(lattice: Lattice, stack, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Built-in vacancies and the most a mesh cell can hold, both [cells]. UserError: they have no room."""
    by_region = vacancy_sites(stack, lattice.spacing_nm)
    number, most = (part[lattice.region] for part in by_region)
    if number.sum() > most.sum():
        told = f"{number.sum():.3g} bromide vacancies are built in where {most.sum():.3g} have room"
        raise UserError(told, next_step="lower the vacancy densities or raise active.vacancy_site_limit")
    shape = tuple(v for n in lattice.shape for v in (n // factor, factor))
    return number.reshape(shape).sum(axis=(1, 3, 5)), most.reshape(shape).sum(axis=(1, 3, 5))


def explicit_charge(state: State, lattice: Lattice, stack, factor: int) -> np.ndarray:
    """Explicit vacancies against the fixed counter-charge, e per mesh cell; nil for a lone one.

    The counter-charge is that of the vacancies at the start: what the electrode made or filled is charge.
    """
    built_in, _ = vacancy_cells(lattice, stack, factor)
    sites = state.entities["site"][state.entities["kind"] == KIND_VACANCY]
    out = np.zeros(built_in.shape)
    if len(sites) < 2:
        return out
    np.add.at(out, tuple(k // factor for k in np.unravel_index(sites, lattice.shape)), 1.0)
    begun = len(sites) - int(state.run["exchanged"][0])
    out -= built_in * (begun / max(built_in.sum(), 1e-300))
    return out * (len(sites) - 1) / len(sites)


def density_cells(state: State, lattice: Lattice, mesh: Mesh) -> np.ndarray:
    """Residence times of ions (kept in cells of two sites) on the mesh's cells, s.

    Those right below the sheet of carriers, in the cell that begins above it, are not the film's.
    """
    (nz, ny, nx), factor = lattice.shape, mesh.factor
    cells = state.density.reshape(nz // 2, ny // 2, nx // 2).copy()
    cells[mesh.first * factor // 2 : mesh.base // 2] = 0.0
    if factor == 1:
        return np.repeat(np.repeat(np.repeat(cells, 2, 0), 2, 1), 2, 2) / 8.0
    f = factor // 2
    return cells.reshape(nz // 2 // f, f, ny // 2 // f, f, nx // 2 // f, f).sum(axis=(1, 3, 5))
