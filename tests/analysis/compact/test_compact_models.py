"""What the equations of single models do where a device is left alone, or driven to an end of its range."""

# needs-program: ngspice

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import simulators

from kmc_analysis.compact.equations.integrator import SOFTNESS_V
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files, spice_netlists

FIRING = Path(__file__).resolve().parents[3] / "runs" / "firing_patterns" / "kinetic_silver.json"


def test_how_long_vvteam_idled_is_not_how_fast_it_fades() -> None:
    """1 ms to 10,000 s at 50 mV, then 1 ms at 1 V and 10 ms at 50 mV: what is left is the same, of a first
    write and of one after another that has faded."""
    model = load_model("vvteam")
    write = [(1e-5, 1.0), (1e-3, 1.0), (1.01e-3, 0.05), (1.1e-2, 0.05)]
    left: dict[int, list[float]] = {1: [], 2: []}
    for idle in (1e-3, 1.0, 100.0, 1e4):
        for writes, found in left.items():
            points = [(0.0, 0.05)]
            for _ in range(writes):
                begin = points[-1][0] + idle
                points += [(begin, 0.05), *((begin + after, volt) for after, volt in write)]
            found.append(float(simulate(model, Drive.of(*np.array(points).T, 1e-5)).states[-1, 0]))
    assert left[1] == pytest.approx([0.767] * 4, abs=1e-3)
    assert left[2][1:] == pytest.approx([0.724] * 3, abs=1e-3)


def test_memdiode_rests_at_zero_volts() -> None:
    """1,000 s without a voltage move it from neither end; at its thresholds it moves as published."""
    model = load_model("memdiode")
    rest = Drive.of([0.0, 1e3], [0.0, 0.0], 1e-4)
    for start in (1e-4, 1.0):
        assert simulate(model, rest, start=np.array([start])).states[-1, 0] == pytest.approx(start, rel=1e-6)
    for volt, start, end in ((0.3, 0.0, 1.0 - np.exp(-1.0)), (-0.3, 1.0, np.exp(-1.0))):
        held = Drive.of([0.0, 1.0], [volt, volt])
        made = simulate(model, held, {"rs": 1.0}, start=np.array([start]))
        assert made.states[-1, 0] == pytest.approx(end, rel=2e-3)


STEEP = {"imin": 1e-9, "alpha": 1.0, "beta": 0.2, "H0": 0.0}  # of memdiode: it needs volts for its current
DRIVEN = list(itertools.product((1e-6, -5e-7), (2e4, 7e4), (np.inf, 1e-3, 1e-5), ({}, STEEP)))


@pytest.mark.parametrize(("current_A", "ohm", "limit_A", "more"), DRIVEN)
def test_a_device_that_drives_a_current_obeys_kirchhoff(
    current_A: float, ohm: float, limit_A: float, more: dict[str, float]
) -> None:
    """With an extra current of its own and a resistor in front its voltage lies beyond the source's, or
    beyond zero: what the resistor and the limiter leave is where it is."""
    for source in (-0.05, 0.0, 0.05, 0.5):
        drive = Drive.of([0.0], [source], limit_A)
        made = simulate(load_model("memdiode"), drive, {"EI": current_A, "rs": ohm, **more})
        volt, amp = made.voltage[-1], made.current[-1]
        limited = 0.0 if limit_A == np.inf else SOFTNESS_V * np.arctanh(amp / limit_A)
        assert volt + ohm * amp + limited == pytest.approx(source, abs=1e-6)
        assert abs(volt - source) > 1e-5


@pytest.mark.parametrize("source", [-0.5, 0.0, 0.5])
def test_a_device_that_drives_more_than_the_limit_is_held_at_it(source: float) -> None:
    """1 uA of its own under 0.9 uA: the voltage falls until the limit passes."""
    made = simulate(load_model("memdiode"), Drive.of([0.0], [source], 9e-7), {"EI": 1e-6, "rs": 100.0})
    assert made.current[-1] == pytest.approx(9e-7, rel=1e-6)
    assert -2.0 < made.voltage[-1] < -1.0  # where it takes 0.1 uA back


def test_less_than_no_metal_conducts_nothing() -> None:
    """A state that only an operating point of a circuit simulator has."""
    made = simulate(load_model("silver"), Drive.of([0.0], [0.05]), start=np.array([0.0, -0.5]))
    assert 0.5e-9 < made.current[0] / 0.05 < 5e-9


@pytest.mark.skipif(simulators.ngspice() is None, reason=f"ngspice is not installed; {simulators.NGSPICE_HINT}")
def test_a_bridge_that_is_closed_fades_in_ngspice(tmp_path: Path) -> None:
    """n_v of 0.003, whose fading has no finite slope at closure: 20 ms at 1.5 V, then 10 ms at none."""
    model = model_files.starting_at(load_model("silver"), FIRING)
    assert 0.0 < model.parameter("n_v").value < 0.01
    (tmp_path / "library.sp").write_text(spice_netlists.subcircuit(model))
    deck = tmp_path / "deck.cir"
    deck.write_text(
        f"* closed\n.include library.sp\n{spice_netlists._OPTIONS}\nV1 s 0 PULSE(0 1.5 0 10u 10u 20m 200m)\n"
        "R1 s a 10\nX1 a 0 kmc_silver\n.tran 10u 30m 0 10u uic\n"
        ".control\nrun\nset wr_singlescale\nwrdata out.txt v(x1.s_closed)\n.endc\n.end\n"
    )
    time, closed = simulators.run_deck(deck, "out.txt").T
    assert time[-1] == pytest.approx(0.03)
    made = simulate(model, Drive.of([0.0, 1e-5, 0.02001, 0.02002, 0.03], [0.0, 1.5, 1.5, 0.0, 0.0]))
    assert closed.max() == pytest.approx(made.states[:, 0].max(), rel=1e-3)
    assert closed.max() > 0.9999
    assert closed[-1] == pytest.approx(made.states[-1, 0], rel=0.01)
    assert closed[-1] < 0.5
