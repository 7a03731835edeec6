"""From a stack to the lattice of one window: crystals, ligand gaps, grains, relief, crevices, residue.

The window is periodic in y and x. Lengths on cards are nm; here they become sites (spacing: a fraction of the
pseudo-cubic lattice constant) and, for crystals, whole cells of `block` sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from kmc.core.errors import UserError
from kmc.geometry import crystal_packing, grains, interstices, percolation
from kmc.geometry.lattice import FULL, OPEN, TIGHT, Lattice, Region
from kmc.geometry.rough_surface import noise, relief, window_thickness

# Where no perovskite card gives one: CsPbBr3's pseudo-cubic constant (nm).
_LATTICE_CONSTANT = 0.587
_ELECTRODE_PLANES = 2
MOST_SITES = 3e7  # some gigabytes of State and fields
_EVEN = 4
# Crevices gape between crystals (experiment's figure S15: "large crevices"), so they are as wide.
_CREVICE_LENGTH = 1.0  # correlation length of their field, in crystals or grains
# Evaporated silver fills a crevice as deep as it is seen past the nearest rim: this many times as deep as the
# rim is far (from some 10 degrees to either side; assumed).
_FALL = 6.0


@dataclass(frozen=True)
class Film:
    """Sites above the organic layer: region and room, uint8 [z, y, x], ELECTRODE over `ceiling`."""

    region: np.ndarray
    room: np.ndarray
    ceiling: np.ndarray


@dataclass(frozen=True)
class Grid:
    """Site spacing (nm), sites along a cell's edge, and the window's width (nm)."""

    spacing: float
    block: int
    window: float

    @property
    def cell(self) -> float:
        """Edge of a cell (nm)."""
        return self.spacing * self.block

    @property
    def even(self) -> int:
        """Cells that divide the window: it is a whole number of four sites."""
        return int(np.lcm(_EVEN, self.block)) // self.block

    def sites(self, length_nm: float) -> float:
        """A length in sites."""
        return length_nm / self.spacing

    def width(self) -> int:
        """Sites across a window that nothing else sizes."""
        unit = self.even * self.block
        return unit * max(1, round(self.sites(self.window) / unit))

    def planes(self, length_nm: float) -> int:
        """Planes of a layer, a whole number of cells and at least one."""
        return self.block * max(1, round(self.sites(length_nm) / self.block))


def build(stack: Any, settings: Any, generator: np.random.Generator) -> Lattice:
    """Return the frozen lattice of one window of `stack`.

    stack: `kmc.cards.stack.Stack`; settings: `kmc.inputs.settings.Settings`; the same generator state gives the
    same bytes. Crystals enlarge the window to two crystals with their gaps, packed periodically.
    """
    refuse_too_large(stack, settings)
    grid = _grid(stack, settings)
    if stack.active is None:
        film = _bare(grid)
    elif stack.crystal is not None:
        film = _nanocrystals(stack, grid, generator)
    else:
        film = _columnar(stack, grid, generator)
    return _assemble(stack, grid, film)


def spacing_nm(stack: Any, settings: Any) -> float:
    """Distance of neighbouring sites, nm."""
    constant = stack.active.card.value("lattice_constant") if stack.active is not None else _LATTICE_CONSTANT
    return float(constant * settings.spacing_factor)


def _grid(stack: Any, settings: Any) -> Grid:
    block = max(1, round(1 / settings.spacing_factor))
    return Grid(spacing_nm(stack, settings), block, float(settings.window))


def refuse_too_large(stack: Any, settings: Any) -> None:
    """Say so before hours of packing and a full memory, and of crystals of no shape. Raises UserError."""
    grid, layers = _grid(stack, settings), (stack.active, stack.organic)
    area = float(grid.width() ** 2)
    if stack.crystal is not None:
        shape = _shape(stack, grid)
        area = crystal_packing.area(shape, stack.crystal.order, grid.window / grid.cell) * grid.block**2
    height = sum(grid.sites(layer.thickness_nm) for layer in layers if layer is not None)
    count = area * height
    if settings.windows * count > MOST_SITES:
        told = f"{settings.windows} windows" if settings.windows > 1 else "a window"
        step = "give a smaller window, fewer of them, smaller crystals or thinner layers"
        raise UserError(f"{told} of {count:.2g} sites; {MOST_SITES:.0e} are the most", next_step=step)


def built_thicker(stack: Any, settings: Any) -> str:
    """The warning for an active layer that is asked to be thinner than the thinnest possible, else ""."""
    if stack.active is None:
        return ""
    grid = _grid(stack, settings)
    least = _least_cells(_shape(stack, grid) if stack.crystal is not None else None) * grid.cell
    asked, shell = stack.active.thickness_nm, "a gap of the ligand and " if stack.crystal is not None else ""
    if asked >= least:
        return ""
    told = f"the active layer is built {least:.3g} nm thick where {asked:g} nm were asked for"
    return f"{told}: it holds {shell}two cells"


def _least_cells(shape: crystal_packing.Shape | None) -> int:
    return 2 if shape is None else round(shape.gap) + 2


def _shape(stack: Any, grid: Grid) -> crystal_packing.Shape:
    """The crystals of the stack in cells."""
    crystal, gap = stack.crystal, stack.ligand.value("gap")
    return crystal_packing.Shape(
        crystal.size_nm / grid.cell, crystal.aspect_ratio, crystal.aspect_sigma, gap / grid.cell
    )


def _bare(grid: Grid) -> Film:
    """No active layer: silver lies on the organic."""
    width = grid.width()
    nothing = np.zeros((0, width, width), np.uint8)
    return Film(nothing, nothing, np.zeros((width, width), np.int64))


def _nanocrystals(stack: Any, grid: Grid, generator: np.random.Generator) -> Film:
    """Crystals in their ligand shells under a silver surface that follows them."""
    crystal, ligand, cell = stack.crystal, stack.ligand, grid.cell
    gap_nm, coverage = ligand.value("gap"), ligand.value("coverage")
    shape = _shape(stack, grid)
    mean = window_thickness(stack.active.thickness_nm, stack.active.roughness_nm, generator) / cell
    plan = crystal_packing.plan(shape, crystal.order, grid.window / cell, grid.even, generator)
    ny, nx = plan.ny, plan.nx
    height = mean + relief((ny, nx), shape.edge, stack.active.roughness_nm / cell, generator)
    ceiling = np.maximum(np.rint(height), _least_cells(shape)).astype(np.int64)
    packed = crystal_packing.pack(shape, plan, ceiling, generator)
    open_ = _crevices(stack, grid, (ny * grid.block, nx * grid.block), crystal.size_nm, generator)
    owner = interstices.paint(packed.boxes, packed.ceiling, grid.block, open_)
    gap, size = grid.sites(gap_nm), grid.sites(crystal.size_nm)
    region, width = interstices.classify(owner, open_, gap, grid.sites(ligand.value("length")), coverage)
    room = interstices.ligand_room(region, width, gap, coverage, size, generator)
    ceiling = np.repeat(np.repeat(packed.ceiling, grid.block, 0), grid.block, 1) * grid.block
    ceiling = _fallen(ceiling, open_)
    silver = open_ & (np.arange(region.shape[0])[:, None, None] >= ceiling)
    region[silver], room[silver] = Region.ELECTRODE, 0
    side = max(1, round(grid.sites(ligand.value("seam_width"))))
    # Chains close behind a filament's way: what is left open in a window is one seam and the crevices.
    way = percolation.seam(room, ceiling, side)
    between = np.isin(region, (Region.GAP, Region.VOID))
    free = way | (room.astype(bool) & open_[None])
    # Under the crystals the ligand shell yields: silver plates on the organic, the way out for passing ions.
    free[0] |= between[0]
    return Film(region, np.where(free, OPEN, np.where(between, TIGHT, FULL)).astype(np.uint8), ceiling)


def _columnar(stack: Any, grid: Grid, generator: np.random.Generator) -> Film:
    """A polycrystalline film of columnar grains."""
    layer, width = stack.active, grid.width()
    mean = grid.sites(window_thickness(layer.thickness_nm, layer.roughness_nm, generator)) / grid.block
    size, boundary = grid.sites(stack.grain.size_nm), grid.sites(stack.grain.boundary_nm)
    cells = width // grid.block
    rough = grid.sites(layer.roughness_nm) / grid.block
    height = mean + relief((cells, cells), min(size / grid.block, cells / 4), rough, generator)
    ceiling = np.maximum(np.rint(height), _least_cells(None)).astype(np.int64)
    ceiling = np.repeat(np.repeat(ceiling, grid.block, 0), grid.block, 1) * grid.block
    shape = (int(ceiling.max()), width, width)
    region, triple = grains.film_regions(shape, size, boundary, generator)
    room = grains.boundary_room(region, triple, layer.card.value("boundary_room"), boundary, generator)
    open_ = _crevices(stack, grid, (width, width), stack.grain.size_nm, generator)
    region[:, open_], room[:, open_] = Region.VOID, 1
    ceiling = _fallen(ceiling, open_)
    silver = np.arange(shape[0])[:, None, None] >= ceiling
    region[silver], room[silver] = Region.ELECTRODE, 0
    return Film(region, room, ceiling)


def _crevices(stack: Any, grid: Grid, shape: tuple[int, int], size_nm: float, generator: np.random.Generator):
    """Open cracks through the active layer: bool [y, x] of exactly the stack's share, in whole cells."""
    cells = tuple(n // grid.block for n in shape)
    length = min(_CREVICE_LENGTH * size_nm / grid.spacing / grid.block, 0.5 * min(cells))
    field = noise(cells, (length, length), generator)
    count = round(stack.crevice_fraction * field.size)
    open_ = np.zeros(field.size, dtype=bool)
    open_[np.argsort(field.ravel(), kind="stable")[:count]] = True
    return np.repeat(np.repeat(open_.reshape(cells), grid.block, 0), grid.block, 1)


def _fallen(ceiling: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """First silver plane of each column [y, x] once silver has fallen into the open ones."""
    ny, nx = open_.shape
    wall = ndimage.distance_transform_edt(np.tile(open_, (3, 3)))[ny : 2 * ny, nx : 2 * nx]
    return np.where(open_, np.maximum(ceiling - np.rint(_FALL * wall).astype(ceiling.dtype), 0), ceiling)


def _assemble(stack: Any, grid: Grid, film: Film) -> Lattice:
    """Put the counter, the organic layer and the silver electrode round the film; grow the residue."""
    nz, ny, nx = film.region.shape[0], *film.ceiling.shape
    between = grid.planes(stack.organic.thickness_nm) if stack.organic is not None else 0
    # Vacancies gather in the film's first planes: two of them are in a cell of the mesh by themselves.
    floor = _ELECTRODE_PLANES + between + -between % _EVEN
    total = -(-(floor + nz + _ELECTRODE_PLANES) // _EVEN) * _EVEN
    region = np.full((total, ny, nx), Region.ELECTRODE, dtype=np.uint8)
    region[: floor - between] = Region.COUNTER
    region[floor - between : floor] = Region.ORGANIC
    region[floor : floor + nz] = film.region
    room = (region == Region.ORGANIC).astype(np.uint8)
    room[floor : floor + nz] = film.room
    residue = np.zeros(region.shape, dtype=np.bool_)
    if stack.active is None or not between:
        return Lattice(grid.spacing, region, room, residue)
    channel = percolation.widest(film.room == OPEN, film.ceiling)
    column, planes = _residue(stack, grid, channel, film.ceiling.shape, between)
    residue[floor - between : floor - between + planes, column] = True
    if planes == between:
        residue[floor : floor + nz] = _stump(stack, grid, film, channel)
    # The filament is in the middle: the window has no edge for charges, but its surroundings' heat does.
    shift = [(n // 2 - foot) // _EVEN * _EVEN for n, foot in ((ny, channel.y), (nx, channel.x))]
    return Lattice(grid.spacing, *(np.roll(part, shift, (1, 2)) for part in (region, room, residue)))


def _stump(stack: Any, grid: Grid, film: Film, channel: percolation.Channel) -> np.ndarray:
    """Silver that forming left in and beside the seam, up to a gap below the electrode: bool [z, y, x].

    Over the seam the gap is counted straight up; silver that fell into crevices may be nearest from the side.
    """
    gap = grid.sites(stack.device.value("residue_gap"))
    top = int(film.ceiling[channel.path.any(axis=0)].min()) if channel.open else 0
    stump = _within(channel.path, grid.sites(stack.device.value("stump_radius"))) & (film.room != FULL)
    stump[max(0, top - round(gap)) :] = False
    if stack.crevice_fraction > 0 and stump.any():
        near = (stump & (_to_silver(film.region, gap) < gap)).any(axis=(1, 2))
        stump[np.logical_or.accumulate(near)] = False
    return stump


def _to_silver(region: np.ndarray, reach: float) -> np.ndarray:
    """Distance of each site of the film from the electrode, sites: float64 [z, y, x], periodic in y and x.

    Beyond `reach` the result is only known to exceed `reach`.
    """
    nz, ny, nx = region.shape
    y, x = (min(int(reach) + 1, n // 2 + 1) for n in (ny, nx))
    free = np.pad(region != Region.ELECTRODE, ((0, 1), (0, 0), (0, 0)))  # silver lies on all of the film
    free = np.pad(free, ((0, 0), (y, y), (x, x)), mode="wrap")
    return ndimage.distance_transform_edt(free)[:nz, y : y + ny, x : x + nx]


def _within(path: np.ndarray, radius: float) -> np.ndarray:
    """Sites of each plane at most `radius` sites from the path: bool [z, y, x], periodic in y and x."""
    reach = int(radius)
    near = np.zeros_like(path)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy * dy + dx * dx <= radius * radius:
                near |= np.roll(path, (dy, dx), axis=(1, 2))
    return near


def _residue(
    stack: Any, grid: Grid, channel: percolation.Channel, shape: tuple[int, ...], between: int
) -> tuple[np.ndarray, int]:
    """(bool [y, x], planes): the silver that forming left beneath the widest channel."""
    ny, nx = shape
    dy = np.abs(np.arange(ny) - channel.y)
    dx = np.abs(np.arange(nx) - channel.x)
    square = np.minimum(dy, ny - dy)[:, None] ** 2 + np.minimum(dx, nx - dx)[None, :] ** 2
    column = square <= grid.sites(stack.device.value("residue_radius")) ** 2
    return column, round(between * stack.device.value("residue_height"))
