"""The misfit of a model to traces, as a function of places between the bounds of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.compilation import compiled
from kmc_analysis.compact.equations.model import CompactModel, Parameter
from kmc_analysis.compact.equations.reference_traces import follow, start
from kmc_analysis.compact.fitting.fit_data import Trace

_FAR = 20.0  # decades of misfit where the equations have no answer
FIT_RTOL = 5e-6
TOLD = 100  # traces from one word of progress to the next
STEP = 4e-4  # of the bounds' width, for derivatives


def to_unit(parameter: Parameter, value: float) -> float:
    """A value as its place between the bounds, 0 to 1."""
    low, high, value = (
        _scaled(parameter)(parameter.low),
        _scaled(parameter)(parameter.high),
        _scaled(parameter)(value),
    )
    return (value - low) / (high - low)


def from_unit(parameter: Parameter, place: float) -> float:
    """The value at a place between the bounds."""
    low, high = _scaled(parameter)(parameter.low), _scaled(parameter)(parameter.high)
    value = low + place * (high - low)
    value = math.exp(value) if parameter.scale == "log" else value
    return min(max(value, parameter.low), parameter.high)  # rounding may pass a bound


def _scaled(parameter: Parameter) -> Callable[[float], float]:
    return math.log if parameter.scale == "log" else float


class Problem:
    """The misfit as a function of places between the bounds [free]."""

    def __init__(
        self,
        model: CompactModel,
        traces: Sequence[Trace],
        fixed: Mapping[str, float],
        free: Sequence[str] | None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.tell = tell
        self.model, self.traces, self.fixed, self.evaluations = model, list(traces), dict(fixed), 0
        self.base = np.array(list(model.values(fixed).values()))
        chosen = [p.name for p in model.parameters if p.fitted] if free is None else list(free)
        self.parameters = [model.parameter(name) for name in chosen if name not in fixed]
        for one in self.parameters:
            if one.low == one.high:
                raise UserError(f"{one.name} cannot move: its bounds are equal", next_step=f"fix {one.name}")
        if not self.parameters:
            raise UserError(f"no parameter of {model.name} is left to fit", next_step="fix fewer of them")
        self.places = [model.names.index(parameter.name) for parameter in self.parameters]
        self.kernel = compiled(model)
        self.rtol = FIT_RTOL

    def vector(self, places: np.ndarray) -> np.ndarray:
        """The whole parameter vector [n]."""
        vector = self.base.copy()
        vector[self.places] = [from_unit(p, u) for p, u in zip(self.parameters, places, strict=True)]
        return vector

    def predicted(self, vector: np.ndarray, one: Trace) -> np.ndarray | None:
        """log10 of the conductance [points], or None where the equations have no answer."""
        states = start(self.kernel, vector)
        response = None if states is None else follow(self.kernel, one.drive, states, vector, self.rtol)
        self.evaluations += 1
        if self.evaluations % TOLD == 0:
            self.tell(f"{self.model.name}: {self.evaluations} traces computed")
        if response is None or not np.all(np.isfinite(response.current)):
            return None
        return one.predicted(response)

    def residuals(self, places: np.ndarray) -> np.ndarray:
        """(model - data) / sigma at all points that are used."""
        vector, parts = self.vector(places), []
        for one in self.traces:
            found = self.predicted(vector, one)
            miss = np.full(one.log_g.size, _FAR) if found is None else found - one.log_g
            parts.append((miss / one.sigma)[one.used])
        return np.concatenate(parts)

    def jacobian(self, places: np.ndarray) -> np.ndarray:
        """d(residuals)/d(places) [points, free], by central differences.

        The step is a share of the bounds' width, whatever the place: where a conductance falls by decades the
        integrator's choice of steps leaves noise that a step in proportion to a small place does not drown.
        """
        columns = []
        for k in range(places.size):
            low, high = places.copy(), places.copy()
            low[k], high[k] = max(places[k] - STEP, 0.0), min(places[k] + STEP, 1.0)
            columns.append((self.residuals(high) - self.residuals(low)) / (high[k] - low[k]))
        return np.array(columns).T

    def cost(self, places: np.ndarray) -> float:
        """A misfit that a few far points do not rule, for the global search."""
        return float(np.mean(np.sqrt(1.0 + self.residuals(np.clip(places, 0.0, 1.0)) ** 2)))

    def places_of(self, values: Mapping[str, float]) -> np.ndarray:
        """The places [free] of parameters; those that `values` does not name are the model's own."""
        base = dict(zip(self.model.names, self.base, strict=True)) | dict(values)
        return np.array([to_unit(parameter, base[parameter.name]) for parameter in self.parameters])
