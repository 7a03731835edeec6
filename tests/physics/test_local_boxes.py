"""The boxes in which the lattice is relaxed hold what they are around, and all that they moved is seen."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from small_stacks import put_silver, seam

from kmc.cards.stack import load_stack
from kmc.core.random_streams import stream
from kmc.electrostatics.local_updates import SEEN, Box, join
from kmc.electrostatics.potential import SHARPEN_OMEGA, SHARPEN_REACH, SHARPEN_SWEEPS, TANGENT
from kmc.electrostatics.site_boxes import around, box_of, cover, shortest, volume
from kmc.geometry.builder import build
from kmc.inputs.settings import Settings
from kmc.simulation.window import Device

VOLT = 0.4


@lru_cache(maxsize=1)
def device() -> Device:
    """A window of the 20 nm device as it is: small ones have no room for more than one box."""
    settings = Settings()
    stack = load_stack("ogb_20nm")
    return Device(build(stack, settings, stream(1, "morphology")), stack, settings, 1)


def inside(d: Device, boxes: list[Box]) -> np.ndarray:
    """The sites of some boxes [z, y, x]."""
    mask = np.zeros(d.lattice.shape, bool)
    _, ny, nx = mask.shape
    for z0, z1, y0, y1, x0, x1 in boxes:
        mask[np.ix_(range(z0, z1), np.arange(y0, y1) % ny, np.arange(x0, x1) % nx)] = True
    return mask


def wider(mask: np.ndarray, reach: int) -> np.ndarray:
    """Where it is true within `reach` along each axis, periodic in y and x; without the ends in z."""
    for axis in range(3):
        mask = np.any([np.roll(mask, k, axis) for k in range(-reach, reach + 1)], axis=0)
    mask[[0, -1]] = False
    return mask


def some(d: Device, kind: str) -> np.ndarray:
    """Sites: a filament that wanders, round the window's edges too; a few on a plane; two on a diagonal."""
    nz, ny, nx = d.lattice.shape
    rng = np.random.default_rng(5)
    if kind == "filament":
        z = np.arange(10, nz - 10)
        y, x = (np.cumsum(rng.integers(-1, 2, len(z))) % n for n in (ny, nx))
    elif kind == "plane":
        z, y, x = np.full(12, 80), rng.integers(0, ny, 12), rng.integers(0, nx, 12)
    else:
        z, y, x = np.array([80, 97]), np.array([ny - 9, 8]), np.array([20, 37])
    return (z * ny + y) * nx + x


@pytest.mark.parametrize("kind", ["filament", "plane", "two"])
@pytest.mark.parametrize("reach", [3, SHARPEN_REACH, SHARPEN_REACH + SEEN])
def test_boxes_hold_what_they_are_around(kind: str, reach: int) -> None:
    """Each site and all within reach of it is in one, and they are no more than the one box around all.
    Negative control: with a box less some are not."""
    d = device()
    sites, boxes = some(d, kind), cover(d.potential.shape, some(d, kind), reach)
    asked = np.zeros(d.lattice.shape, bool)
    asked.ravel()[sites] = True
    asked = wider(asked, reach)
    assert (asked <= inside(d, boxes)).all()
    places = np.column_stack(np.unravel_index(sites, d.lattice.shape))
    assert sum(map(volume, boxes)) <= volume(around(d.lattice.shape, places, reach))
    assert not (asked <= inside(d, boxes[1:])).all()
    assert kind != "plane" or len(boxes) > 1


def test_an_interval_is_the_shortest() -> None:
    """Of all intervals round an axis that hold some places. Control: one that is shorter by one does not."""
    rng = np.random.default_rng(8)
    for n in (1, 2, 7, 16):
        for _ in range(50):
            some = rng.random(n) < rng.uniform(0.05, 1.0)
            some[rng.integers(n)] = True
            (low, high), where = shortest(some), np.flatnonzero(some)
            assert 0 <= low < n
            assert all(some[[low, high % n]])
            lengths = [1 + int(((where - start) % n).max()) for start in where]
            assert high - low + 1 == min(lengths)
            for length, holds in ((high - low + 1, True), (high - low, False)):
                held = np.isin(where, (low + np.arange(length)) % n)
                assert held.all() == holds


@pytest.mark.parametrize("kind", ["filament", "plane", "two"])
def test_what_a_wide_relaxation_moved_is_seen(kind: str) -> None:
    """The rates that feel a potential that moved, two sites far, are in the boxes that are told.
    Negative control: boxes made for a reach of two more are others, and for two sites do not hold them."""
    d = device()
    d.set_source(VOLT, np.inf)
    d.solve_fields()
    d.potential.prepare(d.state)
    sites, fields = some(d, kind), d.potential.fields
    rough = np.random.default_rng(6).uniform(0.0, 1e-3, fields.size)
    fields["space_potential"] += rough  # so that all that is relaxed moves
    before = fields["space_potential"].copy()
    d.patches.sites, d.patches.drift = sites, 1.0
    boxes = d.patches.follow(d.state, d.state.dirty[:0], VOLT, d.thermal, 0.0)
    assert boxes is not None
    moved = (fields["space_potential"] != before).reshape(d.lattice.shape)
    assert moved.sum() > 0.5 * min(map(volume, boxes))
    assert (wider(moved, SEEN) <= inside(d, boxes)).all()
    if kind == "two":
        apart = cover(d.potential.shape, sites, SHARPEN_REACH + SEEN)
        assert not (wider(moved, SEEN) <= inside(d, apart)).all()


def test_nothing_changed_is_nothing_to_relax() -> None:
    """What an earlier relaxation spilled, all that changed since having gone back: no box, and no error."""
    d = device()
    d.patches.clear()
    d.patches.drift = 1.0
    assert d.patches.follow(d.state, d.state.dirty[:0], VOLT, d.thermal, 0.0) == []
    assert d.patches.drift == 0.0


def test_vacancies_may_follow_along_tangents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Potentials of a whole solution with an exponential at every step, and as they are. Control: along ten
    times as much of a tangent they are others."""
    d = device()
    d.set_source(VOLT, np.inf)
    found = []
    for tangent in (0.0, TANGENT, 10 * TANGENT):
        monkeypatch.setattr("kmc.electrostatics.potential.TANGENT", tangent)
        d.solve_fields()
        found.append(VOLT * d.potential.fields["unit"] + d.potential.fields["space_potential"])
    near, far = (np.abs(found[0] - other).max() / d.thermal for other in found[1:])
    assert near < 5e-3
    assert far > 2e-2


def test_a_whole_solution_is_relaxed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a closed filament at 0.6 V: within a fiftieth of kT/e of four hundred sweeps.
    Negative control: half as many, less relaxed over, are off by more than five times that."""
    settings, stack = Settings(), load_stack("ogb_20nm")
    d = Device(build(stack, settings, stream(1, "morphology")), stack, settings, 1)
    put_silver(d, seam(d))
    assert d.path.bridged
    d.state.run["voltage_device"] = 0.6
    d.solve_fields()

    def potential(sweeps: int, omega: float) -> np.ndarray:
        monkeypatch.setattr("kmc.electrostatics.potential.SHARPEN_SWEEPS", sweeps)
        monkeypatch.setattr("kmc.electrostatics.potential.SHARPEN_OMEGA", omega)
        d.potential.publish(d.state, True)
        fields = d.potential.fields
        return (0.6 * fields["unit"] + fields["space_potential"]) / d.thermal

    right = potential(400, 1.7)
    assert np.abs(potential(SHARPEN_SWEEPS, SHARPEN_OMEGA) - right).max() < 0.02
    assert np.abs(potential(8, 1.5) - right).max() > 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_boxes_that_overlap_are_one_where_that_is_smaller(seed: int) -> None:
    """All that the single boxes hold is in the joined ones, which have no more sites; some were joined, and
    one far from the others stays alone. Sites near the edges run over them."""
    d = device()
    nz, ny, nx = d.lattice.shape
    near = np.random.default_rng(seed).integers(-2, 3, (6, 3)) + np.array([nz // 2, 2, nx - 2])
    far = [nz // 2, 2 + ny // 2, nx - 2 - nx // 2]
    single, groups, count = [], np.empty((len(near) + 1, 8), np.int64), 0
    for z, y, x in [*near.tolist(), far]:
        box = box_of(d.potential.shape, (z * ny + y % ny) * nx + x % nx, 4)
        single.append(box)
        count = join(d.potential.shape, groups, count, box, 4, False)
    joined = [tuple(row[:6]) for row in groups[:count].tolist()]
    assert (inside(d, joined) >= inside(d, single)).all()
    assert sum(map(volume, joined)) <= sum(map(volume, single))
    assert 2 <= len(joined) < len(single)
    assert single[-1] in joined
