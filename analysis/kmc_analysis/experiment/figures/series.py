"""Thickness, size, compliance, and thresholds of crystals and a thin film (S19, S20, S21, S28, note 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures.controls import DEFINED_RATE, RATE, STEP, TOO_FAST, ratio
from kmc_analysis.experiment.figures.definition import WINDOWS, Figure, Program, Runs, Segments, paired
from kmc_analysis.experiment.figures.programmed import CLOSED_S, READ, RESET, is_written, written
from kmc_analysis.metrics import set_voltage
from kmc_analysis.metrics.compliance_law import mean_conductance
from kmc_analysis.metrics.observation import (
    Measured,
    alike,
    bootstrap,
    bootstrap_groups,
    few,
    known,
    least_of,
    mean,
    not_run,
)
from kmc_analysis.metrics.reads_and_retention import on_off_nonvolatile, reads, reset_voltage
from kmc_analysis.plotting.figure_style import current_voltage, distribution, panels

TOP_V, TOP = 0.8, "0.8 V"  # further than for figure S3, so that devices that need more set too


def rise(limit: str, until: dict[str, object], rate: str = RATE, step: str = STEP) -> Segments:
    """The way up of the sweep of figure S3, until the device has set."""
    return [{"sweep": {"to": TOP, "rate": rate, "step": step, "compliance": limit, "back": False, "until": until}}]


_FEWEST_LEVELS = 2  # of a way up that ends with its SET


def _set(ds: xr.Dataset) -> float:
    """Set voltage of a way up that ends there, V; the last one where it ended early, in smaller steps."""
    found, last = set_voltage(ds, _FEWEST_LEVELS), float(ds["voltage_source"].values[-1])
    return last if np.isnan(found) and last < TOP_V - 1e-9 else found


_UP, _UP_SLOWLY = (
    f"0 V up to {TOP} at most, {rate}, steps of {STEP}, until the device has set" for rate in (RATE, DEFINED_RATE)
)

# --- S19: thickness --------------------------------------------------------------------------------------

# Seen at the end of a step: a hundred times the leak, so that a filament without a limit does not burn on.
_OPENS: dict[str, object] = {"conductance_above": "0.1 uS"}
_STACKS = ("ogb_20nm", "ogb_90nm")
_THICK = [
    Program(f"1 mA {name}", name, [*rise("1 mA", _OPENS), *written(1), READ, RESET, READ], devices=6)
    for name in _STACKS
]
_FINE = "10 mV"  # in steps of 50 mV all devices set in one
_WAYS = [Program(f"way up of {name}", name, rise("1 mA", _OPENS, DEFINED_RATE, _FINE), devices=6) for name in _STACKS]


def _thickness_set(runs: Runs) -> dict[str, Measured]:
    return {"S19_thickness_set": _change([runs[program.name] for program in _WAYS], _set, "1 mA")}


def _thickness(runs: Runs) -> dict[str, Measured]:
    groups = [[ds for ds in runs[program.name] if is_written(ds, CLOSED_S)] for program in _THICK]
    ratios = [np.array(list(map(_on_off_written, runs[program.name]))) for program in _THICK]
    told = ", ".join(
        f"{len(group)} of {len(runs[program.name])} {program.stack} written"
        for program, group in zip(_THICK, groups, strict=True)
    )
    return {
        "S19_thickness_reset": _change(groups, lambda ds: -reset_voltage(ds), told),
        "S19_thickness_on_off": least_of(_median, ratios, told),
    }


def _median(part: np.ndarray) -> float:
    return float(np.median(part))


def _on_off_written(ds: xr.Dataset) -> float:
    """The on-off ratio, 1 of a device that was not written."""
    return on_off_nonvolatile(ds) if is_written(ds, CLOSED_S) else 1.0


def _change(groups: list[list[xr.Dataset]], number: Callable[[xr.Dataset], float], note: str) -> Measured:
    """|mean of the second group over that of the first - 1|."""
    tables = [known([number(ds) for ds in group]) for group in groups]
    if not all(len(table) for table in tables):
        return not_run(f"a group of devices has no such voltage ({note})")
    told = " and ".join(
        f"{table.mean():.3g} V of {len(table)} of {len(group)}" for table, group in zip(tables, groups, strict=True)
    )
    found = bootstrap_groups(
        lambda parts: float(abs(parts[1].mean() / parts[0].mean() - 1)), tables, f"means {told}; {note}"
    )
    same = [alike(table) for table in tables]  # each in one step of the sweep
    if all(same):
        found = replace(found, open=same[0])
    without = sum(len(group) - len(table) for table, group in zip(tables, groups, strict=True))
    if without:  # they would need more than was given: the means are too low
        found = replace(found, open=f"{without} devices have no such voltage within what was applied")
    return found


def _too_fast(found: Measured) -> Measured:
    """The result of a sweep that was faster than the definitions ask for: marked so, and never a hit."""
    return replace(found, owed="; ".join(filter(None, (found.owed, TOO_FAST)))).noted(TOO_FAST)


def _draw_ways(runs: Runs, path: Path) -> None:
    with panels(path, ("thickness, 1 mA",)) as (axes,):
        for program, colour in zip(_WAYS, COLOURS, strict=False):
            current_voltage(axes, runs[program.name], program.stack, colour)


def _draw_thickness(runs: Runs, path: Path) -> None:
    with panels(path, ("written over reset",)) as (axes,):
        for program, colour in zip(_THICK, COLOURS, strict=False):
            distribution(axes, list(map(_on_off_written, runs[program.name])), program.stack, colour)


# --- S20, S21: size --------------------------------------------------------------------------------------

SIZES_NM = {"ogb_13nm": 13.0, "ogb_9nm": 9.0, "ogb_7nm": 7.0}
ASKED = 20  # devices a size
_SIZES = [
    Program(f"volatile {name}", name, rise("1 uA", {"current_at_limit": True}, DEFINED_RATE), devices=ASKED)
    for name in SIZES_NM
]


def _sizes(runs: Runs) -> dict[str, Measured]:
    tables = [np.log10([ratio(ds, _FEWEST_LEVELS) for ds in runs[program.name]]) for program in _SIZES]
    keys = ("S21_size_trend", "S21_size_on_off", "N2_best_size")
    if not all(len(table) for table in tables):
        return dict.fromkeys(keys, not_run("a size was not run"))
    size = np.array(list(SIZES_NM.values()))
    note = f"{', '.join(str(len(table)) for table in tables)} devices of 13, 9, 7 nm, way up at 1 uA"
    trend = bootstrap_groups(lambda parts: _slope(size, parts), tables, note)
    worst = least_of(lambda part: float(10 ** np.median(part)), tables, note)
    good = [float((table >= np.log10(300)).mean()) for table in tables]
    told = f"yields {', '.join(f'{one:.2g}' for one in good)} of 13, 9, 7 nm"
    tied = [float(one) for one, share in zip(size, good, strict=True) if share == max(good)]
    best = Measured(tied[0] if len(tied) == 1 else tied, n=min(map(len, tables)), note=told)
    owed = f"the target asks for {ASKED} devices a size" if min(map(len, tables)) < ASKED else ""
    if not all(np.median(table) > 0.0 for table in tables):  # a ratio of one whatever the size is no trend
        trend = replace(trend, open="at one of the sizes half of the devices do not set")
    asked = (replace(one, owed=owed) for one in (trend, worst))
    return dict(zip(keys, (*asked, best), strict=True))


def _slope(size: np.ndarray, parts: list[np.ndarray]) -> float:
    x = np.concatenate([np.full(len(part), one) for one, part in zip(size, parts, strict=True)])
    return float(np.polyfit(x, np.concatenate(parts), 1)[0])


def _draw_sizes(runs: Runs, path: Path) -> None:
    with panels(path, (*SIZES_NM, "on over off")) as (*places, ratios):
        for axes, program, colour in zip(places, _SIZES, COLOURS, strict=False):
            current_voltage(axes, runs[program.name], colour=colour)
            say_if_empty(axes)
            distribution(ratios, [ratio(ds, _FEWEST_LEVELS) for ds in runs[program.name]], program.stack, colour)


# --- S28: conductance against compliance ----------------------------------------------------------------

LIMITS_UA = (30, 60, 90, 120, 150)
MORE = "5 ms"  # as long as the pulses of S23 to S25
UNTIL_LIMITED = "0.6 V until the limiter acts (60 ms at most)"


def programmed(limit_uA: int, more: str = "1 ms", samples: int = 1) -> Segments:
    """At 0.6 V until the limiter acts, `more`, and a read."""
    held = {"voltage": "0.6 V", "compliance": f"{limit_uA} uA", "samples": 1}
    turn = {"until": {"current_at_limit": True}, "most": 1200, "segments": [{"hold": {**held, "duration": "50 us"}}]}
    return [{"repeat_until": turn}, {"hold": {**held, "duration": more, "samples": samples}}, READ]


_LEVELS = [
    Program(f"compliance {one} uA", "ogb_20nm", programmed(one, MORE, 10), devices=6, settings={"windows": WINDOWS})
    for one in LIMITS_UA
]


def _law(runs: Runs) -> dict[str, Measured]:
    """A device has the same seed at every level, so it is resampled with all of them."""
    keys = ("S28_conductance_law", "S28_linearity")
    there = [k for k, program in enumerate(_LEVELS) if runs[program.name]]
    if len(there) < 3:
        return dict.fromkeys(keys, not_run("fewer than three levels were run"))
    devices = paired(*(runs[_LEVELS[k].name] for k in there))
    table = np.array([[float(reads(ds)[-1, 1]) for ds in device] for device in devices])
    table = table.reshape(-1, len(there))
    limit = 1e-6 * np.array(LIMITS_UA)[there]
    means = ", ".join(
        f"{1e6 * one:.3g} uS at {LIMITS_UA[k]} uA" for k, one in zip(there, table.mean(axis=0), strict=True)
    )
    found = [bootstrap(partial(_of_line, limit, k), table, f"mean G {means}") for k in (0, 1)]
    if len(there) < len(LIMITS_UA):
        other = f"the target asks for {LIMITS_UA[0]} to {LIMITS_UA[-1]} uA"
        found = [replace(one, open=other) for one in found]
    return dict(zip(keys, found, strict=True))


def _of_line(limit: np.ndarray, number: int, table: np.ndarray) -> float:
    """Slope (1/V) or R squared of the line through the means of a table [device, level]."""
    fit = stats.linregress(limit, table.mean(axis=0))
    return (float(fit.slope), float(fit.rvalue) ** 2)[number]


def _draw_law(runs: Runs, path: Path) -> None:
    with panels(path, ("conductance against compliance",)) as (axes,):
        for level, program in zip(LIMITS_UA, _LEVELS, strict=True):
            for ds in runs[program.name]:
                axes.plot(level, 1e6 * reads(ds)[-1, 1], "o", color=COLOURS[0])
        axes.plot(
            LIMITS_UA,
            [1e6 * mean_conductance(1e-6 * one) for one in LIMITS_UA],
            "--",
            color=COLOURS[5],
            label="experiment",
        )
        axes.set_xlabel("compliance (uA)")
        axes.set_ylabel("conductance (uS)")
        axes.legend(frameon=False, fontsize=8)


# --- note 7: crystals and film ---------------------------------------------------------------------------

PAIR = ("ogb_100nm", "thin_film_100nm")
_THRESHOLDS = [
    Program(f"volatile {name}", name, rise("1 uA", {"current_at_limit": True}), devices=devices)
    for name, devices in zip(PAIR, (6, 2), strict=True)
]


def _voltages(runs: Runs) -> dict[str, Measured]:
    groups = [runs[program.name] for program in _THRESHOLDS]
    told = ", ".join(
        f"{len(known([_set(ds) for ds in group]))} of {len(group)} {program.stack} set"
        for program, group in zip(_THRESHOLDS, groups, strict=True)
    )
    bound = not_run("a whole cycle of the film was not run; T2_ogb_volatile_endurance says what a bound is")
    crystals, film = (known([_set(ds) for ds in group]) for group in groups)
    found = _change(groups, _set, told)
    # All crystals set, and the film needs more than the sweep gave.
    if 0 < len(crystals) == len(groups[0]) and len(groups[1]) and not len(film):
        highest = mean(list(crystals)).high if len(crystals) > 1 else float(crystals[0])
        least = TOP_V / highest - 1
        n = min(map(len, groups))
        found = Measured(least, least, np.inf, n, f"a bound, from {TOP_V:g} V on; {told}", open=few(n))
    return {"N7_same_voltages": _too_fast(found), "N7_film_volatile_endurance": bound}


def _draw_voltages(runs: Runs, path: Path) -> None:
    with panels(path, ("crystals and film, 1 uA",)) as (axes,):
        for program, colour in zip(_THRESHOLDS, COLOURS, strict=False):
            current_voltage(axes, runs[program.name], program.stack, colour)


FIGURES = [
    Figure(
        "N7",
        "crystals and film, thresholds",
        ("N7_same_voltages", "N7_film_volatile_endurance"),
        tuple(_THRESHOLDS),
        _voltages,
        _UP,
        _draw_voltages,
    ),
    Figure(
        "S28",
        "conductance against compliance",
        ("S28_conductance_law", "S28_linearity"),
        tuple(_LEVELS),
        _law,
        f"{UNTIL_LIMITED}, {MORE} more (assumed), a read at 0.1 V; {WINDOWS} windows on one circuit",
        _draw_law,
    ),
    Figure(
        "S21",
        "crystal size",
        ("S21_size_trend", "S21_size_on_off", "N2_best_size"),
        tuple(_SIZES),
        _sizes,
        _UP_SLOWLY,
        _draw_sizes,
    ),
    Figure(
        "S19_set",
        "thickness, SET",
        ("S19_thickness_set",),
        tuple(_WAYS),
        _thickness_set,
        f"{_UP_SLOWLY.replace(STEP, _FINE)} (1 mA)",
        _draw_ways,
    ),
    Figure(
        "S19",
        "thickness",
        ("S19_thickness_reset", "S19_thickness_on_off"),
        tuple(_THICK),
        _thickness,
        f"{_UP} (1 mA), then written once as in figure S8, a sweep to -0.5 V and back, "
        f"a read; written is what conducts {1e6 * CLOSED_S:g} uS, else the on-off ratio is 1",
        _draw_thickness,
    ),
]
