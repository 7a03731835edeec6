"""A device as an ordered stack of material cards, with the choices a user makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kmc.cards import card as cards
from kmc.cards import quantity as quantities
from kmc.cards.card import Card, Frozen, digest
from kmc.cards.card_schema import STACK_KEYS
from kmc.cards.quantity import Quantity
from kmc.cards.stack_parts import KEYS, LAYERS, ORDERS, ROLES, Crystal, FrozenModel, Grain, Layer, Reader
from kmc.cards.yaml_documents import unknown
from kmc.core.errors import UserError, listed, nearest

CHOICES = ("ligand", "thickness", "crystal_size", "electrode", "crevice_fraction", "order")
_PARTS = ("active", "crystal", "grain", "organic", "counter")  # have numbers of the stack's own
# Choices that are a number of a part of the stack: the part, the number's key, and its field.
_OWN = {"thickness": ("active", "thickness", "thickness_nm"), "crystal_size": ("crystal", "size", "size_nm")}
_SAME = {f"{part}.{key}": name for name, (part, key, _) in _OWN.items()}
_FILM_ONLY = ("boundary_barrier", "boundary_ion_energy", "boundary_room", "boundary_vacancy_density", "metal_adhesion")


class Stack(FrozenModel):
    """A device from the silver electrode down to the counter contact. Frozen; `choose` gives a changed copy.

    `active` is None where there is no perovskite, `ligand` and `crystal` are None for a film (then
    `grain` is set), `organic` is None where no organic lies between. `counter` is the layer that
    stands for the counter electrode, `contact` what lies under it.
    """

    name: str
    description: str = ""
    path: str = ""
    electrode: Card
    active: Layer | None = None
    ligand: Card | None = None
    crystal: Crystal | None = None
    grain: Grain | None = None
    organic: Layer | None = None
    counter: Layer
    contact: Card | None = None
    void: Card
    device: Card
    crevice_fraction: float = 0.0
    own_numbers: Frozen = Frozen()
    choices: Frozen = Frozen()

    def cards(self) -> dict[str, Card]:
        """The card of each role, from the top of the stack down."""
        layers = {role: getattr(self, role) for role in LAYERS}
        found = {role: layer.card for role, layer in layers.items() if layer is not None}
        found |= {role: getattr(self, role) for role in ROLES if getattr(self, role) is not None}
        order = ("electrode", "active", "ligand", "void", "organic", "counter", "contact", "device")
        return {role: found[role] for role in order if role in found}

    def numbers(self) -> dict[str, Quantity]:
        """Every number of the stack and of its cards, by path, such as "electrode.bond_energy"."""
        found: dict[str, Quantity] = dict(self.own_numbers)
        for role in _PARTS:
            part = getattr(self, role)
            for key, quantity in (part.numbers if part is not None else {}).items():
                found[f"{role}.{key}"] = quantity
        for role, card in self.cards().items():
            found |= {f"{role}.{key}": quantity for key, quantity in card.values.items()}
        return found

    @property
    def hash(self) -> str:
        """A digest of cards (but for prose), geometry and order; not of the stack's name or file place."""
        parts = {}
        for role in _PARTS:
            part = getattr(self, role)
            parts[role] = None if part is None else part.model_dump(exclude={"card", "numbers"})
        hashes = {role: card.hash for role, card in self.cards().items()}
        return digest([hashes, parts, self.crevice_fraction])

    def sources(self) -> list[str]:
        """The keys of sources.bib that this stack's numbers rest on, each once, sorted."""
        return sorted({source for quantity in self.numbers().values() for source in quantity.source})

    def value(self, path: str) -> float:
        """A card's number by its path ("electrode.bond_energy"), in internal units."""
        role, _, key = path.partition(".")
        found = self.cards()
        if role not in found:
            raise unknown(f'the stack "{self.name}" has no "{role}"', role, found, self.path)
        if not key:
            example = next(iter(found[role].values))
            raise UserError(f'"{path}" is a card, not a number', next_step=f"name one, e.g. {role}.{example}")
        return found[role].value(key)

    def choose(self, where: str | Callable[[str], str] = "", beside: str = "", /, **choices: Any) -> Stack:
        """A copy with choices made; see load_stack. `where` is "file:line" or a function of the name.

        Cards are looked for beside the file that chooses, `beside`, and then as the stack's own are. Whole
        cards are chosen before values of cards, whatever the order; values that were chosen of a card before
        it was exchanged are chosen of the new one.
        """
        stack, place = self, ""
        kept = {name: value for name, value in self.choices.items() if name.partition(".")[0] in choices}
        for name, value in sorted({**kept, **choices}.items(), key=lambda item: "." in item[0]):
            place = where(name) if callable(where) else where
            changed = _choose(stack, name, value, place, beside)
            given = getattr(value, "name", value)  # a study hands over cards that it has read
            stack = changed.model_copy(update={"choices": Frozen({**stack.choices, name: given})})
        _check(stack, place)
        return stack

    def plot(self, **options: Any) -> Any:
        """A drawing of the stack as a matplotlib Axes."""
        from importlib import import_module

        return import_module("kmc.plotting.structure_plots").draw(self, **options)


def load_stack(name_or_path: str | Path, where: str = "", /, **choices: Any) -> Stack:
    """The stack `name_or_path`, with choices; `where` is the "file:line" that names it.

    Choices are ligand="ddab", thickness="40 nm" (of the active layer), crystal_size="7 nm",
    electrode="au", crevice_fraction=0.1, order="ordered", and any card value by its path:
    **{"electrode.bond_energy": "0.31 eV"}, which makes that value assumed ("override").
    Raises UserError with file and line.
    """
    path = cards.find_data("stack", name_or_path, None, where)
    header, entries = cards.resolve(path, "stack")
    if header["family"] != "stack":
        raise UserError(
            f'"{header["name"]}" is a {header["family"]} card, not a stack',
            where or header.where("family"),
            next_step="name a stack, or write family: stack",
        )
    for key, (_, holder) in entries.items():
        if key not in KEYS:
            raise unknown(f'a stack has no "{key}"', key, KEYS, holder.where(key))
    stack = Stack(**Reader(path, header, entries).parts())
    _check(stack, header.where())
    return stack.choose(**choices) if choices else stack


def _check(stack: Stack, where: str) -> None:
    """Raise UserError unless the parts of a stack are consistent with one another."""
    if stack.active is None:
        if stack.organic is None:
            raise UserError(
                "a stack needs active: or organic:, else nothing lies between the electrodes",
                where,
                next_step="add organic: {card: ..., thickness: ...}, or a perovskite as active:",
            )
        spare = [role for role in ("ligand", "crystal", "grain", "crevice_fraction") if getattr(stack, role)]
        if spare:
            raise UserError(
                f"a stack without an active layer has a {spare[0]}", where, next_step="add active: or remove it"
            )
        return
    if stack.ligand is not None:
        if stack.crystal is None or stack.grain is not None:
            raise UserError(
                "a stack with a ligand needs crystal: and no grain:", where, next_step="add crystal: {size: ...}"
            )
        return
    if stack.grain is None or stack.crystal is not None:
        raise UserError(
            "a film without ligand needs grain: and no crystal:",
            where,
            next_step="add grain: {grain_size: ..., boundary: ...}, or a ligand",
        )
    missing = [key for key in _FILM_ONLY if key not in stack.active.card.values]
    if missing:
        raise UserError(
            f'the card "{stack.active.card.name}" has no "{missing[0]}", which a film needs',
            where,
            next_step="use cspbbr3_film, or add it to the card",
        )


def _choose(stack: Stack, name: str, value: Any, where: str, beside: str) -> Stack:
    """`stack` with one choice made."""
    if name in ("ligand", "electrode"):
        if not isinstance(value, (Card, str, Path)) or value == "":
            raise UserError(
                f"{name} is {value!r:.40}, not a name", where, next_step="write the name or the path of a card"
            )
        asking = tuple(file for file in (beside, stack.path) if file)
        card = value if isinstance(value, Card) else cards.load_card(value, asking, ROLES[name], where)
        return stack.model_copy(update={name: card})
    if name in _OWN:
        role, key, field = _OWN[name]
        part = _need(stack, role, name, where)
        number = quantities.override(name, value, STACK_KEYS[key], where)
        update = {field: number.internal, "numbers": Frozen({**part.numbers, key: number})}
        return stack.model_copy(update={role: part.model_copy(update=update)})
    if name == "order":
        if value not in ORDERS:
            raise unknown(f"order is {value!r:.40}", value, ORDERS, where)
        crystal = _need(stack, "crystal", name, where)
        return stack.model_copy(update={"crystal": crystal.model_copy(update={"order": value})})
    if name == "crevice_fraction":
        _need(stack, "active", name, where)
        number = quantities.override(name, value, STACK_KEYS[name], where)
        update = {name: number.internal, "own_numbers": Frozen({**stack.own_numbers, name: number})}
        return stack.model_copy(update=update)
    return _override(stack, name, value, where)


def _override(stack: Stack, path: str, value: Any, where: str) -> Stack:
    """`stack` with the card value at `path` ("electrode.bond_energy") overridden."""
    role, dot, key = path.partition(".")
    found = stack.cards()
    part = getattr(stack, role, None) if role in _PARTS else None
    if key in getattr(part, "numbers", {}):
        own = f"choose {_SAME[path]}" if path in _SAME else f"extend {stack.name} in a file with that number"
        raise UserError(f"{path} is the stack's own, no card's", where, next_step=own)
    if path == "active":
        step = "name a stack that has it, or write one: active: {card: ..., thickness: ...}"
        raise UserError("the perovskite is a part of the stack and no choice", where, next_step=step)
    if not dot or role not in found:
        names = [*CHOICES, *(f"{r}.{k}" for r, card in found.items() for k in card.values)]
        near = nearest(path, names)
        every = f"use one of: {', '.join(CHOICES)}; or role.key with role one of {', '.join(found)}"
        raise UserError(f'no choice is called "{path}"', where, near, listed(names, near) if near else every)
    if role == "void" and stack.ligand is not None:
        told = f'the ligand fills the voids of the stack "{stack.name}", so {path} does nothing'
        raise UserError(told, where, next_step=f"choose ligand.{key}")
    card = found[role].with_value(key, value, where)
    part = getattr(stack, role)
    return stack.model_copy(update={role: part.model_copy(update={"card": card}) if isinstance(part, Layer) else card})


def _need(stack: Stack, part: str, name: str, where: str) -> Any:
    found = getattr(stack, part)
    if found is None:
        raise UserError(
            f'the stack "{stack.name}" has no {part}, so no {name}', where, next_step="choose another stack"
        )
    return found
