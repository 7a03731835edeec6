"""The records beside results, written by the program and read back as if an enemy had: paths stay inside."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import fake_simulation
import pytest
from test_dataset import about, rows_of

import kmc
from kmc.cli import app
from kmc.core.errors import CorruptFile
from kmc.io import dataset
from kmc.io.run_folder import read_record
from kmc.study import load_study
from kmc.study.manifest import manifest_of, read_manifest, result_path, write_manifest

RUN = """stack: ogb_20nm
protocol: [hold: {voltage: 0.5 V, duration: 1 ms}]
"""
OUTSIDE = ("../../secret", "/etc/passwd", "..", "", "a/b", "a\\b", "\0", "\ud800", "x" * 300)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two tasks with one result, beside it a dataset that is not its own, and a finished run."""
    home = tmp_path_factory.mktemp("made")
    for name, text in (("study/study.yaml", RUN + "replicates: 2\n"), ("run/quick.yaml", RUN)):
        (home / name).parent.mkdir()
        (home / name).write_text(text)
    loaded, out = load_study(home / "study" / "study.yaml"), home / "study" / "out"
    write_manifest(out, manifest_of(loaded, out))
    for target in (result_path(out, loaded.hashes[0]), home / "study" / "secret.nc"):
        dataset.write(target, dataset.build(rows_of(5), [], about()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        assert app.main(["run", str(home / "run" / "quick.yaml"), "--quiet", "--no-picture"]) == 0
    return home


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """The output folder of a copy of the study."""
    return shutil.copytree(made / "study", tmp_path / "study") / "out"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """The output folder of a copy of the run."""
    return shutil.copytree(made / "run", tmp_path / "run") / "out"


def change(path: Path, **values: Any) -> None:
    """Put values into a record: run__name is the entry name of run."""
    record = json.loads(path.read_text())
    for name, value in values.items():
        *way, last = name.split("__")
        inner = record
        for key in way:
            inner = inner[key]
        inner[last] = value
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_study_reads_its_own_tasks_only(study: Path, name: str) -> None:
    """A task is known by a hash; what is none names no file."""
    tasks = read_manifest(study).tasks
    change(study / "study.json", tasks=[name, tasks[1]])
    with pytest.raises(CorruptFile, match=r"study\.json"):
        kmc.open(study)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_run_writes_its_own_dataset_only(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of the merged file is one word."""
    change(run / "run.json", run__name=name)
    before = sorted(run.parent.parent.rglob("*"))
    capsys.readouterr()
    assert app.main(["resume", str(run), "--quiet"]) == 3
    assert "run.json cannot be read" in capsys.readouterr().err
    assert sorted(run.parent.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("run", []),
        ("run", {}),
        ("run__stack", None),
        ("run__stack", {}),
        ("run__settings", 3),
        ("run__versions", 1),
        ("run__protocol", None),
        ("run__seed", "x"),
        ("command", []),
        ("command__run", 3),
        ("command__sets", 5),
        ("command__sets", [1]),
    ],
)
def test_a_record_of_another_shape(run: Path, entry: str, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in run.json, what reads it says so in one line."""
    change(run / "run.json", **{entry: value})
    with pytest.raises(CorruptFile, match=r"run\.json"):
        read_record(run)
    capsys.readouterr()
    for words in (["resume", str(run)], ["run", str(run.parent / "quick.yaml"), "--resume"]):
        assert app.main([*words, "--quiet"]) == 3
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "null", "9" * 5000, ""])
def test_what_is_no_record(study: Path, run: Path, text: str) -> None:
    """Nested without end, cut off, another thing, a number without end: refused as any damage is."""
    (study / "study.json").write_text(text)
    with pytest.raises(CorruptFile):
        read_manifest(study)
    (run / "run.json").write_text(text)
    with pytest.raises(CorruptFile):
        read_record(run)


@pytest.mark.parametrize(
    "values",
    [
        {"seeds": []},
        {"axes": [], "seeds": [1]},
        {"samples": -1},
        {"samples": 10**30},
        {"tasks": []},
        {"axes": [{"name": "x", "unit": "", "values": [1.0], "labels": []}]},
        {"command": {}},
        {"command": {"study": 3, "sets": "x"}},
    ],
)
def test_a_manifest_that_does_not_fit_together(study: Path, values: dict[str, Any]) -> None:
    """Counts that are not one another's, and sizes that no study has."""
    change(study / "study.json", **values)
    with pytest.raises(CorruptFile, match=r"study\.json"):
        read_manifest(study)


def test_a_message_shows_a_path_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name may hold a line break or an escape sequence; the terminal gets neither."""
    bad = tmp_path / "a\nb\x1b[31m.nc"
    bad.write_bytes(b"nothing")
    for words in (["check", str(tmp_path / "c\nd.yaml")], ["study", "e\nf"], ["verify", str(bad)], ["x\ny"]):
        assert app.main(words) in (2, 3)
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "\x1b" not in told
