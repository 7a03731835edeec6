"""What accelerates a run leaves its statistics: SET time at two thicknesses, fading, and silver that is left.

The small device of `kmc bench accuracy` has bonds of its own, so that its exact run, hop by hop, takes less
than two seconds; all hops are as fast as the cards have them. Each seed is a lattice; on each several streams
of events are averaged, for a SET time spreads by 0.6 of its mean and an off time by 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from kmc.benchmarks.accuracy import observations
from kmc.benchmarks.small_device import fading, set_times

SEEDS, CONTROLS = 200, 60  # the control is off by half: fewer seeds tell
THICKNESSES = (5.0, 8.0)
EXACT: dict[str, Any] = {"flight_reach": 0, "ion_slice": "0 s"}
FAST: dict[str, Any] = {}  # the defaults
#: what looks like an acceleration and is none: ions' hops slowed down, so that there are fewer of them
WRONG: dict[str, Any] = {
    "active.silver_ion_surface_barrier": "0.30 eV",
    "ligand.gap_barrier": "0.30 eV",
    "active.silver_ion_migration_barrier": "0.30 eV",
}
WITHIN, ALPHA = 0.10, 0.05
Sample = dict[str, np.ndarray]


def sample(values: dict[str, Any], count: int = SEEDS) -> Sample:
    """Each observable, one value a seed."""
    seeds = range(1, count + 1)
    out = {
        f"set time, {thickness:g} nm": np.array(observations(set_times, [(seed, thickness, values) for seed in seeds]))
        for thickness in THICKNESSES
    }
    rows = observations(fading, [(seed, values) for seed in seeds])
    for name, key in (("off time", "off_s"), ("retention", "kept"), ("residual silver", "silver")):
        out[name] = np.array([row[key] for row in rows])
    return out


def ratio(fast: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """90 % interval of the ratio of means; pairs share their lattice, so their difference is what counts."""
    mean = fast.mean() / exact.mean()
    error = (fast - mean * exact).std(ddof=1) / np.sqrt(len(exact)) / exact.mean()
    return mean - norm.ppf(0.95) * error, mean + norm.ppf(0.95) * error


def holm(values: dict[str, float]) -> list[str]:
    """Names whose p value Holm's step-down procedure rejects at ALPHA."""
    rejected: list[str] = []
    for name in sorted(values, key=lambda name: values[name]):
        if values[name] > ALPHA / (len(values) - len(rejected)):
            break
        rejected.append(f"{name}: p = {values[name]:.2g}")
    return rejected


def outside(fast: Sample, exact: Sample, wholly: bool = False) -> list[str]:
    """Observables whose interval is not within 10 % of 1, or lies wholly outside of that."""
    intervals = {name: ratio(fast[name], exact[name]) for name in exact}
    least, most = 1.0 - WITHIN, 1.0 + WITHIN
    return [
        f"{name}: {low:.3f} to {high:.3f}"
        for name, (low, high) in intervals.items()
        if (high < least or low > most if wholly else low < least or high > most)
    ]


def told_apart(fast: Sample, exact: Sample) -> list[str]:
    """Observables whose distributions Kolmogorov and Smirnov tell apart, with Holm's correction."""
    return holm({name: float(ks_2samp(fast[name], exact[name]).pvalue) for name in exact})


def test_holm_steps_down() -> None:
    """Three small p values of four: the least against ALPHA/4, the next against ALPHA/3, until one stands."""
    assert [name[0] for name in holm({"a": 0.04, "b": 0.001, "c": 0.016, "d": 0.9})] == ["b", "c"]
    assert holm({"a": 0.013, "b": 0.9, "c": 0.9, "d": 0.9}) == []
    made_up = np.random.default_rng(1).exponential(1.0, (2, SEEDS))
    assert told_apart({"a": 2 * made_up[0]}, {"a": made_up[1]})
    assert outside({"a": 1.2 * made_up[0]}, {"a": made_up[0]})
    assert not outside({"a": 1.05 * made_up[0]}, {"a": made_up[0]})
    assert outside({"a": 1.2 * made_up[0]}, {"a": made_up[0]}, wholly=True)
    assert not outside({"a": made_up[0]}, {"a": made_up[1]}, wholly=True)


@pytest.mark.slow
def test_accelerated_runs_have_the_statistics_of_exact_ones() -> None:
    """Five observables: 90 % intervals of the ratio of means within 10 %, no distribution told apart.

    The standard error of a ratio is some 0.03. Power: a mean that is off by 15 % is let through with less
    than 5 %. Negative control: the barriers of fast hops raised to 0.30 eV. (No `flight_reach` fails: the
    chain is that of the rates, and what it neglects takes nanoseconds.)
    """
    exact = sample(EXACT)
    fast = sample(FAST)
    assert outside(fast, exact) == []
    assert told_apart(fast, exact) == []
    wrong, same = sample(WRONG, CONTROLS), {name: values[:CONTROLS] for name, values in exact.items()}
    assert outside(wrong, same, wholly=True) != []
    assert told_apart(wrong, same) != []
