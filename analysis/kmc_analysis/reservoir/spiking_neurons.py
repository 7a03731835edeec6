"""Spike trains of adaptive exponential integrate-and-fire neurons in four firing patterns.

    C dV/dt = -g (V - E) + g D exp((V - V_T) / D) - w + I
    tau dw/dt = a (V - E) - w;   at a spike V <- V_r, w <- w + b

R. Brette and W. Gerstner, J. Neurophysiol. 94, 3637 (2005). The parameters of the patterns are those of R.
Naud, N. Marcille, C. Clopath and W. Gerstner, Biol. Cybern. 99, 335 (2008), table 1; the experiment gives
none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CLASSES = ("bursting", "adaptation", "tonic", "irregular")
STEP_S = 1e-4  # explicit Euler; half of it moves no spike of the first 50 ms by 2 ms, without noise
PEAK_MV = 0.0  # a spike
_HOTTEST = 30.0  # of the exponential's argument: the spike is over before


@dataclass(frozen=True)
class Neuron:
    """One pattern's neuron: C in pF, g and a in nS, E, V_T, D and V_r in mV, tau in ms, b and I in pA."""

    C: float
    g: float
    E: float
    V_T: float
    D: float
    a: float
    tau: float
    b: float
    V_r: float
    I: float  # noqa: E741


# Naud et al., table 1: regular bursting (4d), adaptation (4b), tonic spiking (4a), irregular spiking (4h).
PATTERNS = {
    "bursting": Neuron(200.0, 10.0, -58.0, -50.0, 2.0, 2.0, 120.0, 100.0, -46.0, 210.0),
    "adaptation": Neuron(200.0, 12.0, -70.0, -50.0, 2.0, 2.0, 300.0, 60.0, -58.0, 500.0),
    "tonic": Neuron(200.0, 10.0, -70.0, -50.0, 2.0, 2.0, 30.0, 0.0, -58.0, 500.0),
    "irregular": Neuron(100.0, 12.0, -60.0, -50.0, 2.0, -11.0, 130.0, 30.0, -48.0, 160.0),
}


# ln 2 in two parts, of which the first times a whole number up to 2^20 is exact; and 1/k! from k = 0 on.
_LN2_HIGH, _LN2_LOW, _PER_LN2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.0 / math.log(2.0)
_COLDEST = -745.0  # e to the power of less is none
_TAYLOR = [1.0 / math.factorial(k) for k in range(14)]


def simulate(
    labels: np.ndarray, duration_s: float, noise_V: float, current_spread: float, stream: np.random.Generator
) -> list[np.ndarray]:
    """Spike times in s, one sorted array for each label (an index into CLASSES).

    noise_V: standard deviation that white current noise gives the membrane without spikes; current_spread:
    that of each neuron's current, over its mean. All start at rest, where the current begins.
    """
    table = np.array([[getattr(PATTERNS[name], key) for key in Neuron.__dataclass_fields__] for name in CLASSES])
    C, g, E, V_T, D, a, tau, b, V_r, current = table[labels].T
    current = current * (1.0 + current_spread * stream.standard_normal(labels.size))
    step = 1e3 * STEP_S
    kick = 1e3 * noise_V * np.sqrt(2.0 * step * g / C)
    V, w = E.copy(), np.zeros(labels.size)
    who, when = [], []
    for k in range(round(duration_s / STEP_S)):
        upward = g * D * exponential(np.minimum((V - V_T) / D, _HOTTEST))
        slope = (g * (E - V) + upward - w + current) / C
        w += step * (a * (V - E) - w) / tau
        V += step * slope
        if noise_V:
            V += kick * stream.standard_normal(labels.size)
        fired = np.flatnonzero(V > PEAK_MV)
        if fired.size:
            V[fired], w[fired] = V_r[fired], w[fired] + b[fired]
            who.append(fired)
            when.append(np.full(fired.size, (k + 1) * STEP_S))
    return _apart(who, when, labels.size)


def exponential(x: np.ndarray) -> np.ndarray:
    """e to the power of x (up to 709), within 2e-15 of itself, by sums and products in one order.

    Processors round numpy's own in ways of their own, and irregular firing is chaotic: a difference of 1e-16
    would give other trains, and accuracies that differ by a point.
    """
    x = np.maximum(x, _COLDEST)
    halvings = np.rint(x * _PER_LN2)
    rest = (x - halvings * _LN2_HIGH) - halvings * _LN2_LOW
    power = np.full_like(rest, _TAYLOR[-1])
    for one in _TAYLOR[-2::-1]:
        power = power * rest + one
    return np.ldexp(power, halvings.astype(np.int32))


def _apart(who: list[np.ndarray], when: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The times of each neuron."""
    if not who:
        return [np.empty(0) for _ in range(count)]
    neuron, time = np.concatenate(who), np.concatenate(when)
    order = np.argsort(neuron, kind="stable")
    return np.split(time[order], np.searchsorted(neuron[order], np.arange(1, count)))
