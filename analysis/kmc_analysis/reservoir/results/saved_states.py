"""What `kmc reservoir` keeps for a readout of one's own: states, trains and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from kmc.core.atomic_files import csv_text
from kmc_analysis.reservoir.pipeline import Result
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.spike_trains import HEAD, Trains


def states(plan: Plan, results: list[Result]) -> xr.Dataset:
    """States [seed, sample, node], labels, the samples' names in the file of trains, and which samples are to
    test with: for a readout of one's own.

    0 and 1 are the plan's `off` and `on`, on a logarithmic scale: G = off_S (on_S / off_S) ** state.
    """
    first = results[0].trains
    tested, classes = np.zeros(len(first.labels), bool), np.array(first.classes)
    tested[first.held_out] = True
    scale = {
        "long_name": "logarithm of the conductance, 0 at off_S and 1 at on_S",
        "units": "1",
        "off_S": plan.devices.off,
        "on_S": plan.devices.on,
    }
    return xr.Dataset(
        {
            "state": (("seed", "sample", "node"), np.array([one.features for one in results]), scale),
            "label": (
                ("seed", "sample"),
                np.array([classes[one.trains.labels] for one in results]),
                {"long_name": "class of the sample"},
            ),
            "name": (
                ("seed", "sample"),
                np.array([one.trains.names for one in results]),
                {"long_name": "the sample in the file of trains; of generated ones its number"},
            ),
            "test": ("sample", tested.astype(np.int8), {"long_name": "1 for the samples to test with"}),
        },
        {"seed": [one.seed for one in results]},
        {"title": "Features of a reservoir's devices, before they are standardised"},
    )


def trains_csv(data: Trains) -> str:
    """The trains of the first seed as the readouts had them, in the format of `data.file`."""
    rows = [
        [name, data.classes[label], time]
        for name, label, times in zip(data.names, data.labels, data.times, strict=True)
        for time in (times.tolist() or [""])
    ]
    return csv_text(HEAD, rows)


def weights_csv(result: Result) -> str:
    """Every weight of the first seed, with the two conductances in S where there are devices."""
    rows = []
    for name, trained in result.readouts.items():
        for node, label in np.ndindex(trained.weights.shape):
            place = node if node < result.features.shape[1] else "constant"
            pair: list[Any] = ["", ""]
            if trained.plus is not None and trained.minus is not None:
                pair = [trained.plus[node, label], trained.minus[node, label]]
            rows.append([name, place, result.trains.classes[label], trained.weights[node, label], *pair])
    return csv_text(["readout", "node", "class", "weight", "plus_S", "minus_S"], rows)
