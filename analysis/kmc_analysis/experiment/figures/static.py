"""What no moving silver enters: roughness, the high-resistance state, poor films (S11, S15, S18)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from kmc.cards.stack import load_stack
from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments
from kmc_analysis.metrics.current_laws import activation_energy, regimes
from kmc_analysis.metrics.observation import Measured, exact, median, not_run
from kmc_analysis.metrics.reads_and_retention import READ_V, reads
from kmc_analysis.plotting.figure_style import current_voltage, panels

COMPOSITIONS = ("ddab_20nm", "ogb_20nm")

# --- S11 -------------------------------------------------------------------------------------------------


def _roughness(runs: Runs) -> dict[str, Measured]:
    layers = [load_stack(name).active for name in COMPOSITIONS]
    return {
        "S11_roughness": exact(
            [layer.roughness_nm for layer in layers if layer is not None],
            "read back from the stacks, which hand it to the morphology",
        )
    }


# --- S18 -------------------------------------------------------------------------------------------------

# So fast that no silver moves: what is left is the leak, through the circuit and at the stage's temperature.
FROZEN_RATE = "1e8 V/s"
STAGES_K = (300.0, 320.0, 340.0, 360.0)


def _frozen(to: str, **more: object) -> Segments:
    given = {"to": to, "rate": FROZEN_RATE, "step": "10 mV", "compliance": "1 mA", "back": False}
    return [{"sweep": given | more}]


_HIGH = [Program(f"high resistance {name}", name, _frozen("1.5 V"), devices=1, quick=1) for name in COMPOSITIONS]
_STAGES = Program(
    "high resistance at 300 K to 360 K",
    "ogb_20nm",
    [segment for kelvin in STAGES_K for segment in _frozen("0.1 V", temperature=f"{kelvin} K")],
    devices=6,
    quick=2,
)


def _high_resistance(runs: Runs) -> dict[str, Measured]:
    return {"S18b_hrs_regimes": _regimes(runs), "S18c_activation_energy": _activation(runs)}


def _regimes(runs: Runs) -> Measured:
    if not all(runs[program.name] for program in _HIGH):
        return not_run("no run of the high-resistance state")
    found = {program.stack: regimes(*_curve(runs[program.name][0])) for program in _HIGH}
    told = ", ".join(f"{name}: {'/'.join(f'{one:.2g}' for one in slopes)}" for name, slopes in found.items())
    return exact(min(len(slopes) for slopes in found.values()), f"log-log slopes {told}")


def _curve(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return ds["voltage_device"].values, ds["current"].values


def _activation(runs: Runs) -> Measured:
    """Median activation energy of the leak, eV; the leak is a law of the cards, so that devices do not differ."""
    return median([_energy(ds) for ds in runs[_STAGES.name]])


def _energy(ds: xr.Dataset) -> float:
    """eV of the resistance at 0.01 to 0.1 V: the slope over temperatures of its mean over the voltages."""
    return activation_energy(np.array(STAGES_K), _resistances(ds))


def _resistances(ds: xr.Dataset) -> np.ndarray:
    """Mean V / I of the voltages above zero at each of the stage's temperatures, ohm."""
    voltage, current = _curve(ds)
    there = [(ds["segment"].values == k) & (voltage > 5e-3) for k in range(len(STAGES_K))]
    return np.array([np.mean(voltage[part] / current[part]) for part in there])


def _draw_high(runs: Runs, path: Path) -> None:
    with panels(path, ("high-resistance state", "Arrhenius")) as (left, right):
        for k, program in enumerate(_HIGH):
            current_voltage(left, runs[program.name], program.stack, COLOURS[k])
        left.set_xscale("log")
        for ds in runs[_STAGES.name]:
            right.semilogy(1000 / np.array(STAGES_K), _resistances(ds), "o-", color=COLOURS[0])
        right.set_xlabel("1000 / T (1/K)")
        right.set_ylabel("resistance (ohm)")


# --- S15 -------------------------------------------------------------------------------------------------

CREVICES = (0.0, 0.02, 0.05, 0.1, 0.2)
SHORT_S = 1e-6  # at 0.1 V: thousands of times a film's leak
_FILMS = [
    Program(
        f"crevices {share:g}",
        "ogb_20nm",
        [{"read": {"voltage": "0.1 V", "duration": "1 us"}}],
        devices=12,
        quick=4,
        choices={"crevice_fraction": share} if share else {},
    )
    for share in CREVICES
]


def _poor_films(runs: Runs) -> dict[str, Measured]:
    shorts = _shorts(runs)
    share, is_short = (np.array(part) for part in zip(*shorts, strict=True)) if shorts else (np.zeros(0),) * 2
    if len(np.unique(share)) < 2:
        return {"S15_poor_film_shorts": not_run("too few films")}
    fit, p = stats.linregress(share, is_short), _by_chance(share, is_short)
    half = float(stats.t.ppf(0.975, len(share) - 2) * fit.stderr)
    holds = True if p < 0.05 else False if fit.slope + half <= 0.0 else None
    told = ", ".join(f"{level:g}: {is_short[share == level].mean():.2g}" for level in np.unique(share))
    return {
        "S15_poor_film_shorts": Measured(
            float(fit.slope),
            fit.slope - half,
            fit.slope + half,
            len(share),
            f"share of shorts by crevice fraction {told}; p = {p:.2g}",
            holds=holds,
        )
    }


def _by_chance(share: np.ndarray, is_short: np.ndarray) -> float:
    """How often shorts that fall on the films by chance rise as much with the share: a test by permutations,
    for a normal distribution of a few zeros and ones is none."""
    found = stats.permutation_test(
        (is_short,),
        lambda one: float(one @ share),
        permutation_type="pairings",
        vectorized=False,
        n_resamples=9999,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def _shorts(runs: Runs) -> list[tuple[float, float]]:
    """Crevice fraction of each film, and whether it is a short."""
    return [
        (share, float(reads(ds, READ_V)[0, 1] > SHORT_S))
        for share, program in zip(CREVICES, _FILMS, strict=True)
        for ds in runs[program.name]
    ]


def _draw_films(runs: Runs, path: Path) -> None:
    with panels(path, ("poor films",)) as (axes,):
        found = np.array(_shorts(runs)).reshape(-1, 2)
        levels = np.unique(found[:, 0])
        axes.plot(levels, [found[found[:, 0] == level, 1].mean() for level in levels], "o-", color=COLOURS[0])
        axes.set_xlabel("crevice fraction")
        axes.set_ylabel("share of shorts")
        say_if_empty(axes)


FIGURES = [
    Figure("S11", "roughness of the films", ("S11_roughness",), (), _roughness, "the stacks' own numbers"),
    Figure(
        "S18bc",
        "high-resistance state",
        ("S18b_hrs_regimes", "S18c_activation_energy"),
        (*_HIGH, _STAGES),
        _high_resistance,
        f"sweeps at {FROZEN_RATE}, in which no silver moves: to 1.5 V for the slopes, to 0.1 V at 300, "
        "320, 340 and 360 K for the energy",
        _draw_high,
    ),
    Figure(
        "S15",
        "poor films",
        ("S15_poor_film_shorts",),
        tuple(_FILMS),
        _poor_films,
        f"pristine films by crevice fraction; a short conducts over {SHORT_S:g} S at 0.1 V",
        _draw_films,
    ),
]
