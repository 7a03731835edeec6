"""Conductance against the compliance that programs it, as measured (John et al. 2022, supplementary note 4).

The law is G = 3.338 Icc - 1.294e-5, negative under 3.9 uA; the text gives its inverse with another offset,
Icc = (G + 1.249e-5) / 3.338.
"""

from __future__ import annotations

SLOPE_PER_V, OFFSET_S, INVERSE_S = 3.338, -1.294e-5, 1.249e-5


def mean_conductance(limit_A: float) -> float:
    """Mean conductance in S after programming at a limit in A."""
    return SLOPE_PER_V * limit_A + OFFSET_S
