"""What figures make of few devices, of devices without a SET, and of a SET at the first steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmc.io import provenance
from kmc.io.run_folder import describe
from kmc_analysis.experiment.figures import (
    controls,
    nonvolatile,
    programmed,
    pulses,
    series,
    static,
    stressed,
    thermogram,
    volatile,
)
from kmc_analysis.experiment.figures.controls import ratio
from kmc_analysis.experiment.figures.definition import Program
from kmc_analysis.experiment.reproduce.figure_runs import Changes, Maker
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.experiment.targets.verdict import HIT, MISS, UNCLEAR, judge
from kmc_analysis.metrics import observation, set_voltage
from kmc_analysis.metrics.observation import Measured


def rise(set_V: float, top_V: float = series.TOP_V) -> xr.Dataset:
    """A way up in steps of 50 mV that ends where the limit of 1 uA acts, or at `top_V`."""
    voltage = np.arange(0.0, min(set_V, top_V) + 1e-9, 0.05)
    limited = (voltage >= set_V - 1e-9).astype(np.int8)
    current = np.where(limited == 1, 1e-6, 1e-9 * voltage)
    columns = {"voltage_source": voltage, "current": current, "limited": limited}
    return xr.Dataset({name: ("time", values) for name, values in columns.items()})


def groups(program_names: list[str], *values: list[float]) -> dict[str, list[xr.Dataset]]:
    """Runs of two programs, a way up for each set voltage."""
    return {name: [rise(one) for one in part] for name, part in zip(program_names, values, strict=True)}


def named(names: list[str], *values: list) -> dict[str, list]:
    """Runs of programs that are what their measure is told of them."""
    return dict(zip(names, values, strict=True))


def test_a_set_at_the_second_step_counts_on_a_way_up() -> None:
    """A way up that ends at 0.10 V has three levels, too few for a sweep; at the first step: no ratio."""
    assert np.isnan(set_voltage(rise(0.10)))
    assert set_voltage(rise(0.10), 2) == pytest.approx(0.10)
    assert ratio(rise(0.10), 2) > 1e4
    assert ratio(rise(0.05), 2) == 1.0
    assert ratio(rise(0.90), 2) == 1.0


def test_a_film_that_sets_early_is_not_one_that_never_sets() -> None:
    """N7: crystals at 0.30 V; a film at 0.10 V differs by two thirds, one that never sets by a bound from
    0.8 V; one of which some set has a value, and owes the rest."""
    names = [program.name for program in series._THRESHOLDS]
    crystals = [0.30] * 6

    def found(film: list[float]) -> series.Measured:
        return series._voltages(groups(names, crystals, film))["N7_same_voltages"]

    assert found([0.10] * 6).value == pytest.approx(2 / 3)
    some = found([0.10] * 5 + [0.15])  # six that are all alike tell no interval
    assert judge(targets()["N7_same_voltages"], some).verdict == MISS  # though swept too fast
    never = found([0.90] * 6)
    assert never.value == pytest.approx(0.8 / 0.30 - 1)
    assert never.high == np.inf
    some = found([0.30] * 5 + [0.90])
    assert some.value == pytest.approx(0.0)
    assert "1 devices have no such voltage" in some.open
    assert "alike" in found([0.30] * 6).open
    assert not found([0.30] * 5 + [0.35]).open
    assert found([0.30] * 6).owed == controls.TOO_FAST
    crystals[:] = [0.30] * 3 + [0.90] * 3  # then those that never set may need more than the film
    assert found([0.90] * 6).value is None


def test_one_written_device_bounds_the_heat_as_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """S31: the circuit's 2.5 K lies below the band of 95 K, whether no device was written, one, or two."""
    monkeypatch.setattr(nonvolatile, "is_written", lambda ds: ds > 0.0)
    monkeypatch.setattr(nonvolatile, "surface_rise", lambda ds, negative: ds)
    monkeypatch.setattr(nonvolatile.thermogram, "substrate_resistance", lambda ds: 5e3)
    for devices in ([0.0], [0.07], [0.07, 0.06]):
        found = nonvolatile.heat(devices, "first cycle")
        assert (found.low >= 0.0, found.high, found.bound) == (True, 2.5, True)
        assert judge(targets()["S31_ddab_heat_50"], found).verdict == MISS


def test_back_is_at_the_voltage_at_which_it_began() -> None:
    """S3: the first look is at 0 V as the last is; at 50 mV a pristine device conducts a seventh more."""
    columns = {"conductance": [0.396e-9, 0.452e-9, 1e-6, 1.3e-9]}
    ds = xr.Dataset({name: ("time", values) for name, values in columns.items()})
    assert volatile._left_at_the_end(ds) == pytest.approx(1.3 / 0.396)
    assert volatile._left_at_the_end(ds) > 3.0 > 1.3 / 0.452


def test_what_may_rise_is_not_said_to_fall() -> None:
    """S22: where true means rise by less than devices scatter, no more than 2.5 % of 400 groups of six are
    said to fall, here 5 % at most (which 400 pass by chance but once in a thousand); where a step falls by
    two standard deviations most are. Control: by the least step of resampled devices it would be two thirds.
    """
    stream, rising = np.random.default_rng(2), 0.01 * np.arange(5)
    groups = [rising + stream.standard_normal((6, 5)) for _ in range(400)]
    assert np.mean([pulses._negative(np.diff(one)) for one in groups]) < 0.05
    falling = np.array([0.0, 1.0, -2.0, 0.0, 1.0])
    assert np.mean([pulses._negative(np.diff(falling + part - rising)) for part in groups]) > 0.8
    least = [np.diff(part[stream.integers(6, size=(100, 6))].mean(axis=1), axis=1).min(axis=1) for part in groups[:100]]
    assert np.mean([np.quantile(one, 0.975) < 0.0 for one in least]) > 0.3


@pytest.mark.parametrize(
    ("shorts", "verdict"),
    [((0, 0, 0, 0, 1), None), ((1, 1, 1, 2, 3), None), ((0, 0, 2, 5, 9), True), ((9, 6, 3, 0, 0), False)],
)
def test_shorts_rise_by_more_than_chance(
    monkeypatch: pytest.MonkeyPatch, shorts: tuple[int, ...], verdict: bool | None
) -> None:
    """S15, twelve films a share: one short at the greatest share falls there in one of five permutations; a
    rise that chance may make is no miss; what falls for sure is one."""
    films = [(share, float(k < count)) for share, count in zip(static.CREVICES, shorts, strict=True) for k in range(12)]
    monkeypatch.setattr(static, "_shorts", lambda runs: films)
    found = static._poor_films({})["S15_poor_film_shorts"]
    assert found.holds is verdict
    if shorts == (0, 0, 0, 0, 1):
        assert static._by_chance(*np.array(films).T) == pytest.approx(0.2, abs=0.02)


def test_a_set_on_the_way_back_of_the_negative_side_counts() -> None:
    """S5: at -0.55 V after -0.6 V. Control: the same device without it is good."""
    up = np.arange(0.0, 0.61, 0.05)
    volts = np.concatenate([up, up[-2::-1], -up[1:], -up[-2::-1]])
    segment = np.repeat([0, 1], [2 * len(up) - 1, 2 * len(up) - 2])
    for back, share in ((False, 1.0), (True, 0.0)):
        limited = ((segment == 0) & (np.abs(volts - 0.4) < 0.01)) | (
            back & (segment == 1) & (np.abs(volts + 0.55) < 0.01) & (np.arange(len(volts)) > 3 * len(up) - 3)
        )
        current = np.where(limited, 1e-6 * np.sign(volts), 1e-9 * volts)
        columns = {
            "voltage_source": volts,
            "current": current,
            "limited": limited.astype(np.int8),
            "conductance": np.full(len(volts), 1e-9),
            "segment": segment,
        }
        ds = xr.Dataset({name: ("time", values) for name, values in columns.items()})
        found = controls._negative({controls.BOTH_WAYS.name: [ds] * 3})["S5_unidirectional"]
        assert (found.value, found.n) == (share, 3)


def test_a_rule_is_met_where_resampled_devices_say_so() -> None:
    """S22: many devices whose steps grow, or shrink, meet it, few owe; what falls does not, nor do steps that
    grow and then shrink. What may be a line is open."""
    stream, levels = np.random.default_rng(1), np.arange(1.0, 6.0)
    curve = np.exp(levels) * (1.0 + 0.01 * stream.standard_normal((6, 5)))
    assert pulses._bent(curve).holds is True
    assert "these grow," in pulses._bent(curve).note
    levelling = 200.0 - curve[:, ::-1]
    assert pulses._bent(levelling).holds is True
    assert "these shrink," in pulses._bent(levelling).note
    few = [pulses._bent(part[:4]) for part in (curve, curve[:, ::-1])]
    assert [one.holds for one in few] == [True, False]
    assert "4 devices" in few[0].open
    scatter = 0.01 * stream.standard_normal((6, 5))
    assert pulses._bent(levels + scatter).holds is None
    assert pulses._bent(np.tile(0.1 * levels, (6, 1))).holds is None  # rounding is no bend
    assert pulses._bent(curve[:, ::-1]).holds is False
    assert pulses._bent(np.array([1.0, 1.2, 3.0, 4.8, 5.0]) + scatter).holds is False
    mixed = np.concatenate([curve[:3] * np.array([[1.0], [3.0], [9.0]]), np.ones((3, 5))])
    assert pulses._bent(mixed).holds is None  # few that differ are no proof against it
    last = np.tile([1.0, 3.0, 4.0, 4.6, 4.6], (6, 1))
    last[:, 4] += [-0.09, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert pulses._bent(last).holds is None  # the interval of its last step reaches below nil
    assert pulses._bent(np.vstack([curve, np.full(5, np.nan)])) == pulses._bent(curve)  # a device without it
    assert pulses._bent(curve[:1]).value is None


def test_a_straight_line_with_noise_is_no_curve() -> None:
    """S22: of 60 groups of six devices on a line none meets the rule, and few are refused (5 % by chance).
    Control: with the same noise a parabola meets it, and an S, which a curve follows better than a line, is
    refused."""
    stream, levels = np.random.default_rng(3), np.arange(5.0)

    def shares(shape: np.ndarray) -> tuple[float, float]:
        found = [pulses._bent(10.0 + shape + 0.1 * stream.standard_normal((6, 5))).holds for _ in range(60)]
        return found.count(True) / 60, found.count(False) / 60

    hit, refused = shares(levels)
    assert hit == 0.0
    assert refused <= 0.1
    assert shares(levels**2 / 2)[0] > 0.9
    assert shares(np.array([0.0, 0.3, 2.0, 3.7, 4.0]))[1] > 0.9


def test_levels_that_were_not_run_are_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """S28: three of five levels make a line, and no hit."""
    monkeypatch.setattr(series, "reads", lambda ds: np.array([[0.1, ds]]))
    monkeypatch.setattr(series, "paired", lambda *groups: list(zip(*groups, strict=True)))
    runs = {
        program.name: [1e-6 * 3.3 * limit * (1 + 0.01 * k) for k in range(6)]
        for program, limit in zip(series._LEVELS, series.LIMITS_UA, strict=True)
    }
    whole = series._law(runs)["S28_conductance_law"]
    assert whole.value == pytest.approx(3.3, rel=0.05)
    assert not whole.owed
    assert whole.high - whole.low < 0.15  # what sets a device apart moves all of its levels
    for program in series._LEVELS[3:]:
        runs[program.name] = []
    part = series._law(runs)["S28_conductance_law"]
    assert "30 to 150 uA" in part.open
    assert "at 90 uA" in part.note


def test_twenty_devices_owe_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """S33 asks for twenty written devices each."""
    monkeypatch.setattr(stressed, "is_written", lambda ds, least_S: True)
    monkeypatch.setattr(stressed, "was_reset", lambda ds: ds == 1.0)
    assert stressed._returning([1.0] * 20, [100.0] * 20).owed == stressed.VOLATILE_OWED
    assert "20 devices" in stressed._returning([1.0] * 19, [100.0] * 20).owed
    found = stressed._returning([1.0] * 20, [100.0] * 20)
    assert found.value == 1.0
    assert 0.7 < found.low < 0.85  # though all of a group agree
    assert "20 of 20 written crystals returned (20 were run)" in found.note
    small = observation.difference_of_shares([np.repeat([1.0, 0.0], [56, 14]), np.repeat([1.0, 0.0], [48, 32])])
    assert (small.low, small.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe's table II, a


def test_the_first_cycle_bounds_the_ratio_of_endurance(monkeypatch: pytest.MonkeyPatch) -> None:
    """S32: a film that stays closed has less than one cycle, crystals that come back one at least; where both
    do the ratio is open, and where the film alone does it is below one."""
    monkeypatch.setattr(stressed, "is_written", lambda ds, least_S: ds > 0.0)
    monkeypatch.setattr(stressed, "was_reset", lambda ds: ds == 1.0)
    found = stressed._ratio_of_endurance([1.0] * 6, [2.0] * 7)
    assert (found.value, found.low, found.high, found.n, found.open) == (1.0, 1.0, np.inf, 6, "")
    worse = stressed._ratio_of_endurance([2.0] * 6, [1.0] * 6)
    assert (worse.value, worse.low, worse.high) == (1.0, 0.0, 1.0)
    for some in (([1.0, 1.0, 2.0, 1.0], [2.0, 2.0]), ([2.0] * 6, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0])):
        unsure = stressed._ratio_of_endurance(*some)  # of a few, half may be to the other side
        assert unsure.value is None
    for pair in (([1.0], [1.0]), ([2.0], [2.0])):
        unknown = stressed._ratio_of_endurance(*pair)
        assert unknown.value is None
        assert "open" in unknown.note
    assert "written: 0 of 1 devices of crystals" in stressed._ratio_of_endurance([0.0], [1.0]).note


def test_a_way_up_that_ends_early_has_set() -> None:
    """S19: 0.1 uS may be passed in steps that are each less than tenfold; who goes to the top has not set."""
    slow = rise(0.90).isel(time=slice(None, 9))
    assert np.isnan(set_voltage(slow, 2))
    assert series._set(slow) == pytest.approx(0.40)
    assert np.isnan(series._set(rise(0.90)))


def test_set_voltages_that_are_all_alike_have_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """S19: all in one step of the sweep, so that nothing is known of how far devices differ: no hit. The
    control: one step apart in one device of six, and the interval is one."""
    monkeypatch.setattr(series, "_set", float)
    names = [program.name for program in series._WAYS]

    def verdict(*groups: list[float]) -> str:
        return judge(
            targets()["S19_thickness_set"], series._thickness_set(named(names, *groups))["S19_thickness_set"]
        ).verdict

    assert verdict([0.3] * 6, [0.3] * 6) == UNCLEAR
    assert verdict([0.3] * 6, [0.3] * 5 + [0.35]) == HIT
    assert verdict([0.3] * 6, [0.6] * 5 + [0.65]) == MISS


def at_rest(levels_uS: list[float], until_s: float) -> xr.Dataset:
    """A written device, then looks at 0 V."""
    time = np.concatenate([[0.1, 0.2], 0.2 + np.linspace(until_s / len(levels_uS), until_s, len(levels_uS))])
    rows = {
        "voltage_source": [0.05, 0.1, *[0.0] * len(levels_uS)],
        "segment": [0, 1, *[2] * len(levels_uS)],
        "conductance": 1e-6 * np.array([4e-4, 300.0, *levels_uS]),
    }
    return xr.Dataset({name: ("time", np.asarray(values)) for name, values in rows.items()}, {"time": time})


def test_a_hold_that_ended_early_had_lost_its_state() -> None:
    """S8: stopped under 100 uS with more than half of its first look is lost then, and no bound."""
    stopped, whole = at_rest([198.0, 99.5], 2.0), at_rest([300.0, 290.0], programmed.KEPT_S)
    lost = programmed.kept([stopped] * 6)
    assert (lost.value, lost.high) == (pytest.approx(2.0), pytest.approx(2.0))
    bound = programmed.kept([whole] * 6)
    assert (bound.value, bound.high) == (pytest.approx(programmed.KEPT_S), np.inf)
    unwritten = stopped.assign(conductance=0.1 * stopped["conductance"])
    assert "5 of 6 devices were written" in programmed.kept([whole] * 5 + [unwritten]).note


def test_one_bound_does_not_open_a_median() -> None:
    """Eleven devices that lost their state at once and one that kept it: the median is known."""
    found = observation.median_of_bounds([1.0] * 11 + [10.0], [False] * 11 + [True])
    assert (found.value, found.high) == (1.0, 1.0)
    assert observation.median_of_bounds([1.0, 10.0, 10.0], [False, True, True]).high == np.inf
    assert observation.median_of_bounds([1.0, 2.0], [False, False]) == observation.median([1.0, 2.0])


def swept(back_s: float) -> xr.Dataset:
    """A device that sets at 0.40 V and, `back_s` after its sweep, is at high resistance; then a read."""
    up = rise(0.40)
    rest = np.linspace(0.002, 0.6, 300)
    count = up.sizes["time"]
    voltage = np.concatenate([up["voltage_source"].values, 0.0 * rest, [0.05]])
    siemens = np.concatenate(
        [np.where(up["limited"].values == 1, 1e-6, 4e-10), np.where(rest < back_s, 1e-6, 4e-10), [4e-10]]
    )
    columns = {
        "voltage_source": voltage,
        "conductance": siemens,
        "current": np.append(up["current"].values, np.zeros(301)),
        "limited": np.append(up["limited"].values, np.zeros(301)),
        "cycle": np.zeros(count + 301),
        "segment": np.repeat([0, 1, 2], [count, 300, 1]),
    }
    time = np.concatenate([0.005 * np.arange(1, count + 1), 0.005 * count + rest, [0.005 * count + 0.601]])
    return xr.Dataset({name: ("time", values) for name, values in columns.items()}, {"time": time})


def test_a_return_after_the_sweep_is_none() -> None:
    """S3: who still conducts at the end of the sweep of the definitions counts as 1, whenever it is back."""
    late = [swept(0.2)] * 6
    at_once = [ds.isel(time=slice(None, -301)) for ds in late]  # without the rest: its last step is taken
    last = at_once[0].sizes["time"] - 1
    good = [ds.assign(conductance=ds["conductance"].where(np.arange(last + 1) < last, 4e-10)) for ds in at_once]
    assert volatile._ratios(good, []).value > 300.0
    found = volatile._ratios(at_once, late)
    assert (found.value, found.high) == (1.0, 1.0)
    assert "6 of 6 devices set, 0 of these were back by its end" in found.note
    assert "at 10 V/s 6 of 6 set and 6 of these were back 600 ms after it" in found.note
    assert volatile._ratios([], late).value is None


def both_ways(left_S: float) -> xr.Dataset:
    """0 V to 0.6 V and to -0.6 V and back at 1 uA; from 0.3 V on it has `left_S`, until -0.55 V."""
    half = np.concatenate([np.arange(13), np.arange(11, -1, -1)]) * 0.05
    voltage = np.concatenate([half, -half])
    siemens = np.where((np.arange(50) < 6) | (np.arange(50) > 38), 4e-10, left_S)
    current = np.clip(siemens * voltage, -1e-6, 1e-6)
    columns = {
        "voltage_source": voltage,
        "current": current,
        "conductance": siemens,
        "limited": (np.abs(siemens * voltage) > 1e-6).astype(np.int8),
        "cycle": np.zeros(50),
        "segment": np.repeat([0, 1], 25),
    }
    return xr.Dataset({name: ("time", values) for name, values in columns.items()})


def test_a_device_that_conducts_still_may_set_on_its_negative_side() -> None:
    """S5: it reaches the limit there, and is no device without switching. A positive SET alone is none."""
    found = {
        left: controls._negative({controls.BOTH_WAYS.name: [both_ways(left)] * 6})["S5_unidirectional"]
        for left in (7e-6, 1.2e-6)
    }
    assert found[7e-6].value == 0.0
    assert "of 6 that do 6 conducted still" in found[7e-6].note
    assert found[1.2e-6].value == 1.0


def test_opposite_changes_by_a_read_do_not_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """S25: half lost in one device and half gained in another are a change by a half.

    Devices that the write has not closed have nothing to lose: alone they tell nothing.
    """
    monkeypatch.setattr(pulses, "paired", lambda one, other: list(zip(one, other, strict=True)))
    monkeypatch.setattr(pulses, "reads", lambda ds, volt: np.array([[0.0, float(ds["g"])]]))

    def runs(left: list[float], right: list[float], closed: list[bool]) -> dict[str, list[xr.Dataset]]:
        pair = ((pulses._DISTURBED.name, left), (pulses._LEFT.name, right))
        return {
            name: [
                xr.Dataset({"g": one, "limited": ("time", [shut])}) for one, shut in zip(values, closed, strict=True)
            ]
            for name, values in pair
        }

    found = pulses._disturbed(runs([0.5, 1.5] * 3, [1.0] * 6, [True] * 6))["S25_read_disturb"]
    assert found.value == pytest.approx(0.5)
    mixed = pulses._disturbed(runs([0.5] * 2 + [1.0] * 10, [1.0] * 12, [True] * 2 + [False] * 10))
    assert mixed["S25_read_disturb"].value == pytest.approx(0.5)
    assert "2 of 12" in mixed["S25_read_disturb"].note
    assert pulses._disturbed(runs([1.0] * 6, [1.0] * 6, [False] * 6))["S25_read_disturb"].value is None


def test_chance_in_a_read_alone_is_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """S25: changes of either sign that have no mean leave it open that the read does nothing."""
    monkeypatch.setattr(pulses, "paired", lambda one, other: list(zip(one, other, strict=True)))
    monkeypatch.setattr(pulses, "reads", lambda ds, volt: np.array([[0.0, float(ds["g"])]]))

    def verdict(left: list[float]) -> str:
        there = {
            name: [xr.Dataset({"g": g, "limited": ("time", [True])}) for g in values]
            for name, values in ((pulses._DISTURBED.name, left), (pulses._LEFT.name, [1.0] * 6))
        }
        return judge(targets()["S25_read_disturb"], pulses._disturbed(there)["S25_read_disturb"]).verdict

    assert verdict([0.5, 1.5] * 3) == UNCLEAR
    assert verdict([0.5, 0.6, 0.55] * 2) == MISS


def test_the_lesser_median_has_the_interval_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """S19: a device that was not written counts as one, in the thickness with the greater median too."""
    thin, thick = [6904.7, 6904.8, 9e3, 3e5, 309405.0, 309405.0], [1.0, 1.6e5, 1.7e5, 1.8e5, 1.9e5, 2e5]
    monkeypatch.setattr(series, "_on_off_written", lambda ds: ds)
    monkeypatch.setattr(series, "is_written", lambda ds, least: ds > 1.0)
    monkeypatch.setattr(series, "_change", lambda *_: observation.not_run(""))
    names = [program.name for program in series._THICK]
    found = series._thickness(named(names, thin, thick))["S19_thickness_on_off"]
    assert (found.value, found.low) == (pytest.approx(np.median(thin)), 1.0)


def test_the_wider_loop_has_the_interval_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16: of two stacks the one with the lesser median may have the wider loop."""
    monkeypatch.setattr(controls, "loop_opening", lambda ds: ds)
    names = [program.name for program in controls._BARE]
    found = controls._bare(named(names, [0.1] * 6, [0.02] * 4 + [0.9] * 2))["S16_interlayers_only"]
    assert found.value == pytest.approx(0.1)
    assert found.high > 0.2
    assert controls._bare(named(names, [np.nan] * 6, [0.02] * 6))["S16_interlayers_only"].value is None


def test_devices_that_never_set_are_no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5: without a SET on the positive side a sweep of equal magnitude says nothing. S21: no trend in it"""
    monkeypatch.setattr(controls, "part", lambda ds, k: ds[k])
    monkeypatch.setattr(controls, "mirrored", lambda ds: ds)
    monkeypatch.setattr(controls, "has_set", float)
    devices = named([controls.BOTH_WAYS.name], [(0.0, 0.0)] * 72)
    assert controls._negative(devices)["S5_unidirectional"].value is None
    monkeypatch.setattr(series, "ratio", lambda ds, least: ds)
    names = [program.name for program in series._SIZES]
    flat = series._sizes(named(names, [1.0] * 20, [1.0] * 20, [1.0] * 20))["S21_size_trend"]
    assert "do not set" in flat.open


def warm(program: Program, changes: Changes, written: bool = True) -> xr.Dataset:
    """A run of `program` with `changes`, of at most 0.2 mW, also at negative voltage."""
    volt = np.array([0.5, 0.5, -0.5])
    columns = {
        "voltage_source": volt,
        "voltage_device": volt,
        "current": 4e-4 * np.sign(volt),
        "conductance": np.array([0.0, 1e-3 if written else 0.0, 0.0]),
        "segment": np.array([0, 1, 4]),
    }
    run = describe(Maker(changes).run(program, 1))
    return xr.Dataset({name: ("time", values) for name, values in columns.items()}, attrs=provenance.attributes(run))


@pytest.mark.parametrize("given", ["8 K/mW", None])
def test_the_surface_is_as_warm_as_the_runs_own_substrate_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """S30, S31 and their picture: of a changed card its own number, of an unchanged one 5000 K/W; another
    change beside it alters nothing. Without a written device the bound is that of the same substrate."""
    changed = {} if given is None else {"device.substrate_thermal_resistance": given}
    resistance = 5000.0 if given is None else 8000.0
    changes = Changes({"electrode": "au", "electrode.bond_energy": "0.3 eV", **changed})
    programs = (volatile.OGB, nonvolatile.OGB, nonvolatile.DDAB)
    runs = {one.name: [warm(one, changes)] for one in programs}
    found = volatile._heat(runs) | nonvolatile._heats(runs)
    for key in ("S30_volatile_heat", "S30_nonvolatile_heat", "S31_ogb_heat_50", "S31_ddab_heat_50"):
        assert found[key].value == pytest.approx(2e-4 * resistance)
    drawn: list[float] = []
    monkeypatch.setattr(thermogram, "draw", lambda means, of_substrate, path: drawn.append(of_substrate))
    nonvolatile._draw_heat(runs, tmp_path / "heat.png")
    assert drawn == [pytest.approx(resistance)]
    none = {one.name: [warm(one, changes, written=False)] for one in programs}
    assert nonvolatile._heats(none)["S30_nonvolatile_heat"].value == pytest.approx(5e-4 * resistance)


# --- pictures --------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[Axes]]:
    """The axes of every picture of the two modes."""
    found: list[list[Axes]] = []

    @contextmanager
    def panels(path: Path, titles: Sequence[str]) -> Iterator[list[Axes]]:
        found.append([Figure().add_subplot(title=title) for title in titles])
        yield found[-1]

    for module in (volatile, nonvolatile):
        monkeypatch.setattr(module, "panels", panels)
    return found


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_picture_of_switching_shows_what_is_judged(drawn: list[list[Axes]]) -> None:
    """S3: the sweeps of the definitions, without their negative side; the rest at 0 V is of faster ones. A
    panel without a run says so."""
    runs = {one.name: [] for one in (*volatile.SLOW, volatile.OGB, volatile.DDAB)}
    runs[controls.BOTH_WAYS.name] = [both_ways(7e-6)] * 2
    volatile._draw_switching(runs, Path("S3.png"))
    ddab, ogb, rest = drawn[0]
    assert [len(line.get_xdata()) for line in ogb.lines] == [25, 25]
    assert [words(axes) for axes in (ddab, ogb, rest)] == [["no run"], [], ["no run"]]
    assert all(controls.DEFINED_RATE in axes.get_title() for axes in (ddab, ogb))
    runs[volatile.DDAB.name] = [swept(0.2)]
    volatile._draw_switching(runs, Path("S3.png"))
    assert [words(axes) for axes in drawn[1]] == [["no run"], [], []]
    assert len(drawn[1][2].lines) == 1
    assert controls.RATE in drawn[1][2].get_title()


def section(metal: int) -> xr.Dataset:
    """A look at so many atoms in a plane, one above another in x."""
    cation = np.zeros((1, 8, 2, 8), np.uint8)
    cation[0, 4, 0, :metal] = 2
    axes = {"z": 0.6 * np.arange(8), "x": 0.6 * np.arange(8), "snapshot_time": [0.0]}
    return xr.Dataset({"cation": (("snapshot_time", "z", "y", "x"), cation)}, axes)


def test_the_picture_of_the_profile_shows_the_pairs(drawn: list[list[Axes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """S17: of the devices that were written, OFF over ON, and the sections of the first; else that there is
    none."""
    monkeypatch.setattr(nonvolatile, "paired", lambda one, other: list(zip(one, other, strict=True)))
    monkeypatch.setattr(nonvolatile, "is_written", lambda ds: int(ds["cation"].sum()) > 2)
    monkeypatch.setattr(nonvolatile, "_last_before_reset", lambda ds: 0)
    on, off = nonvolatile.OGB.name, nonvolatile._OFF.name
    runs = {on: [section(4), section(1), section(8)], off: [section(2), section(1), section(2)]}
    nonvolatile._draw_profile(runs, Path("S17.png"))
    over, written, pristine = drawn[0]
    assert [float(line.get_ydata()[4]) for line in over.lines] == pytest.approx([0.5, 0.25])
    assert [int(axes.images[0].get_array().sum()) for axes in (written, pristine)] == [4, 2]
    nonvolatile._draw_profile({on: [section(1)], off: [section(1)]}, Path("S17.png"))
    assert [words(axes) for axes in drawn[1]] == [["no run"], ["no run"], ["no run"]]


def test_a_ratio_of_retentions_spans_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the least over the most to the most over the least; as many as the fewer devices."""
    both = iter([Measured(10.0, 8.0, 12.0, 6), Measured(2.0, 1.0, 4.0, 7)])
    monkeypatch.setattr(stressed, "kept", lambda devices, least_S: next(both))
    found = stressed._ratio_of_retention([], [])
    assert (found.value, found.low, found.high, found.n) == (5.0, 2.0, 12.0, 6)


def test_linearity_is_the_square_of_the_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of means that are no line."""
    monkeypatch.setattr(series, "reads", lambda ds: np.array([[0.1, ds]]))
    monkeypatch.setattr(series, "paired", lambda *found: list(zip(*found, strict=True)))
    values = (1.0, 2.0, 9.0, 4.0, 12.0)
    runs = {one.name: [1e-6 * value] * 6 for one, value in zip(series._LEVELS, values, strict=True)}
    squared = np.corrcoef(series.LIMITS_UA, values)[0, 1] ** 2
    assert series._law(runs)["S28_linearity"].value == pytest.approx(squared)


@pytest.mark.parametrize(
    ("growth", "owed"),
    [((2.0, 1.0, -1.0, -2.0), ""), ((0.1, 1.0, -1.0, -2.0), "no growth"), ((2.0, 1.0, -0.1, -0.1), "no depression")],
)
def test_too_little_growth_is_owed(monkeypatch: pytest.MonkeyPatch, growth: tuple[float, ...], owed: str) -> None:
    """A change of the last pulse that is hardly one has no sign."""
    monkeypatch.setattr(pulses, "paired", lambda *found: list(zip(*found, strict=True)))
    monkeypatch.setattr(pulses, "pulse_conductances", lambda ds: np.append(np.full(9, 20.0), 20.0 + ds))
    runs = {one.name: [change, change] for one, change in zip(pulses._TRAINS, growth, strict=True)}
    found = pulses._sign_change(runs)["S23d_sign_change"].owed
    assert owed in found
    assert bool(owed) == bool(found)
