"""Traces beside each other in one picture: simulated runs and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmc import dataset
from kmc.errors import UserError
from kmc.pictures.traces import is_swept
from kmc_analysis.compact import simulated
from kmc_analysis.compact.data import measured_columns
from kmc_analysis.figures.pictures import panels
from kmc_analysis.study_figures import COLOURS

Columns = Mapping[str, np.ndarray]

_MOST = 40  # curves: more say nothing to the eye
_COLUMN = 20  # names of a legend above each other, as many as the height has room for
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
                time = columns["time_s"]
                _line(places[0], time, columns, colour, name)
                places[1].plot(time, columns["voltage_source_V"], color=colour, drawstyle="steps-pre")
        for axes in places:
            axes.set_xlabel("source voltage (V)" if by_voltage else "time (s)")
        places[-1].set_ylabel("|current| (A)" if by_voltage else "source voltage (V)")
        places[0].set_ylabel("|current| (A)")
        _names(places[0], len(curves))
    return out


def _names(axes: Axes, count: int) -> None:
    """The legend beside the axes, for which the picture becomes wider: many names would leave no room."""
    canvas = axes.figure
    assert isinstance(canvas, Figure)
    legend = canvas.legend(loc="outside right center", frameon=False, fontsize=7, ncols=-(-count // _COLUMN))
    legend.set_in_layout(False)  # or measuring it would press the axes to nothing, with a warning
    canvas.draw_without_rendering()
    width, height = canvas.get_size_inches()
    canvas.set_size_inches(width + legend.get_window_extent().width / canvas.dpi, height)
    legend.set_in_layout(True)


def _curves(paths: Sequence[Path]) -> tuple[list[tuple[str, Columns]], bool]:
    """Each trace by name, and whether the voltage is what to draw them against."""
    curves: list[tuple[str, Columns]] = []
    swept: list[bool] = []
    for path in paths:
        if path.suffix.lower() == ".csv":
            columns = measured_columns(path)
            curves.append((path.stem, {**columns, "time_s": columns["time_s"] - columns["time_s"][0]}))
            continue
        for name, ds in simulated.runs(path):
            dataset.require(ds, path)
            swept.append(is_swept(ds))
            curves.append((name, _from_zero(ds)))
    if swept:
        return curves, all(swept)
    return curves, len(np.unique(np.round(curves[0][1]["voltage_source_V"], 6))) > 20


def _from_zero(ds: xr.Dataset) -> Columns:
    """The columns of a run from time 0, where its first voltage begins: the first look comes at its end."""
    voltage = ds["voltage_source"].values
    first = voltage[:1]  # none of a run without a look
    return {"time_s": np.append(0.0 * first, ds["time"].values),
            "current_A": np.append(np.nan * first, ds["current"].values),
            "voltage_source_V": np.append(first, voltage)}  # fmt: skip


def _line(axes: Axes, x: np.ndarray, columns: Columns, colour: str, name: str) -> None:
    """A curve through the points with a current: corners of the source have none, and are left out."""
    current = np.abs(columns["current_A"])
    known = np.isfinite(current)
    seen = np.where(current[known] < _DARKEST_A, np.nan, current[known])
    axes.semilogy(x[known], seen, color=colour, label=name, linewidth=1.3)
