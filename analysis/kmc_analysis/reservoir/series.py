"""Series through the reservoir: each step's input is the amplitude of one pulse, then the devices are read.

The classification writes 1 V for 20 ms, which saturates a device; a series needs levels. Its pulses are those
of the node for reservoirpy (0.3 V to 0.6 V, 0.1 ms, every 20 ms). All devices see the same series, each with
a gain of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kmc import streams
from kmc.errors import UserError
from kmc_analysis.compact.reference import compiled
from kmc_analysis.reservoir import measures
from kmc_analysis.reservoir.devices import Population

STEPS, WASH, TRAIN = 1200, 100, 800
LEAST_V, MOST_V, WIDTH_S, GAP_S, READ_V = 0.3, 0.6, 1e-4, 20e-3, 0.05
LEAST_GAIN = 0.8
DELAYS = 20
RTOL = 1e-3
LEAKS = np.geomspace(0.5, 20.0, 30)  # steps: of the ideal reservoir


def drive(population: Population, u: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Features [steps, devices] at the end of each step; u from 0 to 1."""
    shape = np.array([1e-3 * WIDTH_S, WIDTH_S, 1.001 * WIDTH_S, WIDTH_S + GAP_S])
    time = np.append(0.0, (np.arange(u.size)[:, None] * shape[-1] + shape).ravel())
    found = np.empty((u.size, len(population.vectors)))
    kernel = compiled(population.model).integrate
    for k, vector in enumerate(population.vectors):
        volt = gains[k] * (LEAST_V + (MOST_V - LEAST_V) * u)
        source = np.append(READ_V, np.column_stack([volt, volt, np.full((u.size, 2), READ_V)]).ravel())
        states, limits = population.starts[k].copy(), np.full(time.size, population.limit_A)
        volts, amps, path = np.empty(time.size), np.empty(time.size), np.empty((time.size, states.size))
        if kernel(time, source, limits, states, vector, RTOL, volts, amps, path) < 0:
            raise UserError(f"{population.model.name} cannot be integrated with these parameters",
                            next_step="lower the spreads, or change the parameters")  # fmt: skip
        found[:, k] = amps[4::4] / volts[4::4]
    return population.features(found)


def leaky(u: np.ndarray) -> np.ndarray:
    """Features [steps, 30] of ideal leaky integrators with leaks from half a step to twenty."""
    keep = np.exp(-1.0 / LEAKS)
    found, state = np.empty((u.size, LEAKS.size)), np.zeros(LEAKS.size)
    for t, value in enumerate(u):
        state = keep * state + value
        found[t] = state
    return found


def tasks(population: Population, seed: int) -> dict[str, Any]:
    """Memory and NARMA-10 of the devices, of the ideal leaky reservoir, and of the input alone.

    {name: {memory: [DELAYS] squared correlations, capacity, narma10: error over the standard deviation}}.
    """
    u = streams.stream(seed, "reservoir series").random(STEPS)
    gains = np.linspace(LEAST_GAIN, 1.0, len(population.vectors))
    inputs = {"devices": drive(population, u, gains), "leaky": leaky(u), "none": u[:, None]}
    train, test = slice(WASH, TRAIN), slice(TRAIN, STEPS)
    wanted = measures.narma10(0.5 * u)
    wanted = np.append(wanted[1:], wanted[-1])  # what follows the step
    part = slice(TRAIN, STEPS - 1)
    found = {}
    for name, x in inputs.items():
        shares = measures.memory(x, u, DELAYS, train, test)
        told = measures.ridge(x, wanted, train, part)
        found[name] = {"memory": shares.tolist(), "capacity": float(shares.sum()),
                       "narma10": measures.nrmse(told, wanted[part])}  # fmt: skip
    return found
