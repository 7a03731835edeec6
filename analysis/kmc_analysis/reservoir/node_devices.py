"""Source (b) of the nodes' states: a population of compact models with spread device to device and cycle to
cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kmc.cards.yaml_documents import place, unknown
from kmc.core import units
from kmc.core.blas_threads import cores
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.compilation import Kernel, compiled
from kmc_analysis.compact.equations.model import CompactModel, load_model
from kmc_analysis.compact.equations.reference_traces import Drive, Response, follow, population, start_of, unanswered
from kmc_analysis.compact.export import model_files
from kmc_analysis.compact.export.model_files import read_parameters, read_spreads
from kmc_analysis.reservoir.plan import Devices, Encoding, Plan

RTOL = 1e-4  # of the states: features are off by 0.002 at most, by 3e-5 on average; 1e-3 by 0.05 and 3e-4
EDGE = 1e-2  # of a slot: the rise of a pulse
ALIKE = 1e-9  # of a feature's range: states that differ by less do not differ
LOOKS = (0.9, 0.95, 1.0)  # of the read, its last tenth: the conductance is their mean


def device_model(plan: Plan) -> tuple[CompactModel, dict[str, float]]:
    """The model with its spreads scaled, and the changes of its parameters. Raises UserError."""
    settings = plan.devices
    own = settings.model.endswith((".yaml", ".yml"))
    model = load_model(plan.beside(settings.model) if own else settings.model)
    changes, spread = _changes(model, settings, plan)
    scale = {"device": settings.device_spread, "cycle": settings.cycle_spread}
    scaled = {kind: {name: scale[kind] * sigma for name, sigma in entries.items()} for kind, entries in spread.items()}
    return replace(model, spread=scaled), changes


def _changes(
    model: CompactModel, settings: Devices, plan: Plan
) -> tuple[dict[str, float], Mapping[str, Mapping[str, float]]]:
    """The parameters, from the file of a fit or from the yaml, and the spreads that go with them.

    Both keep to the bounds of the model: outside of them its equations may have no answer.
    """
    if isinstance(settings.parameters, str):
        path = fitted(settings.parameters, plan)
        try:
            return read_parameters(model, path), read_spreads(model, path)
        except UserError as error:
            own = "{}"
            step = f"set devices.parameters to {own}, the model's own, or to a fit of {model.name}"
            raise UserError(error.message, str(path), next_step=step) from None
    changes = {}
    for name, value in settings.parameters.items():
        where = place(settings.parameters, name) or str(plan.path)
        if name not in model.names:
            raise unknown(f'{model.name} has no parameter "{name}"', name, model.names, where)
        try:
            changes[name] = model.within(name, units.parse(value, model.parameter(name).unit, name))
        except UserError as error:
            raise error.at(where) from None
    return changes, model.spread


def fitted(name: str, plan: Plan) -> Path:
    """The parameters of a fit: a .json beside the plan, or one that comes with the program, by its device.

    Raises UserError with the nearest name.
    """
    if name.endswith(".json"):
        return plan.beside(name)
    return model_files.fitted(name, str(plan.path))


def _shared(model: CompactModel, changes: Mapping[str, float], windows: int) -> dict[str, float]:
    """The changes for one of several windows: the leak is of the whole contact, and each has its share."""
    values, shared = model.values(changes), dict(changes)
    for one in model.parameters:
        if one.shows == "off conductance":
            shared[one.name] = values[one.name] / windows
        elif one.shows == "off resistance":
            shared[one.name] = values[one.name] * windows
    return shared


@dataclass(frozen=True)
class Population:
    """Devices that differ. vectors: [devices, windows, parameters]; limit in A; off and on (S) are the
    features 0 and 1.
    """

    model: CompactModel
    vectors: np.ndarray
    limit_A: float
    off_S: float
    on_S: float
    seed: int

    @classmethod
    def of(cls, plan: Plan, seed: int) -> Population:
        """As many devices as the plan has."""
        model, changes = device_model(plan)
        count = plan.feeding.devices or plan.feeding.nodes
        settings = plan.devices
        every = population(model, count * settings.windows, seed, "device", _shared(model, changes, settings.windows))
        vectors = every.reshape(count, settings.windows, -1)
        return cls(model, vectors, settings.compliance, settings.off, settings.on, seed)

    def features(self, conductance: np.ndarray) -> np.ndarray:
        """The logarithm of conductances in S, 0 at `off_S` and 1 at `on_S`."""
        low, high = np.log10(self.off_S), np.log10(self.on_S)
        return (np.log10(np.maximum(conductance, 1e-15)) - low) / (high - low)

    @cached_property
    def starts(self) -> np.ndarray:
        """[devices, windows, states], at rest."""
        return np.array([[start_of(self.model, vector) for vector in one] for one in self.vectors])

    def cycles(self, count: int) -> np.ndarray:
        """Factors [count, windows, parameters] on the parameters, one for each use of a device."""
        ones, shape = dict.fromkeys(self.model.names, 1.0), self.vectors.shape[1:]
        return population(self.model, count * shape[0], self.seed, "cycle", ones).reshape(count, *shape)

    def response(
        self, kernel: Kernel, drive: Drive, device: int, factors: np.ndarray | float = 1.0, rtol: float = RTOL
    ) -> Response:
        """A device's, from rest, with `factors` on its parameters. Raises UserError where there is none."""
        states = self.starts[device].copy()
        found = follow(kernel, drive, states, self.vectors[device] * factors, rtol)
        if found is None:
            raise unanswered(self.model)
        return found

    def conductances(
        self, patterns: np.ndarray, gains: np.ndarray, device: np.ndarray, encoding: Encoding
    ) -> np.ndarray:
        """Conductances in S [samples, nodes] in the last tenth of the read after each pattern.

        patterns: [samples, nodes, slots]; gains, device: [nodes]. Every device starts each pattern at rest,
        and with a cycle of its own. Raises UserError where the equations have no answer.
        """
        samples, nodes = patterns.shape[:2]
        factors = self.cycles(samples * nodes).reshape(samples, nodes, *self.vectors.shape[1:])
        packed = np.packbits(patterns, axis=2)
        shapes: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        kernel, _ = compiled(self.model), self.starts  # made before there are threads

        def row(i: int) -> list[float]:
            found = []
            for k in range(nodes):
                key = packed[i, k].tobytes()
                if key not in shapes:
                    shapes[key] = waveform(patterns[i, k], encoding)
                time, write, read = shapes[key]
                drive = Drive.of(time, gains[k] * write + read, self.limit_A)
                found.append(last_look(self.response(kernel, drive, device[k], factors[i, k])))
            return found

        return np.array(_on_all_cores(row, samples))


def _on_all_cores(row: Callable[[int], list[float]], count: int) -> list[list[float]]:
    """`row` of 0 to count - 1, by threads: the integrator lets go of Python's lock."""
    pool = ThreadPoolExecutor(cores())
    try:
        return list(pool.map(row, range(count)))
    finally:
        pool.shutdown(cancel_futures=True)


def last_look(response: Response) -> float:
    """The conductance in S in the last looks of a response."""
    looks = slice(-len(LOOKS), None)
    return float(np.mean(response.current[looks] / response.voltage[looks]))


def waveform(pattern: np.ndarray, encoding: Encoding, looks: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in s, and the write's and the read's part of the source in V, from the first write to the read's
    end.

    looks: points in every stretch of constant voltage.
    """
    edge = EDGE * encoding.slot
    first = int(np.argmax(pattern)) if pattern.any() else pattern.size
    part = pattern[first:].astype(float)
    changes = np.flatnonzero(np.diff(part, prepend=0.0))
    stops = np.append(changes[1:], part.size) if changes.size else np.empty(0, int)
    time, write = [0.0], [0.0]
    for start, stop in zip(changes, stops, strict=True):
        stretch = np.linspace(start * encoding.slot + edge, stop * encoding.slot, looks + 1)
        time += stretch.tolist()
        write += [encoding.amplitude * part[start]] * stretch.size
    last = time[-1]
    at_read = [edge, *(share * encoding.read_width for share in LOOKS)]
    time += [last + t for t in at_read]
    read = [0.0] * len(write) + [encoding.read_amplitude] * len(at_read)
    return np.array(time), np.array(write + [0.0] * len(at_read)), np.array(read)


def as_drive(pattern: np.ndarray, gain: float, encoding: Encoding, limit_A: float, looks: int) -> Drive:
    """The whole source of one node, with `looks` points in every stretch."""
    time, write, read = waveform(pattern, encoding, looks)
    return Drive.of(time, gain * write + read, limit_A)
