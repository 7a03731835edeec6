"""One mode after the other: volatile, non-volatile, volatile again (S29)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments
from kmc_analysis.experiment.figures.endurance import WEAK, WEAK_LINES, fails, levels, switched
from kmc_analysis.experiment.figures.programmed import (
    LOW_READ,
    PAUSE,
    PAUSE_LINES,
    READ,
    RESET,
    RESET_V,
    WRITE_LINES,
    written,
)
from kmc_analysis.metrics.observation import Measured, share
from kmc_analysis.plotting.figure_style import panels

# A weak cycle, a strong one whose RESET is a sweep, a weak one, and where the segments of each begin.
_SWEPT: Segments = [*written(), READ, RESET, READ, PAUSE, LOW_READ]
MODES = Program("modes of ogb_20nm", "ogb_20nm", [LOW_READ, *WEAK, *_SWEPT, *WEAK], devices=36)
_FIRST, _SECOND = 1, 1 + len(WEAK)
_BEGINNINGS = (_FIRST, _SECOND, _SECOND + len(_SWEPT), _SECOND + len(_SWEPT) + len(WEAK))


def _reconfigured(runs: Runs) -> dict[str, Measured]:
    """A device is one trial, good where each of its modes came and went: its switches are not independent."""
    devices = runs[MODES.name]
    table = np.array([modes(ds) for ds in devices]).reshape(-1, 4)
    told = [
        f"{int(column.sum())} {what}"
        for column, what in zip(
            table.T,
            (
                "volatile before it",
                "written",
                "parted by the RESET and at high resistance 2 s later",
                "volatile after it",
            ),
            strict=True,
        )
    ]
    return {
        "S29_reconfigurable": share(
            int(table.all(axis=1).sum()), len(table), f"of {len(table)} devices {', '.join(told)}"
        )
    }


def modes(ds: xr.Dataset) -> tuple[bool, bool, bool, bool]:
    """Of a run of `MODES`: volatile; written; reset; volatile again."""
    first, second, third = _cycles_of(ds)
    pristine = float(ds["conductance"].values[0])
    good = [switched(one) and not fails(one, pristine) for one in (first, second, third)]
    return good[0], switched(second), good[1], good[2]


def _cycles_of(ds: xr.Dataset) -> list[xr.Dataset]:
    """The three cycles of a run of `MODES`."""
    segment = ds["segment"].values
    return [ds.isel(time=(segment >= low) & (segment < high)) for low, high in pairwise(_BEGINNINGS)]


_STATES = ("pristine", "1 uA on", "off", "1 mA, before RESET", "reset", "1 uA on", "off")


def _draw_modes(runs: Runs, path: Path) -> None:
    """Conductance of each state of the three cycles, one line a device."""
    with panels(path, ("volatile, non-volatile, volatile",), height=3.9) as (axes,):
        for ds in runs[MODES.name]:
            states = [float(ds["conductance"].values[0]), *(g for one in _cycles_of(ds) for g in levels(one))]
            axes.semilogy(range(len(states)), states, "o-", color=COLOURS[0], alpha=0.4)
        axes.set_xticks(range(len(_STATES)), _STATES, rotation=45, fontsize=8)
        axes.set_ylabel("conductance (S)")
        say_if_empty(axes)


FIGURES = [
    Figure(
        "S29",
        "reconfiguration on demand",
        ("S29_reconfigurable",),
        (MODES,),
        _reconfigured,
        f"a cycle at 1 uA ({WEAK_LINES}), one at 1 mA ({WRITE_LINES}, a sweep to -{RESET_V} V and back "
        f"at 1 V/s, {PAUSE_LINES}, reads between), one at 1 uA",
        _draw_modes,
    )
]
