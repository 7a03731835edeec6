"""kmc resume: go on with a run that was interrupted."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import RunOutput, grouped


@grouped
def resume(
    where: Annotated[Path, typer.Argument(metavar="PATH", help="The out folder, run folder or run file.")],
    *,
    output: RunOutput,
) -> int:
    """Go on with a run that was interrupted, with the run file, seed and changes that it was started with.

    The dataset ends equal to that of a run that was never stopped.

    Examples:

        kmc resume runs/quick/out

        kmc resume results/seed7
    """
    from kmc.cli.commands._running import go

    out = _out_of(where)
    run_file, sets = _command(out)
    return go(run_file, sets, out, output, resume=True)


def _out_of(where: Path) -> Path:
    """The out folder that a path given to resume stands for."""
    from kmc.io.dataset import home_of

    if where.is_file() and where.suffix not in (".nc", ".npz", ".json"):  # a run file
        return where.parent / "out"
    return home_of(where)


def _command(out: Path) -> tuple[Path, list[str]]:
    """Run file and changes that the run in `out` was started with. Raises UserError."""
    from kmc.core.errors import UserError
    from kmc.io.run_folder import read_record

    record = read_record(out) if out.is_dir() else None
    name = record["command"].get("run") if record else None
    by_hand = f"kmc run RUN.yaml --out {out} --resume goes on"
    if record is None or not name:
        _refuse_study(out)
        if record is None:
            raise UserError(f"{out} holds no run to go on with", next_step="start one with kmc run RUN.yaml")
        raise UserError(f"{out} was not started by kmc run", next_step=by_hand)
    path = out.resolve() / name
    if not path.is_file():
        raise UserError(f"{path} is no longer there", next_step=by_hand)
    return path, [str(text) for text in record["command"].get("sets", [])]


def _refuse_study(out: Path) -> None:
    """The folder of a study, or of one of its tasks: its own command goes on. Raises UserError."""
    from kmc.core.errors import UserError
    from kmc.study.manifest import is_study, read_manifest

    here = out.resolve()
    of_task = here.is_dir() and here.parent.name == "work"
    for folder in (here, here.parent.parent) if of_task else (here,):
        if is_study(folder):
            told = read_manifest(folder).command
            file, its_out = os.path.relpath(folder / told["study"]), os.path.relpath(folder)
            words = ["kmc", "study", file, "--out", its_out]
            words += [word for text in told["sets"] for word in ("--set", text)]
            raise UserError(f"{out} is of a study", next_step=f"go on with: {shlex.join(words)}")
