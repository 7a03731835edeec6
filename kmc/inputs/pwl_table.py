"""Tables of a user's own, and the corners of a voltage program in one, or in a list of a circuit's source."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable
from copy import copy
from math import inf, nextafter
from pathlib import Path
from typing import Any

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping, place
from kmc.core.errors import UserError
from kmc.core.units import convert

MOST = 10_000  # corners
SIZE_LIMIT = 100_000_000  # bytes of a table
TIME, VOLTAGE = "time_s", "voltage_source_V"  # the columns of a measured trace, whatever else it has
OF_SAMPLES = {"limited", "n_ag_metal"}  # columns that `kmc export --format csv` alone writes
_COMMENT = ("*", "#", ";")
# What instruments call a column: words and a unit in brackets, or a whole word and a unit behind a line.
_UNIT = r"[fpnuµμm]?[AV]|kV|[fpnuµμm]?s|min|h"
_NAMED = re.compile(rf"(?P<what>.+?)\s*[(\[]\s*(?P<unit>{_UNIT})\s*[)\]]|(?P<word>\w\w+)_(?P<last>{_UNIT})")
_ALSO = {"time": ("t",), "voltage_source": ("voltage", "v", "bias"), "current": ("i",)}


def with_points(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a pwl segment in which the corners of its `file` are its points."""
    if "file" not in values:
        return values
    where = place(values, "file")
    if "points" in values:
        raise UserError("pwl has both points and a file", where, next_step="keep one of the two")
    given = copy(values)  # with the lines of its keys, where it has any
    path = given.pop("file")
    if not isinstance(path, str) or not path.strip() or not path.isprintable():
        raise UserError(f"file in pwl is {path!r:.40}, not a path", where, next_step="write file: mine.csv")
    beside = Path(values.file).parent if isinstance(values, Mapping) else Path()
    given["points"] = read(beside / path)
    if isinstance(given, Mapping):
        given.lines["points"] = f"{beside / path}"
    return given


def table_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a table that hold something: their numbers, and their cells.

    Cells are parted by semicolons, or by tabs where the first line has no comma but others do (then a comma
    is a decimal point), else by commas, else by spaces or tabs; what begins with one of * # ; is a comment.
    Raises UserError for a file that cannot be read.
    """
    text = yaml_documents.read_text(path, ".csv", SIZE_LIMIT)
    lines = ["" if line.lstrip().startswith(_COMMENT) else line for line in text.splitlines()]
    first = next((line for line in lines if line.strip()), "")
    tabs = "\t" in first and "," not in first and any("," in line for line in lines)
    mark = next((mark for mark in (";\t" if tabs else ";,") if any(mark in line for line in lines)), None)
    if mark is None:  # names may hold blanks between tabs
        blank = "\t" if "\t" in first else None
        rows = [[cell.strip() for cell in line.split(blank)] if line.strip() else [] for line in lines]
    else:
        point = (",", ".") if mark in ";\t" else ("", "")
        cut = csv.reader(lines, delimiter=mark)
        try:
            rows = [[cell.strip().replace(*point) for cell in row] for row in cut]
        except csv.Error as error:  # a quotation mark that nothing closes
            raise UserError(str(error), f"{path}:{cut.line_num}", next_step='look for a stray "') from None
    return [(line, row) for line, row in enumerate(rows, start=1) if row]


def column_of(name: str, columns: Iterable[str]) -> tuple[str, float]:
    """The one of `columns` that a name of an instrument stands for, "Current (uA)" or "current_uA" for
    current_A, and what its numbers are multiplied by; a name that stands for none as it is."""
    found = _NAMED.fullmatch(name.strip())
    if name in columns or found is None:
        return name, 1.0
    what = re.sub(r"\W+", "_", (found["what"] or found["word"]).strip().lower())
    for known in columns:
        quantity, _, unit = known.rpartition("_")
        if what in (quantity, *_ALSO.get(quantity, ())):
            with contextlib.suppress(UserError):  # another quantity, or no unit
                return known, convert(1.0, found["unit"] or found["last"], unit)
    return name, 1.0


def check_width(row: list[str], width: int, where: str) -> None:
    """UserError for a row that has not a cell for each column: which number is which is not known."""
    if len(row) != width:
        raise UserError(
            f"has {len(row)} cells, not {width}", where, next_step="give one number a column, with a decimal point"
        )


def read(path: Path) -> tuple[tuple[float, float], ...]:
    """Corners (s from the first on, V) of a file: columns time_s and voltage_source_V, or two without a name.

    A time that is given twice is a step. Raises UserError with file and line.
    """
    rows = table_rows(path)
    if not rows:
        raise UserError("holds no corners", f"{path}:1", next_step=f"begin with the line {TIME},{VOLTAGE}")
    width, columns, factors = 2, (0, 1), (1.0, 1.0)
    if not _is_number(rows[0][1][0]):
        line, head = rows.pop(0)
        free = [name for name in (TIME, VOLTAGE) if name not in head]  # there may be any others
        named = [column_of(name, free) for name in head]
        width, columns = len(head), _columns([name for name, _ in named], f"{path}:{line}")
        factors = (named[columns[0]][1], named[columns[1]][1])
    found: list[tuple[float, float]] = []
    before = -inf
    for line, row in rows:
        check_width(row, width, f"{path}:{line}")
        corner = _corner(row, columns, f"{path}:{line}")
        time, volt = (one * factor for one, factor in zip(corner, factors, strict=True))
        if time < before:
            raise UserError(f"the time {time:g} s is before {before:g} s", f"{path}:{line}", next_step="sort the rows")
        before = time
        found.append((max(time, nextafter(found[-1][0], inf)) if found else time, volt))
    if not 2 <= len(found) <= MOST:
        raise UserError(f"has {len(found)} corners", str(path), next_step=f"give 2 to {MOST:,}")
    return tuple((time - found[0][0], volt) for time, volt in found)


def _columns(head: list[str], where: str) -> tuple[int, int]:
    """Places of time and voltage in the names of a table's columns."""
    if OF_SAMPLES <= set(head):
        raise UserError(
            "is a table of samples: a row has what was held before it, and is no corner",
            where,
            next_step="write corners, e.g. with kmc export --format pwl",
        )
    for name, unit in ((TIME, "s"), (VOLTAGE, "V")):
        if head.count(name) != 1:  # no name is proposed: one like it may be in another unit
            often = "no column" if name not in head else "more than one column"
            raise UserError(f'has {often} "{name}"', where, next_step=f"give one, in {unit}")
    return head.index(TIME), head.index(VOLTAGE)


def _corner(row: list[str], columns: tuple[int, int], where: str) -> tuple[float, float]:
    entries = [row[one] for one in columns]
    if not all(map(_is_number, entries)):
        raise UserError(
            f"{' and '.join(map(repr, entries))} are no time and voltage",
            where,
            next_step="give plain numbers in s and V",
        )
    return float(entries[0]), float(entries[1])


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < inf
    except ValueError:
        return False
