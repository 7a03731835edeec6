"""Figures of a reservoir: trains, accuracy, confusion, weights, states, memory, costs, and the sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmc.plotting.plot_style import COLOURS, INK
from kmc_analysis.plotting.study_figures import MARKERS, saved
from kmc_analysis.reservoir.pipeline import DOUBLE, Result
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.pulse_input import patterns
from kmc_analysis.reservoir.results import accuracy_table
from kmc_analysis.reservoir.results.energy_costs import DRIFT_CYCLES
from kmc_analysis.reservoir.results.memory_measures import Rank

SHOWN_TRAINS = 4  # of each class
TINY = np.finfo(float).tiny  # of states that are all alike no singular value is more than zero
CONFUSED = ("fp64", "measured", "simulated")
SWEPT = ("fp64", "measured", "simulated", "none", "leaky")


def _panels(columns: int, rows: int = 1, width: float = 3.4) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * columns, 3.0 * rows), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).ravel())


def trains(plan: Plan, result: Result, path: Path) -> Path:
    """Some trains of each class, and what one sample's devices see and are read as."""
    figure, (raster, seen) = _panels(2, width=4.4)
    data, row, middles = result.trains, 0, []
    for label in range(len(data.classes)):
        shown = np.flatnonzero(data.labels == label)[:SHOWN_TRAINS]
        middles.append(row + (len(shown) - 1) / 2)
        for i in shown:
            raster.eventplot(1e3 * data.times[i], lineoffsets=row, colors=COLOURS[label % len(COLOURS)])
            row += 1
    raster.set_xlabel("time (ms)")
    raster.set_yticks(middles, data.classes, fontsize=8)
    for tick, label in zip(raster.get_yticklabels(), range(len(middles)), strict=True):
        tick.set_color(COLOURS[label % len(COLOURS)])
    raster.set_title("spike trains", fontsize=10)
    seen.imshow(patterns(data, result.wiring, plan.encoding)[0], aspect="auto", cmap="Greys", origin="lower")
    seen.set_xlabel(f"slot of the window; read after it ({data.classes[data.labels[0]]})")
    seen.set_ylabel("node")
    seen.set_title("what the devices see", fontsize=10)
    return saved(figure, path)


def accuracy(results: list[Result], path: Path) -> Path:
    """Training and test accuracy by epoch, with the standard deviation over seeds; crosses are the
    experiment's.
    """
    names = list(results[0].readouts)
    figure, axes = _panels(3, -(-len(names) // 3))
    for place, name in zip(axes, names, strict=False):
        values = accuracy_table.accuracies(results, name)
        experiment = accuracy_table.told(results[0], name)
        for part, label in enumerate(("training", "testing")):
            mean, sd = values[:, :, part].mean(axis=0), values[:, :, part].std(axis=0, ddof=len(values) > 1)
            place.errorbar(np.arange(mean.size), mean, sd, color=COLOURS[part], marker=MARKERS[part], label=label)
            if experiment is not None:
                told = experiment[part]
                place.plot(np.arange(len(told)), told, "x", color=COLOURS[part], label=f"experiment, {label}")
        place.set_title(accuracy_table.NAMES[name], fontsize=8)
        place.set_xlabel("epoch")
        place.set_ylim(0.0, 100.0)
    axes[0].set_ylabel("accuracy (%)")
    axes[0].legend(frameon=False, fontsize=7)
    return saved(figure, path)


def confusion(results: list[Result], path: Path) -> Path:
    """Confusion matrices of all seeds' test samples, in percent of the true class."""
    names = [name for name in CONFUSED if name in results[0].readouts]
    figure, axes = _panels(len(names))
    classes = results[0].trains.classes
    for place, name in zip(axes, names, strict=True):
        total = np.sum([result.readouts[name].confusion for result in results], axis=0)
        share = 100.0 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
        place.imshow(share, cmap="Blues", vmin=0.0, vmax=100.0)
        for i, j in np.ndindex(share.shape):
            place.text(
                j,
                i,
                f"{share[i, j]:.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[i, j] > 60.0 else INK,
            )
        place.set_xticks(range(len(classes)), classes, rotation=30, fontsize=8)
        place.set_yticks(range(len(classes)), classes, fontsize=8)
        place.set_xlabel("answer")
        place.set_title(accuracy_table.NAMES[name], fontsize=8)
    axes[0].set_ylabel("true class")
    return saved(figure, path)


def weights(result: Result, path: Path) -> Path:
    """G+ and G-, their difference, and the standardised weights beside FP64's."""
    trained, double = result.readouts[accuracy_table.DEVICE], result.readouts[DOUBLE]
    figure, axes = _panels(4, width=2.8)
    if trained.plus is not None and trained.minus is not None:
        for place, values, name in zip(
            axes, (trained.plus, trained.minus, trained.plus - trained.minus), ("G+", "G-", "G+ - G-"), strict=False
        ):
            place.hist(1e3 * values[np.isfinite(values)], bins=24, color=COLOURS[0])
            place.set_xlabel(f"{name} (mS)")
    for part, (values, name) in enumerate(((trained.weights, "devices"), (double.weights, "FP64"))):
        axes[3].hist(accuracy_table.standardised(values), bins=24, histtype="step", color=COLOURS[part], label=name)
    axes[3].set_xlabel("weight, standardised")
    axes[3].set_title(f"KS distance {accuracy_table.ks_distance(result, accuracy_table.DEVICE):.3f}", fontsize=8)
    axes[3].legend(frameon=False, fontsize=7)
    axes[0].set_ylabel("number of devices")
    return saved(figure, path)


def states(result: Result, found: dict[str, Rank], path: Path) -> Path:
    """States on their two widest directions by class; singular values of the two ranks."""
    figure, (plane, values) = _panels(2, width=4.0)
    x = result.features - result.features.mean(axis=0)
    across = x @ np.linalg.svd(x, full_matrices=False)[2][:2].T
    for label, name in enumerate(result.trains.classes):
        there = result.trains.labels == label
        plane.plot(
            *across[there].T,
            MARKERS[label % len(MARKERS)],
            color=COLOURS[label % len(COLOURS)],
            markersize=2,
            label=name,
        )
    plane.set_xlabel("first principal direction")
    plane.set_ylabel("second")
    plane.legend(frameon=False, fontsize=7)
    for k, (name, one) in enumerate(found.items()):
        share = one.singular / max(one.singular[0], TINY)
        values.semilogy(
            np.maximum(share, 1e-6),
            marker=MARKERS[k],
            color=COLOURS[k],
            label=f"{name}: rank {one.rank}, effective {one.effective:.1f}",
        )
    values.set_xlabel("singular value")
    values.set_ylabel("over the first")
    values.legend(frameon=False, fontsize=7)
    return saved(figure, path)


def memory(tasks: dict[str, Any], path: Path) -> Path:
    """Squared correlation with the input some steps ago; the error of NARMA-10."""
    figure, (curve, bars) = _panels(2, width=4.0)
    for k, (name, one) in enumerate(tasks.items()):
        delays = np.arange(1, len(one["memory"]) + 1)
        curve.plot(
            delays, one["memory"], marker=MARKERS[k], color=COLOURS[k], label=f"{name}: capacity {one['capacity']:.2f}"
        )
        bars.bar(k, one["narma10"], color=COLOURS[k])
    curve.set_xlabel("delay (steps)")
    curve.set_ylabel("squared correlation")
    curve.legend(frameon=False, fontsize=7)
    bars.set_xticks(range(len(tasks)), list(tasks))
    bars.set_ylabel("NARMA-10: error / standard deviation")
    return saved(figure, path)


def costs(found: dict[str, Any], path: Path) -> Path:
    """Energy of one classification; use of devices against what they lasted in the experiment."""
    figure, (energy, wear) = _panels(2, width=4.0)
    for k, name in enumerate(("reservoir_J", "device_J", "readout_J")):
        energy.bar(k, 1e9 * found[name], color=COLOURS[k])
    energy.set_xticks(range(3), ["reservoir,\nsource", "reservoir,\ndevices", "readout"], fontsize=8)
    energy.set_yscale("log")
    energy.set_ylabel("energy of a classification (nJ)")
    for k, name in enumerate(("programmings_mean", "programmings_most")):
        wear.bar(k, found[name], color=COLOURS[k])
    wear.axhline(DRIFT_CYCLES, color=INK, linestyle="--", linewidth=1, label="endurance of the experiment")
    wear.set_xticks(range(2), ["mean device", "busiest device"], fontsize=8)
    wear.set_ylabel("programmings in training")
    wear.legend(frameon=False, fontsize=7)
    return saved(figure, path)


def sweep(rows: list[dict[str, Any]], path: Path) -> Path:
    """Test accuracy against each entry, a panel an entry, a colour a readout."""
    entries = list(dict.fromkeys(row["entry"] for row in rows))
    figure, axes = _panels(min(3, len(entries)), -(-len(entries) // 3))
    for place, entry in zip(axes, entries, strict=False):
        values = list(dict.fromkeys(str(row["value"]) for row in rows if row["entry"] == entry))
        for k, name in enumerate(SWEPT):
            part = [row for row in rows if row["entry"] == entry and row["readout"] == name]
            mean, sd = [row["mean"] for row in part], [row["sd"] or 0.0 for row in part]
            there = [values.index(str(row["value"])) for row in part]
            place.errorbar(there, mean, sd, marker=MARKERS[k], color=COLOURS[k], label=name)
        place.set_xticks(range(len(values)), values, fontsize=8)
        place.set_xlabel(entry)
    axes[0].set_ylabel("test accuracy (%)")
    axes[0].legend(frameon=False, fontsize=7)
    return saved(figure, path)


def kinetic(found: dict[str, Any], path: Path) -> Path:
    """Medians of every pattern's state: the compact model's against kinetic Monte Carlo's."""
    figure, (place,) = _panels(1, width=4.0)
    low, high = min(*found["a"], *found["b"]), max(*found["a"], *found["b"])
    place.plot([low, high], [low, high], color=INK, linewidth=1)
    place.plot(found["a"], found["b"], "o", color=COLOURS[0], markersize=4)
    place.set_xlabel("kinetic Monte Carlo, log10 G (S)")
    place.set_ylabel("compact model, log10 G (S)")
    return saved(figure, path)
