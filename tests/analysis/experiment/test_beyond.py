"""Predictions beyond the experiment: their numbers on traces of a known answer, their place on a board."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kmc.cli import app
from kmc.core.units import G0
from kmc_analysis.experiment.figures import all_figures, one_write, predictions
from kmc_analysis.experiment.figures.definition import Program
from kmc_analysis.experiment.reproduce import scoreboard
from kmc_analysis.experiment.targets.targets import all_rows, chosen, targets
from kmc_analysis.experiment.targets.verdict import UNCLEAR, judge
from kmc_analysis.metrics import residual_voltage, set_time
from kmc_analysis.metrics.observation import Measured
from kmc_analysis.metrics.reads_and_retention import lifetime

DECADES_A_VOLT, LIVES = -2.5, 1.5


def trace(columns: list[tuple[float, ...]], seed: int = 1) -> xr.Dataset:
    """Samples of time, source and device voltage, conductance, limited, segment."""
    names = ("time", "voltage_source", "voltage_device", "conductance", "limited", "segment")
    ds = xr.Dataset(
        {name: ("time", np.array(values)) for name, values in zip(names, zip(*columns, strict=True), strict=True)}
    )
    ds["cycle"] = ("time", np.zeros(ds.sizes["time"], int))
    ds.attrs["run"] = json.dumps({"seed": seed})
    return ds


def waited(volts: float, seed: int) -> xr.Dataset:
    """A device that sets after 0.1 s at 0 V, 2.5 decades earlier for each volt, and a tenth of a decade a
    seed later; looked at for one second."""
    due = 10 ** (-1 + DECADES_A_VOLT * volts + 0.1 * seed)
    ends = due if due < predictions.WAIT_S else predictions.WAIT_S
    rows = [(ends / 2, volts, volts, 1e-9, 0, 0), (ends, volts, volts, 1e-5, due == ends, 0)]
    return trace(rows, seed)


def faded(limit_uA: float, seed: int, rate: float = 1.0) -> xr.Dataset:
    """Under its limit 0.2 V are left on a filament; it lasts as its conductance to the power 1.5."""
    quanta = limit_uA * 1e-6 / 0.2 / G0
    gone = min(rate * 0.01 * seed * quanta**LIVES, predictions.KEPT_S)
    left = 1e-9 if gone < predictions.KEPT_S else quanta * G0
    return trace(
        [
            (1e-3, 0.6, 0.2, quanta * G0, 1, 1),
            (2e-3, 0.1, 0.1, quanta * G0, 0, 2),
            (2e-3 + gone / 2, 0.0, 0.0, quanta * G0, 0, 3),
            (2e-3 + gone, 0.0, 0.0, left, 0, 3),
        ],
        seed,
    )


def runs(
    programs: dict[float, Program], make: Callable[[float, int], xr.Dataset], devices: int = 6
) -> dict[str, list[xr.Dataset]]:
    """Devices of each program, seeds from 1 on."""
    return {program.name: [make(level, seed) for seed in range(1, devices + 1)] for level, program in programs.items()}


def once(seed: int, sets: bool = True, gone_s: float = 0.02) -> xr.Dataset:
    """Read at 50 mV, set after 3 ms at 0.6 V and twice as late a seed later, gone after some time at 0 V."""
    due = 3e-3 * 2.0 ** (seed - 1)
    left = 1e-5 if gone_s >= predictions.KEPT_S else 1e-9
    rows = [
        (0.0, 0.05, 0.05, 2e-9, 0, 0),
        (due, 0.6, 0.2, 5e-6, sets, 1),
        (due + 1e-3, 0.6, 0.2, 5e-6, sets, 2),
        (due + 1e-3, 0.1, 0.1, 5e-6, 0, 3),
        (due + 1e-3 + gone_s, 0.0, 0.0, left, 0, 4),
    ]
    return trace([(1e-5 + after, *rest) for after, *rest in rows], seed)


def nothing(there: dict[str, list[xr.Dataset]]) -> dict[str, list[xr.Dataset]]:
    """The same programs, of which no run is done."""
    return {name: [] for name in there}


def test_the_time_to_a_set_begins_with_the_voltage() -> None:
    """From the sample before the first voltage to the first at the limit; a bound without one."""
    rows = [
        (1.0, 0.0, 0.0, 1e-9, 0, 0),
        (1.5, 0.5, 0.5, 1e-9, 0, 1),
        (1.7, 0.5, 0.2, 1e-6, 1, 1),
        (1.9, 0.5, 0.2, 1e-6, 1, 1),
    ]
    assert set_time(trace(rows)) == pytest.approx((0.7, False))
    assert set_time(trace(rows[:2])) == pytest.approx((0.5, True))
    assert math.isnan(set_time(trace(rows[:1])).time_s)


def test_what_a_limiter_leaves_is_the_last_that_it_held() -> None:
    """Not the source's voltage, nor a sample after it; without a SET there is none."""
    rows = [(1.0, 0.6, 0.3, 1e-6, 1, 0), (2.0, 0.6, 0.2, 1e-5, 1, 0), (3.0, 0.1, 0.1, 1e-5, 0, 1)]
    assert residual_voltage(trace(rows)) == 0.2
    assert math.isnan(residual_voltage(trace(rows[2:])))


def test_a_life_ends_below_what_is_open() -> None:
    """The first look below it counts, from the end of the voltage on; above it to the end is a bound."""
    rows = [(1.0, 0.1, 0.1, 1e-4, 0, 0), (1.5, 0.0, 0.0, 5e-5, 0, 1), (3.0, 0.0, 0.0, 1e-7, 0, 1)]
    assert lifetime(trace(rows), 1e-6) == pytest.approx((2.0, False))
    assert lifetime(trace(rows), 1e-4) == pytest.approx((0.5, False))
    assert lifetime(trace(rows), 1e-8) == pytest.approx((2.0, True))


def test_the_law_of_the_set_time_is_found() -> None:
    """With devices that all follow it; a voltage at which one does not set within a second is left out."""
    found = predictions._set_times(runs(predictions._WAITING, waited))["B1_set_time"]
    assert found.value == pytest.approx(DECADES_A_VOLT)
    assert found.n == 6
    assert "ms at 0.35 V" in found.note

    def level(volts: float, seed: int) -> xr.Dataset:
        return waited(min(volts, 0.6), seed)

    flat = predictions._set_times(runs(predictions._WAITING, level))["B1_set_time"]
    assert flat.value == pytest.approx(DECADES_A_VOLT)

    def late(volts: float, seed: int) -> xr.Dataset:
        return waited(volts if volts > 0.3 or seed < 6 else -0.4, seed)

    short = predictions._set_times(runs(predictions._WAITING, late))["B1_set_time"]
    assert short.value == pytest.approx(DECADES_A_VOLT)
    assert "within 1 s 1 of 6 do not at 0.3 V" in short.note
    assert predictions._set_times(nothing(runs(predictions._WAITING, waited)))["B1_set_time"].value is None


def test_the_law_of_lives_is_found() -> None:
    """The exponent, by devices whose lives differ; one that lasts makes it a lower bound, and so it is."""
    found = predictions._limits(runs(predictions._FADING, faded))
    assert found["B3_lifetime"].value == pytest.approx(LIVES)
    assert "lasted" not in found["B3_lifetime"].note
    assert found["B2_residual_voltage"].value == pytest.approx(0.2)
    longer = predictions._limits(runs(predictions._FADING, lambda *args: faded(*args, rate=3.0)))["B3_lifetime"]
    assert longer.value < LIVES
    assert "3 s: a lower bound" in longer.note
    none = predictions._limits(nothing(runs(predictions._FADING, faded)))
    assert [one.value for one in none.values()] == [None, None]


def written(made: list[xr.Dataset]) -> dict[str, Measured]:
    """What one write tells of these devices."""
    return one_write._numbers({one_write._WRITE.name: made})


def test_the_numbers_of_one_write_are_found() -> None:
    """Geometric means over devices; who does not set, or lasts, counts with the time that it had."""
    found = written([once(seed) for seed in (1, 2, 3)])
    assert found["B4_leak"].value == pytest.approx(2e-9)
    assert found["B5_time_to_set"].value == pytest.approx(6e-3)
    assert found["B6_time_to_forget"].value == pytest.approx(0.02)
    some = written([once(1), once(2, sets=False), once(3, gone_s=predictions.KEPT_S)])
    assert some["B4_leak"].n == 3
    assert some["B5_time_to_set"].value == pytest.approx((3e-3 * 7e-3 * 12e-3) ** (1 / 3))
    assert "1 of 3 do not set" in some["B5_time_to_set"].note
    assert some["B6_time_to_forget"].value == pytest.approx(math.sqrt(0.02 * predictions.KEPT_S))
    assert written([])["B5_time_to_set"].value is None
    assert "1 of 2 last to the end" in some["B6_time_to_forget"].note
    assert written([once(1, sets=False)])["B6_time_to_forget"].value is None


def test_a_prediction_is_judged_by_nothing() -> None:
    """It is reported: no hit, whatever its value, and no miss."""
    found = predictions._limits(runs(predictions._FADING, faded))
    for key, one in found.items():
        assert judge(all_rows()[key], one).verdict == UNCLEAR


def test_predictions_are_asked_for_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board without names has the targets alone; one of both keeps both, and no key is of both."""
    assert [one.key for one in chosen([])] == list(targets())
    assert not set(targets()) & set(all_rows()).difference(targets())
    keys = ["S11_roughness", "B1_set_time"]
    assert [one.key for one in chosen(keys[::-1])] == keys
    for key in keys:
        assert app.main(["reproduce", key, "--done", "--out", str(tmp_path), "--quiet", "--no-picture"]) == 0
    capsys.readouterr()
    there = json.loads((tmp_path / "scoreboard.json").read_text())
    assert [row["key"] for row in there["targets"]] == keys
    assert there["targets"][1]["verdict"] == "not run"


def test_the_predictions_that_are_kept_are_all() -> None:
    """A row of each, of runs: the page shows them."""
    found = scoreboard.kept(scoreboard.PREDICTED)
    assert found is not None
    rows = scoreboard.rows_of(found)
    assert [one.key for one in rows] == [key for key in all_rows() if key not in targets()]
    assert all(one.n >= 6 and one.engines for one in rows)


def test_pictures_of_predictions_are_drawn(tmp_path: Path) -> None:
    """With devices that set and last and with some that do not, and without any."""
    some = {
        **runs(predictions._WAITING, waited),
        **runs(predictions._FADING, lambda *args: faded(*args, rate=3.0)),
        one_write._WRITE.name: [once(1), once(2, sets=False)],
    }
    for k, there in enumerate((some, nothing(some))):
        for figure in (one for one in all_figures() if one.name.startswith("B")):
            path = tmp_path / f"{figure.name}_{k}.png"
            assert figure.draw is not None
            figure.draw(there, path)
            assert path.stat().st_size > 5000
