"""Figures of a study: traces with bands, distributions of metrics, and their trends along numbers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from kmc.plotting.figure_files import save
from kmc.plotting.plot_style import COLOURS, DARKEST_A, GRID, INK, STYLES, lone, plain, say_if_empty, time_axis
from kmc.study.axes import PROGRAM
from kmc_analysis.metrics import METRICS
from kmc_analysis.statistics.comparison import REPLICATE, label, of_level

MARKERS = "os^Dv*"
_BAND = (0.1, 0.9)
_MOST_PANELS = 6
_MOST_TIMES = 4000  # more than a panel has dots
_PANEL_IN, _WIDEST_IN, _HEIGHT_IN = 4.2, 16.0, 2.6  # inches: a panel's width at least and at most, its height
_LABEL_IN, _LETTER_IN, _LINE_IN = 0.8, 0.06, 0.12  # of its vertical axis; of a column's name
_ASIDE_IN = 0.05  # between levels of a trend that would lie on each other
_LEAST_STEPS, _MOVING = 5, 0.9  # of a sweep: how many, and the share of them at which the voltage changes
_DARK_ENOUGH = 0.88  # of the scale of colours: its yellow end is not seen on white
_SAME = 1 + 1e-9  # times nearer than that are one, summed in another way


def traces(study: xr.Dataset, path: Path) -> Path:
    """Median |current| with the band from the 10th to the 90th percentile of all runs: against the voltage
    where the program is one sweep, else against time.

    A panel for each level of the first axis (for some of many), a colour for each level of the last; other
    axes are pooled. A run counts until it ends.
    """
    axes_names = list(study["state"].dims[:-1])
    first, last = axes_names[0], axes_names[-1]
    levels = study.sizes[first] if first != last else 1
    shown = np.linspace(0, levels - 1, min(levels, _MOST_PANELS)).round().astype(int).tolist()
    figure, places = _figure(len(shown))
    for axes in places[1:]:
        axes.sharey(places[0])
    swept = voltages(study)
    for k, axes in zip(shown, places, strict=True):
        part = study.isel({first: k}) if first != last else study
        for j in range(part.sizes[last]):
            named = f"{_short(last)} {_level(study[last], last, j)}"
            style = {"color": colour(j, part.sizes[last]), "linestyle": STYLES[j % len(STYLES)]}
            _band(axes, part.isel({last: j}), style, named, swept)
        axes.set_yscale("log")
        title = f"{_short(first)} {_level(study[first], first, k)}" if first != last else ""
        axes.set_title(title, fontsize=10)
    longest = max((float(axes.dataLim.x1) for axes in places if axes.lines), default=1.0)
    for axes in places:
        if swept is None:
            time_axis(axes, longest)
        else:
            axes.set_xlabel("source voltage (V)")
        none_ran = not any(np.isfinite(line.get_xdata()).any() for line in axes.lines)
        say_if_empty(axes, "no run yet" if none_ran else "no current to draw")
    places[0].set_ylabel(f"|current| (A): median, {100 * _BAND[0]:.0f} % to {100 * _BAND[1]:.0f} %")
    _legend(places[::-1])
    if len(shown) < levels:
        figure.suptitle(f"{len(shown)} of {levels} levels of {_short(first)} are drawn", fontsize=10)
    return saved(figure, path)


def voltages(study: xr.Dataset) -> np.ndarray | None:
    """The source's voltage at each sample where all runs are the same sweep and nothing else, else None."""
    rows = study["voltage_source"].values.reshape(-1, study.sizes["sample"])
    longest = rows[np.isfinite(rows).sum(axis=1).argmax()]
    steps = np.diff(longest[np.isfinite(longest)])
    swept = len(steps) >= _LEAST_STEPS and np.count_nonzero(steps) >= _MOVING * len(steps)
    return longest if swept and (np.isnan(rows) | (rows == longest)).all() else None


def _band(axes: Axes, part: xr.Dataset, style: dict[str, Any], named: str, swept: np.ndarray | None) -> None:
    """What is too dark to draw counts, and breaks the line; the band reaches down to the edge there."""
    current = np.abs(part["current"].values).reshape(-1, part.sizes["sample"])
    along = swept
    if along is None:
        along, current = _on_one_grid(part["time"].values.reshape(current.shape), current)
    there = np.isfinite(current).any(axis=0)
    if not there.any():
        return
    found = np.full((3, len(along)), np.nan)
    found[:, there] = np.nanquantile(current[:, there], [_BAND[0], 0.5, _BAND[1]], axis=0)
    low, middle, high = np.where(found < DARKEST_A, 0.0, found)
    for part_of in _one_way(along):  # a band that turns back would blot itself out
        axes.fill_between(
            along[part_of],
            low[part_of],
            high[part_of],
            high[part_of] > 0.0,
            color=style["color"],
            alpha=0.2,
            linewidth=0,
        )
    middle[middle == 0.0] = np.nan
    axes.plot(along, middle, linewidth=1.5, label=named, **style, **lone(middle))


def _one_way(along: np.ndarray) -> list[slice]:
    """The stretches of an axis between its turning points, which they share."""
    way = np.sign(np.diff(along))
    turns = [0, *(np.flatnonzero(way[1:] * way[:-1] < 0) + 1), len(along) - 1]
    return [slice(first, last + 1) for first, last in pairwise(turns)]


def _on_one_grid(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times of all runs, and every run's value at them: its last sample's, NaN before its first and after
    its end.

    Runs that leave a segment early have their samples of one number at other times than the rest.
    """
    grid = np.unique(time[np.isfinite(time)])
    if len(grid) > _MOST_TIMES:
        grid = grid[np.linspace(0, len(grid) - 1, _MOST_TIMES).astype(int)]
    rows = np.full((len(time), len(grid)), np.nan)
    for row, moments, samples in zip(rows, time, values, strict=True):
        known = np.flatnonzero(np.isfinite(moments))
        if len(known):
            place = np.searchsorted(moments[known], grid * _SAME, side="right") - 1
            held = (place >= 0) & (grid <= moments[known[-1]] * _SAME)
            row[held] = samples[known[place[held]]]
    return grid, rows


class _Columns(NamedTuple):
    """The names of a picture's columns, turned where they have no room beside each other, and each `step`th
    where they have none even so; the inches that a panel with them takes."""

    names: list[str]
    turned: bool
    step: int
    width: float
    height: float


def distributions(values: xr.Dataset, path: Path) -> Path | None:
    """Each run's value of each metric as a point, a panel a metric, a column a variant; bars are medians.

    None where no metric has a number.
    """
    names = [name for name in values.data_vars if np.isfinite(values[name].values).any()]
    if not names:
        return None
    columns = _columns(values[names[0]])
    figure, places = _figure(len(names), 2, columns.height, columns.width)
    for axes, name in zip(places, names, strict=True):
        _points(axes, values[name], columns)
        unit = METRICS[str(name)].unit
        axes.set_ylabel(str(name) if unit == "1" else f"{name} ({unit})")
    return saved(figure, path)


def _variants(values: xr.DataArray) -> tuple[list[str], list[tuple[int, ...]]]:
    """The axes of the variants, and the place of each on them."""
    dims = [str(dim) for dim in values.dims if dim != REPLICATE]
    return dims, list(np.ndindex(*(values.sizes[dim] for dim in dims)))


def _columns(values: xr.DataArray) -> _Columns:
    dims, places = _variants(values)
    words = [
        [min(_level(values, dim, k, 3), _level(values, dim, k), key=len) for dim, k in zip(dims, place, strict=True)]
        for place in places
    ]
    names = ["\n".join(part) for part in words]
    long = _LETTER_IN * max(len(word) for part in words for word in part)
    if (long + _LETTER_IN) * len(names) <= _PANEL_IN - _LABEL_IN:
        return _Columns(names, False, 1, _PANEL_IN, _HEIGHT_IN)
    needed = _LINE_IN * (len(dims) + 0.5) * len(names)
    width = float(np.clip(needed + _LABEL_IN, _PANEL_IN, _WIDEST_IN))
    return _Columns(names, True, int(np.ceil(needed / (width - _LABEL_IN))), width, _HEIGHT_IN + long)


def _points(axes: Axes, values: xr.DataArray, columns: _Columns) -> None:
    _, places = _variants(values)
    for column, place in enumerate(places):
        found = values[place].values
        found = found[np.isfinite(found)]
        shade = place[-1] % len(COLOURS)
        spread = np.linspace(-0.2, 0.2, len(found)) if len(found) > 1 else np.zeros(len(found))
        axes.plot(column + spread, found, MARKERS[shade], color=COLOURS[shade], markersize=4, alpha=0.7)
        if len(found):
            axes.hlines(np.median(found), column - 0.3, column + 0.3, color=INK, linewidth=1.5)
    named = range(0, len(places), columns.step)
    axes.set_xticks(named, [columns.names[k] for k in named], fontsize=7, rotation=90 * columns.turned)
    axes.set_xlim(-0.6, len(places) - 0.4)
    _by_decades(axes, values)


def _by_decades(axes: Axes, values: xr.DataArray) -> None:
    """A logarithmic axis for a metric that spans a decade of those that may: below one it would have a tick
    or none."""
    known = values.values[np.isfinite(values.values)]
    if METRICS[str(values.name)].ratio and len(known) and known.max() > 9.99 * known.min() > 0.0:
        axes.set_yscale("log")


def trends(values: xr.Dataset, path: Path) -> Path | None:
    """Mean of each metric, with its 95 % interval, against the axes that are numbers; None where none is.

    A colour for each level of the first other axis; further axes are pooled seed by seed.
    """
    numeric = [str(axis) for axis in values.dims if axis != REPLICATE and values[axis].dtype.kind == "f"]
    names = [str(name) for name in values.data_vars if np.isfinite(values[name].values).any()]
    pairs = [(axis, name) for axis in numeric if values.sizes[axis] > 1 for name in names]
    if not pairs:
        return None
    figure, places = _figure(len(pairs), height=_HEIGHT_IN)
    for axes, (axis, name) in zip(places, pairs, strict=True):
        others = [dim for dim in values[name].dims if dim not in (axis, REPLICATE)]
        count = values.sizes[others[0]] if others else 1
        for k in range(count):
            part = values[name].isel({others[0]: k}) if others else values[name]
            named = f"{_short(others[0])} {_level(values[name], others[0], k)}" if others else ""
            marker = MARKERS[k % len(MARKERS)]
            aside = _ASIDE_IN * (k - (count - 1) / 2)
            _trend(axes, part, axis, {"color": colour(k, count), "marker": marker, "label": named}, aside)
        unit = METRICS[name].unit
        axes.set_ylabel(name if unit == "1" else f"{name} ({unit})")
        axes.set_xlabel(f"{_short(axis)} ({values[axis].attrs.get('units', '1')})")
        levels = values[axis].values
        if levels.min() > 0.0 and levels.max() > 9.99 * levels.min():  # limits and rates go by decades
            axes.set_xscale("log")
        _by_decades(axes, values[name])
    _legend(places)
    return saved(figure, path)


def _trend(axes: Axes, part: xr.DataArray, axis: str, style: dict[str, Any], aside: float) -> None:
    """Means along `axis` with their intervals, a hollow mark where there is none; geometric for metrics that
    span decades. Drawn `aside` inches to the right, or levels that agree would hide each other."""
    ratio = METRICS[str(part.name)].ratio
    rows = []
    for k in np.argsort(part[axis].values):
        found = part.isel({axis: int(k)}).transpose(REPLICATE, ...).values.reshape(part.sizes[REPLICATE], -1)
        found = np.log(np.where(found > 0, found, np.nan)) if ratio else found
        known = np.isfinite(found).all(axis=1)
        found = found[known].mean(axis=1)
        low, high = of_level(str(part.name), found)
        if len(found):
            rows.append((float(part[axis].values[k]), float(found.mean()), low, high))
    if not rows:
        return
    place, *ends = np.array(rows).T
    middle, low, high = (np.exp(part) for part in ends) if ratio else ends
    drawn = axes.errorbar(
        place, middle, [middle - low, high - middle], capsize=2, linewidth=1.2, markersize=4, **style
    ).get_children()
    bare = np.isnan(low)
    hollow = {**style, "label": "", "markerfacecolor": "white", "linestyle": "none"}
    drawn += axes.plot(place[bare], middle[bare], markersize=4, zorder=3, **hollow)
    canvas = axes.figure
    assert isinstance(canvas, Figure)
    for artist in drawn:  # only now: what is drawn elsewhere than its data asks for no room on the axes
        artist.set_transform(axes.transData + ScaledTranslation(aside, 0.0, canvas.dpi_scale_trans))


def _short(axis: Any) -> str:
    """The name of an axis in a picture: of a path into a protocol its last two words."""
    name = str(axis)
    return ".".join(name.split(".")[-2:]) if name.startswith(PROGRAM) else name


def _level(values: xr.DataArray, axis: Any, k: int, digits: int = 6) -> str:
    """A level as text of a picture."""
    return plain(label(values, axis, k, digits))


def colour(k: int, count: int) -> Any:
    """Each of `count` levels has a colour of its own."""
    return COLOURS[k] if count <= len(COLOURS) else colormaps["viridis"](_DARK_ENOUGH * k / (count - 1))


def _legend(places: list[Any]) -> None:
    """In the panel that names the most lines, the first of such; none where there is nothing to name."""
    most = max(places, key=lambda axes: len(axes.get_legend_handles_labels()[1]))
    if most.get_legend_handles_labels()[1]:
        most.legend(frameon=False, fontsize=8)


def _figure(panels: int, columns: int = 3, height: float = 3.4, width: float = _PANEL_IN) -> tuple[Figure, list[Any]]:
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(max(4.8, width * columns), height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[panels:]:
        axes.remove()
    for axes in grid.flat[:panels]:
        axes.grid(True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat[:panels])


def saved(figure: Figure, path: Path) -> Path:
    """The path of a figure, saved as all of a study and of a reservoir are. Raises WriteFailed."""
    return save(figure, path, dpi=160)
