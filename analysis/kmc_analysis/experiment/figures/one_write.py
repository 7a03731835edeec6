"""One write at 0.6 V: what leaks before, when it sets, how soon it is gone.

It costs half a minute, and each number has a step of its own that limits it: so these are the columns of the
table of sensitivities.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from kmc.plotting.plot_style import COLOURS
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs
from kmc_analysis.experiment.figures.predictions import KEPT_S, OPEN_S, fading
from kmc_analysis.experiment.figures.programmed import LOW_READ
from kmc_analysis.experiment.figures.series import UNTIL_LIMITED
from kmc_analysis.metrics import set_time
from kmc_analysis.metrics.observation import Measured, bootstrap, not_run
from kmc_analysis.metrics.reads_and_retention import LOW_READ_V, Kept, lifetime, reads
from kmc_analysis.plotting.figure_style import panels

LIMIT_UA = 1
_WRITE = Program(f"one write at {LIMIT_UA} uA", "ogb_20nm", [LOW_READ, *fading(LIMIT_UA)], devices=6)


def _leak(ds: xr.Dataset) -> float:
    """The first read."""
    return float(reads(ds, LOW_READ_V)[0, 1])


def _set_s(ds: xr.Dataset) -> Kept:
    """From the end of the read on; censored for a device that does not set."""
    first = ds["segment"].values == 0
    found = set_time(ds.isel(time=~first))
    return found._replace(time_s=found.time_s - float(ds["time"].values[first][-1]))


def _numbers(runs: Runs) -> dict[str, Measured]:
    devices = runs[_WRITE.name]
    times = list(map(_set_s, devices))
    lives = [lifetime(ds, OPEN_S) for ds, one in zip(devices, times, strict=True) if not one.censored]
    late, lasting = (sum(one.censored for one in some) for some in (times, lives))
    told = {
        "B4_leak": "",
        "B5_time_to_set": _bound(late, len(times), "do not set"),
        "B6_time_to_forget": _bound(lasting, len(lives), "last to the end"),
    }
    values = ([_leak(ds) for ds in devices], [one.time_s for one in times], [one.time_s for one in lives])
    return {key: _mean(some, note) for (key, note), some in zip(told.items(), values, strict=True)}


def _bound(censored: int, count: int, what: str) -> str:
    told = f"{censored} of {count} {what}, and count with the time that they had: a lower bound"
    return told if censored else ""


def _mean(values: list[float], note: str) -> Measured:
    """The geometric mean over devices, for their scatter is by factors."""
    if not values:
        return not_run("no device has this number")
    return bootstrap(lambda rows: float(10 ** rows.mean()), np.log10(values)[:, None], note)


def _draw(runs: Runs, path: Path) -> None:
    with panels(path, (f"0.6 V until {LIMIT_UA} uA and 1 ms more, then 0 V",)) as (axes,):
        for ds in runs[_WRITE.name]:
            axes.loglog(ds["time"].values, ds["conductance"].values, color=COLOURS[0], linewidth=0.8)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("conductance (S)")


FIGURES = [
    Figure(
        "B4_B6",
        "one write",
        ("B4_leak", "B5_time_to_set", "B6_time_to_forget"),
        (_WRITE,),
        _numbers,
        f"a read at 50 mV, {UNTIL_LIMITED} at {LIMIT_UA} uA, 1 ms more, then 0 V until "
        f"{1e6 * OPEN_S:g} uS are left, {KEPT_S:g} s at most; geometric means over devices",
        _draw,
    )
]
