"""The 1 mA mode: written, kept, read and reset (S4, S6, S7, S8, S17, S18a, S29, S30, S31, fig. 3b)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from kmc.stack import load_stack
from kmc_analysis.figures import thermogram
from kmc_analysis.figures.definition import Figure, Program, Runs, Segments, paired
from kmc_analysis.figures.pictures import panels
from kmc_analysis.figures.volatile import OGB as VOLATILE
from kmc_analysis.figures.volatile import surface_rise
from kmc_analysis.metrics.filament import conducting_core, depth_profile, interface_silver
from kmc_analysis.metrics.laws import log_slope
from kmc_analysis.metrics.states import HIGH_RESISTANCE, left_over, on_off_nonvolatile, retention
from kmc_analysis.reproduce import measured
from kmc_analysis.reproduce.measured import Measured, mean, not_run, share
from kmc_analysis.study_figures import COLOURS

LIMIT, LIMIT_A, RESET_V = "1 mA", 1e-3, 0.5
WRITTEN_S = 200e-6  # more than a neck of two atoms conducts: the state counts as written
KEPT_S = 3.0  # at 0 V, shorter than the state lasts, so that the RESET finds it


def _hold(voltage: str, duration: str, samples: int, until: str) -> dict[str, object]:
    """A hold that ends at the look at which more than `until` conducts."""
    return {"hold": {"voltage": voltage, "duration": duration, "samples": samples, "compliance": LIMIT,
                     "until": {"conductance_above": until}}}  # fmt: skip


READ = {"read": {"voltage": "0.1 V", "duration": "10 us"}}
LOW_READ = {"read": {"voltage": "50 mV", "duration": "10 us"}}
RESET = {"sweep": {"to": f"-{RESET_V} V", "rate": "1 V/s", "step": "50 mV", "compliance": LIMIT}}


def written(tries: int = 3) -> Segments:
    """Write and verify: closed, then thick; again what is gone after 0.1 s. See runs/ogb_20nm_1mA."""
    turn = [_hold("0.6 V", "80 ms", 400, "40 uS"), _hold("0.45 V", "30 ms", 300, "350 uS"),
            {"hold": {"voltage": "0 V", "duration": "100 ms", "samples": 1}}, READ]  # fmt: skip
    return [
        {"repeat_until": {"until": {"conductance_above": f"{WRITTEN_S} S"}, "most": tries, "segments": turn}}
    ]


_CURVE = {"sweep": {"to": "0.2 V", "rate": "1 MV/s", "step": "10 mV", "compliance": LIMIT, "back": False}}
_KEPT = {"hold": {"voltage": "0 V", "duration": f"{KEPT_S} s", "spacing": "log", "samples": 40}}
_PAUSE = {"hold": {"voltage": "0 V", "duration": "10 ms"}}
_WHOLE = [LOW_READ, *written(), _CURVE, _KEPT, READ, RESET, READ, _PAUSE, LOW_READ]
_WRITE, _CURVE_SEGMENT, _REST, _RESTED = 1, 2, 3, 4  # the last: the read after the rest

OGB = Program("1 mA ogb_20nm", "ogb_20nm", _WHOLE, devices=4, snapshots=2.0)
_OFF = Program("unwritten ogb_20nm", "ogb_20nm", [LOW_READ], devices=4, snapshots=5e-6)
DDAB = Program("1 mA ddab_20nm", "ddab_20nm", _WHOLE, devices=3)

_LINES = (
    "write and verify as in runs/ogb_20nm_1mA (0.6 V until 40 uS, 0.45 V until 350 uS, for 80 and 30 ms), "
    f"then 0.1 s at 0 V, three times at most, a sweep to 0.2 V, {KEPT_S:g} s at 0 V, "
    "a sweep to -0.5 V and back at 1 V/s, reads at 0.1 V between; all at 1 mA"
)


def is_written(ds: xr.Dataset) -> bool:
    """Whether the write ended in a state of the non-volatile mode: its last look is the read."""
    return bool(ds["conductance"].values[ds["segment"].values == _WRITE][-1] > WRITTEN_S)


def _of_written(devices: list[xr.Dataset], number: Callable[[xr.Dataset], float], note: str = "") -> Measured:
    """The mean over the devices that were written."""
    good = [ds for ds in devices if is_written(ds)]
    told = f"{len(good)} of {len(devices)} devices were written"
    return mean([number(ds) for ds in good], f"{told}; {note}" if note else told)


# --- S8, S7c: retention ----------------------------------------------------------------------------------


def kept(devices: list[xr.Dataset]) -> Measured:
    """Retention in s, a bound where the end of what was simulated was reached."""
    good = [retention(_rest(ds)) for ds in devices if is_written(ds)]
    if not good:
        return not_run("no device was written")
    times = [one.time_s for one in good]
    bounds = sum(one.censored for one in good)
    note = f"{bounds} of {len(good)} written devices kept their state to the end of what was simulated"
    value = float(np.median(times))
    if bounds:
        return Measured(value, min(times), np.inf, len(good), f"{note}: a bound, 1e5 s are out of reach",
                        owed=measured.few(len(good)))  # fmt: skip
    return measured.median(times, note)


def _rest(ds: xr.Dataset) -> xr.Dataset:
    """The long stretch at 0 V, with the sample before it."""
    whole = np.flatnonzero(ds["segment"].values == _REST)
    return ds.isel(time=slice(int(whole[0]) - 1, int(whole[-1]) + 1))


def _retention(runs: Runs) -> dict[str, Measured]:
    return {"S8_ogb_retention": kept(runs[OGB.name])}


def _draw_retention(runs: Runs, path: Path) -> None:
    with panels(path, ("retention, OGB",)) as (axes,):
        for ds in runs[OGB.name]:
            rest = _rest(ds)
            time = rest["time"].values - rest["time"].values[0]
            axes.loglog(time[1:], rest["conductance"].values[1:], color=COLOURS[0])
        axes.set_xlabel("time at 0 V (s)")
        axes.set_ylabel("conductance (S)")


# --- S18a, S29, S30, S31 ---------------------------------------------------------------------------------


def _slope(ds: xr.Dataset) -> float:
    part = ds.isel(time=ds["segment"].values == _CURVE_SEGMENT)
    return log_slope(part["voltage_device"].values, part["current"].values)


def _low_resistance(runs: Runs) -> dict[str, Measured]:
    return {"S18a_lrs_slope": _of_written(runs[OGB.name], _slope)}


def _reconfigured(runs: Runs) -> dict[str, Measured]:
    """A device is one trial, good where the state is written and the RESET brings high resistance back: the
    two switches of one device are not independent."""
    devices = runs[OGB.name]
    there = sum(is_written(ds) for ds in devices)
    back = [left_over(ds) < HIGH_RESISTANCE for ds in devices if is_written(ds)]
    note = f"{there} of {len(devices)} written, {sum(back)} of {len(back)} at high resistance after the RESET"
    return {"S29_reconfigurable": share(sum(back), len(devices), note)}


def heat(devices: list[xr.Dataset], program: Program, note: str) -> Measured:
    """Rise of the surface at the greatest power of the RESET, K; without a written device, the most that the
    circuit gives in it."""
    if any(map(is_written, devices)):
        return _of_written(devices, lambda ds: surface_rise(ds, program.stack, negative=True), note)
    if not devices:
        return not_run("no run of it is done yet")
    most = RESET_V * LIMIT_A * load_stack(program.stack).device.value("substrate_thermal_resistance")
    told = f"no device was written: a bound, the limit of {LIMIT} at {RESET_V:g} V held until it is steady"
    return Measured(most, 0.0, most, len(devices), told)


_FIRST = "the first cycle stands in: later ones are out of reach; the greatest power, held until it is steady"


def _heats(runs: Runs) -> dict[str, Measured]:
    ogb, ddab = (heat(runs[program.name], program, _FIRST) for program in (OGB, DDAB))
    rises = [_rises(runs[program.name], program) for program in (DDAB, OGB)]
    order = not_run("no device of one of the two was written")
    if all(len(part) for part in rises):
        order = measured.bootstrap_groups(lambda two: float(two[0].mean() / two[1].mean()), rises, _FIRST)
    return {"S30_nonvolatile_heat": ogb, "S31_ogb_heat_50": ogb, "S31_ddab_heat_50": ddab,
            "S31_heat_order": order}  # fmt: skip


def _draw_heat(runs: Runs, path: Path) -> None:
    """Thermograms at the greatest power: the volatile sweep, and the RESET of either composition."""
    shown = {"OGB, volatile": [surface_rise(ds, VOLATILE.stack) for ds in runs[VOLATILE.name]]}
    shown |= {f"{program.stack}, RESET": list(_rises(runs[program.name], program)) for program in (OGB, DDAB)}
    means = {name: float(np.mean(rises)) for name, rises in shown.items() if len(rises)}
    if means:
        thermogram.draw(means, OGB.stack, path)


def _rises(devices: list[xr.Dataset], program: Program) -> np.ndarray:
    """The rise of each written device."""
    good = [ds for ds in devices if is_written(ds)]
    return np.array([surface_rise(ds, program.stack, negative=True) for ds in good])


def _draw_modes(runs: Runs, path: Path) -> None:
    """Conductance against time of the write, the rest and the RESET."""
    with panels(path, ("written, kept, reset",)) as (axes,):
        for ds in runs[OGB.name]:
            axes.semilogy(np.arange(ds.sizes["time"]), ds["conductance"].values, color=COLOURS[0], alpha=0.7)
        axes.set_xlabel("look")
        axes.set_ylabel("conductance (S)")


# --- S4, S6: the filament --------------------------------------------------------------------------------


def _sizes(runs: Runs) -> dict[str, Measured]:
    thin = [conducting_core(ds, 0) for ds in runs[VOLATILE.name]]
    thick = [_thick(ds) for ds in runs[OGB.name] if is_written(ds)]
    groups = [np.array([one for one in part if one > 0]) for part in (thick, thin)]
    if not all(len(group) for group in groups):
        return {"S4_S6_filament_size": not_run("there is no filament of one of the two")}
    note = f"means {groups[0].mean():.3g} and {groups[1].mean():.3g} atoms"
    return {"S4_S6_filament_size": measured.bootstrap_groups(
        lambda parts: float(parts[0].mean() / parts[1].mean()), groups, note)}  # fmt: skip


def _thick(ds: xr.Dataset) -> float:
    """The core of the state that was kept."""
    return conducting_core(ds, _last_before_reset(ds))


def _last_before_reset(ds: xr.Dataset) -> int:
    """The last snapshot before the rest ends."""
    end = _rest(ds)["time"].values[-1]
    return int(np.flatnonzero(ds["snapshot_time"].values < end)[-1])


# --- S17: the silver profile -----------------------------------------------------------------------------


def _profile(runs: Runs) -> dict[str, Measured]:
    good = [pair for pair in paired(runs[OGB.name], runs[_OFF.name]) if is_written(pair[0])]
    if len(good) < 2:
        return {"S17_silver_profile": not_run("fewer than two devices were written")}
    ratios, lost = [], []
    for on, off in good:
        silver = (on["n_ag_metal"].values + on["n_ag_ion"].values)[on["segment"].values <= _RESTED]
        lost.append(float(silver[-1] - silver[0]))
        ratios.append(interface_silver(on, snapshot=_last_before_reset(on)) / interface_silver(off))
    ratio, pad = mean(ratios), mean(lost)
    holds = bool(ratio.low > 1 and pad.low > 0) or (None if ratio.high > 1 and pad.high > 0 else False)
    note = f"the pad lost {pad.value:.0f} atoms a window ({pad.low:.0f} to {pad.high:.0f})"
    return {"S17_silver_profile": Measured(ratio.value, ratio.low, ratio.high, ratio.n, note, holds=holds)}


def _draw_profile(runs: Runs, path: Path) -> None:
    with panels(path, ("silver, ON over OFF",)) as (axes,):
        for ds in runs[OGB.name]:
            height, planes = depth_profile(ds, snapshot=_last_before_reset(ds))
            axes.plot(height, planes, color=COLOURS[0])
        axes.set_xlabel("height above the counter electrode (nm)")
        axes.set_ylabel("silver after mixing (atoms a plane)")


# --- S7, fig. 3b: endurance ------------------------------------------------------------------------------


def _endurance(runs: Runs) -> dict[str, Measured]:
    ddab = [on_off_nonvolatile(ds) for ds in runs[DDAB.name] if is_written(ds)]
    ogb = [on_off_nonvolatile(ds) for ds in runs[OGB.name] if is_written(ds)]
    return {"S7_ddab_nonvolatile_endurance": _first_cycle(ddab),
            "fig3b_ogb_nonvolatile_endurance": _first_cycle(ogb)}  # fmt: skip


RESET_RATIO = 10.0  # G before over G after: less is no reset


def _first_cycle(ratios: list[float]) -> Measured:
    """Cycles until a device cannot be reset, of the first alone: 0 where it failed, else a bound of one."""
    found = measured.known(ratios)
    if not len(found):
        return not_run("no device was written")
    good = int((found >= RESET_RATIO).sum())
    note = (
        f"{good} of {len(found)} devices were reset (a ratio of {RESET_RATIO:g}) in their first cycle, "
        f"ratios {', '.join(f'{one:.3g}' for one in found)}; a cycle takes minutes, more were not followed"
    )
    if good == len(found):
        return Measured(1.0, 1.0, np.inf, len(found), note)
    if good == 0:
        return mean([0.0] * len(found), note)
    return Measured(good / len(found), 0.0, np.inf, len(found), note)


FIGURES = [
    Figure("S8", "retention of the 1 mA state", ("S8_ogb_retention",), (OGB,), _retention, _LINES,
           _draw_retention),
    Figure("S18a", "low-resistance state", ("S18a_lrs_slope",), (OGB,), _low_resistance, _LINES),
    Figure("S29", "reconfiguration on demand", ("S29_reconfigurable",), (OGB,), _reconfigured, _LINES,
           _draw_modes),
    Figure("S30_S31", "heat of the non-volatile mode",
           ("S30_nonvolatile_heat", "S31_ogb_heat_50", "S31_ddab_heat_50", "S31_heat_order"),
           (OGB, DDAB, VOLATILE), _heats, _LINES, _draw_heat),
    Figure("S4_S6", "size of the filaments", ("S4_S6_filament_size",), (OGB, VOLATILE), _sizes,
           f"the silver of S3 at the top of the sweep, and of the 1 mA state: {_LINES}"),
    Figure("S17", "silver profile", ("S17_silver_profile",), (OGB, _OFF), _profile,
           f"{_LINES}; ON is a device before its RESET, OFF the same device unwritten",
           _draw_profile),
    Figure("S7", "endurance at 1 mA", ("S7_ddab_nonvolatile_endurance", "fig3b_ogb_nonvolatile_endurance"),
           (DDAB, OGB), _endurance, _LINES),
]  # fmt: skip
