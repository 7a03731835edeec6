"""One write at 0.6 V: what leaks before, when it sets, how soon it is gone.

It costs half a minute, and each number has a step of its own that limits it: so these are the columns of the
table of sensitivities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from kmc.pictures.lines import COLOURS
from kmc_analysis.figures.beyond import KEPT_S, OPEN_S, fading
from kmc_analysis.figures.definition import Figure, Program, Runs
from kmc_analysis.figures.pictures import panels
from kmc_analysis.figures.programmed import LOW_READ
from kmc_analysis.measured import Measured, bootstrap, known, not_run
from kmc_analysis.metrics import set_time
from kmc_analysis.metrics.states import LOW_READ_V, lifetime, reads

LIMIT_UA = 1
_WRITE = Program(f"one write at {LIMIT_UA} uA", "ogb_20nm", [LOW_READ, *fading(LIMIT_UA)], devices=6)


def _leak(ds: xr.Dataset) -> float:
    """The first read."""
    return float(reads(ds, LOW_READ_V)[0, 1])


def _set_s(ds: xr.Dataset) -> float:
    """From the end of the read on; NaN for a device that does not set."""
    first = ds["segment"].values == 0
    found = set_time(ds.isel(time=~first))
    return np.nan if found.censored else found.time_s - float(ds["time"].values[first][-1])


def _life_s(ds: xr.Dataset) -> float:
    """One that lasts to the end counts as gone then; NaN for a device that does not set."""
    return np.nan if np.isnan(_set_s(ds)) else lifetime(ds, OPEN_S).time_s


_NUMBERS: dict[str, Callable[[xr.Dataset], float]] = {
    "B4_leak": _leak, "B5_time_to_set": _set_s, "B6_time_to_forget": _life_s,
}  # fmt: skip


def _numbers(runs: Runs) -> dict[str, Measured]:
    return {key: _mean(list(map(number, runs[_WRITE.name]))) for key, number in _NUMBERS.items()}


def _mean(values: list[float]) -> Measured:
    """The geometric mean over devices, for their scatter is by factors."""
    found = known(values)
    if not len(found):
        return not_run("no device has this number")
    without = len(values) - len(found)
    note = f"{without} of {len(values)} do not set" if without else ""
    return bootstrap(lambda rows: float(10 ** rows.mean()), np.log10(found)[:, None], note)


def _draw(runs: Runs, path: Path) -> None:
    with panels(path, (f"0.6 V until {LIMIT_UA} uA and 1 ms more, then 0 V",)) as (axes,):
        for ds in runs[_WRITE.name]:
            axes.loglog(ds["time"].values, ds["conductance"].values, color=COLOURS[0], linewidth=0.8)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("conductance (S)")


FIGURES = [
    Figure("B4_B6", "one write", tuple(_NUMBERS), (_WRITE,), _numbers,
           f"a read at 50 mV, as figure S28 at {LIMIT_UA} uA, then 0 V until {1e6 * OPEN_S:g} uS are left, "
           f"{KEPT_S:g} s at most; geometric means over devices", _draw),
]  # fmt: skip
