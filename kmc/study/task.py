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
from typing import Any, NamedTuple

from kmc.core import atomic_files
from kmc.core.errors import CorruptFile, UserError
from kmc.core.progress import Progress
from kmc.inputs.run_file import RunFile
from kmc.io import dataset, netcdf, provenance
from kmc.io.run_folder import describe
from kmc.simulation.run_to_folder import Outcome, execute, fresh
from kmc.study.manifest import DONE, FAILED, failure_path, result_path

STOPPED = "stopped"
_CHECKPOINT_S = 15.0
_PATIENCE_S = 20.0  # for a process that a killed study left behind: it ends after its kernel call
_TO_RUNNER = object()  # in place of a Simulation: none was begun


class Result(NamedTuple):
    """How a task ended: done, failed or stopped, the reason, and its computing time."""

    state: str
    reason: str = ""
    wall_s: float = 0.0


def perform(
    run: RunFile, out: Path, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None
) -> Result:
    """Do the task `run`, whose name is its hash, in the study's folder `out`; a finished one is left alone.

    Whatever goes wrong is the result's reason, and is kept in out/failed.
    """
    started = time.monotonic()
    if netcdf.is_sound(result_path(out, run.name)):
        return Result(DONE)
    asked = should_stop or (lambda: False)
    if asked():  # the study ended while this process started
        return Result(STOPPED, "interrupted")
    try:
        begun = _at_once(run, out, progress, asked)
        if begun is None:
            return Result(DONE, "", time.monotonic() - started)
        outcome = _patiently(run, out, progress, asked, begun, time.monotonic() - started)
        if not outcome.finished and outcome.reason == "interrupted":
            return Result(STOPPED, outcome.reason)
        if outcome.dataset is not None:
            _keep(run, out, outcome.dataset)
            return Result(DONE, "", time.monotonic() - started)
        reason, more = outcome.reason, ""
    except atomic_files.Busy as error:  # it is under way elsewhere, which is no failure to be kept
        return Result(FAILED, str(error), time.monotonic() - started)
    except UserError as error:
        reason, more = str(error), ""
    except MemoryError:
        reason, more = "out of memory", ""
    except Exception as error:  # a bug in one task must not end the others; its traceback is kept
        reason, more = f"{type(error).__name__}: {error}", traceback.format_exc()
    if netcdf.is_sound(result_path(out, run.name)):  # another process was quicker: no locks hold it off there
        return Result(DONE, "", time.monotonic() - started)
    keep_failure(out, run.name, reason, more)
    return Result(FAILED, reason, time.monotonic() - started)


def _at_once(run: RunFile, out: Path, progress: Progress | None, should_stop: Callable[[], bool]) -> Any:
    """None where the task was short, and its dataset was written at once; else what the runner takes on."""
    if run.snapshots or (out / "work" / run.name).is_dir():
        return _TO_RUNNER
    begin, simulation = time.monotonic(), fresh(run)
    due = begin + min(_CHECKPOINT_S, run.settings.wall_limit_s or _CHECKPOINT_S)
    simulation.run(progress=progress, should_stop=lambda: time.monotonic() >= due or should_stop())
    if not simulation.finished:
        return simulation
    made = {**describe(run), "window_nm": provenance.window_nm(simulation.lattice)}  # as the runner has it
    about = provenance.attributes(made, wall_s=round(time.monotonic() - begin, 3), sessions=1)
    netcdf.write(result_path(out, run.name), dataset.build(simulation.take_rows(), [], about))
    _clear_failure(out, run.name)
    return None


def _patiently(
    run: RunFile, out: Path, progress: Progress | None, should_stop: Callable[[], bool], begun: Any, spent_s: float
) -> Outcome:
    """Run in the task's own folder. One that is busy is waited for, one that is damaged is begun again."""
    work, end, again = out / "work" / run.name, time.monotonic() + _PATIENCE_S, True
    while True:
        try:
            return execute(
                run,
                work,
                resume=True,
                progress=progress,
                should_stop=should_stop,
                checkpoint_every_s=_CHECKPOINT_S,
                begun=None if begun is _TO_RUNNER else begun,
                spent_s=0.0 if begun is _TO_RUNNER else spent_s,
            )
        except atomic_files.Busy:
            if time.monotonic() > end or should_stop():
                raise
            time.sleep(0.1)
        except CorruptFile:
            if not again or netcdf.is_sound(result_path(out, run.name)):
                raise
            again = False
            shutil.rmtree(work, ignore_errors=True)


def _keep(run: RunFile, out: Path, merged: Path) -> None:
    """Put the finished dataset in its place, where there is no sound one yet, and clear what led to it."""
    if not netcdf.is_sound(result_path(out, run.name)):
        with atomic_files.explained(result_path(out, run.name)):
            os.replace(merged, result_path(out, run.name))
    _clear_failure(out, run.name)
    shutil.rmtree(merged.parent, ignore_errors=True)


def _clear_failure(out: Path, name: str) -> None:
    with contextlib.suppress(OSError):
        failure_path(out, name).unlink(missing_ok=True)


def keep_failure(out: Path, name: str, reason: str, more: str = "") -> None:
    """Write why a task failed; on a full disk nothing is written, and the caller only reports the reason."""
    text = json.dumps({"reason": reason, "traceback": more}, indent=1)
    with contextlib.suppress(atomic_files.WriteFailed):
        atomic_files.write_whole(failure_path(out, name), text.encode())
