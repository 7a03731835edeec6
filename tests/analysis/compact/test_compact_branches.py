"""Branches of a compact model in parallel: one device voltage, behind one resistance and one limiter."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from kmc_analysis.compact.equations import integrator
from kmc_analysis.compact.equations.compilation import Kernel, compiled, room
from kmc_analysis.compact.equations.compilation import integrator as integrator_of
from kmc_analysis.compact.equations.function_addresses import SIGNATURES, addresses
from kmc_analysis.compact.equations.integrator import Followed, Source
from kmc_analysis.compact.equations.model import load_model, model_names
from kmc_analysis.compact.equations.reference_traces import Drive, follow, population, simulate, start_of

pytestmark = pytest.mark.filterwarnings("ignore:First-class function type")
SILVER = load_model("silver")
LIMIT_A, SOURCE_V = 1e-6, 1.0


def of(kernel: Kernel) -> tuple[Any, Any, Any]:
    """A model as the integrator's kernels take it."""
    return kernel.functions.current, kernel.functions.series, kernel.functions.rates


def differing(count: int) -> tuple[Kernel, np.ndarray, np.ndarray]:
    """Silver's kernel, parameters [count, n] of devices that differ, and states between open and closed."""
    vectors = population(SILVER, count, 3)
    return compiled(SILVER), vectors, np.column_stack([np.linspace(0.2, 0.9, count), np.full(count, 1e-3)])


@pytest.mark.parametrize("name", [name for name in model_names() if name != "memdiode"])  # it has a resistor
def test_branches_alike_are_one_device(name: str) -> None:
    """Three of them under three times the limit carry three times the current, at the same voltage. Control:
    under one limit they have less."""
    model = load_model(name)
    vector, kernel = np.array(list(model.values().values())), compiled(model)
    start = start_of(model, vector)

    def made(count: int, limit_A: float) -> tuple[np.ndarray, np.ndarray]:
        states, vectors = np.tile(start, (count, 1)), np.tile(vector, (count, 1))
        drive = Drive.pulses(0.8, 5e-3, 5e-3, 2, limit_A)
        found = follow(kernel, drive, states, vectors, 1e-6)
        assert found is not None
        return found.current, found.voltage

    one, several = made(1, LIMIT_A), made(3, 3.0 * LIMIT_A)
    assert several[0] == pytest.approx(3.0 * one[0], rel=1e-4)
    assert several[1] == pytest.approx(one[1], rel=1e-4)
    assert np.max(np.abs(made(3, LIMIT_A)[0])) < 2.0 * np.max(np.abs(one[0]))


def test_a_resistor_is_in_front_of_all_branches() -> None:
    """Two memdiodes behind one resistor are one of twice the current behind it: Kirchhoff."""
    model = load_model("memdiode")
    vector = np.array(list(model.values({"rs": 5e3}).values()))
    states = np.tile(start_of(model, vector), (2, 1))
    found = follow(compiled(model), Drive.of([0.0], [0.5]), states, np.tile(vector, (2, 1)), 1e-6)
    assert found is not None
    kernel = compiled(model)
    own = kernel.functions.current(found.voltage[0], states[:1], kernel.begin(vector[None])[1])
    assert found.current[0] == pytest.approx(2.0 * own, rel=1e-9)
    assert found.voltage[0] + 5e3 * 2.0 * own == pytest.approx(0.5, abs=1e-7)


def test_a_step_knows_how_rates_change() -> None:
    """With the states, those of other branches too, and with the source: as differences through the circuit,
    to 1e-3. Control: the blocks alone, which leave out the voltage, are off by half and more."""
    kernel, vectors, s = differing(3)
    (_, p), space = kernel.begin(vectors), room(3, 2)

    def rates(states: np.ndarray, source_V: float = SOURCE_V) -> np.ndarray:
        out = np.empty_like(states)
        volt, _ = integrator.device_voltage(of(kernel), source_V, LIMIT_A, 0.3, 0.0, states, p)
        kernel.functions.rates(volt, states, p, out, np.empty(3))
        return out.ravel()

    wanted = np.empty((6, 6))
    for j in range(6):
        low, high = s.copy(), s.copy()
        low.flat[j] -= 1e-4
        high.flat[j] += 1e-4
        wanted[:, j] = (rates(high) - rates(low)) / 2e-4
    full, push, pull = np.zeros((6, 6)), space.work[integrator.PUSH], space.work[integrator.PULL]
    integrator.linearise(of(kernel), SOURCE_V, LIMIT_A, 0.3, 0.0, s, p, space)
    for b in range(3):
        full[2 * b : 2 * b + 2, 2 * b : 2 * b + 2] = space.matrices[integrator.SLOPES, b]
    scale = np.abs(wanted).max()
    assert np.abs(full + np.outer(push, pull) - wanted).max() < 1e-3 * scale
    assert np.abs(full - wanted).max() > 0.5 * scale
    open_V = 0.2  # where the limiter lets the voltage follow the source
    _, _, by_source = integrator.linearise(of(kernel), open_V, LIMIT_A, 0.2, 0.0, s, p, space)
    wanted_s = (rates(s, open_V + 1e-5) - rates(s, open_V - 1e-5)) / 2e-5
    assert (by_source * push).ravel() == pytest.approx(wanted_s, rel=1e-3, abs=1e-6)


def test_the_equations_of_a_step_are_solved() -> None:
    """As by numpy, with one state and with two."""
    stream = np.random.default_rng(5)
    for states in (1, 2):
        blocks = stream.standard_normal((4, states, states)) + 4.0 * np.eye(states)
        push, pull, right = (stream.standard_normal((4, states)) for _ in range(3))
        full = np.zeros((4 * states, 4 * states))
        for b in range(4):
            full[b * states : (b + 1) * states, b * states : (b + 1) * states] = blocks[b]
        wanted = np.linalg.solve(full + np.outer(push, pull), right.ravel())
        integrator.solve_blocks(blocks, push)
        integrator.solve(blocks, push, pull, right)
        assert right.ravel() == pytest.approx(wanted, rel=1e-10)


def _smooth() -> tuple[Any, Any, Any]:
    """A model without thresholds whose two states act upon each other, behind 2 kohm."""

    @njit(SIGNATURES["rates"])
    def rates(volt, s, p, out, amps):
        for b in range(2):
            amps[b] = 1e-4 * s[b, 0] * math.sinh(3.0 * volt)
            out[b, 0] = p[b, 0] * volt * (1.0 - s[b, 0]) - 0.5 * s[b, 0] * s[b, 1]
            out[b, 1] = 5e3 * amps[b] - s[b, 1] + 0.3 * s[b, 0] ** 2
        return amps[0] + amps[1]

    current = njit(SIGNATURES["current"])(lambda volt, s, p: 1e-4 * s[:, 0].sum() * math.sinh(3.0 * volt))
    return current, njit(SIGNATURES["series"])(lambda s, p: 2e3), rates


@pytest.mark.parametrize("limit_A", [math.inf, 2e-4])
def test_half_the_step_has_an_eighth_of_the_error(limit_A: float) -> None:
    """Third order, with a source that rises, two branches that differ, a resistance and a limiter. Control:
    without the source's part in the derivative of the rates it would be half of it."""
    model, p = _smooth(), np.array([[2.0], [5.0]])

    def last(points: int, rtol: float) -> np.ndarray:
        time, s, limits = np.linspace(0.0, 1.0, points), np.full((2, 2), 0.2), np.full(points, limit_A)
        found = Followed(np.empty(points), np.empty(points), np.empty((points, 2, 2)))
        source = Source(time, 0.6 * time, limits)
        assert integrator_of()(addresses(*model), source, s, p, rtol, found, room(2, 2)) > 0
        return s

    truth = last(2001, 1e-12)
    errors = [np.abs(last(points, 1e9) - truth).max() for points in (9, 17, 33)]
    for coarse, fine in itertools.pairwise(errors):
        assert 5.5 < coarse / fine < 11.0


def test_a_decay_may_end_within_a_step() -> None:
    """A memdiode at 1.17 V closes within a nanosecond; the source is back at 0 V after 0.2 ms, where nothing
    moves. The start's derivatives foretell a state of -15 there, and an error that is divided by the rate."""
    drive = Drive.of([0.0, 2.3e-4], [1.17, 0.0])
    found = simulate(load_model("memdiode"), drive, start=np.array([0.02]), rtol=1e-4)
    assert found.states[-1, 0] == pytest.approx(1.0, abs=1e-3)


def test_what_grows_is_not_stepped_over() -> None:
    """x' = 300 x (1 - x) from 1e-3 within one stretch of a second. An L-stable step that is much longer than
    1/300 s takes the growth for a decay."""

    @njit(SIGNATURES["rates"])
    def rates(volt, s, p, out, amps):
        out[0, 0], amps[0] = 300.0 * s[0, 0] * (1.0 - s[0, 0]), 0.0
        return 0.0

    none = njit(SIGNATURES["current"])(lambda volt, s, p: 0.0)
    model = none, njit(SIGNATURES["series"])(lambda s, p: 0.0), rates
    time, limits, s, p = np.array([0.0, 1.0]), np.full(2, math.inf), np.full((1, 1), 1e-3), np.zeros((1, 1))
    found, source = Followed(np.empty(2), np.empty(2), np.empty((2, 1, 1))), Source(time, 0.1 * time, limits)
    assert integrator_of()(addresses(*model), source, s, p, 1e-2, found, room(1, 1)) > 0
    assert s[0, 0] == pytest.approx(1.0, abs=1e-2)


def test_what_would_grow_but_does_not_costs_no_steps() -> None:
    """Metal that grows by its own current, 1e12 times a second from a threshold on, below which it does not:
    were a step to be short beside that, none of the 200,000 that are allowed would do."""
    numbers = {"I_p": 1.05e-8, "k_p": 7.75e5, "G_p": 0.0662}
    found = simulate(SILVER, Drive.sweep(0.6, 10.0, 1e-6, 203), numbers, rtol=1e-3)
    assert found.steps < 2000
    assert found.states[101, 0] == pytest.approx(1.0, abs=1e-3)


def test_branches_that_differ_share_a_limit() -> None:
    """Three of them, closing at 0.7 V under one limit, follow scipy's solution of the whole circuit. Control:
    the first to close leaves the others less than they would have by themselves."""
    kernel, vectors, begin = differing(3)
    (_, p), time = kernel.begin(vectors), np.linspace(0.0, 5e-3, 21)

    def volt_at(states: np.ndarray) -> float:
        def excess(volt: float) -> float:
            held = np.tanh((0.7 - volt) / integrator.SOFTNESS_V)
            return float(kernel.functions.current(volt, states, p) - LIMIT_A * held)

        return float(brentq(excess, 0.0, 0.7, xtol=1e-12))

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        states, out = flat.reshape(3, 2), np.empty((3, 2))
        kernel.functions.rates(volt_at(states), states, p, out, np.empty(3))
        return out.ravel()

    wanted = solve_ivp(slope, (0.0, time[-1]), begin.ravel(), "LSODA", time, rtol=1e-7, atol=1e-9)
    states = begin.copy()
    found = follow(kernel, Drive.of(time, np.full(21, 0.7), LIMIT_A), states, vectors, 1e-6)
    assert found is not None
    assert found.states.reshape(21, 6) == pytest.approx(wanted.y.T, abs=2e-4)
    assert states == pytest.approx(found.states[-1])
    alone = begin[:1].copy()
    follow(kernel, Drive.of(time, np.full(21, 0.7), LIMIT_A), alone, vectors[:1], 1e-6)
    assert alone[0, 0] > states[0, 0] + 1e-2
