"""What went into two runs (or studies) and is not the same: cards, choices, protocol, settings, versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kmc
from kmc import dataset, provenance
from kmc.checkpoint import digest
from kmc.errors import UserError
from kmc.final import checkpoint_of, load_state
from kmc.runfile import RunFile, load_run
from kmc.study.manifest import is_study, read_manifest, result_path

ABSENT = "-"
_DERIVED = ("name", "description", "sources", "window_nm")  # words, and what follows from the rest


class Difference(NamedTuple):
    """An input by its path, and its text in the two; ABSENT where one has none."""

    path: str
    first: str
    second: str


def differences(first: Path, second: Path) -> list[Difference]:
    """What differs between the inputs of two run files, datasets, or folders of runs or studies.

    By the numbers of their cards where those of both are known, else by the cards' hashes.
    """
    one, other = (dict(_flat(inputs(path))) for path in (first, second))
    both = all(any(key.startswith("numbers.") for key in found) for found in (one, other))
    keys = [key for key in dict.fromkeys([*one, *other])
            if not (key.endswith(".hash") if both else key.startswith("numbers."))]  # fmt: skip
    pairs = [Difference(key, one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
    return [pair for pair in pairs if pair.first != pair.second]


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with its path."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        yield path, str(data)
        return
    for key, value in items:
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def inputs(path: Path) -> dict[str, Any]:
    """All that went into a run, as plain data.

    Raises UserError where there is nothing at `path`.
    """
    if path.suffix in (".yaml", ".yml"):
        run = load_run(path, must_exist=False)
        return _described(run)
    out = path.parent if path.is_file() else dataset.out_of(path)
    if path.is_dir() and is_study(out):
        return _of_study(out)
    with kmc.open(path) as ds:
        dataset.require(ds, path)
        found = provenance.run_of(ds)
    return _kept(found)


def _described(run: RunFile) -> dict[str, Any]:
    initial = None if run.initial is None else str(run.initial)
    if run.initial is not None and checkpoint_of(run.initial).is_file():  # by content, as in a dataset
        initial = digest(load_state(run.initial))
    return _kept(provenance.describe(run.device, run.protocol, run.settings, run.seed, initial=initial,
                                     snapshots=run.snapshots))  # fmt: skip


def _of_study(out: Path) -> dict[str, Any]:
    """The axes and seeds of a study, and the inputs of its first finished task but its seed."""
    record = read_manifest(out)
    done = next((name for name in record.tasks if result_path(out, name).is_file()), None)
    if done is None:
        raise UserError(f"no task of the study in {out} is done", next_step="go on with kmc study STUDY.yaml")
    first = inputs(result_path(out, done))
    return {"axes": {axis.name: ", ".join(axis.labels) for axis in record.axes},
            "seeds": f"{record.seeds[0]} to {record.seeds[-1]}",
            **{key: value for key, value in first.items() if key != "seed"}}  # fmt: skip


def _kept(run: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a run, its numbers as text."""
    texts = {path: f"{one['value']:g} {one['unit']}".strip() + f" ({one['kind']})"
             for path, one in run.get("numbers", {}).items()}  # fmt: skip
    return {key: value for key, value in run.items() if key not in _DERIVED} | {"numbers": texts}
