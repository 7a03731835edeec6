"""Against results that no simulation made: first passages of a walk with and without drift."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from test_kernel_laws import film, plain_model

from kmc import kernels
from kmc.state import FIELD
from kmc.units import K_B

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
    w, generator = film(
        (NZ, 4, 4), plain_model(BARRIER_EV, ATTEMPT_HZ), start * PLANE, seed, fields=fields, wrap=False
    )
    begun, origin = 0.0, start
    while len(times) < TRIALS:
        kernels.advance(*w, generator, np.inf, 1, False)
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
    chain = (
        np.diag(np.full(size, up + down))
        - np.diag(np.full(size - 1, up), 1)
        - np.diag(np.full(size - 1, down), -1)
    )
    first = np.linalg.solve(chain, np.ones(size))
    second = 2 * np.linalg.solve(chain, first)
    middle = PLANES - 1
    assert first[middle] == pytest.approx(mean, rel=1e-9)
    return mean, float(second[middle] - mean**2), 1 / (1 + ratio)


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_first_passage_of_a_walk(drift: float) -> None:
    """Mean and spread of the exit time, and the side of the exit; 600 trials.

    Standard errors: 3 % of the mean, 8 % of the variance, 2 % of the chance. Negative controls: a rate that
    is off by a fifth, and the drift's other sign or half a kT more of it.
    """
    found, (mean, variance, chance) = passages(drift, 31), moments(drift)
    error = math.sqrt(variance / TRIALS)
    assert abs(found.times.mean() - mean) < 4 * error
    assert abs(found.times.mean() - 1.2 * mean) > 4 * error
    assert found.times.var() == pytest.approx(variance, rel=0.35)
    spread = math.sqrt(chance * (1 - chance) / TRIALS)
    assert abs(found.up.mean() - chance) < 4 * spread
    assert abs(found.up.mean() - moments(-drift if drift else 0.5)[2]) > 4 * spread
