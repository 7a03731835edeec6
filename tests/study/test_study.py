"""Studies that run: the same bytes in all ways, failures as rows, and only what is missing is done."""

from __future__ import annotations

import csv
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_simulation
import numpy as np
import pytest

import kmc
from kmc.cli import app
from kmc.core import atomic_files
from kmc.core.errors import CorruptFile, UserError
from kmc.io import dataset, provenance
from kmc.study import load_study
from kmc.study.engine import Outcome, execute, execute_one, prepare, status
from kmc.study.manifest import read_manifest
from kmc.study.slurm import write_script
from kmc.study.task import Result, perform
from kmc.study.worker_pool import OnDone, OnProgress, Task, _teller

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

CHILD = Path(__file__).resolve().parents[1] / "support" / "study_child.py"
STUDY = """\
stack: ogb_20nm
variants:
  ligand: [ogb, ddab]
  thickness: [20 nm, 40 nm]
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}
replicates: 2
seed: 5
"""
TASKS = 8


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`kmc study study.yaml` with the fake simulation, in `folder`."""
    folder.mkdir(exist_ok=True)
    if not (folder / "study.yaml").exists():
        (folder / "study.yaml").write_text(STUDY)
    command = [sys.executable, str(CHILD), "study", *(arguments or ("study.yaml",))]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def gone(process: subprocess.Popen[str], patience_s: float = 120.0) -> None:
    """Until a killed study's workers have closed its pipes; names one that does not.

    A worker that is starting ends only after its imports, a second or two of processor time. Among processes
    of higher priority that can take a minute of wall time, hence the patience.
    """
    try:
        process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        left = subprocess.run(
            ["ps", "-o", "pid,stat,wchan:30,etime,time,args", "-s", str(process.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"after {patience_s:g} s there are still\n{left}")


def ended(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of it."""
    process = started(folder, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def contents(folder: Path) -> dict[str, str]:
    """The content hash of each finished task, after `kmc verify` has found all sound."""
    tasks = folder / "out" / "tasks"
    found = {path.name: dataset.open(path).attrs["content_sha256"] for path in sorted(tasks.glob("*.nc"))}
    assert not found or dataset.verify(tasks) == []
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    """tasks.csv."""
    with (folder / "out" / "tasks.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study done by one worker in one go."""
    folder = tmp_path_factory.mktemp("whole") / "trial"
    code, out, err = ended(folder, "study.yaml", "--workers", "1", "--quiet")
    assert (code, out, err) == (0, "out\n", "")
    return folder


def in_process(
    tasks: Iterator[Task],
    out: Path,
    workers: int,
    on_done: OnDone,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    """In place of the workers: one task after the other, here."""
    for index, run in tasks:
        on_done(index, perform(run, out, None, should_stop))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study; the fake simulation is in this process."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    monkeypatch.setattr("kmc.simulation.simulation", fake_simulation, raising=False)
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    return folder


def done(folder: Path, *sets: str) -> Outcome:
    """The study in `folder`, done in this process."""
    return execute(load_study(folder / "study.yaml", sets), folder / "out", runner=in_process)


class Failing(fake_simulation.Simulation):
    """Fails for one seed."""

    error: Exception = ZeroDivisionError("the fake was told to fail")

    def __init__(self, stack: Any, protocol: Any, settings: Any, seed: int, initial: Any = None) -> None:
        super().__init__(stack, protocol, settings, seed, initial)
        if seed == 6:
            raise self.error


# --- the same bytes --------------------------------------------------------------------------------------


def test_two_workers_give_the_same_bytes(whole: Path, folder: Path) -> None:
    """And all tasks are there once."""
    assert ended(folder, "study.yaml", "--workers", "2")[0] == 0
    assert len(contents(whole)) == TASKS
    assert contents(folder) == contents(whole)


def test_checkpoints_do_not_change_the_bytes(whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that are long enough for checkpoints end as those that are written at once."""
    monkeypatch.setattr("kmc.study.task._CHECKPOINT_S", 0.001)
    monkeypatch.setattr("kmc.simulation.run_to_folder._MOST_COST", 1e9)
    assert done(folder).finished
    assert contents(folder) == contents(whole)


def test_a_worker_that_is_late_begins_nothing(folder: Path) -> None:
    """One that is asked to stop before its task began leaves no file of it."""
    study, asked = load_study(folder / "study.yaml"), []
    assert perform(study.task(0), folder / "out", None, lambda: not asked.append(1)).state == "stopped"
    assert len(asked) == 1
    assert not (folder / "out").exists()


def test_workers_end_with_a_study_that_is_killed(folder: Path) -> None:
    """Within seconds, in the middle of tasks that would go on for minutes; what they had is kept."""
    process = started(folder, "study.yaml", "--workers", "2", SLOW_S="2")
    end = time.monotonic() + 60
    while len(list((folder / "out").glob("work"))) == 0 and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(1.0)
    process.kill()
    begin = time.monotonic()
    gone(process)
    assert time.monotonic() - begin < 60
    assert contents(folder) == {}


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until `count` tasks are done."""
    end = time.monotonic() + 60
    while len(list((folder / "out").glob("tasks/*.nc"))) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_control_c_keeps_what_is_done(whole: Path, folder: Path) -> None:
    """Exit code 3; a task under way keeps its checkpoint; the rest is done later, and only that.

    Meanwhile another terminal is told what is done and under way, and may not start the study again.
    """
    process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.02")
    wait_for(folder, 2, process)
    told = status(folder / "out")
    assert told["done"] >= 2
    assert told["running"] is not None
    with pytest.raises(UserError, match="another process is writing"):
        done(folder)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "tasks are kept" in err
    assert "Traceback" not in err
    past = contents(folder)
    assert 2 <= len(past) < TASKS
    assert list((folder / "out" / "work").glob("*/checkpoint.npz"))
    assert status(folder / "out")["running"] is None
    outcome = done(folder)
    assert (outcome.already, outcome.done) == (len(past), TASKS - len(past))
    assert contents(folder) == contents(whole)
    assert list((folder / "out" / "work").iterdir()) == []


@pytest.mark.slow
def test_kill_9_twenty_times(whole: Path, tmp_path: Path) -> None:
    """At random moments of studies that go on or begin anew: every file opens, and the end is the same.

    The workers end by themselves.
    """
    generator, kills, turn = random.Random(4), 0, 0
    while kills < 20:
        folder = tmp_path / f"{turn}" / "trial"
        folder.parent.mkdir(exist_ok=True)
        process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.01")
        try:
            process.communicate(timeout=0.3 + 4 * generator.random())
        except subprocess.TimeoutExpired:
            process.kill()
            gone(process)
            kills += 1
            if (folder / "out" / "study.json").exists():
                read_manifest(folder / "out")
                contents(folder)
            continue
        assert process.returncode == 0
        assert contents(folder) == contents(whole)
        turn += 1
    assert ended(folder)[0] == 0
    assert contents(folder) == contents(whole)


# --- how far it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total_s", "share"), [(8.0, 0.25), (0.0, 1.0)])
def test_a_worker_tells_which_share_of_its_task_is_done(total_s: float, share: float) -> None:
    """Not the time of it; one that takes no time is done."""
    here, there = multiprocessing.Pipe(duplex=False)
    _teller(there)({"time_s": 2.0, "total_s": total_s})
    assert here.recv() == ("progress", share)


def test_the_time_left_is_that_of_the_tasks_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was done before, one and a half in 10 s: what is left are five and a half of seven."""
    study, clock = load_study(folder / "study.yaml"), SimpleNamespace(now=0.0)
    told: list[dict[str, Any]] = []
    execute_one(study, folder / "out", 0)
    monkeypatch.setattr("kmc.study.engine.time", SimpleNamespace(monotonic=lambda: clock.now, time=time.time))

    def one_and_a_half(
        tasks: Iterator[Task],
        out: Path,
        workers: int,
        on_done: OnDone,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        (first, _), (second, _) = next(tasks), next(tasks)
        clock.now = 10.0
        on_done(first, Result("done"))
        on_progress(second, 0.5)

    execute(study, folder / "out", telling=told.append, runner=one_and_a_half)
    assert told[-1]["left_s"] == pytest.approx(10.0 * 5.5 / 1.5, abs=0.1)


# --- failures --------------------------------------------------------------------------------------------


def test_failures_are_rows_and_are_tried_again(
    whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is a row with its reason, the rest is done; the dataset has NaN there; later they may succeed."""
    monkeypatch.setattr(fake_simulation, "Simulation", Failing)
    outcome = done(folder)
    assert not outcome.finished
    assert [failure.task for failure in outcome.failed] == [1, 3, 5, 7]
    table = rows(folder)
    assert [row["state"] for row in table] == ["done", "failed"] * 4
    assert table[7]["reason"] == "ZeroDivisionError: the fake was told to fail"
    assert "Traceback" in next((folder / "out" / "failed").glob("*.json")).read_text()
    ds = kmc.open(folder)
    assert ds["state"].values.ravel().tolist() == [1, 2] * 4
    assert np.isnan(ds["current"].isel(replicate=1)).all()
    assert app.main(["study", "status", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("trial: 4 of 8 tasks done, 4 failed, 0 missing\n")
    assert "task 7 (ligand ddab, thickness 40 nm, replicate 1, seed 6) failed: ZeroDivisionError" in told
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    assert done(folder).finished
    assert {row["state"] for row in rows(folder)} == {"done"}
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (UserError("the window has no room", next_step="widen it"), "the window has no room; widen it"),
        (atomic_files.WriteFailed("cannot write x: no space left"), "cannot write x: no space left"),
    ],
)
def test_reasons_are_plain_words(folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    """What a user can mend is told as it is elsewhere."""
    monkeypatch.setattr(fake_simulation, "Simulation", Failing)
    monkeypatch.setattr(Failing, "error", error)
    assert {failure.reason for failure in done(folder).failed} == {reason}


def test_a_worker_that_dies_takes_its_task_only(folder: Path) -> None:
    """Exit code 3; its task is a row that says so; the worker that takes its place does the others."""
    few = ("study.yaml", "--workers", "1", "--set", "variants.ligand=[ogb]")
    code, out, err = ended(folder, *few, KILL_SEED="5")
    assert (code, out) == (3, "")
    assert err.count("killed (signal 9): out of memory, or by hand") == 2
    assert "task 2 (ligand ogb, thickness 40 nm, seed 5) failed" in err
    assert [row["state"] for row in rows(folder)] == ["failed", "done"] * 2


LONG_AND_SHORT = """\
stack: ogb_20nm
protocols:
  short: [hold: {voltage: 1 V, duration: 1 ms, samples: 20}]
  long: [hold: {voltage: 1 V, duration: 1 ms, samples: 500}]
replicates: 2
"""


def test_a_full_disk_takes_the_tasks_that_do_not_fit(folder: Path) -> None:
    """Each is a row that says so, the rest is done; with room again only those are done."""
    (folder / "study.yaml").write_text(LONG_AND_SHORT)
    code, out, err = ended(folder, "study.yaml", "--workers", "1", FILE_LIMIT="40000")
    assert (code, out) == (3, "")
    assert err.count("no space left on the disk") == 2
    assert "Traceback" not in err
    assert [row["state"] for row in rows(folder)] == ["done"] * 2 + ["failed"] * 2
    assert len(contents(folder)) == 2
    assert not list((folder / "out").rglob("*.part"))
    code, out, _ = ended(folder, "study.yaml", "--json", "--quiet", "--workers", "1")
    assert code == 0
    assert (json.loads(out)["already_done"], json.loads(out)["done"]) == (2, 2)


def test_no_room_for_anything_is_said(folder: Path) -> None:
    """Not even the manifest fits: one line, exit code 3."""
    code, out, err = ended(folder, "study.yaml", "--quiet", FILE_LIMIT="100")
    assert (code, out) == (3, "")
    assert "no space left on the disk" in err
    assert err.count("\n") == 1


def test_a_worker_out_of_memory_takes_its_task_only(folder: Path) -> None:
    """Its allocation is refused: the task is a row with that reason, the same worker does the rest."""
    few = ("study.yaml", "--workers", "1", "--set", "variants.ligand=[ogb]")
    code, _, err = ended(folder, *few, HUNGRY_SEED="5")
    assert code == 3
    assert "seed 5) failed: out of memory" in err
    assert [row["state"] for row in rows(folder)] == ["failed", "done"] * 2
    assert {row["reason"] for row in rows(folder)} == {"", "out of memory"}


def refusing(part: str) -> Callable[..., Any]:
    """`os.replace` on a disk that was mounted read-only below folders called `part`."""
    replace = os.replace

    def refuse(source: Any, target: Any) -> None:
        if part in Path(target).parts:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(target))
        replace(source, target)

    return refuse


def test_a_disk_that_becomes_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: the reasons are told, and what cannot be written is a warning."""
    prepare(load_study(folder / "study.yaml"), folder / "out")
    monkeypatch.setattr(os, "replace", refusing("out"))
    outcome = done(folder)
    assert len(outcome.failed) == TASKS
    assert all("read-only file system" in failure.reason for failure in outcome.failed)
    assert any("tasks.csv" in warning for warning in outcome.warnings)
    monkeypatch.undo()


def test_a_read_only_folder_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 3."""
    monkeypatch.setattr(os, "replace", refusing("out"))
    assert app.main(["study", str(folder / "study.yaml"), "--quiet"]) == 3
    told = capsys.readouterr().err
    assert "study.json: read-only file system; choose a folder that may be written" in told
    assert told.count("\n") == 1


def test_a_wall_limit_keeps_the_work(whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that reaches it has failed with that reason; the next go continues where it stopped."""
    monkeypatch.setattr(fake_simulation.Simulation, "slow_s", 0.002)
    outcome = done(folder, "settings.wall_limit_s=0.05 s")
    assert {failure.reason for failure in outcome.failed} == {"the wall limit of 0.05 s was reached"}
    assert len(list((folder / "out" / "work").glob("*/checkpoint.npz"))) == TASKS
    assert done(folder).finished
    assert kmc.open(folder).load().drop_attrs().equals(kmc.open(whole).load().drop_attrs())


# --- only what is missing or changed ---------------------------------------------------------------------


def test_only_what_changed_is_done_again(folder: Path) -> None:
    """One more thickness is two more tasks a replicate; going back needs none."""
    assert done(folder).done == TASKS
    outcome = done(folder, "variants.thickness=[20 nm, 40 nm, 60 nm]")
    assert (outcome.tasks, outcome.already, outcome.done) == (12, 8, 4)
    assert kmc.open(folder).sizes["thickness"] == 3
    outcome = done(folder)
    assert (outcome.tasks, outcome.already, outcome.done) == (8, 8, 0)
    assert kmc.open(folder).sizes["thickness"] == 2
    assert done(folder, "choices.electrode.bond_energy=0.3 eV").done == TASKS


def test_the_table_is_that_of_the_study_as_it_is_now(folder: Path) -> None:
    """Also where nothing is left to do: fewer values, another order; written only where it changes."""
    done(folder)
    table = folder / "out" / "tasks.csv"
    assert done(folder, "variants.ligand=[ddab, ogb]", "variants.thickness=[20 nm]").done == 0
    assert [row["ligand"] for row in rows(folder)] == ["ddab"] * 2 + ["ogb"] * 2
    assert [row["hash"] for row in rows(folder)] == read_manifest(folder / "out").tasks
    before = table.stat()
    assert done(folder, "variants.ligand=[ddab, ogb]", "variants.thickness=[20 nm]").done == 0
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_others_did_of_an_interrupted_study_is_in_the_table(folder: Path) -> None:
    """The rest done by `--task`, the command has nothing to do and writes their rows."""
    study, out = load_study(folder / "study.yaml"), folder / "out"
    execute(study, out, runner=lambda *_: None)
    assert {row["state"] for row in rows(folder)} == {"missing"}
    for index in range(TASKS):
        execute_one(study, out, index)
    assert done(folder).already == TASKS
    assert {row["state"] for row in rows(folder)} == {"done"}


def test_a_task_by_itself_is_done_in_a_copied_folder(folder: Path) -> None:
    """Copies leave empty folders out: those of tasks are made, and a reason why one failed is kept."""
    study, out = load_study(folder / "study.yaml"), folder / "out"
    prepare(study, out)
    for name in ("tasks", "failed", "work"):
        (out / name).rmdir()
    assert execute_one(study, out, 0)[0].state == "done"


def test_another_study_is_refused(folder: Path) -> None:
    """A folder belongs to the study of one name; its results are not touched."""
    done(folder)
    before = contents(folder)
    (folder / "other.yaml").write_text(STUDY)
    with pytest.raises(UserError, match='holds the study "trial"'):
        execute(load_study(folder / "other.yaml"), folder / "out", runner=in_process)
    assert contents(folder) == before


def cut_off(data: bytes) -> bytes:
    """The end is missing."""
    return data[:-500]


def flipped(data: bytes) -> bytes:
    """One bit of a value is another one; the length and the last line are as they were."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [cut_off, flipped])
def test_damaged_results_are_found(whole: Path, folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """One is done again; until then the rest can be read, and what is damaged is named."""
    done(folder)
    first = str(kmc.open(folder)["task"].values.flat[0])  # whose attributes are the study's
    path = folder / "out" / "tasks" / f"{first}.nc"
    path.write_bytes(damage(path.read_bytes()))
    ds = kmc.open(folder)
    where = np.argwhere(ds["task"].values == path.stem)[0]
    with pytest.raises(CorruptFile, match=path.name):
        ds["current"][tuple(where)].load()
    other = (1 - where[0], *where[1:])
    assert ds["current"][tuple(other)].notnull().all()
    assert done(folder).done == 1
    assert contents(folder) == contents(whole)


def test_a_damaged_manifest_is_said(folder: Path) -> None:
    """Exit code 3 of `kmc study status`; removed, the study goes on with the results there are."""
    done(folder)
    path = folder / "out" / "study.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(CorruptFile, match=r"study\.json cannot be read"):
        kmc.open(folder)
    path.unlink()
    assert done(folder).already == TASKS


# --- versions, and others in the folder ------------------------------------------------------------------


def other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the program is one whose engine has changed."""
    found = {**provenance.versions(), "engine": "f" * 16}
    monkeypatch.setattr(provenance, "_versions", lambda: found)


def test_results_of_two_versions_are_told_as_long_as_they_are_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By each go, status and --slurm, whoever wrote the manifest last; not where all are of one version."""
    out = folder / "out"
    assert done(folder, "replicates=1").warnings == []
    assert not status(out)["other_versions"]
    with monkeypatch.context() as newer:
        other_versions(newer)
        for _ in range(2):
            (told,) = done(folder).warnings
            assert told.startswith(f"4 of 8 tasks in {out} were done by other versions of the program")
            assert status(out)["other_versions"]
        assert app.main(["study", "status", str(folder)]) == 0
        assert "  some were done by other versions of the program\n" in capsys.readouterr().out
        assert app.main(["study", str(folder / "study.yaml"), "--slurm", str(folder / "job.sh")]) == 0
        assert capsys.readouterr().err == f"warning: {told}\n"
    assert status(out)["other_versions"]  # as the manifest, four results are of the newer one
    assert done(folder, "replicates=1").warnings == []


def test_a_task_tells_that_the_study_is_of_other_versions(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It looks at the manifest alone: thousands of tasks cannot each look at the results of all."""
    command, out = ["study", str(folder / "study.yaml"), "--task"], folder / "out"
    assert app.main([*command, "0"]) == 0
    assert capsys.readouterr().err == ""
    with monkeypatch.context() as newer:
        other_versions(newer)
        assert app.main([*command, "1"]) == 0
        told = f"warning: {out} was begun with other versions; what is done is kept as it is\n"
        assert capsys.readouterr().err == told
    assert status(folder / "out")["other_versions"]  # task 1 is


def test_no_script_is_written_for_a_study_that_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its manifest stays as it is."""
    prepare(load_study(folder / "study.yaml"), folder / "out")
    before = (folder / "out" / "study.json").read_bytes()
    command = ["study", str(folder / "study.yaml"), "--slurm", str(folder / "job.sh"), "--set", "seed=9"]
    with atomic_files.only_one(folder / "out"):
        assert app.main(command) == 2
    assert "another process is writing" in capsys.readouterr().err
    assert (folder / "out" / "study.json").read_bytes() == before
    assert not (folder / "job.sh").exists()


def test_files_that_a_task_is_writing_are_not_swept(folder: Path) -> None:
    """A cluster's tasks hold no lock. What a killed one left an hour ago goes."""
    prepare(load_study(folder / "study.yaml"), folder / "out")
    left = folder / "out" / "tasks" / ".0.nc.7.part"
    left.touch()
    os.utime(left, (time.time() - 4000.0,) * 2)
    with atomic_files.replacing(folder / "out" / "tasks" / "1.nc") as temporary:
        temporary.touch()
        prepare(load_study(folder / "study.yaml"), folder / "out")
        assert temporary.exists()
    assert not left.exists()


def test_tasks_that_no_longer_apply_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spread on a card names other tasks; fewer replicates or variants, and more of them, lose none."""
    out = folder / "out"
    study = load_study(folder / "study.yaml")
    prepare(study, out)
    perform(study.task(0), out)
    for change in ("replicates=1", "replicates=3", "variants.ligand=[ogb]", "variants.ligand=[ogb, ddab]"):
        assert prepare(load_study(folder / "study.yaml", [change]), out) == []
    told = prepare(load_study(folder / "study.yaml", ["settings={refresh_bound: 1.0}"]), out)
    assert len(told) == 1
    assert "1 finished task is none of the study's any more" in told[0]


def test_work_on_a_damaged_result_is_kept(folder: Path) -> None:
    """It is what goes on; beside a sound result it is a leftover."""
    study, out = load_study(folder / "study.yaml"), folder / "out"
    prepare(study, out)
    perform(study.task(0), out)
    name = study.task(0).name
    result, work = out / "tasks" / f"{name}.nc", out / "work" / name
    sound = result.read_bytes()
    for content, kept in ((sound[:-5], True), (sound, False)):
        result.write_bytes(content)
        work.mkdir(exist_ok=True)
        (work / "checkpoint.npz").touch()
        prepare(study, out)
        assert work.exists() is kept


@pytest.mark.parametrize("older_s", [0.0, 3600.0])
def test_a_leftover_that_another_process_clears_first_is_no_error(
    tmp_path: Path, older_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes begin the same study: each sees the file, one removes it; other refusals are told."""
    left = tmp_path / ".0.nc.7.part"
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([left]))
    atomic_files.sweep(tmp_path, older_s)
    left.mkdir()  # which cannot be removed as a file
    os.utime(left, (time.time() - 4000.0,) * 2)
    with pytest.raises(atomic_files.WriteFailed):
        atomic_files.sweep(tmp_path, older_s)


# --- one task, a cluster ---------------------------------------------------------------------------------


def test_one_task_by_its_number(whole: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--task is idempotent, needs no study before it, and refuses a study that has changed since."""
    file = str(folder / "study.yaml")
    for _ in range(2):
        assert app.main(["study", file, "--task", "3"]) == 0
        assert [Path(capsys.readouterr().out.strip()).name] == list(contents(folder))
    assert contents(folder).items() < contents(whole).items()
    assert app.main(["study", file, "--task", "3", "--set", "seed=9"]) == 2
    assert "the study has changed" in capsys.readouterr().err


def test_the_slurm_script_does_every_task(whole: Path, folder: Path, tmp_path: Path) -> None:
    """An element of the array, run by the shell in place of SLURM, does its block of the tasks."""
    tools = tmp_path / "tools"
    assert app.main(["study", str(folder / "study.yaml"), "--slurm", str(folder / "job.sh")]) == 0
    text = (folder / "job.sh").read_text()
    assert f"#SBATCH --array=0-{TASKS - 1}\n" in text
    assert contents(folder) == {}
    tools.mkdir()
    (tools / "kmc").write_text(f'#!/bin/sh\nexec {sys.executable} {CHILD} "$@"\n')
    (tools / "kmc").chmod(0o755)
    (folder / "job.sh").write_text(text.replace(f"{sys.executable} -m kmc", "kmc"))
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "FAIL_SEED": "6"}
    codes = [
        subprocess.run(
            ["bash", "job.sh"],
            cwd=folder,
            check=False,
            timeout=60,
            capture_output=True,
            env={**environment, "SLURM_ARRAY_TASK_ID": element},
        ).returncode
        for element in ("0", "7")
    ]
    assert codes == [0, 3]
    assert len(contents(folder)) == 1
    assert contents(folder).items() < contents(whole).items()


def test_slurm_reads_no_pattern_in_the_folder(folder: Path) -> None:
    """A % of its path is a %; those of the log's own name stay what SLURM fills in."""
    study = load_study(folder / "study.yaml")
    script = write_script(study, folder / "50%j", folder / "job.sh").read_text()
    assert f"{folder}/50%%j/slurm-%A_%a.log" in script


def test_the_slurm_script_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone on standard output."""
    script = folder / "job.sh"
    assert app.main(["study", str(folder / "study.yaml"), "--slurm", str(script), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"script": str(script), "out": str(folder / "out"), "tasks": TASKS}


def test_resume_names_the_command_of_a_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its changes, from where it is asked; of one of its tasks too."""
    monkeypatch.chdir(folder)
    assert app.main(["study", "study.yaml", "--task", "0", "--set", "seed=9", "--out", "b c"]) == 0
    Path("b c/work/0").mkdir()
    for given in ("b c", "b c/work/0"):
        capsys.readouterr()
        assert app.main(["resume", given]) == 2
        told = capsys.readouterr().err
        assert told.endswith("is of a study; go on with: kmc study study.yaml --out 'b c' --set seed=9\n")


def test_resume_knows_what_is_of_a_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A task's folder wherever it is asked from; not what is not there, or lies elsewhere."""
    assert app.main(["study", str(folder / "study.yaml"), "--task", "0", "--out", str(folder / "b")]) == 0
    for part in ("b/work/0", "b/mine/run"):
        (folder / part).mkdir(parents=True)
    for here, given, file in (
        ("b", ".", "../study.yaml --out ."),
        ("b/work", "0", "../../study.yaml --out .."),
        ("b/work/0", ".", "../../../study.yaml --out ../.."),
    ):
        monkeypatch.chdir(folder / here)
        capsys.readouterr()
        assert app.main(["resume", given]) == 2
        assert capsys.readouterr().err.endswith(f"is of a study; go on with: kmc study {file}\n")
    for here, given in (("b", "foo"), (".", "b/mine/run"), (".", "b/mine/none"), (".", "b/work/none")):
        monkeypatch.chdir(folder / here)
        assert app.main(["resume", given]) == 2
        assert "holds no run to go on with" in capsys.readouterr().err


def test_large_arrays_are_blocked(folder: Path) -> None:
    """No more than a thousand elements, and every task in one of them."""
    study = load_study(folder / "study.yaml", ["replicates=626"])
    text = write_script(study, folder / "out", folder / "job.sh").read_text()
    assert study.count == 2504
    assert "--array=0-834\n" in text
    assert "SLURM_ARRAY_TASK_ID * 3;" in text


def test_an_element_does_all_of_its_block(folder: Path) -> None:
    """The first, the next and the last, which is shorter, as the shell counts; of the study as it was set."""
    study = load_study(folder / "study.yaml", ["replicates=626"])
    script = write_script(study, folder / "out", folder / "job.sh")
    script.write_text(script.read_text().replace(f"{sys.executable} -m kmc", "echo"))
    lines = []
    for element in ("0", "1", "834"):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": element}
        shell = subprocess.run(
            ["bash", "job.sh"], cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
        lines += shell.stdout.splitlines()
    assert [int(line.split(" --task ")[1].split()[0]) for line in lines] == [0, 1, 2, 3, 4, 5, 2502, 2503]
    assert all(" --set replicates=626 " in line for line in lines)


# --- one dataset -----------------------------------------------------------------------------------------


def test_all_results_are_one_lazy_dataset(whole: Path) -> None:
    """Coordinates by name and value; an index reads what it names; the values are the files' own."""
    ds = kmc.open(whole)
    assert dict(ds.sizes) == {"ligand": 2, "thickness": 2, "replicate": 2, "sample": 31}
    assert ds["thickness"].attrs["units"] == "nm"
    assert ds["seed"].values.tolist() == [5, 6]
    assert not ds["current"].variable._in_memory
    assert json.loads(ds.attrs["run"])["stack"]
    assert json.loads(ds.attrs["versions"])["engine"]
    assert ds.attrs["Conventions"].startswith("CF")
    assert ds["limited"].attrs["flag_values"].dtype == ds["limited"].dtype
    assert all(one.attrs["long_name"] for one in ds.variables.values())
    with pytest.raises(UserError, match=r"kmc\.open takes one path"):
        kmc.open([whole, whole])  # type: ignore[arg-type]
    one = ds.sel(ligand="ddab", thickness=40.0).isel(replicate=1)
    alone = dataset.open(whole / "out" / "tasks" / f"{one['task'].item()}.nc")
    assert json.loads(alone.attrs["run"])["seed"] == 6
    for name in ("time", "current", "events"):
        np.testing.assert_array_equal(one[name].values, alone[name].values)
    part = ds["conductance"].isel(ligand=[1, 0], replicate=1, sample=slice(4, None, 5)).values
    np.testing.assert_array_equal(part, ds.load()["conductance"].values[[1, 0], :, 1, 4::5])


def test_shorter_traces_are_filled_up(folder: Path) -> None:
    """Protocols of other lengths are one array; NaN follows the shorter."""
    (folder / "study.yaml").write_text(
        "stack: ogb_20nm\nprotocols:\n  short: [hold: {voltage: 1 V, duration: 1 ms, samples: 300}]\n"
        "  long: [hold: {voltage: 1 V, duration: 1 ms, samples: 800}]\n"
    )
    assert done(folder).finished
    counts = kmc.open(folder)["time"].notnull().sum("sample").squeeze("replicate")
    assert counts.sel(protocol="short").item() == 300
    assert counts.sel(protocol="long").item() == 800


@pytest.mark.slow
def test_ten_thousand_tasks(tmp_path: Path) -> None:
    """Bounded memory; a finished study is seen to be finished within 3 s of processor time."""
    import resource

    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "study.yaml").write_text(
        "stack: ogb_20nm\nvariants: {ligand: [ogb, ddab], thickness: [20 nm, 30 nm, 40 nm, 60 nm, 90 nm]}\n"
        "protocol: [hold: {voltage: 1 V, duration: 1 ms, samples: 2}]\nreplicates: 1000\n"
    )
    peak = tmp_path / "peak"
    process = started(folder, "study.yaml", "--workers", "2", "--quiet", PEAK_TO=str(peak))
    assert process.wait() == 0
    assert 20_000 < int(peak.read_text()) < 400_000  # kB; a small study takes 70 MB
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(ended(folder, "study.yaml", "--json")[1])["already_done"] == 10_000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


_FREED = """
from pathlib import Path
import numpy as np
from kmc.study.worker_pool import give_back

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

arrays = [np.ones(12_000) for _ in range(3000)]  # 280 MB in pieces that glibc keeps on its heap
pins = [arrays[k][:1].copy() for k in range(3000)]
full = held()
del arrays[:-1]
before = held()
give_back()
print(full, before, held())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and only glibc gives back")
def test_memory_of_an_ended_run_is_given_back() -> None:
    """Though one small array at the heap's end keeps the rest of it there."""
    done = subprocess.run([sys.executable, "-c", _FREED], capture_output=True, text=True, check=True)
    full, _, after = map(float, done.stdout.split())
    assert after < full - 150.0
