"""Local workers: spawned processes with one numba thread each, fed one task at a time.

A worker that dies takes only its task with it, and is replaced. Anything that comes through a worker's pipe
while it computes, the end of the parent included, means stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from kmc.core import blas_threads
from kmc.core.interrupts import OF_A_COMMAND
from kmc.core.progress import warn_of_cache
from kmc.inputs.run_file import RunFile
from kmc.study.manifest import FAILED
from kmc.study.task import STOPPED, Result, keep_failure, perform

_SIGNALS = {getattr(signal, name) for name in OF_A_COMMAND if hasattr(signal, name)}
_LOOK_S = 0.2

Task = tuple[int, RunFile]
OnDone = Callable[[int, Result], None]
OnProgress = Callable[[int, float], None]


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: Task | None = None


def run_locally(
    tasks: Iterator[Task],
    out: Path,
    workers: int,
    on_done: OnDone,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    """Do all `tasks` in `workers` processes. `on_done` gets each result, `on_progress` a task's share done.

    After `should_stop` no task is begun, and those under way keep what they have.
    """
    warn_of_cache()
    with blas_threads.one_each():
        pool = _Pool(tasks, out, on_done, on_progress, should_stop)
        try:
            pool.go(workers)
        finally:
            pool.close()


class _Pool:
    def __init__(
        self,
        tasks: Iterator[Task],
        out: Path,
        on_done: OnDone,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        self.tasks, self.out, self.should_stop = tasks, out, should_stop
        self.on_done, self.on_progress = on_done, on_progress
        self.workers: list[_Worker] = []
        self.told = False  # whether the workers were told to stop

    def go(self, count: int) -> None:
        """Until there is no task left, or all have stopped."""
        for _ in range(count):
            if not self._begin(None):
                break
        while busy := [worker for worker in self.workers if worker.task is not None]:
            ready = wait([worker.pipe for worker in busy], timeout=_LOOK_S)
            if self.should_stop() and not self.told:
                self._stop(busy)
            for worker in busy:
                if worker.pipe in ready:
                    self._hear(worker)

    def _begin(self, worker: _Worker | None) -> bool:
        """Give the next task to `worker`, or to a new one; False when there is none."""
        task = None if self.should_stop() else next(self.tasks, None)
        if task is None:
            return False
        if worker is None:
            worker = _started(self.out)
            self.workers.append(worker)
        worker.task = task
        with contextlib.suppress(OSError):  # it died idle: its end is heard next
            worker.pipe.send(task)
        return True

    def _hear(self, worker: _Worker) -> None:
        assert worker.task is not None
        index = worker.task[0]
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if kind == "progress":
            self.on_progress(index, value)
            return
        worker.task = None
        self.on_done(index, value)
        self._begin(worker)

    def _bury(self, worker: _Worker) -> None:
        """A worker is gone: its task has failed with that reason, and another takes its place."""
        assert worker.task is not None
        index, run = worker.task
        worker.process.join()
        self.workers.remove(worker)
        reason = _epitaph(worker.process.exitcode)
        keep_failure(self.out, run.name, reason)
        self.on_done(index, Result(FAILED, reason))
        self._begin(None)

    def _stop(self, busy: list[_Worker]) -> None:
        self.told = True
        for worker in busy:
            with contextlib.suppress(OSError):
                worker.pipe.send(STOPPED)

    def close(self) -> None:
        """End all workers; one that still computes is killed, and its last checkpoint is what is left."""
        for worker in self.workers:
            if worker.task is not None:
                worker.process.kill()
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join()


def _epitaph(code: int | None) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        return "its process was killed (signal 9): out of memory, or by hand"
    how = f"by signal {-code}" if code and code < 0 else f"with code {code}"
    return f"its process ended {how}"


def _started(out: Path) -> _Worker:
    """A new worker. Signals are blocked meanwhile and stay so in it: ctrl-C is the parent's to handle."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, out), daemon=True)
    with _deaf():
        process.start()
    there.close()
    return _Worker(process, here)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, out: Path) -> None:
    """A worker's life: tasks in, results out, until the pipe ends."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        while True:
            given = pipe.recv()
            if given == STOPPED:
                continue
            pipe.send(("done", perform(given[1], out, _teller(pipe), pipe.poll)))
            give_back()
    # All results are on disk. Taking the interpreter and its libraries down in order takes half a second.
    os._exit(0)


def give_back() -> None:
    """Let the system have the memory of an ended run: its cycles, and the pieces that glibc would keep."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc can
        ctypes.CDLL(None).malloc_trim(0)


def _teller(pipe: Connection) -> Callable[[dict[str, Any]], None]:
    def tell(info: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, which `poll` says
            pipe.send(("progress", info["time_s"] / info["total_s"] if info["total_s"] else 1.0))

    return tell
