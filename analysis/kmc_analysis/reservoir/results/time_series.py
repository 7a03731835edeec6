"""Series through the reservoir: each step's input is the width of one write, then the devices are read.

Amplitude does not serve: above the holding voltage a filament grows at the speed of its supply. A step is two
slots; the write of 1 V takes a tenth of a slot to a whole one, times a gain of the device's own, and the
devices are read at 50 mV at the step's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kmc.core import random_streams
from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.compact.equations.reference_traces import Drive
from kmc_analysis.metrics.reads_and_retention import LOW_READ_V
from kmc_analysis.reservoir.node_devices import EDGE, Population
from kmc_analysis.reservoir.plan import Encoding
from kmc_analysis.reservoir.results import memory_measures

STEPS, WASH, TRAIN = 1200, 100, 800
LEAST_WIDTH = 0.1  # of a slot, for an input of 0
LEAST_GAIN = 0.5
DELAYS = 20
RTOL = 5e-6  # a series does not end at rest as a pattern does: at 1e-3 a fifth of the memory is lost
LEAKS = (0.5, 20.0)  # steps: from the shortest to the longest of the ideal reservoir


def drive(population: Population, encoding: Encoding, u: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Features [steps, devices] at the end of each step; u from 0 to 1."""
    found = np.empty((u.size, len(population.vectors)))
    kernel = compiled(population.model)
    begins, edge = 2.0 * encoding.slot * np.arange(u.size), EDGE * encoding.slot
    volt = np.tile([encoding.amplitude, encoding.amplitude, LOW_READ_V, LOW_READ_V], u.size)
    source = np.append(LOW_READ_V, volt)
    for k in range(len(population.vectors)):
        width = encoding.slot * gains[k] * (LEAST_WIDTH + (1.0 - LEAST_WIDTH) * u)
        ends = begins + 2.0 * encoding.slot
        time = np.append(0.0, np.column_stack([begins + edge, begins + width, begins + width + edge, ends]))
        response = population.response(kernel, Drive.of(time, source, population.limit_A), k, rtol=RTOL)
        found[:, k] = response.current[4::4] / response.voltage[4::4]
    return population.features(found)


def leaky(u: np.ndarray, nodes: int) -> np.ndarray:
    """Features [steps, nodes] of ideal leaky integrators with leaks from half a step to twenty."""
    keep = np.exp(-1.0 / np.geomspace(*LEAKS, nodes))
    found, state = np.empty((u.size, nodes)), np.zeros(nodes)
    for t, value in enumerate(u):
        state = keep * state + value
        found[t] = state
    return found


def _bounded(stream: np.random.Generator) -> np.ndarray:
    """Inputs from 0 to 1 [STEPS] whose NARMA-10 series does not run away, as one in a hundred does."""
    while True:
        u = stream.random(STEPS)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(memory_measures.narma10(0.5 * u)).all():
                return u


def tasks(population: Population, encoding: Encoding, seed: int) -> dict[str, Any]:
    """Memory and NARMA-10 of the devices, of the ideal leaky reservoir, and of the input alone.

    {name: {memory: [DELAYS] squared correlations, capacity, narma10: error over the standard deviation}}.
    """
    u = _bounded(random_streams.stream(seed, "reservoir series"))
    gains = np.linspace(LEAST_GAIN, 1.0, len(population.vectors))
    inputs = {"devices": drive(population, encoding, u, gains), "leaky": leaky(u, len(gains)), "none": u[:, None]}
    train, test = slice(WASH, TRAIN), slice(TRAIN, STEPS)
    wanted = memory_measures.narma10(0.5 * u)
    wanted = np.append(wanted[1:], wanted[-1])  # what follows the step
    part = slice(TRAIN, STEPS - 1)
    found = {}
    for name, x in inputs.items():
        shares = memory_measures.memory(x, u, DELAYS, train, test)
        told = memory_measures.ridge(x, wanted, train, part)
        found[name] = {
            "memory": shares.tolist(),
            "capacity": float(shares.sum()),
            "narma10": memory_measures.nrmse(told, wanted[part]),
        }
    return found
