"""Where cards, stacks and sources are found: one search order for all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from kmc.cards import yaml_documents
from kmc.core.errors import UserError, listed, nearest
from kmc.core.source_files import package_folder

# The file or folder that asks, or several in their order.
Beside = str | Path | tuple[str | Path, ...] | None

_OF_RUNS = ("protocol", "protocols")  # one of them is in each run and study, and in no card or stack


def data_folders(beside: Beside = None) -> list[Path]:
    """Where cards, stacks and sources are looked for: beside, $KMC_MATERIALS, the package, the checkout."""
    folders = []
    for base in _homes(beside):
        folders += [base, base.parent] if base.name == "stacks" else [base]
    folders += _further()
    package = package_folder("kmc")
    folders += [package / "_materials", package.parent / "materials"]
    return list(dict.fromkeys(folders))


def _further() -> list[Path]:
    """The folders of $KMC_MATERIALS. UserError for one that is not there: a namesake of a card in it would be
    taken for it."""
    given = os.environ.get("KMC_MATERIALS", "").split(os.pathsep)
    folders = [Path(part).expanduser() for part in given if part]
    for folder in folders:
        if not folder.is_dir():
            step = "make it, or correct the variable"
            raise UserError(f"there is no folder {folder}", "KMC_MATERIALS", next_step=step)
    return folders


def _asking(beside: Beside) -> list[Path]:
    """Those that ask."""
    return [Path(one) for one in (beside if isinstance(beside, tuple) else (beside,)) if one is not None]


def _homes(beside: Beside) -> list[Path]:
    """The folders of those that ask."""
    return [one if one.is_dir() else one.parent for one in _asking(beside)]


def find_data(
    kind: Literal["card", "stack"],
    name: str | Path,
    beside: Beside = None,
    where: str = "",
    skip: tuple[Path, ...] = (),
) -> Path:
    """The file of the card or stack `name`, a name ("ogb") or a path ("mine/ogb.yaml").

    A relative path is looked for beside first, then in the working directory. Files in `skip` are
    passed over, and with a name those that ask and all runs and studies: a card may extend its namesake
    further down the search, and a run may be called as its stack or that of a run beside it.
    """
    text = str(name)
    by_path = _is_path(text)
    if by_path:
        options = [*(home / text for home in _homes(beside)), Path(text)]
    else:
        skip += tuple(one.resolve() for one in _asking(beside))
        inner = ["", "stacks"] if kind == "stack" else [""]
        options = [folder / part / f"{text}.yaml" for folder in data_folders(beside) for part in inner]
    for option in options:
        if _is_there(option) and option.resolve() not in skip and (by_path or not _is_run(option)):
            return option
    if by_path:
        tried = dict.fromkeys(near for option in options if (near := yaml_documents.sibling(option)))
        near = next(iter(tried), None)
        raise UserError(f"no such file: {text}", where, near, "check the path")
    known = [path.stem for path in list_data(kind, beside) if path.resolve() not in skip]
    near = nearest(text, known)
    step = "rename it" if near else listed(known)
    raise UserError(f'no {kind} is called "{text}"', where, near, f"{step}, or give a path to a .yaml file")


def list_data(kind: Literal["card", "stack"], beside: Beside = None) -> list[Path]:
    """The cards or stacks that a name can mean, each name once (the one that a name would find)."""
    found: dict[str, Path] = {}
    for folder in data_folders(beside):
        if kind == "card" and folder.name == "stacks":
            continue
        for path in sorted((folder / "stacks" if kind == "stack" else folder).glob("*.yaml")):
            if path.stem not in found and not _is_run(path):
                found[path.stem] = path
    return [found[name] for name in sorted(found)]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for the system
        return False


def _is_run(path: Path) -> bool:
    """Whether a file is a run or a study. One that cannot be read is none: its reader says what is wrong."""
    try:
        text = yaml_documents.read_text(path)
        document = yaml_documents.parse(text, str(path)) if "protocol" in text else None  # few cards have the word
    except UserError:
        return False
    return isinstance(document, yaml_documents.Mapping) and not document.keys().isdisjoint(_OF_RUNS)


def _is_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.endswith((".yaml", ".yml"))


def bibliography(beside: Beside = None) -> dict[str, str]:
    """The BibTeX entry of each key in the sources.bib files in reach; the first found wins."""
    entries: dict[str, str] = {}
    for folder in data_folders(beside):
        path = folder / "sources.bib"
        if path.is_file():
            stat = path.stat()
            for key, text in _bib_file(path, stat.st_mtime_ns, stat.st_size):
                entries.setdefault(key, text)
    return entries


@lru_cache(maxsize=64)
def _bib_file(path: Path, _modified: int, _size: int) -> tuple[tuple[str, str], ...]:
    return tuple(_bib_entries(yaml_documents.read_text(path, ".bib"), path))


def _bib_entries(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """(key, entry) of each @type{key, ...} in a BibTeX file, by counting braces. UserError for one left open."""
    for match in re.finditer(r"^@\w+\s*\{\s*([^\s,]+)\s*,", text, re.MULTILINE):
        depth = 0
        for end in range(match.start(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0 and text[end] == "}":
                yield match[1], text[match.start() : end + 1]
                break
        else:
            line = text.count("\n", 0, match.start()) + 1
            raise UserError(f'the entry "{match[1]}" is not closed', f"{path}:{line}", next_step="add its }")
