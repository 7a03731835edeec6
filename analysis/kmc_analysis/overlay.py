"""Traces beside each other in one picture: simulated runs and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from kmc import dataset
from kmc.errors import UserError
from kmc.pictures.traces import is_swept
from kmc_analysis.compact import simulated
from kmc_analysis.compact.data import measured_columns
from kmc_analysis.figures.pictures import panels
from kmc_analysis.study_figures import COLOURS

Columns = Mapping[str, np.ndarray]

_MOST = 40  # curves: more say nothing to the eye
_DARKEST_A = 1e-15  # below any instrument
AXES = ("auto", "time", "voltage")


def draw(paths: Sequence[Path], out: Path, against: str = "auto") -> Path:
    """Save |current| of runs, studies and CSV against the source's voltage or against time.

    `against` is one of AXES; "auto" takes the voltage where all simulated runs are swept, or, without one,
    where the first measurement has more than twenty voltages. Raises UserError.
    """
    curves, swept = _curves(paths)
    if len(curves) > _MOST:
        step = f"name {_MOST} at most; kmc compare draws a study's medians"
        raise UserError(f"{len(curves)} traces are too many for one picture", next_step=step)
    by_voltage = swept if against == "auto" else against == "voltage"
    titles = ("current against voltage",) if by_voltage else ("current", "source")
    with panels(out, titles) as places:
        for k, (name, columns) in enumerate(curves):
            colour = COLOURS[k % len(COLOURS)]
            if by_voltage:
                _line(places[0], columns["voltage_source_V"], columns, colour, name)
            else:
                time = columns["time_s"] - columns["time_s"][0]
                _line(places[0], time, columns, colour, name)
                places[1].plot(time, columns["voltage_source_V"], color=colour, drawstyle="steps-pre")
        for axes in places:
            axes.set_xlabel("source voltage (V)" if by_voltage else "time (s)")
        places[-1].set_ylabel("|current| (A)" if by_voltage else "source voltage (V)")
        places[0].set_ylabel("|current| (A)")
        places[0].legend(frameon=False, fontsize=7)
    return out


def _curves(paths: Sequence[Path]) -> tuple[list[tuple[str, Columns]], bool]:
    """Each trace by name, and whether the voltage is what to draw them against."""
    curves: list[tuple[str, Columns]] = []
    swept: list[bool] = []
    for path in paths:
        if path.suffix.lower() == ".csv":
            curves.append((path.stem, measured_columns(path)))
            continue
        for name, ds in simulated.runs(path):
            dataset.require(ds, path)
            swept.append(is_swept(ds))
            curves.append((name, {"time_s": ds["time"].values, "current_A": ds["current"].values,
                                  "voltage_source_V": ds["voltage_source"].values}))  # fmt: skip
    if swept:
        return curves, all(swept)
    return curves, len(np.unique(np.round(curves[0][1]["voltage_source_V"], 6))) > 20


def _line(axes: Axes, x: np.ndarray, columns: Columns, colour: str, name: str) -> None:
    current = np.abs(columns["current_A"])
    axes.semilogy(x, np.where(current < _DARKEST_A, np.nan, current), color=colour, label=name, linewidth=1.3)
