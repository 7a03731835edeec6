"""What a search or a table of influences keeps: runs of one engine, points that fail, cards that load."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from kmc.cards.card import load_card
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs.run_file import RunFile
from kmc.io import provenance
from kmc.study.task import Result, keep_failure
from kmc_analysis.calibration import trials
from kmc_analysis.calibration.card_fit import Failed, Posterior, Simulated, search
from kmc_analysis.calibration.fitted_cards import write_cards
from kmc_analysis.calibration.parameters import free
from kmc_analysis.commands import sensitivity as command
from kmc_analysis.experiment.figures.definition import Program
from kmc_analysis.experiment.reproduce.figure_runs import Extent, Session
from kmc_analysis.metrics.observation import Measured, exact

BOND, KEY = "electrode.bond_energy", "S8_ogb_retention"


# --- runs of one engine ----------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [{"engine": "before"}, {"kernels": "earlier"}])
def test_runs_of_another_engine_are_no_part_of_an_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]
) -> None:
    """Refused before anything runs. Negative control: of today's engine they are judged."""
    went: list[object] = []
    monkeypatch.setattr(Session, "go", lambda *given: went.append(given) or True)
    judge = Simulated(tmp_path, Extent(devices=1), 1, lambda: False, {KEY})
    judge.figures = [replace(one, measure=lambda runs: {KEY: exact(1.0)}) for one in judge.figures]

    def there(made: dict[str, str]) -> None:
        run = xr.Dataset(attrs={"run": json.dumps({"versions": made})})
        monkeypatch.setattr(Session, "of", lambda self, figure: {"any": [run]})

    there(versions)
    with pytest.raises(UserError, match="holds runs of another engine; choose another --out"):
        judge({})
    assert went == []
    there({"engine": provenance.versions()["engine"]})
    assert judge({}) == {KEY: exact(1.0)}


# --- points that always fail -----------------------------------------------------------------------------


def failing(keeps: bool) -> Callable[..., None]:
    """Stands for `run_locally`: all runs fail, with a kept reason as a device's own fault has one."""

    def run(
        tasks: Iterator[tuple[int, RunFile]],
        out: Path,
        workers: int,
        on_done: Callable[[int, Result], None],
        *_: object,
    ) -> None:
        for index, task in tasks:
            if keeps:
                keep_failure(out, task.name, "no equilibrium")
            on_done(index, Result("failed", "no equilibrium"))

    return run


@pytest.mark.parametrize("keeps", [True, False])
def test_a_failure_is_known_again_by_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool) -> None:
    """That is kept where the device is at fault, and not where the disk is full."""
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.figure_runs.run_locally", failing(keeps))
    judge, again = Simulated(tmp_path, Extent(devices=1), 1, lambda: False, {KEY}), []
    for _ in range(2):
        with pytest.raises(Failed) as caught:
            judge({})
        again.append(caught.value.again)
    assert again == [False, keeps]


def test_a_point_that_always_fails_has_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is made without its effects, and the exit code is 3; the first time it is tried again."""
    pytest.importorskip("SALib")

    class Judge:
        tries = 0

        def __init__(self, *_: object) -> None:
            self.count = 0

        def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
            self.count += 1
            if self.count == 4:
                Judge.tries += 1
                error = Failed("1 of 2 runs failed: no equilibrium")
                error.again = Judge.tries > 1
                raise error
            return {KEY: exact(float(choices[BOND].split()[0]))}

    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Judge)
    words = ["sensitivity", KEY, "--parameter", BOND, "--out", str(tmp_path), "--quiet", "--json"]
    assert app.main(words) == 3
    assert not (tmp_path / "sensitivity.json").exists()
    capsys.readouterr()
    assert app.main(words) == 3
    told = capsys.readouterr()
    rows = json.loads(told.out)["influences"]
    assert [row["parameter"] for row in rows] == [BOND, "chance"]
    # One point is lost: an effect, or two that share it.
    assert sorted((row["known"], row["asked"]) for row in rows) in ([(3, 4), (3, 4)], [(3, 4), (4, 4)])
    assert all(math.isfinite(row["strength"]) for row in rows)
    assert told.err == "1 point without a number: 1 of 2 runs failed: no equilibrium\n"
    assert (tmp_path / "sensitivity.json").is_file()


def test_the_examples_of_help_are_no_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and parameters are there, and have bounds."""
    pytest.importorskip("SALib")

    class Figures:
        def __init__(self, *_: object) -> None:
            pass

        def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
            return {}

    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Figures)
    lines = re.findall(r"^ +kmc (sensitivity .*)$", command.sensitivity.__doc__ or "", re.MULTILINE)
    assert lines
    for k, line in enumerate(lines):
        assert app.main([*line.split(), "--out", str(tmp_path / str(k)), "--quiet"]) == 0


# --- cards that load -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "out",
        "2026",
        "1e3",
        "true",
        "null",
        "~",
        "a: b",
        "x #2",
        "[x]",
        "it's",
        'a "b"',
        "back\\slash",
        "tab\there",
        "\x7f",
        "é \U0001f600",
        "% x",
        "- x",
    ],
)
def test_a_search_may_have_any_name(tmp_path: Path, name: str) -> None:
    """That of its folder; the card says it as it is."""
    parameters = free([BOND, "device.residue_gap"])
    for path in write_cards(
        [Posterior(one, one.start, one.start, 0.0) for one in parameters], ["S3_x"], name, tmp_path
    ):
        assert {number.run for number in load_card(path).values.values() if number.kind == "fitted"} == {name}


def test_a_card_that_does_not_load_is_told(tmp_path: Path) -> None:
    """At once, not when it is used."""
    (one,) = free([BOND])
    with pytest.raises(UserError, match="bond_energy"):
        write_cards([Posterior(one, 40.0, 40.0, 0.1)], ["S3_x"], "out", tmp_path)


# --- losses that compare ---------------------------------------------------------------------------------


def judged(choices: dict[str, str]) -> dict[str, Measured]:
    """Any number."""
    return {"S23a_echo_10ms": exact(118.0)}


@pytest.mark.parametrize(("what", "told"), [("programs", "other programs"), ("sources", "other sources")])
def test_losses_of_other_programs_or_metrics_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    """The figures' voltage programs and what measures their runs decide a loss like the cards do."""
    pytest.importorskip("optuna")
    parameters = free([BOND])
    search(parameters, judged, tmp_path, 1)
    if what == "programs":
        before: Any = Program.protocol
        monkeypatch.setattr(
            Program,
            "protocol",
            lambda self, stack: before(Program("longer", self.stack, [{"read": {}}, {"read": {}}], 1), stack),
        )
    else:
        monkeypatch.setattr(trials, "sources_of", lambda modules: [Path(__file__)])
    with pytest.raises(UserError, match=f"holds a search .*{told}.*; choose another --out"):
        search(parameters, judged, tmp_path, 2)


@pytest.mark.parametrize("name", ["q?x=1", "brace{y}", "per%20cent", "a#b", "two words", "ä"])
def test_a_search_keeps_to_its_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    """A database's address gives some signs a meaning."""
    pytest.importorskip("optuna")
    decides = dict.fromkeys(trials._DIFFERENCES, "this")
    with trials.opened(tmp_path / name, decides) as study:
        trials._put_back(study)
        study.tell(study.ask(), 1.0)
    with trials.opened(tmp_path / name, decides) as study:
        assert len(study.trials) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / trials.NAME).stat().st_size > 0
