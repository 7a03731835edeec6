"""The scoreboard: one row a target, as JSON, CSV, a table for a terminal and Markdown for the docs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kmc.core.atomic_files import csv_text, write_texts
from kmc_analysis.experiment.targets.targets import Target, all_rows, definition
from kmc_analysis.experiment.targets.verdict import HIT, NOT_RUN, STALE, VERDICTS, judge
from kmc_analysis.metrics.observation import Measured

JSON_NAME, CSV_NAME = "scoreboard.json", "scoreboard.csv"
KEPT = Path(__file__).parent.parent / "figures" / JSON_NAME
PREDICTED = KEPT.with_name("predictions.json")
COUNTED = ("calibration", "validation")
HEADS = ("key", "figure", "role", "experiment", "simulated", "95 % interval", "unit", "n", "tolerance", "verdict")


class Row(NamedTuple):
    """One target on the scoreboard, plain data. `interval` is None where there is none; `engines` are the
    hashes of the sources that its runs were made by, `decided` is one of all else that decides it; `least`:
    the value is a bound from below. `definition` is a hash of the definition that it was judged by."""

    key: str
    figure: str
    role: str
    target: Any
    simulated: Any
    interval: list[float | None] | None
    unit: str
    n: int
    tolerance: str
    verdict: str
    reason: str
    engines: Sequence[str] = ()
    what: str = ""
    decided: str = ""
    least: bool = False
    definition: str = ""


def row(target: Target, found: Measured, engines: Sequence[str] = (), decided: str = "") -> Row:
    """A target with what was measured, judged."""
    verdict = judge(target, found)
    interval = None
    if found.value is not None and not (math.isnan(found.low) and math.isnan(found.high)):
        interval = [_plain(found.low), _plain(found.high)]
    return Row(
        target.key,
        target.figure,
        target.role,
        target.value,
        _plain(found.value),
        interval,
        target.unit,
        found.n,
        target.tolerance,
        verdict.verdict,
        verdict.reason,
        list(engines),
        target.what,
        decided,
        found.least,
        definition(target),
    )


def _plain(value: Any) -> Any:
    """What strict JSON can hold: numbers that are none or without bound become None."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def board(rows: Iterable[Row], versions: Mapping[str, str], seeds: Sequence[int], **more: Any) -> dict[str, Any]:
    """The scoreboard as plain data: versions, the seeds, how it was run, and the targets."""
    return {"versions": dict(versions), "seeds": list(seeds), **more, "targets": [one._asdict() for one in rows]}


def write(found: Mapping[str, Any], out: Path) -> list[Path]:
    """scoreboard.json and scoreboard.csv in `out`; returns their paths. Raises WriteFailed."""
    return write_texts(out, {JSON_NAME: json.dumps(found, indent=1) + "\n", CSV_NAME: as_csv(rows_of(found))})


def rows_of(found: Mapping[str, Any]) -> list[Row]:
    """The rows of a scoreboard that was read from a file. A verdict by another definition than today's is
    STALE."""
    return [_of_today(Row(**one)) for one in found["targets"]]


def _of_today(one: Row) -> Row:
    target = all_rows().get(one.key)
    if target is None or one.verdict in (NOT_RUN, STALE) or one.definition == definition(target):
        return one
    return one._replace(verdict=STALE, reason=f"{one.verdict} by an earlier definition; {one.reason}".rstrip("; "))


def kept(path: Path = KEPT) -> dict[str, Any] | None:
    """The last full result that the program carries, of the targets or of what is PREDICTED; None where there
    is none."""
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**found, "targets": [one._asdict() for one in rows_of(found)]}


def cells(one: Row) -> tuple[str, ...]:
    """A row as text, in the order of HEADS."""
    interval = "" if one.interval is None else " to ".join(number(end) for end in one.interval)
    return (
        one.key,
        one.figure,
        one.role,
        number(one.target),
        number(one.simulated),
        interval,
        one.unit,
        str(one.n) if one.n else "",
        one.tolerance,
        one.verdict,
    )


def engines(one: Row) -> str:
    """The beginnings of the hashes of the engines that made a row; empty where none is known."""
    return ", ".join(name.removeprefix("kernels ")[:8] for name in one.engines)


def number(value: Any) -> str:
    """Four digits; a dash for none, a list with commas."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(number(one) for one in value)
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def as_csv(rows: Iterable[Row]) -> str:
    """The scoreboard with its reasons, one line a target."""
    return csv_text(
        [*HEADS, "reason", "what", "engines"], ([*cells(one), one.reason, one.what, engines(one)] for one in rows)
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The scoreboard for the docs: a table, and a line for each target that is no hit."""

    def line(parts: Iterable[str]) -> str:
        return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"

    head = [line((HEADS[0], "what", *HEADS[1:], "engine")), line("---" for _ in range(len(HEADS) + 2))]
    body = [line((f"`{one.key}`", meaning(one), *cells(one)[1:], engines(one))) for one in rows]
    alike: dict[str, list[str]] = {}
    for one in rows:
        if one.verdict != HIT:
            alike.setdefault(f"{one.verdict}: {one.reason or 'no more is known'}.", []).append(f"`{one.key}`")
    told = [f"- {', '.join(keys)}, {why}" for why, keys in alike.items()]
    return "\n".join([summary(rows), "", *head, *body, "", *told])


def meaning(one: Row) -> str:
    """What a target is. Its file calls the paper "the seed", which is a random number to all readers."""
    return re.sub(r"(?<=\()seed:|(?<=; )seed:|the seed's", lambda m: m[0].replace("seed", "paper"), one.what)


def counts(rows: Iterable[Row], role: str) -> dict[str, int]:
    """How many targets of a role have each verdict."""
    found = dict.fromkeys(VERDICTS, 0)
    for one in rows:
        if one.role == role:
            found[one.verdict] += 1
    return found


def summary(rows: Sequence[Row]) -> str:
    """What counts, in one sentence."""
    parts = []
    for role in COUNTED:
        found = counts(rows, role)
        whole = sum(found.values())
        others = ", ".join(f"{found[name]} {name}" for name in VERDICTS if name != HIT and found[name])
        parts.append(f"{found[HIT]} of {whole} {role} targets hit" + (f" ({others})" if others else ""))
    return "; ".join(parts) + "."
