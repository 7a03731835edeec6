"""Values put over a document by their paths: `--set protocol.0.sweep.to="2 V"`, and the axes of a study."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kmc.cards import yaml_documents
from kmc.cards.stack import CHOICES
from kmc.cards.yaml_documents import Mapping, Sequence
from kmc.core.errors import UserError
from kmc.inputs.segments import KINDS, LOOPS
from kmc.inputs.settings import Settings

OF_A_RUN = "a run file"
# Mappings whose keys may hold a dot, and what one looks like.
FLAT = {"choices": "{ligand: ddab}", "variants": "{ligand: [ogb, ddab]}"}
CASES = "cases"  # whose entries are such mappings, by the names of the cases
_SEGMENTS = {**KINDS, **LOOPS}


def apply_sets(document: Mapping, sets: Iterable[str], keys: Iterable[str], what: str) -> None:
    """Put each "path=value" over `document`: keys and list places joined by dots, and a value in YAML.

    A path that is given twice is refused, or again by a part of it: one of the values would be lost.
    """
    seen: dict[str, str] = {}
    for text in sets:
        path, _, value = (part.strip() for part in text.partition("="))
        where = f"--set {path[:80]}"
        if path in seen:
            raise UserError(
                f"{path[:80]} is given twice, as {seen[path][:40]} and as {value[:40]}",
                where,
                next_step="keep one of the two",
            )
        parts = _parts(path)
        for one in seen:
            if _parts(one)[: len(parts)] == parts:
                step = f"give {path[:80]} first, or only one of the two"
                raise UserError(f"{path[:80]} would undo {one[:80]}", where, next_step=step)
        seen[path] = value
        _apply_set(document, text, keys, what)


def _apply_set(document: Mapping, text: str, keys: Iterable[str], what: str) -> None:
    path, equals, value = text.partition("=")
    where = f"--set {path.strip()[:80]}"
    if not equals or not path.strip():
        raise UserError(f'"{text[:60]}" is not path=value', "--set", next_step="write e.g. --set seed=3")
    parts = _parts(path.strip())
    if parts[0] not in keys:
        if what == OF_A_RUN and len(parts) == 1 and (meant := misplaced(parts[0], where)):
            raise UserError(meant.message, where, meant.nearest, f"write --set {meant.nearest}=...")
        raise yaml_documents.unknown(f'unknown key "{parts[0]}" in {what}', parts[0], keys, where)
    if parts[0] in FLAT and len(parts) > 1:
        _flatten(document, parts[0])
    if parts[0] == CASES and len(parts) > 2:
        given = document.get(CASES)
        if isinstance(given, Mapping) and isinstance(given.get(parts[1]), Mapping):
            _flatten(given, parts[1])
    parsed = yaml_documents.parse(value, where)
    _place(parsed, document.file, where)
    put(document, parts, parsed, where)


def put(node: Any, parts: list[str], value: Any, where: str) -> None:
    """Put a value into nested mappings and lists at a path, whose missing mappings are made."""
    *way, last = parts
    for k, part in enumerate(way):
        _check_segment(node, parts, k, where)
        node = _step_into(node, part, where)
    _check_segment(node, parts, len(way), where)
    if isinstance(node, Mapping):
        node[last] = value
        node.lines[last] = where
    elif isinstance(node, Sequence):
        node[_place_in(node, last, where)] = value
    else:
        raise UserError(f'"{last}" leads into a plain value', where, next_step="shorten the path")


def _check_segment(node: Any, parts: list[str], k: int, where: str) -> None:
    """UserError where a path goes on from a segment of a protocol by another word than the segment's."""
    listed = k and parts[k - 1].isdecimal() and isinstance(node, Mapping) and len(node) == 1
    kind = next(iter(node)) if listed else None
    if kind in _SEGMENTS and parts[k] != kind:
        meant = ".".join([*parts[:k], str(kind), *parts[k + (parts[k] in _SEGMENTS) :]])
        raise UserError(f'that segment is "{kind}", not "{parts[k]}"', where, next_step=f"write {meant}")


def _parts(path: str) -> list[str]:
    """The keys and list places of a path; "electrode.bond_energy" is one key, as what a case changes is."""
    if path.partition(".")[0] == CASES:
        return path.split(".", 2)
    first, *rest = path.split(".", 1) if path.partition(".")[0] in FLAT else path.split(".")
    return [first, *rest]


def _flatten(document: Mapping, part: str) -> None:
    """{electrode: {bond_energy: ...}} as "electrode.bond_energy": another electrode leaves it as it is."""
    values = flat(document, part)
    lines = {key: place_of(document, part, key) for key in values}
    if values:
        document[part].clear()
        document[part].update(values)
        document[part].lines |= lines


def _place(value: Any, file: str, where: str) -> None:
    """In the errors of a value is the option that gave it; what it names lies beside the run file."""
    if isinstance(value, Mapping):
        value.file, value.lines = file, dict.fromkeys([None, *value], where)
    if isinstance(value, (Mapping, Sequence)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            _place(inner, file, where)


def _step_into(node: Any, part: str, where: str) -> Any:
    if isinstance(node, Sequence):
        return node[_place_in(node, part, where)]
    if not isinstance(node, Mapping):
        raise UserError(f'"{part}" leads into a plain value', where, next_step="shorten the path")
    if node.get(part) is None:
        node[part] = Mapping(node.file, node.line)
        node.lines[part] = where
    return node[part]


def _place_in(node: Sequence, part: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise UserError(f'"{part}" is no place in a list of {len(node)}', where, next_step=f"use 0 to {len(node) - 1}")
    return int(part)


def flat(document: Mapping, part: str) -> dict[str, Any]:
    """A mapping of `document` as one flat dict: {electrode: {work: ...}} is {"electrode.work": ...}."""
    given = document.get(part)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserError(f"{part} is not a mapping", document.where(part), next_step=f"write {part}: {FLAT[part]}")
    found: dict[str, Any] = {}
    for key, value in given.items():
        inside = isinstance(value, Mapping)
        more = {f"{key}.{inner}": number for inner, number in value.items()} if inside else {key: value}
        for name in more.keys() & found.keys():
            raise UserError(f"{name} is given twice in {part}", given.where(key), next_step="keep one of the two")
        found |= more
    return found


def place_of(document: Mapping, part: str, key: str) -> str:
    """ "file:line" of an entry that `flat` gives."""
    given = document[part]
    outer, _, inner = key.partition(".")
    nested = given.get(outer)
    return nested.where(inner) if key not in given and isinstance(nested, Mapping) else given.where(key)


def misplaced(key: str, where: str) -> UserError | None:
    """The error for a choice or a setting that is given at the top level of a run file, None for other keys."""
    part = "choices" if key in CHOICES else "settings" if key in Settings.model_fields else ""
    told = f'"{key}" is one of the {part} of a run file'
    return UserError(told, where, f"{part}.{key}", f"write {part}: {{{key}: ...}}") if part else None
