"""Reads, ratios of states, and retention: functions of a dataset alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from kmc.inputs.protocol import leaves
from kmc.io.provenance import run_of

READ_V, LOW_READ_V = 0.1, 0.05
HIGH_RESISTANCE = 3.0  # times the pristine conductance: below it a device is back at high resistance
PARTED = 0.1  # of the conductance before the RESET, at most, is left right after it
_NEAR_V = 1e-9
_GLIDES = {"sweep", "pwl"}  # whose voltages are on a way, and not held
_MOST_LEVELS = 3  # voltages of pulses: between them, in them, and of reads


class Kept(NamedTuple):
    """A time in s, and whether it is the end of what was simulated (a bound)."""

    time_s: float
    censored: bool


def reads(ds: xr.Dataset, voltage: float = READ_V) -> np.ndarray:
    """Times (s) and conductances (S) [n, 2] at the ends of the stretches that were held at `voltage`.

    A step of a sweep is no stretch (`held`).
    """
    time, conductance = ds["time"].values, ds["conductance"].values
    found = [
        (time[part[-1]], conductance[part[-1]])
        for turn in held(ds)
        for level, part in turn
        if abs(level - voltage) < _NEAR_V
    ]
    return np.array(found, float).reshape(-1, 2)


def is_read(level: float) -> bool:
    """Whether a voltage is a read's at most, or none."""
    return abs(level) <= READ_V + _NEAR_V


def held(ds: xr.Dataset) -> list[list[tuple[float, np.ndarray]]]:
    """By segment and cycle of the protocol: the voltages that are held one after the other, with the samples.

    Pulses with gaps and reads, and loops of them, are included. A `sweep` or `pwl` is left out, also within a loop.
    Where the run does not record its protocol, a cycle with more than three voltages, or with three in equal steps,
    is left out.
    """
    voltage, found, segment = ds["voltage_source"].values, [], ds["segment"].values
    alone = ds["voltage_source"].dims == ("time",)  # a selection of a study has the `run` of another task
    told = {
        float(k): _GLIDES.isdisjoint(kind for kind, _ in leaves([item]))
        for k, item in enumerate((run_of(ds).get("protocol") or []) if alone else [])
    }
    for turn in turns(ds):
        edges = np.flatnonzero(np.diff(voltage[turn]) != 0) + 1
        parts = np.split(turn, edges)
        levels = voltage[[part[0] for part in parts]]
        known = told.get(float(segment[turn[0]]))
        if _few(levels) if known is None else known:
            found.append([(float(level), part) for level, part in zip(levels, parts, strict=True)])
    return found


def _few(levels: np.ndarray) -> bool:
    """Whether voltages are those of pulses, gaps and reads."""
    count, steps = len(np.unique(levels)), np.abs(np.diff(levels))
    return count < _MOST_LEVELS or (count == _MOST_LEVELS and bool(np.ptp(steps) > _NEAR_V))


def turns(ds: xr.Dataset) -> list[np.ndarray]:
    """The samples of each stretch of one segment and cycle, in order."""
    turn = np.stack([ds["segment"].values, ds["cycle"].values])
    if not turn.shape[1]:
        return []
    edges = np.flatnonzero((np.diff(turn, axis=1) != 0).any(axis=0)) + 1
    return np.split(np.arange(turn.shape[1]), edges)


def on_off_nonvolatile(ds: xr.Dataset) -> float:
    """G(0.1 V) after the SET over G(0.1 V) after the RESET, the first stretch of negative voltage.

    The last read before it and the first read after it count.
    """
    found, time = reads(ds), ds["time"].values
    negative = np.flatnonzero(ds["voltage_source"].values < 0)
    if not len(negative) or not len(found):
        return math.nan
    breaks = np.flatnonzero(np.diff(negative) > 1)
    end = negative[breaks[0]] if len(breaks) else negative[-1]
    before = found[found[:, 0] < time[negative[0]], 1]
    after = found[found[:, 0] > time[end], 1]
    if not len(before) or not len(after) or after[0] <= 0:
        return math.nan
    return float(before[-1] / after[0])


def left_over(ds: xr.Dataset) -> float:
    """G(0.05 V) at the end over the pristine one: below 3 the device is back at high resistance.

    The pristine conductance is that of the first read at 0.05 V, or of the first sample with a voltage where
    there is one read only.
    """
    found = reads(ds, LOW_READ_V)
    if not len(found):
        return math.nan
    driven = np.flatnonzero(ds["voltage_source"].values != 0)
    first = found[0, 1] if len(found) > 1 else float(ds["conductance"].values[driven[0]])
    return float(found[-1, 1] / first) if first > 0 else math.nan


def parted(ds: xr.Dataset) -> bool:
    """Whether a RESET lowered the conductance to PARTED of its value, right after it; True without a RESET.

    A conductance that only decays later, by relaxation, was not reset.
    """
    siemens, negative = ds["conductance"].values, np.flatnonzero(ds["voltage_source"].values < 0)
    if not len(negative):
        return True
    after = siemens[min(negative[-1] + 1, len(siemens) - 1)]
    return bool(after <= PARTED * siemens[max(negative[0] - 1, 0)])


def was_reset(ds: xr.Dataset) -> bool:
    """Whether there was a RESET that parted the state, and the device ended at high resistance."""
    return bool((ds["voltage_source"].values < 0).any()) and parted(ds) and left_over(ds) < HIGH_RESISTANCE


def at_rest(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Times since the voltage was taken away (s) and conductances (S) of the longest stretch at 0 V.

    What is parted by reads alone, of 0.1 V at most, is one stretch.
    """
    voltage, time = ds["voltage_source"].values, ds["time"].values
    edges = np.flatnonzero(np.diff((voltage == 0.0).astype(int), prepend=0, append=0))
    spans: list[list[int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        between = np.abs(voltage[spans[-1][1] : first]) if spans else np.array([np.inf])
        if is_read(between.max()):
            spans[-1][1] = last
        elif first > 0:
            spans.append([first, last])
    if not spans:
        return np.zeros(0), np.zeros(0)
    first, last = max(spans, key=lambda span: time[span[1] - 1] - time[span[0] - 1])
    at_zero = first + np.flatnonzero(voltage[first:last] == 0.0)
    return time[at_zero] - time[first - 1], ds["conductance"].values[at_zero]


def retention(ds: xr.Dataset) -> Kept:
    """Time at 0 V until the conductance has left a factor of 2 of its first value.

    At 0 V the conductance is that at 10 mV. Censored where it never did.
    """
    time, conductance = at_rest(ds)
    if not len(time):
        return Kept(math.nan, True)
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = np.abs(np.log2(conductance / conductance[0])) > 1.0
    return Kept(float(time[np.argmax(gone)]), False) if gone.any() else Kept(float(time[-1]), True)


def lifetime(ds: xr.Dataset, open_S: float) -> Kept:
    """Time at 0 V until less than `open_S` conducts. Censored where more does to the end."""
    time, conductance = at_rest(ds)
    if not len(time):
        return Kept(math.nan, True)
    gone = np.flatnonzero(conductance < open_S)
    return Kept(float(time[gone[0]]), False) if len(gone) else Kept(float(time[-1]), True)


def reset_voltage(ds: xr.Dataset) -> float:
    """Most negative voltage of the negative sweep until a tenth is left of the conductance before it, V."""
    voltage, conductance = ds["voltage_source"].values, ds["conductance"].values
    negative = np.flatnonzero(voltage < 0)
    if not len(negative):
        return math.nan
    low = negative[conductance[negative] <= PARTED * conductance[max(negative[0] - 1, 0)]]
    return float(voltage[negative[0] : low[0] + 1].min()) if len(low) else math.nan


def greatest_power(ds: xr.Dataset, negative: bool = False) -> float:
    """Greatest |current x device voltage| of the run, or of its negative voltages alone, W."""
    power = np.abs(ds["current"].values * ds["voltage_device"].values)
    if negative:
        power = power[ds["voltage_source"].values < 0]
    return float(power.max()) if power.size else math.nan
