"""kmc verify: find truncated, changed and incomplete datasets and checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kmc.cli.commands._options import Json

if TYPE_CHECKING:
    from kmc.io.dataset import Problem


def verify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Datasets or folders of them.")],
    as_json: Json = False,
) -> int:
    """Check every dataset below the paths: its bytes, content and schema; and what runs and studies need to
    go on.

    Exit code 3 when something is wrong; each bad file is named.

    Examples:

        kmc verify runs/quick/out/quick.nc

        kmc verify runs
    """
    from kmc.core.progress import say
    from kmc.io import dataset
    from kmc.io.final_state import CHECKPOINT
    from kmc.io.run_folder import verify_checkpoints
    from kmc.study.manifest import MANIFEST

    problems, checked = [], []
    for path in paths:
        kept = [path] if path.suffix == ".npz" else sorted(path.rglob(CHECKPOINT))
        # A run that has no row yet has a checkpoint alone.
        found = [] if kept and not any(path.rglob("*.nc")) else dataset.files_of(path)
        problems += dataset.verify(path) if found else []
        problems += verify_checkpoints(path)
        manifests = sorted(path.rglob(MANIFEST))
        problems += [problem for one in manifests if (problem := _of_manifest(one))]
        checked += [*found, *kept, *manifests]
    if as_json:
        bad = [{"path": str(p.path), "problem": p.message} for p in problems]
        typer.echo(json.dumps({"checked": [str(p) for p in checked], "problems": bad}, indent=2))
        return 3 if problems else 0
    for problem in problems:
        say(str(problem))
    wrong = {problem.path for problem in problems}
    typer.echo(f"{len(checked)} files checked, {len(wrong)} with problems")
    return 3 if problems else 0


def _of_manifest(path: Path) -> Problem | None:
    """What is wrong with the manifest of a study; which of its tasks are done `kmc study status` says."""
    from kmc.core.errors import CorruptFile
    from kmc.io.dataset import Problem
    from kmc.study.manifest import read_manifest

    try:
        read_manifest(path.parent)
    except CorruptFile as error:
        return Problem(path, error.message.removeprefix(f"{path} "))
    return None
