"""Where electrons have a temperature of their own: cells with silver, planes of the column, the electrodes.

In the film each heat cell is a node, or several: silver on the two sides of a gap, or of the place where a
closed filament is narrowest, has electrons of its own, for these go over as the current does. The column that
forming left in the organic is wide and crosses it in planes: the silver in each plane of cells is one node.
An electrode is one node too, which warms on all of its sites in the window alike: in silver electrons give up
their heat over some 60 nm, and the contact to the counter is taken to be as wide as the window, for one of
the column's width would not carry the current.
"""

import math

import numpy as np

from kmc.geometry.lattice import Lattice, Region
from kmc.system.state import State
from kmc.thermal import heat_flow as hk

HEAT_FACTOR = 4  # sites per heat cell inside the window
NO_BONDS = (np.zeros((0, 2), np.int64), np.zeros(0))


class Nodes:
    """Nodes of one lattice, by number: the cells, once for each side, then the planes of the column, silver
    electrode, counter. Places, where the lattice is warmed, are numbered likewise, with each cell once.

    film: whether there is one: without, silver in the organic is the filament itself and no column.
    """

    def __init__(self, lattice: Lattice, film: bool):
        self.shape = lattice.shape
        self.cells = tuple(n // HEAT_FACTOR for n in self.shape)
        self.cell_count = math.prod(self.cells)  # the places that are cells
        self.sided = hk.SIDES * self.cell_count  # the nodes that are cells
        self.count = self.sided + self.cells[0] + 2
        self.grid = hk.CellGrid(film, HEAT_FACTOR, *self.shape)
        # Kept from call to call, for they are as long as the lattice, and a filament touches little of them.
        self.site_node = np.full(lattice.region.size, -1, np.int32)  # node of each site of this filament, else -1
        self.seen = np.zeros(self.count, np.bool_)
        self.number = np.zeros(self.count, np.int32)
        self.column, self.along = np.zeros(0, np.int64), NO_BONDS  # last column, and what it gave
        organic = (lattice.region == Region.ORGANIC) & film
        # Silver in a plane of the organic is where forming left it, or anywhere if it left none.
        wide = (organic & lattice.residue).any(axis=0) if (organic & lattice.residue).any() else True
        planes = self._by_cell(organic & wide)
        electrodes = [self._by_cell(lattice.region == r).ravel() for r in (Region.ELECTRODE, Region.COUNTER)]
        self.shares = []  # of a node that is no cell: its cells and their shares
        for k, plane in enumerate(planes):
            found = np.flatnonzero(plane)
            self.shares.append((found + k * plane.size, plane[found] / max(plane.sum(), 1)))
        self.shares += [(np.flatnonzero(sites), sites[sites > 0] / sites.sum()) for sites in electrodes]
        self.first = np.append(0, np.cumsum([len(cells) for cells, _ in self.shares]))
        self.shared_cells, self.share = (np.concatenate(parts) for parts in zip(*self.shares, strict=True))

    def _by_cell(self, chosen: np.ndarray) -> np.ndarray:
        """Number of chosen sites [planes of cells, cells of a plane]."""
        nz, ny, nx = self.cells
        f = HEAT_FACTOR
        return chosen.reshape(nz, f, ny, f, nx, f).sum(axis=(1, 3, 5)).reshape(nz, ny * nx)

    def of(self, state: State, side: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Nodes of the chosen sites; side: of silver on its site (`Network.side`)."""
        out = np.empty(len(chosen), np.int64)
        hk.nodes_of(chosen, state.sites, side, self.grid, out)
        return out

    def place(self, nodes: np.ndarray) -> np.ndarray:
        """Where nodes are on the lattice."""
        return np.where(nodes < self.sided, nodes % self.cell_count, nodes - self.sided + self.cell_count)

    def network(
        self, state: State, film: np.ndarray, side: np.ndarray, column: np.ndarray, heated: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes that silver joins or that are heated [n]; bonds between them [n, n]; their silver atoms [n].

        film: sites of the silver in the film; side: of silver on its site; column: silver atoms in the
        organic by plane of sites; heated: nodes that must be among them.
        """
        atoms = np.zeros(self.count, np.int64)
        pairs, weight = np.empty((6 * len(film), 2), np.int64), np.empty(6 * len(film))
        links = hk.bonds_of(state.sites, film, self.site_node, side, self.grid, atoms, pairs, weight)
        atoms[self.sided : self.sided + self.cells[0]] += column.reshape(-1, HEAT_FACTOR).sum(axis=1)
        along = self._column(column)
        pairs = np.concatenate([pairs[:links], along[0]])
        weight = np.concatenate([weight[:links], along[1]])
        self.seen[pairs.ravel()] = self.seen[heated] = True
        nodes = np.flatnonzero(self.seen)
        self.seen[nodes] = False
        n = len(nodes)
        self.number[nodes] = np.arange(n)
        low, high = self.number[pairs].T
        bonds = np.bincount(low * n + high, weight, n * n).reshape(n, n)
        return nodes, bonds + bonds.T, atoms[nodes]

    def _column(self, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bonds along the column, down to the counter: pairs of nodes [n, 2]; how many. It seldom changes."""
        if not np.array_equal(column, self.column):
            self.column, self.along = column.copy(), self._along(column)
        return self.along

    def _along(self, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, of a column that was not the last."""
        f, first = HEAT_FACTOR, self.sided
        spans = column[2:-2].reshape(-1, f)  # from the middle of a plane of cells to that of the next
        edge = np.flatnonzero(spans[:, 1:3].all(axis=1))
        pairs = np.stack([first + edge + 1, first + edge], axis=1)
        bonds = _in_series(spans[edge])
        filled = np.flatnonzero(column)
        if not len(filled):
            return pairs, bonds
        lowest = int(filled[0])
        half = column[lowest : max(lowest // f * f + f // 2, lowest + 1)]
        pairs = np.append(pairs, [[first + lowest // f, self.count - 1]], axis=0)
        return pairs, np.append(bonds, _in_series(half[None, :]))

    def source(self, place: int) -> np.ndarray:
        """One watt in a place, by cell of the window, W [z, y, x]."""
        heat = np.zeros(self.cell_count)
        cells, share = self.shares[place - self.cell_count] if place >= self.cell_count else (place, 1.0)
        heat[cells] = share
        return heat.reshape(self.cells)

    def mean(self, places: np.ndarray, field: np.ndarray) -> np.ndarray:
        """A field of cells [cells] at places [n]: of one that is no cell the mean over its shares."""
        out = np.empty(len(places))
        hk.node_means(places, field, self.first, self.shared_cells, self.share, out)
        return out


def link_conductances(nodes: np.ndarray, siemens: np.ndarray, ends: np.ndarray, count: int) -> np.ndarray:
    """Conductance of tunnelling links between `count` nodes, S [count, count], by the shares of its ends.

    nodes, siemens, ends: of each end of a link its node, its conductance and its side of a pair of clusters.
    """
    linked = ends >= 0
    pairs, at = np.unique(ends[linked] // 2, return_inverse=True)
    share = np.zeros((2, len(pairs), count))
    np.add.at(share, (ends[linked] % 2, at, nodes[linked]), siemens[linked])
    between = (share[0] / np.maximum(share[0].sum(axis=1, keepdims=True), 1e-300)).T @ share[1]
    np.fill_diagonal(between, 0.0)
    return between + between.T


def _in_series(atoms: np.ndarray) -> np.ndarray:
    """Bonds between two cells that do as planes [..., n] of atoms in series; an empty plane is no part."""
    return HEAT_FACTOR / np.where(atoms > 0, 1.0 / np.maximum(atoms, 1), 0.0).sum(axis=-1)
