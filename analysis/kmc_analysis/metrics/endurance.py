"""Cycles: what is left of silver after each, when a device fails, and how many cycles that makes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from kmc_analysis.compare import interval

_DRAWS = 4000


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


def cycle_life(residues: np.ndarray, critical: float) -> CycleLife:
    """Extrapolated life from the change of silver in each of some cycles [n >= 2], in atoms.

    A linear life is infinite where the mean residue is not above zero, as is its upper end where the interval
    of the mean reaches zero. That of the walk comes from the variance of normal residues (chi squared).
    """
    values = np.asarray(residues, float)
    n, drift = len(values), float(np.mean(values))
    low, high = interval(values, _DRAWS)
    spread = float(np.var(values, ddof=1)) if n > 1 else math.nan
    ends = stats.chi2.ppf([0.025, 0.975], n - 1) if n > 1 else (math.nan, math.nan)
    return CycleLife(_over(critical, drift), _over(critical, high), _over(critical, low),
                     _over(critical**2, spread), _over(critical**2 * ends[0], spread * (n - 1)),
                     _over(critical**2 * ends[1], spread * (n - 1)))  # fmt: skip


def _over(top: float, bottom: float) -> float:
    if math.isnan(bottom):
        return math.nan
    return top / bottom if bottom > 0 else math.inf
