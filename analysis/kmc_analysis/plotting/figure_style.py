"""What the pictures of the figures share: axes in one style, written whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from kmc.plotting.figure_files import save
from kmc.plotting.plot_style import COLOURS, DARKEST_A, GRID, INK


@contextmanager
def panels(path: Path, titles: Sequence[str], height: float = 3.2) -> Iterator[list[Axes]]:
    """A row of axes, one a title, saved to `path` at the end."""
    canvas = Canvas(figsize=(3.6 * len(titles) + 0.6, height), layout="constrained")
    places = [canvas.add_subplot(1, len(titles), k + 1) for k in range(len(titles))]
    for axes, title in zip(places, titles, strict=True):
        axes.set_title(title, fontsize=10, color=INK)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    yield places
    save(canvas, path, dpi=130)


def current_voltage(axes: Axes, runs: Sequence[xr.Dataset], label: str = "", colour: str = COLOURS[0]) -> None:
    """|I| against the source voltage on a log scale, one line a device."""
    for k, ds in enumerate(runs):
        current = np.abs(ds["current"].values)
        axes.plot(
            ds["voltage_source"].values,
            np.where(current > DARKEST_A, current, np.nan),
            color=colour,
            linewidth=1.0,
            alpha=0.75,
            label=label if k == 0 else None,
        )
    axes.set_yscale("log")
    axes.set_xlabel("voltage (V)")
    axes.set_ylabel("|current| (A)")
    if label and axes.lines:
        axes.legend(frameon=False, fontsize=8)


def over_time(
    axes: Axes, runs: Sequence[xr.Dataset], name: str = "conductance", label: str = "", colour: str = COLOURS[0]
) -> None:
    """`conductance` (uS) or `current` (uA) against time in ms, one line a device."""
    for k, ds in enumerate(runs):
        axes.plot(
            1e3 * ds["time"].values,
            1e6 * ds[name].values,
            color=colour,
            linewidth=1.0,
            alpha=0.6,
            label=label if k == 0 else None,
        )
    axes.set_xlabel("time (ms)")
    axes.set_ylabel(f"{name} ({'µS' if name == 'conductance' else 'µA'})")
    if label and axes.lines:
        axes.legend(frameon=False, fontsize=8)


def distribution(axes: Axes, ratios: Sequence[float] | np.ndarray, label: str, colour: str) -> None:
    """The share of devices whose on-off ratio is no larger, against the ratio on a log scale."""
    known = np.sort(np.asarray(ratios, float)[np.isfinite(ratios)])
    axes.semilogx(
        known,
        np.arange(1, len(known) + 1) / max(len(known), 1),
        "o-",
        color=colour,
        label=label,
        drawstyle="steps-post",
        markersize=4,
    )
    axes.set_xlabel("on-off ratio")
    axes.set_ylabel("share of devices")
    axes.legend(frameon=False, fontsize=8)
