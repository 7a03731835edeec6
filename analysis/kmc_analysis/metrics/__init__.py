"""Numbers that sum up one run: functions of its dataset alone, by the definitions that targets.yaml gives.

Each takes an xarray.Dataset with one sample after the other and returns a float, NaN where the run has no
such number (a set voltage without a SET, a loop without a sweep), or a `Kept` for a time that may be a bound.
Here are those of a sweep, of a SET and of the end of a run; `conductance_states` has reads and retention,
`pulse_trains` trains of pulses, `silver_profile` the silver of a snapshot, `silver_supply` the current of silver,
`current_laws` slopes and activation energies, `cycle_counts` cycles and their extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xarray as xr

from kmc.io.provenance import run_of
from kmc_analysis.metrics.pulse_trains import pulse_ratio
from kmc_analysis.metrics.reads_and_retention import Kept, reset_voltage, retention
from kmc_analysis.metrics.silver_supply import silver_current

LEAST_LEVELS = 4  # of a voltage that leads away from zero make a sweep
START_V = 0.1 + 1e-9  # of a first look, at most: later in a voltage program the device may have switched
_NEAR_V = 1e-9
_NEAR_ZERO = 0.49  # of a step: a staircase of middles begins at half a step, to its last bit


class Metric(NamedTuple):
    """A number of a run. `ratio` metrics span decades: they are compared by ratios, others by differences."""

    function: Callable[[xr.Dataset], float]
    unit: str
    ratio: bool
    meaning: str


def branches(ds: xr.Dataset, least: int = LEAST_LEVELS) -> tuple[np.ndarray, np.ndarray] | None:
    """The steps [voltage V, current A, limited 0 or 1] of the first sweep, out and back, None without one.

    A step is the last sample at one source voltage, within one sweep of the protocol. The out branch leads to the
    sweep's greatest voltage, or for a negative sweep to its lowest. The back branch ends where the voltage turns
    again, or passes the one at which the out branch began: what follows is another sweep. If the run records its
    protocol, each segment `sweep` (outside loops) is a sweep, however early it ends, and the next one may be its back
    branch. Elsewhere `least` levels in a row make a sweep. A negative sweep counts only where none is positive:
    otherwise it is a reset.
    """
    voltage = ds["voltage_source"].values
    if not len(voltage):
        return None
    swept = _swept(ds)
    ends = np.append(np.diff(voltage) != 0, True)
    begun = {int(samples[0]) for samples in swept}
    ends[[samples[-1] for samples in swept if samples[-1] + 1 not in begun]] = True  # a hold there is no part
    last = np.flatnonzero(ends)
    steps = np.stack([voltage[last], ds["current"].values[last], ds["limited"].values[last]], axis=1)
    volts = steps[:, 0]
    known = _ways_out(volts, 0, len(volts) - 1, least)
    places = (np.searchsorted(last, samples[[0, -1]]).tolist() for samples in swept)
    told = [(int(first), int(end)) for first, end in places]
    for first, end in told:
        known += [(first, end)] if first == end else _ways_out(volts, first, end, 2)
    if not known:
        return None
    # Of two that end alike the later start is that of the segment itself, without what was before it.
    start, top = min(known, key=lambda way: (volts[way[1]] < 0.0, way[1], -way[0]))
    way, after = np.sign(volts[top] - volts[start]), volts[top + 1 : _end(told, top, len(volts) - 1) + 1]
    back = (np.diff(after, prepend=volts[top]) * way < 0) & ((after - volts[start]) * way > -_NEAR_V)
    stop = top + (len(back) if back.all() else int(np.argmin(back)))
    return steps[start : top + 1], steps[top : stop + 1]


def _end(told: list[tuple[int, int]], top: int, last: int) -> int:
    """The last step of the segment that `top` is in, or of the sweep that begins with that step; `last` where
    it is in none of `told`."""
    return max((final for first, final in told if first <= top <= final), default=last)


def _swept(ds: xr.Dataset) -> list[np.ndarray]:
    """The samples of each segment of the protocol that is a sweep; none where the run does not record it."""
    told = enumerate(run_of(ds).get("protocol") or [])
    found = [np.flatnonzero(ds["segment"].values == number) for number, item in told if "sweep" in item]
    return [samples for samples in found if len(samples)]


def _ways_out(volts: np.ndarray, first: int, end: int, least: int) -> list[tuple[int, int]]:
    """First and last step of each stretch between `first` and `end` that leads away from 0 V.

    It has `least` levels, and rises to above zero or falls to below: what falls to zero is a way back, and so
    is what ends where the stretch before it began.
    """
    way = np.sign(np.diff(volts[first : end + 1]))
    turns = [first, *(first + np.flatnonzero(np.diff(way)) + 1), first + len(way)]
    began, found = math.inf, []
    for a, b in pairwise(map(int, turns)):
        if b - a + 1 >= least and way[a - first] * volts[b] > _NEAR_V and abs(volts[b] - began) > _NEAR_V:
            found.append((a, b))
        began = volts[a]
    return found


def _jump(ds: xr.Dataset, least: int = LEAST_LEVELS) -> tuple[np.ndarray | None, np.ndarray] | None:
    """The step before the first one that reaches the limit or a tenfold current, and that step itself.

    It may be one of the way back. None before a jump at the first level. Beside zero, or across it, the
    voltage itself rises manifold from one level to the next, and with it the current of any resistor: no jump
    begins at less than half a step.
    """
    found = branches(ds, least)
    if found is None:
        return None
    steps = np.concatenate([found[0], found[1][1:]])
    volts, current = steps[:, 0], np.abs(steps[:, 1])
    away = (volts[1:] * volts[:-1] > 0) & (np.abs(volts[:-1]) > _NEAR_ZERO * np.abs(np.diff(volts)))
    tenfold = (current[1:] >= 10 * current[:-1]) & (current[:-1] > 0) & away
    places = np.flatnonzero(np.append(False, tenfold) | (steps[:, 2] > 0))
    if not len(places):
        return None
    return steps[places[0] - 1] if places[0] else None, steps[places[0]]


def has_set(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """1 where the first sweep has a SET, 0 where not."""
    if branches(ds, least) is None:
        return math.nan
    return float(_jump(ds, least) is not None)


def set_voltage(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """V of the first step at which the current reaches the limit or rises tenfold; negative in a negative
    sweep."""
    found = _jump(ds, least)
    return math.nan if found is None else float(found[1][0])


def set_time(ds: xr.Dataset) -> Kept:
    """Time under voltage until the current first reaches its limit; where it never does, the end, a bound."""
    time, driven = ds["time"].values, np.flatnonzero(ds["voltage_source"].values != 0.0)
    if not len(driven):
        return Kept(math.nan, True)
    start = float(time[driven[0] - 1]) if driven[0] > 0 else 0.0
    held = np.flatnonzero(ds["limited"].values > 0)
    end = held[0] if len(held) else driven[-1]
    return Kept(float(time[end]) - start, not len(held))


def residual_voltage(ds: xr.Dataset) -> float:
    """V that a limiter leaves on the device that has set, at the last look at which it acts."""
    held = np.flatnonzero(ds["limited"].values > 0)
    return float(ds["voltage_device"].values[held[-1]]) if len(held) else math.nan


def on_off(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """Compliance current over the current one step before the jump, in the first sweep.

    Where the limiter never acts in that sweep, the current of the jump itself stands in. None for a jump at
    the first level, before which there is no current.
    """
    found, both = _jump(ds, least), branches(ds, least)
    if found is None or both is None or found[0] is None or found[0][1] == 0:
        return math.nan
    steps = np.concatenate(both)
    held = np.abs(steps[steps[:, 2] > 0, 1])
    after = float(held.max()) if len(held) else abs(float(found[1][1]))
    return after / abs(float(found[0][1]))


def loop_opening(ds: xr.Dataset) -> float:
    """Integral |I_out - I_back| dV over that of |I| dV out and back: 0 without hysteresis, 1 at most."""
    found = branches(ds)
    if found is None or min(map(len, found)) < LEAST_LEVELS:
        return math.nan
    # A negative sweep is mirrored: interpolation wants rising voltages.
    out, back = (steps if found[0][-1, 0] > found[0][0, 0] else -steps for steps in found)
    voltage = np.linspace(max(out[0, 0], back[-1, 0]), out[-1, 0], 400)
    rising = np.interp(voltage, out[:, 0], out[:, 1])
    falling = np.interp(voltage, back[::-1, 0], back[::-1, 1])
    whole = float(np.sum(np.abs(rising) + np.abs(falling)))
    return float(np.sum(np.abs(rising - falling))) / whole if whole > 0 else math.nan


def returned(ds: xr.Dataset) -> float:
    """Conductance at the end over that at the start: below 3 the device is back at high resistance.

    None where the first look is at more than a read's voltage, as in the first pulse of a train: the device
    may have switched by then.
    """
    values, first = ds["conductance"].values, np.abs(ds["voltage_source"].values[:1])
    started = len(values) and values[0] > 0 and first[0] <= START_V
    return float(values[-1] / values[0]) if started else math.nan


def retention_time(ds: xr.Dataset) -> float:
    """Time at 0 V until the conductance has left a factor of two of its first value, s (`states.retention`).

    None where it never did: how long it would have lasted is not known.
    """
    found = retention(ds)
    return math.nan if found.censored else found.time_s


def _last(name: str) -> Callable[[xr.Dataset], float]:
    return lambda ds: float(ds[name].values[-1]) if ds[name].size else math.nan


def _added(name: str) -> Callable[[xr.Dataset], float]:
    return lambda ds: float(ds[name].values[-1] - ds[name].values[0]) if ds[name].size else math.nan


def _most(name: str) -> Callable[[xr.Dataset], float]:
    return lambda ds: float(np.max(np.abs(ds[name].values))) if ds[name].size else math.nan


METRICS: dict[str, Metric] = {
    "set": Metric(has_set, "1", False, "share of runs with a SET"),
    "set_voltage": Metric(set_voltage, "V", False, "first step at the limit or with ten times the current"),
    "on_off": Metric(on_off, "1", True, "compliance current over that of the step before the jump"),
    "loop_opening": Metric(loop_opening, "1", False, "hysteresis of the first sweep, 0 to 1"),
    "pulse_ratio": Metric(pulse_ratio, "1", True, "conductance in the last pulse over that in the first"),
    "returned": Metric(returned, "1", True, "conductance at the end over that at the start"),
    "retention": Metric(retention_time, "s", True, "time at 0 V to a factor of two in conductance"),
    "reset_voltage": Metric(reset_voltage, "V", False, "most negative voltage until a tenth is left"),
    "conductance_end": Metric(_last("conductance"), "S", True, "conductance at the end"),
    "current_most": Metric(_most("current"), "A", True, "greatest current"),
    "temperature_most": Metric(_most("temperature_filament"), "K", False, "highest local temperature"),
    "silver_current": Metric(silver_current, "A", True, "greatest current of silver into the windows"),
    "silver_end": Metric(_added("n_ag_metal"), "1", False, "silver atoms deposited since the first look"),
    "gap_end": Metric(_last("gap"), "nm", False, "height from the cathode's metal to the electrode"),
}
