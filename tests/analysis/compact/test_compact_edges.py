"""Compact models and readouts at the edges of what they are given."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.expressions import check_powers, parse
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files, spice_netlists
from kmc_analysis.compact.fitting import fit_data, parameter_intervals
from kmc_analysis.compact.fitting import model_comparison as tables
from kmc_analysis.compact.fitting.misfit import from_unit
from kmc_analysis.compact.fitting.parameter_spreads import components
from kmc_analysis.reservoir import kinetic_states, spike_trains

HEAD = "time_s,voltage_source_V,current_A\n"


def test_a_fit_is_kept_when_the_traces_do_not_tell_its_spread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two devices and two protocols are there, but below the threshold no trace tells the speed beyond: the
    fit is written, with a warning that names the parameter."""
    model, folder = load_model("vteam"), tmp_path / "traces"
    folder.mkdir()
    for name, rate in (("slow", 1.0), ("fast", 2.0)):
        for seed in (1, 2):
            drive = Drive.sweep(0.2, rate, 1e-4, 41)
            made = simulate(model, drive)
            rows = zip(drive.time.tolist(), drive.voltage.tolist(), made.current.tolist(), strict=True)
            text = HEAD + "".join(",".join(map(repr, row)) + "\n" for row in rows)
            (folder / f"{name}_seed{seed}.csv").write_text(text)
    held = [p for p in model.parameters if p.name not in ("k_on", "Roff")]
    fixed = [f"--fix={p.name}={p.value!r} {p.unit}" for p in held]
    given = [str(folder), "--model", "vteam", "--generations", "0", "--spread", "k_on", *fixed]
    assert app.main(["compact", "fit", *given, "--out", str(tmp_path / "fit"), "--quiet"]) == 0
    assert "too few traces tell k_on" in capsys.readouterr().err
    written = json.loads((tmp_path / "fit" / "parameters.json").read_text())
    assert written["parameters"]["Roff"]["value"] == pytest.approx(model.values()["Roff"], rel=0.01)


def test_protocols_that_share_no_device_are_tables_of_their_own() -> None:
    """Devices of 0.5 and cycles of 0.3 come back in the mean square, of two protocols on two devices and two
    on two others. Four standard errors of 2,000 draws. By one mean for all the cycle would be 0.42."""
    stream, found = np.random.default_rng(1), []
    for _ in range(2000):
        own = 0.5 * stream.standard_normal(4)
        found.append(
            components(
                {
                    (name, str(k)): own[k] + 0.3 * stream.standard_normal()
                    for names, seeds in (("ab", (0, 1)), ("cd", (2, 3)))
                    for name in names
                    for k in seeds
                }
            )
        )
    cycle = np.sqrt(np.mean(np.array(found)[:, 1] ** 2))
    assert cycle == pytest.approx(0.3, abs=4.0 * 0.3 / np.sqrt(2 * 2 * 2000))


def test_a_spike_on_the_grid_is_in_its_slot() -> None:
    """As a CSV with six digits has it: each of 150 slots once, in slots of 5 ms; spikes between stay."""
    times = np.array([float(f"{k * 5e-3:.6g}") for k in range(150)])
    made = spike_trains.Trains((times, times + 2e-3), np.zeros(2, int), ("a",), 0.75, 1)
    assert made.bits(5e-3).all()
    before = spike_trains.Trains((np.array([4.9e-3]),), np.zeros(1, int), ("a",), 0.75, 1)
    assert np.flatnonzero(before.bits(5e-3)).tolist() == [0]


@pytest.mark.parametrize(
    ("text", "right"),
    [("(V - 1) ^ 3", True), ("V ^ -2", True), ("V ^ 2.0", True), ("abs(V) ^ 1.5", True), ("V ^ 1.5", False)],
)
def test_powers_of_what_may_be_negative_are_whole(text: str, right: bool) -> None:
    """ngspice takes the absolute value of V in V ^ 1.5, Python has no number for it."""
    if right:
        check_powers(parse(text), {})
        return
    with pytest.raises(UserError, match="a whole number as the exponent"):
        check_powers(parse(text), {})


def test_what_has_no_answer_is_not_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference comes before the first file."""

    def none(*_: object) -> None:
        raise UserError("cannot be integrated")

    monkeypatch.setattr(model_files, "simulate", none)
    with pytest.raises(UserError, match="cannot be integrated"):
        model_files.write(load_model("vteam"), load_model("vteam").values(), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


MODEL = """\
name: odd
title: odd
source: none
validity: none
parameters:
  R: {value: 1 kohm, low: 1 ohm, high: 1 Mohm, unit: ohm, scale: log, meaning: resistance}
states:
  x: {initial: INITIAL, rate: 0, meaning: state}
current: CURRENT
"""


@pytest.mark.parametrize(
    ("initial", "current"), [("0", "V / (R * x)"), ("1 / (R - R)", "V / R"), ("0", "V / R * log(x - 1)")]
)
@pytest.mark.parametrize("command", ["fit", "export"])
def test_equations_without_an_answer_are_the_users(
    initial: str, current: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A division by zero or the logarithm of a negative number: one line, and no traceback."""
    (tmp_path / "odd.yaml").write_text(MODEL.replace("INITIAL", initial).replace("CURRENT", current))
    (tmp_path / "sweep.csv").write_text(HEAD + "0,0.1,1e-9\n1,0.2,2e-9\n2,0.1,1e-9\n")
    model, more = str(tmp_path / "odd.yaml"), ["--generations", "0", "--quiet"]
    given = {"fit": [str(tmp_path / "sweep.csv"), "--model", model, *more], "export": [model]}[command]
    assert app.main(["compact", command, *given, "--out", str(tmp_path / "o")]) == 2
    assert "odd cannot be integrated" in capsys.readouterr().err


def test_a_source_begins_at_zero_and_jumps() -> None:
    """The corners of a staircase are kept, a clock that starts later is set to zero."""
    staircase = Drive.of([5.0, 6.0, 6.0, 7.0, 7.0, 8.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    points = spice_netlists.pwl_points(staircase)
    assert points[0] == (0.0, 0.0)
    times, volts = np.array(points).T
    assert (np.diff(times) > 0.0).all()
    for at, volt in ((0.5, 0.0), (0.999, 0.0), (1.001, 1.0), (1.999, 1.0), (2.001, 0.0), (3.0, 0.0)):
        assert np.interp(at, times, volts) == pytest.approx(volt, abs=1e-9)


def test_a_deck_has_one_limit_or_none() -> None:
    """Without a limit no limiter is written; two limits are refused."""
    model, sweep = load_model("vteam"), Drive.sweep(0.6, 1.0, 1e-5)
    assert "kmc_limiter icc=1e-05" in spice_netlists.bench(model, sweep, "a.sp", "a.txt")
    free = spice_netlists.bench(model, replace(sweep, compliance=np.full(sweep.time.size, np.inf)), "a.sp", "a.txt")
    assert "kmc_limiter" not in free
    assert "Vlimit s d 0" in free
    with pytest.raises(UserError, match="one compliance"):
        spice_netlists.bench(model, replace(sweep, compliance=1e-6 * (1.0 + sweep.time)), "a.sp", "a.txt")
    both = Drive.set_and_reset(0.6, 1.0, 1e-5)
    assert "kmc_set_limiter icc=1e-05" in spice_netlists.bench(model, both, "a.sp", "a.txt")
    other = np.where(both.voltage < 0.0, 1e-4, 1e-5)
    with pytest.raises(UserError, match="one compliance"):
        spice_netlists.bench(model, replace(both, compliance=other), "a.sp", "a.txt")


def test_devices_are_drawn_across_protocols_that_share_some() -> None:
    """A protocol of three of five devices has those of them that are drawn, as often; none is without one."""
    traces = [SimpleNamespace(seeds=("1", "2", "3", "4", "5")), SimpleNamespace(seeds=("2", "4", "5"))]
    stream = np.random.default_rng(0)
    for _ in range(50):
        every, some = parameter_intervals._redrawn(traces, stream)  # type: ignore[arg-type]
        shared = [traces[0].seeds[row] for row in every if traces[0].seeds[row] in traces[1].seeds]
        assert len(every) == 5
        assert [traces[1].seeds[row] for row in some] == shared != []


def test_a_misfit_without_an_answer_is_no_number_in_json() -> None:
    """`Infinity` is not JSON."""
    one = SimpleNamespace(
        estimates=[],
        mean_square=np.inf,
        errors={"a": np.inf},
        held_out={},
        scatter={},
        model=load_model("vteam"),
        values=load_model("vteam").values(),
    )
    made = tables.rows({"vteam": one})  # type: ignore[dict-item]
    json.dumps(made, allow_nan=False)
    assert "| none |" in tables.text(made)


def test_the_table_begins_with_the_best_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of traces that were held out, whatever the error of those that were fitted."""
    monkeypatch.setattr("kmc_analysis.compact.fitting.fit_report.compliance_law", lambda found: (math.nan, math.nan))

    def fitted(error: float, held_out: float) -> Any:
        return SimpleNamespace(
            estimates=[], mean_square=1.0, errors={"sweep": error}, held_out={"pulses": held_out}, scatter={}
        )

    rows = tables.rows({"close": fitted(0.1, 0.9), "right": fitted(0.5, 0.2)})
    assert [row["model"] for row in rows] == ["right", "close"]


def test_values_at_the_bounds_are_within_them() -> None:
    """Whatever a logarithm rounds to: what a fit writes can be read again."""
    for name in ("vteam", "silver"):
        for p in load_model(name).parameters:
            for place in (0.0, 1e-16, 1.0 - 1e-16, 1.0):
                assert p.low <= from_unit(p, place) <= p.high


def test_a_folder_of_csv_in_capitals_is_one(tmp_path: Path) -> None:
    """As a single such file is."""
    (tmp_path / "A.CSV").write_text(HEAD + "0,0.1,1e-9\n1,0.1,1e-9\n2,0.1,1e-9\n")
    assert [one.name for one in fit_data.read_all([tmp_path])] == ["A"]


def test_a_trace_with_nothing_to_predict_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no current at all; where most oppose the voltage that is said instead."""
    (tmp_path / "good.csv").write_text(HEAD + "0,0.1,1e-9\n1,0.2,2e-9\n2,0.3,3e-9\n")
    (tmp_path / "bad.csv").write_text(HEAD + "0,0.1,0\n1,0.2,0\n2,0.3,0\n")
    given = ["compact", "table", str(tmp_path / "good.csv"), "--held-out", str(tmp_path / "bad.csv")]
    assert app.main([*given, "--out", str(tmp_path / "out")]) == 2
    assert "bad has no point to predict" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["99999999999", "-5", "1000"])
def test_a_states_table_has_no_device_beyond_a_plans(device: str, tmp_path: Path) -> None:
    """Not even the memory for as many is asked for. A mark of byte order is none of the table."""
    path = tmp_path / "states.csv"
    path.write_text(f"pattern,replicate,conductance_S\nb01,0,1e-6\nb01,{device},1e-6\n")
    with pytest.raises(UserError, match=r"states\.csv:3: has no device"):
        kinetic_states.read(path)
    path.write_text("\ufeffpattern,replicate,conductance_S\nb01,1,1e-6\n")
    assert kinetic_states.read(path)["b01"][1] == 1e-6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0,0.1,1e-9\n2,0.1,1e-9\n1,0.1,1e-9\n", r"m\.csv:4: its time is before"),
        ("", r"m\.csv:1: needs three rows"),
        ("0,0.1,1e-9\n1,0.1,1e-9\n", r"m\.csv:3: needs three rows"),
        ("0,0.1,1e-9\n1,0.1,inf\n2,0.1,1e-9\n", r"m\.csv:3: a number is not finite"),
    ],
)
def test_faults_of_a_measurement_are_where_they_are(text: str, words: str, tmp_path: Path) -> None:
    """The line is that of the fault."""
    (tmp_path / "m.csv").write_text(HEAD + text)
    with pytest.raises(UserError, match=words):
        fit_data.measured_columns(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text(HEAD + "0,0.1,nan\n1,0.1,1e-9\n2,0.1,1e-9\n")
    assert np.isnan(fit_data.measured_columns(tmp_path / "m.csv")["current_A"][0])


def test_tabs_with_decimal_commas_are_read(tmp_path: Path) -> None:
    """As a spreadsheet of a country with commas writes them."""
    (tmp_path / "m.csv").write_text(HEAD.replace(",", "\t") + "0\t0,1\t1e-9\n1\t0,2\t2e-9\n2\t0,3\t3e-9\n")
    assert fit_data.measured_columns(tmp_path / "m.csv")["voltage_source_V"].tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("time", [[0.0, 2.0, 1.0], [0.0, np.nan, 1.0], [0.0, 1.0]])
def test_a_drive_whose_times_fall_is_refused(time: list[float]) -> None:
    """A device that goes back in time would be computed without a word; a jump in no time is one."""
    with pytest.raises(UserError, match="times do not rise"):
        Drive.of(time, [0.0, 1.0, 0.5])
    assert Drive.of([0.0, 1.0, 1.0], [0.0, 1.0, 0.5]).time[-1] == 1.0
