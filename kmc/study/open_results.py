"""`kmc.open`: one run or a whole study, whichever lies at the path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kmc.core.errors import UserError
from kmc.io import dataset
from kmc.study.manifest import is_study

if TYPE_CHECKING:
    import xarray as xr


def open(path: str | Path) -> xr.Dataset:
    """Open a netCDF file, the folder of a run, or the folder of a study, as an xarray.Dataset.

    Of a run, files below 200 MB are loaded and larger ones read lazily. A study is always read lazily: see
    `kmc.study.results.open_study` for its dimensions. Raises UserError when there is nothing and CorruptFile
    when a file cannot be read.
    """
    if not isinstance(path, (str, Path)):
        step = "name one file or folder; xr.concat joins what several hold"
        raise UserError(f"kmc.open takes one path, not {path!r:.60}", next_step=step)
    folder = dataset.out_of(Path(path))
    if not is_study(folder):
        return dataset.open(path)
    from kmc.study.results import open_study

    return open_study(folder)
