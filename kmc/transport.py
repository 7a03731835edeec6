"""Electronic current of a frozen configuration: metal bonds and tunnelling across gaps."""

import math
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np

from . import bridge_kernels as bk
from . import transport_kernels as tk
from .lattice import Lattice, Region
from .silver import Silver
from .state import METAL, ON_WAY, State

TUNNEL_REACH_NM = 2.35  # eight decades
CURRENT_LEAST = 0.01  # of the conductance: changes of metal that could move it by less are not waited for
TOLERANCE = 1e-4  # of the bonds' network: potentials are then within 3e-4 of a volt, conductance 1e-6
NECK_REACH_NM = 0.88  # beside the neck of a closed filament, over which silver is linked by tunnelling
NO_NECK = (1, 0)  # from a plane to one below it
LEAST_STUMP = 1e-3  # of the links' resistance: less of the stumps' is not looked at
LEAST_SHARE = 1e-7  # of the heat: a site that gives less does not count
MATRIX_LEAK_S = 1e-16  # of an island to the matrix around it: it decides only out of tunnelling's reach


Heated = tuple[np.ndarray, np.ndarray, np.ndarray]


class Path:
    """The filament as a two-terminal: conductance (S), and the heat on sites at one volt (W/V2).

    A ballistic or tunnelling electron leaves its energy in the metal that receives it: so the heat depends on
    the polarity. It adds up to the conductance, and is worked out when it is first asked for, which is to be
    before the network is updated again: of most filaments nobody does.
    """

    def __init__(self, conductance: float = 0.0, bridged: bool = False, gap_nm: float = math.inf,
                 heat: Callable[[], Heated] | None = None):
        self.conductance, self.bridged, self.gap_nm = conductance, bridged, gap_nm
        self._heat = heat

    @cached_property
    def heat(self) -> Heated:
        """Sites that count, and their heat at a positive and at a negative voltage."""
        return self._heat() if self._heat else (np.zeros(0, np.int64), np.zeros(0), np.zeros(0))

    @property
    def heat_sites(self) -> np.ndarray:
        """Sites that count."""
        return self.heat[0]

    @property
    def heat_positive(self) -> np.ndarray:
        """Their heat at a positive voltage, W/V2."""
        return self.heat[1]

    @property
    def heat_negative(self) -> np.ndarray:
        """The same at a negative one."""
        return self.heat[2]


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
        self.far, self.about_neck = (max(1, round(reach / self.spacing)) for reach in
                                     (TUNNEL_REACH_NM, NECK_REACH_NM))  # in sites
        self.link = self.quantum * np.exp(-self.decay * (np.sqrt(np.arange(self.far**2 + 1)) - 1.0))
        self.silver = Silver(self.in_organic, self.shape, self.counter_top)
        self.plated = np.zeros(0, np.int32)  # sites of the silver that only lies on the organic
        #: planes between which changes of a closed filament ask for the current
        self.neck = NO_NECK
        plated = lattice.organic_surface() + 1 if stack.active is not None else 0
        self.film_floor = plated * self.shape[1] * self.shape[2]

    @property
    def film(self) -> np.ndarray:
        """Sites of the silver above the organic, as of the last update."""
        return self.silver.film

    @property
    def column(self) -> np.ndarray:
        """Silver atoms in the organic by plane of sites, as of the last update."""
        return self.silver.column

    def watch(self, run: np.ndarray, path: Path, leakage: float) -> None:
        """Which changes of metal ask for the current: of a filament by power, else by the height of a tip.

        leakage: of the layers beside it, S.
        """
        run["stale"], (run["neck_low"], run["neck_high"]) = 0.0, self.neck
        if path.bridged:
            run["watch"] = np.inf
            run["stale_bound"] = CURRENT_LEAST * path.conductance / self.ohmic
        else:
            # Planes below it from which an atom's tunnelling counts beside what conducts now.
            total = path.conductance + leakage
            run["watch"] = self.lowest - self.reach(CURRENT_LEAST * total) - 1
            run["stale_bound"] = np.inf

    def update(self, state: State, fields: np.ndarray, changed: np.ndarray | None = None) -> Path:
        """Solve for the present metal; writes the unit potential of its atoms into `fields`.

        changed: the only sites where metal may differ from the last update; None: any.
        """
        if changed is None:
            self.silver.take(np.flatnonzero(state.sites["cation"] == METAL), fields)
        else:
            self.silver.follow(state, fields, changed)
        film, self.neck = self.film, NO_NECK
        labels = tk.label_clusters(state.sites, self.in_organic, film, self.label, state.bridge, *self.shape)
        own, bridged, self.plated, atoms, names = tk.sorted_out(film, self.label, fields)
        if bridged:
            return self._bridged(state, fields, own, labels)
        return self._tunnelling(fields, atoms, names, labels)

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
        return min(self.far, math.ceil(1.0 + math.log(self.quantum / least) / self.decay))

    def _tunnelling(self, fields, atoms, own, labels: int) -> Path:
        """Clusters joined by tunnelling links: a small dense network."""
        foot, reach = self.silver.foot, self.far if self.tunnelling else 1
        tips, some, best, planes, channels, matrix, bare, apart = tk.open_links(
            atoms, own, labels, self.roof, foot, self.counter_top, reach, self.link, *self.shape)
        direct = self.link[apart**2]  # of columns where the electrode is linked to the organic's silver
        matrix[tk.ANODE, tk.CATHODE] += direct.sum()
        unit = np.zeros(labels)
        unit[tk.ANODE] = 1.0
        if labels > tk.FLOATING:
            unit[tk.FLOATING :] = self._floating(fields, atoms, own, matrix, unit)
        conductance = float(np.sum(matrix[tk.ANODE] * (1.0 - unit)))
        shortest, self.lowest = tk.follow_open(fields, atoms, own, unit, tips, some, best, planes,
                                               CURRENT_LEAST * conductance, self.roof, foot)
        gap = float(shortest - 1) * self.spacing
        links = partial(self._link_heat, tips, some, best, planes, channels, unit, bare, direct)
        if conductance * self.shape[0] / self.ohmic <= LEAST_STUMP:  # with an atom a plane
            return Path(conductance, False, gap, lambda: self._warm(*links(), conductance))
        stumps, ohms = self._stumps(atoms, own)
        share = conductance * ohms.sum()  # of the stumps' resistance, over that of the links
        whole = conductance / (1.0 + share)

        def heat() -> Heated:
            sites, *parts = links()
            parts = [np.append(part / part.sum(), ohms * whole * (1.0 + share)) for part in parts]
            return self._warm(np.append(sites, stumps), parts[0], parts[1], whole)

        return Path(whole, False, gap, heat)

    def _stumps(self, atoms, own) -> tuple[np.ndarray, np.ndarray]:
        """Atoms of the two stumps, and what each adds to their resistance, V/A: their planes are in series.

        The silver in the organic counts with the film's lowest plane: electrons of a stump end there. Of
        silver on the electrode what is below all of that counts.
        """
        plane = self.shape[1] * self.shape[2]
        hangs = (own == tk.ANODE) & (atoms // plane < self.lowest_roof)
        parts = []
        for stump in (atoms[own == tk.CATHODE], atoms[hangs]):
            z = stump // plane
            count = np.bincount(z)[z]
            parts.append(1.0 / (self.ohmic * count**2.0))
            if len(parts) == 1 and len(z):
                parts[0][z == z[0]] += self._foot_resistance() / count[0]
        return np.concatenate([atoms[own == tk.CATHODE], atoms[hangs]]), np.concatenate(parts)

    def _link_heat(self, atoms, own, best, planes, channels, unit, bare, direct) -> Heated:
        """Sites and heat at one volt, for a positive and a negative voltage, of all tunnelling links."""
        atom, electrode = np.zeros_like(planes), np.zeros_like(planes)
        tk.link_heat(own, best, planes, channels, unit, atom, electrode)
        plane = self.shape[1] * self.shape[2]
        column = np.append(atoms.astype(np.int64) % plane, bare)
        sites = np.concatenate([atoms, self.roof.ravel()[column] * plane + column,
                                self.silver.foot.ravel()[column] * plane + column])
        nothing = np.zeros(len(column))
        positive = np.concatenate([atom[:, 0], electrode[:, 0], direct, nothing])
        negative = np.concatenate([atom[:, 1], nothing, electrode[:, 1], direct])
        return sites, positive, negative

    def _warm(self, sites, positive, negative, conductance: float) -> Heated:
        """The sites that count, and their heat, scaled to the conductance."""
        both = positive + negative
        counts = both > LEAST_SHARE * both.sum()
        heat = [part[counts] for part in (positive, negative)]
        scaled = [part * (conductance / max(part.sum(), 1e-300)) for part in heat]
        return sites[counts].astype(np.int64), *scaled

    def _floating(self, fields, atoms, own, matrix, unit) -> np.ndarray:
        """Potentials of floating clusters by Kirchhoff's law; out of tunnelling's reach, what they had."""
        total = matrix[tk.FLOATING :].sum(axis=1) + MATRIX_LEAK_S
        around = np.bincount(own, fields["unit"][atoms])[tk.FLOATING :] / np.bincount(own)[tk.FLOATING :]
        laplacian = np.diag(total) - matrix[tk.FLOATING :, tk.FLOATING :]
        right = matrix[tk.FLOATING :, : tk.FLOATING] @ unit[: tk.FLOATING] + MATRIX_LEAK_S * around
        return np.linalg.solve(laplacian, right)

    def _bridged(self, state, fields, own, labels: int) -> Path:
        """A filament that joins the electrodes: the network of its bonds, and of links beside its neck."""
        atoms, foot = self.film, self.silver.foot
        nodes = atoms[own == tk.BRIDGE]
        self.index[nodes] = np.arange(len(nodes))
        links, weight = self._links(state, nodes)
        unit = np.clip(fields["unit"][nodes], 0.0, 1.0)
        bk.solve_network(links, weight, unit, TOLERANCE)
        fields["unit"][nodes] = unit
        for k, value in {tk.CATHODE: 0.0, tk.ANODE: 1.0, tk.PLATED: 0.0}.items():
            fields["unit"][atoms[own == k]] = value
        if self.tunnelling and labels > tk.FLOATING:
            sums = bk.floating_potentials(atoms, self.label, fields, self.roof, foot, self.far, self.link,
                                          labels, *self.shape)
            linked = sums[own, 0] > 0.0  # an island out of reach keeps what it had
            fields["unit"][atoms[linked]] = (sums[:, 1] / np.maximum(sums[:, 0], 1e-300))[own[linked]]
        return self._path(nodes, links, weight, unit)

    def _links(self, state, nodes) -> tuple[np.ndarray, np.ndarray]:
        """Bonds and links of the closed filament, and their conductances; sets `neck`, and marks the ways."""
        to = bk.bonds(state.sites, self.in_organic, nodes, self.index, *self.shape)
        flow, above = np.zeros((len(nodes), 6), np.int8), np.zeros(len(nodes), np.uint8)
        cut = bk.narrowest(to, flow, above)
        low, high = bk.neck_planes(nodes, to, above, self.shape[1] * self.shape[2])
        self.neck = (low - 1, high)
        links, weight = np.zeros((7 * len(nodes), 3), np.int32), np.zeros(7 * len(nodes))
        count = bk.bridge_network(nodes, to, above, self.ohmic, self.quantum, self.shape, links, weight)
        if self.tunnelling:
            least = CURRENT_LEAST * self.quantum * cut
            count = bk.neck_links(nodes, to, flow, above, self.roof, low, high, self.about_neck, self.link,
                                  least, *self.shape[1:], links, weight, count)
        state.bridge[nodes[(flow > 0).any(axis=1)]] = ON_WAY
        return links[:count], weight[:count]

    def _path(self, nodes, links, weight, unit) -> Path:
        """Two-terminal conductance with the resistance of the silver in the organic, and the heat by site."""
        ends = np.append(unit, [0.0, 1.0])  # index -2 is the cathode, -1 the anode
        drop = ends[links[:, 1]] - ends[links[:, 0]]
        power = weight * drop**2
        conductance = float(power.sum())
        current = weight * np.abs(drop)
        foot = self._foot_resistance()
        scale = 1.0 / (1.0 + conductance * foot)
        # Electrons of a positive voltage run to the higher potential; a ballistic neck heats that end alone.
        neck = weight < self.ohmic
        upper = np.where(neck, drop > 0.0, 0.5)
        below = np.where(links[:, 1] == -2, current * conductance * foot, 0.0)
        sites = np.concatenate([nodes[links[:, 0]], links[:, 2]])
        up, down = (np.concatenate([power * (1.0 - part), power * part + below])
                    for part in (upper, 1.0 - upper))  # fmt: skip
        # Most of the silver that plates the organic belongs to the cluster and carries nothing.
        return Path(conductance * scale, True, 0.0, partial(self._warm, sites, up, down, conductance * scale))

    def _foot_resistance(self) -> float:
        """Resistance of the silver column in the organic, V/A: planes in series."""
        return float(np.sum(1.0 / (self.ohmic * self.column[self.column > 0])))
