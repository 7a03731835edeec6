"""Crystals of a nanocrystal film: boxes in an ordered superlattice or in a random packing.

All lengths here are whole cells (one pseudo-cubic lattice constant). A box is [z, y, x, dz, dy, dx] with z
counted from the organic layer; y and x are periodic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kmc.core.errors import UserError
from kmc.geometry import random_deposition
from kmc.geometry.rough_surface import blur, stochastic_round

_LONGEST_EXCESS = 1.5
# Sum of the exponents of the beta distribution of aspect ratios: with less all are at its two ends.
_LEAST_SHARPNESS = 0.1
# A crystal that the silver's surface would cut below this share of itself is left out; one that would leave
# too little space for another above it grows by at most this factor.
_LEAST_PART = 0.4
_LARGEST_STRETCH = 1.25
# Random packing: the gap of a crystal exceeds the card's by an exponential variate of this mean share, which
# brings the crystals' share of the film to what disordered cubes reach (assumed).
_LOOSE = 0.2
# A deposition ends when so many crystals in a row found no place; the fullest of some is kept.
_PATIENCE = 8
_TRIES = 12
# What a crystal may lose of its two lateral edges to fill a hole (shares of its edge), the cells of height
# that a lost cell costs, and what standing up or lying down costs.
_SLIM = (0.0, 0.06, 0.12, 0.2, 0.3)
_SLIM_PRICE = 1.7
_TURN_PRICE = 2.0
_SWEEPS = 12


@dataclass(frozen=True)
class Shape:
    """Size of the crystals and of what lies between them (in cells). UserError for a spread that none has."""

    edge: float
    aspect_ratio: float
    aspect_sigma: float
    gap: float

    def __post_init__(self) -> None:
        mean, most = self._excess
        largest = most * math.sqrt(mean * (1 - mean) / (1 + _LEAST_SHARPNESS))
        if self.aspect_sigma > largest:
            told = f"aspect ratios of at least 1 with a mean of {self.aspect_ratio:g}"
            step = f"give aspect_ratio a sigma of at most {math.floor(100 * largest) / 100:g}"
            raise UserError(f"{told} have no sigma of {self.aspect_sigma:g}", next_step=step)

    @property
    def _excess(self) -> tuple[float, float]:
        """Of the aspect ratio over one: its mean as a share of the most, and the most."""
        excess = self.aspect_ratio - 1
        most = _LONGEST_EXCESS + 2 * excess
        return excess / most, most

    @property
    def mean_pitch(self) -> float:
        """Mean of the long and the short extent of a crystal, and one gap."""
        return self.edge * (1 + self.aspect_ratio) / 2 + self.gap

    @property
    def shell(self) -> int:
        """Half a gap: what ligands keep between a crystal and the organic layer or the silver."""
        return max(1, round(self.gap / 2))

    def aspects(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Aspect ratios of at least 1 with the card's mean and sigma: one and a bounded (beta) excess."""
        if self.aspect_sigma <= 0:
            return np.full(count, self.aspect_ratio)
        mean, most = self._excess
        sharpness = mean * (1 - mean) / (self.aspect_sigma / most) ** 2 - 1
        return 1 + most * generator.beta(mean * sharpness, (1 - mean) * sharpness, count)

    def gaps(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Whole-cell gaps whose mean is the card's."""
        return np.maximum(stochastic_round(np.full(count, self.gap), generator), 1)


@dataclass(frozen=True)
class Line:
    """Crystals along one lateral axis of a superlattice: starts, lengths (int64 [n]) and period."""

    starts: np.ndarray
    lengths: np.ndarray
    period: int


@dataclass(frozen=True)
class Plan:
    """The window (cells) and, for a superlattice, its lines, the axis of the long edges and its shear."""

    ny: int
    nx: int
    lines: tuple[Line, Line] | None = None
    axis: int = 0
    shear: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Packing:
    """Crystals of one window.

    boxes: int64 [n, 6]; whole: bool [n], False for a crystal cut or stretched to meet the silver;
    ceiling: int64 [ny, nx], height of the silver over each cell.
    """

    boxes: np.ndarray
    whole: np.ndarray
    ceiling: np.ndarray


def plan(shape: Shape, order: str, window: float, even: int, generator: np.random.Generator) -> Plan:
    """Size the window for `order` "ordered" or "random": at least two crystals and gaps, whole crystals
    only in a superlattice. even: cells that divide the period."""
    if order == "random":
        length = _count(window, shape.mean_pitch) * shape.mean_pitch
        period = even * max(1, round(length / even))
        return Plan(period, period)
    axis = int(generator.integers(3))
    y_line = _line(shape, window, axis == 1, even, generator)
    x_line = _line(shape, window, axis == 2, even, generator)
    shear = generator.integers(-1, 2, size=2)
    return Plan(y_line.period, x_line.period, (y_line, x_line), axis, (int(shear[0]), int(shear[1])))


def area(shape: Shape, order: str, window: float) -> float:
    """Square cells of the window of a plan, about; of a superlattice whose long edges lie in the plane."""
    square = shape.edge + shape.gap
    long = shape.edge * shape.aspect_ratio + shape.gap
    y, x = (square, long) if order == "ordered" else (shape.mean_pitch, shape.mean_pitch)
    return _count(window, y) * y * _count(window, x) * x


def _count(window: float, pitch: float) -> int:
    """Crystals along one axis of the window: two at least, or there is no gap between crystals in it."""
    return max(2, round(window / pitch))


def _line(shape: Shape, window: float, long: bool, even: int, generator: np.random.Generator) -> Line:
    """A line of crystals about as long as the window; the long edges lie along it or not."""
    pitch = shape.edge * (shape.aspect_ratio if long else 1.0) + shape.gap
    count = _count(window, pitch)
    aspects = shape.aspects(count, generator) if long else np.ones(count)
    lengths = stochastic_round(shape.edge * aspects, generator)
    gaps = shape.gaps(count, generator)
    # The period must be a whole number of field cells: crystals grow in turn by what is missing.
    missing = -int(lengths.sum() + gaps.sum()) % even
    np.add.at(lengths, np.arange(missing) % count, 1)
    starts = np.concatenate([[0], np.cumsum(lengths + gaps)[:-1]])
    return Line(starts, lengths, int(lengths.sum() + gaps.sum()))


def pack(shape: Shape, window: Plan, ceiling: np.ndarray, generator: np.random.Generator) -> Packing:
    """Fill the space below `ceiling` (int64 [ny, nx], cells above the organic layer) with crystals."""
    rows = (_ordered if window.lines else _random)(shape, window, ceiling, generator)
    table = np.array(rows, dtype=np.int64).reshape(-1, 7)
    boxes = np.ascontiguousarray(table[:, :6])
    if window.lines is None:
        random_deposition.spread(boxes, round(shape.gap), window.ny, window.nx, _SWEEPS)
    surface = _conformal(boxes, ceiling, shape.shell, round(shape.edge / 2))
    return Packing(boxes, table[:, 6].astype(bool), surface)


def _fit(height: int, space: int, again: float) -> int:
    """Height of a crystal in `space` cells below the silver's shell: whole, cut, stretched or 0 (none).

    again: the space above it that another crystal would need.
    """
    if height > space:
        return space if space >= max(2, _LEAST_PART * height) else 0
    if space - height < again:
        return min(space, int(_LARGEST_STRETCH * height))
    return height


def _ordered(shape: Shape, window: Plan, ceiling: np.ndarray, generator: np.random.Generator) -> list:
    """Rows [z, y, x, dz, dy, dx, whole] of a superlattice, sheared by at most a cell a layer."""
    assert window.lines is not None
    y_line, x_line = window.lines
    columns = [(j, i) for j in range(len(y_line.starts)) for i in range(len(x_line.starts))]
    rows, z, layer = [], shape.shell, 0
    while columns:
        long = shape.aspects(1, generator)[0] if window.axis == 0 else 1.0
        height = int(stochastic_round(shape.edge * long, generator))
        gap = int(shape.gaps(1, generator)[0])
        going = []
        for j, i in columns:
            y = (int(y_line.starts[j]) + layer * window.shear[0]) % window.ny
            x = (int(x_line.starts[i]) + layer * window.shear[1]) % window.nx
            dy, dx = int(y_line.lengths[j]), int(x_line.lengths[i])
            space = int(ceiling[(y + dy // 2) % window.ny, (x + dx // 2) % window.nx]) - shape.shell - z
            kept = _fit(height, space, gap + _LEAST_PART * shape.edge)
            if kept:
                rows.append((z, y, x, kept, dy, dx, kept == height))
            if kept == height:
                going.append((j, i))
        columns, z, layer = going, z + height + gap, layer + 1
    return rows


def _random(shape: Shape, window: Plan, ceiling: np.ndarray, generator: np.random.Generator) -> list:
    """Rows [z, y, x, dz, dy, dx, whole] of a random packing: the fullest of some depositions.

    A place where a crystal is missing is a crevice, and those come with the stack's crevice fraction. The
    tries share their crystals and shuffle the first of them, about two layers.
    """
    most = 64 + int(8 * ceiling.sum() / shape.edge**3)
    sizes = np.full((most, 3), shape.edge)
    sizes[np.arange(most), generator.integers(3, size=most)] *= shape.aspects(most, generator)
    sizes = stochastic_round(sizes, generator)
    loose = np.minimum(generator.exponential(_LOOSE, most), 1.0)
    gaps = np.maximum(stochastic_round(shape.gap * (1 + loose), generator), 1)
    first = min(most, 2 * round(window.ny * window.nx / shape.mean_pitch**2))
    best, fullest = [], -1
    for _ in range(_TRIES):
        order = np.concatenate([generator.permutation(first), np.arange(first, most)])
        rows = _deposit(shape, sizes[order], gaps, ceiling, generator)
        volume = sum(dz * dy * dx for _, _, _, dz, dy, dx, _ in rows)
        if volume > fullest:
            best, fullest = rows, volume
    return best


def _deposit(shape: Shape, sizes, gaps, ceiling: np.ndarray, generator: np.random.Generator) -> list:
    """One deposition of crystals (sizes int64 [n, 3], gaps int64 [n]) in their order."""
    ny, nx = ceiling.shape
    top = np.full(ceiling.shape, shape.shell, dtype=np.int64)
    limit = ceiling - shape.shell
    rows, failed = [], 0
    for size, gap in zip(sizes, gaps.tolist(), strict=True):
        scatter = random_deposition.SCATTER * generator.random(ceiling.shape)
        (y, x, z, height), size = _place(top, limit, size, gap, scatter)
        failed = 0 if height else failed + 1
        if failed == _PATIENCE:
            break
        if height:
            dz, dy, dx = size.tolist()
            space = int(limit[(y + (dy + gap) // 2) % ny, (x + (dx + gap) // 2) % nx]) - z
            kept = _fit(dz, space, gap + _LEAST_PART * shape.edge)
            random_deposition.stand(top, y, x, dy + gap, dx + gap, z + kept + gap)
            rows.append((z, (y + gap // 2) % ny, (x + gap // 2) % nx, kept, dy, dx, kept == dz))
    return rows


def _place(top, limit, size: np.ndarray, gap: int, scatter: np.ndarray):
    """The best way for a crystal to lie: ((y, x, z, height), size as it lies).

    It may turn in the plane for nothing; standing up or being slimmer than it is costs height.
    """
    best: tuple[int, int, int, int, float] = (0, 0, 0, 0, np.inf)
    chosen = size
    edge = int(size.min())
    for slim in sorted({round(share * edge) for share in _SLIM}):
        for way, turn in _ways(tuple(size.tolist())):
            slimmer = np.array([way[0], way[1] - slim, way[2] - slim])
            price = _SLIM_PRICE * slim + _TURN_PRICE * turn
            found = random_deposition.best_place(top, limit, slimmer, gap, _LEAST_PART, scatter, price, best[4])
            if found[3]:
                best, chosen = found, slimmer
    return best[:4], chosen


def _ways(size: tuple[int, int, int]) -> list[tuple[tuple[int, int, int], bool]]:
    """The different ways for a box to lie, and whether each has another height than the first."""
    z, y, x = size
    ways = dict.fromkeys([(z, y, x), (z, x, y), (y, z, x), (y, x, z), (x, y, z), (x, z, y)])
    return [(way, way[0] != z) for way in ways]


def _conformal(boxes: np.ndarray, ceiling: np.ndarray, shell: int, depth: int) -> np.ndarray:
    """Height of silver that follows the crystals' tops; between them it takes the mean of its surroundings.

    Evaporated silver does not reach into pits deeper or narrower than `depth`: these stay hollow.
    """
    ny, nx = ceiling.shape
    top = np.zeros((ny, nx), dtype=np.int64)
    for z, y, x, dz, dy, dx in boxes:
        at = np.ix_(np.arange(y, y + dy) % ny, np.arange(x, x + dx) % nx)
        top[at] = np.maximum(top[at], z + dz)
    covered = (top > 0).astype(float)
    weight = blur(covered, shell)
    mean = blur(covered * (top + shell), shell) / np.maximum(weight, 1e-9)
    between = np.where(weight > 1e-3, np.minimum(mean, ceiling), ceiling)
    surface = np.maximum(np.where(covered > 0, top + shell, between), ceiling - depth)
    return random_deposition.closed(np.rint(surface).astype(np.int64), depth)
