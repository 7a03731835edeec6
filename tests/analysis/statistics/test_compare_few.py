"""What few devices can tell: numbers that agree by chance are no knowledge, a share is never a point."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kmc.study.sequential_replicates import Growth
from kmc_analysis import metrics
from kmc_analysis.experiment import conclusions
from kmc_analysis.metrics import bootstrap_intervals
from kmc_analysis.statistics import comparison
from kmc_analysis.statistics.replicate_precision import Tightness


def study(**found: list[list[float]]) -> xr.Dataset:
    """Metrics by name, each [thickness, replicate], as `measure` gives them."""
    first = next(iter(found.values()))
    coordinates = {
        "thickness": ("thickness", np.array([20.0, 40.0])[: len(first)], {"units": "nm"}),
        "replicate": np.arange(len(first[0])),
    }
    return xr.Dataset({name: (("thickness", "replicate"), np.array(rows)) for name, rows in found.items()}, coordinates)


def effect(**found: list[list[float]]) -> comparison.Effect:
    (one,) = comparison.effects(study(**found))
    return one


@pytest.mark.parametrize("rows", [[[0.30, 0.35], [0.35, 0.40]], [[0.30] * 5, [0.35] * 5]])
def test_few_that_agree_are_no_interval(rows: list[list[float]]) -> None:
    """Voltages on the steps of a sweep agree often: the effect is told, without interval and star."""
    one = effect(set_voltage=rows)
    assert one.effect == pytest.approx(0.05)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert not one.clear


def test_ratios_that_agree_are_no_interval() -> None:
    """Two devices of another size each, with the same ratio but for its last digits."""
    one = effect(current_most=[[1e-6, 3e-6], [2e-6, 6e-6]])
    assert one.effect == pytest.approx(2.0)
    assert math.isnan(one.low)
    assert not one.clear


def test_six_that_agree_are() -> None:
    """As in a bootstrap of the scoreboard."""
    assert effect(set_voltage=[[0.30] * 6, [0.35] * 6]).clear


def test_rounding_is_no_effect() -> None:
    """Steps up at one thickness and down at the others are nothing in all, whatever the last digit says."""
    grid = 0.05 * np.array([1, 2, 4])
    rows = np.repeat([grid, np.roll(grid, 1)], 8, axis=0).reshape(2, 8, 3)
    values = xr.Dataset(
        {"set_voltage": (("ligand", "replicate", "thickness"), rows)},
        {"ligand": ["ogb", "ddab"], "thickness": [20.0, 40.0, 90.0]},
    )
    one = next(one for one in comparison.effects(values) if (one.axis, one.at) == ("ligand", "all"))
    assert 0.0 < abs(one.effect) < 1e-16
    assert not one.clear


def test_two_devices_do_not_know_a_share() -> None:
    """None of two against both; of eight it is clear; all alike has the width that eight leave open."""
    two = effect(set=[[0.0, 0.0], [1.0, 1.0]])
    assert (two.effect, two.high) == (1.0, 1.0)
    assert two.low < 0
    assert not two.clear
    eight = effect(set=[[0.0] * 8, [1.0] * 8])
    assert eight.clear
    assert eight.low == pytest.approx(0.2612, abs=1e-4)  # Clopper and Pearson: 0.6306 of 8 in 8, less 0.3694
    none = effect(set=[[1.0] * 8, [1.0] * 8])
    assert (none.low, none.high) == pytest.approx((-0.3694, 0.3694), abs=1e-4)
    assert math.isnan(effect(set=[[0.0], [1.0]]).low)


def test_intervals_of_shares_cover() -> None:
    """Exactly: over all that eight pairs may be, the interval holds the truth in 95 % or more, whatever the
    shares of those that gain and lose a SET. The control, a bootstrap of the mean, does not."""
    outcomes = [(up, down) for up, down in product(range(9), repeat=2) if up + down <= 8]
    found = {}
    for function in (bootstrap_intervals.of_gain, bootstrap_intervals.interval):
        bounds = [function(np.repeat([1.0, -1.0, 0.0], [u, d, 8 - u - d])) for u, d in outcomes]
        found[function] = min(
            sum(
                _chance(outcome, gain, loss)
                for outcome, (low, high) in zip(outcomes, bounds, strict=True)
                if low - 1e-9 <= gain - loss <= high + 1e-9
            )
            for gain, loss in product(np.linspace(0.0, 1.0, 11), repeat=2)
            if gain + loss <= 1.0
        )
    assert found[bootstrap_intervals.of_gain] >= 0.95
    assert found[bootstrap_intervals.interval] < 0.6


def _chance(outcome: tuple[int, int], gain: float, loss: float) -> float:
    """Of so many gains and losses among eight pairs."""
    up, down = outcome
    ways = math.comb(8, up) * math.comb(8 - up, down)
    return float(ways * gain**up * loss**down * max(0.0, 1.0 - gain - loss) ** (8 - up - down))


def test_where_nothing_is_random_two_are_enough() -> None:
    """A stack without random parts says the same in every metric, to the last bit: its effects are exact,
    but for shares, which two devices do not know whatever else they say."""
    fixed = {name: [[0.30, 0.30], [0.35, 0.35]] for name in metrics.METRICS}
    found = {one.metric: one for one in comparison.effects(study(**fixed))}
    assert all(one.clear for name, one in found.items() if name not in comparison.SHARES)
    voltage = found["set_voltage"]
    assert (voltage.low, voltage.high) == pytest.approx((0.05, 0.05))
    chance = {**fixed, "conductance_end": [[1e-6, 1e-6 * (1 + 1e-15)], [2e-6, 2e-6]]}
    assert not any(one.clear for one in comparison.effects(study(**chance)))
    gaps = {**fixed, "on_off": [[math.nan, math.nan], [math.nan, math.nan]]}
    assert {one.metric: one for one in comparison.effects(study(**gaps))}["set_voltage"].clear


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.0, 1.0)])
def test_devices_that_do_not_start_are_no_share(shares: tuple[float, float]) -> None:
    """They agree in every metric, as a stack without random parts does; the next may start."""
    fixed = {name: [[0.30, 0.30], [0.35, 0.35]] for name in metrics.METRICS}
    values = study(**{**fixed, "set": [[share] * 2 for share in shares]})
    one = next(one for one in comparison.effects(values) if one.metric == "set")
    assert (one.low, one.high) == bootstrap_intervals.of_gain(np.repeat(shares[1] - shares[0], 2))
    assert one.high - one.low > 0.8
    assert not one.clear


def test_one_finished_seed_agrees_with_nothing() -> None:
    """Two ligands and thicknesses, one seed done in each, another at each thickness: two pairs know nothing
    exactly. With both seeds alike everywhere they do."""
    rows = np.random.default_rng(1).uniform(0.2, 0.4, (1, 2, 2)) + np.array([0.0, 1.0])[:, None, None]
    rows[:, [0, 1], [1, 0]] = np.nan
    assert ligand_effect(rows).pairs == 2
    assert math.isnan(ligand_effect(rows).low)
    assert not ligand_effect(rows).clear
    both = np.repeat([[[0.2], [0.3]], [[1.2], [1.3]]], 2, axis=2)
    assert ligand_effect(both).clear


def ligand_effect(rows: np.ndarray) -> comparison.Effect:
    """On the set voltage, averaged over thickness, where all metrics are `rows` [ligand, thickness, seed]."""
    values = xr.Dataset(
        dict.fromkeys(metrics.METRICS, (("ligand", "thickness", "replicate"), rows)),
        {"ligand": ["ogb", "ddab"], "thickness": [20.0, 40.0]},
    )
    return next(
        one for one in comparison.effects(values) if (one.metric, one.axis, one.at) == ("set_voltage", "ligand", "all")
    )


# --- claims ----------------------------------------------------------------------------------------------


def verdict(rows: list[list[float]]) -> str:
    """What is said of the claim on thickness and set voltage."""
    values = study(set_voltage=rows, set=np.ones_like(rows).tolist())
    return next(line for line in conclusions.conclusions(values, comparison.effects(values)) if "S19" in line)


def test_a_negative_sweep_is_held_against_its_size() -> None:
    """Both signs of the same voltages have one verdict, and one interval."""
    rows = np.array([[0.3] * 4, [0.6, 0.6, 0.35, 0.6]])
    assert "Undecided" in verdict(rows.tolist())
    assert verdict((-rows).tolist()) == verdict(rows.tolist())


def test_agreement_takes_more_than_two_that_agree() -> None:
    """A relative change of 14 % by two devices alike is no agreement with 25 %."""
    told = verdict([[0.35, 0.40], [0.40, 0.45]])
    assert "This study" not in told
    assert told.endswith("it takes two seeds that switched in both variants, 6 where all are alike.")


# --- replicates that go on -------------------------------------------------------------------------------


def test_replicates_go_on_where_all_agree() -> None:
    """Four SETs in four leave a share of 0.4 open; voltages alike are known from six on."""
    share = Tightness("set", 0.05)
    assert share._width(np.ones(4)) == pytest.approx((1 - 0.3976) / 2, abs=1e-4)
    assert Growth(2, 8, share).after(2, [share._width(np.ones(2))]) == 4
    voltage: Any = Tightness("set_voltage", "20 mV")
    assert voltage._width(np.full(5, 0.35)) == math.inf
    assert voltage._width(np.full(6, 0.35)) == 0.0
    assert Tightness("on_off", 0.2)._width(np.full(3, 400.0)) == math.inf


@pytest.mark.parametrize(("step", "clear"), [(1.05, True), (1.0005, False)])
def test_a_ratio_of_nearly_one_is_no_effect(step: float, clear: bool) -> None:
    """However narrow its interval: 5 % is one, half a thousandth is not."""
    seeds = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    there = seeds * step * (1.0 + 1e-6 * np.arange(6))
    assert effect(on_off=[seeds.tolist(), there.tolist()]).clear is clear
