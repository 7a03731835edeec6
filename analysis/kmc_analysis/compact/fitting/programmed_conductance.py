"""Conductance against the compliance that programmed it: of the simulation, of a model, and as measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc_analysis.compact.fitting.fit_data import Trace
from kmc_analysis.metrics import compliance_law

AT_LIMIT = 0.99  # of the limit: from there on it is the limiter that holds the current


@dataclass(frozen=True)
class Programmed:
    """One programmed device: the limit in A, the conductances in S at once and at the end of its trace.

    reached: whether the limiter held the current when the programming ended; if not, the conductance says
    nothing of the limit.
    """

    name: str
    limit: float
    first: float
    last: float
    reached: bool


def programmed(traces: Sequence[Trace]) -> list[Programmed]:
    """What each trace says: its limit is the only finite one, and the points after it without a limit are
    reads. UserError for a trace with no limit, several, or nothing after it."""
    found = []
    for one in traces:
        limits = np.unique(one.drive.compliance[np.isfinite(one.drive.compliance)])
        held = np.flatnonzero(np.isfinite(one.drive.compliance))
        reads = np.flatnonzero(one.used & (np.arange(one.used.size) > (held[-1] if held.size else 0)))
        if limits.size != 1 or not reads.size:
            raise UserError(
                f"{one.name} was not programmed: {limits.size} limits and {reads.size} reads after them",
                next_step="give runs that hold one compliance and then read without one",
            )
        first, last = 10.0 ** one.log_g[reads[[0, -1]]]
        wanted = 10.0 ** one.log_g[held] * np.abs(one.drive.voltage[held])  # what the source would drive
        reached = bool(np.any(wanted[one.used[held]][-1:] >= AT_LIMIT * limits[0]))
        found.append(Programmed(one.name, float(limits[0]), float(first), float(last), reached))
    return sorted(found, key=lambda item: item.limit)


def line(limits: Sequence[float], conductances: Sequence[float]) -> tuple[float, float, float]:
    """Slope (1/V), offset (S) and R squared of the means at each limit; not a number for fewer than two."""
    levels = np.unique(limits)
    if levels.size < 2:
        return math.nan, math.nan, math.nan
    means = np.array([np.mean([g for i, g in zip(limits, conductances, strict=True) if i == one]) for one in levels])
    slope, offset = np.polyfit(levels, means, 1)
    spread = float(np.sum((means - means.mean()) ** 2))
    miss = float(np.sum((means - slope * levels - offset) ** 2))
    return float(slope), float(offset), 1.0 - miss / spread if spread > 0.0 else math.nan


def law(found: Sequence[Programmed]) -> tuple[float, float, float]:
    """Slope (1/V), offset (S) and R squared over the devices that reached their limit (see `line`)."""
    there = [one for one in found if one.reached]
    return line([one.limit for one in there], [one.first for one in there])


def summary(found: Sequence[Programmed]) -> dict[str, Any]:
    """The simulated law as plain data."""
    slope, offset, squared = law(found)
    rows = [
        {"name": o.name, "limit_A": o.limit, "reached": o.reached, "first_S": o.first, "last_S": o.last} for o in found
    ]
    numbers = {"slope_per_V": slope, "offset_S": offset, "r_squared": squared}
    return numbers | {"devices": rows}


def text(found: Sequence[Programmed]) -> list[str]:
    """Lines of Markdown: a table of the devices, and the line beside the measured one."""
    lines = [
        "| programmed | compliance | limit reached | at once | at the end | measured law |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        measured = compliance_law.mean_conductance(one.limit)
        shown = [format_si(g, "S", 3) for g in (one.first, one.last, measured)]
        cells = [one.name, format_si(one.limit, "A"), "yes" if one.reached else "no", *shown]
        lines.append("| " + " | ".join(cells) + " |")
    slope, offset, squared = law(found)
    told = f"{slope:.3g} per V, offset {offset:.3g} S, R squared {squared:.3f}"
    if math.isnan(slope):
        told = "none, for fewer than two limits were reached"
    measured_line = f"{compliance_law.SLOPE_PER_V} per V, {compliance_law.OFFSET_S} S"
    lines += ["", f"Simulated law, at once: {told}; measured {measured_line}."]
    short = sum(not one.reached for one in found)
    if short:
        lines.append(f"{short} of {len(found)} did not reach the limit: they say nothing of the law.")
    return lines
