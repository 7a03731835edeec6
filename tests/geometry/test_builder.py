"""Windows of every stack: crystals, gaps, room, relief, crevices and residue against the cards."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from small_stacks import SOME, STACKS

from kmc.cards import stack as stack_module
from kmc.core.errors import UserError
from kmc.core.random_streams import stream
from kmc.geometry import builder, crystal_packing, grains, interstices, percolation, rough_surface
from kmc.geometry.lattice import ACTIVE, OPEN, SOLID, TIGHT, Lattice, Region
from kmc.inputs.settings import Settings

load_stack = cache(stack_module.load_stack)
CRYSTALS = [name for name in STACKS if load_stack(name).crystal is not None]
FILMS = [name for name in STACKS if load_stack(name).grain is not None]
BARE = [name for name in STACKS if load_stack(name).active is None]
# Small windows for what needs many of them: crystals of 4 nm in a film of 8 nm.
SMALL = {"crystal_size": "4 nm", "thickness": "8 nm", "ligand.gap": "1.2 nm"}


@cache
def window(name: str, seed: int = 0, size: str = "24 nm", spacing: float = 0.5, **choices: Any) -> Lattice:
    """A window of a stack, built once in this session."""
    settings = Settings(window=size, spacing_factor=spacing)
    return builder.build(load_stack(name, **choices), settings, stream(seed, "morphology"))


def small(name: str = "ogb_20nm", seed: int = 0, **choices: Any) -> Lattice:
    """A window of about 3e4 sites."""
    return window(name, seed, **{"size": "8 nm", **SMALL, **choices})


def neighbours(array: np.ndarray) -> list[np.ndarray]:
    """The array as seen from its six neighbours; y and x wrap, the ends in z repeat."""
    up, down = np.concatenate([array[1:], array[-1:]]), np.concatenate([array[:1], array[:-1]])
    return [up, down, *(np.roll(array, step, axis) for step in (1, -1) for axis in (1, 2))]


# Every stack


@pytest.mark.parametrize("name", STACKS)
def test_layers_lie_in_order(name: str) -> None:
    """Counter, organic, active layer and silver from the bottom up; at least two planes of each electrode."""
    lattice = window(name)
    region = lattice.region
    assert [n % 4 for n in lattice.shape] == [0, 0, 0]
    assert 1e4 <= lattice.sites <= 4e6
    assert (region[:2] == Region.COUNTER).all()
    assert (region[-2:] == Region.ELECTRODE).all()
    rank = np.full(8, 2)
    rank[[Region.COUNTER, Region.ORGANIC, Region.ELECTRODE]] = 0, 1, 3
    assert (np.diff(rank[region].astype(int), axis=0) >= 0).all()


@pytest.mark.parametrize("name", STACKS)
def test_room_rules(name: str) -> None:
    """Silver fits everywhere in the organic, nowhere in crystals; electrodes are full."""
    lattice = window(name)
    assert (lattice.room <= TIGHT).all()
    assert (lattice.room[lattice.mask(Region.ORGANIC)] == 1).all()
    assert (lattice.room[lattice.mask(*SOLID, Region.COUNTER, Region.ELECTRODE)] == 0).all()


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.slow) for name in STACKS if name not in SOME)]
)
def test_same_generator_same_bytes(name: str) -> None:
    """The same seed gives the same window; another seed gives another, where there is anything to draw."""
    again, other = (builder.build(load_stack(name), Settings(), stream(seed, "morphology")) for seed in (0, 3))
    assert again.hash == window(name).hash
    assert np.array_equal(again.room, window(name).room)
    assert (other.hash == again.hash) == (name in BARE)


def test_the_generator_is_left_in_the_same_state() -> None:
    """What is drawn after a window does not depend on anything but the seed."""
    after = []
    for _ in range(2):
        generator = stream(1, "morphology")
        builder.build(load_stack("ogb_20nm", **SMALL), Settings(window="8 nm"), generator)
        after.append(generator.random())
    assert after[0] == after[1]


@pytest.mark.parametrize("name", [n for n in STACKS if n not in BARE])
def test_residue_stands_under_the_channel(name: str) -> None:
    """A column through the organic of the card's radius and height, its axis at the channel's foot."""
    lattice, stack = window(name), load_stack(name)
    below = lattice.residue & lattice.mask(Region.ORGANIC)
    planes = below.any(axis=(1, 2))
    first = int(np.flatnonzero((lattice.region == Region.ORGANIC).any(axis=(1, 2)))[0])
    assert planes[first]
    height = stack.value("device.residue_height") * stack.organic.thickness_nm
    assert np.count_nonzero(planes) * lattice.spacing_nm == pytest.approx(height, abs=2 * lattice.spacing_nm)
    # What stands higher stands in the room of the crystals, with a gap to the silver.
    above = lattice.residue & ~below
    assert lattice.room[above].all()
    if above.any():
        assert np.nonzero(above.any(axis=(1, 2)))[0].max() < lattice.silver_surface().max()
    area = np.count_nonzero(lattice.residue[first]) * lattice.spacing_nm**2
    assert area == pytest.approx(np.pi * stack.value("device.residue_radius") ** 2, rel=0.1)
    channel = percolation.of(lattice)
    middle = np.roll(lattice.residue[first], (-channel.y, -channel.x), (0, 1))
    assert middle[0, 0]
    for axis in (0, 1):
        assert np.array_equal(middle, np.roll(np.flip(middle, axis), 1, axis)), "not centred on the foot"


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize("name", [n for n in STACKS if n not in BARE])
def test_what_forming_left_is_in_the_middle(name: str, seed: int) -> None:
    """Heat ends at the window's edges, as charges do not: the column is four sites from the middle at most.

    Control: it has an edge, for it is no whole plane.
    """
    lattice = window(name, seed)
    column = (lattice.residue & (lattice.region == Region.ORGANIC)).any(axis=0)
    assert column.any()
    assert not column.all()
    for axis, n in enumerate(column.shape):
        places = np.flatnonzero(column.any(axis=1 - axis))
        assert np.ptp(places) < n // 2
        assert -4 <= places.mean() - (n - 1) / 2 <= 4


@pytest.mark.parametrize("radius", [0.0, 0.62, 1.2])
@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "thin_film_100nm"])
def test_the_stump_reaches_as_far_beside_the_seam_as_the_card_says(name: str, radius: float) -> None:
    """Distances in the plane from the nearest site of the seam; nothing where no silver fits."""
    lattice = window(name, **{"device.stump_radius": f"{radius} nm"})
    stump = lattice.residue & lattice.mask(*ACTIVE)
    path = percolation.of(lattice).path
    ny, nx = lattice.shape[1:]
    farthest = 0.0
    for z in np.flatnonzero(stump.any(axis=(1, 2))):
        (y, x), (sy, sx) = np.nonzero(path[z]), np.nonzero(stump[z])
        dy, dx = np.abs(sy[:, None] - y), np.abs(sx[:, None] - x)
        away = np.hypot(np.minimum(dy, ny - dy), np.minimum(dx, nx - dx)).min(axis=1)
        farthest = max(farthest, float(away.max()) * lattice.spacing_nm)
        assert (stump[z] & path[z]).sum() == path[z].sum()
    assert radius - lattice.spacing_nm < farthest <= radius
    assert lattice.room[stump].all()


@pytest.mark.parametrize(
    ("name", "seed", "choices", "stands"),
    [
        ("ogb_20nm", 0, {}, False),
        ("ogb_20nm", 3, {}, True),
        ("ogb_20nm", 4, {}, False),
        ("ddab_20nm", 1, {}, False),
        ("ogb_20nm", 1, {"crystal_size": "4 nm"}, True),
    ],
)
def test_the_stump_keeps_its_gap_from_silver_in_crevices(
    name: str, seed: int, choices: dict[str, Any], stands: bool
) -> None:
    """Silver that fell beside the seam is a gap away, too; what is left of the stump stands on the column."""
    lattice, stack = window(name, seed, crevice_fraction=0.1, **choices), load_stack(name)
    stump = lattice.residue & lattice.mask(*ACTIVE)
    nz, ny, nx = lattice.shape
    silver = cKDTree(np.argwhere(lattice.region == Region.ELECTRODE), boxsize=(3 * nz, ny, nx))
    away = silver.query(np.argwhere(stump))[0] * lattice.spacing_nm
    assert (away >= stack.value("device.residue_gap")).all()
    planes = stump.any(axis=(1, 2))[lattice.organic_surface() :]
    assert not (~planes[:-1] & planes[1:]).any(), "a part of the stump hangs above the rest"
    assert planes.any() == stands


@pytest.mark.parametrize("name", BARE)
def test_no_active_layer(name: str) -> None:
    """Silver lies on the organic of the card's thickness, and nothing of it is left in there."""
    lattice, stack = window(name), load_stack(name)
    assert not lattice.mask(*ACTIVE).any()
    assert not lattice.residue.any()
    thickness = np.count_nonzero((lattice.region == Region.ORGANIC).all(axis=(1, 2))) * lattice.spacing_nm
    assert thickness == pytest.approx(stack.organic.thickness_nm, abs=2 * lattice.spacing_nm)


# Crystals


def core_fill(name: str, order: str, seeds: int = 3) -> float:
    """Mean share of crystal in windows of a stack."""
    return float(np.mean([window(name, seed, order=order).fill() for seed in range(seeds)]))


def test_fill_of_ordered_and_random_films() -> None:
    """Ordered crystals fill what a superlattice of their pitch does; random ones clearly less.

    anchors: simple cubic 0.5 to 0.6, random cubes 0.3 to 0.4; DDAB's thin shells allow more of both.
    """
    ordered, random = core_fill("ogb_20nm", "ordered"), core_fill("ogb_20nm", "random")
    assert 0.48 <= ordered <= 0.60
    assert 0.36 <= random <= 0.48
    assert random < ordered - 0.04
    assert core_fill("ddab_20nm", "random") < core_fill("ddab_20nm", "ordered") - 0.03
    assert 0.36 <= core_fill("ogb_90nm", "random", 2) <= 0.48


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "ogb_7nm"])
def test_surface_is_the_outer_shell(name: str) -> None:
    """No core site touches anything but crystal, across the window's edges too; every surface site does."""
    lattice = window(name)
    solid = lattice.mask(*SOLID)
    inside = np.logical_and.reduce(neighbours(solid))
    assert inside[lattice.region == Region.CORE].all()
    assert not inside[lattice.region == Region.SURFACE].any()


def shape_of(name: str) -> crystal_packing.Shape:
    """Crystals of a stack in cells."""
    stack = load_stack(name)
    cell = stack.active.card.value("lattice_constant")
    crystal = stack.crystal
    return crystal_packing.Shape(
        crystal.size_nm / cell, crystal.aspect_ratio, crystal.aspect_sigma, stack.ligand.value("gap") / cell
    )


def packed(
    name: str, order: str, seed: int
) -> tuple[crystal_packing.Shape, crystal_packing.Plan, crystal_packing.Packing]:
    """Crystals of a flat film three crystals thick."""
    shape, generator = shape_of(name), stream(seed, "packing")
    plan = crystal_packing.plan(shape, order, 24 / 0.587, 2, generator)
    ceiling = np.full((plan.ny, plan.nx), round(3 * (shape.edge + shape.gap)))
    return shape, plan, crystal_packing.pack(shape, plan, ceiling, generator)


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm"])
def test_gaps_of_a_superlattice(name: str) -> None:
    """Whole cells whose mean is the card's gap (within 4 %)."""
    gaps = []
    for seed in range(40):
        shape = shape_of(name)
        line = crystal_packing.plan(shape, "ordered", 24 / 0.587, 2, stream(seed, "gaps")).lines[0]
        gaps.extend(np.diff([*line.starts, line.period]) - line.lengths)
    assert np.mean(gaps) == pytest.approx(shape.gap, rel=0.04)
    assert min(gaps) >= int(shape.gap)
    assert max(gaps) <= int(shape.gap) + 1


@pytest.mark.parametrize("factor", [0.25, 0.3, 0.5, 0.7, 0.8, 1.0])
@pytest.mark.parametrize("name", ["ogb_20nm", "ogb_7nm", "ogb_13nm", "ddab_20nm"])
def test_a_superlattice_is_whole_field_cells_wide(name: str, factor: float) -> None:
    """However many cells two crystals lack to the next multiple."""
    grid, shape = builder._grid(load_stack(name), Settings(spacing_factor=factor)), shape_of(name)
    for seed in range(50):
        for window in (8.0, 24.0):
            cells = window / grid.spacing / grid.block
            plan = crystal_packing.plan(shape, "ordered", cells, grid.even, stream(seed, "morphology"))
            assert (plan.ny % grid.even, plan.nx % grid.even) == (0, 0)


def facing_gaps(plan: crystal_packing.Plan, boxes: np.ndarray) -> list[int]:
    """Lateral distance (cells) from every crystal to the next one that it faces, along x and y."""
    owner = interstices.paint(boxes, np.full((plan.ny, plan.nx), 200), 1, np.zeros((plan.ny, plan.nx), bool))
    found = []
    for z, y, x, dz, dy, dx in boxes:
        for line, length in (
            (owner[z + dz // 2, (y + dy // 2) % plan.ny], x + dx),
            (owner[z + dz // 2, :, (x + dx // 2) % plan.nx], y + dy),
        ):
            ahead = np.roll(line, -length)
            found.append(int(np.argmax(ahead > 0)))
    return found


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm"])
def test_gaps_of_a_random_packing(name: str) -> None:
    """Facing crystals never stand closer than the card's gap; half of them less than twice as far apart."""
    gaps = []
    for seed in range(6):
        shape, plan, crystals = packed(name, "random", seed)
        gaps += facing_gaps(plan, crystals.boxes)
    assert min(gaps) >= int(shape.gap) - 1
    assert shape.gap * 0.9 <= np.median(gaps) <= 1.6 * shape.gap


@pytest.mark.parametrize("order", ["ordered", "random"])
@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm"])
def test_crystals_do_not_overlap(name: str, order: str) -> None:
    """Every cell belongs to one crystal at most, and none reaches into the silver."""
    for seed in range(3):
        _, plan, crystals = packed(name, order, seed)
        count = np.zeros((int(crystals.ceiling.max()), plan.ny, plan.nx), dtype=int)
        for z, y, x, dz, dy, dx in crystals.boxes:
            at = np.ix_(np.arange(z, z + dz), np.arange(y, y + dy) % plan.ny, np.arange(x, x + dx) % plan.nx)
            count[at] += 1
        assert count.max() == 1
        assert not count[np.arange(len(count))[:, None, None] >= crystals.ceiling].any()


@pytest.mark.parametrize("name", CRYSTALS)
def test_aspect_ratios_are_drawn_from_the_card(name: str) -> None:
    """Mean and spread of 2e4 draws: standard errors of 0.0025 and about twice that; never below one."""
    shape = shape_of(name)
    draws = shape.aspects(20_000, stream(0, "aspects"))
    assert draws.min() >= 1
    assert draws.mean() == pytest.approx(shape.aspect_ratio, abs=0.015)
    assert draws.std() == pytest.approx(shape.aspect_sigma, rel=0.1)


@pytest.mark.parametrize(("ratio", "most"), [(1.0, 0.0), (1.05, 0.26), (1.26, 0.64)])
def test_a_spread_that_no_aspect_ratios_have_is_refused(ratio: float, most: float) -> None:
    """None is below one, so near one they cannot scatter far; the largest spread that is named is drawn."""
    with pytest.raises(UserError, match=f"mean of {ratio:g} have no sigma of {most + 0.02:g}") as caught:
        crystal_packing.Shape(15.0, ratio, most + 0.02, 4.0).aspects(9, stream(0, "aspects"))
    assert caught.value.next_step.endswith(f"at most {most:g}")
    draws = crystal_packing.Shape(15.0, ratio, most, 4.0).aspects(20000, stream(0, "aspects"))
    assert (draws.mean(), draws.std()) == pytest.approx((ratio, most), abs=0.01)


def test_packing_keeps_the_aspect_ratios() -> None:
    """The crystals that stay whole have the card's aspect ratio within 0.08 and its size within 4 %."""
    ratios, edges = [], []
    for seed in range(8):
        shape, _, crystals = packed("ogb_20nm", "random", seed)
        sides = np.sort(crystals.boxes[crystals.whole, 3:], axis=1)
        edges.extend(sides[:, :2].mean(axis=1))
        ratios.extend(sides[:, 2] / sides[:, :2].mean(axis=1))
    assert len(ratios) > 40
    assert np.mean(ratios) == pytest.approx(shape.aspect_ratio, abs=0.08)
    assert np.mean(edges) == pytest.approx(shape.edge, rel=0.04)


def test_the_window_holds_two_crystals() -> None:
    """Crystals larger than the window widen it to two of them with their gaps."""
    lattice = window("ogb_13nm", size="10 nm")
    stack = load_stack("ogb_13nm")
    least = 2 * (stack.crystal.size_nm + stack.ligand.value("gap"))
    assert min(lattice.extent_nm[1:]) > 0.95 * least


# Room


def test_corner_reach_fills_the_coverage() -> None:
    """Quarter circles of that radius round the corners of a square cover the share (below pi/4 exactly)."""
    for coverage in (0.1, 0.3, 0.55, 0.75):
        assert interstices.corner_reach(coverage) == pytest.approx(np.sqrt(coverage / np.pi), rel=0.02)
    assert interstices.corner_reach(1.0) == pytest.approx(np.sqrt(0.5), rel=0.02)


def four_crystals(gap: int = 6, edge: int = 14) -> np.ndarray:
    """Owner of one layer of square columns: int32 [z, y, x], `gap` sites apart."""
    owner = np.zeros((20, 2 * (edge + gap), 2 * (edge + gap)), dtype=np.int32)
    for n, (y, x) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        at = [slice(k * (edge + gap), k * (edge + gap) + edge) for k in (y, x)]
        owner[:, at[0], at[1]] = n + 1
    return owner


def test_regions_between_four_crystals() -> None:
    """Between faces gap of the right width, where corners meet a void in the middle, at every height."""
    owner = four_crystals()
    open_ = np.zeros(owner.shape[1:], bool)
    region, width = interstices.classify(owner, open_, 6.0, 6.0, 0.6)
    assert (region[:, 5, 14:20] == Region.GAP).all()
    assert (width[:, 5, 14:20] == 6).all()
    assert (region[:, 16:18, 16:18] == Region.VOID).all()
    assert (region[:, 14, 14] == Region.GAP).all()
    share = (region[10, 14:20, 14:20] == Region.VOID).mean()
    assert share == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize("shift", [(0, 7, 0), (0, 0, 11), (0, 19, 33)])
def test_regions_are_periodic(shift: tuple[int, int, int]) -> None:
    """Moving all crystals sideways round the window moves every region with them."""
    owner = four_crystals()
    open_ = np.zeros(owner.shape[1:], bool)
    region, width = interstices.classify(owner, open_, 6.0, 6.0, 0.6)
    moved, wide = interstices.classify(np.roll(owner, shift, (0, 1, 2)), open_, 6.0, 6.0, 0.6)
    assert np.array_equal(moved, np.roll(region, shift, (0, 1, 2)))
    assert np.array_equal(wide, np.roll(width, shift, (0, 1, 2)))


@pytest.mark.parametrize("seed", range(3))
def test_more_coverage_less_room(seed: int) -> None:
    """With the same crystals and the same draws, chains only ever take room away."""
    owner = four_crystals()
    open_ = np.zeros(owner.shape[1:], bool)
    last = None
    for coverage in (0.0, 0.3, 0.55, 0.85, 1.0):
        region, width = interstices.classify(owner, open_, 6.0, 6.0, coverage)
        room = interstices.ligand_room(region, width, 6.0, coverage, 14.0, stream(seed, "room")).astype(bool)
        if last is not None:
            assert not (room & ~last).any()
            assert room.sum() < last.sum()
        last = room
    assert last.sum() == 0


def test_room_in_the_gaps_is_the_uncovered_share() -> None:
    """Mean over twelve draws of the share of gap sites with room, in gaps of the card's width."""
    owner = four_crystals()
    region, width = interstices.classify(owner, np.zeros(owner.shape[1:], bool), 6.0, 6.0, 0.6)
    gap = (region == Region.GAP) & (width == 6)
    shares = [
        interstices.ligand_room(region, width, 6.0, 0.6, 14.0, stream(seed, "room"))[gap].mean() for seed in range(12)
    ]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.05)


def test_bare_columns_are_tall() -> None:
    """Patches without chains are longer along z than across: correlation of room over 5 sites."""
    owner = np.repeat(four_crystals(), 4, axis=0)
    region, width = interstices.classify(owner, np.zeros(owner.shape[1:], bool), 6.0, 6.0, 0.55)
    room = interstices.ligand_room(region, width, 6.0, 0.55, 14.0, stream(1, "room")).astype(float)
    line = room[:, :14, 16]
    line = line - line.mean()

    def agreement(step: int, axis: int) -> float:
        return float((line * np.roll(line, step, axis)).mean() / line.var())

    assert agreement(5, 0) > 0.4
    assert agreement(5, 0) > agreement(5, 1) + 0.2


def joins(lattice: Lattice) -> bool:
    """Whether room sites (6 neighbours) join the silver electrode with the residue's top, or with the
    organic where there is no residue."""
    floor = lattice.organic_surface()
    room = (lattice.room == OPEN) & lattice.mask(*ACTIVE)
    if floor >= lattice.shape[0] - 1 or not room.any():
        return False
    foot = np.zeros(lattice.shape, np.bool_)
    foot[floor] = lattice.residue[floor - 1] if lattice.residue.any() else True
    parts, _ = ndimage.label(np.tile(room, (1, 2, 2)))  # once over each periodic edge
    reached = np.isin(parts, np.unique(parts[np.tile(foot & room, (1, 2, 2))])) & (parts > 0)
    near = ndimage.binary_dilation(np.tile(lattice.region == Region.ELECTRODE, (1, 2, 2)))
    return bool((reached & near).any())


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm"])
def test_silver_can_reach_the_residue(name: str) -> None:
    """Room sites join the electrode with the residue in all of six windows."""
    assert all(joins(window(name, seed)) for seed in range(6))


@pytest.mark.parametrize("name", CRYSTALS + FILMS)
def test_room_lies_in_gaps_voids_and_boundaries(name: str) -> None:
    """Within the active layer nothing else has room, and something has."""
    lattice = window(name)
    active = lattice.mask(*ACTIVE) & (lattice.room > 0)
    assert active.any()
    assert not (active & ~lattice.mask(Region.GAP, Region.VOID, Region.BOUNDARY)).any()
    assert joins(lattice)


# Relief


@pytest.mark.parametrize("roughness", [3.5, 5.0])
def test_roughness_of_many_windows(roughness: float) -> None:
    """Spread of the mean thickness and relief within windows add up to the layer's rms (400 draws: 3 %)."""
    generator = stream(0, "relief")
    means = np.array([rough_surface.window_thickness(50.0, roughness, generator) for _ in range(400)])
    local = [rough_surface.relief((40, 40), 15.0, roughness, generator).std() for _ in range(20)]
    assert np.hypot(means.std(), np.sqrt(np.mean(np.square(local)))) == pytest.approx(roughness, rel=0.1)
    assert np.mean(local) < 0.6 * roughness
    assert means.mean() == pytest.approx(50.0, abs=0.6)


def test_roughness_of_built_films() -> None:
    """Forty small windows: the silver's face has the card's rms within 20 %, and the card's mean height."""
    lattices = [small(seed=seed, thickness="16 nm") for seed in range(40)]
    heights = np.array([lattice.thickness_nm() for lattice in lattices])
    local = np.array([lattice.roughness_nm() for lattice in lattices])
    total = np.sqrt(heights.var() + np.mean(local**2))
    assert total == pytest.approx(load_stack("ogb_20nm").active.roughness_nm, rel=0.2)
    assert heights.mean() == pytest.approx(16.0, abs=1.3)


def test_noise_is_a_unit_field_with_its_length() -> None:
    """Unit variance, and correlation exp(-1/2) one length away."""
    field = rough_surface.noise((64, 256, 256), (3.0, 4.0, 6.0), stream(0, "noise"))
    assert field.std() == pytest.approx(1.0, rel=0.03)
    for axis, length in enumerate((3, 4, 6)):
        assert (field * np.roll(field, length, axis)).mean() == pytest.approx(np.exp(-0.5), abs=0.05)


def test_silver_follows_the_crystals() -> None:
    """Over every column the silver begins above the crystals with ligand or void between."""
    lattice = window("ddab_20nm", 1)
    surface = lattice.silver_surface()
    below = np.take_along_axis(lattice.region, surface[None] - 1, axis=0)[0]
    assert (below == Region.CORE).sum() == 0
    assert np.isin(below, [Region.GAP, Region.VOID]).mean() > 0.98


# Crevices, grains


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("name", ["ogb_20nm", "thin_film_100nm"])
def test_crevices_take_their_share(name: str, fraction: float) -> None:
    """Columns that are open from the organic to the silver take the stack's share of the area, with room."""
    choices = {"thickness": "20 nm", "crevice_fraction": fraction}
    lattice = window(name, 2, **choices)
    active = lattice.mask(*ACTIVE)
    open_ = (active & (lattice.region == Region.VOID)).sum(axis=0) == active.sum(axis=0)
    # Where four crystals meet a column may be open by itself.
    own = 0.03 if name == "ogb_20nm" else 0.0
    assert fraction - 0.002 <= open_.mean() <= fraction + own + 0.002
    roomy = ((lattice.room == OPEN) & active).sum(axis=0) == active.sum(axis=0)
    assert fraction - 0.002 <= roomy.mean() <= fraction + (0.08 if name == "thin_film_100nm" else own)


def test_crevices_widen_the_channel() -> None:
    """The way through a film with a tenth of its area open is wider than without."""
    closed = percolation.of(window("ogb_20nm", 2, thickness="20 nm", crevice_fraction=0.0)).width
    assert percolation.of(window("ogb_20nm", 2, thickness="20 nm", crevice_fraction=0.1)).width > closed


@pytest.mark.parametrize("width", [2, 6, 12])
def test_silver_falls_six_times_as_deep_as_the_wall_is_far(width: int) -> None:
    """In a straight crevice round the window, 30 sites deep: deepest in its middle, nowhere else."""
    ceiling, open_ = np.full((24, 24), 30), np.zeros((24, 24), np.bool_)
    open_[:, :width] = True
    fallen = builder._fallen(ceiling, open_)
    assert (fallen[:, width:] == 30).all()
    assert (fallen == fallen[0]).all()
    wall = np.minimum(np.arange(width), np.arange(width)[::-1]) + 1
    assert (fallen[0, :width] == np.maximum(30 - 6 * wall, 0)).all()
    assert (builder._fallen(ceiling, np.zeros_like(open_)) == 30).all()


def test_silver_falls_onto_the_organic_through_wide_crevices() -> None:
    """Silver lies on the organic in no window without crevices and in most with a fifth of the area open."""

    def reached(share: float) -> int:
        choices = {"thickness": "20 nm", "crevice_fraction": share}
        windows = (window("ogb_20nm", seed, **choices) for seed in range(1, 7))
        return sum(int(one.silver_surface().min() == one.organic_surface()) for one in windows)

    assert reached(0.0) == 0
    assert reached(0.2) >= 4


@pytest.mark.parametrize("name", FILMS)
def test_grains(name: str) -> None:
    """Columns of grain with boundaries as wide as the stack says, and a boundary in every window."""
    lattice, stack = window(name), load_stack(name)
    share = lattice.fraction(Region.BOUNDARY)
    grain, width = stack.grain.size_nm, stack.grain.boundary_nm
    count = max(2, round(lattice.extent_nm[1] ** 2 / grain**2))
    # Perimeter of a cell of a plane: about 4 sqrt(area), each side shared by two grains.
    expected = 2 * width * np.sqrt(count) / lattice.extent_nm[1]
    assert share == pytest.approx(expected, rel=0.4)
    assert lattice.fraction(Region.BOUNDARY, Region.CORE) == 1.0
    assert (lattice.room[lattice.region == Region.CORE] == 0).all()


@pytest.mark.parametrize(("size", "seed"), [(30.0, 0), (11.0, 1), (8.0, 2), (5.0, 3)])
def test_grains_are_those_of_all_centres(size: float, seed: int) -> None:
    """A site looks at the centres near its tile alone, and finds what it finds among all of them."""
    shape, generator = (2, 44, 36), np.random.default_rng(seed)
    points = grains.seeds(shape[1:], size, generator)
    centres = points[None] + generator.normal(0, 3, (2, len(points), 2))
    warp = generator.normal(0, 3, (2, *shape[1:]))
    region, triple = np.empty(shape, np.uint8), np.ones(shape, np.bool_)
    grains._voronoi(centres, warp, 2.0, region, triple)
    for z, y, x in np.ndindex(shape):
        near, at = grains._nearest(centres[z], y + warp[0, y, x], x + warp[1, y, x], *shape[1:])
        edge = grains._half_way(near, at, 1) < 1.0
        assert region[z, y, x] == (Region.BOUNDARY if edge else Region.CORE)
        assert triple[z, y, x] == (edge and grains._half_way(near, at, 2) < 2.0)


def test_many_grains_do_not_cost_more_than_few() -> None:
    """Of the hundreds of a wide window a tile of sites looks at those around it."""
    shape, generator = (160, 160), np.random.default_rng(0)
    centres = grains.seeds(shape, 8.0, generator)
    warp = np.zeros((2, *shape))
    assert len(centres) == 400
    assert 3 <= len(grains._close(centres, warp, 16, 152, *shape)) < 40


def test_boundary_room_takes_its_share() -> None:
    """Part of the boundary, and all lines where three grains meet."""
    generator = stream(0, "grains")
    region, triple = grains.film_regions((40, 80, 80), 25.0, 2.0, generator)
    boundary = region == Region.BOUNDARY
    full = grains.boundary_room(region, triple, 1.0, 2.0, stream(1, "grains"))
    half = grains.boundary_room(region, triple, 0.5, 2.0, stream(1, "grains"))
    none = grains.boundary_room(region, triple, 0.0, 2.0, stream(1, "grains"))
    assert full[boundary].all()
    assert not full[~boundary].any()
    assert np.array_equal(none > 0, boundary & triple)
    assert 0.3 < half[boundary].mean() < 0.75
    assert not ((half > 0) & ~(full > 0)).any()


# Channels


def bent_channel(side: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Room of one square channel that moves across the window's edge half way up, and a flat ceiling."""
    room = np.zeros((20, 16, 16), dtype=np.uint8)
    for z in range(20):
        x = 14 if z < 10 else 2
        room[z, 5 : 5 + side][:, np.arange(x, x + side) % 16] = 1
    room[10, 5 : 5 + side][:, np.arange(14, 14 + side + 4) % 16] = 1
    return room, np.full((16, 16), 20)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_widest_channel(side: int) -> None:
    """Its side, its foot, and its path through a bend across the periodic edge."""
    room, ceiling = bent_channel(side)
    room[:, 12, 4] = 1
    room[7, 12, 4] = 0
    channel = percolation.widest(room, ceiling)
    assert (channel.width, channel.open) == (side, True)
    assert (channel.y, channel.x) == (5 + side // 2, (14 + side // 2) % 16)
    assert not (channel.path & (room == 0)).any()
    assert (channel.path.sum(axis=(1, 2)) >= side**2).all()
    assert channel.steps == 19 + 4


def test_a_shut_channel() -> None:
    """One plane without room: no width, and the foot under most room."""
    room, ceiling = bent_channel()
    room[4] = 0
    channel = percolation.widest(room, ceiling)
    assert (channel.width, channel.open, channel.path.any()) == (0, False, False)
    assert room[:, channel.y, channel.x].sum() == room.sum(axis=0).max()


def test_all_of_a_seam_meets_the_silver() -> None:
    """Where it ends at a step of the electrode, the columns beside the step go on to the silver above."""
    room, ceiling = np.ones((20, 16, 16), dtype=np.uint8), np.full((16, 16), 20)
    ceiling[:, 8:] = 16
    room[16:, :, 8:] = 0
    path = percolation.seam(room, ceiling, 2)
    columns = np.argwhere(path[15])
    assert len(columns) == 4
    assert {int(ceiling[y, x]) for y, x in columns} == {16, 20}
    for y, x in columns:
        assert path[15 : ceiling[y, x], y, x].all()
    assert not path[room == 0].any()


# Sizes


def test_a_small_window() -> None:
    """About 1e4 sites in which all regions of a crystal film occur."""
    lattice = small(size="4 nm", crystal_size="1.5 nm", thickness="4 nm")
    assert 1e4 <= lattice.sites < 5e4
    assert {Region.CORE, Region.SURFACE, Region.GAP} <= set(np.unique(lattice.region))


@pytest.mark.parametrize("name", ["ogb_90nm", "thin_film_100nm"])
def test_two_million_sites_in_seconds(name: str) -> None:
    """Over 2e6 sites once compiled; the bound leaves room for a busy machine."""
    window(name)
    start = time.process_time()
    lattice = builder.build(load_stack(name), Settings(), stream(1, "morphology"))
    assert lattice.sites > 2e6
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("size", "choices"), [("500 nm", {}), ("24 nm", {"crystal_size": "100 nm"})])
def test_a_window_without_end_is_refused_at_once(size: str, choices: dict[str, Any]) -> None:
    """Before it is packed: by its own width, or by two crystals."""
    start = time.process_time()
    with pytest.raises(UserError, match=r"a window of .* sites"):
        window("ogb_20nm", size=size, **choices)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("order", ["ordered", "random"])
@pytest.mark.parametrize(("edge", "ratio", "gap"), [(15.3, 1.26, 4.1), (51.0, 3.0, 4.1), (51.0, 10.0, 4.1)])
def test_the_size_of_a_plan_is_known_before(order: str, edge: float, ratio: float, gap: float) -> None:
    """Of rods, too, whose length widens the window; but for what two drawn lengths and rounding add."""
    shape = crystal_packing.Shape(edge, ratio, 0.1, gap)
    plans = [crystal_packing.plan(shape, order, 41.0, 2, stream(seed, "plan")) for seed in range(20)]
    largest = max(plan.ny * plan.nx for plan in plans)
    assert crystal_packing.area(shape, order, 41.0) == pytest.approx(largest, rel=0.15)


def test_what_is_too_large_counts_rods_and_windows() -> None:
    """Rods of 300 nm widen the window to two of them; and every window of a device is kept in memory."""
    stack = load_stack("ogb_20nm")
    crystal = stack.crystal.model_copy(update={"size_nm": 30.0, "aspect_ratio": 10.0})
    with pytest.raises(UserError, match=r"a window of .* sites"):
        builder.refuse_too_large(stack.model_copy(update={"crystal": crystal}), Settings())
    with pytest.raises(UserError, match=r"100 windows of .* sites") as caught:
        builder.refuse_too_large(stack, Settings(windows=100))
    assert "fewer" in caught.value.next_step
    builder.refuse_too_large(stack, Settings(windows=20))


@pytest.mark.parametrize("name", ["ogb_20nm", "ogb_90nm", "thin_film_100nm", "interlayers_only"])
def test_the_number_of_sites_is_known_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth and what relief and a window's own thickness add."""
    count = window(name).sites
    for most, refused in ((0.7 * count, True), (1.3 * count, False)):
        monkeypatch.setattr(builder, "MOST_SITES", most)
        with pytest.raises(UserError, match="a window of") if refused else nullcontext():
            builder.refuse_too_large(load_stack(name), Settings())


@pytest.mark.parametrize("choices", [{}, {"ligand": "ddab"}, {"ligand.gap": "10 nm"}])
def test_the_thinnest_film_is_told_before(choices: dict[str, Any]) -> None:
    """What is asked to be thinner is built so: its ligand shell and two cells of crystal."""
    thin = {**choices, "crystal_size": "4 nm", "thickness": "0.5 nm"}
    told = builder.built_thicker(load_stack("ogb_20nm", **thin), Settings())
    least = float(told.split()[5])
    assert window("ogb_20nm", **thin).thickness_nm() == pytest.approx(least, abs=0.1)
    assert "where 0.5 nm were asked for" in told
    for name in ("ogb_20nm", "thin_film_100nm", "pedot_only"):
        assert not builder.built_thicker(load_stack(name), Settings())
    assert "1.17 nm" in builder.built_thicker(load_stack("thin_film_100nm", thickness="1 nm"), Settings())


@pytest.mark.parametrize("spacing", [1.0, 0.25])
def test_lengths_do_not_depend_on_the_spacing(spacing: float) -> None:
    """Thickness and window in nm stay, the number of sites goes with the third power."""
    lattice = small(seed=1, spacing=spacing)
    reference = small(seed=1)
    assert lattice.spacing_nm == pytest.approx(spacing * 0.587)
    assert lattice.extent_nm[1] == pytest.approx(reference.extent_nm[1], abs=2.4)
    assert lattice.thickness_nm() == pytest.approx(reference.thickness_nm(), abs=1.2)
    assert lattice.fill() == pytest.approx(reference.fill(), abs=0.15)
    assert lattice.sites == pytest.approx(reference.sites * (0.5 / spacing) ** 3, rel=0.5)


@pytest.mark.parametrize(
    "choices",
    [
        {"thickness": "0.5 nm"},
        {"crystal_size": "1.5 nm", "thickness": "3 nm"},
        {"ligand.gap": "0.3 nm"},
        {"ligand.gap": "10 nm"},
        {"ligand.length": "10 nm"},
        {"ligand.coverage": 0},
        {"ligand.coverage": 1},
        {"crevice_fraction": 0.9},
        {"device.residue_radius": "0 nm"},
        {"device.residue_height": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("order", ["ordered", "random"])
def test_the_ends_of_what_cards_allow(choices: dict[str, Any], order: str) -> None:
    """Whatever passes a card's bounds gives a window."""
    lattice = small(order=order, **choices)
    bare = lattice.silver_surface() == lattice.organic_surface()
    assert bare.mean() <= choices.get("crevice_fraction", 0.0)  # silver falls into a wide crevice
    assert lattice.mask(*ACTIVE).any()
