"""Each row's measure gives the number, with its direction, that its runs were made to have.

A run has all steps of its own program (`device`). A case changes what conducts at some of them, or where the
silver lies, so that the answer is known beforehand, and goes through the figure that the row belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_figure_pictures import CLOSED_S, OPEN_S, SHAPE, device

from kmc.core.units import K_B
from kmc.geometry.lattice import Region
from kmc.io.provenance import run_of
from kmc_analysis.experiment.figures import (
    all_figures,
    controls,
    endurance,
    nonvolatile,
    programmed,
    pulses,
    series,
    static,
    stressed,
    volatile,
)
from kmc_analysis.experiment.figures.definition import Figure, Program
from kmc_analysis.metrics import observation
from kmc_analysis.metrics.observation import Measured
from kmc_analysis.metrics.silver_profile import METAL

Law = Callable[[xr.Dataset], xr.Dataset]  # from a run of `device` to one whose answer is known
Laws = list[tuple[Program, Law]]
Maker = Callable[[], Laws]
Fact = float | bool | list[float]  # the value; whether the rule holds; the means in uS that are told
AT_1_UA = 1e-6 / (OPEN_S * 0.25)  # on-off ratio of `device`, which closes at 0.3 V, after a step at 0.25 V

CASES: list[Any] = []


def gives(devices: int = 2, **facts: Fact | tuple[Fact, ...]) -> Callable[[Maker], Maker]:
    """Make a case of a function that gives laws: what so many devices by them say, by row."""

    def noted(laws: Maker) -> Maker:
        CASES.append(pytest.param(laws, devices, facts, id=laws.__name__))
        return laws

    return noted


def says(found: Measured, fact: Fact | tuple[Fact, ...]) -> None:
    """Of a truth: the rule's; of a list: the means in the note; of a number: the value; of several: all."""
    if isinstance(fact, tuple):
        for one in fact:
            says(found, one)
    elif isinstance(fact, bool):
        assert found.holds is fact
    elif isinstance(fact, list):
        told = found.note.removeprefix("means ").split(" S;")[0].split(", ")
        assert [1e6 * float(one) for one in told] == pytest.approx(fact)
    else:
        assert found.value == pytest.approx(fact)


# --- laws ------------------------------------------------------------------------------------------------


def conducting(siemens: Callable[[xr.Dataset], Any], ds: xr.Dataset) -> xr.Dataset:
    """With another conductance, which may be one for all looks."""
    return ds.assign(conductance=("time", np.broadcast_to(siemens(ds), ds.sizes["time"])))


def each(programs: Iterable[Program], values: Iterable[Any], siemens: Callable[[Any, xr.Dataset], Any]) -> Laws:
    """Programs by one law of the conductance, each with its own value."""
    return [
        (program, partial(conducting, partial(siemens, value))) for program, value in zip(programs, values, strict=True)
    ]


def resistor(ds: xr.Dataset) -> xr.Dataset:
    """It never sets."""
    return conducting(lambda _: OPEN_S, ds).assign(limited=0 * ds["limited"])


def by_pulse(levels_uS: list[float], ds: xr.Dataset) -> np.ndarray:
    """All along each pulse in order so many uS; nothing between pulses."""
    on = ds["voltage_source"].values != 0.0
    number = np.cumsum(np.diff(on.astype(int), prepend=0) == 1)
    return np.where(on, 1e-6 * np.array([0.0, *levels_uS])[number], 0.0)


def in_write(ds: xr.Dataset) -> np.ndarray:
    """Looks of the write at 1 mA."""
    return ds["segment"].values == programmed.WRITE


def seen(ds: xr.Dataset, program: Program, columns: np.ndarray) -> xr.Dataset:
    """With snapshots as often as the program has them, of as many columns of silver, from the organic to the
    electrode, as that look has."""
    time, every = ds["time"].values, program.snapshots
    assert every is not None
    due = every * np.arange(1, 1 + int(time[-1] / every * (1 + 1e-9)))
    at = np.unique(np.searchsorted(time, due * (1 - 1e-9)))
    place = np.arange(SHAPE[1] * SHAPE[2]).reshape(SHAPE[1:])
    silver = (ds["region"].values != Region.ELECTRODE) & (place < columns[at, None, None, None])
    cation = ("snapshot_time", *"zyx"), np.where(silver, METAL, 0).astype(np.uint8)
    return ds.drop_dims("snapshot_time").assign(cation=cation, snapshot_time=time[at])


# --- the high-resistance state, poor films, gold (S14, S15, S18) -----------------------------------------


@gives(S18c_activation_energy=0.2)
def warm_devices_conduct_more() -> Laws:
    """R = R0 exp(0.2 eV / kT) has 0.2 eV: the sign is that of a semiconductor, a metal's is negative."""
    return each([static._STAGES], [0.2], lambda energy, ds: 1e-9 * np.exp(-energy / (K_B * ds["temperature_stage"])))


@gives(S18b_hrs_regimes=1)
def one_composition_has_one_slope() -> Laws:
    """Of a current as V, and one as V and then as V^3: the fewest slopes count, for all must have two."""
    return each(static._HIGH, (0, 2), lambda power, ds: 1e-9 * np.maximum(1.0, ds["voltage_source"] / 0.3) ** power)


@gives(devices=20, S15_poor_film_shorts=(5.0, True))
def more_crevices_more_shorts() -> Laws:
    """A share of five times the crevices' has 2 uS, which is a short, and the other films half a uS."""
    return each(
        static._FILMS, static.CREVICES, lambda share, ds: 2e-6 if run_of(ds)["seed"] <= 20 * 5 * share else 0.5e-6
    )


@gives(S14_gold_electrode=AT_1_UA)
def gold_that_sets_at_1_uA_alone() -> Laws:
    """The greater ratio of the two limits is judged; at the other limit it is one."""
    return list(zip(controls._GOLD, (lambda ds: ds, resistor), strict=True))


@gives(S14_gold_electrode=CLOSED_S * 0.3 / (OPEN_S * 0.25))
def gold_that_sets_at_1_mA_alone() -> Laws:
    """The same with the limits exchanged; the current at the SET stands for a limit that is not reached."""
    return list(zip(controls._GOLD, (resistor, lambda ds: ds), strict=True))


# --- the 1 mA mode (S4, S6, S17, S18a, S31, S32) ---------------------------------------------------------


@gives(S18a_lrs_slope=2.0)
def a_curve_that_is_no_line() -> Laws:
    """A conductance that rises as V is a slope of 2: log I against log V, and not the other way round."""
    return each(
        [nonvolatile.OGB],
        [programmed.CURVE_SEGMENT],
        lambda curve, ds: np.where(ds["segment"] == curve, 1e-3 * ds["voltage_source"], ds["conductance"]),
    )


@gives(S4_S6_filament_size=3.0)
def strong_filaments_are_thicker() -> Laws:
    """Six columns when the write at 1 mA ends over two at the top of the sweep at 1 uA; else there is one."""
    weak, strong = volatile.OGB, nonvolatile.OGB
    return [
        (weak, lambda ds: seen(ds, weak, np.where(ds["voltage_source"] > controls.TOP_V - 0.01, 2, 1))),
        (strong, lambda ds: seen(ds, strong, np.where(in_write(ds), 6, 1))),
    ]


def profile(on: int, off: int, lost: float) -> Laws:
    """Columns of silver after the write and in an unwritten device, and ions that the write brings into it;
    the RESET takes all but one column, and twice as many ions."""

    def written(ds: xr.Dataset) -> xr.Dataset:
        later = ds["segment"] > programmed.VERIFIED
        ions = 100.0 + lost * (ds["segment"] > 0) - 2 * lost * later
        return seen(ds, nonvolatile.OGB, np.where(later, 1, on)).assign(n_ag_ion=ions)

    return [
        (nonvolatile.OGB, written),
        (nonvolatile._OFF, lambda ds: seen(ds, nonvolatile._OFF, np.full(ds.sizes["time"], off))),
    ]


@gives(S17_silver_profile=(3.0, True))
def a_write_takes_silver_from_the_pad() -> Laws:
    """ON over OFF is more than one where the write brings silver, and then the pad has lost some."""
    return profile(on=6, off=2, lost=30.0)


@gives(S17_silver_profile=(3.0, False))
def a_write_gives_silver_to_the_pad() -> Laws:
    """More silver at the interface alone does not meet the rule: the pad must lose some too."""
    return profile(on=6, off=2, lost=-30.0)


@gives(S17_silver_profile=(0.5, False))
def a_write_takes_silver_from_the_interface() -> Laws:
    """Nor does a loss of the pad alone."""
    return profile(on=2, off=4, lost=30.0)


@gives(S31_heat_order=3.0)
def ddab_is_hotter() -> Laws:
    """DDAB over OGB: at the same negative voltage it conducts three times as much; else they are alike."""
    return each(
        (nonvolatile.DDAB, nonvolatile.OGB),
        (3e-4, 1e-4),
        lambda siemens, ds: np.where(ds["voltage_source"] < 0.0, siemens, ds["conductance"]),
    )


@gives(S32_retention_ratio=100.0)
def crystals_keep_their_state_longer() -> Laws:
    """Crystals over film: 0.1 s at 0 V over 1 ms, both of which are looks."""
    return each(
        stressed._HELD,
        (0.1, 1e-3),
        lambda kept_s, ds: np.where(
            ds["time"] - ds["time"][in_write(ds)][-1] > 0.999 * kept_s, OPEN_S, ds["conductance"]
        ),
    )


# --- size and thickness (S19, S21) -----------------------------------------------------------------------


@gives(S21_size_trend=0.1, S21_size_on_off=10**2.2, N2_best_size=13.0)
def larger_crystals_have_larger_ratios() -> Laws:
    """log10 of the ratio is 1.5 and 0.1 a nm, so the slope is 0.1, the least ratio that of 7 nm, and those of
    13 nm alone reach 300."""
    return each(
        series._SIZES,
        (13.0, 9.0, 7.0),
        lambda nm, ds: ds["conductance"] * np.where(ds["limited"], 1.0, AT_1_UA / 10 ** (1.5 + 0.1 * nm)),
    )


@gives(S19_thickness_reset=0.5)
def thick_films_need_more_to_reset() -> Laws:
    """Parted at -0.3 V in place of -0.2 V is a change by a half."""

    def parted(at_V: float, ds: xr.Dataset) -> np.ndarray:
        volts = ds["voltage_source"].values
        begun, gone = (np.maximum.accumulate(volts < below) for below in (0.0, 0.01 - at_V))
        return np.where(begun & ~gone, CLOSED_S, ds["conductance"])

    return each(series._THICK, (0.2, 0.3), parted)


# --- pulses (S22, S23) and the bound of table 2 ----------------------------------------------------------


@gives(
    S22a_amplitude=([1.0, 4.0, 9.0, 16.0, 25.0], True),
    S22b_width=([1.0, 4.0, 9.0, 16.0, 25.0], True),
    S22c_number=([25.0, 36.0, 49.0, 64.0, 81.0], True),
)
def squares() -> Laws:
    """The first pulse of the train has 1 to 25 uS in the last tenth of each width, else nothing, later ones
    have more: widths and the last amplitude are read off the first alone. All three curves rise."""

    def train(later_uS: list[float], ds: xr.Dataset) -> np.ndarray:
        ms = 1e3 * ds["time"].values
        tenths = sum(k**2 * ((ms > 4.5 * k + 1e-6) & (ms < 5.0 * k + 1e-6)) for k in range(1, 6))
        return by_pulse([0.0, *later_uS], ds) + 1e-6 * tenths

    return [
        *each([pulses._TRAIN], [[36.0, 49.0, 64.0, 81.0]], train),
        *each(pulses._AMPLITUDES, ([1.0], [4.0], [9.0], [16.0]), by_pulse),
    ]


@gives(S23a_echo_10ms=120.0, S23b_echo_30ms=110.0, S23c_echo_300ms=105.0, S23abc_fading=10.0)
def echoes_fade() -> Laws:
    """a4 over a1 of two devices whose conductances, 10 and 30 uS in the first pulse, add up; it fades."""
    return each(
        pulses._ECHOES,
        (15.0, 11.0, 9.0),
        lambda fourth, ds: by_pulse(
            [10.0, 11.0, 20.0, fourth] if run_of(ds)["seed"] == 1 else [30.0, 31.0, 20.0, 33.0], ds
        ),
    )


@gives(S23d_sign_change=(23.0 * 41.0) ** 0.5)
def growth_turns_to_depression() -> Laws:
    """The tenth pulse ends 1 uS above the ninth after 23 ms and 1 uS below it after 41 ms: it turns half way
    between, on a log scale."""
    return each(pulses._TRAINS, (22.0, 21.0, 19.0, 18.0), lambda tenth, ds: by_pulse([*[20.0] * 9, tenth], ds))


@gives(T2_ogb_volatile_endurance=144 / 5.0)
def cores_have_no_room_for_silver() -> Laws:
    """Five atoms stay a cycle, and the half of the film that is no crystal's core has 144 sites."""

    def law(ds: xr.Dataset) -> xr.Dataset:
        region = np.full(SHAPE, Region.VOID, np.uint8)
        region[:2], region[2:6], region[-2:] = Region.ORGANIC, Region.CORE, Region.ELECTRODE
        metal = 50.0 + 5.0 * (ds["cycle"] + 1) * (ds["segment"] == 1)
        return ds.assign(region=(tuple("zyx"), region), n_ag_metal=metal)

    return [(endurance.WEAK_OGB, law)]


@pytest.mark.parametrize(("laws", "devices", "facts"), CASES)
def test_a_row_says_what_its_runs_were_made_to_say(
    laws: Maker, devices: int, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value, rule and means of each row of a case, by the measure of their figure."""
    monkeypatch.setattr(observation, "DRAWS", 100)  # of resampled devices: no fact is an interval
    (figure,) = [one for one in all_figures() if set(facts) <= set(one.keys)]
    runs: dict[str, list[xr.Dataset]] = {program.name: [] for program in figure.programs}
    for program, law in laws():
        made = (law(device(program, number)) for number in range(1, 1 + devices))
        runs[program.name] += [ds.assign(current=ds["conductance"] * ds["voltage_source"]) for ds in made]
    found = figure.measure(runs)
    for key, fact in facts.items():
        says(found[key], fact)


@pytest.mark.parametrize("figure", [one for one in all_figures() if one.rests], ids=lambda one: one.name)
def test_a_row_rests_on_the_programs_it_names(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the devices of the others each key has the value and the interval that it has with them, and
    none without its own. A fit or a sensitivity has devices of these programs alone."""
    monkeypatch.setattr(observation, "DRAWS", 100)
    runs = {one.name: [device(one, seed) for seed in (1, 2)] for one in figure.programs}
    whole = figure.measure(runs)
    for key, programs in figure.rests.items():
        own = {one.name for one in programs}
        assert {one.name for one in figure.judging({key}).programs if one.devices} == own
        some = figure.measure({name: one if name in own else [] for name, one in runs.items()})
        assert replace(some[key], note="") == replace(whole[key], note="")
        none = figure.measure({name: [] if name in own else one for name, one in runs.items()})
        assert none[key].value is None != whole[key].value
