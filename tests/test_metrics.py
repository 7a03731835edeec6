"""Metrics of states, pulses, laws, endurance and filaments, on synthetic traces with known answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kmc.units import K_B
from kmc_analysis.figures import thermogram
from kmc_analysis.figures.pulses import crossing
from kmc_analysis.metrics import endurance, filament, laws, on_off, pulses, states


def trace(rows: list[tuple[float, float, float]], segments: list[int] | None = None,
          **more: Any) -> xr.Dataset:  # fmt: skip
    """A run of (duration s, voltage V, conductance S) samples; a segment each unless given."""
    duration, voltage, conductance = (np.array(part) for part in zip(*rows, strict=True))
    count = len(rows)
    data = {"voltage_source": voltage, "voltage_device": voltage, "conductance": conductance,
            "current": conductance * voltage, "segment": segments or list(range(count)),
            "cycle": np.zeros(count, int), "limited": np.zeros(count, int), **more}  # fmt: skip
    return xr.Dataset({name: ("time", np.asarray(values)) for name, values in data.items()},
                      {"time": np.cumsum(duration)})  # fmt: skip


SWITCHED = trace([(1, 0.05, 1e-9), (1, 0.1, 2e-9), (1, 0.4, 1e-3), (1, 0.1, 3e-4), (9, 0, 3e-4),
                  (1, -0.5, 1e-4), (1, 0.1, 3e-7), (1, 0.05, 2e-9)])  # fmt: skip


def test_states_before_and_after_a_reset() -> None:
    """Reads at 0.1 V around the negative stretch; the last read at 50 mV over the first."""
    assert states.reads(SWITCHED).tolist() == [[2, 2e-9], [4, 3e-4], [15, 3e-7]]
    assert states.on_off_nonvolatile(SWITCHED) == pytest.approx(1000)
    assert states.left_over(SWITCHED) == pytest.approx(2)
    assert states.greatest_power(SWITCHED) == pytest.approx(1e-3 * 0.16)
    assert states.greatest_power(SWITCHED, negative=True) == pytest.approx(1e-4 * 0.25)


def test_a_step_of_a_sweep_is_no_read() -> None:
    """A segment that passes 0.1 V among others has none."""
    swept = trace([(1, 0.0, 1e-9), (1, 0.1, 1e-9), (1, 0.2, 1e-9)], segments=[0, 0, 0])
    assert not len(states.reads(swept))
    assert math.isnan(states.on_off_nonvolatile(swept))
    assert math.isnan(states.left_over(swept))


def test_the_limit_is_the_compliance_current() -> None:
    """A jump in two steps: 1 uA over the current before the first."""
    swept = trace([(1, 0.1 * k, g) for k, g in enumerate((1e-9, 1e-9, 1e-9, 1e-7, 1e-6))], segments=[0] * 5,
                  current=[0.0, 1e-10, 1e-10, 3e-8, 1e-6], limited=[0, 0, 0, 0, 1])  # fmt: skip
    assert on_off(swept) == pytest.approx(1e4)


def test_retention_is_the_time_to_a_factor_of_two() -> None:
    """An exponential of 10 s leaves it after 6.93 s, at the next sample; one of 1000 s is a bound."""
    time = np.concatenate([[1e-6], np.linspace(1, 20, 20)])

    def fading(tau: float) -> xr.Dataset:
        steps = zip(np.diff(time, prepend=0.0), np.exp(-time / tau), strict=True)
        return trace([(1, 0.1, 1.0), *((step, 0.0, g) for step, g in steps)])

    for tau, time_s, bound in ((10.0, 7.0, False), (1000.0, 20.0, True)):
        found = states.retention(fading(tau))
        assert (found.time_s, found.censored) == (pytest.approx(time_s), bound)


def test_the_reset_voltage_is_that_of_a_tenth() -> None:
    """The first negative voltage at which a tenth of the conductance is left."""
    swept = trace([(1, -0.1 * k, g) for k, g in enumerate((1.0, 1.0, 0.9, 0.09, 0.01))])
    assert states.reset_voltage(swept) == pytest.approx(-0.3)
    assert math.isnan(states.reset_voltage(trace([(1, -0.1, 1.0), (1, -0.2, 1.0)])))
    at_once = trace([(1, 0.1, 1.0), (1, -0.05, 0.01), (1, -0.1, 0.01)])
    assert states.reset_voltage(at_once) == pytest.approx(-0.05)
    on_the_way_back = trace([(1, 0.1, 1.0), (1, -0.1, 1.0), (1, -0.5, 1.0), (1, -0.2, 0.05)])
    assert states.reset_voltage(on_the_way_back) == pytest.approx(-0.5)


def pulsed(levels: list[float]) -> xr.Dataset:
    """A pulse of 5 ms with ten looks for each level, whose last look alone counts; 5 ms apart."""
    rows, segments, cycle = [], [], []
    for k, level in enumerate(levels):
        rows += [(0.5e-3, 1.0, level if j == 9 else 7.0) for j in range(10)] + [(5e-3, 0.0, 7.0)]
        segments += [0] * 11
        cycle += [k] * 11
    return trace(rows, segments, cycle=cycle)


def test_pulses_end_in_their_last_tenth() -> None:
    """a_k is the mean over it; the echo index is that of the fourth over the first."""
    run = pulsed([1.0, 2.0, 3.0, 4.0])
    assert pulses.pulse_conductances(run).tolist() == [1, 2, 3, 4]
    assert pulses.echo_index(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == 125
    assert pulses.conductance_after(run, 5e-3) == 1.0
    assert pulses.conductance_after(run, 2e-3) == 7.0


def test_slopes_and_regimes() -> None:
    """Ohm below 0.1 V and a square law above are two regimes; Ohm alone is one."""
    voltage = np.geomspace(0.01, 1.5, 100)
    current = np.where(voltage < 0.1, voltage, voltage**2 / 0.1)
    assert laws.regimes(voltage, current) == pytest.approx([1, 2], abs=0.1)
    assert len(laws.regimes(voltage, voltage)) == 1
    assert laws.log_slope(voltage, 3 * voltage**1.5) == pytest.approx(1.5)


def test_activation_energy_has_the_sign_of_a_semiconductor() -> None:
    """R = R0 exp(E / k T)."""
    kelvin = np.array([300.0, 320.0, 340.0, 360.0])
    assert laws.activation_energy(kelvin, np.exp(0.208 / (K_B * kelvin))) == pytest.approx(0.208)


def test_a_curve_beats_a_line_where_there_is_one() -> None:
    """Of 200 straight lines with noise few look curved (AIC over 4: 4 % by chi squared of two curves), of
    200 that level off nearly all do."""
    generator = np.random.Generator(np.random.PCG64(1))
    x = np.repeat(np.arange(1.0, 6.0), 6)
    straight = [laws.curve_over_line(x, x + generator.normal(0, 0.3, 30)) > 4 for _ in range(100)]
    bent = [laws.curve_over_line(x, 5 * (1 - np.exp(-x / 1.5)) + generator.normal(0, 0.3, 30)) > 4
            for _ in range(100)]  # fmt: skip
    assert sum(straight) < 15
    assert sum(bent) > 95


def test_cycle_life_is_linear_or_a_walk() -> None:
    """Two atoms a cycle fill a thousand in 500; with no drift a walk of 10 a cycle reaches it in 10^4; the
    intervals hold the truth."""
    generator = np.random.Generator(np.random.PCG64(2))
    drifting = endurance.cycle_life(2.0 + generator.normal(0, 0.5, 40), 1000.0)
    assert drifting.linear == pytest.approx(500, rel=0.1)
    assert drifting.linear_low < 500 < drifting.linear_high
    walking = endurance.cycle_life(generator.normal(0, 10.0, 400), 1000.0)
    assert walking.walk == pytest.approx(1e4, rel=0.2)
    assert walking.walk_low < 1e4 < walking.walk_high
    assert endurance.cycle_life(np.array([-1.0, -2.0, -1.5]), 10.0).linear == math.inf


def silver(atoms: list[tuple[int, int, int]], shape: tuple[int, int, int] = (12, 6, 6)) -> xr.Dataset:
    """A snapshot of a window: two planes of organic below, two of electrode above, atoms at (z, y, x)."""
    cation, region = np.zeros(shape, np.uint8), np.full(shape, 4, np.uint8)
    region[:2], region[-2:] = filament.ORGANIC, filament.ELECTRODE
    for atom in atoms:
        cation[atom] = filament.METAL
    axes = {name: (np.arange(count) + 0.5) * 0.3 for name, count in zip("zyx", shape, strict=True)}
    return xr.Dataset({"cation": (("snapshot_time", "z", "y", "x"), cation[None]),
                       "region": (("z", "y", "x"), region)}, {**axes, "snapshot_time": [0.0]})  # fmt: skip


CHAIN = [(z, 3, 3) for z in range(2, 10)]


def test_the_core_is_what_carries() -> None:
    """Eight atoms of a chain, not the one that hangs on its side nor one that lies apart; twice as many of a
    chain of two; none where no silver leads on."""
    assert filament.conducting_core(silver(CHAIN)) == 8
    assert filament.conducting_core(silver([*CHAIN, (5, 3, 4), (4, 0, 0)])) == 8
    assert filament.conducting_core(silver([*CHAIN, *((z, 3, 4) for z in range(2, 10))])) == 16
    assert filament.conducting_core(silver([(2, 3, 3)], (40, 6, 6))) == 0
    assert filament.conducting_core(silver([])) == 0


def test_a_gap_is_crossed_by_tunnelling() -> None:
    """One site left open: all atoms of the chain carry, through its tip; so does an island in a gap."""
    assert filament.conducting_core(silver(CHAIN[:-1])) == 7
    assert filament.conducting_core(silver([*CHAIN[:3], *CHAIN[4:]])) == 7


def test_mixing_keeps_the_silver_and_spreads_it() -> None:
    """A plane of atoms becomes a Gaussian whose interface value is known."""
    plane = [(20, y, x) for y in range(6) for x in range(6)]
    run = silver(plane, (60, 6, 6))
    height, profile = filament.depth_profile(run, mixing_nm=1.5)
    assert profile.sum() == pytest.approx(36, rel=1e-3)
    away = (height - height[20]) / 1.5
    gaussian = 36 * 0.3 / 1.5 / math.sqrt(2 * math.pi) * np.exp(-(away**2) / 2)
    assert profile == pytest.approx(gaussian, abs=0.05)
    assert filament.interface_silver(run, 1.5) == pytest.approx(float(profile[1]))


def test_growth_crosses_zero_on_a_logarithmic_scale() -> None:
    """Equal growth and loss at 23 and 41 ms cross at their geometric mean; the ends stand for never."""
    assert crossing(np.array([[2.0, 1.0, -1.0, -2.0]])) == pytest.approx(math.sqrt(23 * 41))
    assert crossing(np.array([[-1.0, 1.0, 1.0, 1.0]])) == 10
    assert crossing(np.ones((2, 4))) == 80


def test_separable_are_means_over_two_sigma_apart() -> None:
    """Of three columns, two alike: two of three pairs."""
    noise = np.array([-1.0, 0.0, 1.0])
    assert pulses.separated(np.stack([noise, noise + 0.1, noise + 9], axis=1)) == pytest.approx(2 / 3)


def test_a_thermogram_is_that_of_a_disc(tmp_path: Path) -> None:
    """The disc's radius gives the card's resistance; the rise is even inside, a third at its double radius,
    and far away that of a point source, P / (2 pi k r); the picture is drawn."""
    spot = thermogram.spot_radius_um("ogb_20nm")
    assert 1e6 / (4 * thermogram.GLASS_W_MK * spot) == pytest.approx(5000)
    near = thermogram.surface_rise(np.array([0.0, spot, 2 * spot]), 3.0, spot)
    assert near == pytest.approx([3, 3, 1])
    far = 1000 * spot
    power = 3.0 / 5000
    point = power / (2 * math.pi * thermogram.GLASS_W_MK * far * 1e-6)
    assert thermogram.surface_rise(np.array([far]), 3.0, spot)[0] == pytest.approx(point, rel=1e-3)
    thermogram.draw({"one": 1.0, "other": 3.0}, "ogb_20nm", tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 5000
