"""The observations of the experiment, read from targets.yaml in this folder, and what is only predicted."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping, unknown
from kmc.core.errors import UserError
from kmc.core.source_files import digest

FILE = Path(__file__).with_name("targets.yaml")
BEYOND = FILE.with_name("predictions.yaml")
ROLES = ("input", "consistency", "calibration", "validation", "report", "prediction")
_ACCEPT = ("min", "max", "abs", "rel", "rule")
#: Keys of the rows whose meaning changed with a definition at the head of the file, by schema and definition.
REDEFINED = {
    (3, "RESET"): (
        "S7_ddab_nonvolatile_endurance",
        "fig3b_ogb_nonvolatile_endurance",
        "S19_thickness_reset",
        "S19_thickness_on_off",
        "S29_reconfigurable",
        "S30_nonvolatile_heat",
        "S31_ddab_heat_50",
        "S31_ogb_heat_50",
        "S31_heat_order",
        "S32_endurance_ratio",
        "S33_film_not_reconfigurable",
    ),
    (3, "forming"): (  # every row that rests on simulated devices
        "S3_volatile_switching",
        "S3_ddab_switches",
        "S3_ddab_volatile_endurance",
        "T2_ogb_volatile_endurance",
        "N7_film_volatile_endurance",
        "S4_S6_filament_size",
        "S5_unidirectional",
        "S7_ddab_nonvolatile_endurance",
        "S8_ogb_retention",
        "fig3b_ogb_nonvolatile_endurance",
        "S14_gold_electrode",
        "S15_poor_film_shorts",
        "S16_interlayers_only",
        "S17_silver_profile",
        "S18a_lrs_slope",
        "S18b_hrs_regimes",
        "S18c_activation_energy",
        "S19_thickness_set",
        "S19_thickness_reset",
        "S19_thickness_on_off",
        "S21_size_trend",
        "S21_size_on_off",
        "S22a_amplitude",
        "S22b_width",
        "S22c_number",
        "S23a_echo_10ms",
        "S23b_echo_30ms",
        "S23c_echo_300ms",
        "S23abc_fading",
        "S23d_sign_change",
        "S24_separability",
        "S25_read_disturb",
        "S28_conductance_law",
        "S28_linearity",
        "S29_reconfigurable",
        "S30_volatile_heat",
        "S30_nonvolatile_heat",
        "S31_ddab_heat_50",
        "S31_ogb_heat_50",
        "S31_heat_order",
        "N7_same_voltages",
        "S32_retention_ratio",
        "S32_endurance_ratio",
        "S33_film_not_reconfigurable",
        "N2_best_size",
    ),
    (3, "pulses"): (
        "S22a_amplitude",
        "S22b_width",
        "S22c_number",
        "S23a_echo_10ms",
        "S23b_echo_30ms",
        "S23c_echo_300ms",
        "S23abc_fading",
        "S23d_sign_change",
        "S24_separability",
        "S25_read_disturb",
    ),
    (3, "S28, limit held for 100 ms"): ("S28_linearity",),  # its text speaks of "that line"
}


class Accept(NamedTuple):
    """How near a simulation must come: the band [low, high], infinite on a side that is open, or a rule.

    Both are absent where the file gives no tolerance (`given` is False).
    """

    low: float = float("-inf")
    high: float = float("inf")
    rule: str = ""
    given: bool = True

    @property
    def two_sided(self) -> bool:
        """Whether the band has two ends."""
        return self.given and not self.rule and self.high - self.low < float("inf")

    def holds(self, value: float) -> bool:
        """Whether a value lies in the band."""
        return self.low <= value <= self.high


class Target(NamedTuple):
    """One observation. `value` is the experiment's figure, None where its text gives none."""

    key: str
    figure: str
    device: tuple[str, ...]
    what: str
    value: Any
    unit: str
    accept: Accept
    tolerance: str
    role: str
    kind: str


def load(path: Path = FILE) -> dict[str, Target]:
    """All targets by key, in the file's order. Raises UserError with file and line."""
    document = yaml_documents.read(path)
    rows = yaml_documents.need(document, "targets", "the file of targets", "targets: {...}")
    return {key: _target(key, row) for key, row in rows.items()}


@lru_cache(maxsize=1)
def targets() -> dict[str, Target]:
    """The targets that the program carries."""
    return load()


@lru_cache(maxsize=1)
def all_rows() -> dict[str, Target]:
    """The targets, and after them the predictions: what a scoreboard may have a row of."""
    return {**targets(), **load(BEYOND)}


def chosen(keys: list[str]) -> list[Target]:
    """Those named by `keys`, all targets if none is: predictions are asked for by name. Raises UserError with
    the nearest key."""
    known = all_rows()
    for key in keys:
        if key not in known:
            raise unknown(f'no target is called "{key}"', key, known, "")
    return [known[key] for key in known if key in (keys or targets())]


def definition(target: Target) -> str:
    """A hash of what a row of the scoreboard is measured and judged by: the target's devices, text, value,
    unit and tolerance, and the changes of definitions that concern it."""
    changes = [change for change, keys in REDEFINED.items() if target.key in keys]
    stated = [target.device, target.what, target.value, target.unit, repr(target.accept), changes]
    return digest((), json.dumps(stated))


def _target(key: str, row: Mapping) -> Target:
    role = row.get("role")
    if role not in ROLES:
        raise unknown(f'"{role}" is no role of a target', str(role), ROLES, row.where("role"))
    device = row.get("device", ())
    value, given = row.get("value"), row.get("accept")
    return Target(
        key,
        str(row["figure"]),
        (device,) if isinstance(device, str) else tuple(device),
        str(row["what"]),
        value,
        str(row.get("unit", "")),
        _accept(value, given, row),
        _told(given),
        role,
        str(row["kind"]),
    )


def _accept(value: Any, given: Any, row: Mapping) -> Accept:
    if given is None:
        return Accept(given=False)
    yaml_documents.check_keys(given, _ACCEPT, "accept")
    if "rule" in given:
        return Accept(rule=str(given["rule"]))
    if "abs" in given or "rel" in given:
        if not isinstance(value, (int, float)):
            raise UserError("accept has abs or rel, but there is no value", row.where("accept"), next_step="add value:")
        reach = float(given["abs"]) if "abs" in given else float(given["rel"]) * abs(value)
        return Accept(value - reach, value + reach)
    return Accept(float(given.get("min", "-inf")), float(given.get("max", "inf")))


def _told(given: Any) -> str:
    """The tolerance in a few characters."""
    signs = {"min": ">= ", "max": "<= ", "abs": "+- ", "rel": "+- "}
    if not given:
        return ""
    if "rule" in given:
        return str(given["rule"])
    return ", ".join(
        f"{signs[name]}{100 * value:g} %" if name == "rel" else f"{signs[name]}{value:g}"
        for name, value in given.items()
    )
