"""Cycles by pulses at 1 uA and 1 mA: how many, and what silver they leave (S7, fig. 3b, note 6, table 2).

A cycle at 1 uA is a pulse and 2 s at 0 V; one at 1 mA is write and verify, a RESET pulse and 2 s at 0 V.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from kmc.cards.stack import Stack
from kmc.geometry.lattice import ACTIVE, SOLID
from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc.transport.leakage import Leak
from kmc_analysis.experiment.figures.controls import part
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments, paired
from kmc_analysis.experiment.figures.programmed import (
    KEPT_LINES,
    LIMIT,
    LOW_READ,
    PAUSE,
    PAUSE_LINES,
    READ,
    RESET_V,
    WRITE_LINES,
    WRITTEN_S,
    at_rest,
    held,
    written,
)
from kmc_analysis.metrics.cycle_counts import cycle_life
from kmc_analysis.metrics.observation import Measured, few, median_of_bounds, not_run
from kmc_analysis.metrics.reads_and_retention import HIGH_RESISTANCE, LOW_READ_V, PARTED, parted
from kmc_analysis.plotting.figure_style import panels

STAGE_K = 300.0
MOST_CYCLES = 4  # some minute each

# The pulse of figure S23. The experiment's text gives no limit for pulses: the volatile mode's is taken.
_PULSE = {"hold": {"voltage": "1 V", "duration": "5 ms", "samples": 10, "compliance": "1 uA"}}
_RESET = {"hold": {"voltage": f"-{RESET_V} V", "duration": "100 ms", "samples": 20, "compliance": LIMIT}}
WEAK: Segments = [_PULSE, PAUSE, LOW_READ]
_STRONG: Segments = [*written(), READ, _RESET, READ, PAUSE, LOW_READ]
WEAK_LINES = f"1 V for 5 ms under a limit of 1 uA, {PAUSE_LINES}, a read at 50 mV"
_STRONG_LINES = f"{WRITE_LINES}, -{RESET_V} V for 100 ms, {PAUSE_LINES}, reads between"


def _cycles(cycle: Segments, stack: Stack) -> Segments:
    """Cycles until one ends over three times pristine, which is the leak's conductance alone."""
    failed_S = HIGH_RESISTANCE * Leak(stack).current(LOW_READ_V, STAGE_K) / LOW_READ_V
    turn = {"until": {"failure": f"{failed_S:.4g} S"}, "most": MOST_CYCLES, "segments": cycle}
    return [LOW_READ, {"repeat_until": turn}]


def _program(limit: str, cycle: Segments, stack: str, snapshots: float | None = None) -> Program:
    return Program(
        f"pulsed cycles of {stack} at {limit}", stack, partial(_cycles, cycle), devices=6, snapshots=snapshots
    )


WEAK_OGB = _program("1 uA", WEAK, "ogb_20nm", snapshots=2.0)  # the snapshots show where silver has room
WEAK_DDAB = _program("1 uA", WEAK, "ddab_20nm")
OGB, DDAB = (_program("1 mA", _STRONG, stack) for stack in ("ogb_20nm", "ddab_20nm"))
_KEPT_DDAB = Program("1 mA kept ddab_20nm", "ddab_20nm", held(), devices=3)  # for the picture
#: Devices whose silver reaches further than others' from the start: does a RESET bring them back?
SEEDED = [
    Program(
        f"RESET of silver up to {gap} nm",
        "ogb_20nm",
        [LOW_READ, *_STRONG],
        devices=2,
        choices={"device.residue_gap": f"{gap} nm"},
    )
    for gap in (3, 2, 1)
]


# --- measurements of a run of cycles ---------------------------------------------------------------------


def turns(ds: xr.Dataset) -> list[xr.Dataset]:
    """The cycles of a run of `_cycles`."""
    loop = part(ds, 1)
    return [loop.isel(time=loop["cycle"].values == one) for one in np.unique(loop["cycle"].values)]


def silver(ds: xr.Dataset) -> np.ndarray:
    """Silver in the film, atoms and ions, sample by sample."""
    return ds["n_ag_metal"].values + ds["n_ag_ion"].values


def levels(turn: xr.Dataset) -> tuple[float, float]:
    """Conductances (S) of a cycle switched on and off: the most of its pulse, or the last look before its
    RESET; and the read at its end."""
    siemens, volts = turn["conductance"].values, turn["voltage_source"].values
    negative = np.flatnonzero(volts < 0)
    on = siemens[negative[0] - 1] if len(negative) else siemens[volts > LOW_READ_V].max(initial=0.0)
    return float(on), float(siemens[-1])


def switched(turn: xr.Dataset) -> bool:
    """Whether a cycle has a state to return from: at its limit, or written."""
    if (turn["voltage_source"].values < 0).any():
        return levels(turn)[0] > WRITTEN_S
    return bool(turn["limited"].values.any())


def fails(turn: xr.Dataset, pristine: float) -> bool:
    """Whether a cycle ends conducting, or its RESET did not part what was written."""
    return levels(turn)[1] >= HIGH_RESISTANCE * pristine or (switched(turn) and not parted(turn))


def good_cycles(ds: xr.Dataset) -> tuple[int, bool]:
    """Cycles that switched and came back before one failed, and whether one did.

    Where a stump of silver makes the pristine device conduct more than its leak, the loop ends earlier than
    that is three times pristine: fewer cycles than were asked for are a failure too.
    """
    pristine, cycles, good = float(ds["conductance"].values[0]), turns(ds), 0
    for turn in cycles:
        if fails(turn, pristine):
            return good, True
        good += switched(turn)
    if len(cycles) == MOST_CYCLES:
        return good, False
    return good - switched(cycles[-1]), True


def residues(ds: xr.Dataset) -> np.ndarray:
    """What silver each cycle leaves in the film, or takes, atoms."""
    ends = [float(silver(ds)[0]), *(float(silver(one)[-1]) for one in turns(ds))]
    return np.diff(ends)


def _counted(devices: list[xr.Dataset]) -> Measured:
    """Cycles until a device fails: a bound where none did in what was followed."""
    if not devices:
        return not_run("no device was run")
    good, ended = zip(*map(good_cycles, devices), strict=True)
    note = (
        f"good cycles by device: {', '.join(map(str, good))}; {sum(ended)} of {len(devices)} failed, "
        f"{MOST_CYCLES} cycles at most were followed"
    )
    return median_of_bounds([float(one) for one in good], [not one for one in ended], note)


# --- table 2, note 6: the volatile mode ------------------------------------------------------------------


def _bound(runs: Runs) -> dict[str, Measured]:
    key, devices = "T2_ogb_volatile_endurance", runs[WEAK_OGB.name]
    if not devices:
        return {key: not_run("no device was run")}
    room = float(np.median([_room(ds) for ds in devices]))
    told = f"{_counted(devices).note}; critical is a film full of silver ({room:.0f} sites)"
    return {key: _extrapolated(devices, (room, room), told)}


def _room(ds: xr.Dataset) -> float:
    """Sites of the film where an atom of silver fits: all but crystals, organic and electrodes."""
    return float(np.isin(ds["region"].values, [one for one in ACTIVE if one not in SOLID]).sum())


def _extrapolated(devices: list[xr.Dataset], critical: tuple[float, float], note: str) -> Measured:
    """Cycles until so much silver has stayed: of the linear law, of the walk where the mean is no gain.

    `critical` is from one amount to another, perhaps without an end. The interval is that of both laws, from
    the first amount to the second.
    """
    left = [residues(ds) for ds in devices]
    some = np.concatenate(left)
    least, most = (cycle_life(left, amount) for amount in critical)
    middle = cycle_life(left, float(np.mean(critical)) if np.isfinite(critical[1]) else critical[0])
    value = middle.linear if np.isfinite(middle.linear) else middle.walk
    told = (
        f"extrapolated: {some.mean():.3g} atoms a cycle stay, give or take {some.std():.3g}: linear "
        f"{middle.linear:.3g} cycles, random walk {middle.walk:.3g}; {note}"
    )
    return Measured(
        value,
        min(least.linear_low, least.walk_low),
        max(most.linear_high, most.walk_high),
        len(devices),
        told,
        open=few(len(devices)),
    )


# --- S7, fig. 3b: the non-volatile mode ------------------------------------------------------------------


def _life(runs: Runs) -> dict[str, Measured]:
    """Counted where devices fail, else extrapolated to the silver that a RESET brings back no more."""
    key, devices = "fig3b_ogb_nonvolatile_endurance", runs[OGB.name]
    counted = _counted(devices)
    if not devices or any(good_cycles(ds)[1] for ds in devices):
        return {key: counted}
    critical, told = critical_silver(devices, [runs[program.name] for program in SEEDED])
    if np.isnan(critical[0]):
        return {key: counted.noted(told)}
    return {key: _extrapolated(devices, critical, f"{counted.note}; {told}")}


Range = tuple[float, float]


def critical_silver(clean: list[xr.Dataset], seeded: list[list[xr.Dataset]]) -> tuple[Range, str]:
    """Silver beyond that of clean devices from which on a RESET fails, atoms, from one amount to another, and
    what was seen.

    `seeded` are devices by how much they have, least first, each beside the clean one of its seed. Of those
    that are pristine at first and were written: the most that most come back from, to the least from which
    they do not; without an end where all come back. NaN where amounts do not rise, or shares rise with them.
    """
    rows = []  # amount, share that comes back
    for devices in seeded:
        pairs = [pair for pair in paired(clean, devices) if _is_seeded(*pair)]
        if pairs:
            pristine = [float(one["conductance"].values[0]) for one, _ in pairs]
            amounts = [float(silver(ds)[0] - silver(one)[0]) for one, ds in pairs]
            back = [not fails(after(ds), level) for (_, ds), level in zip(pairs, pristine, strict=True)]
            rows.append((float(np.median(amounts)), float(np.mean(back))))
    told = ", ".join(f"{share:.2g} with {amount:.0f} atoms more" for amount, share in rows)
    told = f"share of devices that a RESET brings back: {told or 'not run'}"
    amounts, shares = np.array([(0.0, 1.0), *rows]).T
    if not rows or (np.diff(amounts) <= 0.0).any() or (np.diff(shares) > 0.0).any():
        return (np.nan, np.nan), told
    lost = np.flatnonzero(shares < 0.5)
    return (float(amounts[lost[0] - 1]), float(amounts[lost[0]])) if len(lost) else (float(amounts[-1]), np.inf), told


def after(ds: xr.Dataset) -> xr.Dataset:
    """A run without its first read: one cycle."""
    return ds.isel(time=ds["segment"].values > 0)


def _is_seeded(clean: xr.Dataset, ds: xr.Dataset) -> bool:
    """Whether a device was at high resistance with the silver that it had more, and was written."""
    high = HIGH_RESISTANCE * float(clean["conductance"].values[0])
    return float(ds["conductance"].values[0]) < high and switched(after(ds))


def _draw_cycles(program: Program, other: Program | None, runs: Runs, path: Path) -> None:
    """Conductance on and off, cycle by cycle, as the experiment draws it; what the `other` keeps at 0 V."""
    titles = [program.name.removeprefix("pulsed cycles of ")]
    with panels(path, [*titles, other.name] if other else titles) as places:
        axes = places[0]
        for one, ds in enumerate(runs[program.name]):
            states = np.array([levels(turn) for turn in turns(ds)])
            for k, (marker, label) in enumerate((("o", "on"), ("s", "off"))):
                axes.semilogy(
                    range(1, len(states) + 1),
                    states[:, k],
                    marker,
                    color=COLOURS[k],
                    alpha=0.7,
                    label=label if one == 0 else None,
                )
        axes.set_xlabel("cycle")
        axes.set_ylabel("conductance (S)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        say_if_empty(axes)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
        if other:
            at_rest(places[1], runs[other.name])


_ENDS = f"until one ends over {HIGH_RESISTANCE:g} times pristine, {MOST_CYCLES} at most"
_UNTIL = f"{_ENDS}; one whose RESET does not part the state, to {PARTED:g} of it, counts as failed"

FIGURES = [
    Figure(
        "T2",
        "bound on volatile cycles",
        ("T2_ogb_volatile_endurance",),
        (WEAK_OGB,),
        _bound,
        f"pulsed cycles: {WEAK_LINES}; {_ENDS}",
        partial(_draw_cycles, WEAK_OGB, None),
    ),
    Figure(
        "N6_volatile",
        "DDAB turns non-volatile",
        ("S3_ddab_volatile_endurance",),
        (WEAK_DDAB, _KEPT_DDAB),
        lambda runs: {"S3_ddab_volatile_endurance": _counted(runs[WEAK_DDAB.name])},
        f"as table 2; in the picture also {KEPT_LINES}",
        partial(_draw_cycles, WEAK_DDAB, _KEPT_DDAB),
    ),
    Figure(
        "S7",
        "endurance of DDAB at 1 mA",
        ("S7_ddab_nonvolatile_endurance",),
        (DDAB,),
        lambda runs: {"S7_ddab_nonvolatile_endurance": _counted(runs[DDAB.name])},
        f"pulsed cycles: {_STRONG_LINES}; {_UNTIL}",
        partial(_draw_cycles, DDAB, None),
    ),
    Figure(
        "3b",
        "endurance of OGB at 1 mA",
        ("fig3b_ogb_nonvolatile_endurance",),
        (OGB, *SEEDED),
        _life,
        "as figure S7; and single cycles of devices whose silver reaches further",
        partial(_draw_cycles, OGB, None),
    ),
]
