"""Metrics of states, pulses, laws, endurance and filaments, on synthetic traces with known answers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kmc.core.errors import UserError
from kmc.core.units import E_CHARGE, K_B
from kmc.geometry.lattice import Region
from kmc.inputs.protocol import Protocol
from kmc_analysis import metrics
from kmc_analysis.experiment.figures import thermogram
from kmc_analysis.experiment.figures.controls import mirrored
from kmc_analysis.experiment.figures.pulses import crossing
from kmc_analysis.metrics import (
    current_laws,
    cycle_counts,
    on_off,
    pulse_trains,
    reads_and_retention,
    silver_profile,
    silver_supply,
)


def trace(rows: list[tuple[float, float, float]], segments: list[int] | None = None, **more: Any) -> xr.Dataset:
    """A run of (duration s, voltage V, conductance S) samples; a segment each unless given."""
    duration, voltage, conductance = (np.array(part) for part in zip(*rows, strict=True))
    count = len(rows)
    data = {
        "voltage_source": voltage,
        "voltage_device": voltage,
        "conductance": conductance,
        "current": conductance * voltage,
        "segment": segments or list(range(count)),
        "cycle": np.zeros(count, int),
        "limited": np.zeros(count, int),
        **more,
    }
    return xr.Dataset(
        {name: ("time", np.asarray(values)) for name, values in data.items()}, {"time": np.cumsum(duration)}
    )


SWITCHED = trace(
    [
        (1, 0.05, 1e-9),
        (1, 0.1, 2e-9),
        (1, 0.4, 1e-3),
        (1, 0.1, 3e-4),
        (9, 0, 3e-4),
        (1, -0.5, 1e-4),
        (1, 0.1, 3e-7),
        (1, 0.05, 2e-9),
    ]
)


def test_states_before_and_after_a_reset() -> None:
    """Reads at 0.1 V around the negative stretch; the last read at 50 mV over the first."""
    assert reads_and_retention.reads(SWITCHED).tolist() == [[2, 2e-9], [4, 3e-4], [15, 3e-7]]
    assert reads_and_retention.on_off_nonvolatile(SWITCHED) == pytest.approx(1000)
    assert reads_and_retention.left_over(SWITCHED) == pytest.approx(2)
    assert reads_and_retention.greatest_power(SWITCHED) == pytest.approx(1e-3 * 0.16)
    assert reads_and_retention.greatest_power(SWITCHED, negative=True) == pytest.approx(1e-4 * 0.25)


def test_heat_is_that_of_the_device() -> None:
    """Of the voltage that is left to it, and not of the source's: 0.2 V of 0.5 V at 0.2 mA are 40 uW."""
    limited = trace([(1, 0.5, 1e-3), (1, -0.5, 1e-3)], voltage_device=[0.2, -0.1], current=[2e-4, -1e-4])
    assert reads_and_retention.greatest_power(limited) == pytest.approx(4e-5)
    assert reads_and_retention.greatest_power(limited, negative=True) == pytest.approx(1e-5)


def test_the_first_read_after_a_reset_counts() -> None:
    """And the last one before it; a device that ends four times as conducting as it began was not reset, one
    that ends twice as conducting was."""
    rows = [
        (1, 0.05, 1e-9),
        (1, 0.1, 2e-9),
        (1, 0.4, 1e-3),
        (1, 0.1, 9e-4),
        (1, 0.05, 3e-4),
        (1, 0.1, 3e-4),
        (1, -0.5, 1e-5),
        (1, 0.1, 3e-7),
        (1, 0.05, 1e-7),
        (1, 0.1, 1e-7),
    ]
    reset, stays = trace([*rows, (1, 0.05, 2e-9)]), trace([*rows, (1, 0.05, 4e-9)])
    assert reads_and_retention.on_off_nonvolatile(reset) == pytest.approx(1000)
    assert reads_and_retention.was_reset(reset)
    assert not reads_and_retention.was_reset(stays)


def test_what_closes_again_on_the_way_back_was_not_reset() -> None:
    """Parted at -0.5 V and whole right after it: neither that nor what it forgets later is a RESET. There is
    none where the voltage was never negative."""
    before = [(1, 0.05, 1e-9), (1, 0.1, 3e-4), (1, -0.5, 1e-6)]
    opens, forgets = (1, 0.0, 1e-6), (1, 0.05, 2e-9)
    for after, done in ((opens, True), ((1, 0.0, 3e-4), False)):
        ds = trace([*before, after, forgets])
        assert (reads_and_retention.parted(ds), reads_and_retention.was_reset(ds)) == (done, done)
    assert reads_and_retention.parted(trace(before))  # nothing comes after the RESET: its own last look
    never = trace([(1, 0.05, 1e-9), (1, 0.1, 3e-4), opens, forgets])
    assert (reads_and_retention.parted(never), reads_and_retention.was_reset(never)) == (True, False)


def test_what_is_greatest_and_what_is_at_the_end() -> None:
    """The greatest current has either sign; the heat is that of the hottest sample; silver counts from what
    there was at the beginning."""
    run = trace(
        [(1, 0.0, 1e-9), (1, 0.1, 1e-9), (1, -0.5, 2e-9), (1, 0.1, 3e-9), (1, 0.0, 4e-9)],
        temperature_filament=[300, 300, 350, 310, 301],
        n_ag_metal=[50, 50, 90, 80, 70],
        n_ag_ion=[0] * 5,
        gap=[3.0, 2.0, 0.0, 1.0, 1.5],
    )
    known = {"current_most": 1e-9, "temperature_most": 350, "silver_end": 20, "gap_end": 1.5, "conductance_end": 4e-9}
    assert {name: metrics.METRICS[name].function(run) for name in known} == pytest.approx(known)


def test_a_step_of_a_sweep_is_no_read() -> None:
    """A segment that passes 0.1 V among others has none."""
    swept = trace([(1, 0.0, 1e-9), (1, 0.1, 1e-9), (1, 0.2, 1e-9)], segments=[0, 0, 0])
    assert not len(reads_and_retention.reads(swept))
    assert math.isnan(reads_and_retention.on_off_nonvolatile(swept))
    assert math.isnan(reads_and_retention.left_over(swept))


def test_the_limit_is_the_compliance_current() -> None:
    """A jump in two steps: 1 uA over the current before the first."""
    swept = trace(
        [(1, 0.1 * k, g) for k, g in enumerate((1e-9, 1e-9, 1e-9, 1e-7, 1e-6))],
        segments=[0] * 5,
        current=[0.0, 1e-10, 1e-10, 3e-8, 1e-6],
        limited=[0, 0, 0, 0, 1],
    )
    assert on_off(swept) == pytest.approx(1e4)


def staircase(volts: list[float], currents: list[float], limit_A: float = math.inf) -> xr.Dataset:
    """A sweep of one look a level, limited where the current is at the limit."""
    columns = {
        "voltage_source": volts,
        "current": currents,
        "segment": np.zeros(len(volts), int),
        "limited": (np.abs(currents) >= limit_A).astype(np.int8),
    }
    return xr.Dataset(
        {name: ("time", np.asarray(values)) for name, values in columns.items()}, {"time": 1.0 + np.arange(len(volts))}
    )


def told(ds: xr.Dataset, **sweep: Any) -> xr.Dataset:
    """The same with the protocol that a run has with it, of one sweep."""
    program = Protocol.sweep(sweep.pop("to"), rate="1 V/s", **sweep)
    return ds.assign_attrs(run=json.dumps({"protocol": program.to_data()}))


SWEPT = ("set", "set_voltage", "on_off", "loop_opening")


def of_sweep(ds: xr.Dataset) -> list[float]:
    """The metrics of a sweep, in the order of SWEPT."""
    return [metrics.METRICS[name].function(ds) for name in SWEPT]


@pytest.mark.parametrize(
    ("start", "to", "step"),
    [(-0.6, 0.8, 0.05), (-0.205, 0.595, 0.1), (0.8, -0.6, 0.05), (0.005, 0.805, 0.1), (-1e-4, 0.8, 0.05)],
)
def test_a_resistor_has_no_set_wherever_its_sweep_begins(start: float, to: float, step: float) -> None:
    """Across 0 V and beside it the voltage rises manifold from level to level, and so does the current of
    1 nS; one that closes in the same sweep has its SET."""
    edges = round(abs(to - start) / step)
    way = [start + (to - start) * k / edges for k in range(edges + 1)]
    volts = np.array(way + way[-2::-1])
    resistor = staircase(list(volts), list(1e-9 * volts))
    assert of_sweep(resistor)[0] == 0.0
    assert np.isnan(of_sweep(resistor)[1:3]).all()
    closed = np.where(np.arange(len(volts)) >= edges - 2, 1e-5, 1e-9) * volts
    assert metrics.set_voltage(staircase(list(volts), list(closed))) == pytest.approx(way[edges - 2])


UP = [0.1 * k for k in range(9)]


def switching(at: int, back: int) -> xr.Dataset:
    """0 V to 0.8 V and back: 1 nS, 1 uA from level `at` on, which lasts to the level `back` from the end."""
    volts = UP + UP[-2::-1]
    held = [at <= k < len(volts) - back for k in range(len(volts))]
    return staircase(volts, [1e-6 if on else 1e-9 * v for on, v in zip(held, volts, strict=True)], 1e-6)


def test_a_negative_sweep_is_a_sweep() -> None:
    """0 to -0.8 V and back: its SET is on the way out, with the sign of its voltage, and not where the way
    back begins; all else is as in the positive one. So it is after a read, which is no level of it."""
    there = switching(6, 3)
    share, voltage, ratio, loop = of_sweep(there)
    assert (share, voltage, ratio) == (1.0, UP[6], pytest.approx(1e-6 / 5e-10))
    assert of_sweep(mirrored(there)) == [share, -voltage, ratio, loop]
    read = staircase([0.1], [1e-10])
    both = xr.concat([read, mirrored(there).assign(segment=there["segment"] + 1)], "time")
    program = Protocol.read("0.1 V", "1 ms") + Protocol.sweep("-0.8 V", rate="1 V/s", step="0.1 V")
    both.attrs["run"] = json.dumps({"protocol": program.to_data()})
    assert of_sweep(both) == [share, -voltage, ratio, loop]
    never = mirrored(switching(99, 0))
    assert of_sweep(never) == [0.0, *[pytest.approx(math.nan, nan_ok=True)] * 2, 0.0]


def test_a_set_on_the_way_back_is_a_set() -> None:
    """At the limit from two steps after the top on, or tenfold without a limiter; on the negative side, too.
    Control: a resistor, whose current falls on its way back, has none."""
    volts = UP + UP[-2::-1]
    late = [1e-6 if len(UP) < k < len(UP) + 4 else 1e-9 * v for k, v in enumerate(volts)]
    for limit in (1e-6, math.inf):
        there = staircase(volts, late, limit)
        share, voltage, ratio, _ = of_sweep(there)
        assert (share, voltage) == (1.0, volts[len(UP) + 1])
        assert ratio == pytest.approx(1e-6 / (1e-9 * volts[len(UP)]))
        assert of_sweep(mirrored(there))[:2] == [1.0, -voltage]
    assert of_sweep(staircase(volts, [1e-9 * v for v in volts]))[0] == 0.0


def test_a_device_at_the_limit_at_once_sets_there() -> None:
    """Its first level is the voltage; before it there is no current to take a ratio of."""
    volts = [0.3, 0.4, 0.5, 0.6]
    assert of_sweep(staircase(volts, [1e-6] * 4, 1e-6))[:2] == [1.0, 0.3]
    assert math.isnan(on_off(staircase(volts, [1e-6] * 4, 1e-6)))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_sweep_that_its_set_ends_is_one(levels: int) -> None:
    """However few levels it has; where the run does not tell its protocol, so few are no sweep."""
    volts = [0.1 * k for k in range(1, levels + 1)]
    short = staircase(volts, [*(1e-9 * v for v in volts[:-1]), 1e-6], 1e-6)
    assert np.isnan(of_sweep(short)).all()
    known = told(short, to="0.8 V", start="0.1 V", step="0.1 V", compliance="1 uA", until={"current_at_limit": True})
    assert of_sweep(known)[:2] == [1.0, volts[-1]]
    held = short.assign_attrs(run=json.dumps({"protocol": Protocol.hold("0.1 V", "1 s").to_data()}))
    assert np.isnan(of_sweep(held)).all()


def by_the_book(volts: np.ndarray, current: np.ndarray, limited: np.ndarray) -> list[float]:
    """The metrics of 0 V to a positive voltage and back, as the definitions have them and nothing more."""
    top = int(np.argmax(volts))
    rises = [k for k in range(1, len(volts)) if limited[k] or (0 < current[k - 1] <= current[k] / 10)]
    grid = np.linspace(0.0, volts[top], 400)
    out, back = (
        np.interp(grid, volts[: top + 1], current[: top + 1]),
        np.interp(grid, volts[top:][::-1], current[top:][::-1]),
    )
    loop = float(np.sum(np.abs(out - back))) / float(np.sum(np.abs(out) + np.abs(back)))
    if not rises:
        return [0.0, math.nan, math.nan, loop]
    held = current[limited] if limited.any() else current[rises[:1]]
    before = current[rises[0] - 1]
    return [1.0, volts[rises[0]], held.max() / before if before else math.nan, loop]


def test_an_ordinary_sweep_has_the_same_numbers_to_the_last_bit() -> None:
    """0 to +V and back, and the same mirrored, as the scoreboard measures them: told the protocol or not,
    steps of any size, with a SET at any level, at the first above zero too, limited or not, or with none."""
    generator = np.random.Generator(np.random.PCG64(3))
    for _ in range(300):
        levels, step = int(generator.integers(4, 20)), float(generator.uniform(0.01, 0.2))
        way = [step * levels * k / levels for k in range(levels + 1)]
        volts = np.array(way + way[-2::-1])
        steepness = generator.uniform(0.0, 3.0, len(volts)) * (generator.random(len(volts)) < 0.3)
        current = volts * np.minimum(1e-9 * 10.0 ** np.cumsum(steepness), 1e-3)
        limited = (current > 1e-6) & (generator.random() < 0.7)
        current[limited] = 1e-6
        plain = staircase(list(volts), list(current)).assign(limited=("time", limited.astype(np.int8)))
        known = told(plain, to=f"{way[-1]} V", step=f"{step} V")
        wanted = by_the_book(volts, current, limited)
        for one in (plain, known):
            np.testing.assert_array_equal(of_sweep(one), wanted)
        np.testing.assert_array_equal(of_sweep(mirrored(known)) * np.array([1.0, -1.0, 1.0, 1.0]), wanted)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("sets", [True, False])
def test_a_reset_after_it_is_no_way_back(sets: bool, known: bool) -> None:
    """0 to 0.6 V and back at 1 uA, then to -0.6 V at 1 mA, which the limiter holds: the second is not
    measured, whether the run tells its protocol or not."""
    up = [0.1 * k for k in range(7)]
    first = up + up[-2::-1]
    volts = first + [-v for v in first[1:]]
    closed = [5 <= k < len(first) - 1 and sets for k in range(len(first))]
    current = [1e-6 if on else 1e-9 * v for v, on in zip(first, closed, strict=True)]
    later = len(first) - 1
    ds = staircase(volts, current + [-1e-3] * later).assign(
        segment=("time", np.repeat([0, 1], [len(first), later])),
        limited=("time", np.array(closed + [True] * later, np.int8)),
    )
    if known:
        one, other = (Protocol.sweep(to, rate="1 V/s", step="0.1 V") for to in ("0.6 V", "-0.6 V"))
        ds.attrs["run"] = json.dumps({"protocol": (one + other).to_data()})
    alone = of_sweep(ds.isel(time=slice(len(first))))
    assert alone[0] == sets
    np.testing.assert_array_equal(of_sweep(ds), alone)


@pytest.mark.parametrize("held_V", [0.5, 0.6])
@pytest.mark.parametrize("sets", [True, False])
def test_a_hold_after_a_sweep_one_way_is_not_of_it(held_V: float, sets: bool) -> None:
    """At a lower voltage or the same, where a limit of 1 mA acts."""
    up = [0.1 * k for k in range(6)] + [0.6]
    current = [1e-6 if k > 4 and sets else 1e-9 * v for k, v in enumerate(up)]
    there = staircase([*up, held_V], [*current, 1e-3], 1e-6).assign(segment=("time", [0] * 7 + [1]))
    program = Protocol.sweep("0.6 V", rate="1 V/s", step="0.1 V", back=False) + Protocol.hold(f"{held_V} V", "1 s")
    there.attrs["run"] = json.dumps({"protocol": program.to_data()})
    assert of_sweep(there)[:2] == ([1.0, 0.5] if sets else [0.0, pytest.approx(math.nan, nan_ok=True)])
    assert not sets or on_off(there) == pytest.approx(1e-6 / 4e-10)


def test_what_follows_a_sweep_one_way_is_not_of_it() -> None:
    """A sweep from elsewhere; a second sweep that leads back at once is."""
    up = [0.1 * k for k in range(7)]
    current = [1e-6 if k > 4 else 1e-9 * v for k, v in enumerate(up)]
    way = Protocol.sweep("0.6 V", rate="1 V/s", step="0.1 V", back=False)
    back = Protocol.sweep("0 V", start="0.6 V", rate="1 V/s", step="0.1 V", back=False)
    reset = Protocol.sweep("-0.6 V", rate="1 V/s", step="0.1 V", back=False)
    volts = up + [-v for v in up]
    there = staircase(volts, current + [-1e-3] * 7, 1e-6).assign(segment=("time", np.repeat([0, 1], 7)))
    there.attrs["run"] = json.dumps({"protocol": (way + reset).to_data()})
    assert on_off(there) == pytest.approx(1e-6 / 4e-10)
    both = staircase(up + up[::-1], current + current[::-1], 1e-6)
    both = both.assign(segment=("time", np.repeat([0, 1], 7)))
    both.attrs["run"] = json.dumps({"protocol": (way + back).to_data()})
    assert len(metrics.branches(both)[1]) == 7


def test_a_reset_before_it_is_not_the_sweep() -> None:
    """0 to -0.8 V and back, then 0 to 0.8 V and back with a SET at 0.6 V: the second one is measured."""
    up = [0.1 * k for k in range(9)]
    down = up[-2::-1]
    positive = [1e-9 * v if v < 0.55 else 2e-6 for v in up] + [2e-6 * v for v in down]
    volts = [-v for v in (*up, *down)] + up[1:] + down
    current = [1e-9 * v for v in volts[: len(up) + len(down)]] + positive[1:]
    ds = staircase(volts, current).assign(limited=("time", np.zeros(len(volts), np.int8)))
    assert metrics.has_set(ds) == 1.0
    assert metrics.set_voltage(ds) == pytest.approx(0.6)


def test_retention_is_the_time_to_a_factor_of_two() -> None:
    """An exponential of 10 s leaves it after 6.93 s, at the next sample; one of 1000 s is a bound."""
    time = np.concatenate([[1e-6], np.linspace(1, 20, 20)])

    def fading(tau: float) -> xr.Dataset:
        steps = zip(np.diff(time, prepend=0.0), np.exp(-time / tau), strict=True)
        return trace([(1, 0.1, 1.0), *((step, 0.0, g) for step, g in steps)])

    for tau, time_s, bound in ((10.0, 7.0, False), (1000.0, 20.0, True)):
        found = reads_and_retention.retention(fading(tau))
        assert (found.time_s, found.censored) == (pytest.approx(time_s), bound)


def test_reads_at_rest_part_no_retention() -> None:
    """Rests of a second with reads between are one; what parts them by 0.5 V does not go on."""

    def resting(between: float) -> reads_and_retention.Kept:
        turns = [((1.0, 0.0, 2.0**-k), (1e-3, between, 1.0)) for k in range(4)]
        return reads_and_retention.retention(trace([(1, 1.0, 1.0), *(step for turn in turns for step in turn)]))

    found = resting(0.1)
    assert (found.time_s, found.censored) == (pytest.approx(3.002), False)
    assert resting(0.5).censored


def test_the_reset_voltage_is_that_of_a_tenth() -> None:
    """The first negative voltage at which a tenth of the conductance is left."""
    swept = trace([(1, -0.1 * k, g) for k, g in enumerate((1.0, 1.0, 0.9, 0.09, 0.01))])
    assert reads_and_retention.reset_voltage(swept) == pytest.approx(-0.3)
    assert math.isnan(reads_and_retention.reset_voltage(trace([(1, -0.1, 1.0), (1, -0.2, 1.0)])))
    at_once = trace([(1, 0.1, 1.0), (1, -0.05, 0.01), (1, -0.1, 0.01)])
    assert reads_and_retention.reset_voltage(at_once) == pytest.approx(-0.05)
    on_the_way_back = trace([(1, 0.1, 1.0), (1, -0.1, 1.0), (1, -0.5, 1.0), (1, -0.2, 0.05)])
    assert reads_and_retention.reset_voltage(on_the_way_back) == pytest.approx(-0.5)


def pulsed(levels: list[float]) -> xr.Dataset:
    """A pulse of 5 ms with ten looks for each level, whose last look alone counts; 5 ms apart."""
    rows, segments, cycle = [], [], []
    for k, level in enumerate(levels):
        rows += [(0.5e-3, 1.0, level if j == 9 else 7.0) for j in range(10)] + [(5e-3, 0.0, 7.0)]
        segments += [0] * 11
        cycle += [k] * 11
    return trace(rows, segments, cycle=cycle)


def test_pulses_end_in_their_last_tenth() -> None:
    """a_k is the mean over it; the echo index is that of the fourth over the first."""
    run = pulsed([1.0, 2.0, 3.0, 4.0])
    assert pulse_trains.pulse_conductances(run).tolist() == [1, 2, 3, 4]
    assert pulse_trains.echo_index(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == 125
    assert pulse_trains.pulse_ratio(run) == 4.0
    assert math.isnan(pulse_trains.pulse_ratio(pulsed([1.0])))
    assert math.isnan(pulse_trains.pulse_ratio(pulsed([0.0, 1.0])))
    assert pulse_trains.conductance_after(run, 5e-3) == 1.0
    assert pulse_trains.conductance_after(run, 2e-3) == 7.0


def test_pulses_with_reads_and_pulses_in_a_loop_are_pulses() -> None:
    """Each stretch at the greatest voltage of a turn is one, each at 0.1 V a read; a sweep has neither."""
    turn = [(1.0, 1.0, 1.0), (1.0, 0.0, 9.0), (1.0, 0.1, 2.0), (1.0, 0.0, 9.0)]
    run = trace(2 * turn, [0] * 8, cycle=[0] * 4 + [1] * 4)
    assert pulse_trains.pulse_conductances(run).tolist() == [1, 1]
    assert reads_and_retention.reads(run).tolist() == [[3, 2], [7, 2]]
    bit_0 = [(1.0, 0.0, 9.0), (1.0, 0.0, 9.0), (1.0, 0.1, 3.0), (1.0, 0.0, 9.0)]
    run = trace([*turn, *bit_0, *turn], [0] * 12, cycle=[0] * 4 + [1] * 4 + [2] * 4)
    assert pulse_trains.pulse_conductances(run).tolist() == [1, 1]  # a bit 0 is read, and is no pulse of 0.1 V
    assert len(reads_and_retention.reads(run)) == 3
    loop = trace([(1.0, v, float(k)) for k, v in enumerate([1.0, 0.05] * 4)], [0] * 8)
    assert pulse_trains.pulse_conductances(loop).tolist() == [0, 2, 4, 6]
    swept = trace([(1.0, 0.05 * k, 1.0) for k in (0, 1, 2, 1, 0)], [0] * 5)
    assert not len(reads_and_retention.reads(swept))
    assert not len(pulse_trains.pulse_conductances(swept))


@pytest.mark.parametrize("levels", [[1.0, 0.1, -0.5, 0.1, 0.0], [0.2, 0.1, 0.0, 0.1], [1.0, 0.0, -1.0, 0.0]])
def test_what_a_protocol_holds_is_held(levels: list[float]) -> None:
    """In a loop of many voltages, in equal steps, and where the read is the negative of the amplitude: the
    protocol tells. In a loop with a sweep nothing is."""
    program = sum(
        (Protocol.hold(f"{v} V", "1 s", samples=1) for v in levels[1:]),
        Protocol.hold(f"{levels[0]} V", "1 s", samples=1),
    ).repeated(2)
    run = trace(
        [(1.0, v, float(k)) for k, v in enumerate(2 * levels)],
        [0] * 2 * len(levels),
        cycle=np.repeat([0, 1], len(levels)),
    )
    assert not len(pulse_trains.pulse_conductances(run))
    run.attrs["run"] = json.dumps({"protocol": program.to_data()})
    greatest = [k for k, v in enumerate(2 * levels) if abs(v) == max(map(abs, levels))]
    assert pulse_trains.pulse_conductances(run).tolist() == greatest
    assert len(reads_and_retention.reads(run)) == 2 * levels.count(0.1)
    of_task = run.reset_index("time").rename_dims(time="sample")  # a selection of a study
    assert not len(reads_and_retention.reads(of_task))  # its run may be another task's
    reads_and_retention.reads(of_task.assign(segment=("sample", np.full(run.sizes["time"], np.nan))))
    beyond = run.assign(segment=run["segment"] + 7)
    assert not len(reads_and_retention.reads(beyond))
    swept = (program + Protocol.sweep("1 V", rate="1 V/s")).repeated(1)
    run.attrs["run"] = json.dumps({"protocol": swept.to_data()})
    assert not len(reads_and_retention.reads(run))


@pytest.mark.parametrize("volt", [0.05, 0.1, -0.1])
def test_reads_and_rests_of_their_own_are_no_pulses(volt: float) -> None:
    """A segment before or after the train, as the docs advise: the greatest voltage of it is no pulse's."""
    train, aside = [(1.0, 0.6, 1.0), (1.0, 0.0, 9.0), (1.0, 0.6, 3.0), (1.0, 0.0, 9.0)], (1.0, volt, 7.0)
    for rows, segments in (([aside, *train], [0, 1, 1, 1, 1]), ([*train, aside], [0, 0, 0, 0, 1])):
        run = trace(rows, segments)
        assert pulse_trains.pulse_conductances(run).tolist() == [1, 3]
        assert pulse_trains.pulse_ratio(run) == 3.0
    with pytest.raises(UserError, match="not that of one run"):
        pulse_trains.pulse_conductances(run.expand_dims(replicate=2))


def test_slopes_and_regimes() -> None:
    """Ohm below 0.1 V and a square law above are two regimes; Ohm alone is one."""
    voltage = np.geomspace(0.01, 1.5, 100)
    current = np.where(voltage < 0.1, voltage, voltage**2 / 0.1)
    assert current_laws.regimes(voltage, current) == pytest.approx([1, 2], abs=0.1)
    assert len(current_laws.regimes(voltage, voltage)) == 1
    assert current_laws.log_slope(voltage, 3 * voltage**1.5) == pytest.approx(1.5)


def test_activation_energy_has_the_sign_of_a_semiconductor() -> None:
    """R = R0 exp(E / k T)."""
    kelvin = np.array([300.0, 320.0, 340.0, 360.0])
    assert current_laws.activation_energy(kelvin, np.exp(0.208 / (K_B * kelvin))) == pytest.approx(0.208)


def test_cycle_life_is_linear_or_a_walk() -> None:
    """Two atoms a cycle fill a thousand in 500; with no drift a walk of 10 a cycle reaches it in 10^4; the
    intervals hold the truth."""
    generator = np.random.Generator(np.random.PCG64(2))
    drifting = cycle_counts.cycle_life(2.0 + generator.normal(0, 0.5, 40), 1000.0)
    assert drifting.linear == pytest.approx(500, rel=0.1)
    assert drifting.linear_low < 500 < drifting.linear_high
    walking = cycle_counts.cycle_life(generator.normal(0, 10.0, 400), 1000.0)
    assert walking.walk == pytest.approx(1e4, rel=0.2)
    assert walking.walk_low < 1e4 < walking.walk_high
    assert cycle_counts.cycle_life(np.array([-1.0, -2.0, -1.5]), 10.0).linear == math.inf


def silver(
    atoms: list[tuple[int, int, int]],
    shape: tuple[int, int, int] = (12, 6, 6),
    foot: tuple[slice, slice] = (slice(0), slice(0)),
) -> xr.Dataset:
    """A snapshot of a window: two planes of organic below, with silver in it at `foot` (y, x), two of
    electrode above, atoms at (z, y, x)."""
    cation, region = np.zeros(shape, np.uint8), np.full(shape, 4, np.uint8)
    region[:2], region[-2:] = Region.ORGANIC, Region.ELECTRODE
    cation[(slice(2), *foot)] = silver_profile.METAL
    for atom in atoms:
        cation[atom] = silver_profile.METAL
    axes = {name: (np.arange(count) + 0.5) * 0.3 for name, count in zip("zyx", shape, strict=True)}
    return xr.Dataset(
        {"cation": (("snapshot_time", "z", "y", "x"), cation[None]), "region": (("z", "y", "x"), region)},
        {**axes, "snapshot_time": [0.0]},
    )


CHAIN = [(z, 3, 3) for z in range(2, 10)]


def core(atoms: list[tuple[int, int, int]], decade_nm: float = silver_profile.DECADE_NM) -> float:
    """The core of atoms on an organic that is full of silver."""
    return silver_profile.conducting_core(silver(atoms, foot=(slice(None), slice(None))), decade_nm=decade_nm)


def test_the_core_is_what_carries() -> None:
    """Eight atoms of a chain, not the one that hangs on its side nor one that lies apart; twice as many of a
    chain of two; none where no silver leads on."""
    assert core(CHAIN) == 8
    assert core([*CHAIN, (5, 3, 4), (4, 0, 0)]) == 8
    assert core([*CHAIN, *((z, 3, 4) for z in range(2, 10))]) == 16
    assert silver_profile.conducting_core(silver([(2, 3, 3)], (40, 6, 6), (slice(None), slice(None)))) == 0
    assert core([]) == 0


def test_what_plates_the_organic_is_no_contact() -> None:
    """The core of a chain on the silver in the organic is the same with a full plate around it as without;
    a chain that stands on the organic alone carries nothing."""
    plate = [(2, y, x) for y in range(6) for x in range(6)]
    foot = (slice(3, 4), slice(3, 4))
    assert silver_profile.conducting_core(silver(CHAIN, foot=foot)) == 8
    assert silver_profile.conducting_core(silver([*CHAIN, *plate], foot=foot)) == 8
    assert silver_profile.conducting_core(silver(CHAIN, foot=(slice(0, 1), slice(0, 1)))) == 0


def test_a_gap_is_crossed_by_tunnelling() -> None:
    """One site left open: all atoms of the chain carry, through its tip; so does an island in a gap."""
    assert core(CHAIN[:-1]) == 7
    assert core([*CHAIN[:3], *CHAIN[4:]]) == 7
    beside = [*CHAIN[:-1], *((z, 0, 0) for z in range(2, 8))]  # whose gap is a site wider
    assert core(beside) == 13
    assert core(beside, decade_nm=0.05) == 7


def test_mixing_keeps_the_silver_and_spreads_it() -> None:
    """A plane of atoms becomes a Gaussian whose interface value is known."""
    plane = [(20, y, x) for y in range(6) for x in range(6)]
    run = silver(plane, (60, 6, 6))
    height, profile = silver_profile.depth_profile(run, mixing_nm=1.5)
    assert profile.sum() == pytest.approx(36, rel=1e-3)
    away = (height - height[20]) / 1.5
    gaussian = 36 * 0.3 / 1.5 / math.sqrt(2 * math.pi) * np.exp(-(away**2) / 2)
    assert profile == pytest.approx(gaussian, abs=0.05)
    assert silver_profile.interface_silver(run, 1.5) == pytest.approx(float(profile[1]))


def test_ions_are_in_the_depth_profile() -> None:
    """One ion and one atom are two of silver."""
    run = silver([(20, 1, 1)], (60, 6, 6))
    run["cation"].values[0, 20, 2, 2] = silver_profile.ION
    assert silver_profile.depth_profile(run, mixing_nm=1.5)[1].sum() == pytest.approx(2.0, rel=1e-3)


def test_growth_crosses_zero_on_a_logarithmic_scale() -> None:
    """Equal growth and loss at 23 and 41 ms cross at their geometric mean; the ends stand for never."""
    assert crossing(np.array([[2.0, 1.0, -1.0, -2.0]])) == pytest.approx(math.sqrt(23 * 41))
    assert crossing(np.array([[-1.0, 1.0, 1.0, 1.0]])) == 10
    assert crossing(np.ones((2, 4))) == 80


def test_separable_are_means_over_two_sigma_apart() -> None:
    """Of three columns, two alike: two of three pairs."""
    noise = np.array([-1.0, 0.0, 1.0])
    assert pulse_trains.separated(np.stack([noise, noise + 0.1, noise + 9], axis=1)) == pytest.approx(2 / 3)


def test_a_thermogram_is_that_of_a_disc(tmp_path: Path) -> None:
    """The disc's radius gives the card's resistance; the rise is even inside, a third at its double radius,
    and far away that of a point source, P / (2 pi k r); the picture is drawn."""
    spot = thermogram.spot_radius_um(5000)
    assert 1e6 / (4 * thermogram.GLASS_W_MK * spot) == pytest.approx(5000)
    near = thermogram.disc_profile(np.array([0.0, spot, 2 * spot]), 3.0, spot)
    assert near == pytest.approx([3, 3, 1])
    far = 1000 * spot
    power = 3.0 / 5000
    point = power / (2 * math.pi * thermogram.GLASS_W_MK * far * 1e-6)
    assert thermogram.disc_profile(np.array([far]), 3.0, spot)[0] == pytest.approx(point, rel=1e-3)
    thermogram.draw({"one": 1.0, "other": 3.0}, 5000, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 5000
    for resistance in (1e-9, 0.0):  # all of the stage is one with the surface
        wide = thermogram.spot_radius_um(resistance)
        assert thermogram.disc_profile(np.array([0.0, 100.0]), 3.0, wide) == pytest.approx([3, 3])


def entering(times_s: list[float], metal: list[int], ions: list[int], windows: int = 1) -> xr.Dataset:
    """A run of windows of 24 nm whose silver comes and goes."""
    run = {"window_nm": [24.0, 24.0], "settings": {"windows": windows}}
    return xr.Dataset(
        {"n_ag_metal": ("time", metal), "n_ag_ion": ("time", ions)}, {"time": times_s}, {"run": json.dumps(run)}
    )


def test_the_current_of_silver_is_its_fastest_entry() -> None:
    """300 atoms in a millisecond after an idle second, as metal or as ions; a deposit of ions is none.

    Controls: what leaves is no entry; 29 atoms tell nothing, 30 do; two looks at one time neither.
    """
    enters = entering([0.0, 1.0, 1.001, 2.0], [50, 50, 150, 350], [0, 0, 200, 0])
    assert silver_supply.silver_current(enters) / E_CHARGE == pytest.approx(300e3)
    leaves = enters.assign(n_ag_metal=-enters["n_ag_metal"], n_ag_ion=-enters["n_ag_ion"])
    assert math.isnan(silver_supply.silver_current(leaves))
    assert math.isnan(silver_supply.silver_current(entering([0.0, 1.0], [0, 29], [0, 0])))
    assert silver_supply.silver_current(entering([0.0, 1.0], [0, 30], [0, 0])) / E_CHARGE == pytest.approx(30)
    late = entering([0.0, 1.0, 2.0], [0, 0, 30], [0, 0, 0])  # a thirtieth of the silver is reached at once
    assert silver_supply.silver_current(late) / E_CHARGE == pytest.approx(30)
    assert math.isnan(silver_supply.silver_current(entering([1.0, 1.0], [0, 90], [0, 0])))
    few_at_once = entering([0.0, 1.0, 2.0, 3.0], [100, 0, 20, 40], [0, 0, 0, 0])  # counted from the lowest on
    assert silver_supply.silver_current(few_at_once) / E_CHARGE == pytest.approx(20)


def test_what_silver_carries_is_told_by_area() -> None:
    """576 atoms a second on 5.76e-4 um2 are 1e6 per um2, 1.6 nA on 1e4 um2; of two windows half of it."""
    assert "160 fA per um2, 1.6 nA on" in silver_supply.told(entering([0.0, 1.0], [0, 576], [0, 0]))
    assert "80.1 fA per um2, 801 pA on" in silver_supply.told(entering([0.0, 1.0], [0, 576], [0, 0], windows=2))
    assert silver_supply.told(entering([0.0, 1.0], [0, 1], [0, 0])) == ""
    assert silver_supply.told(entering([0.0, 1.0], [0, 576], [0, 0]).assign_attrs(run='{"settings": {}}')) == ""
