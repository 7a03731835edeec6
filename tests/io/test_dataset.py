"""Datasets carry units and provenance, forget where they were cut, and every damaged file is named."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import fake_simulation
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from kmc.cards.stack import load_stack
from kmc.core.atomic_files import WriteFailed, only_one
from kmc.core.errors import CorruptFile, UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.io import dataset, netcdf, provenance
from kmc.io.variables import AXES, SNAPSHOTS, TRACES


def rows_of(count: int, start: int = 0) -> dict[str, np.ndarray]:
    """Some rows; values differ in every column."""
    return {
        name: np.arange(start, start + count) * (1.0 + i) + 0.25 * (TRACES[name].dtype == "float64")
        for i, name in enumerate(TRACES)
    }


def snapshots_of(times: list[float]) -> list[dict[str, Any]]:
    """Snapshots of the fake simulation at some times."""
    simulation = fake_simulation.Simulation(None, Protocol.hold("1 V", "1 s"), Settings(), 0)
    return [{"time": time, "spacing_nm": 0.5, **simulation.snapshot()} for time in times]


def about() -> dict[str, str]:
    """Attributes of a run."""
    stack = load_stack("ogb_20nm")
    return provenance.attributes(provenance.describe(stack, Protocol.read(), Settings(), 7), wall_s=1.0)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A sound file with snapshots."""
    ds = dataset.build(rows_of(50), snapshots_of([0.0, 10.0]), about())
    return dataset.write(tmp_path / "run.nc", ds)


def test_variables_follow_cf(written: Path) -> None:
    """Plain xarray reads the types, units and meanings of the table, and a height axis in nm."""
    with xr.open_dataset(written) as ds:
        for name, known in {**TRACES, **SNAPSHOTS, **AXES}.items():
            variable = ds.variables[name]
            assert str(variable.dtype) == known.dtype
            assert variable.attrs["units"] == known.units
            assert variable.attrs["long_name"]
        assert ds.attrs["Conventions"] == "CF-1.11"
        assert ds["cation"].dims == ("snapshot_time", "z", "y", "x")
        assert ds["region"].dims == ("z", "y", "x")
        assert ds["z"].values[:2].tolist() == [0.25, 0.75]
        assert ds["cation"].attrs["flag_values"].dtype == ds["cation"].dtype


def test_attributes_say_how_it_was_made() -> None:
    """The run's attribute has what decides the result; time and host stand apart."""
    attributes = about()
    run = json.loads(attributes["run"])
    assert run["seed"] == 7
    assert run["cards"]["electrode"]["hash"]
    assert {"python", "numpy", "numba"} <= set(run["versions"])
    assert run["sources"] == load_stack("ogb_20nm").sources()
    assert {"created", "host", "wall_s"} <= set(json.loads(attributes["provenance"]))
    assert not {"created", "host", "wall_s"} & set(run)


def test_the_run_hash_asks_what_decides() -> None:
    """Looking and naming do not change the hash; seed, stack, protocol and settings do."""
    stack = load_stack("ogb_20nm")

    def hashed(seed: int = 1, stack: Any = stack, protocol: Any = None, **settings: Any) -> str:
        run = provenance.describe(stack, protocol or Protocol.read(), Settings(**settings), seed)
        return provenance.run_hash(run)

    assert hashed() == hashed(event_budget=10) == hashed(wall_limit_s=5.0)
    others = [
        hashed(seed=2),
        hashed(stack=stack.choose(thickness="40 nm")),
        hashed(protocol=Protocol.read("0.2 V")),
        hashed(window="30 nm"),
    ]
    assert len({hashed(), *others}) == 5


def test_numbers_of_an_observer_are_at_their_samples() -> None:
    """Each in the place of the sample that it was made of."""
    seen = [{"time": time, "mine": 10.0 * time} for time in range(4)]
    ds = dataset.with_numbers(dataset.build(rows_of(4)), seen)
    assert ds["mine"].values.tolist() == [0.0, 10.0, 20.0, 30.0]


def test_unknown_rows_are_a_bug() -> None:
    """A column that the table does not know is refused, not dropped."""
    with pytest.raises(ValueError, match="voltag"):
        dataset.build({"voltag": np.zeros(1)})


@settings(max_examples=12)
@given(cuts=st.lists(st.integers(0, 40), max_size=6), shots=st.lists(st.integers(0, 40), max_size=4, unique=True))
def test_merging_forgets_the_cuts(tmp_path_factory: pytest.TempPathFactory, cuts: list[int], shots: list[int]) -> None:
    """Wherever a run was cut into segments, the merged content is that of one piece."""
    rows, attributes = rows_of(40), about()
    pictures = snapshots_of([float(time) for time in sorted(shots)])
    whole = dataset.build(rows, pictures, attributes)
    out = tmp_path_factory.mktemp("out")
    edges = [0, *sorted(cuts), 40]
    for index, (low, high) in enumerate(pairwise(edges)):
        last = index == len(edges) - 2
        part = [p for p in pictures if low <= p["time"] < high or (last and p["time"] == high)]
        piece = dataset.build({name: values[low:high] for name, values in rows.items()}, part, attributes)
        dataset.write_segment(out, index, piece)
    assert dataset.open(out).identical(whole.assign_attrs(dataset.open(out).attrs))
    merged = dataset.merge(out, "run", attributes)
    assert dataset.verify(out) == []
    assert dataset.open(merged).attrs["content_sha256"] == netcdf.content_hash(whole)


def test_open_takes_files_and_folders(tmp_path: Path) -> None:
    """A merged file, an out folder with or without it, and the run's folder give the same dataset."""
    out = tmp_path / "run" / "out"
    dataset.write_segment(out, 0, dataset.build(rows_of(5), (), about()))
    dataset.write_segment(out, 1, dataset.build(rows_of(5, 5), (), about()))
    from_segments = dataset.open(tmp_path / "run")
    merged = dataset.merge(out, "run")
    for path in (merged, out, tmp_path / "run", str(merged)):
        ds = dataset.open(path)
        assert ds.drop_attrs().identical(from_segments.drop_attrs())
        assert ds.sizes["time"] == 10


def test_open_explains_itself(tmp_path: Path) -> None:
    """Nothing there, nothing in it, two in it."""
    with pytest.raises(UserError, match="does not exist"):
        dataset.open(tmp_path / "none")
    with pytest.raises(UserError, match="holds no results"):
        dataset.open(tmp_path)
    for name in ("a.nc", "b.nc"):
        dataset.write(tmp_path / name, dataset.build(rows_of(2), (), about()))
    with pytest.raises(UserError, match=r"2 datasets.*a\.nc"):
        dataset.open(tmp_path)


def test_a_folder_of_many_runs_names_one(tmp_path: Path) -> None:
    """A study's, whose runs are there, is not told to be started."""
    (tmp_path / "tasks").mkdir()
    dataset.write(tmp_path / "tasks" / "a1.nc", dataset.build(rows_of(2), (), about()))
    with pytest.raises(UserError, match=r"the runs of a study \(1 finished\); name one, .*a1\.nc"):
        dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"), [("a.csv", "is no dataset; give a .nc file"), ("a.yaml", "says what to run and holds no results")]
)
def test_what_is_no_dataset_is_not_called_damaged(tmp_path: Path, name: str, says: str) -> None:
    """It has neither the name nor the first bytes of one. Negative control: one without the name opens."""
    path = tmp_path / name
    path.write_text("a: 1\n")
    for look in (dataset.open, dataset.verify):
        with pytest.raises(UserError, match=says) as caught:
            look(path)
        assert caught.value.exit_code == 2
    made = dataset.write(tmp_path / "made", dataset.build(rows_of(2), (), about()))
    assert dataset.verify(made) == []
    assert dataset.open(made).sizes["time"] == 2


def test_a_sound_file_has_no_problems(written: Path) -> None:
    """And neither has its folder."""
    assert dataset.verify(written) == []
    assert dataset.verify(written.parent) == []


def test_every_cut_and_flipped_bit_is_found(written: Path, tmp_path: Path) -> None:
    """One flipped bit anywhere, or any missing end, is named; a copy without damage is not."""
    good = written.read_bytes()
    path = tmp_path / "copy.nc"
    generator = np.random.Generator(np.random.PCG64(2))
    ends = [*range(48), *range(len(good) - 77, len(good))]
    for place in [*ends, *generator.integers(0, len(good), 150).tolist()]:
        data = bytearray(good)
        data[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(data))
        (problem,) = dataset.verify(path)
        assert problem.path == path
    lengths = [0, 1, 47, 48, *generator.integers(50, len(good), 40).tolist(), len(good) - 1, len(good) - 76]
    for length in lengths:
        path.write_bytes(good[:length])
        assert len(dataset.verify(path)) == 1, length
    path.write_bytes(good)
    assert dataset.verify(path) == []


def test_changed_values_are_found(written: Path, tmp_path: Path) -> None:
    """A file that another program rewrote with other values, without our line behind it."""
    ds = dataset.open(written)
    untouched, changed = tmp_path / "same.nc", tmp_path / "changed.nc"
    ds.to_netcdf(untouched)
    ds["current"].values[3] = np.nextafter(ds["current"].values[3], 1.0)
    ds.to_netcdf(changed)
    assert dataset.verify(untouched) == []
    assert ["SHA-256" in p.message for p in dataset.verify(changed)] == [True]


def test_the_schema_is_checked(tmp_path: Path) -> None:
    """Missing and foreign variables, wrong units, broken attributes and time running backwards."""
    ds = dataset.build(rows_of(5), (), about())
    del ds["gap"]
    ds["mine"] = ("time", np.zeros(5))
    ds["current"].attrs["units"] = "mA"
    ds.attrs.update(run="{", schema_version="9.0")
    ds = ds.isel(time=slice(None, None, -1))
    found = " ".join(problem.message for problem in dataset.verify(dataset.write(tmp_path / "x.nc", ds)))
    for part in ("schema_version is 9.0", "attribute run", "gap is missing", "mine is not in", "mA"):
        assert part in found
    assert "backwards" in found


@pytest.mark.parametrize(
    ("version", "unknown", "missing"),
    [("1.0", True, False), ("1.1", True, False), ("1.2", True, True), ("1.10", False, True)],
)
def test_a_second_number_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, unknown: bool, missing: bool
) -> None:
    """A later one may have more, an earlier one less: both are sound; today's has what is in the table."""
    monkeypatch.setattr(dataset, "SCHEMA_VERSION", "1.2")
    ds = dataset.build(rows_of(5), (), about()).assign_attrs(schema_version=version)
    for name, change, fault in (("more", {"mine": ("time", np.zeros(5))}, unknown), ("less", {}, missing)):
        changed = ds.assign(change) if change else ds.drop_vars("gap")
        found = dataset.verify(dataset.write(tmp_path / f"{name}.nc", changed))
        assert len(found) == fault, (name, found)


def test_other_files_of_ours_have_no_traces(tmp_path: Path) -> None:
    """What a reservoir writes is sound without them; of a foreign file all is told, whatever its time is."""
    states = xr.Dataset({"state": (("sample", "node"), np.ones((2, 3)))})
    assert dataset.verify(netcdf.write(tmp_path / "states.nc", states)) == []
    for k, time in enumerate((("time", np.array(["a", "b"])), ((), 1.0))):
        xr.Dataset(coords={"time": time}).to_netcdf(tmp_path / f"{k}.nc")
        found = " ".join(problem.message for problem in dataset.verify(tmp_path / f"{k}.nc"))
        assert "not written by kmc" in found
        assert "backwards" not in found


def test_verify_needs_something(tmp_path: Path) -> None:
    """An empty folder and a wrong path are the user's to mend."""
    with pytest.raises(UserError, match="holds no dataset"):
        dataset.verify(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        dataset.verify(tmp_path / "none")


def test_opening_damage_names_the_file(written: Path) -> None:
    """A truncated file is a CorruptFile with its path, not an error of the HDF5 library."""
    written.write_bytes(written.read_bytes()[:5000])
    with pytest.raises(CorruptFile, match=r"run\.nc.*truncated"):
        dataset.open(written)


def test_a_flipped_bit_is_never_read_silently(written: Path, tmp_path: Path) -> None:
    """A value that a disk changed: the file, its folder and a segment of an unfinished run are refused."""
    data = bytearray(written.read_bytes())
    place = data.index(dataset.open(written)["current"].values.tobytes())
    data[place + 3] ^= 1
    for path in (written, tmp_path / "later" / "segments" / "0000.nc"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for where in (written, tmp_path / "later"):
        with pytest.raises(CorruptFile, match=r"\.nc cannot be read: .*a bit flipped"):
            dataset.open(where)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that opens and cannot be read")
def test_a_file_that_opens_and_cannot_be_read() -> None:
    """As on a failing disk: with its name and the system's reason."""
    with pytest.raises(CorruptFile, match="/proc/self/mem cannot be read: input/output error"):
        dataset.verify(Path("/proc/self/mem"))


def test_a_file_that_the_system_will_not_read(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk: the file is named, by its reader and by verify."""

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(netcdf, "checksum_problem", fail)
    assert [str(problem) for problem in dataset.verify(written)] == [f"{written}: input/output error"]
    with pytest.raises(CorruptFile, match="input/output error"):
        dataset.open(written)


def test_a_flipped_bit_of_a_large_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read lazily is refused when it is opened."""
    monkeypatch.setattr(dataset, "_LOAD_BELOW", 0)
    data = bytearray(written.read_bytes())
    data[len(data) // 2] ^= 1
    written.write_bytes(data)
    with pytest.raises(CorruptFile, match="a bit flipped"):
        dataset.open(written)


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space"), (errno.EROFS, "read-only")])
def test_a_full_or_readonly_disk_is_said(
    written: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """The old file stays, the half-written one goes, and the message says why."""
    before = written.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, "x")

    monkeypatch.setattr("kmc.core.atomic_files.os.replace", fail)
    with pytest.raises(WriteFailed, match=words):
        dataset.write(written, dataset.build(rows_of(3), (), about()))
    assert written.read_bytes() == before
    assert [p.name for p in written.parent.iterdir()] == ["run.nc"]


_LIMITED = """
import resource, sys
sys.path[:0] = {folders!r}
from pathlib import Path
import test_dataset
from kmc.core.atomic_files import WriteFailed
from kmc.io import dataset
ds = dataset.build(test_dataset.rows_of(200_000), (), {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    dataset.write(Path("big.nc"), ds)
except WriteFailed as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_disk_that_fills_up_while_writing(tmp_path: Path, repository: Path) -> None:
    """netCDF's own failure in the middle of a file becomes one plain message, and no file is left."""
    folders = [str(repository / folder) for folder in ("tests/io", "tests/support", ".")]
    script = _LIMITED.format(folders=folders)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert "cannot write big.nc" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_writer_a_folder(tmp_path: Path) -> None:
    """A second writer is told; after the first it may."""
    with only_one(tmp_path):
        with pytest.raises(UserError, match="another process"), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        pass


def test_a_writer_waits_for_who_only_looks(tmp_path: Path) -> None:
    """To see whether a folder is held takes it for a moment; without patience a writer is refused there."""
    for patience_s, refused in ((30.0, False), (0.0, True)):
        with contextlib.ExitStack() as look:
            look.enter_context(only_one(tmp_path))
            ended = threading.Timer(0.2, look.close)
            ended.start()
            with pytest.raises(UserError) if refused else contextlib.nullcontext():
                with only_one(tmp_path, patience_s):
                    pass
            ended.join()


def test_other_readers_take_the_file(written: Path) -> None:
    """The line behind the HDF5 data disturbs no reader: netCDF's own tool, where it is installed, too."""
    import netCDF4

    with netCDF4.Dataset(written) as file:
        assert file.variables["current"].units == "A"
    if tool := shutil.which("ncdump"):
        subprocess.run([tool, "-h", str(written)], check=True, capture_output=True)
