"""Studies on a real dask scheduler with worker processes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_simulation
import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc.io import dataset
from kmc.study import load_study
from kmc.study.dask_cluster import runner
from kmc.study.engine import Outcome, execute
from kmc.study.task import perform

# A path and no import: it puts the fake in the place of the simulation for whoever imports it.
CHILD = Path(__file__).resolve().parents[1] / "support" / "study_child.py"
STUDY = """\
stack: ogb_20nm
variants: {ligand: [ogb, ddab], thickness: [20 nm, 40 nm]}
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}
replicates: 4
"""
TASKS = 16


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file."""
    file = tmp_path / "trial" / "study.yaml"
    file.parent.mkdir()
    file.write_text(STUDY)
    return file


def contents(out: Path) -> dict[str, str]:
    """The content hash of each finished task."""
    return {path.name: dataset.open(path).attrs["content_sha256"] for path in sorted(out.glob("tasks/*.nc"))}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A scheduler and two worker processes with the fake simulation, slowed down."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("SLOW_S", "0.01")
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", str(CHILD))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", preload=[str(CHILD)]
    ) as cluster:
        yield cluster


@pytest.fixture
def whole(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the tasks come to in this process."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    loaded, out = load_study(study), tmp_path / "whole"

    def here(tasks: Any, out: Path, workers: int, on_done: Any, *_: Any) -> None:
        for index, run in tasks:
            on_done(index, perform(run, out))

    assert execute(loaded, out, runner=here).finished
    return contents(out)


@pytest.mark.slow
def test_one_of_two_workers_is_killed(study: Path, cluster: Any, whole: dict[str, str]) -> None:
    """The study completes; nothing is lost or counted twice; the bytes are the same."""
    out = study.parent / "out"
    outcomes: list[Outcome] = []
    told: list[int] = []

    def telling(info: dict[str, Any]) -> None:
        told.append(info["done"])

    def go() -> None:
        crowd = runner(cluster.scheduler_address)
        outcomes.append(execute(load_study(study), out, runner=crowd, telling=telling))

    thread = threading.Thread(target=go)
    thread.start()
    end = time.monotonic() + 60
    while len(contents(out)) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    thread.join(120)
    (outcome,) = outcomes
    assert (outcome.tasks, outcome.done, outcome.failed, outcome.left) == (TASKS, TASKS, [], 0)
    assert contents(out) == whole
    assert max(told) == TASKS


def test_without_dask_it_says_what_to_install(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, nothing written."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert app.main(["study", str(study), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "pip install -e '.[dask]'" in capsys.readouterr().err
    assert list(study.parent.iterdir()) == [study]


@pytest.mark.slow
def test_no_scheduler_is_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, at the end of a short wait."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("kmc.study.dask_cluster._PATIENCE_S", 1.0)
    with pytest.raises(UserError, match="no dask scheduler at"):
        runner("tcp://127.0.0.1:1")


def test_what_answers_but_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("kmc.study.dask_cluster._PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(UserError, match="it does not answer"):
            runner(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("address", ["nonsense", "", "http://127.0.0.1:8787", "tcp://127.0.0.1", "tls://127.0.0.1:1"])
def test_no_client_is_made_for_what_is_no_address(
    study: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line at once: a Client that cannot be made hangs, with a traceback, when it is cleared away."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", None)
    assert app.main(["study", str(study), "--scheduler", address, "--quiet"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f'no dask scheduler at "{address}": ')
    assert told.count("\n") == 1
    assert list(study.parent.iterdir()) == [study]


def test_a_task_writes_without_the_lock_of_the_cluster(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """xarray would ask the scheduler for a lock at each variable: ten times a short task's own time."""
    distributed = pytest.importorskip("distributed")
    from xarray.backends.locks import get_write_lock

    from kmc.study import dask_cluster as cluster

    def asked(run: Any = None, out: Any = None) -> Any:
        return (type(get_write_lock("a.nc")).__module__, "", 0.0)

    monkeypatch.setattr(cluster, "perform", asked)
    run = load_study(study).task(0)
    alone = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**alone) as client:
        assert client.submit(asked).result()[0].startswith("distributed")  # what happens without care
        assert not client.submit(cluster._one, run, study.parent).result()[0].startswith("distributed")
