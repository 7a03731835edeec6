"""Windows in parallel: one voltage, currents that add, and bytes of windows alone where nothing couples."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from small_stacks import put_silver, reduced, seam, settings
from test_stack_runs import same_bytes

import kmc
from kmc.benchmarks.small_device import OWN
from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.geometry import builder
from kmc.simulation import parallel_windows as module
from kmc.simulation.parallel_windows import Windows
from kmc.simulation.simulation import Simulation

STACK = "ogb_20nm"
COUNT = 3
VOLT = 0.5
#: a step up, a shorter one down and a rest: some thousand trials a window
STEPS = ((VOLT, "2 us"), (-VOLT, "1 us"), (0.0, "1 us"))
FREE, TIGHT = "1 A", "60 nA"  # limits that nothing reaches, and that all windows do
NO_SERIES = {"device.series_resistance": "0 ohm", "device.spreading_resistance": "0 ohm"}


def program(limit: str, samples: int = 1) -> Any:
    """The steps under a limit."""
    first, *others = [
        kmc.Protocol.hold(f"{volt} V", duration, compliance=limit, samples=samples) for volt, duration in STEPS
    ]
    for one in others:
        first = first + one
    return first


def start(count: int, limit: str = FREE, samples: int = 1, budget: int = 10_000, **more: Any) -> Simulation:
    """Small windows, hot, without a series resistance, each with a chain that leaves a gap of its own."""
    some = settings(temperature=400.0, windows=count, event_budget=budget, **more)
    simulation = Simulation(reduced(STACK, **NO_SERIES), program(limit, samples), some, 1)
    grow(simulation.windows)
    return simulation


def grow(windows: Windows) -> None:
    """Silver in each seam up to a gap of three sites: its tunnelling is more than the leak."""
    for device in windows:
        plane = device.grid.ny * device.grid.nx
        sites = seam(device)
        put_silver(device, sites[sites // plane < device.network.lowest_anode - 3])


def alone(number: int, limit: str = FREE, **more: Any) -> Simulation:
    """The window of this number by itself."""
    simulation = start(1, limit, **more)
    simulation.windows = Windows(simulation.stack, simulation.settings, 1, [number])
    grow(simulation.windows)
    return simulation


def run(simulation: Simulation) -> dict[str, np.ndarray]:
    """To the end; the rows."""
    simulation.run()
    return simulation.take_rows()


def until(simulation: Simulation, mark: float) -> None:
    """Go on to the kernel call in which this many trials are passed."""
    simulation.run(should_stop=lambda: simulation.windows.total("trials") > mark)


@lru_cache(maxsize=8)
def done(count: int, limit: str) -> tuple[Simulation, dict[str, np.ndarray]]:
    """A finished run, to be read only."""
    simulation = start(count, limit)
    return simulation, run(simulation)


class Seen:
    """A window of a simulation, as `same_bytes` looks at it."""

    def __init__(self, simulation: Simulation, number: int):
        self.device = simulation.windows.devices[number]


def differing(a: Simulation, b: Simulation) -> list[str]:
    """What differs between two simulations, in any window."""
    both = [(Seen(a, k), Seen(b, k)) for k in range(len(a.windows.devices))]
    return [f"{k}: {name}" for k, (one, other) in enumerate(both) for name in same_bytes(one, other)]


def test_windows_differ_in_lattice_streams_and_thickness() -> None:
    """Number 0 has the streams of one window; the others their own."""
    simulation, _ = done(COUNT, FREE)
    lattices = [device.lattice for device in simulation.windows]
    some = simulation.settings
    first = builder.build(simulation.stack, some, random_streams.stream(1, "morphology"))
    assert first.region.tobytes() == lattices[0].region.tobytes()
    assert len({lattice.region.tobytes() for lattice in lattices}) == COUNT
    assert random_streams.numbered(1, "events", 0).random() == random_streams.stream(1, "events").random()
    assert len({random_streams.numbered(1, "events", k).random() for k in range(COUNT)}) == COUNT


def test_one_window_does_not_feel_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one window slices are not made; made nevertheless, they change no byte."""
    plain, rows = done(1, FREE)
    sliced = start(1, window_slices=7)
    set_source = Windows.set_source

    def cut(self: Windows, voltage: float, limit: float, duration_s: float) -> None:
        set_source(self, voltage, limit, duration_s)
        self.longest = self.slice = duration_s / 7
        self.slice_end = self.time_s + self.slice

    monkeypatch.setattr(Windows, "set_source", cut)
    meetings: list[float] = []
    monkeypatch.setattr(Windows, "_meet", lambda self, now: meetings.append(now))
    other = run(sliced)
    assert len(meetings) > 10
    assert same_bytes(plain, sliced) == []
    assert all(rows[key].tobytes() == other[key].tobytes() for key in rows)


def test_without_coupling_windows_are_windows_alone() -> None:
    """No series resistance, limit not reached: State, fields, heat of each, and the sum of the currents.

    The surface is the whole device's, as the circuit is: it has the power of all.
    """
    together, rows = done(COUNT, FREE)
    leak = together.device.leak.current(VOLT, 400.0)
    currents, counts = [], []
    for number in range(COUNT):
        one = alone(number)
        own = run(one)
        differing = same_bytes(Seen(together, number), Seen(one, 0))
        assert set(differing) <= {"circuit", "surface"}
        assert together.windows.devices[number].path.conductance == one.device.path.conductance
        currents.append(own["current"][0] - leak)
        counts.append([own[key][-1] for key in ("n_ag_metal", "n_ag_ion", "events")])
    assert min(currents) > leak > 0.0
    assert rows["current"][0] - leak == pytest.approx(sum(currents), rel=1e-12)
    assert [rows[key][-1] for key in ("n_ag_metal", "n_ag_ion", "events")] == np.sum(counts, 0).tolist()
    assert rows["events"][-1] > 1000
    assert not rows["limited"].any()


def test_the_limit_couples_windows() -> None:
    """Control: what the limiter takes from the voltage depends on the currents beside; so do the events.

    Hop by hop, for the run is but some slices of an ion long.
    """
    together, one = start(COUNT, TIGHT, ion_slice="0 s"), alone(0, TIGHT, ion_slice="0 s")
    rows = run(together)
    own = run(one)
    assert rows["limited"][0] == own["limited"][0] == 1.0
    assert rows["voltage_device"][0] < 0.8 * own["voltage_device"][0]
    assert "sites" in same_bytes(Seen(together, 0), Seen(one, 0))


def test_the_sum_is_held_at_the_limit_and_obeys_the_circuit() -> None:
    """At each of many looks: |I| within 0.1 % of the limit, and Kirchhoff's law with the sum of filaments."""
    simulation = start(COUNT, TIGHT, samples=40)
    limit = simulation.steps[0].compliance_A
    seen = []

    def look() -> bool:
        windows = simulation.windows
        point, leak = windows.point(), simulation.device.leak
        total = sum(device.path.conductance for device in windows)
        seen.append((point.current, total * point.voltage_device + leak.current(point.voltage_device, 400.0)))
        return False

    simulation.run(should_stop=look)
    rows = simulation.take_rows()
    size = np.abs(rows["current"][:80])
    assert rows["limited"][:80].all()
    assert size == pytest.approx(limit, rel=1e-3)
    assert len(seen) > 100
    reported, through = np.array(seen).T
    assert through == pytest.approx(reported, rel=1e-3, abs=1e-20)


def test_windows_meet_at_one_voltage() -> None:
    """At the end of a step the rates of all windows know one voltage, within what a window alone may lag."""
    simulation, _ = done(COUNT, TIGHT)
    step = start(COUNT, TIGHT)
    step.run(should_stop=lambda: step.step > 0)
    volts = [float(device.state.run["voltage_device"][0]) for device in step.windows]
    assert np.ptp(volts) < 2 * module.VOLTAGE_STEP * step.device.thermal
    assert abs(volts[0]) < VOLT
    assert simulation.finished


@pytest.mark.parametrize("limit", [FREE, TIGHT])
def test_a_restart_equals_the_uninterrupted_run(limit: str) -> None:
    """Stopped twice in the middle of slices and put together anew: the same bytes in all windows and rows."""
    whole, expected = done(COUNT, limit)
    part, rows = start(COUNT, limit, budget=150), []
    total = whole.windows.total("trials")
    for share in (0.2, 0.55):
        until(part, share * total)
        rows.append(part.take_rows())
        assert not part.finished
        part = Simulation.from_state_dict(part.stack, part.protocol, part.settings, part.state_dict())
    rows.append(run(part))
    assert differing(whole, part) == []
    for key, column in expected.items():
        assert np.concatenate([one[key] for one in rows]).tobytes() == column.tobytes(), key


@pytest.mark.parametrize("limit", [FREE, TIGHT])
def test_looking_leaves_the_run(limit: str) -> None:
    """Looks, snapshots, checkpoints, progress and small budgets change no byte of any window."""
    whole, _ = done(COUNT, limit)
    looked = start(COUNT, limit, samples=7, budget=61)

    def look() -> bool:
        looked.snapshot(), looked.state_dict(), looked.windows.row(looked.time_s)
        return False

    looked.run(progress=lambda _: None, should_stop=look)
    assert differing(whole, looked) == []


def spread(slices: int, seed: int) -> float:
    """Mean over a step of the span of the voltages of windows behind one resistor, in kT/e."""
    some = settings(temperature=400.0, windows=COUNT, window_slices=slices, ion_slice="0 s")
    protocol = kmc.Protocol.hold("1 V", "40 us", samples=80)
    stack = reduced(STACK, **OWN, **{"device.series_resistance": "1 Mohm"})
    simulation, found = Simulation(stack, protocol, some, seed), []
    grow(simulation.windows)

    def look() -> bool:
        found.append(np.ptp([float(device.state.run["voltage_device"][0]) for device in simulation.windows]))
        return False

    simulation.run(should_stop=look)
    assert 0.0 < simulation.windows.point().voltage_device < 0.5
    return float(np.mean(found)) / simulation.device.thermal


@pytest.mark.parametrize(("knobs", "seeds"), [((1, 1024), 2), pytest.param((1, 64, 1024), 6, marks=pytest.mark.slow)])
def test_more_slices_are_less_error(knobs: tuple[int, ...], seeds: int) -> None:
    """Tips that come and go behind a resistor: the lag falls with the knob.

    By six seeds, of which `make test` takes two: 0.18, 0.18 and 0.02 kT. Up to 64 slices what bounds it is
    that slices begin short.
    """
    lags = [np.mean([spread(slices, seed) for seed in range(1, seeds + 1)]) for slices in knobs]
    assert min(lags[:-1]) > 0.05
    assert lags[-1] < 0.25 * min(lags[:-1])


def test_a_state_of_other_windows_is_refused() -> None:
    """Two windows do not start from the state of three; nor does a device of more sites than memory holds."""
    whole, _ = done(COUNT, FREE)
    with pytest.raises(UserError, match="3 windows"):
        Simulation(whole.stack, whole.protocol, settings(windows=2, temperature=400.0), 1, whole.state_dict())
    with pytest.raises(UserError, match="windows of"):
        Simulation(whole.stack, whole.protocol, settings(windows=10_000), 1)
