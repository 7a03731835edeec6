"""Traces that a model is fitted to: datasets of kmc, or measurements in CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmc import dataset
from kmc.documents import unknown
from kmc.errors import UserError
from kmc_analysis.compact.reference import Drive, Response

LEAST_V = 5e-3  # below it a conductance is not read
FLOOR_S = 1e-13
LEAST_SIGMA = 0.01  # decades; replicates that agree by chance weigh no more
_COLUMNS = {
    "time_s": True,
    "voltage_source_V": True,
    "current_A": True,
    "voltage_device_V": False,
    "compliance_A": False,
}
_OTHERS = (
    "conductance_S",
    "temperature_filament_K",
    "temperature_surface_K",
    "n_ag_metal",
    "n_ag_ion",
    "n_br_vacancy",
    "gap_nm",
    "events",
    "segment",
    "cycle",
    "limited",
)


@dataclass(frozen=True)
class Trace:
    """One protocol on one device: the source, and log10 of the conductance in S at its points [n].

    used: [n], where the voltage is large enough to read a conductance; sigma: [n] in decades, or ones where
    there are no replicates; by_source: the conductance is I over the source's voltage, not the device's.
    """

    name: str
    drive: Drive
    log_g: np.ndarray
    used: np.ndarray
    sigma: np.ndarray
    by_source: bool = False

    def predicted(self, response: Response) -> np.ndarray:
        """log10 of the conductance in S that a model shows at the same points [n]."""
        volt = self.drive.voltage if self.by_source else response.voltage
        return log_conductance(response.current, volt)


def log_conductance(current: np.ndarray, voltage: np.ndarray) -> np.ndarray:
    """log10 of |I/V| in S, from a floor of 0.1 pS."""
    safe = np.where(np.abs(voltage) < 1e-9, 1e-9, voltage)
    return np.log10(np.maximum(np.abs(current / safe), FLOOR_S))


def read(path: Path) -> Trace:
    """The trace in a dataset (file or folder) or, where the name ends in .csv, in a measurement.

    Raises UserError, with file and line where a CSV is wrong, and CorruptFile.
    """
    return _measured(path) if path.suffix.lower() == ".csv" else _simulated(path)


def _simulated(path: Path) -> Trace:
    ds = dataset.open(path)
    values = {name: ds[name].values.astype(float) for name in ("voltage_source", "voltage_device", "current")}
    if ds.sizes.get("time", 0) < 3:
        raise UserError(f"{path} has fewer than three samples", next_step="run it with more samples")
    limits = np.full(ds.sizes["time"], np.inf)
    limited = ds["limited"].values == 1
    segments = ds["segment"].values
    for segment in np.unique(segments):
        there = segments == segment
        if np.any(there & limited):  # the limiter shows its limit only where it works
            limits[there] = np.median(np.abs(values["current"][there & limited]))
    return trace(
        path.stem if path.is_file() else path.resolve().name,
        ds["time"].values,
        values["voltage_source"],
        values["current"],
        limits,
        values["voltage_device"],
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
    used = (np.abs(volt) > LEAST_V) & np.isfinite(current)
    return Trace(
        name,
        Drive.of(time - time[0], source, compliance),
        log_conductance(current, volt),
        used,
        np.ones(time.size),
        device is None,
    )


def _measured(path: Path) -> Trace:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read ({getattr(error, 'strerror', None) or 'not text in UTF-8'})",
            str(path),
            next_step="check the path",
        ) from None
    head = [name.strip() for name in rows[0]] if rows else []
    for name in head:
        if name not in _COLUMNS and name not in _OTHERS:
            raise unknown(f'unknown column "{name}"', name, _COLUMNS, f"{path}:1")
    for name, needed in _COLUMNS.items():
        if needed and name not in head:
            raise UserError(
                f'has no column "{name}"',
                f"{path}:1",
                next_step="begin with the line time_s,voltage_source_V,current_A",
            )
    table = _numbers(rows[1:], head, path)
    if len(table) < 3 or np.any(np.diff(table[:, head.index("time_s")]) < 0.0):
        raise UserError("needs three rows or more, in the order of time", f"{path}:2", next_step="sort them")
    column = {name: table[:, i] for i, name in enumerate(head)}
    return trace(
        path.stem,
        column["time_s"],
        column["voltage_source_V"],
        column["current_A"],
        column.get("compliance_A", np.inf),
        column.get("voltage_device_V"),
    )


def _numbers(rows: list[list[str]], head: list[str], path: Path) -> np.ndarray:
    found = []
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            numbers = [float(cell) for cell in row]
        except ValueError:
            raise UserError(
                f"a cell is not a number: {','.join(row):.60}",
                f"{path}:{line}",
                next_step="write plain numbers in s, V and A",
            ) from None
        if len(numbers) != len(head):
            raise UserError(
                f"has {len(numbers)} cells, not {len(head)}", f"{path}:{line}", next_step="complete it"
            )
        if not np.all(
            np.isfinite([n for n, name in zip(numbers, head, strict=True) if name != "compliance_A"])
        ):
            raise UserError("a number is not finite", f"{path}:{line}", next_step="leave the row out")
        found.append(numbers)
    return np.array(found).reshape(-1, len(head))


def weighted(traces: Sequence[Trace]) -> list[Trace]:
    """The traces, with the spread of replicates (traces of one and the same source) as sigma.

    The spread is pooled over the points of a protocol: a few replicates do not tell it point by point.
    """
    found = []
    for one in traces:
        group = [other.log_g for other in traces if _same_source(one.drive, other.drive)]
        if len(group) > 1:
            spread = float(np.sqrt(np.mean(np.var(np.array(group), axis=0, ddof=1)[one.used])))
            one = replace(one, sigma=np.full(one.sigma.size, max(spread, LEAST_SIGMA)))
        found.append(one)
    return found


def _same_source(one: Drive, other: Drive) -> bool:
    return (
        one.time.shape == other.time.shape
        and np.allclose(one.time, other.time)
        and np.allclose(one.voltage, other.voltage)
        and np.allclose(one.compliance, other.compliance)
    )
