"""What traces show at a glance, before any fit: the parameters that are read off rather than searched for.

A parameter of a model's file says with `shows` which of these it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kmc_analysis.compact.equations.model import CompactModel
from kmc_analysis.compact.fitting.fit_data import Trace

JUMP = 0.5  # decades between two samples that count as switching


def values(model: CompactModel, traces: Sequence[Trace], fixed: Mapping[str, float]) -> dict[str, float]:
    """Parameters within their bounds, by name; what the traces do not show is left out."""
    found = {}
    for parameter in model.parameters:
        if parameter.shows is None or parameter.name in fixed or not parameter.fitted:
            continue
        value = SHOWN[parameter.shows](traces)
        if np.isfinite(value):
            signed = -value if parameter.high <= 0.0 else value
            found[parameter.name] = float(np.clip(signed, parameter.low, parameter.high))
    return found


def off_conductance(traces: Sequence[Trace]) -> float:
    """In S: a tenth of all points lie below it."""
    return float(10.0 ** np.quantile(np.concatenate([one.log_g[one.used] for one in traces]), 0.1))


def on_conductance(traces: Sequence[Trace]) -> float:
    """In S: a twentieth of all points lie above it."""
    return float(10.0 ** np.quantile(np.concatenate([one.log_g[one.used] for one in traces]), 0.95))


def set_voltage(traces: Sequence[Trace]) -> float:
    """In V, of the source: before the steepest rise of each trace, the median of the traces that have one."""
    return _switching(traces, +1.0)


def reset_voltage(traces: Sequence[Trace]) -> float:
    """In V, positive: the same for the steepest fall at a negative voltage."""
    return _switching(traces, -1.0)


def _switching(traces: Sequence[Trace], sign: float) -> float:
    found = []
    for one in traces:
        volt, log_g = sign * one.drive.voltage[one.used], sign * one.log_g[one.used]
        rise = np.where((volt[:-1] > 0.0) & (volt[1:] > 0.0), np.diff(log_g), 0.0)
        if rise.size and rise.max() > JUMP:
            found.append(volt[np.argmax(rise)])
    return float(np.median(found)) if found else np.nan


def hold_voltage(traces: Sequence[Trace]) -> float:
    """In V, at the device, where the source would drive more than the limit."""
    found = []
    for one in traces:
        limit = one.drive.compliance
        held = one.used & np.isfinite(limit) & (one.drive.voltage * 10.0**one.log_g > 1.1 * limit)
        found.append((limit / 10.0**one.log_g)[held])
    shown = np.concatenate(found)
    return float(np.median(shown)) if shown.size and not any(one.by_source for one in traces) else np.nan


def fading_time(traces: Sequence[Trace]) -> float:
    """In s: the logarithm of the conductance over the one when off falls by e, at a voltage that stays."""
    off, found = np.log10(off_conductance(traces)), []
    for one in traces:
        still = one.used & (np.abs(np.gradient(one.drive.voltage)) < 1e-9) & (one.drive.voltage > 0.0)
        for run in np.split(np.arange(still.size), np.flatnonzero(np.diff(still)) + 1):
            height = one.log_g[run] - off
            seen = height > 0.2
            if still[run[0]] and np.sum(seen) >= 3 and height[0] - height[-1] > JUMP:
                slope = np.polyfit(one.drive.time[run][seen], np.log(height[seen]), 1)[0]
                found.append(-1.0 / min(slope, -1e-12))
    return float(np.median(found)) if found else np.nan


SHOWN: dict[str, Callable[[Sequence[Trace]], float]] = {
    "off conductance": off_conductance,
    "on conductance": on_conductance,
    "off resistance": lambda traces: 1.0 / off_conductance(traces),
    "on resistance": lambda traces: 1.0 / on_conductance(traces),
    "set voltage": set_voltage,
    "reset voltage": reset_voltage,
    "hold voltage": hold_voltage,
    "fading time": fading_time,
}
