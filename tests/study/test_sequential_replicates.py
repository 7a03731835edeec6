"""Replicates that go on until a metric is known well enough."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_simulation
import numpy as np
import pytest

import kmc
from kmc.cli import app
from kmc.study import load_study
from kmc.study.engine import Outcome, execute
from kmc.study.manifest import read_manifest
from kmc.study.replicate_rounds import grown
from kmc.study.sequential_replicates import Growth
from kmc.study.task import perform
from kmc_analysis.statistics.replicate_precision import Tightness

STUDY = """\
stack: ogb_20nm
variants: {ligand: [ogb, ddab]}
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}
replicates: {from: 3, to: 40, until: {set_voltage: 120 mV}}
seed: 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study; the fake simulation is in this process."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def done(folder: Path, *sets: str, limit: int = 10_000) -> Outcome:
    """The study in `folder`, done in this process, stopped after `limit` tasks."""
    count = 0

    def here(tasks: Any, out: Path, workers: int, on_done: Any, *_: Any) -> None:
        nonlocal count
        for index, run in tasks:
            count += 1
            if count > limit:
                return
            on_done(index, perform(run, out))

    return grown(load_study(folder / "study.yaml", sets), folder / "out", runner=here)


def test_it_goes_on_until_the_interval_is_narrow(folder: Path) -> None:
    """The last is enough and the one before was not; all variants have the same seeds."""
    outcome = done(folder)
    count = outcome.tasks // 2
    assert outcome.finished
    assert outcome.warnings == []
    assert 3 < count < 40
    assert (outcome.already, outcome.done) == (0, 2 * count)
    study = kmc.open(folder)
    wanted = Tightness("set_voltage", "120 mV")
    assert wanted.widths(study).max() <= 0.12
    assert wanted.widths(study.isel(replicate=slice(0, 3))).max() > 0.12
    assert study["seed"].values.tolist() == list(range(5, 5 + count))
    again = done(folder)
    assert (again.tasks, again.already, again.done) == (2 * count, 2 * count, 0)


def test_an_interruption_changes_nothing(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the first round and in a later one, it comes to the same tasks."""
    whole = tmp_path_factory.mktemp("whole")
    (whole / "study.yaml").write_text(STUDY)
    done(whole)
    for limit in (2, 7):
        assert not done(folder, limit=limit).finished
    assert done(folder).finished
    assert read_manifest(folder / "out").tasks == read_manifest(whole / "out").tasks
    assert kmc.open(folder).load().drop_attrs().equals(kmc.open(whole).load().drop_attrs())


def test_replicates_that_a_growing_study_takes_again_are_none_lost(folder: Path) -> None:
    """It begins with the first of them wherever it was before; other variants lose nothing."""
    assert len(done(folder).warnings) <= 1
    again = done(folder, "variants={ligand: [ogb, ddab], thickness: [20 nm, 40 nm]}", limit=1)
    assert not [told for told in again.warnings if "none of the study's any more" in told]


def test_all_rounds_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of all of them, and what only the first one had to say."""

    def told(study: Any, out: Path, **options: Any) -> Outcome:
        outcome = execute(study, out, **options)
        rounds.append(outcome.wall_s)
        return replace(outcome, warnings=[*outcome.warnings, "each", *["first"][len(rounds) - 1 :]])

    rounds: list[float] = []
    monkeypatch.setattr("kmc.study.replicate_rounds.execute", told)
    outcome = done(folder)
    assert len(rounds) > 1
    assert outcome.wall_s == pytest.approx(sum(rounds))
    assert outcome.warnings == ["each", "first"]


def test_the_most_is_kept_and_said(folder: Path) -> None:
    """A width that is out of reach ends at `to`, with a warning."""
    outcome = done(folder, "replicates.to=5", "replicates.until.set_voltage=1 uV")
    assert outcome.tasks == 10
    assert outcome.warnings == ["set_voltage within 1 uV is not reached with 5 replicates, the most allowed"]


def test_failures_are_not_tried_in_every_round(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are rows at the end, under their last number; the rest goes on without them."""
    begun = []

    class Failing(fake_simulation.Simulation):
        def __init__(self, stack: Any, protocol: Any, settings: Any, seed: int, initial: Any = None) -> None:
            begun.append(seed)
            super().__init__(stack, protocol, settings, seed, initial)
            if seed == 6:
                raise ZeroDivisionError("told to fail")

    monkeypatch.setattr(fake_simulation, "Simulation", Failing)
    outcome = done(folder)
    assert begun.count(6) == 2
    assert [one.reason for one in outcome.failed] == ["ZeroDivisionError: told to fail"] * 2
    assert [one.task for one in outcome.failed] == [1, 1 + outcome.tasks // 2]
    assert outcome.already + outcome.done == outcome.tasks - 2
    assert outcome.left == 0


def test_how_many_come_next() -> None:
    """None when all are narrow; as 1 / sqrt(n) foretells, twice as many at most, one more at least."""
    growth = Growth(4, 64, Tightness("set_voltage", "10 mV"))
    assert growth.after(8, [0.01, 0.002]) is None
    assert growth.after(8, [0.012, 0.002]) == math.ceil(8 * 1.44)
    assert growth.after(8, [0.5, 0.002]) == 16
    assert growth.after(8, [0.010001]) == 9
    assert growth.after(8, [math.inf]) == 16


def test_ratios_are_known_by_a_factor() -> None:
    """Half an interval of the logarithm, of four numbers Student's 3.18 standard errors; one number is not
    known at all."""
    tight = Tightness("on_off", 0.2)
    logarithms = 0.1 * np.array([-1.0, 1.0, -1.0, 1.0])
    known = np.exp(logarithms)
    half = 3.1824463 * np.std(logarithms, ddof=1) / math.sqrt(4)
    assert tight._width(known) == pytest.approx(math.expm1(half))
    assert tight._width(100 * known) == pytest.approx(tight._width(known))
    assert tight._width(np.array([1.0, np.nan])) == math.inf


@pytest.mark.parametrize(
    ("replicates", "words"),
    [
        ("{from: 4, until: {set_voltage: 20 mV}}", '"to"'),
        ("{from: 4, to: 8}", '"until"'),
        ("{from: 9, to: 8, until: {set_voltage: 20 mV}}", "from 9 to 8"),
        ("{from: 1, to: 8, until: {set_voltage: 20 mV}}", "from 1 to 8"),
        ("{from: 4, to: 8, until: {set_volts: 20 mV}}", 'did you mean "set_voltage"?'),
        ("{from: 4, to: 8, until: {set_voltage: 20 mA}}", "wrong dimension"),
        ("{from: 4, to: 8, until: {set_voltage: 0 V}}", "is not more than zero"),
        ("{from: 4, to: 8, until: {set_voltage: 1 V, set: 1}}", "does not name one metric"),
        ("{from: 4, to: 8, untill: {set_voltage: 1 V}}", 'did you mean "until"?'),
        ("{from: x, to: 8, until: {set_voltage: 1 V}}", "not a whole number"),
        ("{from: 4, to: 800000, until: {set_voltage: 1 V}}", "tasks, more than"),
    ],
)
def test_bad_ones_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], replicates: str, words: str) -> None:
    """Exit code 2, one line with its place, nothing written."""
    file = folder / "study.yaml"
    file.write_text(
        "\n".join(f"replicates: {replicates}" if line.startswith("replicates") else line for line in STUDY.splitlines())
    )
    assert app.main(["study", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{file}:")
    assert words in told
    assert told.count("\n") == 1
    assert list(folder.iterdir()) == [file]


@pytest.mark.parametrize("option", [["--task", "0"], ["--slurm", "job.sh"]])
def test_tasks_have_no_number_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    """One task or an array job needs a number of replicates."""
    assert app.main(["study", str(folder / "study.yaml"), *option]) == 2
    assert "--set replicates=8" in capsys.readouterr().err
