"""Speed of the compact models' Python reference over a population of devices that differ.

A device-step is one step that the integrator took and kept, for one device, with its current at every sample.
The tolerance sets the length of the steps, so that the number of pulses decides the time for a train.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.compact.equations.model import CompactModel, load_model, model_names
from kmc_analysis.compact.equations.reference_traces import RTOL, Drive, follow, population, start_of

DEVICES = 200
SEED = 7
REPEATS = 3
PULSES = 20


def run(progress: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """A row a model: {model, devices, device_steps_per_s, pulses_per_s}; the source is a train of pulses."""
    rows = []
    for name in model_names():
        if progress is not None:
            progress(f"compact: {name}")
        rows.append(measure(load_model(name), DEVICES))
    return rows


def measure(model: CompactModel, devices: int) -> dict[str, Any]:
    """The row of one model: the median of three goes."""
    drive = Drive.pulses(0.5, 5e-3, 10e-3, PULSES, np.inf)
    vectors = population(model, devices, SEED)
    kernel = compiled(model)
    speeds, trains = [], []
    for repeat in range(REPEATS + 1):
        starts = [start_of(model, vector) for vector in vectors]
        began = time.perf_counter()
        responses = [follow(kernel, drive, *one, RTOL) for one in zip(starts, vectors, strict=True)]
        seconds = time.perf_counter() - began
        steps = sum(response.steps for response in responses if response is not None)
        if repeat:  # the first go compiles
            speeds.append(steps / seconds)
            trains.append(devices / seconds)
    return {
        "model": model.name,
        "devices": devices,
        "device_steps_per_s": statistics.median(speeds),
        "pulses_per_s": PULSES * statistics.median(trains),
    }
