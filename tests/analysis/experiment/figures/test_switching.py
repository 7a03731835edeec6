"""The main run, three seeds of it: high resistance, an abrupt rise to the limit of 1 uA, and back.

How many devices do so is the scoreboard's (`S3_volatile_switching`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import kmc
from kmc.inputs.run_file import load_run
from kmc.simulation.run_to_folder import execute

pytestmark = pytest.mark.slow

LIMIT_A = 1e-6


def first_jump(current: np.ndarray) -> int:
    """The first step that reaches the limit or is ten times the one before, as the experiment's set voltage.

    The first two steps of a sweep from zero are left out: there is no current at 0 V to compare with.
    """
    ratio = current[2:] / current[1:-1]
    return 2 + int(np.argmax((ratio >= 10.0) | (current[2:] >= 0.999 * LIMIT_A)))


def check_volatile(trace: xr.Dataset) -> None:
    """What the figure must show of one device; raises AssertionError."""
    current, voltage = np.abs(trace.current.values), trace.voltage_source.values
    top = int(np.argmax(voltage))
    upward = current[: top + 1]
    jump = first_jump(upward)
    assert current.max() == pytest.approx(LIMIT_A, rel=1e-3)
    assert upward[jump] >= 10.0 * upward[jump - 1]
    assert LIMIT_A / upward[jump - 1] >= 300.0
    pristine = upward[1] / voltage[1]
    assert voltage[1] == pytest.approx(0.05)
    assert float(trace.voltage_source[-1]) == pytest.approx(0.05)
    assert pristine / 3 <= float(trace.conductance[-1]) <= 3 * pristine


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_20_nm_device_switches_and_forgets(seed: int, tmp_path: Path, repository: Path) -> None:
    """One deterministic run a seed, each by itself: nothing to average, so no power to state."""
    outcome = execute(load_run(repository / "runs" / "ogb_20nm" / "run.yaml", [f"seed={seed}"]), tmp_path)
    assert outcome.dataset is not None
    trace = kmc.open(outcome.dataset)
    assert int(trace.current.size) > 100
    check_volatile(trace)
    with pytest.raises(AssertionError):
        check_volatile(trace.assign(current=trace.current.clip(0.0, 0.5 * LIMIT_A)))
    with pytest.raises(AssertionError):
        check_volatile(trace.assign(conductance=trace.conductance * 10.0))
    top = int(np.argmax(trace.voltage_source.values))
    assert float(trace.current[top]) >= 0.999 * LIMIT_A
