"""Material cards: YAML in, validated numbers with unit, spread, kind and source out."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from kmc.cards import yaml_documents
from kmc.cards.card_schema import FAMILIES
from kmc.cards.quantity import Quantity, example, override, read_quantity
from kmc.cards.search_path import Beside, bibliography, find_data, list_data
from kmc.cards.yaml_documents import Mapping, unknown
from kmc.core.errors import UserError, nearest

__all__ = [
    "FAMILIES",
    "Card",
    "Frozen",
    "Quantity",
    "bibliography",
    "digest",
    "find_data",
    "list_data",
    "load_card",
    "resolve",
]

_HEADER = ("family", "name", "description", "extends")
_HEADERS = {"card": (*_HEADER, "symbol"), "stack": _HEADER}
_OWN = ("name", "symbol")  # of a file alone: what it extends has others
_EXTENDS_LIMIT = 20


class Frozen(dict):
    """A dict that cannot be changed."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a card does not change; use with_value")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Frozen, (dict(self),)


class Card(BaseModel):
    """A material: numbers by key. Frozen; `with_value` gives a changed copy."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    family: str
    description: str = ""
    symbol: str = ""  # as it is written in print: Ag, CsPbBr3, pTPD
    path: str = ""
    values: Frozen = Field(repr=False)

    @property
    def hash(self) -> str:
        """A digest of family, name and numbers; comments, prose and file place do not enter."""
        content = {key: quantity.identity() for key, quantity in sorted(self.values.items())}
        return digest([self.family, self.name, content])

    def value(self, key: str) -> float:
        """The number `key` in internal units. UserError with the nearest key where there is none."""
        return self.quantity(key).internal

    def get(self, key: str, default: Any = None) -> Any:
        """The number `key` in internal units, or `default` where the card has none."""
        found = self.values.get(key)
        return default if found is None else found.internal

    def quantity(self, key: str) -> Quantity:
        """The whole entry of `key`."""
        if key not in self.values:
            raise UserError(
                f'the {self.family} card "{self.name}" has no "{key}"',
                self.path,
                nearest(key, self.values),
                "add it to the card",
            )
        return self.values[key]

    def with_value(self, key: str, value: Any, where: str = "") -> Card:
        """A copy with `key` overridden by text such as "0.31 eV"; its kind becomes "assumed"."""
        table = FAMILIES[self.family]
        if key not in table:
            raise unknown(f'a {self.family} card has no "{key}"', key, table, where)
        quantity = override(key, value, table[key], where)
        return self.model_copy(update={"values": Frozen({**self.values, key: quantity})})


def digest(content: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of plain data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_card(name: str | Path, beside: Beside = None, family: str | None = None, where: str = "") -> Card:
    """The card `name`, a name or a path, with what it extends filled in and every number checked.

    `beside` is the file that asks, or several (their folders are searched first), `family` the family it
    must have.
    Raises UserError with file and line.
    """
    path = find_data("card", name, beside, where)
    header, entries = resolve(path, "card")
    own = header["family"]
    if own not in FAMILIES:
        what = "this is a stack, not a card" if own == "stack" else f'unknown family "{own}"'
        raise unknown(what, own, FAMILIES, header.where("family"))
    if family and own != family:
        raise UserError(
            f'"{name}" is a {own} card, but a {family} card is wanted here',
            where or header.where("family"),
            next_step=f"name a {family} card",
        )
    return Card(
        name=header["name"],
        family=own,
        description=header["description"],
        symbol=header["symbol"],
        path=str(path),
        values=_numbers(header, entries),
    )


def _numbers(header: Mapping, entries: dict[str, tuple[Any, Mapping]]) -> Frozen:
    """The checked numbers of a card in the order of its family's table."""
    family = header["family"]
    table = FAMILIES[family]
    found = {}
    for key, (entry, holder) in entries.items():
        if key not in table:
            raise unknown(f'a {family} card has no "{key}"', key, table, holder.where(key))
        found[key] = read_quantity(entry, key, table[key], holder.where(key), bibliography(holder.file))
    for key, row in table.items():
        if row.required and key not in found:
            message = f'the {family} card has no "{key}" ({row.meaning})'
            raise UserError(message, header.where(), next_step=f"add {key}: {example(row)}")
    return Frozen({key: found[key] for key in table if key in found})


def resolve(path: Path, kind: Literal["card", "stack"]) -> tuple[Mapping, dict[str, tuple[Any, Mapping]]]:
    """The header of `path` and its entries over those it extends, each with the mapping that holds it."""
    chain = _chain(path, kind)
    header = Mapping(str(path), 1)
    header.update({"name": path.stem, "description": "", "symbol": "", "family": None})
    entries: dict[str, tuple[Any, Mapping]] = {}
    for document in reversed(chain):
        for key, entry in document.items():
            if key not in _HEADERS[kind]:
                entries[key] = (entry, document)
    for field in ("family", "description", "name", "symbol"):
        owner = next((d for d in chain if d.get(field) is not None and (field not in _OWN or d is chain[0])), None)
        if owner is None:
            continue
        if not isinstance(owner[field], str) or not owner[field].strip():
            raise UserError(f"{field} is not a text", owner.where(field), next_step=f"write {field}: a few words")
        header[field] = owner[field]
        header.lines[field] = owner.lines[field] if owner is chain[0] else 1
    _refuse_mixed(chain, kind)
    if header["family"] is None:
        raise UserError('no "family"', f"{path}:1", next_step="add family: one of " + ", ".join([*FAMILIES, "stack"]))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,60}", header["name"]):
        raise UserError(
            f'the name "{header["name"][:60]}" is not one word',
            chain[0].where("name"),
            next_step="use letters, digits and _",
        )
    if header["symbol"] and not re.fullmatch(r"[A-Za-z0-9:()+-]{1,20}", header["symbol"]):
        raise UserError(
            f'the symbol "{header["symbol"][:60]}" is not one word',
            header.where("symbol"),
            next_step="write e.g. symbol: Ag",
        )
    return header, entries


def _refuse_mixed(chain: list[Mapping], kind: Literal["card", "stack"]) -> None:
    """A card extends one of its own family, a stack a stack: else every key it takes over is a wrong one."""
    known = {**{family: f"{family} card" for family in FAMILIES}, "stack": "stack"}
    found = None
    for document in reversed(chain):
        own = document.get("family", "stack" if kind == "stack" else found)
        if isinstance(own, str) and own in known and found is not None and found != own:
            told = known.get(str(found), f"{found!s:.40} card")
            raise UserError(
                f'"{document["extends"]}" is a {told}', document.where("extends"), next_step=f"name a {known[own]}"
            )
        found = own


def _chain(path: Path, kind: Literal["card", "stack"]) -> list[Mapping]:
    """The document at `path`, the one it extends, and so on."""
    begin = "family: stack" if kind == "stack" else "family: ligand"
    chain = [yaml_documents.read(path, begin)]
    seen = [path.resolve()]
    while (parent := chain[-1].get("extends")) is not None:
        where = chain[-1].where("extends")
        if not isinstance(parent, str):
            raise UserError("extends is not a name", where, next_step=f"name one {kind}")
        namesake = (seen[-1],) if parent == seen[-1].stem else ()
        try:
            parent_path = find_data(kind, parent, seen[-1], where, skip=namesake)
        except UserError:
            if not namesake:
                raise
            parent_path = seen[-1]
        if parent_path.resolve() in seen or len(chain) >= _EXTENDS_LIMIT:
            names = " -> ".join(p.stem for p in [*seen, parent_path])
            raise UserError(
                f"extends goes in a circle: {names}", chain[0].where("extends"), next_step="let one of them stand alone"
            )
        chain.append(yaml_documents.read(parent_path, begin))
        seen.append(parent_path.resolve())
    return chain
