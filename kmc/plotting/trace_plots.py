"""Pictures of traces: current against voltage, and everything against time.

Figures are made without pyplot, so that no window opens and no global state is left behind.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kmc.inputs.protocol import leaves
from kmc.io.provenance import run_of
from kmc.plotting.figure_files import save
from kmc.plotting.limit_lines import compliances, draw_limits, of_time, of_voltage
from kmc.plotting.plot_style import (
    COLOURS,
    DARKEST_A,
    FAINT,
    GRID,
    INK,
    STYLES,
    at_corners,
    from_zero,
    lone,
    plain,
    si,
    time_unit,
    with_choices,
)
from kmc.plotting.sweep_sections import Passage, passages

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = COLOURS[:4]
_HUES = tuple(zip(COLOURS, ("Blues", "Oranges", "Greens", "Reds", "Purples", "Greys"), strict=True))


def draw(ds: xr.Dataset, path: Path) -> Path:
    """Save the I-V of a swept run, the trace of any other, as PNG or whatever `path` ends in."""
    figure = iv(ds) if is_swept(ds) else trace(ds)
    return save(figure, path, dpi=160)


def is_swept(ds: xr.Dataset) -> bool:
    """Whether the run's protocol has a sweep, or (where it is not known) the voltage looks swept."""
    kinds = [kind for kind, _ in segments(ds)]
    if kinds:
        return "sweep" in kinds
    return looks_swept(ds["voltage_source"].values)


def looks_swept(volts: np.ndarray) -> bool:
    """Whether voltages are those of a sweep: many."""
    return len(np.unique(np.round(volts, 6))) > 20


def segments(ds: xr.Dataset) -> list[tuple[str, dict[str, Any]]]:
    """(kind, settings) of the protocol's segments, those inside of repeats too."""
    return list(leaves(run_of(ds).get("protocol") or []))


def iv(ds: xr.Dataset) -> Figure:
    """|I| on a logarithmic axis against the source's voltage: a line each time through a sweep, a colour a
    cycle or a segment, and arrows along the last of each sweep."""
    figure, (axes,) = _figure(6.4, 4.8, 1)
    voltage, current = ds["voltage_source"].values, np.abs(ds["current"].values)
    current[current < DARKEST_A] = np.nan
    found = passages(ds)
    styles = _styles(found)
    for one in found:
        seen = current[one.samples]
        axes.plot(
            voltage[one.samples],
            seen,
            linewidth=1.5,
            solid_joinstyle="round",
            **lone(seen),
            **styles[one.segment, one.cycle],
        )
    for one in {(one.segment, one.words): one for one in found}.values():
        colour = styles[one.segment, one.cycle]["color"]
        _arrows(axes, voltage[one.samples], current[one.samples], colour)
    axes.set_yscale("log")
    drawn = current[np.concatenate([one.samples for one in found])] if found else current
    _room(axes, drawn)
    draw_limits(axes, drawn, of_voltage(ds, voltage, found))
    axes.set_xlabel("source voltage (V)")
    axes.set_ylabel("|current| (A)")
    _tell_colours(figure, axes, found, styles)
    _title(figure, ds)
    return figure


def trace(ds: xr.Dataset) -> Figure:
    """Voltage, current, conductance and temperature against time, one above the other."""
    figure, axes = _figure(7.2, 7.2, 4)
    scale, unit = time_unit(float(ds["time"].values[-1]) if ds.sizes["time"] else 1.0)
    time = ds["time"].values / scale
    volts, amps, siemens, kelvin = axes
    source = ds["voltage_source"].values
    volts.plot(*from_zero(time, source), color=FAINT, linewidth=1.2, drawstyle="steps-pre", label="source")
    names = ("voltage_device", "current", "conductance", "temperature_filament", "temperature_surface")
    time, device, current, conductance, *hot = at_corners(time, source, *(ds[one].values for one in names))
    volts.plot(*from_zero(time, device), color=BLUE, linewidth=1.4, label="device")
    volts.set_ylabel("voltage (V)")
    _positive(amps, time, current, ORANGE, "|current|", "A")
    draw_limits(amps, np.abs(current), of_time(ds, scale))
    _positive(siemens, time, conductance, GREEN, "conductance", "S")
    for values, place, colour, width in zip(hot, ("hottest silver", "surface"), (RED, FAINT), (1.4, 1.2), strict=True):
        kelvin.plot(time, values, color=colour, linewidth=width, label=place, **lone(values))
    kelvin.set_ylabel("temperature (K)")
    kelvin.ticklabel_format(axis="y", useOffset=False)
    middle, least = float(np.mean(kelvin.get_ylim())), 0.05
    kelvin.set_ylim(min(kelvin.get_ylim()[0], middle - least), max(kelvin.get_ylim()[1], middle + least))
    for one in (volts, kelvin):
        one.legend(
            loc="upper right",
            ncols=2,
            frameon=False,
            fontsize=8,
            labelcolor=INK,
            bbox_to_anchor=(1.0, 1.2),
            borderaxespad=0.0,
        )
    kelvin.set_xlabel(f"time ({unit})")
    if len(time) and time[-1] > 0:
        kelvin.set_xlim(0.0, time[-1])
    _title(figure, ds)
    return figure


def _figure(width: float, height: float, panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(panels, 1, sharex=True)))
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(FAINT)
        one.tick_params(colors=INK, labelsize=9, which="both", color=FAINT)
        one.grid(True, color=GRID, linewidth=0.7)
        one.set_axisbelow(True)
        one.xaxis.label.set_color(INK)
        one.yaxis.label.set_color(INK)
    figure.align_ylabels()
    return figure, axes


_TITLE = 55  # characters that a line has room for


def _title(figure: Figure, ds: xr.Dataset) -> None:
    """Device on the first line; compliance, rate or pulse, and seed on the second."""
    run = run_of(ds)
    stack = run.get("stack") or {}
    device = str(stack.get("name") or run.get("name") or "device")
    first = with_choices(device, stack.get("choices") or {})
    second = "  ·  ".join([*_program(ds), f"seed {run['seed']}"] if "seed" in run else _program(ds))
    axes = figure.axes[0]
    told = textwrap.fill(plain(first), _TITLE)
    axes.set_title(told, loc="left", fontsize=12, fontweight="bold", color=INK, pad=26)
    axes.annotate(
        second, (0.0, 1.0), (0, 11), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=FAINT
    )


def _program(ds: xr.Dataset) -> list[str]:
    """What the title says of the protocol: its limits, sweep rates and pulses, each once."""
    words: list[str] = []
    for kind, values in segments(ds):
        if kind == "sweep":
            words.append(f"{si(values['rate'], 'V/s')} to {si(values['to'], 'V')}")
        if kind == "pulses":
            shape = f"{si(values['amplitude'], 'V')}, {si(values['width'], 's')}"
            words.append(f"{values.get('count') or len(values.get('pattern', ''))} pulses of {shape}")
    limits = [f"compliance {si(limit, 'A')}" for limit in compliances(ds)]
    found = list(dict.fromkeys([*limits, *words]))
    return found if len(found) <= 4 else [*found[:3], f"and {len(found) - 3} more"]


def _positive(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, label: str, unit: str) -> None:
    """Sizes on a logarithmic axis where they span more than a decade and a half, else on a linear one from
    zero, on which a change of nothing looks like none."""
    sizes = np.abs(values)
    positive = sizes[sizes > 0]
    if positive.size and positive.max() > 30.0 * positive.min():
        sizes = np.where(sizes > 0, sizes, np.nan)
        axes.set_yscale("log")
        axes.set_ylabel(f"{label} ({unit})")
    else:
        axes.set_ylim(0.0, 1.25 * positive.max(initial=0.0) or 1.0)
        axes.yaxis.set_major_formatter(lambda value, _: si(value, unit) if value else "0")
        axes.set_ylabel(label)
    axes.plot(x, sizes, color=color, linewidth=1.4, **lone(sizes))


def _arrows(axes: Axes, x: np.ndarray, y: np.ndarray, color: Any) -> None:
    """Arrowheads halfway (along the drawn curve) on the way out and on the way back."""
    turn = int(np.argmax(np.abs(x))) if len(x) else 0
    seen = np.isfinite(y)
    turn, x, y = int(np.sum(seen[:turn])), x[seen], y[seen]
    for part in (slice(0, turn + 1), slice(turn, len(x))):
        px, py = x[part], np.log10(y[part])
        if len(px) < 3:
            continue
        span = (np.ptp(x) or 1.0, np.ptp(np.log10(y)) or 1.0)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(px) / span[0], np.diff(py) / span[1]))])
        for share in (0.3, 0.7):
            at = int(np.clip(np.searchsorted(along, share * along[-1]), 1, len(px) - 1))
            axes.annotate(
                "",
                (px[at], 10 ** py[at]),
                (px[at - 1], 10 ** py[at - 1]),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": color,
                    "mutation_scale": 16,
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "linewidth": 0,
                },
            )


def _room(axes: Axes, current: np.ndarray) -> None:
    seen = current[np.isfinite(current)]
    if seen.size:
        axes.set_ylim(10 ** (np.log10(seen.min()) - 0.4), 10 ** (np.log10(seen.max()) + 0.6))


def _styles(found: Sequence[Passage]) -> dict[tuple[int, int], dict[str, Any]]:
    """The line of each segment's cycles: a hue a segment, and a style where hues come again; from light to
    dark in the order of its cycles."""
    cycles: dict[int, dict[int, None]] = {}
    for one in found:
        cycles.setdefault(one.segment, {})[one.cycle] = None
    return {
        (segment, cycle): {"color": shade, "linestyle": STYLES[k // len(_HUES) % len(STYLES)]}
        for k, (segment, turns) in enumerate(cycles.items())
        for cycle, shade in zip(turns, _shades(len(turns), *_HUES[k % len(_HUES)]), strict=True)
    }


def _shades(count: int, plain_one: str, scale: str) -> list[Any]:
    """From a light to a dark colour; one cycle has the plain one."""
    from matplotlib import colormaps

    return [plain_one] if count == 1 else [colormaps[scale](x) for x in np.linspace(0.35, 0.95, count)]


def _tell_colours(
    figure: Figure, axes: Axes, found: Sequence[Passage], styles: dict[tuple[int, int], dict[str, Any]]
) -> None:
    """A scale for the cycles of one segment; of several a legend, for they are no cycles of one thing."""
    from matplotlib.lines import Line2D

    words: dict[int, dict[str, None]] = {}
    for one in found:
        words.setdefault(one.segment, {})[one.words] = None
    if len(words) < 2:
        _cycle_scale(figure, axes, len(styles))
        return
    names = [" and ".join(ways) for ways in words.values()]
    last = {segment: style for (segment, _), style in styles.items()}
    handles = [Line2D([], [], linewidth=1.5, **style) for style in last.values()]
    told = [
        f"{name} (segment {segment})" if names.count(name) > 1 else name
        for name, segment in zip(names, words, strict=True)
    ]
    figure.legend(handles, told, loc="outside right upper", frameon=False, fontsize=8, labelcolor=INK)


def _cycle_scale(figure: Figure, axes: Axes, count: int) -> None:
    """Which shade is which cycle."""
    if count < 2:
        return
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ListedColormap(colormaps["Blues"](np.linspace(0.35, 0.95, 256)))
    shown = ScalarMappable(Normalize(1, count), scale)
    bar = figure.colorbar(shown, ax=axes, shrink=0.4, aspect=14, pad=0.02)
    bar.set_ticks([1, count])
    bar.set_label("cycle", color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=0)
