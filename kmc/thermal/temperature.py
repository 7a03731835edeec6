"""Local temperature: steady heat flow on a padded domain, and the lumped surface that a camera sees.

Heat settles in nanoseconds, so the equation is steady. The domain reaches beyond the window by stretched
cells. The surroundings never change, so what one watt in a node does is solved once and kept. Electrons take
the heat first and lead it along the silver (Wiedemann-Franz), the better the hotter they are; each atom's
lattice takes from them in proportion to how much hotter they are (two-temperature model: Anisimov,
Kapeliovich & Perelman, Sov. Phys. JETP 39, 375 (1974)), and rates know the lattice. A filament of 20 nm is
shorter than the way on which electrons cool, sqrt(kappa / coupling), 39 nm at 300 K: most of their heat
reaches the electrodes, and through the counter they go on as the current does: its
spreading resistance leads their heat by the same law. Both join in a small dense system.
"""

import math

import numpy as np

from kmc.core.units import K_B, LORENZ
from kmc.geometry.lattice import Lattice, Region
from kmc.system.parameter_tables import fill_layers
from kmc.system.state import State
from kmc.thermal import heat_flow as hk
from kmc.thermal.electron_temperature import HEAT_FACTOR, Nodes, link_conductances
from kmc.thermal.substrate_response import Surroundings, window_faces

STRETCH = 1.5
ROUNDS = 50  # of Newton's method, at most
SETTLED_K = 0.05
LEAST_OHM = 1e-3  # of a spreading resistance
RATE_STEP = 0.1  # relative change of a rate at which new temperatures are published
TYPICAL_BARRIER_EV = 0.7  # of that rate: a silver atom with three or four bonds


def conductivities(stack) -> np.ndarray:
    """Thermal conductivity by region, W/(nm K)."""
    key = "thermal_conductivity"
    values = np.full(len(Region), stack.void.value(key))
    values[Region.ELECTRODE] = stack.electrode.value(key)
    values[Region.COUNTER] = stack.counter.card.value(key)
    return fill_layers(values, stack, key)


def boundary(stack) -> float:
    """Resistance of a boundary between a crystal and its ligand, nm2 K/W."""
    return 0.0 if stack.ligand is None else 1.0 / stack.ligand.get("boundary_conductance", math.inf)


def exchange(stack, spacing_nm: float) -> float:
    """What the lattice at one silver atom takes from electrons that are one kelvin hotter, W/K."""
    return spacing_nm**3 * stack.electrode.get("electron_phonon_coupling", math.inf)


class Heat:
    """Temperature of the sites for a filament and its power; and the lumped surface node."""

    def __init__(self, lattice: Lattice, stack, stage_K: float):
        self.shape, self.spacing = lattice.shape, lattice.spacing_nm
        self.stage = stage_K
        self.lorenz = LORENZ / stack.electrode.value("resistivity")  # W/(nm K^2)
        self.surface_resistance = stack.device.value("substrate_thermal_resistance")
        self.surface_time = stack.device.value("surface_time_constant")
        self.surface, self.since_s = 0.0, 0.0
        self.exchange = exchange(stack, self.spacing)
        # of electrons from the counter on: the current's own way, by Wiedemann-Franz, W/K2
        self.spreading_conductance = LORENZ / max(stack.device.value("spreading_resistance"), LEAST_OHM)
        self.electron_nodes = Nodes(lattice, stack.active is not None)
        self.hottest = 0.0
        self.nodes = np.zeros(0, np.int64)  # of the last solution
        self.electrons, self.rise = np.zeros(0), np.zeros(0)  # there: of electrons and of the lattice, K
        self.released = np.zeros(0)  # what the nodes give to the lattice, W
        self.carried = 0.0  # what electrons lead on through the counter, W
        values = conductivities(stack)
        f = HEAT_FACTOR
        self.pad = _stretched_widths(f * self.spacing, stack.device.value("heat_padding"))
        self.width = [
            np.concatenate([self.pad[::-1], np.full(n, f * self.spacing), self.pad]) for n in self.electron_nodes.cells
        ]
        nz, ny, nx = self.electron_nodes.cells
        base = values[lattice.region].reshape(nz, f, ny, f, nx, f).mean(axis=(1, 3, 5))
        inside = int((lattice.region == Region.COUNTER).any(axis=(1, 2)).sum())  # planes of the counter
        under = self._conductivity_below(stack, stack.counter.thickness_nm - inside * self.spacing)
        self.faces, plain = (
            window_faces(lattice.region, values, resistance, self.spacing, f) for resistance in (boundary(stack), 0.0)
        )
        beside = base.mean(axis=(1, 2)) * _in_plane_conductance(self.faces) / _in_plane_conductance(plain)
        self.kappa = self._padded(base, beside, np.full(len(self.pad), values[Region.ELECTRODE]), under)
        self.surroundings: Surroundings | None = None
        cells, places = self.electron_nodes.cell_count, len(self.electron_nodes.shares)
        self.response_index = np.full(cells + places, -1, np.int32)  # of a place among those known
        self.known_places = np.zeros(0, np.int64)  # places of which it was asked for
        self.unit_rise = np.empty((64, cells))  # rise of all cells for one watt in one place, K
        self.response = np.empty((64, 64))  # the same at the known places alone
        self.told = np.zeros(cells)  # rise of the cells that the rates know, K

    def _conductivity_below(self, stack, counter_nm: float) -> np.ndarray:
        """Conductivity below the window, upwards: the contact, and this much of the counter above it."""
        counter = stack.counter.card.value("thermal_conductivity")
        contact = counter if stack.contact is None else stack.contact.value("thermal_conductivity")
        depth = np.cumsum(self.pad) - self.pad / 2
        return np.where(depth < counter_nm, counter, contact)[::-1]

    def _padded(self, base: np.ndarray, beside: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Conductivity on the padded mesh: the window's, its layers', and above and below it, upwards."""
        n = len(self.pad)
        column = np.concatenate([below, beside, above])
        shape = [len(w) for w in self.width]
        padded = np.repeat(column, shape[1] * shape[2]).reshape(shape)
        padded[n:-n, n:-n, n:-n] = base
        return padded.copy()

    def add_response(self, place: int) -> None:
        """Solve the rise of the window's cells for one watt in one more place, and keep it."""
        if self.surroundings is None:
            self.surroundings = Surroundings(self.kappa, self.width, self.faces)
        count, n = len(self.known_places), len(self.pad)
        if count == len(self.unit_rise):
            self.unit_rise = np.concatenate([self.unit_rise, np.empty_like(self.unit_rise)])
            self.response = np.pad(self.response, (0, count))
        inside = (slice(n, -n),) * 3
        source = np.zeros(self.kappa.shape)
        source[inside] = self.electron_nodes.source(place)
        self.unit_rise[count] = self.surroundings.rise(source)[inside].ravel()
        self.response_index[place] = count
        self.known_places = np.append(self.known_places, place)
        self.response[count, : count + 1] = self.electron_nodes.mean(self.known_places, self.unit_rise[count])
        for k in range(count):  # row by row: sums must not depend on which was learned first
            self.response[k, count : count + 1] = self.electron_nodes.mean(self.known_places[count:], self.unit_rise[k])

    def solve(
        self,
        state: State,
        film: np.ndarray,
        side: np.ndarray,
        column: np.ndarray,
        sites: np.ndarray,
        power_W: np.ndarray,
        siemens: np.ndarray,
        ends: np.ndarray,
    ) -> None:
        """Temperatures for heat on sites, W, and silver that leads it away.

        film: sites of the filament's silver; side: of silver on its site; column: silver atoms in the organic
        by plane of sites; siemens, ends: of the links and narrowest bonds that end on the sites
        (`filament.Heated`), which lead heat. With the conductance of a bond at its electrons' temperature a
        wire obeys Kohlrausch's law, Tmax^2 = T0^2 + V^2 / 4 L, and its lattice is never hotter. What flows
        between two nodes goes with the difference of T^2: Newton's method from the last solution needs one or
        two steps.
        """
        start = np.zeros(self.electron_nodes.count)
        start[self.nodes] = self.electrons
        heated = self.electron_nodes.of(state, side, sites)
        self.nodes, bonds, atoms = self.electron_nodes.network(state, film, side, column, heated)
        places = self.electron_nodes.place(self.nodes)
        for place in sorted(set(places[self.response_index[places] < 0].tolist())):
            self.add_response(place)
        where = self.electron_nodes.number[heated]
        source = np.bincount(where, power_W, len(self.nodes))
        slots = self.response_index[places]
        lattice = self.response[slots, slots[:, None]]  # rise at the first for one watt in the second
        alone = lattice.copy()  # the same of electrons, which are the hotter the fewer atoms take their heat
        apart = np.where(atoms > 0, 1.0 / (self.exchange * np.maximum(atoms, 1)), 0.0)
        alone.flat[:: len(alone) + 1] += apart
        # bonds in parallel between the middles of two cells
        links = link_conductances(where, siemens, ends, len(self.nodes))
        conductance = -self.lorenz * self.spacing / HEAT_FACTOR * bonds - LORENZ * links
        np.fill_diagonal(conductance, -conductance.sum(axis=1))
        counter = np.flatnonzero(self.nodes == self.electron_nodes.count - 1)
        conductance[counter, counter] += self.spreading_conductance
        hot = self._newton(np.maximum(start[self.nodes], 0.0), alone @ source, alone @ conductance)
        drive = ((self.stage + hot) ** 2 - self.stage**2) / 2
        self.electrons, self.released = hot, source - conductance @ drive
        self.carried = self.spreading_conductance * float(drive[counter].sum())
        self.rise = lattice @ self.released

    def _newton(self, hot: np.ndarray, supplied: np.ndarray, conductance: np.ndarray) -> np.ndarray:
        """Rise of the electrons, K, by Newton's method: hot + led (T^2 - T_stage^2) / 2 = supplied."""
        for _ in range(ROUNDS):
            kelvin = self.stage + hot
            jacobian = conductance * kelvin
            jacobian.flat[:: len(jacobian) + 1] += 1.0
            step = np.linalg.solve(jacobian, supplied - hot - conductance @ (kelvin**2 - self.stage**2) / 2)
            # Nothing is colder than the stage: the balance goes with T^2, and has roots with T < 0 too.
            before, hot = hot, np.maximum(hot + step, 0.0)
            if np.abs(hot - before).max(initial=0.0) < SETTLED_K:
                break
        return hot

    def peak(self) -> float:
        """Largest rise of the lattice in the last solution, K; electrodes are no part of the filament."""
        return float(self.rise[self.nodes < self.electron_nodes.count - 2].max(initial=0.0))

    def moved(self) -> bool:
        """Whether a temperature has changed enough since `publish` for the rates to notice."""
        if not len(self.nodes):
            return self.hottest > 0.0
        places = self.electron_nodes.place(self.nodes)
        told = np.append(self.electron_nodes.mean(places, self.told), self.hottest)
        now = np.append(self.rise, self.peak())
        kelvin = self.stage + np.maximum(told, now)
        return bool((np.abs(now - told) > RATE_STEP * K_B * kelvin**2 / TYPICAL_BARRIER_EV).any())

    def publish(self, fields: np.ndarray) -> None:
        """Write the temperature of the sites at the last solution, K."""
        self.hottest = self.peak()
        slots = self.response_index[self.electron_nodes.place(self.nodes)]
        hk.superpose(self.unit_rise, slots, self.released, self.told)
        hk.set_temperatures(self.told, self.stage, fields, self.electron_nodes.grid)

    def cool(self) -> None:
        """No filament, no power."""
        self.nodes = np.zeros(0, np.int64)
        self.electrons, self.rise, self.released, self.carried = np.zeros(0), np.zeros(0), np.zeros(0), 0.0

    def take_stage(self, kelvin: float) -> None:
        """Film and sinks are at another temperature, at once."""
        self.stage, self.hottest = kelvin, 0.0
        self.told[:] = 0.0
        self.cool()

    def follow_surface(self, power_W: float, now_s: float) -> None:
        """Bring the lumped surface to this time, under a constant device power since the last."""
        self.surface, self.since_s = self.surface_at(power_W, now_s), now_s

    def surface_at(self, power_W: float, now_s: float) -> float:
        """Rise of the surface at a later time under a constant device power, K."""
        target = self.surface_resistance * power_W
        return target + (self.surface - target) * math.exp((self.since_s - now_s) / self.surface_time)


def _in_plane_conductance(faces: list[np.ndarray]) -> np.ndarray:
    """Conductance along each layer of the window [z], mean of y and x: cells of a row in series, rows side by
    side, per face of one cell."""
    rows = [1.0 / (1.0 / face).mean(axis=axis) for axis, face in enumerate(faces) if axis]
    return sum(row.mean(axis=1) for row in rows) / len(rows)


def _stretched_widths(first: float, reach: float) -> np.ndarray:
    """Widths of stretched cells, of which the last is the sink, from its middle on: at least `reach` away."""
    widths: list[float] = []
    width = first
    while not widths or sum(widths) - widths[-1] / 2 < reach:
        width *= STRETCH
        widths.append(width)
    return np.array(widths)
