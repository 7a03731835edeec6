"""The corners of a pwl segment from a file: a measured table, or a circuit's list."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import kmc
from kmc.core.errors import UserError
from kmc.inputs import pwl_table
from kmc.inputs.protocol import read_protocol
from kmc.inputs.run_file import load_run
from kmc.io import export

TABLE = "time_s,current_A,voltage_source_V\n1.0,nan,0\n\n1.002,1e-9,0.8\n1.004,1e-9,-0.1\n"
POINTS = ((0.0, 0.0), (0.002, 0.8), (0.004, -0.1))


def written(tmp_path: Path, text: str, name: str = "mine.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a table", TABLE),
        ("two columns", "1.0 0\n1.002 0.8\n1.004 -0.1\n"),
        ("with commas", "1.0, 0\n1.002, 0.8\n1.004, -0.1\n"),
        ("with comments", "* of a circuit\n1.0\t0\n# on\n1.002\t0.8\n; end\n1.004\t-0.1\n"),
        ("of a country with decimal commas", "time_s;voltage_source_V\n1,0;0\n1,002;0,8\n1,004;-0,1\n"),
        ("with tabs", TABLE.replace(",", "\t")),
        (
            "of an instrument",
            TABLE.replace("time_s", "Time (s)").replace("voltage_source_V", "Bias (V)").replace(",", "\t"),
        ),
        ("beside a monitor", "time_s,Voltage (V),voltage_source_V,T_s\n1.0,9,0,7\n1.002,9,0.8,7\n1.004,9,-0.1,7\n"),
        ("with a mark of order", "\ufeff" + TABLE),
    ],
)
def test_time_begins_at_the_first_corner(tmp_path: Path, name: str, text: str) -> None:
    """Times as an instrument's clock has them, in whatever columns."""
    assert pwl_table.read(written(tmp_path, text)) == pytest.approx(np.array(POINTS), abs=1e-12)


def test_a_table_of_samples_is_no_list_of_corners(tmp_path: Path) -> None:
    """What an export writes for each sample was held before it: as corners pulses would become ramps."""
    path = written(tmp_path, "time_s,voltage_source_V,limited,n_ag_metal\n0,0,0,7\n1,1,0,7\n")
    with pytest.raises(UserError, match=r"a table of samples.*--format pwl"):
        pwl_table.read(path)


def test_a_file_is_beside_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is that of the points themselves, which it records: the file may go."""
    (tmp_path / "runs").mkdir()
    run = "stack: ogb_20nm\nprotocol:\n  - pwl: {file: ../mine.csv, step: 0.1 ms, compliance: 1 uA}\n"
    path = written(tmp_path, run, "runs/run.yaml")
    written(tmp_path, TABLE)
    monkeypatch.chdir("/")
    found = load_run(path).protocol
    segment = found.segments[0]
    assert segment.points == pytest.approx(np.array(POINTS), abs=1e-12)
    assert found == kmc.Protocol.pwl(segment.points, step="0.1 ms", compliance="1 uA")
    assert read_protocol(found.to_data()) == found
    assert [round(step.voltage_V, 3) for step in found.steps()[:2]] == [0.02, 0.06]


def test_a_file_in_python(tmp_path: Path) -> None:
    """As in a run file; neither points nor a file, and both, are refused plainly."""
    path = str(written(tmp_path, TABLE))
    found = kmc.Protocol.pwl(file=path, step="0.1 ms")
    assert found == read_protocol([{"pwl": {"file": path, "step": "0.1 ms"}}])
    with pytest.raises(UserError, match="points"):
        kmc.Protocol.pwl(step="0.1 ms")
    with pytest.raises(UserError, match="both points and a file"):
        kmc.Protocol.pwl(POINTS, "0.1 ms", file=path)


def test_a_time_given_twice_is_a_step(tmp_path: Path) -> None:
    """As in a trace whose corners stand beside its samples: the staircase has no ramp between the two."""
    path = written(tmp_path, "time_s,voltage_source_V\n3.0,0\n3.1,0\n3.1,0.8\n3.1,0.5\n3.2,0.5\n")
    protocol = read_protocol([{"pwl": {"file": str(path), "step": "10 ms"}}])
    assert [round(step.voltage_V, 9) for step in protocol.steps()] == [0.0] * 10 + [0.5] * 10


@pytest.mark.parametrize("name", ["pulse_0.6V_seed1.csv", "pair_seed1.csv"])
def test_a_trace_of_a_run_is_a_program(repository: Path, name: str) -> None:
    """What `kmc compact traces` writes, with corners that have no current."""
    path = repository / "runs/compact_ogb_20nm/fitted" / name
    found = pwl_table.read(path)
    assert len(found) == len(path.read_text().splitlines()) - 1
    assert all(after[0] > before[0] for before, after in pairwise(found))


def test_what_export_writes_is_read(tmp_path: Path) -> None:
    """The staircase of a run, as a circuit's source and back: the same voltage at all times but the rises."""
    protocol = kmc.Protocol.sweep("0.2 V", rate="1 MV/s", step="50 mV")
    ds = kmc.simulate("pedot_only", protocol, settings={"window": "6 nm"})
    (path,) = export.write_pwl(ds, tmp_path / "source.pwl")
    time, volt = np.array(pwl_table.read(path)).T
    assert np.interp(ds["time"].values, time, volt) == pytest.approx(ds["voltage_source"].values)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", ":1", "holds no corners"),
        ("time_s,voltage_A\n0,0\n1,1\n", ":1", 'no column "voltage_source_V"'),
        ("# of the station\n\ntime_s,volt\n0,0\n", ":3", 'no column "voltage_source_V"'),
        ("time_s,voltage_source_ms\n0,0\n1,1\n", ":1", 'no column "voltage_source_V"'),
        ("time_s,time_s,voltage_source_V\n0,0\n1,1\n", ":1", 'more than one column "time_s"'),
        ("time_s,voltage_source_V\n0,0\n1,x\n", ":3", "'1' and 'x' are no time and voltage"),
        ("time_s,voltage_source_V\n0,0\n1\n", ":3", "has 1 cells, not 2"),
        ("time_s,voltage_source_V\n0,0,0,0\n1,002,0,8\n", ":2", "has 4 cells, not 2"),
        ("0,1e-9,0.1\n1,2e-9,0.2\n", ":1", "has 3 cells, not 2"),
        ("0 0\n1 nan\n", ":2", "'1' and 'nan'"),
        ("0 0\n\n1 1\n0.9 2\n", ":4", "0.9 s is before 1 s"),
        ("0 0\n", "mine.csv", "has 1 corners"),
        ("\n".join(f"{k} 0" for k in range(10_002)), "mine.csv", "10002 corners"),
    ],
)
def test_a_wrong_file_is_told_by_line(tmp_path: Path, text: str, line: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        pwl_table.read(written(tmp_path, text))
    assert said in caught.value.message
    assert caught.value.where.endswith(line)
    assert caught.value.next_step
    assert caught.value.nearest is None


def test_a_wrong_segment_is_told(tmp_path: Path) -> None:
    """Points beside a file, no path, no file, no step, voltages beyond the range: with file and line."""
    written(tmp_path, TABLE)
    written(tmp_path, "0 0\n1 5000\n", "far.csv")
    begin = "stack: ogb_20nm\nprotocol:\n  - pwl: "
    for text, said, where in (
        ("{file: mine.csv, points: [], step: 1 ms}", "both points and a file", "run.yaml:3"),
        ("{file: 3, step: 1 ms}", "not a path", "run.yaml:3"),
        ("{file: mime.csv, step: 1 ms}", "no such file", "mime.csv"),
        ("{file: mine.csv}", 'no "step"', "run.yaml:3"),
        ("{file: far.csv, step: 1 ms}", "out of range", "far.csv"),
    ):
        with pytest.raises(UserError) as caught:
            load_run(written(tmp_path, begin + text + "\n", "run.yaml"))
        assert said in caught.value.message, text
        assert where in caught.value.where, text
    with pytest.raises(UserError) as caught:
        read_protocol([{"pwl": {"file": str(tmp_path / "mime.csv"), "step": "1 ms"}}])
    assert caught.value.nearest == "mine.csv"


def test_a_quotation_mark_that_nothing_closes(tmp_path: Path) -> None:
    """The reader of tables gives up after 128 kB: one line that names the file, no traceback."""
    rows = [f"{k},0.1" for k in range(20_000)]
    path = written(tmp_path, "\n".join([*rows[:5], '"5,0.1', *rows[6:]]))
    with pytest.raises(UserError, match="field larger") as error:
        pwl_table.read(path)
    assert str(path) in str(error.value)
