"""Energies, barriers and rates: small formulas, each with its source, with no knowledge of lattices.

Every event is thermally activated, with forward and reverse barriers that differ by exactly the energy of
the event, so that each obeys local detailed balance at its local temperature.
"""

import math
from typing import TypeVar

import numpy as np

from kmc.core.jit_cache import njit
from kmc.core.units import EPS0, K_B

Numbers = TypeVar("Numbers", float, np.ndarray)
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
ROUNDING = 1.5 * 2.0**52  # added to a float64, leaves its integer part in the lowest bits
T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13 = (1.0 / math.factorial(n) for n in range(2, 14))


@njit(forceinline=True)
def thermal_rate(prefactor_hz: float, barrier_eV: float, temperature_K: float) -> float:
    """Harmonic transition-state rate, 1/s (Vineyard, J. Phys. Chem. Solids 3, 121 (1957))."""
    return prefactor_hz * math.exp(-barrier_eV / (K_B * temperature_K))


@njit(forceinline=True, error_model="numpy")
def exponential(x: float) -> float:
    """exp(x) for x from -700 to 0, within 5e-16, without a call or branch: so a loop over it is vectorised.

    Cody-Waite reduction, Taylor series to r^13 in Estrin's order (Muller, Elementary Functions, 2016).
    """
    x = max(x, -700.0)
    shifted = x * LOG2_E + ROUNDING
    k = shifted - ROUNDING
    r = x - k * LN2_HIGH - k * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 + r) + r2 * (T2 + T3 * r) + r4 * ((T4 + T5 * r) + r2 * (T6 + T7 * r))
    high = (T8 + T9 * r) + r2 * (T10 + T11 * r) + r4 * (T12 + T13 * r)
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52)
    return (low + r4 * r4 * high) * power.view(np.float64)


@njit(forceinline=True)
def forward_barrier(saddle_eV: float, energy_eV: float, transfer: float) -> float:
    """Barrier of an event that costs `energy_eV`, with `saddle_eV` the intrinsic barrier.

    Bronsted-Evans-Polanyi line with the Marcus clamps, shared by both directions: the reverse event has
    saddle - (1 - transfer) energy, and the difference is the energy everywhere
    (van Santen et al., Chem. Rev. 110, 2005 (2010)).
    """
    return max(saddle_eV + transfer * energy_eV, energy_eV, 0.0)


@njit(forceinline=True)
def oxidation_barrier(reduction_eV: float, chemical_eV: float, field_eV: float, transfer: float) -> float:
    """Barrier to ionise a metal atom whose bonds cost `chemical_eV` and whose charge gains `field_eV`.

    Bonds are broken before the saddle, so only the electrical part is shared between the two directions by
    the transfer coefficient (Butler-Volmer; Menzel et al., PCCP 15, 6945 (2013)).
    """
    return max(reduction_eV + chemical_eV + transfer * field_eV, chemical_eV + field_eV, 0.0)


@njit(forceinline=True)
def reduction_barrier(reduction_eV: float, chemical_eV: float, field_eV: float, transfer: float) -> float:
    """Barrier of the reverse of `oxidation_barrier`, with the same arguments."""
    return oxidation_barrier(reduction_eV, chemical_eV, field_eV, transfer) - chemical_eV - field_eV


def hop_prefactor(diffusion_prefactor_nm2_s: Numbers, length_nm: float) -> Numbers:
    """Rate prefactor per direction of a random walk with D = D0 exp(-E/kT): D0 / a^2, 1/s (Einstein 1905)."""
    return diffusion_prefactor_nm2_s / length_nm**2


def screened_pair_energy(distance_nm: np.ndarray, range_nm: float, softening_nm: float) -> np.ndarray:
    """Short-range part of the repulsion of two unit charges in a vacuum, eV; the other part is Poisson's.

    Ewald's split with a Gaussian of width `range_nm`, softened at contact (Hockney & Eastwood 1988, ch. 8).
    """
    distance = np.sqrt(np.asarray(distance_nm) ** 2 + softening_nm**2)
    short = np.array([math.erfc(d / range_nm) for d in distance.ravel()]).reshape(distance.shape)
    return short / (4 * math.pi * EPS0 * distance)
