"""What a study's machinery costs: the same tasks by a study's workers and by bare processes at once."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any

from kmc.runfile import RunFile
from kmc.study.definition import Study, load_study
from kmc.study.engine import execute
from kmc.study.pool import one_thread_each

TASKS = 24
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
    were there before and have simulated once.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(_STUDY)
        study = load_study(path)
        _bare(study, 1, 2)  # compiled kernels and pages of libraries are in reach from here on
        for workers in (1, 2):
            progress(f"{TASKS} tasks by {workers} bare process{'es' * (workers > 1)}")
            unit_s = _bare(study, workers, TASKS)
            progress(f"{TASKS} tasks by {workers} worker{'s' * (workers > 1)}")
            rows.append(_row(study, Path(folder) / f"local{workers}", workers, unit_s))
        if util.find_spec("distributed"):
            progress(f"{TASKS} tasks by 2 workers of dask")
            rows.append(_dask(study, Path(folder) / "dask", unit_s))
    return rows


def _row(study: Study, out: Path, workers: int, unit_s: float, runner: Any = None) -> dict[str, Any]:
    started = time.perf_counter()
    outcome = execute(study, out, workers=workers, runner=runner)
    wall_s = time.perf_counter() - started
    assert outcome.done == TASKS, outcome.failed
    return {"workers": workers, "scheduler": "dask" if runner else "local", "tasks": TASKS,
            "wall_s": round(wall_s, 3), "speedup": round(workers * unit_s / wall_s, 3),
            "overhead_ms": round(1e3 * (wall_s - unit_s) * workers / TASKS, 1)}  # fmt: skip


def _dask(study: Study, out: Path, unit_s: float) -> dict[str, Any]:
    distributed, cluster = import_module("distributed"), import_module("kmc.study.cluster")
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with one_thread_each(), distributed.LocalCluster(**options) as found:
        with distributed.Client(found) as client:
            client.run(_simulate, [study.task(0)])
        return _row(study, out, 2, unit_s, cluster.runner(found.scheduler_address))


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
