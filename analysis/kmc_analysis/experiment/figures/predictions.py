"""Beyond the experiment, untuned: SET time against voltage, residual voltage, lifetime against size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from kmc.core.units import G0
from kmc.plotting.plot_style import COLOURS
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments, paired
from kmc_analysis.experiment.figures.series import UNTIL_LIMITED, programmed
from kmc_analysis.metrics import residual_voltage, set_time
from kmc_analysis.metrics.observation import Measured, bootstrap, known, mean, not_run
from kmc_analysis.metrics.reads_and_retention import Kept, lifetime, reads
from kmc_analysis.plotting.figure_style import panels

# --- B1: time to SET -------------------------------------------------------------------------------------

LEVELS_V = (0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5)
STEEP_V = 0.5  # up to here the slope is taken: the first devices showed that the times level off above it
WAIT_S = 1.0


def _waiting(volts: float) -> Segments:
    """At one voltage until the limiter acts."""
    return [
        {
            "hold": {
                "voltage": f"{volts} V",
                "duration": f"{WAIT_S} s",
                "samples": 240,
                "spacing": "log",
                "compliance": "1 uA",
                "until": {"current_at_limit": True},
            }
        }
    ]


# What costs least first.
_WAITING = {one: Program(f"SET at {one} V", "ogb_20nm", _waiting(one), devices=6) for one in LEVELS_V[::-1]}


def _set_times(runs: Runs) -> dict[str, Measured]:
    """The slope at low voltages, and all medians.

    A device has the same seed at every voltage, so it is resampled with all of them; a voltage at which one
    does not set within the time that it has counts for none.
    """
    table = {volts: [set_time(ds) for ds in runs[program.name]] for volts, program in _WAITING.items()}
    there = {volts: group for volts, group in table.items() if group and not any(one.censored for one in group)}
    steep = [k for k, volts in enumerate(there) if volts <= STEEP_V]
    if len(steep) < 3:
        told = f"at fewer than three voltages up to {STEEP_V} V all devices were run and set"
        return {"B1_set_time": not_run(told)}
    devices = paired(*(runs[_WAITING[volts].name] for volts in there))
    times = np.array([[np.log10(set_time(ds).time_s) for ds in device] for device in devices])
    medians = 10 ** np.median(times, axis=0)
    told = ", ".join(f"{1e3 * one:.3g} ms at {volts} V" for one, volts in zip(medians, there, strict=True))
    out = ", ".join(
        f"{sum(one.censored for one in group)} of {len(group)} do not at {volts} V"
        for volts, group in table.items()
        if volts not in there
    )
    note = f"medians {told}" + (f"; within {WAIT_S:g} s {out}" if out else "")
    volts = np.array(list(there))[steep]
    return {
        "B1_set_time": bootstrap(lambda rows: float(np.polyfit(volts, rows[:, steep].mean(axis=0), 1)[0]), times, note)
    }


def _draw_set_times(runs: Runs, path: Path) -> None:
    with panels(path, ("time to SET, 1 uA",)) as (axes,):
        for volts, program in _WAITING.items():
            for found in (set_time(ds) for ds in runs[program.name]):
                axes.semilogy(
                    volts,
                    found.time_s,
                    "^" if found.censored else "o",
                    color=COLOURS[0],
                    fillstyle="none" if found.censored else "full",
                )
        axes.set_xlabel("voltage (V)")
        axes.set_ylabel("time until the limiter acts (s)")


# --- B2, B3: what a limit leaves, and how long -----------------------------------------------------------

LIMITS_UA = (1, 10, 30, 80, 150)
KEPT_S, OPEN_S = 3.0, 0.8e-6  # at 0 V at most; a hundredth of a quantum


def fading(limit_uA: int) -> Segments:
    """Set and thickened under a limit, then at 0 V until it is open."""
    rest = {
        "voltage": "0 V",
        "duration": f"{KEPT_S} s",
        "spacing": "log",
        "samples": 120,
        "until": {"conductance_below": f"{OPEN_S} S"},
    }
    return [*programmed(limit_uA), {"hold": rest}]


_FADING = {one: Program(f"left after {one} uA", "ogb_20nm", fading(one), devices=6) for one in LIMITS_UA}


def _limits(runs: Runs) -> dict[str, Measured]:
    return {"B2_residual_voltage": _residual(runs), "B3_lifetime": _lifetimes(runs)}


def _residual(runs: Runs) -> Measured:
    """The mean of a device is over its limits but the least, under which a tip tunnels and none is closed."""
    groups = {limit: [residual_voltage(ds) for ds in runs[program.name]] for limit, program in _FADING.items()}
    told = ", ".join(
        f"{known(group).mean():.3g} V at {limit} uA" for limit, group in groups.items() if len(known(group))
    )
    devices = paired(*(runs[program.name] for limit, program in _FADING.items() if limit > min(LIMITS_UA)))
    return mean(
        [float(np.mean([residual_voltage(ds) for ds in device])) for device in devices], f"means {told}" if told else ""
    )


def _lifetimes(runs: Runs) -> Measured:
    """Resampled by device, with all its limits. One that lasts to the end counts as gone then: the slope is a
    lower bound."""
    devices = paired(*(runs[program.name] for program in _FADING.values()))
    if not devices:
        return not_run("no device was run at all limits")
    table = np.array([[(_quanta(ds), _life(ds).time_s) for ds in device] for device in devices])
    there = table[np.isfinite(table).all(axis=(1, 2)) & (table > 0.0).all(axis=(1, 2))]
    medians = np.median(there, axis=0) if len(there) else np.zeros((0, 2))
    told = ", ".join(f"{seconds:.2g} s of {quanta:.2g} quanta" for quanta, seconds in medians)
    lasting = sum(_life(ds).censored for device in devices for ds in device)
    note = f"medians {told}"
    if lasting:
        note += f"; {lasting} of {table[..., 0].size} lasted to the end, {KEPT_S:g} s: a lower bound"
    return bootstrap_slope(there, note)


def bootstrap_slope(table: np.ndarray, note: str) -> Measured:
    """Log-log slope of a table [device, level, (size, time)]."""
    flat = np.log(table).reshape(len(table), -1)
    return bootstrap(lambda rows: float(stats.linregress(*rows.reshape(-1, 2).T).slope), flat, note)


def _life(ds: xr.Dataset) -> Kept:
    return lifetime(ds, OPEN_S)


def _quanta(ds: xr.Dataset) -> float:
    """Conductance of the read before the time at 0 V, in quanta: about as many atoms as the neck has."""
    found = reads(ds)
    return float(found[-1, 1]) / G0 if len(found) else np.nan


def _draw_limits(runs: Runs, path: Path) -> None:
    with panels(path, ("voltage left by a limiter", "life at 0 V")) as (left, right):
        for (limit, program), colour, marker in zip(_FADING.items(), COLOURS, "os^Dv*", strict=False):
            right.plot([], [], marker, color=colour, label=f"{limit} µA")
            for ds in runs[program.name]:
                found = _life(ds)
                left.semilogx(limit, residual_voltage(ds), marker, color=colour)
                right.loglog(
                    _quanta(ds), found.time_s, marker, color=colour, fillstyle="none" if found.censored else "full"
                )
        right.plot([], [], "o", color=COLOURS[-1], fillstyle="none", label=f"closed still at {KEPT_S:g} s")
        right.legend(frameon=False, fontsize=7)
        left.set_xlabel("limit (µA)")
        left.set_ylabel("device voltage (V)")
        right.set_xlabel("conductance at its beginning (quanta)")
        right.set_ylabel("time until it is open (s)")


FIGURES = [
    Figure(
        "B1",
        "time to SET against voltage",
        ("B1_set_time",),
        tuple(_WAITING.values()),
        _set_times,
        f"{LEVELS_V[0]} V to {LEVELS_V[-1]} V, each until a limiter of 1 uA acts, {WAIT_S:g} s at most; "
        f"the slope is that up to {STEEP_V} V",
        _draw_set_times,
    ),
    Figure(
        "B2_B3",
        "voltage left after a SET, and lifetime",
        ("B2_residual_voltage", "B3_lifetime"),
        tuple(_FADING.values()),
        _limits,
        f"{UNTIL_LIMITED} at {LIMITS_UA[0]} uA to {LIMITS_UA[-1]} uA, 1 ms more, then at "
        f"0 V until {1e6 * OPEN_S:g} uS are left, {KEPT_S:g} s at most",
        _draw_limits,
    ),
]
