"""Which plan results are of: what a sweep did before, and what may take the place of results in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from kmc.core.errors import UserError
from kmc.core.source_files import digest, sources_of
from kmc_analysis.compact.equations.compilation import source_of
from kmc_analysis.reservoir.node_devices import device_model
from kmc_analysis.reservoir.plan import Plan

_MADE_BY = "kmc_analysis.reservoir.pipeline"  # with all that it imports it makes a point's numbers
RESULTS, SWEEP, COMPARISON = "results.json", "sweep.json", "kinetic.json"
# What earlier versions wrote without a file beside it that says which plan it is of.
_TABLES = {RESULTS: RESULTS, SWEEP: "sweep.csv", COMPARISON: "kinetic.csv"}
_STEP = "choose another --out, or delete it"
Entries = Iterable[tuple[str, Any]]


class Kept(NamedTuple):
    """What results in a folder say that they are of."""

    hash: str
    name: str
    seeds: set[int]
    entries: list[tuple[str, str]]


def identity(plan: Plan, seed: int | None = None) -> str:
    """A hash of all that makes a plan: its entries without their words, its trains, its devices' equations
    and numbers. For a seed, of all that decides its results: this program's sources too.
    """
    words = {"description", "sweep", "path", "sets", "seed", "seeds", "kinetic"}
    told = plan.model_dump(mode="json", exclude=words)
    model, changes = device_model(plan)
    if plan.data.file:  # a file of the same name may be another one tomorrow
        told["trains"] = hashlib.sha256(_spikes(plan.beside(plan.data.file))).hexdigest()
    spread = {kind: dict(entries) for kind, entries in model.spread.items()}
    told["model"] = [model.name, source_of(model), model.values(changes), spread]
    about = [told, None] if seed is None else [told, seed, _sources()]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:20]


def _spikes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"the spike data cannot be read ({error.strerror})",
            str(path),
            next_step="put the file back, or change data.file",
        ) from None


@lru_cache
def _sources() -> str:
    """A hash of the sources, once: a file that an update replaces meanwhile is not what runs."""
    return digest(sources_of([_MADE_BY]))


def unchanged(plan: Plan, digest: str) -> Plan:
    """The plan, if it is still the one with this hash. Raises UserError."""
    if identity(plan) != digest:
        raise UserError(
            "is not what these results are of: it, its spikes or its device's model was changed",
            str(plan.path),
            next_step="give kmc reservoir again",
        )
    return plan


def origin(plan: Plan) -> dict[str, Any]:
    """What results keep of their plan: its hash, file and sets."""
    return {"hash": identity(plan), "file": plan.path.name, "sets": list(plan.sets)}


def kept(plan: Plan, seeds: Iterable[int], entries: Entries) -> dict[str, Any]:
    """What is written beside a table: its plan and seeds, and the entries that it is of beside the plan's: a
    sweep's points, or the study of a comparison.
    """
    return {"plan": origin(plan), "seeds": list(seeds), "entries": _words(entries)}


def check_place(plan: Plan, seeds: Iterable[int], out: Path, kind: str = RESULTS, entries: Entries = ()) -> None:
    """Whether results of this kind may be written into `out`: all that is there must be of the same plan, and
    what is of this kind have no seed and no entry that would be lost. Raises UserError.
    """
    own = origin(plan)
    for name, table in _TABLES.items():
        there = [out / one for one in (name, table) if (out / one).exists()]
        if not there:
            continue
        found = _read(out / name, there[0])
        if found.hash != own["hash"]:
            earlier = "an earlier " if found.name == _named(own) else ""
            raise _held(out, f"{earlier}{found.name}")
        if name == kind:
            _check_lost(found, set(seeds), _words(entries), out)


def _check_lost(found: Kept, seeds: set[int], entries: list[tuple[str, str]], out: Path) -> None:
    if lost := found.seeds - seeds:
        count = len(found.seeds)
        raise _held(out, f"{count} seed{'s' * (count > 1)}, of which this run has {count - len(lost)}")
    for name, value in found.entries:
        if (name, value) not in entries:
            raise _held(out, f"{name} = {value}, which this run has not")


def _held(out: Path, what: str) -> UserError:
    return UserError(f"{out} holds results of {what}", "--out", next_step=_STEP)


def _read(path: Path, named: Path) -> Kept:
    """What `path` says; a UserError that names the other where it says nothing."""
    try:
        found = json.loads(path.read_text())
        return Kept(found["plan"]["hash"], _named(found["plan"]), set(found["seeds"]), _words(found.get("entries", ())))
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{named} does not say which plan it is of", "--out", next_step=_STEP) from None


def _words(entries: Entries) -> list[tuple[str, str]]:
    """Each once, as text: a file keeps nothing else of any value."""
    return list(dict.fromkeys((name, str(value)) for name, value in entries))


def _named(found: dict[str, Any]) -> str:
    """A plan as the command line names it."""
    return " ".join([str(found["file"]), *(f"--set {text}" for text in found["sets"])])
