"""Slopes of current against voltage, activation energies, and whether a curve beats a line."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from kmc.units import K_B

_APART = 0.5  # of log-log slopes: more makes another regime
_LEAST_DECADES = 0.15  # that a regime spans


def log_slope(voltage: np.ndarray, current: np.ndarray) -> float:
    """Slope of log |I| against log |V| by least squares."""
    keep = (voltage != 0) & (current != 0)
    if keep.sum() < 2:
        return math.nan
    return float(np.polyfit(np.log(np.abs(voltage[keep])), np.log(np.abs(current[keep])), 1)[0])


def regimes(voltage: np.ndarray, current: np.ndarray) -> list[float]:
    """The log-log slopes of I(V), one a regime: stretches of 0.15 decades and more whose slopes differ by
    over 0.5 from their neighbours'."""
    keep = (voltage > 0) & (current > 0)
    x, y = np.log10(voltage[keep]), np.log10(current[keep])
    if len(x) < 3:
        return []
    slopes, widths = np.diff(y) / np.diff(x), np.diff(x)
    found: list[list[float]] = []  # slope x width, width
    for slope, width in zip(slopes, widths, strict=True):
        if found and abs(slope - found[-1][0] / found[-1][1]) <= _APART:
            found[-1][0] += slope * width
            found[-1][1] += width
        else:
            found.append([slope * width, width])
    return [total / width for total, width in found if width >= _LEAST_DECADES]


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
