"""Intervals of 95 % from few devices: of a mean, of a share, of anything resampled."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

DRAWS = 10_000
CONFIDENCE = 0.95
FEWEST = 6  # values for a bootstrap: fewer are within their own range too often
GRAIN = 1e-9  # of a metric's values: what differs by less is alike but for rounding


def tails(n: int) -> tuple[float, float]:
    """The percentiles of n devices' bootstrap, as wide as Student's t makes those of a mean.

    Expanded for small samples (T. Hesterberg, The American Statistician 69, 371 (2015)): plain ones are too
    narrow by sqrt((n - 1) / n) and by the normal in place of Student's t.
    """
    t = stats.t.ppf((1 - CONFIDENCE) / 2, n - 1) * math.sqrt(n / (n - 1))
    tail = float(stats.norm.cdf(t))
    return tail, 1 - tail


def interval(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The interval of the mean of `values` (one a seed); (NaN, NaN) for less than two.

    A bootstrap, which of fewer than FEWEST values cannot leave their range often enough: there it is
    Student's.
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    if n < FEWEST:
        half = -float(stats.t.ppf((1 - CONFIDENCE) / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
        return float(np.mean(values)) - half, float(np.mean(values)) + half
    generator = np.random.Generator(np.random.PCG64(seed))
    means = values[generator.integers(n, size=(draws, n))].mean(axis=1)
    low, high = np.quantile(means, tails(n))
    return float(low), float(high)


def alike(values: np.ndarray, grain: float) -> bool:
    """Whether `values` are the same but for `grain`, and too few to say so: they have no spread to tell an
    interval by."""
    return 0 < len(values) < FEWEST and float(np.ptp(values)) <= grain


def of_share(ones: np.ndarray) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share (Biometrika 26, 404 (1934)); (NaN, NaN) for less than two.

    `ones` are 0 or 1, one a seed, or between for a seed in several variants: these spread less, and the
    interval is wider than it need be.
    """
    n, count, tail = len(ones), float(np.sum(ones)), (1 - CONFIDENCE) / 2
    if n < 2:
        return math.nan, math.nan
    low = stats.beta.ppf(tail, count, n - count + 1) if count > 0 else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, n - count) if count < n else 1.0
    return float(low), float(high)


def of_gain(differences: np.ndarray) -> tuple[float, float]:
    """The interval of the share of seeds that gain less that of those that lose, by the ends of both.

    It is too wide rather than too narrow, all alike or not: it excludes zero no sooner than a sign test does.
    """
    gain, loss = (of_share(np.maximum(part, 0.0)) for part in (differences, -differences))
    return gain[0] - loss[1], gain[1] - loss[0]
