"""A rough electrode on the mesh of the potential: its surface lies within cells and between nodes.

Vacancies gather at it within less than a cell where it is negative. So it holds only cells without an open
site; from the others links lead to it, and what is nearer to it than to a node feels both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GROUPS = 4  # groups of a cell's sites, by their place between the node and the electrode


class Places(NamedTuple):
    """Groups of sites of a cell that lie alike: the cell's number, how many vacancies they take at most, and
    how much of the way from the node to the electrode is behind them (0 to 1). All [n]."""

    cell: np.ndarray
    most: np.ndarray
    near: np.ndarray


class Rough:
    """What leads from the cells of a mesh to the electrode above them.

    electrode: bool [z, y, x], where it is; resistance: float64 [z, y, x], of sites, one over a permittivity;
    begin, node: of the planes of cells, in sites. A column of sites that ends at the electrode has its node
    in the middle of what is open of it in a cell. `near` [z, y, x] is as in Places.
    """

    def __init__(self, electrode: np.ndarray, resistance: np.ndarray, begin: np.ndarray, node: np.ndarray):
        self.factor, self.electrode, self.resistance = len(electrode) // len(node), electrode, resistance
        self.cells = (len(node), self.factor, *electrode.shape[1:])
        self.some = bool(electrode.any())
        #: what of a cell is below the electrode
        below = np.minimum.accumulate(~electrode.reshape(self.cells), axis=1)
        self.below = below.reshape(electrode.shape)
        #: open sites of each column of a cell below the electrode, [cells, y, x]
        self.open = below.sum(axis=1)
        middle = np.where(self.open < self.factor, begin[:, None, None] + self.open / 2, node[:, None, None])
        planes = np.arange(len(electrode)).reshape(self.cells[:2])
        #: how much of each site is below the node of its column
        self.low = np.clip(middle[:, None] - planes[..., None, None], 0.0, 1.0).reshape(electrode.shape)
        self.near = self._behind() if self.some else np.zeros(electrode.shape)

    def _behind(self) -> np.ndarray:
        """Of each site the share of the way from its node to the electrode above it, none without one."""
        way = (self.resistance * self.below * (1.0 - self.low)).reshape(self.cells)
        ends = (self.open > 0) & (self.open < self.factor)
        ends[:-1] |= (self.open[:-1] == self.factor) & (self.open[1:] == 0)
        behind = (np.cumsum(way, axis=1) - way / 2) * inverse(way.sum(axis=1), ends)[:, None]
        return behind.reshape(self.electrode.shape) * self.below

    def upwards(self, upper: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conductances of the columns from node to node, and of those from a node to the electrode.

        upper, lower [cells, y, x]: resistances from a node to the top of its cell and to its bottom.
        """
        through, some = self.open[:-1] == self.factor, self.open > 0
        both, link = through & some[1:], np.zeros(upper.shape)
        link[:-1] += inverse(upper[:-1], some[:-1] & ~both)
        link[1:] += inverse(lower[1:], some[1:] & ~through)
        return inverse(upper[:-1] + lower[1:], both), link

    def aside(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """The same of the rows along y or x; cells along `axis`, sites along the others."""
        parts, metal = (np.moveaxis(one, axis, 0) for one in (self.resistance, self.electrode))
        shape = (len(parts) // self.factor, self.factor, *parts.shape[1:])
        half = self.factor // 2
        way, hit = (np.roll(one, -half, 0).reshape(shape) for one in (parts, metal))
        if self.factor == 1:  # from the middle of a site to that of the next
            way = (way + np.roll(way, -1, 0)) / 2
        through = inverse(way.sum(axis=1), np.logical_not(hit.any(axis=1)))
        link = np.zeros(through.shape)
        if self.some:
            link += _end(way, hit) + np.roll(_end(*_other(way, hit)), 1, 0)
            within = parts.reshape(shape), metal.reshape(shape)
            link += _short(*within) + _short(*_other(*within))
        return np.moveaxis(through, 0, axis), np.moveaxis(link, 0, axis)


def places(near: np.ndarray, factor: int, most: np.ndarray, built_in: np.ndarray) -> tuple[Places, np.ndarray]:
    """Groups of the sites that take vacancies, and those built in as the nodes feel them [cells, flat].

    near, most, built_in [z, y, x]: of each site, as in Places.
    """
    number = np.arange(most.size // factor**3).reshape([n // factor for n in most.shape])
    for axis in range(3):
        number = number.repeat(factor, axis)
    group = np.ceil(near * GROUPS).astype(np.int64)
    some = most > 0
    keys, where = np.unique((number * (GROUPS + 1) + group)[some], return_inverse=True)
    room = np.bincount(where, most[some])
    share = np.bincount(where, (near * most)[some]) / room
    felt = np.bincount(number.ravel(), (built_in * (1.0 - near)).ravel(), minlength=most.size // factor**3)
    return Places(keys // (GROUPS + 1), room, share), felt


def _end(way: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Conductances of rows of sites [cells, f, ...] up to the electrode, for those that end there."""
    open_ = np.minimum.accumulate(~hit, axis=1)
    return inverse((way * open_).sum(axis=1), hit.any(axis=1) & open_[:, 0])


def _short(way: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Of rows that end at or before the middle of their own cell: from the middle of what is open of them."""
    open_, half = np.minimum.accumulate(~hit, axis=1), way.shape[1] // 2
    count = open_.sum(axis=1)
    return inverse((way * open_).sum(axis=1) / 2, (count > 0) & (count <= half) & hit[:, half])


def _other(way: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows from their other end."""
    return np.flip(way, 1), np.flip(hit, 1)


def inverse(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """One over some values, nothing elsewhere."""
    return np.divide(1.0, values, out=np.zeros(values.shape), where=where)
