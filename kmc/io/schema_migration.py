"""Datasets of earlier schemas: what `kmc.open` gives looks like today's, and the file stays as it is.

A schema has two numbers. The second rises when a variable or attribute is added: readers of either version
read both. The first rises when something is renamed, removed or means something else: then a function here
makes a dataset of the one before into one of the next, and there is one for every first number released.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kmc.core.errors import CorruptFile, UserError
from kmc.io.variables import SCHEMA_VERSION

if TYPE_CHECKING:
    import xarray as xr

#: from a first number to the next; 1 is the first that there was
STEPS: dict[int, Callable[[xr.Dataset], xr.Dataset]] = {}
NAME = "schema_version"


def current(ds: xr.Dataset, path: Path) -> xr.Dataset:
    """`ds` in today's schema; one without a version is of another program, and is left alone.

    Raises UserError for a file that a newer kmc wrote, and CorruptFile for a version that never was.
    """
    given = ds.attrs.get(NAME)
    if given is None:
        return ds
    first, _, second = str(given).partition(".")
    here = int(SCHEMA_VERSION.partition(".")[0])
    if not (first.isdecimal() and second.isdecimal()) or (int(first) < here and int(first) not in STEPS):
        raise CorruptFile(
            f"{path} has {NAME} {given!r:.40}, which no kmc wrote", next_step="run it again, or restore it from a copy"
        )
    if int(first) > here:
        told = f"was written by a newer kmc: its {NAME} is {given}, this one reads {SCHEMA_VERSION}"
        raise UserError(f"{path} {told}", next_step="bring kmc up to date (kmc --version)")
    if int(first) == here:
        return ds
    for number in range(int(first), here):
        ds = STEPS[number](ds)
    return ds.assign_attrs({NAME: SCHEMA_VERSION, "migrated_from": str(given)})
