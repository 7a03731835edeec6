"""Confidence intervals of a fit, from the profile of the misfit or from refits to resampled residuals.

Both assume independent points, which those of one device are not. The intervals of the typical device of several are
therefore widened by the variation from device to device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kmc.core import random_streams
from kmc_analysis.compact.fitting.fit_data import Trace
from kmc_analysis.compact.fitting.misfit import Problem

LEVEL = 0.95
_ROUNDS = 4  # of moving an end; its distance goes with the root of the misfit
_FOLLOW = 3  # steps in which the other parameters follow an end
_CLOSE = 0.05  # of the misfit that is allowed: an end is there
_LEAST_DEVICES = 4  # fewer do not determine the spread of the median of devices
_DRAWS = 300


def profiled(
    problem: Problem, places: np.ndarray, jacobian: np.ndarray, residuals: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals [free] within which the misfit, with all other parameters at their best, rises by
    less than the F distribution allows (D. M. Bates and D. G. Watts, Nonlinear Regression Analysis, 1988).

    half: half the width of the linearised intervals. The search for an end begins there, and stays there for
    parameters that the data do not determine. In nonlinear equations the two sides differ. The other parameters
    follow by Gauss-Newton with the Jacobian of the optimum. Ends stay between 0 and 1 unless the linearised one leaves.
    """
    low, high = places - half, places + half
    for k in range(places.size):
        if low[k] <= 0.0 or high[k] >= 1.0:
            continue
        low[k] = places[k] - _reach(problem, places, jacobian, residuals, k, -half[k])
        high[k] = places[k] + _reach(problem, places, jacobian, residuals, k, half[k])
    return low, high


def _reach(
    problem: Problem, places: np.ndarray, jacobian: np.ndarray, residuals: np.ndarray, k: int, step: float
) -> float:
    """How far parameter k may go towards the sign of `step`, which is the linearised answer."""
    from scipy.stats import t

    least = float(residuals @ residuals)
    freedom = residuals.size - places.size
    allowed = least / freedom * float(t.ppf(0.5 + LEVEL / 2.0, freedom)) ** 2
    others = np.delete(np.arange(places.size), k)
    inverse = np.linalg.pinv(jacobian[:, others])
    along = -inverse @ jacobian[:, k]  # how the others follow, to first order
    room = places[k] if step < 0.0 else 1.0 - places[k]
    sign, size = math.copysign(1.0, step), abs(step)
    for _ in range(_ROUNDS):
        size = min(size, room)
        rise = _least_at(problem, places, k, sign * size, others, along, inverse) - least
        if abs(rise - allowed) <= _CLOSE * allowed or (size == room and rise < allowed):
            break
        size *= min(max(math.sqrt(allowed / rise), 0.4), 2.0) if rise > 0.0 else 2.0
    return min(size, room)


def _least_at(
    problem: Problem,
    places: np.ndarray,
    k: int,
    step: float,
    others: np.ndarray,
    along: np.ndarray,
    inverse: np.ndarray,
) -> float:
    """The least sum of squares with parameter k moved by `step`."""
    moved = places.copy()
    moved[k] += step
    moved[others] = np.clip(places[others] + along * step, 0.0, 1.0)
    found = problem.residuals(moved)
    least = float(found @ found)
    for _ in range(_FOLLOW if others.size else 0):
        moved[others] = np.clip(moved[others] - inverse @ found, 0.0, 1.0)
        found = problem.residuals(moved)
        if float(found @ found) > 0.999 * least:
            return min(least, float(found @ found))
        least = float(found @ found)
    return least


def bootstrapped(
    problem: Problem, places: np.ndarray, residuals: np.ndarray, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the percentile intervals from refits to resampled residuals."""
    from scipy.optimize import least_squares

    stream = random_streams.stream(seed, "compact bootstrap")
    centred = residuals - residuals.mean()
    kept = []
    for _ in range(count):
        noise = stream.choice(centred, residuals.size)
        again = least_squares(
            lambda u, n=noise: problem.residuals(u) - residuals - n,
            np.clip(places, 1e-6, 1 - 1e-6),
            problem.jacobian,
            bounds=(0.0, 1.0),
            max_nfev=8,
        )
        kept.append(again.x)
    ends = np.quantile(np.array(kept), [0.5 - LEVEL / 2.0, 0.5 + LEVEL / 2.0], axis=0)
    return ends[0], ends[1]


def tell_devices(traces: Sequence[Trace]) -> bool:
    """Whether each trace is the median of enough devices to estimate the spread of that median."""
    return all(one.replicates >= _LEAST_DEVICES for one in traces)


def of_devices(traces: Sequence[Trace], places: np.ndarray, jacobian: np.ndarray, seed: int) -> np.ndarray:
    """Half the widths [free] of the intervals of the typical device, from whole traces drawn with replacement
    (those of one device in all protocols that it was given, at once) in place of the devices there are.

    The fit follows their medians to first order and within its bounds, by its Jacobian at the optimum. The
    median of few devices takes few values, so that the width is the standard deviation over the draws times Student's
    t with one degree of freedom less than devices. Zero where a trace is of too few devices.
    """
    if not tell_devices(traces):
        return np.zeros(places.size)
    from scipy.optimize import lsq_linear
    from scipy.stats import t

    stream, moves = random_streams.stream(seed, "compact devices"), []
    turned, small = np.linalg.qr(jacobian)  # as many rows as parameters, not as points
    for _ in range(_DRAWS):
        parts = []
        for one, rows in zip(traces, _redrawn(traces, stream), strict=True):
            assert one.each is not None
            parts.append(((np.median(one.each[rows], axis=0) - one.log_g) / one.sigma)[one.used])
        moves.append(lsq_linear(small, turned.T @ np.concatenate(parts), (-places, 1.0 - places)).x)
    freedom = min(one.replicates for one in traces) - 1
    return float(t.ppf(0.5 + LEVEL / 2.0, freedom)) * np.std(moves, axis=0)


def _redrawn(traces: Sequence[Trace], stream: np.random.Generator) -> list[list[int]]:
    """Of each trace the replicates of as many devices, drawn with replacement, as there are in all; none is
    without one."""
    devices = sorted(set().union(*(one.seeds for one in traces)))
    while True:
        drawn = stream.choice(devices, len(devices)).tolist()
        rows = [[one.seeds.index(device) for device in drawn if device in one.seeds] for one in traces]
        if all(rows):
            return rows
