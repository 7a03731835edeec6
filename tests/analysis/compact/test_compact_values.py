"""Numbers of compact models and of what is written for other programs, against ones worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from compact_truth import bipolar, starting_at, synthetic

from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive
from kmc_analysis.compact.export import learning_formats, model_files, pulse_response
from kmc_analysis.compact.fitting import fit_data, initial_guess, programmed_conductance
from kmc_analysis.compact.fitting.model_fit import Search, fit

# Two limits: what they leave, its spread, and a second later.
FOUND = pulse_response.Levels(
    np.array([3e-5, 1.5e-4]), np.array([1e-4, 5e-4]), np.array([1e-5, 2e-5]), {1.0: np.array([8e-5, 4e-4])}
)
MODEL = load_model("silver")


def test_a_table_of_levels_has_levels_and_spreads() -> None:
    """In A and S, under the names of its first line."""
    head, *rows = learning_formats.level_table(FOUND).splitlines()
    assert head == "compliance_A,conductance_S,spread_S,after_1_s_S"
    numbers = np.array([[float(word) for word in row.split(",")] for row in rows])
    wanted = np.stack([FOUND.limits, FOUND.mean, FOUND.spread, FOUND.later[1.0]], axis=1)
    assert numbers / wanted == pytest.approx(1.0)


def test_aihwkit_has_microsiemens() -> None:
    """Levels, their spreads and what is left after a second."""
    text = learning_formats.aihwkit_programmed(MODEL, FOUND)
    assert all(shown in text for shown in ("[100, 500]", "[10, 20]", "[80, 400]")), text


def test_crosssim_has_shares_and_the_resistances_of_its_ends() -> None:
    """Of the greatest level; the least resistance is the greatest level's."""
    text = learning_formats.crosssim_device(MODEL, FOUND)
    assert all(shown in text for shown in ("[0.2, 1]", "[0.02, 0.04]", "[0.16, 0.8]")), text
    assert re.search(r"Rmin\D*2000 ohm\D*Rmax\D*10000 ohm", text), text


def test_neurosim_has_voltages_of_writes_and_reads() -> None:
    """They are not alike."""
    ramp = np.linspace(1e-9, 1e-4, pulse_response.COUNT + 1)
    steps = pulse_response.Ladder(np.array([ramp] * 2), np.array([ramp[::-1]] * 2), 1e-5, 2e-3)
    lines = set(learning_formats.neurosim_arrays(MODEL, steps).splitlines())
    assert {"writeVoltageLTP = 0.6;", "writeVoltageLTD = 0.6;", "readVoltage = 0.1;"} <= lines


def test_a_bench_has_the_limit_of_its_name() -> None:
    """sweep_1mA is one of 1 mA."""
    for name, limit in model_files.SWEEPS.items():
        number, unit = re.fullmatch(r"sweep_(\d+)(u|m)A", name).groups()
        assert limit / (float(number) * {"u": 1e-6, "m": 1e-3}[unit]) == pytest.approx(1.0)


def test_other_sources_are_no_replicates() -> None:
    """Two runs whose voltages differ by a hundredth."""
    time, volt = np.linspace(0.0, 1.0, 20), np.linspace(0.1, 0.5, 20)
    pair = [fit_data.trace(f"a_seed{k}", time, f * volt, 1e-6 * f * volt, np.inf) for k, f in ((1, 1.0), (2, 1.01))]
    assert [found.replicates for found in fit_data.typical(pair)] == [1, 1]


def test_the_longest_trace_is_told() -> None:
    """Of one second and of three."""
    pair = [
        fit_data.trace("a", np.linspace(0, end, 5), np.full(5, 0.1), np.full(5, 1e-9), np.inf) for end in (1.0, 3.0)
    ]
    assert fit_data.covered(pair).endswith("up to 3 s")


def test_a_parameter_at_its_bound_is_not_told() -> None:
    """The truth lies beyond it."""
    model = load_model("vteam")
    traces = synthetic(model, {"Ron": 3e3}, [Drive.sweep(0.6, 1.0, 1e-4, 41)], 1)
    tight = model.with_parameters(
        one.model_copy(update={"low": 5e3, "value": 6e3}) if one.name == "Ron" else one for one in model.parameters
    )
    (one,) = fit(tight, traces, free=["Ron"], search=Search(generations=0)).estimates
    assert one.why == "it lies at its lower bound"
    assert not one.identified


def test_intervals_by_resampling_are_those_of_the_profile() -> None:
    """To a factor of two, where noise is Gaussian."""
    truth = {"Ron": 5e3, "v_on": 0.33}
    model = starting_at(load_model("vteam"), truth)
    traces = synthetic(model, truth, [bipolar()], 1)
    profile, drawn = (fit(model, traces, free=list(truth), search=Search(generations=0, bootstrap=n)) for n in (0, 40))
    assert (profile.intervals, drawn.intervals) == ("profile", "bootstrap")
    for one, other in zip(profile.estimates, drawn.estimates, strict=True):
        assert other.low < other.value < other.high
        assert 0.5 < (other.high - other.low) / (one.high - one.low) < 2.0


def test_a_limit_is_reached_at_the_limit() -> None:
    """72 uA of 90 uA are not."""
    volt, limit = np.repeat([0.4, 0.1], [2, 4]), np.repeat([90e-6, np.inf], [2, 4])
    (found,) = programmed_conductance.programmed(
        [fit_data.trace("short", np.arange(6.0), volt, 1.8e-4 * volt, limit, volt)]
    )
    assert not found.reached


def test_a_fading_time_is_that_of_the_logarithm() -> None:
    """0.3 s, as the trace has it."""
    time = np.linspace(0.0, 5.0, 200)
    siemens = 10.0 ** (-9.0 + 4.0 * np.exp(-time / 0.3))
    one = fit_data.trace("a", time, np.full(200, 0.1), 0.1 * siemens, np.inf)
    assert initial_guess.fading_time([one]) == pytest.approx(0.3, rel=0.02)


def test_what_is_held_is_the_devices_voltage() -> None:
    """Where nobody measured it the source's is none."""
    volt, current = np.full(20, 0.5), np.full(20, 1e-6)
    known, unknown = (
        fit_data.trace("a", np.arange(20.0), volt, current, 1e-6, device) for device in (np.full(20, 0.1), None)
    )
    assert initial_guess.hold_voltage([known]) == pytest.approx(0.1)
    assert np.isnan(initial_guess.hold_voltage([unknown]))
