"""run.yaml: a stack, a protocol, a seed and settings, checked with file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmc.cards import yaml_documents
from kmc.cards.card import find_data
from kmc.cards.stack import Stack, load_stack
from kmc.cards.yaml_documents import Mapping
from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.core.units import interval
from kmc.inputs.overrides import OF_A_RUN, apply_sets, flat, misplaced, place_of
from kmc.inputs.protocol import Protocol, read_protocol
from kmc.inputs.settings import Settings, read_settings

KEYS = ("description", "stack", "choices", "protocol", "seed", "settings", "snapshots", "initial")
OF_A_STUDY = ("variants", "cases", "protocols", "replicates")  # what a study has beside the keys of a run
BEGIN = "stack: ogb_20nm"
_LONGEST_NAME = 200  # of a dataset, in bytes: temporary names are longer, and 255 is what systems take


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
    document = yaml_documents.read(path, BEGIN)
    apply_sets(document, sets, KEYS, OF_A_RUN)
    return read_run(document, path, must_exist)


def read_run(document: Mapping, path: Path, must_exist: bool = True) -> RunFile:
    """The run that the content of `path` describes; see load_run."""
    studied = next((key for key in OF_A_STUDY if key in document), None)
    if studied:
        raise UserError(
            f'"{studied}" makes this a study, not a run',
            document.where(studied),
            next_step=f"start it with kmc study {path}",
        )
    _check_keys(document)
    name = yaml_documents.need(document, "stack", "the run file", "stack: ogb_20nm")
    if not isinstance(name, str):
        raise UserError("stack is not a name or path", document.where("stack"), next_step="write stack: ogb_20nm")
    stack_path = find_data("stack", name, path, document.where("stack"))
    choices = flat(document, "choices")
    stack = load_stack(stack_path, document.where("stack"))
    device = stack.choose(lambda key: place_of(document, "choices", key), str(path), **choices)
    items = yaml_documents.need(document, "protocol", "the run file", "protocol: [sweep: {...}]")
    protocol = read_protocol(items, document.where("protocol"))
    return RunFile(
        path=str(path),
        name=_run_name(path),
        stack=str(stack_path),
        device=device,
        choices=choices,
        protocol=protocol,
        seed=random_streams.checked(document.get("seed", 0), document.where("seed")),
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
            raise misplaced(key, document.where(key)) or yaml_documents.unknown(
                f'unknown key "{key}" in {OF_A_RUN}', key, KEYS, document.where(key)
            )


def _settings(document: Mapping, protocol: Protocol) -> Settings:
    given = document.get("settings")
    settings = read_settings(given, document.where("settings"))
    if not settings.compliance and any(until.current_at_limit for until in protocol.conditions()):
        where = yaml_documents.place(given, "compliance")
        raise UserError(
            "without compliance current_at_limit is never met", where, next_step="give until: another condition"
        )
    return settings


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


def _snapshots(document: Mapping) -> dict[str, float] | None:
    given = document.get("snapshots")
    if given is None:
        return None
    where = document.where("snapshots")
    if not isinstance(given, Mapping):
        raise UserError("snapshots is not a mapping", where, next_step="write snapshots: {every: 1 ms}")
    yaml_documents.check_keys(given, ("every",), "snapshots")
    every = yaml_documents.need(given, "every", "snapshots", "every: 1 ms")
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
        raise UserError("initial is not a path", where, next_step="name the dataset or output folder of another run")
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
