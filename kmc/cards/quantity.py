"""A number with its unit, spread, kind and source, and the reading of one from a card."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from kmc.cards import yaml_documents
from kmc.cards.card_schema import Key
from kmc.cards.yaml_documents import Mapping
from kmc.core import units
from kmc.core.errors import UserError, nearest

KINDS = ("measured", "computed", "fitted", "assumed")
_ENTRY = ("value", "unit", "sigma", "kind", "source", "why", "targets", "run", "where")
_ANGSTROM = ("A", "Ang", "Angstrom", "Angstroms")  # what people write for it
_DECADE = 10.0
AVOGADRO = 6.02214076e23  # 1/mol
_EXAMPLE = "{value: 0.3, unit: eV, sigma: 0.1, kind: assumed, why: ...}"


class Quantity(BaseModel):
    """One number of a card, with where it comes from.

    `value` and `sigma` (one standard deviation, or the half range of an assumed value; None where the
    source gives none) are in `unit`; `internal` and `internal_sigma` are in internal units. `where` is
    the place in the source, `line` the place in the card ("file:line").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    unit: str
    kind: Literal["measured", "computed", "fitted", "assumed"]
    sigma: float | None = None
    source: tuple[str, ...] = ()
    why: str = ""
    targets: tuple[str, ...] = ()
    run: str = ""
    where: str = ""
    line: str = ""
    internal: float
    internal_sigma: float | None = None

    def factors(self, row: Key) -> tuple[float, float] | None:
        """By what it may be divided and multiplied, where sigma reaches zero and no value may lie below: then
        the range is meant in decades, one of them either way, or up to value + sigma; else None."""
        if not self.sigma or not self.value - self.sigma <= 0 < self.value or row.low < 0:
            return None
        return _DECADE, max(1.0 + self.sigma / self.value, _DECADE)

    def identity(self) -> list[Any]:
        """What of the number can change a result or its standing; part of a card's hash."""
        return [self.internal, self.internal_sigma, self.kind, list(self.source), list(self.targets)]


def example(row: Key) -> str:
    """What an entry looks like; its value and sigma are yours to fill in, for none fits every number."""
    entry = _EXAMPLE.replace("unit: eV, ", "" if not row.unit else f"unit: {row.unit}, ")
    return entry.replace("0.3,", "...,").replace("0.1,", "...,")


def read_quantity(entry: Any, key: str, row: Key, where: str, known: dict[str, str]) -> Quantity:
    """The checked Quantity of one entry {value, unit, sigma, kind, source | why | targets, where}."""
    if not isinstance(entry, Mapping):
        raise UserError(
            f"{key} is a bare value; a number needs its unit, kind and source",
            where,
            next_step=f"write {key}: {example(row)}",
        )
    yaml_documents.check_keys(entry, _ENTRY, key)
    if "value" not in entry:
        raise UserError(f"{key} has no value", entry.where(), next_step=f"write {key}: {example(row)}")
    value, sigma, unit = _number(entry, "value", key), None, _unit(entry, key, row)
    internal = _converted(value, unit, row, key, entry.where("unit" if "unit" in entry else None))
    internal_sigma = None
    if entry.get("sigma") is not None:
        sigma = _number(entry, "sigma", key)
        if sigma < 0:
            raise UserError(
                f"sigma of {key} is negative", entry.where("sigma"), next_step="give a spread of zero or more"
            )
        internal_sigma = abs(_converted(value + sigma, unit, row, key, where) - internal)
    check_bounds(value, unit, internal, key, row, entry.where("value"))
    origin = _origin(entry, key, known)
    return Quantity(
        value=value,
        unit=unit,
        sigma=sigma,
        internal=internal,
        internal_sigma=internal_sigma,
        line=entry.where("value"),
        **origin,
    )


def override(key: str, value: Any, row: Key, where: str = "") -> Quantity:
    """The Quantity of a value that a user sets over a card: assumed, because overridden.

    A number without a unit would be one in the program's own, which no card shows (nm2 of an area).
    """
    if row.unit and isinstance(value, (int, float)) and not isinstance(value, bool):
        step = f'write e.g. "{value:g} {row.unit}"'
        raise UserError(f"{key} is {value:g}, without a unit", where, next_step=step)
    try:
        internal = units.parse(value, row.internal, key)
    except UserError as error:
        raise error.at(where) from None
    check_bounds(internal, row.internal, internal, key, row, where)
    return Quantity(value=internal, unit=row.internal, kind="assumed", why="override", line=where, internal=internal)


def check_bounds(value: float, unit: str, internal: float, key: str, row: Key, where: str) -> None:
    """UserError where a number leaves its family's bounds (both inclusive, to rounding)."""
    low, high = (units.convert(bound, row.unit, row.internal) for bound in (row.low, row.high))
    if not low - 1e-9 * abs(low) <= internal <= high + 1e-9 * abs(high):
        raise UserError(
            f"{key} is {value:g} {unit}".rstrip() + f", outside {row.low:g} to {row.high:g} {row.unit}".rstrip(),
            where,
            next_step="check the sign, the unit and the power of ten",
        )


def _number(entry: Mapping, field: str, key: str) -> float:
    value = entry[field]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(
            f"{field} of {key} is {value!r:.60}, not a number",
            entry.where(field),
            next_step="write the number alone; its unit has its own entry",
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{field} of {key} is not finite", entry.where(field), next_step="write a finite number")
    return number


def _unit(entry: Mapping, key: str, row: Key) -> str:
    """The unit as text; a missing one is refused unless the number is dimensionless."""
    unit = entry.get("unit")
    if unit is None:
        if row.unit == "":
            return ""
        raise UserError(f"{key} has no unit", entry.where(), next_step=f"add unit: {row.unit}")
    if not isinstance(unit, (str, int)) or isinstance(unit, bool):
        raise UserError(f"unit of {key} is not a unit", entry.where("unit"), next_step=f"write unit: {row.unit or 1}")
    return "" if str(unit) == "1" else str(unit)


def _converted(value: float, unit: str, row: Key, key: str, where: str) -> float:
    try:
        result = units.convert(value, unit, row.internal, key)
    except UserError as error:
        near = "angstrom" if row.unit == "nm" and unit in _ANGSTROM else error.nearest
        step = f"give the value in {row.unit}, with unit: {row.unit}" if row.unit else "write unit: 1"
        raise UserError(error.message + _of_a_mole(unit, row), where, near, step) from None
    if not math.isfinite(result):
        raise UserError(f"{key} is not finite", where, next_step="write a finite number")
    return result


def _of_a_mole(unit: str, row: Key) -> str:
    """What an energy of a mole is of one particle, which is what the cards have."""
    try:
        joule = units.convert(1.0, unit, "J/mol") if row.unit == "eV" and unit.endswith("/mol") else 0.0
    except UserError:
        return ""
    return f" (1 {unit} is {joule / (AVOGADRO * units.E_CHARGE):.4g} eV a particle)" if joule else ""


def _origin(entry: Mapping, key: str, known: dict[str, str]) -> dict[str, Any]:
    """kind and what it calls for: a source, a reason, or the targets and the run of a fit."""
    kind = entry.get("kind")
    if kind is None:
        raise UserError(f"{key} has no kind", entry.where(), next_step="add kind: " + " | ".join(KINDS))
    if kind not in KINDS:
        raise yaml_documents.unknown(f"kind of {key} is {kind!r:.60}", kind, KINDS, entry.where("kind"))
    sources = _texts(entry, "source", key)
    targets = _texts(entry, "targets", key)
    why, run, place = (_text(entry, field, key) for field in ("why", "run", "where"))
    if kind == "assumed" and not why:
        raise UserError(f'{key} is assumed but does not say "why"', entry.where(), next_step="add why: ...")
    if kind == "fitted" and not (targets and run):
        raise UserError(
            f"{key} is fitted but does not name targets and run",
            entry.where(),
            next_step="add targets: [S3_volatile_switching] and run: runs/...",
        )
    if kind in ("measured", "computed") and not sources:
        raise UserError(
            f"{key} is {kind} but has no source",
            entry.where(),
            next_step="add source: a key of sources.bib, or kind: assumed with a why",
        )
    for source in sources:
        if source not in known:
            raise UserError(
                f'the source "{source}" of {key} is not in sources.bib',
                entry.where("source"),
                nearest(source, known),
                "add its BibTeX entry to a sources.bib beside the card",
            )
    return {"kind": kind, "source": sources, "targets": targets, "why": why, "run": run, "where": place}


def _text(entry: Mapping, field: str, key: str) -> str:
    value = entry.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{field} of {key} is not a text", entry.where(field), next_step="quote it")
    return value.strip()


def _texts(entry: Mapping, field: str, key: str) -> tuple[str, ...]:
    value = entry.get(field)
    items = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, str) and item.strip() for item in items):
        raise UserError(
            f"{field} of {key} is not a name or a list of names", entry.where(field), next_step="write names"
        )
    return tuple(items)
