"""Two linear readouts, trained online: double precision by backpropagation, and differential devices.

The devices are those of the experiment's note 4: W = beta (G+ - G-), beta = 1 / (G_max - G_min). An update
asks for dW = eta x_i delta_j; half of dG = dW / beta is added to G+ and half taken from G- (push-pull); both
targets are kept between G_min and G_max, turned into compliance currents by the law's inverse, and programmed
by RESET and SET: what results is normal around the law's mean. delta is the wanted output less softmax of the
activations (the gradient of cross-entropy) or, where the output is linear, less the activations: both
readouts follow one gradient and differ by the devices alone. Which devices an update rewrites: those whose
pair is asked to change by more than `threshold` (0: all of a column that errs at all).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kmc_analysis.reservoir.plan import Readout


@dataclass(frozen=True)
class Law:
    """Conductance (S) against compliance (A): mean = slope I + offset; I = (G + inverse) / slope; spread(I)
    in S.
    """

    slope: float
    offset: float
    inverse: float
    spread: Callable[[np.ndarray], np.ndarray]

    def programmed(self, target: np.ndarray, stream: np.random.Generator) -> np.ndarray:
        """What RESET and SET leave of the targets in S."""
        limit = (target + self.inverse) / self.slope
        mean = self.slope * limit + self.offset
        return np.maximum(mean + self.spread(limit) * stream.standard_normal(target.shape), 0.0)


@dataclass(frozen=True)
class Trained:
    """accuracy: [epochs + 1, 2], train and test in percent, before and after every epoch; weights [nodes,
    classes].

    confusion: [classes, classes] counts of the test samples, true class by row. plus, minus: conductances in
    S, None for double precision; writes: programmings of each device [2, nodes, classes].
    """

    accuracy: np.ndarray
    weights: np.ndarray
    confusion: np.ndarray
    plus: np.ndarray | None = None
    minus: np.ndarray | None = None
    writes: np.ndarray | None = None


def softmax(z: np.ndarray) -> np.ndarray:
    """Shares that sum to one along the last axis."""
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _plain(z: np.ndarray) -> np.ndarray:
    return z


def accuracy(weights: np.ndarray, x: np.ndarray, labels: np.ndarray) -> float:
    """Percent of samples whose largest output is that of their label."""
    return 100.0 * float(np.mean(np.argmax(x @ weights, axis=1) == labels))


def confusion(weights: np.ndarray, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts, true class by row and answer by column."""
    count = weights.shape[1]
    answers = np.argmax(x @ weights, axis=1)
    return np.bincount(labels * count + answers, minlength=count * count).reshape(count, count)


class _Double:
    """Weights in double precision."""

    def __init__(self, nodes: int, classes: int, settings: Readout, stream: np.random.Generator) -> None:
        self.rate = settings.rate
        self.weights = stream.standard_normal((nodes, classes)) / np.sqrt(nodes)

    def update(self, x: np.ndarray, delta: np.ndarray) -> None:
        self.weights += self.rate * np.outer(x, delta)


class _Pairs:
    """Weights as differences of two devices' conductances, programmed by compliance."""

    def __init__(self, nodes: int, classes: int, settings: Readout, law: Law, stream: np.random.Generator) -> None:
        self.law, self.settings, self.stream = law, settings, stream
        drawn = stream.standard_normal((2, nodes, classes))
        self.g = np.maximum(settings.initial_mean + settings.initial_sigma * drawn, 0.0)
        self.beta = 1.0 / (settings.most - settings.least)
        self.writes = np.zeros(self.g.shape, int)

    @property
    def weights(self) -> np.ndarray:
        return self.beta * (self.g[0] - self.g[1])

    def update(self, x: np.ndarray, delta: np.ndarray) -> None:
        change = self.settings.rate * np.outer(x, delta) / self.beta
        chosen = np.abs(change) > self.settings.threshold
        if not chosen.any():
            return
        half = 0.5 * change[chosen]
        target = self.g[:, chosen] + np.array([half, -half])
        target = np.clip(target, self.settings.least, self.settings.most)
        self.g[:, chosen] = self.law.programmed(target, self.stream)
        self.writes[:, chosen] += 1


def _fit(
    learner: _Double | _Pairs,
    x: np.ndarray,
    labels: np.ndarray,
    train: slice,
    test: slice,
    settings: Readout,
    stream: np.random.Generator,
) -> np.ndarray:
    """Train online, sample by sample in a new order each epoch; accuracies [epochs + 1, 2]."""
    classes = learner.weights.shape[1]
    wanted = np.eye(classes)[labels]
    parts = [(x[part], labels[part]) for part in (train, test)]
    found = [[accuracy(learner.weights, *part) for part in parts]]
    answer = softmax if settings.output == "softmax" else _plain
    for _ in range(settings.epochs):
        with np.errstate(over="ignore", invalid="ignore"):  # diverging weights are reported at the end
            for i in stream.permutation(np.arange(*train.indices(len(labels)))):
                learner.update(x[i], wanted[i] - answer(x[i] @ learner.weights))
        found.append([accuracy(learner.weights, *part) for part in parts])
    return np.array(found)


def train_double(
    x: np.ndarray,
    labels: np.ndarray,
    classes: int,
    train: slice,
    test: slice,
    settings: Readout,
    stream: np.random.Generator,
) -> Trained:
    """The readout in double precision. x: features [samples, nodes]; labels: [samples]."""
    learner = _Double(x.shape[1], classes, settings, stream)
    found = _fit(learner, x, labels, train, test, settings, stream)
    weights = learner.weights
    return Trained(found, weights, confusion(weights, x[test], labels[test]))


def train_devices(
    x: np.ndarray,
    labels: np.ndarray,
    classes: int,
    train: slice,
    test: slice,
    settings: Readout,
    law: Law,
    stream: np.random.Generator,
) -> Trained:
    """The readout of differential devices under `law`."""
    learner = _Pairs(x.shape[1], classes, settings, law, stream)
    found = _fit(learner, x, labels, train, test, settings, stream)
    weights = learner.weights
    return Trained(
        found, weights, confusion(weights, x[test], labels[test]), learner.g[0], learner.g[1], learner.writes
    )
