"""Branches of a compact model in parallel: one device voltage, behind one resistance and one limiter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from kmc_analysis.compact import integrator_kernels as integrator
from kmc_analysis.compact.model import load_model, model_names
from kmc_analysis.compact.reference import Drive, Kernel, compiled, follow, population, start_of

SILVER = load_model("silver")
LIMIT_A, SOURCE_V = 1e-6, 1.0


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
    own = kernel.functions.current(found.voltage[0], states[0], kernel.begin(vector[None])[1][0])
    assert found.current[0] == pytest.approx(2.0 * own, rel=1e-9)
    assert found.voltage[0] + 5e3 * 2.0 * own == pytest.approx(0.5, abs=1e-7)


def test_the_step_knows_what_branches_do_to_each_other() -> None:
    """The matrix of a step is that of differences through the circuit, to 1e-3. Control: the blocks alone,
    which leave out the voltage, are off by half and more."""
    kernel, vectors, s = differing(3)
    p, weight, of = kernel.begin(vectors)[1], 1e-4, kernel.functions

    def rates(states: np.ndarray) -> np.ndarray:
        out = np.empty_like(states)
        volt = integrator.device_voltage(of.current, of.series, SOURCE_V, LIMIT_A, 0.3, states, p)[0]
        integrator.rates_of(of.current, of.rates, volt, states, p, out)
        return out.ravel()

    wanted = np.eye(s.size)
    for j in range(s.size):
        low, high = s.copy(), s.copy()
        low.flat[j] -= 1e-4
        high.flat[j] += 1e-4
        wanted[:, j] -= weight * (rates(high) - rates(low)) / 2e-4
    base, moved, push, pull = (np.empty_like(s) for _ in range(4))
    blocks, full = np.empty((3, 2, 2)), np.zeros((6, 6))
    volt, conducts = integrator.device_voltage(of.current, of.series, SOURCE_V, LIMIT_A, 0.3, s, p)
    amp = integrator.rates_of(of.current, of.rates, volt, s, p, base)
    by = integrator.yielding(SOURCE_V - volt, LIMIT_A, 0.0, amp, conducts)
    model = (of.current, of.series, of.rates)
    integrator.linearise(*model, volt, *by, weight, s, p, base, moved, blocks, push, pull)
    for b in range(3):
        full[2 * b : 2 * b + 2, 2 * b : 2 * b + 2] = blocks[b]
    scale = np.abs(wanted - np.eye(6)).max()
    assert np.abs(full + np.outer(push, pull) - wanted).max() < 1e-3 * scale
    assert np.abs(full - wanted).max() > 0.5 * scale


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


def test_branches_that_differ_share_a_limit() -> None:
    """Three of them, closing at 0.7 V under one limit, follow scipy's solution of the whole circuit. Control:
    the first to close leaves the others less than they would have by themselves."""
    kernel, vectors, begin = differing(3)
    p, time, of = kernel.begin(vectors)[1], np.linspace(0.0, 5e-3, 21), kernel.functions

    def volt_at(states: np.ndarray) -> float:
        def excess(volt: float) -> float:
            held = np.tanh((0.7 - volt) / integrator.SOFTNESS_V)
            return float(integrator.total(of.current, volt, states, p) - LIMIT_A * held)

        return float(brentq(excess, 0.0, 0.7, xtol=1e-12))

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        states, out = flat.reshape(3, 2), np.empty((3, 2))
        integrator.rates_of(of.current, of.rates, volt_at(states), states, p, out)
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
