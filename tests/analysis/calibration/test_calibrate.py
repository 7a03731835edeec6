"""Calibration: shared numbers only, calibration targets only, resumable, cards that load."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kmc.cards.card import load_card
from kmc.cli import app
from kmc.core import atomic_files
from kmc.core.errors import UserError
from kmc.inputs.run_file import RunFile
from kmc.study.task import Result
from kmc_analysis.calibration.card_fit import Failed, Posterior, Simulated, Stopped, finished, posterior, search
from kmc_analysis.calibration.fitted_cards import write_cards
from kmc_analysis.calibration.loss import MISSING, calibration_targets, distance, fitted_targets, loss
from kmc_analysis.calibration.parameters import DEFAULT, free
from kmc_analysis.calibration.sensitivity import _choices, as_rows, check, influences, table
from kmc_analysis.experiment.reproduce.figure_runs import Extent
from kmc_analysis.experiment.targets.targets import Target, targets
from kmc_analysis.metrics.observation import Measured, exact, median_of_bounds, not_run

PAIR = ("electrode.bond_energy", "active.injection_limit")
BOND_EV = load_card("ag").value("bond_energy")


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
    monkeypatch.setattr("kmc_analysis.calibration.loss.targets", poisoned)
    judge = Simulated(tmp_path, Extent(devices=1), 1, lambda: False)
    simulated = {key for key, one in targets().items() if one.role == "calibration"} - {"T1_fp64_accuracy"}
    assert judge.keys == simulated
    assert set(fitted_targets(["S28_conductance_law"])) == {"S28_conductance_law"}
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


def test_the_loss_is_half_the_sum_of_squares() -> None:
    """Two targets, each two tolerances away: half of 4 and 4."""
    found = {"S23a_echo_10ms": exact(133.0), "S3_volatile_switching": exact(3.0)}
    assert loss(found) == pytest.approx(4.0)


def test_only_shared_numbers_are_free() -> None:
    """Eight at most, none of a ligand's own, bounds of a sigma and never below what a card may hold."""
    assert len(free()) == len(DEFAULT) == 8
    bond, leak = free(list(PAIR))
    assert (bond.low, bond.high) == (pytest.approx(BOND_EV - 0.1), pytest.approx(BOND_EV + 0.1))
    assert not bond.log
    assert leak.log
    assert leak.low > 0
    with pytest.raises(UserError, match="not shared"):
        free(["ligand.gap_barrier"])
    gap = load_card("ogb").value("gap_barrier")
    assert free(["ligand.gap_barrier"], shared=False)[0].low == pytest.approx(gap - 0.05)
    near, less = free(list(PAIR), reach=0.2)
    assert (near.low, near.high) == (pytest.approx(BOND_EV - 0.02), pytest.approx(BOND_EV + 0.02))
    assert math.log(less.high / less.start) == pytest.approx(0.2 * math.log(leak.high / leak.start))
    assert math.log(less.low / less.start) == pytest.approx(0.2 * math.log(leak.low / leak.start))
    with pytest.raises(UserError, match="at most 8"):
        free([*DEFAULT, "electrode.resistivity"])
    with pytest.raises(UserError, match="bond_energy"):
        free(["electrode.bond_energi"])
    with pytest.raises(UserError, match=r"electrode\.bond_energy is named twice"):
        free([*PAIR, PAIR[0]])
    with pytest.raises(UserError, match="name one, e"):
        free(["electrode"])


def judged(choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
    """A device whose figures are right at a bond 0.03 eV below the card's, alike in all sets of devices."""
    energy = float(choices["electrode.bond_energy"].split()[0])
    echo = 118.0 + 500 * (energy - BOND_EV + 0.03)
    return {"S23a_echo_10ms": exact(echo), "S3_volatile_switching": exact(1e3)}


def test_a_search_finds_what_is_there_and_goes_on(tmp_path: Path) -> None:
    """Cut in two it has all its trials, starts at the cards' values, and ends near the answer; the cards that
    it writes load, as fitted, to the targets that were met."""
    pytest.importorskip("optuna")
    parameters = free(list(PAIR))
    search(parameters, judged, tmp_path, 5, seed=1)
    study = search(parameters, judged, tmp_path, 25, seed=1)
    assert len(study.trials) == 25
    assert study.trials[0].params["electrode.bond_energy"] == pytest.approx(BOND_EV)
    assert study.best_value == 0
    found = posterior(study, parameters)
    assert found[0].best == pytest.approx(BOND_EV - 0.03, abs=0.011)
    assert 0 < found[0].sigma < 0.05
    paths = write_cards(found, ["S23a_echo_10ms"], "test", tmp_path)
    card = load_card(tmp_path / "ag_fitted.yaml")
    number = card.quantity("bond_energy")
    assert (number.kind, number.targets, number.run) == ("fitted", ("S23a_echo_10ms",), "test")
    names = {"ag_fitted.yaml", "cspbbr3_nanocrystal_fitted.yaml", "cspbbr3_film_fitted.yaml"}
    assert {path.name for path in paths} == names  # crystals and film share what is fitted
    shared = PAIR[1].partition(".")[2]
    assert len({load_card(path).quantity(shared).value for path in paths[1:]}) == 1
    with pytest.raises(UserError, match="a search over electrode"):
        search(parameters[:1], judged, tmp_path, 1)
    with pytest.raises(UserError, match="a search over other devices"):
        search(parameters, judged, tmp_path, 1, extent=Extent(quick=True))


def test_a_posterior_is_weighted_by_the_loss() -> None:
    """A trial whose loss is ln 3 more weighs a third, one without a loss nothing."""
    (bond,) = free(list(PAIR[:1]))
    losses = {0.15: 0.0, 0.25: math.log(3.0), 9.0: None}
    trials = [SimpleNamespace(value=value, params={bond.path: energy}) for energy, value in losses.items()]
    study = SimpleNamespace(trials=trials, best_value=0.0, best_params={bond.path: 0.15})
    (found,) = posterior(study, [bond])
    mean, sigma = 0.75 * 0.15 + 0.25 * 0.25, math.sqrt(0.75 * 0.25) * 0.1
    assert (found.best, found.mean, found.sigma) == pytest.approx((0.15, mean, sigma))


def test_a_card_has_the_best_value(tmp_path: Path) -> None:
    """With the spread around it, and not the mean."""
    (bond,) = free(list(PAIR[:1]))
    write_cards([Posterior(bond, best=0.15, mean=0.175, sigma=0.04)], ["S23a_echo_10ms"], "test", tmp_path)
    number = load_card(tmp_path / "ag_fitted.yaml").quantity("bond_energy")
    assert (number.value, number.sigma) == pytest.approx((0.15, 0.04))


def test_a_ligands_number_moves_no_device_of_another() -> None:
    """OGB's own number and a figure of OGB alone; not one of DDAB, or of devices without a ligand."""
    own = free(["ligand.gap_barrier", PAIR[0]], shared=False)
    check([targets()["S28_linearity"]], own)
    check([targets()["S31_ddab_heat_50"]], own[1:])
    check([targets()["S3_volatile_switching"], targets()["S31_ogb_heat_50"]], own)
    for key in ("S31_ddab_heat_50", "S16_interlayers_only"):
        with pytest.raises(UserError, match=f"gap_barrier is a number of ogb; {key}"):
            check([targets()[key]], own)


def test_what_no_run_tells_is_no_target_of_sensitivity() -> None:
    """The readout's figures are computed, the roughness is a stack's own; a device's are not refused."""
    check([targets()["S3_volatile_switching"]])
    for key in ("S26_weight_distribution", "S11_roughness"):
        with pytest.raises(UserError, match=f"{key} is told by no run"):
            check([targets()[key]])
    with pytest.raises(UserError, match="S22a_amplitude has a rule and no tolerance"):
        check([targets()["S22a_amplitude"]])


def test_a_bound_that_reaches_the_band_is_no_loss() -> None:
    """A state kept to the end of every run may be as good as asked; one that a device lost before is not."""
    retention, cycles = targets()["S8_ogb_retention"], targets()["S7_ddab_nonvolatile_endurance"]
    assert distance(retention, median_of_bounds([10.0] * 3, [True] * 3)) == 0.0
    assert distance(retention, median_of_bounds([10.0], [True])) == 0.0
    assert distance(retention, median_of_bounds([0.01, 0.01, 10.0], [False, False, True])) == MISSING
    # Two of three failed in their first cycle: what the third did not show makes them no better.
    assert distance(cycles, median_of_bounds([1.0, 4.0, 1.0], [False, True, False])) == pytest.approx(
        distance(cycles, exact(1.0))
    )


def test_a_parameter_moves_what_depends_on_it() -> None:
    """The echo rises by 500 per eV over a range of 0.2 eV: 20 tolerances of 5; a constant is not moved, nor
    anything by the leak, or by chance; what has no number is a dash."""
    pytest.importorskip("SALib")
    keys = [targets()[key] for key in ("S23a_echo_10ms", "S3_volatile_switching", "S8_ogb_retention")]
    found = influences(free(list(PAIR)), keys, judged, 3, seed=2)
    bond = [one for one in found if one.parameter == PAIR[0]]
    assert [one.strength for one in bond[:2]] == pytest.approx([20, 0])
    assert bond[0].direction == pytest.approx(20)
    assert (bond[0].known, bond[2].known) == (3, 0)
    assert [row[0] for row in table(found)] == [*PAIR, "chance"]
    bounds = f"{BOND_EV - 0.1:g} to {BOND_EV + 0.1:g} eV"
    assert [row[1] for row in table(found)][::2] == [bounds, "other devices"]
    assert [row[2:] for row in table(found)] == [["+20", "0", "-"], ["0", "0", "-"], ["0", "0", "-"]]


def test_a_log_parameter_moves_in_decades() -> None:
    """Half of the way is the geometric mean of its bounds; of the bond energy, which is none, the middle."""
    parameters = free(list(PAIR))
    told = _choices(parameters, np.array([0.5, 0.5]))
    bond, leak = (float(told[path].split()[0]) for path in PAIR)
    assert bond == pytest.approx(BOND_EV)
    assert leak == pytest.approx(math.sqrt(parameters[1].low * parameters[1].high), rel=1e-6)


def test_each_trajectory_has_devices_of_its_own() -> None:
    """Two sets each: more trajectories are more chances to see what chance does."""
    pytest.importorskip("SALib")
    asked: list[int] = []

    def noted(choices: dict[str, str], others: int) -> dict[str, Measured]:
        asked.append(others)
        return judged(choices)

    influences(free(list(PAIR)), [targets()["S23a_echo_10ms"]], noted, 3, seed=2)
    parts = [set(asked[k : k + 4]) for k in range(0, 12, 4)]
    assert [len(part) for part in parts] == [2, 2, 2]
    assert len(set().union(*parts)) == 6


def test_a_bound_has_no_effect_that_could_be_seen() -> None:
    """A state that is kept to the end of every run does not say that nothing moves it; a lost point shows."""
    pytest.importorskip("SALib")

    def lasting(choices: dict[str, str], others: int) -> dict[str, Measured]:
        return {"S8_ogb_retention": Measured(10.0, 10.0, math.inf, 3)}

    found = influences(free(list(PAIR)), [targets()["S8_ogb_retention"]], lasting, 2, seed=2)
    assert [row[2] for row in table(found)] == ["-"] * 3
    assert table([found[0]._replace(strength=1.0, direction=1.0, known=1)])[0][2] == "+1 (1 of 2)"


def test_chance_is_told_beside_what_the_numbers_do() -> None:
    """Each set of devices 3 points above the one before, four sets over the range: 9 points, so 1.8
    tolerances, in the row of chance alone."""
    pytest.importorskip("SALib")

    def luck(choices: dict[str, str], others: int) -> dict[str, Measured]:
        return {"S23a_echo_10ms": exact(118.0 + 3.0 * others)}

    found = influences(free(list(PAIR)), [targets()["S23a_echo_10ms"]], luck, 3, seed=2)
    assert [one.strength for one in found] == pytest.approx([0, 0, 1.8])


def test_sets_of_devices_share_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seeds that are run for a set, of six devices each: no seed is of two sets."""
    asked: list[set[int]] = []

    def noted(
        tasks: Iterator[tuple[int, RunFile]],
        out: Path,
        workers: int,
        on_done: Callable[[int, Result], None],
        *_: object,
    ) -> None:
        asked.append({task.seed for _, task in tasks})

    monkeypatch.setattr("kmc_analysis.experiment.reproduce.figure_runs.run_locally", noted)
    judge = Simulated(tmp_path, Extent(devices=6), 1, lambda: False, {"S8_ogb_retention"})
    for others in range(3):
        with contextlib.suppress(Stopped):
            judge({}, others)
    assert [len(one) for one in asked] == [6, 6, 6]
    assert len(set().union(*asked)) == 18


def test_influences_without_a_number_are_null() -> None:
    """JSON has no NaN."""
    pytest.importorskip("SALib")
    found = influences(free(list(PAIR)), [targets()["S8_ogb_retention"]], judged, 2, seed=2)
    assert [row["strength"] for row in as_rows(found)] == [None] * 3
    json.dumps(as_rows(found), allow_nan=False)


class Figures:
    """Stands for `Simulated` in a command: what `judged` says, of nothing that was run."""

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
        return judged(choices)


def test_the_command_fits_and_writes_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cards that load and a JSON of what was found; given again it goes on; what is not shared is refused."""
    pytest.importorskip("optuna")
    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Figures)
    words = ["calibrate", *PAIR, "--trials", "4", "--out", str(tmp_path), "--quiet"]
    assert app.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["parameters"]) == set(PAIR)
    assert told["targets"]["S3_volatile_switching"] == 1e3
    for path in told["cards"]:
        assert any(number.kind == "fitted" for number in load_card(path).values.values())
    assert app.main(words) == 0
    assert "electrode.bond_energy: " in capsys.readouterr().out
    assert app.main(["calibrate", "ligand.gap_barrier", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_a_fit_to_one_target_judges_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only its figure is run, and only it is on the card; the folder keeps to it."""
    pytest.importorskip("optuna")
    figures: list[str] = []

    class One(Figures):
        def __init__(self, *given: object) -> None:
            judge = Simulated(*given)  # type: ignore[arg-type]
            figures.extend(one.name for one in judge.figures for some in one.programs if some.devices)
            self.keys = judge.keys

        def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
            return {key: exact(3.3) for key in self.keys}

    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", One)
    words = ["calibrate", "electrode.resistivity", "--trials", "1", "--out", str(tmp_path), "--quiet"]
    assert app.main([*words, "--target", "S28_conductance_law"]) == 0
    assert figures == ["S28"] * 5  # its limits
    number = load_card(tmp_path / "ag_fitted.yaml").values["resistivity"]
    assert number.targets == ("S28_conductance_law",)
    assert app.main([*words, "--quick", "--target", "S8_ogb_retention", "--out", str(tmp_path / "q")]) == 2
    assert "S8_ogb_retention has no quick devices; leave out --quick" in capsys.readouterr().err
    figures.clear()
    assert app.main([*words, "--target", "S3_volatile_switching", "--out", str(tmp_path / "s3")]) == 0
    assert figures == ["S3"]  # its sweep of OGB; not DDAB's, nor the faster ones that are told beside it
    assert app.main([*words, "--target", "S23a_echo_10ms"]) == 2
    assert "give the same --target" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("S28_linearity", "is no calibration target"),
        ("T1_fp64_accuracy", "told by no run"),
        ("S28_conductance", "S28_conductance_law"),
        ("B1_set_time", "no target is called"),
    ],
)
def test_what_is_no_target_of_a_fit(tmp_path: Path, key: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Another role, what no run gives, a misspelt key: one message, and nothing is written."""
    out = tmp_path / "fit"
    assert app.main(["calibrate", "electrode.resistivity", "--target", key, "--out", str(out)]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_fit_that_is_stopped_leaves_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first trial was done there is nothing to write."""
    pytest.importorskip("optuna")

    class Interrupted(Figures):
        def __call__(self, choices: dict[str, str]) -> dict[str, Measured]:
            os.kill(os.getpid(), signal.SIGINT)
            raise Stopped("interrupted")

    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Interrupted)
    assert app.main(["calibrate", *PAIR, "--trials", "4", "--out", str(tmp_path)]) == 3
    assert "goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("*_fitted.yaml"))


def test_the_command_tells_influences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table, the same in JSON and in sensitivity.json; a target that no run tells is refused."""
    pytest.importorskip("SALib")
    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Figures)
    words = ["sensitivity", "S23a_echo_10ms", "--parameter", PAIR[0], "--trajectories", "2", "--out", str(tmp_path)]
    assert app.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["influences"]
    assert told == json.loads((tmp_path / "sensitivity.json").read_text())
    assert app.main(words) == 0
    assert "+20" in capsys.readouterr().out
    assert app.main(["sensitivity", "S26_weight_distribution", "--out", str(tmp_path / "no")]) == 2


def told_to_fail(
    tasks: Iterator[tuple[int, RunFile]], out: Path, workers: int, on_done: Callable[[int, Result], None], *_: object
) -> None:
    """Stands for `run_locally` on a full disk."""
    for index, _run in tasks:
        on_done(index, Result("failed", "no space left"))


def test_runs_that_fail_are_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with the reason, no card and no finished trial; then the same values are judged again."""
    pytest.importorskip("optuna")
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.figure_runs.run_locally", told_to_fail)
    words = ["calibrate", *PAIR, "--trials", "3", "--out", str(tmp_path), "--quiet"]
    assert app.main(words) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"(\d+) of \1 runs failed: seed 1 of .*: no space left, .*, and \d+ more; .*\n", told.err)
    assert not list(tmp_path.glob("*_fitted.yaml"))
    judge = Noting()
    study = search(free(list(PAIR)), judge, tmp_path, 1, 1, extent=Extent(1, 3))
    assert judge.energies == pytest.approx([BOND_EV])
    assert len(finished(study)) == 1


def test_values_that_always_fail_are_given_up(tmp_path: Path) -> None:
    """The second time, and the next are asked for in the same command, never those that a session before
    asked for; each has its two tries."""
    library = pytest.importorskip("optuna")
    parameters, told = free(list(PAIR)), list[str]()
    judge = Noting(*[Failed("no equilibrium") for _ in range(5)])
    for _ in range(3):
        with pytest.raises(Failed):
            search(parameters, judge, tmp_path, 2, tell=told.append)
    study = search(parameters, judge, tmp_path, 2, tell=told.append)
    first, second, third = judge.energies[0], judge.energies[2], judge.energies[4]
    assert judge.energies[:6] == [first, first, second, second, third, third]
    assert len({first, second, third}) == 3
    assert len(finished(study)) == 2
    assert told[:2] == ["no equilibrium again: these values are given up"] * 2
    assert len(study.get_trials(states=(library.trial.TrialState.FAIL,))) == 5


@pytest.mark.parametrize("error", [Stopped("interrupted"), atomic_files.WriteFailed("full")])
def test_values_that_were_broken_off_are_never_given_up(tmp_path: Path, error: Exception) -> None:
    """However often; nor does a stop after a failure count as the second one."""
    pytest.importorskip("optuna")
    judge = Noting(Failed("no space left"), *[error] * 3)
    for _ in range(4):
        with contextlib.suppress(Failed, atomic_files.WriteFailed):
            search(free(list(PAIR)), judge, tmp_path, 1)
    search(free(list(PAIR)), judge, tmp_path, 1)
    assert judge.energies == pytest.approx([BOND_EV] * 5)


def test_runs_that_fail_influence_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with the reason, and no table."""
    pytest.importorskip("SALib")
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.figure_runs.run_locally", told_to_fail)
    assert (
        app.main(
            [
                "sensitivity",
                "S8_ogb_retention",
                "--parameter",
                PAIR[0],
                "--seeds",
                "1",
                "--out",
                str(tmp_path),
                "--quiet",
            ]
        )
        == 3
    )
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("1 of 1 runs failed: seed 1 of 1 mA kept ogb_20nm: no space left; ")
    assert not (tmp_path / "sensitivity.json").exists()


class Noting:
    """Judges as `judged` does once it has raised each of `errors`; notes the bond energies asked for."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.energies = list(errors), list[float]()

    def __call__(self, choices: dict[str, str]) -> dict[str, Measured]:
        self.energies.append(float(choices[PAIR[0]].split()[0]))
        if self.errors:
            raise self.errors.pop(0)
        return judged(choices)


def test_without_a_number_there_is_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A card that was fitted to no target does not load; what is not finite counts for none."""
    pytest.importorskip("optuna")

    class Blind(Figures):
        def __call__(self, choices: dict[str, str]) -> dict[str, Measured]:
            return {"S3_volatile_switching": not_run("dear"), "S23a_echo_10ms": exact(math.nan)}

    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Blind)
    assert app.main(["calibrate", *PAIR, "--trials", "1", "--out", str(tmp_path), "--quiet"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "no card" in told.err
    assert not list(tmp_path.glob("*_fitted.yaml"))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("kmc.io.provenance.versions", "another engine"),
        ("kmc.cards.stack.Stack.hash", "other cards"),
        ("kmc_analysis.calibration.loss.targets", "other targets"),
        ("bounds", "other starting values or bounds"),
    ],
)
def test_losses_that_do_not_compare_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    """Other cards, bounds, tolerances or another engine than those of the trials that there are: refused, and
    not one trial is judged."""
    pytest.importorskip("optuna")
    parameters = free(list(PAIR))
    search(parameters, judged, tmp_path, 1)
    echo = targets()["S23a_echo_10ms"]
    wider = {**targets(), echo.key: echo._replace(accept=echo.accept._replace(high=200.0))}
    changed = {"versions": lambda: {"engine": "other"}, "hash": "other", "targets": lambda: wider}
    if what == "bounds":
        parameters[0] = parameters[0]._replace(high=0.25)
    else:
        monkeypatch.setattr(what, changed[what.rpartition(".")[2]])
    judge = Noting()
    with pytest.raises(UserError, match=f"holds a search .*{told}.*choose another --out"):
        search(parameters, judge, tmp_path, 3)
    assert judge.energies == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), atomic_files.Busy("busy"), atomic_files.WriteFailed("full")])
def test_a_trial_that_is_broken_off_is_judged_again(tmp_path: Path, error: BaseException) -> None:
    """Whatever ends it: the cards' own values are still the first that are judged, and the error is told."""
    pytest.importorskip("optuna")
    judge = Noting(error)
    with pytest.raises(type(error)):
        search(free(list(PAIR)), judge, tmp_path, 2)
    search(free(list(PAIR)), judge, tmp_path, 2)
    assert judge.energies[:2] == pytest.approx([BOND_EV] * 2)
    assert len(judge.energies) == 3


@pytest.mark.parametrize("told", [1, 2])
def test_a_killed_trial_is_judged_again(tmp_path: Path, told: int) -> None:
    """The process died in the middle of it, or of asking for its parameters: nobody could say so."""
    library = pytest.importorskip("optuna")
    parameters = free(list(PAIR))
    search(parameters, Noting(Stopped("interrupted")), tmp_path, 1)
    killed = library.load_study(study_name="calibrate", storage=f"sqlite:///{tmp_path / 'trials.db'}").ask()
    for one in parameters[:told]:
        killed.suggest_float(one.path, one.low, one.high, log=one.log)
    judge = Noting()
    study = search(parameters, judge, tmp_path, 1)
    assert judge.energies == pytest.approx([BOND_EV])
    assert study.best_params == pytest.approx({one.path: one.start for one in parameters})
    assert not study.get_trials(states=(library.trial.TrialState.RUNNING,))


def test_one_search_at_a_time(tmp_path: Path) -> None:
    """A trial under way is not taken for a killed one by a second process."""
    pytest.importorskip("optuna")
    pytest.importorskip("fcntl")
    parameters = free(list(PAIR))

    def again(choices: dict[str, str]) -> dict[str, Measured]:
        with pytest.raises(atomic_files.Busy):
            search(parameters, judged, tmp_path, 1)
        return judged(choices)

    assert len(search(parameters, again, tmp_path, 1).trials) == 1


@pytest.mark.parametrize("damage", [b"no database", None])
def test_trials_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the file, and exit code 3: for a damaged one and for one that cannot be opened."""
    pytest.importorskip("optuna")
    monkeypatch.setattr("kmc_analysis.calibration.card_fit.Simulated", Figures)
    path = tmp_path / "trials.db"
    path.mkdir() if damage is None else path.write_bytes(damage)
    assert app.main(["calibrate", *PAIR, "--trials", "1", "--out", str(tmp_path), "--quiet"]) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"{path}: ")
    assert told.count("\n") == 1
