"""Clusters of silver that are kept where one atom came or went are those that a whole search finds."""

from __future__ import annotations

import numpy as np
import pytest

from kmc.system.state import COUNTER_METAL, ELECTRODE_METAL, EMPTY, METAL, SITE, Grid
from kmc.transport import clusters as ck

SHAPE = (12, 7, 6)
ORGANIC = slice(1, 4)  # planes, between the counter and the film
STEPS, MANY = 3000, 40  # of silver atoms, the column's twelve among them


def stack() -> tuple[np.ndarray, np.ndarray]:
    """Sites [N] of counter, an organic with a column of silver, film, and electrode; which are organic."""
    sites, organic = np.zeros(SHAPE, SITE), np.zeros(SHAPE, bool)
    organic[ORGANIC] = True
    sites["cation"][0], sites["cation"][-1] = COUNTER_METAL, ELECTRODE_METAL
    sites["cation"][ORGANIC, 2:4, 2:4] = METAL
    return sites.ravel(), organic.ravel()


def whole(sites: np.ndarray, organic: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and marks of all sites by a whole search, and one past the last label."""
    label, bridge = np.zeros(len(sites), np.int32), np.zeros(len(sites), np.uint8)
    film = np.flatnonzero((sites["cation"] == METAL) & ~organic).astype(np.int32)
    return label, bridge, ck.label_clusters(sites, organic, film, label, bridge, SHAPE)


def next_change(sites: np.ndarray, rng: np.random.Generator) -> int:
    """A site of the film or the organic's top: an atom to go, or a free one, mostly beside metal."""
    grid = sites["cation"].reshape(SHAPE)
    beside = sum(np.roll(grid >= METAL, k, axis) for axis in range(3) for k in (-1, 1)) > 0
    if rng.random() < 0.05:
        beside[:] = True
    leaves = rng.random() < (0.7 if (grid == METAL).sum() > MANY else 0.3)
    atoms, room = grid == METAL, (grid == EMPTY) & beside
    for some in (atoms, room):
        some[: ORGANIC.stop - 1] = False
    some = atoms if leaves and atoms.any() else room
    return int(rng.choice(np.flatnonzero(some.ravel())))


def follow(seed: int) -> tuple[list[bool], list[bool]]:
    """Of each change of an open filament without islands: whether the labels were kept; whether all others
    are what they were. What is kept is compared at once."""
    rng = np.random.default_rng(seed)
    sites, organic = stack()
    label, bridge, _ = whole(sites, organic)
    kept, same = [], []
    for _ in range(STEPS):
        changed = np.unique([next_change(sites, rng) for _ in range(rng.integers(1, 3))])
        sites["cation"][changed] = METAL - sites["cation"][changed]
        back = rng.choice(np.flatnonzero(label), min(2, np.count_nonzero(label)))  # or they come and go
        changed = np.union1d(changed, back)
        bridge[changed] = rng.integers(0, 4, len(changed))  # whatever events left there
        old, (right, marks, labels) = label.copy(), whole(sites, organic)
        kept.append(ck.update_labels(sites, organic, changed, label, bridge, Grid(*SHAPE)))
        others, film = np.setdiff1d(np.flatnonzero(right), changed), right > 0
        same.append(bool((right[others] == old[others]).all()))
        assert not kept[-1] or ((label == right).all() and (bridge == marks)[film].all())
        if labels > ck.FLOATING or (right == ck.BRIDGE).any():  # nothing is kept of these
            sites, organic = stack()
            right, marks, _ = whole(sites, organic)
        label, bridge = right, marks
    return kept, same


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kept_labels_are_those_of_a_whole_search(seed: int) -> None:
    """A third of the changes, of one atom or two beside some that came back, is answered without a search.
    Control: one in thirty moves others to another cluster, where to have kept them would have been wrong."""
    kept, same = follow(seed)
    assert np.mean(kept) > 0.3
    assert 1 - np.mean(same) > 0.02
