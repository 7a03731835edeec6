"""The integrator of compact models: adaptive, linearly implicit, with the circuit solved inside.

The integrator calls a model's functions by their addresses: it is compiled once, which takes seven seconds,
and not for each model. They take the states `s` and the parameters `p` of a device, behind which is what
follows from these alone:

- current(volt, s, p): the current in A at `volt` V.
- series(s, p): the resistance in ohm in front of the device.
- rates(volt, amp, s, p, out): writes d(state)/dt in 1/s at `volt` V and `amp` A to `out`.
- begin(s, p): writes the states in which it starts to `s`, and what follows from the parameters to `p`.

What is followed is branches of the same equations side by side, one or more, each with parameters and states
of its own, behind one resistance and one limiter: they meet in the device voltage alone.

Method: ROS2, second order and L-stable with any approximate Jacobian (J. G. Verwer et al., SIAM J. Sci.
Comput. 20, 1456 (1999)), its error taken from the embedded Euler step.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from kmc.cache import njit

_ROW, _ROWS = types.float64[::1], types.float64[:, ::1]
CURRENT = types.float64(types.float64, _ROW, _ROW)
SERIES = types.float64(_ROW, _ROW)
RATES = types.void(types.float64, types.float64, _ROW, _ROW, _ROW)
BEGIN = types.void(_ROW, _ROW)

GAMMA = 1.0 - math.sqrt(0.5)
MOST_TRIES = 2000  # a point on average: what needs more is given up
SOFTNESS_V = 2e-3  # voltage over which the limiter takes hold
LAST_STEP_V = 1e-7  # of Newton; its square over the softness, the error that is left, is picovolts
LEAST_SECANT_V = 1e-9  # over less, rounding tells the slope
BEYOND_V = 1e-9  # so far at least a voltage lies outside its bracket where this is widened


@njit
def total(current, volt, s, p):
    """The current in A of all branches at one voltage."""
    amp = 0.0
    for b in range(s.shape[0]):
        amp += current(volt, s[b], p[b])
    return amp


@njit
def beyond(current, volt, side, source_V, limit_A, ohm, s, p):
    """A bound of the circuit's device voltage, which is below (`side` -1) or above (1) `volt`: there the
    current is no larger (no smaller), nor is what it drops."""
    amp = total(current, volt, s, p)
    if limit_A == math.inf:
        return source_V - ohm * amp
    if abs(amp) < limit_A:
        return source_V - ohm * amp - SOFTNESS_V * math.atanh(amp / limit_A)
    reach = SOFTNESS_V  # the device drives more than the limit: on, until it does not
    while abs(amp) >= limit_A and reach < 1e3:
        volt, reach = volt + side * reach, 2.0 * reach
        amp = total(current, volt, s, p)
    return volt


@njit
def device_voltage(current, series, source_V, limit_A, guess_V, s, p):
    """Device voltage in V behind the series resistance and the limiter I = limit tanh(drop / SOFTNESS_V), and
    the device's slope there in S (0 where nothing is in front of it).

    Newton, kept inside a bracket, with the secant for the device; its current must not fall with voltage. The
    bracket is from 0 V to the source, and is widened where a device that drives a current by itself lies
    beyond.
    """
    ohm = series(s[0], p[0])  # in front of all branches
    if limit_A == math.inf and ohm == 0.0:
        return source_V, 0.0
    low, high = min(source_V, 0.0), max(source_V, 0.0)
    lowest, highest = low, high
    volt = min(max(guess_V, low), high)
    amp = total(current, volt, s, p)
    step_V = 1e-7 + 1e-6 * abs(volt)
    conducts = (total(current, volt + step_V, s, p) - amp) / step_V
    for _ in range(200):
        drop = source_V - volt - ohm * amp
        if limit_A == math.inf:
            excess, slope = -drop, 1.0 + ohm * conducts
        else:
            held = math.tanh(drop / SOFTNESS_V)
            excess = amp - limit_A * held
            slope = conducts + limit_A * (1.0 - held * held) / SOFTNESS_V * (1.0 + ohm * conducts)
        if excess > 0.0:
            high = volt
        else:
            low = volt
        new = volt - excess / slope if slope > 0.0 else low
        if low < new < high:
            if abs(new - volt) <= LAST_STEP_V:
                return new, conducts
        else:
            new = 0.5 * (low + high)
            if abs(new - volt) <= 1e-11 + 1e-9 * abs(volt):
                at_end = low == lowest if excess > 0.0 else high == highest
                if not at_end:
                    return new, conducts
                if excess > 0.0:
                    lowest = beyond(current, low, -1.0, source_V, limit_A, ohm, s, p)
                    if lowest > low - BEYOND_V:
                        return new, conducts
                    low = lowest
                else:
                    highest = beyond(current, high, 1.0, source_V, limit_A, ohm, s, p)
                    if highest < high + BEYOND_V:
                        return new, conducts
                    high = highest
        before = amp
        amp = total(current, new, s, p)
        if abs(new - volt) > LEAST_SECANT_V:
            conducts = (amp - before) / (new - volt)
        volt = new
    return volt, conducts


@njit
def rates_of(current, rates, volt, s, p, out):
    """Writes d(state)/dt in 1/s [branches, states] to `out`, at a device voltage; returns the current."""
    amp = 0.0
    for b in range(s.shape[0]):
        own = current(volt, s[b], p[b])
        amp += own
        rates(volt, own, s[b], p[b], out[b])
    return amp


@njit
def copy(out, values):
    """Copy one by one: an assignment to a slice takes numba seconds to compile, for its messages."""
    for b in range(values.shape[0]):
        for i in range(values.shape[1]):
            out[b, i] = values[b, i]


@njit
def yielding(drop_V, limit_A, ohm, amp, conducts):
    """A change of the current by di and of the series resistance by dr moves the device voltage by -(first di
    + second dr)."""
    soft = 0.0  # the limiter's own resistance
    if limit_A != math.inf:
        held = math.tanh(drop_V / SOFTNESS_V)
        soft = SOFTNESS_V / (limit_A * max(1.0 - held * held, 1e-12))
    beneath = 1.0 + (soft + ohm) * conducts
    return (soft + ohm) / beneath, amp / beneath


@njit
def linearise(current, series, rates, volt, by_amp, by_ohm, weight_s, s, p, base, moved, blocks, push, pull):
    """The matrix 1 - weight J of a step, J = d(rates)/d(states): a block [states, states] for each branch at
    the voltage as it is, plus push pull^T for what branches do to each other by way of the voltage.

    by_amp, by_ohm: of `yielding`; base: the rates at `volt`; moved: work space. The last three are written.
    """
    step_V = 1e-7 + 1e-6 * abs(volt)
    rates_of(current, rates, volt + step_V, s, p, moved)
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            push[b, i] = -weight_s * (moved[b, i] - base[b, i]) / step_V
        amp, ohm = current(volt, s[b], p[b]), series(s[b], p[b])
        for j in range(s.shape[1]):
            kept = s[b, j]
            by = 1e-6 * max(abs(kept), 1e-2)
            s[b, j] = kept + by
            other = current(volt, s[b], p[b])
            rates(volt, other, s[b], p[b], moved[b])
            pull[b, j] = -by_amp * (other - amp) / by
            if b == 0:
                pull[b, j] -= by_ohm * (series(s[b], p[b]) - ohm) / by
            s[b, j] = kept
            for i in range(s.shape[1]):
                blocks[b, i, j] = -weight_s * (moved[b, i] - base[b, i]) / by
            blocks[b, j, j] += 1.0


@njit
def solve_blocks(blocks, right):
    """Solution of one or two linear equations for each branch by Cramer's rule, written over `right`."""
    for b in range(right.shape[0]):
        one, of = right[b], blocks[b]
        if one.size == 1:
            one[0] /= of[0, 0]
            continue
        determinant = of[0, 0] * of[1, 1] - of[0, 1] * of[1, 0]
        first = (one[0] * of[1, 1] - of[0, 1] * one[1]) / determinant
        one[1] = (of[0, 0] * one[1] - one[0] * of[1, 0]) / determinant
        one[0] = first


@njit
def solve(blocks, push, pull, right):
    """Solution of the linear equations of a step over `right` (Sherman and Morrison); `push` is already the
    blocks' solution of what it was."""
    solve_blocks(blocks, right)
    given, itself = 0.0, 0.0
    for b in range(right.shape[0]):
        for i in range(right.shape[1]):
            given += pull[b, i] * right[b, i]
            itself += pull[b, i] * push[b, i]
    for b in range(right.shape[0]):
        for i in range(right.shape[1]):
            right[b, i] -= push[b, i] * given / (1.0 + itself)


@njit
def try_step(current, series, rates, source_V, next_V, step_s, limit_A, volt, s, p, work, blocks, rtol):
    """One step from `s`, where the device voltage is about `volt`; the new states are in work[4]. Returns the
    error over what is allowed."""
    base, second, push, pull, new = work[0], work[1], work[2], work[3], work[4]
    volt, conducts = device_voltage(current, series, source_V, limit_A, volt, s, p)
    amp, ohm = rates_of(current, rates, volt, s, p, base), series(s[0], p[0])
    by_amp, by_ohm = yielding(source_V - volt - ohm * amp, limit_A, ohm, amp, conducts)
    weight = GAMMA * step_s
    linearise(current, series, rates, volt, by_amp, by_ohm, weight, s, p, base, second, blocks, push, pull)
    solve_blocks(blocks, push)
    solve(blocks, push, pull, base)
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            new[b, i] = s[b, i] + step_s * base[b, i]
    volt, _ = device_voltage(current, series, next_V, limit_A, volt, new, p)
    rates_of(current, rates, volt, new, p, second)
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            second[b, i] -= 2.0 * base[b, i]
    solve(blocks, push, pull, second)
    worst = 0.0
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            new[b, i] = s[b, i] + step_s * (1.5 * base[b, i] + 0.5 * second[b, i])
            if not math.isfinite(new[b, i]):
                return math.inf
            error = 0.5 * step_s * abs(base[b, i] + second[b, i])
            worst = max(worst, error / (0.1 * rtol + rtol * max(abs(s[b, i]), abs(new[b, i]))))
    return worst


def integrate(current, series, rates, times_s, sources_V, limits_A, s, p, rtol, volts, amps, states):
    """Follow one device through a source that is straight between the points; returns the steps taken.

    times_s, sources_V, limits_A: [n]; a limit holds from its point to the next. s: [branches, states],
    overwritten with the last ones; p: [branches, parameters]. volts, amps: [n] and states: [n, branches,
    states] are written. Returns -1 where no step is small enough, or too many are needed. `compiled` is this.
    """
    work = np.empty((5, *s.shape))
    blocks = np.empty((*s.shape, s.shape[1]))
    taken, tries = 0, 0
    step_s = math.inf
    volt = 0.0
    for k in range(times_s.size):
        volt, _ = device_voltage(current, series, sources_V[k], limits_A[k], volt, s, p)
        volts[k], amps[k] = volt, total(current, volt, s, p)
        copy(states[k], s)
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
            worst = try_step(
                current, series, rates, start, end, step_s, limits_A[k], volt, s, p, work, blocks, rtol
            )
            if worst <= 1.0:
                copy(s, work[4])
                done = length if done + step_s >= length else done + step_s
                taken += 1
            step_s *= min(max(0.9 / math.sqrt(worst + 1e-12), 0.1), 6.0)
    return taken


@lru_cache(maxsize=1)
def compiled() -> Any:
    """`integrate` as numba compiles it: a model is given to it, and is no part of it."""
    model = (types.FunctionType(one) for one in (CURRENT, SERIES, RATES))
    arrays = (_ROW, _ROW, _ROW, _ROWS, _ROWS, types.float64, _ROW, _ROW, types.float64[:, :, ::1])
    signature = types.int64(*model, *arrays)
    return njit(signature_or_function=signature, nogil=True)(integrate)
