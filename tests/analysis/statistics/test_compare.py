"""Comparisons: metrics by their definitions, effects paired by seed, intervals that cover, the command."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_simulation
import numpy as np
import pytest
import xarray as xr

import kmc
from kmc.cards.search_path import find_data
from kmc.cli import app
from kmc.inputs.run_file import load_run
from kmc.io.provenance import run_of
from kmc.simulation.run_to_folder import execute
from kmc.study import load_study
from kmc.study.engine import prepare
from kmc.study.task import perform
from kmc_analysis import metrics
from kmc_analysis.commands.compare import compare as command
from kmc_analysis.experiment import conclusions
from kmc_analysis.metrics import bootstrap_intervals
from kmc_analysis.statistics import comparison, effect_tables

VOLTAGES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def swept(up: list[float], down: list[float], limited: int | None = None) -> xr.Dataset:
    """A run of one sweep: currents up at VOLTAGES, and down again; limited from the step `limited` up."""
    voltage = VOLTAGES + VOLTAGES[-2::-1]
    current = np.array([*up, *down])
    flag = np.array([limited is not None and limited <= k < len(up) for k in range(len(voltage))], np.int8)
    ones = np.arange(1, len(voltage) + 1)
    data = {
        "voltage_source": voltage,
        "current": current,
        "limited": flag,
        "conductance": 1e-9 * ones,
        "temperature_filament": 300.0 + ones,
        "n_ag_metal": ones,
        "n_ag_ion": ones,
        "gap": 1.0 / ones,
    }
    return xr.Dataset({name: ("time", np.asarray(values)) for name, values in data.items()}, {"time": 0.1 * ones})


LEAK = [0.0, 1e-12, 2e-12, 3e-12, 4e-12, 5e-12]
VOLATILE = swept([0.0, 1e-12, 2e-12, 3e-12, 1e-6, 1e-6], [1e-6, 5e-7, 4e-12, 2e-12, 0.0], limited=4)


def test_metrics_follow_their_definitions() -> None:
    """Of a volatile switch that reaches the limit at 0.4 V."""
    assert metrics.has_set(VOLATILE) == 1.0
    assert metrics.set_voltage(VOLATILE) == 0.4
    assert metrics.on_off(VOLATILE) == pytest.approx(1e-6 / 3e-12)
    assert metrics.returned(VOLATILE) == 11.0
    assert 0 < metrics.loop_opening(VOLATILE) < 1


def test_a_train_has_no_start_to_return_to() -> None:
    """A first look within a pulse of 0.4 V may be of a device that has switched; one at 0.1 V is a start."""
    pulse = VOLATILE.isel(time=slice(4, None))
    assert np.isnan(metrics.returned(pulse))
    assert metrics.returned(VOLATILE.isel(time=slice(1, None))) == 5.5


def test_a_tenfold_rise_is_a_set_without_the_limit() -> None:
    """The first of two; the step from a current of zero is none."""
    run = swept([0.0, 1e-12, 1e-11, 1e-9, 1e-9, 1e-9], LEAK[4::-1])
    assert metrics.set_voltage(run) == 0.2
    assert metrics.on_off(run) == pytest.approx(10)


def test_a_sweep_may_come_after_reads_and_pulses() -> None:
    """The first stretch of rising levels counts, whatever was before it."""
    volts = [0.1, 0.0, 0.1, 1.0, 0.0]
    before = VOLATILE.isel(time=slice(0, len(volts))).assign(
        voltage_source=("time", volts),
        current=("time", np.array([1e-12, 0.0, 1e-12, 1e-9, 0.0])),
        limited=("time", np.zeros(len(volts), np.int8)),
    )
    later = xr.concat([before, VOLATILE], "time")
    for one in (metrics.has_set, metrics.set_voltage, metrics.on_off, metrics.loop_opening):
        assert one(later) == one(VOLATILE)


def test_no_switching_is_no_number() -> None:
    """A leak has neither SET nor loop; a run without a sweep has neither metric."""
    leak = swept(LEAK, LEAK[4::-1])
    assert metrics.has_set(leak) == 0.0
    assert math.isnan(metrics.set_voltage(leak))
    assert metrics.loop_opening(leak) == pytest.approx(0.0, abs=1e-12)
    held = leak.assign(voltage_source=("time", np.full(11, 0.1)))
    empty = leak.isel(time=slice(0, 0))
    for run in (held, empty):
        assert all(math.isnan(f(run)) for f in (metrics.has_set, metrics.set_voltage, metrics.loop_opening))
    assert all(math.isnan(metric.function(empty)) for metric in metrics.METRICS.values())


def test_more_looks_a_step_change_no_metric() -> None:
    """The last sample of a step counts, however many there are."""
    often = VOLATILE.isel(time=np.repeat(np.arange(11), 3))
    for name in ("set", "set_voltage", "on_off", "loop_opening"):
        function = metrics.METRICS[name].function
        assert function(often) == function(VOLATILE)


def measured(values: np.ndarray, name: str = "set_voltage") -> xr.Dataset:
    """Values [ligand, thickness, replicate] of a metric, as `measure` gives them."""
    dims = ("ligand", "thickness", "replicate")
    coordinates = {
        "ligand": ["ogb", "ddab"],
        "thickness": ("thickness", [20.0, 90.0], {"units": "nm"}),
        "replicate": np.arange(values.shape[-1]),
    }
    return xr.Dataset({name: (dims, values)}, coordinates)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_pairing_removes_what_seeds_share() -> None:
    """A shift of 0.1 V under a spread of 10 V between seeds, common to all variants, is found."""
    common = 10 * noise(1, 1, 1, 8)
    values = common + np.array([0.0, 0.1])[:, None, None] + 0.01 * noise(2, 2, 2, 8)
    found = {(one.axis, one.at): one for one in comparison.effects(measured(values))}
    assert set(found) == {
        ("ligand", "all"),
        ("ligand", "thickness 20 nm"),
        ("ligand", "thickness 90 nm"),
        ("thickness", "all"),
        ("thickness", "ligand ogb"),
        ("thickness", "ligand ddab"),
    }
    ligand = found["ligand", "all"]
    assert (ligand.base, ligand.level, ligand.kind, ligand.unit, ligand.pairs) == ("ogb", "ddab", "difference", "V", 16)
    assert ligand.clear
    assert ligand.low < 0.1 < ligand.high
    assert ligand.high - ligand.low < 0.02
    assert not found["thickness", "all"].clear
    shuffled = values.copy()
    shuffled[1] = shuffled[1][:, np.roll(np.arange(8), 3)]  # the control: seeds that are not paired
    assert not {(one.axis, one.at): one for one in comparison.effects(measured(shuffled))}["ligand", "all"].clear


def test_ratios_are_geometric() -> None:
    """A factor of two in on_off, over decades between seeds."""
    values = np.exp(3 * noise(3, 1, 1, 8)) * np.array([1.0, 2.0])[:, None, None] * np.ones((1, 2, 1))
    ligand = next(one for one in comparison.effects(measured(values, "on_off")) if one.axis == "ligand")
    assert ligand.kind == "ratio"
    assert ligand.effect == pytest.approx(2.0)
    assert ligand.after / ligand.before == pytest.approx(2.0)


def test_missing_numbers_drop_their_pair_alone() -> None:
    """A run without a SET is no pair; none at all is a NaN, not an error; one has no interval."""
    values = 1.0 + 0.1 * noise(4, 2, 2, 4)
    values[1, 0, 2] = np.nan
    found = {(one.axis, one.at): one for one in comparison.effects(measured(values))}
    assert found["ligand", "all"].pairs == 7
    assert found["ligand", "thickness 20 nm"].pairs == 3
    values[1, 0, 1:] = np.nan
    one = next(o for o in comparison.effects(measured(values)) if o.at == "thickness 20 nm")
    assert one.pairs == 1
    assert math.isnan(one.low)
    assert not one.clear
    values[1] = np.nan
    none = next(o for o in comparison.effects(measured(values)) if o.axis == "ligand")
    assert none.pairs == 0
    assert math.isnan(none.effect)


def plain(values: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """The bootstrap's own percentiles, not expanded."""
    chosen = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def coverage(interval: Callable[[np.ndarray, int, int], tuple[float, float]], n: int, trials: int) -> float:
    """How often the interval of n normal numbers holds their mean of zero."""
    bounds = [interval(noise(1000 + k, n), 1000, k) for k in range(trials)]
    return float(np.mean([low <= 0 <= high for low, high in bounds]))


def test_intervals_cover() -> None:
    """95 % intervals of two, three and eight seeds hold the truth in 93 to 97 of 100 cases (1000 trials: one
    standard deviation is 0.7 %). The control, plain percentiles, is seen to be too narrow."""
    for count in (2, 3, 8):
        assert 0.93 < coverage(bootstrap_intervals.interval, count, 1000) < 0.97
    assert coverage(plain, 8, 1000) < 0.925
    assert coverage(plain, 2, 1000) < 0.6


def test_the_same_numbers_each_time() -> None:
    """The bootstrap has its own seed: resamples that are drawn anew are those of before."""
    values = measured(noise(5, 2, 2, 8))
    found = comparison.effects(values)
    bootstrap_intervals.resamples.cache_clear()
    assert comparison.effects(values) == found


# --- the command ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of the fake device beside its folder of results, one task of which is missing."""
    file = tmp_path_factory.mktemp("study") / "trial" / "study.yaml"
    file.parent.mkdir()
    file.write_text(
        "stack: ogb_20nm\nvariants: {thickness: [20 nm, 40 nm]}\n"
        "protocols:\n  low: [sweep: {to: 1 V, rate: 100 V/s, step: 50 mV, compliance: 1 uA}]\n"
        "  high: [sweep: {to: 2 V, rate: 100 V/s, step: 50 mV, compliance: 1 uA}]\nreplicates: 4\n"
    )
    loaded, out = load_study(file), file.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        prepare(loaded, out)
        for index in range(1, loaded.count):
            assert perform(loaded.task(index), out).state == "done"
    return file.parent


@pytest.fixture
def study(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its results, in a copy that a test may change."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    monkeypatch.setattr(app, "commands", lambda: {"compare": f"{command.__module__}:compare"})
    return Path(shutil.copytree(done, tmp_path / "trial")) / "out"


def test_compare_writes_tables_and_figures(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The voltage's effect is found, thickness has none in the fake device; every file is told."""
    assert app.main(["compare", str(study.parent), "--quiet"]) == 0
    told = capsys.readouterr()
    assert "1 of 16 tasks are not done" in told.err
    assert "protocol: low to high" in told.out
    files = sorted((study / "compare").iterdir())
    assert [file.name for file in files] == [
        "distributions.png",
        "effects.csv",
        "effects.tex",
        "metrics.csv",
        "traces.png",
        "trends.png",
    ]
    assert all(str(file) in told.out for file in files)
    with (study / "compare" / "effects.csv").open() as file:
        found = {(row["metric"], row["axis"], row["at"]): row for row in csv.DictReader(file)}
    current = found["current_most", "protocol", "all"]
    assert (current["pairs"], current["clear"]) == ("7", "True")
    assert found["current_most", "thickness", "all"]["effect"] == "1.0"
    with (study / "compare" / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 16
    text = (study / "compare" / "effects.tex").read_text()
    assert text.startswith(r"\begin{tabular}")
    assert r"current\_most & protocol: low to high & all & 7" in text


def test_compare_in_json(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object on standard output, null where there is no number; of the metrics asked for."""
    few = ["--quiet", "--no-picture", "--metric", "set_voltage"]
    assert app.main(["compare", str(study), "--json", *few]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["metric"] for one in told["effects"]} == {"set_voltage"}
    assert len(told["files"]) == 3


def test_one_metric_alone_changes_no_verdict(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said and the CSV files are those of all metrics; the table for a manuscript has the one."""
    told, files = [], []
    for more in ([], ["--metric", "on_off"]):
        assert app.main(["compare", str(study), "--json", "--quiet", "--no-picture", *more]) == 0
        told.append(json.loads(capsys.readouterr().out)["conclusions"])
        files.append(
            {name: (study / "compare" / name).read_text() for name in ("effects.csv", "metrics.csv", "effects.tex")}
        )
    assert told[0] == told[1]
    assert any("S19_thickness_on_off" in line and "counts as 1)" in line for line in told[1])
    for name in ("effects.csv", "metrics.csv"):
        assert files[0][name] == files[1][name]
    rows = files[1]["effects.tex"].splitlines()[4:-2]
    assert {row.split(" & ")[0] for row in rows} == {r"on\_off"}


def test_a_sweep_that_ends_with_its_set_counts(study: Path) -> None:
    """Of a study whose runs all end before the fourth level: the study's protocol tells that they sweep."""
    file = study.parent.parent / "short" / "study.yaml"
    file.parent.mkdir()
    sweep = "to: 3 V, start: 1 V, rate: 100 V/s, step: 1 V, back: false, compliance: 1 nA"
    file.write_text(
        "stack: ogb_20nm\nvariants: {thickness: [20 nm, 40 nm]}\nreplicates: 2\n"
        f"protocol: [sweep: {{{sweep}, until: {{current_at_limit: true}}}}]\n"
    )
    loaded, out = load_study(file), file.parent / "out"
    prepare(loaded, out)
    for index in range(loaded.count):
        assert perform(loaded.task(index), out).state == "done"
    values = comparison.measure(kmc.open(out))
    assert (values["set"] == 1.0).all()
    assert np.isfinite(values["set_voltage"]).all()


def test_all_effects_are_told_where_asked(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--all adds the effects at each level of the other axes."""
    told = []
    for more in ([], ["--all"]):
        assert app.main(["compare", str(study), "--quiet", "--no-picture", *more]) == 0
        told.append(capsys.readouterr().out)
    assert len(told[1].splitlines()) > len(told[0].splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such"], "no-such does not exist"),
        (["study.yaml"], "study.yaml says what to run and holds no results; name the folder of its results"),
        (["out", "--metric", "set_volts"], 'did you mean "set_voltage"?'),
        (["out/tasks"], "holds 15 datasets"),
    ],
)
def test_bad_input_is_one_line(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Exit code 2, nothing written."""
    monkeypatch.chdir(study.parent)
    assert app.main(["compare", *arguments]) == 2
    told: Any = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not (study / "compare").exists()


def test_one_run_is_no_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is a study without results."""
    one = next((study / "tasks").glob("*.nc"))
    assert app.main(["compare", str(one)]) == 2
    assert "not a study" in capsys.readouterr().err
    for path in (study / "tasks").glob("*.nc"):
        path.unlink()
    assert app.main(["compare", str(study)]) == 2
    assert "no task of the study is done" in capsys.readouterr().err


def test_effects_are_told_in_few_characters() -> None:
    """A ratio, a difference with its unit, and none."""
    one = comparison.Effect(
        "on_off",
        "ligand",
        "ogb",
        "ddab",
        "all",
        kind="ratio",
        unit="1",
        pairs=8,
        before=1.0,
        after=2.0,
        effect=2.0,
        low=1.5,
        high=2.5,
        clear=True,
    )
    assert effect_tables.effect(one) == "x2 [1.5, 2.5]"
    assert effect_tables.effect(one._replace(kind="difference", unit="V")) == "+2 [1.5, 2.5] V"
    assert effect_tables.effect(one._replace(effect=math.nan)) == "-"
    near = one._replace(effect=1.00012, low=1.00011, high=1.00013, clear=True)
    assert effect_tables.effect(near) == "x1.0001 [1.0001, 1.0001]"
    assert effect_tables.effect(near._replace(low=0.9999, clear=False)) == "x1 [1, 1]"


# --- in words --------------------------------------------------------------------------------------------


def said(switched: float, shift: float, spread: float = 0.01) -> list[str]:
    """The conclusions of a study over ligand and thickness; 90 nm adds `shift` V to a set voltage of 1 V."""
    voltage = 1.0 + np.array([0.0, shift])[None, :, None] + spread * noise(5, 2, 2, 8)
    values = measured(voltage if switched else np.full((2, 2, 8), np.nan))
    values["on_off"] = values["set_voltage"] * 400
    values["current_most"] = values["set_voltage"] * 1e-6
    values["set"] = (("ligand", "thickness", "replicate"), np.full((2, 2, 8), switched))
    return conclusions.conclusions(values, comparison.effects(values))


def test_without_switching_nothing_is_said_of_switching() -> None:
    """Neither agreement nor disagreement with the experiment can be read out of a study below threshold."""
    words = said(0.0, 0.0)
    assert words[0].startswith("None of 32 runs switched: the comparison says nothing of set voltage")
    claims = [line for line in words if line.startswith("Experiment (S19_thickness_")]
    assert len(claims) == 2
    assert all("Nothing can be said" in line for line in claims)
    assert not any("agree" in line for line in words)


def test_another_limit_than_the_experiments_is_said() -> None:
    """Microamperes are held against a claim at 1 mA and so told; on/off has a verdict of its own."""
    voltage, ratio = said(1.0, 0.05)[-2:]
    assert voltage.endswith("The experiment's limit was 1 mA; no current here exceeds 1.07 uA.")
    assert "This study agrees: the median of on_off at thickness 20 nm is 398 [" in ratio.replace("(", "[")
    assert "counts as 1" not in ratio
    assert "This study does not agree: the median of on_off at thickness 90 nm" in said(1.0, -0.6)[-1]


def test_a_variant_without_a_number_leaves_a_claim_open() -> None:
    """No run of a thickness is done, or it was not measured which runs switched: no verdict."""
    values = measured(1.0 + 0.01 * noise(5, 2, 2, 8))
    values["on_off"] = values["set_voltage"] * 400
    values["set"] = xr.ones_like(values["on_off"])
    gone = values["on_off"].where(values["thickness"] != values["thickness"][1])
    case = values.assign(on_off=gone, set=values["set"].where(np.isfinite(gone)))
    words = conclusions.conclusions(case, comparison.effects(case))
    assert any("some variants have no on_off" in line for line in words)
    words = conclusions.conclusions(values.drop_vars("set"), comparison.effects(values.drop_vars("set")))
    assert any("it was not measured which runs switched" in line for line in words)


def test_what_did_not_switch_counts_in_a_median() -> None:
    """One of sixteen with a ratio of 400 does not speak for a thickness; where the interval straddles, all is
    open."""
    for share, verdict in ((1 / 16, "does not agree"), (10 / 16, "Undecided"), (1.0, "This study agrees")):
        switched = (np.arange(16) < share * 16).astype(float).reshape(2, 1, 8)
        axes = ("ligand", "thickness", "replicate")
        both = np.concatenate([np.ones((2, 1, 8)), switched], axis=1)
        values = measured(np.where(both == 1.0, 1.0, np.nan))
        values["set"] = (axes, both)
        values["on_off"] = values["set_voltage"] * 400
        words = conclusions.conclusions(values, comparison.effects(values))
        assert verdict in next(line for line in words if "S19_thickness_on_off" in line), share


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [
        (0.05, 0.01, "This study agrees"),
        (0.6, 0.01, "This study does not agree"),
        (-0.6, 0.01, "This study does not agree"),
        (0.2, 0.5, "Undecided"),
    ],
)
def test_a_claim_of_the_experiment_is_held_against_the_interval(shift: float, spread: float, verdict: str) -> None:
    """Inside of 25 % with the whole interval, outside with the whole interval, or neither."""
    words = said(1.0, shift, spread)
    assert words[0] == "32 of 32 runs switched."
    assert verdict in words[-2]
    assert any(line.startswith("ligand: no clear effect") for line in words)


# --- inputs of two runs ----------------------------------------------------------------------------------


def inputs(*arguments: object, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """What `kmc compare A B --json` says, by path."""
    assert app.main(["compare", *map(str, arguments), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["differences"]
    return {one["path"]: (one["first"], one["second"]) for one in told}


def test_two_runs_inputs_are_compared(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, datasets and studies, with the cards' numbers; equal inputs are said to be equal."""
    run = "stack: ogb_20nm\nprotocol: [sweep: {to: 1 V, rate: 1 V/s, step: 50 mV, compliance: 1 uA}]\n"
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(run)
    choices = "choices: {electrode.bond_energy: 0.5 eV, ligand: ddab}\n"
    other.write_text(run.replace("to: 1 V", "to: 2 V") + choices)
    found = inputs(one, other, capsys=capsys)
    assert found["protocol.0.sweep.to"] == ("1 V", "2 V")
    assert found["cards.ligand.name"] == ("ogb", "ddab")
    assert found["numbers.electrode.bond_energy"][1] == "0.5 eV (assumed)"
    assert "numbers.ligand.gap" in found
    assert not [path for path in found if path.endswith("hash")]
    assert {path.partition(".")[0] for path in found} == {"protocol", "cards", "numbers", "stack"}
    assert app.main(["compare", str(one), str(one)]) == 0
    assert capsys.readouterr().out == "the inputs are the same\n"
    first, second = sorted((study / "tasks").glob("*.nc"))[:2]
    assert inputs(first, second, capsys=capsys)
    assert inputs(study, study, capsys=capsys) == {}


def test_an_initial_state_is_compared_by_content(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's file and its dataset differ in nothing, though one names a path and the other a hash."""
    protocol = "protocol: [read: {voltage: 0.1 V, duration: 1 ms}]\n"
    for name, more in (("first", ""), ("second", "initial: ../first/out\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.yaml").write_text(f"stack: ogb_20nm\nseed: 3\n{protocol}{more}")
        execute(load_run(tmp_path / name / "run.yaml"), tmp_path / name / "out")
    folder = tmp_path / "second"
    found = inputs(folder / "run.yaml", folder / "out", capsys=capsys)
    assert not [path for path in found if path.startswith("initial")]


def test_a_run_is_its_file_and_its_copy(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What follows from the inputs differs in nothing; nor does a dataset that lies elsewhere."""
    file, out, other = tmp_path / "run.yaml", tmp_path / "out", tmp_path / "elsewhere" / "run.nc"
    file.write_text("stack: ogb_20nm\nprotocol: [read: {voltage: 0.1 V, duration: 1 ms}]\n")
    execute(load_run(file), out)
    with kmc.open(out) as ds:
        assert "window_nm" in ds.attrs["run"]
    assert inputs(out, file, capsys=capsys) == {}
    other.parent.mkdir()
    shutil.copy(next(out.glob("*.nc")), other)
    assert inputs(out, other, capsys=capsys) == {}
    file.write_text(file.read_text() + "choices: {electrode.bond_energy: 0.5 eV}\n")
    found = inputs(file, other, capsys=capsys)
    assert found["numbers.electrode.bond_energy"] == ("0.5 eV (assumed)", "0.28 eV (assumed)")
    assert not [path for path in found if path.endswith("hash")]
    assert app.main(["run", str(file), "--out", str(out), "--resume", "--no-picture"]) == 2
    assert "electrode.bond_energy is 0.28 eV there, 0.5 eV here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("order: random", "order: ordered", {"stack.order": ("random", "ordered")}),
        ("sigma: 0.36", "sigma: 0.02", {"numbers.crystal.aspect_ratio.sigma": ("0.36", "0.02")}),
        (
            "value: 1.26,",
            "value: 1.26000001,",
            {"numbers.crystal.aspect_ratio": ("1.26 (measured)", "1.26000001 (measured)")},
        ),
    ],
)
def test_devices_that_differ_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, told: dict[str, tuple[str, str]]
) -> None:
    """Also by what is no value of a number, and by its last digits."""
    text = find_data("stack", "ogb_20nm").read_text()
    assert text.count(before) == 1
    for name, stack in (("one", text), ("two", text.replace(before, after))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "film.yaml").write_text(stack)
        (tmp_path / name / "run.yaml").write_text("stack: film.yaml\nprotocol: [read: {}]\n")
    assert inputs(tmp_path / "one/run.yaml", tmp_path / "two/run.yaml", capsys=capsys) == told


def test_a_dataset_knows_its_numbers_or_else_the_hashes_speak(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the study's file says by now. Datasets of before have no numbers in their run."""
    tasks = sorted((study / "tasks").glob("*.nc"))
    first = tasks[0]
    device = run_of(kmc.open(first))["stack"]
    second = next(one for one in tasks if run_of(kmc.open(one))["stack"] != device)
    before = inputs(first, second, capsys=capsys)
    assert [path for path in before if path.startswith("numbers.")]
    (study.parent / "study.yaml").write_text("stack: ogb_20nm_au\n")
    assert inputs(first, second, capsys=capsys) == before
    old = tmp_path / "old.nc"
    with xr.open_dataset(first) as ds:
        run = {key: value for key, value in json.loads(ds.attrs["run"]).items() if key != "numbers"}
        ds.assign_attrs(run=json.dumps(run)).to_netcdf(old)
    found = inputs(old, second, capsys=capsys)
    assert "stack.hash" in found
    assert not [path for path in found if path.startswith("numbers.")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such", "out"], "no-such does not exist"),
        (["out", "out", "--metric", "set"], "--metric does not go with two runs"),
        (["out", "out", "--all"], "--all does not go with two runs"),
    ],
)
def test_bad_pairs_are_refused(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Exit code 2 and one line."""
    monkeypatch.chdir(study.parent)
    assert app.main(["compare", *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
