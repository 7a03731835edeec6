"""Datasets: built from buffered rows, merged from segments, opened and verified."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kmc.core.atomic_files import make_folder
from kmc.core.errors import CorruptFile, UserError, one_line
from kmc.io.netcdf import content_hash, is_other, lazily, load, write
from kmc.io.provenance import lacking
from kmc.io.schema_migration import current
from kmc.io.variables import ALL, AXES, OBSERVED, SCHEMA_VERSION, SNAPSHOTS, TRACES, is_observed

if TYPE_CHECKING:
    import xarray as xr

Arrays = Mapping[str, Any]

_GIVE = "give a .nc file, an out folder or a run folder"
_LOAD_BELOW = 200 * 2**20  # bytes; larger files are read lazily


class Problem(NamedTuple):
    """What is wrong with a file."""

    path: Path
    message: str

    def __str__(self) -> str:
        return one_line(f"{self.path}: {self.message}")


def build(rows: Arrays, snapshots: Sequence[Arrays] = (), attributes: Mapping[str, str] | None = None) -> xr.Dataset:
    """One dataset of buffered `rows` (name -> values, all of one length) and `snapshots`.

    A snapshot holds `time` (s), `spacing_nm` and arrays [z, y, x] on the sites. Raises ValueError for a name
    that is not in the table of variables.
    """
    import xarray as xr

    unknown = set(rows) - set(TRACES)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are not in kmc.io.variables.TRACES")
    data: dict[str, Any] = {}
    for name, variable in TRACES.items():
        if name in rows:
            data[name] = ("time", np.asarray(rows[name]).astype(variable.dtype), variable.attributes())
    data.setdefault("time", ("time", np.zeros(0), TRACES["time"].attributes()))
    if snapshots:
        data.update(_snapshot_variables(snapshots))
    coordinates = {name: data.pop(name) for name in ("time", *AXES) if name in data}
    return xr.Dataset(data, coords=coordinates, attrs=dict(attributes or {}))


def with_numbers(ds: xr.Dataset, seen: Sequence[Arrays]) -> xr.Dataset:
    """A trace with what observers made of each of its samples, `time` and numbers by name."""
    names = [name for name in seen[0] if name != "time"] if seen else []
    about = {"units": "1", "long_name": "what an observer of the user's made of the sites", **OBSERVED}
    return ds.assign({name: ("time", np.array([row[name] for row in seen]), about) for name in names})


def _snapshot_variables(snapshots: Sequence[Arrays]) -> dict[str, Any]:
    names = [name for name in SNAPSHOTS if name in snapshots[0]]
    shape = np.shape(snapshots[0][names[0]])
    spacing = float(snapshots[0]["spacing_nm"])
    times = np.array([float(s["time"]) for s in snapshots])
    data: dict[str, Any] = {"snapshot_time": ("snapshot_time", times, AXES["snapshot_time"].attributes())}
    for axis, count in zip("zyx", shape, strict=True):
        data[axis] = (axis, (np.arange(count) + 0.5) * spacing, AXES[axis].attributes())
    for name in names:
        variable = SNAPSHOTS[name]
        frames = [np.asarray(s[name]).astype(variable.dtype) for s in snapshots]
        if name == "region":
            data[name] = (("z", "y", "x"), frames[0], variable.attributes())
        else:
            data[name] = (("snapshot_time", "z", "y", "x"), np.stack(frames), variable.attributes())
    return data


def segment_path(out: Path, index: int) -> Path:
    """Where segment `index` of the run in `out` lies."""
    return out / "segments" / f"{index:04d}.nc"


def segment_paths(out: Path) -> list[Path]:
    """The segments of the run in `out`, in order."""
    found = [p for p in (out / "segments").glob("*.nc") if p.stem.isdigit()]
    return sorted(found, key=lambda p: int(p.stem))


def write_segment(out: Path, index: int, ds: xr.Dataset) -> Path:
    """Write rows since the last segment as one closed file."""
    make_folder(out / "segments")
    return write(segment_path(out, index), ds)


def concatenate(parts: Iterable[xr.Dataset]) -> xr.Dataset:
    """Concatenate the datasets of one interrupted run along time, with the attributes of the first."""
    import xarray as xr

    parts = list(parts)
    names = list(dict.fromkeys(name for part in parts for name in ALL if name in part.variables))
    data: dict[str, Any] = {}
    for name in names:
        found = [part.variables[name] for part in parts if name in part.variables]
        moving = found[0].dims and found[0].dims[0] in ("time", "snapshot_time")
        values = np.concatenate([v.values for v in found]) if moving else found[0].values
        data[name] = (found[0].dims, values, found[0].attrs)
    coordinates = {name: data.pop(name) for name in ("time", *AXES) if name in data}
    return xr.Dataset(data, coords=coordinates, attrs=parts[0].attrs)


def merge(out: Path, name: str, attributes: Mapping[str, str] | None = None) -> Path:
    """Join the segments of `out` into out/<name>.nc and return its path. UserError without segments."""
    ds = _joined(out)
    return write(out / f"{name}.nc", ds.assign_attrs(attributes or {}))


def _joined(out: Path) -> xr.Dataset:
    paths = segment_paths(out)
    if not paths:
        tasks = sorted((out / "tasks").glob("*.nc"))
        if tasks:
            raise UserError(
                f"{out} holds the runs of a study ({len(tasks)} finished)",
                next_step=f"name one, e.g. {tasks[0]}; kmc compact traces writes the traces of a whole study as CSV",
            )
        if any(out.glob("*.csv")):
            step = "kmc compact fit takes such a folder"
            raise UserError(f"{out} holds tables and no dataset", next_step=step)
        begun = "kmc study" if (out / "study.yaml").is_file() or (out / "tasks").is_dir() else "kmc run"
        raise UserError(f"{out} holds no results", next_step=f"start it with {begun}")
    ds = concatenate(current(load(path), path) for path in paths)
    ds.attrs.pop("content_sha256", None)
    return ds


def merged_paths(out: Path) -> list[Path]:
    """The merged files in `out`."""
    return sorted(p for p in out.glob("*.nc") if not p.name.startswith("."))


def out_of(path: Path) -> Path:
    """The out folder of `path`: itself, or its subfolder `out`."""
    return path / "out" if (path / "out").is_dir() else path


def home_of(path: Path) -> Path:
    """The folder that a file lies in; the out folder of another path."""
    return path.parent if path.is_file() else out_of(path)


def open(path: str | Path) -> xr.Dataset:
    """Open a dataset: a netCDF file, an out folder (merged or still in segments) or a run folder.

    Files below 200 MB are loaded, larger ones read lazily. Raises UserError when there is nothing and
    CorruptFile when a file cannot be read.
    """
    path = Path(path)
    if path.is_file():
        _refuse_other(path)
        return current(load(path) if path.stat().st_size < _LOAD_BELOW else lazily(path), path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist", next_step=_GIVE)
    out = out_of(path)
    merged = merged_paths(out)
    if len(merged) > 1:
        raise UserError(f"{out} holds {len(merged)} datasets", next_step=f"name one, e.g. {merged[0]}")
    return open(merged[0]) if merged else _joined(out)


def _refuse_other(path: Path) -> None:
    """UserError for a file that is no dataset, and so is not damaged either."""
    if path.suffix in (".yaml", ".yml"):
        raise UserError(
            f"{path} says what to run and holds no results",
            next_step=f"name the folder of its results, e.g. {path.parent / 'out'}",
        )
    if is_other(path):
        raise UserError(f"{path} is no dataset", next_step=_GIVE)


def require(ds: xr.Dataset, path: str | Path, whole: bool = True) -> None:
    """Raise UserError where a file is no dataset of this program: it lacks a trace that all of them have, or
    the attribute `run`.

    whole: that has to hold all that others read of it, too.
    """
    missing = [name for name in TRACES if name not in ds.variables]
    missing += ["run"] if "run" not in ds.attrs else [lacking(ds)] if whole and lacking(ds) else []
    if missing:
        raise UserError(
            f"{path} is no dataset of kmc: it has no {missing[0]}", next_step="give what kmc run or kmc.simulate made"
        )


def verify(path: str | Path) -> list[Problem]:
    """What is wrong with the dataset file, or with all datasets below a folder; [] when all is well.

    Raises UserError when there is nothing to verify.
    """
    return [Problem(file, message) for file in files_of(Path(path)) for message in _file_problems(file)]


def files_of(path: Path) -> list[Path]:
    """The dataset files that `path` stands for: itself, or all below a folder. UserError for none."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*.nc") if not p.name.startswith("."))
    if not files:
        state = "holds no dataset" if path.exists() else "does not exist"
        raise UserError(f"{path} {state}", next_step=_GIVE)
    for file in files:
        _refuse_other(file)
    return files


def _file_problems(path: Path) -> list[str]:
    try:
        ds = load(path)
    except CorruptFile as error:
        return [error.message.removeprefix(f"{path} cannot be read: ")]
    found = []
    stored = ds.attrs.get("content_sha256")
    if stored is None:
        found.append("has no content_sha256: not written by kmc, or rewritten by another program")
    elif stored != content_hash(ds):
        found.append("the content does not match its SHA-256: values were changed or a bit flipped")
    # What a reservoir writes has a hash and no schema of traces.
    return found + (_schema_problems(ds) if stored is None or "schema_version" in ds.attrs else [])


def _schema_problems(ds: xr.Dataset) -> list[str]:
    found = []
    version = str(ds.attrs.get("schema_version"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        found.append(f"schema_version is {version}, this program reads {SCHEMA_VERSION}")
    for key in ("run", "provenance"):
        try:
            json.loads(ds.attrs[key])
        except (KeyError, TypeError, ValueError):
            found.append(f"the attribute {key} is missing or not JSON")
    newer = _second(version) - _second(SCHEMA_VERSION)  # a higher second number has more
    if newer >= 0:
        found += [f"the variable {name} is missing" for name in TRACES if name not in ds.variables]
    for label, variable in ds.variables.items():
        name = str(label)
        known = ALL.get(name)
        if is_observed(variable):
            continue
        if known is None:
            found += [f"the variable {name} is not in the schema"] if newer <= 0 else []
        elif str(variable.dtype) != known.dtype or variable.attrs.get("units") != known.units:
            found.append(
                f"{name} is {variable.dtype} in {variable.attrs.get('units')}, not {known.dtype} in {known.units}"
            )
    time = ds.variables.get("time")
    if time is not None and time.ndim == 1 and time.dtype.kind == "f" and np.any(np.diff(time.values) < 0):
        found.append("time runs backwards")
    return found


def _second(version: str) -> int:
    """The second number of a schema's version, 0 where there is none."""
    number = version.partition(".")[2]
    return int(number) if number.isdecimal() else 0
