"""Where the time goes: parts that add up, booked once, and functions that are as they were afterwards."""

from __future__ import annotations

import time

import pytest
from small_stacks import reduced

from kmc.benchmarks import run_profile
from kmc.benchmarks.run_profile import REST, Clock, profile
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.kinetics import advance as kernels
from kmc.simulation.simulation import Simulation


def busy(seconds: float) -> None:
    """Use the processor."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_time_is_booked_to_the_innermost_part() -> None:
    """A part that calls another does not count the other's time, and calls within a part count once."""
    clock = Clock()
    inner = clock.timed("inner", lambda: busy(0.03))
    again = clock.timed("outer", lambda: busy(0.01))
    outer = clock.timed("outer", lambda: (busy(0.01), inner(), again()))
    outer()
    clock.turn()
    assert clock.spent["inner"] == pytest.approx(0.03, abs=0.01)
    assert clock.spent["outer"] == pytest.approx(0.02, abs=0.01)
    assert clock.calls == {REST: 1, "outer": 1, "inner": 1}


def test_parts_of_a_run_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares sum to one, all that a run does is there, and nothing stays wrapped; it stops at its limit."""
    advance = kernels.advance
    simulation = Simulation(reduced("ogb_20nm"), Protocol.hold("1 V", "0.3 ms", "1 uA"), Settings(), 1)
    whole, *parts = profile("short", simulation)
    assert kernels.advance is advance
    assert sum(row["share"] for row in parts) == pytest.approx(1.0)
    assert {"events", "rates anew", "current", "circuit", REST} <= {row["part"] for row in parts}
    assert whole["events"] == simulation.windows.total("events") > 0
    assert whole["reached_s"] == pytest.approx(whole["asked_s"])
    assert parts == sorted(parts, key=lambda row: -row["cpu_s"])
    monkeypatch.setattr(run_profile, "LIMIT_S", 0.0)
    stopped = Simulation(reduced("ogb_20nm"), Protocol.hold("1 V", "0.3 ms", "1 uA"), Settings(event_budget=100), 1)
    whole = profile("stopped", stopped)[0]
    assert whole["reached_s"] < 0.5 * whole["asked_s"]
