"""The intervals of a fit hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from compact_truth import FREE, bipolar, starting_at, synthetic, train

from kmc_analysis.compact.equations.model import load_model, model_names
from kmc_analysis.compact.fitting.model_fit import Fit, Search, fit

# Known and not fitted: with its thermal time of 1 us a sweep took 70,000 steps of ROS2 and tells no more.
KNOWN = {"stanford_pku": {"tau_th": 1e-4}}


def covered(found: Fit, truth: dict[str, float], share: float = 1.0) -> list[bool]:
    """Whether each true value lies in its interval, or in that shrunk to a share of its width."""
    away = [(truth[e.parameter.name] - e.value, e.low - e.value, e.high - e.value) for e in found.estimates]
    return [share * low <= error <= share * high for error, low, high in away]


@pytest.mark.slow
@pytest.mark.parametrize("name", model_names())
def test_intervals_hold_the_truth(name: str) -> None:
    """50 draws a model: the stated 95 % intervals hold the truth at least 90 % of the time.

    The search begins at the truth: what is tested here are the intervals, not the search. Power: of 200
    intervals of which each holds it with 95 % in truth, fewer than 180 do in one of a thousand runs; where
    each does with 80 %, all but one of a thousand runs fail. The reset of `silver` takes three samples of 81,
    too few for its two parameters: it is sampled twice as densely. Control: the same intervals, a quarter as
    wide, hold it less than two thirds of the time (normal errors: 0.38), so they are not wide for nothing.
    """
    truth = FREE[name]
    model = starting_at(load_model(name), truth | KNOWN.get(name, {}))
    held: list[bool] = []
    narrow: list[bool] = []
    for seed in range(50):
        traces = synthetic(model, truth, [bipolar(161 if name == "silver" else 81), train()], seed)
        found = fit(model, traces, free=list(truth), search=Search(generations=0))
        held, narrow = held + covered(found, truth), narrow + covered(found, truth, 0.25)
    assert np.mean(held) >= 0.90
    assert np.mean(narrow) < 0.67
