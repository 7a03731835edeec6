"""Calibration: shared numbers only, calibration targets only, resumable, cards that load."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path

import pytest

from kmc import cli
from kmc.cards import load_card
from kmc.errors import UserError
from kmc_analysis.calibrate.fit import Simulated, Stopped, posterior, search
from kmc_analysis.calibrate.loss import MISSING, calibration_targets, distance, loss
from kmc_analysis.calibrate.outputs import write_cards
from kmc_analysis.calibrate.parameters import DEFAULT, free
from kmc_analysis.calibrate.sensitivity import check, influences, table
from kmc_analysis.reproduce.measured import Measured, exact, not_run
from kmc_analysis.reproduce.session import Extent
from kmc_analysis.reproduce.targets import Target, targets

PAIR = ("electrode.bond_energy", "active.injection_limit")


class Poisoned:
    """A target of another role, of which the role and key alone may be asked."""

    def __init__(self, target: Target) -> None:
        self.key, self.role = target.key, target.role

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{self.key}.{name} was read")


def poisoned() -> dict[str, Target]:
    """The table in which every target that is not for calibration cannot be read."""
    return {key: one if one.role == "calibration" else Poisoned(one) for key, one in targets().items()}  # type: ignore[misc]


def test_no_other_target_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all other targets unreadable the losses are the same, and what a search asks of the figures are
    the calibration keys alone; the poison works."""
    found = {key: exact(118.0) for key in targets()}
    assert loss(found, poisoned()) == loss(found)
    assert loss(found) == loss({key: found[key] for key in calibration_targets()})
    monkeypatch.setattr("kmc_analysis.calibrate.loss.targets", poisoned)
    judge = Simulated(tmp_path, Extent(devices=1), 1, lambda: False)
    assert judge.keys == {key for key, one in targets().items() if one.role == "calibration"}
    assert loss(found) > 0
    with pytest.raises(AssertionError, match="was read"):
        _ = poisoned()["S23b_echo_30ms"].value


def test_distances_are_in_tolerances() -> None:
    """Half widths outside a band, decades below a bound, and a penalty for what is not there."""
    echo, ratio = (targets()[key] for key in ("S23a_echo_10ms", "S3_volatile_switching"))
    assert distance(echo, exact(120.0)) == 0
    assert distance(echo, exact(133.0)) == pytest.approx(2)
    assert distance(ratio, exact(3.0)) == pytest.approx(2)
    assert distance(ratio, not_run("dear")) == MISSING
    assert distance(echo, exact(1e9)) == MISSING


def test_only_shared_numbers_are_free() -> None:
    """Eight at most, none of a ligand's own, bounds of a sigma and never below what a card may hold."""
    assert len(free()) == len(DEFAULT) == 8
    bond, leak = free(list(PAIR))
    assert (bond.low, bond.high, bond.log) == (pytest.approx(0.10), pytest.approx(0.30), False)
    assert leak.log
    assert leak.low > 0
    with pytest.raises(UserError, match="not shared"):
        free(["ligand.gap_barrier"])
    with pytest.raises(UserError, match="at most 8"):
        free([*DEFAULT, "electrode.resistivity"])
    with pytest.raises(UserError, match="bond_energy"):
        free(["electrode.bond_energi"])
    with pytest.raises(UserError, match=r"electrode\.bond_energy is named twice"):
        free([*PAIR, PAIR[0]])
    with pytest.raises(UserError, match="name one, e"):
        free(["electrode"])


def judged(choices: dict[str, str]) -> dict[str, Measured]:
    """A device whose figures are right at a bond energy of 0.17 eV."""
    energy = float(choices["electrode.bond_energy"].split()[0])
    return {"S23a_echo_10ms": exact(118.0 + 500 * (energy - 0.17)), "S3_volatile_switching": exact(1e3)}


def test_a_search_finds_what_is_there_and_goes_on(tmp_path: Path) -> None:
    """Cut in two it has all its trials, starts at the cards' values, and ends near the answer; the cards that
    it writes load, as fitted, to the targets that were met."""
    pytest.importorskip("optuna")
    parameters = free(list(PAIR))
    search(parameters, judged, tmp_path, 5, seed=1)
    study = search(parameters, judged, tmp_path, 25, seed=1)
    assert len(study.trials) == 25
    assert study.trials[0].params["electrode.bond_energy"] == pytest.approx(0.20)
    assert study.best_value == 0
    found = posterior(study, parameters)
    assert found[0].best == pytest.approx(0.17, abs=0.011)
    assert 0 < found[0].sigma < 0.05
    paths = write_cards(found, ["S23a_echo_10ms"], "test", tmp_path)
    card = load_card(tmp_path / "ag_fitted.yaml")
    number = card.quantity("bond_energy")
    assert (number.kind, number.targets, number.run) == ("fitted", ("S23a_echo_10ms",), "test")
    assert len(paths) == 2
    with pytest.raises(UserError, match="a search over electrode"):
        search(parameters[:1], judged, tmp_path, 1)
    with pytest.raises(UserError, match="a search over other devices"):
        search(parameters, judged, tmp_path, 1, extent=Extent(quick=True))


def test_what_no_run_tells_is_no_target_of_sensitivity() -> None:
    """The readout's figures are computed, the roughness is a stack's own; a device's are not refused."""
    check([targets()["S3_volatile_switching"]])
    for key in ("S26_weight_distribution", "S11_roughness"):
        with pytest.raises(UserError, match=f"{key} is told by no run"):
            check([targets()[key]])


def test_a_bound_that_reaches_the_band_is_no_loss() -> None:
    """A state kept to the end of every run may be as good as asked; one that a device lost before is not."""
    retention = targets()["S8_ogb_retention"]
    assert distance(retention, Measured(10.0, 10.0, math.inf, 3)) == 0.0
    assert distance(retention, Measured(10.0, 0.1, math.inf, 3)) > 3.0


def test_a_parameter_moves_what_depends_on_it(tmp_path: Path) -> None:
    """The echo rises by 500 per eV over a range of 0.2 eV: 20 tolerances of 5; a constant is not moved, nor
    anything by the leak; what has no number is a dash."""
    pytest.importorskip("SALib")
    keys = [targets()[key] for key in ("S23a_echo_10ms", "S3_volatile_switching", "S8_ogb_retention")]
    found = influences(free(list(PAIR)), keys, judged, 3, seed=2)
    bond = [one for one in found if one.parameter == PAIR[0]]
    assert [one.strength for one in bond[:2]] == pytest.approx([20, 0])
    assert bond[0].direction == pytest.approx(20)
    assert (bond[0].known, bond[2].known) == (3, 0)
    assert table(found) == [[PAIR[0], "+20", "0", "-"], [PAIR[1], "0", "0", "-"]]


class Figures:
    """Stands for `Simulated` in a command: what `judged` says, of nothing that was run."""

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, choices: dict[str, str]) -> dict[str, Measured]:
        return judged(choices)


def test_the_command_fits_and_writes_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """Cards that load and a JSON of what was found; given again it goes on; what is not shared is refused."""
    pytest.importorskip("optuna")
    monkeypatch.setattr("kmc_analysis.calibrate.fit.Simulated", Figures)
    words = ["calibrate", *PAIR, "--trials", "4", "--out", str(tmp_path), "--quiet"]
    assert cli.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["parameters"]) == set(PAIR)
    assert told["targets"]["S3_volatile_switching"] == 1e3
    for path in told["cards"]:
        assert any(number.kind == "fitted" for number in load_card(path).values.values())
    assert cli.main(words) == 0
    assert "electrode.bond_energy: " in capsys.readouterr().out
    assert cli.main(["calibrate", "ligand.gap_barrier", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_a_fit_that_is_stopped_leaves_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """Before the first trial was done there is nothing to write."""
    pytest.importorskip("optuna")

    class Interrupted(Figures):
        def __call__(self, choices: dict[str, str]) -> dict[str, Measured]:
            os.kill(os.getpid(), signal.SIGINT)
            raise Stopped("interrupted")

    monkeypatch.setattr("kmc_analysis.calibrate.fit.Simulated", Interrupted)
    assert cli.main(["calibrate", *PAIR, "--trials", "4", "--out", str(tmp_path)]) == 3
    assert "goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("*_fitted.yaml"))


def test_the_command_tells_influences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """The table, the same in JSON and in sensitivity.json; a target that no run tells is refused."""
    pytest.importorskip("SALib")
    monkeypatch.setattr("kmc_analysis.calibrate.fit.Simulated", Figures)
    words = ["sensitivity", "S23a_echo_10ms", "--parameter", PAIR[0], "--trajectories", "2",
             "--out", str(tmp_path)]  # fmt: skip
    assert cli.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["influences"]
    assert told == json.loads((tmp_path / "sensitivity.json").read_text())
    assert cli.main(words) == 0
    assert "+20" in capsys.readouterr().out
    assert cli.main(["sensitivity", "S26_weight_distribution", "--out", str(tmp_path / "no")]) == 2
