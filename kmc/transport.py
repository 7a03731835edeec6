"""Electronic current of a frozen configuration: metal bonds and tunnelling across gaps."""

import math
from dataclasses import dataclass, field

import numpy as np

from . import bridge_kernels as bk
from . import transport_kernels as tk
from .lattice import Lattice, Region
from .state import METAL, PLENTY, State

TUNNEL_REACH = 8  # sites: 2.3 nm, eight decades
CURRENT_LEAST = 0.01  # of the conductance: changes of metal that could move it by less are not waited for
TOLERANCE = 1e-4  # of the bonds' network: potentials are then within 3e-4 of a volt, conductance 1e-6
LEAST_SHARE = 1e-7  # of the heat: a site that gives less does not count
MATRIX_LEAK_S = 1e-16  # of an island to the matrix around it: it decides only out of tunnelling's reach


@dataclass
class Path:
    """The filament as a two-terminal: conductance (S), and the heat on sites at one volt (W/V2).

    A ballistic or tunnelling electron leaves its energy in the metal that receives it: so the heat depends on
    the polarity.
    """

    conductance: float = 0.0
    bridged: bool = False
    gap_nm: float = math.inf
    heat_sites: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    heat_positive: np.ndarray = field(default_factory=lambda: np.zeros(0))
    heat_negative: np.ndarray = field(default_factory=lambda: np.zeros(0))


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
        self.lowest = self.lowest_roof  # plane of the metal to which the cathode's tip tunnels
        self.label = np.zeros(region.size, np.int32)
        self.index = np.zeros(region.size, np.int32)
        # Silver in an organic under the film is part of the cathode; without a film it is the filament.
        self.in_organic = (region == Region.ORGANIC).ravel() & (stack.active is not None)
        self.counter_top = int(np.flatnonzero((region == Region.COUNTER).any(axis=(1, 2))).max())
        self.quantum = metal.value("bond_conductance")
        # conductance of a bond inside metal: spacing / resistivity
        self.ohmic = self.spacing / metal.value("resistivity")
        self.decay = math.log(10) * self.spacing / metal.value("tunnelling_decade")
        self.tunnelling = tunnelling
        #: conductance of a link of two atoms by squared distance in sites (Simmons at low bias)
        self.link = self.quantum * np.exp(-self.decay * (np.sqrt(np.arange(TUNNEL_REACH**2 + 1)) - 1.0))
        self.film = np.zeros(0, np.int32)
        self.plated = np.zeros(0, np.int32)  # sites of the silver that only lies on the organic
        #: what `State.spare` is for the present filament
        self.spare = np.full(self.shape[0] + 1, PLENTY)
        self.column = np.zeros(self.shape[0], np.int64)  # silver atoms in the organic by plane
        plated = lattice.organic_surface() + 1 if stack.active is not None else 0
        self.film_floor = plated * self.shape[1] * self.shape[2]

    def update(self, state: State, fields: np.ndarray) -> Path:
        """Solve for the present metal; writes the unit potential of the atoms in the film into `fields`."""
        film, foot, layer = self._gather(state, fields)
        self.film, self.column, self.spare[:] = film, layer, PLENTY
        self.label[film] = 0
        scratch = np.zeros(len(film) + 1, np.int32)
        labels = tk.label_clusters(state.sites, self.in_organic, film, self.label, scratch, *self.shape)
        own = self.label[film]
        self.plated = film[own == tk.PLATED]
        state.bridge[film] = own == tk.BRIDGE
        if (own == tk.BRIDGE).any():
            return self._bridged(state, fields, film, foot, layer, labels)
        return self._tunnelling(fields, film, foot, labels)

    def filament(self, state: State, heated: np.ndarray) -> np.ndarray:
        """Sites of the silver in the film, without what plates the organic and is neither foot nor heated."""
        plane, cation = self.shape[1] * self.shape[2], state.sites["cation"]
        foot = (cation[self.film - plane] >= METAL) & (cation[self.film + plane] >= METAL)
        warm = heated[(cation[heated] == METAL) & ~self.in_organic[heated]]
        return np.union1d(self.film[(self.film >= self.film_floor) | foot], warm)

    def reach(self, least: float) -> int:
        """Sites over which a link of two atoms conducts more than `least` (S)."""
        if not self.tunnelling or least >= self.quantum:
            return 1
        return min(TUNNEL_REACH, math.ceil(1.0 + math.log(self.quantum / least) / self.decay))

    def _gather(self, state: State, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Metal sites above the organic; height of the cathode by column; atoms in the organic by plane."""
        nz, ny, nx = self.shape
        foot = np.full((ny, nx), self.counter_top, np.int32)
        layer = np.zeros(nz, np.int64)
        film = np.empty(int(state.run["metal"][0]), np.int32)
        taken = int(state.run["entities"][0])
        count = tk.gather(state.entities, taken, self.in_organic, fields, film, foot, layer, ny, nx)
        return film[:count], foot, layer

    def _tunnelling(self, fields, atoms, foot, labels: int) -> Path:
        """Clusters joined by tunnelling links: a small dense network."""
        own = self.label[atoms]
        plated = own == tk.PLATED  # the many, at zero, without a link
        fields["unit"][atoms[plated]] = 0.0
        atoms, own = atoms[~plated], own[~plated]
        best, planes = np.zeros((len(atoms), labels)), np.zeros((len(atoms), 2))
        channels, matrix = np.zeros((labels, labels)), np.zeros((labels, labels))
        if self.tunnelling and len(atoms):
            tk.tunnelling_links(atoms, own, self.roof, foot, best, planes, TUNNEL_REACH, self.link,
                                *self.shape)
            tk.cluster_links(own, best, planes, channels, matrix)
        bare, direct = self._bare(foot)
        matrix[tk.ANODE, tk.CATHODE] += direct.sum()
        linked = tk.linked(best, planes)
        unit = np.zeros(labels)
        unit[tk.ANODE] = 1.0
        floating = np.arange(tk.FLOATING, labels)
        if len(floating):
            unit[floating] = self._floating(fields, atoms, matrix, unit, floating)
        fields["unit"][atoms] = unit[own]
        conductance = float(np.sum(matrix[tk.ANODE] * (1.0 - unit)))
        gap = self._gap(atoms, foot)
        atoms, own, best, planes = atoms[linked], own[linked], best[linked], planes[linked]
        counts = np.maximum(best.max(axis=1, initial=0.0), planes.max(axis=1)) > CURRENT_LEAST * conductance
        above = atoms[counts & (own != tk.CATHODE)] // (self.shape[1] * self.shape[2])
        self.lowest = min(self.lowest_roof, int(above.min(initial=self.lowest_roof)))
        atom, electrode = np.zeros_like(planes), np.zeros_like(planes)
        tk.link_heat(own, best, planes, channels, unit, atom, electrode)
        return Path(conductance, False, gap,
                    *self._link_heat(atoms, foot, atom, electrode, bare, direct, conductance))

    def _bare(self, foot) -> tuple[np.ndarray, np.ndarray]:
        """Columns where the electrode is linked to silver in the organic, no atom between; the links, S."""
        apart = (self.roof - foot).ravel()
        reach = TUNNEL_REACH if self.tunnelling else 1
        columns = np.flatnonzero((foot.ravel() > self.counter_top) & (apart <= reach))
        return columns, self.link[apart[columns] ** 2]

    def _link_heat(self, atoms, foot, atom, electrode, bare, direct, conductance: float
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sites and heat at one volt, for a positive and a negative voltage, of all tunnelling links."""
        plane = self.shape[1] * self.shape[2]
        column = np.append(atoms.astype(np.int64) % plane, bare)
        sites = np.concatenate([atoms, self.roof.ravel()[column] * plane + column,
                                foot.ravel()[column] * plane + column])
        nothing = np.zeros(len(column))
        positive = np.concatenate([atom[:, 0], electrode[:, 0], direct, nothing])
        negative = np.concatenate([atom[:, 1], nothing, electrode[:, 1], direct])
        return self._warm(sites, [positive, negative], conductance)

    def _warm(self, sites, heat, conductance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sites that count, and their heat, scaled to the conductance."""
        both = heat[0] + heat[1]
        counts = both > LEAST_SHARE * both.sum()
        positive, negative = (part[counts] * (conductance / max(part[counts].sum(), 1e-300)) for part in heat)
        return sites[counts].astype(np.int64), positive, negative

    def _floating(self, fields, atoms, matrix, unit, floating) -> np.ndarray:
        """Potentials of floating clusters by Kirchhoff's law; out of tunnelling's reach, what they had."""
        total = matrix[floating].sum(axis=1) + MATRIX_LEAK_S
        own = self.label[atoms]
        around = (np.bincount(own, fields["unit"][atoms]) / np.maximum(np.bincount(own), 1))[floating]
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

    def _bridged(self, state, fields, atoms, foot, layer, labels: int) -> Path:
        """A filament that joins the electrodes: the network of its bonds."""
        nodes = atoms[self.label[atoms] == tk.BRIDGE]
        self.index[nodes] = np.arange(len(nodes))
        neck = self._neck(state, nodes)
        links, weight = np.zeros((6 * len(nodes), 3), np.int32), np.zeros(6 * len(nodes))
        count = bk.bridge_network(
            state.sites, self.in_organic, nodes, self.label, self.index, self.ohmic, self.quantum, neck,
            *self.shape, links, weight)
        links, weight = links[:count], weight[:count]
        unit = np.clip(fields["unit"][nodes], 0.0, 1.0)
        bk.solve_network(links, weight, unit, TOLERANCE)
        fields["unit"][nodes] = unit
        own = self.label[atoms]
        for k, value in {tk.CATHODE: 0.0, tk.ANODE: 1.0, tk.PLATED: 0.0}.items():
            fields["unit"][atoms[own == k]] = value
        if self.tunnelling and labels > tk.FLOATING:
            sums = bk.floating_potentials(atoms, self.label, fields, self.roof, foot, TUNNEL_REACH, self.link,
                                          labels, *self.shape)
            linked = sums[own, 0] > 0.0  # an island out of reach keeps what it had
            fields["unit"][atoms[linked]] = (sums[:, 1] / np.maximum(sums[:, 0], 1e-300))[own[linked]]
        return self._path(nodes, links, weight, unit, layer)

    def _neck(self, state, nodes) -> int:
        """The narrowest plane, the highest of such; -1 where the bonds to the electrode are fewer.

        Only planes under all of those bonds part it from the rest.
        """
        contacts, most = bk.anode_contacts(state.sites, nodes, *self.shape)
        counts = np.bincount(nodes // (self.shape[1] * self.shape[2]))[: most + 1]
        counts[counts == 0] = PLENTY
        least = int(counts.min(initial=PLENTY))
        neck = -1 if contacts < least else len(counts) - 1 - int(np.argmin(counts[::-1]))
        # As narrow as the neck, a plane above it is that, and any plane where the bonds to the electrode are;
        # other planes and those bonds where narrower.
        self.spare[: len(counts)] = counts - min(contacts, least) - (np.arange(len(counts)) > neck)
        self.spare[-1] = contacts - min(contacts, least)
        return neck

    def _path(self, nodes, links, weight, unit, layer) -> Path:
        """Two-terminal conductance with the resistance of the silver in the organic, and the heat by site."""
        ends = np.append(unit, [0.0, 1.0])  # index -2 is the cathode, -1 the anode
        drop = ends[links[:, 1]] - ends[links[:, 0]]
        power = weight * drop**2
        conductance = float(power.sum())
        current = weight * np.abs(drop)
        foot = self._foot_resistance(layer)
        scale = 1.0 / (1.0 + conductance * foot)
        # Electrons of a positive voltage run to the higher potential; a ballistic neck heats that end alone.
        neck = weight < self.ohmic
        upper = np.where(neck, drop > 0.0, 0.5)
        below = np.where(links[:, 1] == -2, current * conductance * foot, 0.0)
        sites = np.concatenate([nodes[links[:, 0]], links[:, 2]])
        heat = [np.concatenate([power * (1.0 - part), power * part + below]) for part in (upper, 1.0 - upper)]
        # Most of the silver that plates the organic belongs to the cluster and carries nothing.
        return Path(conductance * scale, True, 0.0, *self._warm(sites, heat, conductance * scale))

    def _foot_resistance(self, layer) -> float:
        """Resistance of the silver column in the organic, V/A: planes in series."""
        return float(np.sum(1.0 / (self.ohmic * layer[layer > 0])))
