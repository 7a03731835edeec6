"""The parts of a stack (layer, crystals, grains) and the reading of them from a stack file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from kmc.cards import card as cards
from kmc.cards import quantity, yaml_documents
from kmc.cards.card import Card, Frozen
from kmc.cards.card_schema import STACK_KEYS
from kmc.cards.quantity import Quantity
from kmc.cards.yaml_documents import Mapping, unknown
from kmc.core.errors import UserError

ORDERS = ("ordered", "random")
ROLES = {"electrode": "metal", "ligand": "ligand", "device": "device", "contact": "contact", "void": "void"}
LAYERS = {"active": "perovskite", "organic": "organic", "counter": None}
NUMBERS = {
    "active": ("thickness", "roughness"),
    "organic": ("thickness",),
    "counter": ("thickness",),
    "crystal": ("size", "aspect_ratio"),
    "grain": ("grain_size", "boundary"),
}
KEYS = (
    "electrode",
    "active",
    "ligand",
    "crystal",
    "grain",
    "organic",
    "counter",
    "contact",
    "void",
    "device",
    "crevice_fraction",
)


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Layer(FrozenModel):
    """A layer: its card, thickness and the rms roughness of its top, in nm."""

    card: Card
    thickness_nm: float
    roughness_nm: float = 0.0
    numbers: Frozen = Frozen()


class Crystal(FrozenModel):
    """Nanocrystals: edge in nm, length over edge with its spread, and their order."""

    size_nm: float
    aspect_ratio: float = 1.0
    aspect_sigma: float = 0.0
    order: Literal["ordered", "random"] = "random"
    numbers: Frozen = Frozen()


class Grain(FrozenModel):
    """Grains of a film: mean diameter and width of the boundary, in nm."""

    size_nm: float
    boundary_nm: float
    numbers: Frozen = Frozen()


class Reader:
    """Turns the entries of one stack file into the parts of a stack."""

    def __init__(self, path: Path, header: Mapping, entries: dict[str, tuple[Any, Mapping]]) -> None:
        self.path, self.header, self.entries = path, header, entries

    def parts(self) -> dict[str, Any]:
        """The fields of kmc.cards.stack.Stack; UserError with file and line where one is wrong."""
        for role, example in (("electrode", "ag"), ("counter", "{card: pedot_pss, thickness: {...}}")):
            if self.entries.get(role, (None,))[0] is None:
                step = f"add {role}: {example}"
                raise UserError(f'the stack has no "{role}"', self.header.where(), next_step=step)
        parts: dict[str, Any] = {role: self._layer(role, family) for role, family in LAYERS.items()}
        defaults = {"void": "void", "device": "device"}
        parts |= {role: self._card(role, family, defaults.get(role)) for role, family in ROLES.items()}
        crevices = self._crevices()
        return {
            "name": self.header["name"],
            "description": self.header["description"],
            "path": str(self.path),
            "crystal": self._crystal(),
            "grain": self._grain(),
            "crevice_fraction": crevices.internal if crevices else 0.0,
            "own_numbers": Frozen({"crevice_fraction": crevices} if crevices else {}),
            **parts,
        }

    def _card(self, role: str, family: str, default: str | None = None) -> Card | None:
        entry, holder = self.entries.get(role, (None, self.header))
        name = default if entry is None else entry
        if name is None:
            return None
        if not isinstance(name, str):
            raise UserError(f"{role} is not the name of a card", holder.where(role), next_step=f"name a {family} card")
        return cards.load_card(name, holder.file, family, holder.where(role))

    def _part(self, role: str, extra: tuple[str, ...] = ()) -> tuple[Mapping, dict[str, Quantity]] | None:
        """The mapping of a part and its checked numbers."""
        entry, holder = self.entries.get(role, (None, self.header))
        if entry is None:
            return None
        if not isinstance(entry, Mapping):
            raise UserError(f"{role} is not a mapping", holder.where(role), next_step=f"write {role}: {{...}}")
        for key in entry:  # not nearest to any key of the part, but right one level up
            if key in KEYS:
                message = f'"{key}" does not stand inside {role}'
                raise UserError(message, entry.where(key), next_step=f"move {key}: to the stack's top level")
        yaml_documents.check_keys(entry, NUMBERS[role] + extra, role)
        found = {}
        for key in NUMBERS[role]:
            row = STACK_KEYS[key]
            if entry.get(key) is not None:
                found[key] = quantity.read_quantity(
                    entry[key], key, row, entry.where(key), cards.bibliography(entry.file)
                )
            elif row.required:
                raise UserError(
                    f'{role} has no "{key}" ({row.meaning})',
                    entry.where(),
                    next_step=f"add {key}: {quantity.example(row)}",
                )
        return entry, found

    def _layer(self, role: str, family: str | None) -> Layer | None:
        part = self._part(role, ("card",))
        if part is None:
            return None
        entry, found = part
        name = yaml_documents.need(entry, "card", role, "card: ptpd")
        card = cards.load_card(str(name), entry.file, family, entry.where("card"))
        if role == "counter" and card.family not in ("organic", "contact"):
            raise UserError(
                f'"{name}" is a {card.family} card; the counter is organic or a contact',
                entry.where("card"),
                next_step="name e.g. pedot_pss or ito",
            )
        roughness = found["roughness"].internal if "roughness" in found else 0.0
        return Layer(card=card, thickness_nm=found["thickness"].internal, roughness_nm=roughness, numbers=Frozen(found))

    def _crystal(self) -> Crystal | None:
        part = self._part("crystal", ("order",))
        if part is None:
            return None
        entry, found = part
        order = entry.get("order", "random")
        if order not in ORDERS:
            raise unknown(f"order is {order!r:.40}", order, ORDERS, entry.where("order"))
        aspect = found.get("aspect_ratio")
        return Crystal(
            size_nm=found["size"].internal,
            aspect_ratio=aspect.internal if aspect else 1.0,
            aspect_sigma=(aspect.internal_sigma or 0.0) if aspect else 0.0,
            order=order,
            numbers=Frozen(found),
        )

    def _grain(self) -> Grain | None:
        part = self._part("grain")
        if part is None:
            return None
        found = part[1]
        return Grain(
            size_nm=found["grain_size"].internal, boundary_nm=found["boundary"].internal, numbers=Frozen(found)
        )

    def _crevices(self) -> Quantity | None:
        entry, holder = self.entries.get("crevice_fraction", (None, self.header))
        if entry is None:
            return None
        row, where = STACK_KEYS["crevice_fraction"], holder.where("crevice_fraction")
        return quantity.read_quantity(entry, "crevice_fraction", row, where, cards.bibliography(holder.file))
