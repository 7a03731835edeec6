"""Local temperature: steady heat flow on a padded domain, and the lumped surface that a camera sees.

Heat settles in nanoseconds, so the equation is steady. The domain reaches beyond the window by stretched
cells; metal conducts by Wiedemann-Franz. Temperatures scale with power for a frozen geometry, so one solution
per geometry (kelvin per watt) serves all voltages.
"""

import math

import numpy as np

from .lattice import Lattice, Region
from .multigrid import Hierarchy
from .state import METAL, State
from .units import LORENZ

STRETCH = 1.5
HEAT_FACTOR = 4  # sites per heat cell inside the window


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
    """Temperature rise per watt on the sites, for the present metal; and the lumped surface node."""

    def __init__(self, lattice: Lattice, stack, stage_K: float):
        self.shape, self.spacing = lattice.shape, lattice.spacing_nm
        self.stage = stage_K
        self.resistivity = stack.electrode.value("resistivity")
        self.surface_resistance = stack.device.value("substrate_thermal_resistance")
        self.surface_time = stack.device.value("surface_time_constant")
        self.surface = 0.0
        self.rise = np.zeros(lattice.region.size, np.float64)  # K per W of the filament, on the sites
        self.hottest = 0.0
        values = conductivities(stack)
        nz, ny, nx = self.shape
        f = HEAT_FACTOR
        blocks = values[lattice.region].reshape(nz // f, f, ny // f, f, nx // f, f)
        self.base = blocks.mean(axis=(1, 3, 5))
        self.pad = _padding(f * self.spacing, stack.device.value("heat_padding"))
        self.width = [
            np.concatenate([self.pad[::-1], np.full(n // f, f * self.spacing), self.pad]) for n in self.shape
        ]
        self.kappa = self._padded(self.base, values)
        self.solution = np.zeros(self.kappa.shape)

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

    def update(self, state: State, sites: np.ndarray, share: np.ndarray) -> None:
        """Solve for heat `share` (any unit) on `sites`; the rise is per watt of their sum."""
        f, n = HEAT_FACTOR, len(self.pad)
        kappa = self.kappa.copy()
        metal = np.flatnonzero(state.sites["cation"] == METAL)
        cell = self._cell(metal)
        content = np.zeros(self.base.shape)
        np.add.at(content, cell, 1.0 / f**3)
        # Wiedemann-Franz at the mean temperature: kappa = L T / rho
        wiedemann = LORENZ * (self.stage + 0.5 * self.hottest) / self.resistivity
        kappa[n:-n, n:-n, n:-n] += content * wiedemann
        source = np.zeros(kappa.shape)
        inner = source[n:-n, n:-n, n:-n]
        np.add.at(inner, self._cell(sites), share / max(share.sum(), 1e-300))
        hierarchy = Hierarchy(*self._faces(kappa), None, self._held(kappa.shape))
        hierarchy.solve(source, self.solution, 1e-4)
        self._spread()

    def _spread(self) -> None:
        """The solution on the sites."""
        f, n = HEAT_FACTOR, len(self.pad)
        inside = self.solution[n:-n, n:-n, n:-n]
        self.rise = inside.repeat(f, 0).repeat(f, 1).repeat(f, 2).ravel()

    def restore(self, solution: np.ndarray, surface: float, hottest: float) -> None:
        """Go on where a checkpoint was taken."""
        self.solution[:], self.surface, self.hottest = solution, surface, hottest
        self._spread()

    def _cell(self, sites: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(k // HEAT_FACTOR for k in np.unravel_index(sites, self.shape))

    def _held(self, shape) -> np.ndarray:
        """Cells on the outside are at the stage temperature."""
        held = np.zeros(shape, np.uint8)
        held[0], held[-1] = 1, 1
        held[:, 0], held[:, -1], held[:, :, 0], held[:, :, -1] = 1, 1, 1, 1
        return held

    def _faces(self, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Conductance of the faces between cells of unequal width, W/K."""
        wz, wy, wx = self.width
        area = (wy[:, None] * wx, wz[:, None] * wx, wz[:, None] * wy)
        faces = []
        for axis, w in enumerate((wz, wy, wx)):
            shape = [1, 1, 1]
            shape[axis] = -1
            resistance = (w.reshape(shape) / 2) / kappa
            total = resistance + np.roll(resistance, -1, axis=axis)
            faces.append(np.expand_dims(area[axis], axis) / total)
        return faces[0][:-1], faces[1], faces[2]

    def temperature(self, power_W: float) -> np.ndarray:
        """Temperature of the sites at a filament power, K."""
        self.hottest = float(power_W * self.rise.max()) if power_W else 0.0
        return self.stage + power_W * self.rise

    def follow_surface(self, power_W: float, duration_s: float) -> None:
        """Relax the lumped surface towards its rise at the device power."""
        target = self.surface_resistance * power_W
        self.surface = target + (self.surface - target) * math.exp(-duration_s / self.surface_time)


def _padding(first: float, reach: float) -> np.ndarray:
    """Widths of stretched cells that together cover at least `reach`."""
    widths: list[float] = []
    width = first
    while sum(widths) < reach:
        width *= STRETCH
        widths.append(width)
    return np.array(widths)
