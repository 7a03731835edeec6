"""Against results that no simulation made: first passages of a walk, and growth that diffusion feeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from scipy.linalg import expm
from small_device import Window, answering
from test_event_laws import film, plain_model

from kmc.core.units import K_B
from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.system.state import COUNTER_METAL, FIELD, KIND_ION, Grid, allocate

THERMAL = K_B * 300.0
BARRIER_EV, ATTEMPT_HZ = 0.2, 1e12
RATE = ATTEMPT_HZ * math.exp(-BARRIER_EV / THERMAL)  # of a hop in one direction without a field, 1/s
PLANES, TRIALS = 5, 600
NZ, PLANE = 4096, 16


class Passages(NamedTuple):
    """Times (s) until a lone ion has gone PLANES planes from where it was, and whether it went up."""

    times: np.ndarray
    up: np.ndarray


def passages(drift: float, seed: int) -> Passages:
    """TRIALS of them in a field that makes a plane up cost -drift kT."""
    fields = np.zeros(NZ * PLANE, FIELD)
    fields["temperature"] = 300.0
    fields["unit"] = -drift * THERMAL * np.repeat(np.arange(NZ), PLANE)
    start, times, up = NZ // 2, [], []
    w, generator = film((NZ, 4, 4), plain_model(BARRIER_EV, ATTEMPT_HZ), start * PLANE, seed, fields=fields)
    begun, origin = 0.0, start
    while len(times) < TRIALS:
        advance.advance(*w, generator, np.inf, 1, False)
        plane = int(w.state.entities["z"][0])
        if abs(plane - origin) < PLANES:
            continue
        now = float(w.state.run["time"][0])
        times.append(now - begun)
        up.append(plane > origin)
        begun, origin = now, plane
        assert PLANES < plane < NZ - PLANES
    return Passages(np.array(times), np.array(up))


def moments(drift: float) -> tuple[float, float, float]:
    """Mean (s) and variance of the time, and the chance to leave upwards, of the walk on a line.

    The mean by Wald's identity (Feller, An Introduction to Probability Theory, vol. 1, XIV), the variance by
    the absorbing chain's generator.
    """
    up, down = RATE * math.exp(drift / 2), RATE * math.exp(-drift / 2)
    ratio = (down / up) ** PLANES
    mean = PLANES / (up - down) * (1 - ratio) / (1 + ratio) if drift else PLANES**2 / (2 * RATE)
    size = 2 * PLANES - 1
    chain = np.diag(np.full(size, up + down)) - np.diag(np.full(size - 1, up), 1) - np.diag(np.full(size - 1, down), -1)
    first = np.linalg.solve(chain, np.ones(size))
    second = 2 * np.linalg.solve(chain, first)
    middle = PLANES - 1
    assert first[middle] == pytest.approx(mean, rel=1e-9)
    return mean, float(second[middle] - mean**2), 1 / (1 + ratio)


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_first_passage_of_a_walk(drift: float) -> None:
    """Mean and spread of the exit time, and the side of the exit; 600 trials.

    Standard errors: 3 % of the mean, 8 % of the variance, 2 % of the chance. Negative controls: a rate that
    is off by a fifth, half as much spread again, and the drift's other sign or half a kT more of it.
    """
    found, (mean, variance, chance) = passages(drift, 31), moments(drift)
    error = math.sqrt(variance / TRIALS)
    assert abs(found.times.mean() - mean) < 4 * error
    assert abs(found.times.mean() - 1.2 * mean) > 4 * error
    assert abs(found.times.var() - variance) < 4 * 0.08 * variance
    assert abs(found.times.var() - 1.5 * variance) > 4 * 0.08 * variance
    spread = math.sqrt(chance * (1 - chance) / TRIALS)
    assert abs(found.up.mean() - chance) < 4 * spread
    assert abs(found.up.mean() - moments(-drift if drift else 0.5)[2]) > 4 * spread


# -- growth ---------------------------------------------------------------------------------------------

SLAB, SIDE, DENSITY = 96, 48, 0.004  # sites across, along, and ions a site at first
DEVICES, HOPS = 8, (25.0, 100.0)  # slabs, and moments in units of 1 / RATE


def slab(drift: float, seed: int) -> tuple[Window, np.random.Generator]:
    """Ions above a face of metal, where they become metal at once and for good; one plane is -drift kT."""
    generator = np.random.default_rng(seed)
    shape = (SLAB, SIDE, SIDE)
    region = np.full(shape, Region.CORE, np.uint8)
    region[0] = Region.COUNTER
    room = np.ones(shape, np.uint8)
    room[0] = 0
    model = plain_model(BARRIER_EV, ATTEMPT_HZ)
    model["ion_energy"] = 1.0  # above the metal: nothing dissolves
    model["attempt"], model["diffusion"], model["transfer"] = 1e13, 3.0, 0.5
    model["reduction"], model["ion_barrier"][0, Region.COUNTER] = 0.1, 9.0
    model["ion_barrier"][0, :, Region.COUNTER] = 9.0
    fields = np.zeros(region.size, FIELD)
    fields["temperature"] = 300.0
    fields["unit"] = drift * THERMAL * np.repeat(np.arange(SLAB), SIDE * SIDE)
    state = allocate(region, room, 2 * region.size)
    state.sites["cation"][: SIDE * SIDE] = COUNTER_METAL
    w = Window(state, Grid(*shape), answering(fields), answering(model)[0])
    first = SIDE * SIDE + np.flatnonzero(generator.random(region.size - SIDE * SIDE) < DENSITY)
    advance.place_many(state, w.grid, KIND_ION, first.astype(np.int32))
    state.run["voltage_device"], state.run["shift_bound"] = 1.0, np.inf
    state.run["unspent"] = generator.standard_exponential()
    advance.refresh_all(*w)
    return w, generator


def grown(drift: float) -> np.ndarray:
    """Atoms that all slabs together have deposited at each moment."""
    found = np.zeros(len(HOPS))
    for seed in range(DEVICES):
        w, generator = slab(drift, seed)
        for k, hops in enumerate(HOPS):
            while advance.advance(*w, generator, hops / RATE, 10**6, False) != advance.REACHED:
                w.state.run["force_refresh"] = w.state.run["dirty"] = 0
            found[k] += w.state.run["metal"][0]
    return found


def theory(drift: float, speed: float = 1.0) -> np.ndarray:
    """The same of independent walkers that the plane beside the metal absorbs, with those that began there.

    Ions that exclude each other have the density of independent ones (F. Spitzer, Adv. Math. 5, 246 (1970)).
    """
    count = SLAB - 2
    down, up = speed * math.exp(drift / 2), speed * math.exp(-drift / 2)
    chain = np.diag(np.full(count, -up - down)) + np.diag(np.full(count - 1, up), 1)
    chain += np.diag(np.full(count - 1, down), -1)
    chain[-1, -1] = -down  # the far end is closed
    left = [expm(chain * hops).sum(axis=1).sum() for hops in HOPS]
    return DEVICES * SIDE**2 * DENSITY * (1 + count - np.array(left))


@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_growth_that_diffusion_feeds(drift: float) -> None:
    """Metal grows as the square root of time (F. G. Cottrell, Z. Phys. Chem. 42, 385 (1903)), or in
    proportion to it in a field (Faraday's law).

    Some 1,600 atoms at the end: a standard error of 2.5 %; the metal's own height moves the plane by less
    than 1 %. Negative controls: ions that are a half faster, and the field left out or put in.
    """
    found, right = grown(drift), theory(drift)
    assert (np.abs(found - right) < 4 * np.sqrt(right)).all(), (found, right)
    assert abs(found[-1] - theory(drift, 1.5)[-1]) > 4 * math.sqrt(right[-1])
    assert abs(found[-1] - theory(0.2 - drift)[-1]) > 4 * math.sqrt(right[-1])
    if not drift:  # half a plane is the lattice's
        flat = DEVICES * SIDE**2 * DENSITY * (2.0 * np.sqrt(np.array(HOPS) / math.pi) + 0.5)
        assert right == pytest.approx(flat, rel=0.01)
