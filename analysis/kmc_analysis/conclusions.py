"""What a comparison says in words, and what it cannot say: on switching, and on claims of the experiment."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from kmc_analysis.compare import Effect
from kmc_analysis.tables import effect, number

SWITCHING = ("set_voltage", "on_off")  # metrics that only a run with a SET has


class Claim(NamedTuple):
    """What the experiment says of an axis: `metric` stays within `most` of its value (relative change)."""

    target: str
    axis: str
    metric: str
    most: float
    words: str


CLAIMS = (
    Claim("S19_thickness_set", "thickness", "set_voltage", 0.25,
          "the set voltage changes by no more than 25 % with thickness (1 mA)"),
)  # fmt: skip


def conclusions(values: xr.Dataset, found: list[Effect]) -> list[str]:
    """Sentences on a study whose metrics are `values` and whose effects are `found`."""
    overall = [one for one in found if one.at == "all"]
    told = _switching(values)
    for axis in dict.fromkeys(one.axis for one in overall):
        told.append(_axis(axis, [one for one in overall if one.axis == axis]))
    told += [_verdict(claim, overall) for claim in CLAIMS
             if claim.axis in values.dims and claim.metric in values]  # fmt: skip
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
        return [f"None of {len(known)} runs switched: the comparison says nothing of set voltage and on/off. "
                "Sweep to a higher voltage, more slowly, or with a higher limit."]  # fmt: skip
    return [f"{switched} of {len(known)} runs switched."]


def _axis(axis: str, found: list[Effect]) -> str:
    """The clear effects of an axis in one sentence."""
    clear = [f"{one.metric} {effect(one)} from {one.base} to {one.level}" for one in found if one.clear]
    looked = len({one.metric for one in found if not math.isnan(one.low)})
    if not looked:
        return f"{axis}: no metric has an interval; it takes two seeds with a number in both variants."
    if not clear:
        return f"{axis}: no clear effect on any of {looked} metrics."
    return f"{axis}: " + "; ".join(clear) + "."


def _verdict(claim: Claim, overall: list[Effect]) -> str:
    """Whether the comparison agrees with a claim, does not, or cannot say."""
    head = f"Experiment ({claim.target}): {claim.words}."
    chosen = [one for one in overall if (one.axis, one.metric) == (claim.axis, claim.metric)]
    if not any(one.pairs for one in chosen):
        return f"{head} Nothing can be said: no two variants that switched share a seed."
    bounds = [(one.low / one.before, one.high / one.before) for one in chosen if one.before and one.pairs > 1]
    if not bounds or any(math.isnan(low) for low, _ in bounds):
        return f"{head} Nothing can be said: fewer than two seeds switched in both variants."
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    shown = f"relative change within [{number(low)}, {number(high)}] (95 %)"
    if -claim.most <= low and high <= claim.most:
        return f"{head} This study agrees: {shown}."
    if any(low > claim.most or high < -claim.most for low, high in bounds):
        return f"{head} This study does not agree: {shown}."
    return f"{head} Undecided: {shown}; more replicates would tell."
