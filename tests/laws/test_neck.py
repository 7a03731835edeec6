"""The narrowest place of a closed filament: its current is asked for where another place becomes that."""

from __future__ import annotations

import numpy as np
import pytest
from small_filament import closed
from small_stacks import LAYERED

from kmc.coupling import Device
from kmc.kernels_events import add_metal, remove_metal
from kmc.state import METAL, PLENTY

TAKEN = 60


def whittled(name: str, seed: int, counted: bool = True) -> tuple[float, int]:
    """Atoms taken from a thin filament in a random order while it is closed.

    Largest relative change of the conductance that did not ask for the current; how often it was asked for.
    """
    d = closed(name, wide=3)
    asked, worst, run = 0, 0.0, d.state.run
    for site in np.random.default_rng(seed).permutation(d.network.film)[:TAKEN]:
        run["dirty"], run["force_refresh"] = 0, 0
        if not counted:
            d.state.spare[:] = PLENTY
        remove(d, int(site))
        held, kept = d.path.conductance, d.potential.fields.copy()
        if run["force_refresh"][0] & 1:
            asked += 1
            d.trace_current()
            if not d.path.bridged:
                break
            continue
        spare = d.network.spare.copy()
        worst = max(worst, abs(d.network.update(d.state, d.potential.fields).conductance / held - 1.0))
        d.potential.fields[:], d.network.spare[:] = kept, spare
    return worst, asked


@pytest.mark.parametrize("name", LAYERED)
def test_no_place_gets_narrowest_unseen(name: str) -> None:
    """What does not ask for the current moves the conductance by under 4 %."""
    worst, asked = zip(*(whittled(name, seed) for seed in (1, 2)), strict=True)
    assert max(worst) < 0.04
    assert 0 < max(asked) < TAKEN // 2


def test_by_power_alone_it_does() -> None:
    """Negative control: by the bonds' power, without the planes' numbers, changes of 15 % stay unseen."""
    assert max(whittled(name, 1, counted=False)[0] for name in ("ogb_20nm", "ogb_13nm")) > 0.15


@pytest.mark.parametrize("name", LAYERED)
def test_what_comes_and_goes_leaves_the_planes_numbers(name: str) -> None:
    """Two atoms side by side far from all metal, and one that hangs on another: in any order of going.

    Those far from it count for no plane while they are there; one beside it does. Negative control: an atom
    of the filament that goes leaves its plane one fewer.
    """
    d = closed(name, wide=3)
    before = d.state.spare.copy()
    alone, beside = (pair_of(d, near)[0] for near in (False, True))
    for site, counts in ((alone, 0), (beside, 1)):
        add_metal(d.state, d.grid, d.potential.fields, d.model, site)
        assert d.state.spare.sum() - before.sum() == counts
        remove(d, site)
    for pair in (pair_of(d, near=False), pair_of(d, near=True)):
        for order in (1, -1):
            for site in pair:
                add_metal(d.state, d.grid, d.potential.fields, d.model, site)
            for site in pair[::order]:
                remove(d, site)
            np.testing.assert_array_equal(d.state.spare, before)
    atom = int(d.network.film[len(d.network.film) // 2])
    remove(d, atom)
    assert d.state.spare[atom // (d.grid.ny * d.grid.nx)] < before[atom // (d.grid.ny * d.grid.nx)]


def remove(d: Device, site: int) -> None:
    """Take an atom away as an event does."""
    remove_metal(d.state, d.grid, d.potential.fields, d.model, int(d.state.sites["entity"][site]))


def pair_of(d: Device, near: bool) -> tuple[int, int]:
    """Two free sites of a plane: the first beside the filament or not, the second beside none."""
    film = np.isin(np.arange(d.lattice.region.size), d.network.film).reshape(d.lattice.shape)
    free = (d.state.sites["cation"] == 0).reshape(d.lattice.shape)
    apart = free & ~around((d.state.sites["cation"] >= METAL).reshape(d.lattice.shape))
    first = (free & around(film) if near else apart) & np.roll(apart, -1, 2)
    first[:, :, -1] = False
    levels = np.isin(np.arange(d.lattice.shape[0]), d.network.film // (d.grid.ny * d.grid.nx))
    site = int(np.flatnonzero(first & levels[:, None, None])[0])
    return site, site + 1


def around(sites: np.ndarray) -> np.ndarray:
    """The sites beside some."""
    found = np.zeros_like(sites)
    for axis in range(3):
        found |= np.roll(sites, 1, axis) | np.roll(sites, -1, axis)
    return found
