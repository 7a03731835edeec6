"""The reservoir of a plan as a node of reservoirpy (extra `reservoir`).

One step is one slot: the input is each node's source voltage in V, the output each node's feature at the
slot's end. A series is one sample: its writes, then a read (a negative voltage, which lasts as long as the
plan's read). Its last output are the reservoir's states.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from reservoirpy.node import Node

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.compact.equations.reference_traces import Drive, follow, spread, unanswered
from kmc_analysis.reservoir.node_devices import EDGE, LOOKS, RTOL, Population, last_look
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.pulse_input import patterns, wire
from kmc_analysis.reservoir.spike_trains import Trains


def _alone() -> UserError:
    return UserError(
        "the devices of a plan run in one process: each series has a cycle of its own", next_step="leave workers out"
    )


class SpikeDevices(Node):
    """The devices of a plan. Every series begins at rest, with a cycle of its own."""

    def __init__(self, plan: Plan, seed: int = 1, name: str | None = None) -> None:
        self.plan, self.seed, self.name = plan, seed, name
        self.wiring = wire(plan.feeding, plan.encoding, plan.data.duration, seed)
        if plan.encoding.read_amplitude in plan.encoding.amplitude * self.wiring.gains:
            raise UserError(
                "a read and a write have the same voltage: a step does not say which it is",
                str(plan.path),
                next_step="choose another encoding.read_amplitude",
            )
        self.population = Population.of(plan, seed)
        self.input_dim = self.output_dim = plan.feeding.nodes
        self.kernel = compiled(self.population.model)
        self.stream = random_streams.stream(seed, "reservoir node")
        self.initialized = False
        self.state: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled module, which a copy in another process makes its own of."""
        return {name: value for name, value in vars(self).items() if name != "kernel"}

    def __setstate__(self, told: dict[str, Any]) -> None:
        self.__dict__.update(told)
        self.kernel = compiled(self.population.model)

    def run(self, x: Any = None, iters: int | None = None, workers: int = 1) -> Any:
        """As any node's, in one process: the cycles of the devices are drawn one series after the other."""
        if workers != 1:
            raise _alone()
        return super().run(x, iters)

    def initialize(self, x: Any, y: Any = None) -> None:
        """Put every device at rest."""
        self.state, self.initialized = self._rest(), True

    def reset(self) -> dict[str, Any]:
        """The same; returns the state before. Zeros, which reservoirpy would put there, are no device."""
        before, self.state = self.state, self._rest()
        return before

    def _rest(self) -> dict[str, Any]:
        """Devices at rest, whose cycle is drawn with their first step."""
        rest = self.population.starts[self.wiring.device]
        return {
            "out": np.zeros(self.output_dim),
            "states": rest,
            "volts": np.zeros(self.output_dim),
            "factors": np.zeros(0),
        }

    def _run(self, state: dict[str, Any], x: np.ndarray) -> Any:
        """One series, from rest whatever was before it."""
        if threading.current_thread() is not threading.main_thread():  # of a model that was given workers
            raise _alone()
        return super()._run(self._rest(), x)

    def inputs(self, times: Sequence[np.ndarray]) -> np.ndarray:
        """Series [samples, slots + 1, nodes] in V for spike times, s, one array a sample: the writes of the
        window that each node sees, as long as the plan's, then the read."""
        encoding, length = self.plan.encoding, self.plan.data.duration
        if any(np.ndim(one) != 1 for one in times):
            raise UserError(
                "spike times are not one array a sample", next_step="give a list of them, of one for a single sample"
            )
        kept = [np.sort(np.asarray(one, float)) for one in times]
        if not all(np.isfinite(one).all() for one in kept):
            step = "give times in s, and none for a sample without spikes"
            raise UserError("a spike has no time", next_step=step)
        if out := sum(int(((one < 0.0) | (one >= length)).sum()) for one in kept):
            warnings.warn(f"{out} spikes lie outside 0 s to {length:g} s and are left out", stacklevel=2)
        inside = tuple(one[(one >= 0.0) & (one < length)] for one in kept)
        told = patterns(Trains(inside, np.zeros(len(inside), int), (), length, 0), self.wiring, encoding)
        write = encoding.amplitude * self.wiring.gains * np.swapaxes(told, 1, 2)
        read = np.full((len(told), 1, told.shape[1]), encoding.read_amplitude)
        return np.concatenate([write, read], axis=1)

    def _step(self, state: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
        if not np.isfinite(x).all():
            raise UserError(f"an input is {x}", next_step="give finite voltages")
        model, factors = self.population.model, state["factors"]
        own = self.population.vectors[self.wiring.device]
        if not factors.size:  # of one cycle [nodes, windows, parameters]
            ones = np.ones((own.size // own.shape[-1], own.shape[-1]))
            factors = spread(model, ones, "cycle", self.stream).reshape(own.shape)
        states, found = state["states"].copy(), np.empty(self.output_dim)
        vectors = own * factors
        for k in range(self.output_dim):
            found[k] = self._slot(float(state["volts"][k]), float(x[k]), states[k], vectors[k])
        return {
            "out": self.population.features(found),
            "states": states,
            "volts": np.asarray(x, float),
            "factors": factors,
        }

    def _slot(self, before_V: float, volt: float, states: np.ndarray, vector: np.ndarray) -> float:
        """The conductance in S in the last tenth of a slot, nothing where there is no voltage; `states` move
        on.
        """
        encoding = self.plan.encoding
        width = encoding.read_width if volt == encoding.read_amplitude else encoding.slot
        time = np.array([0.0, EDGE * encoding.slot, *(share * width for share in LOOKS)])
        source = np.array([before_V, *[volt] * (len(LOOKS) + 1)])
        drive = Drive.of(time, source, self.population.limit_A)
        response = follow(self.kernel, drive, states, vector, RTOL)
        if response is None:
            raise unanswered(self.population.model)
        return last_look(response) if volt else 0.0
