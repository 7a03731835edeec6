"""Checkpoints: nested plain data and arrays in one npz file, without pickle, bit for bit.

The file holds the arrays and one JSON text that says where each belongs. JSON writes floats so that they
read back equal, and integers of any size (a random stream's 128 bits).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kmc.core.atomic_files import write_whole
from kmc.core.errors import CorruptFile, UserError

_ARRAY = "__array__"
_TREE = "tree"
VERSION = 20
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
# A file that unpacks to more than both is no checkpoint: states are random bits to a good part.
_LARGE, _PACKED = 2 << 30, 100


def save(path: Path, state: dict[str, Any], small: bool = False) -> None:
    """Write `state` (dicts with text keys, lists, arrays, numbers, text, None) whole to `path`.

    Numpy scalars keep their type; tuples come back as lists. `small` compresses, at 40 MB/s, what is to be
    kept. Raises TypeError for anything else and WriteFailed on a full or read-only disk.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps({"version": VERSION, "state": _stored(state, arrays, "state")})
    arrays[_TREE] = np.frombuffer(tree.encode(), np.uint8)
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive:  # an npz, by hand for its level
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    write_whole(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote. Raises UserError when there is no such file and CorruptFile when it is damaged."""
    if not path.is_file():
        raise UserError(f"{path} does not exist", next_step="give the out folder of a run that was started")
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tree = json.loads(arrays.pop(_TREE).tobytes().decode())
        version = tree["version"]
        state = _restored(tree["state"], arrays)
    except _DAMAGED as error:
        raise CorruptFile(
            f"{path} cannot be read: the checkpoint is damaged", next_step="start the run again in another folder"
        ) from error
    if version != VERSION or not isinstance(state, dict):
        raise CorruptFile(
            f"{path} has checkpoint version {version}, this program reads {VERSION}",
            next_step="use the version of kmc that wrote it",
        )
    return state


def digest(state: dict[str, Any]) -> str:
    """SHA-256 of the content of a state, whenever and however often it was written."""
    arrays: dict[str, np.ndarray] = {}
    found = hashlib.sha256(json.dumps(_stored(state, arrays, "state")).encode())
    for array in arrays.values():
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _refuse_bomb(path: Path) -> None:
    """ValueError for a small file that would fill the memory."""
    with zipfile.ZipFile(path) as archive:
        whole = sum(member.file_size for member in archive.infolist())
    if whole > _LARGE and whole > _PACKED * path.stat().st_size:
        raise ValueError(f"{path} unpacks to {whole} bytes")


def _stored(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """`value` as JSON, its arrays moved to `arrays` and replaced by their names."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{where} holds Python objects")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {_ARRAY: name, "scalar": isinstance(value, np.generic)}
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key == _ARRAY for key in value):
            raise TypeError(f"{where} has a key that is not text")
        return {key: _stored(item, arrays, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_stored(item, arrays, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold")


def _restored(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            array = arrays[value[_ARRAY]]
            return array[()] if value["scalar"] else array
        return {key: _restored(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item, arrays) for item in value]
    return value
