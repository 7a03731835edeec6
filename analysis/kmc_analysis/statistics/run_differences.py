"""What went into two runs (or studies) and is not the same: cards, choices, protocol, settings, versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kmc
from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.inputs.protocol import unit_of
from kmc.inputs.run_file import RunFile, load_run
from kmc.inputs.settings import UNITS
from kmc.io import dataset, provenance
from kmc.io.checkpoint import digest
from kmc.io.final_state import checkpoint_of, load_state
from kmc.study.manifest import is_study, read_manifest, result_path

ABSENT = "-"
_HASH = ".hash"
# What datasets have known since some version.
_KNOWN = (lambda key: key.startswith("numbers."), lambda key: key.endswith(".sigma"), lambda key: key == "stack.order")
_DERIVED = ("name", "description", "sources", "window_nm")  # words, and what follows from the rest


class Difference(NamedTuple):
    """An input by its path, and its text in the two; ABSENT where one has none."""

    path: str
    first: str
    second: str


def differences(first: Path, second: Path) -> list[Difference]:
    """What differs between the inputs of two run files, datasets, or folders of runs or studies.

    By the numbers of their cards where those of both are known; a hash is named where nothing else says what
    differs behind it.
    """
    one, other = (dict(_flat(inputs(path))) for path in (first, second))
    for kind in _KNOWN:
        if not all(any(map(kind, found)) for found in (one, other)):  # a dataset of before has none
            one, other = ({key: found[key] for key in found if not kind(key)} for found in (one, other))
    pairs = [Difference(key, one.get(key, ABSENT), other.get(key, ABSENT)) for key in {**one, **other}]
    apart = [pair for pair in pairs if pair.first != pair.second]
    told = [pair.path for pair in apart if not pair.path.endswith(_HASH)]
    return [pair for pair in apart if not any(path.startswith(_behind(pair.path)) for path in told)]


def _behind(path: str) -> tuple[str, ...]:
    """Beginnings of the paths that say more of what a hash is of; none for what is no hash."""
    owner = path.removesuffix(_HASH)
    if owner == path:
        return ()
    role = owner.removeprefix("cards.")
    return ("stack.order", "cards.", "numbers.") if owner == "stack" else (f"{owner}.", f"numbers.{role}.")


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with its path."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        yield path, _text(path.split("."), data)
        return
    for key, value in items:
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def _text(parts: list[str], value: Any) -> str:
    """A plain value, a number of a protocol or of a setting with its unit."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if plain and parts[0] == "protocol":
        return format_si(value, unit_of(*parts[-3:]).replace("1", ""), 15)
    if plain and parts[0] == "settings" and parts[-1] in UNITS:
        return format_si(value, UNITS[parts[-1]], 15)
    return str(value)


def inputs(path: Path) -> dict[str, Any]:
    """All that went into a run, as plain data.

    Raises UserError where there is nothing at `path`.
    """
    if path.suffix in (".yaml", ".yml"):
        run = load_run(path, must_exist=False)
        return _described(run)
    out = dataset.home_of(path)
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
    return _kept(
        provenance.describe(run.device, run.protocol, run.settings, run.seed, initial=initial, snapshots=run.snapshots)
    )


def _of_study(out: Path) -> dict[str, Any]:
    """The axes and seeds of a study, and the inputs of its first finished task but its seed."""
    record = read_manifest(out)
    done = next((name for name in record.tasks if result_path(out, name).is_file()), None)
    if done is None:
        raise UserError(f"no task of the study in {out} is done", next_step="go on with kmc study STUDY.yaml")
    first = inputs(result_path(out, done))
    return {
        "axes": {axis.name: ", ".join(axis.labels) for axis in record.axes},
        "seeds": f"{record.seeds[0]} to {record.seeds[-1]}",
        **{key: value for key, value in first.items() if key != "seed"},
    }


def _kept(run: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a run, its numbers as text."""
    texts = {}
    for path, one in run.get("numbers", {}).items():
        texts[path] = f"{one['value']:.15g} {one['unit']}".strip() + f" ({one['kind']})"
        if one.get("sigma") is not None:
            texts[f"{path}.sigma"] = f"{one['sigma']:.15g} {one['unit']}".strip()
    return {key: value for key, value in run.items() if key not in _DERIVED} | {"numbers": texts}
