"""The results of a study as one lazy xarray object; tasks that are not done are NaN."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from kmc.core.errors import CorruptFile
from kmc.io import netcdf
from kmc.io.schema_migration import current
from kmc.io.variables import CONVENTIONS, SCHEMA_VERSION, TRACES
from kmc.study import manifest as records
from kmc.study.manifest import DONE, FAILED, MISSING, Manifest

SAMPLE, REPLICATE = "sample", "replicate"
_NUMBERS = {MISSING: 0, DONE: 1, FAILED: 2}
_AGAIN = "delete it and give kmc study again"
_LOCK = threading.Lock()  # the HDF5 library is not safe for threads


def open_study(out: str | Path) -> xr.Dataset:
    """The study in `out` as one dataset, its values read when used.

    Every trace has the dimensions [axes of the study ..., replicate, sample] and type float64: NaN where a
    task is not done, or has fewer samples than the longest. `time` is a variable like the others, as stop
    conditions may end tasks early. Coordinates are the axes' values, in internal units with `units`, or
    names; `seed` belongs to replicate. `state` is 0 missing, 1 done, 2 failed; `task` is a task's hash, the
    name of its file. The attribute `run` is that of the first task done (protocol, settings, cards); in what
    others differ from it the axes say, for cases the manifest's `changes`. Raises UserError and CorruptFile.
    """
    out = Path(out).absolute()  # values are read when used, wherever the program is by then
    found = records.read_manifest(out)
    state = np.array(records.states(out, found)).reshape(found.shape)
    dims = (*(axis.name for axis in found.axes), REPLICATE)
    traces = {name: _trace(out, found, state == DONE, name, dims) for name in TRACES}
    names = np.array(found.tasks).reshape(found.shape)
    numbers = np.vectorize(_NUMBERS.__getitem__, otypes=[np.int8])(state)
    flags = {"flag_values": np.arange(3, dtype=np.int8), "flag_meanings": "missing done failed"}
    data = {
        **traces,
        "state": (dims, numbers, {"units": "1", "long_name": "state of the task", **flags}),
        "task": (dims, names, {"long_name": "hash of the task"}),
    }
    attributes = {
        "Conventions": CONVENTIONS,
        "schema_version": SCHEMA_VERSION,
        "title": f"Study {found.name}",
        "study": found.name,
        "description": found.description,
        "study_hash": found.hash,
        "versions": json.dumps(found.versions, sort_keys=True),
        "folder": str(out),
    }
    for name in (str(one) for one in names[state == DONE]):
        with contextlib.suppress(CorruptFile):  # the others can be read
            attributes["run"] = read_attribute(records.result_path(out, name), "run")
            break
    return xr.Dataset(data, _coordinates(found), attributes)


def _coordinates(found: Manifest) -> dict[str, Any]:
    coordinates: dict[str, Any] = {}
    for axis in found.axes:
        attributes = {"long_name": f"axis of the study: {axis.name}"}
        attributes |= {"units": axis.unit} if axis.unit else {}
        coordinates[axis.name] = (axis.name, np.array(axis.values), attributes)
    about = {
        REPLICATE: (np.arange(len(found.seeds)), "number of the device of a variant"),
        "seed": (np.array(found.seeds), "seed of the device"),
    }
    for name, (values, told) in about.items():
        coordinates[name] = (REPLICATE, values, {"units": "1", "long_name": told})
    return coordinates


def _trace(out: Path, found: Manifest, done: np.ndarray, name: str, dims: tuple[str, ...]) -> xr.Variable:
    array = _Traces(out, found, done, name)
    attributes = {key: value for key, value in TRACES[name].attributes().items() if key != "axis"}
    if "flag_values" in attributes:  # of the variable's own type, by CF
        attributes["flag_values"] = np.asarray(attributes["flag_values"], float)
    return xr.Variable((*dims, SAMPLE), indexing.LazilyIndexedArray(array), attributes)


class _Traces(BackendArray):
    """One variable of all tasks; an index reads the files of the tasks that it names, and no other."""

    def __init__(self, out: Path, found: Manifest, done: np.ndarray, name: str) -> None:
        self.out, self.done, self.name = out, done, name
        self.tasks = found.tasks
        self.shape = (*found.shape, found.samples)
        self.dtype = np.dtype("float64")

    def __getitem__(self, key: Any) -> Any:
        """Called by xarray, with an indexer of its own."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        """The values at `key`: for every dimension a number, a slice or an array of places."""
        tasks = np.arange(math.prod(self.shape[:-1])).reshape(self.shape[:-1])
        sizes = zip(self.shape, key, strict=True)
        whole = tuple(np.atleast_1d(np.arange(size)[part]) for size, part in sizes)
        chosen = tasks[np.ix_(*whole[:-1])]
        values = np.full((*chosen.shape, len(whole[-1])), np.nan)
        for place in np.ndindex(chosen.shape):
            index = int(chosen[place])
            if self.done.flat[index]:
                values[place] = self._of_task(index)[whole[-1]]
        dropped = tuple(0 if isinstance(part, (int, np.integer)) else slice(None) for part in key)
        return values[dropped]

    def _of_task(self, index: int) -> np.ndarray:
        """The trace of one task, filled up with NaN."""
        path = records.result_path(self.out, self.tasks[index])
        found = np.full(self.shape[-1], np.nan)
        with _LOCK:
            values = read_variable(path, self.name)
        found[: len(values)] = values[: len(found)]
        return found


def open_task(out: Path, name: str) -> xr.Dataset:
    """The dataset of the finished task with the hash `name`, to be closed; its values are read when used.

    Raises CorruptFile for a damaged file, or one that is gone.
    """
    path = records.result_path(out, name)
    _there(path)
    try:
        return current(netcdf.lazily(path), path)
    except CorruptFile as error:
        raise CorruptFile(error.message, next_step=_AGAIN) from error


def _there(path: Path) -> None:
    if not path.exists():
        step = "open the study where it is now, or give kmc study again"
        raise CorruptFile(f"{path} is gone", next_step=step)


def read_variable(path: Path, name: str) -> np.ndarray:
    """One variable of a dataset file. Raises CorruptFile for a damaged file, or one that is gone."""
    return np.asarray(_read(path, lambda file: file.variables[name][:]))


def read_attribute(path: Path, name: str) -> str:
    """One attribute of a dataset file, of which no more is read. Raises CorruptFile as read_variable does."""
    return str(_read(path, lambda file: file.getncattr(name)))


def _read(path: Path, wanted: Callable[[Any], Any]) -> Any:
    import netCDF4

    _there(path)
    try:
        if not netcdf.is_sound(path):
            raise OSError("it is cut off or changed")
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            return wanted(file)
    except (OSError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        raise CorruptFile(f"{path} cannot be read: {error}", next_step=_AGAIN) from error
