"""Studies that run: the same bytes however they were run, failures as rows, and only what is missing is done."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kmc
from kmc import dataset
from kmc.errors import CorruptFile
from kmc.study.manifest import read_manifest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

CHILD = Path(__file__).resolve().parent / "study_child.py"
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
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip


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


def test_two_workers_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    """And all tasks are there once."""
    assert ended(tmp_path / "trial", "study.yaml", "--workers", "2")[0] == 0
    assert len(contents(whole)) == TASKS
    assert contents(tmp_path / "trial") == contents(whole)


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until `count` tasks are done."""
    end = time.monotonic() + 60
    while len(list((folder / "out").glob("tasks/*.nc"))) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_control_c_keeps_what_is_done(whole: Path, tmp_path: Path) -> None:
    """Exit code 3 within seconds; a task under way keeps its checkpoint; the rest is done later, and only that."""
    folder = tmp_path / "trial"
    process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.02")
    wait_for(folder, 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "tasks are kept" in err
    assert "Traceback" not in err
    past = contents(folder)
    assert 2 <= len(past) < TASKS
    assert list((folder / "out" / "work").glob("*/checkpoint.npz"))
    code, out, _ = ended(folder, "study.yaml", "--json")
    told = json.loads(out)
    assert (code, told["already_done"], told["done"]) == (0, len(past), TASKS - len(past))
    assert contents(folder) == contents(whole)
    assert list((folder / "out" / "work").iterdir()) == []


def test_kill_9_loses_nothing(whole: Path, tmp_path: Path) -> None:
    """The parent is killed thrice at random; its workers end by themselves; going on ends the same."""
    folder, generator = tmp_path / "trial", random.Random(3)
    for _ in range(3):
        process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.01")
        time.sleep(1.2 + generator.random())
        process.kill()
        process.communicate(timeout=30)  # the pipes are closed when the workers are gone, too
        contents(folder)
    assert ended(folder)[0] == 0
    assert contents(folder) == contents(whole)


@pytest.mark.slow
def test_kill_9_twenty_times(whole: Path, tmp_path: Path) -> None:
    """At random moments of studies that go on or begin anew."""
    generator, kills, round_ = random.Random(4), 0, 0
    while kills < 20:
        folder = tmp_path / f"{round_}" / "trial"
        folder.parent.mkdir(exist_ok=True)
        process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.005")
        try:
            process.communicate(timeout=0.3 + 3 * generator.random())
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=30)
            kills += 1
            if (folder / "out" / "study.json").exists():
                read_manifest(folder / "out")
                contents(folder)
            continue
        assert process.returncode == 0
        assert contents(folder) == contents(whole)
        round_ += 1
    assert ended(folder)[0] == 0
    assert contents(folder) == contents(whole)


def test_failures_are_rows_and_are_tried_again(whole: Path, tmp_path: Path) -> None:
    """Exit code 3, each failure named at the end and in tasks.csv, the rest done; later they may succeed."""
    folder = tmp_path / "trial"
    code, out, err = ended(folder, "study.yaml", "--workers", "2", FAIL_SEED="6")
    assert (code, out) == (3, "")
    assert err.count("failed: ZeroDivisionError: the fake was told to fail") == 4
    assert "task 7 (ligand ddab, thickness 40 nm, seed 6) failed" in err
    table = rows(folder)
    assert [row["state"] for row in table] == ["done", "failed"] * 4
    assert table[7]["reason"] == "ZeroDivisionError: the fake was told to fail"
    assert "Traceback" in next((folder / "out" / "failed").glob("*.json")).read_text()
    ds = kmc.open(folder)
    assert ds["state"].values.ravel().tolist() == [1, 2] * 4
    assert np.isnan(ds["current"].isel(replicate=1)).all()
    assert ended(folder)[0] == 0
    assert {row["state"] for row in rows(folder)} == {"done"}
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(("name", "words"), [("KILL_SEED", "killed (signal 9): out of memory, or by hand"),
                                             ("MEMORY_SEED", "out of memory")])  # fmt: skip
def test_a_worker_that_dies_takes_its_task_only(tmp_path: Path, name: str, words: str) -> None:
    """Its tasks are rows that say so; others are done by the worker that takes its place."""
    code, _, err = ended(tmp_path / "trial", "study.yaml", "--workers", "1", **{name: "5"})
    assert code == 3
    assert err.count(words) == 4
    assert [row["state"] for row in rows(tmp_path / "trial")] == ["failed", "done"] * 4


def test_only_what_changed_is_done_again(whole: Path, tmp_path: Path) -> None:
    """One more thickness is two more tasks a replicate; going back needs none."""
    folder = tmp_path / "trial"
    assert ended(folder)[0] == 0
    more = ("study.yaml", "--json", "--set", "variants.thickness=[20 nm, 40 nm, 60 nm]")
    told = json.loads(ended(folder, *more)[1])
    assert (told["tasks"], told["already_done"], told["done"]) == (12, 8, 4)
    assert kmc.open(folder).sizes["thickness"] == 3
    told = json.loads(ended(folder, "study.yaml", "--json")[1])
    assert (told["tasks"], told["already_done"], told["done"]) == (8, 8, 0)
    assert kmc.open(folder).sizes["thickness"] == 2


def test_damaged_results_are_found(whole: Path, tmp_path: Path) -> None:
    """A truncated one is done again; until then the rest can be read, and what is damaged is named."""
    folder = tmp_path / "trial"
    assert ended(folder)[0] == 0
    path = sorted((folder / "out" / "tasks").glob("*.nc"))[3]
    path.write_bytes(path.read_bytes()[:-500])
    ds = kmc.open(folder)
    where = np.argwhere(ds["task"].values == path.stem)[0]
    with pytest.raises(CorruptFile, match=path.name):
        ds["current"][tuple(where)].load()
    other = (1 - where[0], *where[1:])
    assert ds["current"][tuple(other)].notnull().all()
    assert json.loads(ended(folder, "study.yaml", "--json")[1])["done"] == 1
    assert contents(folder) == contents(whole)


def test_one_task_by_its_number(whole: Path, tmp_path: Path) -> None:
    """--task is idempotent, needs no study before it, and refuses a study that has changed since."""
    folder = tmp_path / "trial"
    for _ in range(2):
        code, out, _ = ended(folder, "study.yaml", "--task", "3")
        assert code == 0
        assert [Path(out.strip()).name] == list(contents(folder))
    assert contents(folder).items() < contents(whole).items()
    code, _, err = ended(folder, "study.yaml", "--task", "3", "--set", "seed=9")
    assert code == 2
    assert "the study has changed" in err


def test_the_slurm_script_does_every_task(whole: Path, tmp_path: Path) -> None:
    """Each element of the array, run by the shell in place of SLURM, does its block of the tasks."""
    folder, tools = tmp_path / "trial", tmp_path / "tools"
    assert ended(folder, "study.yaml", "--slurm", "job.sh")[:2] == (0, "job.sh\n")
    text = (folder / "job.sh").read_text()
    assert f"#SBATCH --array=0-{TASKS - 1}\n" in text
    tools.mkdir()
    (tools / "kmc").write_text(f'#!/bin/sh\nexec {sys.executable} {CHILD} "$@"\n')
    (tools / "kmc").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    for element in (0, TASKS - 1):
        subprocess.run(["bash", "job.sh"], cwd=folder, check=True, timeout=60, capture_output=True,
                       env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": str(element)})  # fmt: skip
    assert contents(folder).items() < contents(whole).items()
    assert len(contents(folder)) == 2
    script = subprocess.run(["bash", "job.sh"], cwd=folder, check=False, timeout=60, capture_output=True,
                            env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": "1", "FAIL_SEED": "6"})
    assert script.returncode == 3


def test_status_is_told_from_outside(whole: Path, tmp_path: Path) -> None:
    """While it runs: what is done, which tasks are under way, time left. Afterwards: the failures."""
    folder = tmp_path / "trial"
    process = started(folder, "study.yaml", "--workers", "2", SLOW_S="0.03", FAIL_SEED="5")
    wait_for(folder, 1, process)
    told = json.loads(ended(folder, "status", "out", "--json")[1])
    assert told["running"] is not None
    assert told["done"] >= 1
    refused = ended(folder)
    assert refused[0] == 2
    assert "another process is writing" in refused[2]
    process.communicate(timeout=60)
    told = json.loads(ended(folder, "status", ".", "--json")[1])
    assert (told["done"], told["failed"], told["running"]) == (4, 4, None)
    assert told["failures"][0]["reason"].startswith("ZeroDivisionError")
    assert ended(folder, "status", "out")[1].startswith("trial: 4 of 8 tasks done, 4 failed, 0 missing\n")


def test_all_results_are_one_lazy_dataset(whole: Path) -> None:
    """Coordinates by name and value; an index reads what it names; the values are the files' own."""
    ds = kmc.open(whole)
    assert dict(ds.sizes) == {"ligand": 2, "thickness": 2, "replicate": 2, "sample": 31}
    assert ds["thickness"].attrs["units"] == "nm"
    assert ds["seed"].values.tolist() == [5, 6]
    assert not ds["current"].variable._in_memory
    one = ds.sel(ligand="ddab", thickness=40.0).isel(replicate=1)
    alone = dataset.open(whole / "out" / "tasks" / f"{one['task'].item()}.nc")
    assert json.loads(alone.attrs["run"])["seed"] == 6
    for name in ("time", "current", "events"):
        np.testing.assert_array_equal(one[name].values, alone[name].values)
    part = ds["conductance"].isel(ligand=[1, 0], replicate=1, sample=slice(4, None, 5)).values
    np.testing.assert_array_equal(part, ds.load()["conductance"].values[[1, 0], :, 1, 4::5])


def test_shorter_traces_are_filled_up(tmp_path: Path) -> None:
    """Protocols of other lengths are one array; NaN follows the shorter."""
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "study.yaml").write_text(
        "stack: ogb_20nm\nprotocols:\n  short: [hold: {voltage: 1 V, duration: 1 ms, samples: 3}]\n"
        "  long: [hold: {voltage: 1 V, duration: 1 ms, samples: 8}]\n")  # fmt: skip
    assert ended(folder)[0] == 0
    counts = kmc.open(folder)["time"].notnull().sum("sample").squeeze("replicate")
    assert counts.sel(protocol="short").item() < counts.sel(protocol="long").item()


@pytest.mark.slow
def test_ten_thousand_tasks(tmp_path: Path) -> None:
    """Bounded memory; a finished study is seen to be finished within 3 s of processor time."""
    import resource

    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "study.yaml").write_text(
        "stack: ogb_20nm\nvariants: {ligand: [ogb, ddab], thickness: [20 nm, 30 nm, 40 nm, 60 nm, 90 nm]}\n"
        "protocol: [hold: {voltage: 1 V, duration: 1 ms, samples: 2}]\nreplicates: 1000\n")  # fmt: skip
    process = started(folder, "study.yaml", "--workers", "2", "--quiet")
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    assert usage.ru_maxrss < 400_000  # kB; the program itself takes 200 MB
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(ended(folder, "study.yaml", "--json")[1])["already_done"] == 10_000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
