"""How far a simulation is from the targets that may be fitted to."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from kmc.cards.yaml_documents import unknown
from kmc.core.errors import UserError
from kmc_analysis.experiment.figures import figures_of
from kmc_analysis.experiment.targets.targets import Target, targets
from kmc_analysis.metrics.observation import Measured

MISSING = 4.0  # tolerances away: what was not simulated, or has no number
_ROLE = "calibration"


def calibration_targets(table: Mapping[str, Target] | None = None) -> dict[str, Target]:
    """The targets of role calibration. No other is looked at by anything in this package."""
    return {key: one for key, one in (targets() if table is None else table).items() if one.role == _ROLE}


def fitted_targets(keys: Collection[str] = ()) -> dict[str, Target]:
    """The calibration targets that runs of a device give, those of `keys` where some are named.

    UserError for a key that is no target, of another role, or that no run gives.
    """
    table = calibration_targets()
    given = {key for figure in figures_of(table) if figure.compute is None for key in figure.keys}
    for key in keys:
        if key not in targets():
            raise unknown(f'no target is called "{key}"', key, table, "")
        if key not in table:
            choice = ", ".join(one for one in table if one in given)
            raise UserError(
                f"{key} is no calibration target, and no other may be fitted to", next_step=f"name one of {choice}"
            )
        if key not in given:
            raise UserError(f"{key} is told by no run of a device", next_step="name another target")
    return {key: one for key, one in table.items() if key in given and key in (keys or table)}


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a figure's value can be held against a target."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def distance(target: Target, found: Measured) -> float:
    """0 inside the band, else how far outside, at most MISSING: in half widths of a band with two ends, in
    decades below or above a band with one."""
    if not is_number(found.value):
        return MISSING
    value, accept = float(found.value), target.accept
    if accept.holds(value) or (found.least and value <= accept.high):
        return 0.0
    edge = accept.low if value < accept.low else accept.high
    if accept.two_sided:
        return min(MISSING, abs(value - edge) / ((accept.high - accept.low) / 2))
    if value <= 0 or edge <= 0:
        return MISSING
    return min(MISSING, abs(math.log10(value / edge)))


def loss(found: Mapping[str, Measured], table: Mapping[str, Target] | None = None) -> float:
    """Half the sum of squared distances: minus the logarithm of a Gaussian likelihood one tolerance wide."""
    chosen = calibration_targets(table)
    return sum(0.5 * distance(chosen[key], found[key]) ** 2 for key in found if key in chosen)
