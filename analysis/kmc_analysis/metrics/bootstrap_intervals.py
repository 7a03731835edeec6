"""Intervals of 95 % from few devices: of a mean, of a share, of anything resampled."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from scipy import stats

DRAWS = 10_000
WHOLE = 7  # devices of which all resamples are taken: of 10,000 draws the end of six is the 24th
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


@lru_cache(maxsize=8)  # of sixty devices they take 5 MB
def resamples(n: int, draws: int = DRAWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Resamples of n devices, indices [k, n], and the weight of each [k]: all that there are of few, else
    `draws` of them."""
    if n > WHOLE:
        generator = np.random.Generator(np.random.PCG64(seed))
        return generator.integers(n, size=(draws, n)), np.full(draws, 1.0 / draws)
    drawn = np.array(list(combinations_with_replacement(range(n), n)))
    orders = [math.factorial(n) / math.prod(map(math.factorial, np.bincount(one))) for one in drawn]
    return drawn, np.array(orders) / n**n


def ends(values: np.ndarray, weight: np.ndarray, n: int) -> tuple[float, float]:
    """The interval that a statistic's `values` [k] of resampled devices give: of those that are there."""
    there = ~np.isnan(values)
    order = np.argsort(values[there], kind="stable")
    found, whole = values[there][order], np.cumsum(weight[there][order])
    if not len(found):
        return math.nan, math.nan
    low, high = tails(n)
    places = np.searchsorted(whole / whole[-1], [low - 1e-12, high - 1e-12])
    first, last = found[np.minimum(places, len(found) - 1)]
    return float(first), float(last)


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
    drawn, weight = resamples(n, draws, seed)
    return ends(values[drawn].mean(axis=1), weight, n)


def alike(values: np.ndarray, grain: float) -> bool:
    """Whether `values` agree within `grain` and are fewer than FEWEST: they have no spread to estimate an
    interval from."""
    return 0 < len(values) < FEWEST and float(np.ptp(values)) <= grain


def clopper_pearson(count: float, n: int) -> tuple[float, float]:
    """The exact interval of a share, `count` of `n` (Biometrika 26, 404 (1934)); a count may be a half."""
    tail = (1 - CONFIDENCE) / 2
    low = stats.beta.ppf(tail, count, n - count + 1) if count > 0 else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, n - count) if count < n else 1.0
    return float(low), float(high)


def of_share(ones: np.ndarray) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share; (NaN, NaN) for less than two.

    `ones` are 0 or 1, one a seed, or between for a seed in several variants: these spread less, and the
    interval is wider than it need be.
    """
    return clopper_pearson(float(np.sum(ones)), len(ones)) if len(ones) > 1 else (math.nan, math.nan)


def of_gain(differences: np.ndarray) -> tuple[float, float]:
    """The interval of the share of seeds that gain less that of those that lose, by the ends of both.

    It is too wide rather than too narrow, all alike or not: it excludes zero no sooner than a sign test does.
    """
    gain, loss = (of_share(np.maximum(part, 0.0)) for part in (differences, -differences))
    return gain[0] - loss[1], gain[1] - loss[0]
