"""Cycles: what is left of silver after each, when a device fails, and how many cycles that makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kmc_analysis.metrics.bootstrap_intervals import ends, resamples


class CycleLife(NamedTuple):
    """Cycles until the residue reaches its critical value, by two laws, each with its 95 % interval.

    `linear`: the mean residue a cycle adds up. `walk`: residues come and go, and their sum spreads as a
    random walk: the cycle at which its root mean square reaches the critical value.
    """

    linear: float
    linear_low: float
    linear_high: float
    walk: float
    walk_low: float
    walk_high: float


def cycle_life(residues: Sequence[np.ndarray] | np.ndarray, critical: float) -> CycleLife:
    """Extrapolated life from the change of silver in each of some cycles, in atoms: of each device [cycles],
    or one cycle a device [n].

    A linear life is infinite where the mean residue is not above zero. Intervals are those of resampled
    devices, for the cycles of one are alike; NaN for less than two.
    """
    groups = [np.atleast_1d(np.asarray(one, float)) for one in residues]
    sums = np.array([[len(one), one.sum(), (one**2).sum()] for one in groups])
    linear, walk = _lives(sums.sum(axis=0), critical)
    n = len(groups)
    if n < 2:
        return CycleLife(linear, math.nan, math.nan, walk, math.nan, math.nan)
    drawn, weight = resamples(n)
    lives = np.array([_lives(sums[one].sum(axis=0), critical) for one in drawn])
    return CycleLife(linear, *ends(lives[:, 0], weight, n), walk, *ends(lives[:, 1], weight, n))


def _lives(sums: np.ndarray, critical: float) -> tuple[float, float]:
    """Both lives, of a number of cycles, the sum of their residues and that of the squares."""
    count, total, squares = sums
    spread = (squares - total**2 / count) / (count - 1) if count > 1 else math.nan
    return _over(critical, total / count), _over(critical**2, spread)


def _over(top: float, bottom: float) -> float:
    if math.isnan(bottom):
        return math.nan
    return top / bottom if bottom > 0 else math.inf
