"""A box of the lattice, relaxed to its end, obeys Poisson's equation on its sites and touches no other."""

from __future__ import annotations

import numpy as np
import pytest

from kmc import relax_kernels as rk
from kmc.model import METAL_FACE
from kmc.state import FIELD, METAL, SITE

KINDS = 4  # regions without metal
VOLT, THERMAL = 0.4, 0.026
OFF = 2e-5  # V: what single precision leaves of a volt

# A window (z, y, x) and a box in it: inside, over an edge, all round along y, along x and along both; with an
# even and with an odd period, in which a site's neighbour over the edge has its own colour.
BOXES = [
    ((9, 8, 10), (2, 7, 2, 6, 3, 9)), ((9, 7, 9), (1, 8, -2, 3, 5, 11)),
    ((9, 8, 10), (2, 7, 0, 8, 3, 9)), ((9, 7, 10), (2, 7, 0, 7, 3, 9)),
    ((9, 8, 10), (2, 7, 2, 6, 0, 10)), ((9, 8, 9), (2, 7, 2, 6, 0, 9)),
    ((9, 8, 10), (1, 8, 0, 8, 0, 10)), ((9, 7, 9), (1, 8, 0, 7, 0, 9)), ((9, 7, 10), (1, 8, 0, 7, 0, 10)),
]  # fmt: skip


def window(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sites of random regions with metal among them, random potentials and charges, and a table of faces."""
    random = np.random.default_rng(seed)
    count = int(np.prod(shape))
    sites, fields = np.zeros(count, SITE), np.zeros(count, FIELD)
    sites["region"] = random.integers(0, KINDS, count)
    sites["cation"][random.random(count) < 0.15] = METAL
    sites["held"] = random.random(count) < 0.05
    for name, size in (("unit", 1.0), ("charge", 0.1), ("source", 0.5)):
        fields[name] = random.uniform(-size, size, count)
    face = random.uniform(1.0, 20.0, (8, 8))
    return sites, fields, (face + face.T) / 2


def inside(shape: tuple[int, int, int], box: tuple[int, ...], sites: np.ndarray) -> np.ndarray:
    """The sites of the box whose potential is free [z, y, x]."""
    z0, z1, y0, y1, x0, x1 = box
    mask = np.zeros(shape, bool)
    mask[np.ix_(range(z0, z1), np.arange(y0, y1) % shape[1], np.arange(x0, x1) % shape[2])] = True
    return mask & ((sites["cation"] < METAL) & (sites["held"] == 0)).reshape(shape)


def missing(shape: tuple[int, int, int], sites: np.ndarray, face: np.ndarray, potential: np.ndarray,
            source: np.ndarray) -> np.ndarray:  # fmt: skip
    """By how much each potential differs from what its neighbours and its charge ask for, V [z, y, x]."""
    kind = np.where(sites["cation"] >= METAL, METAL_FACE, sites["region"]).reshape(shape)
    volts, flow, through = potential.reshape(shape), source.reshape(shape).copy(), np.zeros(shape)
    for axis in range(3):
        for way in (-1, 1):  # the first and the last plane are in no box
            weight = face[kind, np.roll(kind, way, axis)]
            flow += weight * np.roll(volts, way, axis)
            through += weight
    return np.abs(volts - flow / through)


@pytest.mark.parametrize(("shape", "box"), BOXES)
def test_poisson(shape: tuple[int, int, int], box: tuple[int, ...]) -> None:
    """Unit and charge potential. Control: after three sweeps they do not."""
    sites, fields, face = window(shape, 1)
    before, mine = fields.copy(), inside(shape, box, sites)
    off = {}
    for sweeps in (3, 200):
        fields[:] = before
        spill = rk.relax(sites, fields, face, *shape, box, sweeps, 1.5)
        nothing = np.zeros(len(fields))
        off[sweeps] = max(missing(shape, sites, face, fields["unit"], nothing)[mine].max(),
                          missing(shape, sites, face, fields["charge"], fields["source"])[mine].max())
    assert off[200] < OFF < off[3]
    assert np.array_equal(fields[~mine.ravel()], before[~mine.ravel()])
    moved = np.abs(fields["unit"] - before["unit"])
    assert 0.0 < spill <= moved.max()


@pytest.mark.parametrize(("shape", "box"), BOXES)
def test_vacancies_in_equilibrium(shape: tuple[int, int, int], box: tuple[int, ...]) -> None:
    """The same where there are none; elsewhere each site has the vacancies of its potential, and Poisson's
    equation has their charge. Control: not with another chemical potential."""
    sites, fields, face = window(shape, 2)
    before, mine = fields.copy(), inside(shape, box, sites)
    most, built_in, mu = np.array([0.0, 2.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0]), np.full(8, 0.3), 0.05
    ions, share = np.full(shape, 0.2), np.full(shape, 0.5)
    rk.screened(sites, fields, face, ions, share, 1, *shape, box, 400, 2, 1.5, 0.0, most, built_in, VOLT, mu,
                THERMAL)
    felt, here = VOLT * fields["unit"] + fields["charge"], sites["region"]
    screened = mine.ravel() & (most[here] > 0.0)

    def vacancies(mu: float) -> np.ndarray:
        return most[here] / (1.0 + np.exp((felt - mu) / THERMAL))

    charge = vacancies(mu) - built_in[here] + 0.1
    assert np.abs(fields["source"] - charge)[screened].max() < 0.01
    assert np.abs(fields["source"] - charge - vacancies(mu + THERMAL) + vacancies(mu))[screened].max() > 0.1
    assert np.array_equal(fields["source"][~screened], before["source"][~screened])
    assert missing(shape, sites, face, fields["charge"], fields["source"])[mine].max() < 1e-4
    assert missing(shape, sites, face, fields["unit"], np.zeros(len(fields)))[mine].max() < OFF
