"""What pictures share: colours, lines that hide no point, staircases from time 0, units, names as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kmc.core.units import format_si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = ("#1f6feb", "#d9822b", "#138a5e", "#c2334d", "#7b4fc9", "#4a5568")  # also distinguished by markers
DARKEST_A = 1e-15  # below any instrument: |I| is not drawn below
STYLES = ("-", "--", ":", "-.")  # of lines that share a colour, or have one too near to another's
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def lone(values: np.ndarray) -> dict[str, Any]:
    """Style of a line through `values`: a mark where a point has no neighbour, for a line needs two."""
    known = np.concatenate([[False], np.isfinite(values), [False]])
    alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
    return {"marker": ".", "markevery": alone.tolist()} if len(alone) else {}


def from_zero(time: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A staircase from time 0, where its first level begins: a look comes at the end of its step."""
    first = levels[:1]  # none of a run without a look
    return np.append(0.0 * first, time), np.append(first, levels)


def at_corners(time: np.ndarray, source: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """Time and columns with a step at each corner of the source's voltage, where its staircase has one: the
    first look at a new voltage is drawn from the look before it on."""
    corners = np.flatnonzero(np.diff(source)) + 1
    return [np.insert(time, corners, time[corners - 1]), *(np.insert(one, corners, one[corners]) for one in columns)]


def time_unit(longest_s: float) -> tuple[float, str]:
    """The unit of a time axis of this length, in s, and its name."""
    return next((unit for unit in _TIMES if longest_s >= unit[0]), _TIMES[-1])


def time_axis(axes: Axes, longest_s: float) -> None:
    """Name the axis of times in s, and its ticks, in the unit that fits: 0.000025 s takes too much room."""
    scale, unit = time_unit(longest_s)
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / scale:g}")
    axes.set_xlabel(f"time ({unit})")


def say_if_empty(axes: Axes, words: str = "no run") -> None:
    """A word in place of curves where there are none: empty axes look like a fault."""
    if not any(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in axes.lines):
        axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes)


def si(value: float, unit: str) -> str:
    """Three digits with the prefix that fits: "500 mV"."""
    return format_si(value, unit, 3).replace(" u", " µ")


def with_choices(name: str, choices: Mapping[str, object]) -> str:
    """A device's name, and in brackets what was chosen of it: "ogb_20nm (ligand ddab)"."""
    told = ", ".join(f"{key} {value}" for key, value in choices.items())
    return f"{name} ({told})" if told else name


def plain(name: str) -> str:
    """A user's name as text, of which no part is taken for a formula."""
    return name.replace("$", r"\$")
