"""The overhead of a study: the same tasks run by a study's workers and by bare parallel processes.

Tasks of one second measure the speed-up. The overhead of some 30 ms a task is lost there in the noise of half a
minute. Tasks of 5 ms, a device without crystals, resolve it.
"""

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

from kmc.core.blas_threads import one_each, with_variables
from kmc.inputs.run_file import RunFile
from kmc.study.definition import Study, load_study
from kmc.study.engine import execute

ROUNDS = 3
# Dask's workers give freed memory back at once; the next array then maps its pages anew, and waits for them.
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
_PROTOCOL = "protocol: [sweep: {to: 0.3 V, rate: 1 kV/s, step: 50 mV, compliance: 1 uA}]"
_LONG = f"stack: ogb_20nm\n{_PROTOCOL}\nsettings: {{window: 8 nm}}\nreplicates: 48\n"
_SHORT = f"stack: interlayers_only\n{_PROTOCOL}\nsettings: {{window: 4 nm}}\nreplicates: 400\n"


def run(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each number of workers: {workers, scheduler, tasks, wall_s, speedup, overhead_ms, longer_ms}.

    The unit is as many bare processes at once, each of which simulates its share of the tasks and writes
    nothing. Of long tasks are `tasks`, `wall_s`, `speedup`, the number of workers times their unit over the
    study's wall time, and `longer_ms`, how much longer a task took than in the unit; noise of a thirtieth is
    40 ms there. Of short tasks is `overhead_ms`, the same difference. Local workers start within it, as
    bare processes do; those of dask were there before and have simulated once. Medians of ROUNDS rounds, in
    each of which unit and study take turns.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        long, short = _study(Path(folder) / "long", _LONG), _study(Path(folder) / "short", _SHORT)
        _bare(long, 1, 2)  # compiled kernels and pages of libraries are in reach from here on
        cases: list[tuple[int, Any]] = [(1, None), (2, None)]
        if util.find_spec("distributed"):
            cases.append((2, stack.enter_context(_cluster(long))))
        found = {study.path: _walls(study, cases, progress) for study in (short, long)}
        return [
            _row(long.count, *case, found[long.path][i], found[short.path][i] / short.count)
            for i, case in enumerate(cases)
        ]


def _study(folder: Path, text: str) -> Study:
    folder.mkdir()
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def _walls(study: Study, cases: list[tuple[int, Any]], progress: Callable[[str], None]) -> np.ndarray:
    """Wall seconds [case, unit and study, round]."""
    walls = np.zeros((len(cases), 2, ROUNDS))
    for k in range(ROUNDS):
        for i, (workers, runner) in enumerate(cases):
            progress(f"round {k + 1} of {ROUNDS}: {study.count} tasks, {_name(runner)}, {workers} at once")
            out = Path(study.path).parent / f"{i}-{k}"
            walls[i, :, k] = _bare(study, workers, study.count), _wall_s(study, out, workers, runner)
    return walls


def _wall_s(study: Study, out: Path, workers: int, runner: Any) -> float:
    started = time.perf_counter()
    outcome = execute(study, out, workers=workers, runner=runner)
    wall_s = time.perf_counter() - started
    assert outcome.done == study.count, outcome.failed
    return wall_s


def _row(tasks: int, workers: int, runner: Any, long_s: np.ndarray, short_s: np.ndarray) -> dict[str, Any]:
    """`long_s` of all tasks, `short_s` of each; both [unit and study, round]."""
    unit_s, wall_s = long_s
    more_s, longer_s = short_s[1] - short_s[0], (wall_s - unit_s) / tasks
    return {
        "workers": workers,
        "scheduler": _name(runner),
        "tasks": tasks,
        "wall_s": round(float(np.median(wall_s)), 3),
        "speedup": round(float(np.median(workers * unit_s / wall_s)), 3),
        "overhead_ms": round(1e3 * workers * float(np.median(more_s)), 1),
        "longer_ms": round(1e3 * workers * float(np.median(longer_s)), 1),
    }


def _name(runner: Any) -> str:
    return "dask" if runner else "local"


@contextlib.contextmanager
def _cluster(study: Study) -> Iterator[Any]:
    """A runner on two workers of dask, which keep their memory as docs/how-to/study.md says."""
    distributed, cluster = import_module("distributed"), import_module("kmc.study.dask_cluster")
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with with_variables(KEEPS_MEMORY), one_each(), distributed.LocalCluster(**options) as found:
        with distributed.Client(found) as client:
            client.run(_simulate, [study.task(0)])
        yield cluster.runner(found.scheduler_address)


def _bare(study: Study, processes: int, tasks: int) -> float:
    """Wall seconds of `processes` at once that share `tasks`."""
    context = multiprocessing.get_context("spawn")
    shares = [[study.task(index) for index in range(k, tasks, processes)] for k in range(processes)]
    with one_each():
        started = time.perf_counter()
        all_of_them = [context.Process(target=_simulate, args=(share,)) for share in shares]
        for process in all_of_them:
            process.start()
        for process in all_of_them:
            process.join()
    return time.perf_counter() - started


def _simulate(runs: list[RunFile]) -> None:
    simulation = import_module("kmc.simulation.simulation").Simulation
    for one in runs:
        simulation(one.device, one.protocol, one.settings, one.seed).run()
