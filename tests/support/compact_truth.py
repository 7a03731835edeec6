"""Traces of compact models whose parameters are known, for the tests of fits."""

from __future__ import annotations

import dataclasses

import numpy as np

from kmc_analysis.compact.equations.model import CompactModel
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.fitting import fit_data
from kmc_analysis.compact.fitting.misfit import FIT_RTOL

NOISE = 0.02  # decades

# What a draw fits: parameters that a bipolar sweep and a train of pulses tell, none of them at its start. A
# threshold of silver's set is left out: its jump is told no finer than the voltage between two samples.
FREE = {
    "vteam": {"Ron": 5e3, "Roff": 6e6, "k_on": 80.0, "v_on": 0.33, "v_off": -0.27},
    "vvteam": {"Ron": 4e4, "Roff": 6e8, "k": 500.0, "Vth": 0.33, "tau": 0.05},
    "yakopcic": {"a1": 2e-4, "a2": 1.5e-4, "b": 1.6, "Vp": 0.28, "Ap": 150.0},
    "stanford_pku": {"I0": 6e-5, "g0": 0.22, "V0": 0.45, "Ea": 0.61},
    "memdiode": {"eta_set": 22.0, "v_set": 0.32, "v_res": -0.28, "imin": 2e-8, "imax": 2e-4},
    "silver": {"G_off": 2e-9, "V_h": 0.28, "V_r": 0.2, "k_r": 500.0},
}


def bipolar(points: int = 81, limit: float = 1e-4) -> Drive:
    """0, +0.6, -0.6 and 0 V at 1 V/s."""
    corners = [0.0, 0.6, 1.8, 2.4]
    time = np.linspace(0.0, 2.4, points)
    return Drive.of(time, np.interp(time, corners, [0.0, 0.6, -0.6, 0.0]), limit)


def train() -> Drive:
    """Eight pulses of 0.5 V."""
    return Drive.pulses(0.5, 5e-3, 10e-3, 8, 1e-4, samples=3)


def synthetic(model: CompactModel, truth: dict[str, float], drives: list[Drive], seed: int) -> list[fit_data.Trace]:
    """Traces of the model itself with noise on the logarithm of the conductance."""
    stream = np.random.default_rng(seed)
    found = []
    for index, drive in enumerate(drives):
        made = simulate(model, drive, truth, rtol=FIT_RTOL)
        one = fit_data.trace(f"trace{index}", drive.time, drive.voltage, made.current, drive.compliance, made.voltage)
        noise = NOISE * stream.standard_normal(one.log_g.size)
        found.append(dataclasses.replace(one, log_g=one.log_g + noise))
    return found


def starting_at(model: CompactModel, truth: dict[str, float]) -> CompactModel:
    """The model with the truth as its own values: a search begins there."""
    moved = [p.model_copy(update={"value": truth.get(p.name, p.value)}) for p in model.parameters]
    return dataclasses.replace(model, parameters=tuple(moved))
