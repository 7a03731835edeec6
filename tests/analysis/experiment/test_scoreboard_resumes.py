"""The scoreboard of a folder that goes on: runs that failed, rows of other targets, other devices."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kmc.cli import app
from kmc.io import netcdf
from kmc.study.manifest import result_path
from kmc.study.task import Result, keep_failure
from kmc_analysis.experiment.figures import figures_of
from kmc_analysis.experiment.reproduce import figure_runs as module
from kmc_analysis.experiment.reproduce import row_identity
from kmc_analysis.experiment.reproduce.figure_runs import Extent, Session
from kmc_analysis.experiment.reproduce.run_figures import Reproduction
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.metrics.observation import median

KEY, BARE, GOLD = "S11_roughness", "S16_interlayers_only", "S14_gold_electrode"


def reproduce(out: Path, *words: str) -> int:
    """The command in the folder `out`, without pictures."""
    return app.main(["reproduce", *words, "--out", str(out), "-q", "--no-picture", "--workers", "1"])


def written(out: Path) -> dict[str, Any]:
    """The scoreboard's file."""
    return json.loads((out / "scoreboard.json").read_text())


def on_the_board(out: Path) -> list[str]:
    """The keys in the file of JSON, which are those of the table."""
    keys = [row["key"] for row in written(out)["targets"]]
    assert [row["key"] for row in csv.DictReader((out / "scoreboard.csv").open())] == keys
    return keys


# --- runs that failed ------------------------------------------------------------------------------------


def failing(tasks: Iterator[Any], out: Path, workers: int, on_done: Any, *more: Any) -> None:
    """In place of the workers: every run ends as on a full disk, which keeps no reason either."""
    for index, _ in tasks:
        on_done(index, Result("failed", "no space left\non device"))


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_runs_that_failed_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json_too: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, the first reasons in one line, and exit code 3; the board is there all the same. Negative
    control: what needs no run is done."""
    monkeypatch.setattr(module, "run_locally", failing)
    assert reproduce(tmp_path / "rep", BARE, KEY, "--quick", *json_too) == 3
    told, printed = capsys.readouterr().err, written(tmp_path / "rep")
    assert (
        "6 of 6 runs failed: seed 1 of interlayers_only: no space left on device, seed 2 of "
        "interlayers_only: no space left on device and 4 more; the same command tries them again\n"
    ) in told
    assert [row["verdict"] for row in printed["targets"]] == ["hit", "not run"]
    assert reproduce(tmp_path / "fine", KEY, "--quick", *json_too) == 0
    assert "failed" not in capsys.readouterr().err


def test_runs_that_failed_before_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nothing is run; those of targets that were not asked for are not."""
    (run, *_) = Session(figures_of([BARE]), tmp_path, Extent(quick=True)).runs
    (tmp_path / "failed").mkdir()
    keep_failure(tmp_path, run, "out of memory")
    assert reproduce(tmp_path, BARE, "--quick", "--done") == 3
    assert "1 of 6 runs failed: seed 1 of interlayers_only: out of memory;" in capsys.readouterr().err
    assert reproduce(tmp_path, GOLD, "--quick", "--done") == 0


def test_with_failed_runs_there_is_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not end may differ from what did. Negative control: the same devices, and none failed."""
    (figure,) = figures_of([BARE])
    monkeypatch.setattr(Session, "of", lambda self, one: {program.name: [None] for program in one.programs})
    monkeypatch.setattr(row_identity, "engines", lambda runs: [])
    still = dataclasses.replace(figure, measure=lambda runs: {BARE: median([0.0] * 6)})
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.run_figures.figures_of", lambda keys: [still])
    found = []
    for failed in ([], ["seed 7 of pedot_only: it diverged"]):
        monkeypatch.setattr(Session, "failed", lambda self, *given, failed=failed: failed)
        made = Reproduction([targets()[BARE]], tmp_path, Extent(), picture=False, done_only=True)
        made.go(1)
        found.append((made.rows[BARE].verdict, made.rows[BARE].reason))
    assert found[0][0] == "hit"
    assert found[1][0] == "unclear"
    assert "1 of the runs failed" in found[1][1]


def test_a_run_that_is_done_has_not_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason says that a killed process could not clear away."""
    session = Session(figures_of([BARE]), tmp_path, Extent(quick=True))
    (tmp_path / "failed").mkdir()
    keep_failure(tmp_path, next(iter(session.runs)), "out of memory")
    assert len(session.failed()) == 1
    monkeypatch.setattr(netcdf, "is_sound", lambda path: True)
    assert session.failed() == []


@pytest.mark.parametrize(("code", "goes_on"), [(0, True), (3, True), (2, False)])
def test_make_reproduce_keeps_a_board_with_failed_runs(tmp_path: Path, code: int, goes_on: bool) -> None:
    """One device that fails every time does not keep the others' figures from the page; bad input does."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    shutil.copy(Path(__file__).resolve().parents[3] / "Makefile", tmp_path)
    for folder in ("v/bin", "runs/reproduce/out", "analysis/kmc_analysis/experiment/figures"):
        (tmp_path / folder).mkdir(parents=True)
    for name, text in (("kmc", f'[ "$1" = warmup ] || exit {code}'), ("python", "touch page")):
        (tmp_path / "v" / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "v" / "bin" / name).chmod(0o755)
    (tmp_path / "runs/reproduce/out/scoreboard.json").write_text("made")
    (tmp_path / "pyproject.toml").touch()
    made = subprocess.run(["make", "-n", "-p", "VENV=v"], cwd=tmp_path, capture_output=True, text=True).stdout
    (tmp_path / re.search(r"^INSTALLED := (.*)$", made, re.MULTILINE)[1]).touch()
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    ended = subprocess.run(["make", "reproduce", "VENV=v"], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode == 0) == goes_on
    assert (tmp_path / "page").exists() == goes_on
    assert (tmp_path / "analysis/kmc_analysis/experiment/figures/scoreboard.json").exists() == goes_on
    assert ("has what is done" in ended.stdout) == (code == 3)


# --- rows of other targets -------------------------------------------------------------------------------


def test_rows_of_other_targets_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they are, with the engines of their own, in the order of the targets; printed are those that were
    asked for."""
    assert reproduce(tmp_path, BARE, KEY, "--done") == 0
    found = written(tmp_path)
    (row,) = [one for one in found["targets"] if one["key"] == BARE]
    row |= {"simulated": 0.1, "verdict": "hit", "engines": ["before"]}
    (tmp_path / "scoreboard.json").write_text(json.dumps(found))
    capsys.readouterr()
    assert reproduce(tmp_path, KEY, "--json") == 0
    told = capsys.readouterr()
    assert [one["key"] for one in json.loads(told.out)["targets"]] == [KEY]
    assert f"runs of another engine are among those of {BARE};" in told.err
    assert on_the_board(tmp_path) == [KEY, BARE]
    assert row in written(tmp_path)["targets"]
    assert written(tmp_path)["seeds"] == found["seeds"]
    assert reproduce(tmp_path, GOLD, "--done") == 0
    assert on_the_board(tmp_path) == [KEY, GOLD, BARE]


@pytest.mark.parametrize(
    ("more", "of"),
    [
        (["--seed", "5"], "devices"),
        (["--seeds", "3"], "devices"),
        (["--quick"], "devices"),
        (["--set", "settings.ion_pairs=false"], "changes"),
    ],
)
def test_other_devices_do_not_go_on_one_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """Refused before anything runs, and the board stays as it is; without a board they may."""
    assert reproduce(tmp_path, BARE, KEY, "--done") == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(Session, "go", lambda *given: pytest.fail("it ran"))
        assert reproduce(tmp_path, KEY, *more) == 2
    told = capsys.readouterr().err
    assert f"--out: {tmp_path} holds a scoreboard of other {of}; choose another --out" in told
    assert "copy tasks/ there first, and no run that both have is done again" in told
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert reproduce(tmp_path / "new", KEY, "--done", *more) == 0


def test_a_board_that_is_made_whole_again_may_have_more_devices(tmp_path: Path) -> None:
    """After --quick, or of a few; never fewer, nor others."""
    for out, few in ((tmp_path / "quick", ["--quick"]), (tmp_path / "few", ["--seeds", "2"])):
        assert reproduce(out, BARE, KEY, "--done", *few) == 0
        assert reproduce(out, BARE, KEY, "--done") == 0
        assert on_the_board(out) == [KEY, BARE]
        assert reproduce(out, BARE, KEY, "--done", *few) == 2
        assert reproduce(out, BARE, KEY, "--done", "--seed", "2") == 2
    assert reproduce(tmp_path / "readout", "S27_hardest_class", "--done", "--quick") == 0
    assert reproduce(tmp_path / "readout", "S27_hardest_class", "--done", "--seed", "2", "--quick") == 2


def test_more_devices_of_one_key_take_the_runs_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a copy of tasks/ only the devices that are more are missing."""
    monkeypatch.setattr(netcdf, "is_sound", Path.is_file)
    few = Session(figures_of([BARE]), tmp_path / "few", Extent(devices=2))
    (tmp_path / "few" / "tasks").mkdir(parents=True)
    for name in few.runs:
        result_path(few.out, name).touch()
    shutil.copytree(tmp_path / "few" / "tasks", tmp_path / "more" / "tasks")
    more = Session(figures_of([BARE]), tmp_path / "more", Extent(devices=8))
    assert set(more.missing()) == set(more.runs) - set(few.runs)
    assert 4 * len(few.runs) == len(more.runs)


def of_before(out: Path) -> None:
    """The board in `out` as an earlier program wrote it: the list of seeds, and whether it was --quick."""
    found = written(out)
    for name in ("seed", "devices"):
        del found[name]
    (out / "scoreboard.json").write_text(json.dumps(found))


def test_a_board_of_before_keeps_its_devices(tmp_path: Path) -> None:
    """They are as many as its seeds, whatever is asked for: others are not put beside them. As a whole it may
    be made again with more."""
    assert reproduce(tmp_path, BARE, GOLD, "--done", "--seeds", "3") == 0
    assert written(tmp_path)["seeds"] == [1, 2, 3]
    of_before(tmp_path)
    before = (tmp_path / "scoreboard.json").read_bytes()
    assert reproduce(tmp_path, BARE, "--done") == 2
    assert reproduce(tmp_path, BARE, "--done", "--seeds", "4") == 2
    assert reproduce(tmp_path, BARE, GOLD, "--done", "--seeds", "2") == 2
    assert (tmp_path / "scoreboard.json").read_bytes() == before
    assert reproduce(tmp_path, BARE, "--done", "--seeds", "3") == 0
    of_before(tmp_path)
    assert reproduce(tmp_path, BARE, GOLD, "--done", "--seeds", "4") == 0


def test_a_board_of_before_goes_on(tmp_path: Path) -> None:
    """One that says of its devices only the seeds and whether they were few; what cannot be read is made
    again."""
    assert reproduce(tmp_path, BARE, KEY, "--done") == 0
    of_before(tmp_path)
    assert reproduce(tmp_path, KEY, "--done", "--seed", "2") == 2
    assert reproduce(tmp_path, KEY, "--done") == 0
    assert on_the_board(tmp_path) == [KEY, BARE]
    for text in ("", "{}", '{"targets": [{"key": 1}]}'):
        (tmp_path / "scoreboard.json").write_text(text)
        assert reproduce(tmp_path, KEY, "--done") == 0
        assert on_the_board(tmp_path) == [KEY]
