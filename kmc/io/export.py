"""Datasets in other programs' formats: CSV, extended XYZ (OVITO), VTK (ParaView) and PWL sources (SPICE).

Every writer takes a dataset and a path and returns the paths it wrote.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kmc.core.atomic_files import explained, replacing, write_whole
from kmc.core.errors import UserError, nearest, optional
from kmc.core.output_paths import Kind, check_file
from kmc.core.progress import say
from kmc.io.provenance import run_of
from kmc.io.variables import TRACES, column, is_observed
from kmc.system.state import ION, METAL

if TYPE_CHECKING:
    import xarray as xr

Writer = Callable[["xr.Dataset", Path], list[Path]]

# An export takes the place of an earlier one, and of nothing else.
CSV = Kind((".csv", ".txt", ".dat", ""), rb"\Atime_s,voltage_source_V,voltage_device_V,current_A,conduc")
EXTXYZ = Kind((".xyz", ".extxyz"), rb"\A\d+\nLattice=.* Properties=species:S:1:pos:R:3:charge:R:1:potential:")
VTK = Kind((".vti", ".pvd"), rb'<DataArray type="UInt8" Name="cation"|^    <DataSet timestep=".*\.vti"/>$')
PWL = Kind((".pwl", ".txt", ".inc", ".dat", ""), rb"\A0e0 \S+$", otherwise=", or remove it if an earlier kmc wrote it")

_ANGSTROM = 10.0  # in a nanometre
_RISE_SHARE = 0.01  # of the time between two samples, or of a step
_CHARGES = {ION: 1.0, METAL: 0.0}  # in e, by the code in `cation`
_SHOWN = 0.5  # vacancies of a cell from which on it is shown as one


def writer(name: str) -> tuple[Writer, str]:
    """The writer called `name` and the suffix of its files. Raises UserError with the nearest name."""
    known: dict[str, tuple[Writer, str]] = {
        "csv": (write_csv, ".csv"),
        "extxyz": (write_extxyz, ".xyz"),
        "vtk": (write_vtk, ".vti"),
        "pwl": (write_pwl, ".pwl"),
    }
    if name not in known:
        raise UserError(
            f'no export format is called "{name}"',
            nearest=nearest(name, known),
            next_step="use one of: " + ", ".join(known),
        )
    return known[name]


def write_csv(ds: xr.Dataset, path: Path) -> list[Path]:
    """The trace, with observers' numbers: a header of names with units, then a row a sample; floats read back
    equal."""
    own = [str(name) for name in ds.data_vars if is_observed(ds[name])]
    names = [name for name in (*TRACES, *own) if name in ds.variables and ds[name].dims == ("time",)]
    columns = [ds[name].values.tolist() for name in names]
    check_file(path, CSV)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(map(column, names))
        rows.writerows(zip(*columns, strict=True))
    return [path]


# --- extended XYZ ----------------------------------------------------------------------------------------


def write_extxyz(ds: xr.Dataset, path: Path) -> list[Path]:
    """One frame a snapshot: ions (charge 1) and atoms (charge 0) of the metal, bromide vacancies as X.

    Lengths are in angstrom; columns are species, pos, charge, potential (V) and temperature (K). The cell is
    periodic along x and y. A vacancy stands at the middle of its cell; of vacancies kept as a mean only
    cells that hold half a one or more are shown, and where that is none, a line on standard error says so.
    """
    _need_snapshots(ds)
    check_file(path, EXTXYZ)
    metal, most = _metal(ds), 0.0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for index in range(ds.sizes["snapshot_time"]):
            file.writelines(_frame(ds, index, metal))
            if "vacancy" in ds:
                most = max(most, float(ds["vacancy"].isel(snapshot_time=index).max()))
    if 0.0 < most < _SHOWN:
        say(
            f"note: no vacancy is shown: vacancies: equilibrium keeps their mean, {most:.2g} a cell at most; "
            "see the mean in vtk, or run with vacancies: explicit"
        )
    return [path]


def _metal(ds: xr.Dataset) -> str:
    """Chemical symbol of the electrode's card; silver's where it has none."""
    return dict(run_of(ds).get("cards", {}).get("electrode", {})).get("symbol") or "Ag"


def _frame(ds: xr.Dataset, index: int, metal: str) -> Iterator[str]:
    snapshot = ds.isel(snapshot_time=index)
    where, symbols, charges, positions = _particles(snapshot, metal)
    potential, temperature = (_column(snapshot, name, where) for name in ("potential", "temperature"))
    yield f"{len(symbols)}\n"
    yield (
        f'Lattice="{_cell(ds)}" Origin="0.0 0.0 0.0" '
        "Properties=species:S:1:pos:R:3:charge:R:1:potential:R:1:temperature:R:1 "
        f'Time={float(snapshot["snapshot_time"].values)!r} pbc="T T F"\n'
    )
    for i, (symbol, charge, (x, y, z)) in enumerate(zip(symbols, charges, positions, strict=True)):
        yield f"{symbol} {x:.4f} {y:.4f} {z:.4f} {charge:g} {potential[i]:.6g} {temperature[i]:.6g}\n"


def _particles(snapshot: xr.Dataset, metal: str) -> tuple[np.ndarray, list[str], list[float], np.ndarray]:
    """Sites [n, 3] as (z, y, x), chemical symbols, charges in e, and positions (x, y, z) in angstrom."""
    spacing = _spacing(snapshot)
    places, symbols, charges, shifts = [], [], [], []
    for code, charge in _CHARGES.items():
        found = np.argwhere(snapshot["cation"].values == code)
        places.append(found)
        symbols += [metal] * len(found)
        charges += [charge] * len(found)
        shifts += [0.5] * len(found)
    if "vacancy" in snapshot:
        found = 2 * np.argwhere(snapshot["vacancy"].values[::2, ::2, ::2] >= _SHOWN)  # a cell is 2 x 2 x 2
        places.append(found)
        symbols += ["X"] * len(found)
        charges += [1.0] * len(found)
        shifts += [1.0] * len(found)
    where = np.concatenate(places)
    positions = (where[:, ::-1] + np.array(shifts)[:, None]) * spacing * _ANGSTROM
    return where, symbols, charges, positions


def _column(snapshot: xr.Dataset, name: str, where: np.ndarray) -> np.ndarray:
    return snapshot[name].values[tuple(where.T)] if name in snapshot else np.zeros(len(where))


def _cell(ds: xr.Dataset) -> str:
    x, y, z = (ds.sizes[axis] * _spacing(ds) * _ANGSTROM for axis in "xyz")
    return f"{x:.6f} 0.0 0.0 0.0 {y:.6f} 0.0 0.0 0.0 {z:.6f}"


def _spacing(ds: xr.Dataset) -> float:
    """Distance of neighbouring sites in nm; sites are half of it off the box's faces."""
    return 2.0 * float(ds["z"].values[0])


def _need_snapshots(ds: xr.Dataset) -> None:
    if "snapshot_time" not in ds.dims:
        raise UserError("the dataset has no snapshots", next_step="run it with snapshots: {every: 1 ms}")


# --- VTK -------------------------------------------------------------------------------------------------


def write_vtk(ds: xr.Dataset, path: Path) -> list[Path]:
    """A .vti image for each snapshot (cells are sites, in nm) and, for several, a .pvd with their times.

    Raises UserError where pyvista is not installed.
    """
    _need_snapshots(ds)
    pyvista = optional("pyvista", "viz", "VTK", "; or export extxyz")
    count = ds.sizes["snapshot_time"]
    if count == 1:
        paths = [path.with_suffix(".vti")]
    else:
        paths = [path.with_name(f"{path.stem}_{index:04d}.vti") for index in range(count)]
    series = path.with_suffix(".pvd")
    for target in (path, *paths, *([series] if count > 1 else [])):
        check_file(target, VTK)
    for index, target in enumerate(paths):
        image = _image(pyvista, ds.isel(snapshot_time=index))
        temporary = target.with_name(f".{target.stem}.{os.getpid()}.part.vti")  # pyvista goes by the suffix
        try:
            with explained(target):
                image.save(temporary)
                os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    if count == 1:
        return paths
    return [_series(series, paths, ds["snapshot_time"].values), *paths]


def _image(pyvista: Any, snapshot: xr.Dataset) -> Any:
    spacing = _spacing(snapshot)
    sizes = [snapshot.sizes[axis] + 1 for axis in "xyz"]
    image = pyvista.ImageData(dimensions=sizes, spacing=(spacing,) * 3)
    for name, variable in snapshot.data_vars.items():
        if variable.dims == ("z", "y", "x"):  # VTK's x runs fastest, as ours does
            image.cell_data[str(name)] = np.ascontiguousarray(variable.values).ravel()
    return image


def _series(path: Path, images: list[Path], times: np.ndarray) -> Path:
    lines = [
        f'    <DataSet timestep="{time!r}" file="{image.name}"/>'
        for time, image in zip(times.tolist(), images, strict=True)
    ]
    text = [
        '<?xml version="1.0"?>',
        '<VTKFile type="Collection" version="0.1">',
        "  <Collection>",
        *lines,
        "  </Collection>",
        "</VTKFile>",
        "",
    ]
    write_whole(path, "\n".join(text).encode())
    return path


# --- SPICE -----------------------------------------------------------------------------------------------


def write_pwl(ds: xr.Dataset, path: Path) -> list[Path]:
    """The source's voltage as `time value` lines for a SPICE PWL source; steps rise in 1 % of a sample.

    The first time is written as 0e0, which distinguishes such a file from a user's own waveform.
    """
    check_file(path, PWL)
    with replacing(path) as temporary, temporary.open("w", encoding="ascii") as file:
        (_, first), *points = pwl_points(ds)
        file.write(f"0e0 {first!r}\n")
        file.writelines(f"{t!r} {v!r}\n" for t, v in points)
    return [path]


def pwl_points(ds: xr.Dataset) -> list[tuple[float, float]]:
    """The corners (s, V) of the source's staircase: a sample shows what was held since the sample before."""
    times, volts = ds["time"].values.tolist(), ds["voltage_source"].values.tolist()
    points: list[tuple[float, float]] = []
    before, held = 0.0, volts[0] if volts else 0.0
    points.append((0.0, held))
    for i, (time, volt) in enumerate(zip(times, volts, strict=True)):
        if volt != held:
            if points[-1][0] < before:
                points.append((before, held))
            points.append((before + _RISE_SHARE * (time - before), volt))
            held = volt
        if i == len(times) - 1 and time > points[-1][0]:
            points.append((time, volt))
        before = time
    return points
