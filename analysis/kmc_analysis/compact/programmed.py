"""Conductance against the compliance that programmed it: of the simulation, of a model, and as measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc.errors import UserError
from kmc.units import format_si
from kmc_analysis.compact.data import Trace

# The measured law of the compliance-programmed device (John et al. 2022, Fig. S28). The text gives its
# inverse with 1.249e-5, and it is negative under 3.9 uA.
LAW_SLOPE_PER_V, LAW_OFFSET_S = 3.338, -1.294e-5


@dataclass(frozen=True)
class Programmed:
    """One programmed device: the limit in A, the conductances in S at once and at the end of its trace."""

    name: str
    limit: float
    first: float
    last: float


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
        found.append(Programmed(one.name, float(limits[0]), float(first), float(last)))
    return sorted(found, key=lambda item: item.limit)


def line(limits: Sequence[float], conductances: Sequence[float]) -> tuple[float, float, float]:
    """Slope (1/V), offset (S) and R squared of the means at each limit; not a number for fewer than two."""
    levels = np.unique(limits)
    if levels.size < 2:
        return math.nan, math.nan, math.nan
    means = np.array([np.mean([g for i, g in zip(limits, conductances, strict=True) if i == one])
                      for one in levels])  # fmt: skip
    slope, offset = np.polyfit(levels, means, 1)
    spread = float(np.sum((means - means.mean()) ** 2))
    miss = float(np.sum((means - slope * levels - offset) ** 2))
    return float(slope), float(offset), 1.0 - miss / spread if spread > 0.0 else math.nan


def summary(found: Sequence[Programmed]) -> dict[str, Any]:
    """The simulated law as plain data for JSON."""
    slope, offset, squared = line([one.limit for one in found], [one.first for one in found])
    rows = [{"name": o.name, "limit_A": o.limit, "first_S": o.first, "last_S": o.last} for o in found]
    numbers = {"slope_per_V": slope, "offset_S": offset, "r_squared": squared}
    return {k: v if math.isfinite(v) else None for k, v in numbers.items()} | {"devices": rows}


def text(found: Sequence[Programmed]) -> list[str]:
    """Lines of Markdown: a table of the devices, and the line beside the measured one."""
    lines = ["| programmed | compliance | at once | at the end | measured law |", "|---|---|---|---|---|"]
    for one in found:
        law = LAW_SLOPE_PER_V * one.limit + LAW_OFFSET_S
        cells = [format_si(one.limit, "A"), *(format_si(g, "S", 3) for g in (one.first, one.last, law))]
        lines.append("| " + " | ".join([one.name, *cells]) + " |")
    slope, offset, squared = line([one.limit for one in found], [one.first for one in found])
    told = f"{slope:.3g} per V, offset {offset:.3g} S, R squared {squared:.3f}"
    return [
        *lines,
        "",
        f"Simulated law, at once: {told}; measured {LAW_SLOPE_PER_V} per V, {LAW_OFFSET_S} S.",
    ]
