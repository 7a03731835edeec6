"""The experiment's table 1 beside ours, and the figures that the scoreboard asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from kmc_analysis.metrics import observation
from kmc_analysis.metrics.observation import Measured
from kmc_analysis.reservoir.pipeline import DOUBLE, Result
from kmc_analysis.reservoir.spike_trains import Trains

# John et al. 2022, supplementary table 1, in percent, epochs 0 to 5: training, testing.
EXPERIMENT_TABLE = {
    "fp64": ((24.68, 87.76, 91.38, 92.47, 92.99, 93.54), (20.88, 86.14, 89.16, 90.16, 91.37, 91.77)),
    "device": ((10.32, 69.11, 89.12, 83.09, 85.59, 86.75), (14.46, 73.29, 86.14, 80.92, 84.94, 85.14)),
}
DEVICE = "measured"  # the readout of targets T1_icc_accuracy, T1_gap and S26
HARDEST = "irregular"
_PARTS = ("training", "testing")
NAMES = {
    "fp64": "FP64, backpropagation",
    "measured": "devices, measured law, model's cycle spread",
    "alternative": "devices, measured law, its sigma read as uS of mA",
    "simulated": "devices, model's law and cycle spread",
    "none": "no reservoir: spike counts, FP64",
    "leaky": "ideal leaky reservoir, FP64",
}


def accuracies(results: list[Result], name: str) -> np.ndarray:
    """[seeds, epochs + 1, 2]: training and testing accuracy in percent."""
    return np.array([result.readouts[name].accuracy for result in results])


def told(result: Result, name: str) -> tuple[tuple[float, ...], ...] | None:
    """The experiment's accuracies of a readout, training and testing; None where it has none.

    It has none of trains that are not its four patterns.
    """
    known_as = {DOUBLE: "fp64", DEVICE: "device"}.get(name)
    return None if known_as is None or result.trains.own else EXPERIMENT_TABLE[known_as]


def rows(results: list[Result]) -> list[dict[str, Any]]:
    """One row a readout and part: {readout, part, source, mean [epochs + 1], sd [epochs + 1] or None}."""
    found: list[dict[str, Any]] = []
    for name in results[0].readouts:
        experiment = told(results[0], name)
        values = accuracies(results, name)
        for part, label in enumerate(_PARTS):
            common = {"readout": name, "title": NAMES[name], "part": label}
            if experiment is not None:
                found.append({**common, "source": "experiment", "mean": list(experiment[part]), "sd": None})
            spread = values[:, :, part].std(axis=0, ddof=1).tolist() if len(results) > 1 else None
            found.append(
                {**common, "source": "simulated", "mean": values[:, :, part].mean(axis=0).tolist(), "sd": spread}
            )
    return found


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text: accuracies as mean +- standard deviation over the seeds."""
    spread = row["sd"] or [None] * len(row["mean"])
    shown = [
        f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}" for mean, sd in zip(row["mean"], spread, strict=True)
    ]
    return [row["title"], row["part"], row["source"], *shown]


def heads(found: list[dict[str, Any]]) -> list[str]:
    """The columns of `cells`."""
    epochs = max(len(row["mean"]) for row in found)
    return ["readout", "part", "from", *(f"epoch {k}" for k in range(epochs))]


def scoreboard(results: list[Result]) -> dict[str, Measured]:
    """What the scoreboard asks for: means over the seeds, and a rank.

    T1_* in percent at the last epoch; S26 a Kolmogorov-Smirnov distance, S27 the rank by recall (1 is the
    hardest), of the summed confusion matrices. S27 is left out where there is no irregular class, and all of
    them with trains that are not the experiment's.
    """
    if results[0].trains.own:
        return {}
    double = accuracies(results, DOUBLE)[:, -1, 1]
    device = accuracies(results, DEVICE)[:, -1, 1]
    weights = np.array([ks_distance(result, DEVICE) for result in results])
    numbers = {
        "T1_fp64_accuracy": double,
        "T1_icc_accuracy": device,
        "T1_gap": double - device,
        "S26_weight_distribution": weights,
    }
    found = {key: observation.mean(values) for key, values in numbers.items()}
    if HARDEST in results[0].trains.classes:
        found["S27_hardest_class"] = _hardest(results)
    return found


def ks_distance(result: Result, name: str) -> float:
    """Kolmogorov-Smirnov distance of the standardised weights of a device readout and of FP64."""
    first, second = (standardised(result.readouts[key].weights) for key in (name, DOUBLE))
    return float(stats.ks_2samp(first, second).statistic) if first.size and second.size else math.nan


def standardised(weights: np.ndarray) -> np.ndarray:
    """Weights with a mean of 0 and a spread of 1; none where they diverged or are all alike."""
    flat = weights.ravel()
    return (flat - flat.mean()) / flat.std() if np.isfinite(flat).all() and flat.std() else np.zeros(0)


def recall(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's samples that are recognised; NaN of a class without any."""
    whole = confusion.sum(axis=1)
    return np.where(whole > 0, np.diag(confusion) / np.maximum(whole, 1), np.nan)


def majority(results: list[Result]) -> float:
    """Test accuracy, percent, of the answer that is most frequent in training: what any readout must beat."""

    def of(data: Trains) -> float:
        usual = np.bincount(data.labels[data.train]).argmax()
        return 100.0 * float(np.mean(data.labels[data.held_out] == usual))

    return float(np.mean([of(result.trains) for result in results]))


def _hardest(results: list[Result]) -> Measured:
    """Rank of the irregular class by recall, FP64; ties count against it."""
    place = results[0].trains.classes.index(HARDEST)

    def rank(groups: list[np.ndarray]) -> float:
        share = np.nan_to_num(recall(groups[0].sum(axis=0)))  # of a class that is not tested as of one missed
        return float(np.sum(share <= share[place]))

    return observation.bootstrap_groups(rank, [np.array([one.readouts[DOUBLE].confusion for one in results])])
