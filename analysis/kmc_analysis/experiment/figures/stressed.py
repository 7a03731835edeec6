"""Crystals and a thin film at 1 mA (S32, S33): last of all, for a device takes half an hour and more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from kmc.plotting.plot_style import say_if_empty
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs
from kmc_analysis.experiment.figures.programmed import CLOSED_S, at_rest, cycle, held, is_written, kept
from kmc_analysis.experiment.figures.series import PAIR
from kmc_analysis.metrics.observation import Measured, difference_of_shares, few, not_run, share
from kmc_analysis.metrics.reads_and_retention import was_reset
from kmc_analysis.plotting.figure_style import current_voltage, panels

ASKED = 20  # devices each
_HALF = 0.5
#: what a cycle leaves out of going from volatile to non-volatile and back
VOLATILE_OWED = "back is at high resistance: switching at 1 uA before the cycle and after it was not tried"

_STRESSED = [Program(f"1 mA {name}", name, cycle(1), devices=1) for name in PAIR]
_HELD = [Program(f"1 mA kept {name}", name, held(1, CLOSED_S), devices=1) for name in PAIR]


def _stressed(runs: Runs) -> dict[str, Measured]:
    crystals, film = (runs[program.name] for program in _STRESSED)
    return {
        "S32_retention_ratio": _ratio_of_retention(*(runs[program.name] for program in _HELD)),
        "S32_endurance_ratio": _ratio_of_endurance(crystals, film),
        "S33_film_not_reconfigurable": _returning(crystals, film),
    }


def _ratio_of_retention(crystals: list[xr.Dataset], film: list[xr.Dataset]) -> Measured:
    """Retention of the crystals over the film's: a bound where the crystals kept their state to the end."""
    pair = [kept(crystals, CLOSED_S), kept(film, CLOSED_S)]
    if any(one.value is None for one in pair):
        return not_run(f"crystals: {pair[0].note}; film: {pair[1].note}")
    if pair[1].high == np.inf:
        return not_run("the film kept its state to the end of what was simulated too: the ratio is open")
    value, low = pair[0].value / pair[1].value, pair[0].low / pair[1].high
    fewest = min(one.n for one in pair)
    return Measured(
        value, low, pair[0].high / pair[1].low, fewest, "a bound" if pair[0].high == np.inf else "", open=few(fewest)
    )


def _ratio_of_endurance(crystals: list[xr.Dataset], film: list[xr.Dataset]) -> Measured:
    """What the first cycle bounds: a device that its RESET brings back has one good cycle or more, another
    less than one. So the median of a kind is known to one side of one cycle, if a share surely is of half."""
    groups = _returned(crystals, film)
    if not all(map(len, groups)):
        return _too_few_written(groups, crystals, film)
    longer, shorter = (share(int(group.sum()), len(group)) for group in groups)
    told = (
        f"the first cycle brought back {longer.value:.2g} of {longer.n} written crystals and "
        f"{shorter.value:.2g} of {shorter.n} written films; more were not followed"
    )
    n = min(longer.n, shorter.n)
    if longer.low > _HALF > shorter.high:
        return Measured(1.0, 1.0, np.inf, n, f"a bound of the medians; {told}", open=few(n), bound=True)
    if longer.high < _HALF < shorter.low:
        return Measured(1.0, 0.0, 1.0, n, f"a bound of the medians; {told}", open=few(n), bound=True)
    return not_run(f"{told}: the ratio of the medians is open")


def _returned(*devices: list[xr.Dataset]) -> list[np.ndarray]:
    """By group, one for each written device that is at high resistance after its RESET, zero for another."""
    return [np.array([float(was_reset(ds)) for ds in group if is_written(ds, CLOSED_S)]) for group in devices]


def _too_few_written(groups: list[np.ndarray], crystals: list[xr.Dataset], film: list[xr.Dataset]) -> Measured:
    return not_run(
        f"written: {len(groups[0])} of {len(crystals)} devices of crystals, {len(groups[1])} of {len(film)} of the film"
    )


def _returning(crystals: list[xr.Dataset], film: list[xr.Dataset]) -> Measured:
    """Share of written devices at high resistance after the RESET, crystals less film."""
    groups = _returned(crystals, film)
    if not all(map(len, groups)):
        return _too_few_written(groups, crystals, film)
    told = ", ".join(
        f"{int(group.sum())} of {len(group)} written {name} returned ({len(devices)} were run)"
        for name, group, devices in (("crystals", groups[0], crystals), ("films", groups[1], film))
    )
    found = difference_of_shares(groups, told)
    fewer = f"the target asks for {ASKED} devices each; " if min(map(len, groups)) < ASKED else ""
    return replace(found, owed=fewer + VOLATILE_OWED)


def _draw_stressed(runs: Runs, path: Path) -> None:
    """Film left, crystals right: the RESET of a cycle, and the state at 0 V."""
    names = [f"{name}, {what}" for name in ("film", "crystals") for what in ("RESET", "kept")]
    with panels(path, names) as places:
        for k, (stressed, kept_) in enumerate(zip(reversed(_STRESSED), reversed(_HELD), strict=True)):
            current_voltage(places[2 * k], [_negative(ds) for ds in runs[stressed.name]])
            say_if_empty(places[2 * k])
            at_rest(places[2 * k + 1], runs[kept_.name])


def _negative(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(time=ds["voltage_source"].values < 0)


FIGURES = [
    Figure(
        "S32_S33",
        "crystals and film, stressed",
        ("S32_retention_ratio", "S32_endurance_ratio", "S33_film_not_reconfigurable"),
        (*_STRESSED, *_HELD),
        _stressed,
        f"as figures S18a and S8 (until {5e5 * CLOSED_S:g} uS are left), written once; written is what "
        f"conducts {1e6 * CLOSED_S:g} uS",
        _draw_stressed,
    )
]
