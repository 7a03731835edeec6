"""Where electrons have a temperature of their own: cells with silver, planes of the column, the electrodes.

In the film each heat cell is a node. The column that forming left in the organic is wide and crosses it in
planes: each plane of its cells is one node. An electrode is one node too, for electrons give their heat to
its lattice over tens of nanometres: it warms on all of its sites in the window alike.
"""

import math

import numpy as np

from . import heat_kernels as hk
from .lattice import Lattice, Region
from .state import State

HEAT_FACTOR = 4  # sites per heat cell inside the window


class Nodes:
    """Nodes of one lattice: a cell's flat index, of a group that of its first cell; then the electrodes."""

    def __init__(self, lattice: Lattice):
        self.shape = lattice.shape
        self.cells = tuple(n // HEAT_FACTOR for n in self.shape)
        self.count = math.prod(self.cells) + 2
        self.home = np.arange(self.count - 2, dtype=np.int32)
        self.shares: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # of a group: its cells and their shares
        self.grouped = np.zeros(self.count, np.bool_)
        self.first = np.arange(self.count)  # a cell of each node
        self.mark = np.zeros(lattice.region.size, np.uint8)
        column = lattice.residue & (lattice.region == Region.ORGANIC)
        for k, cells in enumerate(self._by_cell(column)):
            found = np.flatnonzero(cells) + k * cells.size
            if len(found):
                self.home[found] = found[0]
                self._group(int(found[0]), found, cells[cells > 0])
        for k, region in enumerate((Region.ELECTRODE, Region.COUNTER)):
            sites = self._by_cell(lattice.region == region).ravel()
            self._group(self.count - 2 + k, np.flatnonzero(sites), sites[sites > 0])
        self.atoms = np.zeros(self.count, np.int64)  # of the column
        self.bonds = self._column(lattice, column)

    def _by_cell(self, chosen: np.ndarray) -> np.ndarray:
        """Number of chosen sites [planes of cells, cells of a plane]."""
        nz, ny, nx = self.cells
        f = HEAT_FACTOR
        return chosen.reshape(nz, f, ny, f, nx, f).sum(axis=(1, 3, 5)).reshape(nz, ny * nx)

    def _group(self, node: int, cells: np.ndarray, sites: np.ndarray) -> None:
        self.shares[node] = cells, sites / sites.sum()
        self.grouped[node] = True
        self.first[node] = cells[0]

    def _column(self, lattice: Lattice, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bonds of the column from plane to plane and to the counter: pairs of nodes [n, 2], and how many."""
        z, y, x = np.nonzero(column)
        f, (_, ny, nx) = HEAT_FACTOR, self.cells
        node = self.home[(z // f * ny + y // f) * nx + x // f]
        np.add.at(self.atoms, node, 1)
        upper, lower = z // f, (z - 1) // f
        below = self.home[(lower * ny + y // f) * nx + x // f].astype(np.int64)
        counter = lattice.region[z - 1, y, x] == Region.COUNTER
        below[counter] = self.count - 1
        joined = counter | (column[z - 1, y, x] & (upper != lower))
        pairs, bonds = np.unique(np.stack([node, below], axis=1)[joined], axis=0, return_counts=True)
        return pairs, np.where(pairs[:, 1] == self.count - 1, 2.0, 1.0) * bonds

    def of(self, state: State, chosen: np.ndarray) -> np.ndarray:
        """Nodes of the chosen sites."""
        out = np.empty(len(chosen), np.int64)
        hk.nodes_of(chosen, state.sites, self.home, HEAT_FACTOR, *self.shape[1:], out)
        return out

    def network(self, state: State, film: np.ndarray, heated: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes that silver joins or that are heated [n]; bonds between them [n, n]; their silver atoms [n].

        film: sites of the silver in the film; heated: nodes that must be among them.
        """
        atoms = self.atoms.copy()
        pairs, weight = np.empty((6 * len(film), 2), np.int64), np.empty(6 * len(film))
        self.mark[film] = 1
        links = hk.bonds_of(state.sites, film, self.mark, self.home, HEAT_FACTOR, *self.shape, atoms, pairs,
                            weight)
        self.mark[film] = 0
        pairs = np.concatenate([pairs[:links], self.bonds[0]])
        weight = np.concatenate([weight[:links], self.bonds[1]])
        nodes = np.unique(np.concatenate([pairs.ravel(), heated]))
        low, high = np.searchsorted(nodes, pairs).T
        n = len(nodes)
        bonds = np.bincount(low * n + high, weight, n * n).reshape(n, n)
        return nodes, bonds + bonds.T, atoms[nodes]

    def source(self, node: int) -> np.ndarray:
        """One watt in a node, by cell of the window, W [z, y, x]."""
        heat = np.zeros(self.count - 2)
        cells, share = self.shares.get(node, (node, 1.0))
        heat[cells] = share
        return heat.reshape(self.cells)

    def mean(self, nodes: np.ndarray, field: np.ndarray) -> np.ndarray:
        """A field of cells [..., cells] at nodes [..., n]: of a group the mean over its shares."""
        at = field[..., self.first[nodes]]
        for k in np.flatnonzero(self.grouped[nodes]):
            cells, share = self.shares[int(nodes[k])]
            at[..., k] = field[..., cells] @ share
        return at
