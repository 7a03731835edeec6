"""The benchmarks of devices: their rows, their limits, and an error that is one."""

from __future__ import annotations

import numpy as np
import pytest
from small_stacks import reduced

from kmc.benchmarks import device, scaling
from kmc.benchmarks.device import Case
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.simulation.simulation import Simulation

KEYS = {
    "case",
    "stack",
    "wall_s",
    "events",
    "metal_events",
    "events_per_s",
    "metal_events_per_s",
    "error_rates",
    "error_rates_worst",
    "error_fields",
    "error_fields_worst",
    "reached_s",
    "asked_s",
    "finished",
    "change_G",
    "G_end_S",
    "cpu_s",
    "seeds",
    "reason",
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short cases on a small window of the same cards, few updates."""
    short = (
        Case("set_1mA", Protocol.hold("0.4 V", "5 us", "1 mA"), 60.0),
        Case("retention_1e5s", Protocol.hold("0 V", "5 us"), 60.0, "set_1mA"),
        Case("never", Protocol.hold("0.4 V", "1e5 s", "1 mA"), 0.05),
    )
    monkeypatch.setattr(device, "cases", lambda: short)
    monkeypatch.setattr(device, "load_stack", lambda name: reduced(name, order="ordered"))
    monkeypatch.setattr(device, "UPDATES", 2)
    monkeypatch.setattr(device, "COMPARED", 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((device.REPEATS_VARIABLE, text) for text in ("many", "0", "-1", "2.5", "")),
        *((device.LIMIT_VARIABLE, text) for text in ("long", "0", "-1", "nan", "inf")),
    ],
)
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Before anything is measured, with the variable's name."""
    monkeypatch.setenv(name, text)
    with pytest.raises(UserError, match=name):
        device.run()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seeds", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_rows_of_devices(monkeypatch: pytest.MonkeyPatch, seeds: int) -> None:
    """One row a case, medians of the seeds; what takes too long is stopped and says how far it came."""
    monkeypatch.setenv(device.REPEATS_VARIABLE, str(seeds))
    told: list[str] = []
    rows = {row["case"]: row for row in device.run(told.append)}
    assert list(rows) == ["set_1mA", "retention_1e5s", "never", "hop_update"]
    assert all(set(row) == KEYS and row["seeds"] == seeds for row in rows.values())
    assert rows["set_1mA"]["finished"] == 1.0
    assert rows["set_1mA"]["reached_s"] == pytest.approx(5e-6)
    assert rows["never"]["finished"] == 0.0
    assert 0.0 < rows["never"]["reached_s"] < 1.0
    assert rows["never"]["reason"].startswith("stopped after 0.1 s of computing, at ")
    assert [rows[name]["reason"] for name in ("set_1mA", "retention_1e5s", "hop_update")] == ["", "", ""]
    assert rows["never"]["cpu_s"] < 2.0
    assert rows["hop_update"]["metal_events"] == 2
    assert len(told) == 4 * seeds


def test_a_case_that_nobody_looked_at_conducts_an_unknown_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before its first look: no conductance, rather than 1 S. Medians are of what is known."""
    monkeypatch.setattr(device, "load_stack", reduced)
    monkeypatch.setenv(device.LIMIT_VARIABLE, "1e-9")
    row, _ = device._measure(Case("never", Protocol.hold("0.4 V", "1e5 s", "1 mA"), 1.0), 1, None)
    assert np.isnan([row["G_end_S"], row["change_G"]]).all()
    found = device._medians([row, row | {"G_end_S": 2.0}, row | {"G_end_S": 3.0}])
    assert (found["G_end_S"], found["seeds"]) == (2.5, 3)
    assert np.isnan(found["change_G"])


def test_an_error_of_the_rates_is_seen() -> None:
    """Right after a full solution there is next to none: vacancies are solved to 2 mV, from where they were.

    Potentials off by 1 mV, of 26 mV, are seen as percents.
    """
    simulation = Simulation(reduced("ogb_20nm"), Protocol.hold("0.4 V", "20 us", "1 mA"), Settings(), 1)
    simulation.run()
    device.rate_errors(simulation)
    assert device.rate_errors(simulation).max() < 1e-3
    device.solve_metal(simulation)
    assert device.rate_errors(simulation, device.solve_metal).max() < 1e-3
    fields = simulation.device.potential.fields
    free = fields["space_potential"] != 0.0
    fields["space_potential"][free] += 1e-3 * np.sign(np.arange(len(fields)) % 2 - 0.5)[free]
    simulation.device.refresh()
    assert device.rate_errors(simulation).max() > 0.01


def test_rows_of_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sizes: positive costs, more memory than the sites alone take."""
    monkeypatch.setattr(scaling, "SIZES", ((1000, 12.0), (2000, 24.0)))
    monkeypatch.setattr(scaling, "_alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(scaling, "EVENTS", 1000)
    rows = scaling.run()
    assert [row["sites"] for row in rows] == [1000, 2000]
    assert rows[1]["device_sites"] > rows[0]["device_sites"]
    for row in rows:
        assert min(row["kernel_ns_per_event"], row["field_ns_per_site"]) > 0.0
        assert row["rss_bytes"] > 50 * row["device_sites"]
