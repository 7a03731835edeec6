"""What decides a row of the scoreboard: its runs, or the sources and versions of what computes itself. Rows
and losses that something else decided do not compare."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from kmc import provenance
from kmc_analysis.figures.definition import Figure, Runs
from kmc_analysis.reproduce.session import Session

_HASH = 20
_SOURCES = (".py", ".yaml", ".json")
_PACKAGE = __name__.partition(".")[0]


def engines(runs: Runs) -> list[str]:
    """Hashes of the sources that runs were made by, sorted, before there were any those of the kernels alone;
    a run is kept when they change."""
    made = [provenance.run_of(ds).get("versions", {}) for devices in runs.values() for ds in devices]
    return sorted({versions.get("engine") or f"kernels {versions.get('kernels', '')}" for versions in made})


def others(made: Iterable[str]) -> list[str]:
    """Those of `engines` that are not the engine there is."""
    present = provenance.versions()["engine"]
    return [name for name in made if name != present]


def figure(one: Figure, session: Session) -> str:
    """A hash of what decides the rows of a figure, but for the engine: of what it computes, or of the runs of
    its devices, done or not; where no chance enters, of what it says today."""
    if one.compute is not None:
        return computed(one, session.extent.seed, session.extent.count(one.seeds, one.quick_seeds))
    if one.programs:
        about = sorted({name for program in one.programs for name in session.names[one.name, program.name]})
    else:
        about = [json.dumps(asdict(found), sort_keys=True) for found in one.measure({}).values()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:_HASH]


def computed(one: Figure, seed: int, count: int) -> str:
    """What decides the result of a figure that computes itself: its seeds, sources with all that they import,
    models, fits and versions."""
    assert one.compute is not None
    folders = [Path(__file__).parent.parent / folder for folder in one.depends]
    data = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in _SOURCES]
    versions = json.dumps(provenance.versions(), sort_keys=True)
    return digest([*data, *sources_of([one.compute.__module__])], f"{one.name} {seed} {count} {versions}")


def digest(paths: Iterable[Path], more: str = "") -> str:
    """A short hash of files, by name and content, and of a text."""
    found = hashlib.sha256(more.encode())
    for path in paths:
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
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
    base = Path(__file__).parents[1].joinpath(*parts)
    files = (base.with_suffix(".py"), base / "__init__.py") if parts else (base / "__init__.py",)
    return next((path for path in files if path.is_file()), None) if top == _PACKAGE else None


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
