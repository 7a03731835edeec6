"""Checkpoints come back bit for bit, and a damaged one is named."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from memory import peak_kb
from small_stacks import device

from kmc.core import random_streams
from kmc.core.errors import CorruptFile, UserError
from kmc.io import checkpoint
from kmc.simulation.state_dict import device_state

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    arrays(
        st.sampled_from([np.dtype(t) for t in ("u1", "i4", "i8", "f4", "f8", "?")]),
        array_shapes(min_dims=0, max_dims=3, max_side=3),
    ),
)
_STATES = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        _LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=5,
)


def same(a: Any, b: Any) -> bool:
    """Equal in type, shape and every bit."""
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


@given(state=_STATES, small=st.booleans())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, state: dict[str, Any], small: bool) -> None:
    """Nested data and arrays of any type come back equal to the bit."""
    path = tmp_path_factory.mktemp("state") / "checkpoint.npz"
    checkpoint.save(path, state, small)
    assert same(state, checkpoint.load(path))


def test_structured_arrays_and_scalars(tmp_path: Path) -> None:
    """Records, numpy scalars, signed zero, infinities and subnormals survive."""
    record = np.zeros(3, np.dtype([("site", "i4"), ("rate", "f8"), ("kind", "u1")]))
    record["rate"] = [5e-324, -0.0, np.inf]
    state = {"record": record, "f": np.float32(0.1), "x": -0.0, "y": 5e-324, "z": float("-inf"), "n": 2**200}
    checkpoint.save(tmp_path / "c.npz", state)
    assert same(state, checkpoint.load(tmp_path / "c.npz"))


def test_a_random_stream_goes_on(tmp_path: Path) -> None:
    """A stream put back from a checkpoint draws what it would have drawn."""
    generator = random_streams.stream(7, "events")
    generator.random(13)
    checkpoint.save(tmp_path / "c.npz", {"stream": random_streams.get_state(generator)})
    other = random_streams.stream(0, "other")
    random_streams.set_state(other, checkpoint.load(tmp_path / "c.npz")["stream"])
    assert np.array_equal(generator.random(100), other.random(100))


@pytest.mark.parametrize("bad", [{"a": object()}, {"a": {1: 2}}, {"a": np.array([object()])}, {"a": {2.0}}])
def test_what_it_cannot_hold_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    """Nothing that would need pickle is taken, and nothing is written."""
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path / "c.npz", bad)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    """No file is a user's error; a file of another kind or version is a corrupted one."""
    with pytest.raises(UserError, match="does not exist"):
        checkpoint.load(tmp_path / "none.npz")
    for name, data in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorruptFile, match=name):
            checkpoint.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(CorruptFile):
        checkpoint.load(tmp_path / "other.npz")


def test_a_bomb_does_not_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that claims terabytes, a small file that unpacks to too much, and a deep tree."""
    path = tmp_path / "c.npz"

    def written(name: str, head: bytes, body: bytes) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, head + body)

    def head(shape: tuple[int, ...]) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return file.getvalue()

    for claim in (10**18, 10**13):
        written("tree.npy", head((claim,)), b"x")
        before = peak_kb(anew=True)
        with pytest.raises(CorruptFile, match="damaged"):
            checkpoint.load(path)
        assert peak_kb() - before < 500_000
    tree = f'{{"version": {checkpoint.VERSION}, "state": {{}}}}'.encode()
    written("tree.npy", head((len(tree),)), tree)
    assert checkpoint.load(path) == {}
    padded = tree + b" " * (4 << 20)
    written("tree.npy", head((len(padded),)), padded)
    assert checkpoint.load(path) == {}
    monkeypatch.setattr(checkpoint, "_LARGE", 1 << 20)
    with pytest.raises(CorruptFile, match="damaged"):
        checkpoint.load(path)
    deep = b"[" * 100_000
    written("tree.npy", head((len(deep),)), deep)
    with pytest.raises(CorruptFile, match="damaged"):
        checkpoint.load(path)


def layout(value: Any) -> Any:
    """Names, types and dimensions of what a checkpoint holds of a window."""
    if isinstance(value, dict):
        return {key: layout(one) for key, one in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return [str(value.dtype), np.ndim(value)]
    return type(value).__name__


def test_another_layout_is_another_version() -> None:
    """Else numpy would spread an old array over new records, and a run would go on from nonsense. Who changes
    what a window carries raises `checkpoint.VERSION` and writes both down here."""
    held = device_state(device("ogb_20nm"))
    known = {20: "4940191ae44e"}
    assert known[checkpoint.VERSION] == digest_of(held)
    held["state"]["domain"] = held["state"]["domain"][0]  # as version 18 had it
    assert known[checkpoint.VERSION] != digest_of(held)


def digest_of(held: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(layout(held), sort_keys=True).encode()).hexdigest()[:12]


def test_every_cut_and_flipped_bit_is_found(tmp_path: Path) -> None:
    """A truncated or flipped checkpoint is never taken for a good one with other values."""
    path = tmp_path / "c.npz"
    state = {"a": np.arange(40.0), "n": 7, "text": "x" * 50}
    checkpoint.save(path, state)
    good = path.read_bytes()
    generator = np.random.Generator(np.random.PCG64(1))
    for _ in range(150):
        data = bytearray(good)
        if generator.random() < 0.3:
            data = data[: int(generator.integers(len(good)))]
        else:
            data[int(generator.integers(len(good)))] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(data))
        try:
            found = checkpoint.load(path)
        except CorruptFile:
            continue
        assert same(state, found)  # a bit that means nothing, such as a date in the zip's directory
