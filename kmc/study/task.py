"""One task of a study: idempotent, atomic, and stopped and resumed as any run is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kmc import files, netcdf
from kmc.errors import CorruptFile, UserError
from kmc.progress import Progress
from kmc.runfile import RunFile
from kmc.runner import Outcome, execute
from kmc.study.manifest import DONE, FAILED, failure_path, result_path

STOPPED = "stopped"
_CHECKPOINT_S = 15.0
_PATIENCE_S = 20.0  # for a process that a killed study left behind: it ends after its kernel call


class Result(NamedTuple):
    """How a task ended: done, failed or stopped, the reason, and its computing time."""

    state: str
    reason: str = ""
    wall_s: float = 0.0


def perform(run: RunFile, out: Path, progress: Progress | None = None,
            should_stop: Callable[[], bool] | None = None) -> Result:  # fmt: skip
    """Do the task `run`, whose name is its hash, in the study's folder `out`; a finished one is left alone.

    Whatever goes wrong is the result's reason, and is kept in out/failed.
    """
    started = time.monotonic()
    if netcdf.is_whole(result_path(out, run.name)):
        return Result(DONE)
    try:
        outcome = _patiently(run, out, progress, should_stop or (lambda: False))
        if not outcome.finished and outcome.reason == "interrupted":
            return Result(STOPPED, outcome.reason)
        if outcome.dataset is not None:
            _keep(run, out, outcome.dataset)
            return Result(DONE, "", time.monotonic() - started)
        reason, more = outcome.reason, ""
    except UserError as error:
        reason, more = str(error), ""
    except MemoryError:
        reason, more = "out of memory", ""
    except Exception as error:  # a bug in one task must not end the others; its traceback is kept
        reason, more = f"{type(error).__name__}: {error}", traceback.format_exc()
    keep_failure(out, run.name, reason, more)
    return Result(FAILED, reason, time.monotonic() - started)


def _patiently(run: RunFile, out: Path, progress: Progress | None,
               should_stop: Callable[[], bool]) -> Outcome:  # fmt: skip
    """Run in the task's own folder. One that is busy is waited for, one that is damaged is begun again."""
    work, end, again = out / "work" / run.name, time.monotonic() + _PATIENCE_S, True
    while True:
        try:
            return execute(run, work, resume=True, progress=progress, should_stop=should_stop,
                           checkpoint_every_s=_CHECKPOINT_S)  # fmt: skip
        except files.Busy:
            if time.monotonic() > end or should_stop():
                raise
            time.sleep(0.1)
        except CorruptFile:
            if not again:
                raise
            again = False
            shutil.rmtree(work, ignore_errors=True)


def _keep(run: RunFile, out: Path, dataset: Path) -> None:
    """Put the finished dataset in its place, and clear what led to it."""
    with files.explained(result_path(out, run.name)):
        os.replace(dataset, result_path(out, run.name))
    with contextlib.suppress(OSError):
        failure_path(out, run.name).unlink(missing_ok=True)
    shutil.rmtree(dataset.parent, ignore_errors=True)


def keep_failure(out: Path, name: str, reason: str, more: str = "") -> None:
    """Write why a task failed; on a full disk the reason is only told."""
    text = json.dumps({"reason": reason, "traceback": more}, indent=1)
    with contextlib.suppress(files.WriteFailed):
        files.write_whole(failure_path(out, name), text.encode())
