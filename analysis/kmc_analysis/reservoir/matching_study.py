"""Checks that a kinetic Monte Carlo study was made for a plan: states after other pulses are of no use to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import xarray as xr

import kmc
from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.study.manifest import result_path
from kmc.study.results import read_attribute
from kmc_analysis.reservoir import kinetic_states
from kmc_analysis.reservoir.plan import Plan

_STEP = "give the plan that the study was written for"
# From which entry of the plan each entry of a pattern's protocol was written, and its unit.
_COMPLIANCE = ("devices.compliance", "A")
_WRITTEN = {
    "pulses": {"width": ("encoding.slot", "s"), "amplitude": ("encoding.amplitude", "V"), "compliance": _COMPLIANCE},
    "hold": {
        "voltage": ("encoding.read_amplitude", "V"),
        "duration": ("encoding.read_width", "s"),
        "compliance": _COMPLIANCE,
    },
}


def states(plan: Plan, path: Path) -> kinetic_states.States:
    """The states in a study's folder or a CSV (`kinetic.read`), which must be those that this plan asks for.

    Raises UserError where windows have another length, and where the protocols of a folder's tasks have other
    pulses; a CSV keeps no protocols.
    """
    found = kinetic_states.read(path)
    wanted = None if path.suffix == ".csv" else kinetic_states.stack_name(plan)
    try:
        kinetic_states.check_lengths(plan, found)
        if wanted is not None:
            _check_pulses(plan, kmc.open(path), wanted)
    except UserError as error:
        raise error.at(str(path)) from None
    return found


def _check_pulses(plan: Plan, study: xr.Dataset, wanted: str) -> None:
    """Check stack, windows and pulses of a study against the plan, by one finished task of each pattern."""
    for name in study["protocol"].values:
        one = study[["state", "task"]].sel(protocol=name)
        for task in one["task"].values[one["state"].values == 1][:1]:
            run = json.loads(read_attribute(result_path(Path(study.attrs["folder"]), str(task)), "run"))
            if (given := run["stack"]["name"]) != wanted:
                raise UserError(f"has kinetic.stack = {given}, and the plan {wanted}", next_step=_STEP)
            if (count := run["settings"].get("windows", 1)) != plan.devices.windows:
                raise UserError(f"has devices.windows = {count}, and the plan {plan.devices.windows}", next_step=_STEP)
            for segment in run["protocol"]:
                _check_segment(plan, str(name), segment)


def _check_segment(plan: Plan, name: str, segment: dict[str, dict[str, Any]]) -> None:
    [(kind, values)] = segment.items()
    if kind not in _WRITTEN or not _WRITTEN[kind].keys() <= values.keys():
        raise UserError(
            f"its protocol {name} is no pattern of writes and a read",
            next_step="write it with kmc reservoir --write-study",
        )
    for key, (entry, unit) in _WRITTEN[kind].items():
        part, _, own = entry.partition(".")
        given, wanted = values[key], getattr(getattr(plan, part), own)
        if not math.isclose(given, wanted, rel_tol=1e-5):  # a study's file has six digits
            raise UserError(
                f"has {entry} = {format_si(given, unit)}, and the plan {format_si(wanted, unit)}", next_step=_STEP
            )
