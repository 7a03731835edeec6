"""Metrics where a small slip would pass by traces of one kind: ends, middles, ties, and thin silver."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from test_metrics import CHAIN, UP, core, silver, staircase, trace

from kmc_analysis import metrics
from kmc_analysis.metrics import current_laws, cycle_counts, pulse_trains, reads_and_retention, silver_profile


def test_a_staircase_of_middles_may_set_at_its_second_step() -> None:
    """It begins at half a step, where a tenfold rise is no resistor's."""
    assert metrics.set_voltage(staircase([0.05, 0.15, 0.25, 0.35], [5e-11, 5e-9, 8e-9, 1e-8])) == 0.15


def test_a_loop_needs_both_ways() -> None:
    """Two levels of a way back are none."""
    volts = UP + UP[-2:-4:-1]
    currents = [1e-9 * v for v in UP] + [3e-9 * v for v in UP[-2:-4:-1]]
    assert math.isnan(metrics.loop_opening(staircase(volts, currents)))


def test_a_loop_is_where_both_ways_are() -> None:
    """A way back that ends at 0.1 V is integrated from there."""
    volts = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1]
    currents = [1e-9 * v for v in volts[:6]] + [3e-9 * v for v in volts[6:]]
    grid = np.linspace(0.1, 0.5, 400)
    out, back = 1e-9 * grid, np.interp(grid, volts[:4:-1], currents[:4:-1])
    wanted = np.sum(back - out) / np.sum(back + out)
    assert metrics.loop_opening(staircase(volts, currents)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("atoms", "count"),
    [
        ([*CHAIN, *((z, 0, 0) for z in range(2, 9))], 15),
        ([*CHAIN, *((z, 0, 0) for z in range(2, 8))], 8),
        ([*CHAIN, *((z, 0, 0) for z in range(2, 10) if z != 5)], 15),
        ([*CHAIN, *((z, 0, 0) for z in range(2, 10) if z not in (5, 6))], 8),
        ([atom for atom in CHAIN if not 5 <= atom[0] < 8], 5),
    ],
)
def test_a_core_has_what_carries_by_a_gap(atoms: list, count: int) -> None:
    """A chain beside the first belongs to it where one site is open, or its end near; not where two are."""
    assert core(atoms) == count


def test_what_is_mixed_out_of_the_film_is_gone() -> None:
    """A Gaussian leaves at the surface what lies within its width of it."""
    _, profile = silver_profile.depth_profile(silver([], (60, 6, 6), (slice(None), slice(None))), mixing_nm=1.5)
    left = sum(36 * stats.norm.cdf(0.3 * (k + 0.5) / 1.5) for k in (0, 1))
    assert profile.sum() == pytest.approx(left, rel=0.01)


def test_a_regime_may_be_short() -> None:
    """Two points a decade apart in voltage and five in current; a jump within a narrow stretch is none."""
    volts = np.array([0.1, 0.2, 0.4, 0.8])
    assert current_laws.regimes(volts, np.array([1.0, 2.0, 4.0, 32.0])) == pytest.approx([1, 3])
    sparse = np.array([0.1, 0.12, 0.13, 0.9, 2.0])
    assert current_laws.regimes(sparse, sparse**2) == pytest.approx([2])


@pytest.mark.parametrize(
    ("means", "grow", "shrink"),
    [
        ([1.0, 2.0, 4.0, 7.0, 11.0], 0.2, -0.2),  # steps 1 to 4, mean 5
        ([1.0, 5.0, 8.0, 10.0, 11.0], -1 / 7, 1 / 7),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.0, 0.0),  # a line does neither
        ([1.0, 1.5, 4.0, 6.5, 7.0], -0.5, -0.5),  # nor does what grows and then shrinks
        ([4.0, 2.0, 1.0, 1.0, 2.0], -1.0, -1.0),  # steps grow, but the means fall
    ],
)
def test_margin_by_which_steps_grow_or_shrink(means: list[float], grow: float, shrink: float) -> None:
    """Of the means over devices, whatever a device does: the least of the steps and of their changes."""
    table = np.array(means) + np.array([[0.5], [-0.5], [0.0]]) * np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    assert pulse_trains.bend_margin(table, 1.0) == pytest.approx(grow)
    assert pulse_trains.bend_margin(table, -1.0) == pytest.approx(shrink)


def test_streams_are_apart_by_their_pooled_sigma() -> None:
    """Of one each: 2.1 sigma are apart, 1.9 are not."""
    noise = np.array([-1.0, 0.0, 1.0])
    for apart, share in ((2.1, 1.0), (1.9, 0.0)):
        assert pulse_trains.separated(np.stack([noise, noise + apart], axis=1)) == share


def test_what_is_left_over_where_nobody_read_before() -> None:
    """Over the first sample with a voltage, not over that of the rest before it."""
    run = trace([(1, 0.0, 7e-9), (1, 0.6, 1e-9), (1, 0.0, 1e-6), (1, 0.05, 4e-9)])
    assert reads_and_retention.left_over(run) == pytest.approx(4)


def test_the_longest_rest_after_a_voltage_counts() -> None:
    """The longest by time and not by samples; what a run begins with is none."""
    time, conductance = reads_and_retention.at_rest(trace([(9, 0.0, 1.0), (1, 0.5, 1.0), (1, 0.0, 1.0), (1, 0.0, 0.1)]))
    assert (time.tolist(), conductance.tolist()) == ([1, 2], [1.0, 0.1])
    two = trace(
        [(1, 0.5, 1.0), (0.5, 0.0, 1.0), (0.5, 0.0, 2.0), (0.5, 0.0, 2.0), (1, 0.5, 1.0), (8, 0.0, 3.0), (1, 0.5, 1.0)]
    )
    assert reads_and_retention.at_rest(two)[1].tolist() == [3.0]
    first = trace([(1, 0.0, 1.0), (1, 0.0, 0.4), (1, 0.5, 1.0)])
    assert not len(reads_and_retention.at_rest(first)[0])
    assert math.isnan(reads_and_retention.retention(first).time_s)


def test_a_state_that_rises_is_lost_too() -> None:
    """By a factor of two up; one that conducts nothing is kept as long as it was looked at."""
    risen = reads_and_retention.retention(trace([(1, 0.5, 1.0), (1, 0.0, 1.0), (1, 0.0, 2.1)]))
    assert (risen.time_s, risen.censored) == (2.0, False)
    dead = reads_and_retention.retention(trace([(1, 0.5, 1.0), (1, 0.0, 0.0), (1, 0.0, 0.0)]))
    assert (dead.time_s, dead.censored) == (2.0, True)


def test_a_state_that_is_kept_has_no_retention() -> None:
    """A bound is no number to compare; a RESET has its voltage."""
    lost, kept = (
        trace([(1, 0.5, 1.0), (1, 0.0, 1.0), (2, 0.0, last), (1, -0.2, 1.0), (1, -0.4, 0.05)]) for last in (0.4, 0.6)
    )
    assert metrics.METRICS["retention"].function(lost) == 3.0
    assert math.isnan(metrics.METRICS["retention"].function(kept))
    assert metrics.METRICS["reset_voltage"].function(kept) == -0.4


def test_a_walk_has_the_variance_of_its_steps() -> None:
    """Of two steps, 3 and -1: one a cycle in the mean, sqrt(8) the deviation of one."""
    found = cycle_counts.cycle_life(np.array([3.0, -1.0]), 8.0)
    assert (found.linear, found.walk) == (8.0, 8.0)
