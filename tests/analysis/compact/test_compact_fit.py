"""Fits recover what made the data, say what the data cannot tell, and refuse what they cannot read."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from compact_truth import FREE, NOISE, bipolar, starting_at, synthetic, train

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.integrator import SOFTNESS_V
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive, Response, simulate
from kmc_analysis.compact.fitting import fit_data, fit_report
from kmc_analysis.compact.fitting.model_fit import Search, fit


@pytest.mark.parametrize("name", ["vteam"])
def test_a_fit_recovers_the_truth(name: str) -> None:
    """One draw: every parameter told, and within a few intervals of the truth."""
    model, truth = load_model(name), FREE[name]
    found = fit(model, synthetic(model, truth, [bipolar(), train()], 1), free=list(truth), search=Search(generations=0))
    assert found.chi_squared == pytest.approx(NOISE**2, rel=0.3)
    for estimate in found.estimates:
        assert estimate.identified
        middle, half = 0.5 * (estimate.low + estimate.high), 0.5 * (estimate.high - estimate.low)
        assert abs(truth[estimate.parameter.name] - middle) < 2.5 * half


def test_a_search_finds_the_valley_that_a_descent_cannot_see() -> None:
    """A threshold beyond every sample has no slope: the search finds it, a descent alone does not."""
    truth = FREE["vteam"]
    model = starting_at(load_model("vteam"), {"v_on": 1.5, "v_off": -1.5})
    traces = synthetic(model, {**truth}, [bipolar(), train()], 4)
    lost, found = (fit(model, traces, free=list(truth), search=Search(generations=n)) for n in (0, 6))
    assert lost.chi_squared > 100.0 * NOISE**2
    assert found.chi_squared == pytest.approx(NOISE**2, rel=0.3)
    assert found.values["v_on"] == pytest.approx(truth["v_on"], rel=0.02)


def test_what_a_positive_sweep_cannot_tell_is_said() -> None:
    """Without a negative voltage nothing tells how the device is reset."""
    model = load_model("vteam")
    traces = synthetic(model, {}, [Drive.sweep(0.6, 1.0, 1e-4, 81)], 2)
    found = fit(model, traces, free=["Ron", "v_on", "k_off"], search=Search(generations=0))
    told = {estimate.parameter.name: estimate.identified for estimate in found.estimates}
    assert told == {"Ron": True, "v_on": True, "k_off": False}
    assert "cannot tell" in next(e.why for e in found.estimates if not e.identified)
    assert any("k_off" in weights for weights in found.blind)


def test_an_error_is_relative_to_the_conductance() -> None:
    """A trace of half the conductance is predicted with an error of one; the trace that was fitted with
    none."""
    model = load_model("vteam")
    drive = Drive.sweep(0.6, 1.0, 1e-4, 41)
    made = simulate(model, drive)
    same = fit_data.trace("same", drive.time, drive.voltage, made.current, drive.compliance, made.voltage)
    half = replace(same, name="half", log_g=same.log_g - math.log10(2.0))
    found = fit(model, [same], held_out=[half], free=["Ron"], search=Search(generations=0))
    assert found.errors["same"] < 0.01
    assert found.mean_square < 1e-4
    assert found.held_out["half"] == pytest.approx(1.0, rel=0.02)


def test_what_drops_before_the_device_is_seen() -> None:
    """Nothing where it has all of the source's voltage, a tenth in a resistance that takes a tenth; what the
    limiter takes as it takes hold, here up to a quarter, is none of that."""
    time = np.linspace(0.0, 1.0, 50)
    source = 0.5 * time
    whole, part = (
        fit_data.trace("one", time, source, 1e-6 * share * source, np.inf, share * source) for share in (1.0, 0.9)
    )
    assert (whole.lost, part.lost) == pytest.approx((0.0, 0.1))
    share = np.linspace(0.0, 0.89, 50)
    device = 1e-2 * share
    limiter = SOFTNESS_V * np.arctanh(share)
    assert 0.2 < limiter[-1] / (device + limiter)[-1] < 0.25
    limited = fit_data.trace("one", time, device + limiter, 1e-6 * share, 1e-6, device)
    assert limited.used.sum() > 20
    assert limited.lost == pytest.approx(0.0, abs=1e-9)


def test_the_law_is_read_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the seven compliances of 30 to 150 uA holds while the device is set, and none while it is read,
    at the end."""
    model, driven = load_model("silver"), list[Drive]()

    def noted(model: Any, drive: Drive, values: Any) -> Response:
        driven.append(drive)
        return simulate(model, drive, values)

    monkeypatch.setattr(fit_report, "simulate", noted)
    fitted: Any = SimpleNamespace(model=model, values=model.values())
    fit_report.compliance_law(fitted)
    for drive, limit in zip(driven, np.linspace(30e-6, 150e-6, 7), strict=True):
        assert np.isinf(drive.compliance[-2:]).all()
        assert drive.compliance[:-2] == pytest.approx(limit)


def test_a_single_trace_weighs_as_one_of_the_replicates_beside_it() -> None:
    """Three traces of one source: a single one beside them is as uncertain as each; alone it has a decade."""
    model = load_model("vteam")
    same = synthetic(model, {}, [bipolar()] * 3, 3)
    other = synthetic(model, {}, [train()], 3)
    found = fit_data.typical([*same, *other])
    assert np.median(found[1].sigma[found[1].used]) == pytest.approx(NOISE, rel=0.2)
    assert np.all(fit_data.typical(other)[0].sigma == 1.0)
    assert all(one is same for one, same in zip(fit_data.typical(found), found, strict=True))


def test_the_median_weighs_by_its_standard_error() -> None:
    """Of thirty devices with noise on their logarithm it is 1.25 / sqrt(30) of one's; that of ten of which
    two lie decades away is that of the eight. 500 points tell the mean of the square to a few per cent."""
    stream = np.random.default_rng(1)
    drive = Drive.of(np.linspace(0.0, 1.0, 500), np.full(500, 0.5))

    def sigma(noise: np.ndarray) -> float:
        rows = enumerate(0.5e-9 * 10.0**noise)
        traces = [fit_data.trace(f"one_seed{k}", drive.time, drive.voltage, row, np.inf) for k, row in rows]
        return float(np.sqrt(np.mean(fit_data.typical(traces)[0].sigma ** 2)))

    spread = 0.5 * stream.standard_normal((30, 500))
    assert sigma(spread) == pytest.approx(0.5 * 1.2533 / np.sqrt(30.0), rel=0.1)
    few = 0.05 * stream.standard_normal((10, 500))
    far = few + np.where(np.arange(10) < 2, 3.0, 0.0)[:, None]
    assert sigma(far) == pytest.approx(sigma(few), rel=0.5)
    assert sigma(far) < 0.05 * float(np.std(far[:, 0], ddof=1))  # which the far ones do move


def test_replicates_weigh_most_where_they_agree() -> None:
    """Devices with one leak that switch at different times: the leak is not as uncertain as the switching."""
    time = np.linspace(0.0, 1.0, 100)
    drive = Drive.of(time, np.full(100, 0.5))
    traces = [
        fit_data.trace(f"step_seed{k}", time, drive.voltage, np.where(time > 0.5 + 0.1 * k, 1e-6, 1e-9), np.inf)
        for k in range(3)
    ]
    sigma = fit_data.typical(traces)[0].sigma
    assert sigma[:45] == pytest.approx(fit_data.LEAST_SIGMA)
    assert np.all(sigma[55:65] > 1.0)
    assert sigma[-20:] == pytest.approx(fit_data.LEAST_SIGMA)


def test_the_picture_of_many_traces_has_rows(tmp_path: Path) -> None:
    """Beyond a hundred traces one row had more pixels than an image may have."""
    model = load_model("vteam")
    traces = synthetic(model, {}, [bipolar(11)], 1)
    found = fit(model, traces, free=["Ron"], search=Search(generations=0))
    sizes = []
    for count in (1, fit_report.MOST_COLUMNS, fit_report.MOST_COLUMNS + 1):
        fit_report.write(found, traces * count, [], tmp_path)
        sizes.append(matplotlib.image.imread(tmp_path / "report.png").shape[:2])
    (height, width), wide, wrapped = sizes
    assert wide == (height, width * fit_report.MOST_COLUMNS)
    assert wrapped == (2 * height, wide[1])


def test_too_few_points_are_refused() -> None:
    """More parameters than points."""
    model = load_model("vteam")
    one = fit_data.trace("three", np.arange(3.0), np.array([0.1, 0.2, 0.1]), np.full(3, 1e-9), np.inf)
    with pytest.raises(UserError, match="cannot tell"):
        fit(model, [one], search=Search(generations=0))
