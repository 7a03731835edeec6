"""A stand-in for kmc.simulation.simulation.Simulation: a noisy threshold switch that takes no time.

It has what makes restarts hard: a random stream, an internal state, a place in the protocol, kernel calls
that end between samples. Tests of datasets, checkpoints and the command line use it.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from kmc.core import random_streams
from kmc.io.variables import TRACES
from kmc.simulation.observers import Rows

SHAPE = (8, 4, 4)
CALLS_A_SAMPLE = 3


class Simulation:
    """Conductance drifts up above 0.7 V and decays below; `slow_s` is slept in each kernel call."""

    slow_s = 0.0
    fail_at_row: int | None = None

    def __init__(
        self, stack: Any, protocol: Any, settings: Any, seed: int, initial: dict[str, Any] | None = None
    ) -> None:
        self.stack, self.protocol, self.settings, self.seed = stack, protocol, settings, seed
        self.lattice = SimpleNamespace(spacing_nm=0.5, shape=(8, 48, 48))  # as wide as settings ask for
        self.steps = protocol.steps()
        self.random = random_streams.stream(seed, "events")
        self.level = -3.0 if initial is None else float(initial["level"])
        self.sites = np.zeros(SHAPE, np.uint8)
        self.time_s, self.step, self.sample, self.calls, self.events = 0.0, 0, 0, 0, 0
        self.rows = Rows(TRACES)
        self.observers: list[Any] = []

    @property
    def finished(self) -> bool:
        return self.step >= len(self.steps)

    def run(self, progress: Any = None, should_stop: Any = None) -> None:
        while not self.finished:
            if should_stop is not None and should_stop():
                return
            self._call()
            if progress is not None:
                progress(
                    {
                        "time_s": self.time_s,
                        "total_s": self.protocol.duration_s,
                        "events": self.events,
                        "events_per_s": 1e6,
                        "voltage_V": 0.5,
                        "current_A": 1e-6,
                        "conductance_S": 2e-6,
                        "temperature_K": 310.0,
                    }
                )

    def _call(self) -> None:
        time.sleep(self.slow_s)
        step = self.steps[self.step]
        self.events += 1000
        push = 0.5 * (abs(step.voltage_V) - 0.7) - 0.02 * self.level
        self.level = float(np.clip(self.level + push + 0.05 * self.random.standard_normal(), -5.0, 6.0))
        where = tuple(self.random.integers(SHAPE))
        self.sites[where] = self.random.integers(3)
        self.calls += 1
        if self.calls == CALLS_A_SAMPLE:
            self.calls = 0
            self._look(step)

    def _look(self, step: Any) -> None:
        self.time_s += step.duration_s / step.samples
        conductance = 10.0 ** (self.level - 8.0)
        current = float(np.clip(step.voltage_V * conductance, -step.compliance_A, step.compliance_A))
        device = current / conductance
        heat = 4e6 * abs(current * step.voltage_V)
        self.rows.append(
            time=self.time_s,
            voltage_source=step.voltage_V,
            voltage_device=device,
            current=current,
            conductance=conductance,
            temperature_filament=300.0 + heat,
            temperature_surface=300.0 + 0.1 * heat,
            n_ag_metal=int(np.sum(self.sites == 2)),
            n_ag_ion=int(np.sum(self.sites == 1)),
            n_br_vacancy=12,
            gap=max(0.0, 3.0 - self.level),
            events=self.events,
            segment=step.segment,
            cycle=step.cycle,
            limited=float(current != step.voltage_V * conductance),
        )
        for observer in self.observers:
            observer.offer(self.time_s)
        self.sample += 1
        if self.sample == step.samples:
            self.step, self.sample = self.step + 1, 0
        if self.fail_at_row is not None and len(self.rows) >= self.fail_at_row:
            raise ZeroDivisionError("the fake was told to fail")

    def take_rows(self) -> dict[str, np.ndarray]:
        return self.rows.take()

    def snapshot(self) -> dict[str, np.ndarray]:
        height = np.arange(SHAPE[0], dtype=float)[:, None, None] * np.ones(SHAPE)
        return {
            "cation": self.sites,
            "vacancy": (height == 2) * 1.0,
            "potential": height / 7.0,
            "temperature": 300.0 + height,
            "region": np.full(SHAPE, 2, np.uint8),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "windows": {"parts": []},
            "level": self.level,
            "sites": self.sites.copy(),
            "random": random_streams.get_state(self.random),
            "place": {
                "time_s": self.time_s,
                "step": self.step,
                "sample": self.sample,
                "calls": self.calls,
                "events": self.events,
            },
        }

    @classmethod
    def from_state_dict(cls, stack: Any, protocol: Any, settings: Any, d: dict[str, Any]) -> Simulation:
        self = cls(stack, protocol, settings, seed=d["seed"])
        self.level, self.sites = d["level"], d["sites"].copy()
        random_streams.set_state(self.random, d["random"])
        for name, value in d["place"].items():
            setattr(self, name, value)
        return self


def simulate(
    stack: Any, protocol: Any, seed: int = 0, settings: Any = None, initial: Any = None, progress: bool = False
) -> Any:
    from kmc.inputs.settings import Settings
    from kmc.io import dataset, provenance

    settings = settings or Settings()
    simulation = Simulation(stack, protocol, settings, seed, initial)
    simulation.run()
    run = provenance.describe(stack, protocol, settings, seed)
    return dataset.build(simulation.take_rows(), (), provenance.attributes(run))
