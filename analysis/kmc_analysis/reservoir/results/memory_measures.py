"""What a reservoir's states are good for: ranks, separability, memory, a nonlinear series.

Kernel rank and generalisation rank: R. Legenstein and W. Maass, Neural Netw. 20, 323 (2007). Memory capacity:
H. Jaeger, GMD report 152 (2001). NARMA-10: A. F. Atiya and A. G. Parlos, IEEE Trans. Neural Netw. 11, 697
(2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from kmc.core import random_streams
from kmc_analysis.metrics.pulse_trains import separated
from kmc_analysis.reservoir.node_devices import ALIKE, Population
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.pulse_input import Wiring, patterns
from kmc_analysis.reservoir.spike_trains import Trains, jittered

TRAINS_A_NODE = 2  # random trains for a rank, over the number of nodes
RATE_HZ = 40.0  # of the random trains, about the mean rate of the four patterns
LEAST_SHARE = 0.01  # singular values under this share of the largest count as none
BITS, CYCLES = 4, 24  # streams of the separability, and repeats of each
RIDGE = 1e-6


@dataclass(frozen=True)
class Rank:
    """singular: values of the centred states, falling; rank: those over LEAST_SHARE of the first; effective:
    the exponential of their entropy."""

    singular: np.ndarray
    rank: int
    effective: float


def rank(states: np.ndarray) -> Rank:
    """The rank of states [inputs, nodes], each node less its mean."""
    found = np.linalg.svd(states - states.mean(axis=0), compute_uv=False)
    total = found.sum()
    if found[0] <= 1e-9 * np.abs(states).max():  # all alike, but for rounding
        return Rank(found, 0, 0.0)
    share = found[found > 0.0] / total
    entropy = -float(np.sum(share * np.log(share)))
    return Rank(found, int(np.sum(found > LEAST_SHARE * found[0])), float(np.exp(entropy)))


def ranks(plan: Plan, wiring: Wiring, population: Population, seed: int) -> dict[str, Rank]:
    """kernel: of random trains; generalisation: of one random train, jittered again and again.

    Without the spread from cycle to cycle: noise alone would give any matrix full rank.
    """
    count = TRAINS_A_NODE * plan.feeding.nodes
    stream = random_streams.stream(seed, "reservoir ranks")
    length = plan.data.duration
    random = [np.sort(stream.uniform(0.0, length, stream.poisson(RATE_HZ * length))) for _ in range(count)]
    alike = [jittered(random[0], plan.data.jitter, length, stream) for _ in range(count)]
    quiet = replace(population, model=replace(population.model, spread={}))
    found = {}
    for name, times in (("kernel", random), ("generalisation", alike)):
        made = Trains(tuple(times), np.zeros(count, int), ("any",), length, 0)
        seen = patterns(made, wiring, plan.encoding)
        states = quiet.conductances(seen, wiring.gains, wiring.device, plan.encoding)
        found[name] = rank(quiet.features(states))
    return found


def stream_separability(plan: Plan, population: Population) -> float:
    """Share of the 120 pairs of four-bit streams whose mean conductances differ by over two standard
    deviations.

    One device, 1 V or nothing for a slot each, read at the end; the deviation is that from cycle to cycle, in
    the logarithm.
    """
    streams_ = np.array(list(product((False, True), repeat=BITS)))
    seen = np.repeat(streams_[None], CYCLES, axis=0)
    nodes = len(streams_)
    found = population.conductances(seen, np.ones(nodes), np.zeros(nodes, int), plan.encoding)
    return separated(np.log10(found))


def class_separability(features: np.ndarray, labels: np.ndarray) -> float:
    """Trace of the scatter between classes over that within them."""
    centre = features.mean(axis=0)
    between = within = 0.0
    for label in np.unique(labels):
        part = features[labels == label]
        between += len(part) * float(np.sum((part.mean(axis=0) - centre) ** 2))
        within += float(np.sum((part - part.mean(axis=0)) ** 2))
    return between / within if within > 0.0 else math.nan


def ridge(x: np.ndarray, y: np.ndarray, train: slice, test: slice) -> np.ndarray:
    """Predictions of y [steps] over `test` by ridge regression with a constant, trained on `train`."""
    mean, sigma = x[train].mean(axis=0), x[train].std(axis=0)
    scaled = np.column_stack([(x - mean) / np.where(sigma > ALIKE, sigma, 1.0), np.ones(len(x))])
    gram = scaled[train].T @ scaled[train]
    gram += RIDGE * len(scaled[train]) * np.eye(len(gram))
    return scaled[test] @ np.linalg.solve(gram, scaled[train].T @ y[train])


def memory(x: np.ndarray, u: np.ndarray, most: int, train: slice, test: slice) -> np.ndarray:
    """Squared correlation of u delayed by 1 to `most` steps with its prediction from x; their sum is the
    capacity.
    """
    found = []
    for delay in range(1, most + 1):
        wanted = np.concatenate([np.zeros(delay), u[:-delay]])
        told = ridge(x, wanted, train, test)
        spread = told.std() * wanted[test].std()
        common = np.mean((told - told.mean()) * (wanted[test] - wanted[test].mean()))
        found.append(max(common / spread, 0.0) ** 2 if spread > 0.0 else 0.0)
    return np.array(found)


def narma10(u: np.ndarray) -> np.ndarray:
    """The nonlinear autoregressive moving average of order ten of u (0 to 0.5)."""
    y = np.zeros(u.size)
    for t in range(9, u.size - 1):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
    return y


def nrmse(told: np.ndarray, wanted: np.ndarray) -> float:
    """Root mean square of the miss over the standard deviation of what was wanted."""
    return float(np.sqrt(np.mean((told - wanted) ** 2)) / wanted.std())
