"""The integrator of compact models: adaptive, linearly implicit, with the circuit solved inside.

`reference` makes a module for each model from this file's text: the import of the resistor gives way to the
model's own functions, so that numba compiles straight through them.

Method: ROS2, second order and L-stable with any approximate Jacobian (J. G. Verwer et al., SIAM J. Sci.
Comput. 20, 1456 (1999)), its error taken from the embedded Euler step.
"""

from __future__ import annotations

import math

import numpy as np

from kmc.cache import njit
from kmc_analysis.compact.resistor import current, prepared, rates, series

GAMMA = 1.0 - math.sqrt(0.5)
MOST_TRIES = 2000  # a point on average: what needs more is given up
SOFTNESS_V = 2e-3  # voltage over which the limiter takes hold
LAST_STEP_V = 1e-7  # of Newton; its square over the softness, the error that is left, is picovolts
BEYOND_V = 1e-9  # so far at least a voltage lies outside its bracket where this is widened


@njit
def beyond(volt, amp, side, source_V, limit_A, ohm, s, p):
    """A bound of the circuit's device voltage, which is below (`side` -1) or above (1) `volt`, where the
    current is `amp`: there it is no larger (no smaller), nor is what it drops."""
    if limit_A == math.inf:
        return source_V - ohm * amp
    if abs(amp) < limit_A:
        return source_V - ohm * amp - SOFTNESS_V * math.atanh(amp / limit_A)
    reach = SOFTNESS_V  # the device drives more than the limit: on, until it does not
    while abs(amp) >= limit_A and reach < 1e3:
        volt, reach = volt + side * reach, 2.0 * reach
        amp = current(volt, s, p)
    return volt


@njit
def device_voltage(source_V, limit_A, guess_V, s, p):
    """Device voltage in V behind the series resistance and the limiter I = limit tanh(drop / SOFTNESS_V).

    Newton, kept inside a bracket; the current must not fall with voltage. The bracket is from 0 V to the
    source, and is widened where a device that drives a current by itself lies beyond.
    """
    ohm = series(s, p)
    if limit_A == math.inf and ohm == 0.0:
        return source_V
    low, high = min(source_V, 0.0), max(source_V, 0.0)
    lowest, highest = low, high
    volt = min(max(guess_V, low), high)
    for _ in range(200):
        amp = current(volt, s, p)
        step_V = 1e-7 + 1e-6 * abs(volt)
        slope = (current(volt + step_V, s, p) - amp) / step_V
        drop = source_V - volt - ohm * amp
        if limit_A == math.inf:
            excess, slope = -drop, 1.0 + ohm * slope
        else:
            held = math.tanh(drop / SOFTNESS_V)
            excess = amp - limit_A * held
            slope += limit_A * (1.0 - held * held) / SOFTNESS_V * (1.0 + ohm * slope)
        if excess > 0.0:
            high = volt
        else:
            low = volt
        new = volt - excess / slope if slope > 0.0 else low
        if low < new < high:
            if abs(new - volt) <= LAST_STEP_V:
                return new
        else:
            new = 0.5 * (low + high)
            if abs(new - volt) <= 1e-11 + 1e-9 * abs(volt):
                at_end = low == lowest if excess > 0.0 else high == highest
                if not at_end:
                    return new
                if excess > 0.0:
                    lowest = beyond(low, current(low, s, p), -1.0, source_V, limit_A, ohm, s, p)
                    if lowest > low - BEYOND_V:
                        return new
                    low = lowest
                else:
                    highest = beyond(high, current(high, s, p), 1.0, source_V, limit_A, ohm, s, p)
                    if highest < high + BEYOND_V:
                        return new
                    high = highest
        volt = new
    return volt


@njit
def slope_of(source_V, limit_A, guess_V, s, p, out):
    """Writes d(state)/dt in 1/s to `out`; returns the device voltage in V."""
    volt = device_voltage(source_V, limit_A, guess_V, s, p)
    rates(volt, current(volt, s, p), s, p, out)
    return volt


@njit
def fill(out, values):
    """Copy one by one: an assignment to a slice takes numba seconds to compile, for its messages."""
    if out.size != values.size:
        raise ValueError("not as many values as places")
    for i in range(out.size):
        out[i] = values[i]


@njit
def solve(matrix, right):
    """Solution of one or two linear equations by Cramer's rule, written over `right`."""
    if right.size == 1:
        right[0] /= matrix[0, 0]
        return
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    first = (right[0] * matrix[1, 1] - matrix[0, 1] * right[1]) / determinant
    right[1] = (matrix[0, 0] * right[1] - right[0] * matrix[1, 0]) / determinant
    right[0] = first


@njit
def try_step(source_V, next_V, step_s, limit_A, guess_V, s, p, work, matrix, rtol):
    """One step from `s`; the new states are in work[4]. Returns the error over what is allowed."""
    base, second, moved, shifted, new = work[0], work[1], work[2], work[3], work[4]
    volt = slope_of(source_V, limit_A, guess_V, s, p, base)
    for j in range(s.size):
        fill(shifted, s)
        by = 1e-6 * max(abs(s[j]), 1e-2)
        shifted[j] += by
        slope_of(source_V, limit_A, volt, shifted, p, moved)
        for i in range(s.size):
            matrix[i, j] = -GAMMA * step_s * (moved[i] - base[i]) / by
        matrix[j, j] += 1.0
    solve(matrix, base)
    for i in range(s.size):
        shifted[i] = s[i] + step_s * base[i]
    slope_of(next_V, limit_A, volt, shifted, p, second)
    for i in range(s.size):
        second[i] -= 2.0 * base[i]
    solve(matrix, second)
    worst = 0.0
    for i in range(s.size):
        new[i] = s[i] + step_s * (1.5 * base[i] + 0.5 * second[i])
        if not math.isfinite(new[i]):
            return math.inf
        error = 0.5 * step_s * abs(base[i] + second[i])
        worst = max(worst, error / (0.1 * rtol + rtol * max(abs(s[i]), abs(new[i]))))
    return worst


@njit
def integrate(times_s, sources_V, limits_A, s, p, rtol, volts, amps, states):
    """Follow one device through a source that is straight between the points; returns the steps taken.

    times_s, sources_V, limits_A: [n]; a limit holds from its point to the next. s: [states], overwritten
    with the last ones. volts, amps: [n] and states: [n, states] are written. Returns -1 where no step is
    small enough, or too many are needed.
    """
    p = prepared(p)
    work = np.empty((5, s.size))
    matrix = np.empty((s.size, s.size))
    taken, tries = 0, 0
    step_s = math.inf
    volt = 0.0
    for k in range(times_s.size):
        volt = device_voltage(sources_V[k], limits_A[k], volt, s, p)
        volts[k], amps[k] = volt, current(volt, s, p)
        fill(states[k], s)
        if k + 1 == times_s.size:
            break
        length = times_s[k + 1] - times_s[k]
        done = 0.0
        while length - done > 1e-12 * length:  # a rest that is rounding is no step
            step_s = min(step_s, length - done)
            if step_s < 1e-15 * length:
                return -1
            start = sources_V[k] + (sources_V[k + 1] - sources_V[k]) * done / length
            end = sources_V[k] + (sources_V[k + 1] - sources_V[k]) * (done + step_s) / length
            tries += 1
            if tries > MOST_TRIES * times_s.size:
                return -1
            worst = try_step(start, end, step_s, limits_A[k], volt, s, p, work, matrix, rtol)
            if worst <= 1.0:
                fill(s, work[4])
                done = length if done + step_s >= length else done + step_s
                taken += 1
            step_s *= min(max(0.9 / math.sqrt(worst + 1e-12), 0.1), 6.0)
    return taken


@njit
def follow_all(times_s, sources_V, limits_A, starts, parameters, rtol, amps):
    """A population through one source: starts [devices, states], parameters [devices, n], amps [devices,
    points] is written. Returns all steps taken, or -1."""
    taken = 0
    volts = np.empty(times_s.size)
    states = np.empty((times_s.size, starts.shape[1]))
    for device in range(starts.shape[0]):
        count = integrate(
            times_s,
            sources_V,
            limits_A,
            starts[device],
            parameters[device],
            rtol,
            volts,
            amps[device],
            states,
        )
        if count < 0:
            return -1
        taken += count
    return taken
