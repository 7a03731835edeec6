"""Exports read back as what they were: CSV, extended XYZ by ase, VTK by pyvista, PWL as a source."""

from __future__ import annotations

import math
import re
import sys
from itertools import pairwise
from pathlib import Path

import fake_simulation
import numpy as np
import pytest
import xarray as xr

from kmc.cards.stack import load_stack
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.io import dataset, export, provenance
from kmc.io.variables import TRACES


@pytest.fixture
def ds() -> xr.Dataset:
    """A pulse train of the fake simulation with three snapshots."""
    protocol = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=3, compliance="10 uA")
    simulation = fake_simulation.Simulation(None, protocol, Settings(), 7)
    simulation.run()
    shots = [{"time": time, "spacing_nm": 0.5, **simulation.snapshot()} for time in (0.01, 0.02, 0.04)]
    return dataset.build(simulation.take_rows(), shots)


def test_files_of_other_programs_are_refused(
    ds: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line by `kmc export` and `kmc report`, whatever they lack."""
    foreign = {"empty": xr.Dataset(), "no run": ds.drop_attrs(), "no source": ds.drop_vars("voltage_source")}
    for name, one in foreign.items():
        path = tmp_path / f"{name}.nc"
        one.to_netcdf(path)
        for words in (["export", str(path), "-f", "pwl"], ["report", str(path)]):
            assert app.main(words) == 2
            assert "is no dataset of kmc" in capsys.readouterr().err
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".nc"] * 3


def test_csv_reads_back_equal(ds: xr.Dataset, tmp_path: Path) -> None:
    """Every float to its last bit, with units in the header."""
    (path,) = export.write_csv(ds, tmp_path / "trace.csv")
    header, *lines = path.read_text().splitlines()
    names = header.split(",")
    assert names[:4] == ["time_s", "voltage_source_V", "voltage_device_V", "current_A"]
    assert "n_ag_ion" in names
    values = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    for i, name in enumerate(TRACES):
        assert np.array_equal(values[:, i], ds[name].values)


def test_observers_numbers_go_along(ds: xr.Dataset, tmp_path: Path) -> None:
    """They are columns, and a dataset with them is sound; another variable is not of the schema."""
    seen = [{"time": time, "atoms": float(k)} for k, time in enumerate(ds["time"].values)]
    full = dataset.with_numbers(ds, seen)
    assert full["atoms"].attrs["units"] == "1"
    (path,) = export.write_csv(full, tmp_path / "a.csv")
    assert np.genfromtxt(path, delimiter=",", names=True)["atoms"].tolist() == full["atoms"].values.tolist()
    told = dataset._schema_problems(full.assign(other=full["atoms"].drop_attrs()))
    assert [one for one in told if "atoms" in one or "other" in one] == ["the variable other is not in the schema"]


def test_extxyz_is_read_by_ase(ds: xr.Dataset, tmp_path: Path) -> None:
    """Cell, periodicity, species, charges and places, in angstrom, a frame a snapshot."""
    io = pytest.importorskip("ase.io")
    (path,) = export.write_extxyz(ds, tmp_path / "atoms.xyz")
    frames = io.read(path, index=":")
    assert len(frames) == 3
    for index, atoms in enumerate(frames):
        cation = ds["cation"].values[index]
        assert atoms.cell.lengths().tolist() == [20.0, 20.0, 40.0]
        assert atoms.pbc.tolist() == [True, True, False]
        assert atoms.info["Time"] == ds["snapshot_time"].values[index]
        silver = np.array(atoms.get_chemical_symbols()) == "Ag"
        charge = atoms.get_charges()
        assert np.sum(silver & (charge == 1.0)) == np.sum(cation == 1)
        assert np.sum(silver & (charge == 0.0)) == np.sum(cation == 2)
        assert np.sum(~silver) == 4  # one plane of 2 x 2 cells
        sites = np.floor(atoms.positions / 5.0).astype(int)[silver]
        assert np.all(cation[sites[:, 2], sites[:, 1], sites[:, 0]] > 0)
        z = atoms.positions[silver][:, 2]
        assert np.allclose(atoms.arrays["potential"][silver], np.floor(z / 5.0) / 7.0, atol=1e-5)
        assert np.allclose(atoms.arrays["temperature"][silver], 300.0 + np.floor(z / 5.0))


def test_the_cell_of_a_window_that_is_not_square(ds: xr.Dataset, tmp_path: Path) -> None:
    """Is that wide in x, that deep in y and that high in z."""
    (path,) = export.write_extxyz(ds.isel(x=slice(0, 2)), tmp_path / "atoms.xyz")
    cell = "10.000000 0.0 0.0 0.0 20.000000 0.0 0.0 0.0 40.000000"
    assert path.read_text().splitlines()[1].startswith(f'Lattice="{cell}"')


def test_extxyz_names_the_metal(ds: xr.Dataset, tmp_path: Path) -> None:
    """As the electrode's card does; silver where a dataset does not say."""
    about = provenance.describe(load_stack("ogb_20nm_au"), Protocol.hold("0 V", "1 s"), Settings(), 1)
    for name, one in {"Ag": ds, "Au": ds.assign_attrs(provenance.attributes(about))}.items():
        (path,) = export.write_extxyz(one, tmp_path / f"{name}.xyz")
        words = {line.split()[0] for line in path.read_text().splitlines() if line.count(" ") == 6}
        assert words == {name, "X"}


def test_vacancies_that_are_a_thin_mean_are_said(
    ds: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual run keeps their mean, which no cell shows as one. Shown ones, or none: no word."""
    for share, said in ((0.04, True), (0.5, False), (0.0, False)):
        thin = ds.assign(vacancy=share * ds["vacancy"])
        (path,) = export.write_extxyz(thin, tmp_path / f"{share}.xyz")
        assert ("\nX " in path.read_text()) == (share == 0.5)
        told = capsys.readouterr()
        assert told.out == ""
        assert (told.err.count("\n") == 1) == said
        assert (
            "note: no vacancy is shown: vacancies: equilibrium keeps their mean, 0.04 a cell at most" in told.err
        ) == said
    export.write_extxyz(ds.drop_vars("vacancy"), tmp_path / "none.xyz")
    assert capsys.readouterr().err == ""


def test_vtk_is_read_by_pyvista(ds: xr.Dataset, tmp_path: Path) -> None:
    """Cells are sites, in the right order, at the right place; the .pvd has the times."""
    pyvista = pytest.importorskip("pyvista")
    series, *images = export.write_vtk(ds, tmp_path / "fields.vti")
    assert len(images) == 3
    named = [text for text in series.read_text().split('"') if text.endswith(".vti")]
    assert named == [image.name for image in images]
    image = pyvista.read(images[1])
    assert image.bounds[1::2] == pytest.approx((2.0, 2.0, 4.0))
    cell = image.find_closest_cell((0.75, 1.25, 3.25))
    for name in ("cation", "potential", "temperature", "region"):
        frame = ds[name].values[1] if "snapshot_time" in ds[name].dims else ds[name].values
        assert image.cell_data[name][cell] == frame[6, 2, 1]
    (one,) = export.write_vtk(ds.isel(snapshot_time=[0]), tmp_path / "one.vti")
    assert one.name == "one.vti"


def test_a_series_of_the_users_is_kept(ds: xr.Dataset, tmp_path: Path) -> None:
    """The .pvd with the times takes the place of an earlier one only, and before that nothing is written."""
    pytest.importorskip("pyvista")
    mine = tmp_path / "fields.pvd"
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"fields\.pvd holds something else"):
        export.write_vtk(ds, tmp_path / "fields.vti")
    assert [path.name for path in tmp_path.iterdir()] == ["fields.pvd"]
    assert mine.read_text() == "mine"
    mine.unlink()
    for _ in range(2):
        assert export.write_vtk(ds, tmp_path / "fields.vti")[0] == mine


def test_vtk_says_what_is_missing(ds: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyvista there is one plain message and no file."""
    monkeypatch.setitem(sys.modules, "pyvista", None)
    with pytest.raises(UserError, match=r"pyvista.*pip install"):
        export.write_vtk(ds, tmp_path / "fields.vti")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [export.write_extxyz, export.write_vtk])
def test_snapshots_are_needed(ds: xr.Dataset, tmp_path: Path, write: export.Writer) -> None:
    """A dataset of traces alone says what to run."""
    with pytest.raises(UserError, match="no snapshots"):
        write(ds.drop_dims("snapshot_time"), tmp_path / "x")


def test_pwl_has_the_corners(ds: xr.Dataset, tmp_path: Path) -> None:
    """Time rises strictly, and at each sample the source is where it was."""
    (path,) = export.write_pwl(ds, tmp_path / "source.pwl")
    points = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]
    times, volts = map(np.array, zip(*points, strict=True))
    assert np.all(np.diff(times) > 0)
    assert (times[0], volts[0]) == (0.0, 1.0)
    assert times[-1] == ds["time"].values[-1]
    assert len(points) == 12  # two for each of five steps, the start and the end
    assert np.array_equal(np.interp(ds["time"].values, times, volts), ds["voltage_source"].values)


def test_a_waveform_of_ones_own_is_no_export(ds: xr.Dataset, tmp_path: Path) -> None:
    """Two columns that begin at zero are the user's, however like ours; an earlier export is replaced."""
    mine = tmp_path / "mine.txt"
    for text in ("0.0 0.0\n0.001 0.5\n", "0 1\n", "0.00 0.0625\n0.1 0.2\n"):
        mine.write_text(text)
        with pytest.raises(UserError, match="holds something else"):
            export.write_pwl(ds, mine)
        assert mine.read_text() == text
    for _ in range(2):
        export.write_pwl(ds, tmp_path / "ours.txt")


def test_pwl_of_one_level() -> None:
    """A constant source is two points."""
    rows = {name: np.zeros(2) for name in TRACES}
    rows |= {"time": np.array([1.0, 2.0]), "voltage_source": np.full(2, 0.1)}
    assert export.pwl_points(dataset.build(rows)) == [(0.0, 0.1), (2.0, 0.1)]
    assert export.pwl_points(dataset.build({name: np.zeros(0) for name in TRACES})) == [(0.0, 0.0)]


def test_formats_by_name() -> None:
    """A wrong name has its nearest."""
    suffixes = [export.writer(name)[1] for name in ("csv", "extxyz", "vtk", "pwl")]
    assert suffixes == [".csv", ".xyz", ".vti", ".pwl"]
    with pytest.raises(UserError, match='did you mean "extxyz"'):
        export.writer("extxy")


def test_an_old_file_is_replaced_whole(ds: xr.Dataset, tmp_path: Path) -> None:
    """A value that is not finite is written as such, and nothing is left beside the file."""
    path = tmp_path / "trace.csv"
    export.write_csv(ds, path)
    broken = ds.isel(time=slice(0, 3)).copy()
    broken["current"] = ("time", np.array([1.0, math.nan, 2.0]))
    export.write_csv(broken, path)
    assert "nan" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["trace.csv"]


def test_a_vacancy_is_where_it_is(ds: xr.Dataset, tmp_path: Path) -> None:
    """In the middle of its cell of two sites, with one charge."""
    (path,) = export.write_extxyz(ds, tmp_path / "a.xyz")
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("X ")][:4]
    found = sorted([float(word) for word in row[1:5]] for row in rows)
    assert found == [[x, y, 15.0, 1.0] for x in (5.0, 15.0) for y in (5.0, 15.0)]


def test_a_series_has_its_times(ds: xr.Dataset, tmp_path: Path) -> None:
    """Those of the snapshots, s."""
    pytest.importorskip("pyvista")
    series = export.write_vtk(ds, tmp_path / "f.vti")[0]
    times = [float(found) for found in re.findall(r'timestep="([^"]+)"', series.read_text())]
    assert times == ds["snapshot_time"].values.tolist()


def test_a_pwl_rises_within_a_hundredth(ds: xr.Dataset) -> None:
    """Of the shorter of the two levels at most."""
    points = export.pwl_points(ds)
    rises = [after[0] - before[0] for before, after in pairwise(points) if before[1] != after[1]]
    assert rises
    assert max(rises) <= 0.0101 * 10e-3
