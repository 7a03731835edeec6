"""A reservoir of devices as a node of reservoirpy (extra `reservoir`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from reservoirpy.node import Node

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.compact.equations.model import CompactModel, load_model
from kmc_analysis.compact.equations.reference_traces import RTOL, Drive, follow, population, start_of, unanswered
from kmc_analysis.compact.fitting.fit_data import log_conductance
from kmc_analysis.metrics.reads_and_retention import LOW_READ_V

EDGE = 1e-3  # of the longest pulse
LEAST_GAIN = 0.5
LEAST_WIDTH = 0.1  # of the longest pulse, for a mix of 0


def _check(what: str, value: Any, least: Any) -> None:
    """Whether a number is one, and large enough; a limit alone may be infinite. Raises UserError."""
    if not isinstance(value, Real) or not value >= least or (math.isinf(value) and what != "compliance_A"):
        step = "give a number" if least == -np.inf else f"give a number, {least:g} or more"
        raise UserError(f"{what} is {value!r}", next_step=step)


@dataclass(frozen=True)
class Pulse:
    """The pulse that a device gets, and the conductances in S that are 0 and 1. Raises UserError."""

    pulse_V: float = 0.6
    width_s: float = 1e-4
    gap_s: float = 20e-3
    compliance_A: float = 1e-6
    off_S: float = 1e-10
    on_S: float = 1e-3

    def __post_init__(self) -> None:
        for what, least in (
            ("width_s", 1e-12),
            ("gap_s", 0.0),
            ("pulse_V", -np.inf),
            ("compliance_A", 1e-15),
            ("off_S", 1e-18),
            ("on_S", self.off_S),
        ):
            _check(what, getattr(self, what), least)
        if self.on_S == self.off_S:
            raise UserError("on_S is off_S", next_step="give the conductances that become 1 and 0")


class Devices(Node):
    """Devices that differ, each driven by a random mix of the inputs as a pulse, then read.

    The mix is of shares that add up to the device's own gain, 0.5 to 1, so that devices differ for a single
    input, too. It is the width of a pulse of `pulse_V`, for amplitude does not serve: above its holding
    voltage a filament grows at the speed of its supply. A mix of 0 gives a tenth of `width_s`, one of 1 all
    of it, and inputs beyond 0 to 1 no more than these; the rest of `width_s` and `gap_s` are at 0.05 V.
    The features are the logarithms of the conductances, 0 at `off_S` and 1 at `on_S`: a ridge is meant for
    numbers of that size. All of these are given by name: see Pulse.
    """

    def __init__(
        self,
        model: str | CompactModel,
        parameters: Mapping[str, float],
        devices: int = 50,
        seed: int = 0,
        *,
        name: str | None = None,
        **pulse: float,
    ) -> None:
        _check("devices", devices, 1)
        self.pulse = Pulse(**pulse)
        self.model = load_model(model) if isinstance(model, str) else model
        self.seed, self.output_dim, self.name = seed, devices, name
        self.vectors = population(self.model, devices, seed, "device", parameters)
        self.kernel = compiled(self.model)
        self.initialized = False
        self.state: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled module, which a copy in another process makes its own of."""
        return {name: value for name, value in vars(self).items() if name != "kernel"}

    def __setstate__(self, told: dict[str, Any]) -> None:
        self.__dict__.update(told)
        self.kernel = compiled(self.model)

    def initialize(self, x: Any, y: Any = None) -> None:
        """Draw how the inputs are mixed, and put every device into its initial state."""
        self.input_dim = np.atleast_2d(np.asarray(x[0] if isinstance(x, list) else x)).shape[-1]
        stream = random_streams.stream(self.seed, "compact node mask")
        drawn = stream.random((self.output_dim, self.input_dim))
        gains = stream.uniform(LEAST_GAIN, 1.0, (self.output_dim, 1))
        self.mask = gains * drawn / drawn.sum(axis=1, keepdims=True)
        self.initialized = True
        self.reset()

    def reset(self) -> dict[str, Any]:
        """Every device in its initial state, which need not be zero; returns the state before."""
        states = np.array([start_of(self.model, vector) for vector in self.vectors])
        before, self.state = self.state, {"out": np.zeros(self.output_dim), "states": states}
        return before

    def _step(self, state: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
        if not np.isfinite(x).all():
            raise UserError(f"an input is {x}", next_step="give finite numbers, of 0 to 1")
        longest, states = self.pulse.width_s, state["states"].copy()
        mix = np.clip(self.mask @ np.asarray(x, float), 0.0, 1.0)
        source = np.array([LOW_READ_V, self.pulse.pulse_V, self.pulse.pulse_V, LOW_READ_V, LOW_READ_V])
        end = longest * (1 + EDGE) + self.pulse.gap_s
        features = np.empty(self.output_dim)
        for k, width in enumerate(longest * (LEAST_WIDTH + (1.0 - LEAST_WIDTH) * mix)):
            time = np.array([0.0, EDGE * longest, width, width + EDGE * longest, end])
            features[k] = self._pulse(time, source, states[k], self.vectors[k])
        low, high = np.log10(self.pulse.off_S), np.log10(self.pulse.on_S)
        return {"out": (features - low) / (high - low), "states": states}

    def _pulse(self, time: np.ndarray, source: np.ndarray, states: np.ndarray, vector: np.ndarray) -> float:
        """log10 of the conductance in S after a pulse; `states` move on."""
        response = follow(self.kernel, Drive.of(time, source, self.pulse.compliance_A), states, vector, RTOL)
        if response is None:
            raise unanswered(self.model)
        return float(log_conductance(response.current[-1:], response.voltage[-1:])[0])
