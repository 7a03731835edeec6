"""The readout layer of the reservoir: accuracies, weights, the hardest class (S26, S27, table 1)."""

from __future__ import annotations

import math
from typing import Any

from kmc_analysis.figures.definition import Figure
from kmc_analysis.measured import Measured, few, not_run

KEYS = ("S26_weight_distribution", "T1_fp64_accuracy", "T1_icc_accuracy", "T1_gap", "S27_hardest_class")
_NOTE = "compact models of the devices, as in runs/firing_patterns"


def _readout(first: int, count: int) -> dict[str, Measured]:
    """The reservoir's own figures for seeds from `first` on."""
    from kmc_analysis.reservoir import pipeline, table
    from kmc_analysis.reservoir.settings import Plan

    found = table.scoreboard(pipeline.run(Plan(seed=first), count))
    return {key: _measured(found[key]) if key in found else not_run("there is no such class") for key in KEYS}


def _measured(one: dict[str, Any]) -> Measured:
    low, high = one["interval"] or (math.nan, math.nan)
    return Measured(one["simulated"], low, high, one["n"], _NOTE, open=few(one["n"]))


FIGURES = [
    Figure("readout", "readout layer", KEYS, (), lambda runs: {},
           f"{_NOTE}; a device of the interval is a seed of data, devices and training", compute=_readout,
           seeds=10, quick_seeds=2, depends=("reservoir", "compact", "reproduce")),
]  # fmt: skip
