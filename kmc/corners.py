"""Corners of a voltage program in a file: a measured table, or the list of a circuit's PWL source."""

from __future__ import annotations

import csv
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

from kmc import documents
from kmc.documents import Mapping, place
from kmc.errors import UserError

MOST = 10_000  # corners
TIME, VOLTAGE = "time_s", "voltage_source_V"  # the columns of a measured trace, whatever else it has
_COMMENT = ("*", "#", ";")


def with_points(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a pwl segment in which the corners of its `file` are its points."""
    if "file" not in values:
        return values
    where = place(values, "file")
    if "points" in values:
        raise UserError("pwl has both points and a file", where, next_step="keep one of the two")
    given = copy(values)  # with the lines of its keys, where it has any
    path = given.pop("file")
    if not isinstance(path, str):
        raise UserError(f"file in pwl is {path!r:.40}, not a path", where, next_step="write file: mine.csv")
    beside = Path(values.file).parent if isinstance(values, Mapping) else Path()
    given["points"] = read(beside / path)
    if isinstance(given, Mapping):
        given.lines["points"] = f"{beside / path}"
    return given


def read(path: Path) -> tuple[tuple[float, float], ...]:
    """Corners (s from the first on, V) of a file: columns time_s and voltage_source_V, or two without a name.

    Raises UserError with file and line.
    """
    rows = [(line, row) for line, row in enumerate(_rows(documents.read_text(path, ".csv")), start=1) if row]
    if not rows:
        raise UserError("holds no corners", f"{path}:1", next_step=f"begin with the line {TIME},{VOLTAGE}")
    columns = (0, 1) if _is_number(rows[0][1][0]) else _columns(rows.pop(0)[1], path)
    found = [_corner(row, columns, f"{path}:{line}") for line, row in rows]
    for (line, _), (before, after) in zip(rows[1:], pairwise(found), strict=True):
        if after[0] <= before[0]:
            raise UserError(f"the time {after[0]:g} s is not after {before[0]:g} s", f"{path}:{line}",
                            next_step="sort the rows, and give each time once")  # fmt: skip
    if not 2 <= len(found) <= MOST:
        raise UserError(f"has {len(found)} corners", str(path), next_step=f"give 2 to {MOST:,}")
    return tuple((time - found[0][0], volt) for time, volt in found)


def _rows(text: str) -> list[list[str]]:
    """Entries of each line, without comments: parted by semicolons (then a comma is a decimal point), else by
    commas, else by spaces."""
    lines = ["" if line.lstrip().startswith(_COMMENT) else line for line in text.splitlines()]
    mark = next((mark for mark in ";," if any(mark in line for line in lines)), None)
    if mark is None:
        return [line.split() for line in lines]
    point = (",", ".") if mark == ";" else ("", "")
    return [[entry.strip().replace(*point) for entry in row] for row in csv.reader(lines, delimiter=mark)]


def _columns(head: list[str], path: Path) -> tuple[int, int]:
    for name, unit in ((TIME, "s"), (VOLTAGE, "V")):
        if head.count(name) != 1:  # no name is proposed: one like it may be in another unit
            often = "no column" if name not in head else "more than one column"
            raise UserError(f'has {often} "{name}"', f"{path}:1", next_step=f"give one, in {unit}")
    return head.index(TIME), head.index(VOLTAGE)


def _corner(row: list[str], columns: tuple[int, int], where: str) -> tuple[float, float]:
    entries = [row[one] if one < len(row) else "" for one in columns]
    if not all(map(_is_number, entries)):
        raise UserError(f"{' and '.join(map(repr, entries))} are no time and voltage", where,
                        next_step="give plain numbers in s and V")  # fmt: skip
    return float(entries[0]), float(entries[1])


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
