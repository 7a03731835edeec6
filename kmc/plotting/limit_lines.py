"""The current limits of a run in its pictures: a line at each, where it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kmc.inputs.protocol import leaves
from kmc.io.provenance import run_of
from kmc.plotting.plot_style import FAINT, si
from kmc.plotting.sweep_sections import Passage, limits_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Spans = dict[float, list[tuple[float, float]]]  # of an axis by current limit; [] for all of it


def compliances(ds: xr.Dataset) -> list[float]:
    """The distinct current limits of the protocol, in A."""
    every = leaves(run_of(ds).get("protocol") or [])
    return sorted({float(values["compliance"]) for _, values in every if values.get("compliance")})


def of_voltage(ds: xr.Dataset, voltage: np.ndarray, found: list[Passage]) -> Spans:
    """From where to where on the voltage axis each limit holds in what is drawn."""
    drawn = np.concatenate([one.samples for one in found]) if found else np.arange(len(voltage))
    spans: Spans = {}
    for limit, under in _under(ds):
        if under[drawn].any():
            volts = voltage[drawn][under[drawn]]
            spans[limit] = [] if under[drawn].all() else [(float(volts.min()), float(volts.max()))]
    return spans


def of_time(ds: xr.Dataset, scale: float) -> Spans:
    """The same on the axis of time."""
    time = np.append(0.0, ds["time"].values / scale)
    spans: Spans = {}
    for limit, under in _under(ds):
        edges = np.flatnonzero(np.diff(under.astype(int), prepend=0, append=0)).reshape(-1, 2)
        if under.any():
            parts = [(float(time[first]), float(time[end])) for first, end in edges]
            spans[limit] = [] if under.all() else parts
    return spans


def _under(ds: xr.Dataset) -> Iterator[tuple[float, np.ndarray]]:
    """Each limit, and whether a sample is under it; all are where it is not known what the source did."""
    held = limits_of(ds)
    for limit in compliances(ds):
        yield limit, np.isclose(held, limit, rtol=1e-9, atol=0.0) | np.isnan(held)


def draw_limits(axes: Axes, current: np.ndarray, spans: Spans) -> None:
    """A dashed line at each current limit that is not far above the curve, for which there is room then,
    where it holds; all along the axis where it holds in all that is drawn."""
    top = float(np.nanmax(current, initial=0.0))
    log = axes.get_yscale() == "log"
    style: dict[str, Any] = {"color": FAINT, "linewidth": 1.0, "linestyle": (0, (5, 3)), "zorder": 1}
    for limit, parts in spans.items():
        if limit > (30.0 if log else 4.0) * top:
            continue
        low, high = axes.get_ylim()
        axes.set_ylim(low, max(high, (2.0 if log else 1.25) * limit))
        if parts:
            axes.hlines([limit] * len(parts), *zip(*parts, strict=True), **style)
        else:
            axes.axhline(limit, **style)
        start, along = (parts[0][0], "data") if parts else (0.0, "axes fraction")
        left, right = axes.get_xlim()
        late = bool(parts) and start > left + 0.6 * (right - left)  # a word beyond the axis shrinks them all
        start = parts[-1][1] if late else start
        axes.annotate(
            f"compliance {si(limit, 'A')}",
            (start, limit),
            (-4 if late else 4, 3),
            fontsize=8,
            color=FAINT,
            ha="right" if late else "left",
            xycoords=(along, "data"),
            textcoords="offset points",
        )
