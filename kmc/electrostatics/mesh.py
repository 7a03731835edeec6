"""The coarse mesh of the potential: where its nodes are, what lies between them, what the sheet holds."""

import numpy as np

from kmc.electrostatics.rough_electrode import Rough
from kmc.geometry.lattice import Lattice, Region
from kmc.system.parameter_tables import permittivities

HEIGHT = 0.5  # sites above the sheet: the middle of the first plane, where vacancies gather
ALONE = 10.0  # permittivity to the electrode of a cell in it to which nothing else leads
CONDUCTOR = 1e9  # relative permittivity of an electrode: the half cell in it takes no voltage


def carrier_sheet(lattice: Lattice) -> np.ndarray:
    """Top plane of the organic layer: where its mobile carriers gather against the crystals' poor conduction.

    They make the interface an equipotential within microseconds (Maxwell-Wagner; the layer's own space-charge
    current refills it), at the voltage the leak leaves to the organic.
    """
    organic = lattice.region == Region.ORGANIC
    above = np.roll(lattice.region, -1, axis=0)
    ends = (above != Region.ORGANIC) & (above != Region.ELECTRODE)  # silver that fell there has its own
    return np.flatnonzero(organic & ends & ~lattice.residue)


class Mesh:
    """Cells of `factor` sites along each axis, [z, y, x], with a node in the middle of each.

    The sheet of carriers is at its own potential, and vacancies gather right above it. So no cell reaches
    across it: of the one in which it ends, `base` being the first plane above it, only what is above counts,
    and the whole cell below is held. The node of the first cell above is near the sheet, as vacancies are.
    """

    def __init__(self, lattice: Lattice, factor: int, sheet: np.ndarray):
        self.factor = factor
        ny, nx = lattice.shape[1:]
        self.cells = tuple(-(-n // factor) for n in lattice.shape)
        self.base = int(sheet.max()) // (ny * nx) + 1 if len(sheet) else 0
        self.first = self.base // factor  # the first cell above the sheet; part of it may be below
        #: uint8 [cells]: those that the sheet holds
        self.sheet = np.zeros(self.cells, np.uint8)
        if self.base:
            carriers = np.zeros(ny * nx, bool)
            carriers[sheet % (ny * nx)] = True
            blocks = carriers.reshape(ny // factor, factor, nx // factor, factor)
            self.sheet[self.first - 1] = blocks.any(axis=(1, 3))
        start = np.arange(self.cells[0]) * factor
        self.end = start + factor
        self.start = np.maximum(start, np.where(self.end > self.base, self.base, 0))
        self.node = (self.start + self.end) / 2
        if self.base:
            self.node[self.first] = self.base + HEIGHT
        #: plane whose atoms do not hold their cell; -1: none
        self.skipped = self.base if self.base and factor > 1 else -1
        #: from this plane of cells on the electrode holds none that has an open site
        self.rough_plane = self.first + 1 if factor > 1 else self.cells[0]
        #: permittivities from cells to the electrode's surface in or beside them, float64 [cells]
        self.link = np.zeros(self.cells)
        #: of each site, how much of the way from its node to the electrode is behind it
        self.near = np.zeros(lattice.shape, np.float32)

    def planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each plane of sites: the cells below and above it, and the weight of the upper one.

        From its middle to `base` a held cell has one potential.
        """
        height, cell = list(self.node), list(range(len(self.node)))
        if self.base:
            height.insert(self.first, self.base)
            cell.insert(self.first, self.first - 1)
        at = np.arange(self.end[-1]) + 0.5
        upper = np.clip(np.searchsorted(height, at), 1, len(height) - 1)
        below, above = np.array(height)[upper - 1], np.array(height)[upper]
        part = np.clip((at - below) / (above - below), 0.0, 1.0)
        return np.array(cell)[upper - 1], np.array(cell)[upper], part

    def faces(
        self, lattice: Lattice, stack, metal: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Permittivities of the faces between cells, gz, gy and gx; z open, y and x periodic.

        Between two nodes the sites of a column are in series and the columns side by side, so that layers
        across the field are exact however they lie on the mesh. metal, bool [z, y, x]: what is as an
        electrode, half a site from its neighbours; of the finest mesh alone, where a cell is a site.
        """
        values = permittivities(stack)
        values[[Region.COUNTER, Region.ELECTRODE]] = CONDUCTOR
        resistance = 1.0 / values[lattice.region]
        if metal is not None:
            resistance[metal] = 1.0 / CONDUCTOR
        electrode = lattice.region == Region.ELECTRODE
        electrode[: self.rough_plane * self.factor] = False
        rough = Rough(electrode, resistance, self.start, self.node)
        above = np.arange(len(resistance)) >= np.repeat(self.start, self.factor)
        free = np.ones(resistance.shape, bool) & above[:, None, None]
        beyond = resistance.copy()  # upwards of the sheet, the organic in its cell is at its potential
        held = self.sheet.astype(bool).repeat(self.factor, 0).repeat(self.factor, 1).repeat(self.factor, 2)
        if self.base:
            free |= ~held[self.first * self.factor - 1]  # silver fell on the organic there
        beyond[held & (lattice.region == Region.ORGANIC)] = 1.0 / CONDUCTOR
        upper = self._sum(beyond * free * rough.below * (1.0 - rough.low))
        lower = self._sum(resistance * free * rough.low)
        gz, links = (self._area(one, 0) for one in rough.upwards(upper, lower))
        gy, gx = (self._side(rough, free, axis, links) for axis in (1, 2))
        inside = electrode.reshape([v for n in self.cells for v in (n, self.factor)]).any(axis=(1, 3, 5))
        self.link[:] = np.where(inside & (links == 0.0), ALONE, links)
        self.near[:] = rough.near
        return gz, gy, gx

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Sums over the planes of each cell, by column of sites."""
        return values.reshape(self.cells[0], self.factor, *values.shape[1:]).sum(axis=1)

    def _side(self, rough: Rough, free: np.ndarray, axis: int, links: np.ndarray) -> np.ndarray:
        """Faces along y or x; those that end at the electrode are added to `links`."""
        through, ends = rough.aside(axis)
        blocks = np.take(free, np.arange(0, free.shape[axis], self.factor), axis)
        links += self._area(ends, axis)
        return self._area(through * (blocks & np.roll(blocks, -1, axis)), axis)

    def _area(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Conductances of columns of sites side by side, for each face along an axis."""
        blocks = [
            v for a, n in enumerate(values.shape) for v in ((n, 1) if a == axis else (n // self.factor, self.factor))
        ]
        return values.reshape(blocks).sum(axis=(1, 3, 5)) / self.factor
