"""The sources that make a result: the files of this package that a module stands for, and their hash."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kmc.cache import code

_HASH = 20
_PACKAGE = __name__.partition(".")[0]


def digest(paths: Iterable[Path], more: str = "") -> str:
    """A short hash of files, by name and code (`kmc.cache.code`), and of a text."""
    found = hashlib.sha256(more.encode())
    for path in paths:
        found.update(path.name.encode() + b"\0" + code(path) + b"\0")
    return found.hexdigest()[:_HASH]


def sources_of(modules: Iterable[str]) -> list[Path]:
    """The files of `modules` and of all that these import from this package, also inside of functions."""
    found: dict[str, Path | None] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = path = _file(name)
            todo += _imports(path) if path else []
    return sorted({path for path in found.values() if path})


def _file(module: str) -> Path | None:
    """The source of a module of this package, None for what is none (a name in one)."""
    top, *parts = module.split(".")
    base = Path(__file__).parent.joinpath(*parts)
    files = (base.with_suffix(".py"), base / "__init__.py") if parts else (base / "__init__.py",)
    return next((path for path in files if path.is_file()), None) if top == _PACKAGE else None


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """What a source imports, read once: a program does not change while it runs."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names]
    return tuple(found)
