"""Electronic current of a frozen configuration: metal bonds, tunnelling across gaps, leak of the layers."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq

from . import transport_kernels as tk
from .lattice import Lattice, Region
from .state import KIND_METAL, State
from .units import E_CHARGE, EPS0_F, K_B

TABLE_V = np.geomspace(1e-4, 100.0, 1200)
LOG_TABLE_V = np.log(TABLE_V)
REFERENCE_K = 300.0  # at which the cards give the leak
TUNNEL_REACH = 8  # sites: 2.3 nm, eight decades
MATRIX_LEAK_S = 1e-16  # of an island to the matrix around it: it decides only out of tunnelling's reach


@dataclass
class Path:
    """The filament as a two-terminal: conductance (S) and where its power goes at one volt."""

    conductance: float = 0.0
    bridged: bool = False
    gap_nm: float = math.inf
    core: int = 0
    heat_sites: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    heat_share: np.ndarray = field(default_factory=lambda: np.zeros(0))


class Network:
    """Conductance and potentials of the silver between the electrodes, for the present metal."""

    def __init__(self, lattice: Lattice, stack, tunnelling: bool):
        metal = stack.electrode
        self.shape = lattice.shape
        self.spacing = lattice.spacing_nm
        region = lattice.region
        electrode = region == Region.ELECTRODE
        self.roof = np.where(electrode.any(axis=0), electrode.argmax(axis=0), 99999).astype(np.int32)
        self.lowest_roof = int(self.roof.min())
        self.label = np.zeros(region.size, np.int32)
        self.index = np.zeros(region.size, np.int32)
        self.in_organic = (region == Region.ORGANIC).ravel()
        self.counter_top = int(np.flatnonzero((region == Region.COUNTER).any(axis=(1, 2))).max())
        self.quantum = metal.value("bond_conductance")
        # conductance of a bond inside metal: spacing / resistivity
        self.ohmic = self.spacing / metal.value("resistivity")
        self.decay = math.log(10) * self.spacing / metal.value("tunnelling_decade")
        self.tunnelling = tunnelling

    def update(self, state: State, fields: np.ndarray) -> Path:
        """Solve for the present metal; writes the unit potential of all metal sites into `fields`."""
        all_atoms = state.entities["site"][state.entities["kind"] == KIND_METAL]
        organic = self.in_organic[all_atoms]
        foot_atoms, atoms = np.sort(all_atoms[organic]), np.sort(all_atoms[~organic])
        fields["unit"][foot_atoms] = 0.0
        self.label[atoms] = 0
        scratch = np.zeros(len(atoms) + 1, np.int32)
        labels = tk.label_clusters(state.sites, atoms, self.label, scratch, *self.shape)
        if (self.label[atoms] == tk.BRIDGE).any():
            return self._bridged(state, fields, atoms, foot_atoms)
        return self._tunnelling(fields, atoms, foot_atoms, labels)

    def _foot(self, foot_atoms: np.ndarray) -> np.ndarray:
        """Height of the cathode in each column: the counter electrode, or silver in the organic."""
        _, ny, nx = self.shape
        foot = np.full(ny * nx, self.counter_top, np.int32)
        np.maximum.at(foot, foot_atoms % (ny * nx), (foot_atoms // (ny * nx)).astype(np.int32))
        return foot.reshape(ny, nx)

    def _tunnelling(self, fields, atoms, foot_atoms, labels: int) -> Path:
        """Clusters joined by tunnelling links: a small dense network."""
        foot = self._foot(foot_atoms)
        matrix = np.zeros((labels, labels))
        if self.tunnelling and len(atoms):
            tk.tunnelling_links(atoms, self.label, self.roof, foot, matrix, TUNNEL_REACH, self.quantum,
                                self.decay, *self.shape)
        unit = np.zeros(labels)
        unit[tk.ANODE] = 1.0
        floating = np.arange(tk.FLOATING, labels)
        if len(floating):
            unit[floating] = self._floating(fields, atoms, matrix, unit, floating)
        fields["unit"][atoms] = unit[self.label[atoms]]
        difference = unit[tk.ANODE] - unit
        conductance = float(np.sum(matrix[tk.ANODE] * difference))
        return Path(conductance, False, self._gap(atoms, foot))

    def _floating(self, fields, atoms, matrix, unit, floating) -> np.ndarray:
        """Potentials of floating clusters by Kirchhoff's law; out of tunnelling's reach, that around them."""
        total = matrix[floating].sum(axis=1) + MATRIX_LEAK_S
        around = np.array([fields["unit"][atoms[self.label[atoms] == k]].mean() for k in floating])
        laplacian = np.diag(total) - matrix[np.ix_(floating, floating)]
        right = matrix[floating][:, : tk.FLOATING] @ unit[: tk.FLOATING] + MATRIX_LEAK_S * around
        return np.linalg.solve(laplacian, right)

    def _gap(self, atoms, foot) -> float:
        """Shortest distance of the cathode's metal to the electrode above, surface to surface, nm."""
        ny, nx = self.shape[1:]
        cathode = atoms[self.label[atoms] == tk.CATHODE]
        open_nm = float((self.roof - foot).min() - 1) * self.spacing
        if len(cathode) == 0:
            return open_nm
        column = cathode % (ny * nx)
        height = self.roof.ravel()[column] - cathode // (ny * nx)
        return min(open_nm, float(height.min() - 1) * self.spacing)

    def _bridged(self, state, fields, atoms, foot_atoms) -> Path:
        """A filament that joins the electrodes: the network of its bonds."""
        nodes = atoms[self.label[atoms] == tk.BRIDGE]
        self.index[nodes] = np.arange(len(nodes))
        plane = self.shape[1] * self.shape[2]
        planes, counts = np.unique(nodes // plane, return_counts=True)
        neck = int(planes[len(counts) - 1 - np.argmin(counts[::-1])])
        links, weight = np.zeros((6 * len(nodes), 2), np.int32), np.zeros(6 * len(nodes))
        count = tk.bridge_network(state.sites, nodes, self.label, self.index, self.ohmic, self.quantum, neck,
                                  *self.shape, links, weight)
        links, weight = links[:count], weight[:count]
        unit = np.clip(fields["unit"][nodes], 0.0, 1.0)
        tk.solve_network(links, weight, unit, 1e-5)
        fields["unit"][nodes] = unit
        others = atoms[self.label[atoms] != tk.BRIDGE]
        known = {tk.CATHODE: 0.0, tk.ANODE: 1.0}
        for k, value in known.items():
            fields["unit"][others[self.label[others] == k]] = value
        return self._path(nodes, links, weight, unit, foot_atoms)

    def _path(self, nodes, links, weight, unit, foot_atoms) -> Path:
        """Two-terminal conductance with the resistance of the silver in the organic, and the heat by site."""
        ends = np.append(unit, [0.0, 1.0])  # index -2 is the cathode, -1 the anode
        drop = ends[links[:, 1]] - ends[links[:, 0]]
        power = weight * drop**2
        conductance = float(power.sum())
        foot = self._foot_resistance(foot_atoms)
        current = weight * np.abs(drop)
        core = np.unique(links[current > 0.01 * conductance, 0])
        share = np.zeros(len(nodes) + 2)
        np.add.at(share, links[:, 0], power / 2)
        np.add.at(share, links[:, 1], power / 2)
        scale = 1.0 / (1.0 + conductance * foot)
        return Path(conductance * scale, True, 0.0, len(core), nodes, share[: len(nodes)] * scale**2)

    def _foot_resistance(self, foot_atoms) -> float:
        """Resistance of the silver column in the organic, V/A: planes in series."""
        if len(foot_atoms) == 0:
            return 0.0
        counts = np.bincount(foot_atoms // (self.shape[1] * self.shape[2]))
        counts = counts[counts > 0]
        return float(np.sum(1.0 / (self.ohmic * counts)))


class Leak:
    """Current of the layers over the whole contact, A, without metal: injection, traps, space charge."""

    def __init__(self, stack):
        self.area = stack.device.value("contact_area")
        self.active = stack.active
        self.organic = stack.organic
        self.table: dict[float, np.ndarray] = {}

    def current(self, voltage: float, temperature: float) -> float:
        """Current at a device voltage, A: layers in series, read from a table of relative error 1e-5."""
        if abs(voltage) < TABLE_V[0]:
            return voltage / TABLE_V[0] * self.current(TABLE_V[0], temperature) if voltage else 0.0
        if temperature not in self.table:
            self.table[temperature] = np.log([max(self.exact(v, temperature), 1e-300) for v in TABLE_V])
        logarithm = np.interp(math.log(abs(voltage)), LOG_TABLE_V, self.table[temperature])
        return math.copysign(math.exp(logarithm), voltage)

    def exact(self, voltage: float, temperature: float) -> float:
        """The same without the table."""
        if self.active is None:
            return self._organic(voltage, temperature) if self.organic is not None else 0.0
        return self._active(voltage - self.organic_voltage(voltage, temperature), temperature)

    def organic_voltage(self, voltage: float, temperature: float) -> float:
        """Share of a device voltage that the organic layer takes, V."""
        if voltage == 0.0 or self.active is None or self.organic is None:
            return 0.0
        sign, size = math.copysign(1.0, voltage), abs(voltage)

        def excess(v: float) -> float:
            return self._organic(v, temperature) - self._active(size - v, temperature)

        return sign * brentq(excess, 0.0, size, xtol=1e-9)

    def _active(self, voltage: float, temperature: float) -> float:
        """Trap-controlled space charge (Mark-Helfrich, Rose) behind an injecting contact, Arrhenius."""
        card, length = self.active.card, self.active.thickness_nm
        size = abs(voltage)
        thermal = math.exp(-card.value("leak_activation_energy") / K_B * (1 / temperature - 1 / REFERENCE_K))
        eps = EPS0_F * card.value("permittivity")
        theta = math.exp(-card.value("trap_depth") / (K_B * REFERENCE_K))
        filled = E_CHARGE * card.value("trap_density") * length**2 / (2 * eps)  # trap-filled limit, V
        free = theta if size < filled else theta + (1 - theta) * (1 - filled / size)
        bulk = self.area * (card.value("ohmic_conductivity") * size / length
                            + 9 / 8 * eps * card.value("mobility") * free * size**2 / length**3)
        inject = card.value("injection_limit") * size * math.exp(
            card.value("injection_field_lowering") * (math.sqrt(size) - math.sqrt(0.1)))
        return math.copysign(thermal / (1 / max(bulk, 1e-300) + 1 / max(inject, 1e-300)), voltage)

    def _organic(self, voltage: float, temperature: float) -> float:
        """Ohmic and space-charge-limited conduction of the organic layer (Mott-Gurney)."""
        card, length = self.organic.card, self.organic.thickness_nm
        size = abs(voltage)
        eps = EPS0_F * card.value("permittivity")
        bulk = self.area * (card.value("conductivity") * size / length
                            + 9 / 8 * eps * card.value("hole_mobility") * size**2 / length**3)
        inject = card.value("injection_limit") * size
        thermal = math.exp(-card.value("leak_activation_energy") / K_B * (1 / temperature - 1 / REFERENCE_K))
        return math.copysign(thermal / (1 / max(bulk, 1e-300) + 1 / max(inject, 1e-300)), voltage)
