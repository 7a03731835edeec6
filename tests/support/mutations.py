"""Files as users break them and as an enemy would: strategies of mutated cards, runs, studies and bytes.

A mutation is of the text (characters, lines, pieces of other files) or of the content (a key renamed, a value
exchanged). Of three of the latter it is known that they are wrong, whatever the file: a renamed key, a number
that is not finite, and a unit of another dimension.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pint
from hostile import NASTY, RUN, STUDY, SYNTAX
from hypothesis import strategies as st

from kmc.cards import yaml_documents

TOP = Path(__file__).resolve().parents[2]
_PROSE = ("why", "where", "description", "source", "run")
_NOT_FINITE = (".nan", ".inf", "-.inf", ".NaN", "1e999")
_UNITS = ("V", "A", "S", "s", "nm", "eV", "K", "nm2/s", "W/m/K", "1/nm2", "V/s", "parsec2", "furlong")
_QUANTITY = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)? ?([A-Za-z][\w/.^ ]*)")


class Raw(str):
    """YAML that stands in the file as it is."""


class Mutant(NamedTuple):
    """A mutated file: its name, its bytes, what was done, and whether it must be refused."""

    name: str
    data: bytes
    how: str
    wrong: bool


@lru_cache(maxsize=1)
def originals() -> dict[str, list[tuple[str, str]]]:
    """Sound files by kind, as (name, text)."""
    cards = [(path.name, path.read_text()) for path in sorted((TOP / "materials").glob("*.yaml"))]
    stacks = [(path.name, path.read_text()) for path in sorted(TOP.glob("materials/stacks/*.yaml"))]
    runs = [("run.yaml", path.read_text()) for path in sorted(TOP.glob("runs/*/run.yaml"))]
    return {"card": cards, "stack": stacks, "run": [("run.yaml", RUN), *runs], "study": [("study.yaml", STUDY)]}


def emitted(value: Any) -> str:
    """Plain data as YAML in one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {emitted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(emitted, value)) + "]"
    return json.dumps(value)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all entries in nested plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in ((*path, key), *_places(item, (*path, key)))]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    inner = _changed(value[path[0]], path[1:], new)
    if isinstance(value, dict):
        return {key: inner if key == path[0] else item for key, item in value.items()}
    return [inner if k == path[0] else item for k, item in enumerate(value)]


@lru_cache(maxsize=256)
def _content(text: str) -> Any:
    return json.loads(json.dumps(yaml_documents.parse(text, "original")))


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    return pint.UnitRegistry()


@lru_cache(maxsize=4096)
def _alike(one: str, other: str) -> bool:
    unit = _registry().Unit
    return unit(_spelled(one)).is_compatible_with(_spelled(other))


def _spelled(unit: str) -> str:
    return re.sub(r"([A-Za-z])(-?\d)", r"\1**\2", unit)


def _renamable(path: tuple[Any, ...]) -> bool:
    """Whether the last step is a key that the program knows: names of cases and protocols are the user's."""
    return isinstance(path[-1], str) and path[:-1] not in (("protocols",), ("cases",))


@st.composite
def renamed(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """One key with a letter more, less or exchanged."""
    content = _content(text)
    path = draw(st.sampled_from([path for path in _places(content) if _renamable(path)]))
    holder, key = _at(content, path[:-1]), path[-1]
    place = draw(st.integers(0, len(key)))
    new = key[:place] + draw(st.sampled_from("xq_ Z9-")) + key[place + draw(st.integers(0, 1)) :]
    broken = {new if old == key else old: item for old, item in holder.items()}
    wrong = len(broken) == len(holder) and new != key
    return Mutant(name, emitted(_changed(content, path[:-1], broken)).encode(), "a renamed key", wrong)


@st.composite
def not_finite(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """One value that is not a finite number."""
    content = _content(text)
    path = draw(st.sampled_from(_places(content)))
    new = Raw(draw(st.sampled_from(_NOT_FINITE)))
    return Mutant(name, emitted(_changed(content, path, new)).encode(), "not a finite number", True)


def _united(content: Any) -> list[tuple[tuple[Any, ...], str]]:
    """(path, unit) of entries that have one: texts such as "5 ms", and unit: of a card's numbers."""
    found = []
    for path in _places(content):
        value = _at(content, path)
        match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        if path[-1] == "unit":
            found.append((path, str(value)))
        elif match and path[-1] not in _PROSE and "draws" not in value:
            found.append((path, match[1]))
    return found


@st.composite
def wrong_unit(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """One number in a unit of another dimension."""
    content = _content(text)
    places = _united(content)
    if not places:
        return draw(not_finite(name, text))
    path, unit = draw(st.sampled_from(places))
    others = [other for other in _UNITS if other not in ("parsec2", "furlong") and not _alike(unit, other)]
    other = draw(st.sampled_from(others))
    value = other if path[-1] == "unit" else f"1 {other}"
    return Mutant(name, emitted(_changed(content, path, value)).encode(), "a wrong unit", True)


@st.composite
def nasty_value(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """One to three values exchanged for what nobody should write."""
    content = _content(text)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(content)))
        content = _changed(content, path, Raw(draw(st.sampled_from(NASTY))))
    return Mutant(name, emitted(content).encode("utf-8", "surrogatepass"), "a nasty value", False)


@st.composite
def shuffled(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """An entry removed, moved, or exchanged for another one of the file."""
    content = _content(text)
    paths = _places(content)
    path, other = draw(st.sampled_from(paths)), draw(st.sampled_from(paths))
    if draw(st.booleans()):
        moved = emitted(_changed(content, path, _at(content, other)))
        return Mutant(name, moved.encode(), "a moved entry", False)
    holder = _at(content, path[:-1])
    kept = (
        {key: item for key, item in holder.items() if key != path[-1]}
        if isinstance(holder, dict)
        else [item for k, item in enumerate(holder) if k != path[-1]]
    )
    return Mutant(name, emitted(_changed(content, path[:-1], kept)).encode(), "a removed entry", False)


@st.composite
def scribbled(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """Characters put in, pieces doubled, cut out or brought from elsewhere."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        new = draw(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(NASTY),
                st.sampled_from(SYNTAX),
                st.sampled_from(("", text[start:end] * 2)),
            )
        )
        text = text[:start] + new + text[end:]
    return Mutant(name, text.encode("utf-8", "surrogatepass"), "a scribble", False)


@st.composite
def broken_bytes(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """Bytes that need not be text."""
    data = text.encode()
    start = draw(st.integers(0, len(data)))
    data = data[:start] + draw(st.binary(max_size=6)) + data[start + draw(st.integers(0, 3)) :]
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    return Mutant(name, data, "broken bytes", False)


MUTATIONS = (renamed, not_finite, wrong_unit, nasty_value, shuffled, scribbled, broken_bytes)


@st.composite
def mutant(draw: st.DrawFn, kind: str) -> Mutant:
    """A mutated file of a kind."""
    name, text = draw(st.sampled_from(originals()[kind]))
    return draw(draw(st.sampled_from(MUTATIONS))(name, text))


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with bits flipped, bytes changed, zeroed, put in or lost."""
    how = draw(st.sampled_from(("bits", "cut", "zeroed", "put in", "lost", "appended")))
    place = draw(st.integers(0, len(data) - 1))
    size = draw(st.integers(1, 600))
    if how == "bits":
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    if how == "cut":
        return data[:place]
    new = draw(st.binary(min_size=1, max_size=9))
    if how == "appended":
        return data + new
    if how == "put in":
        return data[:place] + new + data[place:]
    return data[:place] + (bytes(len(data[place : place + size])) if how == "zeroed" else b"") + data[place + size :]


@st.composite
def nasty_json(draw: st.DrawFn, name: str, text: str) -> Mutant:
    """A record of the program's own with one to three entries exchanged."""
    content = json.loads(text)
    texts = st.sampled_from(["../../outside", "/etc/passwd", "\0", "\ud800", "", "x" * 5000])
    new = st.one_of(
        texts, st.none(), st.integers(-(10**30), 10**30), st.floats(), st.booleans(), st.just([]), st.just({})
    )
    for _ in range(draw(st.integers(1, 3))):
        content = _changed(content, draw(st.sampled_from(_places(content))), draw(new))
    return Mutant(name, json.dumps(content).encode(), "a nasty value", False)
