"""Trains of pulses: the device's conductance at the end of each, and what follows from them."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from kmc.core.errors import UserError
from kmc_analysis.metrics.reads_and_retention import held, is_read

APART = 2.0  # sigma: distance of the means of two distinguishable streams
_LAST = 0.1  # of a pulse: the stretch over which the conductance is averaged


def pulse_conductances(ds: xr.Dataset) -> np.ndarray:
    """a_k, S: mean conductance over the last 10 % of pulse k, in order.

    A pulse is each stretch at the greatest voltage, of either sign, that a segment of the protocol holds, if
    that is more than a read's 0.1 V: a bit 0 of a pattern, which is read at most, has none, and neither has a
    sweep or a `pwl` (`kmc_analysis.metrics.reads_and_retention.held`). Raises UserError for what is not one
    run.
    """
    if ds["conductance"].ndim != 1:
        step = "choose one, e.g. ds.isel(replicate=0)"
        raise UserError("the conductance is not that of one run", next_step=step)
    time, segment, found, every = ds["time"].values, ds["segment"].values, [], held(ds)
    greatest: dict[int, float] = {}
    for turn in every:
        for level, part in turn:
            greatest[segment[part[0]]] = max(abs(level), greatest.get(segment[part[0]], 0.0))
    for turn in every:
        for level, part in turn:
            if is_read(level) or abs(level) != greatest[segment[part[0]]]:
                continue
            start = float(time[part[0] - 1]) if part[0] > 0 else 0.0
            late = time[part] > time[part[-1]] - _LAST * (time[part[-1]] - start) * (1 - 1e-9)
            found.append(float(ds["conductance"].values[part[late]].mean()))
    return np.array(found)


def pulse_ratio(ds: xr.Dataset) -> float:
    """Conductance at the end of the last pulse over that at the end of the first; NaN for less than two, and
    where a dataset (not of `kmc run`) does not record its segments."""
    found = pulse_conductances(ds) if "segment" in ds else np.empty(0)
    return float(found[-1] / found[0]) if len(found) > 1 and found[0] > 0.0 else math.nan


def conductance_after(ds: xr.Dataset, width_s: float) -> float:
    """a_1 of a pulse of width `width_s`, read off a longer one: what comes later changes nothing before."""
    voltage, time = ds["voltage_source"].values, ds["time"].values
    part = np.flatnonzero(voltage != 0.0)
    if not len(part):
        return math.nan
    start = float(time[part[0] - 1]) if part[0] > 0 else 0.0
    since = time[part] - start
    late = (since <= width_s * (1 + 1e-9)) & (since > (1 - _LAST) * width_s * (1 + 1e-9))
    return float(ds["conductance"].values[part[late]].mean()) if late.any() else math.nan


def echo_index(first: np.ndarray | float, fourth: np.ndarray | float) -> float:
    """100 x a4 / a1, in per cent; of several windows in parallel their conductances add up."""
    whole = float(np.sum(first))
    return 100.0 * float(np.sum(fourth)) / whole if whole > 0 else math.nan


def bend_margin(table: np.ndarray, sign: float) -> float:
    """By how much the means of a table [device, level] strictly rise, by steps that grow throughout (`sign`
    1) or shrink throughout (-1): the least of the steps and of their changes, over the mean of all. Positive
    where they do."""
    steps = np.diff(table.mean(axis=0))
    return float(min(steps.min(), (sign * np.diff(steps)).min()) / table.mean())


def separated(table: np.ndarray, sigmas: float = APART) -> float:
    """Share of the pairs of columns [cycle, stream] whose means differ by over `sigmas` (pooled)."""
    means, variances = table.mean(axis=0), table.var(axis=0, ddof=1)
    one, other = np.triu_indices(table.shape[1], 1)
    pooled = np.sqrt((variances[one] + variances[other]) / 2)
    return float(np.mean(np.abs(means[one] - means[other]) > sigmas * pooled))
