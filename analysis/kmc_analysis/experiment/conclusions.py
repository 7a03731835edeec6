"""What a comparison says in words, and what it cannot say: on switching, and on claims of the experiment."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from kmc.core.units import format_si
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.metrics.bootstrap_intervals import FEWEST
from kmc_analysis.metrics.observation import Measured, bootstrap_groups
from kmc_analysis.statistics.comparison import REPLICATE, Effect, label
from kmc_analysis.statistics.effect_tables import effect, number

JUMP = 3.0  # of the current, at least, in the step in which a device sets


class Claim(NamedTuple):
    """What the experiment says of an axis, at its current limit; `verdict` holds a study against it."""

    target: str
    axis: str
    metric: str
    limit_A: float
    words: str
    verdict: Verdict


Verdict = Callable[[xr.Dataset, Claim, list[Effect]], str]


def conclusions(values: xr.Dataset, found: list[Effect]) -> list[str]:
    """Sentences on a study whose metrics are `values` and whose effects are `found`."""
    overall = [one for one in found if one.at == "all"]
    told = _switching(values)
    for axis in dict.fromkeys(one.axis for one in overall):
        told.append(_axis(axis, [one for one in overall if one.axis == axis]))
    told += [
        _held_against(claim, values, overall)
        for claim in _claims()
        if values.sizes.get(claim.axis, 0) > 1 and claim.metric in values
    ]
    return told


def _switching(values: xr.Dataset) -> list[str]:
    """How many runs switched; where none did, that nothing is said of switching."""
    if "set" not in values:
        return []
    known = values["set"].values[np.isfinite(values["set"].values)]
    switched = int(np.sum(known))
    if not len(known):
        return ["No run has a sweep, so the comparison says nothing of SET, set voltage and on/off."]
    if not switched:
        return [
            f"None of {len(known)} runs switched: the comparison says nothing of set voltage and on/off. "
            "Sweep to a higher voltage, more slowly, or with a higher limit."
        ]
    return [f"{switched} of {len(known)} runs switched.", *_without_a_jump(values)]


def _without_a_jump(values: xr.Dataset) -> list[str]:
    """Of runs that met their limit as a resistor does."""
    if "on_off" not in values:
        return []
    slow = int(np.sum(values["on_off"].values < JUMP))
    if not slow:
        return []
    return [
        f"{slow} of them met the limit with less than {JUMP:g} times the current of the step before: so "
        "does what conducts already, whose set voltage is its resistance times the limit."
    ]


def _axis(axis: str, found: list[Effect]) -> str:
    """The clear effects of an axis in one sentence."""
    clear = [f"{one.metric} {effect(one)} from {one.base} to {one.level}" for one in found if one.clear]
    looked = len({one.metric for one in found if not math.isnan(one.low)})
    if not looked:
        return (
            f"{axis}: no metric has an interval; it takes two seeds with a number in both variants, "
            f"{FEWEST} where all are alike."
        )
    if not clear:
        return f"{axis}: no clear effect on any of {looked} metrics."
    return f"{axis}: " + "; ".join(clear) + "."


def _held_against(claim: Claim, values: xr.Dataset, overall: list[Effect]) -> str:
    """A claim, what the study says of it, and whether its currents are those of the experiment."""
    chosen = [one for one in overall if (one.axis, one.metric) == (claim.axis, claim.metric)]
    told = f"Experiment ({claim.target}): {claim.words}. {claim.verdict(values, claim, chosen)}"
    most = values["current_most"].values if "current_most" in values else np.zeros(0)
    most = most[np.isfinite(most)]
    if len(most) and most.max() < claim.limit_A / 2:
        told += (
            f" The experiment's limit was {format_si(claim.limit_A, 'A')}; no current here exceeds "
            f"{format_si(float(most.max()), 'A', 3)}."
        )
    return told


def _within(share: float) -> Verdict:
    """The relative change stays within `share`, with the whole of its interval."""

    def verdict(values: xr.Dataset, claim: Claim, chosen: list[Effect]) -> str:
        if not any(one.pairs for one in chosen):
            return "Nothing can be said: no two variants that switched share a seed."
        bounds = [sorted((one.low / one.before, one.high / one.before)) for one in chosen if one.before]
        if not bounds or any(math.isnan(low) for low, _ in bounds):
            return (
                f"Nothing can be said: it takes two seeds that switched in both variants, {FEWEST} where all are alike."
            )
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        shown = f"relative change within [{number(low)}, {number(high)}] (95 %)"
        if -share <= low and high <= share:
            return f"This study agrees: {shown}."
        if any(low > share or high < -share for low, high in bounds):
            return f"This study does not agree: {shown}."
        return f"Undecided: {shown}; more replicates would tell."

    return verdict


def _medians_above(least: float) -> Verdict:
    """The median of every level is `least` or more, with all of its interval."""

    def verdict(values: xr.Dataset, claim: Claim, chosen: list[Effect]) -> str:
        if "set" not in values:
            return "Nothing can be said: it was not measured which runs switched."
        if not (values["set"] == 1.0).any():
            return "Nothing can be said: no run switched."
        rows = _with_failures(values, claim.metric).transpose(claim.axis, REPLICATE, ...)
        of_level = {label(rows, claim.axis, k): rows[k] for k in range(rows.sizes[claim.axis])}
        levels = {name: _median(part.values) for name, part in of_level.items()}
        if any(one.value is None for one in levels.values()):
            return f"Nothing can be said: some variants have no {claim.metric}."
        below = {name: one for name, one in levels.items() if one.high < least and not one.open}
        unsure = {name: one for name, one in levels.items() if not one.low >= least or one.open}
        name, lowest = min((below or unsure or levels).items(), key=lambda item: float(item[1].value))
        ends = lowest.open or f"[{number(lowest.low)}, {number(lowest.high)}]"
        failed = bool((of_level[name] == 1.0).any())
        counted = "; what did not switch, or was short at once, counts as 1" if failed else ""
        shown = f"the median of {claim.metric} at {claim.axis} {name} is {number(lowest.value)} ({ends}{counted})"
        if below:
            return f"This study does not agree: {shown}."
        if unsure:
            return f"Undecided: {shown}; more replicates would tell."
        return f"This study agrees: {shown}."

    return verdict


def _with_failures(values: xr.Dataset, metric: str) -> xr.DataArray:
    """The ratio `metric` of every run, 1 of what did not switch and of what was short before it could: it has
    a SET at its first step, and no current before that."""
    ratio = values[metric].where(values["set"] != 0.0)
    return ratio.fillna(1.0).where(values["set"].notnull())


def _median(table: np.ndarray) -> Measured:
    """The median over the variants and seeds of a table [seed, ...]: what is resampled are seeds, which the
    variants share."""
    table = table.reshape(len(table), -1)
    there = table[np.isfinite(table).any(axis=1)]
    return bootstrap_groups(lambda drawn: float(np.nanmedian(drawn[0])), [there])


def _claims() -> tuple[Claim, ...]:
    """What the experiment says, by its targets."""
    most, least = (targets()[key].accept for key in ("S19_thickness_set", "S19_thickness_on_off"))
    return (
        Claim(
            "S19_thickness_set",
            "thickness",
            "set_voltage",
            1e-3,
            f"the set voltage changes by no more than {100 * most.high:g} % with thickness",
            _within(most.high),
        ),
        Claim(
            "S19_thickness_on_off",
            "thickness",
            "on_off",
            1e-3,
            f"the median of on/off is {least.low:g} or more at every thickness",
            _medians_above(least.low),
        ),
    )
