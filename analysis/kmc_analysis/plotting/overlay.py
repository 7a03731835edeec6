"""Traces beside each other in one picture: simulated runs and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmc.core.errors import UserError
from kmc.io import dataset
from kmc.plotting.plot_style import COLOURS, DARKEST_A, STYLES, from_zero, lone, plain, say_if_empty, si, time_axis
from kmc.plotting.sweep_sections import passages
from kmc.plotting.trace_plots import is_swept, looks_swept
from kmc_analysis.metrics import trace_columns
from kmc_analysis.metrics.measured_csv import TABLES, measured_columns
from kmc_analysis.plotting.figure_style import panels
from kmc_analysis.plotting.study_figures import colour

Columns = Mapping[str, np.ndarray]


class Curve(NamedTuple):
    """A trace by its name: its columns as a function of time, and of voltage."""

    name: str
    in_time: Columns
    swept: Columns
    drawstyle: str = "steps-pre"  # of the source: what is simulated was held since the sample before


_MOST = 40  # curves: more say nothing to the eye
_COLUMN = 20  # names of a legend above each other, as many as the height has room for
AXES = ("auto", "time", "voltage")


def draw(paths: Sequence[Path], out: Path, against: str = "auto", linear: bool = False) -> Path:
    """Save |current| of runs, studies and CSV, or the current on a linear axis, against the source's voltage
    or against time.

    `against` is one of AXES; "auto" takes the voltage where all simulated runs are swept, or, without one,
    where the first measurement has more than twenty voltages. Raises UserError.
    """
    curves, all_swept = _curves(paths)
    if len(curves) > _MOST:
        step = f"name {_MOST} at most; kmc compare draws a study's medians"
        raise UserError(f"{len(curves)} traces are too many for one picture", next_step=step)
    by_voltage = all_swept if against == "auto" else against == "voltage"
    titles = ("current against voltage",) if by_voltage else ("current", "source")
    with panels(out, titles) as places:
        for other in places[1:]:
            other.sharex(places[0])
        for k, (name, in_time, swept, drawstyle) in enumerate(curves):
            style = {"color": colour(k, len(curves)), "linestyle": _line_style(k, len(curves))}
            if by_voltage:
                _line(places[0], swept["voltage_source_V"], swept, style, name, linear)
            else:
                time = in_time["time_s"]
                _line(places[0], time, in_time, style, name, linear)
                places[1].plot(time, in_time["voltage_source_V"], drawstyle=drawstyle, **style)
        longest = max(float(one.in_time["time_s"].max(initial=0.0)) for one in curves)
        for axes in places:
            axes.set_xlabel("source voltage (V)")
            if not by_voltage:
                time_axis(axes, longest)
        places[-1].set_ylabel("source voltage (V)")
        places[0].set_ylabel("current" if linear else "|current| (A)")
        if linear:
            places[0].yaxis.set_major_formatter(lambda value, _: si(value, "A") if value else "0")
        _names(places[0], [one.name for one in curves])
        say_if_empty(places[0], "no current to draw")
    return out


def _line_style(k: int, count: int) -> str:
    """Where colours come near to each other, neighbours differ by their lines too."""
    return STYLES[k % len(STYLES)] if count > len(COLOURS) else STYLES[0]


def _names(axes: Axes, names: list[str]) -> None:
    """The legend beside the axes, for which the picture becomes wider: many names would leave no room.

    Named one by one, for matplotlib takes a name with a leading underscore for one to hide.
    """
    canvas = axes.figure
    assert isinstance(canvas, Figure)
    legend = canvas.legend(
        axes.lines,
        list(map(plain, names)),
        loc="outside right center",
        frameon=False,
        fontsize=7,
        ncols=-(-len(names) // _COLUMN),
    )
    legend.set_in_layout(False)  # or measuring it would press the axes to nothing, with a warning
    canvas.draw_without_rendering()
    width, height = canvas.get_size_inches()
    canvas.set_size_inches(width + legend.get_window_extent().width / canvas.dpi, height)
    legend.set_in_layout(True)


def _curves(paths: Sequence[Path]) -> tuple[list[Curve], bool]:
    """Each trace, and whether the voltage is what to draw them against."""
    curves: list[Curve] = []
    swept: list[bool] = []
    for path in paths:
        if path.suffix.lower() in TABLES:
            columns = measured_columns(path)
            columns = {**columns, "time_s": columns["time_s"] - columns["time_s"][0]}
            curves.append(Curve(path.stem, columns, columns, "default"))
            continue
        for name, ds in trace_columns.runs(path):
            dataset.require(ds, path, whole=False)
            swept.append(is_swept(ds))
            curves.append(Curve(name, _from_zero(ds), _swept(ds)))
    if swept:
        return curves, all(swept)
    return curves, looks_swept(np.asarray(curves[0].swept["voltage_source_V"]))


def _swept(ds: xr.Dataset) -> Columns:
    """The passages of a run's sweeps, with an endless current between, at which the line breaks."""
    voltage, current = ds["voltage_source"].values, ds["current"].values
    found = [one.samples for one in passages(ds)]
    ends = np.cumsum([len(samples) for samples in found], dtype=int)[:-1]
    at = np.concatenate([np.zeros(0, int), *found])
    return {"voltage_source_V": np.insert(voltage[at], ends, 0.0), "current_A": np.insert(current[at], ends, np.inf)}


def _from_zero(ds: xr.Dataset) -> Columns:
    """The columns of a run from time 0, at which there is no current yet."""
    time, voltage = from_zero(ds["time"].values, ds["voltage_source"].values)
    unknown = np.full(len(time) - ds.sizes["time"], np.nan)
    current = np.append(unknown, ds["current"].values)
    return {"time_s": time, "current_A": current, "voltage_source_V": voltage}


def _line(axes: Axes, x: np.ndarray, columns: Columns, style: dict[str, Any], name: str, linear: bool) -> None:
    """A curve through the points with a current: corners of the source have none, and are left out."""
    current = columns["current_A"]
    known = ~np.isnan(current)
    seen = np.where(np.isinf(current[known]), np.nan, current[known])
    if not linear:
        seen = np.where(np.abs(seen) < DARKEST_A, np.nan, np.abs(seen))
        axes.set_yscale("log")
    axes.plot(x[known], seen, label=name, linewidth=1.3, **lone(seen), **style)
