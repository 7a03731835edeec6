"""Pictures of traces show what they should: axes, limits, arrows and the words of the title."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fake_simulation
import numpy as np
import pytest
import xarray as xr

from kmc.cards.stack import load_stack
from kmc.core.output_paths import PICTURE
from kmc.inputs.protocol import Protocol
from kmc.io import dataset
from kmc.io.variables import TRACES
from kmc.plotting import limit_lines, trace_plots
from kmc.plotting.sweep_sections import passages

PNG = b"\x89PNG\r\n\x1a\n"


def swept(**options: object) -> xr.Dataset:
    """A swept run of the fake simulation."""
    program = {"rate": "100 V/s", "step": "50 mV", "compliance": "1 uA", **options}
    return fake_simulation.simulate(load_stack("ogb_20nm"), Protocol.sweep("1.5 V", **program), seed=3)


def pulsed() -> xr.Dataset:
    """A pulsed run of the fake simulation."""
    program = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=4, compliance="10 uA")
    return fake_simulation.simulate(load_stack("ogb_20nm"), program, seed=3)


def words(axes: object) -> str:
    """All text on an axes."""
    texts = [text.get_text() for text in axes.texts]  # type: ignore[attr-defined]
    return " ".join([axes.get_title("left"), *texts])  # type: ignore[attr-defined]


def test_an_iv_has_its_words_and_marks() -> None:
    """Logarithmic |I|, the limit's line, four arrows; device, limit, rate and seed in the title."""
    figure = trace_plots.iv(swept())
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert any(np.allclose(line.get_ydata(), 1e-6) for line in axes.lines[1:])
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert len(arrows) == 4
    for part in ("ogb_20nm", "compliance 1 µA", "100 V/s to 1.5 V", "seed 3"):
        assert part in words(axes)


def test_arrows_point_along_the_sweep() -> None:
    """Two with rising voltage, then two with falling."""
    figure = trace_plots.iv(swept())
    arrows = [text for text in figure.axes[0].texts if text.arrow_patch is not None]
    steps = [arrow.xy[0] - arrow.xyann[0] for arrow in arrows]
    assert [step > 0 for step in steps] == [True, True, False, False]


def test_cycles_have_shades_and_a_scale() -> None:
    """Several cycles: one curve each, and a scale that says which is which."""
    figure = trace_plots.iv(swept(cycles=4))
    assert len(figure.axes) == 2
    assert len({line.get_color() for line in figure.axes[0].lines[:4]}) == 4


def test_a_trace_has_four_panels() -> None:
    """Voltage, current, conductance, temperature over one time axis in a fitting unit."""
    figure = trace_plots.trace(pulsed())
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["voltage (V)", "|current| (A)", "conductance (S)", "temperature (K)"]
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    for part in ("ogb_20nm", "compliance 10 µA", "4 pulses of 1 V, 5 ms", "seed 3"):
        assert part in words(figure.axes[0])


def test_draw_takes_the_picture_that_fits(tmp_path: Path) -> None:
    """A sweep (also inside a repeat) makes an I-V, anything else a trace; nothing else is left behind."""
    assert trace_plots.is_swept(swept())
    assert not trace_plots.is_swept(pulsed())
    loop = (Protocol.sweep("1 V", rate="1 kV/s", step="0.2 V") + Protocol.read()).repeated(2)
    assert trace_plots.is_swept(fake_simulation.simulate(load_stack("ogb_20nm"), loop))
    path = trace_plots.draw(swept(), tmp_path / "iv.png")
    assert path.read_bytes().startswith(PNG)
    assert trace_plots.draw(pulsed(), tmp_path / "trace.svg").read_text().lstrip().startswith("<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iv.png", "trace.svg"]


@pytest.mark.parametrize("suffix", PICTURE.suffixes)
def test_the_same_data_has_the_same_bytes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another day too."""
    found = set()
    for day in (1, 2):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(86400 * day))
        found.add(trace_plots.draw(swept(), tmp_path / f"{day}{suffix}").read_bytes())
    assert len(found) == 1


def test_every_picture_is_saved_by_one_function(repository: Path) -> None:
    """Which puts our name into it, and no date."""
    places = [path for folder in ("kmc", "analysis") for path in (repository / folder).rglob("*.py")]
    assert [path.stem for path in places if ".savefig(" in path.read_text(encoding="utf-8")] == ["figure_files"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_samples(tmp_path: Path, count: int) -> None:
    """No sample, one or two, all zero, and no word about the run: still a picture."""
    rows = {name: np.zeros(count) for name in TRACES}
    ds = dataset.build(rows)
    for figure in (trace_plots.iv(ds), trace_plots.trace(ds)):
        figure.savefig(tmp_path / "x.png")


def test_no_pyplot_and_no_window(repository: Path) -> None:
    """Drawing imports no pyplot: no global state, no display, and 0.3 s less."""
    script = (
        "import sys; sys.path[:0] = ['tests/support', 'tests/plotting']\nimport test_trace_plots as t\n"
        "t.trace_plots.iv(t.swept()).savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=repository, check=True, timeout=120)


# --- passages of sweeps, and single looks ------------------------------------------------------------------


def looped() -> xr.Dataset:
    """Two turns of a sweep up, a hold at its top, a sweep down and a read (fake simulation)."""
    sweep = {"rate": "1e8 V/s", "step": "50 mV", "back": False}
    turn = (
        Protocol.sweep("0.5 V", **sweep)
        + Protocol.hold("0.5 V", "10 ns", samples=3)
        + Protocol.sweep("-0.5 V", **sweep)
        + Protocol.read("0.1 V", "10 ns")
    )
    return fake_simulation.simulate(load_stack("ogb_20nm"), Protocol.read() + turn.repeated(2), seed=3)


def test_what_is_no_sweep_is_not_in_an_iv() -> None:
    """Holds and reads of a loop are left out, and no line leads from one sweep to the next."""
    axes = trace_plots.iv(looped()).axes[0]
    found = [line.get_xdata() for line in axes.lines]
    assert [len(x) for x in found] == [11, 11, 11, 11]
    assert [float(x[-1]) for x in found] == pytest.approx([0.5, -0.5, 0.5, -0.5])
    steps = [arrow.xy[0] - arrow.xyann[0] for arrow in axes.texts if arrow.arrow_patch is not None]
    assert steps == pytest.approx([0.05, 0.05, -0.05, -0.05])


def columns(
    protocol: Protocol, segment: list[int], cycle: list[int], volts: list[float], limited: list[int]
) -> xr.Dataset:
    """A dataset of these looks, of a run with `protocol`."""
    rows = {name: np.arange(1.0, len(volts) + 1) for name in TRACES}
    rows |= {
        "segment": np.array(segment),
        "cycle": np.array(cycle),
        "limited": np.array(limited),
        "voltage_source": np.array(volts),
        "current": np.full(len(volts), 1e-9),
    }
    return dataset.build(rows, (), {"run": json.dumps({"protocol": protocol.to_data()})})


STOPPED = (
    Protocol.sweep("0.4 V", rate="1 V/s", step="0.1 V", back=False, compliance="1 uA", until={"current_at_limit": True})
    + Protocol.hold("0.1 V", "1 s", samples=2)
).repeated(2)
LOOKS = [0.0, 0.1, 0.2, 0.1, 0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.1, 0.1]


def test_a_sweep_that_ended_early_ends_there() -> None:
    """The first turn's sweep reached the limit at 0.2 V: what comes next is the hold."""
    ds = columns(STOPPED, [0] * 12, [0] * 5 + [1] * 7, LOOKS, [0, 0, 1, *[0] * 9])
    assert [one.samples.tolist() for one in passages(ds)] == [[0, 1, 2], [5, 6, 7, 8, 9]]
    going = ds.isel(time=slice(None, 8))
    assert [one.samples.tolist() for one in passages(going)] == [[0, 1, 2], [5, 6, 7]]


def test_looks_of_another_protocol_are_taken_by_their_cycle() -> None:
    """Where the source did not do what the protocol says, and where there is no protocol."""
    ds = columns(STOPPED, [0] * 12, [0] * 5 + [1] * 7, LOOKS, [0] * 12)
    untold = ds.assign_attrs(run="{}")
    for one in (ds, untold):
        assert [part.samples.tolist() for part in passages(one)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10, 11]]


def test_a_thousand_cycles_are_no_segment() -> None:
    """Cycle 1000 of the first segment and cycle 0 of the second are two."""
    ds = columns(Protocol.read(), [0, 0, 1, 1], [1000, 1000, 0, 0], LOOKS[:4], [0] * 4)
    assert [(one.segment, one.cycle) for one in passages(ds)] == [(0, 1000), (1, 0)]


def test_a_scale_is_for_cycles_and_a_legend_for_segments() -> None:
    """Two sweeps are no cycles; a temperature of their own is told, and what is alike by its number."""
    stack, program = load_stack("ogb_20nm"), {"rate": "100 V/s", "step": "50 mV"}
    up, down = Protocol.sweep("0.5 V", cycles=3, **program), Protocol.sweep("-0.5 V", **program)
    warm = Protocol.sweep("0.5 V", temperature="360 K", **program)
    figure = trace_plots.iv(fake_simulation.simulate(stack, up + down + warm, seed=3))
    assert len(figure.axes) == 1
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["to 500 mV", "to -500 mV", "to 500 mV at 360 K"]
    colours = [handle.get_color() for handle in legend.get_lines()]
    assert len(set(colours)) == 3
    assert colours[1] == figure.axes[0].lines[3].get_color()
    alike = trace_plots.iv(fake_simulation.simulate(stack, down + Protocol.read() + down, seed=3))
    names = [text.get_text() for text in alike.legends[0].get_texts()]
    assert names == ["to -500 mV (segment 0)", "to -500 mV (segment 2)"]
    one = trace_plots.iv(fake_simulation.simulate(stack, up + Protocol.read(), seed=3))
    assert [axes.get_ylabel() for axes in one.axes[1:]] == ["cycle"]
    assert not one.legends


def test_more_sweeps_than_colours_are_told_apart() -> None:
    """By the style of their lines."""
    sweeps = [Protocol.sweep(f"{0.1 * k:.1f} V", rate="100 V/s", step="50 mV") for k in range(1, 10)]
    figure = trace_plots.iv(fake_simulation.simulate(load_stack("ogb_20nm"), sum(sweeps[1:], sweeps[0]), seed=3))
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.legends[0].get_lines()}) == 9


def test_one_look_a_pulse_is_seen() -> None:
    """Between looks at 0 V there is no line on a logarithmic axis; a pulse is drawn along its width, the
    first, which no look comes before, as a mark. Elsewhere there is none."""
    pulse = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=12, samples=1)
    ds = fake_simulation.simulate(load_stack("ogb_20nm"), pulse, seed=3)
    current = trace_plots.trace(ds).axes[1].lines[0]
    assert trace_plots.trace(ds).axes[1].get_yscale() == "log"
    assert current.get_marker() == "."
    assert list(current.get_markevery()) == [0]
    lit = np.asarray(current.get_xdata())[np.isfinite(current.get_ydata())]
    assert lit[1:].reshape(-1, 2) == pytest.approx(np.array([[15 * k, 15 * k + 5] for k in range(1, 12)]))
    assert trace_plots.trace(pulsed()).axes[1].lines[0].get_marker() == "None"


def test_answers_step_where_the_source_does() -> None:
    """A square pulse is no trapezoid: voltage and heat of the device change with it, not a look later."""
    pulse = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=2, samples=2)
    figure = trace_plots.trace(fake_simulation.simulate(load_stack("ogb_20nm"), pulse, seed=3))
    for line in (figure.axes[0].lines[1], figure.axes[3].lines[0]):
        time, values = np.round(line.get_xdata(), 6), np.asarray(line.get_ydata())
        steps = np.flatnonzero(np.diff(time) == 0.0)
        assert time[steps].tolist() == [5.0, 15.0, 20.0]
        low = (time > 5.0) & (time < 15.0) | (time > 20.0)
        assert values[low] == pytest.approx(values[-1], abs=0.0)


def test_a_limit_is_drawn_where_it_holds() -> None:
    """Not under the read before the train and the sweep after it, which have none; on the axis of voltage
    from 0 V to the top of the sweep that has one."""
    limited = Protocol.sweep("1.5 V", rate="100 V/s", step="50 mV", compliance="1 uA")
    free = Protocol.sweep("-0.6 V", rate="100 V/s", step="50 mV")
    both = fake_simulation.simulate(load_stack("ogb_20nm"), limited + free, seed=3)
    (line,) = trace_plots.iv(both).axes[0].collections
    assert line.get_segments()[0] == pytest.approx(np.array([[0.0, 1e-6], [1.5, 1e-6]]))
    whole = trace_plots.iv(swept()).axes[0]
    assert not whole.collections
    assert "compliance 1 µA" in words(whole)
    train = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=2, compliance="10 uA")
    there = fake_simulation.simulate(load_stack("ogb_20nm"), Protocol.read() + train + free, seed=3)
    there["current"] = ("time", np.full(there.sizes["time"], 3e-6))
    (line,) = trace_plots.trace(there).axes[1].collections
    assert line.get_segments()[0][:, 0] == pytest.approx([1.0, 31.0])  # ms
    loop = (limited + Protocol.sweep("-0.6 V", rate="100 V/s", step="50 mV", compliance="1 mA")).repeated(2)
    turns = fake_simulation.simulate(load_stack("ogb_20nm"), loop, seed=3)
    spans = limit_lines.of_voltage(turns, turns["voltage_source"].values, [])
    assert spans == {1e-6: [(0.0, 1.5)], 1e-3: [(pytest.approx(-0.6), 0.0)]}
    begun = turns.isel(time=slice(0, 10))  # nothing was under the second limit yet
    assert limit_lines.of_time(begun, 1.0) == {1e-6: []}
    assert set(limit_lines.of_time(turns.isel(time=slice(30, None)), 1.0)) == {1e-6, 1e-3}  # no protocol's samples


@pytest.mark.parametrize(("limit", "drawn"), [("10 uA", True), ("1 mA", False)])
def test_a_limit_is_drawn_where_there_is_room(limit: str, drawn: bool) -> None:
    """A line within the axes with its words beside it, or neither."""
    program = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=2, compliance=limit)
    ds = fake_simulation.simulate(load_stack("ogb_20nm"), program, seed=3)
    ds["current"] = ("time", np.full(ds.sizes["time"], 3e-6))
    axes = trace_plots.trace(ds).axes[1]
    low, high = axes.get_ylim()
    assert ("compliance" in words(axes)) == drawn
    assert sum(low < line.get_ydata()[0] < high for line in axes.lines) == 1 + drawn


def test_a_change_of_nothing_looks_like_none() -> None:
    """Without a decade the axis is linear from zero, its unit at its numbers; a temperature has a span."""
    ds = pulsed()
    still = 1.0 + 1e-6 * np.arange(ds.sizes["time"])
    ds["conductance"] = ("time", 2.77e-6 * still)
    for name in ("temperature_filament", "temperature_surface"):
        ds[name] = ("time", 300.0 * still**0)
    figure = trace_plots.trace(ds)
    figure.draw_without_rendering()
    conductance, kelvin = figure.axes[2], figure.axes[3]
    assert conductance.get_ylim()[0] == 0.0
    assert {text.get_text() for text in conductance.get_yticklabels()} >= {"0", "1 µS", "2 µS"}
    assert np.ptp(kelvin.get_ylim()) >= 0.1


def test_a_trace_begins_at_zero() -> None:
    """The first look comes at the end of its step: the source is drawn from where it begins."""
    for line in trace_plots.trace(pulsed()).axes[0].lines:
        (start, first), (end, next_) = line.get_xydata()[:2]
        assert start == 0.0
        assert end > 0.0
        assert first == next_ != 0.0


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    """A device that is called by a dollar is drawn."""
    ds = swept()
    run = json.loads(ds.attrs["run"])
    run["stack"]["name"] = "a$x_{$"
    path = trace_plots.draw(ds.assign_attrs(run=json.dumps(run)), tmp_path / "iv.png")
    assert path.read_bytes().startswith(PNG)
