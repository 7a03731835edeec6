"""The state that a run ends in: where it is kept, and what another run takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kmc import checkpoint, dataset
from kmc.errors import UserError

CHECKPOINT = "checkpoint.npz"


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
        raise UserError(f"{path} has no checkpoint to start from", next_step="run the other run first")
    saved = checkpoint.load(found)
    if not saved.get("finished", True):
        raise UserError(f"{path} was stopped before its end", next_step="go on with it first: kmc resume")
    state = saved.get("simulation", saved)
    if not isinstance(state, dict) or not {"seed", "windows"} <= state.keys():
        raise UserError(f"{found} holds no state of a run", next_step="give the output folder of a run")
    return state
