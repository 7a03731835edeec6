"""Run a study: what is missing or changed is done, what fails is a row with its reason."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmc.core import atomic_files
from kmc.core.errors import UserError
from kmc.io import netcdf
from kmc.study import manifest as records
from kmc.study import result_versions
from kmc.study.definition import Study
from kmc.study.manifest import DONE, FAILED, MISSING, Failure, Manifest
from kmc.study.task import Result, perform
from kmc.study.worker_pool import Task, run_locally

PROGRESS = "progress.json"
_TELL_S = 2.0  # between two writes of the file that `kmc study status` reads
_LEFT_S = 3600.0  # a temporary file is written within seconds: one this old was left by a killed process

Telling = Callable[[dict[str, Any]], None]
Runner = Callable[..., None]


@dataclass
class Outcome:
    """How a study ended. `already` tasks were done before, `done` now; `left` were not reached."""

    out: Path
    tasks: int
    already: int
    done: int
    failed: list[Failure]
    left: int
    wall_s: float
    warnings: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether every task is done."""
        return self.already + self.done == self.tasks


def execute(
    study: Study,
    out: Path,
    *,
    workers: int = 1,
    telling: Telling | None = None,
    should_stop: Callable[[], bool] | None = None,
    runner: Runner | None = None,
    leave: frozenset[str] = frozenset(),
) -> Outcome:
    """Do the tasks of `study` in `out` that are not done; failed ones are tried again, but those in `leave`.

    `runner` has the signature of pool.run_locally, which is taken if none is given. Raises UserError when
    `out` is in use or holds something else, and WriteFailed on a full disk.
    """
    with _held(study, out) as (found, told):
        session = _Session(study, out, found, telling, leave, told)
        if session.todo:
            session.go(runner or run_locally, workers, should_stop or (lambda: False))
        return session.end()


def execute_one(
    study: Study, out: Path, index: int, should_stop: Callable[[], bool] | None = None
) -> tuple[Result, list[str]]:
    """Do task `index` of `study` in this process, for a cluster's job; returns warnings too.

    Any number may run at once, so that none looks at the results of all. Raises UserError for a task that
    there is not, and when the study is not the one in `out`.
    """
    if not 0 <= index < study.count:
        raise UserError(f"the study has no task {index}", "--task", next_step=f"give 0 to {study.count - 1}")
    records.claim(out, study)
    found, warnings = records.manifest_of(study, out), list(study.warnings)
    if not records.is_study(out):
        records.write_manifest(out, found)
    old = records.read_manifest(out)
    records.make_folders(out)
    if old.hash != found.hash:
        raise UserError(
            f"the study has changed since {out / records.MANIFEST} was written",
            study.path,
            next_step="write it again with kmc study ... --slurm FILE",
        )
    if old.versions != found.versions:
        warnings.append(f"{out} was begun with other versions; what is done is kept as it is")
    return perform(study.task(index), out, None, should_stop), warnings


def prepare(study: Study, out: Path) -> list[str]:
    """Write the manifest alone, for tasks that others run; returns warnings.

    Raises UserError, when a study runs in `out` too, and WriteFailed.
    """
    with _held(study, out) as (found, told):
        return [*told, *result_versions.warnings(out, found)]


@contextlib.contextmanager
def _held(study: Study, out: Path) -> Iterator[tuple[Manifest, list[str]]]:
    """The manifest of `study` in `out`, which is made ready and is this process's meanwhile; and warnings."""
    records.claim(out, study)
    found, told = records.manifest_of(study, out), list(study.warnings)
    atomic_files.make_folder(out)
    with atomic_files.only_one(out):
        if records.is_study(out):
            told += _changes(out, records.read_manifest(out), found, study)
        _prepare(out, found)
        yield found, told


def _changes(out: Path, before: Manifest, found: Manifest, study: Study) -> list[str]:
    """Warnings about a folder whose study has changed since it was begun."""
    told, file = [], before.command["study"]
    if file != found.command["study"]:
        told.append(f"{out} was begun by another file, {os.path.normpath(out / file)}, and is now of {study.path}")
    grown = study.with_replicates(max(len(before.seeds), len(found.seeds)))  # it may grow to them again
    gone, new = set(before.tasks) - set(grown.hashes), set(found.tasks) - set(before.tasks)
    left = sum(records.result_path(out, name).is_file() for name in gone)
    if new and left:  # a study that became smaller is no other one
        tasks = "tasks are" if left > 1 else "task is"
        told.append(
            f"{left} finished {tasks} none of the study's any more: a card (a spread, too), the "
            f"protocol, a setting or a variant changed; they stay in {out / 'tasks'}, and "
            f"{len(new)} are new"
        )
    return told


def _prepare(out: Path, found: Manifest) -> None:
    """The manifest in its place; leftovers of writes and of finished tasks removed."""
    if not records.is_study(out) or records.read_manifest(out) != found:
        records.write_manifest(out, found)
    for folder in records.make_folders(out):
        atomic_files.sweep(folder, _LEFT_S)  # those of tasks under way on any machine stay
    with contextlib.suppress(atomic_files.WriteFailed):  # the tasks have their own results and reasons
        records.write_table(out, found)
    for work in (out / "work").iterdir():
        if netcdf.is_sound(records.result_path(out, work.name)):  # else it is done again, there
            shutil.rmtree(work, ignore_errors=True)


class _Session:
    """One go at the tasks that are not done."""

    def __init__(
        self, study: Study, out: Path, found: Manifest, telling: Telling | None, leave: frozenset[str], told: list[str]
    ) -> None:
        self.study, self.out, self.manifest, self.telling, self.warnings = study, out, found, telling, told
        self.started = time.monotonic()
        before = records.states(out, found, careful=True)
        self.already = before.count(DONE)
        self.todo = [index for index, state in enumerate(before) if state != DONE and found.tasks[index] not in leave]
        self.done = 0
        self.failed: list[Failure] = []
        self.shares: dict[int, float] = {}  # of the tasks under way
        self.told = 0.0

    def go(self, runner: Runner, workers: int, should_stop: Callable[[], bool]) -> None:
        self._tell(True)
        runner(self._tasks(), self.out, min(workers, len(self.todo)), self._on_done, self._on_progress, should_stop)

    def _tasks(self) -> Iterator[Task]:
        for index in self.todo:
            self.shares[index] = 0.0
            with contextlib.suppress(OSError):  # a folder that may not be written: each task says so
                records.failure_path(self.out, self.manifest.tasks[index]).unlink(missing_ok=True)
            yield index, self.study.task(index)

    def _on_done(self, index: int, result: Result) -> None:
        self.shares.pop(index, None)
        self.done += result.state == DONE
        if result.state == FAILED:
            self.failed.append(Failure(index, result.reason))
        self._tell(False)

    def _on_progress(self, index: int, share: float) -> None:
        self.shares[index] = share
        self._tell(False)

    def info(self) -> dict[str, Any]:
        """What is shown of the whole: counts, the shares of tasks under way, and the seconds left."""
        elapsed = time.monotonic() - self.started
        ended = self.done + len(self.failed)
        work = ended + sum(self.shares.values())
        left = (len(self.todo) - work) * elapsed / work if work > 0 else None
        return {
            "tasks": self.study.count,
            "done": self.already + self.done,
            "failed": len(self.failed),
            "running": {str(index): round(share, 4) for index, share in self.shares.items()},
            "left_s": None if left is None else round(left, 1),
        }

    def _tell(self, at_once: bool) -> None:
        """To the terminal always, to the file for other terminals now and then."""
        info = self.info()
        if self.telling is not None:
            self.telling(info)
        now = time.monotonic()
        if at_once or now - self.told > _TELL_S:
            self.told = now
            _write_quickly(self.out / PROGRESS, info)

    def end(self) -> Outcome:
        wall_s = round(time.monotonic() - self.started, 3)
        warnings = [*self.warnings, *result_versions.warnings(self.out, self.manifest)]
        try:
            records.write_table(self.out, self.manifest, dict(self.failed))
        except atomic_files.WriteFailed as error:  # the tasks have their own results and reasons
            warnings.append(str(error))
        with contextlib.suppress(OSError):
            (self.out / PROGRESS).unlink(missing_ok=True)
        self.failed.sort()
        left = len(self.todo) - self.done - len(self.failed)
        return Outcome(self.out, self.study.count, self.already, self.done, self.failed, left, wall_s, warnings)


def _write_quickly(path: Path, told: dict[str, Any]) -> None:
    """Write a file atomically but not forced to disk: it describes the present only, and may fail on a full disk."""
    with contextlib.suppress(atomic_files.WriteFailed), atomic_files.replacing(path, on_disk=False) as temporary:
        temporary.write_text(json.dumps(told))


def status(out: Path) -> dict[str, Any]:
    """The report of `kmc study status`: counts by state, failures, whether it runs here, shares, time left."""
    found = records.read_manifest(out)
    now = records.states(out, found)
    told = _progress(out) if _is_held(out) else None
    return {
        "name": found.name,
        "tasks": len(now),
        **{state: now.count(state) for state in (DONE, FAILED, MISSING)},
        "running": None if told is None else told["running"],
        "elsewhere": [] if told is not None else _elsewhere(out, found, now),
        "left_s": None if told is None else told["left_s"],
        "failures": [
            {"task": index, **found.place(index), "reason": reason}
            for index, reason in records.failures(out, found, now)
        ],
        "other_versions": result_versions.others(out, found) > 0,
    }


def _progress(out: Path) -> dict[str, Any]:
    try:
        told = json.loads((out / PROGRESS).read_text())
        return {"running": dict(told["running"]), "left_s": told["left_s"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"running": {}, "left_s": None}


def _elsewhere(out: Path, found: Manifest, now: list[str]) -> list[int]:
    """Tasks that processes of their own do, as far as this machine sees their locks."""
    held = {work.name for work in (out / "work").glob("*/") if _is_held(work)}
    return [
        index
        for index, (name, state) in enumerate(zip(found.tasks, now, strict=True))
        if name in held and state != DONE
    ]


def _is_held(out: Path) -> bool:
    """Whether a process on this machine works in a folder."""
    try:
        with atomic_files.only_one(out, patience_s=0.0):
            return False
    except atomic_files.Busy:
        return True
    except atomic_files.WriteFailed:  # a folder that this user may only read
        return (out / PROGRESS).is_file()  # a task's own folder has none: the task counts as missing
