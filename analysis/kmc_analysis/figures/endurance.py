"""Cycles by pulses at 1 uA and 1 mA: how many, what silver they leave, and one mode after the other.

Figures S7, S29 and 3b, note 6 and table 2. A cycle at 1 uA is a pulse and 2 s at 0 V; one at 1 mA is write
and verify, a RESET pulse (in S29 a sweep) and 2 s at 0 V.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from kmc.leak import Leak
from kmc.pictures.lines import COLOURS, say_if_empty
from kmc.stack import Stack
from kmc_analysis.figures.controls import part
from kmc_analysis.figures.definition import Figure, Program, Runs, Segments
from kmc_analysis.figures.pictures import panels
from kmc_analysis.figures.programmed import (
    LIMIT,
    LOW_READ,
    PAUSE,
    PAUSE_LINES,
    READ,
    RESET,
    RESET_V,
    WRITE_LINES,
    WRITTEN_S,
    at_rest,
    held,
    written,
)
from kmc_analysis.metrics.endurance import CycleLife, cycle_life
from kmc_analysis.metrics.states import HIGH_RESISTANCE, LOW_READ_V
from kmc_analysis.reproduce.measured import Measured, median_of_bounds, not_run, share

STAGE_K = 300.0
MOST_CYCLES = 4  # some minute each
_PARTED = 0.1  # of the conductance before the RESET, at most, is left right after it

# The pulse of figure S23. The experiment's text gives no limit for pulses: the volatile mode's is taken.
_PULSE = {"hold": {"voltage": "1 V", "duration": "5 ms", "samples": 10, "compliance": "1 uA"}}
_RESET = {"hold": {"voltage": f"-{RESET_V} V", "duration": "100 ms", "samples": 20, "compliance": LIMIT}}
_WEAK: Segments = [_PULSE, PAUSE, LOW_READ]
_STRONG: Segments = [*written(), READ, _RESET, READ, PAUSE, LOW_READ]
_WEAK_LINES = f"1 V for 5 ms under a limit of 1 uA, {PAUSE_LINES}, a read at 50 mV"
_STRONG_LINES = f"{WRITE_LINES}, -{RESET_V} V for 100 ms, {PAUSE_LINES}, reads between"


def _cycles(cycle: Segments, stack: Stack) -> Segments:
    """Cycles until one ends over three times pristine, which is the leak's conductance alone."""
    failed_S = HIGH_RESISTANCE * Leak(stack).current(LOW_READ_V, STAGE_K) / LOW_READ_V
    turn = {"until": {"failure": f"{failed_S:.4g} S"}, "most": MOST_CYCLES, "segments": cycle}
    return [LOW_READ, {"repeat_until": turn}]


def _program(limit: str, cycle: Segments, stack: str, snapshots: float | None = None) -> Program:
    return Program(f"pulsed cycles of {stack} at {limit}", stack, partial(_cycles, cycle), devices=6,
                   snapshots=snapshots)  # fmt: skip


WEAK_OGB = _program("1 uA", _WEAK, "ogb_20nm", snapshots=2.0)  # which tell where silver has room
WEAK_DDAB = _program("1 uA", _WEAK, "ddab_20nm")
OGB, DDAB = (_program("1 mA", _STRONG, stack) for stack in ("ogb_20nm", "ddab_20nm"))
_KEPT_DDAB = Program("1 mA kept ddab_20nm", "ddab_20nm", held(), devices=3)  # for the picture
#: Devices whose silver reaches further than others' from the start: does a RESET bring them back?
SEEDED = [Program(f"RESET of silver up to {gap} nm", "ogb_20nm", [LOW_READ, *_STRONG], devices=2,
                  choices={"device.residue_gap": f"{gap} nm"}) for gap in (3, 2, 1)]  # fmt: skip


# --- what a run of cycles tells --------------------------------------------------------------------------


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


def good_cycles(ds: xr.Dataset) -> tuple[int, bool]:
    """Cycles that switched and ended at high resistance, and whether one ended conducting."""
    pristine = float(ds["conductance"].values[0])
    cycles = turns(ds)
    failed = [levels(one)[1] >= HIGH_RESISTANCE * pristine for one in cycles]
    good = [switched(one) and not bad for one, bad in zip(cycles, failed, strict=True)]
    return sum(good), any(failed)


def residues(ds: xr.Dataset) -> np.ndarray:
    """What silver each cycle leaves in the film, or takes, atoms."""
    ends = [float(silver(ds)[0]), *(float(silver(one)[-1]) for one in turns(ds))]
    return np.diff(ends)


def _counted(devices: list[xr.Dataset]) -> Measured:
    """Cycles until a device fails: a bound where none did in what was followed."""
    if not devices:
        return not_run("no device was run")
    good, ended = zip(*map(good_cycles, devices), strict=True)
    note = (f"good cycles by device: {', '.join(map(str, good))}; {sum(ended)} of {len(devices)} failed, "
            f"{MOST_CYCLES} cycles at most were followed")  # fmt: skip
    return median_of_bounds([float(one) for one in good], [not one for one in ended], note)


# --- table 2, note 6: the volatile mode ------------------------------------------------------------------


def _bound(runs: Runs) -> dict[str, Measured]:
    key, devices = "T2_ogb_volatile_endurance", runs[WEAK_OGB.name]
    left = [residues(ds) for ds in devices]
    if sum(map(len, left)) < 2:
        return {key: not_run("needs two cycles")}
    room = float(np.median([_room(ds) for ds in devices]))
    told = f"critical is a film full of silver ({room:.0f} sites)"
    return {key: _extrapolated(np.concatenate(left), room, f"{_counted(devices).note}; {told}")}


def _room(ds: xr.Dataset) -> float:
    """Sites of the film where silver may be: all but crystals' cores, organic and electrodes."""
    return float(np.isin(ds["region"].values, (3, 4, 5, 6)).sum())


def _extrapolated(left: np.ndarray, critical: float, note: str) -> Measured:
    """Cycles until so much silver has stayed: of the linear law, of the walk where the mean is no gain.

    The interval is that of both laws together.
    """
    life: CycleLife = cycle_life(left, critical)
    value = life.linear if np.isfinite(life.linear) else life.walk
    told = (f"extrapolated: {left.mean():.3g} atoms a cycle stay, give or take {left.std(ddof=1):.3g}: "
            f"linear {life.linear:.3g} cycles, random walk {life.walk:.3g}; {note}")  # fmt: skip
    ends = (life.linear_low, life.linear_high, life.walk_low, life.walk_high)
    return Measured(value, float(np.nanmin(ends)), float(np.nanmax(ends)), len(left), told)


# --- S7, fig. 3b: the non-volatile mode ------------------------------------------------------------------


def _nonvolatile(runs: Runs) -> dict[str, Measured]:
    return {"S7_ddab_nonvolatile_endurance": _counted(runs[DDAB.name]),
            "fig3b_ogb_nonvolatile_endurance": _life(runs)}  # fmt: skip


def _life(runs: Runs) -> Measured:
    """Counted where devices fail, else extrapolated to the silver that a RESET brings back no more."""
    devices = runs[OGB.name]
    counted = _counted(devices)
    if not devices or any(good_cycles(ds)[1] for ds in devices):
        return counted
    critical, told = critical_silver(devices, [runs[program.name] for program in SEEDED])
    left = np.concatenate([residues(ds) for ds in devices])
    if np.isnan(critical) or len(left) < 2:
        return counted.noted(told)
    return _extrapolated(left, critical, f"{counted.note}; {told}")


def critical_silver(clean: list[xr.Dataset], seeded: list[list[xr.Dataset]]) -> tuple[float, str]:
    """Silver beyond that of clean devices from which on a RESET fails, atoms, and what was seen.

    `seeded` are devices by how much they have, least first. Halfway between the most that most devices come
    back from and the least that they do not; the most there is where all come back: then it is more.
    """
    pristine = float(np.median([ds["conductance"].values[0] for ds in clean]))
    start = float(np.median([silver(ds)[0] for ds in clean]))
    amounts, back = [0.0], [1.0]
    for devices in filter(None, seeded):
        amounts.append(float(np.median([silver(ds)[0] for ds in devices])) - start)
        back.append(float(np.mean([levels(ds)[1] < HIGH_RESISTANCE * pristine for ds in devices])))
    told = ", ".join(f"{share:.2g} with {amount:.0f} atoms more" for amount, share
                     in zip(amounts[1:], back[1:], strict=True))  # fmt: skip
    told = f"share of devices that a RESET brings back: {told or 'not run'}"
    lost = [k for k, share in enumerate(back) if share < 0.5]
    if len(amounts) == 1:
        return np.nan, told
    if not lost:
        return amounts[-1], f"{told}: critical is more than {amounts[-1]:.0f}"
    critical = 0.5 * (amounts[lost[0] - 1] + amounts[lost[0]])
    return critical, f"{told}: critical is {critical:.0f}"


def _draw_cycles(programs: tuple[Program, ...], runs: Runs, path: Path, kept: Program | None = None) -> None:
    """Conductance on and off, cycle by cycle, as the experiment draws it, and what is `kept` at 0 V."""
    titles = [program.name.removeprefix("pulsed cycles of ") for program in programs]
    with panels(path, [*titles, kept.name] if kept else titles) as places:
        if kept:
            at_rest(places[-1], runs[kept.name])
        for axes, program in zip(places, programs, strict=False):
            for ds in runs[program.name]:
                states = np.array([levels(turn) for turn in turns(ds)])
                for k, marker in enumerate("os"):
                    axes.semilogy(np.arange(1, len(states) + 1), states[:, k], marker, color=COLOURS[k],
                                  alpha=0.7)  # fmt: skip
            axes.set_xlabel("cycle")
            axes.set_ylabel("conductance, on and off (S)")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            say_if_empty(axes)


# --- S29: one mode after the other -----------------------------------------------------------------------

# A weak cycle, a strong one whose RESET is a sweep, a weak one, and where the segments of each begin.
_SWEPT: Segments = [*written(), READ, RESET, READ, PAUSE, LOW_READ]
_MODES = Program("modes of ogb_20nm", "ogb_20nm", [LOW_READ, *_WEAK, *_SWEPT, *_WEAK], devices=36)
_FIRST, _SECOND = 1, 1 + len(_WEAK)
_BEGINNINGS = (_FIRST, _SECOND, _SECOND + len(_SWEPT), _SECOND + len(_SWEPT) + len(_WEAK))


def _reconfigured(runs: Runs) -> dict[str, Measured]:
    """A device is one trial, good where each of its modes came and went: its switches are not independent."""
    devices = runs[_MODES.name]
    table = np.array([modes(ds) for ds in devices]).reshape(-1, 4)
    told = [f"{int(column.sum())} {what}" for column, what in zip(table.T, (
        "volatile before it", "written", "parted by the RESET and at high resistance 2 s later",
        "volatile after it"), strict=True)]  # fmt: skip
    return {"S29_reconfigurable": share(int(table.all(axis=1).sum()), len(table),
                                        f"of {len(table)} devices {', '.join(told)}")}  # fmt: skip


def modes(ds: xr.Dataset) -> tuple[bool, bool, bool, bool]:
    """Of a run of `_MODES`: volatile; written; reset; volatile again."""
    first, second, third = (ds.isel(time=(ds["segment"].values >= low) & (ds["segment"].values < high))
                            for low, high in pairwise(_BEGINNINGS))  # fmt: skip
    pristine = float(ds["conductance"].values[0])
    back = [levels(one)[1] < HIGH_RESISTANCE * pristine for one in (first, second, third)]
    negative = np.flatnonzero(second["voltage_source"].values < 0)
    siemens = second["conductance"].values
    parted = bool(siemens[negative[-1] + 1] <= _PARTED * siemens[negative[0] - 1])
    return (switched(first) and back[0], switched(second), switched(second) and parted and back[1],
            switched(third) and back[2])  # fmt: skip


def _draw_modes(runs: Runs, path: Path) -> None:
    """Conductance, look by look, through the three modes."""
    with panels(path, ("volatile, non-volatile, volatile",), height=3.6) as (axes,):
        for ds in runs[_MODES.name]:
            axes.semilogy(np.arange(ds.sizes["time"]), ds["conductance"].values, color=COLOURS[0], alpha=0.4)
        axes.set_xlabel("look")
        axes.set_ylabel("conductance (S)")


FIGURES = [
    Figure("T2", "bound on volatile cycles", ("T2_ogb_volatile_endurance",), (WEAK_OGB,), _bound,
           f"pulsed cycles: {_WEAK_LINES}; until one ends over {HIGH_RESISTANCE:g} times pristine, "
           f"{MOST_CYCLES} at most", partial(_draw_cycles, (WEAK_OGB,))),
    Figure("N6_volatile", "DDAB turns non-volatile", ("S3_ddab_volatile_endurance",), (WEAK_DDAB,),
           lambda runs: {"S3_ddab_volatile_endurance": _counted(runs[WEAK_DDAB.name])},
           "as table 2", partial(_draw_cycles, (WEAK_DDAB,))),
    Figure("S7", "endurance at 1 mA", ("S7_ddab_nonvolatile_endurance", "fig3b_ogb_nonvolatile_endurance"),
           (DDAB, OGB, *SEEDED, _KEPT_DDAB), _nonvolatile,
           f"pulsed cycles: {_STRONG_LINES}; until one ends over {HIGH_RESISTANCE:g} times pristine, "
           f"{MOST_CYCLES} at most; and single ones of devices whose silver reaches further",
           partial(_draw_cycles, (DDAB, OGB), kept=_KEPT_DDAB)),
    Figure("S29", "reconfiguration on demand", ("S29_reconfigurable",), (_MODES,), _reconfigured,
           f"a cycle at 1 uA ({_WEAK_LINES}), one at 1 mA ({WRITE_LINES}, a sweep to -{RESET_V} V and back "
           f"at 1 V/s, {PAUSE_LINES}, reads between), one at 1 uA", _draw_modes),
]  # fmt: skip
