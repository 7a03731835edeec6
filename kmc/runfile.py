"""run.yaml: a stack, a protocol, a seed and settings, checked with file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmc import documents, streams
from kmc.cards import find_data
from kmc.documents import Mapping, Sequence
from kmc.errors import UserError
from kmc.observers import interval
from kmc.protocol import Protocol, read_protocol
from kmc.settings import Settings, read_settings
from kmc.stack import CHOICES, Stack, load_stack

KEYS = ("description", "stack", "choices", "protocol", "seed", "settings", "snapshots", "initial")
OF_A_STUDY = ("variants", "protocols", "replicates")  # what a study has beside the keys of a run
BEGIN = "stack: ogb_20nm"
_LONGEST_NAME = 200  # of a dataset, in bytes: temporary names are longer, and 255 is what systems take
# Mappings whose keys may hold a dot, and what one looks like.
_FLAT = {"choices": "{ligand: ddab}", "variants": "{ligand: [ogb, ddab]}"}


@dataclass(frozen=True)
class RunFile:
    """A checked run file.

    `stack` is the resolved path of the stack's file and `device` the stack itself with `choices` made;
    `snapshots` is {"every": seconds} or None; `initial` the path of a dataset or checkpoint to start from,
    `initial_where` the place of that entry.
    """

    path: str
    name: str
    stack: str
    device: Stack
    protocol: Protocol
    choices: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    snapshots: dict[str, float] | None = None
    initial: Path | None = None
    description: str = ""
    initial_where: str = ""


def load_run(path: str | Path, sets: Iterable[str] = (), must_exist: bool = True) -> RunFile:
    """The run file `path` with `sets` ("settings.window=32 nm", "protocol.0.sweep.to=2 V") put over it.

    `must_exist` asks that `initial` is there already. Raises UserError with file and line.
    """
    path = Path(path)
    document = documents.read(path, BEGIN)
    apply_sets(document, sets)
    return read_run(document, path, must_exist)


def read_run(document: Mapping, path: Path, must_exist: bool = True) -> RunFile:
    """The run that the content of `path` describes; see load_run."""
    studied = next((key for key in OF_A_STUDY if key in document), None)
    if studied:
        raise UserError(f'"{studied}" makes this a study, not a run', document.where(studied),
                        next_step=f"start it with kmc study {path}")  # fmt: skip
    _check_keys(document)
    name = documents.need(document, "stack", "the run file", "stack: ogb_20nm")
    if not isinstance(name, str):
        raise UserError(
            "stack is not a name or path", document.where("stack"), next_step="write stack: ogb_20nm"
        )
    stack_path = find_data("stack", name, path, document.where("stack"))
    choices = flat(document, "choices")
    stack = load_stack(stack_path, document.where("stack"))
    device = stack.choose(lambda key: place_of(document, "choices", key), str(path), **choices)
    items = documents.need(document, "protocol", "the run file", "protocol: [sweep: {...}]")
    protocol = read_protocol(items, document.where("protocol"))
    return RunFile(
        path=str(path),
        name=_run_name(path),
        stack=str(stack_path),
        device=device,
        choices=choices,
        protocol=protocol,
        seed=streams.checked(document.get("seed", 0), document.where("seed")),
        settings=_settings(document, protocol),
        snapshots=_snapshots(document),
        initial=_initial(document, path, must_exist),
        description=_description(document),
        initial_where=document.where("initial") if "initial" in document else "",
    )


def _check_keys(document: Mapping) -> None:
    """UserError for what is no key of a run file: a card, or what belongs deeper in it."""
    if "family" in document:
        told = f"this is a card of the family {document['family']!s:.40}, not a run"
        raise UserError(told, document.where("family"), next_step=f"kmc check {document.file} reads it")
    for key in document:
        if key not in KEYS:
            raise _misplaced(key, document.where(key)) or documents.unknown(
                f'unknown key "{key}" in a run file', key, KEYS, document.where(key))  # fmt: skip


def _misplaced(key: str, where: str) -> UserError | None:
    """The error of a choice or a setting where the parts of a run file stand, if it is one."""
    part = "choices" if key in CHOICES else "settings" if key in Settings.model_fields else ""
    told = f'"{key}" is one of the {part} of a run file'
    return UserError(told, where, f"{part}.{key}", f"write {part}: {{{key}: ...}}") if part else None


def _settings(document: Mapping, protocol: Protocol) -> Settings:
    given = document.get("settings")
    settings = read_settings(given, document.where("settings"))
    if not settings.compliance and any(until.current_at_limit for until in protocol.conditions()):
        where = documents.place(given, "compliance")
        raise UserError("without compliance current_at_limit is never met", where,
                        next_step="give until: another condition")  # fmt: skip
    return settings


def apply_sets(
    document: Mapping, sets: Iterable[str], keys: Iterable[str] = KEYS, what: str = "a run file"
) -> None:
    """Put each "path=value" over `document`: keys and list places joined by dots, and a value in YAML.

    A path that is given twice is refused, or again by a part of it: one of the values would be lost.
    """
    seen: dict[str, str] = {}
    for text in sets:
        path, _, value = (part.strip() for part in text.partition("="))
        where = f"--set {path[:80]}"
        if path in seen:
            raise UserError(f"{path[:80]} is given twice, as {seen[path][:40]} and as {value[:40]}",
                            where, next_step="keep one of the two")  # fmt: skip
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
        if what == "a run file" and len(parts) == 1 and (meant := _misplaced(parts[0], where)):
            raise UserError(meant.message, where, meant.nearest, f"write --set {meant.nearest}=...")
        raise documents.unknown(f'unknown key "{parts[0]}" in {what}', parts[0], keys, where)
    if parts[0] in _FLAT and len(parts) > 1:
        _flatten(document, parts[0])
    node: Any = document
    for part in parts[:-1]:
        node = _step_into(node, part, where)
    parsed = documents.parse(value, where)
    _place(parsed, document.file, where)
    if isinstance(node, Mapping):
        node[parts[-1]] = parsed
        node.lines[parts[-1]] = where
    elif isinstance(node, Sequence):
        node[_place_in(node, parts[-1], where)] = parsed
    else:
        raise UserError(f'"{path}" leads into a plain value', where, next_step="shorten the path")


def _parts(path: str) -> list[str]:
    """The keys and list places of a path; "electrode.bond_energy" is one key."""
    first, *rest = path.split(".", 1) if path.partition(".")[0] in _FLAT else path.split(".")
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
        raise UserError(
            f'"{part}" is no place in a list of {len(node)}', where, next_step=f"use 0 to {len(node) - 1}"
        )
    return int(part)


def _run_name(path: Path) -> str:
    """The folder's name for runs/<name>/run.yaml, else the file's own. UserError: no dataset can have it."""
    name = path.resolve().parent.name or "run" if path.name == "run.yaml" else path.stem
    try:
        return one_word(name)
    except ValueError as error:
        step = "give the file, or the folder of a run.yaml, a plain name"
        told = f"the dataset of this run would be called {name[:40]!r}, {error}"
        raise UserError(told, f"{str(path)!r:.80}", next_step=step) from None


def one_word(name: str) -> str:
    """The name of a file in a folder itself. Raises ValueError for what leads elsewhere or is too long."""
    if len(name.encode(errors="surrogateescape")) > _LONGEST_NAME:
        raise ValueError(f"over {_LONGEST_NAME} bytes long")
    if name in ("", ".", "..") or not name.isprintable() or set(name) & set("/\\"):
        raise ValueError("not the name of a file")
    return name


def flat(document: Mapping, part: str) -> dict[str, Any]:
    """A mapping of `document` as one flat dict: {electrode: {work: ...}} is {"electrode.work": ...}."""
    given = document.get(part)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserError(
            f"{part} is not a mapping", document.where(part), next_step=f"write {part}: {_FLAT[part]}"
        )
    found: dict[str, Any] = {}
    for key, value in given.items():
        inside = isinstance(value, Mapping)
        more = {f"{key}.{inner}": number for inner, number in value.items()} if inside else {key: value}
        for name in more.keys() & found.keys():
            raise UserError(f"{name} is given twice in {part}", given.where(key),
                            next_step="keep one of the two")  # fmt: skip
        found |= more
    return found


def place_of(document: Mapping, part: str, key: str) -> str:
    """ "file:line" of an entry that `flat` gives."""
    given = document[part]
    outer, _, inner = key.partition(".")
    nested = given.get(outer)
    return nested.where(inner) if key not in given and isinstance(nested, Mapping) else given.where(key)


def _snapshots(document: Mapping) -> dict[str, float] | None:
    given = document.get("snapshots")
    if given is None:
        return None
    where = document.where("snapshots")
    if not isinstance(given, Mapping):
        raise UserError("snapshots is not a mapping", where, next_step="write snapshots: {every: 1 ms}")
    documents.check_keys(given, ("every",), "snapshots")
    every = documents.need(given, "every", "snapshots", "every: 1 ms")
    try:
        return {"every": interval(every)}
    except UserError as error:
        raise error.at(given.where("every")) from None


def _initial(document: Mapping, path: Path, must_exist: bool) -> Path | None:
    given = document.get("initial")
    if given is None:
        return None
    where = document.where("initial")
    if not isinstance(given, str) or not given.strip() or "\0" in given:
        raise UserError(
            "initial is not a path", where, next_step="name the dataset or output folder of another run"
        )
    found = path.parent / given
    if must_exist and not found.exists():
        raise UserError(
            f'initial "{given}" does not exist', where, next_step="run the other run first, or check the path"
        )
    return found


def _description(document: Mapping) -> str:
    given = document.get("description") or ""
    if not isinstance(given, str):
        raise UserError("description is not a text", document.where("description"), next_step="quote it")
    return given
