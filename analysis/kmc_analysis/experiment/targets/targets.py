"""The observations of the experiment, read from targets.yaml in this folder, and what is only predicted."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping, unknown
from kmc.core.errors import UserError

FILE = Path(__file__).with_name("targets.yaml")
BEYOND = FILE.with_name("predictions.yaml")
ROLES = ("input", "consistency", "calibration", "validation", "report", "prediction")
_ACCEPT = ("min", "max", "abs", "rel", "rule")


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
            raise UserError(
                "accept has abs or rel, but there is no value", row.where("accept"), next_step="add value:"
            )
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
