"""What a study varies: the axes of `variants:`, and the stack and settings of one combination of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from kmc.cards.card import Card, find_data
from kmc.cards.card_schema import FAMILIES
from kmc.cards.stack import Stack, load_stack
from kmc.cards.stack_parts import LAYERS, ROLES
from kmc.cards.yaml_documents import Mapping, Sequence
from kmc.core.errors import UserError, listed, nearest
from kmc.inputs.overrides import flat, place_of
from kmc.inputs.protocol import Protocol, unit_of
from kmc.inputs.run_file import RunFile
from kmc.inputs.settings import UNITS, Settings, read_settings
from kmc.io.provenance import LOOKS

CARDS = ("ligand", "electrode")
NAMES = ("stack", *CARDS, "thickness", "crystal_size", "crevice_fraction", "order", "temperature")
CASE = "case"
_SETTING = "settings."
PROGRAM = "protocol."  # and a path into it
_DRAWS = re.compile(r"([1-9]\d{0,8}) draws?")


@dataclass(frozen=True)
class Level:
    """One value of an axis: as it was given, as a coordinate (internal units or a name), and its place.

    `changes` are the levels of other names that a case stands for, None where it is a value itself.
    """

    given: Any
    value: float | str
    where: str
    changes: dict[str, Level] | None = None


@dataclass(frozen=True)
class Axis:
    """What is varied: its name, its levels in order, and the unit of their values ("" for names).

    `draws` is how many levels are to be drawn from the value's sigma, 0 where they were given.
    """

    name: str
    levels: tuple[Level, ...]
    unit: str = ""
    draws: int = 0
    where: str = ""


def spread(levels: dict[str, Level]) -> dict[str, Level]:
    """The levels of a combination by name, with what a case changes in the place of the case."""
    found: dict[str, Level] = {}
    for name, level in levels.items():
        found |= {name: level} if level.changes is None else level.changes
    return found


def setting_of(name: str) -> str:
    """The setting that an axis of this name varies, "" where it is none."""
    if name == "temperature":
        return name
    return name.removeprefix(_SETTING) if name.startswith(_SETTING) else ""


def read_axes(document: Mapping) -> list[Axis]:
    """The axes of `variants:`, none where there is no such entry. Raises UserError with file and line."""
    if "variants" not in document:
        return []
    found = flat(document, "variants")
    given = document["variants"] if found else Mapping(document.file, document.line)
    empty = next((key for key in given if given[key] in (None, [], {})), None)
    if not found or empty is not None:
        where = given.where(empty) if empty is not None else document.where("variants")
        raise UserError(
            f"{'variants' if empty is None else empty} is empty",
            where,
            next_step="write e.g. ligand: [ogb, ddab], or remove it",
        )
    return [_axis(name, values, place_of(document, "variants", name)) for name, values in found.items()]


def check_name(name: str, where: str) -> None:
    """UserError for what is no name of a variant, or changes no result."""
    if "." not in name and name not in NAMES:
        numbers = [f"{role}.{key}" for role, family in (LAYERS | ROLES).items() if family for key in FAMILIES[family]]
        near = nearest(name, [*NAMES, *numbers])
        paths = "" if near else ", or a path: protocol.0.sweep.compliance, electrode.bond_energy ..."
        raise UserError(f'no variant is called "{name}"', where, near, listed(NAMES, near) + paths)
    if setting_of(name) in LOOKS:
        raise UserError(f"{name} changes no result", where, next_step="give it in settings: instead")


def check_value(name: str, value: Any, where: str) -> None:
    """UserError for what is no plain value of the variant `name`."""
    left_out = value is None and not name.startswith(PROGRAM)  # there it is, say, no limit
    if left_out or isinstance(value, (Mapping, Sequence)):
        raise UserError(
            f"a value of {name} is not a plain value", where, next_step="write names, or numbers with their unit"
        )


def _axis(name: str, values: Any, where: str) -> Axis:
    check_name(name, where)
    drawable = "." in name and not setting_of(name) and not name.startswith(PROGRAM)  # a number of a card
    found = _DRAWS.fullmatch(values) if isinstance(values, str) and drawable else None
    if found:
        return Axis(name, (), draws=int(found[1]), where=where)
    if not isinstance(values, Sequence) or not values:
        step = f"write {name}: [...], a list of its values"
        raise UserError(
            f"{name} in variants is {values!r:.40}, not a list of values",
            where,
            next_step=f"{step}, or e.g. {name}: 8 draws" if drawable else step,
        )
    for k, value in enumerate(values):
        check_value(name, value, values.where(k))
    return Axis(name, tuple(Level(value, str(value), values.where(k)) for k, value in enumerate(values)))


class Maker:
    """Makes the device and settings of a combination; stacks and cards are read once."""

    def __init__(self, document: Mapping, base: RunFile) -> None:
        self.document, self.base = document, base
        self.stacks: dict[str, Stack] = {}
        self.cards: dict[tuple[str, str, Any], Any] = {}

    def make(self, levels: dict[str, Level]) -> tuple[Stack, Settings]:
        """Stack and settings of levels by name, cases spread. Whole cards are chosen before values of cards,
        whatever the file's order."""
        settings, choices = self.base.settings, dict(self.base.choices)
        for name, level in levels.items():
            if setting_of(name):
                settings = _with(settings, name, level)
            elif name != "stack" and not name.startswith(PROGRAM):
                choices[name] = level.given
        device = self._stack(levels.get("stack"))
        for name in sorted(choices, key=lambda key: "." in key):
            place = levels[name].where if name in levels else place_of(self.document, "choices", name)
            value = self._loaded(device, name, choices, place)
            device = device.choose(place, self.base.path, **{name: value})
        return device, settings

    def _stack(self, level: Level | None) -> Stack:
        if level is None:
            return self._read(self.base.stack, "")
        if not isinstance(level.given, str):
            raise UserError(f"{level.given} is no stack's name", level.where, next_step="write e.g. ogb_20nm")
        return self._read(level.given, level.where)

    def _read(self, name: str, where: str) -> Stack:
        if name not in self.stacks:
            self.stacks[name] = load_stack(find_data("stack", name, self.base.path, where), where)
        return self.stacks[name]

    def _loaded(self, device: Stack, name: str, choices: dict[str, Any], where: str) -> Any:
        """The value of a choice; a card by its name is read once a stack."""
        if name not in CARDS:
            return choices[name]
        key = (device.path, name, choices[name])
        if key not in self.cards:
            chosen = device.choose(where, self.base.path, **{name: choices[name]})
            self.cards[key] = getattr(chosen, name)
        return self.cards[key]


def _with(settings: Settings, name: str, level: Level) -> Settings:
    """`settings` with one of them changed; errors are at the level's place."""
    values = Mapping("", 1)
    values.update(settings.model_dump())
    values[setting_of(name)] = level.given
    values.lines = dict.fromkeys(values, level.where)
    return read_settings(values, level.where)


def told(axis: Axis, runs: list[RunFile]) -> Axis:
    """`axis` with the values that its levels came to in `runs`, one a level. UserError for two alike."""
    if axis.name == CASE:  # the names of cases are their values
        return axis
    pairs = [value_of(axis.name, run) for run in runs]
    if any(value is None for value, _ in pairs):  # a limit, and none; what the protocol keeps otherwise
        pairs = [("none" if level.given is None else str(level.given), "") for level in axis.levels]
    levels = [replace(level, value=value) for level, (value, _) in zip(axis.levels, pairs, strict=True)]
    seen: dict[float | str, int] = {}
    for k, level in enumerate(levels):
        if level.value in seen:
            first = seen[level.value]
            cards = [_card(axis.name, runs[one].device) for one in (first, k)]
            raise _alike(axis.name, levels[first], level, *cards)
        seen[level.value] = k
    return Axis(axis.name, tuple(levels), pairs[0][1])


def _card(name: str, device: Stack) -> Card | Stack | None:
    """What an axis that exchanges it as a whole has chosen in a device, None for all other axes."""
    whole = {"stack": device, "ligand": device.ligand, "electrode": device.electrode}
    return whole.get(name)


def _alike(name: str, first: Level, level: Level, one: Card | Stack | None, other: Card | Stack | None) -> UserError:
    """The error of two levels that one coordinate would stand for: the same, or namesakes."""
    if one and other and one.hash != other.hash:
        what = f"{name} has two different {'stacks' if name == 'stack' else 'cards'} called {level.value}"
        return UserError(
            f"{what}: {first.given} at {first.where} and {level.given}",
            level.where,
            next_step="rename one of the two files, or its name: if it has one",
        )
    step = "keep one of the two"
    if one and other and one.path == other.path and first.given != level.given:  # a name finds what is beside
        step += f", or rename {PurePath(one.path).name} if another {level.value} was meant"
    return UserError(f"{name} has {level.given} twice (as {first.given} at {first.where})", level.where, next_step=step)


def value_of(name: str, run: RunFile) -> tuple[Any, str]:
    """The value of an axis in a run, as a coordinate, and its unit; None for what a protocol has not."""
    device, settings = run.device, run.settings
    if name.startswith(PROGRAM):
        return _of_program(name.split(".")[1:], run.protocol)
    read: dict[str, Callable[[], tuple[Any, str]]] = {
        "stack": lambda: (device.name, ""),
        "ligand": lambda: (device.ligand.name if device.ligand else "none", ""),
        "electrode": lambda: (device.electrode.name, ""),
        "thickness": lambda: (device.active.thickness_nm if device.active else 0.0, "nm"),
        "crystal_size": lambda: (device.crystal.size_nm if device.crystal else 0.0, "nm"),
        "crevice_fraction": lambda: (device.crevice_fraction, "1"),
        "order": lambda: (device.crystal.order if device.crystal else "none", ""),
        "temperature": lambda: (settings.temperature, "K"),
    }
    if name in read:
        return read[name]()
    if name.startswith(_SETTING):
        value = getattr(settings, setting_of(name))
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        return (float(value), UNITS.get(setting_of(name), "1")) if plain else (str(value), "")
    role, _, key = name.partition(".")
    return device.value(name), device.cards()[role].quantity(key).unit or "1"


def _of_program(parts: list[str], protocol: Protocol) -> tuple[float | str | None, str]:
    """The value at a path into a protocol, and its unit; None for what is left out, or kept as something else
    (the corners of a file)."""
    value: Any = protocol.to_data()
    for part in parts:
        value = value[int(part)] if isinstance(value, list) else (value or {}).get(part)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value), unit_of(*parts[-3:])
    return value if value is None else str(value), ""
