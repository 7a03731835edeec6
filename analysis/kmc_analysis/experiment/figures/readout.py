"""The readout layer of the reservoir: accuracies, weights, the hardest class (S26, S27, table 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kmc_analysis.experiment.figures.definition import WINDOWS, Figure
from kmc_analysis.metrics.observation import Measured, not_run

if TYPE_CHECKING:
    from kmc_analysis.reservoir.plan import Plan

KEYS = ("S26_weight_distribution", "T1_fp64_accuracy", "T1_icc_accuracy", "T1_gap", "S27_hardest_class")
_NOTE = f"compact models of devices of {WINDOWS} windows and 30 x 4 weights, as in runs/firing_patterns"


def plan(first: int) -> Plan:
    """The plan of runs/firing_patterns, from a seed on: the experiment has 30 x 4 weights, no constant."""
    from kmc_analysis.reservoir.plan import Plan

    return Plan(seed=first).changed(readout={"constant": False}, devices={"windows": WINDOWS})


def _readout(first: int, count: int, should_stop: Callable[[], bool]) -> dict[str, Measured] | None:
    """The reservoir's own figures for seeds from `first` on; None when it is asked to stop between two."""
    from kmc_analysis.reservoir import pipeline
    from kmc_analysis.reservoir.results import accuracy_table

    results = pipeline.run(plan(first), count, should_stop=should_stop)
    if len(results) < count:
        return None
    found = accuracy_table.scoreboard(results)
    return {key: found[key].noted(_NOTE) if key in found else not_run("there is no such class") for key in KEYS}


FIGURES = [
    Figure(
        "readout",
        "readout layer",
        KEYS,
        (),
        lambda runs: {},
        f"{_NOTE}; a device of the interval is a seed of data, devices and training",
        compute=_readout,
        seeds=10,
        quick_seeds=1,
        depends=("reservoir", "compact"),
    )
]
