"""Conductance against compliance: the experiment's law, its spread in two readings, and the simulated law."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kmc_analysis.compact.ladder import Levels, levels
from kmc_analysis.compact.model import CompactModel
from kmc_analysis.measured_law import INVERSE_S, OFFSET_S, SLOPE_PER_V
from kmc_analysis.reservoir.readout import Law

REPEATS = 16


def alternative_spread(limit: np.ndarray) -> np.ndarray:
    """sigma_G = 7.040 Icc + 3.0585 has no unit; read here as microsiemens of milliamperes."""
    return 1e-6 * (7.040 * 1e3 * limit + 3.0585)


def laws(model: CompactModel, values: Mapping[str, float]) -> dict[str, Law]:
    """The device readouts to compare: law and spread of each.

    measured: the experiment's law with the simulated spread, what the targets ask for; alternative: the same
    with the spread read as above; simulated: law and spread of the compact model, its inverse without the
    offset's fault.
    """
    found = levels(model, values, repeats=REPEATS)

    def simulated(limit: np.ndarray) -> np.ndarray:
        return np.interp(limit, found.limits, found.spread)

    slope, offset = line(found)
    return {
        "measured": Law("measured", SLOPE_PER_V, OFFSET_S, INVERSE_S, simulated),
        "alternative": Law("alternative", SLOPE_PER_V, OFFSET_S, INVERSE_S, alternative_spread),
        "simulated": Law("simulated", slope, offset, -offset, simulated),
    }


def line(found: Levels) -> tuple[float, float]:
    """Slope (1/V) and offset (S) of the mean conductance against compliance."""
    slope, offset = np.polyfit(found.limits, found.mean, 1)
    return float(slope), float(offset)
