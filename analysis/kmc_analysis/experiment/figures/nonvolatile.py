"""The 1 mA mode: written, kept, read and reset (S4, S6, S8, S17, S18a, S30, S31)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures import thermogram
from kmc_analysis.experiment.figures.controls import TOO_FAST, part
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, card_value, paired
from kmc_analysis.experiment.figures.programmed import (
    CURVE_SEGMENT,
    KEPT_LINES,
    LIMIT,
    LIMIT_A,
    LOW_READ,
    RESET_V,
    VERIFIED,
    WRITE,
    WRITE_LINES,
    at_rest,
    cycle,
    held,
    is_written,
    kept,
)
from kmc_analysis.experiment.figures.volatile import OGB as VOLATILE
from kmc_analysis.experiment.figures.volatile import surface_rise
from kmc_analysis.metrics import observation
from kmc_analysis.metrics.current_laws import log_slope
from kmc_analysis.metrics.observation import Measured, mean, not_run
from kmc_analysis.metrics.silver_profile import ION, METAL, conducting_core, depth_profile, interface_silver
from kmc_analysis.plotting.figure_style import panels

# The write ends with 0.1 s at 0 V, so that snapshots as often as this see the state that it leaves.
OGB = Program("1 mA ogb_20nm", "ogb_20nm", cycle(), devices=6, snapshots=0.09)
_OFF = Program("unwritten ogb_20nm", "ogb_20nm", [LOW_READ], devices=6, snapshots=5e-6)
DDAB = Program("1 mA ddab_20nm", "ddab_20nm", cycle(), devices=6)
_RETENTION = Program("1 mA kept ogb_20nm", "ogb_20nm", held(), devices=3)

_LINES = (
    f"a read at 50 mV, {WRITE_LINES}, a sweep to 0.2 V at 1 MV/s, a sweep to -{RESET_V} V and back at "
    "1 V/s, reads at 0.1 V before and after it, 2 s at 0 V, a read at 50 mV"
)


def _of_written(devices: list[xr.Dataset], number: Callable[[xr.Dataset], float], note: str = "") -> Measured:
    """The mean over the devices that were written."""
    good = [ds for ds in devices if is_written(ds)]
    told = f"{len(good)} of {len(devices)} devices were written"
    return mean([number(ds) for ds in good], f"{told}; {note}" if note else told)


# --- S8: retention ---------------------------------------------------------------------------------------


def _retention(runs: Runs) -> dict[str, Measured]:
    return {"S8_ogb_retention": kept(runs[_RETENTION.name])}


def _draw_retention(runs: Runs, path: Path) -> None:
    with panels(path, ("retention, OGB",)) as (axes,):
        at_rest(axes, runs[_RETENTION.name])


# --- S18a, S30, S31 --------------------------------------------------------------------------------------


def _slope(ds: xr.Dataset) -> float:
    curve = part(ds, CURVE_SEGMENT)
    return log_slope(curve["voltage_device"].values, curve["current"].values)


def _draw_low_resistance(runs: Runs, path: Path) -> None:
    """The curve of each written device on two log scales, and one of slope 1."""
    with panels(path, ("low resistance",)) as (axes,):
        for ds in filter(is_written, runs[OGB.name]):
            curve = part(ds, CURVE_SEGMENT)
            up = curve["voltage_device"].values > 0.0
            axes.loglog(curve["voltage_device"].values[up], curve["current"].values[up], color=COLOURS[0])
        if axes.lines:
            x, y = (np.asarray(one, float) for one in axes.lines[0].get_data())
            axes.loglog(x, y[-1] * x / x[-1], "--", color=COLOURS[5], label="slope 1")
            axes.legend(frameon=False, fontsize=8)
        axes.set_xlabel("device voltage (V)")
        axes.set_ylabel("current (A)")
        say_if_empty(axes)


def _low_resistance(runs: Runs) -> dict[str, Measured]:
    return {"S18a_lrs_slope": _of_written(runs[OGB.name], _slope)}


def heat(devices: list[xr.Dataset], note: str) -> Measured:
    """Rise of the surface at the greatest power of the RESET, K, up to the most that the circuit gives in it,
    in a later cycle too; without a written device, that alone."""
    if not devices:
        return not_run("no run of it is done yet")
    most = RESET_V * LIMIT_A * thermogram.substrate_resistance(devices[0])
    if any(map(is_written, devices)):
        told = f"{note}; its upper end is what the circuit gives in the RESET of any cycle"
        found = _of_written(devices, lambda ds: surface_rise(ds, negative=True), told)
        return replace(found, low=0.0, high=most, bound=True)
    told = f"no device was written: a bound, the limit of {LIMIT} at {RESET_V:g} V held until it is steady"
    return Measured(most, 0.0, most, len(devices), told, bound=True)


_FIRST = "the greatest power of the first RESET, held until it is steady"
_OWED = "the first cycle stands in for the fiftieth, or the last: those are out of reach"


def _heats(runs: Runs) -> dict[str, Measured]:
    ogb, ddab = (heat(runs[program.name], _FIRST) for program in (OGB, DDAB))
    rises = [_rises(runs[program.name]) for program in (DDAB, OGB)]
    order = not_run("no device of one of the two was written")
    if all(len(part) for part in rises):
        order = observation.bootstrap_groups(lambda two: float(two[0].mean() / two[1].mean()), rises, _FIRST)
    found = {"S30_nonvolatile_heat": ogb, "S31_ogb_heat_50": ogb, "S31_ddab_heat_50": ddab, "S31_heat_order": order}
    found = {key: replace(one.noted(_OWED), owed=_OWED) for key, one in found.items()}
    # Nothing bounds their order.
    return found | {"S31_heat_order": _open(found["S31_heat_order"])}


def _open(found: Measured) -> Measured:
    """The same without an interval to judge by: what was measured is not what was asked for."""
    if found.value is None:
        return found
    note = f"{found.low:.2g} to {found.high:.2g} over devices; {found.note}"
    return Measured(found.value, n=found.n, note=note, owed=found.owed)


def _draw_heat(runs: Runs, path: Path) -> None:
    """Thermograms at the greatest power: the volatile sweep, and the RESET of either composition."""
    shown = {"OGB, volatile": [surface_rise(ds) for ds in runs[VOLATILE.name]]}
    shown |= {f"{program.stack}, RESET": list(_rises(runs[program.name])) for program in (OGB, DDAB)}
    means = {name: float(np.mean(rises)) for name, rises in shown.items() if len(rises)}
    if means:
        ds = next(ds for program in (VOLATILE, OGB, DDAB) for ds in runs[program.name])
        thermogram.draw(means, thermogram.substrate_resistance(ds), path)


def _rises(devices: list[xr.Dataset]) -> np.ndarray:
    """The rise of each written device."""
    good = [ds for ds in devices if is_written(ds)]
    return np.array([surface_rise(ds, negative=True) for ds in good])


# --- S4, S6: the filament --------------------------------------------------------------------------------


def _sizes(runs: Runs) -> dict[str, Measured]:
    thin = [_core(ds, 0) for ds in runs[VOLATILE.name]]
    thick = [_thick(ds) for ds in runs[OGB.name] if is_written(ds)]
    groups = [np.array([one for one in part if one > 0]) for part in (thick, thin)]
    if not all(len(group) for group in groups):
        return {"S4_S6_filament_size": not_run("there is no filament of one of the two")}
    told = [
        f"{len(group)} of {len(runs[one.name])} devices" for group, one in zip(groups, (OGB, VOLATILE), strict=True)
    ]
    means = [f"{group.mean():.3g} atoms of {one}" for group, one in zip(groups, told, strict=True)]
    note = f"means {means[0]} at 1 mA, {means[1]} at 1 uA; {TOO_FAST}"
    found = observation.bootstrap_groups(lambda parts: float(parts[0].mean() / parts[1].mean()), groups, note)
    return {"S4_S6_filament_size": replace(found, owed=TOO_FAST)}


def _draw_sizes(runs: Runs, path: Path) -> None:
    """Metal by height: of a volatile device at each look, of a written one before its RESET and after it."""
    with panels(path, ("1 uA", "1 mA")) as (weak, strong):
        for ds in runs[VOLATILE.name][:1]:
            for k, when in enumerate(ds["snapshot_time"].values):
                _metal_by_height(weak, ds, k, f"{1e3 * when:.3g} ms", COLOURS[k % len(COLOURS)])
        for ds in [ds for ds in runs[OGB.name] if is_written(ds)][:1]:
            for k, label in ((_last_before_reset(ds), "written"), (-1, "reset")):
                _metal_by_height(strong, ds, k, label, COLOURS[k < 0])
        for axes in (weak, strong):
            axes.set_xlabel("height above the counter electrode (nm)")
            axes.set_ylabel("silver atoms a plane")
            say_if_empty(axes)


def _metal_by_height(axes: Axes, ds: xr.Dataset, snapshot: int, label: str, colour: str) -> None:
    metal = ds["cation"].isel(snapshot_time=snapshot).values == METAL
    axes.plot(ds["z"].values, metal.sum(axis=(1, 2)), color=colour, label=label)
    axes.legend(frameon=False, fontsize=8)


def _thick(ds: xr.Dataset) -> float:
    """The core of the state that was verified."""
    return _core(ds, _last_before_reset(ds))


def _core(ds: xr.Dataset, snapshot: int) -> float:
    return conducting_core(ds, snapshot, card_value(ds, "electrode.tunnelling_decade"))


def _last_before_reset(ds: xr.Dataset) -> int:
    """The last snapshot of the write."""
    end = ds["time"].values[ds["segment"].values == WRITE][-1]
    return int(np.flatnonzero(ds["snapshot_time"].values <= end)[-1])


# --- S17: the silver profile -----------------------------------------------------------------------------


def _pairs(runs: Runs) -> list[tuple[xr.Dataset, ...]]:
    """The devices that were written, each with its unwritten twin."""
    return [pair for pair in paired(runs[OGB.name], runs[_OFF.name]) if is_written(pair[0])]


def _profile(runs: Runs) -> dict[str, Measured]:
    good = _pairs(runs)
    if len(good) < 2:
        return {"S17_silver_profile": not_run("fewer than two devices were written")}
    ratios, lost = [], []
    for on, off in good:
        silver = (on["n_ag_metal"].values + on["n_ag_ion"].values)[on["segment"].values <= VERIFIED]
        lost.append(float(silver[-1] - silver[0]))
        ratios.append(interface_silver(on, snapshot=_last_before_reset(on)) / interface_silver(off))
    ratio, pad = mean(ratios), mean(lost)
    holds = bool(ratio.low > 1 and pad.low > 0) or (None if ratio.high > 1 and pad.high > 0 else False)
    note = (
        f"{len(good)} devices that were written, each beside its unwritten twin; the pad lost "
        f"{pad.value:.0f} atoms a window ({pad.low:.0f} to {pad.high:.0f})"
    )
    return {
        "S17_silver_profile": Measured(
            ratio.value, ratio.low, ratio.high, ratio.n, note, holds=holds, open=ratio.open or pad.open
        )
    }


def _draw_profile(runs: Runs, path: Path) -> None:
    """OFF over ON by height after mixing, of the pairs that are judged; the cross sections of the first."""
    pairs = _pairs(runs)
    with panels(path, ("silver, OFF over ON", "ON, cross section", "OFF, cross section")) as (over, *maps):
        for on, off in pairs:
            height, written = depth_profile(on, snapshot=_last_before_reset(on))
            pristine = depth_profile(off)[1]
            over.plot(height, pristine / np.where(written > 0.0, written, np.nan), color=COLOURS[0])
        over.set_xlabel("height above the counter electrode (nm)")
        over.set_ylabel("ratio")
        if pairs:
            (on, off), (left, right) = pairs[0], maps
            _cross_section(left, on, _last_before_reset(on))
            _cross_section(right, off, -1)
        for axes in (over, *maps):
            if not axes.images:
                say_if_empty(axes)


def _cross_section(axes: Axes, ds: xr.Dataset, snapshot: int) -> None:
    """Silver summed along y, as the beam sees a section."""
    silver = np.isin(ds["cation"].isel(snapshot_time=snapshot).values, (ION, METAL)).sum(axis=1)
    x, z = ds["x"].values, ds["z"].values
    axes.imshow(
        silver,
        origin="lower",
        aspect="auto",
        cmap="inferno",
        extent=(float(x[0]), float(x[-1]), float(z[0]), float(z[-1])),
    )
    axes.grid(False)
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("height (nm)")


FIGURES = [
    Figure(
        "S8",
        "retention of the 1 mA state",
        ("S8_ogb_retention",),
        (_RETENTION,),
        _retention,
        KEPT_LINES,
        _draw_retention,
    ),
    Figure("S18a", "low-resistance state", ("S18a_lrs_slope",), (OGB,), _low_resistance, _LINES, _draw_low_resistance),
    Figure(
        "S30_S31",
        "heat of the non-volatile mode",
        ("S30_nonvolatile_heat", "S31_ogb_heat_50", "S31_ddab_heat_50", "S31_heat_order"),
        (OGB, DDAB, VOLATILE),
        _heats,
        _LINES,
        _draw_heat,
        rests={
            "S30_nonvolatile_heat": (OGB,),
            "S31_ogb_heat_50": (OGB,),
            "S31_ddab_heat_50": (DDAB,),
            "S31_heat_order": (OGB, DDAB),
        },
    ),
    Figure(
        "S4_S6",
        "size of the filaments",
        ("S4_S6_filament_size",),
        (OGB, VOLATILE),
        _sizes,
        f"the silver of S3 at the top of the sweep, and of the 1 mA state: {_LINES}",
        _draw_sizes,
    ),
    Figure(
        "S17",
        "silver profile",
        ("S17_silver_profile",),
        (OGB, _OFF),
        _profile,
        f"{_LINES}; ON is a device before its RESET, OFF the same device unwritten",
        _draw_profile,
    ),
]
