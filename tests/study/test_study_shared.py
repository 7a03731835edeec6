"""A study's folder that several processes, users and files share: on clusters, and without locks."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from pathlib import Path

import fake_simulation
import numpy as np
import pytest

import kmc
from kmc.cli import app
from kmc.core import atomic_files
from kmc.core.errors import CorruptFile
from kmc.io import dataset
from kmc.study import load_study
from kmc.study.engine import prepare, status
from kmc.study.manifest import read_manifest, write_table
from kmc.study.task import perform

fcntl = pytest.importorskip("fcntl")

STUDY = """\
stack: ogb_20nm
variants: {ligand: [ogb, ddab]}
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}
replicates: 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study; the fake simulation is in this process, and writes a checkpoint at each look."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    monkeypatch.setattr("kmc.study.task._CHECKPOINT_S", 0.001)
    monkeypatch.setattr("kmc.simulation.run_to_folder._MOST_COST", 1e9)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def rows(folder: Path) -> list[dict[str, str]]:
    """tasks.csv."""
    with (folder / "out" / "tasks.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_task_that_is_done_twice_at_once_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no locks: the second to finish leaves the first one's result as it is, and ends
    well, though the segments from before the first one's end are gone."""
    study = load_study(folder / "study.yaml")
    run = study.task(0)
    for place in ("alone", "out"):
        prepare(study, folder / place)
    assert perform(run, folder / "alone").state == "done"
    refused: list[int] = []

    def no_lock(*_: object) -> None:
        refused.append(1)
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    monkeypatch.setattr("kmc.simulation.run_to_folder._LEAST_SHARE", 0.0)
    work, others = folder / "out" / "work" / run.name, []

    def while_another_does_it() -> bool:
        if len(list(work.glob("segments/*.nc"))) == 3 and not others:
            others.append(perform(run, folder / "out").state)
        return False

    assert perform(run, folder / "out", None, while_another_does_it).state == "done"
    assert others == ["done"]
    assert refused
    alone, twice = (next((folder / place / "tasks").glob("*.nc")) for place in ("alone", "out"))
    assert dataset.verify(twice) == []
    assert dataset.open(twice).attrs["content_sha256"] == dataset.open(alone).attrs["content_sha256"]
    assert not list((folder / "out" / "failed").glob("*"))


def test_a_task_that_is_under_way_is_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second process gives up on it, and keeps no reason; status says that it is under way."""
    monkeypatch.setattr("kmc.study.task._PATIENCE_S", 0.0)
    study, out = load_study(folder / "study.yaml"), folder / "out"
    prepare(study, out)
    work = out / "work" / study.task(1).name
    work.mkdir()
    with atomic_files.only_one(work):
        result = perform(study.task(1), out)
        assert (result.state, status(out)["elsewhere"]) == ("failed", [1])
        assert "another process is writing" in result.reason
        assert app.main(["study", "status", str(out)]) == 0
        assert "under way, each by itself: 1" in capsys.readouterr().out
    assert status(out)["failed"] == 0
    assert status(out)["elsewhere"] == []
    assert perform(study.task(1), out).state == "done"


def test_the_table_is_of_the_study_as_it_was_last_given(folder: Path) -> None:
    """Before its first task is done, and by --slurm; what failed and could not be kept has its row."""
    prepare(load_study(folder / "study.yaml"), folder / "out")
    assert [row["state"] for row in rows(folder)] == ["missing"] * 4
    study = load_study(folder / "study.yaml", ["variants.ligand=[ddab]"])
    assert perform(study.task(1), folder / "out").state == "done"
    prepare(study, folder / "out")
    assert [(row["ligand"], row["state"]) for row in rows(folder)] == [("ddab", "missing"), ("ddab", "done")]
    write_table(folder / "out", read_manifest(folder / "out"), {0: "no space is left", 1: "not so"})
    told = [(row["state"], row["reason"]) for row in rows(folder)]
    assert told == [("failed", "no space is left"), ("done", "")]


def test_values_are_read_wherever_the_program_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that was opened by a relative path; one that was moved since is gone, and not damaged."""
    study = load_study(folder / "study.yaml")
    prepare(study, folder / "out")
    for k in range(study.count):
        perform(study.task(k), folder / "out")
    monkeypatch.chdir(folder)
    found = kmc.open("out")
    monkeypatch.chdir("/")
    assert np.isfinite(found["current"].isel(sample=0).values).all()
    os.rename(folder / "out", folder / "moved")
    with pytest.raises(CorruptFile, match=r"is gone; open the study where it is now"):
        _ = found["conductance"].values


def test_a_damaged_manifest_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `kmc verify`, beside the results, which are sound."""
    study = load_study(folder / "study.yaml")
    prepare(study, folder / "out")
    perform(study.task(0), folder / "out")
    assert app.main(["verify", str(folder / "out")]) == 0
    assert capsys.readouterr().out == "2 files checked, 0 with problems\n"
    manifest = folder / "out" / "study.json"
    manifest.write_bytes(manifest.read_bytes()[:300])
    assert app.main(["verify", str(folder / "out"), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["problems"]
    assert found == [{"path": str(manifest), "problem": "cannot be read"}]


def test_another_file_of_the_same_name_is_told(folder: Path) -> None:
    """Whose study takes the place of the first; one that was moved with its folder is the same."""
    assert prepare(load_study(folder / "study.yaml"), folder / "out") == []
    (folder / "other").mkdir()
    other = folder / "other" / folder.name / "study.yaml"
    other.parent.mkdir()
    other.write_text(STUDY)
    assert prepare(load_study(folder / "study.yaml"), folder / "out") == []
    told = prepare(load_study(other), folder / "out")
    assert any(f"was begun by another file, {folder / 'study.yaml'}" in one for one in told)


def test_lines_of_ones_own_in_the_script_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those above ours, when it is written again for a study that has grown; one below ours is refused."""
    script = folder / "job.sh"
    command = ["study", str(folder / "study.yaml"), "--slurm", str(script)]
    assert app.main(command) == 0
    text = script.read_text()
    assert f"{sys.executable} -m kmc study" in text  # which a job finds without the shell's path
    mark = next(line for line in text.splitlines() if line.startswith("# 4 tasks"))
    own = "#SBATCH --account=lab\n#SBATCH --time=02:00:00\nmodule load x\n"
    script.write_text(text.replace(mark, own + mark).replace("--mem-per-cpu=1500M", "--mem-per-cpu=3G"))
    assert app.main([*command, "--set", "replicates=5"]) == 0
    again = script.read_text()
    assert own in again
    assert "--array=0-9\n" in again
    assert "# 10 tasks" in again
    assert "--array=0-3" not in again
    assert "--mem-per-cpu=3G\n" in again
    assert again.count("--mem-per-cpu") == again.count("--job-name") == again.count("#!/bin/bash") == 1
    assert app.main([*command, "--set", "replicates=5"]) == 0
    assert script.read_text() == again
    script.write_text(again.replace("worst=0\n", "worst=0\nmodule load y\n"))
    capsys.readouterr()
    assert app.main(command) == 2
    assert "has a line of yours below ours: module load y" in capsys.readouterr().err
    assert "module load y" in script.read_text()
