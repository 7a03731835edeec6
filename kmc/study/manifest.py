"""The folder of a study: its manifest, and which tasks are done, failed or missing.

DIR/study.json          the manifest: axes, seeds, and a hash for every task
DIR/tasks/<hash>.nc     a finished task's dataset
DIR/failed/<hash>.json  why a task failed; gone when it succeeds
DIR/work/<hash>/        a task that is under way, as `kmc run` keeps it
DIR/tasks.csv           one row a task
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kmc.core import atomic_files, output_paths
from kmc.core.errors import CorruptFile, UserError
from kmc.inputs.protocol import SAMPLE_LIMIT
from kmc.io import netcdf, provenance
from kmc.study.axes import Axis
from kmc.study.definition import Study

MANIFEST = "study.json"
SCHEMA = 1
DONE, FAILED, MISSING = "done", "failed", "missing"
_AGAIN = "delete it, and give kmc study STUDY.yaml again: the results are kept"


class AxisRecord(BaseModel):
    """An axis in the manifest: values in internal units or names, and the text that they were given as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unit: str
    values: list[float | str]
    labels: list[str]
    changes: list[dict[str, str]] = []  # of cases: what each changes, by name


def _command(told: dict[str, Any]) -> dict[str, Any]:
    """How a study was started: the path of its file from its folder, and the changes."""
    sets = told.get("sets")
    whole = isinstance(told.get("study"), str) and isinstance(sets, list)
    if not whole or not all(isinstance(text, str) for text in sets or []):
        raise ValueError("not a command")
    return told


# The name of a task is that of a file: no record leads out of the folder.
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]


class Manifest(BaseModel):
    """All that reading a study's results needs; the cards are not read again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    name: str
    description: str
    axes: list[AxisRecord]
    seeds: Annotated[list[int], Field(min_length=1)]
    samples: Annotated[int, Field(ge=0, le=SAMPLE_LIMIT)]
    tasks: list[Hash]
    hash: str
    versions: dict[str, str]
    command: Annotated[dict[str, Any], AfterValidator(_command)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each axis, and replicates last."""
        return (*(len(axis.values) for axis in self.axes), len(self.seeds))

    def place(self, index: int) -> dict[str, Any]:
        """The coordinates of task `index` as they were given, with its replicate and seed."""
        left, replicate = divmod(index, len(self.seeds))
        found: dict[str, Any] = {}
        for axis in reversed(self.axes):
            left, k = divmod(left, len(axis.labels))
            found[axis.name] = axis.labels[k]
        return {**dict(reversed(found.items())), "replicate": replicate, "seed": self.seeds[replicate]}


class Failure(NamedTuple):
    """A task that failed, and why."""

    task: int
    reason: str


def _record(axis: Axis) -> AxisRecord:
    return AxisRecord(
        name=axis.name,
        unit=axis.unit,
        values=[level.value for level in axis.levels],
        labels=[str(level.given) for level in axis.levels],
        changes=[
            {name: str(one.given) for name, one in level.changes.items()}
            for level in axis.levels
            if level.changes is not None
        ],
    )


def manifest_of(study: Study, out: Path) -> Manifest:
    """The manifest of `study` for the folder `out`."""
    axes = [_record(axis) for axis in study.axes]
    told = json.dumps([[axis.model_dump(exclude_defaults=True) for axis in axes], study.seeds, study.hashes])
    source = os.path.relpath(Path(study.path).resolve(), out.resolve())
    return Manifest(
        name=study.name,
        description=study.description,
        axes=axes,
        seeds=list(study.seeds),
        samples=study.samples,
        tasks=list(study.hashes),
        hash=hashlib.sha256(told.encode()).hexdigest(),
        versions=provenance.versions(),
        command={"study": source, "sets": list(study.sets)},
    )


def is_study(out: Path) -> bool:
    """Whether `out` is the folder of a study."""
    return (out / MANIFEST).is_file()


def read_manifest(out: Path) -> Manifest:
    """The manifest in `out`. Raises UserError where there is none and CorruptFile for a damaged one."""
    path = out / MANIFEST
    if not path.is_file():
        raise UserError(f"{out} holds no study", next_step="start one with kmc study STUDY.yaml")
    try:
        found = Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CorruptFile(f"{path} cannot be read", next_step=_AGAIN) from error
    whole = all(len(axis.values) == len(axis.labels) for axis in found.axes)
    if found.schema_version != SCHEMA or not whole or math.prod(found.shape) != len(found.tasks):
        raise CorruptFile(f"{path} does not fit together, or is of another version", next_step=_AGAIN)
    return found


def claim(out: Path, study: Study) -> None:
    """Whether `study` may use `out`. Writes nothing. Raises UserError."""
    if not output_paths.claim(out, "study") or not is_study(out):  # results whose manifest was removed are kept
        return
    old = read_manifest(out)
    if old.name != study.name:
        raise UserError(
            f'{out} holds the study "{old.name}"',
            next_step=f"call its folder or file {old.name} again, or choose another --out",
        )


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Put the manifest into `out`, which is made. Raises WriteFailed."""
    make_folders(out)
    atomic_files.write_whole(out / MANIFEST, manifest.model_dump_json(indent=1).encode())


def make_folders(out: Path) -> list[Path]:
    """`out` and what it keeps tasks in: copies of a study leave empty folders out. Raises WriteFailed."""
    folders = [out, *(out / name for name in ("tasks", "failed", "work"))]
    for folder in folders:
        atomic_files.make_folder(folder)
    return folders


def result_path(out: Path, name: str) -> Path:
    """Where the dataset of the task with the hash `name` lies when it is done."""
    return out / "tasks" / f"{name}.nc"


def failure_path(out: Path, name: str) -> Path:
    """Where the reason lies why the task with the hash `name` failed."""
    return out / "failed" / f"{name}.json"


def states(out: Path, manifest: Manifest, careful: bool = False) -> list[str]:
    """done, failed or missing for every task. `careful` takes a damaged dataset for a missing one."""
    done, failed = _stems(out / "tasks", ".nc"), _stems(out / "failed", ".json")
    if careful:
        done = {name for name in done if netcdf.is_sound(result_path(out, name))}
    return [DONE if name in done else FAILED if name in failed else MISSING for name in manifest.tasks]


def _stems(folder: Path, suffix: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)}
    except FileNotFoundError:
        return set()


def failures(out: Path, manifest: Manifest, found: list[str]) -> list[Failure]:
    """Why the tasks failed that are `failed` in `found`."""
    return [
        Failure(index, reason(out, name))
        for index, (name, state) in enumerate(zip(manifest.tasks, found, strict=True))
        if state == FAILED
    ]


def reason(out: Path, name: str) -> str:
    """Why the task with the hash `name`, of which a failure is kept, failed."""
    try:
        return str(json.loads(failure_path(out, name).read_text())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "its reason cannot be read"


def write_table(out: Path, manifest: Manifest, failed: Mapping[int, str] | None = None) -> None:
    """tasks.csv: one row a task with its coordinates, seed, state and reason. Raises WriteFailed.

    failed: reasons by task of failures that could not be written because the disk is full. An unchanged table is
    not rewritten, so that its date is that of the last change.
    """
    found = states(out, manifest)
    reasons = dict(failures(out, manifest, found))
    for index, reason in (failed or {}).items():
        if found[index] == MISSING:
            found[index], reasons[index] = FAILED, reason
    names = [axis.name for axis in manifest.axes]
    rows = (
        [index, *manifest.place(index).values(), name, state, reasons.get(index, "")]
        for index, (name, state) in enumerate(zip(manifest.tasks, found, strict=True))
    )
    text = atomic_files.csv_text(["task", *names, "replicate", "seed", "hash", "state", "reason"], rows)
    path, before, after = out / "tasks.csv", b"", text.encode()
    with contextlib.suppress(OSError):
        before = path.read_bytes()
    if before != after:
        atomic_files.write_whole(path, after)
