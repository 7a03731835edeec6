"""Datasets of other schemas: older ones are read as today's, newer ones are refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from test_dataset import about, rows_of

import kmc
from kmc.core.errors import CorruptFile, UserError
from kmc.io import dataset, schema_migration


def written(path: Path, version: str | None, **renamed: str) -> xr.Dataset:
    """A file of a version, in which variables may have other names."""
    ds = dataset.build(rows_of(5), [], about()).rename(renamed)
    ds.attrs.pop("schema_version")
    ds = ds if version is None else ds.assign_attrs(schema_version=version)
    dataset.write(path, ds)
    return ds


@pytest.mark.parametrize("version", ["1.0", "1.7", None])
def test_what_needs_no_step(tmp_path: Path, version: str | None) -> None:
    """Today's, one with more variables than we know, and another program's file."""
    ds = written(tmp_path / "x.nc", version)
    assert kmc.open(tmp_path / "x.nc")["current"].identical(ds["current"])


def test_an_older_one_is_read_as_todays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps in turn, from a file, a folder and segments; the file stays as it is."""
    monkeypatch.setattr(schema_migration, "SCHEMA_VERSION", "3.0")
    monkeypatch.setitem(schema_migration.STEPS, 1, lambda ds: ds.rename(amps="amperes"))
    monkeypatch.setitem(schema_migration.STEPS, 2, lambda ds: ds.rename(amperes="current"))
    (tmp_path / "out").mkdir()
    written(tmp_path / "out" / "x.nc", "1.2", current="amps")
    before = (tmp_path / "out" / "x.nc").read_bytes()
    for path in (tmp_path / "out" / "x.nc", tmp_path):
        ds = kmc.open(path)
        assert ds["current"].values.tolist() == rows_of(5)["current"].tolist()
        assert (ds.attrs["schema_version"], ds.attrs["migrated_from"]) == ("3.0", "1.2")
    assert (tmp_path / "out" / "x.nc").read_bytes() == before
    dataset.write_segment(tmp_path / "later", 0, xr.open_dataset(tmp_path / "out" / "x.nc").load())
    assert "current" in kmc.open(tmp_path / "later")


def test_a_newer_one_says_what_to_do(tmp_path: Path) -> None:
    """Not a damaged file: a newer program reads it."""
    written(tmp_path / "x.nc", "2.0")
    with pytest.raises(UserError, match=r"newer kmc.*bring kmc up to date") as caught:
        kmc.open(tmp_path / "x.nc")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("version", ["0.9", "one", "", "1", "-1.0"])
def test_a_version_that_never_was(tmp_path: Path, version: str) -> None:
    """It is taken for damage."""
    written(tmp_path / "x.nc", version)
    with pytest.raises(CorruptFile, match="which no kmc wrote"):
        kmc.open(tmp_path / "x.nc")


def test_every_released_first_number_has_its_step() -> None:
    """From 1 to today's; so a released file is never lost."""
    assert sorted(schema_migration.STEPS) == list(range(1, int(schema_migration.SCHEMA_VERSION.split(".")[0])))
