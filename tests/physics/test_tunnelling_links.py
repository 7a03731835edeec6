"""Tunnelling links of an open filament, against all pairs one by one."""

import numpy as np
import pytest

from kmc.transport import tunnelling as tk
from kmc.transport.clusters import ANODE, CATHODE, FLOATING
from kmc.transport.nearest_metal import TunnelGeometry

SHAPE, REACH = (24, 14, 12), 5
TABLE = 77e-6 * np.exp(-2.2 * (np.sqrt(np.arange(REACH**2 + 1)) - 1.0))


def scattered(seed: int) -> tuple[np.ndarray, ...]:
    """Atoms of the cathode, the anode and three islands anywhere between a rough floor and a rough roof."""
    stream = np.random.default_rng(seed)
    foot = stream.integers(2, 6, SHAPE[1:]).astype(np.int32)
    roof = stream.integers(18, 22, SHAPE[1:]).astype(np.int32)
    z = np.indices(SHAPE)[0]
    between = np.flatnonzero((z > foot) & (z < roof))
    atoms = np.sort(stream.choice(between, 150, replace=False)).astype(np.int32)
    labels = [CATHODE, CATHODE, CATHODE, ANODE, FLOATING, FLOATING + 1, FLOATING + 2]
    return atoms, stream.choice(labels, len(atoms)).astype(np.int32), roof, foot


def pair_by_pair(
    atoms: np.ndarray, own: np.ndarray, roof: np.ndarray, foot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """best [atoms, labels] and planes [atoms, 2] by the definition: the nearest of all, around the window."""
    places = np.array(np.unravel_index(atoms, SHAPE)).T
    best, planes = np.zeros((len(atoms), own.max() + 1)), np.zeros((len(atoms), 2))
    many = np.argmax(np.bincount(own))

    def conductance(far: np.ndarray) -> float:
        beside = np.minimum(far[:, 1:] % SHAPE[1:], -far[:, 1:] % SHAPE[1:])
        squared = far[:, 0] ** 2 + (beside**2).sum(axis=1)
        squared = squared[(squared > 0) & (squared <= REACH**2)]
        return float(TABLE[squared.min()]) if len(squared) else 0.0

    columns = np.array(np.unravel_index(np.arange(roof.size), roof.shape)).T
    for a, place in enumerate(places):
        for label in set(own.tolist()) - {own[a]}:
            best[a, label] = conductance(places[own == label] - place)
        for side, (name, depth) in enumerate(((CATHODE, place[0] - foot), (ANODE, roof - place[0]))):
            if own[a] != name:
                far = np.column_stack([np.maximum(depth.ravel(), 0), columns - place[1:]])
                planes[a, side] = conductance(far)
    assert many == CATHODE  # the one whose links are found from the others
    alone = planes > best[:, [CATHODE, ANODE]]
    best[:, [CATHODE, ANODE]] *= ~alone
    return best, planes


@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_of_all_is_found(seed: int) -> None:
    """To the last bit: links of atoms, of electrodes with steps, and who has one. Control: it takes links to
    the electrodes, sideways ones over the edge of the window, and atoms without any."""
    atoms, own, roof, foot = scattered(seed)
    best, planes = np.zeros((len(atoms), own.max() + 1)), np.zeros((len(atoms), 2))
    linked = np.zeros(len(atoms), np.bool_)
    tk.tunnelling_links(atoms, own, TunnelGeometry(roof, foot, REACH, TABLE, SHAPE), best, planes, linked)
    wanted, electrodes = pair_by_pair(atoms, own, roof, foot)
    np.testing.assert_array_equal(best, wanted)
    np.testing.assert_array_equal(planes, electrodes)
    np.testing.assert_array_equal(linked, (wanted > 0.0).any(axis=1) | (electrodes > 0.0).any(axis=1))
    assert (electrodes > 0.0).any(axis=0).all()


def test_an_atom_out_of_reach_has_no_link() -> None:
    """Two clusters further apart than the reach, and from either electrode: nothing, and nobody is named."""
    atoms, own = np.array([10 * 14 * 12, 16 * 14 * 12], np.int32), np.array([FLOATING, FLOATING + 1])
    roof, foot = np.full(SHAPE[1:], 23, np.int32), np.full(SHAPE[1:], 2, np.int32)
    best, planes, linked = np.zeros((2, own.max() + 1)), np.zeros((2, 2)), np.zeros(2, np.bool_)
    tk.tunnelling_links(atoms, own, TunnelGeometry(roof, foot, REACH, TABLE, SHAPE), best, planes, linked)
    assert not best.any()
    assert not planes.any()
    assert not linked.any()
