"""What a classification costs: energy in the devices, and their wear."""

from __future__ import annotations

from typing import Any

import numpy as np

from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.metrics.reads_and_retention import READ_V
from kmc_analysis.reservoir.node_devices import Population, as_drive
from kmc_analysis.reservoir.pipeline import Result
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.pulse_input import patterns

SAMPLES = 24  # over which the energy is averaged
LOOKS = 12  # points in each stretch of constant voltage
# John et al. 2022, supplementary note 2 and table 2: cycles that a device lasted.
VOLATILE_CYCLES, DRIFT_CYCLES = 2e6, 5655


def costs(plan: Plan, result: Result, name: str) -> dict[str, Any]:
    """Energy (J) and wear of one classification, and programmings in the training of readout `name`.

    reservoir_J: drawn from the source, limiter included; device_J: in the devices alone. lifetime_samples:
    samples until the busiest volatile device has made 2e6 write pulses; trainings: such trainings until the
    busiest drift device has been programmed 5655 times.
    """
    seen = patterns(result.trains, result.wiring, plan.encoding)
    population = Population.of(plan, result.seed)
    source, device = _energy(plan, result, population, seen[:SAMPLES])
    pulses = seen[:, :, 0] + np.sum(~seen[:, :, :-1] & seen[:, :, 1:], axis=2)
    busiest = float(np.bincount(result.wiring.device, weights=pulses.mean(axis=0)).max())  # serves many nodes
    trained = result.readouts[name]
    found: dict[str, Any] = {
        "reservoir_J": source,
        "device_J": device,
        "write_pulses": float(pulses.sum(axis=1).mean()),
        "lifetime_samples": VOLATILE_CYCLES / busiest if busiest > 0.0 else None,
    }
    if trained.plus is not None and trained.minus is not None and trained.writes is not None:
        total = float(trained.plus.sum() + trained.minus.sum())
        most = int(trained.writes.max())
        found |= {
            "readout_J": total * READ_V**2 * plan.encoding.read_width,
            "programmings_mean": float(trained.writes.mean()),
            "programmings_most": most,
            "trainings": DRIFT_CYCLES / most if most else None,
        }
    return found


def _energy(plan: Plan, result: Result, population: Population, seen: np.ndarray) -> tuple[float, float]:
    """Mean energy in J of one sample: from the source, and in the devices."""
    source = device = 0.0
    kernel = compiled(population.model)
    for sample in seen:
        for k, pattern in enumerate(sample):
            drive = as_drive(pattern, result.wiring.gains[k], plan.encoding, population.limit_A, LOOKS)
            response = population.response(kernel, drive, result.wiring.device[k], rtol=1e-2)
            source += float(np.trapezoid(drive.voltage * response.current, drive.time))
            device += float(np.trapezoid(response.voltage * response.current, drive.time))
    return source / len(seen), device / len(seen)
