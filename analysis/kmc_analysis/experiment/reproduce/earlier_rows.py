"""The scoreboard that a folder holds already: what is not measured again stays on it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kmc.core.errors import UserError
from kmc_analysis.experiment.figures import figures_of
from kmc_analysis.experiment.figures.definition import Figure
from kmc_analysis.experiment.reproduce import row_identity, scoreboard
from kmc_analysis.experiment.reproduce.figure_runs import Changes, Extent, Session
from kmc_analysis.experiment.targets.targets import all_rows
from kmc_analysis.experiment.targets.verdict import NOT_RUN


def rows(out: Path, asked: Collection[str], extent: Extent, changes: Mapping[str, Any]) -> dict[str, scoreboard.Row]:
    """The rows of the scoreboard in `out` that are not `asked` for, by key; none where it cannot be read.

    One board is of one choice of devices and `changes`. Raises UserError for a board of others; of fewer
    devices than `extent` takes, all of which are measured again, there may be one.
    """
    try:
        found = json.loads((out / scoreboard.JSON_NAME).read_text(encoding="utf-8"))
        there = {one.key: one for one in scoreboard.rows_of(found) if one.key in all_rows()}
        made, changed = _extent(found, extent, figures_of(there)), dict(found.get("changes", {}))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    kept = {key: one for key, one in there.items() if key not in asked}
    if changed != changes:
        raise _other(out, "changes")
    if made != extent and (kept or not extent.covers(made, figures_of(there))):
        raise _other(out, "devices")
    return kept


def compared(
    rows: Mapping[str, scoreboard.Row], out: Path, extent: Extent, changes: Changes
) -> tuple[list[str], list[str]]:
    """Keys of the rows with a result that something else decided than would today (cards, programs, sources),
    and of those that do not say what did."""
    there = {key: rows[key] for key in all_rows() if key in rows and rows[key].verdict != NOT_RUN}
    session = Session(figures_of({key for key, one in there.items() if one.decided}), out, extent, changes)
    today = {key: row_identity.figure(figure, session) for figure in session.figures for key in figure.keys}
    return (
        [key for key, one in there.items() if one.decided and one.decided != today[key]],
        [key for key, one in there.items() if not one.decided],
    )


def _extent(found: Mapping[str, Any], extent: Extent, figures: Iterable[Figure]) -> Extent:
    """The devices of a scoreboard of `figures`: in what it does not say those of `extent`.

    One of before had the list of its seeds alone, those of the program with the most: as many devices as that
    at most, where it is not the list that `extent` has.
    """
    said, seeds = {name: found[name] for name in asdict(extent) if name in found}, found["seeds"]
    own = max((extent.seeds(program) for figure in figures for program in figure.programs), key=len, default=range(0))
    if seeds:
        said.setdefault("seed", seeds[0])
    if seeds != list(own):
        said.setdefault("devices", len(seeds))
    kinds = {"seed": (int,), "devices": (int, type(None)), "quick": (bool,)}
    if any(type(value) not in kinds[name] for name, value in said.items()):
        raise ValueError(said)
    return replace(extent, **said)


def _other(out: Path, what: str) -> UserError:
    step = "choose another --out (copy tasks/ there first, and no run that both have is done again)"
    return UserError(f"{out} holds a scoreboard of other {what}", "--out", next_step=step)
