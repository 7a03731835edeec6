"""Slopes of current against voltage, activation energies, and whether a curve beats a line."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

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


def curve_over_line(x: np.ndarray, y: np.ndarray) -> float:
    """AIC of the best line less that of the best curve (a parabola or an exponential), all values of y [n].

    AIC = n log(RSS / n) + 2 k with k the parameters and the variance.
    """
    line = _aic(np.polyval(np.polyfit(x, y, 1), x), y, 3)
    curves = [_aic(np.polyval(np.polyfit(x, y, 2), x), y, 4)]
    span = float(np.ptp(x))

    def misfit(log_c: float) -> float:
        return _exponential(x, y, span * math.exp(log_c))[1]

    best = optimize.minimize_scalar(misfit, bounds=(-4.0, 3.0), method="bounded")
    curves.append(_aic(_exponential(x, y, span * math.exp(float(best.x)))[0], y, 4))
    return line - min(curves)


def _exponential(x: np.ndarray, y: np.ndarray, scale: float) -> tuple[np.ndarray, float]:
    """The best a + b exp(-x / scale), rising or levelling off, and its sum of squares."""
    base = np.stack([np.ones_like(x), np.exp(-(x - x.min()) / scale)], axis=1)
    fitted = base @ np.linalg.lstsq(base, y, rcond=None)[0]
    return fitted, float(np.sum((y - fitted) ** 2))


def _aic(fitted: np.ndarray, y: np.ndarray, parameters: int) -> float:
    residual = max(float(np.sum((y - fitted) ** 2)), 1e-30 * float(np.sum(y**2)) + 1e-300)
    return len(y) * math.log(residual / len(y)) + 2 * parameters
