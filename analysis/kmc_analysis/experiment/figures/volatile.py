"""Volatile switching at 1 uA: the threshold, its return and its heat (S3, S30)."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures.controls import (
    BOTH_WAYS,
    DEFINED_RATE,
    RATE,
    STEP,
    TOP_V,
    at_first,
    part,
    ratio,
    sweep,
)
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments
from kmc_analysis.experiment.figures.thermogram import substrate_resistance
from kmc_analysis.metrics import has_set
from kmc_analysis.metrics.observation import Measured, mean, median, not_run
from kmc_analysis.metrics.reads_and_retention import HIGH_RESISTANCE, greatest_power, left_over
from kmc_analysis.plotting.figure_style import current_voltage, panels

_FADING: Segments = [
    {"hold": {"voltage": "0 V", "duration": "600 ms", "samples": 300}},
    {"read": {"voltage": "50 mV", "duration": "1 ms"}},
]
_TOP_S = 0.065  # the time of the top of the sweep, at which the silver is looked at

OGB = Program("volatile ogb_20nm", "ogb_20nm", [*sweep(), *_FADING], devices=12, quick=1, snapshots=_TOP_S)
DDAB = Program("volatile ddab_20nm", "ddab_20nm", [*sweep(), *_FADING], devices=6, quick=1)

#: the sweep of the definitions, by whose end the devices must be back
SLOW = [BOTH_WAYS, Program(f"volatile {DDAB.stack} at {DEFINED_RATE}", DDAB.stack, sweep(rate=DEFINED_RATE), devices=6)]
_SWITCHING = ("S3_volatile_switching", "S3_ddab_switches")

_LINES = f"0 V to {TOP_V} V and back at {RATE} in steps of {STEP}, 1 uA, then 600 ms at 0 V and a read at 50 mV"


# --- S3 --------------------------------------------------------------------------------------------------


def _switching(runs: Runs) -> dict[str, Measured]:
    return {
        key: _ratios([part(ds, 0) for ds in runs[slow.name]], runs[fast.name])
        for key, slow, fast in zip(_SWITCHING, SLOW, (OGB, DDAB), strict=True)
    }


def _ratios(devices: list[xr.Dataset], faster: list[xr.Dataset]) -> Measured:
    """The median on-off ratio; a device without a SET, or that is not back by the end of its sweep, is 1.

    `faster`: devices at ten times the rate, which enter the note only.
    """
    if not devices:
        return not_run("no device was swept at the rate of the definitions")
    sets = [has_set(ds) == 1.0 for ds in devices]
    back = [there and _left_at_the_end(ds) < HIGH_RESISTANCE for there, ds in zip(sets, devices, strict=True)]
    note = f"{sum(sets)} of {len(devices)} devices set, {sum(back)} of these were back by its end"
    if faster:
        told = [has_set(ds) == 1.0 for ds in faster]
        late = [there and left_over(ds) < HIGH_RESISTANCE for there, ds in zip(told, faster, strict=True)]
        note += f"; at {RATE} {sum(told)} of {len(faster)} set and {sum(late)} of these were back 600 ms after it"
    return median([ratio(ds) if good else 1.0 for ds, good in zip(devices, back, strict=True)], note)


def _left_at_the_end(ds: xr.Dataset) -> float:
    """Conductance at the last step of a sweep, 0 V, over that of its beginning."""
    return float(ds["conductance"].values[-1]) / at_first(ds)


def _draw_switching(runs: Runs, path: Path) -> None:
    """The sweeps that are judged; beside them the time at 0 V, which the faster ones alone have."""
    titles = (f"DDAB, 1 uA, {DEFINED_RATE}", f"OGB, 1 uA, {DEFINED_RATE}", f"at 0 V, after {RATE}")
    with panels(path, titles) as (left, middle, right):
        for axes, slow, fast, colour in zip((middle, left), SLOW, (OGB, DDAB), COLOURS, strict=False):
            current_voltage(axes, [part(ds, 0) for ds in runs[slow.name]], colour=colour)
            for k, ds in enumerate(runs[fast.name]):
                rest = part(ds, 1)
                time, siemens = rest["time"].values, rest["conductance"].values
                right.loglog(
                    time - time[0] + 2e-3,
                    siemens,
                    color=colour,
                    alpha=0.7,
                    label=None if k else fast.stack.partition("_")[0].upper(),
                )
        right.set_xlabel("time at 0 V (s)")
        right.set_ylabel("conductance (S)")
        if right.lines:
            right.legend(frameon=False, fontsize=8)
        for axes in (left, middle, right):
            say_if_empty(axes)


# --- S30, volatile ---------------------------------------------------------------------------------------


def surface_rise(ds: xr.Dataset, negative: bool = False) -> float:
    """Rise of the lumped surface at the greatest power of a run, K, were that held until it is steady."""
    return substrate_resistance(ds) * greatest_power(ds, negative)


def _heat(runs: Runs) -> dict[str, Measured]:
    found = mean(
        [surface_rise(ds) for ds in runs[OGB.name]], "the greatest power of the sweep, held until the surface is steady"
    )
    return {"S30_volatile_heat": found}


FIGURES = [
    Figure(
        "S3",
        "volatile switching",
        _SWITCHING,
        (*SLOW, OGB, DDAB),
        _switching,
        f"0 V to {TOP_V} V and back at {DEFINED_RATE} in steps of {STEP}, 1 uA; beside it, "
        f"and in the picture at 0 V, {_LINES}",
        _draw_switching,
        rests={key: (slow,) for key, slow in zip(_SWITCHING, SLOW, strict=True)},
    ),
    Figure("S30_volatile", "heat of the volatile mode", ("S30_volatile_heat",), (OGB,), _heat, _LINES),
]
