"""Traces that a model is fitted to: datasets of kmc, or measurements in CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.io import dataset
from kmc_analysis.compact.equations.integrator import SOFTNESS_V
from kmc_analysis.compact.equations.reference_traces import Drive, Response
from kmc_analysis.metrics import trace_columns
from kmc_analysis.metrics.measured_csv import TABLES, check_limit, measured_columns

LEAST_V = 5e-3  # below it a conductance is not read
FLOOR_S = 1e-13
LEAST_SIGMA = 0.01  # decades; replicates that agree by chance weigh no more
NEIGHBOURS = 4  # points on either side over which an uncertainty is pooled
SEED = re.compile(r"^(?P<protocol>.*?)[-_. ]*seed(?P<seed>\d+)$")  # the name of a replicate


@dataclass(frozen=True)
class Trace:
    """One protocol on one device: the source, and log10 of the conductance in S at its points [n].

    used: [n], where the voltage is large enough to read a conductance; sigma: [n] in decades, or ones where
    there are no replicates; by_source: the conductance is I over the source's voltage, not the device's.
    replicates, scatter: of how many traces this is the median, and how far one of them lies from the others
    (see `typical`); each: log10 of the conductance of these [replicates, n]; seeds: what their names end in,
    by which one device is known in several protocols. device: stack and choices of a simulation, "" of a
    measurement. against: the points of a measurement that are not used as the current is none, or against the
    voltage. lost: see `_lost`.
    """

    name: str
    drive: Drive
    log_g: np.ndarray
    used: np.ndarray
    sigma: np.ndarray
    by_source: bool = False
    replicates: int = 1
    scatter: float = math.nan
    each: np.ndarray | None = None
    seeds: tuple[str, ...] = ()
    device: str = ""
    against: int = 0
    lost: float = 0.0

    def predicted(self, response: Response) -> np.ndarray:
        """log10 of the conductance in S that a model shows at the same points [n]."""
        volt = self.drive.voltage if self.by_source else response.voltage
        return log_conductance(response.current, volt)


def log_conductance(current: np.ndarray, voltage: np.ndarray) -> np.ndarray:
    """log10 of |I/V| in S, from a floor of 0.1 pS."""
    safe = np.where(np.abs(voltage) < 1e-9, 1e-9, voltage)
    return np.log10(np.maximum(np.abs(current / safe), FLOOR_S))


def read_all(paths: Sequence[Path]) -> list[Trace]:
    """The traces in datasets (files, runs, whole studies) and in measurements, whose names end as TABLES do.

    A folder that holds no dataset but files .csv stands for these. Raises UserError, with file and line where
    a CSV is wrong, and CorruptFile.
    """
    return [one.read() for one in places(paths).values()]


@dataclass(frozen=True)
class Place:
    """A trace that is not read yet: its name and its file."""

    name: str
    path: Path

    def read(self) -> Trace:
        """The trace."""
        if _is_table(self.path):
            columns = measured_columns(self.path)
            check_limit(columns, self.path)
            one = of_columns(self.name, columns)
            volt = columns.get("voltage_device_V", columns["voltage_source_V"])
            power = columns["current_A"] * volt
            along = power > 0.0  # else it has no logarithm: an instrument's floor
            if (power < 0.0).sum() > along.sum():
                raise UserError(
                    "most currents are against the voltage",
                    str(self.path),
                    next_step="turn their sign, which is that of ngspice's i(V)",
                )
            return replace(one, used=one.used & along, against=int(np.sum(one.used & ~along)))
        ds = dataset.open(self.path)
        found = trace_columns.columns(ds, str(self.path))
        return replace(of_columns(self.name, found), device=trace_columns.device_of(ds))


def places(paths: Sequence[Path]) -> dict[Path, Place]:
    """What `paths` stand for, by the true path of each file: what is named twice is there once."""
    found: dict[Path, Place] = {}
    for path in paths:
        plain = path.is_dir() and not trace_columns.holds(path)
        tables = _in_folder(path.iterdir()) if plain else []
        inside = _in_folder(path.glob("*/*")) if plain and not tables else []
        if inside:
            step = f"name a folder of them: {inside[0].parent}"
            raise UserError(f"{path} holds no tables itself", next_step=step)
        for one in tables or [path]:
            for name, file in [(one.stem, one)] if _is_table(one) else trace_columns.places(one):
                found.setdefault(file.resolve(), Place(name, file))
    return found


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES


def _in_folder(paths: Iterable[Path]) -> list[Path]:
    """The tables among what lies in a folder, where text may be anything."""
    return sorted(path for path in paths if path.suffix.lower() == ".csv")


def of_columns(name: str, column: Mapping[str, np.ndarray]) -> Trace:
    """The trace of columns [n] by name; time, source and current have to be there."""
    return trace(
        name,
        column["time_s"],
        column["voltage_source_V"],
        column["current_A"],
        column.get("compliance_A", np.inf),
        column.get("voltage_device_V"),
    )


def trace(
    name: str,
    time: np.ndarray,
    source: np.ndarray,
    current: np.ndarray,
    compliance: np.ndarray | float,
    device: np.ndarray | None = None,
) -> Trace:
    """A trace of arrays [n] in s, V and A; without the device's voltage, conductance is read at the
    source."""
    volt = source if device is None else device
    used = (np.abs(volt) > LEAST_V) & np.isfinite(current) & np.isfinite(volt)
    drive = Drive.of(time - time[0], source, compliance)
    return Trace(
        name,
        drive,
        log_conductance(current, volt),
        used,
        np.ones(time.size),
        device is None,
        lost=_lost(drive, np.abs(current), np.abs(volt), used),
    )


def _lost(drive: Drive, current: np.ndarray, volt: np.ndarray, used: np.ndarray) -> float:
    """The largest share of the source's voltage that neither the device has nor the reference's limiter,
    where it is open: that of a resistance in series, which is no part of a fit."""
    there = used & (drive.voltage != 0.0) & (current < 0.9 * drive.compliance)
    source, limited = np.abs(drive.voltage[there]), np.arctanh((current / drive.compliance)[there])
    return float(np.max(1.0 - (volt[there] + SOFTNESS_V * limited) / source, initial=0.0))


def covered(traces: Sequence[Trace]) -> str:
    """What traces did, in words: voltages of the source, limits, and the longest time."""
    volts = np.concatenate([one.drive.voltage for one in traces])
    limits = np.concatenate([one.drive.compliance for one in traces])
    limits = limits[np.isfinite(limits)]
    longest = max(float(one.drive.time[-1] - one.drive.time[0]) for one in traces)
    limited = f"limits of {_ends(limits, 'A')}" if len(limits) else "no limit"
    return f"{_ends(volts, 'V')}, {limited}, up to {format_si(longest, 's', 3)}"


def _ends(values: np.ndarray, unit: str) -> str:
    return " to ".join(dict.fromkeys(format_si(float(end), unit) for end in (values.min(), values.max())))


def _spread(group: Sequence[Trace], used: np.ndarray) -> np.ndarray:
    """Standard deviation of replicates in decades [points]."""
    return _pooled(np.std([one.log_g for one in group], axis=0, ddof=1), used)


def _beside(traces: Sequence[Trace], spreads: Sequence[Trace]) -> list[Trace]:
    """Single traces (sigma one decade) beside replicated ones: as uncertain as one of those is (`spreads`) in
    the median. With their decade they would count for nothing."""
    if not spreads:
        return list(traces)
    typical_one = float(np.median(np.concatenate([one.sigma[one.used] for one in spreads])))
    return [replace(one, sigma=typical_one * one.sigma) if np.all(one.sigma == 1.0) else one for one in traces]


def typical(traces: Sequence[Trace]) -> list[Trace]:
    """The median trace of each group of replicates, in the order of their first; single traces as they are.

    It is used where all replicates are; sigma is the median's standard error (see `_error_of_median`),
    `scatter` how far one replicate lies from the median of the others (the median over points and replicates
    of the relative distance).
    """
    found, spreads, left = [], [], list(traces)
    while left:
        group = [one for one in left if _same_source(one.drive, left[0].drive)]
        left = [one for one in left if not _same_source(one.drive, group[0].drive)]
        found.append(_median(group) if len(group) > 1 else group[0])
        if len(group) > 1:
            spreads.append(replace(found[-1], sigma=_spread(group, found[-1].used)))
    return _beside(found, spreads)


def _median(group: Sequence[Trace]) -> Trace:
    log_g, used = np.array([one.log_g for one in group]), np.all([one.used for one in group], axis=0)
    there = log_g[:, used]
    apart = [
        np.median(np.abs(10.0 ** (there[k] - np.median(np.delete(there, k, axis=0), axis=0)) - 1.0))
        for k in range(len(group))
    ]
    named = [SEED.match(one.name) for one in group]
    seeds = [found["seed"] if found else one.name for found, one in zip(named, group, strict=True)]
    if len(set(seeds)) < len(seeds):  # the names identify no devices: each trace counts as a device
        seeds = [f"{one.name} {k}" for k, one in enumerate(group)]
    return replace(
        group[0],
        name=(named[0] and named[0]["protocol"]) or group[0].name,
        log_g=np.median(log_g, axis=0),
        used=used,
        sigma=_pooled(_error_of_median(log_g), used),
        replicates=len(group),
        scatter=float(np.median(apart)),
        each=log_g,
        seeds=tuple(seeds),
    )


def _error_of_median(log_g: np.ndarray) -> np.ndarray:
    """Standard error in decades [points] of the median of replicates [replicates, points], whatever their
    distribution: half of what lies between the order statistics one standard deviation of a rank, half the
    root of their number, on either side (David & Nagaraja, Order Statistics, 2003, section 7.1).

    A few devices that set decades above the others move their standard deviation, and not their median.
    """
    reach = 0.5 / math.sqrt(len(log_g))
    low, high = np.quantile(log_g, [0.5 - reach, 0.5 + reach], axis=0, method="hazen")
    return 0.5 * (high - low)


def _pooled(sigma: np.ndarray, used: np.ndarray) -> np.ndarray:
    """An uncertainty in decades [points], its squares pooled over neighbours, LEAST_SIGMA at least.

    A few replicates do not determine the uncertainty of each point. A single value for a whole protocol would be
    wrong, too: replicates agree to a per cent before they switch, and differ by decades afterwards. With one value for
    both, a fit sacrifices the leak, which has half of the points, to steps of single atoms.
    """
    from scipy.ndimage import uniform_filter1d

    squares = np.where(used, sigma**2, 0.0)
    size = 2 * NEIGHBOURS + 1
    shares = uniform_filter1d(used.astype(float), size, mode="constant")
    pooled = uniform_filter1d(squares, size, mode="constant") / np.where(shares > 0.0, shares, 1.0)
    return np.maximum(np.sqrt(np.maximum(pooled, 0.0)), LEAST_SIGMA)


def _same_source(one: Drive, other: Drive) -> bool:
    return (
        one.time.shape == other.time.shape
        and _alike(one.time, other.time)
        and _alike(one.voltage, other.voltage)
        and _alike(one.compliance, other.compliance)
    )


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """To a millionth of each, or of the largest there is: nanoamperes and nanoseconds count."""
    largest = float(np.max(np.abs(other), where=np.isfinite(other), initial=0.0))
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-9 * largest))
