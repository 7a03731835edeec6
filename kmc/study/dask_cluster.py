"""The same tasks on a dask scheduler, whose workers see the study's folder."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from kmc.core.errors import UserError, optional
from kmc.inputs.run_file import RunFile
from kmc.study.manifest import FAILED
from kmc.study.task import STOPPED, Result, keep_failure, perform
from kmc.study.worker_pool import OnDone, OnProgress, Task

_PATIENCE_S = 10.0
_AHEAD = 2  # tasks handed out for each thread of the workers: the rest stay here
_LOOK_S = 0.5
_ALONE = threading.Lock()  # a dask worker may have several threads, a kernel and a netCDF file only one


def runner(address: str) -> Callable[..., None]:
    """A runner for engine.execute on the scheduler at `address`. UserError without dask or scheduler."""
    distributed = optional("distributed", "dask", "--scheduler")
    with _explained(address):  # that there is none is said before anything is written
        asyncio.run(_answers(distributed, address))

    def run(
        tasks: Iterator[Task],
        out: Path,
        workers: int,
        on_done: OnDone,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        with _explained(address):
            made = distributed.Client(address, timeout=_PATIENCE_S, set_as_default=False)
        with made as client, client.as_current():
            _Crowd(distributed, client, out.resolve(), on_done).go(tasks, should_stop)

    return run


async def _answers(distributed: Any, address: str) -> None:
    """Ask for the scheduler. A Client is no way to ask: one that fails hangs when it is cleared away."""
    options = distributed.Security().get_connection_args("client")
    connecting = distributed.comm.connect(address, timeout=_PATIENCE_S, **options)
    (await asyncio.wait_for(connecting, _PATIENCE_S)).abort()


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:  # TypeError: tls without certificates
        step = "start one with dask scheduler, and give its tcp://HOST:PORT"
        told = str(error) or "it does not answer"
        raise UserError(f'no dask scheduler at "{address}": {told}', next_step=step) from None


class _Crowd:
    """Tasks handed out a few ahead of the workers, so that memory does not grow with their number."""

    def __init__(self, distributed: Any, client: Any, out: Path, on_done: OnDone) -> None:
        self.distributed, self.client, self.out, self.on_done = distributed, client, out, on_done
        self.under_way: dict[Any, Task] = {}

    def go(self, tasks: Iterator[Task], should_stop: Callable[[], bool]) -> None:
        """Until all are done. After `should_stop`, those that run come to their end in the folder."""
        while not should_stop() and self.client.status == "running":
            self._hand_out(tasks)
            if not self.under_way:
                return
            self._collect()
        self.client.cancel(list(self.under_way))
        for index, _ in self.under_way.values():
            self.on_done(index, Result(STOPPED))

    def _hand_out(self, tasks: Iterator[Task]) -> None:
        room = max(2, _AHEAD * sum(self.client.ncores().values())) - len(self.under_way)
        for _, task in zip(range(room), tasks, strict=False):
            future = self.client.submit(_one, task[1], self.out, pure=False)
            self.under_way[future] = task

    def _collect(self) -> None:
        """Results of what has ended within a moment."""
        try:
            self.distributed.wait(list(self.under_way), timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return
        for future in [future for future in self.under_way if future.done()]:
            index, run = self.under_way.pop(future)
            self.on_done(index, self._result(future, run))
            future.release()

    def _result(self, future: Any, run: RunFile) -> Result:
        if future.status == "finished":
            return Result(*future.result())
        if future.status == "cancelled":  # the scheduler was lost
            return Result(STOPPED)
        error = future.exception()
        killed = type(error).__name__ == "KilledWorker"
        told = "its workers were killed, each time it was begun"
        reason = told if killed else f"{type(error).__name__}: {error}"
        keep_failure(self.out, run.name, reason)
        return Result(FAILED, reason)


def _one(run: RunFile, out: Path) -> tuple[str, str, float]:
    """On a worker: the task, one at a time in a process.

    xarray takes a lock of the whole cluster for each variable that it writes where dask is distributed; a
    file that only this task writes needs none, and does not wait for the scheduler thirty times.
    """
    with _ALONE, import_module("dask").config.set(scheduler="synchronous"):
        state, reason, wall_s = perform(run, out)
    return state, reason, wall_s
