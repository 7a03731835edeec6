"""The frozen lattice: read-only arrays that alias nothing, a hash of all of them, and its measures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kmc.geometry.lattice import ACTIVE, SOLID, Lattice, Region


def layers(*rows: Region) -> np.ndarray:
    """Planes of 4 x 4 sites, one region each, from the counter up: uint8 [z, 4, 4]."""
    return np.repeat(np.array(rows, dtype=np.uint8), 16).reshape(len(rows), 4, 4)


def small() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Region, room and residue of a small window with two active planes."""
    region = layers(Region.COUNTER, Region.COUNTER, Region.ORGANIC, Region.CORE, Region.GAP, Region.ELECTRODE)
    room = np.isin(region, [Region.ORGANIC, Region.GAP]).astype(np.uint8)
    residue = np.zeros(region.shape, dtype=bool)
    residue[2, 1, 1] = True
    return region, room, residue


@pytest.fixture
def lattice() -> Lattice:
    """A window of 6 planes of 4 x 4 sites."""
    return Lattice(0.3, *small())


@pytest.mark.parametrize("name", ["region", "room", "residue"])
def test_arrays_cannot_be_written(lattice: Lattice, name: str) -> None:
    """Neither an element nor the array itself can be changed."""
    array = getattr(lattice, name)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(lattice, name, array.copy())


def test_the_callers_arrays_are_copied() -> None:
    """Changing what the lattice was made from changes no lattice."""
    region, room, residue = small()
    lattice = Lattice(0.3, region, room, residue)
    before = lattice.hash
    region[:] = 0
    room[:] = 0
    residue[:] = True
    assert lattice.hash == before == Lattice(0.3, *small()).hash
    assert lattice.region.any()


def test_types_are_fixed(lattice: Lattice) -> None:
    """uint8, uint8 and bool in C order, whatever was given."""
    region, room, residue = small()
    region = np.asfortranarray(region.astype(np.int64))
    other = Lattice(0.3, region, room.astype(bool), residue.astype(np.uint8))
    assert other.hash == lattice.hash
    assert [a.dtype for a in (other.region, other.room, other.residue)] == [np.uint8, np.uint8, np.bool_]
    assert all(a.flags.c_contiguous for a in (other.region, other.room, other.residue))


def test_shapes_must_agree() -> None:
    """A room of another shape is refused, and so is a plane."""
    region, room, residue = small()
    with pytest.raises(ValueError, match="shape"):
        Lattice(0.3, region, room[:, :2], residue)
    with pytest.raises(ValueError, match="shape"):
        Lattice(0.3, region[0], room[0], residue[0])


@pytest.mark.parametrize("place", range(4))
def test_the_hash_covers_everything(lattice: Lattice, place: int) -> None:
    """Another spacing, region, room or residue is another hash."""
    spacing, arrays = 0.3, list(small())
    if place == 3:
        spacing = 0.31
    else:
        arrays[place][2, 0, 0] = 1 - arrays[place][2, 0, 0]
    assert Lattice(spacing, *arrays).hash != lattice.hash


def test_measures(lattice: Lattice) -> None:
    """Shares, heights and lengths of a window that one can count by hand."""
    assert lattice.shape == (6, 4, 4)
    assert lattice.sites == 96
    assert lattice.extent_nm == pytest.approx((1.8, 1.2, 1.2))
    assert lattice.organic_surface() == 3
    assert (lattice.silver_surface() == 5).all()
    assert lattice.thickness_nm() == pytest.approx(0.6)
    assert lattice.roughness_nm() == 0.0
    assert lattice.fill() == 0.5
    assert lattice.room_fraction() == 0.5
    assert lattice.fraction(Region.GAP) == 0.5
    assert np.count_nonzero(lattice.mask(*ACTIVE)) == 32
    assert np.count_nonzero(lattice.mask(*SOLID)) == 16


def test_roughness_is_the_rms_of_the_silvers_face() -> None:
    """Half of the columns one plane lower: half a spacing rms."""
    region, room, residue = small()
    region[4, :2], room[4, :2] = Region.ELECTRODE, 0
    assert Lattice(0.3, region, room, residue).roughness_nm() == pytest.approx(0.15)


def test_no_active_layer() -> None:
    """Shares and thickness are zero, not an error."""
    region = layers(Region.COUNTER, Region.ORGANIC, Region.ELECTRODE, Region.ELECTRODE)
    lattice = Lattice(0.3, region, (region == Region.ORGANIC).astype(np.uint8), np.zeros(region.shape, bool))
    assert (lattice.fill(), lattice.room_fraction(), lattice.thickness_nm()) == (0.0, 0.0, 0.0)
