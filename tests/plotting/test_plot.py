"""kmc plot: runs and measurements beside each other."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import fake_simulation
import numpy as np
import pytest
from matplotlib.axes import Axes

import kmc
from kmc.cards.stack import load_stack
from kmc.cli import app
from kmc.io import dataset
from kmc_analysis.metrics import trace_columns
from kmc_analysis.plotting import overlay

CSV = "time_s,voltage_source_V,current_A\n" + "".join(f"{k * 1e-3},{0.1 * k},{1e-9 * k}\n" for k in range(8))

Traces = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def simulated_traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in which nothing moves, a hold, and a measurement, in one folder."""
    home = tmp_path_factory.mktemp("traces")
    protocols = {
        "sweep": kmc.Protocol.sweep("0.2 V", rate="1e8 V/s", step="50 mV"),
        "hold": kmc.Protocol.hold("0.1 V", "1 ns"),
    }
    for name, protocol in protocols.items():
        (home / name / "segments").mkdir(parents=True)
        dataset.write_segment(home / name, 0, kmc.simulate("ogb_7nm", protocol, settings={"window": "8 nm"}))
    (home / "mine.csv").write_text(CSV)
    return home


@pytest.fixture
def traces(simulated_traces: Path, tmp_path: Path) -> Traces:
    """Them, in copies that a test may change."""
    shutil.copytree(simulated_traces, tmp_path, dirs_exist_ok=True)
    return tmp_path / "sweep", tmp_path / "hold", tmp_path / "mine.csv"


def test_what_traces_are_drawn_against(traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep against voltage; where one run is no sweep, all against time; what is asked for goes first."""
    sweep, hold, mine = traces
    lines: list[tuple[str, np.ndarray]] = []
    drawn = overlay._line

    def line(
        axes: Any, x: np.ndarray, columns: overlay.Columns, style: dict[str, Any], name: str, linear: bool
    ) -> None:
        lines.append((name, x))
        drawn(axes, x, columns, style, name, linear)

    monkeypatch.setattr(overlay, "_line", line)
    for paths, against, ends in (
        ([sweep, mine], "auto", [0.0, 0.7]),
        ([sweep, hold, mine], "auto", None),
        ([hold, mine], "voltage", [0.1, 0.7]),
    ):
        lines.clear()
        overlay.draw(paths, tmp_path / "a.png", against)
        assert [name for name, _ in lines] == [path.stem for path in paths]
        found = [float(x[-1]) for _, x in lines]
        assert found == pytest.approx(ends) if ends else found[-1] == pytest.approx(7e-3)
        assert all(x[0] == 0.0 for _, x in lines) or against == "voltage"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of the last picture."""
    found: list[Axes] = []
    made = overlay.panels

    @contextmanager
    def panels(path: Path, titles: Sequence[str]) -> Iterator[list[Axes]]:
        with made(path, titles) as places:
            found[:] = places
            yield places

    monkeypatch.setattr(overlay, "panels", panels)
    return found


def test_a_run_keeps_its_clock(traces: Traces, tmp_path: Path, drawn: list[Axes]) -> None:
    """The first look is at the end of the first step, not at zero, where its voltage begins; the clock of a
    measurement begins with its first row."""
    sweep, _, mine = traces
    mine.write_text(CSV.replace("\n0.0,", "\n-0.5,"))
    overlay.draw([sweep, mine], tmp_path / "a.png", "time")
    time = dataset.open(sweep)["time"].values
    assert drawn[0].lines[0].get_xdata() == pytest.approx(time)
    assert drawn[1].lines[0].get_xdata() == pytest.approx([0.0, *time])
    assert drawn[1].lines[0].get_ydata()[:3] == pytest.approx([0.0, 0.0, 0.05])
    assert drawn[1].lines[1].get_xdata()[:2] == pytest.approx([0.0, 0.501])


def test_a_file_is_that_file_whatever_lies_beside_it(traces: Traces, tmp_path: Path) -> None:
    """Two datasets in one folder, one of a study's; a file that is no dataset is not the one beside it."""
    sweep, hold, _ = traces
    both = tmp_path / "both"
    both.mkdir()
    for name, source in (("a", sweep), ("b", hold)):
        shutil.copy(next((source / "segments").glob("*.nc")), both / f"{name}.nc")
    for name, source in (("a", sweep), ("b", hold)):
        ((told, ds),) = trace_columns.runs(both / f"{name}.nc")
        assert (told, ds.sizes) == (name, kmc.open(source).sizes)
        assert kmc.open(both / f"{name}.nc").sizes == ds.sizes
    (both / "study.json").write_text("{}")
    assert kmc.open(both / "b.nc").sizes == kmc.open(hold).sizes


def test_passages_are_not_joined_on_a_linear_axis(tmp_path: Path, drawn: list[Axes]) -> None:
    """From the end of one to the begin of the next nothing was measured."""
    way = kmc.Protocol.sweep("0.2 V", rate="1e8 V/s", step="50 mV", back=False, cycles=2, start="-0.2 V")
    ds = kmc.simulate("ogb_7nm", way, settings={"window": "8 nm"})
    (tmp_path / "run" / "segments").mkdir(parents=True)
    dataset.write_segment(tmp_path / "run", 0, ds)
    for linear in (True, False):
        overlay.draw([tmp_path / "run"], tmp_path / "a.png", "voltage", linear)
        y = np.asarray(drawn[0].lines[0].get_ydata())
        assert np.isnan(y[len(y) // 2])
        assert np.isfinite(y).sum() >= len(y) - 3


def test_signs_are_seen_on_a_linear_axis(traces: Traces, tmp_path: Path, drawn: list[Axes]) -> None:
    """As measured; by decades there is no sign. Measured sources are lines, simulated ones steps."""
    sweep, _, mine = traces
    mine.write_text("time_s,voltage_source_V,current_A\n0,0.1,1e-9\n1,0,0\n2,-0.1,-2e-9\n")
    for linear, ends in ((True, [1e-9, 0.0, -2e-9]), (False, [1e-9, np.nan, 2e-9])):
        overlay.draw([sweep, mine], tmp_path / "a.png", "time", linear)
        assert drawn[0].get_yscale() == ("linear" if linear else "log")
        assert drawn[0].lines[1].get_ydata() == pytest.approx(ends, nan_ok=True)
        assert [line.get_drawstyle() for line in drawn[1].lines] == ["steps-pre", "default"]


@pytest.mark.parametrize("against", ["time", "voltage"])
def test_corners_without_a_current_do_not_break_a_curve(
    traces: Traces, tmp_path: Path, drawn: list[Axes], against: str
) -> None:
    """A run that `kmc compact traces` wrote, every second row of which is a corner, is drawn as the run."""
    written = trace_columns.write([traces[0]], tmp_path / "csv")
    overlay.draw([traces[0], *written], tmp_path / "a.png", against)
    run, table = (line.get_xydata() for line in drawn[0].lines)
    assert np.isfinite(table[1:-1]).all()  # the ends are at 0 V, without a current to draw
    assert table == pytest.approx(run, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("count", [1, 16, 40])
def test_many_names_leave_room_for_the_curves(tmp_path: Path, drawn: list[Axes], count: int) -> None:
    """Each axes keep two inches at least, no name lies on them or is cut off, and nothing is warned of."""
    paths = [tmp_path / f"a_measurement_with_a_name_of_some_length_{k}.csv" for k in range(count)]
    for path in paths:
        path.write_text(CSV)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlay.draw(paths, tmp_path / "a.png", "time")
    canvas = drawn[0].figure
    (legend,) = canvas.legends
    for axes in drawn:
        place = axes.get_window_extent()
        assert min(place.width, place.height) > 2.0 * canvas.dpi
        assert place.x1 < legend.get_window_extent().x0
    edges = legend.get_window_extent()
    assert edges.y0 >= 0
    assert edges.y1 <= canvas.bbox.y1
    assert edges.x1 <= canvas.bbox.x1
    assert len(legend.get_texts()) == count


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_command_writes_a_picture(
    traces: Traces, tmp_path: Path, suffix: str, head: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the format of its name, and again over its own."""
    out = tmp_path / f"beside{suffix}"
    for _ in range(2):
        assert app.main(["plot", str(traces[0]), str(traces[2]), "--out", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"picture": str(out)}
        assert out.read_bytes().startswith(head)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine.csv", "--out", "mine.csv"], "mine.csv"),
        (["none.csv"], "none.csv: no such file"),
        (["mine.csv", "--against", "volt"], "voltage"),
        (["bad.csv"], "bad.csv:3"),
        (["."], "holds tables and no dataset"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    traces: Traces,
    tmp_path: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With exit code 2 and nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(CSV.replace("0.001,", "x,"))
    before = sorted(tmp_path.iterdir())
    assert app.main(["plot", *words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "mine.csv").read_text() == CSV


# --- many, and what is hard to see or to name ------------------------------------------------------------


def measurements(folder: Path, names: Sequence[str], text: str = CSV) -> list[Path]:
    """Measurements, all of them alike."""
    paths = [folder / f"{name}.csv" for name in names]
    for path in paths:
        path.write_text(text)
    return paths


def test_a_table_without_a_current_says_so(tmp_path: Path, drawn: list[Axes]) -> None:
    """In place of empty axes."""
    dark = "\n".join([CSV.splitlines()[0], "0.0,0.1,0.0", "0.1,0.2,0.0", "0.2,0.1,nan", ""])
    overlay.draw(measurements(tmp_path, ["dark"], dark), tmp_path / "a.png", "time")
    assert [text.get_text() for text in drawn[0].texts] == ["no current to draw"]
    overlay.draw(measurements(tmp_path, ["mine"]), tmp_path / "a.png", "time")
    assert not drawn[0].texts


@pytest.mark.parametrize("count", [6, 40])
def test_no_two_curves_look_alike(tmp_path: Path, drawn: list[Axes], count: int) -> None:
    """As many as one picture takes; the source's voltage has the look of its current."""
    overlay.draw(measurements(tmp_path, [f"m{k}" for k in range(count)]), tmp_path / "a.png", "time")
    looks = [[(str(line.get_color()), line.get_linestyle()) for line in axes.lines] for axes in drawn]
    assert len(set(looks[0])) == count
    assert looks[0] == looks[1]
    assert len({style for _, style in looks[0]}) == (1 if count == 6 else 4)


def test_names_are_told_as_they_are(tmp_path: Path, drawn: list[Axes]) -> None:
    """A dollar begins no formula, and an underscore hides nothing."""
    overlay.draw(measurements(tmp_path, ["a$x_{$", "$b$", "_mine"]), tmp_path / "a.png")
    canvas = drawn[0].figure
    names = [text.get_text() for text in canvas.legends[0].get_texts()]
    assert names == [r"a\$x_{\$", r"\$b\$", "_mine"]


def test_one_look_a_pulse_is_seen(tmp_path: Path, drawn: list[Axes]) -> None:
    """Between looks at 0 V no line is drawn; a curve without such has no marks."""
    rows = "".join(f"{k},{0.5 * (k % 2)},{1e-9 * (k % 2)}\n" for k in range(6))
    alone = measurements(tmp_path, ["pulses"], CSV.splitlines(keepends=True)[0] + rows)
    overlay.draw([*alone, *measurements(tmp_path, ["mine"])], tmp_path / "a.png", "time")
    pulses, mine = drawn[0].lines
    assert (pulses.get_marker(), list(pulses.get_markevery())) == (".", [1, 3, 5])
    assert mine.get_marker() == "None"


def test_short_times_have_their_unit(tmp_path: Path, drawn: list[Axes]) -> None:
    """Microseconds are not 0.000025 s: such labels lie on each other."""
    short = measurements(tmp_path, ["short"], CSV.replace("0.00", "0.00000"))
    overlay.draw(
        [*short, *measurements(tmp_path, ["shorter"], CSV.replace("0.00", "0.000000"))], tmp_path / "a.png", "time"
    )
    for axes in drawn:
        assert axes.get_xlabel() == "time (µs)"
        axes.figure.draw_without_rendering()
        places = [text.get_window_extent() for text in axes.get_xticklabels() if text.get_text()]
        assert "6" in [text.get_text() for text in axes.get_xticklabels()]
        assert all(one.x1 < other.x0 for one, other in pairwise(places))


def test_what_is_no_sweep_is_not_drawn_against_voltage(tmp_path: Path, drawn: list[Axes]) -> None:
    """Of two turns of a sweep, a read and a sweep, four lines are left, with breaks between."""
    sweep = {"rate": "1e8 V/s", "step": "50 mV", "back": False}
    turn = (
        kmc.Protocol.sweep("0.2 V", start="50 mV", **sweep)
        + kmc.Protocol.read("0.1 V", "1 ns")
        + kmc.Protocol.sweep("-0.2 V", start="-50 mV", **sweep)
    )
    ds = fake_simulation.simulate(load_stack("ogb_20nm"), turn.repeated(2), seed=3)
    folder = tmp_path / "loop"
    (folder / "segments").mkdir(parents=True)
    dataset.write_segment(folder, 0, ds)
    overlay.draw([folder], tmp_path / "a.png")
    volts, amps = drawn[0].lines[0].get_data()
    parts = np.split(volts, np.flatnonzero(np.isnan(amps)))
    assert [(part[-1], len(part)) for part in parts] == [(0.2, 4), (-0.2, 5), (0.2, 5), (-0.2, 5)]
