"""What a comparison says in words of the experiment's claims: of every level, and of devices, not of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from kmc_analysis.commands.compare import _overall
from kmc_analysis.experiment import conclusions
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.statistics import comparison

NONE = np.nan


def study(on_off: Any, switched: Any = 1.0, first: str = "ligand") -> xr.Dataset:
    """On/off ratios [`first`, thickness, replicate] and what else is measured with them."""
    on_off = np.asarray(on_off, float)
    dims = (first, "thickness", "replicate")
    names = [f"l{k}" for k in range(on_off.shape[0])]
    columns = {
        "on_off": on_off,
        "set": np.broadcast_to(switched, on_off.shape),
        "set_voltage": np.full(on_off.shape, 0.5),
        "current_most": np.full(on_off.shape, 1e-3),
    }
    return xr.Dataset(
        {name: (dims, values) for name, values in columns.items()},
        {first: names, "thickness": ("thickness", [20.0, 90.0][: on_off.shape[1]], {"units": "nm"})},
    )


def told(values: xr.Dataset) -> str:
    """What is said of the claim on on/off."""
    said = conclusions.conclusions(values, comparison.effects(values))
    return next(line for line in said if "S19_thickness_on_off" in line)


def near(middle: float, count: int, seed: int = 0) -> np.ndarray:
    """Ratios within some percent of `middle`."""
    return middle * np.exp(0.03 * np.random.default_rng(seed).normal(size=count))


@pytest.mark.parametrize("first", ["ligand", "zone"])
def test_an_axis_of_one_value_hides_no_effect(first: str) -> None:
    """Its level is no place: the effect of thickness is that of the whole study, in table and words."""
    values = study([[near(500, 8, 1), near(1000, 8, 2)]], first=first)
    found = comparison.effects(values)
    assert {one.at for one in found} == {"all"}
    assert {one.metric for one in _overall(found)} == set(map(str, values.data_vars))
    said = conclusions.conclusions(values, found)
    assert any(line.startswith("thickness: on_off x") for line in said)
    assert "This study agrees: relative change" in next(line for line in said if "thickness_set" in line)
    assert "This study agrees" in told(values)


def test_a_place_names_what_has_several_levels() -> None:
    """Of three axes the one with one value is left out."""
    values = study(np.stack([[near(500, 4), near(600, 4)], [near(500, 4), near(600, 4)]]))
    whole = values.expand_dims(order=[0.1]).transpose("order", "ligand", "thickness", "replicate")
    assert {one.at for one in comparison.effects(whole)} == {one.at for one in comparison.effects(values)}


def test_one_thickness_says_nothing_of_thickness() -> None:
    """There is no claim to hold against it."""
    values = study(np.stack([[near(500, 8)], [near(600, 8)]]))
    assert not [line for line in conclusions.conclusions(values, comparison.effects(values)) if "S19" in line]


@pytest.mark.parametrize(("of_the_band", "word"), [(0.9, "agrees"), (1.1, "does not agree")])
def test_the_bands_are_those_of_the_targets(of_the_band: float, word: str) -> None:
    """A tenth within and beyond: a study and the scoreboard do not judge by two numbers."""
    most, least = (targets()[key].accept for key in ("S19_thickness_set", "S19_thickness_on_off"))
    values = study([[near(least.low / of_the_band, 12, 1), near(least.low / of_the_band, 12, 2)]])
    values["set_voltage"][..., 1, :] *= 1.0 + of_the_band * most.high
    values["set_voltage"] *= 1.0 + 1e-4 * np.arange(12.0)  # alike, they would tell no interval
    said = conclusions.conclusions(values, comparison.effects(values))
    assert len([line for line in said if f"This study {word}: " in line and "S19" in line]) == 2, said


def test_every_level_must_reach_the_claim() -> None:
    """The level with the smallest median is well known; of the next nothing is known but its median."""
    wide = [20, 25, 30, 40, 520, 530, 900, 950, 1000]
    line = told(study([[near(500, 9), wide]]))
    assert "Undecided: the median of on_off at thickness 90 nm" in line
    assert "This study does not agree: the median of on_off at thickness 20 nm" in told(study([[near(100, 9), wide]]))


def test_two_devices_at_one_level_are_too_few() -> None:
    """Nine at the other do not speak for them, nor do two below the claim speak against it."""
    for middle in (650.0, 100.0):
        few = np.append(near(middle, 2), np.full(7, NONE))
        assert "Undecided" in told(study([[near(500, 9), few]], [[np.ones(9), np.where(few > 0, 1.0, NONE)]]))


def test_devices_that_were_short_at_once_count_as_one() -> None:
    """They have a SET and no current before it: of twenty that stand beside three, no thickness has 500."""
    short = np.append(near(500, 3), np.full(17, NONE))
    line = told(study([[short, near(500, 20)]]))
    assert "This study does not agree: the median of on_off at thickness 20 nm" in line
    assert "is 1 ([" in line
    assert "what did not switch, or was short at once, counts as 1)" in line
    assert "counts as 1" not in told(study([[near(100, 20), np.append(near(500, 17), np.full(3, NONE))]]))


@pytest.mark.parametrize(("seeds", "variants", "agrees"), [(1, 6, False), (2, 3, False), (6, 1, True), (6, 3, True)])
def test_variants_of_a_seed_are_one_device(seeds: int, variants: int, agrees: bool) -> None:
    """Six ligands of one seed are not six independent devices."""
    ratios = near(1000, variants * 2 * seeds).reshape(variants, 2, seeds)
    assert ("This study agrees" in told(study(ratios))) == agrees


def test_a_resistor_at_its_limit_is_told() -> None:
    """It met the limit, and did not jump; devices that jump are not told so."""
    values = study([[[1.2, 1.3, 500.0], [1.1, 800.0, 900.0]]])
    said = conclusions.conclusions(values, [])
    assert said[:1] == ["6 of 6 runs switched."]
    assert said[1].startswith("3 of them met the limit with less than 3 times the current of the step before")
    jumped = study([[[500.0] * 3] * 2])
    assert not any("met the limit" in line for line in conclusions.conclusions(jumped, []))
