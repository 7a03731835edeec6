"""The outer circuit: source, series resistance and an ideal limiter in both polarities."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq


@dataclass(frozen=True)
class Operating:
    """Where device and circuit meet: V, A, and whether the limiter holds the current."""

    voltage_device: float
    current: float
    limited: bool


def solve(source_V: float, series_ohm: float, limit_A: float, current: Callable[[float], float]) -> Operating:
    """Device voltage with V + R I(V) = V_source and |I| <= limit, by Brent's method.

    `current` must rise with the voltage. The limiter is ideal: at its limit it takes the voltage it must.
    """
    if source_V == 0.0:
        return Operating(0.0, 0.0, False)
    sign = math.copysign(1.0, source_V)

    def excess(size: float) -> float:
        return size + series_ohm * abs(current(sign * size)) - abs(source_V)

    size = abs(source_V) if series_ohm == 0.0 else _root(excess, abs(source_V))
    if abs(current(sign * size)) <= limit_A:
        return Operating(sign * size, current(sign * size), False)
    size = _root(lambda v: abs(current(sign * v)) - limit_A, size)
    return Operating(sign * size, sign * limit_A, True)


def _root(function: Callable[[float], float], high: float) -> float:
    """Zero of a rising function between 0 and high; high where it has none."""
    return brentq(function, 0.0, high, xtol=1e-15, rtol=1e-12) if function(high) > 0.0 else high
