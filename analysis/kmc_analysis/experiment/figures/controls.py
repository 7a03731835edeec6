"""Devices that must not switch: negative sweeps, gold, no crystals (S5, S14, S16)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from kmc.plotting.plot_style import COLOURS
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments, paired
from kmc_analysis.metrics import LEAST_LEVELS, has_set, loop_opening, on_off
from kmc_analysis.metrics.observation import Measured, known, least_of, median, not_run, share
from kmc_analysis.metrics.reads_and_retention import HIGH_RESISTANCE
from kmc_analysis.plotting.figure_style import current_voltage, panels

# The sweep that sets the full device (figure S3), for its cost at ten times the rate of the definitions where
# many ions move. The experiment's text gives neither its rate nor its end.
TOP_V, RATE, DEFINED_RATE, STEP = 0.6, "10 V/s", "1 V/s", "50 mV"
TOO_FAST = f"swept at {RATE} where the definitions have {DEFINED_RATE}"  # for keys that depend on the rate
VOLATILE_A, NONVOLATILE_A = "1 uA", "1 mA"


def sweep(to_V: float = TOP_V, limit: str = VOLATILE_A, rate: str = RATE, **more: object) -> Segments:
    """The double sweep of figure S3."""
    return [{"sweep": {"to": f"{to_V} V", "rate": rate, "step": STEP, "compliance": limit, **more}}]


def mirrored(ds: xr.Dataset) -> xr.Dataset:
    """A run with the sign of its voltages and currents turned round."""
    names = ("voltage_source", "voltage_device", "current")
    return ds.assign({name: -ds[name] for name in names if name in ds})


# --- S5 --------------------------------------------------------------------------------------------------

#: The sweep of figure S3 and at once its like to the negative side, as figure S5 draws it. Were none to set
#: there, 72 devices would be the fewest whose interval lies above 0.95.
BOTH_WAYS = Program(
    f"volatile ogb_20nm at {DEFINED_RATE}",
    "ogb_20nm",
    [*sweep(rate=DEFINED_RATE), *sweep(-TOP_V, rate=DEFINED_RATE)],
    devices=6,
)


def part(ds: xr.Dataset, segment: int) -> xr.Dataset:
    """One segment of a run."""
    return ds.isel(time=ds["segment"].values == segment)


def _negative(runs: Runs) -> dict[str, Measured]:
    """A device that sets on its positive side is one trial: it is good where its negative side has no SET.

    One that conducts still may reach the limit by that alone: the definitions call it a SET.
    """
    devices = [ds for ds in runs[BOTH_WAYS.name] if has_set(part(ds, 0)) == 1.0]
    good = [has_set(mirrored(part(ds, 1))) == 0.0 for ds in devices]
    still = [
        not gone and part(ds, 0)["conductance"].values[-1] > HIGH_RESISTANCE * at_first(ds)
        for ds, gone in zip(devices, good, strict=True)
    ]
    note = (
        f"share of the {len(good)} of {len(runs[BOTH_WAYS.name])} devices with a SET on their positive "
        f"side that have none on the negative one; of {len(good) - sum(good)} that do {sum(still)} "
        "conducted still after the positive one"
    )
    return {"S5_unidirectional": share(sum(good), len(good), note)}


def at_first(ds: xr.Dataset) -> float:
    """Conductance at the beginning of a sweep, at 0 V, S: the pristine one."""
    return float(ds["conductance"].values[0])


def _draw_negative(runs: Runs, path: Path) -> None:
    with panels(path, ("both ways, OGB, 1 uA",)) as (axes,):
        current_voltage(axes, runs[BOTH_WAYS.name])


# --- S14 -------------------------------------------------------------------------------------------------

_GOLD = [
    Program(f"gold {limit}", "ogb_20nm_au", sweep(limit=limit, rate=DEFINED_RATE), devices=8, quick=3)
    for limit in (VOLATILE_A, NONVOLATILE_A)
]


def ratio(ds: xr.Dataset, least: int = LEAST_LEVELS) -> float:
    """The on-off ratio of a sweep of `least` levels; 1 where none sets, or conducts from the first step."""
    found = on_off(ds, least) if has_set(ds, least) == 1.0 else 1.0
    return found if np.isfinite(found) else 1.0


def _gold(runs: Runs) -> dict[str, Measured]:
    pairs = paired(*(runs[program.name] for program in _GOLD))
    return {
        "S14_gold_electrode": median(
            [max(map(ratio, pair)) for pair in pairs], "the greater of the two limits; 1 without a SET"
        )
    }


def _draw_gold(runs: Runs, path: Path) -> None:
    with panels(path, ("gold in place of silver",)) as (axes,):
        for program, colour in zip(_GOLD, COLOURS, strict=False):
            current_voltage(axes, runs[program.name], program.name, colour)


# --- S16 -------------------------------------------------------------------------------------------------

# At 1 mA: PEDOT alone takes more than 1 uA at every step, and what a limiter holds has no loop.
_BARE = [
    Program(name, name, sweep(limit=NONVOLATILE_A, rate=DEFINED_RATE), devices=6, quick=3)
    for name in ("interlayers_only", "pedot_only")
]


def _bare(runs: Runs) -> dict[str, Measured]:
    loops = {one.name: known([loop_opening(ds) for ds in runs[one.name]]) for one in _BARE}
    if not all(map(len, loops.values())):
        return {"S16_interlayers_only": not_run("a device without crystals has no loop, or was not run")}
    told = ", ".join(f"{name} {np.median(table):.3g}" for name, table in loops.items())
    return {
        "S16_interlayers_only": least_of(
            lambda part: float(np.median(part)), list(loops.values()), f"the wider loop of {told}", sign=-1.0
        )
    }


def _draw_bare(runs: Runs, path: Path) -> None:
    with panels(path, tuple(program.name for program in _BARE)) as places:
        for axes, program, colour in zip(places, _BARE, COLOURS, strict=False):
            current_voltage(axes, runs[program.name], colour=colour)


_SWEEP = f"0 V to {TOP_V} V and back at {DEFINED_RATE} in steps of {STEP}, a sweep that sets the full device"

FIGURES = [
    Figure(
        "S14",
        "gold electrode",
        ("S14_gold_electrode",),
        tuple(_GOLD),
        _gold,
        f"{_SWEEP}, at 1 uA and at 1 mA",
        _draw_gold,
    ),
    Figure(
        "S16",
        "interlayers only",
        ("S16_interlayers_only",),
        tuple(_BARE),
        _bare,
        f"{_SWEEP}, at 1 mA; forming left no silver in them, for its place is in and beside the crystals",
        _draw_bare,
    ),
    Figure(
        "S5",
        "no switching under reverse bias",
        ("S5_unidirectional",),
        (BOTH_WAYS,),
        _negative,
        f"0 V to {TOP_V} V, to -{TOP_V} V and back to 0 V at {DEFINED_RATE}, 1 uA",
        _draw_negative,
    ),
]
