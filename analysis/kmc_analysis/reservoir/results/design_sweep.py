"""Design questions: how accuracy changes with one entry of the plan at a time.

A point is kept in a file named by a hash of all that decides it: what was done before is not done again, and
an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kmc.cards.yaml_documents import place
from kmc.core.atomic_files import make_folder, write_whole
from kmc.core.errors import UserError
from kmc.core.progress import say
from kmc_analysis.reservoir import pipeline
from kmc_analysis.reservoir.node_devices import device_model
from kmc_analysis.reservoir.plan import Plan, Readout
from kmc_analysis.reservoir.plan_identity import SWEEP, check_place, identity
from kmc_analysis.reservoir.programming_laws import laws
from kmc_analysis.reservoir.results import accuracy_table

EXAMPLE = "sweep: {feeding.nodes: [10, 30]}"


def points(plan: Plan) -> list[tuple[str, Any, Plan]]:
    """(entry, value, changed plan) for every value of every entry. Raises UserError."""
    found = []
    for name, values in plan.sweep.items():
        part, dot, key = name.partition(".")
        if not dot or part not in ("data", "encoding", "feeding", "devices", "readout"):
            raise UserError(
                f'"{name}" is no entry to sweep',
                place(plan.sweep, name) or str(plan.path),
                next_step=f"write e.g. {EXAMPLE}",
            )
        every = {str(value): value for value in values}  # one that is given twice is one point
        try:
            found += [(name, value, plan.changed(**{part: {key: value}})) for value in every.values()]
        except UserError as error:
            raise error.at(place(plan.sweep, name) or str(plan.path)) from None
    for warning in dict.fromkeys(pipeline.check(one) for *_, one in found):  # points may share their trains
        if warning:
            say(warning)
    if not found:
        raise UserError("the plan sweeps nothing", str(plan.path), next_step=f"add {EXAMPLE}")
    return found


def run(plan: Plan, seeds: int, out: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row a point and seed: {entry, value, seed, and the test accuracy of every readout in percent}.

    Raises UserError for a folder with a sweep of another plan, or of more seeds or points.
    """
    folder, rows, every = out / "sweep", [], points(plan)
    pipeline.check(plan)  # the sweep is identified by this plan's trains, though a point may have others
    chosen = range(plan.seed, plan.seed + seeds)
    check_place(plan, chosen, out, SWEEP, [(name, value) for name, value, _ in every])
    make_folder(folder)
    known: dict[str, Any] = {}
    for seed in chosen:
        for k, (name, value, changed) in enumerate(every):
            tell(f"seed {seed}, {name} = {value} ({k + 1} of {len(every)})")
            found = _point(changed, seed, folder, known)
            rows.append({"entry": name, "value": value, "seed": seed, **found})
    return rows


def _point(plan: Plan, seed: int, folder: Path, known: dict[str, Any]) -> dict[str, float]:
    """The last test accuracies of one plan and seed, from the folder if they are there.

    `known` keeps what points share: the laws by their devices, which do not depend on the seed, and the last states
    with their key.
    """
    path = folder / f"{identity(plan, seed)}.json"
    if path.is_file():
        with contextlib.suppress(ValueError, TypeError):  # cut off, or damaged: done again
            kept = dict(json.loads(path.read_text()))
            if kept and all(math.isfinite(value) for value in kept.values()):
                return kept
    devices = plan.devices.model_dump_json()
    if devices not in known:
        known[devices] = laws(*device_model(plan))
    key = identity(plan.model_copy(update={"readout": Readout()}), seed)
    if known.get("key") != key:  # points that differ in the readout alone share their states
        known["key"], known["states"] = key, pipeline.states(plan, seed)
    result = pipeline.one(plan, seed, known[devices], known["states"])
    found = {name: float(trained.accuracy[-1, 1]) for name, trained in result.readouts.items()}
    write_whole(path, json.dumps(found).encode())
    return found


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """{entry, value, readout, mean, sd, n} for every point and each readout that it has."""
    found = []
    for name, value in dict.fromkeys((row["entry"], str(row["value"])) for row in rows):
        group = [row for row in rows if (row["entry"], str(row["value"])) == (name, value)]
        for readout in accuracy_table.NAMES:
            values = np.array([row[readout] for row in group if readout in row])
            if not values.size:  # no law of the compact model's own
                continue
            sd = float(values.std(ddof=1)) if len(values) > 1 else None
            found.append(
                {
                    "entry": name,
                    "value": group[0]["value"],
                    "readout": readout,
                    "mean": float(values.mean()),
                    "sd": sd,
                    "n": len(values),
                }
            )
    return found
