"""Simulated runs as traces: the source step by step, replicates as their median, CSV there and back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs import pwl_table
from kmc.inputs.protocol import Protocol, read_protocol
from kmc.io import dataset, provenance
from kmc.io.variables import TRACES
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive
from kmc_analysis.compact.export import model_files
from kmc_analysis.compact.fitting import fit_data, programmed_conductance
from kmc_analysis.compact.fitting.model_fit import Search, fit
from kmc_analysis.metrics import trace_columns

PULSES = Protocol.read("50 mV", "1 ms") + Protocol.pulses(
    "0.6 V", "5 ms", "10 ms", 2, base="50 mV", samples=5, compliance="1 uA"
)


def run_of(protocol: Protocol, conductance_S: float = 1e-6, told: bool = True) -> xr.Dataset:
    """The dataset of a resistor that obeys the limits of `protocol` and goes the ways that it has."""
    names = "time voltage_source voltage_device current segment cycle limited conductance".split()
    rows: dict[str, list[float]] = {name: [] for name in names}
    begin, steps, place = 0.0, protocol.steps(), 0
    while place < len(steps):
        step = steps[place]
        current = min(step.voltage_V * conductance_S, step.compliance_A)
        limited = current == step.compliance_A
        for k in range(step.samples):
            time = begin + step.duration_s * (k + 1) / step.samples
            held = (step.voltage_V, current / conductance_S, current, step.segment, step.cycle)
            for name, value in zip(rows, (time, *held, limited, conductance_S), strict=True):
                rows[name].append(value)
        begin += step.duration_s
        place += step.after(conductance_S, limited)
    run = {"name": "resistor", "protocol": protocol.to_data()} if told else {"name": "resistor"}
    rows |= {name: [0.0] * len(rows["time"]) for name in TRACES if name not in rows}
    return dataset.build(rows, [], provenance.attributes(run))


def test_the_source_jumps_where_a_step_begins() -> None:
    """A pulse of 5 ms holds from its first instant, with its limit, whether or not that limit ever works."""
    found = trace_columns.columns(run_of(PULSES))
    one = fit_data.of_columns("pulses", found)
    at = np.flatnonzero(one.drive.time == 1e-3)
    assert one.drive.voltage[at] == pytest.approx([0.05, 0.6])
    assert one.drive.compliance[at].tolist() == [np.inf, 1e-6]
    assert not one.used[at[1]]  # a corner is no measurement
    assert one.used.sum() == 1 + 4 * 5
    assert one.log_g[one.used] == pytest.approx(-6.0)


def test_without_its_protocol_a_run_shows_its_limit() -> None:
    """The limit of a segment in which the limiter works."""
    found = trace_columns.columns(run_of(PULSES, 1e-5, told=False))
    assert found["compliance_A"][0] == np.inf
    assert found["compliance_A"][-1] == pytest.approx(1e-6)


@pytest.mark.parametrize("conductance_S", [1e-7, 1e-5, 1e-3])
def test_where_the_device_chooses_the_steps_their_limits_are_told(conductance_S: float) -> None:
    """A hold that ends early, and turns of a loop, of which pulses alone have a limit: each step has its own,
    reached or not, and begins where it does. A selection of the samples shows what it can."""
    hold = {"voltage": "0.6 V", "duration": "1 s", "samples": 9, "compliance": "1 uA"}
    before = {"voltage": "0.1 V", "duration": "1 ms", "samples": 4}
    early = read_protocol([{"hold": before}, {"hold": {**hold, "until": {"current_at_limit": True}}}])
    limits = trace_columns.columns(run_of(early, conductance_S))["compliance_A"]
    assert np.all(np.isinf(limits[:5]))  # four samples and a corner
    assert np.all(limits[5:] == 1e-6)
    turn = [
        {"pulses": {"amplitude": "1 V", "width": "1 ms", "gap": "1 ms", "compliance": "1 uA"}},
        {"hold": {"voltage": "-0.5 V", "duration": "1 ms"}},
        {"read": {}},
    ]
    met = {"conductance_above": "0.1 mS"}
    loop = read_protocol([{"repeat_until": {"until": met, "most": 3, "segments": turn}}])
    run = run_of(loop, conductance_S)
    found = trace_columns.columns(run)
    pulsed = found["voltage_source_V"] == 1.0
    assert np.all(found["compliance_A"][pulsed] == 1e-6)
    assert np.all(np.isinf(found["compliance_A"][found["voltage_source_V"] < 0.0]))
    turns = 1 if conductance_S > 1e-4 else 3
    assert np.isnan(found["current_A"][pulsed]).sum() == turns  # a corner where each pulse begins


@pytest.mark.parametrize("kept", [slice(1, None, 2), slice(5, None), slice(0, None, 3)])
def test_a_selection_of_samples_shows_what_it_can(kept: slice) -> None:
    """Limits that only the steps tell are not given to others' samples, and every jump keeps its corner."""
    turn = [
        {"hold": {"voltage": "1 V", "duration": "1 ms", "samples": 5, "compliance": "1 uA"}},
        {"hold": {"voltage": "0.5 V", "duration": "1 ms", "samples": 5}},
    ]
    run = run_of(read_protocol([{"repeat": {"times": 3, "segments": turn}}]), 1e-5).isel(time=kept)
    found = trace_columns.columns(run)
    volts = found["voltage_source_V"]
    seen = np.isfinite(found["current_A"])
    assert np.array_equal(found["compliance_A"][seen], np.where(volts[seen] == 1.0, 1e-6, np.inf))
    assert np.isnan(found["current_A"]).sum() == 1 + np.count_nonzero(np.diff(run["voltage_source"].values))


def test_what_a_compliance_leaves() -> None:
    """Resistors that were held under a limit and then read: conductance against limit, and its line."""
    held = {name: Protocol.hold("0.4 V", "1 ms", name, samples=4) for name in ("30 uA", "90 uA")}
    traces = [
        fit_data.of_columns(limit, trace_columns.columns(run_of(one + Protocol.read() + Protocol.read(), g)))
        for (limit, one), g in zip(held.items(), (1e-4, 3e-4), strict=True)
    ]
    found = programmed_conductance.programmed(traces)
    assert [one.limit for one in found] == pytest.approx([30e-6, 90e-6])
    assert [one.first for one in found] == pytest.approx([1e-4, 3e-4])
    slope, offset, squared = programmed_conductance.line([one.limit for one in found], [one.last for one in found])
    assert (slope, squared) == pytest.approx((1.0 / 0.3, 1.0))
    assert offset == pytest.approx(0.0, abs=1e-9)
    assert all(one.reached for one in found)
    assert programmed_conductance.summary(found)["slope_per_V"] == pytest.approx(1.0 / 0.3)
    with pytest.raises(UserError, match="was not programmed"):
        programmed_conductance.programmed([fit_data.of_columns("read", trace_columns.columns(run_of(PULSES)))])


def test_at_once_and_at_the_end_are_two() -> None:
    """A state that fades from 90 to 50 uS while it is read."""
    time = np.arange(6.0)
    voltage = np.repeat([0.4, 0.1], [2, 4])
    limit = np.repeat([30e-6, np.inf], [2, 4])
    conductance = np.array([1e-3, 1e-3, 9e-5, 8e-5, 7e-5, 5e-5])
    current = np.minimum(conductance * voltage, limit)
    one = fit_data.trace("fading", time, voltage, current, limit, current / conductance)
    (found,) = programmed_conductance.programmed([one])
    assert (found.first, found.last) == pytest.approx((9e-5, 5e-5))
    assert found.reached


def test_a_limit_that_was_not_reached_is_no_law() -> None:
    """A resistor that takes 30 uA but not 90 uA: the report says so and draws no line through both."""
    traces = []
    for limit in ("30 uA", "90 uA"):
        held = Protocol.hold("0.4 V", "1 ms", limit, samples=4) + Protocol.read() + Protocol.read()
        traces.append(fit_data.of_columns(limit, trace_columns.columns(run_of(held, 1e-4))))
    found = programmed_conductance.programmed(traces)
    assert [one.reached for one in found] == [True, False]
    assert math.isnan(programmed_conductance.summary(found)["slope_per_V"])
    told = "\n".join(programmed_conductance.text(found))
    assert "1 of 2 did not reach the limit" in told
    assert "nan" not in told


def test_csv_there_and_back(tmp_path: Path) -> None:
    """What `kmc compact traces` writes is read as the same source and the same conductance."""
    run_of(PULSES).to_netcdf(tmp_path / "pulses.nc")
    out = tmp_path / "traces"
    assert app.main(["compact", "traces", str(tmp_path / "pulses.nc"), "--out", str(out)]) == 0
    direct, again = fit_data.read_all([tmp_path / "pulses.nc"])[0], fit_data.read_all([out])[0]
    assert again.name == direct.name == "pulses"
    for name in ("time", "voltage", "compliance"):
        assert np.allclose(getattr(again.drive, name), getattr(direct.drive, name), rtol=1e-5), name
    assert np.array_equal(again.used, direct.used)
    assert again.log_g[again.used] == pytest.approx(direct.log_g[direct.used], abs=1e-5)


def test_a_table_of_a_run_without_its_limit_is_no_source(tmp_path: Path) -> None:
    """`kmc export` writes samples and whether the limiter worked, but neither its current nor corners; what
    `kmc compact traces` writes is taken, and a picture takes both."""
    run_of(PULSES).to_netcdf(tmp_path / "run.nc")
    path = tmp_path / "run.csv"
    assert app.main(["export", str(tmp_path / "run.nc"), "--format", "csv", "--out", str(path)]) == 0
    with pytest.raises(UserError, match=r"run\.csv: .*limited.*compliance_A.*kmc compact traces RUN\.nc"):
        fit_data.read_all([path])
    assert "limited" in fit_data.measured_columns(path)


def test_what_an_export_writes_fits_back(tmp_path: Path) -> None:
    """The reference's own sweep, under its limit, tells the parameters that made it."""
    model, made = load_model("vteam"), {"Ron": 2e3, "v_on": 0.41}
    written, _ = model_files._tables(model, model.values(made), {"sweep": Drive.sweep(0.6, 1.0, 1e-4)})
    (tmp_path / "sweep.csv").write_text(written["sweep.csv"])
    found = fit(model, fit_data.read_all([tmp_path / "sweep.csv"]), free=list(made), search=Search(generations=0))
    assert {name: found.values[name] for name in made} == pytest.approx(made, rel=0.01)


HEAD = "time_s,voltage_source_V,current_A"
ROWS = "0,0,0\n1,0.1,1e-9\n2,0.2,2e-9\n"


@pytest.mark.parametrize(
    "head",
    [
        "time_ms,voltage_source_mV,current_uA",
        "Time (ms),Voltage [mV],Current (uA)",
        "t [ms], Bias (mV) ,I [uA]",
        "Time(ms),Voltage Source (mV),current_µA",
    ],
)
def test_what_an_instrument_calls_its_columns(tmp_path: Path, head: str) -> None:
    """Words and a unit: numbers are converted by it, of a voltage program too."""
    (tmp_path / "mine.csv").write_text(f"{head}\n0,0,0\n1,100,1e-3\n2,200,2e-3\n", encoding="utf-8")
    found = fit_data.measured_columns(tmp_path / "mine.csv")
    assert list(found) == ["time_s", "voltage_source_V", "current_A"]
    assert [column.tolist() for column in found.values()] == [
        pytest.approx([0.0, 1e-3, 2e-3]),
        pytest.approx([0.0, 0.1, 0.2]),
        pytest.approx([0.0, 1e-9, 2e-9]),
    ]
    assert pwl_table.read(tmp_path / "mine.csv") == tuple(
        (pytest.approx(time), pytest.approx(volt)) for time, volt in ((0.0, 0.0), (1e-3, 0.1), (2e-3, 0.2))
    )


@pytest.mark.parametrize(
    ("currents", "told"),
    [
        ("1e-9 2e-9 3e-9", ""),
        ("-1e-9 -2e-9 3e-9", "leads the other way round?"),
        ("nan nan nan", "no current at all"),
        ("1e-9 9.9e37 2e-9", "the mark of an overflow?"),
    ],
)
def test_what_a_measurement_is_hardly_meant_to_have_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], currents: str, told: str
) -> None:
    """On standard error; it is read all the same."""
    rows = (f"{k},0.{k + 1},{current}\n" for k, current in enumerate(currents.split()))
    (tmp_path / "mine.csv").write_text(f"{HEAD}\n{''.join(rows)}")
    assert len(fit_data.measured_columns(tmp_path / "mine.csv")["time_s"]) == 3
    said = capsys.readouterr().err
    assert (told in said) if told else (said == "")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            f"time_s,voltage_source_V,current_V\n{ROWS}",
            1,
            'unknown column "current_V"; convert to A, and call it current_A',
        ),
        (f"time_s,voltage_source_V,current_A,Current (mA)\n{ROWS}", 1, 'more than one column "current_A"'),
        (f"time_s,voltage_source_V,Current (MA)\n{ROWS}", 1, "convert to A, and call it current_A"),
        (f"Time (hh),voltage_source_V,current_A\n{ROWS}", 1, 'unknown column "Time (hh)"'),
        (f"T_s,voltage_source_V,current_A\n{ROWS}", 1, 'unknown column "T_s"'),
        (f"{HEAD},\n{ROWS}", 1, "a column has no name; name it, or remove a comma at the end"),
        (f"{HEAD}\n{ROWS}{HEAD}\n{ROWS}", 5, "write plain numbers in s, V and A"),
        (f"Meter 7,on,2026\n{HEAD}\n{ROWS}", 2, "the names of the columns are not in the first line; remove"),
        (f"time_s,V_A,current_A\n{ROWS}", 1, 'unknown column "V_A"'),
        (f"time_s,voltage_source_V,I (A/cm2)\n{ROWS}", 1, 'unknown column "I (A/cm2)"'),
        (f"{HEAD}\n{ROWS}3,0.300,OVF\n", 5, "write plain numbers in s, V and A"),
        (f"{HEAD}\n{ROWS}3,0.3,1.000.000\n", 5, "write no points between thousands"),
        (f"time_s,voltage_source_V,Current\n{ROWS}", 1, "convert to A, and call it current_A"),
        (f"time_s,voltage_source_V,curent_A\n{ROWS}", 1, 'did you mean "current_A"?; rename it'),
        (f"Time_S,voltage_source_V,current_A\n{ROWS}", 1, 'did you mean "time_s"?; rename it'),
        (f"{HEAD},current_A\n{ROWS}", 1, 'has more than one column "current_A"; give one, in A'),
        (f"{HEAD},events,events\n{ROWS}", 1, 'has more than one column "events"; give one'),
        (f'{HEAD}\n{ROWS}3,"0,3",1e-9\n', 5, "write a decimal point, not a comma"),
        (f"{HEAD}\n{ROWS}3,0,3,1,0e-9\n", 5, "has 5 cells, not 3; give one number a column, with a"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path: Path, text: str, line: int, words: str) -> None:
    """And what is said leads to right numbers: a new name alone does not make amperes of milliamperes."""
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        fit_data.measured_columns(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\n{ROWS}".replace(",", ";").replace(".", ","),
        f"{HEAD}\n{ROWS}".replace(",", "\t"),
        f"# of the probe station\n{HEAD}\n\n{ROWS}",
    ],
)
def test_tables_of_other_habits_are_the_same(tmp_path: Path, text: str) -> None:
    """Semicolons with decimal commas, tabs, and comments."""
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text(f"{HEAD}\n{ROWS}")
    other.write_text(text)
    found, wanted = fit_data.measured_columns(other), fit_data.measured_columns(plain)
    assert list(found) == list(wanted)
    for name, numbers in wanted.items():
        np.testing.assert_array_equal(found[name], numbers)


def test_a_table_may_be_called_txt(tmp_path: Path) -> None:
    """Where it is named; in a folder of tables text may be anything."""
    for name in ("mine.txt", "mine.csv"):
        (tmp_path / name).write_text(f"{HEAD}\n{ROWS}")
    (tmp_path / "read me.txt").write_text("of the probe station")
    (named,), (found,) = fit_data.read_all([tmp_path / "mine.txt"]), fit_data.read_all([tmp_path])
    np.testing.assert_array_equal(named.log_g, found.log_g)


def test_latin_1_is_to_be_saved_anew(tmp_path: Path) -> None:
    """An instrument's micro sign."""
    (tmp_path / "mine.dat").write_bytes("time_s,voltage_source_V,Current (µA)\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"mine\.dat:1: is not a text file in UTF-8; save it as UTF-8"):
        fit_data.measured_columns(tmp_path / "mine.dat")


@pytest.mark.parametrize("limit", ["nan", "-1e-6", "0", "-inf"])
def test_a_limit_is_above_zero(tmp_path: Path, limit: str) -> None:
    """No number or a negative one is no limit; `inf` is none, and a current may be missing."""
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEAD},compliance_A\n0,0,nan,inf\n1,0.1,1e-9,inf\n2,0.2,2e-9,1e-6\n")
    assert fit_data.measured_columns(path)["compliance_A"].tolist() == [np.inf, np.inf, 1e-6]
    path.write_text(path.read_text().replace("2e-9,1e-6", f"2e-9,{limit}"))
    with pytest.raises(UserError, match=r"mine\.csv:4: the limit compliance_A is not above 0 A; .*inf"):
        fit_data.measured_columns(path)


def test_replicates_become_their_median() -> None:
    """Three devices of 1, 2 and 8 uS: 2 uS, and half of them lie off by more than half."""
    drive = Drive.of([0.0, 1.0, 2.0], [0.1, 0.2, 0.3])
    traces = [
        fit_data.trace(f"step_seed{k}", drive.time, drive.voltage, g * drive.voltage, np.inf, drive.voltage)
        for k, g in enumerate((1e-6, 2e-6, 8e-6), start=1)
    ]
    other = fit_data.trace("alone", drive.time, -drive.voltage, 1e-6 * drive.voltage, np.inf, drive.voltage)
    found = fit_data.typical([*traces, other])
    assert [one.name for one in found] == ["step", "alone"]
    assert found[0].log_g == pytest.approx(np.log10(2e-6))
    assert found[0].replicates == 3
    # Of the others' medians (geometric): 1 of 4 uS, 2 of 2.83 uS, 8 of 1.41 uS.
    assert found[0].scatter == pytest.approx(0.75)
    assert found[1].replicates == 1


def test_two_runs_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    """One message, and nothing written."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        run_of(PULSES).to_netcdf(tmp_path / folder / "same.nc")
    with pytest.raises(UserError, match="two runs are called"):
        trace_columns.write([tmp_path / "a" / "same.nc", tmp_path / "b" / "same.nc"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_short_run_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named and left out; alone it is refused."""
    run_of(PULSES).to_netcdf(tmp_path / "long.nc")
    run_of(Protocol.read()).to_netcdf(tmp_path / "short.nc")
    written = trace_columns.write([tmp_path / "short.nc", tmp_path / "long.nc"], tmp_path / "out")
    assert [path.name for path in written] == ["long.csv"]
    assert "fewer than three samples: short" in capsys.readouterr().err
    with pytest.raises(UserError, match="fewer than three samples"):
        trace_columns.write([tmp_path / "short.nc"], tmp_path / "other")


def test_a_run_is_one_by_whatever_name(tmp_path: Path) -> None:
    """Its file, its out folder and its folder: one place, named twice or not; another run has another."""
    (tmp_path / "a" / "out").mkdir(parents=True)
    for path in (tmp_path / "a" / "out" / "a.nc", tmp_path / "b.nc"):
        run_of(PULSES).to_netcdf(path)
    file, out, folder = tmp_path / "a" / "out" / "a.nc", tmp_path / "a" / "out", tmp_path / "a"
    assert fit_data.places([file]).keys() == fit_data.places([out]).keys() == fit_data.places([folder, file]).keys()
    assert len(fit_data.places([folder, tmp_path / "b.nc"])) == 2
    assert [one.name for one in fit_data.read_all([folder, file])] == ["a"]


def test_a_run_in_its_usual_folder_is_called_as_the_run(tmp_path: Path) -> None:
    """`out` says nothing, and two runs have it; any other folder keeps its name."""
    for folder in ("a/out", "b/out", "c"):
        (tmp_path / folder).mkdir(parents=True)
        run_of(PULSES).to_netcdf(tmp_path / folder / "run.nc")
    written = trace_columns.write([tmp_path / "a", tmp_path / "b" / "out", tmp_path / "c"], tmp_path / "csv")
    assert [path.stem for path in written] == ["a", "b", "c"]
