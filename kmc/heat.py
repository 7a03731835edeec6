"""Local temperature: steady heat flow on a padded domain, and the lumped surface that a camera sees.

Heat settles in nanoseconds, so the equation is steady. The domain reaches beyond the window by stretched
cells. The surroundings never change, so what one watt in a cell does is solved once and kept; the filament's
own conduction, which grows with its temperature (Wiedemann-Franz), joins those solutions in a small dense
system.
"""

import math

import numpy as np

from . import heat_kernels as hk
from .lattice import Lattice, Region
from .state import State
from .surroundings import Surroundings
from .units import K_B, LORENZ

STRETCH = 1.5
HEAT_FACTOR = 4  # sites per heat cell inside the window
ROUNDS = 50  # of Newton's method, at most
SETTLED_K = 0.05
RATE_STEP = 0.1  # relative change of a rate for which temperatures are told
TYPICAL_BARRIER_EV = 0.7  # of that rate: a silver atom with three or four bonds


def conductivities(stack) -> np.ndarray:
    """Thermal conductivity by region, W/(nm K)."""
    values = np.zeros(len(Region))
    void = stack.void.value("thermal_conductivity")
    values[:] = void
    values[Region.ELECTRODE] = stack.electrode.value("thermal_conductivity")
    values[Region.COUNTER] = stack.counter.card.value("thermal_conductivity")
    if stack.organic is not None:
        values[Region.ORGANIC] = stack.organic.card.value("thermal_conductivity")
    if stack.active is not None:
        inside = stack.active.card.value("thermal_conductivity")
        values[[Region.CORE, Region.SURFACE, Region.BOUNDARY]] = inside
        between = stack.ligand.value("thermal_conductivity") if stack.ligand is not None else inside
        values[Region.GAP] = between
        values[Region.VOID] = between if stack.ligand is not None else void
    return values


class Heat:
    """Temperature of the sites for a filament and its power; and the lumped surface node."""

    def __init__(self, lattice: Lattice, stack, stage_K: float):
        self.shape, self.spacing = lattice.shape, lattice.spacing_nm
        self.stage = stage_K
        self.lorenz = LORENZ / stack.electrode.value("resistivity")  # W/(nm K^2)
        self.surface_resistance = stack.device.value("substrate_thermal_resistance")
        self.surface_time = stack.device.value("surface_time_constant")
        self.surface, self.since_s = 0.0, 0.0
        self.hottest = 0.0
        self.rise = np.zeros(0)  # of the nodes' cells at the last solution, K
        self.nodes = np.zeros(0, np.int64)  # their cells, as flat indices
        self.released = np.zeros(0)  # what they give to the surroundings, W
        values = conductivities(stack)
        nz, ny, nx = self.shape
        f = HEAT_FACTOR
        self.cells = (nz // f, ny // f, nx // f)
        self.pad = _padding(f * self.spacing, stack.device.value("heat_padding"))
        self.width = [np.concatenate([self.pad[::-1], np.full(n, f * self.spacing), self.pad])
                      for n in self.cells]
        # Silver in the film leads heat along its bonds, which come and go; what is in the organic stays.
        column = lattice.residue & (lattice.region == Region.ORGANIC)
        residue = np.where(column, self.lorenz * stage_K, 0.0)
        blocks = (nz // f, f, ny // f, f, nx // f, f)
        base, own = (part.reshape(blocks).mean(axis=(1, 3, 5)) for part in (values[lattice.region], residue))
        self.kappa = self._padded(base, values)
        n = len(self.pad)
        self.kappa[n:-n, n:-n, n:-n] += own  # a column is of this window alone
        self.around: Surroundings | None = None
        count = math.prod(self.cells)
        self.slot = np.full(count, -1, np.int32)  # of each cell's column among those that were asked for
        self.known = np.zeros(0, np.int64)  # their cells
        self.columns = np.empty((64, count))  # rise of all cells for one watt in one, K
        self.response = np.empty((64, 64))  # the same at the known cells alone
        self.mark = np.zeros(lattice.region.size, np.uint8)
        self.place = np.full(count, -1, np.int32)
        self.told = np.zeros(count)  # rise of the cells that the rates know, K

    def _padded(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Conductivity on the padded mesh: layers go on sideways; electrodes go on up and down."""
        n = len(self.pad)
        layer = base.mean(axis=(1, 2))
        below, above = np.full(n, values[Region.COUNTER]), np.full(n, values[Region.ELECTRODE])
        column = np.concatenate([below, layer, above])
        shape = [len(w) for w in self.width]
        padded = np.repeat(column, shape[1] * shape[2]).reshape(shape)
        padded[n:-n, n:-n, n:-n] = base
        return padded.copy()

    def column(self, cell: int) -> np.ndarray:
        """Rise of the window's cells for one watt in one of them, K: solved when first asked for."""
        if self.slot[cell] < 0:
            self._learn(cell)
        return self.columns[self.slot[cell]]

    def _learn(self, cell: int) -> None:
        """Solve one more column."""
        if self.around is None:
            self.around = Surroundings(self.kappa, self.width)
        count, n = len(self.known), len(self.pad)
        if count == len(self.columns):
            self.columns = np.concatenate([self.columns, np.empty_like(self.columns)])
            self.response = np.pad(self.response, (0, count))
        z, y, x = (int(k) + n for k in np.unravel_index(cell, self.cells))
        self.columns[count] = self.around.rise((z, y, x))[n:-n, n:-n, n:-n].ravel()
        self.slot[cell] = count
        self.known = np.append(self.known, cell)
        self.response[count, : count + 1] = self.columns[count, self.known]
        self.response[:count, count] = self.columns[:count, cell]

    def solve(self, state: State, film: np.ndarray, sites: np.ndarray, power_W: np.ndarray) -> None:
        """Temperatures for heat on sites, W, and the silver of a filament (sites `film`) that leads it away.

        With the conductance of a bond at its own temperature a wire obeys Kohlrausch's law,
        Tmax^2 = T0^2 + V^2 / 4 L. What flows between two cells goes with the difference of T^2: Newton's
        method from the last solution needs one or two steps.
        """
        start = np.zeros(len(self.slot))
        start[self.nodes] = self.rise
        self.nodes, bonds = self._network(state, film, sites)
        for cell in self.nodes[self.slot[self.nodes] < 0]:
            self._learn(int(cell))
        source = np.bincount(np.searchsorted(self.nodes, self._cell(sites)), power_W, len(self.nodes))
        slots = self.slot[self.nodes]
        alone = self.response[slots[:, None], slots]
        # bonds in parallel between the middles of two cells
        leads = -self.lorenz * self.spacing / HEAT_FACTOR * bonds
        np.fill_diagonal(leads, -leads.sum(axis=1))
        rise, supplied, led = np.maximum(start[self.nodes], 0.0), alone @ source, alone @ leads
        for _ in range(ROUNDS):
            kelvin = self.stage + rise
            jacobian = led * kelvin
            jacobian[np.diag_indices_from(jacobian)] += 1.0
            step = np.linalg.solve(jacobian, supplied - rise - led @ (kelvin**2 - self.stage**2) / 2)
            # Nothing is colder than the stage: the balance goes with T^2, and has roots with T < 0 too.
            before, rise = rise, np.maximum(rise + step, 0.0)
            if np.abs(rise - before).max(initial=0.0) < SETTLED_K:
                break
        self.rise, self.released = rise, source - leads @ ((self.stage + rise)**2 - self.stage**2) / 2

    def _network(self, state: State, film: np.ndarray, heated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells that silver bonds of a filament join or where there is heat; bonds between them [n, n]."""
        self.mark[film] = 1
        most = 7 * len(film) + len(heated)
        nodes, pairs, weight = np.empty(most, np.int64), np.empty((most, 2), np.int64), np.empty(most)
        count, links = hk.cell_bonds(state.sites, film, self.mark, heated, HEAT_FACTOR,
                                     *self.shape, self.place, nodes, pairs, weight)
        nodes, pairs = nodes[:count], pairs[:links]
        self.mark[film], self.place[nodes] = 0, -1
        order = np.argsort(nodes)
        rank = np.argsort(order)
        code = rank[pairs[:, 0]] * count + rank[pairs[:, 1]]
        bonds = np.bincount(code, weight[:links], count * count).reshape(count, count)
        return nodes[order], bonds + bonds.T

    def peak(self) -> float:
        """Largest rise of the last solution, K."""
        return float(self.rise.max(initial=0.0))

    def moved(self) -> bool:
        """Whether a temperature has changed enough since `publish` for the rates to notice."""
        if not len(self.nodes):
            return self.hottest > 0.0
        told = np.append(self.told[self.nodes], self.hottest)
        now = np.append(self.rise, self.peak())
        kelvin = self.stage + np.maximum(told, now)
        return bool((np.abs(now - told) > RATE_STEP * K_B * kelvin**2 / TYPICAL_BARRIER_EV).any())

    def publish(self, fields: np.ndarray) -> None:
        """Write the temperature of the sites at the last solution, K."""
        self.hottest = self.peak()
        hk.superpose(self.columns, self.slot[self.nodes], self.released, self.told)
        hk.spread(self.told, self.stage, HEAT_FACTOR, fields, *self.shape)

    def cool(self) -> None:
        """No filament, no power."""
        self.nodes, self.rise, self.released = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)

    def _cell(self, sites: np.ndarray) -> np.ndarray:
        """Flat index of the heat cell of each site."""
        place = np.unravel_index(sites, self.shape)
        return np.ravel_multi_index(tuple(k // HEAT_FACTOR for k in place), self.cells)

    def follow_surface(self, power_W: float, now_s: float) -> None:
        """Bring the lumped surface to this time, under a constant device power since the last."""
        self.surface, self.since_s = self.surface_at(power_W, now_s), now_s

    def surface_at(self, power_W: float, now_s: float) -> float:
        """Rise of the surface at a later time under a constant device power, K."""
        target = self.surface_resistance * power_W
        return target + (self.surface - target) * math.exp((self.since_s - now_s) / self.surface_time)


def _padding(first: float, reach: float) -> np.ndarray:
    """Widths of stretched cells, of which the last is the sink, from its middle on: at least `reach` away."""
    widths: list[float] = []
    width = first
    while not widths or sum(widths) - widths[-1] / 2 < reach:
        width *= STRETCH
        widths.append(width)
    return np.array(widths)
