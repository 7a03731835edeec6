"""What a verdict says where it is no hit, and what few devices cannot make unsure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.experiment.targets.verdict import MISS, UNCLEAR, judge
from kmc_analysis.metrics.observation import Measured

WIDE = "the interval is too wide: more replicates are owed"
OUTSIDE = "the estimate lies outside the band, which its interval reaches"


@pytest.mark.parametrize(
    ("key", "value", "low", "high", "reason"),
    [
        ("S23a_echo_10ms", 118, 112, 124, WIDE),  # 113 to 123
        ("S23a_echo_10ms", 112, 111, 114, OUTSIDE),
        ("S23a_echo_10ms", 124, 110, 140, OUTSIDE),
        ("S3_ddab_switches", 900, 200, 2000, WIDE),  # 300 at least
        ("S3_ddab_switches", 200, 100, 400, OUTSIDE),
    ],
)
def test_an_estimate_outside_of_the_band_is_told(key: str, value: float, low: float, high: float, reason: str) -> None:
    """More devices do not bring it in; they are owed where it is inside, with an interval that is not."""
    assert judge(targets()[key], Measured(value, low, high, 8, "told")) == (UNCLEAR, f"{reason}; told")


def test_a_bound_is_sure_of_however_few_devices() -> None:
    """What the circuit lets through at most, where 60 K are asked for: a miss of one device. The same numbers
    from a bootstrap are a guess, and a bound is no hit where something is owed."""
    heat = targets()["S30_nonvolatile_heat"]
    most = Measured(2.5, 0.0, 2.5, 1, owed="the first cycle stands in", bound=True, open="one device")
    assert judge(heat, most).verdict == MISS
    assert judge(heat, replace(most, bound=False)).verdict == UNCLEAR
    assert judge(heat, replace(most, value=86.0, low=80.0, high=90.0)).verdict == UNCLEAR
    assert judge(heat, replace(most, high=70.0)).verdict == UNCLEAR
