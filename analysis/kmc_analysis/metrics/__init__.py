"""Numbers that sum up one run: functions of its dataset alone, by the definitions that targets.yaml gives.

Each takes an xarray.Dataset with one sample after the other and returns a float, NaN where the run has no
such number (a set voltage without a SET, a loop without a sweep). Here are those of a sweep and of a run's
end; `states` has reads and retention, `pulses` trains of pulses, `filament` the silver of a snapshot, `laws`
slopes and activation energies, `endurance` cycles and their extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

LEAST_LEVELS = 4  # of a rising voltage make a sweep


class Metric(NamedTuple):
    """A number of a run. `ratio` metrics span decades: they are compared by ratios, others by differences."""

    function: Callable[[xr.Dataset], float]
    unit: str
    ratio: bool
    meaning: str


def branches(ds: xr.Dataset, least: int = LEAST_LEVELS) -> tuple[np.ndarray, np.ndarray] | None:
    """The steps [voltage V, current A, limited 0 or 1] of the first sweep, up and down, None without one.

    `least` levels of a rising voltage make one: fewer where a sweep ends with its SET.

    A step is the last sample at one voltage of the source. Up is the first stretch of so many rising levels,
    whatever was before it, and ends at its greatest voltage; down ends where the voltage stops falling.
    """
    voltage = ds["voltage_source"].values
    last = np.flatnonzero(np.append(np.diff(voltage) != 0, True)) if len(voltage) else np.zeros(0, int)
    steps = np.stack([voltage[last], ds["current"].values[last], ds["limited"].values[last]], axis=1)
    rises = np.concatenate([[False], np.diff(steps[:, 0]) > 0, [False]])
    edges = np.flatnonzero(rises[1:] != rises[:-1]).reshape(-1, 2)  # first and last step of each stretch
    long = edges[edges[:, 1] - edges[:, 0] + 1 >= least]
    if not len(long):
        return None
    start, top = (int(edge) for edge in long[0])
    falls = np.diff(steps[top:, 0]) < 0
    end = top + (len(falls) if falls.all() else int(np.argmin(falls)))
    return steps[start : top + 1], steps[top : end + 1]


def _jump(ds: xr.Dataset, least: int = LEAST_LEVELS) -> tuple[np.ndarray, np.ndarray] | None:
    """The step before the first one that reaches the limit or a tenfold current, and that step itself."""
    found = branches(ds, least)
    if found is None:
        return None
    up = found[0]
    current = np.abs(up[:, 1])
    tenfold = (current[1:] >= 10 * current[:-1]) & (current[:-1] > 0)
    places = np.flatnonzero(tenfold | (up[1:, 2] > 0))
    return (up[places[0]], up[places[0] + 1]) if len(places) else None


def has_set(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """1 where the first sweep has a SET, 0 where not."""
    if branches(ds, least) is None:
        return math.nan
    return float(_jump(ds, least) is not None)


def set_voltage(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """V of the first step at which the current reaches the limit or rises tenfold."""
    found = _jump(ds, least)
    return math.nan if found is None else float(found[1][0])


def on_off(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """Compliance current over the current one step before the jump, in the first sweep.

    Where the limiter never acts in that sweep, the current of the jump itself stands in.
    """
    found, both = _jump(ds, least), branches(ds, least)
    if found is None or both is None or found[0][1] == 0:
        return math.nan
    steps = np.concatenate(both)
    held = np.abs(steps[steps[:, 2] > 0, 1])
    after = float(held.max()) if len(held) else abs(float(found[1][1]))
    return after / abs(float(found[0][1]))


def loop_opening(ds: xr.Dataset) -> float:
    """Integral |I_up - I_down| dV over that of |I| dV up and down: 0 without hysteresis, 1 at most."""
    found = branches(ds)
    if found is None or len(found[1]) < LEAST_LEVELS:
        return math.nan
    (up, down), low = found, max(found[0][0, 0], found[1][-1, 0])
    voltage = np.linspace(low, up[-1, 0], 400)
    rising = np.interp(voltage, up[:, 0], up[:, 1])
    falling = np.interp(voltage, down[::-1, 0], down[::-1, 1])
    whole = float(np.sum(np.abs(rising) + np.abs(falling)))
    return float(np.sum(np.abs(rising - falling))) / whole if whole > 0 else math.nan


def returned(ds: xr.Dataset) -> float:
    """Conductance at the end over that at the start: below 3 the device is back at high resistance."""
    values = ds["conductance"].values
    return float(values[-1] / values[0]) if len(values) and values[0] > 0 else math.nan


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
    "returned": Metric(returned, "1", True, "conductance at the end over that at the start"),
    "conductance_end": Metric(_last("conductance"), "S", True, "conductance at the end"),
    "current_most": Metric(_most("current"), "A", True, "greatest current"),
    "temperature_most": Metric(_most("temperature_filament"), "K", False, "highest local temperature"),
    "silver_end": Metric(_added("n_ag_metal"), "1", False, "silver atoms deposited since the first look"),
    "gap_end": Metric(_last("gap"), "nm", False, "height from the cathode's metal to the electrode"),
}
