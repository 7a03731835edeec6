"""Which plan results are of: what a sweep did before, and what may take the place of results in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kmc.errors import UserError
from kmc_analysis.compact.reference import source_of
from kmc_analysis.reservoir.devices import device_model
from kmc_analysis.reservoir.settings import Plan

RESULTS = "results.json"
_STEP = "choose another --out, or delete it"


def identity(plan: Plan, seed: int | None = None) -> str:
    """A hash of all that decides the results of one seed, or but for the seeds those of a plan: its entries
    without their words, its trains, its devices' equations and numbers.
    """
    words = {"description", "sweep", "path", "sets", "seed", "seeds", "kinetic"}
    told = plan.model_dump(mode="json", exclude=words)
    model, changes = device_model(plan)
    if plan.data.file:  # a file of the same name may be another one tomorrow
        told["trains"] = hashlib.sha256(plan.beside(plan.data.file).read_bytes()).hexdigest()
    spread = {kind: dict(entries) for kind, entries in model.spread.items()}
    told["model"] = [model.name, source_of(model), model.values(changes), spread]
    return hashlib.sha256(json.dumps([told, seed], sort_keys=True).encode()).hexdigest()[:20]


def origin(plan: Plan) -> dict[str, Any]:
    """What results keep of their plan: its hash, file and sets."""
    return {"hash": identity(plan), "file": plan.path.name, "sets": list(plan.sets)}


def check_place(plan: Plan, seeds: Iterable[int], out: Path) -> None:
    """Whether results of these seeds may take the place of those in `out`, which must be of the same plan and
    have no seed that would be lost. Raises UserError.
    """
    path = out / RESULTS
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text())
        kept, name = found["plan"]["hash"], _named(found["plan"])
        lost = set(found["seeds"]) - set(seeds)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} does not say which plan it is of", "--out", next_step=_STEP) from None
    if kept != identity(plan):
        earlier = "an earlier " if name == _named(origin(plan)) else ""
        raise UserError(f"{out} holds results of {earlier}{name}", "--out", next_step=_STEP)
    if lost:
        count = len(found["seeds"])
        raise UserError(f"{out} holds results of {count} seeds, of which this run has {count - len(lost)}",
                        "--out", next_step=_STEP)  # fmt: skip


def _named(found: dict[str, Any]) -> str:
    """A plan as the command line names it."""
    return " ".join([str(found["file"]), *(f"--set {text}" for text in found["sets"])])
