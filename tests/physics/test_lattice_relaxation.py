"""A box of the lattice, relaxed to its end, obeys Poisson's equation on its sites and touches no other."""

from __future__ import annotations

import numpy as np
import pytest

from kmc.electrostatics import lattice_relaxation as rk
from kmc.system.parameter_tables import METAL_FACE
from kmc.system.state import FIELD, METAL, SITE

KINDS = 4  # regions without metal
VOLT, THERMAL = 0.4, 0.026
OFF = 1e-6  # V: what single precision leaves of a volt, and more
STEADY = (1.5, 1.7, 1.8)  # over-relaxations that are in use, here and in other laws

# A window (z, y, x) and a box in it: inside, a row, over edges, all round along y, along x and along both;
# two that are larger than what is relaxed at once.
BOXES = [
    ((9, 8, 10), (2, 7, 2, 6, 3, 9)),
    ((9, 8, 10), (4, 5, 3, 4, 5, 9)),
    ((9, 6, 8), (1, 8, -2, 3, 5, 10)),
    ((9, 8, 10), (2, 7, 0, 8, 3, 9)),
    ((9, 8, 10), (2, 7, 2, 6, 0, 10)),
    ((9, 8, 10), (1, 8, 0, 8, 0, 10)),
    ((20, 24, 22), (1, 19, 0, 24, 0, 22)),
    ((20, 24, 22), (2, 18, -5, 12, 7, 26)),
]


def window(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sites of random regions with metal among them, random potentials and charges, and a table of faces."""
    random = np.random.default_rng(seed)
    count = int(np.prod(shape))
    sites, fields = np.zeros(count, SITE), np.zeros(count, FIELD)
    sites["region"] = random.integers(0, KINDS, count)
    sites["cation"][random.random(count) < 0.15] = METAL
    sites["held"] = random.random(count) < 0.05
    for name, size in (("unit", 1.0), ("space_potential", 0.1), ("source", 0.5)):
        fields[name] = random.uniform(-size, size, count)
    face = random.uniform(1.0, 20.0, (8, 8))
    return sites, fields, (face + face.T) / 2


def inside(shape: tuple[int, int, int], box: tuple[int, ...], sites: np.ndarray) -> np.ndarray:
    """The sites of the box whose potential is free [z, y, x]."""
    z0, z1, y0, y1, x0, x1 = box
    mask = np.zeros(shape, bool)
    mask[np.ix_(range(z0, z1), np.arange(y0, y1) % shape[1], np.arange(x0, x1) % shape[2])] = True
    return mask & ((sites["cation"] < METAL) & (sites["held"] == 0)).reshape(shape)


def missing(
    shape: tuple[int, int, int], sites: np.ndarray, face: np.ndarray, potential: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """By how much each potential differs from what its neighbours and its charge ask for, V [z, y, x]."""
    kind = np.where(sites["cation"] >= METAL, METAL_FACE, sites["region"]).reshape(shape)
    volts, flow, through = potential.reshape(shape), source.reshape(shape).copy(), np.zeros(shape)
    for axis in range(3):
        for way in (-1, 1):  # the first and the last plane are in no box
            weight = face[kind, np.roll(kind, way, axis)]
            flow += weight * np.roll(volts, way, axis)
            through += weight
    return np.abs(volts - flow / through)


def faces_of(shape: tuple[int, int, int], box: tuple[int, ...]) -> np.ndarray:
    """The outermost sites of a box [z, y, x]."""
    z0, z1, y0, y1, x0, x1 = box
    places = np.zeros((z1 - z0, y1 - y0, x1 - x0), bool)
    places[[0, -1]], places[:, [0, -1]], places[:, :, [0, -1]] = True, True, True
    mask = np.zeros(shape, bool)
    mask[np.ix_(range(z0, z1), np.arange(y0, y1) % shape[1], np.arange(x0, x1) % shape[2])] = places
    return mask


@pytest.mark.parametrize("omega", STEADY)
@pytest.mark.parametrize(("shape", "box"), BOXES)
def test_poisson(shape: tuple[int, int, int], box: tuple[int, ...], omega: float) -> None:
    """Unit and charge potential; what spills over is the largest change at the box's faces.
    Control: after one sweep they do not."""
    sites, fields, face = window(shape, 1)
    before, mine = fields.copy(), inside(shape, box, sites)
    off = {}
    for sweeps in (1, 400):
        fields[:] = before
        spill = rk.relax(sites, fields, face, shape, box, sweeps, omega)
        nothing = np.zeros(len(fields))
        off[sweeps] = max(
            missing(shape, sites, face, fields["unit"], nothing)[mine].max(),
            missing(shape, sites, face, fields["space_potential"], fields["source"])[mine].max(),
        )
    assert off[400] < OFF
    assert off[1] > 100 * OFF
    assert np.array_equal(fields[~mine.ravel()], before[~mine.ravel()])
    moved = np.abs(fields["unit"] - before["unit"]).reshape(shape)
    assert spill == pytest.approx(moved[mine & faces_of(shape, box)].max(), rel=1e-12)


@pytest.mark.parametrize(("shape", "box"), BOXES)
def test_vacancies_in_equilibrium(shape: tuple[int, int, int], box: tuple[int, ...]) -> None:
    """The same where there are none; elsewhere each site has the vacancies of its potential and its share of
    its cell's ions, and Poisson's equation has their charge. Control: not with another chemical potential."""
    sites, fields, face = window(shape, 2)
    before, mine, factor = fields.copy(), inside(shape, box, sites), 2
    most, built_in, mu = np.array([0.0, 2.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0]), np.full(8, 0.3), 0.05
    random, cells = np.random.default_rng(3), tuple(-(-n // factor) for n in shape)
    ions, share = random.uniform(0.0, 0.4, cells), random.uniform(0.2, 0.6, cells)
    schedule, of_cells = rk.Schedule(400, 2, 1.5, 0.0), rk.CellIons(factor, ions, share)
    vacancies = rk.Screen(most, built_in, VOLT, mu, THERMAL)
    rk.screened(sites, fields, face, shape, box, schedule, of_cells, vacancies)
    felt, here = VOLT * fields["unit"] + fields["space_potential"], sites["region"]
    screened = mine.ravel() & (most[here] > 0.0)
    places = tuple(place // factor for place in np.indices(shape))
    beside = (ions * share)[places].ravel()

    def vacancies(mu: float) -> np.ndarray:
        return most[here] / (1.0 + np.exp((felt - mu) / THERMAL))

    charge = vacancies(mu) - built_in[here] + beside
    assert np.abs(fields["source"] - charge)[screened].max() < 1e-3
    shifted = charge + vacancies(mu + THERMAL) - vacancies(mu)
    assert np.abs(fields["source"] - shifted)[screened].max() > 0.1
    assert np.array_equal(fields["source"][~screened], before["source"][~screened])
    assert missing(shape, sites, face, fields["space_potential"], fields["source"])[mine].max() < 1e-4
    assert missing(shape, sites, face, fields["unit"], np.zeros(len(fields)))[mine].max() < OFF
