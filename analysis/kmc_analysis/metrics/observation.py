"""What a simulation says of one observation: a value with its interval over devices, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from kmc_analysis.metrics.bootstrap_intervals import (
    CONFIDENCE,
    DRAWS,
    FEWEST,
    GRAIN,
    clopper_pearson,
    ends,
    interval,
    resamples,
)
from kmc_analysis.metrics.pulse_trains import APART, separated


@dataclass(frozen=True)
class Measured:
    """`value` with its 95 % interval [low, high] from `n` devices, in the target's unit.

    `exact` marks what no chance enters (then the interval is the value). `holds` is for a target with a rule:
    whether it is met, None where too few devices leave it open. `owed` says what a target asks for and was
    not done; there is then no hit. `open` says why the interval is not reliable: too few devices, or some without
    the number. There is then no miss either, except by a `bound`: an interval that holds for any number of devices,
    such as one set by a limit. `least` marks a value that is itself a lower bound, because the process had not ended.
    `value` is None for what was not simulated, and `note` says why. Otherwise `note` says what the reader must know:
    how many devices failed, what was assumed.
    """

    value: Any = None
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    note: str = ""
    exact: bool = False
    holds: bool | None = None
    owed: str = ""
    bound: bool = False
    open: str = ""
    least: bool = False

    def noted(self, note: str) -> Measured:
        """The same with a further remark."""
        return replace(self, note="; ".join(part for part in (self.note, note) if part))


def not_run(reason: str) -> Measured:
    """No value, and why."""
    return Measured(note=reason)


def exact(value: Any, note: str = "") -> Measured:
    """A value that no chance enters."""
    number = value if isinstance(value, (int, float)) else math.nan
    return Measured(value, number, number, 1, note, exact=True)


def known(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The values that are numbers."""
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def mean(values: Sequence[float], note: str = "") -> Measured:
    """The mean over devices; devices without a number are left out.

    Identical values, as counts may be, have no spread to estimate an interval from, however many they are: a rare
    value that is missing would move the mean.
    """
    found = known(values)
    if not len(found):
        return not_run("no device has this number").noted(note)
    low, high = interval(found)
    return Measured(float(found.mean()), low, high, len(found), note, open=alike(found))


def alike(found: np.ndarray) -> str:
    """Why identical values of all devices give no interval of their mean, "" where they differ."""
    same = len(found) > 1 and float(np.ptp(found)) <= GRAIN * float(np.abs(found).max())
    return f"all {len(found)} devices are alike, which tells no interval of a mean" if same else ""


def median(values: Sequence[float] | np.ndarray, note: str = "") -> Measured:
    """The median over devices, with the interval that `bootstrap` gives."""
    found = known(values)
    n = len(found)
    if n == 0:
        return not_run("no device has this number").noted(note)
    if n < 2:
        return Measured(float(found[0]), n=n, note=note)
    drawn, weight = resamples(n)
    low, high = ends(np.median(found[drawn], axis=1), weight, n)
    return Measured(float(np.median(found)), low, high, n, note, open=few(n))


def median_of_bounds(values: Sequence[float], censored: Sequence[bool], note: str = "") -> Measured:
    """The median over devices of which some give lower bounds: from what they have to where they may lie."""
    low, known_ends = np.asarray(values, float), ~np.asarray(censored, bool)
    low, known_ends = low[~np.isnan(low)], known_ends[~np.isnan(low)]
    if known_ends.all():
        return median(values, note)
    n = len(low)
    if n < 2:
        value = float(low[0])
        return Measured(value, value, math.inf, n, f"{note}: a bound", open=few(n), least=True)
    drawn, weight = resamples(n)
    high = np.where(known_ends, low, np.inf)
    first, last = (ends(np.median(part[drawn], axis=1), weight, n) for part in (low, high))
    return Measured(
        float(np.median(low)),
        first[0],
        last[1],
        n,
        f"{note}: bounds among them",
        open=few(n),
        least=bool(np.isinf(np.median(high))),
    )


def share(successes: int, trials: int, note: str = "") -> Measured:
    """A share of trials, with the interval of Clopper and Pearson (Biometrika 26, 404 (1934))."""
    if not trials:
        return not_run("there was no trial").noted(note)
    return Measured(successes / trials, *clopper_pearson(successes, trials), trials, note)


def difference_of_shares(groups: Sequence[np.ndarray], note: str = "") -> Measured:
    """Share of ones in the first group less that in the second, with Newcombe's hybrid score interval.

    Stat. Med. 17, 873 (1998), method 10: it has a width where all of a group agree.
    """
    shares = [float(group.mean()) for group in groups]
    ends = [
        stats.binomtest(int(group.sum()), len(group)).proportion_ci(CONFIDENCE, method="wilson") for group in groups
    ]
    value = shares[0] - shares[1]
    low = value - math.hypot(shares[0] - ends[0].low, ends[1].high - shares[1])
    high = value + math.hypot(ends[0].high - shares[0], shares[1] - ends[1].low)
    return Measured(value, float(low), float(high), min(map(len, groups)), note)


def separable(table: np.ndarray, note: str = "") -> Measured:
    """Share of the pairs of streams that are distinguishable, of a table [device, stream].

    The interval goes from the pairs that are certainly distinguishable to those that may be, by the noncentral t of
    the distance of two means with Gaussian spread (G. Cumming and S. Finch, Educ. Psychol. Meas. 61, 532 (2001)). It
    is wide; its coverage is too low only where many pairs lie within a tenth of a sigma of the limit. Resampled
    devices are biased: a device that is drawn twice reduces the spread, so that streams seem distinguishable.
    """
    table = table[np.isfinite(table).all(axis=1)]
    n = len(table)
    if n < 2:
        return not_run("fewer than two devices have this number").noted(note)
    scale = math.sqrt(n / 2)  # from sigma to the standard error of a distance
    ends = stats.nct.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], 2 * n - 2, APART * scale) / scale
    low, high = (separated(table, float(end)) for end in ends)
    return Measured(separated(table), low, high, n, note, open=few(n))


def bootstrap(statistic: Callable[[np.ndarray], float], table: np.ndarray, note: str = "", seed: int = 0) -> Measured:
    """`statistic` of a table [device, quantity], with the percentile interval of resampled devices.

    Devices with a quantity missing are left out. The percentiles are expanded for few devices as those of a
    mean are (see `intervals.interval`).
    """
    table = table[np.isfinite(table).all(axis=1)]
    return bootstrap_groups(lambda groups: statistic(groups[0]), [table], note, seed)


def bootstrap_groups(
    statistic: Callable[[list[np.ndarray]], float], groups: Sequence[np.ndarray], note: str = "", seed: int = 0
) -> Measured:
    """`statistic` of several tables [device, ...] of devices that are resampled apart."""
    n = min(len(group) for group in groups)
    if n == 0:
        return not_run("no device has this number").noted(note)
    value = statistic(list(groups))
    if n < 2:
        return Measured(value, n=n, note=note)
    low, high = ends(*_drawn(statistic, groups, seed), n)
    return Measured(value, low, high, n, note, open=few(n))


def _drawn(
    statistic: Callable[[list[np.ndarray]], float], groups: Sequence[np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The statistic of resampled devices [k], and the weight of each."""
    if len(groups) == 1:
        drawn, weight = resamples(len(groups[0]), DRAWS, seed)
        return np.array([statistic([groups[0][one]]) for one in drawn]), weight
    generator = np.random.Generator(np.random.PCG64(seed))
    values = [statistic([g[generator.integers(len(g), size=len(g))] for g in groups]) for _ in range(DRAWS)]
    return np.array(values), np.full(DRAWS, 1.0 / DRAWS)


def least_of(
    statistic: Callable[[np.ndarray], float], groups: Sequence[np.ndarray], note: str = "", sign: float = 1.0
) -> Measured:
    """The least of a `statistic` of several groups of devices; with a `sign` of -1 the greatest.

    The least of several that are alike lies below them all, so its own resamples say too soon that it is
    below something: that end of the interval is the least of the groups' own.
    """
    found = bootstrap_groups(lambda parts: sign * min(sign * statistic(part) for part in parts), groups, note)
    if not np.isfinite(found.low):
        return found
    alone = [bootstrap_groups(lambda parts: statistic(parts[0]), [group]) for group in groups]
    if sign > 0:
        return replace(found, high=max(found.value, min(one.high for one in alone)))
    return replace(found, low=min(found.value, max(one.low for one in alone)))


def mean_change(changes: np.ndarray, note: str = "") -> Measured:
    """Mean |change| of devices, of a table [device, 1] of relative ones.

    Chance enters it and does not become less with the number of devices. So it alone is no miss: the lower
    end is no higher than that of the mean with its sign.
    """
    found = bootstrap(lambda part: float(np.abs(part).mean()), changes, note)
    signed = bootstrap(lambda part: abs(float(part.mean())), changes)
    return replace(found, low=min(found.low, signed.low))


def few(n: int) -> str:
    """A bootstrap stays between the extremes, which hold a median with a chance of 1 - 2^(1 - n) only."""
    return f"{n} devices are too few for an interval of 95 %" if n < FEWEST else ""
