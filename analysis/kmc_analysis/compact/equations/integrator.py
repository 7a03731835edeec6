"""The integrator of compact models: adaptive, linearly implicit, with the circuit solved inside.

What is followed is branches of one model side by side, one or more, each with parameters `p` and states `s`
of its own, behind one resistance and one limiter: they meet in the device voltage alone. `model` is its
functions (see `compiling`), at CURRENT, SERIES and RATES.

Method: RODAS3, third order, stiffly accurate and L-stable, its error taken from the embedded method of second
order (A. Sandu et al., Atmos. Environ. 31, 3459 (1997), table 3).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import types

from kmc.core.jit_cache import njit
from kmc_analysis.compact.equations.function_addresses import ROW, ROWS, model_at

OPTIONS = {"_nrt": False, "error_model": "numpy"}  # no reference is counted, no division checked
kernel = njit(**OPTIONS)
CURRENT, SERIES, RATES = range(3)
GAMMA = 0.5
BASE, PUSH, PULL, PUSHED, FIRST, SECOND, THIRD, LAST, NEW = range(9)  # of `work` [9, branches, states]
SLOPES, BLOCKS = range(2)  # of `matrices` [2, branches, states, states]; `flows` is [2, branches]
MOST_TRIES = 2000  # a point on average: what needs more is given up
SOFTNESS_V = 2e-3  # voltage over which the limiter takes hold
LAST_STEP_V = 1e-7  # of Newton; what is left is a share of it, by which the slope is off
LEAST_SECANT_V = 1e-9  # over less, rounding dominates the slope
MOST_BENT = 10.0  # times what is allowed, between the third stage and what derivatives foretell
BEYOND_V = 1e-9  # so far at least a voltage lies outside its bracket where this is widened


class Source(NamedTuple):
    """What drives a device, [n] each: straight between its points; a limit holds from one to the next."""

    times_s: np.ndarray
    sources_V: np.ndarray
    limits_A: np.ndarray


class Followed(NamedTuple):
    """What is written of a device that is followed: [n], [n] and [n, branches, states]."""

    volts: np.ndarray
    amps: np.ndarray
    states: np.ndarray


class Room(NamedTuple):
    """What is worked in: [9, branches, states], [2, branches, states, states] and [2, branches]."""

    work: np.ndarray
    matrices: np.ndarray
    flows: np.ndarray


class Step(NamedTuple):
    """A step in time: the source's voltage at its start, how far it moves, how long it is, and the limit."""

    start_V: float
    step_V: float
    step_s: float
    limit_A: float


class Begun(NamedTuple):
    """What a step begins with: the device's voltage, its slope, and what the source moves of the voltage."""

    volt: float
    conducts: float
    by_source: float


_STACKS, _MATRICES = types.float64[:, :, ::1], types.float64[:, :, :, ::1]
INTEGRATE = types.int64(  # of `integrate`
    types.int64[::1],
    types.NamedUniTuple(ROW, 3, Source),
    ROWS,
    ROWS,
    types.float64,
    types.NamedTuple((ROW, ROW, _STACKS), Followed),
    types.NamedTuple((_STACKS, _MATRICES, ROWS), Room),
)


@kernel
def beyond(model, volt, side, source_V, limit_A, ohm, s, p):
    """A bound of the circuit's device voltage, which is below (`side` -1) or above (1) `volt`: there the
    current is no larger (no smaller), nor is what it drops."""
    amp = model[CURRENT](volt, s, p)
    if limit_A == math.inf:
        return source_V - ohm * amp
    if abs(amp) < limit_A:
        return source_V - ohm * amp - SOFTNESS_V * math.atanh(amp / limit_A)
    reach = SOFTNESS_V  # the device drives more than the limit: on, until it does not
    while abs(amp) >= limit_A and reach < 1e3:
        volt, reach = volt + side * reach, 2.0 * reach
        amp = model[CURRENT](volt, s, p)
    return volt


@kernel
def device_voltage(model, source_V, limit_A, guess_V, conducts, s, p):
    """Device voltage in V behind the series resistance and the limiter I = limit tanh(drop / SOFTNESS_V), and
    about the device's slope there in S, for which `conducts` is a guess.

    Newton, kept inside a bracket, with the secant for the device; its current must not fall with voltage. The
    bracket is from 0 V to the source, and is widened for a device that drives a current without a source.
    """
    ohm = model[SERIES](s, p)  # in front of all branches
    if limit_A == math.inf and ohm == 0.0:
        return source_V, conducts
    lowest, highest = low, high = min(source_V, 0.0), max(source_V, 0.0)
    volt = min(max(guess_V, low), high)
    amp = model[CURRENT](volt, s, p)
    for _ in range(200):
        drop = source_V - volt - ohm * amp
        if limit_A == math.inf:
            excess, slope = -drop, 1.0 + ohm * conducts
        else:
            held = math.tanh(drop / SOFTNESS_V)
            excess = amp - limit_A * held
            slope = conducts + limit_A * (1.0 - held * held) / SOFTNESS_V * (1.0 + ohm * conducts)
        low, high = (low, volt) if excess > 0.0 else (volt, high)
        new = volt - excess / slope if slope > 0.0 else low
        if low < new < high:
            if abs(new - volt) <= LAST_STEP_V:
                return new, conducts
        else:
            new = 0.5 * (low + high)
            if abs(new - volt) <= 1e-11 + 1e-9 * abs(volt):
                side, end, first = (-1.0, low, lowest) if excess > 0.0 else (1.0, high, highest)
                if end != first:
                    return new, conducts
                bound = beyond(model, end, side, source_V, limit_A, ohm, s, p)
                if side * (bound - end) < BEYOND_V:
                    return new, conducts
                if excess > 0.0:
                    low = lowest = bound
                else:
                    high = highest = bound
        before, amp = amp, model[CURRENT](new, s, p)
        if abs(new - volt) > LEAST_SECANT_V:
            conducts = (amp - before) / (new - volt)
        volt = new
    return volt, conducts


@kernel
def copy(out, values):
    """Copy one by one: an assignment to a slice takes numba seconds to compile, for its messages."""
    for b in range(values.shape[0]):
        for i in range(values.shape[1]):
            out[b, i] = values[b, i]


@kernel
def linearise(model, source_V, limit_A, volt, conducts, s, p, room):
    """What a step from `s` begins with, where the device voltage is about `volt` and its slope `conducts`.

    Writes the rates to work[BASE] and their derivatives: by the states at the voltage as it is to
    matrices[SLOPES], by the voltage to work[PUSH], and that of the voltage by the states to work[PULL].
    Returns the voltage, its slope, and what it moves for each volt of the source.
    """
    work, matrices, flows = room
    own, other = flows[0], flows[1]  # currents
    base, push, pull, kept, moved = work[BASE], work[PUSH], work[PULL], work[FIRST], work[NEW]
    volt, conducts = device_voltage(model, source_V, limit_A, volt, conducts, s, p)
    amp, ohm, by_V = model[RATES](volt, s, p, base, own), model[SERIES](s, p), 1e-7 + 1e-6 * abs(volt)
    conducts = (model[RATES](volt + by_V, s, p, moved, other) - amp) / by_V
    yields = ohm  # of what is in front of the device: the limiter has a resistance too
    if limit_A != math.inf:
        held = math.tanh((source_V - volt - ohm * amp) / SOFTNESS_V)
        yields += SOFTNESS_V / (limit_A * max(1.0 - held * held, 1e-12))
    by_source = 1.0 / (1.0 + yields * conducts)
    copy(kept, s)
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            push[b, i] = (moved[b, i] - base[b, i]) / by_V
    for j in range(s.shape[1]):  # of all branches at once: at one voltage they know nothing of each other
        for b in range(s.shape[0]):
            s[b, j] = kept[b, j] + 1e-6 * max(abs(kept[b, j]), 1e-2)
        model[RATES](volt, s, p, moved, other)
        resists = amp * (model[SERIES](s, p) - ohm)
        for b in range(s.shape[0]):
            by, s[b, j] = s[b, j] - kept[b, j], kept[b, j]
            pull[b, j] = -by_source * (yields * (other[b] - own[b]) + (resists if b == 0 else 0.0)) / by
            for i in range(s.shape[1]):
                matrices[SLOPES, b, i, j] = (moved[b, i] - base[b, i]) / by
    return Begun(volt, conducts, by_source)


@kernel
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


@kernel
def dot(one, other):
    """The sum of products over branches and states."""
    found = 0.0
    for b in range(one.shape[0]):
        for i in range(one.shape[1]):
            found += one[b, i] * other[b, i]
    return found


@kernel
def mix(out, keep, factor, values):
    """A multiple of `out` and one of `values`, written to `out`."""
    for b in range(values.shape[0]):
        for i in range(values.shape[1]):
            out[b, i] = keep * out[b, i] + factor * values[b, i]


@kernel
def solve(blocks, pushed, pull, right):
    """Solution over `right` of a step's equations (blocks + push pull^T) x = right, by Sherman and Morrison;
    `pushed` is the blocks' solution of push."""
    solve_blocks(blocks, right)
    mix(right, 1.0, -dot(pull, right) / (1.0 + dot(pull, pushed)), pushed)


@kernel
def first_stages(step_s, along_V, room):
    """The first two stages of a step, and its matrix 1 - GAMMA step (SLOPES + PUSH PULL^T) as BLOCKS and
    PUSHED; along_V: how far the source alone moves the device voltage. A mode
    that grows fast compared with the step is left out of the matrix, which would turn it into a decay. It is
    integrated explicitly, and the error estimate limits the step.
    """
    work, matrices, weight = room.work, room.matrices, GAMMA * step_s
    base, push, pull, pushed = work[BASE], work[PUSH], work[PULL], work[PUSHED]
    first, second, blocks = work[FIRST], work[SECOND], matrices[BLOCKS]
    for b in range(base.shape[0]):
        of = blocks[b]
        for i in range(base.shape[1]):
            grows = weight * matrices[SLOPES, b, i, i] >= 1.0
            for j in range(base.shape[1]):
                itself = 1.0 if i == j else 0.0
                of[i, j] = itself if grows else itself - weight * matrices[SLOPES, b, i, j]
            pushed[b, i] = -weight * push[b, i]
            first[b, i] = weight * (base[b, i] + 0.5 * along_V * push[b, i])
            second[b, i] = weight * (base[b, i] + 1.5 * along_V * push[b, i])
        if base.shape[1] == 2 and of[0, 0] * of[1, 1] <= of[0, 1] * of[1, 0]:
            of[0, 1] = of[1, 0] = 0.0
    solve_blocks(blocks, pushed)
    if dot(pull, pushed) <= -1.0:
        mix(pushed, 0.0, 0.0, pushed)
    solve(blocks, pushed, pull, first)
    mix(second, 1.0, 4.0 * GAMMA, first)
    solve(blocks, pushed, pull, second)


@kernel
def late_stage(model, stage, step, volt, conducts, p, room):
    """The third or last stage, at a step's end, of the states in work[NEW], which it moves. The device
    voltage is there about `volt`; returns about where the stage moves it to."""
    work, next_V = room.work, step.start_V + step.step_V
    out = work[stage]
    volt, _ = device_voltage(model, next_V, step.limit_A, volt, conducts, work[NEW], p)
    model[RATES](volt, work[NEW], p, out, room.flows[0])
    mix(out, GAMMA * step.step_s, GAMMA, work[FIRST])
    mix(out, 1.0, -GAMMA, work[SECOND])
    if stage == LAST:
        mix(out, 1.0, -8.0 / 3.0 * GAMMA, work[THIRD])
    solve(room.matrices[BLOCKS], work[PUSHED], work[PULL], out)
    mix(work[NEW], 1.0, 1.0, out)
    return volt + dot(work[PULL], out)


@kernel
def over(errors, s, new, rtol):
    """The largest of errors over what is allowed; infinite where a new state is no number."""
    worst = 0.0
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            if not math.isfinite(new[b, i]):
                return math.inf
            worst = max(worst, abs(errors[b, i]) / (0.1 * rtol + rtol * max(abs(s[b, i]), abs(new[b, i]))))
    return worst


@kernel
def try_step(model, step, begun, s, p, room, rtol):
    """One step from `s`; begun: of `linearise`. The new states are in work[NEW]. Returns the error over what
    is allowed, and about the device voltage.
    This error is divided by what decays at the start, though that may be over by the end. So what the third
    stage finds may not be far from what the derivatives foretell.
    """
    work, along_V = room.work, begun.by_source * step.step_V
    first_stages(step.step_s, along_V, room)
    new, first, bent = work[NEW], work[FIRST], work[LAST]
    copy(new, s)
    mix(new, 1.0, 2.0, first)
    volt = begun.volt + (along_V + 2.0 * dot(work[PULL], first))
    volt = late_stage(model, THIRD, step, volt, begun.conducts, p, room)
    copy(bent, work[SECOND])
    mix(bent, 1.0, -5.0, first)
    mix(bent, 1.0, step.step_s, work[BASE])
    solve(room.matrices[BLOCKS], work[PUSHED], work[PULL], bent)
    mix(bent, 1.0, 1.0 / GAMMA, work[THIRD])
    worst = GAMMA / MOST_BENT * over(bent, s, new, rtol)
    if worst > 1.0:
        return worst, volt
    volt = late_stage(model, LAST, step, volt, begun.conducts, p, room)
    return over(work[LAST], s, new, rtol), volt


def integrate(addresses, source, s, p, rtol, found, room):
    """Follow one device through a source; returns the steps taken.

    addresses: of the model's functions. s: [branches, states], overwritten with the last ones; p:
    [branches, n]. `found` is written. Returns -1 where no step is small enough, or too many are needed.
    """
    model, (times_s, sources_V, limits_A) = model_at(addresses), source
    taken, tries, step_s, volt, conducts = 0, 0, math.inf, 0.0, 0.0
    for k in range(times_s.size):
        limit_A = limits_A[k]
        volt, conducts = device_voltage(model, sources_V[k], limit_A, volt, conducts, s, p)
        found.volts[k], found.amps[k] = volt, model[CURRENT](volt, s, p)
        copy(found.states[k], s)
        if k + 1 == times_s.size:
            break
        length, span_V = times_s[k + 1] - times_s[k], sources_V[k + 1] - sources_V[k]
        done, accepted = 0.0, True
        while length - done > 1e-12 * length:  # a rest that is rounding is no step
            step_s = min(step_s, length - done)
            tries += 1
            if step_s < 1e-15 * length or tries > MOST_TRIES * times_s.size:
                return -1
            start_V, step_V = sources_V[k] + span_V * done / length, span_V * step_s / length
            if accepted:
                begun = linearise(model, start_V, limit_A, volt, conducts, s, p, room)
            worst, volt = try_step(model, Step(start_V, step_V, step_s, limit_A), begun, s, p, room, rtol)
            most = 6.0 if accepted else 1.0  # a step that was just made smaller does not grow
            accepted = worst <= 1.0
            if accepted:
                copy(s, room.work[NEW])
                done = length if done + step_s >= length else done + step_s
                taken += 1
            step_s *= min(max(0.9 / (worst + 1e-12) ** (1.0 / 3.0), 0.1), most)
    return taken
