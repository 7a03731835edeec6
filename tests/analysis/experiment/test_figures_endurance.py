"""Cycles by pulses on synthetic runs with known answers: counted, failed, extrapolated, mode after mode."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from kmc_analysis.experiment.figures import endurance
from kmc_analysis.experiment.figures import modes as figure
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.experiment.targets.verdict import HIT, UNCLEAR, judge

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


def strong(cycle: int, on: float = 3e-4, after: float = 1e-6, end: float = PRISTINE_S, metal: float = 100.0) -> Part:
    """A cycle at 1 mA: write, read, RESET, read, rest, read."""
    volts = [0.6, 0.1, -0.5, -0.5, 0.1, 0.0, 0.05]
    return 1, cycle, volts, [3e-5, on, on, after, after, end, end], metal


def cycles(*parts: Part) -> xr.Dataset:
    """A run of these cycles, the last again until there are as many as are followed."""
    rest = [(segment, k, *more) for k in range(len(parts), endurance.MOST_CYCLES) for segment, _, *more in parts[-1:]]
    return run([first(), *parts, *rest])


def test_cycles_are_counted_until_one_fails() -> None:
    """A cycle without a SET counts as none, and is no failure; one at three times pristine is, and one whose
    RESET parted nothing, though it forgot later. What comes after a failure counts no more."""
    assert endurance.good_cycles(cycles(weak(0), weak(1, on=5e-10), weak(2))) == (3, False)
    assert endurance.good_cycles(cycles(weak(0, end=2.9 * PRISTINE_S))) == (4, False)
    assert endurance.good_cycles(cycles(weak(0), weak(1, end=3.1 * PRISTINE_S), weak(2))) == (1, True)
    assert endurance.good_cycles(cycles(strong(0), strong(1, on=1e-4), strong(2))) == (3, False)
    assert endurance.good_cycles(cycles(strong(0), strong(1, after=4e-5), strong(2))) == (1, True)
    assert endurance.good_cycles(run([first(), weak(0), weak(1)])) == (1, True)  # cut short


def test_the_number_of_cycles_is_a_bound_where_none_fails() -> None:
    """And a number where all fail."""
    counted = endurance._counted([cycles(weak(0), weak(1, end=1e-6))] * 6)
    assert (counted.value, counted.low, counted.high) == (1.0, 1.0, 1.0)
    bound = endurance._counted([cycles(weak(0))] * 6)
    assert (bound.value, bound.low, bound.high) == (4.0, 4.0, np.inf)
    assert endurance._counted([]).value is None


def test_what_silver_a_cycle_leaves() -> None:
    """Against the read before it, cycle by cycle, with its sign."""
    whole = run([first(100.0), weak(0, metal=107.0), weak(1, metal=104.0)])
    assert endurance.residues(whole) == pytest.approx([7.0, -3.0])


def pairs(amounts: list[float], **last: float) -> list[xr.Dataset]:
    """Devices of seeds 1 and 2, which start with 1000 and 1300 atoms, and `amounts` more."""
    return [
        run([first(base + more), strong(0, **last)]).assign_attrs(run=json.dumps({"seed": seed}))
        for seed, base, more in zip((1, 2), (1000.0, 1300.0), amounts, strict=True)
    ]


CLEAN = pairs([0.0, 0.0])
LOST = {"end": 1e-6}


def test_the_silver_from_which_a_reset_fails() -> None:
    """Between the most that devices come back from and the least that they do not, each beside the clean one
    of its seed; open where all come back."""
    few, more, most = pairs([40.0, 44.0]), pairs([100.0, 90.0], **LOST), pairs([200.0, 200.0], **LOST)
    assert endurance.critical_silver(CLEAN, [few, more, most])[0] == (42.0, 95.0)
    assert endurance.critical_silver(CLEAN, [more, most])[0] == (0.0, 95.0)
    assert endurance.critical_silver(CLEAN, [few, []])[0] == (42.0, np.inf)


@pytest.mark.parametrize(
    "seeded",
    [
        [[], []],
        [pairs([100.0, 90.0], **LOST), pairs([200.0, 200.0])],  # more silver is no worse
        [pairs([40.0, 40.0]), pairs([40.0, 40.0])],  # all the same
        [pairs([40.0, 40.0], on=1e-5)],  # not written
        [[one.assign(conductance=one["conductance"] * 10) for one in pairs([40.0, 40.0])]],  # it conducts
    ],
)
def test_without_a_critical_amount_there_is_none(seeded: list[list[xr.Dataset]]) -> None:
    """Where nothing was run, amounts do not rise, or what decides is something else."""
    assert np.isnan(endurance.critical_silver(CLEAN, seeded)[0]).all()


def lives(seeded: list[list[xr.Dataset]], drift: float = 4.0) -> dict[str, list[xr.Dataset]]:
    """Six devices of four cycles that leave some atoms each, more in some devices than in others."""
    devices = []
    for seed in range(1, 7):
        steps = np.cumsum([drift + 0.2 * seed, drift - 1.0, drift, drift + 1.0])
        parts = [strong(k, metal=1000.0 + float(step)) for k, step in enumerate(steps)]
        devices.append(run([first(1000.0), *parts]).assign_attrs(run=json.dumps({"seed": seed})))
    found = {one.name: part for one, part in zip(endurance.SEEDED, seeded, strict=True)}
    return found | {endurance.OGB.name: devices}


def test_life_is_extrapolated_where_no_device_fails() -> None:
    """By the linear law half way between the amounts; the interval goes from the life to the first of them to
    that to the second, by either law. Where a device fails it is counted."""
    seeded = [pairs([4000.0, 3700.0]), pairs([12000.0, 11700.0], **LOST), []]
    found = endurance._life(lives(seeded))["fig3b_ogb_nonvolatile_endurance"]
    mean = 4.0 + 0.05 * 3.5
    assert found.value == pytest.approx(8000.0 / mean)
    assert found.low < 4000.0 / mean * 1.02
    assert found.high > 12000.0**2  # the walk's, of residues that differ by an atom
    assert found.n == 6
    runs = lives(seeded)
    runs[endurance.OGB.name][5] = run([first(1000.0), strong(0, end=1e-6)])
    counted = endurance._life(runs)["fig3b_ogb_nonvolatile_endurance"]
    assert counted.value == pytest.approx(4.0)
    assert "1 of 6 failed" in counted.note


def test_what_all_come_back_from_bounds_the_life_from_below() -> None:
    """Critical is more than the most that was tried, so no life is too long: it is no miss above the band."""
    found = endurance._life(lives([pairs([40.0, -260.0]), [], []]))["fig3b_ogb_nonvolatile_endurance"]
    assert found.high == np.inf
    assert judge(targets()["fig3b_ogb_nonvolatile_endurance"], found).verdict == UNCLEAR


def test_without_a_gain_of_silver_the_walk_tells_the_life() -> None:
    """And the interval is open."""
    runs = lives([pairs([4000.0, 3700.0]), pairs([12000.0, 11700.0], **LOST), []], drift=-4.0)
    found = endurance._life(runs)["fig3b_ogb_nonvolatile_endurance"]
    assert "linear inf cycles" in found.note
    assert np.isfinite(found.value)
    assert found.high == np.inf


def modes(on: float = 7e-6, end: float = PRISTINE_S) -> xr.Dataset:
    """A run of figure S29, of whose last cycle the pulse comes to `on` and the read finds `end`."""
    parts = [first()]
    for k, closed, left in ((1, 7e-6, PRISTINE_S), (10, on, end)):
        parts += [
            (k, 0, [1.0, 1.0], [PRISTINE_S, closed], 100.0),
            (k + 1, 0, [0.0], [left], 100.0),
            (k + 2, 0, [0.05], [left], 100.0),
        ]
    middle = [
        (4, 0, [0.6, 0.1], [3e-5, 3e-4], 100.0),
        (5, 0, [0.1], [3e-4], 100.0),
        (6, 0, [-0.5, -0.5], [3e-4, 1e-5], 100.0),
        (7, 0, [0.1], [1e-5], 100.0),
        (8, 0, [0.0], [PRISTINE_S], 100.0),
        (9, 0, [0.05], [PRISTINE_S], 100.0),
    ]
    return run([*parts[:4], *middle, *parts[4:]])


def test_a_device_is_one_trial_of_reconfiguration() -> None:
    """S29: good where both volatile cycles and the written one came and went; 36 of 36 are a hit, 18 no."""
    good = modes()
    assert figure.modes(good) == (True, True, True, True)
    assert figure.modes(modes(on=6e-10)) == (True, True, True, False)  # no SET after it
    assert figure.modes(modes(end=1e-8)) == (True, True, True, False)  # it stays closed
    stuck = good.copy(deep=True)
    stuck["conductance"].values[stuck["segment"].values == 7] = 2e-4  # the RESET left it closed
    assert figure.modes(stuck) == (True, True, False, True)
    target = targets()["S29_reconfigurable"]
    for count, verdict in ((36, HIT), (18, UNCLEAR)):
        found = figure._reconfigured({figure.MODES.name: [good] * count})["S29_reconfigurable"]
        assert (found.value, found.n) == (1.0, count)
        assert judge(target, found).verdict == verdict
    mixed = figure._reconfigured({figure.MODES.name: [good, stuck]})["S29_reconfigurable"]
    assert mixed.value == 0.5
