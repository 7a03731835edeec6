"""What accelerates a run leaves its statistics: SET time at two thicknesses, fading, and silver that is left.

The small device of `kmc bench accuracy` keeps all barriers of the cards; its exact run, hop by hop and with a
tight refresh bound, takes about a second, so there is no need to raise them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import ks_2samp, norm

from kmc.bench_accuracy import observations, observe

SEEDS = 200
THICKNESSES = (5.0, 8.0)
EXACT: dict[str, Any] = {"flight_reach": 0, "refresh_bound": 0.1}
FAST: dict[str, Any] = {}  # the defaults
WRONG: dict[str, Any] = {"local_temperature": False, "space_charge": False}
WITHIN = 0.10
ALPHA = 0.05
Sample = dict[str, np.ndarray]


@lru_cache(maxsize=8)
def sample(values: tuple[tuple[str, Any], ...]) -> Sample:
    """Each observable over all seeds: SET time by thickness; of the thin one what 10 ms at 0 V leave."""
    out: Sample = {}
    for thickness in THICKNESSES:
        rows = observations(observe, [(seed, thickness, dict(values)) for seed in range(1, SEEDS + 1)])
        out[f"set time, {thickness:g} nm"] = np.array([row["set_s"] for row in rows])
        if thickness == THICKNESSES[0]:
            for name, key in (("off time", "off_s"), ("retention", "kept_S"), ("residual silver", "silver")):
                out[name] = np.array([row[key] for row in rows])
    return out


def ratio(fast: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """90 % interval of the ratio of means; pairs share their lattice, so their difference is what counts."""
    mean = fast.mean() / exact.mean()
    error = (fast - mean * exact).std(ddof=1) / np.sqrt(len(exact)) / exact.mean()
    reach = norm.ppf(0.95) * error
    return mean - reach, mean + reach


def holm(values: dict[str, float]) -> list[str]:
    """Names whose p value Holm's step-down procedure rejects at ALPHA."""
    rejected = []
    for k, name in enumerate(sorted(values, key=lambda name: values[name])):
        if values[name] > ALPHA / (len(values) - k):
            break
        rejected.append(name)
    return rejected


def verdict(fast: Sample, exact: Sample) -> list[str]:
    """What differs: intervals not within 10 % of 1, distributions that Kolmogorov-Smirnov tells apart."""
    out = []
    for name in exact:
        low, high = ratio(fast[name], exact[name])
        if low < 1.0 - WITHIN or high > 1.0 + WITHIN:
            out.append(f"{name}: {low:.3f} to {high:.3f}")
    return out + holm({name: float(ks_2samp(fast[name], exact[name]).pvalue) for name in exact})
