"""The simplest model, on which the integrator stands alone: 1 kohm, and a state that decays in 1 s."""

from __future__ import annotations

from kmc.cache import njit


@njit
def prepared(given):
    """The parameters, with what follows from them alone; here that is nothing."""
    return given


@njit
def current(volt, s, p):
    """Current in A at `volt` V."""
    return volt / 1000.0


@njit
def series(s, p):
    """Resistance in ohm in front of the device."""
    return 0.0


@njit
def rates(volt, amp, s, p, out):
    """Writes d(state)/dt in 1/s to `out`."""
    out[0] = -s[0]
