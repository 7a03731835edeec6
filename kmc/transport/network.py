"""Electronic current of a frozen configuration: metal bonds and tunnelling across gaps."""

import math
from functools import partial

import numpy as np

from kmc.geometry.lattice import Lattice, Region
from kmc.system.metal_sites import Silver
from kmc.system.state import METAL, ON_WAY, Grid, State
from kmc.transport import closed_filament as bk
from kmc.transport import clusters as ck
from kmc.transport import minimum_cut as fl
from kmc.transport import tunnelling as tk
from kmc.transport.filament import Heated, Path, counted_heat, unlinked
from kmc.transport.nearest_metal import TunnelGeometry

TUNNEL_DECADES = 7.8  # of conductance, over which atoms are linked by tunnelling: with the cards, 2.35 nm
CURRENT_LEAST = 0.01  # of the conductance: changes of metal that could move it by less are not waited for
TOLERANCE = 1e-4  # of the bonds' network: potentials are then within 3e-4 of a volt, conductance 1e-6
NECK_DECADES = 2.9  # the same beside the neck of a closed filament
NO_NECK = (1, 0)  # from a plane to one below it
LEAST_STUMP = 1e-3  # of the links' resistance: less of the stumps' is not looked at
MATRIX_LEAK_S = 1e-16  # of an island to the matrix around it: it decides only out of tunnelling's reach


class Network:
    """Conductance and potentials of the silver between the electrodes, for the present metal."""

    def __init__(self, lattice: Lattice, stack, tunnelling: bool):
        metal = stack.electrode
        self.shape, self.grid = lattice.shape, Grid(*lattice.shape)
        self.spacing = lattice.spacing_nm
        region = lattice.region
        electrode = region == Region.ELECTRODE
        self.anode_height = np.where(electrode.any(axis=0), electrode.argmax(axis=0), 99999).astype(np.int32)
        self.lowest_anode = int(self.anode_height.min())
        self.lowest_tip = self.lowest_anode  # plane of the metal to which the cathode's tip tunnels
        self.label = np.zeros(region.size, np.int32)  # of the film's silver; 0 elsewhere
        self.in_filament = np.zeros(region.size, np.bool_)  # scratch: False between calls
        #: whether labels may be kept: no island, and no filament that joins the electrodes
        self.labels_keep = False
        self.index = np.zeros(region.size, np.int32)
        #: of the film's silver on its site: on which side it is of gaps and of where it is narrowest
        self.side = np.zeros(region.size, np.uint8)
        # Silver in an organic under the film is part of the cathode; without a film it is the filament.
        self.in_organic = (region == Region.ORGANIC).ravel() & (stack.active is not None)
        self.counter_top = int(np.flatnonzero((region == Region.COUNTER).any(axis=(1, 2))).max())
        self.quantum = metal.value("bond_conductance")
        # conductance of a bond inside metal: spacing / resistivity
        self.ohmic = self.spacing / metal.value("resistivity")
        self.decay = math.log(10) * self.spacing / metal.value("tunnelling_decade")
        self.tunnelling = tunnelling
        #: conductance of a link of two atoms by squared distance in sites (Simmons at low bias)
        self.tunnel_reach, self.neck_reach = (
            max(1, round(decades * math.log(10) / self.decay)) for decades in (TUNNEL_DECADES, NECK_DECADES)
        )  # in sites
        self.link_conductance = self.quantum * np.exp(
            -self.decay * (np.sqrt(np.arange(self.tunnel_reach**2 + 1)) - 1.0)
        )
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
            run["watch"] = self.lowest_tip - self.reach(CURRENT_LEAST * total) - 1
            run["stale_bound"] = np.inf

    def update(self, state: State, fields: np.ndarray, changed: np.ndarray | None = None) -> Path:
        """Solve for the present metal; writes the unit potential of its atoms into `fields`.

        changed: the only sites where metal may differ from the last update; None: any.
        """
        kept = self._labels_kept(state, changed)
        if changed is None:
            self.silver.take(np.flatnonzero(state.sites["cation"] == METAL), fields)
        else:
            self.silver.follow(state, fields, changed)
        film, self.neck, labels = self.film, NO_NECK, ck.FLOATING
        if not kept:
            labels = ck.label_clusters(state.sites, self.in_organic, film, self.label, state.bridge, self.shape)
        own, bridged, self.plated, atoms, names = ck.classify_silver(film, self.label, self.side, fields)
        self.labels_keep = labels == ck.FLOATING and not bridged
        if not bridged:
            return self._tunnelling(fields, atoms, names, labels)
        rest = names != ck.BRIDGE
        beside = self._tunnelling(fields, atoms[rest], names[rest], labels) if rest.any() else Path()
        return self._bridged(state, fields, own, labels).parallel(beside)

    def _labels_kept(self, state: State, changed: np.ndarray | None) -> bool:
        """Bring the labels of what changed up to date, if that is all; else they are to be found anew."""
        if changed is None:
            self.label[:] = 0
        elif self.labels_keep and ck.update_labels(
            state.sites, self.in_organic, changed, self.label, state.bridge, self.grid
        ):
            return True
        else:
            self.label[changed] = 0
        return False

    def restore(self, silver: np.ndarray, side: np.ndarray, label: np.ndarray) -> None:
        """Sites of all silver as of the last update, and of the film's its side and label."""
        self.silver.restore(silver)
        self.label[:], self.labels_keep = 0, False  # whatever it was of
        self.side[self.film], self.label[self.film] = side, label

    def filament(self, state: State, heated: np.ndarray) -> np.ndarray:
        """Sites of the silver in the film, without what plates the organic and is neither foot nor heated."""
        plane, cation = self.shape[1] * self.shape[2], state.sites["cation"]
        foot = (cation[self.film - plane] >= METAL) & (cation[self.film + plane] >= METAL)
        warm = heated[(cation[heated] == METAL) & ~self.in_organic[heated]]
        film = self.film[(self.film >= self.film_floor) | foot]
        self.in_filament[film] = True
        rest = warm[~self.in_filament[warm]]
        self.in_filament[film] = False
        return np.sort(np.append(film, np.unique(rest)))

    def reach(self, least: float) -> int:
        """Sites over which a link of two atoms conducts more than `least` (S)."""
        if not self.tunnelling or least >= self.quantum:
            return 1
        return min(self.tunnel_reach, math.ceil(1.0 + math.log(self.quantum / least) / self.decay))

    def _geometry(self, reach: int) -> TunnelGeometry:
        """The electrodes as of the last update, and the law of links, up to so many sites."""
        heights = self.anode_height, self.silver.cathode_height
        return TunnelGeometry(*heights, reach, self.link_conductance, self.shape)

    def _tunnelling(self, fields, atoms, own, labels: int) -> Path:
        """Clusters joined by tunnelling links: a small dense network."""
        geometry = self._geometry(self.tunnel_reach if self.tunnelling else 1)
        network = tk.tunnel_network(atoms, own, labels, self.counter_top, geometry)
        if labels > ck.FLOATING:
            network.unit[ck.FLOATING :] = self._island_potentials(fields, atoms, own, network)
        conductance, shortest, self.lowest_tip = tk.set_potentials(fields, atoms, own, network, CURRENT_LEAST, geometry)
        gap = float(shortest - 1) * self.spacing
        links = partial(self._link_heat, network)
        if conductance * self.shape[0] / self.ohmic <= LEAST_STUMP:  # with an atom a plane
            return Path(conductance, False, gap, lambda: counted_heat(links(), conductance))
        stumps, ohms = self._stumps(atoms, own)
        share = conductance * ohms.sum()  # of the stumps' resistance, over that of the links
        whole = conductance / (1.0 + share)

        def heat() -> Heated:
            found = links()
            own = unlinked(stumps, found.watts.sum() * ohms * whole * (1.0 + share))
            return counted_heat(Heated(*map(np.append, found, own)), whole)

        return Path(whole, False, gap, heat)

    def _stumps(self, atoms, own) -> tuple[np.ndarray, np.ndarray]:
        """Sites of the two stumps, and what each adds to their resistance, V/A: their planes are in series.

        That of the silver in the organic is on the atoms that a stump stands on; what plates the organic
        beside these is no part. Of silver on the electrode what is below all of that counts.
        """
        plane = self.shape[1] * self.shape[2]
        anode_stump = atoms[(own == ck.ANODE) & (atoms // plane < self.lowest_anode)]
        cathode_stump = atoms[own == ck.CATHODE]
        foot = self.silver.cathode_height.ravel()[cathode_stump % plane] == cathode_stump // plane - 1
        below, cathode_stump = (cathode_stump[foot] - plane, cathode_stump[foot | (cathode_stump >= self.film_floor)])
        ohms = [np.full(len(below), self._column_resistance() / max(len(below), 1))]
        for stump in (cathode_stump, anode_stump):
            z = stump // plane
            ohms.append(1.0 / (self.ohmic * np.bincount(z)[z] ** 2.0))
        return np.concatenate([below, cathode_stump, anode_stump]), np.concatenate(ohms)

    def _link_heat(self, network: tk.TunnelNetwork) -> Heated:
        """Joule heat of all tunnelling links, those of bare columns of silver among them."""
        planes, bare, plane = network.to_electrodes, network.columns, self.shape[1] * self.shape[2]
        most = 2 * np.count_nonzero(planes) + np.count_nonzero(network.to_clusters)
        found = Heated(*(np.zeros(most, kind) for kind in (np.int64, float, float, np.int64)))
        geometry = self._geometry(self.tunnel_reach)
        tk.link_heating(network, geometry, found)
        pair = ck.CATHODE * len(network.channels) + ck.ANODE
        ends = 2 * pair + np.repeat([0, 1], len(bare))
        heights = geometry.cathode_height.ravel()[bare], geometry.anode_height.ravel()[bare]
        sites = np.append(*heights).astype(np.int64) * plane + np.tile(bare, 2)
        both = np.tile(network.direct, 2)
        return Heated(*map(np.append, found, (sites, both / 2, both, ends)))

    def _island_potentials(self, fields, atoms, own, network: tk.TunnelNetwork) -> np.ndarray:
        """Potentials of floating clusters by Kirchhoff's law; out of tunnelling's reach, what they had."""
        matrix, unit = network.conductance, network.unit
        total = matrix[ck.FLOATING :].sum(axis=1) + MATRIX_LEAK_S
        around = np.bincount(own, fields["unit"][atoms])[ck.FLOATING :] / np.bincount(own)[ck.FLOATING :]
        laplacian = np.diag(total) - matrix[ck.FLOATING :, ck.FLOATING :]
        right = matrix[ck.FLOATING :, : ck.FLOATING] @ unit[: ck.FLOATING] + MATRIX_LEAK_S * around
        return np.linalg.solve(laplacian, right)

    def _bridged(self, state, fields, own, labels: int) -> Path:
        """A filament that joins the electrodes: the network of its bonds, and of links beside its neck."""
        atoms = self.film
        nodes = atoms[own == ck.BRIDGE]
        self.index[nodes] = np.arange(len(nodes))
        links, weight, side = self._links(state, nodes)
        self.side[nodes] = side
        unit = np.clip(fields["unit"][nodes], 0.0, 1.0)
        bk.solve_network(links, weight, nodes // (self.shape[1] * self.shape[2]), unit, TOLERANCE)
        fields["unit"][nodes] = unit
        for k, value in {ck.CATHODE: 0.0, ck.ANODE: 1.0, ck.PLATED: 0.0}.items():
            fields["unit"][atoms[own == k]] = value
        if self.tunnelling and labels > ck.FLOATING:
            sums = bk.floating_potentials(atoms, self.label, fields, labels, self._geometry(self.tunnel_reach))
            linked = sums[own, 0] > 0.0  # an island out of reach keeps what it had
            fields["unit"][atoms[linked]] = (sums[:, 1] / np.maximum(sums[:, 0], 1e-300))[own[linked]]
        return self._path(nodes, links, weight, unit, side)

    def _links(self, state, nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bonds and links of a closed filament, conductances, sides of its atoms; sets `neck`, marks ways."""
        to = bk.bonds(state.sites, self.in_organic, nodes, self.index, self.shape)
        flow, side = np.zeros((len(nodes), 6), np.int8), np.zeros(len(nodes), np.uint8)
        graph, cut = bk.BondGraph(nodes, to, flow, side), fl.minimum_cut(to, flow, side)
        self.neck = bk.neck_planes(graph, self.shape[1] * self.shape[2])
        links, weight = np.zeros((7 * len(nodes), 3), np.int32), np.zeros(7 * len(nodes))
        count = bk.bridge_network(graph, self.ohmic, self.quantum, self.shape, links, weight)
        if self.tunnelling:
            least, geometry = CURRENT_LEAST * self.quantum * cut, self._geometry(self.neck_reach)
            count = bk.neck_links(graph, geometry, least, links, weight, count)
        state.bridge[nodes[(flow > 0).any(axis=1)]] = ON_WAY
        return links[:count], weight[:count], side

    def _path(self, nodes, links, weight, unit, side) -> Path:
        """Two-terminal conductance with the resistance of the silver in the organic, and the heat by site."""
        ends = np.append(unit, [0.0, 1.0])  # index -2 is the cathode, -1 the anode
        drop = ends[links[:, 1]] - ends[links[:, 0]]
        power = weight * drop**2
        conductance = float(power.sum())
        current = weight * np.abs(drop)
        foot = self._column_resistance()
        scale = 1.0 / (1.0 + conductance * foot)
        below = np.where(links[:, 1] == -2, current * conductance * foot, 0.0)
        sides = np.append(side, [fl.BELOW, fl.ABOVE])
        across = sides[links[:, 0]] != sides[links[:, 1]]  # the narrowest bonds, and links beside them
        to = [np.where(across, 2 * np.arange(len(links)) + end, -1) for end in (0, 1)]
        heated = Heated(
            np.append(nodes[links[:, 0]], links[:, 2]),
            np.append(power / 2, power / 2 + below),
            np.tile(np.where(across, weight, 0.0), 2),
            np.concatenate(to),
        )
        # Most of the silver that plates the organic belongs to the cluster and carries nothing.
        return Path(conductance * scale, True, 0.0, partial(counted_heat, heated, conductance * scale))

    def _column_resistance(self) -> float:
        """Resistance of the silver column in the organic, V/A: planes in series."""
        return float(np.sum(1.0 / (self.ohmic * self.column[self.column > 0])))
