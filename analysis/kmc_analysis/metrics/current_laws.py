"""Slopes of current against voltage, and activation energies."""

from __future__ import annotations

import math

import numpy as np

from kmc.core.units import K_B

_NEAR = math.log10(1.1)
_LEAST_DECADES = 0.15  # that a line spans


def log_slope(voltage: np.ndarray, current: np.ndarray) -> float:
    """Slope of log |I| against log |V| by least squares."""
    keep = (voltage != 0) & (current != 0)
    if keep.sum() < 2:
        return math.nan
    return float(np.polyfit(np.log(np.abs(voltage[keep])), np.log(np.abs(current[keep])), 1)[0])


def regimes(voltage: np.ndarray, current: np.ndarray) -> list[float]:
    """The log-log slopes of I(V): as few straight lines as follow it within 10 %, as one fits them to a plot.

    From the lowest voltage on each line goes as far as it can; those of less than 0.15 decades do not count.
    """
    keep = (voltage > 0) & (current > 0)
    x, y = np.log10(voltage[keep]), np.log10(current[keep])
    found, start = [], 0
    while start < len(x) - 1:
        end = next((k for k in range(len(x), start + 1, -1) if _straight(x[start:k], y[start:k])), start + 2)
        if x[end - 1] - x[start] >= _LEAST_DECADES:
            found.append(float(np.polyfit(x[start:end], y[start:end], 1)[0]))
        start = end - 1
    return found


def _straight(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the best line through the points is nowhere off by more than 10 % in current."""
    return bool(np.abs(y - np.polyval(np.polyfit(x, y, 1), x)).max() <= _NEAR)


def activation_energy(temperature: np.ndarray, resistance: np.ndarray) -> float:
    """E of R = R0 exp(+E / k T), eV. (The experiment's text prints the sign of a metal.)"""
    return float(np.polyfit(1.0 / (K_B * temperature), np.log(resistance), 1)[0])
