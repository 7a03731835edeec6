"""Cycles by pulses on synthetic runs with known answers: counted, failed, extrapolated, mode after mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kmc_analysis.figures import endurance
from kmc_analysis.metrics.endurance import cycle_life
from kmc_analysis.reproduce.targets import targets
from kmc_analysis.reproduce.verdict import HIT, UNCLEAR, judge

PRISTINE_S = 4e-10
NAMES = ("segment", "cycle", "voltage_source", "conductance", "limited", "n_ag_metal", "n_ag_ion")
Part = tuple[int, int, list[float], list[float], float]


def run(parts: list[Part]) -> xr.Dataset:
    """A run of parts: segment, cycle, voltages, conductances, silver."""
    columns: dict[str, list[float]] = {name: [] for name in NAMES}
    for segment, cycle, volts, siemens, metal in parts:
        columns["segment"] += [segment] * len(volts)
        columns["cycle"] += [cycle] * len(volts)
        columns["voltage_source"] += volts
        columns["conductance"] += siemens
        columns["limited"] += [float(v == 1.0 and g * v > 1e-6) for v, g in zip(volts, siemens, strict=True)]
        columns["n_ag_metal"] += [metal] * len(volts)
        columns["n_ag_ion"] += [0.0] * len(volts)
    return xr.Dataset({name: ("time", np.array(values)) for name, values in columns.items()})


def first(metal: float = 100.0) -> Part:
    """The read before all cycles."""
    return 0, 0, [0.05], [PRISTINE_S], metal


def weak(cycle: int, on: float = 7e-6, end: float = PRISTINE_S, metal: float = 100.0) -> Part:
    """A cycle at 1 uA: pulse, rest, read."""
    return 1, cycle, [1.0, 1.0, 0.0, 0.05], [PRISTINE_S, on, end, end], metal


def strong(cycle: int, on: float = 3e-4, after: float = 1e-6, end: float = PRISTINE_S,
           metal: float = 100.0) -> Part:  # fmt: skip
    """A cycle at 1 mA: write, read, RESET, read, rest, read."""
    volts = [0.6, 0.1, -0.5, -0.5, 0.1, 0.0, 0.05]
    return 1, cycle, volts, [3e-5, on, on, after, after, end, end], metal


def test_cycles_are_counted_until_one_ends_conducting() -> None:
    """A cycle without a SET counts as none, and is no failure; one at three times pristine is."""
    whole = run([first(), weak(0), weak(1, on=5e-10), weak(2), weak(3, end=2 * PRISTINE_S)])
    assert endurance.good_cycles(whole) == (3, False)
    failed = run([first(), weak(0), weak(1, end=3.1 * PRISTINE_S)])
    assert endurance.good_cycles(failed) == (1, True)
    unwritten = run([first(), strong(0), strong(1, on=1e-4)])
    assert endurance.good_cycles(unwritten) == (1, False)
    counted = endurance._counted([failed] * 6)
    assert (counted.value, counted.low, counted.high) == (1.0, 1.0, 1.0)
    bound = endurance._counted([whole] * 6)
    assert (bound.value, bound.low, bound.high) == (3.0, 3.0, np.inf)
    assert endurance._counted([]).value is None


def test_what_silver_a_cycle_leaves() -> None:
    """Against the read before it, cycle by cycle, with its sign."""
    cycles = run([first(100.0), weak(0, metal=107.0), weak(1, metal=104.0)])
    assert endurance.residues(cycles) == pytest.approx([7.0, -3.0])


def test_the_silver_from_which_a_reset_fails() -> None:
    """Halfway between what devices come back from and what they do not; more than all where all come back."""
    clean = [run([first(1000.0), strong(0)])] * 3
    back, lost = ([run([first(amount), strong(0, end=end)])] * 2
                  for amount, end in ((1040.0, PRISTINE_S), (1100.0, 1e-6)))  # fmt: skip
    assert endurance.critical_silver(clean, [back, lost])[0] == pytest.approx(70.0)
    assert endurance.critical_silver(clean, [lost])[0] == pytest.approx(50.0)
    critical, told = endurance.critical_silver(clean, [back, []])
    assert critical == pytest.approx(40.0)
    assert "more than 40" in told
    assert np.isnan(endurance.critical_silver(clean, [[], []])[0])


def test_life_is_extrapolated_where_no_device_fails() -> None:
    """By both laws, whose intervals are joined; where one fails it is counted."""
    steps = [5.0, 3.0, 4.0, 4.0]
    devices = [run([first(1000.0), *(strong(k, metal=1000.0 + sum(steps[: k + 1])) for k in range(4))])] * 6
    seeded = [[run([first(5000.0), strong(0)])] * 2, [run([first(13000.0), strong(0, end=1e-6)])] * 2, []]
    runs = {one.name: part for one, part in zip(endurance.SEEDED, seeded, strict=True)}
    runs |= {endurance.OGB.name: devices, endurance.DDAB.name: []}
    found = endurance._nonvolatile(runs)["fig3b_ogb_nonvolatile_endurance"]
    life = cycle_life(np.array(steps * 6), 8000.0)
    assert found.value == pytest.approx(2000.0) == pytest.approx(life.linear)
    assert found.low == pytest.approx(min(life.linear_low, life.walk_low))
    assert found.high == pytest.approx(max(life.linear_high, life.walk_high))
    runs[endurance.OGB.name] = [*devices[:5], run([first(1000.0), strong(0, end=1e-6)])]
    counted = endurance._nonvolatile(runs)["fig3b_ogb_nonvolatile_endurance"]
    assert counted.value == pytest.approx(4.0)
    assert "1 of 6 failed" in counted.note


def test_without_a_gain_of_silver_the_walk_tells_the_life() -> None:
    """And the interval is open."""
    found = endurance._extrapolated(np.array([10.0, -12.0, 9.0, -11.0]), 100.0, "")
    assert found.value == pytest.approx(100.0**2 / np.var([10.0, -12.0, 9.0, -11.0], ddof=1))
    assert found.high == np.inf


def modes(on: float = 7e-6, end: float = PRISTINE_S) -> xr.Dataset:
    """A run of figure S29, of whose last cycle the pulse comes to `on` and the read finds `end`."""
    parts = [first()]
    for k, closed, left in ((1, 7e-6, PRISTINE_S), (10, on, end)):
        parts += [(k, 0, [1.0, 1.0], [PRISTINE_S, closed], 100.0), (k + 1, 0, [0.0], [left], 100.0),
                  (k + 2, 0, [0.05], [left], 100.0)]  # fmt: skip
    middle = [(4, 0, [0.6, 0.1], [3e-5, 3e-4], 100.0), (5, 0, [0.1], [3e-4], 100.0),
              (6, 0, [-0.5, -0.5], [3e-4, 1e-5], 100.0), (7, 0, [0.1], [1e-5], 100.0),
              (8, 0, [0.0], [PRISTINE_S], 100.0), (9, 0, [0.05], [PRISTINE_S], 100.0)]  # fmt: skip
    return run([*parts[:4], *middle, *parts[4:]])


def test_a_device_is_one_trial_of_reconfiguration() -> None:
    """S29: good where both volatile cycles and the written one came and went; 36 of 36 are a hit, 18 no."""
    good = modes()
    assert endurance.modes(good) == (True, True, True, True)
    assert endurance.modes(modes(on=6e-10)) == (True, True, True, False)  # no SET after it
    assert endurance.modes(modes(end=1e-8)) == (True, True, True, False)  # it stays closed
    stuck = good.copy(deep=True)
    stuck["conductance"].values[stuck["segment"].values == 7] = 2e-4  # the RESET left it closed
    assert endurance.modes(stuck) == (True, True, False, True)
    target = targets()["S29_reconfigurable"]
    for count, verdict in ((36, HIT), (18, UNCLEAR)):
        found = endurance._reconfigured({endurance._MODES.name: [good] * count})["S29_reconfigurable"]
        assert (found.value, found.n) == (1.0, count)
        assert judge(target, found).verdict == verdict
    mixed = endurance._reconfigured({endurance._MODES.name: [good, stuck]})["S29_reconfigurable"]
    assert mixed.value == 0.5


def test_pictures_of_cycles_show_both_states(tmp_path: Path) -> None:
    """One mark a cycle and state; without runs the axes say so."""
    devices = [run([first(), weak(0), weak(1)])]
    for runs in ({endurance.WEAK_OGB.name: devices}, {endurance.WEAK_OGB.name: []}):
        endurance._draw_cycles((endurance.WEAK_OGB,), runs, tmp_path / "cycles.png")
        assert (tmp_path / "cycles.png").stat().st_size > 5000
    endurance._draw_modes({endurance._MODES.name: [modes()]}, tmp_path / "modes.png")
    assert (tmp_path / "modes.png").stat().st_size > 5000
