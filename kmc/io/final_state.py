"""The state that a run ends in: where it is kept, and what another run takes over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kmc.core.errors import UserError
from kmc.io import checkpoint, dataset, provenance

CHECKPOINT = "checkpoint.npz"
RECORD = "run.json"
_OF_A_STUDY = "study.json"  # the manifest of `kmc.study`, which is a floor above


def checkpoint_of(path: Path) -> Path:
    """The checkpoint that `path` (a checkpoint, a dataset, an out or run folder) stands for."""
    if path.suffix == ".npz":
        return path
    return (path.parent if path.suffix == ".nc" else dataset.out_of(path)) / CHECKPOINT


def load_state(path: Path) -> dict[str, Any]:
    """The Simulation's state at the end of the run that `path` stands for.

    A file that checkpoint.save made of a Simulation.state_dict() will do. Raises UserError and CorruptFile.
    """
    found = checkpoint_of(path)
    if not found.is_file():
        raise _without_state(path)
    if path.suffix == ".nc":
        _refuse_other(path, found.with_name(RECORD))
    saved = checkpoint.load(found)
    if not saved.get("finished", True):
        raise UserError(f"{path} was stopped before its end", next_step="go on with it first: kmc resume")
    state = saved.get("simulation", saved)
    if not is_state(state):
        raise UserError(f"{found} holds no state of a run", next_step="give the output folder of a run")
    return state


def is_state(found: Any) -> bool:
    """Whether it is what a Simulation.state_dict() gives."""
    if not isinstance(found, dict) or not {"seed", "windows"} <= found.keys():
        return False
    return isinstance(found["windows"], dict) and "parts" in found["windows"]


def _without_state(path: Path) -> UserError:
    """A study keeps results alone; a run has a state once it has begun."""
    homes = path.parents if path.suffix == ".nc" else (dataset.out_of(path), *path.parents)
    if any((home / _OF_A_STUDY).is_file() for home in homes):
        return UserError(
            f"{path} is of a study, whose tasks keep no state to start from",
            next_step="run that task by itself: kmc run",
        )
    return UserError(f"{path} has no checkpoint to start from", next_step="run the other run first")


def _refuse_other(path: Path, record: Path) -> None:
    """A dataset that was put beside another run's checkpoint says nothing of the state there."""
    try:
        kept = provenance.run_hash(json.loads(record.read_bytes())["run"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # a state that was kept by hand
    ds = dataset.open(path)
    dataset.require(ds, path)
    if kept != provenance.run_hash(provenance.run_of(ds)):
        raise UserError(
            f"{path} is of another run than the checkpoint beside it",
            next_step="name the output folder of the run to start from",
        )


def same_seed(initial: dict[str, Any], seed: int) -> None:
    """UserError where a state to start from is of another seed, so of another lattice."""
    if initial["seed"] != seed:
        told = f"the initial state belongs to seed {initial['seed']}, this run has seed {seed}"
        raise UserError(told, next_step=f"give seed: {initial['seed']}, so that the lattice is the same")
