"""Error against cost: the rows of a few seeds, and a solution that is compared with itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kmc.benchmarks import accuracy as bench
from kmc.benchmarks import small_device
from kmc.benchmarks.device import totals
from kmc.inputs.protocol import Protocol
from kmc.simulation.simulation import Simulation


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds, two settings of two knobs, a short way, in this process."""
    monkeypatch.setattr(bench, "KNOBS", {"refresh_bound": (0.1, 2.0), "flight_reach": (0, 2)})
    monkeypatch.setattr(small_device, "MOST_S", 1e-4)
    monkeypatch.setattr(small_device, "FADING_S", 1e-4)
    monkeypatch.setattr(small_device, "KEPT_S", 5e-5)
    monkeypatch.setattr(bench, "FADES", 1)
    monkeypatch.setattr(bench, "SHARES", (1,))
    monkeypatch.setattr(bench, "MOMENTS", 2)
    monkeypatch.setattr(bench, "RATES_S", 1e-4)
    monkeypatch.setattr(bench, "COMPARED", 1)
    monkeypatch.setattr(bench, "observations", lambda what, tasks: [what(task) for task in tasks])
    monkeypatch.setenv(bench.SEEDS_VARIABLE, "2")


def test_rows_and_figure(few: None, tmp_path: Path) -> None:
    """The tightest has no error of its own; the default is marked; what enters rates has their errors too."""
    told: list[str] = []
    rows: list[dict[str, Any]] = bench.run(told.append)
    assert told == ["refresh_bound 0.1", "refresh_bound 2", "flight_reach 0", "flight_reach 2"]
    *rows, seeds = rows
    assert (seeds["knob"], seeds["setting"], seeds["set_ratio"]) == ("seeds", 2, 1.0)
    assert seeds["set_s"] == rows[-1]["set_s"]
    for name in ("set", "off"):
        assert [(row[f"{name}_ratio"], row[f"{name}_error"]) for row in rows[::2]] == [(1.0, 0.0)] * 2
    assert [(row["decades_change"], row["decades_error"]) for row in rows[::2]] == [(0.0, 0.0)] * 2
    assert [row["default"] for row in rows] == [False, True, False, True]
    assert [row["rates_median"] is None for row in rows] == [False, False, True, True]
    assert rows[1]["rates_p90"] >= rows[1]["rates_median"] >= 0.0
    assert all(row["set_s"] > 0.0 and row["cpu_s"] > 0.0 and row["events"] > 100 for row in rows)
    for suffix in ("png", "svg"):
        path = tmp_path / f"figure.{suffix}"
        bench.draw(rows, path)
        assert path.stat().st_size > 5000


@pytest.mark.parametrize(("known", "settings"), [(8, [8, 4, 2]), (3, [3]), (1, []), (0, [])])
def test_a_share_of_seeds_has_two_of_them(known: int, settings: list[int]) -> None:
    """One seed has no spread, none no mean; seeds that lack an observable count for none."""
    values = np.where(np.arange(8) < known, 1.0 + np.arange(8), np.nan)
    rows = bench._of_seeds({"set_s": values, "off_s": np.ones(8), "decades": np.ones(8)})
    assert [row["setting"] for row in rows] == settings
    assert all(row["set_error"] > 0.0 and row["decades_error"] == 0.0 for row in rows)


@pytest.mark.filterwarnings("error")
def test_one_seed_has_no_error() -> None:
    """Without a warning of numpy's."""
    one = {key: np.ones(1) for key in ("set_s", "off_s", "decades", "cpu_s", "events", "solves")}
    row = bench._compared(one, one)
    assert row["set_ratio"] == 1.0
    assert all(math.isnan(row[key]) for key in ("set_error", "off_error", "decades_error"))


def test_what_is_compared_is_the_same_configuration() -> None:
    """Solved anew at its own settings a fresh run has its own rates; on another mesh, others."""
    settings = small_device.small_settings({})
    simulation = Simulation(small_device.small_device(), Protocol.hold("0 V", "1 us", samples=1), settings, 1)
    own = totals(simulation)
    assert totals(bench.solved(simulation, settings)) == pytest.approx(own, rel=2e-3)  # Newton's tolerance
    simulation.device.set_source(0.7, math.inf)
    simulation.device.solve_fields()
    finer = totals(bench.solved(simulation, small_device.small_settings({"mesh_factor": 2})))
    assert abs(finer.sum() / totals(simulation).sum() - 1.0) > 1e-3
