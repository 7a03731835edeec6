"""From a plan to its results: trains, states, readouts and baselines for each seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kmc.core import random_streams
from kmc_analysis.reservoir import spike_trains as spikes
from kmc_analysis.reservoir.linear_readout import Trained, train_devices, train_double
from kmc_analysis.reservoir.node_devices import ALIKE, Population, device_model
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.programming_laws import Laws, laws
from kmc_analysis.reservoir.pulse_input import Wiring, patterns, wire
from kmc_analysis.reservoir.spike_trains import Trains

DOUBLE = "fp64"
Telling = Callable[[str], None]
States = tuple[Trains, Wiring, np.ndarray]


@dataclass(frozen=True)
class Result:
    """One seed. features: [samples, nodes]; readouts: by fp64, measured, alternative, simulated, none, leaky;
    note: of a readout that is left out, or "".
    """

    seed: int
    trains: Trains
    wiring: Wiring
    features: np.ndarray
    readouts: dict[str, Trained]
    note: str = ""


def check(plan: Plan) -> str:
    """Read the files that the plan names, before anything is computed; returns warnings, a line each.

    Raises UserError.
    """
    device_model(plan)
    if plan.data.file is None:
        return ""
    found: list[str] = []
    note = trains_of(plan, plan.seed).note
    if note:
        found.append(f"warning: {plan.beside(plan.data.file)}: {note}; data.duration says how long")
    if plan.data.unread:
        found.append(f"warning: {', '.join(plan.data.unread)}: of generated trains, and the file gives them")
    if plan.data.file and "jitter" in plan.data.model_fields_set:
        told = "of the generalisation rank alone; the file's spikes stay where they are"
        found.append(f"warning: jitter: {told}")
    return "\n".join(found)


def run(
    plan: Plan, seeds: int | None = None, tell: Telling | None = None, should_stop: Callable[[], bool] = lambda: False
) -> list[Result]:
    """The results of all seeds (the plan's number, or `seeds`), from the plan's seed on, or of those done
    when it was asked to stop. Raises UserError."""
    model, changes = device_model(plan)
    found = laws(model, changes)
    results = []
    for k in range(plan.seeds if seeds is None else seeds):
        if should_stop():
            break
        if tell is not None:
            tell(f"seed {plan.seed + k}")
        results.append(one(plan, plan.seed + k, found))
    return results


def one(plan: Plan, seed: int, found: Laws, made: States | None = None) -> Result:
    """The result of one seed; data, wiring, devices and training all follow from it. made: its `states`."""
    data, wiring, features = states(plan, seed) if made is None else made
    readouts = {DOUBLE: _double(features, data, plan, seed)}
    x = standardised(features, features[data.train], plan.readout.constant)
    for name, law in found.rows.items():
        stream = random_streams.stream(seed, "reservoir readout")
        readouts[name] = train_devices(
            x, data.labels, len(data.classes), data.train, data.held_out, plan.readout, law, stream
        )
    for name, other in baselines(plan, data, wiring).items():
        readouts[name] = _double(other, data, plan, seed)
    return Result(seed, data, wiring, features, readouts, found.note)


def states(plan: Plan, seed: int) -> States:
    """Trains, wiring and features [samples, nodes] of one seed, by source (b)."""
    data = trains_of(plan, seed)
    wiring = wire(plan.feeding, plan.encoding, data.duration_s, seed)
    population = Population.of(plan, seed)
    conductance = population.conductances(
        patterns(data, wiring, plan.encoding), wiring.gains, wiring.device, plan.encoding
    )
    return data, wiring, population.features(conductance)


def trains_of(plan: Plan, seed: int) -> Trains:
    """The plan's trains: generated, or from its file."""
    if plan.data.file is None:
        return spikes.generate(plan.data, seed)
    return spikes.load(plan.beside(plan.data.file), plan.data, seed)


def standardised(x: np.ndarray, known: np.ndarray, constant: bool) -> np.ndarray:
    """Each node's feature minus its mean over the samples `known`, divided by their standard deviation.

    `known` are the training samples. With `constant` a last column of ones is added. Without standardisation the
    common part of all features, which carries no information, dominates every update.
    """
    mean, sigma = known.mean(axis=0), known.std(axis=0)
    scaled = (x - mean) / np.where(sigma > ALIKE, sigma, 1.0)
    return np.column_stack([scaled, np.ones(len(scaled))]) if constant else scaled


def _double(x: np.ndarray, data: Trains, plan: Plan, seed: int) -> Trained:
    stream = random_streams.stream(seed, "reservoir readout")
    return train_double(
        standardised(x, x[data.train], plan.readout.constant),
        data.labels,
        len(data.classes),
        data.train,
        data.held_out,
        plan.readout,
        stream,
    )


def baselines(plan: Plan, data: Trains, wiring: Wiring) -> dict[str, np.ndarray]:
    """Features [samples, nodes] of what the devices are held against.

    none: the number of spikes in each of as many equal bins as there are nodes. leaky: linear leaky
    integrators without spread that see what the devices see: sum of exp(-age / leak) over the slots that are
    written.
    """
    edges = np.linspace(0.0, data.duration_s, plan.feeding.nodes + 1)
    counts = np.array([np.histogram(times, edges)[0] for times in data.times], float)
    age = plan.encoding.bin_s * np.arange(wiring.window)[::-1]
    leaky = patterns(data, wiring, plan.encoding) @ np.exp(-age / plan.readout.leak)
    return {"none": counts, "leaky": leaky * wiring.gains}
