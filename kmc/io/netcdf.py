"""One netCDF-4 file: written whole, with hashes that find every flipped bit, and read with plain errors.

A content hash is in the attributes. Behind the last HDF5 byte, where HDF5 readers do not look, a line
holds the SHA-256 of the whole file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kmc.core.atomic_files import replacing
from kmc.core.errors import CorruptFile

if TYPE_CHECKING:
    import xarray as xr

_TRAILER = re.compile(rb"\nkmc sha256 ([0-9a-f]{64})\n\Z")
_TRAILER_SIZE = 77
_HASHED = 1 << 20  # bytes; opening a file hashes larger ones, too
_HDF5 = b"\x89HDF\r\n\x1a\n"
_OWN = ("content_sha256", "provenance")  # attributes outside of the content hash


def write(path: Path, ds: xr.Dataset) -> Path:
    """Write `ds` whole to `path`, with its hashes. Raises WriteFailed on a full or read-only disk."""
    ds = ds.assign_attrs(content_sha256=content_hash(ds))
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in ds.variables}
    for name, variable in ds.variables.items():
        if variable.ndim > 2 and variable.size:
            chunk = (1, *variable.shape[1:]) if variable.dims[0] == "snapshot_time" else variable.shape
            encoding[str(name)].update(zlib=True, complevel=4, shuffle=True, chunksizes=chunk)
    with replacing(path) as temporary:
        ds.to_netcdf(_plain(temporary), format="NETCDF4", engine="netcdf4", encoding=encoding)
        digest = _file_digest(temporary, temporary.stat().st_size)
        with temporary.open("ab") as file:
            file.write(b"\nkmc sha256 " + digest.encode() + b"\n")
    return path


def _plain(path: Path) -> str:
    """The path as the system takes it: xarray would read a folder called ~ as the user's home."""
    return os.path.abspath(path)


def content_hash(ds: xr.Dataset) -> str:
    """SHA-256 of all variables (names, dimensions, types, values, attributes) and of the global attributes
    except provenance. It is equal for equal seeds on one machine; observers and interruptions do not change it."""
    digest = hashlib.sha256()
    for name in sorted(map(str, ds.variables)):
        variable = ds.variables[name]
        values = np.ascontiguousarray(variable.values)
        head = [name, list(variable.dims), str(values.dtype), list(values.shape), _comparable(variable.attrs)]
        digest.update(json.dumps(head, sort_keys=True).encode())
        digest.update(values.data if values.size else b"")
    digest.update(
        json.dumps(_comparable({k: v for k, v in ds.attrs.items() if k not in _OWN}), sort_keys=True).encode()
    )
    return digest.hexdigest()


def _comparable(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON values, whether fresh or read back (where lists are arrays)."""
    arrays = (np.ndarray, np.generic)
    return {str(k): v.tolist() if isinstance(v, arrays) else v for k, v in attributes.items()}


def lazily(path: Path) -> xr.Dataset:
    """The dataset at `path`, its values read when used, its bytes hashed now.

    Raises CorruptFile, for a single flipped bit too.
    """
    import xarray as xr

    try:
        trouble = checksum_problem(path)
    except OSError as error:  # no permission, a failing disk
        raise _unreadable(path, (error.strerror or str(error)).lower()) from error
    if trouble:  # a damaged file is not handed to the HDF5 library
        raise _unreadable(path, trouble)
    try:
        return xr.open_dataset(_plain(path), engine="netcdf4")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise _unreadable(path, _first_line(error)) from error


def load(path: Path) -> xr.Dataset:
    """The dataset at `path` in memory, the file closed. Raises CorruptFile as `lazily` does."""
    ds = lazily(path)
    try:
        return ds.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(path, _first_line(error)) from error
    finally:
        ds.close()


def _unreadable(path: Path, reason: str) -> CorruptFile:
    step = "run it again, or restore it from a copy"
    return CorruptFile(f"{path} cannot be read: {reason}", next_step=step)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def checksum_problem(path: Path) -> str | None:
    """A mismatch of the file's bytes and the line behind them; None also when another program rewrote it."""
    if _broken_hdf5(path):
        return "truncated or not netCDF"
    size, end = path.stat().st_size, _hdf5_end(path)
    if end is None or end == size:
        return None
    with path.open("rb") as file:
        file.seek(max(0, size - _TRAILER_SIZE))
        trailer = _TRAILER.search(file.read())
    if trailer is None:
        return "truncated: the line with the file's SHA-256 is broken"
    if trailer[1].decode() != _file_digest(path, size - _TRAILER_SIZE):
        return "the bytes do not match the file's SHA-256: a bit flipped"
    return None


def is_whole(path: Path) -> bool:
    """Whether `path` is there with the line that is written last: finds what was cut off, quickly."""
    try:
        end, size = _hdf5_end(path), path.stat().st_size
        if end is None or size != end + _TRAILER_SIZE:
            return False
        with path.open("rb") as file:
            file.seek(end)
            return _TRAILER.match(file.read()) is not None
    except OSError:
        return False


def is_sound(path: Path) -> bool:
    """Whether `path` is whole and, unless it is large, has the bytes that were written."""
    try:
        with open(path, "rb", buffering=0) as file:  # a study asks this of thousands: no more than is there
            size = os.fstat(file.fileno()).st_size
            if size > _HASHED:
                return is_whole(path)
            data = file.read(size)
    except OSError:
        return False
    trailer = _TRAILER.match(data, max(0, len(data) - _TRAILER_SIZE))
    if trailer is None or _end_of(data) != trailer.start():
        return False
    return hashlib.sha256(memoryview(data)[: trailer.start()]).hexdigest().encode() == trailer[1]


def is_other(path: Path) -> bool:
    """Whether `path` has neither the name nor the first bytes of a dataset, and so is not a damaged one."""
    return path.suffix != ".nc" and _hdf5_end(path) is None


def _broken_hdf5(path: Path) -> bool:
    end = _hdf5_end(path)
    return end is None or path.stat().st_size < end


def _hdf5_end(path: Path) -> int | None:
    """Where the HDF5 data end, from the superblock; None when this is no HDF5 file."""
    with path.open("rb") as file:
        try:
            head = file.read(64)
        except OSError as error:  # a failing disk: it names no file
            raise _unreadable(path, (error.strerror or str(error)).lower()) from error
    return _end_of(head)


def _end_of(head: bytes) -> int | None:
    if len(head) < 48 or not head.startswith(_HDF5):
        return None
    start = 28 if head[8] >= 2 else 40
    return int.from_bytes(head[start : start + 8], "little")


def _file_digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(1 << 20, size))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
