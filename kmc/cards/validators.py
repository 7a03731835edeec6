"""Pydantic models made from YAML or keywords: fields in text with a unit, errors with file and line."""

from __future__ import annotations

import re
from math import inf
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from kmc.cards.yaml_documents import place, unknown
from kmc.core import units
from kmc.core.errors import UserError, nearest

Model = TypeVar("Model", bound=BaseModel)
# Pydantic's complaints that speak of Python, in plain words.
_PLAIN = {
    "too_short": "fewer than {min_length} entries",
    "too_long": "more than {max_length} entries",
    "tuple_type": "not a list",
}


class Refused(ValueError):
    """Carries a UserError through pydantic, which lets only ValueError pass with its location."""

    @property
    def cause(self) -> UserError:
        """The error carried."""
        return self.args[0]


def parsed(unit: str, low: float = -inf, high: float = inf, above: bool = False) -> BeforeValidator:
    """Reads a field from text such as "5 ms" as a float in `unit`: from `low` (or `above` it) to `high`."""

    def read(value: Any) -> float | None:
        if value is None:
            return None
        try:
            number = units.parse(value, unit)
        except UserError as error:
            raise Refused(error) from None
        if number < low or number > high or (above and number == low):
            least = f"more than {low:g}" if above else f"{low:g} or more"
            most = "" if high == inf else f", {high:g} at most"
            step = f"give {least}{most}, in {unit or 'plain numbers'}"
            raise Refused(UserError(f"{value!s:.40} is out of range", next_step=step))
        return number

    return BeforeValidator(read)


def positive(unit: str, high: float = inf) -> BeforeValidator:
    """Reads a field of more than zero, `high` at most."""
    return parsed(unit, 0.0, high, above=True)


def _bits(value: Any) -> Any:
    """Refuses what YAML makes of a pattern without quotes, a number."""
    if value is None or (isinstance(value, str) and value and not value.strip("01")):
        return value
    raise Refused(UserError(f"{value!r:.40} is no text of 0 and 1", next_step='write e.g. pattern: "1011", in quotes'))


Bits = Annotated[str, BeforeValidator(_bits), Field(pattern="^[01]+$", max_length=100_000)]


def nested(model: type[BaseModel], what: str, example: str) -> BeforeValidator:
    """Reads a field that is a mapping of its own, or None."""

    def read(value: Any) -> Any:
        if value is None or isinstance(value, model):
            return value
        if not isinstance(value, dict):
            raise Refused(UserError(f"{value!r:.40} is not a mapping", next_step=f"write {example}"))
        try:
            return build(model, value, what, f"e.g. {example}")
        except UserError as error:
            raise Refused(error) from None

    return BeforeValidator(read)


def build(model: type[Model], values: dict[str, Any], what: str, example: str = "") -> Model:
    """`model(**values)`, with pydantic's complaint turned into a UserError at the key's file and line."""
    for key in values:
        if key not in model.model_fields:
            raise unknown(f'unknown key "{key}" in {what}', key, model.model_fields, place(values, key))
    try:
        return model(**values)
    except ValidationError as error:
        raise _translated(error.errors()[0], values, what, example) from None


def _translated(detail: Any, values: dict[str, Any], what: str, example: str) -> UserError:
    location = detail["loc"]
    name = ".".join(str(part) for part in location)
    where = place(values)
    container: Any = values
    for part in location:
        where = place(container, part) or where
        container = container[part] if isinstance(container, dict) and part in container else None
    named = f"{name} in {what}" if name else what
    context = detail.get("ctx", {})
    refused = context.get("error")
    if isinstance(refused, Refused):
        cause = refused.cause
        said = cause.message
        joined = f"{named} {said[6:]}" if said.startswith("value ") else f"{named}: {said}"
        message = said if cause.where else joined
        return UserError(message, cause.where or where, cause.nearest, cause.next_step)
    if detail["type"] == "missing":
        return UserError(f'{what} has no "{name}"', place(values), next_step=example or f"add {name}:")
    options = re.findall(r"'([^']+)'", str(context.get("expected", "")))
    plain = _PLAIN.get(detail["type"], "").format(**context)
    text = plain or detail["msg"].removeprefix("Value error, ")
    given = f" is {detail['input']!r:.40}" if location else ""
    return UserError(
        f"{named}{given}: {text[0].lower()}{text[1:]}",
        where,
        nearest(detail["input"], options),
        example or "correct it",
    )
