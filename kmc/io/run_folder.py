"""The folder of a run: its record, its checkpoint, and whether a run may write to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from kmc.core import output_paths
from kmc.core.errors import CorruptFile, UserError
from kmc.inputs.run_file import RunFile, one_word
from kmc.io import checkpoint, dataset, provenance
from kmc.io.final_state import CHECKPOINT, RECORD, checkpoint_of, load_state


class _Run(provenance.ResolvedRun):
    """The resolved run in a record, whose name is that of a file."""

    name: Annotated[str, AfterValidator(one_word)]


class _Command(BaseModel):
    """How a run was started; empty for the task of a study."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: str = ""
    sets: list[str] = []


class _Record(BaseModel):
    """out/run.json."""

    model_config = ConfigDict(strict=True)

    run: _Run
    command: _Command


def describe(run: RunFile, out: Path | None = None) -> dict[str, Any]:
    """The resolved run, with the content hash of the state that it starts from; one that goes on in `out`
    from a checkpoint of its own needs that state no more, and where it is gone keeps the hash."""
    initial = None if run.initial is None else _kept(run.initial, out) or checkpoint.digest(load_state(run.initial))
    resolved = provenance.describe(
        run.device, run.protocol, run.settings, run.seed, name=run.name, initial=initial, snapshots=run.snapshots
    )
    return {**resolved, "description": run.description}


def _kept(initial: Path, out: Path | None) -> str | None:
    """The hash of the state that the run in `out` began with, if that state is gone and no longer needed."""
    if out is None or checkpoint_of(initial).is_file() or not (out / CHECKPOINT).is_file():
        return None
    return (read_record(out) or {"run": {}})["run"].get("initial")


def read_record(out: Path) -> dict[str, Any] | None:
    """out/run.json, None where there is none. Raises CorruptFile."""
    path = out / RECORD
    return _read(path) if path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
        _Record.model_validate_json(text)
        record = json.loads(text)
        return {"run": record["run"], "command": record["command"]}
    except (OSError, ValidationError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read", next_step="start the run in another folder") from error


def claim(out: Path, run: dict[str, Any], resume: bool) -> list[str]:
    """Whether `out` may be used; returns warnings. Writes nothing. Raises UserError."""
    if not output_paths.claim(out, "run"):
        return []
    if not resume:
        raise UserError(f"{out} is not empty", next_step="go on with --resume, choose another --out, or delete it")
    old = _read(out / RECORD)["run"]
    if provenance.run_hash(old) != provenance.run_hash(run):
        raise UserError(
            f"{out} holds another run: {_difference(old, run)}", next_step="choose another --out, or undo the change"
        )
    if old.get("versions") != run["versions"]:
        return [f"{out} was begun with other versions; the end may differ from that of one go"]
    return []


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    for key in ("seed", "stack", "protocol", "settings", "initial", "snapshots"):
        if old.get(key) != new.get(key):
            shown = f" ({old.get(key)} there, {new.get(key)} here)" if key == "seed" else ""
            return f"{key} differs{_numbers_apart(old, new) if key == 'stack' else shown}"
    return "it was made by another version"


def _numbers_apart(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first number in which two devices of one name differ, where both are known, and how many more do:
    what differs in its value before what differs in its spread or kind."""
    before, after = old.get("numbers", {}), new.get("numbers", {})
    apart = [path for path in sorted(before.keys() & after.keys()) if before[path] != after[path]]
    if not apart:
        return ""
    path = next((path for path in apart if before[path]["value"] != after[path]["value"]), apart[0])
    told = [f"{one['value']:g} {one['unit']}".strip() for one in (before[path], after[path])]
    if told[0] == told[1]:
        told = [
            ", ".join([text, *(f"{key} {one[key]}" for key in ("sigma", "kind") if key in one)])
            for text, one in zip(told, (before[path], after[path]), strict=True)
        ]
    more = f" (and {len(apart) - 1} more)" if len(apart) > 1 else ""
    return f": {path} is {told[0]} there, {told[1]} here{more}"


def verify_checkpoints(path: Path) -> list[dataset.Problem]:
    """What is wrong with the checkpoint `path`, or with those below a folder, and beside them."""
    found = [path] if path.suffix == ".npz" else sorted(path.rglob(CHECKPOINT)) if path.is_dir() else []
    problems = []
    for file in found:
        try:
            saved = checkpoint.load(file)
        except CorruptFile as error:
            problems.append(dataset.Problem(file, error.message.removeprefix(f"{file} ")))
            continue
        if "segments" in saved:  # a run's, and no state that was kept by hand
            problems += _verify_beside(file.parent, saved["segments"])
    return problems


def _verify_beside(out: Path, covered: int) -> list[dataset.Problem]:
    """What a run needs beside its checkpoint to go on."""
    needed = [out / RECORD, *(dataset.segment_path(out, i) for i in range(covered))]
    problems = [dataset.Problem(path, "is missing") for path in needed if not path.is_file()]
    try:
        read_record(out)
    except CorruptFile as error:
        problems.append(dataset.Problem(out / RECORD, error.message.removeprefix(f"{out / RECORD} ")))
    return problems
