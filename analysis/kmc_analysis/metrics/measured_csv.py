"""Measurements in CSV: columns by name, each with its unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kmc.cards.yaml_documents import unknown
from kmc.core.errors import UserError, nearest
from kmc.core.progress import say
from kmc.inputs.pwl_table import check_width, column_of, table_rows
from kmc.io.variables import TRACES, column

_COLUMNS = {  # whether they have to be there
    "time_s": True,
    "voltage_source_V": True,
    "current_A": True,
    "voltage_device_V": False,
    "compliance_A": False,
}
_OTHERS = tuple(name for name in map(column, TRACES) if name not in _COLUMNS)  # of `kmc export`
# A corner of the source that was not measured has no current; see _numbers for the limit.
_MAY_BE_NONE = ("current_A", "voltage_device_V")
_LIMIT = "compliance_A"
_LEAST_V = 5e-3  # below it an offset decides the sign of a current
_MOST_A = 1e3
_HEAD = 200  # lines that instruments write above their columns, at most
TABLES = (".csv", ".txt", ".dat", ".tsv")  # what tables of columns end in


def measured_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV by name, each [n], in s, V and A. Raises UserError with file and line."""
    rows = table_rows(path)
    first, given = rows.pop(0) if rows else (1, [])
    named = [column_of(name, _COLUMNS) for name in given]
    head = [name for name, _ in named]
    if not _needed() <= set(head) and (later := _line_of_names(rows)):
        raise UserError(
            "the names of the columns are not in the first line",
            f"{path}:{later}",
            next_step="remove the lines above them, or begin those with #",
        )
    _check_head(head, f"{path}:{first}")
    table = _numbers(rows, head, path) * [factor for _, factor in named]
    if len(table) < 3:
        raise UserError(
            "needs three rows or more", f"{path}:{rows[-1][0] if rows else first}", next_step="give more of the trace"
        )
    back = np.flatnonzero(np.diff(table[:, head.index("time_s")]) < 0.0)
    if back.size:
        raise UserError(
            "its time is before that of the row above",
            f"{path}:{rows[back[0] + 1][0]}",
            next_step="sort the rows by time",
        )
    found = {name: table[:, i] for i, name in enumerate(head)}
    _tell_doubts(found, path)
    return found


def _line_of_names(rows: list[tuple[int, list[str]]]) -> int | None:
    """The line, not the first, that names the columns: an instrument's own words are above it."""
    return next(
        (line for line, row in rows[:_HEAD] if _needed() <= {column_of(name, _COLUMNS)[0] for name in row}), None
    )


def _needed() -> set[str]:
    return {name for name, there in _COLUMNS.items() if there}


def _tell_doubts(columns: Mapping[str, np.ndarray], path: Path) -> None:
    """Say what a measurement can hardly be meant to have."""
    current, volt = columns["current_A"], columns["voltage_source_V"]
    known = np.isfinite(current)
    driven = known & (np.abs(volt) > _LEAST_V) & (current != 0.0)
    most = np.abs(current[known]).max(initial=0.0)
    if not known.any():
        say(f"warning: {path} has no current at all")
    elif most > _MOST_A:
        say(f"warning: {path} has a current of {most:.3g} A: the mark of an overflow?")
    elif driven.any() and np.mean(current[driven] * volt[driven] < 0.0) > 0.5:
        say(f"warning: {path} has currents against the voltage: leads the other way round?")


def check_limit(columns: Mapping[str, np.ndarray], path: Path) -> None:
    """UserError for a table that says when a limiter worked, but not at what current: it is of a simulation
    that `kmc export` wrote, and has no corners of the source either."""
    if "limited" in columns and _LIMIT not in columns:
        raise UserError(
            f"has a column limited, but no {_LIMIT}: a fit needs the limit",
            str(path),
            next_step="write the run for a fit: kmc compact traces RUN.nc --out DIR",
        )


def _check_head(head: list[str], where: str) -> None:
    """Each column is known and there once, and those that have to be there are."""
    for name in head:
        if not name:
            raise UserError("a column has no name", where, next_step="name it, or remove a comma at the end")
        if name not in _COLUMNS and name not in _OTHERS:
            raise _unknown(name, where)
        if head.count(name) > 1:
            step = f"give one, in {_unit(name)}" if name in _COLUMNS else "give one"
            raise UserError(f'has more than one column "{name}"', where, next_step=step)
    for name, needed in _COLUMNS.items():
        if needed and name not in head:
            step = "begin with the line time_s,voltage_source_V,current_A"
            raise UserError(f'has no column "{name}"', where, next_step=step)


def _unit(name: str) -> str:
    return name.rpartition("_")[2]


def _unknown(name: str, where: str) -> UserError:
    """The error of a wrong name. One in another unit, or in none, must not just be renamed."""
    near = nearest(name, _COLUMNS)
    if near is None or _unit(name).lower() == _unit(near).lower():
        return unknown(f'unknown column "{name}"', name, _COLUMNS, where)
    step = f"convert to {_unit(near)}, and call it {near}"
    return UserError(f'unknown column "{name}"', where, next_step=step)


def _no_number(row: list[str], where: str) -> UserError:
    """The error of a row with a cell that is none."""
    step, wrong = "write plain numbers in s, V and A", []
    for cell in row:
        try:
            float(cell)
        except ValueError:
            wrong.append(cell)
    if any(re.fullmatch(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*", cell) for cell in wrong):
        step = "write a decimal point, not a comma"
    elif any(re.fullmatch(r"\s*[-+]?\d{1,3}(\.\d{3})+(\.\d*)?\s*", cell) for cell in wrong):
        step = "write no points between thousands"
    return UserError(f"a cell is not a number: {','.join(row):.60}", where, next_step=step)


def _numbers(rows: list[tuple[int, list[str]]], head: list[str], path: Path) -> np.ndarray:
    """The rows [n, columns]; every number is finite but what was not measured, and a limit that is
    infinite."""
    found = []
    for line, row in rows:
        where = f"{path}:{line}"
        check_width(row, len(head), where)
        try:
            numbers = [float(cell) for cell in row]
        except ValueError:
            raise _no_number(row, where) from None
        named = dict(zip(head, numbers, strict=True))
        if not named.pop(_LIMIT, np.inf) > 0.0:
            raise UserError(f"the limit {_LIMIT} is not above 0 A", where, next_step="give inf for no limit")
        if not all(np.isfinite(n) or (np.isnan(n) and name in _MAY_BE_NONE) for name, n in named.items()):
            raise UserError("a number is not finite", where, next_step="leave the row out")
        found.append(numbers)
    return np.array(found).reshape(-1, len(head))
