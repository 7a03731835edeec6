"""The intervals of a fit to replicates are those of the typical device, not of its curve alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compact_truth import NOISE

from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.fitting import fit_data, fit_report
from kmc_analysis.compact.fitting.model_fit import Fit, Search, fit

MODEL = load_model("vteam")
SPREAD = 0.5  # of the logarithm of Roff, whose median is the model's own value
DRIVES = (Drive.sweep(0.3, 1.0, 1e-4, 41), Drive.sweep(0.25, 1.0, 1e-4, 41))


def fitted(devices: int, seed: int) -> Fit:
    """Roff of that many devices, below the threshold: two sweeps of each, with noise at every point."""
    stream = np.random.default_rng(seed)
    traces = []
    for k, factor in enumerate(np.exp(SPREAD * stream.standard_normal(devices))):
        for i, drive in enumerate(DRIVES):
            made = simulate(MODEL, drive, {"Roff": factor * MODEL.values()["Roff"]})
            one = fit_data.trace(f"sweep{i}_seed{k}", drive.time, drive.voltage, made.current, drive.compliance)
            noise = NOISE * stream.standard_normal(one.log_g.size)
            traces.append(replace(one, log_g=one.log_g + noise))
    return fit(MODEL, fit_data.typical(traces), free=["Roff"], search=Search(seed, generations=0))


@pytest.mark.parametrize("devices", [4, 10])
def test_intervals_hold_the_typical_device(devices: int) -> None:
    """In 36 or more of 40 draws of devices. Power: 19 of 20 such tests pass where 95 % do in truth, one of 13
    where 80 % do. Control: a quarter as wide, they do so half of the time (normal errors: 0.38 to 0.49)."""
    found = [fitted(devices, seed).estimates[0] for seed in range(40)]
    off = np.array([np.log(MODEL.values()["Roff"] / one.value) for one in found])
    low, high = (np.log([getattr(one, end) / one.value for one in found]) for end in ("low", "high"))
    assert np.mean((low <= off) & (off <= high)) >= 0.9
    assert np.mean((0.25 * low <= off) & (off <= 0.25 * high)) < 0.6


def test_devices_that_names_do_not_tell_apart_are_several() -> None:
    """dev0/sweep.csv ... are called "sweep" each: the intervals are those of the same traces by seed."""
    stream, traces = np.random.default_rng(3), []
    for k, factor in enumerate(np.exp(SPREAD * stream.standard_normal(5))):
        made = simulate(MODEL, DRIVES[0], {"Roff": factor * MODEL.values()["Roff"]})
        traces.append(
            fit_data.trace(f"sweep_seed{k}", DRIVES[0].time, DRIVES[0].voltage, made.current, DRIVES[0].compliance)
        )
    for names in (["sweep"] * 5, ["sweep_seed1", "sweep_seed1", *"abc"]):
        alike = [replace(one, name=name) for one, name in zip(traces, names, strict=True)]
        by_name, by_seed = (
            fit(MODEL, fit_data.typical(some), free=["Roff"], search=Search(1, generations=0)).estimates[0]
            for some in (alike, traces)
        )
        assert (by_name.low, by_name.high) == pytest.approx((by_seed.low, by_seed.high), rel=0.02)
        assert by_name.high / by_name.low > 1.1


def test_intervals_are_called_what_they_are() -> None:
    """95 % of the typical device, where it was told by devices; else of the fit to the curves."""
    told = fit_report.text(fitted(4, 0))
    assert "95 % intervals of the typical device" in told
    assert "told by the data" in told
    few = fitted(3, 0)
    told = fit_report.text(few)
    assert "95 %" not in told
    assert "intervals of the fit to these curves (profile), not of a device" in told
    assert "told by the data" not in told
    assert fit_report.summary(few)["intervals_of"] == "curves"
