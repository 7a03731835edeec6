"""What a study's machinery costs: the same tasks by a study's workers and by bare processes at once."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np

from kmc.runfile import RunFile
from kmc.study.definition import Study, load_study
from kmc.study.engine import execute
from kmc.study.pool import one_thread_each, with_variables

TASKS = 48
ROUNDS = 3
# Dask's workers give freed memory back at once; the next array then maps its pages anew, and waits for them.
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
_STUDY = f"""\
stack: ogb_20nm
protocol:
  - sweep: {{to: 0.3 V, rate: 1 kV/s, step: 50 mV, compliance: 1 uA}}
settings: {{window: 8 nm}}
replicates: {TASKS}
"""


def run(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each number of workers: {workers, scheduler, tasks, wall_s, speedup, overhead_ms}.

    The unit is as many bare processes at once, each of which simulates its share of the tasks and writes
    nothing: `speedup` is the number of workers times their wall time over the study's, and `overhead_ms` what
    a task costs more than there. Local workers start within that time, as bare processes do; those of dask
    were there before and have simulated once. Medians of ROUNDS rounds, in each of which unit and study take
    turns.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "study.yaml"
        path.write_text(_STUDY)
        study = load_study(path)
        _bare(study, 1, 2)  # compiled kernels and pages of libraries are in reach from here on
        cases: list[tuple[int, Any]] = [(1, None), (2, None)]
        if util.find_spec("distributed"):
            cases.append((2, stack.enter_context(_cluster(study))))
        walls, units = np.zeros((2, len(cases), ROUNDS))
        for k in range(ROUNDS):
            for i, (workers, runner) in enumerate(cases):
                progress(f"round {k + 1} of {ROUNDS}: {TASKS} tasks, {_name(runner)}, {workers} at once")
                units[i, k] = _bare(study, workers, TASKS)
                walls[i, k] = _wall_s(study, Path(folder) / f"{i}-{k}", workers, runner)
        return [_row(*row) for row in zip(cases, walls, units, strict=True)]


def _wall_s(study: Study, out: Path, workers: int, runner: Any) -> float:
    started = time.perf_counter()
    outcome = execute(study, out, workers=workers, runner=runner)
    wall_s = time.perf_counter() - started
    assert outcome.done == TASKS, outcome.failed
    return wall_s


def _row(case: tuple[int, Any], walls: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    workers, runner = case
    speedup, more_s = float(np.median(workers * units / walls)), float(np.median(walls - units))
    return {"workers": workers, "scheduler": _name(runner), "tasks": TASKS,
            "wall_s": round(float(np.median(walls)), 3), "speedup": round(speedup, 3),
            "overhead_ms": round(1e3 * more_s * workers / TASKS, 1)}  # fmt: skip


def _name(runner: Any) -> str:
    return "dask" if runner else "local"


@contextlib.contextmanager
def _cluster(study: Study) -> Iterator[Any]:
    """A runner on two workers of dask, which keep their memory as docs/how-to/study.md says."""
    distributed, cluster = import_module("distributed"), import_module("kmc.study.cluster")
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with with_variables(KEEPS_MEMORY), one_thread_each(), distributed.LocalCluster(**options) as found:
        with distributed.Client(found) as client:
            client.run(_simulate, [study.task(0)])
        yield cluster.runner(found.scheduler_address)


def _bare(study: Study, processes: int, tasks: int) -> float:
    """Wall seconds of `processes` at once that share `tasks`."""
    context = multiprocessing.get_context("spawn")
    shares = [[study.task(index) for index in range(k, tasks, processes)] for k in range(processes)]
    with one_thread_each():
        started = time.perf_counter()
        all_of_them = [context.Process(target=_simulate, args=(share,)) for share in shares]
        for process in all_of_them:
            process.start()
        for process in all_of_them:
            process.join()
    return time.perf_counter() - started


def _simulate(runs: list[RunFile]) -> None:
    simulation = import_module("kmc.simulation").Simulation
    for one in runs:
        simulation(one.device, one.protocol, one.settings, one.seed).run()
