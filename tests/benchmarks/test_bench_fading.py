"""The benchmark of fading: its rows, and the silver that it puts elsewhere."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from small_stacks import reduced

from kmc.benchmarks import fading
from kmc.benchmarks.device import REPEATS_VARIABLE
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.simulation.simulation import Simulation
from kmc.system.state import KIND_METAL, METAL

CLOSED = cache(fading.closed)
KEYS = {"how", "stack", "cpu_s_per_s", "at_start", "at_end", "fades_in_s", "cpu_s", "speed_up"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small device, costs of a moment."""
    monkeypatch.setattr(fading, "load_stack", reduced)
    monkeypatch.setattr(fading, "closed", CLOSED)
    monkeypatch.setattr(fading, "SETTLE_S", 0.0)
    monkeypatch.setattr(fading, "SPENT_S", 0.02)
    monkeypatch.setattr(fading, "GONE", 0.9)
    monkeypatch.setattr(fading, "BUDGET", 500)
    monkeypatch.setenv(REPEATS_VARIABLE, "1")


@pytest.mark.slow
def test_rows_of_fading(small: None) -> None:
    """One a choice of accelerations; each costs more than nothing; others are held against "all"."""
    told: list[str] = []
    rows = {row["how"]: row for row in fading.run(told.append)}
    assert list(rows) == list(fading.WITHOUT)
    assert all(set(row) == KEYS for row in rows.values())
    assert all(
        row["cpu_s_per_s"] > 0.0 and row["fades_in_s"] == rows["all"]["fades_in_s"] > 0.0 for row in rows.values()
    )
    assert len(told) == 2 + len(rows)


@pytest.mark.slow
def test_a_fading_without_an_acceleration_costs_at_least_its_cheaper_end(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 40 s of processor time for a simulated second at one end and 8 s at the other, half a second costs
    4 s; with all, which is run, it cost 0.25 s."""
    monkeypatch.setattr(fading, "faded", lambda seed, state, conductance: (state, 0.5, 0.25))
    asked: list[object] = []

    def cost(simulation: object) -> float:
        asked.append(simulation)
        return 40.0 if len(asked) % 2 else 8.0

    monkeypatch.setattr(fading, "cost", cost)
    for row in fading.run(lambda line: None):
        whole = 0.25 if row["how"] == "all" else 4.0
        assert (row["at_start"], row["at_end"], row["fades_in_s"]) == (40.0, 8.0, 0.5)
        assert (row["cpu_s"], row["speed_up"], row["cpu_s_per_s"]) == (whole, whole / 0.25, whole / 0.5)


def test_it_begins_where_the_limiter_acts_and_ends_at_a_share_of_that(small: None) -> None:
    """Negative control: where it begins there is more than that share."""
    state, conductance = fading.closed(1)
    start = fading.left_alone(1, state, {})
    assert start.windows.conductance() == pytest.approx(conductance)
    assert conductance > 1e-7
    end, fades_s, spent = fading.faded(1, state, 0.5 * conductance)
    assert fading.left_alone(1, end, {}).windows.conductance() <= 0.5 * conductance
    assert min(fades_s, spent) > 0.0


def test_silver_is_put_where_another_device_has_it(small: None) -> None:
    """Beside vacancies one by one as well: the same sites of metal, but for those where an ion was drawn.
    Negative control: a new device has other ones."""
    state, _ = fading.closed(1)
    metal = state["windows"]["parts"][0]["device"]["state"]["sites"]["cation"] == METAL
    explicit = Settings(vacancies="explicit")
    new = Simulation(reduced("ogb_20nm"), Protocol.read(), explicit, 1)
    assert ((new.device.state.sites["cation"] == METAL) != metal).sum() > 5
    other = fading.left_alone(1, state, {"vacancies": "explicit"})
    there = other.device.state.sites["cation"] == METAL
    assert (there == metal).all()
    assert int(other.device.state.run["vacancies"][0]) > 0
    assert np.count_nonzero(other.device.state.entities["kind"] == KIND_METAL) == there.sum()


def test_what_does_not_set_or_fade_is_told(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a number of nothing: the seed, and how to go on."""
    state, conductance = CLOSED(1)
    monkeypatch.setattr(fading, "Protocol", Brief)
    with pytest.raises(UserError, match="seed 3 is not set"):
        CLOSED.__wrapped__(3)
    with pytest.raises(UserError, match="seed 1 still conducts over"):
        fading.faded(1, state, 1e-3 * conductance)


class Brief(Protocol):
    """Programs that last a microsecond."""

    @classmethod
    def hold(cls, voltage: str, duration: str, compliance: str) -> Protocol:
        return Protocol.hold(voltage, "1 us", compliance)
